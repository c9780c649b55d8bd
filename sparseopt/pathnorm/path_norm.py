"""The path-norms of a network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from sparseopt.interface.arrays import as_array, as_figure, read_only
from sparseopt.interface.certificate import Certificate, Steps
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import printable, short
from sparseopt.interface.problem import Problem
from sparseopt.judging.rounding import UNIT, below, shown_above
from sparseopt.networks.network import Network
from sparseopt.pathnorm import exact, plain, residues
from sparseopt.pathnorm.biases import Offsets, biases
from sparseopt.pathnorm.effort import TooLarge
from sparseopt.pathnorm.fields import as_rational
from sparseopt.pathnorm.powers import LEAST_ROOT, Powers

TOLERANCE = 1e-9
"""Relative error that an answer promises unless it says otherwise."""

COARSEST = 1e-3
"""Largest relative error that an answer may promise."""


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
        Relative error of the norm, and of the norm over the paths of each output, that is
        promised; engines in float32 promise less.
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
        for name in ("value", "log10", "tolerance"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))
        logs = as_array(self.per_output_log10, "per_output_log10")
        if logs.dtype.kind not in "fiu":
            raise ProblemError(f"per_output_log10 holds numbers of dtype {logs.dtype}, not floats")
        logs = read_only(logs.astype(np.float64, copy=False))
        object.__setattr__(self, "per_output_log10", logs)
        if self.exact_powers is not None:
            powers = tuple(as_rational(v, "exact_powers") for v in self.exact_powers)
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
        return printable(f"L^({self.q},{self.r}) path-norm {figure} (affine {self.affine})", 200)


@json_type
@dataclass(frozen=True, eq=False)
class PathNormCertificate(Certificate):
    """A path-norm that the core computes again, from the layers' fields alone.

    The norm, and the norm over the paths of each output, are proved to be within the relative
    error that the answer states. The core passes once through all edges (`plain`, `edges`): in
    exact arithmetic where the network is small or the answer states exact values, otherwise in
    float64, with every rounding counted (`floats`) and taken off what is allowed. Counts of paths
    (q = 0) of large networks are compared modulo primes from the verifier's own randomness
    (`residues`); wrong ones pass with a probability of at most 1e-12.
    """

    problem: PathNorm
    answer: PathNormValue

    @property
    def accuracy(self) -> float:
        """Relative error of the norm; 0 where it is known exactly."""
        return 0.0 if self.answer.exact is not None else self.answer.tolerance

    @property
    def claim(self) -> str:
        """The norm, its value, and how close that is."""
        problem, answer = self.problem, self.answer
        figure = f"10^{answer.log10!r}"
        if answer.log10 == -math.inf or _is_normal(answer.value):
            figure = repr(answer.value)
        words = (
            f"the {problem.describe()} is {figure}; it and the norm over the paths of each output "
            f"are within a relative {answer.tolerance!r}"
        )
        if answer.exact_powers is None:
            return words
        words += "; the exact powers per output are right"
        if self._by_residues:
            words += f", except with probability {residues.FAILURE:g}"
        return words

    @property
    def _by_residues(self) -> bool:
        return self.problem.q == 0 and plain.edge_count(self.problem.network) > exact.EDGES

    def check(self, steps: Steps) -> None:
        """Compute the norm again and compare."""
        problem, answer, tolerance = self.problem, self.answer, self.answer.tolerance
        same = (answer.q, answer.r, answer.affine) == (problem.q, problem.r, problem.affine)
        steps.require(same, "the answer is for the q, r and affine that were asked")
        words = f"the relative error stated is at most {COARSEST:g}"
        steps.require(0 < tolerance <= COARSEST, words, repr(tolerance))
        shape, found = problem.network.output_shape, answer.per_output_log10.shape
        steps.require(found == shape, f"there is a norm for each output, {shape}", f"{found}")
        norms, total = problem.norms(self._powers(steps))
        tolerance = below(tolerance, 2)  # in the claim it stands as a decimal, nearly the same
        norm = f"the norm within a relative {answer.tolerance!r}"
        for name, right in (("per_output_log10", norms), ("log10", total)):
            gap = _beyond(np.asarray(getattr(answer, name)).ravel(), right, tolerance)
            words = f"{gap:.3g} more than rounding of at most {right.error:.3g} leaves"
            steps.require(gap <= 0.0, f"{name} is the logarithm of {norm}", words)
        words = f"{answer.value!r} for {total.as_float()!r}"
        steps.require(_is_value(answer.value, total, tolerance), f"the value is {norm}", words)

    def _powers(self, steps: Steps) -> Powers:
        """Return the powers per output, the exact ones of the answer once they are proved."""
        problem, claimed = self.problem, self.answer.exact_powers
        offsets = biases(problem.network, problem.affine)
        if claimed is not None:
            steps.require(exact.has_exact_powers(problem.q), "q allows exact powers")
            prove = self._prove_counts if self._by_residues else self._prove_exact
            prove(steps, offsets, list(claimed))
            return Powers.of_fractions(list(claimed))
        if exact.has_exact_powers(problem.q):
            with suppress(TooLarge):
                right = exact.power_sums(problem.network, problem.q, offsets, exact.SHORT)
                steps.note("computed again in exact arithmetic")
                return Powers.of_fractions(right)
        found = plain.power_sums(problem.network, problem.q, offsets)
        steps.note(f"computed again with a relative error of at most {shown_above(found.error)}")
        return found

    def _prove_exact(self, steps: Steps, offsets: Offsets, claimed: list[Fraction]) -> None:
        right = exact.power_sums(self.problem.network, self.problem.q, offsets)
        steps.require(claimed == right, "the exact powers per output agree")

    def _prove_counts(self, steps: Steps, offsets: Offsets, claimed: list[Fraction]) -> None:
        network = self.problem.network
        steps.require(all(c.denominator == 1 for c in claimed), "the counts are whole numbers")
        counts = [count.numerator for count in claimed]
        primes = residues.draw_primes(network, max(counts, key=abs, default=0))
        right = residues.residues(network, offsets, primes).tolist()
        found = [[count % prime for count in counts] for prime in primes]
        steps.require(found == right, f"the counts agree modulo {len(primes)} random primes")
        steps.note(f"wrong counts agree with probability at most {residues.FAILURE:g}")


def _is_normal(value: float) -> bool:
    """Whether a float is positive, and neither denormal nor infinite."""
    return 2.0**-1022 <= value < math.inf


def _beyond(found: np.ndarray, right: Powers, tolerance: float) -> float:
    """Return by how much logarithms miss those of numbers that are known to a relative error.

    Not positive if and only if ``10**found`` is proved to be within a relative `tolerance`: the
    logarithms of 1 + t and of 1 - t are at least t - t^2 in magnitude.
    """
    zero = (right.array == 0).ravel()
    allowed = tolerance * (1 - tolerance) / math.log(10.0) - right.log10_error().ravel()
    with np.errstate(invalid="ignore"):
        gap = np.abs(found - right.log10().ravel()) - allowed
    gap[zero] = np.where((found[zero] == -math.inf) & (right.error < math.inf), 0.0, math.inf)
    return float(gap.max())  # NaN, which is not at most 0, if one is


def _is_value(value: float, right: Powers, tolerance: float) -> bool:
    """Whether a float is a number that is known to a relative error, as far as float64 goes."""
    number = right.as_float()
    if number == math.inf or right.array == 0:
        return value == number and right.error < math.inf
    if not _is_normal(number):
        return abs(value - number) <= 2.0**-1074
    return abs(value - number) <= (tolerance - 2 * right.error - 4 * UNIT) * number


@json_type
@dataclass(frozen=True, eq=False)
class PathNorm(Problem[PathNormValue, "PathNormCertificate"]):
    """The mixed path-norm ``L^(q,r) = || ( ||Phi^(->j)||_q )_j ||_r`` of a network.

    Parameters
    ----------
    network : Network
        `Phi^(->j)` holds one entry per path that ends at output j and starts at an input or at a
        biased neuron: the product of its weights, times the bias it starts at.
    q : float
        Over the paths of one output: 0 (their number, nonzero ones), from 0.001 on, or inf.
    r : float
        Over the outputs: any positive number, or inf.
    affine : {"as_is", "merged"}
        Keep batch normalization (and other entrywise scales) as neurons of their own, or merge
        them into the layers before them, in exact arithmetic. The two differ in the norm, not in
        the function; merging never increases it for q = 1.

    Notes
    -----
    Norms are per sample. The norm is invariant when the weights into a hidden neuron are
    multiplied by a positive number and those out of it divided by it. Source: Gonon et al.,
    arXiv 2310.01225.

    Answers of engines in float64 promise a relative error of 1e-9, the default tolerance. Those in
    float32, which a user chooses by ``dtype="float32"``, promise 1e-4 and are WEAK unless no more
    is asked: ``solve(problem, tolerance=1e-4, ...)``.

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
    default_tolerance: ClassVar[float | None] = TOLERANCE
    accuracy_is: ClassVar[str] = "relative error of the norm"

    def __post_init__(self) -> None:
        if not isinstance(self.network, Network):
            raise ProblemError(
                f"network is a {type(self.network).__name__}; make a Network with so.load_network"
            )
        object.__setattr__(self, "q", _exponent(self.q, "q", zero=True))
        object.__setattr__(self, "r", _exponent(self.r, "r", zero=False))
        if self.affine not in ("as_is", "merged"):
            raise ProblemError(f"affine must be 'as_is' or 'merged', not {short(self.affine)}")

    @property
    def chosen(self) -> Network:
        """The network as it stands, or one with the path-lifting of the merged network."""
        return self.network.merged_biases if self.affine == "merged" else self.network

    def norms(self, powers: Powers) -> tuple[Powers, Powers]:
        """Return the norm over the paths of each output, and over the outputs, from the powers."""
        norms = powers if self.q in (0, math.inf) else powers.root(self.q)
        return norms, norms.norm(self.r)

    def answer_from(
        self,
        powers: Powers,
        exact_powers: tuple[Fraction, ...] | None = None,
        tolerance: float = TOLERANCE,
    ) -> PathNormValue:
        """Return the answer that belongs to ``||Phi^(->j)||_q^q`` per output."""
        norms, total = self.norms(powers)
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
        offsets = biases(self.network, self.affine)
        right = self.answer_from(plain.power_sums(self.network, self.q, offsets)).log10
        return {"log10_error": 0.0 if right == answer.log10 else abs(answer.log10 - right)}

    def describe(self) -> str:
        """Name the norm and the network."""
        return f"L^({self.q},{self.r}) path-norm ({self.affine}) of a {self.network.describe()}"


def _exponent(value: Any, name: str, zero: bool) -> float:
    number = as_figure(value, name)
    if not (number >= LEAST_ROOT or number == 0 if zero else number > 0):
        least = f"0, at least {LEAST_ROOT} or inf" if zero else "a positive number or inf"
        raise ProblemError(f"{name} is {short(value)}; it must be {least}")
    return int(number) if number.is_integer() else number
