"""Products with torch tensors on a CUDA device, with gradients, as operators that torch knows.

Factors are applied by the kernels as they lie, since they may change between calls: neighbours are
taken in one pass where that is predicted to be faster, and never merged. Memory comes from torch,
launches go to torch's current stream, and nothing waits: calls can be captured in a CUDA graph
once kernels are compiled. Sums are formed in the same order every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

import sparseopt as so
from sparseopt.interface.verdict import Unavailable
from sparseopt.tools.chain_plan import MultiplicationPlan, Step, planned_batch
from sparseopt_cupy import kernel_table, launching, tuned
from sparseopt_cupy.kernels.launches import SHARED_LIMIT, Layout, Pattern, Precision
from sparseopt_cupy.methods import Methods, factor, run_of, supported
from sparseopt_cupy.planning import Planner, figures
from sparseopt_cupy.rates import Rates
from sparseopt_cupy.tensors import as_array, current_stream

_ARGUMENTS = "Tensor[] factors, int[] patterns, str layout, str precision"


class CudaChain:
    """Multiplies tensors by factors that are tensors beside them.

    Parameters
    ----------
    architecture : Architecture
    precision : "ieee", "tf32" or "tf32x3"
        Of float32.
    """

    def __init__(self, architecture: so.Architecture, precision: str = "ieee") -> None:
        self._patterns = [entry for pattern in architecture for entry in pattern]
        self._precision = precision

    def __call__(self, x: torch.Tensor, factors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the product with x (n, batch), of the same dtype as all factors.

        A transposed tensor is taken as it lies, and so is the result.
        """
        by_columns = x.shape[1] > 1 and x.T.is_contiguous() and not x.is_contiguous()
        layout = "first" if by_columns else "last"
        given = x.T if by_columns else x.contiguous()
        factors = [f.contiguous() for f in factors]
        y: torch.Tensor = torch.ops.sparseopt.kronecker_chain(
            given, factors, self._patterns, layout, self._precision
        )
        return y.T if by_columns else y

    def plan(
        self,
        batch: int,
        layout: Layout,
        factors: Sequence[torch.Tensor],
        missing: Unavailable | None,
        tune: bool = False,
    ) -> MultiplicationPlan:
        """Return how a call without gradients multiplies, as `CudaMultiplication.plan` does.

        Parameters
        ----------
        batch : int
        layout : "last" or "first"
        factors : sequence of Tensor
            Their device is planned for, the current one if they lie on none.
        missing : Unavailable or None
            What is missing to run.
        tune : bool
            Whether the steps are measured on the device, and the figures kept.
        """
        planner, name = self._planner, _name(factors[0].dtype)
        if tune and (missing is not None or not factors[0].is_cuda):
            why = missing or "the factors are not on a CUDA device"
            raise so.ProblemError(f"nothing can be measured here: {why}")
        rates, limit = _figures_of(factors[0], missing)
        if missing is not None:
            return planner.plan(batch, name, layout, rates, limit, f"{missing}")
        place = _place(factors[0])
        if tune:
            self._tune(planned_batch(batch), layout, factors, place)
        note = f"figures of the device: {rates}"
        return planner.plan(batch, name, layout, rates, limit, note, tuned.steps_of(place))

    def beside(
        self,
        batch: int,
        layout: Layout,
        factors: Sequence[torch.Tensor],
        missing: Unavailable | None,
        entries: Sequence[int],
    ) -> tuple[float, float]:
        """Return the predicted microseconds of a dense weight in place of the factors, and those of
        operators beside the product, which read and write so many entries for each column."""
        rates, limit = _figures_of(factors[0], missing)
        name, precision = _name(factors[0].dtype), self._planner.precision
        rows, columns = self._planner.architecture.shape
        methods = Methods(planned_batch(batch), name, precision, layout, rates, limit)
        size = planned_batch(batch) * factors[0].element_size()
        around = sum(rates.launch + count * size / rates.copy for count in entries)
        return methods.of_library("dense", (1, rows, columns, 1)), around

    @property
    def _planner(self) -> Planner:
        return _planner(tuple(self._patterns), _resolved(self._precision))

    def _tune(
        self, batch: int, layout: Layout, factors: Sequence[torch.Tensor], place: int
    ) -> None:
        from sparseopt_cupy.tuning import copies, measurable, measured

        planner, some = self._planner, factors[0]
        tiles = measurable(batch, _name(some.dtype), planner.precision, layout, figures(place)[1])

        def measure(offers: Sequence[Step]) -> dict[str, tuned.Measured]:
            columns = offers[0].pattern.shape[1]
            size = (batch, columns) if layout == "first" else (columns, batch)
            x = some.new_empty(size).normal_()
            operands = [x, *(x.clone() for _ in range(copies(x.numel() * x.element_size())))]
            chain = _Chain(x, factors, self._patterns, layout, planner.precision)
            return measured(offers, operands, chain.apply, tiles)

        with torch.no_grad(), current_stream(some, "measuring"):
            planner.tune(batch, _name(some.dtype), layout, place, measure)


