"""Multiplication of arrays on CUDA devices by a product of factors: plans, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
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
from sparseopt_cupy import device, launching, strided, tuned
from sparseopt_cupy.kernels.launches import SHARED_LIMIT, Layout, Pattern, Precision
from sparseopt_cupy.methods import METHODS, NOTHING, Methods, factor, run_of, supported
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
        if missing is not None:
            if tune:
                raise so.ProblemError(f"nothing can be measured here: {missing}")
            return self._planned(
                batch, name, layout, Rates.of("an H100"), SHARED_LIMIT, f"{missing}"
            )
        import cupy

        own = self._factors[0]
        place = int(own.device.id) if on_device(own) else launching.current_device()
        with cupy.cuda.Device(place):
            rates, limit = figures(place)
            if tune:
                with _of_device(place, "measuring"):
                    self._tune(planned_batch(batch), name, layout, place)
            lacking = self._memory_lacking(batch, np.dtype(dtype))
            note = "; ".join(filter(None, (f"figures of the device: {rates}", lacking)))
            return self._planned(batch, name, layout, rates, limit, note, tuned.steps_of(place))

    def _planned(
        self,
        batch: int,
        dtype: str,
        layout: Layout,
        rates: Rates,
        limit: int,
        note: str = "",
        measured: Mapping[str, Mapping[str, tuned.Measured]] = NOTHING,
    ) -> MultiplicationPlan:
        batch = planned_batch(batch)
        key = batch, dtype, layout, rates.name, len(measured)
        if key not in self._plans:
            offers = self._offers(batch, dtype, layout, rates, limit, measured)
            steps, separately = cheapest_steps(self._architecture, offers)
            kind = f" ({self._precision})" if dtype == "float32" else ""
            figures = f"{rates.source} figures"
            if any(self._key(step, batch, dtype, layout) in measured for step in steps):
                figures += ", steps that were measured as they were"
            where = f"{rates.name}, products{kind} with the batch {layout}, {figures}"
            self._plans[key] = MultiplicationPlan(
                steps, batch, np.dtype(dtype), separately, "", where
            )
        return replace(self._plans[key], note=note) if note else self._plans[key]

    def _offers(
        self,
        batch: int,
        dtype: str,
        layout: Layout,
        rates: Rates,
        limit: int,
        measured: Mapping[str, Mapping[str, tuned.Measured]],
    ) -> Callable[[int, int, KroneckerPattern], list[Step]]:
        _require_supported(dtype)
        patterns = self._architecture.patterns
        most = merging_limit(self._architecture, _MERGED_MULTIPLE)
        most = 0 if dtype == "bfloat16" else most  # CuPy does not merge them
        methods = Methods(
            batch, dtype, self._precision, layout, rates, limit, most, measured=measured
        )

        def offers(first: int, last: int, pattern: KroneckerPattern) -> list[Step]:
            found = methods.offers(first, last, pattern, patterns[first : last + 1])
            wanted = [step for step in found if step.method in self._allowed]
            return wanted or (found if first == last else [])

        return offers

    def _key(self, step: Step, batch: int, dtype: str, layout: Layout) -> str:
        run = self._architecture.patterns[step.first : step.last + 1]
        return tuned.key_of(run, batch, dtype, self._precision, layout)

    def _tune(self, batch: int, dtype: str, layout: Layout, place: int) -> None:
        """Measure the steps of the plan until it rests on measured ones only; keep them."""
        from sparseopt_cupy.tuning import measured

        known, (rates, limit) = tuned.steps_of(place), figures(place)
        lacking = self._memory_lacking(2 * batch, np.dtype(dtype))
        if lacking:
            raise so.ProblemError(f"{lacking}; tune for fewer columns")

        def apply(step: Step, y: Any, x: Any) -> None:
            values = self._values(step, place, dtype)
            self._apply(step, y, values, x, batch, dtype, layout, limit)

        while True:
            plan = self._planned(batch, dtype, layout, rates, limit, measured=known)
            offers = self._offers(batch, dtype, layout, rates, limit, known)
            keys = [self._key(step, batch, dtype, layout) for step in plan.steps]
            if all(key in known for key in keys):
                break
            for key, step in zip(keys, plan.steps, strict=True):
                if key not in known:
                    all_ways = offers(step.first, step.last, step.pattern)
                    known[key] = measured(
                        all_ways, batch, dtype, self._precision, layout, limit, apply
                    )
        tuned.keep(place)

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
        with _of_device(int(x.device.id), "multiplying"), x.device:
            return self._times(x)

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
        lacking = self._memory_lacking(batch, dtype)
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
        known = tuned.steps_of(place)
        plan = self._planned(batch, dtype, layout, rates, limit, measured=known)
        for step in reversed(plan.steps):
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
            shape = pattern, batch, dtype, self._precision, layout, aligned, limit
            launches = factor(*shape, tile=step.tile)
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


@contextmanager
def _of_device(place: int, what: str) -> Iterator[None]:
    """Say in one sentence that a device failed: all errors of driver and libraries are such."""
    try:
        yield
    except RuntimeError as error:
        said = " ".join(str(error).split())
        raise RuntimeError(
            f"CUDA device {place} stopped while {what}: {said}; factors and operand were not "
            "written to; if the device itself failed, start a new process"
        ) from error


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
