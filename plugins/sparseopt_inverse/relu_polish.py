"""Newton steps on the faces of the cells: the last digits of a two-layer network."""

from __future__ import annotations

import numpy as np

from sparseopt_inverse.relu_conic import Neurons

STEPS = 20
PASSES = 3
FACES = (0.0, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3)
"""Relative distances at which a neuron counts as lying on the border of its cell, all tried; for 0
it is where the distances of each neuron jump."""


def polished(neurons: Neurons, inputs: np.ndarray, targets: np.ndarray, decay: float) -> Neurons:
    """Minimise the objective over the faces of the cells that the neurons lie in.

    A neuron w with x_i . w = 0 for some inputs stays orthogonal to them: w = N z for an orthonormal
    basis N. With the patterns fixed, the objective ``1/2 |targets - A z|^2 + decay sum |z_b|`` is
    smooth and convex near its minimum, where no z_b is 0. How near a border counts as on it is
    tried out; what is best by the true objective is kept.
    """
    best, least = neurons, neurons.objective(inputs, targets, decay)
    for _ in range(PASSES):
        before = least
        for face in FACES:
            if not len(best.signs):
                return best
            found = _newton(best, inputs, targets, decay, face)
            objective = found.objective(inputs, targets, decay)
            if objective < least:
                best, least = found, objective
        if least >= before * (1.0 - 1e-15):
            break
    return best


def _newton(
    neurons: Neurons, inputs: np.ndarray, targets: np.ndarray, decay: float, face: float
) -> Neurons:
    bases, columns, starts = [], [], []
    sizes = np.linalg.norm(inputs, axis=1)
    for vector, sign in zip(neurons.vectors, neurons.signs, strict=True):
        values = inputs @ vector
        distances = np.abs(values) / np.where(sizes > 0, sizes * np.linalg.norm(vector), np.inf)
        near = distances <= (face if face > 0 else _border(distances[sizes > 0], inputs.shape[1]))
        basis = _orthogonal_to(inputs[near & (sizes > 0)] / sizes[near & (sizes > 0), None], vector)
        active = (values > 0) & ~near
        bases.append(basis)
        starts.append(basis.T @ vector)
        columns.append(sign * (inputs * active[:, None]) @ basis)
    design, z = np.hstack(columns), np.concatenate(starts)
    owner = np.repeat(np.arange(len(bases)), [b.shape[1] for b in bases])

    def objective(z: np.ndarray) -> float:
        residual = targets - design @ z
        return float(0.5 * residual @ residual + decay * _norms(z, owner).sum())

    for _ in range(STEPS):
        norms = _norms(z, owner)
        if norms.min() <= 1e-12 * norms.max():
            break
        units = z / norms[owner]
        gradient = decay * units - design.T @ (targets - design @ z)
        same = owner[:, None] == owner[None, :]
        curvature = (np.eye(len(z)) - np.outer(units, units)) / norms[owner]
        hessian = design.T @ design + decay * np.where(same, curvature, 0.0)
        step = -np.linalg.lstsq(hessian, gradient, rcond=1e-13)[0]
        length, now = 1.0, objective(z)
        while length > 1e-4 and objective(z + length * step) > now:
            length *= 0.5
        if length <= 1e-4:
            break
        z = z + length * step
        if np.abs(step).max() <= 1e-15 * np.abs(z).max():
            break
    vectors = [basis @ z[owner == k] for k, basis in enumerate(bases)]
    return neurons.with_vectors(np.array(vectors))


def _border(distances: np.ndarray, features: int) -> float:
    """Return the distance below the largest jump among the borders nearest to a neuron."""
    nearest = np.sort(distances)[:features]
    jumps = nearest[1:] / np.maximum(nearest[:-1], 1e-16)
    jumps = np.where(nearest[:-1] < 1e-2, jumps, 0.0)
    if not len(jumps) or jumps.max() < 10.0:
        return 0.0
    return float(nearest[int(jumps.argmax())])


def _norms(z: np.ndarray, owner: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.bincount(owner, z * z)))


def _orthogonal_to(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of what is orthogonal to unit rows; at least one direction."""
    if not len(rows):
        return np.eye(len(vector))
    _, values, right = np.linalg.svd(rows)
    rank = int((values > 1e-4).sum())
    if rank == len(vector):
        return np.asarray(vector[:, None] / np.linalg.norm(vector))
    return np.asarray(right[rank:].T)
