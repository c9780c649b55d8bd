"""Hierarchical factorization of torch tensors on their own device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sparseopt as so
from sparseopt.butterfly.splitting import permute
from sparseopt.tools.hierarchy import Standard, factorize, require_options
from sparseopt_butterfly.balanced import balanced
from sparseopt_butterfly.memory import checked_bytes


@dataclass(frozen=True)
class HierarchicalTorch(so.Solver[so.ButterflyFactorization]):
    """As `hierarchical_numpy`, on tensors: the target is not moved, the factors are tensors beside
    it, without gradients.

    Blocks of two rows and rank 1 have a closed form, all others take the batched SVD of
    `torch.linalg`. The certificate is checked in NumPy, a group of columns at a time; with
    ``so.solve(..., check=False)`` and ``bounds="never"`` the target never leaves its device.
    Memory beside the target: about one and a half times the target, three times balanced.
    Source: Le, Zheng, Riccietti, Gribonval, arXiv 2411.04506.

    Time O(m n), memory O(m n), for an m x n target and blocks of 2 x 2.

    Parameters
    ----------
    bounds, probes, order
        As in `hierarchical_numpy`.
    """

    bounds: str = "auto"
    probes: int = 0
    order: str = "left_to_right"

    def __post_init__(self) -> None:
        require_options(self.bounds, self.probes, self.order)

    def accepts(self, problem: so.ButterflyFactorization) -> so.Accepted | so.Refused:
        """Take torch tensors, on any device."""
        if problem.kind != "tensor":
            return so.Refused("it takes torch tensors; pass torch.from_numpy(target) to use it")
        return so.Accepted()

    def solve(
        self, problem: so.ButterflyFactorization, context: so.Context
    ) -> tuple[so.KroneckerProduct, so.ButterflyCertificate]:
        """Return the factors with their certificate."""
        engine = left_to_right if self.order == "left_to_right" else balanced_tree
        return factorize(problem, context, engine, self.bounds, self.probes)

    def cost(self, problem: so.ButterflyFactorization) -> float:
        """Predict the seconds: on a CPU the other engines are faster, elsewhere the transfer to
        them counts."""
        entries = problem.shape[0] * problem.shape[1]
        return 1e-3 + 3e-8 * entries if problem.target.device.type == "cpu" else 1e-10 * entries

    def bytes_needed(self, problem: so.ButterflyFactorization) -> float:
        """Predict one and a half times the target, or what the check takes."""
        m, n = problem.shape
        size = problem.dtype.itemsize
        own = (1.5 if self.order == "left_to_right" else 3.0) * m * n * size
        return max(2.0**20 + own, checked_bytes(problem))


def left_to_right(
    problem: so.ButterflyFactorization, standard: Standard, context: so.Context
) -> list[Any]:
    """Run all levels on the device of the target."""
    rest = _matrix(problem, standard)
    lefts = []
    for i, level in enumerate(standard.levels):
        context.check_time("factorizing")
        context.report(i / len(standard.levels), f"factor {i + 1} of {len(standard.levels) + 1}")
        blocks = rest.reshape(level.b, level.d, level.groups, level.c).permute(1, 2, 0, 3)
        left, w = _low_rank(blocks, level.rank)
        lefts.append(left)
        rest = w.permute(2, 0, 1, 3)
    if not lefts:
        rest = rest.clone()
    return standard.factors(lefts, rest)


def balanced_tree(
    problem: so.ButterflyFactorization, standard: Standard, context: so.Context
) -> list[Any]:
    """Run the balanced tree on the device of the target."""
    import torch

    matrix = _matrix(problem, standard)

    def low_rank(blocks: Any, rank: int) -> tuple[Any, Any]:
        context.check_time("factorizing")
        return _low_rank(blocks, rank)

    factors = balanced(standard.values(matrix), standard.architecture, torch, low_rank)
    return [f.clone() for f in factors]


def _matrix(problem: so.ButterflyFactorization, standard: Standard) -> Any:
    """Return the standard matrix, a view of the target if it is whole."""
    target = problem.target.resolve_conj().resolve_neg()
    if standard.is_whole:
        return target
    outer, inner = standard.outer, standard.inner
    grid = target.reshape(outer, standard.rows, inner, outer, -1, inner)
    own = grid.diagonal(dim1=0, dim2=3).diagonal(dim1=1, dim2=3)
    return permute(own, (0, 2, 3, 1)).reshape(standard.rows, standard.columns)


def _low_rank(blocks: Any, rank: int) -> tuple[Any, Any]:
    """Return the best U (..., b, r), W = U^H B (..., r, c) of every block."""
    import torch

    if rank == 1 and blocks.shape[-2] == 2:
        u = _pairs(blocks)
    else:
        u = torch.linalg.svd(blocks, full_matrices=False)[0][..., :rank]
    return u, u.mH @ blocks


def _pairs(blocks: Any) -> Any:
    """Return the top left singular vectors of blocks of two rows; see `numpy_steps`."""
    import torch

    x, y = blocks.unbind(-2)
    xx, yy = torch.linalg.vecdot(x, x).real, torch.linalg.vecdot(y, y).real
    yx = torch.linalg.vecdot(x, y)
    delta = (xx - yy) / 2
    cross = yx.abs()
    big = torch.hypot(delta, cross) + delta.abs()
    length = torch.hypot(big, cross)
    zero = length == 0
    big = torch.where(zero, 1, big) / torch.where(zero, 1, length)
    yx = yx / torch.where(zero, 1, length)
    straight = torch.stack([big.to(yx.dtype), yx], -1)
    swapped = torch.stack([yx.conj(), big.to(yx.dtype)], -1)
    return torch.where((delta < 0)[..., None], swapped, straight)[..., None]
