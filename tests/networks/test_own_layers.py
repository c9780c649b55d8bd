"""Networks of the library's own layers: read from every source, and taken by every tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseopt as so

torch = pytest.importorskip("torch")
nn = torch.nn

CHAINS = {
    "dyadic": so.Architecture.square_dyadic(8),
    "monarch": so.Architecture.monarch(8, 8, 2, 4),
    "not chainable": so.Architecture([(4, 2, 2, 1), (2, 2, 2, 2), (1, 2, 2, 4)]),
    "redundant": so.Architecture([(1, 4, 4, 2), (1, 8, 8, 1)]),
}


def module_of(chain: so.Architecture) -> Any:
    torch.manual_seed(0)
    first, last = so.KroneckerLinear(8, 8, chain), so.KroneckerLinear(8, 8, chain, bias=False)
    return nn.Sequential(first, nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), last).double().eval()


def dense_of(module: Any) -> Any:
    layers = [m.to_linear() if isinstance(m, so.KroneckerLinear) else m for m in module]
    return nn.Sequential(*layers)


def read(module: Any, source: str, folder: Path) -> so.Network:
    x = torch.randn(3, 8, dtype=torch.float64)
    if source == "module":
        return so.load_network(module, example=x)
    torch.export.save(torch.export.export(module, (x,)), folder / "model.pt2")
    return so.load_network(folder / "model.pt2")


@pytest.mark.parametrize("source", ["module", "pt2"])
@pytest.mark.parametrize("chain", CHAINS)
def test_factors_are_read_and_compute_the_same(chain: str, source: str, tmp_path: Path) -> None:
    module = module_of(CHAINS[chain])
    network = read(module, source, tmp_path)
    x = np.random.default_rng(0).standard_normal((5, 8))
    expected = module(torch.from_numpy(x)).detach().numpy()
    for row, wanted in zip(x, expected, strict=True):
        np.testing.assert_allclose(network.run(row), wanted, rtol=1e-10, atol=1e-12)
    # A path through factors is one path of their product, unless supports overlap.
    if chain in ("dyadic", "monarch", "not chainable"):
        norm = so.solve(so.PathNorm(network)).answer.value
        dense = so.load_network(dense_of(module), example=torch.randn(1, 8, dtype=torch.float64))
        assert norm == pytest.approx(so.solve(so.PathNorm(dense)).answer.value, rel=1e-9)


@pytest.mark.parametrize("chain", CHAINS)
def test_every_tool_takes_such_a_network(chain: str, tmp_path: Path) -> None:
    network = read(module_of(CHAINS[chain]), "module", tmp_path)
    for problem in (so.PathNorm(network), so.PathCost(network), so.LipschitzBound(network)):
        assert so.solve(problem).status is so.Status.VERIFIED
    x = np.linspace(-1, 1, 8)
    rescaled = so.rescale(network, so.random_factors(network, seed=0))
    assert so.are_rescaling_equivalent(network, rescaled).equivalent
    for other in (rescaled, so.canonicalize(network)):
        np.testing.assert_allclose(other.run(x), network.run(x), rtol=1e-9, atol=1e-12)
    pruned = so.prune(network, 0.5)
    assert pruned.density == pytest.approx(0.5, abs=0.02)
    assert so.analyze(network).findings
