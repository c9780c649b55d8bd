"""Path-norm, path count and Lipschitz bound of a network, and how the first two grow with depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.tools.depth import DepthProfile, norms_along_depth


@dataclass(frozen=True)
class PathNorms(so.Analyzer[so.Network]):
    """Computes the L1 path-norm, the number of paths and a Lipschitz bound, also along depth."""

    def accepts(self, subject: so.Network) -> so.Accepted | so.Refused:
        """Take every network."""
        return so.Accepted()

    def analyze(self, subject: so.Network, context: so.Context) -> Iterator[so.Finding]:
        """Yield path-norm, Lipschitz bound and path count, then norms and counts along depth."""
        context.report(0.0, "path-norm")
        solution = so.solve(so.PathNorm(subject, q=1, r=1, affine="merged"))
        norm = solution.answer
        dead = norm.log10 == -np.inf
        parts = _by_output(subject, norm.per_output_log10)
        listed = ", ".join(f"{name} {_power(part)}" for name, part in list(parts.items())[:8])
        yield so.Finding(
            "path-norm",
            so.Severity.PROBLEM if dead else so.Severity.INFO,
            "network",
            "no path carries any weight: the output is constant"
            if dead
            else f"L1 path-norm {_power(norm.log10)}, with batch normalization merged; it is the "
            f"same for every rescaling of the network{f'; by output: {listed}' if parts else ''}",
            {"value": norm.value, "log10": norm.log10, "affine": norm.affine}
            | ({"log10_by_output": parts} if parts else {}),
            remedy="check the pruning masks: some layer lets nothing through" if dead else "",
            certificate=solution.certificate,
            figure=_per_output(norm.per_output_log10),
        )
        context.report(0.2, "Lipschitz bound")
        yield _lipschitz(subject)
        context.report(0.4, "path count")
        paths = so.solve(so.PathNorm(subject, q=0, r=1, affine="merged"))
        yield so.Finding(
            "path-count",
            so.Severity.INFO,
            "network",
            f"{_power(paths.answer.log10)} paths with nonzero weight end at the outputs",
            {"log10": paths.answer.log10, "exact": str(paths.answer.exact)},
            certificate=paths.certificate,
        )
        profile = norms_along_depth(subject, 1, "merged")
        if dead or not profile.layers:
            return
        context.report(0.7, "growth along depth")
        yield _growth(profile)
        yield _paths(norms_along_depth(subject, 0, "merged"))


def _lipschitz(subject: so.Network) -> so.Finding:
    bound = so.solve(so.LipschitzBound(subject))
    constant = bound.answer.log10 == -np.inf
    return so.Finding(
        "lipschitz-bound",
        so.Severity.PROBLEM if constant else so.Severity.INFO,
        "network",
        "no path with nonzero weight starts at an input: the output does not depend on the input"
        if constant
        else f"|f(x) - f(y)|_1 <= {_power(bound.answer.log10)} |x - y|_inf for all inputs x, y: "
        "the sum of |Phi_p| over the paths p that start at an input; paths that start at a bias "
        "do not count",
        {
            "value": bound.answer.value,
            "log10": bound.answer.log10,
            "p_in": f"{bound.answer.p_in:g}",
            "p_out": bound.answer.p_out,
        },
        remedy="check the pruning masks: some layer lets nothing through" if constant else "",
        certificate=bound.certificate,
    )


def _growth(profile: DepthProfile) -> so.Finding:
    # The first layer starts from nothing that it could be compared with, and so does one that
    # follows a layer through which nothing passes.
    steps = np.full(len(profile.layers), -np.inf)
    known = np.isfinite(profile.log10_total)
    both = known[1:] & known[:-1]
    np.subtract(profile.log10_total[1:], profile.log10_total[:-1], out=steps[1:], where=both)
    steepest = int(np.argmax(steps))
    most = (
        f"; it grows most, by a factor of {_power(steps[steepest])}, at "
        f"{profile.layers[steepest]!r}"
        if steps[steepest] > 0
        else ""
    )
    return so.Finding(
        "norm-along-depth",
        so.Severity.INFO,
        "network",
        f"the L1 path-norm of the network cut after each layer reaches {_power_of_last(profile)} "
        f"over {len(profile.layers)} layers{most}; rescaling moves all of it but the last figure",
        _fields(profile),
        figure=_figure("log10 of the L1 path-norm up to each layer", profile),
    )


def _paths(profile: DepthProfile) -> so.Finding:
    return so.Finding(
        "paths-along-depth",
        so.Severity.INFO,
        "network",
        f"the number of paths with nonzero weight that end in a layer reaches "
        f"{_power_of_last(profile)}",
        _fields(profile),
        figure=_figure("log10 of the number of nonzero paths up to each layer", profile),
    )


def _fields(profile: DepthProfile) -> dict[str, object]:
    return {
        "layers": list(profile.layers),
        "log10_total": profile.log10_total,
        "log10_largest": profile.log10_largest,
    }


def _figure(title: str, profile: DepthProfile) -> so.SeriesFigure:
    series = {
        "all neurons of the layer": _drawable(profile.log10_total),
        "largest neuron": _drawable(profile.log10_largest),
    }
    return so.SeriesFigure(title, "layer", "log10", list(profile.layers), series, "line")


def _power_of_last(profile: DepthProfile) -> str:
    return _power(float(profile.log10_total[-1]))


def _power(log10: float) -> str:
    return f"{10**log10:.6g}" if -4 < log10 < 12 or log10 == -np.inf else f"10^{log10:.4f}"


def _drawable(log10: np.ndarray) -> list[float]:
    return [float(v) if np.isfinite(v) else float("nan") for v in log10]


def _per_output(log10: np.ndarray) -> so.SeriesFigure:
    values = np.asarray(log10, dtype=float).ravel()
    labels = [str(i) for i in range(values.size)]
    kind = "bar" if values.size <= 40 else "line"
    title = "log10 of the L1 path-norm per output"
    return so.SeriesFigure(title, "output", "log10", labels, {"log10": _drawable(values)}, kind)


def _by_output(network: so.Network, log10: np.ndarray) -> dict[str, float]:
    """Return the logarithm of the path-norm of each of several outputs."""
    if len(network.outputs) < 2:
        return {}
    found = {}
    for name, part in network.by_output(log10).items():
        most = float(part.max())
        total = most + float(np.log10(np.sum(10.0 ** (part - most)))) if most > -np.inf else most
        found[name] = total
    return found
