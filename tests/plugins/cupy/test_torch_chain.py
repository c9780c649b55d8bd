"""Products of tensors with gradients, as an operator of torch, and layers that use it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cupy_double import State

import sparseopt as so

torch = pytest.importorskip("torch")

CHAINS = {
    "tiny": [(1, 2, 2, 8), (2, 2, 2, 4), (4, 2, 2, 2), (8, 2, 2, 1)],
    "odd": [(2, 6, 4, 5), (2, 20, 3, 1)],
    "one": [(2, 18, 20, 1)],
    "not chainable": [(2, 3, 3, 2), (3, 4, 4, 1)],
}


@pytest.fixture
def on_cuda(cuda: State, monkeypatch: pytest.MonkeyPatch) -> State:
    """Tensors of a processor say that they are on a device."""
    monkeypatch.setattr(torch.Tensor, "is_cuda", property(lambda self: True), raising=False)
    return cuda


def factors_of(name: str, dtype: torch.dtype, grad: bool = True) -> list[torch.Tensor]:
    torch.manual_seed(len(name))
    made = (torch.randn(p, dtype=dtype) / p[2] ** 0.5 for p in CHAINS[name])
    return [f.requires_grad_(grad) for f in made]


def chain(name: str, precision: str = "ieee") -> Callable[..., torch.Tensor]:
    from sparseopt_cupy.torch_chain import CudaChain

    return CudaChain(so.Architecture(CHAINS[name]), precision)


def plainly(name: str, factors: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return so.KroneckerProduct(factors, CHAINS[name]).one_by_one(x)


ALLOWED = {torch.float32: 2e-6, torch.float64: 1e-14, torch.complex64: 2e-6}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("by_columns", [False, True])
def test_product_and_gradients_are_those_of_torch(cuda: State, name: str, by_columns: bool) -> None:
    for dtype in (torch.float32, torch.complex64) if name == "odd" else (torch.float32,):
        factors = factors_of(name, dtype)
        n = so.Architecture(CHAINS[name]).shape[1]
        for batch in (1, 13) if name == "tiny" else (13,):
            x = torch.randn((batch, n) if by_columns else (n, batch), dtype=dtype)
            x = (x.T if by_columns else x).requires_grad_()
            y, expected = chain(name)(x, factors), plainly(name, factors, x)
            assert y.dtype == dtype
            dy = torch.randn_like(expected)
            got = torch.autograd.grad(y, [x, *factors], dy)
            wanted = torch.autograd.grad(expected, [x, *factors], dy)
            for one, two in zip((y, *got), (expected, *wanted), strict=True):
                error = torch.linalg.vector_norm(one - two) / torch.linalg.vector_norm(two)
                assert error < ALLOWED[dtype], (name, batch, one.shape)


def test_gradients_are_the_same_every_time(cuda: State) -> None:
    factors = factors_of("odd", torch.float32)
    x = torch.randn(6, 700)
    runs = [torch.autograd.grad(chain("odd")(x, factors).sum(), factors) for _ in range(2)]
    assert all(torch.equal(one, two) for one, two in zip(*runs, strict=True))


def test_no_columns(cuda: State) -> None:
    factors = factors_of("odd", torch.float32)
    x = torch.randn(6, 0, requires_grad=True)
    y = chain("odd")(x, factors)
    assert y.shape == (60, 0)
    got = torch.autograd.grad(y.sum(), [x, *factors])
    assert got[0].shape == x.shape
    assert all(not g.any() for g in got[1:])
    assert not cuda.launches


def test_what_torch_asks_of_operators(cuda: State) -> None:
    """Its own checks: of the schema, of shapes without values, of gradients."""
    factors = factors_of("odd", torch.float64)
    patterns = [entry for pattern in CHAINS["odd"] for entry in pattern]
    chain("odd")
    x = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    given = (x, factors, patterns, "first", "ieee")
    torch.library.opcheck(torch.ops.sparseopt.kronecker_chain, given)
    inner = (torch.randn(5, 60, dtype=torch.float64), *(v for v in given))
    checks = ("test_schema", "test_faketensor")
    with torch.no_grad():
        torch.library.opcheck(
            torch.ops.sparseopt.kronecker_chain_backward, inner, test_utils=checks
        )


def test_compiled_functions_call_it(cuda: State) -> None:
    from sparseopt_butterfly.cuda_rows import times_rows

    factors = factors_of("odd", torch.float32)
    patterns = [entry for pattern in CHAINS["odd"] for entry in pattern]
    bias = torch.randn(60)
    chain("odd")

    def call(x: torch.Tensor) -> torch.Tensor:
        found = times_rows(x, factors, bias, patterns)
        assert found is not None
        return found.relu()

    x = torch.randn(9, 6)
    y = torch.compile(call, backend="aot_eager", fullgraph=True)(x)
    assert cuda.launches
    assert torch.allclose(y, (plainly("odd", factors, x.T).T + bias).relu(), atol=1e-5)
    got = torch.autograd.grad(y.sum(), factors)
    wanted = torch.autograd.grad(call(x).sum(), factors)
    assert all(torch.allclose(one, two, atol=1e-5) for one, two in zip(got, wanted, strict=True))


def test_data_types_that_differ_are_said(cuda: State) -> None:
    factors = factors_of("odd", torch.float32)
    with pytest.raises(so.ProblemError, match=r"float32, torch.float64; they must be of one"):
        chain("odd")(torch.randn(6, 3, dtype=torch.float64), factors)


def test_a_layer_trains_by_the_kernels(on_cuda: State) -> None:
    layer = so.KroneckerLinear(6, 60, CHAINS["odd"])
    x = torch.randn(3, 5, 6, requires_grad=True)
    y = layer(x)
    assert y.shape == (3, 5, 60)
    assert on_cuda.launches
    expected = torch.nn.functional.linear(x, layer.weight, layer.bias)
    assert torch.allclose(y, expected, atol=1e-5)
    parameters = [x, *layer.parameters()]
    dy = torch.randn_like(y)
    got = torch.autograd.grad(y, parameters, dy)
    wanted = torch.autograd.grad(expected, parameters, dy)
    assert all(torch.allclose(one, two, atol=1e-4) for one, two in zip(got, wanted, strict=True))
    with torch.no_grad():
        assert torch.allclose(layer(x), expected, atol=1e-5)
        layer.factors[0].data.mul_(2)  # what changes behind torch's back is seen
        assert torch.allclose(layer(x) - layer.bias, 2 * (expected - layer.bias), atol=1e-4)


def test_a_layer_of_half_precision(on_cuda: State) -> None:
    for dtype in (torch.bfloat16, torch.float16):
        layer = so.KroneckerLinear(6, 60, CHAINS["odd"], bias=False, dtype=dtype)
        x = torch.randn(7, 6, dtype=dtype)
        launches = len(on_cuda.launches)
        y = layer(x)
        assert len(on_cuda.launches) > launches
        assert y.dtype == dtype
        wide = so.KroneckerProduct([f.detach().double() for f in layer.factors], CHAINS["odd"])
        expected = wide.one_by_one(x.double().T).T
        assert torch.linalg.vector_norm(y - expected) < 1e-2 * torch.linalg.vector_norm(expected)
        y.float().sum().backward()
        assert layer.factors[0].grad.dtype == dtype


def test_precision_follows_torch(on_cuda: State) -> None:
    layer = so.KroneckerLinear(40, 36, CHAINS["one"], bias=False)
    x = torch.randn(24, 40)
    exact = torch.nn.functional.linear(x.double(), layer.weight.double())
    seen = {}
    before = torch.get_float32_matmul_precision()
    try:
        for name in ("highest", "high"):
            torch.set_float32_matmul_precision(name)
            error = torch.linalg.vector_norm(layer(x) - exact) / torch.linalg.vector_norm(exact)
            seen[name] = float(error.detach())
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen["highest"] < 1e-6 < 1e-5 < seen["high"] < 1e-3


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_torch_multiplies_where_kernels_cannot(on_cuda: State) -> None:
    layer = so.KroneckerLinear(6, 60, CHAINS["odd"])
    x = torch.randn(4, 6)
    values = dict(layer.named_parameters())
    each = torch.func.vmap(lambda one: torch.func.functional_call(layer, values, (one[None],)))
    assert torch.allclose(each(x)[:, 0], layer(x), atol=1e-5)
    launches = len(on_cuda.launches)
    _, tangent = torch.func.jvp(lambda v: layer(v), (x,), (torch.ones_like(x),))
    assert torch.allclose(tangent, torch.ones_like(x) @ layer.weight.T, atol=1e-5)
    on_cuda.devices = 0
    from sparseopt.choosing import offers

    offers.engine("CudaChain")._cache.clear()
    assert torch.allclose(layer(x), x @ layer.weight.T + layer.bias, atol=1e-5)
    assert len(on_cuda.launches) == launches


def test_products_of_any_factors_take_tensors(on_cuda: State) -> None:
    """NumPy factors by the plan, factors of torch by the operator; gradients where asked."""
    rng = np.random.default_rng(0)
    factors = [rng.standard_normal(p).astype(np.float32) for p in CHAINS["odd"]]
    product = so.KroneckerProduct(factors, CHAINS["odd"])
    dense = torch.from_numpy(product.to_dense())
    for x in (torch.randn(6, 9), torch.randn(9, 6).T, torch.randn(6), torch.randn(6, 1)):
        y = product @ x
        assert isinstance(y, torch.Tensor)
        assert torch.allclose(y, dense @ x, atol=1e-5)
    x = torch.randn(6, 4, requires_grad=True)
    (product @ x).sum().backward()
    assert torch.allclose(x.grad, dense.T @ torch.ones(60, 4), atol=1e-5)
    assert (product @ x.detach().double()).dtype == torch.float64
    several = torch.randn(3, 6)
    each = torch.func.vmap(lambda one: product @ one)(several)
    assert torch.allclose(each, several @ dense.T, atol=1e-5)
    held = so.KroneckerProduct([torch.from_numpy(f) for f in factors], CHAINS["odd"])
    launches = len(on_cuda.launches)
    assert torch.allclose(held @ x, dense @ x, atol=1e-5)
    assert len(on_cuda.launches) > launches
    array = so.KroneckerProduct([__import__("cupy").asarray(f) for f in factors], CHAINS["odd"])
    assert torch.allclose(array @ x.detach(), dense @ x, atol=1e-5)


def test_a_new_process_can_save_and_copy_layers(on_cuda: State) -> None:
    import copy
    import pickle

    layer = so.KroneckerLinear(6, 60, CHAINS["odd"])
    x = torch.randn(4, 6)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.allclose(other(x), layer(x))


def test_a_convolution_trains_by_the_kernels(on_cuda: State) -> None:
    torch.manual_seed(0)
    layer = so.KroneckerConv2d(2, 6, 3, [(1, 6, 18, 1)], padding=1)
    x = torch.randn(2, 2, 5, 4, requires_grad=True)
    y = layer(x)
    assert on_cuda.launches
    expected = torch.nn.functional.conv2d(x, layer.weight, layer.bias, padding=1)
    assert torch.allclose(y, expected, atol=1e-5)
    parameters = [x, *layer.parameters()]
    dy = torch.randn_like(y)
    got = torch.autograd.grad(y, parameters, dy)
    wanted = torch.autograd.grad(expected, parameters, dy)
    assert all(torch.allclose(one, two, atol=1e-4) for one, two in zip(got, wanted, strict=True))


def test_compressed_models_are_factorized_and_run_by_the_kernels(
    on_cuda: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        so.ButterflyFactorization,
        "structure",
        lambda self: {"permutations": "known", "place": "device"},
    )
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(4, 8, 1), torch.nn.Flatten(), torch.nn.Linear(32, 16)
    )
    report = so.compress(model, 0.5, max_error=1.0, min_speedup=None)
    assert [type(m).__name__ for m in report.model][::2] == ["KroneckerConv2d", "KroneckerLinear"]
    assert any(name.startswith("rank_one") for name in on_cuda.launches)
    launches = len(on_cuda.launches)
    x = torch.randn(3, 4, 2, 2)
    y = report.model(x)
    assert len(on_cuda.launches) > launches
    dense = report.model[0], report.model[2]
    inner = torch.nn.functional.conv2d(x, dense[0].weight, dense[0].bias).flatten(1)
    expected = torch.nn.functional.linear(inner, dense[1].weight, dense[1].bias)
    assert torch.allclose(y, expected, atol=1e-5)


def test_a_call_takes_no_memory_but_torchs_and_never_waits(
    on_cuda: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a CUDA graph asks of the calls that it captures, once kernels are compiled."""
    import cupy

    layer = so.KroneckerLinear(16, 16, so.Architecture.square_dyadic(16))
    x = torch.randn(5, 16, requires_grad=True)

    def step() -> torch.Tensor:
        y = layer(x)
        y.sum().backward()
        return y

    expected = step()

    def refuse(*given: object, **more: object) -> None:
        raise AssertionError("a captured call may not do this")

    for name in ("empty", "zeros", "asarray", "ascontiguousarray", "concatenate", "RawModule"):
        monkeypatch.setattr(cupy, name, refuse)
    monkeypatch.setattr(cupy.cuda.runtime, "memGetInfo", refuse)
    monkeypatch.setattr(cupy.cuda.Event, "synchronize", refuse)
    launches = len(on_cuda.launches)
    assert torch.equal(step(), expected)
    assert len(on_cuda.launches) > launches


