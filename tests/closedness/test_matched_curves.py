"""Curves from matchings: what they decide, and that products are never taken for anything else."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from sparseopt_closedness.matched_curves import MatchedCurves
from sparseopt_closedness.matched_search import Whole, by_both, by_columns, by_trace
from sparseopt_closedness.matched_windows import equal_limit, window_limit
from sparseopt_closedness.matchings import triples

import sparseopt as so
from sparseopt.closedness.proofs.exclusion import Exclusion
from sparseopt.closedness.proofs.exclusion_ranks import peeled_rank
from sparseopt.judging.evidence import EvidenceError
from sparseopt.judging.exact import rank


def draw(size: str, densities: tuple[float, float], seed: int) -> list[np.ndarray]:
    """Return supports of a size rows x terms x columns with independent entries."""
    m, r, n = map(int, size.split("x"))
    rng = np.random.default_rng(seed)
    return [rng.random((m, r)) < densities[0], rng.random((r, n)) < densities[1]]


def found(supports: list[np.ndarray]) -> Any:
    """Return the certificate of the solver, None if it finds none; it is checked."""
    try:
        _, certificate = MatchedCurves().solve(so.Closedness(supports), so.Context(time_limit=20.0))
    except so.Inconclusive:
        return None
    check = so.verify(so.from_json(so.to_json(certificate)))
    assert check.ok, check
    assert certificate.explain()
    return certificate


@pytest.mark.parametrize(
    ("size", "densities", "seeds"),
    [
        ("8x8x8", (0.65, 0.65), range(10)),
        ("12x12x12", (0.5, 0.5), range(6)),
        ("12x12x12", (0.65, 0.65), range(6)),
        ("12x6x12", (0.8, 0.8), range(6)),
        ("10x12x784", (0.5, 0.3), range(3)),
        ("100x101x784", (0.5, 0.3), range(1)),
        ("100x100x100", (0.3, 0.3), range(1)),
        ("100x100x100", (0.5, 0.5), range(1)),
        ("100x50x100", (0.9, 0.9), range(1)),
        ("8x9x8", (0.5, 0.5), range(1)),
    ],
)
def test_supports_that_were_undecided(
    size: str, densities: tuple[float, float], seeds: range
) -> None:
    for seed in seeds:
        assert found(draw(size, densities, seed)) is not None, seed


def test_the_plan_comes_to_it_before_the_reductions_of_large_supports() -> None:
    solution = so.solve(so.Closedness(draw("100x100x100", (0.5, 0.6), 0)))
    assert solution.answer.value == "not_closed"
    assert solution.solver == "matched_curves"
    assert so.solve(so.Closedness([[[1, 1], [1, 1]]] * 2)).solver != "matched_curves"


def test_every_rule_is_used() -> None:
    """Each search by itself, and its transposed; the limits hold on both sides."""
    rng = np.random.default_rng(0)
    met = set()
    for number in range(40):
        size = (6, 6, 6) if number % 2 else (8, 5, 8)
        left, right = rng.random(size[:2]) < 0.65, rng.random(size[1:]) < 0.65
        whole = Whole.of(left, right, rng)
        for search in (by_trace, by_columns, by_both):
            for side in (whole, whole.transposed):
                limit = search(side)
                if limit is None:
                    continue
                for one, (x, y) in (
                    (limit, (side.left, side.right)),
                    (limit.transposed, (side.right.T, side.left.T)),
                ):
                    Exclusion(x[list(one.rows)], y[:, list(one.columns)], one.limit).check(
                        one.exclusion
                    )
                    met.add(one.exclusion[0])
    assert met == {"trace", "equal_columns", "equal_rows", "equal_both"}


def test_windows_of_small_supports() -> None:
    """All that is found in windows is right, and most of what is not closed is found."""
    rng = np.random.default_rng(1)
    hits = closed = 0
    for _ in range(110):
        m, r, n = (int(v) for v in rng.integers(2, 5, 3))
        density = rng.uniform(0.4, 0.9)
        supports = [rng.random((m, r)) < density, rng.random((r, n)) < density]
        limit = window_limit(*supports)
        other = so.solve(so.Closedness(supports), block=("matched_curves",), time_limit=2.0)
        if limit is not None:
            left, right = supports[0][list(limit.rows)], supports[1][:, list(limit.columns)]
            Exclusion(left, right, limit.limit).check(limit.exclusion)
            assert other.answer.value != "closed"
            hits += 1
        closed += other.answer.value == "closed"
        if limit is None:
            assert other.answer.value != "not_closed" or r > 2
    assert hits > 15
    assert closed > 40


def test_columns_that_become_equal() -> None:
    """The merge window, by its own search."""
    left, right = np.ones((2, 2), dtype=bool), np.array([[1, 1, 0], [0, 1, 1]], dtype=bool)
    limit = equal_limit(left, right, lambda: None)
    assert limit is not None
    assert limit.exclusion[0] == "equal_columns"
    assert equal_limit(right.T, left.T, lambda: None) is None


def rules(matrix: np.ndarray, left: np.ndarray, right: np.ndarray) -> list[list[Any]]:
    """Return exclusions that the rules might grant, whatever they are."""
    (m, n), r = matrix.shape, left.shape[1]
    pairs = [list(pair) for pair in combinations(range(n), 2)]
    others = [list(pair) for pair in combinations(range(m), 2)]
    trees: list[list[Any]] = [["equal_columns", i, a] for i in range(m) for a in pairs]
    trees += [["equal_columns", i, list(range(n))] for i in range(m)]
    trees += [["equal_rows", j, c] for j in range(n) for c in others]
    trees += [["trace", list(s)] for q in (1, 2) for s in permutations(range(r), q)]
    trees += [
        ["equal_both", i, a, j, c]
        for i in range(m)
        for a in pairs
        for j in range(n)
        for c in others
    ]
    return trees


def test_products_are_never_excluded() -> None:
    rng = np.random.default_rng(2)
    tried = 0
    for _ in range(150):
        m, n, r = int(rng.integers(2, 4)), int(rng.integers(2, 4)), int(rng.integers(1, 5))
        x = rng.integers(-1, 2, (m, r)) * (rng.random((m, r)) < 0.7)
        y = rng.integers(-1, 2, (r, n)) * (rng.random((r, n)) < 0.7)
        left, right = x != 0, y != 0
        matrix = (x @ y).tolist()
        for tree in rules(x @ y, left, right):
            tried += 1
            with pytest.raises(EvidenceError):
                Exclusion(left, right, matrix).check(tree)
    assert tried > 5000


def test_ranks() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        shape = rng.integers(0, 6, 2)
        matrix = (rng.integers(-2, 3, shape) * (rng.random(shape) < 0.4)).tolist()
        assert peeled_rank(matrix) == rank(matrix)


def test_three_dimensional_matchings() -> None:
    """Distinct rows, terms and columns, in the supports, off the forbidden cells."""
    rng = np.random.default_rng(4)
    lines = (np.arange(9), np.arange(7), np.arange(8))
    full = 0
    for _ in range(60):
        left, right = rng.random((9, 7)) < 0.5, rng.random((7, 8)) < 0.5
        forbidden = rng.random((9, 8)) < 0.3
        cells = triples(left, right, lines, forbidden, 6, rng, lambda: None)
        if cells is None:
            continue
        full += 1
        assert len(cells) >= 6
        assert all(len(set(line)) == len(cells) for line in zip(*cells, strict=True))
        assert all(left[i, k] and right[k, j] and not forbidden[i, j] for i, k, j in cells)
    assert full > 30
    assert triples(left, right, lines, None, 8, rng, lambda: None) is None


def test_large_limits_are_told_by_their_entries() -> None:
    small, large = found(draw("8x8x8", (0.5, 0.5), 1)), found(draw("14x14x14", (0.5, 0.5), 0))
    assert "\n  [" in small.explain()
    assert "\n  [" not in large.explain()
    assert "that is 0 but for 1 at (" in large.explain()


def test_the_report_draws_the_curve() -> None:
    """Of a pair and of a chain, whatever their sizes; the products come near the limit."""
    chain = [*draw("8x8x8", (0.35, 0.35), 0), draw("8x8x8", (0.35, 0.35), 1)[0]]
    for supports in (draw("60x60x60", (0.5, 0.5), 0), chain):
        report = so.analyze(so.Closedness(supports), only=["chain_closedness"])
        curve = next(f for f in report.findings if f.rule == "limit-curve")
        assert curve.value["distance"][-1] < 1e-5
        assert curve.value["norm"][-1] > 1e5


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 7), (7, 5, 1), (3, 1, 3), (2, 4, 2)])
@pytest.mark.parametrize("density", [0.0, 0.5, 1.0])
def test_odd_shapes(shape: tuple[int, int, int], density: float) -> None:
    m, r, n = shape
    certificate = found(draw(f"{m}x{r}x{n}", (density, density), 0))
    if 1 in (m, n) or density in (0.0, 1.0):
        assert certificate is None


def test_time_limits() -> None:
    supports = draw("300x300x300", (0.9, 0.9), 0)
    with pytest.raises((so.Inconclusive, so.SolveError, TimeoutError)):
        MatchedCurves().solve(so.Closedness(supports), so.Context(time_limit=1e-6))


@pytest.mark.parametrize("supports", [[[[0]], [[1]]], [[[0, 1]], [[1], [0]]]])
def test_products_that_are_always_zero_have_no_null_point(supports: Any) -> None:
    found = so.solve(so.Closedness(supports), "null_points")
    assert found.answer.value == "unknown"
    assert "no entry of the product may be other than 0" in str(found.plan)
    assert so.solve(so.Closedness(supports)).answer.value == "closed"
