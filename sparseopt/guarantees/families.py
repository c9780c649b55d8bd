"""Directions in which parameters move without any change of the outputs, seen in the structure.

Each kind is exact, not of first order: a statement and its proof stand at its rule. They hold for
all inputs, or for given ones where what a unit does at these is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.guarantees.patterns import Pattern
from sparseopt.guarantees.wires import Layer, Wires
from sparseopt.interface.certificate import Steps
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.pathnorm.effort import Effort, of_sums

Direction = dict[int, Fraction]
"""Change of each parameter that moves."""

KINDS = ("constant", "unheard", "sink", "copies", "shift", "mix")


@json_type
@dataclass(frozen=True, eq=False)
class Family:
    """One direction.

    Parameters
    ----------
    kind : {"constant", "unheard", "sink", "copies", "shift", "mix"}
    places : tuple of int
        Neurons for "shift" and "mix", parameters by number for the others.
    """

    kind: str
    places: tuple[int, ...]

    def __post_init__(self) -> None:
        places = tuple(self.places)
        counts = {"constant": (1, 2), "copies": (2,), "mix": (2,)}
        whole = all(type(place) is int for place in places)
        if self.kind not in KINDS or len(places) not in counts.get(self.kind, (1,)) or not whole:
            raise ProblemError(f"a family is one of {KINDS} with the numbers of its places")
        object.__setattr__(self, "places", places)


class Structure:
    """What neurons hold whatever the input, or at all given ones.

    Parameters
    ----------
    wires : Wires
    pattern : Pattern or None
        At the given inputs; None: nothing is known of the inputs.
    """

    def __init__(self, wires: Wires, pattern: Pattern | None) -> None:
        self.wires, self.pattern, self._effort = wires, pattern, Effort()

    def _acts(self, position: int, row: int) -> tuple[bool, bool]:
        """Return whether a ReLU is active at every given input, and whether strictly at none."""
        if self.pattern is None:
            return False, False
        layer, taken = self.wires.layers[position], self.pattern.takes[position][row]
        return bool(taken.all()), not taken.any() and layer.start + row not in self.pattern.doubtful

    @cached_property
    def constants(self) -> dict[int, Fraction]:
        """The neurons that hold one number, with it."""
        wires, known = self.wires, {-1: Fraction(1)}
        for position, layer in enumerate(wires.layers):
            if layer.kind == "linear":
                self._constant_sums(layer, known)
                continue
            for row, reads in enumerate(layer.reads.tolist()):
                cells = [known.get(r) for r in reads if r >= 0]
                if all(cell is not None for cell in cells) and cells:
                    held = sorted(cells, reverse=True)[layer.rank - 1]  # type: ignore[type-var]
                    value = max(held, Fraction(0)) if layer.kind == "relu" else held  # type: ignore[type-var]
                    known[layer.start + row] = value  # type: ignore[assignment]
                elif layer.kind == "relu" and self._is_silent(position, row):
                    known[layer.start + row] = Fraction(0)
        del known[-1]  # what biases are multiplied with
        return known

    def _is_silent(self, position: int, row: int) -> bool:
        return self.pattern is not None and not self.pattern.takes[position][row].any()

    def _constant_sums(self, layer: Layer, known: dict[int, Fraction]) -> None:
        live = ~self.wires.is_zero[layer.edges[2]]
        heads, tails, entries = (part[live] for part in layer.edges)
        moved = heads[~np.isin(tails, list(known))]
        still = np.setdiff1d(np.arange(layer.start, layer.start + layer.size), moved)
        sums = {neuron: Fraction(0) for neuron in still.tolist()}
        for place in np.flatnonzero(np.isin(heads, still)).tolist():
            head, weight = int(heads[place]), Fraction(self.wires.exact[entries[place]])
            sums[head] += weight * known[int(tails[place])]
            self._effort.spend(of_sums([sums[head]]))
        known.update(sums)

    @cached_property
    def unheard(self) -> set[int]:
        """The neurons that may change a little without a change of the outputs."""
        wires = self.wires
        heard = np.zeros(wires.count, dtype=bool)
        heard[wires.outputs[wires.outputs >= 0]] = True
        for position in range(len(wires.layers) - 1, -1, -1):
            layer = wires.layers[position]
            if layer.kind == "linear":
                live = heard[layer.heads] & ~wires.is_zero[layer.entries]
                heard[layer.tails[live]] = True
                continue
            for row in np.flatnonzero(heard[layer.own]).tolist():
                reads = layer.reads[row][layer.reads[row] >= 0]
                if layer.kind == "relu" and self.is_shut(position, row):
                    continue
                heard[reads] = True
        return set(np.flatnonzero(~heard).tolist())

    def is_shut(self, position: int, row: int) -> bool:
        """Whether a ReLU reads what is below 0, whatever the input or at all given ones."""
        read = int(self.wires.layers[position].reads[row, 0])
        below = read in self.constants and self.constants[read] < 0
        return below or self._acts(position, row)[1]

    @cached_property
    def edges(self) -> dict[int, list[tuple[int, int]]]:
        """The edges (head, tail) of each parameter, of constants at -1; a bias has tail -1."""
        found: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for layer in self.wires.layers:
            heads, tails, entries = layer.edges
            columns = self.wires.column[entries].tolist()
            for column, *ends in zip(columns, heads.tolist(), tails.tolist(), strict=True):
                found[column].append(tuple(ends))
        return found

    def row(self, neuron: int) -> dict[int, Fraction]:
        """Return the weights into a linear neuron that are not 0, by tail; its bias at -1."""
        row: dict[int, Fraction] = defaultdict(Fraction)
        if self.wires.layer_of[neuron] >= 0:
            for tail, entry in _incoming(self.wires, neuron):
                row[tail] += Fraction(self.wires.exact[entry])
        return {tail: value for tail, value in row.items() if value}

    def passes(self, neuron: int) -> tuple[int, list[tuple[int, int, int]]] | None:
        """Return the neuron that holds what a linear neuron does, and the edges out of it.

        That is the neuron itself, or the only ReLU that reads it, if active at every given input.
        An edge is (head, layer, place in the layer). None for any other reader, and for outputs.
        """
        position = int(self.wires.layer_of[neuron])
        if position < 0 or self.wires.layers[position].kind != "linear":
            return None
        layers, end = list(enumerate(self.wires.layers)), neuron
        readers = [(p, int(row)) for p, x in layers for row in np.nonzero(x.reads == neuron)[0]]
        if readers:
            (position, row), *more = readers
            layer = self.wires.layers[position]
            if more or layer.kind != "relu" or not self._acts(position, row)[0]:
                return None
            end = layer.start + row
            if any((x.reads == end).any() or (x.tails == neuron).any() for _, x in layers):
                return None
        if end in self.wires.outputs or neuron in self.wires.outputs:
            return None
        places = [(p, x, int(i)) for p, x in layers for i in np.flatnonzero(x.tails == end)]
        return end, [(int(layer.heads[i]), position, i) for position, layer, i in places]


def direction(steps: Steps, structure: Structure, family: Family) -> Direction:
    """Return the direction of a family; refuse one whose conditions do not hold."""
    wires, of_neurons = structure.wires, family.kind in ("shift", "mix")
    ends = wires.count if of_neurons else wires.parameters.count
    inside = all(0 <= place < ends for place in family.places)
    inside = inside and (of_neurons or all(map(structure.edges.get, family.places)))
    steps.require(inside, "families name neurons, and parameters on edges, of the network")
    return _RULES[family.kind](steps, structure, *family.places)


def _constant(steps: Steps, structure: Structure, weight: int, bias: int = -1) -> Direction:
    """A weight all of whose edges leave neurons that hold one number each may move if a bias makes
    up for it, or if these numbers are 0: at every neuron that the two reach, they add 0."""
    known, added = structure.constants, defaultdict[int, Fraction](Fraction)
    tails = [tail for _, tail in structure.edges[weight]]
    steps.require(all(tail in known for tail in tails), "a weight leaves constant units only")
    for head, tail in structure.edges[weight]:
        added[head] += known[tail]
    moved = next((a for a in added.values() if a), Fraction(0))
    for head, tail in structure.edges[bias] if bias >= 0 else ():
        steps.require(tail == -1, "a bias makes up for the weight out of a constant unit")
        added[head] -= moved
    steps.require(not any(added.values()), "what a constant unit adds is made up for")
    return {weight: Fraction(1), bias: -moved} if bias >= 0 else {weight: Fraction(1)}


def _unheard(steps: Steps, structure: Structure, column: int) -> Direction:
    """A parameter of neurons whose changes reach no output may move: every edge on the way is 0,
    or ends in a ReLU that stays below 0."""
    heads = [head for head, _ in structure.edges[column]]
    steps.require(
        all(head in structure.unheard for head in heads), "what a parameter moves is not heard"
    )
    return {column: Fraction(1)}


def _sink(steps: Steps, structure: Structure, column: int) -> Direction:
    """The bias of a unit that it alone feeds may fall from 0, if only ReLUs read the unit."""
    edges, wires = structure.edges[column], structure.wires
    steps.require(len(edges) == 1 and edges[0][1] == -1, "a bias of one unit falls")
    unit = edges[0][0]
    readers = [x.kind for x in wires.layers if (x.reads == unit).any() or (x.tails == unit).any()]
    heard = set(readers) != {"relu"} or unit in wires.outputs
    steps.require(not structure.row(unit) and not heard, "only ReLUs read a unit that is 0")
    return {column: Fraction(-1)}


def _copies(steps: Steps, structure: Structure, one: int, other: int) -> Direction:
    """Weights to the same neurons from units u and v with v = c u, c > 0, may move against each
    other: c to the one out of u and -1 to the one out of v adds c u - v = 0."""
    pairs = [sorted(structure.edges[column]) for column in (one, other)]
    both = zip(*pairs, strict=False)
    factors = {_factor(structure, u, v) if h == g else None for (h, u), (g, v) in both}
    factor: Any = factors.pop() if len(factors) == 1 else None
    same = one != other and len(pairs[0]) == len(pairs[1])
    steps.require(same and factor is not None, "two weights leave copies of one unit")
    return {one: factor, other: Fraction(-1)}


def _factor(structure: Structure, u: int, v: int) -> Fraction | None:
    """Return c > 0 with v = c u for two ReLUs of linear neurons, or None."""
    rows = []
    for neuron in (u, v):
        position = int(structure.wires.layer_of[neuron]) if neuron >= 0 else -1
        layer = structure.wires.layers[position]
        if position < 0 or layer.kind != "relu":
            return None
        row = structure.row(int(layer.reads[neuron - layer.start, 0]))
        if not row:
            return None
        rows.append(row)
    first, second = rows
    if first.keys() != second.keys():
        return None
    ratios = {second[key] / first[key] for key in first}
    factor = ratios.pop()
    return factor if not ratios and factor > 0 else None


def _shift(steps: Steps, structure: Structure, unit: int) -> Direction:
    """The bias of a unit that passes on linearly may grow by c, if the biases of the neurons that
    it leads to fall by the weight times c: these hold what they held."""
    found: Any
    wires, found = structure.wires, structure.passes(unit)
    steps.require(found is not None, "a unit passes on linearly what it holds")
    change = {_own(steps, structure, _bias(wires, unit), "bias"): Fraction(1)}
    for head, position, place in found[1]:
        weight = Fraction(wires.exact[wires.layers[position].entries[place]])
        if weight:
            bias = _own(steps, structure, _bias(wires, head), "bias")
            change[bias] = change.get(bias, Fraction(0)) - weight
    return change


def _mix(steps: Steps, structure: Structure, unit: int, other: int) -> Direction:
    """Of two units that pass on linearly, u may take up t times v, if every neuron that u leads to
    takes t times its weight less of v: with M = 1 + t E_uv, rows M W and weights W' M^-1."""
    wires = structure.wires
    ends: Any = [structure.passes(neuron) for neuron in (unit, other)]
    steps.require(unit != other and None not in ends, "two units pass on linearly what they hold")
    edges = [_incoming(wires, neuron) for neuron in (other, unit)]
    into = [dict(found) for found in edges]
    out = [{h: int(wires.layers[p].entries[i]) for h, p, i in found} for _, found in ends]
    alone = all(len(x) == len(found) for x, (_, found) in zip(out, ends, strict=True))
    alone = alone and all(len(x) == len(found) for x, found in zip(into, edges, strict=True))
    steps.require(alone, "a unit has one edge to each neuron, and one from each")
    change: Direction = defaultdict(Fraction)
    for (source, target), sign in ((into, 1), (out, -1)):
        for place, entry in source.items():
            if not wires.is_zero[entry]:
                column = _own(steps, structure, target.get(place, -1), "weight")
                change[column] += sign * Fraction(wires.exact[entry])
    return change


