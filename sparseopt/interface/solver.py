"""A Solver is an engine for one Problem class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from sparseopt.interface.certificate import Certificate
from sparseopt.interface.context import Context
from sparseopt.interface.problem import Problem
from sparseopt.interface.verdict import Accepted, Refused

P = TypeVar("P", bound=Problem)


class Solver(ABC, Generic[P]):
    """An engine for one Problem class. Subclasses are frozen dataclasses holding only settings.

    Every field has a default; the fields are the options that `solve(..., **options)` takes.
    Name, guarantee and citations are data in the plugin's manifest, see `SolverEntry`.
    `sparseopt.testing.check_solver` tests the laws.
    """

    @abstractmethod
    def accepts(self, problem: P) -> Accepted | Refused:
        """Return ``Accepted()`` or ``Refused(reason)``.

        Law: pure, fast (well under a millisecond), never raises, imports nothing heavy,
        and gives the reason for every refusal.
        """

    @abstractmethod
    def solve(self, problem: P, context: Context) -> tuple[Any, Certificate]:
        """Return an answer and the certificate that proves it, or raise `Inconclusive(reason)`.

        Law: never changes the problem; all randomness comes from `context.rng()`, so equal
        seeds give equal answers; calls `context.check_time` in long loops; the certificate is
        one of ``type(problem).certificates`` and carries this very problem and answer.
        """

    def cost(self, problem: P) -> float:
        """Return the predicted seconds; candidates of equal guarantee run cheapest first.

        A hook with a neutral default. Law: pure, fast, finite and positive.
        """
        return 1.0

    def cost_rests_on(self, problem: P) -> str:
        """Return what the predicted cost depends on besides the problem; empty if nothing.

        For instance ``"kernels loaded: no"``, which the plan shows. A hook with a neutral default.
        Law: pure, fast.
        """
        return ""

    def bytes_needed(self, problem: P) -> float | None:
        """Return the predicted bytes beside the problem's data, check included; None if unknown.

        A hook with a neutral default. Law: pure, fast, nonnegative.
        """
        return None
