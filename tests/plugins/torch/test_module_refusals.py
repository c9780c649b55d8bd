"""Modules that are refused as a whole, in half precision, or before anything is converted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sparseopt_torch import reader
from torch import nn
from torch_reading import Function

import sparseopt as so

ROW = torch.zeros(1, 4)


def layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.body = nn.Linear(4, 4), layers()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.body(x)


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(layers())


def traced() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(torch.jit.trace(layers(), ROW), nn.ReLU())


def quantized() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(layers(), {nn.Linear})


CASES: dict[str, tuple[Callable[[], nn.Module], Any, str]] = {
    "autocast": (Autocast, ROW, "autocast rounds.*until='linear'"),
    "scripted": (scripted, ROW, r"the module \(RecursiveScriptModule\) was scripted or traced"),
    "traced": (traced, ROW, r"the layer '0' \(TopLevelTracedModule\) was scripted or traced"),
    "quantized": (quantized, ROW, r"the layer '0' \(torch.ao.nn.quantized.*before quantization"),
    "statistics": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval(),
        ROW,
        r"the layer '1' \(BatchNorm1d\) keeps no statistics \(track_running_stats=False\)",
    ),
    "embedding": (
        lambda: nn.Sequential(nn.Embedding(9, 4), layers()),
        torch.zeros(1, 3, dtype=torch.int64),
        "dtype torch.int64.*rows of an embedding",
    ),
    "embedding-array": (
        lambda: nn.Sequential(nn.Embedding(9, 4), layers()),
        np.zeros((1, 3), dtype=np.int32),
        "dtype int32.*rows of an embedding",
    ),
    "recurrent": (lambda: Function(lambda m, x: nn.LSTM(4, 2)(x)[0]), ROW, "lstm|recurrent|export"),
}


@pytest.mark.parametrize("name", list(CASES))
def test_one_true_sentence_each(name: str) -> None:
    build, example, words = CASES[name]
    with pytest.raises(so.ProblemError, match=words) as caught:
        so.load_network(build(), example=example)
    assert "depend on the data" not in str(caught.value) or name == "recurrent"
    assert "\n" not in str(caught.value)


def test_dropout_of_nothing_may_be_in_training_mode() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.0)).train()
    assert so.load_network(module, example=ROW).output_shape == (3,)
    module = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.1)).train()
    with pytest.raises(so.ProblemError, match="training mode"):
        so.load_network(module, example=ROW)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_as_real_numbers(dtype: torch.dtype, tmp_path: Path) -> None:
    module = layers().to(dtype)
    program = torch.export.export(module, (ROW.to(dtype),))
    torch.export.save(program, tmp_path / "half.pt2")
    weights = [p.detach().double().numpy() for p in module.parameters()]
    x = np.array([0.5, -1.0, 2.0, 0.25])
    hidden = np.maximum(weights[0] @ x + weights[1], 0)
    norm = np.abs(weights[2]) @ (np.abs(weights[0]).sum(1) + np.abs(weights[1]))
    norm = norm.sum() + np.abs(weights[3]).sum()
    for source in (module, program, tmp_path / "half.pt2"):
        example = ROW if source is module else None
        network = so.load_network(source, example=example)
        assert network.run(x) == pytest.approx(weights[2] @ hidden + weights[3], rel=1e-12)
        assert so.solve(so.PathNorm(network)).answer.value == pytest.approx(norm, rel=1e-9)
        assert any("its rounding is not" in note for note in network.notes)
        assert not any("not compared" in note for note in network.notes)
    assert next(module.parameters()).dtype == dtype  # as it was


def test_casts_to_half_precision_are_left_out_with_a_note() -> None:
    class Casting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = layers().half()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x.half()).float()

    network = so.load_network(Casting(), example=ROW)
    assert any("float16" in note for note in network.notes)


class Averaged(nn.Module):
    """The mean of three values in a precision of its own."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.body = nn.Linear(4, 3)
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x).mean(1, keepdim=True, dtype=self.dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_means_in_the_precision_that_values_have_are_read(dtype: torch.dtype) -> None:
    module = Averaged(dtype).to(dtype)
    x = np.array([0.5, -1.0, 2.0, 0.25])
    weight, bias = (p.detach().double().numpy() for p in module.parameters())
    program = torch.export.export(module, (ROW.to(dtype),))
    for network in (so.load_network(module, example=ROW), so.load_network(program)):
        assert network.run(x) == pytest.approx((weight @ x + bias).mean(), rel=1e-12)
        assert any("its rounding is not" in note for note in network.notes)
    for other in (torch.float32, torch.float16 if dtype == torch.bfloat16 else torch.bfloat16):
        with pytest.raises(so.ProblemError, match="its argument dtype="):
            so.load_network(Averaged(dtype).to(other), example=ROW)


def test_hopeless_programs_are_refused_before_they_are_converted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*given: Any) -> Any:
        raise AssertionError("nothing is to be converted or written out")

    monkeypatch.setattr(reader, "convert", never)
    monkeypatch.setattr(reader, "decomposed", never)
    module = Function(
        lambda m, x: nn.functional.gelu(torch.einsum("ij,kj->ik", x, torch.ones(2, 4)))
    )
    with pytest.raises(so.ProblemError, match=r"GELU.*until='einsum'"):
        so.load_network(module, example=ROW)


def test_what_is_not_needed_is_no_reason_to_refuse() -> None:
    unused = Function(lambda m, x: (nn.functional.gelu(x), x.relu())[1])
    assert so.load_network(unused, example=ROW).output_shape == (4,)
    constant = Function(lambda m, x: x + nn.functional.gelu(torch.ones_like(x)))
    assert so.load_network(constant, example=ROW).run(np.zeros(4)) == pytest.approx(0.8413447)
