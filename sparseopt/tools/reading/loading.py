"""`load_network`: from files, foreign objects and networkx graphs."""

from __future__ import annotations

import os
from typing import Any

import networkx as nx

from sparseopt.choosing import offers
from sparseopt.interface.context import Context, Progress
from sparseopt.interface.errors import ProblemError
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Relu
from sparseopt.tools.reading.choices import Outputs, Weights, require_one_choice
from sparseopt.tools.reading.digraph import network_from_digraph
from sparseopt.tools.reading.parts import part_of
from sparseopt.training.two_layer_network import TwoLayerNetwork


def load_network(
    source: Any,
    example: Any = None,
    outputs: Outputs = None,
    until: str | None = None,
    *,
    weights: Weights | None = None,
    progress: Progress | None = None,
) -> Network:
    """Return the DAG ReLU network that `source` describes.

    Parameters
    ----------
    source : networkx.DiGraph, Network, TwoLayerNetwork, path, or an object that a plugin reads
        A graph of neurons (see `sparseopt.tools.reading.digraph.network_from_digraph`); an
        ONNX file or ``ModelProto``; a ``torch.nn.Module``, an ``ExportedProgram`` or a ``.pt2``
        file; the answer to a `TwoLayerReLU` (its column of ones, if any, stays an input).
    example : array or tensor, tuple or dict of such, optional
        An input of the network, for sources that do not fix their input shape; its values do not
        matter. Of several inputs a tuple of all in order, or a dict by name; files need those
        only whose shape they leave open.
    outputs : name or place of an output, or a sequence of such, optional
        Which outputs of the source to read, in this order; all, if it is left out. Several are
        joined into one, one after the other: `Network.outputs` has their names and shapes,
        `Network.by_output` takes figures apart, and a path-norm with r = 1 is the sum of theirs.
        What only other outputs need is not read.
    until : str, optional
        Node of the source at which the network ends; what comes after it is not read. Of a
        PyTorch module also the path of a submodule, of an ONNX file also the name of a value.
    weights : path, or sequence of paths, optional
        Of a ``torch.nn.Module``: files of safetensors (or one ``*.index.json`` of such) whose
        tensors, by the names of its state dict, take the place of its own. The module may lie on
        the meta device, and is left as it was. Large ones stay in their files, mapped, and are read
        layer by layer; see *Scale*.
    progress : callable(fraction, message), optional
        Called as nodes are read, and at the end.

    Returns
    -------
    Network

    Raises
    ------
    ProblemError
        If the source cannot be read, or computes something that is not a DAG ReLU network; the
        message names the node, the operator and the reason.

    Notes
    -----
    Files are data: no code of a file is run and nothing is unpickled, whoever made it, and what a
    file asks for is bounded before it is made (`sparseopt.judging.limits`). A ``torch.nn.Module``
    is a program of yours, and is run.

    Examples
    --------
    >>> import networkx as nx
    >>> import sparseopt as so
    >>> graph = nx.DiGraph()
    >>> graph.add_node("x", kind="input")
    >>> graph.add_node("y", kind="relu", bias=1)
    >>> graph.add_edge("x", "y", weight=-2)
    >>> so.load_network(graph).run({"x": -3})
    array([Fraction(7, 1)], dtype=object)
    """
    require_one_choice(outputs, until)
    context = Context(progress=progress)
    network = _loaded(source, example, outputs, until, context, weights)
    context.report(1.0, "the network is read")
    return network


def _loaded(
    source: Any,
    example: Any,
    outputs: Outputs,
    until: str | None,
    context: Context,
    weights: Weights | None,
) -> Network:
    if isinstance(source, str | os.PathLike) and os.fspath(source).endswith(".safetensors"):
        raise ProblemError(
            f"{os.fspath(source)!r} holds tensors by name, and not what is computed with them; "
            "give the module that they are of: so.load_network(module, example, weights=path), "
            "where the module may lie on the meta device"
        )
    if weights is not None and isinstance(source, Network | nx.Graph | TwoLayerNetwork):
        raise ProblemError(
            f"a {type(source).__name__} has its own weights; give weights= with a torch module"
        )
    if isinstance(source, Network):
        return part_of(source, outputs, until)
    if isinstance(source, nx.Graph):
        if example is not None:
            raise ProblemError("a graph of neurons needs no example input; leave it out")
        return part_of(network_from_digraph(source), outputs, until)
    if isinstance(source, TwoLayerNetwork):
        return part_of(_of_two_layers(source), outputs, until)
    return offers.read(  # type: ignore[no-any-return]
        source,
        produces="sparseopt:Network",
        example=example,
        outputs=outputs,
        until=until,
        progress=context.progress,
        weights=weights,
    )


def _of_two_layers(source: TwoLayerNetwork) -> Network:
    if source.gates is not None:
        raise ProblemError(
            "the neurons are gated: what opens them is not what they compute, so this is not a "
            "ReLU network; solve TwoLayerReLU without gates for one"
        )
    outer = source.outer if source.outer.ndim == 2 else source.outer[:, None]
    return chain((len(source.hidden),), Dense(source.hidden.T), Relu(), Dense(outer.T))
