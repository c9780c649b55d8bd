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
import json
from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement, permutations
from pathlib import Path

import numpy as np

import sparseopt as so
from sparseopt.choosing.parallel import map_items

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


# %% One verdict
def decide(item: tuple[str, Rectangles, int, int, float]) -> dict[str, object]:
    """Return the verdict on one class, with the reason and the solver that proved it."""
    name, family, m, n, limit = item
    left = np.array([[a >> i & 1 for a, _ in family] for i in range(m)])
    right = np.array([[b >> j & 1 for j in range(n)] for _, b in family])
    solution = so.solve(so.Closedness([left, right]), time_limit=limit)
    return {
        "class": name,
        "verdict": solution.answer.value,
        "solver": solution.solver,
        "reason": solution.answer.reason,
    }


def remembered(path: Path) -> dict[str, dict[str, object]]:
    """Return the verdicts in a file; a line that was cut off is left out."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[row["class"]] = row
    return found


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
    rows = remembered(arguments.output) if arguments.output else {}
    total, work = 0, []
    for family in classes(m, n, r):
        name = f"{size} " + " ".join(f"{a:b}:{b:b}" for a, b in family)
        total += 1
        if name not in rows:
            work.append((name, family, m, n, arguments.limit))
    print(f"{total} classes of {r} rectangles in {m} x {n}; {total - len(work)} known already")
    for row in map_items(decide, work, arguments.jobs):
        rows[str(row["class"])] = row
        if arguments.output:
            with arguments.output.open("a") as file:
                file.write(json.dumps(row) + "\n")
    ours = [row for name, row in rows.items() if name.startswith(size + " ")]
    verdicts = Counter((row["verdict"], row["solver"]) for row in ours)
    for (verdict, solver), count in sorted(verdicts.items(), key=lambda item: -item[1]):
        print(f"  {count:6d}  {verdict:10s}  {solver or 'no solver decided'}")
    for row in ours:
        if row["verdict"] == "unknown":
            print("  undecided:", row["class"])
