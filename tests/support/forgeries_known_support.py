"""Forged certificates of least squares on a known support, and why each is refused.

As in `forgeries_regression`, the name of each is the sentence of the line that stops it, then
" | " and what it is.
"""

from __future__ import annotations

import math

import numpy as np
from laws import law, refusal
from pursuit_certificates import (
    Pairs,
    changed,
    forged_figures,
    forged_shapes,
    known_supports,
    with_room,
)
from subset_laws import nearly_dependent_columns_are_told

import sparseopt as so
from sparseopt.inverse import operators


def honest() -> Pairs:
    """Yield certificates that must be accepted."""
    yield from with_room(known_supports())
    yield "nearly dependent columns", law(nearly_dependent_columns_are_told)
    yield "distances over norms", law(distances_are_over_norms)


def distances_are_over_norms() -> bool:
    """Whether a distance is taken over the norm of the largest column, also of products too large
    to measure, whose bounds of columns are sums of magnitudes."""
    rng = np.random.default_rng(0)
    m, k, before, held = 512, 3, operators._STREAMED, []
    values = np.sign(rng.standard_normal((m, k)))
    values[:, 1] *= 0.5
    values[:, -1] = values[:, 0]
    values[0, -1] *= 1 + 2.0**-20
    values[-1] = 0.0
    largest = max(float(np.linalg.norm(column)) for column in values.T)
    product = so.KroneckerProduct([values.reshape(1, m, k, 1)], [(1, m, k, 1)])
    problem = so.KnownSupportRegression(product, np.eye(1, m, m - 1)[0], range(k))
    basis, combination = np.arange(k - 1), np.eye(k - 1, k)
    combination[0, -1] = 1.0
    try:
        for operators._STREAMED in (before, 1):
            made = so.KnownSupportCertificate.build(
                problem, np.zeros(k), basis, combination, np.zeros(k - 1)
            )
            share = made[1].relative_distance / (2.0**-20 / largest)
            held.append(1.0 <= share <= 1.0 + 2.0**-19)
    finally:
        operators._STREAMED = before
    return all(held)


def forged() -> Pairs:
    """Yield what must be refused."""
    yield from forged_figures(known_supports())
    yield from forged_shapes({"support": known_supports()["support"]})
    yield from supports()
    yield from entrance()


def supports() -> Pairs:
    made, deficient = known_supports()["support"], known_supports()["deficient"]
    near = known_supports()["nearly deficient"]
    x = made.answer.x.copy()
    x[0] = 1e-300
    yield "x vanishes off the support | tiny", changed(made, answer_x=x)
    yield "the basis names distinct columns | twice", changed(made, basis=np.array([0, 1, 1]))
    yield "the basis names distinct columns | beyond", changed(made, basis=np.array([0, 1, 3]))
    yield "the basis names distinct columns | negative", changed(made, basis=np.array([0, 1, -1]))
    yield "the combination is | one row less", changed(made, combination=made.combination[:2])
    yield "the combination is | row point", changed(made, row_point=made.row_point[:2])
    yield "the answer states the number of columns | less", changed(made, answer_rank=2)
    yield (
        "the answer says whether that is less | not so",
        changed(made, answer_rank_deficient=True),
    )
    yield (
        "the answer says whether that is less | hidden",
        changed(deficient, answer_rank_deficient=False),
    )
    for name, one in (("deficient", deficient), ("nearly deficient", near)):
        yield (
            f"the columns of the basis are independent | {name}, both",
            changed(
                one,
                basis=np.array([0, 1]),
                combination=np.eye(2),
                row_point=one.answer.x[:2],
                answer_rank=2,
                answer_rank_deficient=False,
                distance=0.0,
            ),
        )
    yield (
        "no minimiser has a norm below | not of least norm",
        changed(deficient, answer_x=np.array([3.0, 0.0, 0.0]), norm=3.1, least_norm=3.0),
    )
    yield (
        "no minimiser has a norm below | higher",
        changed(made, least_norm=made.least_norm * (1 + 1e-9)),
    )
    yield "no minimiser has a norm below | nan", changed(made, least_norm=math.nan)
    yield "the norm of x is at most | lower", changed(made, norm=made.norm * (1 - 1e-9))
    scaled = np.eye(3) * (1 + 2.0**-40)
    yield (
        "independent columns are taken as they are | nearly",
        changed(made, distance=1.0),
    )
    weaker = {"primal": 99.0, "gap": 99.0, "dual": 0.0, "least_norm": 0.0}
    itself = "the combination gives each column of the basis as itself"
    yield f"{itself} | nearly", changed(made, combination=scaled, **weaker)
    nothing = {**weaker, "gap": 200.0, "primal": 200.0, "distance": 99.0}
    zero = np.zeros_like(near.combination)
    yield f"{itself} | columns of rank 0", changed(near, combination=zero, **nothing)
    yield "the columns are within | 0", changed(near, distance=0.0)
    large = known_supports()["nearly deficient, large"]
    yield "the columns are within | large, less", changed(large, distance=0.1 * large.distance)
    # Products beyond 2^53 are rounded, so that equal floats show nothing.
    odd = 2.0**52 + 1.0
    large = so.KnownSupportRegression([[odd, 3.0 * odd], [1.0, 3.0]], [1.0, 2.0], [0, 1])
    answer = so.SupportedCoefficients(np.zeros(2), 1, True)
    figures = {"primal": 9.0, "dual": 0.0, "gap": 9.0, "norm": 9.0, "least_norm": 0.0}
    made = so.KnownSupportCertificate(
        large, answer, np.array([0]), np.array([[1.0, 3.0]]), np.ones(1), distance=0.0, **figures
    )
    yield "the columns are within | products that are rounded", made
    yield (
        "the columns are within | another combination",
        changed(deficient, combination=np.array([[1.0, 0.0]]), least_norm=0.0, dual=0.0, gap=19.0,
                primal=19.0),
    )  # fmt: skip


def entrance() -> Pairs:
    """Arrays of another kind than evidence has."""
    support = known_supports()["support"]
    yield (
        "basis must be a vector of integers | floats",
        refusal(lambda: changed(support, basis=np.ones(3))),
    )
    yield (
        "basis must be a vector of integers | a table",
        refusal(lambda: changed(support, basis=np.array([[0, 1, 2]]))),
    )
    yield (
        "combination must be a matrix of numbers | a vector",
        refusal(lambda: changed(support, combination=np.ones(9))),
    )
    yield (
        "combination must be a matrix of numbers | truth values",
        refusal(lambda: changed(support, combination=np.eye(3, dtype=bool))),
    )
