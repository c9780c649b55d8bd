"""Neural balance: incoming against outgoing norm of every hidden neuron or channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.tools.report.numbers import number

_REMEDY = (
    "rescale the units to equal norms (so.canonicalize) before comparing magnitudes of weights"
)


@dataclass(frozen=True)
class NeuralBalance(so.Analyzer[so.Network]):
    """Compares the norms of the weights into and out of each group of hidden units.

    A group of units that must be rescaled alike can be rescaled, incoming weights times c and
    outgoing ones divided by c, without changing the network. Where the ratio varies much,
    comparing magnitudes of weights (as magnitude pruning does) compares arbitrary scales.

    Parameters
    ----------
    spread : float
        Ratio of the largest to the smallest balance in one layer above which a warning is given.
    """

    spread: float = 10.0

    def __post_init__(self) -> None:
        if not self.spread >= 1:
            raise ValueError("spread must be at least 1")

    def accepts(self, subject: so.Network) -> so.Accepted | so.Refused:
        """Take networks with hidden units that can be rescaled."""
        if so.RescalingGroups(subject).count:
            return so.Accepted()
        return so.Refused("no hidden units can be rescaled: all are tied to inputs or outputs")

    def analyze(self, subject: so.Network, context: so.Context) -> Iterator[so.Finding]:
        """Yield dead units and uneven layers, by layer, and one look at all layers."""
        groups = so.RescalingGroups(subject)
        balance = so.neural_balance(groups)
        ratios = {}
        fed = _fed(groups)
        for layer, members in groups.layers.items():
            alive = members[balance.alive[members - 1]]
            dead = members[~balance.alive[members - 1] | ~fed[members]]
            units = groups.units[layer]
            if len(dead):
                yield _dead(layer, np.flatnonzero(np.isin(units, dead)), len(units))
            if len(alive):
                first = np.array([int(np.flatnonzero(units == group)[0]) for group in alive])
                ratio = ratios[layer] = balance.ratio[alive - 1]
                if ratio.max() > self.spread * ratio.min():
                    yield _uneven(layer, ratio, first)
        if ratios:
            yield self._overview(ratios)

    def _overview(self, ratios: dict[str, np.ndarray]) -> so.Finding:
        spreads = {layer: float(ratio.max() / ratio.min()) for layer, ratio in ratios.items()}
        worst = max(spreads, key=spreads.__getitem__)
        uneven = sum(spread > self.spread for spread in spreads.values())
        sides = {"largest": 1.0, "median": 0.5, "smallest": 0.0}
        return so.Finding(
            "neural-balance",
            so.Severity.WARNING if uneven else so.Severity.OK,
            "network",
            f"incoming over outgoing norm varies by more than {self.spread:g} in {uneven} of "
            f"{len(ratios)} layers, most in {worst!r}: by {number(spreads[worst])}",
            spreads,
            _REMEDY if uneven else "",
            key_figures=(
                so.KeyFigure(
                    "spread of incoming over outgoing norms, widest layer",
                    spreads[worst],
                    "in a balanced network",
                    1,
                ),
            ),
            figure=so.SeriesFigure(
                "Incoming over outgoing norm of the units of each layer",
                "layer",
                "ratio",
                list(ratios),
                {
                    name: [float(np.quantile(ratio, at)) for ratio in ratios.values()]
                    for name, at in sides.items()
                },
                "line",
                log=True,
            ),
        )


def _fed(groups: so.RescalingGroups) -> np.ndarray:
    """Return which groups a weight that is not 0 leads into; the others hold constants."""
    arrays = groups.network.parameters()
    fed = np.zeros(groups.count + 1, dtype=bool)
    for name, (head, _) in groups.weights.items():
        present, wide = np.broadcast_arrays(arrays[name] != 0, head)
        fed[wide[present]] = True
    return fed


def _uneven(layer: str, ratio: np.ndarray, units: np.ndarray) -> so.Finding:
    low, high = int(ratio.argmin()), int(ratio.argmax())
    return so.Finding(
        "uneven-layer",
        so.Severity.WARNING,
        layer,
        f"incoming over outgoing norm lies between {number(ratio[low])} (unit {units[low]}) and "
        f"{number(ratio[high])} (unit {units[high]}) over {len(ratio)} units; magnitudes of "
        "weights are not comparable between them",
        {"units": units, "ratio": ratio},
        _REMEDY,
    )


def _dead(layer: str, dead: np.ndarray, count: int) -> so.Finding:
    shown = ", ".join(map(str, dead[:10])) + (" ..." if len(dead) > 10 else "")
    return so.Finding(
        "dead-units",
        so.Severity.WARNING,
        layer,
        f"{len(dead)} of {count} units have no weight in or no weight out: {shown}",
        dead,
        "remove them: the network computes the same without them, up to constants",
    )
