"""``sparseopt doctor``: what is there, what is not, why, and the remedy."""

from __future__ import annotations

import importlib
import importlib.metadata
import json as json_module
import platform
import re
from typing import Annotated, Any

import typer
from rich.markup import escape

from sparseopt.choosing.availability import Plugin, Registered
from sparseopt.choosing.discovery import registry
from sparseopt.cli import options as opt
from sparseopt.cli.console import say, say_json, say_marked

_HIDDEN_EXTRAS = ("all", "docs", "test", "convex", "kronecker", "pathlifting")
"""Of many packages, and former names."""


def _extras() -> dict[str, list[str]]:
    """Return the packages that sparseopt's own metadata asks for, with the extras that do."""
    found: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("sparseopt") or []:
        package = re.split(r"[\s<>=!~;\[(]", line, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", line)
        extras = found.setdefault(package, [])
        if extra is not None:
            extras.append(extra.group(1))
    return {
        package: [extra for extra in extras if extra not in _HIDDEN_EXTRAS]
        for package, extras in found.items()
        if package != "sparseopt" and (not extras or set(extras) - set(_HIDDEN_EXTRAS))
    }


def _packages() -> list[dict[str, str]]:
    rows = [{"name": "python", "state": platform.python_version(), "remedy": ""}]
    for name, extras in {"sparseopt": [], **_extras()}.items():
        try:
            state, remedy = importlib.metadata.version(name), ""
        except importlib.metadata.PackageNotFoundError:
            state = "not installed"
            named = " or ".join(f"'sparseopt[{extra}]'" for extra in extras)
            remedy = f"pip install {named}"
        rows.append({"name": name, "state": state, "remedy": remedy})
    return rows


def _plugin(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "first_party": plugin.first_party,
        "summary": plugin.manifest.summary if plugin.manifest else "",
        "state": plugin.fault or "ok",
        "remedy": plugin.remedy,
        "traceback": plugin.traceback,
    }


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
    return ", ".join(filter(None, ("ok", item.device, item.left_out))), ""


def _entries() -> list[dict[str, Any]]:
    rows = []
    known = registry()
    for kind, target, items in (
        ("solver", "problem", known.solvers),
        ("analyzer", "subject", known.analyzers),
        ("reader", "produces", known.readers),
        ("criterion", "path", known.criteria),
        ("tool", "path", known.tools),
        ("engine", "path", known.engines),
    ):
        for item in items:
            state, remedy = _state(item)
            rows.append(
                {
                    "kind": kind,
                    "name": item.name,
                    "plugin": item.plugin.name,
                    "for": getattr(item.entry, target).partition(":")[2],
                    "guarantee": item.entry.guarantee.value if kind == "solver" else "",
                    "summary": item.entry.summary,
                    "state": state,
                    "remedy": remedy,
                    "traceback": item.traceback,
                }
            )
    return rows


def _line(head: str, row: dict[str, Any], verbose: bool) -> None:
    good = row["state"].startswith("ok") or row["state"][:1].isdigit()
    remedy = f" (remedy: {row['remedy']})" if row["remedy"] else ""
    colour = "green" if good else "yellow"
    say_marked(f"  {escape(head)}: [{colour}]{escape(row['state'] + remedy)}[/]")
    if verbose and row.get("traceback"):
        say(row["traceback"])


def doctor(
    json: opt.Json = False,
    verbose: Annotated[bool, typer.Option(help="Print tracebacks of what fails.")] = False,
) -> None:
    """Show packages, plugins and what they offer: what is there, or why not."""
    plugins = [_plugin(plugin) for plugin in registry().plugins]
    packages, entries = _packages(), _entries()
    if json:
        body = {"packages": packages, "plugins": plugins, "entries": entries}
        say_json(json_module.dumps(body))
        return
    say("packages")
    for row in packages:
        _line(row["name"], row, verbose)
    say("plugins")
    for row in plugins:
        _line(f"{row['name']} (from {row['distribution']}) {row['summary']}", row, verbose)
    kinds = ["solver", "analyzer", "reader", "tool", "engine"]
    if any(entry["kind"] == "criterion" for entry in entries):
        kinds.insert(3, "criterion")
    for kind in kinds:
        say("criteria" if kind == "criterion" else f"{kind}s")
        for row in (entry for entry in entries if entry["kind"] == kind):
            promise = f", {row['guarantee']}" if row["guarantee"] else ""
            _line(f"{row['name']} ({row['plugin']}; {row['for']}{promise})", row, verbose)
