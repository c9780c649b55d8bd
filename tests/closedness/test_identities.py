"""Exclusion proofs by identities: combinations of the equations that are 1."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from sparseopt_closedness.exclusion_search import ExclusionSearch
from sparseopt_closedness.identities import combine_to_one, identity_of, put_values
from sparseopt_closedness.observed_windows import transposed_tree

import sparseopt as so
from sparseopt.closedness.proofs.exclusion import Exclusion
from sparseopt.closedness.proofs.identities import EQUATION
from sparseopt.closedness.proofs.observed import ObservedProblem, start
from sparseopt.closedness.proofs.polynomials import Polynomial
from sparseopt.judging.evidence import EvidenceError

ONE = Fraction(1)
# Columns 0 and 1 of the limit are parallel to x_2; then terms 0 and 1 and x_2 span a plane only.
LEFT = np.array([[0, 1, 1], [1, 1, 0], [1, 0, 1]], dtype=bool)
RIGHT = np.array([[0, 1, 1], [0, 1, 1], [1, 0, 1]], dtype=bool)
PLANE = [[ONE, ONE, 0 * ONE], [0 * ONE, 0 * ONE, ONE], [ONE, ONE, 0 * ONE]]


def nodes(tree: Any, rule: str) -> list[Any]:
    """Return all nodes of a rule."""
    if not isinstance(tree, list):
        return []
    own = [tree] if tree and tree[0] == rule else []
    return own + [found for inner in tree for found in nodes(inner, rule)]


def test_a_limit_that_needs_an_identity() -> None:
    state = start(LEFT, RIGHT)
    assert ExclusionSearch(state, PLANE, 1000).run() is None
    tree = ExclusionSearch(state, PLANE, 1000, steps=200).run()
    assert nodes(tree, "identity")
    Exclusion(LEFT, RIGHT, PLANE).check(tree)
    turned = [list(column) for column in zip(*PLANE, strict=True)]
    Exclusion(RIGHT.T, LEFT.T, turned).check(transposed_tree(tree))


@pytest.mark.parametrize("field", ["real", "complex"])
def test_not_closed_by_an_identity(field: str) -> None:
    solution = so.solve(so.Closedness([LEFT, RIGHT], field), time_limit=60.0)
    assert solution.answer.value == "not_closed"
    again = so.Solution.from_json(solution.to_json())
    assert so.verify(again).ok
    assert again.certificate is not None
    assert "add up to 1" in again.certificate.explain()


def test_without_sympy_plan_and_verdict_say_what_is_left_out(
    without: Callable[[str], None],
) -> None:
    without("sympy")
    problem = so.Closedness([LEFT, RIGHT])
    words = "without sympy, proofs by polynomial identities are left out; remedy: pip install"
    assert words in str(so.plan(problem))
    solution = so.solve(problem, time_limit=3.0)
    assert solution.answer.value == "unknown"
    assert words in solution.answer.reason
    assert words in str(solution.plan)


def test_the_identity_by_computer_algebra() -> None:
    """At the root, without branches: expand the combination with sympy."""
    rules = Exclusion(LEFT, RIGHT, PLANE)
    leaf: Any = identity_of(rules, 2000)
    assert leaf is not None
    rules.check(leaf)
    x = sympy.Matrix(3, 3, lambda i, k: sympy.Symbol(f"x{i}{k}") if LEFT[i, k] else 0)
    y = sympy.Matrix(3, 3, lambda k, j: sympy.Symbol(f"y{k}{j}") if RIGHT[k, j] else 0)
    equations = x * y - sympy.Matrix(3, 3, lambda i, j: int(PLANE[i][j]))
    total = sympy.Integer(0)
    for (kind, i, j), factor in leaf[1]:
        assert kind == "cell"
        total += equations[i, j] * sum(
            sympy.Rational(c.numerator, c.denominator)
            * sympy.prod([(x, y)[v][a, b] for v, a, b in names])
            for c, names in factor
        )
    assert sympy.expand(total) == 1


@pytest.mark.parametrize("seed", range(60))
def test_identities_agree_with_branching(seed: int) -> None:
    """A product has no identity; what branching excludes has one, and never the other way."""
    rng = np.random.default_rng(seed)
    m, n, r = (int(v) for v in rng.integers(1, 4, 3))
    state = start(rng.random((m, r)) < 0.7, rng.random((r, n)) < 0.7)
    if rng.random() < 0.3 or not state.origin:
        x = rng.integers(-2, 3, state.left.shape) * state.left
        values = x @ (rng.integers(-2, 3, state.right.shape) * state.right)
        inside = True
    else:
        values = rng.integers(-1, 3, (m, n)) * state.observed
        inside = False
    matrix = [[Fraction(int(v)) for v in row] for row in values]
    rules = Exclusion(state.left, state.right, matrix, state.observed)
    leaf: Any = identity_of(rules, 1000)
    tree = ExclusionSearch(state, matrix, 300).run()
    assert not (inside and (leaf or tree))
    for proof in (leaf, tree):
        if proof is not None:
            rules.check(proof)
    assert (leaf is None) == (tree is None)


def test_values_and_inverses() -> None:
    """x = 1 and x y = 2 and 1/y - 1 = 0 contradict each other; every part is needed."""
    left, right = np.ones((1, 1), dtype=bool), np.ones((1, 2), dtype=bool)
    rules = Exclusion(left, right, [[Fraction(2), Fraction(0)]])
    rules.nonzero = {("x", 0, 0), ("y", 0, 1)}
    rules.values = {("x", 0, 0): ONE}
    leaf: Any = identity_of(rules, 100)
    rules.check(leaf)
    rules.nonzero.remove(("y", 0, 1))
    assert identity_of(rules, 100) is None
    with pytest.raises(EvidenceError, match="no equation"):
        rules.check(leaf)
    rules.nonzero.add(("y", 0, 1))
    rules.values = {}
    rules.zero = {("x", 0, 0)}
    rules.check(identity_of(rules, 100))  # the cell that is 2 has no live term


def test_no_identity_within_the_budget() -> None:
    left, right = np.ones((3, 2), dtype=bool), np.ones((2, 3), dtype=bool)
    identity = [[Fraction(int(i == j)) for j in range(3)] for i in range(3)]
    rules = Exclusion(left, right, identity)
    assert identity_of(rules, 1) is None
    assert combine_to_one([], 10) is None
    assert combine_to_one([{}], 10) is None


def test_numbers_put_in() -> None:
    p: Polynomial = {((0, 0, 0), (1, 0, 0)): Fraction(3), (): Fraction(-6)}
    assert put_values(p, {(0, 0, 0): Fraction(2)}) == {((1, 0, 0),): 6, (): -6}
    assert put_values(p, {(0, 0, 0): Fraction(2), (1, 0, 0): ONE}) == {}


def test_cells_that_are_not_observed_have_no_equation() -> None:
    """The free corner of a block of rank one can be anything."""
    observed = np.array([[True, True], [True, False]])
    state = ObservedProblem(
        np.ones((2, 1), dtype=bool), np.ones((1, 2), dtype=bool), observed, (0,)
    )
    matrix = [[Fraction(0), ONE], [ONE, Fraction(7)]]
    rules = Exclusion(state.left, state.right, matrix, observed)
    leaf: Any = identity_of(rules, 500)
    rules.check(leaf)
    for equation in (["cell", 1, 1], ["cell", 2, 0], ["cell", -1, 0], ["cell", True, 0]):
        with pytest.raises((EvidenceError, IndexError)):
            EQUATION.read(equation, ("equation",)).polynomial(rules)


def numbers(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, list):
        return [p for i, inner in enumerate(value) for p in numbers(inner, (*path, i))]
    return [path] if not isinstance(value, bool) and isinstance(value, int | Fraction) else []


def test_edited_identities_are_refused() -> None:
    """Change each number in turn: the sum is no longer 1, or speaks of what does not exist."""
    rules = Exclusion(LEFT, RIGHT, PLANE)
    leaf: Any = identity_of(rules, 2000)
    rules.check(leaf)
    edits = 0
    for path in numbers(leaf):
        for change in (1, -1, Fraction(1, 2)):
            edited = copy.deepcopy(leaf)
            *inner, last = path
            node = edited
            for key in inner:
                node = node[key]
            node[last] += change
            with pytest.raises((EvidenceError, ValueError, IndexError, TypeError)):
                rules.check(edited)
            edits += 1
    for drop in range(len(leaf[1])):
        with pytest.raises(EvidenceError):
            rules.check(["identity", leaf[1][:drop] + leaf[1][drop + 1 :]])
    assert edits > 50


@pytest.mark.parametrize(
    "terms",
    [
        [],
        None,
        [[["cell", 0, 0]]],
        [[["value", ["x", 0, 1]], [[1, []]]]],
        [[["inverse", ["x", 0, 1]], [[-1, []]]]],
        [[["one"], [[1, []]]]],
        [[["cell", 0, 0], [["1", []]]]],
        [[["cell", 0, 0], [[1.0, []]]]],
        [[["cell", 0, 0], 1]],
    ],
)
def test_nonsense_is_refused(terms: Any) -> None:
    certificate = so.NotClosedCertificate(
        so.Closedness([LEFT, RIGHT]),
        so.ClosednessVerdict("not_closed", "trust me"),
        (0, 1, 2),
        (0, 1, 2),
        [],
        [],
        [[Fraction(0)] * 3] * 3,
        [],
        ["identity", terms],
    )
    assert not so.verify(certificate).ok