def _bias(wires: Wires, neuron: int) -> int:
    layer = wires.layers[int(wires.layer_of[neuron])]
    return int(layer.bias[neuron - layer.start]) if layer.kind == "linear" else -1


def _incoming(wires: Wires, neuron: int) -> list[tuple[int, int]]:
    """Return the edges into a linear neuron as (tail, entry), the bias with tail -1."""
    heads, tails, entries = wires.layers[int(wires.layer_of[neuron])].edges
    place = np.flatnonzero(heads == neuron)
    return list(zip(tails[place].tolist(), entries[place].tolist(), strict=True))


def _own(steps: Steps, structure: Structure, entry: int, what: str) -> int:
    """Return the parameter of an entry that is free and on one edge only."""
    column = int(structure.wires.column[entry]) if entry >= 0 else -1
    alone = column >= 0 and len(structure.edges[column]) == 1
    steps.require(alone, f"a {what} that moves is a parameter of one edge")
    return column


_RULES: dict[str, Callable[..., Direction]] = {
    "constant": _constant,
    "unheard": _unheard,
    "sink": _sink,
    "copies": _copies,
    "shift": _shift,
    "mix": _mix,
}
_WORDS = {
    "constant": "{count} weight{s} out of {which}, constant",
    "unheard": "{count} parameter{s} into {which}, which no output hears",
    "sink": "the bias{es} of {which}, 0 with nothing else coming in",
    "copies": "weights out of {which}, which are copies of each other",
    "shift": "the bias{es} of {which}, {always}",
    "mix": "{count} combination{s} of {which}, {always}",
}


