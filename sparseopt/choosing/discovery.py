"""Discovery of plugins, isolated from their faults, and the availability of what they offer.

Discovery collects and never raises: a plugin that is broken, exits, clashes or speaks another
interface version is kept as a record with the reason, for ``sparseopt doctor``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sparseopt.choosing.manifest import (
    API_VERSION,
    OLDEST_API_VERSION,
    AnalyzerEntry,
    Manifest,
    OutsiderEntry,
    ReaderEntry,
    SolverEntry,
    ToolEntry,
)
from sparseopt.interface.errors import ProblemError, UnknownNameError
from sparseopt.interface.json_type import type_tag
from sparseopt.interface.problem import Problem
from sparseopt.interface.reader import Reader
from sparseopt.interface.verdict import Unavailable
from sparseopt.judging import serialization

GROUP = "sparseopt.plugins"
FIRST_PARTY = "sparseopt"

Entry = SolverEntry | AnalyzerEntry | ReaderEntry | ToolEntry | OutsiderEntry


@dataclass(frozen=True)
class Source:
    """Where a plugin comes from: an entry point, reduced to what discovery needs."""

    name: str
    distribution: str
    load: Callable[[], Any]


@dataclass(frozen=True)
class Plugin:
    """A discovered plugin: its manifest, or the fault that disables it.

    Attributes
    ----------
    name, distribution : str
        Plugin name and the distribution that installed it.
    manifest : Manifest or None
        None when it could not be loaded.
    fault, remedy, traceback : str
        Empty when the plugin works.
    """

    name: str
    distribution: str
    manifest: Manifest | None
    fault: str = ""
    remedy: str = ""
    traceback: str = ""

    @property
    def first_party(self) -> bool:
        """Whether it ships with sparseopt itself."""
        return self.distribution == FIRST_PARTY

    @property
    def ok(self) -> bool:
        """Whether its entries are in use."""
        return self.manifest is not None and not self.fault


@dataclass(frozen=True)
class Registered:
    """One entry of a working plugin, with its class imported at first use."""

    entry: Any
    plugin: Plugin
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The entry's name."""
        return str(self.entry.name)

    def availability(self) -> Unavailable | None:
        """Return None if it can run here, else why not: four stages, the result is kept."""
        if "availability" not in self._cache:
            self._cache["availability"] = self._find_availability()
        return self._cache["availability"]  # type: ignore[no-any-return]

    def _find_availability(self) -> Unavailable | None:
        for module in self.entry.requires:
            if not _is_installed(module):
                return Unavailable(f"{module} is not installed", self.entry.remedy)
        try:
            self._cache["class"] = _import_path(self.entry.path)
        except (Exception, SystemExit) as error:
            self._cache["traceback"] = traceback.format_exc()
            return Unavailable(
                f"importing {self.entry.path} fails: {_one_line(error)}",
                self.entry.remedy
                or "run `sparseopt doctor` and report this to the plugin's author",
            )
        probe = getattr(self.entry, "device_probe", None)
        if probe is None:
            return None
        try:
            verdict = _import_path(probe)()
        except (Exception, SystemExit) as error:
            return Unavailable(
                f"looking for its device fails: {_one_line(error)}",
                "run `sparseopt doctor` and check the device's driver",
            )
        if verdict is None or isinstance(verdict, Unavailable):
            return verdict
        return Unavailable(
            f"the device probe {probe} returned {verdict!r}", "report this to the plugin's author"
        )

    @property
    def traceback(self) -> str:
        """Traceback of a failed import, empty otherwise."""
        return str(self._cache.get("traceback", ""))

    @property
    def cls(self) -> Any:
        """The class; only valid when `availability` is None."""
        self.availability()
        return self._cache["class"]


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@cache
def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _top_level(path: str) -> str:
    return path.partition(":")[0].partition(".")[0]


