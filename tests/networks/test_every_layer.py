"""Every class of layers x everything that goes through the layers: handled, or refused by name.

A new layer gets a row in `OPERATORS` of ``test_operators.py``, and stands in `ENGINES_ONLY` there
until it is registered with the judge and the tools. What is handled is compared with the single
neurons of the network around the layer, or with their paths. The layers that nobody knows, in
``tests/support/every_layer.py``, show what happens to a class that no table has.
"""

from __future__ import annotations

import inspect
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from every_layer import (
    ROWS,
    TOYS,
    Cyclic,
    graph,
    layer_classes,
    network,
    path_entries,
    path_sums,
    pools,
    tables,
)
from sparseopt_pathnorm.counting import path_counts
from sparseopt_pathnorm.passes import power_sums
from sparseopt_pathnorm.scaled_layers import ScaledLayers
from sparseopt_pathnorm.torch_fitness import LAYERS

import sparseopt as so
from sparseopt.networks.layers import consecutive_linear_pairs, linear_layers
from sparseopt.networks.linear import Dense, Neuron, Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Input, Operator
from sparseopt.pathnorm import exact, path_pairs, plain, residues
from sparseopt.pathnorm.biases import biases
from sparseopt.tools.depth import norms_along_depth
from sparseopt.tools.generalization import pooling_shape
from sparseopt.tools.path_counts import path_count
from sparseopt.tools.reading.budget import is_comparable, require_affordable
from sparseopt.tools.rescaling.groups import RescalingGroups
from tests.networks.test_operators import ENGINES_ONLY

RNG = np.random.default_rng(11)
PRIMES = (1_000_003, 999_983)


def close(found: Any, right: Any, rtol: float = 1e-9) -> None:
    """Compare with numbers that may be exact."""
    values = np.array([float(v) for v in np.ravel(right)])
    np.testing.assert_allclose(np.ravel(np.asarray(found, dtype=float)), values, rtol=rtol)


def scaled(net: Network) -> Network:
    """Return the network with a scale behind the layer."""
    shape = net.shapes["op"]
    wide = (1,) * max(0, len(shape) - 1)
    sizes = ((*shape[:1], *wide), (*wide, *shape[-1:]))
    factor, bias = (RNG.standard_normal(size) if shape else np.array(1.5) for size in sizes)
    nodes = []
    for node in net.nodes:
        nodes.append(replace(node, inputs=("scale",)) if node.name == "flat" else node)
        if node.name == "op":
            nodes.append(Node("scale", Scale(factor, bias), ("op",)))
    return replace(net, nodes=tuple(nodes))


def perturbed(net: Network, factor: float | None = None) -> Network:
    """Return the network with other weights, some of other signs, or with multiples of them."""
    return net.with_parameters(
        {
            name: array * (RNG.uniform(-1, 1, array.shape) if factor is None else factor)
            for name, array in net.parameters().items()
        }
    )


# What goes through layers: what it gives, or refuses to, and how that is compared.


def evaluation(net: Network) -> Any:
    x = RNG.standard_normal((3, *net.input_shape))
    return x, net.run(x), [net.run(sample) for sample in x]


def compare_evaluation(name: str, found: Any) -> None:
    np.testing.assert_allclose(found[1], found[2], rtol=1e-12, atol=1e-14)


def neurons(net: Network) -> Any:
    x = [Fraction(v) for v in np.round(RNG.standard_normal(net.input_shape), 2).tolist()]
    return net.neurons, x, net.run(np.array(x, dtype=object))


def compare_neurons(name: str, found: Any) -> None:
    values = found[0].evaluate(found[1])
    assert found[2].ravel().tolist() == [values[j] for j in found[0].outputs]
    assert path_sums(found[0], 1) == path_sums(graph(name), 1)


def edge_count(net: Network) -> Any:
    return net.edge_count


def compare_edge_count(name: str, found: int) -> None:
    assert found >= sum(map(len, graph(name).predecessors)) - 2 * len(graph(name).labels)


