"""Engines with planted faults: the judge sees each."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np
import pytest
from path_networks import image, large

import sparseopt as so
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Reshape
from sparseopt.pathnorm import plain


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
    right = getattr(ConvTranspose, part)

    def wrong(self: ConvTranspose, value: Any, *rest: Any) -> Any:
        result = right(self, value, *rest)
        return [1.001 * result[0]] if isinstance(result, list) else 1.001 * result

    kernels = np.random.default_rng(0).standard_normal((2, 2, 2, 3, 3))
    network = chain((2, 4, 4), Conv(kernels[0]), ConvTranspose(kernels[1]), Reshape((32,)))
    assert so.solve(so.PathCost(network), solver="path_costs").status.name == "VERIFIED"
    monkeypatch.setattr(ConvTranspose, part, wrong)
    assert "its certificate was refused" in refused(so.PathCost(network), "path_costs")


@pytest.mark.parametrize(
    "part", ["_columns", "_transposed", "_reading", "_multiplied", "conv_reads"]
)
def test_a_fault_in_the_condensed_passes_is_seen(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """The judge finds by itself which positions are alike, and what reads them."""
    from sparseopt_pathnorm import condensed_costs

    right = getattr(condensed_costs, part)

    def wrong(*given: Any) -> Any:
        result = right(*given)
        return np.roll(result, 1, axis=0) if part == "conv_reads" else 1.001 * result

    monkeypatch.setattr(condensed_costs, part, wrong)
    assert "its certificate was refused" in refused(so.PathCost(image()), "path_costs")


def test_positions_taken_for_alike_by_the_engine_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_pathnorm import condensed_costs

    right = condensed_costs._classes

    def wrong(keys: np.ndarray) -> Any:
        """Take the last class for the first."""
        first, along = right(keys)
        return (first[:-1], along % (len(first) - 1)) if len(first) > 2 else (first, along)

    monkeypatch.setattr(condensed_costs, "_classes", wrong)
    assert "its certificate was refused" in refused(so.PathCost(image()), "path_costs")


def test_honest_float32_is_weak_unless_no_more_is_asked() -> None:
    problem = so.PathNorm(image())
    solution = so.solve(problem, solver="one_pass", dtype="float32")
    assert solution.status.name == "WEAK"
    assert solution.certificate.accuracy == 1e-4
    assert "within a relative 0.0001" in so.verify(solution).claim
    asked = so.solve(problem, solver="one_pass", dtype="float32", tolerance=1e-4)
    assert asked.status.name == "VERIFIED"
