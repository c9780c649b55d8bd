"""Who imports whom in the library: also inside functions, and for type checkers alone."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).parents[2]


def modules() -> dict[str, Path]:
    """Return module name to file, of the library and of its plugins."""
    found = {}
    for base in (ROOT, ROOT / "plugins"):
        for path in base.glob("sparseopt*/**/*.py"):
            name = ".".join(path.relative_to(base).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def imports() -> nx.DiGraph:
    """Return the graph of imports; an edge carries the line."""
    known = modules()
    graph = nx.DiGraph()
    graph.add_nodes_from(known)
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for target in _targets(node, known):
                graph.add_edge(name, target, line=node.lineno)
    return graph


def _targets(node: ast.AST, known: dict[str, Path]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name in known]
    if not isinstance(node, ast.ImportFrom) or node.module is None:
        return []
    full = [f"{node.module}.{alias.name}" for alias in node.names]
    return [f if f in known else node.module for f in full if f in known or node.module in known]
