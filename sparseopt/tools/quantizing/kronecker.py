"""Quantization of the layers of a torch model that keep a product of sparse factors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.choosing.solving import solve
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.plan import SolveError
from sparseopt.interface.solution import Solution
from sparseopt.judging.scaling import times_power
from sparseopt.quantization.number_format import NumberFormat
from sparseopt.quantization.product import ProductQuantization
from sparseopt.tools.quantizing.codes import Rounding
from sparseopt.tools.quantizing.report import QuantizedLayer
from sparseopt.tools.quantizing.weighted import refined, weighted_error

_EXPONENT = 8
"""Bits of the exponent that a value of F_t is counted with."""
_SCALE = 8
"""Bits of a scale that is a power of two."""


@dataclass(frozen=True, eq=False)
class QuantizedFactors:
    """What is to become of one layer.

    Attributes
    ----------
    name : str
    layer : KroneckerLinear
    scales : tuple of float
        Powers of two; the factors divided by them are numbers of the format.
    solution : Solution
        Of the `ProductQuantization` of the factors divided by their scales.
    product : KroneckerProduct
        With the factors to be put into the layer.
    input_error : float or None
        Relative, weighted by the second moments of the inputs; None where these do not count.
    """

    name: str
    layer: Any
    scales: tuple[float, ...]
    solution: Solution[KroneckerProduct, Any]
    product: KroneckerProduct
    input_error: float | None = None

    @property
    def bits(self) -> int:
        """Of the factors in the layer as they are."""
        return sum(8 * f.element_size() * f.numel() for f in self.layer.factors)

    @property
    def relative_error(self) -> float:
        """Of the product, rounded up."""
        if self.input_error is None:
            return float(self.solution.certificate.relative_error)
        problem: Any = self.solution.problem
        codes = _times(self.product, self.scales, self.name, -1)
        return float(problem.error_of(codes).high(8))

    def put(self) -> None:
        """Put the factors into the layer."""
        put(self.layer, self.product.factors)

    def row(self, form: NumberFormat | None, before: int) -> QuantizedLayer:
        """Return the report of the layer as it is now."""
        certificate = self.solution.certificate
        sizes = [f.numel() for f in self.layer.factors]
        digits = certificate.digits if form is None else (form.digits,) * len(sizes)
        each = [t + _EXPONENT if form is None or form.bits is None else form.bits for t in digits]
        bits = sum(n * b for n, b in zip(sizes, each, strict=True))
        bits += _SCALE * sum(scale != 1.0 for scale in self.scales)
        parameters = list(self.layer.parameters(recurse=True))
        return QuantizedLayer(
            self.name,
            sum(sizes),
            before,
            bits,
            self.relative_error,
            certificate.nearest_relative_error,
            sum(p.element_size() * p.numel() for p in parameters),
            _dtype(self.layer.factors[0]),
            self.solution,
            input_error=self.input_error,
        )


def layers_with_factors(model: Any) -> list[tuple[str, Any]]:
    """Return the layers with Kronecker-sparse factors, by name."""
    if not hasattr(model, "named_modules"):
        return []
    return [
        (name, module)
        for name, module in model.named_modules()
        if hasattr(module, "architecture") and hasattr(module, "factors")
    ]


def quantized_factors(
    name: str,
    layer: Any,
    form: NumberFormat | None,
    relative_error: float | None,
    solver: str | None,
    options: dict[str, Any],
    moments: np.ndarray | None = None,
) -> QuantizedFactors:
    """Return the solution for one layer, which is left as it is.

    Integers, formats of fewer than 8 bits and those with a scale get a power of two for each
    factor, which divides its product exactly. `moments` are those of the inputs, see `weighted`.
    """
    given = KroneckerProduct(tuple(map(as_array, layer.factors)), layer.architecture)
    scales = (1.0,) * len(given.factors)
    if form is not None and Rounding.of(form, "tensor").scaled:
        form, blocks = NumberFormat(form.name), NumberFormat(form.name, "power_of_two")
        scales = tuple(float(blocks.block_scales(factor)) for factor in given.factors)
    problem = ProductQuantization(_times(given, scales, name, -1), form, relative_error)
    try:
        solution = solve(problem, solver, **options)
    except SolveError:
        if solver is not None or options.get("time_limit") is None:
            raise
        # Before a solver could begin.
        solution = solve(problem, "nearest", **{**options, "time_limit": None})
    if moments is None or form is None:
        return QuantizedFactors(
            name, layer, scales, solution, _times(solution.answer, scales, name)
        )
    best = refined(problem.product, solution.answer, form, moments)
    error = weighted_error(problem.product, best, moments)
    return QuantizedFactors(name, layer, scales, solution, _times(best, scales, name), error)


def _times(
    product: KroneckerProduct, scales: tuple[float, ...], name: str, sign: int = 1
) -> KroneckerProduct:
    """Return the product of a layer with its factors multiplied, or divided, by powers of two; in
    double precision where entries would leave the normal range of their own."""
    wide = [f.astype(np.result_type(f, np.float64)) for f in product.factors]
    powers = [sign * (math.frexp(scale)[1] - 1) for scale in scales]
    made = [times_power(f, power) for f, power in zip(wide, powers, strict=True)]
    for i, (f, g, power) in enumerate(zip(wide, made, powers, strict=True)):
        if not np.array_equal(times_power(g, -power), f):
            raise ProblemError(
                f"float64 does not hold factor {i} of layer {name!r} times 2^{power}, which its "
                "format needs: set entries far below the largest to zero, or share magnitudes out "
                "among the factors"
            )
    with np.errstate(over="ignore", under="ignore"):
        narrow = [f.astype(g.dtype) for f, g in zip(made, product.factors, strict=True)]
    exact = all(np.array_equal(f, g) for f, g in zip(narrow, made, strict=True))
    return replace(product, factors=tuple(narrow if exact else made))


def as_array(parameter: Any) -> np.ndarray:
    """Return a copy of the values of a parameter; those of 16 bits in single precision."""
    tensor = parameter.detach().cpu()
    if tensor.element_size() == 2:
        tensor = tensor.float()
    found: np.ndarray = tensor.resolve_conj().numpy().copy()
    return found


def held_factors(layer: Any) -> list[Any]:
    """Return the tensors that hold the factors of a layer, without their masks if there are any."""
    masked = layer.factors._parameters
    return [masked.get(f"{i}_orig", factor) for i, factor in enumerate(layer.factors)]


def put(layer: Any, factors: Any) -> None:
    """Put values into the parameters of a layer; nothing is changed where one does not fit."""
    held = [parameter.detach() for parameter in held_factors(layer)]
    made = [kept.new_tensor(np.array(own)) for kept, own in zip(held, factors, strict=True)]
    for tensor, values in zip(made, factors, strict=True):
        if not np.array_equal(as_array(tensor), values):
            raise ProblemError(f"{_dtype(tensor)} does not hold what a factor was quantized to")
    for kept, tensor in zip(held, made, strict=True):
        # In place, and without the gradient: what a layer remembers goes by torch's counters.
        kept.copy_(tensor)
    for hook in layer.factors._forward_pre_hooks.values():  # which put masks on
        hook(layer.factors, ())


def _dtype(parameter: Any) -> str:
    return str(parameter.dtype).removeprefix("torch.")
