"""Claims that were false by what underflows, or is rounded, on the way: in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.inverse.known_support_certificate import KnownSupportCertificate
from sparseopt.networks import Dense, chain


def exact(product: so.KroneckerProduct) -> list[list[Fraction]]:
    """Return the product of the factors in rational arithmetic."""
    found: list[list[Fraction]] | None = None
    for factor, (a, b, c, d) in zip(product.factors, product.architecture, strict=True):
        whole = [[Fraction(0)] * (a * c * d) for _ in range(a * b * d)]
        for i, j, k, t in np.ndindex(factor.shape):
            whole[(i * b + j) * d + t][(i * c + k) * d + t] = Fraction(float(factor[i, j, k, t]))
        if found is None:
            found = whole
        else:
            columns = list(zip(*whole, strict=True))
            found = [
                [sum((x * y for x, y in zip(row, c, strict=True)), Fraction(0)) for c in columns]
                for row in found
            ]
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_errors_in_unknown_orders_are_of_the_exact_product(seed: int, dtype: Any) -> None:
    rng, architecture = np.random.default_rng(seed), so.Architecture.square_dyadic(4)
    factors = [rng.normal(size=p.values_shape).astype(dtype) for p in architecture]
    target = so.KroneckerProduct(factors, architecture)
    solution = so.solve(so.ButterflyFactorization(target, architecture, "unknown"))
    assert so.verify(solution).ok
    answer, one, two = solution.answer, exact(target), exact(solution.answer.product)
    squares = sum(
        (one[r][c] - two[i][j]) ** 2
        for i, r in enumerate(answer.rows.tolist())
        for j, c in enumerate(answer.columns.tolist())
    )
    low, high = solution.certificate.error_interval
    assert Fraction(low) ** 2 <= squares <= Fraction(high) ** 2


@pytest.mark.parametrize(("x", "y"), [(1e-200, 1e-200), (0.5, 5e-324)])
def test_a_product_that_underflows_is_not_0(x: float, y: float) -> None:
    problem = so.FixedSupportFactorization([[0.0]], [[[1]], [[1]]])
    answer = so.SupportedFactors(np.array([[x]]), np.array([[y]]), "attained")
    check = so.verify(so.FixedSupportCertificate(problem, answer, (0.0, 0.0), 0.0))
    assert check.outcome == "refused"


def test_no_gap_is_0_because_factors_underflow() -> None:
    problem = so.FixedSupportFactorization([[1e150, 0.0]], [[[1]], [[0, 1]]], 1e10)
    answer = so.SupportedFactors(np.array([[1e-300]]), np.array([[0.0, 1e-300]]), "attained")
    _, built = so.CoerciveCertificate.build(problem, answer)
    assert built.gap > 0.0
    forged = so.CoerciveCertificate(
        problem, answer, None, None, {}, built.primal, built.dual, 0.0, ()
    )
    assert so.verify(forged).outcome == "refused"


def test_moduli_of_complex_coefficients_are_rounded() -> None:
    """The objective at x = y is the penalty; it is compared with its square, exactly."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        x = rng.standard_normal(1) + 1j * rng.standard_normal(1)
        problem = so.SparseRegression(np.eye(1, dtype=complex), x, so.L1(2.0**-7))
        _, certificate = so.DualityGapCertificate.build(problem, x)
        real, imaginary = Fraction(float(x[0].real)), Fraction(float(x[0].imag))
        assert (128 * Fraction(certificate.primal)) ** 2 >= real**2 + imaginary**2


def test_penalties_of_derived_classes_are_judged_as_what_they_are() -> None:
    class Mine(so.TotalVariation):
        pass

    x = np.array([1.0, -1.0, 1.0, -1.0])
    problem = so.SparseRegression(np.eye(4), x, Mine(1.0))
    _, certificate = so.DualityGapCertificate.build(problem, x)
    assert certificate.primal >= 6.0


