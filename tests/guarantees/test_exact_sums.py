"""Exact sums are those of Fractions, and stop once their digits take too long."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import sparseopt as so
from sparseopt.guarantees.families import Structure
from sparseopt.guarantees.patterns import exact_sums
from sparseopt.networks import Dense, Network, Scale, chain
from sparseopt.pathnorm import effort
from sparseopt.pathnorm.biases import biases
from sparseopt.pathnorm.effort import Effort

THIRDS = np.array([[Fraction(1, 3), Fraction(1, 5)], [Fraction(1, 7), Fraction(1, 11)]])
BIAS = np.array([Fraction(1, 13), Fraction(2, 17)])


def deep(count: int, bias: np.ndarray | None = BIAS) -> Network:
    """Return the same layer again and again; its exact values gain digits with each."""
    return chain((2,), *(Dense(THIRDS, bias) for _ in range(count)))


def summed(network: Network) -> tuple[np.ndarray, ...]:
    """Return the values of a network's neurons at two inputs, layer by layer."""
    inputs = np.array([[Fraction(1), Fraction(1, 2)], [Fraction(2), Fraction(-4)]])
    wires, spent = so.Identifiability(network).wires, Effort()
    values = np.zeros((wires.count, 2), dtype=object)
    values[:2] = inputs.T
    for layer in wires.layers:
        values[layer.own] = exact_sums(wires, layer, values, spent)
    return tuple(values[layer.own] for layer in wires.layers)


@pytest.fixture
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effort, "MOST", 1e6)


def test_sums_are_those_of_fractions() -> None:
    right = np.array([[Fraction(1), Fraction(2)], [Fraction(1, 2), Fraction(-4)]])
    for found in summed(deep(3)):
        right = THIRDS @ right + BIAS[:, None]
        assert (found == right).all()


def test_digits_that_take_too_long_are_refused(little_time: None) -> None:
    assert len(summed(deep(20, None))) == 20
    with pytest.raises(so.ProblemError, match=r"take over 0\.001 s"):
        summed(deep(90, None))


def test_constants_are_counted_too(little_time: None) -> None:
    layers = (Dense(THIRDS) for _ in range(100))
    constant = chain((2,), Dense(np.zeros((2, 2)), BIAS), *layers)
    wires = so.Identifiability(constant).wires
    with pytest.raises(so.ProblemError, match=r"take over 0\.001 s"):
        _ = Structure(wires, None).constants


def test_merged_biases_are_counted_too(little_time: None) -> None:
    scale = Scale(np.array([Fraction(1, 3), Fraction(1, 5)]), BIAS)
    merged = biases(chain((2,), Dense(THIRDS, BIAS), *(scale for _ in range(20))), "merged")
    assert len(merged) == 22
    with pytest.raises(so.ProblemError, match=r"take over 0\.001 s"):
        biases(chain((2,), Dense(THIRDS, BIAS), *(scale for _ in range(300))), "merged")
