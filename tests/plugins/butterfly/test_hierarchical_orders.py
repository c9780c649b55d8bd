"""The balanced tree, and factorization of torch tensors, against dense algebra and the bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg

import sparseopt as so
from sparseopt.tools.random_products import random_product

ARCHITECTURES = {
    "dyadic": so.Architecture.square_dyadic(32),
    "monarch": so.Architecture.monarch(12, 20, 3, 4),
    "five of ranks 2, 2, 4, 4": so.Architecture(
        [(1, 4, 6, 32), (3, 8, 6, 8), (9, 4, 8, 4), (18, 8, 4, 2), (18, 8, 3, 1)]
    ),
    "outer and inner": so.Architecture([(2, 2, 2, 6), (4, 2, 2, 3)]),
    "one factor": so.Architecture([(3, 2, 4, 2)]),
    "redundant": so.Architecture([(1, 2, 2, 2), (2, 2, 8, 1)]),
    "tall blocks": so.Architecture([(1, 9, 1, 2), (1, 2, 3, 1)]),
}
KINDS = ["numpy balanced", "torch left_to_right", "torch balanced"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param.startswith("torch"):
        pytest.importorskip("torch")
    return str(request.param)


def factorize(
    kind: str, target: np.ndarray, architecture: so.Architecture, **options: Any
) -> tuple[np.ndarray, so.ButterflyCertificate]:
    """Return the product, dense, and the certificate."""
    library, order = kind.split()
    given: Any = target
    if library == "torch":
        import torch

        given = torch.from_numpy(target)
    problem = so.ButterflyFactorization(given, architecture)
    solution = so.solve(problem, f"hierarchical_{library}", order=order, **options)
    answer = solution.answer
    if library == "torch":
        assert all(type(factor).__module__ == "torch" for factor in answer.factors)
        assert all(not factor.requires_grad for factor in answer.factors)
        answer = answer.to_numpy()
    return answer.to_dense(), solution.certificate


def noisy(architecture: so.Architecture, noise: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    exact = random_product(architecture, rng).to_dense()
    return exact + noise * rng.standard_normal(exact.shape)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_exact_products_are_recovered(kind: str, name: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    architecture = ARCHITECTURES[name]
    target = random_product(architecture, rng, dtype).to_dense()
    found, certificate = factorize(kind, target, architecture)
    assert found.dtype == target.dtype
    error = np.linalg.norm(found - target) / np.linalg.norm(target)
    assert error < (1e-14 if dtype == "float64" else 2e-6)
    assert certificate.relative_error == pytest.approx(error, rel=0.5, abs=1e-14)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("scaled", [False, True])
def test_the_error_is_between_its_bounds(kind: str, name: str, scaled: bool) -> None:
    """Rows of very different scale break methods that do not orthonormalize."""
    architecture = ARCHITECTURES[name]
    target = noisy(architecture, 0.1)
    if scaled:
        target *= np.logspace(0, 5, len(target))[:, None]
    found, certificate = factorize(kind, target, architecture, bounds="always")
    outside, *splits = (high for _, high in certificate.split_errors)
    rounding = 1e-12 * np.linalg.norm(target)
    assert certificate.error == pytest.approx(
        np.linalg.norm(found - target), rel=1e-6, abs=rounding
    )
    assert certificate.lower_bound <= certificate.error
    bound = certificate.upper_bound
    if kind.endswith("balanced"):
        bound = np.hypot(outside, sum(splits))
    assert certificate.error <= bound + rounding


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_tensors_are_factorized_as_arrays_are(name: str) -> None:
    pytest.importorskip("torch")
    architecture = ARCHITECTURES[name]
    target = noisy(architecture, 0.1)
    for order in ("left_to_right", "balanced"):
        mine, _ = factorize(f"torch {order}", target, architecture)
        other, _ = factorize(f"numpy {order}", target, architecture)
        np.testing.assert_allclose(mine, other, atol=1e-12 * np.abs(target).max())


def test_one_cut_is_the_same_in_both_orders() -> None:
    """Two factors: both orders give the optimum."""
    target = noisy(ARCHITECTURES["monarch"], 0.3)
    one, _ = factorize("numpy balanced", target, ARCHITECTURES["monarch"])
    two, _ = factorize("numpy left_to_right", target, ARCHITECTURES["monarch"])
    np.testing.assert_allclose(one, two, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e150, 1e300])
def test_scales_beyond_the_square_root_of_the_range(kind: str, scale: float) -> None:
    target = scipy.linalg.hadamard(32) * scale
    found, _ = factorize(kind, target, ARCHITECTURES["dyadic"])
    np.testing.assert_allclose(found / scale, scipy.linalg.hadamard(32), atol=1e-13)


def test_zeros(kind: str) -> None:
    architecture = ARCHITECTURES["dyadic"]
    assert factorize(kind, np.zeros((32, 32)), architecture)[1].error == 0
    target = noisy(architecture, 0.0)
    target[5] = 0
    target[:, 8:] = 0
    assert factorize(kind, target, architecture)[1].error < 1e-12


def test_size_one(kind: str) -> None:
    found, _ = factorize(kind, np.array([[-3.0]]), so.Architecture([(1, 1, 1, 1)] * 3))
    np.testing.assert_array_equal(found, [[-3.0]])


def test_every_engine_gives_a_tensor_tensors() -> None:
    torch = pytest.importorskip("torch")
    architecture = ARCHITECTURES["redundant"]
    target = torch.from_numpy(noisy(architecture, 0.1)).t().contiguous().t().requires_grad_()
    for engine in ("hierarchical_numpy", "hierarchical_torch"):
        solution = so.solve(so.ButterflyFactorization(target, architecture), engine)
        assert all(factor.dtype == torch.float64 for factor in solution.answer.factors)


def test_lazily_conjugated_tensors() -> None:
    torch = pytest.importorskip("torch")
    architecture = ARCHITECTURES["dyadic"]
    rng = np.random.default_rng(3)
    target = random_product(architecture, rng, np.complex128).to_dense()
    lazy = torch.from_numpy(target.conj()).conj()
    problem = so.ButterflyFactorization(lazy, architecture)
    found = so.solve(problem, "hierarchical_torch").answer.to_numpy().to_dense()
    np.testing.assert_allclose(found, target, atol=1e-12)


def test_arrays_are_refused_by_the_engine_of_tensors() -> None:
    pytest.importorskip("torch")
    problem = so.ButterflyFactorization(np.eye(4), so.Architecture.square_dyadic(4))
    with pytest.raises(so.SolveError, match=r"torch\.from_numpy"):
        so.solve(problem, "hierarchical_torch")


def test_an_unknown_order_is_refused() -> None:
    problem = so.ButterflyFactorization(np.eye(4), so.Architecture.square_dyadic(4))
    with pytest.raises(so.ProblemError, match="order must be one of left_to_right, balanced"):
        so.solve(problem, "hierarchical_numpy", order="random")


def test_the_plan_takes_an_engine_that_has_the_order() -> None:
    problem = so.ButterflyFactorization(np.eye(4), so.Architecture.square_dyadic(4))
    assert so.solve(problem, order="balanced").solver == "hierarchical_numpy"
