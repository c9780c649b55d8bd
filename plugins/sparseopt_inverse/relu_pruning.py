"""Few neurons that do what many do: a basic solution, then least squares."""

from __future__ import annotations

import numpy as np

from sparseopt_inverse.relu_conic import Neurons

NOTHING = 1e-10
"""Neurons of that relative size are what an interior point method leaves of zero."""
SAME = 1e-6
"""Largest difference of the unit outputs of neurons that are taken for one."""
DEPENDENT = 1e-7
"""Relative singular value below which columns count as dependent."""
ROUNDS = 50


def pruned(neurons: Neurons, inputs: np.ndarray, targets: np.ndarray, decay: float) -> Neurons:
    """Return at most n neurons of about the same outputs and no larger norms.

    An interior point spreads one neuron over neighbouring cells. With the directions fixed, the
    outputs f = F c of least sum c >= 0 are those of a basic solution, which has at most n nonzero
    entries; on its support the magnitudes that minimise the objective follow by least squares.
    """
    sizes = np.linalg.norm(neurons.vectors, axis=1)
    there = sizes > NOTHING * max(float(sizes.max(initial=0.0)), 1e-300)
    if not there.any():
        return neurons.chosen(np.zeros(len(sizes), dtype=bool))
    kept = neurons.chosen(there)
    sizes = sizes[there]
    kept = kept.with_vectors(kept.vectors / sizes[:, None])
    features = kept.features(inputs)
    kept, features, sizes = _merged(kept, features, sizes)
    sizes = _basic(features, sizes)
    support = np.flatnonzero(sizes)
    kept, features, sizes = kept.chosen(support), features[:, support], sizes[support]
    kept, sizes = _magnitudes(kept, features, sizes, targets, decay)
    return kept.with_vectors(kept.vectors * sizes[:, None])


def _basic(features: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return sizes of no larger sum, of linearly independent columns, that do the same.

    A combination v of columns with F v = 0 and sum v >= 0 is taken off until a size reaches zero
    (Caratheodory), which changes neither the outputs nor, for the worse, the sum.
    """
    sizes = sizes.copy()
    alive = np.argsort(sizes, kind="stable")
    lengths = np.linalg.norm(features, axis=0)
    # What depends on what is seen in a triangular factor as well.
    scaled = np.asarray(np.linalg.qr(features / lengths, mode="r"))
    while len(alive):
        part = alive[: len(scaled) + 1]
        _, values, right = np.linalg.svd(scaled[:, part])
        if len(values) == len(part) and values[-1] > DEPENDENT * values[0]:
            break
        v = right[-1] / lengths[part]
        v = v if v.sum() >= 0 else -v
        ratios = np.where(v > 0, sizes[part] / np.where(v > 0, v, 1.0), np.inf)
        first = int(ratios.argmin())
        sizes[part] -= ratios[first] * v
        sizes[part[first]] = 0.0
        sizes = np.maximum(sizes, 0.0)
        alive = alive[sizes[alive] > 0]
        alive = alive[np.argsort(sizes[alive], kind="stable")]
    return sizes


def _merged(
    neurons: Neurons, features: np.ndarray, sizes: np.ndarray
) -> tuple[Neurons, np.ndarray, np.ndarray]:
    """Give neurons whose outputs nearly agree to the largest among them, and drop those without."""
    order = np.argsort(-sizes, kind="stable")
    lengths = np.linalg.norm(features, axis=0)
    units = features / np.where(lengths > 0, lengths, 1.0)
    close = units.T @ units >= 1.0 - 0.5 * SAME**2
    owners: list[int] = []
    total = np.zeros(len(sizes))
    for k in order.tolist():
        same = np.flatnonzero(close[k, owners])
        if len(same) and lengths[k] > 0:
            owner = owners[same[0]]
            total[owner] += sizes[k] * lengths[k] / lengths[owner]
        elif lengths[k] > 0:
            owners.append(k)
            total[k] += sizes[k]
    return neurons.chosen(np.array(owners, dtype=np.int64)), features[:, owners], total[owners]


def _magnitudes(
    neurons: Neurons, features: np.ndarray, sizes: np.ndarray, targets: np.ndarray, decay: float
) -> tuple[Neurons, np.ndarray]:
    """Minimise ``1/2 |F c - targets|^2 + decay sum c`` over c > 0, dropping what reaches zero."""
    for _ in range(ROUNDS):
        if not len(sizes) or len(sizes) > len(features):
            break
        # The step from where we are: normal equations by a QR decomposition of F.
        q, r = np.linalg.qr(features)
        scale = np.abs(np.diag(r))
        if scale.min(initial=1.0) <= 1e-10 * scale.max(initial=0.0):
            break
        residual = targets - features @ sizes
        step = np.linalg.solve(r, q.T @ residual - np.linalg.solve(r.T, np.full(len(r), decay)))
        ratios = np.where(step < 0, -sizes / np.where(step < 0, step, -1.0), np.inf)
        length = float(ratios.min())
        if length > 1.0:
            sizes = sizes + step
            if np.abs(step).max() <= 1e-15 * np.abs(sizes).max():
                break
            continue
        sizes = sizes + length * step
        kept = np.arange(len(sizes)) != int(ratios.argmin())
        neurons, features, sizes = neurons.chosen(kept), features[:, kept], sizes[kept]
    return neurons, sizes
