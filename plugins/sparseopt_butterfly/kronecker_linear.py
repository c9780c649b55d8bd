"""A torch layer whose weight is a product of Kronecker-sparse factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

import sparseopt as so
from sparseopt.butterfly.architecture import Patterns
from sparseopt_butterfly.layer_inference import RememberedProduct
from sparseopt_butterfly.merging import choose_merging
from sparseopt_butterfly.multiplication import MultiplicationPlan, predicted_microseconds
from sparseopt_butterfly.torch_chain import (
    Group,
    apply,
    group_of,
    groups_of,
    merged,
    plain,
)

# Merging is chosen for this many rows of the operand until `merge_for` is told another number.
BATCH = 128
# NumPy has no bfloat16, and computes in neither.
_HALF = torch.float16, torch.bfloat16


class KroneckerLinear(nn.Module):
    """Apply ``y = x W^T + bias``, W a product of Kronecker-sparse factors. As `torch.nn.Linear`.

    The factors are the parameters; gradients reach them through the product. The operand is
    brought into the layout (in_features, batch) once, factors are applied from the last to the
    first as matrix products batched over their blocks, and the result is brought back once.
    Neighbouring factors are multiplied with each other first where that is predicted to be
    faster, see `merge_for`; this changes the result by rounding only. Where no gradient is asked
    for, tensors on the CPU are multiplied as a `KroneckerProduct` does it, with compiled kernels
    once loading them pays, and what is merged is remembered until a parameter changes; `plan`
    shows how.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last dimension of operand and result.
    architecture : Architecture or iterable of (a, b, c, d)
        Of shape (out_features, in_features). It need not be chainable.
    bias : bool
        Whether a bias is added and learnt.
    device, dtype
        Of the parameters, as for `torch.nn.Linear`.

    Attributes
    ----------
    factors : torch.nn.ParameterList
        Values (a, b, c, d) of each factor, see `KroneckerPattern`.
    bias : Parameter (out_features,) or None
    relative_error : float or None
        For a layer made by `from_linear`, the Frobenius distance of its weight to the given one,
        over the norm of the latter. It is not changed by training.

    Raises
    ------
    ProblemError
        If the architecture does not have the shape (out_features, in_features).

    Notes
    -----
    Initial values are independent and uniform. For an operand with independent entries of
    variance 1, results (without the bias) have variance 1/3 as those of `torch.nn.Linear` have:
    an entry of a product with one factor is a sum of c terms, so the variance of values of a
    chain of L factors is 3^(-1/L) / c.

    Examples
    --------
    >>> import torch, sparseopt as so
    >>> layer = so.KroneckerLinear(6, 8, so.Architecture.monarch(8, 6, 2, 3))
    >>> layer(torch.ones(5, 6)).shape, sum(p.numel() for p in layer.factors)
    (torch.Size([5, 8]), 48)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        architecture: Patterns,
        bias: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(architecture, so.Architecture):
            architecture = so.Architecture(architecture)
        if architecture.shape != (out_features, in_features):
            rows, columns = architecture.shape
            raise so.ProblemError(
                f"the architecture {architecture} makes {rows} features of {columns}; a layer "
                f"with in_features={in_features} and out_features={out_features} needs one of "
                f"shape ({out_features}, {in_features})"
            )
        self.in_features = in_features
        self.out_features = out_features
        self.architecture = architecture
        self.relative_error: float | None = None
        self.factors = nn.ParameterList(
            nn.Parameter(torch.empty(*pattern.values_shape, device=device, dtype=dtype))
            for pattern in architecture
        )
        if bias:
            self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.merge_for(BATCH)
        self._remembered = RememberedProduct()
        self.reset_parameters()

    @classmethod
    def from_linear(
        cls,
        linear: nn.Linear,
        architecture: Patterns,
        **options: Any,
    ) -> KroneckerLinear:
        """Return the layer whose weight is the projection of that of a `torch.nn.Linear`.

        Parameters
        ----------
        linear : torch.nn.Linear
            Left as it is. The new layer has its device, dtype, training mode and a copy of its
            bias; whether each parameter is trained is taken over, too.
        architecture : Architecture
            Chainable, of shape (out_features, in_features).
        options
            For `sparseopt.solve` of the `ButterflyFactorization` of the weight, for example
            ``solver="hierarchical_numpy"``.

        Raises
        ------
        ProblemError
            If the architecture is not chainable or of another shape, or the weight has NaN or
            infinity.

        Notes
        -----
        The layer's `relative_error` is that of the weight in its own dtype. Factors are scaled by
        powers of two, which leave the product as it is, so that all are of one magnitude: this
        helps when the layer is trained further.

        Examples
        --------
        >>> import torch, sparseopt as so
        >>> linear = torch.nn.Linear(8, 8)
        >>> exact = so.KroneckerLinear.from_linear(linear, [(1, 8, 8, 1)])
        >>> exact.relative_error < 1e-6
        True
        """
        weight = linear.weight.detach()
        layer = cls(
            linear.in_features,
            linear.out_features,
            architecture,
            bias=linear.bias is not None,
            device=weight.device,
            dtype=weight.dtype,
        )
        problem = so.ButterflyFactorization(target_of(weight), layer.architecture)
        product = so.solve(problem, **options).answer
        layer._set_factors([torch.from_numpy(f.copy()) for f in product.factors])
        with torch.no_grad():
            if linear.bias is not None:
                layer.bias.copy_(linear.bias)
                layer.bias.requires_grad_(linear.bias.requires_grad)
            for factor in layer.factors:
                factor.requires_grad_(linear.weight.requires_grad)
            layer.relative_error = layer._distance(weight)
        return layer.train(linear.training)

    def to_linear(self) -> nn.Linear:
        """Return a `torch.nn.Linear` with the dense product as weight and a copy of the bias."""
        some = self.factors[0]
        linear = nn.utils.skip_init(
            nn.Linear,
            self.in_features,
            self.out_features,
            bias=self.bias is not None,
            device=some.device,
            dtype=some.dtype,
        )
        with torch.no_grad():
            linear.weight.copy_(self.weight)
            linear.weight.requires_grad_(some.requires_grad)
            if self.bias is not None:
                linear.bias.copy_(self.bias)
                linear.bias.requires_grad_(self.bias.requires_grad)
        return linear.train(self.training)

    def fused(self, sizes: Sequence[int]) -> KroneckerLinear:
        """Return a layer for the same map whose parameters are products of neighbours.

        It has more parameters and fewer factors; use it when training is over, so that nothing is
        merged at each call.

        Parameters
        ----------
        sizes : sequence of int
            Group sizes as for `Architecture.fuse`.
        """
        layer = type(self)(
            self.in_features,
            self.out_features,
            self.architecture.fuse(sizes),
            bias=self.bias is not None,
            device=self.factors[0].device,
            dtype=self.factors[0].dtype,
        )
        with torch.no_grad():
            groups = groups_of(self.architecture, sizes)
            for factor, group in zip(layer.factors, groups, strict=True):
                factor.copy_(merged(self.factors, group))
            if self.bias is not None:
                layer.bias.copy_(self.bias)
        layer.relative_error = self.relative_error
        return layer.train(self.training)

    @property
    def product(self) -> so.KroneckerProduct:
        """The weight as an operator, whose factors are the parameters themselves (copies in
        float32 if they are float16 or bfloat16)."""
        factors = (f.float() if f.dtype in _HALF else f for f in self.factors)
        return so.KroneckerProduct(tuple(factors), self.architecture)

    @property
    def weight(self) -> torch.Tensor:
        """The dense weight (out_features, in_features), differentiable, computed at each access.

        For code that reads the weight of a linear layer; calling the layer does not use it.
        """
        whole = group_of(self.architecture, 0, len(self.architecture))
        if whole is not None:
            return so.KroneckerPattern(*whole.pattern).dense(merged(self.factors, whole))
        some = self.factors[0]
        identity = torch.eye(self.in_features, dtype=some.dtype, device=some.device)
        return self._times(identity, self._groups)

    @property
    def merging(self) -> tuple[int, ...]:
        """How many neighbouring factors are multiplied with each other before each step."""
        return tuple(group.last - group.first for group in self._groups)

    @merging.setter
    def merging(self, sizes: Sequence[int]) -> None:
        self._groups = groups_of(self.architecture, tuple(sizes))

    def merge_for(self, batch: int) -> KroneckerLinear:
        """Choose which neighbours are merged at each call, for a number of rows; return self.

        The choice is made by a measured cost model, never at a call: graphs that are compiled or
        exported do not depend on the batch.
        """
        self.merging = choose_merging(self.architecture, batch)
        return self

    def plan(self, batch: int = 1) -> MultiplicationPlan:
        """Return how a call without gradients is computed for a number of rows, printable.

        Its note says what a dense weight is predicted to take. Compiled kernels are planned with;
        calls before they are loaded take longer.

        Examples
        --------
        >>> import sparseopt as so
        >>> layer = so.KroneckerLinear(256, 256, so.Architecture.square_dyadic(256))
        >>> "dense weight" in str(layer.plan(128))
        True
        """
        plan: Any = self.product.to_numpy().accelerated().plan(batch)
        dense = dense_microseconds(self.out_features, self.in_features, plan.batch, plan.dtype)
        verdict = "slower" if dense > plan.microseconds else "faster"
        said = f"a dense weight is predicted to take {dense:.1f} us, so it is {verdict}"
        noted: MultiplicationPlan = replace(plan, note="; ".join(filter(None, (plan.note, said))))
        return noted

    def reset_parameters(self) -> None:
        """Draw new values with torch's generator."""
        gain = 3.0 ** (-1.0 / len(self.factors))
        for factor in self.factors:
            _uniform(factor, gain / factor.shape[2])
        if self.bias is not None:
            _uniform(self.bias, 1.0 / (3.0 * self.in_features))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the result (..., out_features) for an operand (..., in_features)."""
        if input.ndim == 0 or input.shape[-1] != self.in_features:
            raise so.ProblemError(
                f"the layer takes operands with {self.in_features} features in the last "
                f"dimension, got shape {tuple(input.shape)}"
            )
        rows = input.reshape(-1, self.in_features)
        factors = list(self.factors._parameters.values())
        found = self._remembered(rows, factors, self.bias, self.architecture)
        if found is not None:
            return found.reshape(*input.shape[:-1], self.out_features)
        y = self._times(rows.T, self._groups[1:])
        first = self._groups[0]
        values = merged(self.factors, first)
        if first.pattern[0] == first.pattern[3] == 1:  # the matrix product leaves the layout, too
            result = nn.functional.linear(y.T, plain(values), self.bias)
        else:
            result = apply(values, first.pattern, y).T.contiguous()
            if self.bias is not None:
                result = result + self.bias.to(result.dtype)
        return result.reshape(*input.shape[:-1], self.out_features)

    def _times(self, x: torch.Tensor, groups: Sequence[Group]) -> torch.Tensor:
        """Return the product of some groups of factors with a matrix (columns, batch)."""
        for group in reversed(groups):
            x = apply(merged(self.factors, group), group.pattern, x)
        return x

    def _distance(self, weight: torch.Tensor) -> float:
        """Return the distance of a dense weight to the own one, over the norm of the former."""
        precise = torch.complex128 if weight.is_complex() else torch.float64
        wanted = weight.to(precise)
        peak = float(wanted.abs().max()) if wanted.any() else 1.0
        factors = tuple(factor.to(precise) for factor in self.factors)
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

    def extra_repr(self) -> str:
        """Sizes and patterns, for printing."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"architecture={self.architecture}, bias={self.bias is not None}"
        )


def dense_microseconds(rows: int, columns: int, batch: int, dtype: Any) -> float:
    """Return the predicted time of a dense layer, one thread, no gradients."""
    whole = so.KroneckerPattern(1, rows, columns, 1)
    return predicted_microseconds("dense", whole, batch, np.dtype(dtype))


def target_of(weight: torch.Tensor) -> np.ndarray:
    """Return a weight as an array that can be factorized, float32 if it is of half precision."""
    wide = weight.detach().float() if weight.dtype in _HALF else weight.detach()
    return wide.cpu().resolve_conj().numpy()


def _mean_square(values: torch.Tensor) -> float:
    return float(values.abs().double().square().mean())


def _uniform(parameter: torch.Tensor, variance: float) -> None:
    """Fill with independent uniform values of this variance (complex: split over both parts)."""
    with torch.no_grad():
        if parameter.is_complex():
            parameter, variance = torch.view_as_real(parameter), variance / 2
        bound = math.sqrt(3.0 * variance)
        parameter.uniform_(-bound, bound)
