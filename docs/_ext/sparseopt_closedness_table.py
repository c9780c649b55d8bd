"""The closedness of supports on the benchmark page: its table, and its figure, from the results.

``python docs/_ext/sparseopt_closedness_table.py`` prints the table; a test compares it with that of
the page. The figure is drawn when Sphinx reads the page and stands where its mark does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
MARK = "<!-- figure: closedness -->"
PAGE = "benchmarks"
VALUES = ("closed", "not_closed", "unknown")
COLORS = ("#0072b2", "#d55e00", "#cccccc")

Cell = Mapping[str, Any]


def results(name: str) -> dict[str, Any]:
    """Return the figures of one benchmark."""
    text = (RESULTS / f"closedness_{name}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def verdicts(stages: Mapping[str, int]) -> Counter[str]:
    """Return how often each verdict was given."""
    found: Counter[str] = Counter()
    for stage, count in stages.items():
        found[stage.partition(":")[0]] += count
    return found


def row(name: str, stages: Mapping[str, int], seconds: float) -> str:
    """Return a line of the table: verdicts, the median time, and the three most frequent stages."""
    solvers: Counter[str] = Counter()
    for stage, count in stages.items():
        value, _, solver = stage.partition(": ")
        if value != "unknown":
            solvers[solver.partition(",")[0]] += count
    used = ", ".join(f"{solver} {count}" for solver, count in solvers.most_common(3))
    found = verdicts(stages)
    counts = [sum(found.values()), *(found[value] for value in VALUES)]
    told = np.format_float_positional(1000 * seconds, 2, fractional=False, trim="-")
    return f"| {name} | {' | '.join(map(str, counts))} | {told} | {used} |"


def rows() -> Iterator[str]:
    """Yield the lines of the table."""
    for size, cell in results("classes").items():
        m, n, r = size.split("x")
        yield row(f"all classes, {m} x {r} x {n}", cell["stages"], cell["median_seconds"])
    for size, cell in results("rectangles")["sizes"].items():
        name = f"rectangles, {size.replace('x', ' x ')}"
        yield row(name, cell["stages"], cell["median_seconds"])
    curves = results("curves")
    for name, cell in cells(curves["pairs"]):
        size, densities = name.split(" ", 1)
        s1, s2 = densities.strip("()").split(", ")
        shown = s1 if s1 == s2 else f"{s1} and {s2}"
        words = f"entries, {size.replace('x', ' x ')} at {shown}"
        yield row(words, cell["stages"], cell["median_processor_seconds"])
    for count in ("3", "4"):
        chosen = [cell for name, cell in cells(curves["chains"]) if name.startswith(count)]
        yield row(f"chains of {count} factors", *together(chosen))
    boxes = [cell for _, cell in cells(curves["box6"]["cells"])]
    yield row("Box 6, 100 x 100 x 100, s1 + s2 <= 1.1", *together(boxes))


def cells(found: Mapping[str, Any]) -> Iterator[tuple[str, Cell]]:
    """Yield those of the entries that were measured."""
    return ((name, cell) for name, cell in found.items() if isinstance(cell, dict))


def together(chosen: Iterable[Cell]) -> tuple[Counter[str], float]:
    """Return the stages of several rows, and the median of their median times."""
    stages: Counter[str] = Counter()
    seconds = []
    for cell in chosen:
        stages.update(cell["stages"])
        seconds.append(cell["median_processor_seconds"])
    return stages, float(np.median(seconds))


def table() -> str:
    """Return the table of the page."""
    head = "| supports | pairs | closed | not closed | unknown | median ms | decided most by |"
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- | --- |", *rows()])


def figure() -> Figure:
    """Draw the verdicts over the density, and the stages of Box 6."""
    curves = results("curves")
    drawn = Figure(figsize=(10.5, 3.6), layout="constrained")
    small, large, box = drawn.subplots(1, 3, width_ratios=(1, 1, 1.2))
    for axes, size in ((small, "8x8x8"), (large, "12x12x12")):
        _densities(axes, size, curves["pairs"])
    _box6(box, curves["box6"]["cells"])
    return drawn


def _densities(axes: Axes, size: str, pairs: Mapping[str, Any]) -> None:
    chosen = [
        (n.split("(")[1].split(",")[0], c) for n, c in cells(pairs) if n.startswith(f"{size} ")
    ]
    chosen.sort()
    low = np.zeros(len(chosen))
    for value, color in zip(VALUES, COLORS, strict=True):
        counts = np.array([verdicts(cell["stages"])[value] for _, cell in chosen])
        axes.bar(range(len(chosen)), counts, bottom=low, color=color, label=value.replace("_", " "))
        low += counts
    axes.set_xticks(range(len(chosen)), [density for density, _ in chosen])
    axes.set_yticks(range(0, 21, 5))
    axes.set(xlabel="density", ylabel="draws", title=size.replace("x", " x "))
    axes.legend(fontsize=8, loc="lower left")


def _box6(axes: Axes, found: Mapping[str, Any]) -> None:
    shares = np.full((9, 9), np.nan)
    for name, cell in cells(found):
        i, j = (round(10 * float(part)) - 1 for part in name.strip("()").split(","))
        by = Counter({s.partition(": ")[2].partition(",")[0]: c for s, c in cell["stages"].items()})
        total = sum(cell["stages"].values())
        shares[i, j] = by["lu_pattern"] / total
        left = verdicts(cell["stages"])["unknown"]
        words = f"{by['lu_pattern']}" + (f"\n{left} open" if left else "")
        axes.text(j, i, words, ha="center", va="center", fontsize=7)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.6)
    image.set_rasterized(True)
    ticks = [f"{k / 10}" for k in range(1, 10)]
    axes.set_xticks(range(9), ticks)
    axes.set_yticks(range(9), ticks)
    axes.set(xlabel="s2", ylabel="s1", title="Box 6: 20 draws, by an LU window")


def _read(app: Any, name: str, source: list[str]) -> None:
    if name == PAGE:
        folder = Path(app.srcdir) / "_build" / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        figure().savefig(folder / "closedness.png", dpi=110)
        words = "Verdicts over the density, and the stages that decide Box 6"
        source[0] = source[0].replace(MARK, f"![{words}](_build/figures/closedness.png)")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    print(table())  # noqa: T201
