"""The calls of CuPy in the plugin: the stand-in has them all, and no others; so has CuPy."""

from __future__ import annotations

import ast
from functools import reduce
from pathlib import Path

import cupy_double
import pytest

ROOT = Path(__file__).parent.parent.parent.parent
PLUGIN = ROOT / "plugins" / "sparseopt_cupy"


def chain_of(node: ast.AST) -> list[str] | None:
    """Return the names of an attribute that starts at ``cupy``."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return names[::-1] if isinstance(node, ast.Name) and node.id == "cupy" else None


def calls() -> set[str]:
    """Return what the plugin uses of CuPy, by its longest names."""
    found: set[str] = set()
    for path in PLUGIN.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            chain = chain_of(node)
            if chain:
                found.add(".".join(chain))
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def names_of(module: object, prefix: str = "") -> set[str]:
    """Return what the stand-in provides."""
    found = set()
    for name, value in vars(module).items():
        if name.startswith("__") and name != "__version__":
            continue
        nested = type(value).__name__ in ("SimpleNamespace", "module")
        found |= names_of(value, f"{prefix}{name}.") if nested else {prefix + name}
    return found


def test_the_stand_in_provides_what_is_used_and_nothing_else() -> None:
    provided = names_of(cupy_double.module())
    # The core asks an array's own module; tests ask for the class and the error.
    others = {"asarray", "linalg.inv", "ndarray", "cuda.runtime.CUDARuntimeError"}
    assert calls() | others == provided


def test_cupy_has_what_is_used() -> None:
    cupy = pytest.importorskip("cupy", exc_type=ImportError)
    for name in calls() - {"cuda.cublas.gemmStridedBatchedEx"}:
        reduce(getattr, name.split("."), cupy)
    assert cupy.ndarray.__module__ == "cupy"
    assert hasattr(cupy.ndarray, "__cuda_array_interface__")
    for name in vars(cupy_double.ndarray):
        if name not in ("__doc__", "__dict__", "__weakref__", "__init__", "_like", "held"):
            assert hasattr(cupy.ndarray, name), name


def test_only_the_plugin_names_cupy() -> None:
    """Trusted code, tools and other plugins import it nowhere."""
    for folder in ("sparseopt", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            if PLUGIN in path.parents:
                continue
            text = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(text)) if "cupy" in text else ():
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                assert not any(name.split(".")[0] in ("cupy", "cupyx") for name in names), path
