"""Basis pursuit against linear algebra in rationals, closed forms, other software and its laws."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import sympy
from pursuit_problems import planted

import sparseopt as so
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.pursuit_certificate import _correlations
from sparseopt.judging.exact import eliminate

CASES = json.loads((Path(__file__).parent / "pursuit_cases.json").read_text())
Exact = list[Fraction]


def exactly(values: Any) -> Exact:
    return [Fraction(v) for v in np.asarray(values, dtype=float).tolist()]


def vertices(design: np.ndarray, target: Any) -> Iterator[Exact]:
    """Yield all basic solutions of design x = target, in rationals."""
    m, n = design.shape
    for size in range(m + 1):
        for chosen in itertools.combinations(range(n), size):
            rows = [[*exactly(design[i, list(chosen)]), Fraction(target[i])] for i in range(m)]
            pivots = eliminate(rows, size)
            if len(pivots) < size or any(row[size] for row in rows[size:]):
                continue
            x = [Fraction(0)] * n
            for j, row in zip(chosen, rows, strict=False):
                x[j] = row[size]
            yield x


def solved(problem: so.BasisPursuit, solver: str | None = None) -> Any:
    solution = so.solve(problem, solver)
    assert solution.status is so.Status.VERIFIED, solution.plan
    assert so.verify(so.from_json(so.to_json(solution))).ok
    return solution


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("solver", [None, "highs"])
def test_against_all_vertices_in_rationals(seed: int, solver: str | None) -> None:
    r = np.random.default_rng(seed)
    m, n = int(r.integers(1, 4)), int(r.integers(2, 7))
    design = r.integers(-3, 4, (m, n)).astype(float)
    target = r.integers(-5, 6, m).astype(float)
    optima = list(vertices(design, target))
    solution = so.solve(so.BasisPursuit(design, target), solver)
    assert so.verify(solution).ok
    assert solution.answer.feasible == bool(optima)
    certificate, x = solution.certificate, exactly(solution.answer.x)
    residual = [
        sum(a * b for a, b in zip(exactly(row), x, strict=True)) - Fraction(t)
        for row, t in zip(design, target, strict=True)
    ]
    square = sum(v * v for v in residual)
    if not optima:
        assert square <= Fraction(certificate.primal) ** 2
        right = np.linalg.lstsq(design, target)[0]
        smallest = float(np.linalg.norm(design @ right - target))
        assert solution.answer.smallest_residual == pytest.approx(smallest, rel=1e-12)
        return
    least = min(sum(map(abs, v)) for v in optima)
    assert solution.status is so.Status.VERIFIED
    assert square <= Fraction(certificate.misfit) ** 2
    assert sum(map(abs, x)) <= Fraction(certificate.primal)
    assert Fraction(certificate.dual) <= least
    assert float(least) == pytest.approx(certificate.primal, rel=1e-12)
    best = {tuple(v) for v in optima if sum(map(abs, v)) == least}
    if solution.answer.unique:
        assert len(best) == 1
        assert np.allclose(solution.answer.x, [float(v) for v in best.pop()], atol=1e-12)


def test_public_cases() -> None:
    case = CASES["pursuit_noise"]
    solution = solved(so.BasisPursuit(case["design"], case["target"], case["noise"]))
    assert np.allclose(solution.answer.x, case["x"], atol=1e-12)
    assert solution.certificate.primal == pytest.approx(case["norm"], rel=1e-13)
    assert solution.answer.unique
    assert solution.certificate.misfit <= case["noise"]
    solution = solved(so.BasisPursuit(np.eye(3), [5, 3, 1], 3))
    assert np.allclose(solution.answer.x, [3, 1, 0], atol=1e-14)
    case = CASES["pursuit_planted"]
    design, target, x = planted(case["m"], case["n"], case["k"], case["seed"])
    assert {str(j): x[j] for j in np.flatnonzero(x)} == pytest.approx(case["x"], rel=1e-14)
    for solver in ("highs", "douglas_rachford"):
        solution = solved(so.BasisPursuit(design, target), solver)
        assert np.allclose(solution.answer.x, x, atol=1e-13)
        assert solution.certificate.primal == pytest.approx(case["norm"], rel=1e-13)
        assert solution.answer.unique
        assert solution.answer.support.tolist() == sorted(map(int, case["x"]))


def test_small_closed_forms() -> None:
    assert np.allclose(so.solve(so.BasisPursuit([[3, 4]], [10], norm=2)).answer.x, [1.2, 1.6])
    flat = so.solve(so.BasisPursuit([[3, -4]], [14], norm=math.inf))
    assert np.allclose(flat.answer.x, [2, -2])
    assert flat.answer.unique
    # The second entry may be anything up to the first.
    free = so.solve(so.BasisPursuit([[3, 0]], [6], norm=math.inf))
    assert free.answer.unique is False
    nothing = so.solve(so.BasisPursuit([[1, 2], [2, 4]], [1, 3]))
    assert nothing.answer.feasible is False
    assert nothing.answer.smallest_residual == pytest.approx(1 / math.sqrt(5), rel=1e-14)
    assert nothing.certificate.dual == pytest.approx(1 / math.sqrt(5), rel=1e-14)
    assert str(nothing.answer).endswith("the smallest residual is at most 0.447214")
    exact = so.solve(so.BasisPursuit([[1, 0, 1], [0, 1, 1]], [0.3, 0.7]))
    assert exact.certificate.primal == pytest.approx(0.7, rel=1e-14)


@pytest.mark.parametrize("norm", [1, 2, math.inf])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_against_cvxpy(norm: float, noise: float) -> None:
    import cvxpy

    design, target, _ = planted(10, 20, 3, 7)
    target = target + 0.1 * np.random.default_rng(0).standard_normal(10)
    x = cvxpy.Variable(20)
    kind = "inf" if norm == math.inf else norm
    fits = cvxpy.norm(design @ x - target, 2) <= noise if noise else design @ x == target
    value = cvxpy.Problem(cvxpy.Minimize(cvxpy.norm(x, kind)), [fits]).solve(solver="CLARABEL")
    solution = solved(so.BasisPursuit(design, target, noise, norm))
    assert solution.certificate.primal == pytest.approx(value, rel=1e-6)
    if noise:
        assert solution.certificate.misfit <= noise


@pytest.mark.parametrize("norm", [1, 2, math.inf])
@pytest.mark.parametrize(("a", "b"), [(1e148, 1e-130), (1e-130, 1e140), (1.0, 1e-12), (1e9, 1.0)])
def test_units_do_not_matter(norm: float, a: float, b: float) -> None:
    design, target, _ = planted(8, 16, 2, 3)
    plain = solved(so.BasisPursuit(design, target, norm=norm))
    there = solved(so.BasisPursuit(a * design, b * target, norm=norm))
    assert there.certificate.primal == pytest.approx(plain.certificate.primal * (b / a), rel=1e-10)
    assert there.answer.unique == plain.answer.unique


def test_duplicated_columns_are_never_unique() -> None:
    design, target, _ = planted(12, 24, 3, 0)
    for sign in (1.0, -1.0):
        for noise in (0.0, 0.05):
            twice = so.BasisPursuit(np.hstack([design, sign * design]), target, noise)
            assert solved(twice).answer.unique is False
            assert solved(so.BasisPursuit(design, target, noise)).answer.unique is True
    nearly = np.hstack([design, design * (1 + 1e-15)])
    assert solved(so.BasisPursuit(nearly, target)).answer.unique is False


def test_a_vector_that_is_not_recovered() -> None:
    """With too many entries planted, the optimum is another vector, and it is said to be one."""
    design, target, x = planted(8, 40, 7, 5)
    solution = solved(so.BasisPursuit(design, target))
    assert solution.certificate.primal < np.abs(x).sum() * 0.999


def test_systems_that_fit_up_to_rounding() -> None:
    """More equations than unknowns: the target, rounded, has no solution, and none is missed."""
    r = np.random.default_rng(0)
    design, x = r.standard_normal((20, 6)), r.standard_normal(6)
    for norm in (1, 2, math.inf):
        solution = solved(so.BasisPursuit(design, design @ x, norm=norm))
        assert solution.answer.feasible
        assert solution.certificate.misfit < 1e-13
        assert np.allclose(solution.answer.x, x, atol=1e-12)
        off = so.solve(so.BasisPursuit(design, design @ x + 1.0, norm=norm))
        assert off.answer.feasible is False
        assert off.status is so.Status.VERIFIED
        assert 0 < off.certificate.dual <= off.answer.smallest_residual


@pytest.mark.parametrize("norm", [1, 2, math.inf])
def test_dependent_rows(norm: float) -> None:
    design, target, _ = planted(6, 20, 2, 1)
    rows = np.vstack([design, design[:2], np.zeros((1, 20))])
    solution = solved(so.BasisPursuit(rows, np.append(target, [*target[:2], 0.0]), norm=norm))
    plain = solved(so.BasisPursuit(design, target, norm=norm))
    assert solution.certificate.primal == pytest.approx(plain.certificate.primal, rel=1e-11)
    nothing = so.solve(so.BasisPursuit(rows, np.append(target, [*target[:2], 1.0]), norm=norm))
    assert nothing.answer.feasible is False


def test_trivial_answers() -> None:
    design = np.array([[1.0, 2.0], [3.0, 4.0]])
    for norm in (1, 2, math.inf):
        for problem in (
            so.BasisPursuit(design, [0.0, 0.0], 0.0, norm),
            so.BasisPursuit(design, [1.0, 1.0], 2.0, norm),
            so.BasisPursuit(0 * design, [0.0, 0.0], 0.0, norm),
            so.BasisPursuit([[0.0]], [0.0], 0.0, norm),
        ):
            solution = solved(problem)
            assert not solution.answer.x.any()
            assert solution.answer.unique
            assert solution.certificate.primal == solution.certificate.gap == 0.0
        assert not so.solve(so.BasisPursuit(0 * design, [1.0, 0.0], 0.5, norm)).answer.feasible
        assert solved(so.BasisPursuit([[2.0]], [4.0], 0.0, norm)).answer.x == pytest.approx(2.0)


@pytest.mark.parametrize("norm", [1, 2, math.inf])
@pytest.mark.parametrize(
    ("design", "target", "noise"),
    [
        ([[1.0, 2.0]], [1.0], 1.0),
        ([[0.0, 0.5]], [-1.375e-43], 1.375e-43),
        ([[0.5, -1.5], [-1.0, -0.5]], [-3.0, 4.0], 5.0),
        ([[1 + 1j, 1 + 2j, 1 - 2j]], [3.0 + 4.0j], 5.0),
        ([[1.0, 1.0], [0.0, -2.0]], [-1.0, -0.5], 1.118033988749895),  # the float next to it
    ],
)
def test_noise_of_the_norm_of_the_target(
    norm: float, design: Any, target: Any, noise: float
) -> None:
    solution = solved(so.BasisPursuit(design, target, noise, norm))
    assert not solution.answer.x.any()
    assert solution.certificate.primal == solution.certificate.gap == 0.0


def test_kinds_of_arrays() -> None:
    design, target, _ = planted(8, 16, 2, 3)
    wide = np.zeros((8, 32))
    wide[:, ::2] = design
    right = so.solve(so.BasisPursuit(design, target)).answer.x
    for kind in (
        np.asfortranarray(design),
        wide[:, ::2],
        scipy.sparse.csr_array(design),
        scipy.sparse.coo_array(design),
        design.tolist(),
    ):
        assert np.allclose(solved(so.BasisPursuit(kind, target)).answer.x, right, atol=1e-12)
    single = so.BasisPursuit(design.astype(np.float32), target.astype(np.float32))
    assert np.allclose(solved(single).answer.x, right, atol=1e-4)


@pytest.mark.parametrize("seed", range(10))
def test_flat_vectors(seed: int) -> None:
    """A vertex has fewer than rank entries below the largest, and is unique as a rule."""
    r = np.random.default_rng(seed)
    design, target = r.standard_normal((5, 12)), r.standard_normal(5)
    solution = solved(so.BasisPursuit(design, target, norm=np.inf))
    size = np.abs(solution.answer.x)
    assert np.count_nonzero(size < size.max()) <= 4
    assert solution.answer.unique
    twice = solved(so.BasisPursuit(np.hstack([design, 0 * design]), target, norm=np.inf))
    assert twice.answer.unique is False


@pytest.mark.parametrize(
    "build",
    [
        lambda: so.PursuitAnswer([[0.0]]),
        lambda: so.PursuitAnswer([0.0], 1),
        lambda: so.PursuitAnswer([0.0], True, "0"),
        lambda: so.PursuitAnswer([0.0], True, None, None),
        lambda: so.PursuitAnswer(["a"]),
        lambda: so.SubsetCertificate(None, None, [0.5], (), [[0]], 0.0, 0.0),
        lambda: so.SubsetCertificate(None, None, [-1], (), [[0]], 0.0, 0.0),
        lambda: so.SubsetCertificate(None, None, [0], (), [0], 0.0, 0.0),
        lambda: so.SubsetCertificate(None, None, [0], 3, [[0]], 0.0, 0.0),
        lambda: so.SubsetCertificate(None, None, [0], (), [[0]], "0", 0.0),
        lambda: so.KnownSupportCertificate(None, None, [0.5], [[0.0]], [0.0], *[0.0] * 6),
        lambda: so.KnownSupportCertificate(None, None, [0], [0.0], [0.0], *[0.0] * 6),
        lambda: so.KnownSupportCertificate(None, None, [0], [[math.nan]], [0.0], *[0.0] * 6),
        lambda: so.BallCertificate(None, None, [[0.0]], 0.0, 0.0, 0.0),
    ],
)
def test_bad_evidence(build: Callable[[], Any]) -> None:
    with pytest.raises(so.ProblemError):
        build()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: so.BasisPursuit([[1.0]], [1.0], -1.0), "noise is -1.0; it must be"),
        (lambda: so.BasisPursuit([[1.0]], [1.0], math.nan), "noise is nan"),
        (lambda: so.BasisPursuit([[1.0]], [1.0], math.inf), "noise is inf"),
        (lambda: so.BasisPursuit([[1.0]], [1.0], "a"), "noise must be a number"),
        (lambda: so.BasisPursuit([[1.0]], [1.0], 0.0, 3), "norm must be 1, 2 or infinity"),
        (lambda: so.BasisPursuit([[1.0]], [1.0], 0.0, True), "norm must be 1, 2 or infinity"),
        (lambda: so.BasisPursuit([[1.0]], [1.0], 0.0, "1"), "norm must be 1, 2 or infinity"),
        (lambda: so.BasisPursuit([[math.nan]], [1.0]), "design has a nan"),
        (lambda: so.BasisPursuit([[1.0]], [math.inf]), "target has an inf"),
        (lambda: so.BasisPursuit([[1.0]], [1.0, 2.0]), "target has shape"),
        (lambda: so.BasisPursuit(np.zeros((0, 2)), []), "at least one row"),
        (lambda: so.BasisPursuit([[1.0]], [1e10], 1e-320), "so small .* no scale in float64"),
        (lambda: so.BasisPursuit([[1.0]], [1e-150], 1e300), "so large .* no scale in float64"),
    ],
)
def test_bad_input(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        build()


def test_the_claim_names_the_norm() -> None:
    for norm, words in ((1, "its 1-norm"), (2, "its 2-norm"), (math.inf, "its maximum norm")):
        claim = so.solve(so.BasisPursuit([[3.0, 4.0]], [5.0], norm=norm)).certificate.claim
        assert words in claim


@pytest.mark.parametrize("seed", range(8))
def test_correlations_enclose_the_exact_ones(seed: int) -> None:
    """Sharp ones near the largest and on the support, rough ones elsewhere: all in rationals."""
    rng = np.random.default_rng(seed)
    design = rng.standard_normal((6, 15)) * 10.0 ** rng.uniform(-3, 3, 15)
    w, x = rng.standard_normal(6), np.zeros(15)
    x[:2] = 1.0
    fit = Fit(so.BasisPursuit(design, design[:, 0]).system)
    values, errors = _correlations(fit, w, x)
    for j in range(15):
        column = map(Fraction, fit.scaled.dense()[:, j].tolist())
        exact = sum(a * b for a, b in zip(column, map(Fraction, w.tolist()), strict=True))
        assert abs(Fraction(float(values[j])) - exact) <= Fraction(float(errors[j]))
    largest = int(np.argmax(np.abs(values)))
    for j in (0, 1, largest):
        assert errors[j] <= 4e-16 * abs(values[j])


@pytest.mark.parametrize("norm", [1, 2, math.inf])
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("seed", [0, 3])
def test_products_of_ill_conditioned_factors(seed: int, noise: float, norm: float) -> None:
    """Rounded, their columns would cost the proof their condition times 2^-53.

    The dual point bounds all norms over the rationals: b.w - noise |w| over the dual norm of A^T w.
    """
    rng = np.random.default_rng(seed)
    patterns = so.Architecture(
        [so.KroneckerPattern(*p) for p in ((1, 2, 2, 4), (2, 2, 2, 2), (4, 2, 2, 1))]
    )
    design = so.KroneckerProduct([rng.standard_normal(tuple(p)) for p in patterns], patterns)
    target = np.random.default_rng(seed + 50).standard_normal(8)
    solution = so.solve(so.BasisPursuit(design, target, noise, norm))
    tolerance = 1e-11 if noise and norm == math.inf else 1e-12
    assert solution.certificate.accuracy <= tolerance
    assert so.verify(solution).ok
    exact = exact_columns(design)
    w = [Fraction(float(v)) for v in np.atleast_2d(solution.certificate.dual_point).sum(axis=0)]
    reach = [abs(sum(a * v for a, v in zip(column, w, strict=True))) for column in exact.T]
    dual = {1: max(reach), math.inf: sum(reach)}.get(norm)
    if dual is not None:
        inner = sum(Fraction(float(y)) * v for y, v in zip(target, w, strict=True))
        lost = noise * math.sqrt(sum(float(v) ** 2 for v in w))
        bound = (float(inner) - lost) / float(dual)
        assert bound == pytest.approx(solution.certificate.primal, rel=1e-9)


def exact_columns(product: so.KroneckerProduct) -> np.ndarray:
    """Return a product of factors over the rationals, from the definition of its factors."""
    found = None
    for factor, (a, b, c, d) in zip(product.factors, product.architecture, strict=True):
        dense = np.full((a * b * d, a * c * d), Fraction(0))
        for i, j, k, el in np.ndindex(a, b, c, d):
            dense[(i * b + j) * d + el, (i * c + k) * d + el] = Fraction(float(factor[i, j, k, el]))
        found = dense if found is None else found.dot(dense)
    assert found is not None
    return found


@pytest.mark.parametrize(("size", "most"), [(6, 1e-13), (8, 1e-12), (10, 1e-11), (12, 1e-10)])
def test_hilbert_matrices_are_solved_as_far_as_floats_fit(size: int, most: float) -> None:
    """The solution over the rationals is not one of floats; those nearest to it fit that well."""
    design = scipy.linalg.hilbert(size)
    for norm in (1, 2, math.inf):
        solution = so.solve(so.BasisPursuit(design, np.ones(size), norm=norm))
        assert solution.certificate.accuracy <= most
        assert so.verify(solution).ok
        rational = sympy.Matrix(size, size, lambda i, j: sympy.Rational(float(design[i, j])))
        exact = rational.LUsolve(sympy.ones(size, 1))
        np.testing.assert_allclose(solution.answer.x, [float(v) for v in exact], rtol=1e-9)


def test_coefficients_of_columns_that_depend_on_others_are_rounded_with_them() -> None:
    """Of 10 columns in 8 dimensions two stay as they are; what rounding them misses counts too."""
    places = np.arange(8)[:, None] + np.arange(10) + 1.0
    solution = so.solve(so.BasisPursuit(1.0 / places, np.ones(8), norm=2))
    assert solution.certificate.accuracy <= 1e-12
    rational = sympy.Matrix(8, 10, lambda i, j: sympy.Rational(float(1.0 / places[i, j])))
    least = rational.T * (rational * rational.T).LUsolve(sympy.ones(8, 1))
    np.testing.assert_allclose(solution.answer.x, [float(v) for v in least], rtol=1e-9)
