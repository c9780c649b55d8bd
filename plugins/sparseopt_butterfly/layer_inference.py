"""How `KroneckerLinear` multiplies where no gradient is asked for: by the library's own product.

Merged values, and what compiled kernels prepare, are remembered until a parameter changes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
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
    at each call the values themselves are compared with those of before, by a number that depends
    on each of them.
    """

    def __init__(self) -> None:
        self._key: list[Any] = []
        self._arrays: list[np.ndarray] = []
        self._watch: Any = None
        self._product: so.KroneckerProduct | None = None
        self._rows: Any = None
        self._compiled = False
        self._lanes: dict[torch.dtype, Any] = {}

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
        if type(x) is not torch.Tensor or _is_followed():
            return None
        if torch.is_grad_enabled() and _wants_gradients(x, bias, factors):
            return None
        try:
            lanes = self._lanes.get(x.dtype)
            if lanes is None and x.dtype not in self._lanes and _KERNELS in sys.modules:
                self._lanes[x.dtype] = lanes = _lanes_of(architecture, x.dtype)
            if lanes is not None and x.is_cpu and lanes.reads(factors, bias):
                return lanes.times(x.contiguous())  # type: ignore[no-any-return]
            parameters = factors if bias is None else [*factors, bias]
            key = [(p.data_ptr(), p.is_contiguous()) for p in parameters]
            if self._rows is not None and key == self._key and x.dtype is self._rows.dtype:
                done = self._rows(x.contiguous()) if x.is_cpu else None
                if done is not None:
                    return done  # type: ignore[no-any-return]
            with np.errstate(all="ignore"):  # as torch
                product = self._product_of(key, parameters, len(factors), architecture, len(x))
                if product is None or x.dtype != parameters[0].dtype or not x.is_cpu:
                    return None
                if self._rows is not None:
                    return self._rows(x.contiguous())  # type: ignore[no-any-return]
                own = None if bias is None else self._arrays[-1]
                return torch.from_numpy(_times(product, x.detach().numpy(), own))
        except RuntimeError:  # a tensor of `torch.func`, which has no values of its own
            return None

    def product(
        self,
        x: torch.Tensor,
        factors: Sequence[torch.Tensor],
        architecture: so.Architecture,
        batch: int,
    ) -> so.KroneckerProduct | None:
        """Return the weight as a product of NumPy factors, for so many columns like those of x;
        None if torch has to multiply."""
        if type(x) is not torch.Tensor or _is_followed():
            return None
        if torch.is_grad_enabled() and _wants_gradients(x, None, factors):
            return None
        try:
            key = [(p.data_ptr(), p.is_contiguous()) for p in factors]
            x.data_ptr()
            with np.errstate(all="ignore"):
                product = self._product_of(key, factors, len(factors), architecture, batch)
        except RuntimeError:
            return None
        fits = product is not None and x.dtype == factors[0].dtype and x.is_cpu
        return product if fits else None

    def _product_of(
        self,
        key: list[Any],
        parameters: Sequence[torch.Tensor],
        count: int,
        architecture: so.Architecture,
        batch: int,
    ) -> so.KroneckerProduct | None:
        """Return the product of the first parameters, None if NumPy cannot hold them."""
        moved = key != self._key
        if moved:
            self._key, self._rows = key, None
            fits = _fits_numpy(parameters)
            self._arrays = [p.detach().numpy() for p in parameters] if fits else []
        factors = self._arrays[:count]
        if self._watch is None or not self._watch.holds(factors):
            self._rows, self._compiled, self._product = None, False, None
            self._watch = _watched(factors)
            if self._watch.finite:
                self._product = so.KroneckerProduct(factors, architecture)
        product = self._product
        if product is None:
            return None
        if not self._compiled and _kernels_pay(product, batch):
            self._product = product = product.accelerated()
            self._compiled = True
            product.plan(1)  # loads the kernels
            self._watch = _watched(factors)
            moved = True
        if self._compiled and moved:
            from sparseopt_butterfly.row_chain import RowChain

            plan: Any = product.plan(16)
            if RowChain.takes(plan, architecture):
                bias = self._arrays[count] if count < len(parameters) else None
                self._rows = RowChain(factors, architecture, plan, bias, self._watch)
        return product


