"""A Problem states one mathematical question completely."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from sparseopt.interface.printing import printable
from sparseopt.interface.seams import drawn

Answer = TypeVar("Answer")
Proof = TypeVar("Proof")
"""The certificate class or classes of a problem, for type checkers.

None is one of them where `Problem.undecided` may answer, which has no certificate.
"""


class Problem(ABC, Generic[Answer, Proof]):
    """One mathematical question, by the type of its answers and of their certificates.

    Subclasses are frozen dataclasses: ``@dataclass(frozen=True, eq=False)``.

    Laws
    ----
    1. Complete: the fields determine the question; nothing is read from outside.
    2. Validated: building one raises `ProblemError` for bad data, naming the place. NaN and
       infinity are refused there. Arrays are kept as read-only views or copies.
    3. Judge of its answers: every certificate class that may prove an answer names this problem
       by the decorator `proves`, which adds it to `certificates`. The gate accepts exactly these
       classes, never a subclass, so the code that judges always comes from the package that
       states the problem.
    4. Round trip: decorated with `json_type`, and equal in content after `to_json`, `from_json`.
    """

    certificates: ClassVar[tuple[type[Any], ...]] = ()

    default_tolerance: ClassVar[float | None] = None
    """The accuracy that `solve` asks for unless told otherwise; None asks for none."""

    accuracy_is: ClassVar[str] = "accuracy"
    """What `Certificate.accuracy` measures, in a few words, such as "relative duality gap"."""

    def __init_subclass__(cls) -> None:
        """Keep a short repr: that of a dataclass would list every array."""
        super().__init_subclass__()
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = cls.__repr__  # type: ignore[method-assign]

    def plot(self, ax: Any = None) -> Any:
        """Draw what the question is about, and return the matplotlib Axes (extra ``plot``).

        The supports of a question about supports, the norm along depth of a path-norm;
        `ProblemError` for what has no picture.
        """
        return drawn(self, ax)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {printable(self.describe(), 400)}>"

    @abstractmethod
    def evaluate(self, answer: Answer) -> Mapping[str, float]:
        """Return named figures of merit of a candidate answer, computed without any solver.

        The objective and the residuals, smaller is better; the same keys for every answer.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return one line that names the question and its sizes."""

    def structure(self) -> Mapping[str, str | int | bool]:
        """Return declared structure, cheap to compute, that manifests may select on.

        A hook with a neutral default: a manifest entry with ``structure={"penalty": ("L1",)}``
        is refused without being imported when the value here is not listed.
        """
        return {}

    def limited_by(self, answer: Answer) -> str:
        """Return what an answer's own numbers cost in accuracy, in words; "" if nothing is known.

        A hook with a neutral default, for people who read a WEAK solution. It judges nothing.
        """
        return ""

    def undecided(self, tried: Sequence[str]) -> Answer | None:
        """Return the honest answer when no solver was conclusive, or None if there is none.

        A hook with a neutral default: None makes `solve` raise `SolveError`. A decision problem
        returns its "unknown" here; `tried` says what each candidate met.
        """
        return None
