"""Balance a network: each hidden unit gets incoming and outgoing weights of equal norm.

Write M[g, h] for the sum of |w|^p over the weights from group h to group g, with the biases of g
in column 0, the pinned group. Rescaling by exp(z) turns M[g, h] into M[g, h] exp(p (z_g - z_h)),
z_0 = 0, so the least l^p norm over all rescalings of a network is the minimum of

    F(z) = sum_(g, h) M[g, h] exp(p (z_g - z_h)),

the balancing problem of a nonnegative matrix (Osborne, J. ACM 7, 1960). F is convex, and at its
minimum the row sum of every group equals its column sum. The minimizer is unique over the groups
that lie on a path from group 0 back to it, that is, on a path from the input or a bias to the
output: there M restricted to them is irreducible, so F grows along every direction. On the other
groups, the dead ones, F decreases for ever as one side goes to zero;
`sparseopt.tools.rescaling.dead` says which scale they get.

Source of the idea for sequential networks without biases: Stock et al., arXiv 1902.10416. Ties,
biases and the Newton steps below are this library's.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from scipy.sparse import coo_array, csr_array

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.network import Network
from sparseopt.tools.rescaling.dead import reach, settle
from sparseopt.tools.rescaling.factors import rescale_by_groups, rescaled
from sparseopt.tools.rescaling.groups import PINNED, RescalingGroups
from sparseopt.tools.rescaling.in_place import groups_of

# Decades of |w|^p beyond which a smaller p is balanced first.
_DECADES = 200
_SWEEPS = 8
_STEPS = 200
# Rows of a weight whose powers are held at once.
_PIECE = 1 << 24


@dataclass(frozen=True, eq=False)
class Balance:
    """Norms of the weights into and out of each group of hidden units.

    Attributes
    ----------
    names : tuple of str, length groups
        First unit of each group.
    incoming, outgoing : float64 array, shape (groups,)
        p-norm of the weights and biases into, and of the weights out of, the group. Weights from
        a group to itself count in neither.
    """

    names: tuple[str, ...]
    incoming: np.ndarray
    outgoing: np.ndarray

    @property
    def alive(self) -> np.ndarray:
        """Whether both norms of a group are positive."""
        return (self.incoming > 0) & (self.outgoing > 0)

    @property
    def ratio(self) -> np.ndarray:
        """Incoming over outgoing norm; nan where a norm is 0."""
        ratio = np.full(len(self.names), np.nan)
        ratio[self.alive] = self.incoming[self.alive] / self.outgoing[self.alive]
        return ratio


def neural_balance(subject: Any, p: float = 2, *, example: Any = None) -> Balance:
    """Compare the weights into and out of each group of hidden units.

    Parameters
    ----------
    subject : Network, RescalingGroups, module, or anything that `load_network` takes
    p : float
        Positive; 2 for the Euclidean norm.
    example : array or tensor, optional
        An input, for subjects that do not fix their input shape.

    Returns
    -------
    Balance

    Notes
    -----
    O(parameters). A network trained to a minimum with weight decay has all ratios 1 (p = 2).

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((1,), Dense(np.array([[3.0]])), Relu(), Dense(np.array([[8.0]])))
    >>> neural_balance(net).ratio
    array([0.375])
    """
    groups = groups_of(subject, example)
    coupling = _coupling(groups.network, groups, _positive(p))
    incoming = np.asarray(coupling.sum(axis=1)).ravel()[1:]
    outgoing = np.asarray(coupling.sum(axis=0)).ravel()[1:]
    return Balance(groups.names, incoming ** (1 / p), outgoing ** (1 / p))


@overload
def canonicalize(
    subject: Network | str | os.PathLike[str], p: float = 2, *, example: Any = None
) -> Network: ...
@overload
def canonicalize(subject: Any, p: float = 2, *, example: Any = None) -> Any: ...
def canonicalize(subject: Any, p: float = 2, *, example: Any = None) -> Any:
    """Rescale a network to the least l^p norm of its weights and biases.

    All rescalings of a network by positive factors have the same canonical form, to rounding:
    magnitudes of weights can be compared after it. Dead units, on no path from the input or a
    bias to the output, do not count in the norm; the weights into them get the norm 1, or those
    out of them where nothing reaches them.

    Parameters
    ----------
    subject : Network, torch.nn.Module, or anything that `load_network` takes
        A module is changed in place. An exact network stays exact: the factors are then floats
        taken as rationals.
    p : float
        Positive; 2 for the Euclidean norm.
    example : array or tensor, optional
        An input, for subjects that do not fix their input shape.

    Returns
    -------
    Network, or the module itself
        It computes the same function, to rounding.

    Raises
    ------
    ProblemError
        For p that is not positive and finite.

    See Also
    --------
    canonical_factors : the factors by which it is rescaled

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((1,), Dense(np.array([[2.0]])), Relu(), Dense(np.array([[8.0]])))
    >>> canonicalize(net).parameters()["0:Dense.weight"].round(12)
    array([[4.]])
    """
    groups = groups_of(subject, example)
    scales = np.concatenate([[1.0], canonical_factors(groups, p)])
    return rescale_by_groups(subject, groups, scales, example)


def canonical_factors(subject: Any, p: float = 2, *, example: Any = None) -> np.ndarray:
    """Return the factors that `canonicalize` rescales by.

    Parameters
    ----------
    subject : Network, RescalingGroups, module, or anything that `load_network` takes
    p, example
        As in `canonicalize`.

    Returns
    -------
    float64 array, shape (groups,)
        Positive, relative accuracy about 1e-13.

    Notes
    -----
    A few sweeps of exact minimization layer by layer, then Newton's method with conjugate
    gradients: O(parameters) per sweep and per gradient step, quadratic convergence at the end.
    """
    groups, p = groups_of(subject, example), _positive(p)
    network = groups.network
    if not groups.count:
        return np.ones(0)
    if _is_extreme(groups, p):
        # Roots of the weights span fewer powers; after balancing those, the weights do too.
        first = np.exp2(np.round(np.log2(canonical_factors(groups, p / 16))))
        network = rescaled(groups, np.concatenate([[1.0], first]))
    else:
        first = np.ones(groups.count)
    return first * _balanced(_coupling(network, groups, p), p, list(groups.layers.values()))


def _positive(p: float) -> float:
    if not 0 < p < math.inf:
        raise ProblemError(f"p must be positive and finite, got {p!r}")
    return float(p)


def _is_extreme(groups: RescalingGroups, p: float) -> bool:
    arrays = groups.network.parameters()
    for name in (*groups.weights, *groups.biases):
        size = np.asarray(np.abs(arrays[name]), dtype=np.float64)
        top = float(size.max())
        least = float(size.min(initial=1.0, where=size > 0))
        if p * math.log10(top or 1.0) > _DECADES or p * math.log10(least) < -_DECADES:
            return True
    return False


def living_weights(groups: RescalingGroups) -> dict[str, np.ndarray]:
    """Return by parameter which weights lie on a path from the input or a bias to the output.

    Up to the coarseness of the groups: a weight counts if its groups lie on such a path.
    """
    reached, reaching = reach(_coupling(groups.network, groups, 1.0))
    return {
        name: np.asarray(reached[tail] & reaching[head])
        for name, (head, tail) in groups.weights.items()
    }


def _coupling(network: Network, groups: RescalingGroups, p: float) -> csr_array:
    """Return M: sums of |w|^p by (group at the head, group at the tail), without its diagonal."""
    size = groups.count + 1
    arrays = network.parameters()
    triples = [[np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)]]
    for name, (head, tail) in groups.weights.items():
        triples.append(_sums(arrays[name], head, tail, p, size))
    for name, labels in groups.biases.items():
        triples.append(_sums(arrays[name], labels, np.full_like(labels, PINNED), p, size))
    rows, columns, data = (np.concatenate(part) for part in zip(*triples, strict=True))
    off = rows != columns
    return csr_array((data[off], (rows[off], columns[off])), shape=(size, size))


def _sums(
    array: np.ndarray, head: np.ndarray, tail: np.ndarray, p: float, size: int
) -> list[np.ndarray]:
    """Return head, tail and sum of |array|^p by labels, a few rows of the array at a time."""
    if array.ndim == 0:
        array, head, tail = array.reshape(1), head.reshape(1), tail.reshape(1)
    # Summing over axes on which neither label varies keeps the triples few.
    flat = tuple(a for a in range(array.ndim) if head.shape[a] == tail.shape[a] == 1)
    rows = max(1, _PIECE * len(array) // array.size)
    parts = []
    for start in range(0, len(array), rows):
        piece = slice(start, start + rows)
        powers = np.abs(array[piece]).astype(np.float64) ** p
        varying = tuple(a for a in flat if a > 0 or len(array) == 1)
        powers = powers.sum(axis=varying, keepdims=True)
        up, down = (x[piece] if x.shape[0] > 1 else x for x in (head, tail))
        row = np.broadcast_to(up, powers.shape).ravel()
        column = np.broadcast_to(down, powers.shape).ravel()
        kept = powers.ravel() > 0
        triples = (powers.ravel()[kept], (row[kept], column[kept]))
        parts.append(coo_array(triples, shape=(size, size)).tocsr().tocoo())
    return [np.concatenate([getattr(x, n) for x in parts]) for n in ("row", "col", "data")]


def _balanced(coupling: csr_array, p: float, layers: list[np.ndarray]) -> np.ndarray:
    """Return exp(z) for the minimizer z of F, with dead groups settled, without the pinned one."""
    reached, reaching = reach(coupling)
    alive = reached & reaching
    place = np.cumsum(alive) - 1
    index = np.flatnonzero(alive)
    logs = np.zeros(coupling.shape[0])
    if len(index) > 1:
        matrix = csr_array(coupling[index][:, index])
        blocks = [place[layer[alive[layer]]] for layer in layers]
        found = _sweep(matrix, [b for b in blocks if len(b)])
        logs[index] = _newton(matrix, found)
    logs = settle(coupling, logs, lambda circle: _newton(circle, np.zeros(circle.shape[0])))
    return np.asarray(np.exp(logs[1:] / p))


def _sweep(matrix: csr_array, blocks: list[np.ndarray]) -> np.ndarray:
    """Minimize over one layer after the other, forwards and backwards; return p z.

    Exact where the groups of a layer do not couple with each other, by
    exp(2 z) = outgoing / incoming.
    """
    logs = np.zeros(matrix.shape[0])
    columns = matrix.T.tocsr()
    parts = [(block, matrix[block], columns[block]) for block in blocks]
    for _ in range(_SWEEPS):
        for block, into, out in (*parts, *reversed(parts)):
            # Relative to the block's own scale, so that no exponential leaves the range.
            shift = float(np.median(logs[block]))
            rest = np.clip(logs - shift, -300.0, 300.0)
            incoming, outgoing = into @ np.exp(-rest), out @ np.exp(rest)
            logs[block] = shift + 0.5 * np.log(outgoing / incoming)
    return logs


def _newton(matrix: csr_array, logs: np.ndarray) -> np.ndarray:
    """Return the minimizer of F by damped Newton steps from `logs`.

    With B = exp(logs_g - logs_h) M, the gradient is (row sums - column sums of B) and the
    Hessian the weighted Laplacian diag(row + column sums) - B - B', definite once the pinned
    entry is left out.
    """
    entries = matrix.tocoo()
    rows, columns, best = entries.row, entries.col, np.inf
    for _ in range(_STEPS):
        data = entries.data * np.exp(np.clip(logs[rows] - logs[columns], -600.0, 600.0))
        into = np.bincount(rows, data, minlength=len(logs))
        out = np.bincount(columns, data, minlength=len(logs))
        error = float(np.abs(np.log(into[1:] / out[1:])).max())
        if error <= 1e-14 or (error < 1e-11 and error > 0.5 * best):
            break
        best = min(best, error)
        step = _newton_step(csr_array((data, (rows, columns)), shape=matrix.shape), into, out)
        # Full steps near the minimum; far from it no factor moves by more than e^2 at once.
        logs = logs + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
    return logs


def _newton_step(weighted: csr_array, into: np.ndarray, out: np.ndarray) -> np.ndarray:
    from scipy.sparse.linalg import LinearOperator, cg

    back = weighted.T
    root = np.sqrt((into + out)[1:])
    padded = np.zeros(len(into))

    def scaled_laplacian(v: np.ndarray) -> np.ndarray:
        padded[1:] = v.ravel() / root
        return v.ravel() - (weighted @ padded + back @ padded)[1:] / root

    operator = LinearOperator((len(root), len(root)), matvec=scaled_laplacian, dtype=float)
    step, _ = cg(operator, (out - into)[1:] / root, rtol=1e-8, maxiter=500)
    return np.concatenate([[0.0], step / root])
