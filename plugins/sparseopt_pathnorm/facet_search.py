"""Points between which one ReLU of a network switches, in float64."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt_pathnorm.input_search import FloatPass, scale_of

_SEGMENTS = 64
_DEPTH = 44
MOST_KEPT = 256
_AT_ONCE = 6
"""Facets of a unit in one round: later ones lie elsewhere."""
_STEPS = 5
_RAISED = 0.05
"""How far, of the size of a point, neurons that must be active are moved from where they switch."""

Aim = tuple[int, int]
"""A ReLU that is to switch, and a neuron that is to be active there, or -1."""


class FacetSearch:
    """Facets found so far, by unit.

    Parameters
    ----------
    problem : sparseopt.Identifiability
    context : sparseopt.Context
    units : dict from ReLU to unit
        The ReLUs whose facets count.
    """

    def __init__(
        self, problem: so.Identifiability, context: so.Context, units: dict[int, Any]
    ) -> None:
        self.wires, self.context, self.units = problem.wires, context, units
        self.rng, self.scale = context.rng(), scale_of(problem)
        self.floats = FloatPass(problem.wires)
        self.pairs: list[np.ndarray] = []
        self.active: list[np.ndarray] = []
        self.relus: list[int] = []
        self.found: dict[Any, list[int]] = defaultdict(list)
        self.wanted: dict[Any, int] = {}
        self.aims: dict[Any, list[Aim]] = {}
        self._relus_of: dict[Any, list[int]] = defaultdict(list)
        for relu, unit in units.items():
            self._relus_of[unit].append(relu)
        self._new: dict[Any, int] = defaultdict(int)
        self._met: set[tuple[Any, ...]] = set()
        self._reads = [x for x in self.wires.layers if x.kind == "relu"]
        self._numbers = np.concatenate([np.arange(x.start, x.start + x.size) for x in self._reads])
        self._row_of = {number: row for row, number in enumerate(self._numbers.tolist())}
        read = [x.reads[:, 0] for x in self._reads]
        self._read_of = dict(
            zip(self._numbers.tolist(), np.concatenate(read).tolist(), strict=True)
        )

    def lacking(self) -> list[Any]:
        """Return the units that have fewer facets than they want."""
        return [unit for unit, count in self.wanted.items() if len(self.found[unit]) < count]

    def more(self, failed: dict[Any, list[Aim]]) -> bool:
        """Let units that are not settled want more, with neurons that are to be active beside
        them; return whether one may."""
        grown = False
        for unit, aims in failed.items():
            self.aims[unit] = aims
            most = min(MOST_KEPT, max(len(self.found[unit]), 2) + max(3, min(len(aims), _AT_ONCE)))
            grown = grown or most > len(self.found[unit])
            self.wanted[unit] = most
        return grown

    def is_on(self, facet: int) -> np.ndarray:
        """Return which neurons are not switched off beside a facet; the last stands for 1."""
        on = np.ones(self.wires.count + 1, dtype=bool)
        on[self._numbers] = self.active[facet]
        return on

    def segments(self) -> None:
        """Halve further segments until one ReLU switches on each part that is kept."""
        size = self.wires.inputs
        ends = self.rng.standard_normal((2, _SEGMENTS, size)) * self.scale
        ends *= self.rng.choice([0.3, 1.0, 3.0, 10.0], size=(1, _SEGMENTS, 1))
        low, high = ends[0], ends[1]
        self._new = defaultdict(int)
        aims = self._drawn_aims()
        if aims:
            low, high = self._across(low, high, aims)
        lacking = set(self.lacking())
        self._lacks = np.array([self.units.get(n) in lacking for n in self._numbers.tolist()])
        seen_low, seen_high = self._look(low), self._look(high)
        for _ in range(_DEPTH):
            self.context.check_time("searching facets")
            switched = (seen_low[0] != seen_high[0]).sum(axis=1)
            single = switched == 1
            self._keep(low, high, seen_low, seen_high, single)
            more = np.flatnonzero((switched > 0) & ~single)
            useful = ((seen_low[0][more] != seen_high[0][more]) & self._lacks).any(axis=1)
            more = more[useful]
            if not len(more):
                break
            if len(more) > 2048:
                more = self.rng.permutation(more)[:2048]
            middle = (low[more] + high[more]) / 2
            seen = self._look(middle)
            left = [part[more] for part in (low, *seen_low)]
            right = [part[more] for part in (high, *seen_high)]
            mid = [middle, *seen]
            starts = [np.concatenate([a, b]) for a, b in zip(left, mid, strict=True)]
            stops = [np.concatenate([a, b]) for a, b in zip(mid, right, strict=True)]
            low, seen_low = starts[0], tuple(starts[1:])  # type: ignore[assignment]
            high, seen_high = stops[0], tuple(stops[1:])  # type: ignore[assignment]

    def _drawn_aims(self) -> list[Aim]:
        """Return what the segments aim at: ReLUs of units that lack facets."""
        lacking = self.lacking()
        if not lacking:
            return []
        drawn = []
        for place in self.rng.integers(len(lacking), size=_SEGMENTS).tolist():
            aims, relus = self.aims.get(lacking[place]), self._relus_of[lacking[place]]
            if aims:
                drawn.append(aims[int(self.rng.integers(len(aims)))])
            else:
                drawn.append((relus[int(self.rng.integers(len(relus)))], -1))
        return drawn

    def _look(self, points: np.ndarray) -> tuple[np.ndarray]:
        """Return which ReLUs are active."""
        values, _ = self.floats.run(points.T)
        return (np.concatenate([values[x.reads[:, 0]] > 0 for x in self._reads]).T,)

    def _across(
        self, low: np.ndarray, high: np.ndarray, aims: Sequence[Aim]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return most segments moved, so that they cross zeros of ReLUs where others are active."""
        seeds = np.array([self._read_of[relu] for relu, _ in aims])
        others = np.array([self._read_of.get(tail, -1) for _, tail in aims])
        x, each = low.T.copy(), np.arange(len(aims))
        for _ in range(_STEPS):
            values, taken = self.floats.run(x)
            slopes = self.floats.slopes(values, taken, seeds)
            move = np.zeros_like(x)
            if (others >= 0).any():
                aside = self.floats.slopes(values, taken, np.maximum(others, 0))
                aside[:, others < 0] = 0.0
                size = np.sqrt((aside**2).sum(axis=0))
                least = _RAISED * size * np.linalg.norm(x, axis=0)
                lift = np.maximum(least - values[others, each], 0.0)
                move = aside * _over(lift, size**2)
                toward = slopes - aside * _over((slopes * aside).sum(axis=0), size**2)
            else:
                toward = slopes
            left = values[seeds, each] + (slopes * move).sum(axis=0)
            x = x + move - toward * _over(left, (toward**2).sum(axis=0))
        turn = high.T / np.linalg.norm(high.T, axis=0)
        turn = turn + slopes * _over(1.0, np.sqrt((slopes**2).sum(axis=0)))
        reach = np.linalg.norm(x, axis=0) * self.rng.choice([0.003, 0.03, 0.1, 0.3], len(seeds))
        reach[others >= 0] *= 0.1
        starts, stops = (x - turn * reach).T, (x + turn * reach).T
        fine = np.isfinite(starts).all(axis=1) & np.isfinite(stops).all(axis=1)
        fine[: len(fine) // 8] = False
        return np.where(fine[:, None], starts, low), np.where(fine[:, None], stops, high)

    def _keep(self, low: Any, high: Any, seen_low: Any, seen_high: Any, single: np.ndarray) -> None:
        place = np.flatnonzero(single)
        at = np.argmax(seen_low[0][place] != seen_high[0][place], axis=1)
        kept = self._lacks[at]
        place, at = place[kept], at[kept]
        if not len(place):
            return
        ends = np.stack([low[place], high[place]], axis=1)
        sure = self._are_sure(ends)
        for end, number, row, right in zip(ends, place.tolist(), at.tolist(), sure, strict=True):
            relu = int(self._numbers[row])
            unit = self.units[relu]
            if not right or len(self.found[unit]) >= self.wanted[unit]:
                continue
            # The same units active say the same again.
            key = (unit, relu, seen_low[0][number].tobytes(), seen_high[0][number].tobytes())
            if self._new[unit] >= _AT_ONCE or key in self._met or not end.all():
                continue
            rises = bool(seen_high[0][number][row])
            active = seen_high[0][number] if rises else seen_low[0][number]
            if not self._is_aimed_at(unit, relu, active):
                continue
            self._met.add(key)
            self._new[unit] += 1
            self.found[unit].append(len(self.pairs))
            self.pairs.append(end if rises else end[::-1])
            self.active.append(active)
            self.relus.append(relu)

    def _is_aimed_at(self, unit: Any, relu: int, active: np.ndarray) -> bool:
        """Whether a neuron is active that must be beside some facet of the ReLU, if any must."""
        tails = [tail for head, tail in self.aims.get(unit, ()) if head == relu]
        places = [self._row_of[tail] for tail in tails if tail in self._row_of]
        return not places or bool(active[places].any())

    def _are_sure(self, ends: np.ndarray) -> np.ndarray:
        """Return whether float64 decides all signs at both ends."""
        values, errors = self.floats.bounds(ends.reshape(-1, ends.shape[-1]).T)
        sure = np.ones(values.shape[1], dtype=bool)
        for layer in self._reads:
            read = layer.reads[:, 0]
            still = (values[read] == 0) & (errors[read] == 0)
            sure &= ((np.abs(values[read]) > 2 * errors[read]) | still).all(axis=0)
        return np.asarray(sure.reshape(-1, 2).all(axis=1))


def _over(a: Any, b: np.ndarray) -> np.ndarray:
    """Return a quotient, 0 where the divisor is 0 or wild."""
    fine = np.isfinite(b) & (b > 0)
    return np.asarray(np.where(fine, a / np.where(fine, b, 1.0), 0.0))
