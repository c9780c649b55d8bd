"""Analyzers, findings and the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import toy_entry
from toys import Parity, SquareRoot, Unproved

import sparseopt as so
from sparseopt.choosing.discovery import Registry, Source

Install = Callable[..., Registry]
MLP = Path(__file__).parents[2] / "examples" / "networks" / "digits_mlp.onnx"


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


def test_an_analyzer_of_ones_own_needs_no_plugin(install: Install) -> None:
    install(toy_analyzers(parity="Parity"))
    (finding,) = so.analyze(SquareRoot(49), Parity(loud=True))
    assert finding.severity is so.Severity.WARNING
    both = so.analyze(SquareRoot(49), ["parity", Parity()], loud=True)
    assert [finding.severity.value for finding in both] == ["warning", "warning"]
    assert len(list(so.analyze(SquareRoot(49), "parity"))) == 1
    skipped = so.analyze(SquareRoot(0), Parity()).skipped
    assert [(each.name, "interesting" in each.reason) for each in skipped] == [("Parity", True)]
    unproved = so.analyze(SquareRoot(49), Unproved()).findings[0]
    assert unproved.rule == "certificate-refused"
    assert "check_analyzer on Unproved" in unproved.remedy
    with pytest.raises(so.UnknownNameError, match="Known: loud"):
        so.analyze(SquareRoot(4), Parity(), quiet=True)


@pytest.mark.parametrize(
    ("analyzers", "words"),
    [
        (Parity, r"pass an instance: Parity\(\)"),
        ([Parity], r"pass an instance: Parity\(\)"),
        (3, "names or Analyzer instances, got 3"),
        ([Parity(), None], "got None"),
    ],
)
def test_what_is_no_analyzer_is_refused(analyzers: Any, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.analyze(SquareRoot(4), analyzers)


def test_analyzers_are_given_once() -> None:
    with pytest.raises(so.ProblemError, match="not both"):
        so.analyze(SquareRoot(4), Parity(), only="parity")


class Yields(Parity):
    """Returns what it is told to."""

    found: Any = None

    def analyze(self, subject: Any, context: so.Context) -> Any:
        return self.found


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (so.Finding("r", so.Severity.OK, "w", "m"), "yields findings, or returns a list of them"),
        (["words"], "yields Finding objects, not a str"),
        (None, "not a NoneType"),
    ],
)
def test_faults_of_an_analyzer_are_named(found: Any, words: str) -> None:
    yields = type("Yields", (Yields,), {"found": found})()
    (finding,) = so.analyze(SquareRoot(4), yields)
    assert finding.rule == "analyzer-failed"
    assert words in finding.message


class Stops(Yields):
    """Yields two findings, the second with a claim that is false, and stops."""

    def analyze(self, subject: Any, context: so.Context) -> Any:
        yield so.Finding("first", so.Severity.INFO, "w", "m")
        yield from Unproved().analyze(subject, context)
        raise self.found


@pytest.mark.parametrize("fault", [ZeroDivisionError("by zero"), SystemExit(3)])
def test_what_an_analyzer_found_before_it_failed_stays(
    fault: BaseException, install: Install
) -> None:
    install(toy_analyzers(parity="Parity"))
    stops = type("Stops", (Stops,), {"found": fault})()
    report = so.analyze(SquareRoot(49), [stops, Parity()])
    rules = ["first", "certificate-refused", "analyzer-failed", "root"]
    assert [finding.rule for finding in report] == rules
    (failed,) = report["analyzer-failed"]
    assert f"{type(fault).__name__}: {fault} (test_analysis.py, line " in failed.message
    assert "; the 2 findings" in failed.message
    assert "check_analyzer on Stops" in failed.remedy
    one = type("One", (Yields,), {"found": [report["first"][0], "words"]})()
    first, failed = so.analyze(SquareRoot(49), one)
    assert first.rule == "first"
    assert "not a str; the finding that it had made before stays" in failed.message


def test_the_subject_may_be_of_any_type_and_files_are_read() -> None:
    @dataclass(frozen=True)
    class Names(so.Analyzer[Any]):
        def accepts(self, subject: Any) -> so.Accepted:
            return so.Accepted()

        def analyze(self, subject: Any, context: so.Context) -> Any:
            yield so.Finding("kind", so.Severity.INFO, "subject", type(subject).__name__)

    for subject, kind in (
        (3, "int"),
        (np.eye(2), "ndarray"),
        (MLP, "Network"),
        (str(MLP), "Network"),
    ):
        assert [finding.message for finding in so.analyze(subject, Names())] == [kind]
    with pytest.raises(so.ProblemError, match="does not exist"):
        so.analyze("no.onnx", Names())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rule": ""}, "rule of a finding must not be empty: say which rule it is of"),
        ({"rule": None}, "rule of a finding cannot be a NoneType"),
        ({"severity": "info"}, "one of so.Severity.OK, .* not 'info'"),
        ({"where": "  "}, "where of a finding must not be empty: say the place"),
        ({"where": 3}, "where of a finding cannot be a int"),
        ({"message": ""}, "message of a finding must not be empty: say what was found"),
        ({"remedy": None}, "remedy of a finding cannot be a NoneType"),
        ({"certificate": "yes"}, "certificate of a finding cannot be a str"),
        ({"figure": [1]}, "figure of a finding cannot be a list"),
        ({"key_figures": (1,)}, "key figures only"),
        ({"key_figures": None}, "key_figures of a finding cannot be a NoneType"),
    ],
)
def test_findings_are_validated_when_built(fields: dict[str, Any], words: str) -> None:
    whole = {"rule": "a-rule", "severity": so.Severity.OK, "where": "w", "message": "m"}
    assert so.Finding(**whole).rule == "a-rule"  # type: ignore[arg-type]
    with pytest.raises(so.ProblemError, match=words):
        so.Finding(**{**whole, **fields})  # type: ignore[arg-type]


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
