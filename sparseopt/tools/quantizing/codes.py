"""Rounding a tensor in blocks, each with its scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.quantization.number_format import NumberFormat

_SMALL = 8
"""Formats with fewer bits, and integers, mean little without a scale."""
_RATIOS = np.linspace(1.0, 0.4, 25)
_HALVINGS = 2.0 ** -np.arange(4.0)


@dataclass(frozen=True)
class Rounding:
    """How the values of a network are rounded.

    Attributes
    ----------
    format : NumberFormat
        With the scale that is used; None if values are numbers of the format themselves.
    by_channel : bool
        Whether each output channel has a scale of its own, not each tensor.
    """

    format: NumberFormat
    by_channel: bool

    @classmethod
    def of(cls, form: NumberFormat, granularity: str) -> Rounding:
        """Return what a format and "tensor" or "channel" ask for."""
        if granularity not in ("tensor", "channel"):
            raise ProblemError(
                f"granularity must be 'tensor' or 'channel', got {short(granularity)}"
            )
        needs = form.bits is not None and (form.bits < _SMALL or form.name.startswith("int"))
        if form.scale is None and needs:
            form = NumberFormat(form.name, "free")
        if form.scale is not None and not form.is_finite:
            form = NumberFormat(form.name)  # F_t holds each scaled number's neighbours as well
        return cls(form, granularity == "channel" and form.scale is not None)

    @property
    def scaled(self) -> bool:
        """Whether blocks have scales."""
        return self.format.scale is not None

    @property
    def grid(self) -> NumberFormat:
        """The numbers that the codes are."""
        return NumberFormat(self.format.name)

    def peaks(self, values: np.ndarray) -> np.ndarray:
        """Return the scales that leave no value of a row out of range, shape (blocks, 1)."""
        if not self.scaled:
            return np.ones((len(values), 1))
        return np.asarray(self.format.block_scales(values, axis=1))

    def rounded(self, values: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Return the nearest multiples of the scales whose codes are in the format."""
        with np.errstate(over="ignore", under="ignore"):
            codes = self.grid.round(values / scales) if self.scaled else self.grid.round(values)
            return np.asarray(codes * scales)

    def errors(self, values: np.ndarray, scales: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """Return what rounding costs, weight by weight."""
        found: np.ndarray = np.abs(self.rounded(values, scales) - values) * costs
        return found

    def best_scales(self, values: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """Return for each row, of scales at and below the peak's, the one with the least cost."""
        first = self.peaks(values)
        if not self.scaled:
            return first
        ratios = _HALVINGS if self.format.scale == "power_of_two" else _RATIOS
        best, least = first, self.errors(values, first, costs).sum(axis=1, keepdims=True)
        for ratio in ratios[1:]:
            tried = first * ratio
            tried = np.where(tried > 0.0, tried, first)
            found = self.errors(values, tried, costs).sum(axis=1, keepdims=True)
            best, least = np.where(found < least, tried, best), np.minimum(found, least)
        return best
