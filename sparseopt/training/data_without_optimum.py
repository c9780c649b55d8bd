"""Certificates that hold a data set on which training with fixed supports has no optimum."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from sparseopt.closedness.certificate import proving
from sparseopt.closedness.limits import CURVE, Curve
from sparseopt.closedness.proofs.laurent import Laurent, add_product, laurent, show
from sparseopt.interface.certificate import Certificate, Steps
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.judging.evidence import INDEX, EvidenceError, List, Rational, Record, brief
from sparseopt.training.sparse_training import SparseTraining, TrainingVerdict, claimed

Points = list[list[list[Any]]]
"""For every sample its nonzero entries, [index, value]."""
Point = dict[int, Fraction]

POINTS = List(List(Record((INDEX, Rational()))))
WEIGHTS = List(CURVE)


class DataEvidence(NamedTuple):
    """What a certificate of a data set says, read."""

    weights: tuple[dict[tuple[int, int], Laurent], ...]
    inputs: tuple[Point, ...]
    targets: tuple[Point, ...]


@dataclass(frozen=True, eq=False)
class DataWithoutOptimumCertificate(Certificate):
    """A data set, and weights W(t) along which the loss falls to 0 that no weights attain.

    As t falls to 0 the network with the weights W(t), all biases 0, tends to the targets at every
    input. The certificate is checked in exact arithmetic: for small t > 0 a Laurent polynomial has
    the sign of its lowest term, so relu keeps it or makes it 0. Subclasses say why no weights give
    the targets, so that the infimum 0 of the loss (squared, or any that is 0 only at equality and
    tends to it with the outputs) is not attained. What is checked, shown and used is `evidence`.

    Attributes
    ----------
    weights : list of list of [i, k, {exponent: coefficient}]
        Nonzero entries of W_1(t), ..., W_L(t).
    inputs, targets : list of list of [index, value]
        For every sample the nonzero entries of x and of y.
    """

    problem: SparseTraining
    answer: TrainingVerdict
    weights: list[Curve]
    inputs: Points
    targets: Points

    @classmethod
    def proved(cls, problem: SparseTraining, *evidence: Any) -> Self:
        """Return the certificate, with the verdict that the evidence is meant to prove.

        Raises
        ------
        EvidenceError
            If the evidence does not have the form of its kind, so that no verdict can be told.
        """
        draft = cls(problem, TrainingVerdict("unknown", ""), *evidence)
        return replace(draft, answer=TrainingVerdict("may_not_be_attained", draft.condition))

    @abstractmethod
    def exclude(self, steps: Steps) -> None:
        """Check why no weights give the targets."""

    @property
    @abstractmethod
    def why(self) -> str:
        """Why no weights give the targets, built from evidence alone."""

    @property
    def condition(self) -> str:
        """The words of the verdict."""
        return f"a data set of {len(self.evidence.inputs)} samples has no optimum: {self.why}"

    @property
    def claim(self) -> str:
        """What is proved."""
        return claimed(self.problem, self.answer)

    @property
    def accuracy(self) -> float:
        """Exact: 0."""
        return 0.0

    @cached_property
    def evidence(self) -> DataEvidence:
        """The fields, read once.

        Raises
        ------
        EvidenceError
            If one is malformed.
        """
        weights = WEIGHTS.read(self.weights, ("weights",))
        layers = [_once(((i, k), laurent(p)) for i, k, p in layer) for layer in weights]
        inputs, targets = (
            tuple(_once(point) for point in POINTS.read(getattr(self, name), (name,)))
            for name in ("inputs", "targets")
        )
        return DataEvidence(tuple(layers), inputs, targets)

    def check(self, steps: Steps) -> None:
        """Check the verdict, the limit of the outputs, and that no weights give the targets."""
        answer, supports = self.answer, self.problem.supports
        says = answer.value == "may_not_be_attained"
        steps.require(says, "the verdict is that some data set has no optimum")
        steps.require(len(supports) > 1, "the network has a hidden layer")
        with proving(steps, "the evidence has the form of its kind"):
            (weights, inputs, targets), condition = self.evidence, self.condition
        steps.require(answer.condition == condition, f"the verdict says: {condition}")
        steps.require(len(weights) == len(supports), "there are weights for every layer")
        for number, (layer, support) in enumerate(zip(weights, supports, strict=True), start=1):
            inside = all(_within(place, support.shape) and support[place] for place in layer)
            steps.require(inside, f"the weights W_{number}(t) lie in their support")
        steps.require(len(targets) == len(inputs), "there are targets for every input")
        sizes = supports[-1].shape[1], supports[0].shape[0]
        for name, points, size in zip(("inputs", "targets"), (inputs, targets), sizes, strict=True):
            most = max((i for point in points for i in point), default=-1)
            steps.require(most < size, f"the {name} have at most {size} entries", f"entry {most}")
        with proving(steps, "the outputs tend to the targets as t falls to 0"):
            for number, (x, y) in enumerate(zip(inputs, targets, strict=True)):
                _require_limit(outputs(weights, x), y, number)
        self.exclude(steps)

    def data_set(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the data set as arrays, shapes (samples, inputs) and (samples, outputs).

        They are float64, or Fractions, dtype object, where a value is no float: rounded data may
        have an optimum.
        """
        first, last = self.problem.supports[0], self.problem.supports[-1]
        sizes = last.shape[1], first.shape[0]
        pair = []
        for points, size in zip(self.evidence[1:], sizes, strict=True):
            exact = all(_is_float(value) for point in points for value in point.values())
            found = np.zeros((len(points), size), dtype=float if exact else object)
            for number, point in enumerate(points):
                for i, value in point.items():
                    found[number, i] = float(value) if exact else Fraction(value)
            pair.append(found)
        return pair[0], pair[1]

    def weights_at(self, t: float) -> list[np.ndarray]:
        """Return W_1(t), ..., W_L(t), float64, for t > 0; `ProblemError` beyond float64."""
        if not isinstance(t, int | float | np.floating) or not 0 < t < math.inf:
            raise ProblemError(f"t is {short(t)}; give a positive number")
        found = [np.zeros(support.shape) for support in self.problem.supports]
        for matrix, layer in zip(found, self.evidence.weights, strict=True):
            for place, powers in layer.items():
                try:
                    matrix[place] = sum(float(c) * float(t) ** e for e, c in powers.items())
                except OverflowError as error:
                    raise ProblemError(f"weights at {t!r} leave the range of float64") from error
        return found

    def samples(self, most: int) -> list[str]:
        """Return the first samples of the data set as lines of text."""
        pairs = list(zip(*self.evidence[1:], strict=True))
        lines = [f"{_listed('x', x)}  ->  {_listed('y', y)}" for x, y in pairs[:most]]
        return lines + [f"and {len(pairs) - most} more"] * (len(pairs) > most)

    def explain(self) -> str:
        """Return the data set, the curve, and why the targets are not reached."""
        weights, samples = self.evidence.weights, self.samples(_SHOWN)
        lines = ["The network is trained on these samples, with all else zero:"]
        lines += [f"  {line}" for line in samples]
        lines.append("As t falls to 0, the error of the network with these weights falls to 0:")
        for number, layer in enumerate(weights, start=1):
            entries = [f"[{i}, {k}] = {show(p)}" for (i, k), p in layer.items() if p]
            more = f", and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
            lines.append(f"  W_{number}(t): " + ", ".join(entries[:_SHOWN]) + more)
        return "\n".join([*lines, "No weights make it 0:", *self.explain_exclusion()])

    @abstractmethod
    def explain_exclusion(self) -> list[str]:
        """Return why no weights give the targets, as sentences."""


