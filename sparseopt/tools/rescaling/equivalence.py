"""Are two networks positive rescalings of each other?"""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable, short, short_repr
from sparseopt.networks.network import Network
from sparseopt.networks.parameters import cast, exact
from sparseopt.tools.rescaling.factors import multipliers
from sparseopt.tools.rescaling.groups import PINNED, RescalingGroups


@short_repr
@dataclass(frozen=True, eq=False)
class RescalingEquivalence:
    """Whether one network is a rescaling of another, with what shows it.

    Attributes
    ----------
    equivalent : bool
        Also the truth value of the object. False does not say that the functions differ.
    factors : array, shape (groups,), or None
        ``rescale(a, factors)`` is b, to the tolerance; 1 where nothing determines a factor.
    witness : str
        If not equivalent: an entry of b that no rescaling of a has, and what it would have to be.
    """

    equivalent: bool
    factors: np.ndarray | None
    witness: str

    def __bool__(self) -> bool:
        return self.equivalent


def are_rescaling_equivalent(
    a: Network, b: Network, rtol: float | None = None
) -> RescalingEquivalence:
    """Decide whether some positive rescaling of the hidden units turns `a` into `b`.

    A rescaling is what `rescale` does for some factors. Then both have the same path-lifting and
    compute the same function. The converse fails: networks that differ by a permutation of hidden
    units, or in dead units, may compute the same function without being rescalings. So may two
    whose pools share a unit that is always 0: a pool ties all units that it reads, whatever their
    weights.

    Parameters
    ----------
    a, b : Network
    rtol : float, optional
        How far, relatively, an entry of b may be from the rescaled entry of a. By default 0 for
        exact networks, 1e-9 for float64 and 1e-4 where float32 is involved.

    Returns
    -------
    RescalingEquivalence

    Raises
    ------
    ProblemError
        For a negative tolerance.

    Notes
    -----
    A weight that is nonzero in both ties the factors at its two ends. Walking from the pinned
    group along such weights determines every factor that is determined at all, so that one
    comparison of all entries decides. O(depth x parameters) at most.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((1,), Dense(np.array([[3.0]])), Relu(), Dense(np.array([[8.0]])))
    >>> found = so.are_rescaling_equivalent(net, so.rescale(net, [4.0]))
    >>> bool(found), found.factors
    (True, array([4.]))
    >>> other = net.with_parameters({"0:Dense.weight": np.array([[-3.0]])})
    >>> so.are_rescaling_equivalent(net, other).witness
    '0:Dense.weight[0, 0] is 3.0 in one network and -3.0 in the other: signs never change'
    """
    difference = _structural_difference(a, b)
    if difference:
        return RescalingEquivalence(False, None, difference)
    old, new = a.parameters(), b.parameters()
    rational = [x.dtype == object for x in (*old.values(), *new.values())]
    if rtol is None:
        narrow = any(x.dtype == np.float32 for x in (*old.values(), *new.values()))
        rtol = 0.0 if all(rational) else 1e-4 if narrow else 1e-9
    if not rtol >= 0:
        raise ProblemError(f"rtol must not be negative, got {short(rtol)}")
    for name, array in old.items():
        changed = np.argwhere(np.sign(array) != np.sign(new[name]))
        if len(changed):
            place = tuple(int(i) for i in changed[0])
            return RescalingEquivalence(
                False,
                None,
                f"{printable(name)}{list(place)} is {array[place]} in one network and "
                f"{new[name][place]} in the other: signs never change",
            )
    groups = RescalingGroups(a)
    dtype = np.dtype(object if any(rational) else np.longdouble)
    scales = _Factors(groups, old, new, dtype).found()
    return _compared(groups, old, new, scales, rtol)


def _structural_difference(a: Network, b: Network) -> str:
    if len(a.nodes) != len(b.nodes):
        return f"one network has {len(a.nodes)} layers, the other {len(b.nodes)}"
    place = {node.name: i for i, node in enumerate(a.nodes)}
    other = {node.name: i for i, node in enumerate(b.nodes)}
    for first, second in zip(a.nodes, b.nodes, strict=True):
        inputs = [place[n] for n in first.inputs], [other[n] for n in second.inputs]
        if type(first.op) is not type(second.op) or inputs[0] != inputs[1]:
            return f"layer {first.name!r} and layer {second.name!r} are of different kinds"
        if first.name != second.name:
            return f"layers at one place are named {first.name!r} and {second.name!r}"
        parameters = first.op.parameters()
        if parameters.keys() != second.op.parameters().keys():
            return f"layer {first.name!r} has different parameters in the two networks"
        for item in fields(first.op):  # type: ignore[arg-type]
            x, y = getattr(first.op, item.name), getattr(second.op, item.name)
            same = x.shape == y.shape if item.name in parameters else _same(x, y)
            if not same:
                return f"layer {first.name!r} differs in {item.name}"
    if place[a.output] != other[b.output]:
        return "the networks have different outputs"
    return ""


