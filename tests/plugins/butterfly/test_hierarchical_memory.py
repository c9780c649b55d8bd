"""How much memory the engines take beside the target, traced while they run."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import sparseopt as so

pytestmark = pytest.mark.slow

ARCHITECTURES = {
    "dyadic": so.Architecture.square_dyadic(2048),
    "monarch": so.Architecture.monarch(2048, 2048, 32, 64),
    "rank two": so.Architecture([(1, 8, 16, 256), (8, 64, 16, 8), (64, 16, 32, 1)]),
}


def extra(engine: str, target: np.ndarray, architecture: so.Architecture) -> tuple[int, int]:
    """Return the peak of what a factorization allocates, and the bytes of the factors."""
    first = so.ButterflyFactorization(np.ones_like(target), architecture)
    so.solve(first, engine, check=False, bounds="never")  # imports and kernels
    problem = so.ButterflyFactorization(target, architecture)
    tracemalloc.start()
    answer = so.solve(problem, engine, check=False, bounds="never").answer
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, sum(factor.nbytes for factor in answer.factors)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex64"])
def test_numpy_takes_no_more_than_half_of_the_target(name: str, dtype: str) -> None:
    """Beside the factors, which are the answer."""
    rng = np.random.default_rng(0)
    target = rng.standard_normal((2048, 2048)).astype(dtype)
    peak, factors = extra("hierarchical_numpy", target, ARCHITECTURES[name])
    assert peak - factors <= target.nbytes / 2


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_compiled_takes_the_factors_twice_and_the_living_rows(name: str) -> None:
    """The factors once more as they are laid out, and b rows of every level but the first."""
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    target = rng.standard_normal((2048, 2048))
    peak, factors = extra("hierarchical_numba", target, ARCHITECTURES[name])
    living = sum(pattern.b for pattern in list(ARCHITECTURES[name])[1:-1]) * 2048 * target.itemsize
    assert peak <= 2 * factors + living + 2**19


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_whole_file_is_never_read_into_memory(dtype: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    architecture = ARCHITECTURES["dyadic"]
    np.save(tmp_path / "a.npy", rng.standard_normal((2048, 2048)).astype(dtype))
    target = np.load(tmp_path / "a.npy", mmap_mode="r")
    peak, factors = extra("hierarchical_numpy", target, architecture)
    assert peak - factors <= target.nbytes / 2