def described(structure: Structure, families: Sequence[Family]) -> tuple[str, ...]:
    """Return in words what moves, for each kind and layer."""
    groups: dict[tuple[str, str], list[Family]] = defaultdict(list)
    for family in families:
        groups[family.kind, _layer_name(structure, family)].append(family)
    return tuple(_words(structure, *key, group) for key, group in groups.items())


def _unit(structure: Structure, family: Family) -> int:
    """Return the linear neuron that a family is about, or a neuron of the input."""
    if family.kind in ("shift", "mix"):
        return family.places[0]
    head, tail = structure.edges[family.places[0]][0]
    unit = tail if family.kind in ("constant", "copies") else head
    layer = structure.wires.layers[int(structure.wires.layer_of[unit])]
    return int(layer.reads[unit - layer.start, 0]) if layer.kind == "relu" else unit


def _layer_name(structure: Structure, family: Family) -> str:
    position = int(structure.wires.layer_of[_unit(structure, family)])
    name = "" if position < 0 else structure.wires.layers[position].name
    # A name is the file's: in a claim it is quoted, and short.
    shown = repr(name) if len(name) <= 80 else f"{name[:40]!r}... (layer {position})"
    return "the input" if position < 0 else shown


def _words(structure: Structure, kind: str, layer: str, group: list[Family]) -> str:
    units = {_unit(structure, family) for family in group}
    if kind in ("copies", "mix"):
        units |= {_unit(structure, Family(kind, family.places[::-1])) for family in group}
    # What moves, each once, however often and with whatever bias a family is given.
    moved = {family.places[: 1 + (kind == "mix")] for family in group}
    wires, count = structure.wires, len(moved)
    shown = sorted(unit - wires.start_of(unit) for unit in units)
    names = ", ".join(map(str, shown[:12])) + (", ..." if len(shown) > 12 else "")
    which = f"unit{'s' * (len(units) > 1)} {names} of {layer}"
    active = any((x.reads == unit).any() for x in wires.layers for unit in units)
    always = "active at every input" if active else "which linear layers in a row read: merge these"
    s = "s" * (count > 1)
    return _WORDS[kind].format(count=count, which=which, always=always, s=s, es="e" * len(s) + s)
