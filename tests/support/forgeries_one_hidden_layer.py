"""Networks of one hidden layer: each condition of their determination everywhere is broken once."""

from __future__ import annotations

from dataclasses import replace as changed
from functools import partial
from typing import Any

import numpy as np
from identifiability_claims import PRIME, Entries, dense, network
from laws import numbered, refusal
from sparseopt_pathnorm.one_hidden_layer import OneHiddenLayer

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.operator import Add, Concat, Relu, Select

NONE = np.zeros(0, dtype=np.int64)
LINE = [[1.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.5, 4.0]
"""Units of one input: the first two and the third, with slopes 1, 1 and -2, can be turned."""
SLOPES = [[1.0, 1.0, -1.0, 7.0]]
PLANE = [[1.0, 2.0], [-1.0, 1.0], [3.0, 1.0]], [0.5, 1.0, -2.0]


def units(first: Dense, last: Dense, **origins: Any) -> so.Network:
    """Return the network of one hidden layer."""
    size = first.weight.shape[1]
    return network(size, ("u", first), ("r", Relu()), ("y", last), **origins)


def line(slopes: Any = SLOPES, bias: Any = (0.0,)) -> so.Network:
    """Return the network of one input."""
    return units(dense(*LINE), dense(slopes, bias))


def plane() -> so.Network:
    """Return a network of two inputs, whose three units are independent."""
    return units(dense(*PLANE), dense([[1.0, 2.0, 3.0], [1.0, -1.0, 4.0]], [0.0, 1.0]))


def claimed(
    found: so.Network,
    everywhere: Any = None,
    turned: tuple[int, ...] = (),
    rest: Any = NONE,
    factors: Any = NONE,
    prime: int = PRIME,
    free: Any = None,
) -> so.OneHiddenLayerCertificate:
    """Return a claim about a network."""
    problem = so.Identifiability(found, None, free)
    answer = problem.verdict("identifiable", problem.bound, everywhere=everywhere)
    return so.OneHiddenLayerCertificate(
        problem, answer, prime, turned, np.asarray(rest), np.asarray(factors)
    )


def proved(found: so.Network, free: Any = None) -> Any:
    """Return the certificate of the engine."""
    return OneHiddenLayer().solve(so.Identifiability(found, None, free), so.Context())[1]


def apart() -> Any:
    """Return the proof that none of jumps of 1, 2, -4 and 15 add up to 0."""
    return proved(line([[1.0, 2.0, -2.0, 5.0]]))


def crossed() -> Any:
    """Return the proof of units along two axes: what depends on one does not on the other."""
    first = dense([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], [0.0, 1.0, 2.0])
    return proved(units(first, dense([[1.0, 1.0, 1.0]], [0.0])))


def honest() -> Entries:
    """Yield (name, certificate)."""
    yield "nearby", claimed(line())
    yield "another modulus", claimed(line(), prime=65537)
    yield "three can be turned", proved(line())
    yield "none can be turned", apart()
    yield "independent", proved(plane())
    yield "zeros", proved(units(dense([[1.0, 0.0], [0.0, 2.0]]), dense([[1.0, 0.0], [3.0, 1.0]])))
    kept = units(dense([[1.0], [-1.0]], [0.0, 1.0]), dense([[1.0, 1.0]]))
    yield "turning asks for a bias", claimed(kept)
    level = units(dense([[1.0], [-1.0]], [1.0, -1.0 - 2.0**-20]), dense([[1.0, 1.0]], [0.0]))
    yield "empty lists", lambda: so.verify(claimed(line(), rest=[], factors=[]))
    many = units(dense(np.ones((17, 1)), np.arange(17.0)), dense(np.ones((1, 17)), [0.0]))
    yield "sixteen that depend on one", proved(many)
    yield "a factor of 0", crossed()
    yield "nearly the same hyperplane", proved(level)


@numbered
def forged() -> Entries:
    """Yield (line that stops it | what it is, certificate)."""
    right = proved(line())
    asked = so.Identifiability(line(), [[1.0], [2.0]])
    yield "no inputs are given | two inputs", changed(right, problem=asked)
    truthy = claimed(line())
    object.__setattr__(truthy.answer, "everywhere", 1)
    yield "everywhere or not | 1", truthy
    wrong = {
        "value": "unknown",
        "parameters": 12,
        "orbit": 3,
        "bound": 10,
        "rank": 8,
        "gap": 1,
        "excluded": ((0, "unit 0 of 'u'"),),
        "directions": ("a bias",),
    }
    for name, value in wrong.items():
        answer = changed(right.answer, **{name: value})
        yield f"{name} is as counted | another", changed(right, answer=answer)
    for prime in (65521, 65541, 4194319):
        yield f"the modulus is a prime | {prime}", claimed(line(), prime=prime)
    for name, found in _other_forms():
        yield f"the network has one hidden layer | {name}", claimed(found)
    tied = {name: {"weight": "t"} for name in ("u", "y")}
    shared = units(dense([[2.0]], [1.0]), dense([[2.0]], [1.0]), **tied)
    alone = "each parameter is that of one edge"
    yield f"{alone} | a weight used twice", claimed(shared)
    for name, found in _without_edges():
        yield f"{alone} | {name}", claimed(found)
    for name, found in _parallel():
        yield f"no two edges join the same neurons | {name}", claimed(found)
    width = (1 << 12) + 1
    wide = units(dense(np.ones((width, 1)), np.arange(float(width))), dense(np.ones((1, width))))
    yield "at most 4096 units | one more", claimed(wide)
    long = ("s", Select(np.arange(65))), ("u", Scale(None, np.arange(65.0))), ("r", Relu())
    many = network(1 << 20, *long, ("y", dense(np.ones((1, 65)))))
    yield "at most 4096 units | more weights", claimed(many)
    every = {"u.weight": 1, "u.bias": 1, "y.weight": 1, "y.bias": 1}
    lone = line([[1.0, 1.0, 0.0, 7.0]])
    masks = {k: np.full(a.shape, every[k]) for k, a in lone.parameters().items()}
    yield "every unit is read | one is not", claimed(lone, free=masks)
    still = units(dense([[0.0], [1.0]], [1.0, 2.0]), dense([[1.0, 1.0]], [0.0]))
    yield "every unit reads an input | a constant", claimed(still)
    for name, weight, bias in (
        ("twice", [[1.0, 2.0], [2.0, 4.0]], [3.0, 6.0]),
        ("opposite", [[1.0, 2.0], [-1.0, -2.0]], [3.0, -3.0]),
        ("behind zeros", [[0.0, 2.0], [0.0, -6.0]], [0.0, 0.0]),
    ):
        pair = units(dense(weight, bias), dense([[1.0, 1.0]], [0.0]))
        yield f"no two units switch at the same inputs | {name}", claimed(pair)
    yield from _turned_by_none()
    yield from _turned()
    yield "rest must hold integers | floats", refusal(partial(claimed, line(), rest=[0.5]))
    yield "factors must hold integers | floats", refusal(partial(claimed, line(), factors=[1.0]))
    for parts in ({"prime": 65537.0}, {"turned": (1.0,)}, {"turned": (True, False)}):
        yield "must be integers | others", refusal(partial(changed, right, **parts))


def _without_edges() -> Entries:
    """Networks with a weight that nothing is multiplied by."""
    first, last = dense([[1.0, 2.0]], [0.5]), dense([[3.0]], [1.0])
    none = ("s", Select(np.array([0, -1]))), ("u", first), ("r", Relu()), ("y", last)
    yield "an input that is none", network(1, *none)
    behind = ("u", dense([[1.0]], [0.5])), ("r", Relu()), ("s", Select(np.array([0, -1])))
    yield "a unit that is none", network(1, *behind, ("y", dense([[3.0, 4.0]], [1.0])))
    taps = Conv(np.array([[[1.0, 2.0, 3.0]]]), np.array([0.5]), padding=((1, 1),))
    yield "taps in the padding", network((1, 1), ("u", taps), ("r", Relu()), ("y", last))


def _parallel() -> Entries:
    """Networks whose sums read a neuron twice."""
    twice, last = dense([[1.0, 2.0]], [0.5]), dense([[3.0]], [1.0])
    both = ("d", Concat(0), "x", "x")
    yield "an input", network(1, both, ("u", twice), ("r", Relu()), ("y", last))
    unit = ("u", dense([[1.0]], [0.5])), ("r", Relu()), ("d", Concat(0), "r", "r")
    yield "a unit", network(1, *unit, ("y", twice))


def _other_forms() -> Entries:
    first, last, end = dense(*LINE), dense(SLOPES, [0.0]), dense([[2.0]], [1.0])
    yield "two", network(1, ("u", first), ("r", Relu()), ("v", last), ("s", Relu()), ("y", end))
    yield "none", network(1, ("u", dense([[1.0]], [2.0])), ("r", Relu()))
    skip = ("y", last), ("s", Add(), "y", "x")
    beside = ("o", Concat(0), "r", "x"), ("y", dense([[*SLOPES[0], 1.0]], [0.0]))
    yield "a skip to the outputs", network(1, ("u", first), ("r", Relu()), *beside)
    yield "a skip", network(1, ("u", first), ("r", Relu()), *skip)
    few = ("p", Select(np.array([1, 0, 2, 3]))), ("r", Relu()), ("y", last)
    yield "units in another order", network(1, ("u", first), *few)
    wide = ("y", last), ("o", Select(np.array([0, 0])))
    yield "an output twice", network(1, ("u", first), ("r", Relu()), *wide)
    yield "before the ReLU", network(1, ("u", first), ("r", Relu(), "u"), ("y", last, "u"))


def _turned_by_none() -> Entries:
    right = apart()
    others, factors = right.rest, right.factors
    assert factors.shape == (3, 1)

    def claim(rest: Any, factors: Any) -> so.OneHiddenLayerCertificate:
        return changed(right, rest=np.asarray(rest), factors=np.asarray(factors))

    few = "the rest are at most 16 units"
    yield f"{few} | one twice", claim([*others[:2], others[0]], factors)
    yield f"{few} | one that is not there", claim([*others[:2], 9], factors)
    yield f"{few} | a negative one", claim([*others[:2], -1], factors)
    yield f"{few} | a table", claim(others[:, None], factors)
    size = 20
    long = units(
        dense(np.ones((size, 1)), np.arange(float(size))), dense(np.ones((1, size)), [0.0])
    )
    many = claimed(long, True, (), np.arange(size - 1), np.ones((size - 1, 1), dtype=int))
    yield f"{few} | nineteen", many
    one = "a residue is there for each of the rest and others"
    yield f"{one} | too few", claim(others, factors[:2])
    yield f"{one} | below 0", claim(others, factors - PRIME)
    yield f"{one} | the modulus", claim(others, factors + PRIME)
    zero = crossed()
    assert 0 in zero.factors
    full = changed(zero, factors=np.where(zero.factors, zero.factors, PRIME))
    yield f"{one} | the modulus for 0", full
    nothing = np.zeros((0, 4), dtype=int)
    yield "the others are independent | they are not", claim(NONE, nothing)
    yield "the rest are combined so | otherwise", claim(others, (factors + 1) % PRIME)
    free = "no set of units can be turned"
    yield f"{free} | three can", claimed(line(), True, (), *_factors(line()))
    two = units(dense([[1.0], [1.0]], [0.0, 1.0]), dense([[1.0, -1.0]], [0.0]))
    yield f"{free} | two can, one of the rest", claimed(two, True, (), *_factors(two))


def _factors(found: so.Network) -> tuple[np.ndarray, np.ndarray]:
    """Return all units but the last, and what they are of it: one input and one output."""
    first, last = found.by_name["u"].op.parameters(), found.by_name["y"].op.parameters()
    jumps = [int(w * u) for (w,), u in zip(first["weight"], last["weight"][0], strict=True)]
    inverse = pow(jumps[-1], -1, PRIME)
    factors = [[jump * inverse % PRIME] for jump in jumps[:-1]]
    return np.arange(len(jumps) - 1), np.array(factors)


def _turned() -> Entries:
    each = "the units turned are some of the hidden layer, each once"
    for turned in ((), (0, 1, 2, 2), (0, 1, 2, 4), (-1, 0, 1)):
        yield f"{each} | {turned}", claimed(line(), False, turned)
    left = "what turning adds does not depend on the input"
    yield f"{left} | two of three", claimed(line(), False, (0, 1))
    near = line([[1.0, 1.0, -1.0 - 2.0**-52, 7.0]])
    yield f"{left} | all but the last bit", claimed(near, False, (0, 1, 2))
    free = {"u.weight": np.array([[1], [0], [1], [1]])}
    yield "what is turned is free | a constant weight", claimed(line(), False, (0, 1, 2), free=free)
    fixed = {"u.bias": np.array([1, 1, 0, 1])}
    yield "what is turned is free | a constant bias", claimed(line(), False, (0, 1, 2), free=fixed)
    held = "biases of the outputs that change are free"
    yield f"{held} | no bias", claimed(line(bias=None), False, (0, 1, 2))
    kept = {"y.bias": np.array([0])}
    for name, bias in (("0, a constant", 0.0), ("a constant", 3.0)):
        yield f"{held} | {name}", claimed(line(bias=(bias,)), False, (0, 1, 2), free=kept)
