"""Multiplication of arrays on CUDA devices by a product of factors: plans, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.interface.arrays import on_device
from sparseopt.interface.verdict import Unavailable
from sparseopt.tools.chain_plan import MultiplicationPlan, Step, merged_group, planned_batch
from sparseopt_cupy import device, launching, strided, tuned
from sparseopt_cupy.kernels.launches import SHARED_LIMIT, Layout, Pattern, Precision
from sparseopt_cupy.methods import METHODS, factor, run_of
from sparseopt_cupy.planning import Planner, figures, require_supported
from sparseopt_cupy.rates import Rates

# Results below so many bytes are not worth asking how much memory there is.
_SMALL = 1 << 26


Empty = Callable[[tuple[int, int], Any], Any]
"""(shape, dtype): returns room for an array."""


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
        self._planner = Planner(architecture, precision, allowed)
        self._copies: dict[tuple[Any, str], tuple[Any, ...]] = {}
        self._prepared: dict[tuple[Any, ...], Any] = {}

    def plan(
        self, batch: int, dtype: Any, layout: Layout, tune: bool = False
    ) -> MultiplicationPlan:
        """Return the plan for operands (n, batch) of a dtype, batch last or first in memory.

        It takes the figures of the device of the factors (of the current one for those of NumPy),
        or where there is none those of an H100. With `tune`, the steps of the plan are measured
        there by all methods and tiles, and kept in the user's cache folder for this and later
        processes.
        """
        missing, name = self._missing(), np.dtype(dtype).name
        planner = self._planner
        if missing is not None:
            if tune:
                raise so.ProblemError(f"nothing can be measured here: {missing}")
            return planner.plan(
                batch, name, layout, Rates.of("an H100"), SHARED_LIMIT, f"{missing}"
            )
        import cupy

        own = self._factors[0]
        place = int(own.device.id) if on_device(own) else launching.current_device()
        with cupy.cuda.Device(place):
            rates, limit = figures(place)
            if tune:
                with launching.failures_said(place, "measuring"):
                    self._tune(planned_batch(batch), name, layout, place)
            lacking = self._memory_lacking(batch, np.dtype(dtype))
            note = "; ".join(filter(None, (f"figures of the device: {rates}", lacking)))
            return planner.plan(batch, name, layout, rates, limit, note, tuned.steps_of(place))

    def _tune(self, batch: int, dtype: str, layout: Layout, place: int) -> None:
        """Measure the steps that the plan rests on."""
        import cupy

        from sparseopt_cupy.tuning import copies, measurable, measured

        lacking = self._memory_lacking(2 * batch, np.dtype(dtype))
        if lacking:
            raise so.ProblemError(f"{lacking}; tune for fewer columns")
        limit = figures(place)[1]
        shape = batch, dtype, self._precision, layout, limit

        def apply(step: Step, x: Any) -> None:
            self._apply(step, x, batch, dtype, layout, place, cupy.empty)

        def measure(offers: Sequence[Step]) -> dict[str, tuned.Measured]:
            columns = offers[0].pattern.shape[1]
            size = (batch, columns) if layout == "first" else (columns, batch)
            x = cupy.random.random(size).astype(dtype)
            operands = [x, *(x.copy() for _ in range(copies(x.size * x.dtype.itemsize)))]
            return measured(offers, operands, apply, measurable(*shape))

        self._planner.tune(batch, dtype, layout, place, measure)

    def _memory_lacking(self, batch: int, dtype: np.dtype) -> str:
        """Return in words that operand and result do not fit; nothing is asked of small ones."""
        largest = max(max(p.shape) for p in self._architecture)
        size = largest * batch * dtype.itemsize
        return device.memory_lacking(2 * size) if size > _SMALL else ""

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
        with launching.failures_said(int(x.device.id), "multiplying"), x.device:
            return self._times(x)

    def _times_tensor(self, x: Any) -> Any:
        """Return the product with a tensor: by the plan where factors cannot change and no gradient
        is asked for, else with gradients, by torch itself where CuPy is not there."""
        import torch

        from sparseopt.choosing import offers

        self._require_place(x)
        chain = offers.engine("CudaChain")
        followed = chain.availability() is not None or _is_followed(x)
        fixed = not hasattr(self._factors[0], "detach")
        if fixed and not (followed or (x.requires_grad and torch.is_grad_enabled())):
            return self._times_fixed(x)
        tensors = self._tensors(x)
        x = x.to(tensors[0].dtype)
        if followed:
            return so.KroneckerProduct(tensors, self._architecture).one_by_one(x)
        return chain.cls(self._architecture, self._precision)(x, tensors)

    def _times_fixed(self, x: Any) -> Any:
        """Return the product with a tensor by the plan, in torch's memory and on its stream.

        Once kernels are compiled and factors copied, a call can be captured in a CUDA graph. Torch
        itself says where memory does not suffice.
        """
        import torch

        from sparseopt_cupy.tensors import as_array, current_stream

        own = np.result_type(*(f.dtype for f in self._factors))
        dtype = torch.promote_types(x.dtype, torch.from_numpy(np.empty(0, own)).dtype)
        x = x.to(dtype).resolve_conj().resolve_neg()
        rows, batch = self._architecture.shape[0], x.shape[1]
        if batch == 0:
            return x.new_empty(rows, 0)
        as_pairs = dtype.is_complex and own.kind != "c"
        by_columns = batch > 1 and x.T.is_contiguous() and not x.is_contiguous() and not as_pairs
        given = x.T if by_columns else x.contiguous()
        if as_pairs:  # real and imaginary parts are columns of their own
            given, batch = torch.view_as_real(given).flatten(1), 2 * batch
        made = [given]

        def empty(shape: tuple[int, int], dtype: Any) -> Any:
            made[:] = [given.new_empty(shape)]
            return as_array(made[0])  # which holds the memory, too

        kind = str(given.dtype).removeprefix("torch.")
        with current_stream(x, "multiplying"):
            self._run(as_array(given), batch, kind, "first" if by_columns else "last", empty)
        (y,) = made
        if as_pairs:
            return torch.view_as_complex(y.unflatten(1, (-1, 2)))
        return y.T if by_columns else y

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
        """Refuse factors of another device than the operand's, and arrays for factors of torch."""
        own = self._factors[0]
        if hasattr(own, "detach"):
            if not hasattr(x, "detach"):
                raise so.ProblemError(
                    "the factors are torch tensors, the operand is an array of CuPy; make it a "
                    "tensor by torch.from_dlpack, which copies nothing, or take to_numpy()"
                )
            if x.device != own.device:
                raise so.ProblemError(
                    f"the operand lies on {x.device}, the factors lie on {own.device}; bring one "
                    "to the other's by `to`"
                )
        elif on_device(own):
            place = (x.device.index or 0) if hasattr(x, "detach") else int(x.device.id)
            if int(own.device.id) != place:
                raise so.ProblemError(
                    f"the operand lies on CUDA device {place}, the factors lie on CUDA device "
                    f"{own.device.id}; copy one to the other's, under `with cupy.cuda.Device(...)`"
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
        require_supported(dtype.name)
        rows, batch = self._architecture.shape[0], x.shape[1]
        if batch == 0:
            return cupy.empty((rows, 0), dtype)
        lacking = self._memory_lacking(batch, dtype)
        if lacking:
            raise so.ProblemError(f"{lacking}; take fewer columns at a time, or float32")
        by_columns = batch > 1 and x.T.flags.c_contiguous and not x.flags.c_contiguous
        as_pairs = dtype.kind == "c" and own.kind != "c"
        if by_columns and not as_pairs:
            return self._run(_laid_out(x.T, dtype), batch, dtype.name, "first", cupy.empty).T
        y = _laid_out(x, dtype)
        if as_pairs:  # real and imaginary parts are columns of their own
            real = np.empty(0, dtype).real.dtype
            y = y.view(real).reshape(-1, 2 * batch)
            return self._run(y, 2 * batch, real.name, "last", cupy.empty).view(dtype)
        return self._run(y, batch, dtype.name, "last", cupy.empty)

    def _run(self, x: Any, batch: int, dtype: str, layout: Layout, empty: Empty) -> Any:
        """Return the product with a contiguous array, laid out as it is."""
        place = launching.current_device()
        rates, limit = figures(place)
        known = tuned.steps_of(place)
        plan = self._planner.plan(batch, dtype, layout, rates, limit, measured=known)
        for step in reversed(plan.steps):
            x = self._apply(step, x, batch, dtype, layout, place, empty)
        return x

    def _apply(
        self, step: Step, x: Any, batch: int, dtype: str, layout: Layout, place: int, empty: Empty
    ) -> Any:
        """Return the product of one step of a plan."""
        values, limit = self._values(step, place, dtype), figures(place)[1]
        rows = step.pattern.shape[0]
        y = empty((batch, rows) if layout == "first" else (rows, batch), x.dtype)
        merged = step.pattern
        pattern: Pattern = merged.a, merged.b, merged.c, merged.d
        if step.method == "dense":
            pattern = (1, *step.pattern.shape, 1)
        if step.method in ("strided", "dense"):
            strided.multiply(y, values, x, pattern, batch, dtype, self._precision, layout)
            return y
        aligned = launching.alignment(x, values, y)
        if step.method == "fused":
            run = self._architecture.patterns[step.first : step.last + 1]
            patterns = tuple(tuple(p) for p in run)
            launches = run_of(patterns, batch, dtype, layout, aligned, limit)
            assert launches is not None, "planned, so it fits"
        else:
            shape = pattern, batch, dtype, self._precision, layout, aligned, limit
            launches = factor(*shape, tile=step.tile)
        launching.launch_all(launches, {"x": x, "w": values, "y": y})
        return y

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
