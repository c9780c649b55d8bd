"""The figures of a page: SVG that follows the page's colours, and what it shows in words."""

from __future__ import annotations

import io
import math
import re
import warnings

import numpy as np

from sparseopt.interface.finding import Figure, NetworkFigure, SeriesFigure, SupportFigure
from sparseopt.interface.printing import printable
from sparseopt.tools.drawing.subjects import picture
from sparseopt.tools.report.numbers import number

# Texts and lines are drawn in this colour, which then gives way to that of the page's text.
_TEXT = "#010203"
_MOST_NAMES = 8


def svg(figure: Figure, place: str) -> str:
    """Return a figure as an SVG element. Raises ImportError without matplotlib.

    Parameters
    ----------
    figure : Figure
    place : str
        Prefix of the ids in it, so that those of a page are unique.
    """
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    # Text stays text: small pages that can be searched and read aloud.
    style = {"svg.fonttype": "none", "svg.hashsalt": "sparseopt", "font.size": 8.5}
    style |= {"axes.facecolor": "none", "figure.facecolor": "none"}
    names = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    with (
        matplotlib.rc_context({**style, **dict.fromkeys(names, _TEXT)}),
        warnings.catch_warnings(),
    ):
        # Of names in scripts that matplotlib's font has not: the browser's fonts draw them.
        warnings.filterwarnings("ignore", message="Glyph")
        shown = picture(figure)
        canvas = Canvas(figsize=shown.narrow or shown.size, layout="constrained")
        shown.draw(canvas.subplots())
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        canvas.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_TEXT, "currentColor")
    text = re.sub(r'\bid="', f'id="{place}-', text)
    text = re.sub(r"url\(#", f"url(#{place}-", text)
    return re.sub(r'href="#', f'href="#{place}-', text)


def in_words(figure: Figure) -> str:
    """Return what a figure shows, for who does not see it."""
    if isinstance(figure, SupportFigure):
        return _supports(figure)
    if isinstance(figure, NetworkFigure):
        return _network(figure)
    return _series(figure)


def _supports(figure: SupportFigure) -> str:
    parts = []
    for title, support in figure.supports.items():
        cells = np.asarray(support)
        rows, columns = cells.shape
        share = f"{100 * cells.mean():.3g} % of the entries nonzero" if cells.size else "empty"
        words = f"{title}: {rows} by {columns}, {share}"
        marks = figure.marks.get(title, [])
        if marks:
            words += f", {len(marks)} entries outlined: {_listed(marks)}"
        parts.append(words)
    return _sentence(figure.title, parts)


def _network(figure: NetworkFigure) -> str:
    sparse = [(n, s) for n, s in zip(figure.names, figure.shares, strict=True) if s < 1]
    parts = [f"a graph of {len(figure.names)} layers and {len(figure.edges)} connections"]
    if sparse:
        shares = [f"{name} {100 * share:.3g} %" for name, share in sparse]
        parts.append(f"nonzero shares of the weights: {_listed(shares)}")
    pairs = [f"{figure.names[a]} and {figure.names[b]}" for a, b in figure.marks]
    if pairs:
        parts.append(f"marked: {_listed(pairs)}")
    return _sentence(figure.title, parts)


def _series(figure: SeriesFigure) -> str:
    kind = "lines" if figure.kind == "line" else "bars"
    parts = [f"{kind} over {len(figure.labels)} places on the axis {figure.x_label}"]
    for name, values in figure.series.items():
        data = np.asarray(values, dtype=float)
        if not np.isfinite(data).any():
            parts.append(f"{name}: no finite value")
            continue
        low, high = int(np.nanargmin(data)), int(np.nanargmax(data))
        if data[low] == data[high]:
            parts.append(f"{name}: {number(_plain(data[low]))} throughout")
            continue
        parts.append(
            f"{name}: from {number(_plain(data[low]))} at {figure.labels[low]} "
            f"to {number(_plain(data[high]))} at {figure.labels[high]}"
        )
    return _sentence(figure.title, parts)


def _plain(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def _listed(items: list) -> str:  # type: ignore[type-arg]
    shown = ", ".join(str(item) for item in items[:_MOST_NAMES])
    more = len(items) - _MOST_NAMES
    return shown + (f" and {more} more" if more > 0 else "")


def _sentence(title: str, parts: list[str]) -> str:
    return printable(f"{title}. {'; '.join(parts)}.", 1000)
