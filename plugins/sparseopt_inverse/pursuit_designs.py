"""Designs of basis pursuits: which are written out, and with rows of about one size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt import Refused
from sparseopt.inverse.basis_pursuit import BasisPursuit
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.operators import ColumnOperator
from sparseopt_inverse.faces import MOST_ENTRIES


def written(fit: Fit) -> Any:
    """Return the scaled design, that of an operator written out."""
    return (
        fit.scaled.dense() if isinstance(fit.scaled.design, ColumnOperator) else fit.scaled.design
    )


def row_units(matrix: Any) -> np.ndarray:
    """Return powers of two that bring the rows of a matrix to about one size."""
    size = abs(matrix).max(axis=1)
    size = np.asarray(size.toarray() if scipy.sparse.issparse(size) else size).ravel()
    with np.errstate(divide="ignore"):
        return np.where(size > 0.0, np.ldexp(1.0, -np.frexp(size)[1]), 1.0)


def is_operator(problem: BasisPursuit) -> bool:
    """Whether only products with the design are known."""
    return isinstance(problem.system.real_design, ColumnOperator)


def is_large(problem: BasisPursuit) -> bool:
    """Whether the design is too large to be made dense."""
    return math.prod(problem.shape) > MOST_ENTRIES


def refused_as_large(problem: BasisPursuit) -> Refused | None:
    """Refuse an operator too large to be written out."""
    if is_operator(problem) and is_large(problem):
        return Refused(
            f"the operator stands for {math.prod(problem.shape)} entries and is written out, up to "
            f"{MOST_ENTRIES}; lasso_path takes it as it is"
        )
    return None
