"""Training a network with one hidden layer and weight decay to global optimality: the question."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import as_figure, read_only
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.problem import Problem
from sparseopt.judging import limits
from sparseopt.judging.rounding import TINY, gamma
from sparseopt.judging.scaling import largest_part
from sparseopt.training.two_layer_network import TwoLayerNetwork, real_array
from sparseopt.training.two_layer_units import LARGEST, SMALLEST, Units

MOST_SIGNS = 1 << 24
"""Inputs times activation patterns that exact training may meet: the memory of the proof."""
LEAST_DECAY = 1e-130
"""Of the largest entries multiplied; the bounds of rounding hold an underflow of about 1e-136."""


def _require_scale(array: np.ndarray, name: str) -> None:
    largest = largest_part(array)
    if largest and not SMALLEST <= largest <= LARGEST:
        raise ProblemError(
            f"the largest entry of {name} is {largest:.3g} in magnitude, and its square leaves the "
            f"range of float64; multiply {name} by a constant so that it lies between "
            f"{SMALLEST:g} and {LARGEST:g}, and decay by the same"
        )


def _require_affordable(entries: int, what: str) -> None:
    """Refuse what needs more numbers in memory than a file may ask for."""
    if entries > limits.COMPUTED_ENTRIES:
        raise ProblemError(
            f"{what} need {entries} numbers in memory; at most {limits.COMPUTED_ENTRIES} are "
            "allowed, so take fewer samples, gates or neurons"
        )


@json_type
@dataclass(frozen=True, eq=False)
class TwoLayerReLU(Problem[TwoLayerNetwork, Any]):
    """Minimise 1/2 |f(inputs) - targets|^2 + decay/2 (|hidden|^2 + |outer|^2) over all widths.

    f is a `TwoLayerNetwork` of any number of neurons: the two-layer case of weight decay, in which
    training is a convex program, so that its global optimum can be found and proved.

    Parameters
    ----------
    inputs : array_like, shape (samples, features)
        float32 or float64; other numbers become float64. A hidden bias is a column of ones, and
        its weights are penalized like the others; there is no output bias.
    targets : array_like, shape (samples,), or (samples, outputs) with gates
    decay : float
        Positive. A loss of mean squares (1/N) |f - y|^2 + L (|w|^2 + |a|^2) is this one with
        ``decay = N L`` (and twice the value over N).
    gates : array_like, shape (features, gates), or None
        Gated training: every neuron takes one of these gates g, and is active on the samples with
        ``inputs @ g > 0``, whatever its weights. The least decay of a network is then decay times
        a sum of norms, one for each gate (nuclear norms for vector targets), so this is a group
        lasso. None: ReLU neurons, over all activation patterns.

    Raises
    ------
    ProblemError
        NaN or infinity, shapes that do not fit, empty data, a decay that is not positive, vector
        targets without gates, more activation patterns than memory holds (their number is said),
        magnitudes whose squares leave float64.

    Notes
    -----
    Pilanci, Ergen 2020 (arXiv:2002.10553). The dual problem is to maximise
    ``targets . t - |t|^2 / 2`` over the t with ``|t . relu(inputs @ w)| <= decay |w|`` for every w
    (gated: ``|inputs_active.T t| <= decay`` for every gate, in the spectral norm). It never exceeds
    the minimum, see `TwoLayerReLUCertificate`.

    The number of activation patterns is at most ``2 sum_{k<r} binomial(n-1, k)`` for n inputs of
    distinct directions and rank r, with equality in general position (Cover 1965).

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.TwoLayerReLU([[1.0], [-1.0]], [2.0, 0.5], decay=1.0)
    >>> solution = so.solve(problem)
    >>> solution.answer.predict([[1.0], [-1.0]]).round(6)
    array([1., 0.])
    """

    inputs: np.ndarray
    targets: np.ndarray
    decay: float
    gates: np.ndarray | None = None
    default_tolerance: ClassVar = 1e-8
    accuracy_is: ClassVar = (
        "relative duality gap (objectives below 2^-53 of that of the zero network count as that)"
    )

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            inputs: ArrayLike,
            targets: ArrayLike,
            decay: float,
            gates: ArrayLike | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        inputs = real_array(self.inputs, "inputs", (2,))
        if 0 in inputs.shape:
            raise ProblemError(
                f"inputs has shape {inputs.shape}; it needs at least one sample and one feature"
            )
        targets = real_array(self.targets, "targets", (1, 2))
        if len(targets) != len(inputs) or 0 in targets.shape:
            raise ProblemError(
                f"targets has shape {targets.shape}, but there are {len(inputs)} samples; give "
                f"shape ({len(inputs)},), or ({len(inputs)}, outputs) with gates"
            )
        decay = as_figure(self.decay, "decay")
        if not 0.0 < decay < math.inf:
            raise ProblemError(
                f"decay must be a positive number, got {short(decay)}; without decay the network "
                "of least error need not exist, so take a small one"
            )
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "decay", decay)
        _require_scale(inputs, "inputs")
        _require_scale(targets, "targets")
        self.units()  # it refuses entries that no scaling holds
        share = decay / (largest_part(inputs) or 1.0) / (largest_part(targets) or 1.0)
        if share < LEAST_DECAY:
            raise ProblemError(
                f"decay {decay!r} is {share:.3g} of the largest entries of inputs and targets "
                f"multiplied (1 where they are 0), and no proof in floating point tells less than "
                f"{LEAST_DECAY:g} from no decay; take a larger one"
            )
        self._set_gates()

    def _set_gates(self) -> None:
        """Validate the gates; without any, refuse vector targets and too many patterns."""
        if self.gates is not None:
            gates = real_array(self.gates, "gates", (2,))
            if len(gates) != self.inputs.shape[1] or 0 in gates.shape:
                raise ProblemError(
                    f"gates has shape {gates.shape}; give one column of "
                    f"{self.inputs.shape[1]} numbers, one per feature, for each gate"
                )
            size = gates.shape[1] * max(len(self.inputs), len(gates) * self.outputs)
            _require_affordable(size, f"{gates.shape[1]} gates for {len(self.inputs)} samples")
            _require_affordable(self.inputs.size * self.outputs, "inputs times outputs")
            object.__setattr__(self, "gates", gates)
            return
        if self.targets.ndim != 1:
            raise ProblemError(
                f"targets has shape {self.targets.shape}: exact training takes one output, a "
                "vector; with several outputs it is a copositive program, so give gates=, or "
                "train one network for each output"
            )
        count, size = self.pattern_bound, len(self.inputs)
        if count * size > MOST_SIGNS:
            raise ProblemError(
                f"{size} inputs of {self.inputs.shape[1]} features have up to {count} activation "
                f"patterns, and exact training goes through all of them (at most "
                f"{MOST_SIGNS // size} for that many inputs); give gates=, an array "
                "(features, gates), to train on chosen patterns"
            )

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return 1 if self.targets.ndim == 1 else self.targets.shape[1]

    @cached_property
    def pattern_bound(self) -> int:
        """How many activation patterns there are at most; exact in general position.

        With the numerical rank of the inputs: it predicts work, and no proof rests on it.
        """
        rows = self.units().inputs
        sizes = np.abs(rows).max(axis=1)
        rows = rows[sizes > 0] / sizes[sizes > 0, None]
        if not len(rows):
            return 1
        first = rows[np.arange(len(rows)), (rows != 0).argmax(axis=1)]
        count = len(np.unique(rows * np.sign(first)[:, None], axis=0))
        rank = min(count, int(np.linalg.matrix_rank(rows)))
        return 2 * sum(math.comb(count - 1, k) for k in range(rank))

    @cached_property
    def patterns(self) -> np.ndarray:
        """Which gate lets which sample through, bool (samples, gates): the signs are exact."""
        assert self.gates is not None
        inputs, gates = _unit_rows(self.inputs), _unit_rows(self.gates.T)
        values = inputs @ gates.T
        sizes = np.abs(inputs) @ np.abs(gates.T)
        off = gamma(inputs.shape[1] + 2) * (1.0 + 1e-9) * sizes + TINY
        patterns = values > off
        meet = (self.inputs != 0).astype(np.float64) @ (self.gates != 0)
        for i, k in np.argwhere((np.abs(values) <= off) & (meet > 0)).tolist():
            pairs = zip(self.inputs[i].tolist(), self.gates[:, k].tolist(), strict=True)
            patterns[i, k] = sum(Fraction(a) * Fraction(b) for a, b in pairs) > 0
        return read_only(patterns)

    def units(self) -> Units:
        """Return the same question in numbers of moderate size, by powers of two."""
        return Units(self.inputs, self.targets, self.decay)

    def active(self, network: TwoLayerNetwork) -> np.ndarray | None:
        """Return which gated neuron lets which sample through; None for ReLU neurons.

        Raises
        ------
        ProblemError
            If the network does not fit the problem; for a gate that is not one of the problem's.
        """
        shape = (self.inputs.shape[1], network.hidden.shape[1])
        outer = shape[1:] if self.targets.ndim == 1 else (shape[1], self.outputs)
        if network.hidden.shape != shape or network.outer.shape != outer:
            raise ProblemError(
                f"a network with hidden {network.hidden.shape} and outer {network.outer.shape} "
                f"does not fit {shape[0]} features and targets of shape {self.targets.shape}"
            )
        _require_affordable(len(self.inputs) * shape[1], f"{shape[1]} neurons")
        if (network.gates is None) != (self.gates is None):
            raise ProblemError("the network has gates exactly if the problem has")
        if self.gates is None or network.gates is None:
            return None
        known = {tuple(gate): k for k, gate in enumerate(self.gates.T.tolist())}
        chosen = [known.get(tuple(gate), -1) for gate in network.gates.T.tolist()]
        if -1 in chosen:
            raise ProblemError(f"the gate of neuron {chosen.index(-1)} is not one of the problem's")
        return self.patterns[:, chosen]

    def evaluate(self, answer: TwoLayerNetwork) -> Mapping[str, float]:
        """Return the objective and its two parts; O(samples features neurons)."""
        units = self.units()
        hidden, outer = units.weights(answer.hidden), units.weights(answer.outer)
        active = self.active(answer)
        values = units.inputs @ hidden
        values = np.maximum(values, 0.0) if active is None else values * active
        residual = units.targets - values @ outer.reshape(len(outer), self.outputs)
        loss = 0.5 * math.fsum(np.square(residual).ravel().tolist())
        squares = [*np.square(hidden).ravel().tolist(), *np.square(outer).ravel().tolist()]
        penalty = 0.5 * units.decay * math.fsum(squares)
        parts = {"objective": loss + penalty, "loss": loss, "penalty": penalty}
        return {name: units.original_objective(value) for name, value in parts.items()}

    def describe(self) -> str:
        """Return one line with the sizes and the decay."""
        n, d = self.inputs.shape
        kind = "all patterns" if self.gates is None else f"{self.gates.shape[1]} gates"
        more = f", {self.outputs} outputs" if self.targets.ndim == 2 else ""
        sizes = f"{n} samples of {d} features{more}"
        return f"two-layer ReLU training on {sizes}, {kind}, decay {self.decay:g}"

    def structure(self) -> Mapping[str, str | int | bool]:
        """Return whether there are gates, and several outputs."""
        return {"gated": self.gates is not None, "vector": self.targets.ndim == 2}


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    """Return rows in float64, each times a power of two so that its largest entry is about 1.

    Entries that underflow change a product of two such rows by less than `TINY`.
    """
    rows = rows.astype(np.float64)
    exponents = np.frexp(np.abs(rows).max(axis=1))[1]
    with np.errstate(under="ignore"):
        return np.asarray(np.ldexp(rows, -exponents[:, None]))
