"""Calls with gradients by compiled kernels: against operators of torch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sparseopt_butterfly import layer_inference
from sparseopt_butterfly.kronecker_linear import KroneckerLinear

import sparseopt as so

pytest.importorskip("sparseopt_butterfly.fused_kernels")

ARCHITECTURES = {
    "2 x 2": so.Architecture.square_dyadic(2),
    "one run": so.Architecture.square_dyadic(32),
    "two runs": so.Architecture.square_dyadic(256),
    "mixed widths": so.Architecture([(1, 4, 4, 16), (4, 2, 2, 8), (8, 4, 4, 2), (32, 2, 2, 1)]),
    "no whole": so.Architecture([(4, 2, 2, 1), (2, 2, 2, 2), (1, 2, 2, 4)]),
}
# Of larger blocks: neighbours that take over each other's order, and those that do not.
BLOCKS = {
    "Monarch": so.Architecture.monarch(96, 80, 16, 20),
    "Monarch, turned": so.Architecture([(20, 4, 6, 1), (1, 6, 5, 20)]),
    "in between": so.Architecture([(1, 8, 8, 16), (2, 16, 4, 4), (8, 4, 8, 1)]),
    "no whole": so.Architecture([(2, 6, 4, 1), (2, 4, 3, 1), (3, 2, 2, 1)]),
    "blocks of one": so.Architecture([(3, 5, 1, 1), (1, 3, 7, 1)]),
    "beside each other": so.Architecture([(1, 4, 4, 6), (2, 3, 5, 4)]),
}
ARCHITECTURES |= {f"{name}, in blocks": chain for name, chain in BLOCKS.items()}


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_butterfly import block_chain

    monkeypatch.setattr(block_chain, "LEAST", 0)


def layer_of(architecture: so.Architecture, **options: Any) -> KroneckerLinear:
    torch.manual_seed(0)
    rows, columns = architecture.shape
    return KroneckerLinear(columns, rows, architecture, **options)


def chain_of(layer: KroneckerLinear, x: torch.Tensor) -> Any:
    values, merges = layer._values(), len(layer._groups) < len(layer.factors)
    return layer._trained.chain(x, values, layer.bias, layer.architecture, layer._by_torch, merges)


@pytest.mark.parametrize("batch", [1, 5, 16, 130])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_are_those_of_torch(
    name: str, dtype: torch.dtype, bias: bool, batch: int
) -> None:
    layer = layer_of(ARCHITECTURES[name], bias=bias, dtype=dtype)
    layer.merging = [1] * len(layer.factors)
    x = torch.randn(batch, layer.in_features, dtype=dtype, requires_grad=True)
    assert chain_of(layer, x) is not None
    for _ in range(2):  # with fresh arrays, and with those of before
        y, wanted = layer(x), layer._by_torch(x, layer.bias, layer._values())
        torch.testing.assert_close(y, wanted)
        inputs = [x, *layer.parameters()]
        cotangent = torch.randn(layer.out_features, batch, dtype=dtype).T
        found = torch.autograd.grad(y, inputs, cotangent, retain_graph=True)
        again = torch.autograd.grad(y, inputs, cotangent)
        by_torch = torch.autograd.grad(wanted, inputs, cotangent)
        tolerance = {"atol": 1e-4, "rtol": 1e-4} if dtype == torch.float32 else {}
        for one, two, three in zip(found, again, by_torch, strict=True):
            assert torch.equal(one, two)
            torch.testing.assert_close(one, three, **tolerance)


@pytest.mark.parametrize("name", ["one run", "in between, in blocks"])
def test_gradients_by_differences(name: str) -> None:
    layer = layer_of(ARCHITECTURES[name], dtype=torch.float64)
    layer.merging = [1] * len(layer.factors)
    x = torch.randn(2, layer.in_features, dtype=torch.float64, requires_grad=True)
    chain, rng = chain_of(layer, x), np.random.default_rng(0)
    inputs = [x, *layer.parameters()]
    weights = torch.from_numpy(rng.standard_normal((2, layer.out_features)))

    def value() -> torch.Tensor:
        return (chain(x, layer.bias, layer._values()) * weights).sum()

    for tensor, slope in zip(inputs, torch.autograd.grad(value(), inputs), strict=True):
        direction = torch.from_numpy(rng.standard_normal(tuple(tensor.shape)))
        start, sides = tensor.detach().clone(), []
        for sign in (1.0, -1.0):
            tensor.data.copy_(start + 1e-5 * sign * direction)
            sides.append(float(value().detach()))
        tensor.data.copy_(start)
        found = (sides[0] - sides[1]) / 2e-5
        assert found == pytest.approx(float((slope * direction).sum()), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("name", ["two runs", "Monarch, in blocks"])
def test_only_gradients_that_are_asked_for(name: str) -> None:
    layer = layer_of(ARCHITECTURES[name])
    layer.merging = [1] * len(layer.factors)
    x = torch.randn(3, layer.in_features)
    every = [*layer.parameters()]
    wanted = torch.autograd.grad(layer._by_torch(x, layer.bias, layer._values()).sum(), every)
    for parameter in every:
        layer.zero_grad()
        for other in every:
            other.requires_grad_(other is parameter)
        assert chain_of(layer, x) is not None
        layer(x).sum().backward()
        for other, slope in zip(every, wanted, strict=True):
            assert (other.grad is None) == (other is not parameter)
            if other is parameter:
                torch.testing.assert_close(other.grad, slope, atol=1e-4, rtol=1e-4)
    for other in every:
        other.requires_grad_(False)
    x.requires_grad_()
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(3, -1), atol=1e-4, rtol=1e-4)


def test_arrays_that_are_kept_are_few() -> None:
    from sparseopt_butterfly import training_chain

    layer = layer_of(ARCHITECTURES["mixed widths"], dtype=torch.float64)
    layer.merging = [1] * len(layer.factors)
    for batch in range(4000, 40000, 4000):
        chain = chain_of(layer, torch.ones(batch, 64, dtype=torch.float64, requires_grad=True))
        assert isinstance(chain, training_chain.TrainedChain)
        x = torch.ones(batch, 64, dtype=torch.float64, requires_grad=True)
        chain(x, layer.bias, layer._values()).sum().backward()
        free = training_chain._Loan._free
        held = sum(array.nbytes for arrays in free.values() for array in arrays)
        assert held == training_chain._Loan._bytes <= training_chain.SPARE


def test_gradients_of_gradients_and_frozen_parameters() -> None:
    layer = layer_of(ARCHITECTURES["one run"], dtype=torch.float64)

    def call(x: torch.Tensor, bias: torch.Tensor, *factors: torch.Tensor) -> torch.Tensor:
        values = {f"factors.{i}": factor for i, factor in enumerate(factors)}
        return torch.func.functional_call(layer, {**values, "bias": bias}, (x,))

    x = torch.randn(2, 32, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(call, (x, layer.bias, *layer.factors))
    small = layer_of(so.Architecture.square_dyadic(4), dtype=torch.float64)
    layer = small
    x = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(call, (x, small.bias, *small.factors))
    small.bias.requires_grad_(False)
    small.factors[0].requires_grad_(False)
    small(x.detach()).sum().backward()
    assert small.bias.grad is None
    assert small.factors[0].grad is None
    assert small.factors[1].grad is not None


def test_torch_takes_what_kernels_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_butterfly import block_chain

    dyadic = layer_of(ARCHITECTURES["one run"])
    x = torch.randn(3, 32)
    assert chain_of(dyadic, x) is not None
    assert chain_of(dyadic, x.double()) is None
    assert chain_of(dyadic, x[:0]) is None
    monarch = layer_of(so.Architecture.monarch(12, 30, 3, 5))
    assert chain_of(monarch, torch.ones(2, 30)) is not None
    monarch.merging = (2,)
    assert chain_of(monarch, torch.ones(2, 30)) is None
    monarch.merging = (1, 1)
    monkeypatch.setattr(block_chain, "LEAST", monarch.architecture.nnz + 2 * 42 + 1)
    assert chain_of(monarch, torch.ones(2, 30)) is None
    assert chain_of(monarch, torch.ones(3, 30)) is not None
    plain = layer_of(so.Architecture([(1, 64, 2, 1), (1, 2, 64, 1)]))
    assert plain.merging == (1, 1)
    assert chain_of(plain, torch.ones(2, 64)) is None
    assert chain_of(layer_of(ARCHITECTURES["one run"], dtype=torch.bfloat16), x.bfloat16()) is None
    with torch.autocast("cpu"):
        assert chain_of(dyadic, x) is None
        dyadic(x).sum().backward()
    slopes = torch.func.vmap(torch.func.grad(lambda row: dyadic(row).sum()))(x)
    torch.testing.assert_close(slopes, dyadic.weight.sum(0).expand(3, 32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch itself: it scripts its own derivatives
        _, tangent = torch.func.jvp(dyadic, (x,), (x,))
    torch.testing.assert_close(tangent, x @ dyadic.weight.T)
    dyadic.factors[1].data[0, 0, 0, 0] = torch.nan
    assert dyadic(x).isnan().any()


def test_loading_the_kernels_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_inference, "_KERNELS", "not loaded")
    monkeypatch.setattr(layer_inference, "_saved", 0.0)
    chain, x = ARCHITECTURES["one run"], torch.ones(1000, 32)
    monkeypatch.setattr(layer_inference, "LOADING", 2.5 * 2e-9 * chain.nnz * len(x))
    pays = layer_inference._training_pays
    assert [pays(x, chain) for _ in range(4)] == [False, False, True, True]


def test_rows_are_multiplied_at_every_size_and_changes_are_seen() -> None:
    from sparseopt_butterfly.row_chain import Digest, RowChain

    rng = np.random.default_rng(0)
    for chain in (ARCHITECTURES["two runs"], so.Architecture.square_dyadic(512)):
        for dtype in (np.float32, np.float64):
            layer = layer_of(chain, dtype=torch.from_numpy(np.empty(0, dtype)).dtype)
            plan: Any = layer.product.to_numpy().accelerated().plan(16)
            arrays = [f.detach().numpy() for f in layer.factors]
            assert RowChain.takes(plan, chain)
            made = RowChain(arrays, chain, plan, layer.bias.detach().numpy())
            weight, bias = layer.weight.detach(), layer.bias.detach()
            for batch in (1, 2, 3, 7, 8, 15, 16, 17, 33, 127, 300):
                x = torch.from_numpy(rng.standard_normal((batch, len(weight))).astype(dtype))
                found = made(x)
                assert found is not None
                torch.testing.assert_close(found, x @ weight.T + bias, atol=1e-4, rtol=1e-4)
            arrays[-1][-1, -1, -1, -1] *= -1
            assert made(x) is None
    for count in (1, 2, 3, 8, 31):
        array = rng.standard_normal(count).astype(np.float32)
        watched, values = Digest([array, array.astype(np.float64)]), array.copy()
        for change in (np.negative, np.flip, lambda a: a * 2, lambda a: np.roll(a, 1)):
            array[:] = change(values)
            assert watched.holds(watched.arrays) == np.array_equal(array, values)
        array[:] = values
        assert watched.holds(watched.arrays)
