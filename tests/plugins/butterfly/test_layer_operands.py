"""Layers with operands, parameters and callers that kernels must not take at their word."""

from __future__ import annotations

import copy
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from sparseopt_butterfly.kronecker_linear import KroneckerLinear
from torch import nn
from torch.autograd import forward_ad

import sparseopt as so

pytest.importorskip("sparseopt_butterfly.fused_kernels")

CHAINS = {
    "panels": [(1, 16, 16, 16), (16, 16, 16, 1)],
    "lanes": list(so.Architecture.square_dyadic(64)),
    "runs": [(1, 4, 4, 4), (4, 4, 4, 1)],
    "blocks": [(1, 3, 5, 2), (2, 5, 3, 1)],
}


@pytest.fixture(params=CHAINS)
def layer(request: pytest.FixtureRequest) -> KroneckerLinear:
    torch.manual_seed(0)
    chain = so.Architecture(CHAINS[request.param])
    return KroneckerLinear(chain.shape[1], chain.shape[0], chain)


def dense(layer: KroneckerLinear, x: torch.Tensor) -> torch.Tensor:
    return nn.functional.linear(x, layer.weight, layer.bias)


@contextmanager
def _quick_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def in_threads(works: list[Callable[[], None]]) -> None:
    """Run all at the same time, with many switches between them; fail with the first failure."""
    failed: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    with _quick_switches():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]


def test_copies_with_other_values_in_threads(layer: KroneckerLinear) -> None:
    def work(seed: int) -> Callable[[], None]:
        torch.manual_seed(seed)
        own = copy.copy(layer)  # shares what it remembers, as replicas of `nn.DataParallel` do
        own._parameters = {"bias": nn.Parameter(torch.randn(layer.out_features))}
        own._modules = {"factors": copy.deepcopy(layer.factors)}
        for factor in own.factors:
            nn.init.normal_(factor)
        x, cotangent = torch.randn(5, own.in_features), torch.randn(5, own.out_features)
        inputs = [own.bias, *own.factors]
        wanted = torch.autograd.grad(dense(own, x), inputs, cotangent)

        def repeat() -> None:
            for _ in range(60):
                with torch.no_grad():
                    torch.testing.assert_close(own(x), dense(own, x), atol=1e-3, rtol=1e-4)
                found = torch.autograd.grad(own(x), inputs, cotangent)
                for one, two in zip(found, wanted, strict=True):
                    torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-4)

        return repeat

    in_threads([work(seed) for seed in range(4)])


def test_several_layers_in_threads() -> None:
    def work(name: str) -> Callable[[], None]:
        torch.manual_seed(0)
        chain = so.Architecture(CHAINS[name])
        own = KroneckerLinear(chain.shape[1], chain.shape[0], chain)

        def repeat() -> None:
            for batch in [*range(1, 40), 200, 7, 300]:
                x = torch.randn(batch, own.in_features, requires_grad=True)
                found = torch.autograd.grad(own(x).square().sum(), [x, *own.factors])
                wanted = torch.autograd.grad(dense(own, x).square().sum(), [x, *own.factors])
                for one, two in zip(found, wanted, strict=True):
                    scale = float(two.abs().max())
                    torch.testing.assert_close(one, two, atol=1e-5 * scale, rtol=1e-4)

        return repeat

    in_threads([work(name) for name in CHAINS for _ in range(2)])


def test_a_bias_of_another_shape_is_broadcast_or_refused_as_by_torch(
    layer: KroneckerLinear,
) -> None:
    x = torch.randn(3, layer.in_features)
    own = layer.bias
    layer(x)
    for shape in ((1,), (1, layer.out_features), (layer.out_features + 1,)):
        layer.bias = nn.Parameter(torch.ones(shape))
        for grad in (True, False):
            with torch.set_grad_enabled(grad):
                try:
                    wanted = x @ layer.weight.T + layer.bias
                except RuntimeError:
                    with pytest.raises((RuntimeError, ValueError)):
                        layer(x)
                    continue
                torch.testing.assert_close(layer(x), wanted, atol=1e-5, rtol=1e-5)
    layer.bias = own
    layer(x)
    own.data = own.data[:1]
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            wanted = x @ layer.weight.T + layer.bias
            torch.testing.assert_close(layer(x), wanted, atol=1e-5, rtol=1e-5)


