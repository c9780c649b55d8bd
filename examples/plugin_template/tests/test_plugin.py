"""The conformance kit on solvers and analyzer, and what they compute."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import numpy as np
import pytest
from sparseopt_plugin_template.active_set import ActiveSet
from sparseopt_plugin_template.coordinate_descent import CoordinateDescent
from sparseopt_plugin_template.nonnegative import NonnegativeLeastSquares
from sparseopt_plugin_template.selection import Selection

import sparseopt as so
from sparseopt.testing import check_analyzer, check_solver

RNG = np.random.default_rng(0)
DESIGN, TARGET = RNG.standard_normal((12, 5)), RNG.standard_normal(12)
LASSO = so.SparseRegression(DESIGN, TARGET, so.L1(1.0))
GROUPS = so.SparseRegression(DESIGN, TARGET, so.GroupL1(1.0, [[0, 1], [2, 3, 4]]))
NONNEGATIVE = NonnegativeLeastSquares(DESIGN, TARGET)


def test_both_solvers_keep_the_laws() -> None:
    check_solver(CoordinateDescent, [LASSO, GROUPS])
    check_solver(ActiveSet, [NONNEGATIVE])


def test_the_analyzer_keeps_the_laws() -> None:
    check_analyzer(Selection, [LASSO, GROUPS])


def test_it_says_how_many_are_selected_and_warns() -> None:
    for strength, selected, severity in ((1e-3, 5, "warning"), (1.0, None, "info")):
        problem = so.SparseRegression(DESIGN, TARGET, so.L1(strength))
        (finding,) = so.analyze(problem, Selection(many=1.0))
        assert finding.severity.value == severity
        assert selected in (None, finding.value)
    strongest = float(np.max(np.abs(DESIGN.T @ TARGET)))
    above = so.SparseRegression(DESIGN, TARGET, so.L1(1.01 * strongest))
    (finding,) = so.analyze(above)["selected-coefficients"]
    assert finding.value == 0
    assert f"below {strongest:g}" in finding.remedy


def test_only_public_names_of_sparseopt_are_used() -> None:
    import sparseopt_plugin_template

    for path in Path(str(sparseopt_plugin_template.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sparseopt."):
                assert node.module in ("sparseopt.testing", "sparseopt.estimators"), path.name
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "so":
                assert node.attr in so.__all__, f"{path.name}: so.{node.attr}"


def test_the_plugin_is_discovered_and_changes_no_result() -> None:
    plugin = next(p for p in so.plugins() if p.name == "template")
    assert plugin.ok
    assert not plugin.first_party
    assert so.plan(LASSO).chosen.plugin != "template"
    assert so.plan(LASSO, prefer=["template"]).chosen.name == "template_coordinate_descent"


def test_both_lasso_solvers_agree() -> None:
    ours = so.solve(LASSO, "template_coordinate_descent")
    theirs = so.solve(LASSO)
    np.testing.assert_allclose(ours.answer.x, theirs.answer.x, atol=1e-6)


def test_nonnegative_least_squares_by_brute_force() -> None:
    solution = so.solve(NONNEGATIVE)
    best = np.inf
    for size in range(6):
        for columns in itertools.combinations(range(5), size):
            x = np.zeros(5)
            if columns:
                x[list(columns)] = np.linalg.lstsq(DESIGN[:, columns], TARGET, rcond=None)[0]
            if (x >= 0).all():
                best = min(best, NONNEGATIVE.evaluate(x)["objective"])
    assert NONNEGATIVE.evaluate(solution.answer)["objective"] == pytest.approx(best)
    assert so.verify(so.Solution.from_json(solution.to_json())).ok


def test_bad_input() -> None:
    with pytest.raises(so.ProblemError, match="must be a matrix"):
        NonnegativeLeastSquares([1.0], [1.0])
    with pytest.raises(so.ProblemError, match="nan at entry"):
        NonnegativeLeastSquares([[np.nan]], [1.0])
