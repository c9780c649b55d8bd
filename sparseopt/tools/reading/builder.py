"""What readers build networks with: layers one by one, and exact ReLU forms of activations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.linear import Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Operator, Permute, Relu, Reshape, Select
from sparseopt.networks.parameters import Shape
from sparseopt.networks.window import RankPool, Resample
from sparseopt.tools.reading.window_cells import total_map


class NetworkBuilder:
    """Collects layers; each method returns the name of the value that it made.

    Parameters
    ----------
    shape : tuple of int
        Shape of one input sample.
    name : str
        Name of the input.
    """

    def __init__(self, shape: Shape, name: str = "input") -> None:
        self._nodes: dict[str, Node] = {}
        self._shapes: dict[str, Shape] = {}
        self._notes: list[str] = []
        self.input = self.add(Input(shape), (), name)

    def add(
        self,
        op: Operator,
        inputs: Sequence[str],
        name: str,
        origin: Mapping[str, str] | None = None,
        shifts: Sequence[str] = (),
    ) -> str:
        """Add a layer under `name`, made unique by a suffix where it is taken."""
        shape = op.shape([self._shapes[i] for i in inputs])
        unique, count = name, 1
        while unique in self._nodes:
            count += 1
            unique = f"{name}:{count}"
        self._nodes[unique] = Node(unique, op, tuple(inputs), dict(origin or {}), tuple(shifts))
        self._shapes[unique] = shape
        return unique

    def shape(self, name: str) -> Shape:
        """Return the shape of a value."""
        return self._shapes[name]

    def note(self, text: str) -> None:
        """Record what was changed or assumed, once."""
        if text not in self._notes:
            self._notes.append(text)

    def finish(self, output: str) -> Network:
        """Return the network whose output is the value `output`; unused layers are dropped."""
        needed = {output, self.input}
        for node in reversed(self._nodes.values()):
            if node.name in needed:
                needed.update(node.inputs)
        if not any(self.input in self._nodes[name].inputs for name in needed) and (
            output != self.input
        ):
            raise ProblemError("the output does not depend on the input")
        nodes = tuple(node for node in self._nodes.values() if node.name in needed)
        return Network(nodes, output, tuple(self._notes))

    # Wiring -------------------------------------------------------------------------------

    def reshape(self, x: str, shape: Sequence[int], name: str) -> str:
        """Reshape, or nothing if the shape is that already."""
        shape = tuple(shape)
        return x if shape == self.shape(x) else self.add(Reshape(shape), (x,), name)

    def permute(self, x: str, axes: Sequence[int], name: str) -> str:
        """Transpose, or nothing if the order is kept."""
        axes = tuple(axes)
        return x if axes == tuple(range(len(axes))) else self.add(Permute(axes), (x,), name)

    def select(self, x: str, index: np.ndarray, name: str) -> str:
        """Pick entries by position, or reshape if all are kept in order."""
        if np.array_equal(index.ravel(), np.arange(math.prod(self.shape(x)))):
            return self.reshape(x, index.shape, name)
        return self.add(Select(index), (x,), name)

    def positions(self, x: str) -> np.ndarray:
        """Return the positions of the entries of a value, in its shape, to slice for `select`."""
        shape = self.shape(x)
        return np.arange(math.prod(shape)).reshape(shape)

    # Affine -------------------------------------------------------------------------------

    def scale(
        self,
        x: str,
        name: str,
        factor: np.ndarray | float | None = None,
        bias: np.ndarray | float | None = None,
        shifts: Sequence[str] = (),
    ) -> str:
        """Return ``factor * x + bias``; both broadcast to the shape of `x` as in NumPy."""
        wide = [None if a is None else self._broadcast(a, x, name) for a in (factor, bias)]
        return self.add(Scale(*wide), (x,), name, shifts=shifts)

    def _broadcast(self, value: np.ndarray | float, x: str, name: str) -> np.ndarray:
        array = np.asarray(value)
        if array.dtype.kind in "iu" or not isinstance(value, np.ndarray):
            array = array.astype(np.float64)
        shape = self.shape(x)
        while array.ndim > len(shape) and array.shape[0] == 1:
            array = array[0]
        if array.ndim > len(shape):
            raise ProblemError(f"a constant of shape {array.shape} does not fit a value {shape}")
        return array.reshape((1,) * (len(shape) - array.ndim) + array.shape)

    def add_up(self, inputs: Sequence[str], name: str) -> str:
        """Return the sum of values, broadcast to a common shape."""
        shape = np.broadcast_shapes(*(self.shape(x) for x in inputs))
        return self.add(Add(), [self.expand(x, shape, name) for x in inputs], name)

    def expand(self, x: str, shape: Sequence[int], name: str) -> str:
        """Return the value repeated to `shape`, as in NumPy."""
        if tuple(shape) == self.shape(x):
            return x
        return self.select(x, np.broadcast_to(self.positions(x), shape), f"{name}:expand")

    def total(self, x: str, axes: Sequence[int], mean: bool, keep: bool, name: str) -> str:
        """Return the sum or mean over axes."""
        shape = self.shape(x)
        maps = tuple(total_map(axis, shape[axis], mean) for axis in sorted(axes))
        value = self.add(Resample(maps), (x,), name) if maps else x
        rest = [n for axis, n in enumerate(shape) if axis not in axes]
        return value if keep else self.reshape(value, rest, f"{name}:squeeze")

    # Piecewise linear ---------------------------------------------------------------------

    def relu(self, x: str, name: str) -> str:
        """Return max(x, 0)."""
        return self.add(Relu(), (x,), name)

    def leaky_relu(self, x: str, slope: np.ndarray | float, name: str) -> str:
        """Return x where positive, ``slope * x`` elsewhere.

        As ``slope x + (1 - slope) relu(x)`` when all slopes lie in [0, 1], because then the
        paths through it weigh 1 together, its Lipschitz constant; otherwise as
        ``relu(x) - slope relu(-x)``.
        """
        slopes = np.asarray(slope, dtype=np.float64)
        positive = self.relu(x, f"{name}:relu")
        if slopes.min() >= 0 and slopes.max() <= 1:
            straight = self.scale(x, f"{name}:slope", factor=slopes)
            bent = self.scale(positive, f"{name}:bend", factor=1.0 - slopes)
            return self.add_up([straight, bent], name)
        turned = self.relu(self.scale(x, f"{name}:minus", factor=-1.0), f"{name}:negative")
        return self.add_up([positive, self.scale(turned, f"{name}:slope", factor=-slopes)], name)

    def absolute(self, x: str, name: str) -> str:
        """Return |x| as ``relu(x) + relu(-x)``."""
        turned = self.scale(x, f"{name}:minus", factor=-1.0)
        return self.add_up(
            [self.relu(x, f"{name}:positive"), self.relu(turned, f"{name}:negative")], name
        )

    def clip(self, x: str, low: float | None, high: float | None, name: str) -> str:
        """Return min(max(x, low), high); None leaves a side open.

        As ``high - relu(high - low - relu(x - low))``: one path through it for each path into
        it, of weight 1, where ``relu(x - low) - relu(x - high)`` would have two.
        """
        limit = float(np.finfo(np.float32).max)
        low = None if low is None or low <= -limit else float(low)
        high = None if high is None or high >= limit else float(high)
        if low is not None and high is not None and low > high:
            raise ProblemError(f"the lower bound {low} is above the upper bound {high}")
        value = x
        if low is not None:
            moved = self.scale(x, f"{name}:low", bias=-low) if low else x
            value = self.relu(moved, f"{name}:relu")
        base = low or 0.0
        if high is None:
            return self.scale(value, name, bias=base) if base else value
        below = self.scale(value, f"{name}:high", factor=-1.0, bias=high - base)
        return self.scale(self.relu(below, f"{name}:relu-high"), name, factor=-1.0, bias=high)

    def hard_sigmoid(self, x: str, alpha: float, beta: float, name: str) -> str:
        """Return ``min(max(alpha x + beta, 0), 1)``."""
        return self.clip(self.scale(x, f"{name}:line", factor=alpha, bias=beta), 0.0, 1.0, name)

    def rank(self, inputs: Sequence[str], rank: int, name: str) -> str:
        """Return the `rank`-th largest of values, entry by entry; 1 is the maximum."""
        shape = np.broadcast_shapes(*(self.shape(x) for x in inputs))
        wide = [
            self.reshape(self.expand(x, shape, name), (1, *shape), f"{name}:stack") for x in inputs
        ]
        return self.add(RankPool(0, rank), (self.add(Concat(0), wide, f"{name}:all"),), name)

    def largest(self, x: str, axes: Sequence[int], keep: bool, name: str) -> str:
        """Return the maximum over axes."""
        return self._extreme(x, axes, keep, name, smallest=False)

    def smallest(self, x: str, axes: Sequence[int], keep: bool, name: str) -> str:
        """Return the minimum over axes."""
        return self._extreme(x, axes, keep, name, smallest=True)

    def _extreme(self, x: str, axes: Sequence[int], keep: bool, name: str, smallest: bool) -> str:
        shape = self.shape(x)
        others = [axis for axis in range(len(shape)) if axis not in axes]
        rest = [shape[axis] for axis in others]
        moved = self.permute(x, [*others, *sorted(axes)], f"{name}:axes")
        count = math.prod(shape[axis] for axis in axes)
        flat = self.reshape(moved, (*rest, count), f"{name}:flat")
        value = self.add(RankPool(len(rest), count if smallest else 1), (flat,), name)
        kept = [1 if axis in axes else n for axis, n in enumerate(shape)]
        return self.reshape(value, kept, f"{name}:keep") if keep else value
