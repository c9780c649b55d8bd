"""How long does a path-norm take, as a multiple of a plain forward of the same network?

Run: python benchmarks/pathnorm.py [--output benchmarks/results/pathnorm.json] [--tries 5]

One thread, batch 1, 224 x 224, random weights. Every figure is the least CPU time of several
alternated tries in this process; ratios are to PyTorch's plain forward in the same dtype. The first
loading imports what torch.export needs. The peer is
pathnorm-pytorch, whose published ratio to a float32 forward is 6.46 (ResNet-18) and 6.37
(ResNet-50) in float64, where the plain float64 forward takes 2.45 and 2.38.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import time
from collections.abc import Callable
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read when NumPy and PyTorch are imported

import networkx as nx
import torch
from torch import nn

import sparseopt as so

PEER_OVER_PLAIN = {"resnet18": 6.46 / 2.45, "resnet50": 6.37 / 2.38}


class Block(nn.Module):
    """A residual block: two 3 x 3 convolutions, or 1 x 1, 3 x 3, 1 x 1 with `expansion` 4."""

    def __init__(self, inputs: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        outputs = width * expansion
        if expansion == 1:
            sizes = [(inputs, width, 3, stride), (width, width, 3, 1)]
        else:
            sizes = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        layers: list[nn.Module] = []
        for a, b, kernel, step in sizes:
            layers += [nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False), nn.BatchNorm2d(b)]
            layers += [nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers[:-1])
        self.relu = nn.ReLU(inplace=True)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.skip = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return relu(body(x) + skip(x))."""
        return self.relu(self.body(x) + self.skip(x))


def resnet(blocks: tuple[int, ...], expansion: int) -> nn.Module:
    """Return a residual network for 1000 classes."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    inputs = 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for i in range(count):
            layers.append(Block(inputs, width, 2 if stage and not i else 1, expansion))
            inputs = width * expansion
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000)]
    return randomized(nn.Sequential(*layers))


def randomized(model: nn.Module) -> nn.Module:
    """Return the model with random normalizations, in evaluation mode."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.5, 0.5)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return model.eval()


def vgg19() -> nn.Module:
    """Return VGG-19 for 1000 classes."""
    layers: list[nn.Module] = []
    inputs = 3
    for width, count in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = width
        layers.append(nn.MaxPool2d(2, 2))
    layers += [nn.Flatten(), nn.Linear(512 * 49, 4096), nn.ReLU()]
    layers += [nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)]
    return nn.Sequential(*layers).eval()


class Growing(nn.Module):
    """A dense layer of DenseNet: 32 further channels beside those that enter."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 128, 1, bias=False)),
            *(nn.BatchNorm2d(128), nn.ReLU(), nn.Conv2d(128, 32, 3, padding=1, bias=False)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x with the new channels behind."""
        return torch.cat([x, self.body(x)], 1)


