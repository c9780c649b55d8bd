"""Hierarchical factorization on a CUDA device, left to right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import sparseopt as so
from sparseopt.tools.hierarchy import Level, Standard, factorize, require_options
from sparseopt_cupy import kernel_table
from sparseopt_cupy.device import memory_lacking
from sparseopt_cupy.launching import launch_all
from sparseopt_cupy.rates import Rates


@dataclass(frozen=True)
class HierarchicalCupy(so.Solver[so.ButterflyFactorization]):
    """As `hierarchical_numpy`, on arrays of CuPy and CUDA tensors of torch: the target is not
    moved, the factors lie beside it.

    Blocks of rank 1 take one launch per level, or one for two levels of blocks of two rows: a
    closed form for two rows, a power iteration for more, with a dense eigensolver for blocks that
    converge slowly. Any other rank takes the batched SVD of `cupy.linalg`. Each level reads what
    the one before left once. The certificate is checked in NumPy on the processor, a group of
    columns at a time; with ``so.solve(..., check=False)`` and ``bounds="never"`` the target never
    leaves its device.
    Source: Le, Zheng, Riccietti, Gribonval, arXiv 2411.04506.

    Time O(m n), memory O(m n), for an m x n target and blocks of 2 x 2.

    Parameters
    ----------
    bounds, probes
        As in `hierarchical_numpy`.
    """

    bounds: str = "auto"
    probes: int = 0

    def __post_init__(self) -> None:
        require_options(self.bounds, self.probes)

    def accepts(self, problem: so.ButterflyFactorization) -> so.Accepted | so.Refused:
        """Take arrays of CuPy and tensors on a CUDA device, if what they leave fits beside them."""
        if problem.kind != "device" and problem.structure()["place"] != "device":
            return so.Refused(
                "it takes arrays on a CUDA device; pass cupy.asarray(target) to use it"
            )
        with _on_cupy(problem)[1]:
            lacking = memory_lacking(int(self.bytes_needed(problem)))
        return so.Refused(lacking) if lacking else so.Accepted()

    def solve(
        self, problem: so.ButterflyFactorization, context: so.Context
    ) -> tuple[so.KroneckerProduct, so.ButterflyCertificate]:
        """Return the factors with their certificate.

        Memory beside the target: what the first level leaves, which is at most r / b of the target,
        what the second leaves, and the factors; a copy of the target if its rows are not contiguous
        or it has to be scaled.
        """
        return factorize(problem, context, left_to_right, self.bounds, self.probes)

    def cost(self, problem: so.ButterflyFactorization) -> float:
        """Predict the seconds: some launches, and three reads of the target."""
        entries = problem.shape[0] * problem.shape[1]
        moved = 3e-6 * entries * problem.dtype.itemsize / Rates.of("an H100").copy
        return 1e-5 * (2 + len(problem.architecture)) + moved

    def bytes_needed(self, problem: so.ButterflyFactorization) -> float:
        """Predict the bytes of the device: what two levels of blocks of 2 x 2 leave, and the
        factors; the check of the error takes less, of the computer's memory."""
        entries = 0.75 * problem.shape[0] * problem.shape[1] + problem.architecture.nnz
        return 2.0**22 + entries * problem.dtype.itemsize


def left_to_right(
    problem: so.ButterflyFactorization, standard: Standard, context: so.Context
) -> list[Any]:
    """Run all levels on the device of the target."""
    target, place, returned = _on_cupy(problem)
    with place:
        _require_memory(problem, standard, target)
        rest = _matrix(target, standard)
        lefts: list[Any] = []
        levels = standard.levels
        while len(lefts) < len(levels):
            done = len(lefts)
            context.check_time("factorizing")
            context.report(done / len(levels), f"factor {done + 1} of {len(levels) + 1}")
            found, rest = _peel(levels[done : done + 2], rest, problem.dtype.name)
            lefts += found
        if not lefts:
            rest = rest.copy()
        return [returned(factor) for factor in standard.factors(lefts, rest)]


def _on_cupy(
    problem: so.ButterflyFactorization,
) -> tuple[Any, AbstractContextManager[Any], Callable[[Any], Any]]:
    """Return the target as an array of CuPy, its device, and what brings arrays to its library."""
    target = problem.target
    if problem.kind != "tensor":
        return target, target.device, lambda array: array
    import cupy
    import torch

    from sparseopt_cupy.tensors import as_array, current_stream

    array = as_array(target.resolve_conj().resolve_neg())
    return (
        array,
        current_stream(target, "factorizing"),
        lambda found: torch.from_dlpack(cupy.ascontiguousarray(found)),
    )


