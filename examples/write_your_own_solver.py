"""How do I use my own solver for an existing problem? Write a class, pass an instance.

Coordinate descent for the lasso in plain NumPy. The core checks its duality gap like that of any
other solver; a wrong answer would not get through.
"""

# %%
from dataclasses import dataclass

import numpy as np

import sparseopt as so


@dataclass(frozen=True)
class CoordinateDescent(so.Solver[so.SparseRegression]):
    """Cyclic coordinate descent."""

    sweeps: int = 2000

    def accepts(self, problem: so.SparseRegression) -> so.Accepted | so.Refused:
        if not isinstance(problem.penalty, so.L1):
            return so.Refused("it takes the L1 penalty only")
        return so.Accepted()

    def solve(
        self, problem: so.SparseRegression, context: so.Context
    ) -> tuple[so.Coefficients, so.DualityGapCertificate]:
        design, target = np.asarray(problem.design), problem.target
        x, residual = np.zeros(design.shape[1]), target.astype(float)
        norms, strength = np.sum(design**2, axis=0), problem.penalty.strength
        for _ in range(self.sweeps):
            context.check_time("sweeping over the coordinates")
            for j in np.flatnonzero(norms):
                old, slope = x[j], design[:, j] @ residual + norms[j] * x[j]
                x[j] = np.sign(slope) * max(abs(slope) - strength, 0.0) / norms[j]
                residual += design[:, j] * (old - x[j])
        return so.DualityGapCertificate.build(problem, x, residual)


# %%
rng = np.random.default_rng(0)
design, target = rng.standard_normal((30, 60)), rng.standard_normal(30)
problem = so.SparseRegression(design, target, so.L1(8.0))
solution = so.solve(problem, CoordinateDescent())
print(solution.status)
print(f"gap {solution.certificate.gap:.1e}, support {solution.answer.support}")
