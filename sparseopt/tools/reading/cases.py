"""Values that are one of two, as a condition on a value says: what is continuous, in ReLUs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.linear import Scale
from sparseopt.tools.reading.builder import NetworkBuilder
from sparseopt.tools.reading.values import Comparison, Value, sample_constant

Operand = Value | np.ndarray
_FAR = 2.0**26
"""Values at a knot are parts of sums near 0, too, which lose half of their digits from here on."""


@dataclass(frozen=True, eq=False)
class Line:
    """``factor * x + shift``, entry by entry of a sample."""

    factor: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True, eq=False)
class Bend:
    """A value that is one line in x up to a knot, and another from there on."""

    base: str
    knot: np.ndarray
    left: Line
    right: Line


class Cases:
    """Reads conditional values into a builder, and remembers of each where it bends."""

    def __init__(self, builder: NetworkBuilder) -> None:
        self._builder = builder
        self._bends: dict[str, Bend] = {}

    def by_mask(self, mask: np.ndarray, a: Operand, b: Operand, name: str) -> Operand:
        """Return `a` where a constant mask is true, `b` elsewhere."""
        parts, shift = [], np.zeros(())
        for operand, chosen in ((a, mask), (b, ~mask)):
            if isinstance(operand, Value):
                share = chosen.astype(float)
                parts.append(self._builder.affine(operand, f"{name}:part", factor=share))
            else:
                shift = shift + np.where(chosen, operand, 0.0)
        if not parts:
            return shift
        value = parts[0] if len(parts) == 1 else self._builder.sum_of(parts, name)
        return self._builder.affine(value, f"{name}:constant", bias=shift) if shift.any() else value

    def by_comparison(self, condition: Comparison, a: Operand, b: Operand, name: str) -> Value:
        """Return `a` where a condition on x holds, `b` elsewhere.

        Both must be linear in x, or bend at another knot beyond this one, and equal at the knot.
        """
        x = condition.value
        for part in (a, b, condition.constant):
            wide = (
                part.shape
                if isinstance(part, Value)
                else np.broadcast_shapes(np.shape(part), x.shape)
            )
            if wide != x.shape:
                raise ProblemError(
                    f"one of its parts has the shape {part.shape}, what is compared has {x.shape}"
                )
        knot = sample_constant(condition.constant, x.shape).astype(np.float64)
        if not np.isfinite(knot).all():
            raise ProblemError("its condition compares with a NaN or infinity")
        if (farthest := np.abs(knot).max(initial=0.0)) >= _FAR:
            raise ProblemError(
                f"its condition compares with {farthest:g} in magnitude, so far away that what is "
                "rounded there is seen near 0"
            )
        upper, lower = (a, b) if condition.above else (b, a)
        right, left = self._near(upper, x, knot, True), self._near(lower, x, knot, False)
        if not _meet(left, right, knot):
            raise ProblemError("it jumps where its condition changes, so it is not continuous")
        if self._whole(lower, x) is None:
            if self._whole(upper, x) is None and np.any(self._bend(upper, x).knot > knot):
                raise ProblemError("both of its parts bend beyond where its condition changes")
            step = right.factor - self._beyond(lower, x, knot, True).factor
            return self._turned(lower, x, knot, step, True, name)
        if self._whole(upper, x) is None:
            step = left.factor - self._beyond(upper, x, knot, False).factor
            return self._turned(upper, x, knot, step, False, name)
        made = self._bent(x, knot, left, right, name)
        self._bends[made.name] = Bend(x.name, knot, left, right)
        return made

    def _bent(self, x: Value, knot: np.ndarray, left: Line, right: Line, name: str) -> Value:
        """Return one line up to the knot and another from there on.

        As ``left + (right - left) relu(x - knot)`` where the paths through it then weigh no more
        together than its Lipschitz constant, otherwise as a ReLU for each side.
        """
        build = self._builder
        step = right.factor - left.factor
        tight = np.abs(left.factor) + np.abs(step) <= np.maximum(
            np.abs(left.factor), np.abs(right.factor)
        )
        above = build.relu(_moved(build, x, 1.0, -knot, f"{name}:above"), f"{name}:relu")
        if np.all(tight):
            bent = _moved(build, above, step, left.shift, f"{name}:bend")
            if not np.any(left.factor):
                return bent
            straight = build.affine(x, f"{name}:slope", factor=left.factor)
            return build.sum_of([straight, bent], name)
        height = left.factor * knot + left.shift
        below = build.relu(build.affine(x, f"{name}:below", -1.0, knot), f"{name}:relu")
        parts = [
            build.affine(part, f"{name}:side", factor=factor)
            for part, factor in ((above, right.factor), (below, -left.factor))
            if np.any(factor)
        ]
        made = parts[0] if len(parts) == 1 else build.sum_of(parts, name)
        return _moved(build, made, 1.0, height, f"{name}:height")

    def _turned(
        self, value: Operand, x: Value, knot: np.ndarray, step: np.ndarray, above: bool, name: str
    ) -> Value:
        """Return a value whose slope changes by `step` on one side of the knot."""
        assert isinstance(value, Value)
        build, sign = self._builder, 1.0 if above else -1.0
        side = build.relu(build.affine(x, f"{name}:side", sign, -sign * knot), f"{name}:relu")
        bent = build.affine(side, f"{name}:bend", factor=sign * step)
        return build.sum_of([value, bent], name)

    def _whole(self, operand: Operand, x: Value) -> Line | None:
        """Return the line in x that an operand is everywhere, or None."""
        if not isinstance(operand, Value):
            shift = sample_constant(np.asarray(operand, dtype=np.float64), x.shape)
            return Line(np.zeros(()), shift)
        factor, shift = np.ones(()), np.zeros(())
        name = operand.name
        while name != x.name:
            node = self._builder.node(name)
            if not isinstance(node.op, Scale):
                return None
            own = node.op.factor if node.op.has("factor") else np.ones(())
            bias = node.op.bias if node.op.has("bias") else np.zeros(())
            shift = shift + factor * np.asarray(bias, dtype=np.float64)
            factor = factor * np.asarray(own, dtype=np.float64)
            name = node.inputs[0]
        return Line(factor, shift)

    def _near(self, operand: Operand, x: Value, knot: np.ndarray, above: bool) -> Line:
        """Return the line in x that an operand is just above the knot, or just below it."""
        found = self._whole(operand, x)
        if found is not None:
            return found
        bend = self._bend(operand, x)
        if np.all(bend.knot == knot):
            return bend.right if above else bend.left
        if np.all(bend.knot > knot):
            return bend.left
        if np.all(bend.knot < knot):
            return bend.right
        raise ProblemError("its parts bend at places on either side of where its condition changes")

    def _beyond(self, operand: Operand, x: Value, knot: np.ndarray, above: bool) -> Line:
        """Return the line in x that an operand is all the way above the knot, or below it."""
        bend = self._bend(operand, x)
        if np.all(bend.knot <= knot if above else bend.knot >= knot):
            return bend.right if above else bend.left
        raise ProblemError("it bends on the side of its condition where the other part is taken")

    def _bend(self, operand: Operand, x: Value) -> Bend:
        bend = self._bends.get(operand.name) if isinstance(operand, Value) else None
        if bend is None or bend.base != x.name:
            raise ProblemError(
                "where its condition holds and where not, it must be linear in what the condition "
                "compares with a constant"
            )
        return bend


def _meet(left: Line, right: Line, knot: np.ndarray) -> bool:
    """Whether lines meet at a knot, but for the rounding of one constant; in exact arithmetic."""
    parts = np.broadcast_arrays(left.factor, left.shift, right.factor, right.shift, knot)
    rows = np.stack([np.asarray(part, dtype=np.float64).ravel() for part in parts])
    if not np.isfinite(rows).all():
        return False
    for row in np.unique(rows, axis=1).T.tolist():
        a, b, c, d, x = map(Fraction, row)
        if abs((c - a) * x + d - b) > (abs(c * x) + abs(b) + abs(d)) / 2**52:
            return False
    return True


def _moved(
    builder: NetworkBuilder, x: Value, factor: np.ndarray | float, shift: np.ndarray, name: str
) -> Value:
    """Return ``factor * x + shift``, or x itself if it is that."""
    scale = None if np.all(np.asarray(factor) == 1.0) else factor
    move = shift if np.any(shift) else None
    return x if scale is None and move is None else builder.affine(x, name, scale, move)
