"""Chains: curves over a cut, parts, factors peeled off, pairs led through; no two contradict."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sparseopt_closedness.chain_curves import ChainCurves
from sparseopt_closedness.chain_reduction import ChainReduction, through_pair
from sparseopt_closedness.peeled_chains import PeeledChains

import sparseopt as so
from sparseopt.closedness.chain_parts import unpeeled
from sparseopt.closedness.proofs.chain_cases import chain_support
from sparseopt.closedness.proofs.chain_steps import shorten


def draw(size: int, count: int, density: float, seed: int) -> list[np.ndarray]:
    """Return random square factors, each with a perfect matching."""
    rng = np.random.default_rng(seed)
    factors = []
    for _ in range(count):
        factor = rng.random((size, size)) < density
        factor[np.arange(size), rng.permutation(size)] = True
        factors.append(factor)
    return factors


def verdict(solver: Any, problem: so.Closedness) -> str:
    """Return what a solver proves, checked after a round trip through JSON."""
    try:
        _, certificate = solver.solve(problem, so.Context(time_limit=2.0))
    except (so.Inconclusive, so.SolveError):
        return "unknown"
    check = so.verify(so.from_json(so.to_json(certificate)))
    assert check.ok, check
    assert certificate.explain()
    return str(certificate.answer.value)


@pytest.mark.parametrize(
    ("size", "count", "density"),
    [(6, 3, 0.25), (8, 3, 0.25), (8, 3, 0.35), (12, 3, 0.2), (12, 3, 0.3), (12, 4, 0.15)],
)
def test_chains_that_were_undecided(size: int, count: int, density: float) -> None:
    for seed in range(4):
        solution = so.solve(so.Closedness(draw(size, count, density, seed)), time_limit=10.0)
        assert solution.answer.value == "not_closed", seed
        assert so.verify(so.Solution.from_json(solution.to_json())).ok


def test_no_two_proofs_contradict() -> None:
    rng = np.random.default_rng(5)
    met: dict[str, set[str]] = {"curves": set(), "peeled": set(), "through": set()}
    for _ in range(120):
        count = int(rng.integers(3, 5))
        sizes = [int(v) for v in rng.integers(1 if rng.random() < 0.2 else 2, 4, count + 1)]
        density = rng.uniform(0.3, 0.95)
        supports = [rng.random(shape) < density for shape in pairwise(sizes)]
        problem = so.Closedness(supports)
        step = through_pair(problem.supports, so.Context())
        found = {
            "curves": verdict(ChainCurves(), problem),
            "peeled": verdict(PeeledChains(), problem),
            "through": "unknown" if step is None else "closed",
            "reduction": verdict(ChainReduction(), problem),
        }
        if step is not None:
            (left,) = shorten(problem.supports, step)
            assert np.array_equal(left, chain_support(problem.supports))
        for name in met:
            met[name].add(found[name])
        assert len(set(found.values()) - {"unknown"}) <= 1, supports
    assert "not_closed" in met["curves"]
    assert "closed" in met["peeled"]
    assert "closed" in met["through"]


def test_butterflies_are_peeled() -> None:
    """Without knowing their patterns, in any order of the rows, units and columns."""
    rng = np.random.default_rng(0)
    for size in (8, 16):
        supports = [pattern.support() for pattern in so.Architecture.square_dyadic(size)]
        orders = [rng.permutation(size) for _ in range(len(supports) + 1)]
        mixed = [s[a][:, b] for s, a, b in zip(supports, orders, orders[1:], strict=False)]
        assert verdict(PeeledChains(), so.Closedness(mixed)) == "closed"


def test_a_factor_is_peeled_off_as_defined() -> None:
    """The condition, by its words, on random chains."""
    rng = np.random.default_rng(1)
    bad = 0
    for _ in range(200):
        first, near, last = (rng.random((3, 3)) < 0.5 for _ in range(3))
        whole = chain_support([first, near])
        expected = None
        for k in range(3):
            for other in range(3):
                meet = (whole[:, k] & whole[:, other]).any() and (last[k] & last[other]).any()
                below = (near[:, k] <= near[:, other]).all() and (last[other] <= last[k]).all()
                above = (near[:, other] <= near[:, k]).all() and (last[k] <= last[other]).all()
                if meet and not below and not above and expected is None:
                    expected = (k, other)
        assert unpeeled((first, near, last)) == expected
        bad += expected is not None
    assert 20 < bad < 190


def test_a_pair_says_nothing_by_itself() -> None:
    """The two statements that are false without their conditions."""
    lower, upper = [[1, 0], [1, 1]], [[1, 1], [0, 1]]
    for chain in ([lower, upper, lower], [[[1, 0], [1, 0]], lower, upper]):
        assert verdict(ChainCurves(), so.Closedness(chain)) == "unknown"
    merge = [[[1, 0], [1, 1], [0, 1]], [[1, 0], [0, 1]], [[1, 1], [1, 1]]]
    assert through_pair([np.array(s, dtype=bool) for s in merge], so.Context()) is None
    one_way = [
        [[1, 0, 0], [1, 1, 1], [1, 1, 1]],
        [[0, 1, 1], [0, 0, 0], [1, 0, 0]],
        [[1, 0], [1, 0], [0, 1]],
    ]
    assert verdict(PeeledChains(), so.Closedness(one_way)) == "unknown"
    assert so.solve(so.Closedness(one_way)).answer.value == "not_closed"


def test_fields_and_odd_shapes() -> None:
    rng = np.random.default_rng(2)
    for field in ("real", "complex"):
        solution = so.solve(so.Closedness(draw(8, 3, 0.35, 0), field))
        assert solution.answer.value == "not_closed"
        assert so.verify(solution).ok
    for sizes in ((1, 1, 1, 1), (1, 4, 3, 1), (4, 1, 4, 2), (2, 5, 1, 3)):
        for density in (0.0, 0.6, 1.0):
            problem = so.Closedness([rng.random(shape) < density for shape in pairwise(sizes)])
            found = {verdict(s, problem) for s in (ChainCurves(), PeeledChains(), ChainReduction())}
            assert "not_closed" not in found or density == 0.6
