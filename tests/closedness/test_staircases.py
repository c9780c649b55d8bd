"""Families that are free by a staircase: the proof in exact arithmetic, and the search."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import sympy as sp
from sparseopt_closedness.matched_search import Whole, whole_limit
from sparseopt_closedness.matched_windows import window_limit
from sparseopt_closedness.reduction import closed_as_it_is
from sparseopt_closedness.staircases import staircase

import sparseopt as so
from sparseopt.closedness.proofs.free_evidence import EVIDENCE
from sparseopt.closedness.proofs.observed import start


def draw(rng: np.random.Generator, shape: tuple[int, int, int], density: float) -> Any:
    """Return the observed problem of random supports without empty rows and columns."""
    m, r, n = shape
    while True:
        left, right = rng.random((m, r)) < density, rng.random((r, n)) < density
        if left.any(axis=1).all() and right.any(axis=0).all():
            return start(left, right)


def factors(left: np.ndarray, right: np.ndarray, evidence: Any, target: Any, seed: int) -> Any:
    """Return factors of a target, by the steps of the proof of `Staircase`."""
    _, full, order, _ = evidence
    (m, r), n = left.shape, right.shape[1]
    rng = np.random.default_rng(seed)
    x, y = sp.zeros(m, r), sp.zeros(r, n)
    own = [k for k, _ in full]
    for k in own:
        x[:, k] = sp.Matrix([int(rng.integers(-9, 10)) if left[i, k] else 0 for i in range(m)])
    span = x.extract(list(range(m)), own)
    away = sp.Matrix([list(v) for v in span.T.nullspace()]) if own else sp.eye(m)
    rest = target.copy()
    while away and (rank := (away * rest).rank()):
        seen = away * rest
        term = order[rank - 1]
        basis = seen.columnspace()
        p = sp.Matrix.hstack(*basis)
        coordinates = (p.T * p).inv() * p.T * seen
        rows = [i for i in range(m) if left[i, term]]
        lacks = [j for j in range(n) if not right[term, j]]
        reached = away.extract(list(range(away.rows)), rows)
        pairs = sp.Matrix.hstack(p, -reached).nullspace()
        others = (
            coordinates.extract(list(range(rank)), lacks).T.nullspace()
            if lacks
            else [sp.eye(rank)[:, c] for c in range(rank)]
        )
        one, other, value = next(
            (u, q, (q.T * u[:rank, :])[0])
            for u, q in product(pairs, others)
            if (q.T * u[:rank, :])[0]
        )
        own_x = sp.zeros(m, 1)
        for place, i in enumerate(rows):
            own_x[i] = one[rank + place] / value
        x[:, term], y[term, :] = own_x, other.T * coordinates
        rest = target - x * y
    if own:
        y_own = (span.T * span).inv() * span.T * rest
        for place, k in enumerate(own):
            y[k, :] = y_own[place, :]
    return x, y


def hard_target(rng: np.random.Generator, m: int, n: int) -> Any:
    """Return a sparse, low-rank or permuted target, or one with equal columns."""
    kind = int(rng.integers(4))
    if kind == 0:
        values = rng.integers(-1, 2, (m, n)) * (rng.random((m, n)) < 0.4)
    elif kind == 1:
        values = np.outer(rng.integers(-2, 3, m), rng.integers(-2, 3, n))
    elif kind == 2:
        values = np.eye(max(m, n), dtype=int)[rng.permutation(max(m, n))][:m, :n]
    else:
        values = np.repeat(rng.integers(-2, 3, (m, 1)), n, axis=1)
        values[:, 0] = rng.integers(-2, 3, m)
    return sp.Matrix(values.tolist())


def test_the_proof_gives_factors_of_every_target() -> None:
    rng = np.random.default_rng(0)
    done = helped = 0
    while done < 40:
        shape = tuple(int(v) for v in rng.integers(2, 5, 3))
        state = draw(rng, shape, rng.uniform(0.6, 0.9))  # type: ignore[arg-type]
        evidence = staircase(state)
        if evidence is None or len(state.origin) != shape[1]:
            continue
        left, right = state.left, state.right
        if evidence[0] == "staircase_t":
            left, right = right.T, left.T
        helped += any(evidence[3])
        for _ in range(2):
            target = hard_target(rng, left.shape[0], right.shape[1])
            x, y = factors(left, right, evidence, target, done)
            assert x * y == target
            assert not any(x[i, k] for i, k in product(*map(range, x.shape)) if not left[i, k])
            assert not any(y[k, j] for k, j in product(*map(range, y.shape)) if not right[k, j])
        done += 1
    assert helped > 3


def test_what_is_found_holds_and_contradicts_no_curve() -> None:
    rng = np.random.default_rng(1)
    closed = open_ones = 0
    for _ in range(300):
        m, r, n = (int(v) for v in rng.integers(1, 6, 3))
        state = draw(rng, (m, r, n), rng.uniform(0.4, 1.0))
        evidence = staircase(state)
        limit = whole_limit(Whole.of(state.left, state.right, rng))
        if limit is None and m * r * n < 60:
            limit = window_limit(state.left, state.right)
        assert evidence is None or limit is None
        if evidence is not None:
            EVIDENCE.read(evidence, ("evidence",)).check(state)
            closed += 1
        open_ones += limit is not None
    assert closed > 80
    assert open_ones > 30


def test_bottlenecks_reach_every_matrix_up_to_their_rank() -> None:
    """Targets by the steps of the proof; no curve; and the solvers agree."""
    rng = np.random.default_rng(2)
    done = 0
    while done < 40:
        m, r, n = (int(v) for v in (rng.integers(3, 6), rng.integers(2, 4), rng.integers(3, 6)))
        state = draw(rng, (m, r, n), rng.uniform(0.7, 1.0))
        if len(state.origin) != r or r >= min(m, n) or closed_as_it_is(state) != ["rank"]:
            continue
        left, right = state.left, state.right
        assert window_limit(left, right) is None
        lacks = (~left).sum(axis=0) + (~right).sum(axis=1)
        evidence = "staircase", [], np.argsort(lacks, kind="stable").tolist(), [[]] * r
        ranks = [int(v) for v in rng.integers(0, r + 1, 2)] + [r]
        for rank in ranks:
            target = sp.Matrix(
                (rng.integers(-2, 3, (m, rank)) @ rng.integers(-2, 3, (rank, n))).tolist()
            )
            x, y = factors(left, right, evidence, target, done)
            assert x * y == target
            assert not any(x[i, k] for i, k in product(range(m), range(r)) if not left[i, k])
            assert not any(y[k, j] for k, j in product(range(r), range(n)) if not right[k, j])
        done += 1


def test_a_bottleneck_of_which_every_term_lacks_a_row_is_not_closed() -> None:
    supports = [[[1, 0], [0, 1], [1, 1]], [[1, 1, 1], [1, 1, 1]]]
    assert so.solve(so.Closedness(supports)).answer.value == "not_closed"
    assert closed_as_it_is(start(*so.Closedness(supports).supports)) is None


def test_a_random_support_that_only_its_rank_proves_closed() -> None:
    left = [[1, 0, 1], [1, 1, 1], [1, 1, 0], [1, 1, 0]]
    solution = so.solve(so.Closedness([left, np.ones((3, 4), dtype=int)]))
    assert solution.answer.value == "closed"
    assert solution.certificate.proof == ["components", [["rank"]]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("size", "density", "least"), [(8, 0.9, 9), (12, 0.9, 8), (24, 0.95, 4), (50, 0.97, 2)]
)
def test_dense_supports(size: int, density: float, least: int) -> None:
    found = 0
    for seed in range(10 if size < 20 else 4 if size < 50 else 2):
        rng = np.random.default_rng(seed)
        supports = [rng.random((size, size)) < density, rng.random((size, size)) < density]
        solution = so.solve(so.Closedness(supports), block=("limit_curves",), time_limit=20.0)
        assert solution.answer.value != "not_closed"
        if solution.answer.value == "closed":
            assert so.verify(so.Solution.from_json(solution.to_json())).ok
            assert "staircase" in str(solution.certificate.proof[2][0])  # type: ignore[attr-defined]
            found += 1
    assert found >= least
