"""Verdicts that rely on z3: off by default, marked, and checked up to the external step."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sparseopt_closedness import curves
from sparseopt_closedness.exclusion_search import ExclusionSearch
from sparseopt_closedness.limit_curves import LimitCurves

import sparseopt as so
from sparseopt.closedness.external import smtlib
from sparseopt.closedness.proofs.observed import start
from sparseopt.training.sparse_training import TrainingCertificate

LEFT = np.array([[0, 1, 1], [1, 1, 0], [1, 0, 1]])
RIGHT = np.array([[0, 1, 1], [0, 1, 1], [1, 0, 1]])
PROBLEM = so.Closedness([LEFT, RIGHT])


def test_off_unless_allowed() -> None:
    candidates = {c.name: c for c in so.plan(PROBLEM)}
    assert "allow_external=True" in str(candidates["external_exclusion"].verdict)
    with pytest.raises(so.SolveError, match="whose answer is not checked here"):
        so.solve(PROBLEM, "external_exclusion")


def test_complex_problems_are_refused() -> None:
    pytest.importorskip("z3")
    with pytest.raises(so.SolveError, match="real matrices"):
        so.solve(so.Closedness([LEFT, RIGHT], "complex"), "external_exclusion", allow_external=True)


@pytest.fixture(scope="module")
def external() -> so.Solution:
    """Without proofs by curves and identities, this pair is left to z3."""
    pytest.importorskip("z3")

    def give_up(*_: Any) -> None:
        raise so.Inconclusive("left out")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "STEPS", 0)
        patch.setattr(LimitCurves, "solve", give_up)
        return so.solve(
            PROBLEM, "external_exclusion", allow_external=True, seed=2, time_limit=100.0
        )


def test_marked_as_relying_on_z3(external: so.Solution) -> None:
    assert external.solver == "external_exclusion"
    assert external.answer.value == "not_closed"
    assert "relying on z3" in external.answer.reason
    again = so.Solution.from_json(external.to_json())
    assert external.status is so.Status.UNCHECKED
    check = so.verify(again)
    assert not check.ok
    assert check.outcome == "relies on"
    assert "if z3 is right" in check.claim
    assert any(line.startswith("NOT CHECKED: z3") for line in check.details)
    assert again.certificate is not None
    assert "(check-sat)" in again.certificate.explain()


def test_asked_again_where_allowed(external: so.Solution) -> None:
    assert so.verify(external, allow=("z3",)).ok
    right: Any = external.certificate
    # The limit is a product of these factors: z3 must not confirm that it is none.
    one = so.Closedness([[[1]], [[1]]])
    forged = so.ExternalExclusionCertificate.proved(
        one, (0,), (0,), [[0, 0, {0: 1}]], [[0, 0, {0: 1}]], [[1]], [], right.engine
    )
    assert so.verify(forged).outcome == "relies on"
    check = so.verify(forged, allow=("z3",))
    assert check.outcome == "refused"
    assert "asked again" in check.details[-1]


def test_nested_it_is_not_accepted_either(external: so.Solution) -> None:
    """A verdict on training that rests on z3 is no more accepted than one that says so."""
    problem = so.SparseTraining([LEFT, RIGHT])
    nested = TrainingCertificate.proved(problem, external.certificate)
    check = so.verify(nested)
    assert check.outcome == "relies on"
    assert "if z3 is right" in check.claim
    assert so.verify(nested, allow=("z3",)).ok


def test_all_but_the_external_step_is_checked(external: so.Solution) -> None:
    right: Any = external.certificate
    limit = [[v + 1 for v in row] for row in right.limit]
    for changes in (
        {"limit": limit},
        {"left": right.left[1:]},
        {"engine": "another program"},
        {"engine": ""},
        {"answer": so.ClosednessVerdict("not_closed", "proved")},
        {"answer": so.ClosednessVerdict("closed", right.answer.reason)},
        {"problem": so.Closedness([LEFT, RIGHT], "complex")},
    ):
        assert so.verify(dataclasses.replace(right, **changes)).outcome == "refused", changes


def test_a_chain_does_not_rest_on_it(external: so.Solution) -> None:
    right: Any = external.certificate
    chain = so.Closedness([np.eye(3), LEFT, RIGHT])
    answer = so.ClosednessVerdict("not_closed", right.answer.reason)
    forged = so.ShortenedChainCertificate(chain, answer, [["absorb", 0, "right"]], right)
    assert so.verify(forged).outcome == "refused"


@pytest.mark.parametrize("seed", range(40))
def test_formulas_agree_with_exclusion_trees(seed: int) -> None:
    z3 = pytest.importorskip("z3")
    rng = np.random.default_rng(seed)
    m, n, r = (int(v) for v in rng.integers(1, 4, 3))
    state = start(rng.random((m, r)) < 0.7, rng.random((r, n)) < 0.7)
    x = rng.integers(-2, 3, state.left.shape) * state.left
    product = x @ (rng.integers(-2, 3, state.right.shape) * state.right)
    for values, inside in ((product, True), (rng.integers(-1, 2, (m, n)), False)):
        matrix = [[Fraction(int(v), 2) for v in row] for row in values]
        solver = z3.SolverFor("QF_NRA")
        solver.set("rlimit", 200_000)
        solver.from_string(smtlib(state.left, state.right, state.observed, matrix))
        found = solver.check()
        if inside:
            assert found != z3.unsat
        elif ExclusionSearch(state, matrix, 100).run() is not None:
            assert found != z3.sat
