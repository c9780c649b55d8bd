"""Composite penalties in doubled precision, by way of a problem that has norms of blocks alone.

A ridge is a penalty's worth of further rows, one for each coefficient, and the search knows weights
of rows, so that nothing is rounded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.context import Context
from sparseopt.inverse.duality import DualityGap
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.penalty import L1, GroupL1, Penalty
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import ScaledProblem
from sparseopt_inverse.best import Best
from sparseopt_inverse.joint_rounding import rounded_jointly
from sparseopt_inverse.precise import PreciseSearch
from sparseopt_inverse.refinement import refine

_NEARLY_FREE = 1e-9
_MOST_ENTRIES = 2**22
"""Entries of the largest dense design that is extended by the rows of a ridge."""


def search_doubled(scaled: ScaledProblem, x: np.ndarray, best: Best, context: Context) -> None:
    """Offer what is found in doubled precision from scaled coefficients, where there is a way.

    There is none for operators, and for a ridge under a large dense design.
    """
    limits = scaled.limits
    plain = _plain(scaled, limits)
    if plain is None:
        return
    if x.any():
        _search(scaled, plain, x, best, context)
    if best.good or limits.all() or not limits.any() or plain.scaled().thresholds is not None:
        return
    if scaled.positive:
        return
    # Nearly free columns need no projection, which may have lost all digits of the others.
    nearly = _plain(scaled, np.where(limits > 0, limits, _NEARLY_FREE * limits.max()))
    assert nearly is not None
    if (weights := _rows(scaled)[1]) is not None:  # rounded roots are good enough here
        nearly = replace(
            nearly,
            design=_times_roots(nearly.design, weights),
            target=nearly.target * np.sqrt(weights),
        )
    rough = refine(nearly, np.zeros(scaled.size), (), context)[0].x
    if rough.any():
        _search(scaled, plain, rough, best, context)


def _search(
    scaled: ScaledProblem, plain: SparseRegression, x: np.ndarray, best: Best, context: Context
) -> None:
    inner = plain.scaled()
    used, weights = _rows(scaled)
    search = PreciseSearch(DualityGap(plain), 0.1 * max(best.asked, 1e-14), context, weights)
    found = search.run(inner.coefficients(x))
    if found is None:
        return
    own, t = found
    point = np.zeros((2, scaled.rows))
    point[:, used] = inner.original_dual_point(t)[:, : len(used)]
    for rows in (point[:1], point):
        best.offer(inner.original_coefficients(own[0]), rows)
        if best.good:
            return
    chosen = np.flatnonzero(own[0])
    columns = search.columns(chosen)
    columns = columns if weights is None else _times_roots(columns, weights)
    own[0, chosen] = rounded_jointly(columns, own[:, chosen])
    best.offer(inner.original_coefficients(own[0]), point)


def _times_roots(design: Any, weights: np.ndarray) -> Any:
    roots = np.sqrt(weights)
    if scipy.sparse.issparse(design):
        return (scipy.sparse.diags_array(roots) @ design).tocsc()
    return design * roots[:, None]


def _rows(scaled: ScaledProblem) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the rows with weights above 0, and these weights with those of a ridge's rows."""
    if scaled.weights is None and not scaled.ridge:
        return np.arange(scaled.rows), None
    weights = np.ones(scaled.rows) if scaled.weights is None else scaled.weights
    used = np.flatnonzero(weights)
    own = np.full(scaled.size if scaled.ridge else 0, scaled.ridge)
    return used, np.concatenate([weights[used], own])


def _plain(scaled: ScaledProblem, limits: np.ndarray) -> SparseRegression | None:
    """Return a problem with the same minimisers where its rows have the weights of `_rows`."""
    design, size = scaled.design, scaled.size
    if isinstance(design, ColumnOperator):
        return None
    target, sparse = scaled.target, scipy.sparse.issparse(design)
    if scaled.weights is not None:
        used = _rows(scaled)[0]
        design, target = design[used], target[used]
    if scaled.ridge:
        target = np.concatenate([target, np.zeros(size)])
        if sparse:
            design = scipy.sparse.vstack([design, scipy.sparse.eye_array(size)], "csc")
        elif len(target) * size > _MOST_ENTRIES:
            return None
        else:
            design = np.vstack([design, np.eye(size)])
    if not np.abs(target).max() > 0:
        return None
    if scaled.blocks.single and scaled.thresholds is None:
        return SparseRegression(design, target, L1(1.0, limits, scaled.positive))
    groups = np.split(scaled.blocks.order, scaled.blocks.starts[1:])
    penalty: Penalty = GroupL1(1.0, groups, limits, scaled.positive)
    if scaled.thresholds is not None:
        penalty = penalty + L1(1.0, scaled.thresholds, scaled.positive)
    return SparseRegression(design, target, penalty)
