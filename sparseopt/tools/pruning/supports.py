"""Are the supports that pruning leaves closed? Only then can training with them have an optimum
on every data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sparseopt.choosing.solving import solve
from sparseopt.closedness.nearest import NearestClosedSupport
from sparseopt.closedness.problem import Closedness
from sparseopt.interface.context import Context, Progress
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable, short_repr
from sparseopt.interface.solution import Solution
from sparseopt.networks.layers import LinearLayer, LinearPair, consecutive_linear_pairs
from sparseopt.networks.network import Network


@short_repr
@dataclass(frozen=True, eq=False)
class PairVerdict:
    """The verdict on the supports of two consecutive linear layers.

    Attributes
    ----------
    pair : LinearPair
        The layers.
    solution : Solution
        Of `Closedness`, with its certificate.
    """

    pair: LinearPair
    solution: Solution

    @property
    def value(self) -> str:
        """One of closed, not_closed, unknown."""
        return str(self.solution.answer.value)

    def __str__(self) -> str:
        return printable(f"{self.pair.first.name} -> {self.pair.second.name}: {self.value}", 400)


def pair_verdicts(network: Network, seconds_per_pair: float = 10.0) -> list[PairVerdict]:
    """Ask `Closedness` about every two consecutive linear layers, one of which has zeros.

    Parameters
    ----------
    network : Network
    seconds_per_pair : float
        Time limit of one verdict; unknown after it.

    Returns
    -------
    list of PairVerdict
        Of dense layers, and convolutions of kernel size 1, with nothing but ReLU, biases, dropout
        or moving of entries between them.
    """
    pairs = [pair for pair in consecutive_linear_pairs(network) if pair.is_sparse]
    return [
        PairVerdict(pair, solve(Closedness(list(pair.supports)), time_limit=seconds_per_pair))
        for pair in pairs
    ]


def close_supports(
    network: Network,
    masks: dict[str, np.ndarray],
    progress: Progress | None = None,
    costs: Mapping[str, np.ndarray] | None = None,
    keep_lines: bool = False,
    seconds_per_pair: float | None = None,
) -> dict[str, np.ndarray]:
    """Return masks within `masks` under which every two consecutive layers have closed supports.

    A layer belongs to two pairs, and closing one may open the other: pairs are gone through
    until all are closed. Each change removes weights, so this ends.

    Parameters
    ----------
    network : Network
    masks : dict of bool arrays
        By the names of the weights.
    progress : callable(fraction, message) or None
    costs : dict of arrays, optional
        What it costs to remove each weight, by the same names; 1 each by default.
    keep_lines : bool
        Whether every output of the second layer of a pair and every input of the first that has
        weights must keep one.
    seconds_per_pair : float, optional
        Time limit of one repair.
    """
    context = Context(progress=progress)
    result = {name: mask.copy() for name, mask in masks.items()}
    closed: set[bytes] = set()
    changed = True
    while changed:
        changed = False
        arrays = network.parameters()
        pruned = network.with_parameters({n: np.where(m, arrays[n], 0) for n, m in result.items()})
        pairs = consecutive_linear_pairs(pruned)
        for i, pair in enumerate(pairs):
            context.report(i / len(pairs), f"closing supports of {pair.first.name}")
            left, right = pair.supports
            if _key(left, right) in closed or not pair.is_sparse:
                continue
            paid = None if costs is None else _costs_of(pair, costs)
            repair = NearestClosedSupport([left, right], "remove", "real", paid, keep_lines)
            found = solve(repair, time_limit=seconds_per_pair).answer
            kept = [np.asarray(s, dtype=bool) for s in found.supports]
            closed.add(_key(*kept))
            of_weights = pair.kept(kept)
            for layer, entries in zip((pair.second, pair.first), of_weights, strict=True):
                name = f"{layer.name}.weight"
                if name not in result:
                    raise ProblemError(
                        f"{name} shares its tensor with another layer, so its support cannot be "
                        "closed by itself; leave out closed= (--closed on the command line)"
                    )
                mask = result[name] & entries
                changed = changed or not np.array_equal(mask, result[name])
                result[name] = mask
            if changed:
                break
    return result


def _key(left: np.ndarray, right: np.ndarray) -> bytes:
    return left.tobytes() + right.tobytes() + bytes(str(left.shape), "ascii")


def _costs_of(pair: LinearPair, costs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return what removing each entry of the supports of a pair costs."""
    first, second = (
        _matrix(layer, costs[f"{layer.name}.weight"]) for layer in (pair.first, pair.second)
    )
    ordered = np.empty_like(second)
    ordered[:, pair.order] = second
    return [ordered, first]


def _matrix(layer: LinearLayer, values: np.ndarray) -> np.ndarray:
    """Return values of the weights of a layer where these stand in its matrix, else 0."""
    rows, columns = values.shape[:2]
    found = np.zeros((layer.groups, rows // layer.groups, layer.groups, columns))
    each = np.arange(layer.groups)
    found[each, :, each] = values.reshape(layer.groups, -1, columns)
    return found.reshape(rows, layer.groups * columns)


def cut_off(before: Network, after: Network) -> list[str]:
    """Return in words which layers have units that lost all their weights.

    An output of the network without weights is constant, whatever it was trained for.
    """
    lines = []
    old, new = before.parameters(), after.parameters()
    for pair in consecutive_linear_pairs(after):
        for layer in (pair.first, pair.second):
            name = f"{layer.name}.weight"
            count = len(old[name])
            had, has = (w[name].reshape(count, -1).any(axis=1) for w in (old, new))
            lost = np.flatnonzero(had & ~has).tolist()
            have = "has" if len(lost) == 1 else "have"
            words = f"{layer.name}: {len(lost)} of {count} outputs {have} no weights left"
            if lost and words not in lines:
                lines.append(words)
    return lines
