"""The compiled method of multiplication against dense matrices, and how plans choose it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sparseopt_butterfly import multiplication

import sparseopt as so
from sparseopt.choosing import offers
from sparseopt.interface.verdict import Unavailable
from sparseopt.tools.random_products import random_product

pytest.importorskip("numba")

DTYPES = (np.float32, np.float64, np.complex64, np.complex128)
CHAINS = [
    [(1, 2, 2, 1)],
    [(3, 2, 2, 5)],
    [(2, 4, 4, 3)],
    [(1, 2, 2, 4), (2, 4, 4, 1)],
    [(1, 4, 4, 4), (4, 2, 2, 2), (8, 2, 2, 1)],
    [(3, 2, 2, 12), (6, 2, 2, 6), (12, 2, 2, 3)],
    [(1 << k, 2, 2, 32 >> k) for k in range(6)],
    [(1, 2, 2, 4), (1, 2, 2, 4)],
]


def written_out(product: so.KroneckerProduct) -> np.ndarray:
    result = np.eye(product.shape[0])
    for factor, pattern in zip(product.factors, product.architecture, strict=True):
        result = result @ pattern.sparse(factor.astype(np.result_type(factor, float))).toarray()
    return result


@pytest.mark.parametrize("patterns", CHAINS)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_are_the_product(patterns: list, dtype: type, transposed: bool) -> None:
    product = random_product(so.Architecture(patterns), np.random.default_rng(0), dtype)
    product = product.T if transposed else product
    matrix, run = written_out(product), product.architecture.patterns
    kernels = so.FusedChain()
    rng = np.random.default_rng(1)
    for batch in (1, 2, 4, 8, 13, 16, 33, 300):
        x = rng.standard_normal((product.shape[1], batch)).astype(dtype)
        if np.dtype(dtype).kind == "c":
            x = x * dtype(1 + 2j)
        time = kernels.microseconds(run, batch, np.dtype(dtype))
        assert time is not None
        assert time > 0
        before = x.copy()
        work = kernels.prepare(product.factors, run, batch, np.dtype(dtype))
        y = work(x)
        assert y.dtype == dtype
        bound = 50 * np.finfo(dtype).eps * np.abs(matrix @ x).max()
        np.testing.assert_allclose(y, matrix @ x, rtol=0, atol=bound)
        np.testing.assert_array_equal(x, before)
        assert work(before, overwrite=True) is before
        np.testing.assert_array_equal(before, y)


@pytest.mark.parametrize(
    "patterns",
    [
        [(1, 3, 3, 2)],
        [(1, 2, 4, 2)],
        [(1, 1, 1, 4)],
        [(1, 16, 16, 1)],
        [(4, 2, 2, 1), (1, 2, 2, 4)],
    ],
)
def test_runs_that_cannot_be_fused(patterns: list) -> None:
    run = so.Architecture(patterns).patterns
    assert so.FusedChain().microseconds(run, 16, np.dtype(float)) is None


def test_blocks_too_large_for_the_workspace_are_split() -> None:
    chain = so.Architecture.square_dyadic(4096)
    kernels = so.FusedChain()
    assert kernels.microseconds(chain.patterns, 16, np.dtype(float)) is None
    assert kernels.microseconds(chain.patterns[:6], 16, np.dtype(float)) is not None
    product = random_product(chain, np.random.default_rng(0)).accelerated()
    plan = product.plan(16)
    assert len(plan.steps) >= 2
    assert {step.method for step in plan.steps} == {"fused"}
    assert "in one pass" in str(plan)
    x = np.random.default_rng(1).standard_normal((4096, 16))
    plain = so.KroneckerProduct(product.factors, chain)
    np.testing.assert_allclose(product @ x, plain @ x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_with_every_layout_of_the_operand(dtype: type) -> None:
    rng = np.random.default_rng(0)
    product = random_product(so.Architecture.square_dyadic(256), rng, dtype).accelerated()
    matrix = written_out(product)
    bound = 20 * np.finfo(dtype).eps * np.abs(matrix).max() * 256
    wide = rng.standard_normal((256, 40)).astype(dtype)
    read_only = wide.copy()
    read_only.flags.writeable = False
    shifted = np.frombuffer(b"0" + wide.tobytes(), dtype=np.uint8)[1:].view(dtype)
    operands = [wide, read_only, wide[:, ::2], wide[::-1], np.asfortranarray(wide), wide[:, :1]]
    operands += [wide[:, 0], np.ascontiguousarray(wide[:, 0]), shifted.reshape(wide.shape)]
    operands += [wide[:, :0], wide.astype(np.complex64), wide.real.astype(np.int8)]
    for x in operands:
        for _ in range(2):  # the second time by the short way
            y = product @ x
            assert y.shape == (256, *x.shape[1:])
            np.testing.assert_allclose(y, matrix @ x, rtol=0, atol=bound)
    np.testing.assert_allclose(product.T @ wide, matrix.T @ wide, rtol=0, atol=bound)
    np.testing.assert_allclose(product.H @ wide, matrix.conj().T @ wide, rtol=0, atol=bound)
    np.testing.assert_allclose(wide.T @ product, wide.T @ matrix, rtol=0, atol=bound)
    np.testing.assert_allclose(product.H.rmatvec(wide[:, 0]), matrix @ wide[:, 0], atol=bound)


def test_the_result_is_the_callers_own() -> None:
    product = random_product([(8, 2, 2, 1)], np.random.default_rng(0)).accelerated()
    x = np.ones((16, 16))
    first = product @ x
    kept = first.copy()
    product @ (2 * x)
    first += 1
    np.testing.assert_array_equal(product @ x, kept)


def test_infinities_stay_in_their_columns_and_rows() -> None:
    run = so.Architecture([(2, 2, 2, 1)]).patterns
    x = np.zeros((4, 20))
    x[0, 3] = np.inf
    y = so.FusedChain().prepare([np.ones((2, 2, 2, 1))], run, 20, np.dtype(float))(x)
    expected = np.zeros((4, 20))
    expected[:2, 3] = np.inf
    np.testing.assert_array_equal(y, expected)


def test_acceleration_is_kept_and_not_written() -> None:
    product = random_product(so.Architecture.square_dyadic(1024), np.random.default_rng(0))
    fast = product.accelerated()
    assert not product.compiled
    assert fast.compiled
    assert fast.T.compiled
    assert pickle.loads(pickle.dumps(fast)).compiled
    assert not so.KroneckerProduct.from_fields(fast.to_fields()).compiled
    assert {s.method for s in fast.plan(16).steps} == {"fused"}
    assert "fused" not in {s.method for s in product.plan(16).steps}
    assert fast.plan(16).microseconds < product.plan(16).microseconds


def test_without_numba_the_plan_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Unavailable("numba is not installed", "pip install 'sparseopt[butterfly]'")
    fused = offers.registered_tool("FusedChain")
    monkeypatch.setitem(fused._cache, "installation", missing)
    product = random_product(so.Architecture.square_dyadic(64), np.random.default_rng(0))
    fast = product.accelerated()
    np.testing.assert_array_equal(fast @ np.ones(64), product @ np.ones(64))
    assert str(fast.plan(16)) == f"{product.plan(16)}\n  compiled kernels are {missing}"


def test_remembered_operands_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiplication, "REMEMBERED", 4)
    product = random_product([(2, 2, 2, 1)], np.random.default_rng(0))
    for batch in range(1, 30):
        np.testing.assert_allclose(
            product @ np.ones((4, batch)), product.to_dense() @ np.ones((4, batch))
        )
    assert len(product._multiplication._known) <= 5
