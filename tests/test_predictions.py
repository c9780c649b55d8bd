"""Every bundled solver says what it will take, and how that grows, before anything is spent."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from banks import BANKS
from test_conformance import SETTINGS, SOLVERS, bare

import sparseopt as so
from sparseopt.choosing.availability import Registered

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def load(name: str) -> Any:
    """Import a module of the benchmarks."""
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


stated_costs = load("stated_costs")
ITEMS = [pytest.param(item, id=item.name) for item in SOLVERS]


def solver_class(item: Registered) -> Any:
    missing = item.installation()
    if missing is not None:
        pytest.skip(str(missing))
    return item.cls


@pytest.mark.parametrize("item", ITEMS)
def test_a_solver_predicts_seconds_and_bytes(item: Registered) -> None:
    cls = solver_class(item)
    assert cls.cost is not so.Solver.cost, "predict the seconds from the shapes"
    assert cls.bytes_needed is not so.Solver.bytes_needed, "predict the bytes from the shapes"
    solver = cls(**SETTINGS.get(item.name, {}))
    for record in BANKS[item.entry.problem]():
        problem = bare(record)
        fits = all(problem.structure().get(k) in v for k, v in item.entry.structure.items())
        if fits and isinstance(solver.accepts(problem), so.Accepted):
            said = solver.bytes_needed(problem)
            assert said is not None, f"no bytes for {problem.describe()}"
            assert 0 < said < 2**40
            assert 0 < solver.cost(problem) < 1e7


@pytest.mark.parametrize("item", ITEMS)
def test_a_docstring_states_how_cost_grows(item: Registered) -> None:
    formulas = stated_costs.stated(solver_class(item))
    assert formulas is not None, "say 'Time O(m n), memory O(m), for ...' in the docstring"
    sizes = dict.fromkeys("mnrkstdgozbLEPV", 10.0)
    for formula in formulas:
        assert stated_costs.value(formula, sizes) > 0


@pytest.mark.parametrize(
    ("formula", "expected"),
    [("m n", 6), ("m^2 n + n", 15), ("n log(m n + 2)", 9), ("n^0.5 min(m, n)", 2 * 3**0.5)],
)
def test_formulas_are_read_as_they_are_written(formula: str, expected: float) -> None:
    assert stated_costs.value(formula, {"m": 2.0, "n": 3.0}) == pytest.approx(expected)


def test_the_page_is_made_from_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the script asks for one thread
    load("scaling_problems")
    load("scaling_cases")
    scaling = load("scaling")
    kept = json.loads(scaling.RESULTS.read_text())
    assert (scaling.DOCS / "growth.md").read_text() == scaling.page(kept)
    measured = {row["engine"] for row in kept["rows"]}
    named = {engine for case in scaling.CASES.values() for engine in case.solvers}
    assert measured == named | {tool.name for tool in scaling.TOOLS.values()}
    on_devices = {"hierarchical_cupy"}
    assert named == {item.name for item in SOLVERS} - on_devices, "add a case for it"
    absent = {item.name for item in SOLVERS if item.installation() is not None}
    for row in (row for row in kept["rows"] if row["engine"] not in absent):
        found = stated_costs.stated(scaling.engine_of(row["case"], row["engine"]))
        assert found == (row["time"], row["memory"]), f"{row['engine']}: run scaling.py --predict"


def test_a_plan_prints_seconds_and_bytes_of_every_candidate() -> None:
    problem = bare(BANKS["sparseopt:SparseRegression"]()[0])
    for candidate in so.plan(problem):
        runs = not isinstance(candidate.verdict, so.Refused | so.Unavailable)
        assert ("(predicted " in str(candidate)) == runs
        assert (" of memory" in str(candidate)) == runs


def test_what_needs_more_than_is_allowed_is_refused_with_the_figure() -> None:
    for bank in BANKS.values():
        problem = bare(bank()[0])
        for candidate in so.plan(problem, max_memory=1e3):
            assert not isinstance(candidate.verdict, so.Accepted), candidate
        refusals = [str(c) for c in so.plan(problem, max_memory=1e3)]
        assert any("max_memory allows 0.1 MiB" in words for words in refusals)
