"""Certificates of limits of chains: curves of all factors whose product tends to no product."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sparseopt.closedness.certificate import ClosednessCertificate, proving
from sparseopt.closedness.limits import (
    CURVE,
    Curve,
    Factor,
    Matrix,
    multiplied,
    require_limit,
    shown_matrix,
)
from sparseopt.closedness.names import Names, told
from sparseopt.closedness.problem import Closedness
from sparseopt.closedness.proofs.chain_cases import chain_support
from sparseopt.closedness.proofs.exclusion import TREE, Exclusion
from sparseopt.closedness.proofs.exclusion_branch import ExclusionRule
from sparseopt.closedness.proofs.laurent import Laurent, laurent, show
from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.judging.evidence import INDEX, INDICES, EvidenceError, List, Rational

FORMS = {
    "rows": INDICES,
    "columns": INDICES,
    "factors": List(CURVE),
    "limit": List(List(Rational())),
    "cut": INDEX,
    "exclusion": TREE,
}


class Evidence(NamedTuple):
    """What a certificate of a limit of a chain says, read."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    factors: tuple[tuple[tuple[int, int, Laurent], ...], ...]
    limit: tuple[tuple[Fraction, ...], ...]
    cut: int
    exclusion: ExclusionRule


@proves(Closedness)
@json_type
@dataclass(frozen=True, eq=False)
class ChainLimitCertificate(ClosednessCertificate):
    """A curve of all factors of a chain, and why the limit of their product is no product.

    Let I* be where products of the factors before a cut may be nonzero, and J* those of the others:
    products of the chain are products of two matrices with the supports I* and J*. The limit, on
    some rows and columns, is proved to be no such product. So it is no product of the chain, and
    padded by zeros it is a limit outside the set: restricting the first and the last factor to
    these rows and columns restricts the product. The exclusion speaks of the terms of I* and J*,
    those of the dimension that is cut, and not of the entries that the curve uses.

    Attributes
    ----------
    rows, columns : tuple of int
        Distinct indices into the first and the last dimension of the supports.
    factors : list of lists of [i, k, {exponent: coefficient}]
        Nonzero entries of each factor; i of the first counts in `rows`, k of the last in `columns`.
    limit : list of list of int or Fraction
        The product at t = 0, shape (len(rows), len(columns)).
    cut : int
        How many factors stand before the cut.
    exclusion : list
        Tree of the rules of `sparseopt.closedness.proofs.exclusion`, for I* and J*.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    factors: list[Curve]
    limit: Matrix
    cut: int
    exclusion: list[Any]

    @property
    def verdict(self) -> str:
        """Not closed."""
        return "not_closed"

    @cached_property
    def evidence(self) -> Evidence:
        """The fields, read once.

        Raises
        ------
        EvidenceError
            If one is malformed.
        """
        read = {name: form.read(getattr(self, name), (name,)) for name, form in FORMS.items()}
        read["factors"] = tuple(
            tuple((a, b, laurent(powers)) for a, b, powers in curve) for curve in read["factors"]
        )
        return Evidence(**read)

    @property
    def reason(self) -> str:
        """The order of the curve, where it is, and where the chain is cut."""
        rows, columns, factors, _, cut, _ = self.evidence
        powers = [abs(e) for curve in factors for *_, p in curve for e in p]
        order = max(powers, default="?")
        return (
            f"curve of order {order} on {len(rows)} rows and {len(columns)} columns, "
            f"no product of two factors cut before factor {cut}"
        )

    @property
    def names(self) -> Names:
        """What rows and columns of the window are called; terms are those of the cut."""
        between = len(self.problem.supports[self.evidence.cut])
        return Names(self.evidence.rows, self.evidence.columns, range(between))

    def window(self) -> tuple[np.ndarray, ...]:
        """Return the supports, the first on the rows and the last on the columns spoken of.

        Raises
        ------
        EvidenceError
            If a row or column does not exist.
        """
        supports = list(self.problem.supports)
        rows, columns = list(self.evidence.rows), list(self.evidence.columns)
        for line, chosen, size in (
            ("row", rows, len(supports[0])),
            ("column", columns, supports[-1].shape[1]),
        ):
            if any(place >= size for place in chosen):
                raise EvidenceError(f"there is no {line} {max(chosen)}, there are {size}")
        supports[0] = supports[0][rows]
        supports[-1] = supports[-1][:, columns]
        return tuple(supports)

    def prove(self, steps: Steps) -> None:
        """Expand the curve, compare the limit, and check why it is not a product."""
        count = len(self.problem.supports)
        with proving(steps, "the evidence has the form of its kind"):
            evidence = self.evidence
        steps.require(
            0 < evidence.cut < count, f"the cut leaves some of {count} factors on each side"
        )
        with proving(steps, "the rows and columns exist"):
            supports = self.window()
        steps.require(len(evidence.factors) == count, f"{count} factors are given")
        with proving(steps, "the factors have the asked supports"):
            product = self._factor(supports, 0)
            for number in range(1, count):
                product = multiplied(product, self._factor(supports, number))
        limit, size = evidence.limit, (len(supports[0]), supports[-1].shape[1])
        fits = len(limit) == size[0] and all(len(row) == size[1] for row in limit)
        steps.require(fits, f"the limit has the shape {size[0]} x {size[1]}")
        with proving(steps, "the limit is the product of the factors at t = 0"):
            require_limit(product, limit, np.ones(size, dtype=bool), self.names)
        left, right = (
            chain_support(part) for part in (supports[: evidence.cut], supports[evidence.cut :])
        )
        proof = Exclusion(left, right, [list(row) for row in limit], names=self.names)
        with proving(steps, "the limit is not a product of two such factors"):
            proof.follow(evidence.exclusion)

    def _factor(self, supports: tuple[np.ndarray, ...], number: int) -> Factor:
        support, entries = supports[number], Factor()
        for a, b, polynomial in self.evidence.factors[number]:
            inside = a < support.shape[0] and b < support.shape[1] and bool(support[a, b])
            if not inside or (a, b) in entries:
                raise EvidenceError(
                    f"entry number ({a}, {b}) of factor {number} lies outside its support or is "
                    "given twice"
                )
            entries[a, b] = polynomial
        return entries

    def explain(self) -> str:
        """Return the proof in words, with rows, columns and terms of the problem."""
        evidence, names = self.evidence, self.names
        last = len(evidence.factors) - 1
        lines = [
            f"Take rows {list(evidence.rows)} and columns {list(evidence.columns)}, all else zero."
        ]
        for number, curve in enumerate(evidence.factors):
            for a, b, p in curve:
                i = names.rows[a] if number == 0 else a
                j = names.columns[b] if number == last else b
                lines.append(f"  W{number}[{i}, {j}](t) = {show(p)}")
        lines.append("As t goes to 0, their product converges to the matrix")
        lines += shown_matrix(evidence.limit, names)
        lines.append(
            f"which is no product of two factors with the supports of the products of factors 0 to "
            f"{evidence.cut - 1} and {evidence.cut} to {last}:"
        )
        return "\n".join([*lines, *told(evidence.exclusion.sentence(names), 1)])
