"""Architectures for the weights of a model: what each size costs in error, and who gets how much.

Beside the chains that `sparseopt.butterfly.architecture_front` searches, whose ranks are small,
two patterns of any rank are candidates: low-rank matrices and block low-rank ones. Of two patterns
the proven error is the least one, and one decomposition of all blocks gives it for every rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.butterfly.splitting import to_blocks
from sparseopt.tools.selection import architecture_front

_MOST_SUMS = 4096


@dataclass(frozen=True, order=True)
class Candidate:
    """An architecture for a weight: its number of parameters and its proven Frobenius error."""

    nnz: int
    error: float
    patterns: tuple[tuple[int, int, int, int], ...]

    @property
    def architecture(self) -> so.Architecture:
        """The patterns as an architecture."""
        return so.Architecture(self.patterns)

    @property
    def structure(self) -> tuple[int, ...]:
        """What candidates have in common that differ in ranks only: all a and d."""
        return tuple(number for a, _, _, d in self.patterns for number in (a, d))


def candidates_of(weight: np.ndarray, max_nnz: int, max_rank: int) -> list[Candidate]:
    """Return architectures with at most `max_nnz` parameters, by number of parameters.

    Parameters
    ----------
    weight : array (m, n)
        Finite and not empty.
    max_nnz, max_rank : int
        The rank limits chains of three patterns and more.

    Returns
    -------
    list of Candidate
        All chains of two patterns, and of the other ones those that no other one beats; empty if
        nothing fits.
    """
    found = set(_two_patterns(weight, max_nnz))
    try:
        for choice in architecture_front(weight, max_nnz, max_rank):
            patterns = tuple((p.a, p.b, p.c, p.d) for p in choice.architecture)
            if len(patterns) != 2:  # those are there already
                found.add(Candidate(choice.architecture.nnz, choice.upper_bound, patterns))
    except so.ProblemError:
        if found:  # the smallest chains have two patterns: without them nothing fits
            raise
    return sorted(found)


def front_of(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates that no other one beats, fewest parameters first.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt_butterfly.layer_choice import candidates_of, front_of
    >>> [str(c.architecture) for c in front_of(candidates_of(np.ones((6, 6)), 36, 2))]
    ['(1, 6, 1, 1) (1, 1, 6, 1)']
    """
    front: list[Candidate] = []
    for candidate in sorted(candidates):
        if not front or candidate.error < front[-1].error:
            front.append(candidate)
    return front


def ranked(candidates: Iterable[Candidate], max_nnz: int) -> list[Candidate]:
    """Return the best candidate of each structure within a size, least error first."""
    best: dict[tuple[int, ...], Candidate] = {}
    for candidate in candidates:
        if candidate.nnz <= max_nnz:
            known = best.get(candidate.structure, candidate)
            best[candidate.structure] = min(candidate, known, key=lambda c: (c.error, c.nnz))
    return sorted(best.values(), key=lambda c: (c.error, c.nnz, len(c.patterns), c.patterns))


def _two_patterns(weight: np.ndarray, max_nnz: int) -> list[Candidate]:
    """Return (1, q, p r, m / q), (p, r m / q, n / p, 1) for all q, p and ranks r that fit.

    The error comes from eigenvalues of Gram matrices, so errors below 1e-7 of the norm may
    be rounding; they count as 0.
    """
    m, n = weight.shape
    peak = float(np.abs(weight).max())
    scaled = weight.astype(np.complex128 if weight.dtype.kind == "c" else np.float64)
    scaled /= peak if peak else 1.0
    negligible = 1e-14 * float(np.vdot(scaled, scaled).real)
    found = []
    for q in _divisors(m):
        for p in _divisors(n):
            step = p * m + n * (m // q)
            most = min(max_nnz // step, min(q, n // p) - 1)
            if most < 1:
                continue
            tails = _tails(scaled, q, p)
            tails[tails <= negligible] = 0.0
            for r in range(1, most + 1):
                patterns = ((1, q, p * r, m // q), (p, m // q * r, n // p, 1))
                found.append(Candidate(r * step, peak * math.sqrt(tails[r]), patterns))
    return found


def _tails(weight: np.ndarray, q: int, p: int) -> np.ndarray:
    """Return, for r = 0, 1, ..., what rank r leaves of the squares of all blocks q x n / p."""
    m, n = weight.shape
    left, right = so.KroneckerPattern(1, q, p, m // q), so.KroneckerPattern(p, m // q, n // p, 1)
    blocks = to_blocks(weight.reshape(1, m, n, 1), left, right).reshape(-1, q, n // p)
    adjoint = blocks.conj().swapaxes(1, 2)
    gram = blocks @ adjoint if q <= n // p else adjoint @ blocks
    squares = np.maximum(np.linalg.eigvalsh(gram), 0.0).sum(axis=0)  # ascending
    return np.append(np.cumsum(squares)[::-1], 0.0)


def allocate(fronts: Sequence[Sequence[tuple[int, float]]], budget: int) -> list[int] | None:
    """Return one choice for each layer, sizes summing to at most `budget`, errors to the least.

    Adds one layer after the other and keeps the sums that no other one beats. If they become more
    than 4096, one is kept of each of 4096 ranges of the size: then the result is that of a budget
    smaller by at most one range per layer. Without that it is exact.

    Parameters
    ----------
    fronts : sequence of sequences of (size, error)
        Of each layer.
    budget : int

    Returns
    -------
    list of int or None
        Index of the choice in each front; None if nothing fits.

    Examples
    --------
    >>> from sparseopt_butterfly.layer_choice import allocate
    >>> allocate([[(1, 5.0), (3, 1.0)], [(2, 2.0), (4, 1.5)]], 5)
    [1, 0]
    """
    sizes, errors = np.zeros(1, dtype=np.int64), np.zeros(1)
    reserved = sum(min(size for size, _ in front) for front in fronts)
    kept: list[np.ndarray] = []
    for front in fronts:
        reserved -= min(size for size, _ in front)
        size = np.add.outer(sizes, np.array([s for s, _ in front])).ravel()
        error = np.add.outer(errors, np.array([e for _, e in front])).ravel()
        order = np.flatnonzero(size <= budget - reserved)
        order = order[np.lexsort((error[order], size[order]))]
        lowest = np.minimum.accumulate(np.append(np.inf, error[order]))
        order = order[error[order] < lowest[:-1]]
        if order.size > _MOST_SUMS:
            ranges = size[order] * _MOST_SUMS // (budget + 1)
            order = order[np.append(ranges[1:] != ranges[:-1], True)]
        if order.size == 0:
            return None
        kept.append(order)
        sizes, errors = size[order], error[order]
    chosen = []
    place = sizes.size - 1  # errors fall with the size
    for order, front in zip(reversed(kept), reversed(fronts), strict=True):
        place, choice = divmod(int(order[place]), len(front))
        chosen.append(choice)
    return chosen[::-1]


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]
