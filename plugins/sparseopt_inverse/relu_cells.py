"""The cells of a ReLU neuron's weights: a tree that covers them, and projections onto cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.optimize import nnls

from sparseopt import Context
from sparseopt.judging.rounding import UNIT
from sparseopt.training.activation_cover import CASES, ActivationCover, CoverMultipliers

FOLLOWS = 1e-12
"""Relative distance at which an input counts as a combination of others."""
_CHUNK = 4096
NEAR = 1e-7
"""Relative distance below which multipliers are worth another solution."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of the half space x_1 . w >= 0.

    Attributes
    ----------
    inputs : ndarray, shape (n, d)
    cover : ActivationCover
        The tree that finds them, without multipliers for a dual point.
    signs : ndarray of int8, shape (cells, n)
        1 and -1 are conditions, 2 and -2 follow from them.
    """

    inputs: np.ndarray
    cover: ActivationCover
    signs: np.ndarray
    _cones: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=dict)
    _bare: set[int] = field(default_factory=set)

    @cached_property
    def _nonzero(self) -> np.ndarray:
        return np.asarray(self.inputs.any(axis=1))

    @cached_property
    def _sizes(self) -> np.ndarray:
        return np.asarray(np.linalg.norm(self.inputs, axis=1))

    def cone(self, cell: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the inputs that cut out a cell, their signed unit rows (k, d), and their norms."""
        found = self._cones.get(cell)
        if found is None:
            conditions = np.flatnonzero((np.abs(self.signs[cell]) == 1) & self._nonzero)
            sizes = self._sizes[conditions]
            signs = self.signs[cell, conditions] / sizes
            found = conditions, self.inputs[conditions] * signs[:, None], sizes
            self._cones[cell] = found
        return found

    def facets(self, cell: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what `cone` does, and leave out from now on what follows from the rest."""
        conditions, rows, sizes = self.cone(cell)
        if cell not in self._bare:
            there = np.ones(len(rows), dtype=bool)
            for k, row in enumerate(rows):
                there[k] = False
                there[k] = not there.any() or _nnls(rows[there].T, row)[1] > FOLLOWS
            self._cones[cell] = conditions[there], rows[there], sizes[there]
            self._bare.add(cell)
        return self._cones[cell]

    def patterns(self, blocks: np.ndarray) -> np.ndarray:
        """Return the active inputs of cases of cells, bool (blocks, n)."""
        positive = self.signs[blocks // CASES] > 0
        return np.where((blocks % CASES < 2)[:, None], positive, ~positive)

    def correlations(self, point: np.ndarray) -> np.ndarray:
        """Return the vector q of each case of each cell, shape (4 cells, d)."""
        weighted = point[:, None] * self.inputs
        whole = weighted.sum(axis=0)
        part = (self.signs > 0).astype(np.float64) @ weighted
        stacked = np.stack([part, -part, whole - part, part - whole], axis=1)
        return np.asarray(stacked.reshape(-1, self.inputs.shape[1]))

    def half_spaces(self, correlations: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bound the projections of correlations onto the cells by one condition each.

        Parameters
        ----------
        correlations : ndarray, shape (4 cells, d)

        Returns
        -------
        bounds : ndarray, shape (4 cells,)
            The norm of the projection onto the half space of the condition that is violated most.
        conditions : ndarray of int, shape (4 cells,)
            The input that cuts it out.
        values : ndarray, shape (4 cells,)
            The multiplier of that input, 0 where no condition is violated.
        """
        units = self.inputs / np.where(self._sizes > 0, self._sizes, 1.0)[:, None]
        conditions = np.zeros(len(correlations), dtype=np.int64)
        violations = np.zeros(len(correlations))
        for start in range(0, len(self.signs), _CHUNK):
            signs = self.signs[start : start + _CHUNK]
            # What follows from conditions is none, and an input of zeros cuts nothing.
            signs = np.where((np.abs(signs) == 1) & self._nonzero, signs, 0).astype(np.float64)
            rows = slice(CASES * start, CASES * (start + len(signs)))
            sides = (correlations[rows] @ units.T) * np.repeat(signs, CASES, axis=0)
            conditions[rows] = sides.argmin(axis=1)
            violations[rows] = np.maximum(-sides.min(axis=1), 0.0)
        squares = np.square(correlations).sum(axis=1) - np.square(violations)
        sizes = np.where(self._sizes > 0, self._sizes, 1.0)
        return np.sqrt(np.maximum(squares, 0.0)), conditions, violations / sizes[conditions]


def find_cells(inputs: np.ndarray, context: Context, follows: float = FOLLOWS) -> Cells:
    """Go through the inputs; at each split the cells that it cuts. About 20 us a node.

    The sign of an input that is, up to a relative distance `follows`, a combination of conditions
    of a cell, is kept there: the proof pays that distance, the engine is spared a thin cell.
    """
    n = len(inputs)
    units, sizes = _whitened(inputs)
    signs = np.ones((1, 1), dtype=np.int8)
    inside = units[:1].copy()  # a point of each cell
    kinds: list[np.ndarray] = []
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    for i in range(1, n):
        level = np.zeros(len(signs), dtype=np.int8)
        other = np.zeros_like(inside)
        for node in range(len(signs)):
            if node % 1024 == 0:
                context.check_time("finding the activation patterns")
            kind, evidence = _side(units, signs[node], inside, other, node, i, follows)
            level[node] = kind
            if evidence is not None:
                members, values = evidence
                kept.append((members, values * (sizes[i] / sizes[members])))
        kinds.append(level)
        signs, inside = _next(signs, inside, other, level)
    cover = ActivationCover(
        np.concatenate(kinds) if kinds else np.zeros(0, dtype=np.int8),
        CoverMultipliers.from_rows(kept),
    )
    return Cells(inputs, cover, signs)


def _nnls(rows: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, float]:
    """Return an l >= 0 with about the least ``|rows l - x|``, and that.

    SciPy's crashes without columns, gives up after some steps, and older ones raise where columns
    nearly agree; then 0 is an l as well.
    """
    nothing = np.zeros(rows.shape[1]), float(np.linalg.norm(x))
    if not rows.shape[1]:
        return nothing
    try:
        found, residual = nnls(rows, x, maxiter=30 * rows.shape[1] + 30)
    except (RuntimeError, np.linalg.LinAlgError):
        return nothing
    return found, float(residual)


def _whitened(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows u_i and sizes c_i with ``inputs_i = c_i T u_i`` for some injective T.

    Which inputs are combinations of which does not depend on T, and so cells neither: columns of
    different scale, or that nearly agree, make no cell thin. A zero row has size 0.
    """
    peaks = np.abs(inputs).max(axis=0)
    columns = np.ldexp(inputs, -np.frexp(peaks)[1])
    lengths = np.linalg.norm(columns, axis=1)
    rows = columns / np.where(lengths > 0, lengths, 1.0)[:, None]
    u, values, _ = np.linalg.svd(rows, full_matrices=False)
    rank = max(1, int((values > 1e-12 * values[0]).sum()))
    norms = np.linalg.norm(u[:, :rank], axis=1)
    zero = lengths == 0
    units = u[:, :rank] / np.where(zero | (norms == 0), 1.0, norms)[:, None]
    units[zero] = 0.0
    return units, np.where(zero, 0.0, lengths * norms)


def in_row_space(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates of the inputs in an orthonormal basis of their row space, and the basis.

    ``inputs = coordinates @ basis.T``; the identity where the rank is full.
    """
    _, values, right = np.linalg.svd(inputs, full_matrices=False)
    rank = max(1, int((values > 1e-15 * values[0]).sum()))
    if rank == inputs.shape[1]:
        return inputs, np.eye(rank)
    basis = right[:rank].T
    return inputs @ basis, basis


def _next(
    signs: np.ndarray, inside: np.ndarray, other: np.ndarray, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    splits = np.flatnonzero(level == 0)
    new = np.where(level == 0, 1, 2 * level).astype(np.int8)
    negative = np.full(len(splits), -1, dtype=np.int8)
    signs = np.vstack([np.c_[signs, new], np.c_[signs[splits], negative]])
    return signs, np.vstack([inside, other[splits]])


def _side(
    units: np.ndarray,
    signs: np.ndarray,
    inside: np.ndarray,
    other: np.ndarray,
    node: int,
    i: int,
    follows: float,
) -> tuple[int, tuple[np.ndarray, np.ndarray] | None]:
    """Return 0 where input i cuts the cell of a node, else its sign and what it follows from.

    If it cuts, a point with positive sign is put into `inside`, one with negative into `other`.
    """
    x = units[i]
    conditions = np.flatnonzero((np.abs(signs) == 1) & units[: len(signs)].any(axis=1))
    rows = (units[conditions] * signs[conditions, None]).T
    value = float(x @ inside[node])
    guess = 1 if value >= 0 else -1
    if not len(conditions) and not x.any():
        return 1, (conditions, np.zeros(0))
    points = {}
    for sign in (guess, -guess):
        found, residual = _nnls(rows, sign * x)
        if follows / 100.0 < residual + UNIT * found.sum() <= NEAR:
            found, residual = _refined(rows, sign * x, found)
        there = found > 0
        rest = rows @ found - sign * x  # a point of the cell with the other sign
        if residual + UNIT * found.sum() <= follows:
            return sign, (conditions[there], found[there])
        points[-sign] = rest / residual if residual > 0 else inside[node].copy()
        if abs(value) > 1e-9:
            break
    if guess in points:
        first, second = points[guess], points[-guess]
    else:
        first, second = inside[node].copy(), points[-guess]
    # Both lie in the cell; a mixture of a point on its border with one inside lies inside.
    depth, far = abs(float(x @ first)), abs(float(x @ second))
    mixed = second + first * min(1.0, 0.5 * far / max(depth, 1e-300))
    back = first + second * min(1.0, 0.5 * depth / max(far, 1e-300)) if len(points) > 1 else first
    positive, negative = (back, mixed) if guess > 0 else (mixed, back)
    for place, point in ((inside, positive), (other, negative)):
        place[node] = point / max(float(np.linalg.norm(point)), 1e-300)
    return 0, None


def _refined(rows: np.ndarray, x: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, float]:
    """Solve for the positive multipliers again, once more to the last digits."""
    there = np.flatnonzero(found > 0)
    values = found[there]
    for _ in range(2):
        values = values + np.linalg.lstsq(rows[:, there], x - rows[:, there] @ values)[0]
    if not (values > 0).all():
        return found, float(np.linalg.norm(rows @ found - x))
    better = np.zeros_like(found)
    better[there] = values
    return better, float(np.linalg.norm(rows @ better - x))


def project(
    cells: Cells, correlations: np.ndarray, blocks: np.ndarray, context: Context
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Project the correlations of some cases onto their cells.

    Returns
    -------
    projections : ndarray, shape (blocks, d)
        Its norm is the reach of the dual point there, its direction the neuron that has it.
    multipliers : list of (ndarray of int, ndarray of float)
        The multipliers that prove it.
    """
    found = np.empty((len(blocks), correlations.shape[1]))
    multipliers = []
    for k, block in enumerate(blocks):
        if k % 1024 == 0:
            context.check_time("bounding the dual point on the activation patterns")
        conditions, rows, sizes = cells.cone(int(block) // CASES)
        values = _nnls(rows.T, -correlations[block])[0]
        there = np.flatnonzero(values)
        found[k] = correlations[block] + values[there] @ rows[there]
        multipliers.append((conditions[there], values[there] / sizes[there]))
    return found, multipliers
