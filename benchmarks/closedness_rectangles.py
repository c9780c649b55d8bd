"""How many random supports are decided whose terms have uniformly drawn rows and columns?

Run: python benchmarks/closedness_rectangles.py [--draws 1000] [--limit 20] [--output FILE] [SIZE]

A size is rows x terms x columns; every term has a uniformly drawn nonempty set of rows and one of
columns. Every verdict has a certificate that the core checked. Unknown is what no solver decided
within the limit, which is one of the clock; the seconds written are those of the processor.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import sparseopt as so

sys.path.insert(0, str(Path(__file__).parent))
from closedness_classes import Pairs, measure

SIZES = ("4x3x4", "4x4x4", "5x3x5")


def rectangles(size: str, draws: int) -> Pairs:
    """Yield pairs of supports whose terms have uniform nonempty sets of rows and of columns."""
    m, r, n = map(int, size.split("x"))
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        rows, columns = rng.integers(1, 1 << m, r), rng.integers(1, 1 << n, r)
        yield (
            (rows >> np.arange(m)[:, None] & 1).astype(bool),
            (columns[:, None] >> np.arange(n) & 1).astype(bool),
        )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=SIZES)
    parser.add_argument("--output", type=Path, help="write the figures as JSON here")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds per verdict")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "versions": {name: version(name) for name in ("sparseopt", "numpy", "sympy")}
        | {"python": platform.python_version(), "machine": platform.machine()},
        "draws": arguments.draws,
        "limit_seconds": arguments.limit,
        "sizes": {},
    }
    so.solve(so.Closedness([np.eye(2), np.eye(2)]))  # imports
    for size in arguments.sizes:
        result["sizes"][size] = measure(rectangles(size, arguments.draws), arguments.limit)
        print(size, result["sizes"][size], flush=True)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
