"""How fast is sparse regression beside scikit-learn, celer, skglm and cvxpy called directly?

Every row is charged for an answer whose relative duality gap is at most 1e-6, computed here in
NumPy from the best multiple of the residual. Peers get the loosest of their own tolerances that
passes, as theirs are not the gap asked for; which one is not charged. Rows of sparseopt are charged
for everything: stating the problem, the plan, the engine, the certificate and its check, at
``tolerance=1e-6`` and at the default of 1e-12; their proven gap is reported too. Basis pursuit is
charged for an answer with a residual of at most 1e-6 of the target and a norm within 1e-6 of the
least one. Rounds alternate over the rows. The median counts, in seconds of the process on the CPU:
the machine is shared, and the least of many times would favour short calls, which fit between the
work of others; it is kept too. One thread each.

Run: OMP_NUM_THREADS=1 python benchmarks/inverse.py [--parts dense sparse ...] [--limit 60]
Parts that are not run keep their figures.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

import sparseopt as so

GAP = 1e-6
LADDER = (1e-2, 1e-3, 1e-4, 3e-5, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)
PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "celer",
    "skglm",
    "numba",
    "spgl1",
    "cvxpy",
    "clarabel",
    "scs",
)


@dataclass(frozen=True, eq=False)
class Instance:
    """One problem in plain arrays; `size` is the size of consecutive groups, 1 for the lasso."""

    design: Any
    target: np.ndarray
    strength: float
    size: int = 1

    def problem(self) -> so.SparseRegression:
        """State it."""
        n = self.design.shape[1]
        groups = np.arange(n).reshape(-1, self.size)
        penalty = so.L1(self.strength) if self.size == 1 else so.GroupL1(self.strength, groups)
        return so.SparseRegression(self.design, self.target, penalty)

    def relative_gap(self, x: np.ndarray) -> float:
        """Return the gap proved by the best multiple of the residual, over the objective."""
        residual = self.target - self.design @ x
        blocks = [np.reshape(v, (-1, self.size)) for v in (x, self.design.T @ residual)]
        norms, correlations = (np.linalg.norm(v, axis=1) for v in blocks)
        square, along = residual @ residual, self.target @ residual
        room = self.strength / correlations.max()
        factor = min(max(along / square, -room), room)
        primal = 0.5 * square + self.strength * norms.sum()
        return float((primal - factor * (along - 0.5 * factor * square)) / primal)


clock = time.process_time


# %% Problems
def _planted(rng: np.random.Generator, design: Any, x: np.ndarray) -> np.ndarray:
    target = design @ x
    noise = 0.05 * np.linalg.norm(target) / np.sqrt(len(target))
    return np.asarray(target + noise * rng.standard_normal(len(target)))


def dense() -> Instance:
    """500 x 5000 Gaussian, 50 planted, a tenth of the critical strength."""
    rng = np.random.default_rng(0)
    design = np.asfortranarray(rng.standard_normal((500, 5000)) / np.sqrt(500))
    x = np.zeros(5000)
    x[rng.choice(5000, 50, replace=False)] = rng.standard_normal(50)
    target = _planted(rng, design, x)
    return Instance(design, target, 0.1 * float(np.abs(design.T @ target).max()))


def sparse() -> Instance:
    """3000 x 20000 with 0.3 % stored, 100 planted, a twentieth of the critical strength."""
    rng = np.random.default_rng(1)
    design = scipy.sparse.csc_matrix(
        scipy.sparse.random(
            3000, 20000, 0.003, format="csc", random_state=rng, data_rvs=rng.standard_normal
        )
    )
    x = np.zeros(20000)
    x[rng.choice(20000, 100, replace=False)] = rng.standard_normal(100)
    target = _planted(rng, design, x)
    return Instance(design, target, 0.05 * float(np.abs(design.T @ target).max()))


def tall(order: Any = "F") -> Instance:
    """20000 x 200 Gaussian, 20 planted, a tenth of the critical strength."""
    rng = np.random.default_rng(4)
    design = np.asarray(rng.standard_normal((20000, 200)) / np.sqrt(20000), order=order)
    return _tenth(rng, design, 20)


def sparse_tall() -> Instance:
    """100000 x 1000 with 1 % stored, 50 planted, a tenth of the critical strength."""
    rng = np.random.default_rng(5)
    design = scipy.sparse.csc_matrix(
        scipy.sparse.random(
            100_000, 1000, 0.01, format="csc", random_state=rng, data_rvs=rng.standard_normal
        )
    )
    return _tenth(rng, design, 50)


def small() -> Instance:
    """50 x 100 Gaussian, 10 planted, a tenth of the critical strength."""
    rng = np.random.default_rng(6)
    design = np.asfortranarray(rng.standard_normal((50, 100)) / np.sqrt(50))
    return _tenth(rng, design, 10)


def _tenth(rng: np.random.Generator, design: Any, planted: int) -> Instance:
    x = np.zeros(design.shape[1])
    x[rng.choice(len(x), planted, replace=False)] = rng.standard_normal(planted)
    target = _planted(rng, design, x)
    return Instance(design, target, 0.1 * float(np.abs(design.T @ target).max()))


def monomials(ratio: float) -> Instance:
    """Breast cancer data, all monomials of degree up to 3: 569 x 5455, ill-conditioned."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    features, labels = load_breast_cancer(return_X_y=True)
    features = StandardScaler().fit_transform(features)
    design = PolynomialFeatures(3, include_bias=False).fit_transform(features)
    design = design - design.mean(axis=0)
    design /= np.linalg.norm(design, axis=0)
    target = labels - labels.mean()
    return Instance(
        np.asfortranarray(design), target, ratio * float(np.abs(design.T @ target).max())
    )


