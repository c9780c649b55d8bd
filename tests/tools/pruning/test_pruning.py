"""Pruning: which weights go, what does not change under rescaling, what is left alone and why."""

from __future__ import annotations

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Input, Relu
from sparseopt.tools.pruning.criteria import CRITERIA as ALL_CRITERIA
from tests.tools.rescaling.test_rescaling import mlp, residual_network

CRITERIA = ["path_cost", "magnitude", "canonical_magnitude", "random"]


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("ratio", [0, 0.31, 0.8, 1])
def test_the_ratio_is_met_globally_and_by_layer(criterion: str, ratio: float) -> None:
    network = residual_network()
    pruned = so.prune(network, ratio, criterion)
    total = sum(mask.size for mask in pruned.masks.values())
    assert sum(int(m.sum()) for m in pruned.masks.values()) == total - round(ratio * total)
    assert pruned.density == pytest.approx(1 - ratio, abs=1 / total)
    by_layer = so.prune(network, ratio, criterion, scope="layer")
    for mask in by_layer.masks.values():
        assert abs(int((~mask).sum()) - ratio * mask.size) <= 0.5


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_pruned_network_has_the_zeros_of_the_masks(criterion: str) -> None:
    network = residual_network()
    pruned = so.prune(network, 0.5, criterion)
    before, after = network.parameters(), pruned.network.parameters()
    for name, array in before.items():
        expected = np.where(pruned.masks[name], array, 0) if name in pruned.masks else array
        np.testing.assert_array_equal(after[name], expected)
    assert {tensor.name for tensor in pruned.tensors} == set(before)
    reasons = {tensor.name: tensor.reason for tensor in pruned.tensors}
    assert "biases are not pruned" in reasons["stem.bias"]
    assert "scale of a normalization" in reasons["norm.factor"]
    assert reasons["stem.weight"] == ""


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rescaling_moves_magnitudes_only(dtype: type) -> None:
    network = residual_network(dtype=dtype)
    scaled = so.rescale(network, so.random_factors(network, seed=6))

    def changed(criterion: str) -> int:
        first, second = (so.prune(n, 0.6, criterion).masks for n in (network, scaled))
        return sum(int((first[name] != second[name]).sum()) for name in first)

    assert changed("path_cost") == 0
    assert changed("canonical_magnitude") == 0
    assert changed("magnitude") > 100
    assert changed("random") == 0


def test_a_dead_unit_does_not_displace_living_ones() -> None:
    network = chain((1,), Dense(np.array([[3.0], [1.0]])), Relu(), Dense(np.array([[2.0, 0.0]])))
    moved = so.rescale(network, [1.0, 4096.0])
    x = np.ones((1, 1))
    for net in (network, moved):
        for criterion in ("canonical_magnitude", "path_cost"):
            assert so.prune(net, 0.5, criterion).network.run(x) == 6.0


@pytest.mark.parametrize("criterion", [n for n, c in ALL_CRITERIA.items() if c.invariant])
@pytest.mark.parametrize("seed", range(10))
def test_invariant_criteria_keep_their_word(criterion: str, seed: int) -> None:
    """On networks with dead, tied and unbalanced units."""
    rng = np.random.default_rng(seed)
    for network in (mlp((4, 8, 8, 3), seed=seed), residual_network()):
        arrays = {
            name: array * (rng.random(array.shape) < 0.4) if name.endswith("weight") else array
            for name, array in network.parameters().items()
        }
        network = network.with_parameters(arrays)
        scaled = so.rescale(network, so.random_factors(network, (1, 2**-20, 4096), seed=seed))
        for ratio in (0.5, 0.8, 0.9):
            first, second = (so.prune(n, ratio, criterion).masks for n in (network, scaled))
            assert all((first[name] == second[name]).all() for name in first)


def test_the_cheapest_weight_goes_first() -> None:
    network = mlp((3, 4, 2), seed=2)
    total = so.solve(so.PathNorm(network)).answer.value
    lost = {}
    for name, array in network.parameters().items():
        if name.endswith("weight"):
            for place in np.ndindex(array.shape):
                changed = array.copy()
                changed[place] = 0
                norm = so.solve(so.PathNorm(network.with_parameters({name: changed}))).answer.value
                lost[name, place] = total - norm
    order = sorted(lost, key=lost.__getitem__)
    for count in (1, 7, 15):
        masks = so.prune(network, count / len(lost)).masks
        gone = {(name, place) for name, place in lost if not masks[name][place]}
        assert gone == set(order[:count])


def test_zeros_count_and_ties_are_broken_by_position() -> None:
    network = chain((4,), Dense(np.array([[1.0, 0.0, 1.0, 1.0]])))
    for criterion in CRITERIA:
        masks = so.prune(network, 0.25, criterion).masks["0:Dense.weight"]
        np.testing.assert_array_equal(masks, [[True, False, True, True]])
    for criterion in ("magnitude", "path_cost"):
        masks = so.prune(network, 0.5, criterion).masks["0:Dense.weight"]
        np.testing.assert_array_equal(masks, [[False, False, True, True]])


