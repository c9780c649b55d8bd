"""The generalization bound of the path-norm, with all its constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from sparseopt.interface.arrays import as_count, as_figure
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.judging.rounding import above
from sparseopt.networks.linear import Neuron
from sparseopt.networks.network import Network
from sparseopt.networks.operator import Add, Concat, Operator, Permute, Relu, Reshape
from sparseopt.networks.parameters import Shape
from sparseopt.networks.window import MaxPool, RankPool


@dataclass(frozen=True)
class PoolingShape:
    """What the bound needs to know about depth and pooling of a network.

    Attributes
    ----------
    depth : int
        Most neurons on a path from input to output, the input not counted. A ReLU or a sum that
        alone reads a linear layer belongs to that layer's neurons, since it can be fused with
        them; every other one has neurons of its own, as have pools, averages and entrywise scales.
    kernel : int
        Largest number of inputs of a pooling neuron (max- or rank-pool); 1 if there are none.
    kinds : int
        Number of distinct ranks among pooling neurons.
    on_path : int
        Most pooling neurons on a path.
    """

    depth: int
    kernel: int
    kinds: int
    on_path: int


def pooling_shape(network: Network, affine: str = "merged") -> PoolingShape:
    """Return depth and pooling figures of a network, for `generalization_bound`."""
    if affine not in ("as_is", "merged"):
        raise ProblemError(f"affine must be 'as_is' or 'merged', not {short(affine)}")
    chosen = network.merged if affine == "merged" else network
    depth: dict[str, int] = {}
    pools: dict[str, int] = {}
    found: dict[int, int] = {}  # rank to the largest number of inputs
    fusible: set[str] = set()
    for node in chosen.nodes:
        name, op = node.name, node.op
        kind, rank = op.neuron_kind()
        if kind == "pool":
            size = _pooled(op, [chosen.shapes[source] for source in node.inputs])
            found[rank] = max(size, found.get(rank, 1))
        pools[name] = max((pools[n] for n in node.inputs), default=0) + (kind == "pool")
        # What is not named here has neurons of its own, which never makes the bound smaller.
        if isinstance(op, Add | Relu):
            steps = [depth[source] + (source not in fusible) for source in node.inputs]
        else:
            steps = [depth[source] + (not op.is_wiring) for source in node.inputs]
        depth[name] = max(steps, default=0)
        if (kind == "id" and not op.is_wiring) or (
            isinstance(op, Reshape | Permute | Concat) and fusible.issuperset(node.inputs)
        ):
            is_alone = len(chosen.consumers[name]) == 1 and name != chosen.output
            fusible.update([name] if is_alone else [])
    kernel = max(found.values(), default=1)
    return PoolingShape(depth[chosen.output], kernel, len(found), pools[chosen.output])


@singledispatch
def _pooled(op: Operator, inputs: Sequence[Shape]) -> int:
    """Return the largest fan-in of a pool; counted if no formula is known."""
    return int(op.fan_in(inputs).max())


@_pooled.register
def _pooled_max(op: MaxPool, inputs: Sequence[Shape]) -> int:
    return math.prod(w.index.shape[1] for w in op.windows)


@_pooled.register
def _pooled_rank(op: RankPool, inputs: Sequence[Shape]) -> int:
    return inputs[0][op.axis]


@_pooled.register
def _pooled_neuron(op: Neuron, inputs: Sequence[Shape]) -> int:
    return op.weight.size


def bound_factor(
    *,
    samples: int,
    depth: int,
    inputs: int,
    outputs: int,
    input_bound: float,
    kernel: int = 1,
    pool_kinds: int = 0,
    pools_on_path: int | None = None,
) -> float:
    """Return ``4 max(B, 1) C / sqrt(n)``, which times loss constant and path-norm bounds the gap.

    Parameters
    ----------
    samples : int
        n, size of the training set.
    depth : int
        D, length of the longest path.
    inputs, outputs : int
        Dimensions of input and output.
    input_bound : float
        B, largest absolute value of an input entry. Paths that start at a bias have the input 1,
        hence max(B, 1).
    kernel : int
        K, largest number of inputs of a pooling neuron; 1 without pools.
    pool_kinds : int
        P, number of distinct ranks of pooling neurons (max-pooling is one).
    pools_on_path : int or None
        M, most pooling neurons on a path; gives the sharpened constant.

    Returns
    -------
    float
        Rounded up.

    Notes
    -----
    ``C^2 = D ln((3 + 2P) K) + ln((3 + 2P) / (1 + P) (inputs + 1) outputs)``, or with M
    ``C^2 = D ln 3 + M ln K + ln((inputs + 1) outputs)``. Source: Gonon et al., arXiv 2310.01225,
    Theorem 3.1 and Table 2.

    Examples
    --------
    ResNet-18 on ImageNet, as in Table 2:

    >>> setting = dict(samples=1268355, inputs=150528, outputs=1000, input_bound=2.640000104904175)
    >>> round(bound_factor(depth=18, kernel=9, pool_kinds=1, **setting), 6)
    0.088093
    >>> round(bound_factor(depth=18, kernel=9, pools_on_path=1, **setting), 6)
    0.059894
    """
    samples, depth = as_count(samples, "samples"), as_count(depth, "depth")
    inputs, outputs = as_count(inputs, "inputs"), as_count(outputs, "outputs")
    kernel, input_bound = as_count(kernel, "kernel"), as_figure(input_bound, "input_bound")
    if not input_bound > 0 or input_bound == math.inf:
        raise ProblemError(f"input_bound is {short(input_bound)}; it must be positive and finite")
    pools = (pool_kinds, 0 if pools_on_path is None else pools_on_path)
    if any(isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0 for n in pools):
        raise ProblemError("numbers of pools must be integers that are not negative")
    pool_kinds, on_path = map(int, pools)
    if pools_on_path is None:
        branches = 3 + 2 * pool_kinds
        ends = branches / (1 + pool_kinds) * (inputs + 1) * outputs
        square = depth * math.log(branches * kernel) + math.log(ends)
    else:
        square = depth * math.log(3) + on_path * math.log(kernel)
        square += math.log((inputs + 1) * outputs)
    return above(4 * max(input_bound, 1.0) * math.sqrt(square) / math.sqrt(samples), 64)


def generalization_bound(
    network: Network,
    path_norm: float,
    *,
    samples: int,
    input_bound: float,
    loss_constant: float = math.sqrt(2),
    depth: int | None = None,
    sharpened: bool = True,
) -> float:
    """Return a bound on the expected generalization error of networks trained on n samples.

    The expectation, over training sets, of the difference between the loss on fresh data and on
    the training set is at most this for every training that only ever returns networks of this
    architecture whose L1 path-norm is at most `path_norm`.

    Parameters
    ----------
    network : Network
        Gives the architecture.
    path_norm : float
        A bound on the L1 path-norm, fixed before the data are seen. The norm of a network that was
        trained on them, ``solve(PathNorm(network)).answer.value``, shows what the bound would be
        for a class that just contains it.
    samples : int
        Size of the training set.
    input_bound : float
        Largest absolute value of an input entry; less than 1 counts as 1, the input of paths that
        start at a bias.
    loss_constant : float
        Lipschitz constant of the loss; sqrt(2) for cross-entropy.
    depth : int, optional
        Length of the longest path, if a count other than `pooling_shape` is wanted.
    sharpened : bool
        Use the constant that knows how many pools lie on a path.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((4,), Dense(np.ones((3, 4))), Relu(), Dense(np.ones((2, 3))))
    >>> round(generalization_bound(net, 24.0, samples=10_000, input_bound=1.0), 3)
    2.88
    """
    path_norm = as_figure(path_norm, "path_norm")
    loss_constant = as_figure(loss_constant, "loss_constant")
    if not (path_norm >= 0 and loss_constant > 0):
        raise ProblemError("path_norm must not be negative, and loss_constant must be positive")
    shape = pooling_shape(network)
    factor = bound_factor(
        samples=samples,
        depth=shape.depth if depth is None else depth,
        inputs=math.prod(network.input_shape),
        outputs=math.prod(network.output_shape),
        input_bound=input_bound,
        kernel=shape.kernel,
        pool_kinds=shape.kinds,
        pools_on_path=shape.on_path if sharpened else None,
    )
    return above(factor * loss_constant * path_norm, 4)
