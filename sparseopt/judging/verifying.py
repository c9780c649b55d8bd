"""`verify`: re-check a solution, certificate, report or file without the engine that made it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from sparseopt.interface.certificate import Certificate, Check, Outsiders, Steps
from sparseopt.interface.context import Context, Progress
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.finding import Finding
from sparseopt.interface.printing import printable
from sparseopt.interface.report import Report
from sparseopt.interface.seams import find_outsider
from sparseopt.interface.solution import Solution, Status, described_accuracy
from sparseopt.judging.check import check_certificate, remember
from sparseopt.judging.files import read_text
from sparseopt.judging.finding_rules import require_agreement
from sparseopt.judging.serialization import from_json


def verify(
    subject: Solution[Any, Any] | Certificate | Finding | Report | str | os.PathLike[str],
    allow: Iterable[str] = (),
    progress: Progress | None = None,
) -> Check:
    """Check a solution, a certificate, a finding, a report, or the JSON file of one.

    Parameters
    ----------
    subject : Solution, Certificate, Finding, Report, str or path
        A string is the path of a file written by ``to_json`` or by a command with ``--json``.
    allow : iterable of str
        Outside programs, such as ``"z3"``, that may be asked again where a certificate rests on
        their word. Without it such a certificate is not accepted: the outcome is "relies on".
        This is the one case in which a plugin is loaded.
    progress : callable(fraction, message) or None
        Called before each certificate, and at the end.

    Returns
    -------
    Check
        ``.ok``, ``.outcome``, ``.claim`` and ``.details``, one line per step, the failing one
        last. Texts that a file may hold freely are left out, or marked as not checked.

    Raises
    ------
    ProblemError
        If the file is no such file, or an outside program is not known or not installed.

    Examples
    --------
    >>> import sparseopt as so
    >>> print(so.verify(so.solve(so.Closedness([[[1, 1]], [[1], [1]]]))).ok)
    True
    """
    if progress is not None:
        return _told(subject, allow, Context(progress=progress))
    outsiders = _outsiders(allow)
    if isinstance(subject, str | os.PathLike):
        subject = from_json(read_text(subject))
    if isinstance(subject, Certificate):
        return _check(subject, outsiders)
    if isinstance(subject, Solution):
        return _verify_solution(subject, outsiders)
    if isinstance(subject, Finding):
        return _verify_findings([subject], outsiders)
    if isinstance(subject, Report):
        return _verify_findings(subject.findings, outsiders)
    raise ProblemError(
        f"verify takes a Solution, Certificate, Finding, Report or a path, "
        f"got {type(subject).__name__}"
    )


def _told(subject: Any, allow: Iterable[str], context: Context) -> Check:
    """Verify, and tell of it: of a report after each finding."""
    context.report(0.0, "reading")
    if isinstance(subject, str | os.PathLike):
        subject = from_json(read_text(subject))
    context.report(0.0, "checking")
    if isinstance(subject, Report):
        check = _verify_findings(subject.findings, _outsiders(allow), context)
    else:
        check = verify(subject, allow)
    context.report(1.0, check.outcome)
    return check


def _outsiders(allow: Iterable[str]) -> Outsiders:
    names = [allow] if isinstance(allow, str) else list(allow)
    return {name: find_outsider(name) for name in names}


def _check(certificate: Certificate, outsiders: Outsiders) -> Check:
    check = check_certificate(certificate, outsiders=outsiders)
    return _graded(certificate, check, None)


def _graded(certificate: Certificate, check: Check, tolerance: float | None) -> Check:
    """Add what accuracy is proved; refuse a certificate that proves less than a tolerance."""
    if check.outcome == "refused":
        return check
    try:
        lines, enough = _accuracy_lines(certificate, tolerance)
    except Exception as error:
        lines, enough = [f"its accuracy is a number ({type(error).__name__}: {error})"], False
    if not enough:
        return Check("refused", check.claim, (*check.details, f"FAILED: {lines[0]}"))
    if check.ok:
        remember(certificate, check)
        return _with(check, [f"proved: {line}" for line in lines])
    return check


def _with(check: Check, lines: Iterable[str]) -> Check:
    return Check(check.outcome, check.claim, (*check.details, *lines))


def _accuracy_lines(certificate: Certificate, tolerance: float | None) -> tuple[list[str], bool]:
    """Return what is proved, in words, and whether that is as good as a tolerance.

    Nothing is said where neither the problem class nor a solution asks for an accuracy.
    """
    problem = certificate.problem
    if problem.default_tolerance is None and tolerance is None:
        return [], True
    accuracy = float(certificate.accuracy)
    words = described_accuracy(problem, accuracy, tolerance)
    if tolerance is None or accuracy <= tolerance:
        return [words], True
    return [f"the status VERIFIED agrees with what is proved: {words}"], False


def _verify_solution(solution: Solution, outsiders: Outsiders) -> Check:
    if solution.certificate is None:
        line = f"FAILED: there is a certificate ({solution.status.name})"
        return Check("refused", "nothing: the answer claims nothing", (line,))
    if solution.status not in (Status.VERIFIED, Status.WEAK, Status.UNCHECKED):
        line = f"FAILED: the status says that there is a certificate ({solution.status.name})"
        return Check("refused", "nothing: the status says that nothing is claimed", (line,))
    certificate = solution.certificate
    check = check_certificate(certificate, solution.problem, solution.answer, outsiders=outsiders)
    return _graded(
        certificate, check, solution.tolerance if solution.status is Status.VERIFIED else None
    )


def _verify_findings(
    findings: Sequence[Finding], outsiders: Outsiders, context: Context | None = None
) -> Check:
    """Check every certificate, and that no rule says another verdict than its certificate."""
    lines: list[str] = []
    claims: list[str] = []
    outcomes = set()
    for i, finding in enumerate(findings):
        if finding.certificate is None:
            continue
        if context is not None:
            context.report(i / len(findings), f"checking {printable(finding.rule)}")
        check = _check(finding.certificate, outsiders)
        lines.append(f"{_headed(finding)}: {check.claim}")
        lines += [f"  {line}" for line in check.details]
        if check.outcome != "refused":
            check = _agreeing(finding, check)
            lines += [f"  {line}" for line in check.details[-1:]]
        if check.outcome == "refused":
            return Check("refused", "every certificate holds", tuple(lines))
        claims.append(check.claim)
        outcomes.add(check.outcome)
    if not claims:
        return Check("refused", "nothing", ("FAILED: there is a certificate to check",))
    outcome = "relies on" if "relies on" in outcomes else "accepted"
    lines.append(
        f"{len(claims)} certificates checked; messages, values and places of findings are not"
    )
    return Check(outcome, _joined(claims), tuple(lines))


def _headed(finding: Finding) -> str:
    rule, where = printable(finding.rule, 60), printable(finding.where, 60)
    return f"{rule} (place, not checked: {where})"


def _joined(claims: list[str]) -> str:
    return claims[0] if len(claims) == 1 else f"each of {len(claims)} claims, listed below"


def _agreeing(finding: Finding, check: Check) -> Check:
    steps = Steps()
    try:
        require_agreement(finding, steps)
    except Exception:
        return Check("refused", check.claim, tuple(steps.lines))
    return Check(check.outcome, check.claim, tuple(steps.lines))
