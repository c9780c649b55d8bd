"""Analyzers, findings and the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import toy_entry
from toys import SquareRoot

import sparseopt as so
from sparseopt.choosing.discovery import Registry, Source

Install = Callable[..., Registry]


def toy_analyzers(**classes: str) -> Source:
    entries = tuple(
        so.AnalyzerEntry(name, f"toys:{cls}", "toys:SquareRoot", "toy")
        for name, cls in classes.items()
    )
    manifest = so.Manifest("toy", 1, "toy", solvers=(toy_entry("search"),), analyzers=entries)
    return Source("toy", "toy-dist", lambda: manifest)


def test_every_analyzer_that_applies_runs_and_faults_are_isolated(install: Install) -> None:
    install(toy_analyzers(b_parity="Parity", a_breaks="Breaks", c_unproved="Unproved"))
    report = so.analyze(SquareRoot(49))
    assert [f.rule for f in report.findings] == ["analyzer-failed", "root", "certificate-refused"]
    assert "analyzer on fire" in report.findings[0].message
    assert not report.ok
    assert so.analyze(SquareRoot(49), only="b_parity").ok
    assert so.verify(so.analyze(SquareRoot(49), only=["b_parity"])).ok
    blocked = so.analyze(SquareRoot(49), block=["a_breaks", "c_unproved"])
    assert [s.name for s in blocked.skipped] == ["a_breaks", "c_unproved"]


def test_refusals_options_and_names(install: Install) -> None:
    install(toy_analyzers(parity="Parity"))
    assert "interesting" in so.analyze(SquareRoot(0)).skipped[0].reason
    finding = so.analyze(SquareRoot(4), loud=True).findings[0]
    assert finding.severity is so.Severity.WARNING
    with pytest.raises(so.UnknownNameError, match="Known: loud"):
        so.analyze(SquareRoot(4), quiet=True)
    with pytest.raises(so.UnknownNameError, match="Known: parity"):
        so.analyze(SquareRoot(4), only=["x"])
    with pytest.raises(so.ProblemError, match="no plugin reads an object of type"):
        so.analyze(3)


def test_report_travels_by_json_and_html(install: Install, tmp_path: Path) -> None:
    install(toy_analyzers(parity="Parity"))
    report = so.analyze(SquareRoot(49))
    body = json.loads(report.to_json())
    assert body["findings"][0]["severity"] == "ok"
    back = so.Report.from_json(report.to_json())
    assert back.to_json() == report.to_json()
    page = report.to_html(tmp_path / "report.html").read_text()
    assert "accepted by the core" in page
    assert "<svg" in page
    assert "7 squared is 49" in page


def test_report_without_matplotlib_says_so(
    install: Install, tmp_path: Path, without: Callable[[str], None]
) -> None:
    install(toy_analyzers(parity="Parity"))
    report = so.analyze(SquareRoot(49))
    without("matplotlib")
    page = report.to_html(tmp_path / "report.html").read_text()
    assert "matplotlib is not installed" in page


def test_html_escapes_what_it_shows(tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>"
    finding = so.Finding(nasty, so.Severity.INFO, nasty, nasty, {nasty: nasty}, nasty)
    page = so.Report(nasty, (finding,)).to_html(tmp_path / "x.html").read_text()
    assert "<script>" not in page


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (300, 200), (0, 4)])
def test_support_figures_of_any_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    support = np.zeros(shape, dtype=bool)
    figure = so.SupportFigure("s", {"I": support, "J": support}, {"I": [(0, 0)]})
    finding = so.Finding("r", so.Severity.OK, "w", "m", figure=figure)
    assert "<svg" in so.Report("x", (finding,)).to_html(tmp_path / "x.html").read_text()


def test_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(so.ProblemError, match="cannot write"):
        so.Report("x", ()).to_html(tmp_path / "none" / "x.html")
    assert list(tmp_path.iterdir()) == []
