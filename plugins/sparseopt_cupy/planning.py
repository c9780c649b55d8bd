"""Plans of a chain on a device, from figures that are assumed, measured or tuned."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.tools.chain_plan import (
    MultiplicationPlan,
    Step,
    cheapest_steps,
    merging_limit,
    planned_batch,
)
from sparseopt_cupy import device, tuned
from sparseopt_cupy.kernels.launches import Layout, Order, Precision
from sparseopt_cupy.methods import METHODS, NOTHING, Methods, supported
from sparseopt_cupy.rates import Rates

# Values of a merged group, as a multiple of all values of the chain: on a device products are
# worth more of them than on a processor, since every pass over the operand counts.
_MERGED_MULTIPLE = 16

Steps = Mapping[str, Mapping[str, tuned.Measured]]


@dataclass(frozen=True)
class Planner:
    """Plans for one chain of factors.

    Parameters
    ----------
    architecture : Architecture
    precision : "ieee", "tf32" or "tf32x3"
        Of float32.
    allowed : collection of str
        The methods that plans may use; others where none of them can be used.
    fixed : bool
        Whether factors stay as they are: only then are they merged, laid out anew, or multiplied by
        cuBLAS.
    """

    architecture: so.Architecture
    precision: Precision
    allowed: Collection[str] = METHODS
    fixed: bool = True
    _plans: dict[tuple[Any, ...], MultiplicationPlan] = field(default_factory=dict, compare=False)

    @property
    def order(self) -> Order:
        """How kernels find the weights."""
        return "adbc" if self.fixed else "abcd"

    def plan(
        self,
        batch: int,
        dtype: str,
        layout: Layout,
        rates: Rates,
        limit: int,
        note: str = "",
        measured: Steps = NOTHING,
    ) -> MultiplicationPlan:
        """Return the plan of least predicted time, remembered."""
        batch = planned_batch(batch)
        key = batch, dtype, layout, rates.name, len(measured)
        if key not in self._plans:
            steps, separately = cheapest_steps(
                self.architecture, self._offers(batch, dtype, layout, rates, limit, measured)
            )
            kind = f" ({self.precision})" if dtype == "float32" else ""
            figures = f"{rates.source} figures"
            if any(self.key(step, batch, dtype, layout) in measured for step in steps):
                figures += ", steps that were measured as they were"
            where = f"{rates.name}, products{kind} with the batch {layout}, {figures}"
            shown: Any = dtype if dtype == "bfloat16" else np.dtype(dtype)
            self._plans[key] = MultiplicationPlan(steps, batch, shown, separately, "", where)
        return replace(self._plans[key], note=note) if note else self._plans[key]

    def key(self, step: Step, batch: int, dtype: str, layout: Layout) -> str:
        """Return under which name a step that was measured is kept."""
        run = self.architecture.patterns[step.first : step.last + 1]
        return tuned.key_of(run, batch, dtype, self.precision, layout, self.order)

    def tune(
        self,
        batch: int,
        dtype: str,
        layout: Layout,
        place: int,
        measure: Callable[[Sequence[Step]], dict[str, tuned.Measured]],
    ) -> None:
        """Measure the steps of the plan until it rests on measured ones only; keep them.

        A step is measured by all methods that are offered for it.
        """
        known, (rates, limit) = tuned.steps_of(place), figures(place)
        while True:
            plan = self.plan(batch, dtype, layout, rates, limit, measured=known)
            offers = self._offers(batch, dtype, layout, rates, limit, known)
            keys = [self.key(step, batch, dtype, layout) for step in plan.steps]
            if all(key in known for key in keys):
                break
            for key, step in zip(keys, plan.steps, strict=True):
                if key not in known:
                    known[key] = measure(offers(step.first, step.last, step.pattern))
        tuned.keep(place)

    def _offers(
        self,
        batch: int,
        dtype: str,
        layout: Layout,
        rates: Rates,
        limit: int,
        measured: Steps,
    ) -> Callable[[int, int, KroneckerPattern], list[Step]]:
        require_supported(dtype)
        patterns = self.architecture.patterns
        most = merging_limit(self.architecture, _MERGED_MULTIPLE) if self.fixed else 0
        most = 0 if dtype == "bfloat16" else most  # CuPy does not merge them
        methods = Methods(
            batch,
            dtype,
            self.precision,
            layout,
            rates,
            limit,
            most,
            library=self.fixed,
            order=self.order,
            measured=measured,
        )

        def offers(first: int, last: int, pattern: KroneckerPattern) -> list[Step]:
            found = methods.offers(first, last, pattern, patterns[first : last + 1])
            wanted = [step for step in found if step.method in self.allowed]
            return wanted or (found if first == last else [])

        return offers


def require_supported(dtype: str) -> None:
    """Refuse a data type that has no kernels."""
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
