"""Both ends of the change of a network's output: a proven bound, and what data show.

The bound. Let a and b be two parameter settings of one network, and m the setting between them
whose entries are the smaller of the two in absolute value, or 0 where signs differ. No sign changes
from a to m, or from m to b, and m is dominated by both, so on each leg the outputs move by at most

    sum over paths p of (|Phi_p| of the end - |Phi_p| of m) |x_p|,

x_p being the input that the path starts at, 1 for a bias (Gonon et al., arXiv 2405.15006, theorem
4.1, where every |Phi_p| falls from the end to m). With the inputs' radii as a layer of their own
at the front, each leg is a `PathDistance` of a setting that dominates the other, which is exact
and certified. The sum of both is never more than the two-pass bound, and signs may change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from sparseopt.choosing.solving import solve
from sparseopt.interface.arrays import as_array, as_figure, to_double
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.plan import SolveError
from sparseopt.interface.printing import short
from sparseopt.judging.rounding import UNIT
from sparseopt.networks.linear import Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.pathnorm.path_distance import PathDistance
from sparseopt.pathnorm.path_norm import PathNorm
from sparseopt.tools.change_ends import ChangeEnds, change_ends
from sparseopt.tools.quantizing.report import ChangeBound, MeasuredChange

_SAMPLES = 256
"""That are run at once."""
_METHOD = "path-lifting"


FAINT = 2.0**-300
"""Parameters below this, or above its inverse, may underflow or overflow once they are merged; in
longer chains those nearer to 1."""
_NORMAL = 2.0**-1022
_LEAST = 2.0**-1074


def change_bound(
    given: Network, reference: Network, quantized: Network, radius: np.ndarray, rounding: float
) -> ChangeBound:
    """Return a proven bound of the change of the output from one network to another.

    Parameters
    ----------
    given : Network
        As it was read.
    reference : Network
        The same function up to rounding in double precision: with scales merged into the layers
        before them, units rescaled.
    quantized : Network
        Of the same layers as `reference`.
    radius : float64 array
        Largest absolute values of the inputs.
    rounding : float
        By how much the reference is off the given network, see `rounding_to`.

    Notes
    -----
    The value is infinite where float64 ends.
    """
    meet = reference.with_parameters(_meet(reference, quantized))
    ends = [with_radius(network, radius) for network in (reference, meet, quantized)]
    legs = [PathDistance(one, other) for one, other in pairwise(ends)]
    # Two passes are exact here; going through all paths takes far longer.
    try:
        solutions: list[Any] = [solve(leg, prefer=("distance_passes",)) for leg in legs]
    except SolveError:
        if all(solve(PathNorm(end)).answer.value < math.inf for end in ends):
            raise
        return ChangeBound(math.inf, radius, _METHOD, ())
    total = sum(solution.answer.output_bound(1.0) for solution in solutions)
    if rounding:
        solutions.append(solve(PathNorm(with_radius(given, radius))))
        total += _room(rounding, solutions[-1])
    value = float(total) * (1 + 8 * UNIT)
    return ChangeBound(value, radius, _METHOD, tuple(solutions))


def rounding_to(given: Network, reference: Network, merged: int, *factors: np.ndarray) -> float:
    """Return how far rounding moves the paths of a network that is merged and rescaled.

    Parameters
    ----------
    given : Network
    reference : Network
        With scales merged into the layers before them, its units rescaled.
    merged : int
        How many scales were merged into one layer, at most.
    *factors : float64 array
        Of the groups of units, for each time that they were rescaled.

    Returns
    -------
    float
        Relative to the path-norm of the given network. Each multiplication and sum that made a
        parameter of the reference from those given moves the paths through it by a relative 2^-53
        at most, those of merged biases in the norm before merging. There are at most 8 for each
        layer. Infinite where something may have left the normal range on the way.
    """
    spans = [(network, _NORMAL, math.inf) for network in (given, reference)]
    if merged:  # no product of parameters of a chain, nor of some of them, leaves the range
        low = max(FAINT, 2.0 ** -(1022 // (merged + 1)))
        spans.append((given, low, 1 / low))
    held = [
        is_within(array, low, high)
        for network, low, high in spans
        for array in network.parameters().values()
    ]
    if not all(held) or any(each.min() < _NORMAL * each.max() for each in factors):
        return math.inf
    return 2 * 8 * (len(given.nodes) + 2) * UNIT


def is_within(array: np.ndarray, low: float, high: float) -> bool:
    """Whether all numbers but zeros have absolute values in a range."""
    size = np.abs(array[array != 0]).astype(np.float64)
    return bool(np.all((size >= low) & (size <= high)))


def _room(rounding: float, norm: Any) -> float:
    """Return what rounding moves, above zero also where the norm is zero in float64 only."""
    return max(float(rounding * norm.answer.value), _LEAST)


def both_ends(
    given: Network, reference: Network, quantized: Network, inputs: np.ndarray, rounding: float
) -> ChangeEnds:
    """Return both ends of the change on the box that holds a batch; see `change_bound`."""
    room = 0.0
    if rounding:
        radius = np.asarray(float(np.abs(inputs).max()))
        room = _room(rounding, solve(PathNorm(with_radius(given, radius)))) * (1 + 8 * UNIT)
    return change_ends(reference, quantized, inputs, room=room)


def _meet(one: Network, other: Network) -> dict[str, np.ndarray]:
    """Return the smaller parameters of two settings, 0 where signs differ."""
    theirs = other.parameters()
    result = {}
    for name, a in one.parameters().items():
        b = theirs[name]
        wide = np.dtype(object) if object in (a.dtype, b.dtype) else np.dtype(np.float64)
        a, b = a.astype(wide), b.astype(wide)
        same = (a > 0) & (b > 0) | (a < 0) & (b < 0)
        smaller = np.where(np.abs(a) <= np.abs(b), a, b)
        result[name] = np.asarray(np.where(same, smaller, 0), dtype=wide)
    return result


def with_radius(network: Network, radius: np.ndarray) -> Network:
    """Return the network on inputs in [-1, 1], each multiplied by its radius first."""
    if np.all(radius == 1.0):
        return network
    first = network.nodes[0].name
    front = f"{first}:radius"
    while front in network.by_name:
        front += "'"
    shape = network.input_shape
    factor = radius.reshape((1,) * (len(shape) - radius.ndim) + radius.shape)
    nodes = [network.nodes[0], Node(front, Scale(factor), (first,))]
    for node in network.nodes[1:]:
        inputs = tuple(front if name == first else name for name in node.inputs)
        nodes.append(replace(node, inputs=inputs))
    output = front if network.output == first else network.output
    return replace(network, nodes=tuple(nodes), output=output)


def as_radius(value: Any, inputs: np.ndarray | None, network: Network) -> np.ndarray:
    """Return the largest absolute values of inputs that a bound is for.

    A number, or an array that broadcasts to the input; None for the largest value in `inputs`, or
    1 without any.
    """
    if value is None:
        value = 1.0 if inputs is None else float(np.abs(inputs).max())
    exact = isinstance(value, Fraction)
    array = as_array(as_figure(value, "input_bound") if exact else value, "input_bound")
    if array.dtype.kind not in "biuf" or not _broadcasts(array, network.input_shape):
        raise ProblemError(
            "input_bound must be a number, or an array that broadcasts to the input's shape "
            f"{network.input_shape}, got {short(value)}"
        )
    radius = to_double(array, "input_bound")
    if not np.isfinite(radius).all() or radius.min(initial=0.0) < 0:
        raise ProblemError("input_bound must hold finite numbers that are not negative")
    return radius


def _broadcasts(array: np.ndarray, shape: tuple[int, ...]) -> bool:
    try:
        np.broadcast_to(array, shape)
    except ValueError:
        return False
    return True


def as_inputs(value: Any, network: Network) -> np.ndarray | None:
    """Return a calibration batch as float64, shape (n, *input); None stays None."""
    if value is None:
        return None
    array = as_array(value, "inputs")
    if array.dtype.kind not in "biuf":
        raise ProblemError(f"inputs has dtype {array.dtype}; give an array of real numbers")
    array = to_double(array, "inputs")
    shape = network.input_shape
    if array.shape == shape:
        array = array[None]
    if array.shape[1:] != shape or len(array) == 0:
        raise ProblemError(
            f"inputs has shape {array.shape}; give some of shape (n, {', '.join(map(str, shape))})"
        )
    if not np.isfinite(array).all():
        sample = int(np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))[0])
        raise ProblemError(f"sample {sample} of inputs holds NaN or infinity")
    return array


def measured(expected: np.ndarray | None, found: np.ndarray | None) -> MeasuredChange | None:
    """Return how far outputs on the same inputs lie apart; None where some are not finite."""
    if expected is None or found is None:
        return None
    if not (np.isfinite(expected).all() and np.isfinite(found).all()):
        return None
    apart = np.abs(found - expected).reshape(len(expected), -1).sum(axis=1)
    return MeasuredChange(float(apart.max()), float(apart.mean()), len(apart))


def outputs(network: Network, inputs: np.ndarray | None) -> np.ndarray | None:
    """Return the outputs on a batch, in double precision, with infinity or NaN beyond it.

    None without a batch.
    """
    if inputs is None:
        return None
    parts = [inputs[i : i + _SAMPLES] for i in range(0, len(inputs), _SAMPLES)]
    with np.errstate(over="ignore", invalid="ignore"):
        return np.concatenate([network.run(part).astype(np.float64) for part in parts])


def is_same(arrays: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> bool:
    """Whether two settings are equal, number by number."""
    return arrays.keys() == others.keys() and all(
        np.array_equal(array, others[name]) for name, array in arrays.items()
    )


def example_from(subject: Any, inputs: Any, example: Any) -> Any:
    """Return the example for `load_network`: of a module, the first of the inputs if need be."""
    if example is not None or inputs is None or not hasattr(subject, "named_modules"):
        return example
    few = inputs if hasattr(inputs, "shape") else np.asarray(inputs)
    # Two of them, so that it can be seen which axis is that of the samples.
    return few[:2] if len(few.shape) > 1 and len(few) > 2 else few
