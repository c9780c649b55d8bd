"""Entries of a matrix that is known by its products: which vectors to multiply, what to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.interface.errors import ProblemError


@dataclass(frozen=True, eq=False)
class Axis:
    """What an index takes of one axis, as NumPy reads it.

    Parameters
    ----------
    places : int array (k,)
        Nonnegative.
    kind : {"integer", "slice", "vector"}
        An integer drops the axis; two vectors are paired, entry by entry.
    """

    places: np.ndarray
    kind: str


def axes_of(key: Any, shape: tuple[int, int]) -> tuple[Axis, Axis]:
    """Return the rows and the columns of ``matrix[key]``, two vectors of one length if paired.

    Raises
    ------
    ProblemError
        If the key is anything but integers, slices and vectors, has more than two of them, or two
        vectors of distinct lengths.
    IndexError
        If an integer lies outside its axis.
    """
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) > 2:
        raise ProblemError(f"a matrix has rows and columns, got {len(parts)} indices")
    whole = (*parts, slice(None))[:2]
    rows, columns = (
        _axis(part, size, name)
        for part, size, name in zip(whole, shape, ("rows", "columns"), strict=True)
    )
    if rows.kind == columns.kind == "vector":
        sizes = len(rows.places), len(columns.places)
        if 1 not in sizes and sizes[0] != sizes[1]:
            raise ProblemError(
                f"vectors of rows and of columns are paired: got {sizes[0]} rows and {sizes[1]} "
                "columns; for the block of both write matrix[rows][:, columns]"
            )
        pairs = np.broadcast_arrays(rows.places, columns.places)
        rows, columns = (Axis(places, "vector") for places in pairs)
    return rows, columns


def _axis(part: Any, size: int, name: str) -> Axis:
    if isinstance(part, slice):
        return Axis(np.arange(size)[part], "slice")
    index = np.asarray(part if not isinstance(part, list) or part else np.empty(0, dtype=int))
    if index.dtype.kind not in "iub" or index.ndim > 1 or (index.dtype == bool and not index.ndim):
        raise ProblemError(
            f"{name} are chosen by an integer, a slice, or a vector of integers or truth values"
        )
    places = np.arange(size)[index]
    return Axis(np.atleast_1d(places), "vector" if index.ndim else "integer")


def block_of(product: Any, along: Axis, across: Axis, swapped: bool = False) -> Any:
    """Return what two indices take, from the product with unit vectors of one of them.

    Parameters
    ----------
    product : array or tensor (size, k)
        The matrix times the unit vectors at ``across.places``, or its transpose.
    along : Axis
        Of the first axis of `product`.
    across : Axis
        Of the second one, in the order of ``across.places``.
    swapped : bool
        Whether `product` is of the transpose.
    """
    if along.kind == across.kind == "vector":
        return product[along.places, np.arange(len(across.places))]
    block = product[along.places]
    block = block[:, 0] if across.kind == "integer" else block
    block = block[0] if along.kind == "integer" else block
    return block.T if swapped and block.ndim == 2 else block
