"""Certificates of the change of outputs: honest ones by each method, and forged ones.

The name of a forgery is the sentence of the line that stops it, then " | " and what it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import changed_networks
import numpy as np
from laws import law, numbered
from path_networks import image, solved

import sparseopt as so
from sparseopt.guarantees.layers import MORE
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Neuron, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Input, Relu, Reshape
from sparseopt.networks.window import AxisMap, MaxPool, Resample
from sparseopt.tools.reading.window_cells import max_window, pool_positions

Pairs = Iterator[tuple[str, Any]]
METHODS = {
    "path_metric": "path_metric",
    "signed_intervals": "signed_intervals",
    "substitution": "backward_substitution",
}
RIGHT = {
    "path_metric": "each stated bound is proved by eq. (8)",
    "signed_intervals": "each stated bound is proved by signed intervals",
    "substitution": "each stated bound is proved by backward substitution",
}


def deep(seed: int = 0, scale: float = 1.0) -> so.OutputChange:
    """Return a question about three dense layers of which each method proves another bound."""
    rng = np.random.default_rng(seed)
    layers: list[Any] = []
    for a, b in ((3, 4), (4, 4), (4, 2)):
        layers += [Dense(rng.standard_normal((b, a)), rng.standard_normal(b)), Relu()]
    net = chain((3,), *layers[:-1])
    other = {n: a + 0.1 * scale * rng.standard_normal(a.shape) for n, a in net.parameters().items()}
    return so.OutputChange(net, net.with_parameters(other), -1, 1)


def neurons() -> so.OutputChange:
    """Return a question about a graph of single neurons."""

    def net(weight: float) -> Network:
        nodes = (
            Node("inputs", Input((1,))),
            Node("x", Reshape(()), ("inputs",)),
            Node("h", Neuron(np.array([weight]), None, "relu"), ("x",)),
            Node("y", Neuron(np.array([2.0, -1.0]), None, "id"), ("h", "x")),
            Node("outputs", Reshape((1,)), ("y",)),
        )
        return Network(nodes, "outputs")

    return so.OutputChange(net(1.0), net(1.5), -1, 1)


def questions() -> dict[str, so.OutputChange]:
    """Return networks of every kind of layer."""
    kinds = {
        f"{kind}-{seed}": so.OutputChange(*changed_networks.pair(seed))
        for seed, kind in ((0, "mlp"), (2, "pools"), (3, "conv"), (4, "skip"), (5, "mixed"))
    }
    net = image()
    every = {n: a + 0.01 * (a != 0) for n, a in net.parameters().items()}
    same = deep()
    return {
        "deep": deep(),
        **kinds,
        "every-layer": so.OutputChange(net, net.with_parameters(every), -0.5, 1),
        "one-bias": so.OutputChange(net, net.with_parameters({"n.bias": np.ones(3)}), 0, 1),
        "equal": so.OutputChange(same.network, same.network, 0, 1),
        "exact": at_a_point(0, exact=True)[0],
    }


def honest() -> Pairs:
    """Yield certificates that must be accepted."""
    for name, question in questions().items():
        for method, solver in METHODS.items():
            yield f"{name} by {method}", solved(question, solver)
    yield "across signs by eq. (8)", solved(across_signs(), "path_metric")
    for name, weights in {"two axes": (2.0**50, 0.5), "one axis": (2.0**51,)}.items():
        nets = averaged(1.0, *weights), averaged(2.0, *weights)
        yield f"averages along {name}", solved(so.OutputChange(*nets, 1, 1), "signed_intervals")
    yield "many maps", law(maps_round_twice)
    yield "neurons", solved(neurons(), "signed_intervals")
    yield "neurons by eq. (8)", solved(neurons(), "path_metric")


def maps_round_twice() -> bool:
    """Whether what is found holds for many maps of one cell each, whose coefficients, and the
    products with them, are all rounded down as much as can be."""
    rng = np.random.default_rng(1)
    count, product, true, weights = 60, 1.0, Fraction(1), []
    for _ in range(count):
        tried = []
        for m in (2 * rng.integers(0, 2**28, 400)).tolist():
            exact = Fraction(2**52 + m, 2**52) + Fraction(1, 2**53) - Fraction(1, 2**80)
            found = product * float(exact)
            if found < 1.01:
                tried.append((true * exact / Fraction(found), exact, found))
        _, exact, product = max(tried)
        weights.append(exact)
        true *= exact
    cell, one = np.zeros((1, 1), dtype=int), np.ones(1, dtype=int)
    maps = tuple(
        AxisMap(i, cell, np.array([[w]], dtype=object), one) for i, w in enumerate(weights)
    )
    shapes = Reshape((1,) * count), Reshape((1,))
    network = chain((1,), Scale(np.ones(1)), shapes[0], Resample(maps), shapes[1])
    other = network.with_parameters({"0:Scale.factor": np.zeros(1)})
    problem = so.OutputChange(network, other, 1.0, 1.0)
    layer = problem.layers["2:Resample"]
    # Each map rounds a coefficient and a product; the rest is for what layers share.
    counted = min(layer.terms, layer.terms_back) >= 2 * count + MORE
    answers = [solved(problem, solver).answer for solver in METHODS.values()]
    return counted and all(true <= Fraction(answer.upper[0]) for answer in answers)


def restated(certificate: Any, low: np.ndarray, high: np.ndarray, **more: Any) -> Any:
    """Return a certificate of other intervals, with the L1 bound that goes with them."""
    answer = so.OutputChangeValue.of(low, high)
    return dataclasses.replace(certificate, answer=answer, **more)


@numbered
def forged() -> Pairs:
    """Yield (line that stops it | what it is, certificate)."""
    question = deep()
    found = {method: solved(question, solver) for method, solver in METHODS.items()}
    line = "the L1 bound is the least float that is at least the sum of the larger ends"
    for method, right in found.items():
        low, high, line = right.answer.lower, right.answer.upper, RIGHT[method]
        width = (high - low)[0]
        for share in (1e-3, 1e-9):
            less = high - share * width * np.array([1.0, 0.0])
            yield f"{line} | {method}, upper end down by {share}", restated(right, low, less)
            more = low + share * width * np.array([0.0, 1.0])
            yield f"{line} | {method}, lower end up by {share}", restated(right, more, high)
        yield f"{line} | {method}, nothing changes", restated(right, 0 * low, 0 * high)
        answer = dataclasses.replace(right.answer, l1=math.nextafter(right.answer.l1, 0.0) * 0.999)
        yield (
            f"the L1 bound is the least float | {method}, a smaller L1",
            dataclasses.replace(right, answer=answer),
        )
        yield "the method is one of | magic", dataclasses.replace(right, method="magic")
        flat = so.OutputChangeValue.of(low[:1], high[:1])
        yield "an interval for each output | one", dataclasses.replace(right, answer=flat)
    yield from forged_methods(found)
    yield from forged_last_bits()
    yield from forged_path_metrics()
    yield from forged_ranges()
    yield from forged_averages()
    yield from forged_neurons()
    yield from forged_little()
    ends = np.full(2, 1.7e308)
    huge = so.OutputChangeValue(-ends, ends, math.inf)
    yield (
        "the L1 bound is the least float | infinite",
        so.OutputChangeCertificate(question, huge, "signed_intervals"),
    )
    for words, build in refusals().items():
        yield f" | cannot be asked: {words}", build
    yield from forged_bounds(found["substitution"])
    for method in METHODS:
        yield "take over 600 s | boxes", endless(384, 256, method)
    yield "take over 600 s | substitution", endless(1, 362, "substitution")


def endless(size: int, side: int, method: str) -> so.OutputChangeCertificate:
    """Return a claim of equal outputs whose check would take hours: of a kernel as large as the
    image, or of many outputs, each of which is substituted."""
    kernel = np.broadcast_to(1.0, (1, 1, size, size))
    layer = Conv(kernel, padding=((size // 2, (size - 1) // 2),) * 2)
    net = chain((1, side, side), layer)
    other = net.with_parameters({"0:Conv.weight": 2 * kernel})
    zeros = np.zeros(net.output_shape)
    return so.OutputChangeCertificate(
        so.OutputChange(net, other, 1, 1), so.OutputChangeValue(zeros, zeros, 0.0), method
    )


def at_a_point(seed: int, exact: bool) -> tuple[so.OutputChange, Fraction]:
    """Return a question about sums that floats do not hold, at a point; and the truth."""
    rng = np.random.default_rng(seed)
    draw = rng.standard_normal
    net = chain((6,), Dense(draw((5, 6)), draw(5)), Relu(), Dense(draw((1, 5)), draw(1)))
    arrays = {n: a + 0.1 * draw(a.shape) for n, a in net.parameters().items()}
    other = net.with_parameters(arrays)
    if exact:
        thirds = {n: as_exact(a) / 3 for n, a in net.parameters().items()}
        net = net.with_parameters(thirds)
    x = draw(6)
    change = net.run(as_exact(x)) - other.run(as_exact(x))
    return so.OutputChange(net, other, x, x), change[0]


as_exact = np.frompyfunc(Fraction, 1, 1)


def forged_last_bits() -> Pairs:
    """Yield bounds that leave the truth out by a unit in the last place."""
    for exact in (False, True):
        for seed in range(6):
            question, truth = at_a_point(seed, exact)
            nearest = float(truth)
            high = nearest if nearest < truth else math.nextafter(nearest, -math.inf)
            low = math.nextafter(high, math.inf)
            for method in ("signed_intervals", "substitution"):
                for name, ends in (("upper", (high - 1.0, high)), ("lower", (low, low + 1.0))):
                    answer = so.OutputChangeValue.of(*(np.array([end]) for end in ends))
                    line = f"{RIGHT[method]} | the {name} end, {seed}, off by a unit"
                    yield line, so.OutputChangeCertificate(question, answer, method)


def forged_path_metrics() -> Pairs:
    """Yield bounds of eq. (8) below what it gives: by a unit, and where signs change."""
    line = RIGHT["path_metric"]
    for seed in range(6):
        draw = np.random.default_rng(seed).standard_normal
        weights = [draw((1, 7)), draw((1, 7))]
        reach = np.abs(draw(7))
        question = so.OutputChange(*(chain((7,), Dense(w)) for w in weights), -reach, reach)
        truth = (np.abs(as_exact(weights[0]) - as_exact(weights[1])) @ as_exact(reach))[0]
        nearest = float(truth)
        most = np.array([nearest if nearest < truth else math.nextafter(nearest, 0.0)])
        answer = so.OutputChangeValue.of(-most, most)
        yield (
            f"{line} | off by a unit, {seed}",
            so.OutputChangeCertificate(question, answer, "path_metric"),
        )
    turned = [[[1.0, -2.0, 3.0]], [[-1.0, 1.0, 0.0]]]
    for name, (a, b) in {"": turned, ", exchanged": turned[::-1]}.items():
        nets = [chain((3,), Dense(np.array(w)), Relu(), Dense(np.array([[2.0]]))) for w in (a, b)]
        question = so.OutputChange(*nets, -1, 1)
        for most in (15.999, 0.0):  # 2 (|1 + 1| + |2 + 1| + |3|)
            answer = so.OutputChangeValue.of(np.array([-most]), np.array([most]))
            certificate = so.OutputChangeCertificate(question, answer, "path_metric")
            yield f"{line} | signs change, {most}{name}", certificate


def chain_of_one(weight: float) -> Network:
    """Return a network of one neuron without a ReLU."""
    nodes = (
        Node("inputs", Input((1,))),
        Node("x", Reshape(()), ("inputs",)),
        Node("y", Neuron(np.array([weight]), None, "id"), ("x",)),
        Node("outputs", Reshape((1,)), ("y",)),
    )
    return Network(nodes, "outputs")


def forged_neurons() -> Pairs:
    """Yield what is true of a neuron before its ReLU, and not behind it."""

    def net(weight: float) -> Network:
        nodes = (
            Node("inputs", Input((1,))),
            Node("x", Reshape(()), ("inputs",)),
            Node("h", Neuron(np.array([1.0]), None, "relu"), ("x",)),
            Node("y", Neuron(np.array([weight]), None, "id"), ("h",)),
            Node("outputs", Reshape((1,)), ("y",)),
        )
        return Network(nodes, "outputs")

    most = np.full(1, 206.999)
    answer = so.OutputChangeValue.of(-most, most)
    certificate = so.OutputChangeCertificate(across_signs(), answer, "path_metric")
    yield f"{RIGHT['path_metric']} | across signs", certificate
    ends = [chain_of_one(weight) for weight in (1.0, 2.0)]
    question = so.OutputChange(*ends, -3, -1)
    little = np.full(1, 1e-9)
    answer = so.OutputChangeValue.of(-little, little)
    certificate = so.OutputChangeCertificate(question, answer, "signed_intervals")
    yield f"{RIGHT['signed_intervals']} | a neuron with a ReLU too many", certificate
    question = so.OutputChange(net(1.0), net(2.0), -3, -1)
    answer = so.OutputChangeValue.of(np.array([0.9]), np.array([3.1]))
    for method in ("signed_intervals", "substitution"):
        certificate = so.OutputChangeCertificate(question, answer, method)
        yield f"{RIGHT[method]} | a neuron without its ReLU", certificate


def forged_little() -> Pairs:
    """Yield what holds only where a small difference, or one side of a box, is not looked at."""
    third = np.array([[Fraction(1, 3)]])
    one, zero = np.ones((1, 1)), np.zeros(1)
    pairs = {
        "exact numbers of one float": (Dense(third), Dense(third + Fraction(1, 10**30)), 1.0, 0.0),
        "a box below 0": (Dense(one), Dense(2 * one), 0.0, 0.0),
        "biases of one difference": (Dense(one, zero + 1), Dense(one, zero + 2.0**-60), 1.0, 1.0),
    }
    for name, (first, second, high, value) in pairs.items():
        question = so.OutputChange(chain((1,), first), chain((1,), second), -1, high)
        for method in METHODS:
            low = -value if method == "path_metric" else value
            answer = so.OutputChangeValue.of(np.array([low]), np.array([value]))
            if method != "path_metric" or value == 0.0:
                certificate = so.OutputChangeCertificate(question, answer, method)
                yield f"{RIGHT[method]} | {name}", certificate


def across_signs() -> so.OutputChange:
    """Return a question about weights that change their signs, of which eq. (8) proves 207."""
    first = [[3, -2, 3], [3, -5, 4], [3, 5, 5], [5, -4, 7]], [[4, -1, 1], [3, -4, 3]]
    firsts = np.array(first[0], float), np.array([*first[1], [1, 7, 7], [7, -5, 9]], float)
    lasts = np.array([[-4.0, 5, 1, -7]]), np.array([[-5.0, 5, -1, -7]])
    bias = np.array([-4.0, -7, -1, 4])
    nets = [
        chain((3,), Dense(w, bias), Relu(), Dense(v, np.full(1, 2.0)))
        for w, v in zip(firsts, lasts, strict=True)
    ]
    return so.OutputChange(*nets, [-2, -1, -3], [2, 1, 3])


def averaged(weight: float, *factors: Any) -> Network:
    """Return a number times a weight, added up along axes of size 1 with these factors."""
    rows = [np.atleast_2d(np.asarray(f, dtype=np.float64)) for f in factors]
    maps = [
        AxisMap(i, np.zeros(row.shape, dtype=int), row, np.array([row.size]))
        for i, row in enumerate(rows)
    ]
    dense = Dense(np.array([[weight]]))
    return chain((1,), dense, Reshape((1,) * len(maps)), Resample(tuple(maps)))


def forged_averages() -> Pairs:
    """Yield the claim that nothing changes where a small average is enlarged by the next."""
    nothing = so.OutputChangeValue.of(np.zeros(1), np.zeros(1))
    line = "averages along several axes with weights above"
    large = {
        "a large weight": [2.0**50 * (1 + 2.0**-50)],
        "two": [[2.0**50] * 2],
        "two maps": [2.0**25, 2.0**25 * (1 + 2.0**-50)],
        "a large map between small ones": [2.0**-60, 2.0**51, 2.0**-60],
    }
    for name, last in large.items():
        nets = [averaged(weight, 1e-300, *last) for weight in (1e-100, 2e-100)]

        def asked(nets: Any = nets) -> Any:
            question = so.OutputChange(*nets, 1, 1)
            return so.verify(so.OutputChangeCertificate(question, nothing, "signed_intervals"))

        yield f"{line} | {name}", asked


def forged_ranges() -> Pairs:
    """Yield the claim that nothing changes where float64 does not hold a parameter."""
    nothing = so.OutputChangeValue.of(np.zeros(1), np.zeros(1))
    for name, number in (("tiny", Fraction(1, 10**400)), ("huge", Fraction(10**400))):
        nets = [chain((1,), Dense(np.array([[value]]))) for value in (number, 2 * number)]
        question = so.OutputChange(*nets, 0, 1)
        for method in METHODS:
            certificate = so.OutputChangeCertificate(question, nothing, method)
            yield f"leaves the range of float64 | {name}, {method}", certificate


def forged_methods(found: dict[str, Any]) -> Pairs:
    """Yield bounds that another method proves, and answers of other questions."""
    tight, middle = found["substitution"], found["signed_intervals"]
    yield (
        RIGHT["signed_intervals"] + " | what substitution proves",
        dataclasses.replace(tight, method="signed_intervals", bounds={}),
    )
    yield (
        RIGHT["path_metric"] + " | what intervals prove",
        dataclasses.replace(middle, method="path_metric"),
    )
    yield (
        RIGHT["substitution"] + " | without the layers' bounds",
        dataclasses.replace(tight, bounds={}),
    )
    yield (
        "bounds are stated of layers | for intervals",
        dataclasses.replace(middle, bounds=tight.bounds),
    )
    for method, right in found.items():
        wider = dataclasses.replace(right.problem, lower=np.full(3, -1.5))
        yield f"{RIGHT[method]} | a smaller box", dataclasses.replace(right, problem=wider)
        further = deep(scale=1.5)
        yield f"{RIGHT[method]} | a smaller change", dataclasses.replace(right, problem=further)


def forged_bounds(right: Any) -> Pairs:
    """Yield stated bounds of layers that are not so."""
    name = "2:Dense"
    line = RIGHT["substitution"]
    for kind, word in enumerate(("the change", "the other network", "the first network")):
        for side in (0, 1):
            other = right.bounds[name].copy()
            centre = other[kind].mean(axis=0)
            other[kind, side] += 1e-6 * (centre - other[kind, side])
            yield (
                f"{line} | {word}, side {side}, too narrow",
                dataclasses.replace(right, bounds={**right.bounds, name: other}),
            )
    for side, step in ((0, -1.0), (1, 1.0)):
        other = right.bounds[name].copy()
        other[0, side, 0] += step
        yield (
            f"no stated bound is far outside | a wide one, side {side}",
            dataclasses.replace(right, bounds={**right.bounds, name: other}),
        )
    form = "the stated bounds are three intervals"
    odd = {
        "flat": right.bounds[name][0],
        "float32": right.bounds[name].astype(np.float32),
        "NaN": right.bounds[name] * np.nan,
        "infinite": right.bounds[name] * np.inf,
    }
    for word, array in odd.items():
        yield (
            f"{form} | {word}",
            dataclasses.replace(right, bounds={**right.bounds, name: array}),
        )
    yield (
        "bounds are stated of layers | of no layer",
        dataclasses.replace(right, bounds={**right.bounds, "z": right.bounds[name]}),
    )


def pooled(windows: Any) -> Network:
    """Return a network with a pool of these windows."""
    return chain((4,), Dense(np.eye(4)), MaxPool(windows))


def refusals() -> dict[str, Any]:
    """Return questions that cannot be asked, by a part of the error, as a regular expression."""
    net = chain((2,), Dense(np.ones((3, 2))), Relu(), Dense(np.ones((1, 3))))
    wide = chain((2,), Dense(np.ones((4, 2))), Relu(), Dense(np.ones((1, 4))))
    longer = chain((2,), Dense(np.ones((3, 2))), Relu(), Dense(np.ones((1, 3))), Relu())
    other = chain((2,), Dense(np.ones((3, 2))), Reshape((3,)), Dense(np.ones((1, 3))))
    one, two = (pooled((max_window(0, pool_positions(4, k, 2, (0, 0)), 4),)) for k in (2, 1))
    pool = Network(
        (
            Node("x", Input(())),
            Node("y", Neuron(np.array([2.0]), None, "pool"), ("x",)),
        ),
        "y",
    )
    wide_pads = ConvTranspose(np.ones((1, 1, 1)), None, (), ((0, -(1 << 27)),))
    padded = chain((1, 1), wide_pads, Relu())
    return {
        "more than 134217728 values": lambda: so.OutputChange(padded, padded, 0, 1),
        "must be a Network": lambda: so.OutputChange(net, "a", 0, 1),  # type: ignore[arg-type]
        "part where one has node '0:Dense'": lambda: so.OutputChange(net, wide, 0, 1),
        "part where one has node '1:Relu'": lambda: so.OutputChange(net, other, 0, 1),
        "part where one has node '1:MaxPool'": lambda: so.OutputChange(one, two, 0, 1),
        "one has its end, and the other node '3:Relu'": lambda: so.OutputChange(net, longer, 0, 1),
        r"inputs of the shape \(2,\), and the other inputs of the shape \(3,\)": lambda: (
            so.OutputChange(net, chain((3,), Relu()), 0, 1)
        ),
        r"lower is .*2.* at entry \(1,\)": lambda: so.OutputChange(net, net, [0, 2], 1),
        "lower has shape": lambda: so.OutputChange(net, net, [0, 0, 0], 1),
        "upper has a nan": lambda: so.OutputChange(net, net, 0, np.nan),
        "upper has an inf": lambda: so.OutputChange(net, net, 0, [1, np.inf]),
        "lower has dtype float16": lambda: so.OutputChange(net, net, np.float16(0), 1),
        "lower has dtype <U1": lambda: so.OutputChange(net, net, np.array("0"), 1),
        "lower and upper differ in shape": lambda: so.OutputChangeValue(np.ones(1), np.ones(2), 2),
        "upper has dtype complex128": lambda: so.OutputChange(net, net, 0, 1j),
        "is a Neuron that pools": lambda: so.OutputChange(pool, pool, 0, 1),
        "starts": lambda: so.largest_change(net, net, 0, 1, starts=0),
        "inputs has shape": lambda: so.largest_change(net, net, 0, 1, inputs=np.zeros((2, 3))),
    }
