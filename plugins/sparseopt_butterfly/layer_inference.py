"""How `KroneckerLinear` multiplies where no gradient is asked for: by the library's own product.

Merged values, and what compiled kernels prepare, are remembered until a parameter changes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

import sparseopt as so
from sparseopt_butterfly.kernel_loading import LOADING
from sparseopt_butterfly.parameter_lock import LOCK

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
        if type(x) is not torch.Tensor or _is_followed() or not x.is_cpu:
            return None
        if torch.is_grad_enabled() and _wants_gradients(x, bias, factors):
            return None
        try:
            if not _has_memory(x):
                return None
            with LOCK:
                lanes = self._lanes.get(x.dtype)
                if lanes is None and x.dtype not in self._lanes and _KERNELS in sys.modules:
                    self._lanes[x.dtype] = lanes = _lanes_of(architecture, x.dtype)
                if lanes is not None and lanes.reads(factors, bias):
                    return lanes.times(x.contiguous())  # type: ignore[no-any-return]
                if bias is not None and bias.shape != architecture.shape[:1]:
                    return None
                parameters = factors if bias is None else [*factors, bias]
                key = list(map(_place, parameters))
                if self._rows is not None and key == self._key and x.dtype is self._rows.dtype:
                    done = self._rows(x.contiguous())
                    if done is not None:
                        return done  # type: ignore[no-any-return]
                with np.errstate(all="ignore"):  # as torch
                    product = self._product_of(key, parameters, len(factors), architecture, len(x))
                if product is None or x.dtype != parameters[0].dtype:
                    return None
                if self._rows is not None:
                    return self._rows(x.contiguous())  # type: ignore[no-any-return]
                own = None if bias is None else self._arrays[-1]
            with np.errstate(all="ignore"):
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
        if type(x) is not torch.Tensor or _is_followed() or not x.is_cpu:
            return None
        if torch.is_grad_enabled() and _wants_gradients(x, None, factors):
            return None
        try:
            if not _has_memory(x):
                return None
            with LOCK, np.errstate(all="ignore"):
                key = list(map(_place, factors))
                product = self._product_of(key, factors, len(factors), architecture, batch)
        except RuntimeError:
            return None
        return product if x.dtype == factors[0].dtype else None

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
        parameters = factors if bias is None else [*factors, bias]
        try:
            with LOCK:
                if not _has_memory(x):
                    return None
                lanes = self._lanes.get(x.dtype)
                if lanes is not None and lanes.reads(factors, bias):
                    return _trained(lanes, written_out)
                if x.dtype != factors[0].dtype or not _fits_numpy(parameters):
                    return None
                if [tuple(f.shape) for f in factors] != [p.values_shape for p in architecture]:
                    return None
                if bias is not None and bias.shape != architecture.shape[:1]:
                    return None
                if not _training_pays(x, architecture):
                    return None
                if x.dtype not in self._lanes:
                    self._lanes[x.dtype] = lanes = _lanes_of(architecture, x.dtype)
                if lanes is not None and lanes.reads(factors, bias):
                    return _trained(lanes, written_out)
        except RuntimeError:  # a tensor of `torch.func`
            return None
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


def _trained(lanes: Any, written_out: Callable[..., torch.Tensor]) -> Any:
    from sparseopt_butterfly.in_place import TrainedInPlace

    return TrainedInPlace(lanes, written_out)


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
    """Whether autocast, a compiler, a tracer or forward differentiation has to see the operators
    of torch."""
    return (
        forward_ad._current_level >= 0
        or torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None  # the short way of torch.jit.is_tracing
        or torch.is_autocast_enabled("cpu")
    )


def _has_memory(x: torch.Tensor) -> bool:
    """Whether the values of a tensor stand in memory, with their signs; RuntimeError of a tensor
    that is not strided."""
    return not x.is_neg() and (x.data_ptr() != 0 or not x.numel())


def _place(parameter: torch.Tensor) -> tuple[Any, ...]:
    """Return what says where values lie, and in which order."""
    return (parameter.data_ptr(), parameter.is_contiguous(), parameter.is_neg(), parameter.shape)


def _fits_numpy(parameters: Sequence[torch.Tensor]) -> bool:
    dtypes = {p.dtype for p in parameters}
    in_place = all(p.is_cpu and p.is_contiguous() and _has_memory(p) for p in parameters)
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
