"""Penalties and problems: what they hold, what they evaluate, what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse.linalg import aslinearoperator

import sparseopt as so

EYE, ONES = np.eye(3), np.ones(3)
WITH_NAN = np.array([[1.0, 0.0], [0.0, np.nan]])
L1 = so.L1(1.0)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: so.L1(-1), "strength is -1; a penalty cannot be negative"),
        (lambda: so.L1(np.nan), "strength is nan"),
        (lambda: so.L1("a"), "must be a number"),
        (lambda: so.L1(True), "must be a number"),
        (lambda: so.L1(None), "must be a number"),
        (lambda: so.L1(1j), "must be a number"),
        (lambda: so.L1([1, 2]), "must be a number"),
        (lambda: so.GroupL1(-1, [[0]]), "cannot be negative"),
        (lambda: so.GroupL1(1, [[0, 1], [1, 2]]), "entry 1 is in groups 0 and 1"),
        (lambda: so.GroupL1(1, [[0, 0], [1]]), "entry 0 is in group 0 twice"),
        (lambda: so.GroupL1(1, [[0], [2]]), "the groups miss entry 1"),
        (lambda: so.GroupL1(1, []), "groups is empty"),
        (lambda: so.GroupL1(1, [[], [0]]), "group 0 must be a non-empty list"),
        (lambda: so.GroupL1(1, [0, 1]), "group 0 must be a non-empty list"),
        (lambda: so.GroupL1(1, 3), "must be a list of lists"),
        (lambda: so.GroupL1(1, [[0], [1.5]]), r"group 1 holds 1.5"),
        (lambda: so.GroupL1(1, [[0], [-1]]), "group 1 holds -1"),
        (lambda: so.GroupL1(1, [[0], [np.nan]]), "group 1 holds nan"),
        (lambda: so.GroupL1(1, [["a"]]), "group 0 must be"),
        (lambda: so.GroupL1(1, [[0], [1]], [1]), "weights must be 2 numbers"),
        (
            lambda: so.GroupL1(1, [[0], [1]], [1, -2]),
            "weights has -2 at entry 1; weights must not be",
        ),
        (lambda: so.GroupL1(1, [[0], [1]], [1, np.inf]), "weights has an inf at entry"),
        (lambda: so.GroupL1(1, [[0], [1]], ["a", 1]), "weights must be 2 numbers"),
    ],
)
def test_bad_penalties(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        build()


@pytest.mark.parametrize(
    ("design", "target", "penalty", "words"),
    [
        (WITH_NAN, [1, 2], L1, r"design has a nan at entry \(1, 1\)"),
        (scipy.sparse.csc_array(WITH_NAN), [1, 2], L1, r"design has a nan at entry \(1, 1\)"),
        (EYE, [1, np.inf, 2], L1, r"target has an inf at entry \(1,\)"),
        (EYE, ONES[:2], L1, r"give a vector of shape \(3,\)"),
        (EYE, ONES[:, None], L1, r"give a vector of shape \(3,\)"),
        (ONES, ONES, L1, "design must be a matrix"),
        ([[1, 2], [3]], [1, 2], L1, "design is ragged"),
        (EYE, [[1, 2], 3, 4], L1, "target is ragged"),
        (np.zeros((0, 3)), [], L1, "at least one row and one column"),
        (np.zeros((3, 0)), ONES, L1, "at least one row and one column"),
        (scipy.sparse.csr_array((3, 0)), ONES, L1, "at least one row and one column"),
        (EYE * 1j, ONES, so.L1(1, positive=True), "positive=True needs real data, and design is"),
        (EYE, ONES * 1j, so.L1(1, positive=True), "positive=True needs real data, and target is"),
        (aslinearoperator(WITH_NAN), [1, 2], L1, "column 0 of the design has a NaN"),
        (EYE, ONES, so.L1(1, [1, 2]), "weights must be 3 numbers, one per column"),
        (EYE, ONES, so.NuclearNorm(1, (2, 2)), r"shape \(2, 2\) has 4 entries"),
        (EYE.astype(object), ONES, L1, "dtype object; convert it"),
        (EYE.astype(np.float16), ONES, L1, "dtype float16; convert it"),
        (EYE.astype(">f8"), ONES, L1, "convert it to float32 or float64"),
        ("abc", ONES, L1, "design is 'abc', no array"),
        (None, ONES, L1, "design has dtype object"),
        (np.ma.masked_array(EYE, EYE > 0), ONES, L1, "masked array"),
        (EYE, ONES, 1.0, r"penalty must be L1\(strength\) or GroupL1"),
        (EYE, ONES, so.GroupL1(1, [[0], [1]]), "the design has 3 columns"),
        (EYE, ONES, so.GroupL1(1, [[0, 1], [2, 3]]), "the design has 3 columns"),
        (EYE * 1e200, ONES, L1, "largest entry of design is 1e.200"),
        (EYE, ONES * 1e-200, L1, "largest entry of target is 1e-200"),
        ([[1e150, 1e-180]], [1], L1, "no scaling holds both"),
        (EYE, ONES, so.L1(1e306), "strength times weight is 1e.306 for block 0"),
        (EYE, ONES, so.L1(1e-305), "strength times weight is 1e-305"),
    ],
)
def test_bad_problems(design: Any, target: Any, penalty: Any, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.SparseRegression(design, target, penalty)


@pytest.mark.parametrize("x", [[[1.0]], ["a"], [np.nan], [np.nan * 1j]])
def test_bad_coefficients(x: Any) -> None:
    with pytest.raises(so.ProblemError):
        so.Coefficients(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_designs_are_kept_without_a_copy(dtype: type, order: Any) -> None:
    design = np.array(np.arange(6.0).reshape(3, 2), dtype=dtype, order=order)
    target = np.ones(3, dtype)
    problem = so.SparseRegression(design, target, L1)
    assert np.shares_memory(problem.design, design)
    assert np.shares_memory(problem.target, target)
    assert problem.design.dtype == dtype
    with pytest.raises(ValueError, match="read-only"):
        problem.design[0, 0] = 1.0
    strided = np.zeros((6, 4), dtype)[::2, ::-2]
    assert np.shares_memory(so.SparseRegression(strided, target, L1).design, strided)


def test_sparse_designs_are_kept_and_brought_to_canonical_form() -> None:
    for kind in ("csr", "csc"):
        design = scipy.sparse.random_array((5, 4), density=0.5, format=kind, random_state=0)
        problem = so.SparseRegression(design, np.ones(5), L1)
        assert problem.design.format == kind
        assert np.shares_memory(problem.design.data, design.data)
        assert not problem.design.data.flags.writeable
    twice = scipy.sparse.csr_array(([1.0, 2.0], [1, 1], [0, 2]), shape=(1, 2))
    problem = so.SparseRegression(twice, [1.0], L1)
    assert problem.design.toarray().tolist() == [[0.0, 3.0]]
    assert twice.data.tolist() == [1.0, 2.0]
    true = scipy.sparse.csr_array(([True, True], [1, 1], [0, 2]), shape=(1, 2))
    with pytest.raises(so.ProblemError, match="design stores truth values more than once"):
        so.SparseRegression(true, [1.0], L1)
    assert so.SparseRegression(scipy.sparse.coo_array(EYE), ONES, L1).design.format == "csc"


def test_other_numbers_become_float64() -> None:
    for design in (EYE.astype(int), EYE.astype(bool), EYE.tolist(), scipy.sparse.eye_array(3)):
        assert so.SparseRegression(design, [1, 2, 3], L1).design.dtype == np.float64


def test_penalties_and_objective_from_the_definition() -> None:
    rng = np.random.default_rng(0)
    design, target, x = rng.standard_normal((4, 5)), rng.standard_normal(4), rng.standard_normal(5)
    groups, weights = [[4, 0], [2], [1, 3]], [1.0, 2.0, 0.5]
    group = so.GroupL1(3.0, groups, weights)
    expected = 3.0 * sum(w * np.linalg.norm(x[g]) for g, w in zip(groups, weights, strict=True))
    assert group.value(x) == pytest.approx(expected, rel=1e-15)
    assert so.L1(3.0).value(x) == pytest.approx(3.0 * np.abs(x).sum(), rel=1e-15)
    assert so.GroupL1(3.0, [[j] for j in range(5)]).value(x) == so.L1(3.0).value(x)
    figures = so.SparseRegression(design, target, group).evaluate(so.Coefficients(x))
    loss = 0.5 * np.linalg.norm(design @ x - target) ** 2
    assert figures["loss"] == pytest.approx(loss, rel=1e-14)
    assert figures["objective"] == figures["loss"] + figures["penalty"]


def test_blocks() -> None:
    blocks = so.GroupL1(1.0, [[3, 0], [1], [4, 2, 5]]).blocks(6)
    assert blocks.labels.tolist() == [0, 1, 2, 0, 2, 2]
    assert blocks.members(np.array([2, 0])).tolist() == [4, 2, 5, 3, 0]
    assert blocks.members(np.array([], dtype=int)).tolist() == []
    assert blocks.norms(np.array([4.0, 1, 0, 3, 0, 2])).tolist() == [5.0, 1.0, 2.0]
    assert blocks.spread(np.array([1.0, 2.0, 3.0])).tolist() == [1, 2, 3, 1, 3, 3]
    assert not blocks.single
    assert so.GroupL1(1.0, [[0], [1]]).blocks(2).single
    assert not so.GroupL1(1.0, [[1], [0]]).blocks(2).single


def test_round_trip_through_json() -> None:
    rng = np.random.default_rng(0)
    for design in (
        rng.standard_normal((4, 3)).astype(np.float32),
        scipy.sparse.random_array((4, 3), density=0.5, format="csr", random_state=1),
    ):
        problem = so.SparseRegression(design, [*ONES.tolist(), 1], so.GroupL1(1, [[0, 2], [1]]))
        text = so.to_json(problem)
        assert so.to_json(so.from_json(text)) == text


def test_support_is_what_is_nonzero_however_small() -> None:
    answer = so.Coefficients(np.array([0.0, 1e-305, -0.0, 2.0]))
    assert answer.support.tolist() == [1, 3]
    assert str(answer) == "2 of 4 coefficients are nonzero"


def test_description_and_structure() -> None:
    dense = so.SparseRegression(EYE, ONES, L1)
    assert dense.describe() == "L1 regression, strength 1, design 3 x 3"
    plain = {"operator": False, "complex": False, "plain": True}
    assert dense.structure() == {"penalty": "L1", "sparse": False, **plain}
    sparse = so.SparseRegression(scipy.sparse.eye_array(3), ONES, so.GroupL1(2, [[0, 1, 2]]))
    assert sparse.describe() == "GroupL1 regression, strength 2, sparse (3 stored) design 3 x 3"
    assert sparse.structure() == {"penalty": "GroupL1", "sparse": True, **plain}
    mixed = so.SparseRegression(aslinearoperator(EYE), ONES * 1j, L1 + so.Ridge(2))
    assert mixed.describe() == "L1 + Ridge regression, strength 1, complex operator design 3 x 3"
    assert mixed.structure() == {
        "penalty": "PenaltySum",
        "sparse": False,
        "operator": True,
        "complex": True,
        "plain": False,
    }
