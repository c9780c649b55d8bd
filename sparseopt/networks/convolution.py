"""Convolutions and their transposes, over any number of axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index as whole_number
from typing import ClassVar

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.networks.linear import check_bias, set_parameter
from sparseopt.networks.operator import Operator, one_input
from sparseopt.networks.parameters import Shape, as_integers, cast
from sparseopt.networks.semiring import SUM, Matmul, Semiring

# Columns of a convolution are gathered in pieces of at most this many entries, so that the first
# layers of VGG-like networks need tens of megabytes instead of hundreds.
_PIECE = 1 << 22


_MOST = 1 << 28
"""Largest stride, dilation and padding: places of cells stay far within int64."""


def _per_axis(values: Sequence[int], count: int, name: str) -> tuple[int, ...]:
    result = as_integers(values, name) or (1,) * count
    if len(result) != count or any(not 1 <= v <= _MOST for v in result):
        wanted = f"{count} positive integers, each at most {_MOST}"
        raise ProblemError(f"{name} must be {wanted}, got {short(result)}")
    return result


def _check_padding(padding: Sequence[Sequence[int]], count: int) -> tuple[tuple[int, int], ...]:
    try:
        pairs = tuple((whole_number(a), whole_number(b)) for a, b in padding) or ((0, 0),) * count
    except (TypeError, ValueError):  # no pairs, or of something else
        pairs = ()
    if len(pairs) != count or any(abs(v) > _MOST for pair in pairs for v in pair):
        raise ProblemError(
            f"padding must give (before, after) for {count} axes, each at most {_MOST} in size, "
            f"got {short(padding)}"
        )
    return pairs


def _slab(weight: np.ndarray, place: tuple[int, ...]) -> np.ndarray:
    """Return the weights of one kernel position, the kernel axes being the last."""
    return weight[(Ellipsis, *place)]  # type: ignore[arg-type]


class _Convolution(Operator):
    """What convolution and transposed convolution share: their fields and checks."""

    weight: np.ndarray
    bias: np.ndarray | None
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    weight_fields: ClassVar[tuple[str, ...]] = ("weight",)
    bias_field: ClassVar[str | None] = "bias"

    def _validate(self) -> None:
        set_parameter(self, "weight")
        spatial = self.weight.ndim - 2
        if spatial < 1:
            raise ProblemError(f"weight of shape {self.weight.shape} has no kernel axes")
        for name in ("stride", "dilation"):
            object.__setattr__(self, name, _per_axis(getattr(self, name), spatial, name))
        object.__setattr__(self, "padding", _check_padding(self.padding, spatial))
        groups, channels = self.groups, self.weight.shape[0]
        if not isinstance(groups, int | np.integer) or groups < 1 or channels % groups:
            raise ProblemError(
                f"weight {self.weight.shape} does not split in {short(groups)} groups"
            )
        object.__setattr__(self, "groups", int(groups))

    @property
    def kernel(self) -> tuple[int, ...]:
        """Kernel sizes."""
        return self.weight.shape[2:]

    @property
    def extent(self) -> tuple[int, ...]:
        """Kernel sizes with dilation."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def offset(self) -> np.ndarray | None:
        """Return the bias per channel."""
        if self.bias is None:
            return None
        return self.bias.reshape(-1, *(1 for _ in self.kernel))

    def _require_input(self, shape: Shape, channels: int, what: str) -> None:
        if len(shape) != self.weight.ndim - 1 or shape[0] != channels:
            raise ProblemError(
                f"{what} with weight {self.weight.shape} and {self.groups} groups needs "
                f"{channels} channels and {len(self.kernel)} spatial axes, got shape {shape}"
            )


