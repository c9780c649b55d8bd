"""Bounds by backward substitution: linear functions of a layer, written in terms of the input.

A row is ``a . D + a' . h' + a'' . h`` at one layer, D = h - h' being the change. It is bounded
above by replacing the values of a layer by what makes them, from the output backwards, until only
the input is left:

- a layer of weights by its equations, see `boxes`;
- a ReLU by lines above and below it, over the boxes of z, z' and d = z - z' that are already
  proved, whichever the sign of the coefficient asks for (`Lines`);
- a pool by the boxes of what it gives.

Each coefficient is rounded; what that costs is at most its rounding times the size of the value
that it multiplies, for which there is a box. These costs are added up, twice as large as they are
computed, which covers what rounding takes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sparseopt.guarantees.boxes import FAINT, Box, Values, bends, straight
from sparseopt.guarantees.layers import POOLS, Layer
from sparseopt.judging.rounding import UNIT, gamma
from sparseopt.networks.operator import Relu
from sparseopt.pathnorm.effort import EACH_LAYER, Effort

Parts = list[np.ndarray | None]
"""Coefficients of D, h' and h, each (rows, *shape of the layer); None for zeros."""

_PARTS = 4
"""Passes through a layer, about, that a row of coefficients of all three values needs."""
_ENTRIES = 1 << 22
"""Entries of coefficients at a time."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines ``slope v + start`` above and below a function of v on a box."""

    slope_above: np.ndarray
    start_above: np.ndarray
    slope_below: np.ndarray
    start_below: np.ndarray


def of_relu(z: Box) -> Lines:
    """Return lines around max(0, z): the chord above, below 0 or z.

    The ReLU is convex, so a line that is above it at both ends is above it between them.
    """
    slope, start = _chord(z)
    below = np.where(z.high > -z.low, 1.0, 0.0)
    return Lines(slope, start, below, np.zeros_like(below))


def of_change(v: Values) -> Lines:
    """Return lines in d around the change D of a ReLU.

    Above it there are the chord of max(0, d), which is convex; d + max(0, -z), and so d plus the
    largest of that; and max(0, z). That with the smaller mean is taken. Below likewise, for the
    change of signs of everything exchanges the two networks.
    """
    d, other, first = v.parts()
    above = _above(d, first)
    below = _above(Box(-d.high, -d.low), other)
    return Lines(above[0], above[1], below[0], -below[1])


def _above(d: Box, first: Box) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and start of a line in d above the change."""
    chord, start = _chord(d)
    steep, flat = np.maximum(-first.low, 0.0), np.maximum(first.high, 0.0)
    means = (np.maximum(d.high, 0.0) + np.maximum(d.low, 0.0)) / 2, (d.low + d.high) / 2 + steep
    slope = np.where(means[1] < means[0], 1.0, chord)
    start = np.where(means[1] < means[0], steep, start)
    level = flat < np.minimum(*means)
    return np.where(level, 0.0, slope), np.where(level, flat, start)


def _chord(v: Box) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and start of the chord of max(0, v); a start that rounding does not matter to.

    Whatever slope is computed, the line is above both ends.
    """
    mixed = (v.low < 0) & (v.high > 0)
    width = np.where(mixed, v.high / 2 - v.low / 2, 1.0)
    slope = np.where(mixed, np.minimum(v.high / 2 / width, 1.0), np.where(v.low >= 0, 1.0, 0.0))
    starts = [np.maximum(end, 0.0) - slope * end for end in (v.low, v.high)]
    return slope, np.maximum(*starts) + (8 * UNIT * v.size + FAINT)


