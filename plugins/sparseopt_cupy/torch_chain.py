"""Products with torch tensors on a CUDA device, with gradients, as operators that torch knows.

Factors are applied by the kernels as they lie, since they may change between calls: neighbours are
taken in one pass where that is predicted to be faster, and never merged. Memory comes from torch,
launches go to torch's current stream, and nothing waits: calls can be captured in a CUDA graph
once kernels are compiled. Sums are formed in the same order every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch

import sparseopt as so
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.tools.chain_plan import Step, cheapest_steps, planned_batch
from sparseopt_cupy import kernel_table, launching
from sparseopt_cupy.kernels.launches import Layout, Pattern, Precision
from sparseopt_cupy.methods import Methods, factor, run_of, supported
from sparseopt_cupy.multiplication import figures
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
        numbers = [tuple(patterns[i : i + 4]) for i in range(0, len(patterns), 4)]
        self.patterns: list[Pattern] = numbers  # type: ignore[assignment]
        self.factors = factors
        self.layout, self.precision = layout, _resolved(precision)
        self.n = x.shape[0] if layout == "first" else x.shape[1]
        self.dtype = str(x.dtype).removeprefix("torch.")
        if not supported(self.dtype) or any(f.dtype != x.dtype for f in factors):
            kinds = sorted({str(t.dtype) for t in (x, *factors)})
            raise so.ProblemError(
                f"operand and factors are {', '.join(kinds)}; they must be of one data type that "
                "has kernels"
            )
        self.limit = figures(x.device.index or 0)[1]

    def result(self, x: torch.Tensor, rows: int) -> torch.Tensor:
        """Return room for an array of so many rows."""
        return x.new_empty((self.n, rows) if self.layout == "first" else (rows, self.n))

    def steps(self, x: torch.Tensor) -> tuple[tuple[int, int], ...]:
        """Return first and last factor of every step, in the order of the factors."""
        return _steps(
            tuple(self.patterns),
            planned_batch(self.n),
            self.dtype,
            self.precision,
            self.layout,
            x.device.index or 0,
        )

    def apply(self, first: int, last: int, x: torch.Tensor) -> torch.Tensor:
        """Return factors first .. last times x."""
        a, b, _, d = self.patterns[first]
        y = self.result(x, a * b * d)
        if first == last:
            self._launch(factor, self.patterns[first], self.factors[first], x, y)
            return y
        run = self.factors[first : last + 1]
        w = torch.cat([f.permute(0, 3, 1, 2).reshape(-1) for f in run])
        arrays = {"x": as_array(x), "w": as_array(w), "y": as_array(y)}
        aligned = launching.alignment(*arrays.values())
        patterns = tuple(self.patterns[first : last + 1])
        launches = run_of(patterns, self.n, self.dtype, self.layout, aligned, self.limit)
        assert launches is not None, "planned, so it fits"
        launching.launch_all(launches, arrays)
        return y

    def back(self, i: int, dy: torch.Tensor) -> torch.Tensor:
        """Return the adjoint of factor i times dy."""
        a, _, c, d = self.patterns[i]
        dx = self.result(dy, a * c * d)
        more = {"transposed": True, "conjugated": self.dtype.startswith("complex")}
        self._launch(factor, self.patterns[i], self.factors[i], dy, dx, **more)
        return dx

    def _launch(
        self,
        choose: Callable[..., Any],
        pattern: Pattern,
        w: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        **more: bool,
    ) -> None:
        arrays = {"x": as_array(x), "w": as_array(w), "y": as_array(y)}
        aligned = launching.alignment(*arrays.values())
        shape = pattern, self.n, self.dtype, self.precision, self.layout, aligned, self.limit
        launching.launch_all(choose(*shape, order="abcd", **more), arrays)

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


@lru_cache(maxsize=1024)
def _steps(
    patterns: tuple[Pattern, ...],
    n: int,
    dtype: str,
    precision: Precision,
    layout: Layout,
    place: int,
) -> tuple[tuple[int, int], ...]:
    rates, limit = figures(place)
    architecture = so.Architecture(patterns)
    methods = Methods(n, dtype, precision, layout, rates, limit, library=False, order="abcd")

    def offers(first: int, last: int, pattern: KroneckerPattern) -> list[Step]:
        return methods.offers(first, last, pattern, architecture.patterns[first : last + 1])

    steps, _ = cheapest_steps(architecture, offers)
    return tuple((step.first, step.last) for step in steps)


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
    with current_stream(x):
        for first, last in reversed(chain.steps(x)):
            x = chain.apply(first, last, x)
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
    with current_stream(x):
        for i in range(count - 1, 0, -1):
            operands.append(chain.apply(i, i, operands[-1]))
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
