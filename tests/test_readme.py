"""The examples of the README and of the pages print what is written there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


BLOCK = re.compile(r"<!-- test: .*?```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if BLOCK.search(page.read_text())
]


# A process for each example, where processes can be forked after what takes longest to import.
EACH = """
import json, os, sys
import sparseopt, sparseopt.closedness, sparseopt.networks
for code in json.load(sys.stdin):
    child = os.fork()
    if not child:
        try:
            exec(compile(code, "<example>", "exec"), {"__name__": "__main__"})
            sys.stdout.flush()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("an example fails")
    print("\\0", end="", flush=True)
"""


def printed(codes: list[str]) -> list[str]:
    """Return what examples print."""
    if not hasattr(os, "fork"):
        return [_run(["-c", code]) for code in codes]
    return _run(["-c", EACH], json.dumps(codes)).split("\0")[:-1]


def _run(arguments: list[str], given: str | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, input=given
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_print_what_is_printed(page: Path) -> None:
    codes, expected = zip(*BLOCK.findall(page.read_text()), strict=True)
    for found, right in zip(printed(list(codes)), expected, strict=True):
        assert found.strip() == right.strip()


def test_the_readme_is_short_and_has_an_example() -> None:
    assert len(README.splitlines()) <= 180
    assert BLOCK.search(README)


def test_the_solver_of_ones_own_is_the_example() -> None:
    script = (ROOT / "examples" / "write_your_own_solver.py").read_text()
    page = (ROOT / "docs" / "plugins.md").read_text()
    shown = page.partition("## A solver")[2].split("```python\n")[1].split("```")[0]
    body = [line for line in shown.splitlines() if line.strip()]
    assert len(body) < 40
    for line in body:
        assert line in script
