"""The torch layer: against its dense weight, finite differences and statistics."""

from __future__ import annotations

import contextlib
import copy
import io
import math
import pickle
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sparseopt_butterfly.kronecker_linear import KroneckerLinear
from sparseopt_butterfly.merging import choose_merging
from torch import nn
from torch.nn.utils import prune

import sparseopt as so

ARCHITECTURES = {
    "dyadic": so.Architecture.square_dyadic(16),
    "monarch": so.Architecture.monarch(12, 30, 3, 5),
    "one dense": so.Architecture([(1, 3, 5, 1)]),
    "1 x 1": so.Architecture([(1, 1, 1, 1)]),
    "diagonal": so.Architecture([(6, 1, 1, 1), (1, 1, 1, 6)]),
    "rank 2": so.Architecture([(1, 4, 4, 4), (2, 8, 6, 1)]),
    "a > 1, d > 1": so.Architecture([(2, 2, 2, 4), (4, 2, 2, 2)]),
    "redundant": so.Architecture([(1, 4, 4, 1), (1, 4, 6, 1)]),
    "not chainable": so.Architecture([(4, 2, 2, 1), (2, 2, 2, 2), (1, 2, 2, 4)]),
    "no pattern": so.Architecture([(2, 3, 3, 1), (3, 2, 2, 1)]),
}


def layer_of(name: str, **options: Any) -> KroneckerLinear:
    architecture = ARCHITECTURES[name]
    rows, columns = architecture.shape
    torch.manual_seed(0)
    return KroneckerLinear(columns, rows, architecture, **options)


def dense(layer: KroneckerLinear) -> torch.Tensor:
    """The weight by its definition: SciPy matrices with the values at the pattern's indices."""
    matrix = np.eye(layer.out_features)
    for factor, pattern in zip(layer.factors, layer.architecture, strict=True):
        matrix = matrix @ pattern.sparse(factor.detach().double().numpy()).toarray()
    return torch.from_numpy(matrix)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("lead", [(), (7,), (2, 3), (0,), (2, 0, 3)])
