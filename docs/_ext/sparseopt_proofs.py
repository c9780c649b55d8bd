"""Pictures of the worked proofs: what the code of each section of a page proves, drawn.

The code of ``closedness_proofs.md`` is run when Sphinx reads the page. After the code of a section
comes a picture of its certificate, from ``_build/proofs``: the cells that each term covers, the
limit, how products and factors behave on the way there, the factors of a chain, data of a network.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial, singledispatch
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import sparseopt as so
from sparseopt.closedness.proofs.observed import start
from sparseopt.tools.limit_curve import limit_curve

PAGE = "closedness_proofs"
SECTION = re.compile(r"^## (?P<title>.+?)\n(?P<text>.*?)```python\n(?P<code>.*?)```\n", re.M | re.S)
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
"""Colors of terms that are told apart with any kind of sight."""
HALVINGS = 10

Draw = Callable[[Axes], None]
Panel = tuple[str, Draw]
Entry = tuple[int, int]


def picture(solution: Any) -> Figure:
    """Return the panels of a certificate, at most three beside each other."""
    shown = panels(solution.certificate)
    across = 2 if len(shown) == 4 else min(len(shown), 3)
    down = math.ceil(len(shown) / across)
    figure = Figure(figsize=(3.3 * across, 2.9 * down), layout="constrained")
    places = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (title, draw) in zip(places, shown, strict=False):
        draw(axes)
        axes.set_title(title, fontsize=9)
    for axes in places[len(shown) :]:
        axes.set_axis_off()
    return figure


@singledispatch
def panels(certificate: Any) -> list[Panel]:
    """Return what is drawn of a certificate: the supports, if nothing else is known of it."""
    return _factors(certificate)


@panels.register
def _(certificate: so.NotClosedCertificate) -> list[Panel]:
    return [_terms(certificate.problem, _idle(certificate)), *_limit_panels(certificate)]


@panels.register
def _(certificate: so.ChainLimitCertificate) -> list[Panel]:
    found = []
    last = len(certificate.factors) - 1
    for number, (support, entries) in enumerate(
        zip(certificate.problem.supports, certificate.evidence.factors, strict=True)
    ):
        used = [
            (
                certificate.rows[i] if number == 0 else i,
                certificate.columns[j] if number == last else j,
            )
            for i, j, _ in entries
        ]
        draw = partial(_support, support=support, marked=used)
        found.append((f"factor {number}, dark on the curve", draw))
    return [*found, *_limit_panels(certificate)]


@panels.register
def _(certificate: so.SubChainCertificate) -> list[Panel]:
    outer = [(f"{t}{_role(certificate, n)}", d) for n, (t, d) in enumerate(_factors(certificate))]
    return [*outer, *_limit_panels(certificate.part)]


@panels.register
def _(certificate: so.ShortenedChainCertificate) -> list[Panel]:
    return [*_factors(certificate), *_named("then: ", panels(certificate.short))]


@panels.register
def _(certificate: so.PeeledChainCertificate) -> list[Panel]:
    return [*_factors(certificate), *_named("the rest: ", panels(certificate.rest))]


@panels.register
def _(certificate: so.ComparableCertificate) -> list[Panel]:
    return [_terms(certificate.problem)]


@panels.register
def _(certificate: so.ReducedClosedCertificate) -> list[Panel]:
    found, proof = [_terms(certificate.problem)], certificate.proof
    state = start(*certificate.problem.supports)
    while proof[0] == "free":
        _, terms, evidence, proof = proof
        if evidence[0] in ("staircase", "staircase_t") and evidence[2]:
            family = state.family(terms)
            side = family.transposed if evidence[0].endswith("_t") else family
            found.append(("the staircase", partial(_steps, side=side, evidence=evidence)))
        elif evidence[0] == "submersion":
            supports = state.left, state.right
            sides = zip(("x at the point, dark", "y at the point, dark"), supports, strict=True)
            found += [
                (name, partial(_support, support=support, marked=[(i, k) for i, k, _ in entries]))
                for (name, support), entries in zip(sides, evidence[1:], strict=True)
            ]
        state = state.without(terms)
    if proof == ["components", [["rank"]]]:
        lacks = (~state.left).sum(axis=0) + (~state.right).sum(axis=1)
        evidence = "rank", [], np.argsort(lacks, kind="stable").tolist(), [[]] * len(lacks)
        found.append(("the staircase", partial(_steps, side=state, evidence=evidence)))
    return found


@panels.register
def _(certificate: so.ClosedSupportCertificate) -> list[Panel]:
    given, repaired = certificate.problem.supports, certificate.answer.supports
    found: list[Panel] = []
    windows: list[list[Entry]] = [[], []]
    for k, (i1, i2), (j1, j2), other, *_ in certificate.cores:
        windows[0] += [(i1, k), (i2, k), (i2, other)]
        windows[1] += [(k, j1), (k, j2), (other, j2)]
    for name, old, new, marked in zip("IJ", given, repaired, windows, strict=True):
        changed = [(int(a), int(b)) for a, b in np.argwhere(old != new)]
        draw = partial(_support, support=old, marked=marked, crossed=changed)
        found.append((f"{name}: dark in windows, crossed if changed", draw))
    return found


@panels.register(so.OppositeTargetsCertificate)
@panels.register(so.RepeatedPatternCertificate)
def _(certificate: Any) -> list[Panel]:
    inputs, targets = (np.asarray(part, dtype=float) for part in certificate.data_set())
    times = [2.0**-k for k in range(HALVINGS + 1)]
    errors, largest = [], []
    for t in times:
        *outer, first = certificate.weights_at(t)
        active = np.maximum(inputs @ first.T, 0.0)
        for number, weights in enumerate(reversed(outer)):
            active = active @ weights.T
            if number + 1 < len(outer):
                active = np.maximum(active, 0.0)
        errors.append(float(np.linalg.norm(active - targets)))
        largest.append(max(float(np.abs(w).max()) for w in (*outer, first)))
    series = {"error on the data": errors, "largest weight": largest}
    samples = list(range(len(inputs)))
    return [
        ("inputs: rows are samples", partial(_matrix, values=inputs, rows=samples)),
        ("targets: rows are samples", partial(_matrix, values=targets, rows=samples)),
        ("weights W(t)", partial(_growth, series=series)),
    ]


def _named(words: str, found: Iterable[Panel]) -> list[Panel]:
    return [(words + title, draw) for title, draw in found]


def _factors(certificate: Any) -> list[Panel]:
    """Return the supports of a chain, or the layers of a network, as the page numbers them."""
    trained = isinstance(certificate.problem, so.SparseTraining)
    names = [
        f"W_{number + 1}" if trained else f"factor {number}"
        for number in range(len(certificate.problem.supports))
    ]
    pairs = zip(names, certificate.problem.supports, strict=True)
    return [(name, partial(_support, support=support)) for name, support in pairs]


def _role(certificate: so.SubChainCertificate, number: int) -> str:
    return ", in the part" if certificate.first <= number <= certificate.last else ", leads to it"


def _idle(certificate: Any) -> Sequence[int]:
    """Return the terms that a limit does not use, where the proof is about these."""
    name, *rest = certificate.exclusion
    return rest[0] if name == "trace" and not certificate.reductions else ()


def _limit_panels(certificate: Any) -> list[Panel]:
    """Return the limit, and the way there."""
    name, *rest = certificate.exclusion
    marked: list[Entry] = []
    if name in ("equal_columns", "equal_both"):
        marked += [(rest[0], j) for j in rest[1]]
    if name == "equal_rows":
        marked += [(i, rest[0]) for i in rest[1]]
    if name == "equal_both":
        marked += [(i, rest[2]) for i in rest[3]]
    values = np.array([[float(v) for v in row] for row in certificate.evidence.limit])
    draw = partial(
        _matrix, values=values, rows=certificate.rows, columns=certificate.columns, marked=marked
    )
    title = "the limit, its equal entries" if marked else "the limit"
    figure = limit_curve(certificate)
    series = {name: list(line)[: HALVINGS + 1] for name, line in figure.series.items()}
    series = {name.replace("distance", "distance to it"): line for name, line in series.items()}
    return [(title, draw), ("the way there", partial(_growth, series=series))]


# What is drawn in one panel


def _grid(axes: Axes, rows: Sequence[int], columns: Sequence[int]) -> None:
    m, n = len(rows), len(columns)
    axes.set(xlim=(0, n), ylim=(m, 0), aspect="equal")
    step = max(1, math.ceil(max(m, n) / 12))
    axes.set_xticks(
        [j + 0.5 for j in range(0, n, step)], [str(columns[j]) for j in range(0, n, step)]
    )
    axes.set_yticks([i + 0.5 for i in range(0, m, step)], [str(rows[i]) for i in range(0, m, step)])
    axes.tick_params(length=0, labelsize=8, labeltop=True, labelbottom=False)
    for i in range(m + 1):
        axes.axhline(i, color="0.8", linewidth=0.6)
    for j in range(n + 1):
        axes.axvline(j, color="0.8", linewidth=0.6)


def _terms(problem: so.Closedness, idle: Sequence[int] = ()) -> Panel:
    words = (
        f"cells of the terms; {', '.join(map(str, idle))} would be idle"
        if idle
        else "cells of the terms"
    )
    return words, partial(_covered, supports=problem.supports, idle=idle)


def _covered(axes: Axes, supports: Sequence[np.ndarray], idle: Sequence[int] = ()) -> None:
    """Draw a square with the number of each term in every cell that it covers."""
    left, right = supports
    (m, r), n = left.shape, right.shape[1]
    _grid(axes, range(m), range(n))
    across = math.ceil(math.sqrt(r))
    for k in range(r):
        y, x = divmod(k, across)
        for i in np.flatnonzero(left[:, k]).tolist():
            for j in np.flatnonzero(right[k]).tolist():
                corner = j + 0.06 + 0.88 * x / across, i + 0.06 + 0.88 * y / across
                size = 0.82 / across
                axes.add_patch(
                    Rectangle(
                        corner,
                        size,
                        size,
                        facecolor="white" if k in idle else COLORS[k % len(COLORS)],
                        edgecolor=COLORS[k % len(COLORS)],
                        hatch="////" if k in idle else None,
                        alpha=0.9,
                    )
                )
                axes.text(
                    corner[0] + size / 2,
                    corner[1] + size / 2,
                    str(k),
                    ha="center",
                    va="center",
                    fontsize=8 if across < 3 else 6,
                )


def _support(
    axes: Axes,
    support: np.ndarray,
    marked: Sequence[Entry] = (),
    crossed: Sequence[Entry] = (),
) -> None:
    """Draw the entries of a factor, those that are used darker."""
    m, n = support.shape
    _grid(axes, range(m), range(n))
    chosen = set(marked)
    for i, j in np.argwhere(support).tolist():
        color = COLORS[0] if not marked or (i, j) in chosen else "#c6dbef"
        axes.add_patch(Rectangle((j + 0.05, i + 0.05), 0.9, 0.9, facecolor=color))
    for i, j in crossed:
        axes.plot([j + 0.1, j + 0.9], [i + 0.1, i + 0.9], color=COLORS[5], linewidth=2.5)
        axes.plot([j + 0.1, j + 0.9], [i + 0.9, i + 0.1], color=COLORS[5], linewidth=2.5)


def _matrix(
    axes: Axes,
    values: np.ndarray,
    rows: Sequence[int],
    columns: Sequence[int] | None = None,
    marked: Sequence[Entry] = (),
) -> None:
    """Draw the values of a matrix, those that are not 0 shaded, marked ones outlined."""
    _grid(axes, rows, range(values.shape[1]) if columns is None else columns)
    for (i, j), value in np.ndenumerate(values):
        if value:
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor="#c6dbef", edgecolor="none"))
        axes.text(j + 0.5, i + 0.5, f"{value:g}", ha="center", va="center", fontsize=9)
    for i, j in marked:
        axes.add_patch(
            Rectangle(
                (j + 0.06, i + 0.06), 0.88, 0.88, fill=False, edgecolor=COLORS[5], linewidth=2
            )
        )
    axes.set_aspect("auto" if max(values.shape) > 3 * min(values.shape) else "equal")


def _growth(axes: Axes, series: dict[str, list[float]]) -> None:
    """Draw what falls and what grows as t goes to 0."""
    for color, (name, values) in zip(COLORS[:2], series.items(), strict=True):
        times = [2.0**-k for k in range(len(values))]
        axes.loglog(times, values, color=color, label=name, marker=".", markersize=4)
    axes.invert_xaxis()
    axes.set_xlabel("t", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, frameon=False)


def _steps(axes: Axes, side: Any, evidence: Any) -> None:
    """Draw for each rank what the term that lowers it lacks, below what it may lack."""
    _, full, order, matchings = evidence
    m, n = side.observed.shape
    lacks = []
    for k, matched in zip(order, matchings, strict=True):
        rows, columns = int(side.left[:, k].sum()), int(side.right[k].sum())
        lacks.append(m - rows - len(matched) + n - columns)
    ranks = range(1, len(order) + 1)
    axes.bar(ranks, lacks, color=COLORS[0], label="rows and columns that it lacks")
    axes.step([0.5, *(t + 0.5 for t in ranks)], [0, *(t - 1 for t in ranks)], color=COLORS[5],
              where="pre", label="may lack")  # fmt: skip
    axes.set_xticks(
        list(ranks), [f"{t}: term {k}" for t, k in zip(ranks, order, strict=True)], fontsize=7
    )
    axes.set_yticks(range(max(len(order), 2)))
    axes.set(ylim=(0, max(len(order), 2)), xlabel="rank that is left")
    given = ", ".join(str(k) for k, _ in full) or "none"
    axes.legend(fontsize=7, frameon=False, title=f"full terms: {given}", title_fontsize=7)


# On the page


def run(code: str) -> Any:
    """Run the code of a section; return its ``solution``."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, PAGE, "exec"), names)
    return names["solution"]


def illustrated(text: str, folder: Path, shown_as: str) -> str:
    """Return a page with a picture after the code of each section, and draw the pictures."""

    def with_picture(found: re.Match[str]) -> str:
        title = found["title"]
        name = re.sub(r"\W+", "_", title.lower()).strip("_") + ".png"
        figure = picture(run(found["code"]))
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / name, dpi=110)
        return f"{found[0]}\n![{title}, drawn]({shown_as}/{name})\n"

    return SECTION.sub(with_picture, text)


def _read(app: Any, name: str, source: list[str]) -> None:
    if name == PAGE:
        built = Path(app.srcdir) / "_build" / "proofs"
        source[0] = illustrated(source[0], built, "_build/proofs")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
