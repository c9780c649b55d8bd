"""The notebooks: made from percent-cell scripts, run, stored with their output, shown as pages.

A notebook is written as the script ``examples/notebooks/NAME.py``, like every other example: it is
formatted, its changes can be read, and it holds no output that could be of another time.
``NAME.ipynb`` beside it is made of it, with the output, for those who open notebooks and for the
pages of the site:

    python docs/_ext/sparseopt_notebooks.py

runs all and writes them anew. IPython runs the cells, as it does in Jupyter; no server is needed.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
PNG, HTML, TEXT = "image/png", "text/html", "text/plain"
Json = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One cell: its kind ("markdown" or "code") and its text."""

    kind: str
    text: str


def scripts() -> list[Path]:
    """Return the scripts that notebooks are made of."""
    return sorted(FOLDER.glob("*.py"))


def cells(source: str) -> list[Cell]:
    """Return the cells of a script; what stands before its first ``# %%`` is no cell."""
    found = []
    for part in re.split(r"^# %%", source, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        if head.strip() == "[markdown]":
            lines = [re.sub(r"^# ?", "", line) for line in body.strip().splitlines()]
            found.append(Cell("markdown", "\n".join(lines)))
        elif head.strip():
            raise ValueError(f"a cell starts with '# %%' or '# %% [markdown]', not '# %%{head}'")
        else:
            found.append(Cell("code", body.strip()))
    return found


# Running


def outputs(parts: list[Cell]) -> list[list[Json]]:
    """Run the code cells in one namespace, in this process; return what each left."""
    from IPython.core.displayhook import DisplayHook
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from traitlets import Type
    from traitlets.config import Config

    class Keep(DisplayHook):
        """Keeps what a terminal would print: the value of the last line of a cell."""

        def __call__(self, result: Any = None) -> None:
            if result is not None and not self.quiet():
                kept.append(self.compute_format_data(result)[0])

    class Shell(InteractiveShell):
        displayhook_class = Type(Keep)

    kept: list[dict[str, str]] = []
    shell = Shell.instance(config=Config(HistoryManager={"enabled": False}))
    left: list[list[Json]] = []
    for text in (part.text for part in parts if part.kind == "code"):
        kept.clear()
        with capture_output() as said:
            done = shell.run_cell(text, store_history=True)
        done.raise_error()
        left.append([*_streams(said), *_shown(kept, len(left) + 1), *_drawn()])
    return left


def _streams(said: Any) -> list[Json]:
    return [
        {"output_type": "stream", "name": name, "text": lines(text)}
        for name, text in (("stdout", said.stdout), ("stderr", said.stderr))
        if text
    ]


def _shown(values: list[dict[str, str]], count: int) -> list[Json]:
    return [
        {
            "output_type": "execute_result",
            "execution_count": count,
            "metadata": {},
            "data": {kind: lines(text) for kind, text in each.items()},
        }
        for each in values
    ]


def _drawn() -> list[Json]:
    """Return the open figures, and close them, as Jupyter does after each cell."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    found = []
    for number in pyplot.get_fignums():
        with tempfile.TemporaryFile() as file:
            pyplot.figure(number).savefig(file, format="png", dpi=100, metadata={"Software": None})
            file.seek(0)
            picture = base64.b64encode(file.read()).decode() + "\n"
        data = {PNG: picture, TEXT: ["<Figure>"]}
        found.append({"output_type": "display_data", "metadata": {}, "data": data})
    pyplot.close("all")
    return found


def lines(text: str) -> list[str]:
    """Return a text as notebooks hold it."""
    return text.splitlines(keepends=True)


def made(script: Path) -> Json:
    """Run a script in a process and an empty folder of its own; return its notebook."""
    root = FOLDER.parents[1]
    paths = [str(root), str(root / "plugins"), os.environ.get("PYTHONPATH", "")]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, __file__, "--run", str(script)],
            cwd=folder,
            env={
                **os.environ,
                "IPYTHONDIR": folder,
                "MPLBACKEND": "agg",
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"{script.name} ended with {done.returncode}:\n{done.stderr}")
    return document(cells(script.read_text(encoding="utf-8")), json.loads(done.stdout))


def document(parts: list[Cell], left: list[list[Json]]) -> Json:
    """Return the notebook of cells and their outputs, in format 4.5."""
    shown, remaining = [], iter(enumerate(left, 1))
    for place, part in enumerate(parts):
        cell: Json = {"cell_type": part.kind, "id": f"cell-{place}", "metadata": {}}
        if part.kind == "code":
            count, own = next(remaining)
            cell |= {"execution_count": count, "outputs": own}
        shown.append(cell | {"source": lines(part.text)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": shown, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def written(document: Json) -> str:
    """Return a notebook as the text of its file."""
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


# Pages


def page(document: Json, name: str, folder: Path) -> str:
    """Return a notebook as a page of Markdown; its pictures are written into the folder."""
    parts, pictures, heading = [], 0, name
    for cell in document["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = [heading, *re.findall(r"^#+ (.+)$", text, re.MULTILINE)][-1]
            parts.append(text)
            continue
        parts.append(_fenced("python", text))
        for output in cell["outputs"]:
            data = output.get("data", {})
            if PNG in data:
                pictures += 1
                picture = folder / f"{name}_{pictures}.png"
                picture.write_bytes(base64.b64decode(data[PNG]))
                parts.append(f"![{heading}]({picture.name})")
            elif HTML in data:
                parts.append(_fenced("{raw} html", "".join(data[HTML])))
            else:
                parts.append(_fenced("text", "".join(output.get("text", data.get(TEXT, "")))))
    title, _, story = parts[0].partition("\n")
    kept = (
        f"{{download}}`Download this notebook <{name}.ipynb>`, or open it in `examples/notebooks/`."
    )
    return "\n\n".join([title, kept, story.strip(), *parts[1:]]) + "\n"


def _fenced(kind: str, text: str) -> str:
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}"


def write_pages(app: Any) -> None:
    """Write the pages of all notebooks into the folder ``notebooks`` of the site."""
    folder = Path(app.srcdir) / "notebooks"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for script in scripts():
        stored = script.with_suffix(".ipynb")
        text = stored.read_text(encoding="utf-8")
        (folder / stored.name).write_text(text, encoding="utf-8")
        shown = page(json.loads(text), script.stem, folder)
        (folder / f"{script.stem}.md").write_text(shown, encoding="utf-8")


def setup(app: Any) -> Json:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(outputs(cells(Path(sys.argv[2]).read_text(encoding="utf-8")))))  # noqa: T201
    else:
        for each in scripts():
            each.with_suffix(".ipynb").write_text(written(made(each)), encoding="utf-8")
