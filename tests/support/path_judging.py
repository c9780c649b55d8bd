"""Numbers that the judge of path quantities finds, as rationals."""

from __future__ import annotations

from fractions import Fraction

from sparseopt.pathnorm.powers import Powers


def rationals(found: Powers) -> list[Fraction]:
    """Return the numbers that are stored."""
    pairs = zip(found.array.ravel().tolist(), found.exponent.ravel().tolist(), strict=True)
    return [Fraction(m) * Fraction(2) ** e for m, e in pairs]


def require_within(found: Powers, right: list[Fraction]) -> None:
    """Require that every number is within its stated relative error, in exact arithmetic."""
    assert 0 <= found.error < 1e-9
    for value, true in zip(rationals(found), right, strict=True):
        assert abs(value - true) <= Fraction(found.error) * true
