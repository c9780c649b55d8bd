"""Groups of hidden units that lie on no path from the input or a bias to the output.

Nothing that they do reaches the output, or nothing reaches them, so the balanced network leaves
their scale open. A canonical form needs one all the same. The scales of the living groups are
settled; in rounds, every other group that shares weights with settled ones is scaled so that
these weights have norm 1: those into it if there are any, else those out of it. Groups that share
weights with none are left to the end, when the first of them counts as settled. Groups that
couple in a circle are balanced among each other and scaled together.

So the order depends on the supports alone, and the weights of the canonical form do not depend on
the scales at the beginning.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from sparseopt.tools.rescaling.coupling import Coupling

Balanced = Callable[[csr_array], np.ndarray]


def settle(
    coupling: Coupling, living: np.ndarray, logs: np.ndarray, balanced: Balanced
) -> np.ndarray:
    """Return p log(factor) of every group, those of the living ones as given.

    Parameters
    ----------
    coupling : Coupling
        Sums of |w|^p by (group at the head, group at the tail), without the diagonal.
    living : bool array, shape (1 + groups,)
        Whether a group lies on a path from group 0 back to it.
    logs : float64 array, shape (1 + groups,)
        p log(factor); only those of the living groups are read.
    balanced : callable
        Returns p log(factor) that balance the groups of a circle, the first of them with 0.
    """
    settled = living.copy()
    logs = np.where(settled, logs, 0.0)
    if settled.all():
        return logs
    dead = np.flatnonzero(~settled)
    into, out = coupling.lines(dead, into=True), coupling.lines(dead, into=False)
    # No living group is in a circle with a dead one, which would be alive then.
    _, of_group = connected_components(into, directed=True, connection="strong")
    while not settled.all():
        before = settled.copy()
        led_into = ~before & (into @ before > 0)
        near = led_into | (~before & (out @ before > 0))
        if not near.any():
            near[int(np.argmin(before))] = True
        for circle in np.unique(of_group[near]):
            group = np.flatnonzero(of_group == circle)
            lines, sign = (into, 1.0) if led_into[group].any() else (out, -1.0)
            _settle(lines, group, sign, logs, before, balanced)
            settled[group] = True
    return logs


def _settle(
    lines: csr_array,
    group: np.ndarray,
    sign: float,
    logs: np.ndarray,
    settled: np.ndarray,
    balanced: Balanced,
) -> None:
    """Scale a circle so that its weights from (sign 1) or to (-1) settled groups have norm 1."""
    if len(group) > 1:
        logs[group] = balanced(csr_array(lines[group][:, group])) * sign
    part = lines[group].tocoo()
    outside = settled[part.col]
    if outside.any():
        shifts = logs[group][part.row[outside]] - logs[part.col[outside]]
        logs[group] -= sign * np.logaddexp.reduce(np.log(part.data[outside]) + sign * shifts)
