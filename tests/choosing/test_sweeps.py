"""Many problems in one call: order, errors, workers that end, and what a file keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

import sparseopt as so
from sparseopt.choosing import sweeps

PROBLEMS = [
    so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]),
    so.Closedness([np.eye(2), np.ones((2, 2))]),
]
VERDICTS = ["not_closed", "closed"]
CHAIN = so.Closedness([np.eye(2)] * 3)
"""None that lu_pattern takes."""


def regressions(count: int) -> list[so.SparseRegression]:
    """Return small problems, each its own."""
    rng = np.random.default_rng(0)
    return [
        so.SparseRegression(rng.standard_normal((6, 9)), rng.standard_normal(6), so.L1(0.3))
        for _ in range(count)
    ]


def verdicts(found: list[Any]) -> list[str]:
    return [solution.answer.value for solution in found]


@pytest.fixture
def unsolvable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be solved."""

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("solved again")

    monkeypatch.setattr(sweeps, "solve", refused)


@pytest.mark.parametrize("jobs", [None, 2])
@pytest.mark.parametrize("other", [3, None, "x"])
def test_what_is_no_problem_is_named(jobs: int | None, other: Any, tmp_path: Path) -> None:
    if jobs == 2:
        pytest.importorskip("joblib")
    with pytest.raises(so.ProblemError, match=f"take a Problem, got {type(other).__name__}"):
        so.solve_all([*PROBLEMS, other], jobs=jobs, store=tmp_path / "sweep.jsonl")


@pytest.mark.parametrize("jobs", [None, 1, 2])
def test_solutions_come_in_order_and_are_checked(jobs: int | None) -> None:
    if jobs == 2:
        pytest.importorskip("joblib")
    seen: list[tuple[float, str]] = []
    found = so.solve_all(PROBLEMS * 2, jobs=jobs, progress=lambda *now: seen.append(now))
    assert verdicts(found) == VERDICTS * 2
    assert [round(fraction, 2) for fraction, _ in seen] == [0.25, 0.5, 0.75, 1.0]
    assert seen[-1][1] == "4 solved"
    assert all("not checked" not in str(solution) for solution in found)
    assert all(so.verify(solution).ok for solution in found)
    assert so.solve_all([]) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_problems_may_come_one_by_one(jobs: int) -> None:
    if jobs == 2:
        pytest.importorskip("joblib")
    seen: list[float] = []
    found = so.solve_all(
        (problem for problem in PROBLEMS), jobs=jobs, progress=lambda part, _: seen.append(part)
    )
    assert verdicts(found) == VERDICTS
    assert seen == [0.0, 0.0]

    def breaking() -> Iterator[so.Closedness]:
        yield PROBLEMS[0]
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        so.solve_all(breaking(), jobs=jobs)


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_are_kept_item_by_item(jobs: int) -> None:
    if jobs == 2:
        pytest.importorskip("joblib")
    mixed = [CHAIN, PROBLEMS[0], CHAIN]
    found = so.solve_all(mixed, "lu_pattern", jobs=jobs)
    assert [type(item).__name__ for item in found] == ["SolveError", "Solution", "SolveError"]
    assert isinstance(found[0], so.SolveError)
    assert found[0].plan.candidates[0].name == "lu_pattern"
    assert str(found[0]).startswith(found[0].message)
    with pytest.raises(so.ProblemError, match="nobody"):
        so.solve_all(mixed, "nobody", jobs=jobs)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_ends_the_sweep_and_what_was_started_is_kept(jobs: int, tmp_path: Path) -> None:
    if jobs == 2:
        pytest.importorskip("joblib")
    path, taken = tmp_path / "sweep.jsonl", []

    def problems() -> Iterator[so.Closedness]:
        for i in range(200):
            taken.append(i)
            yield 3 if i == 1 else so.Closedness([np.ones((1, i + 1)), np.ones((i + 1, 1))])  # type: ignore[misc]

    with pytest.raises(so.ProblemError, match="take a Problem, got int"):
        so.solve_all(problems(), jobs=jobs, store=path)
    assert len(taken) < 200
    if jobs == 1:
        assert taken == [0, 1, 2]
    assert len(path.read_text().splitlines()) >= 1


LEFT = """
import sparseopt as so

def leave(fraction, message):
    raise KeyboardInterrupt

if __name__ == "__main__":
    try:
        so.solve_all([so.Closedness([[[1]], [[1]]])] * 6, jobs=2, progress=leave)
    except KeyboardInterrupt:
        print("left")
"""


