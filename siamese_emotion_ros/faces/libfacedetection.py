"""libfacedetection, which the package yuface brings, as a function from an image to faces: the fastest one there is."""
from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path
from types import ModuleType
from typing import Callable, Optional

import numpy as np

from .yunet_onnx import onnx_search

#: From a contiguous uint8 BGR image [H, W, 3] to rows (score 0..100, x, y, width, height, five landmarks).
Search = Callable[[np.ndarray], np.ndarray]

#: `int* facedetect_cnn(unsigned char* result, unsigned char* bgr, int width, int height, int step)` as C++ exports it,
#: and the size that its result has to have: a count (int32), then 16 int16 for each face.
FACEDETECT_CNN = "_Z14facedetect_cnnPhS_iii"
FACEDETECT_RESULT_BYTES = 0x9000

#: The library sets up its weights in the first call and was never said to be re-entrant.
_one_search_at_a_time = threading.Lock()


def import_yuface() -> ModuleType:
    """yuface, searching in one thread; ImportError where it is not installed.

    By default its OpenMP threads, one a core, spin while they wait for each other, and stall whoever else needs a core:
    on two cores the pipeline lost two frames in three of 30 a second with two threads, and hardly one with a single
    one. The library reads the variable once, when it is loaded; a value that the user has set stays.
    """
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        import yuface
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
    return yuface


def fastest_search(yuface: ModuleType) -> Search:
    """The first that can be had of three, which give the same rows.

    The library's network in ONNX Runtime; the library itself, called past yuface; or yuface's own function, which holds
    Python's lock for the whole search, so that no other thread of the process, such as the one that embeds the faces of
    the frame before, gets on.
    """

    def detect_locked(image: np.ndarray) -> np.ndarray:
        return np.column_stack(yuface.detect(image, 0.0)).astype(np.int16)

    try:
        library = ctypes.CDLL(str(Path(str(yuface.__file__)).with_name("libfacedetection.so")))
    except OSError:
        return detect_locked
    return onnx_search(library) or without_gil(library) or detect_locked


def without_gil(library: ctypes.CDLL) -> Optional[Search]:
    """The library called past yuface, without Python's lock; None for a library that does not export its function."""
    if not hasattr(library, FACEDETECT_CNN):
        return None
    search = library[FACEDETECT_CNN]
    search.restype = ctypes.c_void_p
    search.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]

    def detect(image: np.ndarray) -> np.ndarray:
        result = np.zeros(FACEDETECT_RESULT_BYTES, np.uint8)
        height, width = image.shape[:2]
        with _one_search_at_a_time:
            search(result.ctypes.data, image.ctypes.data, width, height, image.strides[0])
        count = int(result[:4].view(np.int32)[0])
        return result[4 : 4 + 32 * count].view(np.int16).reshape(count, 16)

    return detect
