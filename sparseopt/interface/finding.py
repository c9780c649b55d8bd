"""Findings: what analyzers report, each with where, value, evidence and what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from sparseopt.interface.certificate import Certificate
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type, require_kinds
from sparseopt.interface.printing import printable, short
from sparseopt.interface.seams import drawn


class Severity(Enum):
    """How much a finding matters; `problem` makes the command line exit with 1."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    PROBLEM = "problem"

    @property
    def rank(self) -> int:
        """0 for ok, 3 for problem."""
        return list(Severity).index(self)


@json_type
@dataclass(frozen=True, eq=False)
class SupportFigure:
    """Supports drawn as grids, with marked cells.

    Parameters
    ----------
    title : str
        Heading of the figure.
    supports : dict of str to bool array
        Panel title to matrix.
    marks : dict of str to list of (row, column)
        Panel title to the cells that are outlined.
    """

    title: str
    supports: dict[str, np.ndarray]
    marks: dict[str, list[tuple[int, int]]]

    def plot(self, ax: Any = None) -> Any:
        """Draw the figure; return the matplotlib Axes, which holds the panels."""
        return drawn(self, ax)

    def __repr__(self) -> str:
        return f"<SupportFigure: {printable(self.title, 400)}>"


@json_type
@dataclass(frozen=True, eq=False)
class SeriesFigure:
    """One or more named series over common positions, drawn as bars or lines.

    Parameters
    ----------
    title, x_label, y_label : str
        Texts.
    labels : list of str
        One per position on the horizontal axis.
    series : dict of str to list of float
        Name to one value per position; NaN leaves a gap.
    kind : {"bar", "line"}
        Bars for unordered positions, lines for positions along depth.
    log : bool
        Logarithmic vertical axis.
    """

    title: str
    x_label: str
    y_label: str
    labels: list[str]
    series: dict[str, list[float]]
    kind: str = "bar"
    log: bool = False

    def plot(self, ax: Any = None) -> Any:
        """Draw the figure; return the matplotlib Axes."""
        return drawn(self, ax)

    def __repr__(self) -> str:
        return f"<SeriesFigure: {printable(self.title, 400)}>"


@json_type
@dataclass(frozen=True, eq=False)
class NetworkFigure:
    """A graph of layers from the input down to the output, with widths and sparsity.

    Parameters
    ----------
    title : str
    names, kinds, shapes : list of str
        Of each layer, in topological order: its name, its operator, the shape of its value.
    widths : list of int
        Entries of the value of each layer.
    shares : list of float
        Nonzero weights over all weights of each layer; NaN for a layer without weights.
    edges : list of (int, int)
        Places of a layer and of one that reads it.
    marks : list of (int, int)
        Pairs of places that are outlined, such as two layers whose supports are not closed.
    """

    title: str
    names: list[str]
    kinds: list[str]
    shapes: list[str]
    widths: list[int]
    shares: list[float]
    edges: list[tuple[int, int]]
    marks: list[tuple[int, int]]

    def plot(self, ax: Any = None) -> Any:
        """Draw the figure; return the matplotlib Axes."""
        return drawn(self, ax)

    def __repr__(self) -> str:
        return f"<NetworkFigure: {printable(self.title, 400)}>"


Figure = SupportFigure | SeriesFigure | NetworkFigure


@json_type
@dataclass(frozen=True)
class KeyFigure:
    """A figure for the top of a report, beside one that says whether it is large.

    Parameters
    ----------
    name : str
        What it is, in a few words.
    value : int, float or str
        The figure; a text for what no float holds, such as ``"10^412.5"``.
    beside : str
        What `other` is: the same at initialization or without zeros, or a bound's other end;
        empty where there is nothing to compare with.
    other : int, float, str or None
    """

    name: str
    value: float | str
    beside: str = ""
    other: float | str | None = None


_SAYS = {
    "rule": "which rule it is of",
    "where": "the place in the subject",
    "message": "what was found and why it matters",
}
_KINDS = {
    **dict.fromkeys(("rule", "where", "message", "remedy"), str),
    "severity": Severity,
    "value": object,
    "certificate": Certificate | None,
    "figure": Figure | None,
    "key_figures": Sequence,
}


@json_type
@dataclass(frozen=True, eq=False)
class Finding:
    """One thing that an analyzer found.

    Parameters
    ----------
    rule : str
        Stable name of the rule, kebab case, for example ``"supports-not-closed"``.
    severity : Severity
        How much it matters.
    where : str
        The place in the subject (layer, node, pair of layers).
    message : str
        What was found and why it matters, in words.
    value : object
        The figure or verdict itself; JSON-able.
    remedy : str
        What to do about it; may be empty for ok and info.
    certificate : Certificate or None
        Evidence that `sparseopt.verify` checks.
    figure : SupportFigure, SeriesFigure, NetworkFigure or None
        Data of a picture for the HTML report.
    key_figures : sequence of KeyFigure
        What of it belongs on top of the HTML report.

    Raises
    ------
    ProblemError
        If rule, place or message is empty, or a field is of another kind.
    """

    rule: str
    severity: Severity
    where: str
    message: str
    value: Any = None
    remedy: str = ""
    certificate: Certificate | None = None
    figure: Figure | None = None
    key_figures: Sequence[KeyFigure] = ()

    def __post_init__(self) -> None:
        known = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if not isinstance(self.severity, Severity):
            words = ", ".join(f"so.Severity.{each.name}" for each in Severity)
            raise ProblemError(
                f"severity of a finding is one of {words}, not {short(self.severity)}"
            )
        require_kinds("a finding", known, _KINDS)
        for name in ("rule", "where", "message"):
            if not known[name].strip():
                raise ProblemError(f"{name} of a finding must not be empty: say {_SAYS[name]}")
        if not all(isinstance(item, KeyFigure) for item in self.key_figures):
            raise ProblemError("key_figures of a finding must hold key figures only")

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON; the severity as its word."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {
            **fields,
            "severity": self.severity.value,
            "key_figures": list(self.key_figures),
        }

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Finding:
        """Inverse of `to_fields`."""
        require_kinds("a finding", fields, {**_KINDS, "severity": str, "key_figures": list | None})
        shown = tuple(fields.get("key_figures") or ())
        return cls(**{**fields, "severity": Severity(fields["severity"]), "key_figures": shown})

    def plot(self, ax: Any = None) -> Any:
        """Draw the finding's figure, or else its proof; return the matplotlib Axes."""
        return drawn(self, ax)

    def __repr__(self) -> str:
        """Return one line, without value and figure, which may hold whole arrays."""
        head = printable(f"[{self.severity.value}] {self.rule} at {self.where}", 300)
        return f"<Finding {head}: {printable(self.message, 300)}>"

    def __str__(self) -> str:
        lines = [
            printable(f"[{self.severity.value}] {self.rule} at {self.where}: {self.message}", 2000)
        ]
        if self.remedy:
            lines.append(printable(f"    what to do: {self.remedy}", 2000))
        return "\n".join(lines)
