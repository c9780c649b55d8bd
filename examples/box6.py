"""How often are random sparse supports not closed? The survey's Box 6, with intervals.

Pairs of 100 x 100 supports with a given share of nonzeros each: the probability of an LU window,
which proves that training with these supports has no optimum for some data; all pairs of a cell go
through one call of `so.solve_all`. Where windows do not decide, the further stages of
`so.Closedness` are asked about a few pairs; the survey calls these cells open.

The survey's figures are estimates as well. A pair and its transposed pair have the same
probability, yet its figures for (0.1, 0.7) and (0.7, 0.1) are 0.17 and 0.10. So ours is compared
twice: each cell by the 95 % interval (Wilson) of its own draws, and both cells of a pair together,
where a difference counts if it exceeds what two samples of the survey's size would show by chance.
"""

# %%
from __future__ import annotations

import argparse
import time
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np

import sparseopt as so

SIZE = 100
# The survey's printed figures around the transition: {(share of I, share of J): probability}.
SURVEY = {
    (0.1, 0.5): 1.0, (0.1, 0.6): 0.65, (0.1, 0.7): 0.17, (0.1, 0.8): 0.01, (0.1, 0.9): 0.0,
    (0.5, 0.1): 1.0, (0.6, 0.1): 0.66, (0.7, 0.1): 0.10, (0.8, 0.1): 0.01, (0.9, 0.1): 0.0,
    (0.2, 0.2): 1.0, (0.2, 0.3): 0.82, (0.3, 0.2): 0.84, (0.2, 0.4): 0.0, (0.4, 0.2): 0.03,
    (0.3, 0.3): 0.0,
}  # fmt: skip
# Its table is 1 in the corner of sparser supports and 0 in that of denser ones.
CORNER = 0.55
# It does not say how many pairs it drew; differences of 0.07 between equal cells suggest this.
SURVEY_DRAWS = 100

Cell = tuple[float, float]
Found = so.Solution[so.ClosednessVerdict, so.Certificate] | so.SolveError


# %%
def draw(share: float, rng: np.random.Generator) -> np.ndarray:
    """Return a support with exactly this share of nonzeros."""
    cells = np.zeros(SIZE * SIZE, dtype=bool)
    cells[rng.choice(SIZE * SIZE, round(share * SIZE * SIZE), replace=False)] = True
    return cells.reshape(SIZE, SIZE)


def in_the_survey(left: float, right: float) -> float:
    """Return the figure in the survey's table."""
    return SURVEY.get((left, right), 1.0 if left + right < CORNER else 0.0)


def wilson(hits: int, draws: int) -> tuple[float, float]:
    """Return the 95 % interval of a share."""
    z, share = 1.959964, hits / draws
    centre = (share + z**2 / (2 * draws)) / (1 + z**2 / draws)
    half = z * np.sqrt(share * (1 - share) / draws + z**2 / (4 * draws**2)) / (1 + z**2 / draws)
    return max(0.0, centre - half), min(1.0, centre + half)


def has_window(found: Found) -> bool:
    """Whether a pair was proved not to be closed by a window."""
    return isinstance(found, so.Solution) and found.answer.value == "not_closed"


def windows(
    cells: list[Cell], draws: int, further: int, jobs: int, rng: np.random.Generator
) -> tuple[dict[Cell, int], dict[Cell, Counter[str]]]:
    """Count the pairs with an LU window per cell, and verdicts on a few pairs without one."""
    hits, verdicts = {}, {}
    for cell in cells:
        pairs = [(draw(cell[0], rng), draw(cell[1], rng)) for _ in range(draws)]
        problems = [so.Closedness(pair) for pair in pairs]
        decided = so.solve_all(problems, "lu_pattern", jobs=jobs)
        without = [p for p, found in zip(problems, decided, strict=True) if not has_window(found)]
        hits[cell] = draws - len(without)
        asked = so.solve_all(without[:further], time_limit=LIMIT, jobs=jobs)
        verdicts[cell] = Counter(str(s.answer.value) for s in asked if isinstance(s, so.Solution))
    return hits, verdicts


# %%
# Seconds for each of the pairs that windows do not decide.
LIMIT = 0.3


