"""Questions of sparse regression that are none, and the products and operators that judges take.

Each is refused when it is built, in words that its name begins with; see `forgeries_regression`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from forgeries_penalties import GROUPS, gaussian
from laws import law, refusal
from operator_laws import (
    VERSIONS,
    are_enclosed,
    operators_agree,
    products,
    streamed_bounds_hold,
    tiny_columns_are_enclosed,
)
from scipy.sparse.linalg import aslinearoperator as as_operator

import sparseopt as so
from sparseopt.inverse import squares
from sparseopt.inverse.objective import Objective
from sparseopt.inverse.operators import ColumnOperator, _times_power

Pairs = Iterator[tuple[str, Any]]


def honest() -> Pairs:
    """Yield laws and questions that must be accepted; all of it is built when it is judged."""
    for name, product in products().items():
        for is_complex in (False, True):
            if is_complex or product.dtype.kind != "c":
                for words, version in VERSIONS.items():

                    def columns(given: Any = (product, is_complex, version)) -> bool:
                        product, is_complex, version = given
                        return are_enclosed(version(ColumnOperator(product, is_complex)))

                    yield f"columns of {name}{', complex' * is_complex}{words}", law(columns)
    yield "columns of an operator", law(operators_agree)
    yield "columns too many to be looked at", law(streamed_bounds_hold)
    yield "columns that underflow", law(tiny_columns_are_enclosed)
    for name, given in borderline().items():
        yield name, lambda given=given: so.verify(_at_zero(given))
    yield "sums of penalties", law(sums_are_taken)
    yield "squares of stored columns, in pieces", law(squares_are_summed_piece_by_piece)
    yield "rough products", law(rough_products_are_enclosed)
    yield "weights of the target", law(weighted_targets_count_as_weighted)
    yield "numbers at the end of the floats", law(numbers_at_the_end_of_the_floats_are_taken)
    far = so.SparseRegression(np.eye(3), [1e150, 1.0, 2.0], so.L1(0.1), [0.0, 1.0, 1.0])
    yield "a huge value that does not count", so.solve(far).certificate
    yield "entries that are stored twice", law(duplicates_are_added)


def _at_zero(given: dict[str, Any]) -> so.DualityGapCertificate:
    problem = build(**given)
    return so.DualityGapCertificate.build(problem, np.zeros(problem.shape[1]))[1]


def forged() -> Pairs:
    """Yield what must be refused."""
    yield from penalties()
    yield from data()
    yield from operators()
    line = "the dual point is feasible: all correlations of the columns with it are within"
    yield f"{line} | factors whose product underflows on the way", of_one_far_apart()


def of_one_far_apart() -> so.DualityGapCertificate:
    """Return a false gap of |x - 1|^2 / 2 + |x| / 10, with 1 as a product of seven numbers.

    Multiplied as they are, from either end, these give 0.
    """
    powers = (-540, -540, 720, 720, 720, -540, -540)
    factors = [np.full((1, 1, 1, 1), 2.0**power) for power in powers]
    design = so.KroneckerProduct(factors, [(1, 1, 1, 1)] * 7)
    problem = so.SparseRegression(design, [1.0], so.L1(0.1))
    least, most, gap = 0.5 * (1.0 - 1e-15), 0.5 * (1.0 + 1e-15), 1e-15
    none = np.zeros(0, dtype=int)
    return so.DualityGapCertificate(
        problem, so.Coefficients([0.0]), np.ones(1), most, least, gap, none
    )


def build(penalty: Any = None, design: Any = None, target: Any = None, weights: Any = None) -> Any:
    """Return a regression with one part of it changed."""
    own, values = gaussian(6, 9)
    return so.SparseRegression(
        own if design is None else design,
        values if target is None else target,
        so.L1(1.0) if penalty is None else penalty,
        weights,
    )


def penalties() -> Pairs:
    """Strengths, weights, groups, shapes and sums that are none."""
    other = [[0, 3], [1, 6], [2, 4, 5, 7, 8]]
    fewer = [[0, 3, 6], [1, 2, 4, 5, 7, 8]]
    total, nuclear = so.TotalVariation(1.0), so.NuclearNorm(1.0, (3, 3))
    pair = so.GroupL1(1.0, [[0], [1]])
    grouped, turned = so.GroupL1(1.0, GROUPS), so.NuclearNorm(1.0, (9, 1))
    for words, made in (
        ("strength must be a number | a list", lambda: so.L1([1.0])),
        ("strength must be a number | a word", lambda: so.Ridge("one")),
        ("weights must be 9 numbers | two", lambda: build(so.L1(1.0, [1, 2]))),
        ("take a strength of 0 | lost", lambda: build(so.L1(1e-200, [1.0] * 8 + [1e-150]))),
        (
            "take a strength of 0 | lost in a group",
            lambda: build(so.GroupL1(1e-200, GROUPS, weights=[1.0, 1.0, 1e-150])),
        ),
        ("weights must be a vector of numbers | words", lambda: so.L1(1.0, ["a", "b"])),
        ("weights must be a vector of numbers | a table", lambda: so.L1(1.0, [[1.0, 2.0]])),
        ("weights is ragged: its rows differ | ragged", lambda: so.L1(1.0, [[1.0], [1.0, 2.0]])),
        ("must be a non-empty list | a table", lambda: so.GroupL1(1.0, [[[0, 1]]])),
        ("must be a non-empty list | words", lambda: so.GroupL1(1.0, [["a"]])),
        ("must be a list of lists | ragged", lambda: so.GroupL1(1.0, [[0, [1, 2]]])),
        ("which is not a column number | too large", lambda: so.GroupL1(1.0, [[0, 2.0**53 + 2]])),
        ("the groups miss entry 1 | large", lambda: so.GroupL1(1.0, [[0, 2.0**53]])),
        ("shape must be two numbers | one", lambda: so.NuclearNorm(1.0, 9)),
        ("shape must be two positive integers | one", lambda: so.NuclearNorm(1.0, (9,))),
        ("shape must be two positive integers | three", lambda: so.NuclearNorm(1.0, (3, 3, 1))),
        ("shape must be two positive integers | a float", lambda: so.NuclearNorm(1.0, (3, 3.0))),
        ("shape must be two positive integers | true", lambda: so.NuclearNorm(1.0, (9, True))),
        ("shape must be two positive integers | none", lambda: so.NuclearNorm(1.0, (0, 3))),
        ("has 4 entries, but the design has 9 | small", lambda: build(so.NuclearNorm(1.0, (2, 2)))),
        ("parts must be penalties | a number", lambda: so.PenaltySum(3)),
        ("parts must be penalties | numbers", lambda: so.PenaltySum((so.L1(1.0), 3))),
        ("a sum of penalties needs at least one | none", lambda: so.PenaltySum(())),
        ("TotalVariation does not add to L1 | second", lambda: so.L1(1.0) + total),
        ("TotalVariation does not add to Ridge | first", lambda: total + so.Ridge(1.0)),
        ("TotalVariation is given twice | it is", lambda: total + so.TotalVariation(2.0)),
        ("NuclearNorm is given twice | it is", lambda: nuclear + so.NuclearNorm(2.0, (3, 3))),
        ("NuclearNorm does not add to NuclearNorm | shapes", lambda: nuclear + turned),
        ("NuclearNorm does not add to L1 | entries", lambda: nuclear + so.L1(1.0)),
        ("NuclearNorm does not add to GroupL1 | groups", lambda: grouped + nuclear),
        ("have different groups | others", lambda: grouped + so.GroupL1(1.0, other)),
        ("have different groups | fewer", lambda: grouped + so.GroupL1(1.0, fewer)),
        ("have different groups | one more", lambda: pair + so.GroupL1(1.0, [[0], [1], [2]])),
        ("have different groups | the third", lambda: grouped + grouped + so.GroupL1(1.0, other)),
    ):
        yield words, refusal(made)


def data() -> Pairs:
    """Designs, targets and weights that are none."""
    design, target = gaussian(6, 9)
    stored = scipy.sparse.csr_array(design)
    broken = stored.copy()
    broken.data[11] = np.nan
    masked = np.ma.masked_array(design, mask=design > 2.0)
    half = scipy.sparse.coo_array(np.array([1.0, 0.0]))
    positive, ones = so.L1(1.0, positive=True), np.ones(6)
    whole = np.full((6, 1), 2**53 + 1)
    kept = scipy.sparse.csc_array(whole)
    rest = np.append(ones[:4], [0.0, 1e-62])
    tiny, huge = np.append(ones[:5], 0.99e-60), ones * 1.01e100
    small, wide = ones * 0.99e-100, np.append(ones[:4], [1e-61, 1e-62])
    for words, made in (
        ("design is a masked array | some of it", lambda: build(design=masked)),
        ("target is a masked array | some of it", lambda: build(target=masked[:, 0])),
        ("design has dtype float16 | halves", lambda: build(design=design.astype(np.float16))),
        ("design holds 9007199254740993 | large", lambda: build(design=whole)),
        ("design holds 9007199254740993 | stored", lambda: build(design=kept)),
        ("design has dtype <U | words", lambda: build(design=design.astype(str))),
        ("design has dtype float128 | long", lambda: build(design=design.astype(np.longdouble))),
        ("got a sparse array of shape (2,) | a vector", lambda: build(design=half)),
        ("design has a nan at entry (1, 2) | stored", lambda: build(design=broken)),
        ("design is complex | positive", lambda: build(positive, design=design * 1j)),
        ("target is complex | positive", lambda: build(positive, target=target * 1j)),
        ("sample_weights are all 0 | zeros", lambda: build(weights=0.0 * ones)),
        ("sample_weights lie between 9.9e-61 (entry 5) | far", lambda: build(weights=tiny)),
        ("sample_weights lie between 1e-62 (entry 5) | two", lambda: build(weights=wide)),
        ("sample_weights lie between 1e-62 (entry 5) | beside 0", lambda: build(weights=rest)),
        ("x must be a vector of numbers | truth values", lambda: so.Coefficients([True, False])),
        ("x must be a vector of numbers | words", lambda: so.Coefficients(["a"])),
        ("the largest of sample_weights is 1.01e+100 | large", lambda: build(weights=huge)),
        ("the largest of sample_weights is 9.9e-101 | small", lambda: build(weights=small)),
        ("for block 0 | a large strength", lambda: build(so.L1(1.01e305))),
        ("for block 0 | a small strength", lambda: build(so.L1(0.99e-304))),
        ("for ridge 0 | a small ridge", lambda: build(so.L1(1.0) + so.Ridge(1e-305))),
        (
            "for coefficient 0 | a small threshold",
            lambda: build(so.SparseGroupL1(1e-305, 1.0, GROUPS)),
        ),
        (
            "the largest entry of target is 1.01e+151 | large",
            lambda: build(target=np.append(target[:5], 1.01e151)),
        ),
        (
            "the largest entry of design is 9.9e-152 | small",
            lambda: build(design=design * 9.9e-152 / np.abs(design).max()),
        ),
    ):
        yield words, refusal(made)


def borderline() -> dict[str, dict[str, Any]]:
    """Return what makes questions at the ends of what is taken, and of other forms."""
    design, target = gaussian(6, 9)
    ones, unit = np.ones(6), np.abs(target).max()
    twice = scipy.sparse.coo_array(([1.0, 2.0, 4.0], ([0, 0, 1], [1, 1, 0])), shape=(6, 9))
    loose = scipy.sparse.csr_array(([1.0, 2.0, 4.0], [1, 1, 0], [0, 2, 3, 3, 3, 3, 3]), (6, 9))
    whole = scipy.sparse.csr_array(np.round(design * 3).astype(int))
    flat = np.eye(6) * 1e-100
    return {
        "weights far apart": {"weights": np.append(ones[:5], 1e-60)},
        "a weight that is small beside one that is none": {
            "weights": np.append(ones[:4] * 1e-90, [0.0, 1e-90])
        },
        "large weights": {"design": flat, "weights": ones * 1e100, "penalty": so.L1(1e-10)},
        "small weights": {"weights": ones * 1e-100, "penalty": so.L1(1e-100)},
        "a large target": {
            "design": np.eye(6),
            "target": np.append(0.0 * ones[:5], 1e151),
            "penalty": so.L1(1e150),
        },
        "a small target": {
            "design": np.eye(6),
            "target": np.append(0.0 * ones[:5], 1e-151),
            "penalty": so.L1(1e-151),
        },
        "a large design": {"design": np.eye(6) * 1e151, "penalty": so.L1(1e151)},
        "a small design": {"design": np.eye(6) * 1e-151, "penalty": so.L1(1e-151)},
        "a large strength": {"penalty": so.L1(1e305), "target": target * (1e150 / unit)},
        "a small strength": {
            "penalty": so.L1(1e-304),
            "design": np.eye(6) * 1e-151,
            "target": target * (1e-151 / unit),
        },
        "no strength, and weights": {"penalty": so.L1(0.0, np.arange(9.0))},
        "stored twice": {"design": twice},
        "stored twice in rows": {"design": loose},
        "stored whole numbers": {"design": whole},
        "whole numbers": {"design": np.round(design * 3).astype(int)},
        "an operator of whole numbers": {"design": as_operator(np.round(design * 3).astype(int))},
        "positive and a target of whole numbers": {
            "penalty": so.L1(1.0, positive=True),
            "target": np.arange(6),
        },
        "columns, stored": {"design": scipy.sparse.csc_array(design)},
        "lists": {"design": design.tolist(), "target": target.tolist()},
        "float32": {"design": design.astype(np.float32)},
    }


def duplicates_are_added() -> bool:
    """Whether entries that are stored twice count as their sum, also in norms of columns."""
    loose = scipy.sparse.csr_array(([1.0, 2.0, 4.0], [1, 1, 0], [0, 2, 3]), (2, 2))
    problem = build(design=loose, target=np.ones(2))
    squares = problem.column_squares
    return np.array_equal(problem.design.toarray(), [[0.0, 3.0], [4.0, 0.0]]) and np.array_equal(
        squares, [16.0, 9.0]
    )


def sums_are_taken() -> bool:
    """Whether a sum of penalties has the limits, thresholds and ridge of its parts together."""
    grouped, ridge = so.GroupL1(2.0, GROUPS, [1, 2, 3]), so.Ridge(0.5)
    mixed, entries = so.SparseGroupL1(0.5, 1.0, GROUPS), so.L1(0.25, np.arange(9.0))
    whole = sum([grouped, mixed, entries, ridge, ridge])
    plain = entries + so.L1(1.0) + ridge
    return (
        np.array_equal(whole.limits(9), [3.0, 5.0, 7.0])
        and np.array_equal(whole.thresholds(9), 0.5 + 0.25 * np.arange(9.0))
        and whole.ridge == 1.0
        and np.array_equal(plain.limits(9), 1.0 + 0.25 * np.arange(9.0))
        and plain.thresholds(9) is None
        and (so.L1(1.0) + so.L1(1.0, positive=True)).positive
        and not plain.positive
        and whole.roundings == 6
        and np.array_equal(whole.blocks(9).sizes, [3, 1, 5])
        and len(plain.blocks(9).sizes) == 9
        and len(so.PenaltySum((so.L1(1.0),)).blocks(9).sizes) == 9
        and len(so.PenaltySum((so.TotalVariation(1.0),)).blocks(9).sizes) == 1
        and so.TotalVariation(1.0).limits(2) == [1.0]
        and so.TotalVariation(1.0).limits(1) == [0.0]
    )


class _Odd(scipy.sparse.linalg.LinearOperator):
    """An operator whose products are of no use."""

    def __init__(self, product: Any, dtype: Any = np.float64) -> None:
        super().__init__(dtype, (6, 9))
        self.product = product

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self.product(x)


class _Bare:
    """Has what an operator has, and no rule of SciPy about shapes."""

    def __init__(self, product: Any, dtype: Any = np.float64) -> None:
        self.shape, self.dtype, self.matvec = (6, 9), np.dtype(dtype), product


def operators() -> Pairs:
    """Operators whose products are of no use."""

    def fails(x: np.ndarray) -> np.ndarray:
        raise RuntimeError("no rows")

    for words, design in (
        ("matvec of the design fails for column 0: RuntimeError: no rows | it does", _Odd(fails)),
        (
            "column 0 of the design has a NaN or an infinity | NaN",
            _Odd(lambda x: np.full(6, np.nan)),
        ),
        (
            "column 4 of the design has a NaN or an infinity | inf",
            _Odd(lambda x: np.full(6, np.inf if x[4] else 1.0)),
        ),
        (
            "returns complex numbers, but its dtype is float64 | it does",
            _Odd(lambda x: np.full(6, 1j)),
        ),
        ("is a linear operator of dtype object | objects", _Odd(lambda x: x, object)),
    ):
        yield words, refusal(lambda design=design: build(design=design))
    short = ColumnOperator(_Bare(lambda x: np.ones(5)), False)
    words = "matvec of the design returned shape (5,)"
    yield f"{words} | a row less", refusal(lambda: short[:, np.arange(2)])
    words = "may be as large as 2^1025, beyond float64"
    yield f"{words} | factors of a design", refusal(lambda: _times_power(_large_factors(), 1))
    words = "coefficients of the answer are beyond float64"
    scaled, large = _small_design().scaled(), np.full(2, 2.0**100)
    yield f"{words} | of a tiny design", refusal(lambda: scaled.original_coefficients(large))


def _large_factors() -> so.KroneckerProduct:
    """The product's entries are at most 2^1023, by the factors' largest entries."""
    large = np.full((1, 2, 2, 1), 2.0**511)
    return so.KroneckerProduct([large, large], [(1, 2, 2, 1), (1, 2, 2, 1)])


def _small_design() -> so.SparseRegression:
    return so.SparseRegression(np.eye(2) * 2.0**-500, np.full(2, 2.0**500), so.L1(0.0))


def numbers_at_the_end_of_the_floats_are_taken() -> bool:
    """Factors as large as may be; coefficients that nobody called finite."""
    shifted = _times_power(_large_factors(), 0)
    endless = _small_design().scaled().original_coefficients(np.array([np.inf, 0.0]))
    return shifted.factors[0].max() == 2.0**1023 and endless.tolist() == [np.inf, 0.0]


def squares_are_summed_piece_by_piece() -> bool:
    """Of stored columns, some of them empty, the last pieces shorter than the others."""
    dense = np.arange(21.0).reshape(3, 7) * (np.arange(7) % 3 > 0)
    for piece in (1, 5, 9, 100):
        with patch.object(squares, "_PIECE", piece):
            found = squares.column_squares(scipy.sparse.csc_array(dense))
        if not np.array_equal(found, np.square(dense).sum(axis=0)):
            return False
    return True


def rough_products_are_enclosed() -> bool:
    """Of vectors of different sizes, either of them first."""
    problem = so.SparseRegression(np.eye(3), [1.0, 2.0, 3.0], so.L1(0.1), [1.0, 4.0, 9.0])
    rough = Objective(problem, rough=True)
    small, large = np.full(3, 2.0**-20), np.full(3, 2.0**20)
    least = 2.0**-53 * 3.0 * 8.0
    pairs = (small, large), (large, small)
    return all(least <= rough._products(a, b, 1.0)[-1] <= 4.0 * least for a, b in pairs)


def weighted_targets_count_as_weighted() -> bool:
    """At x = 0."""
    problem = so.SparseRegression(np.eye(3), [1.0, 2.0, 3.0], so.L1(0.1), [1.0, 4.0, 16.0])
    objective = Objective(problem)
    found = objective.objective_at_zero() * 4.0 ** (problem.scaled()._b + problem.scaled()._c)
    return bool(0.999 * 80.5 < found <= 80.5)
