"""Figures that a certificate states: intervals, made with room for another machine's rounding."""

from __future__ import annotations

import math
from typing import Any

from sparseopt.interface.certificate import Steps
from sparseopt.interface.errors import ProblemError
from sparseopt.judging.figures import ROOMS, Figure
from sparseopt.judging.rounding import above, shown_above

Interval = tuple[float, float]
"""A proven lower and a proven upper bound of one nonnegative number."""


def stated(figure: Figure) -> Interval:
    """Return the interval to be stated for a figure of one's own."""
    return figure.low(ROOMS), figure.high(ROOMS)


def require_interval(steps: Steps, name: str, claimed: Interval, own: Figure) -> None:
    """Require of a stated interval that the judge's own bounds lie in it.

    A NaN lies nowhere, and an upper bound that is not a number is never accepted. Nor is a lower
    one below 0: squared, it would be a high bound.
    """
    low, high = claimed
    steps.require(
        own.high() <= high < math.inf,
        f"{name} is at most what is stated",
        f"at most {own.high():.17g} is proved, {high:.17g} is stated",
    )
    steps.require(
        0.0 <= low <= own.low(),
        f"{name} is at least what is stated",
        f"at least {own.low():.17g} is proved, {low:.17g} is stated",
    )


def number(value: Any, name: str) -> float:
    """Return a number as a Python float, or refuse what is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProblemError(f"{name} must be a number, got a {type(value).__name__}")
    try:
        return float(value)
    except OverflowError as error:
        raise ProblemError(f"{name} is beyond the range of float64") from error


def interval(value: Any, name: str) -> Interval:
    """Return a pair of numbers, or refuse what is not a pair."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ProblemError(f"{name} must be two numbers, a lower and an upper bound")
    return number(value[0], name), number(value[1], name)


def described(interval: Interval) -> str:
    """Return an error in words: what is proved, and how much of that is rounding.

    Examples
    --------
    >>> described((1.0, 1.5)), described((0.0, 0.0))
    ('at most 1.5, of which at most 0.501 is rounding', '0')
    """
    low, high = interval
    if high == 0.0:
        return "0"
    rounding = shown_above(above(high - low), 3)
    return f"at most {shown_above(high)}, of which at most {rounding} is rounding"


def gap(most: float, least: float) -> float:
    """Return an upper bound of the difference of an upper and a lower bound."""
    return above(most - least) if most > least else 0.0


def ratio(numerator: float, norm: Figure) -> float:
    """Return an upper bound of a nonnegative number over a norm; 0 for 0 over 0."""
    if numerator == 0.0:
        return 0.0
    least = norm.low()
    return above(numerator / least) if least else math.inf
