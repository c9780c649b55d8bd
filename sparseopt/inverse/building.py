"""Good dual points from any: what certificates are built with, and nothing that judges them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.interface.arrays import as_array, require_finite
from sparseopt.interface.errors import ProblemError
from sparseopt.inverse.duality import ROUGH, DualityGap, Look, Primal
from sparseopt.inverse.kinds import NuclearGap, VariationGap, gap_of
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import NO_NORM
from sparseopt.judging.rounding import (
    TINY,
    UNIT,
    above,
    below,
    gamma,
    norm_bound,
    two_product,
)

_NEAR = 2.0**-34
"""A rough point that close to its best multiple is good as it is."""
_INSIDE = 1.0 - 1e-14
_ROOM = 3.0
"""How many times over each bound of rounding is taken, see `DualityGap`."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a certificate holds, in the units of the problem, see `best_evidence`.

    Attributes
    ----------
    x : ndarray
    dual_point : ndarray
    primal, dual, gap : float
    undecided : ndarray of int
    accuracy : float
        The certificate's, or a little more.
    """

    x: np.ndarray
    dual_point: np.ndarray
    primal: float
    dual: float
    gap: float
    undecided: np.ndarray
    accuracy: float

    @property
    def fields(self) -> tuple[Any, ...]:
        """All of a certificate but problem and answer."""
        return self.dual_point, self.primal, self.dual, self.gap, self.undecided


class _KnownGap(DualityGap):
    """Takes the correlations of multiples of a point from those of the point.

    Parameters
    ----------
    gap : DualityGap
    point : ndarray, shape (m,)
    correlation : ndarray, shape (n,)
        ``A^T point`` in plain arithmetic.
    """

    def __init__(self, gap: DualityGap, point: np.ndarray, correlation: np.ndarray) -> None:
        self.__dict__.update(gap.__dict__)
        self._point, self._correlation, self._size = point, correlation, norm_bound(point)
        self._square = float(point @ point)

    def _correlations(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if len(t) > 1 or not self._square:
            return super()._correlations(t)
        factor = float(t[0] @ self._point) / self._square
        rest = norm_bound(t[0] - factor * self._point)
        if not rest <= 2.0**-40 * abs(factor) * self._size:
            return super()._correlations(t)
        # A^T t = factor A^T point + A^T rest; products with the factor are rounded.
        size = abs(factor) * self._size * (gamma(len(t[0]) + 8) + 4.0 * UNIT) + rest
        error = size * (1.0 + 16.0 * UNIT) * self.norms + TINY
        return factor * self._correlation, self.room * error


def best_multiple(
    target: np.ndarray, t: np.ndarray, norms: np.ndarray, limits: np.ndarray
) -> float:
    """Return the factor f for which D(f t) is largest among the feasible multiples of `t`.

    D(f t) is a parabola in f with its top at target.t / |t|^2, cut off where f times a block norm
    of ``A^T t`` reaches its limit, all of which are positive. Plain arithmetic: feasible up to
    rounding.
    """
    square = float(t @ t)
    with np.errstate(over="ignore"):
        largest = float((norms / limits).max(initial=0.0))
    room = 1.0 / largest if largest > 0.0 else math.inf
    return min(max(float(target @ t) / square, -room), room) if square > 0 else 0.0


def _multiple(t: np.ndarray, factor: float) -> np.ndarray:
    """Return a dual point times a factor; one of two rows keeps twice the digits."""
    if len(t) == 1:
        return t * factor
    high, low = two_product(t[0], np.full(t.shape[1], factor))
    low += t[1] * factor
    total = high + low
    return np.stack([total, low - (total - high)])


def feasible_multiple(gap: DualityGap, t: np.ndarray) -> tuple[np.ndarray, Look]:
    """Return the feasible multiple of `t` with the largest dual objective, and its `Look`.

    Without a penalty it is `t` itself.

    Parameters
    ----------
    gap : DualityGap
    t : ndarray, shape (1, m) or (2, m)
        In scaled units.
    """
    if not gap.penalised:
        return t, gap.look(t)
    if (largest := max(t.max(), -t.min())) > 2.0**300:  # so that its square is a number
        t = t * math.ldexp(1.0, -math.frexp(largest)[1])
    look, shrink = gap.look(t), 0.0
    if gap.scaled.ridge or gap.scaled.thresholds is not None:
        factor = _best_factor(gap, t[0], look)
    else:  # free columns do not limit multiples
        own, target = (t[0], gap.scaled.target)
        if gap.roots is not None:
            own, target = gap.divided(own), gap.roots * target
        reach, limits = look.reach, gap.limits_low
        if len(gap.free):
            reach, limits = reach[limits > 0], limits[limits > 0]
        factor = best_multiple(target, own, reach, limits)
        factor = max(factor, 0.0) if gap.scaled.positive else factor
    near = _NEAR if gap.rough else 8.0 * UNIT
    if abs(factor - 1.0) <= near and gap.feasible(look.reach).all():
        return t, look
    # Rounding the multiple itself moves the correlations of large columns, so what is taken off
    # doubles until all constraints hold.
    while shrink < 1.0:
        point = _multiple(t, factor * (1.0 - shrink))
        look = gap.look(point)
        over = ~gap.feasible(look.reach)
        if not over.any():
            return point, look
        # What exceeds a limit of 0 does not tell by how much to shrink.
        bounded = over & (gap.limits_low > 0)
        excess = np.max(1.0 - gap.limits_low[bounded] / look.reach[bounded], initial=2.0 * UNIT)
        shrink = 2.0 * max(shrink, float(excess))
    point = np.zeros_like(t[:1])
    return point, gap.look(point)


def _best_factor(gap: DualityGap, t: np.ndarray, look: Look) -> float:
    """Return about the factor f for which D(f t) is largest among the feasible multiples.

    By bisection on its slope, which falls: where f t is not feasible it counts as negative.
    """
    scaled = gap.scaled
    own = t if gap.roots is None else gap.divided(t)
    square, along = float(own @ own), float(scaled.target @ t)
    if not square > 0 or (along <= 0 and scaled.positive):
        return 0.0
    correlation = scaled.correlation(t) if look.entries is None else look.entries.copy()
    correlation[gap.projected(correlation, t[None])] = 0.0
    step = 1e-6

    def curve(factor: float) -> float:
        over = gap.excess(factor * correlation)
        conjugate = 0.5 * float(over @ over) / scaled.ridge
        return factor * along - 0.5 * factor * factor * square - conjugate

    def falls(factor: float) -> bool:
        if not scaled.ridge:
            return bool(gap.excess(factor * correlation).any())
        return curve(factor * (1.0 + step)) < curve(factor * (1.0 - step))

    if along < 0:
        return -_best_factor(gap, -t, look)
    high = along / square
    if not falls(high):
        return high
    if scaled.ridge:  # without limits this is the top, and with them it lies beyond
        low = along / (square + float(correlation @ correlation) / scaled.ridge)
        while high > low * (1.0 + step):
            middle = math.sqrt(low) * math.sqrt(high)
            low, high = (low, middle) if falls(middle) else (middle, high)
        # The curve is flat there: where that is near 1 the point is good as it is.
        return 1.0 if abs(low - 1.0) < 1e-5 else low
    if not scaled.ridge and not falls(1.0) and falls(1.0 + 1e-9):
        return 1.0
    low = 0.0
    for _ in range(64):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if falls(middle) else (middle, high)
    return 1.0 if abs(low - 1.0) < 1e-14 else low


def _refined(gap: DualityGap, t: np.ndarray) -> np.ndarray | None:
    """Return a point that meets the equations of the dual to twice the digits, if there are any."""
    if len(t) > 1 or not t.any():
        return None
    if len(gap.free):
        return without_free(gap, t[0])
    if isinstance(gap, VariationGap):
        return without_constants(gap, t[0])
    if isinstance(gap, NuclearGap) or (type(gap) is DualityGap and not gap.is_simple):
        return within_limits(gap, t[0])
    return None


def within_limits(gap: DualityGap, t: np.ndarray) -> np.ndarray | None:
    """Return `t` moved so that its correlations keep within their limits, as two rows.

    Only where correlations are next to nothing, so that rounding one row of them costs what a
    multiple of the point does not make up for.
    """
    scaled = gap.scaled
    size = float(np.linalg.norm(t)) * float(gap.norms.max())
    most = float(scaled.limits.max())
    if scaled.thresholds is not None:
        most = max(most, float(scaled.thresholds.max()))
    if scaled.ridge or not 0.0 < most < 1e-4 * size:
        return None
    if scaled.rows * scaled.size > 2**22:
        return None
    values = gap.exact_correlations(t[None], np.arange(scaled.size))[0]
    if not float(np.abs(values).max()) < 1e-4 * size:
        return None
    excess = _spectral_excess(gap, values) if isinstance(gap, NuclearGap) else _excess(gap, values)
    if not excess.any():
        return None
    weighted = scaled.dense() if gap.roots is None else scaled.dense() * gap.roots[:, None]
    units = np.divide(1.0, gap.norms, out=np.zeros_like(gap.norms), where=gap.norms > NO_NORM)
    step = np.linalg.lstsq((weighted * units).T, units * excess, rcond=None)[0]
    return np.stack([t, -step if gap.roots is None else -step * gap.roots])


def _spectral_excess(gap: NuclearGap, values: np.ndarray) -> np.ndarray:
    u, s, v = np.linalg.svd(gap.matrix(values), full_matrices=False)
    excess = (u * np.maximum(s - float(gap.limits_low[0]) * _INSIDE, 0.0)) @ v
    flat = np.asarray(excess.ravel())
    return np.append(flat.real, flat.imag) if np.iscomplexobj(flat) else flat


def _excess(gap: DualityGap, values: np.ndarray) -> np.ndarray:
    """Return what blocks of thresholded correlations have beyond their limits."""
    size = np.maximum(values, 0.0) if gap.scaled.positive else np.abs(values)
    if gap.thresholds_low is not None:
        size = np.maximum(size - gap.thresholds_low * _INSIDE, 0.0)
    norms = gap.scaled.blocks.norms(size)
    share = np.maximum(norms - gap.limits_low * _INSIDE, 0.0)
    share = np.divide(share, norms, out=np.zeros_like(norms), where=norms > 0.0)
    return np.asarray(np.copysign(size * gap.scaled.blocks.spread(share), values))


def without_constants(gap: VariationGap, t: np.ndarray) -> np.ndarray:
    """Return `t` less most of its projection onto the sum of the columns, as two rows."""
    total = gap.sum_of_columns[0][0]
    values = gap.exact_correlations(t[None], np.arange(gap.scaled.size))[0]
    half = len(total) // 2
    directions = [total]
    if gap.parts == 2:
        directions.append(np.append(-total[half:], total[:half]))
    step = np.zeros_like(t)
    for u, c in zip(directions, values.reshape(gap.parts, -1), strict=True):
        weighted = u if gap.scaled.weights is None else u * gap.scaled.weights
        square = float(u @ weighted)
        if square > 0:
            step += weighted * (math.fsum(c.tolist()) / square)
    return np.stack([t, -step])


def without_free(gap: DualityGap, t: np.ndarray) -> np.ndarray:
    """Return `t`, one row, less most of its projection onto the free columns, as two rows."""
    scaled = gap.scaled
    look = scaled.correlation(t)
    chosen = gap.projected(look, t[None])
    if not len(chosen) or scaled.rows * len(chosen) > 2**24:
        return t[None]
    columns = scaled.dense(chosen)
    weighted = columns if gap.roots is None else columns * gap.roots[:, None]
    values = gap.exact_correlations(t[None], chosen)[0]
    norms = np.linalg.norm(weighted, axis=0)
    units = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > NO_NORM)
    left, sizes, right = np.linalg.svd(weighted * units, full_matrices=False)
    used = sizes > 1e-14 * sizes[0]
    step = left[:, used] @ ((right[used] @ (units * values)) / sizes[used])
    step = step if gap.roots is None else step * gap.roots
    return np.stack([t, -step])


def best_evidence(
    problem: SparseRegression,
    x: np.ndarray,
    dual_points: Sequence[np.ndarray],
    rough: bool = False,
    correlation: np.ndarray | None = None,
) -> Evidence:
    """Return what a certificate of `x` holds, see `DualityGapCertificate.build`.

    The coefficients are returned too, those set to zero that are proved to be. With the correlation
    of the columns and the one dual point, in scaled units and plain arithmetic, it takes no pass
    over the design.
    """
    gap = gap_of(problem, _ROOM, rough)
    x = _as_coefficients(problem, x)
    scaled = gap.scaled
    x = scaled.original_coefficients(scaled.coefficients(x))
    primal = gap.primal(scaled.coefficients(x))
    if not math.isfinite(primal.terms[0]):
        raise ProblemError("x is so large that the objective leaves the range of float64")
    t, look = _best_point(problem, gap, primal, dual_points, correlation)
    # The judge may look less closely at what is far from its limit for him.
    judge = None if gap.is_simple else gap_of(problem, rough=gap.rough)
    seen = judge.look(t) if judge else look
    while True:
        bounds = gap.bounds(primal, t, look)
        zero = gap.proved_zero(look, bounds.excess)
        if judge:
            zero &= judge.proved_zero(seen, bounds.excess)
        proved = scaled.per_coefficient(zero)
        if not x[proved].any():
            break
        x[proved] = 0.0
        primal = gap.primal(scaled.coefficients(x))
    # A gap that is stated as small would be judged with care, which takes longer.
    width = max(bounds.gap, 1.01 * ROUGH * bounds.primal) if gap.rough else bounds.gap
    width = scaled.original_above(width)
    least = scaled.original_below(
        max(bounds.primal_low, below(UNIT * gap.objective_at_zero(), 2) if width else 0.0)
    )
    return Evidence(
        x,
        scaled.original_dual_point(t[0] if len(t) == 1 else t),
        scaled.original_above(bounds.primal),
        scaled.original_below(bounds.dual),
        width,
        np.flatnonzero((x == 0) & ~proved),
        0.0 if width == 0 else above(width / least, 2) if least > 0 else math.inf,
    )


def _best_point(
    problem: SparseRegression,
    gap: DualityGap,
    primal: Primal,
    dual_points: Sequence[np.ndarray],
    correlation: np.ndarray | None,
) -> tuple[np.ndarray, Look]:
    """Return the feasible multiple with the largest dual objective of all points, and its look."""
    scaled = gap.scaled
    points = [scaled.dual_point(_rows(t, problem.shape[0])) for t in dual_points]
    if correlation is not None and len(points) == 1 and type(gap) is DualityGap:
        gap = _KnownGap(gap, points[0][0], correlation)
    own = primal.fit if gap.roots is None else primal.fit * gap.roots
    points = [t for t in points or [own[None]] if np.isfinite(t).all()]
    if scaled.weights is not None:
        points = [np.where(scaled.weights == 0, 0.0, t) for t in points]
    if gap.penalised and not gap.rough:
        points += [refined for t in points if (refined := _refined(gap, t)) is not None]
    ready = [feasible_multiple(gap, t) for t in points or [np.zeros((1, scaled.rows))]]
    if len(ready) == 1:
        return ready[0]
    return max(ready, key=lambda item: gap.bounds(primal, *item).dual)


def _as_coefficients(problem: SparseRegression, x: np.ndarray) -> np.ndarray:
    x = as_array(x, "x")
    if x.dtype.kind == "c" and not problem.is_complex:
        raise ProblemError("x is complex, but design and target are real")
    x = x.astype(np.complex128 if problem.is_complex else np.float64)
    if x.shape != problem.shape[1:]:
        raise ProblemError(f"x must be {problem.shape[1]} numbers, got shape {x.shape}")
    require_finite(x, "x")
    return np.maximum(x, 0.0) if problem.penalty.positive else x


def _rows(point: np.ndarray, size: int) -> np.ndarray:
    """Return a dual point of shape (size,) or (2, size) with its rows, one or two."""
    rows = np.atleast_2d(as_array(point, "a dual point"))
    rows = rows.astype(np.complex128 if rows.dtype.kind == "c" else np.float64)
    if rows.shape not in ((1, size), (2, size)):
        raise ProblemError(
            f"a dual point must have shape ({size},) or (2, {size}), got {np.shape(point)}"
        )
    return rows
