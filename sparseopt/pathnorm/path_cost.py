"""The path cost of every weight: how much of the path-norm passes through it.

Source: Gonon et al., arXiv 2405.15006, section 5. The cost of a weight w is the sum of |Phi_p|
over the paths p through it, which is |w| times the derivative of ``||Phi||_1`` by |w|, and, if no
path meets the weight twice, the drop of the norm when the weight is set to zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_
from typing import Any, ClassVar

import numpy as np

from sparseopt.interface.arrays import as_array, as_figure, read_only
from sparseopt.interface.certificate import Certificate, Steps
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.problem import Problem
from sparseopt.judging.rounding import below
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.pathnorm import contractions, plain
from sparseopt.pathnorm.biases import biases
from sparseopt.pathnorm.effort import EACH_LAYER, Effort, of_layer
from sparseopt.pathnorm.folding import folded
from sparseopt.pathnorm.powers import Powers
from sparseopt.pathnorm.rounded import Rounded, RoundedSums

TOLERANCE = 1e-9
"""Relative error of a share that an answer promises unless it says otherwise."""

COARSEST = 1e-3
"""Largest relative error that an answer may promise."""

_TENSORS = 4096
"""Tied tensors that are looked at together."""

_PASSES = 3
"""Passes through the folded network: forward, backward, and all products of the two."""

FLOOR = 1e-290
"""Shares are compared down to here; float64 ends at 1e-308."""


def weight_names(network: Network) -> dict[str, str]:
    """Return the weight tensors of dense and convolutional layers and of neurons, with nodes."""
    return {
        f"{node.name}.weight": node.name
        for node in network.nodes
        if node.name in network.used and isinstance(node.op, contractions.Contraction)
    }


@json_type
@dataclass(frozen=True, eq=False)
class PathCosts:
    """Path costs as shares of the L1 path-norm.

    Parameters
    ----------
    shares : dict of str to float64 array
        By parameter, ``"node.weight"``, in the shape of the weights: the path cost divided by the
        norm, in [0, 1] wherever the norm itself may lie. All 0 for a norm of 0. The weights into
        the outputs have shares that add up to 1 less the output biases' share.
    tolerance : float
        How far, relatively, each share may be off.
    """

    shares: dict[str, np.ndarray]
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        object.__setattr__(self, "tolerance", as_figure(self.tolerance, "tolerance"))
        shares = {}
        for name, share in self.shares.items():
            array = as_array(share, "a share")
            if array.dtype.kind not in "fiu":
                raise ProblemError(f"the shares of {name} have dtype {array.dtype}, not float64")
            shares[name] = read_only(array.astype(np.float64, copy=False))
        object.__setattr__(self, "shares", shares)

    def __str__(self) -> str:
        count = sum(share.size for share in self.shares.values())
        return f"path costs of {count} weights in {len(self.shares)} layers"


@json_type
@dataclass(frozen=True, eq=False)
class PathCostCertificate(Certificate):
    """Path costs that the core computes again, weight by weight.

    The share of a weight is its absolute value times the sum, over the positions where it serves,
    of what arrives there on the paths from the start and what the paths from there to the end
    multiply it by, over the norm. The core computes these by one pass forwards and one backwards
    (`edges`) over one of the positions that hold the same numbers (`folding`, with the proof), with
    every rounding counted (`floats`), and compares every single share.
    """

    problem: PathCost
    answer: PathCosts

    @property
    def accuracy(self) -> float:
        """Relative error of each share."""
        return self.answer.tolerance

    @property
    def claim(self) -> str:
        """Whose costs they are, and how close."""
        return (
            f"the {self.answer} are those of the {self.problem.network.describe()}, each to a "
            f"relative {self.answer.tolerance!r}, or to {FLOOR:g} where that is more"
        )

    def check(self, steps: Steps) -> None:
        """Compute the shares again and compare each."""
        network, shares = self.problem.network, self.answer.shares
        names = weight_names(network)
        steps.require(shares.keys() == names.keys(), f"there are shares for {list(names)[:4]} ...")
        tolerance = self.answer.tolerance
        steps.require(
            0 < tolerance <= COARSEST,
            f"the relative error stated is at most {COARSEST:g}",
            f"{tolerance!r}",
        )
        tolerance = below(tolerance, 2)  # in the claim it stands as a decimal, nearly the same
        arrays = network.parameters()
        for name in names:
            right = arrays[name].shape
            found = shares[name].shape
            steps.require(found == right, f"{name!r} has a share for each weight", f"{found}")
        judged = plain.in_floats(network, 1, partial(_judged, network, self.answer), passes=0)
        for name, (error, wrong) in judged.items():
            steps.require(
                4 * error <= tolerance,
                f"rounding leaves room for a relative {self.answer.tolerance!r}",
                f"{error:.3g}",
            )
            steps.require(
                wrong == 0,
                f"each share of {name!r} is right to a relative {self.answer.tolerance!r}",
                f"{wrong} of {shares[name].size} are not",
            )


def _judged(
    network: Network, answer: PathCosts, arithmetic: RoundedSums
) -> dict[str, tuple[float, int]]:
    """Return, for each weight tensor, the relative error of the judge's shares, and how many of
    the answer are not proved to be right."""
    result = dict.fromkeys(answer.shares, (0.0, 0))
    ops: dict[str, Any] = {f"{node.name}.weight": node.op for node in network.nodes}
    stated = {name: contractions.kernel(ops[name], v) for name, v in answer.shares.items()}
    for name, rows, part, total in each_part(network, arithmetic):
        error = arithmetic.share_error(part, total)
        right = arithmetic.shares(part, total)
        allowed = below(answer.tolerance, 2) - 2 * error
        wrong = _count_wrong(stated[name][:, rows], right, allowed)
        result[name] = (max(error, result[name][0]), result[name][1] + wrong)
    return result


def each_part(
    network: Network, arithmetic: RoundedSums
) -> Iterator[tuple[str, slice, Rounded, Powers]]:
    """Yield the parts that the weights of each tensor have of the norm.

    Each a name, some outputs of the kernel, the parts in the shape of that piece of the kernel
    (groups, outputs, inputs), and the norm.
    """
    names = {node: name for name, node in weight_names(network).items()}
    steps = folded(network, biases(network))
    shapes, costs = [step.shape for step in steps], arithmetic.NANOSECONDS
    takes = (of_layer(s.op, [shapes[i] for i in s.inputs], s.shape, costs) for s in steps[1:])
    Effort().spend(_PASSES * (len(steps) * EACH_LAYER + sum(takes)))
    values = [arithmetic.ones(steps[0].shape)]
    for step in steps[1:]:
        inputs = [values[i] for i in step.inputs]
        values.append(plain.through(arithmetic, step.op, inputs, step.shape, step.bias))
    total = arithmetic.powers(values[-1]).norm(1)
    if not total.array:  # no path carries anything
        total = Powers.of(np.ones(()), 0, total.error)
    pending = {len(steps) - 1: [arithmetic.of(np.ones((1, *network.output_shape)))]}
    while len(steps) > 1:
        step = steps.pop()
        values.pop()
        value = reduce(arithmetic.plus, pending.pop(len(steps)))
        inputs = [values[i] for i in step.inputs]
        if step.name in names:
            op: Any = step.op
            for rows, part in arithmetic.gradient(op, inputs, value):
                yield names[step.name], rows, part, total
        back = arithmetic.backward(step.op, value, [x.array.shape[1:] for x in inputs])
        for i, each in zip(step.inputs, back, strict=True):
            pending.setdefault(i, []).append(each)


def _count_wrong(stated: np.ndarray, right: np.ndarray, tolerance: float) -> int:
    """Return how many numbers are not within a relative tolerance of those that are right, which
    are finite, or half of `FLOOR`; NaN and infinities are not."""
    off = stated - right
    np.abs(off, out=off)
    allowed = right * tolerance
    if (off < allowed).all():  # as a rule; the smaller allowance, in a sweep less
        return 0
    np.maximum(allowed, FLOOR / 2, out=allowed)
    return off.size - int(np.count_nonzero(off <= allowed))


@json_type
@dataclass(frozen=True, eq=False)
class PathCost(Problem[PathCosts, "PathCostCertificate"]):
    """The path cost of every weight of dense and convolutional layers and of neurons.

    Parameters
    ----------
    network : Network
        As it stands: batch normalizations are layers of their own, and have no costs here, nor
        have biases. Costs do not change under positive rescaling.

    Raises
    ------
    ProblemError
        If a path meets one weight tensor twice: then the cost of a weight is not what the norm
        loses with it.

    Notes
    -----
    One pass forward and one backward for all weights together.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((1,), Dense(np.array([[3.0], [1.0]])), Relu(), Dense(np.array([[1.0, -2.0]])))
    >>> so.solve(so.PathCost(net)).answer.shares["2:Dense.weight"]  # |3 * 1| and |1 * -2| of 5
    array([[0.6, 0.4]])
    """

    network: Network
    certificates: ClassVar[tuple[type[Certificate], ...]] = (PathCostCertificate,)
    default_tolerance: ClassVar[float | None] = TOLERANCE
    accuracy_is: ClassVar[str] = "relative error of each share"

    def __post_init__(self) -> None:
        if not isinstance(self.network, Network):
            raise ProblemError(
                f"network is a {type(self.network).__name__}; make a Network with so.load_network"
            )
        repeated = met_twice(self.network)
        if repeated:
            raise ProblemError(
                f"a path meets the tensor {repeated!r} twice, so its weights have no path cost; "
                "take another criterion"
            )

    def evaluate(self, answer: PathCosts) -> Mapping[str, float]:
        """Return the largest sum of the shares in one layer; at most 1."""
        sums = [float(share.sum()) for share in answer.shares.values()]
        return {"largest_layer_share": max(sums, default=0.0)}

    def describe(self) -> str:
        """Name the network."""
        return f"path costs of a {self.network.describe()}"


def met_twice(network: Network) -> str | None:
    """Return a weight tensor that some path of layers meets twice, or None.

    In a number of bits for each node, a bit for each of some tensors, those are marked that paths
    to its end meet.
    """
    tied = list(network.tied.items())
    for start in range(0, len(tied), _TENSORS):
        tensors, own, twice = tied[start : start + _TENSORS], defaultdict[str, int](int), 0
        for bit, (_, names) in enumerate(tensors):
            for node in {name.rpartition(".")[0] for name in names}:
                own[node] |= 1 << bit

        def visit(node: Node, values: list[int], own: dict[str, int] = own) -> int:
            nonlocal twice
            before = reduce(or_, values)
            twice |= before & own[node.name]
            return before | own[node.name]

        network.walk(own[network.nodes[0].name], visit)
        if twice:
            return tensors[(twice & -twice).bit_length() - 1][0]
    return None


def no_costs(network: Network) -> dict[str, Any]:
    """Return shares of 0, those of a network with path-norm 0."""
    arrays = network.parameters()
    return {name: np.zeros(arrays[name].shape) for name in weight_names(network)}
