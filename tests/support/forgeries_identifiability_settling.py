"""Facets of small networks, each with a system of another form: its numbers decide."""

from __future__ import annotations

import numpy as np
from forgeries_identifiability_facets import BETWEEN, END, FREE, facets, one
from identifiability_claims import Entries, dense, network
from laws import numbered

import sparseopt as so
from sparseopt.networks.linear import Scale
from sparseopt.networks.network import Network
from sparseopt.networks.operator import Add, Concat, Relu, Reshape, Select


def honest() -> Entries:
    """Yield (name, certificate)."""
    yield "a constant in the sum that a unit reads", _beside_a_constant(2.0)
    yield "a weight of 0 that one facet of two sees", _seen_once()
    yield "an output of many entries", _wide(40)
    yield "a ReLU of an entry beside a unit", _of_an_entry((0,), (1,))
    yield "a unit with a ReLU of an entry", _of_an_entry((0, 1))
    yield "a bias behind a ReLU of an entry", _of_an_entry((1, 0), weight=0)
    yield "a unit that is added to what it reads", _added((0,), (1,))
    yield "two units, added twice", _added_twice((8, 5, 6))


@numbered
def forged() -> Entries:
    """Yield (line that stops it | what it is, certificate)."""
    line = "has full column rank | "
    yield line + "a sum in proportion to the neuron that it weighs", _beside_a_constant(1.0)
    yield line + "a unit whose scale a ReLU of an entry does not fix", _of_an_entry((1, 0))
    yield line + "one weight twice, beside a unit without bias", _twice_and_beside((0, 1))
    yield line + "a weight beside a constant one of one entry", _beside_one_of_its_entry()
    yield line + "a weight that is met twice on the way to a unit", _met_twice()
    yield line + "two facets for factors of two units", _added_twice((8, 5))
    yield line + "a unit behind a factor, beside it", _added_twice((8, 5), (6,))
    line = "the outputs settle their parameters | "
    yield line + "a factor beside the only cell that shows it", _added((0,), (1,), cells=(1,))
    yield line + "a factor that no cell shows", _added((0,), (1,), cells=(0,))


def _beside_a_constant(factor: float) -> so.FacetCertificate:
    """The unit reads w (x + 1) + factor x + 1, in which w is free and 1."""
    found = network(
        1,
        ("h", Scale(None, np.array([1.0])), "x"),
        ("c", Concat(0), "x", "h"),
        ("u", dense([[factor, 1.0]], [1.0])),
        ("r", Relu()),
        END,
    )
    free = {"u.weight": [[0, 1]], "y.weight": 1, "y.bias": 1}
    return facets(found, [[[-2.0], [0.5]]], free=free)


def _seen_once() -> so.FacetCertificate:
    """The last unit reads r0 - r1 + 0 r2; r2 is active beside the first of its two facets."""
    found = network(
        2,
        ("u", dense([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [-1.0, -1.0, -10.0])),
        ("r", Relu()),
        ("v", dense([[1.0, -1.0, 0.0]])),
        ("q", Relu()),
        ("c", Concat(0), "r", "q"),
        ("y", dense([[5.0, 2.0, 3.0, 7.0]], [1.0])),
    )
    first = [[[0.5, 3.0], [1.5, 3.0]], [[3.0, 0.5], [3.0, 1.5]], [[8.0, 1.5], [9.0, 1.5]]]
    last = [[[8.0, 8.5], [8.0, 7.5]], [[3.0, 3.5], [3.0, 2.5]]]
    u = {"u.weight": [[1, 0], [0, 1], [1, 1]], "u.bias": 1}
    free = {**u, "v.weight": 1, "y.weight": 1, "y.bias": 1}
    cells = range(5)
    return facets(found, [*first, *last], ((0,), (1,), (2,), (3, 4)), [*cells], free)


def _wide(size: int) -> so.FacetCertificate:
    """A unit, and beside it a sum over the input."""
    found = network(
        size,
        ("u", dense([[1.0] * size], [-1.5])),
        ("r", Relu()),
        END,
        ("k", dense([[3.0] * size], [2.0]), "x"),
        ("o", Concat(0), "y", "k"),
    )
    free = {**FREE, "k.weight": 1, "k.bias": 1}
    pair = np.full((1, 2, size), 1 / size)
    pair[:, 1] *= 2
    return facets(found, pair, free=free)


def _of_an_entry(*units: tuple[int, ...], weight: int = 1) -> so.FacetCertificate:
    """A ReLU that reads an entry of the input has nothing to settle."""
    both = one(END, ("h", Relu(), "x"), ("k", dense([[3.0]])), ("o", Concat(0), "y", "k"))
    points = [*BETWEEN, [[-1.0], [0.5]]]
    return facets(both, points, units, (0, 1), {**FREE, "u.weight": weight, "k.weight": 1})


def _twice_and_beside(*units: tuple[int, ...]) -> so.FacetCertificate:
    """Two units, w x0 + w x0 and v x1, in one system: a rescaling of the first only is fixed."""
    return facets(
        _two_units(),
        [[[-1.0, 1.0], [1.0, 1.0]], [[1.0, -1.0], [1.0, 1.0]]],
        units,
        (0, 1),
        {"u.weight": 1, "v.weight": 1, "y.weight": 1, "y.bias": 1},
    )


def _two_units() -> Network:
    return network(
        2,
        ("a", Select(np.array([[0], [0]])), "x"),
        ("u", dense([[2.0]])),
        ("f", Reshape((2,))),
        ("t", dense([[1.0, 1.0]])),
        ("b", Select(np.array([1])), "x"),
        ("v", dense([[3.0]])),
        ("c", Concat(0), "t", "v"),
        ("r", Relu()),
        ("y", dense([[5.0, 7.0]], [1.0])),
    )


def _beside_one_of_its_entry() -> so.FacetCertificate:
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


def _added(*units: tuple[int, ...], cells: tuple[int, ...] = (0, 1)) -> so.FacetCertificate:
    """h + relu(v h + c) of one unit h."""
    found = one(("v", dense([[1.0]], [-2.0])), ("q", Relu()), ("s", Add(), "r", "q"), ("y", END[1]))
    free = {**FREE, "v.weight": 1, "v.bias": 1}
    return facets(found, [*BETWEEN, [[2.25], [3.0]]], units, cells, free)


def _added_twice(*third: tuple[int, ...]) -> so.FacetCertificate:
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


def _met_twice() -> so.FacetCertificate:
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