def groups() -> Instance:
    """500 x 5000 Gaussian in 500 groups of 10, 10 planted."""
    rng = np.random.default_rng(2)
    design = np.asfortranarray(rng.standard_normal((500, 5000)) / np.sqrt(500))
    x = np.zeros((500, 10))
    x[rng.choice(500, 10, replace=False)] = rng.standard_normal((10, 10))
    target = _planted(rng, design, x.ravel())
    correlation = np.linalg.norm((design.T @ target).reshape(500, 10), axis=1)
    return Instance(design, target, 0.1 * float(correlation.max()), 10)


@dataclass(frozen=True, eq=False)
class Pursuit:
    """Basis pursuit, 300 x 1500 Gaussian, 40 planted."""

    design: np.ndarray
    target: np.ndarray
    least: float

    def problem(self) -> so.BasisPursuit:
        """State it."""
        return so.BasisPursuit(self.design, self.target)

    def relative_gap(self, x: np.ndarray) -> float:
        """Return what is missing of the target or of the least norm, relatively."""
        residual = np.linalg.norm(self.design @ x - self.target) / np.linalg.norm(self.target)
        return float(max(residual, abs(np.abs(x).sum() - self.least) / self.least))


def pursuit() -> Pursuit:
    """Basis pursuit, 300 x 1500 Gaussian, 40 planted."""
    rng = np.random.default_rng(3)
    design = rng.standard_normal((300, 1500)) / np.sqrt(300)
    x = np.zeros(1500)
    x[rng.choice(1500, 40, replace=False)] = rng.standard_normal(40)
    target = design @ x
    certificate: Any = so.solve(so.BasisPursuit(design, target)).certificate
    return Pursuit(design, target, certificate.dual)


@dataclass(frozen=True, eq=False)
class Training:
    """Exact training of a ReLU network, 20 points in 3 dimensions, decay 0.1."""

    inputs: np.ndarray
    targets: np.ndarray

    def problem(self) -> so.TwoLayerReLU:
        """State it."""
        return so.TwoLayerReLU(self.inputs, self.targets, 0.1)


def training() -> Training:
    """Exact training of a ReLU network, 20 points in 3 dimensions, decay 0.1."""
    rng = np.random.default_rng(7)
    return Training(rng.standard_normal((20, 3)), rng.standard_normal(20))


PARTS: dict[str, Callable[[], Any]] = {
    "dense": dense,
    "sparse": sparse,
    "tall": tall,
    "tall_by_rows": lambda: tall("C"),
    "sparse_tall": sparse_tall,
    "small": small,
    "monomials": lambda: monomials(0.01),
    "monomials_weak": lambda: monomials(0.001),
    "groups": groups,
    "pursuit": pursuit,
    "relu": training,
}


