"""The examples of the README and of the pages print what is written there."""

from __future__ import annotations

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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_print_what_is_printed(page: Path) -> None:
    for code, expected in BLOCK.findall(page.read_text()):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected.strip()


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
