"""A torch layer whose weight is a product of Kronecker-sparse factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

import sparseopt as so
from sparseopt.butterfly.architecture import Patterns
from sparseopt.interface.arrays import as_count
from sparseopt.tools.chain_plan import MultiplicationPlan, Step
from sparseopt_butterfly.cuda_rows import times_rows
from sparseopt_butterfly.kronecker_layer import KroneckerLayer, built, is_exporting
from sparseopt_butterfly.layer_costs import around_microseconds, rows_microseconds
from sparseopt_butterfly.layer_inference import runs_along_rows
from sparseopt_butterfly.torch_chain import apply, merged, plain


class KroneckerLinear(KroneckerLayer):
    """Apply ``y = x W^T + bias``, W a product of Kronecker-sparse factors. As `torch.nn.Linear`.

    The factors are the parameters; gradients reach them through the product. The operand is
    brought into the layout (in_features, batch) once, factors are applied from the last to the
    first as matrix products batched over their blocks, and the result is brought back once.
    Neighbouring factors are multiplied with each other first where that is predicted to be
    faster, see `merge_for`; this changes the result by rounding only. Where no gradient is asked
    for, tensors on the CPU are multiplied as a `KroneckerProduct` does it, with compiled kernels
    once loading them pays, and what is merged is remembered until a parameter changes; `plan`
    shows how. Square dyadic chains, and chains of larger blocks that consist of whole vectors, as
    those of most Monarch layers do, have kernels of their own, also for gradients: these read
    operand and factors where they are, and neither merge nor remember anything. With gradients,
    other chains of larger blocks are multiplied by torch in the order that compiled kernels
    bring them into. On a CUDA device kernels are used, for gradients too, if CuPy is installed.

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
        over the norm of the latter, as computed in double precision: no bound, distances near 1e-16
        are mostly rounding. It is not changed by training, nor by what `fused` rounds, and a layer
        from a file has what the file says.

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
        in_features = as_count(in_features, "in_features")
        out_features = as_count(out_features, "out_features")
        architecture = built(architecture)
        if architecture.shape != (out_features, in_features):
            rows, columns = architecture.shape
            raise so.ProblemError(
                f"the architecture {architecture} makes {rows} features of {columns}; a layer "
                f"with in_features={in_features} and out_features={out_features} needs one of "
                f"shape ({out_features}, {in_features})"
            )
        super().__init__(architecture, out_features, bias, device, dtype)
        self.in_features = in_features
        self.out_features = out_features

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
        return layer._project(linear, linear.weight, options)

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
        return self._dense_copy(linear, self.weight)  # type: ignore[no-any-return]

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
        return layer._take_fused(self, sizes)

    @property
    def weight(self) -> torch.Tensor:
        """The dense weight (out_features, in_features), differentiable, computed at each access.

        For code that reads the weight of a linear layer; calling the layer does not use it.
        """
        return self._matrix

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the result (..., out_features) for an operand (..., in_features)."""
        shape = input.shape
        if not shape or shape[-1] != self.in_features:
            raise so.ProblemError(
                f"the layer takes operands with {self.in_features} features in the last "
                f"dimension, got shape {tuple(shape)}"
            )
        rows = input if len(shape) == 2 else input.reshape(-1, self.in_features)
        factors = self._values()
        held = self._parameters  # the short way, unless something computes the bias
        bias = held["bias"] if "bias" in held else self.bias  # noqa: SIM401
        found = self._remembered(rows, factors, bias, self.architecture)
        if found is not None:
            return found if rows is input else found.reshape(*shape[:-1], self.out_features)
        if is_exporting():
            result = self._apart(rows[..., None])[..., 0]
            if self.bias is not None:
                result = result + self.bias
            return result.reshape(*input.shape[:-1], self.out_features)
        if rows.is_cuda:
            product = times_rows(rows, factors, bias, self._flat)
            if product is not None:
                return product if rows is input else product.reshape(*shape[:-1], -1)
        if rows.device != factors[0].device:
            raise so.ProblemError(
                f"the operand is on the device {rows.device}, the layer on {factors[0].device}"
            )
        merges = len(self._groups) < len(factors)
        chain = self._trained.chain(rows, factors, bias, self.architecture, self._by_torch, merges)
        if chain is None:
            result = self._by_torch(rows, bias, factors)
        else:
            result = chain(rows, bias, factors)
        return result if rows is input else result.reshape(*shape[:-1], self.out_features)

    def _planned(self, plan: MultiplicationPlan) -> MultiplicationPlan:
        """Return the plan of the product, with what the layer does beside it."""
        batch, itemsize = plan.batch, plan.dtype.itemsize
        if runs_along_rows(self.architecture, plan.dtype):
            last = len(self.architecture) - 1
            time = rows_microseconds(self.architecture, batch, itemsize)
            whole = so.KroneckerPattern(1, *self.architecture.shape, 1)
            return replace(plan, steps=(Step(0, last, whole, "rows", time),))
        return replace(plan, around=around_microseconds(self.architecture, batch, itemsize))

    def _on_device(self) -> tuple[Literal["first", "last"], list[int]]:
        """Return where the batch stands, and the entries of the addition of the bias."""
        return "first", [2 * self.out_features] if self.bias is not None else []

    def _by_torch(
        self, rows: torch.Tensor, bias: torch.Tensor | None, factors: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Return the result for (batch, in_features) by operators of torch."""
        for factor, pattern in zip(factors, self.architecture, strict=True):
            if tuple(factor.shape) != pattern.values_shape:
                raise so.ProblemError(
                    f"a factor has shape {tuple(factor.shape)}; its pattern {pattern} needs "
                    f"{pattern.values_shape}"
                )
        y = self._times(rows.T, self._groups[1:], factors)
        first = self._groups[0]
        values = merged(factors, first)
        if first.pattern[0] == first.pattern[3] == 1:  # the matrix product leaves the layout, too
            return nn.functional.linear(y.T, plain(values), bias)
        result = apply(values, first.pattern, y).T.contiguous()
        return result if bias is None else result + bias.to(result.dtype)

    def extra_repr(self) -> str:
        """Sizes and patterns, for printing."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"architecture={self.architecture}, bias={self.bias is not None}"
        )
