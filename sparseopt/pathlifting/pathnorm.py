"""The path-norms of a network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from sparseopt.arrays import read_only
from sparseopt.certificate import Certificate, Steps
from sparseopt.errors import ProblemError
from sparseopt.network.network import Network
from sparseopt.pathlifting.counting import path_counts
from sparseopt.pathlifting.exact import backward_power_sums, has_exact_powers, is_small
from sparseopt.pathlifting.passes import Powers, power_sums
from sparseopt.problem import Problem
from sparseopt.serialization import json_type

TOLERANCE = 1e-9
"""Difference of decimal logarithms that an answer promises unless it says otherwise."""

COARSEST = 1e-3
"""Largest tolerance that an answer may promise."""


@json_type
@dataclass(frozen=True, eq=False)
class PathNormValue:
    """A path-norm, with everything needed to say which one.

    Parameters
    ----------
    value : float
        The norm; ``inf`` or 0.0 where float64 ends, then use `log10`.
    log10 : float
        Its decimal logarithm; -inf only for a norm of 0.
    per_output_log10 : array, shape of the network's output
        Decimal logarithms of ``||Phi^(->j)||_q`` per output j; for q = 0 of the path counts.
    q, r : float
        Exponents over the paths of one output and over the outputs.
    affine : {"as_is", "merged"}
        Whether batch normalization stayed a layer of its own.
    exact_powers : tuple of Fraction, or None
        ``||Phi^(->j)||_q^q`` per output in exact arithmetic (for q = 0 the number of nonzero
        paths, for q = inf the largest absolute value).
    tolerance : float
        How far the logarithms may be from the true ones; engines in float32 promise less.
    """

    value: float
    log10: float
    per_output_log10: np.ndarray
    q: float
    r: float
    affine: str
    exact_powers: tuple[Fraction, ...] | None = None
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        object.__setattr__(self, "per_output_log10", read_only(np.asarray(self.per_output_log10)))
        if self.exact_powers is not None:
            powers = tuple(Fraction(value) for value in self.exact_powers)
            object.__setattr__(self, "exact_powers", powers)

    @property
    def exact(self) -> Fraction | None:
        """The norm as a rational number, where it was computed exactly and is evidently rational.

        That is for q = 1, 0 and inf with r = 1 or inf, and for one output with those q.
        """
        if self.exact_powers is None or self.q not in (0, 1, math.inf):
            return None
        if len(self.exact_powers) == 1 or self.r == math.inf:
            return max(self.exact_powers)
        return sum(self.exact_powers, start=Fraction(0)) if self.r == 1 else None

    def __str__(self) -> str:
        figure = f"{self.value:.6g}" if 0 < self.value < math.inf else f"10^{self.log10:.6g}"
        return f"L^({self.q:g},{self.r:g}) path-norm {figure} (affine {self.affine})"


@json_type
@dataclass(frozen=True, eq=False)
class PathNormCertificate(Certificate):
    """A path-norm that the core computed again in another way.

    Small networks: exactly, by a backward pass per output over the graph of neurons. Others: by
    a float64 pass over the layers with the sums of all convolutions and dense layers in another
    order, to the answer's tolerance in the decimal logarithm of every output. Path counts
    (q = 0): again as integers, modulo other primes.
    """

    problem: PathNorm
    answer: PathNormValue

    @property
    def claim(self) -> str:
        """The norm and its value."""
        return (
            f"the {self.answer} is that of the {self.problem.network.describe()}, to "
            f"{self.answer.tolerance:g} in the decimal logarithm"
        )

    def check(self, steps: Steps) -> None:
        """Compute the norm again and compare."""
        problem, answer = self.problem, self.answer
        same = (answer.q, answer.r, answer.affine) == (problem.q, problem.r, problem.affine)
        steps.require(same, "the answer is for the q, r and affine that were asked")
        tolerance = answer.tolerance
        steps.require(
            0 < tolerance <= COARSEST, f"the tolerance is at most {COARSEST:g}", f"{tolerance!r}"
        )
        is_exact = answer.exact_powers is not None
        powers = self._check_exact(steps) if is_exact else self._again(steps)
        expected = problem.answer_from(powers)
        for name in ("per_output_log10", "log10"):
            found = np.asarray(getattr(answer, name), dtype=float)
            right = np.asarray(getattr(expected, name), dtype=float)
            steps.require(found.shape == right.shape, f"{name} has shape {right.shape}")
            differ = found != right
            gap = np.abs(found[differ] - right[differ])
            steps.require(
                bool((gap <= tolerance).all()),
                f"{name} agrees with the second computation to {tolerance:g}",
                f"largest difference {gap.max(initial=0.0):.3g}",
            )
        right_value = expected.value
        close = answer.value == right_value or (
            abs(answer.value - right_value) <= 10 * tolerance * right_value
        )
        steps.require(close, "the value is the one that the logarithm tells", f"{answer.value!r}")

    def _again(self, steps: Steps) -> Powers:
        problem = self.problem
        if is_small(problem.chosen) and has_exact_powers(problem.q):
            steps.note("computed again in exact arithmetic, backwards from each output")
            powers = backward_power_sums(problem.chosen.neurons, problem.q)
            return Powers.of_fractions(powers)
        steps.note("computed again in float64 by another order of summation")
        return power_sums(problem.chosen, problem.q, reordered=True)

    def _check_exact(self, steps: Steps) -> Powers:
        problem, claimed = self.problem, self.answer.exact_powers
        assert claimed is not None
        steps.require(has_exact_powers(problem.q), "q allows exact powers")
        if is_small(problem.chosen):
            right = backward_power_sums(problem.chosen.neurons, problem.q)
        else:
            steps.require(problem.q == 0, "large networks have exact values for q = 0 only")
            right = [Fraction(n) for n in path_counts(problem.chosen, nonzero=True, skip=64)]
        steps.require(
            list(claimed) == right, "the exact values per output agree with a second computation"
        )
        return Powers.of_fractions(right)


@json_type
@dataclass(frozen=True, eq=False)
class PathNorm(Problem):
    """The mixed path-norm ``L^(q,r) = || ( ||Phi^(->j)||_q )_j ||_r`` of a network.

    Parameters
    ----------
    network : Network
        `Phi^(->j)` holds one entry per path that ends at output j and starts at an input or at a
        biased neuron: the product of its weights, times the bias it starts at.
    q : float
        Over the paths of one output: 0 (their number, nonzero ones), any positive number, inf.
    r : float
        Over the outputs: any positive number, or inf.
    affine : {"as_is", "merged"}
        Keep batch normalization (and other entrywise scales) as neurons of their own, or merge
        them into the layers before them. The two differ in the norm, not in the function;
        merging never increases it for q = 1.

    Notes
    -----
    Norms are per sample. The norm is invariant when the weights into a hidden neuron are
    multiplied by a positive number and those out of it divided by it. Source: Gonon et al.,
    arXiv 2310.01225.

    Examples
    --------
    >>> import networkx as nx
    >>> import sparseopt as so
    >>> graph = nx.DiGraph()
    >>> graph.add_node("x", kind="input")
    >>> graph.add_node("h", kind="relu", bias=-1)
    >>> graph.add_node("y", kind="id", bias=0)
    >>> graph.add_edge("x", "h", weight=2)
    >>> graph.add_edge("h", "y", weight=-3)
    >>> so.solve(so.PathNorm(so.load_network(graph))).answer.exact  # |2 * -3| + |-1 * -3|
    Fraction(9, 1)
    """

    network: Network
    q: float = 1
    r: float = 1
    affine: str = "as_is"
    certificates: ClassVar[tuple[type[Certificate], ...]] = (PathNormCertificate,)

    def __post_init__(self) -> None:
        if not isinstance(self.network, Network):
            raise ProblemError(
                f"network is a {type(self.network).__name__}; make a Network by so.load_network"
            )
        object.__setattr__(self, "q", _exponent(self.q, "q", zero=True))
        object.__setattr__(self, "r", _exponent(self.r, "r", zero=False))
        if self.affine not in ("as_is", "merged"):
            raise ProblemError(f"affine must be 'as_is' or 'merged', not {self.affine!r}")

    @property
    def chosen(self) -> Network:
        """The network as it stands, or one with the path-lifting of the merged network."""
        return self.network.merged_biases if self.affine == "merged" else self.network

    def answer_from(
        self,
        powers: Powers,
        exact_powers: tuple[Fraction, ...] | None = None,
        tolerance: float = TOLERANCE,
    ) -> PathNormValue:
        """Return the answer that belongs to ``||Phi^(->j)||_q^q`` per output."""
        norms = powers if self.q in (0, math.inf) else powers.root(self.q)
        total = norms.norm(self.r)
        return PathNormValue(
            total.as_float(),
            float(total.log10()),
            norms.log10().reshape(self.network.output_shape),
            self.q,
            self.r,
            self.affine,
            exact_powers,
            tolerance,
        )

    def evaluate(self, answer: PathNormValue) -> Mapping[str, float]:
        """Return how far the logarithm is from that of a float64 pass."""
        right = self.answer_from(power_sums(self.chosen, self.q, reordered=True)).log10
        return {"log10_error": 0.0 if right == answer.log10 else abs(answer.log10 - right)}

    def describe(self) -> str:
        """Name the norm and the network."""
        return f"L^({self.q:g},{self.r:g}) path-norm ({self.affine}) of a {self.network.describe()}"


def _exponent(value: Any, name: str, zero: bool) -> float:
    least = "0, a positive number or inf" if zero else "a positive number or inf"
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction | np.number):
        raise ProblemError(f"{name} is {value!r}; it must be {least}")
    number = float(value)
    if math.isnan(number) or number < 0 or (number == 0 and not zero):
        raise ProblemError(f"{name} is {value!r}; it must be {least}")
    return int(number) if number.is_integer() else number
