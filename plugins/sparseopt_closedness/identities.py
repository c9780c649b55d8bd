"""Identities that show equations to have no solution: combinations of them that are 1.

Buchberger's algorithm over the rationals, on sympy's sparse polynomials; every element of the
basis remembers how it is combined from the equations. If the ideal holds a number other than zero,
so does the basis, and its combination is the identity (Hilbert's Nullstellensatz: over the complex
numbers there is one whenever there is no solution).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from sympy.polys.domains import QQ
from sympy.polys.orderings import grevlex
from sympy.polys.rings import PolyRing

from sparseopt.closedness.proofs.exclusion_branch import ExclusionBranch
from sparseopt.closedness.proofs.identities import EQUATION
from sparseopt.closedness.proofs.polynomials import (
    ONE,
    Polynomial,
    Variable,
    add,
    multiply,
    variables,
    write,
)

LARGEST_POLYNOMIAL = 400
"""Terms beyond which a polynomial is not followed; identities stay small and cheap to check."""

Combination = dict[int, Any]


class _Basis:
    """Polynomials and how each is combined from the given ones."""

    def __init__(self, ring: Any, budget: int, tick: Callable[[], None]) -> None:
        self.ring, self.budget, self.tick = ring, budget, tick
        self.members: list[tuple[Any, Combination]] = []
        self.pairs: list[tuple[int, int, int, int]] = []

    def reduce(self, p: Any, how: Combination) -> tuple[Any, Combination] | None:
        """Return p with no leading term divisible by one of a member, None if too expensive."""
        while p:
            self.budget -= 1
            if self.budget < 0 or len(p) > LARGEST_POLYNOMIAL:
                return None
            if self.budget % 64 == 0:
                self.tick()
            for q, combined in self.members:
                factor = self.ring.monomial_div(p.LM, q.LM)
                if factor is not None:
                    value = p.LC / q.LC
                    p = p - q.mul_term((factor, value))
                    how = _minus(how, combined, factor, value)
                    break
            else:
                return p, how
        return p, how

    def insert(self, p: Any, how: Combination) -> bool:
        """Put p into the basis; return whether it is a number."""
        number = len(self.members)
        for other, (q, _) in enumerate(self.members):
            shared = self.ring.monomial_lcm(p.LM, q.LM)
            # Coprime leading monomials: the pair reduces to zero.
            if sum(shared) < sum(p.LM) + sum(q.LM):
                heapq.heappush(self.pairs, (sum(shared), number + other, number, other))
        self.members.append((p, how))
        return bool(p.is_ground)

    def difference(self, first: int, second: int) -> tuple[Any, Combination]:
        """Return the combination of two members that cancels their leading terms."""
        (p, ours), (q, theirs) = self.members[first], self.members[second]
        shared = self.ring.monomial_lcm(p.LM, q.LM)
        up, down = self.ring.monomial_div(shared, p.LM), self.ring.monomial_div(shared, q.LM)
        value = p.LC / q.LC
        start = {i: g.mul_term((up, QQ(1))) for i, g in ours.items()}
        combined = _minus(start, theirs, down, value)
        return p.mul_term((up, QQ(1))) - q.mul_term((down, value)), combined


def _minus(how: Combination, other: Combination, factor: Any, value: Any) -> Combination:
    result = dict(how)
    for i, g in other.items():
        moved = g.mul_term((factor, value))
        result[i] = result[i] - moved if i in result else -moved
    return result


def combine_to_one(
    equations: Sequence[Polynomial], budget: int, tick: Callable[[], None] = lambda: None
) -> list[Polynomial] | None:
    """Return factors with sum of factor x equation = 1, or None.

    Parameters
    ----------
    equations : sequence of polynomials, see `sparseopt.closedness.proofs.polynomials`
    budget : int
        Largest number of reduction steps.
    tick : callable
        Called now and then; raises to stop the search.
    """
    names = sorted({name for p in equations for name in variables(p)})
    if not names:
        return None
    ring = PolyRing([f"v{i}" for i in range(len(names))], QQ, grevlex)
    basis = _Basis(ring, budget, tick)
    for i, p in sorted(enumerate(equations), key=lambda item: _degree(item[1])):
        if not p:
            continue
        reduced = basis.reduce(_to_ring(ring, names, p), {i: ring.one})
        if reduced is None:
            return None
        if reduced[0] and basis.insert(*reduced):
            return _factors(names, len(equations), *reduced)
    while basis.pairs:
        _, _, first, second = heapq.heappop(basis.pairs)
        reduced = basis.reduce(*basis.difference(first, second))
        if reduced is None:
            return None
        if reduced[0] and basis.insert(*reduced):
            return _factors(names, len(equations), *reduced)
    return None


def _degree(p: Polynomial) -> int:
    return max((len(monomial) for monomial in p), default=0)


def _to_ring(ring: Any, names: Sequence[Variable], p: Polynomial) -> Any:
    place = {name: i for i, name in enumerate(names)}
    terms = {}
    for monomial, value in p.items():
        powers = [0] * len(names)
        for name in monomial:
            powers[place[name]] += 1
        terms[tuple(powers)] = QQ(value.numerator, value.denominator)
    return ring.from_dict(terms)


def _factors(
    names: Sequence[Variable], count: int, number: Any, how: Combination
) -> list[Polynomial]:
    """Return the combination divided by the number that it gives."""
    result: list[Polynomial] = [{} for _ in range(count)]
    for i, g in how.items():
        for powers, value in g.terms():
            monomial = tuple(
                name for name, power in zip(names, powers, strict=True) for _ in range(power)
            )
            exact = value / number.LC
            result[i][monomial] = Fraction(int(exact.numerator), int(exact.denominator))
    return result


def put_values(p: Polynomial, values: dict[Variable, Fraction]) -> Polynomial:
    """Return p with numbers put in for some variables."""
    total: Polynomial = {}
    for monomial, value in p.items():
        for name in monomial:
            value = value * values.get(name, 1)
        rest = tuple(name for name in monomial if name not in values)
        total = add(total, {rest: value} if value else {})
    return total


def value_factors(
    total: Polynomial, values: dict[Variable, Fraction]
) -> dict[Variable, Polynomial]:
    """Return g_v with total = 1 - sum of g_v (v - value of v).

    `total` is a combination of equations that is 1 once the values are put in: each v is divided
    out, and what remains is 1.
    """
    factors: dict[Variable, Polynomial] = {}
    for name, value in values.items():
        quotient: Polynomial = {}
        for monomial, coefficient in total.items():
            # v^n - value^n = (v - value) (v^(n-1) + v^(n-2) value + ...)
            rest = tuple(other for other in monomial if other != name)
            power = monomial.count(name)
            for i in range(power):
                term = tuple(sorted(rest + (name,) * (power - 1 - i)))
                quotient = add(quotient, {term: -coefficient}, value**i)
        if quotient:
            factors[name] = quotient
            linear: Polynomial = {(name,): Fraction(1), (): -value}
            total = add(total, multiply(quotient, linear))
    if total != ONE:
        raise ValueError("the combination is not 1 at the values")
    return factors


def identity_of(
    rules: ExclusionBranch, budget: int, tick: Callable[[], None] = lambda: None
) -> list[Any] | None:
    """Return the leaf ``["identity", ...]`` of `sparseopt.closedness.proofs.exclusion`, or None.

    Parameters
    ----------
    rules : ExclusionBranch
        What is known on the branch.
    budget : int
        Reduction steps without inverses of the variables that are not zero, and again with them.
    tick : callable
        Called now and then; raises to stop the search.
    """
    values = {_own(name): value for name, value in rules.values.items()}
    m, n = len(rules.matrix), len(rules.matrix[0])
    cells = [
        ["cell", i, j]
        for i in range(m)
        for j in range(n)
        if rules.observed is None or rules.observed[i, j]
    ]
    free = sorted(rules.nonzero - set(rules.values))
    for names in (cells, [*cells, *(["inverse", list(name)] for name in free)]):
        given = [EQUATION.read(name, ("equation",)).polynomial(rules) for name in names]
        factors = combine_to_one([put_values(p, values) for p in given], budget, tick)
        if factors is None:
            continue
        total: Polynomial = {}
        for factor, p in zip(factors, given, strict=True):
            total = add(total, multiply(factor, p))
        found = [[name, write(g)] for name, g in zip(names, factors, strict=True) if g]
        for variable, g in value_factors(total, values).items():
            found.append([["value", ["xy"[variable[0]], *variable[1:]]], write(g)])
        return ["identity", found]
    return None


def _own(name: tuple[Any, ...]) -> Variable:
    """Return the variable of polynomials for ("x", i, k) or ("y", k, j)."""
    return ("xy".index(name[0]), *name[1:])
