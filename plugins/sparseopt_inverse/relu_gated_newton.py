"""Gated training with one output by Newton steps on the dual of its group lasso."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from sparseopt import Accepted, Context, Inconclusive, Refused, Solver, TimeLimitReached
from sparseopt.training.two_layer_certificate import TwoLayerReLUCertificate
from sparseopt.training.two_layer_network import TwoLayerNetwork
from sparseopt.training.two_layer_relu import TwoLayerReLU
from sparseopt_inverse.predicting import BASE
from sparseopt_inverse.relu_gated import certified, distinct_gates
from sparseopt_inverse.work import begin

_MOST_SAMPLES = 4000
"""Order of the largest linear system, 128 MB."""
_AIM = 1e-13
"""Relative gap at which a search ends unless less was asked for."""
_OUTER, _INNER = 40, 60
_CLOSE, _PATIENCE = 1e-9, 4
"""Relative gap below which so many steps without a smaller one mean that rounding has the say."""
_GROWTH = 10.0
_SECONDS = 2e-10
"""Of one core, generously, over the multiplications of a Newton step."""


@dataclass(frozen=True)
class GatedNewton(Solver[TwoLayerReLU]):
    """An augmented Lagrangian method on the dual group lasso, each step by semismooth Newton.

    The dual of ``min 1/2 |sum_k D_k X u_k - y|^2 + decay sum_k |u_k|`` has one unknown a sample. In
    its Newton matrix 1 + s sum_k D_k X H_k X^T D_k with H_k = a_k + b_k v_k v_k^T the patterns D_k
    come apart from the inputs: it is

        1 + s ((D diag(a) D^T) * (X X^T) + F diag(b) F^T),    F_ik = D_ik x_i . v_k,

    with ``*`` entry by entry, so that it costs n^2 for each active gate, whatever the number of
    features.

    Time O(n^3 + n^2 g + n d g), memory O(n^2 + n g), for n samples of d features and g gates, for
    each of some 30 steps.

    Notes
    -----
    O(n^3 + n^2 gates + n features gates) a step for n samples, some 20 to 40 steps.

    Source: Zhang, Zhang, Sun, Toh 2020, Mathematical Programming 179: group lasso by semismooth
    Newton steps; the form of the matrix is our own.
    """

    def accepts(self, problem: TwoLayerReLU) -> Accepted | Refused:
        """Refuse problems without gates, several outputs, and many samples."""
        if problem.gates is None:
            return Refused("the problem has no gates; exact training has cone constraints")
        if problem.outputs > 1:
            return Refused(
                f"the targets have {problem.outputs} outputs, which makes it a regression with "
                "nuclear norms, not a group lasso"
            )
        if len(problem.inputs) > _MOST_SAMPLES:
            return Refused(
                f"a Newton step solves a dense system of one unknown for each of "
                f"{len(problem.inputs)} samples, up to {_MOST_SAMPLES}; gated_group_lasso takes "
                "more"
            )
        return Accepted()

    def solve(
        self, problem: TwoLayerReLU, context: Context
    ) -> tuple[TwoLayerNetwork, TwoLayerReLUCertificate]:
        """Return the network of the best primal point, proved by the best dual point."""
        units, chosen = problem.units(), distinct_gates(problem)
        n, features = units.inputs.shape
        begin(context, _SECONDS * float(n) ** 2 * (n + len(chosen)), "a Newton step")
        if not len(chosen):
            nothing = np.zeros((0, features, 1))
            return certified(problem, chosen, nothing, [units.targets])
        usual, asked = problem.default_tolerance or 0.0, context.tolerance
        # What is asked by default costs little more to exceed: the last steps gain many digits.
        goal = max(0.5 * asked, _AIM) if asked is not None and asked > usual else _AIM
        patterns = problem.patterns[:, chosen].astype(np.float64)
        search = _Search(units.inputs, patterns, units.targets[:, 0], units.decay, goal, context)
        try:
            search.run()
        except TimeLimitReached:
            if not math.isfinite(search.primal):
                raise
        except (np.linalg.LinAlgError, FloatingPointError) as error:
            if not search.gap <= 1e-3 * search.primal:
                raise Inconclusive(f"a Newton step failed: {error}") from error
        active, weights = search.answer
        points = [point[:, None] for point in (search.point, search.residual)]
        return certified(problem, chosen[active], weights[:, :, None], points)

    def cost(self, problem: TwoLayerReLU) -> float:
        """Return seconds from runs on Gaussian inputs."""
        n, d = map(float, problem.inputs.shape)
        gates = 0 if problem.gates is None else problem.gates.shape[1]
        return 4e-2 + 25.0 * (2.2e-11 * n * n * (n + gates) + 2e-9 * n * d * gates)

    def bytes_needed(self, problem: TwoLayerReLU) -> float:
        """Predict the Newton matrix, and products of gates."""
        n, d = problem.inputs.shape
        gates = 0 if problem.gates is None else problem.gates.shape[1]
        return BASE + 32.0 * n * n + 24.0 * n * gates + 16.0 * n * d


class _Search:
    """The group lasso of one problem; keeps the best primal and the best dual point met."""

    def __init__(
        self,
        inputs: np.ndarray,
        patterns: np.ndarray,
        targets: np.ndarray,
        decay: float,
        goal: float,
        context: Context,
    ) -> None:
        self._inputs, self._patterns, self._targets = inputs, patterns, targets
        self._decay, self._goal, self._context = decay, goal, context
        self._products = inputs @ inputs.T
        self.primal, self.dual = math.inf, 0.0
        self.point, self.residual = np.zeros_like(targets), targets
        self.answer = np.zeros(0, dtype=np.intp), np.zeros((0, inputs.shape[1]))

    @property
    def gap(self) -> float:
        """The least objective less the largest dual objective."""
        return self.primal - self.dual

    def _correlations(self, t: np.ndarray) -> np.ndarray:
        """Return what each gate's inputs correlate with a point, shape (gates, features)."""
        return np.asarray((self._patterns * t[:, None]).T @ self._inputs)

    def run(self) -> None:
        """Search until the gap is as asked or does not fall any more."""
        targets, decay = self._targets, self._decay
        correlations = self._correlations(targets)
        largest = float(np.linalg.norm(correlations, axis=1).max())
        if largest <= decay:
            self._offer(np.zeros(0, dtype=np.intp), self.answer[1], targets)
            self._offer_dual(targets, correlations)
            return
        # A step times the decay is to be of the size of x: at most where all that is lost goes into
        # the norms, and at most where the targets are fitted.
        square = float(targets @ targets)
        step = 0.1 * square / decay**2 / math.sqrt(len(correlations))
        step = min(step, square / (float(np.linalg.norm(correlations)) * decay))
        # Where the Newton matrix is 1 plus something this large, the 1 is lost.
        most = 1e13 / float(self._patterns.sum(axis=1) @ np.diagonal(self._products))
        t = targets * (decay / largest)
        correlations = correlations * (decay / largest)
        x = np.zeros_like(correlations)
        with np.errstate(over="raise", invalid="raise", under="ignore"):
            for _ in range(_OUTER):
                before = self.gap
                x, t, correlations = self._minimized(x, t, correlations, step)
                settled = self.gap <= _CLOSE * self.primal and not self.gap < 0.9 * before
                if settled or self.gap <= self._goal * self.primal:
                    return
                if step == most:
                    return
                step = min(step * _GROWTH, most)

    def _minimized(
        self, x: np.ndarray, t: np.ndarray, correlations: np.ndarray, step: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the next x, the minimiser of the augmented Lagrangian, and its correlations."""
        size, limit = float(np.linalg.norm(self._targets)), step * self._decay
        idle, last = 0, math.inf
        for _ in range(_INNER):
            self._context.check_time("Newton steps on the dual")
            z = x + step * correlations
            norms = np.linalg.norm(z, axis=1)
            active = np.flatnonzero(norms > limit)
            shares = limit / norms[active]
            kept = z[active] * (1.0 - shares)[:, None]
            patterns = self._patterns[:, active]
            fitted = np.einsum("ik,ik->i", patterns, self._inputs @ kept.T)
            self._offer(active, kept, self._targets - fitted)
            self._offer_dual(t, correlations)
            relative = self.gap / self.primal
            self._context.report(0.0, f"relative gap {relative:.0e}")
            gradient = t - self._targets + fitted
            off = float(np.linalg.norm(gradient))
            idle, last = 0 if relative < 0.7 * last else idle + 1, min(relative, last)
            if idle >= _PATIENCE and relative < _CLOSE:
                break
            # Where the targets are nearly fitted, it is the small t that counts.
            enough = 0.1 * min(relative, 1.0) * float(np.linalg.norm(t))
            if relative <= self._goal or off <= max(enough, 1e-15 * size):
                break
            along = patterns * (self._inputs @ (z[active] / norms[active, None]).T)
            # Products with the own transpose take half the work.
            kinds, along = patterns * np.sqrt(1.0 - shares), along * np.sqrt(shares)
            matrix = kinds @ kinds.T
            matrix *= self._products
            matrix += along @ along.T
            matrix *= step
            matrix.flat[:: len(matrix) + 1] += 1.0
            factor = scipy.linalg.cho_factor(matrix.T, overwrite_a=True, check_finite=False)
            move = -scipy.linalg.cho_solve(factor, gradient, check_finite=False)
            other = self._correlations(move)
            length = self._length(x, t, correlations, move, other, step)
            if length == 0.0:
                break
            t, correlations = t + length * move, correlations + length * other
        following = np.zeros_like(x)
        following[active] = kept
        return following, t, correlations

    def _length(
        self,
        x: np.ndarray,
        t: np.ndarray,
        correlations: np.ndarray,
        move: np.ndarray,
        other: np.ndarray,
        step: float,
    ) -> float:
        """Return a length at which the augmented Lagrangian falls enough, 0 if there is none."""

        def value(length: float) -> float:
            point = t + length * move
            norms = np.linalg.norm(x + step * (correlations + length * other), axis=1)
            over = np.maximum(norms - step * self._decay, 0.0)
            fit = 0.5 * float(point @ point) - float(self._targets @ point)
            return fit + 0.5 * float(over @ over) / step

        now, length = value(0.0), 1.0
        over = x + step * correlations
        norms = np.linalg.norm(over, axis=1, keepdims=True)
        pull = np.maximum(1.0 - step * self._decay / np.maximum(norms, 1e-300), 0.0) * over
        slope = float((t - self._targets) @ move) + float((pull * other).sum())
        while length > 1e-15:
            if value(length) <= now + 1e-4 * length * slope + 4e-16 * abs(now):
                return length
            length *= 0.5
        return 0.0

    def _offer(self, active: np.ndarray, kept: np.ndarray, residual: np.ndarray) -> None:
        size = float(np.linalg.norm(kept, axis=1).sum())
        primal = 0.5 * float(residual @ residual) + self._decay * size
        if primal < self.primal:
            self.primal, self.answer, self.residual = primal, (active, kept), residual

    def _offer_dual(self, t: np.ndarray, correlations: np.ndarray) -> None:
        square = float(t @ t)
        if square == 0.0:
            return
        most = float(np.linalg.norm(correlations, axis=1).max())
        factor = max(float(self._targets @ t) / square, 0.0)
        factor = min(factor, self._decay / most) if most > 0.0 else factor
        dual = factor * float(self._targets @ t) - 0.5 * factor**2 * square
        if dual > self.dual:
            self.dual, self.point = dual, factor * t
