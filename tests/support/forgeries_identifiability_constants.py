"""Units that hold one number, and units that are not heard: claims that are true and that are not.

Two positions of one layer ``w h + b`` hold A and B: then w and b move together without any change
of the outputs exactly if A and B are the same number at all inputs.
"""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

import numpy as np
from identifiability_claims import (
    LINE,
    Entries,
    asked,
    dense,
    evidence,
    family,
    network,
    structural,
)
from laws import numbered

import sparseopt as so
from sparseopt.networks.operator import Add, Concat, Relu, Reshape, Select
from sparseopt.networks.window import AxisWindow, MaxPool, RankPool

ONE = Reshape((1,))
PAIRS = np.array([[2.0, 1.0], [5.0, 3.0], [4.0, -1.0], [0.5, 0.25]])
"""The first entry is the larger one."""


def held(number: float, size: int = 1, off: bool = False) -> tuple[Any, ...]:
    """Return the neuron B, which holds a number; if it is `off`, 0 by a ReLU of a number below."""
    below = ("o", dense([[0.0] * size], [-1.0]), "x"), ("b", Relu())
    return below if off else (("b", dense([[0.0] * size], [number]), "x"),)


def alike(
    number: float,
    *nodes: tuple[Any, ...],
    size: int = 1,
    inputs: Any = LINE,
    data: bool = True,
    off: bool = False,
) -> Any:
    """Return the claim that A, the last of some neurons, holds a number at all inputs, or, without
    `data`, whatever the input."""
    last = nodes[-1][0]
    joined = ("ab", Concat(0), last, "b"), ("rows", Reshape((2, 1)))
    whole = network(size, *nodes, *held(number, size, off), *joined, ("w", dense([[2.0]], [1.0])))
    problem = asked(whole, inputs if data else None, {"w.weight": 1, "w.bias": 1})
    both = family(problem, "constant", "w.weight[0, 0]", "w.bias[0]")
    searched = None if data else inputs
    return structural(problem, both, any_data=not data, inputs=searched)


def numbers(*values: float, size: int = 1) -> tuple[Any, ...]:
    """Return a layer whose neurons hold numbers."""
    return "k", dense(np.zeros((len(values), size)), values), "x"


def pool(rank: int = 1) -> tuple[Any, ...]:
    """Return the nodes of a pool over all entries before it."""
    return ("p", RankPool(0, rank)), ("a", ONE)


CELLS = Select(np.array([[1, 0]])), MaxPool((AxisWindow(1, np.array([[-1, 0]])),))


def honest() -> Entries:
    """Yield (name, certificate)."""
    yield "the second of three numbers", alike(5, numbers(3, 5, 7), *pool(2))
    yield "the first of two, below 0", alike(-3, numbers(-5, -3), *pool())
    yield "a ReLU of a number below 0", alike(0, numbers(-2), ("a", Relu()))
    yield "a ReLU of a number", alike(0.25, numbers(0.25), ("a", Relu()))
    yield "a sum of numbers", alike(7, numbers(3, 1), ("a", dense([[2, 1]])))
    yield "a sum without edges of weight 0", alike(3, ("a", dense([[0.0]], [3]), "x"), data=False)
    nothing = ("s", Select(np.array([-1])), "x"), ("a", Relu())
    yield "a ReLU of nothing", alike(0, *nothing, data=False, off=True)
    silent = ("u", dense([[1], [1]], [1, -100])), ("r", Relu()), ("a", Select(np.array([1])))
    yield "a ReLU that is never active", alike(0, *silent)
    yield "a number without a bias", _alone(0.0, "w.weight[0, 0]", off=True)
    yield "a number with a bias", _alone(3.0, "w.weight[0, 0]", "w.bias[0]")
    yield from _unheard_truths()
    yield "a rank of 0", _ranked(0)


