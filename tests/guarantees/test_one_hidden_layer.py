"""Networks of one hidden layer, near and far, against subsets gone through in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Relu
from sparseopt.networks.parameters import exact


def two_layers(w: Any, b: Any, u: Any, c: Any) -> Network:
    first, last = (
        Dense(np.asarray(weight, dtype=float), None if bias is None else np.asarray(bias))
        for weight, bias in ((w, b), (u, c))
    )
    return chain((first.weight.shape[1],), first, Relu(), last)


def solve(network: Network, **options: Any) -> so.Solution:
    solution = so.solve(so.Identifiability(network), **options)
    assert solution.certificate is None or so.verify(solution.certificate).ok
    return solution


def turnable(w: np.ndarray, u: np.ndarray) -> list[tuple[int, ...]]:
    """All sets of units whose products add up to 0."""
    inner, outer = exact(w), exact(u)
    units = range(len(w))
    return [
        chosen
        for size in range(1, len(w) + 1)
        for chosen in combinations(units, size)
        if not sum(np.outer(outer[:, v], inner[v]) for v in chosen).any()
    ]


def switch(w: np.ndarray, b: np.ndarray) -> int:
    """The number of different hyperplanes."""
    rows = [[Fraction(v) for v in (*row, bias)] for row, bias in zip(w, b, strict=True)]
    heads = [next(v for v in row if v) for row in rows]
    return len({tuple(v / head for v in row) for row, head in zip(rows, heads, strict=True)})


@pytest.mark.parametrize("seed", range(150))
def test_against_all_subsets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, outputs, n = rng.integers(1, 3), rng.integers(1, 3), int(rng.integers(1, 8))
    w, u = (rng.integers(-2, 3, size=s).astype(float) for s in ((n, inputs), (outputs, n)))
    b, c = rng.integers(-4, 5, size=n) / 2, rng.integers(-4, 5, size=outputs) / 2
    network = two_layers(w, b, u, c)
    free = {name: np.ones(a.shape, dtype=bool) for name, a in network.parameters().items()}
    solution = so.solve(so.Identifiability(network, None, free), solver="one_hidden_layer")
    if not w.any(axis=1).all() or not u.any(axis=0).all() or switch(w, b) < n:
        assert solution.answer.value == "unknown"
        return
    assert so.verify(solution.certificate).ok
    sets = turnable(w, u)
    assert solution.answer.value == "identifiable"
    assert solution.answer.everywhere is (not sets)
    if not sets:
        return
    turned = list(solution.certificate.turned)
    assert tuple(turned) in sets
    other = two_layers(*_turn(w, b, u, c, turned))
    points = rng.integers(-8, 9, size=(40, inputs)) / 4
    np.testing.assert_array_equal(network.run(points), other.run(points))


def _turn(w: Any, b: Any, u: Any, c: Any, turned: list[int]) -> tuple[Any, ...]:
    w, b = w.copy(), b.copy()
    c = c + u[:, turned] @ b[turned]
    w[turned], b[turned] = -w[turned], -b[turned]
    return w, b, u, c


@pytest.mark.parametrize("seed", range(20))
def test_the_rank_agrees(seed: int) -> None:
    """Its hypothesis gives the full rank, which another engine finds at inputs."""
    rng = np.random.default_rng(seed)
    n, inputs, outputs = rng.integers(2, 7), rng.integers(2, 4), rng.integers(1, 4)
    w, u = rng.standard_normal((n, inputs)), rng.standard_normal((outputs, n))
    w[rng.random(w.shape) < 0.3], u[rng.random(u.shape) < 0.3] = 0.0, 0.0
    w[~w.any(axis=1)], u[:, ~u.any(axis=0)] = 1.0, 1.0
    network = two_layers(w, rng.standard_normal(n), u, rng.standard_normal(outputs))
    one = solve(network, solver="one_hidden_layer").answer
    other = solve(network, solver="jacobian_rank").answer
    assert one.value == other.value == "identifiable"
    assert (one.rank, one.orbit, one.bound) == (other.rank, other.orbit, other.bound)
    assert other.everywhere is None


def test_it_is_the_engine_of_one_hidden_layer() -> None:
    rng = np.random.default_rng(0)
    network = two_layers(
        rng.standard_normal((40, 12)), rng.standard_normal(40), rng.standard_normal((5, 40)), None
    )
    solution = solve(network)
    assert solution.solver == "one_hidden_layer"
    assert solution.answer.everywhere is True
    assert str(solution.answer).startswith("identifiable, everywhere: 720 parameters")
    again = so.from_json(so.to_json(solution))
    assert again.answer.everywhere is True
    assert so.verify(again).ok


@pytest.mark.parametrize("scale", [2.0**-300, 2.0**300])
def test_scales_do_not_matter(scale: float) -> None:
    w, b, u, c = np.array([[1.0], [1.0], [2.0]]), [0.0, 1.0, 2.5], [[1.0, 1.0, -1.0]], [0.0]
    found = solve(two_layers(w * scale, b, np.array(u) / scale, c), solver="one_hidden_layer")
    assert found.answer.everywhere is False
    assert found.certificate.turned == (0, 1, 2)


def test_many_dependent_units_are_not_decided_far_away() -> None:
    n = 40
    rng = np.random.default_rng(1)
    network = two_layers(rng.standard_normal((n, 1)), np.arange(n) / 8, np.ones((1, n)), [0.0])
    answer = solve(network, solver="one_hidden_layer").answer
    assert (answer.value, answer.everywhere) == ("identifiable", None)


@pytest.mark.parametrize(
    ("w", "b", "u"),
    [
        ([[1.0, 2.0], [2.0, 4.0]], [1.0, 2.0], [[1.0, 1.0]]),  # a copy
        ([[1.0, 2.0], [0.0, 0.0]], [1.0, 2.0], [[1.0, 1.0]]),  # a constant
        ([[1.0, 2.0], [0.0, 1.0]], [1.0, 2.0], [[1.0, 0.0]]),  # not read
    ],
)
def test_other_networks_are_left_to_other_engines(w: Any, b: Any, u: Any) -> None:
    network = two_layers(w, b, u, [0.5])
    alone = so.solve(so.Identifiability(network), solver="one_hidden_layer")
    assert alone.answer.value == "unknown"
    assert "the theorem asks for more" in str(alone.plan)
    assert solve(network).solver != "one_hidden_layer"


def test_opposite_units_are_identifiable_only_by_other_engines() -> None:
    """z and -z switch at the same inputs; turning both changes the function by 2 z, or not."""
    network = two_layers([[1.0], [-1.0]], [1.0, -1.0], [[1.0, 2.0]], [0.0])
    assert solve(network).answer.everywhere is None


def test_verdicts_of_older_files_are_read() -> None:
    network = two_layers([[1.0]], [1.0], [[2.0]], [0.0])
    text = so.to_json(so.solve(so.Identifiability(network), solver="jacobian_rank"))
    assert '"everywhere": null' in text
    old = text.replace('"everywhere": null, ', "").replace(', "everywhere": null', "")
    assert '"everywhere"' not in old
    assert so.verify(so.from_json(old)).ok


def test_everywhere_is_true_false_or_none() -> None:
    with pytest.raises(so.ProblemError, match="'identifiable', 1"):
        so.IdentifiabilityVerdict("identifiable", 1, 0, 1, 1, 0, everywhere=1)  # type: ignore[arg-type]
