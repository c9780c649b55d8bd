"""Large dense layers a few outputs at a time: no pass holds all their weights as float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sparseopt.networks.linear import Dense
from sparseopt.networks.operator import Operator, unchecked
from sparseopt_pathnorm.constant_images import Condensed

MOST_WEIGHTS = 1 << 22
"""Weights of a part: 32 MiB in float64."""


def is_large(op: Operator) -> bool:
    """Whether a layer has parts."""
    return isinstance(op, Dense) and op.weight.size > MOST_WEIGHTS


def placed_parts(op: Operator) -> Iterator[tuple[slice, Operator]]:
    """Yield layers whose outputs stand side by side in that of a layer, without its bias.

    With the range of those outputs along the last axis.
    """
    if not isinstance(op, Dense) or not is_large(op):
        yield slice(None), op
        return
    step = max(1, MOST_WEIGHTS // op.weight.shape[1])
    for start in range(0, len(op.weight), step):
        rows = slice(start, start + step)
        yield rows, unchecked(op, weight=op.weight[rows], bias=None)


def parts_of(op: Operator) -> Iterator[Operator]:
    """Yield the same layers alone."""
    return (part for _, part in placed_parts(op))


def joined(parts: Sequence[Condensed]) -> Condensed:
    """Return what the parts of a layer make as what the layer makes."""
    if len(parts) == 1:
        return parts[0]
    wide = [part.expanded() for part in parts]
    return wide[0].scaled(np.concatenate([part.array for part in wide], axis=-1))
