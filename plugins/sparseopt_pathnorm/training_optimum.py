"""Whether training a network with its zeros fixed always has an optimum, or data without one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.networks.layers import ReluChain, relu_chain
from sparseopt.training.data_without_optimum import DataWithoutOptimumCertificate

_ATTAINED = "training with these zeros fixed has an optimum on every finite data set (squared loss)"
_UNATTAINED = (
    "training with these zeros fixed has no optimum on some data set: there the loss falls towards "
    "its infimum only while weights grow without bound"
)
_UNKNOWN = "it is not known whether training with these zeros fixed always has an optimum"
_REMEDY = "add weight decay, which keeps the weights bounded, or watch them grow"
_SHOWN = 6
_HALVINGS = 20


@dataclass(frozen=True)
class TrainingOptimum(so.Analyzer[so.Network]):
    """Asks `SparseTraining` about a network of dense layers, with the biases that it has.

    If only some hidden layers have biases, all are taken to have them: the proofs for these hold
    for fewer as well.

    Parameters
    ----------
    seconds : float
        Time limit of the verdict; unknown after it.
    """

    seconds: float = 10.0

    def accepts(self, subject: so.Network) -> so.Accepted | so.Refused:
        """Take chains of two or more dense layers with ReLU between them."""
        if relu_chain(subject) is not None:
            return so.Accepted()
        return so.Refused("not dense layers with one ReLU between any two, and nothing else")

    def analyze(self, subject: so.Network, context: so.Context) -> Iterator[so.Finding]:
        """Yield the verdict, with the data set if there is one."""
        chain = relu_chain(subject)
        assert chain is not None
        problem = so.SparseTraining(chain.supports, any(chain.hidden_biases), chain.output_biases)
        limit = max(1e-3, min(self.seconds, context.remaining()))
        solution = so.solve(problem, time_limit=limit, seed=context.seed)
        verdict, certificate = solution.answer.value, solution.certificate
        value: dict[str, Any] = {
            "verdict": verdict,
            "hidden_biases": problem.hidden_biases,
            "output_biases": problem.output_biases,
            "condition": solution.answer.condition,
        }
        message = {"attained": _ATTAINED, "may_not_be_attained": _UNATTAINED}.get(verdict, _UNKNOWN)
        figure = None
        if isinstance(certificate, DataWithoutOptimumCertificate):
            samples = certificate.samples(_SHOWN)
            value["samples"] = samples
            message += f" ({_words(problem)}). Such a data set: " + "; ".join(samples)
            figure = _figure(certificate)
        else:
            message += f" ({_words(problem)}): {solution.answer.condition}"
        yield so.Finding(
            f"training-{verdict.replace('_', '-')}",
            _severity(verdict, chain),
            " -> ".join(layer.name for layer in chain.layers),
            message,
            value,
            _REMEDY if verdict == "may_not_be_attained" else "",
            certificate,
            figure,
        )


def _severity(verdict: str, chain: ReluChain) -> so.Severity:
    """Return a warning for masks; that dense networks have such data is told, but no fault."""
    if verdict == "may_not_be_attained" and not all(np.all(s) for s in chain.supports):
        return so.Severity.WARNING
    return so.Severity.OK if verdict == "attained" else so.Severity.INFO


def _words(problem: so.SparseTraining) -> str:
    kinds = ("hidden", problem.hidden_biases), ("output", problem.output_biases)
    there = [word for word, given in kinds if given]
    return f"with {' and '.join(there)} biases" if there else "without biases"


def _figure(certificate: DataWithoutOptimumCertificate) -> so.SeriesFigure:
    """Return how the error falls and the weights grow along the curve of the certificate."""
    inputs, targets = (part.astype(np.float64) for part in certificate.data_set())
    errors, largest = [], []
    for halvings in range(_HALVINGS + 1):
        weights = certificate.weights_at(2.0**-halvings)
        values = inputs.T
        for number, matrix in enumerate(reversed(weights), start=1):
            values = matrix @ values
            values = np.maximum(values, 0) if number < len(weights) else values
        errors.append(float(np.linalg.norm(values.T - targets)) or math.nan)
        largest.append(max(float(np.abs(matrix).max()) for matrix in weights))
    return so.SeriesFigure(
        "Error on the data set, and the largest weight, along the curve of the proof",
        "t",
        "size",
        [f"2^-{halvings}" for halvings in range(_HALVINGS + 1)],
        {"error": errors, "largest weight": largest},
        "line",
        log=True,
    )
