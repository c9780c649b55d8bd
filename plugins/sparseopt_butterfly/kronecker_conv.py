"""A torch convolution whose weight is a product of Kronecker-sparse factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.modules.utils import _pair

import sparseopt as so
from sparseopt.butterfly.architecture import Patterns
from sparseopt.interface.arrays import as_count
from sparseopt.interface.printing import short
from sparseopt.tools.chain_plan import MultiplicationPlan
from sparseopt_butterfly.cells import Cells, padding_of, strips_of
from sparseopt_butterfly.cuda_rows import times_columns
from sparseopt_butterfly.kronecker_layer import KroneckerLayer, built, is_exporting
from sparseopt_butterfly.layer_costs import cells_microseconds

Sizes = int | Sequence[int]


class KroneckerConv2d(KroneckerLayer):
    """Convolve images with a weight that is a product of Kronecker-sparse factors.

    As `torch.nn.Conv2d`. A convolution multiplies, at every cell of the result, one matrix of shape
    (out_channels, kernel_height * kernel_width * in_channels) with the cells below the kernel; here
    this matrix is the product. Its columns are ordered by position in the kernel, row by row, then
    by channel: it is ``weight.permute(0, 2, 3, 1).flatten(1)``. Else the layer acts as
    `KroneckerLinear` does.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or (int, int)
    architecture : Architecture or iterable of (a, b, c, d)
        Of the shape (out_channels, kernel_height * kernel_width * in_channels), or of the shape
        (out_channels, in_channels): then each position of the kernel has a product of this
        architecture of its own, see Notes. It need not be chainable.
    stride, dilation : int or (int, int)
    padding : int, (int, int), "valid" or "same"
    groups : int
        Only 1. A factor (a, b, c, d) has blocks itself: a groups of channels that are neighbours,
        and d groups of every d-th channel.
    bias : bool
        Whether a bias is added and learnt.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
    device, dtype
        Of the parameters, as for `torch.nn.Conv2d`.

    Attributes
    ----------
    architecture : Architecture
        Of all positions together.
    factors : torch.nn.ParameterList
        Values (a, b, c, d) of each factor, see `KroneckerPattern`.
    bias : Parameter (out_channels,) or None
    relative_error : float or None
        For a layer made by `from_conv2d`, the Frobenius distance of its weight to the given one,
        over the norm of the latter, as computed in double precision: no bound, distances near 1e-16
        are mostly rounding. It is not changed by training, nor by what `fused` rounds, and a layer
        from a file has what the file says.

    Raises
    ------
    ProblemError
        For an architecture of another shape, more groups, and sizes that `torch.nn.Conv2d` does not
        take either.

    Notes
    -----
    Products W_1 .. W_k, one for each position, side by side are a product, too: their last factors
    become the blocks of one factor (k a, b, c, d), and so on; the first ones stand side by side as
    (1, b, k c, d), or, where they have a > 1, are added up by a further factor (1, 1, k, rows).

    A convolution takes products of k times as many rows of operands as a linear layer. Where
    no gradient is asked for, tensors on the CPU are multiplied as in `KroneckerLinear`, a few rows
    of an image at a time; a kernel of one cell needs no copy. Gradients come from operators of
    torch.

    Examples
    --------
    >>> import torch, sparseopt as so
    >>> layer = so.KroneckerConv2d(8, 8, 3, so.Architecture.square_dyadic(8), padding=1)
    >>> layer(torch.ones(2, 8, 6, 6)).shape, sum(p.numel() for p in layer.factors)
    (torch.Size([2, 8, 6, 6]), 432)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        architecture: Patterns,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        columns = as_count(in_channels, "in_channels")
        rows = as_count(out_channels, "out_channels")
        kernel = _counts(kernel_size, "kernel_size")
        steps, gaps = _counts(stride, "stride"), _counts(dilation, "dilation")
        if as_count(groups, "groups") != 1:
            raise so.ProblemError(
                f"groups={groups}: a KroneckerConv2d has one group; a factor (a, b, c, d) with "
                f"a = {groups} acts on {groups} groups of neighbouring channels"
            )
        whole = _whole(built(architecture), rows, columns, kernel)
        pads = padding_of(padding, kernel, steps, gaps, padding_mode)
        super().__init__(whole, rows, bias, device, dtype)
        self.in_channels, self.out_channels = columns, rows
        self.kernel_size, self.stride, self.dilation = kernel, steps, gaps
        self.padding = padding if isinstance(padding, str) else _pair(padding)
        self.padding_mode = padding_mode
        self.groups = 1
        self._cells = Cells(kernel, steps, gaps, pads, padding_mode)

    @classmethod
    def from_conv2d(
        cls, conv: nn.Conv2d, architecture: Patterns, **options: Any
    ) -> KroneckerConv2d:
        """Return the layer whose weight is the projection of that of a `torch.nn.Conv2d`.

        Parameters
        ----------
        conv : torch.nn.Conv2d
            With one group; left as it is. The new layer has its device, dtype, training mode and a
            copy of its bias; whether each parameter is trained is taken over, too.
        architecture : Architecture
            Chainable, of a shape as in the constructor.
        options
            For `sparseopt.solve` of the `ButterflyFactorization` of the weight.

        Raises
        ------
        ProblemError
            If the architecture is not chainable or of another shape, or the weight has NaN or
            infinity.

        Examples
        --------
        >>> import torch, sparseopt as so
        >>> conv = torch.nn.Conv2d(4, 8, 3)
        >>> exact = so.KroneckerConv2d.from_conv2d(conv, [(1, 8, 36, 1)])
        >>> exact.relative_error < 1e-6
        True
        """
        layer = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            architecture,
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            groups=conv.groups,
            bias=conv.bias is not None,
            padding_mode=conv.padding_mode,
            device=conv.weight.device,
            dtype=conv.weight.dtype,
        )
        matrix = conv.weight.permute(0, 2, 3, 1).flatten(1)
        return layer._project(conv, matrix, options)

    def to_conv2d(self) -> nn.Conv2d:
        """Return a `torch.nn.Conv2d` with the dense product as weight and a copy of the bias."""
        conv = nn.utils.skip_init(
            nn.Conv2d,
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            **self._options(),
        )
        return self._dense_copy(conv, self.weight)  # type: ignore[no-any-return]

    def fused(self, sizes: Sequence[int]) -> KroneckerConv2d:
        """Return a layer for the same map whose parameters are products of neighbours.

        It has more parameters and fewer factors; use it when training is over, so that nothing is
        merged at each call.

        Parameters
        ----------
        sizes : sequence of int
            Group sizes as for `Architecture.fuse`.
        """
        layer = type(self)(
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            self.architecture.fuse(sizes),
            **self._options(),
        )
        return layer._take_fused(self, sizes)

    @property
    def weight(self) -> torch.Tensor:
        """The dense weight (out_channels, in_channels, height, width), computed at each access."""
        split = self._matrix.unflatten(1, (*self.kernel_size, self.in_channels))
        return split.permute(0, 3, 1, 2).contiguous()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the result (..., out_channels, height, width) for images (..., in_channels, ., .).

        They have one leading axis or none.
        """
        if input.ndim not in (3, 4) or input.shape[-3] != self.in_channels:
            raise so.ProblemError(
                f"the layer takes images of shape (batch, {self.in_channels}, height, width) or "
                f"({self.in_channels}, height, width), got shape {tuple(input.shape)}"
            )
        images = input if input.ndim == 4 else input[None]
        if is_exporting():
            below = self._cells(images)  # (images, positions * channels, height, width)
            y = self._apart(below.flatten(2)).reshape(-1, self.out_channels, *below.shape[2:])
        else:
            factors = self._values()
            made = self._in_strips(images, factors)
            if made is not None:
                return made if input.ndim == 4 else made[0]
            below = self._cells(images)
            count, _, height, width = below.shape
            columns = below.transpose(0, 1).flatten(1)
            found = times_columns(columns, factors, self._flat) if columns.is_cuda else None
            y = self._times(columns, self._groups, factors) if found is None else found
            y = y.unflatten(1, (count, height, width)).transpose(0, 1)
        if self.bias is not None:
            bias = self.bias if self.bias.dtype == y.dtype else self.bias.to(y.dtype)
            y = y + bias[:, None, None]
        y = y.contiguous()
        return y if input.ndim == 4 else y[0]

    def _planned(self, plan: MultiplicationPlan) -> MultiplicationPlan:
        """Return the plan of the product, with what the layer does beside it."""
        positions, itemsize = math.prod(self.kernel_size), plan.dtype.itemsize
        around = cells_microseconds(self.architecture, positions, plan.batch, itemsize)
        return replace(plan, around=around)

    def _on_device(self) -> tuple[Literal["first", "last"], list[int]]:
        """Return where the batch stands, and the entries of copies and of the bias.

        Cells are gathered, laid out as columns, and the result as images.
        """
        rows, columns = self.architecture.shape
        gathered = [] if math.prod(self.kernel_size) == 1 else [2 * columns]
        bias = [] if self.bias is None else [2 * rows]
        return "last", [*gathered, 2 * columns, *bias, 2 * rows]

    def _in_strips(
        self, images: torch.Tensor, factors: Sequence[torch.Tensor]
    ) -> torch.Tensor | None:
        """Return the result without gradients, None if torch has to multiply.

        A few rows of an image at a time are copied together and multiplied: what all positions of
        a kernel read of whole images leaves the cache, and memory that is fresh from the system
        takes longer to get than the product takes.
        """
        parts = self._cells.parts(images)
        count, channels, height, width = parts[0].shape
        cells = count * height * width
        if not cells:
            return None
        product = self._remembered.product(images, factors, self.architecture, cells)
        if product is None:
            return None
        rows, bias = self.out_channels, self.bias
        added = None if bias is None else bias.detach().to(images.dtype)[:, None, None, None]
        made = images.new_empty((count, rows, height, width))
        columns = len(parts) * channels
        few, high = strips_of((height, width), columns, images.element_size())
        room = images.new_empty(columns * min(few, count) * high * width)
        alone = len(parts) == 1 and few == 1
        parts = [part.detach().transpose(0, 1) for part in parts]
        for first in range(0, count, few):
            for top in range(0, height, high):
                some = slice(None), slice(first, first + few), slice(top, top + high)
                target = made.transpose(0, 1)[some]
                if alone:
                    below = parts[0][some].contiguous()
                else:
                    size = columns, *target.shape[1:]
                    below = room[: math.prod(size)].view(size)
                    torch.cat([part[some] for part in parts], dim=0, out=below)
                y = torch.from_numpy(product @ below.view(columns, -1).numpy())
                y = y.view(target.shape)
                if added is None:
                    target.copy_(y)
                else:
                    torch.add(y, added, out=target)
        return made

    def _options(self) -> dict[str, Any]:
        some = self.factors[0]
        names = ("stride", "padding", "dilation", "padding_mode")
        own = {name: getattr(self, name) for name in names}
        return own | {"bias": self.bias is not None, "device": some.device, "dtype": some.dtype}

    def extra_repr(self) -> str:
        """Sizes and patterns, for printing."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"architecture={self.architecture}, stride={self.stride}, padding={self.padding!r}, "
            f"dilation={self.dilation}, bias={self.bias is not None}"
        )


