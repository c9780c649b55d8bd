"""Which combinations of the positions along an axis the rest of a network needs.

Path sums are linear in the values of each layer. Where an average over an image follows, only a
few combinations of positions matter: before a global average one, before a 3 x 3 convolution
before it three along each axis (all positions, all but the first, all but the last), and so on.
A layer can then be computed at these few combinations instead of at every position. No
approximation is involved: the combinations are the rows of the product of the maps that follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, singledispatch

import numpy as np

from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Operator, Permute, Relu
from sparseopt.networks.parameters import Shape
from sparseopt.networks.window import AxisMap, AxisWindow, MaxPool, Resample

# More combinations than this along an axis are not worth their bookkeeping.
_MOST = 16


@dataclass(frozen=True, eq=False)
class Combinations:
    """Combinations of the positions along an axis.

    Parameters
    ----------
    rows : float64 array, shape (combinations, positions)
        Distinct and nonzero.
    """

    rows: np.ndarray

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {row.tobytes(): i for i, row in enumerate(self.rows)}

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of each of some rows (..., positions), -1 for zero rows.

        Raises
        ------
        KeyError
            If one is not among the combinations.
        """
        flat = np.ascontiguousarray(rows).reshape(-1, rows.shape[-1])
        found = [self._places[row.tobytes()] if row.any() else -1 for row in flat]
        return np.array(found, dtype=np.int64).reshape(rows.shape[:-1])

    @cached_property
    def totals(self) -> np.ndarray:
        """What each combination makes of ones."""
        return self.rows.sum(axis=1)


Wanted = tuple[Combinations | None, ...]
"""Per axis the combinations that are needed, None for all positions."""


def combinations_of(rows: np.ndarray) -> Combinations:
    """Return the distinct nonzero rows among (..., positions)."""
    flat = np.ascontiguousarray(rows).reshape(-1, rows.shape[-1])
    distinct = {row.tobytes(): row for row in flat if row.any()}
    return Combinations(np.array(list(distinct.values())).reshape(-1, rows.shape[-1]))


def shifted(rows: np.ndarray, reads: np.ndarray, size: int) -> np.ndarray:
    """Return ``g[k, o]`` with ``g[k, o] . x = sum_p rows[k, p] x[reads[p, o]]``.

    Parameters
    ----------
    rows : array, shape (combinations, outputs)
    reads : int array, shape (outputs, kernel)
        Distinct in each column; -1 for padding.
    size : int
        Positions of x.
    """
    result = np.zeros((len(rows), reads.shape[1], size))
    for o in range(reads.shape[1]):
        inside = reads[:, o] >= 0
        result[:, o, reads[inside, o]] = rows[:, inside]
    return result


def summed(
    rows: np.ndarray | None, index: np.ndarray, weight: np.ndarray | None, size: int
) -> np.ndarray:
    """Return g with ``g[k] . x = sum_p rows[k, p] sum_o weight[p, o] x[index[p, o]]``.

    `rows` None stands for the identity, `weight` None for ones. Each row is computed on its own,
    so that equal rows give equal results to the last bit.
    """
    matrix = np.zeros((len(index), size))
    for o in range(index.shape[1]):
        inside = np.flatnonzero(index[:, o] >= 0)
        matrix[inside, index[inside, o]] += 1.0 if weight is None else weight[inside, o]
    if rows is None:
        return matrix
    return np.array([(row[:, None] * matrix).sum(axis=0) for row in rows]).reshape(-1, size)


def needed_combinations(network: Network, mapped: Callable[[Node], Operator]) -> dict[str, Wanted]:
    """Return, for the nodes where it is less than all positions, what the nodes after it need.

    Parameters
    ----------
    network : Network
    mapped : callable
        Node to its operator with the coefficients of the pass.
    """
    parts: dict[str, list[Wanted]] = {network.output: [_all(network.output_shape)]}
    result: dict[str, Wanted] = {}
    for node in reversed(network.nodes[1:]):
        if node.name not in network.used:
            continue
        wanted = _union(parts.pop(node.name))
        if any(wanted):
            result[node.name] = wanted
        shapes = [network.shapes[name] for name in node.inputs]
        for name, part in zip(node.inputs, _pulled(mapped(node), wanted, shapes), strict=True):
            parts.setdefault(name, []).append(part)
    return result


