"""Facets of networks in which units are added to what they read, and layers share weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from forgeries_identifiability_facets import BETWEEN, END, FREE, facets, one
from identifiability_claims import dense, network

import sparseopt as so
from sparseopt.networks.operator import Add, Concat, Relu, Reshape, Select


def beside_one_of_its_entry() -> so.FacetCertificate:
    """The unit reads (2 + w) x, and what reads it makes up for any w."""
    found = network(
        1,
        ("k", dense([[2.0]])),
        ("c", Concat(0), "k", "x"),
        ("u", dense([[1.0, 3.0]])),
        ("r", Relu()),
        END,
    )
    free = {"u.weight": [[0, 1]], "y.weight": 1, "y.bias": 1}
    return facets(found, [[[-1.0], [1.0]]], free=free)


def added(*units: tuple[int, ...], cells: tuple[int, ...] = (0, 1)) -> so.FacetCertificate:
    """h + relu(v h + c) of one unit h."""
    found = one(("v", dense([[1.0]], [-2.0])), ("q", Relu()), ("s", Add(), "r", "q"), ("y", END[1]))
    free = {**FREE, "v.weight": 1, "v.bias": 1}
    return facets(found, [*BETWEEN, [[2.25], [3.0]]], units, cells, free)


def added_to_the_input(*units: tuple[int, ...]) -> so.FacetCertificate:
    """s + relu(v s + c) of s = x + relu(w x + b): no unit has a scale of its own."""
    found = network(
        1,
        ("u", dense([[-4.0]], [-3.0])),
        ("r", Relu()),
        ("s", Add(), "r", "x"),
        ("v", dense([[1.0]], [-4.5])),
        ("q", Relu()),
        ("t", Add(), "s", "q"),
        END,
    )
    points = [[[-0.5], [-1.0]], [[4.0], [5.0]], [[-2.0], [-3.0]]]
    return facets(found, points, units, (0, 1), {**FREE, "v.weight": 1, "v.bias": 1})


def of_one_weight(*nodes: tuple[Any, ...]) -> so.FacetCertificate:
    """Two units, w x0 + b0 and w x1 + b1, and what follows them."""
    found = network(
        2,
        ("i", Select(np.array([0]))),
        ("a", dense([[2.0]], [-3.0])),
        ("j", Select(np.array([1])), "x"),
        ("n", dense([[2.0]], [-5.0])),
        ("c", Concat(0), "a", "n"),
        ("r", Relu()),
        *nodes,
        ("y", dense([[5.0, 7.0]], [1.0])),
        a={"weight": "w"},
        n={"weight": "w"},
    )
    free = {f"{name}.{field}": 1 for name in "any" for field in ("weight", "bias")}
    pairs = [[[1.0, 1.0], [2.0, 1.0]], [[1.0, 2.0], [1.0, 3.0]]]
    return facets(found, pairs, ((0,), (1,)), (0, 1), free)


def added_twice(*third: tuple[int, ...]) -> so.FacetCertificate:
    """h + relu(v h + c) of two units, twice: the third pair's first settles the factors before."""
    found = network(
        2,
        ("u", dense([[1.0, 2.0], [3.0, -1.0]], [1.0, 2.0])),
        ("h", Relu()),
        ("v", dense([[1.0, -2.0], [-1.0, 3.0]], [1.0, -2.0])),
        ("r", Relu()),
        ("s", Add(), "h", "r"),
        ("w", dense([[2.0, -1.0], [-1.0, 1.0]], [-3.0, 1.0])),
        ("q", Relu()),
        ("t", Add(), "s", "q"),
        ("y", dense([[5.0, 2.0], [1.0, 3.0], [2.0, -7.0]], [1.0, 2.0, 3.0])),
    )
    points = [
        [[-1.607, 1.085], [1.076, 3.967]],
        [[0.28, 1.062], [0.337, 1.124]],
        [[1.884, -1.454], [1.827, -1.401]],
        [[-0.567, 0.008], [-0.565, 0.003]],
        [[-0.186, 0.267], [-0.181, 0.275]],
        [[6.889, 6.756], [6.802, 6.766]],
        [[-8.331, 3.789], [-8.346, 3.8]],
        [[12.654, 10.294], [10.716, 10.926]],
        [[0.225, 0.79], [0.236, 0.813]],
    ]
    units = ((2,), (0,), (4,), (1,), *third, (3,))
    free = {f"{name}.{field}": 1 for name in "uvwy" for field in ("weight", "bias")}
    return facets(found, points, units, (8, 7, 4, 6), free)


def met_twice() -> so.FacetCertificate:
    """The units read w w x0 + b and w w x1 + b + g x2; all scales are those of a constant.

    With 2 w, 4 b, 4 g, and a quarter of the weights out of the units, w + w w in the affine output
    is made up for by its weight and its bias.
    """
    found = network(
        3,
        ("i", Select(np.array([[0], [1]]))),
        ("a", dense([[2.0]])),
        ("n", dense([[2.0]], [-3.0])),
        ("f", Reshape((2,))),
        ("n0", Select(np.array([0]))),
        ("r", Relu()),
        ("y", dense([[5.0]])),
        ("e", Reshape((2,)), "a"),
        ("a0", Select(np.array([0]))),
        ("s", Add(), "a0", "n0"),
        ("k", dense([[3.0]], [1.0])),
        ("n1", Select(np.array([1])), "f"),
        ("x2", Select(np.array([2])), "x"),
        ("c", Concat(0), "n1", "x2"),
        ("z", dense([[1.0, 1.0]])),
        ("q", Relu()),
        ("h", dense([[7.0]])),
        ("o", Concat(0), "y", "k", "h"),
        a={"weight": "w"},
        n={"weight": "w"},
    )
    whole = ("a.weight", "n.weight", "n.bias", "y.weight", "k.weight", "k.bias", "h.weight")
    free = {**dict.fromkeys(whole, 1), "z.weight": [[0, 1]]}
    points = [[[0.5, -1, -1], [1, -1, -1]], [[-1, 0.5, 0.5], [-1, 1, 0.5]]]
    return facets(found, points, ((0,), (1,)), (0, 1), free)
