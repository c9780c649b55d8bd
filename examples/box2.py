"""A target without nearest factors: the error can be made as small as one likes, and never 0.

Box 2 of the survey (Gribonval, Riccietti, Le, Zheng 2025, hal-04954574): X is lower triangular, Y
is upper triangular, both 2 x 2, and the target exchanges the rows. The survey's X_k and Y_k have
the error 1/k^2, and no factors have the error 0. Here the same is a verdict with a proof: the
products of the curve X(t), Y(t) that the certificate gives tend to the target as t goes to 0, and
why no factors reach it is checked in exact arithmetic. At t = 1/k^2 these are the very products
of the survey's sequence; only the scales of columns and rows differ. Takes a second.
"""

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import sparseopt as so

TARGET = np.array([[0.0, 1.0], [1.0, 0.0]])
SUPPORTS = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]


# %% The survey's sequence
def printed(k: float) -> tuple[np.ndarray, np.ndarray]:
    """Return X_k and Y_k as the survey prints them."""
    return np.array([[1 / k, 0], [k, -k]]), np.array([[1 / k, k], [0, k]])


def error(left: np.ndarray, right: np.ndarray) -> float:
    """Return the distance of a product from the target."""
    return float(np.linalg.norm(left @ right - TARGET))


# %% The verdict, and the factors that the solver found
def main(output: Path) -> None:
    """Ask, print the survey's figures beside ours, and draw both."""
    solution = so.solve(so.FixedSupportFactorization(TARGET, SUPPORTS), seed=1)
    proof = solution.certificate.closedness
    print(solution.certificate.claim)
    print(f"checked: {so.verify(solution).outcome}\n")
    print(proof.explain())

    print("\n     k   1/k^2 (survey)    |A - X_k Y_k|   |A - X(1/k^2) Y(1/k^2)|   largest entry")
    steps = [1, 2, 4, 8, 16, 32]
    ours = []
    for k in steps:
        left, right = curve(proof, k**-2)
        ours.append((left, right))
        errors = f"{error(*printed(k)):14.6f}   {error(left, right):23.6f}"
        print(f"{k:6d}   {k**-2:14.6f}   {errors}   {np.abs(printed(k)).max():13g}")
        assert np.allclose(left @ right, np.matmul(*printed(k)))
    try:
        draw([printed(k) for k in steps], ours, solution.answer.factors, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


def curve(proof: so.NotClosedCertificate, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of the proof at t: each entry is a sum of powers of t."""
    factors = np.zeros((2, 2, 2))
    for factor, entries in zip(factors, (proof.left, proof.right), strict=True):
        for row, column, powers in entries:
            factor[row, column] = sum(float(c) * t**power for power, c in powers.items())
    return factors[0], factors[1]


# %% The figure
def draw(
    survey: list[tuple[np.ndarray, np.ndarray]],
    ours: list[tuple[np.ndarray, np.ndarray]],
    found: tuple[np.ndarray, np.ndarray],
    output: Path,
) -> None:
    """Draw error against size: who wants a smaller error pays with larger factors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for pairs, style, label in (
        (survey, "o-", "the survey's $X_k, Y_k$, k = 1, 2, 4, ..., 32"),
        (ours, "s--", "the curve of our proof at $t = 1/k^2$"),
        ([found], "k*", "where the solver stopped"),
    ):
        sizes = [np.hypot(np.linalg.norm(left), np.linalg.norm(right)) for left, right in pairs]
        axes.loglog(sizes, [error(*pair) for pair in pairs], style, label=label, ms=8)
    axes.set(xlabel="norm of both factors", ylabel="error |A - XY|")
    axes.set_title("The error goes to 0 only as the factors go to infinity")
    axes.grid(True, alpha=0.3)
    axes.legend()
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="makes no difference here")
    parser.add_argument("--output", type=Path, default=Path("box2.png"))
    main(parser.parse_args().output)
