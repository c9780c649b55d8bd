"""Are the supports that pruning leaves closed? Only then can training with them have an optimum
on every data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.choosing.solving import solve
from sparseopt.closedness.problem import Closedness
from sparseopt.interface.context import Context, Progress
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable
from sparseopt.interface.solution import Solution
from sparseopt.networks.layers import LinearPair, consecutive_linear_pairs
from sparseopt.networks.network import Network


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
    network: Network, masks: dict[str, np.ndarray], progress: Progress | None = None
) -> dict[str, np.ndarray]:
    """Return masks within `masks` under which every two consecutive layers have closed supports.

    A layer belongs to two pairs, and closing one may open the other: pairs are gone through
    until all are closed. Each change removes weights, so this ends.
    """
    context = Context(progress=progress)
    result = {name: mask.copy() for name, mask in masks.items()}
    verdicts: dict[bytes, bool] = {}
    changed = True
    while changed:
        changed = False
        arrays = network.parameters()
        pruned = network.with_parameters({n: np.where(m, arrays[n], 0) for n, m in result.items()})
        pairs = consecutive_linear_pairs(pruned)
        for i, pair in enumerate(pairs):
            context.report(i / len(pairs), f"closing supports of {pair.first.name}")
            left, right = pair.supports
            key = left.tobytes() + right.tobytes() + bytes(str(left.shape), "ascii")
            if key in verdicts or not pair.is_sparse:
                continue
            kept: Any = _closed_within(left, right)
            verdicts[key] = True
            of_weights = pair.kept(kept)
            for layer, entries in zip((pair.second, pair.first), of_weights, strict=True):
                name = f"{layer.name}.weight"
                if name not in result:
                    raise ProblemError(
                        f"{name} shares its tensor with another layer, so its support cannot be "
                        "closed by itself; leave out closed="
                    )
                mask = result[name] & entries
                changed = changed or not np.array_equal(mask, result[name])
                result[name] = mask
            if changed:
                break
    return result


def _closed_within(left: np.ndarray, right: np.ndarray) -> list[np.ndarray]:
    from sparseopt.closedness.nearest import NearestClosedSupport

    answer = solve(NearestClosedSupport([left, right], allow="remove")).answer
    return [np.asarray(s, dtype=bool) for s in answer.supports]
