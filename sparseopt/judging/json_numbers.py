"""Numbers of JSON texts, read by type: floats with their words, integers, rationals."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable

MOST_DIGITS = 4000
"""Decimal digits of an integer; below the limit of Python's own conversion."""
_FRACTION = re.compile(r"(-?[0-9]+)(?:/([0-9]+))?")
# To reduce a rational takes time by the square of its digits: of so many, some seconds.
_HEX_FRACTION = re.compile(r"(-?)0x([0-9a-f]{1,131072})/0x([0-9a-f]{1,131072})")
_FLOAT_WORDS = ("nan", "inf", "-inf")


def float_or_word(value: Any) -> Any:
    """Return a JSON number, or a word for the floats that JSON lacks."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def as_float(value: Any) -> float:
    if type(value) not in (int, float) and value not in _FLOAT_WORDS:
        raise ProblemError(f"{printable(value, 40)!r} is not a number")
    return float(value)


def as_complex(body: Any) -> complex:
    real, imaginary = as_list("$complex", body)
    return complex(as_float(real), as_float(imaginary))


def as_list(key: str, body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise ProblemError(f"{key} needs a list, not a {type(body).__name__}")
    return body


def fraction_text(value: Fraction) -> str:
    """Return a rational as text; in base 16, without a limit, where it has very many digits."""
    over, under = int(value.numerator), int(value.denominator)
    if max(over.bit_length(), under.bit_length()) < 3 * MOST_DIGITS:
        return str(value)
    return f"{'-' if over < 0 else ''}{abs(over):#x}/{under:#x}"


def as_fraction(text: Any) -> Fraction:
    """Return the rational of a text: digits, or digits over digits; no exponent, no point."""
    if isinstance(text, str) and (match := _HEX_FRACTION.fullmatch(text)):
        sign, over, under = match.groups()
        top, bottom = int(over, 16), int(under, 16)
        return Fraction(-top if sign else top, bottom)
    match = _FRACTION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ProblemError(f"{printable(text, 40)!r} is not a rational number such as -3/4")
    return Fraction(as_int(match[1]), as_int(match[2] or "1"))


def as_int(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ProblemError(f"a number of {len(text)} digits; {MOST_DIGITS} are allowed")
    return int(text)


def as_finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ProblemError(f"the number {printable(text, 40)} leaves the range of float64")
    return value


def refuse_constant(text: str) -> float:
    raise ProblemError(f'{text} is not a JSON number; this format writes {{"$float": "nan"}}')
