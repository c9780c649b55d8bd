"""The distance of two parameter settings in path-lifting, and what it says about the outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from sparseopt.certificate import Certificate, Steps
from sparseopt.errors import ProblemError
from sparseopt.network.network import Network
from sparseopt.pathlifting.exact import backward_power_sums, is_small
from sparseopt.pathlifting.lifting import LIMIT, path_lifting
from sparseopt.pathlifting.passes import power_sums
from sparseopt.problem import Problem
from sparseopt.serialization import json_type

KINDS = ("exact", "upper bound")


@json_type
@dataclass(frozen=True, eq=False)
class PathDistanceValue:
    """The L1 distance of two path-liftings, or an upper bound on it.

    Parameters
    ----------
    value : float
        ``|Phi(a) - Phi(b)|_1``, or a number that is not smaller.
    kind : {"exact", "upper bound"}
        ``exact`` up to rounding where `exact` is None.
    same_signs : bool
        Whether no parameter changes its sign from one setting to the other. Only then is
        `output_bound` true.
    exact : Fraction or None
        The same number in exact arithmetic.
    """

    value: float
    kind: str
    same_signs: bool
    exact: Fraction | None = None

    def output_bound(self, input_bound: float) -> float:
        """Return a bound on ``|f_a(x) - f_b(x)|_1`` for all x with ``|x|_inf <= input_bound``.

        It is ``max(input_bound, 1) |Phi(a) - Phi(b)|_1``. Source: Gonon et al.,
        arXiv 2405.15006.

        Raises
        ------
        ProblemError
            If some parameter changes its sign. Then the inequality is false in general: for
            f = w2 relu(w1 x), the settings (1, 1) and (-1, -1) have the same path-lifting, but
            their values at x = 1 are 1 and 0.
        """
        if not self.same_signs:
            raise ProblemError(
                "some parameter changes its sign between the two settings; then the distance of "
                "the path-liftings says nothing about the outputs"
            )
        if not input_bound >= 0 or input_bound == math.inf:
            raise ProblemError(f"input_bound is {input_bound!r}; give a number of at least 0")
        return max(float(input_bound), 1.0) * self.value


@json_type
@dataclass(frozen=True, eq=False)
class PathDistanceCertificate(Certificate):
    """A distance of path-liftings that the core computed again.

    Parameters
    ----------
    method : {"dominated", "two_pass", "enumeration"}
        See `PathDistance`.
    """

    problem: PathDistance
    answer: PathDistanceValue
    method: str

    @property
    def claim(self) -> str:
        """The distance in words."""
        words = "is" if self.answer.kind == "exact" else "is at most"
        return f"the L1 distance of the two path-liftings {words} {self.answer.value:.6g}"

    def check(self, steps: Steps) -> None:
        """Decide the signs again, and compute the distance again by the method named."""
        problem, answer = self.problem, self.answer
        steps.require(answer.same_signs == problem.same_signs, "the statement about signs is right")
        kind = "upper bound" if self.method == "two_pass" else "exact"
        steps.require(answer.kind == kind, f"the method {self.method!r} gives this kind", kind)
        if self.method == "enumeration":
            right: Fraction | float = problem.by_enumeration()
        else:
            ready = problem.dominates if self.method == "dominated" else problem.same_signs
            steps.require(ready, "the parameters meet the condition of the method")
            right = problem.by_two_passes(reordered=True)
        if isinstance(right, Fraction):
            steps.require(answer.exact in (None, right), "the exact value is right")
        else:
            steps.require(answer.exact is None, "no exact value is claimed where none was computed")
        slack = 1e-9 * max(float(right), problem.scale)
        steps.require(
            abs(answer.value - float(right)) <= slack,
            "the value agrees with a second computation",
            f"{answer.value!r} against {float(right)!r}",
        )


@json_type
@dataclass(frozen=True, eq=False)
class PathDistance(Problem):
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
    enumeration
        All paths one by one, for small networks; the only way if signs change.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> from sparseopt.network import Dense, Relu, chain
    >>> net = chain((2,), Dense(np.array([[1.0, -2.0]])), Relu(), Dense(np.array([[3.0]])))
    >>> pruned = net.with_parameters({"0:Dense.weight": np.array([[0.0, -2.0]])})
    >>> answer = so.solve(so.PathDistance(net, pruned)).answer
    >>> answer.value, answer.kind, answer.output_bound(2.0)
    (3.0, 'exact', 6.0)
    """

    network: Network
    other: Network
    certificates: ClassVar[tuple[type[Certificate], ...]] = (PathDistanceCertificate,)

    def __post_init__(self) -> None:
        for name in ("network", "other"):
            if not isinstance(getattr(self, name), Network):
                raise ProblemError(f"{name} must be a Network; make one by so.load_network")
        mine, theirs = (
            [(n.name, type(n.op).__name__, n.inputs, net.shapes[n.name]) for n in net.nodes]
            for net in (self.network, self.other)
        )
        if mine != theirs or self.network.output != self.other.output:
            raise ProblemError(
                "the two networks differ in their layers; a distance is defined between two "
                "parameter settings of one network (network.with_parameters)"
            )
        shapes = [
            {k: v.shape for k, v in n.parameters().items()} for n in (self.network, self.other)
        ]
        if shapes[0] != shapes[1]:
            differ = sorted(set(shapes[0].items()) ^ set(shapes[1].items()))
            raise ProblemError(f"the parameter {differ[0][0]!r} is not the same array in both")

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
        if not self.same_signs:
            return False
        sizes = [(np.abs(a), np.abs(b)) for a, b in self._pairs]
        return all(np.all(a >= b) for a, b in sizes) or all(np.all(a <= b) for a, b in sizes)

    @cached_property
    def scale(self) -> float:
        """The larger of the two norms that a difference of norms is taken of."""
        return power_sums(self._extreme(np.maximum), 1).norm(1).as_float()

    def _extreme(self, choose: Any) -> Network:
        """Return the network of the larger or smaller absolute values."""
        other = self.other.parameters()
        arrays = {
            name: choose(np.abs(array), np.abs(other[name]))
            for name, array in self.network.parameters().items()
        }
        return self.network.with_parameters(arrays)

    def by_two_passes(self, reordered: bool = False) -> Fraction | float:
        """Return the norm of the larger parameters minus that of the smaller ones."""
        large, small = self._extreme(np.maximum), self._extreme(np.minimum)
        if is_small(large):
            sums = [
                sum(backward_power_sums(n.neurons, 1), start=Fraction(0)) for n in (large, small)
            ]
            return sums[0] - sums[1]
        norms = [power_sums(n, 1, reordered=reordered).norm(1).as_float() for n in (large, small)]
        if norms[0] == math.inf:
            raise ProblemError("the path-norms leave the range of float64")
        return max(0.0, norms[0] - norms[1])

    def by_enumeration(self) -> Fraction:
        """Return the distance path by path; `ProblemError` if there are too many paths."""
        a, b = path_lifting(self.network, limit=LIMIT), path_lifting(self.other, limit=LIMIT)
        if a.paths != b.paths:
            raise ProblemError("the two networks unroll to different graphs")
        return sum((abs(u - v) for u, v in zip(a.phi, b.phi, strict=True)), start=Fraction(0))

    def evaluate(self, answer: PathDistanceValue) -> Mapping[str, float]:
        """Return the value; among valid answers the smaller is the better."""
        return {"value": answer.value}

    def describe(self) -> str:
        """Name the network."""
        return f"path-lifting distance of two settings of a {self.network.describe()}"
