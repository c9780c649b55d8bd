"""Not closed, relying on z3: a limit that no proof of this library excludes, but z3 does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sparseopt as so
from sparseopt.closedness.external import ExternalExclusionCertificate, smtlib
from sparseopt.closedness.proofs.exclusion_branch import Matrix
from sparseopt.closedness.proofs.observed import ObservedProblem, start
from sparseopt_closedness.curves import CurveSearch, Effort
from sparseopt_closedness.limit_curves import LimitCurves, fits, not_closed
from sparseopt_closedness.observed_windows import Limit
from sparseopt_closedness.reduction import Open, Reduction, reduce_state


@dataclass(frozen=True)
class ExternalExclusion(so.Solver[so.Closedness]):
    """Decides by proofs if it can, else by a limit that z3 says is not a product.

    z3 decides real polynomial equations by cylindrical algebraic decomposition (Jovanovic, de
    Moura, IJCAR 2012). The core cannot check its word: the certificate says so, and is accepted
    only where the user allows z3 to be asked again, see `so.verify`.

    Time O(m n r), memory O(m r + r n), for m x r and r x n supports that proofs decide; what z3 is
    asked about takes up to its own limits.

    Attributes
    ----------
    allow_external : bool
        Without it no problem is accepted.
    effort : int
        Rounds; each doubles the numbers of matrices, branches and curves.
    resources : int
        Largest number of z3's own resource units for one matrix, so that answers do not depend on
        the speed of the machine.
    """

    allow_external: bool = False
    effort: int = 4
    resources: int = 2_000_000

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take real pairs of moderate size, if the user allows it."""
        if not self.allow_external:
            return so.Refused(
                "it relies on z3, whose answer is not checked here; "
                "pass allow_external=True to allow it "
                "(--option allow_external=true on the command line)"
            )
        if problem.field != "real":
            return so.Refused(f"it asks about real matrices, not {problem.field} ones")
        return Reduction().accepts(problem)

    def solve(
        self, problem: so.Closedness, context: so.Context
    ) -> tuple[so.ClosednessVerdict, Any]:
        """Try the proofs for half of the time, then ask z3 about limits of curves."""
        context.check_time("trying proofs")
        left = context.remaining()
        half = None if left == float("inf") else max(left / 2, 1e-3)
        try:
            return LimitCurves(rounds=self.effort).solve(problem, so.Context(context.seed, half))
        except so.Inconclusive as stop:
            context.report(0.5, f"{stop.reason}; asking z3")
        _, parts = reduce_state(start(*problem.supports), context)
        rng = context.rng()
        for number in range(self.effort):
            for part in parts:
                if not fits(part.state):
                    continue
                search = CurveSearch(part.state, rng, lambda s, a: self._ask(s, a, context))
                effort = Effort(100 << number, 40 << number, 50 << number)
                found = search.run(effort, context)
                if isinstance(found, Limit) and found.exclusion[0] == "external":
                    return _answer(problem, part, found)
                if isinstance(found, Limit):
                    return not_closed(problem, part.steps, found)
        raise so.Inconclusive("z3 excludes no limit of a curve that was tried")

    def _ask(self, state: ObservedProblem, matrix: Matrix, context: so.Context) -> list[Any] | None:
        """Return ["external", name] if z3 says that a matrix is not a product."""
        context.check_time("asking z3")
        left = context.remaining()
        text = smtlib(state.left, state.right, state.observed, matrix)
        seconds = None if left == float("inf") else left
        return ["external", "z3"] if is_unsatisfiable(text, self.resources, seconds) else None

    def cost(self, problem: so.Closedness) -> float:
        """Predict the curves; more expensive than all proofs."""
        return LimitCurves().cost(problem) + 3e-3

    def bytes_needed(self, problem: so.Closedness) -> float:
        """Predict what the proofs take."""
        return LimitCurves().bytes_needed(problem)


def is_unsatisfiable(text: str, resources: int = 100_000_000, seconds: float | None = None) -> bool:
    """Return whether z3 says that a formula has no solution.

    Parameters
    ----------
    text : str
        SMT-LIB, as `sparseopt.closedness.external.smtlib` writes it.
    resources : int
        Largest number of z3's own resource units, which do not depend on the speed of the machine.
        Who asks again, with the default, allows more than who searched.
    seconds : float or None
        Time limit.
    """
    import z3

    solver = z3.SolverFor("QF_NRA")
    solver.set("rlimit", resources)
    if seconds is not None:
        solver.set("timeout", 1 + int(1000 * seconds))
    solver.from_string(text)
    return bool(solver.check() == z3.unsat)


def _answer(
    problem: so.Closedness, part: Open, found: Limit
) -> tuple[so.ClosednessVerdict, ExternalExclusionCertificate]:
    certificate = ExternalExclusionCertificate.proved(
        problem,
        found.rows,
        found.columns,
        found.left,
        found.right,
        found.limit,
        list(part.steps),
        found.exclusion[1],
    )
    return certificate.answer, certificate
