"""The closedness of supports on the benchmark page is that of the results, and is drawn."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs" / "_ext"))
import sparseopt_closedness_table as page  # noqa: E402


def test_the_table_is_that_of_the_results() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert page.table() in text, "python docs/_ext/sparseopt_closedness_table.py prints it"
    assert text.count(page.MARK) == 1


def test_the_figure_shows_all_draws() -> None:
    small, large, box = page.figure().axes
    for axes in (small, large):
        heights = [bar.get_height() for bar in axes.patches]
        assert sum(heights) == 20 * len(axes.get_xticks())
    cells = [text.get_text() for text in box.texts]
    assert len(cells) == 53
    lu = sum(int(text.split("\n")[0]) for text in cells)
    stages = page.together(cell for _, cell in page.cells(page.results("curves")["box6"]["cells"]))[
        0
    ]
    assert lu == sum(count for stage, count in stages.items() if "lu_pattern" in stage)
