"""Facets of small networks, each with a system of another form: its numbers decide."""

from __future__ import annotations

import numpy as np
from facets_of_skips import (
    added,
    added_to_the_input,
    added_twice,
    beside_one_of_its_entry,
    met_twice,
    of_one_weight,
)
from forgeries_identifiability_facets import BETWEEN, END, FREE, facets, one
from identifiability_claims import PRIME, Entries, dense, network, place
from laws import law, numbered

import sparseopt as so
from sparseopt.guarantees.settling import Settling
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
    yield "a unit added to what it reads", added((0,), (1,))
    yield "a unit added to the input, settled twice", added_to_the_input((0,), (0,), (1, 2))
    yield "a weight that the unit before has settled", of_one_weight()
    yield "a ReLU of an entry, and one parameter", _of_one_parameter()
    yield "two units added to what they read, twice", added_twice((8, 5, 6))
    yield "no scale settles what leads from a neuron to one of its scale", law(_leaves_a_loop)


@numbered
def forged() -> Entries:
    """Yield (line that stops it | what it is, certificate)."""
    line = "has full column rank | "
    yield line + "a sum in proportion to the neuron that it weighs", _beside_a_constant(1.0)
    yield line + "a unit whose scale a ReLU of an entry does not fix", _of_an_entry((1, 0))
    yield line + "one weight twice, beside a unit without bias", _twice_and_beside((0, 1))
    yield line + "a weight of the unit before it, too", met_twice()
    yield line + "a weight that what reads the unit makes up for", beside_one_of_its_entry()
    yield line + "the unit behind a skip first", added_to_the_input((1, 2), (0,))
    both = ("s", Add(), "x", "r")
    yield line + "a weight of a unit that is settled but for its factor", of_one_weight(both)
    yield line + "too few facets for the factors before a unit", added_twice((8, 5))
    yield line + "facets of one unit, apart", added_twice((8, 5), (6,))
    line = "the outputs settle their | "
    yield line + "a factor that one cell leaves free", added((0,), (1,), cells=(1,))
    yield line + "a factor that the other cell leaves free", added((0,), (1,), cells=(0,))


def _leaves_a_loop() -> bool:
    """Whether w is left in v (h + w h), where h and the sum have one scale, which is not used."""
    nodes = ("h", dense([[2.0]])), ("d", dense([[3.0]])), ("s", Add(), "h", "d")
    problem = so.Identifiability(network(1, *nodes, ("y", dense([[5.0]]))))
    settling = Settling(problem, np.empty((0, 2, 1)), PRIME, 0)
    settling.settled[place(problem, "h.weight[0, 0]")] = True
    settling.use_scales()
    return not settling.settled[place(problem, "d.weight[0, 0]")]


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


def _of_one_parameter() -> so.FacetCertificate:
    found = network(1, ("r", Relu()), ("y", dense([[5.0]])))
    return facets(found, [[[-1.0], [0.5]]], free={"y.weight": 1})


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
