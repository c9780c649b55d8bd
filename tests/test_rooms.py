"""Where things live: who may import whom, and that nothing imports in a circle."""

from __future__ import annotations

import ast
import re

import networkx as nx
import pytest
from imports import ROOT, imports, modules
from rooms import BUILT_ON, OTHERS, TRUSTED, TRUSTED_BY_ALL, room


def edges_from(rooms: set[str]) -> list[tuple[str, str]]:
    return [(a, b) for a, b in imports().edges if room(a) in rooms]


def test_every_folder_is_a_room() -> None:
    folders = {p.name for p in (ROOT / "sparseopt").iterdir() if (p / "__init__.py").exists()}
    assert folders == TRUSTED | OTHERS


def test_nothing_imports_in_a_circle() -> None:
    circles = [sorted(c) for c in nx.strongly_connected_components(imports()) if len(c) > 1]
    assert circles == []


def test_what_is_trusted_imports_only_what_is_trusted() -> None:
    assert [(a, b) for a, b in edges_from(TRUSTED) if room(b) not in TRUSTED] == []


def test_interface_and_judging_know_no_capability() -> None:
    common = TRUSTED_BY_ALL
    assert [(a, b) for a, b in edges_from(common) if room(b) not in common] == []


@pytest.mark.parametrize("capability", sorted(BUILT_ON))
def test_a_capability_imports_those_its_problems_are_stated_in(capability: str) -> None:
    allowed = {*TRUSTED_BY_ALL, capability, *BUILT_ON[capability]}
    assert [(a, b) for a, b in edges_from({capability}) if room(b) not in allowed] == []


def test_plugins_import_no_other_plugin_and_nothing_imports_them() -> None:
    wrong = [
        (a, b)
        for a, b in imports().edges
        if room(b).startswith("sparseopt_") and room(a) != room(b)
    ]
    assert wrong == []


def test_choosing_does_not_know_what_stands_on_top() -> None:
    above = {"cli", "testing"}
    assert [(a, b) for a, b in edges_from({"choosing", "tools"}) if room(b) in above] == []


def test_packages_hold_no_code() -> None:
    """Each name is written once: a package re-exports nothing but the layers of networks."""
    holding = {
        name
        for name, path in modules().items()
        if path.name == "__init__.py" and "import" in path.read_text(encoding="utf-8")
    }
    assert holding == {"sparseopt", "sparseopt.networks", "sparseopt.testing"}


def test_records_of_arrays_are_not_compared_by_value() -> None:
    """Arrays have no truth value: `==` of such a record raises from Python 3.13 on."""
    assert [name for name in modules() for name in compared_arrays(name)] == []


def compared_arrays(module: str) -> list[str]:
    """Return the dataclasses of a module that hold arrays and have the default `==`."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        decorators = [ast.unparse(d) for d in node.decorator_list]
        fields = [ast.unparse(f.annotation) for f in node.body if isinstance(f, ast.AnnAssign)]
        own = any(isinstance(f, ast.FunctionDef) and f.name == "__eq__" for f in node.body)
        if any(d.startswith("dataclass") and "eq=False" not in d for d in decorators) and not own:
            held = [f for f in fields if re.search(r"ndarray|Tensor\b", f)]
            found += [f"{module}.{node.name}"] if held else []
    return found
