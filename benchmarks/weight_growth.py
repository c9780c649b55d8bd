"""How often do weights grow in fits where supports are proved closed, and where not closed?

Run: python benchmarks/weight_growth.py [--output FILE] [--cases 1000] [--seed 0]

Random supports of 2 to 4 rows, terms and columns with density 0.5, 0.65 or 0.8, kept if
`Closedness` decides them with a proof. On a closed set weights that grow are a false alarm.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import sparseopt as so

THRESHOLDS = (0.3, 1.0, 2.0)
OUTPUT = Path("benchmarks/results/weight_growth.json")


def cases(count: int, seed: int) -> dict[str, list[list[np.ndarray]]]:
    """Return `count` proved pairs of supports for each verdict."""
    rng, found = np.random.default_rng(seed), defaultdict[str, list[list[np.ndarray]]](list)
    while min(len(found["closed"]), len(found["not_closed"])) < count:
        m, r, n = rng.integers(2, 5, 3)
        density = rng.choice([0.5, 0.65, 0.8])
        supports = [rng.random((m, r)) < density, rng.random((r, n)) < density]
        found[so.solve(so.Closedness(supports), time_limit=2.0).answer.value].append(supports)
    return {verdict: found[verdict][:count] for verdict in ("closed", "not_closed")}


def measured(pairs: list[list[np.ndarray]]) -> dict[str, Any]:
    """Return the share of supports whose weights grew, by threshold, and the time of each."""
    growths, seconds = [], []
    for seed, supports in enumerate(pairs):
        started = time.perf_counter()
        growths.append(so.weight_growth(supports, seed=seed).growth)
        seconds.append(time.perf_counter() - started)
    grown = {str(t): int(np.sum(np.array(growths) >= t)) for t in THRESHOLDS}
    return {"cases": len(pairs), "grown": grown, "median_ms": 1e3 * float(np.median(seconds))}


def main() -> None:
    """Measure and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("benchmarks/results/weight_growth.json")
    )
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    found = {name: measured(pairs) for name, pairs in cases(chosen.cases, chosen.seed).items()}
    names = ("sparseopt", "numpy", "scipy")
    document = {
        "machine": {"python": platform.python_version(), "system": platform.system()},
        "versions": {name: version(name) for name in names},
        "seed": chosen.seed,
        "results": found,
    }
    chosen.output.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
