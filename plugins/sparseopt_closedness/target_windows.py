"""Search for outputs and inputs on which every hidden unit that may act has its own pair."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components, maximum_bipartite_matching

from sparseopt.judging.exact import counts

_MATCHINGS = 8
"""Random matchings that are tried on a component."""
_PAIRS = 200
"""Pairs of units that are tried with one matching."""
_STARTS = 3000
"""Windows that are grown."""


Order = Callable[[int], np.ndarray]
"""So many numbers, in the order in which they are looked at."""


@dataclass(frozen=True, eq=False)
class Layer:
    """The hidden layer: who feeds which output, reads which input, may act because of which.

    Attributes
    ----------
    feeds : bool array, shape (outputs, units)
    reads : bool array, shape (units, inputs)
    touched : bool array, shape (units, inputs)
        At least `reads`.
    mirrors : bool
        Whether inputs may be negative, so that a may be b.
    """

    feeds: np.ndarray
    reads: np.ndarray
    touched: np.ndarray
    mirrors: bool


class TargetWindow(NamedTuple):
    """Units u and v that share output i and input j, output c of one of them, inputs a of u and b
    of v (one input where they mirror each other), and (output, unit, input) for each other unit
    that may act."""

    u: int
    v: int
    i: int
    c: int
    j: int
    a: int
    b: int
    triples: list[tuple[int, int, int]]


def find_window(
    layer: Layer, rng: np.random.Generator, effort: int, tick: Callable[[], None]
) -> TargetWindow | None:
    """Return a window, or None if none was found; `tick` is called now and then."""
    for outputs, units in _components(layer):
        tick()
        if len(units) > 1:
            found = _whole(layer, outputs, units, rng)
            if found is not None:
                return found
    return _Growth(layer, rng, effort, tick).search()


def _components(layer: Layer) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (outputs, units that may act) of each component of outputs."""
    live = np.any(layer.touched, axis=1)
    feeds = layer.feeds & live
    m, r = feeds.shape
    graph = scipy.sparse.bmat(
        [[None, scipy.sparse.csr_matrix(feeds)], [scipy.sparse.csr_matrix((r, m)), None]]
    )
    count, labels = connected_components(graph, directed=False)
    for number in range(count):
        outputs = np.flatnonzero(labels[:m] == number)
        units = np.flatnonzero(labels[m:] == number)
        if len(outputs) > 1:
            yield outputs, units


def _whole(
    layer: Layer, outputs: np.ndarray, units: np.ndarray, rng: np.random.Generator
) -> TargetWindow | None:
    """Match all units of a component to outputs and inputs, with one output and input shared."""
    if len(units) > len(outputs) or len(units) + (not layer.mirrors) > layer.reads.shape[1]:
        return None
    feeds, reads = layer.feeds, layer.reads
    for number in range(_MATCHINGS):
        # First as the numbers run, which reads best; then in drawn orders.
        order: Order = rng.permutation if number else np.arange
        to_output = _matching(feeds[np.ix_(outputs, units)].T, order)
        to_input = _matching(reads[units], order)
        if to_output is None or to_input is None:
            return None
        output = dict(zip(units.tolist(), outputs[to_output].tolist(), strict=True))
        entry = dict(zip(units.tolist(), to_input.tolist(), strict=True))
        spare = np.setdiff1d(np.arange(reads.shape[1]), to_input)
        for u, v in itertools.islice(_pairs(feeds, output, order), _PAIRS):
            three = _three(layer, u, v, [entry[u], entry[v]], spare, order)
            if three is not None:
                rest = [(output[q], q, entry[q]) for q in units.tolist() if q not in (u, v)]
                return TargetWindow(u, v, output[u], output[v], *three, rest)
    return None


def _pairs(feeds: np.ndarray, output: dict[int, int], order: Order) -> Iterator[tuple[int, int]]:
    """Yield pairs of units of which the second feeds the output of the first as well."""
    units = list(output)
    for u in (units[place] for place in order(len(units))):
        for v in np.flatnonzero(feeds[output[u]]).tolist():
            if u != v and v in output:
                yield u, v


def _three(
    layer: Layer, u: int, v: int, own: list[int], spare: np.ndarray, order: Order
) -> tuple[int, int, int] | None:
    """Return inputs j of both units, a of u and b of v, among two that they have and spare ones."""
    reads = layer.reads
    useful = spare[reads[u, spare] | reads[v, spare]]
    candidates = [*own, *useful[order(len(useful))][:4].tolist()]
    for j, a, b in itertools.permutations(candidates, 3):
        if reads[u, j] and reads[v, j] and reads[u, a] and reads[v, b]:
            return j, a, b
    common = [q for q in candidates if reads[u, q] and reads[v, q]]
    return (common[0], common[1], common[1]) if layer.mirrors and len(common) > 1 else None


