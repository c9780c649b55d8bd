"""The pages made from the manifests are fresh, and no finding has a rule that they lack."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import registry_pages

import sparseopt as so
from sparseopt.choosing.analysis import CORE_RULES
from sparseopt.interface.finding import Severity

ROOT = Path(__file__).parents[2]
DECLARED = {
    rule: said for entry in registry_pages.own("analyzers") for rule, said in entry.rules.items()
}


@pytest.mark.parametrize("path", list(registry_pages.PAGES), ids=lambda path: path.name)
def test_the_page_is_that_of_the_manifests(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == registry_pages.PAGES[path](), (
        "write it anew by: python tests/support/registry_pages.py"
    )


@pytest.mark.parametrize("entry", registry_pages.own("analyzers"), ids=lambda entry: entry.name)
def test_an_analyzer_declares_its_rules(entry: so.AnalyzerEntry) -> None:
    """Read from the source: what stands first in each ``Finding(...)``."""
    module = entry.path.partition(":")[0].replace(".", "/")
    tree = ast.parse((ROOT / "plugins" / f"{module}.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = [call.args[0] for call in calls if ast.unparse(call.func).endswith("Finding")]
    assert made, "no finding is made"
    for rule in made:
        if isinstance(rule, ast.Constant):
            assert rule.value in entry.rules
        else:  # an f-string: its beginning
            assert isinstance(rule, ast.JoinedStr)
            start = rule.values[0]
            assert isinstance(start, ast.Constant)
            assert any(name.startswith(str(start.value)) for name in entry.rules)


def test_each_rule_begins_with_its_severities() -> None:
    words = {severity.value for severity in Severity}
    for rule, said in {**DECLARED, **CORE_RULES}.items():
        severity, colon, meaning = said.partition(": ")
        assert colon, rule
        assert meaning, rule
        assert severity.split()[0].strip(",") in words, rule


@pytest.mark.parametrize("name", ["digits_mlp.onnx", "digits_cnn.onnx", "supports"])
def test_what_reports_hold_is_declared_with_its_severity(name: str) -> None:
    if name == "supports":
        report = so.analyze(so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]))
    else:
        pytest.importorskip("onnx", reason="needs the extra onnx")
        report = so.analyze(so.load_network(str(ROOT / "examples" / "networks" / name)))
    assert report.findings
    for finding in report.findings:
        severities = DECLARED[finding.rule].partition(": ")[0]
        assert finding.severity.value in severities.replace(",", "").split(), finding.rule


def test_the_rules_of_the_core_are_those_that_it_writes() -> None:
    source = (ROOT / "sparseopt" / "choosing" / "analysis.py").read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    made = [call.args[0] for call in calls if ast.unparse(call.func) == "Finding"]
    assert {rule.value for rule in made if isinstance(rule, ast.Constant)} == set(CORE_RULES)