def compare(hits: dict[Cell, int], draws: int) -> None:
    """Print our figures beside the survey's."""
    print("\nshare I  share J  LU window  95 % interval    survey")
    outside, apart = [], []
    for cell, printed in SURVEY.items():
        if cell not in hits:
            continue
        low, high = wilson(hits[cell], draws)
        low, high = round(low, 2), round(high, 2)  # as the survey prints
        mark = "" if low <= printed <= high else "  outside"
        if mark:
            outside.append(cell)
        print(
            f"{cell[0]:7.1f}  {cell[1]:7.1f}  {hits[cell] / draws:9.3f}  [{low:.2f}, {high:.2f}]"
            f"  {printed:10.2f}{mark}"
        )
        mirror = cell[::-1]
        if cell[0] <= cell[1] and mirror in SURVEY and mirror in hits:
            cells = {cell, mirror}
            ours = sum(hits[c] for c in cells) / (draws * len(cells))
            theirs = sum(SURVEY[c] for c in cells) / len(cells)
            both = (draws * ours + SURVEY_DRAWS * theirs) / (draws + SURVEY_DRAWS)
            spread = both * (1 - both) / len(cells) * (1 / draws + 1 / SURVEY_DRAWS)
            # One hit more or less is no difference: figures near 0 and 1 are rounded.
            if abs(ours - theirs) > 1.959964 * np.sqrt(spread) + 1 / draws:
                apart.append(cell)
    print(f"survey's figure outside our interval: {outside or 'none'}")
    print(f"apart as two samples, both cells of a pair together: {apart or 'none'}")


def main(draws: int, further: int, shares: list[float], jobs: int, output: Path) -> None:
    """Draw pairs, count, print the tables, and draw ours beside the survey's."""
    start = time.perf_counter()
    cells = list(product(shares, shares))
    hits, verdicts = windows(cells, draws, further, jobs, np.random.default_rng(6))
    print(f"LU windows, in % of {draws} pairs (rows: share of I, columns: share of J)")
    print("     " + "".join(f"{share:6.1f}" for share in shares))
    for left in shares:
        row = "".join(f"{100 * hits[left, right] / draws:6.1f}" for right in shares)
        print(f"{left:5.1f}{row}")
    compare(hits, draws)

    print(f"\nPairs without a window, up to {further} per cell, {LIMIT:g} s each")
    print("(. none asked, c closed, n not closed, u unknown, * mixed)")
    letters = {"closed": "c", "not_closed": "n", "unknown": "u"}
    for left in shares:
        found = [verdicts[left, right] for right in shares]
        marks = ["." if not v else letters[next(iter(v))] if len(v) == 1 else "*" for v in found]
        print(f"{left:5.1f}   " + "  ".join(marks))
    total = sum(verdicts.values(), Counter())
    print(", ".join(f"{value.replace('_', ' ')} {count}" for value, count in total.items()))
    print(f"\n{len(cells)} cells, {time.perf_counter() - start:.1f} s")
    try:
        draw_tables({cell: hits[cell] / draws for cell in cells}, shares, draws, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


# %% The figure
def draw_tables(ours: dict[Cell, float], shares: list[float], draws: int, output: Path) -> None:
    """Draw both tables, darker where more pairs have a window."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    panels = {
        f"ours, {draws} pairs a cell": ours,
        "printed in the survey": {cell: in_the_survey(*cell) for cell in ours},
    }
    for axes, (title, found) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        table = np.array([[found[left, right] for right in shares] for left in shares])
        image = axes.imshow(table, cmap="Reds", vmin=0, vmax=1)
        for (i, j), value in np.ndenumerate(table):
            color = "white" if value > 0.6 else "black"
            axes.text(j, i, f"{value:.2g}", ha="center", va="center", color=color, fontsize=8)
        places = range(len(shares))
        axes.set(xlabel="share of nonzeros in J", ylabel="share of nonzeros in I", title=title)
        axes.set_xticks(places, shares)
        axes.set_yticks(places, shares)
    figure.colorbar(image, ax=figure.axes, label="probability of an LU window")
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few draws and shares")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--further", type=int, default=1, help="pairs per cell for further stages")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--output", type=Path, default=Path("box6.png"))
    arguments = parser.parse_args()
    shares = [0.1, 0.2, 0.6] if arguments.quick else [round(0.1 * i, 1) for i in range(1, 11)]
    draws, further = (20, 1) if arguments.quick else (arguments.draws, arguments.further)
    main(draws, further, shares, arguments.jobs, arguments.output)
