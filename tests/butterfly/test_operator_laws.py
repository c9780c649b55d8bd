"""The laws of `LinearMatrix`, for both kinds of products, against dense matrices."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg as spl

import sparseopt as so
from sparseopt.butterfly import linear
from sparseopt.tools.random_products import random_product

SHAPES = {
    "1 x 1": [(1, 1, 1, 1)],
    "square": [(1, 2, 2, 4), (2, 2, 2, 2), (4, 2, 2, 1)],
    "wide": [(1, 3, 4, 6), (2, 12, 15, 1)],
    "tall": [(1, 8, 6, 2), (3, 4, 2, 1)],
}
DTYPES = (np.float32, np.float64, np.complex64, np.complex128)


def plain(patterns: Any, dtype: type, seed: int) -> so.KroneckerProduct:
    return random_product(so.Architecture(patterns), np.random.default_rng(seed), dtype)


def permuted(patterns: Any, dtype: type, seed: int) -> so.PermutedKroneckerProduct:
    product = plain(patterns, dtype, seed)
    rng = np.random.default_rng(seed)
    return so.PermutedKroneckerProduct(product, *map(rng.permutation, product.shape))


Kind = Callable[[Any, type, int], Any]
KINDS: tuple[Kind, ...] = (plain, permuted)
kinds = pytest.mark.parametrize("kind", KINDS)
dtypes = pytest.mark.parametrize("dtype", DTYPES)
shapes = pytest.mark.parametrize("shape", SHAPES)


def close(found: Any, expected: Any, dtype: type) -> None:
    """Compare entry by entry, to what the dtype allows against the largest entry."""
    assert np.shape(found) == np.shape(expected)
    room = 200 * np.finfo(dtype).eps * max(1.0, np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=room)


def operand(rng: np.random.Generator, dtype: type, *shape: int) -> np.ndarray:
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


@kinds
@dtypes
@shapes
def test_laws(kind: Kind, dtype: type, shape: str) -> None:
    matrix = kind(SHAPES[shape], dtype, 0)
    dense = matrix.to_dense()
    m, n = matrix.shape
    assert (dense.shape, dense.dtype, matrix.ndim) == ((m, n), dtype, 2)
    rng = np.random.default_rng(1)
    x, y = operand(rng, dtype, n, 3), operand(rng, dtype, m, 3)
    # Twice: the second product of a shape goes a shorter way.
    for _ in range(2):
        for found in (matrix @ x, matrix.matmat(x), matrix.dot(x), matrix(x)):
            assert found.dtype == dtype
            close(found, dense @ x, dtype)
        close(matrix @ x[:, 0], dense @ x[:, 0], dtype)
        close(matrix.matvec(x[:, 0]), dense @ x[:, 0], dtype)
        close(matrix.matvec(x[:, :1]), dense @ x[:, :1], dtype)
    close(y.T @ matrix, y.T @ dense, dtype)
    close(y[:, 0] @ matrix, y[:, 0] @ dense, dtype)
    close(matrix.rmatmat(y), dense.conj().T @ y, dtype)
    close(matrix.rmatvec(y[:, 0]), dense.conj().T @ y[:, 0], dtype)
    # The adjoint, by its definition.
    close(np.vdot(y, matrix @ x), np.vdot(matrix.H @ y, x), dtype)
    assert type(matrix.T) is type(matrix.H) is type(matrix)
    assert matrix.transpose() is matrix.T
    assert matrix.adjoint() is matrix.H
    close(matrix.T.to_dense(), dense.T, dtype)
    close(matrix.H.to_dense(), dense.conj().T, dtype)
    close(matrix.T.T.to_dense(), dense, dtype)


@kinds
@dtypes
@shapes
def test_empty_batches(kind: Kind, dtype: type, shape: str) -> None:
    matrix = kind(SHAPES[shape], dtype, 0)
    m, n = matrix.shape
    for found, size in ((matrix @ np.ones((n, 0)), m), (matrix.rmatmat(np.ones((m, 0))), n)):
        assert (found.shape, found.dtype) == ((size, 0), np.result_type(dtype, np.float64))
    assert (np.ones((0, m)) @ matrix).shape == (0, n)


@kinds
def test_lists_integers_and_sparse_matrices(kind: Kind) -> None:
    matrix = kind(SHAPES["wide"], np.float64, 0)
    dense = matrix.to_dense()
    x = np.arange(matrix.shape[1])
    close(matrix @ x.tolist(), dense @ x, float)
    close(x[: matrix.shape[0]].tolist() @ matrix, x[: matrix.shape[0]] @ dense, float)
    close(matrix @ scipy.sparse.csr_array(np.diag(x)), dense @ np.diag(x), float)
    # SciPy makes an array of what stands on the right of a sparse matrix; see `__array__`.
    left = scipy.sparse.csr_array(np.eye(matrix.shape[0]))
    with pytest.raises(TypeError, match=r"to_dense\(\)"):
        _ = left @ matrix
    close((matrix.T @ left.T).T, dense, float)
    close(matrix @ np.asfortranarray(np.eye(x.size)), dense, float)


@kinds
@dtypes
def test_numbers(kind: Kind, dtype: type) -> None:
    matrix = kind(SHAPES["tall"], dtype, 0)
    dense = matrix.to_dense()
    for found, expected in ((2 * matrix, 2 * dense), (matrix * 2j, 2j * dense), (-matrix, -dense)):
        assert type(found) is type(matrix)
        close(found.to_dense(), expected, dtype)
    assert (-matrix).dtype == (2 * matrix).dtype == dtype
    with pytest.raises(TypeError):
        _ = matrix * dense


@pytest.mark.parametrize("right", KINDS)
@pytest.mark.parametrize("left", KINDS)
@dtypes
def test_products_and_sums_of_two(left: Kind, right: Kind, dtype: type) -> None:
    one, two = left(SHAPES["square"], dtype, 2), right(SHAPES["square"], dtype, 3)
    a, b = one.to_dense(), two.to_dense()
    x = operand(np.random.default_rng(4), dtype, 8, 2)
    close((one @ two) @ x, one @ (two @ x), dtype)
    close((one @ two) @ x, a @ b @ x, dtype)
    close((one @ two).T @ x, (a @ b).T @ x, dtype)
    close((one + two) @ x, (a + b) @ x, dtype)
    close((one - two) @ x, (a - b) @ x, dtype)
    close((one - two).H @ x, (a - b).conj().T @ x, dtype)
    with pytest.raises(TypeError):
        _ = one + a


@kinds
def test_products_stay_products_where_the_orders_meet(kind: Kind) -> None:
    matrix = kind(SHAPES["wide"], np.float64, 0)
    dense = matrix.to_dense()
    for found, expected in (
        (matrix @ matrix.T, dense @ dense.T),
        (matrix.T @ matrix, dense.T @ dense),
    ):
        assert type(found) is type(matrix)
        close(found.to_dense(), expected, float)
    m, n = matrix.shape
    orders = np.random.default_rng(0).permutation(m), np.arange(n)
    product = plain(SHAPES["wide"], np.float64, 1)
    other = so.PermutedKroneckerProduct(product, *orders)
    for one, two in ((other, product.T), (product, other.T)):
        found = one @ two
        assert type(found) is so.PermutedKroneckerProduct
        close(found.to_dense(), one.to_dense() @ two.to_dense(), float)
    with pytest.raises(so.ProblemError, match="must have 30 rows, got a product of shape"):
        _ = matrix @ matrix


@kinds
def test_scipy_takes_it(kind: Kind) -> None:
    matrix = kind(SHAPES["wide"], np.float64, 0)
    dense = matrix.to_dense()
    m, n = dense.shape
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, 2)), rng.standard_normal(m)
    operator = spl.aslinearoperator(matrix)
    close(operator @ x, dense @ x, float)
    close(operator.H @ y, dense.T @ y, float)
    close((matrix @ spl.aslinearoperator(np.diag(x[:, 0]))) @ x, dense * x[:, 0] @ x, float)
    for found, expected in (
        (matrix + operator, 2 * dense),
        (operator + matrix, 2 * dense),
        (matrix - 3 * operator, -2 * dense),
        (3 * operator - matrix, 2 * dense),
    ):
        close(found @ x, expected @ x, float)
    close(spl.lsqr(matrix, dense @ x[:, 0])[0], np.linalg.pinv(dense) @ dense @ x[:, 0], np.float32)


@kinds
def test_operands_that_do_not_fit_are_refused(kind: Kind) -> None:
    matrix = kind(SHAPES["wide"], np.float64, 0)
    n = matrix.shape[1]
    for product, shape, wanted in (
        (matrix.matmat, (n,), rf"\({n}, batch\), got \({n},\)"),
        (matrix.matmat, (n + 1, 2), rf"\({n}, batch\)"),
        (matrix.matvec, (n, 2), rf"\({n},\) or \({n}, 1\)"),
        (matrix.matvec, (n - 1,), rf"\({n},\) or \({n}, 1\)"),
        (matrix.dot, (), rf"\({n}, batch\)"),
        (matrix.dot, (n + 1,), rf"\({n},\) or \({n}, 1\)"),
        (matrix.dot, (2, n + 1, 1), rf"\(..., {n}, batch\)"),
    ):
        with pytest.raises(so.ProblemError, match=f"operand must have shape {wanted}"):
            product(np.ones(shape))


KEYS: dict[str, Any] = {
    "row": 3,
    "column": (slice(None), -2),
    "entry": (4, 5),
    "rows": slice(2, 9, 3),
    "no rows": slice(5, 5),
    "block": (slice(20, 4, -5), slice(None, None, 7)),
    "listed rows": [2, 2, -1],
    "listed columns": (slice(None), np.array([0, 3])),
    "pairs": ([0, 5, 7], [1, 1, 2]),
    "one row, listed": (2, [0, -1]),
    "listed rows, one column": ([0, -1], 2),
    "listed, broadcast": ([3], [0, 5, 4]),
    "empty list": [],
}


@kinds
@dtypes
@shapes
def test_entries_are_those_of_the_dense_matrix(kind: Kind, dtype: type, shape: str) -> None:
    matrix = kind(SHAPES[shape], dtype, 0)
    dense = matrix.to_dense()
    if shape == "1 x 1":
        keys: list[Any] = [0, -1, (0, 0), slice(None), ([0, 0], [0, 0]), [True], [False]]
    elif shape == "square":
        keys = [5, (slice(None), 2), np.arange(8) % 3 == 0, (slice(1, 4), np.arange(8) > 5)]
    else:
        keys = [*KEYS.values(), (np.arange(len(dense)) < 2, [0, 1])]
    for key in keys:
        expected = dense[key]
        found = matrix[key]
        assert np.asarray(found).dtype == dtype
        close(found, expected, dtype)


@kinds
def test_bad_indices_are_refused(kind: Kind) -> None:
    matrix = kind(SHAPES["square"], np.float64, 0)
    for key in (8, -9, (0, 8), [0, 9], np.ones(7, dtype=bool)):
        with pytest.raises(IndexError):
            _ = matrix[key]
    for key in (0.5, "a", None, ..., True, [[0]], [0.5], (0, None)):
        with pytest.raises(so.ProblemError, match="are chosen by an integer"):
            _ = matrix[key]
    with pytest.raises(so.ProblemError, match="got 2 rows and 3 columns"):
        _ = matrix[[0, 1], [0, 1, 2]]
    with pytest.raises(so.ProblemError, match="got 3 indices"):
        _ = matrix[0, 0, 0]
    with pytest.raises(TypeError, match="not iterated"):
        list(matrix)


@kinds
@dtypes
def test_stacks_of_matrices(kind: Kind, dtype: type) -> None:
    matrix = kind(SHAPES["wide"], dtype, 0)
    dense = matrix.to_dense()
    m, n = dense.shape
    rng = np.random.default_rng(0)
    for stack in ((4,), (2, 3), (0,), (2, 0, 3)):
        x = operand(rng, dtype, *stack, n, 2)
        close(matrix @ x, dense @ x, dtype)
        y = operand(rng, dtype, *stack, 2, m)
        close(y @ matrix, y @ dense, dtype)
    with pytest.raises(so.ProblemError, match=f"must have {m} entries in its last dimension"):
        _ = np.ones((2, 3, m + 1)) @ matrix


@kinds
@dtypes
def test_quotients_powers_and_conversions(kind: Kind, dtype: type) -> None:
    matrix = kind(SHAPES["square"], dtype, 0)
    dense = matrix.to_dense()
    np.testing.assert_array_equal(matrix.toarray(), dense)
    close((matrix / 3).to_dense(), dense / 3, dtype)
    close((matrix / 1e-30).to_dense() * 1e-30, dense, dtype)
    close((matrix**1).to_dense(), dense, dtype)
    identity = np.eye(8)
    cube = matrix**3
    close(cube @ identity.astype(dtype), dense @ dense @ dense, dtype)
    np.testing.assert_array_equal(matrix.conj().to_dense(), dense.conj())
    assert matrix.conj().dtype == matrix.dtype
    for wanted in (np.complex64, np.complex128):
        changed = matrix.astype(wanted)
        assert type(changed) is type(matrix)
        assert changed.dtype == wanted
        close(changed.to_dense(), dense, np.complex64)
    inverse = matrix.inv()
    assert type(inverse) is type(matrix)
    room = np.finfo(dtype).eps * np.linalg.cond(dense) * 100
    np.testing.assert_allclose(inverse @ (matrix @ identity), identity, atol=room)
    np.testing.assert_allclose(matrix**-2 @ (dense @ dense), identity, atol=100 * room)


@kinds
def test_what_has_no_quotient_power_or_conversion(kind: Kind) -> None:
    matrix = kind(SHAPES["square"], np.complex128, 0)
    with pytest.raises(so.ProblemError, match="divided by zero"):
        _ = matrix / 0
    with pytest.raises(so.ProblemError, match="not 0"):
        _ = matrix**0
    with pytest.raises(TypeError):
        _ = matrix**0.5
    with pytest.raises(so.ProblemError, match="square matrices"):
        _ = kind(SHAPES["wide"], np.float64, 0) ** 2
    with pytest.raises(so.ProblemError, match="imaginary parts"):
        matrix.astype(float)
    with pytest.raises(so.ProblemError, match="float or complex, not int64"):
        matrix.astype(np.int64)
    with pytest.raises(so.ProblemError, match="blocks of 3 rows and 4 columns"):
        kind(SHAPES["wide"], np.float64, 0).inv()
    for value in (0.0, 5e-324):  # singular; with an inverse that overflows
        tiny = so.KroneckerProduct([np.full((1, 1, 1, 1), value)], [(1, 1, 1, 1)])
        with pytest.raises(so.ProblemError, match="singular block"):
            tiny.inv()
    for convert in (np.asarray, np.array, np.linalg.norm, list):
        with pytest.raises(TypeError, match=r"to_dense\(\)"):
            convert(matrix)


@kinds
def test_factors_may_be_tensors(kind: Kind) -> None:
    torch = pytest.importorskip("torch")
    known = kind(SHAPES["square"], np.float64, 0)
    factors = [torch.tensor(f, requires_grad=True) for f in known.factors]
    matrix: Any = so.KroneckerProduct(factors, known.architecture)
    if kind is permuted:
        matrix = so.PermutedKroneckerProduct(matrix, known.rows, known.columns)
    dense = torch.from_numpy(known.to_dense())
    x = torch.randn(3, 8, 2, dtype=torch.float64)
    torch.testing.assert_close(matrix @ x, dense @ x)
    torch.testing.assert_close(x.mT @ matrix, x.mT @ dense)
    torch.testing.assert_close(matrix.to_dense(), dense)
    torch.testing.assert_close(matrix[2:7:2, [0, 3]], dense[2:7:2, [0, 3]])
    torch.testing.assert_close((matrix / 2).inv().to_dense(), 2 * dense.inverse())
    torch.testing.assert_close((2 * matrix.T).conj().to_dense(), 2 * dense.T)
    assert matrix.astype(torch.float32).dtype == torch.float32
    assert (matrix @ x).requires_grad
    assert type(matrix.to_numpy()) is type(matrix)
    np.testing.assert_array_equal(matrix.to_numpy().to_dense(), known.to_dense())
    slopes = torch.autograd.grad((matrix @ x).square().sum(), factors)
    assert all(bool(slope.abs().sum() > 0) for slope in slopes)


@kinds
def test_tensors_give_tensors_with_gradients(kind: Kind) -> None:
    torch = pytest.importorskip("torch")
    matrix = kind(SHAPES["wide"], np.float64, 0)
    dense = torch.from_numpy(matrix.to_dense())
    x = torch.randn(dense.shape[1], 2, dtype=torch.float64, requires_grad=True)
    for found, expected in ((matrix @ x, dense @ x), (matrix @ x[:, 0], dense @ x[:, 0])):
        torch.testing.assert_close(found, expected)
        (slope,) = torch.autograd.grad(found.square().sum(), x, retain_graph=True)
        (known,) = torch.autograd.grad(expected.square().sum(), x)
        torch.testing.assert_close(slope, known)
    with torch.no_grad():
        torch.testing.assert_close(x.T @ matrix.T, x.T @ dense.T)


def test_a_product_of_tensors_is_not_converted_silently() -> None:
    torch = pytest.importorskip("torch")
    matrix = permuted(SHAPES["square"], np.float64, 0)
    factors = [torch.tensor(f) for f in plain(SHAPES["square"], np.float64, 1).factors]
    tensors = so.KroneckerProduct(factors, so.Architecture(SHAPES["square"]))
    for combined in (lambda: matrix @ tensors, lambda: tensors @ matrix, lambda: matrix + tensors):
        with pytest.raises(so.ProblemError, match="take to_numpy"):
            combined()


@kinds
def test_copies_and_json_hold_the_fields_alone(kind: Kind) -> None:
    matrix = kind(SHAPES["square"], np.complex128, 0)
    _ = matrix.T, matrix.H, matrix @ np.ones(8)
    for copy in (pickle.loads(pickle.dumps(matrix)), so.from_json(so.to_json(matrix))):
        assert type(copy) is type(matrix)
        assert not {"T", "H"} & set(vars(copy))
        np.testing.assert_array_equal(copy.to_dense(), matrix.to_dense())


def is_written_in_the_base(value: Any) -> bool:
    function = getattr(value, "fget", None) or getattr(value, "func", None) or value
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename == linear.__file__


@kinds
def test_no_concrete_method_is_overridden(kind: Kind) -> None:
    base = vars(linear.LinearMatrix)
    written = {name for name, value in base.items() if is_written_in_the_base(value)}
    concrete = written - linear.LinearMatrix.__abstractmethods__
    assert {"T", "matmat", "__matmul__", "ndim"} <= concrete
    assert concrete & set(vars(type(kind(SHAPES["1 x 1"], np.float64, 0)))) == set()
