"""The figure of *How cost grows*, drawn from the results when Sphinx reads the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "scaling.json"
MARK = "<!-- figure: growth -->"
PAGE = "growth"
CASES = (
    "closedness, nested, by rows",
    "factorization",
    "multiplication",
    "path-norm, dense",
    "path cost, dense",
    "canonical form",
    "lasso, by rows",
    "lasso, by columns",
    "quantization",
)


def figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Return seconds by size, a panel for each of some cases and a line for each engine."""
    made = Figure(figsize=(10, 9), layout="constrained")
    for axes, name in zip(made.subplots(3, 3).flat, CASES, strict=True):
        for row in (row for row in rows if row["case"] == name):
            sizes = [p["size"] for p in row["points"]]
            seconds = [p["seconds"] for p in row["points"]]
            (line,) = axes.loglog(sizes, seconds, "o-", ms=3, label=row["engine"])
            said = [p.get("predicted_seconds") for p in row["points"]]
            if None not in said:
                axes.loglog(sizes, said, ":", color=line.get_color(), lw=1)
        axes.set_title(name, fontsize=9)
        axes.legend(fontsize=6)
        axes.tick_params(labelsize=7)
    made.supxlabel("size", fontsize=9)
    made.supylabel("seconds of the processor; dotted: as predicted", fontsize=9)
    return made


def _read(app: Any, name: str, source: list[str]) -> None:
    if name == PAGE:
        folder = Path(app.srcdir) / "_build" / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
        figure(rows).savefig(folder / "growth.png", dpi=110)
        words = f"Seconds by size, for {len(CASES)} cases"
        source[0] = source[0].replace(MARK, f"![{words}](_build/figures/growth.png)")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
