"""Draws the figure data of findings as SVG with matplotlib."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from sparseopt.interface.finding import Figure, SeriesFigure, SupportFigure
from sparseopt.interface.printing import printable

# Colour-blind safe (Okabe and Ito): ink, highlight, and the cycle for series.
_INK, _MARK = "#26547c", "#d55e00"
_CYCLE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_MOST_LABELS, _MOST_MARKERS = 40, 100


def draw(figure: Figure) -> str:
    """Return `figure` as an SVG element. Raises ImportError without matplotlib."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    # Text stays text: small pages that can be searched and read aloud.
    style = {"svg.fonttype": "none", "svg.hashsalt": "sparseopt", "font.size": 9}
    with matplotlib.rc_context(style):
        canvas = Canvas(layout="constrained")
        if isinstance(figure, SupportFigure):
            _draw_supports(canvas, figure)
        else:
            _draw_series(canvas, figure)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        canvas.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _draw_supports(canvas: Any, figure: SupportFigure) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

    panels = list(figure.supports.items())
    canvas.set_size_inches(min(4.2 * len(panels), 11.0), 3.4)
    axes = canvas.subplots(1, len(panels), squeeze=False)[0]
    for ax, (title, support) in zip(axes, panels, strict=True):
        cells = np.asarray(support, dtype=float)
        colours = ListedColormap(["#f2f2ee", _INK])
        # A cell of a large support is smaller than a pixel: let the renderer average.
        smooth = "antialiased" if max(cells.shape) > 200 else "nearest"
        if cells.size:
            ax.imshow(cells, cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation=smooth)
        rows, columns = cells.shape
        thick = 2.2 if max(rows, columns) <= 40 else 1.4
        pad = max(0.5, 0.006 * max(rows, columns))
        for row, column in figure.marks.get(title, []):
            corner = (column - pad, row - pad)
            box = Rectangle(corner, 2 * pad, 2 * pad, fill=False, ec=_MARK, lw=thick)
            ax.add_patch(box)
        density = f"{100 * cells.mean():.1f} % nonzero" if cells.size else "empty"
        ax.set_title(f"{printable(title)}\n{rows} x {columns}, {density}", fontsize=9)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator("auto", integer=True))
        ax.set_xlabel("column")
        ax.set_ylabel("row")


def _draw_series(canvas: Any, figure: SeriesFigure) -> None:
    positions = np.arange(len(figure.labels))
    canvas.set_size_inches(min(max(5.0, 0.32 * len(positions) + 2.0), 11.0), 3.2)
    ax = canvas.subplots()
    count = max(1, len(figure.series))
    for i, (name, values) in enumerate(figure.series.items()):
        label = printable(name)
        colour = _CYCLE[i % len(_CYCLE)]
        data = np.asarray(values, dtype=float)
        if figure.kind == "line":
            marker = "o" if len(positions) <= _MOST_MARKERS else None
            ax.plot(positions, data, marker=marker, ms=3, lw=1.4, color=colour, label=label)
        else:
            width = 0.8 / count
            ax.bar(
                positions + (i - (count - 1) / 2) * width, data, width, color=colour, label=label
            )
    if figure.log:
        _scale_log(ax)
    # Text is what takes time; a curve of many points needs little of it to be read.
    most = _MOST_LABELS if len(positions) <= _MOST_MARKERS else _MOST_LABELS // 4
    step = max(1, -(-len(positions) // most))
    ticks = [printable(label) for label in figure.labels[::step]]
    slanted = max((len(label) for label in ticks), default=0) > 4
    ax.set_xticks(
        positions[::step], ticks, rotation=45 if slanted else 0, ha="right" if slanted else "center"
    )
    ax.set_xlabel(printable(figure.x_label))
    ax.set_ylabel(printable(figure.y_label))
    ax.spines[["top", "right"]].set_visible(False)
    if len(figure.series) > 1:
        ax.legend(frameon=False, fontsize=8)


def _scale_log(ax: Any) -> None:
    """Make the vertical axis logarithmic, with plain numbers at 1, 2 and 5 times powers of ten.

    Matplotlib's own labels are formulas, which take longer to lay out than all else.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high < 4 * low:
        locator: Any = MaxNLocator(4)
    else:
        locator = LogLocator(subs=(1.0, 2.0, 5.0) if high < 1e3 * low else (1.0,))
    ax.yaxis.set_major_locator(locator)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
