"""Layers with larger blocks by kernels along rows: against operators of torch, in every layout."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from sparseopt_butterfly.kronecker_linear import KroneckerLinear

import sparseopt as so

pytest.importorskip("sparseopt_butterfly.fused_kernels")
from sparseopt_butterfly import layer_inference, panel_chain
from sparseopt_butterfly.in_place import TrainedInPlace
from sparseopt_butterfly.panel_kernels import FEW, MANY

from tests.support.layers_in_place import (
    Guarded,
    along_rows,
    expect,
    expect_any_shape,
    expect_in_every_layout,
    made_layer,
)

CHAINS = {
    "monarch": [(1, 16, 16, 16), (16, 16, 16, 1)],
    "far apart": [(1, 5, 7, 128), (1, 7, 9, 128)],
    "wide and narrow": [(1, 32, 16, 32), (8, 64, 16, 1)],
    "three factors": [(2, 3, 2, 16), (4, 16, 32, 1), (1, 128, 16, 1)],
    "low rank": [(1, 48, 16, 1), (1, 16, 80, 1)],
    "one block": [(1, 16, 96, 1)],
    "blocks of one": [(3, 1, 1, 16), (1, 3, 5, 16)],
    "one beside the other": [(2, 16, 48, 1), (2, 48, 32, 1)],
    "one entry wide": [(1, 6, 1, 64)],
}


def layer_of(name: str, dtype: torch.dtype = torch.float32, **options: Any) -> KroneckerLinear:
    return made_layer(so.Architecture(CHAINS[name]), dtype=dtype, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CHAINS)
def test_results_and_gradients_are_those_of_torch(name: str, dtype: torch.dtype) -> None:
    for bias, batches in ((True, (1, FEW, MANY + 3)), (False, (2, FEW + 1, MANY, 70))):
        layer = layer_of(name, dtype, bias=bias)
        for batch in batches:
            x = torch.randn(batch, layer.in_features, dtype=dtype)
            expect(layer, x, torch.randn(batch, layer.out_features, dtype=dtype))


def test_drawn_chains() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        lanes = int(rng.choice([8, 16]))
        dtype = {8: torch.float64, 16: torch.float32}[lanes]
        a, d, columns = 1, lanes * int(rng.integers(1, 4)), 0
        b, c = (int(k) for k in rng.integers(1, 12, 2))
        patterns = [(a, b, c, d)]
        columns = c * d
        if columns % lanes == 0 and rng.random() < 0.7:
            split = int(rng.choice([k for k in (1, 2, 3) if columns // lanes % k == 0]))
            patterns.append((split, columns // split, lanes * int(rng.integers(1, 4)), 1))
        layer = made_layer(so.Architecture(patterns), dtype=dtype)
        batch = int(rng.integers(1, 50))
        x = torch.randn(batch, layer.in_features, dtype=dtype)
        expect(layer, x, torch.randn(batch, layer.out_features, dtype=dtype))


def test_chains_that_the_kernels_do_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    def takes(*patterns: tuple[int, int, int, int], itemsize: int = 4) -> bool:
        panel_chain.is_panel_chain.cache_clear()
        return panel_chain.is_panel_chain(so.Architecture(patterns), itemsize)

    for chain in CHAINS.values():
        assert takes(*chain)
        assert takes(*chain, itemsize=8)
    assert not takes((1, 16, 16, 8), (8, 16, 16, 1))  # d is less than a vector
    assert takes((1, 16, 16, 8), (8, 16, 16, 1), itemsize=8)
    assert not takes((1, 16, 16, 24), (24, 16, 16, 1))  # d is no multiple
    assert not takes((2, 24, 16, 1))
    assert not takes((2, 16, 24, 1))
    assert not takes((1, 4, 4, 16), (4, 4, 4, 4), (16, 4, 4, 1))  # applied several at once
    assert not takes(*[(64 // (2 * d), 2, 2, d) for d in (32, 16)])
    monkeypatch.setattr(panel_chain, "BLOCK", 16 * 16 * 4 - 1)
    assert not takes((2, 16, 16, 1))
    assert takes((1, 16, 16, 16))
    panel_chain.is_panel_chain.cache_clear()


def test_memory_in_every_layout_and_any_shape() -> None:
    for rows in (FEW, MANY + 3):
        expect_in_every_layout(layer_of("monarch"), rows)
    expect_any_shape(layer_of("wide and narrow"))


def test_changes_through_data_are_seen() -> None:
    layer = layer_of("wide and narrow")
    x = torch.randn(3, layer.in_features)
    for factor in layer.factors:
        factor.data[-1, -1, -1, -1] += 1.0
        with torch.no_grad():
            wanted = x @ layer.weight.T + layer.bias
            torch.testing.assert_close(layer(x), wanted, atol=1e-5, rtol=1e-5)


def test_not_a_number_stays_where_it_is() -> None:
    layer = layer_of("three factors")
    x = torch.randn(40, layer.in_features)
    x[3, 5], x[39, 7] = torch.nan, torch.inf
    with torch.no_grad():
        bad = ~layer(x).isfinite().all(1)
        assert bad.nonzero().flatten().tolist() == [3, 39]
        layer.factors[-1][0, 0, 0, 0] = torch.nan
        assert layer(x[:3]).isnan().any(1).all()
    x = torch.randn(40, layer.in_features, requires_grad=True)
    layer(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.isnan().any(1).all()


def test_frozen_parameters_and_operands() -> None:
    layer = layer_of("monarch")
    layer.factors[0].requires_grad_(False)
    layer.bias.requires_grad_(False)
    x = torch.randn(20, 256)
    layer(x).sum().backward()
    assert layer.factors[0].grad is None
    assert layer.bias.grad is None
    twin = copy.deepcopy(layer)
    twin._by_torch(x, twin.bias, twin._values()).sum().backward()
    torch.testing.assert_close(layer.factors[1].grad, twin.factors[1].grad, atol=1e-3, rtol=1e-4)
    y = layer(x)
    with torch.no_grad():
        layer.factors[1].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_gradients_by_differences() -> None:
    for name in ("blocks of one", "one block"):
        layer = layer_of(name, torch.float64)
        x = torch.randn(2, layer.in_features, dtype=torch.float64, requires_grad=True)
        assert along_rows(layer, x)

        def call(x: torch.Tensor, bias: torch.Tensor, *factors: torch.Tensor) -> torch.Tensor:
            chain = layer._trained._lanes[torch.float64]  # noqa: B023
            assert chain.reads(factors, bias)
            trained = TrainedInPlace(chain, layer._by_torch)  # noqa: B023
            made: torch.Tensor = trained(x, bias, factors)
            return made

        assert torch.autograd.gradcheck(call, (x, layer.bias, *layer.factors), fast_mode=True)
        some = x[:1], layer.bias, *layer.factors
        assert torch.autograd.gradgradcheck(call, some, atol=1e-4, fast_mode=True)


def test_rows_go_through_some_at_a_time_within_the_workspace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = Guarded(monkeypatch)
    for rows in (1, panel_chain.ROWS):
        monkeypatch.setattr(panel_chain, "ROWS", rows)
        for name in CHAINS:
            for dtype in (torch.float32, torch.float64):
                layer = layer_of(name, dtype)
                for batch in (1, 3 * panel_chain.LEAST + 5):
                    x = torch.randn(batch, layer.in_features, dtype=dtype)
                    expect(layer, x, torch.randn(batch, layer.out_features, dtype=dtype))
    room.expect_untouched()


def test_results_do_not_leave_their_tensors() -> None:
    for name in CHAINS:
        layer = layer_of(name)
        x, cotangent = torch.randn(21, layer.in_features), torch.randn(21, layer.out_features)
        layer(x.requires_grad_()).sum()
        chain = layer._trained._lanes[torch.float32]
        shapes = [x.shape, layer.bias.shape, *(factor.shape for factor in layer.factors)]
        guarded = [torch.full((64 + shape.numel() + 64,), 7.0) for shape in shapes]
        inner = [g[64:-64].view(shape).zero_() for g, shape in zip(guarded, shapes, strict=True)]
        kept = chain.room_for_kept(x)
        chain.times(x.detach(), kept)
        chain.gradients(x.detach(), kept, cotangent, inner[0], inner[1], inner[2:])
        for memory in guarded:
            assert (memory[:64] == 7).all()
            assert (memory[-64:] == 7).all()
        wanted = torch.autograd.grad(layer(x), [x, layer.bias, *layer.factors], cotangent)
        for one, two in zip(inner, wanted, strict=True):
            torch.testing.assert_close(one, two)


def test_the_plan_is_that_of_the_whole_layer() -> None:
    layer = layer_of("monarch")
    layer(torch.ones(1, 256))
    assert [step.method for step in layer.plan(16).steps] == ["rows"]
    assert layer_inference.runs_along_rows(layer.architecture, np.dtype(np.float32))
    assert layer.plan(64).microseconds > layer.plan(1).microseconds
