"""A regression as block coordinate descent takes it: consecutive blocks of columns of norm 1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt import Context
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import NO_NORM, ScaledProblem
from sparseopt_inverse.composite import composite
from sparseopt_inverse.refinement import refine


@dataclass(frozen=True, eq=False)
class UnitBlocks:
    """Minimise 1/2 |design x - target|^2 + limits . block norms, in plain arrays of float64.

    Each block of columns is divided by the power of two of its norm. Blocks of zeros, by whose
    norm these engines divide, are left out. Where single coefficients have a price besides that of
    their block, or squares do, all columns are divided by the same, which keeps it one price.

    Attributes
    ----------
    design : ndarray in column order, or csc_matrix with 32-bit indices, shape (m, n)
    target : ndarray, shape (m,)
    sizes, limits : ndarray, shape (n_blocks,)
    threshold, ridge : float
        Factors of the magnitudes, and of half the squares.
    """

    design: Any
    target: np.ndarray
    sizes: np.ndarray
    limits: np.ndarray
    threshold: float
    ridge: float
    _scaled: ScaledProblem
    _entries: np.ndarray
    _exponents: np.ndarray

    @classmethod
    def of(cls, problem: SparseRegression) -> UnitBlocks:
        """Return those of a problem whose thresholds are all equal."""
        scaled = problem.scaled()
        blocks = scaled.blocks
        norms = blocks.norms(scaled.column_norm_bounds)
        chosen = np.flatnonzero(norms > NO_NORM)
        exponents = np.frexp(norms[chosen])[1]
        if not problem.structure()["plain"]:
            exponents = np.full(len(chosen), exponents.max(initial=0))
        entries, sizes = blocks.members(chosen), blocks.sizes[chosen]
        spread = np.repeat(exponents, sizes)
        common = int(exponents.max(initial=0))
        threshold = 0.0 if scaled.thresholds is None else float(scaled.thresholds.max())
        return cls(
            _gathered(scaled.design, entries, spread),
            scaled.target,
            sizes,
            np.ldexp(scaled.limits[chosen], -exponents),
            float(np.ldexp(threshold, -common)),
            float(np.ldexp(scaled.ridge, -2 * common)),
            scaled,
            entries,
            spread,
        )

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.target)

    @cached_property
    def pointers(self) -> np.ndarray:
        """Where each block starts, and the number of columns."""
        return np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int32)

    @cached_property
    def spectral_norms(self) -> np.ndarray:
        """The largest singular value of each block, a little above it."""
        squares = np.empty(len(self.sizes))
        for g, (start, end) in enumerate(zip(self.pointers[:-1], self.pointers[1:], strict=True)):
            part = self.design[:, start:end]
            gram = part.T @ part
            dense = gram.toarray() if scipy.sparse.issparse(gram) else gram
            squares[g] = dense[0, 0] if len(dense) == 1 else np.linalg.eigvalsh(dense)[-1]
        return np.sqrt(squares) * (1.0 + 1e-9)

    @cached_property
    def is_empty_model(self) -> bool:
        """Whether x = 0 is optimal, up to rounding, or there is no column but zeros."""
        if not len(self.sizes):
            return True
        c = np.asarray(self.design.T @ self.target)
        size = np.maximum((c if self._scaled.positive else np.abs(c)) - self.threshold, 0.0)
        norms = np.sqrt(np.add.reduceat(np.square(size), self.pointers[:-1]))
        return bool((norms <= self.limits).all())

    def coefficients(self, x: np.ndarray) -> np.ndarray:
        """Return the coefficients of the problem."""
        whole = np.zeros(self._scaled.size)
        whole[self._entries] = np.ldexp(np.where(np.isfinite(x), x, 0.0), -self._exponents)
        return self._scaled.original_coefficients(whole)

    def dual_point(self, t: np.ndarray) -> np.ndarray:
        """Return the dual point of the problem."""
        return self._scaled.original_dual_point(t)


def _gathered(design: Any, entries: np.ndarray, exponents: np.ndarray) -> Any:
    if not scipy.sparse.issparse(design):
        part = design[:, entries].astype(np.float64, copy=False)
        return np.asfortranarray(np.ldexp(part, -exponents))
    part = design.tocsc()[:, entries].astype(np.float64)
    return scipy.sparse.csc_matrix(
        (
            np.ldexp(part.data, -np.repeat(exponents, np.diff(part.indptr))),
            part.indices.astype(np.int32, copy=False),
            part.indptr.astype(np.int32, copy=False),
        ),
        shape=part.shape,
    )


def block_norms_only(problem: SparseRegression, engine: str) -> str:
    """Return why an engine for real data and norms of blocks refuses, "" if not."""
    found = problem.structure()
    if found["operator"]:
        return f"{engine} needs the entries of the design; working_set takes operators"
    if found["complex"]:
        return f"{engine} takes real data only; working_set takes complex ones"
    if problem.sample_weights is not None:
        return f"{engine} takes no sample weights; working_set does"
    if found["penalty"] in ("TotalVariation", "NuclearNorm"):
        return f"{engine} has no {found['penalty']} penalty; working_set does"
    if not found["plain"] and not problem.penalty.limits(problem.shape[1]).any():
        return f"without a positive strength {engine} has no blocks to choose; working_set can"
    if scipy.sparse.issparse(problem.design) and problem.design.nnz >= 2**31:
        return f"{engine} takes sparse designs with 32-bit indices only"
    return ""


def require_settings(tolerance: float | None, **counts: int) -> None:
    """Raise ValueError unless a tolerance is None or in (0, 1) and the counts are positive."""
    known = tolerance is None or (isinstance(tolerance, int | float) and 0 < tolerance < 1)
    if not known:
        raise ValueError(f"engine_tolerance must be None or between 0 and 1, got {tolerance!r}")
    for name, count in counts.items():
        if not (isinstance(count, int) and not isinstance(count, bool) and count > 0):
            raise ValueError(f"{name} must be a positive integer, got {count!r}")


def finished(
    problem: SparseRegression, x: np.ndarray, points: tuple[np.ndarray, ...], context: Context
) -> tuple[Coefficients, DualityGapCertificate]:
    """Return what the library's own Newton steps and dual point make of an engine's answer."""
    if problem.structure()["plain"]:
        return refine(problem, x, points, context)
    return composite(problem, context, x)
