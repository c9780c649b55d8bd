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
    _walk(question, stated, _LEFT_ALONE, met := dict[int, Any]())
    _walk(given, True, _PLAIN if is_core(type(question)) else _LEFT_ALONE, met)


def _walk(value: Any, again: bool, plain: frozenset[Any], met: dict[int, Any]) -> None:
    """Look at what was not met yet; where `again`, objects go through their constructors.

    Classes in `plain` hold nothing. With `_LEFT_ALONE` neither do others of which nothing is known.
    """
    met[id(value)] = value
    kind: Any = type(value)
    held = _lister(kind) if id(type(kind)) in _USUAL else _lister.__wrapped__(kind)
    if plain is _PLAIN and not (held and (id(kind) in _BASIC or is_core(kind) or _is_tensor(kind))):
        raise ProblemError(
            f"a {kind.__name__} may answer otherwise than plain numbers and arrays; give what the "
            "constructors of the core make, numbers, texts, arrays, lists, tuples and dicts"
        )
    for part in () if held is None else held(value):
        if id(part) not in met and (type(type(part)) is not type or type(part) not in plain):
            _walk(part, again, plain, met)
    (getattr(kind, "__post_init__", id) if again and is_core(kind) else id)(value)


def _fields(names: frozenset[str], value: Any) -> list[Any]:
    """Return the attributes that count, and drop those that are none or hide one of the class."""
    for name in dict.keys(getattr(value, "__dict__", {})) - names:
        if names is _SPARSE or is_core(type(value)) or hasattr(type(value), name):  # type: ignore[arg-type]
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
_PLAIN: frozenset[Any] = frozenset((bool, int, float, complex, str, type(None), *_SCALARS))
"""Of what holds nothing; not NumPy's other numbers, which wrap around or round what they meet."""
_LEFT_ALONE = _PLAIN | set(np.sctypeDict.values())
"""The same where a third party's judge, or the user's own question, answers for what is held."""
_SPARSE = frozenset(("data", "indices", "indptr", "_shape", "maxprint"))
"""Attributes of sparse arrays by rows or columns; what else is there need not be true."""
_TENSORS = ("torch", "Tensor"), ("torch.nn", "Parameter"), ("cupy", "ndarray")
_OF_TENSORS = "detach", "__cuda_array_interface__"
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
"""Identities of classes from which no class may derive; others may be equal to them."""
_FREE = frozenset((id(Problem), id(Certificate)))
"""The same of classes whose derived classes may derive from records of the core, too."""


@lru_cache(maxsize=512)
def _lister(kind: Any) -> Callable[[Any], Iterable[Any]] | None:
    """Return what lists what an object of a class holds, None where that is not known.

    Raises
    ------
    ProblemError
        For derived classes of numbers, texts, arrays, tensors, containers and records of the core,
        but of problems and certificates, and for imitations of tensors.
    """
    if _is_tensor(kind) or (id(type(kind)) in _USUAL and kind in _HELD):
        return _HELD.get(kind, partial(_fields, frozenset()))
    if _imitates(kind):
        raise ProblemError(
            f"a {type.__dict__['__name__'].__get__(kind)} may answer otherwise than what it "
            "derives from; give that itself"
        )
    if not dataclasses.is_dataclass(kind):
        return None
    return partial(_fields, frozenset(field.name for field in dataclasses.fields(kind)))


def _imitates(kind: Any) -> bool:
    known = set(map(id, bases := _bases(kind)))
    if known & _BASIC or any(map(_is_tensor, bases)) or any(hasattr(kind, x) for x in _OF_TENSORS):
        return True
    free = is_core(kind) or known & _FREE
    return not free and any(is_core(b) and dataclasses.is_dataclass(b) for b in bases[1:])


def is_core(kind: Any) -> bool:
    """Whether a class is one of the core, where it is found by its name."""
    return id(type(kind)) in _USUAL and _is_found(kind)


@lru_cache(maxsize=512)
def _is_found(kind: Any) -> bool:
    home = kind.__module__
    return home.startswith(_CORE) and attrgetter(kind.__qualname__)(sys.modules[home]) is kind


def _is_tensor(kind: type) -> bool:
    return any(kind is getattr(sys.modules.get(home), name, None) for home, name in _TENSORS)
