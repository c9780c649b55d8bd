"""Layers of other software, composed of those of networks: exact forms, added to a builder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.tools.reading.builder import NetworkBuilder
from sparseopt.tools.reading.values import Value


def batch_norm(
    builder: NetworkBuilder,
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
            raise ProblemError(f"its {what} holds a NaN or infinity; repair the model first")
    spread = variance + epsilon
    if not spread.min() > 0:
        raise ProblemError("variance + epsilon is not positive in some channel")
    tail = (1,) * max(0, len(value.shape) - 2)
    factor = weight / np.sqrt(spread)
    bias = shift - factor * mean
    return builder.affine(value, name, factor.reshape(-1, *tail), bias.reshape(-1, *tail), shifts)


def leaky_relu(
    builder: NetworkBuilder, value: Value, slope: np.ndarray | float, name: str
) -> Value:
    """Return the value where positive, ``slope`` times it elsewhere.

    As ``slope x + (1 - slope) relu(x)`` when all slopes lie in [0, 1], because then the
    paths through it weigh 1 together, its Lipschitz constant; otherwise as
    ``relu(x) - slope relu(-x)``.
    """
    if np.broadcast_shapes(value.shape, np.shape(slope)) != value.shape:
        raise ProblemError(
            f"a constant of shape {np.shape(slope)} does not fit a value {value.shape}"
        )
    builder.budget.compute(2 * np.size(slope), 0)  # before they are written out
    slopes = np.asarray(slope, dtype=np.float64)
    positive = builder.relu(value, f"{name}:relu")
    if slopes.min() >= 0 and slopes.max() <= 1:
        straight = builder.affine(value, f"{name}:slope", factor=slopes)
        bent = builder.affine(positive, f"{name}:bend", factor=1.0 - slopes)
        return builder.sum_of([straight, bent], name)
    turned = builder.affine(value, f"{name}:minus", factor=-1.0)
    turned = builder.relu(turned, f"{name}:negative")
    return builder.sum_of([positive, builder.affine(turned, f"{name}:slope", factor=-slopes)], name)


def absolute(builder: NetworkBuilder, value: Value, name: str) -> Value:
    """Return the absolute value, as ``relu(x) + relu(-x)``."""
    turned = builder.affine(value, f"{name}:minus", factor=-1.0)
    positive = builder.relu(value, f"{name}:positive")
    return builder.sum_of([positive, builder.relu(turned, f"{name}:negative")], name)


def _require_near(bounds: np.ndarray) -> None:
    """Refuse bounds that swallow every value: the network adds them, and takes them off again."""
    far = bounds[np.abs(bounds) >= 2.0**53]
    if far.size:
        raise ProblemError(
            f"its bound {float(far.flat[0]):g} is so far away that nothing is left of a value that "
            "it is added to and taken from, as the ReLU network does; leave the bound out"
        )


def clip(
    builder: NetworkBuilder,
    value: Value,
    low: float | None,
    high: float | None,
    name: str,
    largest: float = math.inf,
) -> Value:
    """Return min(max(value, low), high); None, and what is beyond `largest`, leave a side open.

    `largest` is the largest number of the source's dtype, which files write for "no bound".

    As ``high - relu(high - low - relu(x - low))``: one path through it for each path into
    it, of weight 1, where ``relu(x - low) - relu(x - high)`` would have two. Where high - low would
    be rounded, low is added first: the network's function is exactly that of the bounds.
    """
    low = None if low is None or low <= -largest else float(low)
    high = None if high is None or high >= largest else float(high)
    if low is not None and high is not None and low > high:
        raise ProblemError(f"the lower bound {low} is above the upper bound {high}")
    _require_near(np.array([b for b in (low, high) if b is not None]))
    if low is not None:
        moved = builder.affine(value, f"{name}:low", bias=-low) if low else value
        value = builder.relu(moved, f"{name}:relu")
    base = low or 0.0
    if high is None:
        return builder.affine(value, name, bias=base) if base else value
    if Fraction(high) - Fraction(base) != Fraction(high - base):
        value, base = builder.affine(value, f"{name}:above", bias=base), 0.0
    below = builder.affine(value, f"{name}:high", factor=-1.0, bias=high - base)
    return builder.affine(builder.relu(below, f"{name}:relu-high"), name, factor=-1.0, bias=high)


def soft_shrink(builder: NetworkBuilder, value: Value, width: float, name: str) -> Value:
    """Return the value moved towards 0 by `width`, and 0 within: ``relu(x - w) - relu(-x - w)``."""
    if not width >= 0:
        raise ProblemError(f"its width is {width}; it must not be negative")
    above = builder.affine(value, f"{name}:above", bias=-width)
    below = builder.affine(value, f"{name}:below", factor=-1.0, bias=-width)
    turned = builder.affine(builder.relu(below, f"{name}:relu"), f"{name}:minus", factor=-1.0)
    return builder.sum_of([builder.relu(above, f"{name}:relu"), turned], name)


def hard_sigmoid(
    builder: NetworkBuilder, value: Value, alpha: float, beta: float, name: str
) -> Value:
    """Return min(max(alpha value + beta, 0), 1)."""
    line = builder.affine(value, f"{name}:line", alpha, beta)
    return clip(builder, line, 0.0, 1.0, name)


def extreme(
    builder: NetworkBuilder,
    values: Sequence[Value],
    constants: Sequence[np.ndarray],
    largest: bool,
    name: str,
) -> Value:
    """Return the maximum or minimum of values and constants, entry by entry."""
    shape = np.broadcast_shapes(*(v.shape for v in values), *(c.shape for c in constants))
    wide = [builder.broadcast(v, shape, name) for v in values]
    result = builder.rank(wide, 1 if largest else len(wide), name)
    sign = 1.0 if largest else -1.0
    for constant in constants:
        _require_near(np.asarray(constant, dtype=np.float64))
    for constant in constants:  # max(x, c) = relu(x - c) + c
        moved = builder.affine(result, f"{name}:minus", sign, -sign * constant)
        bent = builder.relu(moved, f"{name}:relu")
        result = builder.affine(bent, f"{name}:plus", sign, constant)
    return result
