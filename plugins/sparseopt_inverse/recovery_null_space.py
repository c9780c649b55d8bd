"""Recovery by l1, decided by linear programs over supports and signs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_counterexamples import (
    KernelCertificate,
    NearKernelCertificate,
    gain_below,
    terms_of,
)
from sparseopt.inverse.recovery_proofs import (
    DualVectorsCertificate,
    signs_of,
    support_count,
    supports_of,
)
from sparseopt.judging.check import check_certificate
from sparseopt_inverse.exact_kernels import kernel_vector
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.recovery_rows import with_even_rows
from sparseopt_inverse.whole_design import image_of, reading_seconds, refused_if_large, split

MARGIN = 1e-11
"""Correlations above 1 minus this are taken for a failure; exact arithmetic decides."""
EXACT = 40
"""Rows up to which a kernel is computed exactly at once."""
SETUP = 4e-6
"""Seconds for an entry of a linear program before its own clock starts."""
LARGE = 20_000
"""Entries of a design from which linear programs take long."""
LONGEST = 150
"""Rows up to which it is at all."""

Failure = KernelCertificate | NearKernelCertificate


@dataclass(frozen=True)
class Programs:
    """The linear programs of one problem."""

    problem: RecoveryGuarantee
    context: so.Context
    most: int
    """Programs to be solved at most while failures are sought."""

    def dual_vector(
        self, support: tuple[int, ...], signs: np.ndarray
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Return a vector nu with correlations s on the support and least others, and h.

        h is the direction that the dual of the program gives; nu is None if there is none.
        """
        on, off = split(self.problem, support)
        m, rest = on.shape[0], off.shape[1]
        limit = np.concatenate([off.T, -off.T])
        found = self._run(
            np.append(np.zeros(m), 1.0),
            (np.hstack([limit, -np.ones((2 * rest, 1))]), np.zeros(2 * rest)),
            (np.hstack([on.T, np.zeros((len(support), 1))]), signs),
            [(None, None)] * m + [(0.0, None)],
        )
        h = np.zeros(self.problem.design.shape[1])
        if found is None:  # then some signs are not in reach: the columns depend on each other
            h[list(support)] = signs - np.linalg.pinv(on) @ (on @ signs)
            return None, h
        h[list(support)] = found.eqlin.marginals
        others = np.setdiff1d(np.arange(len(h)), support)
        h[others] = found.ineqlin.marginals[:rest] - found.ineqlin.marginals[rest:]
        nu = found.x[:m]
        return nu + np.linalg.pinv(on).T @ (signs - on.T @ nu), h

    def shortest(self, column: int) -> np.ndarray | None:
        """Return the kernel vector of least 1-norm with a 1 in one column; None if none has."""
        design = self.problem.scaled
        m, n = design.shape
        bounds: list[Any] = [(0.0, None)] * (2 * n)
        bounds[column], bounds[n + column] = (1.0, 1.0), (0.0, 0.0)
        both = np.hstack([design, -design])
        found = self._run(np.ones(2 * n), None, (both, np.zeros(m)), bounds)
        return None if found is None else found.x[:n] - found.x[n:]

    def _run(self, cost: Any, upper: Any, equal: Any, bounds: Any) -> Any:
        from scipy.optimize import linprog

        self.context.check_time("solving linear programs")
        a_ub, b_ub = (None, None) if upper is None or not len(upper[1]) else upper
        left = self.context.remaining() - SETUP * len(cost) * (
            len(equal[1]) + (0 if b_ub is None else len(b_ub))
        )
        if left <= 0.0:
            raise so.TimeLimitReached(
                "the time left is too short for a linear program of this size"
            )
        options = {} if left == float("inf") else {"time_limit": left}
        found = linprog(cost, a_ub, b_ub, *equal, bounds, method="highs", options=options)
        if found.status == 1:
            raise so.TimeLimitReached("the time limit ran out in a linear program")
        return found if found.status == 0 else None


