"""Powers of two that fit a product into a format, by shortest paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.quantization.exponent_certificates import (
    ExponentCycleCertificate,
    ExponentFitCertificate,
)
from sparseopt.quantization.exponents import FREE, ExponentFit, ExponentFitting
from sparseopt_quantization.limits import check_time

JUDGED = 3e-7
"""Seconds that the ranges of a value take, here and in the check."""


@dataclass(frozen=True)
class DifferenceConstraints(so.Solver[ExponentFitting]):
    """Bellman and Ford's relaxation, forwards and backwards through whole factors at a time.

    It starts from zero, so that factors that fit already stay as they are.

    Time O(z), memory O(z), for z values in all factors, times the rounds of the relaxation, at most
    one for each line of a cut.
    """

    def accepts(self, problem: ExponentFitting) -> so.Accepted | so.Refused:
        """Take every problem."""
        return so.Accepted()

    def cost(self, problem: ExponentFitting) -> float:
        """Return the predicted seconds."""
        return 4e-3 + 4.5e-7 * problem.product.nnz

    def bytes_needed(self, problem: ExponentFitting) -> float:
        """Predict a few numbers for each value."""
        return 2.0**20 + 40.0 * problem.product.nnz

    def solve(
        self, problem: ExponentFitting, context: so.Context
    ) -> tuple[ExponentFit, ExponentFitCertificate | ExponentCycleCertificate]:
        """Relax until nothing changes, or the last relaxations run in a circle."""
        seconds = JUDGED * problem.product.nnz

        def look() -> None:
            check_time(context, seconds, "relaxing the powers")

        found = _relaxed(problem, look)
        if isinstance(found, _Cycle):
            certificate = ExponentCycleCertificate.build(problem, found.steps)
            return certificate.answer, certificate
        fitted = ExponentFitCertificate.build(problem, found)
        return fitted.answer, fitted


def powers_that_fit(
    problem: ExponentFitting, look: Callable[[], None]
) -> so.KroneckerProduct | None:
    """Return the product scaled so that all entries fit, or None if no powers do that.

    `look` is called for each factor; it raises when the time is over.
    """
    found = _relaxed(problem, look)
    return None if isinstance(found, _Cycle) else problem.scaled(tuple(found))


@dataclass(frozen=True)
class _Cycle:
    """Entries that cannot fit together."""

    steps: list[tuple[int, int, int]]


def _relaxed(problem: ExponentFitting, look: Callable[[], None]) -> list[np.ndarray] | _Cycle:
    """Return powers that fit, or a cycle."""
    work = _Relaxation(problem, look)
    rounds = 0
    while work.round():
        rounds += 1
        # Looking for a circle takes as long as a few rounds.
        if rounds % 4 == 0 and (cycle := work.cycle()):
            return _Cycle(cycle)
    return work.powers()


class _Relaxation:
    """The powers of all nodes, and by which entry each was set last.

    Nodes are numbered cut by cut; all of the two outer cuts are node 0.
    """

    def __init__(self, problem: ExponentFitting, look: Callable[[], None]) -> None:
        self.problem, self.look = problem, look
        count = len(problem.sizes)
        inner = np.cumsum([1, *problem.sizes[1:-1]])
        self.cuts = [
            np.zeros(size, dtype=np.int64)
            if cut in (0, count - 1)
            else np.arange(inner[cut - 1], inner[cut])
            for cut, size in enumerate(problem.sizes)
        ]
        self.distance = np.zeros(int(inner[-1]), dtype=np.int64)
        # (factor, flat place, direction) of the entry, and the node that it leads from.
        self.reason = np.full((len(self.distance), 3), -1, dtype=np.int64)
        self.parent = np.full(len(self.distance), -1, dtype=np.int64)
        self.flat = [np.arange(f.size).reshape(f.shape) for f in problem.product.factors]

    def round(self) -> bool:
        """Relax all entries, forwards and then backwards; tell whether anything changed."""
        places = range(len(self.flat))
        forth = [self._relax(place, 1) for place in places]
        back = [self._relax(place, -1) for place in reversed(places)]
        return any(forth) or any(back)

    def _relax(self, place: int, direction: int) -> bool:
        """Relax the entries of one factor, from its rows to its columns or back."""
        self.look()
        least, most = self.problem.ranges[place]
        a, b, c, d = least.shape
        rows = self.cuts[place].reshape(a, b, 1, d)
        columns = self.cuts[place + 1].reshape(a, 1, c, d)
        source, target = (rows, columns) if direction == 1 else (columns, rows)
        weights = most if direction == 1 else -least
        axis = 1 if direction == 1 else 2
        reached = np.where(most < FREE, self.distance[source] + weights, FREE * FREE)
        best = np.expand_dims(reached.argmin(axis=axis), axis)
        nodes = target.ravel()
        found = np.take_along_axis(reached, best, axis).ravel()
        entries = np.take_along_axis(self.flat[place], best, axis).ravel()
        parents = np.take_along_axis(np.broadcast_to(source, least.shape), best, axis).ravel()
        if len(nodes) and nodes[0] == 0:  # an outer cut: one node
            one = int(found.argmin())
            nodes, found, entries, parents = (
                z[one : one + 1] for z in (nodes, found, entries, parents)
            )
        better = found < self.distance[nodes]
        if not better.any():
            return False
        nodes = nodes[better]
        self.distance[nodes] = found[better]
        self.parent[nodes] = parents[better]
        self.reason[nodes] = np.stack(
            [np.full(len(nodes), place), entries[better], np.full(len(nodes), direction)], axis=1
        )
        return True

    def cycle(self) -> list[tuple[int, int, int]]:
        """Return the entries of a circle of last relaxations; empty if there is none."""
        # After as many steps as there are nodes only those that lead into a circle are left.
        jump = np.append(np.where(self.parent < 0, len(self.parent), self.parent), len(self.parent))
        ahead = jump
        for _ in range(len(self.parent).bit_length()):
            ahead = ahead[ahead]
        left = np.flatnonzero(ahead[:-1] < len(self.parent))
        if not left.size:
            return []
        start = node = int(ahead[left[0]])
        steps = []
        while True:
            steps.append(tuple(int(v) for v in self.reason[node]))
            node = int(self.parent[node])
            if node == start:
                return steps[::-1]  # type: ignore[return-value]

    def powers(self) -> list[np.ndarray]:
        """Return the powers of the inner cuts, the outer ones being zero."""
        return [self.distance[cut] - self.distance[0] for cut in self.cuts[1:-1]]
