"""`write`: networks to files, new ones or those that they came from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sparseopt.choosing import offers
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.interface.whole_file import write_whole
from sparseopt.judging.serialization import to_json
from sparseopt.networks.network import Network
from sparseopt.tools.writing.back import write_back

KINDS = {".onnx": "onnx", ".pt2": "torch"}
"""File name endings, and the readers that write such files."""


def write(
    network: Network,
    path: str | os.PathLike[str],
    like: Any = None,
    *,
    example: Any = None,
) -> None:
    """Write a network to a file.

    Parameters
    ----------
    network : Network
    path : str or path
        Ends in ``.onnx``, ``.pt2`` (an exported program, of `Network.to_torch`) or ``.json``.
    like : path or ``ModelProto``, optional
        The ONNX model that the network came from: all in it stays as it is, names, metadata and
        operators, but for the values of initializers that are other ones in the network. Layers
        may have lost units, see `remove_dead`. None: a new file is made of the network.
        The network is all of the model: parts that were read up to a node, or without some of
        the outputs, go to new files, as other values would change the rest.
    example : optional
        With `like`: the example that `load_network` was given, where the model leaves shapes open.

    Raises
    ------
    ProblemError
        If the file cannot hold the network: layers were merged, or a parameter that changed is
        computed in the file from others; if what is written does not compute what the network
        does. Nothing is left behind then.

    Notes
    -----
    A file is there as a whole or not at all: it is made in the folder of `path`, compared, and then
    takes the place of what had that name. So `path` may be the file of `like` itself, which is left
    as it was where the network is refused. Links stay
    links: what they point to is written. A device or a pipe is sent the file.

    What is written is read again, compared with onnxruntime (see `load_network`), and its
    parameters with those of the network: bit by bit, but for those of normalizations, which are
    rounded anew.

    Examples
    --------
    >>> import sparseopt as so
    >>> network = so.load_network("model.onnx")  # doctest: +SKIP
    >>> pruned = so.prune(network, 0.8)  # doctest: +SKIP
    >>> so.write(pruned.network, "pruned.onnx", like="model.onnx")  # doctest: +SKIP
    """
    if not isinstance(network, Network):
        raise ProblemError(
            f"a {type(network).__name__} is no network; write the network that so.load_network "
            "makes of it"
        )
    if not isinstance(path, str | os.PathLike):
        raise ProblemError(f"path must be the path of a file, not {short(path)}")
    target = os.fspath(path)
    suffix = Path(target).suffix.lower()
    if like is not None:
        _require_same_kind(target, suffix, like)
        write_back(network, like, target, example)
    elif example is not None:
        raise ProblemError("example= is for reading like=, which is left out; leave out both")
    elif suffix == ".json":
        write_whole(target, to_json(network))
    elif suffix in KINDS:
        offers.reader_named(KINDS[suffix]).put(network, target)
    else:
        raise ProblemError(f"{target!r} must end in .onnx, .pt2 or .json")


def _require_same_kind(target: str, suffix: str, like: Any) -> None:
    named = isinstance(like, str | os.PathLike)
    kind = Path(like).suffix.lower() if named else ".onnx"
    if kind != suffix:
        raise ProblemError(
            f"{target!r} must end in {kind}, as the model that it is to be like; leave out like= "
            "for a new file"
        )
