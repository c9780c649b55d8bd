"""Products as linear operators of cupyx, on the stand-in: what its functions ask of them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cupy_double
import numpy as np
import pytest
from cupy_double import State
from kernel_runs import distance

import sparseopt as so

PATTERNS = [(1, 3, 5, 6), (5, 6, 4, 1)]


def product(dtype: str) -> so.KroneckerProduct:
    import cupy

    rng = np.random.default_rng(0)
    factors = [rng.standard_normal(p) + 1j * rng.standard_normal(p) for p in PATTERNS]
    real = dtype.startswith("float")
    return so.KroneckerProduct(
        [cupy.asarray((f.real if real else f).astype(dtype)) for f in factors], PATTERNS
    )


def require_right(operator: Any, held: so.KroneckerProduct) -> None:
    """Vectors, columns and matrices, forwards and adjoint."""
    import cupy

    dense = held.to_numpy().to_dense()
    rng = np.random.default_rng(1)
    for name, matrix in (("mat", dense), ("rmat", dense.conj().T)):
        x = rng.standard_normal((matrix.shape[1], 4)).astype(dense.dtype)
        for part, call in (
            (x[:, 0], f"{name}vec"),
            (x[:, :1], f"{name}vec"),
            (x, f"{name}mat"),
        ):
            y = getattr(operator, call)(cupy.asarray(part))
            assert isinstance(y, cupy.ndarray)
            assert y.shape == matrix.shape[:1] + part.shape[1:]
            assert distance(y.get(), matrix @ part) < 1e-5, call


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_what_cupyx_reads_is_there(cuda: State, dtype: str) -> None:
    """`aslinearoperator` takes shape, dtype, matvec, rmatvec and rmatmat of an object."""
    held = product(dtype)
    assert (held.shape, held.dtype) == (held.architecture.shape, np.dtype(dtype))
    require_right(held, held)


def interface(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return CuPy's own module of linear operators, on the stand-in."""
    found = importlib.util.find_spec("cupyx")
    if found is None or not found.submodule_search_locations:
        pytest.skip("cupy is not installed")
    path = Path(found.submodule_search_locations[0]) / "scipy/sparse/linalg/_interface.py"
    cupy = sys.modules["cupy"]
    for name in ("dtype", "isscalar", "result_type"):
        monkeypatch.setattr(cupy, name, getattr(np, name), raising=False)
    for name in ("hstack", "conj"):
        monkeypatch.setattr(cupy, name, cupy_double._of_numpy(name), raising=False)
    sparse = ModuleType("cupyx.scipy.sparse")
    sparse.issparse = lambda x: False  # type: ignore[attr-defined]
    sparse._util = SimpleNamespace(isshape=lambda shape: len(shape) == 2)  # type: ignore[attr-defined]
    scipy = ModuleType("cupyx.scipy")
    scipy.sparse = sparse  # type: ignore[attr-defined]
    for module in (ModuleType("cupyx"), scipy, sparse):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    spec = importlib.util.spec_from_file_location("cupyx_interface", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_cupyx_takes_products(cuda: State, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    held, linalg = product(dtype), interface(monkeypatch)
    operator = linalg.aslinearoperator(held)
    assert type(operator).__module__ == "cupyx_interface"
    assert (operator.shape, operator.dtype) == (held.shape, np.dtype(dtype))
    require_right(operator, held)
    import cupy

    dense = held.to_numpy().to_dense()
    x = cupy.asarray(np.ones(held.shape[0], dtype))
    y = (2.0 * (operator @ operator.H)).matvec(x)  # as iterative solvers combine them
    assert distance(y.get(), 2.0 * (dense @ (dense.conj().T @ np.ones(len(dense))))) < 1e-5