def _matching(allowed: np.ndarray, order: Order) -> np.ndarray | None:
    """Return a column for every row, whose rows and columns were put in some order, or None."""
    rows, columns = (order(size) for size in allowed.shape)
    found = maximum_bipartite_matching(
        scipy.sparse.csr_matrix(allowed[np.ix_(rows, columns)]), perm_type="column"
    )
    if np.any(found < 0):
        return None
    result = np.empty(len(rows), dtype=np.intp)
    result[rows] = columns[found]
    return result


@dataclass
class _Growth:
    """Windows of two outputs and three inputs, grown until every unit that may act has a pair.

    Sets of units are the bits of integers.
    """

    layer: Layer
    rng: np.random.Generator
    effort: int
    tick: Callable[[], None]
    feeders: list[int] = field(init=False)
    touchers: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.feeders = [_bits(row) for row in self.layer.feeds]
        self.touchers = [_bits(column) for column in self.layer.touched.T]

    def search(self) -> TargetWindow | None:
        """Return a window, or None if there is none or the effort is spent."""
        # Units that act between an output and an input of a window each have an output of it.
        feeds, touched = (s.astype(np.float32) for s in (self.layer.feeds, self.layer.touched))
        acting = feeds @ touched
        if not np.any((acting >= 2) & (acting <= len(feeds))):
            return None
        for number, start in enumerate(self._starts()):
            if number >= _STARTS or self.effort <= 0:
                return None
            if number % 16 == 0:
                self.tick()
            found = self._grown(*start)
            if found is not None:
                return found
        return None

    def _starts(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield units u, v and outputs i of both, c of one."""
        feeds, reads = self.layer.feeds, self.layer.reads
        shared = (counts(feeds.T, feeds) > 0) & (counts(reads, reads.T) > 0)
        pairs = np.argwhere(np.triu(shared, 1))
        for number in self.rng.permutation(len(pairs)):
            u, v = (int(unit) for unit in pairs[number])
            for i in self.rng.permutation(np.flatnonzero(feeds[:, u] & feeds[:, v])):
                for c in self.rng.permutation(np.flatnonzero(feeds[:, u] | feeds[:, v])):
                    if c != i:
                        yield u, v, int(i), int(c)

    def _grown(self, u: int, v: int, i: int, c: int) -> TargetWindow | None:
        layer, own = self.layer, 1 << u | 1 << v
        feeding = self.feeders[i] | self.feeders[c]
        first = self._inputs(u, v, feeding & ~own)
        if first is None:
            return None
        outputs, inputs, done = {i, c}, set(first), own
        touching = 0
        for place in first:
            touching |= self.touchers[place]
        triples: list[tuple[int, int, int]] = []
        while (left := feeding & touching & ~done) and self.effort > 0:
            unit = left.bit_length() - 1
            if left.bit_count() + len(outputs) > len(self.feeders):
                return None
            fed, read = np.flatnonzero(layer.feeds[:, unit]), np.flatnonzero(layer.reads[unit])
            out = self._best(fed, outputs, self.feeders, touching & ~done)
            read_one = self._best(read, inputs, self.touchers, feeding & ~done)
            if out is None or read_one is None:
                return None
            outputs.add(out)
            inputs.add(read_one)
            feeding, touching = feeding | self.feeders[out], touching | self.touchers[read_one]
            done |= 1 << unit
            triples.append((out, unit, read_one))
        return TargetWindow(u, v, i, c, *first, triples) if not left else None

    def _inputs(self, u: int, v: int, others: int) -> tuple[int, int, int] | None:
        """Return inputs j of both, a of u and b of v that touch few others."""
        reads, chosen = self.layer.reads, list[int]()
        common = reads[u] & reads[v]
        for options in (common, reads[u], reads[v]):
            found = self._best(np.flatnonzero(options), set(chosen), self.touchers, others)
            if found is None and len(chosen) == 2 and self.layer.mirrors and common[chosen[1]]:
                found = chosen[1]
            if found is None:
                return None
            chosen.append(found)
        return chosen[0], chosen[1], chosen[2]

    def _best(
        self, options: np.ndarray, taken: set[int], sets: list[int], others: int
    ) -> int | None:
        """Return the option, not taken, whose set holds the fewest others; ties are drawn."""
        self.effort -= len(options) + 1
        free = [int(o) for o in self.rng.permutation(options) if o not in taken]
        return min(free, key=lambda o: (sets[o] & others).bit_count(), default=None)


def _bits(members: np.ndarray) -> int:
    """Return a set as the bits of an integer."""
    return int.from_bytes(np.packbits(members, bitorder="little").tobytes(), "little")
