"""The distance of two parameter settings in path-lifting, and what it says about the outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from sparseopt.interface.arrays import as_figure
from sparseopt.interface.certificate import Certificate, Steps
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.problem import Problem
from sparseopt.judging.exact import of_python
from sparseopt.judging.rounding import UNIT, float_above, shown_above
from sparseopt.judging.serialization import same_content
from sparseopt.networks.network import Network
from sparseopt.networks.operator import Operator, unchecked
from sparseopt.pathnorm import differences, exact, path_pairs
from sparseopt.pathnorm.effort import TooLarge
from sparseopt.pathnorm.fields import as_rational
from sparseopt.pathnorm.powers import Powers

TOLERANCE = 1e-9
"""Relative error within which an exact distance is stated."""

SLACK, FAINT = 2.0**-20, 2.0**-1074
"""How far, relatively and absolutely, a stated bound may be above that which its method gives."""

METHODS = ("dominated", "two_pass", "three_pass", "enumeration")


@json_type
@dataclass(frozen=True, eq=False)
class PathDistanceValue:
    """The L1 distance of two path-liftings, or an upper bound on it.

    Parameters
    ----------
    value : float
        ``|Phi(a) - Phi(b)|_1`` to a relative 1e-9, or a number that is not smaller.
    kind : {"exact", "upper bound"}
    same_signs : bool
        Whether no parameter changes its sign from one setting to the other.
    exact : Fraction or None
        The same number in exact arithmetic.
    outputs : float or None
        A number that ``|f_a(x) - f_b(x)|_1`` does not exceed for ``|x|_inf <= 1``, by three passes
        and for all signs, see `PathDistance`. None in files made before there was one, where
        float64 ends, and where the value is that number.
    """

    value: float
    kind: str
    same_signs: bool
    exact: Fraction | None = None
    outputs: float | None = None

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> PathDistanceValue:
        """Return what JSON holds; older files say nothing of outputs."""
        return cls(**{"outputs": None, **fields})

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", as_figure(self.value, "value"))
        if not 0 <= self.value < math.inf:
            raise ProblemError(f"value is {short(self.value)}; a distance is finite and at least 0")
        if self.exact is not None:
            object.__setattr__(self, "exact", as_rational(self.exact, "exact"))
        if self.outputs is not None:
            object.__setattr__(self, "outputs", as_figure(self.outputs, "outputs"))
        if not isinstance(self.same_signs, bool):
            raise ProblemError(f"same_signs is {short(self.same_signs)}; it must be True or False")

    def output_bound(self, input_bound: float) -> float:
        """Return a bound on ``|f_a(x) - f_b(x)|_1`` for all x with ``|x|_inf <= input_bound``.

        It is ``max(input_bound, 1)`` times the distance, if no sign changes, or its upper bound, or
        `outputs`, whichever is smaller. Source: Gonon et al., arXiv 2405.15006, where no sign
        changes; for `outputs` see `PathDistance`.

        Raises
        ------
        ProblemError
            If some parameter changes its sign, and the answer, of an older file, has nothing but
            the distance. For f = w2 relu(w1 x), the settings (1, 1) and (-1, -1) have the same
            path-lifting, but their values at x = 1 are 1 and 0.
        """
        plain = input_bound.item() if isinstance(input_bound, np.generic) else input_bound
        if not isinstance(plain, int | float | Fraction) or not 0 <= plain < math.inf:
            raise ProblemError(f"input_bound is {short(input_bound)}; give a number of at least 0")
        known = [] if self.outputs is None else [Fraction(self.outputs)]
        if self.kind != "exact":  # the bounds of a distance bound the outputs, too
            known.append(Fraction(self.value))
        elif self.same_signs and self.exact is not None:
            known.append(self.exact)
        elif self.same_signs:
            known.append(Fraction(self.value) * (1 + 2 * Fraction(TOLERANCE)))
        if not known:
            raise ProblemError(
                "some parameter changes its sign between the two settings; then the distance of "
                "the path-liftings says nothing about the outputs; solve the problem again"
            )
        # Paths that start at a bias have the input 1.
        return float_above(max(of_python(Fraction(plain)), Fraction(1)) * min(known))


@json_type
@dataclass(frozen=True, eq=False)
class PathDistanceCertificate(Certificate):
    """A distance of path-liftings that the core computes again, from the layers' fields alone.

    In exact arithmetic where the networks are small or the answer states an exact value.
    Otherwise in float64 by sums of non-negative products only, with every rounding counted (see
    `differences`): a distance is proved to be within a relative 1e-9 of its value, an upper bound
    not to be below the proven one.

    Parameters
    ----------
    method : {"dominated", "two_pass", "three_pass", "enumeration"}
        See `PathDistance`.
    """

    problem: PathDistance
    answer: PathDistanceValue
    method: str

    @property
    def accuracy(self) -> float:
        """Relative error of the distance; 0 where it is known exactly, inf for upper bounds."""
        if self.answer.kind != "exact":
            return math.inf
        return TOLERANCE if self.answer.exact is None else 0.0

    @property
    def claim(self) -> str:
        """The distance in words."""
        answer = self.answer
        if answer.kind == "exact":
            words = f"is {answer.value!r}, within a relative {TOLERANCE!r}"
        else:
            words = f"is at most {shown_above(answer.value, 15)}"
        if answer.exact is not None:
            words += " (in `exact` without rounding)"
        signs = "no parameter changes" if answer.same_signs else "some parameter changes"
        return f"the L1 distance of the two path-liftings {words}; {signs} its sign"

    def check(self, steps: Steps) -> None:
        """Decide the signs again, and compute the distance again by the method named."""
        problem, answer = self.problem, self.answer
        same = answer.same_signs == problem.same_signs
        steps.require(same, "the statement about signs is right")
        if answer.outputs is not None:
            found = differences.difference(problem.network, problem.other, apart=True)
            least = found.as_fraction() / (1 - Fraction(found.error))
            fits = least <= answer.outputs <= least * (1 + Fraction(SLACK)) + Fraction(FAINT)
            steps.require(
                fits, "the bound of the outputs is not below that of three passes, nor far"
            )
        kind = "upper bound" if self.method in ("two_pass", "three_pass") else "exact"
        steps.require(answer.kind == kind, f"the answer's kind is {kind!r}, which its method gives")
        steps.require(self.method in METHODS, f"the method is one of {', '.join(METHODS)}")
        conditions = {"dominated": problem.dominates, "two_pass": problem.same_signs}
        steps.require(conditions.get(self.method, True), "the parameters are as the method needs")
        if self.method == "enumeration":
            self._check_exactly(steps, path_pairs.enumerated_distance)
            return
        apart = self.method == "three_pass"
        if answer.exact is not None:
            self._check_exactly(steps, partial(differences.exact_difference, apart=apart))
            return
        try:
            right = differences.exact_difference(problem.network, problem.other, exact.SHORT, apart)
        except TooLarge:
            found = differences.difference(problem.network, problem.other, apart)
            steps.note(f"computed again, with a relative error up to {shown_above(found.error)}")
            self._check_value(steps, found.as_fraction(), Fraction(found.error))
        else:
            self._check_value(steps, right, Fraction(0))

    def _check_exactly(self, steps: Steps, compute: Callable[[Network, Network], Fraction]) -> None:
        """Compare with an exact value."""
        right = compute(self.problem.network, self.problem.other)
        steps.require(self.answer.exact in (None, right), "the exact value is right")
        self._check_value(steps, right, Fraction(0))

    def _check_value(self, steps: Steps, right: Fraction, error: Fraction) -> None:
        """Compare the value with the distance or bound, known to a relative error."""
        value = Fraction(self.answer.value)
        found = f"{self.answer.value!r} against {Powers.of_fractions([right]).as_float()!r}"
        if self.answer.kind == "upper bound":
            least = right / (1 - error)
            fits = least <= value <= least * (1 + Fraction(SLACK)) + Fraction(FAINT)
            steps.require(fits, "the value is not below the method's bound, nor far above", found)
            return
        steps.require(
            abs(value - right) <= (Fraction(TOLERANCE) - 2 * error - 4 * Fraction(UNIT)) * right,
            f"the value is the distance within a relative {TOLERANCE:g}",
            found,
        )


@json_type
@dataclass(frozen=True, eq=False)
class PathDistance(Problem[PathDistanceValue, "PathDistanceCertificate"]):
    """The distance ``|Phi(a) - Phi(b)|_1`` of the path-liftings of two parameter settings.

    Parameters
    ----------
    network, other : Network
        Two networks that differ in their parameters only, for example before and after pruning.

    Notes
    -----
    dominated
        One setting is entrywise at least as large as the other in absolute value, with no sign
        change (pruning, truncation): then every |Phi_p| is, and the distance is the difference
        of the two norms, exactly.
    two_pass
        No sign changes: then Phi_p(a) and Phi_p(b) have the same sign, both |Phi_p| lie between
        the products of the smaller and of the larger of the two absolute values, and the
        difference of those two norms is an upper bound.
    three_pass
        Signs change: the sum below is an upper bound of the distance, too.
    enumeration
        All paths one by one, for small networks; the only way to the distance if signs change.

    Of the outputs each method proves a bound by three passes, whatever the signs. Let m have the
    smaller absolute values where signs agree, 0 elsewhere. From a to m, and from m to b, no sign
    changes and every |Phi_p| falls, or rises, so these are at the distances ``|Phi(a)|_1 -
    |Phi(m)|_1`` and ``|Phi(b)|_1 - |Phi(m)|_1``, and on either way the outputs move by at most
    that times ``max(|x|_inf, 1)``. Where signs agree the sum is at most the bound by two passes
    with the larger (M) and the smaller absolute values: the norm is a polynomial in them with
    nonnegative coefficients, so ``|Phi(M)|_1 + |Phi(m)|_1 >= |Phi(a)|_1 + |Phi(b)|_1``.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((2,), Dense(np.array([[1.0, -2.0]])), Relu(), Dense(np.array([[3.0]])))
    >>> pruned = net.with_parameters({"0:Dense.weight": np.array([[0.0, -2.0]])})
    >>> answer = so.solve(so.PathDistance(net, pruned)).answer
    >>> answer.value, answer.kind, answer.output_bound(2.0)
    (3.0, 'exact', 6.0)
    """

    network: Network
    other: Network
    certificates: ClassVar[tuple[type[Certificate], ...]] = (PathDistanceCertificate,)
    accuracy_is: ClassVar[str] = "relative error of the distance"

    def __post_init__(self) -> None:
        for name in ("network", "other"):
            if not isinstance(getattr(self, name), Network):
                raise ProblemError(f"{name} must be a Network; make one with so.load_network")
        mine, theirs = (
            [(n.name, n.inputs, _without_parameters(n.op), _shapes(n.op)) for n in net.nodes]
            for net in (self.network, self.other)
        )
        if same_content(mine, theirs) and self.network.output == self.other.output:
            return
        sizes = [{(k[0], n) for k in net for n in k[3].items()} for net in (mine, theirs)]
        if same_content([k[:3] for k in mine], [k[:3] for k in theirs]) and sizes[0] != sizes[1]:
            node, (name, _) = min(sizes[0] ^ sizes[1])
            raise ProblemError(f"the parameter '{node}.{name}' is not the same array in both")
        raise ProblemError(
            "the two networks differ in their layers; a distance is defined between two "
            "parameter settings of one network (network.with_parameters)"
        )

    @cached_property
    def _pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        other = self.other.parameters()
        return [(array, other[name]) for name, array in self.network.parameters().items()]

    @cached_property
    def same_signs(self) -> bool:
        """Whether no parameter is positive in one setting and negative in the other."""
        pairs = self._pairs
        return not any(np.any((a > 0) & (b < 0)) or np.any((a < 0) & (b > 0)) for a, b in pairs)

    @cached_property
    def dominates(self) -> bool:
        """Whether signs agree and one setting is entrywise the larger one."""
        sizes = [(np.abs(a), np.abs(b)) for a, b in self._pairs]
        ordered = all(np.all(a >= b) for a, b in sizes) or all(np.all(a <= b) for a, b in sizes)
        return ordered and self.same_signs

    def evaluate(self, answer: PathDistanceValue) -> Mapping[str, float]:
        """Return the value; among valid answers the smaller is the better."""
        return {"value": answer.value}

    def describe(self) -> str:
        """Name the network."""
        return f"path-lifting distance of two settings of a {self.network.describe()}"


def _without_parameters(op: Operator) -> Operator:
    """Return the layer without the arrays in which two settings of a network may differ."""
    return unchecked(op, **dict.fromkeys(op.parameters()))  # type: ignore[no-any-return]


def _shapes(op: Operator) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in op.parameters().items()}
