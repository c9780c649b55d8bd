"""Multiplication of arrays on CUDA devices by a product of factors: plans, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.interface.arrays import on_device
from sparseopt.interface.verdict import Unavailable
from sparseopt.tools.chain_plan import (
    MultiplicationPlan,
    Step,
    cheapest_steps,
    merged_group,
    merging_limit,
    planned_batch,
)
from sparseopt_cupy import device, launching, strided
from sparseopt_cupy.kernels.launches import SHARED_LIMIT, Layout, Pattern, Precision
from sparseopt_cupy.methods import METHODS, Methods, factor, run_of, supported
from sparseopt_cupy.rates import Rates

# Values of a merged group, as a multiple of all values of the chain: on a device products are
# worth more of them than on a processor, since every pass over the operand counts.
_MERGED_MULTIPLE = 16
# Results below so many bytes are not worth asking how much memory there is.
_SMALL = 1 << 26


class CudaMultiplication:
    """Plans and runs the multiplication by a chain of factors on CUDA devices.

    Parameters
    ----------
    factors : sequence of array (a, b, c, d)
        Of NumPy, which are copied to each device once, or of CuPy, or torch tensors.
    architecture : Architecture
    precision : "ieee", "tf32" or "tf32x3"
        Of float32.
    missing : function
        Says what is missing to run, None if nothing is.
    allowed : collection of str
        The methods that plans may use, for measurements; others where none of them can be used.
    """

    def __init__(
        self,
        factors: Sequence[Any],
        architecture: so.Architecture,
        precision: Precision = "ieee",
        missing: Callable[[], Unavailable | None] = lambda: None,
        allowed: Collection[str] = METHODS,
    ) -> None:
        self._factors = tuple(factors)
        self._architecture = architecture
        self._precision: Precision = precision
        self._missing = missing
        self._allowed = frozenset(allowed)
        self._plans: dict[tuple[Any, ...], MultiplicationPlan] = {}
        self._copies: dict[tuple[Any, str], tuple[Any, ...]] = {}
        self._prepared: dict[tuple[Any, ...], Any] = {}

    def plan(self, batch: int, dtype: Any, layout: Layout) -> MultiplicationPlan:
        """Return the plan for operands (n, batch) of a dtype, batch last or first in memory.

        It takes the figures of the current device, or where there is none those of an H100.
        """
        missing = self._missing()
        if missing is not None:
            rates, limit, note = Rates.of("an H100"), SHARED_LIMIT, f"{missing}"
        else:
            rates, limit = figures(launching.current_device())
            note = f"figures of the device: {rates}"
        return self._planned(batch, np.dtype(dtype).name, layout, rates, limit, note)

    def _planned(
        self, batch: int, dtype: str, layout: Layout, rates: Rates, limit: int, note: str = ""
    ) -> MultiplicationPlan:
        batch = planned_batch(batch)
        key = batch, dtype, layout, rates.name
        if key not in self._plans:
            _require_supported(dtype)
            patterns = self._architecture.patterns
            most = merging_limit(self._architecture, _MERGED_MULTIPLE)
            most = 0 if dtype == "bfloat16" else most  # CuPy does not merge them
            methods = Methods(batch, dtype, self._precision, layout, rates, limit, most)

            def offers(first: int, last: int, pattern: KroneckerPattern) -> list[Step]:
                found = methods.offers(first, last, pattern, patterns[first : last + 1])
                wanted = [step for step in found if step.method in self._allowed]
                return wanted or (found if first == last else [])

            steps, separately = cheapest_steps(self._architecture, offers)
            kind = f" ({self._precision})" if dtype == "float32" else ""
            where = f"{rates.name}, products{kind} with the batch {layout}, {rates.source} figures"
            self._plans[key] = MultiplicationPlan(
                steps, batch, np.dtype(dtype), separately, note, where
            )
        return self._plans[key]

    def matmat(self, x: Any) -> Any:
        """Return the product with (n, batch), an array of CuPy or a CUDA tensor of torch.

        Both layouts are taken as they lie; other strides are copied first. Integers and booleans
        are multiplied as NumPy promotes them; complex operands of a real chain as twice as many
        real columns.

        Raises
        ------
        ProblemError
            If factors and operand lie on different devices, its dtype has no kernels, the result
            does not fit into the memory that is free, or there is no device that fits.
        """
        if hasattr(x, "detach"):
            return self._times_tensor(x)
        missing = self._missing()
        if missing is not None:
            raise so.ProblemError(f"arrays on a device cannot be multiplied here: {missing}")
        self._require_place(x)
        try:
            with x.device:
                return self._times(x)
        except RuntimeError as error:  # all errors of driver, compiler and library are such
            said = " ".join(str(error).split())
            raise RuntimeError(
                f"CUDA device {x.device.id} stopped while multiplying: {said}; factors and operand "
                "were not written to; if the device itself failed, start a new process"
            ) from error

    def _times_tensor(self, x: Any) -> Any:
        """Return the product with a tensor: by the plan where factors cannot change and no gradient
        is asked for, else with gradients, by torch itself where CuPy is not there."""
        import torch

        from sparseopt.choosing import offers

        tensors = self._tensors(x)
        x = x.to(tensors[0].dtype)
        chain = offers.engine("CudaChain")
        if chain.availability() is not None or _is_followed(x):
            return so.KroneckerProduct(tensors, self._architecture).one_by_one(x)
        fixed = not hasattr(self._factors[0], "detach")
        if fixed and not (x.requires_grad and torch.is_grad_enabled()) and x.shape[1]:
            from sparseopt_cupy.tensors import as_array, current_stream

            with current_stream(x):
                if x.T.is_contiguous() and not x.is_contiguous():
                    return torch.from_dlpack(self._times(as_array(x.T).T).T).T
                return torch.from_dlpack(self._times(as_array(x.contiguous())))
        return chain.cls(self._architecture, self._precision)(x, tensors)

    def _tensors(self, x: Any) -> tuple[Any, ...]:
        """Return the factors as tensors beside x, in the dtype that torch promotes all to; those
        that are not tensors are copied once."""
        import torch

        if hasattr(self._factors[0], "detach"):
            dtype = torch.result_type(x, self._factors[0])
            return tuple(f.to(x.device, dtype) for f in self._factors)
        key = str(x.device), str(x.dtype)
        if key not in self._copies:
            kinds = {str(f.dtype) for f in self._factors}
            own = torch.from_numpy(np.empty(0, np.result_type(*kinds))).dtype
            dtype = torch.promote_types(x.dtype, own)
            self._copies[key] = tuple(
                torch.tensor(f.get() if on_device(f) else f).to(x.device, dtype)
                for f in self._factors
            )
        return self._copies[key]

    def _require_place(self, x: Any) -> None:
        own = self._factors[0]
        if on_device(own) and int(own.device.id) != int(x.device.id):
            raise so.ProblemError(
                f"the operand lies on CUDA device {x.device.id}, the factors lie on CUDA device "
                f"{own.device.id}; copy one to the other's, under `with cupy.cuda.Device(...)`"
            )
        if hasattr(own, "detach"):
            raise so.ProblemError(
                "the factors are torch tensors, the operand is an array of CuPy; make it a tensor "
                "by torch.from_dlpack, which copies nothing, or take to_numpy()"
            )

    def _times(self, x: Any) -> Any:
        """Return the product with an array on the current device."""
        import cupy

        if x.dtype.kind not in "biufc" and x.dtype.name != "bfloat16":
            raise so.ProblemError(
                f"the operand has dtype {x.dtype}; use bool, integer, real, complex"
            )
        own = np.result_type(*(f.dtype for f in self._factors))
        dtype = np.result_type(own, x.dtype)
        _require_supported(dtype.name)
        rows, batch = self._architecture.shape[0], x.shape[1]
        if batch == 0:
            return cupy.empty((rows, 0), dtype)
        largest = max(max(p.shape) for p in self._architecture)
        if largest * batch * dtype.itemsize > _SMALL:
            lacking = device.memory_lacking(2 * largest * batch * dtype.itemsize)
            if lacking:
                raise so.ProblemError(f"{lacking}; take fewer columns at a time, or float32")
        by_columns = batch > 1 and x.T.flags.c_contiguous and not x.flags.c_contiguous
        as_pairs = dtype.kind == "c" and own.kind != "c"
        if by_columns and not as_pairs:
            return self._run(_laid_out(x.T, dtype), batch, dtype.name, "first").T
        y = _laid_out(x, dtype)
        if as_pairs:  # real and imaginary parts are columns of their own
            real = np.empty(0, dtype).real.dtype
            y = self._run(y.view(real).reshape(-1, 2 * batch), 2 * batch, real.name, "last")
            return y.view(dtype)
        return self._run(y, batch, dtype.name, "last")

    def _run(self, x: Any, batch: int, dtype: str, layout: Layout) -> Any:
        """Return the product with a contiguous array, laid out as it is."""
        import cupy

        place = launching.current_device()
        rates, limit = figures(place)
        for step in reversed(self._planned(batch, dtype, layout, rates, limit).steps):
            rows = step.pattern.shape[0]
            shape = (batch, rows) if layout == "first" else (rows, batch)
            y = cupy.empty(shape, x.dtype)
            values = self._values(step, place, dtype)
            self._apply(step, y, values, x, batch, dtype, layout, limit)
            x = y
        return x

    def _apply(
        self,
        step: Step,
        y: Any,
        values: Any,
        x: Any,
        batch: int,
        dtype: str,
        layout: Layout,
        limit: int,
    ) -> None:
        merged = step.pattern
        pattern: Pattern = merged.a, merged.b, merged.c, merged.d
        if step.method == "dense":
            pattern = (1, *step.pattern.shape, 1)
        if step.method in ("strided", "dense"):
            strided.multiply(y, values, x, pattern, batch, dtype, self._precision, layout)
            return
        aligned = launching.alignment(x, values, y)
        if step.method == "fused":
            run = self._architecture.patterns[step.first : step.last + 1]
            patterns = tuple(tuple(p) for p in run)
            launches = run_of(patterns, batch, dtype, layout, aligned, limit)
            assert launches is not None, "planned, so it fits"
        else:
            launches = factor(pattern, batch, dtype, self._precision, layout, aligned, limit)
        launching.launch_all(launches, {"x": x, "w": values, "y": y})

    def _values(self, step: Step, place: int, dtype: str) -> Any:
        """Return the values of a step in the form of its method, on a device."""
        import cupy

        key = step.first, step.last, step.method, place, dtype
        if key not in self._prepared:
            factors = self._copied(place, dtype)
            if step.method == "fused":
                run = factors[step.first : step.last + 1]
                parts = [cupy.ascontiguousarray(f.transpose(0, 3, 1, 2)) for f in run]
                found = cupy.concatenate([part.reshape(-1) for part in parts])
            else:
                patterns = self._architecture.patterns
                values = merged_group(factors, patterns, step.first, step.last)
                if step.method == "dense":
                    found = cupy.ascontiguousarray(step.pattern.dense(values))
                else:
                    found = cupy.ascontiguousarray(values.transpose(0, 3, 1, 2))
            self._prepared[key] = found
        return self._prepared[key]

    def _copied(self, place: int, dtype: str) -> tuple[Any, ...]:
        """Return the factors on the current device in a dtype, copied at the first use."""
        import cupy

        key = place, dtype
        if key not in self._copies:
            self._copies[key] = tuple(cupy.asarray(f, dtype=dtype) for f in self._factors)
        return self._copies[key]


def _is_followed(x: Any) -> bool:
    """Whether torch itself has to see every operation: a compiler, `torch.func`, forward mode."""
    import torch

    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(x)
    forward = torch.autograd.forward_ad._current_level >= 0
    return wrapped or forward or torch.compiler.is_compiling()


def _laid_out(x: Any, dtype: np.dtype) -> Any:
    """Return a contiguous array of a dtype; itself if it is."""
    import cupy

    return cupy.ascontiguousarray(x, dtype=dtype)


def _require_supported(dtype: str) -> None:
    if not supported(dtype):
        raise so.ProblemError(
            f"there are no products of {dtype} on a device; use float16, bfloat16, float32, "
            "float64, complex64 or complex128"
        )


@lru_cache(maxsize=64)
def figures(place: int) -> tuple[Rates, int]:
    """Return rates and shared memory of a device, asked for once in a process."""
    import cupy

    capability = int(cupy.cuda.Device(place).compute_capability)
    return Rates.of(device.device_name(place), capability), device.shared_limit(place)
