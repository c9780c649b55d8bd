"""Quantization of torch modules in place: all of it, or nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import numpy as np

from sparseopt.choosing import offers
from sparseopt.interface.context import Context
from sparseopt.interface.errors import ProblemError
from sparseopt.networks.network import Network
from sparseopt.quantization.number_format import NumberFormat
from sparseopt.tools.quantizing.codes import Rounding
from sparseopt.tools.quantizing.kronecker import (
    QuantizedFactors,
    as_array,
    held_factors,
    put,
    quantized_factors,
)
from sparseopt.tools.quantizing.networks import Subject, Task, Way
from sparseopt.tools.quantizing.report import Quantization, QuantizedLayer
from sparseopt.tools.quantizing.rows import report_of
from sparseopt.tools.quantizing.storing import store, why_not
from sparseopt.tools.reading.loading import load_network
from sparseopt.tools.rescaling.in_place import PRODUCES
from sparseopt.tools.tensor_order import of_tensor


@dataclass(frozen=True, eq=False)
class Call:
    """What a call of `quantize` is about.

    Attributes
    ----------
    subject : object
    format : NumberFormat or None
    found : list of (name, layer)
        Its layers with factors.
    store : bool
        Whether tensors are to get the dtype of the format.
    accuracy : callable or None
    example : array, tensor or None
    solver, options
        For the products of factors.
    relative_error : float or None
        Instead of the format.
    moments : list of float64 array, or None
        Of the inputs of the layers with factors, if these are weighed.
    context : Context
        Of the whole call.
    """

    subject: Any
    format: NumberFormat | None
    found: list[tuple[str, Any]]
    store: bool
    accuracy: Callable[[Any], float] | None
    example: Any
    solver: str | None
    options: dict[str, Any]
    relative_error: float | None
    moments: list[np.ndarray] | None
    context: Context

    @property
    def has_only_factors(self) -> bool:
        """Whether the subject is a module whose parameters are all in layers with factors."""
        inside = {id(p) for _, layer in self.found for p in layer.parameters()}
        return bool(self.found) and all(id(p) in inside for p in self.subject.parameters())

    def solved(self) -> list[QuantizedFactors]:
        """Return what is to become of the layers with factors."""
        how = (self.format, self.relative_error, self.solver)
        moments: list[Any] = [None] * len(self.found) if self.moments is None else self.moments
        sizes = [sum(f.numel() for f in layer.factors) for _, layer in self.found]
        solved = []
        for i, (name, layer) in enumerate(self.found):
            options = self.options
            if math.isfinite(self.context.remaining()):  # what is left, by the sizes of the layers
                share = self.context.remaining() * sizes[i] / sum(sizes[i:])
                options = options | {"time_limit": max(1e-3, share)}
            solved.append(quantized_factors(name, layer, *how, options, moments[i]))
        return solved

    def measure(self) -> float | None:
        """Return the accuracy of the subject as it is."""
        return None if self.accuracy is None else float(self.accuracy(self.subject))


@dataclass(eq=False)
class _Changes:
    """Changes of a module, undone if an error leaves the block."""

    undo: list[Callable[[], Any]] = field(default_factory=list)

    def __enter__(self) -> _Changes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for step in reversed(self.undo):
                step()

    def put_factors(self, one: QuantizedFactors, bias_form: NumberFormat | None) -> None:
        """Put quantized factors into their layer, and round its bias if a format is given."""
        layer = one.layer
        before = [as_array(factor) for factor in held_factors(layer)]
        self.undo.append(lambda: put(layer, before))
        one.put()
        if bias_form is not None and layer.bias is not None:
            held = layer.bias.detach()
            old = held.clone()
            self.undo.append(lambda: held.copy_(old))
            held.copy_(held.new_tensor(bias_form.round(as_array(held))))

    def store(self, module: Any, form: NumberFormat) -> str:
        """Give the tensors of a module the dtype of a format; return why they have it not."""
        tensors = [*module.parameters(), *module.buffers()]
        before = [tensor.data for tensor in tensors]

        def undo() -> None:
            for tensor, data in zip(tensors, before, strict=True):
                tensor.data = data

        self.undo.append(undo)
        return store(module, form)

    def assign(self, call: Call, subject: Subject, network: Network) -> None:
        """Give the module the parameters of a network, and see that it computes that."""
        tensors = {
            node.origin[name]: of_tensor(node, name, array).reshape(array.shape)
            for node in network.nodes
            for name, array in node.op.parameters().items()
            if name in node.origin
        }
        merged = [subject.given.by_name[scale].shifts[0] for scale in subject.merged]
        norms = [name.rpartition(".")[0] for name in merged]
        reader = offers.reader_of(call.subject, PRODUCES)
        self.undo.append(reader.assign(call.subject, tensors, norms))
        found = load_network(call.subject, call.example).parameters()
        for name, array in network.parameters().items():
            if name not in found or not np.array_equal(array, found[name]):
                raise ProblemError(
                    f"{name} of the changed {type(call.subject).__name__} is not what was meant: "
                    "one of its tensors is used in another place too; load it by so.load_network "
                    "and work on the network"
                )


def quantize_factors(call: Call) -> Quantization:
    """Quantize layers with factors in place, and nothing else."""
    if not call.found:
        raise ProblemError(
            f"a {type(call.subject).__name__} has no KroneckerLinear layer, and nothing else is to "
            "be quantized; see so.compress"
        )
    before, made, form = call.measure(), call.solved(), call.format
    with _Changes() as changes:
        rows = []
        for one in made:
            size, layer = one.bits, one.layer
            ones = layer.factors[0].detach().new_ones((1, layer.in_features))
            word = why_not(layer, form, ones) if call.store else ""
            is_stored = call.store and not word
            changes.put_factors(one, form if is_stored else None)
            if is_stored:
                assert form is not None
                word = changes.store(layer, form)
            rows.append(_said(one.row(form, size), word))
        return Quantization(tuple(rows), before, call.measure())


def quantize_module(call: Call, given: Network, batch: np.ndarray | None, way: Way) -> Quantization:
    """Quantize a module in place, layers with factors first."""
    assert call.format is not None
    _require_digits(call.subject)
    word = _why_not(call) if call.store else ""
    is_stored = call.store and not word
    if is_stored and way.bias_rounding is None:
        way = replace(way, bias_rounding=Rounding.of(call.format, "tensor"))
    before, made = call.measure(), call.solved()
    sizes = [one.bits for one in made]
    with _Changes() as changes:
        for one in made:
            changes.put_factors(one, call.format if is_stored else None)
        constants: dict[str, np.ndarray] = {}
        if made:
            constants = _changed(given, load_network(call.subject, call.example))
        task = Task(Subject.of(_apart(given, call.found), in_place=True), constants, way)
        report = report_of(task, batch)
        assert report.network is not None
        changes.assign(call, task.subject, report.network)
        if is_stored:
            word = changes.store(call.subject, call.format)
        factors = [one.row(call.format, size) for one, size in zip(made, sizes, strict=True)]
        layers = [*factors, *(_measured(call, row, report.network) for row in report.layers)]
        return replace(
            report,
            layers=tuple(_said(row, word) for row in layers),
            accuracy_before=before,
            accuracy_after=call.measure(),
        )


def _require_digits(module: Any) -> None:
    """Refuse parameters that do not hold values of a format times a scale."""
    for name, parameter in module.named_parameters():
        if parameter.is_floating_point() and parameter.element_size() < 4:
            raise ProblemError(
                f"the parameter {name!r} is of {parameter.dtype}, which does not hold rounded "
                "values times a scale; call module.float() first, and give store=True for a module "
                "in the format's own dtype"
            )


def _why_not(call: Call) -> str:
    """Return why the module cannot compute in the dtype of the format; empty if it can."""
    import torch

    example = call.example
    operand = example if torch.is_tensor(example) else torch.as_tensor(np.asarray(example))
    return why_not(call.subject, call.format, operand)


def _apart(network: Network, found: list[tuple[str, Any]]) -> Network:
    """Return the network with factors that name no tensor, so that they are left as they are."""
    factors = {
        f"{name}.factors.{place}".lstrip(".")
        for name, layer in found
        for place in range(len(layer.factors))
    }
    nodes = [
        replace(node, origin={}, layouts={}, tensor_shapes={})
        if factors.intersection(node.origin.values())
        else node
        for node in network.nodes
    ]
    return replace(network, nodes=tuple(nodes))


def _changed(given: Network, now: Network) -> dict[str, np.ndarray]:
    """Return the parameters that quantized factors changed, where the layers are the same."""
    old, new = given.parameters(), now.parameters()
    if {n: a.shape for n, a in old.items()} != {n: a.shape for n, a in new.items()}:
        raise ProblemError(
            "the module computes in other steps once its factors are quantized; quantize the "
            "layers with factors alone: layers='kronecker'"
        )
    return {name: array for name, array in new.items() if not np.array_equal(array, old[name])}


def _measured(call: Call, row: QuantizedLayer, network: Network) -> QuantizedLayer:
    """Return the row of a layer with the bytes and the dtype of its tensors now."""
    held = dict(call.subject.named_parameters(remove_duplicate=False))
    node = network.by_name.get(row.name.split(", ")[0])
    found = [held[tensor] for tensor in node.origin.values() if tensor in held] if node else []
    if not found:
        return row
    size = sum(t.element_size() * t.numel() for t in found)
    return replace(row, bytes=size, stored=str(found[0].dtype).removeprefix("torch."))


def _said(row: QuantizedLayer, word: str) -> QuantizedLayer:
    """Return the row with the reason that its values are not in the dtype of their format."""
    return replace(row, stored=f"{row.stored}: {word}") if word else row
