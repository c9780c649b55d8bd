"""Architectures for the weights of a model: what each size costs in error, and who gets how much.

Beside the chains that `sparseopt.butterfly.architecture_front` searches, whose ranks are small,
two patterns of any rank are candidates: low-rank matrices and block low-rank ones. Of two patterns
the proven error is the least one, and one decomposition of all blocks gives it for every rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

import sparseopt as so
from sparseopt.butterfly import ChosenArchitecture, architecture_front
from sparseopt.kronecker.splitting import to_blocks


def front_of(weight: np.ndarray, max_nnz: int, max_rank: int) -> list[ChosenArchitecture]:
    """Return the architectures with at most `max_nnz` parameters that no other one beats.

    Parameters
    ----------
    weight : array (m, n)
        Finite and not empty.
    max_nnz, max_rank : int
        The rank limits chains of three patterns and more.

    Returns
    -------
    list of ChosenArchitecture
        More parameters and a smaller error from one to the next; empty if nothing fits.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt_kronecker.layer_choice import front_of
    >>> [str(found.architecture) for found in front_of(np.ones((6, 6)), 36, 2)]
    ['(1, 6, 1, 1) (1, 1, 6, 1)']
    """
    found = _two_patterns(weight, max_nnz)
    try:
        found += architecture_front(weight, max_nnz, max_rank)
    except so.ProblemError:
        if not found:  # the smallest chains have two patterns, so then nothing fits
            return []
    front: list[ChosenArchitecture] = []
    for choice in sorted(found, key=lambda c: (c.architecture.nnz, c.upper_bound)):
        if not front or choice.upper_bound < front[-1].upper_bound:
            front.append(choice)
    return front


def _two_patterns(weight: np.ndarray, max_nnz: int) -> list[ChosenArchitecture]:
    """Return the best of (1, q, p r, m / q), (p, r m / q, n / p, 1) over all q, p and ranks r.

    The error comes from eigenvalues of Gram matrices, so errors below 1e-7 of the norm may
    be rounding; they count as 0.
    """
    m, n = weight.shape
    peak = float(np.abs(weight).max())
    scaled = weight.astype(np.complex128 if weight.dtype.kind == "c" else np.float64)
    scaled /= peak if peak else 1.0
    negligible = 1e-14 * float(np.vdot(scaled, scaled).real)
    found: list[tuple[int, float, int, int, int]] = []
    for q in _divisors(m):
        for p in _divisors(n):
            step = p * m + n * (m // q)
            most = min(max_nnz // step, min(q, n // p) - 1)
            if most >= 1:
                tails = _tails(scaled, q, p)
                tails[tails <= negligible] = 0.0
                found += [(r * step, float(tails[r]), q, p, r) for r in range(1, most + 1)]
    front = []
    best = math.inf
    for _, lost, q, p, rank in sorted(found):
        if lost < best:
            best = lost
            patterns = [(1, q, p * rank, m // q), (p, m // q * rank, n // p, 1)]
            front.append(ChosenArchitecture(so.Architecture(patterns), peak * math.sqrt(lost)))
    return front


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
    """Return one choice for each layer so that sizes sum to at most `budget`.

    Starts from the smallest choices and takes, again and again, the step along the lower convex
    hull of a front that lowers the error most per parameter. If no step is left out for want of
    room, or the budget is used up exactly, no other choice has a smaller sum: every such sum is
    one of a Lagrangian. Otherwise the room that is left is given to single layers, best first.

    Parameters
    ----------
    fronts : sequence of sequences of (size, error)
        Of each layer, sizes rising and errors falling. Errors add up.
    budget : int

    Returns
    -------
    list of int or None
        Index of the choice in each front; None if not even the smallest choices fit.

    Examples
    --------
    >>> from sparseopt_kronecker.layer_choice import allocate
    >>> allocate([[(1, 5.0), (3, 1.0)], [(2, 2.0), (4, 1.5)]], 5)
    [1, 0]
    """
    chosen = [0] * len(fronts)
    room = budget - sum(front[0][0] for front in fronts)
    if room < 0:
        return None
    steps = []
    for layer, front in enumerate(fronts):
        for one, two in pairwise(_hull(front)):
            size = front[two][0] - front[one][0]
            gain = front[one][1] - front[two][1]
            steps.append((-gain / size, layer, two, size))
    # Slopes fall along a hull, so the steps of one layer come in their order.
    blocked: set[int] = set()
    for _, layer, target, size in sorted(steps):
        if size > room:
            blocked.add(layer)
        elif layer not in blocked:
            chosen[layer] = target
            room -= size
    while True:
        options = [
            (fronts[layer][i][1] - front[k][1], layer, k)
            for layer, (i, front) in enumerate(zip(chosen, fronts, strict=True))
            for k in range(i + 1, len(front))
            if front[k][0] - front[i][0] <= room
        ]
        if not options:
            return chosen
        _, layer, k = max(options)
        room -= fronts[layer][k][0] - fronts[layer][chosen[layer]][0]
        chosen[layer] = k


def _hull(front: Sequence[tuple[int, float]]) -> list[int]:
    """Return the indices on the lower convex hull of (size, error)."""
    kept: list[int] = []
    for i, (size, error) in enumerate(front):
        while len(kept) >= 2:
            (s0, e0), (s1, e1) = front[kept[-2]], front[kept[-1]]
            if (e0 - e1) * (size - s1) > (e1 - error) * (s1 - s0):
                break
            kept.pop()
        kept.append(i)
    return kept


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]
