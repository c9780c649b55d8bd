"""What takes too long is refused before it starts, and what is cheap is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks import Conv, Dense, MaxPool, Relu, Scale, Select, chain
from sparseopt.networks.window import AxisWindow
from sparseopt.pathnorm import effort, path_cost, path_table, plain, residues
from sparseopt.pathnorm.effort import MOST, Effort, TooLarge, of_layer
from sparseopt.pathnorm.floats import Floats
from sparseopt.pathnorm.rounded import OutOfRange, RoundedSums
from sparseopt.pathnorm.wides import Wides

KERNEL = np.ones((1, 1, 512, 512))
ENDLESS = chain((1, 1024, 1024), Conv(KERNEL, padding=((256, 255),) * 2))
"""2.7e11 edges of 262,144 weights."""
SHAPE = ENDLESS.output_shape
WORDS = "it would take over 600 s, as predicted"


def norm(q: float, counts: int | None = None) -> so.Certificate:
    exact = None if counts is None else (Fraction(counts),) * math.prod(SHAPE)
    answer = so.PathNormValue(1.0, 0.0, np.zeros(SHAPE), q, 1, "as_is", exact)
    return so.PathNormCertificate(so.PathNorm(ENDLESS, q), answer)


def bound(p_in: float, p_out: float, method: str) -> so.Certificate:
    answer = so.LipschitzValue(1.0, 0.0, p_in, p_out, method)
    weights = np.ones(SHAPE) if method == "spectral" else None
    return so.LipschitzCertificate(so.LipschitzBound(ENDLESS, p_in, p_out), answer, weights)


def distance() -> so.Certificate:
    other = ENDLESS.with_parameters({"0:Conv.weight": 2 * KERNEL})
    problem = so.PathDistance(ENDLESS, other)
    return so.PathDistanceCertificate(
        problem, so.PathDistanceValue(1.0, "exact", True), "dominated"
    )


def change(method: str) -> so.Certificate:
    other = ENDLESS.with_parameters({"0:Conv.weight": 2 * KERNEL})
    zeros = np.zeros(SHAPE)
    problem = so.OutputChange(ENDLESS, other, 0, 1)
    return so.OutputChangeCertificate(problem, so.OutputChangeValue(zeros, zeros, 0.0), method)


@pytest.mark.parametrize(
    "claimed",
    [
        lambda: norm(1),
        lambda: norm(1.5),
        lambda: norm(math.inf),
        lambda: norm(0, 1),
        lambda: bound(math.inf, 1, "rows"),
        lambda: bound(1, 1, "columns"),
        lambda: bound(2, 2, "spectral"),
        lambda: bound(3, 3, "interpolated"),
        lambda: distance(),
        lambda: change("path_metric"),
        lambda: change("signed_intervals"),
        lambda: change("substitution"),
    ],
)
def test_checks_that_take_too_long_are_refused(claimed: Callable[[], so.Certificate]) -> None:
    check = so.verify(claimed())
    assert check.outcome == "refused"
    assert check.details[-1] == f"FAILED: {WORDS}"


@pytest.mark.parametrize("passes", [1, 8])
def test_passes_are_counted(passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net = chain((3, 4), Dense(np.ones((5, 4))), Scale(np.full((1, 1), 2.0)))
    one = plain.nanoseconds(net)
    assert one == 3 * effort.EACH_LAYER + sum(
        of_layer(node.op, [net.shapes[node.inputs[0]]], net.shapes[node.name])
        for node in net.nodes[1:]
    )
    monkeypatch.setattr(effort, "MOST", passes * one)
    assert plain.in_floats(net, 1, lambda a: a, passes).NANOSECONDS == effort.DOUBLES
    with pytest.raises(TooLarge, match="as predicted"):
        plain.in_floats(net, 1, lambda a: a, passes + 1)


def test_wide_numbers_are_counted_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    net = chain((3, 4), Dense(np.ones((5, 4))))

    def run(arithmetic: RoundedSums) -> str:
        if isinstance(arithmetic, Floats):
            raise OutOfRange
        return "wide"

    assert plain.in_floats(net, 1, run) == "wide"
    monkeypatch.setattr(effort, "MOST", plain.nanoseconds(net))
    with pytest.raises(TooLarge):
        plain.in_floats(net, 1, run)


def test_what_is_not_used_is_not_counted() -> None:
    net = chain((2,), Dense(np.ones((2, 2))), Relu())
    assert plain.nanoseconds(replace(net, output=net.nodes[1].name)) < plain.nanoseconds(net)


@pytest.mark.parametrize("seed", range(20))
def test_edges_are_counted_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, outputs = (int(n) for n in rng.integers(1, 6, 2))
    net = chain((size,), Dense(np.ones((outputs, size))), Relu(), Dense(np.ones((3, outputs))))
    assert plain.edge_count(net) == outputs * size + outputs + 3 * outputs


def test_a_matrix_is_read_once_for_many_positions() -> None:
    op = Dense(np.ones((100, 100)))
    once, often = (of_layer(op, [(n, 100)], (n, 100)) for n in (1, 1000))
    assert once > 100 * 100 * 5.0
    assert often < 100 * once


def test_a_layer_that_reads_little_of_much_costs_what_it_touches() -> None:
    takes = of_layer(Select(np.zeros(1, dtype=np.int64)), [(1 << 26,)], (1,))
    assert 1e-4 * MOST < takes < 0.01 * MOST
    spent = Effort()
    spent.spend(takes)
    with pytest.raises(TooLarge, match=WORDS):
        spent.spend(MOST - takes / 2)


@pytest.mark.parametrize(
    ("op", "inputs", "output", "passes"),
    [
        (Conv(np.ones((1, 1, 1, 1))), (1, 1, 1), (1, 1, 1), 1),
        (Dense(np.ones((1, 1))), (1,), (1,), 1),
        (Conv(np.broadcast_to(1.0, (512, 512, 3, 3))), (512, 512, 512), (512, 512, 512), 1),
        (Conv(np.broadcast_to(1.0, (64, 3, 3, 3, 3))), (3, 128, 128, 128), (64, 128, 128, 128), 9),
        (Dense(np.broadcast_to(1.0, (1 << 15, 1 << 15))), (1 << 15,), (1 << 15,), 10),
        (Relu(), (1 << 27,), (1 << 27,), 100),
    ],
)
def test_what_people_have_is_passed(op: Any, inputs: Any, output: Any, passes: int) -> None:
    assert passes * of_layer(op, [inputs], output) < MOST


def test_costs_are_counted_on_the_folded_network(monkeypatch: pytest.MonkeyPatch) -> None:
    pools = [AxisWindow(axis, np.arange(2048)[None]) for axis in (1, 2)]
    layers = Conv(np.ones((64, 64, 3, 3)), padding=((1, 1),) * 2), MaxPool(tuple(pools))
    network = chain((64, 2048, 2048), *layers)
    assert plain.edge_count(network) > 1e11
    assert len(list(path_cost.each_part(network, Wides(1)))) > 0
    monkeypatch.setattr(effort, "MOST", 1e6)
    with pytest.raises(TooLarge, match="as predicted"):
        list(path_cost.each_part(network, Floats(1)))


@pytest.mark.parametrize("outputs", [2, 20_000])
def test_layers_count_however_small_they_are(outputs: int) -> None:
    """The table takes a pass for each output, over layers of one number each."""
    ends = Select(np.zeros(outputs, dtype=np.int64))
    network = chain((1,), *[Relu() for _ in range(1000)], ends)
    if outputs == 2:
        assert path_table.bounded_table(network).array.shape == (2, 1)
    else:
        with pytest.raises(TooLarge, match=WORDS):
            path_table.bounded_table(network)


@pytest.mark.parametrize("layers", [3, 30])
def test_costs_count_layers_too(layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = chain((1,), *[Dense(np.ones((1, 1))) for _ in range(layers)])
    least = 3 * (layers + 1) * effort.EACH_LAYER
    monkeypatch.setattr(effort, "MOST", 1.01 * least)
    assert len(list(path_cost.each_part(network, Floats(1)))) == layers
    monkeypatch.setattr(effort, "MOST", least)
    with pytest.raises(TooLarge, match="as predicted"):
        list(path_cost.each_part(network, Floats(1)))


def test_counts_are_refused_by_residues_too() -> None:
    with pytest.raises(TooLarge, match=WORDS):
        residues.residues(ENDLESS, {}, [7, 11])
