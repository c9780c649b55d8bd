"""A tensor that several parts of a module share has one mask, in all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sparseopt as so

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


class Tied(nn.Module):  # type: ignore[misc]
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.b.weight = self.a.weight

    def forward(self, x: Any) -> Any:
        return self.c(self.b(self.a(x).relu()).relu())


@pytest.mark.parametrize("criterion", ["magnitude", "random"])
def test_shared_weights_are_pruned_together_and_stay_so(criterion: str) -> None:
    torch.manual_seed(0)
    net, x = Tied(), torch.randn(1, 6)
    pruning = so.prune(net, 0.5, criterion=criterion, example=x)
    assert set(pruning.tensor_masks) == {"a.weight", "c.weight"}
    for _ in range(2):  # again after a step of training
        told = net(x).detach().numpy()
        assert torch.equal(net.a.weight, net.b.weight)
        assert (net.b.weight == 0).any()
        read = so.load_network(net, x)
        np.testing.assert_allclose(read.run(x[0].double().numpy()), told[0], rtol=1e-5)
        weights = [n.origin["weight"] for n in read.nodes if "weight" in n.origin]
        assert len(weights) == 3
        assert len(set(weights)) == 2
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        net(x).sum().backward()
        optimizer.step()
        net(x)


class Transposed(nn.Module):  # type: ignore[misc]
    """A weight, and its transpose."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 4)

    def forward(self, x: Any) -> Any:
        return nn.functional.linear(self.a(x).relu(), self.a.weight.t())


def test_supports_of_a_shared_weight_are_not_closed_alone() -> None:
    torch.manual_seed(0)
    net = Transposed()
    with pytest.raises(so.ProblemError, match="shares its tensor"):
        so.prune(net, 0.5, criterion="magnitude", closed=True, example=torch.zeros(1, 6))
    assert not hasattr(net.a, "weight_mask")
