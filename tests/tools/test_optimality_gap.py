"""The distance of trained networks from the global optimum."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import sparseopt as so
from sparseopt.networks import Dense, Relu, Reshape, Scale, chain

RNG = np.random.default_rng(6)
INPUTS, TARGETS = RNG.standard_normal((8, 3)), RNG.standard_normal(8)
DECAY = 0.1


def mlp(*sizes: int, hidden_bias: bool = True, bias: bool = False) -> torch.nn.Sequential:
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for k, (a, b) in enumerate(itertools.pairwise(sizes)):
        last = k == len(sizes) - 2
        layers += [torch.nn.Linear(a, b, bias=bias if last else hidden_bias), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def loss(module: torch.nn.Module) -> torch.Tensor:
    """Return the objective as a user of torch writes it."""
    dtype = next(module.parameters()).dtype
    out = module(torch.tensor(INPUTS, dtype=dtype)).reshape(-1)
    data = 0.5 * ((out - torch.tensor(TARGETS, dtype=dtype)) ** 2).sum()
    return data + DECAY / 2 * sum((p**2).sum() for p in module.parameters())


@pytest.mark.parametrize("hidden_bias", [False, True])
def test_a_torch_network_before_and_after_training(hidden_bias: bool) -> None:
    module = mlp(3, 16, 1, hidden_bias=hidden_bias).double()
    before = so.optimality_gap(module, INPUTS, TARGETS, DECAY)
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(module)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    after = so.optimality_gap(module, INPUTS, TARGETS, DECAY)
    for solution in (before, after):
        assert so.verify(solution).ok
        assert solution.status is so.Status.WEAK
    assert after.certificate.primal == pytest.approx(float(loss(module).detach()), rel=1e-12)
    assert after.certificate.dual == before.certificate.dual
    assert after.certificate.gap < before.certificate.gap
    assert after.certificate.gap < 0.2 * after.certificate.primal
    best = so.solve(after.problem)
    assert best.certificate.primal <= after.certificate.primal
    assert after.certificate.gap == pytest.approx(
        after.certificate.primal - best.certificate.primal, rel=1e-6
    )
    text = after.to_json()
    assert so.verify(so.Solution.from_json(text)).ok


def test_the_optimal_network_is_verified() -> None:
    best = so.solve(so.TwoLayerReLU(INPUTS, TARGETS, DECAY))
    net = chain((3,), Dense(best.answer.hidden.T), Relu(), Dense(best.answer.outer[None]))
    solution = so.optimality_gap(net, INPUTS, TARGETS[:, None], DECAY)
    assert solution.status is so.Status.VERIFIED
    assert solution.certificate.accuracy <= 1e-8


def test_a_network_as_plain_arrays() -> None:
    network = so.TwoLayerNetwork(np.ones((3, 2)), [0.5, -0.25])
    solution = so.optimality_gap(network, INPUTS, TARGETS, DECAY)
    assert so.verify(solution).ok
    objective = solution.problem.evaluate(network)["objective"]
    assert solution.certificate.primal == pytest.approx(objective, rel=1e-12)
    with pytest.raises(so.ProblemError, match="does not fit"):
        so.optimality_gap(network, INPUTS[:, :2], TARGETS, DECAY)
    gated = so.TwoLayerNetwork(np.ones((3, 1)), [0.5], np.ones((3, 1)))
    with pytest.raises(so.ProblemError, match="gates exactly if"):
        so.optimality_gap(gated, INPUTS, TARGETS, DECAY)


def test_float32_and_shapes_of_samples() -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), *mlp(6, 4, 1))
    inputs = RNG.standard_normal((5, 2, 3)).astype(np.float32)
    solution = so.optimality_gap(module, inputs, np.ones(5), 0.1)
    assert solution.problem.inputs.shape == (5, 7)
    assert solution.problem.inputs[:, 6].tolist() == [1.0] * 5
    expected = module(torch.tensor(inputs)).detach().numpy()[:, 0]
    found = solution.answer.predict(solution.problem.inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_an_onnx_file_whose_bias_is_added_by_a_node(tmp_path: Path) -> None:
    weights = {
        "W": RNG.standard_normal((3, 4)).astype(np.float32),
        "b": RNG.standard_normal(4).astype(np.float32),
        "V": RNG.standard_normal((4, 1)).astype(np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "W"], ["h"]),
            helper.make_node("Add", ["h", "b"], ["s"]),
            helper.make_node("Relu", ["s"], ["r"]),
            helper.make_node("MatMul", ["r", "V"], ["y"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    solution = so.optimality_gap(path, INPUTS, TARGETS, DECAY)
    assert so.verify(solution).ok
    hidden = np.maximum(INPUTS @ weights["W"] + weights["b"], 0)
    residual = hidden @ weights["V"][:, 0] - TARGETS
    expected = 0.5 * residual @ residual + DECAY / 2 * sum((v**2).sum() for v in weights.values())
    assert solution.certificate.primal == pytest.approx(expected, rel=1e-6)


def test_an_output_bias_of_zero_is_none() -> None:
    module = mlp(3, 4, 1, bias=True)
    torch.nn.init.zeros_(module[-1].bias)
    assert so.verify(so.optimality_gap(module, INPUTS, TARGETS, DECAY)).ok


def refused() -> list[tuple[str, Any]]:
    first, last = Dense(np.ones((4, 3))), Dense(np.ones((1, 4)))
    exact = Dense(np.array([[Fraction(1)] * 4], dtype=object))
    shift, factor = Scale(bias=np.ones(4)), Scale(factor=np.full(4, 2.0))
    return [
        ("the output layer '2' has a bias", mlp(3, 4, 1, bias=True)),
        ("the network has 2 hidden layers", mlp(3, 4, 4, 1)),
        ("the network has 3 hidden layers", mlp(3, 4, 4, 4, 1)),
        ("has 2 outputs", mlp(3, 4, 2)),
        ("must be a dense layer, a ReLU and a dense layer", mlp(3, 1)),
        ("the network has 2 hidden layers", chain((3,), first, Relu(), Relu(), last)),
        ("must be a dense layer, a ReLU and a dense layer", chain((3,), first, last)),
        ("are exact fractions", chain((3,), first, Relu(), exact)),
        ("constants that are not the bias", chain((3,), first, factor, Relu(), last)),
        ("constants that are not the bias", chain((3,), first, Relu(), shift, last)),
        ("constants that are not the bias", chain((3,), first, shift, shift, Relu(), last)),
        (
            "at more than one position",
            chain((3,), Reshape((3, 1)), Dense(np.ones((4, 1))), Relu(), Dense(np.ones((1, 4)))),
        ),
    ]


@pytest.mark.parametrize(("message", "network"), refused())
def test_other_networks_are_refused_by_name(message: str, network: Any) -> None:
    with pytest.raises(so.ProblemError, match=message):
        so.optimality_gap(network, INPUTS, TARGETS, DECAY)


@pytest.mark.parametrize(
    ("message", "inputs", "targets"),
    [
        ("give at least one sample, and 3 numbers", INPUTS[:, :2], TARGETS),
        ("give at least one sample", INPUTS[:0], TARGETS[:0]),
        ("targets has shape", INPUTS, TARGETS[:4]),
        ("targets has a nan", INPUTS, TARGETS * np.nan),
        ("activation patterns", RNG.standard_normal((400, 3)), np.ones(400)),
    ],
)
def test_data_that_do_not_fit_are_refused(message: str, inputs: Any, targets: Any) -> None:
    net = chain((3,), Dense(np.ones((4, 3))), Relu(), Dense(np.ones((1, 4))))
    with pytest.raises(so.ProblemError, match=message):
        so.optimality_gap(net, inputs, targets, DECAY)


def test_a_shift_behind_the_relu_is_no_hidden_bias() -> None:
    """Also where a change of shape stands between."""
    for between in ((), (Reshape((3,)),)):
        shift = Scale(None, np.array([1.0, 2.0, 3.0]))
        weights = RNG.standard_normal((3, 3)), RNG.standard_normal((1, 3))
        net = chain((3,), Dense(weights[0]), Relu(), *between, shift, Dense(weights[1]))
        with pytest.raises(so.ProblemError, match="not the bias of a dense layer"):
            so.optimality_gap(net, INPUTS, TARGETS, decay=DECAY)
