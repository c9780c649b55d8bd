"""Products in numbers of few bits: errors against exact arithmetic, laws of the solvers."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rank_one_oracle
from sparseopt_quantization.descent import Descent
from sparseopt_quantization.products import Work
from sparseopt_quantization.swept import Swept
from sparseopt_quantization.terms import Terms

import sparseopt as so
from sparseopt.quantization import chain_error
from sparseopt.quantization.chain_error import _Paths, relative_error

CASES = json.loads((Path(__file__).parent / "product_cases.json").read_text())["cases"]
CHAIN = [(1, 3, 2, 4), (2, 2, 2, 2), (4, 2, 3, 1)]
LONG = [(1, 2, 2, 8), (2, 2, 3, 4), (6, 2, 1, 2), (6, 2, 2, 1)]
METHODS = ("nearest", "pairwise", "left_to_right", "right_to_left", "swept")


def product(patterns: Any, seed: int = 0, dtype: Any = np.float64) -> so.KroneckerProduct:
    """Return a random product."""
    rng = np.random.default_rng(seed)
    architecture = so.Architecture(patterns)
    factors = []
    for p in architecture:
        values = rng.standard_normal(p.values_shape)
        if np.dtype(dtype).kind == "c":
            values = values + 1j * rng.standard_normal(p.values_shape)
        factors.append(values.astype(dtype))
    return so.KroneckerProduct(factors, architecture)


def times(given: so.KroneckerProduct, *powers: int) -> so.KroneckerProduct:
    """Return a product with its factors times powers of two."""
    factors = [np.ldexp(f, p) for f, p in zip(given.factors, powers, strict=True)]
    return so.KroneckerProduct(factors, given.architecture)


def certificate(
    given: so.KroneckerProduct, form: Any, method: str | None = None, **more: Any
) -> Any:
    """Return the certificate of the answer, which the core has accepted."""
    solution = so.solve(so.ProductQuantization(given, form), method, **more)
    assert solution.status is so.Status.VERIFIED
    return solution.certificate


def dense_error(one: so.KroneckerProduct, other: so.KroneckerProduct) -> float:
    """Return the relative error by dense matrices."""
    a, b = one.to_dense(), other.to_dense()
    return float(np.linalg.norm(a - b) / np.linalg.norm(a))


def read(entries: Any, pattern: Any) -> np.ndarray:
    """Return the values of a factor from its nonzeros (row, column, value)."""
    matrix = np.zeros(so.KroneckerPattern(*pattern).shape)
    for i, j, value in entries:
        matrix[i, j] = float.fromhex(value)
    rows, columns = so.KroneckerPattern(*pattern).indices()
    found: np.ndarray = matrix[rows, columns].reshape(pattern)
    return found


@pytest.mark.parametrize("case", [c for c in CASES if c["kind"] == "two_factor"])
def test_public_pairs(case: Any) -> None:
    patterns = [case["p1"], case["p2"]]
    given = so.KroneckerProduct([read(case[f"W{i}"], case[f"p{i}"]) for i in (1, 2)], patterns)
    for method in (None, "pairwise", "left_to_right", "right_to_left", "swept"):
        found = certificate(given, [case["t1"], case["t2"]], method)
        assert found.relative_error == pytest.approx(case["opt_rel_error"], rel=1e-9)
    assert certificate(given, [case["t1"], case["t2"]]).accuracy < 1e-15


@pytest.mark.parametrize("case", [c for c in CASES if c["kind"] == "chain"])
def test_public_chains(case: Any) -> None:
    pairs = zip(case["W"], case["patterns"], strict=True)
    given = so.KroneckerProduct([read(w, p) for w, p in pairs], case["patterns"])
    known, digits = case["rel_error"], case["t"]
    found = {m: certificate(given, digits, m).relative_error for m in METHODS}
    weighted = certificate(given, digits, "left_to_right", weighted=True).relative_error
    assert found["nearest"] == pytest.approx(known["rtn"], rel=1e-12)
    assert found["left_to_right"] <= known["l2r"] * (1 + 1e-12)
    assert weighted <= known["l2r_weighted"] * (1 + 1e-12)
    published = certificate(given, digits, "pairwise", triple=False).relative_error
    assert published == pytest.approx(known["pairwise"], rel=1e-9)
    # An odd chain ends in three factors together, not in plain rounding.
    assert found["pairwise"] < known["pairwise"]
    assert found["swept"] <= min(found.values())


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128, np.complex64])
@pytest.mark.parametrize("patterns", [CHAIN, LONG, [(1, 2, 2, 1)], [(1, 2, 2, 3), (2, 3, 3, 1)]])
def test_errors_are_those_of_the_matrices(patterns: Any, dtype: Any) -> None:
    given = product(patterns, dtype=dtype)
    found = certificate(given, 5, "nearest")
    if np.dtype(dtype).itemsize // (1 + (np.dtype(dtype).kind == "c")) == 8:
        assert found.relative_error == pytest.approx(dense_error(given, found.answer), rel=1e-9)
    else:
        assert found.relative_error == pytest.approx(dense_error(given, found.answer), rel=1e-3)


def exact_square(one: so.KroneckerProduct, other: so.KroneckerProduct) -> Fraction:
    """Return the squared relative error from matrices of rationals."""

    def dense(of: so.KroneckerProduct) -> Any:
        whole: Any = None
        for factor, pattern in zip(of.factors, of.architecture, strict=True):
            matrix = np.vectorize(Fraction, otypes=[object])(pattern.dense(factor))
            whole = matrix if whole is None else whole.dot(matrix)
        return whole

    a, b = dense(one), dense(other)
    return ((a - b) ** 2).sum() / (a**2).sum()


def test_errors_of_long_chains() -> None:
    """Beyond where squared norms leave the range of floats; against rationals."""
    given = product([(1, 1, 2, 1), *[(2, 1, 1, 1)] * 520])
    for factor, digits in ((1.0, 3), (1e-150, 20)):
        moved = so.KroneckerProduct([f * factor for f in given.factors], given.architecture)
        rounded = so.ProductQuantization(moved, digits).nearest()
        chains = list(moved.factors), list(rounded.factors)
        exact = math.sqrt(chain_error._exact(*chains))
        figure = _Paths(given.architecture).relative_error(*chains)
        assert figure.low() <= exact <= figure.high()
        assert figure.high() - figure.low() < 1e-10
        turned = [[f * 1j**i for i, f in enumerate(chain)] for chain in chains]
        other = _Paths(given.architecture).relative_error(*turned)
        assert other.low() <= exact <= other.high()
    found = {m: certificate(given, 3, m).relative_error for m in ("nearest", "left_to_right")}
    assert found["left_to_right"] < 0.2 < found["nearest"]


def test_values_that_fit_are_left() -> None:
    """Methods that share out what rounding takes have nothing to do where it takes nothing."""
    rng = np.random.default_rng(0)
    patterns = so.Architecture.square_dyadic(8)
    fits = [rng.choice([1.125, 1.375, -1.625], p.values_shape) for p in patterns]
    tiny = [np.full(p.values_shape, 5e-324) for p in patterns]
    for factors, form in ((fits, "e4m3"), (tiny, 3), (tiny, 24)):
        given = so.KroneckerProduct(factors, patterns)
        for method in METHODS:
            assert certificate(given, form, method).relative_error == 0.0
    single = product(patterns, dtype=np.float32)
    below = so.KroneckerProduct([f * np.float32(1e-38) for f in single.factors], patterns)
    for method in METHODS:
        found = certificate(below, "bf16", method)
        assert found.relative_error <= found.nearest_relative_error


@pytest.mark.parametrize("digits", [2, 8, 24, 45])
@pytest.mark.parametrize("seed", range(3))
def test_rooms_of_rounding_hold(digits: int, seed: int) -> None:
    """The error in floats encloses the exact one, also where factors are scaled against each other
    and the error is far below that of the factors."""
    rng = np.random.default_rng(seed)
    given = product(CHAIN, seed)
    rounded = so.ProductQuantization(given, digits).nearest()
    cut = rng.uniform(0.5, 2.0, 8) * 10.0 ** rng.integers(-9, 9, 8)
    first, second, third = rounded.factors
    moved = [first * cut.reshape(1, 1, 2, 4), second / cut.reshape(2, 2, 1, 2), third]
    other = so.KroneckerProduct(moved, given.architecture)
    exact = math.sqrt(exact_square(given, other))
    figure = _Paths(given.architecture).relative_error(list(given.factors), list(other.factors))
    assert abs(figure.high(0) - exact) <= 2 * (figure.high(1) - figure.high(0)) + 1e-16
    assert figure.low() <= exact <= figure.high()
    assert figure.high() - figure.low() < 1e-12 + 1e-9 * exact
    assert relative_error(given, other).high() == pytest.approx(exact, rel=1e-12)


def test_factors_scaled_against_each_other() -> None:
    """What the chains share out in other ways is no error."""
    given = product(LONG)
    rng = np.random.default_rng(1)
    factors = [np.array(f) for f in given.factors]
    for place in range(3):
        a, b, c, d = factors[place].shape
        cut = rng.uniform(0.5, 2.0, a * c * d) * 10.0 ** rng.integers(-20, 20, a * c * d)
        factors[place] = factors[place] * cut.reshape(a, 1, c, d)
        a, b, c, d = factors[place + 1].shape
        factors[place + 1] = factors[place + 1] / cut.reshape(a, b, 1, d)
    figure = _Paths(given.architecture).relative_error(list(given.factors), factors)
    assert figure.high() < 1e-12


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("forms", [(3, 3), (2, 4), ("e2m1", "e2m1")])
def test_two_factors_against_brute_force(seed: int, forms: Any) -> None:
    given = product([(1, 2, 2, 2), (2, 2, 2, 1)], seed)
    problem = so.ProductQuantization(given, list(forms))
    found = so.solve(problem).certificate
    terms = problem.terms()
    square = sum(t.squares[0] * t.squares[1] for t in terms)
    least = sum(rank_one_oracle.best_cost(t) * t.squares[0] * t.squares[1] for t in terms)
    assert found.relative_error == pytest.approx(math.sqrt(least / square), rel=1e-9)
    assert found.accuracy < 1e-14


@pytest.mark.parametrize("method", METHODS)
def test_powers_of_two_change_nothing(method: str) -> None:
    given = product(CHAIN)
    plain = certificate(given, 5, method)
    for powers in ((300, -300, 17), (-300, 280, -40), (-250, -250, -250), (300, 300, 300)):
        moved = certificate(times(given, *powers), 5, method)
        for one, other, p in zip(plain.answer.factors, moved.answer.factors, powers, strict=True):
            np.testing.assert_array_equal(np.ldexp(one, p), other)
        assert moved.relative_error == pytest.approx(plain.relative_error, rel=1e-12)


@pytest.mark.parametrize("form", ["e4m3", "e5m2", "fp16", "bf16", "e2m1", "int8", "int4"])
def test_formats_with_a_range(form: str) -> None:
    given = product(so.Architecture.square_dyadic(16))
    found = certificate(given, form)
    for factor in found.answer.factors:
        assert so.NumberFormat(form).contains(factor)
    assert found.relative_error <= found.nearest_relative_error


def test_powers_between_factors_bring_values_into_range() -> None:
    given = times(product(so.Architecture.square_dyadic(8)), 20, -20, 0)
    found = certificate(given, "e4m3")
    assert found.nearest_relative_error > 0.9
    assert found.relative_error < 0.1


def test_sweeps_are_monotone() -> None:
    given = product(so.Architecture.square_dyadic(32))
    errors = [
        certificate(given, 4, "swept", passes=passes, gain=0.0).relative_error
        for passes in (1, 2, 3, 4)
    ]
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(errors))


def test_complex_products_are_improved() -> None:
    given = product(so.Architecture.square_dyadic(32), dtype=np.complex128)
    found = certificate(given, 6)
    assert 10.0 * found.relative_error < found.nearest_relative_error


def test_factors_left_as_they_are() -> None:
    given = product(so.Architecture.square_dyadic(16))
    found = certificate(given, [4, None, 5, 5])
    np.testing.assert_array_equal(found.answer.factors[1], given.factors[1])
    assert found.relative_error < found.nearest_relative_error
    one = certificate(given, [None, 4, None, None])
    assert one.accuracy < 1e-12
    assert certificate(given, None).relative_error == 0.0


@pytest.mark.parametrize("target", [0.3, 1e-3])
def test_a_relative_error_is_met_with_few_digits(target: float) -> None:
    given = product(so.Architecture.square_dyadic(8))
    problem = so.ProductQuantization(given, None, relative_error=target)
    best, plain = (so.solve(problem, m).certificate for m in ("swept", "nearest"))
    assert max(best.relative_error, plain.relative_error) <= target
    assert sum(best.digits) < sum(plain.digits)
    assert best.relative_error < best.nearest_relative_error


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize(
    "patterns",
    [
        [(1, 4, 4, 2), (2, 4, 4, 1)],
        [(2, 2, 2, 1), (1, 2, 2, 2)],
        [(1, 6, 3, 1), (1, 3, 5, 1)],
        [(1, 4, 4, 4), (2, 4, 4, 2), (8, 2, 2, 1)],
    ],
)
def test_other_ranks(patterns: Any, dtype: Any) -> None:
    """No method is worse than rounding to nearest, and sweeps are better by far."""
    given = product(patterns, dtype=dtype)
    found = {m: certificate(given, 5, m) for m in METHODS}
    for each in found.values():
        assert each.relative_error <= each.nearest_relative_error
        assert each.relative_error == pytest.approx(dense_error(given, each.answer), rel=1e-9)
    assert found["swept"].relative_error < 0.5 * found["nearest"].relative_error
    assert found["swept"].relative_error <= found["pairwise"].relative_error * (1 + 1e-12)
    assert so.solve(so.ProductQuantization(given, 5)).solver == "swept"


@pytest.mark.parametrize("form", ["e4m3", "int8", "e2m1", [4, None, 5]])
def test_other_ranks_in_other_formats(form: Any) -> None:
    given = product([(1, 4, 4, 4), (2, 4, 4, 2), (8, 2, 2, 1)], 1)
    found = certificate(given, form)
    assert found.relative_error < 0.75 * found.nearest_relative_error


def test_values_one_by_one_compiled_and_not() -> None:
    pytest.importorskip("numba", reason="compares the compiled passes with plain loops")
    for dtype in (np.float64, np.complex128):
        given = product([(1, 4, 4, 4), (2, 4, 4, 2), (8, 2, 2, 1)], 2, dtype)
        answers = []
        for compiled in (True, False):
            forms = (so.significand(4), so.NumberFormat("e4m3"), so.significand(3))
            work = Work(given, forms, Terms(compiled, so.Context()))
            descent = Descent(work, work.nearest())
            descent.run()
            found = descent.product()
            assert found is not None
            assert work.error(found) < 0.9 * work.error(work.nearest())
            answers.append(found.factors)
        for one, other in zip(*answers, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"product": np.eye(2)}, "must be a KroneckerProduct"),
        ({"format": "e9"}, "unknown number format"),
        ({"format": 54}, "from 1 to 53"),
        ({"format": 0}, "from 1 to 53"),
        ({"format": [4, 4]}, "2 formats were given for 3 factors"),
        ({"format": so.NumberFormat("int4", "free")}, "share no scale"),
        ({"relative_error": 1e-3}, "not both"),
        ({"format": None, "relative_error": 0.0}, "between 0 and 1"),
        ({"format": None, "relative_error": math.nan}, "between 0 and 1"),
        ({"overflow": "ieee"}, "'saturate' or 'error'"),
        ({"format": "e2m1", "overflow": "error"}, "factor 0: .* is beyond 6"),
    ],
)
def test_bad_input(change: dict[str, Any], words: str) -> None:
    large = times(product(so.Architecture.square_dyadic(8)), 5, 0, 0)
    fields = {"product": large, "format": 4, **change}
    with pytest.raises(so.ProblemError, match=words):
        so.ProductQuantization(**fields)


def test_more_digits_than_the_dtype_has() -> None:
    single = product(so.Architecture.square_dyadic(8), dtype=np.float32)
    with pytest.raises(so.ProblemError, match="factor 0 is float32"):
        so.ProductQuantization(single, 25)


def test_large_products_of_other_ranks_are_refused() -> None:
    patterns = so.Architecture([(1, 4096, 2, 1), (1, 2, 4096, 1)])
    values = [np.ones(p.values_shape) for p in patterns]
    with pytest.raises(so.ProblemError, match="too large"):
        so.ProductQuantization(so.KroneckerProduct(values, patterns), 4)


def test_json() -> None:
    found = certificate(product(CHAIN), [4, "e4m3", None])
    again = so.from_json(so.to_json(found))
    assert so.verify(again).ok
    assert so.to_json(again) == so.to_json(found)


class Alarm(so.Context):
    """A clock that runs out at the given look at it."""

    looks = 0

    def check_time(self, doing: str) -> None:
        object.__setattr__(self, "looks", self.looks + 1)
        if self.looks > (self.seed or 0):
            raise so.TimeLimitReached(doing)


@pytest.mark.parametrize("looks", [0, 1, 3, 9, 30])
@pytest.mark.parametrize(
    "patterns", [so.Architecture.square_dyadic(16), [(1, 4, 4, 2), (2, 4, 4, 1)]]
)
def test_when_the_time_runs_out_there_is_an_answer(patterns: Any, looks: int) -> None:
    given = product(patterns)
    for problem in (
        so.ProductQuantization(given, 5),
        so.ProductQuantization(given, None, relative_error=0.01),
    ):
        answer, found = Swept().solve(problem, Alarm(seed=looks))
        assert so.verify(found).ok
        assert found.answer is answer
        if problem.relative_error is None:
            assert found.relative_error <= found.nearest_relative_error


@pytest.mark.parametrize("size", [1e-60, 1e-80, 1e-150, 6e-320])
@pytest.mark.parametrize("method", METHODS)
def test_products_that_round_to_zero_are_off_by_themselves(size: float, method: str) -> None:
    """Where terms overlap, too: the error is 1, in the units of what is rounded."""
    tiny = np.full((1, 2, 2, 1), size)
    overlapping = so.KroneckerProduct([tiny, tiny], [(1, 2, 2, 1)] * 2)
    solution = so.solve(so.ProductQuantization(overlapping, "fp16"), method)
    assert not any(factor.any() for factor in solution.answer.factors)
    assert 1.0 <= solution.certificate.relative_error <= 1.0 + 1e-12
    assert so.verify(solution).ok
