"""How long a computation over the edges of a network takes, predicted step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.parameters import Shape
from sparseopt.pathnorm import edges
from sparseopt.pathnorm.contractions import Contraction, Layer, kernel

MOST = 6e11
"""Nanoseconds that a computation may take, as predicted: ten minutes."""


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
            raise ProblemError(f"passing through its layers takes over {MOST / 6e10:g} minutes")