# %% Engines: instance, tolerance, seconds -> coefficients
def sklearn_lasso(instance: Instance, tolerance: float, limit: float) -> np.ndarray:
    """scikit-learn, called directly."""
    from sklearn.linear_model import Lasso

    alpha = instance.strength / len(instance.target)
    engine = Lasso(alpha=alpha, fit_intercept=False, tol=tolerance, max_iter=10**6)
    return np.asarray(engine.fit(instance.design, instance.target).coef_)


def celer_lasso(instance: Instance, tolerance: float, limit: float) -> np.ndarray:
    """celer, called directly."""
    from celer import GroupLasso, Lasso

    options = {
        "alpha": instance.strength / len(instance.target),
        "fit_intercept": False,
        "tol": tolerance,
        "max_iter": 200,
        "max_epochs": 100_000,
    }
    engine = Lasso(**options) if instance.size == 1 else GroupLasso(groups=instance.size, **options)
    return np.asarray(engine.fit(instance.design, instance.target).coef_)


def skglm_lasso(instance: Instance, tolerance: float, limit: float) -> np.ndarray:
    """skglm, called directly."""
    from skglm import GroupLasso, Lasso

    options = {
        "alpha": instance.strength / len(instance.target),
        "fit_intercept": False,
        "tol": tolerance,
        "max_iter": 500,
        "max_epochs": 100_000,
    }
    engine = Lasso(**options) if instance.size == 1 else GroupLasso(groups=instance.size, **options)
    return np.asarray(engine.fit(instance.design, instance.target).coef_)


def spgl1_pursuit(instance: Pursuit, tolerance: float, limit: float) -> np.ndarray:
    """spgl1, called directly."""
    import spgl1

    options = {"opt_tol": tolerance, "bp_tol": tolerance, "iter_lim": 100_000, "verbosity": 0}
    return np.asarray(spgl1.spg_bp(instance.design, instance.target, **options)[0])


