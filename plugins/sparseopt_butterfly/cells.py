"""The cells of images that lie below a kernel, brought together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.nn.modules.utils import _pair

import sparseopt as so
from sparseopt.interface.printing import short

# Cells that are multiplied at a time at least, and bytes of what is copied together.
_CELLS, _BYTES = 128, 2**21
_MODES = ("zeros", "reflect", "replicate", "circular")


@dataclass(frozen=True)
class Cells:
    """For every cell of the result of a convolution, what its kernel reads.

    Parameters
    ----------
    kernel, stride, dilation : (int, int)
    padding : (int, int, int, int)
        Left, right, top, bottom.
    mode : str
        Of the padding, as `torch.nn.Conv2d` names it.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    mode: str

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return (images, positions * channels, height, width) for (images, channels, ., .).

        Positions are those of the kernel, row by row; no copy is made for a kernel of one cell.
        """
        parts = self.parts(images)
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def parts(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return (images, channels, height, width) for each position, not copied."""
        if any(self.padding):
            mode = "constant" if self.mode == "zeros" else self.mode
            images = functional.pad(images, self.padding, mode=mode)
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
        spare = [n - r for n, r in zip(images.shape[2:], reach, strict=True)]
        if spare[0] < 1 or spare[1] < 1:
            size = " x ".join(str(r + 1) for r in reach)
            given = " x ".join(map(str, images.shape[2:]))
            raise so.ProblemError(
                f"the kernel spans {size} cells, but the padded images have only {given}"
            )
        down, right = self.stride
        return [
            images[:, :, top : top + spare[0] : down, left : left + spare[1] : right]
            for top in range(0, reach[0] + 1, self.dilation[0])
            for left in range(0, reach[1] + 1, self.dilation[1])
        ]


def strips_of(cells: tuple[int, int], channels: int, itemsize: int) -> tuple[int, int]:
    """Return how many images, and rows of them, are multiplied at a time.

    One image at least, where it has enough cells for the product to run well; then as many rows as
    have so many, and leave what is copied together in the cache.

    Parameters
    ----------
    cells : (int, int)
        Rows and columns of the result.
    channels : int
        Of all positions together.
    itemsize : int
    """
    height, width = cells
    if height * width < _CELLS:
        return -(-_CELLS // (height * width)), height
    most = max(_CELLS, _BYTES // (channels * itemsize))
    return 1, min(height, max(1, most // width))


def padding_of(
    padding: Any,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    mode: str,
) -> tuple[int, int, int, int]:
    """Return how many cells are added at the left, right, top and bottom."""
    if mode not in _MODES:
        raise so.ProblemError(f"padding_mode must be one of {', '.join(_MODES)}, got {short(mode)}")
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        if stride != (1, 1):
            raise so.ProblemError(f"padding 'same' needs a stride of 1, got {stride}")
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        (top, left), (below, right) = ([t // 2 for t in total], [t - t // 2 for t in total])
        return left, right, top, below
    pair = _pair(padding)
    numbers = all(isinstance(n, int | np.integer) and n >= 0 for n in pair)
    if isinstance(padding, str) or len(pair) != 2 or not numbers:
        raise so.ProblemError(
            f"padding must be 'valid', 'same', or one or two numbers of cells, got {short(padding)}"
        )
    down, across = int(pair[0]), int(pair[1])
    return across, across, down, down