class _Chain:
    """Some factors and how they are applied to operands of one shape."""

    def __init__(
        self,
        x: torch.Tensor,
        factors: Sequence[torch.Tensor],
        patterns: Sequence[int],
        layout: Layout,
        precision: str,
    ) -> None:
        self.numbers, self.patterns = patterns, _split(patterns)
        self.factors = factors
        self.layout, self.precision = layout, _resolved(precision)
        self.n = x.shape[0] if layout == "first" else x.shape[1]
        self.dtype = _name(x.dtype)
        if not supported(self.dtype) or any(f.dtype != x.dtype for f in factors):
            kinds = sorted({str(t.dtype) for t in (x, *factors)})
            raise so.ProblemError(
                f"operand and factors are {', '.join(kinds)}; they must be of one data type that "
                "has kernels"
            )
        self.limit = figures(_place(x))[1]

    def result(self, x: torch.Tensor, rows: int) -> torch.Tensor:
        """Return room for an array of so many rows."""
        return x.new_empty((self.n, rows) if self.layout == "first" else (rows, self.n))

    def steps(self, x: torch.Tensor) -> Sequence[Step]:
        """Return the steps of the plan, in the order of the factors."""
        place = _place(x)
        rates, limit = figures(place)
        known = tuned.steps_of(place)
        planner = _planner(tuple(self.numbers), self.precision)
        return planner.plan(self.n, self.dtype, self.layout, rates, limit, measured=known).steps

    def apply(self, step: Step, x: torch.Tensor) -> torch.Tensor:
        """Return the factors of a step times x."""
        first, last = step.first, step.last
        if first == last:
            return self.one(first, x, step.tile)
        a, b, _, d = self.patterns[first]
        y = self.result(x, a * b * d)
        run = self.factors[first : last + 1]
        w = torch.cat([f.permute(0, 3, 1, 2).reshape(-1) for f in run])
        arrays = {"x": as_array(x), "w": as_array(w), "y": as_array(y)}
        aligned = launching.alignment(*arrays.values())
        patterns = tuple(self.patterns[first : last + 1])
        launches = run_of(patterns, self.n, self.dtype, self.layout, aligned, self.limit)
        assert launches is not None, "planned, so it fits"
        launching.launch_all(launches, arrays)
        return y

    def one(self, i: int, x: torch.Tensor, tile: tuple[int, ...] = ()) -> torch.Tensor:
        """Return factor i times x."""
        a, b, _, d = self.patterns[i]
        y = self.result(x, a * b * d)
        self._launch(self.patterns[i], self.factors[i], x, y, tile=tile)
        return y

    def back(self, i: int, dy: torch.Tensor) -> torch.Tensor:
        """Return the adjoint of factor i times dy."""
        a, _, c, d = self.patterns[i]
        dx = self.result(dy, a * c * d)
        more = {"transposed": True, "conjugated": self.dtype.startswith("complex")}
        self._launch(self.patterns[i], self.factors[i], dy, dx, **more)
        return dx

    def _launch(
        self,
        pattern: Pattern,
        w: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        **more: Any,
    ) -> None:
        arrays = {"x": as_array(x), "w": as_array(w), "y": as_array(y)}
        aligned = launching.alignment(*arrays.values())
        shape = pattern, self.n, self.dtype, self.precision, self.layout, aligned, self.limit
        launching.launch_all(factor(*shape, order="abcd", **more), arrays)

    def gradient(self, i: int, dy: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the gradient of factor i, whose operand was x."""
        dw = torch.empty_like(self.factors[i])
        arrays = {"dy": as_array(dy), "x": as_array(x), "dw": as_array(dw)}
        launches = _gradient(
            self.patterns[i],
            self.n,
            self.dtype,
            self.precision,
            self.layout,
            launching.alignment(*arrays.values()),
            self.limit,
        )
        size = kernel_table.partial_entries(launches, self.dtype)
        if size:
            wide = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
            arrays["partial"] = as_array(x.new_empty(size, dtype=wide))
        launching.launch_all(launches, arrays)
        return dw


def _resolved(precision: str) -> Precision:
    """Return a precision; for "torch" what is set there for float32 when the operator runs."""
    if precision == "torch":
        return "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"
    return precision  # type: ignore[return-value]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _split(numbers: Sequence[int]) -> list[Pattern]:
    """Return the patterns of which these are the numbers."""
    found = [tuple(numbers[i : i + 4]) for i in range(0, len(numbers), 4)]
    return found  # type: ignore[return-value]


def _place(x: torch.Tensor) -> int:
    """Return the device of a tensor, the current one if it lies on none."""
    return launching.current_device() if x.device.index is None else x.device.index


def _figures_of(some: torch.Tensor, missing: Unavailable | None) -> tuple[Rates, int]:
    """Return rates and shared memory of a tensor's device; of an H100 if something is missing."""
    return figures(_place(some)) if missing is None else (Rates.of("an H100"), SHARED_LIMIT)


@lru_cache(maxsize=1024)
def _planner(numbers: tuple[int, ...], precision: Precision) -> Planner:
    return Planner(so.Architecture(_split(numbers)), precision, fixed=False)


@lru_cache(maxsize=1024)
def _gradient(
    pattern: Pattern,
    n: int,
    dtype: str,
    precision: Precision,
    layout: Layout,
    alignment: int,
    limit: int,
) -> tuple[kernel_table.Launch, ...]:
    return kernel_table.weight_gradient(
        pattern,
        n,
        dtype,
        precision=precision,
        layout=layout,
        order="abcd",
        alignment=alignment,
        shared_limit=limit,
    )


@torch.library.custom_op(
    "sparseopt::kronecker_chain", mutates_args=(), schema=f"(Tensor x, {_ARGUMENTS}) -> Tensor"
)
def _multiply(
    x: torch.Tensor,
    factors: Sequence[torch.Tensor],
    patterns: Sequence[int],
    layout: Layout,
    precision: str,
) -> torch.Tensor:
    """Return K x: x (n, batch), or (batch, n) for the layout "first", contiguous as the factors."""
    chain = _Chain(x, factors, patterns, layout, precision)
    if chain.n == 0:
        a, b, _, d = chain.patterns[0]
        return chain.result(x, a * b * d)
    with current_stream(x, "multiplying"):
        for step in reversed(chain.steps(x)):
            x = chain.apply(step, x)
    return x


@_multiply.register_fake
def _shape_of_product(
    x: torch.Tensor,
    factors: Sequence[torch.Tensor],
    patterns: Sequence[int],
    layout: str,
    precision: str,
) -> torch.Tensor:
    a, b, _, d = patterns[:4]
    rows = a * b * d
    return x.new_empty((x.shape[0], rows) if layout == "first" else (rows, x.shape[1]))


@torch.library.custom_op(
    "sparseopt::kronecker_chain_backward",
    mutates_args=(),
    schema=f"(Tensor dy, Tensor x, {_ARGUMENTS}) -> Tensor[]",
)
def _multiply_back(
    dy: torch.Tensor,
    x: torch.Tensor,
    factors: Sequence[torch.Tensor],
    patterns: Sequence[int],
    layout: Layout,
    precision: str,
) -> list[torch.Tensor]:
    """Return the gradients of x and of every factor; what lies between is computed again."""
    chain = _Chain(x, factors, patterns, layout, precision)
    count = len(factors)
    if chain.n == 0:
        return [torch.zeros_like(x), *(torch.zeros_like(f) for f in factors)]
    operands = [x]
    gradients: list[torch.Tensor] = []
    with current_stream(x, "taking gradients"):
        for i in range(count - 1, 0, -1):
            operands.append(chain.one(i, operands[-1]))
        for i in range(count):
            gradients.append(chain.gradient(i, dy, operands.pop()))
            dy = chain.back(i, dy)
    return [dy, *gradients]


@_multiply_back.register_fake
def _shapes_of_gradients(
    dy: torch.Tensor,
    x: torch.Tensor,
    factors: Sequence[torch.Tensor],
    patterns: Sequence[int],
    layout: str,
    precision: str,
) -> list[torch.Tensor]:
    return [torch.empty_like(x), *(torch.empty_like(f) for f in factors)]


def _remember(ctx: Any, inputs: Any, output: Any) -> None:
    x, factors, ctx.patterns, ctx.layout, ctx.precision = inputs
    ctx.save_for_backward(x, *factors)


def _differentiate(context: Any, dy: torch.Tensor) -> tuple[Any, ...]:
    x, *factors = context.saved_tensors
    dx, *gradients = torch.ops.sparseopt.kronecker_chain_backward(
        dy.contiguous(), x, factors, context.patterns, context.layout, context.precision
    )
    return dx, gradients, None, None, None


_multiply.register_autograd(_differentiate, setup_context=_remember)
