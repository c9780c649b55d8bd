"""The public names: one table for users, type checkers and the lazy loader."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys

import pytest

import sparseopt as so

TREE = ast.parse(inspect.getsource(so))


def imported(node: ast.AST) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for item in ast.walk(node):
        if isinstance(item, ast.ImportFrom) and (item.module or "").startswith("sparseopt."):
            found.setdefault(str(item.module), set()).update(alias.name for alias in item.names)
    return found


def test_the_lazy_table_is_what_type_checkers_see() -> None:
    guarded = next(item for item in TREE.body if isinstance(item, ast.If))
    assert imported(guarded) == {module: set(names) for module, names in so.DOMAINS.items()}


def test_all_lists_every_public_name() -> None:
    names = {name for group in imported(TREE).values() for name in group}
    assert set(so.__all__) == names
    assert names <= set(dir(so))


def test_every_lazy_name_is_there() -> None:
    for module, names in so.DOMAINS.items():
        for name in names:
            assert getattr(so, name) is getattr(importlib.import_module(module), name)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = so.Nonsense


def test_a_file_of_any_domain_is_read_without_importing_it_first(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "solution.json"
    path.write_text(so.solve(so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]])).to_json())
    code = f"import sparseopt as so; print(so.verify({str(path)!r}).ok)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
