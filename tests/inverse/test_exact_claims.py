"""What the judge accepts is true: against exact minima in rational arithmetic."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from regression_oracle import exact_gap, false_claims

import sparseopt as so
from sparseopt.judging.check import check_certificate

Certificate = so.DualityGapCertificate


def instance(rng: np.random.Generator) -> so.SparseRegression:
    """Return a small L1 problem of some kind: integers, duplicates, close columns, scales."""
    m, n = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    kind = int(rng.integers(7))
    design = rng.standard_normal((m, n))
    if kind == 0:
        design = rng.integers(-3, 4, (m, n)).astype(float)
    elif kind == 1:
        design[:, -1] = design[:, 0] * rng.choice([1.0, -1.0, 2.0])
    elif kind == 2:
        design[:, -1] = design[:, 0] + 10.0 ** rng.uniform(-16, -4) * design[:, -1]
    elif kind == 3:
        design = design * 10.0 ** rng.uniform(-8, 8, n)
    elif kind == 4:
        design = design.astype(np.float32)
    elif kind == 5:
        design = 1e9 + np.round(100 * design)
    target = rng.standard_normal(m)
    if rng.random() < 0.3:
        target = np.round(3 * target)
    if rng.random() < 0.2:
        target = design.astype(float) @ rng.integers(-2, 3, n)
    critical = float(np.abs(design.T.astype(float) @ target).max()) or 1.0
    strength = critical * 10.0 ** rng.uniform(-20, 0.2) * (rng.random() > 0.15)
    power = int(rng.choice([0, 0, 0, 200, -200]))
    if power and design.dtype == np.float64:
        design, strength = np.ldexp(design, power), float(np.ldexp(strength, power))
    return so.SparseRegression(design, target, so.L1(strength))


def attempts(problem: so.SparseRegression, rng: np.random.Generator) -> Iterator[Any]:
    """Yield certificates, honest and forged, of answers good and bad."""
    m, n = problem.shape
    good = so.solve(problem, "working_set").certificate
    assert check_certificate(good).ok
    yield good
    x = good.answer.x * (1.0 + rng.standard_normal(n) * 10.0 ** rng.uniform(-16, 0))
    t = np.atleast_2d(good.dual_point) * (1.0 + 10.0 ** rng.uniform(-16, 0))
    for made in (
        Certificate.build(problem, x)[1],
        Certificate.build(problem, x, t)[1],
        Certificate.build(problem, rng.standard_normal(n), rng.standard_normal(m))[1],
    ):
        assert check_certificate(made).ok
        yield made
    every = [good, made]
    for base in every:
        yield dataclasses.replace(base, gap=base.gap * rng.random())
        yield dataclasses.replace(base, primal=base.primal * (1.0 - rng.random() * 1e-15))
        yield dataclasses.replace(base, dual=base.dual * (1.0 + rng.random() * 1e-15))
        yield dataclasses.replace(base, undecided=base.undecided[1:])
        yield dataclasses.replace(base, undecided=base.undecided[:0])
        yield dataclasses.replace(base, answer=so.Coefficients(x))
        yield dataclasses.replace(base, dual_point=t)
        other = instance(rng)
        if other.shape == problem.shape:
            yield dataclasses.replace(base, problem=other)
        weaker = so.L1(problem.penalty.strength * (1.0 - 10.0 ** rng.uniform(-16, -1)))
        yield dataclasses.replace(base, problem=dataclasses.replace(problem, penalty=weaker))


def attack(seed: int) -> int:
    """Assert that nothing false is accepted about one instance; return how many were accepted."""
    rng = np.random.default_rng(seed)
    accepted = 0
    for certificate in attempts(instance(rng), rng):
        if check_certificate(certificate).ok:
            accepted += 1
            assert not false_claims(certificate), (seed, certificate)
    return accepted


def test_accepted_claims_are_true() -> None:
    assert sum(attack(seed) for seed in range(40)) > 150


@pytest.mark.slow
def test_accepted_claims_are_true_of_thousands() -> None:
    assert sum(attack(seed) for seed in range(40, 2500)) > 10_000


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every number in a JSON document but shapes."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "shape":
                yield from numbers(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from numbers(item, (*path, i))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


GROUPS = [[0, 3, 6], [1], [2, 4, 5, 7, 8]]


@pytest.mark.parametrize("penalty", [so.L1(1.3), so.GroupL1(1.1, GROUPS, [1.0, 0.7, 1.9])])
def test_single_edits_of_a_file_are_refused_or_leave_it_true(penalty: so.Penalty) -> None:
    rng = np.random.default_rng(7)
    problem = so.SparseRegression(rng.standard_normal((6, 9)), rng.standard_normal(6), penalty)
    text = so.to_json(so.solve(problem).certificate)
    places = list(numbers(json.loads(text)))
    assert len(places) > 70
    accepted = []
    for place in places:
        document = json.loads(text)
        spot = document
        for key in place[:-1]:
            spot = spot[key]
        old = spot[place[-1]]
        spot[place[-1]] = old + 1 if isinstance(old, int) else old * 1.001 + 1e-3 * (old == 0)
        try:
            certificate = so.from_json(json.dumps(document))
        except so.ProblemError:
            continue
        if check_certificate(certificate).ok:
            accepted.append(place)
            feasible, gap = exact_gap(certificate)
            assert feasible
            assert 0 <= gap <= certificate.gap
    # A column that the answer does not use, and a larger objective or gap: still true.
    assert {place[0] for place in accepted} <= {"problem", "primal", "gap"}
    assert all("design" in place for place in accepted if place[0] == "problem")
