"""Networks as exported programs in new .pt2 files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

import sparseopt as so
from sparseopt.interface.whole_file import whole_file
from sparseopt.tools.reading.agreement import require_agreement
from sparseopt_torch.module_export import quiet
from sparseopt_torch.network_module import to_module


def write_program(network: so.Network, path: str, read: Callable[[str], so.Network]) -> None:
    """Write the program of a network's module, any number of samples at a time.

    Parameters
    ----------
    network : Network
    path : str
    read : callable
        Reads the file again, for the comparison.
    """
    module = to_module(network)
    held = [*module.parameters(), *module.buffers()]
    real = [t.dtype for t in held if t.is_floating_point()]
    dtype = real[0] if real else torch.float32
    sample = torch.zeros((2, *network.input_shape), dtype=dtype)
    shapes = ({0: torch.export.Dim("batch")},)
    with quiet():
        program = torch.export.export(module, (sample,), dynamic_shapes=shapes)
    with whole_file(path) as made:
        with quiet():
            torch.export.save(program, made)
        found = read(made)
        kind = np.float64 if dtype == torch.float64 else np.float32
        require_agreement(network, found.run, kind, f"what would be in {path!r}")
