"""The same on a CUDA device: ``python -m pytest -m gpu tests/plugins/cupy``; against float64 there.

Everything but speed is asserted; ``benchmarks/gpu.py`` runs this and then measures.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from kernel_runs import ALLOWED, PATTERNS, distance

import sparseopt as so
from sparseopt.choosing import offers

pytestmark = pytest.mark.gpu

CHAINS = {
    "dyadic 4096": list(so.Architecture.square_dyadic(4096)),
    "dyadic 65536": list(so.Architecture.square_dyadic(1 << 16)),
    "monarch": [(1, 64, 64, 64), (64, 64, 64, 1)],
    "odd": [(1, 3, 5, 6), (5, 6, 4, 1)],
}
SCRIPT = """
import cupy, numpy as np, sparseopt as so
rng = np.random.default_rng(0)
for pattern in [(2, 18, 20, 3), (3, 2, 4, 5), (1, 33, 17, 1)]:
    w = cupy.asarray(rng.standard_normal(pattern), dtype="float32")
    a, b, c, d = pattern
    product = so.KroneckerProduct([w], [pattern])
    product @ cupy.asarray(rng.standard_normal((a * c * d, 21)), dtype="float32")
    cupy.asarray(rng.standard_normal((21, a * b * d)), dtype="float32") @ product
