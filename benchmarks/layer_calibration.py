# %% [markdown]
# What do layers take beside the product? Linear layers and convolutions are timed without
# gradients; the prediction of `sparseopt_butterfly.layer_costs` is fitted to the times, less those
# predicted for the product, by non-negative least squares of the relative error. Its coefficients
# are printed, how the prediction compares with the times, and what it costs to choose between the
# layer and a dense one by the predictions in use.
#
#     python benchmarks/layer_calibration.py

# %%
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import nnls
from sparseopt_butterfly.kronecker_layer import dense_microseconds
from sparseopt_butterfly.lane_chain import is_lane_chain
from sparseopt_butterfly.layer_costs import (
    DENSE,
    around_counts,
    cells_counts,
    dyadic_counts,
    panel_counts,
)
from sparseopt_butterfly.panel_chain import is_panel_chain
from torch import nn

import sparseopt as so

torch.set_num_threads(1)


def times(works: list[Callable[[], object]], tries: int = 7, seconds: float = 0.003) -> list[float]:
    """Least microseconds of processor time of each, tries alternated."""
    best = [np.inf] * len(works)
    for work in works:
        work()
        work()
    for _ in range(tries):
        for i, work in enumerate(works):
            count, start = 0, time.process_time()
            while time.process_time() - start < seconds:
                work()
                count += 1
            best[i] = min(best[i], 1e6 * (time.process_time() - start) / count)
    return best


def monarch(rows: int, columns: int) -> so.Architecture:
    """Blocks as square as the sizes allow."""
    p, q = (max(k for k in range(1, int(n**0.5) + 1) if n % k == 0) for n in (rows, columns))
    return so.Architecture.monarch(rows, columns, p, columns // q)


def fit(name: str, counts: list, measured: list, product: list) -> None:
    """Print coefficients, and quantiles of predicted over measured time."""
    matrix, wanted = np.array(counts), np.array(measured)
    rest = np.maximum(wanted - np.array(product), 0.0)
    solution, _ = nnls(matrix / wanted[:, None], rest / wanted)
    ratio = (matrix @ solution + product) / wanted
    quantiles = np.quantile(ratio, [0, 0.1, 0.5, 0.9, 1]).round(2)
    print(name, tuple(float(f"{v:.3g}") for v in solution), "predicted over measured:", quantiles)


# %%
dyadic, panels, around, cells, dense, choices = [], [], [], [], [], []
for n in (64, 256, 300, 512, 600, 1024, 1200, 2048, 2400, 4096):
    chains = [monarch(n, n), monarch(n, n // 2)]
    if n & (n - 1) == 0:
        ranks = [(1, n, 16, 1), (1, 16, n, 1)]
        chains += [so.Architecture.square_dyadic(n), so.Architecture(ranks)]
    for chain in chains:
        for batch in (1, 4, 16, 64, 256):
            layer = so.KroneckerLinear(chain.shape[1], n, chain)
            linear, x = nn.Linear(chain.shape[1], n), torch.randn(batch, chain.shape[1])
            with torch.no_grad():
                found = times([lambda m=layer, x=x: m(x), lambda m=linear, x=x: m(x)])
            if is_lane_chain(chain, 4):
                dyadic.append((dyadic_counts(chain, batch, 4), found[0], 0.0))
            elif is_panel_chain(chain, 4):
                panels.append((panel_counts(chain, batch, 4), found[0], 0.0))
            else:
                product = layer.product.to_numpy().accelerated().plan(batch).microseconds
                around.append((around_counts(chain, batch, 4), found[0], product))
            before = dense_microseconds(*chain.shape, batch, "f4")
            dense.append(((1.0,), found[1], before - DENSE))
            choices.append((layer.plan(batch).microseconds, before, *found))
for channels in (16, 64, 128, 256, 512):
    for kernel in (1, 3):
        for side in (7, 14, 28, 56):
            if channels * side > 7168 or (channels > 256 and kernel == 3 and side > 14):
                continue
            options = {"kernel_size": kernel, "padding": kernel // 2}
            conv = nn.Conv2d(channels, channels, **options)
            x = torch.randn(1, channels, side, side)
            chains = [so.Architecture.square_dyadic(channels), monarch(channels, channels)]
            for chain in chains:
                layer = so.KroneckerConv2d(channels, channels, architecture=chain, **options)
                with torch.no_grad():
                    found = times([lambda m=layer, x=x: m(x), lambda m=conv, x=x: m(x)])
                whole, batch = layer.architecture, side * side
                product = layer.product.to_numpy().accelerated().plan(batch).microseconds
                cells.append((cells_counts(whole, kernel**2, batch, 4), found[0], product))
                before = dense_microseconds(*whole.shape, batch, "f4")
                dense.append(((1.0,), found[1], before - DENSE))
                choices.append((layer.plan(batch).microseconds, before, *found))
tables = {"dyadic": dyadic, "panels": panels, "around": around, "cells": cells, "dense": dense}
for name, table in tables.items():
    fit(name, *(list(column) for column in zip(*table, strict=True)))
regret = [(new if after <= before else old) / min(new, old) for after, before, new, old in choices]
print(f"{len(regret)} choices; regret 50, 90, 95, 100 %:", np.quantile(regret, [0.5, 0.9, 0.95, 1]))
slower = [new / old for after, before, new, old in choices if after <= before and new > old]
print("replaced and slower:", np.sort(slower).round(2))
