"""Verdicts on pairs of supports, and their certificates."""

from __future__ import annotations

import dataclasses
import itertools
import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sympy

import sparseopt as so

LU = ([[1, 0], [1, 1]], [[1, 1], [0, 1]])


def brute_force_window(left: np.ndarray, right: np.ndarray) -> bool:
    """Look for an LU window by its definition, over all rows, columns and terms."""
    count = left.astype(int) @ right.astype(int)
    m, n = count.shape
    for k in range(left.shape[1]):
        for i1, i2 in itertools.permutations(range(m), 2):
            for j1, j2 in itertools.permutations(range(n), 2):
                covered = left[i1, k] and left[i2, k] and right[k, j1] and right[k, j2]
                alone = count[i1, j1] == count[i1, j2] == count[i2, j1] == 1
                if covered and alone and count[i2, j2] > 1:
                    return True
    return False


def brute_force_comparable(left: np.ndarray, right: np.ndarray) -> bool:
    sets = [
        (set(np.flatnonzero(left[:, k]).tolist()), set(np.flatnonzero(right[k]).tolist()))
        for k in range(left.shape[1])
    ]
    for (rows, columns), (others, wide) in itertools.combinations(sets, 2):
        disjoint = not (rows & others and columns & wide)
        comparable = (rows <= others and wide <= columns) or (others <= rows and columns <= wide)
        if not disjoint and not comparable:
            return False
    return True


def test_box_2() -> None:
    solution = so.solve(so.Closedness(LU))
    assert solution.answer.value == "not_closed"
    assert solution.solver == "lu_pattern"
    certificate = solution.certificate
    assert certificate.limit == [[0, 1], [1, 0]]
    assert so.verify(solution).ok
    assert "converges to" in certificate.explain()


def test_the_curve_by_computer_algebra() -> None:
    certificate = so.solve(so.Closedness(LU)).certificate
    t = sympy.Symbol("t")
    x, y = sympy.zeros(2, 2), sympy.zeros(2, 2)
    for i, k, p in certificate.left:
        x[i, k] = sum(sympy.Rational(str(c)) * t**e for e, c in p.items())
    for k, j, p in certificate.right:
        y[k, j] = sum(sympy.Rational(str(c)) * t**e for e, c in p.items())
    assert (x * y).applyfunc(lambda e: sympy.limit(e, t, 0)) == sympy.Matrix([[0, 1], [1, 0]])


@pytest.mark.parametrize("seed", range(300))
def test_against_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, r, n = rng.integers(1, 6, 3)
    density = rng.uniform(0.2, 0.9)
    left, right = rng.random((m, r)) < density, rng.random((r, n)) < density
    names = ["lu_pattern", "comparable_rectangles"]
    verdicts = {}
    for name in names:
        try:
            solution = so.solve(so.Closedness([left, right]), name)
            verdicts[name] = solution.answer.value
        except so.SolveError:
            verdicts[name] = "unknown"
    window, comparable = brute_force_window(left, right), brute_force_comparable(left, right)
    assert verdicts["lu_pattern"] == ("not_closed" if window else "unknown")
    assert verdicts["comparable_rectangles"] == ("closed" if comparable else "unknown")
    assert not (window and comparable)


@pytest.mark.parametrize(
    ("supports", "value"),
    [
        ([[[1, 1], [1, 1]]], "closed"),
        ([[[1]], [[1]]], "closed"),
        ([[[0]], [[0]]], "closed"),
        ([np.ones((2, 2)), np.ones((2, 2))], "closed"),
        ([[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]] * 2, "closed"),
    ],
)
def test_closed(supports: Any, value: str) -> None:
    solution = so.solve(so.Closedness(supports))
    assert solution.answer.value == value
    assert so.verify(so.Solution.from_json(solution.to_json())).ok


def test_inputs_of_many_kinds() -> None:
    values = [
        so.solve(so.Closedness([convert(LU[0]), convert(LU[1])])).answer.value
        for convert in (
            lambda a: np.array(a, dtype=bool),
            lambda a: np.array(a, dtype=np.float32),
            lambda a: np.asfortranarray(np.array(a)),
            lambda a: scipy.sparse.csr_array(np.array(a)),
            lambda a: np.repeat(np.array(a), 2, axis=1)[:, ::2],
        )
    ]
    assert set(values) == {"not_closed"}