def _same(x: object, y: object) -> bool:
    if isinstance(x, np.ndarray):
        return isinstance(y, np.ndarray) and np.array_equal(x, y)
    if isinstance(x, tuple):
        return isinstance(y, tuple) and len(x) == len(y) and all(map(_same, x, y))
    if hasattr(x, "__dataclass_fields__"):
        names = [item.name for item in fields(x)]  # type: ignore[arg-type]
        return type(x) is type(y) and all(_same(getattr(x, n), getattr(y, n)) for n in names)
    return x == y


class _Factors:
    """Determines factors from ratios of entries, from known groups to unknown ones."""

    def __init__(
        self,
        groups: RescalingGroups,
        old: dict[str, np.ndarray],
        new: dict[str, np.ndarray],
        dtype: np.dtype,
    ) -> None:
        self._scales = np.ones(groups.count + 1, dtype=dtype)
        if dtype.kind == "O":
            self._scales = np.array([Fraction(1)] * (groups.count + 1), dtype=object)
        self._known = np.zeros(groups.count + 1, dtype=bool)
        self._known[PINNED] = True
        # Edges (head, tail, ratio, size) of each array, smallest weights first: the largest win.
        self._edges = []
        labels = dict(groups.weights)
        for name, head in groups.biases.items():
            labels[name] = (head, np.full_like(head, PINNED))
        for name, (head, tail) in labels.items():
            array = old[name]
            rows = np.broadcast_to(head, array.shape).ravel()
            columns = np.broadcast_to(tail, array.shape).ravel()
            kept = np.flatnonzero((array.ravel() != 0) & (rows != columns))
            order = kept[np.argsort(np.abs(array.ravel()[kept]), kind="stable")]
            before = _wide(array.ravel()[order], dtype)
            ratio = _wide(new[name].ravel()[order], dtype) / before
            self._edges.append((rows[order], columns[order], ratio))

    def found(self) -> np.ndarray:
        """Return all factors, the pinned group first."""
        while True:
            while self._advance():
                pass
            left = np.flatnonzero(~self._known)
            if not len(left):
                return self._scales
            self._known[left[0]] = True  # a component that nothing ties to the pinned group

    def _advance(self) -> bool:
        before = int(self._known.sum())
        for head, tail, ratio in (*self._edges, *reversed(self._edges)):
            forward = self._known[tail] & ~self._known[head]
            self._scales[head[forward]] = ratio[forward] * self._scales[tail[forward]]
            self._known[head[forward]] = True
            back = self._known[head] & ~self._known[tail]
            self._scales[tail[back]] = self._scales[head[back]] / ratio[back]
            self._known[tail[back]] = True
        return int(self._known.sum()) > before


def _compared(
    groups: RescalingGroups,
    old: dict[str, np.ndarray],
    new: dict[str, np.ndarray],
    scales: np.ndarray,
    rtol: float,
) -> RescalingEquivalence:
    factors = scales[1:] if scales.dtype == object else scales[1:].astype(np.float64)
    multiplied = multipliers(groups, scales)
    worst: tuple[Any, str] = (-1, "")
    for name, array in old.items():
        wanted = _wide(array, scales.dtype)
        if name in multiplied:
            wanted = wanted * multiplied[name]
        found = _wide(new[name], scales.dtype)
        off = np.abs(found - wanted)
        size = np.maximum(np.abs(wanted), np.abs(found))
        relative = np.where(size > 0, off / np.where(size > 0, size, 1), 0)
        top = np.unravel_index(int(np.argmax(relative)), array.shape)
        if relative[top] > worst[0]:
            place = [int(i) for i in top]
            right, stands = _shown(wanted[top]), _shown(found[top])
            text = f"{printable(name)}{place} would have to be {right}, but is {stands}"
            worst = relative[top], text
    if worst[0] > rtol:
        return RescalingEquivalence(False, None, f"{worst[1]}; the other weights fix the factors")
    return RescalingEquivalence(True, factors, "")


def _wide(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return an array in a dtype; integers, whose quotients are floats, as fractions."""
    return exact(array) if dtype.kind == "O" else cast(array, dtype)


def _shown(value: object) -> str:
    return str(value) if isinstance(value, Fraction | int) else f"{float(value):.17g}"  # type: ignore[arg-type]
