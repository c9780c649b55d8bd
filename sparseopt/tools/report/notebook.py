"""What notebooks show of an object: a few lines of HTML, never more than `MOST_CHARACTERS`."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.interface.certificate import Certificate
from sparseopt.interface.plan import Plan
from sparseopt.interface.printing import printable
from sparseopt.interface.report import Report
from sparseopt.interface.solution import Solution
from sparseopt.judging.check import remembered
from sparseopt.judging.rounding import shown_above
from sparseopt.networks.layers import linear_layers
from sparseopt.networks.network import Network
from sparseopt.tools.pruning.results import Pruning
from sparseopt.tools.report.numbers import number

MOST_CHARACTERS = 1500
_MOST_WORDS = 140


@singledispatch
def fragment(shown: Any) -> str:
    """Return the HTML that stands for an object in a notebook."""
    return f"<pre>{_short(shown, 600)}</pre>"


@fragment.register
def _report(report: Report) -> str:
    ordered = sorted(report.findings, key=lambda f: -f.severity.rank)
    rows = [(f.severity.value, f.rule, f.where, f.message) for f in ordered]
    more = "report.to_frame() has all, report.to_html(path) the figures"
    head = ("severity", "rule", "where", "found")
    return _table(f"{report.subject}: {report.summary()}", head, rows, more)


@fragment.register
def _solution(solution: Solution) -> str:
    judged = solution.checked
    by = f"{solution.status.name} by {solution.solver}" if solution.solver else solution.status.name
    if not judged:
        by += " (not checked here; so.verify checks it)"
    rows = [("answer", str(solution.answer).partition("\n")[0]), ("status", by)]
    if solution.accuracy is not None:
        figure = f"at most {shown_above(solution.accuracy)}{'' if judged else ' (not checked)'}"
        rows.append((solution.problem.accuracy_is, figure))
    if solution.certificate is not None:
        rows.append(("proved" if judged else "claimed", _claim(solution.certificate)))
    rows.append(("seconds", number(round(solution.seconds, 3))))
    return _table(solution.problem.describe(), (), rows)


@fragment.register
def _plan(plan: Plan) -> str:
    rows = [
        (str(i), c.name, c.plugin, c.outcome or str(c.verdict))
        for i, c in enumerate(plan.candidates, 1)
    ]
    head = ("", "solver", "plugin", "verdict")
    return _table(f"plan for {plan.problem}", head, rows, "print(plan) has all")


@fragment.register
def _certificate(certificate: Certificate) -> str:
    judged = remembered(certificate)
    word = "not checked here; so.verify checks it" if judged is None else judged.outcome
    rows = [("claim", _claim(certificate)), ("check", word)]
    return _table(type(certificate).__name__, (), rows)


@fragment.register
def _network(network: Network) -> str:
    rows = [
        (
            layer.name,
            layer.kind,
            " x ".join(map(str, layer.weight.shape)),
            f"{100 * layer.density:.3g} %",
        )
        for layer in linear_layers(network)
    ]
    head = ("layer", "kind", "weights", "nonzero")
    return _table(network.describe(), head, rows, "network.plot() draws all")


@fragment.register
def _product(product: KroneckerProduct) -> str:
    rows = [
        (str(i), str(tuple(p)), f"{p.shape[0]} x {p.shape[1]}", str(p.nnz))
        for i, p in enumerate(product.architecture)
    ]
    return _table(
        f"{product}, {product.dtype}", ("factor", "(a, b, c, d)", "shape", "values"), rows
    )


@fragment.register
def _pruning(pruning: Pruning) -> str:
    rows = [
        (t.name, t.reason or f"{t.kept} of {t.size}", "" if t.reason else f"{t.kept / t.size:.1%}")
        for t in pruning.tensors
    ]
    title = str(pruning).partition("\n")[0]
    return _table(title, ("tensor", "kept", ""), rows, "pruning.tensors has all")


def _claim(certificate: Certificate) -> str:
    try:
        return str(certificate.claim)
    except Exception:  # as in the repr of a certificate whose fields are nonsense
        return "nothing that can be read"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], more: str = "") -> str:
    """Return a table with as many rows as there is room for, and how many are left out."""
    caption = f"<p><b>{_short(title, 260)}</b></p>"
    names = "".join(f"<th>{_short(name)}</th>" for name in head)
    start = f"{caption}<table>" + (f"<tr>{names}</tr>" if head else "")
    end = "</table>"
    room = MOST_CHARACTERS - len(start) - len(end) - 120
    lines: list[str] = []
    for row in rows:
        cells = "".join(f"<td>{_short(cell)}</td>" for cell in row)
        room -= len(cells) + 9
        if room < 0:
            break
        lines.append(f"<tr>{cells}</tr>")
    left = len(rows) - len(lines)
    rest = f"<p>and {left} more: {_short(more, 80)}</p>" if left else ""
    return start + "".join(lines) + end + rest


def _short(text: object, most: int = _MOST_WORDS) -> str:
    """Return a text as it may stand in HTML, in at most about `most` characters."""
    words = printable(text, most)
    escaped = html.escape(words)
    while len(escaped) > most + 40 and words:  # many characters that are escaped
        words = words[: 3 * len(words) // 4]
        escaped = html.escape(words)
    return escaped
