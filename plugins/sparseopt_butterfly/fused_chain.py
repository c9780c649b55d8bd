"""The compiled method of multiplication that `KroneckerProduct.accelerated` adds to the plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt_butterfly.fused_costs import COEFFICIENTS
from sparseopt_butterfly.fused_kernels import VECTOR, blocks, vector
from sparseopt_butterfly.multiplication import merged_pattern, merged_values

Run = tuple[tuple[KroneckerPattern, ...], tuple[np.ndarray, ...]]
Work = Callable[..., np.ndarray]

# Rows of a block, and bytes of its workspace, which should stay in the first caches.
LARGEST = 64
WORKSPACE = 2**15


class FusedChain:
    """Runs of factors with square blocks of 2 or 4 rows, compiled, several in one pass.

    Neighbours with blocks of 2 rows are merged in pairs: that costs no operation, since 4 x 4
    blocks of one factor have as many values as 2 x 2 blocks of two. See `fused_kernels`.
    """

    name = "fused"

    def microseconds(
        self, patterns: Sequence[KroneckerPattern], batch: int, dtype: np.dtype
    ) -> float | None:
        """Return the predicted time of a run of factors, or None if it cannot be fused."""
        counts = self.counts(patterns, batch, dtype)
        if counts is None:
            return None
        kind = "complex" if dtype.kind == "c" else "real"
        weights = COEFFICIENTS[kind, "one" if batch == 1 else "many"]
        return sum(weight * count for weight, count in zip(weights, counts, strict=True))

    def counts(
        self, patterns: Sequence[KroneckerPattern], batch: int, dtype: np.dtype
    ) -> tuple[float, ...] | None:
        """Return what the predicted time of a run is linear in, or None if it cannot be fused.

        Calls, blocks, KiB of values, of operand and result, of vector operations, of operand and
        result beyond 1 MiB, and of the last columns if they do not fill a vector. For a batch of
        1, blocks are those of factors too short for vectors, d < 8.
        """
        whole = whole_of(patterns)
        if whole is None or (whole.b > LARGEST and batch > 1):
            return None
        n, size = whole.shape[0], dtype.itemsize
        twos = sum(p.b == 2 for p in patterns)
        passes = len(patterns) - twos + (twos + 1) // 2
        values = 4 * n * passes * size / 1024
        vectors = 2 * n * batch * size / 1024
        if batch == 1:
            short = n / 4 * sum(p.b / 4 for p in patterns if p.d < 8)
            return 1.0, short, values, vectors, 0.0, 0.0, 0.0
        filled = -(-batch * size // VECTOR) * VECTOR
        work = 4 * n * passes * filled / 1024
        rest = n * VECTOR / 1024 if filled > batch * size else 0.0
        return 1.0, n * passes / 4, values, vectors, work, max(0.0, vectors - 1024), rest

    def prepare(
        self,
        factors: Sequence[np.ndarray],
        patterns: Sequence[KroneckerPattern],
        batch: int,
        dtype: np.dtype,
    ) -> Work:
        """Return the function of an operand (n, batch), contiguous, that applies the run.

        With ``overwrite=True`` the result takes the operand's place. One for a batch of 1 takes
        only vectors; any other takes any number of columns.
        """
        whole = whole_of(patterns)
        assert whole is not None
        merged_patterns, merged = _paired(patterns, factors)
        sizes = [(p.b, p.a, p.d) for p in reversed(merged_patterns)]
        if batch == 1:
            flat = [np.ascontiguousarray(v, dtype=dtype).ravel() for v in reversed(merged)]
            return partial(_times_vector, np.concatenate(flat), np.array(sizes))
        packed = []
        for p, values in zip(reversed(merged_patterns), reversed(merged), strict=True):
            inner = p.a // whole.a, p.d // whole.d
            split = values.reshape(whole.a, inner[0], p.b, p.b, inner[1], whole.d)
            packed.append(split.transpose(0, 5, 1, 4, 2, 3).reshape(whole.a * whole.d, -1))
        joined = np.ascontiguousarray(np.concatenate(packed, axis=1), dtype=dtype).ravel()
        levels = np.array([(w, a // whole.a, d // whole.d) for w, a, d in sizes])
        real = np.empty(0, dtype=dtype).real.dtype
        return partial(_times_matrix, joined, levels, whole, real)


def whole_of(patterns: Sequence[KroneckerPattern]) -> KroneckerPattern | None:
    """Return the pattern of a run's product if every factor splits its blocks, else None."""
    if any(p.b != p.c or p.b not in (2, 4) for p in patterns):
        return None
    whole = patterns[0]
    for pattern in patterns[1:]:
        product = merged_pattern(whole, pattern)
        if product is None:
            return None
        whole = product
    if any(p.a % whole.a or p.d % whole.d for p in patterns):
        return None
    return whole if whole.b == whole.c else None


def _paired(patterns: Sequence[KroneckerPattern], factors: Sequence[np.ndarray]) -> Run:
    """Return the run with neighbours of blocks of 2 rows merged in pairs."""
    left, done = list(zip(patterns, factors, strict=True)), []
    while left:
        pattern, values = left.pop(0)
        both = pair_of(pattern, left[0][0]) if left else None
        if both is not None:
            following = left.pop(0)
            values = merged_values(values, following[1], pattern, following[0])
            pattern = both
        done.append((pattern, values))
    return tuple(p for p, _ in done), tuple(v for _, v in done)


def pair_of(left: KroneckerPattern, right: KroneckerPattern) -> KroneckerPattern | None:
    """Return the pattern of two neighbours that are merged, None if they are not."""
    both = merged_pattern(left, right) if left.b == right.b == 2 else None
    return both if both is not None and both.b == both.c == 4 else None


def _times_vector(
    values: np.ndarray, levels: np.ndarray, x: np.ndarray, overwrite: bool = False
) -> np.ndarray:
    """Return a chain times a column (n, 1)."""
    x = _writable(x)
    y = x if overwrite else np.empty_like(x)
    vector(values, levels, x.reshape(-1), y.reshape(-1))
    return y


def _times_matrix(
    values: np.ndarray,
    levels: np.ndarray,
    whole: KroneckerPattern,
    real: np.dtype,
    x: np.ndarray,
    overwrite: bool = False,
) -> np.ndarray:
    """Return a run of factors times a matrix (n, batch)."""
    x = _writable(x)
    y = x if overwrite else np.empty_like(x)
    a, size, _, d = whole
    wide = WORKSPACE // (size * VECTOR)
    work = np.empty((wide + 1) * size * (VECTOR // real.itemsize), dtype=real)
    blocks(values, levels, a, size, d, wide, x.view(real), y.view(real), work)
    return y


def _writable(x: np.ndarray) -> np.ndarray:
    """Return a copy of a read-only array: numba would compile once more for that type."""
    return x if x.flags.writeable else x.copy()
