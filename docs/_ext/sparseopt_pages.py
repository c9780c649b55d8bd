"""The pages of the API, from the stub that holds each public name once."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import Any

GROUPS = {
    "choosing": "Solve, plan, analyze",
    "interface": "What you implement, and what you are given back",
    "judging": "Verify and save",
    "closedness": "Closedness of supports",
    "training": "Training",
    "butterfly": "Butterfly products",
    "supports": "Factorization with fixed supports",
    "inverse": "Sparse recovery and regression",
    "networks": "Networks",
    "pathnorm": "Path-norms and Lipschitz bounds",
    "guarantees": "What data determine, and what changes move",
    "quantization": "Numbers of few bits",
    "tools": "Tools",
}
"""Folder of the library, or what follows ``sparseopt_`` of a plugin, and what its names are for."""


NAME = re.compile(r"(?:so\.|sparseopt\.)?(\w+)(?:\(.*\))?", re.DOTALL)


def public_names(stub: Path) -> dict[str, list[str]]:
    """Return the public names of each group."""
    found: dict[str, list[str]] = {group: [] for group in GROUPS}
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            parts = str(node.module).split(".")
            group = parts[1] if parts[0] == "sparseopt" else parts[0].removeprefix("sparseopt_")
            found[group] += [alias.name for alias in node.names]
    return {group: sorted(names, key=str.lower) for group, names in found.items()}


def name_of(text: str, known: set[str]) -> str | None:
    """Return the public name that an inline literal shows, if it shows one."""
    found = NAME.fullmatch(text)
    return found[1] if found and found[1] in known else None


def index(stub: Path) -> str:
    """Return the page that lists all names."""
    parts = [
        "API\n===\n",
        "All names import from ``sparseopt`` itself; write ``import sparseopt as so``. A page for",
        "each name shows its parameters, errors, sources, and the examples that use it.\n",
        ".. toctree::\n   :hidden:\n",
    ]
    for group, title in GROUPS.items():
        names = "\n".join(f"   sparseopt.{name}" for name in public_names(stub)[group])
        head = f"{title}\n{'-' * len(title)}\n"
        parts.append(
            f"{head}\n.. autosummary::\n   :toctree: names\n   :nosignatures:\n\n{names}\n"
        )
    for module, title in (
        ("sparseopt.estimators", "scikit-learn's interface"),
        ("sparseopt.testing", "For authors of plugins"),
    ):
        head = f"{title}\n{'-' * len(title)}\n"
        own = "\n".join(f"   {module}.{name}" for name in _exported(stub.parent, module))
        parts.append(f"{head}\n.. autosummary::\n   :toctree: names\n   :nosignatures:\n\n{own}\n")
    return "\n".join(parts)


def _exported(package: Path, module: str) -> list[str]:
    """Return the names of a module that has its own place: its ``__all__``, or what it imports."""
    path = package / module.partition(".")[2]
    source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    names: list[str] = []
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            names.append(node.name)
        elif isinstance(node, ast.ImportFrom) and source.name == "__init__.py":
            names += [alias.asname or alias.name for alias in node.names]
    return sorted(names)


def _write(app: Any, config: Any) -> None:
    del config
    docs = Path(app.srcdir)
    page = docs / "api" / "index.rst"
    shutil.rmtree(page.parent, ignore_errors=True)  # with pages of names that are gone
    page.parent.mkdir()
    page.write_text(index(docs.parent / "sparseopt" / "__init__.pyi"), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", _write)
    return {"parallel_read_safe": True}
