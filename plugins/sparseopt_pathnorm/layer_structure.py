"""What a network is made of: layers, parameters, sparsity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.networks.layers import linear_layers
from sparseopt.tools.drawing.graphs import network_figure


@dataclass(frozen=True)
class LayerStructure(so.Analyzer[so.Network]):
    """Lists the layers with weights, their sizes and sparsity, and what the reader noted."""

    def accepts(self, subject: so.Network) -> so.Accepted | so.Refused:
        """Take every network."""
        return so.Accepted()

    def analyze(self, subject: so.Network, context: so.Context) -> Iterator[so.Finding]:
        """Yield one finding on the whole, one per layer of zeros, one per note of the reader."""
        layers = linear_layers(subject)
        total = sum(layer.weight.size for layer in layers)
        nonzero = sum(int(np.count_nonzero(layer.weight)) for layer in layers)
        operators = Counter(type(node.op).__name__ for node in subject.nodes)
        share = f"{100 * (1 - nonzero / total):.1f} % of them zero" if total else "none"
        yield so.Finding(
            "structure",
            so.Severity.INFO,
            "network",
            f"{len(layers)} layers with {total} weights, {share}",
            {
                "operators": dict(sorted(operators.items())),
                "layers": [
                    {
                        "name": layer.name,
                        "kind": layer.kind,
                        "shape": list(layer.weight.shape),
                        "weights": layer.weight.size,
                        "nonzero": int(np.count_nonzero(layer.weight)),
                    }
                    for layer in layers
                ],
            },
            figure=network_figure(subject),
            key_figures=(so.KeyFigure("nonzero weights", nonzero, "weights in all", total),),
        )
        if layers:
            yield _norms(layers)
        for layer in layers:
            if not np.any(layer.weight):
                yield so.Finding(
                    "layer-of-zeros",
                    so.Severity.PROBLEM,
                    layer.name,
                    "every weight of the layer is zero: nothing passes through it",
                    remedy="check the pruning mask or the export of this layer",
                )
        for note in subject.notes:
            yield so.Finding("reader-note", so.Severity.INFO, "network", note)


def _norms(layers: list) -> so.Finding:  # type: ignore[type-arg]
    weights = [np.asarray(layer.weight, dtype=np.float64) for layer in layers]
    l1 = [float(np.abs(weight).sum()) for weight in weights]
    l2 = [float(np.sqrt(np.sum(np.square(weight)))) for weight in weights]
    return so.Finding(
        "layer-norms",
        so.Severity.INFO,
        "network",
        "norms of the weights per layer; they change under rescaling, the path-norm does not",
        {"layer": [layer.name for layer in layers], "l1": l1, "l2": l2},
        figure=so.SeriesFigure(
            "Norms of the weights per layer",
            "layer",
            "norm",
            [layer.name for layer in layers],
            {"l1 norm": l1, "l2 norm": l2},
            log=all(value > 0 for value in (*l1, *l2)),
        ),
    )