@dataclass(frozen=True)
class RecoveryNullSpace(so.Solver[RecoveryGuarantee]):
    """Linear programs for dual vectors; where there is none, their duals, made exact.

    Time O(m^2 n), memory O(m n), for an m x n design and each linear program.

    Parameters
    ----------
    most_vectors : int
        Supports times signs up to which all are gone through; beyond, only failures are sought.
    most_work : float
        Entries of the design times linear programs, while failures are sought for a sparsity.
    """

    most_vectors: int = 50_000
    most_work: float = 2e6

    def accepts(self, problem: RecoveryGuarantee) -> so.Accepted | so.Refused:
        """Take every question about l1."""
        if problem.method != "l1":
            return so.Refused("it decides recovery by l1; for omp there is recovery_greedy")
        if problem.is_complex:
            return so.Refused(
                "its linear programs are of real numbers; for complex ones there is recovery_phases"
            )
        return refused_if_large(problem) or so.Accepted()

    def cost(self, problem: RecoveryGuarantee) -> float:
        """Return the predicted seconds."""
        own = 1e-2 + 1e-3 * min(self._count(problem), self.most_vectors)
        return own + reading_seconds(problem)

    def bytes_needed(self, problem: RecoveryGuarantee) -> float:
        """Predict one linear program."""
        return BASE + 16.0 * design_bytes(problem.design)

    @staticmethod
    def _count(problem: RecoveryGuarantee) -> int:
        if problem.signs is not None:
            return 1
        return support_count(problem) * 2 ** (problem.size - 1)

    def solve(self, problem: RecoveryGuarantee, context: so.Context) -> tuple[RecoveryVerdict, Any]:
        """Look for a failure where one is cheap to find, then go through supports and signs."""
        even = with_even_rows(problem, lambda other: self.solve(other, context))
        if even is not None:
            return even
        context.check_time("looking at the null space")
        most = max(2, int(self.most_work / problem.scaled.size))
        programs, few = Programs(problem, context, most), self._count(problem) <= self.most_vectors
        if problem.support is not None:
            failure = dependent_support(programs)
            if failure is None and not few:
                failure = ascents(programs)
        else:
            failure = sparse_kernel(programs, few)
            if failure is None and not few:
                failure = ascents(programs)
        if failure is not None:
            return failure.answer, failure
        if not few:
            raise so.Inconclusive(
                f"there are {self._count(problem)} supports with signs, more than "
                f"{self.most_vectors}, and no vector that is missed was found"
            )
        return all_vectors(programs)


def all_vectors(programs: Programs) -> tuple[RecoveryVerdict, Any]:
    """Return a dual vector for each support and signs, or a failure for one of them."""
    problem = programs.problem
    single, design = problem.signs is not None, problem.scaled
    signs = np.array([problem.signs], dtype=float) if single else signs_of(problem.size)
    vectors, inverse = [], None
    for support in supports_of(problem):
        programs.context.check_time("going through supports and signs")
        on, off = split(problem, support)
        inverse = np.linalg.pinv(on).T
        first = signs @ inverse.T
        large = design.size > LARGE
        reach = np.abs(first @ off).max(axis=1, initial=0.0) + np.abs(first @ on - signs).max(
            axis=1
        )
        for row in np.flatnonzero(~(reach < 1.0 - 1e-6)):
            if large:
                close = reweighted(programs, on, off, signs[row])
                if close is not None:
                    first[row] = close
                    continue
            nu, h = programs.dual_vector(support, signs[row])
            value = np.inf if nu is None else _value(nu, on, off, signs[row])
            if not value < 1.0 - MARGIN:
                failure = failure_near(programs, h)
                if failure is None:
                    raise so.Inconclusive(
                        f"the support {list(support)} has a correlation of {value:.12g}, too close "
                        "to 1 to decide"
                    )
                return failure.answer, failure
            first[row] = nu
        vectors.append(first)
    certificate = DualVectorsCertificate.proved(
        problem, np.concatenate(vectors), inverse if single else None
    )
    if not check_certificate(certificate).ok:
        raise so.Inconclusive("the dual vectors are too close to their limits to decide")
    return certificate.answer, certificate


def reweighted(
    programs: Programs, on: np.ndarray, off: np.ndarray, signs: np.ndarray
) -> np.ndarray | None:
    """Return a dual vector whose other correlations are below 1, if one is found quickly.

    Least squares with weights that grow with the correlations (Lawson 1961): for large designs much
    faster than a linear program.
    """
    weights = np.full(off.shape[1], 1.0)
    for _ in range(100):
        programs.context.check_time("looking for a dual vector")
        gram = (off * weights) @ off.T
        gram += 1e-12 * np.trace(gram) / len(gram) * np.eye(len(gram))
        moved = np.linalg.solve(gram, on)
        inner = on.T @ moved
        if not np.isfinite(inner).all():  # LAPACK prints what it thinks of it
            return None
        nu = moved @ np.linalg.lstsq(inner, signs, rcond=None)[0]
        sizes = np.abs(nu @ off)
        if sizes.max(initial=0.0) < 1.0 - 1e-4:
            nu += np.linalg.pinv(on).T @ (signs - on.T @ nu)
            return nu if _value(nu, on, off, signs) < 1.0 - 1e-6 else None
        weights *= sizes
        weights *= len(weights) / weights.sum()
    return None


def _value(nu: np.ndarray, on: np.ndarray, off: np.ndarray, signs: np.ndarray) -> float:
    return float(np.abs(nu @ off).max(initial=0.0) + np.abs(nu @ on - signs).max())


