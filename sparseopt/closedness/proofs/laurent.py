"""Exact Laurent polynomials in one variable t with rational coefficients.

A polynomial is a dict from exponent to nonzero coefficient; the zero polynomial is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from sparseopt.judging.evidence import Integer, Map, Rational

Laurent = dict[int, Fraction]

POWERS = Map(Integer(-1000, 1000), Rational())
"""How a polynomial is written: exponent to coefficient."""


def laurent(powers: Mapping[int, Fraction]) -> Laurent:
    """Return the polynomial that was read."""
    return {exponent: value for exponent, value in powers.items() if value}


def add_product(total: Laurent, p: Laurent, q: Laurent) -> None:
    """Add p q to `total`, in place."""
    for i, a in p.items():
        for j, b in q.items():
            value = total.get(i + j, Fraction(0)) + a * b
            if value:
                total[i + j] = value
            else:
                total.pop(i + j, None)


def show(p: Laurent) -> str:
    """Return the polynomial as a person writes it."""
    if not p:
        return "0"
    words = []
    for exponent, value in sorted(p.items(), reverse=True):
        power = {0: "", 1: "t"}.get(exponent, f"t^{exponent}")
        if not power:
            words.append(str(value))
        else:
            words.append({1: "", -1: "-"}.get(value, f"{value} ") + power)  # type: ignore[call-overload]
    return " + ".join(words).replace("+ -", "- ")
