"""Every line that refuses a certificate is the one that stops some forgery."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import forgeries_closedness
import pytest
from forgeries_closedness import outcome

import sparseopt as so

FORGED = list(forgeries_closedness.forged())
HONEST = list(forgeries_closedness.honest())
ROOT = Path(so.__file__).parent
JUDGING = [
    *(ROOT / "closedness").rglob("*.py"),
    *(
        ROOT / name
        for name in (
            "judging/evidence.py",
            "judging/exact.py",
            "training/sparse_training.py",
            "training/data_without_optimum.py",
            "training/opposite_targets.py",
            "training/repeated_pattern.py",
        )
    ),
]


@pytest.mark.parametrize(("name", "certificate"), FORGED, ids=[name for name, _ in FORGED])
def test_refused_by_its_line(name: str, certificate: Any) -> None:
    found, line = outcome(certificate)
    assert found == ("relies on" if name.startswith("NOT CHECKED") else "refused")
    assert name.partition(" | ")[0] in line
    assert "the check itself broke" not in line


@pytest.mark.parametrize(("name", "certificate"), HONEST, ids=[name for name, _ in HONEST])
def test_accepted(name: str, certificate: Any) -> None:
    if callable(certificate):  # a law
        assert certificate().ok
        return
    assert so.verify(certificate).ok, so.verify(certificate)
    again = so.from_json(so.to_json(certificate))
    assert so.verify(again).ok
    assert again.explain() == certificate.explain()
    assert again.accuracy == certificate.accuracy


def test_names_are_distinct() -> None:
    for listed in (FORGED, HONEST):
        twice = [name for name, count in Counter(name for name, _ in listed).items() if count > 1]
        assert not twice


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("int_limit_rank_in_floats", "no higher rank than 1"),
        ("one_by_one_not_closed_says_z3", "curve of order 0"),
        ("reason_is_free_text", "any two rectangles"),
    ],
)
def test_files_that_were_once_accepted(name: str, words: str) -> None:
    check = so.verify(Path(__file__).parent / "forged" / f"{name}.json")
    assert check.outcome == "refused"
    assert words in check.details[-1]


REFUSAL = re.compile(r"^\s*raise \w+\(|\.require\((?!True)")


def test_every_refusal_of_the_judge_is_met() -> None:
    """Each line that refuses runs, and refuses, for some forgery: by a trace of all of them."""
    met: set[tuple[str, int]] = set()
    files = {str(path): path.read_text().splitlines() for path in JUDGING}

    def trace(frame: Any, event: str, value: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "exception":
            met.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for _, certificate in FORGED:
            outcome(certificate)
    finally:
        sys.settrace(before)
    refusals = {
        (path, number): line
        for path, lines in files.items()
        for number, line in enumerate(lines, start=1)
        if REFUSAL.search(line)
    }
    assert len(refusals) > 90
    assert not [line for place, line in refusals.items() if place not in met]
