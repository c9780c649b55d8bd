"""Findings as a table of pandas."""

from __future__ import annotations

from typing import Any

from sparseopt.choosing.availability import is_installed
from sparseopt.interface.finding import Finding
from sparseopt.interface.report import Report
from sparseopt.judging.check import remembered
from sparseopt.judging.finding_rules import agrees

COLUMNS = ("rule", "severity", "where", "message", "remedy", "proof", "value")


def frame(report: Report) -> Any:
    """Return one row a finding; see `Report.to_frame`."""
    if not is_installed("pandas"):
        raise ImportError(
            "a table of findings needs pandas, which is not installed; "
            "remedy: pip install 'sparseopt[notebook]'"
        )
    import pandas as pd

    rows = [(*_texts(finding), _proof(finding), finding.value) for finding in report.findings]
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    kinds = {name: object if name == "value" else str for name in COLUMNS}
    return pd.DataFrame(
        {
            name: pd.Series(list(column), dtype=kinds[name])
            for name, column in zip(COLUMNS, columns, strict=True)
        }
    )


def _texts(finding: Finding) -> tuple[str, ...]:
    severity = finding.severity.value
    return finding.rule, severity, finding.where, finding.message, finding.remedy


def _proof(finding: Finding) -> str:
    if finding.certificate is None:
        return ""
    judged = remembered(finding.certificate)
    if judged is None:
        return "not checked"
    return "accepted" if judged.ok and agrees(finding) else "refused"
