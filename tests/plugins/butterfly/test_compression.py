"""Compression of models: which layers become butterflies, and how well."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from compressed_models import front
from sparseopt_butterfly.compression import Compression, compress
from sparseopt_butterfly.kronecker_linear import KroneckerLinear
from torch import nn
from torch.nn.utils import parametrizations, prune

import sparseopt as so
from sparseopt.tools.random_products import random_product


def mlp(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 6)
    )


def quick(model: nn.Module, budget: float | int, **options: Any) -> Compression:
    """Compress without regard to the speed, which no test may depend on."""
    return compress(model, budget, **{"max_error": 1.0, **options}, min_speedup=None, batch=4)


def test_every_layer_gets_the_best_architecture_of_its_share() -> None:
    model = mlp()
    report = quick(model, 0.5)
    assert [layer.name for layer in report.layers] == ["0", "2", "4"]
    for layer in report.replaced:
        weight = model.get_submodule(layer.name).weight.detach().numpy()
        best = front(weight, weight.size // 2, 4)[-1]
        assert layer.architecture == best.architecture
        assert layer.parameters_after == best.nnz <= weight.size / 2
        bound = best.error / np.linalg.norm(weight)
        assert layer.relative_error is not None
        assert layer.relative_error <= bound * (1 + 1e-5)
        new = report.model.get_submodule(layer.name)
        assert isinstance(new, KroneckerLinear)
        distance = np.linalg.norm(new.weight.detach().numpy() - weight) / np.linalg.norm(weight)
        assert layer.relative_error == pytest.approx(distance, rel=1e-5)
        assert layer.microseconds_before is not None
        assert layer.microseconds_before > 0
        assert layer.speedup is not None
    assert len(report.replaced) == 3
    assert report.parameters_after == sum(p.numel() for p in report.model.parameters())
    assert report.parameters_before == sum(p.numel() for p in model.parameters())


def test_the_given_model_is_left_as_it_was() -> None:
    model = mlp()
    twin = copy.deepcopy(model)
    report = quick(model, 0.3)
    assert report.model is not model
    assert str(model) == str(twin)
    for one, two in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, two)
    report.model[0].bias.data.zero_()
    assert model[0].bias.any()
    inside = quick(model, 0.3, inplace=True)
    assert inside.model is model
    assert isinstance(model[0], KroneckerLinear)


def test_a_structured_model_is_compressed_without_loss() -> None:
    model = mlp().double()
    with torch.no_grad():
        for i, architecture in ((0, so.Architecture.monarch(24, 12, 4, 3)), (2, None)):
            chosen = architecture or so.Architecture([(1, 24, 3, 1), (1, 3, 24, 1)])
            product = random_product(chosen, np.random.default_rng(i)).to_dense()
            model[i].weight.copy_(torch.from_numpy(product))
    report = quick(model, 0.5, max_error=1e-6)
    x = torch.randn(7, 12, dtype=torch.float64)
    assert [layer.name for layer in report.replaced] == ["0", "2"]
    torch.testing.assert_close(report.model(x), model(x))
    assert "its relative error would exceed 1e-06" in report["4"].reason
    assert report["4"].parameters_after == report["4"].parameters_before == 144
    report.model(x).sum().backward()
    assert report.model[0].factors[0].grad is not None


def test_a_common_budget_is_kept_and_goes_where_it_helps() -> None:
    model = mlp()
    with torch.no_grad():
        model[2].weight.copy_(torch.outer(torch.randn(24), torch.randn(24)))
    report = quick(model, 300)
    assert sum(layer.parameters_after for layer in report.replaced) <= 300
    assert report["2"].parameters_after == 48
    assert report["0"].parameters_after + report["4"].parameters_after > 200
    # Without layer 0, which is left alone, the others have all of it.
    other = quick(model, 300, max_error=1e-3)
    assert other["2"].replaced
    assert [layer.name for layer in other.kept] == ["0", "4"]
    with pytest.raises(so.ProblemError, match="least 114 values together, the budget is 90"):
        quick(model, 90)


def test_what_would_be_slower_is_left_alone() -> None:
    report = compress(mlp(), 0.5, max_error=1.0, min_speedup=1e9, batch=3)
    assert not report.replaced
    assert all("1e+09 times is asked for" in layer.reason for layer in report.kept)
    assert all("at batch 3" in layer.reason for layer in report.kept)
    assert all("the next 7 architectures do not" in layer.reason for layer in report.kept)
    assert report.parameters_after == report.parameters_before
    assert all(layer.architecture is not None for layer in report.kept)


def test_no_clock_decides() -> None:
    one, two = (compress(mlp(), 0.5, max_error=1.0, batch=64) for _ in range(2))
    assert one.layers == two.layers


def test_large_errors_are_warned_of_unless_a_limit_was_given() -> None:
    with pytest.warns(UserWarning, match="3 of 3 layers changed by 0.1 of their norm or more, '"):
        compress(mlp(), 0.3, min_speedup=None)
    compress(mlp(), 0.3, min_speedup=None, max_error=1.0)
    compress(mlp(), 0.3, min_speedup=None, accuracy=lambda model: 1.0, min_accuracy=0.5)


@pytest.mark.parametrize("inplace", [False, True])
def test_a_measured_accuracy_stops_it(inplace: bool) -> None:
    model = mlp()
    x = torch.randn(50, 12)
    wanted = model(x).detach()
    seen = []

    def nearness(one: nn.Module) -> float:
        with torch.no_grad():
            seen.append(-float((one(x) - wanted).norm() / wanted.norm()))
        return seen[-1]

    free = quick(mlp(), 0.6, accuracy=nearness, min_accuracy=-math.inf)
    assert len(free.replaced) == 3
    assert len(seen) == 4
    assert seen[0] == 0.0
    errors, limit = seen[1:], (seen[1] + seen[2]) / 2
    seen.clear()
    report = quick(model, 0.6, accuracy=nearness, min_accuracy=limit, inplace=inplace)
    assert seen[1:] == errors[:2]
    (kept,) = report.replaced
    assert kept.relative_error == min(one.relative_error or 9.0 for one in free.layers)
    assert all("the accuracy is -" in one.reason for one in report.kept)
    assert nearness(report.model) == errors[0]
    assert (report.model is model) == inplace
    with pytest.raises(so.ProblemError, match="of the given model is 0, below min_accuracy 1"):
        quick(mlp(), 0.6, accuracy=lambda one: 0.0, min_accuracy=1.0)


@pytest.mark.parametrize("budget", [0.5, 300])
def test_progress_is_told_and_the_time_limit_kept(budget: float | int) -> None:
    calls: list[tuple[float, str]] = []
    quick(mlp(), budget, progress=lambda share, text: calls.append((share, text)))
    assert [share for share, _ in calls[:3]] == [0.0, 1 / 3, 2 / 3]
    assert "architectures of 2" in calls[1][1]
    late = quick(mlp(), budget, time_limit=1e-9)
    assert all("time limit" in layer.reason for layer in late.kept)
    assert not late.replaced
    with pytest.raises(so.ProblemError, match="time_limit must be a positive"):
        quick(mlp(), budget, time_limit=0)


class Odd(nn.Module):
    """Layers that cannot be replaced, and one that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2)
        self.pruned = nn.Linear(16, 16)
        prune.l1_unstructured(self.pruned, "weight", 0.5)
        self.normed = parametrizations.weight_norm(nn.Linear(16, 16))
        self.embedding = nn.Embedding(16, 16)
        self.tied = nn.Linear(16, 16)
        self.tied.weight = self.embedding.weight
        self.infinite = nn.Linear(16, 16)
        self.zero = nn.Linear(16, 16)
        self.twice = nn.Linear(16, 16)
        self.again = nn.ModuleDict({"it": self.twice})
        self.thin = nn.Linear(16, 1)
        with torch.no_grad():
            self.infinite.weight[3, 4] = torch.inf
            self.zero.weight.zero_()