def test_parts_of_answers_and_problems_are_of_the_very_class() -> None:
    architecture = so.Architecture.square_dyadic(4)
    rng = np.random.default_rng(0)
    good = so.KroneckerProduct(
        [rng.normal(size=p.values_shape) for p in architecture], architecture
    )

    class Two(so.KroneckerProduct):
        def to_numpy(self) -> so.KroneckerProduct:
            return good

    bad = Two([np.zeros(p.values_shape) for p in architecture], architecture)
    problem = so.ButterflyFactorization(good.to_dense(), architecture, "unknown")
    answer = so.PermutedKroneckerProduct(bad, range(4), range(4))
    assert so.verify(so.PermutedButterflyCertificate(problem, answer)).outcome == "refused"


ODD = 2**53 + 1
DYADIC = so.Architecture.square_dyadic(2)


@pytest.mark.parametrize(
    "made",
    [
        lambda: so.RecoveryGuarantee([[ODD, 2**53], [1, 1.0]], sparsity=1),
        lambda: so.RecoveryGuarantee([[2**63 + 1, -1], [1, 2]], sparsity=1),
        lambda: so.ButterflyFactorization([[ODD, 1.0], [1, 1]], DYADIC),
        lambda: so.KroneckerProduct([[[[[ODD], [1.0]], [[1], [1]]]]], [(1, 2, 2, 1)]),
        lambda: so.FixedSupportFactorization([[ODD, 0.5]], [[[1]], [[1, 1]]]),
        lambda: so.SparseRegression([[ODD, 0.5]], [1.0], so.L1(1.0)),
        lambda: so.SparseRegression([[1.0], [0.5]], [ODD, 0.5], so.L1(1.0)),
        lambda: so.SparseRegression([[1.0, 0.5]], [1.0], so.L1(1.0, weights=[ODD, 0.5])),
        lambda: so.RankOneQuantization([ODD, 0.5], [1.0], "F3", "F3"),
        lambda: Dense([[ODD, 0.5]]),
        lambda: so.OutputChange(ONE, ONE, [-1.0], [ODD]),
        lambda: so.Identifiability(ONE, [[ODD], [0.5]]),
    ],
)
def test_no_large_integer_beside_floats_is_rounded(made: Any) -> None:
    with pytest.raises(so.ProblemError, match=r"(9007199254740993|9223372036854775809)"):
        made()


ONE = chain((1,), Dense([[1.0]]))


def test_integers_and_floats_that_are_the_same_mix() -> None:
    for number in (2**53, 2**60, -(2**62), ODD - 1):
        assert Dense([[number, 0.5]]).weight[0, 0] == number


def test_shares_of_repairs_are_rounded_up() -> None:
    supports = [np.ones((1, 1))] * 2
    problem: Any = so.NearestClosedSupport([[[1]], [[1]]])
    for lower, cost, exact in (
        (2, Fraction(3), Fraction(1, 3)),
        (2**900 - Fraction(1, 2**200), Fraction(2**900), Fraction(1, 2**1100)),
        (3, Fraction(3), Fraction(0)),
        (5, Fraction(3), Fraction(0)),
    ):
        answer = so.ClosedSupport(supports, 1, lower, cost)  # type: ignore[arg-type]
        found = Fraction(so.ClosedSupportCertificate(problem, answer, (), ()).accuracy)  # type: ignore[arg-type]
        assert exact <= found <= exact * (1 + Fraction(1, 2**50)) + Fraction(5e-324)
        assert (found == 0) == (exact == 0)


def far_apart(count: int) -> list[np.ndarray]:
    """Return 16 x 16 factors with entries of at most 1: all but the last row and column underflow
    in the first two from the right, and grow by 15 in each of the others."""
    near = 1 - 2.0**-53
    dense = np.full((16, 16), near)
    dense[-1, :] = dense[:, -1] = 0
    dense[-1, -1] = near
    sparse = np.zeros((16, 16))
    sparse[1, 1], sparse[-1, -1] = 2.0**-600, near
    return [dense] * count + [sparse, sparse]


def chained(factors: list[np.ndarray]) -> so.KroneckerProduct:
    patterns = so.Architecture([(1, *factor.shape, 1) for factor in factors])
    return so.KroneckerProduct([f.reshape(1, *f.shape, 1) for f in factors], patterns)


