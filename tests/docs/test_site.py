"""The pages of the site hang together; building it (and checking each link) is for ``.ci/slow``."""

from __future__ import annotations

import ast
import builtins
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import sparseopt as so

DOCS = Path(__file__).parents[2] / "docs"
GALLERY_LINK = re.compile(r"gallery/(\d+)/(\w+)\.rst")
SURVEY = tomllib.loads((DOCS / "survey.toml").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def extensions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))


@pytest.fixture
def sections() -> dict[str, list[str]]:
    import sparseopt_gallery

    found = sparseopt_gallery.sections(DOCS.parent / "examples")
    return {name: [script.stem for script in scripts] for name, scripts in found.items()}


def test_every_example_has_a_page_or_is_left_out_on_purpose(sections: dict[str, list[str]]) -> None:
    import sparseopt_gallery

    shown = [name for names in sections.values() for name in names]
    assert len(shown) == len(set(shown))
    scripts = {path.name for path in (DOCS.parent / "examples").glob("*.py")}
    assert {f"{name}.py" for name in shown} | sparseopt_gallery.SKIPPED == scripts


def test_each_box_figure_and_lesson_has_a_page(sections: dict[str, list[str]]) -> None:
    words = " ".join(entry["item"] for entry in SURVEY.values())
    for item in ("Box 2", "Box 3", "Box 5", "Box 6 and its table", "Box 9"):
        assert item in words
    for item in (
        "Figure 1",
        "Figure 2",
        "Figure 5",
        "Figure 6",
        "Lesson 1",
        "Lesson 2",
        "Lesson 3",
    ):
        assert item in words
    shown = {name for names in sections.values() for name in names}
    assert set(SURVEY) <= shown
    linked = {name for _, name in GALLERY_LINK.findall((DOCS / "survey.md").read_text())}
    assert set(SURVEY) <= linked


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_to_the_gallery_name_the_right_section(
    page: Path, sections: dict[str, list[str]]
) -> None:
    numbered = {str(i): names for i, names in enumerate(sections.values(), 1)}
    for number, name in GALLERY_LINK.findall(page.read_text(encoding="utf-8")):
        assert name in numbered[number], f"{page.name}: {number}/{name}"


def test_every_page_is_in_the_tables_of_contents() -> None:
    pages = {path.stem: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}
    trees = "\n".join(
        tree
        for text in pages.values()
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", text, re.S)
    )
    listed = set(re.findall(r"^(?:.*<)?(\w+)>?$", trees, re.MULTILINE))
    assert set(pages) - {"index"} <= listed


def test_each_use_starts_on_the_first_page_and_shows_code_that_is_run() -> None:
    """Three clicks at most: the first page, the start page of the use, a page it names."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    uses = ("closedness", "network", "factorization", "regression", "solver")
    for name in (f"start_{use}" for use in uses):
        assert f":link: {name}" in index
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        assert "<!-- test:" in text
        assert GALLERY_LINK.search(text)


CODE = re.compile(r"(?P<before>[^\n]*)\n\n```python\n(?P<code>.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", sorted(DOCS.glob("start_*.md")), ids=lambda page: page.name)
def test_code_runs_alone_or_says_what_it_continues(page: Path) -> None:
    """What is run by itself is so marked, and tested with its output; see `test_readme`."""
    text = page.read_text(encoding="utf-8")
    for found in CODE.finditer(text):
        names = [node for node in ast.walk(ast.parse(found["code"])) if isinstance(node, ast.Name)]
        made = {node.id for node in names if isinstance(node.ctx, ast.Store)} | set(dir(builtins))
        for node in ast.walk(ast.parse(found["code"])):
            if isinstance(node, ast.Import | ast.ImportFrom):
                made |= {alias.asname or alias.name for alias in node.names}
        missing = {node.id for node in names} - made
        assert not missing or "continues the block of section 1" in found["before"], missing


def test_the_api_lists_every_public_name() -> None:
    import sparseopt_pages

    names = sparseopt_pages.public_names(Path(so.__file__).with_suffix(".pyi"))
    listed = [name for group in names.values() for name in group]
    assert sorted(listed) == sorted(so.__all__)
    text = sparseopt_pages.index(Path(so.__file__).with_suffix(".pyi"))
    for name in ("sparseopt.solve\n", "sparseopt.estimators.SparseRegressor", "check_solver"):
        assert name in text


def test_ours_is_found_beside_what_is_printed() -> None:
    import sparseopt_gallery
    from sparseopt_runs import Run

    done = Run("python x.py", "error 0.25\nerror 0.5\n", 1.0, ())
    entry: dict[str, Any] = {"item": "Box 0", "rows": [["|x| is 1/4", "{}", r"error (\S+)"]]}
    text = sparseopt_gallery.panel(entry, done)
    assert r"* - \|x\| is 1/4" in text
    assert "     - 0.25" in text
    with pytest.raises(ValueError, match="nothing printed is like"):
        list(sparseopt_gallery.rows({"rows": [["a", "{}", "missing (x)"]]}, done))


def test_a_page_keeps_the_code_and_gains_title_and_output(tmp_path: Path) -> None:
    import sparseopt_gallery
    from sparseopt_runs import Run

    script = tmp_path / "x.py"
    script.write_text('"""Is |x| 1?\n\nA story.\n"""\n\n# %% A cell\nprint("\\\\n")\n')
    text = sparseopt_gallery.page(script, Run("python x.py", 'said "\\n"\n', 2.0, ()), "")
    namespace: dict[str, Any] = {"__name__": "page"}
    exec(compile(text, "page", "exec"), namespace)
    shown = namespace["__doc__"]
    assert shown.startswith("Is |x| 1?\n=========\n\nA story.")
    assert 'said "\\n"' in shown
    assert "# A cell\n# ~~~~~~\n" in text
    assert text.endswith('print("\\\\n")\n')


def test_broken_links_are_seen(tmp_path: Path) -> None:
    import sparseopt_links

    pages = [tmp_path / "a.html", tmp_path / "b.html"]
    pages[0].write_text('<p id="x"></p><a href="b.html#y">b</a><a href="#x">x</a>')
    pages[1].write_text('<a href="a.html#x"></a><a href="https://c.org/d#e"></a>')
    assert sparseopt_links.broken(tmp_path, pages) == [
        "a.html: b.html#y leads to no place on its page"
    ]
    pages[1].write_text('<p id="y"></p><img src="no.png">')
    assert sparseopt_links.broken(tmp_path, pages) == ["b.html: no.png leads to no file"]
    (tmp_path / "old.html").write_text("of a page that is gone")
    pages[1].write_text('<p id="y"></p><a href="old.html">old</a>')
    assert sparseopt_links.broken(tmp_path, pages) == ["b.html: old.html leads to no file"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("|x|_1 and ``|y|``", r"\|x\|_1 and ``|y|``"),
        ("an array (batch, *shape)", r"an array (batch, \*shape)"),
        ("*every* x", "*every* x"),
    ],
)
def test_docstrings_become_restructured_text(written: str, shown: str) -> None:
    from sparseopt_docstrings import escaped

    assert escaped(written) == shown


@pytest.mark.parametrize(
    ("literal", "name"),
    [
        ("so.solve(problem)", "solve"),
        ('Closedness(supports, field="real")', "Closedness"),
        ("sparseopt.prune", "prune"),
        ("so.Nonsense", None),
        ("solution.answer", None),
    ],
)
def test_public_names_in_the_text_are_found(literal: str, name: str | None) -> None:
    from sparseopt_pages import name_of

    assert name_of(literal, set(so.__all__)) == name