def _import_path(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


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
            fault=f"its manifest cannot be imported: {_one_line(error)}",
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
            fault=f"it speaks plugin interface {manifest.api}, this sparseopt speaks "
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
        self.tools = tuple(t for t in self._collect("tools") if t.plugin.first_party)
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


def plugins() -> tuple[Plugin, ...]:
    """Return every discovered plugin, the disabled ones with their fault and remedy.

    Examples
    --------
    >>> import sparseopt as so
    >>> sorted(p.name for p in so.plugins() if p.first_party)
    ['butterfly', 'closedness', 'inverse', 'onnx', 'pathnorm', 'torch']
    """
    return registry().plugins


def solvers(
    problem: Problem[Any, Any] | type[Problem[Any, Any]] | None = None,
) -> tuple[SolverEntry, ...]:
    """Return the entries of all solvers, or of those for `problem` (an instance or a class)."""
    if problem is None:
        return tuple(item.entry for item in registry().solvers)
    cls = problem if isinstance(problem, type) else type(problem)
    return tuple(item.entry for item in registry().solvers_for(cls))


def analyzers() -> tuple[AnalyzerEntry, ...]:
    """Return the entries of all analyzers."""
    return tuple(item.entry for item in registry().analyzers)


def registered_tool(name: str) -> Registered:
    """Return the entry of a tool; AttributeError if no plugin of sparseopt's own offers it."""
    found = next((item for item in registry().tools if item.name == name), None)
    if found is None:
        raise AttributeError(f"module 'sparseopt' has no attribute {name!r}")
    return found


def tool(name: str) -> Any:
    """Return the class or function that a plugin shipped with sparseopt offers by this name.

    Raises
    ------
    AttributeError
        If there is none.
    ImportError
        If it cannot be used here, with the reason and the remedy.
    """
    found = registered_tool(name)
    missing = found.availability()
    if missing is not None:
        raise ImportError(
            f"sparseopt.{name} cannot be used: {missing.reason}; remedy: {missing.remedy}"
        )
    return found.cls


def outsider(name: str) -> Callable[[str], bool]:
    """Return the function that asks an outside program, for ``verify(..., allow=)``.

    Raises
    ------
    ProblemError
        If no such program is known, or it is not installed here, with the remedy.
    """
    known = {item.name: item for item in registry().outsiders}
    if name not in known:
        raise UnknownNameError("outside program", name, known)
    missing = known[name].availability()
    if missing is not None:
        raise ProblemError(
            f"{name} cannot be asked here: {missing.reason}; remedy: {missing.remedy}"
        )
    return known[name].cls  # type: ignore[no-any-return]


def _matches(entry: ReaderEntry, source: Any) -> bool:
    if isinstance(source, str | os.PathLike):
        return os.fspath(source).lower().endswith(entry.suffixes) if entry.suffixes else False
    names = {f"{cls.__module__}:{cls.__qualname__}" for cls in type(source).__mro__}
    return not names.isdisjoint(entry.types)


def read(source: Any, *, produces: str | None = None, example: Any = None) -> Any:
    """Return the subject that `source` (a path or a foreign object) describes.

    The first available reader whose suffixes or types match reads it. `produces`, a
    ``"package:Class"`` tag, narrows the choice.
    """
    return reader_of(source, produces).read(source, example)


def reader_of(source: Any, produces: str | None = None) -> Reader:
    """Return the reader that `read` takes for `source`."""
    if isinstance(source, str | os.PathLike) and not os.path.isfile(source):
        what = "is no regular file" if os.path.exists(source) else "does not exist"
        raise ProblemError(f"the file {os.fspath(source)!r} {what}; give the path of a file")
    readers = [r for r in registry().readers if produces in (None, r.entry.produces)]
    matching = [r for r in readers if _matches(r.entry, source)]
    refusals = []
    for item in matching:
        missing = item.availability()
        if missing is None:
            return item.cls()  # type: ignore[no-any-return]
        refusals.append(f"{item.name}: {missing.reason}; remedy: {missing.remedy}")
    if refusals:
        raise ProblemError(f"nothing here can read {_name(source)}: " + "; ".join(refusals))
    suffixes = sorted({s for r in readers for s in r.entry.suffixes})
    types = sorted({t.partition(":")[2] for r in readers for t in r.entry.types})
    raise ProblemError(
        f"no plugin reads {_name(source)}; files that can be read end in "
        f"{', '.join(suffixes) or '(none)'}, objects are {', '.join(types) or '(none)'}"
    )


def _name(source: Any) -> str:
    if isinstance(source, str | os.PathLike):
        return repr(os.fspath(source))
    return f"an object of type {type(source).__module__}.{type(source).__qualname__}"
