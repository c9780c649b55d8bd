"""Decide all classes of supports of given sizes, up to symmetry, and count the verdicts.

Run ``python benchmarks/closedness_classes.py 3x3x3 4x4x2`` (rows x columns x terms).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement, permutations
from pathlib import Path
from typing import Any

import numpy as np

import sparseopt as so

RESULTS = Path(__file__).parent / "results" / "closedness_classes.json"
DEFAULT = (*("3x3x2", "4x4x2", "4x5x2", "2x4x3", "2x5x3", "3x3x3", "3x4x3", "2x4x4", "3x3x4"),)


Pairs = Iterator[tuple[np.ndarray, np.ndarray]]


def classes(m: int, n: int, r: int) -> Pairs:
    """Yield one pair of supports per class of r rectangles in m x n, none of them empty.

    Classes are taken up to permutations of rows, columns and terms, and transposition if m = n.
    A family of rectangles is a sorted list of codes; the class is its smallest image.
    """
    rectangles = [(a, b) for a in range(1, 1 << m) for b in range(1, 1 << n)]
    number = {rectangle: c for c, rectangle in enumerate(rectangles)}
    images = []
    for p in permutations(range(m)):
        rows = [sum(1 << p[i] for i in range(m) if a >> i & 1) for a in range(1 << m)]
        for q in permutations(range(n)):
            columns = [sum(1 << q[j] for j in range(n) if b >> j & 1) for b in range(1 << n)]
            images.append([number[rows[a], columns[b]] for a, b in rectangles])
            if m == n:
                images.append([number[columns[b], rows[a]] for a, b in rectangles])
    seen: set[tuple[int, ...]] = set()
    for family in combinations_with_replacement(range(len(rectangles)), r):
        if family in seen:
            continue
        seen.update(tuple(sorted(image[c] for c in family)) for image in images)
        chosen = [rectangles[c] for c in family]
        left = np.array([[a >> i & 1 for a, _ in chosen] for i in range(m)], dtype=bool)
        right = np.array([[b >> j & 1 for j in range(n)] for _, b in chosen], dtype=bool)
        yield left, right


def written(support: np.ndarray) -> str:
    """Return the rows of a support as words of 0 and 1."""
    return " ".join("".join(map(str, row)) for row in support.astype(int).tolist())


def measure(pairs: Pairs, limit: float) -> dict[str, Any]:
    """Return verdicts, stages and times of pairs, and those that are undecided."""
    verdicts: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    seconds, checks, undecided = [], [], []
    for left, right in pairs:
        began = time.process_time()
        solution = so.solve(so.Closedness([left, right]), time_limit=limit)
        seconds.append(time.process_time() - began)
        verdict = solution.answer.value
        verdicts[verdict] += 1
        stages[f"{verdict}: {solution.solver}"] += 1
        if verdict == "unknown":
            undecided.append([written(left), written(right)])
            continue
        began = time.process_time()
        assert so.verify(solution.certificate).ok
        checks.append(time.process_time() - began)
    return {
        "pairs": len(seconds),
        "verdicts": dict(verdicts),
        "stages": dict(stages.most_common()),
        "median_seconds": statistics.median(seconds),
        "longest_seconds": max(seconds),
        "over_2_seconds": sum(second > 2.0 for second in seconds),
        "total_seconds": sum(seconds),
        "longest_check_seconds": max(checks, default=0.0),
        "undecided": undecided,
    }


def main() -> None:
    """Measure the sizes named on the command line and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=DEFAULT)
    parser.add_argument("--time-limit", type=float, default=10.0)
    arguments = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    so.solve(so.Closedness([np.eye(2), np.eye(2)]))  # imports
    for size in arguments.sizes:
        m, n, r = (int(part) for part in size.split("x"))
        found[size] = measure(classes(m, n, r), arguments.time_limit)
        print(size, found[size], flush=True)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
