"""`plot` behind the methods of that name, and `draw` for a figure in a file."""

from __future__ import annotations

import os
from typing import Any

from sparseopt.choosing.availability import is_installed
from sparseopt.tools.drawing.subjects import picture


def plot(subject: Any, ax: Any = None) -> Any:
    """Draw a subject; what its method `plot` does.

    Parameters
    ----------
    subject : object
        What has a picture, see `sparseopt.tools.drawing.subjects.picture`.
    ax : matplotlib Axes or None
        Where it is drawn; None makes a new figure of ``matplotlib.pyplot``, which notebooks show.

    Returns
    -------
    matplotlib Axes
        Pictures of several panels are inset in it (``ax.child_axes``).

    Raises
    ------
    ProblemError
        For what has no picture.
    ImportError
        Without matplotlib (extra ``plot``).
    """
    _require_matplotlib()
    shown = picture(subject)
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.figure(figsize=shown.size, layout="constrained").subplots()
    shown.draw(ax)
    return ax


def draw(subject: Any, path: str | os.PathLike[str] | None = None) -> Any:
    """Return the picture of a subject as a matplotlib figure of its own, saved if asked.

    What the method ``subject.plot()`` draws, without ``matplotlib.pyplot``: for scripts that make
    many figures, and keep none open.

    Parameters
    ----------
    subject : KroneckerPattern, Architecture, KroneckerProduct, Network, Solution, ...
        Whatever has a method `plot`.
    path : str or path, optional
        Where the figure is saved, in the format of its suffix.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ProblemError
        For what has no picture.
    ImportError
        Without matplotlib (extra ``plot``).
    """
    _require_matplotlib()
    from matplotlib.figure import Figure

    shown = picture(subject)
    figure = Figure(figsize=shown.size, layout="constrained")
    shown.draw(figure.subplots())
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _require_matplotlib() -> None:
    if not is_installed("matplotlib"):
        raise ImportError(
            "drawing needs matplotlib, which is not installed; "
            "remedy: pip install 'sparseopt[plot]'"
        )
