"""Small banks of problems, one per problem class: a new solver is tested on its problem's bank."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from typing import Any

import identifiable_networks
import networkx as nx
import numpy as np
import pursuit_problems
import scipy.fft
import scipy.sparse

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Relu, Reshape
from sparseopt.networks.window import RankPool
from sparseopt.testing.solvers import Provable


def closedness() -> list[so.Problem]:
    """Supports whose verdicts are known, and chains of three."""
    lu = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
    block = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    return [
        so.Closedness(lu),
        so.Closedness([np.ones((2, 2)), np.ones((2, 2))]),
        so.Closedness([block, block], field="complex"),
        so.Closedness([[[1, 0, 1]]]),
        so.Closedness([*lu, lu[0]]),
        so.Closedness([lu[0], [[1, 0], [0, 1]], lu[1]]),
        so.Closedness([[[0, 1], [1, 0]], *lu]),
        so.Closedness(
            [
                [[0, 1, 0], [1, 1, 0], [0, 0, 1]],
                [[1, 0, 1], [0, 1, 1], [1, 0, 0]],
                [[1, 0, 1], [0, 1, 0], [0, 0, 1]],
            ]
        ),
        so.Closedness([p.support() for p in so.Architecture.square_dyadic(8)]),
        so.Closedness([[[1, 1], [1, 1]], [[1, 1, 0], [0, 1, 1]]]),
        so.Closedness([[[1, 1, 0], [1, 0, 1], [0, 1, 1]]] * 2),
        so.Closedness([[[1, 0], [1, 0], [1, 1]], [[1, 1], [0, 1]]]),
    ]


def nearest_closed() -> list[so.Problem]:
    """Supports with one window or two, each kind of change; supports that are closed.

    All verdicts on the way take milliseconds: one that the clock cuts off would make the answer
    depend on the speed of the machine.
    """
    lu = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
    two = [np.kron(np.eye(2, dtype=int), factor) for factor in lu]
    closed = [np.eye(3, dtype=int), np.ones((3, 2), dtype=int)]
    kinds = [(lu, "remove"), (lu, "add"), (lu, "both"), (two, "remove"), (closed, "both")]
    return [so.NearestClosedSupport(supports, allow) for supports, allow in kinds]


def butterfly() -> list[so.Problem]:
    """Exact and noisy targets of several dtypes and shapes, arrays, tensors and, if dask is there,
    stored ones; unknown orders with and without any structure."""
    import torch

    rng = np.random.default_rng(0)
    problems: list[so.Problem] = []
    for patterns in (
        so.Architecture.square_dyadic(8),
        [(1, 3, 4, 6), (2, 12, 5, 1)],
        [(2, 2, 2, 2), (4, 2, 2, 1)],
        [(1, 2, 2, 1)],
    ):
        architecture = so.Architecture(patterns)
        target = rng.standard_normal(architecture.shape)
        problems.append(so.ButterflyFactorization(target, architecture))
    dyadic = so.Architecture.square_dyadic(4)
    values = rng.standard_normal((4, 4))
    problems.append(so.ButterflyFactorization(values.astype(np.float32), dyadic))
    problems.append(so.ButterflyFactorization(values + 1j * values.T, dyadic))
    tensor = torch.from_numpy(values + 1j * values.T)
    problems.append(so.ButterflyFactorization(tensor, [(1, 4, 3, 1), (1, 3, 4, 1)]))
    if importlib.util.find_spec("dask") is not None:
        import dask.array

        stored = dask.array.from_array(values, chunks=(2, 2))
        problems.append(so.ButterflyFactorization(stored, dyadic))
    fourier = np.fft.fft(np.eye(8))
    for target in (fourier, fourier.real.astype(np.float32), rng.standard_normal((8, 8))):
        problems.append(
            so.ButterflyFactorization(target, so.Architecture.square_dyadic(8), "unknown")
        )
    return problems


def fixed_support() -> list[so.Problem | Provable]:
    """Tractable supports, others, and the LU example without an optimum."""
    rng = np.random.default_rng(0)
    block = [[1, 0, 0], [1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1], [0, 0, 1]]
    lu = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
    return [
        so.FixedSupportFactorization(rng.standard_normal((3, 3)), block),
        so.FixedSupportFactorization(rng.standard_normal((3, 3)) * 1j, block),
        so.FixedSupportFactorization(rng.standard_normal((2, 2)).astype(np.float32), lu),
        so.FixedSupportFactorization([[0, 1], [1, 0]], lu),
        *coercive_supports(),
    ]


def coercive_supports() -> list[so.Problem | Provable]:
    """With a decay: tractable supports, pairs that the intervals settle, tight ones, and others."""
    rng = np.random.default_rng(1)
    block = [[1, 0, 0], [1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1], [0, 0, 1]]
    lu = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
    lu3 = [np.tril(np.ones((3, 3))), np.triu(np.ones((3, 3)))]
    root = rng.standard_normal((3, 3))
    values = rng.standard_normal((3, 3))
    settled = [
        so.FixedSupportFactorization(values, block, 0.3),
        so.FixedSupportFactorization((values * 1j).astype(np.complex64), block, 0.3),
        so.FixedSupportFactorization(values[:2, :2].astype(np.float32), lu, 0.2),
        so.FixedSupportFactorization(np.zeros((2, 2)), lu, 0.1),
        so.FixedSupportFactorization(values[:2, :2] * 1e-150, lu, 1e-151),
        so.FixedSupportFactorization(values[:2, :2] * 1e150, lu, 5e149),
        so.FixedSupportFactorization(root @ root.T, lu3, 0.1),
    ]
    return [
        *map(Provable, settled),
        so.FixedSupportFactorization([[0, 1], [1, 0]], lu, 0.01),
        so.FixedSupportFactorization(values, lu3, 0.1),
        so.FixedSupportFactorization(values + 1j * root, lu3, 0.1),
    ]


def path_norm() -> list[so.Problem]:
    """A graph of neurons with skips, and a dense network."""
    graph = nx.DiGraph()
    graph.add_node("a", kind="input")
    graph.add_node("h", kind="relu", bias=0.5)
    graph.add_node("y", kind="id", bias=-1.0)
    graph.add_weighted_edges_from([("a", "h", 2.0), ("h", "y", -3.0), ("a", "y", 1.0)])
    network = so.load_network(graph)
    problems: list[so.Problem] = [so.PathNorm(network, q) for q in (0, 1, 2, float("inf"))]
    return [*problems, so.PathNorm(small_network(), 2, 2), so.PathNorm(small_network(), 1.5)]


def small_network(scale: float = 1.0) -> so.Network:
    """Return a network with one hidden layer, two inputs and two outputs."""
    return chain(
        (2,),
        Dense(np.array([[1.0, -2.0], [0.0, 3.0]]) * scale, np.array([0.5, 0.0])),
        Relu(),
        Dense(np.array([[1.0, -1.0], [2.0, 0.5]])),
    )


def lipschitz_bound() -> list[so.Problem]:
    """Several pairs of norms."""
    pairs = [(float("inf"), 1), (2, 2), (1, float("inf"))]
    return [so.LipschitzBound(small_network(), p_in, p_out) for p_in, p_out in pairs]


def path_distance() -> list[so.Problem]:
    """A dominated change, and one that changes a sign."""
    network = small_network()
    flipped = small_network(-1.0)
    return [so.PathDistance(network, small_network(0.5)), so.PathDistance(network, flipped)]


def output_change() -> list[so.Problem]:
    """Weights halved, turned, equal; float32; a point; a convolution; exact and huge numbers."""
    network, around = small_network(), np.array([[0.5, -1.0], [2.0, 0.25]])
    pairs = [
        so.OutputChange(network, small_network(factor), -1.0, np.float32(2.0))
        for factor in (0.5, -1.0, 1.0)
    ]
    layers = Dense(around), Relu(), Dense(around.T, np.ones(2)), Relu(), Dense(around[:1])
    deep = chain((2,), *layers)
    single = deep.with_parameters(
        {name: array.astype(np.float32) / 3 for name, array in deep.parameters().items()}
    )
    exact = deep.with_parameters(
        {
            name: np.array([[Fraction(1, 3) * Fraction(v) for v in row] for row in array])
            for name, array in deep.parameters().items()
            if array.ndim == 2
        }
    )
    huge = [
        chain((1,), Dense(np.array([[a]])), Relu(), Dense(np.array([[1.0], [b]])))
        for a, b in ((1e150, 1e100), (1e150, -1e100))
    ]
    kernel = np.arange(18.0).reshape(2, 1, 3, 3) - 7
    image = chain((1, 4, 4), Conv(kernel), Relu(), RankPool(1, 2))
    return [
        *pairs,
        so.OutputChange(deep, single, 0, 1),
        so.OutputChange(deep, single, [0.5, 0.25], [0.5, 0.25]),
        so.OutputChange(deep, exact, -1, 1),
        so.OutputChange(huge[0], huge[1], -1e-150, 1e-150),
        so.OutputChange(
            image, image.with_parameters({"0:Conv.weight": np.ones((2, 1, 3, 3))}), 0, 1
        ),
    ]


def path_cost() -> list[so.Problem]:
    """Dense layers with and without zeros, a convolution, a network that lets nothing through."""
    kernel = np.arange(18.0).reshape(2, 1, 3, 3) - 7
    image = chain((1, 4, 4), Conv(kernel), Relu(), Reshape((8,)), Dense(np.ones((2, 8))))
    dead = chain((1,), Dense(np.array([[0.0]])), Relu(), Dense(np.array([[2.0]])))
    return [so.PathCost(network) for network in (small_network(), image, dead)]


def regression() -> list[Provable]:
    """Wide, tall, sparse, float32, complex and degenerate designs; all penalties, weak ones, none.

    The optimum of each can be proved to the default tolerance.
    """
    rng = np.random.default_rng(0)
    wide, tall = rng.standard_normal((10, 20)), rng.standard_normal((20, 6))
    groups = [[0, 1], [2, 3], [4, 5]]
    target = rng.standard_normal(10)
    times = 1.7e9 + np.array([[0, 35], [60, 102], [120, 151], [180, 228.0]])
    problems = [
        so.SparseRegression(wide, rng.standard_normal(10), so.L1(2.0)),
        so.SparseRegression(tall, rng.standard_normal(20), so.L1(0.5)),
        so.SparseRegression(tall, rng.standard_normal(20), so.GroupL1(1.0, groups)),
        so.SparseRegression(tall, rng.standard_normal(20), so.L1(1e6)),
        so.SparseRegression(tall, rng.standard_normal(20), so.L1(0.0)),
        so.SparseRegression(wide.astype(np.float32), rng.standard_normal(10), so.L1(0.3)),
        so.SparseRegression(scipy.sparse.csr_array(tall), rng.standard_normal(20), so.L1(1.0)),
        so.SparseRegression(np.hstack([tall, -tall]), rng.standard_normal(20), so.L1(1.0)),
        so.SparseRegression(wide, target, so.L1(1e-14)),
        so.SparseRegression(times, [70.0, 84.0, 62.0, 97.0], so.L1(1.0)),
        so.SparseRegression(wide, target, so.L1(0.5, [0.0] + [1.0] * 19), np.arange(10.0)),
        so.SparseRegression(wide, target, so.L1(0.5, positive=True) + so.Ridge(0.1)),
        so.SparseRegression(wide + 1j * wide[::-1], target, so.GroupL1(0.5, [range(20)])),
        so.SparseRegression(tall, tall[:, 0] + 0.1, so.SparseGroupL1(0.5, 0.5, groups)),
        so.SparseRegression(tall, tall[:, 0] + 0.1, so.TotalVariation(0.5)),
        so.SparseRegression(tall, tall[:, 0] + 0.1, so.NuclearNorm(0.5, (2, 3))),
    ]
    return [Provable(problem) for problem in problems]


def blind_deconvolution() -> list[Provable]:
    """A target without structure, a spike, zero, small and large numbers."""
    rng = np.random.default_rng(0)
    targets: list[Any] = [
        rng.standard_normal(7),
        [0.0, 3.0, 0.0, -1.0],
        [2.5],
        np.zeros(3),
        rng.standard_normal(5).astype(np.float32),
        rng.standard_normal(4) * 1e150,
        rng.standard_normal(4) * 1e-150,
    ]
    return [Provable(so.BlindDeconvolution(target)) for target in targets]


def interpolants() -> list[Provable]:
    """A zigzag, lines, one point, given twice, end slopes that outweigh, scales, float32."""
    rng = np.random.default_rng(0)
    t, v = rng.standard_normal(9), rng.standard_normal(9)
    data: list[Any] = [
        ([0, 1, 2, 3, 4], [0, 1, 0, 1, 0]),
        ([0, 1, 2], [1, 2, 4]),
        ([2.0, 1.0], [-1.0, 3.0]),
        ([3.0], [1.0]),
        ([1.0, 1.0, 2.0, 4.0], [5.0, 5.0, 0.1, 5.0]),
        (t, v),
        (t * 1e100, v * 1e-100),
        (t.astype(np.float32)[:, None], v.astype(np.float32)),
    ]
    return [Provable(so.MinimumNormInterpolant(*pair)) for pair in data]


def rescaling() -> list[Provable]:
    """One to three factors, components, zeros, odd degrees, large and small numbers."""
    norms = np.random.default_rng(0).random((3, 4))
    return [
        Provable(problem)
        for problem in (
            so.OptimalRescaling([1.0, 16.0], 2, 0.5),
            so.OptimalRescaling(norms, [1, 2, 0.5], [1.0, 3.0, 0.1]),
            so.OptimalRescaling([[1.0, 0.0, 2.0], [3.0, 4.0, 5.0]], 1, 1),
            so.OptimalRescaling([1e150, 1e-150], [2, 1], [1.0, 1e100]),
            so.OptimalRescaling([7.0], 2, 0.5),
            so.OptimalRescaling([0.0, 1.0], 2, 0.5),
            so.OptimalRescaling(norms.astype(np.float32), 2, 0.5),
        )
    ]


def exponents() -> list[so.Problem]:
    """Factors that fit, fit after scaling, and do not fit; complex and single precision, zeros."""
    rng = np.random.default_rng(0)
    dyadic = so.Architecture.square_dyadic(8)
    factors = [rng.uniform(0.5, 2.0, p.values_shape) for p in dyadic]
    cut = 2.0 ** rng.integers(-20, 20, 8)
    moved = [factors[0].reshape(1, 2, 2, 4) * cut.reshape(1, 1, 2, 4), factors[1], factors[2]]
    moved[1] = moved[1] / cut.reshape(2, 2, 1, 2)
    wide = [f.copy() for f in factors]
    wide[1][0, 0, 0, 0], wide[1][0, 1, 1, 0] = 1e-9, 1e9
    some = [np.where(rng.random(f.shape) < 0.5, f, 0.0) for f in moved]
    single = [f.astype(np.float32) for f in factors]
    return [
        so.ExponentFitting(so.KroneckerProduct(factors, dyadic), "e4m3"),
        so.ExponentFitting(so.KroneckerProduct(moved, dyadic), "e4m3"),
        so.ExponentFitting(so.KroneckerProduct(wide, dyadic), "e4m3"),
        so.ExponentFitting(so.KroneckerProduct(some, dyadic), ["e5m2", None, "fp16"]),
        so.ExponentFitting(so.KroneckerProduct([f * 1j for f in moved], dyadic), "e5m2"),
        so.ExponentFitting(so.KroneckerProduct(single, dyadic), "int4"),
    ]


def rank_one() -> list[Any]:
    """All kinds of formats and scales, one entry, zeros, equal entries, weights, large and small
    numbers, single precision."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(5), rng.standard_normal(4)
    free, power = (so.NumberFormat("int4", scale) for scale in ("free", "power_of_two"))
    problems = [
        so.RankOneQuantization(x, y, 4, 3),
        so.RankOneQuantization(x[:2], y, 40, None),
        so.RankOneQuantization(x, y[:2], None, 6),
        so.RankOneQuantization(x * 1e150, y * 1e-150, 5, 5),
        so.RankOneQuantization(x, y, "e4m3", "e2m1"),
        so.RankOneQuantization(x * 1e6, y * 1e-6, "fp16", "bf16"),
        so.RankOneQuantization(x, y, free, 4),
        so.RankOneQuantization(x, y, power, "e3m2"),
        so.RankOneQuantization(x, y, 4, 4, np.arange(5.0), [1.0, 0.0, 2.0, 0.5]),
        so.RankOneQuantization([3.0, 6.0, 1.5, 3.0], [0.0, -2.0], "int4", 2),
        so.RankOneQuantization([0.0, 0.0], [1.0], 3, None),
        so.RankOneQuantization([0.7], [0.3], 1, 1),
        so.RankOneQuantization(x.astype(np.float32), y.astype(np.float32), 8, 8),
        so.RankOneQuantization(x[:2] + 1j * x[3:], y, 4, 4),
        so.RankOneQuantization(x[:2] + 1j * x[3:], 1j * y + 2.0, 4, None),
    ]
    z = x[:2] + 1j * x[3:]
    complex_ones = [
        so.RankOneQuantization(z, y[:2] - 1j * y[2:], 4, 3, [1.0, 0.5], None),
        so.RankOneQuantization(1e200 * z, 1e-200j * z, "e4m3", "e5m2"),
    ]
    return [*map(Provable, problems), *complex_ones]


