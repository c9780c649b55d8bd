"""Units that pass on what they hold, copies, and units that are 0: true claims and false ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from identifiability_claims import (
    LINE,
    POINTS,
    Entries,
    asked,
    dense,
    family,
    network,
    place,
    structural,
)
from laws import law, numbered

import sparseopt as so
from sparseopt.guarantees.families import Structure, described
from sparseopt.networks.convolution import Conv
from sparseopt.networks.operator import Add, Concat, Relu, Reshape, Select
from sparseopt.networks.window import RankPool

U = "unit 0 of 'u'"
BIASES = {"u.bias": 1, "y.bias": 1}
BESIDE = ("out", Add(), "z", "x")


def claim(
    found: so.Network, free: Mapping[str, Any], kind: str, *places: str, data: bool = True
) -> Any:
    """Return the claim of one family, from all the points or, without `data`, from any."""
    inputs = POINTS if found.input_shape == (2,) else LINE
    problem = asked(found, inputs if data else None, free)
    made = family(problem, kind, *places)
    return structural(problem, made, any_data=not data, inputs=None if data else inputs)


def linear(weight: Any = ((1, 2), (3, -1)), **more: Any) -> so.Network:
    """Return two linear layers in a row, beside a ReLU of the input."""
    first = dense(weight, [1.0, 2.0])
    ends = ("y", dense([[2.0, 5.0], [1.0, -3.0]], [1.0, 0.5]), "u"), ("r", Relu(), "x")
    return network(2, ("u", first), *ends, ("out", Concat(0), "y", "r"))


def active(*nodes: tuple[Any, ...], size: int = 2) -> so.Network:
    """Return a layer all of whose units are positive at all points, and layers behind it."""
    return network(size, ("u", dense([[1.0, 2.0]], [3.0])), *nodes)


def honest() -> Entries:
    """Yield (name, certificate)."""
    ends = ("r", Relu()), ("y", dense([[2.0]], [1.0]))
    yield "the bias of an active unit", claim(active(*ends), BIASES, "shift", U)
    yield "the bias of a linear unit", claim(linear(), BIASES, "shift", U, data=False)
    both = U, "unit 1 of 'u'"
    everything = {**BIASES, "u.weight": 1, "y.weight": 1}
    yield "linear units that mix", claim(linear(), everything, "mix", *both, data=False)
    weight, mask = [[1.0, 0.0], [3.0, 0.0]], [[1, 0], [1, 1]]
    some = {**everything, "u.weight": mask}
    yield "a weight of 0 that does not mix", claim(linear(weight), some, "mix", *both, data=False)
    for name, weights in (("twice", [[1, 2], [2, 4]]), ("half", [[2, 4], [1, 2]])):
        yield f"copies, {name} the other", _copies(weights)
    yield "a bias that falls from 0", _sink(("r", Relu()), ("z", dense([[2.0]])), BESIDE)
    for size in (1, 2, 12, 13):
        yield f"{size} units that no output hears", _deaf(size)
    yield "what moves is counted once", law(counts_are_of_what_moves)


def counts_are_of_what_moves() -> bool:
    """Whether words count a weight once, with whatever bias, and a mixture for each pair."""
    problem = asked(linear(), None, {**BIASES, "u.weight": 1, "y.weight": 1})
    structure = Structure(problem.wires, None)
    unit, other = (place(problem, f"unit {i} of 'u'") for i in (0, 1))
    weight, *biases = (place(problem, n) for n in ("y.weight[0, 0]", "y.bias[0]", "y.bias[1]"))
    constant = [(weight,), *((weight, bias) for bias in biases)]
    one, several, mixed = (
        described(structure, [so.Family(kind, places) for places in listed])
        for kind, listed in (
            ("constant", constant[:1]),
            ("constant", constant),
            ("mix", [(unit, unit), (unit, other), (unit, other)]),
        )
    )
    return one == several and mixed[0].startswith("2 ")


def _deaf(size: int) -> Any:
    first, last = dense(np.ones((size, 1)), np.ones(size)), dense(np.zeros((1, size)))
    problem = asked(network(1, ("u", first), ("z", last), BESIDE), LINE, {"u.bias": 1})
    return structural(problem, *(family(problem, "unheard", f"u.bias[{i}]") for i in range(size)))


def _sink(*nodes: tuple[Any, ...], bias: float = 0.0, weight: float = 0.0) -> Any:
    whole = network(1, ("u", dense([[weight]], [bias])), *nodes)
    return claim(whole, {"u.bias": 1}, "sink", "u.bias[0]")


def _copies(weight: Any, *, bias: Any = (0, 0), ends: Any = None, free: Any = None) -> Any:
    ends = ends or (("r", Relu()), ("y", dense([[2.0, 5.0]])))
    whole = network(2, ("u", dense(weight, bias)), *ends)
    return claim(whole, free or {"y.weight": 1}, "copies", "y.weight[0, 0]", "y.weight[0, 1]")


@numbered
def forged() -> Entries:
    """Yield (line that stops it | what it is, certificate)."""
    yield from _passing()
    yield from _mixing()
    yield from _copying()
    yield from _sinking()
    yield from _rescaling()


def _passing() -> Entries:
    line, end = "a unit passes on linearly what it holds | ", ("y", dense([[2.0]], [1.0]))
    relu = ("r", Relu())
    first = "entry 0 of the input"
    yield line + "an entry of the input", claim(active(relu, end), BIASES, "shift", first)
    yield line + "a ReLU", claim(active(relu, end), BIASES, "shift", "unit 0 of 'r'")
    alone = {"u.bias": 1}
    yield line + "its ReLU is an output", claim(active(relu), alone, "shift", U)
    yield line + "a linear output", claim(active(), alone, "shift", U)
    too = ("out", Concat(0), "y", "u")
    yield line + "an output, too", claim(active(relu, end, too), BIASES, "shift", U)
    more = ("r2", Relu(), "u"), ("z", dense([[1.0]])), ("out", Concat(0), "y", "z")
    yield line + "two ReLUs read it", claim(active(relu, end, *more), BIASES, "shift", U)
    more = ("z", dense([[1.0]]), "u"), ("out", Concat(0), "y", "z")
    yield line + "a linear layer, too", claim(active(relu, end, *more), BIASES, "shift", U)
    more = ("r2", Relu(), "r"), ("z", dense([[1.0]])), ("out", Concat(0), "y", "z")
    yield line + "a ReLU behind its own, too", claim(active(relu, end, *more), BIASES, "shift", U)
    pool = ("c", Concat(0), "u", "x"), ("p", RankPool(0, 1)), ("o", Reshape((1,))), end
    yield line + "a pool reads it", claim(active(*pool), BIASES, "shift", U)
    pair, last = dense([[1, 2], [1, -1]], [3.0, 0.5]), ("y", dense([[2, 3]], [1.0]))
    other, times = "unit 1 of 'u'", network(2, ("u", pair), relu, last)
    free = {"u.bias": [0, 1], "y.bias": 1}
    yield line + "not active at times", claim(times, free, "shift", other)

    line = "a bias that moves is a parameter of one edge | "
    rest = {"u.weight": 1, "y.weight": 1, "y.bias": 1}
    yield line + "a constant", claim(active(relu, end), rest, "shift", U)
    yield line + "none to make up", claim(active(relu, ("y", dense([[2.0]]))), alone, "shift", U)
    each = ("s", Reshape((2, 1))), ("u", dense([[1.0]], [9.0])), relu, ("f", Reshape((2,)))
    last = ("y", dense([[2.0, 3.0], [0.0, 5.0]], [1.0, 1.0]))
    free = {"u.bias": 1, "y.bias": [1, 0]}
    yield line + "two units have it", claim(network(2, *each, last), free, "shift", U)


def _mixing() -> Entries:
    both = U, "unit 1 of 'u'"
    line = "two units pass on linearly what they hold | "
    relus = network(
        2,
        ("u", dense([[1.0, 2.0], [3.0, 1.0]], [3.0, 9.0])),
        ("r", Relu()),
        ("y", dense([[2.0, 5.0], [1.0, -3.0]], [1.0, 0.5])),
    )
    everything = {**BIASES, "u.weight": 1, "y.weight": 1}
    ends = "unit 0 of 'r'", "unit 1 of 'r'"
    yield line + "ReLUs", claim(relus, everything, "mix", *ends)
    yield line + "whatever the input", claim(relus, everything, "mix", *both, data=False)

    line = "a unit has one edge to each neuron, and one from each | "
    copied = ("s", Select(np.array([0, 0, 1])))
    into = network(
        2,
        copied,
        ("u", dense([[0, 0, 2], [3, 0, 0]], [1, 1])),
        ("y", dense([[1, 2], [3, -1]], [5, 7])),
    )
    free = {"u.weight": [[0, 0, 1], [0, 1, 0]], "u.bias": [1, 0], "y.weight": 1}
    yield line + "two into the other", claim(into, free, "mix", *both)
    last = ("y", dense([[1, 2, 4], [3, 5, -1]], [5, 7]))
    out = network(2, ("u", dense([[1, 2], [3, 1]], [1, 1])), copied, last)
    free = {"u.weight": [[1, 1], [0, 0]], "u.bias": [1, 0], "y.weight": [[0, 1, 1], [0, 1, 1]]}
    yield line + "two out of it", claim(out, free, "mix", *both)
    line = "a weight that moves is a parameter of one edge | "
    yield line + "none to make up", claim(linear(), {**everything, "y.weight": 0}, "mix", *both)
    some = {**everything, "u.weight": [[1, 0], [1, 1]]}
    yield line + "one is a constant", claim(linear(), some, "mix", *both)


def _copying() -> Entries:
    line = "two weights leave copies of one unit | "
    yield line + "another ratio", _copies([[1, 2], [1, 3]], bias=(3, 3))
    yield line + "another bias", _copies([[1, 2], [2, 4]], bias=(3, 3))
    yield line + "the negative", _copies([[1, 2], [-1, -2]])
    yield line + "linear units", _copies([[1, 2], [2, 4]], ends=(("y", dense([[2.0, 5.0]])),))
    cells = ("s", Select(np.array([[0, 2], [1, 3]]))), ("p", RankPool(1, 1))
    units = [[1, 2], [2, 4], [1, 1], [0, 1]]
    yield (
        line + "pools that read copies first",
        _copies(units, bias=(0, 0, 1, 2), ends=(*cells, ("y", dense([[2.0, 5.0]])))),
    )
    whole = network(2, ("y", dense([[1, 2], [1, 2]], [3, 3])), ("r", Relu()))
    free = {"y.weight": 1, "y.bias": 1}
    places = "y.weight[0, 0]", "y.weight[0, 1]"
    yield line + "entries of the input", claim(whole, free, "copies", *places)
    yield line + "a weight and a bias", claim(whole, free, "copies", "y.weight[0, 0]", "y.bias[0]")
    convolved = network(
        1,
        ("u", dense([[1], [2]], [4, 8])),
        ("r", Relu()),
        ("s", Reshape((1, 2))),
        ("y", Conv(np.array([[[3.0, 5.0]]]), padding=((0, 1),))),
    )
    places = "y.weight[0, 0, 0]", "y.weight[0, 0, 1]"
    free = {"y.weight": 1}
    yield line + "one weight has more edges", claim(convolved, free, "copies", *places)
    yield line + "the other has more edges", claim(convolved, free, "copies", *places[::-1])


def _sinking() -> Entries:
    relu, last = ("r", Relu()), ("z", dense([[2.0]]))
    line = "only ReLUs read a unit that is 0 | "
    yield line + "a unit that an input feeds", _sink(relu, last, BESIDE, weight=1.0)
    yield line + "a bias of 3", _sink(relu, last, BESIDE, bias=3.0)
    yield line + "a unit that is an output", _sink(relu, ("out", Concat(0), "u", "r"))
    yield line + "a unit that is the output", _sink()
    more = ("v", dense([[3.0]]), "u"), ("out", Concat(0), "z", "v")
    yield line + "a linear layer reads it, too", _sink(relu, last, *more)
    pool = ("c", Concat(0), "u", "x"), ("p", RankPool(0, 2)), ("z", Reshape((1,)))
    yield line + "a pool reads it", _sink(*pool)
    line = "a bias of one unit falls | "
    whole = network(1, ("u", dense([[0.0]])), relu, last, BESIDE)
    yield line + "a weight", claim(whole, {"u.weight": 1}, "sink", "u.weight[0, 0]")
    each = ("s", Reshape((2, 1))), ("u", dense([[0.0]], [0.0])), ("f", Reshape((2,)))
    parts = ("a", Select(np.array([0])), "f"), relu, ("b", Select(np.array([1])), "f")
    both = network(2, *each, *parts, ("c", Concat(0), "r", "b"), ("out", dense([[1, 3]])))
    yield line + "two units have it", claim(both, {"u.bias": 1}, "sink", "u.bias[0]")


def _rescaling() -> Entries:
    """What moves is a rescaling of a unit h that no output hears."""
    line, deaf = "a direction is no rescaling | ", (("z", dense([[0.0]])), BESIDE)
    beside = ("out", Add(), "z", "s"), ("s", dense([[1.0, 1.0]]), "x")
    wide = (deaf[0], beside[1], beside[0])
    made = network(1, ("u", dense([[0.0]], [1.5])), ("h", dense([[2.0]], [-3.0])), *deaf)
    yield line + "a shift", claim(made, {"u.bias": 1, "h.bias": 1}, "shift", U)
    pair = ("u", dense([[1, 2], [2, 4]]))
    made = network(2, pair, ("h", dense([[-2.0, 1.0]])), *wide)
    free = {"u.weight": 1, "h.weight": 1}
    yield line + "a mix", claim(made, free, "mix", U, "unit 1 of 'u'")
    made = network(2, pair, ("r", Relu()), ("h", dense([[-2.0, 1.0]])), *wide)
    yield line + "copies", claim(made, free, "copies", "h.weight[0, 0]", "h.weight[0, 1]")
    made = network(1, ("u", dense([[0.0]], [2.0])), ("h", dense([[1.0]], [-2.0])), *deaf)
    free = {"h.weight": 1, "h.bias": 1}
    yield line + "a constant", claim(made, free, "constant", "h.weight[0, 0]", "h.bias[0]")
