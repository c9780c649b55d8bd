"""How much does greed lose? Greedy and thresholding methods against the best support, proved.

Lesson 2 of the survey (Gribonval, Riccietti, Le, Zheng 2025, hal-04954574): greed is good, and
thresholding finds the significant coefficients. Two trials, each with proofs:

* Diabetes data (442 patients, in scikit-learn; ten measurements, their squares and products): the
  columns are correlated. For each number of columns branch and bound proves which support is best
  of millions, so what each method loses is a fact.
* Planted vectors and a random design: how often does each method find the vector? And on which
  share of the supports is it proved that orthogonal matching pursuit finds *every* vector?

Takes about a minute on one core; ``--quick`` a few seconds.
"""

# %%
from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

import sparseopt as so

METHODS = {
    "omp": "orthogonal matching pursuit",
    "cosamp": "CoSaMP",
    "iht": "iterative hard thresholding",
    "htp": "hard thresholding pursuit",
}
ROWS, COLUMNS = 60, 120  # of the random design
Curves = dict[str, list[float]]


# %% Ten measurements, their squares and products, columns of mean 0 and norm 1
def diabetes() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the design, the progression of the disease and the names of the columns."""
    data = load_diabetes()
    single = data.data / data.data.std(axis=0)
    columns, names = list(single.T), list(data.feature_names)
    for i, first in enumerate(data.feature_names):
        for j in range(i, 10):
            if i == j == 1:
                continue  # sex takes two values, so its square says nothing new
            columns.append(single[:, i] * single[:, j])
            names.append(f"{first} x {data.feature_names[j]}")
    design = np.column_stack(columns)
    design -= design.mean(axis=0)
    target = data.target - data.target.mean()
    return design / np.linalg.norm(design, axis=0), target / np.linalg.norm(target), names


def losses(sizes: range) -> Curves:
    """Return by how many per cent each method's objective exceeds the proved optimum."""
    design, target, names = diabetes()
    print(f"diabetes: {design.shape[1]} columns, {design.shape[0]} patients")
    curves: Curves = {name: [] for name in METHODS}
    for size in sizes:
        problem = so.CardinalityRegression(design, target, size)
        best = so.solve(problem)
        least = best.certificate.dual  # no support of this size goes below
        for name in METHODS:
            own = so.solve(problem, name).certificate.primal
            curves[name].append(100.0 * max(own / least - 1.0, 0.0))
        print(
            f"  best {size} of {math.comb(len(names), size):9d}: objective {least:.6f}, proved "
            f"to {best.certificate.relative_gap:.0e}; lost by "
            + ", ".join(f"{name} {curves[name][-1]:4.2f} %" for name in METHODS)
        )
    print(f"  the best {size}:", ", ".join(names[j] for j in best.answer.support))
    return curves


# %% Planted vectors
def shares(sparsities: range, trials: int) -> Curves:
    """Return in which share of the trials each method finds a planted vector, per sparsity."""
    rng = np.random.default_rng(0)
    design = rng.standard_normal((ROWS, COLUMNS))
    curves: Curves = {name: [] for name in (*METHODS, "l1", "proved", "refuted")}
    for sparsity in sparsities:
        counts = dict.fromkeys(curves, 0)
        for _ in range(trials):
            support = np.sort(rng.choice(COLUMNS, sparsity, replace=False))
            x = np.zeros(COLUMNS)
            x[support] = rng.standard_normal(sparsity)
            target = design @ x
            for name in METHODS:
                found = so.solve(so.CardinalityRegression(design, target, sparsity), name)
                counts[name] += np.allclose(found.answer.x, x, atol=1e-6)
            pursuit = so.solve(so.BasisPursuit(design, target))
            counts["l1"] += np.allclose(pursuit.answer.x, x, atol=1e-6)
            every = so.solve(so.RecoveryGuarantee(design, support=support, method="omp"))
            counts["proved"] += every.answer.value == "recovers"
            counts["refuted"] += every.answer.value == "fails"
        for name, count in counts.items():
            curves[name].append(count / trials)
    return curves


def last_full(sparsities: range, curve: list[float]) -> int:
    """Return the largest sparsity up to which all trials went well."""
    good = [k for k, share in zip(sparsities, curve, strict=True) if share < 1.0]
    return (good[0] if good else sparsities[-1] + sparsities.step) - sparsities.step


# %% The figure
def draw(sizes: range, lost: Curves, sparsities: range, found: Curves, output: Path) -> None:
    """Draw what is lost on the data, and how often planted vectors are found."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    marks = dict(zip(METHODS, "osD^", strict=True))
    for place, (name, words) in enumerate(METHODS.items()):
        # Moved apart a little: many of the points coincide.
        at = np.array(sizes) + 0.07 * (place - 1.5)
        left.plot(at, lost[name], marks[name] + "-", color=f"C{place}", ms=6, lw=1, label=words)
        right.plot(sparsities, found[name], marks[name] + "-", color=f"C{place}", ms=4, lw=1.2)
    left.axhline(0, color="black", lw=0.8)
    left.set(xlabel="columns allowed", ylabel="objective above the proved optimum, %")
    left.set_title("diabetes data: correlated columns")
    left.set_xticks(list(sizes))
    left.legend(fontsize="small", loc="upper left")
    right.plot(sparsities, found["l1"], color="0.5", lw=1.2, ls="--", label="least l1 norm")
    right.fill_between(
        sparsities, found["proved"], color="C0", alpha=0.15, label="proved: OMP finds all vectors"
    )
    right.set(xlabel="nonzeros of the planted vector", ylabel="share of the trials")
    right.set_title(f"planted vectors: random design, {ROWS} x {COLUMNS}")
    right.set_ylim(-0.03, 1.05)
    right.legend(fontsize="small", loc=(0.18, 0.12))
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


def main(quick: bool, output: Path) -> None:
    """Print what is lost and what is found, and draw both."""
    sizes = range(1, 6 if quick else 8)
    lost = losses(sizes)
    sparsities = range(2, 32, 7) if quick else range(1, 37, 2)
    trials = 3 if quick else 16
    found = shares(sparsities, trials)
    print(f"planted vectors, {ROWS} x {COLUMNS}, {trials} trials each; all found up to sparsity")
    print("  " + ", ".join(f"{name} {last_full(sparsities, found[name])}" for name in METHODS))
    print(
        f"  proved for every vector on the support by OMP: up to "
        f"{last_full(sparsities, found['proved'])}; beyond, the certificate holds a vector that "
        "it misses: such vectors exist, and are rare"
    )
    try:
        draw(sizes, lost, sparsities, found, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer sizes and trials")
    parser.add_argument("--output", type=Path, default=Path("thresholding_and_greed.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
