"""`analyze`: run every analyzer that applies to a subject and collect the findings."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sparseopt.choosing.availability import Registered
from sparseopt.choosing.discovery import registry
from sparseopt.choosing.keeping import Kept
from sparseopt.choosing.offers import is_read, read
from sparseopt.choosing.planning import build, option_names
from sparseopt.choosing.preference import effective
from sparseopt.interface.analyzer import Analyzer, AnyAnalyzer
from sparseopt.interface.context import Context, Progress
from sparseopt.interface.errors import ProblemError, UnknownNameError
from sparseopt.interface.finding import Finding, Severity
from sparseopt.interface.printing import raised, short
from sparseopt.interface.report import Report, Skipped
from sparseopt.interface.verdict import Accepted, Refused
from sparseopt.judging.check import judgement
from sparseopt.judging.finding_rules import agrees


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


@dataclass(frozen=True)
class _Ready:
    """An analyzer that will run, what it is called, and what to do about faults of it."""

    name: str
    analyzer: AnyAnalyzer
    on_fault: str
    tell: str


def _asked(
    analyzers: str | AnyAnalyzer | Iterable[str | AnyAnalyzer] | None,
    only: str | Iterable[str] | None,
) -> tuple[list[str] | None, list[AnyAnalyzer]]:
    """Return the names that are asked for, None for all that apply, and the caller's own ones."""
    if only is not None:
        if analyzers is not None:
            raise ProblemError("give the analyzers or only=, not both")
        analyzers = only
    if analyzers is None:
        return None, []
    if isinstance(analyzers, str | Analyzer) or not isinstance(analyzers, Iterable):
        analyzers = [analyzers]
    names: list[str] = []
    own: list[AnyAnalyzer] = []
    for item in analyzers:
        if isinstance(item, str):
            names.append(item)
        elif isinstance(item, Analyzer):
            own.append(item)
        else:
            hint = f"; pass an instance: {item.__name__}()" if isinstance(item, type) else ""
            raise ProblemError(
                f"analyzers are names or Analyzer instances, got {short(item)}{hint}"
            )
    return names, own


def _choose(
    found: list[Registered], names: list[str] | None, block: tuple[str, ...]
) -> tuple[list[Registered], list[Skipped]]:
    if names is not None:
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


def _with_options(
    chosen: list[Registered], own: list[AnyAnalyzer], options: Mapping[str, Any]
) -> list[_Ready]:
    """Build what runs; an option goes to every analyzer that has it."""
    classes = [item.cls for item in chosen] + [type(analyzer) for analyzer in own]
    known = {name for cls in classes for name in option_names(cls)}
    for option in options:
        if option not in known:
            raise UnknownNameError("option", option, known)

    def of(cls: type) -> dict[str, Any]:
        return {name: value for name, value in options.items() if name in option_names(cls)}

    ready = []
    for item in chosen:
        tell = f"report this to the authors of {item.plugin.name}"
        on_fault = f"block it (block={item.name!r}) or {tell}"
        ready.append(_Ready(item.name, build(item.cls, of(item.cls)), on_fault, tell))
    for analyzer in own:
        name, asked = type(analyzer).__qualname__, of(type(analyzer))
        if asked:
            analyzer = dataclasses.replace(analyzer, **asked)  # type: ignore[type-var]
        tell = f"run sparseopt.testing.check_analyzer on {name}, which shows where it fails"
        ready.append(_Ready(name, analyzer, tell, tell))
    return ready


CORE_RULES = {
    "analyzer-failed": "warning: an analyzer stopped with an error; what it had found stays, "
    "and the others ran all the same",
    "certificate-refused": "problem: an analyzer's certificate did not stand up to the check",
}
"""Rules of findings that no analyzer makes, each with its severity and what it says."""


def _gate(finding: Finding, item: _Ready) -> Finding:
    """Let a finding pass only if the core accepts the certificate that it carries."""
    if type(finding) is not Finding:  # a derived one could say something else each time
        raise TypeError(f"analyze yields Finding objects, not a {type(finding).__name__}")
    if finding.certificate is None:
        return finding
    check = judgement(finding.certificate)
    if check.ok and agrees(finding):
        return finding
    why = "it proves something else" if check.ok else check.details[-1]
    message = f"the certificate of {finding.rule} was refused: {why}"
    remedy = f"do not rely on it; {item.tell}"
    return Finding("certificate-refused", Severity.PROBLEM, finding.where, message, remedy=remedy)


