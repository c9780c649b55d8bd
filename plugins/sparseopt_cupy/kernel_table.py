"""Which kernel computes what: instantiation, grid, arguments, bytes and flops, without a device.

All functions answer with launches in order, none where there is nothing to compute. Their choice is
a model: x is read once wherever b fits a tile, a sector of 32 bytes is never shared by two blocks,
and registers and shared memory leave room for two blocks on a multiprocessor.
"""

from __future__ import annotations

from sparseopt_cupy.kernels.factors import factor, measurable_tiles
from sparseopt_cupy.kernels.gradients import partial_entries, weight_gradient
from sparseopt_cupy.kernels.launches import Launch, Layout, Order, Pattern, Precision
from sparseopt_cupy.kernels.rank_ones import rank_one, rank_one_twice
from sparseopt_cupy.kernels.runs import fused_chain, fused_pairs, longest_run
from sparseopt_cupy.kernels.sources import OPTIONS, Kernel

__all__ = [
    "OPTIONS",
    "Kernel",
    "Launch",
    "Layout",
    "Order",
    "Pattern",
    "Precision",
    "factor",
    "fused_chain",
    "fused_pairs",
    "longest_run",
    "measurable_tiles",
    "partial_entries",
    "rank_one",
    "rank_one_twice",
    "weight_gradient",
]
