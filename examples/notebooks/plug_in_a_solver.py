# %% [markdown]
# # Plug in a solver
#
# You have a method for a problem that sparseopt states already. You write two functions; the core
# judges every answer by its certificate. A wrong answer does not get through, and a poor one is
# told how poor it is.

# %%
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

import sparseopt as so
from sparseopt.testing import check_solver

rng = np.random.default_rng(0)
design = rng.standard_normal((60, 120))
target = design[:, :5] @ [3.0, -2.0, 2.0, 1.0, -1.0] + 0.1 * rng.standard_normal(60)
problem = so.SparseRegression(design, target, so.L1(1.0))
problem

# %% [markdown]
# ## Two functions
#
# A solver is a frozen dataclass that holds its settings. `accepts` says whether it takes a
# problem, or why not; `solve` answers. `so.DualityGapCertificate.build` turns any `x` into
# evidence: a dual point, and with it a bound on how far `x` is from the optimum.


# %%
@dataclass(frozen=True)
class ProximalGradient(so.Solver[so.SparseRegression]):
    """Iterative soft thresholding; accelerated, it is known as FISTA."""

    steps: int = 3000
    accelerated: bool = True

    def accepts(self, problem):
        if not isinstance(problem.penalty, so.L1):
            return so.Refused("it takes the L1 penalty only")
        return so.Accepted()

    def solve(self, problem, context):
        design, target = np.asarray(problem.design), problem.target
        rate = 1 / np.linalg.norm(design, 2) ** 2
        x = ahead = np.zeros(design.shape[1])
        inertia = 1.0
        for _ in range(self.steps):
            context.check_time("thresholding")
            slope = ahead + rate * design.T @ (target - design @ ahead)
            level = rate * problem.penalty.strength
            new = np.sign(slope) * np.maximum(np.abs(slope) - level, 0.0)
            ahead = new
            if self.accelerated:
                last, inertia = inertia, (1 + np.sqrt(1 + 4 * inertia**2)) / 2
                ahead = new + (last - 1) / inertia * (new - x)
            x = new
        return so.DualityGapCertificate.build(problem, x, target - design @ x)


# %% [markdown]
# ## Use it
#
# Pass an instance; nothing needs to be installed or registered. The status compares what was
# *proved* with the accuracy that was asked (`so.solve(..., tolerance=)`, here the default of the
# problem).

# %%
for steps in (10, 100, 3000):
    solution = so.solve(problem, ProximalGradient(steps))
    gap = solution.certificate.relative_gap
    print(f"{steps:4} steps: {solution.status.name:8} relative gap {max(gap, 1e-9):.0e} or less")
print(f"{len(solution.answer.support)} of {problem.design.shape[1]} coefficients are selected")

# %% [markdown]
# What it does not take is refused with your words, before anything runs.

# %%
groups = so.SparseRegression(design, target, so.GroupL1(1.0, np.arange(120).reshape(-1, 4)))
try:
    so.solve(groups, ProximalGradient())
except so.SolveError as error:
    print(error)

# %% [markdown]
# ## A bug does not get through
#
# Forget one factor, and the iteration converges all the same: to something else. No test of yours
# need notice. The certificate does, since it starts from the problem and not from the method.


# %%
@dataclass(frozen=True)
class Buggy(ProximalGradient):
    """Thresholds at twice the level."""

    def solve(self, problem, context):
        twice = so.SparseRegression(
            problem.design, problem.target, so.L1(2 * problem.penalty.strength)
        )
        answer, _ = super().solve(twice, context)
        return so.DualityGapCertificate.build(
            problem, answer.x, problem.target - problem.design @ answer.x
        )


wrong = so.solve(problem, Buggy())
print(wrong.status)
print(f"relative gap {wrong.certificate.relative_gap:.3f}")

# %% [markdown]
# ## The laws of a solver, on your problems
#
# The conformance kit tries what users will run into: inputs left as they were, time limits, JSON
# there and back, edits of the proof that must be noticed, the same answer twice.

# %%
kit = check_solver(ProximalGradient(), [problem])

# %% [markdown]
# ## What the proofs say about two variants
#
# Every run is judged by the same certificate, so the gaps can be compared: with each other, and
# with those of any solver in `so.plan(problem)`.

# %%
counts = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for accelerated, name in ((False, "plain"), (True, "accelerated")):
    runs = [so.solve(problem, ProximalGradient(n, accelerated)) for n in counts]
    ax.loglog(counts, [max(s.certificate.relative_gap, 1e-14) for s in runs], "o-", label=name)
ax.axhline(problem.default_tolerance, color="grey", ls=":", label="asked")
ax.set(xlabel="steps", ylabel="proven relative gap", title="How far from the optimum, at most")
legend = ax.legend()
