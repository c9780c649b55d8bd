"""Pictures of networks: one row a layer, from the input down to the output."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sparseopt.interface.finding import NetworkFigure
from sparseopt.networks.layers import linear_layers
from sparseopt.networks.linear import Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Input, Relu
from sparseopt.tools.drawing.canvas import INK, MARK, PAPER, SOFT, Picture, words

_MOST_ROWS = 120
_INCHES_PER_ROW = 0.28
# Columns, in tenths of the width.
_NODE, _NAME, _BAR, _END = 1.6, 2.0, 6.3, 9.0


def network_figure(
    network: Network, pairs: Iterable[tuple[str, str]] = (), title: str = ""
) -> NetworkFigure:
    """Return the graph of a network's layers, as data.

    A ReLU, an entrywise scale and what only moves values belong to the layer before them. Rows of
    layers stand in the network's order; the pairs are of names of layers that are to be marked.
    """
    shares = {layer.name: layer.density for layer in linear_layers(network)}
    place: dict[str, int] = {}
    kept: list[Node] = []
    edges: dict[tuple[int, int], None] = {}
    for node in network.nodes:
        if node.name not in network.used:
            continue
        before = list(dict.fromkeys(place[name] for name in node.inputs))
        if not _stands(node) and len(before) == 1:
            place[node.name] = before[0]
            continue
        place[node.name] = len(kept)
        edges |= dict.fromkeys((p, len(kept)) for p in before)
        kept.append(node)
    shapes = [network.shapes[node.name] for node in kept]
    weighted = sum(node.name in shares for node in kept)
    return NetworkFigure(
        title or f"The network: {weighted} layers with weights, from input to output",
        [node.name for node in kept],
        [type(node.op).__name__ for node in kept],
        [" x ".join(map(str, shape)) or "1" for shape in shapes],
        [math.prod(shape) for shape in shapes],
        [shares.get(node.name, math.nan) for node in kept],
        list(edges),
        [
            (place[a], place[b])
            for a, b in pairs
            if a in place and b in place and place[a] != place[b]
        ],
    )


def _stands(node: Node) -> bool:
    """Whether a layer has a row of its own."""
    if isinstance(node.op, Input):
        return True
    return not (node.op.is_wiring or isinstance(node.op, Relu | Scale))


def of_network(figure: NetworkFigure) -> Picture:
    """Return the picture of a graph of layers."""
    rows = min(len(figure.names), _MOST_ROWS)
    height = 0.75 + _INCHES_PER_ROW * rows
    return Picture(lambda ax: _draw(ax, figure), (5.4, height), (4.4, height))


def _draw(ax: Any, figure: NetworkFigure) -> None:
    count = len(figure.names)
    shown = list(range(count))
    if count > _MOST_ROWS:  # the middle is left out
        half = _MOST_ROWS // 2
        shown = [*range(half), *range(count - half, count)]
    height = {place: -row for row, place in enumerate(shown)}
    ax.set_axis_off()
    ax.set(xlim=(0, 10), ylim=(-len(shown) + 0.3, 1.3))
    ax.text(_NAME, 0.75, "layer", fontsize=7.5, color=SOFT, va="center")
    ax.text(
        _BAR,
        0.75,
        "values (log scale), share of weights",
        fontsize=7.5,
        color=SOFT,
        va="center",
        ha="center",
    )
    _edges(ax, figure, height)
    widest = max(map(math.log2, (w + 1 for w in figure.widths)), default=1.0)
    marked = {place for pair in figure.marks for place in pair}
    for place in shown:
        _row(ax, figure, place, height[place], widest, place in marked)
    if len(shown) < count:
        row = -(_MOST_ROWS // 2) + 0.5
        left_out = f"{count - len(shown)} layers are left out here"
        ax.text(_NAME, row, left_out, fontsize=7.5, color=SOFT, va="center", style="italic")


def _row(ax: Any, figure: NetworkFigure, place: int, y: float, widest: float, marked: bool) -> None:
    from matplotlib.patches import Rectangle

    ax.plot([_NODE], [y], "o", ms=4.5, color=MARK if marked else INK, zorder=3)
    name = words(figure.names[place], 25)
    ax.text(_NAME, y, name, fontsize=8.5, va="center", weight="bold" if marked else "normal")
    long = max(0.08, (_END - _BAR) * math.log2(figure.widths[place] + 1) / widest)
    share = figure.shares[place]
    ax.add_patch(Rectangle((_BAR, y - 0.3), long, 0.6, fc=PAPER, ec=SOFT, lw=0.4))
    if share == share:
        ax.add_patch(Rectangle((_BAR, y - 0.3), long * share, 0.6, fc=INK, lw=0, alpha=0.75))
    percent = "" if share != share else f"{100 * share:.0f} %"
    shape = words(figure.shapes[place], 30)
    ax.text(_BAR + 0.08, y, shape, fontsize=7.5, va="center", clip_on=True)
    ax.text(9.95, y, percent, fontsize=8, va="center", ha="right")


def _edges(ax: Any, figure: NetworkFigure, height: Mapping[int, float]) -> None:
    """Draw what reads what: straight to the next row, else as an arc on the left."""
    marks = set(map(tuple, figure.marks))
    drawn = dict.fromkeys([*map(tuple, figure.edges), *marks])
    for first, last in drawn:
        if first not in height or last not in height:
            continue
        top, bottom = height[first], height[last]
        colour, thick = (MARK, 2.2) if (first, last) in marks else (SOFT, 0.9)
        if top - bottom <= 1:
            ax.plot([_NODE, _NODE], [top, bottom], color=colour, lw=thick, zorder=1)
            continue
        angle = np.linspace(0, np.pi, 40)
        reach = min(1.4, 0.25 + 0.11 * (top - bottom))
        x = _NODE - reach * np.sin(angle)
        y = (top + bottom) / 2 + (top - bottom) / 2 * np.cos(angle)
        ax.plot(x, y, color=colour, lw=thick, zorder=1)
