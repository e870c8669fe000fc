"""What every embedding network here is."""
from __future__ import annotations

from typing import ClassVar, Optional

from torch import nn


class EmbeddingNetwork(nn.Module):
    """Constructed with (input_size, embedding_dim); maps faces float32 [N, 1, S, S] to embeddings float32 [N, D]."""

    #: Its embeddings have length 1.
    unit_length: ClassVar[bool] = False
    #: It is of integers: not trained but made of a trained network, and computed in float32 only.
    quantized: ClassVar[bool] = False

    def for_cpu(self) -> nn.Module:
        """The same mapping, rearranged for inference in float32 on a CPU where that is faster."""
        return self

    def check_weights(self) -> None:
        """ValueError for weights from a file that have the right shapes and cannot be computed with all the same."""

    def onnx_model(self, opset: int, faces: str, embeddings: str) -> Optional[bytes]:
        """The same mapping as an ONNX model with these names of input and output; None: as torch exports it."""
        return None
