"""Bounds of the change of outputs by backward substitution (CROWN, on two networks at once).

A linear function of a layer's values, of the change D, of the first network's h and the other's h',
is written in terms of the layer before, and so on to the input. A ReLU is replaced by lines: for h
and h' the chord above and 0 or the identity below; for D see `_change_lines`. Layer by layer this
narrows the intervals that the lines rest on. Source of the method for one network: Zhang et al.,
arXiv 1811.00866; for differences it is ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

import sparseopt as so
from sparseopt.networks.network import Network
from sparseopt.networks.operator import Add, Operator, Relu
from sparseopt_pathnorm import change_intervals
from sparseopt_pathnorm.change_layers import UNIT, PairLayer, Side, differ, pair_layers
from sparseopt_pathnorm.output_change import Proof, proof
from sparseopt_pathnorm.pass_memory import forward_bytes

FAINT = 2.0**-930
_ENTRIES = 1 << 22
_CHANGE = (None, 1.0, None)

Parts = list[np.ndarray | None]
"""Coefficients of h, D and h', each (rows, *shape); None for zeros."""


@dataclass(frozen=True)
class BackwardSubstitution(so.Solver[so.OutputChange]):
    """Lines around each ReLU, substituted back to the input; the tightest of the methods.

    Time O(E V), memory O(P + V^2), for a network of E edges and P parameters, with V values between
    layers: a row for each neuron before a ReLU.
    """

    def accepts(self, problem: so.OutputChange) -> so.Accepted | so.Refused:
        """Accept networks of layers; in graphs of single neurons sums and ReLUs are one."""
        fused = [n.name for n in problem.network.nodes if _is_fused(n.op)]
        if fused:
            return so.Refused(f"node {fused[0]!r} is a Neuron with a ReLU of its own, not a layer")
        return so.Accepted()

    def cost(self, problem: so.OutputChange) -> float:
        """About a pass for each neuron before a ReLU."""
        network = problem.network
        rows = sum(
            math.prod(network.shapes[node.name])
            for node in network.nodes
            if isinstance(node.op, Relu) and node.name in network.used
        )
        return 8e-2 + 5e-9 * network.edge_count * (1 + rows)

    def bytes_needed(self, problem: so.OutputChange) -> float:
        """Predict the rows of the widest layer, and the layers of both networks."""
        widest = max(math.prod(shape) for shape in problem.network.shapes.values())
        return 8.0 * forward_bytes(problem.network) + 64.0 * float(widest) ** 2

    def solve(self, problem: so.OutputChange, context: so.Context) -> Proof:
        """Return the bounds, and those of the layers that they rest on."""
        layers = pair_layers(problem.network, problem.other)
        if not differ(layers):
            nothing = np.zeros(problem.network.output_shape)
            return proof(problem, nothing, nothing, "substitution")
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            return _Solve(problem, layers, context).run()


def _is_fused(op: Operator) -> bool:
    return op.neuron_kind()[0] == "relu" and not isinstance(op, Relu)


