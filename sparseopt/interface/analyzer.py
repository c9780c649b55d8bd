"""An Analyzer looks at a subject and returns Findings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from sparseopt.interface.context import Context
from sparseopt.interface.finding import Finding
from sparseopt.interface.verdict import Accepted, Refused

S = TypeVar("S")


class Analyzer(ABC, Generic[S]):
    """Looks at one kind of subject. Subclasses are frozen dataclasses that hold only settings.

    `sparseopt.testing.check_analyzer` tests the laws.
    """

    @abstractmethod
    def accepts(self, subject: S) -> Accepted | Refused:
        """Say whether the analyzer applies; same law as `Solver.accepts`."""

    @abstractmethod
    def analyze(self, subject: S, context: Context) -> Iterable[Finding]:
        """Yield findings in a deterministic order.

        Law: never changes the subject; states problems and calls `sparseopt.solve` for verdicts,
        so that every certificate it attaches was checked by the core.
        """


AnyAnalyzer = Analyzer[Any]
