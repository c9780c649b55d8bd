"""Vectors that orthogonal matching pursuit misses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.inverse.greedy_recovery import GreedyFailureCertificate
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_counterexamples import KernelCertificate
from sparseopt.inverse.recovery_proofs import support_count, supports_of
from sparseopt.judging.check import check_certificate
from sparseopt_inverse.exact_kernels import kernel_vector
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.whole_design import reading_seconds, refused_if_large


@dataclass(frozen=True)
class RecoveryGreedy(so.Solver[RecoveryGuarantee]):
    """Where the exact recovery condition fails, the vector that shows it (Tropp 2004, section 4).

    Time O(m n k), memory O(m n), for an m x n design and supports of k columns, each; the proof is
    exact.

    Parameters
    ----------
    most_supports : int
        Supports up to which all are tried; beyond, those of columns close to one another.
    """

    most_supports: int = 5000

    def accepts(self, problem: RecoveryGuarantee) -> so.Accepted | so.Refused:
        """Take every question about omp."""
        if problem.method != "omp":
            return so.Refused("it looks for failures of omp; for l1 there is recovery_null_space")
        return refused_if_large(problem) or so.Accepted()

    def cost(self, problem: RecoveryGuarantee) -> float:
        """Return the predicted seconds."""
        m, n = problem.design.shape
        own = 3e-3 + 3e-7 * m * n + 1e-4 * min(support_count(problem), self.most_supports)
        return own + reading_seconds(problem)

    def bytes_needed(self, problem: RecoveryGuarantee) -> float:
        """Predict copies of the design, and exact numbers of one support."""
        return BASE + 4.0 * design_bytes(problem.design)

    def solve(self, problem: RecoveryGuarantee, context: so.Context) -> tuple[RecoveryVerdict, Any]:
        """Try support by support."""
        for support in self._supports(problem):
            context.check_time("looking for a vector that omp misses")
            for certificate in failures(problem, support, context):
                if check_certificate(certificate).ok:
                    return certificate.answer, certificate
        raise so.Inconclusive("no vector was found that the first step of omp misses")

    def _supports(self, problem: RecoveryGuarantee) -> Iterator[tuple[int, ...]]:
        if support_count(problem) <= self.most_supports:
            return supports_of(problem)
        unit = _normalized(problem.scaled)
        close = np.abs(unit.conj().T @ unit)
        np.fill_diagonal(close, -1.0)
        nearest = np.argsort(-close, axis=1, kind="stable")[:, : problem.size]
        supports = (tuple(sorted(row.tolist())) for row in nearest)
        return itertools.islice(supports, self.most_supports)


def _normalized(design: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(design, axis=0)
    return design / np.where(norms > 0.0, norms, 1.0)


def failures(
    problem: RecoveryGuarantee, support: tuple[int, ...], context: so.Context
) -> Iterator[Any]:
    """Yield certificates to try: dependent columns, and what pulls most on another column."""
    on = list(support)
    unit = _normalized(problem.scaled)
    values = np.linalg.svd(unit[:, on], compute_uv=False)
    if len(on) > len(unit) or not values[-1] > 1e-9:
        rows = np.linalg.svd(problem.scaled[:, on], full_matrices=True)[2]
        guess = np.zeros(unit.shape[1], dtype=unit.dtype)
        guess[on] = rows[-1].conj()
        if problem.is_complex:
            guess = np.concatenate([guess.real, guess.imag])
        h = kernel_vector(problem.columns, guess, context) if len(unit) <= 150 else None
        if h is not None:
            yield KernelCertificate.proved(problem, h)
        return
    off = np.setdiff1d(np.arange(unit.shape[1]), on)
    weights = np.linalg.pinv(unit[:, on]) @ unit[:, off]
    pulls = np.abs(weights).sum(axis=0)
    gram = unit[:, on].conj().T @ unit[:, on]
    norms = np.linalg.norm(problem.scaled[:, on], axis=0)
    for place in np.argsort(-pulls, kind="stable")[:5]:
        if pulls[place] < 1.0 - 1e-9:
            break
        if problem.signs is not None:
            if problem.is_complex:
                even = exact_vector(problem, on, np.ones(len(on)))
                yield GreedyFailureCertificate.proved(problem, even, int(off[place]))
                continue  # others are drawn below
            x = _with_signs(gram, unit[:, on].T @ unit[:, off[place]], problem.signs)
            if x is None:
                continue
        else:
            pull = weights[:, place]
            phases = np.where(pull == 0, 1.0, pull / np.where(pull == 0, 1.0, np.abs(pull)))
            x = np.linalg.solve(gram, phases)
            x = np.where(np.abs(x) > 1e-12, x, 1e-9)
        vector = np.zeros(unit.shape[1], dtype=unit.dtype)
        vector[on] = x / norms
        yield GreedyFailureCertificate.proved(problem, vector, int(off[place]))
        if problem.signs is None:  # rounded to few digits a tie stays a tie
            vector[on] = np.round(x / norms, 3)
            yield GreedyFailureCertificate.proved(problem, vector, int(off[place]))
    if problem.signs is not None:
        yield from _later(problem, unit, norms, context)


def _later(
    problem: RecoveryGuarantee, unit: np.ndarray, norms: np.ndarray, context: so.Context
) -> Iterator[GreedyFailureCertificate]:
    """Yield failures in any step, of random vectors with the signs of the problem."""
    assert problem.support is not None
    assert problem.signs is not None
    generator, on = context.rng(), list(problem.support)
    for _ in range(200):
        context.check_time("looking for a vector that omp misses")
        x = np.round(2.0 ** generator.uniform(0.0, 6.0, len(on))) * np.array(problem.signs)
        target, path = unit[:, on] @ (x * norms), list[int]()
        for _ in on:
            left = target
            if path:
                left = target - unit[:, path] @ (np.linalg.pinv(unit[:, path]) @ target)
            sizes = np.abs(left.conj() @ unit)
            path.append(int(np.argmax(np.where(np.isin(np.arange(len(sizes)), path), -1.0, sizes))))
            if path[-1] not in on:
                vector = exact_vector(problem, on, x)
                yield GreedyFailureCertificate.proved(problem, vector, *path)
                break


def exact_vector(problem: RecoveryGuarantee, on: list[int], x: np.ndarray) -> np.ndarray:
    """Return a vector with given entries; complex ones as exact multiples of their signs."""
    n = problem.design.shape[1]
    if not problem.is_complex:
        vector = np.zeros(n)
        vector[on] = x
        return vector
    exact = np.zeros((2, n), dtype=object)
    for j, value, sign in zip(on, x, problem.signs or (), strict=True):
        size = round(abs(value))
        exact[0, j], exact[1, j] = size * Fraction(sign.real), size * Fraction(sign.imag)
    return exact


def _with_signs(gram: np.ndarray, pull: np.ndarray, signs: tuple[int, ...]) -> np.ndarray | None:
    """Return x with given signs, correlations within 1, and the largest pull on another column."""
    from scipy.optimize import linprog

    s = np.array(signs, dtype=float)
    limits, ones = np.vstack([gram * s, -gram * s]), np.ones(2 * len(s))
    best = None
    for side in (1.0, -1.0):
        found = linprog(-side * pull * s, limits, ones, bounds=[(1e-6, None)] * len(s))
        if found.status == 0 and (best is None or -found.fun > best[0]):
            best = (-found.fun, found.x * s)
    return None if best is None else best[1]
