"""The convex program of two-layer ReLU training on chosen activation patterns, by Clarabel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse

from sparseopt import Context
from sparseopt.training.activation_cover import CASES
from sparseopt_inverse.relu_cells import Cells
from sparseopt_inverse.relu_clarabel import run_clarabel


@dataclass(frozen=True, eq=False)
class Neurons:
    """Neurons with output weight 1 or -1, by the cells that they lie in.

    Attributes
    ----------
    vectors : ndarray, shape (count, d)
        Hidden weights times the magnitude of the outer one.
    signs : ndarray, shape (count,)
        1.0 or -1.0.
    blocks : ndarray of int, shape (count,)
        The case of a cell that each comes from.
    """

    vectors: np.ndarray
    signs: np.ndarray
    blocks: np.ndarray

    @classmethod
    def none(cls, features: int) -> Neurons:
        """Return no neurons."""
        return cls(np.zeros((0, features)), np.zeros(0), np.zeros(0, dtype=np.int64))

    def features(self, inputs: np.ndarray) -> np.ndarray:
        """Return the contribution of each neuron to the outputs, shape (n, count)."""
        return np.maximum(inputs @ self.vectors.T, 0.0) * self.signs

    def objective(self, inputs: np.ndarray, targets: np.ndarray, decay: float) -> float:
        """Return the least objective of a network with these neurons."""
        residual = targets - self.features(inputs).sum(axis=1)
        size = np.linalg.norm(self.vectors, axis=1).sum()
        return float(0.5 * residual @ residual + decay * size)

    def chosen(self, which: np.ndarray) -> Neurons:
        """Return some of the neurons."""
        return Neurons(self.vectors[which], self.signs[which], self.blocks[which])

    def with_vectors(self, vectors: np.ndarray) -> Neurons:
        """Return the neurons with other weights."""
        return Neurons(vectors, self.signs, self.blocks)


def side_and_sign(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for cases of cells whether they lie in K (1) or -K (-1), and the outer sign.

    The cases are q, -q on K and q, -q on -K. On -K, where w = -v, the correlation of the outer
    sign s with w is -s times that of v.
    """
    case = blocks % CASES
    side = np.where(case < 2, 1.0, -1.0)
    return side, np.where(case % 2 == 0, 1.0, -1.0) * side


def restricted_optimum(
    cells: Cells,
    targets: np.ndarray,
    decay: float,
    blocks: np.ndarray,
    scale: float,
    context: Context,
) -> tuple[Neurons, np.ndarray]:
    """Minimise over networks with at most one neuron in each of some cases of cells.

    With ``f = sum_b +-D_b X v_b`` over v_b in K_b it is
    ``min 1/2 |r|^2 + decay sum_b t_b`` with ``r + f = targets`` and ``|v_b| <= t_b``. The engine
    sees r over `scale`, of about the size of r, and the objective over its square: its tolerances
    are absolute.

    Returns
    -------
    neurons : Neurons
        One for each block.
    point : ndarray, shape (n,)
        The dual solution.
    """
    import clarabel

    n, d = cells.inputs.shape
    count = len(blocks)
    side, sign = side_and_sign(blocks)
    active = cells.patterns(blocks)
    designs = active[:, :, None] * cells.inputs * (side * sign)[:, None, None]
    cones = [cells.facets(int(block) // CASES)[1] for block in blocks]
    # Variables: r (n), then for each block t, v (1 + d).
    width = n + count * (1 + d)
    spread = np.zeros((n, count, 1 + d))
    spread[:, :, 1:] = designs.transpose(1, 0, 2)
    fit = scipy.sparse.hstack([scale * scipy.sparse.eye_array(n), spread.reshape(n, -1)])
    norms = scipy.sparse.hstack(
        [scipy.sparse.csc_array((count * (1 + d), n)), -scipy.sparse.eye_array(count * (1 + d))]
    )
    inner = scipy.sparse.block_diag([np.c_[np.zeros(len(rows)), rows] for rows in cones])
    total = inner.shape[0]
    signs = scipy.sparse.hstack([scipy.sparse.csc_array((total, n)), -inner])
    matrix = scipy.sparse.csc_array(scipy.sparse.vstack([fit, norms, signs]))
    right = np.concatenate([targets, np.zeros(count * (1 + d) + total)])
    quadratic = scipy.sparse.csc_array(
        (np.ones(n), (np.arange(n), np.arange(n))), shape=(width, width)
    )
    linear = np.zeros(width)
    linear[n :: 1 + d] = decay / scale**2
    shapes = [
        clarabel.ZeroConeT(n),
        *(clarabel.SecondOrderConeT(1 + d) for _ in range(count)),
        clarabel.NonnegativeConeT(total),
    ]
    # The usual regularization costs half the digits in thin cells.
    x, z = run_clarabel(quadratic, linear, matrix, right, shapes, context, regularization=1e-14)
    vectors = x[n:].reshape(count, 1 + d)[:, 1:] * side[:, None]
    return Neurons(vectors, sign, blocks), -z[:n] * scale**2
