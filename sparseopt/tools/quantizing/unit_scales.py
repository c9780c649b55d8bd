"""Where to start: factors of the hidden units by balance, by equalization, and by path costs.

Let s_i = d_head / d_tail be what rescaling multiplies weight i by. A block B of weights that share
a scale is rounded on a grid whose step is in proportion to ``max |w_j| s_j``, so that errors cost
(see `tensors`) about

    F(log d) = sum over blocks B of  max over j in B (|w_j| s_j)  *  sum over i in B (g_i / s_i).

Each term is a maximum of sums of exponentials of linear functions of log d, so F is convex: what
descent finds is the least over all rescalings, and does not depend on the scales at the beginning.
Formats without a scale lose to their absolute step, below the normal range, the second factor only:
then F is the balancing problem of the costs g in place of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from sparseopt.interface.context import Context
from sparseopt.networks.network import Network
from sparseopt.tools.quantizing.tensors import Blocks
from sparseopt.tools.rescaling.balance import canonical_factors
from sparseopt.tools.rescaling.groups import PINNED, RescalingGroups

_POWERS = (4.0, 16.0, 64.0)
"""Of the norms that stand for the maximum, one after the other."""
_STEPS = 150
_SWEEPS = 40
_FAR = 64.0
"""Logarithm of the largest factor: F falls without end where costs stand on one side of a unit."""


def normal_exponents(groups: RescalingGroups, network: Network) -> np.ndarray:
    """Return for each group the power of two that takes the weights into it to [1/2, 1).

    From the input onwards, by those weights into a group that come from groups settled before it,
    and its bias, in the first layer where there are any. Rescaling the network by powers of two
    beforehand changes the exponents alone, and not the network that they lead to, by no bit.

    Returns
    -------
    int64 array, shape (1 + groups,)
        Exponents; 0 for the pinned group and for groups that nothing leads to.
    """
    arrays = network.parameters()
    shifts = np.zeros(groups.count + 1, dtype=np.int64)
    settled = np.zeros(groups.count + 1, dtype=bool)
    settled[PINNED] = True
    found = True
    while found and not settled.all():
        found = False
        for node in groups.units:
            tops = _tops(groups, arrays, node, shifts, settled)
            new = (tops > _NONE) & ~settled
            shifts[new] = -tops[new]
            settled |= new
            found = found or bool(new.any())
    return shifts


_NONE = np.iinfo(np.int64).min // 4


def _tops(
    groups: RescalingGroups,
    arrays: dict[str, np.ndarray],
    node: str,
    shifts: np.ndarray,
    settled: np.ndarray,
) -> np.ndarray:
    """Return by group the largest exponent of the weights into it from settled groups."""
    tops = np.full(len(shifts), _NONE)
    parts = [(f"{node}.weight", *groups.weights[f"{node}.weight"])]
    if f"{node}.bias" in groups.biases:
        head = groups.biases[f"{node}.bias"]
        parts.append((f"{node}.bias", head, np.full_like(head, PINNED)))
    for name, head, tail in parts:
        array = np.asarray(arrays[name], dtype=np.float64)
        exponents = np.frexp(array)[1] - shifts[tail]
        kept = (array != 0) & settled[tail]
        heads = np.broadcast_to(head, array.shape)
        np.maximum.at(tops, heads[kept], exponents[kept])
    return tops


def balanced(groups: RescalingGroups) -> np.ndarray:
    """Return the factors of the canonical form: weights into and out of a unit of equal norm."""
    return np.concatenate([[1.0], canonical_factors(groups)])


def equalized(groups: RescalingGroups, tensors: Sequence[Blocks]) -> np.ndarray:
    """Return factors with which the largest weights into and out of each unit agree.

    Cross-layer equalization, Nagel et al., arXiv 1906.04721, section 4.1, in sweeps over all layers
    forwards and backwards.
    """
    logs = np.zeros(groups.count + 1)
    layers = list(groups.layers.values())
    for _ in range(_SWEEPS):
        before = logs.copy()
        for layer in (*layers, *reversed(layers)):
            into, out = _extremes(tensors, logs)
            both = np.isfinite(into) & np.isfinite(out)
            chosen = layer[both[layer]]
            logs[chosen] += 0.5 * (out[chosen] - into[chosen])
        if np.abs(logs - before).max(initial=0.0) < 1e-9:
            break
    return np.asarray(np.exp(logs))


def _extremes(tensors: Sequence[Blocks], logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by group the logarithms of the largest weights into and out of it."""
    into, out = np.full(len(logs), -np.inf), np.full(len(logs), -np.inf)
    for tensor in tensors:
        kept = (tensor.weight != 0) & (tensor.head != tensor.tail)
        head, tail = tensor.head[kept], tensor.tail[kept]
        sizes = np.log(np.abs(tensor.weight[kept])) + logs[head] - logs[tail]
        np.maximum.at(into, head, sizes)
        np.maximum.at(out, tail, sizes)
    return into, out


