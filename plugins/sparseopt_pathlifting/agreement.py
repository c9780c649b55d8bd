"""Do a loaded network and its source compute the same function?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import sparseopt as so

# Relative to the largest output; float32 sums in two orders differ by about 1e-6 per layer.
_TOLERANCE = 1e-4
_SMALL = 50_000_000


def require_agreement(
    network: so.Network,
    reference: Callable[[np.ndarray], np.ndarray],
    dtype: type[np.floating],
    name: str,
) -> None:
    """Raise `ProblemError` unless network and `reference` agree on random input.

    Parameters
    ----------
    network : Network
    reference : callable
        Maps a batch (n, *input_shape) to (n, ...) outputs in the order of the network's entries,
        repeated where the source has a fixed batch.
    dtype : float32 or float64
    name : str
        Of the reference, for the message.

    Notes
    -----
    Where the two differ by more than the tolerance, the difference may be rounding that the
    network magnifies. That is measured by evaluating the network in float64 as well.
    """
    rng = np.random.default_rng(0)
    scales = (1.0, 0.05, 30.0) if network.edge_count < _SMALL else (1.0,)
    for scale in scales:
        x = (scale * rng.standard_normal((1, *network.input_shape))).astype(dtype)
        found = network.run(x).astype(np.float64).ravel()
        given = np.asarray(reference(x), dtype=np.float64).ravel()
        if given.size % found.size:
            raise so.ProblemError(
                f"the loaded network has {found.size} outputs, {name} has {given.size}; please "
                "report this as a defect of the reader"
            )
        right = given.reshape(-1, found.size)
        gap = float(np.abs(right - found).max())
        size = max(float(np.abs(right).max()), 1e-30)
        if gap <= _TOLERANCE * size:
            continue
        rounding = float(np.abs(network.run(x.astype(np.float64)).ravel() - found).max())
        if not np.isfinite(right).all() or gap > _TOLERANCE * size + 50 * rounding:
            raise so.ProblemError(
                f"the loaded network and {name} differ by {gap:.3g} on random input, where outputs "
                f"reach {size:.3g}; the reader misunderstood an operator, please report this"
            )
