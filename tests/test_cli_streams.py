"""The command line among other programs: pipes, exit codes, files of matrices, help, completion."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import typer
from typer.testing import CliRunner

import sparseopt as so
from sparseopt.cli import main, streams
from sparseopt.cli.examples import EXAMPLES
from sparseopt.cli.main import app
from sparseopt.cli.streams import suffix_of

NETWORKS = Path(__file__).parent.parent / "examples" / "networks"
CNN = NETWORKS / "digits_cnn.onnx"
LOWER, UPPER = np.tri(3), np.tri(3).T
LU = json.dumps({"I": LOWER.astype(int).tolist(), "J": UPPER.astype(int).tolist()})
HADAMARD = np.kron([[1.0, 1], [1, -1]], [[1.0, 1], [1, -1]])


@pytest.fixture(autouse=True)
def standard_input_is_read_anew() -> Iterator[None]:
    yield
    streams.forget_input()


def run(*arguments: Any, given: bytes | str | None = None) -> Any:
    """Run a command in this process, with these bytes on standard input."""
    streams.forget_input()
    return CliRunner().invoke(app, [str(a) for a in arguments], input=given)


def output(*arguments: Any, given: bytes | str | None = None) -> str:
    done = run(*arguments, given=given)
    assert done.exit_code == 0, (done.output, done.exception)
    return str(done.stdout)


def refusal(*arguments: Any, given: bytes | str | None = None) -> str:
    done = run(*arguments, given=given)
    assert isinstance(done.exception, so.SparseoptError), done.output
    return str(done.exception)


def process(
    *arguments: Any, given: bytes, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any
) -> tuple[int, bytes, bytes]:
    """Run the entry point in this process; return exit code, standard output and error."""
    streams.forget_input()
    monkeypatch.setattr(sys, "argv", ["sparseopt", *map(str, arguments)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    capfdbinary.readouterr()
    with pytest.raises(SystemExit) as stop:
        main.run()
    out, err = capfdbinary.readouterr()
    return int(stop.value.code or 0), out, err


def test_the_version() -> None:
    assert re.fullmatch(r"sparseopt \d+\.\d+\.\d+\n", output("--version"))


def test_solutions_go_through_pipes() -> None:
    solution = output("closedness", "-", "--json", given=LU)
    assert output("verify", "-", given=solution).startswith("accepted: ")
    edited = solution.replace('"not_closed"', '"closed"')
    assert run("verify", "-", given=edited).exit_code == 1
    assert "not closed" in output("analyze", "-", given=LU)
    repaired = output("repair", "-", "-o", "-", given=LU)
    assert so.verify(so.Solution.from_json(repaired)).ok


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mtx", ".csv", ".mat"])
def test_matrices_of_any_kind_are_factorized_also_from_standard_input(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"A{suffix}"
    {
        ".npy": lambda: np.save(path, HADAMARD),
        ".npz": lambda: np.savez(path, A=HADAMARD),
        ".mtx": lambda: scipy.io.mmwrite(path, HADAMARD),
        ".csv": lambda: np.savetxt(path, HADAMARD, delimiter=","),
        ".mat": lambda: scipy.io.savemat(path, {"A": HADAMARD}),
    }[suffix]()
    asked = ("--architecture", "square-dyadic", "-o", "-")
    for file, given in ((path, None), ("-", path.read_bytes())):
        solution = so.Solution.from_json(output("factorize", file, *asked, given=given))
        assert np.allclose(solution.answer.to_dense(), HADAMARD)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".json", ".SafeTensors", ".NPZ"])
@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_products_in_files_are_read_back(suffix: str, dtype: Any, tmp_path: Path) -> None:
    matrix, product, rounded = tmp_path / "A.npy", tmp_path / f"p{suffix}", tmp_path / f"q{suffix}"
    np.save(matrix, HADAMARD.astype(dtype) * (1 + 1e-3))
    said = output("factorize", matrix, "--architecture", "square-dyadic", "-o", product)
    assert f"written to {product}" in said
    assert sorted(file.name for file in tmp_path.iterdir()) == ["A.npy", product.name]
    for file, given in ((product, None), ("-", product.read_bytes())):
        told = output("quantize", file, "--bits", "4", "-o", rounded, given=given)
        assert "relative error at most" in told
        again = so.Solution.from_json(output("quantize", rounded, "--bits", "20", "-o", "-"))
        assert again.answer.dtype == dtype
        assert np.allclose(again.answer.to_dense(), HADAMARD, rtol=0.2)
    if suffix == ".safetensors":
        held = so.load_safetensors(product)
        assert np.allclose(held.to_dense(), np.load(matrix))


def test_layers_of_safetensors_are_quantized(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "layer.safetensors"
    torch.manual_seed(0)
    layer = so.KroneckerLinear(4, 4, architecture=so.Architecture.square_dyadic(4))
    so.save_safetensors(layer, path)
    solution = so.Solution.from_json(output("quantize", path, "--bits", "24", "-o", "-"))
    assert np.allclose(solution.answer.to_dense(), layer.weight.detach().numpy())


@pytest.mark.parametrize(
    ("command", "name", "words"),
    [
        ("factorize", "x.txt", "must end in .json, .npz, .safetensors, got 'x.txt'"),
        ("quantize", "x.txt", "must end in .json, .npz, .safetensors, got 'x.txt'"),
        ("factorize", "none/x.npz", "cannot write 'none/x.npz': there is no folder 'none'"),
        (
            "factorize",
            "none/x.safetensors",
            "cannot write 'none/x.safetensors': there is no folder 'none'",
        ),
        ("quantize", "none/x.npz", "cannot write 'none/x.npz': there is no folder 'none'"),
        ("repair", "none/x.npz", "cannot write 'none/x.npz': there is no folder 'none'"),
    ],
)
def test_outputs_that_cannot_be_written(
    command: str, name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("A.npy", HADAMARD)
    output("factorize", "A.npy", "--architecture", "square-dyadic", "-o", "p.safetensors")
    Path("lu.json").write_text(LU)
    asked = {
        "factorize": ("A.npy", "--architecture", "square-dyadic"),
        "quantize": ("p.safetensors", "--bits", "3"),
        "repair": ("lu.json",),
    }[command]
    assert words in refusal(command, *asked, "-o", name)
    assert sorted(p.name for p in Path().iterdir()) == ["A.npy", "lu.json", "p.safetensors"]


def test_orders_have_no_place_in_files_of_safetensors(tmp_path: Path) -> None:
    matrix, product = tmp_path / "A.npy", tmp_path / "p.safetensors"
    np.save(matrix, HADAMARD)
    asked = (matrix, "--architecture", "square-dyadic", "--permutations", "unknown")
    assert "hold no orders" in refusal("factorize", *asked, "-o", product)
    product.write_bytes(b"words")
    assert "no file of safetensors" in refusal("quantize", product, "--bits", "3")


def test_one_of_several_matrices(tmp_path: Path) -> None:
    path = tmp_path / "A.mat"
    scipy.io.savemat(path, {"A": HADAMARD, "B": np.ones((2, 3))})
    asked = ("--architecture", "square-dyadic")
    assert "holds 2 matrices: A, B" in refusal("factorize", path, *asked)
    assert "VERIFIED" in output("factorize", path, *asked, "--variable", "A")
    assert "2 x 3" in refusal("factorize", path, *asked, "--variable", "B")


def test_supports_of_several_files_are_a_chain(tmp_path: Path) -> None:
    one, two = tmp_path / "I.mtx", tmp_path / "J.csv"
    scipy.io.mmwrite(one, scipy.sparse.coo_array(LOWER))
    np.savetxt(two, UPPER, delimiter=",")
    for command in ("closedness", "analyze"):
        assert "not closed" in output(command, one, two)
        assert "not closed" in output(command, "-", two, given=one.read_bytes())
        assert "several files are supports" in refusal(command, one, CNN)
        assert "do not chain" in refusal(command, one, two, "-", given=b"1,0\n0,1\n")
        assert "give it once" in refusal(command, "-", "-", given=one.read_bytes())


def test_networks_go_through_pipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any
) -> None:
    path = tmp_path / "written.onnx"
    content = CNN.read_bytes()
    for asked in (("prune", "--ratio", "0.9"), ("quantize", "--format", "int8")):
        code, content, told = process(
            asked[0],
            "-",
            *asked[1:],
            "-o",
            "-",
            given=content,
            monkeypatch=monkeypatch,
            capfdbinary=capfdbinary,
        )
        assert (code, told) == (0, b"")
        path.write_bytes(content)
        weights = so.load_network(path).parameters()
        assert sum(int((a == 0).sum()) for n, a in weights.items() if "weight" in n) > 8000
        assert weights.keys() == so.load_network(CNN).parameters().keys()


def test_one_of_two_networks_is_standard_input() -> None:
    given, box = CNN.read_bytes(), ("--lower", 0, "--upper", 1, "--starts", 0)
    for pair in ((CNN, "-"), ("-", CNN)):
        assert "differ by at most 0 in" in output("compare", *pair, *box, given=given)
    assert "give it once" in refusal("compare", "-", "-", *box, given=given)


def test_a_page_goes_to_standard_output() -> None:
    page = output("analyze", "-", "--html", "-", given=LU)
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert output("closedness", "-", "--html", "-", given=LU).startswith("<!doctype html>")
    assert "standard-input.json" in page
    assert "sparseopt-" not in page  # the folder of the file


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (["verify", "-"], b"", "standard input is empty"),
        (["verify", "-"], b"nonsense", "not"),
        (["closedness", "-"], b"\x00\x01", "'standard input' is not an ONNX file"),
        (["closedness", "-", "--html", "-", "--json"], LU.encode(), "leave one out"),
        (["analyze", "-", "--html", "-", "--json"], LU.encode(), "leave one out"),
        (["repair", "-", "-o", "-", "--json"], LU.encode(), "leave one out"),
        (["prune", "-", "-o", "-", "--json"], CNN.read_bytes(), "leave one out"),
        (["analyze", "-", "--fail-on", "trouble"], LU.encode(), "--fail-on must be one of"),
        (["closedness", "-", "--fail-on", "trouble"], LU.encode(), "--fail-on must be one of"),
    ],
)
def test_bad_pipes(
    arguments: list[str],
    given: bytes,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: Any,
) -> None:
    code, *told = process(*arguments, given=given, monkeypatch=monkeypatch, capfdbinary=capfdbinary)
    assert code == 2
    assert words in b"".join(told).decode()
    assert b"Traceback" not in b"".join(told)
    assert b"/tmp" not in b"".join(told)


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (b'{"a": 1}', ".json"),
        (b"\xef\xbb\xbf\n [[1]]", ".json"),
        (b"\x93NUMPY\x01", ".npy"),
        (b"PK\x03\x04 damaged", ".npz"),
        (b"\x02" + bytes(7) + b"{}", ".safetensors"),
        (b"\x03" + bytes(7) + b"{}", ".onnx"),
        (CNN.read_bytes(), ".onnx"),
        (b"-1.5e3, 2\n", ".csv"),
        (b"1+2j,3\n", ".csv"),
        (b"MATLAB 5.0 MAT-file", ".mat"),
        (b"\x89HDF\r\n", ".mat"),
        (b"%%MatrixMarket matrix array", ".mtx"),
        (b"words", ".onnx"),
    ],
)
def test_what_standard_input_holds_is_seen(content: bytes, suffix: str) -> None:
    assert suffix_of(content) == suffix


@pytest.mark.parametrize(
    ("fail_on", "code"), [(None, 0), ("problem", 0), ("warning", 1), ("info", 1), ("never", 0)]
)
@pytest.mark.parametrize("command", ["analyze", "closedness"])
@pytest.mark.parametrize("more", [[], ["--json"], ["--html", "-"]])
def test_exit_codes_by_severity(
    command: str, fail_on: str | None, code: int, more: list[str]
) -> None:
    asked = [] if fail_on is None else ["--fail-on", fail_on]
    assert run(command, "-", *asked, *more, given=LU).exit_code == code


def test_a_problem_fails_unless_never(tmp_path: Path) -> None:
    network = so.load_network(CNN)
    zeros = {n: np.zeros_like(a) for n, a in network.parameters().items() if n == "/8/Gemm.weight"}
    path = tmp_path / "dead.onnx"
    so.write(network.with_parameters(zeros), path)
    only = ("--only", "layer_structure")
    assert run("analyze", path, *only).exit_code == 1
    assert run("analyze", path, *only, "--fail-on", "warning").exit_code == 1
    assert run("analyze", path, *only, "--fail-on", "never").exit_code == 0


def test_an_error_is_said_once(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    for more, stream in (([], 1), (["--json"], 0)):
        code, *told = process(
            "closedness",
            "missing.json",
            *more,
            given=b"",
            monkeypatch=monkeypatch,
            capfdbinary=capfdbinary,
        )
        assert code == 2
        assert told.pop(stream).count(b"missing.json") == 1
        assert told == [b""]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["analyze"], "error: missing argument 'FILE"),
        (["factorize"], "error: missing argument 'FILE'; see sparseopt factorize --help"),
        (["factorize", "A.npy"], "error: missing option '--architecture'; see "),
        (["nonsense"], "error: no such command 'nonsense'; see sparseopt --help"),
        (["analyze", "x.onnx", "--bogus"], "error: no such option: --bogus"),
        (["quantize", "p.npz", "--bits", "few"], "error: invalid value for '--bits': "),
        (["verify", "a.json", "b.json"], "error: got unexpected extra argument"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_wrong_use_is_said_once_and_in_one_line(
    arguments: list[str],
    words: str,
    as_json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: Any,
) -> None:
    asked = [*arguments, *(["--json"] if as_json else [])]
    code, *told = process(*asked, given=b"", monkeypatch=monkeypatch, capfdbinary=capfdbinary)
    said = told.pop(0 if as_json else 1).decode()
    assert (code, told, said.count("\n")) == (2, [b""], 1)
    assert said.startswith('{"error": ' + json.dumps(words[7:])[:-1] if as_json else words)


def test_no_command_is_help(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    _, *told = process(given=b"", monkeypatch=monkeypatch, capfdbinary=capfdbinary)
    assert sum(b"Usage: sparseopt" in text for text in told) == 1
    assert b"error" not in b"".join(told)


def test_long_work_leaves_no_blank_line() -> None:
    command = [sys.executable, "-m", "sparseopt", "analyze", str(CNN)]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")


def commands() -> dict[str, Any]:
    found = typer.main.get_command(app)
    return dict(found.commands)  # type: ignore[attr-defined]


def test_every_command_has_examples_that_its_options_allow() -> None:
    known = commands()
    assert set(EXAMPLES) == set(known)
    for name, lines in EXAMPLES.items():
        shown = output(name, "--help")
        for line in lines:
            assert line in shown
            for part in line.partition(">")[0].split("|"):
                program, command, *words = shlex.split(part)
                assert program == "sparseopt"
                parser = known[command]
                parser.make_context(command, words, resilient_parsing=False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sparseopt clo", "closedness"),
        ("sparseopt analyze --fail", "--fail-on"),
        ("sparseopt closedness --solver lu", "lu_pattern"),
        ("sparseopt analyze x --only path", "path_norms"),
        ("sparseopt analyze x --fail-on w", "warning"),
    ],
)
def test_shells_complete_words(
    words: str, expected: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any
) -> None:
    monkeypatch.setenv("_SPARSEOPT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    _, out, _ = process(given=b"", monkeypatch=monkeypatch, capfdbinary=capfdbinary)
    assert expected in out.decode().split()
