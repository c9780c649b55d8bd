"""Quantization of the layers of a torch model that keep a product of sparse factors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.choosing.solving import solve
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.solution import Solution
from sparseopt.quantization.number_format import NumberFormat
from sparseopt.quantization.product import ProductQuantization
from sparseopt.quantization.rank_one import FormatLike, as_format

_STORED = {"bf16": "bfloat16", "fp16": "half"}
"""Formats that torch computes in, and the methods that convert to them."""
_EXPONENT = 8
"""Bits of the exponent that a value of F_t is counted with."""


@dataclass(frozen=True)
class QuantizedLayer:
    """What became of one layer.

    Attributes
    ----------
    name : str
        In the model; empty for the model itself.
    values : int
        Of all factors.
    bits_before, bits_after : int
        Of all values; those of F_t count t digits and 8 for the exponent.
    relative_error, nearest_relative_error : float
        Of the weight, in the Frobenius norm: certified, and what rounding each value would have.
    bytes : int
        That the parameters of the layer take in memory now.
    solution : Solution
    """

    name: str
    values: int
    bits_before: int
    bits_after: int
    relative_error: float
    nearest_relative_error: float
    bytes: int
    solution: Solution[KroneckerProduct, Any]


@dataclass(frozen=True)
class Quantization:
    """The report of `quantize`; printable.

    Attributes
    ----------
    layers : tuple of QuantizedLayer
    accuracy_before, accuracy_after : float or None
        What the function says that was given.
    """

    layers: tuple[QuantizedLayer, ...]
    accuracy_before: float | None = None
    accuracy_after: float | None = None

    def __str__(self) -> str:
        lines = [
            f"{layer.name or 'the layer'}: {layer.values} values, {layer.bits_before} to "
            f"{layer.bits_after} bits, relative error {layer.relative_error:.3g} (rounding to "
            f"nearest: {layer.nearest_relative_error:.3g}), {layer.bytes} bytes in memory"
            for layer in self.layers
        ]
        if self.accuracy_before is not None:
            lines.append(f"accuracy {self.accuracy_before:.6g}, now {self.accuracy_after:.6g}")
        return "\n".join(lines)


def quantize(
    model: Any,
    format: FormatLike = None,
    *,
    relative_error: float | None = None,
    store: bool = False,
    accuracy: Callable[[Any], float] | None = None,
    solver: str | None = None,
    **options: Any,
) -> Quantization:
    """Quantize, in place, the factors of all `KroneckerLinear` layers of a torch model.

    Parameters
    ----------
    model : torch.nn.Module
        A layer, or a model with some. Other parameters, biases too, are left as they are.
    format : NumberFormat, str or int
        See `ProductQuantization`; or None with `relative_error`.
    relative_error : float or None
        Of the weight of each layer, with as few digits as are found.
    store : bool
        Whether factors and bias become tensors of the format's dtype, bfloat16 or float16, which
        the operand of the layer must then have, too. Else they keep their dtype, and casts to the
        format change nothing.
    accuracy : callable or None
        Of the model; called before and after.
    solver, options
        For `solve`.

    Returns
    -------
    Quantization
        One entry for each layer.

    Raises
    ------
    ProblemError
        If the model is no torch module or has no such layer, if `store` is asked for with another
        format; see `ProductQuantization` for the rest. The model is changed only if all is well.

    Examples
    --------
    >>> import torch, sparseopt as so
    >>> _ = torch.manual_seed(0)
    >>> layer = so.KroneckerLinear(16, 16, so.Architecture.square_dyadic(16))
    >>> (report,) = so.quantize(layer, "e4m3").layers
    >>> report.bits_before, report.bits_after
    (4096, 1024)
    >>> 2 * report.relative_error < report.nearest_relative_error
    True
    """
    form = as_format(format)
    if (form is None) == (relative_error is None):
        raise ProblemError("give a format, or a relative error")
    if store and (form is None or form.name not in _STORED):
        raise ProblemError(f"store=True takes the formats {', '.join(_STORED)}, got {form}")
    found = list(_layers(model))
    before = None if accuracy is None else float(accuracy(model))
    solutions = []
    for _, layer in found:
        given = KroneckerProduct(tuple(map(_as_array, layer.factors)), layer.architecture)
        problem = ProductQuantization(given, form, relative_error)
        solutions.append(solve(problem, solver, **options))
    sizes = [[8 * f.element_size() * f.numel() for f in layer.factors] for _, layer in found]
    for (_, layer), solution in zip(found, solutions, strict=True):
        _put(layer, solution.answer, form if store else None)
    rows = zip(found, sizes, solutions, strict=True)
    layers = tuple(_row(name, layer, sum(size), form, s) for (name, layer), size, s in rows)
    after = None if accuracy is None else float(accuracy(model))
    return Quantization(layers, before, after)


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    """Return the layers with Kronecker-sparse factors, by name; refuse if there are none."""
    if not hasattr(model, "named_modules"):
        raise ProblemError(
            f"quantize takes a torch module, got a {type(model).__name__}; for a product of "
            "factors solve a ProductQuantization"
        )
    count = 0
    for name, module in model.named_modules():
        if hasattr(module, "architecture") and hasattr(module, "factors"):
            count += 1
            yield name, module
    if not count:
        raise ProblemError("the model has no KroneckerLinear layer; see so.compress")


def _as_array(parameter: Any) -> np.ndarray:
    """Return a copy of the values of a parameter; those of 16 bits in single precision."""
    tensor = parameter.detach().cpu()
    if tensor.element_size() == 2:
        tensor = tensor.float()
    found: np.ndarray = tensor.resolve_conj().numpy().copy()
    return found


def _put(layer: Any, product: KroneckerProduct, form: NumberFormat | None) -> None:
    """Put values into the parameters of a layer, in the dtype of a format if one is given."""
    for parameter, values in zip(layer.factors, product.factors, strict=True):
        # In place, and without the gradient: what a layer remembers goes by torch's counters.
        kept = parameter.detach()
        kept.copy_(kept.new_tensor(np.array(values)))
        if form is not None:
            parameter.data = getattr(parameter.data, _STORED[form.name])()
            parameter.detach().mul_(1)
    if form is not None and layer.bias is not None:
        layer.bias.data = getattr(layer.bias.data, _STORED[form.name])()


def _row(
    name: str, layer: Any, before: int, form: NumberFormat | None, solution: Any
) -> QuantizedLayer:
    """Return the report of a layer."""
    certificate = solution.certificate
    sizes = [f.numel() for f in layer.factors]
    digits = certificate.digits if form is None else (form.digits,) * len(sizes)
    each = [t + _EXPONENT if form is None or form.bits is None else form.bits for t in digits]
    parameters = list(layer.parameters(recurse=True))
    return QuantizedLayer(
        name,
        sum(sizes),
        before,
        sum(n * b for n, b in zip(sizes, each, strict=True)),
        certificate.relative_error,
        certificate.nearest_relative_error,
        sum(p.element_size() * p.numel() for p in parameters),
        solution,
    )
