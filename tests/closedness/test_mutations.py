"""Thousands of edited certificates: none may pass for a problem of the other answer.

Evidence is edited and attached to a neighbour, a problem that differs in one entry of the supports
and has the other answer, so that the evidence nearly fits. What passes for its own problem is given
to independent judges: the curve is evaluated in floating point, and z3 must not find the limit to
be a product.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.closedness.external import smtlib
from sparseopt.closedness.proofs.exclusion import TREE

EVIDENCE = ("rows", "columns", "left", "right", "limit", "reductions", "exclusion", "proof")
WORDS = (
    *TREE.rules,
    *("x", "y", "value", "inverse", "free", "component", "components", "comparable", "keep"),
    *("columns", "rows", "determined", "determined_t", "submersion", "cases", "cell"),
)


def bases(rng: np.random.Generator, count: int) -> Iterator[so.Solution]:
    """Yield decided problems with certificates that search steps went into."""
    while count:
        m, n, r = (int(v) for v in rng.integers(2, 4, 3))
        density = rng.uniform(0.5, 0.95)
        problem = so.Closedness([rng.random((m, r)) < density, rng.random((r, n)) < density])
        solution = so.solve(problem, time_limit=2.0)
        if isinstance(solution.certificate, so.NotClosedCertificate | so.ReducedClosedCertificate):
            count -= 1
            yield solution


def neighbours(problem: so.Closedness, value: str) -> Iterator[so.Closedness]:
    """Yield problems that differ in one entry and have another, certified answer."""
    for side, support in enumerate(problem.supports):
        for place in np.ndindex(support.shape):
            supports = [s.copy() for s in problem.supports]
            supports[side][place] ^= True
            other = so.Closedness(supports)
            answer = so.solve(other, time_limit=0.5).answer
            if answer.value not in (value, "unknown"):
                yield other


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths to all parts of nested evidence."""
    if isinstance(value, list | dict):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(inner, (*path, key))


def get(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def edited(evidence: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Return a copy with one or two random changes: numbers, words, parts left out or exchanged."""
    result = copy.deepcopy(evidence)
    for _ in range(int(rng.integers(1, 3))):
        paths = list(places(result))
        path = paths[int(rng.integers(len(paths)))]
        holder, last = get(result, path[:-1]), path[-1]
        old = holder[last]
        kind = int(rng.integers(4))
        if kind == 0 and isinstance(holder, list) and len(path) > 1:
            del holder[last]
        elif kind == 1 and isinstance(holder, list) and len(path) > 1:
            holder.insert(last, copy.deepcopy(old))
        elif kind == 2:
            holder[last] = copy.deepcopy(get(result, paths[int(rng.integers(len(paths)))]))
        elif isinstance(old, bool) or old is None:
            continue
        elif isinstance(old, int | Fraction):
            holder[last] = [old + 1, old - 1, 0, 1, -old, Fraction(1, 2)][int(rng.integers(6))]
        elif isinstance(old, str):
            holder[last] = WORDS[int(rng.integers(len(WORDS)))]
        elif isinstance(old, dict):
            holder[last] = {k + int(rng.integers(-1, 2)): v for k, v in old.items()}
    return result


def evidence_of(certificate: Any) -> dict[str, Any]:
    """Return the evidence as nested lists."""
    fields = {f.name for f in dataclasses.fields(certificate)}
    listed = {name: getattr(certificate, name) for name in EVIDENCE if name in fields}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in listed.items()}


def check_limit_by_other_means(certificate: Any) -> None:
    """Evaluate the curve near 0, and ask z3 whether the limit is a product."""
    left, right, observed = certificate.window()
    for t in (1e-3, 1e-4):
        x, y = np.zeros(left.shape), np.zeros(right.shape)
        for factor, curve in ((x, certificate.left), (y, certificate.right)):
            for a, b, polynomial in curve:
                factor[a, b] = sum(float(c) * t**e for e, c in polynomial.items())
        limit = np.array(certificate.limit, dtype=float)
        assert np.abs((x @ y - limit)[observed]).max(initial=0) < 100 * t
        assert not x[~left].any()
        assert not y[~right].any()
    z3 = pytest.importorskip("z3")
    solver = z3.SolverFor("QF_NRA")
    solver.set("rlimit", 300_000)
    solver.from_string(smtlib(left, right, observed, certificate.limit))
    assert solver.check() != z3.sat


def attack(seed: int, count: int, edits: int) -> tuple[int, int, int]:
    """Return how many edits were tried on neighbours, on the problem itself, and passed there."""
    rng = np.random.default_rng(seed)
    strangers = own = passed = 0
    for solution in bases(rng, count):
        certificate, problem = solution.certificate, solution.problem
        value = solution.answer.value
        evidence = evidence_of(certificate)
        others = list(neighbours(problem, value))
        for other in others:
            for number in range(edits):
                changes = edited(evidence, rng) if number else evidence
                forged = dataclasses.replace(certificate, problem=other, **changes)
                assert not so.verify(forged).ok, (other.supports, changes)
                strangers += 1
        for _ in range(edits):
            forged = dataclasses.replace(certificate, **edited(evidence, rng))
            own += 1
            if so.verify(forged).ok:
                passed += 1
                if isinstance(forged, so.NotClosedCertificate):
                    check_limit_by_other_means(forged)
            flipped = {"closed": "not_closed", "not_closed": "closed"}[value]
            lie = so.ClosednessVerdict(flipped, "trust me")
            assert not so.verify(dataclasses.replace(forged, answer=lie)).ok
    return strangers, own, passed


def test_edited_certificates() -> None:
    strangers, own, passed = attack(0, 12, 40)
    assert strangers > 1000
    assert own == 480
    assert passed < own / 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_many_edited_certificates(seed: int) -> None:
    strangers, own, _ = attack(seed, 25, 150)
    assert strangers > 5000
    assert own == 3750
