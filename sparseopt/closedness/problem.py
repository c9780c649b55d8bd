"""The question whether the set of products of matrices with given supports is closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from sparseopt.interface.arrays import Supports
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import printable, short
from sparseopt.interface.problem import Problem
from sparseopt.interface.support_arrays import as_support

VERDICTS = ("closed", "not_closed", "unknown")


@json_type
@dataclass(frozen=True)
class ClosednessVerdict:
    """The answer: ``value`` is "closed", "not_closed" or "unknown"; `reason` says why in words."""

    value: str
    reason: str

    def __post_init__(self) -> None:
        if type(self.value) is not str or self.value not in VERDICTS:
            raise ProblemError(f"value must be one of {VERDICTS}, got {short(self.value)}")
        if type(self.reason) is not str:
            raise ProblemError(f"reason must be a text, got {type(self.reason).__name__}")

    def __str__(self) -> str:
        return printable(f"{self.value.replace('_', ' ')}: {self.reason}", 2000)


@json_type
@dataclass(frozen=True, eq=False)
class Closedness(Problem[ClosednessVerdict, Any]):
    """Is the set of products of matrices with these supports closed?

    The set is ``{ W_1 ... W_L : supp W_l in I_l }``. If it is not closed, there are data sets for
    which training a network with these supports has no optimum (Le, Riccietti, Gribonval, arXiv
    2306.02666).

    Parameters
    ----------
    supports : sequence of 0/1 arrays
        I_1, ..., I_L, whose shapes chain; arrays, nested lists, or scipy sparse matrices.
    field : {"real", "complex"}
        The numbers that the matrices may hold.

    Raises
    ------
    ProblemError
        For supports that are empty, ragged, not 0/1, or do not chain, naming the place.

    Examples
    --------
    >>> import sparseopt as so
    >>> so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]).describe()
    'closedness of products with supports 2 x 2 and 2 x 2 (real)'
    """

    supports: tuple[np.ndarray, ...]
    field: str = "real"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, supports: Supports, field: str = "real") -> None: ...

    def __post_init__(self) -> None:
        if type(self.field) is not str or self.field not in ("real", "complex"):
            hint = "" if isinstance(self.field, str) else "; supports are one list, as in [I, J]"
            raise ProblemError(f"field must be 'real' or 'complex', got {short(self.field)}{hint}")
        given = self.supports
        if scipy.sparse.issparse(given) or (isinstance(given, np.ndarray) and given.ndim in (0, 2)):
            raise ProblemError("supports must be a list of matrices; for one matrix write [I]")
        # Not whatever can be gone through: a file may hold objects, maps and texts.
        if not isinstance(given, list | tuple | np.ndarray):
            raise ProblemError("supports must be a list of 0/1 matrices, for example [I, J]")
        if len(given) == 0:
            raise ProblemError("supports is empty; give at least one 0/1 matrix")
        supports = []
        for i, value in enumerate(given):
            supports.append(as_support(value, f"support {i}"))
            if 0 in supports[i].shape:
                raise ProblemError(f"support {i} is empty: its shape is {supports[i].shape}")
        for i in range(len(supports) - 1):
            if supports[i].shape[1] != supports[i + 1].shape[0]:
                raise ProblemError(
                    f"the supports do not chain: support {i} has {supports[i].shape[1]} columns, "
                    f"support {i + 1} has {supports[i + 1].shape[0]} rows"
                )
        object.__setattr__(self, "supports", tuple(supports))

    def evaluate(self, answer: ClosednessVerdict) -> Mapping[str, float]:
        """Return 1 for an answer that leaves the question open."""
        return {"undecided": float(answer.value == "unknown")}

    def describe(self) -> str:
        """Return one line with the sizes."""
        shapes = " and ".join(f"{s.shape[0]} x {s.shape[1]}" for s in self.supports)
        return f"closedness of products with supports {shapes} ({self.field})"

    def structure(self) -> Mapping[str, Any]:
        """Return the number of factors and the field."""
        return {"factors": len(self.supports), "field": self.field}

    def undecided(self, tried: Sequence[str]) -> ClosednessVerdict:
        """Return the honest "unknown" with what was tried."""
        return ClosednessVerdict("unknown", "; ".join(tried) or "no solver")