def test_layers_that_cannot_be_replaced_say_why() -> None:
    with pytest.raises(so.ProblemError, match=r"cannot be copied .* or pass inplace=True"):
        quick(Odd(), 0.5)
    report = quick(Odd(), 0.5, inplace=True)
    reasons = {layer.name: layer.reason for layer in report.layers}
    for name, words in {
        "attention.out_proj": "whose weight other code may read",
        "pruned": "hooks",
        "normed": "ParametrizedLinear",
        "tied": "tied",
        "infinite": "NaN or an infinity",
        "zero": "is zero",
        "thin": "no architecture within the budget of 0.5 saves anything",
    }.items():
        assert words in reasons.pop(name), name
    assert reasons == {"twice": ""}
    assert report.model.again["it"] is report.model.twice
    assert isinstance(report.model.twice, KroneckerLinear)
    assert quick(nn.Sequential(nn.Linear(4, 4, device="meta")), 0.5).kept
    lazy = quick(nn.Sequential(nn.LazyLinear(4), nn.Linear(8, 8)), 0.5)
    assert "call the model once first" in lazy["0"].reason
    assert lazy["1"].replaced
    with pytest.warns(UserWarning, match="zero-element"):
        empty = nn.Linear(0, 4)
    assert "empty" in quick(empty, 0.5).layers[0].reason


