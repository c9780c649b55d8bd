"""Products of Kronecker-sparse factors in files, as commands read and write them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.cli.streams import STREAM, put_arrays, put_text
from sparseopt.interface.printing import short
from sparseopt.judging.array_files import read_arrays
from sparseopt.judging.files import read_text

OUTPUTS = (".json", ".npz", ".safetensors")


def require_output(output: str | None) -> None:
    """Refuse an output that no product can be written to, before any work."""
    if output not in (None, STREAM) and Path(str(output)).suffix.lower() not in OUTPUTS:
        raise so.ProblemError(f"--output must end in {', '.join(OUTPUTS)}, got {short(output)}")


def read_product(file: str) -> so.KroneckerProduct:
    """Return the product that a file holds."""
    suffix = Path(file).suffix.lower()
    if suffix == ".npz":
        return _from_arrays(file, read_arrays(file))
    if suffix not in OUTPUTS:
        raise so.ProblemError(f"{file!r} must end in {', '.join(OUTPUTS)}")
    found: Any
    if suffix == ".safetensors":
        found = so.load_safetensors(file)
        found = getattr(found, "product", found)  # of a layer
    else:
        found = so.from_json(read_text(file))
        found = getattr(found, "answer", found)
    if not isinstance(found, so.KroneckerProduct):
        raise so.ProblemError(
            f"{file!r} must hold a KroneckerProduct, or a solution with one, got a "
            f"{type(found).__name__}"
        )
    return found.to_numpy()


def write_product(output: str, solution: so.Solution) -> None:
    """Write the solution (.json), or its factors."""
    suffix = Path(output).suffix.lower()
    if output == STREAM or suffix == ".json":
        put_text(output, solution.to_json())
        return
    product = solution.answer
    if suffix == ".safetensors":
        so.save_safetensors(product, output)
        return
    arrays: dict[str, Any] = {}
    if isinstance(product, so.PermutedKroneckerProduct):
        arrays = {"rows": product.rows, "columns": product.columns}
        product = product.product
    put_arrays(output, arrays | {f"factor_{i}": each for i, each in enumerate(product.factors)})


def _from_arrays(file: str, arrays: dict[str, np.ndarray]) -> so.KroneckerProduct:
    """Return the product of the arrays factor_0, factor_1, ... of shapes (a, b, c, d)."""
    names = [f"factor_{i}" for i in range(len(arrays))]
    if not arrays or sorted(arrays) != sorted(names):
        wrong = sorted(set(arrays) - {n for n in arrays if re.fullmatch(r"factor_\d+", n)})
        raise so.ProblemError(
            f"{file!r} must hold factor_0, factor_1, ..., got {', '.join(wrong or sorted(arrays))}"
        )
    factors = [arrays[name] for name in names]
    for name, factor in zip(names, factors, strict=True):
        if factor.ndim != 4:
            raise so.ProblemError(f"{name} of {file!r} must have a shape (a, b, c, d)")
    return so.KroneckerProduct(factors, so.Architecture([f.shape for f in factors]))
