"""The generalization bound of the path-norm, with all its constants."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sparseopt.errors import ProblemError
from sparseopt.network.linear import Conv, ConvTranspose, Dense, Neuron, Scale
from sparseopt.network.network import Network
from sparseopt.network.window import MaxPool, RankPool, Resample


@dataclass(frozen=True)
class PoolingShape:
    """What the bound needs to know about depth and pooling of a network.

    Attributes
    ----------
    depth : int
        Most layers of neurons on a path from input to output. Sums and ReLUs belong to the layer
        before them; pools, averages and entrywise scales are layers.
    kernel : int
        Largest number of inputs of a pooling neuron (max- or rank-pool); 1 if there are none.
    kinds : int
        Number of different ranks among pooling neurons.
    on_path : int
        Most pooling neurons on a path.
    """

    depth: int
    kernel: int
    kinds: int
    on_path: int


def pooling_shape(network: Network, affine: str = "merged") -> PoolingShape:
    """Return depth and pooling figures of a network, for `generalization_bound`."""
    chosen = network.merged if affine == "merged" else network
    depth: dict[str, int] = {}
    pools: dict[str, int] = {}
    kernel = 1
    ranks: set[int] = set()
    for node in chosen.nodes:
        before = [depth[name] for name in node.inputs]
        pooled = [pools[name] for name in node.inputs]
        op = node.op
        layers = isinstance(op, Dense | Conv | ConvTranspose | Neuron | Scale | Resample)
        is_pool = isinstance(op, MaxPool | RankPool) or (
            isinstance(op, Neuron) and op.kind == "pool"
        )
        if isinstance(op, MaxPool):
            size = math.prod(w.index.shape[1] for w in op.windows)
            ranks.add(1)
        elif isinstance(op, RankPool):
            size = chosen.shapes[node.inputs[0]][op.axis]
            ranks.add(op.rank)
        elif isinstance(op, Neuron) and op.kind == "pool":
            size = op.weight.size
            ranks.add(op.rank)
        else:
            size = 1
        kernel = max(kernel, size)
        depth[node.name] = max(before, default=0) + int(layers or is_pool)
        pools[node.name] = max(pooled, default=0) + int(is_pool)
    return PoolingShape(depth[chosen.output], kernel, len(ranks), pools[chosen.output])


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
    """Return ``4 B C / sqrt(n)``, which times loss constant and path-norm bounds the gap.

    Parameters
    ----------
    samples : int
        n, size of the training set.
    depth : int
        D, length of the longest path.
    inputs, outputs : int
        Dimensions of input and output.
    input_bound : float
        B, largest absolute value of an input entry.
    kernel : int
        K, largest number of inputs of a pooling neuron; 1 without pools.
    pool_kinds : int
        P, number of different ranks of pooling neurons (max-pooling is one).
    pools_on_path : int or None
        M, most pooling neurons on a path; gives the sharpened constant.

    Returns
    -------
    float

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
    sizes = {"samples": samples, "depth": depth, "inputs": inputs, "outputs": outputs}
    for name, value in {**sizes, "kernel": kernel}.items():
        if not value >= 1:
            raise ProblemError(f"{name} is {value!r}; it must be at least 1")
    if not input_bound > 0 or input_bound == math.inf:
        raise ProblemError(f"input_bound is {input_bound!r}; it must be positive and finite")
    if pool_kinds < 0 or (pools_on_path is not None and pools_on_path < 0):
        raise ProblemError("numbers of pools must not be negative")
    if pools_on_path is None:
        branches = 3 + 2 * pool_kinds
        ends = branches / (1 + pool_kinds) * (inputs + 1) * outputs
        square = depth * math.log(branches * kernel) + math.log(ends)
    else:
        square = depth * math.log(3) + pools_on_path * math.log(kernel)
        square += math.log((inputs + 1) * outputs)
    return 4 * input_bound * math.sqrt(square) / math.sqrt(samples)


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
    """Return the bound on the expected generalization error of a network trained on n samples.

    Parameters
    ----------
    network : Network
    path_norm : float
        A bound on the L1 path-norm, for example ``solve(PathNorm(network)).answer.value``.
    samples : int
        Size of the training set.
    input_bound : float
        Largest absolute value of an input entry.
    loss_constant : float
        Lipschitz constant of the loss; sqrt(2) for cross-entropy.
    depth : int, optional
        Length of the longest path, if another count than `pooling_shape` is wanted.
    sharpened : bool
        Use the constant that knows how many pools lie on a path.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.network import Dense, Relu, chain
    >>> net = chain((4,), Dense(np.ones((3, 4))), Relu(), Dense(np.ones((2, 3))))
    >>> round(generalization_bound(net, 24.0, samples=10_000, input_bound=1.0), 3)
    2.88
    """
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
    return factor * loss_constant * path_norm
