"""Masks and names of PyTorch modules, which reading leaves as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import prune
from torch_reading import Function

import sparseopt as so


def test_masks_are_applied_and_the_module_is_left_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    prune.l1_unstructured(model[0], "weight", 0.5)
    prune.random_unstructured(model[2], "bias", 0.5)
    model(torch.zeros(1, 6))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    network = so.load_network(model, example=torch.zeros(1, 6))
    x = torch.randn(4, 6)
    np.testing.assert_allclose(
        network.run(x.numpy()), model(x).detach().numpy(), rtol=1e-5, atol=1e-6
    )
    assert np.count_nonzero(network.parameters()["0.weight"]) == 24
    assert prune.is_pruned(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert network.by_name["0"].origin == {"weight": "0.weight", "bias": "0.bias"}


def test_parametrized_weights_are_computed() -> None:
    model = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    network = so.load_network(model, example=torch.zeros(1, 4))
    x = torch.randn(1, 4)
    np.testing.assert_allclose(
        network.run(x.numpy()), model(x).detach().numpy(), rtol=1e-5, atol=1e-6
    )


def test_layers_are_named_by_their_modules() -> None:
    model = nn.Sequential()
    model.add_module("stem", nn.Conv2d(1, 2, 3))
    model.add_module("norm", nn.BatchNorm2d(2))
    model.add_module("act", nn.ReLU())
    network = so.load_network(model.eval(), example=torch.zeros(1, 1, 4, 4))
    assert [node.name for node in network.nodes][1:] == ["stem", "norm", "act"]
    assert "stem.weight" in network.parameters()


def test_training_on_does_not_change_a_loaded_network() -> None:
    model = nn.Linear(3, 2)
    network = so.load_network(model, example=torch.zeros(1, 3))
    before = network.run(np.ones(3))
    with torch.no_grad():
        model.weight.mul_(10)
    np.testing.assert_array_equal(network.run(np.ones(3)), before)


def test_double_precision_modules() -> None:
    model = nn.Linear(3, 2).double()
    network = so.load_network(model, example=np.zeros((1, 3)))
    assert network.parameters()[f"{network.output}.weight"].dtype == np.float64
    x = torch.randn(1, 3).double()
    np.testing.assert_allclose(network.run(x.numpy()), model(x).detach().numpy(), rtol=1e-14)


def test_operations_in_place_on_shared_values() -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        view = y.view(-1)
        y.relu_()
        return torch.cat([y.flatten(), view, x.flatten()])  # the view was changed as well

    module = Function(forward)
    network = so.load_network(module, example=torch.zeros(1, 3))
    x = torch.randn(1, 3)
    np.testing.assert_allclose(network.run(x.numpy()).ravel(), module(x).numpy(), rtol=1e-6)
