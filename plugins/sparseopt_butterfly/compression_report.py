"""What a compression did: per layer and for the whole model, printable."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from torch import nn

import sparseopt as so

LARGE_ERROR = 0.1
"""Relative error of a weight from which on a user is warned."""


@dataclass(frozen=True)
class LayerCompression:
    """What became of one layer.

    Attributes
    ----------
    name : str
        As in ``model.named_modules()``.
    shape : tuple of int
        Of its matrix: (out_features, in_features), for convolutions (out_channels, kernel cells
        times in_channels).
    reason : str
        Why the layer was left as it was; empty if it was replaced.
    architecture : Architecture or None
        The chosen one, also if the layer was then left alone; None if it did not come to a choice.
    relative_error : float or None
        Frobenius distance of the new weight to the old one, over the norm of the latter, as
        computed in double precision: no bound.
    microseconds_before, microseconds_after : float or None
        Predicted, of the multiplication in one call without gradients at the batch size of the
        report, on one thread of a CPU; see `KroneckerLinear.plan`. None if it did not come to a
        prediction.
    """

    name: str
    shape: tuple[int, int]
    reason: str = ""
    architecture: so.Architecture | None = None
    relative_error: float | None = None
    microseconds_before: float | None = None
    microseconds_after: float | None = None

    @property
    def replaced(self) -> bool:
        """Whether the model has the new layer."""
        return not self.reason

    @property
    def parameters_before(self) -> int:
        """Entries of the dense weight."""
        return self.shape[0] * self.shape[1]

    @property
    def parameters_after(self) -> int:
        """Values of the factors, or entries of the weight if it was left alone."""
        if self.architecture is None or not self.replaced:
            return self.parameters_before
        return self.architecture.nnz

    @property
    def speedup(self) -> float | None:
        """Predicted time before over predicted time after."""
        if self.microseconds_before is None or self.microseconds_after is None:
            return None
        return self.microseconds_before / self.microseconds_after

    def __str__(self) -> str:
        m, n = self.shape
        parts = [f"{self.name or '(the model)'}: {m} x {n}"]
        if self.architecture is not None:
            share = 100 * self.architecture.nnz / self.parameters_before
            parts.append(f"{self.architecture}, {self.architecture.nnz} values ({share:.3g} %)")
        if self.relative_error is not None:
            parts.append(f"relative error {self.relative_error:.3g}")
        if self.speedup is not None:
            parts.append(f"{self.speedup:.3g} times as fast")
        parts.append(f"left alone: {self.reason}" if self.reason else "replaced")
        return "; ".join(parts)


@dataclass(frozen=True, eq=False)
class Compression:
    """A compressed model and what was done to it; prints as text.

    Attributes
    ----------
    model : torch.nn.Module
        With the replaced layers.
    layers : tuple of LayerCompression
        Every chosen layer, in the order of ``named_modules()``.
    batch : int
        Number of operands at which the speed is predicted.
    parameters_before, parameters_after : int
        Of the whole model.
    ends : ChangeEnds or None
        With inputs: how far the output moves at most, and at least, for all inputs between the
        least and the largest entry of these; of the products of factors, multiplied out in double
        precision. What that rounds is counted, and what rounds where batch normalizations become
        scales, so that the ends hold for both models as they are.
    """

    model: nn.Module
    layers: tuple[LayerCompression, ...]
    batch: int
    parameters_before: int
    parameters_after: int
    ends: so.ChangeEnds | None = None

    @property
    def replaced(self) -> tuple[LayerCompression, ...]:
        """The layers that were replaced."""
        return tuple(layer for layer in self.layers if layer.replaced)

    @property
    def kept(self) -> tuple[LayerCompression, ...]:
        """The layers that were left alone, each with its reason."""
        return tuple(layer for layer in self.layers if not layer.replaced)

    def warn_of_errors(self) -> None:
        """Warn of layers whose weights changed so much that the model may need training."""
        far = [one for one in self.replaced if (one.relative_error or 0.0) >= LARGE_ERROR]
        if far:
            worst = max(far, key=lambda one: one.relative_error or 0.0)
            warnings.warn(
                f"{len(far)} of {len(self.layers)} layers changed by {LARGE_ERROR:g} of their norm "
                f"or more, {worst.name!r} by {worst.relative_error:.3g}: test the model, train it "
                "further, or set max_error= or min_accuracy=",
                stacklevel=3,
            )

    def __getitem__(self, name: str) -> LayerCompression:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def __str__(self) -> str:
        share = 100 * self.parameters_after / max(self.parameters_before, 1)
        head = (
            f"{len(self.replaced)} of {len(self.layers)} layers replaced; the model has "
            f"{self.parameters_after} parameters, {share:.3g} % of {self.parameters_before}; "
            f"speed predicted for a batch of {self.batch}"
        )
        last = [] if self.ends is None else [f"  {self.ends}"]
        return "\n".join([head, *(f"  {layer}" for layer in self.layers), *last])
