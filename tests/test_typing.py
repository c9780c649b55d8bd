"""Type checkers see what users are promised: pages and examples pass ``mypy --strict``.

Only errors in the checked file count, as for a user who has installed the library.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "docs" / "plugins.md"]
SNIPPETS = [
    block
    for page in PAGES
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TEMPLATE = ROOT / "examples" / "plugin_template" / "src"

# Libraries without types of their own. What a user writes with them is not for us to judge.
CONFIG = f"""[mypy]
mypy_path = {ROOT}:{ROOT / "plugins"}:{TEMPLATE}
follow_imports = silent
untyped_calls_exclude = torch

[mypy-scipy.*,sklearn.*]
ignore_missing_imports = True
"""
# Most of the time goes into torch, which the snippets of the pages do not use.
WITHOUT_TORCH = """
[mypy-torch.*]
follow_imports = skip
"""

LISTS = """
import numpy as np
import sparseopt as so

I, J = [[1, 0], [1, 1]], [[1, 1], [0, 1]]
target, signal, patterns = [[1, 2], [3, 4]], [3.0, 0.5], [(1, 2, 2, 2), (2, 2, 2, 1)]

so.Closedness([I, np.array(J)], "complex")
so.NearestClosedSupport([I, J], "both")
so.SparseTraining([I, J])
so.FixedSupportFactorization(target, [I, J])
so.FixedSupportFactorization(target, [I, J], 0.1)
so.decay_path(so.FixedSupportFactorization(target, [I, J]), [1, 0.1]).least_norm(0.1)
so.ButterflyFactorization(np.eye(4).tolist(), patterns)
so.SparseRegression(target, signal, so.L1(1))
so.SparseRegression(np.eye(2), signal, so.GroupL1(np.float32(2.0), [[0], [1]], [1, 2]))
product = so.KroneckerProduct([[[[[1.0]]]]], [(1, 1, 1, 1)])
permuted = so.PermutedKroneckerProduct(product, [0], range(1))


def norm(problem: so.ButterflyFactorization) -> float:
    return problem.norm


norm(so.ButterflyFactorization(np.eye(2), so.Architecture([(1, 2, 2, 1)])))


def after_construction() -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    problem = so.SparseRegression(target, signal, so.L1(1))
    return so.Closedness([I, J]).supports, permuted.rows, problem.target
"""

REVEALED = {
    "so.solve(so.Closedness([I, J])).answer": "ClosednessVerdict",
    "so.solve(so.SparseTraining([I, J])).answer": "TrainingVerdict",
    "so.solve(so.NearestClosedSupport([I, J])).answer": "ClosedSupport",
    "so.solve(so.NearestClosedSupport([I, J])).certificate": "ClosedSupportCertificate",
    "so.solve(so.FixedSupportFactorization(np.eye(2), [I, J])).answer": "SupportedFactors",
    "so.solve(so.ButterflyFactorization(np.eye(4), [(1, 4, 4, 1)])).answer": "KroneckerProduct",
    "so.solve(so.ButterflyFactorization(I, [(1, 2, 2, 1)], 'unknown')).answer": (
        "PermutedKroneckerProduct"
    ),
    "so.solve(so.SparseRegression(np.eye(2), [1, 2], so.L1(1))).answer": "Coefficients",
    "so.solve(so.PathNorm(so.load_network('a.onnx'))).answer": "PathNormValue",
    "so.rescale(so.load_network('a.onnx'), [2.0])": "Network",
    "[s.answer for s in so.solve_all([so.Closedness([I, J])]) if isinstance(s, so.Solution)]": (
        "ClosednessVerdict]"
    ),
    "so.KroneckerProduct([np.ones((1, 2, 2, 1))], [(1, 2, 2, 1)]).T": "KroneckerProduct",
    "2 * so.KroneckerProduct([np.ones((1, 2, 2, 1))], [(1, 2, 2, 1)])": "KroneckerProduct",
}

WRONG = {
    "so.Closednes": "has no attribute",
    "so.Closedness(1.5)": "incompatible type",
    "so.GroupL1(1.0, 3)": "incompatible type",
    "so.solve(so.Closedness([I, J])).answer.support": "has no attribute",
    "so.verify(3.0)": "incompatible type",
}


def checked(files: list[Path], folder: Path, config: str) -> dict[str, dict[int, str]]:
    """Return per file what mypy says of which line."""
    (folder / "mypy.ini").write_text(config)
    options = ["--strict", "--config-file", folder / "mypy.ini", "--cache-dir", folder / "cache"]
    out, errors, _ = api.run([*map(str, options), "--no-error-summary", *map(str, files)])
    assert errors == ""
    said: dict[str, dict[int, str]] = defaultdict(dict)
    for line in out.splitlines():
        file, number, words = line.split(":", 2)
        said[Path(file).name][int(number)] = words
    return said


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, str]]:
    """What mypy says of the snippets, all in one run."""
    folder = tmp_path_factory.mktemp("snippets")
    start = (
        "import numpy as np\nimport sparseopt as so\nI, J = [[1, 0], [1, 1]], [[1, 1], [0, 1]]\n"
    )
    texts = {f"page_{i}.py": text for i, text in enumerate(SNIPPETS)}
    texts["lists.py"] = LISTS
    texts["revealed.py"] = start + "".join(f"reveal_type({line})\n" for line in REVEALED)
    texts["wrong.py"] = start + "".join(f"{line}\n" for line in WRONG)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return checked([folder / name for name in texts], folder, CONFIG + WITHOUT_TORCH)


@pytest.mark.parametrize("name", [*(f"page_{i}.py" for i in range(len(SNIPPETS))), "lists.py"])
def test_snippets_pass(said: dict[str, dict[int, str]], name: str) -> None:
    assert said.get(name, {}) == {}


def test_answers_have_their_types(said: dict[str, dict[int, str]]) -> None:
    found = [said["revealed.py"][number] for number in range(4, 4 + len(REVEALED))]
    types = [words.rpartition(".")[2].rstrip('"') for words in found]
    assert dict(zip(REVEALED, types, strict=True)) == REVEALED


def test_what_is_wrong_is_an_error(said: dict[str, dict[int, str]]) -> None:
    assert sorted(said["wrong.py"]) == list(range(4, 4 + len(WRONG)))
    for words, expected in zip(said["wrong.py"].values(), WRONG.values(), strict=True):
        assert expected in words


@pytest.mark.slow  # torch is read whole
def test_examples_pass(tmp_path: Path) -> None:
    template = sorted(TEMPLATE.glob("**/*.py"))
    assert checked([*EXAMPLES, *template], tmp_path, CONFIG) == {}
