"""How strongly groups of units are coupled: sums of powers of the weights between them.

M[g, h] is the sum of |w|^p over the weights from group h to group g, biases in column 0. Layers
whose weights are a matrix between groups are kept as such, in one array each; what remains, small
layers and irregular ones, is one sparse matrix. Groups of one depth in the network make a level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order

from sparseopt.networks.network import Network
from sparseopt.tools.rescaling.groups import PINNED, RescalingGroups

_DENSE = 1 << 14
"""Entries from which a layer between groups is kept as a matrix."""
_PIECE = 1 << 20
"""Entries of a weight whose powers are held at once."""


@dataclass(frozen=True, eq=False)
class Block:
    """A layer between groups as a matrix: sums from the groups `columns` to the groups `rows`."""

    rows: np.ndarray
    columns: np.ndarray
    sums: np.ndarray


@dataclass(frozen=True, eq=False)
class Coupling:
    """The matrix M of a network, without its diagonal.

    Attributes
    ----------
    size : int
        Groups, the pinned one with number 0 among them.
    blocks : list of Block
    rest : sparse array, shape (size, size)
    levels : list of int array
        The free groups by depth.
    """

    size: int
    blocks: list[Block]
    rest: csr_array
    levels: list[np.ndarray]

    @classmethod
    def of(cls, network: Network, groups: RescalingGroups, p: float) -> Coupling:
        """Return the sums of p-th powers of a network with these groups."""
        size, arrays = groups.count + 1, network.parameters()
        blocks = []
        triples = [[np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)]]
        for name, (head, tail) in groups.weights.items():
            block = _block(arrays[name], head, tail, p)
            if block is not None:
                blocks.append(block)
            else:
                triples.append(_sums(arrays[name], head, tail, p))
        for name, labels in groups.biases.items():
            triples.append(_sums(arrays[name], labels, np.full_like(labels, PINNED), p))
        rows, columns, data = (np.concatenate(part) for part in zip(*triples, strict=True))
        off = rows != columns
        rest = csr_array((data[off], (rows[off], columns[off])), shape=(size, size))
        return cls(size, blocks, rest, _levels(groups))

    @cached_property
    def turned(self) -> csr_array:
        """The transpose of `rest`."""
        return csr_array(self.rest.T)

    def into(self, vector: np.ndarray) -> np.ndarray:
        """Return M times a vector."""
        result = np.asarray(self.rest @ vector, dtype=np.float64)
        for block in self.blocks:
            result[block.rows] += block.sums @ vector[block.columns]
        return result

    def out(self, vector: np.ndarray) -> np.ndarray:
        """Return the transpose of M times a vector."""
        result = np.asarray(self.turned @ vector, dtype=np.float64)
        for block in self.blocks:
            result[block.columns] += vector[block.rows] @ block.sums
        return result

    def within(self, kept: np.ndarray) -> Coupling:
        """Return M between some groups, those of a bool array, numbered anew; 0 stays 0."""
        place = np.cumsum(kept) - 1
        index = np.flatnonzero(kept)
        blocks = []
        for block in self.blocks:
            rows, columns = kept[block.rows], kept[block.columns]
            sums = block.sums
            if not (rows.all() and columns.all()):
                sums = sums[np.ix_(rows, columns)]
            if sums.size:
                own = place[block.rows[rows]], place[block.columns[columns]]
                blocks.append(Block(*own, sums))
        rest = csr_array(self.rest[index][:, index])
        levels = [place[level[kept[level]]] for level in self.levels]
        return Coupling(len(index), blocks, rest, [level for level in levels if len(level)])

    def lines(self, groups: np.ndarray, into: bool) -> csr_array:
        """Return M, or its transpose, with the rows of `groups` only, as a sparse matrix."""
        wanted = np.zeros(self.size, dtype=bool)
        wanted[groups] = True
        rest = (self.rest if into else self.turned).tocoo()
        kept = wanted[rest.row]
        parts = [(rest.row[kept], rest.col[kept], rest.data[kept])]
        for block in self.blocks:
            rows, columns = (block.rows, block.columns) if into else (block.columns, block.rows)
            some = np.flatnonzero(wanted[rows])
            sums = block.sums[some] if into else block.sums[:, some].T
            r, c = np.nonzero(sums)
            parts.append((rows[some][r], columns[c], sums[r, c]))
        r, c, data = (np.concatenate(part) for part in zip(*parts, strict=True))
        return csr_array((data, (r, c)), shape=(self.size, self.size))

    def reach(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which groups a path from group 0 reaches, and from which one leads to it."""
        return self._marked(True), self._marked(False)

    def _marked(self, forwards: bool) -> np.ndarray:
        marked = np.zeros(self.size, dtype=bool)
        marked[PINNED] = True
        lines = self.turned if forwards else self.rest  # a row leads to its columns
        blocks = self.blocks if forwards else self.blocks[::-1]
        before = -1
        while before != (now := int(marked.sum())):
            before = now
            marked |= _led_to(lines, marked)
            for block in blocks:
                if forwards:
                    marked[block.rows] |= block.sums @ marked[block.columns] > 0
                else:
                    marked[block.columns] |= marked[block.rows] @ block.sums > 0
        return marked


