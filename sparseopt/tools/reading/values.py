"""Values of a network under construction, which remember their shape in the model.

Models carry a batch axis of 1 in front; networks do not. A `Value` keeps both views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.tools.reading.budget import require_room

Shape = tuple[int, ...]


def sample_shape(shape: Sequence[int]) -> Shape:
    """Return a shape without its leading batch axis of 1."""
    shape = tuple(shape)
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


def sample_constant(value: np.ndarray | float, shape: Shape) -> np.ndarray:
    """Return a constant with as many axes as a sample of a value of this shape."""
    array = np.asarray(value)
    if array.dtype.kind in "iu" or not isinstance(value, np.ndarray):
        array = array.astype(np.float64)
    array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    return array if sample_shape(shape) == shape else array[0]


def times(array: np.ndarray, factor: float) -> np.ndarray:
    """Return a constant times a number: in its dtype where that holds the product, else in
    doubles."""
    if factor == 1.0:
        return array
    with np.errstate(over="ignore", under="ignore"):
        wide = array.astype(np.float64) * factor
        narrow = wide.astype(array.dtype)
    return narrow if array.dtype.kind == "f" and np.array_equal(narrow, wide) else wide


@dataclass(frozen=True, eq=False)
class MovedTensor:
    """A tensor of the source whose entries a layer holds in another order.

    Parameters
    ----------
    name : str
    positions : int array
        Of each entry of the layer's parameter, in row-major order, the position in the tensor.
    """

    name: str
    positions: np.ndarray


ENTRYWISE = frozenset({"sigmoid", "tanh"})
"""Stripped activations that act on each entry by itself, so that entries may be moved after."""

Origin = str | MovedTensor
"""The tensor that a parameter came from."""


@dataclass(frozen=True)
class Value:
    """A value that depends on the input.

    Parameters
    ----------
    name : str
        Node of the network; its shape is `sample_shape` of `shape`.
    shape : tuple of int
        Shape in the model, for a batch of 1.
    head : str
        Names of the stripped output activations that its entries have passed, or "".
    """

    name: str
    shape: Shape
    head: str = ""

    def __post_init__(self) -> None:
        require_room(self.shape)

    @property
    def has_batch(self) -> bool:
        """Whether the first axis is a batch of 1, which the network leaves out."""
        return sample_shape(self.shape) != self.shape

    @property
    def may_be_moved(self) -> bool:
        """Whether entries may be picked and repeated, as far as stripped activations go."""
        return set(self.head.lower().split()) <= ENTRYWISE


@dataclass(frozen=True)
class Hollow(Value):
    """A value with a border of -inf, which nothing but a maximum over windows may read.

    Parameters
    ----------
    widths : tuple of (int, int)
        Of the border, before and after, along each axis of the model.
    """

    widths: tuple[tuple[int, int], ...] = ()

    @property
    def inner(self) -> Value:
        """The value without its border."""
        sizes = zip(self.shape, self.widths, strict=True)
        return Value(self.name, tuple(n - a - b for n, (a, b) in sizes))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Where a value lies above a constant, or below it; at the constant it may be either.

    Parameters
    ----------
    value : Value
    constant : array
    above : bool
    """

    value: Value
    constant: np.ndarray
    above: bool

    @property
    def opposite(self) -> Comparison:
        """Where this one does not hold."""
        return Comparison(self.value, self.constant, not self.above)


def hollow(value: Value, widths: Sequence[tuple[int, int]]) -> Hollow:
    """Return a value with a border of -inf."""
    if any(min(pair) < 0 for pair in widths):
        raise ProblemError(f"a border of -inf with negative widths {list(widths)} is not supported")
    shape = tuple(n + a + b for n, (a, b) in zip(value.shape, widths, strict=True))
    return Hollow(value.name, shape, value.head, tuple(widths))


def joined_heads(values: Sequence[object]) -> str:
    """Return the heads of values that are joined."""
    heads = {name for v in values if isinstance(v, Value) for name in v.head.split()}
    return " ".join(sorted(heads))
