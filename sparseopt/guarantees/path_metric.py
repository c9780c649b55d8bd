"""What eq. (8) says of two networks, output by output and with any signs, in three passes.

For a network with the absolute values of its weights and biases, pools that add up and no ReLU,
let N(theta) be the output at r, where ``|x_i| <= r_i``: the sum over the paths p that end there of
|Phi_p| r_p, with 1 for paths from a bias. If no parameter changes its sign, then

    |f(x) - f'(x)| <= sum_p |Phi_p - Phi'_p| |x_p|

(Gonon et al., arXiv 2405.15006). Let meet be the parameters of the smaller absolute value where
the signs agree, 0 elsewhere. From theta to meet no sign changes and every |Phi_p| falls, so the sum
is N(theta) - N(meet); likewise from meet to theta'. Hence for all signs

    |f(x) - f'(x)| <= (N(theta) - N(meet)) + (N(theta') - N(meet)).

With s = N(meet) at a layer and g = N(theta) - N(meet), the next layer has ``s <- m s`` and
``g <- |W| g + (|W| - m) s``: nothing cancels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparseopt.guarantees.boxes import FAINT
from sparseopt.guarantees.layers import Layer
from sparseopt.judging.rounding import gamma

Sums = tuple[np.ndarray, np.ndarray, np.ndarray]
"""N(meet), and how much N is larger for either network."""


def path_metric(layers: dict[str, Layer], start: str, reach: np.ndarray) -> np.ndarray:
    """Return the bound of each output.

    Parameters
    ----------
    layers : dict of str to Layer
        In order; the last gives the output.
    start : str
        Name of the input.
    reach : array, shape of the input
        The largest absolute value of each entry.
    """
    nothing = np.zeros_like(reach)[None]
    known = {start: (reach[None], nothing, nothing)}
    for name, layer in layers.items():
        known[name] = _through(layer, [known[source] for source in layer.sources])
    _, first, second = list(known.values())[-1]
    return np.asarray((first + second)[0] * (1 + gamma(4)))


def _through(layer: Layer, values: Sequence[Sums]) -> Sums:
    least, first, second = (list(part) for part in zip(*values, strict=True))
    pairs = [_split(*three) for three in zip(layer.first, layer.second, layer.gap, strict=True)]
    meet, more, others = ([pair[i] for pair in pairs] for i in range(3))
    starts = _split(*layer.biases)
    sizes = [[np.abs(array) for array in arrays] for arrays in (layer.first, layer.second)]
    if not layer.moves:
        more = others = []
    return (
        _sum(layer, [(meet, least)], starts[0]),
        _sum(layer, [(sizes[0], first), (more, least)], starts[1]),
        _sum(layer, [(sizes[1], second), (others, least)], starts[2]),
    )


def _sum(
    layer: Layer,
    products: Sequence[tuple[list[np.ndarray], list[np.ndarray]]],
    start: np.ndarray,
) -> np.ndarray:
    """Return an upper bound of a sum of products of nonnegative numbers; 0 if all of them are."""
    total = np.broadcast_to(start, (1, *layer.shape))
    n = layer.terms
    for number, (weights, values) in enumerate(products):
        if any(value.any() for value in values) and (weights or not number):
            total = total + layer.forward(weights, values) + n * FAINT
    return np.asarray(total * (1 + 2 * gamma(n)))


def _split(a: np.ndarray, b: np.ndarray, gap: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the meet of two arrays, and how much larger the absolute values of either are.

    Where the signs agree a difference is that of the numbers, which `gap` holds to a relative u.
    """
    agree = (np.sign(a) * np.sign(b)) >= 0
    ahead = np.where(a != 0, a, b) * np.sign(gap)  # positive where |a| is the larger
    meet = np.where(agree, np.minimum(np.abs(a), np.abs(b)), 0.0)
    more = np.where(agree, np.where(ahead > 0, np.abs(gap), 0.0), np.abs(a))
    others = np.where(agree, np.where(ahead < 0, np.abs(gap), 0.0), np.abs(b))
    return meet, more, others
