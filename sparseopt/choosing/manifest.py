"""A Manifest is what an entry point of group ``sparseopt.plugins`` names: data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparseopt.interface.verdict import Guarantee

API_VERSION = 1
"""Version of the plugin interface that this core speaks."""
OLDEST_API_VERSION = 1
"""Oldest plugin interface that this core still loads."""


def _require_remedy(
    entry: SolverEntry
    | AnalyzerEntry
    | ReaderEntry
    | ToolEntry
    | EngineEntry
    | OutsiderEntry
    | CriterionEntry,
) -> None:
    if entry.requires and not entry.remedy:
        raise ValueError(f"{entry.name}: what requires modules must give the remedy")


def _require_path(path: str, owner: str) -> None:
    module, separator, name = path.partition(":")
    if not (separator and module and name):
        raise ValueError(f'{owner}: {path!r} is not of the form "package.module:Name"')


@dataclass(frozen=True)
class SolverEntry:
    """One solver, described without importing it.

    Parameters
    ----------
    name : str
        Unique over all plugins; what users write in ``solve(problem, solver=name)``.
    path : str
        ``"package.module:Class"``, imported at first use.
    problem : str
        ``"package:ProblemClass"`` (top-level package and class name).
    guarantee : Guarantee
        The promise; its source is in `citations`.
    summary : str
        One line.
    citations : tuple of str
        Where the method and its guarantee come from.
    requires : tuple of str
        Top-level modules that must be importable.
    remedy : str
        What to do if one of them is missing, for example ``"pip install 'sparseopt[inverse]'"``.
    helped_by : mapping
        Top-level modules that it uses where they are there, each with what is left out without
        it and the remedy. Plans, verdicts and `sparseopt doctor` say so.
    structure : mapping
        For each key of `Problem.structure`, the values that the solver can take.
    device_probe : str or None
        ``"package.module:function"`` returning None, or what the device is in words, if the one it
        needs is there and fit, otherwise an `Unavailable`. It is called once `requires` are
        imported, and by `plan` for problems of the declared structure only.
    priority : int
        Breaks ties of guarantee and predicted cost; larger goes first.
    on_request : bool
        Whether it runs after all other first-party solvers of its guarantee, and only if none of
        them has a proved answer, unless the user prefers or chooses it. For engines of optional
        libraries: installing one then changes no results.
    """

    name: str
    path: str
    problem: str
    guarantee: Guarantee
    summary: str
    citations: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    remedy: str = ""
    helped_by: Mapping[str, str] = field(default_factory=dict)
    structure: Mapping[str, tuple[str | int | bool, ...]] = field(default_factory=dict)
    device_probe: str | None = None
    priority: int = 0
    on_request: bool = False

    def __post_init__(self) -> None:
        _require_path(self.path, self.name)
        _require_path(self.problem, self.name)
        _require_remedy(self)


@dataclass(frozen=True)
class AnalyzerEntry:
    """One analyzer; `subject` is the ``"package:Class"`` of what it looks at.

    `rules` holds the rules of its findings, each with the severities it can have and what it says,
    in a line; `docs/findings.md` lists them.
    """

    name: str
    path: str
    subject: str
    summary: str
    citations: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    remedy: str = ""
    rules: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_path(self.path, self.name)
        _require_path(self.subject, self.name)
        _require_remedy(self)


@dataclass(frozen=True)
class ReaderEntry:
    """One reader, which turns a file or a foreign object into a subject of the core.

    Parameters
    ----------
    name, path, summary, requires, remedy
        As for `SolverEntry`; the path names a `Reader` class.
    produces : str
        ``"package:Class"`` of what `Reader.read` returns.
    suffixes : tuple of str
        File name endings that it reads, with the dot.
    types : tuple of str
        ``"module:Class"`` of the objects that it reads; matched by name over the bases of an
        object's class, so that nothing is imported to find out.
    """

    name: str
    path: str
    produces: str
    summary: str
    suffixes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    remedy: str = ""

    def __post_init__(self) -> None:
        _require_path(self.path, self.name)
        _require_path(self.produces, self.name)


@dataclass(frozen=True)
class ToolEntry:
    """A class or function of a first-party plugin, which users reach as ``sparseopt.NAME``.

    For what is neither solver, analyzer nor reader, such as a layer of another library. `name` is
    its public name; the rest is as for `SolverEntry`.
    """

    name: str
    path: str
    summary: str
    requires: tuple[str, ...] = ()
    remedy: str = ""

    def __post_init__(self) -> None:
        _require_path(self.path, self.name)
        _require_remedy(self)


@dataclass(frozen=True)
class EngineEntry:
    """What computes on a device for the library itself, of a first-party plugin: no public name.

    All is as for `SolverEntry`; `sparseopt doctor` says whether the device is there.
    """

    name: str
    path: str
    summary: str
    requires: tuple[str, ...] = ()
    remedy: str = ""
    device_probe: str | None = None

    def __post_init__(self) -> None:
        _require_path(self.path, self.name)
        _require_remedy(self)


@dataclass(frozen=True)
class OutsiderEntry:
    """A program outside this library that confirms a statement, asked by ``verify(..., allow=)``.

    Parameters
    ----------
    name : str
        As certificates name it, for example ``"z3"``.
    path : str
        ``"package.module:function"``; the function takes the question as text and returns
        whether the program confirms it.
    summary, requires, remedy
        As for `SolverEntry`.
    """

    name: str
    path: str
    summary: str
    requires: tuple[str, ...] = ()
    remedy: str = ""

    def __post_init__(self) -> None:
        _require_path(self.path, self.name)
        _require_remedy(self)


@dataclass(frozen=True)
class CriterionEntry:
    """One way to score the weights of a network for `sparseopt.prune`.

    Parameters
    ----------
    name : str
        Unique; what users write in ``prune(network, ratio, criterion=name)``.
    path : str
        ``"package.module:function"``; the function takes a network and a seed, and returns scores
        by parameter, ``{"node.weight": array}``. The lowest go first.
    summary : str
        One line.
    invariant : bool
        Whether no positive rescaling of hidden units changes which weights score lowest;
        `sparseopt.testing.check_criterion` holds it to that.
    citations, requires, remedy
        As for `SolverEntry`.
    """

    name: str
    path: str
    summary: str
    invariant: bool = False
    citations: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    remedy: str = ""

    def __post_init__(self) -> None:
        _require_path(self.path, self.name)
        _require_remedy(self)


@dataclass(frozen=True)
class Manifest:
    """All that a plugin offers.

    Parameters
    ----------
    name : str
        Name of the plugin.
    api : int
        The plugin interface it was written for; write the number, not `API_VERSION`.
    summary : str
        One line.
    solvers, analyzers, readers, criteria : tuple
        The entries.
    tools : tuple of ToolEntry
        Used only from plugins that ship with sparseopt: no other adds to its names.
    engines : tuple of EngineEntry
        Used only from plugins that ship with sparseopt.
    outsiders : tuple of OutsiderEntry
        Used only from plugins that ship with sparseopt: which programs may confirm a proof is
        for the core to say.
    json_types : tuple of str
        ``"module:Class"`` of the plugin's own classes decorated with `json_type`.
    former_names : tuple of str
        Names that the plugin, or the one it was a part of, had before; block and prefer lists
        take them for it.
    """

    name: str
    api: int
    summary: str
    solvers: tuple[SolverEntry, ...] = ()
    analyzers: tuple[AnalyzerEntry, ...] = ()
    readers: tuple[ReaderEntry, ...] = ()
    tools: tuple[ToolEntry, ...] = ()
    engines: tuple[EngineEntry, ...] = ()
    outsiders: tuple[OutsiderEntry, ...] = ()
    json_types: tuple[str, ...] = ()
    former_names: tuple[str, ...] = ()
    criteria: tuple[CriterionEntry, ...] = ()
