"""Networks that the library itself makes: read from every source, and taken by every tool."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.layers import consecutive_linear_pairs

torch = pytest.importorskip("torch")
nn = torch.nn

CHAINS = {
    "dyadic": so.Architecture.square_dyadic(8),
    "monarch": so.Architecture.monarch(8, 8, 2, 4),
    "not chainable": so.Architecture([(4, 2, 2, 1), (2, 2, 2, 2), (1, 2, 2, 4)]),
    "redundant": so.Architecture([(1, 4, 4, 2), (1, 8, 8, 1)]),
}
KERNELS: dict[str, dict[str, Any]] = {
    "1 x 1": {"kernel_size": 1},
    "3 x 3": {"kernel_size": 3, "padding": 1, "stride": 2},
}


def linear_module(chain: so.Architecture) -> Any:
    torch.manual_seed(0)
    first, last = so.KroneckerLinear(8, 8, chain), so.KroneckerLinear(8, 8, chain, bias=False)
    return nn.Sequential(first, nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), last).double().eval()


def image_module(kernel: str, chain: str = "dyadic") -> Any:
    torch.manual_seed(0)
    first = so.KroneckerConv2d(4, 8, architecture=[(1, 8, 4, 1)], kernel_size=1)
    second = so.KroneckerConv2d(8, 8, architecture=CHAINS[chain], **KERNELS[kernel])
    cells = 16 if kernel == "1 x 1" else 4
    head = so.KroneckerLinear(8 * cells, 4, [(1, 4, 4, 1), (4, 1, 2 * cells, 1)], bias=False)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), head).double().eval()


def compressed(module: Any) -> Any:
    """A dense model after `compress`."""
    return so.compress(module, 0.6, max_error=2.0, min_speedup=None, batch=4).model


def small_cnn() -> Any:
    torch.manual_seed(0)
    layers = [nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)]
    return nn.Sequential(*layers).double().eval()


MODULES: dict[str, Callable[[], Any]] = {
    **{f"linear, {name}": (lambda c=c: linear_module(c)) for name, c in CHAINS.items()},
    **{f"images, {name}": (lambda k=name: image_module(k)) for name in KERNELS},
    "images, not chainable": lambda: image_module("3 x 3", "not chainable"),
    "compressed": lambda: compressed(dense_of(linear_module(CHAINS["dyadic"]))),
    "compressed images": lambda: compressed(small_cnn()),
}


def dense_of(module: Any) -> Any:
    def dense(layer: Any) -> Any:
        if isinstance(layer, so.KroneckerLinear):
            return layer.to_linear()
        return layer.to_conv2d() if isinstance(layer, so.KroneckerConv2d) else layer

    return nn.Sequential(*map(dense, module)).eval()


def example_of(module: Any, batch: int = 3) -> Any:
    generator = torch.Generator().manual_seed(0)
    images = isinstance(module[0], nn.Conv2d | so.KroneckerConv2d)
    shape = (batch, 4, 4, 4) if images else (batch, 8)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def read(module: Any, source: str, folder: Path) -> so.Network:
    x = example_of(module)
    if source == "module":
        return so.load_network(module, example=x)
    if source == "pt2":
        torch.export.save(torch.export.export(module, (x,)), folder / "model.pt2")
        return so.load_network(folder / "model.pt2")
    pytest.importorskip("onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch: that of its exporters is meant to be newer
        torch.onnx.export(module, (x,), str(folder / "model.onnx"), dynamo=False)
    return so.load_network(folder / "model.onnx")


def expect_same(network: so.Network, module: Any, x: Any) -> None:
    with torch.no_grad():
        wanted = module(x).numpy()
    found = network.run(x.numpy())
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("source", ["module", "pt2", "onnx"])
@pytest.mark.parametrize("name", [name for name in MODULES if "monarch" not in name])
def test_factors_are_read_and_compute_the_same(name: str, source: str, tmp_path: Path) -> None:
    module = MODULES[name]()
    network = read(module, source, tmp_path)
    expect_same(network, module, example_of(module))
    # Each factor is a layer of its own.
    own = [m for m in module.modules() if isinstance(m, so.KroneckerLinear | so.KroneckerConv2d)]
    weights = {w.size for n, w in network.parameters().items() if n.endswith("weight")}
    assert {f.numel() for layer in own for f in layer.factors} <= weights
    # A path through factors is one path of their product, unless supports overlap.
    if "redundant" not in name and "compressed" not in name:
        norm = so.solve(so.PathNorm(network)).answer.value
        dense = so.load_network(dense_of(module), example=example_of(module))
        assert norm == pytest.approx(so.solve(so.PathNorm(dense)).answer.value, rel=1e-9)


def test_rows_of_any_batch_are_read_from_programs() -> None:
    module = image_module("3 x 3")
    free = {0: torch.export.Dim("batch")}
    program = torch.export.export(module, (example_of(module),), dynamic_shapes=(free,))
    expect_same(so.load_network(program), module, example_of(module))


def pruned(network: so.Network, criterion: str) -> so.Network:
    result = so.prune(network, 0.5, criterion)
    assert result.density == pytest.approx(0.5, abs=0.05)
    return result.network


def same(network: so.Network, other: so.Network) -> None:
    x = np.random.default_rng(1).standard_normal((3, *network.input_shape))
    np.testing.assert_allclose(other.run(x), network.run(x), rtol=1e-7, atol=1e-9)


def verified(problem: Any) -> None:
    assert so.solve(problem).status is so.Status.VERIFIED


TOOLS: dict[str, Callable[[so.Network], Any]] = {
    "path norm": lambda n: verified(so.PathNorm(n)),
    "path norm, q = 2": lambda n: verified(so.PathNorm(n, q=2)),
    "path cost": lambda n: verified(so.PathCost(n)),
    "Lipschitz bound": lambda n: verified(so.LipschitzBound(n)),
    "rescale": lambda n: same(n, so.rescale(n, so.random_factors(n, seed=0))),
    "equivalence": lambda n: (
        so.are_rescaling_equivalent(n, so.canonicalize(n)).equivalent
        or pytest.fail("not equivalent")
    ),
    "canonicalize": lambda n: same(n, so.canonicalize(n)),
    "neural balance": so.neural_balance,
    "prune by path cost": lambda n: pruned(n, "path_cost"),
    "prune by magnitude": lambda n: pruned(n, "magnitude"),
    "prune by canonical magnitude": lambda n: pruned(n, "canonical_magnitude"),
    "verdicts on pairs": lambda n: so.pair_verdicts(n, 2.0),
    "JSON": lambda n: same(n, so.from_json(so.to_json(n))),
    "path count": so.path_count,
    "analyze": lambda n: so.analyze(n, seed=0).findings or pytest.fail("nothing was found"),
}


def two_layer() -> Any:
    x = np.random.default_rng(0).standard_normal((6, 2))
    return so.solve(so.TwoLayerReLU(x, x[:, 0], 0.1), tolerance=1e-2).answer


@cache
def network_of(name: str, folder: Path) -> so.Network:
    if name in MODULES:
        return read(MODULES[name](), "module", folder)
    module = MODULES["images, 3 x 3"]()
    network = read(module, "onnx" if name == "from ONNX" else "module", folder)
    if name == "two-layer":
        return so.load_network(two_layer())
    return {
        "from ONNX": lambda: network,
        "pruned": lambda: pruned(network, "path_cost"),
        "rescaled": lambda: so.rescale(network, so.random_factors(network, seed=1)),
        "canonical": lambda: so.canonicalize(network),
    }[name]()


MADE = ["linear, dyadic", "linear, not chainable", "images, 3 x 3", "compressed"]
MADE += ["compressed images", "from ONNX", "pruned", "rescaled", "canonical", "two-layer"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("kind", MADE)
def test_every_tool_takes_every_network_that_is_made_here(
    kind: str, tool: str, folder: Path
) -> None:
    TOOLS[tool](network_of(kind, folder))


def test_supports_of_factors_are_pruned_until_they_are_closed() -> None:
    module = nn.Sequential(so.KroneckerLinear(8, 8, CHAINS["monarch"])).double().eval()
    result = so.prune(so.load_network(module, example=torch.ones(1, 8)), 0.3, closed=True)
    assert {verdict.value for verdict in result.supports()} == {"closed"}


IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "rescale": lambda m, x: so.rescale(m, so.random_factors(m, seed=0, example=x), example=x),
    "canonicalize": lambda m, x: so.canonicalize(m, example=x),
}


@pytest.mark.parametrize("tool", IN_PLACE)
@pytest.mark.parametrize("name", ["linear, dyadic", "images, not chainable", "compressed images"])
def test_tools_that_change_modules_change_the_factors(name: str, tool: str) -> None:
    module = MODULES[name]()
    x = example_of(module)
    before, values = module(x).detach(), copy.deepcopy(module.state_dict())
    IN_PLACE[tool](module, x)
    torch.testing.assert_close(module(x), before, rtol=1e-7, atol=1e-9)
    moved = [
        key for key, value in module.state_dict().items() if not torch.equal(value, values[key])
    ]
    assert any("factors" in key for key in moved)
    network = so.load_network(module, example=x)
    every = so.RescalingGroups(network).count
    assert len(so.random_factors(module, example=x)) == every  # nothing has to stay as it is
    with torch.no_grad():
        torch.testing.assert_close(module(x), before, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["linear, monarch", "images, not chainable", "compressed images"])
def test_modules_are_pruned_by_masks_on_their_factors(name: str) -> None:
    module = MODULES[name]()
    x = example_of(module)
    result = so.prune(module, 0.5, example=x)
    factors = [p for key, p in module.named_buffers() if key.endswith("_mask")]
    assert sum(int(mask.sum()) for mask in factors) == sum(
        t.kept for t in result.tensors if not t.reason
    )
    expect_same(result.network, module, x)
    expect_same(so.load_network(module, example=x), module, x)


@pytest.mark.parametrize("name", ["linear, monarch", "images, 1 x 1"])
def test_the_supports_of_factors_are_judged(name: str) -> None:
    module = MODULES[name]()
    report = so.analyze(module, example=example_of(module), seed=0)
    verdicts = [f for f in report.findings if f.rule.startswith("supports-")]
    assert verdicts
    assert {f.rule for f in verdicts} == {"supports-closed"}
    chains = [m.architecture for m in module if hasattr(m, "architecture")]
    assert len(verdicts) >= sum(len(chain) - 1 for chain in chains)


@pytest.mark.parametrize("name", ["linear, dyadic", "linear, not chainable", "images, 1 x 1"])
def test_pairs_of_factors_multiply_as_their_layers_do(name: str) -> None:
    module = MODULES[name]()
    network = so.load_network(module, example=example_of(module))
    pairs = consecutive_linear_pairs(network)
    for chain in (m.architecture for m in module if hasattr(m, "architecture")):
        for left, right in pairwise(chain.patterns):
            product = np.sort((left.support() @ right.support()).ravel())
            sizes = left.shape[0], right.shape[1]
            found = [
                np.sort((one @ two).ravel())
                for one, two in (pair.supports for pair in pairs)
                if (one.shape[0], two.shape[1]) == sizes
            ]
            assert any(np.array_equal(product, other) for other in found)