def test_shared_tensors_have_one_mask() -> None:
    weight, shared = np.arange(1.0, 5.0).reshape(2, 2), {"weight": "fc.weight"}
    nodes = (
        Node("x", Input((2,))),
        Node("a", Dense(weight), ("x",), shared),
        Node("r", Relu(), ("a",)),
        Node("b", Dense(weight), ("r",), shared),
    )
    network = Network(nodes, "b")
    masks = so.prune(network, 0.5, "magnitude").masks
    np.testing.assert_array_equal(masks["a.weight"], [[False, False], [True, True]])
    np.testing.assert_array_equal(masks["a.weight"], masks["b.weight"])
    with pytest.raises(so.ProblemError, match="twice"):
        so.prune(network, 0.5)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), "0.5"])
def test_bad_ratios_are_refused(bad: object) -> None:
    with pytest.raises(so.ProblemError, match="ratio"):
        so.prune(mlp((2, 3, 1)), bad)  # type: ignore[arg-type]


def test_bad_settings_are_refused() -> None:
    network = mlp((2, 3, 1))
    with pytest.raises(so.ProblemError, match=r"unknown criterion .*path_cost"):
        so.prune(network, 0.5, "taylor")
    with pytest.raises(so.ProblemError, match="scope"):
        so.prune(network, 0.5, scope="all")
    with pytest.raises(so.ProblemError, match="no weights"):
        so.prune(chain((2,), Relu()), 0.5)


def test_verdicts_on_the_supports() -> None:
    pruned = so.prune(mlp((2, 3, 2), seed=1), 0.4)
    (verdict,) = pruned.supports()
    left, right = (pruned.masks[name] for name in ("2:Dense.weight", "0:Dense.weight"))
    assert verdict.value == so.solve(so.Closedness([left, right])).answer.value
    assert str(verdict).startswith("0:Dense -> 2:Dense: ")
    assert so.verify(verdict.solution).ok


def test_torch_modules_get_masks() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn
    module = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)).eval()
    x = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    for criterion in CRITERIA:
        twin = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)).eval()
        twin.load_state_dict(module.state_dict())
        pruned = so.prune(twin, 0.6, criterion, example=x)
        assert torch.nn.utils.prune.is_pruned(twin)
        assert int((twin[0].weight == 0).sum() + (twin[2].weight == 0).sum()) == round(0.6 * 56)
        found = so.load_network(twin, x)
        np.testing.assert_allclose(found.run(x), pruned.network.run(x), rtol=1e-5, atol=1e-6)
        again = so.prune(twin, 0.8, criterion, example=x)
        assert again.density == pytest.approx(11 / 56)
        for name, mask in again.masks.items():
            assert not (mask & ~pruned.masks[name]).any()
        twin(torch.from_numpy(x)).sum().backward()  # masks let training go on


@pytest.mark.parametrize("criterion", ["path_cost", "magnitude"])
def test_supports_can_be_closed(criterion: str) -> None:
    network = mlp((3, 4, 3, 2), seed=1)
    open_masks = so.prune(network, 0.4, criterion)
    pruned = so.prune(network, 0.4, criterion, closed=True)
    assert all(verdict.value == "closed" for verdict in pruned.supports())
    for name, mask in pruned.masks.items():
        assert not (mask & ~open_masks.masks[name]).any()
    assert pruned.density <= open_masks.density


def test_zeros_that_are_kept_are_told_from_weights() -> None:
    """A network of which 80 % are zero keeps half of its weights, most of them zeros."""
    network = so.load_network("examples/networks/digits_mlp.onnx")
    half, tenth = so.prune(network, 0.5), so.prune(network, 0.9)
    weights = [a for name, a in network.parameters().items() if name.endswith("weight")]
    nonzero = sum(np.count_nonzero(a) for a in weights) / sum(a.size for a in weights)
    assert half.nonzero == nonzero < half.density
    assert f"50.0% of the weights kept; not zero are {nonzero:.1%}" in str(half)
    assert tenth.nonzero == tenth.density
    assert "not zero" not in str(tenth)
    with pytest.raises(so.ProblemError, match=r"got 90; for 90 % give 0\.9"):
        so.prune(network, 90)


def test_each_of_two_pairs_with_the_same_supports_is_closed() -> None:
    """The matrices of LU between layers that are not pruned apart."""
    lower, upper = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[1.0, 1.0], [0.0, 1.0]])
    net = chain(
        (2,), Dense(upper), Relu(), Dense(lower), Relu(), Dense(upper), Relu(), Dense(lower)
    )
    pruned = so.prune(net, 0.0, "magnitude", closed=True)
    assert [verdict.value for verdict in so.pair_verdicts(pruned.network)].count("not_closed") == 0
