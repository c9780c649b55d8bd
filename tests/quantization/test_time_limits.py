"""Time limits of all solvers of this capability, by looks at the clock, and once by the clock."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import sparseopt_quantization.products
from sparseopt_quantization.difference_constraints import DifferenceConstraints
from sparseopt_quantization.left_to_right import LeftToRight
from sparseopt_quantization.limits import GRACE, check_time
from sparseopt_quantization.nearest import Nearest
from sparseopt_quantization.pairwise import Pairwise
from sparseopt_quantization.rank_one_complex import RankOneComplex
from sparseopt_quantization.rank_one_exact import RankOneExact
from sparseopt_quantization.right_to_left import RightToLeft
from sparseopt_quantization.swept import Swept
from sparseopt_quantization.two_factors import TwoFactors

import sparseopt as so

OF_PRODUCTS: list[Any] = [
    Nearest(),
    Pairwise(compiled=False),
    LeftToRight(compiled=False),
    RightToLeft(compiled=False),
    Swept(compiled=False),
]


def butterfly(n: int, seed: int = 0, is_complex: bool = False) -> so.KroneckerProduct:
    rng = np.random.default_rng(seed)
    architecture = so.Architecture.square_dyadic(n)
    factors = [rng.standard_normal(p.values_shape) for p in architecture]
    if is_complex:
        factors = [f + 1j * rng.standard_normal(f.shape) for f in factors]
    return so.KroneckerProduct(factors, architecture)


class Counting(so.Context):
    """A clock that counts looks, and runs out at one of them, the number in `seed`."""

    looks = 0

    def check_time(self, doing: str) -> None:
        object.__setattr__(self, "looks", self.looks + 1)
        if self.seed and self.looks >= self.seed:
            raise so.TimeLimitReached(f"the time limit ran out while {doing}")


def looks(solver: Any, problem: Any) -> int:
    context = Counting()
    solver.solve(problem, context)
    return context.looks


@pytest.mark.parametrize("form", [5, "int8"])
@pytest.mark.parametrize("solver", OF_PRODUCTS[3:], ids=lambda s: type(s).__name__)
def test_the_clock_is_looked_at_for_each_factor(solver: Any, form: Any) -> None:
    # Between two looks lies the work of about one factor, whatever there are of them.
    if form == "int8" and not isinstance(solver, Swept):
        pytest.skip("integers are rounded to nearest there, at once")
    few, many = (looks(solver, so.ProductQuantization(butterfly(n), form)) for n in (16, 256))
    assert many - few >= 256 // 64


def test_a_factor_with_much_work_is_looked_at_often() -> None:
    # 2^20 pieces at a time: four times as many terms take four times as many looks, about.
    rng = np.random.default_rng(0)

    def pair(terms: int) -> so.KroneckerProduct:
        patterns = so.Architecture([(1, 16, 16, terms), (16, terms, 1, 1)])
        values = [rng.standard_normal(p.values_shape) for p in patterns]
        return so.KroneckerProduct(values, patterns)

    solver = Pairwise()
    few, many = (looks(solver, so.ProductQuantization(pair(k), 9)) for k in (16, 64))
    assert many >= 2 * few


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("solver", OF_PRODUCTS, ids=lambda s: type(s).__name__)
def test_when_the_time_is_over_there_is_an_answer_or_an_error(
    solver: Any, is_complex: bool
) -> None:
    problem = so.ProductQuantization(butterfly(16, is_complex=is_complex), 3)
    total = looks(solver, problem)
    for at in {1, 2, total // 2, total - 1, total} - {0, -1}:
        context = Counting(seed=at)
        try:
            _, certificate = solver.solve(problem, context)
        except so.TimeLimitReached:
            answered = False
        else:
            answered = True
            assert so.verify(certificate).ok
        # Swept has rounded to nearest by then; the others have nothing before one way is done.
        assert answered or not isinstance(solver, Swept) or at == 1
        # What catches the end of the time looks no more, or once.
        assert context.looks <= at + 1


def test_the_first_way_is_kept_when_the_second_runs_out_of_time() -> None:
    problem = so.ProductQuantization(butterfly(16), 4)
    solver = LeftToRight(compiled=False)
    answer, certificate = solver.solve(problem, Counting(seed=looks(solver, problem)))
    published, _ = LeftToRight(weighted=False, compiled=False).solve(problem, so.Context())
    assert all(map(np.array_equal, answer.factors, published.factors))
    assert so.verify(certificate).ok


@pytest.mark.parametrize("solver", OF_PRODUCTS, ids=lambda s: type(s).__name__)
def test_products_that_take_longer_to_judge_are_refused_at_once(
    solver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: Any) -> Any:
        raise AssertionError("an error was computed")

    problem = so.ProductQuantization(butterfly(1 << 16), 8)
    with monkeypatch.context() as patch:
        patch.setattr(sparseopt_quantization.products, "relative_error", never)
        with pytest.raises(so.TimeLimitReached, match=r"time limit of 0\.1 s"):
            solver.solve(problem, so.Context(time_limit=0.1))
    problem = so.ProductQuantization(problem.product, None, relative_error=1e-3)
    if solver.accepts(problem) == so.Accepted():
        # The product itself is within any error, and takes nothing to judge.
        _, certificate = solver.solve(problem, so.Context(time_limit=0.1))
        assert certificate.relative_error == 0.0


@pytest.mark.parametrize("digits", [2, 20, 53])
def test_terms_that_take_longer_to_judge_are_refused_at_once(
    digits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 1 << 18))

    def never(*arguments: Any) -> Any:
        raise AssertionError("an error was computed")

    monkeypatch.setattr(so.RankOneQuantization, "cost_of", never)
    for solver, u in ((RankOneExact(), x), (RankOneComplex(), x + 1j * y)):
        problem = so.RankOneQuantization(u, u, digits, digits)
        with pytest.raises(so.TimeLimitReached, match=r"time limit of 0\.1 s"):
            solver.solve(problem, so.Context(time_limit=0.1))


def test_many_pieces_are_refused_at_once() -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 64))
    problem = so.RankOneQuantization(x, y, 18, 18)
    with pytest.raises(so.TimeLimitReached, match=r"the time limit of 0\.1 s"):
        RankOneExact().solve(problem, so.Context(time_limit=0.1))
    patterns = so.Architecture([(1, 64, 64, 64), (64, 64, 64, 1)])
    rng = np.random.default_rng(0)
    given = so.KroneckerProduct([rng.standard_normal(p.values_shape) for p in patterns], patterns)
    with pytest.raises(so.TimeLimitReached, match=r"time limit of 0\.1 s"):
        TwoFactors().solve(so.ProductQuantization(given, 4), so.Context(time_limit=0.1))


def test_fitting_looks_at_the_clock_for_each_factor() -> None:
    problem = so.ExponentFitting(butterfly(64), "e4m3")
    assert looks(DifferenceConstraints(), problem) >= 2 * 6
    problem = so.ExponentFitting(butterfly(1 << 16), "e4m3")
    with pytest.raises(so.TimeLimitReached, match=r"time limit of 0\.05 s"):
        DifferenceConstraints().solve(problem, so.Context(time_limit=0.05))


def test_complex_terms_answer_when_the_time_is_over() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 40)) + 1j * rng.standard_normal((2, 40))
    for form in (4, so.NumberFormat("int8", "free"), so.NumberFormat("e4m3", "power_of_two")):
        problem = so.RankOneQuantization(x, y, form, form)
        _, certificate = RankOneComplex(compiled=False).solve(problem, Counting(seed=3))
        assert so.verify(certificate).ok
        assert certificate.relative_error <= problem.nearest_relative_error


def test_what_is_kept_for_judging() -> None:
    context = so.Context(time_limit=100.0)
    check_time(context, 100.0 + 0.5 * GRACE, "something")
    with pytest.raises(so.TimeLimitReached, match="leaves too little for something"):
        check_time(context, 101.0, "something")
    check_time(so.Context(), 1e9, "something")


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0.2, 1.0])
def test_time_limits_are_kept_within_a_second(limit: float) -> None:
    """In processor time, as the machine may be shared; kernels are loaded first."""
    rng = np.random.default_rng(0)
    problems: list[tuple[Any, str | None]] = []
    for n, is_complex in ((1 << 16, False), (1 << 12, False), (256, True)):
        given = butterfly(n, is_complex=is_complex)
        for form in (4, 8, 11, "e4m3", "int8"):
            problem = so.ProductQuantization(given, form)
            names = ("nearest", "pairwise", "left_to_right", "right_to_left", "swept", None)
            problems += [(problem, name) for name in names]
        problems.append((so.ProductQuantization(given, None, relative_error=1e-3), None))
        problems.append((so.ExponentFitting(given, "e4m3"), None))
    for m, form in ((1 << 16, 8), (1 << 20, 53), (64, 18), (4096, "int8"), (4, 22)):
        x, y = rng.standard_normal((2, m))
        problems.append((so.RankOneQuantization(x, y, form, form), None))
    diagonal = so.Architecture([(1, 1, 1, 2)] * 1000)
    long = so.KroneckerProduct([rng.standard_normal(p.values_shape) for p in diagonal], diagonal)
    problems += [(so.ProductQuantization(long, 8), name) for name in ("nearest", "swept")]
    for is_complex in (False, True):  # loads the kernels
        small = so.ProductQuantization(butterfly(32, is_complex=is_complex), 4)
        so.solve(small, "swept", compiled=True)
    so.solve(so.RankOneQuantization(*rng.standard_normal((2, 64)), 9, 9), compiled=True)
    for problem, name in problems:
        start = time.process_time()
        said = ""
        try:
            so.solve(problem, name, time_limit=limit)
        except so.SolveError as error:
            said = str(error)
        assert not said or "time limit" in said
        spent = time.process_time() - start
        assert spent <= limit + 1.0, (problem.describe(), name, spent)
