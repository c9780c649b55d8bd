"""Forged and true lower bounds on repairs, with costs and lines that must not be cut off.

Each forged one is stopped by one condition of `sparseopt.closedness.cores`; where it can be, its
supports are closed as they are, so that the bound of 1 that it claims is false.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from closedness_statements import REPAIRED, repair
from forging import DENSE, LU, Pairs, comparable

import sparseopt as so

ONE, HALF = Fraction(1), Fraction(1, 2)

WINDOW = [0, [0, 1], [0, 1], 1, [], [], ONE]
"""Of LU, for removals."""
ZEROS = [[0, 0, 1], [1, 1, 0]]
"""Entries of LU that keep its second term from the three cells."""
BLOCKED = tuple(
    [[int(c) for c in row] for row in rows.split()]
    for rows in (
        "001101 001010 100001 110100 110000",
        "10001 00000 11000 10110 00000 11011",
    )
)
BLOCKED_WINDOWS = [
    [3, [3, 0], [2, 3], 5, [], [], HALF],
    [0, [4, 3], [4, 0], 3, [], [], HALF],
    [2, [1, 0], [1, 0], 3, [[5, "column", 1, 2, 3]], [], HALF],
    [5, [0, 2], [1, 4], 0, [[2, "column", 1, 1, 0]], [], HALF],
]
"""The least number of removals, 2, from four windows, two of them blocked."""


def closed(supports: Any, core: Any, **how: Any) -> Any:
    """Return the claim that supports which are closed need a change."""
    return repair(supports, 0, 1, [], given=supports, proof=proved(supports), cores=[core], **how)


def proved(supports: Any) -> Any:
    """Return a proof that supports are closed."""
    return so.solve(so.Closedness(supports)).certificate


def window(**changes: Any) -> list[Any]:
    """Return the window of LU with other parts."""
    names = ("term", "rows", "columns", "other", "blockers", "zeros", "weight")
    return [changes.get(name, part) for name, part in zip(names, WINDOW, strict=True)]


def bound(core: Any, claimed: Any = 1, **how: Any) -> Any:
    """Return a repair of LU with windows as its bound."""
    cores = core if core and isinstance(core[0], list) else [core]
    return repair(bound=claimed, windows=[], cores=cores, **how)


def removed(supports: Any, entries: Any) -> Any:
    """Return supports without some entries."""
    copied = [[list(row) for row in support] for support in supports]
    for factor, a, b in entries:
        copied[factor][a][b] = 0
    return copied


def honest() -> Pairs:
    """Yield true ones of every kind."""
    yield "a window", bound(WINDOW)
    yield "a window of weight one half", bound(window(weight=HALF))
    yield "a window for both", bound(window(zeros=ZEROS), allow="both")
    yield (
        "zeros",
        repair(DENSE, 2, 1, [], allow="add", proof=comparable(*DENSE), cores=[window(zeros=ZEROS)]),
    )
    fewer = removed(BLOCKED, [(0, 2, 5), (0, 3, 3)])
    yield (
        "blocked",
        repair(fewer, 2, 2, [], given=BLOCKED, proof=proved(fewer), cores=BLOCKED_WINDOWS),
    )
    costs = ([[3, 1], [2, 0.5]], [[4, 5], [6, 0.25]])
    yield (
        "costs",
        bound(window(weight=Fraction(1, 4)), Fraction(1, 4), costs=costs, cost=Fraction(1, 4)),
    )
    more = (costs[0], [[4, 5], [6, 0.5]])
    yield "costs of one half", bound(window(weight=HALF), HALF, costs=more, cost=HALF)
    ends = ([[0, 2.0**900], [0, 2.0**900]], [[0, 5], [6, 0.25]])
    yield "costs from 0 to 2^900", repair(bound=0, windows=[], costs=ends, cost=HALF / 2)
    yield "costs without a bound", repair(bound=0, windows=[], costs=costs, cost=Fraction(1, 4))
    kept = (LU[0], [[1, 0], [0, 1]])
    yield "no line cut off", repair(kept, proof=proved(kept), keep_lines=True)
    turned = ([[1, 0, 1], [1, 1, 1]], [[1, 1], [0, 1], [1, 1]])
    yield (
        "a repair that cuts off nothing",
        repair(turned, 0, 0, [], given=turned, proof=proved(turned), keep_lines=True),
    )


def forged() -> Iterator[tuple[str, Any]]:
    """Yield (sentence | what it is, certificate), all to be refused."""
    yield from forms().items()
    yield from windows().items()
    yield from blockers().items()
    yield from zeros().items()
    yield from figures().items()


def forms() -> dict[str, Any]:
    """Places and weights that are none."""
    exists = "it does not hold that its entries exist"
    return {
        "cores[0][0]: expected an integer from 0 | a negative term": bound(window(term=-2)),
        "cores[0][1][0]: expected an integer from 0 | a negative row": bound(window(rows=[-2, 1])),
        "cores[0][3]: expected an integer from 0 | True": bound(window(other=True)),
        "cores[0][1]: expected a list without repetitions | one row": bound(window(rows=[1, 1])),
        "cores[0][2]: expected a list without repetitions | one column": bound(
            window(columns=[1, 1])
        ),
        "cores[0][1]: expected a list of at least 2 | one row": bound(window(rows=[0])),
        "cores[0][1]: expected a list of at most 2 | three rows": bound(window(rows=[0, 1, 2])),
        "cores[0][6]: expected an integer or a rational | a float": bound(window(weight=1.0)),
        f"{exists} | a term": bound(window(term=2)),
        f"{exists} | another term": bound(window(other=2)),
        f"{exists} | a row": bound(window(rows=[0, 2])),
        f"{exists} | a column": bound(window(columns=[0, 2])),
        f"{exists} | a term of a blocker": bound(window(blockers=[[2, "row", 0, 1, 1]])),
        f"{exists} | a line of a blocker": bound(window(blockers=[[1, "row", 2, 1, 1]])),
        f"{exists} | a column that is a line": bound(window(blockers=[[1, "column", 2, 1, 1]])),
        f"{exists} | a row of a blocker": bound(window(blockers=[[1, "row", 0, 2, 1]])),
        f"{exists} | a column of a blocker": bound(window(blockers=[[1, "row", 0, 1, 2]])),
        f"{exists} | a zero, row": bound(window(zeros=[[0, 2, 0]]), allow="both"),
        f"{exists} | a zero, column": bound(window(zeros=[[1, 0, 2]]), allow="both"),
        "its weight is positive, not 0 | nothing": bound(window(weight=Fraction(0)), 0),
        "its weight is positive, not -1 | less than nothing": bound(
            [window(weight=-ONE), window(weight=2 * ONE)]
        ),
    }


def windows() -> dict[str, Any]:
    """Closed supports with what looks like a window."""
    return {
        "its two terms are distinct | one term": closed(
            ([[1, 0], [1, 0]], [[1, 1], [0, 1]]), [0, [1, 0], [0, 1], 0, [], [], ONE]
        ),
        "the six entries are 1 | the other term lacks the row": closed(
            ([[1, 0], [1, 0]], [[1, 1], [0, 1]]), [0, [1, 0], [0, 1], 1, [], [], ONE]
        ),
        "term 0 is blocked at cell (0, 1) | it covers a corner": closed(
            ([[1, 1], [0, 1]], [[1, 1], [1, 1]]), [1, [1, 0], [1, 0], 0, [], [], ONE]
        ),
        "term 1 is blocked at cell (0, 0) | both terms everywhere": closed(DENSE, WINDOW),
        "removals need no zeros | a zero": bound(window(zeros=[[0, 0, 1]])),
        "a zero keeps term 1 from cell (0, 0) | removals, claimed for both": bound(
            WINDOW, allow="both"
        ),
        "a zero keeps term 1 from cell (0, 0) | removals, claimed for additions": repair(
            DENSE, 2, 1, [], allow="add", proof=comparable(*DENSE), cores=[WINDOW]
        ),
    }


def blockers() -> dict[str, Any]:
    """Closed supports with terms that are said to be blocked."""
    third = ([[1, 0, 0], [1, 1, 0], [1, 1, 0]], [[1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 1, 0]])
    line = ([[1, 1, 1], [0, 1, 0]], [[1, 1, 1], [1, 1, 0], [0, 1, 0]])
    outside = ([[1, 1, 0], [1, 0, 1]], [[1, 1, 0], [1, 1, 1], [0, 1, 0]])
    owned = (
        [[1, 0, 0, 1], [1, 1, 1, 0], [0, 1, 1, 1]],
        [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [1, 1, 1, 0]],
    )
    twice = ([[1, 0, 1, 0], [1, 1, 1, 0]], [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]])
    return {
        "term 1 of a blocker is a third one | the other of the window": closed(
            third, [0, [0, 1], [0, 1], 1, [[1, "row", 1, 2, 2]], [], ONE]
        ),
        "cell (0, 0) is owned by term 0 | another covers it too": closed(
            line, [1, [1, 0], [0, 1], 2, [[0, "column", 0, 0, 2]], [], ONE]
        ),
        "the blocker of term 1 lies outside its line | it is the cell": closed(
            outside, [0, [0, 1], [0, 1], 2, [[1, "row", 0, 0, 2]], [], ONE]
        ),
        "cell (2, 2) is owned by term 3 | two others cover it too": closed(
            owned, [0, [0, 1], [0, 1], 1, [[3, "row", 0, 2, 2]], [], ONE]
        ),
        "term 2 has one blocker | two": closed(
            twice,
            [0, [0, 1], [0, 1], 1, [[2, "row", 1, 0, 2], [2, "row", 0, 1, 2]], [], ONE],
        ),
        "term 5 is blocked at cell (0, 1) | its blocker left out": blocked_elsewhere(),
    }


def blocked_elsewhere() -> Any:
    """Return BLOCKED's repair with a window whose blocker is left out."""
    fewer = removed(BLOCKED, [(0, 2, 5), (0, 3, 3)])
    cores = [*BLOCKED_WINDOWS[:2], [2, [1, 0], [1, 0], 3, [], [], HALF], BLOCKED_WINDOWS[3]]
    return repair(fewer, 2, 2, [], given=BLOCKED, proof=proved(fewer), cores=cores)


