"""The examples as pages: what they ask, draw and print, and the survey's figures beside it.

`sparseopt_runs` runs the scripts. sphinx-gallery makes the pages: code, download, thumbnails, and
from each name of the library the links to the examples that use it.
"""

from __future__ import annotations

import ast
import re
import shutil
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sparseopt_docstrings import escaped
from sparseopt_runs import Run, run

SKIPPED = {"check_closedness_proof.py", "train_digits_networks.py"}
"""A tool that stands alone, and one that writes files into the repository."""

SECTIONS = {
    "Boxes of the survey": ["box2", "box3", "box5", "box6", "box9"],
    "Figures of the survey": ["figure1", "figure2", "factorization_race", "quantize_butterfly"],
    "Lessons from inverse problems": ["l1_against_l2", "thresholding_and_greed", "known_support"],
    "What depth changes": [
        "blind_deconvolution_pitfall",
        "weight_decay_is_convex",
        "pruning_under_rescaling",
        "valley_at_infinity",
        "coercive_tradeoff",
        "hadamard_against_cvxpy",
    ],
}
REST = "Further examples"
HEAD = """Gallery
=======

Each page is a script in ``examples/``: what it asks, the picture that it draws, what it prints, and
its code. :doc:`/survey` lists them by the boxes, figures and lessons of the survey.
"""


def sections(examples: Path) -> dict[str, list[Path]]:
    """Return the scripts of each section."""
    scripts = {p.stem: p for p in sorted(examples.glob("*.py")) if p.name not in SKIPPED}
    named = {name for names in SECTIONS.values() for name in names}
    if not named <= set(scripts):
        raise ValueError(f"no such examples: {sorted(named - set(scripts))}; see {__file__}")
    found = {section: [scripts[name] for name in names] for section, names in SECTIONS.items()}
    return found | {REST: [script for name, script in scripts.items() if name not in named]}


def order(docs: Path) -> list[str]:
    """Return the names of all examples in the order of their sections."""
    return [s.stem for scripts in sections(docs.parent / "examples").values() for s in scripts]


def stage(docs: Path, full: bool) -> Path:
    """Run the examples and write the scripts that become pages; return their folder."""
    built = docs / "_build"
    built.mkdir(exist_ok=True)
    shutil.rmtree(docs / "gallery", ignore_errors=True)  # with pages of examples that are gone
    staged = built / "examples"
    shutil.rmtree(staged, ignore_errors=True)
    printed = tomllib.loads((docs / "survey.toml").read_text(encoding="utf-8"))
    write(staged / "GALLERY_HEADER.rst", HEAD)
    for number, (section, scripts) in enumerate(sections(docs.parent / "examples").items(), 1):
        place = staged / str(number)
        write(place / "GALLERY_HEADER.rst", f"{section}\n{'-' * len(section)}\n")
        for script in scripts:
            done = run(script, full, built / "runs")
            beside = panel(printed[script.stem], done) if script.stem in printed else ""
            write(place / f"{script.stem}.py", page(script, done, beside))
    return staged


def write(path: Path, text: str) -> None:
    """Write a file into a folder that may be new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def panel(survey: Mapping[str, Any], done: Run) -> str:
    """Return what the survey prints beside what an example printed."""
    lines = [f"In the survey: {survey['item']}", ""]
    lines[1] = "-" * len(lines[0])
    lines += ["", ".. list-table::", "   :header-rows: 1", "   :widths: 50 50", ""]
    for printed, ours in [("printed in the survey", "ours"), *rows(survey, done)]:
        lines += [f"   * - {escaped(printed)}", f"     - {escaped(ours)}"]
    return "\n".join([*lines, "", survey.get("note", "")])


def rows(survey: Mapping[str, Any], done: Run) -> Iterator[tuple[str, str]]:
    """Yield what is printed, and ours with what its pattern finds in the output."""
    for printed, ours, pattern in survey["rows"]:
        found = re.finditer(pattern, done.printed, re.MULTILINE)
        groups = [group for match in found for group in match.groups() if group is not None]
        if len(groups) < ours.count("{}"):
            raise ValueError(f"{done.command}: nothing printed is like {pattern!r} (survey.toml)")
        yield printed, ours.format(*groups)


def page(script: Path, done: Run, beside: str) -> str:
    """Return the script with a docstring that makes a page."""
    source = script.read_text(encoding="utf-8")
    title, story, code = parts(source)
    blocks = [f"{title}\n{'=' * len(title)}", story]
    for picture in done.pictures:
        name = f"{script.stem}/{picture.name}"
        blocks.append(f".. image:: /_build/runs/{name}\n   :alt: {title}")
    if beside:
        blocks.append(beside.strip())
    command = f"``{done.command}`` printed this in {done.seconds:.0f} seconds:"
    printed = textwrap.indent(done.printed.rstrip(), "   ")
    blocks.append(
        f"What it prints\n--------------\n\n{command}\n\n.. code-block:: none\n\n{printed}"
    )
    blocks.append("The code\n--------")
    note = ""
    if done.pictures:
        shown = f"_build/runs/{script.stem}/{done.pictures[0].name}"
        note = f"\n# sphinx_gallery_thumbnail_path = {shown!r}\n"
    text = "\n\n".join(blocks).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""{text}\n"""\n{titled(code)}{note}'


def parts(source: str) -> tuple[str, str, str]:
    """Return title, story and code of an example."""
    tree = ast.parse(source)
    docstring = ast.get_docstring(tree, clean=True) or ""
    title, _, story = docstring.partition("\n")
    code = "".join(source.splitlines(keepends=True)[tree.body[0].end_lineno :])
    return title.rstrip("."), escaped(story.strip()), code


def titled(code: str) -> str:
    """Turn the title of a percent cell into a heading of the page."""
    return re.sub(
        r"^# %% (.+)$",
        lambda found: f"# %%\n# {found[1]}\n# {'~' * len(found[1])}",
        code,
        flags=re.MULTILINE,
    )


def configuration(docs: Path, full: bool) -> dict[str, Any]:
    """Return the settings of sphinx-gallery, which runs nothing itself."""
    from sphinx_gallery.sorting import ExplicitOrder

    return {
        "examples_dirs": [str(stage(docs, full).relative_to(docs))],
        "gallery_dirs": ["gallery"],
        "filename_pattern": r"^$",
        "plot_gallery": False,
        "backreferences_dir": "api/examples",
        "doc_module": ("sparseopt",),
        "within_subsection_order": ExplicitOrder([f"{name}.py" for name in order(docs)]),
        "min_reported_time": 1e9,
        "download_all_examples": False,
        "remove_config_comments": True,
        "show_signature": False,
        "write_computation_times": False,
        "copyfile_regex": r"^$",
    }
