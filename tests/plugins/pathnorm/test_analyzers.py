"""What the analyzers of networks say, on networks whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Input, Relu

ROOT = Path(__file__).parents[3]


def mlp(*weights: Any) -> Network:
    """Return a network of dense layers with ReLU between them."""
    nodes = [Node("x", Input((np.shape(weights[0])[1],)))]
    for i, weight in enumerate(weights):
        nodes.append(Node(f"w{i}", Dense(np.array(weight, dtype=float)), (nodes[-1].name,)))
        if i < len(weights) - 1:
            nodes.append(Node(f"r{i}", Relu(), (nodes[-1].name,)))
    return Network(tuple(nodes), nodes[-1].name)


def rules(report: so.Report) -> dict[str, so.Finding]:
    return {finding.rule: finding for finding in report.findings}


def test_an_lu_pair_is_found_and_marked() -> None:
    report = so.analyze(mlp([[1, 2], [0, 3]], [[1, 0], [1, 1]]))
    finding = rules(report)["supports-not-closed"]
    assert finding.severity is so.Severity.WARNING
    assert finding.where == "w0 -> w1"
    assert so.verify(finding).ok
    assert finding.figure.marks == {
        "w1 (I)": [(0, 0), (1, 0), (1, 1)],
        "w0 (J)": [(0, 0), (0, 1), (1, 1)],
    }


def test_one_hidden_layer_and_one_output_always_trains() -> None:
    finding = rules(so.analyze(mlp([[1, 2], [0, 3]], [[1, 1]])))["supports-closed"]
    assert "has an optimum on every" in finding.message
    deeper = rules(so.analyze(mlp([[1, 1]], [[1], [0]], [[1, 1]])))["supports-closed"]
    assert "not sufficient" in deeper.message


def test_dense_layers_are_not_asked_about() -> None:
    report = so.analyze(mlp(np.ones((3, 2)), np.ones((2, 3))))
    assert "support_closedness" in [item.name for item in report.skipped]


def test_path_norm_and_count() -> None:
    found = rules(so.analyze(mlp([[1, -2], [0, 3]], [[1, 0], [-1, 1]])))
    assert found["path-norm"].value["value"] == 3 + 6
    assert found["path-count"].value["exact"] == "5"
    assert so.verify(found["lipschitz-bound"]).ok


def test_paths_from_biases_count_in_the_norm_but_not_in_the_lipschitz_bound() -> None:
    net = chain((1,), Dense(np.array([[2.0]]), np.array([5.0])), Relu(), Dense(np.array([[3.0]])))
    found = rules(so.analyze(net))
    assert found["path-norm"].value["value"] == 6 + 15
    assert found["lipschitz-bound"].value["value"] == 6
    assert so.verify(found["lipschitz-bound"]).ok
    slopes = found["measured-slopes"]
    assert slopes.severity is so.Severity.INFO
    assert max(slopes.value["largest_slope"]) == pytest.approx(6)  # x > 0 has slope 6 exactly
    assert so.verify(slopes).ok


def test_only_biases_reach_the_output() -> None:
    net = chain((1,), Dense(np.array([[0.0]]), np.array([5.0])), Relu(), Dense(np.array([[3.0]])))
    found = rules(so.analyze(net))
    assert found["path-norm"].severity is so.Severity.INFO
    assert found["lipschitz-bound"].severity is so.Severity.PROBLEM
    assert found["measured-slopes"].severity is so.Severity.INFO


def test_norms_and_paths_along_depth() -> None:
    found = rules(so.analyze(mlp([[1, -2], [0, 3]], [[1, 0], [-1, 1]])))
    norms, paths = found["norm-along-depth"].value, found["paths-along-depth"].value
    assert norms["layers"] == ["w0", "w1"]
    np.testing.assert_allclose(norms["log10_total"], np.log10([6, 9]))
    np.testing.assert_allclose(norms["log10_largest"], np.log10([3, 6]))
    np.testing.assert_allclose(paths["log10_total"], np.log10([3, 5]))
    assert found["norm-along-depth"].figure.kind == "line"


def test_slopes_of_a_network_whose_lipschitz_constant_is_attained() -> None:
    net = mlp([[1.0, -1.0], [2.0, -0.5]])  # linear: attained in the direction (1, -1)
    found = rules(so.analyze(net, only=["measured_slopes"]))["measured-slopes"]
    assert max(found.value["largest_slope"]) == pytest.approx(4.5)
    assert found.value["bound_log10"] == pytest.approx(np.log10(4.5))


def test_the_input_as_output() -> None:
    assert so.analyze(Network((Node("x", Input((2,))),), "x")).ok


def test_nothing_passes_is_a_problem() -> None:
    report = so.analyze(mlp([[1, 0], [0, 1]], [[0, 0], [0, 0]]))
    assert not report.ok
    assert {"path-norm", "layer-of-zeros"} <= {
        f.rule for f in report.findings if f.severity is so.Severity.PROBLEM
    }


def test_balance_and_dead_units() -> None:
    found = rules(so.analyze(mlp([[100, 0], [0, 1], [0, 0]], [[1, 1, 1]])))
    balance = found["neural-balance"]
    assert balance.severity is so.Severity.WARNING
    assert list(balance.value.values()) == pytest.approx([100])
    layer = found["uneven-layer"]
    np.testing.assert_allclose(layer.value["ratio"], [100, 1])
    assert "between 1 (unit 1) and 100 (unit 0) over 2 units" in layer.message
    assert found["dead-units"].value.tolist() == [2]
    even = rules(so.analyze(mlp([[1, 1], [2, 0]], [[1, 1]])))["neural-balance"]
    assert even.severity is so.Severity.OK


def test_a_network_without_hidden_layers() -> None:
    net = Network(
        (Node("x", Input((1, 4, 4))), Node("c", Conv(np.ones((1, 1, 2, 2))), ("x",))), "c"
    )
    report = so.analyze(net)
    assert report.ok
    skipped = {"neural_balance", "rescaling_sensitivity"}
    skipped |= {"support_closedness", "training_optimum"}
    assert skipped == {item.name for item in report.skipped}


def test_sensitivity_to_rescaling() -> None:
    rng = np.random.default_rng(0)
    net = mlp(rng.standard_normal((6, 4)), rng.standard_normal((3, 6)))
    found = rules(so.analyze(net))["sensitivity-to-rescaling"]
    before, after = (
        so.prune(n, 0.6, "magnitude").masks
        for n in (net, so.rescale(net, so.random_factors(net, seed=0)))
    )
    lost = [int((mask & ~after[name]).sum()) for name, mask in before.items()]
    assert found.value["lost"] == lost
    assert sum(lost) > 0
    assert found.severity is so.Severity.WARNING


def test_sensitivity_of_a_sparse_network_is_that_of_its_nonzero_weights() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((20, 16)), rng.standard_normal((4, 20))]
    for w in weights:
        w[rng.random(w.shape) < 0.8] = 0
    found = rules(so.analyze(mlp(*weights), only=["rescaling_sensitivity"]))
    assert sum(found["sensitivity-to-rescaling"].value["lost"]) > 0


@pytest.mark.parametrize("name", ["digits_mlp", "digits_cnn"])
def test_the_bundled_networks(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    path = ROOT / "examples" / "networks" / f"{name}.onnx"
    report = so.analyze(path)
    assert report.ok
    assert "supports-not-closed" in rules(report)
    assert so.verify(report).ok
    page = report.to_html(tmp_path / "report.html").read_text()
    assert page.count("<svg") == sum(f.figure is not None for f in report.findings)
    back = so.Report.from_json(report.to_json())
    assert so.verify(back).ok
