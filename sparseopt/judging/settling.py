"""What an engine hands over is brought to what its classes say of it, before it is judged."""

from __future__ import annotations

import dataclasses
import sys
from abc import ABCMeta
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import lru_cache, partial
from math import gcd
from operator import attrgetter
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.certificate import Certificate
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.problem import Problem

_CORE = __name__.partition(".")[0] + "."


def settle(question: Any, *given: Any, stated: bool = False) -> None:
    """Look at a question, and at what an engine gives of it, all the way down.

    An engine works on the very objects that it hands over. What they remember of cached
    properties (norms, unrolled graphs), and what was planted there, is dropped and derived again
    by the judge; what was set past a constructor of the core goes through it. Objects of other
    classes than the core's own, plain numbers, texts, arrays and containers can answer as they
    like, and are refused, but for parts of the question (operators of the user), and where the
    question is a third party's, whose own judge looks at them. O(1) per object; arrays of numbers
    are looked at by constructors alone.

    Parameters
    ----------
    question : Problem
    *given : objects
    stated : bool
        Whether nobody but the engine states the question: it goes through its constructor, too.

    Raises
    ------
    ProblemError
        For an object that is refused.
    """
    _walk(question, stated, True, met := dict[int, Any]())
    _walk(given, True, not _is_core(type(question)), met)  # type: ignore[arg-type]


def _walk(value: Any, again: bool, lenient: bool, met: dict[int, Any]) -> None:
    """Look at what was not met yet; where `again`, objects go through their constructors.

    Where `lenient`, objects of which nothing is known are left alone.
    """
    met[id(value)] = value
    kind: Any = type(value)
    if lenient and id(kind) in _NUMPY_SCALARS:
        return
    held = _lister(kind) if _is_usual(kind) else _lister.__wrapped__(kind)
    if not lenient and (held is None or not (kind in _HELD or _is_core(kind) or _is_tensor(kind))):
        raise ProblemError(
            f"a {kind.__name__} may answer otherwise than plain numbers and arrays; give what the "
            "constructors of the core make, numbers, texts, arrays, lists, tuples and dicts"
        )
    for part in () if held is None else held(value):
        if id(part) not in met and (type(type(part)) is not type or type(part) not in _PLAIN):
            _walk(part, again, lenient, met)
    if again and _is_core(kind):
        getattr(kind, "__post_init__", id)(value)


def _fields(names: frozenset[str], value: Any) -> list[Any]:
    """Return the attributes that count, and drop those that are none or hide one of the class."""
    for name in dict.keys(getattr(value, "__dict__", {})) - names:
        if names is _SPARSE or _is_core(type(value)) or hasattr(type(value), name):  # type: ignore[arg-type]
            dict.pop(value.__dict__, name)
    return [getattr(value, name, None) for name in names]


def _in_lowest_terms(value: Any) -> tuple[()]:
    one, two = value._numerator, value._denominator
    if type(one) is not int or type(two) is not int or two < 1 or gcd(one, two) != 1:
        raise ProblemError("a Fraction may answer otherwise than one in lowest terms")
    return ()


_bases: Any = type.__dict__["__mro__"].__get__
"""Returns what a class derives from, whatever it says itself."""
_USUAL = id(type), id(ABCMeta)
"""Of classes of other classes, ==, hash and attributes may be anything."""
_SCALARS = np.bool_, np.float64, np.complex128, np.str_
_PLAIN = frozenset((bool, int, float, complex, str, type(None), *_SCALARS))
"""Of what holds nothing; not NumPy's other numbers, which wrap around or round what they meet."""
_SPARSE = frozenset(("data", "indices", "indptr", "_shape", "maxprint"))
"""Attributes of sparse arrays by rows or columns; what else is there need not be true."""
_TENSORS = ("torch", "Tensor"), ("torch.nn", "Parameter"), ("cupy", "ndarray")
_HELD: dict[type, Callable[[Any], Iterable[Any]]] = {
    list: iter,
    tuple: iter,
    dict: dict.items,
    np.ndarray: lambda value: value.flat if value.dtype.hasobject else (),
    Fraction: _in_lowest_terms,
    scipy.sparse.csr_array: partial(_fields, _SPARSE),
    scipy.sparse.csc_array: partial(_fields, _SPARSE),
}
"""What an object of a class holds."""
_BASES = int, float, complex, str, np.generic, scipy.sparse.sparray, scipy.sparse.spmatrix
_BASIC = frozenset(map(id, (*_BASES, *_HELD)))
"""Identities of classes from which nothing may derive; then those of NumPy's own scalars."""
_NUMPY_SCALARS = frozenset(map(id, np.sctypeDict.values()))


@lru_cache(maxsize=512)
def _lister(kind: Any) -> Callable[[Any], Iterable[Any]] | None:
    """Return what lists what an object of a class holds, None where that is not known.

    Raises
    ------
    ProblemError
        For derived classes of numbers, texts, arrays, tensors, containers and records of the core,
        but of problems and certificates, and for imitations of tensors.
    """
    if _is_tensor(kind):
        return partial(_fields, frozenset())
    if _is_usual(kind) and kind in _HELD:
        return _HELD[kind]
    if _imitates(kind):
        raise ProblemError(
            f"a {type.__dict__['__name__'].__get__(kind)} may answer otherwise than what it "
            "derives from; give that itself"
        )
    if not dataclasses.is_dataclass(kind):
        return None
    return partial(_fields, frozenset(field.name for field in dataclasses.fields(kind)))


def _imitates(kind: Any) -> bool:
    _, *bases = _bases(kind)
    if any(id(base) in _BASIC or _is_tensor(base) for base in (kind, *bases)):
        return True
    if hasattr(kind, "detach") or hasattr(kind, "__cuda_array_interface__"):
        return True
    if _is_core(kind) or any(base is Problem or base is Certificate for base in bases):
        return False
    return any(_is_core(base) and dataclasses.is_dataclass(base) for base in bases)


def _is_usual(kind: Any) -> bool:
    return id(type(kind)) in _USUAL


def _is_core(kind: Any) -> bool:
    """Whether a class is one of the core, where it is found by its name."""
    return _is_usual(kind) and _is_found(kind)


@lru_cache(maxsize=512)
def _is_found(kind: Any) -> bool:
    home = kind.__module__
    return home.startswith(_CORE) and attrgetter(kind.__qualname__)(sys.modules[home]) is kind


def _is_tensor(kind: type) -> bool:
    return any(kind is getattr(sys.modules.get(home), name, None) for home, name in _TENSORS)