def quantized_products() -> list[so.Problem]:
    """One to four factors, all kinds of formats, other blocks, ranks, dtypes and scales, zeros."""
    rng = np.random.default_rng(0)

    def product(patterns: Any, scale: Any = 1.0, dtype: Any = np.float64) -> so.KroneckerProduct:
        architecture = so.Architecture(patterns)
        values = [scale * rng.standard_normal(p.values_shape) for p in architecture]
        return so.KroneckerProduct([v.astype(dtype) for v in values], architecture)

    dyadic, pair = list(so.Architecture.square_dyadic(8)), [(1, 3, 2, 2), (2, 2, 3, 1)]
    chain = [(1, 3, 2, 4), (2, 2, 2, 2), (4, 2, 3, 1)]
    two, eight = so.Architecture.square_dyadic(4), product(dyadic)
    some = [np.array(f) for f in eight.factors]
    some[1][:, 0, 1] = 0.0
    ranks = [(1, 2, 2, 2), (1, 4, 3, 1)]
    problems = [
        so.ProductQuantization(eight, 4),
        so.ProductQuantization(product(chain), [4, 5, 3]),
        so.ProductQuantization(product(pair), [3, 4]),
        so.ProductQuantization(product(two), "e2m1"),
        so.ProductQuantization(product([(1, 2, 3, 1)]), 5),
        so.ProductQuantization(product(dyadic), ["e4m3", None, "bf16"]),
        so.ProductQuantization(product(chain, 1.0 + 0.5j, np.complex64), 3),
        so.ProductQuantization(product(dyadic, 30.0), "int8"),
        so.ProductQuantization(product(dyadic, 1e150), 5),
        so.ProductQuantization(product(dyadic, 1e-150), 24),
        so.ProductQuantization(product(dyadic, dtype=np.float32), "fp16"),
        so.ProductQuantization(product(dyadic, 1.0 + 1j, np.complex128), 5),
        so.ProductQuantization(product(dyadic, 1.0 + 1j, np.complex64), "e5m2"),
        so.ProductQuantization(so.KroneckerProduct(some, dyadic), 3),
        so.ProductQuantization(product(ranks), 4),
        so.ProductQuantization(product([(2, 2, 2, 1), (1, 2, 2, 2)]), 4),
        so.ProductQuantization(product(dyadic), None),
        so.ProductQuantization(product(dyadic), None, relative_error=1e-2),
    ]
    return problems


