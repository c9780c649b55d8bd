"""Progress of long calls: from 0 to 1, never back, and bars that show it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks import Dense, Relu, chain
from sparseopt.tools import progress as bars

NETWORKS = Path(__file__).parents[2] / "examples" / "networks"
LU = so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]])


class Heard:
    """What a callback was told."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.messages: list[str] = []

    def __call__(self, fraction: float, message: str) -> None:
        self.fractions.append(fraction)
        self.messages.append(message)


def small() -> so.Network:
    rng = np.random.default_rng(0)
    return chain(
        (4,), Dense(rng.standard_normal((6, 4))), Relu(), Dense(rng.standard_normal((3, 6)))
    )


def solution() -> so.Solution:
    return so.solve(LU)


def torch_module(heard: Heard) -> Any:
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    return so.load_network(module.eval(), torch.zeros(1, 3), progress=heard)


CALLS: dict[str, Callable[[Heard], Any]] = {
    "solve": lambda heard: so.solve(LU, progress=heard),
    "solve, weak": lambda heard: so.solve(
        so.SparseRegression(np.eye(30) + 0.1, np.arange(30.0), so.L1(2.0)), progress=heard
    ),
    "analyze supports": lambda heard: so.analyze(LU, progress=heard),
    "analyze a chain": lambda heard: so.analyze(
        so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]], [[1], [1]]]), progress=heard
    ),
    "analyze a network": lambda heard: so.analyze(small(), progress=heard),
    "analyze a file": lambda heard: so.analyze(
        NETWORKS / "digits_mlp.onnx", only="layer_structure", progress=heard
    ),
    "load_network": lambda heard: so.load_network(NETWORKS / "digits_cnn.onnx", progress=heard),
    "load_network, torch": torch_module,
    "load_network, network": lambda heard: so.load_network(small(), progress=heard),
    "prune": lambda heard: so.prune(small(), 0.5, progress=heard),
    "prune in rounds": lambda heard: so.prune(
        NETWORKS / "digits_mlp.onnx", 0.9, "magnitude", schedule=4, progress=heard
    ),
    "prune, closed": lambda heard: so.prune(small(), 0.5, closed=True, progress=heard),
    "canonicalize": lambda heard: so.canonicalize(NETWORKS / "digits_cnn.onnx", progress=heard),
    "canonicalize, nothing hidden": lambda heard: so.canonicalize(
        chain((2,), Dense(np.eye(2))), progress=heard
    ),
    "solve_all": lambda heard: so.solve_all([LU] * 3, progress=heard),
    "verify a solution": lambda heard: so.verify(solution(), progress=heard),
    "verify a report": lambda heard: so.verify(so.analyze(small()), progress=heard),
}


@pytest.mark.parametrize("name", CALLS)
def test_progress_rises_to_one_and_never_goes_back(name: str) -> None:
    heard = Heard()
    CALLS[name](heard)
    told = heard.fractions
    assert told[-1] == 1.0
    assert all(0.0 <= a <= b <= 1.0 for a, b in pairwise(told))
    assert all(heard.messages)


def test_progress_is_told_in_steps() -> None:
    for name in ("load_network", "prune in rounds", "analyze a network", "canonicalize"):
        heard = Heard()
        CALLS[name](heard)
        assert len(set(heard.fractions)) >= 5, name


def test_a_callback_does_not_change_what_comes_out() -> None:
    plain, told = so.prune(small(), 0.5), so.prune(small(), 0.5, progress=Heard())
    assert all(np.array_equal(plain.masks[n], told.masks[n]) for n in plain.masks)
    first = so.canonicalize(small()).parameters()
    second = so.canonicalize(small(), progress=Heard()).parameters()
    assert all(np.array_equal(first[n], second[n]) for n in first)


def test_a_part_of_the_work_stays_in_its_part() -> None:
    heard = Heard()
    context = so.Context(progress=heard)
    inner = so.Context(progress=context.part(0.2, 0.6))
    for fraction in (0.0, 0.5, 0.25, float("nan"), 7.0):
        inner.report(fraction, "inside")
    context.report(0.1, "back")
    context.report(1.0, "done")
    assert heard.fractions == pytest.approx([0.2, 0.4, 0.4, 0.4, 0.6, 0.6, 1.0])
    assert so.Context().part(0, 1) is None


class Shown:
    """Stands for a bar that is seen."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def update(self, fraction: float, message: str) -> None:
        self.seen.append((fraction, message))

    def close(self) -> None:
        self.seen.append("closed")


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come")


def test_a_bar_is_shown_after_a_while_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(bars, "_Terminal", lambda: Shown(seen))
    with so.ProgressBar(delay=0.01) as bar:
        _until(lambda: bool(seen))  # also where no word comes from the work
        bar(0.5, "half \x1b[2K")
        bar(0.2, "less")
        bar(1.0, "done")
        assert seen == [
            (0.0, "working"),
            (0.5, "half \\x1b[2K"),
            (0.5, "less"),
            (1.0, "done"),
            "closed",
        ]
        bar(0.1, "a second call")
        _until(lambda: seen[-1] == (0.1, "a second call"))
    assert seen[-1] == "closed"


def test_short_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(bars, "_Terminal", lambda: Shown(seen))
    so.solve(LU, progress=so.ProgressBar(delay=60))
    with pytest.raises(RuntimeError), so.ProgressBar(delay=60):
        raise RuntimeError
    with so.ProgressBar(delay=0.0, enabled=False) as bar:
        bar(0.5, "half")
    assert seen == []


def test_a_notebook_gets_a_bar_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython.display

    pages: list[str] = []

    class Handle:
        def update(self, page: Any) -> None:
            pages.append(page.data)

    monkeypatch.setattr(bars, "_in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", lambda *a, **k: Handle())
    monkeypatch.setattr(bars, "_BETWEEN", 0.0)
    with so.ProgressBar(delay=0.0) as bar:
        _until(lambda: bool(pages))
        bar(0.5, "<b>half</b>")
    assert 'value="0.500"' in pages[-2]
    assert "50% &lt;b&gt;half&lt;/b&gt;" in pages[-2]
    assert pages[-1] == ""


def test_no_bar_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    shown = bars._Terminal()
    shown.update(0.5, "half")
    shown.close()
    assert stream.getvalue() == ""
