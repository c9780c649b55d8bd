"""Predicted time of torch layers without gradients, one thread: the product and what is around it.

The coefficients are microseconds per count, measured by ``benchmarks/layer_calibration.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import sparseopt as so
from sparseopt_butterfly.cells import strips_of

# Of dyadic chains along rows: per call, per KiB of operand and result, per KiB of these and factor,
# per KiB of values.
_DYADIC = (14.7, 0.0, 0.0108, 0.0257)
# Of chains with larger blocks along rows: per call, per KiB of operand and result, per KiB of
# products of values with entries, per KiB of values.
_PANELS = (14.1, 0.0, 0.0058, 0.0270)
# Around another product: per call, per KiB of operand and result, per KiB of values.
_AROUND = (24.5, 0.171, 0.0728)
# Around the product of a convolution: per call, per strip, per position of each strip, per KiB of
# cells that are copied, per KiB of the result, per KiB of values.
_CELLS = (72.1, 0.0, 12.8, 0.0851, 0.0836, 0.55)
# Of a dense layer beside its product: per call.
DENSE = 10.6


def dyadic_counts(architecture: so.Architecture, batch: int, itemsize: int) -> tuple[float, ...]:
    """Return what the time of a dyadic chain along rows is linear in."""
    vectors = sum(architecture.shape) * batch * itemsize / 1024
    values = architecture.nnz * itemsize / 1024
    return 1.0, vectors, vectors * len(architecture), values


def panel_counts(architecture: so.Architecture, batch: int, itemsize: int) -> tuple[float, ...]:
    """Return what the time of a chain with larger blocks along rows is linear in."""
    vectors = sum(architecture.shape) * batch * itemsize / 1024
    values = architecture.nnz * itemsize / 1024
    return 1.0, vectors, values * batch, values


def around_counts(architecture: so.Architecture, batch: int, itemsize: int) -> tuple[float, ...]:
    """Return what the time around a product of a linear layer is linear in."""
    vectors = sum(architecture.shape) * batch * itemsize / 1024
    return 1.0, vectors, architecture.nnz * itemsize / 1024


def cells_counts(
    architecture: so.Architecture, positions: int, batch: int, itemsize: int
) -> tuple[float, ...]:
    """Return what the time around a product of a convolution is linear in.

    The number of cells is taken for that of one square image.
    """
    rows, columns = architecture.shape
    side = max(1, round(batch**0.5))
    _, high = strips_of((side, side), columns, itemsize)
    strips = 1 if positions == 1 else -(-side // min(high, side))
    copied = 0.0 if positions == 1 else columns * batch * itemsize / 1024
    result = rows * batch * itemsize / 1024
    values = architecture.nnz * itemsize / 1024
    return 1.0, strips, 0.0 if positions == 1 else strips * positions, copied, result, values


def rows_microseconds(architecture: so.Architecture, batch: int, itemsize: int) -> float:
    """Return the predicted time of a linear layer whose chain multiplies along rows."""
    if all(p.b == p.c == 2 for p in architecture):
        return _sum(_DYADIC, dyadic_counts(architecture, batch, itemsize))
    return _sum(_PANELS, panel_counts(architecture, batch, itemsize))


def around_microseconds(architecture: so.Architecture, batch: int, itemsize: int) -> float:
    """Return the predicted time of what a linear layer does beside its product."""
    return _sum(_AROUND, around_counts(architecture, batch, itemsize))


def cells_microseconds(
    architecture: so.Architecture, positions: int, batch: int, itemsize: int
) -> float:
    """Return the predicted time of what a convolution does beside its product."""
    return _sum(_CELLS, cells_counts(architecture, positions, batch, itemsize))


def _sum(weights: Sequence[float], counts: Sequence[float]) -> float:
    return sum(weight * count for weight, count in zip(weights, counts, strict=True))
