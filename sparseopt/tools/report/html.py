"""One self-contained HTML page for a report."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from numbers import Real
from typing import Any

from sparseopt.choosing.availability import is_installed
from sparseopt.interface.certificate import Certificate
from sparseopt.interface.finding import Figure, Finding, KeyFigure, NetworkFigure, Severity
from sparseopt.interface.report import Report
from sparseopt.judging.check import judgement
from sparseopt.judging.finding_rules import agrees
from sparseopt.tools.report.numbers import number
from sparseopt.tools.report.style import STYLE
from sparseopt.tools.report.tables import escape, shown

Numbered = tuple[int, Finding]


def render(report: Report) -> str:
    """Return the page; it loads nothing from outside."""
    layers = _layers(report)
    ordered = _by_severity(report)
    whole = [(i, f) for i, f in ordered if not _is_of_layers(f.where, layers)]
    groups: dict[str, list[Numbered]] = {}
    for i, finding in ordered:
        if _is_of_layers(finding.where, layers):
            groups.setdefault(finding.where, []).append((i, finding))
    marks = _marked_pairs(report)
    name, _, rest = report.subject.partition(": ")
    skipped = "".join(
        f"<li><b>{escape(item.name)}</b>: {escape(item.reason)}</li>" for item in report.skipped
    )
    parts = [
        f"<h1>{escape(name)}</h1>",
        f'<p class="soft">{escape(rest)}</p>' if rest else "",
        f"<p>{escape(report.summary())}</p>",
        _key_figures(report),
        _network(report, marks),
        _overview(ordered),
        "<h2>Findings</h2>" if whole else "",
        *(_article(i, f) for i, f in whole),
        "<h2>Layer by layer</h2>" if groups else "",
        *(_layer(where, found) for where, found in groups.items()),
        f"<h2>Analyzers that did not run</h2><ul>{skipped}</ul>" if skipped else "",
        f'<p class="soft">{number(round(report.seconds, 2))} s; sparseopt '
        f"{escape(version('sparseopt'))}</p>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)} - sparseopt</title><style>{STYLE}</style></head><body><main>"
        f"{''.join(parts)}</main></body></html>"
    )


def _layers(report: Report) -> frozenset[str]:
    """Return the names of layers that the report's picture of a network has."""
    figures = [f.figure for f in report.findings if isinstance(f.figure, NetworkFigure)]
    return frozenset(name for figure in figures for name in figure.names)


def _is_of_layers(where: str, layers: frozenset[str]) -> bool:
    return bool(layers) and all(name in layers for name in where.split(" -> "))


def _marked_pairs(report: Report) -> list[tuple[str, str]]:
    """Return the pairs of layers that a warning or a problem speaks of."""
    pairs = []
    for finding in report.findings:
        if finding.severity.rank >= Severity.WARNING.rank:
            first, arrow, second = finding.where.partition(" -> ")
            if arrow:
                pairs.append((first, second))
    return pairs


def _by_severity(report: Report) -> list[Numbered]:
    """The gravest first; within a severity in the report's own order."""
    return sorted(enumerate(report.findings), key=lambda item: -item[1].severity.rank)


def _key_figures(report: Report) -> str:
    cards = [_card(key) for finding in report.findings for key in finding.key_figures]
    return f'<dl class="keys">{"".join(cards)}</dl>' if cards else ""


def _card(key: KeyFigure) -> str:
    beside = ""
    if key.beside:
        beside = f"<dd>{escape(key.beside)}: {escape(number(key.other))}{_times(key)}</dd>"
    return f"<div><dt>{escape(key.name)}</dt><dd>{escape(number(key.value))}</dd>{beside}</div>"


def _times(key: KeyFigure) -> str:
    """Return the ratio of the figure to the other one, where both are positive numbers."""
    pair = (key.value, key.other)
    if not all(isinstance(v, Real) and not isinstance(v, bool) for v in pair):
        return ""
    value, other = (float(v) for v in pair)  # type: ignore[arg-type]
    if not (0 < value < math.inf and 0 < other < math.inf) or value == other:
        return ""
    ratio = value / other
    if not 0 < ratio < math.inf:
        return ""
    return f" (ratio {ratio:.3g})"