def _whole(
    architecture: so.Architecture, rows: int, columns: int, kernel: tuple[int, int]
) -> so.Architecture:
    """Return the architecture of all positions, or raise `ProblemError` for another shape."""
    positions = math.prod(kernel)
    if architecture.shape == (rows, positions * columns):
        return architecture
    if architecture.shape != (rows, columns):
        has = " x ".join(map(str, architecture.shape))
        raise so.ProblemError(
            f"the architecture {architecture} is of shape {has}; a layer with "
            f"in_channels={columns}, out_channels={rows} and a kernel of {kernel[0]} x {kernel[1]} "
            f"cells needs ({rows}, {positions * columns}), or ({rows}, {columns}) for one product "
            "at each position"
        )
    first, *others = (tuple(pattern) for pattern in architecture)
    a, b, c, d = first
    blocks = [(positions * a, b, c, d) for a, b, c, d in others]
    if a == 1:
        return so.Architecture([(1, b, positions * c, d), *blocks])
    return so.Architecture([(1, 1, positions, rows), (positions * a, b, c, d), *blocks])


def _counts(value: Any, name: str) -> tuple[int, int]:
    """Return two positive integers, given as one or two."""
    pair = _pair(value)
    if len(pair) != 2:
        raise so.ProblemError(f"{name} must be one or two positive integers, got {short(value)}")
    return as_count(pair[0], name), as_count(pair[1], name)
