"""Laws of an analyzer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sparseopt.interface.analyzer import Analyzer
from sparseopt.interface.context import Context
from sparseopt.interface.finding import Finding, Severity
from sparseopt.interface.verdict import Accepted
from sparseopt.judging.check import check_certificate
from sparseopt.judging.finding_rules import agrees
from sparseopt.judging.serialization import from_json, same_content, to_json
from sparseopt.testing import laws
from sparseopt.testing.outcome import Conformance, listed, require


def check_analyzer(
    analyzer: Analyzer[Any] | type,
    subjects: Iterable[Any],
    *,
    expected_failures: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Conformance:
    """Run every law of `Analyzer` on `analyzer` over some subjects.

    Laws, by name: ``settings``, ``import``, ``accepts``, ``unchanged``, ``findings`` (complete,
    actionable, certificates accepted by the core), ``round_trip``, ``deterministic``.
    Parameters, result and errors are those of `check_solver`.
    """
    subjects = listed(subjects, "subjects", "check_analyzer(analyzer, [subject])")
    cls = analyzer if isinstance(analyzer, type) else type(analyzer)
    outcome = Conformance(cls.__qualname__, expected_failures or {})
    if not outcome.run("settings", "", lambda: laws.settings_only(cls)):
        return outcome.finish()
    outcome.run("import", "", lambda: laws.imports_quietly(cls))
    engine = cls() if isinstance(analyzer, type) else analyzer
    accepted = 0
    for i, subject in enumerate(subjects):
        accepted += _check_on(outcome, engine, subject, f"subject {i}", seed)
    if not accepted:
        outcome.failed.append("findings: no subject was accepted")
    return outcome.finish()


def _check_on(
    outcome: Conformance, engine: Analyzer[Any], subject: Any, where: str, seed: int
) -> bool:
    """Run the laws on one subject; return whether the analyzer did not refuse it."""
    before = laws.content(subject)
    if not outcome.run("accepts", where, lambda: laws.accepts_lawfully(engine, subject)):
        return True
    if not isinstance(engine.accepts(subject), Accepted):
        return False
    findings: list[Finding] = []

    def find() -> None:
        found = engine.analyze(subject, Context(seed=seed))
        kind = type(found).__name__
        require(isinstance(found, Iterable), f"analyze must yield findings, it returned a {kind}")
        findings.extend(found)

    if not outcome.run("findings", where, find):
        return True
    outcome.run(
        "unchanged", where, lambda: require(laws.content(subject) == before, "subject changed")
    )
    for finding in findings:
        outcome.run("findings", where, lambda finding=finding: _finding(finding))  # type: ignore[misc]
    if not all(isinstance(finding, Finding) for finding in findings):
        return True
    outcome.run("round_trip", where, lambda: _round_trip(findings))

    def deterministic() -> None:
        again = list(engine.analyze(subject, Context(seed=seed)))
        require(same_content(again, findings), "two calls with one seed differ")

    outcome.run("deterministic", where, deterministic)
    return True


def _finding(finding: Any) -> None:
    require(type(finding) is Finding, f"{finding!r} is not a Finding")
    named = re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", finding.rule) is not None
    require(named, f"the rule {finding.rule!r} is no name like 'supports-not-closed'")
    if finding.severity in (Severity.WARNING, Severity.PROBLEM):
        require(bool(finding.remedy), f"{finding.rule}: a warning must say what to do")
    if finding.certificate is not None:
        check = check_certificate(finding.certificate)
        require(check.ok, f"{finding.rule}: {check}")
        require(agrees(finding), f"{finding.rule}: its certificate proves something else")


def _round_trip(findings: list[Finding]) -> None:
    back = from_json(to_json(findings))
    require(same_content(back, findings), "the findings change on their way through JSON")
