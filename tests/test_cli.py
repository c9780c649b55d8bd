"""The command line: output, JSON, exit codes, and one clear sentence for bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sparseopt as so
from sparseopt.cli.console import say_proof

LU = {"I": [[1, 0], [1, 1]], "J": [[1, 1], [0, 1]]}


def sparseopt(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sparseopt", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def lu_file(tmp_path: Path) -> Path:
    path = tmp_path / "lu.json"
    path.write_text(json.dumps(LU))
    return path


def test_version() -> None:
    done = sparseopt("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"sparseopt {so.__version__}")


def test_closedness_and_verify(lu_file: Path, tmp_path: Path) -> None:
    done = sparseopt("closedness", lu_file, "--json")
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert body["answer"]["value"] == "not_closed"
    assert body["status"] == "VERIFIED"
    solution = tmp_path / "solution.json"
    solution.write_text(done.stdout)
    checked = sparseopt("verify", solution)
    assert checked.returncode == 0
    assert "accepted" in checked.stdout
    solution.write_text(done.stdout.replace('"not_closed"', '"closed"'))
    refused = sparseopt("verify", solution, "--json")
    assert refused.returncode == 1
    assert "FAILED" in json.loads(refused.stdout)["details"][-1]
    explained = sparseopt("closedness", lu_file, "--explain", "--plan")
    assert "plan for" in explained.stdout


def test_a_chosen_solver_that_cannot_decide_leaves_it_to_others(lu_file: Path) -> None:
    """Further plugins do not help where one solver was chosen by name."""
    chosen = sparseopt("closedness", lu_file, "--solver", "comparable_rectangles")
    assert chosen.returncode == 0, chosen.stderr
    assert "leave the choice out (solver=, or --solver)" in chosen.stdout
    names = [entry.name for entry in so.solvers(so.Closedness)]
    others = [name for name in names if name not in ("comparable_rectangles", "null_points")]
    blocked = sparseopt("closedness", lu_file, *(x for n in others for x in ("--block", n)))
    assert "UNDECIDED" in blocked.stdout
    assert "choice" not in blocked.stdout


def test_long_lines_of_proofs_are_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    entries = ", ".join(f"1 at ({i}, {i})" for i in range(40))
    text = f"Take the limit\n\n  that is 0 but for {entries}\n  [0, 1]\n  [1, 0]"
    say_proof(text)
    found = capsys.readouterr().out
    assert max(map(len, found.splitlines())) <= 100
    assert found.split() == text.split()
    assert found.startswith("Take the limit\n\n  that is 0 but for 1 at (0, 0), ")
    assert "\n    1 at" in found or "\n    (" in found or "\n    at" in found
    assert found.endswith("\n  [0, 1]\n  [1, 0]\n")


def test_closedness_of_the_layers_of_a_network_and_repair(lu_file: Path, tmp_path: Path) -> None:
    network = Path(__file__).parent.parent / "examples" / "networks" / "digits_cnn.onnx"
    page = tmp_path / "page.html"
    done = sparseopt("closedness", network, "--json", "--html", page)
    assert done.returncode == 0, done.stderr
    (pair,) = json.loads(done.stdout)
    assert pair["layers"] == "/8/Gemm -> /10/Gemm"
    assert pair["solution"]["answer"]["value"] == "not_closed"
    assert "/8/Gemm" in page.read_text()
    repaired = sparseopt("closedness", lu_file, "--repair", "remove", "--explain")
    assert "LU windows: 1" in repaired.stdout
    assert "1 entry changed (as few as possible)" in repaired.stdout


def test_factorize(tmp_path: Path) -> None:
    matrix, factors = tmp_path / "A.npy", tmp_path / "factors.npz"
    np.save(matrix, np.kron([[1.0, 1], [1, -1]], [[1.0, 1], [1, -1]]))
    done = sparseopt("factorize", matrix, "--architecture", "square-dyadic", "-o", factors)
    assert done.returncode == 0, done.stderr
    assert "error" in done.stdout
    assert [factor.ndim for factor in np.load(factors).values()] == [4, 4]
    patterns = tmp_path / "patterns.json"
    patterns.write_text("[[1, 2, 2, 2], [2, 2, 2, 1]]")
    out = tmp_path / "solution.json"
    done = sparseopt("factorize", matrix, "--architecture", patterns, "-o", out, "--json")
    assert json.loads(done.stdout)["status"] == "VERIFIED"
    assert sparseopt("verify", out).returncode == 0


def test_quantize(tmp_path: Path) -> None:
    product, solution, arrays = (str(tmp_path / n) for n in ("p.json", "s.json", "f.npz"))
    architecture = so.Architecture.square_dyadic(8)
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(p.values_shape) for p in architecture]
    Path(product).write_text(so.to_json(so.KroneckerProduct(values, architecture)))
    done = sparseopt("quantize", product, "--bits", "5", "-o", solution)
    assert done.returncode == 0, done.stderr
    assert "rounding each value to nearest has" in done.stdout
    assert sparseopt("verify", solution).returncode == 0
    done = sparseopt("quantize", solution, "--error", "0.1", "-o", arrays)
    assert "digits of each factor" in done.stdout
    done = sparseopt("quantize", arrays, "--format", "e4m3,-,F3", "--json")
    found = so.Solution.from_json(done.stdout)
    assert [f and f.name for f in found.problem.format] == ["e4m3", None, "F3"]
    for wrong, words in (
        ([], "one of --bits"),
        (["--format", "e9"], "unknown number format"),
        (["--bits", "5", "-o", "x.csv"], ".json, .npz, .safetensors"),
    ):
        done = sparseopt("quantize", product, *wrong)
        assert done.returncode == 2
        assert words in " ".join(done.stderr.split())


def test_quantize_a_network(tmp_path: Path) -> None:
    model = Path(__file__).parents[1] / "examples" / "networks" / "digits_mlp.onnx"
    out, report, batch = (str(tmp_path / n) for n in ("out.onnx", "out.json", "x.npy"))
    np.save(batch, np.random.default_rng(0).uniform(0, 1, (5, 1, 8, 8)))
    done = sparseopt("quantize", model, "--format", "int8", "--inputs", batch, "-o", out)
    assert done.returncode == 0, done.stderr
    assert "change of the output, in the L1 norm: proved at most" in done.stdout
    assert "measured: largest" in done.stdout
    written, given = so.load_network(out).parameters(), so.load_network(model).parameters()
    assert written.keys() == given.keys()
    assert all(len(np.unique(a)) <= 255 for name, a in written.items() if name.endswith("weight"))
    asked = "--bits", "4", "--granularity", "channel", "--rescaling", "none", "-o", report
    done = sparseopt("quantize", model, *asked, "--json")
    assert done.returncode == 0, done.stderr
    found = so.from_json(done.stdout)
    assert found.rescaling == "none"
    assert "(path-lifting) for inputs in [-1, 1]^64\n" in str(found)
    assert str(so.from_json(Path(report).read_text())) == str(found)
    for wrong, words in (
        ([], "one of --bits and --format"),
        (["--bits", "5", "--error", "0.1"], "--error is not for a network"),
        (["--bits", "5", "-o", "x.npz"], ".json, .onnx, .pt2"),
        (["--format", "int8", "--granularity", "row"], "granularity must be one of"),
    ):
        done = sparseopt("quantize", model, *wrong)
        assert done.returncode == 2
        assert words in " ".join(done.stderr.split())
    done = sparseopt("quantize", model, "--bits", "5", "--new", "-o", out)
    assert done.returncode == 0, done.stderr
    assert len(so.load_network(out).nodes) == len(found.network.nodes)
    product = tmp_path / "p.json"
    product.write_text("{}")
    done = sparseopt("quantize", product, "--bits", "5", "--rescaling", "path")
    assert "--rescaling is not for a product" in done.stderr


def test_factorize_searches_orders_and_architectures(tmp_path: Path) -> None:
    matrix, factors = tmp_path / "A.npy", tmp_path / "factors.npz"
    np.save(matrix, np.fft.fft(np.eye(8)))
    asked = "--architecture", "square-dyadic", "--permutations", "unknown", "-o", factors
    done = sparseopt("factorize", matrix, *asked)
    assert done.returncode == 0, done.stderr
    assert "orders of rows and columns were found" in done.stdout
    with np.load(factors) as arrays:
        assert sorted(arrays["columns"]) == list(range(8))
    np.save(matrix, np.kron([[1.0, 1], [1, -1]], np.ones((4, 3))))
    done = sparseopt("factorize", matrix, "--architecture", "search:20,2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "VERIFIED"


def test_analyze_supports(lu_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = sparseopt("analyze", lu_file, "--html", page)
    assert done.returncode == 0, done.stderr
    assert "not closed" in done.stdout
    text = page.read_text()
    assert "<svg" in text
    assert "http" not in text.replace("http://www.w3.org", "")
    report = tmp_path / "report.json"
    report.write_text(sparseopt("analyze", lu_file, "--json").stdout)
    assert json.loads(report.read_text())["findings"][0]["severity"] == "warning"
    assert sparseopt("verify", report).returncode == 0


def test_doctor() -> None:
    done = sparseopt("doctor", "--json")
    assert done.returncode == 0
    body = json.loads(done.stdout)
    assert {plugin["state"] for plugin in body["plugins"]} == {"ok"}
    assert all(row["state"] == "ok" or row["remedy"] for row in body["entries"])
    text = sparseopt("doctor")
    assert text.returncode == 0
    assert "cupy-cuda13x: " in text.stdout


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "[[[1, 0]], [[1]", "not JSON, or cut short"),
        ("a.json", '{"x": 1}', "holds no supports"),
        ("a.json", "[[[1, 2]], [[1], [1]]]", r"entry (0, 1) is 2"),
        ("a.json", "[[[1, 0]], [[1, 1]]]", "chain"),
        ("a.json", "[]", "empty"),
        ("a.json", "[[[1, 0], [1]], [[1], [1]]]", "ragged"),
        ("a.npz", "no archive", "not a zip archive"),
        ("a.onnx", "no network", "ONNX"),
        ("a.txt", "", "no plugin reads"),
    ],
)
def test_bad_file(tmp_path: Path, name: str, content: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    for command in ("analyze", "closedness"):
        done = sparseopt(command, path)
        assert done.returncode == 2, done.stdout
        assert words in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["analyze", "missing.onnx"], "does not exist"),
        (["verify", "missing.json"], "cannot be read"),
        (["closedness", "LU", "--solver", "nonsense"], "unknown solver"),
        (["closedness", "LU", "--option", "nonsense=1"], "unknown option"),
        (["closedness", "LU", "--option", "nonsense"], "name=value"),
        (["closedness", "LU", "--block", "nonsense"], "unknown plugin"),
        (["closedness", "LU", "--time-limit", "-1"], "positive"),
        (["closedness", "LU", "--repair", "swap"], "allow must be one of"),
        (["analyze", "LU", "--only", "nonsense"], "unknown analyzer"),
        (["analyze", "LU", "--html", "/no/such/folder/x.html"], "cannot write"),
        (["factorize", "missing.npy", "--architecture", "square-dyadic"], "does not exist"),
        (["factorize", "A", "--architecture", "cubic"], "--architecture must be"),
        (["factorize", "A", "--architecture", "monarch:x"], "two integers"),
        (["factorize", "A", "--architecture", "square-dyadic"], "square"),
        (["factorize", "A", "--architecture", "search:x"], "with integers"),
        (["factorize", "A", "--architecture", "search:1"], "are enough"),
        (
            ["factorize", "A", "--architecture", "monarch:2,2", "-o", "x.csv"],
            ".json, .npz, .safetensors",
        ),
        (["factorize", "A2", "--architecture", "square-dyadic"], "--variable on the command"),
        (
            ["closedness", "LU", "--solver", "external_exclusion"],
            "--option allow_external=true on the command line",
        ),
        (["factorize", "LU", "--architecture", "square-dyadic"], "must end in .npy"),
        (["nonsense"], "no such command"),
    ],
)
def test_bad_arguments(lu_file: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    matrix = tmp_path / "A.npy"
    np.save(matrix, np.ones((4, 6)))
    np.savez(tmp_path / "A2.npz", A=np.eye(4), B=np.eye(4))
    known = {"LU": str(lu_file), "A": str(matrix), "A2": str(tmp_path / "A2.npz")}
    done = sparseopt(*[known.get(word, word) for word in arguments])
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    if arguments[0] != "nonsense":
        as_json = sparseopt(*[known.get(word, word) for word in arguments], "--json")
        assert as_json.returncode == 2
        assert words in json.loads(as_json.stdout)["error"]