def test_forward_is_that_of_the_dense_weight(name: str, lead: tuple[int, ...]) -> None:
    layer = layer_of(name, dtype=torch.float64)
    x = torch.randn(*lead, layer.in_features, dtype=torch.float64)
    y = layer(x)
    assert y.is_contiguous()
    torch.testing.assert_close(y, nn.functional.linear(x, dense(layer), layer.bias))
    torch.testing.assert_close(layer.weight, dense(layer))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_are_finite_differences(name: str) -> None:
    layer = layer_of(name, dtype=torch.float64)
    x = torch.randn(3, layer.in_features, dtype=torch.float64, requires_grad=True)

    def run(x: torch.Tensor, bias: torch.Tensor, *factors: torch.Tensor) -> torch.Tensor:
        values = {f"factors.{i}": factor for i, factor in enumerate(factors)}
        return torch.func.functional_call(layer, {**values, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(run, (x, layer.bias, *layer.factors))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_chain_with_any_merging_against_the_written_out_weight(data: st.DataObject) -> None:
    """Chains of any divisors, most of them not chainable: results and gradients."""
    patterns, rows = [], data.draw(st.sampled_from([1, 6, 12, 16]))
    for _ in range(data.draw(st.integers(1, 4))):
        a = data.draw(st.sampled_from([k for k in range(1, rows + 1) if rows % k == 0]))
        d = data.draw(st.sampled_from([k for k in range(1, rows // a + 1) if rows // a % k == 0]))
        c = data.draw(st.integers(1, 5))
        patterns.append((a, rows // (a * d), c, d))
        rows = a * c * d
    architecture = so.Architecture(patterns)
    layer = KroneckerLinear(rows, architecture.shape[0], architecture, dtype=torch.float64)
    cuts = data.draw(st.lists(st.booleans(), min_size=len(patterns) - 1, max_size=len(patterns)))
    sizes = [1]
    for cut in cuts[: len(patterns) - 1]:
        if cut:
            sizes.append(1)
        else:
            sizes[-1] += 1
    with contextlib.suppress(so.ProblemError):  # then the default stays
        layer.merging = sizes
    weight = torch.eye(architecture.shape[0], dtype=torch.float64)
    for factor, pattern in zip(layer.factors, architecture, strict=True):
        places = tuple(torch.from_numpy(index.copy()) for index in pattern.indices())
        dense = torch.zeros(pattern.shape, dtype=torch.float64).index_put(places, factor)
        weight = weight @ dense
    torch.testing.assert_close(layer.weight, weight)
    x = torch.randn(data.draw(st.integers(0, 4)), rows, dtype=torch.float64)
    y, wanted = layer(x), nn.functional.linear(x, weight, layer.bias)
    torch.testing.assert_close(y, wanted)
    cotangent = torch.randn_like(y)
    pairs = zip(
        torch.autograd.grad(y, list(layer.parameters()), cotangent),
        torch.autograd.grad(wanted, list(layer.parameters()), cotangent),
        strict=True,
    )
    for one, two in pairs:
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], [2, 2], [1, 3], [4]])
def test_merging_changes_neither_result_nor_gradients(sizes: list[int]) -> None:
    layer = layer_of("dyadic", dtype=torch.float64)
    x = torch.randn(5, 16, dtype=torch.float64)
    layer.merging = [1, 1, 1, 1]
    wanted = torch.autograd.grad(layer(x).square().sum(), list(layer.parameters()))
    layer.merging = sizes
    assert layer.merging == tuple(sizes)
    found = torch.autograd.grad(layer(x).square().sum(), list(layer.parameters()))
    for one, two in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, two)
    torch.testing.assert_close(layer.fused(sizes)(x), layer(x))
    assert len(layer.fused(sizes).factors) == len(sizes)


def test_merging_is_refused_where_it_cannot_be() -> None:
    layer = layer_of("no pattern")
    assert layer.merge_for(2**20).merging == (1, 1)
    with pytest.raises(so.ProblemError, match="no Kronecker-sparse product"):
        layer.merging = [2]
    with pytest.raises(so.ProblemError, match="sum to 2"):
        layer.merging = [1]
    with pytest.raises(so.ProblemError, match="batch must be a positive integer"):
        layer.merge_for(0)
    chosen = choose_merging(so.Architecture.square_dyadic(64), 1024)
    assert sum(chosen) == 6
    assert len(chosen) < 6


@pytest.mark.parametrize("name", ["dyadic", "a > 1, d > 1", "rank 2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_initial_variance_is_that_of_a_linear_layer(name: str, dtype: torch.dtype) -> None:
    rows, columns = ARCHITECTURES[name].shape
    torch.manual_seed(1)
    results = []
    layer = KroneckerLinear(columns, rows, ARCHITECTURES[name], dtype=dtype)
    layer.requires_grad_(False)
    for _ in range(1500):
        layer.reset_parameters()
        x = torch.randn(1, columns, dtype=dtype)
        results.append((layer(x) - layer.bias).abs().square().mean())
        assert layer.bias.abs().max() <= 1 / math.sqrt(columns)
    squares = torch.stack(results)
    # Five standard errors of the mean, itself estimated.
    slack = 5 * float(squares.std()) / math.sqrt(len(squares))
    assert abs(float(squares.mean()) - 1 / 3) < slack
    assert slack < 0.06


def test_a_single_dense_factor_is_initialised_as_a_linear_layer() -> None:
    layer = KroneckerLinear(400, 300, [(1, 300, 400, 1)])
    values = layer.factors[0].detach()
    assert float(values.abs().max()) <= 1 / math.sqrt(400)
    assert float(values.abs().max()) > 0.999 / math.sqrt(400)


@pytest.mark.parametrize("name", ["dyadic", "monarch", "rank 2", "a > 1, d > 1", "redundant"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_projection_of_an_exact_product_is_exact(name: str, dtype: torch.dtype) -> None:
    layer = layer_of(name, dtype=torch.float64)
    linear = layer.to_linear().to(dtype)
    before = linear.weight.detach().clone()
    found = KroneckerLinear.from_linear(linear, ARCHITECTURES[name])
    assert found.relative_error is not None
    assert found.relative_error <= 4 * torch.finfo(dtype).eps
    assert {p.dtype for p in found.parameters()} == {dtype}
    assert torch.equal(found.bias, linear.bias)
    assert torch.equal(linear.weight, before)
    x = torch.randn(5, found.in_features, dtype=dtype)
    torch.testing.assert_close(found(x), linear(x), atol=8 * torch.finfo(dtype).eps, rtol=0.02)


def test_the_relative_error_is_that_of_the_weight() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(16, 16, bias=False)
    linear.weight.requires_grad_(False)
    found = KroneckerLinear.from_linear(linear.eval(), ARCHITECTURES["dyadic"])
    weight = linear.weight.double()
    wanted = (dense(found) - weight).norm() / weight.norm()
    assert found.relative_error == pytest.approx(float(wanted), rel=1e-12)
    assert 0.5 < found.relative_error < 1
    assert found.bias is None
    assert not found.training
    assert not any(p.requires_grad for p in found.parameters())


def test_projected_factors_are_balanced_without_rounding() -> None:
    torch.manual_seed(0)
    found = KroneckerLinear.from_linear(nn.Linear(64, 64), so.Architecture.square_dyadic(64))
    gains = [float(f.detach().square().mean()) * f.shape[2] for f in found.factors]
    assert max(gains) <= 16 * min(gains)
    zero = nn.Linear(16, 16)
    nn.init.zeros_(zero.weight)
    found = KroneckerLinear.from_linear(zero, ARCHITECTURES["dyadic"])
    assert found.relative_error == 0
    assert not found.weight.any()


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_huge_and_tiny_weights_are_projected(scale: float) -> None:
    linear = layer_of("dyadic", dtype=torch.float64).to_linear()
    with torch.no_grad():
        linear.weight.mul_(scale)
    found = KroneckerLinear.from_linear(linear, ARCHITECTURES["dyadic"])
    assert found.relative_error is not None
    assert found.relative_error < 1e-14
    torch.testing.assert_close(found.weight / scale, linear.weight / scale)


def test_a_network_with_the_layer_learns() -> None:
    layer = layer_of("dyadic")
    torch.manual_seed(2)
    goal = layer_of("dyadic").to_linear()
    nn.init.normal_(layer.factors[0])
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    x = torch.randn(64, 16)
    losses = []
    for _ in range(300):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(layer(x), goal(x).detach())
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 * losses[0]


def test_parameters_are_contiguous_for_whoever_flattens_them(tmp_path: Any) -> None:
    layer = layer_of("dyadic")
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=3)
    x = torch.ones(2, 16)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = layer(x).square().sum()
        loss.backward()
        return loss

    before = float(closure().detach())
    optimizer.step(closure)
    assert float(closure().detach()) < before
    torch.save(layer.state_dict(), tmp_path / "state.pt")
    fresh = layer_of("dyadic")
    fresh.load_state_dict(torch.load(tmp_path / "state.pt"), assign=True)
    for twin in (layer, copy.deepcopy(layer), copy.deepcopy(layer).double(), fresh):
        assert all(f.is_contiguous() for f in twin.factors)
        flat = nn.utils.parameters_to_vector(twin.parameters())
        nn.utils.vector_to_parameters(2 * flat, twin.parameters())
    torch.testing.assert_close(fresh(x), layer(x))
    prune.l1_unstructured(layer.factors, "0", amount=0.5)
    assert int((layer.factors[0] == 0).sum()) == 16
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
    # Any other strides give the same result.
    for factor in fresh.factors:
        factor.data = factor.data.transpose(1, 2).contiguous().transpose(1, 2)
    with torch.no_grad():
        torch.testing.assert_close(fresh(x), fresh.to_linear()(x))


def test_copies_and_files(tmp_path: Any) -> None:
    layer = layer_of("monarch")
    x = torch.randn(4, layer.in_features)
    stream = io.BytesIO()
    torch.save(layer, stream)
    stream.seek(0)
    for twin in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(stream, weights_only=False),
    ):
        assert torch.equal(twin(x), layer(x))
        assert all(a is not b for a, b in zip(twin.factors, layer.factors, strict=True))
    torch.save(layer.state_dict(), tmp_path / "state.pt")
    fresh = KroneckerLinear(layer.in_features, layer.out_features, layer.architecture)
    assert not torch.equal(fresh(x), layer(x))
    fresh.load_state_dict(torch.load(tmp_path / "state.pt"))
    assert torch.equal(fresh(x), layer(x))
    assert list(layer.state_dict()) == ["bias", "factors.0", "factors.1"]


@pytest.mark.parametrize(
    ("name", "backend"),
    [("dyadic", "aot_eager"), ("rank 2", "eager"), ("not chainable", "aot_eager")],
)
def test_compiles_without_graph_breaks(name: str, backend: str) -> None:
    layer = layer_of(name).merge_for(2**14)
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend=backend, fullgraph=True)
    for batch in (4, 9):
        x = torch.randn(batch, layer.in_features)
        torch.testing.assert_close(compiled(x), layer(x))
    compiled(x).square().sum().backward()
    found = [p.grad.clone() for p in layer.parameters() if p.grad is not None]
    layer.zero_grad()
    layer(x).square().sum().backward()
    for one, p in zip(found, layer.parameters(), strict=True):
        torch.testing.assert_close(one, p.grad)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, about torch.jit
@pytest.mark.parametrize("name", ["dyadic", "rank 2", "not chainable"])
def test_compiles_to_machine_code(name: str) -> None:
    if shutil.which("g++") is None and shutil.which("c++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    torch._dynamo.reset()
    layer = layer_of(name).merge_for(2**14)
    x = torch.randn(4, layer.in_features)
    compiled = torch.compile(layer, fullgraph=True)
    torch.testing.assert_close(compiled(x), layer(x))
    wanted = torch.autograd.grad(layer(x).square().sum(), list(layer.parameters()))
    found = torch.autograd.grad(compiled(x).square().sum(), list(layer.parameters()))
    for one, two in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("name", ["dyadic", "rank 2", "no pattern"])
def test_is_exported_with_any_batch(name: str) -> None:
    layer = layer_of(name).merge_for(2**14).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        layer, (torch.randn(4, layer.in_features),), dynamic_shapes=({0: batch},)
    )
    for size in (2, 7):
        x = torch.randn(size, layer.in_features)
        torch.testing.assert_close(program.module()(x), layer(x))


def test_other_dtypes_devices_and_autocast() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.complex64):
        layer = layer_of("dyadic", dtype=dtype)
        assert layer(torch.ones(3, 16, dtype=dtype)).dtype == dtype
        assert layer.to_linear().weight.dtype == dtype
    meta = layer_of("dyadic", device="meta")
    assert meta(torch.empty(3, 16, device="meta")).shape == (3, 16)
    layer = layer_of("dyadic")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.ones(3, 16)).dtype == torch.bfloat16
    assert layer.double()(torch.ones(3, 16, dtype=torch.float64)).dtype == torch.float64
    strided = torch.randn(16, 3).T
    layer.float()
    torch.testing.assert_close(layer(strided), layer(strided.contiguous()))


def test_bad_input_is_named() -> None:
    with pytest.raises(so.ProblemError, match=r"in_features=8 and out_features=16 .*\(16, 8\)"):
        KroneckerLinear(8, 16, ARCHITECTURES["dyadic"])
    with pytest.raises(so.ProblemError, match="pattern 0 must be four integers"):
        KroneckerLinear(8, 16, [(1, 2)])
    layer = layer_of("dyadic")
    for wrong in (torch.ones(3, 8), torch.tensor(1.0)):
        with pytest.raises(so.ProblemError, match="16 features in the last dimension"):
            layer(wrong)
    linear = nn.Linear(4, 4)
    with pytest.raises(so.ProblemError, match=r"shape \(4, 4\)"):
        KroneckerLinear.from_linear(linear, ARCHITECTURES["dyadic"])
    with pytest.raises(so.ProblemError, match="not chainable"):
        KroneckerLinear.from_linear(nn.Linear(8, 8), ARCHITECTURES["not chainable"])
    with torch.no_grad():
        linear.weight[1, 2] = torch.nan
    with pytest.raises(so.ProblemError, match=r"nan at entry \(1, 2\)"):
        KroneckerLinear.from_linear(linear, [(1, 4, 4, 1)])


def test_it_prints_and_is_reached_from_the_package() -> None:
    assert so.KroneckerLinear is KroneckerLinear
    assert "KroneckerLinear" in dir(so)
    assert "(1, 2, 2, 8)" in repr(layer_of("dyadic"))
    assert layer_of("dyadic", bias=False).bias is None
    assert "bias" not in layer_of("dyadic", bias=False).state_dict()


@pytest.mark.gpu
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_on_a_gpu_it_computes_the_same(name: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    layer = layer_of(name, dtype=torch.float64)
    x = torch.randn(5, layer.in_features, dtype=torch.float64)
    wanted = layer(x)
    torch.testing.assert_close(copy.deepcopy(layer).cuda()(x.cuda()).cpu(), wanted)
    linear = layer.to_linear().cuda()
    if layer.architecture.is_chainable:
        found = KroneckerLinear.from_linear(linear, layer.architecture)
        assert found.factors[0].is_cuda
        torch.testing.assert_close(found(x.cuda()).cpu(), wanted)