def test_a_sweep_that_is_left_early_cancels_the_rest_in_silence(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    script = tmp_path / "left.py"
    script.write_text(LEFT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "left"
    assert "UserWarning" not in done.stderr


@pytest.mark.parametrize("jobs", [0, -2, 1.5, True])
def test_bad_numbers_of_jobs(jobs: Any) -> None:
    with pytest.raises(so.ProblemError, match="jobs must be"):
        so.solve_all(PROBLEMS, jobs=jobs)


def test_what_is_missing_is_named(without: Callable[[str], None]) -> None:
    with pytest.raises(so.ProblemError, match="processes, dask, ray"):
        so.solve_all(PROBLEMS, backend="spark")
    without("distributed")
    with pytest.raises(so.ProblemError, match=r"dask needs distributed.*sparseopt\[dask\]"):
        so.solve_all(PROBLEMS, backend="dask")
    without("joblib")
    with pytest.raises(so.ProblemError, match=r"sparseopt\[parallel\]"):
        so.solve_all(PROBLEMS, jobs=2)
    without("threadpoolctl")
    assert verdicts(so.solve_all(PROBLEMS)) == VERDICTS


def test_bits_do_not_depend_on_the_backend() -> None:
    pytest.importorskip("joblib")
    problems = regressions(4)
    here, there = (so.solve_all(problems, "working_set", jobs=jobs) for jobs in (1, 2))
    for one, two in zip(here, there, strict=True):
        assert so.to_json(one.certificate) == so.to_json(two.certificate)  # type: ignore[union-attr]


# A store


def test_what_is_kept_is_not_solved_again(tmp_path: Path, unsolvable: None) -> None:
    path = tmp_path / "sweep.jsonl"
    with pytest.MonkeyPatch.context() as able:
        able.setattr(sweeps, "solve", so.solve)
        first = so.solve_all(PROBLEMS, store=path, seed=3)
    size = path.stat().st_size
    again = so.solve_all(iter(PROBLEMS), store=str(path), seed=3)
    assert [so.to_json(one) for one in again] == [so.to_json(one) for one in first]
    assert "not checked" not in str(again[0])
    assert path.stat().st_size == size
    for other in ({"seed": 4}, {"seed": 3, "tolerance": 0.5}, {"seed": 3, "check": False}):
        with pytest.raises(AssertionError, match="solved again"):
            so.solve_all(PROBLEMS, store=path, **other)
    with pytest.raises(AssertionError, match="solved again"):
        so.solve_all(PROBLEMS, "lu_pattern", store=path, seed=3)


def test_problems_that_occur_twice_are_solved_once(tmp_path: Path) -> None:
    path, seen = tmp_path / "sweep.jsonl", []
    same = so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]])
    found = so.solve_all([*PROBLEMS, same], store=path, progress=lambda *now: seen.append(now[1]))
    assert verdicts(found) == [*VERDICTS, VERDICTS[0]]
    assert len(path.read_text().splitlines()) == 2
    assert len(seen) == 2


