"""Proofs as people read them: rows, columns, terms and factors numbered as in what was given."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from closedness_statements import repair, training
from forgeries_closedness import external
from forgeries_limits import nonzero_identity
from forging import (
    DENSE,
    DIAGONAL,
    FULL,
    LOWER,
    LU,
    LU_CURVE,
    LU_LIMIT,
    LU_TREE,
    MERGE,
    UPPER,
    closed,
    limit,
    lu,
    nonzero,
)

import sparseopt as so

FAR_ROWS, FAR_TERMS, FAR_COLUMNS = [2, 3], [1, 2], [3, 5]


def far(tree: Any = LU_TREE) -> Any:
    """Return LU in rows 2, 3 and columns 3, 5, by terms 1, 2; term 0 is a block of its own."""
    left, right = np.zeros((4, 3), int), np.zeros((3, 6), int)
    left[np.ix_(FAR_ROWS, FAR_TERMS)] = LOWER
    right[np.ix_(FAR_TERMS, FAR_COLUMNS)] = UPPER
    left[0, 0] = right[0, 0] = 1
    reductions = [["free", [0], ["rows", [[0]]]], ["component", 0], ["keep", [2, 3], [3, 5]]]
    supports = left.tolist(), right.tolist()
    found = limit(supports, LU_CURVE, LU_LIMIT, tree, reductions, rows=(2, 3), columns=(3, 5))
    assert so.verify(found).ok
    return found


HEAD = """\
The terms [0] reach every matrix on their cells: leave them and their cells away.
Of the parts that share no observed cell, look at that of the terms [1, 2].
Look at rows [2, 3] and columns [3, 5] only.
Take rows [2, 3] and columns [3, 5], all else zero.
  X[2, 1](t) = t
  X[3, 1](t) = 1
  X[3, 2](t) = -1
  Y[1, 3](t) = 1
  Y[1, 5](t) = t^-1
  Y[2, 5](t) = t^-1
As t goes to 0, X(t) Y(t) converges to the matrix
  [0, 1]
  [1, 0]
