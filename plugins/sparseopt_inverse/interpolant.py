"""The network of least weights through points, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

import sparseopt as so
from sparseopt.training.interpolation import (
    InterpolantCertificate,
    InterpolatingNetwork,
    MinimumNormInterpolant,
)


@dataclass(frozen=True)
class Interpolant(so.Solver[MinimumNormInterpolant]):
    """Neurons at the kinks of the polyline, with input weights 1 and -1; at most n - 1 of them.

    All is exact but the last step, in which output weights and the offset are rounded to floats.

    Time O(n), memory O(n), for n points, with exact numbers as long as theirs.
    """

    def accepts(self, problem: MinimumNormInterpolant) -> so.Accepted | so.Refused:
        """Take every problem."""
        return so.Accepted()

    def cost(self, problem: MinimumNormInterpolant) -> float:
        """Return the predicted seconds."""
        return 1e-3 + 2.5e-4 * len(problem.points)

    def bytes_needed(self, problem: MinimumNormInterpolant) -> float:
        """Predict exact numbers for each point."""
        return 2.0**20 + 4e3 * len(problem.points)

    def solve(
        self, problem: MinimumNormInterpolant, context: so.Context
    ) -> tuple[InterpolatingNetwork, InterpolantCertificate]:
        """Place the kinks, choose for each the side to which its neuron opens, and the test."""
        context.check_time("placing neurons")
        kinks, ends = kinks_of(problem.slopes)
        network = opened(problem, kinks, ends)
        context.check_time("checking a network")
        certificate = InterpolantCertificate.build(problem, network, best_test(problem.slopes))
        return certificate.answer, certificate


def kinks_of(slopes: list[Fraction]) -> tuple[list[Fraction], Fraction]:
    """Return the change of the slope at each point but the last, and the sum of the end slopes.

    Where the end slopes outweigh all kinks, a kink at the first point makes up for half of that.
    """
    kinks = [Fraction(0), *(b - a for a, b in pairwise(slopes))]
    if not slopes:
        return [], Fraction(0)
    ends, total = slopes[0] + slopes[-1], sum(map(abs, kinks))
    if abs(ends) > total:
        kinks[0] = (abs(ends) - total) / 2 * (1 if ends > 0 else -1)
        ends -= kinks[0]
    return kinks, ends


def opened(
    problem: MinimumNormInterpolant, kinks: list[Fraction], ends: Fraction
) -> InterpolatingNetwork:
    """Return the network: right minus left output weights add up to the sum of the end slopes."""
    left_over = ends + sum(map(abs, kinks))  # twice what must open to the side of its sign
    neurons: list[tuple[float, float, Fraction]] = []
    offset, first = Fraction(float(problem.values[0])), Fraction(float(problem.points[0]))
    for knot, kink in zip(problem.points.tolist(), kinks, strict=False):
        share = min(abs(kink), left_over / 2)
        left_over -= 2 * share
        right = share if kink > 0 else abs(kink) - share
        for side, size in ((1.0, right), (-1.0, abs(kink) - right)):
            if size:
                signed = size if kink > 0 else -size
                neurons.append((side, -side * knot, signed))
                offset -= signed * max(Fraction(side) * (first - Fraction(knot)), Fraction(0))
    hidden, biases, exact = zip(*neurons, strict=True) if neurons else ((), (), ())
    outer = np.array([float(v) for v in exact])
    return InterpolatingNetwork(np.array(hidden), np.array(biases), outer, float(offset))


def best_test(slopes: list[Fraction]) -> np.ndarray:
    """Return the best numbers p: the first is 0 or the sign of the end slopes, if they outweigh."""
    kinks = [b - a for a, b in pairwise(slopes)]
    if not slopes:
        return np.zeros(0, dtype=int)
    ends = slopes[0] + slopes[-1]
    first = 0
    if abs(ends) > sum(map(abs, kinks)):
        first = 1 if ends > 0 else -1
    highest, lowest = min(1, first + 1), max(-1, first - 1)
    return np.array([first, *(highest if d > 0 else lowest if d < 0 else first for d in kinks)])
