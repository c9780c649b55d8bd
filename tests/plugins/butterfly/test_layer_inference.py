"""Calls of `KroneckerLinear` without gradients: right, never stale, left to torch where needed."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sparseopt_butterfly import layer_inference
from sparseopt_butterfly.kronecker_linear import KroneckerLinear
from torch import nn

import sparseopt as so

DYADIC = so.Architecture.square_dyadic(32)
ARCHITECTURES = {
    "dyadic": DYADIC,
    "monarch": so.Architecture.monarch(12, 30, 3, 5),
    "1 x 1": so.Architecture([(1, 1, 1, 1)]),
    "not chainable": so.Architecture([(4, 2, 2, 1), (2, 2, 2, 2), (1, 2, 2, 4)]),
}


def layer_of(architecture: so.Architecture, **options: Any) -> KroneckerLinear:
    torch.manual_seed(0)
    rows, columns = architecture.shape
    return KroneckerLinear(columns, rows, architecture, **options)


def is_own(layer: KroneckerLinear, x: torch.Tensor) -> bool:
    """Whether the library's own product takes a call."""
    rows, factors = x.reshape(-1, layer.in_features), list(layer.factors)
    return layer._remembered(rows, factors, layer.bias, layer.architecture) is not None


def expect(layer: KroneckerLinear, x: torch.Tensor) -> None:
    """Twice: first made, then remembered."""
    wanted = nn.functional.linear(x, layer.weight.detach(), layer.bias)
    for _ in range(2):
        found = layer(x)
        assert found.is_contiguous()
        torch.testing.assert_close(found, wanted.detach())


@pytest.mark.parametrize("kernels", [False, True], ids=["numpy", "compiled"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_results_are_those_of_the_dense_weight(
    name: str, bias: bool, dtype: torch.dtype, kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernels:
        pytest.importorskip("sparseopt_butterfly.fused_kernels")
    else:
        monkeypatch.setattr(layer_inference, "_KERNELS", "not loaded")
    layer = layer_of(ARCHITECTURES[name], bias=bias, dtype=dtype)
    n = layer.in_features
    with torch.no_grad():
        for lead in ((), (1,), (7,), (2, 3), (0,), (2, 0, 3), (16, 5)):
            x = torch.randn(*lead, n, dtype=dtype)
            assert is_own(layer, x)
            expect(layer, x)
        expect(layer, torch.randn(n, 9, dtype=dtype).T)
        expect(layer, torch.randn(9, 2 * n, dtype=dtype)[:, ::2])


CHANGES: dict[str, Callable[[KroneckerLinear], Any]] = {
    "in place": lambda layer: layer.factors[1].mul_(2),
    "through data": lambda layer: layer.factors[1].data.mul_(2),
    "one entry through data": lambda layer: layer.factors[1].data[0, 1, 0, 0].mul_(2),
    "through numpy": lambda layer: np.negative(*2 * (layer.factors[0].detach().numpy(),)),
    "data replaced": lambda layer: setattr(
        layer.factors[0], "data", torch.randn_like(layer.factors[0])
    ),
    "parameter replaced": lambda layer: layer.factors.__setitem__(
        0, nn.Parameter(torch.randn_like(layer.factors[0]))
    ),
    "bias": lambda layer: layer.bias.add_(1),
    "bias through data": lambda layer: layer.bias.data.add_(1),
    "bias removed": lambda layer: setattr(layer, "bias", None),
    "other values": lambda layer: layer.reset_parameters(),
    "loaded": lambda layer: layer.load_state_dict(
        {name: torch.randn_like(value) for name, value in layer.state_dict().items()}
    ),
    "loaded by assignment": lambda layer: layer.load_state_dict(
        {name: torch.randn_like(value) for name, value in layer.state_dict().items()}, assign=True
    ),
    "all scaled": lambda layer: [factor.data.mul_(-0.5) for factor in layer.factors],
    "double": lambda layer: layer.double(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_parameter_is_seen(name: str) -> None:
    layer = layer_of(DYADIC)
    with torch.no_grad():
        expect(layer, torch.randn(5, 32))
        for _ in range(3):
            CHANGES[name](layer)
            expect(layer, torch.randn(5, 32, dtype=layer.factors[0].dtype))


def test_training_and_evaluation_alternate() -> None:
    layer = layer_of(DYADIC)
    optimizer = torch.optim.Adam(layer.parameters())
    for _ in range(3):
        layer(torch.randn(4, 32)).square().sum().backward()
        optimizer.step()
        with torch.no_grad():
            expect(layer, torch.randn(4, 32))
        with torch.inference_mode():
            expect(layer, torch.randn(4, 32))
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        layer.factors[0].zero_()
        expect(layer, torch.randn(4, 32))
        expect(twin, torch.randn(4, 32))
        assert layer(torch.ones(1, 32)).equal(layer.bias[None])


def test_torch_multiplies_where_somebody_looks_on() -> None:
    layer = layer_of(DYADIC)
    x = torch.randn(4, 32)
    assert not is_own(layer, x)
    for parameter in layer.parameters():
        parameter.requires_grad_(False)
    assert is_own(layer, x)
    assert not is_own(layer, x.clone().requires_grad_())
    assert not is_own(layer, x.double())
    with torch.autocast("cpu"):
        assert layer(x).dtype == torch.bfloat16
    mapped = torch.func.vmap(layer)(x[:, None])
    torch.testing.assert_close(mapped[:, 0], layer(x))
    (slope,) = torch.func.grad(
        lambda bias: torch.func.functional_call(layer, {"bias": bias}, (x,)).sum()
    )(layer.bias)[None]
    torch.testing.assert_close(slope, torch.full((32,), 4.0))
    assert not is_own(layer_of(DYADIC, dtype=torch.complex64), x.to(torch.complex64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch: tracing is deprecated, and shapes are fixed
        traced = torch.jit.trace(layer, (x,), check_trace=False)
    torch.testing.assert_close(traced(2 * x), layer(2 * x))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_values_that_numpy_would_refuse_go_as_torch_lets_them(value: float) -> None:
    layer = layer_of(DYADIC)
    x = torch.ones(2, 32)
    with torch.no_grad():
        layer.factors[2].fill_(value)
        wanted = nn.functional.linear(x, layer.weight, layer.bias)
        torch.testing.assert_close(layer(x).isfinite(), wanted.isfinite())
        layer.factors[2].fill_(0.5)
        expect(layer, x)
        assert layer(torch.full((2, 32), np.nan)).isnan().all()


def test_loading_the_kernels_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_inference, "_KERNELS", "not loaded")
    monkeypatch.setattr(layer_inference, "_saved", 0.0)
    product = layer_of(DYADIC).product.to_numpy()
    cost = product.plan(8).microseconds / 2e6
    monkeypatch.setattr(layer_inference, "LOADING", 2.5 * cost)
    assert [layer_inference._kernels_pay(product, 8) for _ in range(4)] == [
        False,
        False,
        True,
        True,
    ]


def test_the_plan_says_when_dense_is_faster() -> None:
    small = layer_of(so.Architecture([(1, 2, 2, 8), (2, 8, 8, 1)]))
    assert "so it is" in small.plan().note
    large = layer_of(so.Architecture.square_dyadic(1024))
    assert "so it is slower" in str(large.plan(128))
    with pytest.raises(so.ProblemError, match="batch must be a positive integer"):
        large.plan(0)
