"""Layers that multiply by a matrix, or entry by entry; and single neurons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.networks.operator import Operator, one_input
from sparseopt.networks.parameters import Shape, as_parameter, cast
from sparseopt.networks.semiring import SUM, Semiring


def set_parameter(operator: Operator, name: str, ndim: int | None = None) -> None:
    """Validate the array field `name` of a frozen operator in place."""
    if operator.has(name):
        array = as_parameter(getattr(operator, name), name)
        if ndim is not None and array.ndim != ndim:
            raise ProblemError(f"{name} must have {ndim} axes, got shape {array.shape}")
        object.__setattr__(operator, name, array)


def check_bias(operator: Operator, size: int) -> None:
    """Validate a bias of that many entries in place."""
    set_parameter(operator, "bias", 1)
    if operator.has("bias") and (shape := operator.bias.shape) != (size,):  # type: ignore[attr-defined]
        raise ProblemError(f"bias has shape {shape}, must be ({size},)")


@json_type
@dataclass(frozen=True, eq=False)
class Dense(Operator):
    """Fully connected layer on the last axis: ``y = x @ weight.T + bias``.

    Parameters
    ----------
    weight : array, shape (outputs, inputs)
    bias : array, shape (outputs,), or None
    """

    weight: np.ndarray
    bias: np.ndarray | None = None
    weight_fields: ClassVar[tuple[str, ...]] = ("weight",)
    bias_field: ClassVar[str | None] = "bias"

    def __post_init__(self) -> None:
        set_parameter(self, "weight", 2)
        check_bias(self, self.weight.shape[0])

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the input shape with its last size replaced."""
        old = one_input(inputs, "Dense")
        if not old or old[-1] != self.weight.shape[1]:
            raise ProblemError(
                f"a dense layer with weight {self.weight.shape} needs {self.weight.shape[1]} "
                f"entries along the last axis, got a value of shape {old}"
            )
        return (*old[:-1], self.weight.shape[0])

    def edges(self, inputs: Sequence[Shape], output: Shape) -> int:
        """One per weight and leading position."""
        return self.weight.size * math.prod(output[:-1])

    def offset(self) -> np.ndarray | None:
        """Return the bias; it broadcasts along the last axis."""
        return self.bias

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Multiply by the weight."""
        x = inputs[0]
        weight = cast(self.weight, x.dtype)
        if x.ndim == 2:
            return semiring.matmul(weight, x.T).T
        columns = x.reshape(-1, x.shape[-1]).T
        return semiring.matmul(weight, columns).T.reshape(*x.shape[:-1], self.weight.shape[0])

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Multiply by the transposed weight."""
        return [value @ cast(self.weight, value.dtype)]

    def weight_adjoint(self, value: np.ndarray, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Return the transpose of ``weight -> propagate(inputs)``."""
        rows = value.reshape(-1, value.shape[-1])
        return rows.T @ inputs[0].reshape(-1, inputs[0].shape[-1])


@json_type
@dataclass(frozen=True, eq=False)
class Scale(Operator):
    """Entrywise ``y = factor * x + bias``: an identity neuron per entry.

    A frozen batch normalization, and any product or sum with a constant.

    Parameters
    ----------
    factor, bias : array or None
        As many axes as the value, each of the value's size or 1. None leaves that part out.
    """

    factor: np.ndarray | None = None
    bias: np.ndarray | None = None
    weight_fields: ClassVar[tuple[str, ...]] = ("factor",)
    bias_field: ClassVar[str | None] = "bias"

    def __post_init__(self) -> None:
        set_parameter(self, "factor")
        set_parameter(self, "bias")

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the shape of the input."""
        old = one_input(inputs, "Scale")
        for name, array in self.parameters().items():
            sizes = zip(array.shape, old, strict=False)
            if array.ndim != len(old) or any(m not in (1, n) for m, n in sizes):
                raise ProblemError(f"{name} of shape {array.shape} does not fit a value {old}")
        return old

    def edges(self, inputs: Sequence[Shape], output: Shape) -> int:
        """One per entry."""
        return math.prod(output)

    def offset(self) -> np.ndarray | None:
        """Return the bias."""
        return self.bias

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Multiply by the factor."""
        x = inputs[0]
        return x if self.factor is None else semiring.times(x, cast(self.factor, x.dtype))

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Multiply by the factor."""
        return [self.propagate([value])]


@json_type
@dataclass(frozen=True, eq=False)
class Neuron(Operator):
    """One neuron on scalar inputs, as in a graph of neurons.

    Parameters
    ----------
    weight : array, shape (fan-in,)
    bias : array, shape (), or None for a neuron where no path starts
    kind : {"id", "relu", "pool"}
        ``id`` and ``relu`` act on ``bias + sum(weight * inputs)``; ``pool`` is the `rank`-th
        largest of the products ``weight * inputs``, plus the bias.
    rank : int
        Of a pool: 1 is the maximum, the fan-in the minimum.
    """

    weight: np.ndarray
    bias: np.ndarray | None = None
    kind: str = "id"
    rank: int = 1
    weight_fields: ClassVar[tuple[str, ...]] = ("weight",)
    bias_field: ClassVar[str | None] = "bias"

    def __post_init__(self) -> None:
        set_parameter(self, "weight", 1)
        set_parameter(self, "bias", 0)
        if not isinstance(self.kind, str) or self.kind not in ("id", "relu", "pool"):
            raise ProblemError(f"a neuron is id, relu or pool, not {short(self.kind)}")
        if not isinstance(self.rank, int | np.integer) or not 1 <= self.rank <= self.weight.size:
            raise ProblemError(
                f"a pool of {self.weight.size} inputs has no rank {short(self.rank)}"
            )
        object.__setattr__(self, "rank", int(self.rank))

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the scalar shape ()."""
        if len(inputs) != self.weight.size or any(s != () for s in inputs):
            raise ProblemError(
                f"a neuron with {self.weight.size} weights needs as many scalars, got {inputs}"
            )
        return ()

    def edges(self, inputs: Sequence[Shape], output: Shape) -> int:
        """One per weight."""
        return self.weight.size

    def offset(self) -> np.ndarray | None:
        """Return the bias."""
        return self.bias

    def neuron_kind(self) -> tuple[str, int]:
        """Return the fields."""
        return self.kind, self.rank

    def _products(self, inputs: Sequence[np.ndarray], semiring: Semiring) -> np.ndarray:
        weight = cast(self.weight, inputs[0].dtype)
        return semiring.times(np.stack(list(inputs), axis=-1), weight)

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Return the value of the neuron."""
        products = self._products(inputs, SUM)
        if self.kind == "pool":
            result = np.sort(products, axis=-1)[..., products.shape[-1] - self.rank]
        else:
            result = products.sum(axis=-1)
        if self.bias is not None:
            result = result + cast(self.bias, result.dtype)
        return np.maximum(result, 0) if self.kind == "relu" else result

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Add up the products."""
        return semiring.add.reduce(self._products(inputs, semiring), axis=-1)

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Multiply by each weight."""
        return [value * w for w in cast(self.weight, value.dtype)]

    def weight_adjoint(self, value: np.ndarray, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Return the transpose of ``weight -> propagate(inputs)``."""
        return np.array([(value * x).sum() for x in inputs])
