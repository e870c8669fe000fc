"""The network of an installed libfacedetection, with the library's own weights, run by ONNX Runtime.

The same faces in less than a third of the library's time: 2.5 ms where it takes 8.6 for an image of 320x240 (medians of
interleaved calls, one thread, AVX-512).
"""
from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

#: Every second convolution of the network is a pointwise one, and the one after it depthwise: values in and out of each
#: pair, in the library's order. What comes before them is the stem.
STEM = (32, 16)
_BACKBONE = [(16, 16)] + [(16, 16), (16, 32)] + [(32, 32), (32, 64)] + 6 * [(64, 64)]
_NECK = 3 * [(64, 64)]
_HEADS = [("score", 1), ("box", 4), ("object", 1), ("points", 10)]
PAIRS: List[Tuple[int, int]] = _BACKBONE + _NECK + [(64, values) for _, values in _HEADS for _ in range(3)]

#: Pixels of the image between two neighbouring answers of the three levels.
STRIDES = (8, 16, 32)

#: The library's own: no face is less sure, and of boxes that overlap more than that only the best is kept.
SCORE_THRESHOLD, NMS_IOU, MAX_CANDIDATES = 0.2, 0.45, 1000

OPSET, IR_VERSION = 17, 8  # ONNX Runtime 1.12 and newer


class _ConvInfo(ctypes.Structure):
    """One row of the library's table `param_pConvInfo`."""

    _fields_ = [
        ("channels", ctypes.c_int), ("filters", ctypes.c_int),
        ("depthwise", ctypes.c_bool), ("pointwise", ctypes.c_bool), ("relu", ctypes.c_bool),
        ("weights", ctypes.POINTER(ctypes.c_float)), ("biases", ctypes.POINTER(ctypes.c_float)),
    ]


class Filters(NamedTuple):
    """One convolution, as ONNX has it: weights float32 [filters, channels, 1 or 3, 1 or 3] and biases [filters]."""

    weights: np.ndarray
    biases: np.ndarray


