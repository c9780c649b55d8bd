"""`plot` of everything that has one: the Axes that it returns, and what stands on it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks import Add, Dense, Input, Network, Node, Relu, chain
from sparseopt.tools.drawing.graphs import network_figure
from sparseopt.tools.limit_curve import HALVINGS, limit_curve

LU = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
DIGITS = Path(__file__).parents[2] / "examples" / "networks" / "digits_mlp.onnx"


@pytest.fixture(autouse=True)
def no_figure_stays_open() -> Iterator[None]:
    import matplotlib

    matplotlib.use("agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def small() -> Network:
    hidden = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    return chain((2,), Dense(hidden), Relu(), Dense(np.array([[1.0, 0.0, 3.0]])))


@cache
def subjects() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    architecture = so.Architecture.square_dyadic(4)
    factors = [rng.standard_normal(p.values_shape) for p in architecture]
    product = so.KroneckerProduct(factors, architecture)
    closedness = so.solve(so.Closedness(LU))
    report = so.analyze(so.Closedness(LU))
    network = small()
    norm = so.solve(so.PathNorm(network))
    return {
        "pattern": so.KroneckerPattern(1, 2, 2, 2),
        "architecture": architecture,
        "product": product,
        "permuted": so.PermutedKroneckerProduct(product, [1, 0, 2, 3], [0, 1, 2, 3]),
        "supports": closedness.problem,
        "proof of a window and a curve": closedness.certificate,
        "solution": closedness,
        "proof of closed supports": so.solve(so.Closedness([[[1, 1]], [[1], [1]]])),
        "repair": so.solve(so.NearestClosedSupport(LU, "remove")),
        "factorization": so.solve(so.ButterflyFactorization(product.to_dense(), architecture)),
        "network": network,
        "pruning": so.prune(network, 0.5),
        "path-norm": norm,
        "its problem": norm.problem,
        "depth": so.norms_along_depth(network),
        "finding": report.findings[0],
        "figure": report.findings[0].figure,
        "report": report,
        "report of a network": so.analyze(network, only="layer_structure"),
    }


@pytest.mark.parametrize("name", subjects())
def test_plot_returns_its_axes_and_draws_on_the_one_given(name: str) -> None:
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    subject = subjects()[name]
    made = subject.plot()
    assert isinstance(made, Axes)
    made.figure.canvas.draw()
    figure, (left, right) = plt.subplots(1, 2)
    assert subject.plot(right) is right
    assert subject.plot(ax=left) is left
    figure.canvas.draw()
    assert left.has_data() or left.child_axes or left.patches
    assert so.draw(subject).axes  # the same picture, without pyplot
    assert len(plt.get_fignums()) == 2


def test_the_proof_shows_its_window_and_its_curve() -> None:
    certificate: Any = so.solve(so.Closedness(LU)).certificate
    above, below = certificate.plot().child_axes
    titles = [panel.get_title() for panel in above.child_axes]
    assert titles == ["I\n2 x 2, 75 % nonzero", "J\n2 x 2, 75 % nonzero"]
    assert [len(panel.patches) for panel in above.child_axes] == [
        len(cells) for cells in certificate.marked_cells()
    ]
    distance, norm = below.lines
    assert len(distance.get_ydata()) == HALVINGS + 1
    assert distance.get_ydata()[-1] < 1e-5 < 1e5 < norm.get_ydata()[-1]
    assert limit_curve(certificate).labels[-1] == f"2^-{HALVINGS}"


def test_a_repair_shows_what_it_changed() -> None:
    solution = so.solve(so.NearestClosedSupport(LU, "remove"))
    shown = solution.plot().child_axes
    changed = sum(
        int((np.asarray(a) != np.asarray(b)).sum())
        for a, b in zip(solution.problem.supports, solution.answer.supports, strict=True)
    )
    assert sum(len(panel.patches) for panel in shown) == changed == 1


def test_a_pruning_shows_what_is_kept() -> None:
    pruning = so.prune(so.load_network(DIGITS), 0.9)
    bars = pruning.plot().patches
    shares = [t.kept / t.size for t in pruning.tensors if not t.reason]
    assert [bar.get_width() for bar in bars] == pytest.approx(shares)


def test_path_norms_grow_along_depth() -> None:
    profile = so.norms_along_depth(small(), 1)
    lines = profile.plot().lines
    assert lines[0].get_ydata() == pytest.approx(profile.log10_total)
    assert lines[0].get_ydata()[-1] == pytest.approx(np.log10(1 + 6))
    again = so.solve(so.PathNorm(small())).plot().lines
    assert again[0].get_ydata() == pytest.approx(profile.log10_total)


def test_the_graph_of_a_network_with_a_skip_connection() -> None:
    eye = Dense(np.eye(2))
    network = Network(
        (
            Node("x", Input((2,))),
            Node("a", eye, ("x",)),
            Node("r", Relu(), ("a",)),
            Node("b", Dense(np.ones((2, 2))), ("r",)),
            Node("unused", eye, ("x",)),
            Node("sum", Add(), ("b", "x")),
        ),
        "sum",
    )
    figure = network_figure(network, [("a", "b"), ("a", "r"), ("gone", "b")])
    assert figure.names == ["x", "a", "b", "sum"]
    assert figure.kinds == ["Input", "Dense", "Dense", "Add"]
    assert set(figure.edges) == {(0, 1), (1, 2), (2, 3), (0, 3)}
    assert figure.marks == [(1, 2)]
    assert figure.shares[1:3] == [0.5, 1.0]
    assert np.isnan([figure.shares[0], figure.shares[3]]).all()
    ax = figure.plot()
    words = {text.get_text() for text in ax.texts}
    assert {"x", "a", "b", "sum", "50 %", "100 %"} <= words
    again = so.from_json(so.to_json(figure))
    assert (again.names, again.marks) == (figure.names, [(1, 2)])


def test_a_deep_network_is_cut_in_the_middle() -> None:
    layers = [Dense(np.eye(1)) for _ in range(200)]
    ax = chain((1,), *layers).plot()
    words = [text.get_text() for text in ax.texts]
    assert "81 layers are left out here" in words
    assert {"input", "199:Dense"} <= set(words)


def test_what_has_no_picture_says_so() -> None:
    lasso = so.solve(so.SparseRegression([[1.0]], [1.0], so.L1(0.5)))
    for subject in (lasso, lasso.certificate):
        with pytest.raises(so.ProblemError, match="there is no picture of a"):
            subject.plot()
    with pytest.raises(so.ProblemError, match="neither a figure nor a proof"):
        so.Finding("rule", so.Severity.INFO, "here", "words").plot()
    with pytest.raises(so.ProblemError, match="has a figure"):
        so.Report("nothing", ()).plot()


@pytest.mark.parametrize("labels", [["a"], ["a long name of a layer"] * 70, []])
@pytest.mark.parametrize("kind", ["bar", "line"])
@pytest.mark.parametrize("log", [False, True])
def test_series_of_any_length(labels: list[str], kind: str, log: bool) -> None:
    values = [1.0 + i for i in range(len(labels))]
    figure = so.SeriesFigure("t", "x", "y", labels, {"a": values, "b": values}, kind, log)
    so.draw(figure).canvas.draw()
