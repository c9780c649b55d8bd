"""`analyze`: run every analyzer that applies to a subject and collect the findings."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from sparseopt.choosing.availability import Registered
from sparseopt.choosing.discovery import registry
from sparseopt.choosing.offers import read
from sparseopt.choosing.planning import build, option_names
from sparseopt.choosing.preference import effective
from sparseopt.interface.context import Context, Progress
from sparseopt.interface.errors import UnknownNameError
from sparseopt.interface.finding import Finding, Severity
from sparseopt.interface.report import Report, Skipped
from sparseopt.interface.verdict import Accepted, Refused
from sparseopt.judging.check import judgement


def _describe(subject: Any) -> str:
    return str(subject.describe()) if hasattr(subject, "describe") else type(subject).__name__


def _relative(path: str) -> str:
    """Return how a report names a file: others who read it know nothing of this machine's folders.

    Relative to the current folder where the file is in it, else its own name; relative paths stay.
    """
    if not os.path.isabs(path):
        return path
    here = os.path.join(os.path.realpath(os.curdir), "")
    whole = os.path.realpath(path)
    return whole.removeprefix(here) if whole.startswith(here) else os.path.basename(path)


def _choose(
    found: list[Registered], only: Iterable[str] | None, block: tuple[str, ...]
) -> tuple[list[Registered], list[Skipped]]:
    if only is not None:
        names = [only] if isinstance(only, str) else list(only)
        known = [item.name for item in found]
        for name in names:
            if name not in known:
                raise UnknownNameError("analyzer for this subject", name, known)
        found = [item for item in found if item.name in names]
    ready, skipped = [], []
    for item in found:
        unavailable = item.availability()
        if item.name in block or item.plugin.name in block:
            skipped.append(Skipped(item.name, "it is on the user's block list"))
        elif unavailable is not None:
            skipped.append(Skipped(item.name, str(unavailable)))
        else:
            ready.append(item)
    return ready, skipped


def _build(item: Registered, options: Mapping[str, Any]) -> Any:
    own = {name: value for name, value in options.items() if name in option_names(item.cls)}
    return build(item.cls, own)


CORE_RULES = {
    "analyzer-failed": "warning: an analyzer stopped with an error; the others ran all the same",
    "certificate-refused": "problem: an analyzer's certificate did not stand up to the check",
}
"""Rules of findings that no analyzer makes, each with its severity and what it says."""


def _gate(finding: Finding, item: Registered) -> Finding:
    """Let a finding pass only if the core accepts the certificate that it carries."""
    if finding.certificate is None:
        return finding
    check = judgement(finding.certificate)
    if check.ok:
        return finding
    message = f"the certificate of {finding.rule} was refused: {check.details[-1]}"
    remedy = f"do not rely on it; report this to the authors of {item.plugin.name}"
    return Finding("certificate-refused", Severity.PROBLEM, finding.where, message, remedy=remedy)


def _run(
    item: Registered, analyzer: Any, subject: Any, context: Context
) -> list[Finding] | Skipped:
    """Run one analyzer; a fault of it becomes a finding, so that the others still run."""
    try:
        verdict = analyzer.accepts(subject)
        if isinstance(verdict, Refused):
            return Skipped(item.name, verdict.reason)
        if not isinstance(verdict, Accepted):
            raise TypeError(
                f"accepts returned {verdict!r} instead of Accepted() or Refused(reason)"
            )
        return [_gate(finding, item) for finding in analyzer.analyze(subject, context)]
    except (Exception, SystemExit) as error:
        message = f"the analyzer stopped with {type(error).__name__}: {error}"
        remedy = (
            f"block it (block={item.name!r}) or report this to the authors of {item.plugin.name}"
        )
        return [Finding("analyzer-failed", Severity.WARNING, item.name, message, remedy=remedy)]


def analyze(
    subject: Any,
    only: Iterable[str] | None = None,
    *,
    example: Any = None,
    seed: int | None = None,
    progress: Progress | None = None,
    time_limit: float | None = None,
    block: Iterable[str] = (),
    **options: Any,
) -> Report:
    """Run every analyzer that applies to `subject`.

    Parameters
    ----------
    subject : object or path
        A `Network`, a `Closedness` problem, another object that analyzers take, or what a
        reader turns into one (a path of an ONNX file, of supports as JSON or NPZ, a torch module).
    only : iterable of str or None
        Names of the analyzers to run; None runs all that apply.
    example : object or None
        Example input, for sources that do not fix their input shape.
    seed, progress, time_limit, block
        As in `solve`.
    **options
        Settings of the analyzers, the fields of their dataclasses.

    Returns
    -------
    Report
        The findings in the order of the analyzers' names, and why others were skipped.

    Raises
    ------
    ProblemError
        If nothing can read or analyze the subject, or a name or option is unknown.

    Examples
    --------
    >>> import sparseopt as so
    >>> report = so.analyze(so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]))
    >>> report.findings[0].rule, report.ok
    ('supports-not-closed', True)
    """
    start = time.perf_counter()
    context = Context(seed=seed, time_limit=time_limit, progress=progress)
    known = registry()
    name = os.fspath(subject) if isinstance(subject, str | os.PathLike) else ""
    found = [] if name else known.analyzers_for(subject)
    start_at = 0.0
    if not found:
        start_at = 0.2
        subject = read(subject, example=example, progress=context.part(0.0, start_at))
        found = known.analyzers_for(subject)
    blocked = effective(block, (), known).block
    ready, skipped = _choose(sorted(found, key=lambda item: item.name), only, blocked)
    all_options = {n for item in ready for n in option_names(item.cls)}
    for option in options:
        if option not in all_options:
            raise UnknownNameError("option", option, all_options)
    findings: list[Finding] = []
    for i, item in enumerate(ready):
        begin, end = (start_at + (1.0 - start_at) * k / len(ready) for k in (i, i + 1))
        context.report(begin, item.name)
        if context.remaining() <= 0:
            skipped.append(Skipped(item.name, "the time limit ran out before it"))
            continue
        own = dataclasses.replace(context, progress=context.part(begin, end))
        result = _run(item, _build(item, options), subject, own)
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            findings += result
    context.report(1.0, "done")
    title = f"{_relative(name)}: {_describe(subject)}" if name else _describe(subject)
    return Report(title, tuple(findings), tuple(skipped), time.perf_counter() - start)
