"""What a plugin offers, and whether it can be used here."""

from __future__ import annotations

import importlib
import importlib.util
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sparseopt.choosing.manifest import Manifest
from sparseopt.interface.verdict import Unavailable

FIRST_PARTY = "sparseopt"


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

    def __repr__(self) -> str:
        """Return one line; the manifest has all that it offers."""
        fault = f": {self.fault}" if self.fault else ""
        return f"<Plugin {self.name!r} of {self.distribution}{fault}>"

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
        return self.installation() or self._kept("device", self._find_device)

    def installation(self) -> Unavailable | None:
        """Return the same without looking for a device, which imports a library for that."""
        return self._kept("installation", self._find_installation)

    def _kept(self, key: str, find: Callable[[], Unavailable | None]) -> Unavailable | None:
        if key not in self._cache:
            self._cache[key] = find()
        return self._cache[key]  # type: ignore[no-any-return]

    def _find_installation(self) -> Unavailable | None:
        for module in self.entry.requires:
            if not is_installed(module):
                return Unavailable(f"{module} is not installed", self.entry.remedy)
        try:
            self._cache["class"] = import_path(self.entry.path)
        except (Exception, SystemExit) as error:
            self._cache["traceback"] = traceback.format_exc()
            return Unavailable(
                f"importing {self.entry.path} fails: {one_line(error)}",
                self.entry.remedy
                or "run `sparseopt doctor` and report this to the plugin's author",
            )
        return None

    def _find_device(self) -> Unavailable | None:
        probe = getattr(self.entry, "device_probe", None)
        if probe is None:
            return None
        for module in self.entry.requires:
            try:
                importlib.import_module(module)
            except (Exception, SystemExit) as error:
                self._cache["traceback"] = traceback.format_exc()
                return Unavailable(
                    f"importing {module} fails: {one_line(error)}", self.entry.remedy
                )
        try:
            verdict = import_path(probe)()
        except (Exception, SystemExit) as error:
            return Unavailable(
                f"looking for its device fails: {one_line(error)}",
                "run `sparseopt doctor` and check the device's driver",
            )
        if isinstance(verdict, str):
            self._cache["described"], verdict = verdict, None
        if verdict is None or isinstance(verdict, Unavailable):
            return verdict
        return Unavailable(
            f"the device probe {probe} returned {verdict!r}", "report this to the plugin's author"
        )

    @property
    def device(self) -> str:
        """The device it runs on, in words; empty where it needs none, or none was looked for."""
        return str(self._cache.get("described", ""))

    @property
    def left_out(self) -> str:
        """What it goes without here, for want of a library that it could use; empty if nothing."""
        helpers = getattr(self.entry, "helped_by", {})
        if not helpers:
            return ""
        absent = [name for name in helpers if not is_installed(name)]
        return "; ".join(f"without {name}, {self.entry.helped_by[name]}" for name in absent)

    @property
    def traceback(self) -> str:
        """Traceback of a failed import, empty otherwise."""
        return str(self._cache.get("traceback", ""))

    @property
    def cls(self) -> Any:
        """The class; only valid when `availability` is None."""
        self.installation()
        return self._cache["class"]

    @property
    def plain(self) -> Any:
        """An instance with its own settings, kept; it holds no data. As valid as `cls`."""
        if "plain" not in self._cache:
            self._cache["plain"] = self.cls()
        return self._cache["plain"]


def one_line(error: BaseException) -> str:
    """Return an error in one line, without rules of signs."""
    text = " ".join(re.sub(r"={4,}", " ", str(error)).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@cache
def is_installed(module: str) -> bool:
    """Whether a top-level module can be found; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def import_path(path: str) -> Any:
    """Return what a ``"module:Name"`` path names."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
