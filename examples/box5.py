"""Supports that are safe and easy: nearest factors, block by block, and proved to be the nearest.

Box 5 of the survey (Gribonval, Riccietti, Le, Zheng 2025, hal-04954574): two 4 x 4 supports whose
rank-one terms cover disjoint 2 x 2 blocks of the product. The least squares problem falls apart
into four problems of one block each, and each is a truncated singular value decomposition: the
least error is the root of the sum of the squares of the blocks' second singular values. The
library notices the structure, and its certificate proves that no factors with these supports are
nearer. Takes a second.
"""

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import sparseopt as so

LEFT = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
RIGHT = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]])
TARGET = np.array([[4, 1, 0, 2], [1, 3, 2, -1], [-2, 1, 5, 0], [1, 1, 1, -4]], dtype=float)
BLOCKS = [(slice(i, i + 2), slice(j, j + 2)) for i in (0, 2) for j in (0, 2)]


# %% By hand, as in the box, and by the library
def main(output: Path) -> None:
    """Compare the sum over the blocks with the certificate, and draw."""
    left_over = 0.0
    print("block       singular values     what rank one leaves")
    for number, block in enumerate(BLOCKS, 1):
        values = np.linalg.svd(TARGET[block], compute_uv=False)
        left_over += values[1] ** 2
        print(f"A_{number}     {values[0]:10.6f} {values[1]:10.6f}     {values[1] ** 2:10.6f}")
    print(f"sum, the least squared error by hand       {left_over:10.6f}")

    solution = so.solve(so.FixedSupportFactorization(TARGET, [LEFT, RIGHT]))
    certificate = solution.certificate
    print(f"squared error by the library               {certificate.error**2:10.6f}")
    print(f"squared lower bound of the certificate     {certificate.lower_bound**2:10.6f}")
    print(f"\nsolver {solution.solver}; {certificate.claim}")
    print(f"checked: {so.verify(solution).outcome}")
    print(f"for every target: {so.solve(so.Closedness([LEFT, RIGHT])).answer}")
    try:
        draw(solution.answer, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


# %% The figure
def draw(factors: so.SupportedFactors, output: Path) -> None:
    """Draw both factors, their product, and what is left of the target."""
    from matplotlib.figure import Figure

    product = factors.to_dense()
    panels = {
        "X": (factors.left, LEFT),
        "Y": (factors.right, RIGHT),
        "XY: four blocks of rank one": (product, np.ones((4, 4))),
        "A - XY": (TARGET - product, np.ones((4, 4))),
    }
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    for axes, (title, (values, support)) in zip(figure.subplots(1, 4), panels.items(), strict=True):
        shown = np.ma.masked_array(values, support == 0)
        image = axes.imshow(shown, cmap="RdBu_r", vmin=-5, vmax=5)
        for (i, j), allowed in np.ndenumerate(support):
            if allowed:
                dark = abs(values[i, j]) > 3
                axes.text(
                    j,
                    i,
                    f"{values[i, j]:.2f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if dark else "black",
                )
        axes.axhline(1.5, color="black", lw=1)
        axes.axvline(1.5, color="black", lw=1)
        axes.set(title=title, xticks=[], yticks=[])
    figure.colorbar(image, ax=figure.axes, shrink=0.7)
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="makes no difference here")
    parser.add_argument("--output", type=Path, default=Path("box5.png"))
    main(parser.parse_args().output)
