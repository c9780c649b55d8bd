"""What does the plugin layer cost? Import, a warm plan, and `solve` over the bare engine.

Run: python benchmarks/overhead.py [--output benchmarks/results/overhead.json]
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np

import sparseopt as so
from sparseopt.choosing.discovery import registry
from sparseopt.judging.check import check_certificate

BASE = "import numpy, scipy.sparse, networkx"
OURS = "import sparseopt"


def import_seconds(code: str) -> float:
    """Return the wall time of an interpreter that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def best(work: Callable[[], object], tries: int = 200) -> float:
    """Return the least seconds of one call."""
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def import_cost(tries: int) -> dict[str, float]:
    """Compare the two imports, alternated; the bare interpreter is subtracted from both."""
    rounds = [
        (import_seconds("pass"), import_seconds(BASE), import_seconds(OURS)) for _ in range(tries)
    ]
    bare, base, ours = (min(column) for column in zip(*rounds, strict=True))
    return {
        "base_s": base - bare,
        "sparseopt_s": ours - bare,
        "ratio": (ours - bare) / (base - bare),
        "ratio_median": median((o - b) / (n - b) for b, n, o in rounds),
    }


def call_cost() -> dict[str, dict[str, float]]:
    """Time plan, solve, the bare engine and the check, on one small problem per capability."""
    rng = np.random.default_rng(0)
    design, target = rng.standard_normal((20, 50)), rng.standard_normal(20)
    problems: dict[str, so.Problem] = {
        "Closedness": so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]),
        "ButterflyFactorization": so.ButterflyFactorization(
            rng.standard_normal((16, 16)), so.Architecture.square_dyadic(16)
        ),
        "SparseRegression": so.SparseRegression(design, target, so.L1(1.0)),
    }
    rows = {}
    for name, problem in problems.items():
        first = so.solve(problem)
        item = next(i for i in registry().solvers_for(type(problem)) if i.name == first.solver)
        engine = item.cls()
        check = best(lambda p=problem, f=first: check_certificate(f.certificate, p, f.answer), 30)
        bare = best(lambda p=problem, e=engine: e.solve(p, so.Context()), 30)
        whole = best(lambda p=problem: so.solve(p), 30)
        rows[name] = {
            "plan_ms": 1e3 * best(lambda p=problem: so.plan(p)),
            "engine_ms": 1e3 * bare,
            "check_ms": 1e3 * check,
            "solve_ms": 1e3 * whole,
            "overhead_ms": 1e3 * (whole - bare - check),
        }
    return rows


def main() -> None:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=15)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results/overhead.json"
    )
    args = parser.parse_args()
    packages = ("numpy", "scipy", "networkx", "sparseopt")
    result = {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "import": import_cost(args.tries),
        "calls": call_cost(),
    }
    print(json.dumps(result, indent=2))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
