"""What torch layers whose weight is a product of Kronecker-sparse factors have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import nn

import sparseopt as so
from sparseopt.butterfly.architecture import Patterns
from sparseopt.interface.arrays import as_count
from sparseopt.interface.printing import short
from sparseopt.tools.chain_plan import MultiplicationPlan
from sparseopt_butterfly.cuda_rows import flat, planned
from sparseopt_butterfly.layer_costs import DENSE
from sparseopt_butterfly.layer_inference import CompiledTraining, RememberedProduct
from sparseopt_butterfly.merging import choose_merging
from sparseopt_butterfly.multiplication import predicted_microseconds
from sparseopt_butterfly.torch_chain import Group, apply, apply_apart, group_of, groups_of, merged

# Merging is chosen for this many rows of the operand until `merge_for` is told another number.
BATCH = 128
# NumPy has no bfloat16, and computes in neither.
HALF = torch.float16, torch.bfloat16


class KroneckerLayer(nn.Module):
    """A layer that multiplies by a product of factors, which are its parameters.

    Subclasses say what is multiplied: rows, or the cells of images.
    """

    def __init__(
        self,
        architecture: so.Architecture,
        rows: int,
        bias: bool,
        device: torch.device | str | int | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.relative_error: float | None = None
        self.factors = nn.ParameterList(
            nn.Parameter(torch.empty(*pattern.values_shape, device=device, dtype=dtype))
            for pattern in architecture
        )
        if bias:
            self.bias = nn.Parameter(torch.empty(rows, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.merge_for(BATCH)
        self._flat = flat(architecture)
        self._names = tuple(map(str, range(len(architecture))))
        self._single = groups_of(architecture, (1,) * len(architecture))
        self._remembered = RememberedProduct()
        self._trained = CompiledTraining()
        self.reset_parameters()

    @property
    def product(self) -> so.KroneckerProduct:
        """The weight as an operator, whose factors are the parameters themselves (copies in
        float32 if they are float16 or bfloat16)."""
        factors = (f.float() if f.dtype in HALF else f for f in self._values())
        return so.KroneckerProduct(tuple(factors), self.architecture)

    @property
    def merging(self) -> tuple[int, ...]:
        """How many neighbouring factors are multiplied with each other before each step."""
        return tuple(group.last - group.first for group in self._groups)

    @merging.setter
    def merging(self, sizes: Sequence[int]) -> None:
        self._groups = groups_of(self.architecture, tuple(sizes))

    def merge_for(self, batch: int) -> Self:
        """Choose which neighbours are merged at each call, for a number of rows; return self.

        Rows are operands of the product: for images, one for each cell of the result. The choice
        is made by a measured cost model, never at a call: compiled graphs do not depend on the
        batch. Exported programs merge nothing, so that whatever reads them sees the factors; export
        `fused` for fewer, larger ones.
        """
        self.merging = choose_merging(self.architecture, batch)
        return self

    def plan(
        self, batch: int = 1, *, device: str | None = None, tune: bool = False
    ) -> MultiplicationPlan:
        """Return how a call without gradients multiplies a number of rows, printable.

        The time is that of the whole layer, predicted and not measured; the note says what a dense
        layer is predicted to take. On a processor it is that of one thread. Compiled kernels are
        planned with; calls before they are loaded take longer. For convolutions, rows are cells of
        the result, and those of one square image.

        Parameters
        ----------
        batch : int
            Positive number of rows.
        device : {"cpu", "cuda"}, optional
            Default: where the parameters lie. A plan for "cuda" needs no device: it is made with
            the figures known of one, and says which.
        tune : bool
            On a device: measure the steps of the plan there, by all tiles of the kernels, in the
            data type of the parameters. The figures are kept in the user's cache folder, and later
            calls and plans for as many rows use them; gradients do not.

        Raises
        ------
        ProblemError
            For another device, or if nothing can be measured.

        Examples
        --------
        >>> import sparseopt as so
        >>> layer = so.KroneckerLinear(256, 256, so.Architecture.square_dyadic(256))
        >>> "dense weight" in str(layer.plan(128))
        True
        >>> "with the batch first" in str(layer.plan(128, device="cuda"))
        True
        """
        plan, dense = self.predicted(as_count(batch, "batch"), device, tune)
        verdict = "slower" if dense > plan.microseconds else "faster"
        said = f"a dense weight is predicted to take {dense:.1f} us, so it is {verdict}"
        noted: MultiplicationPlan = replace(plan, note="; ".join(filter(None, (plan.note, said))))
        return noted

    def predicted(
        self, batch: int, device: str | None = None, tune: bool = False
    ) -> tuple[MultiplicationPlan, float]:
        """Return the plan, and the predicted microseconds of a dense layer in its place."""
        if device is None:
            device = "cuda" if self.factors[0].is_cuda else "cpu"
        if device == "cuda":
            layout, entries = self._on_device()
            return planned(self.architecture, self._values(), batch, layout, entries, tune)
        if device != "cpu":
            raise so.ProblemError(f"device must be cpu or cuda, got {short(device)}")
        if tune:
            raise so.ProblemError('only methods of a CUDA device are measured; give device="cuda"')
        of_product: Any = self.product.to_numpy().accelerated().plan(batch)
        plan = self._planned(of_product)
        return plan, dense_microseconds(*self.architecture.shape, plan.batch, plan.dtype)

    def _on_device(self) -> tuple[Literal["first", "last"], list[int]]:
        """Return where the batch stands on a CUDA device, and how many entries for each row the
        operators beside the product read and write."""
        raise NotImplementedError

    def _planned(self, plan: MultiplicationPlan) -> MultiplicationPlan:
        """Return the plan of the product, with what the layer does beside it."""
        raise NotImplementedError

    def _values(self) -> list[torch.Tensor]:
        """Return the factors, masked where `torch.nn.utils.prune` is at work.

        Its masks are applied when a module is called, and a list of parameters is never called.
        """
        held: Any = self._modules["factors"]  # the short way, at every call
        for hook in held._forward_pre_hooks.values():
            hook(held, ())
        parameters = held._parameters
        if tuple(parameters) == self._names:
            return list(parameters.values())  # type: ignore[arg-type]
        return [held[i] for i in range(len(self._names))]

    def reset_parameters(self) -> None:
        """Draw new values with torch's generator."""
        gain = 3.0 ** (-1.0 / len(self.factors))
        for factor in self.factors:
            _uniform(factor, gain / factor.shape[2])
        if self.bias is not None:
            _uniform(self.bias, 1.0 / (3.0 * self.architecture.shape[1]))

    @property
    def _matrix(self) -> torch.Tensor:
        """The product as a dense matrix, differentiable."""
        whole = group_of(self.architecture, 0, len(self.architecture))
        if whole is not None:
            return so.KroneckerPattern(*whole.pattern).dense(merged(self._values(), whole))
        some = self.factors[0]
        identity = torch.eye(self.architecture.shape[1], dtype=some.dtype, device=some.device)
        return self._times(identity, self._groups)

    def _project(self, like: nn.Module, weight: torch.Tensor, options: dict[str, Any]) -> Self:
        """Take over the nearest product to a matrix, and what else a dense layer holds.

        On a CUDA device the matrix is factorized where it is.
        """
        matrix = weight.detach()
        target = _wide(matrix) if matrix.is_cuda else target_of(matrix)
        problem = so.ButterflyFactorization(target, self.architecture)
        product = so.solve(problem, **options).answer
        self._set_factors([torch.asarray(f, copy=True) for f in product.factors])
        with torch.no_grad():
            self.relative_error = self._distance(matrix)
        for factor in self.factors:
            factor.requires_grad_(weight.requires_grad)
        return self._copy_bias(like)

    def _copy_bias(self, like: Any) -> Self:
        """Take over bias and mode of a layer."""
        if like.bias is not None:
            with torch.no_grad():
                self.bias.copy_(like.bias)
            self.bias.requires_grad_(like.bias.requires_grad)
        return self.train(like.training)

    def _dense_copy(self, made: Any, weight: torch.Tensor) -> Any:
        """Give a dense layer, made without values, this weight and the own bias and mode."""
        with torch.no_grad():
            made.weight.copy_(weight)
            made.weight.requires_grad_(self.factors[0].requires_grad)
            if self.bias is not None:
                made.bias.copy_(self.bias)
                made.bias.requires_grad_(self.bias.requires_grad)
        return made.train(self.training)

    def _take_fused(self, other: KroneckerLayer, sizes: Sequence[int]) -> Self:
        """Take over the merged factors of a layer."""
        with torch.no_grad():
            groups = groups_of(other.architecture, sizes)
            for factor, group in zip(self.factors, groups, strict=True):
                factor.copy_(merged(other._values(), group))
        self.relative_error = other.relative_error
        return self._copy_bias(other)

    def _apart(self, x: torch.Tensor) -> torch.Tensor:
        """Return the product with (samples, columns, cells), factor by factor.

        For exporters: samples are never mixed, and nothing is merged, so that readers of the
        program find the factors as they are.
        """
        for factor, group in zip(reversed(self._values()), reversed(self._single), strict=True):
            x = apply_apart(factor, group.pattern, x)
        return x

    def _times(
        self,
        x: torch.Tensor,
        groups: Sequence[Group],
        factors: Sequence[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Return the product of some groups of factors with a matrix (columns, batch)."""
        factors = self._values() if factors is None else factors
        for group in reversed(groups):
            x = apply(merged(factors, group), group.pattern, x)
        return x

    def _distance(self, weight: torch.Tensor) -> float:
        """Return the distance of a dense weight to the own one, over the norm of the former."""
        precise = torch.complex128 if weight.is_complex() else torch.float64
        wanted = weight.to(precise)
        peak = float(wanted.abs().max()) if wanted.any() else 1.0
        factors = tuple(factor.to(precise) for factor in self._values())
        # Scaled, so that squares neither overflow nor vanish.
        own = so.KroneckerProduct((factors[0] / peak, *factors[1:]), self.architecture)
        norm = float(torch.linalg.vector_norm(wanted / peak))
        error = float(torch.linalg.vector_norm(own.to_dense() - wanted / peak))
        return error / norm if norm else error

    def _set_factors(self, values: Sequence[torch.Tensor]) -> None:
        """Copy values into the parameters, scaled to equal gains by powers of two.

        The gain of a factor is c times its mean square: by it the variance grows.
        """
        peaks = [float(v.abs().max()) for v in values]
        shifts = [0] * len(values)
        if all(peak > 0 for peak in peaks):
            logs = [
                math.log2(peak) + 0.5 * math.log2(_mean_square(v / peak) * v.shape[2])
                for v, peak in zip(values, peaks, strict=True)
            ]
            mean = sum(logs) / len(logs)
            # Rounded sums: the shifts sum to 0, and each is within 1 of what it should be.
            sums = [round(total) for total in accumulate(mean - log for log in logs)]
            shifts = [two - one for one, two in pairwise((0, *sums))]
        with torch.no_grad():
            for factor, value, shift in zip(self.factors, values, shifts, strict=True):
                factor.copy_(value * math.ldexp(1.0, shift))


def is_exporting() -> bool:
    """Whether a program is made of the layer that others will read."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing()


def built(architecture: Patterns) -> so.Architecture:
    """Return an architecture, made of patterns where it is not one already."""
    if isinstance(architecture, so.Architecture):
        return architecture
    return so.Architecture(architecture)


def dense_microseconds(rows: int, columns: int, batch: int, dtype: Any) -> float:
    """Return the predicted time of a dense layer, one thread, no gradients."""
    whole = so.KroneckerPattern(1, rows, columns, 1)
    return DENSE + predicted_microseconds("dense", whole, batch, np.dtype(dtype))


def target_of(weight: torch.Tensor) -> np.ndarray:
    """Return a weight as an array that can be factorized, float32 if it is of half precision."""
    return _wide(weight.detach()).cpu().resolve_conj().numpy()


def _wide(weight: torch.Tensor) -> torch.Tensor:
    return weight.float() if weight.dtype in HALF else weight


def _mean_square(values: torch.Tensor) -> float:
    return float(values.abs().double().square().mean())


def _uniform(parameter: torch.Tensor, variance: float) -> None:
    """Fill with independent uniform values of this variance (complex: split over both parts)."""
    with torch.no_grad():
        if parameter.is_complex():
            parameter, variance = torch.view_as_real(parameter), variance / 2
        bound = math.sqrt(3.0 * variance)
        parameter.uniform_(-bound, bound)
