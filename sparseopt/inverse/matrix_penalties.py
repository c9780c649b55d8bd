"""Penalties of neighbours and of matrices: total variation and the nuclear norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, SupportsFloat

import numpy as np

from sparseopt.interface.arrays import as_array
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.inverse.blocks import Blocks, as_strength
from sparseopt.inverse.penalty import Penalty


@json_type
@dataclass(frozen=True, eq=False)
class TotalVariation(Penalty):
    """The sum of the magnitudes of the differences of neighbours, times `strength`.

    strength sum_i |x_{i+1} - x_i|, of Rudin, Osher and Fatemi (1992) in one dimension: answers are
    piecewise constant. Constants cost nothing.

    Parameters
    ----------
    strength : float
        Not negative.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> so.TotalVariation(0.5).value(np.array([1.0, 1.0, 4.0]))
    1.5
    """

    strength: float

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, strength: SupportsFloat) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", as_strength(self.strength))

    def blocks(self, size: int) -> Blocks:
        """Return one block: no coefficient stands alone."""
        return whole(size)

    def limits(self, size: int) -> np.ndarray:
        """Return the strength, or 0 for a single coefficient, which has no neighbour."""
        return np.array([self.strength if size > 1 else 0.0])

    def value(self, x: np.ndarray) -> float:
        """Return the penalty of `x`, real or complex."""
        return self.strength * math.fsum(np.abs(np.diff(as_array(x, "x"))).tolist())


@json_type
@dataclass(frozen=True, eq=False)
class NuclearNorm(Penalty):
    """The sum of the singular values of the coefficients as a matrix, times `strength`.

    Parameters
    ----------
    strength : float
        Not negative.
    shape : (int, int)
        Of the matrix, ``x.reshape(shape)``, row by row.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> float(round(so.NuclearNorm(0.5, (2, 2)).value(np.array([3.0, 0.0, 0.0, 4.0])), 12))
    3.5
    """

    strength: float
    shape: tuple[int, int]
    family: ClassVar[str] = "matrix"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, strength: SupportsFloat, shape: Sequence[int]) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", as_strength(self.strength))
        try:
            shape = tuple(self.shape)
        except TypeError as error:
            raise ProblemError(f"shape must be two numbers, got {short(self.shape)}") from error
        sound = [isinstance(v, int | np.integer) and not isinstance(v, bool) for v in shape]
        if len(shape) != 2 or not all(sound) or min(shape) < 1:
            raise ProblemError(f"shape must be two positive integers, got {short(self.shape)}")
        object.__setattr__(self, "shape", (int(shape[0]), int(shape[1])))

    def blocks(self, size: int) -> Blocks:
        """Return one block; `ProblemError` if the matrix has another size."""
        if math.prod(self.shape) != size:
            raise ProblemError(
                f"shape {self.shape} has {math.prod(self.shape)} entries, but the design has "
                f"{size} columns"
            )
        return whole(size)

    def limits(self, size: int) -> np.ndarray:
        """Return the strength."""
        return np.array([self.strength])

    def value(self, x: np.ndarray) -> float:
        """Return the penalty of `x`, real or complex."""
        matrix = as_array(x, "x").reshape(self.shape)
        return self.strength * math.fsum(np.linalg.svd(matrix, compute_uv=False).tolist())


def whole(size: int) -> Blocks:
    """Return all coefficients as one block."""
    return Blocks(np.arange(size), np.array([size], dtype=np.intp))
