"""Do a loaded network and its source compute the same function?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import sparseopt as so

Reference = Callable[[np.ndarray], Any]

# Edges of networks that are evaluated several times, and many times.
_SMALL, _TINY = 50_000_000, 500_000

# Relative to the largest entry of each output, before rounding errors that the network magnifies:
# sums of float32 in two orders differ by about 1e-6 per layer.
_TOLERANCE = 1e-5
# In float64, where both sides round a billion times less than in float32.
_FINE = 1e-9
# In float64, where the reader has computed constants in float32.
_FOLDED = 1e-6
# By so much of the largest entry of an output a model in single precision may be off to be written.
_LOST = 0.02
# A value that is a sum of many terms is rounded more than once.
_ROUNDINGS = 16.0
# Roundings of one draw may cancel.
_DRAWS = 4


def is_small(network: so.Network) -> bool:
    """Whether the network may be evaluated many times."""
    return network.edge_count < _SMALL


def require_agreement(
    network: so.Network,
    reference: Reference,
    dtype: type[np.floating],
    name: str,
    *,
    copies: int = 1,
    folded: bool = False,
) -> bool:
    """Raise `ProblemError` unless network and `reference` agree on random input.

    Parameters
    ----------
    network : Network
    reference : callable
        Maps samples (copies, *input_shape) to the outputs in the order of the network's entries,
        sample after sample.
    dtype : float32 or float64
        In which both compute.
    name : str
        Of the reference, for the message.
    copies : int
        Samples that the reference takes at once, each for itself (a fixed batch).
    folded : bool
        Whether constants or values on the way are computed in float32.

    Returns
    -------
    bool
        False if an output of the reference left the range of its dtype on every input, so that it
        could not be compared.

    Notes
    -----
    Differences may be rounding that the network magnifies. How much it magnifies is measured: by
    the distance of the network's own results in float32 and float64; and, as where float32 has no
    digits left or an output is 0 but for rounding, by what becomes of it when each value on the way
    moves in its last digits.
    """
    compared = []
    for x in _samples(network, copies):
        given = np.asarray(reference(x.astype(dtype)), dtype=np.float64).ravel()
        count = int(np.prod(network.output_shape))
        if given.size != copies * count:
            raise so.ProblemError(
                f"the loaded network has {count} outputs, {name} has {given.size / copies:g}; "
                "please report this as a defect of the reader"
            )
        compared.append(np.isfinite(_largest(network, given)))
        _require_close(network, x.astype(dtype), given, name, folded)
    return bool(np.any(compared, axis=0).all())


def require_digits(network: so.Network) -> None:
    """Raise `ProblemError` if in single precision little is left of what the network computes.

    As where a bound of 1e8 is added to values near 1, and taken off again. Infinite values are
    left to others, and outputs that are 0 but for rounding in float64 too.
    """
    for x in _samples(network):
        with np.errstate(over="ignore", invalid="ignore"):
            wide, narrow = (network.run(x.astype(t)).astype(float) for t in (float, np.float32))
            size, gap = _largest(network, wide), _distance(network, narrow, wide)
            lost = np.flatnonzero(np.isfinite(size) & np.isfinite(gap) & (gap > _LOST * size))
        if lost.size:
            lost = lost[size[lost] > _magnified(network, x, wide.ravel(), np.float64)[lost]]
        if lost.size:
            raise so.ProblemError(
                f"in single precision the model would be off by {gap[lost[0]]:.3g} where outputs "
                f"reach {size[lost[0]]:.3g}: its sums lose their digits, as beside the bound of a "
                "Clip that is far away; leave such a bound out, or stay in double precision"
            )


def _samples(network: so.Network, count: int = 1) -> Iterator[np.ndarray]:
    """Yield inputs of several kinds and sizes, `count` at a time, once for large networks."""
    rng = np.random.default_rng(0)
    shape = (count, *network.input_shape)
    yield rng.standard_normal(shape)
    if not is_small(network):
        return
    tiny = network.edge_count < _TINY and len(network.nodes) < 100
    for _ in range(4 if tiny else 1):
        for scale in (0.05, 1.0, 30.0):
            yield scale * rng.standard_normal(shape)
        for sign in (1.0, -1.0):  # many networks see pixels, which are never negative
            yield sign * rng.random(shape)


def _require_close(
    network: so.Network, x: np.ndarray, right: np.ndarray, name: str, folded: bool
) -> None:
    """Compare each output on its own scale; one that left the range of floats is passed over."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = network.run(x).astype(np.float64).ravel()
    gap, size = _distance(network, found, right), _largest(network, right)
    wide = x.dtype == np.float64
    tolerance = (_FOLDED if folded else _FINE) if wide else _TOLERANCE
    far = np.isfinite(size) & ~(gap <= tolerance * size)
    if not far.any():
        return
    other = np.float32 if wide else np.float64
    with np.errstate(over="ignore", invalid="ignore"):
        again = network.run(x.astype(other)).astype(np.float64).ravel()
    share = (10.0 if folded else 1e-6) if wide else 50.0
    # Where float32 overflows, there is no such excuse in float64.
    far &= gap > tolerance * size + share * _finite(_distance(network, again, found))
    if far.any():
        far &= ~(gap <= _magnified(network, x, found if wide else again, x.dtype))
    if far.any():
        if len(x) > 1:
            raise so.ProblemError(
                f"{name} mixes the samples of a batch of {len(x)}, so that what it makes of one "
                "depends on the others, or the reader misunderstood an operator; export the "
                "model with a batch of 1"
            )
        i = int(np.argmax(far))
        raise so.ProblemError(
            f"the loaded network and {name} differ by {gap[i]:.3g} on random input, where outputs "
            f"reach {size[i]:.3g}; the reader misunderstood an operator, please report this"
        )


def _magnified(network: so.Network, x: np.ndarray, found: np.ndarray, dtype: Any) -> np.ndarray:
    """Return how far each output may move when each value on the way is rounded to a dtype.

    `found` is what the network makes of x in float64.
    """
    rng = np.random.default_rng(0)
    digits = float(np.finfo(dtype).eps)

    def visit(node: Any, values: list[np.ndarray]) -> np.ndarray:
        result = node.op.run(values)
        moved: np.ndarray = result * (1.0 + digits * rng.uniform(-1.0, 1.0, result.shape))
        return moved

    with np.errstate(over="ignore", invalid="ignore"):
        moved = [network.walk(x.astype(np.float64), visit).ravel() for _ in range(_DRAWS)]
        gaps = [_finite(_distance(network, values, found)) for values in moved]
        return _ROUNDINGS * np.max(gaps, axis=0)


def _distance(network: so.Network, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the largest difference in each output; inf if one is not a number."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _largest(network, a.ravel() - b.ravel())


def _largest(network: so.Network, values: np.ndarray) -> np.ndarray:
    """Return the largest magnitude in each output; inf if one is not a number."""
    sizes = np.where(np.isnan(values), np.inf, np.abs(values))
    parts = network.by_output(sizes.reshape(-1, *network.output_shape))
    return np.array([part.max(initial=0.0) for part in parts.values()])


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, 0.0)
