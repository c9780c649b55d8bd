"""Verdicts against exact ranks over the rationals, of drawn networks and of every wiring."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import identifiability_oracle as oracle
import identifiable_networks as networks
import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Permute, Relu, Reshape, Select
from sparseopt.networks.window import AxisMap, RankPool, Resample


def solve(*args: Any, **options: Any) -> so.Solution:
    solution = so.solve(so.Identifiability(*args), **options)
    assert solution.certificate is None or so.verify(solution.certificate).ok
    return solution


def drawn(seed: int) -> tuple[Any, np.ndarray, bool]:
    """Return layers, inputs, and whether all entries are free."""
    rng = np.random.default_rng(seed)
    sizes = [int(v) for v in rng.integers(1, 4, rng.integers(3, 5))]
    layers = []
    for a, b in pairwise(sizes):
        weight, bias = (rng.integers(-4, 5, shape) * 1.0 for shape in ((b, a), (b,)))
        if rng.random() < 0.3:
            weight[rng.random(weight.shape) < 0.4] = 0
        layers.append((weight, bias))
    if rng.random() < 0.2 and sizes[1] > 1:
        layers[0][0][1], layers[0][1][1] = 2 * layers[0][0][0], 2 * layers[0][1][0]
    inputs = rng.integers(-6, 7, (rng.integers(1, 25), sizes[0])) * 1.0
    return layers, inputs, bool(rng.random() < 0.5)


@pytest.mark.parametrize("seed", range(40))
def test_verdicts_agree_with_exact_ranks(seed: int) -> None:
    layers, inputs, everything = drawn(seed)
    network = networks.mlp(layers)
    free = networks.all_free(network)
    if not everything:
        for name, array in network.parameters().items():
            if name.endswith("weight"):
                free[name] = array != 0
    regular = [i for i, x in enumerate(inputs) if oracle.is_regular(layers, x)]
    solution = solve(network, inputs, free if everything else None)
    answer = solution.answer
    assert [i for i in range(len(inputs)) if i not in regular] == [i for i, _ in answer.excluded]
    rank = oracle.exact_rank(network, free, inputs[regular]) if regular else 0
    assert answer.value != "identifiable" or rank == answer.bound
    assert answer.value != "not_identifiable" or rank < answer.bound
    assert solution.certificate is None or answer.rank == rank


def test_exact_ranks_of_other_layers() -> None:
    for name in ("pooled", "skip", "tied"):
        network, inputs, free = networks.CASES[name]()
        answer = solve(network, inputs, free).answer
        kept = np.setdiff1d(np.arange(len(inputs)), [i for i, _ in answer.excluded])[:7]
        ties = [("a.weight", "c.weight")] if name == "tied" else []
        rank = oracle.exact_rank(network, dict(free), inputs[kept], ties)
        assert rank == solve(network, inputs[kept], free).answer.rank


def test_wiring() -> None:
    """Every kind of wiring, and a factor that is free; zeros that a pool reads are cells."""
    rng = np.random.default_rng(0)
    means = AxisMap(0, np.array([[0, 1], [2, 3]]), np.ones((2, 2)), np.array([2, 2]))
    network = chain(
        (4,),
        Dense(rng.integers(1, 9, (4, 4)) * (-1.0) ** np.arange(4), rng.integers(1, 9, 4) * 1.0),
        Scale(np.array([1.0, -2.0, 3.0, 1.0]), np.array([1.0])),
        Relu(),
        Resample((means,)),
        Dense(rng.integers(-8, 9, (4, 2)) * 1.0, rng.integers(1, 9, 4) * 1.0),
        Select(np.array([3, 2, -1, 0, 1, 2])),
        Reshape((2, 3)),
        Permute((1, 0)),
        RankPool(1, 2),
        Dense(rng.integers(1, 9, (2, 3)) * 1.0),
    )
    inputs = rng.integers(-20, 21, (30, 4)).astype(np.float32)
    free = {"1:Scale.factor": np.array([1, 1, 0, 0])}
    answer = solve(network, inputs, free).answer
    kept = np.setdiff1d(np.arange(30), [index for index, _ in answer.excluded])
    assert len(kept) > 10
    masks = so.Identifiability(network, inputs, free).masks
    assert answer.rank == oracle.exact_rank(network, masks, inputs[kept])
