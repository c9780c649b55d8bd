"""What the judge of path quantities computes, against exact rationals, and what it refuses."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np
import pytest
from path_networks import dense, image, large, large_identity, wide
from path_oracle import paths, powers, random_graph

import sparseopt as so
from sparseopt.judging.rounding import UNIT, gamma
from sparseopt.networks.linear import Conv, Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Relu
from sparseopt.pathnorm import differences, exact, floats, path_pairs, plain, residues, wides
from sparseopt.pathnorm.biases import biases
from sparseopt.pathnorm.floats import Floats, FloatWeights
from sparseopt.pathnorm.lipschitz import dual, proven_bound
from sparseopt.pathnorm.powers import Powers
from sparseopt.pathnorm.rounded import OutOfRange
from sparseopt.pathnorm.wides import Wides

RNG = np.random.default_rng(4)
systems = pytest.mark.parametrize("system", [Floats, Wides])


def rationals(found: Powers) -> list[Fraction]:
    """Return the numbers that are stored."""
    pairs = zip(found.array.ravel().tolist(), found.exponent.ravel().tolist(), strict=True)
    return [Fraction(m) * Fraction(2) ** e for m, e in pairs]


def require_within(found: Powers, right: list[Fraction]) -> None:
    """Require that every number is within its stated relative error, in exact arithmetic."""
    assert 0 <= found.error < 1e-9
    for value, true in zip(rationals(found), right, strict=True):
        assert abs(value - true) <= Fraction(found.error) * true


# Sums over paths ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(15))
def test_exact_sums_are_those_of_the_enumerated_paths(seed: int) -> None:
    graph = random_graph(seed, hidden=8)
    network = so.load_network(graph)
    for q in (0, 1, 2, 3, math.inf):
        assert exact.power_sums(network, q, biases(network)) == powers(graph, q)


@systems
@pytest.mark.parametrize("q", [0, 1, 2, 5, 64, math.inf])
def test_the_stated_rounding_holds(system: Any, q: float) -> None:
    for seed in range(4):
        for network in (dense(5, 9, 7, 6, 3, seed=seed), image(), as_float32(image())):
            offsets = biases(network, "merged")
            a = system(q)
            found = a.powers(plain.forward(network, a, offsets))
            require_within(found, exact.power_sums(network, q, offsets))


def as_float32(network: Network) -> Network:
    arrays = {n: a.astype(np.float32) for n, a in network.parameters().items()}
    return network.with_parameters(arrays)


@systems
def test_roundings_of_long_sums_are_counted(system: Any) -> None:
    """Adding up thirds a thousand times in float64 errs by more than one rounding."""
    network = chain((3000,), Dense(np.full((1, 3000), 1 / 3)), Dense(np.full((2, 1), 0.1)))
    a = system(1)
    found = a.powers(plain.forward(network, a, {}))
    right = [3000 * Fraction(1 / 3) * Fraction(0.1)] * 2
    require_within(found, right)
    assert found.error >= 3000 * UNIT


@systems
@pytest.mark.parametrize("q", [0.25, 0.5, 1.5, 2.5])
def test_real_powers(system: Any, q: float) -> None:
    """Powers that are multiples of a quarter are those of the fourth roots."""
    roots = RNG.random((4, 3)) + 0.1
    network = chain((3,), Dense(2.0**-40 * roots**4))
    a = system(q)
    found = a.powers(plain.forward(network, a, {}))
    # 4 q is a whole number; roots**4 was rounded four times.
    right = [sum(Fraction(v) ** int(4 * q) for v in row) for row in roots.tolist()]
    right = [v / Fraction(2) ** int(40 * q) for v in right]
    for value, true in zip(rationals(found), right, strict=True):
        assert abs(value / true - 1) <= Fraction(found.error) + 8 * Fraction(q) * Fraction(UNIT)


def test_outputs_apart_are_judged_with_an_exponent_each() -> None:
    network = wide(1e200, 12)
    with pytest.raises(OutOfRange):
        plain.forward(network, Floats(1), {})
    found = plain.power_sums(network, 1, {})
    entry = Fraction(1e200) ** 12, Fraction(1 / 1e200) ** 12
    require_within(found, [entry[1], entry[0]])


def test_faint_summands_beside_large_ones() -> None:
    """A bias of 1 behind weights of 1e300 is lost without harm; where it stands alone it counts."""
    weight = np.diag([1e300, 1e300])
    deep = chain((2,), *(Dense(weight) for _ in range(4)), Dense(np.ones((1, 2)), np.ones(1)))
    offsets = biases(deep)
    a = Floats(1)
    require_within(a.powers(plain.forward(deep, a, offsets)), exact.power_sums(deep, 1, offsets))
    alone = deep.with_parameters({"4:Dense.weight": np.zeros((1, 2))})
    lonely = chain(
        (2,),
        *(Dense(weight) for _ in range(4)),
        Dense(np.array([[1.0, 1.0], [0.0, 0.0]]), np.ones(2)),
    )
    with pytest.raises(OutOfRange):
        plain.forward(lonely, Floats(1), biases(lonely))
    for network in (alone, lonely):
        offsets = biases(network)
        found = plain.power_sums(network, 1, offsets)
        require_within(found, exact.power_sums(network, 1, offsets))


def test_values_under_different_exponents_side_by_side() -> None:
    nodes = [Node("x", Input((1,)))]
    for name, weight in (("a", 1e-200), ("b", 1e60)):
        nodes.append(Node(name, Dense(np.array([[weight]])), ("x",)))
        nodes.append(Node(f"{name}2", Dense(np.array([[weight]])), (name,)))
    nodes.append(Node("y", Concat(0), ("a2", "b2")))
    near = Network((*nodes[:2], nodes[3], Node("y", Concat(0), ("a", "b"))), "y")
    a = Floats(1)
    require_within(a.powers(plain.forward(near, a, {})), [Fraction(1e-200), Fraction(1e60)])
    with pytest.raises(OutOfRange):
        plain.forward(Network(tuple(nodes), "y"), Floats(1), {})


@pytest.mark.parametrize(
    "raw",
    [
        np.array([[1e-90, 1.0]]),
        np.array([[1e-310, 1e-305]]),
        np.array([[1e200, 1e210]]),
        np.array([[5e-324, 0.0]]),
        np.array([[1e-30, 3e38]], dtype=np.float32),
        np.array([[1e-45, 0.0]], dtype=np.float32),
        np.array([[Fraction(10) ** 400, Fraction(10) ** 390 / 3]], dtype=object),
    ],
)
@pytest.mark.parametrize("q", [1, 2, 3])
def test_powers_of_weights_anywhere(raw: np.ndarray, q: int) -> None:
    for weights in (FloatWeights(raw, q), FloatWeights(raw[None], q)):
        array = weights.all().ravel()
        assert weights.least <= floats._least(array) or not array.any()
        for value, true in zip(array.tolist(), raw.ravel().tolist(), strict=True):
            found = Fraction(value) * Fraction(2) ** weights.shift
            right = abs(Fraction(true)) ** q
            assert abs(found - right) <= Fraction(gamma(weights.roundings)) * right
    wide_weights = wides.WideWeights(raw, q)
    for number, true in zip(wide_weights.all().ravel().tolist(), raw.ravel().tolist(), strict=True):
        found = Fraction(number[0]) * Fraction(2) ** number[1] if number[0] else Fraction(0)
        right = abs(Fraction(true)) ** q
        assert abs(found - right) <= Fraction(gamma(wide_weights.roundings)) * right


@pytest.mark.parametrize(
    ("raw", "q"),
    [
        (np.array([[1e-200, 1e200]]), 1),
        (np.array([[1e-20, 1.0]]), 16),
        (np.array([[1e-200, 1e200]]), 0.5),
        (np.array([[Fraction(1, 10**200), Fraction(10) ** 200]], dtype=object), 1),
    ],
)
def test_weights_too_far_apart_for_one_exponent(raw: np.ndarray, q: float) -> None:
    with pytest.raises(OutOfRange):
        FloatWeights(raw, q)


def test_enormous_powers_prove_nothing() -> None:
    assert gamma(2**45) < 0.01
    assert gamma(2**46) == gamma(2**53) == gamma(2**60) == math.inf
    problem = so.PathNorm(chain((1,), Dense(np.ones((1, 1)))), 2**53 + 2)
    assert not so.verify(
        so.PathNormCertificate(problem, problem.answer_from(Powers.of(np.ones(1), 0, math.inf)))
    ).ok


# Merged scales ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_merged_biases_are_those_of_the_merged_network(seed: int) -> None:
    """In exact arithmetic, for chains of scales of all kinds behind layers of all kinds."""
    rng = np.random.default_rng(seed)

    def whole(*shape: int) -> np.ndarray:
        values = np.empty(shape, dtype=object)
        values[...] = rng.integers(-2, 3, shape).astype(object)
        return values

    layers: list[Any] = []
    for _ in range(6):
        kind = rng.integers(6)
        bias = whole(2) if rng.random() < 0.7 else None
        if kind == 0:
            layers.append(Conv(whole(2, 2, 1, 1), bias))
        elif kind == 1:
            layers.append(Dense(whole(2, 2), bias))
        elif kind == 2:
            layers.append(Relu())
        else:
            shape = [(2, 1, 1), (1, 1, 2), (2, 2, 2)][kind - 3]
            layers.append(Scale(whole(*shape), whole(*shape) if rng.random() < 0.7 else None))
    network = chain((2, 2, 2), *layers)
    merged = network.merged
    for q in (0, 1, 2):
        right = exact.power_sums(merged, q, biases(merged))
        assert exact.power_sums(network, q, biases(network, "merged")) == right
        trick = network.merged_biases
        assert exact.power_sums(trick, q, biases(trick)) == right


def test_scales_are_merged_only_where_they_alone_read() -> None:
    def net(*more: Node, output: str) -> Network:
        nodes = (
            Node("x", Input((1,))),
            Node("a", Dense(np.ones((1, 1)), np.ones(1)), ("x",)),
            Node("b", Scale(np.array([-1.0]), np.ones(1)), ("a",)),
        )
        return Network((*nodes, *more), output)

    alone = biases(net(output="b"), "merged")
    assert alone["a"] is None
    assert alone["b"] == 0
    both = biases(net(Node("c", Add(), ("a", "b")), output="c"), "merged")
    assert both["a"] == both["b"] == 1
    unused = biases(net(output="a"), "merged")
    assert unused == {"x": None, "a": 1}


def test_merged_biases_that_cancel() -> None:
    """(1 - e)(1 + e) - 1 = -e^2, which float64 rounds to 0."""
    e = 2.0**-30
    layers = (
        Dense(np.zeros((1, 1)), np.array([1 + e])),
        Scale(np.array([1 - e]), np.array([-1.0])),
    )
    answer = so.solve(so.PathNorm(chain((1,), *layers), affine="merged")).answer
    assert answer.value == e**2
    assert so.solve(so.PathNorm(chain((1,), *layers), 0, affine="merged")).answer.exact == 1


# Counts -------------------------------------------------------------------------------------


def test_counts_modulo_primes() -> None:
    graph = random_graph(3, hidden=12)
    network = so.load_network(graph)
    right = powers(graph, 0)
    primes = residues.draw_primes(network, 0)
    found = residues.residues(network, biases(network), primes)
    assert found.tolist() == [[int(count) % p for count in right] for p in primes]
    assert all(count < 2 ** residues.count_bits(network) for count in right)


def test_primes_are_drawn_anew_and_miss_with_small_probability() -> None:
    network = large()
    first, second = (residues.draw_primes(network, 0) for _ in range(2))
    assert first != second
    assert all(residues.is_prime(p) for p in first)
    bits = first[0].bit_length()
    assert {p.bit_length() for p in first} == {bits}
    # Every sum of residues is an exact float.
    assert (8 * 9 * 8 + 1) * 2**bits <= 2**53
    differ = residues.count_bits(network) + 1
    one = (differ / (bits - 1)) / (2 ** (bits - 1) / (3 * bits * math.log(2)))
    assert one ** len(first) <= residues.FAILURE
    more = residues.draw_primes(network, 1 << 40_000)
    assert len(more) >= len(first)


def test_is_prime() -> None:
    below = [n for n in range(300) if residues.is_prime(n)]
    assert below == [n for n in range(2, 300) if all(n % d for d in range(2, n))]
    for n in (3215031751, 3825123056546413051, 318665857834031151167461, 2**40 + 1):
        assert not residues.is_prime(n)
    assert residues.is_prime(2**61 - 1)


def test_large_counts_say_their_probability() -> None:
    solution = so.solve(so.PathNorm(large_identity(), 0))
    assert "except with probability 1e-12" in so.verify(solution).claim
    assert solution.answer.exact == 2
    small = so.verify(so.solve(so.PathNorm(dense(2, 2), 0)))
    assert "probability" not in small.claim


# Distances ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_distances_by_all_routes(seed: int) -> None:
    graph = random_graph(seed, hidden=6)
    rng = np.random.default_rng(seed)
    other = nx.DiGraph(graph)
    factors = [Fraction(int(rng.integers(0, 5)), 2) for _ in graph.edges]
    for (u, v, data), factor in zip(graph.edges(data=True), factors, strict=True):
        other.add_edge(u, v, weight=data["weight"] * factor)
    a, b = so.load_network(graph), so.load_network(other)
    entries = zip(paths(graph), paths(other), strict=True)
    right = sum((abs(p - r) for (_, p), (_, r) in entries), start=Fraction(0))
    assert path_pairs.enumerated_distance(a, b) == right
    upper = differences.exact_difference(a, b)
    assert upper >= right
    names = a.parameters()
    sizes = [np.abs(names[n]) for n in names], [np.abs(b.parameters()[n]) for n in names]
    norms = []
    for choose in (np.maximum, np.minimum):
        arrays = dict(
            zip(names, (np.asarray(choose(x, y)) for x, y in zip(*sizes, strict=True)), strict=True)
        )
        chosen = a.with_parameters(arrays)
        norms.append(sum(exact.power_sums(chosen, 1, biases(chosen))))
    assert upper == norms[0] - norms[1]
    found = differences.difference(a, b)
    require_within(found, [upper])


def test_the_last_bit_of_a_weight_is_seen() -> None:
    network = image()
    weight = network.parameters()["e.weight"].copy()
    weight[0, 0, 0, 0] *= 1 + 2.0**-52
    other = network.with_parameters({"e.weight": weight})
    right = differences.exact_difference(network, other)
    assert 0 < right < Fraction(1, 10**9)
    require_within(differences.difference(network, other), [right])
    assert path_pairs.enumerated_distance(network, other) == right
    answer = so.solve(so.PathDistance(network, other), solver="distance_passes").answer
    assert answer.exact == right


def test_too_many_paths_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_pairs, "PATHS", 10)
    with pytest.raises(exact.TooLarge, match="more than 10 paths"):
        path_pairs.enumerated_distance(image(), image())


def test_settings_of_other_layers_have_no_distance() -> None:
    """Padding on the other side leaves all shapes as they are."""
    weight = np.ones((1, 1, 2))
    nets = [chain((1, 3), Conv(weight, padding=(pad,))) for pad in ((0, 1), (1, 0))]
    with pytest.raises(so.ProblemError, match="differ in their layers"):
        so.PathDistance(*nets)


# Bounds of work -----------------------------------------------------------------------------


def test_exact_work_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    network = dense(3, 3, 2)
    offsets = biases(network)
    with pytest.raises(exact.TooLarge, match="digits"):
        exact.power_sums(network, 1, offsets, work=1e3)
    with monkeypatch.context() as patch:
        patch.setattr(exact, "_BITS", 500)
        with pytest.raises(exact.TooLarge, match="weights of too many digits"):
            exact.power_sums(network, 1, offsets)
    monkeypatch.setattr(exact, "EDGES", 10)
    monkeypatch.setattr(differences, "EDGES", 10)
    for call in (
        lambda: exact.power_sums(network, 1, offsets),
        lambda: differences.exact_difference(network, network),
    ):
        with pytest.raises(exact.TooLarge, match="more than 10 edges"):
            call()


# Norms of vectors of numbers ----------------------------------------------------------------


@pytest.mark.parametrize("r", [0.01, 0.5, 1, 1.5, 2, 7, 300, math.inf])
def test_norms_of_numbers_anywhere(r: float) -> None:
    import mpmath

    mpmath.mp.dps = 60
    for values in (
        [1.0, 2.0, 3.0],
        [Fraction(10) ** 500, Fraction(10) ** 499 * 7, Fraction(1)],
        [Fraction(1, 10**800), Fraction(3, 10**800), Fraction(0)],
        [Fraction(1), Fraction(1, 2**1500), Fraction(1, 2**900)],
        [0.999999, 1.000001] * 50,
    ):
        numbers = [Fraction(v) for v in values]
        found = Powers.of_fractions(numbers).norm(r)
        exactly = [mpmath.mpf(v.numerator) / v.denominator for v in numbers]
        if r == math.inf:
            right = max(exactly)
        else:
            right = mpmath.fsum(v ** mpmath.mpf(r) for v in exactly) ** (1 / mpmath.mpf(r))
        stored = found.as_fraction()
        near = mpmath.mpf(stored.numerator) / stored.denominator
        assert abs(near / right - 1) <= found.error < 1e-8
        assert abs(found.log10().item() - mpmath.log10(right)) <= found.log10_error().item()


@pytest.mark.parametrize("q", [0.3, 0.5, 2, 3, 1.7, 64])
def test_roots(q: float) -> None:
    import mpmath

    mpmath.mp.dps = 60
    numbers = [Fraction(3), Fraction(10) ** 700, Fraction(7, 10**900), Fraction(0)]
    found = Powers.of_fractions(numbers).root(q)
    assert found.array[3] == 0
    for value, true in zip(rationals(found), numbers[:3], strict=False):
        right = (mpmath.mpf(true.numerator) / true.denominator) ** (1 / mpmath.mpf(q))
        near = mpmath.mpf(value.numerator) / value.denominator
        assert abs(near / right - 1) <= found.error < 1e-9


def test_errors_of_roots_and_norms_grow() -> None:
    rough = Powers.of(np.array([1.0, 2.0]), 0, 1e-3)
    assert rough.root(2).error >= 0.5e-3
    assert rough.root(0.5).error >= 2e-3
    assert rough.root(1) is rough
    assert rough.norm(3).error >= 1e-3
    assert rough.norm(math.inf).error == 1e-3
    assert Powers.of(np.array([1.0]), 0, 0.6).root(2).error == math.inf
    unknown = Powers.of(np.array([1.0]))
    assert unknown.error == unknown.root(2).error == unknown.norm(1).error == math.inf
    assert (unknown.log10_error() == math.inf).all()
    assert (rough.log10_error() >= 1e-3 / math.log(10)).all()
    assert Powers.of(np.zeros(2), 0, 0.0).norm(2).array == 0


# Lipschitz bounds ---------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 1.0000001, 1.1, 1.5, 2, 3, 3.7, 10, 1e9, math.inf])
def test_dual_exponents_are_not_rounded_up(p: float) -> None:
    found = dual(p)
    if p in (1, math.inf):
        assert found == (math.inf if p == 1 else 1.0)
        return
    right = Fraction(p) / (Fraction(p) - 1)
    assert right * (1 - Fraction(1, 10**15)) <= Fraction(found) <= right


def table_of(network: Network) -> list[list[Fraction]]:
    """Return the table of path sums in exact arithmetic, by a pass for each input."""
    size = math.prod(network.input_shape)
    columns = []
    for i in range(size):
        arithmetic = exact.Exacts(1)
        array = np.full(size, 0, dtype=object)
        array[i] = 1
        first = exact.Exact(array.reshape(1, *network.input_shape), 1)
        columns.append(arithmetic.fractions(plain.forward(network, arithmetic, {}, first=first)))
    return [list(row) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("p_in", [1, 1.5, 2, 3, math.inf])
@pytest.mark.parametrize("p_out", [1, 1.5, 2, 4, math.inf])
def test_bounds_are_not_below_their_definition(p_in: float, p_out: float) -> None:
    import mpmath

    mpmath.mp.dps = 50
    network = dense(3, 4, 3, seed=1)
    table = [[mpmath.mpf(v.numerator) / v.denominator for v in row] for row in table_of(network)]
    columns = [list(column) for column in zip(*table, strict=True)]

    def norm(values: list[Any], p: float) -> Any:
        if p == math.inf:
            return max(values)
        return mpmath.fsum(v ** mpmath.mpf(p) for v in values) ** (1 / mpmath.mpf(p))

    star = {1: math.inf, math.inf: 1.0}.get(p_in) or mpmath.mpf(p_in) / (mpmath.mpf(p_in) - 1)
    problem = so.LipschitzBound(network, p_in, p_out)
    weights = np.array([0.3, 1.0, 0.7])
    v = [mpmath.mpf(w) for w in weights.tolist()]
    forward = [mpmath.fsum(c * w for c, w in zip(row, v, strict=True)) for row in table]
    back = [mpmath.fsum(c * u for c, u in zip(column, forward, strict=True)) for column in columns]
    definitions = {
        "rows": lambda: norm([mpmath.fsum(row) for row in table], p_out),
        "columns": lambda: norm([mpmath.fsum(column) for column in columns], star),
        "spectral": lambda: mpmath.sqrt(max(u / w for u, w in zip(back, v, strict=True))),
        "interpolated": lambda: (
            max(map(mpmath.fsum, columns)) ** (1 / mpmath.mpf(p_in))
            * max(map(mpmath.fsum, table)) ** (1 - 1 / mpmath.mpf(p_in))
        ),
        "table": lambda: min(
            norm([norm(row, star) for row in table], p_out),
            norm([norm(column, p_out) for column in columns], star),
        ),
    }
    for method in problem.methods():
        found = proven_bound(problem, method, weights)
        right = definitions[method]()
        stored = found.as_fraction()
        near = mpmath.mpf(stored.numerator) / stored.denominator
        assert found.error < 1e-12
        assert near * (1 + mpmath.mpf(found.error)) >= right
        assert near <= right * (1 + 2 * mpmath.mpf(found.error))


def test_a_bound_far_beyond_float64() -> None:
    network = chain((2,), *(Dense(np.full((2, 2), 1e200)) for _ in range(3)))
    for p_in, p_out in ((math.inf, 1), (2, 2), (3, 3), (1, math.inf)):
        solution = so.solve(so.LipschitzBound(network, p_in, p_out))
        assert solution.answer.value == math.inf
        assert "10^60" in so.verify(solution).claim
    small = chain((2,), *(Dense(np.full((2, 2), 1e-200)) for _ in range(3)))
    for p in (2, 3):
        solution = so.solve(so.LipschitzBound(small, p, p))
        assert "10^-59" in so.verify(solution).claim


# Engines with faults ------------------------------------------------------------------------


def refused(problem: Any, solver: str) -> str:
    """Return why an engine's answer does not get through."""
    with pytest.raises(so.SolveError) as caught:
        so.solve(problem, solver=solver)
    return str(caught.value)


