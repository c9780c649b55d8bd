"""From a start, factors and scales that round well: sweeps that never make the measure larger.

The measure is ``sum_i g_i |e_i|`` of `tensors`, with the errors e_i that rounding really makes.
With the scales of the blocks fixed, the factor of one unit matters to the weights into and out of
it only, and all units of a layer can be tried side by side. The scales follow, each alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparseopt.interface.context import Context
from sparseopt.tools.quantizing.codes import Rounding
from sparseopt.tools.quantizing.tensors import Blocks
from sparseopt.tools.rescaling.groups import RescalingGroups

_ROUNDS = 3
_WORK = 3e7
"""Weights that are rounded in one sweep, about."""


@dataclass(eq=False)
class Landscape:
    """Factors of the units and scales of the blocks, and the cost that they have.

    Attributes
    ----------
    tensors : sequence of Blocks
    rounding : Rounding
    factors : float64 array, shape (1 + groups,)
    scales : list of float64 array, shape (blocks, 1)
    """

    tensors: Sequence[Blocks]
    rounding: Rounding
    factors: np.ndarray
    scales: list[np.ndarray]

    @classmethod
    def at(cls, tensors: Sequence[Blocks], rounding: Rounding, factors: np.ndarray) -> Landscape:
        """Return the one with the best scales for these factors."""
        made = cls(tensors, rounding, factors, [])
        made.scales = [rounding.best_scales(*made.scaled(t, factors)) for t in tensors]
        return made

    def scaled(self, tensor: Blocks, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights and costs with the units rescaled."""
        ratios = tensor.ratios(factors)
        return tensor.weight * ratios, tensor.cost / ratios

    def errors(self, place: int, factors: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Return the cost of rounding, weight by weight, of one tensor."""
        values, costs = self.scaled(self.tensors[place], factors)
        return self.rounding.errors(values, scales, costs)

    def cost(self, places: Sequence[int] | None = None) -> float:
        """Return the measure, of some tensors or of all."""
        chosen = range(len(self.tensors)) if places is None else places
        return sum(float(self.errors(i, self.factors, self.scales[i]).sum()) for i in chosen)

    def improve(self, groups: RescalingGroups, multipliers: np.ndarray, context: Context) -> None:
        """Sweep over factors and scales in turn, while there is gain and time."""
        for _ in range(_ROUNDS):
            before = self.cost()
            for layer in groups.layers.values():
                if context.remaining() <= 0:
                    return
                self._sweep(layer, multipliers)
            for place, tensor in enumerate(self.tensors):
                self._settle(place, tensor)
            if not self.cost() < 0.999 * before:
                return

    def _settle(self, place: int, tensor: Blocks) -> None:
        """Take the best scales of a tensor where they are better."""
        values, costs = self.scaled(tensor, self.factors)
        tried = self.rounding.best_scales(values, costs)
        new = self.rounding.errors(values, tried, costs).sum(axis=1, keepdims=True)
        old = self.rounding.errors(values, self.scales[place], costs).sum(axis=1, keepdims=True)
        self.scales[place] = np.where(new < old, tried, self.scales[place])

    def _sweep(self, layer: np.ndarray, multipliers: np.ndarray) -> None:
        """Multiply the factor of each unit of a layer by the best of some numbers."""
        inside = np.zeros(len(self.factors), dtype=bool)
        inside[layer] = True
        touched = [
            i
            for i, tensor in enumerate(self.tensors)
            if inside[tensor.head].any() or inside[tensor.tail].any()
        ]
        costs = [self._by_group(inside, touched, c) for c in multipliers]
        best = np.argmin(costs, axis=0)  # the first of equals, which is 1
        factors = self.factors.copy()
        factors[layer] *= multipliers[best[layer]]
        tried = Landscape(self.tensors, self.rounding, factors, list(self.scales))
        tried._follow(touched, self.factors)
        # Weights between units of one layer change by both factors: then it may be no gain.
        if tried.cost(touched) < self.cost(touched):
            self.factors, self.scales = tried.factors, tried.scales

    @property
    def _scales_follow(self) -> bool:
        """Whether weights into a unit are rounded alike whatever its factor is."""
        return self.rounding.by_channel and self.rounding.format.scale == "free"

    def _by_group(self, inside: np.ndarray, touched: list[int], multiplier: float) -> np.ndarray:
        """Return by group what rounding costs if the chosen ones are multiplied."""
        factors = np.where(inside, self.factors * multiplier, self.factors)
        total = np.zeros(len(factors))
        for i in touched:
            tensor = self.tensors[i]
            ends = [tensor.tail] if self._scales_follow else [tensor.head, tensor.tail]
            for end in ends:
                chosen = inside[end]
                if not chosen.any():
                    continue
                costs = np.where(chosen, self._errors_moved(i, end, factors), 0.0)
                total += np.bincount(end.ravel(), costs.ravel(), len(total))
        return total

    def _errors_moved(self, place: int, end: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Return the cost of a tensor if only the factors at one end of each weight change."""
        tensor = self.tensors[place]
        other = tensor.tail if end is tensor.head else tensor.head
        if end is tensor.head:
            ratios = factors[end] / self.factors[other]
        else:
            ratios = self.factors[other] / factors[end]
        values, costs = tensor.weight * ratios, tensor.cost / ratios
        return self.rounding.errors(values, self.scales[place], costs)

    def _follow(self, touched: list[int], before: np.ndarray) -> None:
        """Let the scale of each channel move with the factor of its unit."""
        if not self._scales_follow:
            return
        moved = self.factors / before
        for i in touched:
            self.scales[i] = self.scales[i] * moved[self.tensors[i].head[:, :1]]


def multipliers(rounding: Rounding, weights: int, powers_of_two: bool) -> np.ndarray:
    """Return the numbers to try for each unit, 1 first."""
    if powers_of_two:
        return np.array([1.0, 0.5, 2.0, 0.25, 4.0])
    count = int(np.clip(_WORK / max(weights, 1), 4, 32))
    steps = np.arange(-count // 2, count // 2 + 1) / count
    found = np.exp2(steps[np.argsort(np.abs(steps), kind="stable")])
    return np.asarray(found)
