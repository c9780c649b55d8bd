"""`load_network`: from files, foreign objects and networkx graphs."""

from __future__ import annotations

from typing import Any

import networkx as nx

from sparseopt.choosing import offers
from sparseopt.interface.errors import ProblemError
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Relu
from sparseopt.tools.reading.digraph import network_from_digraph
from sparseopt.training.two_layer_network import TwoLayerNetwork


def load_network(source: Any, example: Any = None) -> Network:
    """Return the DAG ReLU network that `source` describes.

    Parameters
    ----------
    source : networkx.DiGraph, TwoLayerNetwork, path, or an object that a plugin reads
        A graph of neurons (see `sparseopt.tools.reading.digraph.network_from_digraph`); an
        ONNX file or ``ModelProto``; a ``torch.nn.Module``, an ``ExportedProgram`` or a ``.pt2``
        file; the answer to a `TwoLayerReLU` (its column of ones, if any, stays an input).
    example : array or tensor, optional
        An input of the network, for sources that do not fix their input shape.

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
    if isinstance(source, Network):
        return source
    if isinstance(source, nx.Graph):
        if example is not None:
            raise ProblemError("a graph of neurons needs no example input; leave it out")
        return network_from_digraph(source)
    if isinstance(source, TwoLayerNetwork):
        return _of_two_layers(source)
    return offers.read(source, produces="sparseopt:Network", example=example)  # type: ignore[no-any-return]


def _of_two_layers(source: TwoLayerNetwork) -> Network:
    if source.gates is not None:
        raise ProblemError(
            "the neurons are gated: what opens them is not what they compute, so this is no ReLU "
            "network; solve TwoLayerReLU without gates for one"
        )
    outer = source.outer if source.outer.ndim == 2 else source.outer[:, None]
    return chain((len(source.hidden),), Dense(source.hidden.T), Relu(), Dense(outer.T))
