"""The numeric hint beside an unknown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import sparseopt as so
from sparseopt.cli.main import app
from sparseopt.networks import Dense, Relu, chain
from sparseopt.tools.growing import growth
from sparseopt.tools.growing.fitting import Fits
from sparseopt.tools.growing.targets import KINDS, reached, structured_targets

LU = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
MERGE = [[[1, 1], [1, 1]], [[1, 1, 0], [0, 1, 1]]]


def supports(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 5, int(rng.integers(3, 5)))
    return [rng.random(pair) < 0.7 for pair in pairwise(sizes)]


@pytest.mark.parametrize("chain", [LU, MERGE, [LU[0], np.eye(2), LU[1]]])
def test_weights_grow_where_a_set_is_not_closed(chain: Any) -> None:
    found = so.weight_growth(chain)
    assert found.grew
    assert "weights grew 10^" in str(found)
    product = found.factors[0]
    for factor, support in zip(found.factors, chain, strict=True):
        assert not np.any(factor[np.asarray(support) == 0])
    for factor in found.factors[1:]:
        product = product @ factor
    norm = np.linalg.norm(found.target)
    assert np.linalg.norm(product - found.target) / norm == pytest.approx(found.error, rel=1e-6)
    paths = np.linalg.norm(np.linalg.multi_dot([np.abs(f) for f in found.factors]))
    assert np.log10(paths / norm) == pytest.approx(found.growth)


def decided(verdict: str, count: int) -> Iterator[list[np.ndarray]]:
    rng = np.random.default_rng(8)
    while count:
        m, r, n = rng.integers(2, 4, 3)
        pair = [rng.random((m, r)) < 0.65, rng.random((r, n)) < 0.65]
        found = so.solve(so.Closedness(pair), time_limit=2).answer.value
        if found == verdict and reached(pair).any():
            count -= 1
            yield pair


def test_no_false_alarm_on_closed_sets() -> None:
    for seed, pair in enumerate(decided("closed", 40)):
        assert str(so.weight_growth(pair, seed=seed)).startswith("no blow-up seen")


def test_most_sets_that_are_not_closed_are_seen() -> None:
    grown = [so.weight_growth(pair).grew for pair in decided("not_closed", 15)]
    assert sum(grown) >= 12


def test_derivatives_are_slopes() -> None:
    for seed in range(6):
        chain, rng = supports(seed), np.random.default_rng(seed)
        targets = rng.standard_normal((3, chain[0].shape[0], chain[-1].shape[1]))
        factors = [rng.standard_normal((3, *s.shape)) * s for s in chain]
        fits = Fits(chain, targets, factors)
        slopes, before = fits.derivatives(np.arange(3)), fits.residuals(slice(None))
        number = 0
        for factor, (rows, columns) in zip(factors, fits.places, strict=True):
            for i, k in zip(rows, columns, strict=True):
                factor[:, i, k] += 1e-6
                change = (fits.residuals(slice(None)) - before) / 1e-6
                factor[:, i, k] -= 1e-6
                assert np.allclose(change, slopes[:, :, number], atol=1e-4)
                number += 1
        assert number == slopes.shape[2]


def test_fits_never_get_worse() -> None:
    chain, rng = [np.ones((3, 2), bool), np.ones((2, 3), bool)], np.random.default_rng(0)
    targets = rng.standard_normal((5, 3, 3))
    fits = Fits(chain, targets, [rng.standard_normal((5, *s.shape)) for s in chain])
    before = fits.errors.copy()
    fits.run(50, lambda: True)
    best = np.linalg.svd(targets, compute_uv=False)[:, 2] ** 2
    assert np.all(fits.errors <= before)
    assert np.allclose(fits.errors, best, rtol=1e-6)


def test_targets_lie_where_products_reach() -> None:
    for seed in range(8):
        chain = supports(seed)
        cells = reached(chain)
        if not cells.any():
            continue
        found = structured_targets(chain, 2 * len(KINDS), np.random.default_rng(seed))
        assert np.all(np.any(found, axis=(1, 2)))
        assert not found[:, ~cells].any()


def test_nothing_to_fit() -> None:
    apart = [[[1, 0]], [[0, 0], [1, 1]]]
    big = [np.ones((40, 5)), np.ones((5, 40))]
    for given in (apart, big, [[[0]], [[0]]]):
        found = so.weight_growth(given)
        assert (found.targets, found.grew) == (0, False)
        assert "were not fitted" in str(found)
        assert found.to_fields()["growth_log10"] is None


def test_one_seed_one_answer_and_a_time_limit() -> None:
    first, second = so.weight_growth(LU, seed=4), so.weight_growth(LU, seed=4)
    assert first.growth == second.growth
    none = so.weight_growth([np.ones((12, 12))] * 2, time_limit=1e-6)
    assert none.targets == 0
    assert so.weight_growth([[[1, 1]]]).grew is False


ALL = [str(each.name) for each in so.solvers(so.Closedness)]
OPEN = [np.array(s) for s in MERGE]


@pytest.fixture
def undecided(monkeypatch: pytest.MonkeyPatch) -> so.Solution:
    """Let `solve` say that it does not know."""
    solution = so.solve(so.Closedness(OPEN), block=ALL)
    assert solution.answer.value == "unknown"
    monkeypatch.setattr(so, "solve", lambda *_, **__: solution)
    return solution


def test_a_finding_beside_unknown(undecided: so.Solution) -> None:
    report = so.analyze(undecided.problem)
    assert [finding.rule for finding in report.findings] == ["supports-unknown", "weight-growth"]
    hint = report.findings[1]
    assert (hint.severity, hint.certificate) == (so.Severity.INFO, None)
    assert "weights grew" in hint.message
    assert "no verdict" in hint.message
    assert so.Report.from_json(report.to_json()).findings[1].value == hint.value


def test_a_finding_about_layers(undecided: so.Solution) -> None:
    first, second = Dense(OPEN[1].astype(float), None), Dense(OPEN[0].astype(float), None)
    report = so.analyze(chain((3,), first, Relu(), second), ["support_closedness"])
    assert [finding.rule for finding in report.findings] == ["supports-unknown", "weight-growth"]


def test_no_finding_beside_a_verdict() -> None:
    rules = {finding.rule for finding in so.analyze(so.Closedness(OPEN)).findings}
    assert "weight-growth" not in rules


def test_the_command_line_says_what_the_hint_is(tmp_path: Path) -> None:
    path = tmp_path / "supports.npz"
    np.savez(path, *OPEN)
    arguments = ["closedness", str(path), *(part for name in ALL for part in ("--block", name))]
    plain = CliRunner().invoke(app, arguments).output
    assert "hint: weights grew" in plain
    assert "no verdict" not in plain
    told = CliRunner().invoke(app, [*arguments, "--explain"]).output
    assert growth.WHAT_IT_IS[:40] in " ".join(told.split())
    assert "hint" not in CliRunner().invoke(app, [*arguments, "--json"]).output
