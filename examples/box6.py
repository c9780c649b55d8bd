"""How often are random sparse supports not closed? The survey's Box 6, with intervals.

Pairs of 100 x 100 supports with a given share of nonzeros each: the probability of an LU window,
which proves that training with these supports has no optimum for some data. Prints our estimate
with its 95 % interval (Wilson) beside the survey's figure. The survey's figures are estimates too:
the probability is the same for (s, t) and (t, s) by transposition, yet its two figures differ by up
to 0.07.
"""

# %%
from __future__ import annotations

import argparse
import time
from itertools import product

import numpy as np
from sparseopt_closedness.lu_pattern import find_window

SIZE = 100
# The survey's printed figures around the transition: {(share of I, share of J): probability}.
SURVEY = {
    (0.1, 0.5): 1.0, (0.1, 0.6): 0.65, (0.1, 0.7): 0.17, (0.1, 0.8): 0.01, (0.1, 0.9): 0.0,
    (0.5, 0.1): 1.0, (0.6, 0.1): 0.66, (0.7, 0.1): 0.10, (0.8, 0.1): 0.01, (0.9, 0.1): 0.0,
    (0.2, 0.2): 1.0, (0.2, 0.3): 0.82, (0.3, 0.2): 0.84, (0.2, 0.4): 0.0, (0.4, 0.2): 0.03,
    (0.3, 0.3): 0.0,
}  # fmt: skip


# %%
def draw(share: float, rng: np.random.Generator) -> np.ndarray:
    """Return a support with exactly this share of nonzeros."""
    cells = np.zeros(SIZE * SIZE, dtype=bool)
    cells[rng.choice(SIZE * SIZE, round(share * SIZE * SIZE), replace=False)] = True
    return cells.reshape(SIZE, SIZE)


def wilson(hits: int, draws: int) -> tuple[float, float]:
    """Return the 95 % interval of a share."""
    z, share = 1.959964, hits / draws
    centre = (share + z**2 / (2 * draws)) / (1 + z**2 / draws)
    half = z * np.sqrt(share * (1 - share) / draws + z**2 / (4 * draws**2)) / (1 + z**2 / draws)
    return max(0.0, centre - half), min(1.0, centre + half)


def main(draws: int, shares: list[float]) -> None:
    """Draw, count, and print one row per cell of the table that is not settled."""
    rng = np.random.default_rng(6)
    start = time.perf_counter()
    outside = []
    print("share I  share J  LU window  95 % interval    survey")
    for left, right in product(shares, shares):
        pairs = [(draw(left, rng), draw(right, rng)) for _ in range(draws)]
        found = [find_window(*pair) is not None for pair in pairs]
        hits = sum(found)
        low, high = wilson(hits, draws)
        printed = SURVEY.get((left, right))
        if printed is not None and not low - 1e-9 <= printed <= high + 1e-9:
            outside.append((left, right))
        survey = "" if printed is None else f"{printed:.2f}"
        interval = f"[{low:.3f}, {high:.3f}]"
        print(f"{left:7.1f}  {right:7.1f}  {hits / draws:9.3f}  {interval}  {survey:>6}")
    seconds = time.perf_counter() - start
    print(f"{len(shares) ** 2} cells, {draws} draws each, {seconds:.1f} s")
    print(f"survey's figures outside our intervals: {outside or 'none'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few draws and shares")
    parser.add_argument("--draws", type=int, default=200)
    arguments = parser.parse_args()
    if arguments.quick:
        main(20, [0.1, 0.2, 0.6])
    else:
        main(arguments.draws, [round(0.1 * i, 1) for i in range(1, 11)])
