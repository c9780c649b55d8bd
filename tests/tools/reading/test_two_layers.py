"""The answer to a two-layer training is a network like any other."""

from __future__ import annotations

import numpy as np
import pytest

import sparseopt as so


@pytest.mark.parametrize("outputs", [(), (3,)])
def test_an_answer_is_read_as_a_network(outputs: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    answer = so.TwoLayerNetwork(rng.standard_normal((2, 5)), rng.standard_normal((5, *outputs)))
    network, inputs = so.load_network(answer), rng.standard_normal((7, 2))
    found = np.array([network.run(row) for row in inputs])
    assert np.allclose(found.reshape(7, *outputs), answer.predict(inputs), rtol=1e-14, atol=1e-14)


def test_the_optimum_of_a_decay_is_balanced() -> None:
    x = np.linspace(-1.0, 1.0, 9)
    problem = so.TwoLayerReLU(np.column_stack([x, np.ones(9)]), np.abs(x) - 0.3, 0.1)
    answer = so.solve(problem).answer
    assert np.allclose(so.neural_balance(answer).ratio, 1.0, atol=1e-6)
    uneven = so.TwoLayerNetwork(4.0 * answer.hidden, answer.outer / 4.0)
    even = so.canonicalize(uneven)
    assert np.allclose(so.neural_balance(even).ratio, 1.0)
    assert isinstance(even, so.Network)


def test_gated_neurons_are_no_relu_network() -> None:
    gated = so.TwoLayerNetwork([[1.0]], [1.0], [[1.0]])
    with pytest.raises(so.ProblemError, match="gated"):
        so.load_network(gated)
