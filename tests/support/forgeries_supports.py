"""False certificates of factorizations with fixed supports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from factorization_statements import (
    FULL,
    LU,
    NAN,
    Forgery,
    closed,
    exchanged,
    not_closed,
    overlapping,
    supports,
)

import sparseopt as so
from sparseopt.supports.certificate import FixedSupportCertificate
from sparseopt.supports.factors import SupportedFactors


class TwoFaced(SupportedFactors):
    """Factors that show zeros to whoever looks for them."""

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        return np.eye(2), np.eye(2)


def false_factors() -> Iterator[Forgery]:
    """Factors that do not have the asked supports, or are worth nothing."""
    problem, answer = exchanged()
    wide = so.FixedSupportFactorization(np.eye(2), FULL)
    target = np.eye(2)
    lower = so.FixedSupportFactorization(target[::-1].copy(), LU)
    for name, pair in {
        "X": SupportedFactors(target[::-1].copy(), np.eye(2)),
        "Y": SupportedFactors(np.eye(2), target[::-1].copy()),
    }.items():
        yield f"supports: {name} is not zero outside", FixedSupportCertificate(lower, pair)
    for name, value in {"nan": NAN, "infinity": np.inf}.items():
        for side in ("left", "right"):
            spoilt = np.eye(2)
            spoilt[0, 0] = value
            pair = replace(SupportedFactors(np.eye(2), np.eye(2)), **{side: spoilt})
            for high in (0.0, 1.0, np.inf, NAN):
                yield (
                    f"supports: {name} in {side}, {high}",
                    FixedSupportCertificate(wide, pair, (0.0, high), 0.0),
                )
    nought = so.FixedSupportFactorization([[0.0]], [[[1]], [[1]]])
    for x, y in ((1e-200, 1e-200), (0.5, 5e-324), (1.0, 5e-324), (5e-324, 1.0)):
        pair = SupportedFactors(np.array([[x]]), np.array([[y]]), "attained")
        claim = FixedSupportCertificate(nought, pair, (0.0, 0.0), 0.0)
        yield f"supports: {x} times {y} is not 0", claim
    odd = 2**53 + 1
    for side in ("left", "right"):
        whole = np.array([[odd]])
        pair = replace(SupportedFactors(np.eye(1), np.eye(1)), **{side: whole})
        one = so.FixedSupportFactorization([[float(2**53)]], [[[1]], [[1]]])
        yield f"supports: integers in {side}", FixedSupportCertificate(one, pair, (0.0, 0.0), 0.0)
    longer = np.array([[np.longdouble(1) + np.longdouble(2) ** -60]])
    one = so.FixedSupportFactorization([[1.0]], [[[1]], [[1]]])
    yield (
        "supports: long doubles",
        FixedSupportCertificate(one, SupportedFactors(longer, np.eye(1)), (0.0, 0.0), 0.0),
    )
    matrix = np.eye(2).view(np.matrix)
    yield (
        "supports: a matrix class",
        FixedSupportCertificate(wide, SupportedFactors(matrix, np.eye(2))),
    )
    for kind in (object, np.float16, np.int64):
        others = SupportedFactors(np.eye(2, dtype=kind), np.eye(2))
        yield f"supports: factors of {np.dtype(kind)}", FixedSupportCertificate(wide, others)
    listed = SupportedFactors([[1.0, 0.0], [0.0, 1.0]], np.eye(2))  # type: ignore[arg-type]
    yield "supports: lists", FixedSupportCertificate(wide, listed, (0.0, 1.0), 0.0)
    short = SupportedFactors(np.eye(2)[:1], np.eye(2))
    yield "supports: one row", FixedSupportCertificate(wide, short, (0.0, 2.0), 0.0)
    faces = TwoFaced(target[::-1].copy(), np.eye(2))
    yield "supports: factors with two faces", FixedSupportCertificate(lower, faces)
    zeros = SupportedFactors(np.zeros((2, 2)), np.zeros((2, 2)), "attained")
    yield "supports: zeros, attained", FixedSupportCertificate(wide, zeros)
    yield "supports: zeros", FixedSupportCertificate(wide, replace(zeros, attainment="unknown"))
    minus = SupportedFactors(-10 * answer.left, answer.right)
    yield "supports: worse than zero", FixedSupportCertificate(problem, minus)


def proofless_infima() -> Iterator[Forgery]:
    """Yield claims that a limit is missed, without a proof, for supports that need none."""
    for name, certificate in supports():
        if name == "supports rank one float64":
            for value in ("not_attained", "suspected_not_attained"):
                answer = replace(certificate.answer, attainment=value)
                yield f"{name}: {value} without a proof", replace(certificate, answer=answer)


def false_infima() -> Iterator[Forgery]:
    """Claims about the infimum that do not follow."""
    problem, near = exchanged()
    proof, proof_of_closed = not_closed(), closed()

    def claimed(value: str, proof: Any = None, given: Any = problem, answer: Any = near) -> Any:
        return FixedSupportCertificate(given, replace(answer, attainment=value), closedness=proof)

    yield "infimum: attained without a proof", claimed("attained")
    yield "infimum: attained, by a proof of the contrary", claimed("attained", proof)
    yield "infimum: not attained, without a proof", claimed("not_attained")
    yield "infimum: suspected, without a proof", claimed("suspected_not_attained")
    yield "infimum: a word of its own", claimed("surely", proof)
    yield "infimum: unknown with a proof of something else", claimed("unknown", proof_of_closed)
    other, exact = overlapping()
    yield (
        "infimum: of closed supports suspected",
        claimed("suspected_not_attained", proof_of_closed, other, exact),
    )
    yield "infimum: not attained, of other supports", claimed("not_attained", proof_of_closed)
    yield "infimum: attained, of other supports", claimed("attained", proof, other, exact)
    for name, entry in {"one entry off": 1e-300, "another entry": 0.5}.items():
        target = np.array([[entry, 1.0], [1.0, 0.0]])
        given = so.FixedSupportFactorization(target, LU)
        yield f"infimum: the limit has {name}", claimed("not_attained", proof, given)
    rounded = so.FixedSupportFactorization([[0.0, 1.0], [1.0, 0.0]], LU)
    yield (
        "infimum: the limit rounds to the target",
        claimed("not_attained", shifted(proof), rounded),
    )
    complex_ = so.FixedSupportFactorization(np.array([[0, 1], [1, 0]], complex), LU)
    yield "infimum: proved for the reals only", claimed("not_attained", proof, complex_)
    turned = so.FixedSupportFactorization(np.array([[0, 1], [1, 0]]) * 1j, LU)
    yield "infimum: an imaginary target", claimed("not_attained", not_closed("complex"), turned)
    tilted = np.array([[0, 1 + 1j], [1, 0]])
    given = so.FixedSupportFactorization(tilted, LU)
    yield "infimum: a complex target", claimed("not_attained", not_closed("complex"), given)
    tractable = so.FixedSupportFactorization(np.eye(2), FULL)
    whole = SupportedFactors(np.eye(2), np.eye(2))
    broken = replace(proof_of_closed, problem=so.Closedness(list(FULL)))
    yield (
        "infimum: a broken proof that is not needed",
        claimed("attained", broken, tractable, whole),
    )


def shifted(proof: Any) -> Any:
    """Return a proof whose limit is 10^-400 off, which rounds to nothing."""
    from fractions import Fraction

    limit = [list(row) for row in proof.limit]
    limit[0][0] = limit[0][0] + Fraction(1, 10**400)
    return replace(proof, limit=limit)
