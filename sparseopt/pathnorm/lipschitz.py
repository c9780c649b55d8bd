"""Lipschitz bounds of a network from its paths."""

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
from sparseopt.interface.printing import short
from sparseopt.interface.problem import Problem
from sparseopt.judging.rounding import FUNCTION, UNIT, float_above, shown_above
from sparseopt.networks.network import Network
from sparseopt.pathnorm import exact, plain
from sparseopt.pathnorm.effort import TooLarge
from sparseopt.pathnorm.path_table import bounded_table, has_table
from sparseopt.pathnorm.powers import Powers, added
from sparseopt.pathnorm.rounded import RoundedSums

SLACK = 2.0**-20
"""How far, relatively, a stated bound may be above the one that its method gives."""

METHODS = ("rows", "columns", "spectral", "interpolated", "table")


@json_type
@dataclass(frozen=True, eq=False)
class LipschitzValue:
    """A number L with ``|f(x) - f(y)|_{p_out} <= L |x - y|_{p_in}`` for all x and y.

    Parameters
    ----------
    value : float
        L; ``inf`` where float64 ends, then use `log10`.
    log10 : float
    p_in, p_out : float
    method : str
        How the norm of the table C of path sums was bounded; see `LipschitzBound`.
    """

    value: float
    log10: float
    p_in: float
    p_out: float
    method: str

    def __post_init__(self) -> None:
        for name in ("value", "log10"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))


@json_type
@dataclass(frozen=True, eq=False)
class LipschitzCertificate(Certificate):
    """A Lipschitz bound that is proved not to be below the one that its method defines.

    The core computes the bound by plain passes through the layers' fields (`plain`, `edges`), in
    float64 with every rounding counted, and adds what rounding may have taken.

    Parameters
    ----------
    weights : array, shape of one input, or None
        For the method ``spectral`` the positive vector v of the Collatz-Wielandt bound.
    """

    problem: LipschitzBound
    answer: LipschitzValue
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.weights is not None:
            weights = as_array(self.weights, "weights")
            if weights.dtype.kind not in "fiu":
                raise ProblemError(f"weights have dtype {weights.dtype}, not float64")
            object.__setattr__(self, "weights", read_only(weights.astype(np.float64, copy=False)))

    @property
    def claim(self) -> str:
        """The bound in words."""
        a = self.answer
        in_range = a.log10 == -math.inf or 2.0**-1022 <= a.value < math.inf
        figure = shown_above(a.value, 15) if in_range else f"10^{shown_above(a.log10, 15)}"
        return (
            f"outputs change by at most {figure} in the {self.problem.p_out}-norm per unit of "
            f"change of the inputs in the {self.problem.p_in}-norm"
        )

    def check(self, steps: Steps) -> None:
        """Compute the bound of the method, raise it by what rounding takes, and compare."""
        problem, answer = self.problem, self.answer
        same = (answer.p_in, answer.p_out) == (problem.p_in, problem.p_out)
        steps.require(same, "the answer is for the norms that were asked")
        methods = problem.methods()
        steps.require(answer.method in methods, f"the method is one of {', '.join(methods)}")
        if answer.method == "spectral":
            self._check_weights(steps)
        right, least = self._bound(steps)
        found = f"10^{right.log10().item()!r}"
        logs = right.log10().item() + right.log10_error().item()
        steps.require(
            answer.log10 == -math.inf if not least else logs <= answer.log10 <= logs + SLACK,
            "the logarithm is not below that of the method's bound, nor far above",
            f"{answer.log10!r} against {found}",
        )
        most = float_above(least * (1 + Fraction(SLACK)))
        steps.require(
            float_above(least) <= answer.value <= most,
            "the value is not below the method's bound, nor far above",
            f"{answer.value!r} against {found}",
        )

    def _bound(self, steps: Steps) -> tuple[Powers, Fraction]:
        """Return the bound of the method, and the least number that is proved to be one."""
        problem, method = self.problem, self.answer.method
        if method == "rows" and problem.p_out in (1, math.inf):
            with suppress(TooLarge):
                sums = exact.power_sums(problem.network, 1, {}, exact.SHORT)
                steps.note("computed in exact arithmetic")
                bound = max(sums) if problem.p_out == math.inf else sum(sums, start=Fraction(0))
                return Powers.of_fractions([bound]), bound
        right = proven_bound(problem, method, self.weights)
        steps.note(f"computed with a relative error of at most {shown_above(right.error)}")
        return right, raised(right)

    def _check_weights(self, steps: Steps) -> None:
        weights, shape = self.weights, self.problem.network.input_shape
        steps.require(
            weights is not None and weights.shape == shape,
            f"there is a weight for each input, {shape}",
        )
        assert weights is not None
        low, high = float(weights.min()), float(weights.max())
        steps.require(0.0 < low <= high < math.inf, "the weights are positive", f"{low!r}")


