"""What is given is taken as it is, or refused: no entry is rounded, and no mask dropped, unseen."""

from __future__ import annotations

import json
from collections import UserList, deque
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from banks import small_network

import sparseopt as so
from sparseopt.interface.arrays import as_array, as_figure
from sparseopt.interface.support_arrays import as_support
from sparseopt.tools.reading.matrices import read_matrix

LARGE = 2**53 + 1
NETWORK = small_network()

ROUNDED: dict[str, Any] = {
    "list": [LARGE, 0.5],
    "tuple": (LARGE, 0.5),
    "deque": deque([LARGE, 0.5]),
    "UserList": UserList([LARGE, 0.5]),
    "array in a list": [np.array(LARGE), 0.5],
    "tensor in a list": [torch.tensor(LARGE), 0.5],
    "integer of NumPy": [[np.int64(LARGE), 0.5], [1, 2]],
    "complex": [LARGE, 0.5j],
    "table": pd.DataFrame({"a": [LARGE, 1], "b": [0.5, 1.0]}),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_integers_that_float64_does_not_hold_are_refused(name: str) -> None:
    with pytest.raises(so.ProblemError, match=r"float64 does not|a table of several dtypes"):
        as_array(ROUNDED[name], "x")


@pytest.mark.parametrize(
    "value",
    [
        deque([2**53, 0.5]),
        [np.array(3), 0.5],
        pd.DataFrame({"a": [LARGE, 1], "b": [3, 4]}),
        pd.DataFrame({"a": [1, 2], "b": [0.5, 1.0]}),
        [1e300, 2**60],
        np.float16(1.5),
        [[]],
        memoryview(np.eye(2)),
        [memoryview(np.ones(2)), [1, 2]],
    ],
    ids=range(9),
)
def test_others_are_taken(value: Any) -> None:
    np.testing.assert_array_equal(as_array(value, "x"), np.asarray(value))


class GivesMasked:
    """An object that NumPy makes an array with a mask of."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.ma.masked_array([[1.0, 0.0], [1.0, 1.0]], [[False, True], [False, False]])


@pytest.mark.parametrize(
    "value",
    [
        [np.ma.masked_array([1.0, 0.0], [False, True]), [1.0, 1.0]],
        ([[1, 0], np.ma.masked_array([1, 0], [True, False])],),
        [[1, np.ma.masked], [0, 1]],
        deque([np.ma.masked_array([1.0, 0.0], [False, True]), [1.0, 1.0]]),
        UserList([np.ma.masked_array([1.0, 0.0], [False, True]), [1.0, 1.0]]),
        GivesMasked(),
    ],
    ids=["row", "deep", "entry", "deque", "UserList", "__array__"],
)
@pytest.mark.parametrize("take", [as_array, as_support])
@pytest.mark.filterwarnings("ignore:.*masked element")
def test_masks_in_lists_are_refused(value: Any, take: Any) -> None:
    with pytest.raises((so.ProblemError, np.ma.MaskError)):
        take(value, "x")


def test_points_of_an_interpolant_are_not_rounded() -> None:
    with pytest.raises(so.ProblemError, match=r"points holds 9007199254740993 at entry \(1,\)"):
        so.MinimumNormInterpolant([0.5, LARGE, LARGE + 1], [0.0, 0.0, 1.0])


def test_coefficients_of_a_file_are_not_rounded() -> None:
    problem = so.SparseRegression(np.eye(2), [1.0, 2.0], so.L1(0.1))
    text = json.loads(so.solve(problem).to_json())
    text["answer"]["x"] = [LARGE, 0.5]
    with pytest.raises(so.ProblemError, match="x holds 9007199254740993"):
        so.from_json(json.dumps(text))


def sparse(form: str, values: Any) -> Any:
    """Return a sparse matrix of one row that stores all values but the last in its first entry."""
    values = np.asarray(values)
    place = np.zeros(len(values), dtype=int)
    column = np.append(place[:-1], 1)
    made = scipy.sparse.coo_array((values, (place, column)), shape=(1, 2))
    if form == "coo":
        return made
    starts = {"csr": [0, len(values)], "csc": [0, len(values) - 1, len(values)]}[form]
    kind = {"csr": scipy.sparse.csr_array, "csc": scipy.sparse.csc_array}[form]
    index = column if form == "csr" else place
    return kind((values, index, starts), shape=(1, 2))


@pytest.mark.parametrize("form", ["coo", "csr", "csc"])
def test_what_a_sparse_design_stores_twice_is_added_up_without_rounding(form: str) -> None:
    for values, total in (
        ([1.0, 2.0, 5.0], 3.0),
        (np.array([100, 100, 5], dtype=np.int8), 200.0),
        ([0.5, -0.5, 5.0], 0.0),
        ([1 + 1j, 2 - 3j, 5j], 3 - 2j),
        (np.array([1.5, 2.5, 1.0], dtype=np.float32), 4.0),
    ):
        design = so.SparseRegression(sparse(form, values), [1.0], so.L1(0.1)).design
        assert design.toarray()[0, 0] == total
        assert design.has_canonical_format
    single = so.SparseRegression(sparse(form, np.float32([2**24, 1, 5])), [1.0], so.L1(0.1)).design
    assert single.dtype == np.float64
    assert single.toarray()[0, 0] == 2**24 + 1


@pytest.mark.parametrize("form", ["coo", "csr", "csc"])
@pytest.mark.parametrize(
    "values", [[1e16, 1.0, 5.0], [2**53, 1, 5], [1e16, 1.0, -1e16, 5.0], [1e308, 1e308, 5.0]]
)
def test_sums_that_float64_does_not_hold_are_refused(form: str, values: Any) -> None:
    with pytest.raises(so.ProblemError, match=r"stores numbers at entry \(0, 0\) whose sum"):
        so.SparseRegression(sparse(form, values), [1.0], so.L1(0.1))


def test_sparse_targets_of_integers_are_not_rounded() -> None:
    target = scipy.sparse.csr_array(np.array([[LARGE, 0], [0, 1]]))
    with pytest.raises(so.ProblemError, match="target holds 9007199254740993"):
        so.ButterflyFactorization(target, so.Architecture([(1, 2, 2, 1)]))


THIRD = np.longdouble(1) / 3
WIDE = pytest.param(
    THIRD, marks=pytest.mark.skipif(float(THIRD) == THIRD, reason="long doubles are doubles here")
)


@pytest.mark.parametrize("value", [LARGE, 10**400, WIDE])
@pytest.mark.parametrize(
    "made",
    [
        so.L1,
        so.Ridge,
        lambda value: so.BasisPursuit([[1.0]], [1.0], value),
        lambda value: so.SquareRootLasso([[1.0]], [1.0], value),
        lambda value: so.PathNorm(NETWORK, q=value),
        lambda value: so.LipschitzBound(NETWORK, p_in=value),
        lambda value: so.path(so.SparseRegression([[1.0]], [1.0], so.L1(1.0)), strengths=[value]),
    ],
)
def test_numbers_that_float64_does_not_hold_are_refused(made: Any, value: Any) -> None:
    with pytest.raises(so.ProblemError, match="which float64 does not hold"):
        made(value)


def test_matrix_files_are_not_rounded(tmp_path: Path) -> None:
    path = tmp_path / "a.mtx"
    head = "%%MatrixMarket matrix coordinate"
    for text, words in (
        (f"{head} integer general\n1 1 1\n1 1 {LARGE}\n", "holds integers from 2"),
        (f"{head} real general\n1 1 2\n1 1 1e16\n1 1 1\n", r"stores numbers at entry \(0, 0\)"),
    ):
        path.write_text(text)
        with pytest.raises(so.ProblemError, match=words):
            read_matrix(path)
    path.write_text(f"{head} real general\n1 2 3\n1 1 2\n1 2 1\n1 1 3\n")
    assert read_matrix(path).tolist() == [[5.0, 1.0]]


@pytest.mark.parametrize(
    "value",
    [np.int64(2**53 + 1), np.uint64(2**64 - 1), 2**53 + 1, 10**5000],
    ids=["int64", "uint64", "int", "long"],
)
def test_figures_are_exact(value: Any) -> None:
    with pytest.raises(so.ProblemError, match=r"noise is .*, which float64 does not hold"):
        so.BasisPursuit(np.eye(2), [1.0, 2.0], noise=value)


@pytest.mark.parametrize(
    "value", [np.int64(2**53), np.uint64(2**63), Fraction(1, 8), np.float32(0.1)]
)
def test_figures_that_are_floats(value: Any) -> None:
    assert as_figure(value, "x") == float(value)


@pytest.mark.parametrize("tolerance", [Fraction(1, 8), np.float32(0.125), 1])
def test_tolerances_go_through_json(tolerance: Any) -> None:
    problem = so.SparseRegression(np.eye(2), [1.0, 2.0], so.L1(0.1))
    solution = so.solve(problem, tolerance=tolerance, max_memory=2**63 - 1)
    assert type(solution.tolerance) is float
    assert so.from_json(solution.to_json()).tolerance == tolerance


def test_options_may_be_texts_of_numpy() -> None:
    network = small_network()
    for affine in np.array(["as_is", "merged"]):
        assert so.verify(so.solve(so.PathNorm(network, affine=affine))).ok
    for form in np.array(["int8", "e4m3"]):
        problem = so.RankOneQuantization([1.0, 0.3], [2.0, 0.7], form, form)
        assert so.verify(so.solve(problem)).ok
