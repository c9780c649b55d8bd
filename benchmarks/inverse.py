"""How fast is sparse regression beside scikit-learn, celer, skglm and cvxpy called directly?

Every row is charged for an answer whose relative duality gap is at most 1e-6, computed here in
NumPy from the best multiple of the residual. Peers get the loosest of their own tolerances that
passes, as theirs are not the gap asked for; which one is not charged. Rows of sparseopt are charged
for everything: stating the problem, the plan, the engine, the certificate and its check, at
``tolerance=1e-6`` and at the default of 1e-12; their proven gap is reported too. Rounds alternate
over the rows. The median counts, in seconds of the process on the CPU: the machine is shared, and
the least of many times would favour short calls, which fit between the work of others; it is kept
too. One thread each.

Run: OMP_NUM_THREADS=1 python benchmarks/inverse.py [--parts dense sparse ...] [--limit 60]
Parts that are not run keep their figures.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
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


PARTS: dict[str, Callable[[], Instance]] = {
    "dense": dense,
    "sparse": sparse,
    "tall": tall,
    "tall_by_rows": lambda: tall("C"),
    "sparse_tall": sparse_tall,
    "small": small,
    "monomials": lambda: monomials(0.01),
    "monomials_weak": lambda: monomials(0.001),
    "groups": groups,
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
    "cvxpy CLARABEL": cvxpy_with("CLARABEL"),
    "cvxpy SCS": cvxpy_with("SCS"),
}
TOLERANCES = {"sparseopt, 1e-6": GAP, "sparseopt, default tolerance": None}


def takes(peer: str, instance: Instance) -> bool:
    """Whether a peer is measured on an instance."""
    return peer != "scikit-learn" or instance.size == 1


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


# %% Basis pursuit and ReLU networks beside their peers; "extra" runs these alone
def paired(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Return the median of the ratios of alternated runs, and the least seconds of both."""
    seconds = np.empty((rounds, 2))
    for row in seconds:
        for k, work in enumerate((ours, theirs)):
            start = time.perf_counter()
            work()
            row[k] = time.perf_counter() - start
    ratio = float(np.median(seconds[:, 0] / seconds[:, 1]))
    return {"ratio": ratio, "ours": float(seconds[:, 0].min()), "peer": float(seconds[:, 1].min())}


def pursuit_row(seed: int, rounds: int) -> dict[str, Any]:
    """Basis pursuit 300 x 1500 with 40 nonzeros against spgl1, which proves nothing.

    spgl1 gets the loosest tolerance at which its vector fits to 1e-6 and is 1e-6 near the least
    norm; sparseopt a tolerance of 1e-6, its dual point and check included.
    """
    from spgl1 import spg_bp

    rng = np.random.default_rng(seed)
    design = rng.standard_normal((300, 1500)) / np.sqrt(300)
    x = np.zeros(1500)
    x[rng.choice(1500, 40, replace=False)] = rng.standard_normal(40)
    target = design @ x
    least = float(so.solve(so.BasisPursuit(design, target)).certificate.dual)

    def peer(tolerance: float) -> np.ndarray:
        options = dict.fromkeys(("opt_tol", "bp_tol", "ls_tol"), tolerance)
        return np.asarray(spg_bp(design, target, iter_lim=9000, **options)[0])

    for tolerance in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
        found = peer(tolerance)
        misfit = np.linalg.norm(design @ found - target) / np.linalg.norm(target)
        if misfit <= GAP and abs(np.abs(found).sum() - least) <= GAP * least:
            break

    def ours() -> so.Solution[Any, Any]:
        return so.solve(so.BasisPursuit(design, target), tolerance=GAP)

    row = paired(ours, lambda: peer(tolerance), rounds)
    return {"problem": f"basis pursuit, seed {seed}", "peer is": f"spgl1 {tolerance:g}", **row} | {
        "proved": ours().certificate.accuracy
    }


