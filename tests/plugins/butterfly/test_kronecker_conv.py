"""The torch convolution with factors: against `torch.nn.Conv2d` with its dense weight."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sparseopt_butterfly import cells, layer_inference
from sparseopt_butterfly.kronecker_conv import KroneckerConv2d
from torch import nn
from torch.nn.utils import prune

import sparseopt as so

DYADIC = so.Architecture.square_dyadic(8)
NOT_CHAINABLE = so.Architecture([(2, 2, 2, 2), (1, 4, 4, 2)])
GEOMETRIES: dict[str, dict[str, Any]] = {
    "1 x 1": {"kernel_size": 1},
    "1 x 1, strided": {"kernel_size": (1, 1), "stride": 2, "padding": 1},
    "3 x 3": {"kernel_size": 3, "padding": 1},
    "2 x 3, uneven": {
        "kernel_size": (2, 3),
        "stride": (1, 2),
        "padding": (2, 1),
        "dilation": (2, 1),
    },
    "reflect": {"kernel_size": 3, "stride": 2, "padding": 1, "padding_mode": "reflect"},
    "circular": {"kernel_size": 3, "padding": 2, "padding_mode": "circular"},
    "replicate, same": {
        "kernel_size": 3,
        "padding": "same",
        "dilation": 2,
        "padding_mode": "replicate",
    },
    "valid": {"kernel_size": 3, "padding": "valid"},
}


def layer_of(geometry: str = "3 x 3", chain: Any = DYADIC, **options: Any) -> KroneckerConv2d:
    torch.manual_seed(0)
    given = {"dtype": torch.float64, **GEOMETRIES[geometry], **options}
    return KroneckerConv2d(8, 8, architecture=chain, **given)


def dense(layer: KroneckerConv2d) -> torch.Tensor:
    """The weight by its definition, position by position and channel by channel."""
    matrix = np.eye(8)
    for factor, pattern in zip(layer.factors, layer.architecture, strict=True):
        matrix = matrix @ pattern.sparse(factor.detach().double().numpy()).toarray()
    height, width = layer.kernel_size
    weight = np.empty((8, 8, height, width))
    for i in range(height):
        for j in range(width):
            first = (i * width + j) * 8
            weight[:, :, i, j] = matrix[:, first : first + 8]
    return torch.from_numpy(weight)


@pytest.mark.parametrize("chain", [DYADIC, NOT_CHAINABLE], ids=["dyadic", "not chainable"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results_and_gradients_are_those_of_the_dense_weight(
    geometry: str, chain: so.Architecture
) -> None:
    layer = layer_of(geometry, chain)
    conv = layer.to_conv2d()
    torch.testing.assert_close(conv.weight, dense(layer))
    for shape in ((2, 8, 6, 7), (8, 6, 7), (0, 8, 6, 7)):
        x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        y, wanted = layer(x), conv(x)
        torch.testing.assert_close(y, wanted)
        cotangent = torch.randn_like(y)
        (one,) = torch.autograd.grad(y, x, cotangent, retain_graph=True)
        torch.testing.assert_close(one, torch.autograd.grad(wanted, x, cotangent)[0])
        slopes = torch.autograd.grad(y, list(layer.parameters()), cotangent)
        options = {k: v for k, v in GEOMETRIES[geometry].items() if k != "kernel_size"}
        mirror = nn.Conv2d(8, 8, layer.kernel_size, **options, dtype=torch.float64)
        written = torch.func.functional_call(
            mirror, {"weight": layer.weight, "bias": layer.bias}, (x,)
        )
        by_hand = torch.autograd.grad(written, list(layer.parameters()), cotangent)
        for a, b in zip(slopes, by_hand, strict=True):
            torch.testing.assert_close(a, b)
        with torch.no_grad():
            for _ in range(2):
                found = layer(x)
                assert found.is_contiguous()
                torch.testing.assert_close(found, wanted.detach())


@pytest.mark.parametrize("kernels", [False, True], ids=["numpy", "compiled"])
def test_without_gradients_the_product_takes_it_and_sees_changes(
    kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernels:
        pytest.importorskip("sparseopt_butterfly.fused_kernels")
    else:
        monkeypatch.setattr(layer_inference, "_KERNELS", "not loaded")
    layer = layer_of("1 x 1", dtype=torch.float32)
    x = torch.randn(3, 8, 5, 5)
    with torch.no_grad():
        assert layer._remembered.product(x, layer._values(), layer.architecture, 75) is not None
        for change in (0.5, -1.0, 3.0):
            layer.factors[1].data[0, 1, 0, 1] *= change
            layer.bias.data += change
            torch.testing.assert_close(layer(x), layer.to_conv2d()(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("geometry", ["1 x 1", "3 x 3", "2 x 3, uneven"])
def test_the_projection_of_an_exact_product_is_exact(geometry: str, dtype: torch.dtype) -> None:
    conv = layer_of(geometry).to_conv2d().to(dtype).eval()
    conv.weight.requires_grad_(False)
    found = KroneckerConv2d.from_conv2d(conv, DYADIC)
    assert found.relative_error is not None
    assert found.relative_error <= 4 * torch.finfo(dtype).eps
    assert {p.dtype for p in found.parameters()} == {dtype}
    assert not found.training
    assert not found.factors[0].requires_grad
    assert found.bias.requires_grad
    x = torch.randn(2, 8, 6, 7).to(dtype)
    torch.testing.assert_close(found(x), conv(x), atol=16 * torch.finfo(dtype).eps, rtol=0.02)


def test_other_kinds_of_numbers() -> None:
    layer = layer_of("3 x 3", dtype=torch.complex64)
    x = torch.randn(2, 8, 6, 7, dtype=torch.complex64)
    torch.testing.assert_close(layer(x), layer.to_conv2d()(x))
    with torch.no_grad():
        torch.testing.assert_close(layer(x), layer.to_conv2d()(x))


def test_parameters_are_those_of_any_module(tmp_path: Any) -> None:
    layer = layer_of("3 x 3")
    x = torch.randn(2, 8, 6, 7, dtype=torch.float64)
    torch.save(layer.state_dict(), tmp_path / "state.pt")
    fresh = layer_of("3 x 3")
    fresh.reset_parameters()
    fresh.load_state_dict(torch.load(tmp_path / "state.pt"))
    for twin in (fresh, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(twin(x), layer(x))
    assert list(layer.state_dict()) == ["bias", "factors.0", "factors.1", "factors.2"]
    flat = nn.utils.parameters_to_vector(layer.parameters())
    nn.utils.vector_to_parameters(2 * flat, fresh.parameters())
    torch.testing.assert_close(fresh.factors[0], 2 * layer.factors[0])
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=3)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = layer(x).square().sum()
        loss.backward()
        return loss

    before = float(closure().detach())
    optimizer.step(closure)
    assert float(closure().detach()) < before


def test_safetensors_takes_it(tmp_path: Any) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    layer, fresh = layer_of(), layer_of()
    fresh.reset_parameters()
    safetensors.save_file(layer.state_dict(), tmp_path / "layer.safetensors")
    fresh.load_state_dict(safetensors.load_file(tmp_path / "layer.safetensors"))
    assert torch.equal(fresh.factors[1], layer.factors[1])


def test_masks_act_at_every_call_and_in_training() -> None:
    layer = layer_of("1 x 1")
    prune.l1_unstructured(layer.factors, "0", amount=0.5)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    x = torch.randn(2, 8, 3, 3, dtype=torch.float64)
    for _ in range(2):
        optimizer.zero_grad()
        layer(x).square().sum().backward()
        optimizer.step()
        masked = layer.factors.get_parameter("0_orig") * layer.factors.get_buffer("0_mask")
        twin = layer_of("1 x 1")
        twin.load_state_dict(
            {
                "bias": layer.bias,
                "factors.0": masked,
                "factors.1": layer.factors[1],
                "factors.2": layer.factors[2],
            }
        )
        torch.testing.assert_close(layer(x), twin(x))
        with torch.no_grad():
            torch.testing.assert_close(layer(x), twin(x))


def test_merged_and_compiled_it_computes_the_same() -> None:
    layer = layer_of("3 x 3")
    x = torch.randn(2, 8, 6, 7, dtype=torch.float64)
    wanted = layer(x).detach()
    fused = layer.fused([2, 1])
    assert len(fused.factors) == 2
    torch.testing.assert_close(fused(x), wanted)
    layer.merging = [1, 2]
    torch.testing.assert_close(layer(x), wanted)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), wanted)
    assert "dense weight" in str(layer.merge_for(4).plan(128))


def test_sizes_may_be_numpy_integers_and_bad_ones_are_named() -> None:
    eight = np.int64(8)
    layer = KroneckerConv2d(eight, eight, np.int64(3), DYADIC, padding=np.int64(1))
    assert layer(torch.ones(1, 8, 4, 4)).shape == (1, 8, 4, 4)
    assert "kernel_size=(3, 3)" in repr(layer)
    assert so.KroneckerConv2d is KroneckerConv2d
    for options, message in (
        ({"groups": 2}, "groups=2: a KroneckerConv2d has one group"),
        ({"kernel_size": 0}, "kernel_size must be a positive integer"),
        ({"kernel_size": (1, 2, 3)}, "kernel_size must be one or two"),
        ({"stride": -1}, "stride must be a positive integer"),
        ({"padding": -1}, "padding must be"),
        ({"padding": "full"}, "padding must be"),
        ({"padding": "same", "stride": 2}, "needs a stride of 1"),
        ({"padding_mode": "mirror"}, "padding_mode must be one of"),
        ({"in_channels": 4}, r"needs \(8, 36\), or \(8, 4\)"),
        ({"in_channels": True}, "in_channels must be a positive integer"),
    ):
        given = {"in_channels": 8, "out_channels": 8, "kernel_size": 3, **options}
        with pytest.raises(so.ProblemError, match=message):
            KroneckerConv2d(architecture=DYADIC, **given)
    layer = layer_of("3 x 3", padding=0)
    for shape in ((8, 8), (1, 4, 5, 5), (1, 1, 8, 5, 5)):
        with pytest.raises(so.ProblemError, match="takes images of shape"):
            layer(torch.ones(shape, dtype=torch.float64))
    with pytest.raises(so.ProblemError, match="spans 3 x 3 cells"):
        layer(torch.ones(1, 8, 2, 5, dtype=torch.float64))
    with pytest.raises(so.ProblemError, match="groups=2"):
        KroneckerConv2d.from_conv2d(nn.Conv2d(8, 8, 3, groups=2), DYADIC)


def test_compress_replaces_convolutions() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, groups=2)
    ).eval()
    with torch.no_grad():
        exact = KroneckerConv2d(8, 8, 1, [(1, 8, 2, 1), (1, 2, 8, 1)])
        model[2].weight.copy_(exact.weight)
    report = so.compress(model, 0.6, max_error=1.0, min_speedup=None, batch=4)
    assert [layer.name for layer in report.replaced] == ["0", "2"]
    assert report["0"].shape == (8, 36)
    assert "groups" in report["3"].reason
    assert report["2"].relative_error < 1e-6
    assert report.parameters_after < report.parameters_before
    new = report.model[0]
    assert isinstance(new, KroneckerConv2d)
    distance = ((new.weight - model[0].weight).norm() / model[0].weight.norm()).detach()
    assert report["0"].relative_error == pytest.approx(float(distance), rel=1e-4)
    assert report.model(torch.ones(1, 4, 5, 5)).shape == (1, 8, 3, 3)


@pytest.mark.parametrize("least", [1, 4, 30, 1000])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_strips_of_every_size_give_the_same(
    name: str, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "_CELLS", least)
    monkeypatch.setattr(cells, "_BYTES", 1)
    for bias in (True, False):
        layer = layer_of(name, dtype=torch.float32, bias=bias)
        for count in (1, 3):
            images = torch.randn(count, 8, 9, 7)
            with torch.no_grad():
                found = layer(images)
                torch.testing.assert_close(found, layer.to_conv2d()(images))
            assert found.is_contiguous()
            torch.testing.assert_close(found, layer(images).detach())


def test_strips_fit_what_is_asked_for() -> None:
    assert cells.strips_of((7, 7), 64, 4) == (3, 7)  # images together have 128 cells
    assert cells.strips_of((14, 14), 64, 4) == (1, 14)
    few, high = cells.strips_of((56, 56), 64 * 9, 4)
    assert few == 1
    assert high * 56 * 64 * 9 * 4 <= cells._BYTES < (high + 1) * 56 * 64 * 9 * 4
