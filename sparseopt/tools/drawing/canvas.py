"""What pictures share: colours, a size, and panels inside one Axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sparseopt.interface.printing import printable

# Colour-blind safe (Okabe and Ito), and readable on light and dark paper alike.
INK, MARK, SOFT = "#3a7cb8", "#d55e00", "#8a8a84"
CYCLE = ("#2f86c8", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
PAPER = (0.5, 0.5, 0.47, 0.14)
"""Of what is empty in a picture: a veil over the paper, whatever its colour."""

MOST_IN_A_ROW = 6


@dataclass(frozen=True)
class Picture:
    """How a subject is drawn.

    Attributes
    ----------
    draw : callable(Axes)
        Draws it on an Axes, all of it, whatever the size.
    size : (width, height)
        In inches, where it has a figure of its own.
    narrow : (width, height) or None
        In inches, for a page that is read on a telephone; None: as `size`.
    """

    draw: Callable[[Any], None]
    size: tuple[float, float]
    narrow: tuple[float, float] | None = None


def words(text: object, most: int = 80) -> str:
    """Return a text of others as it may stand in a picture: dollars are dollars, no formulas."""
    return printable(text, most).replace("$", r"\$")


@dataclass(frozen=True)
class Panel:
    """One of several pictures side by side: its heading and what draws it."""

    title: str
    draw: Callable[[Any], None]


def panels(
    shown: Sequence[Panel],
    across: int | None = None,
    cell: tuple[float, float] = (2.8, 3.1),
) -> Picture:
    """Return the picture that holds others, in rows of at most `across`, each of a size in inches.

    They are inset in one Axes, which is returned to the user and can be a part of another figure.
    """
    count = max(1, len(shown))
    across = min(count, across or MOST_IN_A_ROW)
    down = -(-count // across)

    def draw(ax: Any) -> None:
        ax.set_axis_off()
        ax.set(xlim=(0, 1), ylim=(0, 1))
        # Shares of a cell that are left to titles, labels and bars of colours.
        left, bottom = 0.4 / cell[0], 0.4 / cell[1]
        width, height = 1.0 - left - 0.35 / cell[0], 1.0 - bottom - 0.6 / cell[1]
        for place, panel in enumerate(shown):
            row, column = divmod(place, across)
            corner = (column + left) / across, (down - 1 - row + bottom) / down
            inset = ax.inset_axes([*corner, width / across, height / down])
            inset.set_title(panel.title, fontsize=8)
            inset.tick_params(labelsize=7.5)
            panel.draw(inset)

    size = cell[0] * across, cell[1] * down
    return Picture(draw, size, (4.4, 4.4 * size[1] / size[0]) if across <= 2 else None)