def _led_to(lines: csr_array, marked: np.ndarray) -> np.ndarray:
    """Return what the rows of a sparse matrix lead to, step by step, from those that are marked."""
    size = len(marked)
    starts = np.flatnonzero(marked)
    indices = np.concatenate([lines.indices, starts])
    pointers = np.concatenate([lines.indptr, [len(indices)]])
    graph = csr_array((np.ones(len(indices), np.int8), indices, pointers), shape=(size + 1,) * 2)
    order = breadth_first_order(graph, size, return_predecessors=False)
    found = np.zeros(size + 1, dtype=bool)
    found[order] = True
    return found[:size]


def _levels(groups: RescalingGroups) -> list[np.ndarray]:
    """Return the free groups by the number of layers with units before them."""
    depths: dict[str, int] = {}
    found: dict[int, list[np.ndarray]] = {}
    layers, units = groups.layers, groups.units
    for node in groups.network.nodes:
        above = max((depths[name] for name in node.inputs), default=0)
        depths[node.name] = above + (node.name in units)
        if node.name in layers:
            found.setdefault(depths[node.name], []).append(layers[node.name])
    return [np.concatenate(found[depth]) for depth in sorted(found)]


def _pieces(array: np.ndarray) -> Iterator[slice]:
    rows = max(1, _PIECE * len(array) // array.size)
    for start in range(0, len(array), rows):
        yield slice(start, start + rows)


def powers(array: np.ndarray, p: float) -> np.ndarray:
    """Return |array|^p in double precision."""
    sizes = np.abs(array).astype(np.float64)
    if p == 2:
        return np.multiply(sizes, sizes, out=sizes)
    return sizes if p == 1 else np.power(sizes, p, out=sizes)


def _block(array: np.ndarray, head: np.ndarray, tail: np.ndarray, p: float) -> Block | None:
    """Return a weight as a matrix, if each of its ends varies along one axis, and it is large."""
    if array.size < _DENSE or array.ndim < 2:
        return None
    axes = [[a for a in range(array.ndim) if x.shape[a] > 1] for x in (head, tail)]
    if any(len(a) != 1 for a in axes) or axes[0] == axes[1]:
        return None
    (up,), (down,) = axes
    rows, place = np.unique(head.ravel(), return_inverse=True)
    columns, where = np.unique(tail.ravel(), return_inverse=True)
    if len(rows) * len(columns) < _DENSE:
        return None
    sums = np.zeros((len(rows), len(columns)))
    single = len(columns) == len(where)
    if not single:
        ones = np.ones(len(where))
        gather = csr_array((ones, (np.arange(len(where)), where)), shape=(len(where), len(columns)))
    moved = np.moveaxis(array, (up, down), (0, 1))
    for piece in _pieces(moved):
        part = powers(moved[piece], p)
        part = part.reshape(*part.shape[:2], -1).sum(axis=2) if part.ndim > 2 else part
        if not single:
            part = np.asarray(part @ gather)
        elif len(where) and not np.array_equal(where, np.arange(len(where))):
            part = part[:, np.argsort(where)]
        if len(rows) == len(place):
            sums[place[piece]] = part
        else:
            np.add.at(sums, place[piece], part)
    same = np.isin(rows, columns)
    sums[same, np.searchsorted(columns, rows[same])] = 0.0
    return Block(rows, columns, sums)


def _sums(array: np.ndarray, head: np.ndarray, tail: np.ndarray, p: float) -> list[np.ndarray]:
    """Return head, tail and sum of |array|^p by labels, a few rows of the array at a time."""
    if array.ndim == 0:
        array, head, tail = array.reshape(1), head.reshape(1), tail.reshape(1)
    # Summing over axes on which neither label varies keeps the triples few.
    flat = tuple(a for a in range(array.ndim) if head.shape[a] == tail.shape[a] == 1)
    parts = []
    for piece in _pieces(array):
        values = powers(array[piece], p)
        varying = tuple(a for a in flat if a > 0 or len(array) == 1)
        values = values.sum(axis=varying, keepdims=True) if varying else values
        up, down = (x[piece] if x.shape[0] > 1 else x for x in (head, tail))
        row = np.broadcast_to(up, values.shape).ravel()
        column = np.broadcast_to(down, values.shape).ravel()
        kept = values.ravel() > 0
        parts.append((row[kept], column[kept], values.ravel()[kept]))
    if len(parts) == 1 and len(parts[0][0]) < _DENSE:
        return list(parts[0])
    size = int(max(head.max(), tail.max())) + 1
    joined = []
    for row, column, data in parts:
        joined.append(coo_array((data, (row, column)), shape=(size, size)).tocsr().tocoo())
    return [np.concatenate([getattr(x, n) for x in joined]) for n in ("row", "col", "data")]
