"""A proof of identifiability unit by unit, for networks whose derivative is too large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparseopt.guarantees.identifiability import Identifiability, IdentifiabilityVerdict
from sparseopt.guarantees.modular import (
    LEAST,
    PRIME,
    Slopes,
    is_invertible,
    is_prime,
    product,
)
from sparseopt.guarantees.patterns import Pattern
from sparseopt.interface.arrays import read_only, require_finite
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type

Unknowns = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Parameters, factors and neurons, entry by entry."""
_DRAWS = 3
_SPARE = 8
"""Rows beyond the number of unknowns."""


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
        units = tuple(self._facets(unit) for unit in self.units)
        object.__setattr__(self, "units", units)
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
    d = 0 on the unit. In the end d f = 0 at the cells settles the parameters of the outputs in
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
        steps.require(problem.inputs is None, "no inputs are given")
        pools = any(layer.kind == "pool" for layer in problem.wires.layers)
        steps.require(not pools, "the network has no pools")
        steps.require(
            LEAST <= evidence.prime <= PRIME and is_prime(evidence.prime),
            f"the modulus is a prime from {LEAST} to {PRIME}",
        )
        steps.require(isinstance(answer, IdentifiabilityVerdict), "the answer is a verdict")
        steps.require(answer.value == "identifiable", "facets prove identifiability")
        right = problem.verdict("identifiable", problem.bound)
        for name in ("parameters", "orbit", "bound", "rank", "gap", "excluded", "directions"):
            found = getattr(answer, name)
            steps.require(found == getattr(right, name), f"{name} is as counted", f"{found}")
        steps.require(not problem.scales.equations, "no tensor ties scales without merging them")
        settling = Settling(problem, evidence)
        steps.require(
            evidence.pairs.shape[2] == problem.wires.inputs, "points have the size of inputs"
        )
        # An entry of 0 would hide units that are 0 there and not nearby.
        steps.require(bool(evidence.pairs.all()), "no entry of a point is 0")
        for line in settling.wrong_facets():
            steps.require(False, line)
        for unit in evidence.units:
            steps.require(settling.settles(unit), "the system of a unit has full column rank")
        steps.require(settling.settles_outputs(), "the outputs settle their parameters")
        settling.use_scales()
        left = int((~settling.settled).sum())
        steps.require(not left, "every parameter is settled", f"{left} are not")


