"""A network with other parameters back in a file like the one that it came from."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

import numpy as np

from sparseopt.choosing import offers
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.whole_file import whole_file
from sparseopt.judging.serialization import same_content
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.tools.reading.loading import load_network
from sparseopt.tools.rescaling.in_place import PRODUCES
from sparseopt.tools.tensor_order import of_tensor


def write_back(network: Network, source: Any, path: str, example: Any = None) -> None:
    """Write a network to a file, all else in it as in `source`; see `write`."""
    reader = offers.reader_of(source, PRODUCES)
    given = load_network(source, example)
    _require_layers(network, given, source)
    tensors = _changed(network, given, source, reader)
    with whole_file(path) as made:
        reader.save(source, tensors, made)
        after = _read_again(made, network, given, source, example)
        _require_same(network, given, after, tensors, path)


def _read_again(made: str, network: Network, given: Network, source: Any, example: Any) -> Network:
    """Return what was written; say so where a file has sizes that smaller layers do not fit."""
    try:
        return load_network(made, example)
    except ProblemError as error:
        if all(network.shapes[n.name] == given.shapes[n.name] for n in network.nodes):
            raise
        raise ProblemError(
            f"{_said(source)} has sizes of its own, which smaller layers do not fit ({error}); "
            "write a new file: leave out like="
        ) from error


def _said(source: Any) -> str:
    named = isinstance(source, str | os.PathLike)
    return repr(os.fspath(source)) if named else "the model"


def _require_layers(network: Network, given: Network, source: Any) -> None:
    """Refuse networks of other layers than those of the file."""
    lost = [n.name for n in given.nodes if n.name in given.used and n.name not in network.by_name]
    if lost:
        raise ProblemError(
            f"the layer {lost[0]!r} was merged into the one before it, or left out, which "
            f"{_said(source)} does not show; write a new file: leave out like=, or write JSON"
        )
    more = [node.name for node in network.nodes if node.name not in given.by_name]
    if more:
        raise ProblemError(
            f"{_said(source)} has no layer {more[0]!r}: the network did not come from it; write a "
            "new file: leave out like="
        )


def _changed(network: Network, given: Network, source: Any, reader: Any) -> dict[str, np.ndarray]:
    """Return the tensors of the file that get other values."""
    result: dict[str, np.ndarray] = {}
    shifted: list[Node] = []
    for node in network.nodes:
        before = given.by_name[node.name].op.parameters()
        for field, array in node.op.parameters().items():
            old = before.get(field)
            if old is not None and old.shape == array.shape and np.array_equal(old, array):
                continue
            tensor = node.origin.get(field)
            if tensor is None:
                _require_shift(node, field, old, array, source)
                shifted.append(node)
                continue
            flat = of_tensor(node, field, array)
            values = flat.reshape(node.tensor_shapes.get(field, array.shape))
            if tensor in result and not np.array_equal(result[tensor], values):
                raise ProblemError(
                    f"{node.name}.{field} and another layer share the tensor {tensor!r} of "
                    f"{_said(source)}, and have other values; write a new file: leave out like="
                )
            result[tensor] = values
    if shifted:
        names = {name for node in shifted for name in node.shifts}
        held = reader.tensors(source, names)
        for node in shifted:
            result |= _normalization(node, given.by_name[node.name], held)
    return result


def _require_shift(
    node: Node, field: str, old: np.ndarray | None, array: np.ndarray, source: Any
) -> None:
    """Refuse what is computed in the file, but for the bias of a normalization."""
    same = old is not None and old.shape == array.shape
    if same and field == node.op.bias_field and len(node.shifts) == 2:
        return
    raise ProblemError(
        f"{node.name}.{field} is no tensor of {_said(source)} as it stands there, so it cannot be "
        "written back; write a new file: leave out like=, or write JSON"
    )


def _normalization(node: Node, given: Node, held: Any) -> dict[str, np.ndarray]:
    """Return mean and shift of a normalization with another bias: shift - factor mean.

    Where the bias was multiplied, as by rescaling, so is the mean; what rounding leaves is in the
    shift.
    """
    mean_name, shift_name = node.shifts
    mean = np.asarray(held[mean_name], dtype=np.float64)
    old, new = (np.asarray(n.op.parameters()["bias"], float).ravel() for n in (given, node))
    factor = node.op.parameters().get("factor")
    gain = np.ones_like(new) if factor is None else np.asarray(factor, dtype=np.float64).ravel()
    dtype = held[shift_name].dtype
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(old != 0, new / np.where(old != 0, old, 1.0), 1.0)
    best: tuple[np.ndarray, np.ndarray] | None = None
    left = np.full_like(new, np.inf)
    for moved in (mean * ratio, mean):
        means = moved.astype(dtype)
        shifts = (new + gain * means.astype(np.float64)).astype(dtype)
        error = np.abs(shifts.astype(np.float64) - gain * means.astype(np.float64) - new)
        if best is None:
            best, left = (means, shifts), error
        else:
            better = error < left
            best = np.where(better, means, best[0]), np.where(better, shifts, best[1])
    assert best is not None
    return {mean_name: best[0], shift_name: best[1]}


def _settings(node: Node) -> list[Any]:
    """Return the inputs of a node and what its layer holds besides parameters."""
    op: Any = node.op
    names = [f.name for f in fields(op) if f.name not in op.parameters()]
    return [list(node.inputs), *(getattr(op, name) for name in names)]


def _require_same(
    network: Network, given: Network, after: Network, tensors: dict[str, np.ndarray], path: str
) -> None:
    """Refuse what was read again and is not the network.

    Only the bias of a normalization, if it is another than in `given`, may differ, by rounding.
    """
    found = after.parameters()
    ends = [(n.input_shape, n.inputs, n.output, n.outputs) for n in (network, after)]
    if ends[0] != ends[1]:
        raise ProblemError(
            f"{path!r} would not be what was meant: its inputs or outputs are others than those of "
            "the network; write a new file: leave out like="
        )
    for node in network.nodes:
        again = after.by_name.get(node.name)
        if again is None or type(node.op) is not type(again.op):
            raise ProblemError(f"{path!r} would not be what was meant: it has no {node.name}")
        if not same_content(_settings(node), _settings(again)):
            raise ProblemError(
                f"{path!r} would not be what was meant: {node.name} would read other entries, as "
                "the file names them by their places; write a new file: leave out like="
            )
        for field, array in node.op.parameters().items():
            name = f"{node.name}.{field}"
            other = found.get(name)
            same = other is not None and other.shape == array.shape
            if same:
                assert other is not None
                before = given.by_name[node.name].op.parameters()[field]
                if field in node.origin or not node.shifts or np.array_equal(array, before):
                    same = np.array_equal(array, other)
                else:
                    narrow = any(a.dtype == np.float32 for a in found.values())
                    room = _rounding(node, array, tensors, 1e-4 if narrow else 1e-9)
                    same = bool(np.all(np.abs(array - other).ravel() <= room))
            if not same:
                raise ProblemError(
                    f"{path!r} would not be what was meant: {name} is something else there; one "
                    "of its tensors is used in another place too; write a new file: leave out like="
                )


def _rounding(
    node: Node, bias: np.ndarray, tensors: dict[str, np.ndarray], rtol: float
) -> np.ndarray:
    """Return how far the bias of each channel may be from shift - factor mean by rounding.

    That of the shift as it is stored, at most what `rtol` leaves of the bias and of what the
    channel multiplies values by.
    """
    factor = np.abs(np.ravel(node.op.parameters().get("factor", 1.0)).astype(np.float64))
    mean, shift = (np.abs(tensors[name]) for name in node.shifts)
    computed = 4 * np.finfo(np.float64).eps * (shift.astype(np.float64) + factor * mean)
    stored = np.spacing(shift).astype(np.float64) + computed
    return np.minimum(stored, rtol * (np.abs(bias.ravel()) + factor))
