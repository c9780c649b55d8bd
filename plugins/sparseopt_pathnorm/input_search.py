"""Inputs that tell parameters apart: at random, then across the zeros of units."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.guarantees.wires import Wires

_DIGITS = 1024.0
"""Inputs are multiples of 1 / 1024 of their scale: short numbers in exact arithmetic."""
_ROUNDS = 24
_STEPS = 6
_CROSSED = 24
"""Units of a layer that are crossed at a time."""


class FloatPass:
    """Values and slopes of neurons in float64, at inputs that stand in columns."""

    def __init__(self, wires: Wires) -> None:
        self.wires = wires
        self.maps = [
            layer.matrix(wires.floats) if layer.kind == "linear" else None for layer in wires.layers
        ]

    def run(self, inputs: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the values of all neurons, and what pools take."""
        wires = self.wires
        values = np.zeros((wires.count + 1, inputs.shape[1]))
        values[: wires.inputs] = inputs
        taken = []
        for layer, linear in zip(wires.layers, self.maps, strict=True):
            won = np.empty(0, dtype=np.int64)
            if linear is not None:
                sums = linear @ values[layer.window]
                sums[layer.biased] += wires.floats[layer.bias[layer.biased], None]
                values[layer.own] = sums
            elif layer.kind == "relu":
                values[layer.own] = np.maximum(values[layer.reads[:, 0]], 0)
            else:
                cells = np.where((layer.reads < 0)[..., None], -np.inf, values[layer.reads])
                order = np.argsort(-cells, axis=1)[:, layer.rank - 1]
                won = np.take_along_axis(layer.reads, order, axis=1)
                values[layer.own] = np.take_along_axis(values, won, axis=0)
            taken.append(won)
        return values[:-1], taken

    def bounds(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of all neurons of a network without pools, and bounds of their errors.

        As for the judge, so that what is sure here is decided there without exact arithmetic.
        """
        values, _ = self.run(inputs)
        errors = np.zeros_like(values)
        for layer, linear in zip(self.wires.layers, self.maps, strict=True):
            if linear is None:
                read = layer.reads[:, 0]
                errors[layer.own] = np.where(values[read] > 0, errors[read], 0.0)
                continue
            size, held = abs(linear), errors[layer.window]
            terms = int(np.bincount(layer.heads - layer.start, minlength=1).max(initial=0))
            most = size @ (np.abs(values[layer.window]) + held)
            most[layer.biased] += np.abs(self.wires.floats[layer.bias[layer.biased], None])
            errors[layer.own] = size @ held + (2 * terms + 6) * 2.0**-53 * most
        return values, errors * (1 + 2.0**-20) + 2.0**-900

    def slopes(self, values: np.ndarray, taken: list[np.ndarray], seeds: np.ndarray) -> np.ndarray:
        """Return the slope of a neuron, one for each column, by the inputs."""
        each = np.arange(values.shape[1])
        slopes = np.zeros((self.wires.count + 1, values.shape[1]))
        slopes[seeds, each] = 1.0
        for layer, linear, won in reversed(
            list(zip(self.wires.layers, self.maps, taken, strict=True))
        ):
            own = slopes[layer.own]
            if not own.any():
                continue
            if linear is not None:
                slopes[layer.window] += linear.T @ own
            elif layer.kind == "relu":
                read = layer.reads[:, 0]
                np.add.at(slopes, read, own * (values[read] > 0))
            else:
                np.add.at(slopes, (won, np.broadcast_to(each, won.shape)), own)
        return slopes[: self.wires.inputs]


def searched(problem: so.Identifiability, context: so.Context) -> Callable[[Any], np.ndarray]:
    """Return a search that adds inputs to a `RankRun` until its rank stops growing."""

    def search(run: Any) -> np.ndarray:
        rng, shape = context.rng(), problem.network.input_shape
        outputs = math.prod(problem.network.output_shape)
        held: list[np.ndarray] = []

        def add(points: np.ndarray) -> int:
            points = points.reshape(-1, *shape)
            held.append(points)
            return int(run.add(points, problem.pattern_at(points)))

        count = -(-problem.bound // outputs)
        scale = scale_of(problem)
        add(rounded(rng.standard_normal((count, *shape)), scale))
        for factor in (1.0, 4.0, 16.0, 0.25, 64.0):
            if run.is_full:
                break
            some = max(64, count // 8)
            if not add(rounded(rng.standard_normal((some, *shape)) * factor, scale * factor)):
                break
        across = Crossing(problem, rng, scale)
        idle = 0
        for _ in range(_ROUNDS):
            if run.is_full or idle > 7:
                break
            context.check_time("searching inputs")
            points = across.points(np.concatenate(held))
            idle = idle + 1 if not len(points) or not add(points) else 0
        return np.concatenate(held)

    return search


def rounded(points: np.ndarray, scale: float) -> np.ndarray:
    """Return points times a scale, as short numbers."""
    exponent = 2.0 ** math.floor(math.log2(scale)) if scale > 0 else 1.0
    return np.round(points * scale / exponent * _DIGITS) / _DIGITS * exponent


def scale_of(problem: so.Identifiability) -> float:
    """Return how large inputs must be for the first biases to matter as much as the weights."""
    wires = problem.wires
    for layer in wires.layers:
        if layer.kind == "linear" and len(layer.heads) and len(layer.biased):
            weight = float(np.median(np.abs(wires.floats[layer.entries])))
            bias = float(np.median(np.abs(wires.floats[layer.bias[layer.biased]])))
            if weight > 0 and bias > 0 and math.isfinite(bias / weight):
                return min(max(bias / weight, 1.0), 2.0**200) if bias > weight else 1.0
            break
    return 1.0


class Crossing:
    """Points on both sides of the zeros of the units that have one sign at all points so far."""

    def __init__(self, problem: so.Identifiability, rng: np.random.Generator, scale: float) -> None:
        self._pass, self._wires, self._rng, self._scale = (
            FloatPass(problem.wires),
            problem.wires,
            rng,
            scale,
        )
        self._read = np.concatenate(
            [x.reads[:, 0] for x in problem.wires.layers if x.kind == "relu"] or [np.empty(0, int)]
        )
        self._read = np.unique(self._read[self._read >= 0])

    def points(self, seen: np.ndarray) -> np.ndarray:
        """Return further points, one a row; none if every unit has both signs."""
        flat = seen.reshape(len(seen), -1).T
        values, _ = self._pass.run(flat)
        active = values[self._read] > 0
        rare = np.minimum(active.mean(axis=1), 1 - active.mean(axis=1))
        # As many of each layer: one of few units stands for as much as one of many positions.
        layer = self._wires.layer_of[self._read]
        picked = []
        for each in np.unique(layer):
            own = np.flatnonzero(layer == each)
            order = own[np.argsort(rare[own] + 1e-9 * self._rng.random(len(own)))]
            few = order[: max(8, len(order) // 8)]
            picked.append(self._rng.choice(few, _CROSSED))
        units = self._read[np.concatenate(picked)] if picked else self._read
        if not len(units):
            return np.empty((0, *seen.shape[1:]))
        x = flat[:, self._rng.integers(flat.shape[1], size=len(units))].copy()
        # On the way half of the points cross the zero of another unit: what matters may be which
        # units are active together.
        others = np.where(
            self._rng.random(len(units)) < 0.5, units, self._rng.choice(self._read, len(units))
        )
        kept = []
        for step in range(_STEPS):
            aim = others if step < _STEPS // 2 else units
            values, taken = self._pass.run(x)
            slopes = self._pass.slopes(values, taken, aim)
            at, size = values[aim, np.arange(len(aim))], (slopes**2).sum(axis=0)
            moves = np.isfinite(size) & (size > 0)
            factor = np.where(moves, at / np.where(moves, size, 1.0), 0.0)
            x = x - slopes * factor * self._rng.uniform(1.0, 2.5, size=len(units))
            kept.append(x)
        found = rounded(np.concatenate(kept[-2:], axis=1).T / self._scale, self._scale)
        found = found[np.isfinite(found).all(axis=1)]
        return found.reshape(-1, *seen.shape[1:])
