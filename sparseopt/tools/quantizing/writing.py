"""Quantized networks back in files of the kind that they were read from."""

from __future__ import annotations

from sparseopt.networks.network import Network
from sparseopt.tools.writing.entry import write


def write_like(network: Network, source: str, path: str) -> None:
    """Write a network with other parameters to a file, all else as in the file it came from.

    See `sparseopt.write`.
    """
    write(network, path, like=source)
