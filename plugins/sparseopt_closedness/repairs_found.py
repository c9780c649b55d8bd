"""The repairs that a search has found, each with a proof; the cheapest is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness.closed import ReducedClosedCertificate
from sparseopt_closedness.quick_proofs import quick_proof

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Candidate:
    """Closed supports, their proof (or certificate), and what they cost."""

    pair: Pair
    proof: Any
    cost: Fraction

    def certificate(self) -> Any:
        """Return the certificate that they are closed."""
        if isinstance(self.proof, so.Certificate):
            return self.proof
        return ReducedClosedCertificate.proved(so.Closedness(list(self.pair)), self.proof)


class Repairs:
    """Keeps the cheapest repair that follows the rules of a problem."""

    def __init__(
        self, problem: so.NearestClosedSupport, left: Callable[[], float] = lambda: float("inf")
    ) -> None:
        self.problem, self._left = problem, left
        self.given: Pair = (np.asarray(problem.supports[0]), np.asarray(problem.supports[1]))
        self.proving = 0.0
        self.best: Candidate | None = None
        self.starts: list[Candidate] = []
        self.improved = time.monotonic()

    def cost(self, pair: Pair) -> Fraction:
        """Return what the changes to a pair cost."""
        changed = (self.given[0] != pair[0], self.given[1] != pair[1])
        return self.problem.cost_of(changed)

    def follows(self, pair: Pair) -> bool:
        """Return whether no line is cut off that must not be."""
        if not self.problem.keep_lines:
            return True
        answer = so.ClosedSupport(list(pair), 0, 0)
        return self.problem.cut_off(answer) == ([], [])

    def offer(self, pair: Pair, prove: Callable[[Pair], Any], *, start: bool = True) -> bool:
        """Keep a pair if it is proved closed and cheaper; return whether it became the best.

        `proving` is how long the longest proof took; checking it takes about as long. Where there
        is a repair already, none is proved for which there is no time. It is a `start` of local
        searches if their test calls it closed.
        """
        if self.best is not None and self._left() < 2.0 * self.proving:
            return False
        cost = self.cost(pair)
        if not self.follows(pair):
            return False
        better = self.best is None or cost < self.best.cost
        if not better and len(self.starts) >= 6:
            return False
        began = time.monotonic()
        proof = prove(pair)
        self.proving = max(self.proving, time.monotonic() - began)
        if proof is None:
            return False
        if not isinstance(proof, so.Certificate):
            proof = ReducedClosedCertificate.proved(
                so.Closedness(list(pair), self.problem.field), proof
            )
        candidate = Candidate(pair, proof, cost)
        if start:
            self.starts = [*self.starts, candidate][-6:]
        if better:
            self.best, self.improved = candidate, time.monotonic()
        return better

    def put_back(self, rng: np.random.Generator, done: Callable[[], bool]) -> None:
        """Undo changes, several at a time, while the supports stay proved closed."""
        for start in sorted(self.starts, key=lambda found: found.cost):
            pair = start.pair
            chunk = max(1, int(sum((a != b).sum() for a, b in zip(pair, self.given, strict=True))))
            while chunk and not done():
                pair = self._undone(pair, chunk, rng, done)
                chunk //= 2
            self.offer(pair, quick_proof)

    def _undone(
        self, pair: Pair, chunk: int, rng: np.random.Generator, done: Callable[[], bool]
    ) -> Pair:
        places = [(f, *at) for f in (0, 1) for at in np.argwhere(pair[f] != self.given[f]).tolist()]
        rng.shuffle(places)
        for first in range(0, len(places), chunk):
            if done():
                break
            trial = pair[0].copy(), pair[1].copy()
            for f, a, b in places[first : first + chunk]:
                trial[f][a, b] = self.given[f][a, b]
            if quick_proof(trial) is not None:
                pair = trial
        return pair
