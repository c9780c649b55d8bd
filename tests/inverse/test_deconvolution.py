"""Blind deconvolution: the optimum is a spike, and what was planted is never better."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import forgeries_deconvolution
import numpy as np
import pytest
from sparseopt_inverse.blind_descent import descend

import sparseopt as so

HONEST = list(forgeries_deconvolution.honest())
build = so.BlindDeconvolutionCertificate.build


def planted(seed: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a filter of 3 spikes, a signal of 4, and their circular convolution."""
    rng = np.random.default_rng(seed)
    h, s = np.zeros(size), np.zeros(size)
    h[rng.choice(size, 3, replace=False)] = rng.standard_normal(3)
    s[rng.choice(size, 4, replace=False)] = rng.standard_normal(4)
    return h, s, sum(h[i] * np.roll(s, i) for i in np.flatnonzero(h))


def balanced(h: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = math.sqrt(np.abs(s).sum() / np.abs(h).sum())
    return h * size, s / size


@pytest.mark.parametrize(("name", "certificate"), HONEST, ids=[name for name, _ in HONEST])
def test_figures_hold_over_the_rationals(name: str, certificate: Any) -> None:
    h = [Fraction(v) for v in certificate.answer.filter.tolist()]
    s = [Fraction(v) for v in certificate.answer.signal.tolist()]
    y = [Fraction(v) for v in certificate.problem.target.tolist()]
    n = len(y)
    made = [sum(h[j] * s[(i - j) % n] for j in range(n)) for i in range(n)]
    missed = sum(abs(a - b) for a, b in zip(made, y, strict=True))
    cost = sum(map(abs, h)) + sum(map(abs, s))
    assert missed <= Fraction(certificate.residual)
    assert cost <= Fraction(certificate.primal)
    assert Fraction(certificate.dual) ** 2 <= 4 * sum(map(abs, y))
    assert cost <= Fraction(certificate.dual) + Fraction(certificate.gap)


def test_a_planted_pair_that_collides_is_worse() -> None:
    h, s, y = planted(9180, 32)
    problem = so.BlindDeconvolution(y)
    trivial = so.solve(problem).certificate
    truth = build(problem, *balanced(h, s))
    assert np.abs(y).sum() == pytest.approx(1.286407, abs=1e-6)
    assert trivial.primal == pytest.approx(2.268398, abs=1e-6)
    assert truth.primal == pytest.approx(2.345918, abs=1e-6)
    assert truth.gap > 0.077
    assert truth.residual < 1e-14
    assert so.verify(truth).ok


def test_a_planted_pair_without_collisions_ties() -> None:
    h, s, y = planted(9181, 64)
    problem = so.BlindDeconvolution(y)
    truth = build(problem, *balanced(h, s))
    assert truth.primal == pytest.approx(3.313980, abs=1e-6)
    assert so.solve(problem).certificate.primal == pytest.approx(truth.primal, rel=1e-14)
    assert truth.relative_gap < 1e-14


def test_planted_is_never_better() -> None:
    ties = 0
    for seed in range(200):
        h, s, y = planted(seed, 32)
        pair = balanced(h, s)
        truth = build(so.BlindDeconvolution(y), *pair)
        cost = math.fsum(np.abs(pair[0])) + math.fsum(np.abs(pair[1]))
        assert cost >= truth.dual * (1.0 - 1e-15)
        ties += truth.relative_gap < 1e-12
    assert 70 < ties < 140


def test_descent_does_not_get_there() -> None:
    """Stationary pairs are balanced; the trivial one is the lowest of those that are found."""
    h, s, y = planted(9180, 32)
    strength = 1e-3

    def objective(pair: np.ndarray) -> float:
        made = np.fft.irfft(np.fft.rfft(pair[0]) * np.fft.rfft(pair[1]), len(y))
        return 0.5 * float(((made - y) ** 2).sum()) + strength * float(np.abs(pair).sum())

    size = math.sqrt(np.abs(y).sum())
    spike = np.stack([np.eye(32)[0] * size, y / size])
    context = so.Context()
    trivial = descend(y, spike, strength, 4000, context)
    truth = descend(y, np.stack(balanced(h, s)), strength, 4000, context)
    assert objective(trivial) == pytest.approx(0.00226450, abs=1e-7)
    assert objective(truth) == pytest.approx(0.00227833, abs=1e-7)
    for pair in (trivial, truth):
        norms = np.abs(pair).sum(axis=1)
        assert norms[0] == pytest.approx(norms[1], rel=1e-3)
    rng = np.random.default_rng(0)
    for _ in range(3):
        found = descend(y, rng.standard_normal((2, 32)) / 6.0, strength, 4000, context)
        assert objective(found) > objective(trivial)


def test_a_heuristic_answer_is_weak_and_says_its_figures() -> None:
    solution = so.solve(so.BlindDeconvolution(planted(9181, 64)[2]), "blind_descent", seed=1)
    assert solution.status is so.Status.WEAK
    assert so.verify(solution).ok
    assert solution.certificate.residual > 0.0


def test_a_brute_force_search_finds_nothing_cheaper() -> None:
    rng = np.random.default_rng(2)
    y = np.array([1.0, -2.0, 0.5])
    least = so.solve(so.BlindDeconvolution(y)).certificate.dual
    for _ in range(500):
        h = rng.standard_normal(3)
        s = np.fft.irfft(np.fft.rfft(y) / np.fft.rfft(h), 3)
        assert 2.0 * math.sqrt(np.abs(h).sum() * np.abs(s).sum()) >= least


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("complex", [1j]),
        ("at least one entry", []),
        ("must be a vector", [[1.0]]),
        ("target has a nan at entry \\(1,\\)", [1.0, np.nan]),
        ("beyond the range of floats", [1e308, 1e308]),
    ],
)
def test_bad_targets_are_refused(words: str, target: Any) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.BlindDeconvolution(target)


def test_bad_pairs_are_refused() -> None:
    with pytest.raises(so.ProblemError, match="filter has 2 entries and signal 3"):
        so.FilterAndSignal([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(so.ProblemError, match="the target has 1 entries and the pair 2"):
        build(so.BlindDeconvolution([1.0]), [1.0, 2.0], [1.0, 2.0])


def test_convolutions_that_take_too_long_are_refused() -> None:
    size = 2**17 + 1
    ones = np.ones(size)
    problem = so.BlindDeconvolution(ones)
    with pytest.raises(so.ProblemError, match="131073 x 131073 products"):
        build(problem, ones, ones)
    pair = so.FilterAndSignal(ones, ones)
    check = so.verify(so.BlindDeconvolutionCertificate(problem, pair, 1.0, 1.0, 1.0, 1.0))
    assert not check.ok
    assert "131073 x 131073 products" in check.details[-1]


def test_evaluate_needs_no_solver() -> None:
    problem = so.BlindDeconvolution([3.0, 0.0, 1.0])
    figures = problem.evaluate(so.FilterAndSignal([1.0, 0, 0], [3.0, 0, 0]))
    assert figures["objective"] == 4.0
    assert figures["residual"] == pytest.approx(1.0)


def test_a_time_limit_stops_the_descent() -> None:
    problem = so.BlindDeconvolution(planted(0, 1000)[2])
    with pytest.raises(so.SolveError):
        so.solve(problem, "blind_descent", steps=10**8, time_limit=0.2)
