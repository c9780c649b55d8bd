"""What people meet who print, show or tabulate an object: short, safe, and true to it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks import Dense, Relu, chain
from sparseopt.tools.report.notebook import MOST_CHARACTERS
from sparseopt.tools.report.numbers import number, power_of_ten

LU = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
CNN = Path(__file__).parents[3] / "examples" / "networks" / "digits_cnn.onnx"
HOSTILE = "<script>alert('&')</script>\x1b[2K" * 30


def deep() -> Any:
    """Return a network with many layers of awkward names."""
    return chain((9,), *(op for _ in range(60) for op in (Dense(np.eye(9)), Relu())))


def large() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    lower = np.tri(40, dtype=int)
    wide = so.solve(so.Closedness([lower, lower.T]))
    architecture = so.Architecture.square_dyadic(1024)
    factors = [rng.standard_normal(p.values_shape) for p in architecture]
    product = so.KroneckerProduct(factors, architecture)
    design = rng.standard_normal((40, 300))
    lasso = so.solve(so.SparseRegression(design, design[:, 0], so.L1(1.0)))
    network = deep()
    findings = [
        so.Finding(f"rule-{i}", so.Severity.WARNING, HOSTILE, HOSTILE, rng.standard_normal(5000))
        for i in range(100)
    ]
    norm = so.solve(so.PathNorm(network))
    return {
        "report": so.analyze(so.load_network(CNN)),
        "hostile report": so.Report(HOSTILE, tuple(findings)),
        "empty report": so.Report("nothing", ()),
        "solution": wide,
        "lasso": lasso,
        "path-norm": norm,
        "plan": wide.plan,
        "plan of many": so.plan(so.SparseRegression(design, design[:, 0], so.L1(1.0))),
        "certificate": wide.certificate,
        "gap": lasso.certificate,
        "norm": norm.certificate,
        "network": network,
        "product": product,
        "pruning": so.prune(network, 0.2),
    }


LARGE = large()


class Balanced(HTMLParser):
    """Refuses HTML whose elements are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", LARGE)
def test_what_is_shown_is_short_and_safe(name: str) -> None:
    shown = LARGE[name]
    page = shown._repr_html_()
    assert len(page) < MOST_CHARACTERS == 1500
    assert len(repr(shown)) < 1500
    assert "\n" not in repr(shown)
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    assert "script" not in parser.seen
    assert "\x1b" not in page + repr(shown)


NO_ARRAYS = {"Context", "Manifest", "PoolingShape", "PrunedTensor"}
"""Public dataclasses of a few words and numbers; with the entries of manifests."""


def test_no_public_dataclass_lists_its_arrays() -> None:
    for name in so.__all__:
        cls = getattr(so, name)
        if not dataclasses.is_dataclass(cls) or name in NO_ARRAYS or name.endswith("Entry"):
            continue
        shown = object.__new__(cls)  # type: ignore[call-overload]
        for field in dataclasses.fields(cls):
            object.__setattr__(shown, field.name, [0] * 10**4)
        try:
            words = repr(shown)
        except AttributeError:
            continue  # a repr of its own, which says what it is about
        assert len(words) < MOST_CHARACTERS, name


def test_costs_of_many_layers_have_a_short_repr() -> None:
    costs = so.solve(so.PathCost(deep())).answer
    assert repr(costs).startswith("PathCosts(shares={")
    assert len(repr(costs)) < MOST_CHARACTERS


def test_findings_and_figures_have_short_reprs() -> None:
    for finding in LARGE["report"]:
        assert len(repr(finding)) < 800
        assert len(repr(finding.figure)) < 500


def test_a_report_is_gone_through_and_asked_by_rule() -> None:
    report = LARGE["report"]
    assert list(report) == list(report.findings)
    (dead,) = report["dead-units"]
    assert (dead.rule, dead.where) == ("dead-units", "/8/Gemm")
    assert report["no-such-rule"] == []
    assert "dead-units" in report
    assert dead in report
    assert "no-such-rule" not in report
    with pytest.raises(TypeError, match="by the name of a rule"):
        report[0]
    assert len([f for rule in {f.rule for f in report} for f in report[rule]]) == len(
        report.findings
    )


def test_a_report_is_a_table() -> None:
    report = LARGE["report"]
    table = report.to_frame()
    assert list(table.rule) == [f.rule for f in report]
    assert set(table[table.rule == "path-norm"].proof) == {"accepted"}
    assert set(table[table.rule == "dead-units"].proof) == {""}
    assert np.array_equal(
        table[table.rule == "dead-units"].value.iloc[0], [0, 1, 7, 12, 13, 19, 21, 22, 28]
    )
    again = so.Report.from_json(report.to_json()).to_frame()
    assert set(again[again.rule == "path-norm"].proof) == {"not checked"}
    assert so.Report("nothing", ()).to_frame().shape == (0, len(table.columns))


def test_without_pandas_the_remedy_is_named(without: Callable[[str], None]) -> None:
    without("pandas")
    with pytest.raises(ImportError, match=r"pip install 'sparseopt\[notebook\]'"):
        LARGE["report"].to_frame()


def test_a_claim_that_nobody_checked_is_called_one() -> None:
    solution = so.Solution.from_json(so.solve(so.Closedness(LU)).to_json())
    assert "not checked here" in solution._repr_html_()
    assert "claimed" in solution._repr_html_()
    assert "not checked here" in solution.certificate._repr_html_()
    assert repr(solution.certificate).startswith("<NotClosedCertificate claims: ")
    assert so.verify(solution)
    assert "proved" in solution._repr_html_()


def test_a_certificate_of_nonsense_can_be_shown() -> None:
    good: Any = so.solve(so.Closedness(LU)).certificate
    fields = {n: getattr(good, n) for n in ("answer", "rows", "columns", "left", "right")}
    bad = so.NotClosedCertificate(
        problem=None,  # type: ignore[arg-type]
        **{**fields, "rows": "nonsense", "answer": None},
        limit=None,
        reductions=None,
        **{n: None for n in ("exclusion",) if hasattr(good, n)},
    )
    assert "NotClosedCertificate" in repr(bad)
    assert len(bad._repr_html_()) < 1500


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-12, "-12"),
        (np.int64(7), "7"),
        (10**40, "1e+40"),
        (-(10**400), "-10^400"),
        (3.0, "3"),
        (1234567.0, "1.23457e+06"),
        (0.1 + 0.2, "0.3"),
        (np.float32(0.5), "0.5"),
        (float("nan"), "nan"),
        (-float("inf"), "-inf"),
        (True, "yes"),
        (None, ""),
        ("words", "words"),
    ],
)
def test_numbers_have_one_form(value: Any, text: str) -> None:
    assert number(value) == text


def test_powers_of_ten_are_numbers_where_a_float_holds_them() -> None:
    assert power_of_ten(np.log10(7.0)) == "7"
    assert power_of_ten(-np.inf) == "0"
    assert power_of_ten(400.25) == "10^400.25"
    assert power_of_ten(-5.5) == "10^-5.5"


def test_the_numbers_of_a_report_have_six_digits_unless_they_are_whole() -> None:
    for figure in re.findall(r"\d+\.\d+", str(LARGE["report"])):
        assert len(figure.replace(".", "").lstrip("0")) <= 6, figure
