"""A proof that parameters are not identifiable, by a second network with exactly equal outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from sparseopt.guarantees.identifiability import Identifiability, IdentifiabilityVerdict
from sparseopt.guarantees.orbit import is_moved
from sparseopt.guarantees.patterns import exact_sums
from sparseopt.guarantees.rank import RankEvidence, require_figures, scope
from sparseopt.guarantees.wires import Wires
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.judging.exact import of_python
from sparseopt.pathnorm.effort import Effort


@proves(Identifiability)
@json_type
@dataclass(frozen=True, eq=False)
class SecondNetworkCertificate(Certificate):
    """Other parameters with the same outputs at all given inputs, exactly, and the way to them.

    Theorem. Let theta and theta* differ in a cut: no path meets two of the parameters that differ.
    Let them have equal outputs at every input, and no ReLU or pool that switches between them. Let
    no parameter change its sign, and theta* be no rescaling of theta. Then theta is not
    identifiable. Proof: on the line between them all pre-activations and outputs are affine, as
    nothing switches at its ends; so the outputs are equal along it. That theta + t v is a
    rescaling is a set of equations, linear in log(1 + t v_i / theta_i), so analytic in t: they
    fail at the end, hence for all small t > 0.

    Parameters
    ----------
    columns : int array
        The parameters that differ, by number.
    values : tuple of Fraction
        Their values in the second network.
    """

    problem: Identifiability
    answer: IdentifiabilityVerdict
    evidence: RankEvidence
    columns: np.ndarray
    values: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        columns = np.asarray(self.columns)
        if columns.ndim != 1 or columns.dtype.kind not in "iu":
            raise ProblemError("columns must be a list of integers")
        object.__setattr__(self, "columns", columns.astype(np.int64))
        values = tuple(self.values)
        if any(not isinstance(value, int | Fraction) for value in values):
            raise ProblemError("values must be rational numbers")
        object.__setattr__(self, "values", tuple(map(of_python, values)))

    @property
    def accuracy(self) -> float:
        """0: the outputs are equal exactly."""
        return 0.0

    @property
    def claim(self) -> str:
        """The verdict, and what differs."""
        answer, where = self.answer, scope(self.problem, self.evidence)
        return (
            f"the {answer.parameters} free parameters are not identifiable up to rescaling from "
            f"{where}: {'; '.join(answer.directions)}, can move without any change of the outputs "
            f"at these; the derivative has rank at least {answer.rank} of at most {answer.bound}"
        )

    def check(self, steps: Steps) -> None:
        """Compute both networks in exact arithmetic and compare."""
        problem, answer = self.problem, self.answer
        rank = require_figures(steps, problem, answer, self.evidence)
        steps.require(answer.value == "not_identifiable", "the verdict is that of two networks")
        steps.require(rank < problem.bound, "the rank that is proved leaves a direction open")
        steps.require(problem.inputs is not None, "the problem has inputs")
        count = problem.parameters.count
        known = len(self.values) == len(self.columns) == len(np.unique(self.columns))
        known = known and bool(((self.columns >= 0) & (self.columns < count)).all())
        steps.require(known, "values are given for parameters, each once")
        moved = np.zeros(count, dtype=bool)
        moved[self.columns] = True
        steps.require(_is_cut(problem.wires, moved), "no path meets two parameters that differ")
        self._require_values(steps)
        _require_equal(steps, problem, self._other())
        words = (moved_words(problem, self.columns),)
        steps.require(answer.directions == words, "the words are those of the parameters")

    def _other(self) -> Wires:
        wires = self.problem.wires
        exact = wires.exact.copy()
        for column, value in zip(self.columns.tolist(), self.values, strict=True):
            exact[wires.column == column] = value
        return replace(wires, exact=exact)

    def _require_values(self, steps: Steps) -> None:
        problem = self.problem
        old = [Fraction(v) for v in problem.wires.exact[problem.parameters.first[self.columns]]]
        pairs = list(zip(old, self.values, strict=True))
        steps.require(all(a * b > 0 or a == 0 for a, b in pairs), "no parameter changes its sign")
        new = dict(zip(self.columns.tolist(), self.values, strict=True))
        steps.require(is_moved(problem.wires, old, new), "the second network is no rescaling")


def moved_words(problem: Identifiability, columns: np.ndarray) -> str:
    """Return in words which parameters move together."""
    names = [repr(problem.parameters.name(column)) for column in columns.tolist()]
    shown = ", ".join(names[:6]) + (f", ... ({len(names)})" if len(names) > 6 else "")
    return f"{shown}, together" if len(names) > 1 else shown


def _is_cut(wires: Wires, moved: np.ndarray) -> bool:
    """Whether no path meets two parameters that move; a path has a bias at its start only."""
    after = np.zeros(wires.count, dtype=bool)
    for layer in wires.layers:
        if layer.kind != "linear":
            read = np.where(layer.reads >= 0, after[layer.reads], False)
            after[layer.own] = read.any(axis=1)
            continue
        column = wires.column[layer.entries]
        moves = (column >= 0) & moved[column]
        if (moves & after[layer.tails]).any():
            return False
        live = moves | (after[layer.tails] & ~wires.is_zero[layer.entries])
        after[layer.heads[live]] = True
        column = wires.column[layer.bias[layer.biased]]
        after[layer.biased[(column >= 0) & moved[column]] + layer.start] = True
    return True


def _require_equal(steps: Steps, problem: Identifiability, other: Wires) -> None:
    """Require equal outputs, and that nothing switches between two networks."""
    assert problem.inputs is not None
    wires, inputs = problem.wires, problem.flat(problem.inputs)
    first = np.frompyfunc(Fraction, 1, 1)(inputs.T)
    values = [np.zeros((wires.count, len(inputs)), dtype=object) for _ in range(2)]
    for each in values:
        each[: wires.inputs] = first
    switches, effort = False, Effort()
    for layer in wires.layers:
        if layer.kind == "linear":
            for each, source in zip(values, (wires, other), strict=True):
                each[layer.own] = exact_sums(source, layer, each, effort)
            continue
        none = (layer.reads < 0)[..., None]
        cells = [np.where(none, 0, each[layer.reads]) for each in values]
        if layer.kind == "relu":
            switches = switches or bool((cells[0] * cells[1] < 0).any())
            taken = [np.where(cell[:, 0] > 0, cell[:, 0], 0) for cell in cells]
        else:
            steps.require(layer.rank == 1, "pools take the largest entry")
            cells = [np.where(none, -np.inf, cell) for cell in cells]
            taken = [cell.max(axis=1) for cell in cells]
            # A cell that is the largest at both ends of a line is the largest on it.
            won = [cell == most[:, None] for cell, most in zip(cells, taken, strict=True)]
            switches = switches or not bool((won[0] & won[1]).any(axis=1).all())
        for each, held in zip(values, taken, strict=True):
            each[layer.own] = held
    steps.require(not switches, "no ReLU or pool switches between the two networks")
    ends = wires.outputs[wires.outputs >= 0]
    equal = bool((values[0][ends] == values[1][ends]).all())
    steps.require(equal, "both networks have exactly equal outputs at every input")
