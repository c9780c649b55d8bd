"""What the figures are made of: residues, scales, signs, parameters and edges.

Most entries are laws: derivatives of small networks that are known, one kind of layer each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace as changed
from fractions import Fraction
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
from identifiability_claims import (
    LINE,
    POINTS,
    PRIME,
    Entries,
    asked,
    dense,
    evidence,
    family,
    network,
    pruned,
    second,
    structural,
)
from laws import law, numbered, refusal

import sparseopt as so
from sparseopt.guarantees import orbit, patterns
from sparseopt.guarantees.modular import LinearMap, Slopes, is_invertible, reduced, residues
from sparseopt.guarantees.orbit import Scales, _components
from sparseopt.guarantees.wires import Layer
from sparseopt.networks.linear import Dense, Neuron, Scale
from sparseopt.networks.operator import Concat, Relu, Reshape, Select
from sparseopt.networks.window import AxisMap, AxisWindow, MaxPool, RankPool, Resample

ONE = Reshape((1,))
POOL = ("p", RankPool(0, 1)), ("a", ONE)
W = {"y.weight": 1}
Y = ("y", dense([[5.0]], [1.0]))


def ranked(problem: so.Identifiability, *rows: tuple[int, int], prime: int = PRIME) -> Any:
    """Return the claim that all parameters are identifiable, by rows; without rows, of rank 0."""
    places = np.array(rows, dtype=int).reshape(-1, 2)
    held = evidence(problem, rows=(places, np.arange(len(rows))))
    answer = problem.verdict("identifiable" if rows else "unknown", len(rows))
    return so.JacobianRankCertificate(problem, answer, changed(held, prime=prime))


def derivative(found: so.Network, inputs: Any, free: Mapping[str, Any]) -> list[list[int]]:
    """Return the derivative, a row for each pair of an input and an output."""
    problem = asked(found, inputs, free)
    assert problem.inputs is not None
    assert not problem.excluded
    made = Slopes(problem.wires, problem.flat(problem.inputs), problem.pattern, PRIME)
    samples, outputs = np.indices((len(inputs), problem.wires.outputs.size)).reshape(2, -1)
    rows = made.rows(samples, outputs)
    found_rows: list[list[int]] = np.where(rows > PRIME // 2, rows - PRIME, rows).tolist()
    return found_rows


def gives(
    rows: list[list[int]], inputs: Any, free: Mapping[str, Any], *nodes: tuple[Any, ...]
) -> Any:
    """Return the law that a network has a derivative."""
    found = network(np.shape(inputs)[1:], *nodes)
    return law(lambda: derivative(found, inputs, free) == rows)


def excluded(
    units: Mapping[int, str], inputs: Any, free: Mapping[str, Any], *nodes: tuple[Any, ...]
) -> Any:
    """Return the law that these inputs are not regular, by these units."""
    found = network(np.shape(inputs)[1:], *nodes)
    return law(lambda: dict(asked(found, inputs, free).excluded) == units)


def honest() -> Entries:
    """Yield (name, certificate or law)."""
    yield from _residues()
    yield from _scales()
    yield from _signs()
    yield from _expressions()
    yield from _parameters()
    yield from _edges()


@numbered
def forged() -> Entries:
    """Yield (line that stops it | what it is, certificate)."""
    yield from _false_residues()
    yield from _false_scales()
    yield from _false_signs()
    yield from _false_parameters()
    yield from _false_problems()


def _thirds() -> so.Identifiability:
    """A sum of two units that weigh the input by 1/3, 1 and by 1, 3."""
    weight = np.array([[Fraction(1, 3), Fraction(1)], [Fraction(1), Fraction(3)]])
    return asked(network(2, ("u", Dense(weight)), ("y", dense([[2.0, 5.0]]))), np.eye(2), W)


def _many(size: int) -> so.Identifiability:
    inputs = np.eye(size) + 1
    return asked(network(size, ("y", dense([[1.0] * size]))), inputs, W)


def _line(size: int) -> Layer:
    """Return a layer of one neuron that every fifth of the neurons before it leads to."""
    none, start = np.zeros(size, dtype=np.int64), 5 * size
    tails, reads = 5 * np.arange(size), np.empty((0, 0), dtype=np.int64)
    return Layer("y", "linear", start, none + start, tails, none, np.full(1, -1), reads)


def _mapped(size: int) -> LinearMap:
    return LinearMap(_line(size), np.ones(1, dtype=np.int64), PRIME)


def _residues() -> Entries:
    third = np.array([Fraction(1, 3)])
    yield "a third, three times", law(lambda: residues(third, PRIME) * 3 % PRIME == 1)
    yield "a matrix of two blocks", law(lambda: is_invertible(np.eye(66) + 1, PRIME))
    for prime in (PRIME, 4194287):
        multiples = np.arange(2.0**12) * prime
        yield f"multiples of {prime}", law(partial(_are_0, multiples, prime))
    yield "as many edges as are summed", law(lambda: _mapped(1 << 18))
    yield "an entry of the input wins a pool", gives([[3]], [[3, 1]], W, *POOL, Y)
    yield "nothing wins a pool", gives([[0]], [[0, 0]], W, *POOL, Y)


def _are_0(numbers: np.ndarray, prime: int) -> bool:
    return not reduced(numbers.copy(), prime).any()


def _false_residues() -> Entries:
    line = "independent rows modulo | "
    yield line + "units in proportion, by thirds", ranked(_thirds(), (0, 0), (1, 0))
    first = range(65)
    yield line + "the last row once more", ranked(_many(66), *((i, 0) for i in first), (0, 0))
    sums = ("y", dense([[5.0, 2.0]], [1.0]))
    both = asked(network(2, sums, ("o", Concat(0), "x", "y")), POINTS, {**W, "y.bias": 1})
    rows = (0, 0), (1, 2), (3, 2)
    yield line + "an output that is an entry of the input", ranked(both, *rows)
    line = "the modulus is a prime | "
    right = asked(network(1, Y), LINE, W)
    for prime, words in ((65542, "2 times 32771"), (66049, "257 times 257")):
        yield line + words, ranked(right, (0, 0), prime=prime)
    part = np.array([Fraction(1, PRIME)])
    yield "divides the denominator of | a weight", refusal(lambda: residues(part, PRIME))
    yield "more than are summed | one edge too many", refusal(lambda: _mapped((1 << 18) + 1))


def _dimension(equations: Any, *ends: tuple[int, int], size: int = 5) -> int:
    heads, tails = np.array(ends, dtype=int).reshape(-1, 2).T
    held = Scales(np.arange(size), heads, tails, equations)
    return held.dimension(np.ones(len(heads), dtype=bool))


def _unknown(size: int, most: int) -> int:
    with patch.object(orbit, "_MOST", most):
        return _dimension([(i, i + 1, i + 2, i + 3) for i in range(0, size, 4)], size=size)


def _scales() -> Entries:
    equation = [(1, 2, 3, 4)]
    yield (
        "two differences of scales that are equal",
        law(lambda: _dimension(equation, (1, 2), (3, 4)) == 1),
    )
    yield (
        "scales beside an equation",
        law(lambda: _dimension(equation, (1, 0)) == _dimension(equation, (0, 1)) == 1),
    )
    many = np.zeros((2, 256), dtype=int)
    many[1] = 1
    yield "as many edges as a byte counts", law(lambda: _components(many, 2)[0] == 1)
    chain = ("u", dense([[2.0]])), ("r", Relu()), ("v", dense([[2.0]])), ("q", Relu()), Y
    shared = {"u": {"weight": "w"}, "v": {"weight": "w"}}
    twice = network(1, *chain, **shared)
    yield "one weight twice in a row", law(lambda: so.Identifiability(twice).orbit == 1)
    yield "as many unknown scales as are solved for", law(lambda: _unknown(8, 8) == 0)
    pooled = network(1, ("u", dense([[1.0], [5.0]])), ("r", Relu()), *POOL, Y)
    smaller = second(asked(pooled, LINE[:3], {"u.weight": 1, **W}), {"u.weight[0, 0]": 2})
    yield "the smaller of two units that a pool reads", smaller
    nothing = ("s", Select(np.array([0, -1]))), ("f", Scale(np.array([2.0, 3.0])))
    relus = ("r", Relu()), ("q", Relu()), ("y", dense([[1.0, 5.0]]))
    fixed = network(1, *nothing, *relus)
    yield "factors of nothing, and ReLUs", law(lambda: so.Identifiability(fixed).orbit == 0)
    cells = [0, -1, 0, -1]
    windows = ("s", Select(np.array(cells))), ("p", _pool((0, 1), (2, 3)))
    pairs = network(1, *windows, ("y", dense([[5.0, 1.0]])))
    yield "zeros that pools read", law(lambda: _reads(pairs, "p") == [[0, 1], [0, 2]])
    rows = ("u", dense([[2.0], [0.0], [3.0]])), ("s", Select(np.array([0, 1, 2, 1])))
    tied = network(1, *rows, ("p", _pool((0, 1), (2, 3))), ("y", dense([[5.0, 1.0]])))
    yield "a pruned unit that pools read", law(lambda: so.Identifiability(tied).orbit == 2)
    for name, problem, size, _ in pruned():
        yield f"a pruned unit, {name}", law(lambda p=problem, o=size: p.orbit == o)
    windows = ("s", Select(np.array([0, -1]))), ("p", _pool((0, 1), (1, -1)))
    shared = network(1, *windows, ("y", dense([[5.0, 1.0]])))
    yield "a zero that windows share", law(lambda: _reads(shared, "p") == [[0, 1], [2, -1]])


def _false_scales() -> Entries:
    line = "solved for | "
    yield line + "more unknown scales", refusal(lambda: _unknown(8, 7))
    deaf = network(1, ("u", dense([[3.0]])), ("r", Relu()), ("y", dense([[0.0]])))
    free = {"u.weight": 1, "y.weight": 1}
    twice = second(asked(deaf, LINE, free), {"u.weight[0, 0]": 6})
    yield "the second network is no rescaling | twice the weight of a deaf unit", twice
    moved = "a direction is no rescaling | "
    yield moved + "windows with a zero each", _zeros_of_pools([0, -1, 1, -1])
    yield moved + "windows that share a zero", _zeros_of_pools([0, -1, 1], [[0, 1], [1, 2]])
    for name, problem, _, found in pruned():
        if found:
            yield f"{moved}a pruned unit, {name}", structural(problem, found)
    padded = ("s", Select(np.array([-1, 0]))), ("u", dense([[3, 0], [0, 1]])), ("r", Relu())
    deaf = network(1, *padded, ("y", dense([[0, 2]])))
    claim = asked(deaf, LINE, {"u.weight": [[1, 0], [0, 1]], "y.weight": [[0, 1]]})
    line = "the second network is no rescaling | "
    yield line + "what padding is multiplied with", second(claim, {"u.weight[0, 0]": 5})
    line = "families name neurons, and parameters on edges | "
    for kind in ("constant", "unheard"):
        yield line + kind, structural(claim, so.Family(kind, (0,)))
    for past in (0, 1000):
        outside = so.Family("shift", (claim.wires.count + past,))
        yield line + "a neuron that there is not", structural(claim, outside)


def _pool(*windows: Any) -> MaxPool:
    return MaxPool((AxisWindow(0, np.array(windows)),))


def _reads(found: so.Network, name: str) -> list[list[int]]:
    """Return the neurons that a layer reads."""
    layers = so.Identifiability(found).wires.layers
    rows = next(layer.reads for layer in layers if layer.name == name)
    return [list(map(int, row)) for row in rows]


def _zeros_of_pools(cells: list[int], windows: Any = ((0, 1), (2, 3))) -> Any:
    """Return the claim that a weight can move: it feeds one of two pools, which is not heard."""
    whole = network(
        1,
        ("h", dense([[2.0]])),
        ("a", Relu()),
        ("r", Relu(), "x"),
        ("c", Concat(0), "a", "r"),
        ("s", Select(np.array(cells))),
        ("p", _pool(*windows)),
        ("y", dense([[0.0, 1.0]])),
    )
    problem = asked(whole, LINE, {"h.weight": 1, "y.weight": [[0, 1]]})
    return structural(problem, family(problem, "unheard", "h.weight[0, 0]"))


def _tenths(scale: int = 1) -> Dense:
    """Return a unit whose sum at ones is 0, but for rounding."""
    return Dense(np.array([[Fraction(n * scale, 10) for n in (1, 2, -3)]]))


def _signs() -> Entries:
    ends = ("r", Relu()), Y
    for scale in (1, 2**40):
        unit = "u", _tenths(scale)
        yield (
            f"{scale} tenths that cancel",
            excluded({0: "unit 0 of 'r'"}, [[1, 1, 1]], W, unit, *ends),
        )
    kink = network(1, ("u", dense([[1.0]], [-1.0])), *ends)
    yield "inputs in parts", law(lambda: _in_parts(kink, [[2.0], [1.0], [3.0], [1.0]]))
    yield (
        "a bias of 0 before all weights",
        excluded({}, [[0.0]], W, ("u", Scale(None, np.zeros(1))), *ends),
    )


def _in_parts(found: so.Network, inputs: Any) -> bool:
    """Whether the pattern is the same if few inputs are taken at a time."""
    wires, rows = asked(found, None, W).wires, np.array(inputs)
    whole = patterns.pattern(wires, rows)
    with patch.object(patterns, "_AT_ONCE", 2 * wires.count):
        parts = patterns.pattern(wires, rows)
    same = all(np.array_equal(a, b) for a, b in zip(whole.takes, parts.takes, strict=True))
    return same and whole.irregular == parts.irregular and set(whole.irregular) == {1, 3}


def _false_signs() -> Entries:
    line = "what a parameter moves is not heard | "
    tiny = Dense(np.array([[Fraction(1, 2**1100)]]), np.array([-(2.0**-110)]))
    whole = network(1, ("u", tiny), ("r", Relu()), Y)
    problem = asked(whole, [[2.0**1000]], {"u.bias": 1})
    yield (
        line + "a weight below all floats",
        structural(problem, family(problem, "unheard", "u.bias[0]")),
    )


def _expressions() -> Entries:
    rows = ("s", Reshape((2, 2))), ("u", dense([[1.0, 1.0]])), *POOL, Y
    yield (
        "one expression, and another of its value",
        excluded({1: "unit 0 of 'p'"}, [[1, 2, 1, 2], [2, 1, 1, 2]], W, *rows),
    )
    yield "equal entries win a pool", gives([[2]], [[2, 2]], W, *POOL, Y)
    none = ("u", dense([[2.0, 3.0]])), ("r", Relu())
    pooled = ("p", RankPool(0, 1), "x"), ("a", ONE), ("o", Concat(0), "r", "a")
    last = ("y", dense([[5.0, 2.0]]))
    yield "a sum of zeros beside a pool", gives([[0, 0]], [[0, 0]], W, *none, *pooled, last)
    free = {"y.weight": 1, "u.bias": [1, 0]}
    first = ("u", Scale(None, np.array([1.0, -1.0]))), ("r", Relu()), *POOL, Y
    yield "a bias before all weights, added to 0", gives([[5, 1]], [[0.0, 0.0]], free, *first)


def _shared(other: Any, size: int = 2, **free: Any) -> so.Identifiability:
    """Return two layers that share a tensor."""
    first, origin = dense([[1.0, 2.0], [3.0, 4.0]]), {"weight": "shared"}
    last = Dense(np.array(other, dtype=float))
    found = network(size, ("u", first), ("r", Relu()), ("y", last), u=origin, y=origin)
    return so.Identifiability(
        found, None, {k.replace("_", "."): v for k, v in free.items()} or None
    )


def _parameters() -> Entries:
    some = network(2, ("u", dense([[1.0, 0.0]])), ("r", Relu()), Y)
    yield "masks of 0 and 1", law(lambda: so.Identifiability(some, None, {"u.weight": [[0, 1]]}))


def _false_parameters() -> Entries:
    some = network(2, ("u", dense([[1.0, 0.0]])), ("r", Relu()), Y)
    made = so.Identifiability
    for name, mask in (("2", [[1, 2]]), ("a half", [[0.5, 0]])):
        yield (
            "must hold 0 and 1 | " + name,
            refusal(lambda m=mask: made(some, None, {"u.weight": m})),
        )
    yield "has shape (1,), must be | a row", refusal(lambda: made(some, None, {"u.weight": [1]}))
    yield "which the network does not have | a name", refusal(lambda: made(some, None, {"v": [1]}))
    yield "give a dict | a list", refusal(lambda: made(some, None, [[1, 0]]))  # type: ignore[arg-type]
    yield (
        "there is no free parameter | no weights",
        refusal(lambda: made(network(1, ("r", Relu())))),
    )
    yield "shares its tensor, hold | another value", refusal(lambda: _shared([[5, 2], [3, 4]]))
    mask, less = [[1, 1], [1, 1]], [[0, 1], [1, 1]]
    yield (
        "are free in one layer | not in the other",
        refusal(lambda: _shared([[1, 2], [3, 4]], u_weight=mask, y_weight=less)),
    )
    yield "differ in size | one does", refusal(lambda: _shared([[1, 2]]))


def _false_problems() -> Entries:
    some = network(2, ("u", dense([[1.0, 0.0]])), ("r", Relu()), Y)
    made: Any = so.Identifiability
    answer = made(some).verdict("unknown", 0)
    yield (
        "a verdict is one of | everywhere, in words",
        refusal(lambda: changed(answer, everywhere="no")),
    )
    yield "must be an integer | a truth value", refusal(lambda: changed(answer, rank=True))
    yield "make a Network with | a list", refusal(lambda: made([some]))
    masks = {name: np.zeros(a.shape) for name, a in some.parameters().items()}
    yield "has no free parameter | all are constants", refusal(lambda: made(some, None, masks))
    yield "inputs have dtype | float16", refusal(lambda: made(some, np.ones((1, 2), np.float16)))
    yield "inputs have shape | none", refusal(lambda: made(some, np.ones((0, 2))))
    yield "inputs is ragged | they are", refusal(lambda: made(some, [[1.0], [1.0, 2.0]]))
    large = Dense(np.array([[Fraction(2**2000)]]))
    beyond = made(network(1, ("y", large)))
    yield "beyond the range of float64 | 2^2000", refusal(lambda: beyond.wires)


def _edges() -> Entries:
    first = Select(np.array([0, -1]))
    shift = ("s", Select(np.array([-1, 0]))), ("u", Scale(None, np.ones(2)))
    last = ("y", dense([[5.0, 2.0]]))
    yield (
        "a bias before all weights, of nothing",
        gives([[5, 2]], [[3]], {"u.bias": 1}, *shift, last),
    )
    yield "a pool of an entry and nothing", gives([[3]], [[3]], W, ("s", first), *POOL, Y)
    yield "a pool of an entry below nothing", gives([[0]], [[-3]], W, ("s", first), *POOL, Y)
    yield (
        "a kink behind a pool of nothing",
        excluded(
            {0: "unit 0 of 'r'"},
            [[3]],
            {"u.weight": 1},
            ("s", first),
            *POOL,
            ("c", Concat(0), "a", "x"),
            ("u", dense([[2.0, -1.0]], [-3.0])),
            ("r", Relu()),
            Y,
        ),
    )
    beside = ("c", Concat(0), "a", "x"), ("y", dense([[5.0, 2.0]]))
    yield "an entry below a pool", gives([[0, -3]], [[-3]], W, ("s", first), *POOL, *beside)
    below = asked(network(1, ("r", Relu()), Y), -LINE[:3], W)
    never = family(below, "constant", "y.weight[0, 0]")
    yield "an entry that is never above 0", structural(below, never)
    yield from _neurons()
    yield from _maps()


def _neurons() -> Entries:
    free = {"n.weight": 1, "n.bias": 1}
    for kind, rows in (
        ("id", [[3, 4, 1], [3, -4, 1]]),
        ("relu", [[3, 4, 1], [0, 0, 0]]),
        ("pool", [[0, 4, 1], [3, 0, 1]]),
    ):
        neuron = Neuron(np.array([2.0, 5.0]), np.array(1.0), kind)
        nodes = ("a", Select(np.array(0)), "x"), ("b", Select(np.array(1)), "x")
        yield (
            f"a neuron, {kind}",
            gives(rows, [[3, 4], [3, -4]], free, *nodes, ("n", neuron, "a", "b")),
        )
    neuron = Neuron(np.array([2.0, 5.0]), None, "pool", 2)
    yield (
        "a neuron without bias, the second",
        gives(
            [[3, 0], [0, -4]], [[3, 4], [3, -4]], {"n.weight": 1}, *nodes, ("n", neuron, "a", "b")
        ),
    )


def _maps() -> Entries:
    inputs = np.arange(1.0, 7.0).reshape(1, 2, 3)
    across = AxisMap(0, np.array([[0, 1]]), np.array([[1.0, 2.0]]), np.array([1]))
    along = AxisMap(
        1, np.array([[0, 1], [2, -1]]), np.array([[1.0, 5.0], [7.0, 1.0]]), np.ones(2, int)
    )
    nodes = ("m", Resample((across, along))), ("f", Reshape((2,))), ("y", dense([[1.0, 1.0]]))
    # 1 2 3 and 4 5 6 sum to 9 12 15, and these to 9 + 60 and 105
    yield "maps along two axes", gives([[69, 105]], inputs, W, *nodes)
    none = AxisMap(0, np.array([[0, 1]]), np.array([[1.0, 0.0]]), np.array([1]))
    nodes = ("m", Resample((none, along))), *nodes[1:]
    yield "a map with a coefficient of 0", gives([[11, 21]], inputs, W, *nodes)
    windows = AxisWindow(0, np.array([[0, 1]])), AxisWindow(1, np.array([[0, 1], [2, -1]]))
    nodes = ("m", MaxPool(windows)), *nodes[1:]
    yield "a pool along two axes", gives([[5, 6]], inputs, W, *nodes)
