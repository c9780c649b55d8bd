"""Random problems that grow by one number, for `scaling_cases.py`.

Each is returned with what the letters of docstrings are in it. Data are as an ordinary problem has
them: where an answer is found at once, or not at all, other sizes are reached.
"""

from __future__ import annotations

import atexit
import math
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Relu, Reshape

Symbols = dict[str, float]


def generator(size: int) -> np.random.Generator:
    return np.random.default_rng(size)


# Closedness
def supports(m: int, r: int, n: int, one: float, two: float) -> tuple[Any, Symbols]:
    rng = generator(m + r)
    supports = rng.random((m, r)) < one, rng.random((r, n)) < two
    return so.Closedness(supports), {"m": m, "r": r, "n": n}


def staircase(m: int, r: int) -> tuple[Any, Symbols]:
    """Terms whose rows grow and whose columns shrink: closed, and no window."""
    ends = np.linspace(1, m, r).astype(int)
    left = np.arange(m)[:, None] < ends
    return so.Closedness([left, left.T[::-1]]), {"m": m, "r": r, "n": m}


def block_supports(count: int) -> tuple[Any, Symbols]:
    """Blocks of 3 x 3 with 2 terms each, on a diagonal."""
    eye = np.eye(count, dtype=bool)
    left, right = np.kron(eye, np.ones((3, 2))), np.kron(eye, np.ones((2, 3)))
    return so.Closedness([left, right]), {"m": 3 * count, "r": 2 * count, "n": 3 * count}


def triangle_chain(n: int) -> tuple[Any, Symbols]:
    """LU: the oldest pair that is not closed."""
    low = np.tril(np.ones((n, n), dtype=bool))
    return so.Closedness([low, low.T]), {"m": n, "r": n, "n": n}


def dyadic_supports(n: int) -> tuple[Any, Symbols]:
    supports = [p.support() for p in so.Architecture.square_dyadic(n)]
    return so.Closedness(supports), {"n": n, "L": len(supports)}


def random_chain(n: int) -> tuple[Any, Symbols]:
    rng = generator(n)
    return so.Closedness([rng.random((n, n)) < 2 / n**0.5 / 8 for _ in range(3)]), {"n": n, "L": 3}


def shortened_chain(count: int) -> tuple[Any, Symbols]:
    pair = block_supports(count)[0].supports
    return so.Closedness([*pair, np.eye(3 * count, dtype=bool)]), {"n": 3 * count, "L": 3}


def repairable(n: int) -> tuple[Any, Symbols]:
    rng = generator(n)
    supports = rng.random((n, n)) < 0.4, rng.random((n, n)) < 0.4
    return so.NearestClosedSupport(supports, "remove"), {"m": n, "r": n, "n": n}


def training_supports(n: int) -> tuple[Any, Symbols]:
    rng = generator(n)
    supports = rng.random((n, n)) < 0.4, rng.random((n, n)) < 0.4
    return so.SparseTraining(supports), {"m": n, "r": n, "n": n}


# Factorization
def dyadic_target(n: int, dtype: type = np.float32) -> tuple[Any, Symbols]:
    target = generator(n).standard_normal((n, n)).astype(dtype)
    architecture = so.Architecture.square_dyadic(n)
    return so.ButterflyFactorization(target, architecture), {"m": n, "n": n, "L": math.log2(n)}


def dyadic_tensor(n: int) -> tuple[Any, Symbols]:
    import torch

    problem, symbols = dyadic_target(n)
    tensor = torch.from_numpy(np.array(problem.target))
    return so.ButterflyFactorization(tensor, problem.architecture), symbols


def stored_target(n: int) -> tuple[Any, Symbols]:
    """The same on disk: blocks of an array in memory would be views, which take nothing."""
    import dask.array
    import zarr

    problem, symbols = dyadic_target(n)
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    side = min(n, 512)
    zarr.create_array(folder, data=np.asarray(problem.target), chunks=(side, side), overwrite=True)
    target = dask.array.from_zarr(folder)
    return so.ButterflyFactorization(target, problem.architecture), symbols


def shuffled_target(n: int) -> tuple[Any, Symbols]:
    rng = generator(n)
    architecture = so.Architecture.square_dyadic(n)
    values = [rng.standard_normal(p.values_shape) for p in architecture]
    dense = so.KroneckerProduct(values, architecture).to_dense()
    dense = dense[rng.permutation(n)][:, rng.permutation(n)]
    dense += 1e-3 * rng.standard_normal((n, n))
    return so.ButterflyFactorization(dense, architecture, "unknown"), {"m": n, "n": n}


