"""Networks are quantized as their path costs ask for, whatever the scales of their units."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np
import pytest
from path_networks import dense, image

import sparseopt as so
from sparseopt.interface.context import Context
from sparseopt.networks.convolution import ConvTranspose
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Input, Relu
from sparseopt.tools.quantizing.codes import Rounding
from sparseopt.tools.quantizing.landscape import Landscape, multipliers
from sparseopt.tools.quantizing.networks import Subject, Task, Way
from sparseopt.tools.quantizing.tensors import derivatives, in_blocks, out_of_blocks
from sparseopt.tools.quantizing.unit_scales import _expected, _Term, least_expected

FORMATS = ("int8", "int4", "e4m3", "bf16", "e2m1", 3)
MLP = dense(4, 8, 6, 3, seed=2)
SAMPLES = np.random.default_rng(0).uniform(-1, 1, (40, 4))


def residual(seed: int = 0) -> Network:
    """Return a network whose units in two layers are tied by a sum."""
    draw = np.random.default_rng(seed).standard_normal
    return Network(
        (
            Node("x", Input((4,))),
            Node("stem", Dense(draw((5, 4)), draw(5)), ("x",)),
            Node("a", Relu(), ("stem",)),
            Node("mix", Dense(draw((5, 5)), draw(5)), ("a",)),
            Node("b", Relu(), ("mix",)),
            Node("sum", Add(), ("a", "b")),
            Node("head", Dense(draw((2, 5)), draw(2)), ("sum",)),
        ),
        "head",
    )


NETWORKS = {"mlp": MLP, "residual": residual(), "image": image()}


def task(net: Network, form: Any = "int8", granularity: str = "tensor", **more: Any) -> Task:
    rounding = Rounding.of(
        so.significand(form) if isinstance(form, int) else so.NumberFormat(form), granularity
    )
    fields = {"rescaling": "path", "powers_of_two": False, "context": Context()} | more
    return Task(Subject.of(net, in_place=False), {}, Way(rounding, None, np.ones(()), **fields))


def bounds(report: so.Quantization) -> tuple[float, float]:
    assert report.bound is not None
    assert report.nearest_bound is not None
    return report.bound.value, report.nearest_bound.value


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["mlp", "residual"])
def test_never_above_rounding_to_nearest(name: str, form: Any, granularity: str) -> None:
    net = NETWORKS[name]
    inputs = np.random.default_rng(1).uniform(-1, 1, (30, *net.input_shape))
    report = so.quantize(net, form, granularity, inputs)
    own, nearest = bounds(report)
    assert own <= nearest
    assert report.change is not None
    assert report.nearest_change is not None
    assert report.change.largest <= own
    assert report.nearest_change.largest <= nearest
    assert report.network is not None
    direct = np.abs(report.network.run(inputs) - net.run(inputs)).sum(axis=1)
    assert report.change.largest == pytest.approx(direct.max())
    assert report.change.mean == pytest.approx(direct.mean())


def test_below_the_baselines() -> None:
    """On networks with units of very different scales."""
    better = {"balance": 0, "equalization": 0, "none": 0}
    for seed in range(5):
        net = dense(6, 12, 8, 3, seed=seed)
        own = bounds(so.quantize(net, "int8"))[0]
        for name in better:
            better[name] += own < bounds(so.quantize(net, "int8", rescaling=name))[0]
    assert better == dict.fromkeys(better, 5)


@pytest.mark.parametrize("powers_of_two", [False, True])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("form", ["int8", "e4m3", "bf16"])
@pytest.mark.parametrize("name", ["mlp", "residual"])
def test_powers_of_two_beforehand_change_nothing(
    name: str, form: Any, granularity: str, powers_of_two: bool
) -> None:
    net = NETWORKS[name]
    factors = 2.0 ** np.random.default_rng(0).integers(-9, 10, so.RescalingGroups(net).count)
    twins = [net, so.rescale(net, factors)]
    asked = [task(one, form, granularity, powers_of_two=powers_of_two) for one in twins]
    found = [one.candidate("path") for one in asked]
    first, second = (one.quantized.parameters() for one in found)
    for key, array in first.items():
        np.testing.assert_array_equal(array, second[key])
    assert found[0].bound.value == pytest.approx(found[1].bound.value, rel=1e-12)


def test_any_factors_beforehand_change_little() -> None:
    factors = np.exp(np.random.default_rng(0).normal(0, 3, so.RescalingGroups(MLP).count))
    own, nearest = zip(
        *(bounds(so.quantize(net, "int8")) for net in (MLP, so.rescale(MLP, factors))), strict=True
    )
    assert own[1] == pytest.approx(own[0], rel=0.1)
    assert nearest[1] > 3 * nearest[0]


def test_the_function_before_rounding_is_the_same() -> None:
    x = np.random.default_rng(1).standard_normal((20, 4))
    exact = task(MLP, powers_of_two=True).candidate("path").reference
    np.testing.assert_array_equal(exact.run(x), MLP.run(x))
    for name in ("path", "equalization", "balance"):
        near = task(MLP).candidate(name)
        np.testing.assert_allclose(near.reference.run(x), MLP.run(x), rtol=1e-12, atol=1e-12)
        assert so.are_rescaling_equivalent(near.reference, MLP)


def test_the_factors_in_the_report_are_those_of_rescale() -> None:
    report = so.quantize(MLP, "int8", powers_of_two=True)
    assert report.factors is not None
    before = so.rescale(MLP, report.factors).parameters()
    assert report.network is not None
    for name, array in report.network.parameters().items():
        if name.endswith("bias"):
            np.testing.assert_array_equal(array, before[name])
        else:
            assert np.all(array * before[name] >= 0)
            assert np.linalg.norm(array - before[name]) < 0.01 * np.linalg.norm(before[name])


@pytest.mark.parametrize("form", ["int8", "int4", "e2m1"])
def test_values_are_codes_times_scales(form: str) -> None:
    grid = so.NumberFormat(form)
    for granularity in ("tensor", "channel"):
        found = so.quantize(MLP, form, granularity, rescaling="none").network
        assert found is not None
        for node in found.nodes:
            if isinstance(node.op, Dense):
                old = MLP.by_name[node.name].op.parameters()["weight"]
                rows = [slice(None)] if granularity == "tensor" else range(len(old))
                for row in rows:
                    scale = np.abs(old[row]).max() / grid.largest
                    right = grid.round(old[row] / scale) * scale
                    np.testing.assert_allclose(node.op.weight[row], right, rtol=1e-15)


def test_formats_without_a_scale_hold_the_values() -> None:
    for form in ("e4m3", "e5m2", "bf16", "fp16"):
        found = so.quantize(MLP, form, biases=form).network
        assert found is not None
        for array in found.parameters().values():
            assert so.NumberFormat(form).contains(array)


def test_scales_that_are_powers_of_two() -> None:
    report = so.quantize(MLP, so.NumberFormat("int8", "power_of_two"), "channel")
    assert report.network is not None
    assert report.bits_after == 8 * sum(w.size for w in weights(MLP)) + 8 * (8 + 6 + 3)
    for weight in weights(report.network):
        for row in weight:
            _, exponents = np.frexp(row[row != 0])
            scale = 2.0 ** (exponents.max() - 7)
            assert np.array_equal(row / scale, np.round(row / scale))


def weights(net: Network) -> list[np.ndarray]:
    return [a for name, a in net.parameters().items() if name.endswith("weight")]


def test_bits_are_counted() -> None:
    count = sum(w.size for w in weights(MLP))
    for form, granularity, bits in (
        ("int8", "tensor", 8 * count + 3 * 32),
        ("int4", "channel", 4 * count + 17 * 32),
        ("bf16", "channel", 16 * count),
        (5, "tensor", 13 * count),
    ):
        report = so.quantize(MLP, form, granularity)
        assert (report.bits_before, report.bits_after) == (64 * count, bits)
        assert [layer.name for layer in report.layers] == ["0:Dense", "2:Dense", "4:Dense"]
    single = MLP.with_parameters({k: v.astype(np.float32) for k, v in MLP.parameters().items()})
    report = so.quantize(single, "int8")
    assert report.bits_before == 32 * count
    assert report.network is not None
    assert {a.dtype.name for a in report.network.parameters().values()} == {"float32"}
    assert report["2:Dense"].bytes == 4 * (6 * 8 + 6)


def test_the_report_prints_and_travels() -> None:
    def share(net: Network) -> float:
        return float((net.run(SAMPLES).argmax(axis=1) == 0).mean())

    report = so.quantize(MLP, "int8", inputs=SAMPLES, accuracy=share)
    assert report.accuracy_before == share(MLP)
    again = so.from_json(report.to_json())
    assert str(again) == str(report)
    assert "proved at most" in str(report)
    assert "17 biases and constants" in str(report)
    assert again.bound.solutions[0].certificate.problem.network.nodes
    with pytest.raises(KeyError):
        report["nowhere"]


def test_a_bound_is_printed_with_its_inputs() -> None:
    """In the words of `OutputChange`: the default box, that of a batch, one of each entry's own."""
    (size,) = MLP.input_shape
    own = np.zeros(size)
    own[0] = 2.5
    for given, said in (
        ({}, f"[-1, 1]^{size}"),
        ({"inputs": np.full((2, size), -3.0)}, f"[-3, 3]^{size}"),
        ({"input_bound": 0.5}, f"[-0.5, 0.5]^{size}"),
        ({"input_bound": own}, f"a box of {size} entries within [-2.5, 2.5]"),
        ({"input_bound": 0}, f"[0, 0]^{size}"),
    ):
        report = so.quantize(MLP, "int8", rescaling="none", **given)
        assert f"(path-lifting) for inputs in {said}\n" in str(report)


