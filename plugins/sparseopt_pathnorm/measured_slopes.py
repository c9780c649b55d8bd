"""A Lipschitz bound against slopes measured on random pairs of inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.judging.rounding import float_above, shown_above
from sparseopt.networks.parameters import exact
from sparseopt.tools.report.numbers import number

# Sizes of the values of a layer, over all samples that are evaluated together.
_BATCH_ENTRIES = 5_000_000
_EXACT_EDGES = 100_000
"""Edges of networks whose slopes are computed exactly where they seem to be above the bound."""


def _exact_slope(network: so.Network, x: np.ndarray, y: np.ndarray) -> float:
    """Return a slope rounded down, 0 for networks that are too large for exact arithmetic."""
    if network.edge_count > _EXACT_EDGES:
        return 0.0
    same = network.with_parameters({k: exact(v) for k, v in network.parameters().items()})
    ends = exact(x), exact(y)
    first, second = (same.run(end).ravel() for end in ends)
    distance = np.abs(ends[0] - ends[1]).max()
    return -float_above(-np.abs(first - second).sum() / distance)


@dataclass(frozen=True)
class MeasuredSlopes(so.Analyzer[so.Network]):
    """Samples |f(x) - f(y)|_1 / |x - y|_inf and compares with the Lipschitz bound.

    Every slope is a lower bound on the smallest Lipschitz constant, which therefore lies between
    the largest slope and the bound. x has standard normal entries; x and y differ by plus or
    minus one distance in every entry, at random.

    Parameters
    ----------
    distances : tuple of float
        Between x and y in the maximum norm.
    pairs : int
        Per distance, at most.
    work : float
        Edges of the network that all evaluations together may pass; lessens the pairs to not
        less than one per distance.
    seed : int
    """

    distances: tuple[float, ...] = (1e-3, 1e-2, 0.1, 1.0, 10.0)
    pairs: int = 32
    work: float = 5e9
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.distances or not all(0 < d < math.inf for d in self.distances):
            raise ValueError("distances must be positive numbers, at least one")
        if self.pairs < 1:
            raise ValueError("pairs must be at least 1")

    def accepts(self, subject: so.Network) -> so.Accepted | so.Refused:
        """Take every network."""
        return so.Accepted()

    def analyze(self, subject: so.Network, context: so.Context) -> Iterator[so.Finding]:
        """Yield one finding."""
        problem = so.LipschitzBound(subject)
        bound = so.solve(problem)
        pairs = self._pairs(subject)
        rng = np.random.default_rng(self.seed)
        largest = np.zeros(len(self.distances))
        steepest, points = 0.0, list[np.ndarray]()
        for i in range(pairs):
            context.report(i / pairs, f"slopes at point {i + 1} of {pairs}")
            for k, (slope, ends) in enumerate(self._slopes(problem, rng, context)):
                largest[k] = max(largest[k], slope)
                if steepest < slope < math.inf:
                    steepest, points = slope, list(ends)
        # What rounding makes of differences can be more than the bound.
        worst = _exact_slope(subject, *points) if steepest > bound.answer.value else 0.0
        yield self._finding(bound, largest.tolist(), pairs, worst)

    def _pairs(self, network: so.Network) -> int:
        """Return how many points are affordable."""
        cost = (1.0 + len(self.distances)) * max(network.edge_count, 1)
        return int(min(self.pairs, max(1.0, self.work / cost)))

    def _slopes(
        self, problem: so.LipschitzBound, rng: np.random.Generator, context: so.Context
    ) -> Iterator[tuple[float, tuple[np.ndarray, np.ndarray]]]:
        """Yield the slopes from one random point, one per distance, with both points."""
        network = problem.network
        x = rng.standard_normal((1, *network.input_shape))
        widest = max(math.prod(shape) for shape in network.shapes.values())
        together = max(1, _BATCH_ENTRIES // widest)
        for start in range(0, len(self.distances), together):
            context.check_time("measuring slopes")
            part = np.array(self.distances[start : start + together])
            steps = rng.choice([-1.0, 1.0], size=(len(part), *network.input_shape))
            y = x + part.reshape(-1, *(1,) * len(network.input_shape)) * steps
            yield from zip(
                problem.slopes(x, y).tolist(), ((x, end[None]) for end in y), strict=True
            )

    def _finding(
        self, bound: so.Solution, largest: list[float], pairs: int, worst: float
    ) -> so.Finding:
        limit = bound.answer
        steepest = max(largest)
        violated = worst > limit.value
        found = f"the largest slope measured, on {pairs} random pairs of inputs at each of "
        found += f"{len(largest)} distances, is {number(steepest)}"
        finite = limit.value < math.inf
        proven = shown_above(limit.value) if finite else f"10^{shown_above(limit.log10)}"
        most = f"at most {proven} (proven)"
        logs = [limit.log10 if math.isfinite(limit.log10) else math.nan] * len(largest)
        measured = [math.log10(v) if v > 0 else math.nan for v in largest]
        return so.Finding(
            "measured-slopes",
            so.Severity.PROBLEM if violated else so.Severity.INFO,
            "network",
            f"a sampled slope of {worst:.6g} violates the Lipschitz bound {limit.value:.6g}"
            if violated
            else f"the smallest L with |f(x) - f(y)|_1 <= L |x - y|_inf is {most}; {found}",
            {
                "distances": list(self.distances),
                "largest_slope": largest,
                "pairs": pairs,
                "bound_log10": limit.log10,
            },
            remedy="report this network: the bound is proven, so its check is wrong"
            if violated
            else "",
            certificate=bound.certificate,
            key_figures=(
                so.KeyFigure(
                    "Lipschitz constant (L1 over max norm), at most",
                    limit.value if finite else proven,
                    "largest slope measured",
                    steepest,
                ),
            ),
            figure=so.SeriesFigure(
                "log10 of the Lipschitz bound and of the largest sampled slope",
                "distance of the inputs in the maximum norm",
                "log10",
                [f"{d:g}" for d in self.distances],
                {"Lipschitz bound": logs, "largest slope sampled": measured},
                "line",
            ),
        )