def cvxpy_with(name: str) -> Callable[[Instance, float, float], np.ndarray]:
    """cvxpy, called directly with one of its solvers."""

    def run(instance: Instance, tolerance: float, limit: float) -> np.ndarray:
        import cvxpy

        n = instance.design.shape[1]
        x = cvxpy.Variable(n)
        norm = cvxpy.norm1(x)
        if instance.size > 1:
            shape = (n // instance.size, instance.size)
            norm = cvxpy.sum(cvxpy.norm(cvxpy.reshape(x, shape, order="C"), 2, axis=1))
        fit = cvxpy.sum_squares(instance.design @ x - instance.target)
        options: dict[str, Any] = {"eps_abs": tolerance, "eps_rel": tolerance}
        if name == "SCS":
            options |= {"max_iters": 10**7, "time_limit_secs": limit}
        elif name == "OSQP":
            options |= {"max_iter": 10**7, "time_limit": limit}
        else:
            options = {"tol_gap_rel": tolerance, "tol_feas": tolerance, "time_limit": limit}
        objective = cvxpy.Minimize(0.5 * fit + instance.strength * norm)
        cvxpy.Problem(objective).solve(solver=name, **options)
        return np.asarray(x.value)

    return run


PEERS: dict[str, Callable[[Any, float, float], np.ndarray]] = {
    "scikit-learn": sklearn_lasso,
    "celer": celer_lasso,
    "skglm": skglm_lasso,
    "spgl1": spgl1_pursuit,
    "cvxpy CLARABEL": cvxpy_with("CLARABEL"),
    "cvxpy SCS": cvxpy_with("SCS"),
}
TOLERANCES = {"sparseopt, 1e-6": GAP, "sparseopt, default tolerance": None}


def takes(peer: str, instance: Any) -> bool:
    """Whether a peer is measured on an instance."""
    if isinstance(instance, Training):
        return False
    if isinstance(instance, Pursuit):
        return peer == "spgl1"
    return peer != "spgl1" and (peer != "scikit-learn" or instance.size == 1)


# %% Measuring
def calibrate(name: str, instance: Any, limit: float) -> dict[str, Any]:
    """Return the row of a peer with the loosest tolerance that passes, and its seconds."""
    row: dict[str, Any] = {"engine": f"{name} (direct)", "seconds": None}
    spent = 0.0
    if name in ("celer", "skglm"):  # they compile at first use
        PEERS[name](instance, 0.1, limit)
    for tolerance in LADDER:
        start = clock()
        try:
            x = PEERS[name](instance, tolerance, limit)
        except Exception as error:
            return {**row, "note": f"{type(error).__name__}: {str(error)[:80]}"}
        seconds = clock() - start
        spent += seconds
        row |= {"tolerance": tolerance, "gap": instance.relative_gap(x)}
        if row["gap"] <= GAP:
            return {**row, "seconds": seconds}
        if spent > 1.5 * limit:
            return {**row, "note": f"given up after {spent:.0f} s"}
    return {**row, "note": "no tolerance passed"}


def first_of_ours(name: str, instance: Any, limit: float) -> dict[str, Any]:
    """Return the row of what the plan chooses at one of our tolerances."""
    row: dict[str, Any] = {"engine": name, "seconds": None}
    start = clock()
    try:
        solution = so.solve(instance.problem(), tolerance=TOLERANCES[name], time_limit=limit)
    except so.SolveError as error:
        return {**row, "note": str(error.plan.candidates[0])[:160]}
    found = {"seconds": clock() - start, "solver": solution.solver, "status": solution.status.name}
    return {**row, **found, "gap": solution.certificate.accuracy}


def measure(part: str, limit: float, rounds: int, without: list[str]) -> list[dict[str, Any]]:
    """Return one row per engine, the fastest of alternated rounds, with ratios to the best."""
    instance = PARTS[part]()
    rows, again = [], []
    for name, tolerance in TOLERANCES.items():
        rows.append(first_of_ours(name, instance, limit))
        again.append(lambda t=tolerance: so.solve(instance.problem(), tolerance=t))
        print("  ", rows[-1], flush=True)
    for name in PEERS:
        if takes(name, instance) and name not in without:
            row = calibrate(name, instance, limit)
            rows.append(row)
            again.append(lambda n=name, row=row: PEERS[n](instance, row["tolerance"], limit))
            print("  ", row, flush=True)
    slowest = max(row["seconds"] or 0.0 for row in rows[1:])
    times: list[list[float]] = [[] for _ in rows]
    for _ in range(rounds * (10 if slowest < 0.02 else 1)):
        for row, work, taken in zip(rows, again, times, strict=True):
            if row["seconds"] is not None and row["seconds"] < 4.0:
                start = clock()
                work()
                taken.append(clock() - start)
    for row, taken in zip(rows, times, strict=True):
        if taken:
            row |= {"seconds": statistics.median(taken), "least": min(taken)}
    best = min(row["seconds"] for row in rows if row["seconds"] is not None)
    for row in rows:
        row["ratio"] = None if row["seconds"] is None else round(row["seconds"] / best, 2)
    return sorted(rows, key=lambda row: row["ratio"] or float("inf"))


def installed(name: str) -> str:
    """Return the version of a package, or that it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def main() -> None:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--limit", type=float, default=60.0, help="seconds per call")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--without", nargs="+", default=[], help="peers to leave out")
    default = Path(__file__).parent / "results/inverse.json"
    parser.add_argument("--output", type=Path, default=default)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    kept = json.loads(args.output.read_text())["parts"] if args.output.exists() else {}
    result: dict[str, Any] = {
        "python": platform.python_version(),
        "versions": {name: installed(name) for name in PACKAGES},
        "rule": f"relative gap <= {GAP:g}; median CPU seconds of alternated rounds",
        "parts": {part: rows for part, rows in kept.items() if part in PARTS},
    }
    for part in args.parts:
        print(part, PARTS[part].__doc__ or "", flush=True)
        rows = measure(part, args.limit, args.rounds, args.without)
        result["parts"][part] = rows
        for row in rows:
            ratio = "-" if row["ratio"] is None else f"{row['ratio']:8.2f}"
            print(f"{row['engine']:28s} {ratio:>8s}  gap {row.get('gap', float('nan')):.1e}")
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
