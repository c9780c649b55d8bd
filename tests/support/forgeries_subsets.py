"""Forged certificates of best subsets, and why each is refused.

As in `forgeries_regression`, the name of each is the sentence of the line that stops it, then
" | " and what it is.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from laws import law, refusal
from pursuit_certificates import KINDS, MINIMUM, OBJECTIVE, Pairs, changed
from subset_laws import bounds_hold, nearly_dependent_columns_are_bounded

import sparseopt as so


@cache
def subsets() -> dict[str, Any]:
    """Return certificates of best subsets, of each kind of claim."""
    r = np.random.default_rng(0)
    design, target = r.standard_normal((8, 10)), r.standard_normal(8)
    tall = r.standard_normal((30, 10)), r.standard_normal(30)
    signal = tall[0][:, :3] @ np.ones(3) + 0.01 * tall[1]
    problems = {
        "subset": so.CardinalityRegression(design, target, 3),
        "one column": so.CardinalityRegression(design, target, 1),
        "signal": so.CardinalityRegression(tall[0], signal, 4),
        "all columns": so.CardinalityRegression(tall[0][:, :4], tall[1], 4),
        "equal columns": so.CardinalityRegression(np.ones((3, 4)), [1.0, 2.0, 4.0], 2),
        "no columns": so.CardinalityRegression(np.zeros((3, 4)), [1.0, 2.0, 4.0], 2),
        "fitted": so.CardinalityRegression(np.eye(3), [1.0, 2.0, 0.0], 2),
        "complex subset": so.CardinalityRegression(design * (1 + 1j), target * (1 - 2j), 3),
        "complex signal": so.CardinalityRegression(tall[0] + 1j * tall[0][::-1], signal, 4),
        "product subset": so.CardinalityRegression(
            so.KroneckerProduct([design[:4, :4].reshape(1, 4, 4, 1)], [(1, 4, 4, 1)]),
            target[:4],
            2,
        ),
    }
    made = {name: so.solve(problem).certificate for name, problem in problems.items()}
    made["greedy"] = so.solve(problems["subset"], "omp").certificate
    made["cut"] = so.solve(problems["signal"], "branch_and_bound").certificate
    return made


def honest() -> Pairs:
    """Yield certificates that must be accepted."""
    for name, made in subsets().items():
        yield f"best {name}", made
        yield (
            f"best {name}, with room",
            changed(made, primal=made.primal * 1.001, dual=made.dual * 0.999),
        )
    yield "best subset, no bound", changed(subsets()["subset"], dual=-1.0)
    yield "bounds over supports, exactly", law(bounds_hold)
    yield "columns that nearly depend", law(nearly_dependent_columns_are_bounded)


def forged() -> Pairs:
    """Yield what must be refused."""
    for name, made in subsets().items():
        if made.primal > 1e-20:
            yield f"{OBJECTIVE} | best {name}, lower", changed(made, primal=made.primal * 0.999)
        yield f"{OBJECTIVE} | best {name}, inf", changed(made, primal=math.inf)
        yield f"{MINIMUM} | best {name}, nan", changed(made, dual=math.nan)
        yield f"{MINIMUM} | best {name}, inf", changed(made, dual=math.inf)
    made, signal = subsets()["subset"], subsets()["signal"]
    x = made.answer.x
    yield "the answer is Coefficients | another", changed(made, answer=so.PursuitAnswer(x))
    yield f"{KINDS} | a complex subset", changed(made, answer_x=x + 0j)
    yield "x has one entry for each | one more", changed(made, answer_x=np.append(x, 0.0))
    yield "x has at most 3 nonzeros | four", changed(made, answer_x=np.where(x == 0, 1e-300, x))
    whole = "with all columns together the minimum is at least"
    for name in ("all columns", "equal columns", "no columns"):
        one = subsets()[name]
        yield f"{whole} | {name}", changed(one, dual=one.dual * (1 + 1e-9))
    yield f"{whole} | a tree is needed", changed(made, order=np.zeros(0, int))
    order = made.order
    yield "the order holds each | one left out", changed(made, order=order[:-1])
    yield "the order holds each | one twice", changed(made, order=np.append(order, order[0]))
    other = np.append(order[:-1], order[0])
    yield "the order holds each | one for another", changed(made, order=other)
    few = subsets()["equal columns"]
    yield (
        "there are more distinct columns than may be used | one",
        changed(few, order=np.array([0]), closed=(np.zeros(0, int),)),
    )
    single = made.singled_out
    yield "at most 2000 supports of 3 | of two", changed(made, singled_out=single[:, :2])
    yield (
        "at most 2000 supports of 3 | too many",
        changed(made, singled_out=np.repeat(single, 2001, axis=0)),
    )
    yield (
        "they consist of columns of the order | beyond",
        changed(made, singled_out=np.array([[0, 1, 10]])),
    )
    on = "on a support that is singled out the minimum is at least"
    yield f"{on} | higher", changed(made, dual=made.dual * (1 + 1e-9))
    yield "there are 2 levels before | one", changed(made, closed=made.closed[:1])
    yield "there are 2 levels before | three", changed(made, closed=(*made.closed, single[0, :0]))
    none = np.zeros(0, int)
    inside = "the closed sets are sets of their level"
    yield f"{inside} | beyond", changed(made, closed=(none, np.array([99])))
    yield f"{inside} | twice", changed(made, closed=(none, np.array([0, 0])))
    bound = "no continuation of a closed set does better than the bound"
    yield f"{bound} | the root", changed(made, closed=(np.array([0]), none))
    yield f"{bound} | the root, tall", changed(signal, closed=(np.array([0]), none, none))
    yield f"{bound} | a good branch", changed(signal, closed=(none, np.array([0]), none))
    left = "every support that the bounds of the tree leave open is singled out"
    yield f"{left} | none", changed(made, singled_out=single[:0])
    yield f"{left} | the best but one", changed(made, dual=made.dual * 1.0, singled_out=single[1:])
    large = so.CardinalityRegression(
        np.random.default_rng(0).standard_normal((20, 60)), np.arange(20.0), 8
    )
    open_levels = tuple(none for _ in range(7))
    forged_order = np.arange(60)
    yield (
        "the work of the check is bounded | 60 over 8",
        so.SubsetCertificate(
            large, so.Coefficients(np.zeros(60)), forged_order, open_levels,
            np.zeros((0, 8), int), 1e6, 1.0,
        ),
    )  # fmt: skip
    yield from entrance()


def entrance() -> Pairs:
    """Arrays of another kind than evidence has."""
    made = subsets()["signal"]
    first = refusal(lambda: changed(made, closed=(np.array([-1]), *made.closed[1:])))
    yield "closed holds -1, which is not an index | the last", first
    floats = refusal(lambda: changed(made, order=made.order.astype(float)))
    yield "order must be an array of indices | floats", floats
    table = refusal(lambda: changed(made, order=made.order[None]))
    yield "order must be an array of indices | a table", table
    words = refusal(lambda: changed(made, closed="no"))
    yield "closed must be a list of vectors | a word", words
