"""Targets whose columns lie together: the compiled engine reads them as they lie."""

from __future__ import annotations

import numpy as np
import pytest

import sparseopt as so
from sparseopt.tools.random_products import random_product

pytest.importorskip("numba")

DTYPES = ["float32", "float64", "complex64", "complex128"]
ARCHITECTURES = {
    "dyadic 64": so.Architecture.square_dyadic(64),
    "dyadic 256": so.Architecture.square_dyadic(256),
    "few columns": so.Architecture([(1, 2, 3, 128), (3, 2, 5, 64), (15, 64, 2, 1)]),
    "one wide level": so.Architecture([(1, 2, 2, 192), (2, 2, 3, 96), (6, 96, 2, 1)]),
    "no wide level": so.Architecture([(1, 2, 2, 6), (2, 2, 3, 3), (6, 3, 2, 1)]),
    "higher blocks": so.Architecture.monarch(128, 128, 8, 16),
}


def eps(dtype: str) -> float:
    return float(np.finfo(dtype).eps)


def noisy(name: str, dtype: str, noise: float) -> np.ndarray:
    """Return a product of the architecture in C order, with relative noise."""
    rng = np.random.default_rng(5)
    exact = random_product(ARCHITECTURES[name], rng, np.dtype(dtype)).to_dense()
    random = rng.standard_normal(exact.shape)
    found = exact + noise * np.linalg.norm(exact) / np.linalg.norm(random) * random
    return np.ascontiguousarray(found.astype(dtype))


def factorize(target: np.ndarray, name: str, **options: object) -> so.Solution:
    problem = so.ButterflyFactorization(target, ARCHITECTURES[name])
    return so.solve(problem, "hierarchical_numba", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_give_what_rows_give(name: str, dtype: str) -> None:
    target = noisy(name, dtype, 1e-2)
    rows = factorize(target, name)
    columns = factorize(np.asfortranarray(target), name)
    assert columns.status is so.Status.VERIFIED
    assert columns.answer.dtype == np.dtype(dtype)
    size = float(np.abs(target).max())
    gap = np.abs(columns.answer.to_dense() - rows.answer.to_dense()).max()
    assert gap <= 200 * eps(dtype) * size
    assert columns.certificate.error == pytest.approx(rows.certificate.error, rel=1e2 * eps(dtype))


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_products_are_recovered(name: str, dtype: str) -> None:
    found = factorize(np.asfortranarray(noisy(name, dtype, 0.0)), name)
    assert found.certificate.relative_error <= 50 * eps(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_zeros_and_zero_blocks(dtype: str) -> None:
    target = np.zeros((256, 256), dtype=dtype, order="F")
    assert factorize(target, "dyadic 256").certificate.error == 0.0
    target[3, 200] = 2.0
    found = factorize(target, "dyadic 256")
    np.testing.assert_array_equal(found.answer.to_dense(), target)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_far_scales(scale: float) -> None:
    target = np.asfortranarray(scale * noisy("dyadic 256", "float64", 0.0))
    assert factorize(target, "dyadic 256").certificate.relative_error <= 1e-14


def test_a_transposed_view_with_gaps_is_copied() -> None:
    target = noisy("dyadic 64", "float64", 1e-2)
    wide = np.zeros((64, 130))
    wide[:, :128:2] = target.T
    found = factorize(wide[:, :128:2].T, "dyadic 64")
    np.testing.assert_allclose(
        found.answer.to_dense(), factorize(target, "dyadic 64").answer.to_dense(), atol=1e-12
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (300, 129), (256, 128), (513, 264)])
def test_rows_are_copied_as_by_numpy(dtype: str, shape: tuple[int, int]) -> None:
    from sparseopt_butterfly.turning import turned

    rng = np.random.default_rng(1)
    plain = rng.standard_normal(shape).astype(dtype)
    wide = np.zeros((2 * shape[0], 3 * shape[1]), dtype=dtype)
    wide[::2, ::3] = plain
    for rows in (np.arange(shape[0]), rng.permutation(shape[0])[: shape[0] // 2]):
        for matrix in (np.asfortranarray(plain), wide[::2, ::3], plain[::-1, ::-1]):
            np.testing.assert_array_equal(turned(matrix, rows), matrix[rows])


def test_the_time_limit_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_butterfly import hierarchical_numba

    monkeypatch.setattr(hierarchical_numba, "_BREATH", 1)
    seen: list[float] = []
    target = np.asfortranarray(noisy("dyadic 256", "float64", 1e-2))
    whole = factorize(target, "dyadic 256", progress=lambda fraction, _: seen.append(fraction))
    assert len(seen) > 4
    assert seen == sorted(seen)
    monkeypatch.undo()
    np.testing.assert_array_equal(
        whole.answer.to_dense(), factorize(target, "dyadic 256").answer.to_dense()
    )
