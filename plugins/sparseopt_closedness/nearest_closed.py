"""Closed supports near given ones: a lower bound by windows, and local searches for a repair."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness.closed import ReducedClosedCertificate
from sparseopt.closedness.nearest import ClosedSupport, ClosedSupportCertificate
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt_closedness.branched_repairs import LARGEST_BRANCHED, branched
from sparseopt_closedness.closed_structures import Pair, structured
from sparseopt_closedness.core_bounds import CoreBound, has_numba, written
from sparseopt_closedness.kernel_cache import LOADING, Compiling, are_cached, are_loaded
from sparseopt_closedness.lu_windows import find_window, window_certificate
from sparseopt_closedness.null_additions import with_additions
from sparseopt_closedness.null_points import NearPoint, may_have_point, nearest_point
from sparseopt_closedness.quick_proofs import quick_proof
from sparseopt_closedness.repair_clock import Clock
from sparseopt_closedness.repairs_found import Candidate, Repairs

PATIENCE = 3.0
"""Seconds without a better repair after which a search without a time limit ends."""
SHORT = 0.15
"""Share of the cells by which the unknowns of a point may be too few, if entries may be added."""


@dataclass(frozen=True)
class WindowRepair(so.Solver[so.NearestClosedSupport]):
    """Change entries until the supports are proved closed; stop at the proven lower bound.

    First, whether the supports are closed as they are: by a point with product zero where the
    unknowns suffice. Then the bound, see `sparseopt_closedness.core_bounds`. Then repairs: on small
    supports a search that branches over the entries that a proof of "not closed" names, fewest
    changes first; on all, structures that are always closed, and local searches that ruin a part
    and put back what a test lets them (compiled by numba; without it entries are only put back).
    Where entries may be added: as many as a point with product zero lacks, see
    `sparseopt_closedness.null_additions`; for moderately dense supports they are few.
    What is found in the time depends on the speed of the machine. When it is up, the best repair is
    handed out with the bound; where even proving the simplest one takes longer, it says so early.

    Kernels are compiled once on a machine, by two processes in about 12 s, and loaded in a second
    later. Under a time limit too short for that entries are only put back, and the bound of large
    supports is 1 at most; the next call goes on compiling.

    Time O(m n r), memory O(m n r), for m x r and r x n supports whose repair meets the bound early;
    others take the time that the search is given.

    Parameters
    ----------
    seconds : float, optional
        For the whole search. None: up to the time limit; where there is none, 10 s, or less where
        nothing better is found for a while.
    seconds_per_verdict : float
        Time limit of one verdict by the solvers of `Closedness`; unknown after it.
    """

    seconds: float | None = None
    seconds_per_verdict: float = 0.5

    def __post_init__(self) -> None:
        given = (self.seconds, self.seconds_per_verdict)
        if not all(value is None or value > 0 for value in given):
            raise so.ProblemError("seconds and seconds_per_verdict must be positive")

    def accepts(self, problem: so.NearestClosedSupport) -> so.Accepted | so.Refused:
        """Take every pair."""
        return so.Accepted()

    def cost(self, problem: so.NearestClosedSupport) -> float:
        """Predict the seconds of the search."""
        return self.seconds or 10.0

    def bytes_needed(self, problem: so.NearestClosedSupport) -> float:
        """Predict the tables of windows."""
        (m, r), n = problem.supports[0].shape, problem.supports[-1].shape[1]
        return 2.0**22 + 16.0 * m * n * r

    def solve(
        self, problem: so.NearestClosedSupport, context: so.Context
    ) -> tuple[so.ClosedSupport, so.Certificate]:
        """Return the closest supports that were proved closed."""
        return _Search(problem, context, self).run()


class _Search:
    """One search under one clock."""

    def __init__(
        self, problem: so.NearestClosedSupport, context: so.Context, settings: WindowRepair
    ) -> None:
        self.problem, self.context, self.settings = problem, context, settings
        left, right = problem.supports
        self.given: Pair = (np.asarray(left), np.asarray(right))
        whole = min(settings.seconds or 10.0, context.remaining())
        if settings.seconds is None and context.time_limit is not None:
            whole = context.remaining()
        self.whole = 0.95 * whole
        self.clock = Clock(self.whole)
        self.found = Repairs(problem, self._seconds)
        # With a time limit all of it may be used.
        self.patient = settings.seconds is None and context.time_limit is None
        self.cores: list[Any] = []
        self.value = Fraction(0)
        self.proof: NotClosedCertificate | None = None
        self.near: NearPoint | None = None

    def run(self) -> tuple[so.ClosedSupport, so.Certificate]:
        """Return the answer and its certificate."""
        closed = self._closed_already()
        if closed is not None:
            return self._answer(Candidate(self.given, closed, Fraction(0)))
        self.context.report(0.05, "proving the simplest repairs closed")
        self._structures()
        self._additions()
        self.context.report(0.1, "looking for windows that every repair must change")
        self._find_bound()
        self._find_repairs()
        best = self.found.best
        if best is None:
            words = "cut no line off and " if self.problem.keep_lines else ""
            raise so.Inconclusive(f"no supports that {words}are proved closed were found in time")
        return self._answer(best)

    def _seconds(self) -> float:
        return self.clock.seconds()

    @cached_property
    def compiled(self) -> bool:
        """Whether kernels could be loaded in time; if not soon, entries are put back meanwhile.

        Where there is no time limit the clock starts anew.
        """
        if not has_numba():
            return False
        limited = self.context.time_limit is not None
        if limited and self.clock.seconds() < 2.0 * LOADING and not are_loaded():
            return False
        if not are_cached():
            self.context.report(0.1, "compiling kernels: 20 s of the processor, once on a machine")
            with Compiling() as compiling:
                compiling.wait(0.6 * self.clock.seconds() if limited else float("inf"))
                self.found.put_back(self.context.rng(), lambda: compiling.done() or self._done())
        if limited and not are_cached():
            return False
        from sparseopt_closedness.repair_rounds import load

        load()
        if not limited:
            self.clock = Clock(self.whole)
        return True

    @property
    def _mass(self) -> float:
        """Rows x terms x columns, which most times are proportional to."""
        (m, r), n = self.given[0].shape, self.given[1].shape[1]
        return float(m) * r * n

    def _structures(self) -> None:
        """Offer structures that are always closed, where there is time to prove them."""
        for seconds, pair in structured(self.given, self.problem.allow, self._time_for):
            if self._time_for(3.0 * seconds * self._mass):
                self.found.offer(pair, quick_proof)

    def _time_for(self, seconds: float) -> bool:
        """Whether something may be begun; the first repair may take a second more."""
        spare = 1.0 if self.found.best is None else 0.0
        return seconds <= self.clock.seconds() + spare

    def _answer(self, best: Candidate) -> tuple[so.ClosedSupport, so.Certificate]:
        problem = self.problem
        changed = tuple(a != b for a, b in zip(self.given, best.pair, strict=True))
        count = sum(int(mask.sum()) for mask in changed)
        cost = None if problem.costs is None else best.cost
        windows: list[NotClosedCertificate] = []
        if not self.value and self.proof is not None and problem.costs is None and count:
            windows, bound = [self.proof], Fraction(1)
        else:
            bound = self._bound() if count else Fraction(0)
        cores = written(self.cores) if count and not windows else []
        lower = bound if problem.costs is not None else int(bound)
        answer = ClosedSupport(list(best.pair), count, lower, cost)
        certificate = ClosedSupportCertificate(problem, answer, best.certificate(), windows, cores)
        return answer, certificate

    def _bound(self) -> Fraction:
        """Return the proven cost; with costs of 1 it is an integer."""
        if self.problem.costs is None:
            whole = Fraction(-(-self.value.numerator // self.value.denominator))
            return max(whole, Fraction(int(self.proof is not None)))
        return self.value

    def _done(self) -> bool:
        """Whether the best repair is the nearest, or near enough, or the time is up."""
        best = self.found.best
        if self.clock.seconds() <= 0:
            return True
        if self.patient and time.monotonic() - self.found.improved > PATIENCE:
            return True
        if best is None:
            return False
        gap = (best.cost - self._bound()) / best.cost if best.cost else Fraction(0)
        return gap <= Fraction(self.context.tolerance or 0.0)

    def _closed_already(self) -> Any:
        """Return a certificate that the given supports are closed, or None."""
        problem = so.Closedness(list(self.given), self.problem.field)
        window = find_window(*self.given)
        if window is not None:
            self.proof = window_certificate(problem, window)[1]
            return None
        if not self._time_for(6e-9 * self._mass):
            return None
        proof = quick_proof(self.given)
        if proof is None:
            self._look_for_a_point()
            if self.near is None or self.near.lacking:
                return self._asked()
            proof = self.near.proof()
        return ReducedClosedCertificate.proved(problem, proof)

    def _look_for_a_point(self) -> None:
        """Keep the point with product zero that lacks least, where there may be one."""
        adds = self.problem.allow != "remove"
        short, share = (SHORT, 0.4) if adds else (0.0, 0.2)
        if may_have_point(self.given, short):
            rng, part = self.context.rng(), self.clock.part(share + 0.2)
            exchanging = share * self.whole
            self.near = nearest_point(self.given, rng, part.seconds, exchanging, short)

    def _additions(self) -> None:
        """Offer the additions that make a point with product zero onto."""
        if self.problem.allow == "remove":
            return
        if self.near is None and self.proof is not None:
            self._look_for_a_point()
        if self.near is None or not self.near.lacking:
            return
        if self.clock.seconds() < 7.0 * self.near.seconds:  # three eliminations, and the check
            return
        found = with_additions(self.given, self.near, self.problem.costs, self.context.rng())
        if found is not None:
            self.found.offer(found[0], lambda _: found[1], start=False)

    def _asked(self) -> Any:
        """Ask the solvers of closedness for a while; keep a proof of "not closed"."""
        problem = so.Closedness(list(self.given), self.problem.field)
        limit = max(1e-3, self.clock.part(0.2, 2.0).seconds())
        if self._mass <= LARGEST_BRANCHED:
            limit = max(limit, self.settings.seconds_per_verdict)
        verdict = so.solve(problem, time_limit=limit, seed=self.context.seed)
        if isinstance(verdict.certificate, NotClosedCertificate):
            self.proof = verdict.certificate
        return verdict.certificate if verdict.answer.value == "closed" else None

    def _find_bound(self) -> None:
        seed, problem = self.context.seed or 0, self.problem
        large = self._mass > LARGEST_BRANCHED
        left, right = self.given
        # Tables of what covers every cell, and of blockers for every single one.
        covers = float(left.sum(axis=0) @ right.sum(axis=1))
        tables = 1e-7 * covers + 1e-9 * left.shape[0] * right.shape[1] * sum(left.shape)
        if large and (tables > self.clock.seconds() or not self.compiled):
            return
        search = CoreBound(self.given, problem.allow, problem.costs, seed, large)
        best = self.found.best
        search.run(self.clock.part(0.4).seconds, None if best is None else best.cost)
        self.cores, self.value = search.cores, search.value

    def _find_repairs(self) -> None:
        if self._done():
            return
        if self._mass <= LARGEST_BRANCHED and branched(self, self.found):
            return
        self.found.improved = time.monotonic()
        if self._done():
            return
        self.context.report(0.4, "changing entries")
        if self.compiled:
            from sparseopt_closedness.repair_rounds import search_rounds

            self.found.improved = time.monotonic()
            search_rounds(self.found, self.clock, self._done, self.context.seed or 0)
        else:
            self.found.put_back(self.context.rng(), self._done)
