"""How far a trained network with one hidden layer is from the global optimum of its training."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.choosing.solving import solve
from sparseopt.interface.context import Progress
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.plan import SolveError
from sparseopt.interface.solution import Solution, Status
from sparseopt.judging.check import check_certificate, remember
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Input, Relu, Reshape
from sparseopt.tools.reading.loading import load_network
from sparseopt.training.two_layer_certificate import TwoLayerReLUCertificate
from sparseopt.training.two_layer_network import TwoLayerNetwork, real_array
from sparseopt.training.two_layer_relu import TwoLayerReLU


def optimality_gap(
    network: Any,
    inputs: ArrayLike,
    targets: ArrayLike,
    decay: float,
    *,
    tolerance: float | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    time_limit: float | None = None,
    block: Iterable[str] = (),
    prefer: Iterable[str] = (),
) -> Solution[TwoLayerNetwork, TwoLayerReLUCertificate]:
    """Return a network as an answer to its own training, with its distance to the global optimum.

    Parameters
    ----------
    network : Network, what `load_network` reads, or TwoLayerNetwork
        A ``torch.nn.Module``, an ONNX or .pt2 file, and so on: dense layer, ReLU, dense layer. A
        hidden bias is the weight of a column of ones, and is penalized; an output bias is refused.
        A `TwoLayerNetwork` has its ones among the inputs.
    inputs : array_like, shape (samples, ...)
    targets : array_like, shape (samples,) or (samples, 1)
    decay : float
        The network is judged by 1/2 |f - targets|^2 + decay/2 (sum of all squared weights), see
        `TwoLayerReLU`.
    tolerance, seed, progress, time_limit, block, prefer
        As for `solve`, which finds the global lower bound.

    Returns
    -------
    Solution
        Of a `TwoLayerReLU`. ``certificate.gap`` bounds by how much the objective of the network
        exceeds the least one of any width, ``certificate.primal`` and ``.dual`` the two. The status
        is WEAK where the relative gap is above the tolerance, as it is for most trained networks.

    Raises
    ------
    ProblemError
        If the network is none of this kind (the message names the layer), or the data do not fit.
    SolveError
        If no lower bound was found.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((1,), Dense(np.array([[0.9]])), Relu(), Dense(np.array([[1.1]])))
    >>> solution = so.optimality_gap(net, [[1.0], [-1.0]], [2.0, 0.5], decay=1.0)
    >>> 0.02 < solution.certificate.gap < 0.0201, so.verify(solution).ok
    (True, True)
    """
    start = time.perf_counter()
    values = real_array(inputs, "inputs", tuple(range(1, 9)))
    wanted = real_array(targets, "targets", (1, 2))
    wanted = wanted[:, 0] if wanted.shape[1:] == (1,) else wanted
    if isinstance(network, TwoLayerNetwork):
        answer, problem = network, TwoLayerReLU(values, wanted, decay)
    else:
        layers = _Layers(_loaded(network, values))
        answer = TwoLayerNetwork(layers.hidden, layers.outer)
        problem = TwoLayerReLU(_rows(layers, values), wanted, decay)
    problem.active(answer)  # it refuses a network that does not fit
    best = solve(
        problem,
        tolerance=tolerance,
        seed=seed,
        progress=progress,
        time_limit=time_limit,
        block=block,
        prefer=prefer,
    )
    certificate = best.certificate.of(answer)
    check = check_certificate(certificate, problem, answer)
    if not check.ok:
        raise SolveError(f"the bound does not hold: {check.details[-1]}", best.plan)
    remember(certificate, check)
    assert best.tolerance is not None
    status = Status.VERIFIED if certificate.accuracy <= best.tolerance else Status.WEAK
    seconds = time.perf_counter() - start
    return Solution(
        problem, answer, certificate, status, best.solver, seconds, best.plan, best.tolerance
    )


def _loaded(source: Any, inputs: np.ndarray) -> Network:
    """Read a network; a torch module is shown the first sample."""
    if not hasattr(source, "parameters") or isinstance(source, Network):
        return load_network(source)
    example = next((p.new_tensor(inputs[:1].tolist()) for p in source.parameters()), inputs[:1])
    return load_network(source, example=example)


def _rows(layers: _Layers, inputs: np.ndarray) -> np.ndarray:
    """Return the samples as rows, with a column of ones for a hidden bias."""
    samples, features = len(inputs), layers.features
    if samples == 0 or inputs.size != samples * features:
        raise ProblemError(
            f"inputs has shape {inputs.shape}; give at least one sample, and {features} numbers, "
            "as many as the network takes, for each"
        )
    rows = inputs.reshape(samples, features)
    if layers.has_bias:
        rows = np.column_stack([rows, np.ones(samples, dtype=rows.dtype)])
    return rows


class _Layers:
    """The weights of a network that is dense layer, ReLU, dense layer.

    Attributes
    ----------
    features : int
        Numbers that the network takes.
    has_bias : bool
        Whether the hidden layer has a bias, which is then the last row of `hidden`.
    hidden : ndarray, shape (features, neurons), or (features + 1, neurons)
    outer : ndarray, shape (neurons,)
    """

    def __init__(self, network: Network) -> None:
        nodes = _sequence(network)
        dense = [node for node in nodes if isinstance(node.op, Dense)]
        relus = [node for node in nodes if isinstance(node.op, Relu)]
        if len(dense) > 2 or len(relus) > 1:
            raise ProblemError(
                f"the network has {max(len(dense) - 1, len(relus))} hidden layers (dense layers: "
                f"{', '.join(repr(node.name) for node in dense)}); only training with one hidden "
                "layer is a convex program here"
            )
        kinds = [type(node.op) for node in nodes if not isinstance(node.op, Reshape)]
        if [kind for kind in kinds if kind is not Scale] != [Input, Dense, Relu, Dense]:
            raise ProblemError(
                "the network must be a dense layer, a ReLU and a dense layer, but it is "
                + ", ".join(kind.__name__ for kind in kinds)
            )
        biases = _biases(network, nodes)
        first, second = (_floats(node.op.weight, node.name) for node in dense)  # type: ignore[attr-defined]
        if len(second) != 1:
            raise ProblemError(
                f"the output layer {dense[1].name!r} has {len(second)} outputs; the global bound "
                "is for one output, so ask for each of them with a network of its own"
            )
        if biases[1] is not None and biases[1].any():
            raise ProblemError(
                f"the output layer {dense[1].name!r} has a bias, which the convex program does not "
                "know; train without it, or subtract it from the targets and set it to zero"
            )
        self.features, self.has_bias = first.shape[1], biases[0] is not None
        self.hidden = first.T if biases[0] is None else np.vstack([first.T, biases[0]])
        self.outer = second[0]


def _sequence(network: Network) -> list[Node]:
    """Return the nodes from input to output, each reading the one before it."""
    nodes = [node for node in network.nodes if node.name in network.used]
    for before, node in itertools.pairwise(nodes):
        if node.inputs != (before.name,):
            raise ProblemError(
                f"node {node.name!r} reads {', '.join(map(repr, node.inputs))}: the network must "
                "be a sequence of layers, without skips"
            )
        if not isinstance(node.op, Dense | Relu | Scale | Reshape):
            raise ProblemError(
                f"node {node.name!r} is a {type(node.op).__name__}; the network must be a dense "
                "layer, a ReLU and a dense layer"
            )
        if isinstance(node.op, Dense) and max(network.shapes[before.name][:-1], default=1) > 1:
            raise ProblemError(f"node {node.name!r} is applied at more than one position")
    return nodes


def _biases(network: Network, nodes: list[Node]) -> list[np.ndarray | None]:
    """Return the bias of both dense layers, whether it stands in the layer or is added after it."""
    found: list[np.ndarray | None] = []
    last: Any = None  # what was computed before, but for its shape
    for node in nodes:
        if isinstance(node.op, Dense):
            bias = node.op.bias
            found.append(None if bias is None else _floats(bias, node.name))
        elif isinstance(node.op, Scale):
            bare = isinstance(last, Dense) and last.bias is None
            if node.op.factor is not None or not bare:
                raise ProblemError(
                    f"node {node.name!r} scales or shifts by constants that are not the bias of a "
                    "dense layer; merge them into the layer before it (network.merged)"
                )
            if node.op.bias is not None:
                shape = network.shapes[node.name]
                found[-1] = np.broadcast_to(_floats(node.op.bias, node.name), shape).ravel()
        last = last if isinstance(node.op, Reshape) else node.op
    return found


def _floats(array: np.ndarray, name: str) -> np.ndarray:
    """Return weights as float64; refuse exact fractions."""
    if array.dtype == object:
        raise ProblemError(f"the weights of {name!r} are exact fractions; convert them to float64")
    return np.asarray(array, dtype=np.float64)
