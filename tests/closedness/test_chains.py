"""Chains of more than two factors."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import sparseopt as so

L = [[1, 0], [1, 1]]
U = [[1, 1], [0, 1]]
D = [[1, 0], [0, 1]]
SWAP = [[0, 1], [1, 0]]
FULL = [[1, 1], [1, 1]]
MERGE = [[1, 1, 0], [0, 1, 1]]


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize(
    ("supports", "value"),
    [
        ([L, D, U], "not_closed"),
        ([D, L, D, D, U, D], "not_closed"),
        ([L, L, L, U, U], "not_closed"),
        ([L, L, L], "closed"),
        ([L, U, FULL], "closed"),
        ([FULL, FULL, MERGE], "not_closed"),
        ([SWAP, L, SWAP], "closed"),
        ([SWAP, L, U], "not_closed"),
        ([np.ones((4, 2)), np.ones((2, 3)), np.ones((3, 5))], "closed"),
    ],
)
def test_chains(supports: Any, value: str, field: str) -> None:
    solution = so.solve(so.Closedness(supports, field))
    assert solution.answer.value == value
    again = so.Solution.from_json(solution.to_json())
    assert so.verify(again).ok
    assert again.certificate.explain()


@pytest.mark.parametrize("size", [4, 8, 32])
def test_butterflies_are_closed(size: int) -> None:
    chain = so.Architecture.square_dyadic(size)
    solution = so.solve(so.Closedness([p.support() for p in chain]))
    assert solution.answer.value == "closed"
    assert so.verify(solution).ok
    if size > 4:
        assert solution.certificate.patterns == [list(p) for p in chain]


def test_patterns_that_are_not_chainable_are_no_proof() -> None:
    """Reversed, the same patterns are not chainable."""
    chain = list(so.Architecture.square_dyadic(8))[::-1]
    problem = so.Closedness([p.support() for p in chain])
    answer = so.ClosednessVerdict("closed", "trust me")
    forged = so.KroneckerChainCertificate(problem, answer, [list(p) for p in chain])
    check = so.verify(forged)
    assert not check.ok
    assert "chainable" in check.details[-1]


def test_forged_chains_are_refused() -> None:
    solution = so.solve(so.Closedness([L, D, U]))
    right = solution.certificate
    closed = so.solve(so.Closedness([L, L, L])).certificate
    for changes in (
        {"steps": []},
        {"steps": [["absorb", 0, "right"]]},
        {"steps": [["absorb", 1, "up"]]},
        {"steps": [["absorb", 3, "left"]]},
        {"steps": [["contract", 1, []]]},
        {"steps": [["contract", 2, []]]},
        {"steps": [["trust", 1]]},
        {"short": closed},
        {"short": closed.short},
        {"answer": so.ClosednessVerdict("closed", "trust me")},
        {"problem": so.Closedness([U, D, L])},
        {"problem": so.Closedness([L, D, U], "complex")},
    ):
        assert not so.verify(dataclasses.replace(right, **changes)).ok, changes
    butterfly = so.Closedness([p.support() for p in so.Architecture.square_dyadic(8)])
    proof = so.solve(butterfly).certificate
    for patterns in ([], [[1, 2, 2, 4]], [[1, 2, 2, 4], [2, 2, 2, 2], [4, 2, 2, 2]]):
        assert not so.verify(dataclasses.replace(proof, patterns=patterns)).ok
