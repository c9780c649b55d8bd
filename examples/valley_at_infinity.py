"""Why can training with fixed zeros run off to infinity? The LU pattern, in one figure.

For the supports of an LU factorization of 2 x 2 matrices and the target [[0, 1], [1, 0]], products
come as near as one likes, but only with factors that grow without bound: the infimum 0 is not
attained (survey Box 2; Le, Riccietti, Gribonval, arXiv 2306.02666). The left panel shows the least
error with factors of norm at most 1 / delta (``box3.py`` draws the slice of the survey); the right
panel the iterates of gradient descent, whose error falls while the norm of the factors grows.
"""

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

import sparseopt as so

SUPPORTS = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
TARGET = np.array([[0.0, 1.0], [1.0, 0.0]])


# %% The verdict, with its proof
solution = so.solve(so.FixedSupportFactorization(TARGET, SUPPORTS), seed=1)
print(solution.answer)
print(solution.certificate.closedness.explain())


# %% The least error with bounded factors
def factors(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return X and Y from their six entries."""
    a, b, c, d, e, f = values
    return np.array([[a, 0], [b, c]]), np.array([[d, e], [0, f]])


def least_error(delta: float, starts: int, rng: np.random.Generator) -> float:
    """Return the least error with factors whose joint norm is at most 1 / delta."""

    def objective(values: np.ndarray) -> float:
        left, right = factors(values)
        return float(np.sum((left @ right - TARGET) ** 2))

    def inside(values: np.ndarray) -> float:
        return float(delta**-2 - values @ values)

    constraint = {"type": "ineq", "fun": inside}
    best = np.inf
    for _ in range(starts):
        start = rng.standard_normal(6)
        start /= np.linalg.norm(start) * delta
        found = minimize(objective, start, method="SLSQP", constraints=[constraint])
        if inside(found.x) >= -1e-6:
            best = min(best, found.fun)
    return float(np.sqrt(best))


# %% The iterates of gradient descent
def descend(steps: int, rate: float, rng: np.random.Generator) -> tuple[list[float], list[float]]:
    """Return error and norm of the factors along the way."""
    left, right = factors(rng.standard_normal(6))
    masks = [np.array(s, dtype=float) for s in SUPPORTS]
    errors, norms = [], []
    for step in range(steps):
        residual = left @ right - TARGET
        if step % max(1, steps // 400) == 0:
            errors.append(float(np.linalg.norm(residual)))
            norms.append(float(np.sqrt(np.sum(left**2) + np.sum(right**2))))
        left, right = (
            left - rate * masks[0] * (residual @ right.T),
            right - rate * masks[1] * (left.T @ residual),
        )
    return errors, norms


def main(quick: bool, output: Path) -> None:
    """Compute both curves and draw them."""
    from matplotlib.figure import Figure

    rng = np.random.default_rng(1)
    deltas = np.geomspace(0.6, 0.1, 4 if quick else 12)
    curve = [least_error(delta, 4 if quick else 30, rng) for delta in deltas]
    errors, norms = descend(4000 if quick else 400_000, 0.02, rng)
    for delta, error in zip(deltas, curve, strict=True):
        print(f"delta {delta:.3f}: least error {error:.4f}")
    print(f"gradient descent: error {errors[-1]:.4f}, norm of the factors {norms[-1]:.2f}")
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.loglog(deltas, curve, marker="o")
    left.set(xlabel="delta", ylabel="least error", title="least error with |X, Y| <= 1 / delta")
    right.loglog(norms, errors)
    right.set(xlabel="norm of the factors", ylabel="error", title="iterates of gradient descent")
    figure.savefig(output)
    print(f"written to {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a coarse curve in a few seconds")
    parser.add_argument("--output", type=Path, default=Path("valley_at_infinity.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