class _Solve:
    """The layers in order: intervals, narrowed before each ReLU by rows."""

    def __init__(
        self, problem: so.OutputChange, layers: Mapping[str, PairLayer], context: so.Context
    ) -> None:
        self._problem, self._layers, self._context = problem, layers, context
        first = problem.network.nodes[0].name
        self._known = {first: change_intervals.start(problem.lower, problem.upper)}
        self._gains: dict[str, bool] = {first: False}

    def run(self) -> Proof:
        """Return the answer and its proof."""
        problem, bounds = self._problem, {}
        before = {layer.inputs[0] for layer in self._layers.values() if layer.is_relu} - {
            problem.network.nodes[0].name
        }
        for name, layer in self._layers.items():
            self._context.check_time("substituting backwards")
            given = [self._known[each] for each in layer.inputs]
            self._known[name] = span = change_intervals.through(layer, given)
            behind = any(self._gains[each] for each in layer.inputs)
            self._gains[name] = not layer.is_pool and (layer.is_relu or behind)
            if name in before:
                if behind:
                    span = self._narrowed(name, span)
                self._known[name] = span
                bounds[name] = _as_bounds(span)
        low, high = self._known[problem.network.output][:, 1].copy()
        if self._gains[problem.network.output]:
            everywhere = np.ones(low.shape, bool)
            self._improve(problem.network.output, _CHANGE, low, high, everywhere)
            self._improve(problem.network.output, (1.0, None, -1.0), low, high, everywhere)
        return proof(problem, low, high, "substitution", bounds)

    def _narrowed(self, name: str, span: np.ndarray) -> np.ndarray:
        """Return narrower intervals of the values before a ReLU, where its lines rest on them."""
        span = span.copy()
        low, high = span
        for kind in (0, 2):
            row = tuple(1.0 if each == kind else None for each in range(3))
            mixed = (low[kind] < 0) & (high[kind] > 0)
            self._improve(name, row, low[kind], high[kind], mixed)
        counts = ((high[0] > 0) | (high[2] > 0)) & ((low[1] != 0) | (high[1] != 0))
        self._improve(name, _CHANGE, low[1], high[1], counts)
        return span

    def _improve(
        self,
        name: str,
        row: tuple[float | None, ...],
        low: np.ndarray,
        high: np.ndarray,
        where: np.ndarray,
    ) -> None:
        """Narrow bounds of some entries by rows, in place."""
        places = np.flatnonzero(where)
        widest = max(span[0, 0].size for span in self._known.values())
        step = max(1, _ENTRIES // (2 * widest))
        for start in range(0, len(places), step):
            self._context.check_time("substituting backwards")
            some = places[start : start + step]
            units = np.zeros((2, len(some), low.size))
            units[0, np.arange(len(some)), some] = 1.0
            units[1, np.arange(len(some)), some] = -1.0
            units = units.reshape(2 * len(some), *low.shape)
            parts = [None if factor is None else factor * units for factor in row]
            for by_other in (False, True) if row == _CHANGE else (False,):
                rows = _Rows(self._problem.network, self._layers, self._known, by_other)
                most = rows.most(name, list(parts))
                above, below = most[: len(some)], -most[len(some) :]
                high.ravel()[some] = np.minimum(high.ravel()[some], above)
                low.ravel()[some] = np.maximum(low.ravel()[some], below)


def _as_bounds(span: np.ndarray) -> np.ndarray:
    """Return the bounds as certificates hold them: change, other network, first; low and high."""
    return np.ascontiguousarray(span[:, [1, 2, 0]].swapaxes(0, 1))


@dataclass(eq=False)
class _Rows:
    """One substitution of some rows."""

    network: Network
    layers: Mapping[str, PairLayer]
    known: Mapping[str, np.ndarray]
    by_other: bool
    total: np.ndarray = field(default_factory=lambda: np.zeros(()))
    cost: np.ndarray = field(default_factory=lambda: np.zeros(()))

    def most(self, name: str, parts: Parts) -> np.ndarray:
        """Return upper bounds of the rows."""
        pending: dict[str, Parts] = {name: parts}
        for node in reversed(self.network.nodes):
            if node.name not in pending:
                continue
            parts = pending.pop(node.name)
            low, high = self.known[node.name]
            if not node.inputs:
                both = _sum(parts[0], parts[2])
                self._concrete([both, None, None], low, high)
                continue
            layer = self.layers[node.name]
            if layer.is_pool:
                self._concrete(parts, low, high)
                continue
            if layer.is_relu:
                back = [self._bent(parts, *self.known[node.inputs[0]])]
            else:
                back = self._pushed(layer, parts)
            for before, own in zip(node.inputs, back, strict=True):
                held = pending.get(before, [None, None, None])
                pending[before] = [_sum(a, b) for a, b in zip(held, own, strict=True)]
                if before in pending:
                    self._rounded(8 * UNIT, pending[before], before)
        return np.asarray(self.total + 8 * self.cost)

    def _rounded(self, rounding: float, parts: Parts, name: str) -> None:
        low, high = self.known[name]
        sizes = np.maximum(np.abs(low), np.abs(high))
        for part, size in zip(parts, sizes, strict=True):
            if part is not None:
                self._pay(rounding, part, size)

    def _pay(self, rounding: float, part: np.ndarray, size: np.ndarray) -> None:
        """Count what rounding of a part's products with numbers may cost."""
        flat, wide = (
            np.abs(part).reshape(len(part), -1),
            np.broadcast_to(size, part.shape[1:]).ravel(),
        )
        self.cost = self.cost + (rounding * (flat @ wide) + FAINT * (flat.shape[1] + wide.sum()))

    def _dot(self, part: np.ndarray, numbers: np.ndarray) -> None:
        wide = np.broadcast_to(numbers, part.shape[1:]).ravel()
        self.total = self.total + part.reshape(len(part), -1) @ wide
        self._pay((wide.size + 16) * UNIT, part, np.abs(numbers))
        self.cost = self.cost + 2 * UNIT * np.abs(self.total)

    def _concrete(self, parts: Parts, low: np.ndarray, high: np.ndarray) -> None:
        """Replace values by their intervals."""
        for part, least, most in zip(parts, low, high, strict=True):
            if part is not None:
                self._dot(np.maximum(part, 0.0), most)
                self._dot(np.minimum(part, 0.0), least)

    def _bent(self, parts: Parts, low: np.ndarray, high: np.ndarray) -> Parts:
        """Replace what a ReLU gives by lines in what it takes."""
        found: Parts = []
        for kind, part in enumerate(parts):
            if part is None:
                found.append(None)
                continue
            lines = _change_lines(low, high) if kind == 1 else _relu_lines(low[kind], high[kind])
            more, less = np.maximum(part, 0.0), np.minimum(part, 0.0)
            self._dot(more, lines[1])
            self._dot(less, lines[3])
            found.append(more * lines[0] + less * lines[2])
        return found

    def _pushed(self, layer: PairLayer, parts: Parts) -> list[Parts]:
        """Replace what a layer gives by what it takes."""
        if layer.bias is not None:
            for part, bias in zip(parts, layer.bias[:3], strict=True):
                if part is not None:
                    self._dot(part, bias)
        first, change, other = parts
        by_other = self.by_other and layer.moves
        back: list[Parts] = [[None, None, None] for _ in layer.inputs]
        ways: list[tuple[Callable[[], Side], np.ndarray | None, int, int]] = [
            (lambda: layer.first, first, 0, 0),
            (lambda: layer.second if by_other else layer.first, change, 1, 1),
            (lambda: layer.second, other, 2, 2),
        ]
        if layer.moves:
            other_end = 0 if by_other else 2
            ways.append((lambda: layer.gap, change, other_end, other_end))
        for side, part, kind, to in ways:
            if part is None:
                continue
            if isinstance(layer.op, Add):
                pieces = [part for _ in layer.inputs]
            else:
                pieces = side().op.adjoint(part, layer.shapes)
                sizes = [np.maximum(*map(np.abs, self._kind(name, kind))) for name in layer.inputs]
                reach = side().size.propagate([size[None] for size in sizes])[0]
                self._pay(layer.room_back, part, reach)
            for own, piece in zip(back, pieces, strict=True):
                own[to] = _sum(own[to], piece)
        return back

    def _kind(self, name: str, kind: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.known[name]
        return low[kind], high[kind]


def _sum(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    if a is None or b is None:
        return a if b is None else b
    return np.asarray(a + b)


_Lines = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Slope and start of a line above, and of one below."""


def _slope(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    mixed = (low < 0) & (high > 0)
    width = np.where(mixed, high / 2 - low / 2, 1.0)
    return np.where(mixed, np.minimum(high / 2 / width, 1.0), np.where(low >= 0, 1.0, 0.0))


def _room(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.asarray(16 * UNIT * np.maximum(np.abs(low), np.abs(high)) + FAINT)


def _relu_lines(low: np.ndarray, high: np.ndarray) -> _Lines:
    """The chord above; below 0, or the identity where more of the interval is positive."""
    slope = _slope(low, high)
    above = np.maximum(np.maximum(low, 0.0) - slope * low, np.maximum(high, 0.0) - slope * high)
    below = np.where(high > -low, 1.0, 0.0)
    return slope, above + _room(low, high), below, np.zeros_like(below)


def _change_lines(low: np.ndarray, high: np.ndarray) -> _Lines:
    """Lines in d = z - z' around D = max(0, z) - max(0, z').

    Above D lie the chord of max(0, d), d + max(0, -z) and max(0, z); that with the smallest mean is
    taken. Below it those that come of exchanging the networks.
    """
    above = _above(low[1], high[1], low[0], high[0])
    below = _above(-high[1], -low[1], low[2], high[2])
    return above[0], above[1], below[0], -below[1]


def _above(
    low: np.ndarray, high: np.ndarray, own_low: np.ndarray, own_high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    chord = _slope(low, high)
    start = np.maximum(np.maximum(low, 0.0) - chord * low, np.maximum(high, 0.0) - chord * high)
    start = start + _room(low, high)
    steep, flat = np.maximum(-own_low, 0.0), np.maximum(own_high, 0.0)
    means = (np.maximum(high, 0.0) + np.maximum(low, 0.0)) / 2, (low + high) / 2 + steep
    slope = np.where(means[1] < means[0], 1.0, chord)
    start = np.where(means[1] < means[0], steep, start)
    level = flat < np.minimum(*means)
    return np.where(level, 0.0, slope), np.where(level, flat, start)