@pytest.mark.parametrize(
    ("supports", "words"),
    [
        ([], "empty"),
        ([[[1, 0]], [[1, 1]]], "do not chain: support 0 has 2 columns"),
        ([[[1, 2]], [[1], [1]]], r"entry \(0, 1\) is 2"),
        ([[[1, -1]], [[1], [1]]], r"entry \(0, 1\) is -1"),
        ([[[1, np.nan]], [[1], [1]]], r"entry \(0, 1\) is nan"),
        ([[[1, 0], [1]], [[1]]], "ragged"),
        ([np.zeros((0, 2)), np.zeros((2, 2))], "support 0 is empty"),
        (np.eye(2), "list of matrices"),
        ("LU", "list of 0/1 matrices"),
        ([[1, 0], [0, 1]], "must be a matrix"),
        ([[["a"]]], "dtype"),
    ],
)
def test_bad_input(supports: Any, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.Closedness(supports)


def test_bad_field() -> None:
    with pytest.raises(so.ProblemError, match="field must be"):
        so.Closedness(LU, field="quaternion")


def test_unknown_is_honest() -> None:
    solution = so.solve(so.Closedness([*LU, [[1, 0], [0, 1]]]))
    assert solution.answer.value in ("unknown", "not_closed")
    if solution.answer.value == "unknown":
        assert "tried" in solution.answer.reason
        assert not so.verify(solution).ok


def leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(node, dict):
        return [leaf for key, value in node.items() for leaf in leaves(value, (*path, key))]
    if isinstance(node, list):
        return [leaf for i, value in enumerate(node) for leaf in leaves(value, (*path, i))]
    return [path]


def test_every_edited_entry_is_refused() -> None:
    """Change each number of the evidence in turn: what then passes must still be a proof."""
    big = np.zeros((6, 5), dtype=bool), np.zeros((5, 7), dtype=bool)
    big[0][2:4, 1], big[0][3, 4], big[1][1, 3:5], big[1][4, 4] = True, True, True, True
    problem = so.Closedness(big)
    text = so.to_json(so.solve(problem, "lu_pattern").certificate)
    refused = passed = 0
    for path in leaves(json.loads(text)):
        if path[0] in ("problem", "$type") or path[-1] in ("$type", "reason"):
            continue
        body = json.loads(text)
        *inner, last = path
        node = body
        for key in inner:
            node = node[key]
        value = node[last]
        for new in (value + 1, value - 1) if isinstance(value, int) else ("2/3", "-5", "cell"):
            if new == value:
                continue
            node[last] = new
            try:
                check = so.verify(so.from_json(json.dumps(body)))
            except so.ProblemError:
                refused += 1
                continue
            refused += not check.ok
            passed += check.ok
    assert refused > 40
    assert passed == 0


def test_forged_verdicts_are_refused() -> None:
    open_problem, closed = so.Closedness(LU), so.Closedness([np.ones((2, 2)), np.ones((2, 2))])
    answer = so.ClosednessVerdict("closed", "trust me")
    assert not so.verify(so.ComparableCertificate(open_problem, answer)).ok
    assert not so.verify(so.SingleFactorCertificate(open_problem, answer)).ok
    right = so.solve(open_problem).certificate
    assert not so.verify(dataclasses.replace(right, problem=closed)).ok
    for tree in (
        ["cell", 0, 0],
        ["split", ["x", 0, 0], ["cell", 0, 1], ["cell", 1, 0]],
        ["minor", [0, 1], [0, 1]],
        ["span", [0, 1], 0, {}],
        ["nonsense"],
        [],
        "cell",
        ["_live", 0, 0],
    ):
        assert not so.verify(dataclasses.replace(right, exclusion=tree)).ok
    wrong_limit = [[Fraction(0), Fraction(1)], [Fraction(1), Fraction(1)]]
    assert not so.verify(dataclasses.replace(right, limit=wrong_limit)).ok


@pytest.mark.parametrize(
    "supports",
    [
        [[[1, 0], [1, 1]], [[1, 1], [0, 1]]],
        [[[1, 1, 1], [1, 1, 0], [1, 1, 0]], [[1, 1, 1], [1, 1, 1], [1, 0, 0]]],
        [[[1, 1, 0], [1, 0, 0], [1, 0, 1]], [[0, 1, 1], [1, 1, 1], [0, 0, 1]]],
    ],
)
def test_the_report_shows_the_curve(supports: list[Any]) -> None:
    verdict, curve = so.analyze(so.Closedness(supports)).findings
    assert (verdict.rule, curve.rule) == ("supports-not-closed", "limit-curve")
    times, distances, norms = (np.array(curve.value[key]) for key in ("t", "distance", "norm"))
    assert (distances <= 50 * times).all()
    assert norms[-1] > 100 * norms[0]
    assert len(curve.figure.series["distance"]) == len(curve.figure.labels)
    (closed,) = so.analyze(so.Closedness([[[1]], [[1]]])).findings
    assert closed.rule == "supports-closed"


def test_without_a_time_limit_the_rounds_end() -> None:
    left = [[0, 1, 1, 1], [1, 0, 0, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
    right = [[1, 1, 0, 1], [1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 0, 1]]
    problem = so.Closedness([left, right])
    small = {"targets": 1, "branches": 1, "draws": 1, "subsets": 1, "seconds": 0.0}
    solution = so.solve(problem, "limit_curves", **small)
    assert solution.answer.value == "unknown"
    assert "in 1 rounds; with a time limit the search goes on" in solution.answer.reason
