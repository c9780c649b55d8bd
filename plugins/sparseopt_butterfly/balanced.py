"""The balanced tree: every interval of factors is cut in its middle.

Where left to right cuts off one factor after the other, the balanced tree cuts the target into two
halves, each half into two, and so on: L - 1 cuts all the same, on larger blocks, but only log2 L
one after the other on the same numbers.

Before an interval is cut, the factors left of it have orthonormal columns in every block, and what
stands right of it orthonormal rows: then cutting it changes the product by exactly what it changes
the interval, and the error is at most sum_j E_j, the sum of the split errors of the target. Both
come from QR decompositions of blocks of r columns: of W at every cut, and of every finished factor,
whose triangular part is multiplied into what stands next on its right. Blocks are b x r with r < b
because the architecture is not redundant; and the blocks of a product of neighbours inherit
orthonormality, as they are made of the same columns (rows) at the outer cut.
Source: Le, Zheng, Riccietti, Gribonval, arXiv 2411.04506.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sparseopt as so
from sparseopt.butterfly.splitting import (
    from_left_blocks,
    from_right_blocks,
    left_blocks,
    right_blocks,
    to_blocks,
)

LowRank = Callable[[Any, int], tuple[Any, Any]]
"""Returns U (..., b, r) with orthonormal columns and W = U^H B (..., r, c) of blocks and a rank."""


def balanced(
    values: Any, architecture: so.Architecture, library: Any, low_rank: LowRank
) -> list[Any]:
    """Return the factors of the product pattern's values.

    Memory: about three times the values. One low-rank step of m n min(b, c) operations per cut,
    with the largest blocks at the first.

    Parameters
    ----------
    values : array or tensor (a, b, c, d)
        On the pattern ``architecture.product``.
    architecture : Architecture
        Chainable, not redundant.
    library : module
        NumPy or torch.
    low_rank : LowRank
    """
    waiting = [(0, len(architecture), values)]
    factors: list[Any] = []
    while waiting:
        first, last, grid = waiting.pop()
        if last - first > 1:
            cut = (first + last) // 2
            left, right = architecture[first:cut].product, architecture[cut:last].product
            u, w = low_rank(to_blocks(grid, left, right), left.rank_with(right))
            rows, scale = library.linalg.qr(_adjoint(w))
            waiting.append((cut, last, from_right_blocks(_adjoint(rows), right)))
            waiting.append((first, cut, from_left_blocks(u @ _adjoint(scale), left)))
            continue
        if waiting:
            _, end, following = waiting.pop()
            left, right = architecture[first], architecture[last:end].product
            columns, scale = library.linalg.qr(left_blocks(grid, left, right))
            grid = from_left_blocks(columns, left)
            moved = scale @ right_blocks(following, left, right)
            waiting.append((last, end, from_right_blocks(moved, right)))
        factors.append(grid)
    return factors


def _adjoint(blocks: Any) -> Any:
    return blocks.conj().swapaxes(-1, -2)
