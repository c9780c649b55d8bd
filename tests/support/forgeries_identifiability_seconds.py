"""Second networks: what differs, what switches between the two, and what the words say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace as changed
from fractions import Fraction
from typing import Any

import numpy as np
from identifiability_claims import LINE, Entries, asked, dense, network, second
from laws import numbered, refusal

import sparseopt as so
from sparseopt.networks.operator import Add, Concat, Relu, Reshape, Select
from sparseopt.networks.window import AxisWindow, MaxPool, RankPool

ONE = Reshape((1,))
FEW = [[1.0], [2.0]]
SUM = ("y", dense([[1.0, 1.0]]))
"""Hears only the sum of two cells."""


def claim(
    free: Mapping[str, Any], values: Mapping[str, Any], *nodes: tuple[Any, ...], inputs: Any = FEW
) -> Any:
    """Return the claim that other values of parameters change no output."""
    size = np.shape(inputs)[1]
    return second(asked(network(size, *nodes), inputs, free), values)


def numbers(*held: float) -> tuple[Any, ...]:
    """Return a layer whose units hold numbers, by their biases."""
    return "k", dense(np.zeros((len(held), 1)), held), "x"


def biases(*values: Any) -> dict[str, Any]:
    """Return other biases of `numbers`."""
    return {f"k.bias[{i}]": value for i, value in enumerate(values)}


def moved(held: Any, values: Any, *nodes: tuple[Any, ...], **more: Any) -> Any:
    """Return the claim that numbers may be others."""
    named = {name: value for name, value in biases(*values).items() if value is not None}
    return claim({"k.bias": 1}, named, numbers(*held), *nodes, **more)


def honest() -> Entries:
    """Yield (name, certificate)."""
    yield "two numbers of one sum", moved((1, 2), (2, 1), SUM)
    yield "two small numbers", moved((0.25, 0.5), (0.5, 0.25), SUM)
    yield "from 0", moved((0, 2), (-1, 3), SUM)
    yield "from 1, to less than 0 for the other", moved((1, 0), (2, -1), SUM)
    for size in (3, 6, 7):
        right, other = np.arange(1.0, size + 1), np.arange(1, size + 1)[::-1]
        made = moved(right, other.tolist(), ("y", dense([[1.0] * size])))
        yield f"{size} numbers of one sum", made
    yield "one number, from 0", moved((0,), (-1,), ("r", Relu()), ("z", dense([[3.0]])), beside())
    ends = ("r", Relu()), SUM
    yield "two ReLUs of numbers", moved((1, 2), (2, 1), *ends)
    deaf = ("r", Relu()), ("y", dense([[1.0, 1.0, 0.0]]))
    yield "a ReLU that leaves 0", moved((1, 2, 0), (2, 1, 3), *deaf)
    yield "a ReLU of nothing", moved((1, 2), (2, 1), *nothing())
    ends = {"v.weight": 1}, {"v.weight[0, 0]": 3}, nothing()[1], ("r", Relu())
    yield "a weight of 0 out of a ReLU of nothing", claim(*ends, *_plus(0.0))
    off = ("u", dense([[1.0]], [-9.0])), ("r", Relu()), *_plus(2.0)
    yield "a weight out of a ReLU that is not active", claim(*ends[:2], *off)
    for name, made in _pools_that_stand():
        yield name, made
    yield "a weight of 0 on the way", _in_a_row(0.0)


def _plus(weight: float) -> Any:
    return ("v", dense([[weight]])), ("z", Add(), "v", "x")


def beside() -> tuple[Any, ...]:
    """Return the sum with the input, so that outputs depend on it."""
    return "out", Add(), "z", "x"


def nothing() -> Any:
    """Return a ReLU and a pool that read padding beside the sum of two numbers."""
    padded = ("s", Select(np.array([-1])), "x"), ("r", Relu())
    return ("y", dense([[1.0, 1.0]])), *padded, ("out", Concat(0), "y", "r")


def pooled(held: Any, values: Any, *cells: int, rank: int = 1, **more: Any) -> Any:
    """Return the claim about two numbers and a pool over some cells of k, x and k0 + k1.

    Cells: k0, k1, ... by their places, then the input. Outputs: the pool and the sum of k.
    """
    size = len(held)
    nodes = (
        ("c", Concat(0), "k", "x"),
        ("s", Select(np.array(cells))),
        ("p", RankPool(0, rank)),
        ("a", ONE),
        ("sum", dense([[1.0] * size]), "k"),
        ("out", Concat(0), "a", "sum"),
    )
    return moved(held, values, *nodes, **more)


def padded(held: Any, values: Any, *cells: int) -> Any:
    """Return the same for a maximum whose window has padding, -1."""
    nodes = (
        ("c", Concat(0), "k", "x"),
        ("p", MaxPool((AxisWindow(0, np.array([cells])),))),
        ("sum", dense([[1.0] * len(held)]), "k"),
        ("out", Concat(0), "p", "sum"),
    )
    return moved(held, values, *nodes)


def _pools_that_stand() -> Entries:
    yield "an input wins a pool", pooled((-1, -2), (-2, -1), 2, 0)
    yield "an input wins as the last", pooled((-1, -2), (-2, -1), 0, 2)
    yield "an input wins over both", pooled((-3, -1), (-2, -2), 0, 2, 1)
    yield "an input wins over numbers nearby", pooled((-1.5, -0.5), (-0.5, -1.5), 2, 0, 1)
    yield "a number wins a pool", _winning()
    yield "an input is met", pooled((1, -3), (0.5, -2.5), 0, 2)
    yield "an input was met", pooled((0.5, -2.5), (1, -3), 0, 2)
    yield "a pool with padding first", padded((-1, -2), (-2, -1), -1, 2, 0)
    yield "a pool with padding last", padded((-1, -2), (-2, -1), 2, 0, -1)
    yield "a pool below 0 with padding", _low(-1)
    yield "two equal cells", pooled((-1, -2), (-2, -1), 2, 2, 0)


def _winning() -> Any:
    """The sum of a number that wins a pool and of another."""
    pool = ("c", Concat(0), "x", "k"), ("s", Select(np.array([1, 0]))), ("p", RankPool(0, 1))
    last = ("a", ONE), ("o", Select(np.array([1])), "k"), ("y", Add(), "a", "o")
    return moved((3, 2), (4, 1), *pool, *last)


def _low(*pads: int) -> Any:
    """A maximum below 0, of an entry of the input that stays the largest."""
    nodes = (
        ("n", dense([[-1.0]]), "x"),
        ("c", Concat(0), "k", "n"),
        ("p", MaxPool((AxisWindow(0, np.array([[*pads, 0, 2]])),))),
        ("sum", dense([[1.0, 1.0]]), "k"),
        ("out", Concat(0), "p", "sum"),
    )
    return moved((-5, -6), (-6, -5), *nodes)


@numbered
def forged() -> Entries:
    """Yield (line that stops it | what it is, certificate)."""
    right = moved((1, 2), (2, 1), SUM)
    one = {"values": (Fraction(3),)}
    yield "each once | one too many", changed(right, columns=np.array([2]), **one)
    yield (
        "must be a list of integers | a matrix",
        refusal(lambda: changed(right, columns=right.columns[None])),
    )
    free = so.Identifiability(right.problem.network, None, right.problem.free)
    searched = changed(right.evidence, inputs=np.array(FEW))
    yield "the problem has inputs | none", changed(right, problem=free, evidence=searched)
    full = moved((1, 2), (2, 1), ("y", dense([[1, 1], [1, 2]])))
    rank = so.solve(full.problem, solver="jacobian_rank").certificate
    answer = changed(full.answer, rank=2, gap=0)
    line = "the rank that is proved leaves a direction open | "
    yield line + "it is full", changed(full, answer=answer, evidence=rank.evidence)
    yield from _figures()
    yield from _cuts()
    yield from _switches()


def _figures() -> Entries:
    line = "no parameter changes its sign | "
    yield line + "to 0", moved((1, 2), (0, 3), SUM)
    yield line + "to less than 0", moved((1, 2), (-1, 4), SUM)
    line = "outputs at every input | "
    yield line + "the second output", moved((1, 2), (2, 1), ("y", dense([[1, 1], [1, 2]])))
    low = ("r", Relu()), ("z", dense([[3.0]])), beside()
    yield line + "a ReLU of less than 1", moved((0.25,), (0.5,), *low)
    yield line + "an input itself", moved((1,), (2,), ("out", Concat(0), "x", "k"))


def _in_a_row(weight: float, first: float = 2.0) -> Any:
    """Return the claim about a weight and a bias that a second weight leads to another bias."""
    free = {"u.bias": 1, "v.bias": 1}
    nodes = ("u", dense([[1.0]], [first])), ("v", dense([[weight], [1.0]], [1.0, 5.0])), SUM
    values = {"u.bias[0]": 3, "v.bias[0]": 2, "v.bias[1]": 3}
    return claim(free, values, *nodes)


def _cuts() -> Entries:
    line = "no path meets two parameters that differ | "
    free, twice = {"u.weight": 1, "y.weight": 1}, {"u.weight[0, 0]": 4, "y.weight[0, 0]": 1}
    first, last = ("u", dense([[2.0]])), ("y", dense([[2.0]]))
    yield line + "two weights", claim(free, twice, first, last)
    yield line + "behind a ReLU", claim(free, twice, first, ("r", Relu()), last)
    free, twice = {"u.bias": 1, "y.weight": 1}, {"u.bias[0]": 4, "y.weight[0, 0]": 1}
    first = ("u", dense([[0.0]], [2.0]))
    yield line + "a bias and a weight", claim(free, twice, first, last)
    pool = ("c", Concat(0), "u", "x"), ("p", RankPool(0, 1)), ("a", ONE)
    yield line + "a bias, a pool, a weight", claim(free, twice, first, *pool, last)
    pool = ("c", Concat(0), "x", "u"), *pool[1:]
    yield line + "a bias, a pool's second cell, a weight", claim(free, twice, first, *pool, last)
    middle = ("v", dense([[3.0]]))
    yield line + "a bias, a constant, a weight", claim(free, twice, first, middle, last)


def _switches() -> Entries:
    line = "no ReLU or pool switches between the two networks | "
    kinks = ("d", dense([[1.0, -1.0], [1.0, 1.0]])), ("r", Relu())
    yield line + "a ReLU", moved((1, 3), (3, 1), *kinks, ("y", dense([[0.0, 1.0]])))
    yield line + "a ReLU, and one that does not", moved((1, 3), (3, 1), *kinks, SUM, inputs=LINE)
    behind = ("s", dense([[1, 1], [0, 1]])), ("q", Relu()), ("y", dense([[1, 2]]))
    yield line + "a ReLU before others", moved((1, 3), (3, 1), *kinks, *behind)
    pools = ("t", RankPool(0, 1)), ("a", ONE), ("c", Concat(0), "a", "x"), ("p", RankPool(0, 1))
    yield line + "a pool before another", moved((4, 3), (3, 4), *pools, ("out", ONE))
    yield line + "a pool", pooled((1, 3), (3, 1), 0, 1)
    yield line + "a pool of three", pooled((1, 3, -9), (3, 1, -9), 0, 2, 1)
    yield line + "a pool that an input wins once", pooled((1, 3), (3, 1), 0, 2, inputs=LINE)
    yield "pools take the largest entry | the second", pooled((-1, -2), (-2, -1), 0, 1, 2, rank=2)
