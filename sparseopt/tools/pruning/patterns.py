"""Masks of single weights: the lowest of all, of each tensor, or of each M in a row (N:M)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.convolution import ConvTranspose
from sparseopt.networks.network import Network
from sparseopt.networks.operator import Operator
from sparseopt.tools.pruning.criteria import Scores, lowest
from sparseopt.tools.pruning.results import place, tensor_of
from sparseopt.tools.tensor_order import of_parameter, of_tensor

_PATTERN = re.compile(r"([1-9]\d{0,3}):([1-9]\d{0,3})")


def pattern_of(granularity: str) -> tuple[int, int] | None:
    """Return N and M of ``"N:M"``; None for any other word."""
    found = _PATTERN.fullmatch(granularity)
    if found is None:
        return None
    kept, size = int(found[1]), int(found[2])
    if kept > size:
        raise ProblemError(
            f"granularity {granularity!r} keeps {kept} of each {size} weights; N must be at most M"
        )
    return kept, size


class Totals:
    """Scores of tensors: those of all parameters that are one tensor are added up."""

    def __init__(self, network: Network, names: Sequence[str], found: Scores) -> None:
        arrays = network.parameters()
        self.uses: dict[str, list[str]] = {}
        for name in names:
            self.uses.setdefault(tensor_of(network, name), []).append(name)
        self.places = {name: place(network, name) for name in names}
        self.scores = {
            tensor: np.sum([of_tensor(*self.places[n], found[n]) for n in users], axis=0)
            for tensor, users in self.uses.items()
        }
        self.zeros = {
            tensor: of_tensor(*self.places[users[0]], arrays[users[0]]) == 0
            for tensor, users in self.uses.items()
        }

    def masks(self, tensor: str, kept: np.ndarray) -> dict[str, np.ndarray]:
        """Return the masks of a tensor's parameters from that of the tensor, flat."""
        return {n: of_parameter(*self.places[n], kept) for n in self.uses[tensor]}


def weight_masks(totals: Totals, ratio: float, scope: str) -> dict[str, np.ndarray]:
    """Return masks without the lowest weights: of all together, or of each tensor."""
    parts = [[tensor] for tensor in totals.uses] if scope == "layer" else [list(totals.uses)]
    result: dict[str, np.ndarray] = {}
    for part in parts:
        values = np.concatenate([totals.scores[tensor] for tensor in part])
        zero = np.concatenate([totals.zeros[tensor] for tensor in part])
        removed = lowest(values, zero, math.floor(ratio * len(values) + 0.5))
        cuts = np.cumsum([len(totals.scores[tensor]) for tensor in part])[:-1]
        for tensor, gone in zip(part, np.split(removed, cuts), strict=True):
            result |= totals.masks(tensor, ~gone)
    return result


def input_axis(op: Operator) -> int:
    """Return the axis of a weight along which its inputs lie."""
    return 0 if isinstance(op, ConvTranspose) or op.parameters()["weight"].ndim == 1 else 1


def inputs_in_rows(network: Network, name: str, size: int) -> str:
    """Return why the weights into a unit cannot be cut in rows of `size`; empty if they can."""
    node, _ = place(network, name)
    count = node.op.parameters()["weight"].shape[input_axis(node.op)]
    if isinstance(node.op, ConvTranspose):
        count //= node.op.groups
    if count % size:
        return f"left alone: its {count} inputs are no multiple of {size}"
    return ""


def pattern_masks(totals: Totals, kept: int, size: int) -> dict[str, np.ndarray]:
    """Return masks that keep the `kept` highest of each `size` weights side by side.

    Side by side are weights from consecutive inputs (of convolutions: channels at one place of the
    kernel) into one unit, as the hardware for 2:4 wants them.
    """
    result: dict[str, np.ndarray] = {}
    for tensor, users in totals.uses.items():
        node, field = totals.places[users[0]]
        axis = input_axis(node.op)
        scores, zero = (
            np.moveaxis(of_parameter(node, field, flat), axis, -1)
            for flat in (totals.scores[tensor], totals.zeros[tensor])
        )
        ranked = np.where(zero, -np.inf, scores.astype(np.float64))
        rows = ranked.reshape(-1, size)
        order = np.argsort(rows, axis=1, kind="stable")[:, : size - kept]
        mask = np.ones(rows.shape, dtype=bool)
        np.put_along_axis(mask, order, False, axis=1)
        own = np.moveaxis(mask.reshape(ranked.shape), -1, axis)
        result |= totals.masks(tensor, of_tensor(node, field, own))
    return result
