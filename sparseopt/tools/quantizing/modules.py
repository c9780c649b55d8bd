"""Quantization of torch modules in place: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import numpy as np

from sparseopt.choosing import offers
from sparseopt.interface.errors import ProblemError
from sparseopt.networks.network import Network
from sparseopt.quantization.number_format import NumberFormat
from sparseopt.tools.quantizing.kronecker import QuantizedFactors, as_array, put
from sparseopt.tools.quantizing.networks import Subject, Task, Way
from sparseopt.tools.quantizing.report import Quantization, QuantizedLayer
from sparseopt.tools.quantizing.rows import report_of
from sparseopt.tools.quantizing.storing import store, why_not
from sparseopt.tools.reading.loading import load_network
from sparseopt.tools.rescaling.in_place import PRODUCES


@dataclass(frozen=True, eq=False)
class Asked:
    """What a call of `quantize` is about.

    `store` says whether tensors get the dtype of the format, and `why_not_stored` why they do not
    where that was asked for.
    """

    subject: Any
    format: NumberFormat | None
    store: bool
    why_not_stored: str
    accuracy: Callable[[Any], float] | None
    example: Any

    def has_only(self, made: Sequence[QuantizedFactors]) -> bool:
        """Whether the module has parameters in these layers alone."""
        inside = {id(p) for one in made for p in one.layer.parameters()}
        return bool(made) and all(id(p) in inside for p in self.subject.parameters())

    def stored(self, module: Any) -> str:
        """Store a module in the dtype of the format if that is asked for; return why it is not."""
        if not self.store or self.format is None:
            return self.why_not_stored
        return store(module, self.format)

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
        before = [as_array(factor) for factor in layer.factors]
        self.undo.append(lambda: put(layer, before))
        one.put()
        if bias_form is not None and layer.bias is not None:
            held = layer.bias.detach()
            old = held.clone()
            self.undo.append(lambda: held.copy_(old))
            held.copy_(held.new_tensor(bias_form.round(as_array(held))))

    def assign(self, asked: Asked, subject: Subject, network: Network) -> None:
        """Give the module the parameters of a network, and see that it computes that."""
        tensors = {
            node.origin[name]: array
            for node in network.nodes
            for name, array in node.op.parameters().items()
            if name in node.origin
        }
        merged = [subject.given.by_name[scale].shifts[0] for scale in subject.merged]
        norms = [name.rpartition(".")[0] for name in merged]
        reader = offers.reader_of(asked.subject, PRODUCES)
        self.undo.append(reader.assign(asked.subject, tensors, norms))
        found = load_network(asked.subject, asked.example).parameters()
        for name, array in network.parameters().items():
            if name not in found or not np.array_equal(array, found[name]):
                raise ProblemError(
                    f"{name} of the changed {type(asked.subject).__name__} is not what was meant: "
                    "one of its tensors is used in another place too; load it by so.load_network "
                    "and work on the network"
                )


def quantize_factors(asked: Asked, made: Sequence[QuantizedFactors]) -> Quantization:
    """Quantize layers with factors in place, and nothing else."""
    if not made:
        kind = type(asked.subject).__name__
        raise ProblemError(
            f"a {kind} has no KroneckerLinear layer, and nothing else is to be quantized; see "
            "so.compress"
        )
    before, sizes = asked.measure(), [_bits(one) for one in made]
    with _Changes() as changes:
        for one in made:
            changes.put_factors(one, asked.format if asked.store else None)
        words = [asked.stored(one.layer) for one in made]
        rows = [
            _said(one.row(asked.format, size), word)
            for one, size, word in zip(made, sizes, words, strict=True)
        ]
        return Quantization(tuple(rows), before, asked.measure())


def quantize_module(
    asked: Asked,
    made: Sequence[QuantizedFactors],
    given: Network,
    batch: np.ndarray | None,
    way: Way,
) -> Quantization:
    """Quantize a module in place, layers with factors first."""
    before, sizes = asked.measure(), [_bits(one) for one in made]
    with _Changes() as changes:
        for one in made:
            changes.put_factors(one, asked.format if asked.store else None)
        constants: dict[str, np.ndarray] = {}
        if made:
            constants = _changed(given, load_network(asked.subject, asked.example))
        task = Task(Subject.of(given, in_place=True), constants, way)
        report = report_of(task, batch)
        assert report.network is not None
        changes.assign(asked, task.subject, report.network)
        word = asked.stored(asked.subject)
        factors = [one.row(asked.format, size) for one, size in zip(made, sizes, strict=True)]
        layers = [*factors, *(_measured(asked, row, report.network) for row in report.layers)]
        return replace(
            report,
            layers=tuple(_said(row, word) for row in layers),
            accuracy_before=before,
            accuracy_after=asked.measure(),
        )


def _bits(one: QuantizedFactors) -> int:
    """Return the bits of the factors of a layer as they are."""
    return sum(8 * f.element_size() * f.numel() for f in one.layer.factors)


def _changed(given: Network, now: Network) -> dict[str, np.ndarray]:
    """Return the parameters that quantized factors changed, where the layers are the same."""
    old, new = given.parameters(), now.parameters()
    if {n: a.shape for n, a in old.items()} != {n: a.shape for n, a in new.items()}:
        raise ProblemError(
            "the module computes in other steps once its factors are quantized; quantize the "
            "layers with factors alone: layers='kronecker'"
        )
    return {name: array for name, array in new.items() if not np.array_equal(array, old[name])}


def _measured(asked: Asked, row: QuantizedLayer, network: Network) -> QuantizedLayer:
    """Return the row of a layer with the bytes and the dtype of its tensors now."""
    held = dict(asked.subject.named_parameters(remove_duplicate=False))
    node = network.by_name.get(row.name.split(", ")[0])
    found = [held[tensor] for tensor in node.origin.values() if tensor in held] if node else []
    if not found:
        return row
    size = sum(t.element_size() * t.numel() for t in found)
    return replace(row, bytes=size, stored=str(found[0].dtype).removeprefix("torch."))


def _said(row: QuantizedLayer, word: str) -> QuantizedLayer:
    """Return the row with the reason that its values are not in the dtype of their format."""
    return replace(row, stored=f"{row.stored}: {word}") if word else row


def why_not_stored(subject: Any, form: NumberFormat | None, made: Any, example: Any) -> str:
    """Return why the module, or layers of it, cannot compute in the dtype of the format."""
    import torch

    if example is not None:
        operand = example if torch.is_tensor(example) else torch.as_tensor(np.asarray(example))
        return why_not(subject, form, operand)
    for one in made:
        some = one.layer.factors[0].detach()
        if why := why_not(one.layer, form, some.new_ones((1, one.layer.in_features))):
            return why
    return ""
