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

from sparseopt.interface.context import Context, Progress
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short, short_repr
from sparseopt.networks.network import Network
from sparseopt.tools.rescaling.coupling import Coupling
from sparseopt.tools.rescaling.dead import settle
from sparseopt.tools.rescaling.factors import rescale_by_groups, rescaled
from sparseopt.tools.rescaling.groups import RescalingGroups
from sparseopt.tools.rescaling.in_place import groups_of
from sparseopt.tools.rescaling.newton import minimizer, minimizer_of_circle

# Binary exponent of |w|^p beyond which a smaller p is balanced first.
_BITS = 664
# Binary exponent up to which many |w|^p can be summed.
_TOP = 960


@short_repr
@dataclass(frozen=True, eq=False)
class Balance:
    """Norms of the weights into and out of each group of hidden units.

    Attributes
    ----------
    names : tuple of str, length groups
        First unit of each group.
    incoming, outgoing : float64 array, shape (groups,)
        p-norm of the weights and biases into, and of the weights out of, the group, infinite beyond
        float64. Weights from a group to itself count in neither.
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
    groups, p = groups_of(subject, example), _positive(p)
    coupling, shift = _coupled(groups.network, groups, p)
    ones = np.ones(coupling.size)
    sums = coupling.into(ones)[1:], coupling.out(ones)[1:]
    with np.errstate(over="ignore"):
        return Balance(groups.names, *(np.ldexp(x ** (1 / p), -shift) for x in sums))


@overload
def canonicalize(
    subject: Network | str | os.PathLike[str],
    p: float = 2,
    *,
    example: Any = None,
    progress: Progress | None = None,
) -> Network: ...
@overload
def canonicalize(
    subject: Any, p: float = 2, *, example: Any = None, progress: Progress | None = None
) -> Any: ...
def canonicalize(
    subject: Any, p: float = 2, *, example: Any = None, progress: Progress | None = None
) -> Any:
    """Rescale a network to the least l^p norm of its weights and biases.

    All rescalings of a network by positive factors have the same canonical form, to rounding:
    magnitudes of weights can be compared after it. Dead units, on no path from the input or a
    bias to the output, do not count in the norm; the weights into them get the norm 1, or those
    out of them where nothing reaches them.

    Time O(P), memory O(P), for P parameters, each step of the minimization, of some dozens.

    Parameters
    ----------
    subject : Network, torch.nn.Module, or anything that `load_network` takes
        A module is changed in place. An exact network stays exact: the factors are then floats
        taken as rationals.
    p : float
        Positive; 2 for the Euclidean norm.
    example : array or tensor, optional
        An input, for subjects that do not fix their input shape.
    progress : callable(fraction, message) or None
        Called at each step of the minimization, and at the end.

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
    context = Context(progress=progress)
    groups = groups_of(subject, example, context.part(0.0, 0.3))
    factors = canonical_factors(groups, p, progress=context.part(0.3, 0.9))
    context.report(0.9, "rescaling")
    scales = np.concatenate([[1.0], factors])
    result = rescale_by_groups(subject, groups, scales, example)
    context.report(1.0, "rescaled")
    return result


def canonical_factors(
    subject: Any, p: float = 2, *, example: Any = None, progress: Progress | None = None
) -> np.ndarray:
    """Return the factors that `canonicalize` rescales by.

    Parameters
    ----------
    subject : Network, RescalingGroups, module, or anything that `load_network` takes
    p, example, progress
        As in `canonicalize`.

    Returns
    -------
    float64 array, shape (groups,)
        Positive, relative accuracy about 1e-13.

    Notes
    -----
    A few sweeps of exact minimization level by level, then Newton's method with conjugate
    gradients: O(parameters) per sweep and per gradient step, quadratic convergence at the end.
    Memory for the powers of the weights in double precision.
    """
    groups, p = groups_of(subject, example), _positive(p)
    context = Context(progress=progress)
    context.report(0.0, "coupling groups of units")
    network = groups.network
    if not groups.count:
        return np.ones(0)
    first = np.ones(groups.count)
    if _is_extreme(network, groups, p):
        # Roots of the weights span fewer powers; after balancing those, the weights do too.
        first = np.exp2(np.round(np.log2(canonical_factors(groups, p / 16))))
        network = rescaled(groups, np.concatenate([[1.0], first]))
    coupling, _ = _coupled(network, groups, p)
    factors = first * _balanced(coupling, p, context.part(0.2, 1.0))
    context.report(1.0, "balanced")
    return factors