def merged(net: Network) -> Any:
    net = scaled(net)
    x = RNG.standard_normal((2, *net.input_shape))
    both = [power_sums(n, 1).norm(1).log10() for n in (net.merged, net.merged_biases)]
    return net.run(x), net.merged.run(x), *both


def compare_merged(name: str, found: Any) -> None:
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-12)
    close(found[2], found[3])


def merged_for_the_judge(net: Network) -> Any:
    net = scaled(net)
    return net, plain.power_sums(net, 1, biases(net, "merged"))


def compare_merged_for_the_judge(name: str, found: Any) -> None:
    close(10.0 ** found[1].log10(), path_sums(found[0].merged.neurons, 1))


def views(net: Network) -> Any:
    return net, linear_layers(net), consecutive_linear_pairs(net)


def compare_views(name: str, found: Any) -> None:
    net, layers, pairs = found
    shown = {layer.name: layer.weight for layer in layers}
    assert shown.pop("after") is net.by_name["after"].op.weight
    assert all(weight is net.by_name[node].op.weight for node, weight in shown.items())
    whole = [pair for pair in pairs if pair.is_whole_network]
    assert not whole or name in ("input", "relu", "reshape")


def rescaling(net: Network) -> Any:
    groups = RescalingGroups(net)
    again = so.rescale(net, np.exp2(RNG.integers(-3, 4, groups.count)).astype(float))
    x = RNG.standard_normal((4, *net.input_shape))
    return net.run(x), again.run(x)


def compare_rescaling(name: str, found: Any) -> None:
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-12)


def pooling(net: Network) -> Any:
    return pooling_shape(net)


def compare_pooling(name: str, found: Any) -> None:
    fan_in, kinds, on_path = pools(graph(name))
    assert (found.kinds, found.on_path) == (kinds, on_path)
    assert found.kernel >= fan_in
    depths: list[int] = []
    for before in graph(name).predecessors:
        depths.append(max((depths[u] + 1 for u, _ in before), default=0))
    assert found.depth >= max(depths[v] for v in graph(name).outputs) - 2  # copies of edges


def along_depth(net: Network) -> Any:
    return norms_along_depth(net).log10_total[-1]


def compare_along_depth(name: str, found: float) -> None:
    close(10.0**found, sum(path_sums(graph(name), 1)))


def counted(net: Network) -> Any:
    return path_count(net)


def compare_counted(name: str, found: int) -> None:
    assert found == graph(name).path_count()


def budget(net: Network) -> Any:
    require_affordable(net)
    return is_comparable(net)


def compare_budget(name: str, found: bool) -> None:
    assert found is True


def exact_sums(net: Network) -> Any:
    return exact.power_sums(net, 2, biases(net))


def compare_exact_sums(name: str, found: Any) -> None:
    assert found == path_sums(graph(name), 2)


def counts_modulo(net: Network) -> Any:
    return residues.residues(net, biases(net), PRIMES)


def compare_counts_modulo(name: str, found: Any) -> None:
    right = [[int(n) % prime for n in path_sums(graph(name), 0)] for prime in PRIMES]
    np.testing.assert_array_equal(found, right)


def listed_pairs(net: Network) -> Any:
    other = perturbed(net)
    return other, path_pairs.enumerated_distance(net, other)


def compare_listed_pairs(name: str, found: Any) -> None:
    first, second = (path_entries(neurons) for neurons in (graph(name), found[0].neurons))
    close(found[1], np.abs(first - second).sum())


def engine(q: float) -> Callable[[Network], Any]:
    return lambda net: (q, 10.0 ** power_sums(net, q).log10())


def compare_engine(name: str, found: Any) -> None:
    close(found[1], path_sums(graph(name), found[0]))


def engine_counts(net: Network) -> Any:
    return path_counts(net)


def compare_engine_counts(name: str, found: list[int]) -> None:
    assert found == path_sums(graph(name), 0)


def engine_both_ways(net: Network) -> Any:
    layers = ScaledLayers(net)
    ahead = layers.forward(np.ones((1, *net.input_shape)))
    back = layers.backward(np.ones((1, *net.output_shape)))
    return ahead.under(0), back.under(0).sum()


