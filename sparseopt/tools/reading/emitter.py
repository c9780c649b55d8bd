"""What both readers build layers with: values that remember their shape in the source.

Sources carry a batch axis of 1 in front; networks do not. A `Value` keeps both views, and the
methods of `Emitter` speak of shapes and axes as the source does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

import sparseopt as so
from sparseopt.networks.linear import Conv, ConvTranspose, Dense
from sparseopt.networks.operator import Concat, Operator
from sparseopt.networks.window import AxisMap, MaxPool, Resample
from sparseopt.tools.reading.budget import Budget, require_room
from sparseopt.tools.reading.builder import NetworkBuilder
from sparseopt.tools.reading.window_cells import average_map, max_window, pool_positions

Shape = tuple[int, ...]


def sample_shape(shape: Sequence[int]) -> Shape:
    """Return a shape without its leading batch axis of 1."""
    shape = tuple(shape)
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


@dataclass(frozen=True)
class Value:
    """A value that depends on the input.

    Parameters
    ----------
    name : str
        Node of the network; its shape is `sample_shape` of `shape`.
    shape : tuple of int
        Shape in the source, for a batch of 1.
    head : str
        Name of the stripped output activation that the value has passed, or "".
    """

    name: str
    shape: Shape
    head: str = ""

    def __post_init__(self) -> None:
        require_room(self.shape)


class Emitter:
    """Adds layers to a network under construction; every method returns the new value.

    Parameters
    ----------
    shape : tuple of int
        Shape of the input in the source, with a batch of 1.
    name : str
        Name of the input.
    budget : Budget, optional
        What was computed before.
    """

    def __init__(self, shape: Shape, name: str, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self.builder = NetworkBuilder(sample_shape(shape), name)
        self.input = Value(self.builder.input, tuple(shape))

    # Views ----------------------------------------------------------------------------------

    def wrap(self, name: str, shape: Sequence[int], head: str = "") -> Value:
        """Return the node `name` as a value that has `shape` in the source."""
        shape = tuple(int(n) for n in shape)
        made = self.builder.reshape(name, sample_shape(shape), f"{name}:shape")
        return Value(made, shape, head)

    def full(self, value: Value) -> str:
        """Return a node that holds the value with its batch axis."""
        return self.builder.reshape(value.name, value.shape, f"{value.name}:full")

    def positions(self, value: Value) -> np.ndarray:
        """Return the positions of the entries in row-major order, in the source's shape."""
        return np.arange(math.prod(value.shape)).reshape(value.shape)

    def select(self, value: Value, index: np.ndarray, name: str, fill: float = 0.0) -> Value:
        """Pick entries by position; -1 gives `fill`."""
        if index.size == 0:
            raise so.ProblemError(f"the result has shape {index.shape}, without entries")
        require_room(index.shape)
        self.budget.keep(index.size)
        made = self.builder.select(value.name, index.reshape(sample_shape(index.shape)), name)
        picked = Value(made, index.shape, value.head)
        if not fill:
            return picked
        return self.affine(picked, f"{name}:fill", bias=np.where(index < 0, fill, 0.0))

    def keep(self, value: Value, shape: Sequence[int]) -> Value:
        """Return the entries in the same order under another shape."""
        shape = tuple(int(n) for n in shape)
        if math.prod(shape) != math.prod(value.shape) or any(n < 1 for n in shape):
            raise so.ProblemError(f"a value of shape {value.shape} cannot take the shape {shape}")
        return self.wrap(value.name, shape, value.head)

    def inferred(self, value: Value, target: Sequence[int]) -> Shape:
        """Return a shape with one -1 replaced by what is left over."""
        shape = [int(n) for n in target]
        if -1 in shape:
            rest = math.prod(n for n in shape if n != -1)
            size = math.prod(value.shape)
            if shape.count(-1) > 1 or rest < 1 or size % rest:
                raise so.ProblemError(
                    f"a value of shape {value.shape} cannot take the shape {tuple(shape)}"
                )
            shape[shape.index(-1)] = size // rest
        return tuple(shape)

    def permute(self, value: Value, order: Sequence[int], name: str) -> Value:
        """Return the value with its axes in another order."""
        shape = tuple(value.shape[a] for a in order)
        if len(shape) > 1 and value.shape[0] == 1 and order[0] == 0:
            made = self.builder.permute(value.name, [a - 1 for a in order[1:]], name)
            return self.wrap(made, shape, value.head)
        return self.wrap(self.builder.permute(self.full(value), order, name), shape, value.head)

    def broadcast(self, value: Value, shape: Sequence[int], name: str) -> Value:
        """Return the value repeated to `shape`, as in NumPy."""
        if value.shape == tuple(shape):
            return value
        require_room(shape)
        index = np.broadcast_to(self.positions(value), shape)
        return self.select(value, index, f"{name}:expand")

    def padded(self, value: Value, widths: Sequence[tuple[int, int]], mode: str) -> np.ndarray:
        """Return the positions of entries after padding by NumPy's modes; negative widths crop.

        In the mode ``constant``, padding has position -1.
        """
        grow = [(max(0, a), max(0, b)) for a, b in widths]
        crop = tuple(
            slice(max(0, -a), max(0, n - max(0, -b)))
            for n, (a, b) in zip(value.shape, widths, strict=True)
        )
        kept = self.positions(value)[crop]
        require_room(n + a + b for n, (a, b) in zip(kept.shape, grow, strict=True))
        options = {"constant_values": -1} if mode == "constant" else {}
        return np.pad(kept, grow, mode=mode, **options)  # type: ignore[call-overload, no-any-return]

    def windows(
        self,
        size: int,
        kernel: int,
        stride: int,
        padding: tuple[int, int],
        dilation: int,
        ceil_mode: bool,
    ) -> np.ndarray:
        """Return `pool_positions`, once there is room for them."""
        if min(kernel, stride, dilation) < 1 or min(padding) < 0:
            raise so.ProblemError(
                f"a window of {kernel} cells with stride {stride}, dilation {dilation} and padding "
                f"{padding} is none"
            )
        outputs = max(0, (size + sum(padding)) // stride + 2)
        self.budget.keep(outputs * kernel)
        return pool_positions(size, kernel, stride, padding, dilation, ceil_mode)

    def constant(self, array: np.ndarray, name: str) -> Value:
        """Return a constant as a value: zeros, with the numbers as biases."""
        require_room(array.shape)
        nowhere = np.full(array.shape, -1)
        zeros = self.select(self.input, nowhere, f"{name}:zeros")
        return self.affine(zeros, f"{name}:constant", bias=array) if np.any(array) else zeros

    def concat(self, parts: Sequence[Value | np.ndarray], axis: int, name: str) -> Value:
        """Join values and constants along an axis."""
        values = [v if isinstance(v, Value) else self.constant(v, name) for v in parts]
        if axis > 0 and all(len(v.shape) > 1 and v.shape[0] == 1 for v in values):
            made = self.builder.add(Concat(axis - 1), [v.name for v in values], name)
            return Value(made, (1, *self.builder.shape(made)))
        made = self.builder.add(Concat(axis), [self.full(v) for v in values], name)
        return self.wrap(made, self.builder.shape(made))

    def image(self, value: Value, spatial: int, op: Operator, name: str, **origin: str) -> Value:
        """Apply an operator on (channels, spatial...), with or without a batch axis before it."""
        if isinstance(op, Conv | ConvTranspose):
            _require_room_within(op, value.shape[-spatial:])
        if len(value.shape) == spatial + 1:
            made = self.builder.add(op, (self.full(value),), name, origin)
            return self.wrap(made, self.builder.shape(made))
        if len(value.shape) != spatial + 2 or value.shape[0] != 1:
            raise so.ProblemError(
                f"its input has shape {value.shape}; (1, channels, {spatial} spatial axes) is due"
            )
        x = self.builder.reshape(value.name, value.shape[1:], f"{name}:full")
        made = self.builder.add(op, (x,), name, origin)
        return self.wrap(made, (1, *self.builder.shape(made)))

    # Affine ---------------------------------------------------------------------------------

    def dense(self, value: Value, op: Dense, name: str, **origin: str) -> Value:
        """Apply a dense layer to the last axis."""
        if not value.shape:
            raise so.ProblemError("its input is a single number; an axis is needed")
        made = self.builder.add(op, (value.name,), name, origin)
        return self.wrap(made, (*value.shape[:-1], op.weight.shape[0]))

    def affine(
        self,
        value: Value,
        name: str,
        factor: np.ndarray | float | None = None,
        bias: np.ndarray | float | None = None,
        shifts: Sequence[str] = (),
    ) -> Value:
        """Return ``factor * value + bias``, broadcast together as in NumPy."""
        given = [np.shape(a) for a in (factor, bias) if a is not None]
        shape = np.broadcast_shapes(value.shape, *given)
        self.budget.keep(sum(math.prod(s) for s in given))
        wide = self.broadcast(value, shape, name)
        gain, shift = (None if a is None else _for_sample(a, shape) for a in (factor, bias))
        return replace(wide, name=self.builder.scale(wide.name, name, gain, shift, shifts))

    def negative(self, value: Value, name: str) -> Value:
        """Return the value times -1."""
        return self.affine(value, f"{name}:minus", factor=-1.0)

    def sum_of(self, values: Sequence[Value], name: str) -> Value:
        """Return the sum of values, broadcast together."""
        shape = np.broadcast_shapes(*(v.shape for v in values))
        parts = [self.broadcast(v, shape, name).name for v in values]
        return Value(self.builder.add_up(parts, name), shape)

    def batch_norm(
        self,
        value: Value,
        statistics: tuple[np.ndarray, np.ndarray],
        gain: tuple[np.ndarray | None, np.ndarray | None],
        epsilon: float,
        name: str,
        shifts: Sequence[str] = (),
    ) -> Value:
        """Apply a frozen batch normalization along axis 1, as one scale per channel.

        `statistics` are mean and variance, `gain` weight and bias; `shifts` names the tensors
        behind mean and bias.
        """
        mean, variance = (a.astype(np.float64) for a in statistics)
        weight = np.ones_like(mean) if gain[0] is None else gain[0].astype(np.float64)
        shift = np.zeros_like(mean) if gain[1] is None else gain[1].astype(np.float64)
        for part, what in ((mean, "mean"), (variance, "variance"), (weight, "weight")):
            if not np.isfinite(part).all():
                raise so.ProblemError(f"its {what} holds a NaN or infinity; repair the model first")
        spread = variance + epsilon
        if not spread.min() > 0:
            raise so.ProblemError("variance + epsilon is not positive in some channel")
        tail = (1,) * max(0, len(value.shape) - 2)
        factor = weight / np.sqrt(spread)
        bias = shift - factor * mean
        factor, bias = factor.reshape(-1, *tail), bias.reshape(-1, *tail)
        return self.affine(value, name, factor, bias, shifts)

    # Piecewise linear -----------------------------------------------------------------------

    def relu(self, value: Value, name: str) -> Value:
        """Return max(value, 0)."""
        return replace(value, name=self.builder.relu(value.name, name))

    def leaky_relu(self, value: Value, slope: np.ndarray | float, name: str) -> Value:
        """Return the value where positive, ``slope`` times it elsewhere."""
        self.budget.keep(2 * np.size(slope))
        slope = _for_sample(slope, value.shape)
        return replace(value, name=self.builder.leaky_relu(value.name, slope, name))

    def absolute(self, value: Value, name: str) -> Value:
        """Return the absolute value."""
        return replace(value, name=self.builder.absolute(value.name, name))

    def clip(self, value: Value, low: float | None, high: float | None, name: str) -> Value:
        """Return min(max(value, low), high)."""
        return replace(value, name=self.builder.clip(value.name, low, high, name))

    def hard_sigmoid(self, value: Value, alpha: float, beta: float, name: str) -> Value:
        """Return min(max(alpha value + beta, 0), 1)."""
        return replace(value, name=self.builder.hard_sigmoid(value.name, alpha, beta, name))

    def extreme(
        self, values: Sequence[Value], constants: Sequence[np.ndarray], largest: bool, name: str
    ) -> Value:
        """Return the maximum or minimum of values and constants, entry by entry."""
        shapes = [*(v.shape for v in values), *(c.shape for c in constants)]
        shape = np.broadcast_shapes(*shapes)
        wide = [self.broadcast(v, shape, name).name for v in values]
        made = wide[0]
        if len(wide) > 1:
            made = self.builder.rank(wide, 1 if largest else len(wide), name)
        result = Value(made, shape)
        sign = 1.0 if largest else -1.0
        for constant in constants:  # max(x, c) = relu(x - c) + c
            moved = self.affine(result, f"{name}:minus", sign, -sign * constant)
            bent = self.relu(moved, f"{name}:relu")
            result = self.affine(bent, f"{name}:plus", sign, constant)
        return result

    # Windows --------------------------------------------------------------------------------

    def max_pool(
        self, value: Value, positions: Sequence[np.ndarray], sizes: Sequence[int], name: str
    ) -> Value:
        """Pool over the trailing axes; `positions` (outputs, window) may lie in the padding."""
        windows = tuple(
            max_window(axis + 1, places, n)
            for axis, (places, n) in enumerate(zip(positions, sizes, strict=True))
        )
        return self.image(value, len(windows), MaxPool(windows), name)

    def average_pool(
        self,
        value: Value,
        positions: Sequence[np.ndarray],
        sizes: Sequence[int],
        padding: Sequence[tuple[int, int] | None],
        name: str,
        divisor: int | None = None,
    ) -> Value:
        """Average over the trailing axes; padding counts in the divisor where it is given."""
        count = len(positions)
        divisors = [divisor, *([1] * (count - 1))] if divisor else [None] * count
        maps = tuple(
            average_map(axis + 1, places, n, pads, d)
            for axis, (places, n, pads, d) in enumerate(
                zip(positions, sizes, padding, divisors, strict=True)
            )
        )
        return self.image(value, count, Resample(maps), name)

    def reduce(self, value: Value, axes: Sequence[int], kind: str, keep: bool, name: str) -> Value:
        """Return the sum, mean, max or min over axes."""
        count = len(value.shape)
        chosen = sorted({int(a) % count for a in axes}) if count else []
        self.budget.keep(sum(value.shape[a] for a in chosen))
        full = self.full(value)
        if kind in ("sum", "mean"):
            made = self.builder.total(full, chosen, kind == "mean", keep, name)
        elif kind == "max":
            made = self.builder.largest(full, chosen, keep, name)
        else:
            made = self.builder.smallest(full, chosen, keep, name)
        return self.wrap(made, self.builder.shape(made))

    def resample(self, value: Value, maps: Sequence[AxisMap], name: str) -> Value:
        """Apply linear maps along axes of the source's shape."""
        if not maps:
            return value
        made = self.builder.add(Resample(tuple(maps)), (self.full(value),), name)
        return self.wrap(made, self.builder.shape(made))

    def pixel_shuffle(self, value: Value, block: int, name: str) -> Value:
        """Move blocks of channels to space: (N, C b b, H, W) to (N, C, H b, W b)."""
        *lead, c, h, w = value.shape
        index = self.positions(value).reshape(*lead, c // block**2, block, block, h, w)
        k = len(lead)
        index = index.transpose(*range(k), k, k + 3, k + 1, k + 4, k + 2)
        return self.select(value, index.reshape(*lead, -1, h * block, w * block), name)


def _for_sample(value: np.ndarray | float, shape: Shape) -> np.ndarray | float:
    """Return a constant that broadcasts to `shape` without the batch axis that a sample lacks."""
    array = np.asarray(value)
    if array.ndim == len(shape) and sample_shape(shape) != tuple(shape):
        return array[0]
    return array if isinstance(value, np.ndarray) else value


def _require_room_within(op: Conv | ConvTranspose, spatial: Sequence[int]) -> None:
    """Refuse convolutions whose padded input, or uncut output, is too large."""
    pads = [(max(0, a), max(0, b)) for a, b in op.padding]
    channels = op.weight.shape[1] * op.groups
    if isinstance(op, Conv):
        sizes = [n + a + b for n, (a, b) in zip(spatial, pads, strict=True)]
    else:
        sizes = [(n - 1) * s + e for n, s, e in zip(spatial, op.stride, op.extent, strict=True)]
    require_room((channels, *sizes))
