"""How long computations over the edges of a network take, predicted step by step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.parameters import Shape
from sparseopt.pathnorm import edges
from sparseopt.pathnorm.contractions import Contraction, Layer, kernel

MOST = 6e11
"""Nanoseconds that a computation may take, as predicted: ten minutes."""
_EACH, _DIGIT, _PAIR = 2000.0, 100.0, 1.0
"""Nanoseconds of a product and sum of rationals: besides, for each digit (30 bits) of the
denominator, and for each pair of digits."""


@dataclass(eq=False)
class Effort:
    """Counts what a computation spends, and stops it before it spends more than `MOST`.

    Parameters
    ----------
    product, touch : float
        Nanoseconds of a product within a matrix product, and of a number that is read, written or
        gathered, or of any other product. The defaults are for float64.
    """

    product: float = 0.1
    touch: float = 5.0
    left: float = field(default=MOST, init=False)

    def spend(self, op: Layer, inputs: Sequence[Shape], output: Shape, samples: int = 1) -> None:
        """Count a pass through a layer, in either direction; `ProblemError` if it is too much."""
        size = samples * math.prod(output)
        products = size * math.prod(edges.terms(op, inputs))
        # In a product of matrices a number that is read serves for a whole row or column.
        rows = kernel(op, op.weight).shape[1] if isinstance(op, Contraction) else 1
        touched = products // min(rows, size // rows) + size + samples * sum(map(math.prod, inputs))
        self.left -= self.product * products + self.touch * touched
        if self.left < 0:
            raise ProblemError(
                f"passing through its layers takes over {MOST / 6e10:g} minutes, as predicted"
            )


@dataclass(eq=False)
class ExactEffort:
    """The same for rationals, whose sums gain digits with each layer."""

    left: float = field(default_factory=lambda: MOST, init=False)

    def spend(self, sums: Iterable[Fraction]) -> None:
        """Count one more product in each sum; `ProblemError` if it is too much."""
        digits = [v.denominator.bit_length() / 30 for v in sums]
        self.left -= sum(_EACH + d * (_DIGIT + _PAIR * d) for d in digits)
        if self.left < 0:
            raise ProblemError(
                f"exact sums over its edges take over {MOST / 6e10:g} minutes, as predicted"
            )