def failure_near(programs: Programs, guess: np.ndarray) -> Failure | None:
    """Return the proof of a failure in a direction near `guess`, if there is one.

    Exact for few rows. For more a direction is enough that is close to one of the kernel.
    """
    problem, rows = programs.problem, programs.problem.design.shape[0]
    if not guess.any():
        return None
    if sum(terms_of(problem, guess)) < sum(terms_of(problem, -guess)):
        guess = -guess
    attempts = (exact_failure, near_failure) if rows <= EXACT else (near_failure, exact_failure)
    for attempt in attempts:
        certificate = attempt(problem, guess, programs.context)
        if certificate is not None and check_certificate(certificate).ok:
            return certificate
    return None


def exact_failure(
    problem: RecoveryGuarantee, guess: np.ndarray, context: so.Context
) -> KernelCertificate | None:
    """Return a direction of the kernel, computed exactly."""
    if problem.design.shape[0] > LONGEST:
        return None
    if problem.is_complex:
        guess = np.concatenate([guess.real, guess.imag])
    h = kernel_vector(problem.columns, guess, context)
    if h is None:
        return None
    if gain_below(problem, h) < gain_below(problem, -h):
        h = -h
    try:
        return KernelCertificate.proved(problem, h)
    except so.ProblemError:  # numbers of too many digits
        return None


def near_failure(
    problem: RecoveryGuarantee, guess: np.ndarray, context: so.Context
) -> NearKernelCertificate | None:
    """Return a direction that rounding separates from the kernel, for designs of full row rank."""
    from scipy.linalg import qr

    context.check_time("looking for a vector that is missed")
    design, m = problem.scaled, problem.design.shape[0]
    if m > design.shape[1]:
        return None
    columns = np.sort(qr(design, mode="r", pivoting=True)[1][:m])
    if np.linalg.matrix_rank(design[:, columns]) < m:
        return None
    inverse = np.linalg.inv(design[:, columns])
    h = guess / np.abs(guess).max()
    for _ in range(2):
        h[columns] -= inverse @ image_of(design, h)
    return NearKernelCertificate.proved(problem, h, columns, inverse)


def dependent_support(programs: Programs) -> Failure | None:
    """Return the failure that dependent columns of the support are."""
    problem = programs.problem
    columns = list(problem.support or ())
    on = problem.scaled[:, columns]
    _, values, rows = np.linalg.svd(on, full_matrices=len(columns) > on.shape[0])
    if len(columns) <= on.shape[0] and values[-1] > 1e-10 * values[0] > 0:
        return None
    guess = np.zeros(problem.design.shape[1])
    guess[columns] = rows[-1]
    return failure_near(programs, guess)


def ascent(programs: Programs, h: np.ndarray) -> Failure | None:
    """Return a failure, sought from a direction: of each, its largest entries and their signs give
    the program that is solved for the next."""
    problem, best = programs.problem, 0.0
    for _ in range(min(20, programs.most)):
        on = problem.support
        if on is None:
            on = tuple(sorted(np.argsort(-np.abs(h), kind="stable")[: problem.size].tolist()))
        h = programs.dual_vector(on, np.where(h[list(on)] < 0, -1.0, 1.0))[1]
        gain = float(np.abs(h[list(on)]).sum())
        if gain >= (1.0 - MARGIN) * (np.abs(h).sum() - gain):
            failure = failure_near(programs, h)
            if failure is not None:
                return failure
        if not gain > best * (1.0 + 1e-9):
            break
        best = gain
    return None


def ascents(programs: Programs, count: int = 10) -> Failure | None:
    """Return a failure, sought from random directions."""
    generator = programs.context.rng()
    n = programs.problem.design.shape[1]
    for start in generator.standard_normal((max(1, min(count, programs.most // 5)), n)):
        failure = ascent(programs, start)
        if failure is not None:
            return failure
    return None


def sparse_kernel(programs: Programs, few: bool) -> Failure | None:
    """Return a failure by a kernel vector that k of its entries dominate, if one is found.

    Any m + 1 columns depend on each other: that settles k of at least half as many. Otherwise the
    shortest kernel vectors are tried, column by column.
    """
    problem = programs.problem
    design, k = problem.scaled, problem.size
    m, n = design.shape
    guesses: Any = iter(())
    if n > m and 2 * k >= m + 1:
        rows = np.linalg.svd(design[:, : m + 1])[2]
        guesses = iter([np.append(rows[-1], np.zeros(n - m - 1))])
    if k > 1 or not few:
        chosen = programs.context.rng().permutation(n)[: programs.most]
        guesses = itertools.chain(guesses, (programs.shortest(int(i)) for i in chosen))
    for h in guesses:
        if h is None or not h.any():
            continue
        sizes = np.sort(np.abs(h))[::-1]
        if sizes[:k].sum() >= (1.0 - MARGIN) * sizes[k:].sum():
            failure = failure_near(programs, h)
            if failure is not None:
                return failure
    return None