def least_expected(
    groups: RescalingGroups, tensors: Sequence[Blocks], scaled: bool, context: Context
) -> np.ndarray:
    """Return the factors that make F least, see above; `scaled`: whether blocks have scales.

    What is found by the time limit, if that comes first.
    """
    terms = [term for term in map(_Term, tensors) if term.counts]
    if not groups.count or not terms:
        return np.ones(groups.count + 1)
    logs = np.zeros(groups.count)

    def stop_in_time(_: np.ndarray) -> None:
        if context.remaining() <= 0:
            raise StopIteration

    for power in _POWERS if scaled else (0.0,):
        found = minimize(
            lambda z, p=power: _expected(z, terms, p),
            logs,
            jac=True,
            method="L-BFGS-B",
            callback=stop_in_time,
            options={"maxiter": _STEPS, "ftol": 1e-10, "gtol": 1e-7},
        )
        logs = found.x
        if context.remaining() <= 0:
            break
    return np.concatenate([[1.0], np.exp(np.clip(logs, -_FAR, _FAR))])


class _Term:
    """The logarithms of one tensor that F is computed from."""

    def __init__(self, tensor: Blocks) -> None:
        kept = (tensor.weight != 0) & (tensor.cost > 0)
        self.counts = bool(kept.any())
        with np.errstate(divide="ignore"):
            self.sizes = np.where(kept, np.log(np.abs(tensor.weight)), -np.inf)
            self.costs = np.where(kept, np.log(tensor.cost), -np.inf)
        rows = kept.any(axis=1)
        self.sizes, self.costs = self.sizes[rows], self.costs[rows]
        self.head, self.tail = tensor.head[rows], tensor.tail[rows]


def _expected(logs: np.ndarray, terms: Sequence[_Term], power: float) -> tuple[float, np.ndarray]:
    """Return log F and its gradient; with norms of this power for the maxima, 0 for none."""
    whole = np.concatenate([[0.0], logs])
    parts = []
    for term in terms:
        shifts = whole[term.head] - whole[term.tail]
        size, by_size = np.zeros((len(shifts), 1)), np.zeros((1, 1))
        if power:
            size, by_size = _soft_largest(power * (term.sizes + shifts))
            size = size / power
        cost, by_cost = _soft_largest(term.costs - shifts)
        parts.append((size + cost, by_size - by_cost))
    top = max(float(value.max()) for value, _ in parts)
    shares = [np.exp(value - top) for value, _ in parts]
    total = sum(float(share.sum()) for share in shares)
    gradient = np.zeros(len(whole))
    for term, share, (_, slopes) in zip(terms, shares, parts, strict=True):
        weights = (share / total * slopes).ravel()
        gradient += np.bincount(term.head.ravel(), weights, len(whole))
        gradient -= np.bincount(term.tail.ravel(), weights, len(whole))
    return top + float(np.log(total)), gradient[1:]


def _soft_largest(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the logarithm of the sum of exponentials of each row, and its gradient."""
    top = values.max(axis=1, keepdims=True)
    sizes = np.exp(values - top)
    total = sizes.sum(axis=1, keepdims=True)
    return top + np.log(total), sizes / total
