"""No command writes over a file that it reads, by whatever name; files are whole or not there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import sparseopt as so
from sparseopt.cli import streams
from sparseopt.cli.main import app

onnx = pytest.importorskip("onnx")
CNN = Path(__file__).parent.parent / "examples" / "networks" / "digits_cnn.onnx"
LU = {"I": [[1, 0], [1, 1]], "J": [[1, 1], [0, 1]]}
OPTIONS: dict[str, tuple[str, ...]] = {
    "prune": (),
    "canonicalize": (),
    "rescale": (),
    "compress": (),
    "repair": (),
    "quantize": ("--bits", "4"),
}


def refusal(*arguments: Any) -> str:
    streams.forget_input()
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert isinstance(done.exception, so.ProblemError), (done.output, done.exception)
    return str(done.exception)


def other_names(file: Path) -> list[str]:
    """Return names of a file: its own, through a folder, a link, a hard link, a linked folder."""
    folder = file.parent
    (folder / "sub").mkdir()
    link, hard = folder / f"link{file.suffix}", folder / f"hard{file.suffix}"
    link.symlink_to(file)
    os.link(file, hard)
    (folder / "linked").symlink_to(folder)
    inner = f"{folder}/sub/../{file.name}"
    return [str(file), inner, str(link), str(hard), str(folder / "linked" / file.name)]


@pytest.mark.parametrize("command", OPTIONS)
def test_external_data_are_not_written_over(command: str, tmp_path: Path) -> None:
    file, weights = tmp_path / "model.onnx", tmp_path / "weights.onnx"
    model = onnx.load(CNN)
    onnx.save(model, file, save_as_external_data=True, location=weights.name, size_threshold=0)
    before = weights.read_bytes()
    said = refusal(command, file, "-o", weights, *OPTIONS[command])
    assert "is the file that is read" in said
    assert weights.read_bytes() == before
    for wrong in (tmp_path, tmp_path / "none" / "out.onnx"):
        said = refusal(command, file, "-o", wrong, *OPTIONS[command])
        assert said.startswith(f"cannot write {str(wrong)!r}: ")


@pytest.mark.parametrize("command", OPTIONS)
def test_networks_are_not_written_over(command: str, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    shutil.copy(CNN, file)
    for name in other_names(file):
        said = refusal(command, file, "-o", name, *OPTIONS[command])
        assert said.startswith("--output ")
        assert "is the file that is read, which would be lost; give another path" in said
    assert file.read_bytes() == CNN.read_bytes()


def test_supports_matrices_products_and_reports_are_not_written_over(tmp_path: Path) -> None:
    supports = tmp_path / "lu.json"
    supports.write_text(json.dumps(LU))
    matrix = tmp_path / "A.npz"
    np.savez(matrix, A=np.kron([[1.0, 1], [1, -1]], [[1.0, 1], [1, -1]]))
    patterns = tmp_path / "patterns.json"
    patterns.write_text(json.dumps([[1, 2, 2, 2], [2, 2, 2, 1]]))
    factors = tmp_path / "factors.npz"
    dyadic = ("--architecture", "square-dyadic")
    run("factorize", matrix, *dyadic, "-o", factors)
    batch = tmp_path / "batch.npy"
    np.save(batch, np.zeros((1, 1, 8, 8), np.float32))
    groups = tmp_path / "groups.json"
    groups.write_text(json.dumps([2.0]))
    model = tmp_path / "model.onnx"
    shutil.copy(CNN, model)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    calls: list[tuple[Any, ...]] = [
        ("repair", supports, "-o", supports),
        ("factorize", matrix, *dyadic, "-o", matrix),
        ("factorize", matrix, "--architecture", patterns, "-o", patterns),
        ("quantize", factors, "--bits", 8, "-o", factors),
        ("quantize", model, "--bits", 4, "--inputs", batch, "-o", batch),
        ("rescale", model, "--factors", groups, "-o", groups),
        ("analyze", model, "--html", model),
        ("analyze", supports, "--html", supports),
        ("closedness", supports, "--html", supports),
    ]
    for call in calls:
        assert "is the file that is read" in refusal(*call), call
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def run(*arguments: Any) -> None:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, (done.output, done.exception)


def test_the_file_on_standard_input_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "lu.json"
    file.write_text(json.dumps(LU))
    command = [sys.executable, "-m", "sparseopt", "repair", "-", "-o", str(file)]
    with file.open("rb") as given:
        done = subprocess.run(command, stdin=given, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is the file that is read" in done.stderr
    assert json.loads(file.read_text()) == LU


def test_arrays_are_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.npz"
    streams.put_arrays(str(out), {"a": np.ones(3)})
    before = out.read_bytes()

    def full(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(so.ProblemError, match=r"cannot write .*out\.npz.*No space left"):
        streams.put_arrays(str(out), {"a": np.zeros(3)})
    assert out.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out.npz"]
    with pytest.raises(so.ProblemError, match="cannot write"):
        streams.put_arrays(str(tmp_path / "nowhere" / "out.npz"), {})


def test_write_replaces_the_file_that_the_network_came_from(tmp_path: Path) -> None:
    """In Python the path is given twice, so it is meant; what is refused changes nothing."""
    file, link = tmp_path / "model.onnx", tmp_path / "link.onnx"
    shutil.copy(CNN, file)
    network = so.load_network(file)
    pruned = so.prune(network, 0.5).network
    so.write(pruned, file, like=file)
    found = so.load_network(file).parameters()
    assert all(np.array_equal(a, found[n]) for n, a in pruned.parameters().items())
    before = file.read_bytes()
    link.symlink_to(file)
    so.write(network, link, like=file)
    assert link.is_symlink()
    assert file.read_bytes() == before
    other = so.load_network(CNN.with_name("digits_mlp.onnx"))
    with pytest.raises(so.ProblemError, match="write a new file"):
        so.write(other, file, like=file)
    assert file.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"model.onnx", "link.onnx"}
