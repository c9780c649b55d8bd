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


def layer_of(architecture: so.Architecture, **options: Any) -> KroneckerLinear:
    torch.manual_seed(0)
    rows, columns = architecture.shape
    return KroneckerLinear(columns, rows, architecture, **options)


def chain_of(layer: KroneckerLinear, x: torch.Tensor) -> Any:
    values = layer._values()
    return layer._trained.chain(x, values, layer.bias, layer.architecture, layer._by_torch)


@pytest.mark.parametrize("batch", [1, 5, 16, 130])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_are_those_of_torch(
    name: str, dtype: torch.dtype, bias: bool, batch: int
) -> None:
    layer = layer_of(ARCHITECTURES[name], bias=bias, dtype=dtype)
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


def test_torch_takes_what_kernels_do_not() -> None:
    dyadic = layer_of(ARCHITECTURES["one run"])
    x = torch.randn(3, 32)
    assert chain_of(dyadic, x) is not None
    assert chain_of(dyadic, x.double()) is None
    assert chain_of(dyadic, x[:0]) is None
    assert chain_of(layer_of(so.Architecture.monarch(12, 30, 3, 5)), torch.ones(2, 30)) is None
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
