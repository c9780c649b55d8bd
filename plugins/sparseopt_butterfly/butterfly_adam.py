"""Gradient descent by Adam on all factors at once, in torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import sparseopt as so
from sparseopt.butterfly.splitting import merge_all
from sparseopt_butterfly.descent import Factors, Task, Watch, best_of


@dataclass(frozen=True)
class ButterflyAdam(so.Solver[so.ButterflyFactorization]):
    """Decrease the squared error by Adam, with gradients by torch, from random factors.

    The rate rises over the first steps (a twentieth of them, at most 50) and then falls along a
    cosine to 0, so that the descent settles. Source of the method: Kingma, Ba, arXiv 1412.6980;
    used on butterfly factors by Dao, Gu, Eichhorn, Rudra, Re, arXiv 1903.05895.

    Time O(m n L), memory O(m n L), for an m x n target and L factors, each step: the product is
    taken dense, with its derivative.

    Parameters
    ----------
    iterations : int
        Steps from one start.
    learning_rate : float
        Largest rate, for a target whose entries are of order 1: it is scaled to that first.
    restarts : int
        Number of starts.
    watch : callable(seconds, relative_error) or None
        Called at each step, with the seconds since the solver began.
    """

    iterations: int = 500
    learning_rate: float = 0.2
    restarts: int = 1
    watch: Watch | None = None

    def __post_init__(self) -> None:
        rate = self.learning_rate
        if self.iterations < 1 or self.restarts < 1 or not 0 < rate < math.inf:
            raise so.ProblemError(
                "iterations and restarts must be at least 1 and learning_rate positive, got "
                f"{self.iterations!r}, {self.restarts!r} and {rate!r}"
            )

    def accepts(self, problem: so.ButterflyFactorization) -> so.Accepted | so.Refused:
        """Take every problem with known orders of rows and columns."""
        if problem.permutations == "known":
            return so.Accepted()
        return so.Refused("the orders of rows and columns are unknown")

    def solve(
        self, problem: so.ButterflyFactorization, context: so.Context
    ) -> tuple[so.KroneckerProduct, so.ButterflyCertificate]:
        """Return the best factors over all starts and steps.

        O(m n r) operations per step; of a butterfly, about ten times the memory of the target. A
        tensor target is descended on its device.
        """
        context.check_time("reading the target")
        task = Task.of(problem, self.watch, 10)
        if task.is_trivial:
            task.tell(0.0)
            return task.finish(problem, task.trivial_factors())
        device = problem.target.device if problem.kind == "tensor" else "cpu"

        def run(factors: Factors) -> tuple[float, Factors]:
            return self._descend(task, factors, device, context)

        return task.finish(problem, best_of(task, context, self.restarts, None, run))

    def cost(self, problem: so.ButterflyFactorization) -> float:
        """Predict the seconds of all steps."""
        m, n = problem.shape
        each = 4e-4 * len(problem.architecture) + 5e-8 * m * n
        return self.restarts * self.iterations * each

    def bytes_needed(self, problem: so.ButterflyFactorization) -> float:
        """Predict PyTorch's tape: the product up to each factor, dense."""
        m, n = problem.shape
        return 2.0**21 + 8.0 * m * n * len(problem.architecture)

    def _descend(
        self, task: Task, start: Factors, device: Any, context: so.Context
    ) -> tuple[float, Factors]:
        """Run Adam from a start; the best point met is returned."""
        import torch

        target = torch.from_numpy(task.values).to(device)
        factors = [torch.from_numpy(f).to(device).requires_grad_() for f in start]
        adam = torch.optim.Adam(factors, lr=self.learning_rate)
        warm = max(1, min(50, self.iterations // 20))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            adam, lambda i: _rate(i, warm, self.iterations)
        )
        floor = (8 * len(start) * task.eps * task.inside) ** 2
        best, kept = math.inf, [f.detach() for f in factors]
        for _ in range(self.iterations + 1):
            residual = merge_all(factors, task.architecture) - target
            loss = torch.linalg.vector_norm(residual) ** 2
            error = float(loss.detach())
            if not math.isfinite(error):
                break
            task.tell(math.sqrt(error))
            if error < best:
                best, kept = error, [f.detach().clone() for f in factors]
            if error <= floor or context.remaining() <= 0:
                break
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            schedule.step()
        if device == "cpu":
            return best, [f.numpy() for f in kept]
        return best, kept


def _rate(step: int, warm: int, steps: int) -> float:
    """Return the share of the learning rate at a step."""
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))
