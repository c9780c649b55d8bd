"""From how many random measurements does the least l1 norm find a sparse vector? Each pixel proved.

Vectors with k nonzeros among n entries are measured by m random sums. Below a curve in the square
of m/n and k/m the vector of least l1 norm is the right one almost always, above it almost never
(Donoho, Tanner 2009). Here each trial is a theorem, not a run of a solver with a threshold: for the
support and the signs of a vector ``so.RecoveryGuarantee`` is answered by a dual vector, which
proves that l1 recovers *every* vector with these signs there, or by a vector in the kernel, which
proves that it fails. The curve is where the statistical dimension of the descent cone equals m
(Amelunxen, Lotz, McCoy, Tropp 2014, arXiv 1303.6672, proposition 4.5).

Many independent problems go through ``so.solve_all``, here in two processes; with ``--store`` a
sweep that was stopped goes on where it was. Takes about a minute on two cores; ``--quick`` a few
seconds on one.
"""

# %%
from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.optimize
import scipy.stats

import sparseopt as so


# %% The theory
def statistical_dimension(share: float) -> float:
    """Return the statistical dimension of l1's descent cone over n, at a share k/n of nonzeros.

    The least over t of share (1 + t^2) + (1 - share) E[(|g| - t)_+^2], g normal.
    """

    def value(t: float) -> float:
        tail, density = scipy.stats.norm.sf(t), scipy.stats.norm.pdf(t)
        excess = 2.0 * ((1.0 + t * t) * tail - t * density)
        return float(share * (1.0 + t * t) + (1.0 - share) * excess)

    return float(scipy.optimize.minimize_scalar(value, bounds=(0.0, 10.0), method="bounded").fun)


def critical(delta: float) -> float:
    """Return the share k/m at which m/n measurements are just enough."""
    found = scipy.optimize.brentq(
        lambda rho: statistical_dimension(rho * delta) - delta, 1e-6, 1.0 - 1e-9
    )
    return float(found)


# %% The trials
def problems(
    n: int, cells: list[tuple[int, int]], trials: int, seed: int = 0
) -> Iterator[so.RecoveryGuarantee]:
    """Yield for each cell (m, k) questions about random designs, supports and signs."""
    rng = np.random.default_rng(seed)
    for m, k in cells:
        for _ in range(trials):
            support = rng.choice(n, k, replace=False)
            signs = rng.choice([-1, 1], k)
            yield so.RecoveryGuarantee(rng.standard_normal((m, n)), support=support, signs=signs)


# %% The figure
def draw(
    n: int, ms: np.ndarray, rhos: np.ndarray, shares: np.ndarray, trials: int, output: Path
) -> None:
    """Draw the share of recovered supports and signs, and the curve."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6, 5), layout="constrained")
    axes = figure.subplots()
    mesh = axes.pcolormesh(
        ms / n, rhos, shares.T, cmap="viridis", vmin=0, vmax=1, shading="nearest"
    )
    deltas = np.linspace(0.02, 0.99, 100)
    axes.plot(deltas, [critical(delta) for delta in deltas], color="red", lw=2, label="theory")
    axes.set(xlabel="m / n: measurements per entry", ylabel="k / m: nonzeros per measurement")
    axes.set(xlim=(ms[0] / n - 0.02, ms[-1] / n + 0.02), ylim=(rhos[0] - 0.02, rhos[-1] + 0.02))
    axes.set_title(f"n = {n}, {trials} theorems a cell")
    axes.legend(loc="upper left")
    figure.colorbar(mesh, label="share proved to be recovered (the rest: proved not to be)")
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


def main(quick: bool, jobs: int, output: Path, store: Path | None = None) -> None:
    """Decide all trials, print the verdicts and where half of them turn, draw the square."""
    n, count, trials = (40, 6, 3) if quick else (80, 16, 6)
    ms = np.unique(np.linspace(0.1 * n, 0.95 * n, count).astype(int))
    rhos = np.linspace(0.05, 0.9, count)
    cells = [(int(m), max(1, round(rho * m))) for m in ms for rho in rhos]
    asked = problems(n, cells, trials)
    solutions = so.solve_all(asked, jobs=1 if quick else jobs, store=store)
    verdicts = np.array([s.answer.value for s in solutions if isinstance(s, so.Solution)])
    numbers = {value: int(np.sum(verdicts == value)) for value in ("recovers", "fails", "unknown")}
    print(f"{len(verdicts)} supports with signs, n = {n}: {numbers}")
    shares = np.mean((verdicts == "recovers").reshape(len(ms), len(rhos), trials), axis=2)
    print(" m/n   k/m where half are recovered   theory")
    for m, row in zip(ms[:: max(1, len(ms) // 6)], shares[:: max(1, len(ms) // 6)], strict=True):
        half = float(np.trapezoid(row, rhos) + rhos[0])  # of a step from 1 to 0: where it is
        print(f"{m / n:4.2f}   {half:27.2f}   {critical(m / n):6.2f}")
    try:
        draw(n, ms, rhos, shares, trials, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a coarse grid of small problems")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--output", type=Path, default=Path("phase_transition.png"))
    parser.add_argument("--store", type=Path, help="file of JSON lines to go on from")
    arguments = parser.parse_args()
    main(arguments.quick, arguments.jobs, arguments.output, arguments.store)
