"""How `KroneckerLinear` multiplies where no gradient is asked for: by the library's own product.

Merged values, and what compiled kernels prepare, are remembered until a parameter changes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import sparseopt as so
from sparseopt_butterfly.kernel_loading import LOADING

_KERNELS = "sparseopt_butterfly.fused_kernels"
_saved = 0.0


class RememberedProduct:
    """The weight of a layer as a product of NumPy factors that share memory with the parameters.

    It is made anew when a parameter was replaced, moved or changed. torch counts changes in place
    but for those through ``.data``, which polyak averaging and pruning are often written with; so
    the values are compared too, by their product with a fixed random vector: a change that this
    does not show is below the rounding error of the layer itself.
    """

    def __init__(self) -> None:
        self._key: list[Any] = []
        self._product: so.KroneckerProduct | None = None
        self._bias: np.ndarray | None = None
        self._flat: list[np.ndarray] = []
        self._weights: list[np.ndarray] = []
        self._figures: list[Any] = []
        self._compiled = False

    def __deepcopy__(self, memo: Any) -> RememberedProduct:
        return RememberedProduct()

    def __reduce__(self) -> Any:
        return RememberedProduct, ()

    def __call__(
        self,
        x: torch.Tensor,
        factors: Sequence[torch.Tensor],
        bias: torch.Tensor | None,
        architecture: so.Architecture,
    ) -> torch.Tensor | None:
        """Return x (batch, n) times the transposed weight, plus the bias; None if torch has to.

        It has to where gradients, autocast, a compiler or a tracer look on, and where operand and
        parameters are not all float32, or all float64, tensors on the CPU with finite values.
        """
        parameters = factors if bias is None else [*factors, bias]
        if type(x) is not torch.Tensor or _is_watched(x, parameters):
            return None
        with np.errstate(all="ignore"):  # as torch
            product = self._product_of(parameters, len(factors), architecture, len(x))
            if product is None or x.dtype != parameters[0].dtype or x.device.type != "cpu":
                return None
            try:
                rows = x.detach().numpy()
            except RuntimeError:  # a tensor of `torch.func`, which has no values of its own
                return None
            return torch.from_numpy(_times(product, rows, self._bias))

    def columns(
        self, x: torch.Tensor, factors: Sequence[torch.Tensor], architecture: so.Architecture
    ) -> torch.Tensor | None:
        """Return the weight times x (n, batch), without a bias; None if torch has to."""
        if type(x) is not torch.Tensor or _is_watched(x, factors):
            return None
        with np.errstate(all="ignore"):
            product = self._product_of(factors, len(factors), architecture, x.shape[1])
            if product is None or x.dtype != factors[0].dtype or x.device.type != "cpu":
                return None
            try:
                operand = x.detach().numpy()
            except RuntimeError:
                return None
            return torch.from_numpy(np.ascontiguousarray(product @ operand))

    def _product_of(
        self,
        parameters: Sequence[torch.Tensor],
        count: int,
        architecture: so.Architecture,
        batch: int,
    ) -> so.KroneckerProduct | None:
        """Return the product of the first parameters, None if NumPy cannot hold them."""
        key = [(id(p), p._version, p.data_ptr()) for p in parameters]
        if key != self._key or self._figures != list(map(np.dot, self._flat, self._weights)):
            self._key = key
            self._make(parameters, count, architecture)
        if self._product is not None and not self._compiled and _kernels_pay(self._product, batch):
            self._product, self._compiled = self._product.accelerated(), True
        return self._product

    def _make(
        self, parameters: Sequence[torch.Tensor], count: int, architecture: so.Architecture
    ) -> None:
        self._compiled, self._product, self._flat, self._weights = False, None, [], []
        if _fits_numpy(parameters):
            values = [p.detach().numpy() for p in parameters]
            self._flat = [v.reshape(-1) for v in values[:count]]
            random = np.random.default_rng(0)
            self._weights = [random.uniform(-1, 1, v.size).astype(v.dtype) for v in self._flat]
            self._bias = values[-1] if count < len(values) else None
        self._figures = list(map(np.dot, self._flat, self._weights))
        if self._flat and np.isfinite(self._figures).all():
            factors = [v.reshape(p.shape) for v, p in zip(self._flat, parameters, strict=False)]
            self._product = so.KroneckerProduct(factors, architecture)


def _is_watched(x: torch.Tensor, parameters: Sequence[torch.Tensor]) -> bool:
    """Whether torch itself has to multiply: for gradients, autocast, a compiler or a tracer."""
    if torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in parameters)):
        return True
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return True
    return torch.is_autocast_enabled("cpu")


def _fits_numpy(parameters: Sequence[torch.Tensor]) -> bool:
    dtypes = {p.dtype for p in parameters}
    in_place = all(p.device.type == "cpu" and p.is_contiguous() for p in parameters)
    return in_place and len(dtypes) == 1 and dtypes <= {torch.float32, torch.float64}


def _kernels_pay(product: so.KroneckerProduct, batch: int) -> bool:
    """Whether compiled kernels are loaded, or earlier calls have made up for loading them."""
    global _saved
    if _KERNELS in sys.modules:
        return True
    _saved += product.plan(max(batch, 1)).microseconds / 2e6
    return _saved > LOADING


def _times(product: so.KroneckerProduct, rows: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Return rows (batch, n) times the transposed product, plus the bias, contiguous."""
    if len(rows) == 1:
        y = product @ rows[0]
        return (y if bias is None else y + bias)[None]
    if _KERNELS in sys.modules:
        from sparseopt_butterfly.transposing import transposed

        return transposed(product @ transposed(rows), bias)
    x = torch.from_numpy(rows).T.contiguous().numpy()
    y = torch.from_numpy(product @ x).T.contiguous().numpy()
    return y if bias is None else np.add(y, bias, out=y)
