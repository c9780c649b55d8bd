"""The path-lifting, against all paths."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from bounded_networks import CASES, convolutional, normal
from path_oracle import graph_of, paths, random_graph

import sparseopt as so
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import chain

RNG = np.random.default_rng(2)


@pytest.mark.parametrize("name", list(CASES))
def test_published_paths_and_activations(name: str) -> None:
    case = CASES[name]
    lifting = so.path_lifting(so.load_network(graph_of(case["graph"])))
    found = {labels: str(phi) for labels, phi in zip(lifting.labels, lifting.phi, strict=True)}
    if case["paths"] is not None:
        assert found == {tuple(path): phi for path, phi in case["paths"]}
    assert len(lifting) == case["n_paths"]
    for point in case["points"]:
        x = {key: Fraction(value) for key, value in point["x"].items()}
        assert {k: str(v) for k, v in lifting.evaluate(x).items()} == point["eq9"]
        counts = dict.fromkeys(case["outputs"], 0)
        for labels, active in zip(lifting.labels, lifting.activations(x), strict=True):
            counts[labels[-1]] += active
        assert counts == point["n_active"]


@pytest.mark.parametrize("seed", range(10))
def test_the_product_formula_holds(seed: int) -> None:
    graph = random_graph(seed)
    network = so.load_network(graph)
    lifting = so.path_lifting(network)
    assert sorted(lifting.phi) == sorted(phi for _, phi in paths(graph))
    for _ in range(3):
        x = [Fraction(int(v), 2) for v in RNG.integers(-5, 6, size=3)]
        values = lifting.evaluate(x)
        right = dict(zip(network.output_labels or (), network.run(x).tolist(), strict=True))
        assert {k: values.get(k, values.get(f"output[{i}]")) for i, k in enumerate(right)} == right


def test_the_product_formula_holds_on_layers() -> None:
    network = convolutional()
    lifting = so.path_lifting(network)
    assert 3000 < len(lifting) < 50_000
    assert len(lifting) == so.path_count(network)
    x = normal(50)
    np.testing.assert_allclose(
        [float(v) for v in lifting.evaluate(x.tolist()).values()],
        network.run(x.reshape(2, 5, 5)),
        rtol=1e-12,
    )
    merged = so.path_lifting(network, affine="merged")
    assert len(merged) < len(lifting)
    assert sum(map(abs, merged.phi)) <= sum(map(abs, lifting.phi))


def test_liftings_of_large_networks_are_refused() -> None:
    with pytest.raises(so.ProblemError, match="more than the limit"):
        so.path_lifting(chain((9,), *(Dense(normal(9, 9)) for _ in range(8))))
    with pytest.raises(so.ProblemError, match="must be 'as_is'"):
        so.path_lifting(convolutional(), affine="both")
    with pytest.raises(so.ProblemError, match="50 inputs, got 3"):
        so.path_lifting(convolutional()).evaluate([1, 2, 3])