dyadic = so.Architecture.square_dyadic(64)
problem = so.ButterflyFactorization(cupy.asarray(rng.standard_normal((64, 64))), dyadic)
so.solve(problem, solver="hierarchical_cupy")
cupy.cuda.Device().synchronize()
"""


@pytest.fixture(autouse=True)
def device() -> None:
    missing = offers.engine("CudaChain").availability()
    if missing is not None:
        pytest.skip(str(missing))


def product_of(patterns: Any, dtype: str, **more: Any) -> so.KroneckerProduct:
    import cupy

    rng = np.random.default_rng(0)
    factors = []
    for a, b, c, d in patterns:
        values = rng.standard_normal((a, b, c, d)) / np.sqrt(c)
        if dtype.startswith("complex"):
            values = values + 1j * rng.standard_normal(values.shape) / np.sqrt(c)
        factors.append(cupy.asarray(values.astype(dtype)))
    return so.KroneckerProduct(factors, [tuple(p) for p in patterns], **more)


def require_right(product: so.KroneckerProduct, batch: int, allowed: float) -> None:
    """Both layouts, against the factors in double precision one by one on the device."""
    import cupy

    dtype = product.dtype
    rng = np.random.default_rng(batch)
    x = rng.standard_normal((product.shape[1], batch))
    x = (x + 1j * x[::-1] if dtype.kind == "c" else x).astype(dtype)
    wide = "complex128" if dtype.kind == "c" else "float64"
    given = cupy.asarray(x)
    exact = product.astype(wide).one_by_one(given.astype(wide)).get()
    for operand in (given, cupy.ascontiguousarray(given.T).T):
        y = product @ operand
        assert y.dtype == dtype
        assert distance(y.get().astype(wide), exact) < allowed


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128", "float16"])
def test_factors_of_odd_sizes(dtype: str) -> None:
    allowed = ALLOWED.get(dtype, ALLOWED["ieee"])
    for k, pattern in enumerate(PATTERNS):
        require_right(product_of([pattern], dtype), (1, 3, 40, 37, 130)[k % 5], allowed)


@pytest.mark.parametrize("precision", ["ieee", "tf32", "tf32x3"])
def test_precisions(precision: str) -> None:
    for pattern in ((2, 64, 64, 4), (3, 130, 33, 5), (1, 512, 96, 1)):
        product = product_of([pattern], "float32", precision=precision)
        require_right(product, 250, ALLOWED[precision])


@pytest.mark.parametrize("name", CHAINS)
def test_chains(name: str) -> None:
    require_right(product_of(CHAINS[name], "float32"), 300, 4 * ALLOWED["ieee"])


def test_all_methods() -> None:
    import cupy
    from sparseopt_cupy.methods import METHODS
    from sparseopt_cupy.multiplication import CudaMultiplication

    for patterns in ([(1, 4, 4, 16), (4, 16, 16, 1)], [(8, 48, 40, 3)], [(3, 40, 48, 8)]):
        product = product_of(patterns, "float32")
        x = cupy.random.standard_normal((product.shape[1], 100), dtype="float32")
        exact = product.astype("float64").one_by_one(x.astype("float64")).get()
        for method in METHODS:
            only = CudaMultiplication(product.factors, product.architecture, allowed={method})
            for given in (x, cupy.ascontiguousarray(x.T).T):
                assert distance(only.matmat(given).get(), exact) < 1e-6, method


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_factorizations(dtype: str) -> None:
    for architecture in (
        so.Architecture.square_dyadic(256),
        so.Architecture.square_dyadic(2048),
        so.Architecture([(1, 3, 3, 9), (3, 3, 3, 3), (9, 3, 3, 1)]),
        so.Architecture([(1, 4, 6, 4), (3, 8, 5, 1)]),
        so.Architecture([(2, 2, 2, 6), (4, 2, 2, 3)]),
    ):
        product = product_of(list(architecture), dtype)
        problem = so.ButterflyFactorization(product.to_dense(), architecture)
        solution = so.solve(problem, solver="hierarchical_cupy")
        eps = float(np.finfo(dtype).eps)
        assert solution.certificate.relative_error < 100 * eps
        assert type(solution.answer.factors[0]).__module__ == "cupy"


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "complex64"])
def test_gradients_of_layers(dtype: str) -> None:
    import torch

    kind = getattr(torch, dtype)
    wide = torch.complex128 if kind.is_complex else torch.float64
    patterns = [(2, 18, 20, 3), (2, 60, 7, 1)]
    layer = so.KroneckerLinear(14, 108, patterns, device="cuda", dtype=kind)
    x = torch.randn(5, 41, 14, device="cuda", dtype=kind, requires_grad=True)
    exact = [p.detach().to(wide).requires_grad_() for p in (x, *layer.parameters())]
    y = layer(x)
    *own, bias = exact[1:]
    rows = exact[0].reshape(-1, 14)
    expected = so.KroneckerProduct(own, patterns).one_by_one(rows.T).T.reshape(y.shape) + bias
    dy = torch.randn_like(y)
    got = torch.autograd.grad(y, [x, *layer.parameters()], dy)
    again = torch.autograd.grad(layer(x), [x, *layer.parameters()], dy)
    assert all(torch.equal(one, two) for one, two in zip(got, again, strict=True))
    wanted = torch.autograd.grad(expected, exact, dy.to(wide))
    allowed = 3e-2 if kind in (torch.float16, torch.bfloat16) else 1e-5
    for one, two in zip((y, *got), (expected, *wanted), strict=True):
        error = torch.linalg.vector_norm(one.to(wide) - two) / torch.linalg.vector_norm(two)
        assert float(error.detach()) < allowed


def test_layers_compile_and_are_captured() -> None:
    import torch

    layer = so.KroneckerLinear(256, 256, so.Architecture.square_dyadic(256), device="cuda")
    x = torch.randn(64, 256, device="cuda")
    expected = layer(x)
    compiled = torch.compile(layer, fullgraph=True)
    assert torch.allclose(compiled(x), expected, atol=1e-5)
    with torch.no_grad():
        layer(x)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = layer(x)
        x.mul_(2)
        graph.replay()
        assert torch.allclose(y, layer(x), atol=1e-5)


def test_another_stream_and_products_of_tensors() -> None:
    import torch

    product = product_of(CHAINS["monarch"], "float32").to_numpy()
    x = torch.randn(4096, 50, device="cuda")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        y = product @ x
    stream.synchronize()
    exact = product.astype("float64").one_by_one(x.double().cpu().numpy())
    assert y.is_cuda
    assert distance(y.cpu().numpy(), exact) < 1e-5
    z = product @ x.requires_grad_()
    (gradient,) = torch.autograd.grad(z.sum(), x)
    ones = product.T.astype("float64").one_by_one(np.ones((4096, 1)))
    assert distance(gradient.cpu().numpy(), np.repeat(ones, 50, 1)) < 1e-5


def test_operators_of_cupyx() -> None:
    import cupy
    from cupyx.scipy.sparse.linalg import aslinearoperator

    product = product_of(CHAINS["monarch"], "float32")
    operator = aslinearoperator(product)
    x = cupy.random.standard_normal(4096, dtype="float32")
    assert distance(operator.matvec(x).get(), (product @ x).get()) < 1e-6
    assert distance(operator.rmatvec(x).get(), (product.H @ x).get()) < 1e-6


def test_compute_sanitizer_finds_nothing() -> None:
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        pytest.skip("compute-sanitizer is not installed")
    for check in ("memcheck", "racecheck"):
        command = [tool, "--tool", check, "--error-exitcode", "9", sys.executable, "-c", SCRIPT]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
