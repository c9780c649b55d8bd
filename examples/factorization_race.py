"""How fast does each method factorize the Hadamard matrix? Relative error against time.

All in one run: the hierarchical engines, which need one pass over the factors and know their error
without a history; alternating least squares and Adam, which start from random factors and report
every error on the way (as in Figure 5 of the survey of Gribonval et al. on sparse products). Prints
a table and, if matplotlib is there, draws the figure. With ``--noise 0.01`` the target is not an
exact product: the dotted line is then the error that no factors can go below.

Takes about a minute on one core; ``--quick`` (size 64) a few seconds.
"""

# %%
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg

import sparseopt as so

METHODS: dict[str, list[dict[str, Any]]] = {
    "hierarchical_numpy": [{}],
    "hierarchical_numba": [{}],
    "butterfly_alternating": [{}],
    "butterfly_adam": [{"learning_rate": 0.2}],
}
History = list[tuple[float, float]]


# %% One method: seconds and relative errors, the last of which the core computes itself
def race(problem: so.ButterflyFactorization, name: str, options: dict[str, Any]) -> History:
    """Return the history of a method; of those without one, the end alone, best of five runs."""
    if name.startswith("hierarchical"):
        # The first run compiles, or touches new memory: it is not counted.
        runs = [so.solve(problem, name, check=False, **options) for _ in range(6)]
        best = min(runs[1:], key=lambda solution: solution.seconds)
        return [(best.seconds, best.certificate.relative_error)]
    history: History = []
    warm_up = so.ButterflyFactorization(np.ones((4, 4)), so.Architecture.square_dyadic(4))
    so.solve(warm_up, name)  # imports its library
    so.solve(
        problem,
        name,
        check=False,
        watch=lambda seconds, error: history.append((seconds, error)),
        **options,
    )
    return history


def reached(history: History, error: float) -> str:
    """Return when an error was first reached, in words."""
    seconds = next((s for s, e in history if e <= error), None)
    return "never" if seconds is None else f"{1e3 * seconds:.1f} ms"


def label(name: str, options: dict[str, Any]) -> str:
    """Return the name of a method with its options."""
    return " ".join([name, *(f"{key}={value}" for key, value in options.items())])


# %% The figure
def draw(histories: dict[str, History], floor: float, output: Path) -> None:
    """Draw errors against seconds, both on logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, history in histories.items():
        seconds, errors = np.array(history).T
        # An error of 0 has no place on the axis; below 1e-16 it is rounding anyway.
        axes.loglog(
            seconds, np.maximum(errors, 1e-16), "o" if len(history) == 1 else "-", label=name
        )
    if floor > 0:
        axes.axhline(floor, ls=":", color="black", label="proven lower bound")
    axes.set(xlabel="seconds", ylabel="relative error")
    axes.legend()
    figure.savefig(output)
    print(f"written to {output}")


def main(size: int, noise: float, iterations: int, output: Path) -> None:
    """Run every method that is installed, print the table, draw the figure."""
    hadamard = scipy.linalg.hadamard(size).astype(float)
    target = hadamard + noise * np.random.default_rng(0).standard_normal(hadamard.shape)
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(size))
    installed = {candidate.name for candidate in so.plan(problem)}
    histories: dict[str, History] = {}
    for name, variants in METHODS.items():
        for options in variants if name in installed else []:
            own = {"iterations": iterations, **options} if name == "butterfly_adam" else options
            histories[label(name, options)] = race(problem, name, own)
    splits = problem.split_errors() if noise else (0.0,)
    floor = max(splits) / problem.norm
    print(f"Hadamard matrix of size {size}, noise {noise:g}; proven lower bound {floor:.3g}")
    print(f"{'method':38}{'to error':>14}{'in all':>12}{'to 1 %':>14}{'to 1e-10':>14}")
    for name, history in histories.items():
        least = min(error for _, error in history)
        total = 1e3 * history[-1][0]
        times = [reached(history, level) for level in (0.01, 1e-10)]
        print(f"{name:38}{least:14.3g}{total:9.1f} ms{times[0]:>14}{times[1]:>14}")
    try:
        draw(histories, floor, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="size 64, few iterations")
    parser.add_argument("--noise", type=float, default=0.0, help="of each entry")
    parser.add_argument("--output", type=Path, default=Path("factorization_race.png"))
    arguments = parser.parse_args()
    quick = arguments.quick
    main(64 if quick else 1024, arguments.noise, 300 if quick else 800, arguments.output)
