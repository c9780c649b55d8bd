"""A proof that the derivative of the outputs by the parameters has at least some rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.guarantees.identifiability import (
    FIGURES,
    Identifiability,
    IdentifiabilityVerdict,
)
from sparseopt.guarantees.modular import LEAST, PRIME, Slopes, is_invertible, is_prime
from sparseopt.guarantees.patterns import Pattern
from sparseopt.interface.arrays import read_only
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type


@json_type
@dataclass(frozen=True, eq=False)
class RankEvidence:
    """Rows and columns of the derivative that make a matrix with an inverse modulo a prime.

    Parameters
    ----------
    inputs : float64 array, shape (n, *input_shape), or None
        None: those of the problem.
    prime : int
    rows : int array, shape (rank, 2)
        Input and output that each row belongs to.
    columns : int array, shape (rank,)
        Parameters, by their numbers. In an order of elimination: every leading block of rows and
        columns has an inverse.
    """

    inputs: np.ndarray | None
    prime: int
    rows: np.ndarray
    columns: np.ndarray

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            array = np.asarray(getattr(self, name))
            if array.dtype.kind not in "iu":
                raise ProblemError(f"{name} of a rank must hold integers, not {array.dtype}")
            object.__setattr__(self, name, read_only(array.astype(np.int64)))
        if type(self.prime) is not int:
            raise ProblemError("prime must be an integer")

    def rank(self, steps: Steps, problem: Identifiability) -> int:
        """Return the rank that is proved; refuse evidence that proves none."""
        samples, known = self._samples(steps, problem)
        size, outputs = len(self.columns), problem.wires.outputs.size
        require_prime(steps, self.prime)
        right = self.rows.shape == (size, 2) and self.columns.shape == (size,)
        steps.require(right, "there are as many rows as columns")
        inside = (self.rows >= 0).all() and (self.rows < [len(samples), outputs]).all()
        steps.require(bool(inside), "rows are those of an input and an output")
        inside = ((self.columns >= 0) & (self.columns < problem.parameters.count)).all()
        steps.require(bool(inside), "columns are those of parameters")
        irregular = np.isin(self.rows[:, 0], list(known.irregular)).any()
        steps.require(not irregular, "no row belongs to an input that is not regular")
        if size:
            used, place = np.unique(self.rows[:, 0], return_inverse=True)
            part = Pattern([t[..., used] if t.size else t for t in known.takes], {})
            slopes = Slopes(problem.wires, problem.flat(samples[used]), part, self.prime)
            matrix = slopes.rows(place.ravel(), self.rows[:, 1])[:, self.columns]
            words = f"the derivative has {size} independent rows modulo {self.prime}"
            steps.require(is_invertible(matrix, self.prime), words)
        return size

    def _samples(self, steps: Steps, problem: Identifiability) -> tuple[np.ndarray, Pattern]:
        if self.inputs is None:
            steps.require(problem.inputs is not None, "the problem has inputs")
            return problem.inputs, problem.pattern  # type: ignore[return-value]
        steps.require(problem.inputs is None, "inputs are searched only where none are given")
        held = Identifiability(problem.network, self.inputs, problem.free)
        return held.inputs, problem.pattern_at(held.inputs)  # type: ignore[arg-type, return-value]


_KINDS = RankEvidence, IdentifiabilityVerdict


def require_figures(steps: Steps, problem: Identifiability, answer: Any, evidence: Any) -> int:
    """Return the rank that evidence proves; require the figures of an answer that go with it."""
    # No other evidence may say of itself what it proves.
    steps.require((type(evidence), type(answer)) == _KINDS, "a rank and a verdict are there")
    rank: int = evidence.rank(steps, problem)
    right = problem.verdict(answer.value, rank)
    _require_same(steps, answer, right, (*FIGURES, "excluded"))
    return rank


def require_prime(steps: Steps, prime: int) -> None:
    """Require a modulus of the range for which sums are exact."""
    steps.require(LEAST <= prime <= PRIME and is_prime(prime), "the modulus is a prime in range")


def require_identifiable(steps: Steps, problem: Identifiability, answer: Any) -> None:
    """Require the verdict "identifiable" from the function, with all figures but `everywhere`."""
    steps.require(problem.inputs is None, "no inputs are given")
    right = problem.verdict("identifiable", problem.bound, everywhere=answer.everywhere)
    _require_same(steps, answer, right, ("value", *FIGURES, "excluded", "directions"))


def _require_same(steps: Steps, answer: Any, right: Any, names: Sequence[str]) -> None:
    for name in names:
        steps.require(getattr(answer, name) == getattr(right, name), f"{name} is as counted")


def scope(problem: Identifiability, evidence: RankEvidence) -> str:
    """Return from what something is claimed."""
    if problem.inputs is not None:
        return f"the {len(problem.inputs)} inputs given"
    assert evidence.inputs is not None
    return f"{len(evidence.inputs)} inputs"


@proves(Identifiability)
@json_type
@dataclass(frozen=True, eq=False)
class JacobianRankCertificate(Certificate):
    """The rank of the derivative at regular inputs, modulo a prime.

    Theorem. Let the inputs be regular, so that their outputs F are polynomials in the parameters
    near the given ones. If the derivative of F has the rank P - o, the parameters are locally
    identifiable up to rescaling. Proof: rescalings leave F as it is, so that the rank is at most
    P - o at every parameter; near the given one it is at least that. So F has constant rank, its
    fibre is a manifold of dimension o, and the orbit, of the same dimension, is open in it.

    The rank modulo a prime is at most that over the rationals. A smaller rank than P - o proves
    nothing: then the verdict is "unknown".
    """

    problem: Identifiability
    answer: IdentifiabilityVerdict
    evidence: RankEvidence

    @property
    def accuracy(self) -> float:
        """0: the rank is proved exactly."""
        return 0.0

    @property
    def claim(self) -> str:
        """The verdict, with the rank."""
        problem, answer = self.problem, self.answer
        words = (
            f"the derivative of the outputs at {scope(problem, self.evidence)} by the "
            f"{answer.parameters} free parameters has rank at least {answer.rank} of at most "
            f"{answer.bound}, rescalings having dimension {answer.orbit}"
        )
        if answer.value == "identifiable":
            return f"{words}: the parameters are locally identifiable up to rescaling"
        return f"{words}: whether the parameters are identifiable is not known"

    def check(self, steps: Steps) -> None:
        """Count rank and orbit."""
        rank = require_figures(steps, self.problem, self.answer, self.evidence)
        value = self.answer.value
        steps.require(value != "not_identifiable", "a rank never proves that a network is not")
        if value == "identifiable":
            steps.require(rank == self.problem.bound, "the rank is as large as it can be")
        steps.require(not self.answer.directions, "no directions are claimed")
