"""Layers of torch models are quantized in place, and the report tells the truth."""

from __future__ import annotations

import numpy as np
import pytest

import sparseopt as so

torch = pytest.importorskip("torch", reason="the layers are torch modules")


def model(dtype: object = None) -> torch.nn.Module:
    torch.manual_seed(0)
    dyadic = so.Architecture.square_dyadic(16)
    first = so.KroneckerLinear(16, 16, dyadic, dtype=dtype)
    second = so.KroneckerLinear(16, 16, dyadic, bias=False, dtype=dtype)
    return torch.nn.Sequential(first, torch.nn.ReLU(), second, torch.nn.Linear(16, 3, dtype=dtype))


def weight(layer: so.KroneckerLinear) -> np.ndarray:
    factors = [f.detach().float().double().numpy() for f in layer.factors]
    found: np.ndarray = so.KroneckerProduct(factors, layer.architecture).to_dense()
    return found


@pytest.mark.parametrize("form", ["e4m3", "bf16", 5])
def test_in_place(form: str | int) -> None:
    network = model()
    before = [weight(network[i]) for i in (0, 2)]
    last, bias = network[3].weight.clone(), network[0].bias.clone()
    operand = torch.randn(4, 16)
    with torch.no_grad():
        network(operand)
    report = so.quantize(network, form, accuracy=lambda m: float(m(operand).detach().sum()))
    assert [layer.name for layer in report.layers] == ["0", "2"]
    assert torch.equal(last, network[3].weight)
    assert torch.equal(bias, network[0].bias)
    for given, place, row in zip(before, (0, 2), report.layers, strict=True):
        error = np.linalg.norm(given - weight(network[place])) / np.linalg.norm(given)
        assert error == pytest.approx(row.relative_error, rel=1e-3)
        assert row.relative_error < row.nearest_relative_error
        chosen = so.significand(form) if isinstance(form, int) else so.NumberFormat(form)
        assert all(chosen.contains(f.detach()) for f in network[place].factors)
        assert all(f.requires_grad for f in network[place].factors)
    with torch.no_grad():
        after = network(operand)
    hidden = torch.relu(operand.double() @ torch.tensor(weight(network[0])).T + bias.double())
    out = hidden @ torch.tensor(weight(network[2])).T
    expected = out @ last.double().T + network[3].bias.double()
    torch.testing.assert_close(after.double(), expected, rtol=1e-4, atol=1e-4)
    assert report.accuracy_after == pytest.approx(float(after.sum()), rel=1e-4)
    assert "now" in str(report)


def test_casts_change_nothing() -> None:
    layer = so.KroneckerLinear(8, 8, so.Architecture.square_dyadic(8))
    so.quantize(layer, "e4m3")
    for factor in layer.factors:
        assert torch.equal(factor, factor.to(torch.float8_e4m3fn).to(factor.dtype))


@pytest.mark.parametrize(("form", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_stored(form: str, dtype: torch.dtype) -> None:
    network = model()
    plain = so.quantize(model(), form)
    report = so.quantize(network, form, store=True)
    assert all(f.dtype == dtype for f in network[0].factors)
    assert 2 * report.layers[0].bytes == plain.layers[0].bytes
    assert network[0](torch.ones(2, 16, dtype=dtype)).dtype == dtype


def test_layers_of_sixteen_bits() -> None:
    report = so.quantize(model(torch.bfloat16), 4)
    assert 0.0 < report.layers[0].relative_error < 0.1


def test_a_relative_error() -> None:
    report = so.quantize(model(), relative_error=1e-2, passes=1)
    assert all(layer.relative_error <= 1e-2 for layer in report.layers)
    assert all(layer.bits_after < layer.bits_before for layer in report.layers)


def test_bad_input() -> None:
    layer = so.KroneckerLinear(8, 8, so.Architecture.square_dyadic(8))
    with pytest.raises(so.ProblemError, match="torch module"):
        so.quantize(np.eye(2), 4)
    with pytest.raises(so.ProblemError, match="no KroneckerLinear"):
        so.quantize(torch.nn.Linear(2, 2), 4)
    with pytest.raises(so.ProblemError, match="a format, or a relative error"):
        so.quantize(layer)
    with pytest.raises(so.ProblemError, match="store=True takes"):
        so.quantize(layer, "e4m3", store=True)
