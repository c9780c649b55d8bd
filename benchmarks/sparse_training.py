"""How many networks with fixed zeros are answered: always an optimum, or a data set without one?

Run: python benchmarks/sparse_training.py [--output FILE] [--draws 10] [--limit 5] [SIZE ...]

A size is outputs x hidden units x inputs; weights are there independently with one probability.
Each network is asked about without biases, with hidden ones, with output ones and with both.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import sparseopt as so

SIZES = ("3x3x4", "10x10x10", "60x50x100", "128x128x784", "1x20x30", "3x8x8", "10x32x64")
DENSITIES = (1.0, 0.5, 0.2)
OUTPUT = Path("benchmarks/results/sparse_training.json")


def measured(size: str, density: float, draws: int, limit: float) -> dict[str, Any]:
    """Return counts of what certificates prove, by biases, and the time with the check."""
    m, r, n = map(int, size.split("x"))
    found: dict[str, Counter[str]] = {}
    seconds = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        supports = [rng.random((m, r)) < density, rng.random((r, n)) < density]
        for biases in ("none", "hidden", "output", "both"):
            problem = so.SparseTraining(
                supports, biases in ("hidden", "both"), biases in ("output", "both")
            )
            started = time.perf_counter()
            solution = so.solve(problem, time_limit=limit)
            seconds.append(time.perf_counter() - started)
            kind = type(solution.certificate).__name__.removesuffix("Certificate")
            what = solution.answer.value if kind in ("Training", "NoneType") else kind
            found.setdefault(biases, Counter())[what] += 1
    return {
        "size": size,
        "density": density,
        "counts": {biases: dict(counts) for biases, counts in found.items()},
        "median_ms": 1e3 * statistics.median(seconds),
        "longest_s": max(seconds),
    }


def main() -> None:
    """Measure and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=SIZES)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--limit", type=float, default=5.0)
    chosen = parser.parse_args()
    rows = []
    for size in chosen.sizes:
        for density in DENSITIES:
            rows.append(measured(size, density, chosen.draws, chosen.limit))
            print(json.dumps(rows[-1]), flush=True)
    document = {
        "machine": {"python": platform.python_version(), "system": platform.system()},
        "versions": {name: version(name) for name in ("sparseopt", "numpy", "scipy")},
        "draws": chosen.draws,
        "limit": chosen.limit,
        "results": rows,
    }
    chosen.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
