"""`verify`: re-check a solution, certificate, report or file without the engine that made it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sparseopt.interface.certificate import Certificate, Check, Outsiders, Steps
from sparseopt.interface.context import Context, Progress
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.finding import Finding
from sparseopt.interface.printing import printable
from sparseopt.interface.problem import Problem
from sparseopt.interface.report import Report
from sparseopt.interface.seams import find_outsider
from sparseopt.interface.solution import Solution, Status, described_accuracy
from sparseopt.judging.check import check_certificate, remember
from sparseopt.judging.files import read_text
from sparseopt.judging.finding_rules import require_agreement
from sparseopt.judging.serialization import from_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PROVED = (Status.VERIFIED, Status.WEAK, Status.UNCHECKED)
"""What a solution with a certificate says."""


def verify(
    subject: Certificate | DataclassInstance | Sequence[Any] | Mapping[str, Any] | os.PathLike[str],
    allow: Iterable[str] = (),
    progress: Progress | None = None,
) -> Check:
    """Check a solution, a certificate, a finding, a report, or a JSON file that holds some.

    Parameters
    ----------
    subject : Solution, Certificate, Finding, Report, str or path
        A string is the path of a file written by ``to_json`` or by a command with ``--json``. Of
        another record that holds some of these, or of a list or dict, each is checked.
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
        If nothing in it can be checked, or an outside program is not known or not installed.

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
        subject = _read(subject)
    if isinstance(subject, Certificate):
        return _check(subject, outsiders)
    if isinstance(subject, Solution):
        return _verify_solution(subject, outsiders)
    return _verify_parts(subject, outsiders)


def _read(path: str | os.PathLike[str]) -> Any:
    """Return what a file holds."""
    if str(path).lstrip().startswith("{"):
        raise ProblemError("verify takes a path, and this is JSON itself: pass so.from_json(text)")
    return from_json(read_text(path))


def _told(subject: Any, allow: Iterable[str], context: Context) -> Check:
    """Verify, and tell of it, before each part of what has several."""
    context.report(0.0, "reading")
    if isinstance(subject, str | os.PathLike):
        subject = _read(subject)
    context.report(0.0, "checking")
    if isinstance(subject, Certificate | Solution):
        check = verify(subject, allow)
    else:
        check = _verify_parts(subject, _outsiders(allow), context)
    context.report(1.0, check.outcome)
    return check


def _outsiders(allow: Iterable[str]) -> Outsiders:
    return {name: find_outsider(name) for name in ([allow] if isinstance(allow, str) else allow)}


def _check(certificate: Certificate, outsiders: Outsiders) -> Check:
    return _graded(certificate, check_certificate(certificate, outsiders=outsiders), None)


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
    if type(solution) is not Solution:  # it may say one answer here, and another in print
        line = "FAILED: a solution of the core's own class states what is proved"
        return Check("refused", "nothing: the solution is of a derived class", (line,))
    if solution.certificate is None:
        line = f"FAILED: there is a certificate ({solution.status.name})"
        return Check("refused", "nothing: the answer claims nothing", (line,))
    if solution.status not in PROVED:
        line = f"FAILED: the status says that there is a certificate ({solution.status.name})"
        return Check("refused", "nothing: the status says that nothing is claimed", (line,))
    certificate = solution.certificate
    check = check_certificate(certificate, solution.problem, solution.answer, outsiders=outsiders)
    return _graded(
        certificate, check, solution.tolerance if solution.status is Status.VERIFIED else None
    )


def _verify_parts(subject: Any, outsiders: Outsiders, context: Context | None = None) -> Check:
    """Check every part that claims something, and that findings say what their certificates do."""
    parts = list(_parts(subject, "", {}))
    if not parts and not isinstance(subject, Finding | Report):
        raise ProblemError(
            "verify takes a Solution, Certificate, Finding or Report, what holds some of them, or "
            f"the path of one; this {type(subject).__name__} holds no certificate"
        )
    lines: list[str] = []
    claims: list[str] = []
    outcomes, made = set(), dict[tuple[Any, ...], Check]()
    for i, (name, part) in enumerate(parts):
        if context is not None:
            context.report(i / len(parts), f"checking {name}")
        check = _verify_part(part, outsiders, made)
        lines.append(f"{name}: {check.claim}")
        lines += [f"  {line}" for line in check.details]
        if check.outcome == "refused":
            return Check("refused", "every certificate holds", tuple(lines))
        claims.append(check.claim)
        outcomes.add(check.outcome)
    if not claims:
        return Check("refused", "nothing", ("FAILED: there is a certificate to check",))
    outcome = "relies on" if "relies on" in outcomes else "accepted"
    checked = "1 certificate" if len(claims) == 1 else f"{len(claims)} certificates"
    lines.append(f"{checked} checked; what is said beside them, messages, values, places, is not")
    return Check(outcome, _joined(claims), tuple(lines))


def _parts(
    value: Any, place: str, seen: dict[int, Any]
) -> Iterator[tuple[str, Solution | Certificate | Finding]]:
    """Yield what claims to be proved in a document, with a name for it.

    An object that stands in several places is gone through once: otherwise a file that names a part
    twice in each of k records, one in the other, would ask for 2^k checks. `seen` keeps the objects
    alive, so that none has the number of another.
    """
    if id(value) in seen:
        return
    seen[id(value)] = value
    if isinstance(value, Finding):
        if value.certificate is not None:
            yield _headed(value), value
    elif isinstance(value, Solution):
        if value.certificate is not None or value.status in PROVED:
            yield f"solution (place, not checked: {printable(place, 60)})", value
    elif isinstance(value, Certificate):
        yield f"certificate (place, not checked: {printable(place, 60)})", value
    elif isinstance(value, Report):
        yield from _parts(value.findings, place, seen)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _parts(item, f"{place}/{key}", seen)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _parts(item, f"{place}/{i}", seen)
    elif dataclasses.is_dataclass(value) and not isinstance(value, Problem | type):
        for field in dataclasses.fields(value):
            yield from _parts(getattr(value, field.name), f"{place}/{field.name}", seen)


def _verify_part(
    part: Solution | Certificate | Finding, outsiders: Outsiders, made: dict[tuple[Any, ...], Check]
) -> Check:
    """Check a part; what parts share, a certificate or all that a solution states, only once."""
    if type(part) is Solution:
        stated = part.certificate, part.problem, part.answer, part.status
        key: tuple[Any, ...] = (*map(id, stated), part.tolerance)
        if key not in made:
            made[key] = _verify_solution(part, outsiders)
        return made[key]
    if isinstance(part, Solution):
        return _verify_solution(part, outsiders)
    certificate = part.certificate if isinstance(part, Finding) else part
    assert certificate is not None
    if (id(certificate),) not in made:
        made[id(certificate),] = _check(certificate, outsiders)
    check = made[id(certificate),]
    if check.outcome == "refused" or not isinstance(part, Finding):
        return check
    agreeing = _agreeing(part, check)
    return Check(agreeing.outcome, check.claim, (*check.details, *agreeing.details[-1:]))


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
