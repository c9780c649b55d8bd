"""Closedness of the supports of consecutive sparse layers, and what it means for training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sparseopt as so
from sparseopt.networks.layers import LinearPair, consecutive_linear_pairs
from sparseopt.tools.growing.findings import growth_finding

_NOT_CLOSED = (
    "the set of products of two matrices with these supports is not closed: for some data sets "
    "training these two layers with their zeros fixed has no optimum, and weights grow without "
    "bound while the loss still falls"
)
_CLOSED = (
    "the set of products of two matrices with these supports is closed, which is necessary for "
    "training with fixed zeros to have an optimum on every data set (and not sufficient)"
)
_SCALAR = (
    "one hidden layer and one output: training with any fixed supports has an optimum on every "
    "data set (arXiv 2306.02666)"
)
_REMEDY = (
    "before training on with these masks, remove or restore the entries of the marked window, or "
    "add weight decay, which keeps the weights bounded"
)


@dataclass(frozen=True)
class SupportClosedness(so.Analyzer[so.Network]):
    """Asks `Closedness` about every pair of consecutive linear layers with zeros.

    Parameters
    ----------
    seconds_per_pair : float
        Time limit of one verdict; unknown after it.
    """

    seconds_per_pair: float = 10.0

    def accepts(self, subject: so.Network) -> so.Accepted | so.Refused:
        """Take networks with two linear layers in a row, one of them sparse."""
        if any(pair.is_sparse for pair in consecutive_linear_pairs(subject)):
            return so.Accepted()
        return so.Refused("no two consecutive linear layers, one of them with zeros")

    def analyze(self, subject: so.Network, context: so.Context) -> Iterator[so.Finding]:
        """Yield one finding per pair, and a numeric hint beside each that is unknown."""
        pairs = [pair for pair in consecutive_linear_pairs(subject) if pair.is_sparse]
        for i, pair in enumerate(pairs):
            context.report(i / len(pairs), f"supports of {pair.first.name}, {pair.second.name}")
            found = self._judge(pair, context)
            yield found
            if found.rule == "supports-unknown":
                yield growth_finding(pair.supports, found.where, context)

    def _judge(self, pair: LinearPair, context: so.Context) -> so.Finding:
        where = f"{pair.first.name} -> {pair.second.name}"
        limit = max(1e-3, min(self.seconds_per_pair, context.remaining()))
        left, right = pair.supports
        solution = so.solve(so.Closedness([left, right]), time_limit=limit)
        verdict = solution.answer.value
        if verdict == "not_closed":
            severity, message, remedy = so.Severity.WARNING, _NOT_CLOSED, _REMEDY
        elif verdict == "closed":
            scalar = pair.is_whole_network and left.shape[0] == 1
            severity, message, remedy = so.Severity.OK, _SCALAR if scalar else _CLOSED, ""
        else:
            severity, remedy = so.Severity.INFO, "give a larger time limit, or watch the weights"
            message = "no solver could decide whether these supports are closed"
        return so.Finding(
            f"supports-{verdict.replace('_', '-')}",
            severity,
            where,
            message,
            {
                "verdict": verdict,
                "layers": [pair.second.name, pair.first.name],
                "shapes": [list(left.shape), list(right.shape)],
            },
            remedy,
            solution.certificate,
            _figure(pair, solution),
        )


def _figure(pair: LinearPair, solution: so.Solution) -> so.SupportFigure:
    left, right = pair.supports
    names = (f"{pair.second.name} (I)", f"{pair.first.name} (J)")
    marks: dict[str, list[tuple[int, int]]] = {}
    if solution.answer.value == "not_closed":
        cells = solution.certificate.marked_cells()  # type: ignore[union-attr]
        marks = dict(zip(names, cells, strict=True))
    title = f"Supports of {pair.first.name} and {pair.second.name}"
    if marks:
        title += ", the window that proves them not closed outlined"
    return so.SupportFigure(title, dict(zip(names, (left, right), strict=True)), marks)
