"""Which ReLUs are active and which entries win a pool at given inputs, proved.

An input is regular if the network has one formula on a neighbourhood of the parameters there:
every ReLU has a pre-activation that is not 0, or is locally 0; every pool takes its value from one
entry, or from entries with the same local expression. Two rules say so, and both are identities:

- Locally 0 are: entries of the input that are 0, ReLUs that are not active, and linear neurons
  without bias all of whose edges come from neurons that are locally 0.
- The same expression have: equal numbers of the input; an active ReLU and what it reads; a pool
  and its winner; linear neurons with the same bias whose edges carry the same entries and come
  from the same expressions. Expressions are numbered, 0 for what is locally 0, by comparing the
  lists themselves.

Signs are decided in float64 with a bound e of the error: a sum of n products of numbers known to
e is off by at most ``|W| e`` and the rounding, (2 n + 6) u (|W| (|h| + e) + |b|), in which the
rounding of weights that are no floats is counted, that of sums of the weights of several edges
between two neurons, and that of the bound itself; |W| sums the absolute values of such weights.
Inputs for which that does not suffice are computed in exact arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sparseopt.guarantees.wires import Layer, Wires
from sparseopt.judging.rounding import UNIT
from sparseopt.pathnorm.effort import Effort, of_sums

_LEAST = 2.0**-1000
"""Above what underflow loses in a sum of products."""
_AT_ONCE = 1 << 24
"""Numbers of a layer and inputs that are held at a time."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """What is active at each of n inputs.

    Attributes
    ----------
    takes : list of array
        By layer: of ReLUs bool (neurons, n), whether it is active; of pools int (neurons, n), the
        neuron that wins, -1 where the pool is locally 0; of linear layers empty.
    irregular : dict of int to int
        The inputs that are not regular, with the first neuron that makes them so.
    doubtful : set of int
        All neurons that make an input irregular. What is active elsewhere is right there too.
    """

    takes: list[np.ndarray]
    irregular: dict[int, int]
    doubtful: frozenset[int] = frozenset()


class _Pass:
    """Values, errors and expressions of all neurons at some inputs, layer by layer."""

    def __init__(self, wires: Wires, inputs: np.ndarray, is_exact: bool) -> None:
        self.wires, self.is_exact = wires, is_exact
        shape, kind = (wires.count, len(inputs)), object if is_exact else np.float64
        self.values, self.errors = (np.zeros(shape, dtype=kind) for _ in range(2))
        convert = np.frompyfunc(Fraction, 1, 1) if is_exact else np.asarray
        self.values[: wires.inputs] = convert(inputs.T)
        self.needs_names = any(layer.kind == "pool" for layer in wires.layers)
        self.names = np.zeros(shape, dtype=np.int64)
        _, names = np.unique(inputs.T, return_inverse=True)
        self.names[: wires.inputs] = np.where(inputs.T == 0, 0, names.reshape(inputs.T.shape) + 1)
        self.next = int(self.names.max(initial=0)) + 1
        self.undecided: dict[int, int] = {}
        self.doubtful: set[int] = set()
        self.takes: list[np.ndarray] = []
        self.effort = Effort()

    def run(self) -> None:
        """Pass through all layers."""
        for layer in self.wires.layers:
            step = {"linear": self._linear, "relu": self._relu, "pool": self._pool}[layer.kind]
            values, errors, names, taken = step(layer)
            errors[names == 0] = 0
            self.values[layer.own], self.errors[layer.own] = values, errors
            self.names[layer.own] = names
            self.takes.append(taken)

    def _note(self, layer: Layer, wrong: np.ndarray) -> None:
        self.doubtful.update((np.flatnonzero(wrong.any(axis=1)) + layer.start).tolist())
        for column in np.flatnonzero(wrong.any(axis=0)).tolist():
            neuron = layer.start + int(np.argmax(wrong[:, column]))
            self.undecided.setdefault(column, neuron)

    def _linear(self, layer: Layer) -> Any:
        biased = layer.biased
        names = self._expressions(layer)
        if self.is_exact:
            values = exact_sums(self.wires, layer, self.values, self.effort)
            return values, np.zeros_like(values), names, np.empty(0)
        matrix, window = layer.matrix(self.wires.floats), layer.window
        # Edges of one neuron that leave one neuron may cancel in `matrix`, not in `size`.
        size = layer.matrix(np.abs(self.wires.floats))
        with np.errstate(over="ignore", invalid="ignore"):
            values = matrix @ self.values[window]
            sizes = np.abs(self.values[window]) + self.errors[window]
            most = size @ sizes
            bias = self.wires.floats[layer.bias[biased], None]
            values[biased] += bias
            most[biased] += np.abs(bias)
            terms = int(np.bincount(layer.heads - layer.start, minlength=1).max(initial=0))
            errors = size @ self.errors[window] + (2 * terms + 6) * UNIT * most
            # What underflow loses: of products, and of weights that are no normal floats.
            errors += _LEAST * (1 + terms * sizes.max(axis=0, initial=0.0))
            errors *= 1 + 2**-20
        wild = ~(np.isfinite(values) & np.isfinite(errors))
        values[wild], errors[wild] = 0.0, np.inf
        return np.where(names == 0, 0.0, values), errors, names, np.empty(0)

    def _expressions(self, layer: Layer) -> np.ndarray:
        """Return the expressions of linear neurons; only 0 or not, if none are compared."""
        if not self.needs_names:
            reads = layer.matrix(np.ones(len(self.wires.exact)))
            live = (self.names[layer.window] > 0).astype(np.float64)
            found = (reads @ live > 0).astype(np.int64)
            found[layer.biased] = 1
            return found
        names = np.zeros((layer.size, self.names.shape[1]), dtype=np.int64)
        for members, tails, is_biased in _alike(layer):
            padded = np.concatenate([self.names, np.zeros((1, self.names.shape[1]), np.int64)])
            rows = np.moveaxis(padded[tails], 1, 2).reshape(-1, tails.shape[1])
            found, same = np.unique(rows, axis=0, return_inverse=True)
            number = np.arange(self.next, self.next + len(found))
            if not is_biased:
                number[~found.any(axis=1)] = 0
            self.next += len(found)
            names[members] = number[same.ravel()].reshape(len(members), -1)
        return names

    def _relu(self, layer: Layer) -> Any:
        read = layer.reads[:, 0]
        none = (read < 0)[:, None]
        values, errors, names = self.values[read], self.errors[read], self.names[read]
        active = np.asarray(values > errors, dtype=bool) & (names > 0) & ~none
        decided = active | np.asarray(values < -errors, dtype=bool) | (names == 0) | none
        self._note(layer, ~decided)
        names = np.where(active, names, 0)
        return np.where(active, values, 0), errors, self._doubted(names, ~decided), active

    def _pool(self, layer: Layer) -> Any:
        none = (layer.reads < 0)[..., None]
        values, errors, names = (a[layer.reads] for a in (self.values, self.errors, self.names))
        low, high = (np.where(none, -np.inf, a) for a in (values - errors, values + errors))
        rank = layer.rank
        least, most = (-np.sort(-a, axis=1)[:, rank - 1 : rank] for a in (low, high))
        near = np.asarray(high >= least, dtype=bool) & np.asarray(low <= most, dtype=bool) & ~none
        first = np.argmax(near, axis=1)[:, None]
        values, errors, names = (
            np.take_along_axis(a, first, 1) for a in (values, errors, np.where(near, names, -1))
        )
        others = np.where(near, self.names[layer.reads], names)
        wrong = (others != names).any(axis=1) | ~near.any(axis=1)
        self._note(layer, wrong)
        winner = np.take_along_axis(np.broadcast_to(layer.reads[..., None], near.shape), first, 1)
        winner = np.where(names == 0, -1, winner)
        return values[:, 0], errors[:, 0], self._doubted(names[:, 0], wrong), winner[:, 0]

    def _doubted(self, names: np.ndarray, where: np.ndarray) -> np.ndarray:
        """Give what is not decided expressions of its own: it need not be locally 0."""
        count = int(where.sum())
        names[where] = np.arange(self.next, self.next + count)
        self.next += count
        return names


def _alike(layer: Layer) -> Any:
    """Yield groups of neurons that share entries: (neurons, tails by entry, whether biased).

    One column for each entry and time that a neuron has it, -1 where it does not.
    """
    heads = layer.heads - layer.start
    ends, _, entries = layer.edges
    _, key = np.unique(entries, return_inverse=True)
    size = layer.size + int(key.max(initial=0)) + 1
    place = (ends - layer.start, layer.size + key)
    graph = coo_array((np.ones(len(entries), dtype=bool), place), shape=(size, size))
    _, part = connected_components(graph, directed=False)
    order = np.lexsort((layer.tails, layer.entries, heads))
    edges = np.stack([heads, layer.entries, layer.tails])[:, order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (edges[:2, 1:] != edges[:2, :-1]).any(axis=0)
    starts = np.flatnonzero(new)
    repeats = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    groups = np.stack([part[: layer.size], layer.bias])
    for group in np.unique(groups, axis=1).T.tolist():
        members = np.flatnonzero((group == groups.T).all(axis=1))
        row = np.full(layer.size, -1)
        row[members] = np.arange(len(members))
        mine = np.flatnonzero(row[edges[0]] >= 0)
        pairs = np.stack([edges[1, mine], repeats[mine]])
        columns, column = np.unique(pairs, axis=1, return_inverse=True)
        tails = np.full((len(members), max(1, columns.shape[1])), -1)
        tails[row[edges[0, mine]], column.ravel()] = edges[2, mine]
        yield members, tails, bool(layer.bias[members[0]] >= 0)


def exact_sums(wires: Wires, layer: Layer, values: np.ndarray, effort: Effort) -> np.ndarray:
    """Return the sums of a linear layer in exact arithmetic; `ProblemError` if they take long."""
    result = np.zeros((layer.size, values.shape[1]), dtype=object)
    heads = (layer.heads - layer.start).tolist()
    for head, tail, entry in zip(heads, layer.tails.tolist(), layer.entries.tolist(), strict=True):
        result[head] += Fraction(wires.exact[entry]) * values[tail]
        effort.spend(of_sums(result[head]))
    for row in layer.biased.tolist():
        result[row] += Fraction(wires.exact[layer.bias[row]])
    return result


def pattern(wires: Wires, inputs: np.ndarray) -> Pattern:
    """Return what is active at each input.

    Parameters
    ----------
    wires : Wires
    inputs : float64 array, shape (n, entries of the input)
    """
    step = max(1, _AT_ONCE // max(1, wires.count))
    parts = [_pattern(wires, inputs[i : i + step]) for i in range(0, max(1, len(inputs)), step)]
    if len(parts) == 1:
        return parts[0]
    irregular = {k + i * step: v for i, p in enumerate(parts) for k, v in p.irregular.items()}
    takes = zip(*(part.takes for part in parts), strict=True)
    doubtful = frozenset().union(*(part.doubtful for part in parts))
    return Pattern([np.concatenate(each, axis=-1) for each in takes], irregular, doubtful)


def _pattern(wires: Wires, inputs: np.ndarray) -> Pattern:
    quick = _Pass(wires, inputs, False)
    quick.run()
    if not quick.undecided:
        return Pattern(quick.takes, {})
    unsure = np.array(sorted(quick.undecided))
    slow = _Pass(wires, inputs[unsure], True)
    slow.run()
    for mine, theirs in zip(quick.takes, slow.takes, strict=True):
        if mine.size:
            mine[..., unsure] = theirs
    irregular = {int(unsure[k]): v for k, v in slow.undecided.items()}
    return Pattern(quick.takes, irregular, frozenset(slow.doubtful))
