"""A time limit is kept within a second, once the libraries are loaded."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from sparseopt_inverse.child import run_within
from sparseopt_inverse.cone_program import ConeProgram
from sparseopt_inverse.conic import Cvxpy
from sparseopt_inverse.scikit_learn import ScikitLearn
from sparseopt_inverse.work import begin
from sparseopt_inverse.working_set import WorkingSet

import sparseopt as so

CODE = """
import sys, time
import numpy as np, scipy.linalg, cvxpy, sklearn.linear_model
import sparseopt as so
solver, m, n, ratio, limit = sys.argv[1], *map(float, sys.argv[2:])
rng = np.random.default_rng(0)
design, target = rng.standard_normal((int(m), int(n))), rng.standard_normal(int(m))
strength = ratio * float(np.abs(design.T @ target).max())
problem = so.SparseRegression(design, target, so.L1(strength))
so.plan(problem)
start = time.monotonic()
try:
    so.solve(problem, solver, time_limit=limit)
except so.SolveError:
    pass
print(time.monotonic() - start)
"""


def problem(m: int, n: int, ratio: float) -> so.SparseRegression:
    rng = np.random.default_rng(0)
    design, target = rng.standard_normal((m, n)), rng.standard_normal(m)
    return so.SparseRegression(design, target, so.L1(ratio * np.abs(design.T @ target).max()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("solver", "m", "n", "ratio"),
    [
        ("working_set", 400, 2000, 1e-4),
        ("working_set", 2500, 2500, 0.0),
        ("working_set", 500, 3000, 1e-13),
        ("scikit_learn", 400, 2000, 1e-4),
        ("cvxpy", 400, 2000, 1e-2),
    ],
)
@pytest.mark.parametrize("limit", [0.2, 2.0])
def test_limits_are_kept(solver: str, m: int, n: int, ratio: float, limit: float) -> None:
    """Without a limit they run for minutes. The bound leaves room for a busy machine."""
    arguments = [sys.executable, "-c", CODE, solver, *map(str, (m, n, ratio, limit))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=120)
    assert float(done.stdout) < limit + 5.0


@pytest.mark.parametrize("engine", [WorkingSet(), ScikitLearn(), Cvxpy()])
def test_a_limit_that_is_over_ends_at_once(engine: so.Solver[Any]) -> None:
    late = so.Context(time_limit=1e-3, started=time.monotonic() - 1.0)
    with pytest.raises(so.TimeLimitReached, match=r"time limit of 0\.001 s"):
        engine.solve(problem(30, 60, 0.01), late)


def test_what_was_found_in_time_is_handed_out() -> None:
    """A limit that ends the search leaves a proved answer of less accuracy."""
    solution = so.solve(problem(300, 1500, 1e-4), "working_set", time_limit=0.5)
    assert solution.status is so.Status.WEAK
    assert solution.answer.x.any()
    assert so.verify(solution).ok


def test_a_long_step_is_not_begun() -> None:
    with pytest.raises(so.TimeLimitReached, match=r"a step takes about 50 s, and of the .* left"):
        begin(so.Context(time_limit=5.0), 50.0, "a step")
    begin(so.Context(), 1e9, "a step")
    with pytest.raises(so.SolveError, match="a singular value decomposition takes about"):
        so.solve(problem(900, 900, 0.0), "working_set", time_limit=0.5)


def test_a_process_that_fails_says_so() -> None:
    program = ConeProgram(np.eye(2), np.ones(2), [(np.array([[0], [1]]), np.ones(2))])
    assert run_within(60.0, ConeProgram.run, program, "NOPE") == program.run("NOPE")
    assert run_within(1e-3, ConeProgram.run, program, "CLARABEL") is None
    broken = ConeProgram(None, np.ones(2), [])
    with pytest.raises(so.Inconclusive, match="the engine's process ended with 1"):
        run_within(60.0, ConeProgram.run, broken, "CLARABEL")
