"""The pass of a path-norm on float arrays, each with a power of two beside it.

Equal positions of an image are computed once; see `sparseopt_pathnorm.constant_images`.

Underflow. Every value that is passed on has its entries in ``{0}`` or ``[2**-safe, 1]``, where
``2**(-2 * safe)`` is well inside the range of the dtype. If the weights, divided by a power of
two, lie there as well, then no product is rounded to a denormal number or to zero, so the
relative error is that of ordinary rounding. Weights are not looked at where that cannot matter:

* float32 weights in a float64 pass: their cubes lie between 2**-447 and 2**384.
* float32 weights in a float32 pass, q = 1: a product that falls below 2**-126 is off by at most
  2**-149 or lost. If every entry of a result is at least 2**-90, less than 2**20 such terms
  change it by less than 2**-39 relatively. Otherwise the weights are looked at.

Summands far below the others are moved to the common exponent and may round to zero there; that
is allowed under the same condition on every entry of the sum (2**-900 in float64).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from sparseopt.judging.scaling import ScaledArray, times_power
from sparseopt.networks.convolution import Conv
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Operator, Relu
from sparseopt.networks.window import Resample
from sparseopt_pathnorm.constant_images import Condensed, propagate
from sparseopt_pathnorm.layer_parts import is_large, joined, parts_of
from sparseopt_pathnorm.needed_combinations import Wanted, needed_combinations
from sparseopt_pathnorm.scaled_sums import Scaled, as_floats

Value = ScaledArray[Condensed]

_SAFE = {np.dtype(np.float64): 480, np.dtype(np.float32): 60}
_CLEAR = {np.dtype(np.float64): 2.0**-900, np.dtype(np.float32): 2.0**-90}
_SCRATCH = 1 << 14
_ZERO = -(1 << 40)
"""Exponent of values without a positive entry; far below any other."""


class OutOfRange(Exception):
    """One tensor holds entries too far apart for a common exponent."""


class ScaledPass:
    """One pass; see `sparseopt_pathnorm.passes.power_sums` for the parameters.

    Parameters
    ----------
    dtype : float64 or float32
    """

    def __init__(
        self,
        q: float,
        bias_paths: bool,
        tick: Callable[[str], None] | None,
        dtype: type[np.floating] = np.float64,
    ) -> None:
        self._q = q
        self._bias_paths = bias_paths
        self._tick = tick
        self._dtype = np.dtype(dtype)
        self._safe = _SAFE[self._dtype]
        self._scratch = np.empty(0, self._dtype)
        self._is_scratch_free = True

    def run(self, network: Network) -> ScaledArray[np.ndarray]:
        """Return the power sums in the shape of the output.

        Raises
        ------
        OutOfRange
            If the entries of one tensor lie too far apart for a common power of two.
        """
        self._resamples: dict[str, tuple[Operator, int]] = {}
        self._wanted: Mapping[str, Wanted] = needed_combinations(network, self._coefficients)
        ones = Condensed.ones(network.input_shape)
        first = Value(ones.scaled(ones.array.astype(self._dtype)), 0)
        value: Value = network.walk(first, self._visit)
        return ScaledArray(value.array.expanded().array[0], value.exponent)

    def _visit(self, node: Node, values: list[Value]) -> Value:
        if self._tick:
            self._tick(node.name)
        if isinstance(node.op, Relu):
            return values[0]
        inputs, exponent, faint = self._aligned(values)
        unseen: list[np.ndarray] = []
        wanted = self._wanted.get(node.name)
        offset = node.op.offset() if self._bias_paths else None
        if is_large(node.op):
            result, exponent, lost = self._by_parts(node, inputs, exponent, unseen)
            faint = faint or lost
        else:
            op, shift = self._mapped(node, unseen)
            # Biases that may vary over positions are added before these are combined.
            first = wanted if offset is None or isinstance(op, Conv) else None
            with np.errstate(over="ignore", under="ignore"):
                result = propagate(op, inputs, wanted=first)
            exponent += shift
        if faint:
            self._require_clear(result.array)
        if offset is not None and np.any(offset):
            shifted = self._with_offset(self._normal(result, exponent), offset)
            result, exponent = shifted.array, shifted.exponent
        return self._settled(result.narrowed(wanted), exponent, unseen)

    def _by_parts(
        self, node: Node, inputs: list[Condensed], exponent: int, unseen: list[np.ndarray]
    ) -> tuple[Condensed, int, bool]:
        """Return what a large layer makes of its input, a part of its outputs at a time.

        Also the exponent, and whether entries are faint under it, see `_aligned`.
        """
        values = []
        for part in parts_of(node.op):
            op, shift = self._mapped(Node(node.name, part, node.inputs), unseen)
            with np.errstate(over="ignore", under="ignore"):
                values.append(self._normal(propagate(op, inputs), exponent + shift))
        parts, exponent, faint = self._aligned(values)
        return joined(parts), exponent, faint

    def _coefficients(self, node: Node) -> Operator:
        return self._mapped(node, [])[0] if isinstance(node.op, Resample) else node.op

    def _mapped(self, node: Node, unseen: list[np.ndarray]) -> tuple[Operator, int]:
        """Return (op, e) where the weights |w|**q of the layer are those of `op` times 2**e."""
        if node.name in self._resamples:
            return self._resamples[node.name]
        shifts: list[int] = []
        self._is_scratch_free = True

        def transform(array: np.ndarray) -> np.ndarray:
            powers = self._power(array, unseen)
            shifts.append(powers.exponent)
            return powers.array

        if isinstance(node.op, Resample):  # with weights of its own, which nothing overwrites
            self._is_scratch_free = False
        mapped = node.op.mapped(transform), sum(shifts)
        if isinstance(node.op, Resample):
            self._resamples[node.name] = mapped
        return mapped

    def _with_offset(self, value: Value, offset: np.ndarray) -> Value:
        self._is_scratch_free = False  # what is added outlives this call
        powers = self._power(offset, None)
        constant = Condensed(powers.array, (None,) * powers.array.ndim)
        values = [value, self._normal(constant, powers.exponent)]
        (result, constant), exponent, faint = self._aligned(values)
        result = result.against(constant.array)
        result = result.scaled(result.array + constant.array * result.of_ones())
        if faint:
            self._require_clear(result.array)
        return Value(result, exponent)

    def _absolute(self, array: np.ndarray) -> np.ndarray:
        """Return |array| in the dtype of the pass, for large arrays in memory used before."""
        if array.size < _SCRATCH or not self._is_scratch_free:
            return np.asarray(np.abs(array), dtype=self._dtype)
        self._is_scratch_free = False
        if self._scratch.size < array.size:
            self._scratch = np.empty(array.size, self._dtype)
        size = self._scratch[: array.size].reshape(array.shape)
        if array.dtype == self._dtype:
            np.abs(array, out=size)
        else:
            np.copyto(size, array, casting="unsafe")
            np.abs(size, out=size)
        return size

    def _power(self, array: np.ndarray, unseen: list[np.ndarray] | None) -> Scaled:
        """Return |array|**q.

        Weights whose range was not looked at, but may matter, are added to `unseen`.
        """
        if self._q == 0:
            return Scaled(np.asarray(array != 0, dtype=self._dtype), 0)
        original, taken = array, 0
        if array.dtype == object:
            floats = as_floats(array)
            array, taken = floats.array, floats.exponent
        with np.errstate(over="ignore", under="ignore"):
            size = self._absolute(array)
        if array.dtype == np.float32 and self._dtype == np.float64 and self._q <= 3:
            return Scaled(size if self._q == 1 else np.power(size, self._q), 0)
        if unseen is not None and array.dtype == np.float32 and self._q == 1:
            unseen.append(array)
            return Scaled(size, 0)
        top = float(size.max())
        if top == 0.0:
            return Scaled(size, 0)
        if top == math.inf:
            raise OutOfRange
        shift = math.frexp(top)[1]
        if shift:
            np.ldexp(size, -shift, out=size)
        self._require_range(size, self._q)
        may_vanish = shift > 0 or original.dtype != self._dtype
        if may_vanish and np.count_nonzero(original) != np.count_nonzero(size):
            raise OutOfRange
        shift += taken
        if self._q == 1:
            return Scaled(size, shift)
        exponent = math.floor(self._q * shift)
        powered = np.power(size, self._q)
        powered *= 2.0 ** (self._q * shift - exponent)
        return Scaled(powered, exponent)

    def _settled(self, value: Condensed, exponent: int, unseen: list[np.ndarray]) -> Value:
        """Return the value with largest entry in [1/2, 1), after a check of its range."""
        if unseen and not float(value.array.min()) >= _CLEAR[self._dtype]:
            for weights in unseen:
                self._require_weights(weights)
        result = self._normal(value, exponent)
        self._require_range(result.array.array)
        return result

    def _normal(self, value: Condensed, exponent: int) -> Value:
        """Return the value with largest entry in [1/2, 1), or zeros with exponent `_ZERO`."""
        top = float(value.array.max())
        if not top < math.inf:
            raise OutOfRange
        if top == 0.0:
            return Value(value, _ZERO)
        shift = math.frexp(top)[1]
        if not shift:
            return Value(value, exponent)
        return Value(value.scaled(times_power(value.array, -shift)), exponent + shift)

    def _require_weights(self, weights: np.ndarray) -> None:
        size = np.abs(weights)
        nonzero = size[size > 0]
        if nonzero.size and not 2.0**-self._safe <= float(nonzero.min()):
            raise OutOfRange

    def _require_range(self, values: np.ndarray, power: float = 1.0) -> None:
        """Raise `OutOfRange` if a nonzero entry, at most 1, has a power below 2**-safe."""
        least = float(values.min())
        if least == 0.0:
            least = float(values.min(initial=1.0, where=values > 0))
        if math.frexp(least)[1] * power < -self._safe:
            raise OutOfRange

    def _aligned(self, values: list[Value]) -> tuple[list[Condensed], int, bool]:
        """Return normal values under one exponent, and whether one has faint entries there.

        Faint are nonzero entries that end below ``2**-safe``; they may be rounded to zero.
        """
        common = max(value.exponent for value in values)
        result, faint = [], False
        for value, exponent in ((v.array, v.exponent) for v in values):
            if common > exponent > _ZERO // 2:
                moved = times_power(value.array, exponent - common)
                if float(moved.min()) < 2.0**-self._safe:
                    least = float(moved.min(initial=1.0, where=value.array > 0))
                    faint = faint or least < 2.0**-self._safe
                value = value.scaled(moved)
            result.append(value)
        return result, common, faint

    def _require_clear(self, array: np.ndarray) -> None:
        """Refuse a sum with entries beside which faint ones are not negligible."""
        if not float(array.min()) >= _CLEAR[self._dtype]:
            raise OutOfRange
