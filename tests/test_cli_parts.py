"""`--shape`, `--output-name` and `--until`: the same in every command that reads a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import sparseopt as so
from sparseopt.cli.main import app

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

COMMANDS: dict[str, tuple[str, ...]] = {
    "prune": ("--ratio", "0.5"),
    "canonicalize": (),
    "rescale": (),
    "compress": (),
    "repair": (),
    "quantize": ("--bits", "4"),
}
SHAPE = ("--shape", "x=1,1,4,4")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of open height and width, with two heads and a third that is none of a network."""
    rng = np.random.default_rng(2)
    arrays = {"k": (3, 1, 2, 2), "w": (3, 4), "a": (4, 2), "b": (4, 1)}
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["m"]),
        helper.make_node("Flatten", ["m"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["g"], name="hidden"),
        helper.make_node("Relu", ["g"], ["h"], name="bent"),
        helper.make_node("Gemm", ["h", "a"], ["ya"], name="first"),
        helper.make_node("Gemm", ["h", "b"], ["yb"], name="second"),
        helper.make_node("Erf", ["yb"], ["yc"], name="odd"),
    ]
    held = [
        numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), n)
        for n, s in arrays.items()
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 1, "height", "width"))
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("ya", "yb", "yc")]
    graph = helper.make_graph(nodes, "g", [x], ends, held)
    path = tmp_path_factory.mktemp("models") / "open.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        str(path),
    )
    del graph.output[2], graph.node[8]
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        str(path.with_name("heads.onnx")),
    )
    return path


def run(*arguments: Any) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_one_way_for_all_that_write(command: str, file: Path, tmp_path: Path) -> None:
    """What an option asks for is read, and the new file holds that part."""
    if command == "compress":
        pytest.importorskip("torch")
    out, rest = tmp_path / "out.onnx", COMMANDS[command]
    with pytest.raises(so.ProblemError, match=r"--shape x=1,3,64,64"):
        run(command, file, "-o", out, *rest)
    with pytest.raises(so.ProblemError, match=r"--until .*outputs= \(--output-name\)"):
        run(command, file, "-o", out, *SHAPE, *rest)
    run(command, file, "-o", out, *SHAPE, "--output-name", "ya", *rest)
    assert so.load_network(out).output_shape == (2,)
    run(command, file, "-o", out, *SHAPE, "--until", "bent", *rest)
    assert so.load_network(out).output_shape == (4,)
    with pytest.raises(so.ProblemError, match="not both"):
        run(command, file, "-o", out, *SHAPE, "--until", "bent", "--output-name", "ya", *rest)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "compress"])
def test_a_model_of_open_shape_is_written_like_itself(
    command: str, file: Path, tmp_path: Path
) -> None:
    heads, out = file.with_name("heads.onnx"), tmp_path / "out.onnx"
    run(command, heads, "-o", out, *SHAPE, *COMMANDS[command])
    made = onnx.load(out)
    assert {t.name for t in made.graph.initializer} == {"k", "w", "a", "b"}
    axes = made.graph.input[0].type.tensor_type.shape.dim
    assert [axis.dim_param for axis in axes[2:]] == ["height", "width"]
    one, two = (so.load_network(p, np.zeros((1, 1, 4, 4), np.float32)) for p in (heads, out))
    if command in ("canonicalize", "rescale"):
        x = np.random.default_rng(0).random((3, 1, 4, 4)).astype(np.float32)
        np.testing.assert_allclose(one.run(x), two.run(x), rtol=1e-4, atol=1e-5)
    if command in ("prune", "quantize"):
        assert not np.array_equal(
            one.parameters()["hidden.weight"], two.parameters()["hidden.weight"]
        )


@pytest.mark.parametrize("command", ["analyze", "compare", "closedness"])
def test_commands_without_a_file_of_their_own_take_both_names(
    command: str, file: Path, tmp_path: Path
) -> None:
    rest = ("--json", "--only", "path_norms") if command == "analyze" else (file, "--lower", 0)
    rest = (*rest, "--upper", 1, "--json") if command == "compare" else rest
    if command == "closedness":
        sparse = tmp_path / "sparse.onnx"
        run("prune", file.with_name("heads.onnx"), "-o", sparse, *SHAPE)
        file, rest = sparse, ("--json", "--time-limit", 5)
    texts = [
        json.loads(run(command, file, *rest, *SHAPE, o, "ya"))
        for o in ("--output", "--output-name")
    ]
    assert len(texts[0]) == len(texts[1]) > 0


def test_options_of_networks_are_refused_for_other_files(tmp_path: Path) -> None:
    supports, factors = tmp_path / "lu.json", tmp_path / "f.npz"
    supports.write_text(json.dumps({"I": [[1, 0], [1, 1]], "J": [[1, 1], [0, 1]]}))
    np.savez(factors, factor_0=np.ones((1, 2, 2, 1)))
    with pytest.raises(
        so.ProblemError, match="--shape, --output-name and --until are for networks"
    ):
        run("repair", supports, "-o", tmp_path / "out.json", "--until", "x")
    for option, value in (("--until", "x"), ("--shape", "1,2"), ("--output-name", "y")):
        with pytest.raises(so.ProblemError, match=f"{option} is not for a product"):
            run("quantize", factors, "--bits", 4, option, value)


def test_write_says_what_its_example_is_for(tmp_path: Path, file: Path) -> None:
    example = np.zeros((1, 1, 4, 4), np.float32)
    network = so.load_network(file.with_name("heads.onnx"), example)
    with pytest.raises(so.ProblemError, match="example= is for reading like="):
        so.write(network, tmp_path / "out.onnx", example=example)
    part = so.load_network(file, example, until="bent")
    with pytest.raises(so.ProblemError, match="write a new file"):
        so.write(part, tmp_path / "out.onnx", like=file.with_name("heads.onnx"), example=example)
    assert not (tmp_path / "out.onnx").exists()


def test_programs_of_torch_are_read_in_part_too(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    layers = torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2), torch.nn.SiLU()
    program = torch.export.export(torch.nn.Sequential(*layers).eval(), (torch.zeros(1, 4),))
    file, out = tmp_path / "model.pt2", tmp_path / "out.onnx"
    torch.export.save(program, str(file))
    with pytest.raises(so.ProblemError, match="until='linear_1'"):
        run("prune", file, "-o", out)
    run("prune", file, "-o", out, "--until", "linear_1", "--shape", "1,4")
    assert so.load_network(out).output_shape == (2,)
    said = run("quantize", file, "--bits", 4, "--until", "relu")
    assert "change of the output" in said
