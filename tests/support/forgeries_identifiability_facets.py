"""Facets of small networks: each condition on points, units and cells is broken once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace as changed
from functools import partial
from typing import Any

import numpy as np
from identifiability_claims import PRIME, Entries, asked, dense, network
from laws import numbered, refusal

import sparseopt as so
from sparseopt.guarantees.facets import FacetEvidence
from sparseopt.networks.linear import Scale
from sparseopt.networks.operator import Add, Concat, Relu, Reshape, Select

UNIT = ("u", dense([[2.0]], [-3.0])), ("r", Relu())
"""Becomes active at 1.5."""
END = ("y", dense([[5.0]], [1.0]))
BESIDE = ("k", dense([[3.0]]), "r"), ("o", Concat(0), "y", "k")
BETWEEN = [[[1.0], [2.0]]]
FREE = {"u.weight": 1, "u.bias": 1, "y.weight": 1, "y.bias": 1}


def facets(
    found: so.Network,
    pairs: Any,
    units: Any = ((0,),),
    cells: Any = (0,),
    free: Mapping[str, Any] = FREE,
    prime: int = PRIME,
    seed: int = 0,
) -> so.FacetCertificate:
    """Return the claim that points settle all parameters."""
    problem = asked(found, None, free)
    held = tuple(np.array(unit) for unit in units)
    proof = FacetEvidence(np.array(pairs, dtype=float), held, np.array(cells), prime, seed)
    answer = problem.verdict("identifiable", problem.bound)
    return so.FacetCertificate(problem, answer, proof)


def one(*nodes: tuple[Any, ...], size: int = 1) -> so.Network:
    """Return a network that begins with one unit."""
    return network(size, *UNIT, *(nodes or (END,)))


def honest() -> Entries:
    """Yield (name, certificate)."""
    yield "one unit", facets(one(), BETWEEN)
    yield "another modulus", facets(one(), BETWEEN, prime=65537, seed=-3)
    yield "two facets of a unit", facets(one(), [*BETWEEN, [[-1.0], [4.0]]], ((0, 1),), (1, 0))
    yield "inputs are outputs", facets(one(END, ("o", Concat(0), "x", "y")), BETWEEN)
    twice = ("o", Select(np.array([0, -1, 0])))
    yield "an output twice, and nothing", facets(one(END, twice), BETWEEN)
    held = facets(_summed(3.0), _SUMMED, ((0,),), free=_summed_free())
    yield "a unit by two ways", held
    pair = ("u", dense([[2.0], [-1.0]], [-3.0, -1.0])), ("r", Relu())
    both = network(1, *pair, ("y", dense([[5.0, 7.0]], [1.0])))
    points = [*BETWEEN, [[-0.5], [-2.0]]]
    yield "two units", facets(both, points, ((0,), (1,)), (0, 1))
    slow = ("y", dense([[5.0, 0.0]], [1.0])), ("z", Add(), "y", "x")
    some = {**FREE, "u.weight": [[1], [0]], "u.bias": [1, 0], "y.weight": [[1, 0]]}
    bias = ("u", Scale(None, np.array([-1.5])))
    first = network(1, bias, ("r", Relu()), END)
    free = {"u.bias": 1, "y.weight": 1, "y.bias": 1}
    yield "a bias before all weights", facets(first, BETWEEN, free=free)
    yield "a constant unit beside", facets(network(1, *pair, *slow), BETWEEN, free=some)
    chain = (*UNIT, ("v", dense([[1.0]], [-2.0])), ("q", Relu()), END)
    free = {**FREE, "v.bias": 1, "v.weight": 1, "k.weight": 1}
    points = [[[1.0], [2.0]], [[2.25], [3.0]]]
    both = network(1, *chain, *BESIDE)
    yield "a unit behind a unit", facets(both, points, ((0,), (1,)), (1,), free)


_SUMMED = [[[1.0, 1.0], [1.0, 4.0]]]


def _summed(factor: float) -> so.Network:
    """The unit reads w0 x0 + factor w0 x0 + w1 x1 + b."""
    return network(
        2,
        ("a", Select(np.array([0])), "x"),
        ("b", Select(np.array([1])), "x"),
        ("u", dense([[2.0]]), "a"),
        ("s", Scale(np.array([factor / 2]))),
        ("v", dense([[3.0]], [-9.5 if factor < 0 else -13.0]), "b"),
        ("c", Concat(0), "u", "s", "v"),
        ("t", dense([[1.0, 2.0, 1.0]])),
        ("r", Relu()),
        END,
    )


def _summed_free() -> dict[str, Any]:
    return {"u.weight": 1, "v.weight": 1, "v.bias": 1, "y.weight": 1, "y.bias": 1}


@numbered
def forged() -> Entries:
    """Yield (line that stops it | what it is, certificate)."""
    right = facets(one(), BETWEEN)
    for name, parts in _misfits(right.evidence):
        yield name, refusal(partial(changed, right.evidence, **parts))
    for prime in (65521, 65541, 4194319):
        line = "the modulus is a prime | "
        yield f"{line}{prime}", changed(right, evidence=changed(right.evidence, prime=prime))
    yield "no entry of a point is 0 | one is", _at_zero()
    yield from _switching()
    line = "has full column rank | "
    held = facets(_summed(-1.0), _SUMMED, ((0,),), free=_summed_free())
    yield line + "a unit by two ways that cancel", held
    pair = ("u", dense([[2.0]], [-3.0])), ("v", dense([[1.0]], [-0.25]))
    deep = network(1, *pair, ("r", Relu()), END)
    free = {**FREE, "v.weight": 1, "v.bias": 1}
    yield line + "linear layers in a row", facets(deep, [[[1.0], [2.0]]], free=free)
    chain = network(1, *UNIT, ("v", dense([[1.0]], [-2.0])), ("q", Relu()), END)
    points = [[[1.0], [2.0]], [[2.25], [3.0]]]
    yield "depend on each ReLU | behind one that is not active", facets(chain, points, free=free)
    found = network(1, *UNIT, ("v", dense([[1.0]], [-2.0])), ("q", Relu()), END, *BESIDE)
    free = {**free, "k.weight": 1}
    yield line + "the second unit first", facets(found, points, ((1,), (0,)), (1,), free)
    beside = ("c", Concat(0), "r", "x"), ("v", dense([[2.0, 1.0]])), ("q", Relu()), END, *BESIDE
    points = [*BETWEEN, [[-1.0], [1.0]]]
    free.pop("v.bias")
    found = network(1, *UNIT, *beside)
    made = facets(found, points, ((0,), (1,)), (0, 1), free)
    yield line + "a weight out of a unit that is not active", made
    yield from _first_units()
    yield from _lasting()


def _first_units() -> Entries:
    """Units of which a sum over the input is no proof."""
    line = "has full column rank | "
    pinned = {"u.weight": 1, "u.bias": 1}
    ends = facets(network(1, *UNIT), BETWEEN, free=pinned)
    yield "the outputs settle their parameters | a unit whose ReLU is an output", ends
    twice = ("s", Select(np.array([0, 0]))), ("u", dense([[1, 1]], [-3])), ("r", Relu())
    double = network(1, *twice, END)
    yield line + "two weights of one entry", facets(double, BETWEEN)
    cancelled = network(
        2,
        ("a", Select(np.array([[0], [0]])), "x"),
        ("u", dense([[2.0]])),
        ("f", Reshape((2,))),
        ("b", Select(np.array([1])), "x"),
        ("v", dense([[3.0]], [-9.5])),
        ("c", Concat(0), "f", "v"),
        ("t", dense([[1.0, -1.0, 1.0]])),
        ("r", Relu()),
        END,
    )
    yield line + "one weight twice, which cancels", facets(cancelled, _SUMMED, free=_summed_free())
    both = ("c", Concat(0), "u", "x"), ("v", dense([[1.0, 1.0]], [-9.5])), ("q", Relu()), END
    found = network(1, *UNIT, *both, *BESIDE)
    free = {**FREE, "v.weight": 1, "v.bias": 1, "k.weight": 1}
    points = [*BETWEEN, [[4.0], [5.0]]]
    made = facets(found, points, ((0,), (1,)), (0, 1), free)
    yield line + "an affine unit beside the entry that it reads", made


def _lasting() -> Entries:
    line = "the outputs settle their | "
    chain = network(1, *UNIT, ("v", dense([[1.0]], [-2.0])), ("q", Relu()), END, *BESIDE)
    free = {**FREE, "v.weight": 1, "v.bias": 1, "k.weight": 1}
    points = [*BETWEEN, [[2.25], [3.0]]]
    yield line + "a unit that is not settled", facets(chain, points, ((0,),), (1,), free)
    last = dense([[5.0, 4.0], [1.0, 2.0]], [1.0, 3.0])
    two = one(("c", Concat(0), "r", "x"), ("y", last))
    yield line + "beside two affine functions that are one", facets(two, BETWEEN, cells=(0,))
    line = "every parameter is settled | "
    yield line + "an edge within one scale", _within()


def _misfits(evidence: Any) -> Entries:
    line, pairs = "pairs must be float64, of shape | ", evidence.pairs
    yield line + "a matrix", {"pairs": pairs[:, :, 0]}
    yield line + "three points", {"pairs": pairs[:, [0, 1, 1]]}
    line = "facets are named by their numbers | "
    for name, value in (
        ("a matrix", [[0]]),
        ("none", np.zeros(0, dtype=int)),
        ("a float", [0.0]),
        ("below 0", [-1]),
        ("one too many", [1]),
    ):
        yield line + name, {"cells": np.array(value)}


def _at_zero() -> Any:
    """relu(x) - relu(-x) = x: another network has the same function, and is no rescaling."""
    found = network(
        2,
        ("w", dense([[1.0, 0], [-1.0, 0], [0, 1.0]])),
        ("r", Relu()),
        ("c", Concat(0), "r", "x"),
        ("y", dense([[2.0, 3, 5, 7, 11]])),
    )
    pairs = [[[0.0, 0], [1, 0]], [[0, 0], [-1, 0]], [[0, -1], [0, 1]], [[0, 0], [0, 1]]]
    free = {"w.weight": [[1, 0], [1, 0], [0, 1]], "y.weight": 1}
    return facets(found, pairs, ((0,), (1,), (2,)), (0, 1, 2, 3), free)


def _switching() -> Entries:
    line = "one ReLU becomes active | "
    yield line + "it was", facets(one(), [[[2.0], [1.0]]])
    yield line + "none", facets(one(), [[[2.0], [3.0]]])
    yield line + "on its kink before", facets(one(), [[[1.5], [2.0]]])
    yield line + "on its kink after", facets(one(), [[[1.0], [1.5]]])
    weight, bias = [[1.0], [2.0], [3.0], [-1.0]], [-1.25, -2.5, -3.75, 1.25]
    four = network(1, ("u", dense(weight, bias)), ("r", Relu()), ("y", dense([[5, 2, 3, 1]], [1])))
    yield line + "three, and one no more", facets(four, [[[1.0], [2.0]]])
    pair = network(
        1, ("u", dense(weight[:2], bias[:2])), ("r", Relu()), ("y", dense([[5, 2]], [1]))
    )
    yield line + "two", facets(pair, [[[1.0], [2.0]]])
    line = "the outputs depend on each ReLU that switches | "
    deaf = one(("y", dense([[0.0]], [1.0])))
    yield line + "an edge of weight 0", facets(deaf, BETWEEN)


def _within() -> Any:
    """w on an edge beside one of weight 1, between units that hold 0."""
    found = one(
        END,
        ("s", Select(np.array([-1])), "x"),
        ("h", Relu()),
        ("w", dense([[4.0]])),
        ("t", Add(), "w", "h"),
        ("z", dense([[0.0]])),
        ("o", Add(), "z", "y"),
    )
    return facets(found, BETWEEN, free={**FREE, "w.weight": 1})
