"""What does a valley at infinity look like? The survey's Box 3, with a proof at each point.

The survey slices the landscape of its Box 2: g(delta) is the least squared error of factors with
X[1, 1] Y[1, 1] = delta (Gribonval, Riccietti, Le, Zheng 2025, hal-04954574; rows and columns count
from 0 here). With delta fixed, what is left to choose is a product of one column and one row, so
each g(delta) is a fixed-support problem that the library solves with a proof that nothing is
better: the truncated singular value decomposition of [[0, 1], [1, -delta]].

The slope always points outward on either side, the infimum 0 is approached as delta diverges, and
no point has it. With all entries allowed, or with other supports, the valley is gone: closed.
Takes a second.
"""

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import sparseopt as so

COLUMN_AND_ROW = [[[1], [1]], [[1, 1]]]
TRIANGULAR = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
OTHERS = {
    "lower times upper triangular (Box 2)": TRIANGULAR,
    "all entries allowed": [[[1, 1], [1, 1]], [[1, 1], [1, 1]]],
    "one entry less": [[[1, 0], [1, 1]], [[0, 1], [0, 1]]],
    "diagonal times full": [[[1, 0], [0, 1]], [[1, 1], [1, 1]]],
}


# %% One point of the slice
def slice_at(delta: float) -> tuple[float, float]:
    """Return g(delta) from above and from below, both proved."""
    target = [[0.0, 1.0], [1.0, -delta]]
    solution = so.solve(so.FixedSupportFactorization(target, COLUMN_AND_ROW))
    assert so.verify(solution).ok
    return solution.certificate.error**2, solution.certificate.lower_bound**2


# %% All points, and the supports
def main(quick: bool, output: Path) -> None:
    """Compute the slice, print some of it, ask about the supports, and draw."""
    deltas = np.sinh(np.linspace(-1.0, 1.0, 61 if quick else 241) * np.arcsinh(20.0))
    points = np.array([slice_at(delta) for delta in deltas])
    print("  delta   g(delta)   proved to within")
    for delta in (0.0, 1.0, 5.0, 20.0, 100.0, 1000.0):
        high, low = slice_at(delta)
        print(f"{delta:7g}   {high:8.6f}   {high - low:.1e}")
    print("\ninf g = 0 is not attained: is the set of products closed?")
    for name, supports in OTHERS.items():
        solution = so.solve(so.Closedness(supports))
        print(f"  {name:38} {solution.answer}")
    try:
        draw(deltas, points[:, 0], output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


# %% The figure
def draw(deltas: np.ndarray, values: np.ndarray, output: Path) -> None:
    """Draw g over delta."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(deltas, values)
    axes.axhline(0.0, color="black", lw=0.8, ls=":")
    axes.annotate("g(0) = 1", (0, 1), (2.5, 0.95), arrowprops={"arrowstyle": "-", "lw": 0.6})
    axes.annotate("infimum 0: at no $\\delta$", (11, 0.0), (8, 0.25))
    for start, end in ((6.0, 15.0), (-6.0, -15.0)):
        arrow = {"arrowstyle": "->", "color": "tab:red"}
        axes.annotate("", (end, 0.09), (start, 0.14), arrowprops=arrow)
    axes.text(-19.5, 0.25, "downhill goes\nto infinity", color="tab:red")
    axes.set(xlabel="$\\delta$ = X[1, 1] Y[1, 1]", ylabel="$g(\\delta)$", ylim=(-0.05, 1.08))
    axes.set_title("The least squared error in a slice of the landscape")
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a coarser slice")
    parser.add_argument("--output", type=Path, default=Path("box3.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