@json_type
@dataclass(frozen=True, eq=False)
class LipschitzBound(Problem[LipschitzValue, "LipschitzCertificate"]):
    """A Lipschitz constant of a network with respect to its input.

    Parameters
    ----------
    network : Network
    p_in, p_out : float
        Exponents, at least 1, of the norms of inputs and outputs; inf is allowed.

    Notes
    -----
    With the table C of path sums (see `path_table`) every change obeys
    ``|f(x) - f(y)| <= C |x - y|`` entrywise, so any bound on the norm of the non-negative matrix
    C from p_in to p_out is a Lipschitz constant. The methods:

    rows
        ``|C 1|_{p_out}``: the norm itself for p_in = inf, because a non-negative matrix is
        largest at the all-ones vector; a bound for other p_in, since |x|_inf <= |x|_p. One pass.
    columns
        ``|C^T 1|_{p_in*}`` with the dual exponent p_in*: the norm itself for p_out = 1; a bound
        for others, since |y|_p <= |y|_1. One backward pass.
    spectral
        For p_in = p_out = 2: ``max_i (C^T C v)_i / v_i`` bounds the square of the spectral norm
        for every positive v (Collatz and Wielandt). Proof: with u = C^T C v <= t v entrywise,
        ``|Cx|^2 = sum_ij x_i x_j (C^T C)_ij <= sum_ij (x_i^2 v_j / v_i + x_j^2 v_i / v_j) / 2
        (C^T C)_ij = sum_i x_i^2 u_i / v_i <= t |x|^2``. A few passes make v good.
    interpolated
        For p_in = p_out = p: ``|C|_1^(1/p) |C|_inf^(1-1/p)`` (Riesz and Thorin), two passes.
    table
        From the whole table: the smaller of the row-wise and column-wise Hoelder bounds; the norm
        itself for p_out = inf and for p_in = 1.

    Paths from biases do not count. Source: Gonon et al., arXiv 2310.01225 (the L1 bound).

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((2,), Dense(np.array([[1.0, -2.0]])), Relu(), Dense(np.array([[3.0]])))
    >>> bound = so.solve(so.LipschitzBound(net)).answer.value  # |3| (|1| + |-2|), rounded up
    >>> 9.0 <= bound <= 9.0 + 1e-13
    True
    """

    network: Network
    p_in: float = math.inf
    p_out: float = 1
    certificates: ClassVar[tuple[type[Certificate], ...]] = (LipschitzCertificate,)

    def __post_init__(self) -> None:
        if not isinstance(self.network, Network):
            raise ProblemError(
                f"network is a {type(self.network).__name__}; make a Network with so.load_network"
            )
        for name in ("p_in", "p_out"):
            value = getattr(self, name)
            number = as_figure(value, name)
            if not number >= 1:
                raise ProblemError(f"{name} is {short(value)}; a norm needs a number from 1 to inf")
            object.__setattr__(self, name, int(number) if number.is_integer() else number)

    def methods(self) -> list[str]:
        """Return the methods that apply, those that give the norm of C itself first."""
        if self.p_in == math.inf:
            return ["rows"]
        if self.p_out == 1:
            return ["columns"]
        result = ["spectral"] if self.p_in == self.p_out == 2 else []
        result += ["interpolated"] if self.p_in == self.p_out else []
        result += ["table"] if has_table(self.network) else []
        return [*result, "rows", "columns"]

    def sampled(self, rng: np.random.Generator, pairs: int) -> float:
        """Return the largest slope seen on random pairs of inputs; a lower bound on any L."""
        shape = (pairs, *self.network.input_shape)
        scale = np.exp(rng.uniform(-4, 4, size=(pairs, *(1,) * (len(shape) - 1))))
        x = scale * rng.standard_normal(shape)
        step = np.exp(rng.uniform(-8, 2, size=scale.shape)) * rng.standard_normal(shape)
        return float(self.slopes(x, x + step).max())

    def slopes(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``|f(y) - f(x)|_{p_out} / |y - x|_{p_in}`` for n pairs of inputs.

        Parameters
        ----------
        x, y : float64 array, shape (n, *input_shape)
            Distinct within each pair; `x` may be (1, *input_shape), one for all.

        Returns
        -------
        float64 array, shape (n,)
            Each a lower bound on every Lipschitz constant, up to rounding. 0 where a value
            leaves the range of float64.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            change = (self.network.run(y) - self.network.run(x)).reshape(len(y), -1)
        # Values beyond float64 on the way tell nothing.
        change = np.where(np.isfinite(change), change, 0.0)
        outputs = np.linalg.norm(change, self.p_out, axis=1)
        inputs = np.linalg.norm((y - x).reshape(len(y), -1), self.p_in, axis=1)
        return np.asarray(outputs / inputs)

    def evaluate(self, answer: LipschitzValue) -> Mapping[str, float]:
        """Return the bound itself, which is the better the smaller it is."""
        return {"log10": answer.log10}

    def describe(self) -> str:
        """Name the norms and the network."""
        norms = f"{self.p_in}- to {self.p_out}-norm"
        return f"Lipschitz bound, {norms}, of a {self.network.describe()}"


def raised(bound: Powers) -> Fraction:
    """Return a rational that is not below the number that `bound` is known to be near."""
    return bound.as_fraction() * (1 + 2 * Fraction(bound.error))


def dual(p: float) -> float:
    """Return the exponent of the dual norm, or the next smaller float, whose norm is larger."""
    if p == 1:
        return math.inf
    if p == math.inf:
        return 1.0
    right = Fraction(p) / (Fraction(p) - 1)
    nearest = float(right)
    return nearest if Fraction(nearest) <= right else math.nextafter(nearest, 1.0)


def proven_bound(problem: LipschitzBound, method: str, weights: Any) -> Powers:
    """Return the bound that a method defines, as one number with a bound of its relative error.

    `weights` is an array for the method ``spectral``.
    """
    network = problem.network
    if method == "table":
        return _hoelder(bounded_table(network), problem.p_in, problem.p_out)
    if method == "spectral":
        return plain.in_floats(network, 1, lambda a: _spectral(network, a, weights), passes=2)
    if method == "rows":
        return _rows(network).norm(problem.p_out)
    if method == "columns":
        return _columns(network).norm(dual(problem.p_in))
    one, infinity = _columns(network).norm(math.inf), _rows(network).norm(math.inf)
    return _interpolated(one, infinity, problem.p_in)


def _rows(network: Network) -> Powers:
    """Return ``C 1``."""
    return plain.power_sums(network, 1, {})


def _columns(network: Network) -> Powers:
    """Return ``C^T 1``."""
    last = network.output_shape
    return plain.in_floats(network, 1, lambda a: a.powers(plain.backward(network, a, a.ones(last))))


def _spectral(network: Network, a: RoundedSums, weights: np.ndarray) -> Powers:
    first = plain.forward(network, a, {}, first=a.of(weights[None]))
    back = a.powers(plain.backward(network, a, first))
    mantissa, exponent = np.frexp(weights)
    ratio = Powers.of(back.array / mantissa, back.exponent - exponent, back.error + 2 * UNIT)
    return ratio.norm(math.inf).root(2)


def _interpolated(one: Powers, infinity: Powers, p: float) -> Powers:
    if not one.array:  # then C is zero, and the other norm too
        return one
    logs = [float(np.log2(x.array)) + float(x.exponent) for x in (one, infinity)]
    power = logs[0] / p + logs[1] * (1 - 1 / p)
    own = 4 * FUNCTION + 8 * UNIT * (2 + abs(logs[0]) + abs(logs[1]))
    error = added(max(one.error, infinity.error), own)
    return Powers.of(np.exp2(power % 1.0), math.floor(power), error)


def _hoelder(table: Powers, p_in: float, p_out: float) -> Powers:
    """Return the smaller of the bounds by rows and by columns."""
    if not table.array.any():
        return Powers.of(np.zeros(()), error=table.error)
    top = int(table.exponent[table.array > 0].max())
    # Beside the largest entry, what falls below the range of float64 is lost without harm.
    entries = np.ldexp(table.array, table.exponent - top)
    by_rows = _norms(_norms(entries, dual(p_in)), p_out)
    by_columns = _norms(_norms(entries.T, p_out), dual(p_in))
    own = 6 * FUNCTION + UNIT * (sum(entries.shape) + 60)
    return Powers.of(np.asarray(min(by_rows, by_columns)), top, added(table.error, own))


def _norms(array: np.ndarray, p: float) -> np.ndarray:
    """Return the p-norms along the last axis, p at least 1, each scaled by its largest entry.

    For n entries off by at most ``3 FUNCTION + (n + 6) u``, relatively.
    """
    top = array.max(axis=-1, keepdims=True)
    if p == math.inf:
        return np.asarray(top[..., 0])
    with np.errstate(under="ignore"):
        parts = np.divide(array, top, out=np.zeros_like(array), where=top > 0) ** p
    return np.asarray(parts.sum(axis=-1) ** (1.0 / p) * top[..., 0])
