"""Identifiability unit by unit, from points between which one unit switches."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.guarantees.facets import FacetCertificate, FacetEvidence
from sparseopt.guarantees.families import Structure
from sparseopt.guarantees.modular import PRIME
from sparseopt.guarantees.settling import Settling
from sparseopt.guarantees.wires import Wires
from sparseopt_pathnorm.facet_search import Aim, FacetSearch
from sparseopt_pathnorm.jacobian_rank import MOST
from sparseopt_pathnorm.structural_search import found_families, without_rank

_AT_FIRST, _FEW = 12, 2
_ROUNDS = 200
_MOST_AIMS = 64


@dataclass(frozen=True)
class FacetsOfUnits(so.Solver[so.Identifiability]):
    """Small ranks for each unit instead of one for all parameters; for large networks.

    Segments between random points are halved until one ReLU switches between the ends. It says
    "identifiable" or gives up: a unit that switches at none of the points tried stays open.
    Source: the theorem of `sparseopt.FacetCertificate`.

    Time O(E V), memory O(P V), for E edges, P parameters and V units: passes for each of them.

    Parameters
    ----------
    rounds : int
        How often 64 segments are searched at most.
    """

    rounds: int = _ROUNDS

    def accepts(self, problem: so.Identifiability) -> so.Accepted | so.Refused:
        """Accept problems without inputs, of networks with ReLUs."""
        if problem.inputs is not None:
            return so.Refused("inputs are given, and facets are points of their own")
        if not any(layer.kind == "relu" for layer in problem.wires.layers):
            return so.Refused("no unit switches: the network has no ReLU")
        if any(layer.kind == "pool" for layer in problem.wires.layers):
            return so.Refused("the network has pools, which may switch beside a ReLU")
        if problem.scales.equations:
            return so.Refused("a tensor that a path meets twice ties scales without merging them")
        return so.Accepted()

    def cost(self, problem: so.Identifiability) -> float:
        """Some passes for each unit, and the cube of its fan-in."""
        wires, total = problem.wires, 0.0
        for layer in wires.layers:
            if layer.kind == "linear" and len(layer.heads):
                fan_in = len(layer.heads) / layer.size
                total += 40 * len(layer.heads) * 1e-8 * layer.size + layer.size * fan_in**3 * 1e-9
        return 4e-2 + total

    def bytes_needed(self, problem: so.Identifiability) -> float:
        """Predict the points of all units."""
        return 2.0**22 + 100.0 * float(problem.parameters.count)

    def solve(
        self, problem: so.Identifiability, context: so.Context
    ) -> tuple[so.IdentifiabilityVerdict, so.Certificate]:
        """Return "identifiable" with the facets."""
        families, _ = found_families(problem, None)
        if families:
            return _structural(problem, families)
        structure = Structure(problem.wires, None)
        still = {*structure.constants, *structure.unheard}
        units = {relu: unit for relu, unit in _units(problem.wires).items() if relu not in still}
        search = FacetSearch(problem, context, units)
        for unit in set(units.values()):
            search.wanted[unit] = _FEW if _is_first(problem.wires, unit) else _AT_FIRST
        choice = _Choice(problem, search, units, context)
        idle, tried = 0, -1
        for number in range(self.rounds):
            before = len(search.pairs)
            search.segments()
            idle = idle + 1 if len(search.pairs) == before else 0
            lacking = search.lacking()
            if not lacking or idle > 3 or number % 12 == 11:
                proof = choice.evidence()
                if proof is not None:
                    answer = problem.verdict("identifiable", problem.bound)
                    return answer, FacetCertificate(problem, answer, proof)
                # Nothing new since the last attempt: what is missing is not found.
                if len(search.pairs) == tried or not search.more(choice.failed):
                    break
                idle, tried = 0, len(search.pairs)
            context.report(number / self.rounds, f"{len(lacking)} units lack facets")
        first = min(choice.failed, default=None)
        raise so.Inconclusive(
            f"{len(choice.failed)} of {len(search.wanted)} units are not settled by the facets "
            f"found; the first, {first}, has {len(search.found[first])}"
        )


def _structural(
    problem: so.Identifiability, families: list[so.Family]
) -> tuple[so.IdentifiabilityVerdict, so.Certificate]:
    """Return "not identifiable" without a rank, where no other solver takes the network."""
    if problem.parameters.count <= MOST:
        raise so.Inconclusive(
            "the structure shows that the parameters are not identifiable; jacobian_rank says so "
            "with the rank"
        )
    return without_rank(problem, families)


def _is_first(wires: Wires, unit: tuple[int, int]) -> bool:
    """Whether a unit reads the input only."""
    return wires.layers[unit[0]].window.stop <= wires.inputs


def _units(wires: Wires) -> dict[int, tuple[int, int]]:
    """Return for each ReLU the unit that it is of: neurons that share parameters are one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    unit: dict[int, tuple[int, int]] = {}
    relus: dict[int, tuple[int, int]] = {}
    for position, layer in enumerate(wires.layers):
        if layer.kind != "linear":
            for row, reads in enumerate(layer.reads.tolist()):
                known = next((unit[r] for r in reads if r in unit), None)
                if known is not None and layer.kind == "relu":
                    relus[layer.start + row] = known
                elif known is not None:
                    unit[layer.start + row] = known
            continue
        biased = layer.biased
        heads = np.concatenate([layer.heads - layer.start, biased])
        column = wires.column[np.concatenate([layer.entries, layer.bias[biased]])]
        free = column >= 0
        if free.any():
            size = layer.size + int(column.max()) + 1
            ends = (heads[free], layer.size + column[free])
            graph = coo_array((np.ones(int(free.sum()), np.int8), ends), shape=(size, size))
            label = connected_components(graph, directed=False)[1]
            for row in np.unique(heads[free]).tolist():
                unit[layer.start + row] = (position, int(label[row]))
        else:
            for head, tail in zip(layer.heads.tolist(), layer.tails.tolist(), strict=True):
                if tail in unit:
                    unit[head] = unit[tail]
    return relus


