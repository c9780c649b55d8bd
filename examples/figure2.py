"""Why are fast transforms fast? Their matrices are products of sparse ones, found from the matrix.

Figure 2 of the survey (Gribonval, Riccietti, Le, Zheng 2025, hal-04954574): the matrix of the
discrete Fourier transform of size n is a product of log2(n) butterfly factors with two nonzeros
per row and column, that of a wavelet transform one of factors that filter and subsample. Here
nobody tells the library how: it gets the dense matrix and looks for the nearest butterfly
product, for the Fourier matrix in unknown orders of rows and columns as well (it finds the bit
reversal). The certificate says how near the product is, and the number of values how fast. Takes
a few seconds.
"""

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import sparseopt as so
from sparseopt.tools.transforms import wavelet

Found = so.KroneckerProduct | so.PermutedKroneckerProduct


# %% The dense matrices, and the factors that are found
def fourier(n: int) -> np.ndarray:
    """Return the matrix of the discrete Fourier transform."""
    return np.asarray(np.fft.fft(np.eye(n)))


def haar(n: int) -> np.ndarray:
    """Return the matrix of the orthonormal Haar wavelet transform, its rows computed in place."""
    return np.asarray(wavelet(n).product.to_dense())


def factored(matrix: np.ndarray, unknown: bool) -> tuple[Found, float]:
    """Return the butterfly product nearest to a matrix, and its proved relative error."""
    n = len(matrix)
    architecture = so.Architecture.square_dyadic(n)
    orders = "unknown" if unknown else "known"
    solution = so.solve(so.ButterflyFactorization(matrix, architecture, permutations=orders))
    assert so.verify(solution).ok
    return solution.answer, solution.certificate.relative_error


def dense_factors(found: Found) -> list[np.ndarray]:
    """Return the factors as matrices; entries that are rounding errors only are set to zero."""
    matrices = []
    for values, pattern in zip(found.factors, found.architecture, strict=True):
        matrix = so.KroneckerProduct([values], so.Architecture([pattern])).to_dense()
        matrices.append(np.where(np.abs(matrix) < 1e-9 * np.abs(matrix).max(), 0.0, matrix))
    return matrices


def filtering(matrix: np.ndarray) -> int:
    """Return the nonzeros in rows that compute something: a row with one entry only passes on."""
    rows = np.count_nonzero(matrix, axis=1)
    return int(rows[rows > 1].sum())


# %% Sizes
def count(sizes: list[int]) -> dict[str, list[int]]:
    """Print nonzeros beside the survey's laws; return them."""
    print("                       nonzeros of all factors")
    print("     n        n^2    Fourier   2 n log2 n    wavelet   4 (n - 1)    relative errors")
    found: dict[str, list[int]] = {"Fourier": [], "wavelet": []}
    for n in sizes:
        product, fourier_error = factored(fourier(n), unknown=True)
        cascade, haar_error = factored(haar(n), unknown=False)
        found["Fourier"].append(sum(int(np.count_nonzero(f)) for f in dense_factors(product)))
        found["wavelet"].append(sum(filtering(f) for f in dense_factors(cascade)))
        ours = f"{found['Fourier'][-1]:10d} {2 * n * int(np.log2(n)):12d}"
        theirs = f"{found['wavelet'][-1]:10d} {4 * (n - 1):11d}"
        print(f"{n:6d} {n * n:10d} {ours} {theirs}    {fourier_error:.1e}, {haar_error:.1e}")
    return found


def main(quick: bool, output: Path) -> None:
    """Count nonzeros over the sizes, and draw the factors of size 16."""
    sizes = [4, 8, 16, 32, 64] if quick else [4, 8, 16, 32, 64, 128, 256]
    nonzeros = count(sizes)
    try:
        draw(sizes, nonzeros, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


# %% The figure
def draw(sizes: list[int], nonzeros: dict[str, list[int]], output: Path) -> None:
    """Draw both transforms of size 16 beside their factors, and the nonzeros over the size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.4), layout="constrained")
    grid = figure.add_gridspec(2, 7, width_ratios=[1, 0.15, 1, 1, 1, 1, 1.8])
    rows = {"Fourier, in the order found": (fourier(16), True), "Haar wavelets": (haar(16), False)}
    for row, (title, (matrix, unknown)) in enumerate(rows.items()):
        found, _ = factored(matrix, unknown)
        product = found.product if isinstance(found, so.PermutedKroneckerProduct) else found
        factors = dense_factors(product)
        panels = [(0, title, product.to_dense().real)] + [
            (k + 2, f"factor {k + 1}: {np.count_nonzero(f)} nonzeros", np.abs(f) > 0)
            for k, f in enumerate(factors)
        ]
        for place, name, values in panels:
            axes = figure.add_subplot(grid[row, place])
            if place:
                axes.imshow(values, cmap="Blues", vmin=0, vmax=1.2)
            else:
                axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
            axes.set_title(name, fontsize=9)
            axes.set(xticks=[], yticks=[])
        axes = figure.add_subplot(grid[row, 1])
        axes.text(0.5, 0.5, "=", ha="center", va="center", fontsize=20)
        axes.set_axis_off()
    axes = figure.add_subplot(grid[:, 6])
    n = np.array(sizes)
    axes.loglog(n, n**2, color="grey", label="dense matrix, $n^2$")
    axes.loglog(n, nonzeros["Fourier"], "o-", label="Fourier, $2 n \\log_2 n$")
    axes.loglog(n, nonzeros["wavelet"], "s-", label="wavelets, $4 (n - 1)$")
    axes.set(xlabel="size n", title="multiplications")
    axes.set_xscale("log", base=2)
    axes.grid(True, alpha=0.3)
    axes.legend()
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="sizes up to 64 only")
    parser.add_argument("--output", type=Path, default=Path("figure2.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
