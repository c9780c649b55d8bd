"""A Report: the findings of one subject."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.finding import Finding, Severity
from sparseopt.interface.json_type import json_type, require_kinds
from sparseopt.interface.printing import printable
from sparseopt.interface.seams import drawn, notebook_page, render_page, table_of_findings
from sparseopt.interface.whole_file import write_whole
from sparseopt.judging.check import remembered
from sparseopt.judging.finding_rules import agrees
from sparseopt.judging.serialization import from_json, to_json


@json_type
@dataclass(frozen=True)
class Skipped:
    """An analyzer that did not run, and why."""

    name: str
    reason: str


@json_type
@dataclass(frozen=True, eq=False)
class Report:
    """What `analyze` returns.

    Attributes
    ----------
    subject : str
        What was analyzed, in words.
    findings : tuple of Finding
        In the order of the analyzers' names.
    skipped : tuple of Skipped
        Analyzers that did not run, with the reason.
    seconds : float
        Wall time.
    """

    subject: str
    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...] = ()
    seconds: float = 0.0

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON; sequences as plain lists."""
        return {
            "subject": self.subject,
            "ok": self.ok,
            "findings": list(self.findings),
            "skipped": list(self.skipped),
            "seconds": self.seconds,
        }

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Report:
        """Inverse of `to_fields`; ``ok`` follows from the findings and is not believed."""
        kinds = {
            "subject": str,
            "ok": bool,
            "findings": list,
            "skipped": list,
            "seconds": int | float,
        }
        require_kinds("a report", fields, kinds)
        findings, skipped = tuple(fields["findings"]), tuple(fields["skipped"])
        if not all(isinstance(finding, Finding) for finding in findings):
            raise ProblemError("findings must hold findings only")
        if not all(isinstance(item, Skipped) for item in skipped):
            raise ProblemError("skipped must hold skipped analyzers only")
        return cls(fields["subject"], findings, skipped, float(fields["seconds"]))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __contains__(self, rule: object) -> bool:
        """Whether a rule, by its name, found something."""
        return any(rule in (finding, finding.rule) for finding in self.findings)

    def __getitem__(self, rule: str) -> list[Finding]:
        """Return the findings of a rule, in order; none if the rule found nothing."""
        if not isinstance(rule, str):
            raise TypeError("a report is asked by the name of a rule; report.findings is a tuple")
        return [finding for finding in self.findings if finding.rule == rule]

    @property
    def ok(self) -> bool:
        """Whether no finding is of severity problem."""
        return all(finding.severity is not Severity.PROBLEM for finding in self.findings)

    def summary(self) -> str:
        """Return the number of findings per severity, and of certificates checked here."""
        counts = Counter(finding.severity for finding in self.findings)
        several = {s for s in (Severity.PROBLEM, Severity.WARNING) if counts[s] > 1}
        words = [
            f"{counts[s]} {s.value}{'s' * (s in several)}" for s in reversed(Severity) if counts[s]
        ]
        proofs = [f for f in self.findings if f.certificate is not None]
        checked = sum(bool(remembered(f.certificate)) and agrees(f) for f in proofs)
        proved = "no certificates"
        if proofs:
            how = f"{'all ' * (len(proofs) > 1)}checked by the core"
            if checked < len(proofs):
                how = f"{checked} checked here (so.verify checks the others)"
            proved = f"{len(proofs)} certificate{'s' * (len(proofs) > 1)}, {how}"
        return f"{', '.join(words) or 'no findings'}; {proved}"

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the report as JSON; ``sparseopt verify`` checks every certificate in it."""
        return to_json(self, indent=indent)

    @staticmethod
    def from_json(text: str) -> Report:
        """Return what `to_json` wrote."""
        report = from_json(text)
        if not isinstance(report, Report):
            raise ProblemError(f"the JSON holds a {type(report).__name__}, not a Report")
        return report

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write one self-contained page with figures; figures need matplotlib.

        The file appears complete or not at all. Returns its path.
        """
        write_whole(path, render_page(self))
        return Path(path)

    def __len__(self) -> int:
        return len(self.findings)

    def to_frame(self) -> Any:
        """Return a pandas table of one row a finding (extra ``notebook``).

        Columns: rule, severity, where, message, remedy, proof ("accepted", "refused", "not checked"
        or empty), value. ImportError with the remedy where pandas is not installed.
        """
        return table_of_findings(self)

    def plot(self, ax: Any = None) -> Any:
        """Draw the figures of all findings; return the matplotlib Axes, which holds them."""
        return drawn(self, ax)

    def _repr_html_(self) -> str:
        return notebook_page(self)

    def __repr__(self) -> str:
        """Return one line; `str` lists the findings."""
        return f"<Report on {printable(self.subject, 200)}: {self.summary()}>"

    def __str__(self) -> str:
        lines = [printable(self.subject, 200), self.summary(), ""]
        lines += [str(finding) for finding in self.findings]
        lines += [printable(f"[skipped] {item.name}: {item.reason}", 2000) for item in self.skipped]
        return "\n".join(lines)
