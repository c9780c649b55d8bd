"""How many additions make a point with product zero onto, and which: as many as it lacks.

At a point (X, Y) with X Y = 0 on the cells the image of X', Y' -> X Y' + X' Y may lack some
dimensions (`null_points`). An entry more in J, (k, j), gives the unknown Y'[k, j] and with it the
matrix that is x_k in column j and 0 elsewhere; one more in I, (i, k), the matrix that is y_k in row
i. The point stays as it is. So an entry lowers what is lacking by one if a functional on the cells
that vanishes on the image does not vanish on that matrix, unless it covers a cell that was not
covered before. Sets of entries whose matrices are independent modulo the image are those of a
matroid: taking entries in the order of their costs gives the cheapest additions for this point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparseopt.closedness.proofs.observed import ObservedProblem, start
from sparseopt.closedness.proofs.reductions import is_submersion
from sparseopt_closedness.null_points import NearPoint, Pair

PRIME = 1_048_573
"""Below 2^20: sums of up to 2^13 products of residues are exact in double precision."""
PANEL = 64
"""Rows that are cleared from those below by one matrix product."""


def with_additions(
    given: Pair, near: NearPoint, costs: Sequence[np.ndarray] | None, rng: np.random.Generator
) -> tuple[Pair, list[Any]] | None:
    """Return supports with entries added, and the proof that they are closed, or None.

    Parameters
    ----------
    given : two bool arrays
        The supports that the point is of.
    near : NearPoint
    costs : sequence of two float arrays, optional
        What an entry of I and of J costs.
    rng : numpy Generator
        Chooses between entries of equal costs.
    """
    side = near.side
    at_rows, at_columns = _gains(side, *near.point)
    prices = [np.zeros(s.shape) for s in given] if costs is None else list(costs)
    if near.turned:
        prices = [prices[1].T, prices[0].T]
    origin = list(side.origin)
    order = rng.permutation(len(at_rows[1]) + len(at_columns[1]))
    price = np.concatenate(
        [
            prices[0][at_rows[1][:, 0], [origin[k] for k in at_rows[1][:, 1]]],
            prices[1][[origin[k] for k in at_columns[1][:, 0]], at_columns[1][:, 1]],
        ]
    )
    order = order[np.argsort(price[order], kind="stable")]
    chosen = _independent(np.hstack([at_rows[0], at_columns[0]])[:, order])
    if chosen is None:
        return None
    left, right = (np.array(s) for s in (given if not near.turned else (given[1].T, given[0].T)))
    for c in order[chosen].tolist():
        if c < len(at_rows[1]):
            i, k = at_rows[1][c]
            left[i, origin[k]] = True
        else:
            k, j = at_columns[1][c - len(at_rows[1])]
            right[origin[k], j] = True
    pair = (right.T, left.T) if near.turned else (left, right)
    state = start(*pair)
    x, y = near.point
    new = state.transposed if near.turned else state
    if new.left.shape != side.left.shape or not is_submersion(new, x, y):
        return None
    return pair, NearPoint(new, near.turned, near.plan, near.point, 0).proof()


Gains = tuple[np.ndarray, np.ndarray]
"""What functionals say of the matrices of entries, one a column, and the entries."""


def _gains(side: ObservedProblem, x: np.ndarray, y: np.ndarray) -> tuple[Gains, Gains]:
    """Return for entries of I and of J that cover no new cell what lacking functionals say."""
    missing = _functionals(side, x, y)
    d, m, n = missing.shape
    far = (~side.observed).astype(int)
    in_left = np.argwhere(~side.left & (y != 0).any(axis=1) & (far @ side.right.T.astype(int) == 0))
    of_rows = ((missing.reshape(d * m, n) @ y.T.astype(float)) % PRIME).reshape(d, m, -1)
    in_right = np.argwhere(
        ~side.right & (x != 0).any(axis=0)[:, None] & (side.left.T.astype(int) @ far == 0)
    )
    of_columns = np.matmul(missing.transpose(0, 2, 1), x.astype(float)) % PRIME
    return (
        (of_rows[:, in_left[:, 0], in_left[:, 1]], in_left),
        (of_columns[:, in_right[:, 1], in_right[:, 0]], in_right),
    )


def _functionals(side: ObservedProblem, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return functionals on the cells that vanish on the image, independent, shape (d, m, n)."""
    (m, r), n = side.left.shape, side.right.shape[1]
    unknowns = np.flatnonzero(side.left & (y != 0).any(axis=1)[None])
    columns, vectors, blocks = [], [], []
    for j in np.flatnonzero(side.observed.any(axis=0)).tolist():
        rows = np.flatnonzero(side.observed[:, j])
        found = _null_rows(x[np.ix_(rows, np.flatnonzero(side.right[:, j]))])
        null = np.zeros((len(found), m))
        null[:, rows] = found
        columns += [j] * len(null)
        vectors.append(null)
        products = null[:, :, None] * y[None, None, :, j] % PRIME
        blocks.append(products.reshape(len(null), m * r)[:, unknowns])
    combined = _null_rows(np.vstack(blocks))
    along = np.array(columns, dtype=int)
    basis = np.vstack(vectors)
    result = np.zeros((len(combined), m, n))
    for j in np.unique(along).tolist():
        here = along == j
        result[:, :, j] = combined[:, here] @ basis[here] % PRIME
    return result


def _null_rows(matrix: np.ndarray) -> np.ndarray:
    """Return a basis of the vectors v with v @ matrix = 0, modulo the prime."""
    height, width = matrix.shape
    work = np.hstack([np.asarray(matrix, dtype=float) % PRIME, np.eye(height)])
    found = []
    while len(work):
        top, work = work[:PANEL], work[PANEL:]
        pivots: dict[int, int] = {}
        for i in range(len(top)):
            places = np.flatnonzero(top[i, :width])
            if not len(places):
                found.append(top[i, width:])
                continue
            pivots[i] = int(places[0])
            _clear(top, i, pivots[i])
        held = sorted(pivots)
        work = (work - work[:, [pivots[i] for i in held]] @ top[held]) % PRIME
    return np.array(found).reshape(-1, height)


def _clear(rows: np.ndarray, i: int, column: int) -> None:
    """Make an entry 1 and the others of its column 0, in place."""
    rows[i] = rows[i] * pow(int(rows[i, column]), -1, PRIME) % PRIME
    others = rows[:, column].copy()
    others[i] = 0.0
    rows -= np.outer(others, rows[i])
    rows %= PRIME


def _independent(gains: np.ndarray) -> list[int] | None:
    """Return the first columns that are independent, as many as there are rows, or None."""
    alive, chosen = gains % PRIME, list[int]()
    for column in range(gains.shape[1]):
        if not len(alive):
            break
        places = np.flatnonzero(alive[:, column])
        if len(places):
            _clear(alive, int(places[0]), column)
            alive = np.delete(alive, places[0], axis=0)
            chosen.append(column)
    return None if len(alive) else chosen
