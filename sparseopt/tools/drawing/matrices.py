"""Pictures of patterns, and of factors with such a support.

Matrices larger than a picture can show are drawn in bins of several rows and columns: a bin of a
support shows its share of entries that may be nonzero, compared with the fullest bin, and a bin of
a factor its entry of largest magnitude. Nothing is made dense beyond the number of bins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.tools.drawing.canvas import INK, PAPER

BINS = 192
"""Rows and columns of a picture at most; a panel has somewhat more pixels, so none is lost."""


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


def title_of(pattern: KroneckerPattern) -> str:
    """Return the numbers of a pattern, its size and sparsity, in two lines."""
    m, n = pattern.shape
    share = 100 * pattern.nnz / (m * n)
    return f"{tuple(pattern)}\n{m} x {n}, {pattern.nnz} values ({share:.3g} %)"


def draw_support(ax: Any, pattern: KroneckerPattern) -> None:
    """Draw a support on an Axes."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    colours = LinearSegmentedColormap.from_list("support", [to_rgba(PAPER), to_rgba(INK)])
    share = support_share(pattern)
    _image(ax, share, pattern, cmap=colours, vmin=0.0, vmax=float(share.max()))


def draw_values(ax: Any, values: np.ndarray, pattern: KroneckerPattern) -> None:
    """Draw the values of a factor on an Axes, with a bar of colours beside it."""
    cells = largest_values(values, pattern)
    top = float(np.nanmax(np.abs(cells))) or 1.0
    # Beyond these the scale of colours overflows: then shares of the largest value are shown.
    unit = 1.0 if 1e-100 < top < 1e100 else top
    cells, top = cells / unit, top / unit
    signed = values.dtype.kind != "c"
    ax.set_facecolor(PAPER)
    colours = {
        "cmap": "RdBu_r" if signed else "viridis",
        "vmin": -top if signed else 0.0,
        "vmax": top,
    }
    image = _image(ax, cells, pattern, **colours)
    beside = ax.inset_axes([1.05, 0.1, 0.05, 0.8])
    bar = ax.figure.colorbar(image, cax=beside)
    beside.tick_params(labelsize=6)
    if unit != 1.0:
        bar.set_label(f"times {unit:.3g}", fontsize=6)


def _image(ax: Any, cells: np.ndarray, pattern: KroneckerPattern, **colours: Any) -> Any:
    m, n = pattern.shape
    # Pixels at whole rows and columns, whatever the bins.
    extent = (-0.5, n - 0.5, m - 0.5, -0.5)
    image = ax.imshow(cells, extent=extent, interpolation="nearest", aspect="auto", **colours)
    ax.set_box_aspect(float(np.clip(m / n, 0.25, 4.0)))
    ax.locator_params(nbins=4, integer=True)
    return image
