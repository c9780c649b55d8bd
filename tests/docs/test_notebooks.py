"""The notebooks are those of their scripts, short, run, and of no machine."""

from __future__ import annotations

import itertools
import json
import math
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "examples" / "notebooks").glob("*.py"))
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@pytest.fixture
def notebooks(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    import sparseopt_notebooks

    return sparseopt_notebooks


def stored(script: Path) -> dict[str, Any]:
    return json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def code(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in document["cells"] if cell["cell_type"] == "code"]


def texts(cell: dict[str, Any]) -> list[str]:
    """Return what a cell printed and showed, pictures as a word."""
    found = []
    for output in cell["outputs"]:
        data = output.get("data", {})
        shown = "a picture" if "image/png" in data else "".join(data.get("text/plain", ""))
        found.append(shown + "".join(output.get("text", "")))
    return found


def alike(one: str, other: str) -> bool:
    """Whether two texts differ in numbers only, and in these by little: versions may differ."""
    if NUMBER.sub("0", one).split() != NUMBER.sub("0", other).split():
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(math.isclose(float(a), float(b), rel_tol=0.2, abs_tol=2) for a, b in pairs)


def test_there_are_three_and_each_has_its_page() -> None:
    assert len(SCRIPTS) == 3
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    for script in SCRIPTS:
        assert f"notebooks/{script.stem}\n" in page


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_stored_notebook_is_that_of_its_script(script: Path, notebooks: Any) -> None:
    document = stored(script)
    left = [cell["outputs"] for cell in code(document)]
    made = notebooks.document(notebooks.cells(script.read_text(encoding="utf-8")), left)
    assert made == document, f"run: python {notebooks.__file__}"
    assert notebooks.written(document) == script.with_suffix(".ipynb").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_it_ends_in_a_picture_and_knows_no_machine(script: Path) -> None:
    document = stored(script)
    kinds = [output.get("data", {}) for output in code(document)[-1]["outputs"]]
    assert "image/png" in kinds[-1]
    outputs = [output for cell in code(document) for output in cell["outputs"]]
    assert {o.get("name", "stdout") for o in outputs} == {"stdout"}  # no warning, no error
    words = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    for folder in (str(ROOT), str(Path.home()), tempfile.gettempdir(), sys.prefix, "site-packages"):
        assert folder not in words
    assert not re.search(r"/(home|Users|root|tmp|work)/", words)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_it_is_read_in_five_minutes(script: Path, notebooks: Any) -> None:
    """At 200 words of text a minute, and a line of code in 1.5 seconds."""
    parts = notebooks.cells(script.read_text(encoding="utf-8"))
    words = sum(len(part.text.split()) for part in parts if part.kind == "markdown")
    lines = sum(len(part.text.splitlines()) for part in parts if part.kind == "code")
    assert words / 200 + lines * 1.5 / 60 < 5


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_it_runs_and_says_what_is_stored(script: Path, notebooks: Any) -> None:
    before, after = code(stored(script)), code(notebooks.made(script))
    for old, new in zip(before, after, strict=True):
        for one, other in itertools.zip_longest(texts(old), texts(new), fillvalue=""):
            assert alike(one, other), f"{one}\n\nand now\n\n{other}"


def test_cells_run_in_one_namespace_and_leave_what_jupyter_shows(
    tmp_path: Path, notebooks: Any
) -> None:
    script = tmp_path / "x.py"
    script.write_text(
        "# %% [markdown]\n# # Title\n#\n# Words.\n\n"
        "# %%\nimport matplotlib.pyplot as plt\nx = 2\nprint('```')\nx + 1\n\n"
        "# %%\nx;\nax = plt.subplots(figsize=(1, 1))[1]\n",
        encoding="utf-8",
    )
    document = notebooks.made(script)
    first, second = code(document)
    assert [o["output_type"] for o in first["outputs"]] == ["stream", "execute_result"]
    assert first["outputs"][1]["data"] == {"text/plain": ["3"]}
    assert [list(o["data"]) for o in second["outputs"]] == [["image/png", "text/plain"]]
    text = notebooks.page(document, "x", tmp_path)
    assert text.startswith("# Title\n\n{download}`Download this notebook <x.ipynb>`")
    assert "````text\n```\n````" in text
    assert "![Title](x_1.png)" in text
    assert (tmp_path / "x_1.png").read_bytes().startswith(b"\x89PNG")


def test_a_cell_that_fails_stops_it(tmp_path: Path, notebooks: Any) -> None:
    script = tmp_path / "x.py"
    script.write_text("# %%\nprint(1)\n\n# %%\n1 / 0\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        notebooks.made(script)
    with pytest.raises(ValueError, match="a cell starts with"):
        notebooks.cells("# %% A title\n1\n")


def test_numbers_may_differ_by_little_and_words_not() -> None:
    assert alike("accuracy 96 %", "accuracy  95 %")
    assert not alike("accuracy 96 %", "accuracy 60 %")
    assert not alike("WEAK 1", "VERIFIED 1")
