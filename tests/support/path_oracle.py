"""An oracle for path-liftings: plain definitions on networkx graphs, no code of the package."""

from __future__ import annotations

import json
import math
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import networkx as nx

CASES = Path(__file__).parents[1] / "pathnorm" / "public_cases.json"


def public_cases() -> dict[str, Any]:
    """Return the published cases."""
    return json.loads(CASES.read_text(encoding="utf-8"))


def graph_of(case: dict[str, Any]) -> nx.DiGraph:
    """Return the graph that a case describes."""
    graph = nx.DiGraph()
    for name, kind, bias, rank in case["nodes"]:
        graph.add_node(name, kind=kind, bias=Fraction(bias), k=rank)
    for u, v, weight in case["edges"]:
        graph.add_edge(u, v, weight=Fraction(weight))
    return graph


def paths(graph: nx.DiGraph) -> list[tuple[tuple[Any, ...], Fraction]]:
    """Return every path with its entry of Phi."""
    found = []

    def extend(path: tuple[Any, ...], product: Fraction) -> None:
        last = path[-1]
        if graph.out_degree(last) == 0:
            found.append((path, product))
        for after in graph.successors(last):
            extend((*path, after), product * Fraction(graph.edges[last, after]["weight"]))

    for node in graph:
        if graph.in_degree(node) == 0:
            extend((node,), Fraction(1))
        elif graph.nodes[node].get("bias") is not None:
            extend((node,), Fraction(graph.nodes[node]["bias"]))
    return found


def powers(graph: nx.DiGraph, q: float) -> list[Fraction]:
    """Return ||Phi^(->j)||_q^q per output in node order (the maximum for q = inf)."""
    totals = {node: Fraction(0) for node in graph if graph.out_degree(node) == 0}
    for path, product in paths(graph):
        end = path[-1]
        if q == math.inf:
            totals[end] = max(totals[end], abs(product))
        else:
            totals[end] += Fraction(int(product != 0)) if q == 0 else abs(product) ** int(q)
    return list(totals.values())


def evaluate(graph: nx.DiGraph, x: dict[Any, Any]) -> dict[Any, Any]:
    """Return the value of every neuron."""
    order = list(graph)
    values: dict[Any, Any] = {}
    for node in nx.topological_sort(graph):
        data = graph.nodes[node]
        if graph.in_degree(node) == 0:
            values[node] = x[node]
            continue
        before = sorted(graph.predecessors(node), key=order.index)
        terms = [values[u] * graph.edges[u, node]["weight"] for u in before]
        bias = data.get("bias") or 0
        if data["kind"] == "pool":
            values[node] = sorted(terms, reverse=True)[(data.get("k") or 1) - 1] + bias
        else:
            total = sum(terms) + bias
            values[node] = max(total, 0) if data["kind"] == "relu" else total
    return values


def random_graph(seed: int, hidden: int = 6, outputs: int = 2, inputs: int = 3) -> nx.DiGraph:
    """Return a random DAG of ReLU, identity and pool neurons with rational weights."""
    rng = random.Random(seed)
    graph = nx.DiGraph()
    names = [f"x{i}" for i in range(inputs)]
    for name in names:
        graph.add_node(name, kind="input")
    for i in range(hidden + outputs):
        is_output = i >= hidden
        name = f"y{i - hidden}" if is_output else f"h{i}"
        pool = names if not is_output else names[: inputs + hidden]
        before = rng.sample(pool, rng.randint(1, min(4, len(pool))))
        kind = rng.choice(["relu", "id", "pool"])
        graph.add_node(name, kind=kind)
        if rng.random() < 0.7:
            graph.nodes[name]["bias"] = _number(rng)
        if kind == "pool":
            graph.nodes[name]["k"] = rng.randint(1, len(before))
        for u in before:
            graph.add_edge(u, name, weight=_number(rng))
        names.append(name)
    return graph


def _number(rng: random.Random) -> Fraction:
    return Fraction(rng.randint(-9, 9), rng.randint(1, 4))