@dataclass(frozen=True, eq=False)
class Substitution:
    """Proves upper bounds of rows, from the boxes of the layers before.

    Parameters
    ----------
    layers : dict of str to Layer
        In order.
    known : dict of str to Values
        The boxes at each layer before the one that rows are of, the input included.
    """

    layers: dict[str, Layer]
    known: dict[str, Values]
    effort: Effort = field(default_factory=Effort)

    def highest(
        self, name: str, factors: Sequence[float], places: np.ndarray, by_other: bool = False
    ) -> np.ndarray:
        """Return a number that a combination of D, h' and h at each of some places stays below.

        Parameters
        ----------
        name : str
            The layer.
        factors : three float
            Of D, h' and h.
        places : int array
            Entries of the layer's value, row-major.
        by_other : bool
            Whether the change of a layer is written as ``W' D + (W - W') h`` instead of
            ``W D + (W - W') h'``.

        Raises
        ------
        ProblemError
            If it would take too long, what was proved before included.
        """
        widest = max(values.change.low.size for values in self.known.values())
        step, found = max(1, _ENTRIES // widest), []
        starts, each = range(0, len(places), step), (x.nanoseconds for x in self.layers.values())
        takes = (len(places) * taken + len(starts) * EACH_LAYER for taken in each)
        self.effort.spend(_PARTS * sum(takes))
        for start in starts:
            at = places[start : start + step]  # rows of all places would fill memory
            units = np.zeros((len(at), *self.layers[name].shape))
            np.put_along_axis(units.reshape(len(at), -1), at[:, None], 1.0, axis=1)
            row = [None if factor == 0 else factor * units for factor in factors]
            found.append(_Run(self, by_other).bound(name, row))
        return np.concatenate(found)


class _Run:
    """One substitution: what is pending at each layer, the sum so far, and what rounding costs."""

    def __init__(self, given: Substitution, by_other: bool) -> None:
        self._given, self._by_other = given, by_other
        self._pending: dict[str, Parts] = {}
        self._sum = np.zeros(())
        self._cost = np.zeros(())

    def bound(self, name: str, row: Parts) -> np.ndarray:
        """Return the upper bounds of the rows."""
        self._pending[name] = row
        given = self._given
        for place, layer in reversed(given.layers.items()):
            parts = self._pending.pop(place, None)
            if parts is None:
                continue
            if isinstance(layer.op, POOLS):
                for part, box in zip(parts, given.known[place].parts(), strict=True):
                    self._replace(part, box)
                continue
            values = [given.known[source] for source in layer.sources]
            if bends(layer):
                before = straight(layer, values)
                parts = [self._bend(i, part, before) for i, part in enumerate(parts)]
            if isinstance(layer.op, Relu):
                self._give(layer.sources[0], parts)
            else:
                self._push(layer, parts, values)
        for place, parts in self._pending.items():
            self._at_input(parts, given.known[place].first)
        return np.asarray(self._sum + 2 * self._cost)

    def _replace(self, part: np.ndarray | None, box: Box) -> None:
        """Replace values by their box."""
        if part is not None:
            self._dot(np.maximum(part, 0.0), box.high)
            self._dot(np.minimum(part, 0.0), box.low)

    def _at_input(self, parts: Parts, box: Box) -> None:
        """Replace the input, which is the same for both networks and does not change."""
        self._replace(self._plus(parts[1], parts[2], box), box)

    def _dot(self, part: np.ndarray, numbers: np.ndarray) -> None:
        """Add the products of a part of the rows with some numbers, which are upper bounds."""
        self._sum = self._sum + _products(part, numbers)
        self._lost(gamma(part[0].size + 8), part, np.abs(numbers))
        self._cost = self._cost + 2 * UNIT * np.abs(self._sum) + FAINT

    def _lost(self, rounding: float, part: np.ndarray, size: np.ndarray) -> None:
        """Count what rounded coefficients cost, from them and the sizes of their values."""
        faint = FAINT * (part[0].size + float(np.broadcast_to(size, part[:1].shape).sum()))
        self._cost = self._cost + (rounding * _products(np.abs(part), size) + faint)

    def _bend(self, number: int, part: np.ndarray | None, values: Values) -> np.ndarray | None:
        """Replace what a ReLU gives by lines in what it takes."""
        if part is None:
            return None
        box = values.parts()[number]
        lines = of_relu(box) if number else of_change(values)
        more, less = np.maximum(part, 0.0), np.minimum(part, 0.0)
        self._dot(more, lines.start_above)
        self._dot(less, lines.start_below)
        found = more * lines.slope_above + less * lines.slope_below
        self._lost(4 * UNIT, found, box.size)
        return np.asarray(found)

    def _push(self, layer: Layer, parts: Parts, values: Sequence[Values]) -> None:
        """Replace what a layer gives by what it takes."""
        for part, bias in zip(parts, reversed(layer.biases), strict=True):
            if part is not None and bias.any():
                self._dot(part, bias)
        change, other, first = parts
        changes, others, firsts = zip(*(v.parts() for v in values), strict=True)
        by_other = self._by_other and layer.moves
        back = [
            self._back(layer, layer.second if by_other else layer.first, change, changes),
            self._back(layer, layer.second, other, others),
            self._back(layer, layer.first, first, firsts),
        ]
        if layer.moves:
            to, boxes = (2, firsts) if by_other else (1, others)
            moved = self._back(layer, layer.gap, change, boxes)
            back[to] = list(map(self._plus, back[to], moved, boxes))
        for name, own in zip(layer.sources, zip(*back, strict=True), strict=True):
            self._give(name, list(own))

    def _back(
        self,
        layer: Layer,
        weights: list[np.ndarray],
        part: np.ndarray | None,
        boxes: Sequence[Box],
    ) -> Parts:
        if part is None:
            return [None] * len(boxes)
        reach = layer.forward([np.abs(array) for array in weights], [box.size for box in boxes])
        self._lost(gamma(layer.terms_back), part, reach)
        sizes = sum(float(box.size.sum()) for box in boxes)
        self._cost = self._cost + layer.terms_back * FAINT * (1.0 + sizes)
        return list(layer.back(weights, part))

    def _give(self, name: str, parts: Parts) -> None:
        """Hand coefficients to a layer, beside those that it already has."""
        held, boxes = self._pending.pop(name, [None] * len(parts)), self._given.known[name].parts()
        self._pending[name] = list(map(self._plus, held, parts, boxes))

    def _plus(self, a: np.ndarray | None, b: np.ndarray | None, box: Box) -> np.ndarray | None:
        """Add coefficients of values that lie in a box."""
        if a is None or b is None:
            return a if b is None else b
        self._lost(2 * UNIT, total := np.asarray(a + b), box.size)
        return total


def _products(part: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the sum of the products with some numbers, row by row."""
    wide = np.broadcast_to(numbers, part[:1].shape).reshape(-1)
    return np.asarray(part.reshape(len(part), -1) @ wide)
