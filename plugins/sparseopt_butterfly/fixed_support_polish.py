"""Second-order steps at the end of a descent with a decay: factors to almost all digits."""

from __future__ import annotations

import numpy as np

from sparseopt_butterfly.fixed_support_parts import Factors, Task


class _OutOfTime(Exception):
    """Leaves the inner iteration."""


class Variables:
    """The entries of both factors as one vector of real numbers.

    Parameters
    ----------
    task : Task
    left, right : bool array (b, r), (r, c)
        Supports of the component's terms.
    """

    def __init__(self, task: Task, left: np.ndarray, right: np.ndarray) -> None:
        self.task, self.left, self.right = task, left, right
        self._count = int(left.sum())
        self._dtype = task.target.dtype

    def pack(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the entries on the supports."""
        return np.concatenate([x[self.left], y[self.right]]).view(np.float64)

    def unpack(self, values: np.ndarray) -> Factors:
        """Inverse of `pack`."""
        numbers = np.ascontiguousarray(values).view(self._dtype)
        x, y = np.zeros(self.left.shape, self._dtype), np.zeros(self.right.shape, self._dtype)
        x[self.left], y[self.right] = numbers[: self._count], numbers[self._count :]
        return x, y

    def objective(self, values: np.ndarray) -> tuple[float, np.ndarray]:
        """Return objective and gradient."""
        x, y = self.unpack(values)
        residual = x @ y - self.task.target
        slope = self.pack(residual @ y.conj().T, x.conj().T @ residual) + self.task.decay * values
        squares = float(np.vdot(residual, residual).real) + self.task.decay * float(values @ values)
        return 0.5 * squares, slope

    def curvature(self, values: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Return the second derivative times a direction; raise `_OutOfTime` once that is up."""
        if self.task.is_late():
            raise _OutOfTime
        (x, y), (dx, dy) = self.unpack(values), self.unpack(direction)
        residual, change = x @ y - self.task.target, dx @ y + x @ dy
        left = change @ y.conj().T + residual @ dy.conj().T
        right = x.conj().T @ change + dx.conj().T @ residual
        return self.pack(left, right) + self.task.decay * direction


def polish(
    task: Task, x: np.ndarray, y: np.ndarray, left: np.ndarray, right: np.ndarray, steps: int
) -> Factors:
    """Return factors at a stationary point nearby, whose objective is not larger.

    L-BFGS first, then Newton's method with MINRES, each step taken only if the gradient falls and
    the objective does not rise.
    """
    from scipy.optimize import minimize

    variables = Variables(task, left, right)
    values = variables.pack(x, y)
    if not values.size or task.is_late():
        return x, y

    def watch(_: np.ndarray) -> None:
        if task.is_late():
            raise StopIteration  # ends the descent with the point reached

    settings = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 0.0, "gtol": 1e-13, "maxcor": 20}
    found = minimize(  # type: ignore[call-overload]
        variables.objective, values, jac=True, method="L-BFGS-B", callback=watch, options=settings
    )
    if found.fun <= variables.objective(values)[0]:
        values = found.x
    return variables.unpack(_newton(variables, values))


def _newton(variables: Variables, values: np.ndarray) -> np.ndarray:
    """Return the point after some steps of Newton's method."""
    from scipy.sparse.linalg import LinearOperator, minres

    size = len(values)
    value, slope = variables.objective(values)
    for _ in range(6):
        here = values
        operator = LinearOperator(
            (size, size), matvec=lambda d, at=here: variables.curvature(at, d), dtype=np.float64
        )
        try:
            step, _ = minres(operator, -slope, rtol=1e-10, maxiter=min(2 * size, 300))
        except _OutOfTime:
            break
        trial = values + step
        new_value, new_slope = variables.objective(trial)
        falls = np.linalg.norm(new_slope) < 0.9 * np.linalg.norm(slope)
        if not falls or new_value > value * (1.0 + 1e-14) or variables.task.is_late():
            break
        values, value, slope = trial, new_value, new_slope
    return values
