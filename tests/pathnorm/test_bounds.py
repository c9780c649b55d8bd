"""The lifting itself, Lipschitz bounds, distances of settings, the generalization bound."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from path_oracle import graph_of, paths, public_cases, random_graph

import sparseopt as so
from sparseopt.judging.check import check_certificate
from sparseopt.networks.linear import Conv, Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Relu, Reshape, Select
from sparseopt.networks.window import MaxPool, RankPool, Resample
from sparseopt.tools.reading.builder import NetworkBuilder
from sparseopt.tools.reading.window_cells import average_map, max_window, pool_positions

PUBLIC = public_cases()
CASES = {case["name"]: case for case in PUBLIC["cases"]}
RNG = np.random.default_rng(2)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def convolutional() -> Network:
    """conv, normalization, ReLU, max-pool, skip, average, dense: about 150 neurons."""
    builder = NetworkBuilder((2, 5, 5), "x")
    conv = Conv(normal(3, 2, 3, 3), normal(3), (), ((1, 1), (1, 1)))
    x = builder.add(conv, [builder.input], "conv")
    x = builder.relu(builder.affine(x, "norm", normal(3, 1, 1), normal(3, 1, 1)), "relu")
    windows = tuple(max_window(a, pool_positions(5, 2, 2, (0, 1)), 5) for a in (1, 2))
    x = builder.add(MaxPool(windows), [x], "pool")
    y = builder.add(Conv(normal(3, 3, 1, 1)), [x], "skip")
    x = builder.sum_of([x, y], "sum")
    maps = tuple(average_map(a, pool_positions(3, 3, 1), 3, None) for a in (1, 2))
    x = builder.keep(builder.add(Resample(maps), [x], "average"), (3,))
    return builder.finish(builder.add(Dense(normal(2, 3), normal(2)), [x], "dense"))


# The lifting --------------------------------------------------------------------------------


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


# Lipschitz bounds ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_the_table_is_the_sum_over_paths(seed: int) -> None:
    graph = random_graph(seed)
    network = so.load_network(graph)
    ends = list(network.output_labels or ())
    right = np.zeros((len(ends), 3))
    for path, phi in paths(graph):
        if path[0] in ("x0", "x1", "x2"):
            right[ends.index(path[-1]), int(path[0][1])] += abs(float(phi))
    np.testing.assert_allclose(so.path_table(network), right, rtol=1e-13, atol=1e-13)


NORMS = [(math.inf, 1), (math.inf, math.inf), (2, 2), (1, 1), (1, math.inf), (2, 1), (3, 1.5)]


@pytest.mark.parametrize(("p_in", "p_out"), NORMS)
def test_bounds_hold_and_are_at_least_the_norm_of_the_table(p_in: float, p_out: float) -> None:
    for network in (convolutional(), so.load_network(random_graph(4).reverse().reverse())):
        network = as_floats(network)
        table = so.path_table(network)
        x = np.abs(normal(500, table.shape[1])) ** 3
        seen = (np.linalg.norm(x @ table.T, p_out, axis=1) / np.linalg.norm(x, p_in, axis=1)).max()
        values = {}
        for solver in ("lipschitz_passes", "lipschitz_table"):
            problem = so.LipschitzBound(network, p_in, p_out)
            if solver == "lipschitz_table" and "table" not in problem.methods():
                continue
            solution = so.solve(problem, solver=solver)
            values[solver] = solution.answer.value
            assert solution.answer.value >= seen * (1 - 1e-12)
            again = so.from_json(so.to_json(solution.certificate))
            assert check_certificate(again).ok
            assert problem.sampled(np.random.default_rng(1), 200) <= solution.answer.value
        if (p_in, p_out) == (2, 2):
            exact = np.linalg.norm(table, 2)
            assert values["lipschitz_passes"] == pytest.approx(exact, rel=1e-3)
        if (p_in, p_out) == (math.inf, math.inf):
            assert values["lipschitz_passes"] == pytest.approx(table.sum(1).max())


def as_floats(network: Network) -> Network:
    arrays = {n: a.astype(np.float64) for n, a in network.parameters().items()}
    return network.with_parameters(arrays)


def test_biases_do_not_count_and_scales_may_be_merged() -> None:
    network = convolutional()
    biased = network.with_parameters({"conv.bias": 1e6 * np.ones(3)})
    one, two, three = (
        so.solve(so.LipschitzBound(n)).answer.value for n in (network, biased, network.merged)
    )
    assert one == two
    assert one == pytest.approx(three, rel=1e-14)
    assert one <= so.solve(so.PathNorm(network)).answer.value


def test_deep_networks_have_finite_logarithms() -> None:
    layers = [layer for _ in range(700) for layer in (Dense(9 * normal(8, 8)), Relu())]
    network = chain((8,), *layers)
    for p_in, p_out in ((math.inf, 1), (2, 2), (1, 1)):
        answer = so.solve(so.LipschitzBound(network, p_in, p_out)).answer
        assert answer.value == math.inf
        assert 700 < answer.log10 < 2000


def test_forged_lipschitz_bounds_are_refused() -> None:
    network = convolutional()
    for p_in, p_out in ((math.inf, 1), (2, 2), (3, 1.5)):
        solution = so.solve(so.LipschitzBound(network, p_in, p_out))
        certificate, answer = solution.certificate, solution.answer
        forged: list[Any] = [
            dataclasses.replace(certificate, answer=dataclasses.replace(answer, **change))
            for change in (
                {"value": answer.value * 0.99},
                {"log10": answer.log10 - 0.01},
                {"log10": math.nan},
                {"method": "magic"},
                {"p_in": 7},
            )
        ]
        if certificate.weights is not None:
            forged.append(dataclasses.replace(certificate, weights=None))
            forged.append(dataclasses.replace(certificate, weights=-certificate.weights))
        assert not any(check_certificate(bad).ok for bad in forged)


@pytest.mark.parametrize("p", [0.5, math.nan, "two", True])
def test_bad_norms_are_refused(p: Any) -> None:
    with pytest.raises(so.ProblemError, match="from 1 to inf"):
        so.LipschitzBound(convolutional(), p)


def test_tables_of_large_networks_are_refused() -> None:
    weight = np.broadcast_to(1.0, (5000, 5000))
    network = chain((5000,), Dense(weight))
    with pytest.raises(so.ProblemError, match="5000 rows"):
        so.path_table(network)
    assert "table" not in so.LipschitzBound(network, 3, 3).methods()


# Distances ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", PUBLIC["pairs"], ids=[p["name"] for p in PUBLIC["pairs"]])
def test_published_distances(pair: dict[str, Any]) -> None:
    a, b = (so.load_network(graph_of(pair[key])) for key in "ab")
    problem = so.PathDistance(a, b)
    answer = so.solve(problem, solver="distance_enumeration").answer
    assert str(answer.exact) == pair["path_metric"]
    assert answer.same_signs == pair["same_sign"]
    x = {key: Fraction(value) for key, value in pair["x"].items()}
    gap = sum(abs(u - v) for u, v in zip(a.run(x), b.run(x), strict=True))
    assert str(gap) == pair["gap_l1"]
    if not pair["same_sign"]:
        with pytest.raises(so.ProblemError, match="changes its sign"):
            answer.output_bound(1.0)
        with pytest.raises(so.SolveError, match="changes its sign"):
            so.solve(problem, solver="distance_passes")
        assert gap > answer.value  # the inequality without the condition is false
        return
    bound = answer.output_bound(float(max(map(abs, x.values()))))
    assert bound == pytest.approx(float(Fraction(pair["rhs"])))
    assert gap <= bound
    two = so.solve(problem, solver="distance_passes").answer
    assert str(two.exact) == pair["two_pass_upper"]
    assert two.kind == ("exact" if pair["name"] == "dominated" else "upper bound")


def test_distances_of_layers() -> None:
    network = convolutional()
    weight = network.parameters()["conv.weight"]
    pruned = network.with_parameters({"conv.weight": np.where(np.abs(weight) < 0.7, 0.0, weight)})
    fast = so.solve(so.PathDistance(network, pruned), solver="distance_passes").answer
    slow = so.solve(so.PathDistance(network, pruned), solver="distance_enumeration").answer
    assert fast.kind == "exact"
    assert fast.value == pytest.approx(slow.value, rel=1e-12)
    x = normal(100, 2, 5, 5)
    gap = np.abs(network.run(x) - pruned.run(x)).sum(axis=1)
    bounds = [slow.output_bound(float(np.abs(sample).max())) for sample in x]
    assert (gap <= bounds).all()
    scaled = network.with_parameters({"conv.weight": weight * RNG.uniform(0.5, 2, weight.shape)})
    upper = so.solve(so.PathDistance(network, scaled), solver="distance_passes").answer
    exact = so.solve(so.PathDistance(network, scaled), solver="distance_enumeration").answer
    assert upper.kind == "upper bound"
    assert upper.value >= exact.value


def test_distances_of_large_networks_need_equal_signs() -> None:
    network = chain((200,), *(Dense(normal(200, 200)) for _ in range(4)))
    name, weight = next(iter(network.parameters().items()))
    smaller = network.with_parameters({name: weight * (np.abs(weight) > 1)})
    answer = so.solve(so.PathDistance(network, smaller)).answer
    norms = [so.solve(so.PathNorm(n)).answer.value for n in (network, smaller)]
    assert answer.value == pytest.approx(norms[0] - norms[1], rel=1e-9)
    with pytest.raises(so.SolveError, match="changes its sign"):
        so.solve(so.PathDistance(network, network.with_parameters({name: -weight})))


def test_forged_distances_are_refused() -> None:
    network = convolutional()
    other = network.with_parameters({"dense.weight": 2 * network.parameters()["dense.weight"]})
    for solver in ("distance_passes", "distance_enumeration"):
        solution = so.solve(so.PathDistance(network, other), solver=solver)
        again = so.from_json(so.to_json(solution.certificate))
        assert check_certificate(again).ok
        for change in (
            {"value": solution.answer.value * 0.9},
            {"same_signs": False},
            {"kind": "upper bound"},
            {"exact": Fraction(1)},
        ):
            answer = dataclasses.replace(solution.answer, **change)
            assert not check_certificate(dataclasses.replace(again, answer=answer)).ok
    flipped = network.with_parameters({"dense.weight": -network.parameters()["dense.weight"]})
    problem = so.PathDistance(network, flipped)
    wrong = so.PathDistanceValue(0.0, "upper bound", True)
    assert not check_certificate(so.PathDistanceCertificate(problem, wrong, "two_pass")).ok


def test_output_bounds_are_rounded_up() -> None:
    exactly = so.PathDistanceValue(1 / 3, "exact", True, Fraction(1, 3))
    assert Fraction(exactly.output_bound(0.5)) >= Fraction(1, 3)
    assert exactly.output_bound(3.0) == 1.0
    about = so.PathDistanceValue(1.0, "exact", True)
    assert 1 + 1e-9 <= about.output_bound(1.0) <= 1 + 3e-9
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(so.ProblemError, match="input_bound"):
            exactly.output_bound(bad)


def test_distances_need_two_settings_of_one_network() -> None:
    network = convolutional()
    with pytest.raises(so.ProblemError, match="differ in their layers"):
        so.PathDistance(network, network.merged)
    with pytest.raises(so.ProblemError, match="must be a Network"):
        so.PathDistance(network, 3)
    without = chain((2,), Dense(np.ones((2, 2))))
    with pytest.raises(so.ProblemError, match=r"0:Dense\.bias"):
        so.PathDistance(without, chain((2,), Dense(np.ones((2, 2)), np.ones(2))))


# Generalization -----------------------------------------------------------------------------


@pytest.mark.parametrize("row", PUBLIC["bound_factor_table"]["rows"], ids=lambda row: str(row[0]))
def test_the_published_table(row: list[float]) -> None:
    setting: dict[str, Any] = {
        "samples": int(0.99 * 1281167),
        "inputs": 150528,
        "outputs": 1000,
        "input_bound": 2.640000104904175,
        "kernel": 9,
        "depth": row[0],
    }
    assert so.bound_factor(pool_kinds=1, **setting) == pytest.approx(row[1], abs=5e-7)
    assert so.bound_factor(pools_on_path=1, **setting) == pytest.approx(row[2], abs=5e-7)


def test_figures_of_a_network() -> None:
    shape = so.pooling_shape(convolutional())
    assert (shape.depth, shape.kernel, shape.kinds, shape.on_path) == (5, 4, 1, 1)
    assert so.pooling_shape(convolutional(), affine="as_is").depth == 6
    plain = so.pooling_shape(chain((2,), Dense(normal(2, 2)), Relu(), Scale(normal(2))))
    assert (plain.depth, plain.kernel, plain.kinds, plain.on_path) == (2, 1, 0, 0)
    network = convolutional()
    bound = so.generalization_bound(network, 7.0, samples=100, input_bound=2.0, sharpened=False)
    factor = so.bound_factor(
        samples=100, depth=5, inputs=50, outputs=2, input_bound=2.0, kernel=4, pool_kinds=1
    )
    assert bound == pytest.approx(math.sqrt(2) * 7 * factor)


def test_small_inputs_do_not_shrink_the_paths_from_biases() -> None:
    """Linear(1, 1) with weight 0 and bias 1, or -1: two functions, whatever the inputs.

    Choosing the better one on n samples has an expected gap of about 0.8 / sqrt(n).
    """
    network = chain((1,), Dense(np.zeros((1, 1)), np.ones(1)))
    setting: dict[str, Any] = {"samples": 100, "loss_constant": 1.0}
    small = so.generalization_bound(network, 1.0, input_bound=1e-3, **setting)
    assert small == so.generalization_bound(network, 1.0, input_bound=1.0, **setting)
    assert small >= 0.079
    assert so.generalization_bound(network, 1.0, input_bound=2.0, **setting) > 1.99 * small


def depth_of(output: str, *nodes: Node) -> int:
    inside = (Node("x", Input((2,))), *nodes)
    return so.pooling_shape(Network(inside, output)).depth


def test_depth_counts_what_cannot_be_fused() -> None:
    """A ReLU or a sum is free where it alone reads a linear layer, and costs a neuron elsewhere."""
    one, two = Dense(normal(2, 2)), Dense(normal(2, 2))
    a, r = Node("a", one, ("x",)), Node("r", Relu(), ("a",))
    assert depth_of("r", a, r) == 1
    assert depth_of("s", a, r, Node("s", Relu(), ("r",))) == 2
    assert depth_of("r", Node("r", Relu(), ("x",))) == 1
    both = Node("y", Add(), ("a", "r"))
    assert depth_of("y", a, r, both) == 3  # a is read twice, so r and y are neurons of their own
    assert depth_of("y", a, r, Node("y", Add(), ("r", "x"))) == 2
    b = Node("b", two, ("r",))
    assert depth_of("y", a, r, b, Node("y", Add(), ("b", "x"))) == 2  # y is b with an edge from x
    assert depth_of("z", a, r, b, Node("y", Add(), ("b", "x")), Node("z", Relu(), ("y",))) == 2
    c = Node("c", Reshape((1, 2)), ("b",))
    assert depth_of("z", a, r, b, c, Node("z", Relu(), ("c",))) == 2
    assert (
        depth_of(
            "z", a, r, b, Node("c", Select(np.array([0, 0])), ("b",)), Node("z", Relu(), ("c",))
        )
        == 3
    )
    joined = Node("c", Concat(0), ("b", "d"))
    assert depth_of("z", a, r, b, Node("d", two, ("x",)), joined, Node("z", Relu(), ("c",))) == 2
    joined = Node("c", Concat(0), ("b", "x"))
    assert depth_of("z", a, r, b, joined, Node("z", Relu(), ("c",))) == 3
    deep = Node("y", Add(), ("a", "s"))  # an edge to the neurons of a from deeper ones
    assert (
        depth_of(
            "y",
            a,
            Node("p", two, ("x",)),
            Node("q", Relu(), ("p",)),
            Node("s", Relu(), ("q",)),
            deep,
        )
        == 3
    )
    pooled = Node("m", MaxPool((max_window(0, pool_positions(2, 2, 1), 2),)), ("a",))
    assert depth_of("z", a, pooled, Node("z", Relu(), ("m",))) == 3
    with pytest.raises(so.ProblemError, match="affine"):
        so.pooling_shape(chain((2,), one), affine="both")


def test_kinds_of_pools() -> None:
    pools = RankPool(0, 1), Reshape((2,)), RankPool(0, 2)
    shape = so.pooling_shape(chain((3, 2), pools[0], Dense(normal(2, 2)), pools[2]))
    assert (shape.kernel, shape.kinds, shape.on_path, shape.depth) == (3, 2, 2, 3)
    neuron = so.load_network(graph_of(CASES["two_outputs_dead"]["graph"]))
    assert so.pooling_shape(neuron).depth >= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": 0}, "samples is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"kernel": 0}, "kernel is 0"),
        ({"input_bound": -1.0}, "input_bound"),
        ({"pool_kinds": -1}, "negative"),
    ],
)
def test_bad_figures_are_refused(change: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {
        "samples": 10,
        "depth": 2,
        "inputs": 3,
        "outputs": 1,
        "input_bound": 1.0,
    }
    with pytest.raises(so.ProblemError, match=words):
        so.bound_factor(**{**good, **change})
