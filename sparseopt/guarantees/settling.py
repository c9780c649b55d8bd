"""Which parameters of a network are settled by points between which single units switch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import scipy.sparse

from sparseopt.guarantees.identifiability import Identifiability
from sparseopt.guarantees.modular import LinearMaps, is_invertible, product, reduced
from sparseopt.guarantees.patterns import Pattern

Unknowns = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Parameters, factors and neurons, entry by entry."""
_NONE = np.empty(0, dtype=np.int64)
_DRAWS = 3
_SPARE = 8
"""Rows beyond the number of unknowns."""
_MIXED = 32
"""Rows that are combined to one: sums of as many products stay below 2^53."""


class Settling:
    """Which parameters are settled so far, of a network without pools.

    Parameters
    ----------
    problem : Identifiability
    pairs : float64 array, shape (facets, 2, entries of the input)
        As of `sparseopt.guarantees.facets.FacetEvidence`.
    prime, seed : int

    Attributes
    ----------
    settled : bool array
        Whether a kernel vector is known to be 0 on a parameter. Parameters that are settled but
        for a factor, by which all of a unit's are multiplied, and so what it holds, are not; the
        number of the factor is that of the first of them, behind all parameters.
    """

    def __init__(self, problem: Identifiability, pairs: np.ndarray, prime: int, seed: int) -> None:
        self.problem, self.wires, self.pairs, self.prime = problem, problem.wires, pairs, prime
        self._factor = np.full(problem.parameters.count, -1)
        self.settled = np.zeros(len(self._factor), dtype=bool)
        self.used = np.arange(int(problem.scales.label.max()) + 1) == 0
        self._rng = np.random.default_rng(abs(seed))
        self._known: dict[int, np.ndarray] = {}
        self._ordered: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._done = np.zeros(self.wires.count + 1, dtype=bool)  # the last stands for none
        self._done[: self.wires.inputs] = self._done[-1] = True

    @cached_property
    def _patterns(self) -> tuple[Pattern, Pattern]:
        low, high = (self.problem.pattern_at(self.pairs[:, i]) for i in range(2))
        return low, high

    @cached_property
    def switches(self) -> np.ndarray:
        """The ReLU that is active at the second point only, for each facet; else -1."""
        count = np.zeros(len(self.pairs), dtype=np.int64)
        found = np.full(len(count), -1)
        low, high = self._patterns
        for layer, a, b in zip(self.wires.layers, low.takes, high.takes, strict=True):
            if layer.kind == "relu":
                count += (b & ~a).sum(axis=0) + 2 * (a & ~b).sum(axis=0)
                where = (a != b).any(axis=0)
                found[where] = layer.start + np.argmax(a[:, where] != b[:, where], axis=0)
        count[[*low.irregular, *high.irregular]] = 0
        return np.where(count == 1, found, -1)

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
            else:
                np.add.at(slopes, layer.reads[:, 0], np.where(taken, own, 0))
        return slopes[self.switches, np.arange(len(self.switches))] % self.prime

    @cached_property
    def _maps(self) -> LinearMaps:
        return LinearMaps(self.wires, self.prime)

    @cached_property
    def _stands(self) -> np.ndarray:
        """Residues that stand for inputs, one in each column."""
        return self._rng.integers(0, self.prime, (self.wires.inputs, 2048))

    def _values(self, facet: int, samples: np.ndarray, neuron: int) -> np.ndarray:
        """Return what a neuron and all layers before it hold, with the pattern of a facet, at
        residues; 1 behind them."""
        values = np.zeros((self.wires.count + 1, len(samples)), dtype=np.int64)
        values[: self.wires.inputs] = self._stands[:, samples]
        for position in range(self.wires.layer_of[neuron]):
            layer, linear = self.wires.layers[position], self._maps.maps[position]
            if linear is None:
                active = self._patterns[1].takes[position][:, facet, None]
                values[layer.own] = np.where(active, values[layer.reads[:, 0]], 0)
            elif linear.reads.stop > self.wires.inputs:
                values[layer.own] = self._maps.biased(layer, linear.forward(values))
            else:  # the same for every facet
                if position not in self._known:
                    self._known[position] = self._maps.biased(layer, linear.forward(self._stands))
                values[layer.own] = self._known[position][:, samples]
        values[-1] = 1
        if neuron >= self.wires.inputs:
            tails, entries = self._into(neuron)
            weights, held = self._maps.entries[entries][None].astype(float), values[tails]
            values[neuron] = product(weights, held.astype(float), self.prime)[0]
        return values

    def unknowns(self, neuron: int) -> Unknowns | None:
        """Return the parameters that are not settled and move what a neuron holds.

        Each with a factor and a neuron, or -1 for 1, that it is multiplied with. None if such
        parameters lie behind a ReLU; of one that is settled but for its factor, that is unknown.
        """
        parts: list[Unknowns] = [(_NONE, _NONE, _NONE)]
        factors = {neuron: 1}
        while factors:
            at = max(factors)
            factor = factors.pop(at) % self.prime
            if self._is_settled(at):
                continue
            tails, entries = self._into(at)
            if self.wires.layers[int(self.wires.layer_of[at])].kind == "relu":
                before = self._into(int(tails[0]))[0].tolist()
                own = self.multiplied(tails) if all(map(self._is_settled, before)) else _NONE
                if not (own >= len(self._factor)).any():
                    return None
                parts.append((own, np.array([factor]), np.array([at])))
                continue
            column = self.wires.column[entries]
            new = np.flatnonzero((column >= 0) & ~self.settled[column])
            shared, held = self._factor[column[new]], self._maps.entries[entries[new]]
            times = np.where(shared < 0, 1, held) * factor % self.prime
            parts.append((np.where(shared < 0, column[new], shared), times, tails[new]))
            for place in np.flatnonzero(~self._done[tails]).tolist():
                tail, weight = int(tails[place]), int(self._maps.entries[entries[place]])
                factors[tail] = factors.get(tail, 0) + factor * weight
        found = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return found[0], found[1], found[2]

    def _into(self, neuron: int) -> tuple[np.ndarray, np.ndarray]:
        """Return tails and entries of the edges into a neuron, its bias with tail -1."""
        position = int(self.wires.layer_of[neuron])
        layer = self.wires.layers[position]
        row = neuron - layer.start
        if layer.kind != "linear":
            return layer.reads[row], layer.entries
        if position not in self._ordered:
            order = np.argsort(layer.heads, kind="stable")
            rows = np.arange(layer.start, layer.start + layer.size + 1)
            self._ordered[position] = order, np.searchsorted(layer.heads[order], rows)
        order, starts = self._ordered[position]
        place = order[starts[row] : starts[row + 1]]
        tails, entries = layer.tails[place], layer.entries[place]
        if layer.bias[row] >= 0:
            return np.append(tails, -1), np.append(entries, layer.bias[row])
        return tails, entries

    def _is_settled(self, neuron: int) -> bool:
        """Whether all parameters before a neuron are settled."""
        pending = [] if self._done[neuron] else [neuron]
        while pending:
            tails, entries = self._into(pending[-1])
            column = self.wires.column[entries]
            if ((column >= 0) & ~self.settled[column]).any():
                return False
            if self._done[tails].all():
                self._done[pending.pop()] = True
            else:
                pending += tails[~self._done[tails]].tolist()
        return True

    def settles(self, facets: Sequence[int] | np.ndarray) -> bool:
        """Settle what the unit that switches at some facets depends on, or all but its factor;
        return whether it is."""
        places = np.asarray(facets).tolist()
        reads = [self.read(facet) for facet in places]
        own = self.multiplied(reads)
        fixed = int(len(own) > 0 or not self.used[self.problem.scales.label[reads[0] + 1]])
        return self.settle(self._solved(places, reads, fixed, len(places) - fixed), own)

    def multiplied(self, neurons: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the unknowns that neurons are multiples of, where no rescaling is left for that:
        all their own parameters, or the factor of these.

        None if parameters are settled, if there are edges that are not free, or if a neuron
        depends on an unknown by an edge before it, too.
        """
        columns = np.unique(np.concatenate([self._columns(neuron) for neuron in neurons]))
        factors = np.unique(self._factor[columns])
        own = columns if factors[0] < 0 else factors
        alone = len(factors) == 1 and columns[0] >= 0 and not self.settled[columns].any()
        alone = alone and self.used[self.problem.scales.label[neurons[0] + 1]]
        return own if alone and all(self._meets_once(n, own) for n in set(neurons)) else _NONE

    def _meets_once(self, neuron: int, own: np.ndarray) -> bool:
        """Whether a neuron depends on unknowns that are all its own by the edges into it only."""
        found = self.unknowns(neuron)
        return found is not None and np.isin(found[0], own).sum() <= len(self._columns(neuron))

    def _columns(self, neuron: int) -> np.ndarray:
        """Return the parameters on the edges into a neuron, -1 for edges that are not free."""
        if neuron < self.wires.inputs:
            return np.array([-1])
        return np.asarray(self.wires.column[self._into(neuron)[1]])

    def settles_outputs(self, cells: Sequence[int] | np.ndarray) -> bool:
        """Settle what outputs depend on, from the cells beside facets; return whether it is."""
        facets = np.asarray(cells).tolist()
        ends = np.unique(self.wires.outputs).tolist()  # -1, always 0, is settled
        return all(self.settle(self._solved(facets, [end] * len(facets), 0, 0)) for end in ends)

    def _solved(
        self, facets: list[int], neurons: list[int], fixed: int, factors: int
    ) -> np.ndarray | None:
        """Return what neurons depend on if equations at facets settle it, one neuron each.

        At facets other than the `fixed` first, the change of a neuron may be a factor times the
        neuron, if there are factors.
        """
        known = {neuron: self.unknowns(neuron) for neuron in set(neurons)}
        systems = [system for neuron in neurons if (system := known[neuron]) is not None]
        if len(systems) < len(facets):
            return None
        columns = np.unique(np.concatenate([column for column, _, _ in systems]))
        size = len(columns) + factors
        if not len(columns) or (fixed and self._is_of_inputs(systems[0], columns)):
            return columns
        each = -(-(size + size // 4 + _SPARE) // len(facets))
        rows = np.zeros((len(facets), each, size))
        for number, (facet, neuron) in enumerate(zip(facets, neurons, strict=True)):
            samples = (np.arange(each) + number * each) % self._stands.shape[1]
            values = self._values(facet, samples, neuron)
            rows[number, :, : len(columns)] = self._terms(systems[number], columns, values)
            if factors and number >= fixed:
                rows[number, :, len(columns) + number - fixed] = (-values[neuron]) % self.prime
        return columns if self._is_full(rows.reshape(-1, size)) else None

    def read(self, facet: int) -> int:
        """Return the neuron that the ReLU reads which switches at a facet."""
        return int(self._into(int(self.switches[facet]))[0][0])

    def _is_of_inputs(self, system: Unknowns, columns: np.ndarray) -> bool:
        """Whether a system says that a polynomial in the inputs is 0, one unknown a monomial."""
        column, factor, tails = system
        alone = len(column) == len(columns) == len(np.unique(column)) == len(np.unique(tails))
        return bool(alone and (factor % self.prime).all() and (tails < self.wires.inputs).all())

    def _terms(self, system: Unknowns, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return what each unknown is multiplied with, (samples, columns)."""
        column, factor, tails = system
        terms = values[tails] * (factor % self.prime)[:, None] % self.prime
        total = np.zeros((len(columns), values.shape[1]), dtype=np.int64)
        np.add.at(total, np.searchsorted(columns, column), terms)
        return total.T % self.prime

    def _is_full(self, rows: np.ndarray) -> bool:
        """Whether rows have full column rank, by random combinations of a few of them, from all
        over, drawn anew if by chance a leading minor is 0."""
        size, held = rows.shape[1], np.arange(_MIXED)
        for _ in range(_DRAWS):
            drawn = self._rng.integers(0, len(rows), (size, _MIXED))
            place = (held * len(rows) + drawn).ravel() // _MIXED
            factors = self._rng.integers(1, self.prime, size * _MIXED).astype(np.float64)
            places, shape = (np.repeat(np.arange(size), _MIXED), place), (size, len(rows))
            mixing = scipy.sparse.coo_array((factors, places), shape=shape)  # checks its places
            if is_invertible(reduced(mixing.tocsr() @ rows, self.prime), self.prime):
                return True
        return False

    def settle(self, columns: np.ndarray | None, but: np.ndarray = _NONE) -> bool:
        """Mark unknowns as settled, those of `but` up to their common factor; and their scales as
        used. Return whether there is anything to mark, be it nothing."""
        if columns is None:
            return False
        count, rest = len(self._factor), np.setdiff1d(columns, but)
        self.settled[rest[rest < count]] = True
        self.settled |= np.isin(self._factor, rest)
        self._factor[but[but < count]] = count + but[:1]
        for ends in (self.problem.scales.heads, self.problem.scales.tails):
            self.used[ends[columns[columns < count]]] = True
        return True

    def use_scales(self) -> None:
        """Settle parameters that are not 0 by scales that no settled parameter has."""
        live = ~self.wires.is_zero[self.problem.parameters.first]
        for column in np.flatnonzero(~self.settled & live).tolist():
            ends = self.problem.scales.heads[column], self.problem.scales.tails[column]
            if ends[0] != ends[1] and not all(self.used[end] for end in ends):
                self.settle(np.array([column]))
