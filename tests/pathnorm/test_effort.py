"""What takes too long is refused before it starts, and what is cheap is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks import Conv, Dense, MaxPool, Relu, Scale, Select, chain
from sparseopt.networks.window import AxisWindow
from sparseopt.pathnorm import path_cost, plain, residues
from sparseopt.pathnorm.effort import MOST, Effort
from sparseopt.pathnorm.floats import Floats
from sparseopt.pathnorm.residues import Residues
from sparseopt.pathnorm.wides import Wides

KERNEL = np.ones((1, 1, 512, 512))
ENDLESS = chain((1, 1024, 1024), Conv(KERNEL, padding=((256, 255),) * 2))
"""2.7e11 edges of 262,144 weights."""
SHAPE = ENDLESS.output_shape
WORDS = "passing through its layers takes over 10 minutes"


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
    assert check.details[-1] == f"FAILED: {WORDS}, as predicted"


@pytest.mark.parametrize("arithmetic", [Floats, Wides, Residues])
def test_every_step_is_counted(arithmetic: Any) -> None:
    a = arithmetic([7]) if arithmetic is Residues else arithmetic(1)
    net = chain((3, 4), Dense(np.ones((5, 4))), Scale(np.full((1, 1), 2.0)))
    spent = [a._effort.left]

    def take(result: Any) -> Any:
        spent.append(a._effort.left)
        assert spent[-1] < spent[-2]
        return result

    dense, scale = (node.op for node in net.nodes[1:])
    x = a.ones((3, 4))
    y = take(a.forward(dense, [x], (3, 5)))
    take(a.plus(y, y))
    take(a.forward(scale, [y], (3, 5)))
    if arithmetic is not Residues:
        take(a.backward(dense, y, [(3, 4)]))
        take(list(a.gradient(dense, [x], y)))


def test_samples_are_counted() -> None:
    op, left = Scale(np.full((1,), 2.0)), []
    for samples in (1, 10):
        a = Floats(1)
        a.forward(op, [a.ones((4,), samples)], (4,))
        left.append(MOST - a._effort.left)
    assert left[1] == pytest.approx(10 * left[0])
    left = []
    for primes in ([7], [7] * 10):
        b = Residues(primes)
        b.forward(op, [b.ones((4,))], (4,))
        left.append(MOST - b._effort.left)
    assert left[1] == pytest.approx(10 * left[0])


def test_a_matrix_is_read_once_for_many_samples() -> None:
    spent = []
    for samples in (1, 1000):
        effort = Effort()
        effort.spend(Dense(np.ones((100, 100))), [(100,)], (100,), samples)
        spent.append(MOST - effort.left)
    assert spent[0] > 100 * 100 * 5.0
    assert spent[1] < 100 * spent[0]


def test_a_layer_that_reads_little_of_much_costs_what_it_touches() -> None:
    effort, op = Effort(), Select(np.zeros(1, dtype=np.int64))
    effort.spend(op, [(1 << 26,)], (1,))
    assert 0.99 * MOST < effort.left < 0.9999 * MOST
    with pytest.raises(so.ProblemError, match=WORDS):
        effort.spend(op, [(1 << 26,)], (1,), samples=2000)


@pytest.mark.parametrize(
    ("op", "inputs", "output", "samples"),
    [
        (Conv(np.ones((1, 1, 1, 1))), (1, 1, 1), (1, 1, 1), 1),
        (Dense(np.ones((1, 1))), (1,), (1,), 1),
        (Conv(np.broadcast_to(1.0, (512, 512, 3, 3))), (512, 512, 512), (512, 512, 512), 1),
        (Conv(np.broadcast_to(1.0, (64, 3, 3, 3, 3))), (3, 128, 128, 128), (64, 128, 128, 128), 9),
        (Dense(np.broadcast_to(1.0, (1 << 15, 1 << 15))), (1 << 15,), (1 << 15,), 10),
        (Relu(), (1 << 27,), (1 << 27,), 100),
    ],
)
def test_what_people_have_is_passed(op: Any, inputs: Any, output: Any, samples: int) -> None:
    Effort().spend(op, [inputs], output, samples)


def test_costs_are_counted_on_the_folded_network() -> None:
    pools = [AxisWindow(axis, np.arange(2048)[None]) for axis in (1, 2)]
    layers = Conv(np.ones((64, 64, 3, 3)), padding=((1, 1),) * 2), MaxPool(tuple(pools))
    network = chain((64, 2048, 2048), *layers)
    assert plain.edge_count(network) > 1e11
    a = Floats(1)
    assert len(list(path_cost.each_part(network, a))) > 0
    assert a._effort.left > 0.99 * MOST


def test_counts_are_refused_by_residues_too() -> None:
    with pytest.raises(so.ProblemError, match=WORDS):
        residues.residues(ENDLESS, {}, [7, 11])
