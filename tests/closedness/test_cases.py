"""Trees of cases: what they claim is compared with exact solutions at random targets."""

from __future__ import annotations

import copy
import random
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from sparseopt_closedness.case_search import CaseEffort, CaseSearch
from sparseopt_closedness.chain_case_search import ChainCaseSearch
from sparseopt_closedness.reduction import reduce_state

import sparseopt as so
from sparseopt.closedness.proofs.branch import Branch
from sparseopt.closedness.proofs.cases import Cases, pivoted, vanishes
from sparseopt.closedness.proofs.chain_cases import ChainCases
from sparseopt.closedness.proofs.chain_steps import shorten
from sparseopt.closedness.proofs.observed import ObservedProblem, start
from sparseopt.closedness.proofs.polynomials import (
    ONE,
    add,
    coefficients,
    determinant,
    divide,
    is_product,
    multiply,
    power,
    put,
    read,
    variable,
    write,
)
from sparseopt.judging.evidence import EvidenceError

CLOSED = [
    # Two blocks that share a column, one cell of the first not observed: a rank condition.
    ([[1, 1, 1], [0, 1, 1]], [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1]]),
    # Three dense columns of which two are fixed by the target.
    ([[1, 1, 1], [1, 1, 1]], [[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1]]),
    # Two corners and the full rectangle.
    ([[1, 1, 0], [1, 0, 1], [0, 1, 1]], [[0, 1, 1], [1, 1, 1], [1, 1, 1]]),
    ([[1, 1, 1], [1, 0, 1], [0, 1, 1]], [[1, 1, 1], [1, 1, 1], [1, 1, 0]]),
    # Three rows that are alike, so that they can be mixed.
    ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], [[1, 1, 0, 0], [1, 0, 1, 1], [0, 1, 1, 1]]),
]
NOT_CLOSED = [
    ([[1, 1, 1], [1, 1, 0], [0, 0, 1]], [[1, 1, 0], [1, 0, 1], [0, 1, 1]]),
    ([[1, 1, 1], [1, 0, 1], [0, 1, 1]], [[1, 1, 0], [1, 1, 1], [1, 0, 1]]),
    ([[1, 1, 0], [1, 0, 1], [0, 1, 1]], [[1, 0, 1], [0, 1, 1], [1, 1, 1]]),
]


def open_part(supports: Any) -> ObservedProblem:
    """Return the one part that the reductions leave open, staircases left out."""
    first, second = (np.array(s, dtype=bool) for s in supports)
    with patch("sparseopt_closedness.free_families.staircase", return_value=None):
        _, left = reduce_state(start(first, second), so.Context())
    assert len(left) == 1
    return left[0].state


def search(state: ObservedProblem, seed: int = 0, **settings: int) -> Any:
    return CaseSearch(state, CaseEffort(**settings), seed, lambda: None).run()


@pytest.fixture(scope="module")
def proofs() -> list[tuple[ObservedProblem, Any]]:
    found = []
    for supports in CLOSED:
        state = open_part(supports)
        tree = next(t for seed in range(5) if (t := search(state, seed, branches=150)) is not None)
        found.append((state, tree))
    return found


def at(terms: Any, values: dict[tuple[int, ...], Fraction]) -> Fraction:
    total = Fraction(0)
    for coefficient, names in terms:
        part = Fraction(coefficient)
        for name in names:
            part *= values[tuple(name)]
        total += part
    return total


def rank(rows: list[list[Fraction]]) -> int:
    work, found = [list(row) for row in rows], 0
    for c in range(len(work[0]) if work else 0):
        pivot = next((i for i in range(found, len(work)) if work[i][c]), None)
        if pivot is None:
            continue
        work[found], work[pivot] = work[pivot], work[found]
        for i in range(found + 1, len(work)):
            f = work[i][c] / work[found][c]
            work[i] = [a - f * b for a, b in zip(work[i], work[found], strict=True)]
        found += 1
    return found


