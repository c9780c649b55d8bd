"""Which entries to remove from two supports, or to add, so that they become closed?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt.closedness.problem import Closedness
from sparseopt.interface.arrays import Supports
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.problem import Problem
from sparseopt.judging.evidence import Integer

ALLOWED = ("remove", "add", "both")


@json_type
@dataclass(frozen=True, eq=False)
class ClosedSupport:
    """Two supports that are closed, and how far they are from those that were given.

    Parameters
    ----------
    supports : sequence of bool array
        I' and J'.
    changes : int
        Number of entries in which they differ from I and J.
    lower_bound : int
        No closed supports differ from I and J in fewer entries.

    Raises
    ------
    ProblemError
        If the supports do not chain, or the numbers are not integers from 0 on.
    """

    supports: tuple[np.ndarray, ...]
    changes: int
    lower_bound: int

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, supports: Supports, changes: int, lower_bound: int) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "supports", Closedness(self.supports).supports)
        for name in ("changes", "lower_bound"):
            Integer().read(getattr(self, name), (name,))

    def __str__(self) -> str:
        bound = f"at least {self.lower_bound} needed"
        if self.changes == self.lower_bound:
            bound = "as few as possible"
        entries = "entry" if self.changes == 1 else "entries"
        return f"closed supports, {self.changes} {entries} changed ({bound})"


@json_type
@dataclass(frozen=True, eq=False)
class NearestClosedSupport(Problem[ClosedSupport, "ClosedSupportCertificate"]):
    """Closed supports near two given ones.

    Parameters
    ----------
    supports : sequence of two 0/1 arrays
        I and J, as for `Closedness`.
    allow : {"remove", "add", "both"}
        Which changes of entries are allowed.
    field : {"real", "complex"}
        As for `Closedness`.

    Raises
    ------
    ProblemError
        As for `Closedness`; for other than two supports, or an unknown kind of change.

    Examples
    --------
    >>> import sparseopt as so
    >>> solution = so.solve(so.NearestClosedSupport([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]))
    >>> print(solution.answer)
    closed supports, 1 entry changed (as few as possible)
    """

    supports: tuple[np.ndarray, ...]
    allow: str = "remove"
    field: str = "real"
    accuracy_is: ClassVar[str] = "share of the changes not proved to be needed"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self, supports: Supports, allow: str = "remove", field: str = "real"
        ) -> None: ...

    def __post_init__(self) -> None:
        if type(self.allow) is not str or self.allow not in ALLOWED:
            raise ProblemError(f"allow must be one of {', '.join(ALLOWED)}, not {self.allow!r}")
        supports = Closedness(self.supports, self.field).supports
        if len(supports) != 2:
            raise ProblemError(f"it takes two supports [I, J], not {len(supports)}")
        object.__setattr__(self, "supports", supports)

    def evaluate(self, answer: ClosedSupport) -> Mapping[str, float]:
        """Return the number of changes."""
        return {"changes": float(answer.changes)}

    def describe(self) -> str:
        """Return one line with the sizes."""
        left, right = (f"{s.shape[0]} x {s.shape[1]}" for s in self.supports)
        return f"closed supports near {left} and {right} ({self.allow}, {self.field})"


@proves(NearestClosedSupport)
@json_type
@dataclass(frozen=True, eq=False)
class ClosedSupportCertificate(Certificate):
    """Closed supports near others, with a proof of closedness and of a lower bound.

    Lower bound. A certificate of "not closed" speaks of some rows R of I and some columns C of J
    only: the set stays not closed whatever is changed outside I[R, :] and J[:, C], since the
    products with rows R and columns C of a closed set are closed (they are the products whose
    other rows and columns are zero). Families that its reductions remove may reach further, but
    what they reach within R x C does not depend on the rest. So closed supports differ in an entry
    of I[R, :] or J[:, C]. Certificates with pairwise disjoint R and pairwise disjoint C need one
    change each.

    Attributes
    ----------
    closedness : Certificate
        That the answer's supports are closed.
    windows : list of NotClosedCertificate
        Not closed: one per entry of the lower bound, with disjoint rows and disjoint columns.
    """

    problem: NearestClosedSupport
    answer: ClosedSupport
    closedness: Certificate
    windows: list[NotClosedCertificate]

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: {self.answer}"

    @property
    def accuracy(self) -> float:
        """Changes that may be too many, in proportion: see `NearestClosedSupport.accuracy_is`."""
        answer = self.answer
        return max(0, answer.changes - answer.lower_bound) / max(1, answer.changes)

    def check(self, steps: Steps) -> None:
        """Check the changes, the proof of closedness, and the lower bound."""
        problem, answer = self.problem, self.answer
        steps.require(type(answer) is ClosedSupport, "the answer is a pair of closed supports")
        shapes = [support.shape for support in problem.supports]
        kept = [support.shape for support in answer.supports] == shapes
        steps.require(kept, "there are two supports, and their shapes are kept")
        pairs = list(zip(problem.supports, answer.supports, strict=True))
        removed = sum(int((a & ~b).sum()) for a, b in pairs)
        added = sum(int((b & ~a).sum()) for a, b in pairs)
        allowed = (problem.allow != "remove" or not added) and (
            problem.allow != "add" or not removed
        )
        steps.require(allowed, f"the changes are of the kind {problem.allow!r}")
        changes = removed + added
        steps.require(answer.changes == changes, f"{changes} entries changed")
        closed = Closedness(list(answer.supports), problem.field)
        steps.require_proof(self.closedness, of=closed, verdict="closed")
        self._check_bound(steps)

    def _check_bound(self, steps: Steps) -> None:
        bound = len(self.windows)
        steps.require(self.answer.lower_bound == bound, f"the lower bound is {bound}")
        given = Closedness(list(self.problem.supports), self.problem.field)
        rows: list[int] = []
        columns: list[int] = []
        for proof in self.windows:
            steps.require(type(proof) is NotClosedCertificate, "a limit in a window is its proof")
            steps.require_proof(proof, of=given, verdict="not_closed")
            rows += proof.evidence.rows
            columns += proof.evidence.columns
        apart = len(set(rows)) == len(rows) and len(set(columns)) == len(columns)
        steps.require(apart, "the proofs of the bound share no row and no column")

    def explain(self) -> str:
        """Return the changes and the proof of closedness in words."""
        lines = [str(self.answer)]
        for name, a, b in zip("IJ", self.problem.supports, self.answer.supports, strict=True):
            for word, cells in (("remove", a & ~b), ("add", b & ~a)):
                listed = ", ".join(f"({i}, {j})" for i, j in np.argwhere(cells)[:20].tolist())
                more = f" and {int(cells.sum()) - 20} more" if cells.sum() > 20 else ""
                if listed:
                    lines.append(f"  {word} {name}: {listed}{more}")
        return "\n".join([*lines, self.closedness.explain()])
