"""Path-norm, path count and Lipschitz bound of a network, and how the first two grow with depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.judging.rounding import shown_above
from sparseopt.tools.depth import DepthProfile, norms_along_depth
from sparseopt.tools.report.numbers import number, power_of_ten
from sparseopt_pathnorm.reference_networks import at_initialization, is_copied, without_zeros


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
        listed = ", ".join(f"{name} {power_of_ten(part)}" for name, part in list(parts.items())[:8])
        yield so.Finding(
            "path-norm",
            so.Severity.PROBLEM if dead else so.Severity.INFO,
            "network",
            "no path carries any weight: the output is constant"
            if dead
            else f"L1 path-norm {power_of_ten(norm.log10)}, with batch normalization merged; it is "
            "the same for every rescaling of the network"
            f"{f'; by output: {listed}' if parts else ''}",
            {"value": norm.value, "log10": norm.log10, "affine": norm.affine}
            | ({"log10_by_output": parts} if parts else {}),
            remedy="check the pruning masks: some layer lets nothing through" if dead else "",
            certificate=solution.certificate,
            figure=_per_output(norm.per_output_log10),
            key_figures=(_key_norm(subject, norm, context),),
        )
        context.report(0.2, "Lipschitz bound")
        yield _lipschitz(subject)
        context.report(0.4, "path count")
        paths = so.solve(so.PathNorm(subject, q=0, r=1, affine="merged"))
        yield so.Finding(
            "path-count",
            so.Severity.INFO,
            "network",
            f"{_count(paths.answer)} paths with nonzero weight end at the outputs",
            {"log10": paths.answer.log10, "exact": str(paths.answer.exact)},
            certificate=paths.certificate,
            key_figures=(_key_paths(subject, paths.answer, context),),
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
        else f"|f(x) - f(y)|_1 <= {_above(bound.answer)} |x - y|_inf for all inputs x, y: "
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
        f"; it grows most, by a factor of {power_of_ten(steps[steepest])}, at "
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
        f"{_whole(float(profile.log10_total[-1]))}",
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
    return power_of_ten(float(profile.log10_total[-1]))


def _above(bound: so.LipschitzValue) -> str:
    """Return a bound rounded up; beyond floats as its power of ten."""
    return shown_above(bound.value) if bound.value < np.inf else f"10^{shown_above(bound.log10)}"


def _count(paths: so.PathNormValue) -> str:
    return number(int(paths.exact)) if paths.exact is not None else power_of_ten(paths.log10)


def _key_norm(subject: so.Network, norm: so.PathNormValue, context: so.Context) -> so.KeyFigure:
    """Return the norm beside that of the same layers before training, if there is time for it."""
    value = _figure_of(norm.log10, norm.value)
    start = at_initialization(subject)
    if start is None or context.remaining() <= 0:
        return so.KeyFigure("L1 path-norm", value)
    before = so.solve(so.PathNorm(start, q=1, r=1, affine="merged"), check=False).answer
    other = _figure_of(before.log10, before.value)
    return so.KeyFigure("L1 path-norm", value, "same layers at initialization", other)


def _key_paths(subject: so.Network, paths: so.PathNormValue, context: so.Context) -> so.KeyFigure:
    """Return the number of paths beside that of the same layers without a zero."""
    name = "paths with nonzero weight"
    if context.remaining() <= 0 or not is_copied(subject):
        return so.KeyFigure(name, _count(paths))
    dense = so.PathNorm(without_zeros(subject), q=0, r=1, affine="merged")
    all_paths = so.solve(dense, check=False).answer
    counts: list[float | str] = [_number(v) for v in (paths, all_paths)]
    if any(isinstance(count, str) for count in counts):
        counts = [_count(v) for v in (paths, all_paths)]
    return so.KeyFigure(name, counts[0], "if none were zero", counts[1])


def _number(paths: so.PathNormValue) -> float | str:
    """Return a number of paths as a number where a float could hold it, too."""
    exact = paths.exact
    return int(exact) if exact is not None and exact < 10**300 else _count(paths)


def _figure_of(log10: float, value: float) -> float | str:
    return float(value) if 0 < value < np.inf or log10 == -np.inf else power_of_ten(log10)


def _whole(log10: float) -> str:
    """Return a number of paths; a float of it is exact enough to be rounded up to 10^12."""
    return number(round(10.0**log10)) if 0 <= log10 < 12 else power_of_ten(log10)


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
