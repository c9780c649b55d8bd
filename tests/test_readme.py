"""The README's Python example prints what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


BLOCK = re.compile(r"<!-- test: .*?```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_print_what_is_printed(page: Path) -> None:
    blocks = BLOCK.findall(page.read_text())
    assert blocks
    for code, expected in blocks:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected.strip()


def test_the_solver_of_ones_own_is_the_example() -> None:
    script = (ROOT / "examples" / "write_your_own_solver.py").read_text()
    shown = README.partition("## Write your own solver")[2].split("```python\n")[1].split("```")[0]
    body = [line for line in shown.splitlines() if line.strip()]
    assert len(body) < 40
    for line in body:
        assert line in script
