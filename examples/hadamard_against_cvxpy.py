"""Can a smooth, nonconvex l2 problem solve a lasso, and how would one know? Its dual point says so.

With x = u * v, entry by entry, the l1 norm of x is the least of (|u|^2 + |v|^2) / 2, so a lasso
turns into a smooth problem with an l2 penalty: weight decay in disguise (survey of Gribonval,
Riccietti, Le, Zheng 2025, hal-04954574, section 3.1; Poon, Peyre 2023). For a fixed v the best u is
ridge regression in closed form, and what is left is descended in v alone by L-BFGS.

This problem is not convex, so a gradient of zero proves nothing. But the residual of a stationary
point is a point of the dual of the lasso: where no column correlates with it by more than the
strength, the point is a global optimum, and ``so.DualityGapCertificate`` turns that into a proof
that is checked without the method. Columns: images of scikit-learn's digits, strongly correlated.

Takes about half a minute on one core; ``--quick`` a few seconds.
"""

# %%
from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.linalg
import scipy.optimize
from sklearn.datasets import load_digits

import sparseopt as so


# %% The method: 30 lines, no library of ours
@dataclass
class Hadamard:
    """Lasso by x = u * v: the best u for each v, and L-BFGS in v.

    With M = A diag(v^2) A' + strength and M a = y the function of v is strength/2 (|v|^2 + y'a),
    its gradient strength v (1 - (A'a)^2), and x = v^2 A'a, whose residual is strength a.
    """

    design: np.ndarray
    target: np.ndarray
    strength: float
    seconds: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    factors: list[np.ndarray] = field(default_factory=list)

    def value_and_slope(self, v: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the function of v and its gradient; note the time, the gap and v."""
        matrix = (self.design * v**2) @ self.design.T
        matrix[np.diag_indices(len(matrix))] += self.strength
        a = scipy.linalg.cho_solve(scipy.linalg.cho_factor(matrix), self.target)
        correlation = self.design.T @ a
        self.x, self.residual, self.correlation = v**2 * correlation, self.strength * a, correlation
        self.seconds.append(time.perf_counter() - self.started)
        self.gaps.append(self.gap())
        self.factors.append(v.copy())
        value = 0.5 * self.strength * (v @ v + self.target @ a)
        return float(value), self.strength * v * (1.0 - correlation**2)

    def gap(self) -> float:
        """Return the relative duality gap, in plain arithmetic."""
        loss = 0.5 * float(self.residual @ self.residual)
        primal = loss + self.strength * float(np.abs(self.x).sum())
        point = self.residual / max(1.0, float(np.abs(self.correlation).max()))
        return (primal - float(self.target @ point - 0.5 * point @ point)) / primal

    def run(self) -> None:
        """Descend from equal factors; v = 0 would be a saddle."""
        self.started = time.perf_counter()
        options = {"maxiter": 5000, "maxfun": 20000, "maxcor": 20, "ftol": 1e-16, "gtol": 1e-13}
        start = np.full(self.design.shape[1], 0.3)
        scipy.optimize.minimize(
            self.value_and_slope, start, jac=True, method="L-BFGS-B", options=options
        )


# %% Problems
def problems(quick: bool) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """Return designs, targets and strengths by name."""
    images = load_digits().data / 16.0
    dictionary, image = images[: 400 if quick else 1500].T, images[1602]
    time_axis = np.arange(200)
    blur = np.exp(-0.5 * ((time_axis[:, None] - time_axis) / 3.0) ** 2)
    rng = np.random.default_rng(0)
    spikes = np.zeros(200)
    spikes[rng.choice(200, 8, replace=False)] = rng.uniform(1.0, 3.0, 8)
    blurred = blur @ spikes + 0.02 * rng.standard_normal(200)
    found = {}
    for name, design, target, ratio in (
        ("digits, strong penalty", dictionary, image, 0.1),
        ("digits, weak penalty", dictionary, image, 0.01),
        ("blurred spikes", blur, blurred, 0.01),
    ):
        found[name] = (design, target, ratio * float(np.abs(design.T @ target).max()))
    return found


def report(name: str, seconds: float, certificate: so.DualityGapCertificate) -> None:
    """Print one line of the table."""
    count, proved = len(certificate.answer.support), len(certificate.zeros)
    print(
        f"  {name:12} {1e3 * seconds:8.1f} ms   proved within {certificate.relative_gap:7.0e} of "
        f"the optimum   {count:3d} used, {proved:4d} proved zero in every optimum"
    )


# %% The figure
def draw(run: Hadamard, others: dict[str, tuple[float, float]], title: str, output: Path) -> None:
    """Draw gaps against time, factors along the way, and the proof."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    seconds = 1e3 * np.array(run.seconds)
    left.loglog(seconds, np.minimum.accumulate(run.gaps), label="Hadamard, L-BFGS")
    for mark, (name, (at, gap)) in zip("os", others.items(), strict=False):
        left.loglog(1e3 * at, max(gap, 1e-16), mark, color="C3", ms=7, label=name)
    left.set(xlabel="milliseconds", ylabel="relative duality gap", title=title)
    left.legend(fontsize="small")
    factors = np.abs(np.array(run.factors))
    on = np.abs(run.correlation) > 1.0 - 1e-4
    steps = np.arange(1, len(factors) + 1)
    middle.loglog(steps, factors[:, ~on][:, ::10], color="0.75", lw=0.6)
    middle.loglog(steps, factors[:, on], color="C0", lw=1.2)
    middle.set(xlabel="evaluations", ylabel="|v|", ylim=(1e-8, 3))
    middle.set_title("factors: blue stay, grey vanish")
    order = np.argsort(-np.abs(run.correlation))[:200]
    right.plot(np.abs(run.correlation)[order], ".", color="0.6", ms=4, label="not used")
    used = np.flatnonzero(on[order])
    right.plot(used, np.abs(run.correlation)[order][used], ".", color="C0", label="used")
    right.axhline(1.0, color="black", lw=0.8, ls=":")
    right.set(xlabel="columns, sorted", ylabel="|correlation| / strength")
    right.set_title("the proof: none above 1")
    right.legend(fontsize="small")
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


def main(quick: bool, output: Path) -> None:
    """Print times and proofs, and draw the problem in the middle."""
    small = so.SparseRegression(np.eye(2), [1.0, 2.0], so.L1(0.5))
    installed = [candidate.name for candidate in so.plan(small)]
    others = [name for name in ("cvxpy", "working_set") if name in installed]
    for name in others:
        so.solve(small, name)  # loads its library
    shown, points = None, {}
    for words, (design, target, strength) in problems(quick).items():
        print(f"{words}: {design.shape[0]} x {design.shape[1]}")
        problem = so.SparseRegression(design, target, so.L1(strength))
        run = Hadamard(design, target, strength)
        run.run()
        _, certificate = so.DualityGapCertificate.build(problem, run.x, run.residual)
        assert so.verify(certificate).ok
        report("Hadamard", run.seconds[-1], certificate)
        for name in others:
            solution = so.solve(problem, name, tolerance=1e-6)
            report(name, solution.seconds, solution.certificate)
            if words == "digits, weak penalty":
                points[name] = (solution.seconds, solution.certificate.relative_gap)
                shown = run
    print(
        "where L-BFGS stops is a global optimum of a nonconvex problem, within the gap printed: "
        "its residual proves that, and which entries vanish; nothing else was needed"
    )
    try:
        assert shown is not None
        draw(shown, points, "digits, weak penalty", output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller dictionary")
    parser.add_argument("--output", type=Path, default=Path("hadamard_against_cvxpy.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
