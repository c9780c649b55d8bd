"""Rescale the hidden units of a network without changing its function."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, overload

import numpy as np

from sparseopt.interface.arrays import as_array
from sparseopt.interface.context import Context
from sparseopt.interface.errors import ProblemError
from sparseopt.judging.exact import of_python
from sparseopt.networks.network import Network
from sparseopt.networks.parameters import cast
from sparseopt.tools.rescaling.groups import PINNED, RescalingGroups
from sparseopt.tools.rescaling.in_place import (
    changes_in_place,
    groups_of,
    multiply_in_place,
    tensor_factors,
)

_PIECE = 1 << 20
"""Entries of a weight that are multiplied at once."""

Factors = np.ndarray | Sequence[float] | Mapping[str, Any]


@overload
def rescale(
    subject: Network | str | os.PathLike[str], factors: Factors, *, example: Any = None
) -> Network: ...
@overload
def rescale(subject: Any, factors: Factors, *, example: Any = None) -> Any: ...
def rescale(subject: Any, factors: Factors, *, example: Any = None) -> Any:
    """Rescale the hidden units of a network; it computes the same function.

    The weights into a unit and its bias are multiplied by the unit's factor, the weights out of
    it are divided by it.

    Parameters
    ----------
    subject : Network, torch.nn.Module, or anything that `load_network` takes
        A module is changed in place: its weights and biases, and running mean and bias of its
        batch normalizations.
    factors : array, shape (groups,); or mapping from node name to array, shape (units,)
        Positive numbers: one per group of units that must be scaled alike, in the order of
        `RescalingGroups`; or one per output unit (neuron, channel) of the named layers, the
        others keeping their scale. Powers of two change no bit of the function computed, apart
        from underflow; exact networks take Fractions and stay exact.
    example : array or tensor, optional
        An input, for subjects that do not fix their input shape.

    Returns
    -------
    Network, or the module itself

    Raises
    ------
    ProblemError
        For factors that are not positive or finite, that differ between units which must be
        scaled alike, that move an input or output, or under which a weight would overflow or
        vanish. Nothing is changed then.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((1,), Dense(np.array([[3.0]])), Relu(), Dense(np.array([[8.0]])))
    >>> rescale(net, [4.0]).parameters()
    {'0:Dense.weight': array([[12.]]), '2:Dense.weight': array([[2.]])}
    """
    groups = groups_of(subject, example)
    return rescale_by_groups(subject, groups, group_scales(groups, factors), example)


def rescale_by_groups(
    subject: Any, groups: RescalingGroups, scales: np.ndarray, example: Any = None
) -> Any:
    """Do the work of `rescale` with the factors of `group_scales`."""
    result = rescaled(groups, scales)
    if not changes_in_place(subject):
        return result
    factors = tensor_factors(groups.network, multipliers(groups, scales))
    multiply_in_place(subject, example, factors, result)
    return subject


def rescaled(groups: RescalingGroups, scales: np.ndarray) -> Network:
    """Return the rescaled network."""
    arrays = groups.network.parameters()
    if groups.network.is_exact:
        scales = cast(scales, np.dtype(object))
    changed = {}
    for name, labels in _moved(groups).items():
        changed[name] = _in_pieces(name, arrays[name], labels, scales)
    return groups.network.with_parameters(changed)


def _moved(groups: RescalingGroups) -> dict[str, tuple[np.ndarray, ...]]:
    """Return the labels of parameters of which some entry is of a group that may be scaled."""
    ends = {**groups.weights, **{name: (labels,) for name, labels in groups.biases.items()}}
    return {n: ends[n] for n in ends if any(np.any(labels != PINNED) for labels in ends[n])}


def _factor(scales: np.ndarray, labels: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return what entries with these labels, at the head and the tail, are multiplied by."""
    with np.errstate(all="ignore"):
        factor = scales[labels[0]] if len(labels) == 1 else scales[labels[0]] / scales[labels[1]]
    return np.asarray(factor, dtype=scales.dtype)


