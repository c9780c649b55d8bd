"""Which neighbouring factors a torch layer multiplies with each other before it applies them.

Merged factors are fewer, so fewer passes over the operand are made, but they hold more values and
must be merged anew at each call, since the factors are what is trained. A dynamic program over the
cuts of the chain finds the groups of least predicted time.
"""

from __future__ import annotations

import math

import sparseopt as so
from sparseopt.interface.arrays import as_count
from sparseopt_butterfly.multiplication import merged_pattern

# Microseconds of forward and backward, float32, one thread, by ``benchmarks/butterfly_linear.py
# --calibrate``: per factor applied, per block, per KiB of values, per KiB of operand and result,
# per 2^20 multiplications; per merge, per KiB merged. Half of the predictions are within 0.5 to
# 1.1 of the measured time.
_APPLY = (78.0, 0.07, 0.39, 0.28, 62.0)
_MERGE = (115.0, 3.4)
_FLOAT = 4 / 1024


def choose_merging(architecture: so.Architecture, batch: int) -> tuple[int, ...]:
    """Return how many neighbours to merge before each step, from the first factor to the last.

    Parameters
    ----------
    architecture : Architecture
        Neighbours that have no Kronecker-sparse product are never merged.
    batch : int
        Number of operands at a time.

    Examples
    --------
    >>> import sparseopt as so
    >>> from sparseopt_butterfly.merging import choose_merging
    >>> choose_merging(so.Architecture.monarch(64, 64, 8, 8), 32)
    (1, 1)
    >>> len(choose_merging(so.Architecture.square_dyadic(1024), 128)) < 10
    True
    """
    as_count(batch, "batch")
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    best += [(math.inf, ())] * len(architecture)
    for first in range(len(architecture)):
        pattern, merges = architecture[first], 0.0
        for last in range(first + 1, len(architecture) + 1):
            total = best[first][0] + merges + _apply(pattern, batch)
            if total < best[last][0]:
                best[last] = total, (*best[first][1], last - first)
            if last == len(architecture):
                break
            whole = merged_pattern(pattern, architecture[last])
            if whole is None:
                break
            pattern = whole
            merges += _MERGE[0] + _MERGE[1] * pattern.nnz * _FLOAT
    return best[-1][1]


def _apply(pattern: so.KroneckerPattern, batch: int) -> float:
    """Return the predicted time of one factor, already merged."""
    rows, columns = pattern.shape
    counts = (
        1.0,
        pattern.a * pattern.d,
        pattern.nnz * _FLOAT,
        (rows + columns) * batch * _FLOAT,
        pattern.nnz * batch / 2**20,
    )
    return sum(weight * count for weight, count in zip(_APPLY, counts, strict=True))
