"""Working sets with Newton steps: the NumPy engine for all penalties."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt import Accepted, Context, Refused, Solver
from sparseopt.interface.real_arrays import as_real
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.composite import Ridge
from sparseopt.inverse.least_squares import DENSE_LIMIT
from sparseopt.inverse.matrix_penalties import NuclearNorm, TotalVariation
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.problem import SparseRegression
from sparseopt_inverse.best import AIM
from sparseopt_inverse.composite import composite
from sparseopt_inverse.least_squares import least_squares, nearly_free
from sparseopt_inverse.nuclear import nuclear
from sparseopt_inverse.paired import Paired
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.refinement import refine
from sparseopt_inverse.ridge import ridge_regression
from sparseopt_inverse.variation import variation
from sparseopt_inverse.work import begin


def _seconds_of_columns(design: ColumnOperator) -> float:
    """Return about how long it takes to go through all columns, by the time of a few."""
    few, started = min(8, design.shape[1]), time.perf_counter()
    _ = design[:, np.arange(few)]
    return (time.perf_counter() - started) * design.shape[1] / few


@dataclass(frozen=True, eq=False)
class WorkingSet(Solver[SparseRegression]):
    """Starts at zero and takes in blocks of columns as the duality gap asks for them.

    Time O(s), memory O(s + k^2), for s stored entries of the design and a solution of k nonzeros,
    few beside the rows; each of about ten working sets.

    Notes
    -----
    O(m n) per working set of which there are about ten, plus O(m k^2 + k^3) for each change of
    the k nonzero coefficients. With strength 0 the problem is solved by a singular value
    decomposition, O(m n min(m, n)); a sparse design is made dense for that, up to a size.

    Parameters
    ----------
    start : array_like, shape (n,), or None
        Coefficients to start from, such as those of a nearby problem; None means zeros.
    """

    start: Any = None

    def __post_init__(self) -> None:
        if self.start is not None:
            object.__setattr__(self, "start", as_real(self.start, "start", 1, complex_too=True))

    def accepts(self, problem: SparseRegression) -> Accepted | Refused:
        """Refuse large least squares not dense, endless products, starts of other sizes."""
        m, n = problem.shape
        if self.start is not None and self.start.shape != (n,):
            return Refused(f"start must be {n} numbers, got shape {self.start.shape}")
        if np.iscomplexobj(self.start) and not problem.is_complex:
            return Refused("start is complex, and the problem real")
        written = isinstance(problem.design, np.ndarray)
        if is_least_squares(problem) and not written and m * n > DENSE_LIMIT:
            return Refused(
                f"strength 0 makes it least squares, for which the {m} x {n} design would be made "
                f"dense, and that has more than {DENSE_LIMIT} entries; give a positive strength"
            )
        if not written and math.isinf(getattr(problem.real_design, "lost", 0.0)):
            return Refused(
                "the design is a product of so many factors that what underflows in it is not "
                "bounded; give its entries (design.to_dense())"
            )
        return Accepted()

    def solve(
        self, problem: SparseRegression, context: Context
    ) -> tuple[Coefficients, DualityGapCertificate]:
        """Return the refined zero vector, or what composite penalties need."""
        if is_least_squares(problem):
            return least_squares(problem, context)
        if (found := nearly_free(problem, context)) is not None:
            return found
        if isinstance(problem.real_design, ColumnOperator):
            # Each proof takes every column once, and there are several on the way.
            seconds = 4.0 * _seconds_of_columns(problem.real_design)
            begin(context, seconds, "taking columns of the operator")
        parts = getattr(problem.penalty, "parts", (problem.penalty,))
        if all(isinstance(part, Ridge) for part in parts):
            return self._ridge(problem, context)
        if any(isinstance(part, NuclearNorm) for part in parts):
            return nuclear(problem, context)
        if isinstance(problem.penalty, TotalVariation):
            return variation(problem, context)
        if problem.structure()["plain"] and problem.sample_weights is None:
            start = np.zeros(problem.shape[1]) if self.start is None else self.start
            return refine(problem, start, (), context)
        if problem.is_complex and problem.scaled().thresholds is not None:
            return Paired(problem, context).run()
        return composite(problem, context, self.start)

    def _ridge(
        self, problem: SparseRegression, context: Context
    ) -> tuple[Coefficients, DualityGapCertificate]:
        found = ridge_regression(problem, context)
        asked = AIM if context.tolerance is None else context.tolerance
        if found is not None and found[1].accuracy <= asked:
            return found
        other = composite(problem, context, self.start)
        if found is None or other[1].accuracy < found[1].accuracy:
            return other
        return found

    def cost(self, problem: SparseRegression) -> float:
        """Return seconds from a fit to `benchmarks/inverse.py`."""
        m, n = problem.shape
        if scipy.sparse.issparse(problem.design):
            return 1e-3 + 1e-8 * float(problem.design.nnz) + 3e-7 * n
        return 2e-3 + 8e-9 * m * n

    def bytes_needed(self, problem: SparseRegression) -> float:
        """Predict a few numbers for each column, and working sets of a tenth of the design."""
        return BASE + 300.0 * problem.shape[1] + 0.3 * design_bytes(problem.design)


def is_least_squares(problem: SparseRegression) -> bool:
    """Whether there is no penalty."""
    if problem.structure()["plain"]:
        return False
    penalty, n = problem.penalty, problem.shape[1]
    thresholds = penalty.thresholds(n)
    free = not penalty.limits(n).any() and (thresholds is None or not thresholds.any())
    return free and not penalty.ridge and not penalty.positive