def _all(shape: Shape) -> Wanted:
    return (None,) * len(shape)


def _union(parts: Sequence[Wanted]) -> Wanted:
    if len(parts) == 1:
        return parts[0]
    result = []
    for along in zip(*parts, strict=True):
        rows = [combinations.rows for combinations in along if combinations is not None]
        result.append(_worth(np.concatenate(rows)) if len(rows) == len(along) else None)
    return tuple(result)


def _worth(rows: np.ndarray) -> Combinations | None:
    """Return the combinations if there are few of them."""
    combinations = combinations_of(rows)
    return combinations if 0 < len(combinations.rows) < min(rows.shape[-1], _MOST + 1) else None


@singledispatch
def _pulled(op: Operator, wanted: Wanted, inputs: Sequence[Shape]) -> list[Wanted]:
    """Return what a layer needs of its inputs; all positions, which suffices for every layer."""
    return [_all(shape) for shape in inputs]


@_pulled.register(Add | Relu)
def _pulled_alike(op: Add | Relu, wanted: Wanted, inputs: Sequence[Shape]) -> list[Wanted]:
    return [wanted] * len(inputs)


@_pulled.register
def _pulled_concat(op: Concat, wanted: Wanted, inputs: Sequence[Shape]) -> list[Wanted]:
    return [(*wanted[: op.axis], None, *wanted[op.axis + 1 :])] * len(inputs)


@_pulled.register
def _pulled_permute(op: Permute, wanted: Wanted, inputs: Sequence[Shape]) -> list[Wanted]:
    return [tuple(wanted[op.axes.index(axis)] for axis in range(len(op.axes)))]


@_pulled.register
def _pulled_scale(op: Scale, wanted: Wanted, inputs: Sequence[Shape]) -> list[Wanted]:
    varies = _varies(op, inputs[0])
    return [tuple(None if v else w for v, w in zip(varies, wanted, strict=True))]


@_pulled.register
def _pulled_conv(op: Conv, wanted: Wanted, inputs: Sequence[Shape]) -> list[Wanted]:
    needs: list[Combinations | None] = [None]
    for axis, combinations in enumerate(wanted[1:]):
        if combinations is None:
            needs.append(None)
            continue
        size = inputs[0][axis + 1]
        needs.append(_worth(shifted(combinations.rows, conv_reads(op, axis, size), size)))
    return [tuple(needs)]


@_pulled.register(MaxPool | Resample)
def _pulled_windows(
    op: MaxPool | Resample, wanted: Wanted, inputs: Sequence[Shape]
) -> list[Wanted]:
    needs = list(wanted)
    for w in op.windows:
        known = needs[w.axis]
        rows = None if known is None else known.rows
        needs[w.axis] = _worth(summed(rows, w.index, factors(w), inputs[0][w.axis]))
    return [tuple(needs)]


def _varies(op: Scale, shape: Shape) -> list[bool]:
    """Return along which axes a scale is not constant."""
    result = [False] * len(shape)
    for array in op.parameters().values():
        lead = len(shape) - array.ndim
        for axis, size in enumerate(array.shape):
            result[lead + axis] = result[lead + axis] or size > 1
    return result


def conv_reads(op: Conv, axis: int, size: int) -> np.ndarray:
    """Return the cells (outputs, kernel) that a convolution reads along an axis; -1 outside."""
    before, after = op.padding[axis]
    count = (size + before + after - op.extent[axis]) // op.stride[axis] + 1
    starts = np.arange(count)[:, None] * op.stride[axis] - before
    places = starts + np.arange(op.kernel[axis])[None, :] * op.dilation[axis]
    return np.where((places >= 0) & (places < size), places, -1)


def factors(window: AxisWindow | AxisMap) -> np.ndarray | None:
    """Return the coefficients of the cells of a window, None for ones."""
    return window.coefficients(np.dtype(float)) if isinstance(window, AxisMap) else None
