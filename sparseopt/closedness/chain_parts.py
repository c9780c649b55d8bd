"""Certificates for chains that rest on one of fewer factors: a part of it, or all but one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sparseopt.closedness.certificate import ClosednessCertificate, proving
from sparseopt.closedness.problem import Closedness
from sparseopt.closedness.proofs.chain_cases import chain_support
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.judging.evidence import INDEX, EvidenceError, List, Word
from sparseopt.judging.exact import counts

SIDE = Word(("first", "last"))
LINES = List(INDEX, distinct=True, least=1)


class Part(NamedTuple):
    """What a certificate of a sub-chain says, read."""

    first: int
    last: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]


@proves(Closedness)
@json_type
@dataclass(frozen=True, eq=False)
class SubChainCertificate(ClosednessCertificate):
    """Some neighbours of a chain are not closed where the others lead to them one to one.

    Let U be the product of the supports of the factors before the part, V that of those after it.
    Each of the rows P has one nonzero entry in U, each of the columns Q one in V, and these are
    in distinct places p and q: the rows p of the first factor of the part, and the columns q of
    its last one. (Without factors before or after it, P or Q is taken as it is.) The products of
    the part, on the rows p and the columns q, are not closed; so the chain is not closed.

    Proof. On the rows P and the columns Q products of the chain are D A E, A a product of the part
    on the rows p and columns q, D and E diagonal: the only entries of the products of the other
    factors there. D A E is again a product of the part there, as its rows and columns can be scaled
    each by itself, since the places are distinct. With ones everywhere in the other factors the
    entries of D and E are numbers of paths, not 0, so every A is reached. So this set is that of
    the chain on P and Q, and what is not closed on some rows and columns is not closed.

    Attributes
    ----------
    first, last : int
        The factors of the part, the last one included.
    rows, columns : tuple of int
        P and Q.
    part : Certificate
        That the chain of the factors of the part, on the rows p and columns q, is not closed.
    """

    first: int
    last: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    part: Certificate

    @property
    def verdict(self) -> str:
        """Not closed."""
        return "not_closed"

    @cached_property
    def evidence(self) -> Part:
        """The fields but the certificate, read once.

        Raises
        ------
        EvidenceError
            If one is malformed.
        """
        first, last = (INDEX.read(getattr(self, name), (name,)) for name in ("first", "last"))
        rows, columns = (LINES.read(getattr(self, name), (name,)) for name in ("rows", "columns"))
        return Part(first, last, rows, columns)

    @property
    def reason(self) -> str:
        """Which part, and how large its window is."""
        first, last, rows, columns = self.evidence
        return (
            f"factors {first} to {last} are not closed on {len(rows)} rows and {len(columns)} "
            "columns, which the others lead to one to one"
        )

    def restricted(self) -> Closedness:
        """Return the problem of the part on the rows and columns that the others lead to.

        Raises
        ------
        EvidenceError
            If there is no such part, or a row or column does not lead to one place of its own.
        """
        first, last, rows, columns = self.evidence
        supports = self.problem.supports
        if not first <= last < len(supports):
            raise EvidenceError(f"there are no factors {first} to {last}")
        before, after = supports[:first], supports[last + 1 :]
        left = _places(rows, before, supports[0].shape[0], "row")
        right = _places(columns, [s.T for s in after[::-1]], supports[-1].shape[1], "column")
        part = list(supports[first : last + 1])
        part[0] = part[0][left]
        part[-1] = part[-1][:, right]
        return Closedness(part, self.problem.field)

    def prove(self, steps: Steps) -> None:
        """Follow the rows and columns, and check the certificate of the part."""
        with proving(steps, "the rows and columns lead to the part one to one"):
            inner = self.restricted()
        steps.require_proof(self.part, of=inner, verdict="not_closed")

    def explain(self) -> str:
        """Return the proof in words."""
        first, last, rows, columns = self.evidence
        return (
            f"On rows {list(rows)} and columns {list(columns)} the chain is its factors {first} to "
            f"{last} on the rows and columns that these lead to one to one, scaled. Of these "
            f"factors, on these rows and columns:\n{self.part.explain()}"
        )


def _places(
    lines: tuple[int, ...], factors: list[np.ndarray] | tuple[np.ndarray, ...], size: int, name: str
) -> list[int]:
    """Return where lines lead through some factors, each to one place of its own."""
    if max(lines) >= size:
        raise EvidenceError(f"there is no {name} {max(lines)}, there are {size}")
    if not factors:
        return list(lines)
    ends = chain_support(factors)[list(lines)]
    for line, end in zip(lines, ends, strict=True):
        if int(end.sum()) != 1:
            raise EvidenceError(f"{name} {line} leads to {int(end.sum())} places")
    places = ends.argmax(axis=1).tolist()
    if len(set(places)) != len(places):
        raise EvidenceError(f"two {name}s lead to the same place")
    return [int(place) for place in places]


@proves(Closedness)
@json_type
@dataclass(frozen=True, eq=False)
class PeeledChainCertificate(ClosednessCertificate):
    """All factors but the last (first) are closed, and the last one meets them in comparable terms.

    Let S be the product of the supports of all factors but the last, M of the one before it and N
    of the last. Terms k and l share a cell if S_k and S_l share a row and N_k and N_l a column. For
    each two such terms column k of M lies in column l and row l of N in row k, or column l of M in
    column k and row k of N in row l: both in the same direction. (So S_k lies in S_l, but
    this alone would not do.) The chain without its last factor is closed. Then so is the chain.

    Proof. Call k <= l if column k of M lies in column l and row l of N in row k, and order the
    terms so that l comes after every k <= l, equal ones in any order. In a product A = X Y, X of
    the first factors, remove from x_l, in this order, its projection on the span of those x_k
    before it with k <= l, and put what was removed, a x_k y_l^T, into y_k: the last factor has
    these entries, and the one before it can do the same to its columns as X does to its own. In the
    end terms that share a cell have orthogonal x, so |A|^2 is the sum of all |x_k|^2 |y_k|^2. Scale
    to |y_k| = 1, or where y_k = 0 set column k of the factor before to 0. Along a bounded sequence
    of products X and Y are then bounded; the limit of a subsequence of X is a product of the first
    factors, as they are closed, and that of Y has its support. Over the complex numbers the same
    with the Hermitian product.

    For the first factor the same with the transposed matrices in the opposite order.

    Attributes
    ----------
    side : {"last", "first"}
        The factor that is peeled off.
    rest : Certificate
        That the chain of the other factors is closed.
    """

    side: str
    rest: Certificate

    @property
    def verdict(self) -> str:
        """Closed."""
        return "closed"

    @property
    def reason(self) -> str:
        """Which factor is left away."""
        side = SIDE.read(self.side, ("side",))
        return f"the {side} factor meets the others in comparable terms, and they are closed"

    def prove(self, steps: Steps) -> None:
        """Compare the terms, and check the certificate of the rest."""
        supports = self.problem.supports
        with proving(steps, "the side is one of two words"):
            SIDE.read(self.side, ("side",))
        steps.require(len(supports) > 1, "there is a factor to leave away, and others")
        rest, peeled = supports[:-1], supports
        if self.side != "last":
            rest, peeled = supports[1:], tuple(s.T for s in supports[::-1])
        bad = unpeeled(peeled)
        steps.require(
            bad is None,
            "terms that share a cell are comparable through the factor next to the one left away",
            f"terms {bad} are not",
        )
        steps.require_proof(self.rest, of=Closedness(rest, self.problem.field), verdict="closed")

    def explain(self) -> str:
        """Return the proof in words."""
        return (
            f"Terms of the {self.side} factor that share a cell can be made orthogonal by steps "
            "that its neighbour can follow. So bounded products have bounded factors, those of the "
            f"others taken together, and the others are closed:\n{self.rest.explain()}"
        )


def unpeeled(supports: tuple[np.ndarray, ...]) -> tuple[int, int] | None:
    """Return two terms of the last factor that keep it from being peeled off, or None.

    O(r^2 (m + n)) by matrix products whose counts are exact.
    """
    last, near = supports[-1], supports[-2]
    whole = chain_support(supports[:-1])
    overlap = _shared(whole.T) & _shared(last)
    # Column k of the neighbour lies in column l, and row l of the last factor in row k.
    below = _inside(near.T) & _inside(last).T
    bad = np.argwhere(overlap & ~(below | below.T))
    return (int(bad[0][0]), int(bad[0][1])) if bad.size else None


def _counts(lines: np.ndarray) -> np.ndarray:
    return counts(lines, lines.T)


def _shared(lines: np.ndarray) -> np.ndarray:
    """Return for each two lines whether they have a place in common."""
    return np.asarray(_counts(lines) > 0)


def _inside(lines: np.ndarray) -> np.ndarray:
    """Return for each two lines whether the first lies in the second."""
    return np.asarray(_counts(lines) == lines.sum(axis=1)[:, None])