def test_scales_are_merged() -> None:
    rng = np.random.default_rng(0)
    ops = (Dense(rng.standard_normal((5, 4))), Scale(rng.uniform(-2, 2, 5), np.ones(5)), Relu())
    net = chain((4,), *ops, Dense(rng.standard_normal((2, 5))))
    report = so.quantize(net, "int8", "channel", SAMPLES)
    assert report.network is not None
    assert [type(n.op).__name__ for n in report.network.nodes] == [
        "Input",
        "Dense",
        "Relu",
        "Dense",
    ]
    assert "merged into the layers before them: 1:Scale" in report.notes
    assert report.change is not None
    assert report.change.largest <= bounds(report)[0]


def test_an_image_network_of_every_kind_of_layer() -> None:
    inputs = np.random.default_rng(0).uniform(-1, 1, (2, 2, 7, 9))
    for granularity in ("tensor", "channel"):
        report = so.quantize(image(), "int8", granularity, inputs)
        assert report.change is not None
        assert report.change.largest <= bounds(report)[0] <= bounds(report)[1]


def test_channels_of_transposed_convolutions() -> None:
    rng = np.random.default_rng(0)
    op = ConvTranspose(rng.standard_normal((4, 3, 2, 2)), groups=2)
    rows = in_blocks(op, op.weight, by_channel=True)
    assert rows.shape == (6, 8)
    for group in range(2):
        for channel in range(3):
            own = op.weight[2 * group : 2 * group + 2, channel]
            np.testing.assert_array_equal(rows[3 * group + channel], own.ravel())
    np.testing.assert_array_equal(out_of_blocks(op, rows, op.weight.shape, True), op.weight)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_derivatives_are_path_costs(name: str) -> None:
    net = NETWORKS[name]
    shares = so.solve(so.PathCost(net)).answer.shares
    found, norm = derivatives(net, list(shares), np.ones(()))
    assert norm == pytest.approx(so.solve(so.PathNorm(net)).answer.value)
    for key, share in shares.items():
        weight = np.abs(net.parameters()[key])
        np.testing.assert_allclose(found[key] * weight / norm, share, rtol=1e-9, atol=1e-300)