def recovery() -> list[so.Problem]:
    """All kinds of vectors, both methods, each verdict."""
    rng = np.random.default_rng(3)
    wide, near = rng.standard_normal((8, 12)), [[4.0, 1.0, -1.0], [1.0, 4.0, 1.0], [1.0, -1.0, 4.0]]
    between = np.eye(6)
    between[:2, 2] = 1.0
    steep = {"l1": [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], "omp": between}
    problems: list[so.Problem] = []
    for method in ("l1", "omp"):
        problems += [
            so.RecoveryGuarantee(near, 2, method=method),
            so.RecoveryGuarantee(wide, 1, method=method),
            so.RecoveryGuarantee(rng.standard_normal((15, 20)), 1, method=method),
            so.RecoveryGuarantee(wide, 4, method=method),
            so.RecoveryGuarantee(wide, support=[1, 2, 5], signs=[1, -1, 1], method=method),
            so.RecoveryGuarantee(wide.astype(np.float32), support=[0, 3], method=method),
            so.RecoveryGuarantee(steep[method], support=[0, 1], method=method),
            so.RecoveryGuarantee([[1.0, 1.0]], support=[0, 1], method=method),
        ]
    spikes = np.hstack([np.eye(4), scipy.fft.fft(np.eye(4)) / 2.0])
    turned = [1.0, 1j]
    for method in ("l1", "omp"):
        problems += [
            so.RecoveryGuarantee(spikes, 1, method=method),
            so.RecoveryGuarantee(spikes, 2, method=method),
            so.RecoveryGuarantee(spikes.astype(np.complex64), support=[0, 5], method=method),
            so.RecoveryGuarantee(spikes, support=[0, 1], signs=turned, method=method),
            so.RecoveryGuarantee([[1.0, 1j]], 1, method=method),
            so.RecoveryGuarantee(scipy.sparse.csr_array(wide), 1, method=method),
            so.RecoveryGuarantee(hadamard_product(), support=[0, 2], method=method),
        ]
    return problems


