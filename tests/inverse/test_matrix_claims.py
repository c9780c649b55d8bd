"""Claims about total variation and the nuclear norm, in exact arithmetic and in 60 digits."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.sparse

import sparseopt as so

Build = so.DualityGapCertificate.build


def exact(values: Any) -> list[Fraction]:
    return [Fraction(float(value)) for value in np.asarray(values).ravel()]


def dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def parts(certificate: so.DualityGapCertificate) -> tuple[Any, ...]:
    """Return rows, target, x, dual point and weights as fractions."""
    problem = certificate.problem
    design = problem.design.toarray() if scipy.sparse.issparse(problem.design) else problem.design
    rows = [exact(row) for row in design]
    points = [exact(row) for row in np.atleast_2d(certificate.dual_point)]
    t = [sum(values, Fraction(0)) for values in zip(*points, strict=True)]
    weights = problem.sample_weights
    weights = exact(np.ones(len(rows)) if weights is None else weights)
    return rows, exact(problem.target), exact(certificate.answer.x), t, weights


def certificates(problem: so.SparseRegression, seed: int) -> list[so.DualityGapCertificate]:
    rng = np.random.default_rng(seed)
    m, n = problem.shape
    best = so.solve(problem).certificate
    found = [best, Build(problem, best.answer.x * (1.0 + 1e-9))[1]]
    for _ in range(4):
        t = 10.0 ** rng.uniform(-2, 2) * rng.standard_normal(m)
        found.append(Build(problem, np.round(rng.standard_normal(n)), t)[1])
    for certificate in found:
        assert so.verify(certificate).ok
    return found


@pytest.mark.parametrize("seed", range(20))
def test_total_variation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 10)), int(rng.integers(2, 10))
    design = rng.standard_normal((m, n))
    design = [design, np.round(design), design.astype(np.float32), 1e6 + design][seed % 4]
    if seed % 5 == 4:  # no constants: columns that add to zero
        design = np.round(design * 8) - np.round(design * 8)[:, np.roll(np.arange(n), 1)]
    weights = rng.random(m) + 0.1 if seed % 3 == 2 else None
    form = scipy.sparse.csr_array if seed % 2 else np.asarray
    strength = float(10.0 ** rng.uniform(-2, 1))
    problem = so.SparseRegression(
        form(design), rng.standard_normal(m), so.TotalVariation(strength), weights
    )
    for certificate in certificates(problem, seed):
        rows, target, x, t, v = parts(certificate)
        residual = [y - dot(row, x) for y, row in zip(target, rows, strict=True)]
        primal = dot(v, [r * r for r in residual]) / 2
        primal += Fraction(strength) * sum(abs(b - a) for a, b in itertools.pairwise(x))
        assert primal <= Fraction(certificate.primal)
        u = [sum(row, Fraction(0)) for row in rows]
        square = dot(v, [a * a for a in u])
        share = dot(u, t) / square if square else Fraction(0)
        assert square or dot(u, t) == 0
        t = [s - share * w * a for s, w, a in zip(t, v, u, strict=True)]
        total = Fraction(0)
        for j in range(n):
            total += dot([row[j] for row in rows], t)
            assert abs(total) <= Fraction(strength) if j < n - 1 else total == 0
        dual = dot(target, t) - sum(s * s / w for s, w in zip(t, v, strict=True)) / 2
        assert Fraction(certificate.dual) <= max(dual, Fraction(0))
        assert primal - max(dual, Fraction(0)) <= Fraction(certificate.gap)


@pytest.mark.parametrize("seed", range(12))
def test_nuclear_norm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, q, m = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 10))
    design = rng.standard_normal((m, p * q))
    strength, ridge = float(10.0 ** rng.uniform(-2, 1)), 0.3 * (seed % 2)
    penalty: so.Penalty = so.NuclearNorm(strength, (p, q))
    penalty = penalty + so.Ridge(ridge) if ridge else penalty
    weights = rng.random(m) + 0.1 if seed % 3 == 2 else None
    problem = so.SparseRegression(design, rng.standard_normal(m), penalty, weights)
    for certificate in certificates(problem, seed):
        rows, target, x, t, v = parts(certificate)
        with mpmath.workdps(60):

            def number(value: Fraction) -> Any:
                return mpmath.mpf(value.numerator) / mpmath.mpf(value.denominator)

            def singular(values: list[Fraction]) -> list[Any]:
                matrix = mpmath.matrix(p, q)
                for k, value in enumerate(values):
                    matrix[k // q, k % q] = number(value)
                gram = matrix * matrix.T if p <= q else matrix.T * matrix
                found = mpmath.eigsy(gram, eigvals_only=True)
                return [mpmath.sqrt(max(value, 0)) for value in found]

            residual = [y - dot(row, x) for y, row in zip(target, rows, strict=True)]
            smooth = dot(v, [r * r for r in residual]) / 2 + Fraction(ridge) * dot(x, x) / 2
            primal = number(smooth) + strength * sum(singular(x))
            assert primal <= certificate.primal * (1 + mpmath.mpf(10) ** -25)
            columns = [dot([row[j] for row in rows], t) for j in range(p * q)]
            sizes = singular(columns)
            value = dot(target, t) - sum(s * s / w for s, w in zip(t, v, strict=True)) / 2
            dual = number(value)
            if ridge:
                dual -= sum(max(s - strength, 0) ** 2 for s in sizes) / (2 * ridge)
            else:
                assert max(sizes) <= strength
            assert certificate.dual <= max(dual, 0)
            assert primal - max(dual, 0) <= certificate.gap


@pytest.mark.parametrize("order", [3, 4, 5])
@pytest.mark.parametrize("is_complex", [False, True])
def test_nuclear_norms_of_larger_matrices(order: int, is_complex: bool) -> None:
    """A Hadamard matrix of 2^k rows has only the singular value 2^(k/2): exact to one root."""
    size, matrix = 2**order, np.ones((1, 1))
    for _ in range(order):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    target = 3.0 * matrix.ravel() * (1j if is_complex else 1.0)
    problem = so.SparseRegression(
        scipy.sparse.eye_array(size**2), target, so.NuclearNorm(2.0, (size, size))
    )
    certificate = so.solve(problem).certificate
    assert certificate.accuracy <= 1e-12
    # size (2^2 / 2 + 2 (3 root - 2)) for the root of the size.
    with mpmath.workdps(60):
        least = size * (2 + 2 * (3 * mpmath.sqrt(size) - 2))
        assert mpmath.mpf(certificate.dual) <= least <= mpmath.mpf(certificate.primal)
        assert mpmath.mpf(certificate.primal) - least <= mpmath.mpf(certificate.gap)
