"""Feasible dual points of two-layer ReLU training, with the multipliers that prove it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sparseopt import Context, Steps
from sparseopt.judging.rounding import ROOMS, UNIT
from sparseopt.training.activation_cover import ActivationCover, Cones, CoverMultipliers
from sparseopt_inverse.relu_cells import Cells, project

ALIKE = 1e-3
"""One less the cosine of directions that are tried one after the other."""


@dataclass(frozen=True, eq=False)
class Reach:
    """How far a dual point reaches into the cells, in the units of the judge.

    Attributes
    ----------
    point : ndarray, shape (n,)
    blocks : ndarray of int
        The cases of cells whose correlation is above the largest projection.
    directions : ndarray, shape (count, d)
        The unit vectors along the projection of each onto its cell.
    lengths : ndarray of float
        The norms of the projections.
    multipliers : list
        See `project`.
    rest : float
        No other case reaches further.
    bounded : ndarray of int
        Cases with a large correlation that one condition of their cell bounds by `rest`.
    bounds : list
        The multiplier of that condition, for each.
    """

    point: np.ndarray
    blocks: np.ndarray
    directions: np.ndarray
    lengths: np.ndarray
    multipliers: list[tuple[np.ndarray, np.ndarray]]
    rest: float
    bounded: np.ndarray
    bounds: list[tuple[np.ndarray, np.ndarray]]

    @property
    def most(self) -> float:
        """The largest of all."""
        return max(self.rest, float(self.lengths.max(initial=0.0)))

    def violated(self, decay: float, chosen: np.ndarray, most: int) -> np.ndarray:
        """Return cases beyond decay that are not among the chosen: far, and of unlike direction."""
        over = np.flatnonzero((self.lengths > decay) & ~chosen[self.blocks])
        order = over[np.argsort(-self.lengths[over], kind="stable")]
        # The sign of the outer weight is part of what a neuron is: cases alternate it.
        odd = (self.blocks % 2).astype(np.float64)
        taken: list[int] = []
        for k in order.tolist():
            if len(taken) == most:
                break
            close = np.abs(odd[taken] - odd[k]) + 1.0 - self.directions[taken] @ self.directions[k]
            if not (close <= ALIKE).any():
                taken.append(k)
        return self.blocks[taken]

    def factor(self, targets: np.ndarray, decay: float) -> float:
        """Return the best multiple of the point that is feasible, up to rounding."""
        square = float(self.point @ self.point)
        if square == 0.0:
            return 0.0
        best = max(float(targets @ self.point) / square, 0.0)
        return min(best, decay / self.most) if self.most > 0 else best

    def value(self, targets: np.ndarray, decay: float) -> float:
        """Return the lower bound that the best multiple gives."""
        scaled = self.factor(targets, decay) * self.point
        return float(targets @ scaled - 0.5 * scaled @ scaled)


def reach(cells: Cells, point: np.ndarray, context: Context, share: float = 1.0) -> Reach:
    """Project from the largest correlation down, until no other can reach as far.

    How far a case can reach is bounded by its projection onto the half space of one condition.
    Scaled so that the largest projection is decay, cases whose correlation is smaller have no
    multipliers to show. With a `share` below 1, until no other can reach that share of the largest.
    """
    correlations = cells.correlations(point)
    sizes = np.linalg.norm(correlations, axis=1)
    far, conditions, values = cells.half_spaces(correlations)
    order = np.argsort(-far, kind="stable")
    blocks, vectors, multipliers = [], [], []
    most, at = 0.0, 0
    while at < len(order) and far[order[at]] > share * most * (1.0 - 1e-6):
        chunk = order[at : at + max(32, at)]
        found, proofs = project(cells, correlations, chunk, context)
        blocks.append(chunk)
        vectors.append(found)
        multipliers += proofs
        most = max(most, float(np.linalg.norm(found, axis=1).max()))
        at += len(chunk)
    rest = float(far[order[at]]) if at < len(order) else 0.0
    found = np.concatenate(vectors) if vectors else np.zeros((0, cells.inputs.shape[1]))
    lengths = np.linalg.norm(found, axis=1)
    directions = found / np.where(lengths > 0, lengths, 1.0)[:, None]
    numbers = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.int64)
    left = order[at:]
    bounded = left[(sizes[left] > most * (1.0 - 1e-5)) & (values[left] > 0.0)]
    bounds = [(conditions[k : k + 1], values[k : k + 1]) for k in bounded]
    return Reach(point, numbers, directions, lengths, multipliers, rest, bounded, bounds)


def feasible(
    cells: Cells, inputs: np.ndarray, found: Reach, targets: np.ndarray, decay: float
) -> tuple[np.ndarray, ActivationCover]:
    """Return the best feasible multiple of a dual point and the cover that proves it."""
    factor, shrink = found.factor(targets, decay), 0.0
    blocks = np.concatenate([found.blocks, found.bounded])
    multipliers = [*found.multipliers, *found.bounds]
    order = np.argsort(blocks, kind="stable")
    # Where the correlation itself is small enough there is nothing to show.
    sizes = np.linalg.norm(cells.correlations(found.point)[blocks[order]], axis=1)
    order = order[sizes * factor > (1.0 - 1e-6) * decay]
    while True:
        scale = factor * (1.0 - shrink)
        rows = [(members, values * scale) for members, values in (multipliers[k] for k in order)]
        used = [k for k, (members, _) in enumerate(rows) if len(members) and scale > 0]
        cover = replace(
            cells.cover,
            bounded=blocks[order][used],
            multipliers=CoverMultipliers.from_rows([rows[k] for k in used]),
        )
        point = found.point * scale
        most = float(Cones(inputs, cover, Steps(), ROOMS).reach(point).max())
        if most <= decay or scale == 0.0:
            return point, cover
        shrink = min(2.0 * max(shrink, 1.0 - decay / most, 2.0 * UNIT), 1.0)
