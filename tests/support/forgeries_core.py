"""Forged and honest certificates for the part of the judge that all capabilities share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from rough_toys import (
    LenientError,
    Newton,
    OracleCertificate,
    RealRoot,
    SaysClosed,
    Square,
    SquareCertificate,
    SquareError,
    TwoRounds,
    WrappedCertificate,
    confirms,
)
from toys import LenientCertificate, RootCertificate, Search, SquareRoot

import sparseopt as so
from sparseopt.choosing import discovery as registry
from sparseopt.choosing.discovery import Registry, Source
from sparseopt.choosing.manifest import OutsiderEntry
from sparseopt.judging.check import check_certificate

LU = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]


def _finding(rule: str, certificate: so.Certificate | None) -> so.Finding:
    return so.Finding(rule, so.Severity.INFO, "here", "message", certificate=certificate)


class _Renamed(so.Finding):
    """May say one rule when asked what it must prove, and another one in print."""


class _Rewritten(so.Solution):
    """States another answer in print than the one that is proved."""

    def __str__(self) -> str:
        return "answer: 8\nstatus: VERIFIED"


def _solution(problem: so.Problem, answer: Any, certificate: Any) -> so.Solution:
    plan = so.Plan("", ())
    return so.Solution(problem, answer, certificate, so.Status.VERIFIED, "", 0.0, plan)


def _edited(solution: so.Solution, **changes: Any) -> str:
    return json.dumps({**json.loads(solution.to_json()), **changes})


def _asked(number: float, confirms: Any) -> so.Check:
    """Check a certificate that rests on an outsider, who is allowed and asked again."""
    certificate = OracleCertificate(RealRoot(number), 7.0)
    return check_certificate(certificate, outsiders={"oracle": confirms})


def _with_oracle() -> so.Check:
    outsider = OutsiderEntry("oracle", "rough_toys:confirms", "toy")
    manifest = so.Manifest("rough", 1, "toy", outsiders=(outsider,))
    before = registry._installed
    registry._installed = Registry([Source("rough", "sparseopt", lambda: manifest)])
    try:
        return so.verify(OracleCertificate(RealRoot(49.0), 7.0), allow=["oracle"])
    finally:
        registry._installed = before


def _planted(name: str, value: Any, within: bool = False) -> so.Check:
    """Judge a false square root with something planted on its certificate, or on its answer."""
    false = SquareCertificate(RealRoot(50.0), Square(7))
    (false.answer if within else false).__dict__[name] = value
    return so.verify(false)


@dataclass(frozen=True)
class _Holder:
    """A result that holds a solution, as prunings and repairs do."""

    solution: Any


@dataclass(frozen=True, eq=False)
class _Given(SquareRoot):
    """A problem that is about a certificate, which it does not claim."""

    proof: Any = None


def _nested(verdict: str | None) -> so.Check:
    steps = so.Steps()
    proof = so.solve(so.Closedness([[[1]], [[1]]])).certificate
    assert proof is not None
    try:
        steps.require_proof(proof, of=proof.problem, verdict=verdict)
    except Exception:
        return so.Check("refused", "", ())
    return so.Check("accepted", "", ())


class _Relisted(SquareRoot):
    """Lists the certificates of its base, and asks what it likes."""

    certificates = SquareRoot.certificates


class _Seven(int):
    """An integer of a derived class."""


def forged() -> Iterator[tuple[str, Any]]:
    """Yield (name, object or JSON text); none may be accepted."""
    yield "certificates of a base, listed again", RootCertificate(_Relisted(49), 7)
    yield "an integer of a derived class", RootCertificate(SquareRoot(49), _Seven(7))
    root = RealRoot(2.0)
    answer, proof = Newton().solve(root, so.Context())
    rough = so.solve(root, TwoRounds())
    seven = RootCertificate(SquareRoot(49), 7)
    closed = so.solve(so.Closedness([[[1]], [[1]]])).certificate
    not_closed = so.solve(so.Closedness(LU)).certificate
    yield "a judge of its own", LenientCertificate(SquareRoot(50), 7)
    yield "a false statement", RootCertificate(SquareRoot(50), 7)
    yield "no problem", RootCertificate(None, 7)  # type: ignore[arg-type]
    yield "an answer that is not a number", RootCertificate(SquareRoot(49), "7")  # type: ignore[arg-type]
    yield "another problem than the solution's", _solution(SquareRoot(50), 7, seven)
    yield "another answer than the solution's", _solution(SquareRoot(49), 8, seven)
    told = {field.name: getattr(rough, field.name) for field in fields(rough)}
    yield "a solution of a derived class", _Rewritten(**told)
    yield "a solution of a derived class, held", _Holder(_Rewritten(**told))
    yield "no certificate", _solution(SquareRoot(49), 7, None)
    yield "more accuracy than is proved", _edited(rough, status="VERIFIED")
    for status in ("UNDECIDED", "TIME_LIMIT"):
        yield f"a proof under the status {status}", _edited(rough, status=status)
    yield "an outsider's word", OracleCertificate(RealRoot(49.0), 7.0)
    inner = OracleCertificate(RealRoot(49.0), 7.0)
    yield "an outsider's word inside", WrappedCertificate(RealRoot(49.0), 7.0, inner)
    yield "a proof of another problem inside", WrappedCertificate(RealRoot(3.0), answer, proof)
    bad = SquareError(root, 1)  # type: ignore[arg-type]
    yield "a false proof inside", WrappedCertificate(root, 1.0, bad)
    yield "no proof inside", WrappedCertificate(root, answer, None)  # type: ignore[arg-type]
    yield "a proof of another kind inside", WrappedCertificate(root, answer, seven)
    yield "a finding without a certificate", _finding("supports-closed", None)
    derived = _Renamed("root", so.Severity.INFO, "here", "message", certificate=seven)
    yield "a finding of a derived class", derived
    unnamed = _finding("root", seven)
    object.__setattr__(unnamed, "rule", ["root"])
    yield "a finding whose rule is a list", unnamed
    yield "JSON in place of a path", lambda: so.verify(so.to_json(seven))
    yield "a finding with a false one", _finding("root", RootCertificate(SquareRoot(50), 7))
    believed = _finding("root", OracleCertificate(RealRoot(49.0), 7.0))
    yield "a finding that rests on an outsider", believed
    yield "a report that partly rests on one", so.Report("s", (_finding("root", seven), believed))
    yield "a report without certificates", so.Report("s", ())
    for rule, wrong in [
        ("supports-not-closed", closed),
        ("supports-closed", not_closed),
        ("path-norm", closed),
        ("path-count", closed),
        ("lipschitz-bound", closed),
        ("measured-slopes", not_closed),
    ]:
        yield f"{rule} with another proof", _finding(rule, wrong)
        good = _finding("supports-closed", closed)
        yield f"a report with {rule}", so.Report("s", (good, _finding(rule, wrong)))
    lenient = LenientError(root, 1.0)
    yield "a judge of its own inside", WrappedCertificate(root, 1.0, lenient)
    yield "an outsider who denies", lambda: _asked(50.0, confirms)
    yield "an outsider who says something else", lambda: _asked(49.0, lambda question: "unknown")
    yield "a proof inside with another verdict", lambda: _nested("not_closed")
    assert closed is not None
    other = SaysClosed(root, closed.answer)
    yield "a rule with the right words of another problem", _finding("supports-closed", other)
    false = RootCertificate(SquareRoot(50), 7)
    unproved = _solution(SquareRoot(49), 7, None)
    silent = replace(_solution(SquareRoot(49), 7, seven), status=so.Status.UNDECIDED)
    yield "a false certificate in a document", {"good": seven, "deep": [{"bad": false}]}
    yield "a solution in a document that proves nothing", {"good": seven, "bad": unproved}
    yield "a solution in a document that says so", {"good": seven, "bad": silent}
    yield "a solution in a result in a document", {"good": seven, "bad": _Holder(unproved)}
    yield "a false certificate in a list", [seven, false]
    yield "a judge planted on the object", lambda: _planted("check", lambda steps: None)
    yield "a property planted on the object", lambda: _planted("square", 50)
    yield "a property planted on a part", lambda: _planted("value", 50, within=True)


def honest() -> Iterator[tuple[str, Any]]:
    """Yield (name, object or JSON text); all must be accepted."""
    root = RealRoot(2.0)
    answer, proof = Newton().solve(root, so.Context())
    seven = RootCertificate(SquareRoot(49), 7)
    closed = so.solve(so.Closedness([[[1]], [[1]]])).certificate
    yield "a root", seven
    scalar = SquareCertificate(RealRoot(np.float64(49.0)), Square(7))
    yield "a scalar of NumPy", lambda: so.verify(scalar)
    yield "a search", Search().solve(SquareRoot(49), so.Context())[1]
    yield "an error", proof
    yield "a proof inside", WrappedCertificate(root, answer, proof)
    yield "a solution", so.solve(root, Newton())
    yield "a weak solution", so.solve(root, TwoRounds()).to_json()
    exact = so.solve(RealRoot(4.0), Newton(), tolerance=0.0)
    yield "an exact solution", exact
    old = json.loads(exact.to_json())
    del old["tolerance"], old["accuracy"]
    yield "a solution without a tolerance", json.dumps(old)
    yield "an outsider who confirms", lambda: _asked(49.0, confirms)
    yield "an outsider who is allowed", lambda: _with_oracle()
    yield "a proof inside with a verdict", lambda: _nested("closed")
    yield "a proof inside whatever its verdict", lambda: _nested(None)
    yield "a finding", _finding("supports-closed", closed)
    yield "a third party's finding", _finding("my-rule", seven)
    yield "a report", so.Report("s", (_finding("my-rule", seven), _finding("silent", None)))
    unclaimed = replace(_solution(SquareRoot(49), 7, None), status=so.Status.UNDECIDED)
    false = RootCertificate(SquareRoot(50), 7)
    yield "a document", {"deep": [{"good": seven}], "result": _Holder(unclaimed)}
    yield (
        "a document with what is no claim",
        [seven, 5, "words", None, SquareRoot, _Given(49, proof=false)],
    )