def is_reached(state: ObservedProblem, tree: Any, target: np.ndarray, rng: random.Random) -> bool:
    """Follow the tree to the leaf of a target; its factors, at a random point, reach the target."""
    exact = np.array([[Fraction(int(v)) for v in row] for row in target], dtype=object)
    values = {(int(i), int(j)): exact[i, j] for i, j in np.argwhere(state.observed)}
    while tree[0] in ("split", "minor", "clear", "clear_t", "pivot", "pivot_t"):
        if tree[0] in ("pivot", "pivot_t"):
            rule, i, columns, if_zero, if_nonzero = tree
            turned = exact.T if rule == "pivot_t" else exact
            first = next((j for j in columns if turned[i, j]), None)
            tree = if_zero if first is None else if_nonzero
            if first is not None:
                turned[:, [columns[0], first]] = turned[:, [first, columns[0]]]
                for j in columns[1:]:
                    turned[:, j] -= turned[i, j] / turned[i, columns[0]] * turned[:, columns[0]]
            values = {(int(i), int(j)): exact[i, j] for i, j in np.argwhere(state.observed)}
        elif tree[0] in ("clear", "clear_t"):
            rule, i, j, other, tree = tree
            turned, seen = (
                (exact.T, state.observed.T) if rule == "clear_t" else (exact, state.observed)
            )
            factor = turned[i, other] / turned[i, j]
            for row in np.flatnonzero(seen[:, other]):
                turned[row, other] -= factor * turned[row, j]
            values = {(int(i), int(j)): exact[i, j] for i, j in np.argwhere(state.observed)}
        else:
            tree = tree[4] if tree[0] == "minor" else tree[4 if at(tree[1], values) else 3]
    assert tree[0] != "empty"
    left, right, seen = state.left, state.right, state.observed
    matrix = exact
    if tree[0] == "solve_t":
        left, right, seen, matrix = right.T, left.T, seen.T, exact.T
    for n in range(40):
        values[n,] = Fraction(rng.randint(-(10**6), 10**6))
    x = np.full(left.shape, Fraction(0), dtype=object)
    for i, k, p in tree[1]:
        assert left[i, k]
        x[i, k] = at(p, values)
    for j in np.flatnonzero(seen.any(axis=0)):
        rows, terms = np.flatnonzero(seen[:, j]), np.flatnonzero(right[:, j])
        block = [[x[i, k] for k in terms] for i in rows]
        bordered = [[*row, matrix[i, j]] for row, i in zip(block, rows, strict=True)]
        if rank(block) < rank(bordered):
            return False
    return True


@pytest.mark.parametrize("seed", range(3))
def test_factors_of_the_leaves_reach_random_targets(
    proofs: list[tuple[ObservedProblem, Any]], seed: int
) -> None:
    rng = random.Random(seed)
    for state, tree in proofs:
        cases = Cases(state)
        cases.check(tree)
        met = 0
        for _ in range(250):
            share = rng.choice((0.2, 0.5, 0.8))
            target = np.array(
                [
                    [rng.choice((1, -1, 2)) if rng.random() < share else 0 for _ in row]
                    for row in state.observed
                ]
            )
            if any(
                rank([[Fraction(int(target[i, j])) for j in columns] for i in rows]) == len(rows)
                for rows, columns in cases.conditions
            ):
                continue
            met += 1
            assert is_reached(state, tree, target, rng)
        assert met > 40


def test_sets_that_are_not_closed_have_no_tree() -> None:
    for supports in NOT_CLOSED:
        state = open_part(supports)
        for seed in range(2):
            assert search(state, seed, rounds=1, branches=12) is None


