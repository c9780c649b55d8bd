"""Identifiability unit by unit, from points between which one unit switches."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.guarantees.facets import FacetCertificate, FacetEvidence, Settling
from sparseopt.guarantees.families import Structure
from sparseopt.guarantees.modular import PRIME
from sparseopt.guarantees.wires import Wires
from sparseopt_pathnorm.input_search import FloatPass, scale_of
from sparseopt_pathnorm.jacobian_rank import MOST
from sparseopt_pathnorm.structural_search import found_families, without_rank

_SEGMENTS = 64
_DEPTH = 44
_MOST_KEPT = 64
_AT_FIRST, _FEW = 12, 2
_AT_ONCE = 6
"""Facets of a unit in one round: later ones lie elsewhere."""
_ROUNDS = 60
_MARGIN = 1e-9


@dataclass(frozen=True)
class FacetsOfUnits(so.Solver[so.Identifiability]):
    """Small ranks for each unit instead of one for all parameters; for large networks.

    Segments between random points are halved until one ReLU switches between the ends. It says
    "identifiable" or gives up: a unit that switches at none of the points tried stays open.
    Source: the theorem of `sparseopt.FacetCertificate`.

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
        return 1.0 + total

    def solve(
        self, problem: so.Identifiability, context: so.Context
    ) -> tuple[so.IdentifiabilityVerdict, so.Certificate]:
        """Return "identifiable" with the facets."""
        families, _ = found_families(problem, None)
        if families:
            return _structural(problem, families)
        search = _Search(problem, context)
        structure = Structure(problem.wires, None)
        still = {*structure.constants, *structure.unheard}
        units = {relu: unit for relu, unit in _units(problem.wires).items() if relu not in still}
        for unit in set(units.values()):
            search.wanted[unit] = _FEW if _is_first(problem.wires, unit) else _AT_FIRST
        choice = _Choice(problem, search, units, context)
        proof: FacetEvidence | None = None
        idle = 0
        for number in range(self.rounds):
            before = len(search.pairs)
            search.segments(units)
            idle = idle + 1 if len(search.pairs) == before else 0
            lacking = search.lacking()
            if not lacking or idle > 3 or number % 12 == 11:
                proof = choice.evidence()
                if proof is not None:
                    break
                idle = 0
                if not search.more(choice.failed):
                    break
            context.report(number / self.rounds, f"{len(lacking)} units lack facets")
        if proof is None:
            raise so.Inconclusive(
                f"{len(choice.failed)} of {len(search.wanted)} units are not settled by the facets "
                f"found; the first, {sorted(choice.failed)[:1]}, has "
                f"{[len(search.found[u]) for u in sorted(choice.failed)[:1]]}"
            )
        answer = problem.verdict("identifiable", problem.bound)
        return answer, FacetCertificate(problem, answer, proof)


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


