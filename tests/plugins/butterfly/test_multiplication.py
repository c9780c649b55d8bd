"""Every multiplication method and plan against dense matrices."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse.linalg as spl
from hypothesis import given, settings, strategies as st
from sparseopt_butterfly.multiplication import Multiplication, Step, merged_pattern

import sparseopt as so
from sparseopt.tools.random_products import random_product

DTYPES = (np.float32, np.float64, np.complex64, np.complex128)
PATTERN = so.KroneckerPattern(2, 3, 5, 4)


def written_out(product: so.KroneckerProduct) -> np.ndarray:
    """The product of the factors as sparse matrices, in double precision."""
    result = np.eye(product.shape[0])
    for factor, pattern in zip(product.factors, product.architecture, strict=True):
        result = result @ pattern.sparse(factor.astype(np.result_type(factor, float))).toarray()
    return result


@pytest.mark.parametrize("method", ["matmul", "gathered", "csr", "dense"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_method_is_the_factor(method: str, dtype: type) -> None:
    product = random_product([PATTERN], np.random.default_rng(0), dtype)
    engine = Multiplication(product.factors, product.architecture)
    run = engine._function(Step(0, 0, PATTERN, method, 0.0), np.dtype(dtype), 2)
    for batch in (0, 1, 3, 20):
        x = np.random.default_rng(1).standard_normal((PATTERN.shape[1], batch)).astype(dtype)
        y = run(x)
        assert y.dtype == dtype
        tolerance = 20 * np.finfo(dtype).eps
        np.testing.assert_allclose(y, written_out(product) @ x, rtol=tolerance, atol=tolerance * 5)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_chain_and_its_transpose_against_the_written_out_product(data: st.DataObject) -> None:
    """Chains of any divisors, chainable or not, with every batch and memory order."""
    size = data.draw(st.sampled_from([1, 6, 12, 16]))
    divisors = [k for k in range(1, size + 1) if size % k == 0]
    patterns, rows = [], size
    for _ in range(data.draw(st.integers(1, 4))):
        a = data.draw(st.sampled_from([k for k in divisors if rows % k == 0]))
        d = data.draw(st.sampled_from([k for k in divisors if (rows // a) % k == 0]))
        c = data.draw(st.integers(1, 3))
        patterns.append((a, rows // (a * d), c, d))
        rows = a * c * d
        divisors = [k for k in range(1, rows + 1) if rows % k == 0]
    dtype = data.draw(st.sampled_from(DTYPES))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    factors = [rng.standard_normal(so.KroneckerPattern(*p).values_shape) for p in patterns]
    product = so.KroneckerProduct([f.astype(dtype) for f in factors], so.Architecture(patterns))
    matrix = written_out(product)
    batch = data.draw(st.integers(0, 11))
    x = rng.standard_normal((product.shape[1], 2 * batch)).astype(dtype)[:, ::2]
    y = np.asfortranarray(rng.standard_normal((product.shape[0], batch)).astype(dtype))
    bound = 200 * np.finfo(dtype).eps * np.prod([np.abs(f).max() * f.size for f in factors])
    np.testing.assert_allclose(product @ x, matrix @ x, rtol=0, atol=bound)
    np.testing.assert_allclose(product.H @ y, matrix.conj().T @ y, rtol=0, atol=bound)
    np.testing.assert_allclose(y.T @ product, y.T @ matrix, rtol=0, atol=bound)


def test_merged_neighbours_of_a_transposed_chain() -> None:
    product = random_product(so.Architecture.square_dyadic(64), np.random.default_rng(0)).T
    assert not product.architecture.is_chainable
    assert len(product.plan(16).steps) < 6
    x = np.random.default_rng(1).standard_normal((64, 16))
    np.testing.assert_allclose(product @ x, written_out(product) @ x, rtol=1e-12, atol=1e-13)


def test_patterns_that_do_not_merge() -> None:
    assert merged_pattern(so.KroneckerPattern(2, 2, 3, 2), so.KroneckerPattern(3, 4, 2, 1)) is None
    both = so.KroneckerPattern(1, 2, 2, 2), so.KroneckerPattern(2, 2, 2, 1)
    assert merged_pattern(*both) == so.KroneckerPattern(1, 4, 4, 1)
    assert merged_pattern(both[1], both[0]) == so.KroneckerPattern(1, 4, 4, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "operand", [bool, np.int8, np.int64, np.float16, np.float32, np.complex64, np.clongdouble]
)
def test_result_dtype_follows_numpy(dtype: type, operand: type) -> None:
    product = random_product(so.Architecture.square_dyadic(8), np.random.default_rng(0), dtype)
    x = (np.random.default_rng(1).integers(0, 9, (8, 2)) > 4).astype(operand)
    expected = product.to_dense() @ x
    assert (product @ x).dtype == expected.dtype
    np.testing.assert_allclose(product @ x, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(product @ x[:, 0], expected[:, 0], rtol=1e-5, atol=1e-5)


def test_half_precision_is_computed_in_single() -> None:
    chain = so.Architecture.square_dyadic(8)
    product = random_product(chain, np.random.default_rng(0), np.float16)
    y = product @ np.ones(8, dtype=np.float16)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, written_out(product) @ np.ones(8), rtol=2e-3, atol=2e-3)


def test_complex_operand_of_a_real_chain_is_planned_as_real() -> None:
    product = random_product(so.Architecture.square_dyadic(16), np.random.default_rng(0))
    plan = product.plan(5, np.complex128)
    assert plan.dtype == np.float64
    assert plan.batch == 16
    x = np.random.default_rng(1).standard_normal((16, 6)) * (1 + 2j)
    np.testing.assert_allclose(product @ x[:, ::2], product.to_dense() @ x[:, ::2], rtol=1e-12)


def test_plan_covers_the_chain_and_prints() -> None:
    product = random_product(so.Architecture.square_dyadic(1024), np.random.default_rng(0))
    plan = product.plan(batch=100)
    places = [i for step in plan.steps for i in range(step.first, step.last + 1)]
    assert places == list(range(10))
    assert plan.batch == 128
    assert plan.microseconds <= plan.separately
    text = str(plan)
    assert "float64 operand with 128 columns" in text
    assert "merged" in text
    assert "without merging" in text
    assert product.plan(batch=100) is plan
    with pytest.raises(so.ProblemError, match="batch must be a positive integer"):
        product.plan(0)


def test_small_blocks_alone_go_to_csr() -> None:
    product = random_product([(512, 2, 2, 1)], np.random.default_rng(0), np.float32)
    assert [step.method for step in product.plan(1).steps] == ["csr"]
    product = random_product([(1, 48, 48, 16)], np.random.default_rng(0), np.float32)
    assert product.plan(128).steps[0].method in ("matmul", "gathered")


def test_scipy_solvers() -> None:
    rng = np.random.default_rng(0)
    product = random_product(so.Architecture.square_dyadic(32), rng)
    matrix = product.to_dense()
    target = rng.standard_normal(32)
    found = spl.lsmr(product, target, atol=1e-13, btol=1e-13, conlim=0, maxiter=2000)[0]
    np.testing.assert_allclose(matrix @ found, target, atol=1e-6)
    symmetric = so.KroneckerProduct(
        [*product.H.factors, *product.factors],
        so.Architecture([*product.architecture.transpose, *product.architecture]),
    )
    operator = spl.aslinearoperator(symmetric) + spl.aslinearoperator(np.eye(32))
    solution, failed = spl.cg(operator, target, rtol=1e-12, maxiter=500)
    assert failed == 0
    np.testing.assert_allclose(matrix.T @ matrix @ solution + solution, target, atol=1e-8)
    complex_product = random_product(product.architecture, rng, np.complex128)
    start = np.ones(complex_product.shape[1], dtype=complex)
    values = spl.svds(complex_product, k=2, return_singular_vectors=False, v0=start)
    exact = np.linalg.svd(complex_product.to_dense(), compute_uv=False)[:2]
    np.testing.assert_allclose(np.sort(values)[::-1], exact, rtol=1e-8)


def test_protocol_names() -> None:
    product = random_product([(1, 2, 3, 2)], np.random.default_rng(0))
    x = np.ones(6)
    assert product.ndim == 2
    assert product.H is product.T
    np.testing.assert_array_equal(product.dot(x), product @ x)
    np.testing.assert_array_equal(product(x), product @ x)
    np.testing.assert_array_equal(product.adjoint() @ np.ones(4), product.transpose() @ np.ones(4))
    np.testing.assert_allclose(np.ones((7, 6)) @ product.T, np.ones((7, 6)) @ product.to_dense().T)
    again = pickle.loads(pickle.dumps(product))
    np.testing.assert_array_equal(again @ x, product @ x)


def test_operands_that_do_not_fit_are_refused() -> None:
    product = random_product([(1, 2, 3, 1)], np.random.default_rng(0))
    with pytest.raises(so.ProblemError, match=r"must have shape \(3,\) or \(3, 1\), got \(2,\)"):
        product @ np.ones(2)
    with pytest.raises(so.ProblemError, match=r"got \(1, 3\)"):
        product.matvec(np.ones((1, 3)))
    with pytest.raises(so.ProblemError, match="dtype object"):
        product @ np.array([1, 2, None], dtype=object)
    torch = pytest.importorskip("torch")
    tensors = so.KroneckerProduct([torch.ones(1, 2, 3, 1)], product.architecture)
    with pytest.raises(so.ProblemError, match="no plan"):
        tensors.plan()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", [False, True])
def test_tensors_times_arrays(dtype: type, gradient: bool) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    product = random_product(so.Architecture.square_dyadic(16), rng, dtype)
    matrix = torch.from_numpy(product.to_dense())
    for shape in ((16, 5), (16,), (16, 1), (16, 0)):
        x = torch.from_numpy(rng.standard_normal(shape).astype(dtype)).requires_grad_(gradient)
        for operand in (x, x.conj() if x.is_complex() else x):
            y = product @ operand
            assert y.dtype == x.dtype
            assert y.requires_grad == gradient
            torch.testing.assert_close(y, matrix @ operand, rtol=1e-4, atol=1e-4)
        if gradient and shape == (16,):
            (y * y.conj()).real.sum().backward()
            expected = 2 * (matrix.H @ (matrix @ operand.detach()))
            if operand is not x:
                expected = expected.conj()
            torch.testing.assert_close(x.grad, expected.resolve_conj(), rtol=1e-3, atol=1e-3)
    batch_first = torch.from_numpy(rng.standard_normal((5, 16)).astype(dtype))
    torch.testing.assert_close(
        batch_first @ product.T, batch_first @ matrix.T, rtol=1e-4, atol=1e-4
    )


def test_tensor_dtypes_are_promoted_as_torch_does() -> None:
    torch = pytest.importorskip("torch")
    product = random_product([(1, 2, 2, 2)], np.random.default_rng(0), np.float32)
    expected = product.to_dense() @ np.array([1, 2, 3, 4])
    for dtype in (torch.int64, torch.bool, torch.bfloat16, torch.float64, torch.complex64):
        x = torch.tensor([1, 2, 3, 4]).to(dtype)
        y = product @ x
        assert y.dtype == torch.promote_types(dtype, torch.float32)
        if dtype != torch.bool:
            np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_arrays_times_tensors_are_refused() -> None:
    torch = pytest.importorskip("torch")
    product = so.KroneckerProduct([torch.ones(1, 2, 2, 1)], [(1, 2, 2, 1)])
    with pytest.raises(so.ProblemError, match="the operand is a ndarray; make it a tensor"):
        product @ np.ones(2)
    with pytest.raises(so.ProblemError, match=r"must have shape \(2, batch\), got \(3, 1\)"):
        product @ torch.ones(3, 1)


@pytest.mark.parametrize("compiled", [False, True])
def test_solvers_take_the_product_itself(compiled: bool) -> None:
    rng = np.random.default_rng(0)
    plain = random_product(so.Architecture.square_dyadic(64), rng, np.complex128)
    product = plain.accelerated() if compiled else plain
    matrix = plain.to_dense()
    u, s, vh = spl.svds(product, k=3, v0=np.ones(64))
    exact = np.linalg.svd(matrix, compute_uv=False)[:3]
    np.testing.assert_allclose(np.sort(s)[::-1], exact, rtol=1e-8)
    np.testing.assert_allclose(matrix @ vh.conj().T, u * s, rtol=0, atol=1e-7 * exact[0])
    target = matrix @ rng.standard_normal(64)
    found = spl.lsmr(product, target, atol=1e-14, btol=1e-14, conlim=0, maxiter=3000)[0]
    residual = np.linalg.norm(matrix @ found - target) / np.linalg.norm(target)
    assert residual < 1e-6
