"""How long computations over the edges of a network take, predicted before they are done."""

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
DOUBLES = 0.1, 5.0
"""Nanoseconds of a product of two float64 within a product of matrices, and of a number that is
read, written or gathered, or of any other product."""
EACH_LAYER = 5e4
"""Nanoseconds that a pass takes for a layer besides, however small it is."""
_EACH, _DIGIT, _PAIR = 2000.0, 100.0, 1.0
"""Nanoseconds of a product and sum of rationals: besides, for each digit (30 bits) of the
denominator, and for each pair of digits."""


class TooLarge(ProblemError):
    """A computation would take too long, or too much memory."""


@dataclass(eq=False)
class Effort:
    """Counts what a computation takes, and stops it before that is more than `most` nanoseconds."""

    most: float = field(default_factory=lambda: MOST)
    spent: float = field(default=0.0, init=False)

    def spend(self, nanoseconds: float) -> None:
        """Count a part that is to be done next; `TooLarge` if it is too much."""
        self.spent += nanoseconds
        if self.spent > self.most:
            raise TooLarge(f"it would take over {self.most / 1e9:g} s, as predicted")


def of_layer(
    op: Layer, inputs: Sequence[Shape], output: Shape, costs: tuple[float, float] = DOUBLES
) -> float:
    """Return how long the numbers of a layer take in a pass, either way, at costs as `DOUBLES`."""
    size = math.prod(output)
    products = size * math.prod(edges.terms(op, inputs))
    # In a product of matrices a number that is read serves for a whole row or column.
    rows = kernel(op, op.weight).shape[1] if isinstance(op, Contraction) else 1
    touched = products // min(rows, size // rows) + size + sum(map(math.prod, inputs))
    return costs[0] * products + costs[1] * touched


def of_sums(sums: Iterable[Fraction]) -> float:
    """Return how long one more product in each sum takes; rationals gain digits on the way."""
    digits = [v.denominator.bit_length() / 30 for v in sums]
    return sum(_EACH + d * (_DIGIT + _PAIR * d) for d in digits)
