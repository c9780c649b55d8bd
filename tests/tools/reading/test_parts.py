"""Parts of networks and graphs that are there, and readers that know of no parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

import sparseopt as so
from sparseopt.choosing import offers


def two_ends() -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_node("x", kind="input")
    graph.add_node("z", kind="input")
    for name, before, weight in (("h", "x", 2), ("a", "h", -3), ("b", "h", 5), ("c", "z", 7)):
        graph.add_node(name, kind="relu" if name == "h" else "id")
        graph.add_edge(before, name, weight=weight)
    return graph


def test_outputs_of_a_graph_are_chosen_by_name_or_place() -> None:
    whole = so.load_network(two_ends())
    assert whole.output_labels == ("a", "b", "c")
    for outputs, right in ((["c", "a"], [7, -6]), ("b", [10]), (1, [10]), (["a", "b", "c"], None)):
        network = so.load_network(two_ends(), outputs=outputs)
        found = network.run({"x": 1, "z": 1}).tolist()
        assert found == (right or [-6, 10, 7])
        norm = so.solve(so.PathNorm(network)).answer.exact
        assert norm == sum(map(abs, found))
    assert so.load_network(two_ends(), outputs=["c", "a"]).output_labels == ("c", "a")


def test_a_graph_ends_at_a_neuron() -> None:
    network = so.load_network(two_ends(), until="h")
    assert network.run({"x": 1, "z": 1}).tolist() == 2
    assert so.load_network(network) is network
    with pytest.raises(so.ProblemError, match="no node 'g'"):
        so.load_network(two_ends(), until="g")
    with pytest.raises(so.ProblemError, match="no output 'd'; its outputs are a, b, c"):
        so.load_network(two_ends(), outputs="d")
    with pytest.raises(so.ProblemError, match="not both"):
        so.load_network(two_ends(), outputs="a", until="h")


@dataclass(frozen=True)
class Plain(so.Reader):
    """A reader as they were before parts were read."""

    def read(self, source: Any, example: Any = None) -> Any:
        return so.load_network(two_ends())


def test_readers_need_not_know_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(offers, "reader_of", lambda source, produces: Plain())
    assert so.load_network(tmp_path / "x.net").output_shape == (3,)
    with pytest.raises(so.ProblemError, match=r"Plain.*takes no until="):
        so.load_network(tmp_path / "x.net", until="h")
