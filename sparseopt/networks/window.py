"""Layers with fixed windows: averages and resampling, max-pooling, rank-pooling."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from sparseopt.interface.arrays import INTEGERS, as_array, read_only
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.networks.operator import Operator, one_input, require_axis, unchecked
from sparseopt.networks.parameters import Shape, Transform, as_parameter, cast
from sparseopt.networks.semiring import SUM, Semiring


def _index(value: np.ndarray, what: str) -> np.ndarray:
    index = as_array(value, what)
    if index.ndim != 2 or not index.size or index.dtype.str[1:] not in INTEGERS or index.min() < -1:
        raise ProblemError(f"{what} must be a matrix of cells (outputs, window), -1 for padding")
    return read_only(index.astype(np.int64, copy=False))


@json_type
@dataclass(frozen=True, eq=False)
class AxisMap:
    """A sparse linear map along one axis.

    ``y[i] = sum_k weight[i, k] / divisor[i] * x[index[i, k]]``

    Parameters
    ----------
    axis : int
        Axis of the sample.
    index : int array, shape (outputs, window)
        Cells that output i reads; -1 for padding, which carries no path.
    weight : array, shape (outputs, window)
    divisor : int array, shape (outputs,)
        Kept apart from the weights so that averages of 3 cells stay exact in rational arithmetic.
    """

    axis: int
    index: np.ndarray
    weight: np.ndarray
    divisor: np.ndarray

    def __post_init__(self) -> None:
        index = _index(self.index, "index")
        weight = as_parameter(self.weight, "weight")
        divisor = as_array(self.divisor, "divisor")
        if weight.shape != index.shape or divisor.shape != index.shape[:1]:
            raise ProblemError(f"shapes differ: {index.shape}, {weight.shape}, {divisor.shape}")
        if divisor.dtype.str[1:] not in INTEGERS or divisor.min() < 1:
            raise ProblemError("divisor must hold positive integers")
        divisor = read_only(divisor.astype(np.int64, copy=False))
        for name, array in (("index", index), ("weight", weight), ("divisor", divisor)):
            object.__setattr__(self, name, array)

    def with_rows(self, index: np.ndarray, weight: np.ndarray, divisor: np.ndarray) -> AxisMap:
        """Return a map along the same axis without validation, for weights in logarithms."""
        made = object.__new__(AxisMap)
        values = {"axis": self.axis, "index": index, "weight": weight, "divisor": divisor}
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made

    def coefficients(self, dtype: np.dtype) -> np.ndarray:
        """Return ``weight / divisor`` in `dtype`."""
        if dtype.kind == "O":
            divisor = np.frompyfunc(Fraction, 1, 1)(self.divisor.astype(object))
            return cast(self.weight, dtype) / divisor[:, None]
        return (cast(self.weight, np.dtype(float)) / self.divisor[:, None]).astype(dtype)

    def propagate(self, x: np.ndarray, semiring: Semiring = SUM) -> np.ndarray:
        """Return the map along axis ``axis + 1`` of `x`."""
        axis = self.axis + 1
        tail = (1,) * (x.ndim - axis - 1)
        coefficients = self.coefficients(x.dtype)
        result = None
        for k in range(self.index.shape[1]):
            cells = self.index[:, k]
            factor = coefficients[:, k].reshape(-1, *tail)
            term = semiring.times(np.take(x, np.maximum(cells, 0), axis=axis), factor)
            if cells.min() < 0:
                term = np.where((cells < 0).reshape(-1, *tail), semiring.zero, term)
            result = term if result is None else semiring.add(result, term)
        assert result is not None
        return result

    def transposed(self, y: np.ndarray, size: int) -> np.ndarray:
        """Return the transpose of `propagate` (ordinary arithmetic); the axis gets `size` cells."""
        axis = self.axis + 1
        moved = np.moveaxis(y, axis, 0)
        result = np.zeros((size, *moved.shape[1:]), dtype=y.dtype)
        coefficients = self.coefficients(y.dtype)
        for k in range(self.index.shape[1]):
            kept = self.index[:, k] >= 0
            factor = coefficients[kept, k].reshape(-1, *(1,) * (moved.ndim - 1))
            np.add.at(result, self.index[kept, k], moved[kept] * factor)
        return np.moveaxis(result, 0, axis)


def _all_of(cls: type, values: Any, what: str) -> tuple[Any, ...]:
    """Return a list of objects of a class as a tuple; refuse everything else."""
    parts = tuple(values) if isinstance(values, Iterable) else (values,)
    if not all(isinstance(part, cls) for part in parts):
        raise ProblemError(f"{what} must be a list of {cls.__name__} objects, got {short(values)}")
    return parts


def _windowed_shape(old: Shape, maps: Sequence[tuple[int, np.ndarray]], what: str) -> Shape:
    new = list(old)
    for axis, index in maps:
        require_axis(axis, old, what)
        if index.max() >= old[axis]:
            raise ProblemError(f"{what} reads cell {index.max()} of axis {axis} of shape {old}")
        new[axis] = index.shape[0]
    if len({axis for axis, _ in maps}) != len(maps):
        raise ProblemError(f"{what} names one axis twice")
    return tuple(new)


@json_type
@dataclass(frozen=True, eq=False)
class Resample(Operator):
    """Fixed linear maps along axes, one after the other.

    Average pooling of every kind, sums and means over axes, nearest and bilinear upsampling: the
    weight of an edge is the product of the coefficients along the axes. An identity neuron per
    output entry.
    """

    maps: tuple[AxisMap, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "maps", _all_of(AxisMap, self.maps, "maps"))

    @property
    def windows(self) -> tuple[AxisMap, ...]:
        """The maps, by the name that `MaxPool` has for what reads cells along an axis."""
        return self.maps

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the shape with the mapped axes resized."""
        old = one_input(inputs, "Resample")
        return _windowed_shape(old, [(m.axis, m.index) for m in self.maps], "Resample")

    def edges(self, inputs: Sequence[Shape], output: Shape) -> int:
        """At most one per output entry and cell of its window."""
        return math.prod(output) * math.prod(m.index.shape[1] for m in self.maps)

    def mapped(self, transform: Transform) -> Operator:
        """Return the maps with every coefficient replaced by its transform."""
        dtype = np.dtype(object if any(m.weight.dtype == object for m in self.maps) else float)
        maps = []
        for m in self.maps:
            ones = np.ones(len(m.divisor), dtype=np.int64)
            maps.append(m.with_rows(m.index, transform(m.coefficients(dtype)), ones))
        return unchecked(self, maps=tuple(maps))

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Apply the maps in order."""
        value = inputs[0]
        for m in self.maps:
            value = m.propagate(value, semiring)
        return value

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Apply the transposed maps in reverse order."""
        for m in reversed(self.maps):
            value = m.transposed(value, inputs[0][m.axis])
        return [value]


