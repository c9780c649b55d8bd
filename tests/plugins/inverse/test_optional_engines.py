"""skglm, celer and spgl1: what they refuse, their traps, and that nobody runs them unasked."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import sparseopt as so
from sparseopt.choosing.discovery import registry

skglm = pytest.param("skglm", marks=pytest.mark.slow)  # numba compiles it for half a minute
ENGINES = [skglm, "celer"]
GROUPS = [[0, 3, 6], [1, 2], [4, 5, 7, 8], [9, 10, 11]]


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    found = getattr(request.node, "callspec", None)
    for module in found.params.values() if found else ():
        if isinstance(module, str) and module in ("skglm", "celer", "spgl1"):
            pytest.importorskip(module)


def data(seed: int = 0, m: int = 20, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    design = rng.standard_normal((m, n))
    return design, design[:, :3] @ [1.0, -2.0, 0.5] + 0.1 * rng.standard_normal(m)


def agree(problem: so.SparseRegression, engine: str, **options: Any) -> np.ndarray:
    """Return the engine's answer, which agrees with the library's own."""
    solution = so.solve(problem, engine, **options)
    assert solution.status is so.Status.VERIFIED
    assert solution.certificate.accuracy <= 1e-12
    expected = so.solve(problem, "working_set").answer.x
    largest = float(np.abs(expected).max())
    np.testing.assert_allclose(solution.answer.x, expected, atol=1e-8 * max(largest, 1e-300))
    return solution.answer.x


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "penalty",
    [
        so.L1(1.0),
        so.L1(1.0, np.linspace(0.1, 3.0, 12)),
        so.L1(1.0, positive=True),
        so.GroupL1(1.0, GROUPS),
        so.GroupL1(1.0, GROUPS, [1.0, 0.3, 2.0, 1.0]),
    ],
    ids=["l1", "weighted", "positive", "groups", "weighted groups"],
)
@pytest.mark.parametrize("kind", ["dense", "csr", "csc", "float32"])
def test_penalties_and_designs(engine: str, penalty: Any, kind: str) -> None:
    design, target = data()
    form: Any = design
    if kind == "float32":
        form = design.astype(np.float32)
    elif kind != "dense":
        form = getattr(scipy.sparse, f"{kind}_array")(np.where(np.abs(design) > 0.5, design, 0.0))
    agree(so.SparseRegression(form, target, penalty), engine)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["skglm"])
@pytest.mark.parametrize(
    "penalty",
    [
        so.L1(1.0) + so.Ridge(0.5),
        so.L1(1.0, [0.0] + [1.0] * 11),
        so.GroupL1(1.0, GROUPS, positive=True),
        so.SparseGroupL1(0.5, 0.7, GROUPS),
    ],
    ids=["elastic net", "unpenalised", "positive groups", "sparse groups"],
)
def test_what_only_skglm_takes(engine: str, penalty: Any) -> None:
    agree(so.SparseRegression(*data(), penalty), engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_model_of_a_large_strength_is_empty(engine: str) -> None:
    assert not agree(so.SparseRegression(*data(), so.L1(1e4)), engine).any()
    assert not agree(so.SparseRegression(data()[0], np.zeros(20), so.L1(1.0)), engine).any()


@pytest.mark.parametrize("engine", ["skglm", "celer"])
def test_refusals_name_the_reason_and_who_takes_it(engine: str) -> None:
    design, target = data()
    l1 = so.L1(1.0)
    operator = scipy.sparse.linalg.aslinearoperator(design)
    refused = {
        r"takes real data only; working_set takes complex": (design * 1j, target, l1),
        r"takes no sample weights; working_set does": (design, target, l1, np.arange(20.0)),
        r"needs the entries of the design; working_set takes op": (operator, target, l1),
        r"has no TotalVariation penalty": (design, target, so.TotalVariation(1.0)),
        r"has no NuclearNorm penalty": (design, target, so.NuclearNorm(1.0, (3, 4))),
        r"without a positive strength": (design, target, so.L1(0.0)),
    }
    if engine == "celer":
        refused |= {
            r"takes positive weights only": (design, target, so.L1(1.0, [0.0] + [1.0] * 11)),
            r"has no positive groups; skglm": (
                design,
                target,
                so.GroupL1(1.0, GROUPS, positive=True),
            ),
            r"skglm and working_set take sums": (design, target, l1 + so.Ridge(1.0)),
        }
    else:
        weights = np.linspace(1.0, 2.0, 12)
        refused |= {
            r"by the number of the group": (
                design,
                target,
                so.SparseGroupL1(1.0, 1.0, GROUPS, weights),
            ),
            r"adds squares to L1 without weights only": (
                design,
                target,
                so.L1(1.0, weights) + so.Ridge(1.0),
            ),
        }
    for reason, parts in refused.items():
        with pytest.raises(so.SolveError, match=reason):
            so.solve(so.SparseRegression(*parts), engine)


@pytest.mark.parametrize("engine", ["spgl1"])
def test_spgl1_refuses_other_norms_and_longer_histories(engine: str) -> None:
    design, target = data(m=5)
    with pytest.raises(so.SolveError, match="norm is 2 here; this solver takes 1"):
        so.solve(so.BasisPursuit(design, target, norm=2), engine)
    with pytest.raises(so.ProblemError, match="keeps a history of 10000 steps"):
        so.solve(so.BasisPursuit(design, target), engine, most_steps=10_000)


@pytest.mark.parametrize(
    ("engine", "options", "words"),
    [
        ("celer", {"engine_tolerance": 2.0}, "engine_tolerance must be None or between 0 and 1"),
        ("celer", {"max_iter": 0}, "max_iter must be a positive integer"),
        ("spgl1", {"engine_tolerance": None}, "must be a number"),
    ],
)
def test_settings_are_checked(engine: str, options: dict[str, Any], words: str) -> None:
    design, target = data(m=5)
    problem: so.Problem = so.BasisPursuit(design, target)
    if engine == "celer":
        problem = so.SparseRegression(design, target, so.L1(1.0))
    with pytest.raises(so.ProblemError, match=words):
        so.solve(problem, engine, **options)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1e-140, 1e-6, 1e6, 1e140])
def test_no_tolerance_is_absolute(engine: str, size: float) -> None:
    """skglm stops by an absolute violation, celer by one of the target's square."""
    design, target = data()
    x = agree(so.SparseRegression(design, size * target, so.L1(size)), engine)
    y = agree(so.SparseRegression(design, target, so.L1(1.0)), engine)
    np.testing.assert_allclose(x, size * y, rtol=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
def test_there_is_no_intercept(engine: str) -> None:
    design, target = data()
    agree(so.SparseRegression(design + 30.0, target + 100.0, so.L1(1.0)), engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_columns_of_zeros_are_left_out(engine: str) -> None:
    """skglm divides by the norm of a group, and every coefficient becomes NaN."""
    design, target = data()
    design[:, [1, 2, 9]] = 0.0
    for penalty in (so.L1(0.1), so.GroupL1(0.1, GROUPS)):
        x = agree(so.SparseRegression(design, target, penalty), engine)
        assert not x[[1, 2, 9]].any()
    nothing = so.SparseRegression(np.zeros((3, 12)), [1.0, 2.0, 3.0], so.GroupL1(1.0, GROUPS))
    assert not agree(nothing, engine).any()


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_stops_early_warns_nobody(engine: str) -> None:
    """Its own bound of steps is no bound of the accuracy; warnings are errors in these tests."""
    rng = np.random.default_rng(3)
    design = np.cumsum(rng.standard_normal((40, 60)), axis=1)
    target = rng.standard_normal(40)
    strength = 1e-3 * float(np.abs(design.T @ target).max())
    problem = so.SparseRegression(design, target, so.L1(strength))
    agree(problem, engine, max_iter=1, max_epochs=1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_the_accuracy_is_the_librarys_own(engine: str, tolerance: float) -> None:
    """On groups celer's gap is far below what its residual proves."""
    rng = np.random.default_rng(1)
    design, target = rng.standard_normal((30, 120)), rng.standard_normal(30)
    groups = np.arange(120).reshape(-1, 4)
    largest = np.linalg.norm((design.T @ target).reshape(-1, 4), axis=1).max()
    problem = so.SparseRegression(design, target, so.GroupL1(0.01 * largest, groups))
    solution = so.solve(problem, engine, tolerance=tolerance)
    best = so.solve(problem).certificate
    assert solution.status is so.Status.VERIFIED
    assert solution.certificate.accuracy <= tolerance
    assert solution.certificate.dual <= best.primal
    assert solution.certificate.primal >= best.dual


@pytest.mark.parametrize("engine", ["celer"])
def test_not_a_number_is_dropped(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(design: np.ndarray, target: np.ndarray, **_: Any) -> tuple[np.ndarray, ...]:
        wild = np.full((design.shape[1], 1), np.nan)
        return np.ones(1), wild, np.zeros(1), np.full((1, len(target)), np.nan)

    monkeypatch.setattr("celer.celer_path", broken)
    agree(so.SparseRegression(*data(), so.L1(1.0)), engine)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["skglm"])
def test_sparse_groups_do_not_depend_on_unseeded_numbers(engine: str) -> None:
    """skglm's own norms of sparse groups come from a power method that starts anywhere."""
    design, target = data()
    problem = so.SparseRegression(
        scipy.sparse.csc_array(np.where(np.abs(design) > 0.3, design, 0)),
        target,
        so.GroupL1(0.1, GROUPS),
    )
    first, second = (so.solve(problem, engine, tolerance=1e-3) for _ in range(2))
    assert first.answer.x.tolist() == second.answer.x.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_time_limit_is_kept_between_sweeps(engine: str) -> None:
    """Once it is compiled. Without a limit it runs for a minute."""
    agree(so.SparseRegression(*data(), so.L1(1.0)), engine)
    rng = np.random.default_rng(0)
    design = np.cumsum(rng.standard_normal((300, 3000)), axis=1)
    target = rng.standard_normal(300)
    strength = 1e-5 * float(np.abs(design.T @ target).max())
    problem = so.SparseRegression(design, target, so.L1(strength))
    start = time.monotonic()
    with contextlib.suppress(so.SolveError):
        so.solve(problem, engine, time_limit=0.5, engine_tolerance=1e-12, max_epochs=10**6)
    assert time.monotonic() - start < 5.0  # room for a busy machine


@pytest.mark.parametrize("engine", ["spgl1"])
def test_spgl1_logs_no_failed_line_searches(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(86)
    design = rng.standard_normal((9, 15)) * 10.0 ** rng.uniform(-3, 3, 9)[:, None]
    problem = so.BasisPursuit(design, design[:, 0])
    with caplog.at_level(logging.DEBUG):
        so.solve(problem, engine)
    assert not [record for record in caplog.records if record.name.startswith("spgl1")]
    assert logging.getLogger("spgl1").level == logging.NOTSET


@pytest.mark.parametrize("engine", ["spgl1"])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_spgl1_is_proved_by_another_dual_point_than_its_own(engine: str, noise: float) -> None:
    rng = np.random.default_rng(0)
    design = rng.standard_normal((40, 120))
    x = np.zeros(120)
    x[:6] = rng.standard_normal(6)
    problem = so.BasisPursuit(design, design @ x, noise)
    solution = so.solve(problem, engine)
    assert solution.status is so.Status.VERIFIED
    assert solution.certificate.accuracy <= 1e-12
    assert solution.answer.unique
    other = so.solve(problem, block=["spgl1"]).answer.x
    np.testing.assert_allclose(solution.answer.x, other, atol=1e-9)


@pytest.mark.parametrize("engine", ["spgl1"])
def test_spgl1_that_ends_too_long_is_finished(engine: str) -> None:
    """Its status is 7, "found a suboptimal solution": longer than need be by 0.4 percent."""
    rng = np.random.default_rng(9)
    shape = int(rng.integers(1, 20)), int(rng.integers(1, 40))
    design = rng.standard_normal(shape)
    rng.integers(0, 11)
    design *= 10.0 ** rng.uniform(-3, 3, shape[0])[:, None]
    target = design[:, 0]
    problem = so.BasisPursuit(design, target, 0.3 * float(np.linalg.norm(target)))
    solution = so.solve(problem, engine)
    assert solution.certificate.accuracy <= 1e-12


@pytest.mark.parametrize("engine", ["spgl1"])
def test_nothing_fits_is_an_answer_of_spgl1(engine: str) -> None:
    solution = so.solve(so.BasisPursuit([[1, 2], [2, 4]], [1, 3]), engine)
    assert not solution.answer.feasible
    assert solution.status is so.Status.VERIFIED


def test_they_run_on_request_only() -> None:
    design, target = data()
    for problem, names in (
        (so.SparseRegression(design, target, so.L1(1.0)), {"skglm", "celer"}),
        (so.BasisPursuit(design.T, design.T @ np.eye(20)[0]), {"spgl1"}),
    ):
        entries = {item.name: item for item in registry().solvers_for(type(problem))}
        assert all(entries[name].entry.on_request for name in names)
        order = [candidate.name for candidate in so.plan(problem)]
        there = [name for name in order if entries[name].availability() is None]
        last = [name for name in there if name in names]
        accepted = [c.name for c in so.plan(problem) if not isinstance(c.verdict, so.Refused)]
        accepted = [name for name in accepted if name in there]
        assert accepted[len(accepted) - len(last) :] == last
        for name in last:
            assert so.plan(problem, prefer=[name]).chosen.name == name


def test_an_engine_that_is_not_there_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt.choosing import availability

    monkeypatch.setattr(availability, "is_installed", lambda module: module not in sys.modules)
    item = next(item for item in registry().solvers if item.name == "celer")
    monkeypatch.setitem(sys.modules, "celer", None)  # type: ignore[arg-type]
    verdict = item._find_installation()
    assert "celer is not installed" in str(verdict)
    assert "pip install 'sparseopt[fast]'" in str(verdict)
