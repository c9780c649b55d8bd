"""Which sparse masks that people use can be trained on safely?

Draws the masks of two consecutive layers in the patterns of the literature: N:M, blocks, bands,
causal, grouped, butterfly, unstructured at 90 %, low-rank adapters, auto-encoders with a
bottleneck. Prints whether the products with these supports form a closed set, which solver proved
it, how long that took, and what it means for training. Takes about half a minute; ``--quick`` less.
"""

# %%
from __future__ import annotations

import argparse
import time

import numpy as np

import sparseopt as so

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="smaller layers, less time for each")
quick = parser.parse_args().quick
SIZE, LIMIT = (16, 1.0) if quick else (64, 5.0)
rng = np.random.default_rng(0)

Pair = list[np.ndarray]


# %% The masks
def n_of_m(rows: int, columns: int, n: int = 2, m: int = 4) -> np.ndarray:
    """Return a mask with n entries in every m neighbours of a row, as sparse tensor cores take."""
    order = rng.random((rows, columns // m, m)).argsort(axis=2)
    return (order < n).reshape(rows, columns)


def blocks(size: int, width: int, share: float) -> np.ndarray:
    """Return a mask of dense blocks, a share of which is kept."""
    coarse = rng.random((size // width, size // width)) < share
    return np.kron(coarse, np.ones((width, width), dtype=bool)).astype(bool)


def banded(size: int, width: int) -> np.ndarray:
    """Return a mask around the diagonal."""
    i, j = np.indices((size, size))
    return np.asarray(np.abs(i - j) <= width)


def drawn(rows: int, columns: int, density: float) -> np.ndarray:
    """Return an unstructured mask, every entry kept with the same probability."""
    return rng.random((rows, columns)) < density


def all_of(rows: int, columns: int) -> np.ndarray:
    """Return a dense mask."""
    return np.ones((rows, columns), dtype=bool)


half, narrow = SIZE // 2, SIZE // 4
lower = np.tril(all_of(SIZE, SIZE))
groups = np.kron(np.eye(4), all_of(SIZE // 4, SIZE // 4)).astype(bool)
dyadic = [pattern.support() for pattern in so.Architecture.square_dyadic(SIZE)]
masks: dict[str, Pair] = {
    "2:4, both layers": [n_of_m(SIZE, SIZE), n_of_m(SIZE, SIZE)],
    "1:4, both layers": [n_of_m(SIZE, SIZE, 1), n_of_m(SIZE, SIZE, 1)],
    "blocks of 4, a third kept": [blocks(SIZE, 4, 0.33), blocks(SIZE, 4, 0.33)],
    "banded, 3 off the diagonal": [banded(SIZE, 3), banded(SIZE, 3)],
    "causal, then causal": [lower, lower],
    "causal, then anti-causal": [lower, lower.T],
    "grouped, 4 groups": [groups, groups],
    "grouped, then dense": [groups, all_of(SIZE, SIZE)],
    "butterfly, 2 of its factors": dyadic[:2],
    "unstructured, 90 % pruned": [drawn(SIZE, SIZE, 0.1), drawn(SIZE, SIZE, 0.1)],
    "unstructured, wide hidden layer": [drawn(half, 2 * half, 0.5), drawn(2 * half, half, 0.5)],
    "adapter of rank 4, dense": [all_of(SIZE, 4), all_of(4, SIZE)],
    "adapter of rank 4, half pruned": [drawn(SIZE, 4, 0.5), drawn(4, SIZE, 0.5)],
    "auto-encoder, half pruned": [drawn(SIZE, narrow, 0.5), drawn(narrow, SIZE, 0.5)],
}

# %% Verdict, stage, time, and what it means
MEANING = {
    "closed": "limits of products are products: linear training has an optimum",
    "not_closed": "some data has no optimum: weights grow without bound as the loss falls",
    "unknown": "not decided",
}
print(f"{'masks':34} {'verdict':11} {'stage':22} {'ms':>7}  what it means")
for name, pair in masks.items():
    began = time.perf_counter()
    solution = so.solve(so.Closedness(pair), time_limit=LIMIT)
    spent = 1000 * (time.perf_counter() - began)
    value, stage = solution.answer.value, solution.solver or "-"
    words = value.replace("_", " ")
    print(f"{name:34} {words:11} {stage:22} {spent:7.0f}  {MEANING[value]}")

# %% What it costs to repair those that are not
for name in ("unstructured, 90 % pruned", "blocks of 4, a third kept"):
    problem = so.NearestClosedSupport(masks[name], keep_lines=True)
    answer = so.solve(problem, time_limit=LIMIT).answer
    count = sum(int(mask.sum()) for mask in masks[name])
    print(f"{name}: of {count} weights {answer.changes} removed, {answer.lower_bound} at least")
