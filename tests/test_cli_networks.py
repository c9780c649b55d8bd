"""Commands that read a network and write another one; in this process, to be quick."""

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
from sparseopt.networks.network import chain

onnx = pytest.importorskip("onnx")
from onnx_models import two_heads  # noqa: E402

MODELS = Path(__file__).parent.parent / "examples" / "networks"
CNN = MODELS / "digits_cnn.onnx"


def run(*arguments: Any) -> str:
    """Return what a command prints; raise what it raises."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def names(path: Path) -> set[str]:
    return {i.name for i in onnx.load(path).graph.initializer}


def same(path: Path, other: Path = CNN) -> None:
    one, two = so.load_network(path), so.load_network(other)
    x = np.random.default_rng(0).random((3, *two.input_shape)).astype(np.float32)
    np.testing.assert_allclose(one.run(x), two.run(x), rtol=1e-3, atol=1e-4)


def test_prune_writes_the_own_file(tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    text = run("prune", CNN, "-o", out, "--ratio", 0.9)
    assert "path_cost, global: 10.0% of the weights kept" in text
    assert f"written to {out}" in text
    assert names(out) == names(CNN)
    weights = [a for n, a in so.load_network(out).parameters().items() if "weight" in n]
    zero = sum(int((a == 0).sum()) for a in weights) / sum(a.size for a in weights)
    assert zero == pytest.approx(0.9, abs=1e-3)


def test_prune_takes_layers_patterns_rounds_and_prints_json(tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    options = ("--ratio", 0.7, "--criterion", "magnitude", "--scope", "layer", "--rounds", 3)
    body = json.loads(run("prune", CNN, "-o", out, *options, "--exclude", "/10/Gemm", "--json"))
    rows = {t["name"]: t for t in body["tensors"]}
    assert rows["/10/Gemm.weight"]["reason"] == "left alone: as was asked"
    assert rows["/8/Gemm.weight"]["kept"] == round(0.3 * rows["/8/Gemm.weight"]["size"])
    assert (body["ratio"], body["output"]) == (0.7, str(out))
    two = json.loads(run("prune", CNN, "-o", out, "--granularity", "2:4", "--json"))
    assert two["ratio"] == 0.5
    only = json.loads(run("prune", CNN, "-o", out, "--layer", "/8/*", "--json"))
    kept = [t for t in only["tensors"] if not t["reason"]]
    assert [t["name"] for t in kept] == ["/8/Gemm.weight"]


def test_prune_makes_a_file_smaller(tmp_path: Path) -> None:
    big, small = tmp_path / "big.onnx", tmp_path / "small.onnx"
    run("prune", CNN, "-o", big, "--granularity", "channel")
    text = run("prune", CNN, "-o", small, "--granularity", "channel", "--remove-dead")
    assert "network of" in text
    assert small.stat().st_size < 0.5 * big.stat().st_size
    same(small, big)


@pytest.mark.parametrize("command", ["canonicalize", "rescale"])
@pytest.mark.parametrize("suffix", ["onnx", "json"])
def test_rescaled_networks_are_the_same_function(tmp_path: Path, command: str, suffix: str) -> None:
    out = tmp_path / f"out.{suffix}"
    run(command, CNN, "-o", out)
    if suffix == "json":
        found: Any = so.from_json(out.read_text())
        assert isinstance(found, so.Network)
    else:
        same(out)
    if suffix == "onnx":
        assert names(out) == names(CNN)
        body = json.loads(run(command, CNN, "-o", out, "--new", "--json"))
        assert body["output"] == str(out)
        same(out)


def test_rescale_takes_factors(tmp_path: Path) -> None:
    out, factors = tmp_path / "out.onnx", tmp_path / "f.json"
    layer = {"/8/Gemm": [2.0] * 32}
    factors.write_text(json.dumps(layer))
    run("rescale", CNN, "-o", out, "--factors", factors)
    name = "/8/Gemm.weight"
    before, after = (so.load_network(p).parameters()[name] for p in (CNN, out))
    np.testing.assert_array_equal(after, 2 * before)
    groups = so.RescalingGroups(so.load_network(CNN)).count
    np.save(tmp_path / "f.npy", np.full(groups, 4.0))
    run("rescale", CNN, "-o", out, "--factors", tmp_path / "f.npy")
    same(out)
    assert "norm of weights and biases" in run("canonicalize", out, "-o", tmp_path / "c.onnx")


def test_compress_writes_a_new_file(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "out.onnx"
    options = ("--layer", "8", "--min-speedup", 0, "--json")
    body = json.loads(run("compress", MODELS / "digits_cnn.onnx", "-o", out, *options))
    (layer,) = body["layers"]
    assert layer["replaced"]
    assert body["parameters_after"] < body["parameters_before"]
    assert so.load_network(out).input_shape == so.load_network(CNN).input_shape
    with pytest.raises(so.ProblemError, match="--ratio must lie strictly between 0 and 1"):
        run("compress", CNN, "-o", out, "--ratio", 1)


def test_compressed_networks_keep_their_inputs_and_outputs(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    model, out = two_heads(), tmp_path / "out.onnx"
    onnx.save(model, str(tmp_path / "in.onnx"))
    options = ("--min-speedup", 0, "--shape", "y=1,3,1", "--ratio", 0.4, "--json")
    body = json.loads(run("compress", tmp_path / "in.onnx", "-o", out, *options))
    assert any(layer["replaced"] for layer in body["layers"])
    found = so.load_network(out)
    assert [port.name for port in found.inputs] == ["x", "y"]
    assert [(port.name, port.size) for port in found.outputs] == [("pa", 2), ("pb", 4), ("c", 2)]


def test_repair_of_supports_and_of_networks(tmp_path: Path) -> None:
    file, out = tmp_path / "lu.json", tmp_path / "out.npz"
    file.write_text(json.dumps({"I": [[1, 0], [1, 1]], "J": [[1, 1], [0, 1]]}))
    text = run("repair", file, "-o", out)
    assert "LU windows: 1" in text
    assert "1 entry changed (as few as possible)" in text
    closed = so.solve(so.read(str(out))).answer
    assert closed.value == "closed"
    solution = tmp_path / "solution.json"
    run("repair", file, "-o", solution, "--allow", "add", "--json")
    assert so.verify(str(solution)).ok
    pruned, repaired = tmp_path / "p.onnx", tmp_path / "r.onnx"
    first, second = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 1.0]])
    so.write(chain((2,), Dense(first), Dense(second)), pruned)
    body = json.loads(run("repair", pruned, "-o", repaired, "--json"))
    assert set(body["verdicts"].values()) == {"closed"}
    assert sum(body["removed"].values()) > 0
    with pytest.raises(so.ProblemError, match="can only be removed, not --allow add"):
        run("repair", pruned, "-o", repaired, "--allow", "add")
    with pytest.raises(so.ProblemError, match="--costs is for networks"):
        run("repair", file, "-o", out, "--costs", "magnitude")
    with pytest.raises(so.ProblemError, match="must be magnitude or path_cost, not 'size'"):
        run("repair", pruned, "-o", repaired, "--costs", "size")


def test_repair_of_a_network_by_the_size_of_weights(tmp_path: Path) -> None:
    """The cheapest weight goes; the output that it would cut off is named, or kept if asked."""
    pruned, repaired = tmp_path / "p.onnx", tmp_path / "r.onnx"
    first, second = np.array([[2.0, 3.0], [0.0, 4.0]]), np.array([[0.5, 0.0], [5.0, 6.0]])
    so.write(chain((2,), Dense(first), Dense(second)), pruned)
    for criterion in ("magnitude", "path_cost"):
        body = json.loads(run("repair", pruned, "-o", repaired, "--costs", criterion, "--json"))
        assert list(body["removed"].values()) == [0, 1]
        assert "1 of 2 outputs has no weights left" in body["cut_off"][0]
    kept = json.loads(
        run("repair", pruned, "-o", repaired, "--costs", "magnitude", "--keep-lines", "--json")
    )
    assert kept["cut_off"] == []
    assert set(kept["verdicts"].values()) == {"closed"}


def test_what_cannot_be_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(so.ProblemError, match=r"--output must end in \.onnx, \.pt2, \.json"):
        run("prune", CNN, "-o", tmp_path / "out.h5")
    with pytest.raises(so.ProblemError, match=r"must end in \.onnx or \.pt2"):
        run("prune", tmp_path / "in.h5", "-o", tmp_path / "out.onnx")
    with pytest.raises(so.ProblemError, match="does not exist"):
        run("canonicalize", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx")
    with pytest.raises(so.ProblemError, match="--seed is for random factors"):
        run("rescale", CNN, "-o", tmp_path / "o.onnx", "--seed", 1, "--factors", "f.npy")
    with pytest.raises(so.ProblemError, match=r"--factors must end in \.npy or \.json"):
        run("rescale", CNN, "-o", tmp_path / "o.onnx", "--factors", "f.txt")
    with pytest.raises(so.ProblemError, match="unknown criterion"):
        run("prune", CNN, "-o", tmp_path / "o.onnx", "--criterion", "size")
    assert not list(tmp_path.iterdir())
