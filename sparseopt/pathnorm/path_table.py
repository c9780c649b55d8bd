"""How strongly each output depends on each input: sums over the paths that start at inputs.

For a DAG ReLU network f and any inputs x, y

    |f_j(x) - f_j(y)| <= sum_i c_ji |x_i - y_i|,   c_ji = sum of |Phi_p| over paths p from i to j.

Proof: along the layers, a ReLU, and the k-th largest of a list, change by at most as much as
(the largest of) what enters them, so each neuron's change is at most the sum of its
predecessors' changes times the absolute edge weights; biases cancel. Unfold to the inputs. The
matrix C = (c_ji) does not depend on whether entrywise scales are merged.
"""

from __future__ import annotations

import math

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.network import Network
from sparseopt.pathnorm import plain
from sparseopt.pathnorm.powers import Powers
from sparseopt.pathnorm.rounded import RoundedSums

# Size of the table times edges per output row: about a minute of work.
_TABLE_WORK = 20_000_000_000
_BATCH_ENTRIES = 1 << 22


def path_table(network: Network) -> np.ndarray:
    """Return the table c_ji of the sums of |Phi_p| over the paths from input i to output j.

    Then ``|f_j(x) - f_j(y)| <= sum_i c_ji |x_i - y_i|`` for all x and y.

    Parameters
    ----------
    network : Network

    Returns
    -------
    float64 array, shape (outputs, inputs)
        Both in row-major order, rounded; entries may overflow to inf for very deep networks.

    Raises
    ------
    ProblemError
        If the table would take about a minute or more: one backward pass per output.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((2,), Dense(np.array([[1.0, -2.0]])), Relu(), Dense(np.array([[3.0], [-1.0]])))
    >>> path_table(net)
    array([[3., 6.],
           [1., 2.]])
    """
    require_table(network)
    table = bounded_table(network)
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(table.array, table.exponent)


def bounded_table(network: Network) -> Powers:
    """Return the same table with wide exponents and a bound of its relative error."""
    outputs = math.prod(network.output_shape)
    widest = max(math.prod(shape) for shape in network.shapes.values())
    step = max(1, min(outputs, _BATCH_ENTRIES // widest))
    parts = []
    for start in range(0, outputs, step):
        rows = np.eye(min(step, outputs - start), outputs, start)
        ends = rows.reshape(-1, *network.output_shape)

        def run(arithmetic: RoundedSums, ends: np.ndarray = ends) -> list[Powers]:
            value = plain.backward(network, arithmetic, arithmetic.of(ends))
            return [arithmetic.powers(value, sample) for sample in range(len(ends))]

        parts += plain.in_floats(network, 1, run, passes=outputs)
    return Powers(
        np.stack([part.array.ravel() for part in parts]),
        np.stack([part.exponent.ravel() for part in parts]),
        max(part.error for part in parts),
    )


def has_table(network: Network) -> bool:
    """Whether `path_table` is affordable."""
    return network.edge_count * math.prod(network.output_shape) <= _TABLE_WORK


def require_table(network: Network) -> None:
    """Refuse networks for which the table of all input-output pairs is too expensive."""
    if not has_table(network):
        raise ProblemError(
            f"the table has {math.prod(network.output_shape)} rows, one backward pass over "
            f"{network.edge_count} edges each; use LipschitzBound with p_in=inf, p_out=1 or "
            "p_in=p_out=2, which need a few passes in all"
        )
