"""What the reader of PyTorch refuses, and how it says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_reading import Function

import sparseopt as so


class TwoInputs(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


def normal_module(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), layer).eval()


REFUSED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "gelu": (lambda: normal_module(nn.GELU()), (1, 4), r"aten\.gelu.default in 1\).*GELU is not"),
    "silu": (lambda: normal_module(nn.SiLU()), (1, 4), "SiLU is not"),
    "hardswish": (lambda: normal_module(nn.Hardswish()), (1, 4), "multiplies two values"),
    "tanh": (lambda: nn.Sequential(nn.Tanh(), nn.ReLU()), (1, 3), "tanh, which is not piecewise"),
    "elu": (lambda: normal_module(nn.ELU()), (1, 4), "ELU is not"),
    "layernorm": (lambda: normal_module(nn.LayerNorm(4)), (1, 4), "divides by a function"),
    "groupnorm": (lambda: normal_module(nn.GroupNorm(2, 4)), (1, 4), "divides by a function"),
    "lrn": (lambda: nn.LocalResponseNorm(2), (1, 4, 3, 3), "divides by|multiplies two|not among"),
    "attention": (
        lambda: Function(lambda m, x: F.scaled_dot_product_attention(x, x, x)),
        (1, 3, 4),
        "attention multiplies",
    ),
    "square": (lambda: Function(lambda m, x: x * x), (1, 3), "both depend"),
    "bilinear": (lambda: Function(lambda m, x: x @ x.mT), (1, 3, 3), "both depend"),
    "reciprocal": (lambda: Function(lambda m, x: 1 / x), (1, 3), "not among|divides by"),
    "divide": (lambda: Function(lambda m, x: x / (x + 1)), (1, 3), "divides by a value"),
    "power": (lambda: Function(lambda m, x: x**2), (1, 3), r"aten\.pow"),
    "argmax": (lambda: Function(lambda m, x: x.argmax(1)), (1, 3), r"aten\.argmax"),
    "indices": (
        lambda: Function(lambda m, x: x + x.max(1, keepdim=True)[1]),
        (1, 3),
        "only the first",
    ),
    "softmax": (
        lambda: Function(lambda m, x: x.softmax(1) @ torch.ones(3, 2)),
        (1, 3),
        "at the end",
    ),
    "threshold": (lambda: nn.Threshold(1.0, 0.0), (1, 3), "jumps"),
    "cast": (lambda: Function(lambda m, x: x.half().float()), (1, 3), "float16"),
    "sort-indices": (
        lambda: Function(lambda m, x: x.sort(1)[1] + x),
        (1, 3),
        "only the first result",
    ),
    "topk-unordered": (
        lambda: Function(lambda m, x: x.topk(2, 1, sorted=False)[0]),
        (1, 3),
        "no order",
    ),
    "where-jump": (lambda: Function(lambda m, x: torch.where(x > 1, x, 0.0)), (1, 3), "it jumps"),
    "where-two-values": (
        lambda: Function(lambda m, x: torch.where(x[:, :2] > x[:, 1:], x[:, :2], x[:, 1:])),
        (1, 3),
        "compares two values",
    ),
    "where-other": (
        lambda: Function(lambda m, x: torch.where(x > 0, x.flip(1), 0.0)),
        (1, 3),
        "must be linear",
    ),
    "where-infinite": (
        lambda: Function(lambda m, x: torch.where(x > torch.inf, x, 0 * x)),
        (1, 3),
        "infinity",
    ),
    "condition-as-number": (
        lambda: Function(lambda m, x: x * (x > 0)),
        (1, 3),
        "condition, which jumps|constant",
    ),
    "condition-as-output": (lambda: Function(lambda m, x: x > 0), (1, 3), "condition, which jumps"),
    "equal": (lambda: Function(lambda m, x: torch.where(x == 0, 0 * x, x)), (1, 3), "aten.eq"),
    "border": (
        lambda: Function(lambda m, x: nn.functional.pad(x, (1, 1), value=-torch.inf).relu()),
        (1, 3),
        "padded with -inf",
    ),
    "border-as-output": (
        lambda: Function(lambda m, x: nn.functional.pad(x, (1, 1), value=-torch.inf)),
        (1, 3),
        "padded with -inf",
    ),
    "border-average": (
        lambda: Function(
            lambda m, x: nn.functional.avg_pool1d(nn.functional.pad(x, (1, 1), value=-torch.inf), 2)
        ),
        (1, 2, 3),
        "padded with -inf",
    ),
    "border-of-channels": (
        lambda: Function(
            lambda m, x: nn.functional.max_pool1d(
                nn.functional.pad(x, (0, 0, 1, 1), value=-torch.inf), 2
            )
        ),
        (1, 2, 4),
        "along the pooled axes only",
    ),
    "window-in-the-border": (
        lambda: Function(
            lambda m, x: nn.functional.max_pool1d(nn.functional.pad(x, (4, 0), value=-torch.inf), 2)
        ),
        (1, 2, 4),
        "entirely in the padding",
    ),
    "infinite-padding": (
        lambda: Function(lambda m, x: nn.functional.pad(x, (1, 1), value=torch.inf)),
        (1, 3),
        "value inf",
    ),
    "instance-norm-untracked": (
        lambda: nn.InstanceNorm2d(2, affine=True).eval(),
        (1, 2, 3, 3),
        "unless it tracks",
    ),
    "scatter-twice": (
        lambda: Function(lambda m, x: x.scatter(1, torch.tensor([[0, 0]]), 2 * x[:, :2])),
        (1, 3),
        "one place twice",
    ),
    "softshrink-head": (
        lambda: nn.Sequential(nn.Sigmoid(), nn.Softshrink()),
        (1, 3),
        "sigmoid, which is not",
    ),
    "softmax-cut": (
        lambda: Function(lambda m, x: x.softmax(1)[:, :2]),
        (1, 3),
        "softmax, which is",
    ),
    "constant": (lambda: Function(lambda m, x: torch.ones(1, 3)), (1, 3), "does not depend"),
    "two-inputs": (TwoInputs, (1, 3), "cannot take an input"),
    "wrong-shape": (lambda: nn.Linear(5, 2), (1, 3), r"cannot take an input of shape \(1, 3\)"),
    "instance-norm": (lambda: nn.InstanceNorm2d(2).eval(), (1, 2, 3, 3), "divides by a function"),
    "batch-statistics": (
        lambda: nn.BatchNorm2d(2, track_running_stats=False).eval(),
        (1, 2, 3, 3),
        "keeps no statistics",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_refusals(name: str) -> None:
    build, shape, words = REFUSED[name]
    with pytest.raises(so.ProblemError, match=words):
        so.load_network(build(), example=torch.zeros(shape))


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(2), nn.Dropout(0.5)])
def test_training_mode_is_refused_before_anything_runs(layer: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), layer)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(so.ProblemError, match=r"layer '1' .* call module\.eval"):
        so.load_network(model, example=torch.zeros(4, 1, 5, 5))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_nan_weights_are_refused_by_name() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    with torch.no_grad():
        model[1].weight[1, 2] = math.nan
    with pytest.raises(so.ProblemError, match=r"in 1\).*nan at entry \(1, 2\)"):
        so.load_network(model, example=torch.zeros(1, 3))
    norm = nn.BatchNorm1d(3).eval()
    norm.running_var[1] = math.inf
    with pytest.raises(so.ProblemError, match="variance holds a NaN or infinity"):
        so.load_network(norm, example=torch.zeros(1, 3))


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (None, "pass example="),
        (torch.zeros(0, 3), "with entries"),
        (torch.zeros(1, 3, dtype=torch.complex64), "real"),
        ("x", "the example is a str"),
        ((torch.zeros(1, 3), torch.zeros(1, 3)), r"cannot take inputs \(1, 3\), \(1, 3\)"),
    ],
)
def test_bad_examples(example: Any, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.load_network(nn.Linear(3, 2), example=example)


def test_a_misread_operator_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_torch import conversion

    wrong = {**conversion.OPERATORS, "aten.leaky_relu": conversion.OPERATORS["aten.relu"]}
    monkeypatch.setattr(conversion, "OPERATORS", wrong)
    with pytest.raises(so.ProblemError):
        so.load_network(nn.LeakyReLU(0.5), example=torch.zeros(1, 3))


def test_zero_size_layers_are_refused() -> None:
    with pytest.warns(UserWarning, match="zero-element"):
        model = nn.Sequential(nn.Linear(3, 0), nn.Linear(0, 2))
    with pytest.raises(so.ProblemError, match=r"zero-size|without entries|constant"):
        so.load_network(model, example=torch.zeros(1, 3))


def test_torch_fx_is_the_second_way_and_leaves_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_torch import module_export

    export = module_export.exported

    def only_traced(module: nn.Module, x: torch.Tensor) -> torch.export.ExportedProgram:
        if not isinstance(module, torch.fx.GraphModule):
            raise RuntimeError("cannot follow this")
        return export(module, x)

    monkeypatch.setattr(module_export, "exported", only_traced)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    network = so.load_network(model, example=torch.zeros(1, 3))
    assert "torch.fx" in network.notes[0]
    x = torch.randn(5, 3)
    np.testing.assert_allclose(
        network.run(x.numpy()), model(x).detach().numpy(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_both_readers_read_the_same_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, 2, 1),
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.LeakyReLU(0.1),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    ).eval()
    x = torch.randn(1, 2, 12, 12)
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, (x,), str(path), dynamo=False)
    first, second = so.load_network(path), so.load_network(model, example=x)
    np.testing.assert_allclose(first.run(x.numpy()), second.run(x.numpy()), rtol=1e-4, atol=1e-5)
    for q in (1, 2):
        a, b = (so.solve(so.PathNorm(n, q, affine="merged")).answer for n in (first, second))
        assert a.log10 == pytest.approx(b.log10, abs=1e-6)


def test_a_program_that_torch_cannot_run() -> None:
    """Weights of a file may have another dtype than the graph was traced with."""
    program = torch.export.export(nn.Linear(3, 2), (torch.zeros(1, 3),))
    program.state_dict["weight"] = torch.ones(2, 3, dtype=torch.uint8)
    with pytest.raises(so.ProblemError, match="PyTorch cannot run this program"):
        so.load_network(program)


def test_a_forward_that_depends_on_the_data_is_one_sentence(capfd: Any) -> None:
    class Branches(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(so.ProblemError, match="steps depend on the data is not a fixed network"):
        so.load_network(Branches(), example=torch.zeros(1, 4))
    assert capfd.readouterr().err == ""