def test_the_fast_path_of_transformers_is_not_broken() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    assert "fast path" in quick(layer, 0.5)["linear1"].reason
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        report = quick(layer, 0.5)
        assert report["linear1"].replaced
        x = torch.randn(2, 3, 16)
        with torch.no_grad():
            slow = report.model(x)
            torch.backends.mha.set_fastpath_enabled(True)
            # It reads the dense weight, which the new layer gives.
            torch.testing.assert_close(report.model(x), slow, atol=1e-5, rtol=1e-4)
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def test_layers_are_chosen_by_name_or_by_a_function() -> None:
    assert [x.name for x in quick(mlp(), 0.5, layers=["2"]).layers] == ["2"]
    wide = quick(mlp(), 0.5, layers=lambda name, linear: linear.in_features > 12)
    assert [x.name for x in wide.layers] == ["2", "4"]
    assert quick(mlp(), 0.5, layers=[]).layers == ()
    assert quick(nn.ReLU(), 0.5).layers == ()
    alone = quick(nn.Linear(8, 8), 0.5)
    assert isinstance(alone.model, KroneckerLinear)
    assert alone.layers[0].name == ""
    assert "(the model): 8 x 8" in str(alone)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_dtypes_modes_and_options_are_kept(dtype: torch.dtype) -> None:
    model = mlp().to(dtype).eval()
    model[0].weight.requires_grad_(False)
    report = quick(model, 0.5, solver="hierarchical_numpy", bounds="never")
    assert {p.dtype for p in report.model.parameters()} == {dtype}
    assert not any(m.training for m in report.model.modules())
    assert not any(f.requires_grad for f in report.model[0].factors)
    assert all(f.requires_grad for f in report.model[2].factors)
    assert report.model(torch.ones(2, 12, dtype=dtype)).dtype == dtype


def test_the_report_reads_well_and_is_kept() -> None:
    model = mlp()
    nn.init.ones_(model[2].weight)
    report = quick(model, 0.5, max_error=0.1)
    assert [layer.name for layer in report.replaced] == ["2"]
    text = str(report)
    assert text.startswith(f"{len(report.replaced)} of 3 layers replaced; the model has ")
    assert "predicted for a batch of 4" in text
    for layer in report.layers:
        assert f"{layer.name}: {layer.shape[0]} x {layer.shape[1]}; " in text
    assert " times as fast; replaced" in text
    assert pickle.loads(pickle.dumps(report)).layers == report.layers
    with pytest.raises(KeyError):
        report["1"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": 3}, "torch.nn.Module, got int"),
        ({"budget": 1.0}, "between 0 and 1"),
        ({"budget": 0}, "between 0 and 1"),
        ({"budget": True}, "between 0 and 1"),
        ({"budget": math.nan}, "between 0 and 1"),
        ({"batch": 0}, "batch must be a positive integer"),
        ({"max_rank": 1.5}, "max_rank must be a positive integer"),
        ({"max_error": -1.0}, "max_error must not be negative"),
        ({"min_speedup": math.nan}, "min_speedup must not be negative"),
        ({"min_accuracy": 0.9}, "give both accuracy"),
        ({"accuracy": len}, "give both accuracy"),
        ({"layers": "0"}, "must be a list of names"),
        ({"layers": ["0", "1"]}, "unknown linear layer or convolution '1'"),
        ({"model": nn.Linear(4, 4), "inplace": True}, "cannot be replaced in place"),
    ],
)
def test_bad_arguments(change: dict[str, Any], words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        compress(**{"model": mlp(), "budget": 0.5, **change})
    assert so.compress is compress


def test_reports_round_errors_that_no_proof_bounds() -> None:
    """Rounded up they would read like the bounds of certificates."""
    model = nn.Sequential(nn.Linear(16, 16))
    report = so.compress(model, 0.5, min_speedup=None, max_error=0.0)
    entry = replace(report.layers[0], relative_error=1 / 3)
    assert "relative error 0.333;" in str(entry)