def test_a_line_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"
    so.solve_all(PROBLEMS, store=path)
    whole = path.read_bytes()
    for cut in (len(whole) - 1, len(whole) - 40, len(whole) // 2 + 5, 30, 1):
        path.write_bytes(whole[:cut])
        assert verdicts(so.solve_all(PROBLEMS, store=path)) == VERDICTS
        assert verdicts(so.solve_all(PROBLEMS, store=path)) == VERDICTS
    path.write_bytes(b"\xff\xfe" + b"[" * 1000 + b"\n\n{}\n" + whole)
    assert verdicts(so.solve_all(PROBLEMS, store=path)) == VERDICTS


def test_what_does_not_verify_is_solved_again(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"
    so.solve_all(PROBLEMS, store=path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    text = json.dumps(lines[0]).replace('"not_closed"', '"closed"')
    swapped = json.dumps({"key": lines[0]["key"], "solution": lines[1]["solution"]})
    for forged in (text, swapped, json.dumps({"key": lines[0]["key"], "solution": 3})):
        path.write_text(forged + "\n")
        found = so.solve_all(PROBLEMS[:1], store=path)
        assert verdicts(found) == VERDICTS[:1]
        assert so.verify(found[0]).ok  # type: ignore[arg-type]
        assert len(path.read_text().splitlines()) == 2


def test_errors_are_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"
    for _ in range(2):
        (found,) = so.solve_all([CHAIN], "lu_pattern", store=path)
        assert isinstance(found, so.SolveError)
    errors = [json.loads(line)["error"] for line in path.read_text().splitlines()]
    assert len(errors) == 2
    assert "cannot take it" in errors[0]


def test_what_a_store_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"
    with pytest.raises(so.ProblemError, match="name the solver"):
        so.solve_all(PROBLEMS, so.Solver, store=path)  # type: ignore[arg-type]
    with pytest.raises(so.ProblemError, match="cannot be used"):
        so.solve_all(PROBLEMS, store=tmp_path)
    with pytest.raises(so.ProblemError, match="cannot be used"):
        so.solve_all(PROBLEMS, store=tmp_path / "none" / "sweep.jsonl")
    design = aslinearoperator(np.eye(2))
    with pytest.raises(so.ProblemError, match="cannot be written as JSON"):
        so.solve_all([so.SparseRegression(design, [1.0, 2.0], so.L1(0.1))], store=path)


# Workers and processes that end

DYING = '''
import os, signal
from dataclasses import dataclass
from pathlib import Path
import sparseopt as so

@dataclass(frozen=True)
class Dying(so.Solver):
    """Ends its process at a closed set: once, or whenever it is asked."""
    mark: str
    always: bool

    def accepts(self, problem):
        return so.Accepted()

    def solve(self, problem, context):
        found = so.solve(problem)
        if found.answer.value == "closed" and (self.always or not Path(self.mark).exists()):
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return found.answer, found.certificate
'''


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", "dask"])
def test_a_worker_that_is_killed_loses_nothing(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joblib = pytest.importorskip("joblib")
    if backend == "dask":
        pytest.importorskip("distributed")
    (tmp_path / "dying.py").write_text(DYING)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
    import dying  # type: ignore[import-not-found]

    many = [PROBLEMS[0]] * 5 + [PROBLEMS[1]] + [PROBLEMS[0]] * 5
    expected = [VERDICTS[0]] * 5 + [VERDICTS[1]] + [VERDICTS[0]] * 5
    solver = dying.Dying(str(tmp_path / "mark"), False)
    found = so.solve_all(many, solver, jobs=2, backend=backend)
    assert (tmp_path / "mark").exists()
    assert verdicts(found) == expected
    if backend == "processes":
        found = so.solve_all(many, dying.Dying(str(tmp_path / "mark"), True), jobs=2)
        lost = found.pop(5)
        assert isinstance(lost, so.SolveError)
        assert "its worker ended, twice" in str(lost)
        assert verdicts(found) == [VERDICTS[0]] * 10
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)


SWEEP = """
import sys
import numpy as np
import sparseopt as so

def problems():
    rng = np.random.default_rng(0)
    for _ in range(40):
        yield so.Closedness([rng.integers(0, 2, (4, 3)), rng.integers(0, 2, (3, 4))])

if __name__ == "__main__":
    found = so.solve_all(problems(), jobs=2, store=sys.argv[1])
    print([solution.answer.value for solution in found])
"""


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    script, path = tmp_path / "sweep.py", tmp_path / "sweep.jsonl"
    script.write_text(SWEEP)
    path.touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, str(script), str(path)]
    for enough in (5, 12):
        running = subprocess.Popen(command, env=environment)
        while len(path.read_bytes().splitlines()) < enough and running.poll() is None:
            time.sleep(0.01)
        running.kill()
        running.wait()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    lines = [line for line in path.read_text().splitlines() if line]
    keys = [json.loads(line)["key"] for line in lines if line.endswith("}")]
    rng = np.random.default_rng(0)
    expected = []
    for _ in range(40):
        pair = [rng.integers(0, 2, (4, 3)), rng.integers(0, 2, (3, 4))]
        expected.append(so.solve(so.Closedness(pair)).answer.value)
    assert done.stdout.strip() == str(expected)
    assert len(keys) == len(set(keys)) == 40


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_other_backends_give_the_same_bits(backend: str) -> None:
    pytest.importorskip("joblib")
    pytest.importorskip({"dask": "distributed", "ray": "ray"}[backend])
    problems = regressions(4)
    here = so.solve_all(problems, "working_set")
    there = so.solve_all(problems, "working_set", jobs=2, backend=backend)
    for one, two in zip(here, there, strict=True):
        assert so.to_json(one.certificate) == so.to_json(two.certificate)  # type: ignore[union-attr]
