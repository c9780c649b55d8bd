"""Path-norms and their certificates, on networks whose norms are known."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from path_oracle import graph_of, powers, public_cases, random_graph

import sparseopt as so
from sparseopt.judging.check import check_certificate
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Concat, Input, Relu

CASES = {case["name"]: case for case in public_cases()["cases"]}
SOLVERS = ["one_pass", "path_enumeration"]
RNG = np.random.default_rng(11)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", list(CASES))
def test_published_values(name: str, solver: str) -> None:
    case = CASES[name]
    network = so.load_network(graph_of(case["graph"]))
    assert so.path_count(network) == case["n_paths"]
    for q, right in [*case["norm_pow_per_output"].items(), ("inf", case["linf_per_output"])]:
        answer = so.solve(so.PathNorm(network, float(q)), solver=solver).answer
        assert [str(value) for value in answer.exact_powers or ()] == right
    for exponents, value in case["mixed"].items():
        q, r = map(float, exponents.split(","))
        answer = so.solve(so.PathNorm(network, q, r), solver=solver).answer
        assert answer.value == pytest.approx(value, rel=1e-15)
        assert 10**answer.log10 == pytest.approx(value, rel=1e-13)


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_against_the_definition(seed: int) -> None:
    graph = random_graph(seed, hidden=7)
    network = so.load_network(graph)
    for q in (0, 1, 2, 3, math.inf):
        right = powers(graph, q)
        for solver in SOLVERS:
            answer = so.solve(so.PathNorm(network, q, math.inf), solver=solver).answer
            assert list(answer.exact_powers or ()) == right


def test_exact_norms() -> None:
    network = so.load_network(graph_of(CASES["two_outputs_dead"]["graph"]))
    one = so.solve(so.PathNorm(network)).answer
    assert one.exact == sum(one.exact_powers)
    assert so.solve(so.PathNorm(network, 1, math.inf)).answer.exact == max(one.exact_powers)
    assert so.solve(so.PathNorm(network, 2, 2)).answer.exact is None
    count = so.solve(so.PathNorm(network, 0)).answer
    assert count.exact == 6 or isinstance(count.exact, Fraction)
    assert count.value == float(count.exact)


def deep(depth: int, width: int, scale: float) -> Network:
    layers: list[Any] = []
    for _ in range(depth):
        layers += [
            Dense(scale * RNG.standard_normal((width, width)), RNG.standard_normal(width)),
            Relu(),
        ]
    return chain((width,), *layers)


@pytest.mark.parametrize("q", [0.5, 4, math.inf])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_depth_2000_has_finite_logarithms(q: float, scale: float) -> None:
    network = deep(2000, 4, scale)
    answer = so.solve(so.PathNorm(network, q)).answer
    assert math.isfinite(answer.log10)
    expected = reference_log10(network, q)
    np.testing.assert_allclose(answer.per_output_log10, expected, rtol=1e-12, atol=1e-10)


def reference_log10(network: Network, q: float) -> np.ndarray:
    """A plain pass on logarithms, neuron by neuron."""
    logs = np.zeros(network.input_shape)
    for node in network.nodes:
        if isinstance(node.op, Dense):
            weight = np.log(np.abs(node.op.weight))
            bias = np.log(np.abs(node.op.bias))
            terms = np.concatenate([weight + logs, bias[:, None]], axis=1)
            top = terms.max(axis=1)
            if q == math.inf:
                logs = top
            else:
                total = np.exp(q * (terms - top[:, None])).sum(axis=1)
                logs = top + np.log(total) / q
    return logs / math.log(10)


def test_outputs_hundreds_of_decades_apart() -> None:
    tiny, huge = np.array([[1e-250]]), np.array([[1e250]])
    nodes = [Node("x", Input((1,)))]
    for name, weight in (("a", tiny), ("b", huge)):
        before = "x"
        for i in range(8):
            nodes.append(Node(f"{name}{i}", Dense(weight), (before,)))
            before = f"{name}{i}"
    nodes.append(Node("y", Concat(0), ("a7", "b7")))
    network = Network(tuple(nodes), "y")
    answer = so.solve(so.PathNorm(network, 3, math.inf), solver="one_pass").answer
    np.testing.assert_allclose(answer.per_output_log10, [-2000, 2000], rtol=1e-12)
    assert answer.value == math.inf
    assert answer.log10 == pytest.approx(2000)


def test_a_norm_of_zero() -> None:
    network = chain((2,), Dense(np.zeros((3, 2))), Relu(), Dense(np.zeros((1, 3)), np.zeros(1)))
    for q in (0, 0.5, 1, 2, math.inf):
        answer = so.solve(so.PathNorm(network, q)).answer
        assert (answer.value, answer.log10) == (0.0, -math.inf)
    assert so.path_count(network) == 7
    assert so.path_count(network, nonzero=True) == 0


def test_rescaling_a_hidden_neuron_changes_nothing() -> None:
    w1, b1, w2 = RNG.standard_normal((5, 3)), RNG.standard_normal(5), RNG.standard_normal((2, 5))
    factor = 2.0 ** RNG.integers(-20, 20, size=5)
    before = chain((3,), Dense(w1, b1), Relu(), Dense(w2))
    after = chain((3,), Dense(factor[:, None] * w1, factor * b1), Relu(), Dense(w2 / factor))
    for q in (0.5, 1, 2, math.inf):
        a, b = (so.solve(so.PathNorm(n, q, 2)).answer for n in (before, after))
        assert a.value == pytest.approx(b.value, rel=1e-14)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"network": 3}, "so.load_network"),
        ({"q": -1}, "q is -1"),
        ({"q": float("nan")}, "q is nan"),
        ({"q": "one"}, "q must be a number, got 'one'"),
        ({"q": True}, "q must be a number, got True"),
        ({"r": 0}, "r is 0"),
        ({"affine": "asis"}, "must be 'as_is' or 'merged'"),
    ],
)
def test_bad_problems_are_refused(arguments: dict[str, Any], words: str) -> None:
    network = so.load_network(random_graph(0))
    with pytest.raises(so.ProblemError, match=words):
        so.PathNorm(**{"network": network, **arguments})


def problems() -> dict[str, so.PathNorm]:
    exact = so.load_network(random_graph(1))
    floats = deep(3, 6, 1.0)
    large = chain((300,), *(Dense(RNG.standard_normal((300, 300))) for _ in range(8)))
    return {
        "exact": so.PathNorm(exact),
        "exact-inf": so.PathNorm(exact, math.inf),
        "small": so.PathNorm(floats, 2, 2),
        "real-q": so.PathNorm(floats, 1.5),
        "large": so.PathNorm(large, 2, 1),
        "count": so.PathNorm(large, 0),
    }


@pytest.mark.parametrize("name", list(problems()))
def test_certificates_survive_json_and_forgeries_do_not(name: str) -> None:
    problem = problems()[name]
    solution = so.solve(problem, solver="one_pass")
    certificate = so.from_json(so.to_json(solution.certificate))
    assert check_certificate(certificate).ok
    answer = solution.answer
    logs = answer.per_output_log10.copy()
    logs.flat[-1] += 1e-6
    forged = [
        dataclasses.replace(answer, value=answer.value * 1.001),
        dataclasses.replace(answer, log10=answer.log10 + 1e-6),
        dataclasses.replace(answer, per_output_log10=logs),
        dataclasses.replace(answer, q=7),
        dataclasses.replace(answer, affine="merged"),
        dataclasses.replace(answer, log10=math.nan),
    ]
    if answer.exact_powers is not None:
        changed = (answer.exact_powers[0] + Fraction(1, 10**30), *answer.exact_powers[1:])
        forged.append(dataclasses.replace(answer, exact_powers=changed))
        forged.append(dataclasses.replace(answer, exact_powers=answer.exact_powers[1:]))
    for bad in forged:
        check = check_certificate(so.PathNormCertificate(problem, bad))
        assert not check.ok, bad
        assert check.details[-1].startswith("FAILED")


def test_solvers_agree_on_floats_and_enumeration_gives_exact_values() -> None:
    network = deep(3, 4, 1.0)
    for q in (0, 1, 2, math.inf):
        fast = so.solve(so.PathNorm(network, q), solver="one_pass").answer
        slow = so.solve(so.PathNorm(network, q), solver="path_enumeration").answer
        assert slow.exact_powers is not None
        assert fast.log10 == pytest.approx(slow.log10, abs=1e-13)


def test_enumeration_says_why_it_stops() -> None:
    plan = str(so.plan(so.PathNorm(deep(1, 300, 1.0), 1)))
    assert "90300 edges" in plan
    problem = so.PathNorm(deep(6, 10, 1.0))
    with pytest.raises(so.SolveError, match="paths, more than max_paths"):
        so.solve(problem, solver="path_enumeration")
    plan = str(so.plan(so.PathNorm(deep(2, 3, 1.0), 1.5)))
    assert "q = 1.5" in plan
