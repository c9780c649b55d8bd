"""The fractions of small numbers next to a ratio, by its continued fraction."""

from __future__ import annotations

from fractions import Fraction

Four = tuple[int, int, int, int]


def neighbours(ratio: Fraction, below: int) -> Four:
    """Return the fractions n1/m1 <= ratio <= n2/m2 next to it, all numbers less than `below`.

    The Stern-Brocot tree, as many steps in one direction at a time as there are: as many rounds
    as the continued fraction has terms. If the ratio is such a fraction it is both.

    Examples
    --------
    >>> neighbours(Fraction(17, 12), 8)
    (7, 5, 3, 2)
    """
    n1, m1, n2, m2 = 0, 1, 1, 0
    if ratio.numerator < below and ratio.denominator < below:
        return ratio.numerator, ratio.denominator, ratio.numerator, ratio.denominator
    # While the mediant may be used, go towards the ratio. It is never met, see above.
    p, q = ratio.numerator, ratio.denominator
    while n1 + n2 < below and m1 + m2 < below:
        # How often the upper end may be added to the lower one without passing the ratio.
        most = _steps(n1, m1, n2, m2, below)
        ahead = (p * m1 - q * n1) // (q * n2 - p * m2)
        steps = min(most, ahead)
        n1, m1 = n1 + steps * n2, m1 + steps * m2
        if steps < ahead or not (n1 + n2 < below and m1 + m2 < below):
            break
        most = _steps(n2, m2, n1, m1, below)
        back = (q * n2 - p * m2) // (p * m1 - q * n1)
        steps = min(most, back)
        n2, m2 = n2 + steps * n1, m2 + steps * m1
        if steps < back:
            break
    return n1, m1, n2, m2


def _steps(n: int, m: int, more_n: int, more_m: int, below: int) -> int:
    """Return how often one fraction may be added to another, both numbers below a limit."""
    rooms = []
    if more_n:
        rooms.append((below - 1 - n) // more_n)
    if more_m:
        rooms.append((below - 1 - m) // more_m)
    return min(rooms)
