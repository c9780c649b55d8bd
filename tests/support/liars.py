"""A solver that answers with what it is given, to see what the judge makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import sparseopt as so

CLOSED = [[[1, 0], [0, 1]], [[1, 0], [0, 1]]]
LU = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]


class Liar(so.Solver[Any]):
    """Answers with what it is given."""

    def __init__(self, made: Callable[[Any], tuple[Any, Any]]) -> None:
        self.made = made

    def accepts(self, problem: Any) -> so.Accepted:
        """Take everything."""
        return so.Accepted()

    def solve(self, problem: Any, context: so.Context) -> tuple[Any, Any]:
        """Return the pair."""
        return self.made(problem)


def honest(supports: Any) -> Any:
    """Return a proof of the verdict on supports."""
    return so.solve(so.Closedness(supports)).certificate


def refused(problem: so.Problem, made: Callable[[Any], tuple[Any, Any]]) -> str:
    """Require that what a solver made is refused, and return why."""
    with pytest.raises(so.SolveError, match="its certificate was refused") as caught:
        so.solve(problem, Liar(made))
    return str(caught.value)
