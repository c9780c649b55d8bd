"""skglm: working sets with Anderson acceleration, compiled by numba; an optional engine."""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt import Accepted, Context, Refused, Solver
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.problem import SparseRegression
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.unit_blocks import (
    UnitBlocks,
    block_norms_only,
    finished,
    require_settings,
)


@dataclass(frozen=True)
class Skglm(Solver[SparseRegression]):
    """Runs skglm's coordinate descent and refines its coefficients.

    Time O(s), memory O(s), for s stored entries of the design and each sweep.

    Parameters
    ----------
    engine_tolerance : float or None
        The violation of the optimality conditions at which skglm stops, relative to the least
        limit of a block; its own ``tol`` is absolute. None means a little less than the accuracy
        that is asked for, and at least 1e-9: the refinement finishes.
    max_iter : int
        skglm's bound on working sets; where it is reached, the refinement finishes.
    max_epochs : int
        Its bound on sweeps over each.

    Notes
    -----
    The first call compiles for up to half a minute, which a time limit does not cut short. skglm
    gives neither a dual point nor a gap; both are the library's own.
    """

    engine_tolerance: float | None = None
    max_iter: int = 50
    max_epochs: int = 1000

    def __post_init__(self) -> None:
        require_settings(self.engine_tolerance, max_iter=self.max_iter, max_epochs=self.max_epochs)

    def accepts(self, problem: SparseRegression) -> Accepted | Refused:
        """Refuse what skglm does not take, or takes and gets wrong."""
        reason = block_norms_only(problem, "skglm")
        if reason:
            return Refused(reason)
        if problem.structure()["plain"]:
            return Accepted()
        size, penalty = problem.shape[1], problem.penalty
        single, limits = penalty.blocks(size).single, penalty.limits(size)
        thresholds = penalty.thresholds(size)
        if penalty.ridge and not (single and (limits == limits[0]).all()):
            return Refused(
                "skglm adds squares to L1 without weights only; working_set to all penalties"
            )
        if thresholds is not None and not (thresholds == thresholds[0]).all():
            return Refused(
                "skglm 0.5 looks the l1 weights of SparseGroupL1 up by the number of the group; "
                "working_set takes them"
            )
        if thresholds is not None and penalty.positive:
            return Refused("skglm has no positive SparseGroupL1; working_set does")
        return Accepted()

    def solve(
        self, problem: SparseRegression, context: Context
    ) -> tuple[Coefficients, DualityGapCertificate]:
        """Run the engine on columns of norm 1 and refine."""
        blocks = UnitBlocks.of(problem)
        if blocks.is_empty_model:
            return finished(problem, np.zeros(problem.shape[1]), (), context)
        x = self._run(blocks, problem.penalty.positive, context)
        return finished(problem, blocks.coefficients(x), (), context)

    def _run(self, blocks: UnitBlocks, positive: bool, context: Context) -> np.ndarray:
        """Return what skglm finds; it works on x and its product with the design in place."""
        context.check_time("running skglm")
        engine, datafit, penalty = _parts(blocks, positive)
        asked = 1e-9 if context.tolerance is None else context.tolerance
        relative = self.engine_tolerance or max(0.1 * asked, 1e-9)
        prices = blocks.limits[blocks.limits > 0]
        tolerance = relative * float(prices.min() + blocks.threshold) / blocks.rows
        # Now and then it is looked at; under a time limit every few sweeps.
        sets, epochs = min(10, self.max_iter), self.max_epochs
        if context.time_limit is not None:
            sparse = scipy.sparse.issparse(blocks.design)
            entries = blocks.design.nnz if sparse else math.prod(blocks.design.shape)
            sets, epochs = 1, min(epochs, 10 + int(2e7 / entries))
        x, product = np.zeros(blocks.design.shape[1]), np.zeros(blocks.rows)
        solver = engine(
            max_iter=sets,
            max_epochs=epochs,
            tol=tolerance,
            fit_intercept=False,
            ws_strategy="fixpoint" if blocks.threshold else "subdiff",
        )
        last = math.inf
        for _ in range(0, self.max_iter, sets):
            context.check_time("running skglm")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # those of numba, at its first use
                x, _, violation = solver.solve(
                    blocks.design, blocks.target, datafit, penalty, x, product
                )
            stalled = sets > 1 and violation > 0.5 * last
            if violation <= tolerance or stalled or not np.isfinite(x).all():
                break
            last = violation
        return np.asarray(x)

    def cost(self, problem: SparseRegression) -> float:
        """Return seconds, roughly, once it is compiled."""
        m, n = problem.shape
        if scipy.sparse.issparse(problem.design):
            return 1e-2 + 4e-7 * (float(problem.design.nnz) + n)
        return 1e-2 + 1.5e-8 * m * n

    def bytes_needed(self, problem: SparseRegression) -> float:
        """Predict copies of the design."""
        return BASE + 2.0 * design_bytes(problem.design)


def _parts(blocks: UnitBlocks, positive: bool) -> tuple[Any, Any, Any]:
    """Return skglm's class of solvers, its loss and its penalty for 1/m times the objective."""
    from skglm.datafits import Quadratic
    from skglm.penalties import L1_plus_L2, WeightedGroupL2, WeightedL1, WeightedL1GroupL2
    from skglm.solvers import AndersonCD, GroupBCD

    m, limits, columns = blocks.rows, blocks.limits, blocks.design.shape[1]
    if len(blocks.sizes) == columns and not blocks.threshold:
        if not blocks.ridge:
            return AndersonCD, Quadratic(), WeightedL1(1.0 / m, limits, positive)
        both = float(limits[0]) + blocks.ridge
        return AndersonCD, Quadratic(), L1_plus_L2(both / m, float(limits[0]) / both, positive)
    pointers, indices = blocks.pointers, np.arange(columns, dtype=np.int32)
    lipschitz = np.square(blocks.spectral_norms) / m
    datafit = _group_loss()(pointers, indices, lipschitz)
    if blocks.threshold:
        thresholds = np.full(columns, blocks.threshold)
        penalty = WeightedL1GroupL2(1.0 / m, limits, thresholds, pointers, indices)
        return GroupBCD, datafit, penalty
    return GroupBCD, datafit, WeightedGroupL2(1.0 / m, limits, pointers, indices, positive)


@functools.cache
def _group_loss() -> type:
    """Return skglm's squared loss of groups with given Lipschitz constants.

    Its own for sparse designs come from a power method with an unseeded start, which ends below
    them: steps would be too long, and two runs differ.
    """
    from numba import float64, int32
    from skglm.datafits import QuadraticGroup

    class GroupLoss(QuadraticGroup):  # type: ignore[misc]
        def __init__(self, grp_ptr, grp_indices, lipschitz):  # type: ignore[no-untyped-def]
            self.grp_ptr, self.grp_indices = grp_ptr, grp_indices
            self.lipschitz = lipschitz

        def get_spec(self):  # type: ignore[no-untyped-def]
            return (
                ("grp_ptr", int32[:]),
                ("grp_indices", int32[:]),
                ("lipschitz", float64[:]),
            )

        def params_to_dict(self):  # type: ignore[no-untyped-def]
            return {
                "grp_ptr": self.grp_ptr,
                "grp_indices": self.grp_indices,
                "lipschitz": self.lipschitz,
            }

        def get_lipschitz(self, X, y):  # type: ignore[no-untyped-def]
            return self.lipschitz

        def get_lipschitz_sparse(self, X_data, X_indptr, X_indices, y):  # type: ignore
            return self.lipschitz

    return GroupLoss
