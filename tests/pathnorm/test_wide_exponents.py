"""Numbers far beyond float64, as norms and logarithms."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from sparseopt.pathnorm.powers import Powers


def test_powers() -> None:
    values = Powers.of_fractions([Fraction(10) ** 500, Fraction(0), Fraction(1, 3**900)])
    np.testing.assert_allclose(values.log10(), [500, -math.inf, -900 * math.log10(3)], rtol=1e-15)
    np.testing.assert_allclose(values.root(2).log10()[0], 250, rtol=1e-15)
    assert float(values.norm(2).log10()) == pytest.approx(500)
    assert float(values.norm(math.inf).log10()) == pytest.approx(500)
    assert Powers.of(np.array([3.0, 4.0])).norm(2).as_float() == 5.0
    assert Powers.of_log2(np.array([-np.inf, 3.0, -2000.5])).log10().tolist()[1] == math.log10(8)