@json_type
@dataclass(frozen=True, eq=False)
class AxisWindow:
    """Which cells along `axis` each output reads: ``index`` (outputs, window), -1 for padding."""

    axis: int
    index: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", _index(self.index, "index"))
        if self.index.max(axis=1).min() < 0:
            raise ProblemError("a pooling window lies entirely in the padding; reduce the padding")

    def reduce(
        self, x: np.ndarray, add: Callable[..., np.ndarray], fill: float | None
    ) -> np.ndarray:
        """Combine the cells of each window; padding becomes `fill`, or repeats a cell if None."""
        axis = self.axis + 1
        result = None
        for k in range(self.index.shape[1]):
            cells = self.index[:, k]
            if fill is None:
                cells = np.where(cells < 0, self.index.max(axis=1), cells)
            term = np.take(x, np.maximum(cells, 0), axis=axis)
            if cells.min() < 0:
                mask = (cells < 0).reshape(-1, *(1,) * (x.ndim - axis - 1))
                term = np.where(mask, fill, term)
            result = term if result is None else add(result, term)
        assert result is not None
        return result


@json_type
@dataclass(frozen=True, eq=False)
class MaxPool(Operator):
    """Maximum over windows that are products of one window per axis."""

    windows: tuple[AxisWindow, ...]

    def __post_init__(self) -> None:
        windows = _all_of(AxisWindow, self.windows, "windows of a maximum")
        object.__setattr__(self, "windows", tuple(AxisWindow(w.axis, w.index) for w in windows))

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the shape with the pooled axes resized."""
        old = one_input(inputs, "MaxPool")
        return _windowed_shape(old, [(w.axis, w.index) for w in self.windows], "MaxPool")

    def edges(self, inputs: Sequence[Shape], output: Shape) -> int:
        """At most one per output entry and cell of its window."""
        return math.prod(output) * math.prod(w.index.shape[1] for w in self.windows)

    def neuron_kind(self) -> tuple[str, int]:
        """The maximum is the largest entry."""
        return "pool", 1

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Return the maxima; the maximum over a product of windows is taken axis by axis."""
        value = inputs[0]
        for window in self.windows:
            value = window.reduce(value, np.maximum, None)
        return value

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Add up each window; cells in the padding carry no path."""
        value = inputs[0]
        for window in self.windows:
            value = window.reduce(value, semiring.add, semiring.zero)
        return value

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Hand each output to all cells of its window."""
        for w in reversed(self.windows):
            m = AxisMap(w.axis, w.index, np.ones(w.index.shape), np.ones(len(w.index), np.int64))
            value = m.transposed(value, inputs[0][w.axis])
        return [value]


@json_type
@dataclass(frozen=True, eq=False)
class RankPool(Operator):
    """The `rank`-th largest entry along `axis`, which disappears; 1 is the maximum."""

    axis: int
    rank: int = 1
    weight_fields: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        # An integer of NumPy becomes one of Python: minus one of uint8 is 255.
        vars(self)["rank"] = int(self.rank) if isinstance(self.rank, np.integer) else self.rank

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the shape without the axis."""
        old = one_input(inputs, "RankPool")
        require_axis(self.axis, old, "RankPool")
        if not isinstance(self.rank, int) or not 1 <= self.rank <= old[self.axis]:
            raise ProblemError(f"{old[self.axis]} entries have no rank {short(self.rank)}")
        return (*old[: self.axis], *old[self.axis + 1 :])

    def edges(self, inputs: Sequence[Shape], output: Shape) -> int:
        """One per input entry."""
        return math.prod(inputs[0])

    def neuron_kind(self) -> tuple[str, int]:
        """Return the rank."""
        return "pool", self.rank

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Return the entry of the given rank."""
        x = inputs[0]
        count = x.shape[self.axis + 1]
        return np.take(np.sort(x, axis=self.axis + 1), count - self.rank, axis=self.axis + 1)

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Add up along the axis."""
        return semiring.add.reduce(inputs[0], axis=self.axis + 1)

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Hand each output to all entries along the axis."""
        wide = np.expand_dims(value, self.axis + 1)
        return [np.broadcast_to(wide, (value.shape[0], *inputs[0])).copy()]
