"""Pictures: the shown bins against dense arrays, the files, and what happens without matplotlib."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.tools.drawing.matrices import BINS, largest_values, support_share
from sparseopt.tools.random_products import random_product

PATTERNS = [(1, 1, 1, 1), (2, 3, 4, 5), (1, 5, 7, 1), (6, 1, 1, 3), (1, 2, 3, 40), (31, 3, 2, 1)]


def bin_edges(size: int, bins: int) -> list[int]:
    """First row of each bin: row i is in bin floor(i bins / size)."""
    count = min(size, bins)
    return [math.ceil(k * size / count) for k in range(count + 1)]


@pytest.mark.parametrize("numbers", PATTERNS)
@pytest.mark.parametrize("bins", [1, 7, 16, 1000])
@pytest.mark.parametrize("kind", ["f", "c"])
def test_bins_show_what_the_dense_matrix_holds(
    numbers: tuple[int, int, int, int], bins: int, kind: str
) -> None:
    pattern = so.KroneckerPattern(*numbers)
    rng = np.random.default_rng(0)
    values = rng.standard_normal(pattern.values_shape)
    if kind == "c":
        values = values + 1j * rng.standard_normal(pattern.values_shape)
    support, dense = pattern.support(), pattern.sparse(values).toarray()
    share, largest = support_share(pattern, bins), largest_values(values, pattern, bins)
    rows, columns = (bin_edges(size, bins) for size in pattern.shape)
    assert share.shape == largest.shape == (len(rows) - 1, len(columns) - 1)
    for i, j in np.ndindex(share.shape):
        cell = slice(rows[i], rows[i + 1]), slice(columns[j], columns[j + 1])
        assert share[i, j] == pytest.approx(support[cell].mean())
        held = dense[cell][support[cell]]
        if held.size == 0:
            assert math.isnan(largest[i, j])
        else:
            top = held[np.argmax(np.abs(held))]
            assert largest[i, j] == pytest.approx(abs(top) if kind == "c" else top)


def test_a_huge_support_is_drawn_without_listing_its_entries() -> None:
    share = support_share(so.KroneckerPattern(1, 2**20, 2**20, 1))
    assert share.shape == (BINS, BINS)
    assert (share == 1.0).all()


def panels(figure: Any) -> list[Any]:
    """Return the panels of a figure of ours, which are inset in its one Axes."""
    (host,) = figure.axes
    return list(host.child_axes)


def test_figures_are_returned_and_saved(tmp_path: Path) -> None:
    pattern = so.KroneckerPattern(2, 3, 4, 5)
    figure = so.draw(pattern, tmp_path / "pattern.png")
    assert (tmp_path / "pattern.png").read_bytes().startswith(b"\x89PNG")
    (axes,) = panels(figure)
    assert axes.get_title() == "(2, 3, 4, 5)\n30 x 40, 120 values (10 %)"
    assert np.array_equal(axes.images[0].get_array() > 0, pattern.support())

    chain = so.Architecture.square_dyadic(16)
    figure = so.draw(chain, tmp_path / "chain.svg")
    assert b"<svg" in (tmp_path / "chain.svg").read_bytes()
    titles = [axes.get_title() for axes in panels(figure)]
    assert titles[0].startswith("factor 1: (1, 2, 2, 8)")
    assert titles[-1].startswith("product: (1, 16, 16, 1)")
    assert len(titles) == 5
    # Neither a single pattern nor a chain without pattern of the product gets one.
    assert len(panels(so.draw(so.Architecture([(1, 2, 3, 1)])))) == 1
    assert len(panels(so.draw(chain.transpose))) == 4


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_factors_are_drawn(dtype: type, tmp_path: Path) -> None:
    product = random_product(so.Architecture.square_dyadic(256), np.random.default_rng(0), dtype)
    figure = so.draw(product, tmp_path / "factors.png")
    shown = panels(figure)
    assert len(shown) == 8
    assert all(len(panel.child_axes) == 1 for panel in shown)  # bars of colours
    low, high = shown[0].images[0].get_clim()
    assert high == pytest.approx(np.abs(product.factors[0]).max())
    assert low == (0.0 if dtype == np.complex128 else -high)


def test_a_zero_factor_is_drawn() -> None:
    pattern = so.KroneckerPattern(1, 2, 2, 2)
    product = so.KroneckerProduct((np.zeros(pattern.values_shape),), so.Architecture([pattern]))
    assert panels(so.draw(product))[0].images[0].get_clim() == (-1.0, 1.0)


@pytest.mark.parametrize("size", [1e308, 5e-324])
def test_extreme_values_are_drawn(size: float) -> None:
    values = np.array([[size, -size / 4]]).reshape(1, 1, 2, 1)
    product = so.KroneckerProduct((values,), so.Architecture([(1, 1, 2, 1)]))
    (panel,) = panels(so.draw(product))
    (bar,) = panel.child_axes
    assert np.array_equal(panel.images[0].get_array()[0], values.ravel() / size)
    assert bar.get_ylabel() == f"times {size:.3g}"


@pytest.mark.parametrize("numbers", [(1, 1, 1, 1), (1, 1, 900, 1), (900, 1, 1, 1), (3, 1, 7, 11)])
def test_any_shape_is_drawn(numbers: tuple[int, int, int, int], tmp_path: Path) -> None:
    so.draw(so.KroneckerPattern(*numbers), tmp_path / "a.png")
    so.draw(random_product([numbers], np.random.default_rng(0)), tmp_path / "b.png")


def test_without_matplotlib_the_remedy_is_named(without: Callable[[str], None]) -> None:
    without("matplotlib")
    with pytest.raises(ImportError, match=r"pip install 'sparseopt\[plot\]'"):
        so.draw(so.KroneckerPattern(1, 2, 2, 1))
