"""Dyadic layers by kernels along rows: against operators of torch, in every layout of memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sparseopt_butterfly.kronecker_linear import KroneckerLinear

import sparseopt as so

pytest.importorskip("sparseopt_butterfly.fused_kernels")
from sparseopt_butterfly import lane_chain, layer_inference
from sparseopt_butterfly.in_place import TrainedInPlace

from tests.support.layers_in_place import (
    Guarded,
    along_rows,
    expect,
    expect_any_shape,
    expect_in_every_layout,
    made_layer,
)


def chain_of(n: int, ds: list[int]) -> so.Architecture:
    """Factors with blocks of 2 rows, by their d in order of application."""
    return so.Architecture([(n // (2 * d), 2, 2, d) for d in reversed(ds)])


def powers(count: int) -> list[int]:
    return [1 << k for k in range(count)]


CHAINS = {
    "one vector": chain_of(16, powers(4)),
    "a single one": chain_of(32, powers(5)),
    "a pair": chain_of(64, powers(6)),
    "blocks": chain_of(48, powers(4)),
    "descending": chain_of(256, [*powers(4), 128, 64, 32, 16]),
    "mixed, one twice": chain_of(192, [*powers(4), 32, 16, 16, 16, 32]),
    "two stages": chain_of(2048, powers(11)),
    "three stages": chain_of(8192, [*powers(11), 4096, 2048]),
    "late small": chain_of(4096, [*powers(4), 2048, 16, 1024, 32]),
}


def layer_of(name: str, dtype: torch.dtype = torch.float32, **options: Any) -> KroneckerLinear:
    return made_layer(CHAINS[name], dtype=dtype, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CHAINS)
def test_results_and_gradients_are_those_of_torch(name: str, dtype: torch.dtype) -> None:
    for bias, batches in ((True, (1, 35)), (False, (2, 16))):
        layer = layer_of(name, dtype, bias=bias)
        for batch in batches:
            shape = batch, layer.in_features
            expect(layer, torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype))


def test_chains_that_the_kernels_do_not_take() -> None:
    takes = lane_chain.is_lane_chain
    assert takes(CHAINS["one vector"], 4)
    assert not takes(chain_of(8, powers(3)), 4)  # less than a vector
    assert takes(chain_of(8, powers(3)), 8)
    assert not takes(chain_of(64, powers(3)), 4)
    assert not takes(chain_of(64, [2, 1, 4, 8]), 4)
    assert not takes(chain_of(96, [*powers(4), 48]), 4)  # d is not a power of two
    assert not takes(so.Architecture([(4, 4, 4, 1), (1, 4, 4, 4)]), 4)
    assert not takes(so.Architecture.monarch(12, 30, 3, 5), 4)


def test_memory_in_every_layout_and_any_shape() -> None:
    expect_in_every_layout(layer_of("a pair"), 7)
    expect_any_shape(layer_of("a pair"))


def test_not_a_number_stays_where_it_is() -> None:
    layer = layer_of("two stages")
    x = torch.randn(40, 2048)
    x[3, 5], x[39, 7] = torch.nan, torch.inf
    with torch.no_grad():
        bad = ~layer(x).isfinite().all(1)
        assert bad.nonzero().flatten().tolist() == [3, 39]
        layer.factors[-1][0, 0, 0, 0] = torch.nan
        assert layer(x[:3]).isnan().any(1).all()
    x = torch.randn(40, 2048, requires_grad=True)
    layer(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.isnan().any(1).all()


def test_hooks_frozen_parameters_and_gradients_that_add_up() -> None:
    layer, seen = layer_of("a single one"), []
    layer.factors[0].requires_grad_(False)
    layer.factors[1].register_hook(lambda g: seen.append(g.shape))
    layer.register_forward_hook(lambda *_: seen.append("forward"))
    x = torch.randn(4, 32)
    layer(x).sum().backward()
    once = [None if p.grad is None else p.grad.clone() for p in layer.parameters()]
    layer(x).sum().backward()
    assert seen == ["forward", layer.factors[1].shape] * 2
    for parameter, first in zip(layer.parameters(), once, strict=True):
        assert (first is None) == (parameter is layer.factors[0])
        if first is not None and parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, 2 * first)
    y = layer(x)
    with torch.no_grad():
        layer.factors[1].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_gradients_by_differences() -> None:
    layer = layer_of("a single one", torch.float64)
    x = torch.randn(2, 32, dtype=torch.float64, requires_grad=True)
    assert along_rows(layer, x)

    def call(x: torch.Tensor, bias: torch.Tensor, *factors: torch.Tensor) -> torch.Tensor:
        chain = layer._trained._lanes[torch.float64]
        assert chain.reads(factors, bias)
        made: torch.Tensor = TrainedInPlace(chain, layer._by_torch)(x, bias, factors)
        return made

    assert torch.autograd.gradcheck(call, (x, layer.bias, *layer.factors))
    assert torch.autograd.gradgradcheck(call, (x[:1], layer.bias, *layer.factors), atol=1e-4)


def test_the_workspace_is_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Guarded(monkeypatch)
    for name in CHAINS:
        for dtype in (torch.float32, torch.float64):
            layer = layer_of(name, dtype)
            x = torch.randn(17, layer.in_features, dtype=dtype)
            expect(layer, x, torch.randn_like(x))
    room.expect_untouched()


def test_long_rows_go_through_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_chain, "WORKSPACE", 1)
    layer = layer_of("two stages")
    expect(layer, torch.randn(3, 2048), torch.randn(3, 2048))


def test_the_plan_is_that_of_the_whole_layer() -> None:
    layer = layer_of("two stages")
    layer(torch.ones(1, 2048))
    plan = layer.plan(16)
    assert [step.method for step in plan.steps] == ["rows"]
    assert layer_inference.runs_along_rows(layer.architecture, np.dtype(np.float32))
    monarch = KroneckerLinear(64, 64, so.Architecture.monarch(64, 64, 8, 8)).plan(16)
    assert monarch.around > 0
    assert "around the product" in str(monarch)
    conv = so.KroneckerConv2d(64, 64, 3, so.Architecture.square_dyadic(64)).plan(196)
    assert conv.around > conv.steps[0].microseconds