_SHOWN = 12
"""Samples, and weights of a layer, that an explanation lists."""


def outputs(weights: tuple[dict[tuple[int, int], Laurent], ...], x: Point) -> dict[int, Laurent]:
    """Return the outputs for small t > 0 as Laurent polynomials, those that are not 0."""
    values: dict[int, Laurent] = {i: {0: value} for i, value in x.items() if value}
    for depth, layer in enumerate(reversed(weights), start=1):
        sums: dict[int, Laurent] = {}
        for (i, k), weight in layer.items():
            if k in values:
                add_product(sums.setdefault(i, {}), weight, values[k])
        hidden = depth < len(weights)
        values = {i: p for i, p in sums.items() if p and (p[min(p)] > 0 or not hidden)}
    return values


def _require_limit(found: dict[int, Laurent], wanted: Point, number: int) -> None:
    for i in {*found, *wanted}:
        p = found.get(i, {})
        if min(p, default=0) < 0:
            raise EvidenceError(f"output {i} has a pole at sample {number}")
        if p.get(0, Fraction(0)) != wanted.get(i, Fraction(0)):
            raise EvidenceError(f"output {i} tends to {brief(p.get(0, 0))} at sample {number}")


def _once(pairs: Any) -> dict[Any, Any]:
    """Return pairs as a dict."""
    found: dict[Any, Any] = {}
    for key, value in pairs:
        if key in found:
            raise EvidenceError(f"entry {key} is given twice")
        found[key] = value
    return found


def _within(place: tuple[int, int], shape: tuple[int, ...]) -> bool:
    return place[0] < shape[0] and place[1] < shape[1]


def _listed(name: str, point: Point) -> str:
    parts = [f"{name}[{i}] = {brief(value)}" for i, value in point.items()]
    more = f", and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return (", ".join(parts[:_SHOWN]) or f"{name} = 0") + more


def _is_float(value: Any) -> bool:
    """Whether a rational is a number of float64."""
    try:
        return Fraction(float(value)) == value
    except OverflowError:
        return False
