"""What a question or a subject holds stays as it was given: plugins are asked on the object."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.errors import ProblemError
from sparseopt.judging.serialization import same_content
from sparseopt.judging.settling import is_core

_NOTHING = object()


class Kept:
    """The fields of an object and of all records in it, and how arrays are laid out, as they are
    now. O(records)."""

    def __init__(self, subject: Any) -> None:
        self._held: list[tuple[Any, type, dict[str, Any]]] = []
        self._laid_out: list[tuple[np.ndarray, Any, tuple[int, ...], tuple[int, ...]]] = []
        self._met: dict[int, Any] = {}
        self._keep(subject)

    def _keep(self, value: Any) -> None:
        parts: Any = ()
        if isinstance(value, list | tuple):
            parts = value
        elif isinstance(value, dict):
            parts = value.values()
        elif isinstance(value, np.ndarray):
            self._laid_out.append((value, value.dtype, value.shape, value.strides))
        elif (held := _fields(value)) is not None:
            self._held.append((value, type(value), held))
            parts = held.values()
        for part in parts:
            if not isinstance(part, int | float | str) and id(part) not in self._met:
                self._met[id(part)] = part
                self._keep(part)

    def put_back(self) -> bool:
        """Give every record its own class and fields again; return whether others were there.

        What went through its constructor anew, as when a solver asks the judge, holds the same.

        Raises
        ------
        ProblemError
            If an array was laid out anew, and cannot be laid out as it was.
        """
        changed = False
        for array, *layout in self._laid_out:
            if [array.dtype, array.shape, array.strides] != layout:
                _lay_out(array, layout)
                changed = True
        for value, kind, held in self._held:
            if type(value) is not kind:
                object.__setattr__(value, "__class__", kind)
                changed = True
            now = _fields(value) or {}
            for name, own in held.items():
                other = now.get(name, _NOTHING)
                if other is not own:
                    object.__setattr__(value, name, own)
                    changed = changed or not same_content(other, own)
        return changed


def _fields(value: Any) -> dict[str, Any] | None:
    """Return what the constructor of a record sets, without what it remembers or fills in later.

    Of sparse arrays as the core holds them the arrays and the shape, of an object of the core with
    slots all of these; None of anything else.
    """
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        names = [name for name, field in kind.__dataclass_fields__.items() if field.init]
    elif kind in (scipy.sparse.csr_array, scipy.sparse.csc_array):
        parts = vars(value).items()
        return {name: part for name, part in parts if isinstance(part, np.ndarray | tuple)}
    elif is_core(kind) and "__slots__" in vars(kind):
        names = list(vars(kind)["__slots__"])
    else:
        return None
    found = {name: getattr(value, name, _NOTHING) for name in names}
    return {name: part for name, part in found.items() if part is not _NOTHING}


def _lay_out(array: np.ndarray, layout: Sequence[Any]) -> None:
    """Give an array its own dtype, shape and strides again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy, for whoever sets strides
        try:
            for name, own in zip(("dtype", "shape", "strides"), layout, strict=True):
                setattr(array, name, own)
        except (ValueError, AttributeError) as error:
            raise ProblemError(
                "a plugin laid out an array of the problem anew, and it cannot be put back: "
                f"{error}; state the problem again"
            ) from error