class _Search:
    """Facets found so far, by unit."""

    def __init__(self, problem: so.Identifiability, context: so.Context) -> None:
        self.wires, self.context = problem.wires, context
        self.rng, self.scale = context.rng(), scale_of(problem)
        self.floats = FloatPass(problem.wires)
        self.pairs: list[np.ndarray] = []
        self.active: list[np.ndarray] = []
        self.relus: list[int] = []
        self.found: dict[Any, list[int]] = defaultdict(list)
        self.wanted: dict[Any, int] = {}
        self._new: dict[Any, int] = defaultdict(int)
        self._met: set[tuple[Any, bytes]] = set()
        self._reads = [x for x in self.wires.layers if x.kind == "relu"]
        self._numbers = np.concatenate([np.arange(x.start, x.start + x.size) for x in self._reads])

    def lacking(self) -> list[Any]:
        """Return the units that have fewer facets than they want."""
        return [unit for unit, count in self.wanted.items() if len(self.found[unit]) < count]

    def more(self, failed: set[Any]) -> bool:
        """Let units that are not settled want more; return whether one may."""
        grown = [u for u in failed if self.wanted.get(u, _MOST_KEPT) < _MOST_KEPT]
        for unit in grown:
            self.wanted[unit] = min(_MOST_KEPT, 2 * max(self.wanted[unit], 4))
        return bool(grown) or any(len(self.found[u]) < self.wanted.get(u, 0) for u in failed)

    def _look(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which ReLUs are active, and whether signs are clear."""
        values, _ = self.floats.run(points.T)
        z = np.concatenate([values[x.reads[:, 0]] for x in self._reads])
        size = np.abs(z).max(axis=0)
        clear = np.abs(z).min(axis=0) > _MARGIN * size
        return (z > 0).T, clear

    def is_on(self, facet: int) -> np.ndarray:
        """Return which neurons are not switched off beside a facet; the last stands for 1."""
        on = np.ones(self.wires.count + 1, dtype=bool)
        on[self._numbers] = self.active[facet]
        return on

    def segments(self, units: dict[int, Any]) -> None:
        """Halve further segments."""
        size = self.wires.inputs
        ends = self.rng.standard_normal((2, _SEGMENTS, size)) * self.scale
        ends *= self.rng.choice([0.3, 1.0, 3.0, 10.0], size=(1, _SEGMENTS, 1))
        low, high = ends
        self._new = defaultdict(int)
        lacking = set(self.lacking())
        relus = np.array([relu for relu, unit in units.items() if unit in lacking], dtype=np.int64)
        if len(relus):
            low, high = self._across(low, high, self.rng.choice(relus, _SEGMENTS))
        seen_low, seen_high = self._look(low), self._look(high)
        for _ in range(_DEPTH):
            self.context.check_time("searching facets")
            switched = (seen_low[0] != seen_high[0]).sum(axis=1)
            single = switched == 1
            self._keep(low, high, seen_low, seen_high, single, units)
            more = np.flatnonzero((switched > 0) & ~single)
            if not len(more):
                break
            more = self._chosen(more, seen_low, seen_high, units)
            middle = (low[more] + high[more]) / 2
            seen = self._look(middle)
            left = [part[more] for part in (low, *seen_low)]
            right = [part[more] for part in (high, *seen_high)]
            mid = [middle, *seen]
            starts = [np.concatenate([a, b]) for a, b in zip(left, mid, strict=True)]
            stops = [np.concatenate([a, b]) for a, b in zip(mid, right, strict=True)]
            low, seen_low = starts[0], tuple(starts[1:])  # type: ignore[assignment]
            high, seen_high = stops[0], tuple(stops[1:])  # type: ignore[assignment]

    def _across(
        self, low: np.ndarray, high: np.ndarray, relus: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return three quarters of the segments moved, so that they cross zeros of given ReLUs."""
        layers = [self.wires.layers[int(self.wires.layer_of[relu])] for relu in relus]
        reads = [int(x.reads[r - x.start, 0]) for x, r in zip(layers, relus, strict=True)]
        seeds = np.array(reads, dtype=np.int64)
        x = low.T.copy()
        for _ in range(4):
            values, taken = self.floats.run(x)
            slopes = self.floats.slopes(values, taken, seeds)
            at, size = values[seeds, np.arange(len(seeds))], (slopes**2).sum(axis=0)
            moves = np.isfinite(size) & (size > 0)
            x = x - slopes * np.where(moves, at / np.where(moves, size, 1.0), 0.0)
        turn = high.T / np.linalg.norm(high.T, axis=0)
        turn = turn + slopes / np.sqrt(np.where(size > 0, size, 1.0))
        reach = np.linalg.norm(x, axis=0) * self.rng.choice([0.03, 0.1, 0.3], len(seeds))
        starts, stops = (x - turn * reach).T, (x + turn * reach).T
        fine = np.isfinite(starts).all(axis=1) & np.isfinite(stops).all(axis=1)
        fine[: len(fine) // 4] = False
        return np.where(fine[:, None], starts, low), np.where(fine[:, None], stops, high)

    def _chosen(self, more: np.ndarray, low: Any, high: Any, units: dict[int, Any]) -> np.ndarray:
        """Return the segments on which a unit switches that has few facets."""
        lacking = np.array(
            [
                n in units and len(self.found[units[n]]) < self.wanted[units[n]]
                for n in self._numbers.tolist()
            ]
        )
        useful = ((low[0][more] != high[0][more]) & lacking).any(axis=1)
        kept = more[useful]
        return kept if len(kept) <= 2048 else self.rng.permutation(kept)[:2048]

    def _keep(
        self, low: Any, high: Any, seen_low: Any, seen_high: Any, single: Any, units: Any
    ) -> None:
        clear = single & seen_low[1] & seen_high[1]
        for place in np.flatnonzero(clear).tolist():
            relu = int(self._numbers[np.argmax(seen_low[0][place] != seen_high[0][place])])
            unit = units.get(relu)
            if unit is None or len(self.found[unit]) >= self.wanted[unit]:
                continue
            # The same units active say the same again.
            key = (unit, seen_low[0][place].tobytes())
            if self._new[unit] >= _AT_ONCE or key in self._met:
                continue
            self._met.add(key)
            self._new[unit] += 1
            self.found[unit].append(len(self.pairs))
            at = int(np.argmax(seen_low[0][place] != seen_high[0][place]))
            ends = [(low, seen_low), (high, seen_high)]
            ends = ends if seen_high[0][place, at] else ends[::-1]
            self.pairs.append(np.stack([points[place] for points, _ in ends]))
            self.active.append(ends[1][1][0][place])
            self.relus.append(relu)


class _Choice:
    """Which facets settle the units, a few for each."""

    def __init__(
        self, problem: so.Identifiability, search: _Search, units: Any, context: so.Context
    ) -> None:
        self.problem, self.search, self.context = problem, search, context
        self.order = sorted(set(units.values()))
        self.chosen: dict[Any, list[int]] = {}
        self.failed: set[Any] = set()

    def evidence(self) -> FacetEvidence | None:
        """Return what settles every parameter, or None if some unit stays open.

        Units are tried as if all before them were settled, and those that are settled so are
        not tried again.
        """
        self.failed = set()
        if not self.search.pairs:
            self.failed = set(self.order)
            return None
        pairs = np.array(self.search.pairs)
        everything = np.arange(len(pairs))
        draft = FacetEvidence(pairs, (), np.arange(len(pairs)), PRIME, 0)
        settling = Settling(self.problem, draft)
        useless = set(np.flatnonzero((settling.switches < 0) | (settling.slopes == 0)).tolist())
        for facets in self.search.found.values():
            facets[:] = [facet for facet in facets if facet not in useless]
        for unit in self.order:
            self.context.check_time("settling units")
            if unit not in self.chosen:
                facets = self.search.found[unit]
                picked = self._unit(settling, facets)
                if picked is None:
                    self.failed.add(unit)
                    self._assume(settling, facets)
                else:
                    self.chosen[unit] = picked
            else:
                self._assume(settling, self.chosen[unit])
        if self.failed:
            return None
        parts = [np.array(self.chosen[unit], dtype=np.int64) for unit in self.order]
        cells = self._outputs(useless)
        used = np.unique(np.concatenate([*parts, cells]))
        new = np.searchsorted(used, everything)
        units = tuple(new[part] for part in parts)
        return FacetEvidence(pairs[used], units, new[cells], PRIME, 0)

    def _assume(self, settling: Settling, facets: list[int]) -> None:
        """Take the parameters of a unit as settled."""
        for facet in facets:
            system = settling.unknowns(settling.read(facet), facet)
            if system is not None:
                settling.settle(np.unique(system[0]))

    def _unit(self, settling: Settling, facets: list[int]) -> list[int] | None:
        covers = []
        for facet in facets:
            system = settling.unknowns(settling.read(facet), facet)
            if system is None:
                return None
            on = self.search.is_on(facet)[system[2]]
            covers.append(set(system[0][on].tolist()))
        if not covers:
            return None
        left = set().union(*covers)
        picked: list[int] = []
        while left:
            best = max(range(len(facets)), key=lambda i: (len(covers[i] & left), -i))
            picked.append(best)
            left -= covers[best]
        rest = [i for i in range(len(facets)) if i not in picked]
        while True:
            if settling.settles(np.array([facets[i] for i in picked])):
                return [facets[i] for i in picked]
            if not rest:
                return None
            step = max(2, len(picked) // 2)
            picked, rest = picked + rest[:step], rest[step:]

    def _outputs(self, useless: set[int]) -> np.ndarray:
        """Return facets beside which each unit is active, three times if it ever is that often."""
        on = np.array(self.search.active)
        count = np.zeros(on.shape[1], dtype=np.int64)
        picked = []
        for facet in np.random.default_rng(0).permutation(len(on)).tolist():
            if facet not in useless and (on[facet] & (count < 3)).any():
                picked.append(facet)
                count += on[facet]
        return np.array(picked[:200], dtype=np.int64)