class _Choice:
    """Which facets settle the units, a few for each."""

    def __init__(
        self, problem: so.Identifiability, search: FacetSearch, units: Any, context: so.Context
    ) -> None:
        self.problem, self.search, self.context = problem, search, context
        self.order = sorted(set(units.values()))
        self.relus: dict[Any, list[int]] = defaultdict(list)
        for relu, unit in units.items():
            self.relus[unit].append(relu)
        self.chosen: dict[Any, list[int]] = {}
        self.failed: dict[Any, list[Aim]] = {}
        self.useless: set[int] = set()
        self._first: dict[Any, list[int]] = {}

    def evidence(self) -> FacetEvidence | None:
        """Return what settles every parameter, or None if some unit stays open.

        Units are tried as if all before them were settled, and those that are settled so are
        not tried again.
        """
        self.failed = {}
        if not self.search.pairs:
            self.failed = {unit: [] for unit in self.order}
            return None
        pairs = np.array(self.search.pairs)
        # Patterns are taken only where units may be settled.
        draft, ready = Settling(self.problem, pairs[:0], PRIME, 0), list[int]()
        for unit in self.order:
            if unit not in self.chosen:
                ready += self._covered(draft, unit)
            self._assume(draft, unit)
        if ready:
            self._try(np.array(sorted(ready)), pairs)
        if self.failed:
            return None
        parts = [np.array(self.chosen[unit], dtype=np.int64) for unit in self.order]
        cells = self._outputs()
        used = np.unique(np.concatenate([*parts, cells]))
        new = np.searchsorted(used, np.arange(len(pairs)))
        if not self._settles_outputs(pairs[used], new[cells]):
            self.failed = {unit: [] for unit in self.order}
            return None
        units = tuple(new[part] for part in parts)
        return FacetEvidence(pairs[used], units, new[cells], PRIME, 0)

    def _settles_outputs(self, pairs: np.ndarray, cells: np.ndarray) -> bool:
        """Whether outputs are settled, and factors of units that are left."""
        settling = Settling(self.problem, pairs, PRIME, 0)
        for unit in self.order:
            self._assume(settling, unit)
        return settling.settles_outputs(cells)

    def _read(self, relu: int) -> int:
        layer = self.problem.wires.layers[int(self.problem.wires.layer_of[relu])]
        return int(layer.reads[relu - layer.start, 0])

    def _assume(self, settling: Settling, unit: Any) -> None:
        """Take as settled all that the neurons of a unit depend on, as `Settling.settles` does."""
        reads = [self._read(relu) for relu in self.relus[unit]]
        own = settling.multiplied(reads)
        systems = [system for read in reads if (system := settling.unknowns(read)) is not None]
        if systems:
            settling.settle(np.unique(np.concatenate([s[0] for s in systems])), own)

    def _covered(self, settling: Settling, unit: Any) -> list[int]:
        """Return the facets of a unit, of which some may settle it; else note what it lacks."""
        facets = self.search.found[unit]
        reads = {self._read_at(facet) for facet in facets}
        held = {r: system for r in reads if (system := settling.unknowns(r)) is not None}
        if not held or len(held) < len(reads):
            self.failed[unit] = []
            return []
        # Of a filter also entries that only other cells than those at the facets see.
        every = (settling.unknowns(self._read(relu)) for relu in self.relus[unit])
        systems = [*held.values(), *(system for system in every if system is not None)]
        columns = np.unique(np.concatenate([column for column, _, _ in systems]))
        on = np.zeros((len(facets), len(columns)), dtype=bool)
        for row, facet in zip(on, facets, strict=True):
            column, _, tails = held[self._read_at(facet)]
            row[np.searchsorted(columns, column[self.search.is_on(facet)[tails]])] = True
        if not on.any(axis=0).all():
            self.failed[unit] = self._aims(settling, unit, columns[~on.any(axis=0)])
            return []
        self._first[unit] = _covering(on)
        return facets

    def _try(self, ready: np.ndarray, pairs: np.ndarray) -> None:
        """Choose facets that settle units, or note that none do."""
        settling = Settling(self.problem, pairs[ready], PRIME, 0)
        right = (settling.switches >= 0) & (settling.slopes != 0)
        self.useless |= set(ready[~right].tolist())
        for unit in self.order:
            self.context.check_time("settling units")
            if unit not in self.chosen and unit not in self.failed:
                self._choose(settling, unit, ready)
            self._assume(settling, unit)

    def _choose(self, settling: Settling, unit: Any, ready: np.ndarray) -> None:
        facets = self.search.found[unit]
        picked = [i for i in self._first[unit] if facets[i] not in self.useless]
        rest = [i for i, f in enumerate(facets) if i not in picked and f not in self.useless]
        while not (
            picked and settling.settles(np.searchsorted(ready, [facets[i] for i in picked]))
        ):
            if not rest:
                self.failed[unit] = []
                facets[:] = [facet for facet in facets if facet not in self.useless]
                return
            step = max(2, len(picked) // 2)
            picked, rest = picked + rest[:step], rest[step:]
        self.chosen[unit] = [facets[i] for i in picked]

    def _read_at(self, facet: int) -> int:
        return self._read(self.search.relus[facet])

    def _aims(self, settling: Settling, unit: Any, missing: np.ndarray) -> list[Aim]:
        """Return ReLUs of a unit, and neurons by which parameters move these that are on at none
        of its facets."""
        rng, aims = self.search.rng, list[Aim]()
        relus = np.array(self.relus[unit])
        for relu in rng.permutation(relus)[:8].tolist():
            system = settling.unknowns(self._read(relu))
            if system is not None:
                tails = system[2][np.isin(system[0], missing)]
                aims += [(relu, tail) for tail in rng.permutation(tails)[:_MOST_AIMS].tolist()]
        return aims

    def _outputs(self) -> np.ndarray:
        """Return facets beside which each unit is active, three times if it ever is that often."""
        on = np.array(self.search.active)
        count = np.zeros(on.shape[1], dtype=np.int64)
        picked = []
        for facet in np.random.default_rng(0).permutation(len(on)).tolist():
            if facet not in self.useless and (on[facet] & (count < 3)).any():
                picked.append(facet)
                count += on[facet]
        return np.array(picked[:200], dtype=np.int64)


def _covering(on: np.ndarray) -> list[int]:
    """Return rows that hold each column, the one with most new ones first."""
    left, picked = np.ones(on.shape[1], dtype=bool), list[int]()
    while left.any():
        picked.append(int(np.argmax((on & left).sum(axis=1))))
        left &= ~on[picked[-1]]
    return picked