def in_blocks(n: int, decay: float, blocks: int = 4) -> tuple[Any, Symbols]:
    """Blocks on a diagonal, a quarter of their size as terms each."""
    size, terms = n // blocks, max(1, n // (4 * blocks))
    eye = np.eye(blocks, dtype=bool)
    supports = np.kron(eye, np.ones((size, terms))), np.kron(eye, np.ones((terms, size)))
    target = generator(n).standard_normal((n, n))
    symbols: Symbols = {"m": n, "n": n, "r": terms * blocks}
    return so.FixedSupportFactorization(target, supports, decay), symbols


def overlapping(n: int, decay: float) -> tuple[Any, Symbols]:
    """Rectangles that overlap at random."""
    rng, r = generator(n), max(2, n // 4)
    supports = rng.random((n, r)) < 0.5, rng.random((r, n)) < 0.5
    target = rng.standard_normal((n, n))
    return so.FixedSupportFactorization(target, supports, decay), {"m": n, "n": n, "r": r}


def one_cell(n: int) -> tuple[Any, Symbols]:
    """A rectangle and one cell in it."""
    left, right = np.ones((n, 2), dtype=bool), np.ones((2, n), dtype=bool)
    left[1:, 1] = right[1, 1:] = False
    target = generator(n).standard_normal((n, n))
    return so.FixedSupportFactorization(target, (left, right), 0.5), {"m": n, "n": n}


# Networks
def mlp(width: int, depth: int = 3, scale: float = 1.0, seed: int = 0) -> so.Network:
    rng, layers = np.random.default_rng(seed), []
    for _ in range(depth):
        layers += [Dense(scale * rng.standard_normal((width, width)) / math.sqrt(width)), Relu()]
    return chain((width,), *layers, Dense(scale * rng.standard_normal((4, width))))


def image_network(channels: int) -> so.Network:
    rng, side = generator(channels), 16
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


def letters(network: so.Network) -> Symbols:
    """E edges, P parameters, V values between layers, o outputs."""
    parameters = sum(array.size for array in network.parameters().values())
    values = sum(math.prod(shape) for shape in network.shapes.values())
    outputs = math.prod(network.output_shape)
    return {"E": network.edge_count, "P": parameters, "V": values, "o": outputs}


def of_network(problem: Callable[[so.Network], Any], network: so.Network) -> tuple[Any, Symbols]:
    return problem(network), letters(network)


def of_two(problem: Callable[[so.Network, so.Network], Any], width: int, scale: float) -> Any:
    network = mlp(width)
    other = mlp(width, scale=scale, seed=0 if scale > 0 else 1)
    return problem(network, other), letters(network)


def identifiable(width: int) -> tuple[Any, Symbols]:
    rng = generator(width)
    layers = (
        Dense(rng.standard_normal((width, width)), rng.standard_normal(width)),
        Relu(),
        Dense(rng.standard_normal((2, width)), rng.standard_normal(2)),
    )
    network = chain((width,), *layers)
    return so.Identifiability(network), letters(network) | {"n": width}


# Regression and what is near
def lasso(m: int, n: int, part: float = 0.1) -> tuple[Any, Symbols]:
    rng = generator(m + n)
    design, x = rng.standard_normal((m, n)), np.zeros(n)
    x[rng.choice(n, min(10, n // 2), replace=False)] = 1.0
    y = design @ x + 0.1 * rng.standard_normal(m)
    strength = part * float(np.abs(design.T @ y).max())
    return so.SparseRegression(design, y, so.L1(strength)), {"m": m, "n": n, "s": m * n, "k": 10}


def sparse_lasso(n: int) -> tuple[Any, Symbols]:
    rng, m = generator(n), n // 4
    design = scipy.sparse.random_array((m, n), density=0.01, rng=rng, format="csc")
    y = np.asarray(design[:, [0, 3, 5]].sum(axis=1)).ravel() + 0.01 * rng.standard_normal(m)
    strength = 0.1 * float(np.abs(design.T @ y).max())
    problem = so.SparseRegression(design, y, so.L1(strength))
    return problem, {"m": m, "n": n, "s": float(design.nnz), "k": 10}


def observations(m: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = generator(m + n)
    design, x = rng.standard_normal((m, n)), np.zeros(n)
    x[rng.choice(n, k, replace=False)] = rng.choice([-1.0, 1.0], k)
    return design, design @ x


def basis_pursuit(m: int, norm: Any = 1, noise: float = 0.0) -> tuple[Any, Symbols]:
    n = 3 * m
    design, y = observations(m, n, max(1, m // 10))
    rng = generator(m)
    y = y + noise * rng.standard_normal(m)
    level = 1.1 * noise * math.sqrt(m)
    return so.BasisPursuit(design, y, level, norm), {"m": m, "n": n}


def in_a_ball(m: int) -> tuple[Any, Symbols]:
    design, y = observations(m, 3 * m, max(1, m // 10))
    return so.ConstrainedRegression(design, y, 0.5 * max(1, m // 10)), {"m": m, "n": 3 * m}


def square_root(m: int) -> tuple[Any, Symbols]:
    design, y = observations(m, 3 * m, max(1, m // 10))
    y = y + 0.1 * generator(m).standard_normal(m)
    strength = 0.3 * float(np.abs(design.T @ y).max() / np.linalg.norm(y))
    return so.SquareRootLasso(design, y, strength), {"m": m, "n": 3 * m}


def cardinality(m: int, size: int = 0) -> tuple[Any, Symbols]:
    k = size or max(1, m // 20)
    design, y = observations(m, 2 * m, k)
    y = y + 0.05 * generator(m).standard_normal(m)
    return so.CardinalityRegression(design, y, k), {"m": m, "n": 2 * m, "k": k}


def known_support(m: int) -> tuple[Any, Symbols]:
    k = m // 4
    design, y = observations(m, m, k)
    return so.KnownSupportRegression(design, y, range(k)), {"m": m, "n": m, "k": k}


def recovered(m: int, kind: str) -> tuple[Any, Symbols]:
    rng, n, k = generator(m), 2 * m, max(1, m // 20)
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


def relu_training(samples: int, features: int, gates: int, outputs: int = 1) -> tuple[Any, Symbols]:
    rng = generator(samples)
    inputs = rng.standard_normal((samples, features))
    targets = np.maximum(inputs @ rng.standard_normal((features, outputs)), 0.0)
    targets = targets[:, 0] if outputs == 1 else targets
    symbols: Symbols = {"n": samples, "d": features, "g": gates, "o": outputs}
    given = rng.standard_normal((features, gates)) if gates else None
    return so.TwoLayerReLU(inputs, targets, 0.1, given), symbols


def interpolated(n: int) -> tuple[Any, Symbols]:
    rng = generator(n)
    problem = so.MinimumNormInterpolant(np.sort(rng.random(n)), rng.standard_normal(n))
    return problem, {"n": n}


def spike_target(n: int) -> tuple[Any, Symbols]:
    return so.BlindDeconvolution(generator(n).standard_normal(n)), {"n": n}


def norms_and_degrees(n: int) -> tuple[Any, Symbols]:
    return so.OptimalRescaling(generator(n).random((2, n)) + 0.1, 2, 0.5), {"n": n}


# Quantization
def butterfly(n: int) -> so.KroneckerProduct:
    rng, architecture = generator(n), so.Architecture.square_dyadic(n)
    return so.KroneckerProduct(
        [rng.standard_normal(p.values_shape) for p in architecture], architecture
    )


def rounded_product(n: int) -> tuple[Any, Symbols]:
    product = butterfly(n)
    return so.ProductQuantization(product, 5), {"n": n, "z": product.nnz, "t": 5}


def rounded_pair(n: int) -> tuple[Any, Symbols]:
    rng, half = generator(n), math.isqrt(n)
    architecture = so.Architecture([(1, half, half, half), (half, half, half, 1)])
    values = [rng.standard_normal(p.values_shape) for p in architecture]
    product = so.KroneckerProduct(values, architecture)
    return so.ProductQuantization(product, 5), {"n": n, "z": product.nnz, "t": 5}


def fitted_exponents(n: int) -> tuple[Any, Symbols]:
    product = butterfly(n)
    return so.ExponentFitting(product, "e5m2"), {"n": n, "z": product.nnz}


def two_vectors(n: int, complex_too: bool = False) -> tuple[Any, Symbols]:
    rng = generator(n)
    x, y = rng.standard_normal(n), rng.standard_normal(n)
    if complex_too:
        x, y = x + 1j * rng.standard_normal(n), y + 1j * rng.standard_normal(n)
    return so.RankOneQuantization(x, y, 5, 5), {"n": n, "t": 5}
