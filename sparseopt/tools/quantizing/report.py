"""What quantization did to a network or module: layer by layer, with bounds; printable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import printable
from sparseopt.interface.solution import Solution
from sparseopt.judging.rounding import shown_above
from sparseopt.judging.serialization import to_json
from sparseopt.networks.network import Network
from sparseopt.tools.change_ends import ChangeEnds, range_in_words


@json_type
@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """What became of one layer.

    Attributes
    ----------
    name : str
        In the model or network; empty for the model itself.
    values : int
        Of all factors, or of the weight.
    bits_before, bits_after : int
        Of all values with their scales, 32 bits each or 8 if it is a power of two; values of F_t
        count t digits and 8 for the exponent.
    relative_error, nearest_relative_error : float
        Of the weight, in the Frobenius norm, and what rounding each value as it was would have.
        For products of factors the first is certified; for other layers, of the rescaled weight.
    bytes : int
        That the parameters of the layer take in memory now.
    stored : str
        The dtype that holds the values, and why it is not the format's own if that was asked for.
    solution : Solution or None
        Of the `ProductQuantization`, before inputs were weighed; None for layers without factors.
    reason : str
        Why the layer was left as it was; empty if it was quantized.
    input_error : float or None
        Relative error weighted by the second moments of the inputs, where these were weighed.
    """

    name: str
    values: int
    bits_before: int
    bits_after: int
    relative_error: float
    nearest_relative_error: float
    bytes: int
    stored: str = ""
    solution: Solution[Any, Any] | None = None
    reason: str = ""
    input_error: float | None = None

    def __str__(self) -> str:
        head = f"{printable(self.name, 200) or 'the layer'}: {self.values} values"
        if self.reason:
            return f"{head}, {self.reason}"
        inputs = "" if self.input_error is None else shown_above(self.input_error, 3)
        weighed = f", {inputs} for its inputs" if inputs else ""
        return (
            f"{head}, {self.bits_before} to {self.bits_after} bits, relative error "
            f"{shown_above(self.relative_error, 3)}{weighed} (rounding to nearest: "
            f"{self.nearest_relative_error:.3g}), "
            f"{self.bytes} bytes in memory{f' ({self.stored})' if self.stored else ''}"
        )


@json_type
@dataclass(frozen=True, eq=False)
class ChangeBound:
    """A proven bound of the change of a network's output.

    Attributes
    ----------
    value : float
        ``|f(x) - g(x)|_1 <= value`` for all inputs x with ``|x_i| <= radius_i``, where f and g are
        the functions of the two networks with the stored parameters, in exact arithmetic.
    radius : float64 array
        Of the inputs; it broadcasts to their shape.
    method : str
        How it is proved.
    solutions : tuple of Solution
        With the certificates that it rests on, see `sparseopt.tools.quantizing.bounds`.
    """

    value: float
    radius: np.ndarray
    method: str
    solutions: tuple[Solution[Any, Any], ...]

    def __str__(self) -> str:
        return f"at most {shown_above(self.value, 4)} ({self.method})"


@json_type
@dataclass(frozen=True)
class MeasuredChange:
    """The change of the output on given inputs, as both networks compute it in float64.

    Nothing is proved: what their rounding hides or adds is not bounded.

    Attributes
    ----------
    largest, mean : float
        Of ``|f(x) - g(x)|_1`` over the samples.
    samples : int
    """

    largest: float
    mean: float
    samples: int

    def __str__(self) -> str:
        largest = f"largest {self.largest:.3g}, {self.mean:.3g} on average"
        return f"{largest}, in float64 on {self.samples} inputs"


@json_type
@dataclass(frozen=True, eq=False)
class Quantization:
    """The report of `quantize`; prints as text.

    Attributes
    ----------
    layers : tuple of QuantizedLayer
    accuracy_before, accuracy_after : float or None
        What the function says that was given.
    network : Network or None
        The quantized network; None if only layers with factors were quantized.
    rescaling : str
        How hidden units were rescaled before rounding: as asked, or "none" where that has the
        smaller bound.
    factors : float64 array or None
        Of the hidden units, in the order of `RescalingGroups` of the merged network.
    bound, nearest_bound : ChangeBound or None
        Of the change of the output; and the same for each weight rounded to nearest as it was.
    change, nearest_change : MeasuredChange or None
        On the inputs, if some were given; likewise.
    notes : tuple of str
        What else is to be known.
    ends : ChangeEnds or None
        With inputs: how far the output moves at most, and at least, for all inputs between the
        least and the largest entry of these.
    """

    layers: tuple[QuantizedLayer, ...]
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    network: Network | None = None
    rescaling: str = ""
    factors: np.ndarray | None = None
    bound: ChangeBound | None = None
    nearest_bound: ChangeBound | None = None
    change: MeasuredChange | None = None
    nearest_change: MeasuredChange | None = None
    notes: tuple[str, ...] = ()
    ends: ChangeEnds | None = None

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Quantization:
        """Return what JSON holds; files made before there were both ends have none."""
        return cls(**{"ends": None, **fields})

    @property
    def bits_before(self) -> int:
        """Of all layers that were quantized."""
        return sum(layer.bits_before for layer in self.layers if not layer.reason)

    @property
    def bits_after(self) -> int:
        """Of all layers that were quantized, with their scales."""
        return sum(layer.bits_after for layer in self.layers if not layer.reason)

    def __getitem__(self, name: str) -> QuantizedLayer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def to_json(self) -> str:
        """Return the report as JSON, which `from_json` reads."""
        return to_json(self)

    def __str__(self) -> str:
        lines = [str(layer) for layer in self.layers]
        if self.bound is not None and self.network is not None:
            radius = np.broadcast_to(self.bound.radius, self.network.input_shape)
            box = range_in_words(0.0 - radius, radius)  # 0.0 and not -0.0 for 0
            lines.append(f"units rescaled by: {self.rescaling}")
            lines.append(
                f"change of the output, in the L1 norm: proved {self.bound} for inputs in {box}"
            )
            lines.append(f"  rounding to nearest: {self.nearest_bound}")
        if self.change is not None:
            lines.append(f"  measured: {self.change}")
            lines.append(f"  rounding to nearest: {self.nearest_change}")
        if self.ends is not None:
            lines.append(f"  both ends proved: {self.ends}")
        if self.accuracy_before is not None:
            lines.append(f"accuracy {self.accuracy_before:.6g}, now {self.accuracy_after:.6g}")
        return "\n".join([*lines, *(printable(note, 400) for note in self.notes)])
