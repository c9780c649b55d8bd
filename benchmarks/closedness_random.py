"""How many random supports are decided, with a proof, and by which solver?

Run: python benchmarks/closedness_random.py [--output FILE] [--draws 20] [--limit 5] [SIZE ...]

A size is rows x terms x columns, of I (rows x terms) and J (terms x columns), each entry present
with the same probability; densities from 0.2 to 0.8. Every verdict has a certificate that the core
checked. Unknown is what no solver decided within the limit.
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

SIZES = ("4x3x4", "4x4x4", "5x3x5", "8x8x8", "12x12x12")
DENSITIES = (0.2, 0.35, 0.5, 0.65, 0.8)


def measure(size: str, density: float, draws: int, limit: float) -> dict[str, Any]:
    """Return verdicts, solvers and times of random pairs."""
    m, r, n = map(int, size.split("x"))
    verdicts: Counter[str] = Counter()
    solvers: Counter[str] = Counter()
    seconds, undecided = [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        left, right = rng.random((m, r)) < density, rng.random((r, n)) < density
        start = time.perf_counter()
        solution = so.solve(so.Closedness([left, right]), time_limit=limit)
        seconds.append(time.perf_counter() - start)
        verdict = solution.answer.value
        verdicts[verdict] += 1
        solvers[f"{verdict}: {solution.solver}"] += 1
        if verdict == "unknown":
            undecided.append(seed)
    return {
        "verdicts": dict(verdicts),
        "solvers": dict(solvers.most_common()),
        "median_seconds": statistics.median(seconds),
        "longest_seconds": max(seconds),
        "undecided_seeds": undecided,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=SIZES)
    parser.add_argument("--output", type=Path, help="write the figures as JSON here")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--limit", type=float, default=5.0, help="seconds per verdict")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "versions": {name: version(name) for name in ("sparseopt", "numpy", "sympy")}
        | {"python": platform.python_version(), "machine": platform.machine()},
        "draws": arguments.draws,
        "limit_seconds": arguments.limit,
        "sizes": {},
    }
    for size in arguments.sizes:
        rows = result["sizes"][size] = {}
        for density in DENSITIES:
            rows[str(density)] = measure(size, density, arguments.draws, arguments.limit)
            print(size, density, json.dumps(rows[str(density)]), flush=True)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
