"""Which entries to remove from two supports, or to add, so that they become closed?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from sparseopt.closedness.certificate import proving
from sparseopt.closedness.cores import bound_of, read_cores
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt.closedness.problem import Closedness
from sparseopt.interface.arrays import Supports, read_only
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.problem import Problem
from sparseopt.interface.real_arrays import as_real
from sparseopt.judging.evidence import EvidenceError, Integer, Rational, brief
from sparseopt.judging.rounding import float_above, shown_above, shown_below

ALLOWED = ("remove", "add", "both")
_DEAREST = 2.0**900
"""Costs up to this have sums in the range of float64."""

T = TypeVar("T")


def rebuilt(cls: type[T], known: dict[str, Any], later: tuple[str, ...]) -> T:
    """Return an object from the fields of a file; the `later` ones may be absent in old files."""
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    missing = names - set(known) - set(later)
    if missing or set(known) - names:
        raise ProblemError(
            f"{cls.__name__} has fields {sorted(names)}; unknown: {sorted(set(known) - names)}, "
            f"missing: {sorted(missing)}"
        )
    return cls(**known)


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
    lower_bound : int or Fraction
        No closed supports differ from I and J in fewer entries; where entries have costs, none
        cost less.
    cost : Fraction, optional
        What the changes cost, where entries have costs.

    Raises
    ------
    ProblemError
        If the supports do not chain, or the numbers are not exact ones from 0 on.
    """

    supports: tuple[np.ndarray, ...]
    changes: int
    lower_bound: int | Fraction
    cost: Fraction | None = None

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            supports: Supports,
            changes: int,
            lower_bound: int | Fraction,
            cost: Fraction | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "supports", Closedness(self.supports).supports)
        Integer().read(self.changes, ("changes",))
        for name in ("lower_bound", "cost"):
            value = getattr(self, name)
            if value is None and name == "cost":
                continue
            exact = Rational().read(value, (name,))
            if exact < 0:
                raise EvidenceError(f"{name} is at least 0, not {brief(value)}")
            whole = name == "lower_bound" and exact.denominator == 1
            object.__setattr__(self, name, exact.numerator if whole else exact)

    @classmethod
    def from_fields(cls, known: dict[str, Any]) -> ClosedSupport:
        """Rebuild it from JSON, also of the time before there were costs."""
        return rebuilt(cls, known, ("cost",))

    @property
    def distance(self) -> int | Fraction:
        """The cost where entries have costs, else the number of changes."""
        return self.changes if self.cost is None else self.cost

    def __str__(self) -> str:
        entries = "entry" if self.changes == 1 else "entries"
        paid = "" if self.cost is None else f" at a cost of {_at_most(self.cost)}"
        if self.distance == self.lower_bound:
            bound = "as few as possible" if self.cost is None else "as cheap as possible"
        elif self.cost is None:
            bound = f"at least {self.lower_bound} needed"
        else:
            bound = f"at least {shown_below(0.0 - float_above(-Fraction(self.lower_bound)))} needed"
        return f"closed supports, {self.changes} {entries} changed{paid} ({bound})"