def onnx_search(library: Any) -> Optional[Callable[[np.ndarray], np.ndarray]]:
    """A function from a uint8 BGR image [H, W, 3] to rows (score 0..100, x, y, width, height, five landmarks).

    `library` is a ctypes.CDLL of libfacedetection; the rows are what it would answer: whole numbers, float32 [N, 15],
    best score first. None without the optional packages onnx and onnxruntime, and for a library whose network is
    another than the one known here (YuNet, as of libfacedetection 3).
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except Exception:  # whatever it is: onnx beside a protobuf of another age raises a TypeError
        return None
    filters = read_filters(library)
    if filters is None:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(serialize(filters), options, providers=["CPUExecutionProvider"])

    padded, filled = np.zeros((1, 0, 0, 3), np.uint8), (0, 0)

    def search(image: np.ndarray) -> np.ndarray:
        nonlocal padded, filled
        height, width = image.shape[:2]
        if filled != (height, width):
            # Black below and to the right, as far as the coarsest level needs it; kept for the next image of this size.
            padded, filled = np.zeros((1, _whole(height), _whole(width), 3), np.uint8), (height, width)
        padded[0, :height, :width] = image
        scores, answers = session.run(["scores", "answers"], {"image": padded})
        return _faces(scores[0, 0], answers[0], *_grid(*padded.shape[1:3]))

    return search


def read_filters(library: Any) -> Optional[List[Filters]]:
    """The convolutions of the network in the library, in its order; None where they are not those of PAIRS."""
    try:
        table = (_ConvInfo * (1 + 2 * len(PAIRS))).in_dll(library, "param_pConvInfo")
    except ValueError:
        return None
    expected = [(*STEM, False)] + [row for c, f in PAIRS for row in ((c, f, False), (f, f, True))]
    if [(row.channels, row.filters, row.depthwise) for row in table] != expected:
        return None
    return [_filters(row) for row in table]


def _filters(row: _ConvInfo) -> Filters:
    biases = np.ctypeslib.as_array(row.biases, (row.filters,)).copy()
    if row.depthwise:
        by_place = np.ctypeslib.as_array(row.weights, (9, row.channels))
        return Filters(by_place.T.reshape(-1, 1, 3, 3).copy(), biases)
    return Filters(np.ctypeslib.as_array(row.weights, (row.filters, row.channels, 1, 1)).copy(), biases)


def serialize(filters: Sequence[Filters]) -> bytes:
    """The network as an ONNX model.

    `image` uint8 [1, H, W, 3] BGR, sides multiples of 32 -> `scores` float32 [1, 1, N], 0..1, and `answers` float32
    [1, 14, N], boxes and landmarks in strides, of the N places of all levels.

    Source: Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research, 2023.
    """
    network = _Graph()
    # The library lays the 3x3 pixels round every second one side by side, three colours each and five zeros, and takes
    # a pointwise convolution of them: a convolution with stride 2.
    stem = filters[0].weights[:, :27].reshape(-1, 3, 3, 3).transpose(0, 3, 1, 2)
    pairs = [filters[place : place + 2] for place in range(1, len(filters), 2)]
    backbone, neck = pairs[: len(_BACKBONE)], pairs[len(_BACKBONE) : len(_BACKBONE) + len(_NECK)]
    rest = iter(pairs[len(_BACKBONE) + len(_NECK) :])
    heads = {name: [next(rest) for _ in STRIDES] for name, _ in _HEADS}

    pixels = network.add("Transpose", network.add("Cast", "image", to=network.FLOAT), perm=[0, 3, 1, 2])
    maps = network.add("Relu", network.convolve(pixels, Filters(stem, filters[0].biases), strides=[2, 2]))
    levels = []
    for depth, pair in enumerate(backbone):
        maps = network.separable(maps, pair)
        if depth in (6, 8, 10):
            levels.append(maps)
        if depth in (0, 4, 6, 8):
            maps = network.add("MaxPool", maps, kernel_shape=[2, 2], strides=[2, 2])
    for level in (2, 1, 0):  # from coarse to fine, each with what the coarser one saw
        if level < 2:
            levels[level] = network.add("Add", levels[level], network.doubled(levels[level + 1]))
        levels[level] = network.separable(levels[level], neck[level])

    answers = {
        name: network.in_one_row(
            [network.separable(maps, pair, relu=False) for maps, pair in zip(levels, heads[name])], values
        )
        for name, values in _HEADS
    }
    sure = network.add("Mul", network.add("Sigmoid", answers["score"]), network.add("Sigmoid", answers["object"]))
    network.add("Sqrt", sure, output="scores")
    network.add("Concat", answers["box"], answers["points"], output="answers", axis=1)
    return network.serialized()


class _Graph:
    """ONNX nodes and weights, as they are added one after the other; what is added is known by its output's name."""

    def __init__(self) -> None:
        from onnx import TensorProto, helper, numpy_helper

        self.FLOAT, self._uint8 = TensorProto.FLOAT, TensorProto.UINT8
        self._make, self._tensor = helper, numpy_helper.from_array
        self._nodes: List[Any] = []
        self._weights: Dict[str, Any] = {}

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{operator}{len(self._nodes)}"
        self._nodes.append(self._make.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, array: np.ndarray) -> str:
        name = f"constant{len(self._weights)}"
        self._weights[name] = self._tensor(np.ascontiguousarray(array), name)
        return name

    def convolve(self, maps: str, filters: Filters, **attributes: Any) -> str:
        border = filters.weights.shape[2] // 2
        weights = [self.constant(filters.weights), self.constant(filters.biases)]
        return self.add("Conv", maps, *weights, pads=4 * [border], **attributes)

    def separable(self, maps: str, pair: Sequence[Filters], relu: bool = True) -> str:
        pointwise, depthwise = pair
        maps = self.convolve(self.convolve(maps, pointwise), depthwise, group=len(depthwise.weights))
        return self.add("Relu", maps) if relu else maps

    def doubled(self, maps: str) -> str:
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.add("Resize", maps, "", scales, **nearest)

    def in_one_row(self, levels: Sequence[str], values: int) -> str:
        shape = self.constant(np.array([1, values, -1]))
        return self.add("Concat", *(self.add("Reshape", maps, shape) for maps in levels), axis=2)

    def serialized(self) -> bytes:
        make = self._make
        image = make.make_tensor_value_info("image", self._uint8, [1, "h", "w", 3])
        scores = make.make_tensor_value_info("scores", self.FLOAT, [1, 1, "n"])
        answers = make.make_tensor_value_info("answers", self.FLOAT, [1, 14, "n"])
        graph = make.make_graph(self._nodes, "yunet", [image], [scores, answers], list(self._weights.values()))
        model = make.make_model(graph, opset_imports=[make.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return model.SerializeToString()


def _whole(pixels: int) -> int:
    return -(-pixels // STRIDES[-1]) * STRIDES[-1]


@lru_cache(maxsize=8)
def _grid(height: int, width: int) -> Tuple[np.ndarray, np.ndarray]:
    """Of the N places of all levels in an image: left and top [pixels], float32 [2, N], and stride, float32 [N]."""
    places, strides = [], []
    for stride in STRIDES:
        top, left = np.mgrid[0:height:stride, 0:width:stride]
        places.append(np.stack((left.ravel(), top.ravel())))
        strides.append(np.full(left.size, stride))
    return np.concatenate(places, axis=1).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _faces(scores: np.ndarray, answers: np.ndarray, places: np.ndarray, strides: np.ndarray) -> np.ndarray:
    """Rows of whole numbers, as the library gives them, from what the network says of each place."""
    sure = np.flatnonzero(scores >= SCORE_THRESHOLD)
    sure = sure[np.argsort(-scores[sure], kind="stable")][:MAX_CANDIDATES]
    answers, places, strides = answers[:, sure], places[:, sure], strides[sure]
    center, size = answers[:2] * strides + places, np.exp(answers[2:4]) * strides
    left_top, right_bottom = center - size / 2, center + size / 2
    points = (answers[4:].reshape(5, 2, -1) * strides + places).reshape(10, -1)
    rows = np.concatenate((100 * scores[None, sure], left_top, right_bottom - left_top, points))
    return np.trunc(rows.T[_non_maximum_suppression(left_top, right_bottom)])


def _non_maximum_suppression(left_top: np.ndarray, right_bottom: np.ndarray) -> List[int]:
    """Which of N boxes stay, of float32 [2, N] corners with the best first."""
    areas = (right_bottom - left_top).prod(axis=0)
    best: List[int] = []
    waiting: np.ndarray = np.arange(len(areas))
    while len(waiting):
        box, waiting = waiting[0], waiting[1:]
        best.append(int(box))
        sides = np.minimum(right_bottom[:, waiting], right_bottom[:, box, None])
        sides -= np.maximum(left_top[:, waiting], left_top[:, box, None])
        shared = np.maximum(sides, 0).prod(axis=0)
        waiting = waiting[~(shared > NMS_IOU * (areas[waiting] + areas[box] - shared))]
    return best
