"""Sparse deep learning and structured matrices with answers that come with proofs.

The public names stand in ``__init__.pyi``. They are imported at first use, so that importing
sparseopt costs little more than NumPy and SciPy.
"""

import ast
import importlib
import sys
from pathlib import Path
from typing import Any

from sparseopt.choosing.offers import tool as _tool
from sparseopt.choosing.wiring import fill_seams as _fill_seams


def _homes(stub: str) -> dict[str, str]:
    """Return public name to module, from the imports of the stub."""
    nodes = ast.parse(stub).body
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.name: str(node.module) for node in imports for name in node.names}


_HOMES = _homes(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))

_fill_seams()

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return globals().setdefault(name, version("sparseopt"))
    home = _HOMES.get(name)
    if home is None:
        here = sys.modules[__name__]
        raise AttributeError(f"module 'sparseopt' has no attribute {name!r}", name=name, obj=here)
    if home.startswith("sparseopt."):
        value = getattr(importlib.import_module(home), name)
    else:  # of a plugin, such as a torch layer: where its library is absent, it says the remedy
        value = _tool(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
