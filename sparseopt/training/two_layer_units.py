"""Powers of two that bring the training of a two-layer network into a safe range."""

from __future__ import annotations

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.judging.scaling import exponent_of, largest_part

LARGEST, SMALLEST = 1e151, 1e-151
"""Magnitudes whose squares are numbers of float64."""


class Units:
    """A `TwoLayerReLU` with inputs of at most 2 and targets of at most 1.

    Inputs X 2^-a, targets y 2^-b, decay 2^-(a + b), both layers of weights 2^((a - b) / 2) with an
    even a - b, dual points and their multipliers t 2^-b, objective P 2^-2b. Powers of two make it
    exact; what entries of inputs or targets lose below 2^-1022 is refused.

    Attributes
    ----------
    inputs : ndarray of float64, shape (samples, features)
    targets : ndarray of float64, shape (samples, outputs)
    decay : float
    """

    def __init__(self, inputs: np.ndarray, targets: np.ndarray, decay: float) -> None:
        a, self.b = exponent_of(largest_part(inputs)), exponent_of(largest_part(targets))
        a += (a - self.b) % 2
        self._half = (a - self.b) // 2
        self.inputs = _exactly(inputs, -a, "inputs")
        self.targets = _exactly(targets, -self.b, "targets").reshape(len(targets), -1)
        self.decay = float(_exactly(np.array(decay), -a - self.b, "decay"))

    def weights(self, weights: np.ndarray) -> np.ndarray:
        """Return weights of either layer in these units."""
        return shifted(weights, self._half)

    def original_weights(self, weights: np.ndarray) -> np.ndarray:
        """Inverse of `weights`."""
        return shifted(weights, -self._half)

    def dual(self, point: np.ndarray) -> np.ndarray:
        """Return a dual point, or multipliers, in these units."""
        return shifted(point, -self.b)

    def original_dual(self, point: np.ndarray) -> np.ndarray:
        """Inverse of `dual`."""
        return shifted(point, self.b)

    def original_objective(self, value: float) -> float:
        """Return an objective value in the units of the problem, rounded."""
        return float(shifted(np.array(value), 2 * self.b))


def shifted(values: np.ndarray, exponent: int) -> np.ndarray:
    """Return ``values 2^exponent`` in float64; exact where it neither over- nor underflows."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(values.astype(np.float64), exponent))


def _exactly(values: np.ndarray, exponent: int, name: str) -> np.ndarray:
    found = shifted(values, exponent)
    if not np.array_equal(shifted(found, -exponent), values):  # nor are infinities
        smallest = float(np.abs(values[values != 0]).min())
        raise ProblemError(
            f"{name} holds {smallest:.3g}, and no scaling holds it together with the largest "
            "entries of inputs and targets; set such entries to zero, or rescale features"
        )
    return found
