"""A toy problem over an array, an honest solver, and solvers with one planted fault each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import sparseopt as so
from sparseopt.interface.arrays import read_only


@so.json_type
@dataclass(frozen=True, eq=False)
class RankingCertificate(so.Certificate):
    """Proves that the answer puts the values into ascending order."""

    problem: Ranking
    answer: np.ndarray

    @property
    def claim(self) -> str:
        return "the order is ascending"

    def check(self, steps: so.Steps) -> None:
        values, order = self.problem.values, np.asarray(self.answer)
        full = np.array_equal(np.sort(order), np.arange(len(values)))
        steps.require(full, "the answer is a permutation")
        steps.require(bool((np.diff(values[order]) >= 0).all()), "values ascend in this order")
        ties = np.diff(values[order]) == 0
        steps.require(bool((np.diff(order)[ties] > 0).all()), "ties keep their order")


@so.json_type
@dataclass(frozen=True, eq=False)
class Ranking(so.Problem):
    """Put values into ascending order."""

    values: np.ndarray
    certificates: ClassVar = (RankingCertificate,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", read_only(np.asarray(self.values)))

    def evaluate(self, answer: np.ndarray) -> Mapping[str, float]:
        return {"descents": float((np.diff(self.values[answer]) < 0).sum())}

    def describe(self) -> str:
        return f"ranking of {len(self.values)} values"


@dataclass(frozen=True)
class Honest(so.Solver[Ranking]):
    """Sorts."""

    def accepts(self, problem: Ranking) -> so.Accepted | so.Refused:
        if problem.values.dtype.kind == "c":
            return so.Refused("complex values have no order")
        return so.Accepted()

    def solve(self, problem: Ranking, context: so.Context) -> tuple[Any, Any]:
        order = np.argsort(problem.values, kind="stable")
        return order, RankingCertificate(problem, order)


@dataclass(frozen=True)
class ForgedCertificate(RankingCertificate):
    """Accepts whatever it is given."""

    def check(self, steps: so.Steps) -> None:
        steps.require(True, "trust me")


@dataclass(frozen=True)
class WrongWithForgedCertificate(Honest):
    """Fault 1: a wrong answer, with a certificate of its own making."""

    def solve(self, problem: Ranking, context: so.Context) -> tuple[Any, Any]:
        order = np.arange(len(problem.values))[::-1].copy()
        return order, ForgedCertificate(problem, order)


@dataclass(frozen=True)
class RefusesWithoutReason(Honest):
    """Fault 2."""

    def accepts(self, problem: Ranking) -> Any:
        return so.Refused("")


@dataclass(frozen=True)
class RaisesInAccepts(Honest):
    """Fault 3."""

    def accepts(self, problem: Ranking) -> Any:
        raise KeyError("oops")


@dataclass(frozen=True)
class MutatesProblem(Honest):
    """Fault 4: sorts the caller's array in place, behind the read-only view."""

    def solve(self, problem: Ranking, context: so.Context) -> tuple[Any, Any]:
        problem.values.base.sort()
        order = np.arange(len(problem.values))
        return order, RankingCertificate(problem, order)


_calls = [0]


@dataclass(frozen=True)
class IgnoresSeed(Honest):
    """Fault 5: another answer at every call, under one seed."""

    def solve(self, problem: Ranking, context: so.Context) -> tuple[Any, Any]:
        _calls[0] += 1
        order = np.argsort(problem.values, kind="stable")
        order = order.astype(np.int64 if _calls[0] % 2 else np.int32)
        return order, RankingCertificate(problem, order)


@dataclass(frozen=True)
class Late(Honest):
    """Looks at the clock too late."""

    def solve(self, problem: Ranking, context: so.Context) -> tuple[Any, Any]:
        if context.time_limit is not None:
            time.sleep(0.05)
        return super().solve(problem, context)


@dataclass(frozen=True)
class Mutable(Honest):
    """Holds data in a list."""

    data: list = None  # type: ignore[assignment, type-arg]

    def cost(self, problem: Ranking) -> float:
        return -1.0


class NotFrozen(Honest.__mro__[1]):  # type: ignore[name-defined, misc]
    """No dataclass at all."""

    def accepts(self, problem: Ranking) -> so.Accepted:
        return so.Accepted()

    def solve(self, problem: Ranking, context: so.Context) -> tuple[Any, Any]:
        return Honest().solve(problem, context)


@dataclass(frozen=True)
class AnswersOnes(so.Solver[so.SparseRegression]):
    """Fault 8: always the same bad answer, with an honest proof of how bad it is."""

    def accepts(self, problem: so.SparseRegression) -> so.Accepted:
        return so.Accepted()

    def solve(self, problem: so.SparseRegression, context: so.Context) -> tuple[Any, Any]:
        return so.DualityGapCertificate.build(problem, np.ones(problem.shape[1]))