def search(net: Network, form: Any, granularity: str) -> tuple[Any, Any, Task]:
    asked = task(net, form, granularity)
    groups, _ = asked._normal_form()
    return groups, asked._tensors(groups), asked


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_the_expected_cost_is_convex_and_its_gradient_right(granularity: str) -> None:
    groups, tensors, _ = search(residual(), "int8", granularity)
    terms = [_Term(tensor) for tensor in tensors]
    rng = np.random.default_rng(0)
    for power in (0.0, 4.0, 64.0):
        for _ in range(5):
            a, b = rng.normal(0, 1, (2, groups.count))
            value, gradient = _expected(a, terms, power)
            step = 1e-6 * (b - a)
            ends = [_expected(a + s, terms, power)[0] for s in (step, -step)]
            assert (ends[0] - ends[1]) / 2 == pytest.approx(gradient @ step, rel=1e-4, abs=1e-12)
            middle = _expected((a + b) / 2, terms, power)[0]
            assert middle <= (value + _expected(b, terms, power)[0]) / 2 + 1e-12


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_descent_finds_the_least_expected_cost(granularity: str) -> None:
    groups, tensors, _ = search(MLP, "int8", granularity)
    terms = [_Term(tensor) for tensor in tensors]

    def cost(factors: np.ndarray) -> float:
        return _expected(np.log(factors[1:]), terms, 1024.0)[0]

    best = least_expected(groups, tensors, True, Context())
    rng = np.random.default_rng(0)
    for size in (0.02, 0.1, 1.0):
        for _ in range(20):
            other = best * np.concatenate([[1.0], np.exp(rng.normal(0, size, groups.count))])
            assert cost(best) < cost(other) + 0.02


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("form", ["int8", "int4", "e4m3", 4])
def test_sweeps_never_raise_the_measure(form: Any, granularity: str) -> None:
    for net in (MLP, residual()):
        groups, tensors, asked = search(net, form, granularity)
        rounding = asked.way.rounding
        landscape = Landscape.at(tensors, rounding, np.ones(groups.count + 1))
        plain = sum(
            float(rounding.errors(t.weight, rounding.peaks(t.weight), t.cost).sum())
            for t in tensors
        )
        costs = [plain, landscape.cost()]
        tried = multipliers(rounding, 50, powers_of_two=False)
        for layer in groups.layers.values():
            landscape._sweep(layer, tried)
            costs.append(landscape.cost())
        landscape.improve(groups, tried, Context())
        costs.append(landscape.cost())
        assert all(b <= a * (1 + 1e-12) for a, b in itertools.pairwise(costs))
        assert costs[-1] < 0.95 * plain