def _require_memory(problem: so.ButterflyFactorization, standard: Standard, target: Any) -> None:
    entries = standard.rows * standard.columns
    if standard.levels:
        first = standard.levels[0]
        left = entries * first.rank // first.b
        entries = 2 * left if target.flags.c_contiguous and standard.is_whole else entries + left
    lacking = memory_lacking((entries + problem.architecture.nnz) * problem.dtype.itemsize)
    if lacking:
        raise so.Inconclusive(f"{lacking}; split the target into blocks, or take float32")


def _matrix(target: Any, standard: Standard) -> Any:
    """Return the standard matrix with contiguous rows, the target itself if it is that."""
    import cupy

    if standard.is_whole:
        return cupy.ascontiguousarray(target)
    outer, inner = standard.outer, standard.inner
    grid = target.reshape(outer, standard.rows, inner, outer, -1, inner)
    own = cupy.einsum("armawm->ramw", grid)
    return cupy.ascontiguousarray(own.reshape(standard.rows, standard.columns))


def _peel(levels: Sequence[Level], rest: Any, dtype: str) -> tuple[list[Any], Any]:
    """Return U (d, groups, b, r) of the first level, or of both, and what is left of the rest."""
    level = levels[0]
    if _are_twins(levels):
        found = _twice(level, rest, dtype)
        if found is not None:
            return found
    if level.rank == 1:
        found = _once(level, rest, dtype)
        if found is not None:
            return found
    return _by_svd(level, rest)


def _are_twins(levels: Sequence[Level]) -> bool:
    """Whether two levels in a row have blocks of two rows and rank 1, halved from one to the
    next."""
    if len(levels) < 2:
        return False
    one, two = levels
    pairs = one.b == two.b == 2 and one.rank == two.rank == 1
    halved = (two.c, two.d, two.groups) == (one.c / 2, one.d / 2, 2 * one.groups)
    return pairs and halved


def _twice(level: Level, rest: Any, dtype: str) -> tuple[list[Any], Any] | None:
    """Run two levels in one launch; None if a row of a block does not fit into registers."""
    import cupy

    c, d, groups = level.c, level.d, level.groups
    try:
        launches = kernel_table.rank_one_twice(c, d, groups, dtype)
    except ValueError:
        return None
    left = cupy.empty((d, groups, 2, 1), dtype)
    after = cupy.empty((d // 2, 2 * groups, 2, 1), dtype)
    less = cupy.empty((d // 2, groups * c), dtype)
    launch_all(launches, {"source": rest, "left": left, "next": after, "rest": less})
    return [left, after], less


def _once(level: Level, rest: Any, dtype: str) -> tuple[list[Any], Any] | None:
    """Run one level of rank 1 in one launch; None if its blocks are too wide."""
    import cupy

    b, c, d, groups = level.b, level.c, level.d, level.groups
    try:
        launches = kernel_table.rank_one(b, c, d, groups, dtype)
    except ValueError:
        return None
    left, less = cupy.empty((d, groups, b, 1), dtype), cupy.empty((d, groups * c), dtype)
    arrays = {"source": rest, "left": left, "rest": less}
    if b != 2:
        arrays["slow"] = cupy.zeros((d, groups), "int32")
    launch_all(launches, arrays)
    if b != 2:
        _finish(level, arrays)
    return [left], less


def _finish(level: Level, arrays: dict[str, Any]) -> None:
    """Take the eigenvectors of the Gram matrices where the power iteration was slow."""
    import cupy

    (places,) = cupy.nonzero(arrays["slow"].reshape(-1))
    if not places.size:
        return
    b, c = level.b, level.c
    grid = arrays["source"].reshape(b, level.d, level.groups, c).transpose(1, 2, 0, 3)
    blocks = grid.reshape(-1, b, c)[places]
    u = cupy.linalg.eigh(blocks @ blocks.conj().transpose(0, 2, 1))[1][:, :, -1]
    arrays["left"].reshape(-1, b)[places] = u
    arrays["rest"].reshape(-1, c)[places] = (u.conj()[:, None, :] @ blocks)[:, 0, :]


def _by_svd(level: Level, rest: Any) -> tuple[list[Any], Any]:
    """Run one level of any rank by the batched SVD."""
    import cupy

    b, c, d, groups = level.b, level.c, level.d, level.groups
    blocks = rest.reshape(b, d, groups, c).transpose(1, 2, 0, 3)
    u = cupy.linalg.svd(cupy.ascontiguousarray(blocks), full_matrices=False)[0][..., : level.rank]
    w = u.conj().transpose(0, 1, 3, 2) @ blocks
    less = cupy.ascontiguousarray(w.transpose(2, 0, 1, 3)).reshape(level.rank * d, groups * c)
    return [cupy.ascontiguousarray(u)], less
