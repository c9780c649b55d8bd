"""Rescaling of torch modules in place."""

from __future__ import annotations

import numpy as np
import pytest

import sparseopt as so

torch = pytest.importorskip("torch")
nn = torch.nn


class Residual(nn.Module):  # type: ignore[name-defined,misc]
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.mix = nn.Conv2d(8, 8, 3, padding=1)
        self.plain_norm = nn.BatchNorm2d(8, affine=False)
        self.narrow = nn.Conv2d(8, 4, 1)
        self.act = nn.LeakyReLU(0.1)
        self.head = nn.Linear(36, 5)
        self.raw = nn.Parameter(torch.randn(5, 5))

    def forward(self, x):  # type: ignore[no-untyped-def]
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(self.plain_norm(self.mix(x))) + x
        x = nn.functional.max_pool2d(self.act(self.narrow(x)), 2)
        return self.head(x.flatten(1)) @ self.raw


@pytest.fixture
def module() -> object:
    torch.manual_seed(0)
    made = Residual()
    for norm in (made.norm, made.plain_norm):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    nn.init.normal_(made.norm.weight)
    nn.init.normal_(made.norm.bias)
    return made.eval()


X = np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32)


def outputs(module: object) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(X)).numpy()  # type: ignore[operator,no-any-return]


def test_powers_of_two_change_no_bit_of_a_module(module: object) -> None:
    before = outputs(module)
    weight = module.stem.weight  # type: ignore[attr-defined]
    old = weight.detach().clone()
    network = so.load_network(module, X)
    factors = so.random_factors(module, example=X, seed=1)
    assert so.rescale(module, factors, example=X) is module
    assert module.stem.weight is weight  # type: ignore[attr-defined]
    assert not torch.equal(old, weight)
    np.testing.assert_array_equal(before, outputs(module))
    assert so.are_rescaling_equivalent(network, so.load_network(module, X))


def test_a_module_is_canonicalized_in_place(module: object) -> None:
    before = outputs(module)
    torch.nn.utils.prune.random_unstructured(module.mix, "weight", 0.5)  # type: ignore[attr-defined]
    masked = outputs(module)
    so.canonicalize(module, example=X)
    np.testing.assert_allclose(masked, outputs(module), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(so.neural_balance(module, example=X).ratio, 1.0, rtol=1e-6)
    assert not np.allclose(before, masked)


def test_what_the_network_does_not_show_is_not_broken() -> None:
    class Reused(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.b(torch.relu(self.a(x))) + x @ (2 * self.a.weight)[:, :2]

    made = Reused().eval()
    x = np.ones((1, 3), np.float32)
    before = made.a.weight.detach().clone()
    with pytest.raises(so.ProblemError, match="used in another place too"):
        so.rescale(made, [2.0, 4.0, 8.0], example=x)
    assert torch.equal(before, made.a.weight)
