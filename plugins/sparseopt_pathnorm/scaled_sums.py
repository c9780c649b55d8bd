"""Sums of arrays with a power of two each, in the arithmetic of the engines.

The judge adds up in `sparseopt.pathnorm.rounded`, by operations of its own.
"""

from __future__ import annotations

import math

import numpy as np

from sparseopt.judging.scaling import ScaledArray, times_power

Scaled = ScaledArray[np.ndarray]


def sizes_of(array: np.ndarray) -> Scaled:
    """Return absolute values, of floats or exact numbers, in float64; one copy of them."""
    if array.dtype == object:
        return normal(as_floats(array))
    sizes = array.astype(np.float64)
    np.abs(sizes, out=sizes)
    top = float(sizes.max(initial=0.0))
    shift = math.frexp(top)[1] if top > 0.0 else 0
    return Scaled(np.ldexp(sizes, -shift, out=sizes), shift)


def as_floats(array: np.ndarray) -> Scaled:
    """Return absolute values of exact numbers, up to rounding, under one exponent; at most 2.

    What is smaller than the largest by more than the range of float64 becomes 0.
    """
    sizes = Scaled.split(np.abs(array))
    present = sizes.array > 0
    common = int(sizes.exponent[present].max(initial=-(1 << 60))) if present.any() else 0
    return Scaled(np.ldexp(sizes.array, np.maximum(sizes.exponent - common, -4000)), common)


def normal(value: Scaled) -> Scaled:
    """Return the same numbers with the largest in [1/2, 1)."""
    top = float(value.array.max(initial=0.0))
    shift = math.frexp(top)[1] if top > 0.0 else 0
    return Scaled(times_power(value.array, -shift), value.exponent + shift)


def aligned(values: list[Scaled]) -> tuple[list[np.ndarray], int]:
    """Return the arrays under one exponent, the largest entry of all in [1/2, 1)."""
    tops = [math.frexp(float(value.array.max(initial=0.0))) for value in values]
    totals = [v.exponent + e for v, (m, e) in zip(values, tops, strict=True) if m > 0.0]
    common = max(totals, default=0)
    # Only zeros may have an exponent far above the common one.
    return [times_power(v.array, min(v.exponent - common, 1100)) for v in values], common


def added(values: list[Scaled]) -> Scaled:
    """Return the sum."""
    arrays, exponent = aligned(values)
    return Scaled(sum(arrays[1:], start=arrays[0]), exponent)
