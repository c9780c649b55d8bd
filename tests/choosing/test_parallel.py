"""Many items through one seam."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import sparseopt as so
from sparseopt.choosing.parallel import map_items

PROBLEMS = [
    so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]),
    so.Closedness([np.eye(2), np.ones((2, 2))]),
]
VERDICTS = ["not_closed", "closed"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_solutions_come_in_order(jobs: int) -> None:
    if jobs > 1:
        pytest.importorskip("joblib")
    found = list(so.solve_all(PROBLEMS, jobs=jobs))
    assert [solution.answer.value for solution in found] == VERDICTS
    assert all(so.verify(solution).ok for solution in found)


def test_many_targets_are_factorized() -> None:
    rng = np.random.default_rng(0)
    dyadic = so.Architecture.square_dyadic(4)
    targets = [rng.standard_normal((4, 4)) for _ in range(3)]
    problems = (so.ButterflyFactorization(target, dyadic) for target in targets)
    for target, solution in zip(targets, so.solve_all(problems, "hierarchical_numpy"), strict=True):
        error = np.linalg.norm(solution.answer.to_dense() - target)
        assert solution.certificate.error == pytest.approx(error)  # type: ignore[union-attr]


@pytest.mark.parametrize("jobs", [0, -2, 1.5, True])
def test_bad_numbers_of_jobs(jobs: object) -> None:
    with pytest.raises(so.ProblemError, match="jobs must be"):
        map_items(abs, [1], jobs)  # type: ignore[arg-type]


def test_without_joblib(without: Callable[[str], None]) -> None:
    without("joblib")
    with pytest.raises(so.ProblemError, match=r"sparseopt\[parallel\]"):
        so.solve_all(PROBLEMS, jobs=2)


@pytest.mark.slow
def test_a_dask_cluster() -> None:
    joblib = pytest.importorskip("joblib")
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as c,
        distributed.Client(c),
        joblib.parallel_config(backend="dask"),
    ):
        found = [s.answer.value for s in so.solve_all(PROBLEMS, jobs=2)]
    assert found == VERDICTS
