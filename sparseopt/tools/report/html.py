"""One self-contained HTML page for a report."""

from __future__ import annotations

from html import escape
from importlib.metadata import version

from sparseopt.choosing.availability import is_installed
from sparseopt.interface.certificate import Certificate
from sparseopt.interface.finding import Figure, Finding, Severity
from sparseopt.interface.report import Report
from sparseopt.judging.check import judgement

_STYLE = """
:root { color-scheme: light; --ink: #1d1d1b; --soft: #6b6b66; --line: #deded8; --paper: #fbfbf9; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 62rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.soft { color: var(--soft); }
article { background: #fff; border: 1px solid var(--line); border-left: .4rem solid var(--tone);
          border-radius: .3rem; padding: .8rem 1rem; margin: .8rem 0; }
article h3 { font-size: 1rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
article p { margin: .3rem 0; }
.tag { background: var(--tone); color: #fff; border-radius: .2rem; padding: .05rem .45rem;
       font-size: .8rem; margin-right: .5rem; }
.ok { --tone: #2a7d4f; } .info { --tone: #3a6ea5; } .warning { --tone: #9a6700; }
.problem { --tone: #b3261e; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--line); text-align: left; padding: .3rem .6rem; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: .8rem 0 0; overflow-x: auto; } figure svg { max-width: 100%; height: auto; }
figcaption { font-size: .85rem; color: var(--soft); }
details { margin: .4rem 0; } summary { cursor: pointer; color: var(--soft); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f4f0;
      padding: .6rem; font-size: .8rem; }
"""
_MOST_VALUE = 4000


def render(report: Report) -> str:
    """Return the page; it loads nothing from outside."""
    rows = "".join(
        f"<tr><td>{escape(f.severity.value)}</td><td>{escape(f.where)}</td>"
        f'<td><a href="#f{i}">{escape(f.rule)}</a></td></tr>'
        for i, f in _by_severity(report)
    )
    body = "".join(_article(i, f) for i, f in _by_severity(report))
    skipped = "".join(
        f"<li><b>{escape(item.name)}</b>: {escape(item.reason)}</li>" for item in report.skipped
    )
    missed = f"<h2>Analyzers that did not run</h2><ul>{skipped}</ul>" if skipped else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>sparseopt: {escape(report.subject)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(report.subject)}</h1>"
        f'<p class="soft">{escape(report.summary())}; {report.seconds:.2f} s; '
        f"sparseopt {escape(version('sparseopt'))}</p>"
        f"<h2>Overview</h2><table><tr><th>severity</th><th>where</th><th>rule</th></tr>{rows}</table>"
        f"<h2>Findings</h2>{body}{missed}</body></html>"
    )


def _by_severity(report: Report) -> list[tuple[int, Finding]]:
    """The gravest first; within a severity in the report's own order."""
    return sorted(enumerate(report.findings), key=lambda item: -item[1].severity.rank)


def _article(i: int, finding: Finding) -> str:
    tone = finding.severity.value
    parts = [
        f'<article class="{tone}" id="f{i}"><h3><span class="tag">{tone}</span>'
        f"{escape(finding.rule)} <span class='soft'>at {escape(finding.where)}</span></h3>"
        f"<p>{escape(finding.message)}</p>"
    ]
    if finding.remedy:
        label = "Note" if finding.severity in (Severity.OK, Severity.INFO) else "What to do"
        parts.append(f"<p><b>{label}:</b> {escape(finding.remedy)}</p>")
    if finding.figure is not None:
        parts.append(_figure(finding.figure))
    if finding.certificate is not None:
        parts.append(_proof(finding.certificate))
    if finding.value is not None:
        text = _value(finding.value)
        parts.append(f"<details><summary>value</summary><pre>{escape(text)}</pre></details>")
    return "".join(parts) + "</article>"


def _proof(certificate: Certificate) -> str:
    check = judgement(certificate)
    text = f"{certificate.explain()}\n\n{check}"
    word = "accepted by the core" if check.ok else "REFUSED by the core"
    return f"<details><summary>proof ({word})</summary><pre>{escape(text)}</pre></details>"


def _value(value: object) -> str:
    if isinstance(value, dict):
        text = "\n".join(f"{k}: {v}" for k, v in value.items())
    else:
        text = str(value)
    return text if len(text) <= _MOST_VALUE else f"{text[:_MOST_VALUE]} ... (whole value: --json)"


def _figure(figure: Figure) -> str:
    if not is_installed("matplotlib"):
        return (
            f"<p class='soft'>Figure “{escape(figure.title)}” is not drawn: matplotlib is not "
            "installed (pip install 'sparseopt[plot]').</p>"
        )
    from sparseopt.tools.report.figures import draw

    title = escape(figure.title)
    return f"<figure>{draw(figure)}<figcaption>{title}</figcaption></figure>"
