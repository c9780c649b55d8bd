"""Quantized networks back in files of the kind that they were read from."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt.choosing import offers
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.whole_file import whole_file
from sparseopt.networks.network import Network
from sparseopt.tools.quantizing.networks import absorbed
from sparseopt.tools.reading.loading import load_network
from sparseopt.tools.rescaling.in_place import PRODUCES
from sparseopt.tools.tensor_order import of_tensor
from sparseopt.tools.writing.entry import write


def write_like(network: Network, source: str, path: str, example: Any = None) -> None:
    """Write a network with other parameters to a file, all else as in the file it came from.

    Batch normalizations and added constants that were merged into the layers before them stay where
    they are, and only add the bias of the layer, or nothing where it has a bias of its own.

    Parameters
    ----------
    network : Network
        Of the layers of the one in `source`, or of these merged.
    source, path : str
    example : optional
        With which the network was read, where the file leaves shapes open.

    Raises
    ------
    ProblemError
        If a parameter that changed is no tensor of the file as it stands, or something else was
        merged; if the file cannot be written, or is not what was meant.
    """
    given = load_network(source, example)
    lost = {node.name for node in given.nodes if node.name in given.used} - network.by_name.keys()
    if lost:
        _write_merged(network, given, lost, source, path, example)
        return
    write(network, path, like=source, example=example)


def _write_merged(
    network: Network,
    given: Network,
    lost: set[str],
    source: str,
    path: str,
    example: Any,
) -> None:
    """Write a network whose normalizations were merged."""
    merged = absorbed(given)
    if lost != merged.keys():
        raise ProblemError(
            f"the layer {min(lost - merged.keys() or lost)!r} of {source!r} is not in the network; "
            "write a new file: leave out like=, or write JSON"
        )
    last = {target: scale for scale, target in merged.items()}
    tensors: dict[str, np.ndarray] = {}
    moved: dict[str, np.ndarray] = {}
    before = given.parameters()
    for node in network.nodes:
        old = given.by_name[node.name]
        for field, array in node.op.parameters().items():
            tensor = old.origin.get(field)
            if tensor is not None:
                tensors[tensor] = of_tensor(old, field, array)
            elif field == "bias" and node.name in last and not old.op.has("bias"):
                moved[last[node.name]] = array.ravel()
            elif not _is_same(array, before.get(f"{node.name}.{field}")):
                raise ProblemError(
                    f"{node.name}.{field} is no tensor of {source!r} as it stands there, so it "
                    "cannot be written back; write a new file: leave out like=, or write JSON"
                )
    biases: dict[str, np.ndarray] = {}
    for scale, target in merged.items():
        count = given.by_name[target].op.parameters()["weight"].shape[0]
        bias, own = moved.get(scale, np.zeros(count)), given.by_name[scale]
        if own.origin.keys() == own.op.parameters().keys() == {"bias"}:
            tensors[own.origin["bias"]] = bias
        else:
            biases[scale] = bias
    reader = offers.reader_of(source, PRODUCES)
    with whole_file(path) as made:
        reader.save(source, tensors, made, biases)
        _require_meant(network, load_network(made, example), path)


def _require_meant(network: Network, found: Network, path: str) -> None:
    """Refuse a file that does not hold the network."""
    after = found.merged.parameters()
    if any(not _is_same(array, after.get(name)) for name, array in network.parameters().items()):
        raise ProblemError(
            f"{path!r} would not be what was meant: a tensor is used in two ways; write a new "
            "file: leave out like=, or write JSON"
        )


def _is_same(array: np.ndarray, other: np.ndarray | None) -> bool:
    return other is not None and np.array_equal(array, other)
