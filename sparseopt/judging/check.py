"""Judging a certificate, and what was judged in this process."""

from __future__ import annotations

import dataclasses
import operator
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any
from weakref import ReferenceType, ref

import numpy as np
import scipy.sparse

from sparseopt.interface.certificate import (
    NOBODY,
    Certificate,
    Check,
    CheckFailed,
    Outsiders,
    Steps,
)
from sparseopt.interface.problem import Problem
from sparseopt.judging.serialization import same_content


def check_certificate(
    certificate: Any,
    problem: Problem | None = None,
    answer: Any = None,
    *,
    outsiders: Outsiders = NOBODY,
) -> Check:
    """Judge a certificate; with `problem`, also that it speaks of this problem and `answer`.

    Never raises: whatever goes wrong inside a check is a refusal that says so.
    """
    steps, claim = Steps(outsiders), "a certificate of some problem"
    try:
        forget_derived((certificate, problem, answer))
        asked: Any = problem if problem is not None else getattr(certificate, "problem", None)
        steps.require(isinstance(asked, Problem), "the certificate names its problem")
        claim = f"a certificate of {asked.describe()}"
        # Not what a problem class inherits, nor lists again: whoever derives one could change the
        # question.
        listed = [type(certificate) in vars(c).get("certificates", ()) for c in type(asked).__mro__]
        known = f"the certificate's class is one of those that {type(asked).__name__} lists"
        steps.require(listed[0] and not any(listed[1:]), known, type(certificate).__name__)
        if problem is not None:
            steps.require(
                same_content(certificate.problem, problem), "the certificate is of this problem"
            )
            steps.require(
                same_content(certificate.answer, answer), "the certificate is of this answer"
            )
        # Looked up on the class: an instance cannot bring its own judge.
        type(certificate).check(certificate, steps)
        claim = str(type(certificate).claim.fget(certificate))  # type: ignore[attr-defined]
    except CheckFailed:
        return Check("refused", claim, tuple(steps.lines))
    except Exception as error:
        steps.lines.append(f"FAILED: the check itself broke: {type(error).__name__}: {error}")
        return Check("refused", claim, tuple(steps.lines))
    if steps.relied_on:
        believed = " and ".join(steps.relied_on)
        return Check("relies on", f"if {believed} is right: {claim}", tuple(steps.lines))
    return Check("accepted", claim, tuple(steps.lines))


def forget_derived(value: Any) -> None:
    """Drop what hides an attribute of an object's class, all the way down.

    An engine works on the very objects that it hands over. What they remember of cached
    properties (norms, unrolled graphs), and what was planted there, is derived again by the judge.
    Numbers, texts, arrays and containers of derived classes, which can answer as they like, are
    refused.
    """
    kind: Any = type(value)
    if kind in _HELD:
        parts = _HELD[kind](value)
    else:
        names = _KNOWN.get(kind) or _names(kind)
        for name in getattr(value, "__dict__", {}).keys() - names:
            if names is _SPARSE or (names is not _UNKNOWN and hasattr(kind, name)):
                value.__dict__.pop(name, None)
        parts = [getattr(value, name, None) for name in names]
    for part in parts:
        if type(part) not in _PLAIN:
            forget_derived(part)


_PLAIN = frozenset((bool, int, float, complex, str, type(None), *np.sctypeDict.values()))
"""Classes of what holds nothing, and of which there is much."""
_HELD: dict[type, Callable[[Any], Iterable[Any]]] = {
    list: iter,
    tuple: iter,
    dict: dict.items,
    np.ndarray: lambda value: value.flat if value.dtype.hasobject else (),
}
"""What an object of a class holds."""
_SPARSE = frozenset(("data", "indices", "indptr", "_shape", "maxprint"))
"""Attributes of sparse arrays by rows or columns; what else is there need not be true."""
_UNKNOWN = frozenset(("?",))
"""Stands for the attributes of code, and of other classes of which nothing is known."""
_KNOWN = {
    Fraction: frozenset(("numerator", "denominator")),
    scipy.sparse.csr_array: _SPARSE,
    scipy.sparse.csc_array: _SPARSE,
}
_BASIC = int, float, complex, str, scipy.sparse.sparray, scipy.sparse.spmatrix, Fraction, *_HELD


@lru_cache(maxsize=512)
def _names(kind: type) -> frozenset[str]:
    """Return the attributes that count of an object of a class.

    Raises
    ------
    TypeError
        For derived classes of numbers, texts, arrays and containers, and for imitations of tensors.
    """
    is_tensor = hasattr(kind, "detach") or hasattr(kind, "__cuda_array_interface__")
    if issubclass(kind, _BASIC) or (is_tensor and not _is_known_tensor(kind)):
        raise TypeError(f"a {kind.__name__} may answer otherwise than its base")
    if dataclasses.is_dataclass(kind):
        return frozenset(field.name for field in dataclasses.fields(kind))
    return frozenset() if is_tensor else _UNKNOWN


def _is_known_tensor(kind: type) -> bool:
    torch, cupy = map(sys.modules.get, ("torch", "cupy"))
    known: tuple[Any, ...] = (torch.Tensor, torch.nn.Parameter) if torch else ()
    return kind in (*known, cupy.ndarray if cupy else None)


# Expensive checks need not run twice on one object: what `solve` gated, `analyze`, the HTML page
# and what is printed take from here. `verify` never does.
_judged: dict[int, tuple[ReferenceType[Certificate], list[Any], Check]] = {}


def remember(certificate: Certificate, check: Check) -> None:
    """Keep the judgement of a certificate for `judgement` and `remembered`."""
    key, held = id(certificate), list(vars(certificate).values())
    _judged[key] = ref(certificate, partial(_judged.pop, key)), held, check


def _kept(certificate: Certificate | None) -> Check | None:
    """Return the judgement that is kept of this very object, if it still holds what it held."""
    kept, held, check = _judged.get(id(certificate), (None, [], None))
    if certificate is None or kept is None or kept() is not certificate:
        return None
    same = all(map(operator.is_, held, vars(certificate).values()))
    return check if same and len(held) <= len(vars(certificate)) else None


def remembered(
    certificate: Certificate | None, problem: Problem | None = None, answer: Any = None
) -> Check | None:
    """Return the judgement of a certificate made in this process, None if there is none; with
    `problem`, also none if it speaks of another problem or answer."""
    found = _kept(certificate)
    if found is None or certificate is None or problem is None:
        return found
    same = same_content(certificate.problem, problem) and same_content(certificate.answer, answer)
    return found if same else None


def judgement(certificate: Certificate) -> Check:
    """Return the judgement of a certificate, made now unless it was remembered."""
    check = _kept(certificate)
    if check is None:
        check = check_certificate(certificate)
        remember(certificate, check)
    return check