def _in_pieces(
    name: str, array: np.ndarray, labels: tuple[np.ndarray, ...], scales: np.ndarray
) -> np.ndarray:
    """Return a rescaled parameter, a few rows at a time, so that little is held beside it."""
    if array.size <= _PIECE:
        return _multiplied(name, array, _factor(scales, labels))
    result = np.empty_like(array)
    rows = max(1, _PIECE * len(array) // array.size)
    for start in range(0, len(array), rows):
        piece = slice(start, start + rows)
        own = tuple(x[piece] if x.shape[0] > 1 else x for x in labels)
        result[piece] = _multiplied(name, array[piece], _factor(scales, own))
    return result


def multipliers(groups: RescalingGroups, scales: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each parameter is to be multiplied by, broadcasting to its shape.

    Parameters
    ----------
    groups : RescalingGroups
    scales : array, shape (1 + count,)
        As `group_scales` returns them.
    """
    if groups.network.is_exact:
        scales = cast(scales, np.dtype(object))
    return {name: _factor(scales, labels) for name, labels in _moved(groups).items()}


def group_scales(groups: RescalingGroups, factors: Factors) -> np.ndarray:
    """Return the factors by group, the pinned group first, from either form of `rescale`."""
    if isinstance(factors, Mapping):
        return _from_units(groups, factors)
    values = _as_factors(factors, "factors")
    if values.shape != (groups.count,):
        raise ProblemError(
            f"factors has shape {values.shape}; this network has {groups.count} groups of units "
            "that can be rescaled, see RescalingGroups(network).names"
        )
    return np.concatenate([np.ones(1, dtype=values.dtype), values])


def _from_units(groups: RescalingGroups, factors: Mapping[str, Any]) -> np.ndarray:
    given = {}
    for node, value in factors.items():
        if node not in groups.units:
            known = ", ".join(list(groups.units)[:8])
            raise ProblemError(f"no layer with weights is named {node!r}; there are {known}")
        given[node] = _as_factors(value, f"factors[{node!r}]")
        if given[node].shape != groups.units[node].shape:
            raise ProblemError(
                f"factors[{node!r}] has shape {given[node].shape}; the layer has "
                f"{len(groups.units[node])} output units"
            )
    exact = any(value.dtype == object for value in given.values())
    dtype = np.dtype(object if exact else float)
    scales = np.ones(groups.count + 1, dtype=dtype)
    for node, value in given.items():
        value = cast(value, dtype)
        labels = groups.units[node]
        scales[labels[labels != PINNED]] = value[labels != PINNED]
    for node, value in given.items():
        wrong = np.flatnonzero(scales[groups.units[node]] != cast(value, dtype))
        if len(wrong):
            unit = int(wrong[0])
            pinned = groups.units[node][unit] == PINNED
            raise ProblemError(
                f"unit {unit} of {node!r} cannot have the factor {value[unit]}: "
                + (
                    "it is tied to the input or the output, whose scale is fixed"
                    if pinned
                    else "it is tied to units that are given another factor"
                )
            )
    return scales


def _as_factors(value: Any, name: str) -> np.ndarray:
    array = as_array(value, name)
    if array.dtype == object:
        if not all(isinstance(v, int | Fraction) and v > 0 for v in array.ravel()):
            raise ProblemError(f"{name} must hold positive floats, or positive Fractions")
        return np.array([*map(of_python, array.ravel())], dtype=object).reshape(array.shape)
    if array.size == 0:
        return array.astype(np.float64)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all() or array.min() <= 0:
        raise ProblemError(f"{name} must hold positive finite numbers")
    return array.astype(np.float64)


def _multiplied(name: str, array: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    """Return the product in the dtype of the array; refuse what changes the function."""
    if array.dtype == object:
        return np.asarray(array * cast(np.asarray(multiplier), array.dtype), dtype=object)
    try:
        floats = multiplier.astype(np.float64)
    except OverflowError as error:  # of a Fraction
        raise OutOfRange(f"{name} overflow {array.dtype}") from error
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        result = (array * floats).astype(array.dtype)
    if not np.isfinite(result).all():
        raise OutOfRange(f"{name} overflow {array.dtype}")
    # Below the normal range digits are lost: of the quotient of two factors, and of a product.
    lost = np.array((multiplier < np.finfo(np.float64).tiny) & (array != 0))
    small = (np.abs(result) < np.finfo(result.dtype).tiny) & (array != 0) & ~lost
    if small.any():
        own = array[small].astype(np.float64)
        back = result[small] / np.broadcast_to(multiplier, array.shape)[small].astype(np.float64)
        lost[small] = np.abs(back - own) > 4.0 * np.finfo(result.dtype).eps * np.abs(own)
    if lost.any():
        raise OutOfRange(f"entries of {name} vanish or lose digits")
    return result


class OutOfRange(ProblemError):
    """Some parameter is beyond the floats once it is rescaled.

    Parameters
    ----------
    what : str
        Which, and whether it overflows or vanishes.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"rescaling hidden units makes {what}; give less extreme factors, or bring the weights "
            "nearer to 1 first: a power of two times the weights and bias of the last layer "
            "multiplies the output by it, and nothing else"
        )


def random_factors(
    subject: Any, choices: Sequence[float] = (1, 128, 4096), *, seed: int = 0, example: Any = None
) -> np.ndarray:
    """Return random factors for `rescale`: an adversary for criteria that look at magnitudes.

    Parameters
    ----------
    subject : Network, module, or anything that `load_network` takes
    choices : sequence of float
        Each group of units gets one of them, with equal probability. The default is that of
        Gonon et al., arXiv 2405.15006: powers of two, so that no bit of the function changes.
    seed : int
    example : array or tensor, optional
        As in `rescale`.

    Returns
    -------
    float64 array, shape (groups,)
    """
    generator = Context(seed=seed).rng()
    return generator.choice(np.asarray(choices, dtype=float), groups_of(subject, example).count)
