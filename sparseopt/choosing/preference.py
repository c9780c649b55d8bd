"""Block and prefer lists: by argument, by context manager, by environment variable."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from sparseopt.choosing.discovery import Registry, registry

BLOCK_VARIABLE = "SPARSEOPT_BLOCK"
PREFER_VARIABLE = "SPARSEOPT_PREFER"


@dataclass(frozen=True)
class Preferences:
    """Names of plugins, solvers or analyzers: `block` is never used, `prefer` goes first."""

    block: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()


_current: ContextVar[Preferences | None] = ContextVar("sparseopt_preferences", default=None)


@contextmanager
def preferences(block: Iterable[str] = (), prefer: Iterable[str] = ()) -> Iterator[None]:
    """Block and prefer plugins, solvers or analyzers inside a ``with`` statement.

    Nested uses add up; an earlier name in `prefer` goes first. An unknown name is an
    `UnknownNameError` that lists the known ones.

    Examples
    --------
    >>> import sparseopt as so
    >>> with so.preferences(block=["cvxpy"]):
    ...     pass
    """
    outer = _current.get() or Preferences()
    known = registry()
    blocked, preferred = known.current_names(_names(block)), known.current_names(_names(prefer))
    token = _current.set(Preferences((*blocked, *outer.block), (*preferred, *outer.prefer)))
    try:
        yield
    finally:
        _current.reset(token)


def _from_environment(variable: str) -> tuple[str, ...]:
    text = os.environ.get(variable, "")
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def effective(
    block: str | Iterable[str], prefer: str | Iterable[str], known: Registry
) -> Preferences:
    """Join argument, context manager and environment, in this order; every name must exist."""
    context = _current.get() or Preferences()
    joined = Preferences(
        (*_names(block), *context.block, *_from_environment(BLOCK_VARIABLE)),
        (*_names(prefer), *context.prefer, *_from_environment(PREFER_VARIABLE)),
    )
    if not (joined.block or joined.prefer):
        return joined
    return Preferences(known.current_names(joined.block), known.current_names(joined.prefer))
