"""What a question or a subject holds stays as it was given: plugins are asked on the object."""

from __future__ import annotations

import dataclasses
from typing import Any

from sparseopt.judging.serialization import same_content

_NOTHING = object()


class Kept:
    """The fields of an object and of all records in it, as they are now. O(records)."""

    def __init__(self, subject: Any) -> None:
        self._held: list[tuple[Any, type, dict[str, Any]]] = []
        self._met: dict[int, Any] = {}
        self._keep(subject)

    def _keep(self, value: Any) -> None:
        parts: Any = ()
        if isinstance(value, list | tuple):
            parts = value
        elif isinstance(value, dict):
            parts = value.values()
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            held = _fields(value)
            self._held.append((value, type(value), held))
            parts = held.values()
        for part in parts:
            if not isinstance(part, int | float | str) and id(part) not in self._met:
                self._met[id(part)] = part
                self._keep(part)

    def put_back(self) -> bool:
        """Give every record its own class and fields again; return whether others were there.

        What went through its constructor anew, as when a solver asks the judge, holds the same.
        """
        changed = False
        for value, kind, held in self._held:
            if type(value) is not kind:
                object.__setattr__(value, "__class__", kind)
                changed = True
            now = _fields(value)
            for name, own in held.items():
                other = now.get(name, _NOTHING)
                if other is not own:
                    object.__setattr__(value, name, own)
                    changed = changed or not same_content(other, own)
        return changed


def _fields(record: Any) -> dict[str, Any]:
    """Return what the constructor of a record sets, without what it remembers or fills in later."""
    named = type(record).__dataclass_fields__.items()
    found = {name: getattr(record, name, _NOTHING) for name, field in named if field.init}
    return {name: value for name, value in found.items() if value is not _NOTHING}
