"""How many supports are decided that were open: Box 6, dense and narrow pairs, chains of factors.

Run: python benchmarks/closedness_curves.py [--output FILE] [--draws 20] [--limit 5] [PART ...]

Parts: ``pairs`` (independent entries, the sizes and densities of `PAIRS`), ``box6`` (100 x 100
x 100, exact cardinality, every cell of the grid with s1 + s2 <= 1.1), ``small`` (all classes of
3 x 3 x 3 that are not closed: how many without a search for curves) and ``chains`` (square factors,
each with a perfect matching, at most 12 draws). Every verdict has a certificate that the core
checked, within the time that is given. Processor seconds do not depend on what else runs.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import sparseopt as so

sys.path.insert(0, str(Path(__file__).parent))
from closedness_classes import classes

RESULTS = Path(__file__).parent / "results" / "closedness_curves.json"
PAIRS = (
    ("8x8x8", 0.2, 0.2),
    ("8x8x8", 0.35, 0.35),
    ("8x8x8", 0.5, 0.5),
    ("8x8x8", 0.65, 0.65),
    ("8x8x8", 0.8, 0.8),
    ("12x12x12", 0.2, 0.2),
    ("12x12x12", 0.35, 0.35),
    ("12x12x12", 0.5, 0.5),
    ("12x12x12", 0.65, 0.65),
    ("12x12x12", 0.8, 0.8),
    ("8x8x8", 0.9, 0.9),
    ("12x12x12", 0.9, 0.9),
    ("24x24x24", 0.95, 0.95),
    ("12x6x12", 0.8, 0.8),
    ("8x6x8", 0.8, 0.8),
    ("100x50x100", 0.5, 0.5),
    ("100x50x100", 0.9, 0.9),
    ("10x12x784", 0.5, 0.1),
    ("10x12x784", 0.5, 0.3),
    ("10x12x784", 0.5, 0.5),
)
CHAINS = ((6, 3, 0.25), (8, 3, 0.25), (8, 3, 0.35), (12, 3, 0.2), (12, 3, 0.3), (12, 4, 0.15))

Supports = Sequence[np.ndarray]


def independent(size: str, densities: tuple[float, float], draws: int) -> Iterator[Supports]:
    """Yield pairs of supports whose entries are drawn independently."""
    m, r, n = map(int, size.split("x"))
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        yield rng.random((m, r)) < densities[0], rng.random((r, n)) < densities[1]


def exact(size: int, densities: tuple[float, float], draws: int) -> Iterator[Supports]:
    """Yield pairs of supports with exact numbers of entries, as in the survey's Box 6."""
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        pair = []
        for density in densities:
            support = np.zeros(size * size, dtype=bool)
            support[rng.permutation(size * size)[: round(density * size * size)]] = True
            pair.append(support.reshape(size, size))
        yield pair


def chains(size: int, count: int, density: float, draws: int) -> Iterator[Supports]:
    """Yield square random factors, each with a perfect matching."""
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        factors = []
        for _ in range(count):
            factor = rng.random((size, size)) < density
            factor[np.arange(size), rng.permutation(size)] = True
            factors.append(factor)
        yield factors


def stage(solution: so.Solution[Any, Any]) -> str:
    """Return which solver decided, and by which kind of proof."""
    certificate: Any = solution.certificate
    if certificate is None:
        return "unknown"
    kind = type(certificate).__name__.removesuffix("Certificate")
    if solution.solver == "matched_curves":
        kind = str(certificate.exclusion[0])
    if isinstance(certificate, so.ReducedClosedCertificate) and certificate.proof[0] == "free":
        kind = str(certificate.proof[2][0])
    return f"{solution.answer.value}: {solution.solver}, {kind}"


def measure(problems: Iterator[Supports], limit: float) -> dict[str, Any]:
    """Return verdicts, stages and times; a time is that of the solver and of its check together."""
    stages: Counter[str] = Counter()
    seconds, busy = [], []
    for supports in problems:
        problem = so.Closedness(list(supports))
        began, worked = time.perf_counter(), time.process_time()
        solution = so.solve(problem, time_limit=limit)
        seconds.append(time.perf_counter() - began)
        busy.append(time.process_time() - worked)
        stages[stage(solution)] += 1
    return {
        "draws": len(seconds),
        "undecided": stages["unknown"],
        "stages": dict(stages.most_common()),
        "median_seconds": statistics.median(seconds),
        "longest_seconds": max(seconds),
        "median_processor_seconds": statistics.median(busy),
    }


def small(limit: float) -> dict[str, Any]:
    """Return how many classes of 3 x 3 x 3 that are not closed windows of matched curves find."""
    found: Counter[str] = Counter()
    seconds = []
    for left, right in classes(3, 3, 3):
        problem = so.Closedness([left, right])
        if so.solve(problem, time_limit=limit).answer.value != "not_closed":
            continue
        blocked = ("limit_curves", "external_exclusion")
        began = time.process_time()
        solution = so.solve(problem, time_limit=limit, block=blocked)
        seconds.append(time.process_time() - began)
        found[stage(solution)] += 1
    return {
        "not_closed": len(seconds),
        "without_curve_search": len(seconds) - found["unknown"],
        "stages": dict(found.most_common()),
        "median_processor_seconds": statistics.median(seconds),
        "longest_processor_seconds": max(seconds),
    }


def box6(draws: int, limit: float) -> dict[str, Any]:
    """Return the cells of the grid, and medians over all of them."""
    cells: dict[str, Any] = {}
    times = []
    for first in range(1, 10):
        for second in range(1, 12 - first):
            if second > 9:
                continue
            densities = first / 10, second / 10
            cell = measure(exact(100, densities, draws), limit)
            cells[f"{densities}"] = cell
            times.append(cell["median_processor_seconds"])
            print(densities, json.dumps(cell), flush=True)
    return {"cells": cells, "median_of_processor_medians": statistics.median(times)}


def main() -> None:
    """Measure the parts that are asked and write them beside those of earlier runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=("pairs", "box6", "small", "chains"))
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--limit", type=float, default=5.0, help="seconds per verdict")
    arguments = parser.parse_args()
    draws, limit = arguments.draws, arguments.limit
    result = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    result["versions"] = {name: version(name) for name in ("sparseopt", "numpy", "scipy")} | {
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    so.solve(so.Closedness(list(next(independent("8x8x8", (0.5, 0.5), 1)))))  # imports
    for part in arguments.parts:
        rows: dict[str, Any] = {}
        if part == "pairs":
            for size, *densities in PAIRS:
                pair = (densities[0], densities[1])
                rows[f"{size} {pair}"] = measure(independent(size, pair, draws), limit)
                print(size, pair, json.dumps(rows[f"{size} {pair}"]), flush=True)
        elif part == "chains":
            for size, count, density in CHAINS:
                name = f"{count} factors {size} x {size}, {density}"
                rows[name] = measure(chains(size, count, density, min(draws, 12)), limit)
                print(name, json.dumps(rows[name]), flush=True)
        elif part == "small":
            rows = small(limit)
            print(json.dumps(rows), flush=True)
        else:
            rows = box6(draws, limit)
        result[part] = {"draws": draws, "limit_seconds": limit, **rows}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
