"""How are two vectors rounded so that their product suffers least? The survey's Box 9.

Rounding x and y to nearest is not the best way to round x y^T: with a factor lambda before
rounding, x^ = round(lambda x) and y^ = round(mu y) with mu = <x, x^> / |x^|^2, the error depends
on lambda as a curve with jumps, and its lowest point is the optimum over *all* pairs of rounded
vectors (Gribonval, Riccietti, Le, Zheng 2025, hal-04954574, eq. 14 and 15; Gribonval, Mary,
Riccietti). The library finds that optimum and proves it by going through all of one vector's
roundings; here the curve is drawn beside it, and what is gained is measured over random vectors.
Takes a few seconds.
"""

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import sparseopt as so


# %% The survey's formula, for every lambda
def along(x: np.ndarray, y: np.ndarray, t: int, lambdas: np.ndarray) -> np.ndarray:
    """Return the relative error of eq. 14 at each lambda."""
    form = so.significand(t)
    found = []
    for factor in lambdas:
        rounded = form.round(factor * x)
        mu = (x @ rounded) / (rounded @ rounded)
        term = np.outer(rounded, form.round(mu * y))
        found.append(np.linalg.norm(np.outer(x, y) - term))
    return np.asarray(np.array(found) / np.linalg.norm(np.outer(x, y)))


# %% One pair of vectors in detail
def story(x: np.ndarray, y: np.ndarray, t: int, points: int) -> tuple[np.ndarray, ...]:
    """Print the optimum beside rounding to nearest; return the curve and the two levels."""
    problem = so.RankOneQuantization(x, y, t, t)
    solution = so.solve(problem)
    certificate = solution.certificate
    lambdas = np.geomspace(1.0, 2.0, points)
    errors = along(x, y, t, lambdas)
    best = int(np.argmin(errors))
    rounded = so.significand(t).round(lambdas[best] * x)
    mu = (x @ rounded) / (rounded @ rounded)
    print(certificate.claim)
    print(f"checked: {so.verify(solution).outcome}")
    print(f"rounding both to nearest: {problem.nearest_relative_error:.6f}")
    print(f"lowest point of the curve: {errors[best]:.6f} at lambda = {lambdas[best]:.4f}")
    print(f"there mu = {mu:.4f}, and 1 / lambda = {1 / lambdas[best]:.4f}")
    return lambdas, errors, np.array([problem.nearest_relative_error, certificate.relative_error])


# %% Many pairs: what the optimum gains at each number of digits
def gains(size: int, digits: range, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return the mean relative errors, to nearest and optimal, for each number of digits."""
    rows = []
    for t in digits:
        pairs = []
        for _ in range(draws):
            problem = so.RankOneQuantization(
                rng.standard_normal(size), rng.standard_normal(size), t, t
            )
            solution = so.solve(problem)
            assert solution.status is so.Status.VERIFIED
            pairs.append([problem.nearest_relative_error, solution.certificate.relative_error])
        rows.append(np.mean(pairs, axis=0))
        nearest, optimal = rows[-1]
        print(f"{t:3d}   {nearest:10.5f}   {optimal:10.5f}   {nearest / optimal:8.2f}")
    return np.array(rows)


def main(quick: bool, output: Path) -> None:
    """Tell both stories and draw them."""
    rng = np.random.default_rng(9)
    x, y = rng.standard_normal(4), rng.standard_normal(3)
    curve = story(x, y, 3, 400 if quick else 4000)
    size, digits = (4, range(2, 7)) if quick else (8, range(2, 9))
    print(f"\nvectors of {size} normal entries\n  t    to nearest      optimal    quotient")
    means = gains(size, digits, 10 if quick else 40, rng)
    try:
        draw(curve, digits, means, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


# %% The figure
def draw(curve: tuple[np.ndarray, ...], digits: range, means: np.ndarray, output: Path) -> None:
    """Draw the error over lambda, and the mean errors over the digits."""
    from matplotlib.figure import Figure

    lambdas, errors, (nearest, optimal) = curve
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(lambdas, errors, lw=0.9, label="$round(\\lambda x)\\; round(\\mu y)^T$")
    left.axhline(nearest, color="tab:red", ls="--", label="x and y rounded to nearest")
    left.axhline(optimal, color="black", ls=":", label="optimum over all pairs, proved")
    left.set(xlabel="$\\lambda$ (period 2)", ylabel="relative error", title="t = 3 digits")
    left.set_ylim(0, None)
    left.legend(fontsize=8)
    right.semilogy(digits, means[:, 0], "s--", color="tab:red", label="rounded to nearest")
    right.semilogy(digits, means[:, 1], "o-", color="black", label="optimal")
    right.set(xlabel="digits t", ylabel="mean relative error", title="random vectors")
    right.grid(True, alpha=0.3)
    right.legend()
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter vectors, fewer draws")
    parser.add_argument("--output", type=Path, default=Path("box9.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