def test_a_wrong_index_in_the_engine_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_pathnorm import constant_images
    from sparseopt_pathnorm.needed_combinations import Combinations

    problem = so.PathNorm(large())
    assert so.solve(problem, solver="one_pass").status.name == "VERIFIED"
    product, places = constant_images._product, Combinations.places

    def turned(op: Any, columns: np.ndarray, semiring: Any) -> np.ndarray:
        return product(op, columns[..., ::-1, :], semiring)

    def next_one(self: Any, rows: np.ndarray) -> np.ndarray:
        found = places(self, rows)
        return np.where(found >= 0, (found + 1) % len(self.rows), -1)

    for owner, name, wrong in (
        (constant_images, "_product", turned),
        (Combinations, "places", next_one),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, wrong)
            assert "its certificate was refused" in refused(problem, "one_pass")
            bound = so.LipschitzBound(large())
            assert "its certificate was refused" in refused(bound, "lipschitz_passes")


def test_a_wrong_norm_in_the_engine_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_pathnorm import lipschitz_passes

    monkeypatch.setattr(
        lipschitz_passes, "power_sums", lambda n, q, **_: plain.power_sums(n, 2, {})
    )
    assert "its certificate was refused" in refused(so.LipschitzBound(large()), "lipschitz_passes")


def test_a_relu_fused_through_a_weight_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt.networks import unrolling

    def fuse(builder: Any, ends: set[int]) -> set[int]:
        """`_Builder._fuse` without a look at the weight."""
        fused = set()
        for v, kind in enumerate(builder.kinds):
            if kind == "relu" and len(builder.predecessors[v]) == 1:
                ((u, _),) = builder.predecessors[v]
                if builder.kinds[u] == "id" and u not in ends:
                    builder.predecessors[v] = builder.predecessors[u]
                    builder.biases[v] = builder.biases[u]
                    fused.add(u)
        return fused

    graph = nx.DiGraph()
    graph.add_node("x", kind="input")
    graph.add_node("h", kind="id", bias=Fraction(1))
    graph.add_node("y", kind="relu")
    graph.add_edge("x", "h", weight=2)
    graph.add_edge("h", "y", weight=3)
    monkeypatch.setattr(unrolling._Builder, "_fuse", fuse)
    for q in (1, 2):
        for solver in ("one_pass", "path_enumeration"):
            words = refused(so.PathNorm(so.load_network(graph), q), solver)
            assert "the exact powers per output agree" in words
    assert "refused" in refused(so.LipschitzBound(so.load_network(graph)), "lipschitz_passes")


