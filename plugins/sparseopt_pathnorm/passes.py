"""One pass through the layers gives ``||Phi^(->j)||_q^q`` for every output j.

Replace every weight and bias by the q-th power of its absolute value, every ReLU by the identity
and every pool by a sum: at the all-ones input the network then adds up |Phi_p|^q over the paths p
that end at each output (Gonon et al., arXiv 2310.01225, Theorem A.1). Values grow and shrink
geometrically with depth, so each tensor carries a power of two beside its entries; where the
entries of one tensor lie too far apart for that, the pass is repeated in logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparseopt.judging.scaling import ScaledArray
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.semiring import LARGEST, LOG, Semiring
from sparseopt.pathnorm.powers import Powers
from sparseopt_pathnorm.constant_images import Condensed, propagate
from sparseopt_pathnorm.layer_parts import joined, parts_of
from sparseopt_pathnorm.scaled_pass import OutOfRange, ScaledPass


def power_sums(
    network: Network,
    q: float,
    *,
    bias_paths: bool = True,
    tick: Callable[[str], None] | None = None,
    dtype: type[np.floating] = np.float64,
) -> Powers:
    """Return ``||Phi^(->j)||_q^q`` per output (the number of nonzero paths for q = 0, the largest
    |Phi_p| for q = inf).

    Parameters
    ----------
    network : Network
    q : float
        0, positive, or inf.
    bias_paths : bool
        Whether paths that start at biases count.
    tick : callable(node name), optional
        Called at each layer.
    dtype : float64 or float32
        Of the pass. Where float32 does not suffice for a tensor, all is computed in float64.

    Returns
    -------
    Powers
        In the shape of the output.
    """
    settings = (q, bias_paths, tick)
    precisions: list[type[np.floating]] = [np.float64]
    if dtype == np.float32:
        precisions.insert(0, np.float32)
    for precision in precisions if q != math.inf else []:
        try:
            found = ScaledPass(*settings, dtype=precision).run(network)
        except OutOfRange:
            continue
        return Powers.of(found.array.astype(np.float64), found.exponent)
    return _Logarithms(*settings).run(network)


@dataclass(frozen=True)
class _Logarithms:
    """The pass on base-2 logarithms; any range, at one exponential per edge (none for q = inf)."""

    q: float
    bias_paths: bool
    tick: Callable[[str], None] | None

    def run(self, network: Network) -> Powers:
        first = Condensed.ones(network.input_shape, semiring=self._semiring)
        return Powers.of_log2(network.walk(first, self._visit).expanded().array[0])

    @property
    def _semiring(self) -> Semiring:
        return LARGEST if self.q == math.inf else LOG

    def _log(self, array: np.ndarray) -> np.ndarray:
        if self.q == 0:
            return np.where(array != 0, 0.0, -np.inf)
        with np.errstate(divide="ignore"):
            sizes = ScaledArray.split(np.abs(array))
            logs = np.log2(sizes.array) + sizes.exponent
        return logs if self.q == math.inf else logs * self.q

    def _visit(self, node: Node, values: list[Condensed]) -> Condensed:
        if self.tick:
            self.tick(node.name)
        parts = (part.mapped(self._log) for part in parts_of(node.op))
        result = joined([propagate(part, values, self._semiring) for part in parts])
        offset = node.op.offset() if self.bias_paths else None
        if offset is not None:
            result = result.against(offset)
            result = result.scaled(self._semiring.add(result.array, self._log(offset)))
        return result
