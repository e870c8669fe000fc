"""QuantizedCompactNetwork as an ONNX model of standard operators; needs the optional package onnx."""
from __future__ import annotations

from typing import Any, List

import numpy as np
import numpy.typing
import onnx
from onnx import TensorProto, helper, numpy_helper

from siamese_emotion_ros.recognition.quantized import (
    SIGNED_ZERO,
    QuantizedBlock,
    QuantizedCompactNetwork,
    QuantizedConvolution,
)

#: The format of ONNX 1.12, which onnxruntime 1.12 reads.
IR_VERSION = 8

#: The smallest length that an embedding is divided by, as torch.nn.functional.normalize has it.
SHORTEST = 1e-12


def onnx_model(network: QuantizedCompactNetwork, opset: int, faces: str, embeddings: str) -> bytes:
    """The serialised model, from input `faces` float32 [N, 1, S, S] to output `embeddings` float32 [N, D], any N."""
    graph = _Graph()
    # Four channels at a quarter of the positions: ONNX Runtime gathers a patch channel by channel, and one at a time is
    # slow (a twentieth of the network's time over faces of 48 pixels).
    values = graph.add("SpaceToDepth", faces, blocksize=2)
    unit = graph.constant(1 / float(network.input_scale))
    values = graph.add("QuantizeLinear", values, unit, graph.zero(signed=True))
    values = graph.convolution(_folded(network.stem), values, from_signed=True)
    for block in network.blocks:
        assert isinstance(block, QuantizedBlock)
        values = graph.block(block, values)
    values = graph.add("DequantizeLinear", values, graph.constant(1.0), graph.zero(signed=False))
    means = graph.add("ReduceMean", values, axes=[2, 3], keepdims=0)
    weight, bias = (parameter.detach().numpy() for parameter in network.embedding.parameters())
    rows = graph.add("Gemm", means, graph.constant(weight), graph.constant(bias), transB=1)
    lengths = graph.add("ReduceL2", rows, axes=[1], keepdims=1)
    lengths = graph.add("Max", lengths, graph.constant(SHORTEST))
    graph.nodes.append(helper.make_node("Div", [rows, lengths], [embeddings]))

    size = network.input_size
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "siamese_emotion_ros",
            [helper.make_tensor_value_info(faces, TensorProto.FLOAT, ["n", 1, size, size])],
            [helper.make_tensor_value_info(embeddings, TensorProto.FLOAT, ["n", len(bias)])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION, producer_name="siamese_emotion_ros",
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _folded(stem: QuantizedConvolution) -> QuantizedConvolution:
    """The 6x6 convolution of every second position of a face, as one 3x3 of the face folded 2x2."""
    width = len(stem.weight)
    folded = QuantizedConvolution(4, width, 3, 1, 1, signed=stem.signed)
    # [out, row, row in the fold, column, column in the fold] -> [out, 4, row, column]
    folded.weight = stem.weight.view(width, 3, 2, 3, 2).permute(0, 2, 4, 1, 3).reshape(width, 4, 3, 3)
    folded.bias, folded.scale = stem.bias, stem.scale
    return folded


class _Graph:
    """Nodes and constants; each method adds some and returns the name of what they compute."""

    def __init__(self) -> None:
        self.nodes: List[onnx.NodeProto] = []
        self.constants: List[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, values: np.typing.ArrayLike, dtype: type = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), f"constant_{len(self.constants)}"))
        return self.constants[-1].name

    def zero(self, signed: bool) -> str:
        return self.constant(SIGNED_ZERO if signed else 0, np.uint8)

    def convolution(self, layer: QuantizedConvolution, values: str, from_signed: bool = False) -> str:
        """Counted in integers, as the layer does: the scale of its sums is that of its weights here."""
        weight, bias, scale = (tensor.numpy() for tensor in (layer.weight, layer.bias, layer.scale))
        one = self.constant(1.0)
        return self.add(
            "QLinearConv", values, one, self.zero(from_signed),
            self.constant(weight, np.int8), self.constant(scale), self.constant(np.zeros(len(scale)), np.int8),
            one, self.zero(layer.signed), self.constant(bias, np.int32),
            strides=[layer.stride] * 2, pads=[layer.padding] * 4, kernel_shape=list(weight.shape[2:]),
        )

    def block(self, block: QuantizedBlock, values: str) -> str:
        """Standard operators for the sum, which ONNX Runtime joins to one of integers."""
        added = self.convolution(block.second, self.convolution(block.first, values))
        kept = values if block.shortcut is None else self.convolution(block.shortcut, values)
        added_scale, kept_scale = (self.constant(float(scale)) for scale in block.scales)
        total = self.add(
            "Add", self.add("DequantizeLinear", added, added_scale, self.zero(signed=True)),
            self.add("DequantizeLinear", kept, kept_scale, self.zero(signed=block.shortcut is not None)),
        )
        return self.add("QuantizeLinear", total, self.constant(1.0), self.zero(signed=False))
