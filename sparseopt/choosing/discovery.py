"""Discovery of plugins, isolated from their faults.

Discovery collects and never raises: a plugin that is broken, exits, clashes or speaks another
interface version is kept as a record with the reason, for ``sparseopt doctor``.
"""

from __future__ import annotations

import importlib.metadata
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sparseopt.choosing.availability import Plugin, Registered, one_line
from sparseopt.choosing.manifest import (
    API_VERSION,
    OLDEST_API_VERSION,
    AnalyzerEntry,
    CriterionEntry,
    EngineEntry,
    Manifest,
    OutsiderEntry,
    ReaderEntry,
    SolverEntry,
    ToolEntry,
)
from sparseopt.interface.errors import UnknownNameError
from sparseopt.interface.json_type import type_tag
from sparseopt.judging import serialization

GROUP = "sparseopt.plugins"

Entry = (
    SolverEntry
    | AnalyzerEntry
    | ReaderEntry
    | ToolEntry
    | EngineEntry
    | OutsiderEntry
    | CriterionEntry
)


@dataclass(frozen=True)
class Source:
    """Where a plugin comes from: an entry point, reduced to what discovery needs."""

    name: str
    distribution: str
    load: Callable[[], Any]


def _top_level(path: str) -> str:
    return path.partition(":")[0].partition(".")[0]


def _entry_point_sources() -> list[Source]:
    return [_source(point) for point in importlib.metadata.entry_points(group=GROUP)]


def _source(point: importlib.metadata.EntryPoint) -> Source:
    distribution = point.dist.name if point.dist is not None else "unknown"
    return Source(point.name, distribution, point.load)


def _load(source: Source) -> Plugin:
    """Load one manifest; whatever happens becomes a record."""
    try:
        manifest = source.load()
    except (Exception, SystemExit) as error:
        return Plugin(
            source.name,
            source.distribution,
            None,
            fault=f"its manifest cannot be imported: {one_line(error)}",
            remedy=f"update or uninstall {source.distribution}",
            traceback=traceback.format_exc(),
        )
    if not isinstance(manifest, Manifest):
        return Plugin(
            source.name,
            source.distribution,
            None,
            fault=f"its entry point names a {type(manifest).__name__}, not a Manifest",
            remedy=f"report this to the authors of {source.distribution}",
        )
    if not OLDEST_API_VERSION <= manifest.api <= API_VERSION:
        newer = manifest.api > API_VERSION
        return Plugin(
            manifest.name,
            source.distribution,
            manifest,
            fault=f"it uses plugin interface {manifest.api}; this sparseopt supports "
            f"{OLDEST_API_VERSION} to {API_VERSION}",
            remedy="upgrade sparseopt" if newer else f"upgrade {source.distribution}",
        )
    return Plugin(manifest.name, source.distribution, manifest)


def _disable(plugin: Plugin, fault: str) -> Plugin:
    return Plugin(
        plugin.name,
        plugin.distribution,
        plugin.manifest,
        fault=fault,
        remedy="uninstall one of them, or ask its authors to rename it",
    )


def _settle_clashes(plugins: Sequence[Plugin]) -> list[Plugin]:
    """One name used twice: first-party wins, two third parties are both disabled."""

    def names(plugin: Plugin) -> list[tuple[str, str]]:
        assert plugin.manifest is not None
        m = plugin.manifest
        entries = [("solver", e.name) for e in m.solvers]
        entries += [("analyzer", e.name) for e in m.analyzers]
        entries += [("reader", e.name) for e in m.readers]
        entries += [("criterion", e.name) for e in m.criteria]
        return [("plugin", plugin.name), *entries]

    owners: dict[tuple[str, str], list[Plugin]] = {}
    for plugin in plugins:
        if plugin.ok:
            for key in names(plugin):
                owners.setdefault(key, []).append(plugin)
    settled = []
    for plugin in plugins:
        fault = ""
        if plugin.ok and not plugin.first_party:
            for key in names(plugin):
                others = [p for p in owners[key] if p is not plugin]
                if others or Counter(names(plugin))[key] > 1:
                    whose = " and ".join(sorted({p.distribution for p in others})) or "itself"
                    fault = f"its {key[0]} name {key[1]!r} is also used by {whose}"
                    break
        settled.append(_disable(plugin, fault) if fault else plugin)
    return settled


class Registry:
    """All plugins of one environment: first-party first, then by name."""

    def __init__(self, sources: Iterable[Source]) -> None:
        loaded = [_load(source) for source in sources]
        loaded.sort(key=lambda p: (not p.first_party, p.name, p.distribution))
        self.plugins: tuple[Plugin, ...] = tuple(_settle_clashes(loaded))
        self.solvers = self._collect("solvers")
        self.analyzers = self._collect("analyzers")
        self.readers = self._collect("readers")
        self.criteria = self._collect("criteria")
        self.tools = tuple(t for t in self._collect("tools") if t.plugin.first_party)
        self.engines = tuple(e for e in self._collect("engines") if e.plugin.first_party)
        self.outsiders = tuple(t for t in self._collect("outsiders") if t.plugin.first_party)
        self._for_problem: dict[str, list[Registered]] = {}
        for item in self.solvers:
            self._for_problem.setdefault(item.entry.problem, []).append(item)

    def _collect(self, kind: str) -> tuple[Registered, ...]:
        found = []
        for plugin in self.plugins:
            if plugin.ok:
                found += [Registered(entry, plugin) for entry in getattr(plugin.manifest, kind)]
        return tuple(found)

    def solvers_for(self, problem_class: type) -> list[Registered]:
        """Return the solvers whose entry names `problem_class`."""
        return self._for_problem.get(type_tag(problem_class), [])

    def analyzers_for(self, subject: Any) -> list[Registered]:
        """Return the analyzers whose entry names a class of `subject`."""
        tags = {type_tag(cls) for cls in type(subject).__mro__}
        return [item for item in self.analyzers if item.entry.subject in tags]

    def names(self) -> set[str]:
        """Return every name that block and prefer lists may hold."""
        items = (*self.solvers, *self.analyzers, *self.readers)
        return {item.name for item in items} | {p.name for p in self.plugins}

    def current_names(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return names of block and prefer lists, with the former names of plugins replaced.

        Raises
        ------
        UnknownNameError
            For the first name that is, and was, neither plugin nor entry.
        """
        known, found = self.names(), []
        for name in names:
            renamed = [
                p.name for p in self.plugins if p.manifest and name in p.manifest.former_names
            ]
            if name not in known and not renamed:
                raise UnknownNameError("plugin, solver, analyzer or reader", name, known)
            found += [name] if name in known else renamed
        return tuple(found)


_installed: Registry | None = None


def registry() -> Registry:
    """Return the registry of this process, built at first use."""
    global _installed
    if _installed is None:
        _installed = Registry(_entry_point_sources())
    return _installed


def import_json_type(tag: str) -> None:
    """Import the class of a plugin that `tag` names, and no other plugin.

    What ships with sparseopt resolves from `sparseopt.judging.json_types` and never comes here, so
    reading a file about its problems imports no plugin at all.
    """
    package, _, name = tag.partition(":")
    known = _installed.plugins if _installed is not None else _plugins_of(package)
    for plugin in known:
        if plugin.ok and plugin.manifest is not None:
            paths = [p for p in plugin.manifest.json_types if _top_level(p) == package]
            serialization.import_types(p for p in paths if p.partition(":")[2] == name)


def _plugins_of(package: str) -> list[Plugin]:
    points = importlib.metadata.entry_points(group=GROUP)
    return [_load(_source(point)) for point in points if _top_level(point.value) == package]
