"""The classes that may travel through JSON, and the tags they travel under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short_repr

T = TypeVar("T")

known_types: dict[str, type] = {}
"""Tag to class, of the modules imported so far."""


def type_tag(cls: type) -> str:
    """Return ``"package:Class"``, which stays valid when a module moves inside its package."""
    return f"{cls.__module__.partition('.')[0]}:{cls.__qualname__}"


def json_type(cls: type[T]) -> type[T]:
    """Class decorator: let a dataclass or an Enum travel through JSON under its `type_tag`.

    A dataclass is written field by field and rebuilt by its constructor. If it defines
    ``to_fields(self) -> dict``, that is written instead, and a classmethod ``from_fields(fields)``
    rebuilds it; reports and solutions use it to be plain lists and words for other programs.
    Its repr is cut where it would list large arrays.
    """
    tag = type_tag(cls)
    other = known_types.get(tag)
    if other is not None and other.__module__ != cls.__module__:
        raise TypeError(f"two classes claim the JSON tag {tag!r}: {other!r} and {cls!r}")
    known_types[tag] = cls
    return short_repr(cls) if is_dataclass(cls) else cls


def require_kinds(what: str, fields: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Refuse fields of a file that are of another kind, or that `what` does not have.

    A field that is not there counts as None, and a boolean is not taken for a number.
    """
    if extra := set(fields) - set(kinds):
        raise ProblemError(f"{what} has no fields {sorted(extra)}")
    for name, kind in kinds.items():
        value = fields.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ProblemError(f"{name} of {what} cannot be a {type(value).__name__}")
