"""Path costs, honest and forged ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from path_networks import (
    INF,
    Named,
    changed,
    dense,
    image,
    solved,
)

import sparseopt as so
from sparseopt.network import (
    Conv,
    Dense,
    Relu,
    Reshape,
    chain,
)


def costs() -> dict[str, Any]:
    """Return honest costs."""
    kernel = np.random.default_rng(1).standard_normal((2, 1, 3, 3))
    small = chain((1, 4, 4), Conv(kernel), Relu(), Reshape((8,)), Dense(np.ones((2, 8))))
    return {
        "small": solved(so.PathCost(small), "path_costs"),
        "image": solved(so.PathCost(image()), "path_costs"),
        "dense": solved(so.PathCost(dense(30, 40, 50, 20)), "path_costs"),
    }


def forged_costs() -> Iterator[Named]:
    """Yield path costs with one fault each."""
    for name, good in costs().items():
        shares = good.answer.shares
        key = max(shares, key=lambda k: shares[k].size)
        largest = np.unravel_index(np.argmax(shares[key]), shares[key].shape)
        positive = np.where(shares[key] > 0, shares[key], INF)
        smallest = np.unravel_index(np.argmin(positive), shares[key].shape)
        for fault, place, factor in (
            ("largest-up", largest, 1 + 2e-9),
            ("largest-down", largest, 1 - 2e-9),
            ("largest-0", largest, 0.0),
            ("smallest-up", smallest, 1 + 2e-9),
            ("smallest-0", smallest, 0.0),
            ("one-negative", smallest, -1.0),
            ("one-nan", largest, math.nan),
            ("one-inf", largest, INF),
            ("one-0.9", smallest, 0.9 / float(shares[key][smallest])),
        ):
            edited = shares[key].copy()
            edited[place] *= factor
            yield f"cost-{name}-{fault}", changed(good, shares={**shares, key: edited})
        swapped = shares[key].ravel()[::-1].reshape(shares[key].shape)
        yield f"cost-{name}-swapped", changed(good, shares={**shares, key: swapped})
        less = {k: v for k, v in shares.items() if k != key}
        yield f"cost-{name}-one-layer-missing", changed(good, shares=less)
        yield f"cost-{name}-one-layer-more", changed(good, shares={**shares, "junk": np.ones(2)})
        yield f"cost-{name}-tolerance-0", changed(good, tolerance=0.0)
        yield f"cost-{name}-tolerance-nan", changed(good, tolerance=math.nan)
        half = {k: 0.7 * v for k, v in shares.items()}
        yield f"cost-{name}-30-percent-off-and-said", changed(good, shares=half, tolerance=0.5)
    ones = so.PathCost(chain((2,), Dense(np.ones((2, 2)))))
    right = so.PathCosts({"0:Dense.weight": np.full((2, 2), 0.25)})
    fine = dataclasses.replace(right, tolerance=1e-17)
    yield "cost-tolerance-below-rounding", so.PathCostCertificate(ones, fine)
    flat = so.PathCosts({"0:Dense.weight": np.full((1, 1), 0.25)})
    yield "cost-one-share-for-all", so.PathCostCertificate(ones, flat)
    dead = so.PathCost(chain((2,), Dense(np.array([[0.0, 1.0]])), Relu(), Dense(np.zeros((1, 1)))))
    invented = {"0:Dense.weight": np.array([[0.0, 1e-100]]), "2:Dense.weight": np.zeros((1, 1))}
    yield "cost-of-a-dead-network", so.PathCostCertificate(dead, so.PathCosts(invented))
