"""Rescaling: the function stays, the canonical form is unique, equivalence is decided."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np
import pytest
from scipy.optimize import minimize

import sparseopt as so
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Relu, Reshape
from sparseopt.networks.window import MaxPool
from sparseopt.tools.reading.window_cells import max_window, pool_positions


def residual_network(seed: int = 0, dtype: type = np.float64) -> Network:
    """Convolutions, a depthwise one, a skip, a concatenation, scales, pooling, dense layers."""
    rng = np.random.default_rng(seed)

    def array(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    pad = ((1, 1), (1, 1))
    windows = tuple(max_window(axis, pool_positions(6, 2, 2), 6) for axis in (1, 2))
    nodes = (
        Node("x", Input((3, 6, 6))),
        Node("stem", Conv(array(8, 3, 3, 3), array(8), padding=pad), ("x",)),
        Node("norm", Scale(array(8, 1, 1), array(8, 1, 1)), ("stem",)),
        Node("relu1", Relu(), ("norm",)),
        Node("depthwise", Conv(array(8, 1, 3, 3), array(8), padding=pad, groups=8), ("relu1",)),
        Node("relu2", Relu(), ("depthwise",)),
        Node("mix", Conv(array(8, 8, 1, 1)), ("relu2",)),
        Node("sum", Add(), ("mix", "relu1")),
        Node("up", ConvTranspose(array(8, 4, 1, 1), array(4)), ("sum",)),
        Node("relu3", Relu(), ("up",)),
        Node("both", Concat(0), ("sum", "relu3")),
        Node("pool", MaxPool(windows), ("both",)),
        Node("flat", Reshape((108,)), ("pool",)),
        Node("hidden", Dense(array(10, 108), array(10)), ("flat",)),
        Node("relu4", Relu(), ("hidden",)),
        Node("y", Dense(array(4, 10), array(4)), ("relu4",)),
    )
    return Network(nodes, "y")


def mlp(sizes: tuple[int, ...], seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    layers: list[object] = []
    for m, n in itertools.pairwise(sizes):
        layers += [Dense(rng.standard_normal((n, m)), rng.standard_normal(n)), Relu()]
    return chain((sizes[0],), *layers[:-1])  # type: ignore[arg-type]


def largest_difference(a: Network, b: Network) -> float:
    worst = 0.0
    for name, array in a.parameters().items():
        other = b.parameters()[name]
        worst = max(worst, float(np.abs(array - other).max() / (np.abs(array).max() or 1.0)))
    return worst


def test_groups_follow_skips_concatenations_and_depthwise_layers() -> None:
    groups = so.RescalingGroups(residual_network())
    # stem, norm, mix and the sum share 8 groups; the depthwise layer opens 8, up 4, hidden 10.
    assert groups.count == 8 + 8 + 4 + 10
    np.testing.assert_array_equal(groups.units["stem"], groups.units["mix"])
    assert (groups.units["y"] == 0).all()
    assert not set(groups.units["stem"]) & set(groups.units["depthwise"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_of_two_change_no_bit(dtype: type) -> None:
    network = residual_network(dtype=dtype)
    x = np.random.default_rng(1).standard_normal((5, 3, 6, 6)).astype(dtype)
    factors = so.random_factors(network, seed=3)
    assert set(factors) <= {1.0, 128.0, 4096.0}
    np.testing.assert_array_equal(network.run(x), so.rescale(network, factors).run(x))


def test_any_factors_keep_the_function_and_the_path_norms() -> None:
    network = residual_network()
    rng = np.random.default_rng(2)
    scaled = so.rescale(network, np.exp(rng.standard_normal(30)))
    x = rng.standard_normal((3, 3, 6, 6))
    np.testing.assert_allclose(network.run(x), scaled.run(x), rtol=1e-11, atol=1e-11)
    for q in (1, 2):
        norms = [so.solve(so.PathNorm(n, q=q)).answer.log10 for n in (network, scaled)]
        assert norms[0] == pytest.approx(norms[1], abs=1e-11)


def test_factors_by_layer() -> None:
    network = residual_network()
    halves = np.full(10, 0.5)
    scaled = so.rescale(network, {"hidden": halves})
    np.testing.assert_array_equal(
        scaled.parameters()["y.weight"], 2 * network.parameters()["y.weight"]
    )
    with pytest.raises(so.ProblemError, match="tied to units that are given another factor"):
        so.rescale(network, {"stem": np.full(8, 2.0), "mix": np.full(8, 3.0)})
    with pytest.raises(so.ProblemError, match="tied to the input or the output"):
        so.rescale(network, {"y": np.full(4, 2.0)})
    with pytest.raises(so.ProblemError, match="no layer with weights is named 'relu1'"):
        so.rescale(network, {"relu1": np.ones(8)})
    with pytest.raises(so.ProblemError, match="has 10 output units"):
        so.rescale(network, {"hidden": np.ones(3)})


@pytest.mark.parametrize(
    "bad", [np.zeros(30), -np.ones(30), np.full(30, np.nan), np.ones(29), np.full(30, 1j), "abc"]
)
def test_bad_factors_are_refused(bad: object) -> None:
    with pytest.raises(so.ProblemError, match="factors"):
        so.rescale(residual_network(), bad)  # type: ignore[arg-type]


def test_factors_that_overflow_or_vanish_are_refused() -> None:
    network = mlp((2, 3, 1))
    with pytest.raises(so.ProblemError, match="overflow"):
        so.rescale(residual_network(dtype=np.float32), np.full(30, 1e300))
    with pytest.raises(so.ProblemError, match="vanish or lose digits"):
        so.rescale(residual_network(), np.geomspace(1e-300, 1e300, 30))
    with pytest.raises(so.ProblemError, match="vanish"):
        so.rescale(network, np.full(3, 5e-324))


def test_exact_networks_stay_exact() -> None:
    graph = nx.DiGraph()
    graph.add_node("x", kind="input")
    graph.add_node("h", kind="relu", bias=Fraction(1, 3))
    graph.add_node("y", kind="id", bias=Fraction(2, 7))
    graph.add_edge("x", "h", weight=Fraction(5, 9))
    graph.add_edge("h", "y", weight=Fraction(-1, 2))
    network = so.load_network(graph)
    scaled = so.rescale(network, np.array([Fraction(3, 11)], dtype=object))
    assert scaled.is_exact
    for x in (Fraction(-2), Fraction(1, 7), Fraction(9)):
        assert scaled.run({"x": x})[0] == network.run({"x": x})[0]
    found = so.are_rescaling_equivalent(network, scaled)
    assert found
    assert found.factors is not None
    assert found.factors[0] == Fraction(3, 11)
    canonical = so.canonicalize(network)
    assert canonical.run({"x": Fraction(4)})[0] == network.run({"x": Fraction(4)})[0]


@pytest.mark.parametrize("p", [1, 2, 3.5])
def test_the_canonical_form_is_balanced_and_unique(p: float) -> None:
    network = residual_network()
    canonical = so.canonicalize(network, p)
    np.testing.assert_allclose(so.neural_balance(canonical, p).ratio, 1.0, rtol=1e-12)
    rescaled = so.rescale(network, so.random_factors(network, seed=5))
    assert largest_difference(canonical, so.canonicalize(rescaled, p)) < 1e-12
    assert largest_difference(canonical, so.canonicalize(canonical, p)) < 1e-12
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 6))
    np.testing.assert_allclose(network.run(x), canonical.run(x), rtol=1e-11, atol=1e-11)


def test_the_canonical_form_has_least_norm() -> None:
    """An independent minimizer of the norm over all factors finds the same."""
    network = mlp((2, 3, 2, 1), seed=4)

    def norm(logs: np.ndarray) -> float:
        arrays = so.rescale(network, np.exp(logs)).parameters().values()
        return float(sum((a**2).sum() for a in arrays))

    best = minimize(norm, np.zeros(5), method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(np.log(so.canonical_factors(network)), best.x, atol=1e-6)


def test_extreme_scales_are_balanced() -> None:
    network = mlp((3, 4, 4, 2), seed=1)
    factors = 10.0 ** np.array([150, -140, 120, 0, 140, -150, 100, -100.0])
    moved = so.rescale(network, factors)
    assert largest_difference(so.canonicalize(network), so.canonicalize(moved)) < 1e-11


@pytest.mark.parametrize("p", [0.1, 0.5, 1, 2, 7])
@pytest.mark.parametrize(("into", "out"), [(300, 300), (-300, -300), (-200, -190), (300, -300)])
def test_balance_at_the_ends_of_the_floats(into: int, out: int, p: float) -> None:
    """One unit: the factor is the root of the outgoing over the incoming norm, in logarithms."""
    weights = np.array([[10.0**into, 10.0 ** (into - 1)]]), np.array([[10.0**out]])
    network = chain((2,), Dense(weights[0]), Relu(), Dense(weights[1]))
    norm = into + np.log10(1 + 10.0**-p) / p
    np.testing.assert_allclose(
        np.log10(so.canonical_factors(network, p)), [(out - norm) / 2], atol=1e-9
    )
    if p * abs(into - out) > 600:
        return
    balance = so.neural_balance(network, p)
    np.testing.assert_allclose(np.log10(balance.incoming), [norm], atol=1e-9)
    np.testing.assert_allclose(np.log10(balance.outgoing), [out], atol=1e-9)


def test_weights_that_no_float_holds_beside_each_other_are_refused() -> None:
    """The squares of one unit vanish beside those of the other: it was taken for dead."""
    weight = np.array([[1e300], [1e-300]])
    network = chain((1,), Dense(weight), Relu(), Dense(weight.T))
    np.testing.assert_allclose(so.canonical_factors(network, 1), 1.0)
    for tool in (so.canonical_factors, so.neural_balance):
        with pytest.raises(so.ProblemError, match="take a smaller p"):
            tool(network, 2)
    beyond = np.array([[Fraction(10) ** 400]], dtype=object)
    with pytest.raises(so.ProblemError, match=r"0:Dense\.weight has entries beyond float64"):
        so.canonicalize(chain((1,), Dense(beyond), Relu(), Dense(1 / beyond)))


def test_dead_units_get_weights_of_norm_one() -> None:
    weight = np.array([[1.0], [0.0], [4.0]])
    network = chain((1,), Dense(weight), Relu(), Dense(np.array([[1.0, 5.0, 0.0]])))
    np.testing.assert_allclose(so.canonical_factors(network), [1.0, 5.0, 0.25])
    balance = so.neural_balance(network)
    np.testing.assert_array_equal(balance.alive, [True, False, False])
    assert np.isnan(balance.ratio[1:]).all()


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("p", [1, 2])
def test_the_canonical_form_is_unique_with_dead_units(seed: int, p: float) -> None:
    """Masks so sparse that whole paths end in nothing, begin in nothing, or both."""
    rng = np.random.default_rng(seed)
    network = mlp((3, 6, 6, 6, 2), seed=seed)
    arrays = {
        name: array * (rng.random(array.shape) < 0.25)
        for name, array in network.parameters().items()
    }
    network = network.with_parameters(arrays)
    moved = so.rescale(network, so.random_factors(network, (1, 2**-30, 4096, 2**40), seed=seed))
    canonical = so.canonicalize(network, p)
    assert largest_difference(canonical, so.canonicalize(moved, p)) < 1e-11
    x = rng.standard_normal((5, 3))
    np.testing.assert_allclose(canonical.run(x), network.run(x), rtol=1e-10, atol=1e-12)


def test_networks_without_hidden_units() -> None:
    network = chain((3,), Dense(np.ones((2, 3))))
    assert so.RescalingGroups(network).count == 0
    assert so.canonical_factors(network).shape == (0,)
    assert so.random_factors(network).shape == (0,)
    assert largest_difference(so.canonicalize(network), network) == 0
    assert so.are_rescaling_equivalent(network, network)
    assert so.neural_balance(chain((3,), Relu())).ratio.shape == (0,)
    with pytest.raises(so.ProblemError, match="p must be positive"):
        so.canonicalize(network, 0)
    with pytest.raises(so.ProblemError, match="p must be positive and finite, got 'x'"):
        so.canonicalize(network, "x")  # type: ignore[arg-type]


def test_tied_weights_are_scaled_alike() -> None:
    weight = np.random.default_rng(0).standard_normal((4, 4))
    shared = {"weight": "fc.weight"}
    nodes = (
        Node("x", Input((4,))),
        Node("in", Dense(np.eye(4)), ("x",)),
        Node("r0", Relu(), ("in",)),
        Node("a", Dense(weight), ("r0",), shared),
        Node("r1", Relu(), ("a",)),
        Node("b", Dense(weight), ("r1",), shared),
        Node("r2", Relu(), ("b",)),
        Node("y", Dense(np.ones((1, 4))), ("r2",)),
    )
    network = Network(nodes, "y")
    scaled = so.rescale(network, so.random_factors(network, seed=1))
    arrays = scaled.parameters()
    np.testing.assert_array_equal(arrays["a.weight"], arrays["b.weight"])
    x = np.random.default_rng(1).standard_normal((5, 4))
    np.testing.assert_array_equal(network.run(x), scaled.run(x))


def test_equivalence_finds_the_factors_and_witnesses() -> None:
    network = residual_network()
    factors = np.exp(np.random.default_rng(7).standard_normal(30))
    scaled = so.rescale(network, factors)
    found = so.are_rescaling_equivalent(network, scaled)
    assert found
    assert found.factors is not None
    np.testing.assert_allclose(found.factors, factors, rtol=1e-12)
    moved = {"hidden.weight": scaled.parameters()["hidden.weight"].copy()}
    moved["hidden.weight"][3, 5] *= 1.001
    other = so.are_rescaling_equivalent(network, scaled.with_parameters(moved))
    assert not other
    assert other.factors is None
    assert "would have to be" in other.witness
    moved["hidden.weight"][3, 5] = 0.0
    other = so.are_rescaling_equivalent(network, scaled.with_parameters(moved))
    assert "hidden.weight[3, 5]" in other.witness
    assert not so.are_rescaling_equivalent(network, mlp((2, 3, 1)))
    with pytest.raises(so.ProblemError, match="rtol"):
        so.are_rescaling_equivalent(network, network, rtol=-1)


TINY, HUGE = Fraction(1, 10**400), 10**400


@pytest.mark.parametrize(
    ("one", "other", "factor"),
    [
        ((Fraction(1), Fraction(3)), (Fraction(1), 3 + TINY), None),
        ((1, HUGE), (1, HUGE + 1), None),
        ((HUGE, 3), (HUGE + 1, 3), None),
        ((TINY, Fraction(1)), (2 * TINY, Fraction(1)), None),
        ((3, 7), (1, 21), Fraction(1, 3)),
        ((3, HUGE), (1, 3 * HUGE), Fraction(1, 3)),
        ((Fraction(1), Fraction(3)), (TINY, 3 * Fraction(HUGE)), TINY),
    ],
)
def test_exact_networks_are_compared_exactly(one: Any, other: Any, factor: Any) -> None:
    """Of two weights in a row only the product counts; far from all floats, too."""
    first, second = (
        chain((1,), Dense(np.array([[a]], dtype=object)), Relu(), Dense(np.array([[b]], object)))
        for a, b in (one, other)
    )
    found = so.are_rescaling_equivalent(first, second)
    assert bool(found) == (math.prod(one) == math.prod(other))
    assert (found.factors is None) == (factor is None)
    assert found.factors is None or found.factors.tolist() == [factor]


def test_an_exact_network_is_compared_with_one_of_floats() -> None:
    exact = chain((1,), Dense(np.array([[Fraction(1, 3)]], dtype=object)))
    floats = chain((1,), Dense(np.array([[1 / 3]])))
    assert so.are_rescaling_equivalent(exact, floats)
    assert not so.are_rescaling_equivalent(exact, floats, rtol=0)


@pytest.mark.parametrize("seed", range(8))
def test_equivalence_agrees_with_the_path_lifting(seed: int) -> None:
    """Equal lifting and signs, all units alive: equivalent. A changed cycle: not."""
    rng = np.random.default_rng(seed)
    network = mlp((2, 3, 2), seed)
    scaled = so.rescale(network, np.exp(rng.standard_normal(3)))
    lifted = [so.path_lifting(n).phi for n in (network, scaled)]
    np.testing.assert_allclose(*np.array(lifted, dtype=float), rtol=1e-12)
    assert so.are_rescaling_equivalent(network, scaled)
    arrays = {k: v.copy() for k, v in scaled.parameters().items()}
    arrays["2:Dense.weight"][0, 0] *= 1 + 1e-6
    assert not so.are_rescaling_equivalent(network, scaled.with_parameters(arrays))


def test_a_dead_component_does_not_hide_a_difference() -> None:
    """Units cut off from the output still need one factor each."""
    first = chain((1,), Dense(np.array([[1.0], [2.0]])), Relu(), Dense(np.array([[1.0, 0.0]])))
    arrays = {"0:Dense.weight": np.array([[1.0], [6.0]])}
    found = so.are_rescaling_equivalent(first, first.with_parameters(arrays))
    assert found
    assert found.factors is not None
    np.testing.assert_allclose(found.factors, [1.0, 3.0])


@pytest.mark.parametrize("factors", [[1e200, 1e-200], [1e160, 1e-160], [3e160, 1e-160]])
def test_factors_whose_quotient_is_faint_are_refused(factors: list[float]) -> None:
    """The weight between the units became 0, or lost its digits, and was not seen to."""
    one, between = Dense(np.array([[1.0]])), Dense(np.array([[1e20]]))
    net = chain((1,), one, Relu(), between, Relu(), one)
    with pytest.raises(so.ProblemError, match=r"of 2:Dense\.weight vanish or lose digits"):
        so.rescale(net, factors)


def test_numbers_below_the_normal_range_lose_no_digits() -> None:
    net = chain((1,), Dense(np.array([[1.1], [2.3]])), Relu(), Dense(np.array([[1.7, 0.9]])))
    factors = so.random_factors(net, seed=0)
    tiny = np.full_like(np.asarray(factors, dtype=float), 2.0**-1060)
    with pytest.raises(so.ProblemError, match="vanish"):
        so.rescale(net, tiny)