class CompiledTraining:
    """Whether compiled kernels take a call with gradients, and the chain that does."""

    def __init__(self) -> None:
        self._runs: Any = ()
        self._lanes: dict[torch.dtype, Any] = {}

    def __deepcopy__(self, memo: Any) -> CompiledTraining:
        return CompiledTraining()

    def __reduce__(self) -> Any:
        return CompiledTraining, ()

    def chain(
        self,
        x: torch.Tensor,
        factors: Sequence[torch.Tensor],
        bias: torch.Tensor | None,
        architecture: so.Architecture,
        written_out: Callable[..., torch.Tensor],
        merges: bool,
    ) -> Any:
        """Return what multiplies x (batch, n) with gradients, None if torch has to.

        `written_out` is the same in operators of torch, which `merges` factors or does not.
        """
        if type(x) is not torch.Tensor or _is_followed() or not x.numel() or not x.is_cpu:
            return None
        if torch.autograd.forward_ad._current_level >= 0:
            return None
        try:
            x.data_ptr()
            lanes = self._lanes.get(x.dtype)
            if lanes is not None and lanes.chain.reads(factors, bias):
                return lanes
            parameters = factors if bias is None else [*factors, bias]
            any(p.data_ptr() == 0 for p in parameters)
        except RuntimeError:  # a tensor of `torch.func`
            return None
        if x.dtype != factors[0].dtype or not _fits_numpy(parameters):
            return None
        if not _training_pays(x, architecture):
            return None
        if x.dtype not in self._lanes:
            self._lanes[x.dtype] = found = _lanes_of(architecture, x.dtype)
            if found is not None:
                from sparseopt_butterfly.in_place import TrainedInPlace

                self._lanes[x.dtype] = lanes = TrainedInPlace(found, written_out)
                return lanes if lanes.chain.reads(factors, bias) else None
        from sparseopt_butterfly import training_chain

        if self._runs == ():
            self._runs = training_chain.runs_of(architecture)
        if self._runs is not None:
            return training_chain.TrainedChain(self._runs, written_out)
        if merges:
            return None
        from sparseopt_butterfly.block_chain import TrainedBlocks, is_block_chain

        takes = is_block_chain(architecture, x.shape[0])
        return TrainedBlocks(architecture, written_out) if takes else None


class _Dots:
    """Whether arrays are as they were, by their products with fixed random vectors.

    For as long as no compiled kernels are loaded; a change that this does not show is below the
    rounding error of the layer itself.
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        random = np.random.default_rng(0)
        self._weights = [random.uniform(-1, 1, a.size).astype(a.dtype) for a in arrays]
        self._figures = self._of(arrays)

    def _of(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        flat = [array.reshape(-1) for array in arrays]
        return list(map(np.dot, flat, self._weights))

    @property
    def finite(self) -> bool:
        """Whether there are values, all of them finite."""
        return bool(self._figures) and bool(np.isfinite(self._figures).all())

    def holds(self, arrays: Sequence[np.ndarray]) -> bool:
        """Whether these arrays have the values of before."""
        return len(arrays) == len(self._weights) and self._figures == self._of(arrays)


def _watched(arrays: Sequence[np.ndarray]) -> Any:
    """Return what tells whether arrays change: all bits of them, once kernels are loaded."""
    if _KERNELS not in sys.modules or not arrays:
        return _Dots(arrays)
    from sparseopt_butterfly.row_chain import Digest

    return Digest(arrays)


def runs_along_rows(architecture: so.Architecture, dtype: np.dtype) -> bool:
    """Whether compiled kernels, once loaded, take rows and factors where they are."""
    if _KERNELS not in sys.modules or dtype not in (np.float32, np.float64):
        return False
    return _kind_of(architecture, dtype.itemsize) is not None


def _lanes_of(architecture: so.Architecture, dtype: torch.dtype) -> Any:
    """Return the compiled chain that reads rows and factors where they are, None if there is none
    for this architecture and type."""
    if dtype not in (torch.float32, torch.float64):
        return None
    kind = _kind_of(architecture, dtype.itemsize)
    return None if kind is None else kind(architecture, dtype)


def _kind_of(architecture: so.Architecture, itemsize: int) -> Any:
    from sparseopt_butterfly.lane_chain import LaneChain, is_lane_chain

    if is_lane_chain(architecture, itemsize):
        return LaneChain
    from sparseopt_butterfly.panel_chain import PanelChain, is_panel_chain

    return PanelChain if is_panel_chain(architecture, itemsize) else None


def _wants_gradients(
    x: torch.Tensor, bias: torch.Tensor | None, factors: Sequence[torch.Tensor]
) -> bool:
    """Whether gradients will be asked for, where they are enabled."""
    if x.requires_grad or (bias is not None and bias.requires_grad):
        return True
    return any(factor.requires_grad for factor in factors)


def _is_followed() -> bool:
    """Whether autocast, a compiler or a tracer has to see the operators of torch."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None  # the short way of torch.jit.is_tracing
        or torch.is_autocast_enabled("cpu")
    )


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


def _training_pays(x: torch.Tensor, architecture: so.Architecture) -> bool:
    """Whether compiled kernels are loaded, or earlier steps have made up for loading them.

    They save about 2 ns for each multiplication of a value with an entry of x.
    """
    global _saved
    if _KERNELS in sys.modules:
        return True
    _saved += 2e-9 * architecture.nnz * len(x)
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