def test_what_underflows_may_grow_again() -> None:
    """The entry of row 0 and column 1 is 33758, and 0 in floats of any scale."""
    product = chained(far_apart(312))
    target = np.zeros((16, 16))
    target[-1, -1] = 1.0
    problem = so.ButterflyFactorization(target, product.architecture)
    for proof in (
        so.ButterflyCertificate(problem, product),
        so.ButterflyCertificate(problem, product, probes=64),
    ):
        check = so.verify(proof)
        assert not check.ok, check.claim


def test_what_underflows_in_a_target_may_grow_again() -> None:
    problem = so.ButterflyFactorization(chained(far_apart(312)), so.Architecture([(1, 16, 16, 1)]))
    nothing = so.KroneckerProduct([np.diag(np.eye(16)[-1])[None, ..., None]], problem.architecture)
    assert not so.verify(so.ButterflyCertificate(problem, nothing)).ok


def test_what_underflows_in_factors_that_are_rounded_may_grow_again() -> None:
    given = [np.asarray(f) for f in far_apart(312)]
    other = [*given[:-1], given[-1].copy()]
    other[-1][1, 1] *= 1.75
    formats = [None] * (len(given) - 1) + ["F53"]
    problem = so.ProductQuantization(chained(given), formats)
    proof = so.ProductQuantizationCertificate.build(problem, chained(other))
    assert proof.relative_error > 0.7 or not so.verify(proof).ok


def test_squares_of_tiny_groups_of_factors_are_counted() -> None:
    """A group of 2^-545 beside one that makes up for it: products round by more than nothing."""
    rng = np.random.default_rng(0)
    first = np.zeros((16, 16))
    first[:, 1:] = rng.uniform(0.6, 0.999, (16, 15)) * 2.0**-545
    first[0, 0] = 0.9
    second = np.zeros((16, 2))
    second[1:] = rng.uniform(0.6, 0.999, (15, 2))
    rest = [rng.uniform(0.6, 0.999, shape) for shape in [(2, 16)] + [(16, 16)] * 70]
    product = chained([first, second, *rest])
    right = exact(product)
    target = np.array([[float(entry) for entry in row] for row in right])
    proof = so.ButterflyCertificate(
        so.ButterflyFactorization(target, product.architecture), product
    )
    squares = sum((Fraction(float(target[i, j])) - right[i][j]) ** 2 for i, j in np.ndindex(16, 16))
    low, high = proof.error_interval
    assert Fraction(low) ** 2 <= squares <= Fraction(high) ** 2


@pytest.mark.parametrize("penalty", [so.L1(2.0**-500), so.GroupL1(2.0**-500, [[0]]), so.L1(0.0)])
def test_a_target_is_not_0_because_a_row_of_weight_0_has_a_larger_one(penalty: Any) -> None:
    design, target = np.array([[1.0], [2.0**99]]), np.array([2.0**499, 2.0**-576])
    weights = np.array([0.0, 1.0])
    problem = so.SparseRegression(design, target, penalty, sample_weights=weights)
    proof = so.DualityGapCertificate(
        problem, so.Coefficients(np.zeros(1)), np.zeros(2), 0.0, 0.0, 0.0, np.zeros(0, int)
    )
    assert not so.verify(proof).ok


def test_distances_are_relative_to_the_largest_column_itself() -> None:
    """Of factors whose products cancel it is far smaller than a bound of their magnitudes."""
    ulp = 2.0**-52
    design = chained(
        [np.array([[1 + ulp, 1.0], [1 + ulp, 1.0]]), np.array([[1 - ulp] * 2, [-1.0] * 2])]
    )
    problem = so.KnownSupportRegression(design, [1.0, 1.0], [0, 1])
    nothing = np.zeros((0, 2))
    _, proof = KnownSupportCertificate.build(
        problem, np.zeros(2), np.zeros(0, int), nothing, np.zeros(0)
    )
    largest = max(sum(v**2 for v in column) for column in zip(*exact(design), strict=True))
    assert proof.distance**2 / float(largest) <= proof.relative_distance**2