def test_a_factor_that_is_cut_short_is_refused(layer: KroneckerLinear) -> None:
    x = torch.randn(3, layer.in_features)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            layer(x)
    layer.factors[0].data = layer.factors[0].data.flatten()[:1]
    for grad in (True, False):
        with (
            torch.set_grad_enabled(grad),
            pytest.raises((RuntimeError, ValueError, IndexError, so.SparseoptError)),
        ):
            layer(x)


def test_numbers_that_are_stored_with_the_other_sign(layer: KroneckerLinear) -> None:
    def turned(x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.complex(torch.zeros_like(x), -x).conj().imag
        assert found.is_neg()
        return found

    def expect(x: torch.Tensor, cotangent: torch.Tensor) -> None:
        with torch.no_grad():
            torch.testing.assert_close(layer(x), dense(layer, x), atol=1e-5, rtol=1e-5)
        own = x.detach().requires_grad_()
        inputs = [own, *layer.parameters()]
        found = torch.autograd.grad(layer(own), inputs, cotangent)
        wanted = torch.autograd.grad(dense(layer, own), inputs, cotangent)
        for one, two in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)

    x, cotangent = torch.randn(5, layer.in_features), torch.randn(5, layer.out_features)
    expect(turned(x), turned(cotangent))
    expect(turned(x).contiguous(), cotangent)
    layer.factors[-1].data = turned(layer.factors[-1].data).contiguous()
    layer.bias.data = turned(layer.bias.data).contiguous()
    expect(x, cotangent)
    place = layer.factors[0].data_ptr()
    layer.factors[0].data = torch._neg_view(layer.factors[0].data)
    assert layer.factors[0].data_ptr() == place
    expect(x, cotangent)


def test_zeros_without_memory(layer: KroneckerLinear) -> None:
    nothing = torch._efficientzerotensor((5, layer.in_features))
    with torch.no_grad():
        torch.testing.assert_close(layer(nothing), layer.bias.expand(5, -1))
    torch.testing.assert_close(layer(nothing), layer.bias.expand(5, -1))
    x = torch.randn(5, layer.in_features, requires_grad=True)
    cotangent = torch._efficientzerotensor((5, layer.out_features))
    found = torch.autograd.grad(layer(x), [x, *layer.parameters()], cotangent)
    assert all(not part.any() for part in found)


def test_forward_differentiation_without_gradients(layer: KroneckerLinear) -> None:
    x, tangent = torch.randn(4, layer.in_features), torch.randn(4, layer.in_features)
    with torch.no_grad():
        layer(x)
        with forward_ad.dual_level(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch itself: it scripts its own derivatives
            found = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, tangent))).tangent
    torch.testing.assert_close(found, tangent @ layer.weight.T, atol=1e-5, rtol=1e-5)


def test_operands_that_are_elsewhere(layer: KroneckerLinear) -> None:
    x = torch.randn(4, layer.in_features)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            layer(x)
            with pytest.raises(so.ProblemError, match="device meta, the layer on cpu"):
                layer(x.to("meta"))
    with torch.no_grad():
        try:
            found: Any = layer(x.to_sparse())
        except (RuntimeError, NotImplementedError):
            return
        torch.testing.assert_close(found, dense(layer, x), atol=1e-5, rtol=1e-5)


def test_the_bias_may_change_before_the_backward_pass(layer: KroneckerLinear) -> None:
    x = torch.randn(4, layer.in_features, requires_grad=True)
    y = layer(x)
    with torch.no_grad():
        layer.bias.add_(1.0)
    y.sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(4, -1), atol=1e-5, rtol=1e-5)