def gated_instance(samples: int, features: int, gates: int, kind: str) -> so.TwoLayerReLU:
    """Return gated training at a twentieth of the decay that needs no neurons."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((samples, features))
    targets = rng.standard_normal(samples)
    if kind == "teacher":
        hidden = np.maximum(inputs @ rng.standard_normal((features, 4)), 0.0)
        targets = hidden @ rng.standard_normal(4) + 0.1 * targets
    columns = rng.standard_normal((features, gates))
    pulls = (inputs @ columns > 0).T * targets @ inputs
    return so.TwoLayerReLU(
        inputs, targets, 0.05 * float(np.linalg.norm(pulls, axis=1).max()), columns
    )


def gated_peers(problem: so.TwoLayerReLU) -> dict[str, Callable[[float], np.ndarray]]:
    """Return celer's group lasso and cvxpy's default solver on the same convex program."""
    import cvxpy
    from celer import GroupLasso

    active = np.unique(problem.inputs @ problem.gates > 0, axis=1)
    active = active[:, active.any(axis=0)]
    n, d = problem.inputs.shape
    design = np.asfortranarray((active[:, :, None] * problem.inputs[:, None, :]).reshape(n, -1))

    def celer(tolerance: float) -> np.ndarray:
        engine = GroupLasso(
            groups=d,
            alpha=problem.decay / n,
            fit_intercept=False,
            tol=tolerance,
            max_iter=200,
            max_epochs=100_000,
        )
        return np.asarray(engine.fit(design, problem.targets).coef_)

    def conic(tolerance: float) -> np.ndarray:
        x = cvxpy.Variable(design.shape[1])
        norms = cvxpy.norm(cvxpy.reshape(x, (-1, d), order="C"), 2, axis=1)
        fit = 0.5 * cvxpy.sum_squares(design @ x - problem.targets)
        cvxpy.Problem(cvxpy.Minimize(fit + problem.decay * cvxpy.sum(norms))).solve()
        return np.asarray(x.value)

    return {"celer": celer, "cvxpy's default": conic}


def gated_rows(samples: int, features: int, gates: int, kind: str, rounds: int) -> list[Any]:
    """Return rows of gated training: the peers get what passes a gap of 1e-6 by their residual."""
    problem = gated_instance(samples, features, gates, kind)
    active = np.unique(problem.inputs @ problem.gates > 0, axis=1)
    active = active[:, active.any(axis=0)]
    design = (active[:, :, None] * problem.inputs[:, None, :]).reshape(samples, -1)
    instance = Instance(design, problem.targets, problem.decay, features)

    def ours() -> so.Solution[Any, Any]:
        stated = so.TwoLayerReLU(problem.inputs, problem.targets, problem.decay, problem.gates)
        return so.solve(stated, tolerance=GAP)

    rows, proved = [], ours().certificate.accuracy
    for name, peer in gated_peers(problem).items():
        for tolerance in LADDER[2:]:
            reached = instance.relative_gap(peer(tolerance))
            if reached <= GAP or name != "celer":
                break
        row = paired(ours, lambda: peer(tolerance), rounds)  # noqa: B023
        label = f"gated {samples} x {features}, {gates} gates, {kind}"
        own = {"proved": proved, "gap of the peer": reached}
        rows.append({"problem": label, "peer is": name, **row, **own})
    return rows


def exact_row(samples: int, features: int, decay: float, rounds: int) -> dict[str, Any]:
    """Exact ReLU training over all patterns with its certificate; seconds, no peer has a proof."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((samples, features)), rng.standard_normal(samples)

    def ours() -> so.Solution[Any, Any]:
        return so.solve(so.TwoLayerReLU(inputs, targets, decay))

    proved, seconds = ours().certificate.accuracy, []
    for _ in range(rounds):
        start = time.process_time()
        ours()
        seconds.append(time.process_time() - start)
    label = f"exact ReLU {samples} x {features}, decay {decay:g}"
    return {"problem": label, "ours": min(seconds), "proved": proved}


def extra(rounds: int = 5) -> list[dict[str, Any]]:
    """Measure basis pursuit, gated and exact training; python benchmarks/inverse.py extra."""
    rows = [pursuit_row(seed, rounds) for seed in range(6)]
    for kind in ("teacher", "noise"):
        for sizes in ((100, 5, 50), (200, 10, 200), (500, 10, 500)):
            rows += gated_rows(*sizes, kind, 1 if sizes[0] == 500 else rounds)
    rows += [exact_row(20, 3, 0.1, rounds), exact_row(20, 3, 0.01, rounds)]
    for row in rows:
        print({k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    return rows


if __name__ == "__main__":
    if sys.argv[1:] == ["extra"]:
        extra()
    else:
        main()
