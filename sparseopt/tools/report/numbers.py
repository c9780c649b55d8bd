"""Numbers in one form, wherever a report shows them."""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np

from sparseopt.interface.printing import printable

# Above this an integer is easier to read by its leading digits.
_LONGEST_WHOLE = 10**15


def number(value: object) -> str:
    """Return a figure as reports show it: integers whole, others to six significant digits.

    A float that is a whole number is shown as such. Texts stay as they are.

    Examples
    --------
    >>> number(6563992), number(61281.79335), number(3.0), number(6.8123456e-7), number(np.int64(4))
    ('6563992', '61281.8', '3', '6.81235e-07', '4')
    >>> number(math.inf), number("10^412.5"), number(True), number(None)
    ('inf', '10^412.5', 'yes', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        whole = int(value)
        return str(whole) if abs(whole) < _LONGEST_WHOLE else _leading(whole)
    if isinstance(value, Real):
        given = float(value)
        if math.isfinite(given) and given == round(given) and abs(given) < 1e6:
            return str(int(given))
        return f"{given:.6g}"
    if isinstance(value, complex | np.complexfloating):
        return f"{value:.6g}"
    return printable(value, 2000)


def power_of_ten(log10: float) -> str:
    """Return the number of a decimal logarithm, also where no float holds it.

    Examples
    --------
    >>> power_of_ten(4.787331466), power_of_ten(-math.inf), power_of_ten(412.5)
    ('61281.8', '0', '10^412.5')
    """
    if log10 == -math.inf or -4 < log10 < 12:
        return number(10.0**log10)
    return f"10^{number(log10)}"


def _leading(whole: int) -> str:
    try:
        return f"{float(whole):.6g}"
    except OverflowError:
        return f"{'-' if whole < 0 else ''}{power_of_ten(math.log10(abs(whole)))}"