which is no product with these supports:
"""


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (
            LU_TREE,
            """\
  cell (2, 3) is 0 and one term is left there, so its x is zero:
    cell (2, 5) cannot take its value with the terms left: contradiction
  or its y is zero:
    cell (3, 3) cannot take its value with the terms left: contradiction""",
        ),
        (
            ["product", 0, 0, ["minor", [0], [1]], ["minor", [1], [0]]],
            """\
  cell (2, 3) is 0 and one term is left there, so its x is zero:
    rows [2] and columns [5] have a higher rank than terms are left
  or its y is zero:
    rows [3] and columns [3] have a higher rank than terms are left""",
        ),
        (
            ["free_minor", [0, 1], [0, 1], [0]],
            "  rows [2, 3] and columns [3, 5] ask the terms [1] for a higher rank",
        ),
        (
            nonzero(["x", 0, 0], (0, 1), ["scale", ["x", 0, 0], ["line", 0, [0], ["cell", 1, 0]]]),
            """\
  either x[2, 1] = 0:
    cell (2, 5) cannot take its value with the terms left: contradiction
  or it is not zero:
    scale its term so that x[2, 1] = 1
    the linear equations of column 3 on rows [2] fix further entries
    cell (3, 3) cannot take its value with the terms left: contradiction""",
        ),
        (
            nonzero(
                ["x", 0, 0],
                (0, 1),
                nonzero(["y", 0, 0], (1, 0), ["scale", ["y", 0, 0], ["line_t", 0, [0], None]]),
            ),
            """\
  either x[2, 1] = 0:
    cell (2, 5) cannot take its value with the terms left: contradiction
  or it is not zero:
    either y[1, 3] = 0:
      cell (3, 3) cannot take its value with the terms left: contradiction
    or it is not zero:
      scale its term so that y[1, 3] = 1
      the linear equations of row 2 on columns [3] have no solution that fits: contradiction""",
        ),
        (
            nonzero_identity(),
            """\
  the equations add up to 1 = 0, each times the polynomial in front of it:
    (-1 x[3, 1] y[1, 3]) (the equation of cell (2, 5))
    (-1) (the equation of cell (3, 3))
    (1 x[3, 1] y[1, 5]) (the equation of cell (2, 3))""",
        ),
    ],
)
def test_a_window_that_is_not_in_the_corner(tree: Any, words: str) -> None:
    assert far(tree).explain() == HEAD + words


def test_figures_of_a_window_that_is_not_in_the_corner() -> None:
    certificate = far()
    assert certificate.terms == (1, 2)
    assert certificate.marked_cells() == (
        [(2, 1), (3, 1), (3, 2)],
        [(1, 3), (1, 5), (2, 5)],
    )
    full = certificate.limit_matrix()
    assert full.shape == (4, 6)
    assert np.argwhere(full).tolist() == [[2, 5], [3, 3]]


def test_values_and_inverses_in_an_identity() -> None:
    tree = nonzero_identity()
    for kind, name in (("value", ["x", 0, 0]), ("inverse", ["y", 0, 0])):
        tree[1] += [[[kind, name], [[s, [[3, 0, 0]]]]] for s in (1, -1)]
    tree = nonzero(["x", 0, 0], (0, 1), nonzero(["y", 0, 0], (1, 0), ["scale", ["x", 0, 0], tree]))
    text = far(tree).explain()
    assert "(1 1/y[1, 3]) (x[2, 1] - its value)" in text
    assert "(-1 1/y[1, 3]) (y[1, 3] / itself - 1)" in text


def test_spans() -> None:
    curve = (
        [[0, 0, {0: 1}], [0, 1, {0: 1}], [1, 1, {1: 1}]],
        [[0, 0, {0: 1}], [0, 1, {-1: -1}], [1, 1, {-1: 1}], [1, 2, {0: 1}]],
    )
    turned = tuple([[b, a, p] for a, b, p in factor] for factor in reversed(curve))
    left, right = np.array(FULL), np.array(MERGE[1])
    left, right = np.pad(left, ((3, 0), (0, 0))), np.pad(right, ((0, 0), (2, 0)))
    columns = {"rows": (3, 4), "columns": (2, 3, 4)}
    found = limit(
        (left.tolist(), right.tolist()),
        curve,
        [[1, 0, 1], [0, 1, 0]],
        ["span", [0, 1], 1, {0: 0, 1: 2}],
        **columns,
    )
    assert so.verify(found).ok
    assert found.explain().endswith(
        "on rows [3, 4], column 3 is not in the span of those that fix its terms: column 2 "
        "(term 0), column 4 (term 1)"
    )
    found = limit(
        (right.T.tolist(), left.T.tolist()),
        turned,
        [[1, 0], [0, 1], [1, 0]],
        ["span_t", [0, 1], 1, {0: 0, 1: 2}],
        rows=(2, 3, 4),
        columns=(3, 4),
    )
    assert so.verify(found).ok
    assert found.explain().endswith(
        "on columns [3, 4], row 3 is not in the span of those that fix its terms: row 2 (term 0), "
        "row 4 (term 1)"
    )


def test_laurent_polynomials() -> None:
    shown = limit(
        ([[1]], [[1]]),
        ([[0, 0, {1: -1, 0: 3, -1: 2, 2: 1}]], [[0, 0, {0: 0}]]),
        [[0]],
        ["cell", 0, 0],
    ).explain()
    assert "X[0, 0](t) = t^2 - t + 3 + 2 t^-1\n" in shown
    assert "Y[0, 0](t) = 0\n" in shown


def test_an_outsider_is_named() -> None:
    text = external("z3").explain()
    assert "says z3 (not checked here)" in text
    assert text.endswith("(check-sat)")
    assert external("z3").claim.endswith("(that the limit is not a product is the word of z3)")
    with pytest.raises(so.ProblemError, match="engine: expected one of z3"):
        external("oracle").explain()


def test_closed_in_parts() -> None:
    two = np.kron(np.eye(2, dtype=int), FULL).tolist()
    part = ["comparable"]
    free = ["free", [0, 1], ["columns", [[0, 1], [0, 1]]], ["components", []]]
    assert closed((two, two), ["components", [part, free]]).explain() == (
        "2 independent parts are left, and each is closed:\n"
        "  The blocks of the terms [0, 1] are pairwise disjoint or comparable, so they can be "
        "chosen orthogonal: limits of their sums are such sums.\n"
        "  The terms [2, 3] reach every matrix on their 4 cells: for generic first factors every "
        "column can be solved for. Leave them and their cells away.\n"
        "  Nothing is left: the set is a coordinate subspace, closed."
    )
    one = closed(DENSE, ["components", [part]])
    assert one.explain().startswith("The blocks of the terms [0, 1] are")
    single = closed(LU, ["free", [1], ["columns", [[0]]], ["comparable"]])
    assert single.explain().startswith("The terms [1] reach every matrix on their cell: for")
    assert closed((two, two), ["components", [part, free]]).reason == (
        "parts: 1 of comparable rectangles, 1 with further free families"
    )


def test_minors_of_a_proof_by_cases() -> None:
    left = [[1, 1, 1], [0, 1, 1]]
    right = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1]]
    solution = so.solve(so.Closedness([left, right]), time_limit=20.0)
    text = solution.certificate.explain()
    if "minors" in text:
        assert re.search(r"minors \(rows x columns\) \[0, 1\] x \[\d, \d\]", text)
    assert solution.answer.value == "closed"


def test_factors_are_numbered_as_given() -> None:
    onto = ["free", [0, 1], ["columns", [[0, 1], [0, 1]]]]
    by_rows = ["free", [0, 1], ["rows", [[0, 1], [0, 1]]]]
    chain = so.ShortenedChainCertificate.proved(
        so.Closedness([DIAGONAL, FULL, FULL, LOWER, UPPER]),
        [["contract", 1, [onto]], ["absorb", 0, "right"], ["contract", 0, [by_rows]]],
        so.solve(so.Closedness([FULL, UPPER])).certificate,
    )
    assert so.verify(chain).ok, so.verify(chain)
    assert chain.explain().splitlines()[:3] == [
        "Factors 1 to 2 give all matrices with one support: take them as one factor.",
        "Factor 0 is absorbed by its right neighbour: drop it.",
        "Factors 1 to 3 give all matrices with one support: take them as one factor.",
    ]
    absorbed = so.ShortenedChainCertificate.proved(
        so.Closedness([FULL, FULL, LOWER]),
        [["contract", 0, [onto]], ["absorb", 0, "right"]],
        so.solve(so.Closedness([LOWER])).certificate,
    )
    assert absorbed.explain().splitlines()[1] == (
        "The product of factors 0 to 1 is absorbed by its right neighbour: drop it."
    )
    assert not so.verify(absorbed).ok  # full matrices are not absorbed
    by_cases = so.solve(so.Closedness([LOWER, UPPER, LOWER]), time_limit=60.0).certificate
    assert by_cases.explain().startswith(
        "Factors 0 to 2 give all matrices with one support, by factors given in every case: take"
    )


def test_repairs() -> None:
    text = repair().explain().splitlines()
    assert text[:2] == [
        "closed supports, 1 entry changed (as few as possible)",
        "  remove J: (1, 1)",
    ]
    assert "2 entries changed (at least 1 needed)" in repair(DENSE, 2, 1).explain()
    assert "  add I: (0, 1)\n  add J: (1, 0)" in repair(DENSE, 2, 1).explain()
    wide = (np.ones((5, 5), int), np.ones((5, 5), int))
    none = (np.zeros((5, 5), int), np.ones((5, 5), int))
    listed = repair(none, 25, 0, [], given=wide).explain().splitlines()[1]
    assert listed.startswith("  remove I: (0, 0), (0, 1), ")
    assert listed.endswith("(3, 4) and 5 more")
    twenty = (np.array([[0] * 5] * 4 + [[1] * 5]), np.ones((5, 5), int))
    listed = repair(twenty, 20, 0, [], given=wide).explain().splitlines()[1]
    assert listed.endswith("(3, 3), (3, 4)")


def test_training() -> None:
    assert training([[[1, 0]], UPPER]).explain() == (
        "one hidden layer and one output: an optimum exists for all data."
    )
    text = training(LU, lu()).explain()
    assert text.startswith("the set of products with these supports is not closed, so some data")
    assert "X[0, 0](t) = t" in text
    assert "so some data set has no optimum" in training(LU, lu()).answer.condition


def test_accuracy() -> None:
    assert lu().accuracy == training(LU, lu()).accuracy == 0.0
    assert repair().accuracy == 0.0
    assert repair(DENSE, 4, 1).accuracy == 0.75
    assert repair(DENSE, 0, 0, [], given=DENSE).accuracy == 0.0
    assert so.NearestClosedSupport(LU).accuracy_is == "share of the changes not proved to be needed"
    assert so.NearestClosedSupport.default_tolerance is None