def _at_most(cost: Fraction) -> str:
    """Return a cost in six digits; rounded, it is rounded up, and says so."""
    shown = shown_above(float_above(cost))
    return shown if Fraction(shown) == cost else f"at most {shown}"


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
    costs : sequence of two arrays, optional
        What it costs to change each entry of I and of J, from 0 to 2^900: the modulus of a weight,
        its path cost. Without them every change costs 1.
    keep_lines : bool
        Whether every row of I and every column of J that has entries must keep one. Without it the
        nearest supports may cut an output or an input off altogether.

    Raises
    ------
    ProblemError
        As for `Closedness`; for other than two supports, an unknown kind of change, or costs of
        another shape, negative, infinite or NaN.

    Notes
    -----
    Unless what is found is proved to be the least, the bundled solver searches on, at random, for
    as long as it may: the whole time limit, or 10 seconds where there is none. How far it gets, and
    so what it finds, depends on the machine; the seed fixes only where it looks first.

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
    costs: tuple[np.ndarray, ...] | None = None
    keep_lines: bool = False
    accuracy_is: ClassVar[str] = "share of the changes not proved to be needed"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            supports: Supports,
            allow: str = "remove",
            field: str = "real",
            costs: Any = None,
            keep_lines: bool = False,
        ) -> None: ...

    def __post_init__(self) -> None:
        if type(self.allow) is not str or self.allow not in ALLOWED:
            raise ProblemError(
                f"allow must be one of {', '.join(ALLOWED)}, not {short(self.allow)}"
            )
        supports = Closedness(self.supports, self.field).supports
        if len(supports) != 2:
            raise ProblemError(f"it takes two supports [I, J], not {len(supports)}")
        object.__setattr__(self, "supports", supports)
        if self.costs is not None:
            object.__setattr__(self, "costs", _costs(self.costs, supports))
        if not isinstance(self.keep_lines, bool | np.bool_):
            raise ProblemError(f"keep_lines must be True or False, got {brief(self.keep_lines)}")
        object.__setattr__(self, "keep_lines", bool(self.keep_lines))

    @classmethod
    def from_fields(cls, known: dict[str, Any]) -> NearestClosedSupport:
        """Rebuild it from JSON, also of the time before there were costs; these are arrays."""
        costs = known.get("costs")
        pair = costs if isinstance(costs, list | tuple) else [costs]
        if costs is not None and not all(isinstance(part, np.ndarray) for part in pair):
            raise ProblemError("costs in a file must be null or a list of two arrays")
        return rebuilt(cls, known, ("costs", "keep_lines"))

    def cost_of(self, changed: tuple[np.ndarray, ...]) -> Fraction:
        """Return what changing the entries of two masks costs, exactly."""
        if self.costs is None:
            return Fraction(sum(int(mask.sum()) for mask in changed))
        pairs = zip(self.costs, changed, strict=True)
        return sum((Fraction(float(c)) for cost, mask in pairs for c in cost[mask]), Fraction(0))

    def cut_off(self, answer: ClosedSupport) -> tuple[list[int], list[int]]:
        """Return the rows of I and the columns of J that lose all their entries."""
        pairs = zip(self.supports, answer.supports, (1, 0), strict=True)
        rows, columns = (
            np.flatnonzero(a.any(axis=axis) & ~b.any(axis=axis)).tolist() for a, b, axis in pairs
        )
        return rows, columns

    def evaluate(self, answer: ClosedSupport) -> Mapping[str, float]:
        """Return the number of changes, and what they cost."""
        changed = tuple(a != b for a, b in zip(self.supports, answer.supports, strict=True))
        return {"changes": float(answer.changes), "cost": float(self.cost_of(changed))}

    def describe(self) -> str:
        """Return one line with the sizes."""
        left, right = (f"{s.shape[0]} x {s.shape[1]}" for s in self.supports)
        terms = [self.allow, self.field]
        terms += ["with costs"] if self.costs is not None else []
        terms += ["no line cut off"] if self.keep_lines else []
        return f"closed supports near {left} and {right} ({', '.join(terms)})"


