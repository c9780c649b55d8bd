"""A Lipschitz bound against slopes measured on random pairs of inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.judging.rounding import shown_above
from sparseopt.tools.report.numbers import number, power_of_ten

# Sizes of the values of a layer, over all samples that are evaluated together.
_BATCH_ENTRIES = 5_000_000


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
        for i in range(pairs):
            context.report(i / pairs, f"slopes at point {i + 1} of {pairs}")
            largest = np.maximum(largest, self._slopes(problem, rng, context))
        yield self._finding(bound, largest.tolist(), pairs)

    def _pairs(self, network: so.Network) -> int:
        """Return how many points are affordable."""
        cost = (1.0 + len(self.distances)) * max(network.edge_count, 1)
        return int(min(self.pairs, max(1.0, self.work / cost)))

    def _slopes(
        self, problem: so.LipschitzBound, rng: np.random.Generator, context: so.Context
    ) -> np.ndarray:
        """Return the slopes from one random point, one per distance."""
        network = problem.network
        x = rng.standard_normal((1, *network.input_shape))
        widest = max(math.prod(shape) for shape in network.shapes.values())
        together = max(1, _BATCH_ENTRIES // widest)
        result = []
        for start in range(0, len(self.distances), together):
            context.check_time("measuring slopes")
            part = np.array(self.distances[start : start + together])
            steps = rng.choice([-1.0, 1.0], size=(len(part), *network.input_shape))
            y = x + part.reshape(-1, *(1,) * len(network.input_shape)) * steps
            result.append(problem.slopes(x, y))
        return np.concatenate(result)

    def _finding(self, bound: so.Solution, largest: list[float], pairs: int) -> so.Finding:
        limit = bound.answer
        steepest = max(largest)
        # Slopes come out of differences of rounded values.
        violated = limit.value < math.inf and steepest > limit.value * (1 + 1e-6)
        least = f"at least {number(steepest)} (the largest slope on {pairs} random pairs of "
        least += f"inputs at each of {len(largest)} distances)"
        finite = limit.value < math.inf
        proven = shown_above(limit.value) if finite else power_of_ten(limit.log10)
        most = f"at most {proven} (proven)"
        logs = [limit.log10 if math.isfinite(limit.log10) else math.nan] * len(largest)
        measured = [math.log10(v) if v > 0 else math.nan for v in largest]
        return so.Finding(
            "measured-slopes",
            so.Severity.PROBLEM if violated else so.Severity.INFO,
            "network",
            f"a sampled slope of {steepest:.6g} violates the Lipschitz bound {limit.value:.6g}"
            if violated
            else "the smallest L with |f(x) - f(y)|_1 <= L |x - y|_inf is " + f"{least}, {most}",
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
                    "at least, by measured slopes",
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
