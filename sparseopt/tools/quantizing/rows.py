"""From the rounded network to the report on it."""

from __future__ import annotations

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.plan import SolveError
from sparseopt.tools.change_ends import ChangeEnds
from sparseopt.tools.quantizing.bounds import both_ends, measured, outputs
from sparseopt.tools.quantizing.networks import Candidate, Task, choose, relative
from sparseopt.tools.quantizing.report import Quantization, QuantizedLayer

_EXPONENT = 8
"""Bits of the exponent that a value of F_t is counted with."""
_SCALE_BITS = {None: 0, "free": 32, "power_of_two": 8}


def report_of(task: Task, batch: np.ndarray | None) -> Quantization:
    """Return the report on a network, from the best way to round it."""
    subject = task.subject
    if not subject.weights and not task.constants:
        raise ProblemError("the network has no weights of dense or convolutional layers to round")
    best, nearest = choose(task)
    notes = _notes(task)
    ends: ChangeEnds | None = None
    if batch is not None:
        try:
            ends = both_ends(subject.given, best.start, best.quantized, batch, best.rounding)
        except (ProblemError, SolveError) as error:
            notes = (*notes, f"how far the output moves on the box of the inputs: {error}")
    expected = outputs(subject.given, batch)
    own, plain = (measured(expected, outputs(c.quantized, batch)) for c in (best, nearest))
    if batch is not None and own is None:
        notes = (*notes, "the change is not measured: outputs leave the range of float64")
    if not np.isfinite(best.bound.value):
        notes = (
            *notes,
            "no change is proved: sums over paths, or steps of rescaling and merging, may leave "
            "the range of float64; bring the weights nearer to 1, see so.canonicalize",
        )
    return Quantization(
        _rows(task, best, nearest),
        network=best.quantized,
        rescaling=best.rescaling,
        factors=best.factors[1:],
        bound=best.bound,
        nearest_bound=nearest.bound,
        change=own,
        nearest_change=plain,
        notes=notes,
        ends=ends,
    )


def _rows(task: Task, best: Candidate, nearest: Candidate) -> tuple[QuantizedLayer, ...]:
    """Return what became of each layer with weights, in order."""
    subject, rounding = task.subject, task.way.rounding
    form = rounding.format
    each = form.digits + _EXPONENT if form.bits is None else form.bits
    before, after = best.reference.parameters(), best.quantized.parameters()
    plain, plain_after = nearest.reference.parameters(), nearest.quantized.parameters()
    rows = []
    for tensor, names in subject.weights.items():
        name = names[0]
        node = name.rpartition(".")[0]
        size, dtype = after[name].size, subject.stored_dtype(node)
        scales = best.scale_count[tensor] * _SCALE_BITS[form.scale]
        rows.append(
            QuantizedLayer(
                ", ".join(n.rpartition(".")[0] for n in names),
                size,
                8 * dtype.itemsize * size,
                each * size + scales,
                relative(after[name], before[name]),
                relative(plain_after[name], plain[name]),
                sum(a.nbytes for a in best.quantized.by_name[node].op.parameters().values()),
                str(dtype),
            )
        )
    for name, reason in subject.reasons.items():
        if name not in task.constants:
            array = after[name]
            bits = 8 * array.size * subject.stored_dtype(name.rpartition(".")[0]).itemsize
            rows.append(
                QuantizedLayer(name, array.size, bits, bits, 0.0, 0.0, array.nbytes, reason=reason)
            )
    return tuple(rows)


def _notes(task: Task) -> tuple[str, ...]:
    """Return what else was done, or was not."""
    subject, notes = task.subject, list(task.subject.given.notes)
    if task.constants:
        notes.append("layers with factors are quantized as products in either case")
    if subject.merged:
        names = ", ".join(list(subject.merged)[:4])
        notes.append(f"merged into the layers before them: {names}")
    arrays = subject.network.parameters()
    rounded = [] if task.way.bias_rounding is None else task.bias_names
    rest = {n for uses in subject.weights.values() for n in uses} | set(rounded)
    kept = sum(a.size for n, a in arrays.items() if n not in rest and n not in task.constants)
    if rounded:
        count = sum(arrays[name].size for name in rounded)
        form = task.way.bias_rounding and task.way.bias_rounding.format
        notes.append(f"{count} biases are rounded to {form}")
    if kept:
        notes.append(f"{kept} biases and constants keep their dtype, and are not counted")
    return tuple(notes)
