"""Bad and unusual input to architectures, products and factorizations: one clear sentence each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse.linalg import LinearOperator

import sparseopt as so
from sparseopt.tools.architectures import architectures

DYADIC = so.Architecture.square_dyadic(4)
ONES = np.ones((4, 4))
KNOWN = ["hierarchical_numpy", "hierarchical_numba", "butterfly_alternating", "butterfly_adam"]


@pytest.fixture(params=KNOWN)
def solver(request: pytest.FixtureRequest) -> str:
    needs = {"hierarchical_numba": "numba", "butterfly_adam": "torch"}
    if request.param in needs:
        pytest.importorskip(needs[request.param])
    return str(request.param)


def problem(target: Any, architecture: Any = DYADIC, **options: Any) -> so.ButterflyFactorization:
    return so.ButterflyFactorization(target, architecture, **options)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (
            [(1, 2, 2, 6), (2, 3, 3, 2), (3, 2, 2, 2)],
            r"patterns 1 and 2: a = 2 of \(2, 3, 3, 2\) does not divide a = 3 of \(3, 2, 2, 2\)",
        ),
        (
            [(1, 3, 3, 2), (1, 2, 2, 3)],
            r"patterns 0 and 1: d = 3 of \(1, 2, 2, 3\) does not divide d = 2 of \(1, 3, 3, 2\)",
        ),
        (
            [(1, 2, 2, 3), (3, 2, 2, 1)],
            r"patterns 0 and 1: the rank a c / a' = 2/3 of .* is not an integer",
        ),
    ],
)
def test_a_chain_that_fails_names_pair_and_condition(
    patterns: list[tuple[int, int, int, int]], message: str
) -> None:
    shape = so.Architecture(patterns).shape
    with pytest.raises(so.ProblemError, match=message):
        problem(np.ones(shape), patterns)


def test_a_chain_whose_transpose_is_chainable_is_told_so() -> None:
    with pytest.raises(so.ProblemError, match="its transpose is chainable: factorize the transp"):
        problem(ONES, DYADIC.transpose)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (None, "an architecture is a sequence of patterns"),
        (3, "an architecture is a sequence of patterns"),
        ([], "at least one pattern"),
        ("dyadic", "is a sequence of patterns .* see also Architecture.square_dyadic"),
        ([(1, 2, 0, 1)], "c must be a positive integer, got 0"),
        ([(1, 2, -1, 1)], "c must be a positive integer, got -1"),
        ([(1, 2, 2.0, 1)], "c must be a positive integer, got 2.0"),
        ([(1, 2, float("nan"), 1)], "c must be a positive integer, got nan"),
        ([(True, 2, 2, 1)], "a must be a positive integer, got True"),
        ([(1, 2, 2, 1), (1, 3, 2, 1)], "2 columns and .* has 3 rows"),
    ],
    ids=str,
)
def test_bad_architectures(architecture: Any, message: str) -> None:
    with pytest.raises(so.ProblemError, match=message):
        problem(ONES, architecture)


def test_rank_zero_is_refused_where_ranks_are_given() -> None:
    with pytest.raises(so.ProblemError, match="p must be a positive integer, got 0"):
        so.Architecture.monarch(4, 4, 0, 2)
    with pytest.raises(so.ProblemError, match="max_rank must be"):
        next(architectures(4, 4, max_rank=0))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.ones((4, 5)), r"products of shape \(4, 4\), the target has shape \(4, 5\)"),
        (np.ones((0, 4)), "non-empty matrix"),
        ([], "non-empty matrix"),
        (3.0, "non-empty matrix"),
        (np.ones((2, 2, 4)), r"non-empty matrix, got an object of shape \(2, 2, 4\)"),
        ([[1.0, 2.0], [3.0]], "ragged"),
        (None, "Python objects"),
        (ONES.astype(object), "Python objects"),
        ([[1.0, "a"]], "dtype <U"),
        (ONES.astype(np.float16), "dtype float16; use float32"),
        (ONES.astype(np.longdouble), "use float32, float64, complex64 or complex128"),
        (ONES.astype("datetime64[s]"), "dtype datetime64"),
        (np.zeros((4, 4), dtype=[("a", float)]), "use float32"),
        (np.ma.masked_array(ONES, mask=np.eye(4)), "masked array; fill"),
        (np.where(np.eye(4) > 0, np.nan, 1.0), r"nan at entry \(0, 0\) \(4 such entries\)"),
        (np.array([[1, 2], [3, np.inf]], np.float32), r"inf at entry \(1, 1\)"),
        (np.full((4, 4), complex(0, -np.inf)), r"entry \(0, 0\) \(16 such entries\)"),
    ],
    ids=lambda value: str(value)[:20].replace("\n", " "),
)
def test_bad_targets(target: Any, message: str) -> None:
    with pytest.raises(so.ProblemError, match=message):
        problem(target)


def test_bad_entries_of_a_tensor() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(so.ProblemError, match=r"NaN or an infinity at entry \(0, 1\)"):
        problem(torch.tensor([[1.0, float("nan")], [1.0, 1.0]]), [(1, 2, 2, 1)])
    with pytest.raises(so.ProblemError, match="dtype bfloat16"):
        problem(torch.ones(4, 4, dtype=torch.bfloat16))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.int64])
def test_integers_are_converted_to_double_precision(dtype: type) -> None:
    given = problem(np.eye(4, dtype=dtype))
    assert given.dtype == np.float64
    solution = so.solve(given)
    assert solution.answer.dtype == np.float64
    np.testing.assert_allclose(solution.answer.to_dense(), np.eye(4), atol=1e-15)


def test_zero_targets(solver: str) -> None:
    for dtype in (np.float64, np.complex128):
        solution = so.solve(problem(np.zeros((4, 4), dtype)), solver)
        assert solution.certificate.error == 0
        assert solution.certificate.relative_error == 0
        assert not solution.answer.to_dense().any()


def test_complex_targets(solver: str) -> None:
    target = np.exp(2j * np.pi * np.outer(range(4), [0, 2, 1, 3]) / 4)
    solution = so.solve(problem(target), solver)
    assert solution.answer.dtype == np.complex128
    np.testing.assert_allclose(solution.answer.to_dense(), target, atol=1e-6)


def test_read_only_and_strided_targets_stay_as_they_are(solver: str) -> None:
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((8, 12))
    views = [wide[::2, ::3], wide[7::-2, ::-3], wide[:4, :4].T, np.asfortranarray(wide[:4, :4])]
    locked = wide[:4, :4].copy()
    locked.setflags(write=False)
    for view in [*views, locked]:
        before = view.copy()
        answer = so.solve(problem(view), solver).answer
        plain = so.solve(problem(np.ascontiguousarray(view)), solver).answer
        np.testing.assert_array_equal(view, before)
        np.testing.assert_allclose(answer.to_dense(), plain.to_dense(), atol=1e-5)


def test_one_by_one_and_single_rows(solver: str) -> None:
    for shape in ((1, 1), (1, 5), (5, 1)):
        target = np.arange(1.0, 6.0)[: shape[0] * shape[1]].reshape(shape)
        for patterns in ([(1, *shape, 1)], [(1, shape[0], 1, 1), (1, 1, shape[1], 1)]):
            answer = so.solve(problem(target, patterns), solver).answer
            np.testing.assert_allclose(answer.to_dense(), target, rtol=1e-12)


@pytest.mark.parametrize("options", [{"nonsense": 1}, {"bounds": "perhaps"}, {"probes": -1}])
def test_unknown_and_bad_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(so.ProblemError, match=next(iter(options))):
        so.solve(problem(ONES), "hierarchical_numpy", **options)


class NotFinite:
    """A linear operator with a defect, seen only when it is applied."""

    shape = (4, 4)
    dtype = np.dtype(float)

    def matvec(self, x: np.ndarray) -> np.ndarray:
        return np.full(4, np.nan)


def test_defects_of_an_operator_are_named_in_the_plan() -> None:
    with pytest.raises(so.SolveError) as caught:
        so.solve(problem(NotFinite()), "hierarchical_numpy")
    assert "columns 0 to 4 of the target operator has a nan" in str(caught.value.plan)


def stored_twice(values: list[Any], dtype: Any, form: str) -> Any:
    """A 2 x 2 matrix with all values stored for entry (0, 0)."""
    count = len(values)
    csr = scipy.sparse.csr_array(
        (np.array(values, dtype), [0] * count, [0, count, count]), shape=(2, 2)
    )
    return csr if form == "csr" else csr.tocoo()


@pytest.mark.parametrize("form", ["csr", "coo"])
def test_what_sparse_targets_store_twice_is_added_up_exactly(form: str) -> None:
    patterns = [(1, 2, 2, 1)]
    cases = [([100, 100], "int8"), ([200, 100], "uint8"), ([3, 4, 5], "int64"), ([0.1, 0.1], float)]
    for values, dtype in cases:
        given = so.ButterflyFactorization(stored_twice(values, dtype, form), patterns)
        assert given.columns(0, 2).tolist() == [[sum(values), 0.0], [0.0, 0.0]]
    for values, dtype in (([2**53, 1], "int64"), ([1.0, 2.0**-60], float)):
        with pytest.raises(
            so.ProblemError, match=r"entry \(0, 0\) whose sum float64 does not hold"
        ):
            so.ButterflyFactorization(stored_twice(values, dtype, form), patterns)
    with pytest.raises(so.ProblemError, match="target stores truth values more than once"):
        so.ButterflyFactorization(stored_twice([True, True], bool, form), patterns)


@pytest.mark.parametrize("name", ["hierarchical_numpy", "butterfly_alternating", "butterfly_adam"])
def test_targets_too_large_for_memory_are_told_what_is_needed(name: str) -> None:
    n = 2**24
    huge = problem(scipy.sparse.coo_array((n, n)), so.Architecture.monarch(n, n, 4, 4))
    with pytest.raises(so.SolveError) as caught:
        so.solve(huge, name)
    assert "it needs about" in str(caught.value.plan)
    assert "GiB of memory beside the target" in str(caught.value.plan)


def test_orders_of_a_target_too_large_for_memory() -> None:
    n = 2**24
    dyadic = so.Architecture.square_dyadic(n)
    with pytest.raises(so.SolveError) as caught:
        so.solve(problem(scipy.sparse.coo_array((n, n)), dyadic, permutations="unknown"))
    assert "GiB of memory beside the target" in str(caught.value.plan)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (None, "factors must be a sequence"),
        ([np.ones((1, 2, 2, 2))], "1 factors were given for 2 patterns"),
        ([np.ones((1, 2, 2, 3)), np.ones((2, 2, 2, 1))], r"factor 0 has shape \(1, 2, 2, 3\)"),
        ([np.eye(4), np.eye(4)], r"factor 0 has shape \(4, 4\)"),
        ([np.ones((1, 2, 2, 2)), np.ones((2, 2, 2, 1), int)], "factor 1 has dtype int64"),
        ([np.ones((1, 2, 2, 2), object), np.ones((2, 2, 2, 1))], "factor 0 has dtype object"),
        ([np.ones((1, 2, 2, 2)), np.full((2, 2, 2, 1), np.nan)], "factor 1 has a nan"),
    ],
    ids=["none", "count", "shape", "dense", "integers", "objects", "nan"],
)
def test_bad_factors(factors: Any, message: str) -> None:
    with pytest.raises(so.ProblemError, match=message):
        so.KroneckerProduct(factors, DYADIC)


def test_factors_may_come_from_any_iterable() -> None:
    factors = (np.ones(pattern.values_shape) for pattern in DYADIC)
    np.testing.assert_array_equal(so.KroneckerProduct(factors, DYADIC).to_dense(), ONES)


@pytest.mark.parametrize(("declared", "made"), [("f8", "c16"), ("f4", "f8"), ("c8", "c16")])
def test_operators_whose_products_have_another_dtype(declared: str, made: str) -> None:
    operator = LinearOperator((4, 4), matvec=lambda x: x.astype(made), dtype=declared)
    problem = so.ButterflyFactorization(operator, so.Architecture.square_dyadic(4))
    with pytest.raises(so.SolveError, match=r"declares the dtype .* products have the dtype"):
        so.solve(problem)
