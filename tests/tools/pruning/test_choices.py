"""Which layers, which criterion, which pattern, how many rounds."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.choosing import discovery
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Relu
from tests.tools.rescaling.test_rescaling import mlp, residual_network

RNG = np.random.default_rng(0)


def zeros(network: Network, name: str) -> int:
    return int((network.parameters()[name] == 0).sum())


def test_layers_and_exclude_name_what_is_pruned() -> None:
    net = mlp((4, 6, 5, 2))
    names = [n for n in net.parameters() if n.endswith("weight")]
    first, second, last = names
    for layers in (first.removesuffix(".weight"), [first], lambda name, layer: name in first):
        pruned = so.prune(net, 0.5, layers=layers)
        assert list(pruned.masks) == [first]
        assert zeros(pruned.network, first) == 12
    rest = so.prune(net, 0.5, exclude=[last.removesuffix(".weight")])
    assert list(rest.masks) == [first, second]
    reasons = {t.name: t.reason for t in rest.tensors}
    assert reasons[last] == "left alone: as was asked"
    for choice in ({"layers": 5}, {"exclude": [1.5]}):
        with pytest.raises(so.ProblemError, match=r"takes names of layers, .* got (5|1\.5)"):
            so.prune(net, 0.5, **choice)
    dense = so.prune(net, 0.5, layers=lambda name, layer: layer.weight.shape[0] == 5)
    assert list(dense.masks) == [second]


def test_modules_and_tensors_are_names_too() -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(
        torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4)),
        torch.nn.ReLU(),
        torch.nn.Linear(4, 1),
    ).eval()
    network = so.load_network(net, torch.zeros(1, 3))
    assert len(so.prune(network, 0.5, layers="0.*").masks) == 2
    assert len(so.prune(network, 0.5, layers=["0.2.weight", "2"]).masks) == 2
    so.prune(net, 0.5, exclude="2", example=torch.zeros(1, 3))
    assert hasattr(net[0][0], "weight_mask")
    assert not hasattr(net[2], "weight_mask")


def test_names_that_are_no_layers_are_refused() -> None:
    net = mlp((3, 4, 2))
    with pytest.raises(so.ProblemError, match=r"layers names 'fc9', which is no layer.*there are"):
        so.prune(net, 0.5, layers=["fc9"])
    with pytest.raises(so.ProblemError, match="exclude takes names"):
        so.prune(net, 0.5, exclude=[3])  # type: ignore[list-item]
    with pytest.raises(so.ProblemError, match="nothing is left to prune"):
        so.prune(net, 0.5, exclude="*")


def test_a_function_scores_weights() -> None:
    net = mlp((3, 5, 2))

    def negative_size(network: Network) -> dict[str, np.ndarray]:
        return {n: -np.abs(a) for n, a in network.parameters().items()}

    pruned = so.prune(net, 0.4, negative_size)
    assert pruned.criterion == "negative_size"
    for name, mask in pruned.masks.items():
        size = np.abs(net.parameters()[name])
        every = np.concatenate([np.abs(net.parameters()[n]).ravel() for n in pruned.masks])
        threshold = np.sort(every)[::-1][round(0.4 * every.size) - 1]
        np.testing.assert_array_equal(mask, size < threshold)


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (lambda n: 3, "must return a mapping"),
        (lambda n: {}, "gives no scores for"),
        (lambda n: {k: a[:1] for k, a in n.parameters().items()}, r"scores of shape"),
        (lambda n: {k: a * 1j for k, a in n.parameters().items()}, "type complex128"),
        (lambda n: {k: np.full(a.shape, np.nan) for k, a in n.parameters().items()}, "score NaN"),
    ],
)
def test_functions_that_do_not_score_are_refused(made: Any, match: str) -> None:
    with pytest.raises(so.ProblemError, match=match):
        so.prune(mlp((3, 5, 2)), 0.4, made)


def rows(network: Network, seed: int) -> dict[str, np.ndarray]:
    """A criterion of a plugin: rows of low number go first."""
    return {
        n: np.broadcast_to(np.arange(len(a)).reshape(-1, *(1,) * (a.ndim - 1)), a.shape)
        for n, a in network.parameters().items()
        if n.endswith("weight")
    }


def test_a_plugin_brings_a_criterion(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = (
        so.CriterionEntry("rows", f"{__name__}:rows", "low rows first"),
        so.CriterionEntry("gone", "nowhere:f", "x", requires=("nowhere",), remedy="pip install x"),
    )
    manifest = so.Manifest("mine", 1, "a plugin of mine", criteria=entries)
    sources = [discovery.Source("mine", "mine-dist", lambda: manifest)]
    known = [*discovery._entry_point_sources(), *sources]
    monkeypatch.setattr(discovery, "_installed", discovery.Registry(known))
    assert [entry.name for entry in so.criteria()] == ["rows", "gone"]
    pruned = so.prune(chain((2,), Dense(np.ones((4, 2)))), 0.5, "rows")
    np.testing.assert_array_equal(pruned.masks["0:Dense.weight"][:, 0], [False, False, True, True])
    with pytest.raises(so.ProblemError, match="gone cannot be used here: nowhere is not installed"):
        so.prune(mlp((2, 3, 1)), 0.5, "gone")
    with pytest.raises(so.ProblemError, match=r"Did you mean 'rows'\? Known: .*gone, .*rows"):
        so.prune(mlp((2, 3, 1)), 0.5, "row")


def check_pattern(mask: np.ndarray, axis: int, kept: int, size: int) -> None:
    wide = np.moveaxis(mask, axis, -1).reshape(-1, size)
    assert (wide.sum(axis=1) == kept).all()


@pytest.mark.parametrize("pattern", ["2:4", "1:4", "3:4", "4:4", "1:2"])
def test_of_each_m_weights_n_are_kept(pattern: str) -> None:
    kept, size = map(int, pattern.split(":"))
    net = chain(
        (4, 6),
        Conv(RNG.standard_normal((8, 4, 3))),
        Relu(),
        ConvTranspose(RNG.standard_normal((8, 4, 2)), groups=2),
        Relu(),
        Dense(RNG.standard_normal((3, 5))),
    )
    pruned = so.prune(net, None, "magnitude", granularity=pattern)
    assert list(pruned.masks) == ["0:Conv.weight", "2:ConvTranspose.weight"]
    check_pattern(pruned.masks["0:Conv.weight"], 1, kept, size)
    check_pattern(pruned.masks["2:ConvTranspose.weight"], 0, kept, size)
    assert pruned.ratio == 1 - kept / size
    reasons = {t.name: t.reason for t in pruned.tensors}
    assert reasons["4:Dense.weight"] == f"left alone: its 5 inputs are no multiple of {size}"
    for name, mask in pruned.masks.items():
        weight = np.abs(net.parameters()[name])
        axis = 1 if "0:" in name else 0
        wide, own = (np.moveaxis(a, axis, -1).reshape(-1, size) for a in (weight, mask))
        lowest_kept = np.where(own, wide, np.inf).min(axis=1)
        highest_gone = np.where(own, -np.inf, wide).max(axis=1)
        assert (lowest_kept >= highest_gone).all()


def test_patterns_of_modules_are_those_of_their_tensors() -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
    so.prune(net.eval(), granularity="2:4", example=torch.zeros(1, 4, 4, 4))
    check_pattern(net[0].weight_mask.numpy().astype(bool), 1, 2, 4)


def test_bad_patterns_are_refused() -> None:
    net = mlp((4, 4, 2))
    with pytest.raises(so.ProblemError, match="granularity must be 'weight', 'channel' or a pat"):
        so.prune(net, 0.5, granularity="block")
    with pytest.raises(so.ProblemError, match="N must be at most M"):
        so.prune(net, granularity="5:4")
    with pytest.raises(so.ProblemError, match=r"has the ratio 0.5, not 0.7"):
        so.prune(net, 0.7, granularity="2:4")
    with pytest.raises(so.ProblemError, match="no multiple of 3"):
        so.prune(chain((4,), Dense(np.eye(4))), granularity="1:3")
    with pytest.raises(so.ProblemError, match="has one only"):
        so.prune(net, granularity="2:4", schedule=3)


@pytest.mark.parametrize("criterion", ["path_cost", "magnitude", "canonical_magnitude", "random"])
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_whole_channels_go_and_every_layer_keeps_one(criterion: str, scope: str) -> None:
    net = residual_network()
    groups = so.RescalingGroups(net, scaled=False)
    for ratio in (0.0, 0.4, 1.0):
        pruned = so.prune(net, ratio, criterion, scope=scope, granularity="channel")
        gone = {groups.names.index(name) + 1 for name in pruned.removed}
        assert len(gone) <= round(ratio * groups.count) or scope == "layer"
        for name, mask in pruned.masks.items():
            head, tail = groups.weights[name]
            right = ~(np.isin(head, list(gone)) | np.isin(tail, list(gone)))
            np.testing.assert_array_equal(mask, np.broadcast_to(right, mask.shape))
        for labels in groups.units.values():
            assert set(labels.tolist()) - gone


def test_the_weakest_channel_goes() -> None:
    first, last = np.array([[3.0], [1.0], [2.0]]), np.array([[1.0, 1.0, 1.0]])
    net = chain((1,), Dense(first, np.ones(3)), Relu(), Dense(last))
    pruned = so.prune(net, 1 / 3, "magnitude", granularity="channel")
    assert pruned.removed == ("0:Dense[1]",)
    assert str(pruned).startswith("magnitude, channel, global: 66.7% of the weights kept")


@pytest.mark.parametrize("criterion", ["path_cost", "canonical_magnitude"])
def test_rescaling_does_not_move_channels(criterion: str) -> None:
    net = residual_network()
    scaled = so.rescale(net, so.random_factors(net, seed=4))
    one, two = (so.prune(n, 0.5, criterion, granularity="channel").removed for n in (net, scaled))
    assert one == two


def test_only_units_of_the_layers_go() -> None:
    net = mlp((4, 6, 5, 2))
    second = [n.name for n in net.nodes if n.op.parameters()][1]
    pruned = so.prune(net, 0.6, granularity="channel", layers=second)
    assert pruned.removed
    assert all(name.startswith(f"{second}[") for name in pruned.removed)


def test_a_constant_that_units_share_does_not_tie_them() -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU6(), torch.nn.Linear(8, 2)).eval()
    network = so.load_network(net, torch.zeros(1, 3))
    assert so.RescalingGroups(network).count == 1
    assert so.RescalingGroups(network, scaled=False).count == 8
    assert len(so.prune(network, 0.5, granularity="channel").removed) == 4


@pytest.mark.parametrize("granularity", ["weight", "channel"])
def test_rounds_keep_what_is_gone(granularity: str) -> None:
    net, seen = mlp((5, 8, 8, 3)), []

    def train(network: Network) -> Network:
        arrays = network.parameters()
        seen.append(sum(int((a == 0).sum()) for n, a in arrays.items() if "weight" in n))
        return network.with_parameters({n: a + 0.1 for n, a in arrays.items()})

    pruned = so.prune(net, 0.75, granularity=granularity, schedule=4, train=train)
    assert len(seen) == 3
    assert seen == sorted(seen)
    assert pruned.ratio == 0.75
    for name, mask in pruned.masks.items():
        np.testing.assert_array_equal(pruned.network.parameters()[name] != 0, mask)
    if granularity == "weight":
        assert pruned.density == pytest.approx(0.25, abs=0.01)
        total = sum(m.size for m in pruned.masks.values())
        shares = [0.75 * (1 - (1 - t / 4) ** 3) for t in (1, 2, 3)]
        np.testing.assert_allclose(np.array(seen) / total, shares, atol=1 / total)
    else:
        assert len(pruned.removed) == 12
        assert len(so.remove_dead(pruned.network).parameters()) > 0


def test_a_module_is_pruned_in_rounds_with_training() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 9), torch.nn.ReLU(), torch.nn.Linear(9, 1)).eval()
    x, rounds = torch.randn(20, 4), []

    def train(module: Any) -> None:
        optimizer = torch.optim.SGD(module.parameters(), 0.1)
        module(x).pow(2).mean().backward()
        optimizer.step()
        module(x)
        rounds.append(int((module[0].weight == 0).sum() + (module[2].weight == 0).sum()))

    pruned = so.prune(net, 0.8, schedule=[0.2, 0.5, 0.8], train=train, example=x)
    assert rounds == [9, 23]
    assert pruned.density == pytest.approx(0.2)
    net(x)
    masks = pruned.tensor_masks
    np.testing.assert_array_equal(net[0].weight.detach() != 0, masks["0.weight"])


def test_bad_schedules_are_refused() -> None:
    net = mlp((3, 4, 2))
    for bad in ([], [0.5, 0.3], [0.1, 0.4], [-0.1, 0.5], [float("nan"), 0.5]):
        with pytest.raises(so.ProblemError, match=r"must rise from 0 to the ratio 0\.5"):
            so.prune(net, 0.5, schedule=bad)
    with pytest.raises(so.ProblemError, match="1 to 10000 rounds"):
        so.prune(net, 0.5, schedule=0)
    with pytest.raises(so.ProblemError, match="a number of rounds, or a list"):
        so.prune(net, 0.5, schedule="abc")  # type: ignore[arg-type]
    with pytest.raises(so.ProblemError, match="give a schedule"):
        so.prune(net, 0.5, train=lambda n: n)
    with pytest.raises(so.ProblemError, match="train must return a network"):
        so.prune(net, 0.5, schedule=2, train=lambda n: 3)
    with pytest.raises(so.ProblemError, match="without the parameter"):
        so.prune(net, 0.5, schedule=2, train=lambda n: mlp((3, 4, 5, 2)).merged and chain((3,)))


def test_a_pruned_module_can_be_copied_also_after_training() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
    x = torch.randn(5, 4)
    so.prune(net, 0.5, example=x)
    assert torch.equal(copy.deepcopy(net)(x), net(x))
    (net(x).sum() + net[0].weight.abs().sum()).backward()
    twin = copy.deepcopy(net)
    before = net[0].weight_orig.detach().clone()
    optimizer = torch.optim.SGD(twin.parameters(), 0.1)
    twin(x).sum().backward()
    optimizer.step()
    assert torch.equal(net[0].weight_orig, before)
    assert not torch.equal(twin[0].weight_orig, before)
    twin(x)
    assert torch.equal(twin[0].weight == 0, net[0].weight == 0)
    so.prune(net, 0.75, example=x)  # masks upon masks
    assert torch.equal(copy.deepcopy(net)(x), net(x))
    torch.nn.utils.prune.remove(net[0], "weight")
    assert torch.equal(copy.deepcopy(net)(x), net(x))