def test_equalized_and_balanced_units() -> None:
    for name in ("equalization", "balance"):
        net = task(MLP).candidate(name).reference
        first, second = (net.by_name[n].op.parameters() for n in ("0:Dense", "2:Dense"))
        into, out = first["weight"], second["weight"].T
        if name == "balance":
            into = np.column_stack([into, first["bias"]])
            sides = np.linalg.norm(into, axis=1), np.linalg.norm(out, axis=1)
        else:
            sides = np.abs(into).max(axis=1), np.abs(out).max(axis=1)
        np.testing.assert_allclose(*sides, rtol=1e-6)


def test_dead_units_and_zero_channels() -> None:
    """What no path passes becomes zero, and takes no part in the scales."""
    first = np.array([[1.0, 2.0], [0.0, 0.0], [3.0, 0.1]])
    last = np.array([[1.0, 1e6, 0.0], [0.3, 2.0, 0.0]])
    net = chain((2,), Dense(first), Relu(), Dense(last))
    for granularity in ("tensor", "channel"):
        report = so.quantize(net, "int8", granularity)
        assert report.network is not None
        found = weights(report.network)
        assert not found[0][1:].any()
        assert not found[1][:, 1:].any()
        assert 100 * bounds(report)[0] < bounds(report)[1]


def test_nothing_but_zeros() -> None:
    net = chain((2,), Dense(np.zeros((3, 2))), Relu(), Dense(np.zeros((1, 3))))
    for form in ("int8", "e4m3", 3):
        assert bounds(so.quantize(net, form, "channel")) == (0.0, 0.0)


def test_one_unit() -> None:
    net = chain((1,), Dense(np.array([[3.0]]), np.array([-1.0])), Relu(), Dense(np.array([[0.7]])))
    for form in FORMATS:
        own, nearest = bounds(so.quantize(net, form, "channel"))
        assert own <= nearest < 2.5


@pytest.mark.parametrize("scale", [1e150, 1e-150])
@pytest.mark.parametrize("place", ["0:Dense.weight", "4:Dense.weight"])
def test_huge_and_tiny_scales(scale: float, place: str) -> None:
    net = MLP.with_parameters({place: MLP.parameters()[place] * scale})
    for form in ("int8", "bf16"):
        own, nearest = bounds(so.quantize(net, form))
        assert 0 <= own <= nearest < np.inf


