"""How many bits does quantization of butterfly products save, and how fast is it?

Run: python benchmarks/quantization.py [--draws 1] [--rounds 3] [--parts peers bits seconds]

Factors of square dyadic products with normal entries. ``peers``: lazylinop to fp16, in one process
with one thread, processor time, least of some rounds in alternation, with how far they lie apart;
both relative errors are computed by this library. ``bits``: the relative error for t = 2 to 8 at
n = 2^16, left to right as published, and how many bits rounding to nearest takes for the same error
(interpolated linearly in its logarithm), over t. ``seconds``: n = 2^16, t = 8, likewise in rounds,
and the peak of what NumPy allocates over the size of the factors.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import json
import platform
import time
import tracemalloc
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import sparseopt as so

METHODS = ("pairwise", "left_to_right", "swept")
PUBLISHED: dict[str, dict[str, Any]] = {"left_to_right": {"weighted": False}}
"""Options with which errors over t are those of the published methods."""


def butterfly(n: int, seed: int) -> so.KroneckerProduct:
    """Return a square dyadic product with normal entries."""
    rng = np.random.default_rng(seed)
    architecture = so.Architecture.square_dyadic(n)
    return so.KroneckerProduct(
        [rng.standard_normal(p.values_shape) for p in architecture], architecture
    )


def solved(problem: so.Problem, method: str | None, **options: Any) -> Any:
    """Return the solution, its certificate made but not checked."""
    return so.solve(problem, method, check=False, **options)


Times = dict[str, list[float]]
"""Processor seconds of each round."""


def timed(works: dict[str, Callable[[], Any]], rounds: int) -> Times:
    """Return the processor time of each, in alternation, after one call of each that is ours."""
    for key, work in works.items():
        if key != "peer":  # which compiles nothing, and takes up to a minute
            work()
    times: Times = {key: [] for key in works}
    for _ in range(rounds):
        for key, work in works.items():
            start = time.process_time()
            work()
            times[key].append(time.process_time() - start)
    return times


def peers(large: bool, rounds: int) -> list[dict[str, Any]]:
    """Return times and errors beside lazylinop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lazylinop.quantization import qbutterfly, qrank_one

    rows = []
    cases = [(1024, "l2r"), (1024, "pairwise"), *([(4096, "l2r")] if large else [])]
    for n, order in cases:
        product = butterfly(n, 0)
        problem = so.ProductQuantization(product, "fp16")
        kept: dict[str, Any] = {}

        def theirs(product: Any = product, order: str = order, kept: Any = kept) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kept["peer"] = qbutterfly(
                    [np.array(f) for f in product.factors], np.float16, order=order
                )[0]

        method = "left_to_right" if order == "l2r" else "pairwise"

        def ours(problem: Any = problem, method: str = method, kept: Any = kept) -> None:
            kept["own"] = solved(problem, method)

        times = timed({"peer": theirs, "own": ours}, rounds)
        values = [np.asarray(f, dtype=np.float64) for f in kept["peer"]]
        peer = so.KroneckerProduct(values, product.architecture)
        own = kept["own"].certificate.relative_error
        rows.append(row(f"{method}, n = {n}", times, problem.evaluate(peer), own))
        if order == "l2r":
            published = solved(problem, method, **PUBLISHED[method])
            rows[-1]["published_error"] = published.certificate.relative_error
            rows[-1]["swept_error"] = solved(problem, "swept").certificate.relative_error
    x, y = np.random.default_rng(0).standard_normal((2, 1024))
    term = so.RankOneQuantization(x, y, "fp16", "fp16")
    kept = {}

    def their_term() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kept["peer"] = qrank_one(x.reshape(-1, 1), y.reshape(-1, 1), np.float16)

    def own_term() -> None:
        kept["own"] = solved(term, None)

    times = timed({"peer": their_term, "own": own_term}, rounds)
    u, v = (np.asarray(z, dtype=np.float64).ravel() for z in kept["peer"][:2])
    error = term.evaluate(so.RankOneTerm(u, v))
    rows.append(row("rank one, 1024 x 1024", times, error, kept["own"].certificate.relative_error))
    return rows


