"""Total variation as an l1 penalty: x is a constant plus sums of its steps.

With z_0 = x_0 and z_i = x_i - x_{i-1} the penalty is the l1 norm of z without z_0, and column k of
the design becomes the sum of the columns from k on. The dual points of both problems are the same.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import LinearOperator

from sparseopt.interface.context import Context
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.kinds import VariationGap
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.penalty import L1
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import ScaledProblem
from sparseopt_inverse.best import Best
from sparseopt_inverse.composite import composite
from sparseopt_inverse.precise import add
from sparseopt_inverse.work import DOUBLED_PRODUCT, begin

_WRITTEN = 2**22
"""Entries of a sparse design or operator up to which the sums of its columns are written out."""


def variation(
    problem: SparseRegression, context: Context, start: np.ndarray | None = None
) -> tuple[Coefficients, DualityGapCertificate]:
    """Return an answer to a problem with total variation, and its certificate.

    Parameters
    ----------
    start : ndarray, shape (n,), or None
        Coefficients to start from; None means zeros.
    """
    m, n = problem.shape
    # Judging takes all correlations in doubled precision, several times over.
    begin(context, 4.0 * DOUBLED_PRODUCT * m * n, "proving total variation")
    weights = np.ones(n)
    weights[0] = 0.0
    # Sums of columns may leave the range that columns keep to; a power of two brings them back.
    exponent = math.frexp(problem.largest_entries[0])[1]
    unit = math.ldexp(1.0, -exponent) if abs(exponent) > 100 else 1.0
    penalty = L1(problem.penalty.strength * unit, weights)
    steps = dataclasses.replace(problem, design=_summed(problem, unit), penalty=penalty)
    first = None if start is None else np.diff(start, prepend=0.0) / unit
    answer, certificate = composite(steps, context, first)
    best = Best(problem, problem.scaled(), context)
    x = np.cumsum(answer.x) * unit
    best.offer_original(x, np.atleast_2d(certificate.dual_point))
    if not best.good and context.remaining() > 0:
        _refine(problem, best)
    return best.result


def _refine(problem: SparseRegression, best: Best) -> None:
    """Offer what meets the optimality of the answer's plateaus to twice the digits.

    The sums of columns are rounded, which the problem itself does not know of.
    """
    gap = VariationGap(problem)
    scaled = gap.scaled
    x = scaled.coefficients(best.result[0].x)
    if gap.parts == 2:
        return
    jumps = np.flatnonzero(np.diff(x))
    ends = np.append(jumps + 1, len(x))
    plateaus = np.split(np.arange(len(x)), ends[:-1])
    if scaled.rows * len(plateaus) > 2**24:
        return
    roots = np.ones(scaled.rows) if gap.roots is None else gap.roots
    columns = np.stack([_product(scaled, np.isin(np.arange(len(x)), p)) for p in plateaus], axis=1)
    columns = columns * roots[:, None]
    wanted = -scaled.limits[0] * np.append(np.sign(np.diff(x)[jumps]), 0.0)
    wanted = np.diff(wanted, prepend=0.0)  # what the plateau's own correlations add to
    inverse = np.linalg.pinv(columns.T @ columns, rcond=1e-13, hermitian=True)
    for _ in range(3):
        residual = scaled.target - _product(scaled, x)
        missing = columns.T @ (roots * residual) - wanted
        x = x + np.repeat(inverse @ missing, np.diff(np.append(0, ends)))
    t = np.stack([roots**2 * (scaled.target - _product(scaled, x)), np.zeros(scaled.rows)])
    for _ in range(4):
        values = gap.exact_correlations(t, np.arange(len(x)))[0]
        sums = np.array([math.fsum(values[p].tolist()) for p in plateaus])
        t = add(t, roots * (columns @ (inverse @ (wanted - sums))))
    for point in (t[:1], t):
        best.offer(x, point)


def _product(scaled: ScaledProblem, x: np.ndarray) -> np.ndarray:
    design, values = scaled.design, np.asarray(x, dtype=np.float64)
    return np.asarray(
        design.times(values) if isinstance(design, ColumnOperator) else design @ values
    )


def _summed(problem: SparseRegression, unit: float) -> Any:
    """Return the design whose column k is the sum of the columns from k on, times a unit."""
    design = problem.design
    if isinstance(design, np.ndarray):
        wide = np.complex128 if design.dtype.kind == "c" else np.float64
        return np.cumsum(design[:, ::-1].astype(wide) * unit, axis=1)[:, ::-1]
    if scipy.sparse.issparse(design) and math.prod(problem.shape) <= _WRITTEN:
        return np.cumsum(design.toarray()[:, ::-1] * unit, axis=1)[:, ::-1]
    operator = scipy.sparse.linalg.aslinearoperator(design)

    def matvec(z: np.ndarray) -> np.ndarray:
        return np.asarray(operator.matvec(np.cumsum(np.ravel(z) * unit)))

    def rmatvec(t: np.ndarray) -> np.ndarray:
        return np.cumsum(np.ravel(operator.rmatvec(np.ravel(t) * unit))[::-1])[::-1]

    return LinearOperator(problem.shape, matvec=matvec, rmatvec=rmatvec, dtype=design.dtype)


def from_rough_plateaus(
    problem: SparseRegression, x: np.ndarray, point: np.ndarray, best: Best
) -> None:
    """Offer what is exact on the plateaus of another engine's answer.

    Parameters
    ----------
    x, point : ndarray, shapes (n,) and (m,)
        Coefficients and dual point, good to some digits.
    """
    steps = np.abs(np.diff(x))
    for share in (1e-3, 1e-5, 1e-7):
        jumps = np.flatnonzero(steps > share * steps.max(initial=0.0)) + 1
        flat = np.concatenate([np.full(len(p), p.mean()) for p in np.split(x, jumps)])
        trial = Best(problem, problem.scaled(), best.context)
        trial.offer_original(flat, point)
        _refine(problem, trial)
        best.take(trial)
        if best.good:
            return
