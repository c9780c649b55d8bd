"""What `scaling.py` measures: problems that grow along one axis, and who answers them.

Each case is a family of problems by one number; `symbols` says what the docstrings' letters stand
for in a problem. Random data, as an ordinary problem has them: where an answer is found at once, or
not at all, other sizes are reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Relu, Reshape

Symbols = dict[str, float]


@dataclass(frozen=True)
class Case:
    """Problems that grow along an axis.

    Attributes
    ----------
    axis : str
        What grows, in words.
    sizes : tuple of int
        At least a decade, unless the work outgrows a minute before.
    make : callable
        From a size to the problem and what the letters of docstrings are in it.
    solvers : tuple of str
        Who is asked.
    options : mapping
        For `solve`.
    """

    axis: str
    sizes: tuple[int, ...]
    make: Callable[[int], tuple[Any, Symbols]]
    solvers: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


def _rng(size: int) -> np.random.Generator:
    return np.random.default_rng(size)


# Closedness
def _pair(m: int, r: int, n: int, one: float, two: float) -> tuple[Any, Symbols]:
    rng = _rng(m + r)
    supports = rng.random((m, r)) < one, rng.random((r, n)) < two
    return so.Closedness(supports), {"m": m, "r": r, "n": n}


def _staircase(m: int, r: int) -> tuple[Any, Symbols]:
    """Terms whose rows grow and whose columns shrink: closed, and no window."""
    ends = np.linspace(1, m, r).astype(int)
    left = np.arange(m)[:, None] < ends
    return so.Closedness([left, left.T[::-1]]), {"m": m, "r": r, "n": m}


def _blocks(count: int) -> tuple[Any, Symbols]:
    """Blocks of 3 x 3 with 2 terms each, on a diagonal."""
    eye = np.eye(count, dtype=bool)
    left, right = np.kron(eye, np.ones((3, 2))), np.kron(eye, np.ones((2, 3)))
    return so.Closedness([left, right]), {"m": 3 * count, "r": 2 * count, "n": 3 * count}


def _triangles(n: int) -> tuple[Any, Symbols]:
    """LU: the oldest pair that is not closed."""
    low = np.tril(np.ones((n, n), dtype=bool))
    return so.Closedness([low, low.T]), {"m": n, "r": n, "n": n}


def _dyadic_supports(n: int) -> tuple[Any, Symbols]:
    supports = [p.support() for p in so.Architecture.square_dyadic(n)]
    return so.Closedness(supports), {"n": n, "L": len(supports)}


def _random_chain(n: int) -> tuple[Any, Symbols]:
    rng = _rng(n)
    return so.Closedness([rng.random((n, n)) < 2 / n**0.5 / 8 for _ in range(3)]), {"n": n, "L": 3}


def _shortened(count: int) -> tuple[Any, Symbols]:
    pair = _blocks(count)[0].supports
    return so.Closedness([*pair, np.eye(3 * count, dtype=bool)]), {"n": 3 * count, "L": 3}


def _repair(n: int) -> tuple[Any, Symbols]:
    rng = _rng(n)
    supports = rng.random((n, n)) < 0.4, rng.random((n, n)) < 0.4
    return so.NearestClosedSupport(supports, "remove"), {"m": n, "r": n, "n": n}


def _training(n: int) -> tuple[Any, Symbols]:
    rng = _rng(n)
    supports = rng.random((n, n)) < 0.4, rng.random((n, n)) < 0.4
    return so.SparseTraining(supports), {"m": n, "r": n, "n": n}


# Factorization
def _dyadic(n: int, dtype: type = np.float32) -> tuple[Any, Symbols]:
    target = _rng(n).standard_normal((n, n)).astype(dtype)
    architecture = so.Architecture.square_dyadic(n)
    return so.ButterflyFactorization(target, architecture), {"m": n, "n": n, "L": math.log2(n)}


def _dyadic_tensor(n: int) -> tuple[Any, Symbols]:
    import torch

    problem, symbols = _dyadic(n)
    tensor = torch.from_numpy(np.array(problem.target))
    return so.ButterflyFactorization(tensor, problem.architecture), symbols


def _stored(n: int) -> tuple[Any, Symbols]:
    import dask.array

    problem, symbols = _dyadic(n)
    target = dask.array.from_array(np.array(problem.target), chunks=(min(n, 512), min(n, 512)))
    return so.ButterflyFactorization(target, problem.architecture), symbols


def _shuffled(n: int) -> tuple[Any, Symbols]:
    rng = _rng(n)
    architecture = so.Architecture.square_dyadic(n)
    values = [rng.standard_normal(p.values_shape) for p in architecture]
    dense = so.KroneckerProduct(values, architecture).to_dense()
    dense = dense[rng.permutation(n)][:, rng.permutation(n)]
    dense += 1e-3 * rng.standard_normal((n, n))
    return so.ButterflyFactorization(dense, architecture, "unknown"), {"m": n, "n": n}


def _fixed(n: int, decay: float, blocks: int = 4) -> tuple[Any, Symbols]:
    """Blocks on a diagonal, a quarter of their size as terms each."""
    size, terms = n // blocks, max(1, n // (4 * blocks))
    eye = np.eye(blocks, dtype=bool)
    supports = np.kron(eye, np.ones((size, terms))), np.kron(eye, np.ones((terms, size)))
    target = _rng(n).standard_normal((n, n))
    symbols: Symbols = {"m": n, "n": n, "r": terms * blocks}
    return so.FixedSupportFactorization(target, supports, decay), symbols


def _free(n: int, decay: float) -> tuple[Any, Symbols]:
    """Rectangles that overlap at random."""
    rng, r = _rng(n), max(2, n // 4)
    supports = rng.random((n, r)) < 0.5, rng.random((r, n)) < 0.5
    target = rng.standard_normal((n, n))
    return so.FixedSupportFactorization(target, supports, decay), {"m": n, "n": n, "r": r}


def _cell(n: int) -> tuple[Any, Symbols]:
    """A rectangle and one cell in it."""
    left, right = np.ones((n, 2), dtype=bool), np.ones((2, n), dtype=bool)
    left[1:, 1] = right[1, 1:] = False
    target = _rng(n).standard_normal((n, n))
    return so.FixedSupportFactorization(target, (left, right), 0.5), {"m": n, "n": n}


# Networks
def _mlp(width: int, depth: int = 3, scale: float = 1.0, seed: int = 0) -> so.Network:
    rng, layers = np.random.default_rng(seed), []
    for _ in range(depth):
        layers += [Dense(scale * rng.standard_normal((width, width)) / math.sqrt(width)), Relu()]
    return chain((width,), *layers, Dense(scale * rng.standard_normal((4, width))))


def _images(channels: int) -> so.Network:
    rng, side = _rng(channels), 16
    kernel = rng.standard_normal((channels, channels, 3, 3)) / (3 * math.sqrt(channels))
    flat = channels * (side - 4) ** 2
    return chain(
        (channels, side, side),
        Conv(kernel),
        Relu(),
        Conv(kernel),
        Relu(),
        Reshape((flat,)),
        Dense(rng.standard_normal((4, flat))),
    )


def _of(network: so.Network) -> Symbols:
    """E edges, P parameters, V values between layers, o outputs."""
    parameters = sum(array.size for array in network.parameters().values())
    values = sum(math.prod(shape) for shape in network.shapes.values())
    outputs = math.prod(network.output_shape)
    return {"E": network.edge_count, "P": parameters, "V": values, "o": outputs}


def _network(problem: Callable[[so.Network], Any], network: so.Network) -> tuple[Any, Symbols]:
    return problem(network), _of(network)


def _two(problem: Callable[[so.Network, so.Network], Any], width: int, scale: float) -> Any:
    network = _mlp(width)
    other = _mlp(width, scale=scale, seed=0 if scale > 0 else 1)
    return problem(network, other), _of(network)


def _identified(width: int) -> tuple[Any, Symbols]:
    rng = _rng(width)
    layers = (
        Dense(rng.standard_normal((width, width)), rng.standard_normal(width)),
        Relu(),
        Dense(rng.standard_normal((2, width)), rng.standard_normal(2)),
    )
    network = chain((width,), *layers)
    return so.Identifiability(network), _of(network) | {"n": width}


# Regression and what is near
def _lasso(m: int, n: int, part: float = 0.1) -> tuple[Any, Symbols]:
    rng = _rng(m + n)
    design, x = rng.standard_normal((m, n)), np.zeros(n)
    x[rng.choice(n, min(10, n // 2), replace=False)] = 1.0
    y = design @ x + 0.1 * rng.standard_normal(m)
    strength = part * float(np.abs(design.T @ y).max())
    return so.SparseRegression(design, y, so.L1(strength)), {"m": m, "n": n, "s": m * n, "k": 10}


def _sparse_lasso(n: int) -> tuple[Any, Symbols]:
    rng, m = _rng(n), n // 4
    design = scipy.sparse.random_array((m, n), density=0.01, rng=rng, format="csc")
    y = np.asarray(design[:, [0, 3, 5]].sum(axis=1)).ravel() + 0.01 * rng.standard_normal(m)
    strength = 0.1 * float(np.abs(design.T @ y).max())
    problem = so.SparseRegression(design, y, so.L1(strength))
    return problem, {"m": m, "n": n, "s": float(design.nnz), "k": 10}


def _measured(m: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = _rng(m + n)
    design, x = rng.standard_normal((m, n)), np.zeros(n)
    x[rng.choice(n, k, replace=False)] = rng.choice([-1.0, 1.0], k)
    return design, design @ x


def _pursuit(m: int, norm: Any = 1, noise: float = 0.0) -> tuple[Any, Symbols]:
    n = 3 * m
    design, y = _measured(m, n, max(1, m // 10))
    rng = _rng(m)
    y = y + noise * rng.standard_normal(m)
    level = 1.1 * noise * math.sqrt(m)
    return so.BasisPursuit(design, y, level, norm), {"m": m, "n": n}


def _ball(m: int) -> tuple[Any, Symbols]:
    design, y = _measured(m, 3 * m, max(1, m // 10))
    return so.ConstrainedRegression(design, y, 0.5 * max(1, m // 10)), {"m": m, "n": 3 * m}


def _root(m: int) -> tuple[Any, Symbols]:
    design, y = _measured(m, 3 * m, max(1, m // 10))
    y = y + 0.1 * _rng(m).standard_normal(m)
    strength = 0.3 * float(np.abs(design.T @ y).max() / np.linalg.norm(y))
    return so.SquareRootLasso(design, y, strength), {"m": m, "n": 3 * m}


def _cardinal(m: int, size: int = 0) -> tuple[Any, Symbols]:
    k = size or max(1, m // 20)
    design, y = _measured(m, 2 * m, k)
    y = y + 0.05 * _rng(m).standard_normal(m)
    return so.CardinalityRegression(design, y, k), {"m": m, "n": 2 * m, "k": k}


def _known(m: int) -> tuple[Any, Symbols]:
    k = m // 4
    design, y = _measured(m, m, k)
    return so.KnownSupportRegression(design, y, range(k)), {"m": m, "n": m, "k": k}


def _recovery(m: int, kind: str) -> tuple[Any, Symbols]:
    rng, n, k = _rng(m), 2 * m, max(1, m // 20)
    design = rng.standard_normal((m, n))
    symbols: Symbols = {"m": m, "n": n, "k": k}
    if kind == "signs":
        signs = rng.choice([-1, 1], k)
        return so.RecoveryGuarantee(design, support=range(k), signs=signs), symbols
    if kind == "complex":
        design = design + 1j * rng.standard_normal((m, n))
        phases = np.exp(2j * np.pi * rng.random(k))
        return so.RecoveryGuarantee(design, support=range(k), signs=phases), symbols
    if kind == "omp":
        return so.RecoveryGuarantee(design, support=range(4 * k), method="omp"), symbols
    return so.RecoveryGuarantee(design, 1), symbols


def _relu(samples: int, features: int, gates: int, outputs: int = 1) -> tuple[Any, Symbols]:
    rng = _rng(samples)
    inputs = rng.standard_normal((samples, features))
    targets = np.maximum(inputs @ rng.standard_normal((features, outputs)), 0.0)
    targets = targets[:, 0] if outputs == 1 else targets
    symbols: Symbols = {"n": samples, "d": features, "g": gates, "o": outputs}
    given = rng.standard_normal((features, gates)) if gates else None
    return so.TwoLayerReLU(inputs, targets, 0.1, given), symbols


def _points(n: int) -> tuple[Any, Symbols]:
    rng = _rng(n)
    problem = so.MinimumNormInterpolant(np.sort(rng.random(n)), rng.standard_normal(n))
    return problem, {"n": n}


def _spikes(n: int) -> tuple[Any, Symbols]:
    return so.BlindDeconvolution(_rng(n).standard_normal(n)), {"n": n}


def _norms(n: int) -> tuple[Any, Symbols]:
    return so.OptimalRescaling(_rng(n).random((2, n)) + 0.1, 2, 0.5), {"n": n}


# Quantization
def _product(n: int) -> so.KroneckerProduct:
    rng, architecture = _rng(n), so.Architecture.square_dyadic(n)
    return so.KroneckerProduct(
        [rng.standard_normal(p.values_shape) for p in architecture], architecture
    )


def _rounded(n: int) -> tuple[Any, Symbols]:
    product = _product(n)
    return so.ProductQuantization(product, 5), {"n": n, "z": product.nnz, "t": 5}


def _rounded_pair(n: int) -> tuple[Any, Symbols]:
    rng, half = _rng(n), math.isqrt(n)
    architecture = so.Architecture([(1, half, half, half), (half, half, half, 1)])
    values = [rng.standard_normal(p.values_shape) for p in architecture]
    product = so.KroneckerProduct(values, architecture)
    return so.ProductQuantization(product, 5), {"n": n, "z": product.nnz, "t": 5}


def _exponents(n: int) -> tuple[Any, Symbols]:
    product = _product(n)
    return so.ExponentFitting(product, "e5m2"), {"n": n, "z": product.nnz}


def _vectors(n: int, complex_too: bool = False) -> tuple[Any, Symbols]:
    rng = _rng(n)
    x, y = rng.standard_normal(n), rng.standard_normal(n)
    if complex_too:
        x, y = x + 1j * rng.standard_normal(n), y + 1j * rng.standard_normal(n)
    return so.RankOneQuantization(x, y, 5, 5), {"n": n, "t": 5}


@dataclass(frozen=True)
class Tool:
    """What users call beside solvers.

    Attributes
    ----------
    name : str
    axis, sizes
        As in `Case`.
    make : callable
        From a size to the call and what the letters are.
    engine : object
        Whose docstring states the cost.
    """

    name: str
    axis: str
    sizes: tuple[int, ...]
    make: Callable[[int], tuple[Callable[[], Any], Symbols]]
    engine: Any


def _multiplied(n: int, batch: int) -> tuple[Callable[[], Any], Symbols]:
    product = _product(n)
    x = _rng(n).standard_normal((n, batch))
    product @ x  # it chooses its methods once for each batch
    return lambda: product @ x, {"z": product.nnz, "n": n, "b": batch}


def _canonical(width: int) -> tuple[Callable[[], Any], Symbols]:
    network = _mlp(width)
    return lambda: so.canonicalize(network), _of(network)


def _verified(n: int) -> tuple[Callable[[], Any], Symbols]:
    problem, symbols = _dyadic(n)
    product = so.solve(problem, "hierarchical_numpy", check=False).answer
    return lambda: so.verify(so.ButterflyCertificate(problem, product)), symbols


TOOLS: dict[str, Tool] = {
    "multiplication": Tool(
        "@",
        "rows of a float64 butterfly, 64 columns",
        (512, 2048, 8192),
        lambda n: _multiplied(n, 64),
        so.KroneckerProduct,
    ),
    "multiplication, by columns": Tool(
        "@",
        "columns that a float64 butterfly of 4096 rows is multiplied by",
        (30, 100, 300),
        lambda batch: _multiplied(4096, batch),
        so.KroneckerProduct,
    ),
    "canonical form": Tool(
        "canonicalize",
        "units of four dense layers",
        (100, 300, 1000),
        _canonical,
        so.canonicalize,
    ),
    "check of a factorization": Tool(
        "verify",
        "rows of a float32 target",
        (512, 1024, 2048),
        _verified,
        so.ButterflyCertificate,
    ),
}

CASES: dict[str, Case] = {
    "closedness, random, by rows": Case(
        "rows and columns of 0.2 full supports, 64 terms",
        (64, 128, 256, 512, 1024),
        lambda n: _pair(n, 64, n, 0.2, 0.2),
        ("lu_pattern", "matched_curves"),
    ),
    "closedness, random, by terms": Case(
        "terms of 0.2 full supports, 128 rows and columns",
        (32, 64, 128, 256, 512),
        lambda r: _pair(128, r, 128, 0.2, 0.2),
        ("lu_pattern", "matched_curves"),
    ),
    "closedness, nested, by rows": Case(
        "rows and columns, 32 nested rectangles",
        (64, 128, 256, 512, 1024),
        lambda m: _staircase(m, 32),
        ("lu_pattern", "comparable_rectangles"),
    ),
    "closedness, nested, by terms": Case(
        "nested rectangles, 512 rows and columns",
        (32, 64, 128, 256, 512),
        lambda r: _staircase(512, r),
        ("lu_pattern", "comparable_rectangles"),
    ),
    "closedness, dense, by rows": Case(
        "rows and columns of 0.5 full supports, 16 terms",
        (32, 64, 128, 320),
        lambda n: _pair(n, 16, n, 0.5, 0.5),
        ("blocked_windows",),
    ),
    "closedness, dense, by terms": Case(
        "terms of 0.5 full supports, 64 rows and columns",
        (8, 16, 32, 64),
        lambda r: _pair(64, r, 64, 0.5, 0.5),
        ("blocked_windows",),
    ),
    "closedness, many terms": Case(
        "rows and columns of 0.9 full supports, twice as many terms",
        (4, 8, 16, 32),
        lambda m: _pair(m, 2 * m, m, 0.9, 0.9),
        ("null_points",),
    ),
    "closedness, blocks": Case(
        "blocks on a diagonal, 3 x 3 with 2 terms",
        (4, 8, 16, 32, 64),
        _blocks,
        ("reduction", "lu_pattern", "comparable_rectangles"),
    ),
    "closedness, LU": Case(
        "size of a pair of triangles",
        (2, 4, 8, 16),
        _triangles,
        ("limit_curves",),
    ),
    "closedness, z3": Case(
        "size of a pair of triangles",
        (2, 4, 8),
        _triangles,
        ("external_exclusion",),
        {"allow_external": True},
    ),
    "closedness, butterfly": Case(
        "rows of the supports of a butterfly",
        (16, 32, 64, 128, 256),
        _dyadic_supports,
        ("chain_reduction", "peeled_chains"),
    ),
    "closedness, chain": Case(
        "rows of three random supports",
        (64, 128, 256, 640),
        _random_chain,
        ("chain_curves",),
    ),
    "closedness, shortened chain": Case(
        "blocks on a diagonal, 3 x 3 with 2 terms, and the identity",
        (2, 4, 8, 16),
        _shortened,
        ("chain_reduction", "peeled_chains"),
    ),
    "repair": Case(
        "rows, columns and terms",
        (8, 16, 32),
        _repair,
        ("window_repair",),
        {"seconds": 1.0},
    ),
    "training": Case(
        "units of all three layers, 0.4 full",
        (8, 16, 32, 64, 128),
        _training,
        ("opposite_targets", "training_conditions"),
    ),
    "factorization": Case(
        "rows of a float32 target",
        (256, 512, 1024, 2048, 4096),
        _dyadic,
        ("hierarchical_numpy", "hierarchical_numba"),
    ),
    "factorization, tensor": Case(
        "rows of a float32 tensor",
        (256, 512, 1024, 2048),
        _dyadic_tensor,
        ("hierarchical_torch",),
    ),
    "factorization, stored": Case(
        "rows of a float32 dask array, chunks of 512 x 512",
        (512, 1024, 2048),
        _stored,
        ("hierarchical_numpy", "hierarchical_dask"),
    ),
    "factorization, by descent": Case(
        "rows of a float64 target",
        (8, 32, 128),
        lambda n: _dyadic(n, np.float64),
        ("butterfly_alternating", "butterfly_adam"),
    ),
    "factorization, unknown orders": Case(
        "rows of a shuffled butterfly with noise",
        (8, 16, 32, 64),
        _shuffled,
        ("permuted_hierarchical",),
    ),
    "fixed supports, blocks": Case(
        "rows, in 4 blocks",
        (64, 128, 256, 640),
        lambda n: _fixed(n, 0.0),
        ("block_svd",),
    ),
    "fixed supports, blocks, decay": Case(
        "rows, in 4 blocks",
        (64, 128, 256, 640),
        lambda n: _fixed(n, 1.0),
        ("block_thresholding",),
    ),
    "fixed supports, overlapping": Case(
        "rows, a quarter as many terms",
        (4, 8, 16),
        lambda n: _free(n, 0.0),
        ("alternating_least_squares", "gradient_descent"),
    ),
    "fixed supports, overlapping, decay": Case(
        "rows, a quarter as many terms",
        (8, 16, 32),
        lambda n: _free(n, 0.5),
        ("coercive_descent",),
    ),
    "fixed supports, a cell": Case(
        "rows of a rectangle with one cell",
        (4, 8, 16, 32, 64),
        _cell,
        ("coercive_intervals",),
    ),
    "path-norm, dense": Case(
        "units of four dense layers",
        (200, 600, 2000),
        lambda n: _network(so.PathNorm, _mlp(n)),
        ("one_pass", "one_pass_torch"),
    ),
    "path-norm, convolutions": Case(
        "channels of two convolutions of 16 x 16",
        (8, 32, 100),
        lambda n: _network(so.PathNorm, _images(n)),
        ("one_pass", "one_pass_torch"),
    ),
    "path-norm, q = inf": Case(
        "units of four dense layers",
        (100, 300, 1000),
        lambda n: _network(lambda net: so.PathNorm(net, math.inf), _mlp(n)),
        ("one_pass",),
    ),
    "path count": Case(
        "units of four dense layers",
        (50, 150, 500),
        lambda n: _network(lambda net: so.PathNorm(net, 0), _mlp(n)),
        ("one_pass",),
    ),
    "path-norm, by paths": Case(
        "units of two dense layers",
        (2, 4, 8, 16),
        lambda n: _network(so.PathNorm, _mlp(n, 2)),
        ("path_enumeration",),
    ),
    "path cost, dense": Case(
        "units of four dense layers",
        (200, 600, 2000),
        lambda n: _network(so.PathCost, _mlp(n)),
        ("path_costs", "path_costs_torch"),
    ),
    "path cost, convolutions": Case(
        "channels of two convolutions of 16 x 16",
        (8, 32, 80),
        lambda n: _network(so.PathCost, _images(n)),
        ("path_costs", "path_costs_torch"),
    ),
    "Lipschitz bound": Case(
        "units of four dense layers",
        (100, 300, 1000),
        lambda n: _network(so.LipschitzBound, _mlp(n)),
        ("lipschitz_passes",),
    ),
    "Lipschitz bound, 1 to inf": Case(
        "units of four dense layers",
        (100, 300, 1000),
        lambda n: _network(lambda net: so.LipschitzBound(net, 1, math.inf), _mlp(n)),
        ("lipschitz_table",),
    ),
    "Lipschitz bound, spectral": Case(
        "units of four dense layers",
        (100, 300, 1000),
        lambda n: _network(lambda net: so.LipschitzBound(net, 2, 2), _mlp(n)),
        ("lipschitz_passes",),
    ),
    "path distance": Case(
        "units of four dense layers",
        (100, 300, 1000),
        lambda n: _two(so.PathDistance, n, 0.5),
        ("distance_passes",),
    ),
    "path distance, signs": Case(
        "units of four dense layers",
        (100, 300, 1000),
        lambda n: _two(so.PathDistance, n, -1.0),
        ("distance_three_passes",),
    ),
    "path distance, by paths": Case(
        "units of two dense layers",
        (2, 4, 8),
        lambda n: (
            so.PathDistance(_mlp(n, 2), _mlp(n, 2, seed=1)),
            _of(_mlp(n, 2)),
        ),
        ("distance_enumeration",),
    ),
    "output change": Case(
        "units of four dense layers",
        (30, 100, 300),
        lambda n: _two(lambda a, b: so.OutputChange(a, b, -1.0, 1.0), n, 0.5),
        ("signed_intervals", "path_metric", "backward_substitution"),
    ),
    "identifiability": Case(
        "inputs and hidden units of one layer",
        (2, 4, 8, 16),
        _identified,
        ("one_hidden_layer", "jacobian_rank", "facets_of_units"),
    ),
    "lasso, by rows": Case(
        "rows, 1000 columns",
        (300, 1000, 3000),
        lambda m: _lasso(m, 1000),
        ("working_set", "scikit_learn", "hadamard", "celer"),
    ),
    "lasso, by columns": Case(
        "columns, 300 rows",
        (1000, 3000, 10000),
        lambda n: _lasso(300, n),
        ("working_set", "scikit_learn", "hadamard", "skglm", "celer"),
    ),
    "lasso, cones, by rows": Case(
        "rows, 200 columns",
        (50, 100, 200, 400),
        lambda m: _lasso(m, 200),
        ("cvxpy",),
    ),
    "lasso, cones, by columns": Case(
        "columns, 100 rows",
        (100, 200, 400, 1000),
        lambda n: _lasso(100, n),
        ("cvxpy",),
    ),
    "lasso, sparse design": Case(
        "columns, a quarter as many rows, 1 % stored",
        (1000, 2000, 4000, 10000),
        _sparse_lasso,
        ("working_set", "scikit_learn", "celer"),
    ),
    "basis pursuit": Case(
        "rows, three times as many columns",
        (30, 60, 120, 300),
        _pursuit,
        ("highs", "douglas_rachford", "pursuit_cvxpy", "spgl1"),
    ),
    "basis pursuit, noise": Case(
        "rows, three times as many columns",
        (30, 100, 300),
        lambda m: _pursuit(m, 1, 0.05),
        ("lasso_path", "spgl1"),
    ),
    "least norm": Case(
        "rows, three times as many columns",
        (30, 100, 300, 1000),
        lambda m: _pursuit(m, 2),
        ("least_norm",),
    ),
    "regression in a ball": Case(
        "rows, three times as many columns", (30, 100, 300, 1000), _ball, ("ball_path",)
    ),
    "square-root lasso": Case(
        "rows, three times as many columns", (30, 100, 300, 1000), _root, ("square_root_path",)
    ),
    "subset, all": Case(
        "rows, twice as many columns, 3 chosen",
        (10, 20, 40, 80),
        lambda m: _cardinal(m, 3),
        ("best_subset",),
    ),
    "subset, greedy": Case(
        "rows, twice as many columns, a twentieth chosen",
        (50, 100, 200, 500, 1000),
        _cardinal,
        ("omp", "cosamp", "htp", "iht"),
    ),
    "subset, bound": Case(
        "rows, twice as many columns, a twentieth chosen",
        (20, 40, 60),
        _cardinal,
        ("branch_and_bound",),
    ),
    "known support": Case(
        "rows, a quarter as many columns", (100, 300, 1000, 2000), _known, ("closed_form_support",)
    ),
    "recovery, sparsity": Case(
        "rows, twice as many columns",
        (10, 20, 40, 80),
        lambda m: _recovery(m, "sparsity"),
        ("recovery_coherence", "recovery_relaxation", "recovery_null_space"),
    ),
    "recovery, signs": Case(
        "rows, twice as many columns",
        (20, 40, 100, 200),
        lambda m: _recovery(m, "signs"),
        ("recovery_conditions", "recovery_null_space"),
    ),
    "recovery, phases": Case(
        "rows, twice as many columns",
        (20, 40, 100, 200),
        lambda m: _recovery(m, "complex"),
        ("recovery_phases",),
    ),
    "recovery, omp": Case(
        "rows, twice as many columns",
        (20, 40, 100, 200),
        lambda m: _recovery(m, "omp"),
        ("recovery_greedy",),
    ),
    "gated network": Case(
        "samples, 10 features, 50 gates",
        (30, 100, 300, 1000),
        lambda n: _relu(n, 10, 50),
        ("gated_newton", "gated_group_lasso"),
    ),
    "ReLU network": Case(
        "samples, 2 features", (5, 10, 20, 40), lambda n: _relu(n, 2, 0), ("relu_cone_program",)
    ),
    "gated network, 2 outputs": Case(
        "samples, 3 features, 10 gates",
        (8, 16, 32, 64),
        lambda n: _relu(n, 3, 10, 2),
        ("gated_nuclear_norm",),
    ),
    "interpolant": Case("points", (10, 30, 100, 300), _points, ("interpolant",)),
    "blind deconvolution": Case(
        "entries of the target", (10, 30, 100, 300), _spikes, ("blind_spike", "blind_descent")
    ),
    "rescaling": Case("components", (10, 30, 100, 300), _norms, ("rescaling_closed_form",)),
    "quantization": Case(
        "rows of a butterfly, 5 digits",
        (64, 128, 256, 512, 1024),
        _rounded,
        ("nearest", "left_to_right", "right_to_left", "pairwise", "swept"),
    ),
    "quantization, two factors": Case(
        "rows of a monarch product, 5 digits", (16, 64, 256, 1024), _rounded_pair, ("two_factors",)
    ),
    "exponents": Case(
        "rows of a butterfly", (64, 256, 1024, 4096), _exponents, ("difference_constraints",)
    ),
    "rank one": Case(
        "entries of both vectors, 5 digits", (30, 100, 300, 1000), _vectors, ("rank_one_exact",)
    ),
    "rank one, complex": Case(
        "entries of both vectors, 5 digits",
        (10, 20, 50, 100),
        lambda n: _vectors(n, True),
        ("rank_one_complex",),
    ),
}
