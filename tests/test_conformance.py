"""Every registered first-party solver and analyzer keeps the laws."""

from __future__ import annotations

import numpy as np
import pytest
from banks import BANKS

import sparseopt as so
from sparseopt.choosing.availability import Registered
from sparseopt.choosing.discovery import registry
from sparseopt.testing.analyzers import check_analyzer
from sparseopt.testing.solvers import Provable, check_solver

SOLVERS = [item for item in registry().solvers if item.plugin.first_party]
ANALYZERS = [item for item in registry().analyzers if item.plugin.first_party]

EXPECTED: dict[str, dict[str, str]] = {}
SETTINGS: dict[str, dict[str, float]] = {
    # It refuses everything until the user allows something.
    "external_exclusion": {"allow_external": True},
    # No limit cuts a search off: what it finds does not depend on the load of the machine.
    "window_repair": {"seconds": 1e6, "seconds_per_verdict": 1e6},
}


def bare(record: so.Problem | Provable) -> so.Problem:
    """Return the problem of a record."""
    return record.problem if isinstance(record, Provable) else record


# numba compiles skglm for half a minute.
COMPILED = {"skglm"}


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(item, marks=[pytest.mark.slow] * (item.name in COMPILED), id=item.name)
        for item in SOLVERS
    ],
)
def test_solver(item: Registered) -> None:
    if item.entry.on_request:  # its library is in no other extra
        for module in item.entry.requires:
            pytest.importorskip(module)
    if item.entry.device_probe and item.availability() is not None:
        pytest.skip("it needs a device; tests/plugins/cupy runs it on a stand-in")
    assert item.availability() is None, "install everything: pip install -e '.[all,test]'"
    assert item.entry.problem in BANKS, "add a bank of problems for it to tests/support/banks.py"
    assert item.entry.citations, "a solver cites the source of its method"
    problems = [
        record
        for record in BANKS[item.entry.problem]()
        if all(bare(record).structure().get(k) in v for k, v in item.entry.structure.items())
    ]
    solver = item.cls(**SETTINGS[item.name]) if item.name in SETTINGS else item.cls
    check_solver(solver, problems, expected_failures=EXPECTED.get(item.name))


def subjects(tag: str) -> list[object]:
    """Return subjects of an analyzer."""
    if tag == "sparseopt:Network":
        from sparseopt.networks.linear import Dense
        from sparseopt.networks.network import Network
        from sparseopt.networks.node import Node
        from sparseopt.networks.operator import Input, Relu

        def mlp(first: list[list[float]], second: list[list[float]]) -> Network:
            nodes = (
                Node("x", Input((2,))),
                Node("first", Dense(np.array(first)), ("x",)),
                Node("relu", Relu(), ("first",)),
                Node("second", Dense(np.array(second)), ("relu",)),
            )
            return Network(nodes, "second")

        return [
            mlp([[1.0, 2.0], [0.0, 3.0]], [[1.0, 0.0], [1.0, 1.0]]),
            mlp([[1.0, 2.0], [100.0, 3.0]], [[1.0, 1.0]]),
        ]
    return BANKS[tag]()


@pytest.mark.parametrize("item", ANALYZERS, ids=lambda item: item.name)
def test_analyzer(item: Registered) -> None:
    assert item.availability() is None
    check_analyzer(item.cls, subjects(item.entry.subject))


def test_the_manifest_names_classes_of_the_right_kind() -> None:
    for item in SOLVERS:
        assert item.availability() is not None or issubclass(item.cls, so.Solver)
    for item in ANALYZERS:
        assert issubclass(item.cls, so.Analyzer)
