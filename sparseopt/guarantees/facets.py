"""A proof of identifiability unit by unit, for networks whose derivative is too large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparseopt.guarantees.identifiability import Identifiability, IdentifiabilityVerdict
from sparseopt.guarantees.rank import require_identifiable, require_prime
from sparseopt.guarantees.settling import Settling
from sparseopt.interface.arrays import read_only, require_finite
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type


@json_type
@dataclass(frozen=True, eq=False)
class FacetEvidence:
    """Pairs of points between which one ReLU switches, and in which order units are settled.

    Parameters
    ----------
    pairs : float64 array, shape (facets, 2, entries of the input)
        The ReLU is active at the second point.
    units : tuple of int array
        The facets by which the parameters of a unit are settled, unit by unit.
    cells : int array
        Facets beside which the outputs are looked at.
    prime, seed : int
        The modulus, and where the numbers come from that stand for inputs.
    """

    pairs: np.ndarray
    units: tuple[np.ndarray, ...]
    cells: np.ndarray
    prime: int
    seed: int

    def __post_init__(self) -> None:
        pairs = np.asarray(self.pairs)
        if pairs.dtype != np.float64 or pairs.ndim != 3 or pairs.shape[1] != 2:
            raise ProblemError("pairs must be float64, of shape (facets, 2, entries)")
        require_finite(pairs, "pairs")
        object.__setattr__(self, "pairs", read_only(pairs))
        for name in ("prime", "seed"):
            if type(getattr(self, name)) is not int:
                raise ProblemError(f"{name} must be an integer")
        object.__setattr__(self, "units", tuple(map(self._facets, self.units)))
        object.__setattr__(self, "cells", self._facets(self.cells))

    def _facets(self, value: np.ndarray) -> np.ndarray:
        array = np.asarray(value)
        inside = array.ndim == 1 and array.size and array.dtype.kind in "iu"
        if not inside or array.min() < 0 or array.max() >= len(self.pairs):
            raise ProblemError("facets are named by their numbers")
        return read_only(array.astype(np.int64))


@proves(Identifiability)
@json_type
@dataclass(frozen=True, eq=False)
class FacetCertificate(Certificate):
    """Each unit's parameters are settled by points between which that unit alone switches.

    Theorem. Let every pair have patterns that differ in one ReLU v only, with pre-activation z and
    slope u of the outputs by v, not 0. Let the data be enough inputs near each point that affine
    functions are told by them. If the linear systems below have full column rank, the derivative
    has rank P - o, so that the parameters are locally identifiable up to rescaling.

    Proof. A kernel vector d annihilates the affine function that the network is beside each point.
    The functions on both sides differ by u z, so (d u) z + u (d z) = 0 as functions of the input,
    and d z = c z with a number c. Settle units one after the other. If d is 0 on all parameters
    before a unit, d z is linear in d on those of the unit, and d z = c_i z at its
    facets i is a linear system in these and in the c_i. If the scale of the unit is not used up, a
    rescaling, which changes no parameter settled before, makes c_1 = 0. Full column rank gives
    d = 0 on the unit. If it is used up, as where a unit is added to what it reads, and z is a
    sum over the unit's own parameters w, which are on no edge before it, then w itself solves the
    system with each c_i = 1; with c_1 = 0 in its place, full column rank gives d w = c w, and so
    d z = c z in every cell. This c is an unknown of all that comes after, by which the unit's
    output is multiplied. In the end d f = 0 at the cells settles the parameters of the outputs in
    the same way, and parameters that are the only ones of a scale are settled by it. So d is a
    rescaling.

    The systems are polynomial identities in the input and hold for residues in place of it:
    full column rank modulo a prime suffices. Rows are combined at random, and as
    many combinations as there are unknowns have an inverse.
    """

    problem: Identifiability
    answer: IdentifiabilityVerdict
    evidence: FacetEvidence

    @property
    def accuracy(self) -> float:
        """0: the ranks are exact."""
        return 0.0

    @property
    def claim(self) -> str:
        """The verdict."""
        answer = self.answer
        return (
            f"the {answer.parameters} free parameters are locally identifiable up to rescaling, of "
            f"dimension {answer.orbit}, from the function near {2 * len(self.evidence.pairs)} "
            "points, hence from finitely many inputs near these: the derivative of the outputs has "
            f"rank {answer.rank}"
        )

    def check(self, steps: Steps) -> None:
        """Settle every parameter."""
        problem, answer, evidence = self.problem, self.answer, self.evidence
        pools = any(layer.kind == "pool" for layer in problem.wires.layers)
        steps.require(not pools, "the network has no pools")
        require_identifiable(steps, problem, answer)
        steps.require(answer.everywhere is None, "facets say nothing of what is far")
        require_prime(steps, evidence.prime)
        steps.require(not problem.scales.equations, "no tensor ties scales without merging them")
        settling = Settling(problem, evidence.pairs, evidence.prime, evidence.seed)
        steps.require(
            evidence.pairs.shape[2] == problem.wires.inputs, "points have the size of inputs"
        )
        # An entry of 0 would hide units that are 0 there and not nearby.
        steps.require(bool(evidence.pairs.all()), "no entry of a point is 0")
        one = bool((settling.switches >= 0).all())
        steps.require(
            one, "from the first to the second point of each pair one ReLU becomes active"
        )
        steps.require(bool(settling.slopes.all()), "the outputs depend on each ReLU that switches")
        for unit in evidence.units:
            steps.require(settling.settles(unit), "the system of a unit has full column rank")
        steps.require(
            settling.settles_outputs(evidence.cells), "the outputs settle their parameters"
        )
        settling.use_scales()
        left = int((~settling.settled).sum())
        steps.require(not left, "every parameter is settled", f"{left} are not")
