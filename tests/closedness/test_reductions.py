"""Reductions, curves and their certificates."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from sparseopt_closedness.free_families import match

import sparseopt as so
from sparseopt.closedness.proofs.exclusion import Exclusion
from sparseopt.closedness.proofs.exclusion_cells import has_constant_determinant
from sparseopt.closedness.proofs.observed import (
    ObservedProblem,
    components,
    start,
)
from sparseopt.closedness.proofs.reductions import STEP
from sparseopt.judging.evidence import EvidenceError
from sparseopt.judging.exact import rank_modulo

CASES = json.loads((Path(__file__).parent / "public_cases.json").read_text())


def decide(supports: Any, field: str = "real", **settings: Any) -> so.Solution:
    """Decide, and check the certificate after a round trip through JSON."""
    solution = so.solve(so.Closedness(supports, field), **settings)
    if solution.answer.value != "unknown":
        again = so.Solution.from_json(solution.to_json())
        check = so.verify(again)
        assert check.ok, check
        assert again.certificate.explain()
    return solution


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_public_cases(case: dict[str, Any]) -> None:
    supports = case.get("supports") or [case["I"], case["J"]]
    solution = decide(supports, case.get("field", "real"), time_limit=2.0)
    assert solution.answer.value in ("unknown", "closed" if case["closed"] else "not_closed")


DECIDED = {
    "not_closed": [
        # A merge window and its transpose.
        ([[1, 1], [1, 1]], [[1, 1, 0], [0, 1, 1]]),
        ([[1, 0], [1, 1], [0, 1]], [[1, 1], [1, 1]]),
        # Rank two with one entry free: the minor with an unknown.
        ([[1, 1, 1], [1, 1, 0], [1, 1, 0]], [[1, 1, 1], [1, 1, 1], [1, 0, 0]]),
        # Three principal 2 x 2 blocks.
        ([[1, 1, 0], [1, 0, 1], [0, 1, 1]], [[1, 1, 0], [1, 0, 1], [0, 1, 1]]),
    ],
    "closed": [
        # LU and a dense term reach everything.
        ([[1, 0, 1], [1, 1, 1]], [[1, 1], [0, 1], [1, 1]]),
        # A thin term next to a block whose cells fall apart.
        ([[1, 1, 0], [1, 0, 1]], [[1, 1], [1, 0], [0, 1]]),
    ],
}


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("value", ["closed", "not_closed"])
def test_decided(value: str, field: str) -> None:
    for supports in DECIDED[value]:
        assert decide(supports, field, time_limit=20.0).answer.value == value


def test_limits_of_observed_problems_are_limits_of_the_whole() -> None:
    """Alternating least squares comes near the padded limit with growing factors."""
    supports = [np.array(s, dtype=bool) for s in DECIDED["not_closed"][2]]
    certificate = decide(supports, block=("matched_curves",)).certificate
    assert certificate.reductions
    target = certificate.limit_matrix().astype(float)
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(s.shape) * s for s in supports)
    for _ in range(300):
        for j in range(y.shape[1]):
            live = np.flatnonzero(supports[1][:, j])
            y[live, j] = np.linalg.lstsq(x[:, live], target[:, j], rcond=None)[0]
        for i in range(x.shape[0]):
            live = np.flatnonzero(supports[0][i])
            x[i, live] = np.linalg.lstsq(y[live].T, target[i], rcond=None)[0]
    residual = np.linalg.norm(x @ y - target)
    blocks = [np.linalg.norm(np.outer(x[:, k], y[k])) for k in range(x.shape[1])]
    assert 1e-9 < residual < 0.1 * np.linalg.norm(target)
    assert max(blocks) > 3 * np.linalg.norm(target)


def test_normal_form_splits_blocks_and_drops_what_is_not_seen() -> None:
    left, right = np.ones((3, 1), dtype=bool), np.ones((1, 3), dtype=bool)
    observed = np.eye(3, dtype=bool)
    observed[2, 2] = False
    state = ObservedProblem(left, right, observed, (0,)).keep(range(3), range(3))
    assert state.origin == (0, 0)
    assert state.left.sum() == state.right.sum() == 2
    assert components(state) == [[0], [1]]


def remove_free(state: ObservedProblem, terms: Any, evidence: Any) -> Any:
    return STEP.read(["free", terms, evidence], ("reduction",)).check(state)


def test_free_families_are_refused_without_their_evidence() -> None:
    one = np.ones((2, 1), dtype=bool), np.ones((1, 2), dtype=bool)
    two = np.ones((2, 2), dtype=bool), np.ones((2, 2), dtype=bool)
    assert remove_free(start(*two), [0, 1], ["columns", [[0, 1], [1, 0]]]).origin == ()
    for pair, terms, evidence in (
        (one, [0], ["columns", [[0, 0], [0, 0]]]),
        (two, [0, 1], ["columns", [[0, 1]]]),
        (two, [0, 1], ["columns", [[0, 0], [1, 0]]]),
        (two, [0, 0], ["columns", [[0, 1], [1, 0]]]),
        (two, [], ["columns", []]),
        (two, [0, 2], ["columns", [[0, 1], [1, 0]]]),
        (two, [0, 1], ["rows", [[0, 1], [0, -1]]]),
        (one, [0], ["determined", 0, 0, [[[0], [0]]]]),
        (two, [0, 1], ["determined", 0, 2, []]),
        (two, [0, 1], ["submersion", [[0, 0, 1]], [[0, 0, 1]]]),
        (two, [0, 1], ["submersion", [], []]),
        (two, [0, 1], ["submersion", [[0, 0, 10**9]], []]),
        (two, [0, 1], ["trust", []]),
    ):
        with pytest.raises(EvidenceError):
            remove_free(start(*pair), terms, evidence)


def test_submersion() -> None:
    """X the identity and Y = 0: two dense terms are onto."""
    two = np.ones((2, 2), dtype=bool), np.ones((2, 2), dtype=bool)
    evidence = ["submersion", [[0, 0, 1], [1, 1, 1]], []]
    assert remove_free(start(*two), [0, 1], evidence).origin == ()


@pytest.mark.parametrize("seed", range(40))
def test_rank_modulo(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 8, 2)
    inner = int(rng.integers(0, 5))
    matrix = rng.integers(-9, 10, (m, inner)) @ rng.integers(-9, 10, (inner, n))
    assert rank_modulo(matrix) == (np.linalg.matrix_rank(matrix) if inner else 0)


def test_constant_determinants() -> None:
    one, zero = Fraction(1), Fraction(0)
    assert has_constant_determinant([[None, one], [one, zero]])
    assert not has_constant_determinant([[None, one], [one, one]])
    assert not has_constant_determinant([[zero, one], [zero, one]])
    assert not has_constant_determinant([[None, None], [None, None]])


def test_values_of_the_exclusion_rules_do_not_leak_between_branches() -> None:
    left, right = np.ones((2, 1), dtype=bool), np.ones((1, 2), dtype=bool)
    identity = [[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]
    scale = ["scale", ["x", 0, 0], ["line", 0, [0], ["line_t", 1, [0], ["cell", 1, 1]]]]
    proof = Exclusion(left, right, identity)
    proof.check(["split", ["x", 0, 0], ["cell", 0, 0], scale])
    for known in (proof.values, proof.zero, proof.nonzero, proof.scaled):
        assert not known
    for tree in (
        scale,  # not known to be nonzero
        ["line", 0, [0], None],  # no known values
        ["split", ["x", 0, 0], ["cell", 0, 0], ["scale", ["x", 0, 0], scale]],
    ):
        with pytest.raises(EvidenceError):
            Exclusion(left, right, identity).check(tree)


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from nodes(inner, (*path, key))
    else:
        yield path


@pytest.mark.parametrize("value", ["closed", "not_closed"])
def test_edited_certificates_do_not_prove_the_contrary(value: str) -> None:
    """Attach edited evidence to problems of the other answer: nothing may pass."""
    other = {"closed": "not_closed", "not_closed": "closed"}[value]
    rng = np.random.default_rng(1)
    tried = 0
    for supports in DECIDED[value]:
        body = json.loads(so.to_json(decide(supports, time_limit=20.0).certificate))
        for wrong in DECIDED[other]:
            forged = copy.deepcopy(body)
            forged["problem"] = json.loads(so.to_json(so.Closedness(wrong)))
            paths = [
                p for p in nodes(body) if p[0] in ("proof", "exclusion", "limit", "reductions")
            ]
            for _ in range(60):
                edited = copy.deepcopy(forged)
                for p in rng.permutation(len(paths))[: int(rng.integers(0, 3))].tolist():
                    *inner, last = paths[p]
                    node = edited
                    for key in inner:
                        node = node[key]
                    if isinstance(node[last], int):
                        node[last] = int(rng.integers(0, 3))
                with contextlib.suppress(so.ProblemError):
                    assert not so.verify(so.from_json(json.dumps(edited))).ok
                tried += 1
    assert tried >= 400


def test_large_supports_are_refused_by_the_search() -> None:
    wide = np.zeros((10_000, 1), dtype=bool), np.zeros((1, 10_000), dtype=bool)
    assert decide(wide).answer.value == "closed"
    rng = np.random.default_rng(0)
    left, right = rng.random((400, 400)) < 0.5, rng.random((400, 400)) < 0.5
    solution = decide([left, right], time_limit=20.0, block=("matched_curves",))
    assert solution.answer.value == "unknown"
    assert "it takes up to" in str(solution.plan) + solution.answer.reason


def test_matchings_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        cells = rng.random(rng.integers(1, 9, 2)) < rng.random()
        found = match([np.flatnonzero(row).tolist() for row in cells])
        best = maximum_bipartite_matching(csr_array(cells.astype(int)), perm_type="column")
        assert (found is not None) == bool((best >= 0).all())
        if found is not None:
            assert len(set(found)) == len(cells)
            assert all(cells[i, k] for i, k in enumerate(found))


def test_matchings_along_a_path_of_thousands() -> None:
    assert match([[0]] + [[i - 1, i] for i in range(1, 3000)]) == list(range(3000))
    assert match([[i - 1, i] for i in range(2999, 0, -1)] + [[0]]) is not None
