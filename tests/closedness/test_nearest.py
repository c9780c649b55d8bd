"""Repair of supports: certified, minimal on small cases, within what is allowed."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

import sparseopt as so
from sparseopt.judging.check import check_certificate

LU = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]


def changed(given: list[np.ndarray], answer: so.ClosedSupport) -> tuple[int, int]:
    pairs = list(zip(given, answer.supports, strict=True))
    removed = sum(int((np.asarray(a, bool) & ~b).sum()) for a, b in pairs)
    return removed, sum(int((~np.asarray(a, bool) & b).sum()) for a, b in pairs)


def is_closed(supports: object) -> bool:
    return so.solve(so.Closedness(supports)).answer.value == "closed"  # type: ignore[arg-type]


@pytest.mark.parametrize("allow", ["remove", "add", "both"])
@pytest.mark.parametrize("seed", range(6))
def test_small_repairs_are_allowed_closed_and_minimal(allow: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    given = [rng.random((3, 3)) < 0.6, rng.random((3, 3)) < 0.6]
    solution = so.solve(so.NearestClosedSupport(given, allow))
    answer = solution.answer
    removed, added = changed(given, answer)
    assert answer.changes == removed + added
    assert not (allow == "remove" and added)
    assert not (allow == "add" and removed)
    assert is_closed(answer.supports)
    assert so.verify(solution).ok
    assert answer.lower_bound <= answer.changes
    if answer.changes > 1:  # no single change would do
        for factor, i, j in itertools.product(range(2), range(3), range(3)):
            other = [g.copy() for g in given]
            if allow != "both" and other[factor][i, j] != (allow == "remove"):
                continue
            other[factor][i, j] = not other[factor][i, j]
            assert not is_closed(other)


def test_closed_supports_stay() -> None:
    answer = so.solve(so.NearestClosedSupport([np.eye(4), np.ones((4, 3))], "both")).answer
    assert (answer.changes, answer.lower_bound) == (0, 0)
    assert "as few as possible" in str(answer)


def test_windows_apart_need_a_change_each() -> None:
    """Two LU blocks on a diagonal share no row and no column."""
    i, j = (np.kron(np.eye(2, dtype=int), block) for block in LU)
    answer = so.solve(so.NearestClosedSupport([i, j])).answer
    assert (answer.changes, answer.lower_bound) == (2, 2)


def test_forged_repairs_are_refused() -> None:
    problem = so.NearestClosedSupport(LU)
    solution = so.solve(problem)
    certificate = solution.certificate
    assert isinstance(certificate, so.ClosedSupportCertificate)
    answers = [
        dataclasses.replace(solution.answer, changes=0),
        dataclasses.replace(solution.answer, lower_bound=0),
        dataclasses.replace(solution.answer, supports=LU),
        dataclasses.replace(solution.answer, supports=[np.ones((2, 2)), np.ones((2, 2))]),
    ]
    for answer in answers:
        forged = dataclasses.replace(certificate, answer=answer)
        assert not check_certificate(forged, problem, answer).ok
    twice = dataclasses.replace(solution.answer, lower_bound=2)
    forged = dataclasses.replace(certificate, answer=twice, windows=certificate.windows * 2)
    assert not check_certificate(forged, problem, twice).ok


def test_the_answer_travels_as_json() -> None:
    solution = so.solve(so.NearestClosedSupport(LU, "add"))
    again = so.Solution.from_json(solution.to_json())
    assert so.verify(again).ok
    assert "add" in again.certificate.explain()  # type: ignore[union-attr]


def test_bad_problems_are_refused() -> None:
    with pytest.raises(so.ProblemError, match="allow must be one of"):
        so.NearestClosedSupport(LU, "swap")
    with pytest.raises(so.ProblemError, match="two supports"):
        so.NearestClosedSupport([*LU, LU[0]])
    with pytest.raises(so.ProblemError, match="seconds"):
        so.solve(so.NearestClosedSupport(LU), "window_repair", seconds=0)


@pytest.mark.parametrize("seed", range(5))
def test_windows_are_counted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.random((5, 4)) < 0.6, rng.random((4, 5)) < 0.6
    cover = left.astype(int) @ right.astype(int)
    count = 0
    for k in range(4):
        rows, columns = np.flatnonzero(left[:, k]), np.flatnonzero(right[k])
        for i1, i2 in itertools.permutations(rows, 2):
            for j1, j2 in itertools.permutations(columns, 2):
                single = [cover[i1, j1], cover[i1, j2], cover[i2, j1]]
                count += single == [1, 1, 1] and cover[i2, j2] > 1
    assert so.lu_window_count([left, right]) == count
    with pytest.raises(so.ProblemError, match="two supports"):
        so.lu_window_count([left])