class Settling:
    """Which parameters are settled so far.

    Parameters
    ----------
    problem : Identifiability
    evidence : FacetEvidence
    """

    def __init__(self, problem: Identifiability, evidence: FacetEvidence) -> None:
        self.problem, self.evidence, self.prime = problem, evidence, evidence.prime
        self.wires = problem.wires
        self.settled = np.zeros(problem.parameters.count, dtype=bool)
        self.used = np.zeros(int(problem.scales.label.max()) + 1, dtype=bool)
        self.used[0] = True
        self._rng = np.random.default_rng(abs(evidence.seed))
        self._known: dict[int, np.ndarray] = {}

    @cached_property
    def _patterns(self) -> tuple[Pattern, Pattern]:
        low, high = (self.problem.pattern_at(self.evidence.pairs[:, i]) for i in range(2))
        return low, high

    @cached_property
    def switches(self) -> np.ndarray:
        """The ReLU that is active at the second point only, for each facet; else -1."""
        count = np.zeros(len(self.evidence.pairs), dtype=np.int64)
        found = np.full(len(count), -1)
        low, high = self._patterns
        for layer, a, b in zip(self.wires.layers, low.takes, high.takes, strict=True):
            if layer.kind == "linear":
                continue
            count += (b & ~a).sum(axis=0) + 2 * (a & ~b).sum(axis=0)
            where = (a != b).any(axis=0)
            found[where] = layer.start + np.argmax(a[:, where] != b[:, where], axis=0)
        irregular = list(low.irregular) + list(high.irregular)
        count[np.array(irregular, dtype=np.int64)] = 0
        return np.where(count == 1, found, -1)

    def wrong_facets(self) -> list[str]:
        """Return what is wrong with the facets in words, nothing if all are right."""
        if (self.switches < 0).any():
            return ["from the first to the second point of each pair one ReLU becomes active"]
        if not self.slopes.all():
            return ["the outputs depend on each ReLU that switches"]
        return []

    @cached_property
    def slopes(self) -> np.ndarray:
        """The slope of a random combination of the outputs by the ReLU, at each facet."""
        ends = self.wires.outputs[self.wires.outputs >= 0]
        slopes = np.zeros((self.wires.count, len(self.switches)), dtype=np.int64)
        slopes[ends] = self._rng.integers(1, self.prime, len(ends))[:, None]
        layers = list(zip(self.wires.layers, self._maps.maps, self._patterns[1].takes, strict=True))
        for layer, linear, taken in reversed(layers):
            own = slopes[layer.own] % self.prime
            if linear is not None:
                slopes[linear.reads] += linear.back(own)
            elif layer.kind == "relu":
                np.add.at(slopes, layer.reads[:, 0], np.where(taken, own, 0))
            else:
                place = np.nonzero(taken >= 0)
                np.add.at(slopes, (taken[place], place[1]), own[place])
        return slopes[self.switches, np.arange(len(self.switches))] % self.prime

    @cached_property
    def _maps(self) -> Slopes:
        none = np.empty((0, self.wires.inputs))
        return Slopes(self.wires, none, self.problem.pattern_at(none), self.prime)

    @cached_property
    def _stands(self) -> np.ndarray:
        """Residues that stand for inputs, one in each column."""
        return self._rng.integers(0, self.prime, (self.wires.inputs, 2048))

    def _values(self, facet: int, samples: np.ndarray, until: int) -> np.ndarray:
        """Return what the neurons before one hold, with the pattern of a facet, at residues."""
        values = np.zeros((self.wires.count, len(samples)), dtype=np.int64)
        values[: self.wires.inputs] = self._stands[:, samples]
        for position, layer in enumerate(self.wires.layers):
            if layer.start >= until:
                break
            linear, taken = self._maps.maps[position], self._patterns[1].takes[position]
            if linear is not None:
                if linear.reads.stop <= self.wires.inputs:  # the same for every facet
                    if position not in self._known:
                        sums = linear.forward(self._stands)
                        self._known[position] = self._maps.biased(layer, sums)
                    values[layer.own] = self._known[position][:, samples]
                else:
                    values[layer.own] = self._maps.biased(layer, linear.forward(values))
            elif layer.kind == "relu":
                active = taken[:, facet, None]
                values[layer.own] = np.where(active, values[layer.reads[:, 0]], 0)
            else:
                won = taken[:, facet, None]
                values[layer.own] = np.where(won < 0, 0, values[won[:, 0]])
        return values

    def unknowns(self, neuron: int, facet: int) -> Unknowns | None:
        """Return the parameters that are not settled and move what a neuron holds.

        Each with a factor and a neuron, or -1 for 1, that it is multiplied with. None if such
        parameters lie behind a ReLU.
        """
        parts: list[Unknowns] = []
        factors = {neuron: 1}
        while factors:
            at = max(factors)
            factor = factors.pop(at) % self.prime
            position = int(self.wires.layer_of[at])
            if position < 0 or self._is_settled[at]:
                continue
            layer = self.wires.layers[position]
            if layer.kind == "relu":
                return None
            tails, entries = self._into(at)
            column = self.wires.column[entries]
            new = np.flatnonzero((column >= 0) & ~self.settled[column])
            parts.append((column[new], np.full(len(new), factor), tails[new]))
            for place in np.flatnonzero(~self._is_settled[tails] & (tails >= 0)).tolist():
                tail, weight = int(tails[place]), int(self._maps.entries[entries[place]])
                factors[tail] = factors.get(tail, 0) + factor * weight
        none = np.empty(0, dtype=np.int64)
        joined = list(zip(*parts, strict=True)) if parts else [(none,)] * 3
        found = [np.concatenate(part) for part in joined]
        return found[0], found[1], found[2]

    def _into(self, neuron: int) -> tuple[np.ndarray, np.ndarray]:
        """Return tails and entries of the edges into a linear neuron, its bias with tail -1."""
        position = int(self.wires.layer_of[neuron])
        layer = self.wires.layers[position]
        order, starts = self._edges(position)
        row = neuron - layer.start
        place = order[starts[row] : starts[row + 1]]
        tails, entries = layer.tails[place], layer.entries[place]
        if layer.bias[row] >= 0:
            return np.append(tails, -1), np.append(entries, layer.bias[row])
        return tails, entries

    def _edges(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        held = self.__dict__.setdefault("_ordered", {})
        if position not in held:
            layer = self.wires.layers[position]
            order = np.argsort(layer.heads, kind="stable")
            rows = np.arange(layer.start, layer.start + layer.size + 1)
            held[position] = order, np.searchsorted(layer.heads[order], rows)
        found: tuple[np.ndarray, np.ndarray] = held[position]
        return found

    @property
    def _is_settled(self) -> np.ndarray:
        """The neurons all of whose parameters before them are settled; the last for none."""
        held = self.__dict__.get("_settled_neurons")
        if held is None:
            held = np.zeros(self.wires.count + 1, dtype=bool)
            held[: self.wires.inputs] = held[-1] = True
            for layer in self.wires.layers:
                fine = np.ones(layer.size, dtype=bool)
                if layer.kind == "linear":
                    column = self.wires.column[layer.entries]
                    known = (column < 0) | self.settled[column]
                    fine[layer.heads[~(known & held[layer.tails])] - layer.start] = False
                    column = self.wires.column[layer.bias[layer.biased]]
                    fine[layer.biased[(column >= 0) & ~self.settled[column]]] = False
                else:
                    fine = held[layer.reads].all(axis=1)
                held[layer.own] = fine
            self.__dict__["_settled_neurons"] = held
        return held  # type: ignore[no-any-return]

    def settles(self, facets: Sequence[int] | np.ndarray) -> bool:
        """Settle what the unit that switches at some facets depends on; return whether it is."""
        reads, systems = [], []
        for facet in np.asarray(facets).tolist():
            reads.append(self.read(facet))
            unknowns = self.unknowns(reads[-1], facet)
            if unknowns is None:
                return False
            systems.append(unknowns)
        columns = np.unique(np.concatenate([column for column, _, _ in systems]))
        fixed = int(not self.used[self.problem.scales.label[reads[0] + 1]])
        if fixed and self._is_of_inputs(systems[0], columns):
            return self.settle(columns)
        size = len(columns) + len(reads) - fixed
        each = -(-(size + size // 4 + _SPARE) // len(reads))
        rows = []
        for number, (facet, read, system) in enumerate(zip(facets, reads, systems, strict=True)):
            samples = (np.arange(each) + number * each) % self._stands.shape[1]
            values = self._values(int(facet), samples, read + 1)
            part = np.zeros((each, size))
            part[:, : len(columns)] = self._terms(system, columns, values)
            if number >= fixed:
                part[:, len(columns) + number - fixed] = (-values[read]) % self.prime
            rows.append(part)
        return self._is_full(np.concatenate(rows)) and self.settle(columns)

    def read(self, facet: int) -> int:
        """Return the neuron that the ReLU reads which switches at a facet."""
        relu = int(self.switches[facet])
        layer = self.wires.layers[int(self.wires.layer_of[relu])]
        return int(layer.reads[relu - layer.start, 0])

    def _is_of_inputs(self, system: Unknowns, columns: np.ndarray) -> bool:
        """Whether a system says that a polynomial in the inputs is 0, one unknown a monomial."""
        column, factor, tails = system
        alone = len(column) == len(columns) == len(np.unique(column)) == len(np.unique(tails))
        return bool(alone and (factor % self.prime).all() and (tails < self.wires.inputs).all())

    def _terms(self, system: Unknowns, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return what each unknown is multiplied with, (samples, columns)."""
        column, factor, tails = system
        held = values[tails]
        held[tails < 0] = 1
        terms = held * (factor % self.prime)[:, None] % self.prime
        total = np.zeros((len(columns), values.shape[1]), dtype=np.int64)
        np.add.at(total, np.searchsorted(columns, column), terms)
        return total.T % self.prime

    def _is_full(self, rows: np.ndarray) -> bool:
        """Whether rows have full column rank, by random combinations of them, drawn anew if by
        chance a leading minor is 0."""
        size = rows.shape[1]
        for _ in range(_DRAWS if len(rows) >= size else 0):
            mixing = self._rng.integers(0, self.prime, (size, len(rows))).astype(np.float64)
            if is_invertible(product(mixing, rows, self.prime), self.prime):
                return True
        return False

    def settle(self, columns: Sequence[int] | np.ndarray) -> bool:
        """Mark parameters as settled, and their scales as used."""
        self.settled[columns] = True
        for ends in (self.problem.scales.heads, self.problem.scales.tails):
            self.used[ends[columns]] = True
        self.__dict__.pop("_settled_neurons", None)
        return True

    def settles_outputs(self) -> bool:
        """Settle what outputs depend on, from the cells; return whether that is all there is."""
        for end in np.unique(self.wires.outputs[self.wires.outputs >= 0]).tolist():
            systems = [self.unknowns(end, cell) for cell in self.evidence.cells.tolist()]
            if any(system is None for system in systems):
                return False
            columns = np.unique(np.concatenate([s[0] for s in systems if s is not None]))
            if not len(columns):
                continue
            each = -(-(len(columns) + len(columns) // 4 + _SPARE) // len(systems))
            rows = []
            for number, cell in enumerate(self.evidence.cells.tolist()):
                samples = (np.arange(each) + number * each) % self._stands.shape[1]
                values, system = self._values(cell, samples, end + 1), systems[number]
                assert system is not None
                rows.append(self._terms(system, columns, values).astype(np.float64))
            if not self._is_full(np.concatenate(rows)):
                return False
            self.settle(columns)
        return True

    def use_scales(self) -> None:
        """Settle parameters that are not 0 by scales that no settled parameter has."""
        live = ~self.wires.is_zero[self.problem.parameters.first]
        for column in np.flatnonzero(~self.settled & live).tolist():
            ends = self.problem.scales.heads[column], self.problem.scales.tails[column]
            if ends[0] != ends[1] and not all(self.used[end] for end in ends):
                self.settle([column])