@pytest.mark.parametrize("part", ["propagate", "adjoint", "weight_adjoint"])
def test_a_wrong_operator_is_seen(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """The judge does not use what the engines compute with."""
    right = getattr(Conv, part)

    def wrong(self: Conv, value: Any, *rest: Any) -> Any:
        result = right(self, value, *rest)
        return [1.001 * result[0]] if isinstance(result, list) else 1.001 * result

    monkeypatch.setattr(Conv, part, wrong)
    assert "its certificate was refused" in refused(so.PathCost(image()), "path_costs")


def test_honest_float32_is_weak_unless_no_more_is_asked() -> None:
    problem = so.PathNorm(image())
    solution = so.solve(problem, solver="one_pass", dtype="float32")
    assert solution.status.name == "WEAK"
    assert solution.certificate.accuracy == 1e-4
    assert "within a relative 0.0001" in so.verify(solution).claim
    asked = so.solve(problem, solver="one_pass", dtype="float32", tolerance=1e-4)
    assert asked.status.name == "VERIFIED"


def test_claims_say_what_was_checked() -> None:
    def claim(problem: Any, **options: Any) -> str:
        return so.verify(so.solve(problem, **options)).claim

    ones = chain((2,), Dense(np.ones((1, 2))))
    name = "path-norm (as_is) of a network of 2 layers, 2 parameters, (2,) -> (1,)"
    within = "it and the norm over the paths of each output are within a relative 1e-09"
    assert claim(so.PathNorm(ones), solver="one_pass") == f"the L^(1,1) {name} is 2.0; {within}"
    details = so.verify(so.solve(so.PathNorm(ones))).details
    assert "note: computed again in exact arithmetic" in details
    details = so.verify(so.solve(so.PathNorm(large()))).details
    assert any("computed again with a relative error of at most" in line for line in details)
    assert claim(so.PathNorm(ones, 0)).endswith("; the exact powers per output are right")
    dead = chain((2,), Dense(np.zeros((1, 2))))
    assert f"{name} is 0.0; " in claim(so.PathNorm(dead), solver="one_pass")
    beyond = chain((1,), *(Dense(np.array([[1e200]])) for _ in range(2)))
    assert "is 10^400.0; " in claim(so.PathNorm(beyond), solver="one_pass")
    below = chain((1,), *(Dense(np.array([[1e-160]])) for _ in range(2)))
    assert "is 10^-320.0; " in claim(so.PathNorm(below), solver="one_pass")
    assert claim(so.LipschitzBound(ones)) == (
        "outputs change by at most 2 in the 1-norm per unit of change of the inputs in the inf-norm"
    )
    assert "by at most 0 in" in claim(so.LipschitzBound(dead))
    for network in (beyond, below):
        assert "by at most 10^" in claim(so.LipschitzBound(network))
    near_one = so.LipschitzBound(ones, 1.0000001, 1.0000001)
    assert "in the 1.0000001-norm" in claim(near_one)
    assert "L^(1.0000001,1) path-norm" in claim(so.PathNorm(ones, 1.0000001))
    half = ones.with_parameters({"0:Dense.weight": np.full((1, 2), 0.5)})
    words = "the L1 distance of the two path-liftings"
    assert claim(so.PathDistance(ones, half)) == (
        f"{words} is 1.0, within a relative 1e-09 (in `exact` without rounding); "
        "no parameter changes its sign"
    )
    third = chain((1,), Dense(np.full((1, 1), 1 / 3)), Dense(np.full((1, 1), 1 / 3)))
    changed = third.with_parameters(
        {"0:Dense.weight": np.ones((1, 1)), "1:Dense.weight": np.zeros((1, 1))}
    )
    upper = so.solve(so.PathDistance(third, changed), solver="distance_passes")
    assert f"{words} is at most 0.333333333333334 (in" in so.verify(upper).claim
    turned = ones.with_parameters({"0:Dense.weight": np.array([[1.0, -1.0]])})
    assert claim(so.PathDistance(ones, turned)).endswith("; some parameter changes its sign")
    assert claim(so.PathCost(ones)) == (
        "the path costs of 2 weights in 1 layers are those of the network of 2 layers, "
        "2 parameters, (2,) -> (1,), each to a relative 1e-09, or to 1e-290 where that is more"
    )


def test_accuracies() -> None:
    network = dense(3, 3, 2)
    norm = so.solve(so.PathNorm(network), solver="one_pass").certificate
    assert norm.accuracy == 1e-9
    assert so.solve(so.PathNorm(network), solver="path_enumeration").certificate.accuracy == 0.0
    assert so.solve(so.PathCost(network)).certificate.accuracy == 1e-9
    half = network.with_parameters({"0:Dense.weight": network.parameters()["0:Dense.weight"] / 2})
    exactly = so.solve(so.PathDistance(network, half)).certificate
    assert exactly.accuracy == 0.0
    about = dataclasses.replace(exactly, answer=dataclasses.replace(exactly.answer, exact=None))
    assert so.verify(about).ok
    assert about.accuracy == 1e-9
    weight = network.parameters()["0:Dense.weight"]
    mixed = network.with_parameters({"0:Dense.weight": weight * np.array([[0.5, 1, 2]])})
    upper = so.solve(so.PathDistance(network, mixed), solver="distance_passes")
    assert upper.certificate.accuracy == math.inf
    assert so.solve(so.LipschitzBound(network)).certificate.accuracy == math.inf
