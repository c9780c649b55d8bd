"""The picture of a subject: one function a class."""

from __future__ import annotations

import math
from functools import partial, singledispatch
from typing import Any

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.butterfly.permuted import PermutedKroneckerProduct
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.closedness.chain_limits import ChainLimitCertificate
from sparseopt.closedness.limits import LimitCertificate
from sparseopt.closedness.nearest import ClosedSupport, ClosedSupportCertificate
from sparseopt.closedness.problem import Closedness
from sparseopt.interface.certificate import Certificate
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.finding import Finding, NetworkFigure, SeriesFigure, SupportFigure
from sparseopt.interface.report import Report
from sparseopt.interface.solution import Solution
from sparseopt.networks.network import Network
from sparseopt.pathnorm.path_norm import PathNorm, PathNormCertificate
from sparseopt.tools.depth import DepthProfile, norms_along_depth
from sparseopt.tools.drawing.canvas import Panel, Picture, panels, words
from sparseopt.tools.drawing.figures import of_series, of_supports
from sparseopt.tools.drawing.graphs import network_figure, of_network
from sparseopt.tools.drawing.matrices import draw_support, draw_values, title_of
from sparseopt.tools.limit_curve import limit_curve
from sparseopt.tools.pruning.results import Pruning

_MOST_MARKS = 500
"""Cells that are outlined in a picture: more would hide it."""


@singledispatch
def picture(subject: Any) -> Picture:
    """Return how a subject is drawn; `ProblemError` for what has no picture."""
    raise ProblemError(
        f"there is no picture of a {type(subject).__name__}; there are pictures of patterns, "
        "architectures, products, supports, networks, prunings, path-norms, findings with a "
        "figure, reports, and solutions and certificates that speak of these"
    )


picture.register(SupportFigure)(of_supports)
picture.register(SeriesFigure)(of_series)
picture.register(NetworkFigure)(of_network)


@picture.register
def _pattern(pattern: KroneckerPattern) -> Picture:
    return panels([Panel(title_of(pattern), lambda ax: draw_support(ax, pattern))])


@picture.register
def _architecture(architecture: Architecture) -> Picture:
    named = [(f"factor {i + 1}: {title_of(p)}", p) for i, p in enumerate(architecture)]
    if len(named) > 1 and architecture.is_chainable:
        named.append((f"product: {title_of(architecture.product)}", architecture.product))
    return panels([Panel(title, partial(draw_support, pattern=p)) for title, p in named])


@picture.register
def _product(product: KroneckerProduct) -> Picture:
    held = product.to_numpy()
    pairs = zip(held.factors, held.architecture, strict=True)
    return panels(
        [
            Panel(f"factor {i + 1}: {title_of(p)}", partial(draw_values, values=v, pattern=p))
            for i, (v, p) in enumerate(pairs)
        ]
    )


@picture.register
def _permuted(product: PermutedKroneckerProduct) -> Picture:
    return picture(product.product)


@picture.register
def _supports(problem: Closedness | ClosedSupport) -> Picture:
    return of_supports(supports_figure(problem))


@picture.register
def _repaired(certificate: ClosedSupportCertificate) -> Picture:
    """Show the closed supports, what was changed outlined."""
    given = certificate.problem.supports
    pairs = list(zip(given, certificate.answer.supports, strict=True))
    changed = [np.argwhere(np.asarray(a) != np.asarray(b))[:_MOST_MARKS] for a, b in pairs]
    marks = [[(int(i), int(j)) for i, j in cells] for cells in changed]
    return of_supports(supports_figure(certificate.answer, marks))


def supports_figure(problem: Closedness | ClosedSupport, marks: Any = ()) -> SupportFigure:
    """Return the supports of a chain as data; `marks` holds cells of the first and the last."""
    supports = list(problem.supports)
    names = ["I", "J"] if len(supports) == 2 else [f"support {i}" for i in range(len(supports))]
    marked = dict(zip((names[0], names[-1]), marks, strict=False))
    shown = {name: np.asarray(s, dtype=bool) for name, s in zip(names, supports, strict=True)}
    return SupportFigure("Supports", shown, marked)