def _run(item: _Ready, subject: Any, context: Context) -> list[Finding] | Skipped:
    """Run one analyzer; a fault of it becomes a finding after those that it made before."""
    findings: list[Finding] = []
    kept = Kept(subject)
    try:
        verdict = item.analyzer.accepts(subject)
        _require_unchanged(kept)
        if isinstance(verdict, Refused):
            return Skipped(item.name, verdict.reason)
        if not isinstance(verdict, Accepted):
            raise TypeError(
                f"accepts returned {verdict!r} instead of Accepted() or Refused(reason)"
            )
        found = item.analyzer.analyze(subject, context)
        if not isinstance(found, Iterable):
            kind = type(found).__name__
            raise TypeError(f"analyze yields findings, or returns a list of them, not a {kind}")
        for finding in found:
            _require_unchanged(kept)
            findings.append(_gate(finding, item))
        _require_unchanged(kept)
    except (Exception, SystemExit) as error:
        kept.put_back()
        findings.append(_failure(item, error, len(findings)))
    return findings


def _require_unchanged(kept: Kept) -> None:
    """Refuse to go on after a change of the subject, which is undone."""
    if kept.put_back():
        raise TypeError("it changed the subject, which has its own fields again")


def _failure(item: _Ready, error: BaseException, before: int) -> Finding:
    """Return the finding that an analyzer stopped, after so many findings of its own."""
    message = f"the analyzer stopped with {raised(error)}"
    if before:
        kept, stay = ("finding", "stays") if before == 1 else (f"{before} findings", "stay")
        message += f"; the {kept} that it had made before {stay} in this report"
    return Finding("analyzer-failed", Severity.WARNING, item.name, message, remedy=item.on_fault)


def analyze(
    subject: Any,
    analyzers: str | AnyAnalyzer | Iterable[str | AnyAnalyzer] | None = None,
    *,
    only: str | Iterable[str] | None = None,
    example: Any = None,
    seed: int | None = None,
    progress: Progress | None = None,
    time_limit: float | None = None,
    block: Iterable[str] = (),
    **options: Any,
) -> Report:
    """Run every analyzer that applies to `subject`, or those that are chosen.

    Parameters
    ----------
    subject : object or path
        A `Network`, a `Closedness` problem, another object that analyzers take, or what a
        reader turns into one (a path of an ONNX file, of supports as JSON or NPZ, a torch module).
    analyzers : str, Analyzer, iterable of these, or None
        What to run: names, or instances of your own, which need no plugin; None runs all that
        apply. With an instance the subject may be of any type: what no plugin reads is handed on
        as it is.
    only : str, iterable of str, or None
        Names, as in `analyzers`.
    example : object or None
        Example input, for sources that do not fix their input shape.
    seed, progress, time_limit, block
        As in `solve`.
    **options
        Settings of the analyzers, the fields of their dataclasses.

    Returns
    -------
    Report
        The findings in the order of the analyzers' names, those of your own ones last, and why
        others were skipped.

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
    names, own = _asked(analyzers, only)
    context = Context(seed=seed, time_limit=time_limit, progress=progress)
    known = registry()
    name = os.fspath(subject) if isinstance(subject, str | os.PathLike) else ""
    found = [] if name else known.analyzers_for(subject)
    start_at = 0.0
    if not found and (not own or is_read(subject)):
        start_at = 0.2
        subject = read(subject, example=example, progress=context.part(0.0, start_at))
        found = known.analyzers_for(subject)
    blocked = effective(block, (), known).block
    chosen, skipped = _choose(sorted(found, key=lambda item: item.name), names, blocked)
    ready = _with_options(chosen, own, options)
    findings: list[Finding] = []
    for i, item in enumerate(ready):
        begin, end = (start_at + (1.0 - start_at) * k / len(ready) for k in (i, i + 1))
        context.report(begin, item.name)
        if context.remaining() <= 0:
            skipped.append(Skipped(item.name, "the time limit ran out before it"))
            continue
        part = dataclasses.replace(context, progress=context.part(begin, end))
        result = _run(item, subject, part)
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            findings += result
    context.report(1.0, "done")
    title = f"{_relative(name)}: {_describe(subject)}" if name else _describe(subject)
    return Report(title, tuple(findings), tuple(skipped), time.perf_counter() - start)