@json_type
@dataclass(frozen=True, eq=False)
class Conv(_Convolution):
    """Convolution (cross-correlation) over any number of spatial axes.

    Parameters
    ----------
    weight : array, shape (outputs, inputs / groups, *kernel)
    bias : array, shape (outputs,), or None
    stride, dilation : tuple of int, one per spatial axis; empty for ones
    padding : tuple of (before, after), one per spatial axis; empty for zeros
        Padding cells are zero and carry no path. Negative padding crops.
    groups : int
    """

    weight: np.ndarray
    bias: np.ndarray | None = None
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1

    def __post_init__(self) -> None:
        self._validate()
        check_bias(self, self.weight.shape[0])

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return (outputs, *spatial)."""
        old = one_input(inputs, "Conv")
        self._require_input(old, self.weight.shape[1] * self.groups, "a convolution")
        sizes = zip(old[1:], self.extent, self.stride, self.padding, strict=True)
        out = tuple((n + a + b - extent) // s + 1 for n, extent, s, (a, b) in sizes)
        if min(out) < 1:
            raise ProblemError(f"a kernel of extent {self.extent} does not fit shape {old}")
        return (self.weight.shape[0], *out)

    def edges(self, inputs: Sequence[Shape], output: Shape) -> int:
        """One per weight and output position (those into the padding included)."""
        return self.weight.size * math.prod(output[1:])

    def _padded(self, x: np.ndarray, fill: float) -> np.ndarray:
        widths = [(max(0, a), max(0, b)) for a, b in self.padding]
        if any(map(any, widths)):
            x = _filled(x, widths, fill)
        crop = tuple(
            slice(max(0, -a), n - max(0, -b))
            for n, (a, b) in zip(x.shape[2:], self.padding, strict=True)
        )
        return x[(slice(None), slice(None), *crop)]

    def _windows(self, x: np.ndarray, fill: float) -> np.ndarray:
        """Return a view (n, channels, *out, *kernel) of the cells that each output reads."""
        dims = len(self.kernel)
        windows = np.lib.stride_tricks.sliding_window_view(
            self._padded(x, fill), self.extent, axis=tuple(range(2, 2 + dims))
        )
        steps = (*(slice(None, None, s) for s in self.stride),)
        holes = (*(slice(None, None, d) for d in self.dilation),)
        return windows[(slice(None), slice(None), *steps, *holes)]

    def _pieces(self, windows: np.ndarray) -> list[slice]:
        """Return slices of the first spatial axis whose gathered columns stay small."""
        per_row = math.prod(windows.shape) // windows.shape[2]
        rows = max(1, _PIECE // per_row)
        return [slice(i, i + rows) for i in range(0, windows.shape[2], rows)]

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Gather columns of windows piece by piece and multiply each by the kernel matrix."""
        x = inputs[0]
        if self.weight.shape[1] == 1 and semiring is SUM and math.prod(self.kernel) > 1:
            return self._depthwise(x)
        return self._by_pieces(x, semiring.zero, semiring.matmul)

    def _by_pieces(self, x: np.ndarray, zero: float, matmul: Matmul) -> np.ndarray:
        n, groups, dims = x.shape[0], self.groups, len(self.kernel)
        windows = self._windows(x, zero)
        out = windows.shape[2 : 2 + dims]
        kernel = cast(self.weight, x.dtype).reshape(groups, self.weight.shape[0] // groups, -1)
        order = (0, 1, *range(2 + dims, 2 + 2 * dims), *range(2, 2 + dims))
        parts = []
        for piece in self._pieces(windows):
            columns = windows[:, :, piece].transpose(order).reshape(n, groups, kernel.shape[2], -1)
            parts.append(matmul(kernel, columns))
        result = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        return result.reshape(n, self.weight.shape[0], *out)

    def _depthwise(self, x: np.ndarray) -> np.ndarray:
        """Return `propagate` for one input channel per group, kernel position by position."""
        out = self.shape([x.shape[1:]])[1:]
        padded = self._padded(x, 0)
        weight = cast(self.weight, x.dtype).reshape(self.groups, -1, 1, *self.kernel)
        result: np.ndarray | None = None
        for place, cells in self._offsets(out):
            block = padded[(slice(None), slice(None), *cells)].reshape(
                x.shape[0], self.groups, 1, -1
            )
            term = _slab(weight, place) * block
            result = term if result is None else result + term
        assert result is not None
        return result.reshape(x.shape[0], self.weight.shape[0], *out)

    def _offsets(self, out: Shape) -> list[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Return each kernel position with the input cells that it meets, in the padded input."""
        result = []
        for place in itertools.product(*(range(k) for k in self.kernel)):
            starts = [p * d for p, d in zip(place, self.dilation, strict=True)]
            cells = tuple(
                slice(start, start + (o - 1) * s + 1, s)
                for start, o, s in zip(starts, out, self.stride, strict=True)
            )
            result.append((place, cells))
        return result

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Scatter each output back over its window."""
        n, groups, channels = value.shape[0], self.groups, self.weight.shape[1]
        sizes = [s + a + b for s, (a, b) in zip(inputs[0][1:], self.padding, strict=True)]
        result = np.zeros((n, inputs[0][0], *sizes), dtype=value.dtype)
        weight = cast(self.weight, value.dtype).reshape(groups, -1, channels, *self.kernel)
        flat = value.reshape(n, groups, value.shape[1] // groups, -1)
        for place, cells in self._offsets(value.shape[2:]):
            slab = np.swapaxes(_slab(weight, place), -1, -2)
            term = np.matmul(slab, flat).reshape(n, inputs[0][0], *value.shape[2:])
            result[(slice(None), slice(None), *cells)] += term
        return [_uncrop(result, self.padding)]

    def weight_adjoint(self, value: np.ndarray, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Return the transpose of ``weight -> propagate(inputs)``, kernel position by position."""
        n, groups = value.shape[0], self.groups
        padded = self._padded(inputs[0], 0)
        flat = value.reshape(n, groups, value.shape[1] // groups, -1)
        result = np.zeros(self.weight.shape, dtype=value.dtype)
        for place, cells in self._offsets(value.shape[2:]):
            block = padded[(slice(None), slice(None), *cells)]
            block = block.reshape(n, groups, self.weight.shape[1], -1)
            term = np.matmul(flat, block.swapaxes(-1, -2)).sum(axis=0)
            _slab(result, place)[...] = term.reshape(self.weight.shape[:2])
        return result


def _filled(array: np.ndarray, widths: Sequence[tuple[int, int]], fill: float) -> np.ndarray:
    """Return an array with more cells at both ends of its spatial axes; exact numbers stay so."""
    same = np.array(fill, dtype=array.dtype)  # an integer of NumPy would wrap around
    return np.pad(array, [(0, 0), (0, 0), *widths], constant_values=same)


def _uncrop(padded: np.ndarray, padding: Sequence[tuple[int, int]]) -> np.ndarray:
    """Undo `Conv._padded`: fill what negative padding had cropped, cut positive padding off."""
    widths = [(max(0, -a), max(0, -b)) for a, b in padding]
    if any(map(any, widths)):
        padded = _filled(padded, widths, 0)
    cells = tuple(
        slice(max(0, a), n - max(0, b)) for n, (a, b) in zip(padded.shape[2:], padding, strict=True)
    )
    return padded[(slice(None), slice(None), *cells)]


@json_type
@dataclass(frozen=True, eq=False)
class ConvTranspose(_Convolution):
    """Transposed convolution: each input cell is spread over a window of the output.

    Parameters
    ----------
    weight : array, shape (inputs, outputs / groups, *kernel)
    bias : array, shape (outputs,), or None
    stride, dilation : tuple of int, one per spatial axis; empty for ones
    padding : tuple of (before, after)
        How much is cut off the full output at each end; negative values add zeros.
    groups : int
    """

    weight: np.ndarray
    bias: np.ndarray | None = None
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1

    def __post_init__(self) -> None:
        self._validate()
        check_bias(self, self.weight.shape[1] * self.groups)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return (outputs, *spatial)."""
        old = one_input(inputs, "ConvTranspose")
        self._require_input(old, self.weight.shape[0], "a transposed convolution")
        sizes = zip(old[1:], self.extent, self.stride, self.padding, strict=True)
        out = tuple((n - 1) * s + extent - a - b for n, extent, s, (a, b) in sizes)
        if min(out) < 1:
            raise ProblemError(f"padding {self.padding} leaves nothing of the output of {old}")
        return (self.weight.shape[1] * self.groups, *out)

    def edges(self, inputs: Sequence[Shape], output: Shape) -> int:
        """One per weight and input position."""
        return self.weight.size * math.prod(inputs[0][1:])

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Scatter each input cell over its window."""
        x = inputs[0]
        n, groups, spatial = x.shape[0], self.groups, x.shape[2:]
        sizes = [
            (k - 1) * s + extent
            for k, s, extent in zip(spatial, self.stride, self.extent, strict=True)
        ]
        outputs = self.weight.shape[1]
        result = np.full((n, outputs * groups, *sizes), semiring.zero, dtype=x.dtype)
        weight = cast(self.weight, x.dtype).reshape(groups, -1, outputs, *self.kernel)
        flat = x.reshape(n, groups, x.shape[1] // groups, -1)
        for place in itertools.product(*(range(k) for k in self.kernel)):
            slab = np.swapaxes(_slab(weight, place), -1, -2)
            term = semiring.matmul(slab, flat).reshape(n, outputs * groups, *spatial)
            cells = (slice(None), slice(None), *self._cells(place, spatial))
            result[cells] = semiring.add(result[cells], term)
        return self._cut(result, semiring.zero)

    def _cells(self, place: tuple[int, ...], spatial: Shape) -> tuple[slice, ...]:
        return tuple(
            slice(p * d, p * d + (k - 1) * s + 1, s)
            for p, d, k, s in zip(place, self.dilation, spatial, self.stride, strict=True)
        )

    def _cut(self, full: np.ndarray, fill: float) -> np.ndarray:
        widths = [(max(0, -a), max(0, -b)) for a, b in self.padding]
        if any(map(any, widths)):
            full = _filled(full, widths, fill)
        cells = tuple(
            slice(max(0, a), n - max(0, b))
            for n, (a, b) in zip(full.shape[2:], self.padding, strict=True)
        )
        return full[(slice(None), slice(None), *cells)]

    def _uncut(self, value: np.ndarray) -> np.ndarray:
        """Return the transpose of `_cut`."""
        widths = [(max(0, a), max(0, b)) for a, b in self.padding]
        kept = tuple(
            slice(max(0, -a), m - max(0, -b))
            for m, (a, b) in zip(value.shape[2:], self.padding, strict=True)
        )
        return _filled(value[(slice(None), slice(None), *kept)], widths, 0)

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Collect each input cell's window."""
        n, groups, spatial = value.shape[0], self.groups, inputs[0][1:]
        full = self._uncut(value)
        outputs = self.weight.shape[1]
        weight = cast(self.weight, value.dtype).reshape(groups, -1, outputs, *self.kernel)
        result = np.zeros((n, *inputs[0]), dtype=value.dtype)
        for place in itertools.product(*(range(k) for k in self.kernel)):
            block = full[(slice(None), slice(None), *self._cells(place, spatial))]
            term = np.matmul(_slab(weight, place), block.reshape(n, groups, outputs, -1))
            result += term.reshape(result.shape)
        return [result]

    def weight_adjoint(self, value: np.ndarray, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Return the transpose of ``weight -> propagate(inputs)``, kernel position by position."""
        n, groups, spatial = value.shape[0], self.groups, inputs[0].shape[2:]
        full = self._uncut(value)
        flat = inputs[0].reshape(n, groups, -1, math.prod(spatial))
        result = np.zeros(self.weight.shape, dtype=value.dtype)
        for place in itertools.product(*(range(k) for k in self.kernel)):
            block = full[(slice(None), slice(None), *self._cells(place, spatial))]
            block = block.reshape(n, groups, self.weight.shape[1], -1)
            term = np.matmul(flat, block.swapaxes(-1, -2)).sum(axis=0)
            _slab(result, place)[...] = term.reshape(self.weight.shape[:2])
        return result
