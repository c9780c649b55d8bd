"""Networks without their dead units: the same function and paths, smaller arrays, names kept."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from every_layer import ROWS, network

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Relu, Reshape, Select
from sparseopt.networks.window import AxisMap, AxisWindow, MaxPool, Resample
from tests.tools.rescaling.test_rescaling import residual_network

RNG = np.random.default_rng(3)


def size(net: Network) -> int:
    return sum(array.size for array in net.parameters().values())


def same(before: Network, after: Network) -> None:
    x = RNG.standard_normal((5, *before.input_shape))
    np.testing.assert_allclose(after.run(x), before.run(x), rtol=1e-9, atol=1e-9)
    one, two = (so.solve(so.PathNorm(n)).answer for n in (before, after))
    np.testing.assert_allclose(one.per_output_log10, two.per_output_log10, rtol=1e-9)


def holed(net: Network, seed: int, share: float) -> Network:
    """Return a network with zero rows, columns and biases here and there."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, array in net.parameters().items():
        made = np.array(array)
        for axis in range(min(made.ndim, 2)):
            gone = rng.random(made.shape[axis]) < share
            made[(slice(None),) * axis + (gone,)] = 0
        arrays[name] = made
    return net.with_parameters(arrays)


@pytest.mark.parametrize("name", [name for name in ROWS if name != "input"])
@pytest.mark.parametrize("seed", range(4))
def test_every_layer_computes_the_same_without_them(name: str, seed: int) -> None:
    net = holed(network(name), seed, 0.25)
    same(net, so.remove_dead(net))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.8, 1.0])
