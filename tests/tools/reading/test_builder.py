"""Merging of scales, exact ReLU forms, and the views of linear layers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.layers import consecutive_linear_pairs, linear_layers
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Operator, Relu
from sparseopt.tools.reading import composed
from sparseopt.tools.reading.builder import NetworkBuilder
from sparseopt.tools.reading.values import Value

RNG = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


X = np.array([-7.0, -2.5, -0.5, 0.0, 0.5, 1.0, 6.0, 8.5])

ACTIVATIONS: dict[str, tuple[Callable[[NetworkBuilder], Value], np.ndarray, float]] = {
    # name: how to build it, its values on X, the weight of all paths from one input
    "leaky": (
        lambda b: composed.leaky_relu(b, b.input, 0.1, "f"),
        np.where(X > 0, X, 0.1 * X),
        1.0,
    ),
    "leaky-steep": (
        lambda b: composed.leaky_relu(b, b.input, 3.0, "f"),
        np.where(X > 0, X, 3 * X),
        4.0,
    ),
    "leaky-negative": (
        lambda b: composed.leaky_relu(b, b.input, -0.5, "f"),
        np.where(X > 0, X, -X / 2),
        1.5,
    ),
    "abs": (lambda b: composed.absolute(b, b.input, "f"), np.abs(X), 2.0),
    "relu6": (lambda b: composed.clip(b, b.input, 0.0, 6.0, "f"), np.clip(X, 0, 6), 1.0),
    "hardtanh": (lambda b: composed.clip(b, b.input, -1.0, 1.0, "f"), np.clip(X, -1, 1), 1.0),
    "low": (lambda b: composed.clip(b, b.input, 0.5, None, "f"), np.maximum(X, 0.5), 1.0),
    "high": (lambda b: composed.clip(b, b.input, None, -0.5, "f"), np.minimum(X, -0.5), 1.0),
    "open": (lambda b: composed.clip(b, b.input, -1e39, 1e39, "f", 1e38), X, 1.0),
    "one-point": (lambda b: composed.clip(b, b.input, 2.0, 2.0, "f"), np.full(8, 2.0), 1.0),
    "hard-sigmoid": (
        lambda b: composed.hard_sigmoid(b, b.input, 0.25, 0.5, "f"),
        np.clip(X / 4 + 0.5, 0, 1),
        0.25,
    ),
}


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activations_are_exact(name: str) -> None:
    build, right, mass = ACTIVATIONS[name]
    builder = NetworkBuilder((8,), "x")
    network = builder.finish(build(builder))
    np.testing.assert_array_equal(network.run(X), right)
    without_biases = network.with_parameters(
        {n: np.zeros_like(a) for n, a in network.parameters().items() if n.endswith(".bias")}
    )
    norm = so.solve(so.PathNorm(without_biases, r=np.inf)).answer.value
    assert norm == pytest.approx(mass)


def test_extremes() -> None:
    builder = NetworkBuilder((2, 3), "x")
    rows = [builder.select(builder.input, np.arange(3) + 3 * i, f"row{i}") for i in range(2)]
    top, bottom = builder.rank(rows, 1, "max"), builder.rank(rows, 2, "min")
    both = builder.sum_of([top, builder.affine(bottom, "ten", factor=10.0)], "y")
    network = builder.finish(both)
    x = normal(2, 3)
    np.testing.assert_allclose(network.run(x), x.max(0) + 10 * x.min(0))
    builder = NetworkBuilder((2, 3, 4), "x")
    largest = builder.reduce(builder.input, (0, 2), "max", False, "max")
    smallest = builder.reduce(builder.input, (0, 2), "min", True, "min")
    network = builder.finish(builder.sum_of([largest, smallest], "y"))
    x = normal(2, 3, 4)
    right = x.max((0, 2)) + x.min((0, 2), keepdims=True)
    np.testing.assert_array_equal(network.run(x), right[0])  # a leading 1 is a batch


def test_crossed_bounds_and_foreign_constants_are_refused() -> None:
    builder = NetworkBuilder((8,), "x")
    with pytest.raises(so.ProblemError, match="above the upper bound"):
        composed.clip(builder, builder.input, 1.0, 0.0, "f")
    with pytest.raises(so.ProblemError, match="does not fit"):
        composed.leaky_relu(builder, builder.input, np.ones((2, 8)), "f")


@pytest.mark.parametrize(
    ("layers", "left"),
    [
        ([Conv(normal(4, 2, 2, 2), normal(4)), Scale(normal(4, 1, 1), normal(4, 1, 1))], 0),
        ([Conv(normal(4, 2, 2, 2)), Scale(normal(4, 1, 1), None), Scale(None, normal(1, 1, 1))], 0),
        ([ConvTranspose(normal(2, 3, 2, 2), normal(3)), Scale(normal(3, 1, 1))], 0),
        ([ConvTranspose(normal(2, 3, 2, 2), groups=2), Scale(normal(6, 1, 1))], 0),
        ([Dense(normal(3, 3), normal(3)), Scale(normal(1, 1, 3), normal(1, 1, 3))], 0),
        ([Scale(normal(1, 3, 3), normal(2, 1, 1)), Scale(normal(2, 1, 1), normal(1, 3, 1))], 1),
        ([Scale(normal(2, 1, 1)), Dense(normal(2, 3)), Scale(normal(2, 1, 1))], 2),
        ([Conv(normal(4, 2, 2, 2)), Scale(normal(4, 2, 1))], 1),
        ([Conv(normal(4, 2, 2, 2)), Relu(), Scale(normal(4, 1, 1))], 1),
    ],
)
def test_merging_keeps_the_function_and_leaves_what_does_not_fit(
    layers: list[Operator], left: int
) -> None:
    network = chain((2, 3, 3), *layers)
    x = normal(5, 2, 3, 3)
    np.testing.assert_allclose(network.merged.run(x), network.run(x), rtol=1e-12, atol=1e-12)
    assert sum(isinstance(n.op, Scale) for n in network.merged.nodes) == left
    kept, merged = (
        so.solve(so.PathNorm(network, affine=affine)).answer for affine in ("as_is", "merged")
    )
    assert merged.value <= kept.value * (1 + 1e-12)
    assert merged.affine == "merged"
    really = so.solve(so.PathNorm(network.merged)).answer
    assert merged.log10 == pytest.approx(really.log10, abs=1e-12)
    np.testing.assert_allclose(network.merged_biases.run(x), network.run(x), rtol=1e-12, atol=1e-12)
    assert so.path_count(network, "merged") == so.path_count(network.merged)


def test_a_layer_that_others_read_is_not_merged_into() -> None:
    builder = NetworkBuilder((2,), "x")
    a = builder.add(Dense(normal(2, 2)), [builder.input], "a")
    b = builder.affine(a, "b", normal(2))
    network = builder.finish(builder.sum_of([a, b], "y"))
    assert [n.name for n in network.merged.nodes] == ["x", "a", "b", "y"]
    builder = NetworkBuilder((2,), "x")
    a = builder.add(Dense(normal(2, 2)), [builder.input], "a")
    network = builder.finish(builder.affine(a, "b", normal(2)))
    assert network.merged.output == "a"


def test_merging_is_exact_on_rationals() -> None:
    weight = np.array([[Fraction(1, 3)]], dtype=object)
    bias = np.array([Fraction(1, 7)], dtype=object)
    network = chain((1,), Dense(weight, bias), Scale(bias, bias))
    assert network.merged.run([1]).tolist() == network.run([1]).tolist()
    assert network.merged.is_exact


TINY = [
    [Dense(np.array([[1e-200]])), Scale(np.array([1e-200]))],
    [Dense(np.array([[1e-160]])), Scale(np.array([1e-160]))],  # digits are lost
    [Dense(np.array([[1.0]]), np.array([1e-200])), Scale(np.array([1e-200]))],
    [Scale(np.array([1e-200])), Scale(np.array([1e-200]))],
    [Scale(None, np.array([1e-200])), Scale(np.array([1e-200]), np.array([1e-320]))],
]


@pytest.mark.parametrize("layers", TINY)
def test_products_that_underflow_are_not_merged(layers: list[Operator]) -> None:
    """Behind a large weight they would be another function."""
    network = chain((1,), *layers, Relu(), Dense(np.array([[1e300]])))
    with pytest.raises(so.ProblemError, match=r"cannot be merged into .* normal range of float64"):
        _ = network.merged


def test_what_underflows_beside_a_bias_is_merged() -> None:
    """It is rounding, as are terms that cancel."""
    for bias, factor, shift in ((1e-200, 1e-200, 0.5), (0.5, 2.0, -1.0), (0.0, 1e-200, 0.0)):
        first = Dense(np.array([[1.0]]), np.array([bias]))
        network = chain((1,), first, Scale(np.array([factor]), np.array([shift])))
        assert network.merged.run([0.0]).tolist() == [shift + factor * bias]


def test_biases_beyond_the_floats_are_not_merged() -> None:
    first = Dense(np.array([[1.0]]), np.array([1e200]))
    network = chain((1,), first, Scale(np.array([1e200])))
    for name in ("merged", "merged_biases"):
        with pytest.raises(so.ProblemError, match="'1:Scale' cannot be merged into '0:Dense'"):
            getattr(network, name)


def test_consecutive_pairs() -> None:
    net = chain(
        (4,), Dense(normal(3, 4)), Relu(), Dense(normal(5, 3), normal(5)), Dense(normal(1, 5))
    )
    pairs = consecutive_linear_pairs(net)
    assert [(p.first.name, p.second.name, p.has_relu) for p in pairs] == [
        ("0:Dense", "2:Dense", True),
        ("2:Dense", "3:Dense", False),
    ]
    second, first = pairs[0].supports
    assert (second.shape, first.shape) == ((5, 3), (3, 4))
    assert not pairs[0].is_whole_network
    assert [layer.density for layer in linear_layers(net)] == [1.0, 1.0, 1.0]
    two = chain((4,), Dense(normal(3, 4)), Relu(), Dense(normal(1, 3)))
    assert consecutive_linear_pairs(two)[0].is_whole_network


def test_pairs_stop_at_branches_and_other_layers() -> None:
    builder = NetworkBuilder((2,), "x")
    a = builder.add(Dense(normal(2, 2)), [builder.input], "a")
    b = builder.add(Dense(normal(2, 2)), [a], "b")
    network = builder.finish(builder.sum_of([a, b], "y"))
    assert consecutive_linear_pairs(network) == []
    assert consecutive_linear_pairs(chain((2,), Dense(normal(2, 2)), Scale(normal(2)))) == []


def test_groups_are_blocks_of_a_support() -> None:
    (layer,) = linear_layers(chain((6, 2), Conv(normal(4, 3, 1), groups=2)))
    assert np.array_equal(layer.support, np.kron(np.eye(2), np.ones((2, 3))))
    (layer,) = linear_layers(chain((6, 2), ConvTranspose(normal(6, 2, 1), groups=2)))
    assert layer.kind == "conv_transpose"
