"""Which pairs of supports of a given size are closed, up to symmetry, and why?

Classifies all families of r rectangles in m x n (the rectangle of a term: its rows in I, its
columns in J), up to permutations of rows, columns and terms, and transposition if m = n. Verdicts
are appended to a file of JSON lines, each when it is found; a second run goes on where the first
stopped. ``--jobs`` spreads the work over processes.

Run: python examples/closedness_atlas.py [--size 3x3x3] [--output atlas.jsonl] [--jobs 2]
The default takes about two minutes on one core, ``--quick`` (2x3x2) a few seconds.
"""

# %%
from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement, permutations
from pathlib import Path

import numpy as np

import sparseopt as so

Rectangles = tuple[tuple[int, int], ...]
"""Per term its rows and its columns, as bits."""


# %% All classes of one size
def classes(m: int, n: int, r: int) -> Iterator[Rectangles]:
    """Yield the smallest family of every class; none of the rectangles is empty."""
    rectangles = [(a, b) for a in range(1, 1 << m) for b in range(1, 1 << n)]
    number = {rectangle: code for code, rectangle in enumerate(rectangles)}
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
        if family not in seen:
            seen.update(tuple(sorted(image[code] for code in family)) for image in images)
            yield tuple(rectangles[code] for code in family)


# %% One question
def closedness(family: Rectangles, m: int, n: int) -> so.Closedness:
    """Return the question about one class."""
    left = np.array([[a >> i & 1 for a, _ in family] for i in range(m)])
    right = np.array([[b >> j & 1 for j in range(n)] for _, b in family])
    return so.Closedness([left, right])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="3x3x3", help="rows x columns x terms")
    parser.add_argument("--output", type=Path, help="file of JSON lines, to resume from")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds per verdict")
    parser.add_argument("--quick", action="store_true", help="size 2x3x2")
    arguments = parser.parse_args()
    size = "2x3x2" if arguments.quick else arguments.size
    m, n, r = map(int, size.split("x"))
    families = list(classes(m, n, r))
    print(f"{len(families)} classes of {r} rectangles in {m} x {n}")
    found = so.solve_all(
        [closedness(family, m, n) for family in families],
        jobs=arguments.jobs,
        store=arguments.output,
        time_limit=arguments.limit,
    )
    verdicts, undecided = Counter[tuple[str, str]](), []
    for family, solution in zip(families, found, strict=True):
        if isinstance(solution, so.SolveError):
            raise solution
        verdicts[solution.answer.value, solution.solver] += 1
        if solution.answer.value == "unknown":
            undecided.append(" ".join(f"{a:b}:{b:b}" for a, b in family))
    for (verdict, solver), count in sorted(verdicts.items(), key=lambda item: -item[1]):
        print(f"  {count:6d}  {verdict:10s}  {solver or 'no solver decided'}")
    for name in undecided:
        print("  undecided:", name)
