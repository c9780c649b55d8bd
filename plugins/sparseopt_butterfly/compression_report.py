"""What a compression did: per layer and for the whole model, printable."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

import sparseopt as so


@dataclass(frozen=True)
class LayerCompression:
    """What became of one layer.

    Attributes
    ----------
    name : str
        As in ``model.named_modules()``.
    shape : tuple of int
        (out_features, in_features).
    reason : str
        Why the layer was left as it was; empty if it was replaced.
    architecture : Architecture or None
        The chosen one, also if the layer was then left alone; None if it did not come to a choice.
    relative_error : float or None
        Frobenius distance of the new weight to the old one, over the norm of the latter.
    seconds_before, seconds_after : float or None
        Of one call without gradients, at the batch size of the report: the least of 7 alternated
        tries, on random operands. None if it did not come to a measurement.
    """

    name: str
    shape: tuple[int, int]
    reason: str = ""
    architecture: so.Architecture | None = None
    relative_error: float | None = None
    seconds_before: float | None = None
    seconds_after: float | None = None

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
        """Seconds before over seconds after."""
        if self.seconds_before is None or self.seconds_after is None:
            return None
        return self.seconds_before / self.seconds_after

    def __str__(self) -> str:
        m, n = self.shape
        parts = [f"{self.name or '(the model)'}: {m} x {n}"]
        if self.architecture is not None:
            share = 100 * self.architecture.nnz / self.parameters_before
            parts.append(f"{self.architecture}, {self.architecture.nnz} values ({share:.3g} %)")
        if self.relative_error is not None:
            parts.append(f"relative error {self.relative_error:.3g}")
        if self.seconds_before is not None and self.seconds_after is not None:
            before, after = 1e6 * self.seconds_before, 1e6 * self.seconds_after
            parts.append(f"{before:.4g} us -> {after:.4g} us")
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
        Number of operands at which the speed was measured.
    threads : int
        Of torch, when it was measured.
    parameters_before, parameters_after : int
        Of the whole model.
    """

    model: nn.Module
    layers: tuple[LayerCompression, ...]
    batch: int
    threads: int
    parameters_before: int
    parameters_after: int

    @property
    def replaced(self) -> tuple[LayerCompression, ...]:
        """The layers that were replaced."""
        return tuple(layer for layer in self.layers if layer.replaced)

    @property
    def kept(self) -> tuple[LayerCompression, ...]:
        """The layers that were left alone, each with its reason."""
        return tuple(layer for layer in self.layers if not layer.replaced)

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
            f"times for a batch of {self.batch} on {self.threads} thread(s)"
        )
        return "\n".join([head, *(f"  {layer}" for layer in self.layers)])