def hadamard_product() -> so.KroneckerProduct:
    """A Hadamard matrix of size 4 in two factors."""
    block = np.array([[1.0, 1.0], [1.0, -1.0]])[None, :, :, None]
    chain = so.Architecture.square_dyadic(4)
    return so.KroneckerProduct([np.tile(block, (p.a, 1, 1, p.d)) for p in chain], chain)


def sparse_training() -> list[so.Problem]:
    """One output, an LU pair, and a pair that no condition decides."""
    return [
        so.SparseTraining([[[1, 0]], [[1, 1], [0, 1]]]),
        so.SparseTraining([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]),
        so.SparseTraining([np.ones((2, 2)), np.ones((2, 2))]),
        so.SparseTraining([np.ones((2, 2)), np.ones((2, 3))], True, True),
        so.SparseTraining([np.ones((2, 2)), np.ones((2, 3)), np.ones((3, 3))], output_biases=True),
        so.SparseTraining([np.ones((1, 3)), np.ones((3, 2)), np.ones((2, 2))], True),
        so.SparseTraining([[[1, 0], [1, 0], [0, 1]], np.ones((2, 2))], output_biases=True),
    ]


def two_layer() -> list[Provable]:
    """Exact and gated training, several outputs, scales, dependent, parallel and zero inputs."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((6, 3)), rng.standard_normal(6)
    gates, several = rng.standard_normal((3, 4)), rng.standard_normal((6, 2))
    problems = [
        so.TwoLayerReLU([[1, 0], [0, 1], [-1, 1], [1, 2]], [1, 1, 0, -1], 0.1),
        so.TwoLayerReLU(inputs, targets, 0.1),
        so.TwoLayerReLU(inputs.astype(np.float32), targets, 1e-3),
        so.TwoLayerReLU(inputs * 1e150, targets * 1e-150, 0.1),
        so.TwoLayerReLU(np.c_[inputs, inputs[:, 0]], targets, 0.1),
        so.TwoLayerReLU(np.r_[inputs[:2], -inputs[:2], [[0, 0, 0]]], targets[:5], 0.1),
        so.TwoLayerReLU([[2.0], [-1.0], [3.0]], [1.0, 2.0, -1.0], 0.3),
        so.TwoLayerReLU(inputs, targets, 1e3),
        so.TwoLayerReLU(inputs, targets, 0.1, gates),
        so.TwoLayerReLU(inputs, targets[:, None], 1e-3, gates),
        so.TwoLayerReLU(inputs, several, 0.1, gates),
        so.TwoLayerReLU(inputs * 1e-150, several * 1e150, 0.1, gates),
    ]
    return [Provable(problem) for problem in problems]


BANKS: dict[str, Any] = {
    "sparseopt:Closedness": closedness,
    "sparseopt:BasisPursuit": pursuit_problems.basis_pursuit,
    "sparseopt:BlindDeconvolution": blind_deconvolution,
    "sparseopt:ButterflyFactorization": butterfly,
    "sparseopt:CardinalityRegression": pursuit_problems.cardinality,
    "sparseopt:ConstrainedRegression": pursuit_problems.constrained,
    "sparseopt:ExponentFitting": exponents,
    "sparseopt:FixedSupportFactorization": fixed_support,
    "sparseopt:Identifiability": identifiable_networks.problems,
    "sparseopt:KnownSupportRegression": pursuit_problems.known_support,
    "sparseopt:LipschitzBound": lipschitz_bound,
    "sparseopt:MinimumNormInterpolant": interpolants,
    "sparseopt:NearestClosedSupport": nearest_closed,
    "sparseopt:OptimalRescaling": rescaling,
    "sparseopt:OutputChange": output_change,
    "sparseopt:PathCost": path_cost,
    "sparseopt:PathDistance": path_distance,
    "sparseopt:PathNorm": path_norm,
    "sparseopt:ProductQuantization": quantized_products,
    "sparseopt:RankOneQuantization": rank_one,
    "sparseopt:RecoveryGuarantee": recovery,
    "sparseopt:SparseRegression": regression,
    "sparseopt:SparseTraining": sparse_training,
    "sparseopt:SquareRootLasso": pursuit_problems.square_root,
    "sparseopt:TwoLayerReLU": two_layer,
}
