"""Exact polynomials in several variables with rational coefficients.

A polynomial is a dict from monomial to nonzero coefficient; the zero polynomial is empty. A
monomial is a sorted tuple of variables, each as often as its power says; a variable is a tuple of
integers. Written to a certificate a polynomial is a list of [coefficient, monomial].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from sparseopt.judging.evidence import INDEX, EvidenceError, List, Rational, Record

Variable = tuple[int, ...]
Monomial = tuple[Variable, ...]
Number = int | Fraction
Polynomial = dict[Monomial, Number]

NAME = List(INDEX, least=1, most=2)
POLYNOMIAL = List(Record((Rational(), List(NAME))))

ONE: Polynomial = {(): 1}
LARGEST = 20_000
"""Terms of a product beyond which `multiply` refuses; a certificate stays cheap to check."""

LARGEST_MINOR = 12
"""Rows of a determinant beyond which `determinant` refuses."""


def variable(name: Sequence[int]) -> Polynomial:
    """Return the polynomial that is one variable."""
    return {(tuple(name),): 1}


def read(terms: Any) -> Polynomial:
    """Return a polynomial from its list of [coefficient, monomial].

    Raises
    ------
    EvidenceError
        If a coefficient is not an exact number or a variable is not a list of integers.
    """
    return polynomial(POLYNOMIAL.read(terms, ("polynomial",)))


def polynomial(terms: Iterable[tuple[Number, Iterable[Variable]]]) -> Polynomial:
    """Return the sum of terms that were read."""
    result: Polynomial = {}
    for coefficient, names in terms:
        # Sums of ints are faster than those of Fractions.
        value = coefficient.numerator if coefficient.denominator == 1 else coefficient
        _increase(result, tuple(sorted(names)), value)
    return result


def write(p: Polynomial) -> list[Any]:
    """Return the list that `read` takes."""
    return [[c, [list(name) for name in monomial]] for monomial, c in sorted(p.items())]


def _increase(total: Polynomial, monomial: Monomial, value: Number) -> None:
    value = total.get(monomial, 0) + value
    if value:
        total[monomial] = value
    else:
        total.pop(monomial, None)


def add(p: Polynomial, q: Polynomial, factor: Number = 1) -> Polynomial:
    """Return p + factor q."""
    total = dict(p)
    for monomial, value in q.items():
        _increase(total, monomial, factor * value)
    return total


def multiply(p: Polynomial, q: Polynomial) -> Polynomial:
    """Return p q; refuse, by an EvidenceError, products of more than `LARGEST` terms."""
    if len(p) * len(q) > LARGEST:
        raise EvidenceError(f"a product of {len(p)} by {len(q)} terms is too large")
    if len(p) > len(q):
        p, q = q, p
    if list(p) == [()]:
        return {monomial: p[()] * value for monomial, value in q.items()}
    total: Polynomial = {}
    for a, value in p.items():
        for b, other in q.items():
            key = tuple(sorted(a + b)) if a and b else a or b
            _increase(total, key, value * other)
    return total


def power(p: Polynomial, exponent: int) -> Polynomial:
    """Return p to a power; 1 for a negative one, as for the side of a fraction that needs none."""
    result = ONE
    for _ in range(exponent):
        result = multiply(result, p)
    return result


def degree(p: Polynomial, name: Variable) -> int:
    """Return the largest power of a variable; 0 for the zero polynomial."""
    return max((monomial.count(name) for monomial in p), default=0)


def variables(p: Polynomial) -> set[Variable]:
    """Return the variables that occur."""
    return {name for monomial in p for name in monomial}


def coefficients(p: Polynomial, names: Iterable[Variable]) -> dict[Monomial, Polynomial]:
    """Return p as a polynomial in some variables: its coefficients in the others."""
    chosen = set(names)
    parts: dict[Monomial, Polynomial] = {}
    for monomial, value in p.items():
        inside = tuple(name for name in monomial if name in chosen)
        outside = tuple(name for name in monomial if name not in chosen)
        parts.setdefault(inside, {})[outside] = value
    return parts


def put(p: Polynomial, name: Variable, over: Polynomial, under: Polynomial) -> Polynomial:
    """Return under^d times p with over / under put in for a variable, d its degree in p."""
    highest = degree(p, name)
    if not highest:
        return p
    total: Polynomial = {}
    for inside, part in coefficients(p, [name]).items():
        used = len(inside)
        value = multiply(power(over, used), power(under, highest - used))
        total = add(total, multiply(part, value))
    return total


def divide(p: Polynomial, q: Polynomial) -> Polynomial | None:
    """Return p / q if the division leaves no remainder, else None. q is not zero."""
    if not p:
        return {}
    order = sorted(variables(p))
    if not variables(q) <= set(order):
        return None

    def rank(monomial: Monomial) -> tuple[int, ...]:
        return tuple(monomial.count(name) for name in order)

    lead = max(q, key=rank)
    rest, quotient = dict(p), {}
    head = q[lead]
    while rest:
        top = max(rest, key=rank)
        left = list(top)
        for name in lead:
            if name not in left:
                return None
            left.remove(name)
        value = rest[top] * head if head in (1, -1) else Fraction(rest[top]) / head
        factor = {tuple(left): value}
        quotient.update(factor)
        rest = add(rest, multiply(factor, q), -1)
    return quotient


def without_factors(p: Polynomial, factors: Sequence[Polynomial]) -> Polynomial:
    """Return p divided by the factors, each as often as it goes, in order. p is not zero."""
    for q in factors:
        if set(q) <= {()}:
            continue
        while p and (quotient := divide(p, q)) is not None:
            p = quotient
    return p


def is_product(p: Polynomial, factors: Sequence[Polynomial]) -> bool:
    """Return whether divisions show p to be a constant other than zero times given factors."""
    return bool(p) and set(without_factors(p, factors)) == {()}


def determinant(matrix: Sequence[Sequence[Polynomial]]) -> Polynomial:
    """Return the determinant, by expansion along rows over sets of columns. O(s 2^s) products.

    Raises
    ------
    EvidenceError
        Above `LARGEST_MINOR` rows.
    """
    if len(matrix) > LARGEST_MINOR:
        raise EvidenceError(f"a determinant of {len(matrix)} rows is too large to expand")
    minors: dict[tuple[int, ...], Polynomial] = {(): ONE}
    for row in matrix:
        grown: dict[tuple[int, ...], Polynomial] = {}
        for used, minor in minors.items():
            for j, entry in enumerate(row):
                if j in used or not entry or not minor:
                    continue
                key = tuple(sorted((*used, j)))
                sign = -1 if sum(other > j for other in used) % 2 else 1
                product = multiply(minor, entry)
                grown[key] = add(grown.get(key, {}), product, sign)
        minors = grown
    return minors.get(tuple(range(len(matrix))), {})
