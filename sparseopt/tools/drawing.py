"""Pictures of patterns, architectures and factors, with matplotlib.

Matrices larger than a picture can show are drawn in bins of several rows and columns: a bin of a
support shows its share of entries that may be nonzero, compared with the fullest bin, and a bin of
a factor its entry of largest magnitude. Nothing is made dense beyond the number of bins.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.choosing.availability import is_installed
from sparseopt.interface.errors import ProblemError

BINS = 192
"""Rows and columns of a picture at most; a panel has somewhat more pixels, so none is lost."""

_OUTSIDE, _INSIDE = "#f2f2ee", "#26547c"
_MOST_IN_A_ROW = 6


@singledispatch
def draw(subject: Any, path: str | os.PathLike[str] | None = None) -> Any:
    """Return a matplotlib figure of a pattern, an architecture or a product.

    Parameters
    ----------
    subject : KroneckerPattern, Architecture or KroneckerProduct
        A pattern is drawn as its support. An architecture has a panel for each support, and one
        for that of the product if the chain has one. A product has a panel for the values of each
        factor, each with its own scale of colours.
    path : str or path, optional
        Where the figure is saved, in the format of its suffix.

    Raises
    ------
    ProblemError
        If it is none of these.
    ImportError
        Without matplotlib (extra ``plot``).
    """
    raise ProblemError(
        f"draw takes a KroneckerPattern, an Architecture or a KroneckerProduct, got "
        f"{type(subject).__name__}"
    )


@draw.register
def _pattern(pattern: KroneckerPattern, path: str | os.PathLike[str] | None = None) -> Any:
    figure = _Figure([_title(pattern)])
    figure.support(0, pattern)
    return figure.finished(path)


@draw.register
def _architecture(architecture: Architecture, path: str | os.PathLike[str] | None = None) -> Any:
    titles = [f"factor {i + 1}: {_title(p)}" for i, p in enumerate(architecture)]
    patterns = list(architecture)
    if len(patterns) > 1 and architecture.is_chainable:
        patterns.append(architecture.product)
        titles.append(f"product: {_title(patterns[-1])}")
    figure = _Figure(titles)
    for i, pattern in enumerate(patterns):
        figure.support(i, pattern)
    return figure.finished(path)


@draw.register
def _product(product: KroneckerProduct, path: str | os.PathLike[str] | None = None) -> Any:
    held = product.to_numpy()
    figure = _Figure([f"factor {i + 1}: {_title(p)}" for i, p in enumerate(held.architecture)])
    pairs = zip(held.factors, held.architecture, strict=True)
    for i, (values, pattern) in enumerate(pairs):
        figure.values(i, values, pattern)
    return figure.finished(path)


def support_share(pattern: KroneckerPattern, bins: int = BINS) -> np.ndarray:
    """Return the share of the entries of each bin that may be nonzero.

    Rows and columns of one block (i, l) have all their entries in the support. So the number of
    entries in a bin is the sum over blocks of its number of rows times its number of columns, a
    product of two sparse matrices. O((m + n) + what that product takes).

    Returns
    -------
    array (min(m, bins), min(n, bins))
    """
    a, b, c, d = pattern
    counts, sizes = [], []
    for size, height in zip(pattern.shape, (b, c), strict=True):
        index = np.arange(size)
        bin_of = _bins(size, bins)
        block = index // (height * d) * d + index % d
        shape = int(bin_of[-1]) + 1, a * d
        counts.append(scipy.sparse.coo_array((np.ones(size), (bin_of, block)), shape).tocsr())
        sizes.append(np.bincount(bin_of))
    return (counts[0] @ counts[1].T).toarray() / np.outer(*sizes)


def largest_values(values: np.ndarray, pattern: KroneckerPattern, bins: int = BINS) -> np.ndarray:
    """Return the value of largest magnitude in each bin (the magnitude, of complex values).

    Bins that the support does not meet are NaN.
    """
    if values.dtype.kind == "c":
        values = np.abs(values)
    rows, columns = pattern.indices()
    m, n = pattern.shape
    places = _bins(m, bins)[rows], _bins(n, bins)[columns]
    shape = min(m, bins), min(n, bins)
    high, low = np.full(shape, -np.inf), np.full(shape, np.inf)
    np.maximum.at(high, places, values)
    np.minimum.at(low, places, values)
    found = np.where(np.abs(high) >= np.abs(low), high, low)
    return np.where(high == -np.inf, np.nan, found)


def _bins(size: int, bins: int) -> np.ndarray:
    """Return the bin of each of `size` rows or columns."""
    return np.arange(size) * min(size, bins) // size


def _title(pattern: KroneckerPattern) -> str:
    m, n = pattern.shape
    share = 100 * pattern.nnz / (m * n)
    return f"{tuple(pattern)}\n{m} x {n}, {pattern.nnz} values ({share:.3g} %)"


class _Figure:
    """A grid of panels with titles."""

    def __init__(self, titles: Sequence[str]) -> None:
        if not is_installed("matplotlib"):
            raise ImportError(
                "drawing needs matplotlib, which is not installed; "
                "remedy: pip install 'sparseopt[plot]'"
            )
        from matplotlib.figure import Figure

        across = min(len(titles), _MOST_IN_A_ROW)
        down = -(-len(titles) // across)
        self.canvas = Figure(figsize=(2.8 * across, 3.1 * down), layout="constrained")
        grid = self.canvas.subplots(down, across, squeeze=False).ravel()
        for ax in grid[len(titles) :]:
            ax.set_axis_off()
        self.panels = grid[: len(titles)]
        for ax, title in zip(self.panels, titles, strict=True):
            ax.set_title(title, fontsize=7)
            ax.tick_params(labelsize=7)
            ax.locator_params(nbins=4, integer=True)

    def support(self, place: int, pattern: KroneckerPattern) -> None:
        """Draw a support in a panel."""
        from matplotlib.colors import LinearSegmentedColormap

        colours = LinearSegmentedColormap.from_list("support", [_OUTSIDE, _INSIDE])
        share = support_share(pattern)
        self._image(place, share, pattern, cmap=colours, vmin=0.0, vmax=float(share.max()))

    def values(self, place: int, values: np.ndarray, pattern: KroneckerPattern) -> None:
        """Draw the values of a factor in a panel, with a bar of colours."""
        cells = largest_values(values, pattern)
        top = float(np.nanmax(np.abs(cells))) or 1.0
        # Beyond these the scale of colours overflows: then shares of the largest value are shown.
        unit = 1.0 if 1e-100 < top < 1e100 else top
        cells, top = cells / unit, top / unit
        signed = values.dtype.kind != "c"
        self.panels[place].set_facecolor(_OUTSIDE)
        image = self._image(
            place,
            cells,
            pattern,
            cmap="RdBu_r" if signed else "viridis",
            vmin=-top if signed else 0.0,
            vmax=top,
        )
        bar = self.canvas.colorbar(image, ax=self.panels[place], shrink=0.7)
        bar.ax.tick_params(labelsize=7)
        if unit != 1.0:
            bar.set_label(f"times {unit:.3g}", fontsize=7)

    def _image(
        self, place: int, cells: np.ndarray, pattern: KroneckerPattern, **colours: Any
    ) -> Any:
        m, n = pattern.shape
        # Pixels at whole rows and columns, whatever the bins.
        extent = (-0.5, n - 0.5, m - 0.5, -0.5)
        ax = self.panels[place]
        image = ax.imshow(cells, extent=extent, interpolation="nearest", aspect="auto", **colours)
        ax.set_box_aspect(float(np.clip(m / n, 0.25, 4.0)))
        return image

    def finished(self, path: str | os.PathLike[str] | None) -> Any:
        """Return the figure, saved if a path is given."""
        if path is not None:
            self.canvas.savefig(path, dpi=150)
        return self.canvas