def test_exact_networks_and_graphs() -> None:
    graph = nx.DiGraph()
    graph.add_node("x", kind="input")
    graph.add_node("h", kind="relu", bias=Fraction(1, 3))
    graph.add_node("y", kind="id", bias=0)
    graph.add_edge("x", "h", weight=Fraction(-2, 7))
    graph.add_edge("x", "y", weight=1)
    graph.add_edge("h", "y", weight=Fraction(1, 3))
    report = so.quantize(graph, 2, inputs=np.array([[-1.0], [0.5]]))
    assert report.change is not None
    assert report.change.largest <= bounds(report)[0]


def test_a_time_limit_leaves_a_good_answer() -> None:
    own, nearest = bounds(so.quantize(MLP, "int8", time_limit=1e-9))
    assert own <= nearest


def test_progress_never_goes_back() -> None:
    seen: list[float] = []
    so.quantize(MLP, "int8", progress=lambda share, words: seen.append(share))
    assert seen
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"format": "int9"}, "unknown number format"),
        ({"format": 54}, "from 1 to 53"),
        ({"format": 2.5}, "must be a NumberFormat"),
        ({}, "a format, or a relative error"),
        ({"granularity": "row"}, "granularity must be one of tensor, channel"),
        ({"rescaling": "best"}, "rescaling must be one of path"),
        ({"layers": "first"}, "layers must be one of all, kronecker"),
        ({"layers": "kronecker"}, "no KroneckerLinear"),
        ({"inputs": np.ones((2, 3))}, r"inputs has shape \(2, 3\)"),
        ({"inputs": np.ones((0, 4))}, r"inputs has shape \(0, 4\)"),
        ({"inputs": [[0.0, np.nan, 0.0, 0.0]]}, "sample 0 of inputs holds NaN"),
        ({"inputs": np.ones((2, 4), dtype=complex)}, "real numbers"),
        ({"store": True}, "store=True is for torch modules"),
        ({"weigh_inputs": True}, "weigh_inputs takes layers with factors"),
        ({"passes": 1}, "passes is for layers with factors"),
        ({"biases": "int7"}, "unknown number format"),
        ({"time_limit": -1}, "time_limit must be"),
    ],
)
def test_refusals(arguments: dict[str, Any], words: str) -> None:
    if arguments and "format" not in arguments:
        arguments = {"format": "int8"} | arguments
    with pytest.raises(so.ProblemError, match=words):
        so.quantize(MLP, **arguments)


def test_subjects_without_weights_or_of_other_kinds_are_refused() -> None:
    with pytest.raises(so.ProblemError, match="no weights"):
        so.quantize(chain((2,), Relu()), "int8")
    with pytest.raises(so.ProblemError, match="no plugin reads"):
        so.quantize(np.eye(2), "int8")


def test_a_change_that_floats_do_not_see_is_not_said_to_be_bounded() -> None:
    """1e16 hides the change in float64; "at most" is for what is proved."""
    first, last = Dense([[0.3]], [1e16]), Dense([[1.0]], [-1e16])
    report = so.quantize(chain((1,), first, Relu(), last), "bf16", inputs=[[1.0]], rescaling="none")
    assert str(report.change) == "largest 0, 0 on average, in float64 on 1 inputs"
    assert report.bound is not None
    assert report.bound.value > 1e-4


@pytest.mark.parametrize("form", ["bf16", "F20", "F52", "F53"])
def test_units_that_only_biases_feed_are_rounded(form: str) -> None:
    """No factor is best: what its rounding costs falls without end, and factors were infinite."""
    first, second = Dense([[0.0]], [0.7]), Dense([[2.3]], [0.3])
    network = chain((1,), first, Relu(), second, Relu(), Dense([[2.3]]))
    report = so.quantize(network, form)
    assert report.network is not None
    assert report.bound is not None
    apart = network.run(np.ones((1, 1))) - report.network.run(np.ones((1, 1)))
    assert abs(apart.item()) <= report.bound.value + 1e-14
    assert report.factors is not None
    assert np.isfinite(report.factors).all()
    assert report.factors.min() > 0
