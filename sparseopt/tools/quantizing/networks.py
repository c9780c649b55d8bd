"""A ReLU network rounded: scales merged, units rescaled, weights rounded, the change bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.interface.context import Context
from sparseopt.interface.errors import ProblemError
from sparseopt.networks.linear import Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.pathnorm.path_cost import weight_names
from sparseopt.tools.quantizing.alignment import alignment
from sparseopt.tools.quantizing.bounds import change_bound, is_same, rounding_to
from sparseopt.tools.quantizing.codes import Rounding
from sparseopt.tools.quantizing.landscape import Landscape, multipliers
from sparseopt.tools.quantizing.report import ChangeBound
from sparseopt.tools.quantizing.tensors import (
    Blocks,
    blocks_of,
    derivatives,
    in_blocks,
    out_of_blocks,
)
from sparseopt.tools.quantizing.unit_scales import (
    balanced,
    equalized,
    least_expected,
    normal_exponents,
)
from sparseopt.tools.rescaling.balance import living_weights
from sparseopt.tools.rescaling.factors import OutOfRange, rescaled
from sparseopt.tools.rescaling.groups import RescalingGroups

RESCALINGS = ("path", "equalization", "balance", "none")


@dataclass(frozen=True, eq=False)
class Subject:
    """A network made ready: scales merged, all in double precision.

    Attributes
    ----------
    given : Network
        As it was read.
    network : Network
        The same function to rounding.
    merged : dict of str to str
        Node of each scale that was merged, with the node that took it in.
    fixed : frozenset of str
        Parameters that keep their values, ``"node.field"``.
    in_place : bool
        Whether the parameters are tensors of an object that will be changed.
    """

    given: Network
    network: Network
    merged: dict[str, str]
    fixed: frozenset[str]
    in_place: bool

    @classmethod
    def of(cls, given: Network, in_place: bool) -> Subject:
        """Return the network ready; in place, with those scales merged whose layers hold them."""
        merged = absorbed(given)
        if merged and in_place and not _can_hold(given, merged):
            merged = {}
        network = _with_origins(given, merged) if merged else given
        arrays = {name: a.astype(np.float64) for name, a in network.parameters().items()}
        network = network.with_parameters(arrays)
        fixed = _without_tensor(network) if in_place else frozenset()
        return cls(given, network, merged, fixed, in_place)

    @cached_property
    def groups(self) -> RescalingGroups:
        """The groups of hidden units."""
        return RescalingGroups(self.network, self.fixed)

    @property
    def is_exact(self) -> bool:
        """Whether nothing was rounded on the way from the network as it was read."""
        return not self.merged and is_same(self.given.parameters(), self.network.parameters())

    @cached_property
    def weights(self) -> dict[str, list[str]]:
        """The tensors to be quantized, with the parameters that they are as they stand."""
        result: dict[str, list[str]] = {}
        arrays = self.network.parameters()
        for name, node in weight_names(self.network).items():
            if name not in self.reasons:
                tensor = self.network.by_name[node].origin.get("weight", name)
                uses = result.get(tensor)
                turned = uses is not None and not np.array_equal(arrays[uses[0]], arrays[name])
                result.setdefault(name if turned else tensor, []).append(name)
        return result

    @cached_property
    def reasons(self) -> dict[str, str]:
        """Weights that are left alone, and why."""
        return {
            name: "left alone: it is computed from other tensors of the module"
            for name in weight_names(self.network)
            if name in self.fixed
        }

    def stored_dtype(self, node: str) -> np.dtype:
        """Return the dtype of a node's parameters in the network as it was read."""
        parameters = self.given.by_name[node].op.parameters()
        dtype = next((a.dtype for a in parameters.values()), np.dtype(np.float64))
        return np.dtype(np.float64) if dtype.kind == "O" else dtype


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to round a network.

    Attributes
    ----------
    rescaling : str
    factors : float64 array, shape (1 + groups,)
    reference, quantized : Network
        Before and after rounding.
    scale_count : dict of str to int
        By tensor.
    bound : ChangeBound
    start : Network
        What `quantized` is compared with: the reference, or that in the layers of `quantized`.
    rounding : float
        How far it is off the network as it was read, see `rounding_to`; 0 if it is the same.
    """

    rescaling: str
    factors: np.ndarray
    reference: Network
    quantized: Network
    scale_count: dict[str, int]
    bound: ChangeBound
    start: Network
    rounding: float


@dataclass(frozen=True, eq=False)
class Way:
    """How a network is to be rounded.

    Attributes
    ----------
    rounding : Rounding
    bias_rounding : Rounding or None
        Of the biases of layers with weights; None: they keep their dtype.
    radius : float64 array
        Of the inputs.
    rescaling : str
        One of `RESCALINGS`.
    powers_of_two : bool
        Whether units are rescaled by powers of two only.
    context : Context
    """

    rounding: Rounding
    bias_rounding: Rounding | None
    radius: np.ndarray
    rescaling: str
    powers_of_two: bool
    context: Context


@dataclass(frozen=True, eq=False)
class Task:
    """A network, and how it is to be rounded.

    Attributes
    ----------
    subject : Subject
    constants : mapping of str to array
        Parameters that are other ones in the quantized network: factors quantized before.
    way : Way
    """

    subject: Subject
    constants: Mapping[str, np.ndarray]
    way: Way

    def candidate(self, rescaling: str) -> Candidate:
        """Return the network rounded after one of the rescalings."""
        if rescaling == "none":
            factors = np.ones(self.subject.groups.count + 1)
            return self._rounded(rescaling, factors, None)
        groups, shifts = self._normal_form()
        tensors = self._tensors(groups)
        landscape = None
        if rescaling == "path":
            landscape = self._searched(groups, tensors)
            factors = landscape.factors
        else:
            factors = balanced(groups) if rescaling == "balance" else equalized(groups, tensors)
            factors = _to_powers(factors) if self.way.powers_of_two else factors
        return self._rounded(rescaling, factors * np.exp2(shifts), landscape)

    def _normal_form(self) -> tuple[RescalingGroups, np.ndarray]:
        """Return the groups of the network rescaled by powers of two, and their exponents."""
        groups = self.subject.groups
        shifts = normal_exponents(groups, self.subject.network)
        return RescalingGroups(rescaled(groups, np.exp2(shifts)), self.subject.fixed), shifts

    def _tensors(self, groups: RescalingGroups) -> list[Blocks]:
        names = [name for uses in self.subject.weights.values() for name in uses]
        costs, _ = derivatives(groups.network, names, self.way.radius)
        living = living_weights(groups)
        weights = self.subject.weights
        by_channel = self.way.rounding.by_channel
        return blocks_of(groups.network, groups, weights, costs, living, by_channel)

    def _searched(self, groups: RescalingGroups, tensors: list[Blocks]) -> Landscape:
        """Return the least that is found from the least expected, and from the normal form."""
        way = self.way
        way.context.report(0.1, "rescaling units by path costs")
        start = least_expected(groups, tensors, way.rounding.scaled, way.context)
        start = _to_powers(start) if way.powers_of_two else start
        starts = (start, np.ones(groups.count + 1))
        best = min((Landscape.at(tensors, way.rounding, one) for one in starts), key=Landscape.cost)
        way.context.report(0.3, "looking for factors that round well")
        count = sum(tensor.weight.size for tensor in tensors)
        best.improve(groups, multipliers(way.rounding, count, way.powers_of_two), way.context)
        return best

    def _rounded(self, rescaling: str, factors: np.ndarray, found: Landscape | None) -> Candidate:
        """Return the candidate: with the scales that were found, or those of the peaks."""
        subject = self.subject
        asked = self.way.rescaling
        last = rescaling == asked or not self.subject.weights
        self.way.context.report(0.9 if last else 0.0, "bounding the change of the output")
        reference = rescaled(subject.groups, factors)
        arrays, rounded, counts = reference.parameters(), {}, {}
        for place, (tensor, names) in enumerate(subject.weights.items()):
            op = reference.by_name[names[0].rpartition(".")[0]].op
            values = in_blocks(op, arrays[names[0]], self.way.rounding.by_channel)
            if found is not None:
                values = np.where(found.tensors[place].weight != 0, values, 0.0)
            scales = self.way.rounding.peaks(values) if found is None else found.scales[place]
            result = self.way.rounding.rounded(values, scales)
            counts[tensor] = scales.size if self.way.rounding.scaled else 0
            shape = arrays[names[0]].shape
            for name in names:
                rounded[name] = out_of_blocks(op, result, shape, self.way.rounding.by_channel)
        rounded |= self._biases(reference)
        quantized = self._stored({**arrays, **rounded, **self.constants}, reference)
        exact = subject.is_exact and self._undone(reference, factors)
        start, rounding, moves = reference, 0.0, [factors]
        if self.constants:
            start, further = alignment(reference, quantized, self.constants)
            moves, exact = [factors, further], False
        if not exact:
            chain = max(Counter(subject.merged.values()).values(), default=0)
            rounding = rounding_to(subject.given, start, chain, *moves)
        bound = change_bound(subject.given, start, quantized, self.way.radius, rounding)
        return Candidate(rescaling, factors, reference, quantized, counts, bound, start, rounding)

    def _biases(self, reference: Network) -> dict[str, np.ndarray]:
        """Return the rounded biases, if they are to be rounded."""
        if self.way.bias_rounding is None:
            return {}
        arrays = reference.parameters()
        result = {}
        for name in self.bias_names:
            values = arrays[name].reshape(1, -1)
            rounded = self.way.bias_rounding.rounded(values, self.way.bias_rounding.peaks(values))
            result[name] = rounded.reshape(arrays[name].shape)
        return result

    @cached_property
    def bias_names(self) -> list[str]:
        """The biases that are rounded if any are."""
        arrays = self.subject.network.parameters()
        names = [
            f"{n.rpartition('.')[0]}.bias" for uses in self.subject.weights.values() for n in uses
        ]
        return [name for name in names if name in arrays and name not in self.subject.fixed]

    def _stored(self, arrays: Mapping[str, np.ndarray], reference: Network) -> Network:
        """Return the network with these parameters in the dtypes of the one that was read."""
        stored = {}
        for name, array in arrays.items():
            dtype = self.subject.stored_dtype(name.rpartition(".")[0])
            with np.errstate(over="ignore"):
                stored[name] = array.astype(dtype)
            if not np.isfinite(stored[name]).all():
                raise ProblemError(f"the rounded values of {name} leave the range of {dtype}")
        return reference.with_parameters(stored)

    def _undone(self, reference: Network, factors: np.ndarray) -> bool:
        """Whether the factors are powers of two that lost no bit."""
        if not np.all(np.frexp(factors)[0] == 0.5):
            return False
        groups = RescalingGroups(reference, self.subject.fixed)
        back = rescaled(groups, 1.0 / factors)
        return is_same(back.parameters(), self.subject.network.parameters())


def choose(task: Task) -> tuple[Candidate, Candidate]:
    """Return the candidate that was asked for, and plain rounding; of both the one with the smaller
    bound where rescaling by path costs is asked for."""
    nearest = task.candidate("none")
    rescaling = task.way.rescaling
    if rescaling == "none" or not task.subject.weights:
        return nearest, nearest
    try:
        asked = task.candidate(rescaling)
    except OutOfRange:
        if rescaling == "path":
            return nearest, nearest
        raise
    if rescaling == "path" and nearest.bound.value < asked.bound.value:
        return nearest, nearest
    return asked, nearest


def _to_powers(factors: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp2(np.round(np.log2(factors))))


def absorbed(given: Network) -> dict[str, str]:
    """Return the scales that merging takes away, with the layers that take them in."""
    kept = {node.name for node in given.merged.nodes}
    result: dict[str, str] = {}
    for node in given.nodes:
        if isinstance(node.op, Scale) and node.name in given.used and node.name not in kept:
            source = node.inputs[0]
            result[node.name] = result.get(source, source)
    return result


def _can_hold(given: Network, merged: Mapping[str, str]) -> bool:
    """Whether the scales are normalizations, each behind a layer with a weight of its own."""
    tied = set(given.tied)
    for scale, target in merged.items():
        weight = given.by_name[target].origin.get("weight")
        if weight is None or weight in tied or not given.by_name[scale].shifts:
            return False
    return True


def _with_origins(given: Network, merged: Mapping[str, str]) -> Network:
    """Return the merged network with the tensors that hold its parameters, or are to hold them."""
    takers = set(merged.values())
    nodes: list[Node] = []
    for node in given.merged.nodes:
        weight = given.by_name[node.name].origin.get("weight") if node.name in takers else None
        # One tensor in two places is two once each has taken in a scale of its own.
        if weight is not None and weight not in given.tied:
            bias = given.by_name[node.name].origin.get("bias", f"{weight.rpartition('.')[0]}.bias")
            own = {"weight": weight}
            node = replace(node, origin=own | ({"bias": bias} if node.op.has("bias") else {}))
        nodes.append(node)
    return replace(given.merged, nodes=tuple(nodes))


def _without_tensor(network: Network) -> frozenset[str]:
    """Return the parameters that are no tensors of the source."""
    return frozenset(
        f"{node.name}.{field}"
        for node in network.nodes
        for field, array in node.op.parameters().items()
        if field not in node.origin and np.any(array)
    )


def relative(rounded: Any, values: Any) -> float:
    """Return the relative distance in the Frobenius norm; 0 for zeros."""
    peak = float(np.abs(values).max(initial=0.0))
    if not peak:
        return 0.0
    wide = np.asarray(values, dtype=np.float64) / peak
    apart = np.asarray(rounded, dtype=np.float64) / peak - wide
    return float(np.linalg.norm(apart) / np.linalg.norm(wide))
