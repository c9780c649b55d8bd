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

_SEGMENTS = 64
_DEPTH = 44
_MOST_KEPT = 40
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
        search = _Search(problem, context)
        structure = Structure(problem.wires, None)
        still = {*structure.constants, *structure.unheard}
        units = {relu: unit for relu, unit in _units(problem.wires).items() if relu not in still}
        wanted = {unit: _MOST_KEPT for unit in units.values()}
        open_units = set(wanted)
        proof: FacetEvidence | None = None
        for number in range(self.rounds):
            search.segments(units)
            open_units = {u for u in wanted if len(search.found[u]) < 1}
            enough = sum(min(len(search.found[u]), 12) for u in wanted) > 11 * len(wanted)
            if not open_units and (enough or number % 6 == 5):
                proof = _Choice(problem, search, units, context).evidence()
                if proof is not None:
                    break
            context.report(number / self.rounds, f"{len(open_units)} units without a facet")
        if proof is None:
            names = sorted(open_units)[:4]
            raise so.Inconclusive(
                f"{len(open_units)} of {len(wanted)} units switch at none of the points tried, or "
                f"their facets settle too little (first open: {names})"
            )
        answer = problem.verdict("identifiable", problem.bound)
        return answer, FacetCertificate(problem, answer, proof)


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
        self._reads = [x for x in self.wires.layers if x.kind == "relu"]
        self._pools = [i for i, x in enumerate(self.wires.layers) if x.kind == "pool"]
        self._numbers = np.concatenate(
            [np.arange(x.start, x.start + x.size) for x in self._reads]
        )

    def _look(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which ReLUs are active, which cells win, and whether signs are clear."""
        values, taken = self.floats.run(points.T)
        z = np.concatenate([values[x.reads[:, 0]] for x in self._reads])
        size = np.abs(z).max(axis=0)
        clear = np.abs(z).min(axis=0) > _MARGIN * size
        won = [taken[i] for i in self._pools]
        return (z > 0).T, np.concatenate(won).T if won else np.empty((len(points), 0)), clear

    def segments(self, units: dict[int, Any]) -> None:
        """Halve further segments."""
        size = self.wires.inputs
        ends = self.rng.standard_normal((2, _SEGMENTS, size)) * self.scale
        ends *= self.rng.choice([0.3, 1.0, 3.0], size=(1, _SEGMENTS, 1))
        low, high = ends
        seen_low, seen_high = self._look(low), self._look(high)
        for _ in range(_DEPTH):
            self.context.check_time("searching facets")
            switched = (seen_low[0] != seen_high[0]).sum(axis=1)
            pooled = (seen_low[1] != seen_high[1]).sum(axis=1)
            single = (switched == 1) & (pooled == 0)
            self._keep(low, high, seen_low, seen_high, single, units)
            more = np.flatnonzero((switched + pooled > 0) & ~single)
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

    def _chosen(self, more: np.ndarray, low: Any, high: Any, units: dict[int, Any]) -> np.ndarray:
        """Return the segments on which a unit switches that has few facets."""
        lacking = np.array(
            [len(self.found[units[n]]) < _MOST_KEPT if n in units else False
             for n in self._numbers.tolist()]
        )
        useful = ((low[0][more] != high[0][more]) & lacking).any(axis=1)
        kept = more[useful]
        return kept if len(kept) <= 2048 else self.rng.permutation(kept)[:2048]

    def _keep(
        self, low: Any, high: Any, seen_low: Any, seen_high: Any, single: Any, units: Any
    ) -> None:
        clear = single & seen_low[2] & seen_high[2]
        for place in np.flatnonzero(clear).tolist():
            relu = int(self._numbers[np.argmax(seen_low[0][place] != seen_high[0][place])])
            unit = units.get(relu)
            if unit is None or len(self.found[unit]) >= _MOST_KEPT:
                continue
            self.found[unit].append(len(self.pairs))
            self.pairs.append(np.stack([low[place], high[place]]))
            self.active.append(seen_low[0][place])
            self.relus.append(relu)


class _Choice:
    """Which facets settle the units, a few for each."""

    def __init__(
        self, problem: so.Identifiability, search: _Search, units: Any, context: so.Context
    ) -> None:
        self.problem, self.search, self.context = problem, search, context
        self.order = sorted(set(units.values()))
        self.is_on = np.ones((len(search.pairs), problem.wires.count + 1), dtype=bool)
        numbers = search._numbers
        self.is_on[:, numbers] = np.array(search.active)

    def evidence(self) -> FacetEvidence | None:
        """Return what settles every parameter, or None if some unit stays open."""
        pairs = np.array(self.search.pairs)
        everything = np.arange(len(pairs))
        draft = FacetEvidence(pairs, (), everything, PRIME, 0)
        settling = Settling(self.problem, draft)
        right = np.flatnonzero(settling.switches >= 0)
        if len(right) < len(pairs):
            return None
        chosen = []
        for unit in self.order:
            self.context.check_time("settling units")
            picked = self._unit(settling, self.search.found[unit])
            if picked is None:
                return None
            chosen.append(np.array(picked, dtype=np.int64))
        cells = self._outputs(settling)
        used = np.unique(np.concatenate([*chosen, cells]))
        new = np.searchsorted(used, everything)
        parts = tuple(new[unit] for unit in chosen)
        return FacetEvidence(pairs[used], parts, new[cells], PRIME, 0)

    def _unit(self, settling: Settling, facets: list[int]) -> list[int] | None:
        covers = []
        for facet in facets:
            relu = self.search.relus[facet]
            layer = self.problem.wires.layers[int(self.problem.wires.layer_of[relu])]
            system = settling._unknowns(int(layer.reads[relu - layer.start, 0]), facet)
            if system is None:
                return None
            on = self.is_on[facet]
            covers.append({c for c, pairs in system.items() if any(on[t] for _, t in pairs)})
        every = set().union(*covers) if covers else set()
        picked: list[int] = []
        left = set(every)
        while left and len(picked) < len(facets):
            best = max(range(len(facets)), key=lambda i: (len(covers[i] & left), -i))
            if not covers[best] & left:
                break
            picked.append(best)
            left -= covers[best]
        rest = [i for i in range(len(facets)) if i not in picked]
        picked = picked or rest[:1]
        while True:
            if settling.settles(np.array([facets[i] for i in picked])):
                return [facets[i] for i in picked]
            if not rest:
                return None
            picked += rest[: max(2, len(picked) // 2)]
            rest = [i for i in rest if i not in picked]

    def _outputs(self, settling: Settling) -> np.ndarray:
        """Return facets beside which all units are active, each several times."""
        last = np.array(self.search.active)
        rng = np.random.default_rng(0)
        order = rng.permutation(len(last))
        count = np.zeros(last.shape[1], dtype=np.int64)
        picked = []
        for facet in order.tolist():
            if (last[facet] & (count < 3)).any():
                picked.append(facet)
                count += last[facet]
        return np.array(picked[:200], dtype=np.int64)