def paths(value: Any, path: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    if not isinstance(value, list):
        return [path]
    return [path, *(p for n, inner in enumerate(value) for p in paths(inner, (*path, n)))]


def test_edited_trees_of_closed_parts_prove_nothing_of_others(
    proofs: list[tuple[ObservedProblem, Any]],
) -> None:
    """Edit trees and check them on parts that are not closed: nothing may pass."""
    rng = random.Random(5)
    others = [open_part(supports) for supports in NOT_CLOSED]
    for _, tree in proofs:
        places = paths(tree)
        for number in range(60):
            edited = copy.deepcopy(tree)
            for path in rng.sample(places, number % 3):
                node = edited
                try:
                    for step in path[:-1]:
                        node = node[step]
                    if path:
                        node[path[-1]] = rng.choice([0, 1, 2, None, [], ["empty"], "x"])
                except (IndexError, TypeError):
                    continue
            for state in others:
                with pytest.raises(EvidenceError):
                    Cases(state).check(edited)


def one_block(observed: Any) -> ObservedProblem:
    seen = np.array(observed, dtype=bool)
    m, n = seen.shape
    return ObservedProblem(np.ones((m, 1), dtype=bool), np.ones((1, n), dtype=bool), seen, (0,))


def test_rank_one_by_hand() -> None:
    """A dense 2 x 2 block: the minor vanishes; split on the first column."""
    state = one_block([[1, 1], [1, 1]])
    a, c = [[1, [[0, 0]]]], [[1, [[1, 0]]]]
    second = ["solve", [[0, 0, [[1, [[0, 1]]]]], [1, 0, [[1, [[1, 1]]]]]]]
    by_first = ["solve", [[0, 0, a], [1, 0, c]]]
    zero_column = [
        "split",
        [[1, [[0, 1]]]],
        [0, 1],
        ["split", [[1, [[1, 1]]]], [1, 1], ["solve", [], [[[], []], [[], []]]], None],
        [*second, [[[], []], [[0], [0]]]],
    ]
    zero_column[3][4] = [*second[:1], [[1, 0, [[1, [[1, 1]]]]]], [[[], []], [[1], [0]]]]
    tree = [
        "split",
        a,
        [0, 0],
        [
            "split",
            c,
            [1, 0],
            zero_column,
            ["minor", [0, 1], [0, 1], [0, 1], ["solve", [[1, 0, c]], [[[1], [0]], [[1], [0]]]]],
        ],
        ["minor", [0, 1], [0, 1], [1, 1], [*by_first, [[[0], [0]], [[0], [0]]]]],
    ]
    cases = Cases(state)
    cases.check(tree)
    assert cases.leaves == 5
    assert cases.conditions == {((0, 1), (0, 1))}
    # The same tree without the minor leaves a row that is not reached.
    with pytest.raises(EvidenceError, match="do not reach row"):
        Cases(state).check([*tree[:4], tree[4][4]])
    two = np.ones((2, 2), dtype=bool)
    with pytest.raises(EvidenceError, match="need not vanish"):
        Cases(ObservedProblem(two, two, two, (0, 1))).check(tree)


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [],
        ["trust"],
        ["empty"],
        ["solve", [], []],
        ["solve", [[0, 0, [[1, []]]]], [[[0], [0]]]],
        ["solve", [[0, 0, [[1, []]]]], [[[0], [0]], [[0], [0]]]],
        ["solve", [[5, 0, [[1, []]]]], [[[0], [0]], [[0], [0]]]],
        ["solve", [[0, 0, [[0.5, []]]]], [[[0], [0]], [[0], [0]]]],
        ["solve", [[0, 0, [[1, [["a"]]]]]], [[[0], [0]], [[0], [0]]]],
        ["solve", [[0, 0, [[1, [[7, 7]]]]]], [[[0], [0]], [[0], [0]]]],
        ["split", [[1, []]], [0, 0], ["empty"], ["empty"]],
        ["split", [[1, [[0, 0], [0, 0]]]], [0, 0], ["empty"], ["empty"]],
        ["split", [[1, [[0, 0], [1, 1]]]], [0, 0], ["empty"], ["empty"]],
        ["minor", [0, 0], [0, 1], [0, 0], ["empty"]],
        ["minor", [0, 1], [0, -1], [0, 0], ["empty"]],
        ["minor", [0, 1], [0, 1], [0, 0], ["empty"]],
    ],
)
def test_malformed_trees_are_refused(tree: Any) -> None:
    with pytest.raises(EvidenceError):
        Cases(one_block([[1, 1], [1, 1]])).check(tree)


def test_minors_that_vanish() -> None:
    state = one_block([[1, 1, 1], [1, 1, 1]])
    assert vanishes(state, [0, 1], [0, 2])
    assert not vanishes(state, [0], [1])
    assert not vanishes(one_block([[1, 1], [1, 0]]), [0, 1], [0, 1])


def test_a_branch_solves_for_an_entry() -> None:
    state = one_block([[1, 1], [1, 1]])
    a, b = variable((0, 0)), variable((0, 1))
    branch = Branch.root(state.observed).knowing(a)
    later = branch.solved(branch.minor([0, 1], [0, 1]), (1, 1))
    over, under = later.entries[1, 1]
    assert over == multiply(b, variable((1, 0)))
    assert under == a
    assert not later.minor([0, 1], [0, 1])
    with pytest.raises(EvidenceError, match="can vanish"):
        branch.solved(multiply(b, variable((1, 0))), (1, 0))
    with pytest.raises(EvidenceError, match="not linear"):
        later.solved(variable((1, 1)), (1, 1))