def compare_engine_both_ways(name: str, found: Any) -> None:
    right = path_sums(graph(name), 1, biased=False)
    close(found[0], right)
    close(found[1], sum(right))


def norm(q: float, **options: Any) -> Callable[[Network], Any]:
    return lambda net: (q, so.solve(so.PathNorm(net, q), **options))


def compare_norm(name: str, found: Any) -> None:
    q, solution = found
    assert solution.status == so.Status.VERIFIED
    power = 1.0 if q in (0, math.inf) else 1 / q
    close(solution.answer.value, sum(float(s) ** power for s in path_sums(graph(name), q)))


def costs(solver: str) -> Callable[[Network], Any]:
    return lambda net: (net, so.solve(so.PathCost(net), solver=solver))


def compare_costs(name: str, found: Any) -> None:
    net, solution = found
    assert solution.status == so.Status.VERIFIED
    shares = solution.answer.shares
    before = float(sum(path_sums(graph(name), 1)))
    place = (1, 0)
    weight = np.array(net.parameters()["after.weight"])
    weight[place] = 0
    without = power_sums(net.with_parameters({"after.weight": weight}), 1).norm(1)
    close(shares["after.weight"][place], 1 - float(10.0 ** without.log10()) / before, 1e-6)
    assert all(share.sum() <= 1 + 1e-9 for share in shares.values())
    bias = np.abs(net.parameters()["after.bias"]).sum()
    close(shares["after.weight"].sum(), 1 - bias / before)


def lipschitz(net: Network) -> Any:
    return so.solve(so.LipschitzBound(net))


def compare_lipschitz(name: str, found: Any) -> None:
    assert found.status == so.Status.VERIFIED
    close(found.answer.value, sum(path_sums(graph(name), 1, biased=False)))


def distance(net: Network) -> Any:
    half = perturbed(net, 0.5)
    return half, so.solve(so.PathDistance(net, half))


def compare_distance(name: str, found: Any) -> None:
    half, solution = found
    assert solution.status == so.Status.VERIFIED
    sums = [sum(path_sums(neurons, 1)) for neurons in (graph(name), half.neurons)]
    close(solution.answer.value, sums[0] - sums[1])


def output_change(solver: str) -> Callable[[Network], Any]:
    def go(net: Network) -> Any:
        other = perturbed(net)
        x = RNG.standard_normal(net.input_shape)
        return net, other, x, so.solve(so.OutputChange(net, other, x - 0.25, x + 0.25), solver)

    return go


def compare_output_change(name: str, found: Any) -> None:
    net, other, x, solution = found
    assert solution.status == so.Status.VERIFIED
    points = x + RNG.choice([-0.25, 0.0, 0.25], (200, *net.input_shape))
    change = net.run(points) - other.run(points)
    assert (solution.answer.lower <= change + 1e-9).all()
    assert (change <= solution.answer.upper + 1e-9).all()
    attack = so.largest_change(net, other, x - 0.25, x + 0.25, starts=4, steps=4)
    assert attack.l1 <= solution.answer.l1
    point = so.solve(so.OutputChange(net, other, x, x)).answer
    close(point.lower, net.run(x) - other.run(x))


def file(net: Network) -> Any:
    x = RNG.standard_normal(net.input_shape)
    return net.run(x), so.from_json(so.to_json(net)).run(x)


def compare_file(name: str, found: Any) -> None:
    np.testing.assert_array_equal(*found)


