"""The operator protocol against dense matrices, and exact lifting of redundant factors."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg as spl

import sparseopt as so
from sparseopt.butterfly import splitting
from sparseopt.butterfly.splitting import lift, merge, merge_all, unbuffered
from sparseopt.tools.random_products import random_product

CHAINS = {
    "dyadic": so.Architecture.square_dyadic(16),
    "non-square": so.Architecture([(1, 4, 6, 12), (3, 8, 6, 3), (9, 6, 4, 1)]),
    "a1 and dL above 1": so.Architecture([(3, 4, 4, 8), (6, 8, 6, 2)]),
    "not chainable": so.Architecture([(1, 2, 2, 2), (2, 2, 3, 1), (3, 2, 2, 1)]),
    "one": so.Architecture([(2, 3, 4, 2)]),
}
DTYPES = (np.float32, np.float64, np.complex64, np.complex128)


def dense(product: so.KroneckerProduct) -> np.ndarray:
    """The product of the factors written out one by one."""
    result = np.eye(product.shape[0])
    for factor, pattern in zip(product.factors, product.architecture, strict=True):
        result = result @ pattern.sparse(factor).toarray()
    return result


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CHAINS)
def test_operator_equals_the_dense_product(name: str, dtype: type) -> None:
    rng = np.random.default_rng(1)
    chain = CHAINS[name]
    factors = [rng.standard_normal(p.values_shape).astype(dtype) for p in chain]
    product = so.KroneckerProduct(factors, chain)
    matrix = dense(product)
    m, n = product.shape
    near = {"rtol": 1e-4, "atol": 1e-3} if np.finfo(dtype).eps > 1e-10 else {"rtol": 1e-11}
    assert product.dtype == dtype
    assert product.to_dense().dtype == dtype
    np.testing.assert_allclose(product.to_dense(), matrix, **near)
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((m, 2))
    np.testing.assert_allclose(product @ x, matrix @ x, **near)
    np.testing.assert_allclose(product @ x[:, 0], matrix @ x[:, 0], **near)
    np.testing.assert_allclose(product.matvec(x[:, :1]), matrix @ x[:, :1], **near)
    np.testing.assert_allclose(product.rmatmat(y), matrix.conj().T @ y, **near)
    np.testing.assert_allclose(product.rmatvec(y[:, 0]), matrix.conj().T @ y[:, 0], **near)
    np.testing.assert_allclose(product.T @ y, matrix.T @ y, **near)
    np.testing.assert_allclose(product.H.to_dense(), matrix.conj().T, **near)
    np.testing.assert_allclose(y.T @ product, y.T @ matrix, **near)
    np.testing.assert_allclose(y[:, 0] @ product, y[:, 0] @ matrix, **near)


def test_scipy_takes_it_as_a_linear_operator() -> None:
    product = random_product(CHAINS["dyadic"], np.random.default_rng(0))
    operator = spl.aslinearoperator(product)
    values = spl.svds(operator, k=3, return_singular_vectors=False, random_state=0)
    exact = np.linalg.svd(product.to_dense(), compute_uv=False)[:3]
    np.testing.assert_allclose(np.sort(values)[::-1], exact, rtol=1e-8)


def test_torch_factors_stay_tensors() -> None:
    torch = pytest.importorskip("torch")
    chain = CHAINS["a1 and dL above 1"]
    numbers = random_product(chain, np.random.default_rng(0), np.complex128)
    product = so.KroneckerProduct([torch.tensor(f) for f in numbers.factors], chain)
    assert isinstance(product.to_dense(), torch.Tensor)
    np.testing.assert_allclose(product.to_dense().numpy(), numbers.to_dense())
    x = np.ones((numbers.shape[1], 2), dtype=complex)
    np.testing.assert_allclose((product @ torch.tensor(x)).numpy(), numbers @ x)
    np.testing.assert_allclose(product.H.to_dense().numpy(), numbers.to_dense().conj().T)
    back = so.from_json(so.to_json(product))
    np.testing.assert_array_equal(back.factors[0], numbers.factors[0])
    mixed = [product.factors[0], numbers.factors[1]]
    with pytest.raises(so.ProblemError, match="mix"):
        so.KroneckerProduct(mixed, chain)


def test_bad_factors_are_refused_by_name() -> None:
    chain = so.Architecture([(1, 2, 3, 1)])
    with pytest.raises(so.ProblemError, match=r"factor 0 has shape \(1, 3, 2, 1\).*\(1, 2, 3, 1\)"):
        so.KroneckerProduct([np.zeros((1, 3, 2, 1))], chain)
    with pytest.raises(so.ProblemError, match="2 factors were given for 1"):
        so.KroneckerProduct([np.zeros((1, 2, 3, 1))] * 2, chain)
    with pytest.raises(so.ProblemError, match="dtype int64"):
        so.KroneckerProduct([np.zeros((1, 2, 3, 1), dtype=np.int64)], chain)
    values = np.zeros((1, 2, 3, 1))
    values[0, 1, 2, 0] = np.nan
    with pytest.raises(so.ProblemError, match=r"factor 0 has a nan at entry \(0, 1, 2, 0\)"):
        so.KroneckerProduct([values], chain)
    product = so.KroneckerProduct([np.zeros((1, 2, 3, 1))], chain)
    with pytest.raises(so.ProblemError, match=r"operand must have shape \(3, batch\)"):
        product @ np.ones((2, 2))
    with pytest.raises(ValueError, match="read-only"):
        product.factors[0][...] = 1


def test_merging_is_the_matrix_product() -> None:
    product = random_product(CHAINS["a1 and dL above 1"], np.random.default_rng(3))
    one, two = product.architecture
    merged = merge(*product.factors, one, two)
    np.testing.assert_allclose(one.product(two).dense(merged), dense(product))


@pytest.mark.parametrize("name", ["dyadic", "non-square", "a1 and dL above 1", "one"])
def test_merging_takes_the_fewest_multiplications(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = CHAINS[name]
    spent: list[int] = []

    def counted(x: Any, y: Any, one: Any, two: Any, by_columns: bool = False) -> np.ndarray:
        found = merge(x, y, one, two, by_columns)
        spent.append(found.size * one.rank_with(two))
        return found

    def fewest(first: int, last: int) -> int:
        size = chain[first:last].product.nnz
        return min(
            (
                fewest(first, cut) + fewest(cut, last) + size * chain.ranks[cut - 1]
                for cut in range(first + 1, last)
            ),
            default=0,
        )

    monkeypatch.setattr(splitting, "merge", counted)
    merge_all(random_product(chain, np.random.default_rng(0)).factors, chain)
    assert sum(spent) == fewest(0, len(chain))


@pytest.mark.parametrize(
    "patterns",
    [
        [(2, 4, 4, 1)] * 4,
        [(1, 2, 2, 8), (2, 2, 4, 4), (4, 4, 2, 2), (8, 2, 2, 1)],
        [(1, 2, 8, 4), (4, 8, 4, 1)],
        [(64, 1, 1, 1)] * 3,
        [(1, 5, 7, 2), (1, 7, 3, 2)],
        [(1, 3, 7, 2), (1, 7, 5, 2)],
    ],
)
def test_lifting_redundant_factors_is_exact(patterns: list[tuple[int, ...]]) -> None:
    chain = so.Architecture(patterns)
    assert chain.is_redundant
    reduced = random_product(chain.reduced(), np.random.default_rng(0))
    lifted = so.KroneckerProduct(lift(reduced.factors, chain), chain)
    whole = merge_all(reduced.factors, reduced.architecture)
    np.testing.assert_array_equal(merge_all(lifted.factors, chain), whole)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_products_and_operators_combine(dtype: type) -> None:
    rng = np.random.default_rng(4)
    one = random_product(so.Architecture([(1, 4, 6, 2), (3, 4, 2, 1)]), rng, dtype)
    two = random_product(so.Architecture([(1, 3, 4, 2), (2, 4, 5, 1)]), rng, dtype)
    left, right = one.to_dense(), two.to_dense()
    both = one @ two
    assert isinstance(both, so.KroneckerProduct)
    assert len(both.factors) == 4
    np.testing.assert_allclose(both.to_dense(), left @ right, atol=1e-12)
    x = rng.standard_normal((right.shape[1], 2))
    operator = spl.aslinearoperator(right)
    np.testing.assert_allclose((one @ operator) @ x, left @ right @ x, atol=1e-12)
    np.testing.assert_allclose((two + operator) @ x, 2 * right @ x, atol=1e-12)
    np.testing.assert_allclose((two - 2 * two) @ x, -right @ x, atol=1e-12)
    np.testing.assert_allclose((-two * 3j).to_dense(), -3j * right, atol=1e-12)
    sparse = scipy.sparse.csr_array(right)
    np.testing.assert_allclose(one @ sparse, left @ right, atol=1e-12)
    with pytest.raises(TypeError, match=r"write it out by to_dense\(\), or multiply by @"):
        _ = scipy.sparse.csr_array(left) @ two  # SciPy makes an array of what stands on the right
    with pytest.raises(so.ProblemError, match=r"must have 6 rows, got a product of shape \(8, 6\)"):
        _ = one @ one
    with pytest.raises(TypeError):
        _ = one + np.ones((8, 6))


def test_torch_factors_compose_and_scale_but_make_no_scipy_operator() -> None:
    torch = pytest.importorskip("torch")
    chain = CHAINS["dyadic"]
    plain = random_product(chain, np.random.default_rng(5))
    product = so.KroneckerProduct([torch.from_numpy(f.copy()) for f in plain.factors], chain)
    matrix = plain.to_dense()
    found = (2 * product @ product).to_dense().numpy()
    np.testing.assert_allclose(found, 2 * matrix @ matrix, atol=1e-10)
    with pytest.raises(so.ProblemError, match="take to_numpy"):
        _ = product + plain


@pytest.mark.parametrize("a", [1, 6, 40])
def test_merged_values_do_not_depend_on_how_they_lie(a: int) -> None:
    """Few or many blocks, rows or columns together: the same numbers, each one product."""
    rng = np.random.default_rng(a)
    left, right = so.KroneckerPattern(a, 2, 3, 4), so.KroneckerPattern(3 * a, 2, 5, 2)
    x, y = rng.standard_normal(left.values_shape), rng.standard_normal(right.values_shape)
    expected = so.KroneckerProduct([x], [left]).to_dense() @ (
        so.KroneckerProduct([y], [right]).to_dense()
    )
    for by_columns in (False, True):
        for other in (y, y + 0j):
            values = merge(x, other, left, right, by_columns)
            assert values.dtype == np.result_type(x, other)
            np.testing.assert_array_equal(left.product(right).dense(values), expected)


def test_the_size_of_buffers_is_put_back() -> None:
    usual = np.getbufsize()
    with unbuffered(1):
        assert np.getbufsize() == usual
    with suppress(ZeroDivisionError), unbuffered(1000):
        assert np.getbufsize() < usual
        raise ZeroDivisionError
    assert np.getbufsize() == usual
