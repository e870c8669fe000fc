"""A convolution and the 2x2 max-pool after it, by Winograd's minimal filtering: fewer multiplications, same result."""
from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np
import torch
from torch import nn

#: Interpolation points of F(2, 7): small and symmetric, which keeps rounding near that of a direct convolution.
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)


def winograd_matrices(outputs: int, points: Sequence[float]) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices (G, A^T, B^T) of F(m, r): m outputs of an r-tap correlation from n = m + r - 1 multiplications.

    y = A^T [(G g) * (B^T d)] for taps g [r] and data d [n]. Toom-Cook interpolation at n - 1 finite `points` and at
    infinity, transposed from polynomial multiplication to correlation (Winograd, Arithmetic Complexity of Computations,
    1980; Lavin and Gray, arXiv:1509.09308). float64: G [n, r], A^T [m, n], B^T [n, n].
    """
    size = len(points) + 1
    taps = size - outputs + 1

    def evaluation(coefficients: int) -> np.ndarray:
        finite = [[point**power for power in range(coefficients)] for point in points]
        return np.array(finite + [[0.0] * (coefficients - 1) + [1.0]])

    data = np.linalg.inv(evaluation(size)).T
    # Each product may be scaled on one side and unscaled on the other; equal rows of B^T round the least.
    scale = np.abs(data).max(axis=1, keepdims=True)
    return evaluation(taps) * scale, evaluation(outputs).T, data / scale


class WinogradPooledConvolution(nn.Module):
    """A valid stride-1 7x7 convolution followed by a 2x2 max-pool of stride 2, as F(2x2, 7x7).

    Every tile of the output is one pooling window, so pooling is a maximum over its four values. 64 products stand in
    for 196, for about 1.3 times the weights: it pays at the batch sizes of a robot on a CPU. Inference only.
    """

    weight: torch.Tensor  # [64, in, out]
    bias: torch.Tensor  # [out]
    to_products: torch.Tensor  # [64, 64]
    to_outputs: torch.Tensor  # [4, 64]

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        weight = convolution.weight.detach().double()
        if weight.shape[2:] != (7, 7) or convolution.stride != (1, 1) or convolution.padding != (0, 0):
            raise ValueError(f"{convolution}: expected a valid 7x7 convolution of stride 1")
        taps, outputs, data = (torch.from_numpy(matrix) for matrix in winograd_matrices(2, POINTS))
        self.size = len(data)
        transformed = torch.einsum("xk,ockl,yl->xyco", taps, weight, taps)
        self.register_buffer("weight", transformed.flatten(0, 1).float().contiguous())
        self.register_buffer("to_products", torch.kron(data, data).float().contiguous())
        self.register_buffer("to_outputs", torch.kron(outputs, outputs).float().contiguous())
        bias = convolution.bias
        self.register_buffer("bias", torch.zeros(weight.shape[0]) if bias is None else bias.detach().float())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """float32 [N, in, H, W] -> [N, out, (H - 6) // 2, (W - 6) // 2]; fastest from and to channels_last."""
        tiles = values.permute(0, 2, 3, 1).unfold(1, self.size, 2).unfold(2, self.size, 2)  # [N, h, w, in, 8, 8]
        batch, height, width, channels = tiles.shape[:4]
        data = self.to_products @ tiles.permute(4, 5, 0, 1, 2, 3).reshape(self.size**2, -1)
        products = torch.bmm(data.view(self.size**2, -1, channels), self.weight)
        windows = self.to_outputs @ products.view(self.size**2, -1)
        pooled = windows.view(4, batch, height, width, -1).amax(dim=0) + self.bias
        return pooled.permute(0, 3, 1, 2)
