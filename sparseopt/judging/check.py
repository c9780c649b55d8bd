"""Judging a certificate, and what was judged in this process."""

from __future__ import annotations

from functools import partial
from typing import Any
from weakref import ReferenceType, ref

from sparseopt.interface.certificate import (
    NOBODY,
    Certificate,
    Check,
    CheckFailed,
    Outsiders,
    Steps,
)
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import raised
from sparseopt.interface.problem import Problem
from sparseopt.judging.serialization import same_content
from sparseopt.judging.settling import is_core, settle


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
        asked: Any = problem if problem is not None else getattr(certificate, "problem", None)
        settle(asked, certificate, answer, stated=problem is None)
        steps.require(isinstance(asked, Problem), "the certificate names its problem")
        claim, own, kind = f"a certificate of {asked.describe()}", type(asked), type(certificate)
        # Not what a problem class inherits, nor lists again: whoever derives one could change the
        # question. Nor what a third party borrows of the core, whose judges ask the core's.
        first, *others = (id(kind) in map(id, vars(c).get("certificates", ())) for c in own.__mro__)
        known = f"the certificate's class is one of those that {own.__name__} lists"
        steps.require(first > any(others) and is_core(own) >= is_core(kind), known, kind.__name__)
        if problem is not None:
            steps.require(
                same_content(certificate.problem, problem), "the certificate is of this problem"
            )
            steps.require(
                same_content(certificate.answer, answer), "the certificate is of this answer"
            )
            # What is judged is what was asked and is handed out, not what is equal to it.
            object.__setattr__(certificate, "problem", problem)
            object.__setattr__(certificate, "answer", answer)
        # Looked up on the class: an instance cannot bring its own judge.
        type(certificate).check(certificate, steps)
        claim = str(type(certificate).claim.fget(certificate))  # type: ignore[attr-defined]
    except CheckFailed:
        return Check("refused", claim, tuple(steps.lines))
    except ProblemError as error:
        return Check("refused", claim, (*steps.lines, f"FAILED: {error}"))
    except (Exception, SystemExit) as error:
        steps.lines.append(f"FAILED: the check itself broke: {raised(error)}")
        return Check("refused", claim, tuple(steps.lines))
    if steps.relied_on:
        believed = " and ".join(steps.relied_on)
        return Check("relies on", f"if {believed} is right: {claim}", tuple(steps.lines))
    return Check("accepted", claim, tuple(steps.lines))


# Expensive checks need not run twice on one object: what `solve` gated, `analyze`, the HTML page
# and what is printed take from here. `verify` never does.
_judged: dict[int, tuple[ReferenceType[Certificate], dict[str, Any], Check]] = {}
_NOTHING: tuple[type, dict[str, Any], None] = object, {}, None


def remember(certificate: Certificate, check: Check) -> None:
    """Keep the judgement of a certificate for `judgement` and `remembered`."""
    key, held = id(certificate), dict(vars(certificate))
    _judged[key] = ref(certificate, partial(_judged.pop, key)), held, check


def _kept(certificate: Certificate | None) -> Check | None:
    """Return the judgement that is kept of this very object, if it still holds what it held."""
    kept, held, check = _judged.get(id(certificate), _NOTHING)
    if kept() is not certificate:
        return None
    now = vars(certificate)
    return check if all(name in now and now[name] is held[name] for name in held) else None


def remembered(
    certificate: Certificate | None, problem: Problem | None = None, answer: Any = None
) -> Check | None:
    """Return the judgement of a certificate made in this process, None if there is none; with
    `problem`, also none if it speaks of another problem or answer."""
    found = _kept(certificate)
    if certificate is None or problem is None:
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
