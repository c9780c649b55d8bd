"""The verdict on training a network, with the biases that it has."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks import Dense, Network, Relu, Reshape, Scale, chain
from sparseopt.networks.layers import relu_chain


def network(*sizes: int, biases: str = "", density: float = 1.0, seed: int = 0) -> Network:
    """Return a random network from its inputs on; `biases` holds a 1 for each layer with some."""
    rng = np.random.default_rng(seed)
    layers: list[Dense | Relu] = []
    for number, (n, m) in enumerate(pairwise(sizes)):
        weight = rng.standard_normal((m, n)) * (rng.random((m, n)) < density)
        layers.append(Dense(weight, rng.standard_normal(m) if biases[number:][:1] == "1" else None))
        layers.append(Relu())
    return chain((sizes[0],), *layers[:-1])


def finding(subject: Network) -> so.Finding:
    """Return the one finding of the analyzer."""
    report = so.analyze(subject, ["training_optimum"])
    assert so.Report.from_json(report.to_json()).findings[0].rule == report.findings[0].rule
    return report.findings[0]


@pytest.mark.parametrize("biases", ["00", "10", "01", "11"])
def test_a_dense_network_is_told_with_its_data(biases: str, tmp_path: Path) -> None:
    found = finding(network(3, 2, 2, biases=biases))
    assert found.rule == "training-may-not-be-attained"
    assert found.severity is so.Severity.INFO
    assert (found.value["hidden_biases"], found.value["output_biases"]) == (
        biases[0] == "1",
        biases[1] == "1",
    )
    assert "->  y[" in found.message
    assert so.verify(found.certificate).ok
    assert found.figure.series["error"][-1] < 1e-5
    assert found.figure.series["largest weight"][-1] > 1e5
    so.analyze(network(3, 2, 2, biases=biases), ["training_optimum"]).to_html(tmp_path / "r.html")


def test_masks_are_warned_of() -> None:
    found = finding(network(9, 5, 6, density=0.6, biases="10", seed=3))
    assert (found.rule, found.severity) == ("training-may-not-be-attained", so.Severity.WARNING)
    assert "with hidden biases" in found.message


def test_one_output_is_fine() -> None:
    found = finding(network(6, 4, 1, biases="11", density=0.6))
    assert (found.rule, found.severity) == ("training-attained", so.Severity.OK)


def test_unknown_is_said() -> None:
    found = finding(network(5, 4, 3, 2, biases="111"))
    assert (found.rule, found.severity) == ("training-unknown", so.Severity.INFO)
    assert found.certificate is None


def test_biases_of_some_hidden_layers_count_for_all() -> None:
    found = finding(network(5, 4, 3, 3, biases="100"))
    assert found.value["hidden_biases"]
    assert not found.value["output_biases"]
    assert found.rule == "training-may-not-be-attained"


def test_chains_of_dense_layers_only() -> None:
    weight = np.ones((2, 3))
    first, second = Dense(weight, None), Dense(np.ones((2, 2)), None)
    assert relu_chain(chain((3,), first, Relu(), second)) is not None
    assert relu_chain(chain((1, 3), Reshape((3,)), first, Relu(), second)) is not None
    for layers in (
        (first,),
        (first, second),
        (first, Relu(), second, Relu()),
        (Relu(), first, Relu(), second),
        (first, Scale(None, np.ones(2)), Relu(), second),
    ):
        assert relu_chain(chain((3,), *layers)) is None
    assert relu_chain(chain((4, 3), first, Relu(), second)) is None


def test_supports_stand_in_the_order_of_the_layers() -> None:
    found = relu_chain(network(5, 4, 3, 2, density=0.5))
    assert found is not None
    assert [s.shape for s in found.supports] == [(2, 3), (3, 4), (4, 5)]
    for support, layer in zip(found.supports, reversed(found.layers), strict=True):
        assert np.array_equal(support, layer.weight != 0)
