"""Recovery by l1 of every vector of a sparsity, by one linear program a column."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_bound import NullSpaceBoundCertificate
from sparseopt.judging.check import check_certificate
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.recovery_rows import with_even_rows
from sparseopt_inverse.whole_design import reading_seconds, refused_if_large


@dataclass(frozen=True)
class RecoveryRelaxation(so.Solver[RecoveryGuarantee]):
    """Bounds each entry of a kernel vector by its 1-norm (Juditsky, Nemirovski 2011).

    Complex columns by least squares with weights that grow with the entries (Lawson 1961). It
    proves sparsities up to a multiple of the root of the number of rows, and never a failure.

    Time O(m n^2 log(n)), memory O(m n), for an m x n design: a linear program for each column.
    """

    def accepts(self, problem: RecoveryGuarantee) -> so.Accepted | so.Refused:
        """Take sparsities, for l1."""
        if problem.method != "l1" or problem.sparsity is None:
            return so.Refused("it proves recovery by l1 of every vector of a sparsity")
        if (large := refused_if_large(problem)) is not None:
            return large
        most = largest_size(*problem.design.shape)
        if problem.sparsity > most:
            return so.Refused(f"for designs of this shape it proves sparsities up to {most:.3g}")
        return so.Accepted()

    def cost(self, problem: RecoveryGuarantee) -> float:
        """Return the predicted seconds."""
        m, n = problem.design.shape
        return 5e-3 + n * (2e-3 + 3e-6 * m * n) + reading_seconds(problem)

    def bytes_needed(self, problem: RecoveryGuarantee) -> float:
        """Predict the program of one column."""
        return BASE + 16.0 * design_bytes(problem.design)

    def solve(
        self, problem: RecoveryGuarantee, context: so.Context
    ) -> tuple[RecoveryVerdict, NullSpaceBoundCertificate]:
        """Solve for each column; stop where one of k such entries may be half of the norm."""
        even = with_even_rows(problem, lambda other: self.solve(other, context))
        if even is not None:
            return even
        columns, n = [], problem.design.shape[1]
        for i in range(n):
            find = nearest_complex if problem.is_complex else nearest_to_unit
            found, value = find(problem.scaled, i, context)
            if found is None or not value < 0.5:
                raise so.Inconclusive(f"entry {i} of a kernel vector may be half of its 1-norm")
            columns.append(found)
            if i % 16 == 15:  # what is missing only adds to the sums
                sizes = np.abs(np.eye(n)[: i + 1] - np.conj(columns) @ problem.scaled)
                if np.sort(sizes, axis=0)[-problem.size :].sum(axis=0).max() >= 0.5:
                    raise so.Inconclusive(f"{i + 1} of {n} columns show that the bound is too weak")
            context.report((i + 1) / n, "bounding kernel vectors")
        certificate = NullSpaceBoundCertificate.proved(problem, np.stack(columns, axis=1))
        if not check_certificate(certificate).ok:
            raise so.Inconclusive(
                f"{problem.size} entries of a kernel vector are bounded by "
                f"{certificate.constant:.4g} of its 1-norm, and 1/2 is needed"
            )
        return certificate.answer, certificate


def largest_size(m: int, n: int) -> float:
    """Return the largest k for which the condition can hold, whatever the entries.

    On the kernel M is the identity, so its squares add up to at least n - m. A column whose k
    largest entries add up to 1/2 has squares of at most 1/4 from these and n / (4 k^2) from the
    others.
    """
    share = 3.0 - 4.0 * m / n
    return math.sqrt(n / share) if share > 0.0 else math.inf


def nearest_to_unit(
    design: np.ndarray, column: int, context: so.Context
) -> tuple[np.ndarray | None, float]:
    """Return y for which ``design.T @ y`` is nearest to a unit vector, in the largest entry."""
    from scipy.optimize import linprog

    context.check_time("bounding kernel vectors")
    m, n = design.shape
    unit = np.zeros(n)
    unit[column] = 1.0
    rows = np.block([[design.T, -np.ones((n, 1))], [-design.T, -np.ones((n, 1))]])
    left = context.remaining() - 4e-6 * rows.size  # setting it up is not on its clock
    if left <= 0.0:
        raise so.TimeLimitReached("the time left is too short for a linear program of this size")
    options = {} if left == float("inf") else {"time_limit": left}
    found = linprog(
        np.append(np.zeros(m), 1.0),
        rows,
        np.append(unit, -unit),
        bounds=[(None, None)] * m + [(0.0, None)],
        method="highs",
        options=options,
    )
    if found.status == 1:
        raise so.TimeLimitReached("the time limit ran out in a linear program")
    return (found.x[:m], float(found.fun)) if found.status == 0 else (None, np.inf)


def nearest_complex(
    design: np.ndarray, column: int, context: so.Context, rounds: int = 60
) -> tuple[np.ndarray | None, float]:
    """Return the same for complex columns, nearly, with the conjugate transpose."""
    context.check_time("bounding kernel vectors")
    n = design.shape[1]
    unit, weights = np.zeros(n), np.full(n, 1.0 / n)
    unit[column] = 1.0
    best: tuple[np.ndarray | None, float] = (None, np.inf)
    for _ in range(rounds):
        roots = np.sqrt(weights)
        y = np.linalg.lstsq((design * roots).conj().T, unit * roots, rcond=None)[0]
        sizes = np.abs(design.conj().T @ y - unit)
        if sizes.max() < best[1]:
            best = y, float(sizes.max())
        weights = weights * sizes
        total = float(weights.sum())
        if not total > 0.0:
            break
        weights /= total
    return best
