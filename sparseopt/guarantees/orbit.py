"""The dimension of the rescalings of a network, and whether one network is a rescaling of another.

A rescaling multiplies what each neuron holds by exp(z): inputs and outputs keep z = 0, and so do
both ends of an edge that is a constant. A parameter on an edge from t to h is multiplied by
exp(z_h - z_t), which must be the same on all its edges; a bias counts as an edge from a neuron
with z = 0. These are the equations E z = 0. None of them ties others to a neuron that holds 0
whatever the parameters: no constant, pool or ReLU that reads it, and no parameter but one that
leaves such neurons only. The orbit is what the solutions do to the parameters that are not 0: its
dimension is the rank of ``z -> (z_h - z_t)`` on the kernel of E.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sparseopt.guarantees.wires import Wires
from sparseopt.interface.errors import ProblemError
from sparseopt.judging import exact

_MOST = 400
"""Unknowns of equations that are left over, from tensors that a path meets twice."""


@dataclass(frozen=True, eq=False)
class Scales:
    """Neurons by their z.

    Attributes
    ----------
    label : int array, shape (1 + neurons,)
        Class of each neuron, behind that of the pinned one, which is 0.
    heads, tails : int arrays, shape (parameters,)
        Classes at the ends of an edge of each parameter.
    equations : list of (int, int, int, int)
        Classes with z_a - z_b = z_c - z_d that are not merged.
    """

    label: np.ndarray
    heads: np.ndarray
    tails: np.ndarray
    equations: list[tuple[int, int, int, int]]

    def dimension(self, live: np.ndarray) -> int:
        """Return the dimension of the orbit, with the parameters that are not 0."""
        ends = np.stack([self.heads[live], self.tails[live]])
        size = int(self.label.max()) + 1
        if not self.equations:
            return size - _components(ends, size)[0]
        used = np.unique([*np.array(self.equations).ravel(), *ends.ravel()])
        if len(used) > _MOST:
            raise ProblemError(
                f"tensors that paths meet twice leave {len(used)} unknown scales; up to {_MOST} "
                "are solved for"
            )
        rows = [_row(equation, size) for equation in self.equations]
        differences = [_row((a, b, 0, 0), size) for a, b in np.unique(ends, axis=1).T.tolist()]
        return exact.rank([*rows, *differences]) - exact.rank(rows)


def _row(equation: tuple[int, int, int, int], size: int) -> list[int]:
    row = [0] * size
    for place, sign in zip(equation, (1, -1, -1, 1), strict=True):
        row[place] += sign
    return row[1:]


def _components(ends: np.ndarray, size: int) -> tuple[int, np.ndarray]:
    pairs = coo_array((np.ones(ends.shape[1], dtype=bool), tuple(ends)), shape=(size, size))
    count, label = connected_components(pairs, directed=False)
    return int(count), label


def scales(wires: Wires, ignore_zeros: bool = False) -> Scales:
    """Return the classes of neurons with one z each.

    Parameters
    ----------
    wires : Wires
    ignore_zeros : bool
        Whether parameters that are 0 set no equations: more rescalings, for proofs that there is
        none. Nothing sets any with what holds 0 whatever the other parameters.
    """
    size = wires.count + 1
    outputs = wires.outputs[wires.outputs >= 0] + 1
    pinned = np.concatenate([np.arange(1, wires.inputs + 1), outputs])
    fixed, edges = [np.stack([pinned, np.zeros_like(pinned)])], []
    fed, nearby = _fed(wires, ignore_zeros), _fed(wires, False)
    for layer in wires.layers:
        place = np.nonzero(fed[layer.reads + 1] & (layer.reads >= 0))
        fixed.append(np.stack([place[0] + layer.start, layer.reads[place]]) + 1)
        head, tail, entry = layer.edges
        kept = ~(ignore_zeros & wires.is_zero[entry])
        edges.append(np.stack([head + 1, tail + 1, wires.column[entry]])[:, kept])
    _, tail, column = found = np.concatenate(edges, axis=1)
    ties = np.concatenate([*fixed, found[:2, (column < 0) & fed[tail]]], axis=1)
    live = nearby[tail]
    # Edges out of what holds 0 say nothing of a parameter that has others.
    kept = (column >= 0) & (live | ~np.isin(column, column[live]))
    return _merged(wires.parameters.count, ties, size, found[:, kept], live[kept])


def _fed(wires: Wires, ignore_zeros: bool) -> np.ndarray:
    """Return which neurons can be other than 0, behind True for what biases are multiplied with."""
    fed = np.arange(wires.count + 1) <= wires.inputs
    for layer in wires.layers:
        if layer.kind != "linear":
            live = fed[layer.reads + 1] & (layer.reads >= 0)
            fed[layer.start + 1 :][: layer.size] = live.any(axis=1)
        head, tail, entry = layer.edges
        fed[head[fed[tail + 1] & ~(ignore_zeros & wires.is_zero[entry])] + 1] = True
    return fed


def _merged(
    count: int, fixed: np.ndarray, size: int, edges: np.ndarray, live: np.ndarray
) -> Scales:
    """Merge neurons of one z until nothing more follows from two ends of one parameter.

    Edges that are not live leave what holds 0: they tie that to itself, and nothing else.
    """
    head, tail, column = edges
    first = np.zeros(count, dtype=np.int64)
    first[column[::-1]] = np.arange(len(column))[::-1]
    other_head, other_tail = head[first[column]], tail[first[column]]
    while True:
        _, label = _components(fixed, size)
        same = [label[head] == label[other_head], label[tail] == label[other_tail]]
        apart = live & ~same[0]
        news = [(same[1] & apart, head, other_head), (same[0] & ~same[1], tail, other_tail)]
        if not any(new.any() for new, _, _ in news):
            break
        fixed = np.concatenate([fixed, *(np.stack([a[n], b[n]]) for n, a, b in news)], axis=1)
    label = np.where(label == label[0], 0, np.where(label == 0, label[0], label))
    parts = (head, tail, other_head, other_tail)
    rows = np.unique(np.stack([label[part[apart]] for part in parts], axis=1), axis=0)
    at_head, at_tail = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    at_head[column], at_tail[column] = label[other_head], label[other_tail]
    return Scales(label, at_head, at_tail, [tuple(row) for row in rows.tolist()])


def is_moved(wires: Wires, old: Sequence[Fraction], new: Mapping[int, Fraction]) -> bool:
    """Return whether parameters with new values are no rescaling of the old ones.

    Parameters
    ----------
    wires : Wires
    old : sequence of Fraction
        The values of those in `new`, in its order.
    new : mapping from parameter to Fraction
        None of another sign than before.
    """
    # What padding is multiplied with may have any ratio, since padding may have any scale.
    anything = wires.is_zero[wires.parameters.first] | wires.unused
    ratios: list[Fraction | None] = [None if free else Fraction(1) for free in anything]
    for (column, value), before in zip(new.items(), old, strict=True):
        if before == 0 != value:
            return True
        if not anything[column]:
            ratios[column] = value / before
    return not is_rescaled(scales(wires, ignore_zeros=True), ratios)


def is_rescaled(scales: Scales, ratios: list[Fraction | None]) -> bool:
    """Return whether z exist with ``exp(z_h - z_t)`` equal to a ratio for each parameter.

    None where both values are 0, or any ratio will do. The equations that are not merged are left
    out, so that "no" is true with them as well.
    """
    size = int(scales.label.max()) + 1
    ones = np.array([ratio == 1 for ratio in ratios], dtype=bool)
    ends = np.stack([scales.heads, scales.tails])
    _, part = _components(ends[:, ones], size)
    joined: dict[int, list[tuple[int, Fraction]]] = {}
    for column, ratio in enumerate(ratios):
        if ratio is not None and ratio != 1:
            h, t = int(part[ends[0, column]]), int(part[ends[1, column]])
            joined.setdefault(t, []).append((h, ratio))
            joined.setdefault(h, []).append((t, 1 / ratio))
    known: dict[int, Fraction] = {}
    for root in joined:
        if root in known:
            continue
        known[root], pending = Fraction(1), [root]
        while pending:
            at = pending.pop()
            for other, ratio in joined[at]:
                if other not in known:
                    known[other] = known[at] * ratio
                    pending.append(other)
                elif known[other] != known[at] * ratio:
                    return False
    return True