def row(case: str, times: Times, peer: Any, own: float) -> dict[str, Any]:
    """Return one row, printed."""
    least = {key: min(each) for key, each in times.items()}
    found = {
        "case": case,
        "seconds": least["own"],
        "peer_seconds": least["peer"],
        "ratio": least["peer"] / least["own"],
        "rounds": len(times["own"]),
        "slowest_over_fastest": {key: max(each) / least[key] for key, each in times.items()},
        "error": own,
        "peer_error": peer["relative_error"],
    }
    print(found, flush=True)
    return found


def bits(n: int, draws: int) -> list[dict[str, Any]]:
    """Return errors, and the ratios of bits for equal error, for each t and draw."""
    rows = []
    for draw in range(draws):
        product = butterfly(n, draw)
        widths = np.arange(2, 24)
        nearest = [so.ProductQuantization(product, int(t)).nearest_relative_error for t in widths]
        logs = np.log2(nearest)
        for t in range(2, 9):
            problem = so.ProductQuantization(product, t)
            found: dict[str, Any] = {"draw": draw, "t": t, "nearest": nearest[t - 2]}
            for method in METHODS:
                options = PUBLISHED.get(method, {})
                error = solved(problem, method, **options).certificate.relative_error
                found[method] = error
                equal = float(np.interp(-np.log2(error), -logs, widths))
                found[f"{method}_ratio"] = equal / t
            rows.append(found)
            print(found, flush=True)
    return rows


def slopes(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the slopes of the logarithm of the error over t, over that of rounding to nearest."""
    found = {}
    t = [r["t"] for r in rows]
    base = np.polyfit(t, np.log2([r["nearest"] for r in rows]), 1)[0]
    for method in METHODS:
        found[method] = float(np.polyfit(t, np.log2([r[method] for r in rows]), 1)[0] / base)
    return found


def seconds(n: int, rounds: int) -> list[dict[str, Any]]:
    """Return processor time, and peak of memory over that of the factors, at t = 8."""
    product = butterfly(n, 0)
    size, rows = sum(f.nbytes for f in product.factors), []

    def work(method: str) -> Callable[[], Any]:
        return lambda: solved(so.ProductQuantization(product, 8), method)

    works = {method: work(method) for method in METHODS}
    for method, each in timed(works, rounds).items():
        tracemalloc.start()
        works[method]()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        found = {"method": method, "n": n, "seconds": min(each), "rounds": len(each)}
        found |= {"slowest_over_fastest": max(each) / min(each), "memory": peak / size}
        rows.append(found)
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--n", type=int, default=1 << 16)
    parser.add_argument("--large", action="store_true", help="lazylinop at n = 4096: a minute")
    parser.add_argument("--parts", nargs="+", default=["peers", "bits", "seconds"])
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "quantization.json"
    )
    chosen = parser.parse_args()
    names = ("sparseopt", "numpy", "numba", "lazylinop")
    found: dict[str, Any] = json.loads(chosen.output.read_text()) if chosen.output.exists() else {}
    found["versions"] = {"python": platform.python_version(), **{k: version(k) for k in names}}
    solved(so.ProductQuantization(butterfly(1024, 0), 4), "swept")  # compiles
    if "peers" in chosen.parts:
        found["peers"] = peers(chosen.large, chosen.rounds)
    if "seconds" in chosen.parts:
        found["seconds"] = seconds(chosen.n, chosen.rounds)
    if "bits" in chosen.parts:
        rows = bits(chosen.n, chosen.draws)
        found["bits"] = rows
        found["slopes"] = slopes(rows)
        found["median_ratios"] = {
            m: float(np.median([r[f"{m}_ratio"] for r in rows])) for m in METHODS
        }
        print(found["slopes"], found["median_ratios"])
    chosen.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