def _alone(number: float, *places: str, off: bool = False) -> Any:
    whole = network(1, *held(number, off=off), ("w", dense([[2.0]], [1.0])), ("y", Add(), "w", "x"))
    problem = asked(whole, LINE, {"w.weight": 1, "w.bias": 1})
    return structural(problem, family(problem, "constant", *places))


@numbered
def forged() -> Entries:
    """Yield (line that stops it | what it is, certificate)."""
    other = "what a constant unit adds is made up for | "
    yield other + "another number", alike(4, numbers(3), ("a", dense([[1]])))
    yield other + "the largest is not the second", alike(7, numbers(3, 5, 7), *pool(2))
    yield other + "a pool is no ReLU", alike(0, numbers(-5, -3), *pool())
    yield other + "a ReLU is no sum", alike(-2, numbers(-2), ("a", Relu()))
    yield other + "a weight alone", _alone(3.0, "w.weight[0, 0]")
    yield other + "a weight of half alone", _alone(0.5, "w.weight[0, 0]")
    units = "a weight leaves constant units only | "
    both = ("c", Concat(0), "x", "k")
    yield units + "a pool of an input, too", alike(3, numbers(3), both, *pool())
    yield units + "a pool that an input wins", alike(0, ("p", RankPool(0, 1)), ("a", ONE), **_two())
    yield units + "a pool with padding", alike(0, *_padded(), **_two())
    yield units + "a ReLU of an input", alike(0, ("a", Relu()))
    yield units + "a ReLU", alike(0, ("u", dense([[2]])), ("a", Relu()))
    silent = ("u", dense([[1]], [-100])), ("a", Relu())
    yield units + "a ReLU that is never active at these", alike(0, *silent, data=False)
    yield from _unheard_lies()
    yield "there are as many rows as columns | columns in a matrix", _ranked(1, (1, 1))
    right = _ranked(1)
    composite = changed(right.evidence, prime=65541)
    yield "the modulus is a prime | 3 times 21847", changed(right, evidence=composite)
    found = alike(4, numbers(3), ("a", dense([[1]])))
    rank = so.solve(found.problem, solver="jacobian_rank").certificate
    answer = changed(found.answer, rank=2, gap=0)
    line = "the rank that is proved leaves a direction open | "
    yield line + "it is full", changed(found, answer=answer, evidence=rank.evidence)


def _ranked(rank: int, shape: tuple[int, ...] = (0,)) -> Any:
    """Return the claim that the bias of one unit has a rank, by so many rows."""
    problem = asked(network(1, ("y", dense([[2.0]], [1.0]))), LINE, {"y.bias": 1})
    rows, columns = np.zeros((rank, 2), dtype=int), np.zeros(shape, dtype=int)
    value = "identifiable" if rank else "unknown"
    held = evidence(problem, rows=(rows, columns))
    return so.JacobianRankCertificate(problem, problem.verdict(value, rank), held)


def _two() -> Any:
    return {"size": 2, "inputs": PAIRS}


def _padded() -> Any:
    return ("t", CELLS[0], "x"), ("p", CELLS[1]), ("a", ONE)


def heard(bias: float, *places: str, below: bool = False, data: bool = True) -> Any:
    """Return the claim that |b| does not hear b, computed by two ReLUs; or, if `below`, that the
    ReLU of b does not."""
    sides = [[1.0]] if below else [[1.0], [-1.0]]
    whole = network(
        1,
        ("u", dense([[0.0]], [bias])),
        ("d", dense(sides)),
        ("r", Relu()),
        ("s", dense([[1.0] * len(sides)])),
        ("y", Add(), "s", "x"),
    )
    problem = asked(whole, LINE if data else None, {"u.bias": 1})
    made = family(problem, "unheard", *places or ["u.bias[0]"])
    return structural(problem, made, any_data=not data, inputs=None if data else LINE)