@picture.register
def _limit(certificate: LimitCertificate) -> Picture:
    """Show the window of the proof, and what becomes of its curve."""
    figure = supports_figure(certificate.problem, certificate.marked_cells())
    above, below = of_supports(figure), of_series(limit_curve(certificate))
    return stacked([above, below])


@picture.register
def _chain_limit(certificate: ChainLimitCertificate) -> Picture:
    """Show what becomes of the curve of a proof about a chain."""
    return of_series(limit_curve(certificate))


@picture.register
def _network(network: Network) -> Picture:
    return of_network(network_figure(network))


@picture.register
def _depth(profile: DepthProfile) -> Picture:
    series = {
        "all neurons of the layer": _finite(profile.log10_total),
        "largest neuron": _finite(profile.log10_largest),
    }
    title = "Path-norm along depth"
    return of_series(
        SeriesFigure(title, "layer", "log10 of the norm", list(profile.layers), series, "line")
    )


@picture.register
def _path_norm(subject: PathNorm | PathNormCertificate) -> Picture:
    problem = subject.problem if isinstance(subject, PathNormCertificate) else subject
    return _depth(norms_along_depth(problem.network, problem.q, problem.affine))


@picture.register
def _pruning(pruning: Pruning) -> Picture:
    pruned = [t for t in pruning.tensors if not t.reason]
    kept = {"share of weights kept": [t.kept / t.size for t in pruned]}
    names = [t.name for t in pruned]
    return of_series(SeriesFigure("Kept weights", "tensor", "share kept", names, kept))


@picture.register
def _certificate(certificate: Certificate) -> Picture:
    return _first_of(certificate.answer, certificate.problem, whole=certificate)


@picture.register
def _solution(solution: Solution) -> Picture:
    if isinstance(solution.certificate, Certificate):
        return picture(solution.certificate)
    return _first_of(solution.answer, solution.problem, whole=solution)


@picture.register
def _finding(finding: Finding) -> Picture:
    if finding.figure is None and finding.certificate is None:
        raise ProblemError(f"the finding {finding.rule!r} has neither a figure nor a proof to draw")
    return picture(finding.figure if finding.figure is not None else finding.certificate)


@picture.register
def _report(report: Report) -> Picture:
    shown = [finding.figure for finding in report.findings if finding.figure is not None]
    if not shown:
        raise ProblemError("no finding of this report has a figure")
    return stacked([picture(figure) for figure in shown], [figure.title for figure in shown])


def stacked(pictures: list[Picture], titles: list[str] | None = None) -> Picture:
    """Return pictures one below the other, each as high as it wants to be."""
    margin, labels = 0.4, 0.95  # inches for a title above each, and for what stands below its axis
    heights = [p.size[1] + margin + labels - 0.5 for p in pictures]
    whole = sum(heights)

    def draw(ax: Any) -> None:
        ax.set_axis_off()
        top = 1.0
        for i, (shown, height) in enumerate(zip(pictures, heights, strict=True)):
            top -= height / whole
            # Labels of an inset stand outside of it: room for those on the left and below.
            low = top + labels / whole
            inset = ax.inset_axes([0.12, low, 0.86, (height - margin - labels) / whole])
            shown.draw(inset)
            if titles is not None:
                inset.set_title(words(titles[i]), fontsize=8, loc="left")

    return Picture(draw, (max(p.size[0] for p in pictures), whole))


def _first_of(*subjects: Any, whole: Any) -> Picture:
    """Return the picture of the first of these that has one."""
    default = picture.dispatch(object)
    for subject in subjects:
        if picture.dispatch(type(subject)) is not default:
            return picture(subject)
    return default(whole)


def _finite(log10: np.ndarray) -> list[float]:
    return [float(v) if math.isfinite(v) else math.nan for v in log10]
