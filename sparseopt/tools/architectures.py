"""Every non-redundant chainable architecture of a shape, under a rank or parameter budget.

A non-redundant chainable architecture whose products have full support (a = d = 1) is given by
ordered factorizations m = q_1 ... q_L, n = p_1 ... p_L and ranks r_1 .. r_{L-1} (r_0 = r_L = 1)
with r_l < min(q_l r_{l-1}, p_{l+1} r_{l+1}): pattern l is

    (p_1 ... p_{l-1},  q_l r_{l-1},  p_l r_l,  q_{l+1} ... q_L).

Proof. Chainability makes a_l divide a_{l+1} and d_{l+1} divide d_l; call the quotients p_l and
q_{l+1}. The rank r_l = a_l c_l / a_{l+1} = b_{l+1} d_{l+1} / d_l gives c_l = p_l r_l and
b_{l+1} = q_{l+1} r_l. The sizes follow from a_1 = d_L = 1, and r_l < min(b_l, c_{l+1}) is
non-redundancy. Conversely these patterns satisfy every condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sparseopt.butterfly.architecture import Architecture
from sparseopt.interface.arrays import as_count


@dataclass(frozen=True)
class _Budget:
    max_rank: int
    max_nnz: float
    max_length: float


def architectures(
    m: int,
    n: int,
    *,
    max_rank: int = 1,
    max_nnz: int | None = None,
    max_length: int | None = None,
) -> Iterator[Architecture]:
    """Yield every non-redundant chainable architecture for full m x n products, lazily.

    Parameters
    ----------
    m, n : int
        Rows and columns of the products.
    max_rank : int
        Largest rank allowed at any cut.
    max_nnz : int or None
        Largest number of parameters.
    max_length : int or None
        Largest number of patterns.

    Yields
    ------
    Architecture
        In a fixed order; their number grows as the square of the number of ordered
        factorizations of m and n (184756 for m = n = 1024 and rank 1).

    Examples
    --------
    >>> from sparseopt.tools.architectures import architectures
    >>> [str(found) for found in architectures(4, 3)]
    ['(1, 4, 3, 1)', '(1, 2, 1, 2) (1, 2, 3, 1)', '(1, 4, 1, 1) (1, 1, 3, 1)']
    """
    m, n, max_rank = as_count(m, "m"), as_count(n, "n"), as_count(max_rank, "max_rank")
    budget = _Budget(
        max_rank,
        float("inf") if max_nnz is None else max_nnz,
        float("inf") if max_length is None else max_length,
    )
    yield from (Architecture(found) for found in _continue((), 1, m, n, 1, budget))


def _continue(
    patterns: tuple[tuple[int, int, int, int], ...],
    a: int,
    m: int,
    n: int,
    rank: int,
    budget: _Budget,
) -> Iterator[tuple[tuple[int, int, int, int], ...]]:
    """Extend `patterns`: a is p_1 ... p_{l-1}; m and n are the sizes left to factor, rank is
    r_{l-1}."""
    if len(patterns) >= budget.max_length:
        return
    # The last pattern takes all that is left; its rank towards the right is 1.
    if not patterns or rank < n:
        last = (a, m * rank, n, 1)
        if a * m * rank * n <= budget.max_nnz:
            yield (*patterns, last)
    for q in _divisors(m):
        for p in _divisors(n):
            for r in range(1, min(budget.max_rank, q * rank - 1) + 1):
                if patterns and rank >= p * r:
                    continue
                cost = a * q * rank * p * r * (m // q)
                if cost >= budget.max_nnz:
                    break
                rest = _Budget(budget.max_rank, budget.max_nnz - cost, budget.max_length)
                step = (a, q * rank, p * r, m // q)
                yield from _continue((*patterns, step), a * p, m // q, n // p, r, rest)


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]
