"""The pages of solvers and of findings, `docs/solvers.md` and `docs/findings.md`.

After a change of a manifest: ``python tests/support/registry_pages.py`` writes them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

SOLVERS = """# Solvers

The solvers that ship with sparseopt, by the problem that they answer and by name. For a problem of
yours `so.plan(problem)` says which go first, and why. Made from the manifests by
`python tests/support/registry_pages.py`; a test keeps it true.

*exact*: the answer is proved to be the best. *certified*: it comes with a proven gap or bound.
*heuristic*: nothing is promised beforehand; the certificate says how good the answer is.
"""

FINDINGS = """# Findings

The rules of the findings of `so.analyze` and `sparseopt analyze`, with the severities that they can
have. Made from the manifests by `python tests/support/registry_pages.py`; a test keeps it true.

A finding also says where it holds, its value, and what to do; if a certificate proves it, the core
has checked that. The command line exits with 1 if a finding has the severity *problem*.
"""


def own(kind: str) -> list:  # type: ignore[type-arg]
    """Return the entries of a kind of the plugins that ship with sparseopt."""
    from sparseopt.choosing.discovery import registry

    items = getattr(registry(), kind)
    return sorted((i.entry for i in items if i.plugin.first_party), key=lambda e: str(e.name))


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *(tuple(map(bars, row)) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def bars(cell: str) -> str:
    """Return a cell whose bars end no cell."""
    return cell.replace("|", r"\|")


def solvers() -> str:
    """Return the page of solvers."""
    entries = own("solvers")
    parts = [SOLVERS]
    for problem in sorted({entry.problem for entry in entries}):
        rows = [
            (
                f"`{entry.name}`",
                entry.guarantee.value,
                entry.summary,
                "; ".join(entry.citations),
                ", ".join(entry.requires),
            )
            for entry in entries
            if entry.problem == problem
        ]
        head = ("solver", "guarantee", "what it does", "source", "needs")
        parts.append(f"## {problem.partition(':')[2]}\n\n{table(head, rows)}")
    return "\n".join(parts)


def findings() -> str:
    """Return the page of findings."""
    from sparseopt.choosing.analysis import CORE_RULES

    parts = [FINDINGS]
    entries = own("analyzers")
    for subject, title in (
        ("sparseopt:Network", "Networks"),
        ("sparseopt:Closedness", "Chains of supports"),
    ):
        rows = [
            (f"`{rule}`", *said.partition(": ")[::2], f"`{entry.name}`")
            for entry in entries
            if entry.subject == subject
            for rule, said in entry.rules.items()
        ]
        head = ("rule", "severity", "what it says", "analyzer")
        parts.append(f"## {title}\n\n{table(head, sorted(rows))}")
    rows = [(f"`{rule}`", *said.partition(": ")[::2]) for rule, said in CORE_RULES.items()]
    parts.append(f"## Any subject\n\n{table(('rule', 'severity', 'what it says'), rows)}")
    return "\n".join(parts)


PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "solvers.md": solvers,
    DOCS / "findings.md": findings,
}


if __name__ == "__main__":
    for path, made in PAGES.items():
        path.write_text(made(), encoding="utf-8")
