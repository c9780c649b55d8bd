"""Claims about small networks: what moves is named in words, and the certificate made of it.

Parameters are named as ``y.weight[0, 1]`` and neurons as ``unit 1 of 'u'``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.guarantees.families import Structure, described
from sparseopt.guarantees.rank import RankEvidence
from sparseopt.guarantees.second_network import SecondNetworkCertificate, moved_words
from sparseopt.guarantees.structural import StructuralCertificate
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Reshape, Select
from sparseopt.networks.window import AxisWindow, MaxPool

PRIME = 4194301
NOTHING = np.zeros((0, 2), dtype=int), np.zeros(0, dtype=int)
POINTS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 3.0], [-1.0, 4.0]])
LINE = np.array([[1.0], [2.0], [5.0], [-3.0]])
Entries = Iterator[tuple[str, Any]]


def dense(weight: Any, bias: Any = None) -> Dense:
    """Return a dense layer of lists."""
    held = None if bias is None else np.array(bias, dtype=float)
    return Dense(np.array(weight, dtype=float), held)


def network(size: int | tuple[int, ...], *nodes: tuple[Any, ...], **origins: Any) -> Network:
    """Return the network of (name, layer, *inputs); a layer without inputs reads the one before."""
    made = [Node("x", Input((size,) if isinstance(size, int) else size))]
    for name, op, *inputs in nodes:
        read = tuple(inputs) or (made[-1].name,)
        made.append(Node(name, op, read, dict(origins.get(name, {}))))
    return Network(tuple(made), made[-1].name)


def asked(found: Network, inputs: Any, free: Mapping[str, Any]) -> so.Identifiability:
    """Return the problem in which only the given masks are free; 1 frees a whole array."""
    arrays = found.parameters()
    none = {name: np.zeros(a.shape, dtype=bool) for name, a in arrays.items()}
    masks = {k: np.broadcast_to(np.array(v, dtype=bool), none[k].shape) for k, v in free.items()}
    return so.Identifiability(found, inputs, {**none, **masks})


def place(problem: so.Identifiability, words: str) -> int:
    """Return the number of a parameter or of a neuron."""
    if words.startswith(("unit ", "entry ")):
        return next(n for n in range(problem.wires.count) if problem.wires.words(n) == words)
    columns = range(problem.parameters.count)
    return next(c for c in columns if problem.parameters.name(c) == words)


def family(problem: so.Identifiability, kind: str, *places: str) -> so.Family:
    """Return a family of named places."""
    return so.Family(kind, tuple(place(problem, words) for words in places))


def evidence(problem: so.Identifiability, inputs: Any = None, rows: Any = NOTHING) -> RankEvidence:
    """Return the evidence of a rank, 0 unless rows are given."""
    return RankEvidence(inputs, PRIME, *rows)


def structural(
    problem: so.Identifiability, *families: so.Family, any_data: bool = False, inputs: Any = None
) -> StructuralCertificate:
    """Return the claim that families of directions are open."""
    try:
        pattern = None if any_data else problem.pattern
        words = described(Structure(problem.wires, pattern), families)
    except (LookupError, AssertionError):
        words = ()
    answer = problem.verdict("not_identifiable", 0, words)
    return StructuralCertificate(problem, answer, evidence(problem, inputs), families, any_data)


def second(problem: so.Identifiability, values: Mapping[str, Any]) -> SecondNetworkCertificate:
    """Return the claim that other values of named parameters give the same outputs."""
    columns = np.array([place(problem, words) for words in values])
    answer = problem.verdict("not_identifiable", 0, (moved_words(problem, columns),))
    exact = tuple(Fraction(value) for value in values.values())
    return SecondNetworkCertificate(problem, answer, evidence(problem), columns, exact)


def pruned() -> Iterator[tuple[str, so.Identifiability, int, so.Family | None]]:
    """Yield (name, problem, orbit, family): networks with a pruned unit, all identifiable, each
    with a direction that is a rescaling, but would be none if what holds 0 tied others."""
    rows, ends = ("u", dense([[2], [0], [3]])), ("y", dense(np.diag([5, 7])))

    def pool(*cells: list[int]) -> tuple[Any, ...]:
        windows = AxisWindow(0, np.arange(sum(map(len, cells))).reshape(len(cells), -1))
        return ("s", Select(np.concatenate(cells))), ("p", MaxPool((windows,)))

    factors = ("f", Scale(np.array([1.5, 2.0, 0.5]))), *pool([0, 1], [2, 1])
    sums = ("h", Select(np.array([0, 2])), "u"), ("z", Select(np.array([1, 1])), "u")
    fan = "v", dense([[1.5, 0, 0], [0, 4, 0], [0, 5, 0], [0, 0, 2.5]])
    tensor, once = dense([[3.0, 2.0]]), {"weight": "tensor"}
    halves = ("w", tensor), ("r", dense([[5, 0], [0, 0]]), "x"), ("t", tensor, "r")
    both = ("k", dense([[4, 7]]), "r"), ("c", Concat(0), "w", "t", "k")
    pairs = ("s", Select(np.array([[0, 1], [2, 1]]))), ("h", tensor), ("f", Reshape((2,)))
    one = ("y", dense([[0, 7]]))
    zeros = ("u", dense([[0], [0]])), ("s", Select(np.array([[1], [0]]))), ("h", dense([[3]]))
    last = ("f", Reshape((2,))), ("k", dense([[0, 7]]), "u"), ("c", Concat(0), "f", "k")
    for name, found, orbit, *words in (
        ("pools of factors", network(1, rows, *factors, ends), 2),
        ("sums", network(1, rows, *sums, ("a", Add(), "h", "z"), ends), 2),
        (
            "pools of what a pruned unit feeds",
            network(1, rows, fan, *pool([0, 1, 2], [3, 1, 2]), ends),
            6,
            "constant",
            "v.weight[1, 1]",
        ),
        (
            "a tensor that another layer has",
            network(2, *halves, *both, w=once, t=once),
            1,
            "constant",
            "k.weight[0, 1]",
        ),
        ("two places", network(1, rows, *pairs, one), 4, "unheard", "u.weight[0, 0]"),
        ("beside a 0 that is free", network(1, *zeros, *last), 2, "constant", "k.weight[0, 1]"),
    ):
        free = {"u.weight": [[1], [0]]} if "free" in name else None
        problem = so.Identifiability(found, POINTS if found.input_shape == (2,) else LINE, free)
        yield name, problem, orbit, family(problem, *words) if words else None
