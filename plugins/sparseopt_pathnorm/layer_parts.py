"""Large dense layers a few outputs at a time, so that no pass holds all their weights as float64."""

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


def rows_of(op: Dense) -> Iterator[slice]:
    """Yield the outputs of the parts of a dense layer."""
    step = max(1, MOST_WEIGHTS // op.weight.shape[1])
    return (slice(start, start + step) for start in range(0, len(op.weight), step))


def parts_of(op: Operator) -> Iterator[Operator]:
    """Yield layers whose outputs stand side by side in that of a layer, without its bias."""
    if not isinstance(op, Dense) or not is_large(op):
        yield op
        return
    for rows in rows_of(op):
        yield unchecked(op, weight=op.weight[rows], bias=None)


def joined(parts: Sequence[Condensed]) -> Condensed:
    """Return what the parts of a layer make as what the layer makes."""
    if len(parts) == 1:
        return parts[0]
    wide = [part.expanded() for part in parts]
    return wide[0].scaled(np.concatenate([part.array for part in wide], axis=-1))
