"""`verify`: re-check a solution, certificate, report or file without the engine that made it."""

from __future__ import annotations

import os
from typing import Any

from sparseopt.certificate import Certificate, Check, check_certificate
from sparseopt.errors import ProblemError
from sparseopt.files import read_text
from sparseopt.finding import Finding
from sparseopt.report import Report
from sparseopt.serialization import from_json
from sparseopt.solution import Solution


def verify(subject: Any) -> Check:
    """Check a solution, a certificate, a finding, a report, or the JSON file of one.

    Parameters
    ----------
    subject : Solution, Certificate, Finding, Report, str or path
        A string is the path of a file written by ``to_json`` or by a command with ``--json``.

    Returns
    -------
    Check
        ``.ok``, ``.claim`` and ``.details``, one line per step, the failing one last.

    Examples
    --------
    >>> import sparseopt as so
    >>> print(so.verify(so.solve(so.Closedness([[[1, 1]], [[1], [1]]]))).ok)
    True
    """
    if isinstance(subject, str | os.PathLike):
        subject = from_json(read_text(subject))
    if isinstance(subject, Solution):
        if subject.certificate is None:
            line = f"FAILED: there is a certificate ({subject.status.name}: {subject.status})"
            return Check(False, "nothing: the answer claims nothing", (line,))
        return check_certificate(subject.certificate, subject.problem, subject.answer)
    if isinstance(subject, Certificate):
        return check_certificate(subject)
    if isinstance(subject, Finding):
        return _verify_all([subject], f"the certificate of {subject.rule} at {subject.where} holds")
    if isinstance(subject, Report):
        return _verify_all(subject.findings, "every certificate of the report holds")
    raise ProblemError(
        f"verify takes a Solution, Certificate, Finding, Report or a path, "
        f"got {type(subject).__name__}"
    )


def _verify_all(findings: Any, claim: str) -> Check:
    lines: list[str] = []
    checked = 0
    for finding in findings:
        if finding.certificate is None:
            continue
        checked += 1
        check = check_certificate(finding.certificate)
        lines.append(f"{finding.rule} at {finding.where}: {check.claim}")
        lines += [f"  {line}" for line in check.details]
        if not check.ok:
            return Check(False, claim, tuple(lines))
    if not checked:
        return Check(False, claim, ("FAILED: there is a certificate to check",))
    return Check(True, claim, (*lines, f"{checked} certificates checked"))