def _positive(p: float) -> float:
    if not (isinstance(p, int | float) and 0 < p < math.inf):
        raise ProblemError(f"p must be positive and finite, got {short(p)}")
    return float(p)


def _coupled(network: Network, groups: RescalingGroups, p: float) -> tuple[Coupling, int]:
    """Return sums of the p-th powers of weights, times 2^e where these are far from 1, and e."""
    if not _is_extreme(network, groups, p):
        return Coupling.of(network, groups, p), 0
    near, shift = _around_one(network, groups, p)
    coupling = Coupling.of(near, groups, p)
    if not np.array_equal(coupling.reach(), Coupling.of(network, groups, 2.0**-10).reach()):
        raise ProblemError(
            f"the weights span too many decades for their powers with p = {p:g} in float64; take "
            "a smaller p"
        )
    return coupling, shift


def _is_extreme(network: Network, groups: RescalingGroups, p: float) -> bool:
    """Whether p-th powers of the weights are far from 1."""
    least, largest = _exponents(network, groups)
    return p * max(largest, -least) > _BITS


def _exponents(network: Network, groups: RescalingGroups) -> tuple[int, int]:
    """Return the least and the largest binary exponent of weights and biases that are not 0."""
    arrays, found = network.parameters(), []
    for name in (*groups.weights, *groups.biases):
        size = np.asarray(np.abs(arrays[name]))
        try:
            ends = np.array([size.max(), size.min(initial=1, where=size > 0)], dtype=np.float64)
        except OverflowError as error:
            raise ProblemError(f"{name} has entries beyond float64; make them smaller") from error
        found.extend(np.frexp(ends[ends > 0])[1].tolist())
    return min(found, default=0), max(found, default=0)


def _around_one(network: Network, groups: RescalingGroups, p: float) -> tuple[Network, int]:
    """Return the network with its weights and biases times a power of two, and the exponent.

    All have the same canonical factors. The powers of the largest are held by float64, and both
    ends are as far from 1 if they can be.
    """
    arrays = network.parameters()
    least, largest = _exponents(network, groups)
    shift = -max((least + largest) // 2, largest - int(_TOP / max(p, 1)))
    wide = {n: arrays[n].astype(np.float64) for n in (*groups.weights, *groups.biases)}
    return network.with_parameters({n: np.ldexp(a, shift) for n, a in wide.items()}), shift


def living_weights(groups: RescalingGroups) -> dict[str, np.ndarray]:
    """Return by parameter which weights lie on a path from the input or a bias to the output.

    Up to the coarseness of the groups: a weight counts if its groups lie on such a path.
    """
    reached, reaching = Coupling.of(groups.network, groups, 1.0).reach()
    return {
        name: np.asarray(reached[tail] & reaching[head])
        for name, (head, tail) in groups.weights.items()
    }


def _balanced(coupling: Coupling, p: float, progress: Progress | None) -> np.ndarray:
    """Return exp(z) for the minimizer z of F, with dead groups settled, without the pinned one."""
    reached, reaching = coupling.reach()
    alive = reached & reaching
    logs = np.zeros(coupling.size)
    if alive.sum() > 1:
        logs[alive] = minimizer(coupling.within(alive), progress)
    logs = settle(coupling, alive, logs, minimizer_of_circle)
    return np.asarray(np.exp(logs[1:] / p))
