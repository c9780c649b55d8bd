"""Lipschitz bounds of a network from its paths."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sparseopt.arrays import read_only
from sparseopt.certificate import Certificate, Steps
from sparseopt.errors import ProblemError
from sparseopt.network.network import Network
from sparseopt.pathlifting.passes import Powers, power_sums
from sparseopt.pathlifting.sensitivity import ScaledLayers, has_table, path_table
from sparseopt.problem import Problem
from sparseopt.serialization import json_type

TOLERANCE = 1e-9
"""Relative difference that the check of a bound allows."""

# Networks up to this many edges are sampled for violations when a bound is checked.
_SAMPLED = 20_000_000
_PAIRS = 32


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


@json_type
@dataclass(frozen=True, eq=False)
class LipschitzCertificate(Certificate):
    """A Lipschitz bound that the core computed again from the method's definition.

    The check also looks for violations on random pairs of inputs, near and far.

    Parameters
    ----------
    weights : array, shape of one input, or None
        For the method ``spectral`` the positive vector v of the Collatz-Wielandt bound.
    """

    problem: LipschitzBound
    answer: LipschitzValue
    weights: np.ndarray | None = None

    @property
    def claim(self) -> str:
        """The bound in words."""
        a = self.answer
        return (
            f"outputs change by at most 10^{a.log10:.6g} in the {a.p_out:g}-norm per unit of "
            f"change of the inputs in the {a.p_in:g}-norm"
        )

    def check(self, steps: Steps) -> None:
        """Compute the bound again and try to violate it."""
        problem, answer = self.problem, self.answer
        same = (answer.p_in, answer.p_out) == (problem.p_in, problem.p_out)
        steps.require(same, "the answer is for the norms that were asked")
        steps.require(answer.method in METHODS, "the method is one of those known", answer.method)
        right = problem.bound(answer.method, self.weights)
        log10 = float(right.log10())
        steps.require(
            answer.log10 == log10 or abs(answer.log10 - log10) <= TOLERANCE,
            f"the bound agrees with its definition to {TOLERANCE:g} in the logarithm",
            f"{answer.log10!r} against {log10!r}",
        )
        value = right.as_float()
        close = answer.value == value or abs(answer.value - value) <= 1e-8 * value
        steps.require(close, "the value is the one that the logarithm tells", f"{answer.value!r}")
        if problem.network.edge_count <= _SAMPLED and value < math.inf:
            worst = problem.sampled(np.random.default_rng(0), _PAIRS)
            steps.require(
                worst <= value * (1 + 1e-6),
                f"no violation on {_PAIRS} random pairs of inputs",
                f"slope {worst:.6g} against {value:.6g}",
            )


@json_type
@dataclass(frozen=True, eq=False)
class LipschitzBound(Problem):
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
    >>> from sparseopt.network import Dense, Relu, chain
    >>> net = chain((2,), Dense(np.array([[1.0, -2.0]])), Relu(), Dense(np.array([[3.0]])))
    >>> so.solve(so.LipschitzBound(net)).answer.value  # |3| (|1| + |-2|)
    9.0
    """

    network: Network
    p_in: float = math.inf
    p_out: float = 1
    certificates: ClassVar[tuple[type[Certificate], ...]] = (LipschitzCertificate,)

    def __post_init__(self) -> None:
        if not isinstance(self.network, Network):
            raise ProblemError(
                f"network is a {type(self.network).__name__}; make a Network by so.load_network"
            )
        for name in ("p_in", "p_out"):
            value = getattr(self, name)
            good = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not good or not float(value) >= 1:
                raise ProblemError(f"{name} is {value!r}; a norm needs a number from 1 to inf")
            number = float(value)
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

    def bound(self, method: str, weights: np.ndarray | None = None) -> Powers:
        """Return the bound by one method, as one number with a wide exponent.

        Raises
        ------
        ProblemError
            If the method does not apply to these norms, or `weights` are not positive.
        """
        if method not in self.methods():
            raise ProblemError(f"the method {method!r} does not apply to these norms")
        layers = ScaledLayers(self.network)
        if method == "spectral":
            return _spectral(layers, weights)
        if method == "table":
            return _hoelder(path_table(self.network), self.p_in, self.p_out)
        rows = columns = None
        if method != "columns":
            rows = power_sums(self.network, 1, bias_paths=False)
        if method != "rows":
            value, exponent = layers.backward(np.ones((1, *self.network.output_shape)))
            columns = Powers.of(value.ravel(), exponent)
        if rows is not None and columns is not None:
            return _interpolated(columns.norm(math.inf), rows.norm(math.inf), self.p_in)
        if rows is not None:
            return rows.norm(self.p_out)
        assert columns is not None
        return columns.norm(_dual(self.p_in))

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
        norms = f"{self.p_in:g}- to {self.p_out:g}-norm"
        return f"Lipschitz bound, {norms}, of a {self.network.describe()}"


METHODS = ("rows", "columns", "spectral", "interpolated", "table")


def _dual(p: float) -> float:
    """Return the exponent of the dual norm."""
    if p == 1:
        return math.inf
    return 1.0 if p == math.inf else p / (p - 1.0)


def spectral_weights(network: Network, passes: int) -> np.ndarray:
    """Return a positive vector for the method ``spectral``, by at most `passes` power iterations.

    Stops early once the bound that the vector gives is within 0.1 % of the one before.
    """
    layers = ScaledLayers(network)
    v = np.ones((1, *network.input_shape))
    last = math.inf
    for _ in range(passes):
        forward, e1 = layers.forward(v)
        back, e2 = layers.backward(forward)
        top = float(back.max())
        if top == 0.0:
            break
        bound = math.log2(float((back / v).max())) + e1 + e2
        # The floor keeps v positive; inputs below it hardly matter for the norm.
        v = np.maximum(back / top, 1e-12)
        if bound > last - 2e-3:
            break
        last = bound
    return read_only(v[0])


def _spectral(layers: ScaledLayers, weights: np.ndarray | None) -> Powers:
    if weights is None or weights.shape != layers.network.input_shape or not weights.min() > 0:
        raise ProblemError("the method 'spectral' needs one positive weight per input")
    forward, e1 = layers.forward(weights[None])
    back, e2 = layers.backward(forward)
    return Powers.of(np.asarray((back[0] / weights).max()), e1 + e2).root(2)


def _interpolated(one: Powers, infinity: Powers, p: float) -> Powers:
    if not one.mantissa or not infinity.mantissa:
        return Powers.of(np.zeros(()))
    logs = [float(np.log2(x.mantissa)) + float(x.exponent) for x in (one, infinity)]
    return Powers.of_log2(np.asarray(logs[0] / p + logs[1] * (1 - 1 / p)))


def _hoelder(table: np.ndarray, p_in: float, p_out: float) -> Powers:
    if not np.isfinite(table).all():
        raise ProblemError("the table of path sums leaves the range of float64; use another method")
    by_rows = np.linalg.norm(np.linalg.norm(table, _dual(p_in), axis=1), p_out)
    by_columns = np.linalg.norm(np.linalg.norm(table, p_out, axis=0), _dual(p_in))
    return Powers.of(np.asarray(min(by_rows, by_columns)))


def lipschitz_answer(problem: LipschitzBound, method: str, bound: Powers) -> LipschitzValue:
    """Return the answer that belongs to a bound."""
    log10: Any = bound.log10()
    return LipschitzValue(bound.as_float(), float(log10), problem.p_in, problem.p_out, method)
