"""Path-norms, path count and the Lipschitz bound that follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so


@dataclass(frozen=True)
class PathNorms(so.Analyzer[so.Network]):
    """Computes the L1 path-norm and the number of paths, and reads a Lipschitz bound off."""

    def accepts(self, subject: so.Network) -> so.Accepted | so.Refused:
        """Take every network."""
        return so.Accepted()

    def analyze(self, subject: so.Network, context: so.Context) -> Iterator[so.Finding]:
        """Yield path-norm, Lipschitz bound and path count."""
        context.report(0.0, "path-norm")
        solution = so.solve(so.PathNorm(subject, q=1, r=1, affine="merged"))
        norm = solution.answer
        context.report(0.5, "path count")
        paths = so.solve(so.PathNorm(subject, q=0, r=1, affine="merged"))
        dead = norm.log10 == -np.inf
        yield so.Finding(
            "path-norm",
            so.Severity.PROBLEM if dead else so.Severity.INFO,
            "network",
            "no path carries any weight: the output is constant"
            if dead
            else f"L1 path-norm {_power(norm.log10)}, with batch normalization merged; it is the "
            "same for every rescaling of the network",
            {"value": norm.value, "log10": norm.log10, "affine": norm.affine},
            remedy="check the pruning masks: some layer lets nothing through" if dead else "",
            certificate=solution.certificate,
            figure=_per_output(norm.per_output_log10),
        )
        if not dead:
            yield so.Finding(
                "lipschitz-bound",
                so.Severity.INFO,
                "network",
                f"|f(x) - f(y)|_1 <= {_power(norm.log10)} |x - y|_inf for all inputs x, y, "
                "because the L1 path-norm is a Lipschitz constant (arXiv 2310.01225)",
                {"log10": norm.log10, "p_in": "inf", "p_out": 1},
                certificate=solution.certificate,
            )
        yield so.Finding(
            "path-count",
            so.Severity.INFO,
            "network",
            f"{_power(paths.answer.log10)} paths with nonzero weight end at the outputs",
            {"log10": paths.answer.log10, "exact": str(paths.answer.exact)},
            certificate=paths.certificate,
        )


def _power(log10: float) -> str:
    return f"{10**log10:.6g}" if -4 < log10 < 12 else f"10^{log10:.4f}"


def _per_output(log10: np.ndarray) -> so.SeriesFigure:
    values = np.asarray(log10, dtype=float).ravel()
    labels = [str(i) for i in range(values.size)]
    finite = [float(v) if np.isfinite(v) else float("nan") for v in values]
    kind = "bar" if values.size <= 40 else "line"
    title = "log10 of the L1 path-norm per output"
    return so.SeriesFigure(title, "output", "log10", labels, {"log10": finite}, kind)