def zeros() -> dict[str, Any]:
    """Additions and both: what must stay zero."""
    return {
        "with 'both' nothing is blocked | a blocker": bound(
            window(zeros=ZEROS, blockers=[[1, "row", 0, 1, 1]]), allow="both"
        ),
        "its zeros are 0 | ones": closed(DENSE, window(zeros=[[0, 0, 1], [1, 1, 0]]), allow="both"),
        "a zero keeps term 1 from cell (1, 0) | a zero less": bound(
            window(zeros=ZEROS[:1]), allow="both"
        ),
        "a zero keeps term 1 from cell (0, 0) | the other term, forgotten": closed(
            DENSE, WINDOW, allow="add"
        ),
    }


def figures() -> dict[str, Any]:
    """Loads, costs and lines."""
    over = "sum to more than its cost"
    costs = ([[3, 1], [2, 0.5]], [[4, 5], [6, 0.25]])
    tall = ([*LU[0], *LU[0]], LU[1])
    two = [[0, [0, 1], [0, 1], 1, [], [], ONE], [0, [2, 3], [0, 1], 1, [], [], ONE]]
    apart = [window(zeros=ZEROS), window(zeros=ZEROS, rows=[0, 1], columns=[0, 1])]
    quarter = Fraction(1, 4)
    return {
        f"{over} | one window twice": bound([WINDOW, WINDOW], 2),
        f"{over} | two windows of one term": repair(
            (tall[0], REPAIRED[1]),
            1,
            2,
            [],
            given=tall,
            proof=proved((tall[0], REPAIRED[1])),
            cores=two,
        ),
        f"{over} | a zero": repair(
            DENSE, 2, 2, [], allow="add", proof=comparable(*DENSE), cores=apart
        ),
        f"{over} | a weight of 3/2": bound(window(weight=Fraction(3, 2)), 2),
        f"{over} | a cheap entry": bound(
            window(weight=Fraction(1, 2)), Fraction(1, 2), costs=costs, cost=quarter
        ),
        "the lower bound is 1 | rounded up twice": bound(window(weight=HALF), 2),
        "the lower bound is 1/4 | rounded up": bound(
            window(weight=quarter), 1, costs=costs, cost=quarter
        ),
        "no changes are counted | a cheap change": repair(costs=costs, cost=quarter),
        "the stated cost is that of the changes | less": repair(
            bound=0, windows=[], costs=costs, cost=HALF / 4
        ),
        "the stated cost is that of the changes | nothing said": repair(
            bound=0, windows=[], costs=costs
        ),
        "the stated cost is that of the changes | something said": repair(cost=ONE),
        "no line is cut off that must not be | a row": repair(
            ([[0, 0], [1, 1]], LU[1]), proof=comparable([[0, 0], [1, 1]], LU[1]), keep_lines=True
        ),
        "no line is cut off that must not be | a column": repair(
            (LU[0], [[0, 1], [0, 1]]), proof=proved((LU[0], [[0, 1], [0, 1]])), keep_lines=True
        ),
        "costs[0] has entries above 2^900 | costs whose sum no float holds": (
            lambda: so.NearestClosedSupport(LU, costs=[[[1.7e308] * 2] * 2] * 2)
        ),
        "costs[0] is negative at (1, 0) | a cost below 0": lambda: so.NearestClosedSupport(
            LU, costs=([[0, 0.5], [-1, 1]], [[1, 1], [1, 1]])
        ),
        "costs[1] has the shape (1, 2) | another shape": lambda: so.NearestClosedSupport(
            LU, costs=([[1, 1], [1, 1]], [[1, 1]])
        ),
        "costs must be a list of two arrays | one": lambda: so.NearestClosedSupport(
            LU, costs=[[[1, 1], [1, 1]]]
        ),
        "costs must be a list of two arrays | one array": lambda: so.NearestClosedSupport(
            LU, costs=np.ones((2, 2, 2))
        ),
        "ClosedSupport has fields | an unknown one": so.to_json(repair()).replace(
            '"lower_bound": 1', '"lower_bound": 1, "upper_bound": 1'
        ),
        "costs in a file must be null or a list of two arrays | texts": so.to_json(
            repair()
        ).replace('"costs": null', '"costs": ["one", "two"]'),
        "lower_bound is at least 0 | below": lambda: so.ClosedSupport(LU, 0, -1),
        "cost is at least 0 | below": lambda: so.ClosedSupport(LU, 0, 0, -ONE),
        "keep_lines must be True or False | a number": lambda: so.NearestClosedSupport(
            LU,
            keep_lines=2,  # type: ignore[arg-type]
        ),
    }
