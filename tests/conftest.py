"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sparseopt as so
from sparseopt.choosing import availability, discovery as registry
from sparseopt.choosing.discovery import Registry, Source


def toy_entry(name: str, cls: str = "Search", **more: Any) -> so.SolverEntry:
    """Return a manifest line for a toy solver."""
    more.setdefault("guarantee", so.Guarantee.EXACT)
    return so.SolverEntry(name, f"toys:{cls}", "toys:SquareRoot", summary="toy", **more)


def toy_source(
    *entries: so.SolverEntry, plugin: str = "toy", distribution: str = "toy-dist", api: int = 1
) -> Source:
    """Return the source of a plugin that offers these entries."""
    manifest = so.Manifest(plugin, api, "toy", solvers=entries)
    return Source(plugin, distribution, lambda: manifest)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Registry]:
    """Replace the registry of this process by one made from the given sources."""

    def use(*sources: Source) -> Registry:
        made = Registry(sources)
        monkeypatch.setattr(registry, "_installed", made)
        return made

    return use


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Hide a library that is installed."""
    find = importlib.util.find_spec

    def hide(library: str) -> None:
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == library else find(name)
        )
        availability.is_installed.cache_clear()

    yield hide
    availability.is_installed.cache_clear()
