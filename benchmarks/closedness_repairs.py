"""How near are the repairs that are found in time, and how near must they be?

Run: python benchmarks/closedness_repairs.py [--output FILE] [--stretch 1] [CASE ...]

The digits are the supports of the bundled pruned network; the others are drawn, each entry present
with the same probability. Entries are removed, or added where the name says so. Every repair and
every bound has a certificate that the core checked. Seconds are those of the whole call; with them
the seconds of processor time, for on a machine that is shared the first say little.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.networks.layers import consecutive_linear_pairs

ROOT = Path(__file__).resolve().parents[1]
RANDOM = {
    "20x30x20 at 0.1": (20, 30, 20, 0.1, 10.0),
    "20x30x20 at 0.2": (20, 30, 20, 0.2, 10.0),
    "20x30x20 at 0.6": (20, 30, 20, 0.6, 10.0),
    "64x128x64 at 0.05": (64, 128, 64, 0.05, 60.0),
    "64x128x64 at 0.1": (64, 128, 64, 0.1, 60.0),
    "64x128x64 at 0.2": (64, 128, 64, 0.2, 60.0),
    "64x128x64 at 0.4": (64, 128, 64, 0.4, 60.0),
    "64x128x64 at 0.45": (64, 128, 64, 0.45, 60.0),
}
ADDED = {
    "20x30x20 at 0.45, added": (20, 30, 20, 0.45, 30.0),
    "20x30x20 at 0.5, added": (20, 30, 20, 0.5, 30.0),
    "10x32x64 at 0.35, added": (10, 32, 64, 0.35, 60.0),
    "64x128x64 at 0.35, added": (64, 128, 64, 0.35, 120.0),
}


def cases() -> dict[str, tuple[so.NearestClosedSupport, float]]:
    """Return problems and a time limit by name."""
    network = so.load_network(ROOT / "examples/networks/digits_mlp.onnx")
    found: dict[str, tuple[so.NearestClosedSupport, float]] = {}
    for pair in consecutive_linear_pairs(network):
        (m, r), n = pair.supports[0].shape, pair.supports[1].shape[1]
        found[f"digits {m}x{r}x{n}"] = (so.NearestClosedSupport(pair.supports), 30.0)
    for name, (m, r, n, density, limit) in (RANDOM | ADDED).items():
        rng = np.random.default_rng(0)
        supports = [rng.random((m, r)) < density, rng.random((r, n)) < density]
        allow = "add" if name in ADDED else "remove"
        found[name] = (so.NearestClosedSupport(supports, allow), limit)
    return found


def measured(problem: so.NearestClosedSupport, limit: float) -> dict[str, Any]:
    """Return what is found for one case within its limit."""
    wall, used = time.perf_counter(), time.process_time()
    solution = so.solve(problem, time_limit=limit)
    wall, used = time.perf_counter() - wall, time.process_time() - used
    answer = solution.answer
    rows, columns = problem.cut_off(answer)
    return {
        "entries": int(sum(s.sum() for s in problem.supports)),
        "changes": answer.changes,
        "bound": int(answer.lower_bound),
        "rows cut off": len(rows),
        "columns cut off": len(columns),
        "limit": limit,
        "seconds": round(wall, 1),
        "processor seconds": round(used, 1),
    }


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help="names of cases; all by default")
    parser.add_argument("--stretch", type=float, default=1.0, help="factor of the time limits")
    parser.add_argument("--output", type=Path, default=None)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)  # the first repair on a machine compiles the kernels
    so.solve(so.NearestClosedSupport([rng.random((20, 30)) < 0.2, rng.random((30, 20)) < 0.2]))
    rows = {}
    for name, (problem, limit) in cases().items():
        if not chosen.cases or name in chosen.cases:
            rows[name] = measured(problem, chosen.stretch * limit)
            print(name, rows[name], flush=True)
    names = ("sparseopt", "numpy", "scipy", "numba")
    document = {
        "versions": {"python": platform.python_version()} | {n: version(n) for n in names},
        "rows": rows,
    }
    if chosen.output is not None:
        chosen.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
