"""Identifiability by the rank of the derivative of the outputs by the parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.guarantees.families import Structure, described
from sparseopt.guarantees.modular import PRIME
from sparseopt.guarantees.patterns import Pattern
from sparseopt.guarantees.rank import JacobianRankCertificate, RankEvidence
from sparseopt.guarantees.structural import StructuralCertificate
from sparseopt_pathnorm.input_search import searched
from sparseopt_pathnorm.residue_elimination import Echelon
from sparseopt_pathnorm.residue_slopes import OperatorSlopes
from sparseopt_pathnorm.second_network_search import second_network
from sparseopt_pathnorm.structural_search import found_families

MOST = 12_000
"""Parameters up to which their derivative is eliminated."""
_BATCH = 64
"""Inputs at a time."""


@dataclass(frozen=True)
class JacobianRank(so.Solver[so.Identifiability]):
    """The rank of the derivative modulo a prime; what is missing is explained.

    Inputs are added until the rank is as large as it can be, or all are used. Without inputs they
    are searched. Source: Bona-Pellissier, Malgouyres, Bachoc, arXiv 2206.07424, where the rank is
    one of floating-point numbers.

    Time O(P^3), memory O(P^2), for P parameters.
    """

    def accepts(self, problem: so.Identifiability) -> so.Accepted | so.Refused:
        """Accept up to `MOST` parameters."""
        count = problem.parameters.count
        if count > MOST:
            return so.Refused(
                f"{count} free parameters; the elimination takes at most {MOST}, facets_of_units "
                "more"
            )
        return so.Accepted()

    def cost(self, problem: so.Identifiability) -> float:
        """Twice the cube of the number of parameters, at 10 billion a second, and its square."""
        count = float(problem.parameters.count)
        return 2.2e-2 + 3e-7 * count**2 + 2e-10 * count**3

    def bytes_needed(self, problem: so.Identifiability) -> float:
        """Predict the derivative modulo a prime."""
        return 2.0**21 + 48.0 * float(problem.parameters.count) ** 2

    def solve(
        self, problem: so.Identifiability, context: so.Context
    ) -> tuple[so.IdentifiabilityVerdict, so.Certificate]:
        """Return the verdict."""
        families, known = found_families(problem, None)
        from_any = bool(families)
        run = RankRun(problem, context, problem.bound - known)
        inputs = None
        if problem.inputs is not None:
            run.add(problem.inputs, problem.pattern)
        else:
            inputs = searched(problem, context)(run)
        if problem.inputs is not None and not run.is_full:
            more, count = found_families(problem, problem.pattern)
            if count > known:
                families, known, from_any = more, count, False
        evidence = run.evidence(inputs)
        if families:
            pattern = None if from_any else problem.pattern
            words = described(Structure(problem.wires, pattern), families)
            answer = problem.verdict("not_identifiable", run.rank, words)
            proof = (tuple(families), from_any)
            return answer, StructuralCertificate(problem, answer, evidence, *proof)
        if not run.rank:
            raise so.Inconclusive(_nothing(problem))
        if run.rank < problem.bound:
            found = second_network(problem, evidence, run.rank, context)
            if found is not None:
                return found
        value = "identifiable" if run.rank == problem.bound else "unknown"
        answer = problem.verdict(value, run.rank)
        return answer, JacobianRankCertificate(problem, answer, evidence)


def _nothing(problem: so.Identifiability) -> str:
    """Return why no input is of use."""
    where = problem.excluded[0][1] if problem.excluded else "a unit"
    return (
        f"no input is regular: {where} is 0, or a pool ties, at every input tried, so that the "
        "network changes its formula there; move the inputs, or set biases that are not 0"
    )


class RankRun:
    """The rank of the derivative at inputs that are added, up to the most that is possible."""

    def __init__(self, problem: so.Identifiability, context: so.Context, most: int) -> None:
        self.problem, self.context, self.most = problem, context, most
        self.echelon = Echelon(
            PRIME, problem.parameters.count, lambda: context.check_time("eliminating")
        )
        self.pairs: list[tuple[int, int]] = []
        self._seen = 0

    @property
    def rank(self) -> int:
        """The rank so far."""
        return self.echelon.rank

    @property
    def is_full(self) -> bool:
        """Whether it is as large as it can be."""
        return self.rank >= self.most

    def add(self, inputs: np.ndarray, pattern: Pattern) -> int:
        """Take the regular ones of further inputs, until the rank is full; return its gain."""
        before = self.rank
        outputs = math.prod(self.problem.network.output_shape)
        regular = np.setdiff1d(np.arange(len(inputs)), list(pattern.irregular))
        for start in range(0, len(regular), _BATCH):
            if self.is_full:
                break
            self.context.check_time("taking derivatives")
            part = regular[start : start + _BATCH]
            at = Pattern([t[..., part] if t.size else t for t in pattern.takes], {})
            slopes = OperatorSlopes(self.problem, inputs[part], at, PRIME)
            rows = np.stack([slopes.rows(j) for j in range(outputs)], axis=1)
            self.echelon.add(rows.reshape(-1, rows.shape[-1]))
            self.pairs += [(self._seen + i, j) for i in part.tolist() for j in range(outputs)]
            self.context.report(
                self.rank / max(1, self.problem.bound), f"rank {self.rank} of {self.problem.bound}"
            )
        self._seen += len(inputs)
        return self.rank - before

    def evidence(self, inputs: np.ndarray | None) -> RankEvidence:
        """Return what proves the rank."""
        pairs = [self.pairs[row] for row in self.echelon.rows]
        rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        if inputs is not None:  # those that were searched in vain are left out
            used = np.unique(rows[:, 0]) if len(rows) else np.zeros(1, dtype=np.int64)
            inputs, rows[:, 0] = inputs[used], np.searchsorted(used, rows[:, 0])
        columns = np.array(self.echelon.columns, dtype=np.int64)
        return RankEvidence(inputs, PRIME, rows, columns)
