"""Neural balance: incoming against outgoing norm of every hidden neuron or channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.network import HiddenUnits, hidden_units


@dataclass(frozen=True)
class NeuralBalance(so.Analyzer[so.Network]):
    """Compares the norms of the weights into and out of each hidden unit.

    A ReLU unit can be rescaled, incoming weights times c and outgoing ones divided by c, without
    changing the network. Where the ratio varies much between units, comparing magnitudes of
    weights (as magnitude pruning does) compares arbitrary scales.

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
        """Take networks with hidden units between two layers."""
        if hidden_units(subject):
            return so.Accepted()
        return so.Refused("no hidden units lie between two layers without mixing with others")

    def analyze(self, subject: so.Network, context: so.Context) -> Iterator[so.Finding]:
        """Yield one finding per layer of hidden units, and one for its dead units."""
        for units in hidden_units(subject):
            into = np.linalg.norm(units.incoming.astype(np.float64), axis=1)
            out = np.linalg.norm(units.outgoing.astype(np.float64), axis=1)
            alive = (into > 0) & (out > 0)
            if not alive.all():
                yield _dead(units, np.flatnonzero(~alive))
            if alive.any():
                yield self._balance(units, into[alive] / out[alive], np.flatnonzero(alive))

    def _balance(self, units: HiddenUnits, ratio: np.ndarray, alive: np.ndarray) -> so.Finding:
        worst = float(ratio.max() / ratio.min())
        uneven = worst > self.spread
        readers = ", ".join(reader.name for reader in units.readers)
        return so.Finding(
            "neural-balance",
            so.Severity.WARNING if uneven else so.Severity.OK,
            units.layer.name,
            f"incoming over outgoing norm lies between {ratio.min():.3g} and {ratio.max():.3g} "
            f"over {len(ratio)} units (read by {readers})"
            + ("; magnitudes of weights are not comparable between them" if uneven else ""),
            {"units": alive, "ratio": ratio},
            "rescale the units to equal norms before comparing magnitudes of weights"
            if uneven
            else "",
            figure=so.SeriesFigure(
                f"Incoming over outgoing norm of the units of {units.layer.name}, sorted",
                "unit",
                "ratio",
                [str(alive[i]) for i in np.argsort(ratio, kind="stable")],
                {"ratio": np.sort(ratio).tolist()},
                "line",
                log=True,
            ),
        )


def _dead(units: HiddenUnits, dead: np.ndarray) -> so.Finding:
    shown = ", ".join(map(str, dead[:10])) + (" ..." if len(dead) > 10 else "")
    return so.Finding(
        "dead-units",
        so.Severity.WARNING,
        units.layer.name,
        f"{len(dead)} of {len(units.incoming)} units have no weight in or no weight out: {shown}",
        dead,
        "remove them: the network computes the same without them, up to constants",
    )
