"""What magnitude pruning would do to a network that computes the same with other weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.networks.layers import linear_layers


@dataclass(frozen=True)
class RescalingSensitivity(so.Analyzer[so.Network]):
    """Prunes by magnitude before and after a random rescaling that keeps the function.

    Parameters
    ----------
    ratio : float
        Share of the nonzero weights that is pruned.
    tolerated : float
        Share of the kept weights that may be others after the rescaling without a warning.
    seed : int
        Of the rescaling, by 1, 128 or 4096 per group of units (arXiv 2405.15006).
    """

    ratio: float = 0.6
    tolerated: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise ValueError("ratio must lie strictly between 0 and 1")

    def accepts(self, subject: so.Network) -> so.Accepted | so.Refused:
        """Take networks with hidden units that can be rescaled."""
        if so.RescalingGroups(subject).count:
            return so.Accepted()
        return so.Refused("no hidden units can be rescaled: all are tied to inputs or outputs")

    def analyze(self, subject: so.Network, context: so.Context) -> Iterator[so.Finding]:
        """Yield one finding."""
        moved = so.rescale(subject, so.random_factors(subject, seed=self.seed))
        layers = linear_layers(subject)
        size = sum(layer.weight.size for layer in layers)
        nonzero = sum(int(np.count_nonzero(layer.weight)) for layer in layers)
        ratio = 1.0 - (1.0 - self.ratio) * nonzero / size
        context.report(0.3, "pruning by magnitude before a rescaling")
        before = so.prune(subject, ratio, "magnitude").masks
        context.report(0.6, "pruning by magnitude after a rescaling")
        after = so.prune(moved, ratio, "magnitude").masks
        kept = {name: int(mask.sum()) for name, mask in before.items()}
        lost = {name: int((mask & ~after[name]).sum()) for name, mask in before.items()}
        share = sum(lost.values()) / max(1, sum(kept.values()))
        names = [name.removesuffix(".weight") for name in before]
        bad = share > self.tolerated
        pruned = f"{100 * self.ratio:.3g} %"
        yield so.Finding(
            "sensitivity-to-rescaling",
            so.Severity.WARNING if bad else so.Severity.OK,
            "network",
            f"magnitude pruning of {pruned} of the nonzero weights removes {100 * share:.3g} % "
            "of the weights that it keeps otherwise, once hidden units are rescaled by 1, 128 or "
            "4096, which does not change the function",
            {"layers": names, "kept": list(kept.values()), "lost": list(lost.values())},
            "prune by path cost, or by magnitude after so.canonicalize: so.prune(network, ratio, "
            "'canonical_magnitude')"
            if bad
            else "",
            figure=so.SeriesFigure(
                f"Kept weights that magnitude pruning ({pruned}) removes once rescaled",
                "layer",
                "share of the kept weights",
                names,
                {
                    "lost": [
                        float(np.divide(lost[name], kept[name])) if kept[name] else 0.0
                        for name in before
                    ]
                },
                "bar",
            ),
        )
