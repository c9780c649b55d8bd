"""A network with one hidden layer of ReLU or gated neurons, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import (
    as_array,
    read_only,
    require_finite,
    to_double,
    unmasked,
)
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type


def real_array(value: Any, name: str, dimensions: tuple[int, ...]) -> np.ndarray:
    """Return a finite real array of float32 or float64; other numbers become float64.

    Raises
    ------
    ProblemError
        For masked, ragged and complex arrays, texts, another number of axes, NaN and infinity.
    """
    value = unmasked(value, name)
    if hasattr(value, "toarray"):
        raise ProblemError(f"{name} is sparse, and is taken dense only; give {name}.toarray()")
    if value is None:
        raise ProblemError(f"{name} is None; give an array")
    array = as_array(value, name)
    if array.dtype.kind == "c":
        raise ProblemError(f"{name} is complex; a ReLU takes real numbers only")
    if array.dtype.kind not in "biu" and array.dtype not in (np.float32, np.float64):
        raise ProblemError(f"{name} has dtype {array.dtype}; convert it to float32 or float64")
    if array.ndim not in dimensions:
        axes = " or ".join(map(str, dimensions))
        raise ProblemError(f"{name} must have {axes} axes, got an array of shape {array.shape}")
    array = array if array.dtype.kind == "f" else to_double(array, name)
    require_finite(array, name)
    return read_only(array)


@json_type
@dataclass(frozen=True, eq=False)
class TwoLayerNetwork:
    """A network with one hidden layer, of ReLU or of gated neurons.

    It is ``x -> sum_j relu(x . w_j) a_j``, and gated ``x -> sum_j [x . g_j > 0] (x . w_j) a_j``.

    Parameters
    ----------
    hidden : array_like, shape (features, neurons)
        The weights w_j, one column a neuron. A hidden bias is the weight of a column of ones.
    outer : array_like, shape (neurons,) or (neurons, outputs)
        The weights a_j.
    gates : array_like, shape (features, neurons), or None
        The gate g_j of each neuron; None for ReLU neurons.

    Examples
    --------
    >>> import sparseopt as so
    >>> so.TwoLayerNetwork([[1.0, -1.0]], [2.0, 3.0]).predict([[1.0], [-1.0]])
    array([2., 3.])
    """

    hidden: np.ndarray
    outer: np.ndarray
    gates: np.ndarray | None = None

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self, hidden: ArrayLike, outer: ArrayLike, gates: ArrayLike | None = None
        ) -> None: ...

    def __post_init__(self) -> None:
        hidden = real_array(self.hidden, "hidden", (2,))
        outer = real_array(self.outer, "outer", (1, 2))
        if len(outer) != hidden.shape[1]:
            raise ProblemError(
                f"hidden has {hidden.shape[1]} neurons (columns), but outer has {len(outer)} rows"
            )
        object.__setattr__(self, "hidden", hidden)
        object.__setattr__(self, "outer", outer)
        if self.gates is not None:
            gates = real_array(self.gates, "gates", (2,))
            if gates.shape != hidden.shape:
                raise ProblemError(
                    f"gates has shape {gates.shape}; give one column for each neuron, shape "
                    f"{hidden.shape}"
                )
            object.__setattr__(self, "gates", gates)

    def predict(self, inputs: ArrayLike) -> np.ndarray:
        """Return the outputs for some inputs, in plain floating point.

        Parameters
        ----------
        inputs : array_like, shape (samples, features)

        Returns
        -------
        ndarray, shape (samples,) or (samples, outputs)
        """
        values = real_array(inputs, "inputs", (2,))
        if values.shape[1] != len(self.hidden):
            raise ProblemError(
                f"inputs has {values.shape[1]} features, the network takes {len(self.hidden)}"
            )
        units = values @ self.hidden
        open_ = units > 0 if self.gates is None else values @ self.gates > 0
        return np.asarray((units * open_) @ self.outer)

    def __str__(self) -> str:
        kind = "ReLU" if self.gates is None else "gated"
        return f"network of {self.hidden.shape[1]} {kind} neurons"