PASSES: dict[str, tuple[Callable[[Network], Any], Callable[[str, Any], None]]] = {
    "evaluation": (evaluation, compare_evaluation),
    "single neurons": (neurons, compare_neurons),
    "number of edges": (edge_count, compare_edge_count),
    "merged scales": (merged, compare_merged),
    "merged scales, judged": (merged_for_the_judge, compare_merged_for_the_judge),
    "views of linear layers": (views, compare_views),
    "rescaling": (rescaling, compare_rescaling),
    "shape for the generalization bound": (pooling, compare_pooling),
    "norms along depth": (along_depth, compare_along_depth),
    "path count": (counted, compare_counted),
    "budget of readers": (budget, compare_budget),
    "exact sums, judged": (exact_sums, compare_exact_sums),
    "counts modulo primes, judged": (counts_modulo, compare_counts_modulo),
    "pairs of paths, judged": (listed_pairs, compare_listed_pairs),
    "engine, q = 1": (engine(1), compare_engine),
    "engine, q = 2": (engine(2), compare_engine),
    "engine, q = inf": (engine(math.inf), compare_engine),
    "engine of counts": (engine_counts, compare_engine_counts),
    "engine of Lipschitz bounds": (engine_both_ways, compare_engine_both_ways),
    "path-norm, q = 0": (norm(0), compare_norm),
    "path-norm, q = 1": (norm(1), compare_norm),
    "path-norm, q = inf": (norm(math.inf), compare_norm),
    "path-norm with PyTorch": (norm(2, solver="one_pass_torch"), compare_norm),
    "path costs": (costs("path_costs"), compare_costs),
    "path costs with PyTorch": (costs("path_costs_torch"), compare_costs),
    "Lipschitz bound": (lipschitz, compare_lipschitz),
    "change by eq. (8)": (output_change("path_metric"), compare_output_change),
    "change by intervals": (output_change("signed_intervals"), compare_output_change),
    "change by substitution": (output_change("backward_substitution"), compare_output_change),
    "path distance": (distance, compare_distance),
    "file": (file, compare_file),
}

REFUSED = {
    ("path-norm with PyTorch", Neuron),
    ("path costs with PyTorch", Neuron),
}
"""What is refused by name though the layer is one of the library."""

REFUSED_ROWS = {
    ("change by eq. (8)", "neuron-pool"),
    ("change by intervals", "neuron-pool"),
    ("change by substitution", "neuron-pool"),
    ("change by substitution", "neuron-relu"),
}
"""The same for some settings of a layer."""

NEEDS_NOTHING = {
    "evaluation",
    "single neurons",
    "number of edges",
    "merged scales",
    "views of linear layers",
    "shape for the generalization bound",
    "budget of readers",
    "engine, q = 1",
    "engine, q = 2",
    "engine, q = inf",
    "engine of counts",
    "engine of Lipschitz bounds",
}
"""What follows from the methods of a layer, so that a new one needs nothing there."""


def refusal(go: Callable[[Network], Any], net: Network) -> tuple[Any, str | None]:
    """Return what a pass gives, or what it says when it refuses."""
    try:
        return go(net), None
    except so.SparseoptError as error:
        return None, str(error)


KNOWN = [name for name, (op, _) in ROWS.items() if type(op) not in ENGINES_ONLY]
UNKNOWN = [name for name in (ROWS | TOYS) if name not in KNOWN]


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("what", list(PASSES))
def test_handled_and_right_or_refused_by_name(what: str, name: str) -> None:
    go, compare = PASSES[what]
    kind = type(ROWS[name][0])
    found, why = refusal(go, network(name))
    if (what, kind) in REFUSED or (what, name) in REFUSED_ROWS:
        assert why is not None
        assert kind.__name__ in why
    else:
        assert why is None
        compare(name, found)


@pytest.mark.parametrize("name", UNKNOWN)
@pytest.mark.parametrize("what", list(PASSES))
def test_a_layer_that_nobody_knows_is_never_given_a_wrong_number(what: str, name: str) -> None:
    go, compare = PASSES[what]
    found, why = refusal(go, network(name))
    if why is None:
        compare(name, found)
    else:
        assert type((ROWS | TOYS)[name][0]).__name__ in why
        assert what not in NEEDS_NOTHING or name == "unknown-function"


def test_every_class_of_layers_has_a_row() -> None:
    assert {type(op) for op, _ in ROWS.values()} == layer_classes()


def test_reading_a_file_imports_every_layer() -> None:
    """Also in a process that has made no network yet."""
    code = "import sys; from sparseopt.judging.json_types import OTHERS; __import__(OTHERS)"
    code += "; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {cls.__module__ for cls in layer_classes()} <= set(done.stdout.split())


