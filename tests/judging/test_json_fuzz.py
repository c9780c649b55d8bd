"""Whatever a JSON file holds, reading and verifying it ends in an answer or one clear error."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from time_limits import limited

import sparseopt as so

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**64), 10**30, 0.5, -1e308, 1e-320, "", "x",
    "\x1b[2J", [], [[]], {}, {"$fraction": "1/3"}, {"$fraction": "1/0"}, {"$float": "nan"},
    {"$float": "inf"}, {"$tuple": []}, {"$map": []}, {"$map": [[0, 0]]}, {"$complex": [0.0, 1.0]},
    {"$ref": "/problem"}, {"$ref": ""},
    {"$array": {"dtype": "<f8", "shape": [0, 3], "values": []}},
    {"$array": {"dtype": "|b1", "shape": [1, 1], "values": [True]}},
    {"$array": {"dtype": "object", "shape": [1], "values": [1]}},
    {"$type": "sparseopt:ClosednessVerdict", "value": "closed", "reason": ""},
)  # fmt: skip


def solutions() -> Iterator[so.Solution]:
    rng = np.random.default_rng(0)
    yield so.solve(so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]))
    yield so.solve(so.Closedness([[[1, 1, 0], [1, 1, 1]], [[1, 1], [1, 1], [0, 1]]]))
    yield so.solve(so.NearestClosedSupport([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]))
    yield so.solve(so.SparseTraining([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]))
    target = rng.standard_normal((4, 4))
    yield so.solve(so.ButterflyFactorization(target, so.Architecture.square_dyadic(4)))
    supports = [np.ones((2, 1)), np.ones((1, 2))]
    yield so.solve(so.FixedSupportFactorization(target[:2, :2], supports))
    design = rng.standard_normal((4, 6))
    yield so.solve(so.SparseRegression(design, design[:, 0], so.L1(0.1)))
    groups = so.GroupL1(0.1, [[0, 1], [2, 3, 4], [5]])
    yield so.solve(so.SparseRegression(design, design[:, 0], groups))
    network = so.load_network("examples/networks/digits_mlp.onnx")
    small = _small(network)
    yield so.solve(so.PathNorm(small))
    yield so.solve(so.PathNorm(small, q=0))
    yield so.solve(so.LipschitzBound(small))
    yield so.solve(so.PathCost(small))
    yield so.solve(so.PathDistance(small, small))


def _small(network: so.Network) -> so.Network:
    from sparseopt.networks.linear import Dense
    from sparseopt.networks.network import chain
    from sparseopt.networks.operator import Relu

    return chain(
        (2,),
        Dense(np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([1.0, -1.0])),
        Relu(),
        Dense(np.array([[3.0, -1.0]])),
    )


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of everything below a node."""
    items: Any = ()
    if isinstance(node, dict):
        items = list(node.items())
    elif isinstance(node, list):
        items = list(enumerate(node))
    for key, value in items:
        yield node, key
        yield from places(value)


def replaced(body: Any, rng: random.Random) -> None:
    container, key = rng.choice(list(places(body)))
    container[key] = copy.deepcopy(rng.choice(ODD))


def removed(body: Any, rng: random.Random) -> None:
    container, key = rng.choice(list(places(body)))
    del container[key]


def swapped(body: Any, rng: random.Random) -> None:
    spots = list(places(body))
    (a, i), (b, j) = rng.choice(spots), rng.choice(spots)
    a[i], b[j] = copy.deepcopy(b[j]), copy.deepcopy(a[i])


def renamed(body: Any, rng: random.Random) -> None:
    dicts = [c[k] for c, k in places(body) if isinstance(c[k], dict) and c[k]]
    chosen = rng.choice(dicts)
    key = rng.choice(list(chosen))
    chosen[rng.choice([key + "x", "$type", "$ref", "$map", ""])] = chosen.pop(key)


def wrapped(body: Any, rng: random.Random) -> None:
    container, key = rng.choice(list(places(body)))
    for _ in range(rng.choice([1, 2, 160])):
        container[key] = [container[key]]


def cut(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text))
    return text[:place] + rng.choice(["", "0", "9" * 30, "]", "}", '"', "\x00", "é"]) + text[
        place + rng.randrange(3) :
    ]  # fmt: skip


EDITS: tuple[Callable[[Any, random.Random], None], ...] = (
    replaced, removed, swapped, renamed, wrapped,
)  # fmt: skip


def ended(text: str) -> str:
    try:
        check = so.verify(so.from_json(text))
    except so.ProblemError:
        return "unreadable"
    str(check)
    return check.outcome


@pytest.mark.slow
@pytest.mark.parametrize("number", range(13))
@pytest.mark.filterwarnings("ignore")
def test_an_edited_file_is_an_answer_or_one_error(number: int) -> None:
    solution = list(solutions())[number]
    text, rng = solution.to_json(), random.Random(number)
    ends = {"accepted": 0, "refused": 0, "relies on": 0, "unreadable": 0}
    for _ in range(800):
        body = json.loads(text)
        for _ in range(rng.choice([1, 1, 2, 3])):
            rng.choice(EDITS)(body, rng)
        edited = json.dumps(body) if rng.random() < 0.8 else cut(text, rng)
        with limited(20.0):
            ends[ended(edited)] += 1
    assert ends["unreadable"] > 100
    assert ends["accepted"] < 400, ends
