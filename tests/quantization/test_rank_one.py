"""The best products of rounded vectors agree with plain enumeration in rational arithmetic."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rank_one_oracle import best_cost, best_of_all, random_problem

import sparseopt as so

CASES = json.loads((Path(__file__).parent / "rank_one_cases.json").read_text())["cases"]
Format = so.NumberFormat


def numbers(texts: list[str]) -> np.ndarray:
    return np.array([float.fromhex(v) for v in texts])


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
@pytest.mark.parametrize("powers", [(0, 0), (300, -300), (-300, -299), (177, 300)])
def test_public_cases(case: dict[str, Any], powers: tuple[int, int]) -> None:
    """To 1e-9, also where the vectors are scaled: by opposite powers where a format has ends."""
    x, y = (numbers(case[name]) for name in "xy")
    right = so.solve(so.RankOneQuantization(x, y, case["set_x"], case["set_y"]))
    k, j = powers
    problem = so.RankOneQuantization(x * 2.0**k, y * 2.0**j, case["set_x"], case["set_y"])
    solution = so.solve(problem)
    assert solution.status is so.Status.VERIFIED
    error = solution.certificate.relative_error
    assert error == pytest.approx(case["opt_rel_error"], rel=1e-9, abs=1e-300)
    assert error <= problem.nearest_relative_error
    if case["rtn_rel_error"] is not None:
        assert problem.nearest_relative_error == pytest.approx(case["rtn_rel_error"], rel=1e-12)
    if case["kind"] == "F_t":
        assert np.array_equal(solution.answer.u, right.answer.u * 2.0**k)
        assert np.array_equal(solution.answer.v, right.answer.v * 2.0**j)


PAIRS: list[tuple[Any, Any]] = [
    (3, 3),
    (2, 5),
    (1, 1),
    (4, None),
    (None, 3),
    ("int4", None),
    ("e2m1", "e2m1"),
    ("e2m1", 3),
    (3, "int4"),
    ("e2m3", "int4"),
    ("e3m2", 2),
    (Format("int4", "free"), 4),
    (Format("e2m1", "free"), None),
    (Format("int4", "power_of_two"), "int4"),
    (Format("e2m1", "power_of_two"), 3),
    (3, Format("int4", "power_of_two")),
    (Format("e2m1", "power_of_two"), Format("e2m1", "power_of_two")),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_the_best_of_all_pieces(pair: tuple[Any, Any]) -> None:
    rng = np.random.default_rng(2)
    real = any(f is None or getattr(f, "scale", None) == "free" for f in pair)
    for _ in range(6):
        problem = random_problem(rng, *pair, most=3)
        solution = so.solve(problem)
        found, best = problem.cost_of(solution.answer), best_cost(problem)
        # A real scale is rounded to a float.
        assert best <= found <= best + (Fraction(1, 2**100) if real else 0)
        assert solution.status is so.Status.VERIFIED
        assert solution.certificate.relative_error <= problem.nearest_relative_error


@pytest.mark.parametrize("pair", [(2, 2), (1, 2), ("e2m1", "e2m1")], ids=str)
def test_no_pair_at_all_is_better(pair: tuple[Any, Any]) -> None:
    """The pieces leave nothing out: all pairs are tried, of F_t those of some octaves."""
    rng = np.random.default_rng(3)
    for size in (1, 2, 2):
        x, y = rng.uniform(0.5, 2.0, size), rng.uniform(0.5, 2.0, 2)
        problem = so.RankOneQuantization(x, y, *pair)
        assert problem.cost_of(so.solve(problem).answer) == best_of_all(problem)


def test_two_entries_of_any_digits() -> None:
    """Every convergent-like fraction of few digits is tried, near the best one."""
    rng = np.random.default_rng(4)
    for t in (2, 5, 9, 12):
        x = rng.standard_normal(2) * [1.0, 2.0 ** rng.integers(-30, 30)]
        problem = so.RankOneQuantization(x, [1.0, 2.0], t, None)
        solution = so.solve(problem)
        u = [abs(Fraction(v)) for v in solution.answer.u]
        ratio = abs(Fraction(x[1]) / Fraction(x[0]))
        e = math.floor(math.log2(ratio))
        found = abs(Fraction(math.atan2(u[1], u[0]) - math.atan2(ratio, 1)))
        for m in range(1, 2**t):
            for power in (e, e + 1):
                n = min(round(m * ratio / Fraction(2) ** power), 2**t - 1)
                other = Fraction(n, m) * Fraction(2) ** power
                assert (
                    abs(math.atan2(other, 1) - math.atan2(ratio, 1)) >= found * (1 - 1e-6) - 1e-16
                )
    for t in (24, 37, 52):
        problem = so.RankOneQuantization(x, [0.3], t, None)
        solution = so.solve(problem)
        assert solution.status is so.Status.VERIFIED
        assert solution.certificate.bracket_x
        angle = 1 - solution.certificate.relative_lower_bound
        assert angle >= 1 - 2.0 ** (1 - t)


def test_a_peer_that_stays_below_the_optimum_by_far() -> None:
    """Two by two in eleven digits: rounding to nearest is several times worse on average."""
    rng = np.random.default_rng(5)
    ratios = []
    for _ in range(10):
        problem = so.RankOneQuantization(*rng.standard_normal((2, 2)), "fp16", "fp16")
        solution = so.solve(problem)
        assert Format("fp16").contains(solution.answer.u)
        ratios.append(problem.nearest_relative_error / solution.certificate.relative_error)
    assert np.median(ratios) > 4.0


@pytest.mark.parametrize(
    "pair",
    [(8, 8), (5, None), ("e4m3", "e4m3"), ("int8", "int8"), ("int4", 6), (10, 9), ("bf16", "fp16")],
    ids=str,
)
def test_compiled_passes_give_the_same_bits(pair: tuple[Any, Any]) -> None:
    pytest.importorskip("numba", reason="the passes are compiled by numba")
    rng = np.random.default_rng(6)
    for _ in range(2):
        x, y = rng.standard_normal(rng.integers(2, 30)), rng.standard_normal(rng.integers(1, 30))
        problem = so.RankOneQuantization(x, y, *pair)
        one, other = (
            so.solve(problem, "rank_one_exact", compiled=compiled) for compiled in (True, False)
        )
        assert so.to_json(one.answer) == so.to_json(other.answer)
        assert one.status is so.Status.VERIFIED


def test_hardware_formats_are_better_than_clipping() -> None:
    """The peer casts: x 1e3 and y 1e-3 in fp8 lose half of the matrix, x 1e5 in fp16 all."""
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal(6), rng.standard_normal(5)
    for form, factor in (("e4m3", 2.0**10), ("fp16", 2.0**17), ("fp16", 2.0**-30)):
        plain = so.solve(so.RankOneQuantization(x, y, form, form))
        moved = so.RankOneQuantization(x * factor, y / factor, form, form)
        solution = so.solve(moved)
        assert Format(form).contains(solution.answer.u)
        assert Format(form).contains(solution.answer.v)
        assert solution.certificate.relative_error == plain.certificate.relative_error
    beyond = so.RankOneQuantization(x[:2] * 2.0**20, y[:2] * 2.0**20, "e5m2", "e5m2")
    solution = so.solve(beyond)
    assert 0.9 < solution.certificate.relative_error < 1.0
    assert solution.certificate.at_the_end == 3
    assert "3 entries are at the end of the range" in solution.certificate.claim
    below = so.RankOneQuantization(x[:2] * 2.0**-40, y[:2] * 2.0**-40, "e5m2", "e5m2")
    assert so.solve(below).certificate.relative_error == 1.0


def test_vectors_that_are_met_are_returned() -> None:
    for form in (5, "e4m3", Format("int8", "power_of_two"), Format("int4", "free")):
        problem = so.RankOneQuantization([3.0, -6.0, 1.0], [2.0, 5.0], form, form)
        solution = so.solve(problem)
        assert solution.certificate.relative_error == 0.0
        assert np.array_equal(solution.answer.to_dense(), np.outer(problem.x, problem.y))
    rng = np.random.default_rng(10)
    single = rng.standard_normal((2, 50)).astype(np.float32)
    for t in (24, 53):
        kept = so.solve(so.RankOneQuantization(*single.astype(np.float64), t, t))
        assert kept.certificate.relative_error == 0.0
        assert np.array_equal(kept.answer.u, single[0])
    thirds = so.RankOneQuantization(np.array([3.0, 6.0]) * 0.1, [0.7], 2, None)
    assert so.solve(thirds).certificate.relative_error == 0.0


def test_zeros_and_empty_weights() -> None:
    zero = so.solve(so.RankOneQuantization([0.0, 0.0], [1.0, 2.0], 3, None))
    assert np.array_equal(zero.answer.u, [0.0, 0.0])
    assert zero.answer.scale_u == zero.answer.scale_v == 1.0
    assert zero.certificate.relative_error == 0.0
    some = so.solve(so.RankOneQuantization([0.0, 0.7], [0.0, 0.3, 0.0], "e4m3", "e4m3"))
    assert some.answer.u[0] == some.answer.v[0] == some.answer.v[2] == 0.0
    free = so.RankOneQuantization([0.7, 0.1], [0.3], 2, 2, weights_x=[0.0, 1.0])
    solution = so.solve(free)
    # An entry without weight is rounded like the others.
    assert solution.answer.u[0] / solution.answer.u[1] == pytest.approx(7.0, rel=0.3)
    nothing = so.solve(so.RankOneQuantization([1.0], [1.0], 2, 2, weights_x=[0.0]))
    assert nothing.certificate.relative_error == 0.0


def test_far_apart_and_at_the_ends_of_the_range() -> None:
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal(3), rng.standard_normal(3)
    plain = so.solve(so.RankOneQuantization(x, y, 4, 4)).certificate.relative_error
    for k, j in ((1022, -1020), (-1010, 1000), (1022, 1022)):
        moved = so.RankOneQuantization(x * 2.0**k / 4, y * 2.0**j / 4, 4, 4)
        assert so.solve(moved).certificate.relative_error == plain
    wide = so.RankOneQuantization([1.3, 1.7e-200, 1.1e300], [1.0], 4, 4)
    assert so.solve(wide).status is so.Status.VERIFIED
    least = so.RankOneQuantization([5e-324, 1.5e-323], [1.1], 3, 3)
    solution = so.solve(least)
    assert so.significand(3).contains(solution.answer.u)
    assert solution.status is so.Status.VERIFIED


@pytest.mark.parametrize("form", ["e4m3", "int8", "e2m1", 3, 53, Format("int4", "free")], ids=str)
def test_vectors_over_the_whole_range_of_floats(form: Any) -> None:
    """Nothing is warned of, and nothing is worse than rounding to nearest."""
    top, least = 1.7e308, 5e-324
    for x, y in (([top, 1e308], [top]), ([top, least], [1.0, 3e-320]), ([least], [least, 1.0])):
        problem = so.RankOneQuantization(x, y, form, form)
        answer = so.solve(problem).answer
        assert problem.cost_of(answer) <= problem.cost_of(problem.nearest())


def test_two_entries_whose_weights_lead_out_of_the_floats() -> None:
    for size in (2.0**600, 2.0**-600):
        given = [3 * size, 7 * size], [1.0], 3, None, [size, 2 * size]
        solution = so.solve(so.RankOneQuantization(*given))
        assert solution.status is so.Status.VERIFIED
        assert solution.certificate.relative_error == 0.0
        spread = [1.3 * size, 7.9 * size], *given[1:]
        assert so.solve(so.RankOneQuantization(*spread)).certificate.bracket_x


def test_the_least_floats_keep_their_last_digit() -> None:
    for form in (3, 53, so.significand(8, "free")):
        solution = so.solve(so.RankOneQuantization([5e-324, 1e-323], [5e-324], form, form))
        assert solution.certificate.relative_error == 0.0
    codes, scale = so.significand(3).round_blocks([5e-324, -1.5e-323])
    assert scale == 1.0
    assert codes.tolist() == [5e-324, -1.5e-323]


def test_weights_scale_out() -> None:
    rng = np.random.default_rng(9)
    x, y, a = rng.standard_normal(4), rng.standard_normal(3), rng.random(4)
    one = so.solve(so.RankOneQuantization(x, y, 4, 3, a))
    other = so.solve(so.RankOneQuantization(x, y, 4, 3, a * 2.0**-700, np.full(3, 2.0**600)))
    assert so.to_json(one.answer) == so.to_json(other.answer)
    assert one.certificate.relative_error == other.certificate.relative_error


def test_shapes_and_types_of_vectors() -> None:
    x = np.arange(1.0, 9.0)[::-2]
    one = so.solve(so.RankOneQuantization(x, [1, 2, 3], 3, 3))
    other = so.solve(so.RankOneQuantization(x.copy().astype(np.float32), [1.0, 2.0, 3.0], 3, 3))
    assert so.to_json(one.answer) == so.to_json(other.answer)
    again = so.from_json(so.to_json(one))
    assert so.verify(again).ok


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, math.nan], [1.0], 3, 3), "nan"),
        (([1.0], [math.inf], 3, 3), "inf"),
        (([], [1.0], 3, 3), "at least one entry"),
        (([[1.0]], [1.0], 3, 3), "vector"),
        (([1.0], [1.0], 54, 3), "1 to 53"),
        (([1.0], [1.0], 0, 3), "1 to 53"),
        (([1.0], [1.0], "e4m4", 3), "e4m3"),
        (([1.0], [1.0], 3, 2.5), "format_y"),
        (([1.0], [1.0], 3, 3, [-1.0]), "not be negative"),
        (([1.0], [1.0], 3, 3, None, [1.0, 2.0]), "has 2 entries"),
        ((np.ones(2, np.float32), [1.0], 25, 3), "24 digits"),
    ],
)
def test_bad_input(arguments: Any, message: str) -> None:
    with pytest.raises(so.ProblemError, match=message):
        so.RankOneQuantization(*arguments)


def test_memory_is_asked_before_the_work() -> None:
    problem = so.RankOneQuantization([1.0, 1.1], [1.0, 0.3], 50, 50)
    with pytest.raises(so.SolveError, match="GB; allow that by memory="):
        so.solve(problem)
    with pytest.raises(so.SolveError, match="GB"):
        so.solve(so.RankOneQuantization(np.arange(1.0, 5.0) * 0.3, [1.0], 8, 8), memory=1e3)


def test_the_time_limit_is_kept() -> None:
    problem = so.RankOneQuantization(np.arange(1.0, 200.0) ** 0.5, np.arange(1.0, 99.0), 9, 9)
    with pytest.raises(so.SolveError, match="time limit"):
        so.solve(problem, time_limit=1e-9)