def densenet201() -> nn.Module:
    """Return DenseNet-201 for 1000 classes, with random normalizations."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)]
    layers += [nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, count in enumerate((6, 12, 48, 32)):
        layers += [Growing(inputs + 32 * i) for i in range(count)]
        inputs += 32 * count
        layers += [nn.BatchNorm2d(inputs), nn.ReLU()]
        if stage < 3:
            layers += [nn.Conv2d(inputs, inputs // 2, 1, bias=False), nn.AvgPool2d(2, 2)]
            inputs //= 2
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000)]
    return randomized(nn.Sequential(*layers))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "resnet18": lambda: resnet((2, 2, 2, 2), 1),
    "resnet50": lambda: resnet((3, 4, 6, 3), 4),
}
OF_COSTS: dict[str, Callable[[], nn.Module]] = {
    "resnet152": lambda: resnet((3, 8, 36, 3), 4),
    "vgg19": vgg19,
    "densenet201": densenet201,
}
"""Larger networks, on which path costs alone are measured, in float64."""


def alternate(work: dict[str, Callable[[], object]], tries: int) -> dict[str, float]:
    """Return the least seconds of each piece of work, alternated."""
    least = dict.fromkeys(work, float("inf"))
    for _ in range(tries + 1):  # the first round only warms up
        for name, call in work.items():
            start = time.process_time()
            call()
            seconds = time.process_time() - start
            least[name] = min(least[name], seconds) if _ else float("inf")
    return least


def measure(name: str, tries: int) -> dict[str, object]:
    """Return times and ratios for one architecture."""
    torch.manual_seed(0)
    model = MODELS[name]()
    x = torch.randn(1, 3, 224, 224)
    result: dict[str, object] = {}
    for key in ("first_loading_with_check_s", "loading_with_check_s"):
        start = time.process_time()
        network = so.load_network(model, example=x)
        result[key] = time.process_time() - start
    start = time.process_time()
    with torch.no_grad():
        torch.export.export(model, (x,))
    result["torch_export_s"] = time.process_time() - start
    problem = so.PathNorm(network, affine="merged")
    costs = so.PathCost(network)
    for dtype in ("float64", "float32"):
        plain = model.to(getattr(torch, dtype))
        data = x.to(getattr(torch, dtype))

        def forward(plain: nn.Module = plain, data: torch.Tensor = data) -> object:
            with torch.no_grad():
                return plain(data)

        def ours(check: bool, solver: str, **options: str) -> Callable[[], object]:
            return lambda: so.solve(problem, solver=solver, check=check, **options)

        work = {
            "plain": forward,
            "one_pass_torch": ours(False, "one_pass_torch", dtype=dtype),
            "one_pass_torch_checked": ours(True, "one_pass_torch", dtype=dtype),
        }
        work["one_pass"] = ours(False, "one_pass", dtype=dtype)
        work["one_pass_checked"] = ours(True, "one_pass", dtype=dtype)  # checked in float64
        if dtype == "float64":
            work["path_costs"] = lambda: so.solve(costs, solver="path_costs", check=False)
            work["path_costs_checked"] = lambda: so.solve(costs, solver="path_costs")
        options = {"solver": "path_costs_torch", "dtype": dtype}
        for checked in (False, True):
            key = "path_costs_torch" + "_checked" * checked
            work[key] = functools.partial(so.solve, costs, check=checked, **options)
        seconds = alternate(work, tries)
        ratios = {key: value / seconds["plain"] for key, value in seconds.items()}
        result[dtype] = {"seconds": seconds, "ratio_to_plain": ratios}
        if dtype == "float64":
            result["share_of_the_peer"] = ratios["one_pass_checked"] / PEER_OVER_PLAIN[name]
    result["log10"] = so.solve(problem).answer.log10
    return result


def measure_costs(name: str, tries: int) -> dict[str, object]:
    """Return times and ratios of path costs in float64, the default call and its parts."""
    torch.manual_seed(0)
    model = OF_COSTS[name]()
    x = torch.randn(1, 3, 224, 224)
    costs = so.PathCost(so.load_network(model, example=x))
    plain, data = model.to(torch.float64), x.to(torch.float64)

    def forward() -> object:
        with torch.no_grad():
            return plain(data)

    certificate = so.solve(costs, solver="path_costs", check=False).certificate
    work = {
        "plain": forward,
        "path_costs": lambda: so.solve(costs, solver="path_costs", check=False),
        "check": lambda: so.verify(certificate),
        "default": lambda: so.solve(costs),
    }
    seconds = alternate(work, tries)
    ratios = {key: value / seconds["plain"] for key, value in seconds.items()}
    return {"float64": {"seconds": seconds, "ratio_to_plain": ratios}}


def enumeration(tries: int) -> dict[str, float]:
    """Time the exact enumeration of about 6e4 paths with Fractions."""
    graph = nx.DiGraph()
    widths = [3, 8, 9, 8, 9, 3]
    for depth, width in enumerate(widths):
        for i in range(width):
            kind = "input" if not depth else "relu"
            graph.add_node((depth, i), kind=kind, **({"bias": Fraction(i, 7)} if depth else {}))
            for j in range(widths[depth - 1] if depth else 0):
                graph.add_edge((depth - 1, j), (depth, i), weight=Fraction(2 * i - j, 3 + j))
    network = so.load_network(graph)
    problem = so.PathNorm(network)
    work = {"enumeration_s": lambda: so.solve(problem, solver="path_enumeration", check=False)}
    return {"paths": so.path_count(network), **alternate(work, tries)}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="write the figures as JSON here")
    parser.add_argument("--tries", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "versions": {name: version(name) for name in ("sparseopt", "numpy", "torch", "networkx")}
        | {"python": platform.python_version(), "machine": platform.machine()},
        "exact_enumeration": enumeration(arguments.tries),
        **{name: measure(name, arguments.tries) for name in MODELS},
        **{name: measure_costs(name, arguments.tries) for name in OF_COSTS},
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
