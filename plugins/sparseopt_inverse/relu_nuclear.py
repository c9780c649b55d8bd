"""Gated training of two-layer networks with several outputs: nuclear norms, by Clarabel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from sparseopt import Accepted, Context, Refused, Solver
from sparseopt.training.two_layer_certificate import TwoLayerReLUCertificate
from sparseopt.training.two_layer_network import TwoLayerNetwork
from sparseopt.training.two_layer_relu import TwoLayerReLU
from sparseopt.training.two_layer_units import Units
from sparseopt_inverse.relu_clarabel import run_clarabel
from sparseopt_inverse.relu_gated import certified, distinct_gates

ROUNDS = 60
AIM = 1e-12
NOTHING = 1e-8
"""Relative singular value of what an interior point method leaves of zero."""
LARGEST = 60
"""Features plus outputs of one gate up to which its cone of matrices is affordable."""


@dataclass(frozen=True, eq=False)
class _Gates:
    """The gates in coordinates of the row space of the samples that each lets through.

    Attributes
    ----------
    designs : list of ndarray, shape (n, rank)
        ``D_k X B_k`` for an orthonormal basis B_k.
    bases : list of ndarray, shape (d, rank)
    """

    designs: list[np.ndarray]
    bases: list[np.ndarray]

    @classmethod
    def of(cls, inputs: np.ndarray, patterns: np.ndarray) -> _Gates:
        designs, bases = [], []
        for active in patterns.T:
            part = inputs * active[:, None]
            _, values, right = np.linalg.svd(part, full_matrices=False)
            rank = max(1, int((values > 1e-15 * values[0]).sum()))
            basis = np.eye(inputs.shape[1]) if rank == inputs.shape[1] else right[:rank].T
            bases.append(basis)
            designs.append(part @ basis)
        return cls(designs, bases)

    def reach(self, point: np.ndarray) -> np.ndarray:
        """Return the spectral norm of the correlation of each gate with a dual point."""
        return np.array([np.linalg.norm(design.T @ point, 2) for design in self.designs])


@dataclass(frozen=True)
class GatedNuclearNorm(Solver[TwoLayerReLU]):
    """Column generation over gates; each program is a semidefinite one.

    ``min 1/2 |sum_k D_k X U_k - Y|^2 + decay sum_k |U_k|`` in the nuclear norm, which is half the
    least trace of a positive semidefinite matrix with U_k as its off-diagonal block. Gates whose
    correlation with the dual solution exceeds decay are added until there is none.

    Time O(n^3), memory O(n^2), for n samples, for each program.
    """

    def accepts(self, problem: TwoLayerReLU) -> Accepted | Refused:
        """Refuse problems without gates, one output, and matrices too large for cones."""
        if problem.gates is None:
            return Refused("the problem has no gates; exact training has cone constraints")
        if problem.outputs == 1:
            return Refused("there is one output, which makes it a group lasso")
        size = min(problem.inputs.shape) + problem.outputs
        if size > LARGEST:
            return Refused(
                f"features and outputs together are {size}; semidefinite cones are affordable up "
                f"to {LARGEST}, so train on fewer features or outputs"
            )
        return Accepted()

    def solve(
        self, problem: TwoLayerReLU, context: Context
    ) -> tuple[TwoLayerNetwork, TwoLayerReLUCertificate]:
        """Return the network and the bound of its distance to the optimum."""
        units = problem.units()
        features, targets, decay = units.inputs.shape[1], units.targets, units.decay
        numbers = distinct_gates(problem)
        if not len(numbers):
            return certified(problem, numbers, np.zeros((0, features, problem.outputs)), [targets])
        gates = _Gates.of(units.inputs, problem.patterns[:, numbers])
        asked = AIM if context.tolerance is None else max(context.tolerance, AIM)
        chosen = np.zeros(len(numbers), dtype=bool)
        point, scale = targets, 1.0
        blocks = np.zeros((0, features, problem.outputs))
        best = certified(problem, numbers[chosen], blocks, [targets])
        points = [targets]
        for _ in range(ROUNDS):
            if best[1].accuracy <= asked:
                break
            reach = np.where(chosen, 0.0, gates.reach(point))
            over = np.argsort(-reach, kind="stable")[: max(8, int(chosen.sum()))]
            over = over[reach[over] > decay]
            size = 2.0 ** round(math.log2(max(math.sqrt(_objective(best[1], units)), 1e-150)))
            if not len(over) and size > scale / 8:
                break
            chosen[over], scale = True, min(scale, size)
            used = np.flatnonzero(chosen)
            blocks, point, residual = _restricted(gates, used, targets, decay, scale, context)
            points = [*points[-1:], point, residual]
            made = certified(problem, numbers[used], blocks, points, NOTHING)
            if made[1].accuracy < best[1].accuracy:
                best = made
        return best

    def cost(self, problem: TwoLayerReLU) -> float:
        """Return seconds from a few runs."""
        size = min(problem.inputs.shape) + problem.outputs
        return 0.05 + 1e-6 * size**4

    def bytes_needed(self, problem: TwoLayerReLU) -> float:
        """Predict a semidefinite program, and its factorization."""
        size = sum(problem.inputs.shape) + problem.outputs
        return 2.0**22 + 400.0 * size * size


def _objective(certificate: TwoLayerReLUCertificate, units: Units) -> float:
    """Return the objective in scaled units."""
    return math.ldexp(certificate.primal, -2 * units.b)


def _restricted(
    gates: _Gates,
    used: np.ndarray,
    targets: np.ndarray,
    decay: float,
    scale: float,
    context: Context,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solve the program on some gates; return matrices, dual solution and residual.

    The variables are r over `scale`, then the upper triangle of one symmetric matrix a gate, with
    entries off the diagonal times the root of two, as Clarabel stores them.
    """
    import clarabel

    n, outputs = targets.shape
    count = n * outputs
    fits, linear, shapes, places, width = [], [np.zeros(count)], [], [], 0
    for k in used:
        design = gates.designs[k]
        rank = design.shape[1]
        size = rank + outputs
        rows, columns = np.tril_indices(size)  # column by column of the upper triangle
        inside = np.flatnonzero((rows >= rank) & (columns < rank))
        # r_(i, c) gets design[i, j] U[j, c]; the entry (j, rank + c) is U[j, c] sqrt 2.
        part = np.zeros((n, outputs, len(rows)))
        for at in inside:
            part[:, rows[at] - rank, at] = design[:, columns[at]] / math.sqrt(2.0)
        fits.append(scipy.sparse.csc_array(part.reshape(count, -1)))
        linear.append(0.5 * decay / scale**2 * (rows == columns))
        shapes.append(clarabel.PSDTriangleConeT(size))
        places.append((width, inside, rows[inside] - rank, columns[inside]))
        width += len(rows)
    fit = scipy.sparse.hstack([scale * scipy.sparse.eye_array(count), *fits])
    cones = scipy.sparse.hstack(
        [scipy.sparse.csc_array((width, count)), -scipy.sparse.eye_array(width)]
    )
    matrix = scipy.sparse.csc_array(scipy.sparse.vstack([fit, cones]))
    quadratic = scipy.sparse.csc_array(
        (np.ones(count), (np.arange(count), np.arange(count))),
        shape=(count + width, count + width),
    )
    x, z = run_clarabel(
        quadratic,
        np.concatenate(linear),
        matrix,
        np.concatenate([targets.ravel(), np.zeros(width)]),
        [clarabel.ZeroConeT(count), *shapes],
        context,
    )
    blocks, outcome = [], np.zeros_like(targets)
    for k, (start, inside, output, feature) in zip(used, places, strict=True):
        block = np.zeros((gates.designs[k].shape[1], outputs))
        block[feature, output] = x[count + start + inside] / math.sqrt(2.0)
        outcome += gates.designs[k] @ block
        blocks.append(gates.bases[k] @ block)
    return np.array(blocks), (-z[:count] * scale**2).reshape(n, outputs), targets - outcome