def test_a_product_with_a_tensor_is_torchs_memory_too(
    on_cuda: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no gradient is asked for: no room but torch's, no wait, once factors are copied."""
    import cupy

    rng = np.random.default_rng(0)
    chains = {"odd": "float32", "tiny": "float32", "not chainable": "complex64"}
    for name, kind in chains.items():
        factors = [rng.standard_normal(p).astype(kind) for p in CHAINS[name]]
        product = so.KroneckerProduct(factors, CHAINS[name])
        n = product.shape[1]
        dense = torch.from_numpy(product.to_dense())
        complexes = torch.randn(n, 5, dtype=torch.complex64)
        operands = [complexes, complexes.conj(), torch.randn(5, n).T, torch.randn(n, 1)]
        kinds = [torch.promote_types(dense.dtype, x.dtype) for x in operands]
        pairs = zip(operands, kinds, strict=True)
        expected = [dense.to(dtype) @ x.to(dtype) for x, dtype in pairs]
        for x in operands:
            _ = product @ x
        with monkeypatch.context() as patch:

            def refuse(*given: object, **more: object) -> None:
                raise AssertionError("a captured call may not do this")

            for called in ("empty", "zeros", "asarray", "ascontiguousarray", "concatenate"):
                patch.setattr(cupy, called, refuse)
            patch.setattr(cupy.cuda.runtime, "memGetInfo", refuse)
            patch.setattr(cupy.cuda.Event, "synchronize", refuse)
            patch.setattr(torch, "from_dlpack", refuse)
            for x, wanted in zip(operands, expected, strict=True):
                y = product @ x
                assert y.dtype == wanted.dtype
                assert torch.allclose(y, wanted, atol=1e-5), name
    assert (product @ torch.randn(n, 0)).shape == (product.shape[0], 0)


def test_a_device_that_is_lost_under_tensors(on_cuda: State) -> None:
    """One sentence, as for arrays; parameters and operand stay what they were."""
    layer = so.KroneckerLinear(6, 60, CHAINS["odd"])
    x = torch.randn(4, 6)
    product = so.KroneckerProduct([f.detach().numpy() for f in layer.factors], CHAINS["odd"])
    expected, y = layer(x), layer(x)
    _ = product @ x.T
    on_cuda.failure = RuntimeError("cudaErrorLaunchFailure:\n unspecified launch failure")
    said = "CUDA device 0 stopped while {}: cudaErrorLaunchFailure: unspecified launch failure"
    for call in (lambda: layer(x), lambda: product @ x.T):
        with pytest.raises(RuntimeError, match=said.format("multiplying")):
            call()
    with pytest.raises(RuntimeError, match=said.format("taking gradients")):
        y.sum().backward()
    on_cuda.failure = None
    assert torch.equal(layer(x), expected)


def test_torchs_own_error_of_memory_passes(on_cuda: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how much it needs and how much is free."""
    layer = so.KroneckerLinear(6, 60, CHAINS["odd"])

    def full(self: torch.Tensor, *given: object, **more: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(torch.Tensor, "new_empty", full)
    with pytest.raises(torch.OutOfMemoryError, match=r"^CUDA out of memory. Tried to allocate"):
        layer(torch.randn(4, 6))


def test_tensors_on_another_device_are_said(on_cuda: State) -> None:
    import cupy

    own = factors_of("odd", torch.float32, grad=False)
    with cupy.cuda.Device(1):
        arrays = [cupy.asarray(f.numpy()) for f in own]
    elsewhere = so.KroneckerProduct(arrays, CHAINS["odd"])
    for x in (torch.randn(6, 3), torch.randn(6, 3, requires_grad=True)):
        with pytest.raises(so.ProblemError, match="on CUDA device 0, the factors lie on CUDA dev"):
            _ = elsewhere @ x
    tensors = so.KroneckerProduct(own, CHAINS["odd"])
    with pytest.raises(so.ProblemError, match=r"operand lies on meta, the factors lie on cpu; bri"):
        _ = tensors @ torch.empty(6, 3, device="meta")
    assert not on_cuda.launches
