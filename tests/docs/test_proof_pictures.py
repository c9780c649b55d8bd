"""Pictures of worked proofs: what is drawn is what the certificate says, one for each section."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import sparseopt as so

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs" / "_ext"))
import sparseopt_proofs  # noqa: E402

TEXT = (ROOT / "docs" / f"{sparseopt_proofs.PAGE}.md").read_text(encoding="utf-8")
LU = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]


def words(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_the_terms_the_limit_and_the_way_there() -> None:
    figure = sparseopt_proofs.picture(so.solve(so.Closedness(LU), "lu_pattern"))
    terms, limit, way = figure.axes
    assert sorted(words(terms)) == ["0", "0", "0", "0", "1"]
    assert words(limit) == ["0", "1", "1", "0"]
    falls, grows = (line.get_ydata() for line in way.lines)
    assert falls[0] / falls[-1] > 500 < grows[-1] / grows[0]


def test_the_steps_of_a_staircase() -> None:
    supports = [[[0, 1, 1], [1, 1, 1], [1, 1, 1]], [[0, 1, 1], [1, 1, 0], [1, 0, 1]]]
    figure = sparseopt_proofs.picture(so.solve(so.Closedness(supports)))
    bars = [bar.get_height() for bar in figure.axes[1].patches]
    assert all(lacks <= place for place, lacks in enumerate(bars))
    assert len(bars) == 2


@pytest.mark.slow
def test_every_section_has_a_picture(tmp_path: Path) -> None:
    page = sparseopt_proofs.illustrated(TEXT, tmp_path, "pictures")
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    assert len(pictures) == TEXT.count("\n## ")
    assert all(f"(pictures/{name})" in page for name in pictures)