def test_pruned_channels_go_and_nothing_else_changes(seed: int, ratio: float) -> None:
    net = residual_network(seed=seed) if seed else residual_network()
    pruned = so.prune(net, ratio, granularity="channel")
    smaller = so.remove_dead(pruned.network)
    same(pruned.network, smaller)
    assert pruned.removed
    assert size(smaller) < size(net)
    left = so.RescalingGroups(smaller, scaled=False)
    expected = so.RescalingGroups(net, scaled=False).count - len(pruned.removed)
    assert left.count == expected or (ratio == 1.0 and left.count > expected)
    assert set(smaller.by_name) == set(net.by_name)


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs_of_neurons(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph()
    for v in range(14):
        kind = "input" if v < 3 else ("relu", "id", "pool", "relu")[rng.integers(4)]
        graph.add_node(v, kind=kind)
        if v >= 3 and rng.random() < 0.4:
            graph.nodes[v]["bias"] = float(rng.standard_normal())
        for u in rng.choice(v, min(v, 3), replace=False) if v >= 3 else ():
            weight = float(rng.standard_normal()) * (rng.random() < 0.6)
            graph.add_edge(int(u), v, weight=weight)
    net = so.load_network(graph)
    smaller = so.remove_dead(net)
    x = rng.standard_normal((6, *net.input_shape))
    np.testing.assert_allclose(smaller.run(x), net.run(x), rtol=1e-12, atol=1e-12)
    assert size(smaller) <= size(net)


SIDES = np.array([[-1, 0], [1, 2], [2, -1]])
ABOVE = {
    "averages": Resample((AxisMap(1, SIDES, np.ones((3, 2)), np.full(3, 2)),)),
    "pools": MaxPool((AxisWindow(1, SIDES),)),
    "sums": Add(),
}
STEM, WIDTH = 3, 6


def padded_shortcut(
    above: str, joined: bool, zeros: list[np.ndarray], order: np.ndarray
) -> Network:
    """Return a network that adds its stem, among channels of zeros, to two convolutions in turn.

    Place i of the sums has channel ``order[i]`` of the stem, or a zero. `zeros` are the channels of
    the stem and of both convolutions without weights.
    """
    rng = np.random.default_rng(0)

    def conv(entering: int, empty: np.ndarray) -> Conv:
        weight = rng.choice([-2.0, -1.0, 1.0, 3.0], (len(empty), entering, 1))
        return Conv(np.where(empty[:, None, None], 0, weight))

    cells = np.where(order[:, None] < STEM, order[:, None] * 3 + np.arange(3), -1)
    nodes = [Node("x", Input((2, 3))), Node("stem", conv(2, zeros[0]), ("x",))]
    nodes += [Node("r", Relu(), ("stem",))]
    if joined:
        nodes += [Node("z", Select(cells[STEM:]), ("r",)), Node("s", Concat(0), ("r", "z"))]
    else:
        nodes += [Node("s", Select(cells), ("r",))]
    nodes += [Node("a", conv(STEM, zeros[1]), ("r",)), Node("s1", Add(), ("s", "a"))]
    nodes += [Node("r1", Relu(), ("s1",)), Node("b", conv(WIDTH, zeros[2]), ("r1",))]
    nodes += [Node("s2", Add(), ("b", "s")), Node("up", ABOVE[above], ("s2",))]
    nodes += [Node("flat", Reshape((WIDTH * 3,)), ("up",))]
    nodes += [Node("y", Dense(rng.choice([-1.0, 2.0], (2, WIDTH * 3))), ("flat",))]
    return Network(tuple(nodes), "y")


@pytest.mark.parametrize("above", ABOVE)
@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_padding_goes_with_what_it_is_added_to(above: str, joined: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = np.arange(WIDTH) if joined else rng.permutation(WIDTH)
    zeros = [rng.random(n) < 0.8 for n in (STEM, WIDTH, WIDTH)]
    zeros[0][0] = False
    net = padded_shortcut(above, joined, zeros, order)
    smaller = so.remove_dead(net)
    gone = zeros[1] & zeros[2] & np.append(zeros[0], [True] * (WIDTH - STEM))[order]
    if joined and gone[STEM:].all():
        gone[STEM] = False  # every value keeps an entry
    for name in ("s", "s1", "s2", "up"):
        assert smaller.shapes[name] == (WIDTH - gone.sum(), 3)
    assert smaller.shapes["stem"] == (STEM - gone[order < STEM].sum(), 3)
    x = rng.integers(-4, 5, (9, 2, 3)).astype(float)
    assert np.array_equal(smaller.run(x), net.run(x))


def test_exact_networks_stay_exact() -> None:
    graph = nx.DiGraph()
    graph.add_node("x", kind="input")
    for v in "ab":
        graph.add_node(v, kind="relu", bias=1)
        graph.add_edge("x", v, weight=2)
    graph.add_node("y", kind="id")
    graph.add_edge("a", "y", weight=3)
    graph.add_edge("b", "y", weight=0)
    smaller = so.remove_dead(so.load_network(graph))
    assert smaller.is_exact
    assert "b" not in smaller.by_name
    assert smaller.run({"x": 1}).tolist() == [9]


def test_a_network_without_dead_units_is_the_same_object() -> None:
    net = chain((2,), Dense(np.ones((3, 2))), Relu(), Dense(np.ones((1, 3))))
    assert so.remove_dead(net) is net


def test_a_layer_keeps_a_unit() -> None:
    net = chain((2,), Dense(np.zeros((3, 2))), Relu(), Dense(np.ones((1, 3)), np.array([2.0])))
    smaller = so.remove_dead(net)
    assert smaller.parameters()["0:Dense.weight"].shape == (1, 2)
    assert smaller.run([1.0, 1.0]) == [2.0]


def test_a_report_is_not_a_network() -> None:
    pruned = so.prune(chain((2,), Dense(np.eye(2)), Relu(), Dense(np.eye(2))), 0.5)
    with pytest.raises(so.ProblemError, match=r"remove_dead\(pruning.network\)"):
        so.remove_dead(pruned)


def models() -> dict[str, tuple[Any, tuple[int, ...]]]:
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Dense2(nn.Module):  # type: ignore[misc, name-defined]
        """Values side by side, as in DenseNet."""

        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1)
            self.n = nn.BatchNorm2d(9)
            self.c, self.f = nn.Conv2d(9, 6, 1), nn.Linear(6, 3)

        def forward(self, x: Any) -> Any:
            a = torch.relu(self.a(x))
            y = torch.cat([a, torch.relu(self.b(a))], 1)
            return self.f(torch.relu(self.c(self.n(y))).mean((2, 3)))

    class Padded(nn.Module):  # type: ignore[misc, name-defined]
        """A shortcut with channels of zeros, as in ResNets of option A."""

        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(1, 4, 3, padding=1)
            self.b = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False)
            self.n, self.f = nn.BatchNorm2d(8), nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            a = torch.relu(self.a(x))
            short = nn.functional.pad(a[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
            return self.f(torch.relu(short + self.n(self.b(a))).mean((2, 3)))

    mobile = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.Conv2d(8, 6, 1),
        nn.LeakyReLU(0.1),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 10),
        nn.ReLU(),
        nn.Linear(10, 2),
    )
    grouped = nn.Sequential(
        nn.Conv1d(4, 8, 3, groups=2),
        nn.ReLU(),
        nn.ConvTranspose1d(8, 6, 2, stride=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Flatten(),
        nn.Linear(36, 3),
    )
    return {
        "mobile": (mobile, (3, 8, 8)),
        "dense": (Dense2(), (3, 5, 5)),
        "padded": (Padded(), (1, 6, 6)),
        "grouped": (grouped, (4, 8)),
    }


@pytest.mark.parametrize("name", ["mobile", "dense", "grouped", "padded"])
@pytest.mark.parametrize("ratio", [0.3, 0.7])
def test_modules_with_coupled_channels_get_smaller(name: str, ratio: float) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module, shape = models()[name]
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_()
            torch.nn.init.uniform_(part.weight, 0.5, 2)
            torch.nn.init.normal_(part.bias)
    module.eval()
    x = torch.randn(2, *shape)
    before = so.load_network(module, x)
    pruned = so.prune(module, ratio, "magnitude", granularity="channel", example=x)
    smaller = so.remove_dead(module, example=x)
    with torch.no_grad():
        torch.testing.assert_close(smaller.to_torch()(x), module(x), rtol=1e-4, atol=1e-5)
    assert pruned.removed
    hidden = {n: a.shape for n, a in smaller.parameters().items()}
    assert size(smaller) < size(before)
    assert any(hidden[n] != a.shape for n, a in before.parameters().items())
    for tensor in smaller.origins.values():
        assert tensor in dict(module.named_parameters()) or f"{tensor}_orig" in dict(
            module.named_parameters()
        )
