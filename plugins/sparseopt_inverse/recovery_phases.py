"""Recovery by l1 of complex vectors: dual vectors for phases, and vectors that are missed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_proofs import (
    DualVectorsCertificate,
    between,
    signs_of,
    support_count,
    supports_of,
)
from sparseopt.judging.check import check_certificate
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.recovery_null_space import (
    EXACT,
    Failure,
    exact_failure,
    near_failure,
)
from sparseopt_inverse.recovery_rows import with_even_rows
from sparseopt_inverse.whole_design import reading_seconds, refused_if_large, split

GRIDS = (8, 16, 32, 64, 128)
"""Phases for each column but the first."""
ROUNDS = 300
ENOUGH = 1e-7


@dataclass(frozen=True, eq=False)
class DualPair:
    """What least squares with growing weights give for one vector of phases.

    Attributes
    ----------
    nu : ndarray, shape (m,)
        With correlations s on the support.
    reach : float
        The largest modulus of its other correlations.
    direction : ndarray, shape (n,)
        In the kernel, nearly.
    share : float
        ``Re(s^H h_S) / |h_rest|_1`` of the direction: a lower bound of any reach.
    """

    nu: np.ndarray
    reach: float
    direction: np.ndarray
    share: float


@dataclass(frozen=True)
class RecoveryPhases(so.Solver[RecoveryGuarantee]):
    """Least squares with weights that grow with the correlations (Lawson 1961).

    In the limit they give the dual vector with the least correlations off the support, and the
    direction of the kernel that shows that there is none with less. What is given is proved for
    given phases, and for one column, whatever the margin; all phases on more columns are covered by
    a grid, so that the largest correlation must stay some percent below 1.

    Time O(m n min(m, n)), memory O(m n), for an m x n design and each vector of phases.

    Parameters
    ----------
    most_vectors : int
        Supports times points of a grid.
    starts : int
        Random phases from which a missed vector is sought, for each support that is looked at.
    """

    most_vectors: int = 20_000
    starts: int = 4

    def accepts(self, problem: RecoveryGuarantee) -> so.Accepted | so.Refused:
        """Take complex designs, for l1."""
        if problem.method != "l1" or not problem.is_complex:
            return so.Refused("it decides recovery by l1 of complex vectors")
        return refused_if_large(problem) or so.Accepted()

    def cost(self, problem: RecoveryGuarantee) -> float:
        """Return the predicted seconds."""
        m, n = problem.design.shape
        own = 3e-3 + 3e-7 * m * n * min(support_count(problem), self.most_vectors)
        return own + reading_seconds(problem)

    def bytes_needed(self, problem: RecoveryGuarantee) -> float:
        """Predict copies of the design."""
        return BASE + 6.0 * design_bytes(problem.design)

    def solve(self, problem: RecoveryGuarantee, context: so.Context) -> tuple[RecoveryVerdict, Any]:
        """Look for a vector that is missed, then for a dual vector for each point of a grid."""
        even = with_even_rows(problem, lambda other: self.solve(other, context))
        if even is not None:
            return even
        context.check_time("looking at phases")
        if problem.signs is not None:
            return self._signed(problem, context)
        for support in self._looked_at(problem, context):
            failure = self._failure(problem, support, context)
            if failure is not None:
                return failure.answer, failure
        return self._covered(problem, context)

    def _signed(
        self, problem: RecoveryGuarantee, context: so.Context
    ) -> tuple[RecoveryVerdict, Any]:
        assert problem.support is not None
        on, off = split(problem, problem.support)
        failure = dependent(problem, problem.support, context)
        if failure is not None:
            return failure.answer, failure
        signs = np.array(problem.signs)
        signs = signs / np.abs(signs)
        pair = dual_pair(on, off, signs, problem.support, context)
        if pair.reach < 1.0:
            inverse = np.linalg.pinv(on).conj().T
            certificate = DualVectorsCertificate.proved(problem, pair.nu[None], inverse)
            if check_certificate(certificate).ok:
                return certificate.answer, certificate
        failure = failure_near(problem, pair.direction, context)
        if failure is None:
            raise so.Inconclusive(
                f"the least correlation off the support lies between {pair.share:.9g} and "
                f"{pair.reach:.9g}, too close to 1 to decide"
            )
        return failure.answer, failure

    def _looked_at(
        self, problem: RecoveryGuarantee, context: so.Context
    ) -> Iterator[tuple[int, ...]]:
        """Yield supports on which a vector may be missed: all of few, else some that are likely."""
        if support_count(problem) <= 200:
            yield from supports_of(problem)
            return
        design, k = problem.scaled, problem.size
        close = np.abs(design.conj().T @ design)
        nearest = np.argsort(-close, axis=1, kind="stable")[:, :k]
        yield from {tuple(sorted(row.tolist())) for row in nearest[:100]}
        generator, n = context.rng(), design.shape[1]
        for _ in range(20):
            yield tuple(sorted(generator.choice(n, k, replace=False).tolist()))

    def _failure(
        self, problem: RecoveryGuarantee, support: tuple[int, ...], context: so.Context
    ) -> Failure | None:
        """Return a failure near one support, ascending from random phases."""
        failure = dependent(problem, support, context)
        if failure is not None:
            return failure
        on, off = split(problem, support)
        generator = context.rng()
        for _ in range(1 if len(support) == 1 else self.starts):
            signs, best = np.exp(2j * np.pi * generator.uniform(size=len(support))), 0.0
            for _ in range(10):
                pair = dual_pair(on, off, signs, support, context, rounds=40)
                if pair.share >= 1.0 - ENOUGH:
                    failure = failure_near(problem, pair.direction, context)
                    if failure is not None:
                        return failure
                if not pair.share > best * (1.0 + 1e-4):
                    break
                best, signs = pair.share, phases_of(pair.direction[list(support)])
        return None

    def _covered(
        self, problem: RecoveryGuarantee, context: so.Context
    ) -> tuple[RecoveryVerdict, DualVectorsCertificate]:
        """Return dual vectors for all points of the coarsest grid that is fine enough."""
        reason = f"there are {support_count(problem)} supports, too many for a grid of phases"
        for phases in GRIDS if problem.size > 1 else (2,):
            count = support_count(problem) * phases ** (problem.size - 1)
            if count > self.most_vectors:
                break
            found, worst = grid_vectors(problem, phases, context)
            if found is not None:
                certificate = DualVectorsCertificate.proved(problem, found, None, phases)
                if check_certificate(certificate).ok:
                    return certificate.answer, certificate
            reason = (
                f"no vector that is missed was found, and the largest correlation, {worst:.6g}, "
                f"leaves no room for phases between those of a grid of {phases}"
            )
            if not worst < 1.0 - between(problem.size, GRIDS[-1]):
                break
        raise so.Inconclusive(reason)


def phases_of(values: np.ndarray) -> np.ndarray:
    """Return z / |z|, 1 for 0."""
    sizes = np.abs(values)
    return np.where(sizes == 0, 1.0, values / np.where(sizes == 0, 1.0, sizes))


def grid_vectors(
    problem: RecoveryGuarantee, phases: int, context: so.Context
) -> tuple[np.ndarray | None, float]:
    """Return a dual vector for each support and point of a grid, and their largest correlation.

    None where one has too large a correlation.
    """
    signs, vectors = signs_of(problem.size, phases).astype(complex), []
    room, worst = 1.0 - between(problem.size, phases), 0.0
    for support in supports_of(problem):
        context.check_time("going through supports and phases")
        on, off = split(problem, support)
        first = (np.linalg.pinv(on).conj().T @ signs.T).T  # A_S^H of them gives the signs
        reach = np.abs(first.conj() @ off).max(axis=1, initial=0.0)
        for row in np.flatnonzero(~(reach < room - 1e-6)):
            pair = dual_pair(on, off, signs[row], support, context, stop=room - 1e-6)
            first[row], reach[row] = pair.nu, pair.reach
            if not pair.reach < room:
                return None, pair.reach
        worst = max(worst, float(reach.max()))
        vectors.append(first)
    return np.concatenate(vectors), worst


def dual_pair(
    on: np.ndarray,
    off: np.ndarray,
    signs: np.ndarray,
    support: tuple[int, ...],
    context: so.Context,
    stop: float = 1.0 - 1e-6,
    rounds: int = ROUNDS,
) -> DualPair:
    """Return a dual vector and a direction for one vector of phases, see `RecoveryPhases`.

    It ends where the vector is below `stop`, or the direction shows that none is below 1.
    """
    n = on.shape[1] + off.shape[1]
    rest = np.setdiff1d(np.arange(n), support)
    weights = np.full(off.shape[1], 1.0 / max(1, off.shape[1]))
    best: tuple[float, np.ndarray] = (math.inf, np.zeros(len(on), dtype=complex))
    top: tuple[float, np.ndarray] = (-1.0, np.zeros(n, dtype=complex))
    back = np.linalg.pinv(on).conj().T
    for _ in range(rounds):
        context.check_time("looking for a dual vector")
        gram = (off * weights) @ off.conj().T
        gram[np.diag_indices(len(gram))] += 1e-13 * max(np.trace(gram).real / len(gram), 1e-300)
        try:
            moved = np.linalg.solve(gram, on)
        except np.linalg.LinAlgError:
            break
        inner = on.conj().T @ moved
        if not np.isfinite(inner).all():  # LAPACK prints what it thinks of it
            break
        share = np.linalg.lstsq(inner, signs, rcond=None)[0]
        nu = moved @ share
        nu = nu + back @ (signs - on.conj().T @ nu)
        correlations = off.conj().T @ nu
        sizes = np.abs(correlations)
        reach = float(sizes.max(initial=0.0))
        if reach < best[0]:
            best = reach, nu
        h = np.zeros(n, dtype=complex)
        h[list(support)], h[rest] = share, -weights * correlations
        length = float(np.abs(h[rest]).sum())
        gain = float((signs.conj() @ share).real)
        ratio = gain / length if length > 0 else math.inf
        if ratio > top[0]:
            top = ratio, h
        if best[0] < stop or top[0] >= 1.0 + 1e-9 or not reach > 0.0:
            break
        weights = weights * sizes
        total = float(weights.sum())
        if not total > 0.0:
            break
        weights = weights / total
    return DualPair(best[1], best[0], top[1], top[0])


def dependent(
    problem: RecoveryGuarantee, support: tuple[int, ...], context: so.Context
) -> Failure | None:
    """Return the failure that dependent columns of a support are."""
    on = problem.scaled[:, list(support)]
    _, values, rows = np.linalg.svd(on, full_matrices=len(support) > len(on))
    if len(support) <= len(on) and values[-1] > 1e-10 * values[0] > 0:
        return None
    guess = np.zeros(problem.design.shape[1], dtype=complex)
    guess[list(support)] = rows[-1].conj()
    return failure_near(problem, guess, context)


def failure_near(
    problem: RecoveryGuarantee, guess: np.ndarray, context: so.Context
) -> Failure | None:
    """Return the proof of a failure in a direction near `guess`, if there is one."""
    if not guess.any() or not np.isfinite(guess).all():
        return None
    if problem.signs is not None:  # so that s^H h is real and positive
        along = np.conj(np.array(problem.signs)) @ guess[list(problem.support or ())]
        guess = guess * (phases_of(np.array([along]))[0].conjugate())
    else:  # the largest entry real, which makes what is simple simple
        guess = guess * phases_of(guess[[int(np.argmax(np.abs(guess)))]])[0].conjugate()
    guess = guess / np.abs(guess).max()
    few = problem.design.shape[0] <= EXACT
    tried = [(exact_failure, np.round(guess, 9)), (exact_failure, guess), (near_failure, guess)]
    for attempt, direction in tried if few else itertools.islice(reversed(tried), 2):
        if not direction.any():
            continue
        certificate = attempt(problem, direction.copy(), context)
        if certificate is not None and check_certificate(certificate).ok:
            return certificate
    return None
