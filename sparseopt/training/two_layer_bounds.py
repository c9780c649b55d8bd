"""The cost of a two-layer network and the reach of a dual point, with all rounding.

Let P be the objective of a network f with neurons (w_j, a_j), and D(t) = y . t - |t|^2 / 2.

Weak duality. If ``|t . h(w)| <= decay |w|`` for the values h(w) of every neuron that may be taken
(gated, with vector targets: ``|X_active^T t| <= decay`` in the spectral norm), then

    P(f) - D(t)  =  1/2 |y - f - t|^2 + sum_j (decay/2 (|w_j|^2 + |a_j|^2) - t . h(w_j) a_j)  >=  0,

since each bracket is at least decay |w_j| |a_j| - |t . h(w_j) a_j|. The dual point says nothing of
f, so D(t) bounds the objective of all networks, of every width, from below.
"""

from __future__ import annotations

import math

import numpy as np

from sparseopt.judging.figures import Figure
from sparseopt.judging.rounding import TINY, UNIT, gamma, norm_bound, product_terms
from sparseopt.training.two_layer_network import TwoLayerNetwork
from sparseopt.training.two_layer_relu import TwoLayerReLU

_WILD = np.errstate(over="ignore", invalid="ignore", under="ignore")
_MORE = 1.0 + 1e-9
"""Covers what a bound of rounding loses in its own evaluation."""


@_WILD
def cost(problem: TwoLayerReLU, network: TwoLayerNetwork) -> Figure:
    """Return the objective, in the units of the judge; O(samples features neurons).

    With X W off by e = gamma(d) |X| |W| entry by entry, which a ReLU or a gate does not enlarge,
    the outputs H A are off by (e + gamma(m) H) |A| for m neurons, and the residual by this and one
    rounding more.
    """
    units, active = problem.units(), problem.active(network)
    hidden, outer = units.weights(network.hidden), units.weights(network.outer)
    outer = outer.reshape(len(outer), problem.outputs)
    features, neurons = hidden.shape
    values = units.inputs @ hidden
    off = gamma(features) * (np.abs(units.inputs) @ np.abs(hidden)) + TINY
    if active is None:
        values = np.maximum(values, 0.0)
    else:
        values, off = values * active, off * active
    residual = units.targets - values @ outer
    off = (off + gamma(neurons + 1) * np.abs(values)) @ np.abs(outer)
    error = norm_bound((off * _MORE + UNIT * np.abs(residual)).ravel()) if neurons else 0.0
    squares = 0.5 * _sum_of_squares(residual)
    value = squares + 0.5 * units.decay * (_sum_of_squares(hidden) + _sum_of_squares(outer))
    if not (math.isfinite(value) and math.isfinite(error)):
        return Figure(math.inf, 0.0)
    if value == 0.0 == error:
        return Figure(0.0, 0.0)
    room = math.sqrt(2.0 * squares) * error + 0.5 * error * error
    return Figure(value, _MORE * room + 8.0 * UNIT * value + TINY)


@_WILD
def lower_bound(problem: TwoLayerReLU, point: np.ndarray) -> Figure:
    """Return D(t) for a dual point in the units of the judge; 0 if it is below."""
    targets, t = problem.units().targets.ravel(), point.ravel()
    terms = product_terms(targets, t) + [-0.5 * term for term in product_terms(t, t)]
    if not all(map(math.isfinite, terms)):
        return Figure(0.0, 0.0)
    value = math.fsum(terms)
    return Figure(value, 2.0 * UNIT * value + TINY) if value > 0.0 else Figure(0.0, 0.0)


def _sum_of_squares(array: np.ndarray) -> float:
    """Return the sum of squares, correctly rounded; infinity if it overflows."""
    terms = product_terms(array.ravel(), array.ravel())
    return math.fsum(terms) if all(map(math.isfinite, terms)) else math.inf


@_WILD
def gated_reach(problem: TwoLayerReLU, point: np.ndarray, room: float = 1.0) -> np.ndarray:
    """Bound ``|X_active^T t|`` in the spectral norm for each gate, in the units of the judge.

    Parameters
    ----------
    problem : TwoLayerReLU
        With gates.
    point : ndarray, shape (samples, outputs)
    room : float
        Every bound of rounding is taken that many times.

    Returns
    -------
    ndarray, shape (gates,)
        O(samples features outputs gates).
    """
    inputs = problem.units().inputs
    (n, features), outputs = inputs.shape, point.shape[1]
    products = (inputs[:, :, None] * point[:, None, :]).reshape(n, features * outputs)
    found = problem.patterns.T.astype(np.float64) @ products
    sizes = np.sqrt(np.vecdot(inputs, inputs)) @ np.sqrt(np.vecdot(point, point))
    off = room * gamma(n + 3) * float(sizes) * _MORE + TINY
    return _spectral_norms(found.reshape(-1, features, outputs), room) + off


def _spectral_norms(blocks: np.ndarray, room: float) -> np.ndarray:
    """Bound the largest singular value of each block from above.

    For any U, S, V: ``|B| <= |U| |S| |V| + |B - U S V|``, and ``|U|^2 <= 1 + |U^T U - I|``. Good
    ones, of a singular value decomposition, give good bounds and bad ones only wide ones.
    """
    rows, columns = blocks.shape[1:]
    g = room * gamma((rows + 1) * (columns + 1) + 12) * _MORE
    if columns == 1:
        return np.asarray(_frobenius(blocks) * (1.0 + g))
    u, s, v = np.linalg.svd(blocks, full_matrices=False)
    scaled = u * s[:, None, :]
    size = _frobenius(scaled) * _frobenius(v)
    rest = _frobenius(blocks - scaled @ v) * (1.0 + g) + g * (size + _frobenius(blocks))
    growth = np.sqrt((1.0 + _defect(u, g)) * (1.0 + _defect(v.swapaxes(1, 2), g)))
    return np.asarray(s.max(axis=1) * growth * (1.0 + g) + rest + TINY)


def _frobenius(blocks: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.square(blocks).sum(axis=(1, 2))))


def _defect(u: np.ndarray, g: float) -> np.ndarray:
    """Bound ``|U^T U - I|`` of each block."""
    gram = u.swapaxes(1, 2) @ u
    return _frobenius(gram - np.eye(u.shape[2])) * (1.0 + g) + g * np.square(u).sum(axis=(1, 2))
