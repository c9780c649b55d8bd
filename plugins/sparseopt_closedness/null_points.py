"""Supports whose products are everything on their cells, shown at a point with product zero.

Where X Y = 0 on the cells and X' -> X Y' + X' Y is onto, all matrices on the cells are products
(`Submersion`). Two kinds of points are drawn, with random entries:

- mixed: the terms in S have x, the others have y, so that every product is zero at once;
- merged: terms in pairs k, l with x_k = x_l on their common rows, y_k = -y_l on their common
  columns, whose products cancel; all others have x.

Nothing is onto where u X = 0 and Y v = 0 with u_i v_j not 0 on a cell, so x (or y) must span all
rows (columns): with a pairs, r - a >= m. Which terms have what is chosen by the number of unknowns
that they supply: the images have no more dimensions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.closedness.proofs.observed import ObservedProblem, start
from sparseopt.closedness.proofs.reductions import functionals_on
from sparseopt.judging.exact import rank_modulo

LARGEST = 1000
Pair = tuple[np.ndarray, np.ndarray]
Point = tuple[np.ndarray, np.ndarray]
Plan = tuple[list[int], list[tuple[int, int]]]
"""The terms that have y, and the merged pairs; the others have x."""


@dataclass(frozen=True, eq=False)
class NearPoint:
    """A point where the product is zero, and by how many dimensions it fails to be onto there.

    Parameters
    ----------
    side : ObservedProblem
        The supports, transposed if `turned`.
    turned : bool
    plan : tuple
        As in `Plan`.
    point : two int arrays
        X and Y of `side`.
    lacking : int
        0 where it is onto.
    seconds : float
        How long a point takes on this machine, as predicted or as measured, if that is longer.
    """

    side: ObservedProblem
    turned: bool
    plan: Plan
    point: Point
    lacking: int
    seconds: float = 0.0

    def proof(self) -> list[Any]:
        """Return the proof that the supports are closed, where nothing is lacking."""
        x, y = (self.point[1].T, self.point[0].T) if self.turned else self.point
        terms = list(range(x.shape[1]))
        return ["free", terms, ["submersion", _entries(x), _entries(y)], ["components", []]]


def null_point_proof(
    pair: Pair, rng: np.random.Generator, left: Callable[[], float], exchanging: float = 1.0
) -> list[Any] | None:
    """Return a proof that a pair is closed, for `ReducedClosedCertificate`, or None.

    Parameters
    ----------
    pair : two bool arrays
    rng : numpy Generator
    left : callable
        Seconds that are left; no point is begun that may take longer with its check.
    exchanging : float
        Seconds at most for exchanges, where a point lacks little.
    """
    found = nearest_point(pair, rng, left, exchanging)
    return found.proof() if found is not None and found.lacking == 0 else None


def nearest_point(
    pair: Pair,
    rng: np.random.Generator,
    left: Callable[[], float],
    exchanging: float = 1.0,
    short: float = 0.0,
) -> NearPoint | None:
    """Return the point that lacks least, of those for which there is time, or None.

    Parameters are those of `null_point_proof`, and

    short : float
        Share of the cells by which the unknowns of a point may be too few; then it lacks some.
    """
    state = start(*pair)
    nearest: NearPoint | None = None
    seconds = 0.0
    for turned in (False, True):
        side = state.transposed if turned else state
        for plan in _plans(side, short):
            seconds = max(seconds, _seconds(side))
            if left() <= seconds:
                return nearest
            began = time.monotonic()
            point = _point(side, plan, rng)
            lacking = _deficiency(side, *point)
            seconds = max(seconds, time.monotonic() - began)
            if nearest is None or lacking < nearest.lacking:
                nearest = NearPoint(side, turned, plan, point, lacking, seconds)
            if lacking == 0:
                return nearest
    if nearest is None:
        return None
    cells = int(nearest.side.observed.sum())
    if cells < FEWEST_CELLS or nearest.lacking > max(MOST_LACKING, 2.0 * short) * cells:
        return nearest
    end = left() - exchanging
    return _exchanged(nearest, rng, lambda: min(left(), left() - end))


FEWEST_CELLS = 100
"""Below, other solvers of closedness draw points too, and more besides."""
MOST_LACKING = 0.1
"""Share of the cells that a point may lack for its plan to be improved by exchanges."""


def may_have_point(pair: Pair, short: float = 0.0) -> bool:
    """Return whether the unknowns of some point are as many as the cells, but for a share."""
    state = start(*pair)
    return any(True for side in (state, state.transposed) for _ in _plans(side, short))


def _deficiency(side: ObservedProblem, x: np.ndarray, y: np.ndarray) -> int:
    matrix = functionals_on(side, x, y)
    return len(matrix) - rank_modulo(matrix)


def seconds_of(m: int, r: int, n: int) -> float:
    """Predict the seconds of one point with its check, roughly."""
    return 0.01 + 1.2e-7 * float(m * n) * max(m, n) * r


def _seconds(side: ObservedProblem) -> float:
    (m, r), n = side.left.shape, side.right.shape[1]
    return seconds_of(m, r, n)


def _entries(matrix: np.ndarray) -> list[list[int]]:
    return [[int(i), int(k), int(matrix[i, k])] for i, k in np.argwhere(matrix)]


def _exchanged(
    nearest: NearPoint, rng: np.random.Generator, left: Callable[[], float]
) -> NearPoint:
    """Change the plan at random where that does not make the deficiency grow."""
    side, tries = nearest.side, 0
    while nearest.lacking and left() > nearest.seconds and tries < 200 + 100 * nearest.lacking:
        tries += 1
        off, pairs = list(nearest.plan[0]), list(nearest.plan[1])
        for _ in range(int(rng.integers(1, 3))):
            _change(off, pairs, len(side.origin), rng)
        if not _may_span(side, (off, pairs)):
            continue
        point = _point(side, (off, pairs), rng)
        lacking = _deficiency(side, *point)
        if lacking < nearest.lacking:
            tries = 0
        if lacking <= nearest.lacking:
            plan = (off, pairs)
            nearest = NearPoint(side, nearest.turned, plan, point, lacking, nearest.seconds)
    return nearest


def _may_span(side: ObservedProblem, plan: Plan) -> bool:
    """Return whether x may span all rows, or y all columns; otherwise nothing is onto."""
    spanned = len(plan[0]) + len(plan[1])
    rows, columns = int(side.left.any(axis=1).sum()), int(side.right.any(axis=0).sum())
    return len(side.origin) - spanned >= rows or spanned >= columns


def _change(off: list[int], pairs: list[tuple[int, int]], r: int, rng: np.random.Generator) -> None:
    """Exchange partners, pair two terms, part a pair, or move a term off or back."""
    paired = {k for pair in pairs for k in pair}
    alone = [k for k in range(r) if k not in paired and k not in off]
    kind = int(rng.integers(5))
    if kind == 0 and len(pairs) >= 2:
        p, q = rng.choice(len(pairs), 2, replace=False).tolist()
        (a, b), (c, d) = pairs[p], pairs[q]
        pairs[p], pairs[q] = (a, d), (c, b)
    elif kind == 1 and pairs and alone:
        p = int(rng.integers(len(pairs)))
        pairs[p] = (pairs[p][int(rng.integers(2))], int(rng.choice(alone)))
    elif kind == 2 and len(alone) >= 2:
        k, ell = rng.choice(alone, 2, replace=False).tolist()
        pairs.append((k, ell))
    elif kind == 3 and pairs:
        pairs.pop(int(rng.integers(len(pairs))))
    elif off and rng.random() < 0.5:
        off.pop(int(rng.integers(len(off))))
    elif alone:
        off.append(int(rng.choice(alone)))


def _plans(side: ObservedProblem, short: float = 0.0) -> Iterator[Plan]:
    """Yield which terms have y, and which are paired, where the counts allow a point."""
    cells = (1.0 - short) * int(side.observed.sum())
    heights, widths = side.left.sum(axis=0), side.right.sum(axis=1)
    r = len(side.origin)
    if int(np.maximum(heights, widths).sum()) >= cells:
        base = _off(side)
        if base is not None:
            for more in (0, 1, 2, 4):
                yield _grown(side, base, more), []
    most = min(r - int(side.left.any(axis=1).sum()), r // 2)
    if most <= 0:
        return
    pairs = _pairs(side)
    gains = np.array([gain for gain, _ in pairs])
    for share in (0.9, 0.95, 0.7, 0.85, 1.0, 0.5):
        a = max(1, round(share * most))
        supplied = int(widths.sum()) + int(gains[:a].sum())
        if a <= len(pairs) and supplied >= cells:
            yield [], [pair for _, pair in pairs[:a]]


def _off(side: ObservedProblem) -> list[int] | None:
    """Return terms to have y, chosen greedily until their unknowns suffice for what is missing."""
    need = side.observed.sum(axis=0)
    have = side.right.sum(axis=0)
    heights = side.left.sum(axis=0)
    off: list[int] = []
    while True:
        missing = np.maximum(need - have, 0).sum()
        if missing <= heights[off].sum():
            return off
        rest = [k for k in range(len(side.origin)) if k not in set(off)]
        if not rest:
            return None
        lost = np.array([int(side.right[k, have <= need].sum()) for k in rest])
        best = rest[int(np.argmax(heights[rest] - lost))]
        off.append(best)
        have = have - side.right[best]


def _grown(side: ObservedProblem, off: list[int], more: int) -> list[int]:
    heights = side.left.sum(axis=0) - side.right.sum(axis=1)
    rest = [k for k in np.argsort(-heights).tolist() if k not in set(off)]
    return [*off, *rest[:more]]


def _pairs(side: ObservedProblem) -> list[tuple[int, tuple[int, int]]]:
    """Return disjoint pairs of terms by the unknowns that merging them gains, largest first."""
    rows = side.left.T.astype(int)
    columns = side.right.astype(int)
    shared_rows, shared_columns = rows @ rows.T, columns @ columns.T
    tall = rows.sum(axis=1)
    gain = tall[:, None] + tall[None] - shared_rows - shared_columns
    useful = (shared_rows > 0) & (shared_columns > 0)
    first, second = np.triu_indices(len(rows), 1)
    order = np.argsort(-gain[first, second], kind="stable")
    used: set[int] = set()
    found = []
    for p in order.tolist():
        k, ell = int(first[p]), int(second[p])
        if k not in used and ell not in used and useful[k, ell]:
            used.update((k, ell))
            found.append((int(gain[k, ell]), (k, ell)))
    return found


def _drawn(support: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return random nonzero integers on a support."""
    values = rng.integers(1, LARGEST + 1, support.shape) * rng.choice([-1, 1], support.shape)
    return np.asarray(np.where(support, values, 0))


def _point(side: ObservedProblem, plan: Plan, rng: np.random.Generator) -> Point:
    off, pairs = plan
    x, y = _drawn(side.left, rng), np.zeros(side.right.shape, dtype=np.int64)
    x[:, off] = 0
    y[off] = _drawn(side.right[off], rng)
    for k, ell in pairs:
        both = side.left[:, k] & side.left[:, ell]
        x[:, k] = x[:, ell] = np.where(both, x[:, k], 0)
        across = _drawn(side.right[k] & side.right[ell], rng)
        y[k], y[ell] = across, -across
    return x, y