def test_lines_that_are_mixed() -> None:
    dense = np.ones((2, 3), dtype=bool)
    state = ObservedProblem(np.ones((2, 2), dtype=bool), dense, dense, (0, 1))
    root = Branch.root(state.observed)
    known = root.knowing(variable((0, 2))).knowing(variable((1, 0)))
    zero, nonzero = pivoted(state, known, 0, [1, 0], False)
    assert not zero.entries[0, 0][0]
    assert not zero.entries[0, 1][0]
    assert zero.nonzero == known.nonzero
    # Column 0 was mixed: what was known of it is forgotten.
    assert nonzero.nonzero == (variable((0, 2)), variable((0, 1)))
    assert not nonzero.entries[0, 0][0]
    assert nonzero.entries[1, 0][0] == variable((1, 0))
    _, turned = pivoted(state, root, 2, [0, 1], True)
    assert turned.nonzero == (variable((0, 2)),)
    assert not turned.entries[1, 2][0]
    solved = root.knowing(variable((0, 0))).solved(root.minor([0, 1], [0, 1]), (1, 1))
    for branch in (solved, root.without([(1, 0)]), nonzero):
        with pytest.raises(EvidenceError):
            pivoted(state, branch, 0, [0, 1], False)
    with pytest.raises(EvidenceError, match="used to express"):
        pivoted(state, solved, 0, [0, 2], False)
    # The second column is covered by one term only, or not observed everywhere.
    right, observed = dense.copy(), dense.copy()
    right[0, 1] = observed[1, 1] = False
    for other in (
        ObservedProblem(state.left, right, dense, (0, 1)),
        ObservedProblem(state.left, dense, observed, (0, 1)),
    ):
        with pytest.raises(EvidenceError, match="alike"):
            pivoted(other, Branch.root(other.observed), 0, [0, 1], False)
        pivoted(other, Branch.root(other.observed), 0, [0, 2], False)
    for i, columns in ((2, [0, 1]), (0, []), (0, [0, 0]), (0, [0, 3]), (-1, [0])):
        with pytest.raises(EvidenceError):
            pivoted(state, root, i, columns, False)


@pytest.mark.parametrize("seed", range(20))
def test_polynomials(seed: int) -> None:
    rng = random.Random(seed)
    names = [(0, 0), (0, 1), (3,)]

    def draw() -> Any:
        terms = [
            [rng.randint(-3, 3), [list(rng.choice(names)) for _ in range(rng.randint(0, 3))]]
            for _ in range(rng.randint(1, 4))
        ]
        return read(terms)

    p, q, r = draw(), draw(), draw()
    point = {name: Fraction(rng.randint(-5, 5), rng.randint(1, 4)) for name in names}

    def value(poly: Any) -> Fraction:
        return at(write(poly), point)

    assert value(add(p, q, 3)) == value(p) + 3 * value(q)
    assert value(multiply(p, q)) == value(p) * value(q)
    assert value(power(p, 3)) == value(p) ** 3
    block = [[p, q, r], [q, p, ONE], [r, ONE, q]]
    a, b, c = value(p), value(q), value(r)
    assert value(determinant(block)) == a * (a * b - 1) - b * (b * b - c) + c * (b - a * c)
    if q:
        assert divide(multiply(p, q), q) == p
        assert is_product(multiply(q, q), [q])
        lead = max(m.count((3,)) for m in p) if p else 0
        put_in = put(p, (3,), q, ONE)
        assert at(write(put_in), {**point, (3,): Fraction(7)}) == at(
            write(p), {**point, (3,): at(write(q), {**point, (3,): Fraction(7)})}
        )
        assert lead == max((len(m) for m in coefficients(p, [(3,)])), default=0)
    assert divide(variable((0, 0)), variable((0, 1))) is None


LOWER, UPPER = [[1, 0], [1, 1]], [[1, 1], [0, 1]]


@pytest.mark.parametrize("chain", [[LOWER, UPPER, LOWER], [UPPER, LOWER, UPPER]])
def test_triangular_chains_give_every_matrix(chain: Any) -> None:
    solution = so.solve(so.Closedness(chain), time_limit=60.0)
    assert solution.answer.value == "closed"
    again = so.Solution.from_json(solution.to_json())
    assert so.verify(again).ok
    step = again.certificate.steps[-1]
    assert step[0] == "cases"
    # Two factors in place of the chain: LU does not give every matrix.
    with pytest.raises(EvidenceError):
        ChainCases([np.array(s, dtype=bool) for s in (LOWER, UPPER)]).check(step[3])
    # Three factors with a hole.
    holed = [np.array(s, dtype=bool) for s in chain]
    holed[0] = np.eye(2, dtype=bool)
    with pytest.raises(EvidenceError):
        ChainCases(holed).check(step[3])
    with pytest.raises(EvidenceError, match="no 9 factors"):
        shorten(again.problem.supports, ["cases", 0, 9, step[3]])


def test_chains_that_do_not_give_every_matrix_have_no_tree() -> None:
    for chain in ([LOWER, UPPER], [LOWER, UPPER, UPPER]):
        supports = [np.array(s, dtype=bool) for s in chain]
        assert ChainCaseSearch(supports, CaseEffort(branches=10), 0, lambda: None).run() is None
