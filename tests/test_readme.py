"""The README's Python example prints what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_example_prints_what_is_printed() -> None:
    found = re.search(r"<!-- test: .*?```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)
    assert found
    code, expected = found.groups()
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
