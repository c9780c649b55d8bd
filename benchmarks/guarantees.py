"""How long proofs about networks take: what data determine, and how far a change moves outputs.

Identifiability: seconds of one default call, of which the core's check. Output changes: medians of
alternated calls, over a forward pass of the network in float64, for one sample.

Run: python benchmarks/guarantees.py [--parts change digits large] [--rounds 300]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from sparseopt_pathnorm.change_substitution import BackwardSubstitution
from sparseopt_pathnorm.output_change import SignedIntervals

import sparseopt as so
from sparseopt.networks import Add, Dense, Input, Network, Node, Relu, chain

NETWORKS = Path(__file__).parents[1] / "examples" / "networks"
ENGINES = {
    "signed_intervals": SignedIntervals(),
    "backward_substitution": BackwardSubstitution(),
}


def digits(name: str) -> Network:
    """Return a bundled network."""
    return so.load_network(NETWORKS / f"digits_{name}.onnx")


def images() -> np.ndarray:
    """Return the 1,797 images of 8 x 8 pixels in [0, 1]."""
    from sklearn.datasets import load_digits

    return np.asarray(load_digits().images[:, None] / 16.0)


def dense(rng: np.random.Generator, rows: int, columns: int) -> Dense:
    """Return a layer of Gaussian weights and biases."""
    weight = rng.standard_normal((rows, columns)) * np.sqrt(2 / columns)
    return Dense(weight, 0.1 * rng.standard_normal(rows))


def perceptron(*widths: int) -> Network:
    """Return dense layers of these widths, with a ReLU between them."""
    rng = np.random.default_rng(0)
    layers: list[Any] = []
    for columns, rows in pairwise(widths):
        layers += [dense(rng, rows, columns), Relu()]
    return chain((widths[0],), *layers[:-1])


def residual() -> Network:
    """Return 64-280-280-10, where the second layer is added to what it reads."""
    rng = np.random.default_rng(0)
    nodes = (
        Node("x", Input((64,))),
        Node("first", dense(rng, 280, 64), ("x",)),
        Node("h", Relu(), ("first",)),
        Node("second", dense(rng, 280, 280), ("h",)),
        Node("r", Relu(), ("second",)),
        Node("sum", Add(), ("h", "r")),
        Node("y", dense(rng, 10, 280), ("sum",)),
    )
    return Network(nodes, "y")


def gaussian(count: int, network: Network) -> np.ndarray:
    """Return random inputs."""
    return np.random.default_rng(0).standard_normal((count, *network.input_shape))


Case = tuple[str, Callable[[], so.Identifiability]]
SETS: dict[str, list[Case]] = {
    "digits": [
        (
            "digits_mlp, 131 Gaussian inputs",
            lambda: so.Identifiability(digits("mlp"), gaussian(131, digits("mlp"))),
        ),
        ("digits_mlp, all 1,797 images", lambda: so.Identifiability(digits("mlp"), images())),
        ("digits_cnn, any data", lambda: so.Identifiability(digits("cnn"))),
        (
            "digits_cnn without units that are dead or hold 0",
            lambda: so.Identifiability(so.remove_dead(digits("cnn"), constants=True)),
        ),
    ],
    "large": [
        ("784-100-100-10", lambda: so.Identifiability(perceptron(784, 100, 100, 10))),
        ("64-280-280-10 with a skip", lambda: so.Identifiability(residual())),
    ],
    "largest": [
        ("784-800-400-10", lambda: so.Identifiability(perceptron(784, 800, 400, 10))),
    ],
}


def identified(cases: list[Case]) -> Iterator[dict[str, Any]]:
    """Yield seconds and verdict of each case."""
    for name, make in cases:
        problem = make()
        start = time.perf_counter()
        solution = so.solve(problem)
        between = time.perf_counter()
        assert so.verify(solution).ok
        yield {
            "case": name,
            "parameters": solution.answer.parameters,
            "answer": solution.answer.value,
            "solver": solution.solver,
            "seconds": between - start,
            "check seconds": time.perf_counter() - between,
        }


def changed(rounds: int) -> Iterator[dict[str, Any]]:
    """Yield times over a forward pass, for a network and the same in int8."""
    context = so.Context()
    for name in ("mlp", "cnn"):
        network = digits(name)
        problem = so.OutputChange(network, so.quantize(network, "int8").network, 0.0, 1.0)
        x = np.random.default_rng(0).random((1, *network.input_shape))
        for method, engine in ENGINES.items():
            tries = rounds if method == "signed_intervals" else max(3, rounds // 60)
            calls: dict[str, Callable[[], Any]] = {
                "forward": lambda: network.run(x),  # noqa: B023
                "engine": lambda: engine.solve(problem, context),  # noqa: B023
                "checked": lambda: so.solve(problem, method),  # noqa: B023
            }
            times: dict[str, list[float]] = {kind: [] for kind in calls}
            for _ in range(tries):
                for kind, call in calls.items():
                    for _ in range(3):  # the caches are those of the call itself
                        start = time.perf_counter()
                        call()
                        spent = time.perf_counter() - start
                    times[kind].append(spent)
            least = statistics.median(times["forward"])
            yield {
                "case": f"digits_{name}",
                "method": method,
                "forward ms": 1e3 * least,
                "over forward": statistics.median(times["engine"]) / least,
                "checked over forward": statistics.median(times["checked"]) / least,
            }


def main() -> None:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=["change", "digits", "large"])
    parser.add_argument("--rounds", type=int, default=300)
    default = Path(__file__).parent / "results/guarantees.json"
    parser.add_argument("--output", type=Path, default=default)
    args = parser.parse_args()
    kept = json.loads(args.output.read_text())["parts"] if args.output.exists() else {}
    for part in args.parts:
        rows = changed(args.rounds) if part == "change" else identified(SETS[part])
        kept[part] = []
        for row in rows:
            print(row, flush=True)
            kept[part].append(row)
    result = {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numpy", "scipy", "sparseopt")},
        "parts": kept,
    }
    args.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