def _costs(given: Any, supports: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    if not isinstance(given, list | tuple) or len(given) != 2:
        raise ProblemError("costs must be a list of two arrays, one for each support")
    # Adding 0.0 makes one zero of two.
    costs = tuple(read_only(as_real(c, f"costs[{i}]", 2) + 0.0) for i, c in enumerate(given))
    for i, (cost, support) in enumerate(zip(costs, supports, strict=True)):
        if cost.shape != support.shape:
            raise ProblemError(
                f"costs[{i}] has the shape {cost.shape}, support {i} has {support.shape}"
            )
        if bool((cost < 0).any()):
            a, b = np.argwhere(cost < 0)[0].tolist()
            raise ProblemError(f"costs[{i}] is negative at ({a}, {b}): {cost[a, b]}")
        if bool((cost > _DEAREST).any()):
            raise ProblemError(f"costs[{i}] has entries above 2^900; divide all by one number")
    return costs


@proves(NearestClosedSupport)
@json_type
@dataclass(frozen=True, eq=False)
class ClosedSupportCertificate(Certificate):
    """Closed supports near others, with a proof of closedness and of a lower bound.

    Lower bound. Windows with rational weights, see `sparseopt.closedness.cores`; or, one change
    each, proofs of "not closed" with pairwise disjoint rows and columns. Such a proof speaks of
    some rows R of I and some columns C of J only: the set stays not closed whatever is changed
    outside I[R, :] and J[:, C], since the products with rows R and columns C of a closed set are
    closed (they are the products whose other rows and columns are zero). Families that its
    reductions remove may reach further, but what they reach within R x C does not depend on the
    rest. So closed supports differ in an entry of I[R, :] or J[:, C].

    Attributes
    ----------
    closedness : Certificate
        That the answer's supports are closed.
    windows : list of NotClosedCertificate
        Not closed: one per entry of the lower bound, with disjoint rows and disjoint columns. None
        where entries have costs.
    cores : list of [k, [i1, i2], [j1, j2], l, blockers, zeros, weight]
        See `sparseopt.closedness.cores`. The larger of both bounds counts.
    """

    problem: NearestClosedSupport
    answer: ClosedSupport
    closedness: Certificate
    windows: list[NotClosedCertificate]
    cores: Any = ()

    @classmethod
    def from_fields(cls, known: dict[str, Any]) -> ClosedSupportCertificate:
        """Rebuild it from JSON, also of the time before there were cores."""
        return rebuilt(cls, known, ("cores",))

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: {self.answer}"

    @property
    def accuracy(self) -> float:
        """Changes that may be too many, in proportion: see `NearestClosedSupport.accuracy_is`."""
        answer = self.answer
        if not answer.distance:
            return 0.0
        more = max(Fraction(0), answer.distance - Fraction(answer.lower_bound))
        return float_above(more / answer.distance)

    def check(self, steps: Steps) -> None:
        """Check the changes, the proof of closedness, and the lower bound."""
        problem, answer = self.problem, self.answer
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
        cost = None
        if problem.costs is not None:
            cost = problem.cost_of(tuple(a != b for a, b in pairs))
        steps.require(answer.cost == cost, "the stated cost is that of the changes", brief(cost))
        cut = problem.cut_off(answer) if problem.keep_lines else ([], [])
        steps.require(
            cut == ([], []), "no line is cut off that must not be", f"rows, columns {cut}"
        )
        closed = Closedness(list(answer.supports), problem.field)
        steps.require_proof(self.closedness, of=closed, verdict="closed")
        self._check_bound(steps)

    def _check_bound(self, steps: Steps) -> None:
        problem = self.problem
        by_cores: int | Fraction = 0
        with proving(steps, "the windows and the weights of the bound hold"):
            cores = read_cores(self.cores)
            by_cores = bound_of(cores, problem.supports, problem.allow, problem.costs)
        steps.require(type(self.windows) in (list, tuple), "the proofs of the bound are a list")
        bound = max(len(self.windows), by_cores)
        steps.require(self.answer.lower_bound == bound, f"the lower bound is {brief(bound)}")
        counted = problem.costs is None or not self.windows
        steps.require(counted, "where entries have costs, no changes are counted")
        given = Closedness(list(problem.supports), problem.field)
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
        for what, lost in zip(
            ("row of I", "column of J"), self.problem.cut_off(self.answer), strict=True
        ):
            if lost:
                lines.append(f"  cut off: every entry of {what} {', '.join(map(str, lost))}")
        if len(self.cores):
            lines.append(
                f"  at least {brief(self.answer.lower_bound)}: {len(self.cores)} windows, each "
                "kept by a few entries, with weights that no entry carries beyond its cost"
            )
        return "\n".join([*lines, self.closedness.explain()])
