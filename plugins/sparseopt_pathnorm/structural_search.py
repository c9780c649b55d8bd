"""Directions in which parameters can move, found in the structure of a network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from scipy.sparse import csr_array

import sparseopt as so
from sparseopt.guarantees.families import (
    Family,
    Structure,
    described,
    direction,
)
from sparseopt.guarantees.modular import PRIME, of_entries
from sparseopt.guarantees.patterns import Pattern
from sparseopt.guarantees.wires import Layer, Wires
from sparseopt.interface.certificate import CheckFailed, Steps
from sparseopt_pathnorm.independence import independent

_MOST_MIXED = 24
"""Units of a layer up to which pairs of them are listed."""


def found_families(
    problem: so.Identifiability, pattern: Pattern | None
) -> tuple[list[Family], int]:
    """Return families whose conditions hold, and how many are independent of rescalings."""
    structure = Structure(problem.wires, pattern)
    steps, held, directions = Steps(), [], []
    for family in _candidates(structure):
        try:
            change = direction(steps, structure, family)
        except CheckFailed:
            continue
        held.append(family)
        directions.append(change)
    if not held:
        return [], 0
    count = independent(problem.wires, problem.scales, directions)
    kept = _reduced(problem, held, directions) if len(held) <= 400 else held
    return (kept, count) if count else ([], 0)


def without_rank(
    problem: so.Identifiability, families: list[Family]
) -> tuple[so.IdentifiabilityVerdict, so.StructuralCertificate]:
    """Return that a network is not identifiable from any data, without a rank."""
    none = np.zeros(0, dtype=np.int64)
    inputs = None if problem.inputs is not None else np.zeros((1, *problem.network.input_shape))
    evidence = so.RankEvidence(inputs, PRIME, none.reshape(0, 2), none)
    words = described(Structure(problem.wires, None), families)
    answer = problem.verdict("not_identifiable", 0, words)
    return answer, so.StructuralCertificate(problem, answer, evidence, tuple(families), True)


def _reduced(
    problem: so.Identifiability, held: list[Family], directions: list[dict[int, Fraction]]
) -> list[Family]:
    """Return the families that add to the number of independent directions, one after the other."""
    kept: list[int] = []
    best = 0
    for i in range(len(held)):
        count = independent(problem.wires, problem.scales, [directions[k] for k in [*kept, i]])
        if count > best:
            kept.append(i)
            best = count
    return [held[i] for i in kept]


def _candidates(structure: Structure) -> Iterator[Family]:
    wires = structure.wires
    constant = np.zeros(wires.count + 1, dtype=bool)
    constant[list(structure.constants)] = True
    unheard = np.zeros(wires.count + 1, dtype=bool)
    unheard[list(structure.unheard)] = True
    count = wires.parameters.count
    varies, heard, is_bias, used = (np.zeros(count, dtype=bool) for _ in range(4))
    for layer in wires.layers:
        heads, tails, entries = layer.edges
        column = wires.column[entries]
        free = column >= 0
        heads, tails, column = heads[free], tails[free], column[free]
        used[column] = True
        varies[column[~constant[tails]]] = True
        heard[column[~unheard[heads]]] = True
        is_bias[column[tails == -1]] = True
    for column in np.flatnonzero(used & ~varies).tolist():
        ends = structure.edges[column]
        yield Family("constant", (column,))
        if any(structure.constants[tail] for _, tail in ends):
            for bias in _biases(structure, ends[0][0]):
                yield Family("constant", (column, bias))
    zero = is_bias & wires.is_zero[wires.parameters.first]
    for column in np.flatnonzero(used & ~heard).tolist():
        yield Family("unheard", (column,))
    for column in np.flatnonzero(zero).tolist():
        yield Family("sink", (column,))
    yield from _copies(structure)
    yield from _passing(structure)


def _biases(structure: Structure, neuron: int) -> list[int]:
    """Return the parameter that is the bias of a linear neuron, if there is one."""
    wires = structure.wires
    layer = wires.layers[int(wires.layer_of[neuron])]
    entry = int(layer.bias[neuron - layer.start])
    column = int(wires.column[entry]) if entry >= 0 else -1
    return [column] if column >= 0 else []


def _copies(structure: Structure) -> Iterator[Family]:
    wires = structure.wires
    twins: dict[tuple[object, ...], list[int]] = defaultdict(list)
    keys: dict[int, tuple[object, ...]] = {}
    entries = of_entries(wires, PRIME)
    for layer in wires.layers:
        if layer.kind == "linear":
            keys.update(_directions(layer, wires, entries))
        elif layer.kind == "relu":
            for row, read in enumerate(layer.reads[:, 0].tolist()):
                if read in keys:
                    twins[keys[read]].append(layer.start + row)
    of_tail: dict[int, int] = {u: i for i, g in enumerate(twins.values()) for u in g if len(g) > 1}
    if not of_tail:
        return
    edges = structure.edges
    by_place: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for column, ends in sorted(edges.items()):
        if all(tail in of_tail for _, tail in ends):
            by_place[tuple(sorted((head, of_tail[tail]) for head, tail in ends))].append(column)
    for columns in by_place.values():
        for other in columns[1:]:
            yield Family("copies", (columns[0], other))


def _directions(
    layer: Layer, wires: Wires, entries: np.ndarray
) -> Iterator[tuple[int, tuple[object, ...]]]:
    """Yield the neurons of a linear layer with what positive multiples of one have in common:
    the tails, the ratios of the weights modulo a prime, and the sign of the first."""
    heads, tails, entry = layer.edges
    start, size = int(tails.min(initial=-1)), int(tails.max(initial=-1)) + 2
    place, shape = (heads - layer.start, tails - start), (layer.size, size - start)
    floats, rows = (csr_array((v[entry], place), shape=shape) for v in (wires.floats, entries))
    rows.data %= PRIME
    rows.eliminate_zeros()
    rows.sort_indices()
    for row in range(layer.size):
        part = slice(int(rows.indptr[row]), int(rows.indptr[row + 1]))
        held, places = rows.data[part], rows.indices[part]
        if len(held):
            ratios = held * pow(int(held[0]), -1, PRIME) % PRIME
            sign = bool(floats[row, int(places[0])] > 0)
            key = (start, sign, places.tobytes(), ratios.tobytes())
            yield layer.start + row, key


def _passing(structure: Structure) -> Iterator[Family]:
    """Yield shifts and mixes of units that are linear, or active at every given input."""
    wires = structure.wires
    reading: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for position, layer in enumerate(wires.layers):
        for row, cell in zip(*np.nonzero(layer.reads >= 0), strict=True):
            reading[int(layer.reads[row, cell])].append((position, int(row)))
    for layer in wires.layers:
        if layer.kind != "linear":
            continue
        units = []
        for unit in range(layer.start, layer.start + layer.size):
            readers = reading[unit]
            if readers and (structure.pattern is None or len(readers) > 1):
                continue
            if readers:
                position, row = readers[0]
                taken = structure.pattern.takes[position] if structure.pattern else np.empty(0)
                if wires.layers[position].kind != "relu" or not taken[row].all():
                    continue
            units.append(unit)
        yield from (Family("shift", (unit,)) for unit in units)
        if len(units) <= _MOST_MIXED:
            yield from (Family("mix", (u, v)) for u in units for v in units if u != v)
