"""What users ask the registry for: lists, tools, outside programs, readers."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

from sparseopt.choosing.availability import Plugin, Registered
from sparseopt.choosing.discovery import registry
from sparseopt.choosing.manifest import AnalyzerEntry, CriterionEntry, ReaderEntry, SolverEntry
from sparseopt.interface.context import Progress
from sparseopt.interface.errors import ProblemError, UnknownNameError
from sparseopt.interface.printing import shown_path
from sparseopt.interface.problem import Problem
from sparseopt.interface.reader import Reader


def plugins() -> tuple[Plugin, ...]:
    """Return every discovered plugin, the disabled ones with their fault and remedy.

    Examples
    --------
    >>> import sparseopt as so
    >>> sorted(p.name for p in so.plugins() if p.first_party)
    ['butterfly', 'closedness', 'cupy', 'inverse', 'onnx', 'pathnorm', 'quantization', 'torch']
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


def criteria() -> tuple[CriterionEntry, ...]:
    """Return the entries of the pruning criteria that plugins bring; see `sparseopt.prune`."""
    return tuple(item.entry for item in registry().criteria)


def registered_criteria() -> tuple[Registered, ...]:
    """Return the pruning criteria of plugins, to be imported at first use."""
    return registry().criteria


def registered_tool(name: str) -> Registered:
    """Return the entry of a tool; AttributeError if no plugin of sparseopt's own offers it."""
    found = next((item for item in registry().tools if item.name == name), None)
    if found is None:
        raise AttributeError(f"module 'sparseopt' has no attribute {name!r}")
    return found


def engine(name: str) -> Registered:
    """Return the entry of what computes on a device, of a plugin shipped with sparseopt."""
    found = next((item for item in registry().engines if item.name == name), None)
    if found is None:
        raise RuntimeError(f"no installed plugin of sparseopt offers {name}; reinstall sparseopt")
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


def is_read(source: Any) -> bool:
    """Whether `source` is a path, or an object that a reader is for."""
    path = isinstance(source, str | os.PathLike)
    return path or any(_matches(item.entry, source) for item in registry().readers)


def read(
    source: Any,
    *,
    produces: str | None = None,
    example: Any = None,
    outputs: Any = None,
    until: str | None = None,
    progress: Progress | None = None,
    weights: Any = None,
) -> Any:
    """Return the subject that `source` (a path or a foreign object) describes.

    The first available reader whose suffixes or types match reads it. `produces`, a
    ``"package:Class"`` tag, narrows the choice. What of a part of the source is asked for is
    handed on to readers that take it, and so is `progress`.
    """
    reader = reader_of(source, produces)
    part = {"outputs": outputs, "until": until, "weights": weights}
    asked: dict[str, Any] = {name: choice for name, choice in part.items() if choice is not None}
    taken = inspect.signature(reader.read).parameters
    for name in asked:
        if name not in taken:
            raise ProblemError(
                f"{type(reader).__name__}, which reads {_name(source)}, takes no {name}=; leave it "
                "out"
            )
    if progress is not None and "progress" in taken:
        asked["progress"] = progress
    return reader.read(source, example, **asked)


def reader_of(source: Any, produces: str | None = None) -> Reader:
    """Return the reader that `read` takes for `source`."""
    if isinstance(source, str | os.PathLike) and not os.path.isfile(source):
        what = "is not a regular file" if os.path.exists(source) else "does not exist"
        raise ProblemError(f"the file {shown_path(source)} {what}; give the path of a file")
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


def reader_named(name: str) -> Reader:
    """Return a reader by its name; `ProblemError` with the remedy if it cannot be used here."""
    known = {item.name: item for item in registry().readers}
    if name not in known:
        raise UnknownNameError("reader", name, known)
    missing = known[name].availability()
    if missing is not None:
        raise ProblemError(
            f"{name} cannot be used here: {missing.reason}; remedy: {missing.remedy}"
        )
    return known[name].cls()  # type: ignore[no-any-return]


def _name(source: Any) -> str:
    if isinstance(source, str | os.PathLike):
        return repr(os.fspath(source))
    return f"an object of type {type(source).__module__}.{type(source).__qualname__}"
