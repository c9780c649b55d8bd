"""``sparseopt doctor``: what is there, what is not, why, and the remedy."""

from __future__ import annotations

import importlib
import importlib.metadata
import json as json_module
import platform
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from sparseopt.cli import options as opt
from sparseopt.cli.console import out, say, say_json
from sparseopt.registry import Registered, registry

_PACKAGES = ("sparseopt", "numpy", "scipy", "networkx", "sympy", "numba", "torch", "onnx")
_MORE_PACKAGES = ("onnxruntime", "cvxpy", "scikit-learn", "matplotlib", "joblib", "z3-solver")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in (*_PACKAGES, *_MORE_PACKAGES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _state(item: Registered) -> tuple[str, str]:
    """Return state and remedy; required modules are really imported, unlike in a plan."""
    unavailable = item.availability()
    if unavailable is not None:
        return unavailable.reason, unavailable.remedy
    for module in item.entry.requires:
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:
            return f"importing {module} fails: {type(error).__name__}: {error}", item.entry.remedy
    return "ok", ""


def _rows() -> list[dict[str, Any]]:
    rows = []
    known = registry()
    for kind, items in (
        ("solver", known.solvers),
        ("analyzer", known.analyzers),
        ("reader", known.readers),
    ):
        for item in items:
            entry = item.entry
            of = {"solver": "problem", "analyzer": "subject", "reader": "produces"}[kind]
            state, remedy = _state(item)
            rows.append(
                {
                    "kind": kind,
                    "name": item.name,
                    "plugin": item.plugin.name,
                    "for": getattr(entry, of).partition(":")[2],
                    "guarantee": entry.guarantee.value if kind == "solver" else "",
                    "summary": entry.summary,
                    "state": state,
                    "remedy": remedy,
                    "traceback": item.traceback,
                }
            )
    return rows


def doctor(
    json: opt.Json = False,
    verbose: Annotated[bool, typer.Option(help="Print tracebacks of what fails.")] = False,
) -> None:
    """Show plugins, solvers, analyzers and readers: what is there, what is not, and the remedy."""
    plugins = [
        {
            "name": p.name,
            "distribution": p.distribution,
            "first_party": p.first_party,
            "summary": p.manifest.summary if p.manifest else "",
            "state": p.fault or "ok",
            "remedy": p.remedy,
            "traceback": p.traceback,
        }
        for p in registry().plugins
    ]
    rows = _rows()
    if json:
        body = {"versions": _versions(), "plugins": plugins, "entries": rows}
        say_json(json_module.dumps(body))
        return
    say("  ".join(f"{name} {number}" for name, number in _versions().items()))
    table = Table("kind", "name", "plugin", "for", "guarantee", "state")
    for row in rows:
        cells = [row[key] for key in ("kind", "name", "plugin", "for", "guarantee")]
        colour = "green" if row["state"] == "ok" else "yellow"
        table.add_row(*cells, f"[{colour}]{escape(row['state'])}[/]")
    out().print(table)
    for row in [r for r in [*plugins, *rows] if r["state"] != "ok"]:
        say(f"{row['name']}: {row['state']}; remedy: {row['remedy']}")
        if verbose and row["traceback"]:
            say(row["traceback"])
