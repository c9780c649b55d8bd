"""Findings: what analyzers report, each with where, value, evidence and what to do."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from sparseopt.interface.certificate import Certificate
from sparseopt.interface.json_type import json_type, require_kinds
from sparseopt.interface.printing import printable


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


Figure = SupportFigure | SeriesFigure


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
    figure : SupportFigure, SeriesFigure or None
        Data of a picture for the HTML report.
    """

    rule: str
    severity: Severity
    where: str
    message: str
    value: Any = None
    remedy: str = ""
    certificate: Certificate | None = None
    figure: Figure | None = None

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON; the severity as its word."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**fields, "severity": self.severity.value}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Finding:
        """Inverse of `to_fields`."""
        kinds = {
            **dict.fromkeys(("rule", "severity", "where", "message", "remedy"), str),
            "value": object,
            "certificate": Certificate | None,
            "figure": Figure | None,
        }
        require_kinds("a finding", fields, kinds)
        return cls(**{**fields, "severity": Severity(fields["severity"])})

    def __str__(self) -> str:
        lines = [
            printable(f"[{self.severity.value}] {self.rule} at {self.where}: {self.message}", 2000)
        ]
        if self.remedy:
            lines.append(printable(f"    what to do: {self.remedy}", 2000))
        return "\n".join(lines)