def _overview(ordered: list[Numbered]) -> str:
    """Return a table of the rules that found something, gravest first, with links."""
    rows: dict[tuple[str, str], list[Numbered]] = {}
    for i, finding in ordered:
        rows.setdefault((finding.severity.value, finding.rule), []).append((i, finding))
    lines = []
    for (severity, rule), found in rows.items():
        links = [f'<a href="#f{i}">{escape(f.where)}</a>' for i, f in found[:5]]
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        lines.append(
            f'<tr><td><span class="tag {severity}">{severity}</span></td><td>{escape(rule)}</td>'
            f"<td>{', '.join(links)}{more}</td></tr>"
        )
    head = (
        '<tr><th scope="col">severity</th><th scope="col">rule</th><th scope="col">where</th></tr>'
    )
    return (
        f'<h2>Overview</h2><table class="overview"><thead>{head}</thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
        if lines
        else ""
    )


def _layer(where: str, found: list[Numbered]) -> str:
    """Return what there is to say of a layer, or of two; to be opened unless it is a problem."""
    counts = Counter(finding.severity for _, finding in found)
    words = ", ".join(f"{counts[s]} {s.value}" for s in reversed(Severity) if counts[s])
    worst = found[0][1].severity
    opened = " open" if worst is Severity.PROBLEM else ""
    body = "".join(_article(i, f) for i, f in found)
    return (
        f'<details class="layer {worst.value}"{opened}><summary>{escape(where)} '
        f'<span class="soft">{words}</span></summary>{body}</details>'
    )


def _article(i: int, finding: Finding) -> str:
    tone = finding.severity.value
    parts = [
        f'<article class="{tone}" id="f{i}"><h3><span class="tag">{tone}</span>'
        f'{escape(finding.rule)} <span class="soft">at {escape(finding.where)}</span></h3>'
        f"<p>{escape(finding.message)}</p>"
    ]
    if finding.remedy:
        label = "Note" if finding.severity in (Severity.OK, Severity.INFO) else "What to do"
        parts.append(f"<p><b>{label}:</b> {escape(finding.remedy)}</p>")
    if finding.figure is not None and not isinstance(finding.figure, NetworkFigure):
        parts.append(_figure(finding.figure, f"f{i}"))
    if finding.certificate is not None:
        parts.append(_proof(finding, finding.certificate))
    if finding.value is not None:
        parts.append(f"<details><summary>values</summary>{shown(finding.value)}</details>")
    return "".join(parts) + "</article>"


def _network(report: Report, pairs: Iterable[tuple[str, str]]) -> str:
    """Return the pictures of networks, with the pairs marked that other findings speak of."""
    figures = [f.figure for f in report.findings if isinstance(f.figure, NetworkFigure)]
    drawn = [_figure(_marked(figure, pairs), f"n{i}") for i, figure in enumerate(figures)]
    return f"<h2>The network</h2>{''.join(drawn)}" if drawn else ""


def _marked(figure: NetworkFigure, pairs: Iterable[tuple[str, str]]) -> NetworkFigure:
    place: dict[Any, int] = {name: i for i, name in enumerate(figure.names)}
    more = [(place[a], place[b]) for a, b in pairs if a in place and b in place]
    return replace(figure, marks=[*map(tuple, figure.marks), *more])  # type: ignore[list-item]


def _proof(finding: Finding, certificate: Certificate) -> str:
    check = judgement(certificate)
    text = f"{certificate.explain()}\n\n{check}"
    word = "accepted by the core" if check.ok else "REFUSED by the core"
    if check.ok and not agrees(finding):
        word = f"it proves something else than {finding.rule}"
    return f"<details><summary>proof ({word})</summary><pre>{escape(text)}</pre></details>"


def _figure(figure: Figure, place: str) -> str:
    title = escape(figure.title)
    if not is_installed("matplotlib"):
        return (
            f'<p class="soft">Figure “{title}” is not drawn: matplotlib is not '
            "installed (pip install 'sparseopt[plot]').</p>"
        )
    from sparseopt.tools.report.figures import in_words, svg

    words = escape(in_words(figure))
    drawn = svg(figure, place).replace("<svg", f'<svg role="img" aria-label="{words}"', 1)
    return f"<figure>{drawn}<figcaption>{title}</figcaption></figure>"
