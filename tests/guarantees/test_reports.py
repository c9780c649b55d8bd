"""What tools and the command line say of a change: both ends, proved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import sparseopt as so
from sparseopt.cli.main import app
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Relu

MODELS = Path(__file__).parents[2] / "examples" / "networks"
MLP = MODELS / "digits_mlp.onnx"


def small(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    draw = rng.standard_normal
    first, second = Dense(draw((6, 3)), draw(6)), Dense(draw((4, 6)), draw(4))
    return chain((3,), first, Relu(), second, Relu(), Dense(draw((2, 4)), draw(2)))


def data(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (40, 3))


def largest(network: Network, other: Network, x: np.ndarray) -> float:
    return float(np.abs(network.run(x) - other.run(x)).sum(axis=1).max())


def require_ends(ends: Any, network: Network, other: Network) -> None:
    """Require that both ends hold on the data, and that they are verified."""
    x = data()
    assert ends is not None
    assert largest(network, other, x) <= ends.upper * (1 + 1e-9) + 1e-12
    assert ends.lower <= ends.upper
    assert so.verify(ends.at_most).ok
    assert so.verify(ends.at_least.solution).ok
    assert "the output moves by at most" in str(ends)


def test_pruning_says_both_ends() -> None:
    network = small()
    report = so.prune(network, 0.5, inputs=data())
    require_ends(report.ends, network, report.network)
    assert report.ends is not None
    assert report.ends.lower > 0
    assert str(report.ends) in str(report)
    assert so.prune(network, 0.5).ends is None
    rounds = so.prune(network, 0.5, schedule=3, inputs=data())
    require_ends(rounds.ends, network, rounds.network)


def test_pruning_refuses_data_before_it_changes_anything() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    before = [p.detach().clone() for p in model.parameters()]
    bad = torch.full((5, 3), float("nan"))
    with pytest.raises(so.ProblemError, match="NaN"):
        so.prune(model, 0.5, inputs=bad)
    after = list(model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    given = so.load_network(model, torch.zeros(2, 3))
    given = given.with_parameters({n: a.copy() for n, a in given.parameters().items()})
    report = so.prune(model, 0.5, inputs=torch.from_numpy(data()).float())
    require_ends(report.ends, given, report.network)


@pytest.mark.parametrize("rescaling", ["path", "none"])
def test_quantization_says_both_ends(rescaling: str) -> None:
    network = small()
    report = so.quantize(network, "int8", inputs=data(), rescaling=rescaling)
    assert report.network is not None
    require_ends(report.ends, network, report.network)
    assert report.ends is not None
    assert report.bound is not None
    assert report.ends.upper < report.bound.value
    assert str(report.ends) in str(report)
    again = so.from_json(report.to_json())
    assert again.ends.upper == report.ends.upper
    assert so.quantize(network, "int8").ends is None


def test_reports_of_older_files_have_no_ends() -> None:
    body = json.loads(so.quantize(small(), "int8").to_json())
    del body["ends"]
    assert so.from_json(json.dumps(body)).ends is None


def test_networks_without_dead_units_stay() -> None:
    network = small()
    weight = network.parameters()["0:Dense.weight"].copy()
    bias = network.parameters()["0:Dense.bias"].copy()
    weight[2] = bias[2] = 0.0
    dying = network.with_parameters({"0:Dense.weight": weight, "0:Dense.bias": bias})
    smaller = so.remove_dead(dying, inputs=data())
    assert smaller.parameters()["0:Dense.weight"].shape == (5, 3)
    assert "without units that are dead: the output moves by at most" in smaller.notes[-1]
    np.testing.assert_allclose(smaller.run(data()), dying.run(data()), rtol=1e-12)
    assert so.remove_dead(dying).notes == ()


def test_compression_says_both_ends() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4)
    model = torch.nn.Sequential(*layers)
    x = torch.rand(20, 8)
    report = so.compress(model, 0.5, max_error=1.0, min_speedup=None, inputs=x)
    assert report.ends is not None
    with torch.no_grad():
        change = float((model(x) - report.model(x)).abs().sum(dim=1).max())
    assert change <= report.ends.upper * (1 + 1e-5)
    assert 0 < report.ends.lower <= report.ends.upper
    assert so.verify(report.ends.at_most).ok
    assert str(report.ends) in str(report)


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_compare_on_the_command_line(tmp_path: Path) -> None:
    network = so.load_network(MLP)
    other = tmp_path / "pruned.onnx"
    so.write(so.prune(network, 0.9).network, other, like=MLP)
    done = run("compare", MLP, other, "--lower", 0, "--upper", 1)
    assert done.exit_code == 0, done.output
    assert "for inputs in [0, 1]^64 the outputs differ by at most" in done.output
    assert "at one of these inputs they differ by at least" in done.output
    options = ("--solver", "backward_substitution", "--starts", 4, "--json")
    body = json.loads(run("compare", MLP, other, "--lower", 0, "--upper", 1, *options).output)
    assert 0 < body["at_least"] <= body["at_most"]
    assert len(body["lower"]) == len(body["upper"]) == 10
    solution = so.from_json(json.dumps(body))["solution"]
    assert so.verify(solution).ok
    assert solution.answer.l1 == body["at_most"]
    few = run("compare", MLP, other, "--lower", 0, "--upper", 1, "--starts", 0, "--json")
    assert json.loads(few.output)["at_least"] is None


def test_compare_says_that_units_are_rescaled(tmp_path: Path) -> None:
    """After a rescaling, by hand or of `quantize`; not after other changes, nor where all agree."""
    network, rng = small(), np.random.default_rng(2)
    moved = so.rescale(network, np.exp(rng.standard_normal(10)))
    pruned = so.prune(network, 0.5, scope="layer").network
    rounded = (so.quantize(network, 6, rescaling=way).network for way in ("none", "path"))
    nudged = {
        name: a * (1 + 1e-3 * rng.random(a.shape)) for name, a in network.parameters().items()
    }
    file, other = str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx")
    so.write(network, file)
    said = []
    for second in (network, pruned, network.with_parameters(nudged), *rounded, moved):
        so.write(second, other)
        done = run("compare", file, other, "--lower", 0, "--upper", 1, "--starts", 0)
        assert done.exit_code == 0, done.output
        said.append("a rescaling of hidden units" in done.output)
    assert said == [False, False, False, False, True, True]
    assert "rescaling" in run("compare", "--help").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--lower", 1, "--upper", 0), "lower <= upper"),
        (("--lower", 0, "--upper", "nan"), "upper has a nan"),
        (("--lower", 0, "--upper", 1, "--starts", -1), "--starts"),
    ],
)
def test_compare_refuses_in_words(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        raise run("compare", MLP, MLP, *arguments).exception


def test_compare_says_where_networks_part() -> None:
    with pytest.raises(so.ProblemError, match="part where one has node"):
        raise run("compare", MLP, MODELS / "digits_cnn.onnx", "--lower", 0, "--upper", 1).exception