def units(*biases: float, claim: int = 0, data: bool = True) -> Any:
    """Return the claim that a weight of a unit with one of some biases is not heard."""
    weight = [[1.0]] * len(biases)
    last = dense([[float(i + 2) for i in range(len(biases))]])
    whole = network(1, ("u", dense(weight, biases)), ("r", Relu()), ("y", last))
    problem = asked(whole, LINE if data else None, {"u.weight": 1, "y.weight": 1})
    made = family(problem, "unheard", f"u.weight[{claim}, 0]")
    return structural(problem, made, any_data=not data, inputs=None if data else LINE)


def _unheard_truths() -> Entries:
    yield "units that are never active", units(1, -100, claim=1)
    yield "units behind a ReLU of a number below 0", heard(-2.0, below=True, data=False)
    yield "units behind a ReLU of a number below 0, at inputs", heard(-2.0, below=True)
    kinks = units(-1, -100, -2, claim=1)  # two others are on their kinks
    yield "units that are never active, beside doubtful ones", kinks
    pooled = _in_a_pool(-3.0, edge=0.0)
    yield "units behind an edge of weight 0", pooled


def _in_a_pool(number: float, edge: float = 1.0) -> Any:
    """Return the claim that a unit beside a number in a pool is not heard."""
    whole = network(
        1,
        ("k", dense([[0.0]], [number])),
        ("u", dense([[2.0]], [1.0]), "x"),
        ("c", Concat(0), "k", "u"),
        ("p", RankPool(0, 1)),
        ("a", ONE),
        ("y", dense([[edge]])),
        ("z", Add(), "y", "x"),
    )
    problem = asked(whole, LINE, {"u.weight": 1, "u.bias": 1})
    return structural(problem, family(problem, "unheard", "u.weight[0, 0]"))


def _unheard_lies() -> Entries:
    heard_by = "what a parameter moves is not heard | "
    yield heard_by + "a unit that is active at times", units(-1.5, -100)
    yield heard_by + "an active one beside one that is not", units(1.5, -100)
    yield heard_by + "a unit on its kink", units(-100, -2, claim=1)
    yield heard_by + "a number above 0", heard(3.0)
    yield heard_by + "a number above 0, whatever the input", heard(3.0, data=False)
    yield heard_by + "half", heard(0.5)
    yield heard_by + "the kink of |b|", heard(0.0)
    yield heard_by + "the kink of |b|, whatever the input", heard(0.0, data=False)
    yield heard_by + "never active at these inputs only", units(1, -100, claim=1, data=False)
    yield heard_by + "a number below 0 in a pool", _in_a_pool(-3.0)
    yield heard_by + "a unit that is active by little, of weights that cancel", _cancelling()
    yield heard_by + "behind a kink", _behind_a_kink([1, -1])
    yield heard_by + "behind a kink, after a unit that has none", _behind_a_kink([0, 1, -1])


def _cancelling() -> Any:
    """A unit that holds 2^-61 at 1, of three edges of one entry whose weights sum to 2^-60."""
    thrice = ("s", Select(np.array([0, 0, 0])))
    unit = ("u", dense([[1.0, 2.0**-60, -1.0]], [-(2.0**-61)]))
    whole = network(1, thrice, unit, ("r", Relu()), ("y", dense([[3.0]], [1.0])))
    problem = asked(whole, [[1.0]], {"u.bias": 1})
    return structural(problem, family(problem, "unheard", "u.bias[0]"))


def _behind_a_kink(sides: list[float]) -> Any:
    """|y1| + |y2| = |b - 2|, so the input 1, on the kink, determines b."""
    first = ("d", dense([[side] for side in sides], [7.0 * (side == 0) for side in sides]))
    last = ("e", dense(np.eye(len(sides)))), ("s", Relu())
    whole = network(1, ("u", dense([[-2.0]], [2.0])), first, ("r", Relu()), *last)
    problem = asked(whole, [[1.0]], {"u.bias": 1})
    return structural(problem, family(problem, "unheard", "u.bias[0]"))