def test_no_layer_is_taken_for_the_one_that_it_is_derived_from() -> None:
    with pytest.raises(TypeError, match="Doubled cannot be derived from the layer Dense"):
        type("Doubled", (Dense,), {})


def test_an_edge_has_one_weight() -> None:
    with pytest.raises(TypeError, match="Twice has weights in"):
        type("Twice", (Operator,), {"weight_fields": ("left", "right")})


REFUSING = {
    "pathnorm.contractions._positions",
    "pathnorm.contractions.kernel",
    "pathnorm.edges.backward",
    "pathnorm.edges.forward",
    "pathnorm.edges.offset",
    "pathnorm.edges.tensors",
    "pathnorm.edges.terms",
    "pathnorm.edges.terms_back",
    "sparseopt_pathnorm.torch_layers.through",
    "tools.rescaling.smaller.without",
    "tools.rescaling.ties.labels_of",
}
"""Tables that refuse by name what they do not have."""

SAFE = {
    "guarantees.wires._neurons",  # moves neurons
    "networks.layers._view",  # no view
    "networks.merging._fits",  # the scale stays
    "networks.merging._merge",
    "pathnorm.biases._varying",
    "pathnorm.folding._folded",  # each position is stored
    "sparseopt_pathnorm.constant_images._propagate",  # every position
    "sparseopt_pathnorm.counting._fan_in",  # counted
    "sparseopt_pathnorm.counting._without_zeros",  # the usual way
    "sparseopt_pathnorm.needed_combinations._pulled",  # all positions
    "sparseopt_pathnorm.residue_slopes.reduced",  # by its parameters
    "tools.generalization._pooled",  # counted
    "tools.gradients._back",  # the transpose, or refused
    "tools.reading.budget._evaluation",  # the most expensive kind
    "tools.reading.budget.require_room_within",  # holds nothing beside what it reads and gives
}
"""Tables whose default is right for every layer."""

WITHIN = {
    "networks.merging._channel_axis",
    "networks.merging._spread",
    "pathnorm.contractions._channels",
    "pathnorm.contractions._reads",
    "pathnorm.contractions._shaped",
    "tools.quantizing.tensors._channels_first",
}
"""Tables for a few classes, behind one of the others, whose default is for one of these."""

ELSEWHERE = {
    "pathnorm.contractions.kernel": None,  # only layers that multiply by a kernel
    "pathnorm.contractions._positions": None,
    "pathnorm.edges.forward": {Add, Input},  # sums of values are left to the arithmetics
    "pathnorm.edges.backward": {Add, Input},
    "pathnorm.edges.tensors": {Input},  # the value of the input is given
    "pathnorm.edges.terms": {Input},
    "pathnorm.edges.terms_back": {Input},
    "pathnorm.edges.offset": set(),
    "sparseopt_pathnorm.torch_layers.through": {Input, Neuron},
    "tools.rescaling.smaller.without": set(),
    "tools.rescaling.ties.labels_of": {Input},
}
"""Classes that a refusing table lacks."""


def test_every_table_is_known() -> None:
    assert set(tables()) == REFUSING | SAFE | WITHIN


@pytest.mark.parametrize("table", sorted(REFUSING))
def test_a_refusing_table_has_every_class_and_names_what_it_lacks(table: str) -> None:
    function: Any = tables()[table]
    default = function.dispatch(Operator)
    expected = layer_classes() - ENGINES_ONLY
    lacking = {cls for cls in expected if function.dispatch(cls) is default}
    assert ELSEWHERE[table] in (None, lacking)
    others = [None] * (len(inspect.signature(default).parameters) - 1)
    with pytest.raises(so.SparseoptError, match="Cyclic"):
        function(Cyclic(np.ones(1)), *others)


def test_solvers_with_pytorch_accept_what_their_table_has() -> None:
    table: Any = tables()["sparseopt_pathnorm.torch_layers.through"]
    assert set(LAYERS.__args__) == {cls for cls in table.registry if cls is not object}
