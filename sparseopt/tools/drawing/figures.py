"""Pictures of the figure data of findings: supports, series, graphs of layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from sparseopt.interface.finding import SeriesFigure, SupportFigure
from sparseopt.tools.drawing.canvas import CYCLE, INK, MARK, PAPER, Panel, Picture, panels, words

_MOST_MARKERS = 100
_INCHES_PER_BAR = 0.24
# Bars lie, with their labels in front of them, where labels are words.
_LONG_LABEL = 4
_MOST_ROWS = 60
# Supports with fewer rows than these shares of their columns lie flat.
_FLAT, _FLATTEST = 0.7, 0.3


def of_supports(figure: SupportFigure) -> Picture:
    """Return the picture of supports, the marked cells outlined."""
    shown, flattest = [], 1.0
    for title, support in figure.supports.items():
        cells = np.asarray(support, dtype=float)
        rows, columns = cells.shape
        flattest = min(flattest, rows / max(columns, 1))
        density = f"{100 * cells.mean():.3g} % nonzero" if cells.size else "empty"
        heading = f"{words(title, 40)}\n{rows} x {columns}, {density}"
        marks = figure.marks.get(title, [])
        shown.append(Panel(heading, partial(_grid, cells=cells, marks=marks)))
    if flattest < _FLAT:  # one below the other, each as wide as a column of text
        return panels(shown, 1, (4.4, 1.2 + 3.2 * max(flattest, _FLATTEST)))
    return panels(shown, 2)


def _grid(ax: Any, cells: np.ndarray, marks: Any) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Rectangle

    # A cell of a large support is smaller than a pixel: let the renderer average.
    smooth = "antialiased" if max(cells.shape) > 200 else "nearest"
    if cells.size:
        colours = ListedColormap([PAPER, INK])
        ax.imshow(cells, cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation=smooth)
    rows, columns = cells.shape
    if rows and columns:
        ax.set_box_aspect(float(np.clip(rows / columns, _FLATTEST, 1.5)))
    thick = 2.0 if max(rows, columns) <= 40 else 1.3
    pad = max(0.5, 0.006 * max(rows, columns))
    for row, column in marks:
        corner = (column - pad, row - pad)
        ax.add_patch(Rectangle(corner, 2 * pad, 2 * pad, fill=False, ec=MARK, lw=thick))
    ax.locator_params(nbins=4, integer=True)
    ax.set_xlabel("column", fontsize=8)
    ax.set_ylabel("row", fontsize=8)


def of_series(figure: SeriesFigure) -> Picture:
    """Return the picture of series: lines, upright bars, or lying ones where labels are words."""
    count = len(figure.labels)
    longest = max((len(str(label)) for label in figure.labels), default=0)
    if figure.kind == "bar" and longest > _LONG_LABEL and count <= _MOST_ROWS:
        height = max(2.0, 1.1 + _INCHES_PER_BAR * count * max(1, len(figure.series)) ** 0.5)
        return Picture(lambda ax: _lying_bars(ax, figure), (6.0, height), (4.4, height))
    width = min(max(5.0, 0.32 * count + 2.0), 11.0)
    return Picture(lambda ax: _upright(ax, figure), (width, 3.2), (4.4, 3.1))


def _lying_bars(ax: Any, figure: SeriesFigure) -> None:
    positions, many = np.arange(len(figure.labels)), max(1, len(figure.series))
    height = 0.8 / many
    for i, (name, values) in enumerate(figure.series.items()):
        at = positions + (i - (many - 1) / 2) * height
        data = np.asarray(values, dtype=float)
        ax.barh(at, data, height, color=CYCLE[i % len(CYCLE)], label=words(name))
    ax.set_yticks(positions, [words(label, 24) for label in figure.labels])
    ax.margins(y=0.5 / (len(positions) + 1))
    ax.invert_yaxis()
    _finish(ax, figure, "x")
    ax.set_xlabel(words(figure.y_label))
    ax.set_ylabel(words(figure.x_label))


def _upright(ax: Any, figure: SeriesFigure) -> None:
    positions, many = np.arange(len(figure.labels)), max(1, len(figure.series))
    for i, (name, values) in enumerate(figure.series.items()):
        look: dict[str, Any] = {"color": CYCLE[i % len(CYCLE)], "label": words(name)}
        data = np.asarray(values, dtype=float)
        if figure.kind == "line":
            marker = "o" if len(positions) <= _MOST_MARKERS else None
            ax.plot(positions, data, marker=marker, ms=3, lw=1.4, **look)
        else:
            ax.bar(positions + (i - (many - 1) / 2) * 0.8 / many, data, 0.8 / many, **look)
    _finish(ax, figure, "y")
    # As many labels as can be read: fewer where they are long.
    longest = max((len(str(label)) for label in figure.labels), default=0)
    slanted = longest > _LONG_LABEL
    most = 14 if slanted else 20
    step = max(1, -(-len(positions) // most))
    ax.set_xticks(
        positions[::step],
        [words(label, 18) for label in figure.labels[::step]],
        rotation=45 if slanted else 0,
        ha="right" if slanted else "center",
    )
    ax.set_xlabel(words(figure.x_label))
    ax.set_ylabel(words(figure.y_label))


def _finish(ax: Any, figure: SeriesFigure, axis: str) -> None:
    if figure.log:
        _scale_log(ax, axis)
    ax.spines[["top", "right"]].set_visible(False)
    if len(figure.series) > 1:
        ax.legend(frameon=False, fontsize=8)


def _scale_log(ax: Any, axis: str) -> None:
    """Make an axis logarithmic, with plain numbers at 1, 2 and 5 times powers of ten.

    Matplotlib's own labels are formulas, which take longer to lay out than all else.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    ax.set(**{f"{axis}scale": "log"})
    low, high = getattr(ax, f"get_{axis}lim")()
    if high < 4 * low:
        locator: Any = MaxNLocator(4)
    else:
        locator = LogLocator(subs=(1.0, 2.0, 5.0) if high < 1e3 * low else (1.0,))
    scale = getattr(ax, f"{axis}axis")
    scale.set_major_locator(locator)
    scale.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    scale.set_minor_locator(NullLocator())
