"""Path costs, honest and forged ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
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
from sparseopt.judging.rounding import below
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Input, Relu, Reshape
from sparseopt.networks.window import AxisWindow, MaxPool
from sparseopt.pathnorm import contractions, path_cost as pathcost, plain
from sparseopt.pathnorm.rounded import RoundedSums


def costs() -> dict[str, Any]:
    """Return honest costs."""
    kernel = np.random.default_rng(1).standard_normal((2, 1, 3, 3))
    small = chain((1, 4, 4), Conv(kernel), Relu(), Reshape((8,)), Dense(np.ones((2, 8))))
    return {
        "small": solved(so.PathCost(small), "path_costs"),
        "image": solved(so.PathCost(image()), "path_costs"),
        "dense": solved(so.PathCost(dense(30, 40, 50, 20)), "path_costs"),
    }


def as_judged(good: Any) -> tuple[dict[str, np.ndarray], float]:
    """Return the shares that the judge computes, and their largest relative error."""
    network = good.problem.network
    shares = {name: np.zeros(share.shape) for name, share in good.answer.shares.items()}
    ops: dict[str, Any] = {f"{node.name}.weight": node.op for node in network.nodes}

    def run(arithmetic: RoundedSums) -> float:
        errors = []
        for name, rows, part, total in pathcost.each_part(network, arithmetic):
            contractions.kernel(ops[name], shares[name])[:, rows] = arithmetic.shares(part, total)
            errors.append(arithmetic.share_error(part, total))
        return max(errors)

    return shares, plain.in_floats(network, 1, run)


def tolerance_of(allowed: float, taken: float) -> float:
    """Return the tolerance that leaves just so much once so much is taken for rounding."""
    tolerance = allowed + taken
    while below(tolerance, 2) - taken < allowed:
        tolerance = math.nextafter(tolerance, 1.0)
    assert below(tolerance, 2) - taken == allowed
    return tolerance


def costs_at_the_very_end() -> Iterator[Named]:
    """Yield the share of the only weight, which is 1, off by what is allowed to the last bit."""
    good = solved(so.PathCost(chain((1,), Dense(np.ones((1, 1))))), "path_costs")
    _, error = as_judged(good)
    shares = {"0:Dense.weight": np.full((1, 1), 1.0 + 2.0**-11)}
    tolerance = tolerance_of(2.0**-11, 2 * error)
    yield "cost-at-the-very-end", changed(good, shares=shares, tolerance=tolerance)
    yield "cost-just-known-enough", changed(good, tolerance=tolerance_of(4 * error, 0.0))
    yield "cost-just-known-enough-of-convolutions", known_enough()


def known_enough() -> Any:
    """Return costs to a tolerance that rounding in convolutions just leaves, to the last bit."""
    draw = np.random.default_rng(1).standard_normal
    deep = chain((1, 9, 9), Conv(draw((2, 1, 3, 3))), Relu(), Conv(draw((5, 2, 2, 2))))
    good = solved(so.PathCost(deep), "path_costs")
    shares, error = as_judged(good)
    return changed(good, shares=shares, tolerance=tolerance_of(4 * error, 0.0))


def honest_costs() -> Iterator[Named]:
    """Yield costs that are as far off as they may be."""
    yield from costs_at_the_very_end()
    good = costs()["dense"]
    shares, error = as_judged(good)
    off = {name: share * (1 + 1e-9 - 2.5 * error) for name, share in shares.items()}
    yield "cost-off-by-what-it-says", changed(good, shares=off)
    yield "cost-as-sharp-as-it-goes", changed(good, shares=shares, tolerance=4.4 * error)
    yield "cost-to-a-thousandth", changed(good, tolerance=1e-3)
    dead = so.PathCost(chain((1,), Dense(np.ones((1, 1))), Relu(), Dense(np.zeros((1, 1)))))
    for name, share in (("near-the-floor", 4.5e-291), ("at-the-floor", pathcost.FLOOR / 2)):
        little = {"0:Dense.weight": np.full((1, 1), share), "2:Dense.weight": np.zeros((1, 1))}
        yield f"cost-{name}", so.PathCostCertificate(dead, so.PathCosts(little))
    network = chain((1,), Dense(np.ones((1, 1))), Dense(np.ones((1, 1))))
    unused = so.PathCost(dataclasses.replace(network, output="0:Dense"))
    only = so.PathCosts({"0:Dense.weight": np.ones((1, 1))})
    yield "cost-with-an-unused-layer", so.PathCostCertificate(unused, only)
    yield "cost-of-much-that-is-alike", alike()
    yield "cost-of-tied-layers-beside-each-other", beside_each_other()


def tied(*after: Node) -> Network:
    """Return two layers of one tensor beside each other, and some that follow."""
    ones, shared = np.ones((1, 1)), {"weight": "shared"}
    sides = (Node(name, Dense(ones), ("x",), shared) for name in "ab")
    nodes = (Node("x", Input((1,))), *sides, Node("s", Add(), ("a", "b")), *after)
    return Network(nodes, nodes[-1].name)


def beside_each_other() -> so.PathCostCertificate:
    """Return costs of weights that no path meets twice, though they are of one tensor."""
    shares = {f"{name}.weight": np.full((1, 1), 0.5) for name in "ab"}
    return so.PathCostCertificate(so.PathCost(tied()), so.PathCosts(shares))


def met_twice() -> so.PathCost:
    """Ask for costs of a network with two tied tensors, the second of which a path meets twice."""
    ones, again = np.ones((1, 1)), {"weight": "again"}
    return so.PathCost(
        tied(
            Node("c", Dense(ones), ("s",), again),
            Node("d", Relu(), ("c",)),
            Node("e", Dense(ones), ("d",), again),
        )
    )


def alike() -> Any:
    """Return costs whose check would take hours if it were not for what is alike."""
    whole = [AxisWindow(axis, np.arange(2048)[None]) for axis in (1, 2)]
    nodes = (
        Node("x", Input((1, 2048, 2048))),
        Node("w", Conv(np.ones((64, 1, 1, 1))), ("x",)),
        Node("s", Add(), ("w",) * 500),
        Node("y", MaxPool(tuple(whole)), ("s",)),
    )
    shares = so.PathCosts({"w.weight": np.full((64, 1, 1, 1), 1 / 64)})
    return so.PathCostCertificate(so.PathCost(Network(nodes, "y")), shares)


def endless() -> Any:
    """Return costs whose check takes long: no two of the positions along an axis are alike."""
    size = 128
    cells = np.add.outer(np.arange(size), np.arange(size)) % size
    pool = MaxPool(tuple(AxisWindow(axis, cells) for axis in (1, 2)))
    apart = Scale(1.0 + np.arange(size * size).reshape(1, size, size))
    network = chain((1, size, size), Conv(np.ones((1, 1, 1, 1))), apart, *[pool] * 200)
    return so.PathCostCertificate(
        so.PathCost(network), so.PathCosts({"0:Conv.weight": np.ones((1, 1, 1, 1))})
    )


def lifted_cost() -> Any:
    """Return a certificate with a share that is right if 2^-1074 is put for a product below it."""
    a, b, w = 1.21 * 2.0**-600, 1.2 * 2.0**-472, 2.0**299
    hidden = Dense(np.array([[0, w], [w, w]])), Scale(np.array([1.0, b]))
    network = chain((2,), Scale(np.array([1.0, a])), *hidden, Dense(np.ones((1, 2))))
    up, down, both = (
        Fraction(w) * p for p in (Fraction(a), Fraction(b), Fraction(a) * Fraction(b))
    )
    total = up + down + both
    stored = Fraction(w) / 2**1074
    first = np.array([[0.0, float(up / total)], [float(down / total), float(stored / total)]])
    last = np.array([[float(up / total), float((down + both) / total)]])
    shares = so.PathCosts({"1:Dense.weight": first, "3:Dense.weight": last})
    return so.PathCostCertificate(so.PathCost(network), shares)


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
    yield "cost-takes-too-long", endless()
    yield "cost-of-a-tensor-met-twice", met_twice
    yield "cost-of-denormal-numbers-that-a-weight-lifts", lifted_cost()
    ones = so.PathCost(chain((2,), Dense(np.ones((2, 2)))))
    right = so.PathCosts({"0:Dense.weight": np.full((2, 2), 0.25)})
    fine = dataclasses.replace(right, tolerance=1e-17)
    yield "cost-tolerance-below-rounding", so.PathCostCertificate(ones, fine)
    flat = so.PathCosts({"0:Dense.weight": np.full((1, 1), 0.25)})
    yield "cost-one-share-for-all", so.PathCostCertificate(ones, flat)
    good = costs()["dense"]
    exactly, error = as_judged(good)
    off = {name: share * (1 + 1e-9 - error) for name, share in exactly.items()}
    yield "cost-off-by-what-rounding-hides", changed(good, shares=off)
    end = known_enough()
    less = math.nextafter(end.answer.tolerance, 0.0)
    yield "cost-not-known-enough-of-convolutions", changed(end, tolerance=less)
    yield "cost-wrong-in-an-early-piece", wrong_in_an_early_piece()
    dead = so.PathCost(chain((2,), Dense(np.array([[0.0, 1.0]])), Relu(), Dense(np.zeros((1, 1)))))
    invented = {"0:Dense.weight": np.array([[0.0, 1e-100]]), "2:Dense.weight": np.zeros((1, 1))}
    yield "cost-of-a-dead-network", so.PathCostCertificate(dead, so.PathCosts(invented))


def wrong_in_an_early_piece() -> Any:
    """Return costs with the first share of a tensor wrong that is judged in pieces."""
    good = solved(so.PathCost(chain((200,), Dense(np.ones((200, 200))))), "path_costs")
    (name, share), *_ = good.answer.shares.items()
    share = share.copy()
    share[0, 0] *= 2.0
    return changed(good, shares={name: share})
