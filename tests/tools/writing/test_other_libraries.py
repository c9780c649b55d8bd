"""Networks as PyTorch modules and ONNX models: every layer, names, sharing, what is refused."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Input, Relu
from sparseopt.networks.window import MaxPool, Resample
from sparseopt.tools.reading.window_cells import average_map, max_window, pool_positions
from sparseopt.tools.writing.windows import average, matrix, pool, sliding
from tests.networks.test_operators import OPERATORS, network_of

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from sparseopt_onnx.network_model import to_model  # noqa: E402

onnxruntime.set_default_logger_severity(4)


def answers(model: Any, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model if isinstance(model, str) else model.SerializeToString()
    )
    (name,) = (i.name for i in session.get_inputs())
    return np.asarray(session.run(None, {name: x})[0])


@pytest.mark.parametrize("name", list(OPERATORS))
def test_pytorch_computes_every_layer(name: str) -> None:
    network = network_of(name)
    x = np.random.default_rng(0).standard_normal((3, *network.input_shape))
    module = network.to_torch("float64")
    found = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, network.run(x), rtol=1e-12, atol=1e-12)
    assert found.shape == (3, *network.output_shape)


@pytest.mark.parametrize(
    "name", ["self", "class", "training", "_modules", "forward", "1", "a b", "h.weight", "tensor"]
)
def test_layers_may_have_any_name(name: str) -> None:
    weight = np.arange(6.0).reshape(2, 3) - 2
    first = Node("h", Dense(weight, np.ones(2)), ("x",), origin={"weight": "tensor"})
    nodes = Node("x", Input((3,))), first, Node(name, Relu(), ("h",))
    network = Network(nodes=nodes, output=name)
    x = np.array([[1.0, -2.0, 3.0]])
    found = network.to_torch("float64")(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, network.run(x))
    np.testing.assert_allclose(answers(to_model(network, "float64"), x), network.run(x))


@pytest.mark.parametrize("name", list(OPERATORS))
def test_onnxruntime_computes_every_layer(name: str) -> None:
    network = network_of(name)
    x = np.random.default_rng(0).standard_normal((3, *network.input_shape)).astype(np.float32)
    model = to_model(network, "float32")
    onnx.checker.check_model(model, full_check=True)
    found = answers(model, x)
    np.testing.assert_allclose(found, network.run(x), rtol=1e-4, atol=1e-4)
    assert found.shape == (3, *network.output_shape)


@pytest.mark.parametrize("size", [4, 5, 7])
@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (0, 1), (1, 0)])
@pytest.mark.parametrize("ceil", [False, True])
def test_pools_of_every_kind_are_what_they_were(
    size: int, kernel: int, stride: int, padding: tuple[int, int], ceil: bool
) -> None:
    if max(padding) >= kernel:
        pytest.skip("a window would lie in the padding")
    places = pool_positions(size, kernel, stride, padding, 1, ceil)
    ops = [
        MaxPool((max_window(1, places, size),)),
        Resample((average_map(1, places, size, padding),)),
        Resample((average_map(1, places, size, None),)),
        Resample((average_map(1, places, size, padding, 5),)),
    ]
    x = np.random.default_rng(1).standard_normal((2, 2, size)).astype(np.float32)
    for op in ops:
        network = chain((2, size), op)
        right = network.run(x)
        module = network.to_torch("float32")
        np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), right, rtol=1e-5)
        np.testing.assert_allclose(answers(to_model(network, "float32"), x), right, rtol=1e-5)


def test_windows_are_recognized_as_what_they_are() -> None:
    places = pool_positions(7, 3, 2, (1, 1), 2)
    window = max_window(1, places, 7)
    found = sliding(window.index, 7)
    assert found is not None
    assert (found.kernel, found.stride, found.dilation, found.before) == (3, 2, 2, 1)
    assert sliding(np.array([[0, 1], [1, 3]]), 4) is None
    assert sliding(np.array([[1, 0]]), 4) is None
    assert pool([window], (2, 7)) is not None
    assert pool([max_window(0, places, 7)], (7, 2)) is None
    mean = Resample((average_map(1, pool_positions(6, 2, 2), 6, None),))
    assert average(mean, (3, 6)) is not None
    uneven = Resample((average_map(1, pool_positions(6, 2, 2), 6, None, 3),))
    assert average(uneven, (3, 6)) is None
    np.testing.assert_array_equal(matrix(mean.maps[0], 6) @ np.arange(6.0), [0.5, 2.5, 4.5])


class Small(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.block = torch.nn.Sequential(torch.nn.Linear(64, 6), torch.nn.ReLU())
        self.turned = torch.nn.Parameter(torch.randn(6, 2))

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.norm(self.conv(x))).flatten(1)
        return self.block(y) @ self.turned


def small() -> Any:
    torch.manual_seed(0)
    made = Small().eval()
    torch.nn.init.normal_(made.norm.weight)
    torch.nn.init.normal_(made.norm.bias)
    made.norm.running_mean.normal_()
    return made


def test_a_module_gets_its_names_back() -> None:
    module = small()
    x = torch.randn(2, 1, 4, 4)
    network = so.load_network(module, x)
    made = network.to_torch()
    held = made.state_dict()
    for name in ("conv.weight", "conv.bias", "block.0.weight", "block.0.bias"):
        torch.testing.assert_close(held[name], module.state_dict()[name], rtol=0, atol=0)
    torch.testing.assert_close(made(x), module(x))
    assert all(p.dtype == torch.float32 for p in made.parameters())
    assert made(x).requires_grad
    torch.testing.assert_close(copy.deepcopy(made)(x), module(x))
    again = so.load_network(made, x)
    one, two = (so.solve(so.PathNorm(n)).answer.value for n in (network, again))
    assert one == pytest.approx(two, rel=1e-6)


def test_layers_that_share_a_tensor_share_it_in_pytorch() -> None:
    layer = torch.nn.Linear(3, 3)
    module = torch.nn.Sequential(layer, torch.nn.ReLU(), layer)
    network = so.load_network(module, torch.zeros(1, 3))
    made = network.to_torch()
    assert len(list(made.parameters())) == 2
    x = torch.randn(4, 3)
    torch.testing.assert_close(made(x), module(x))


def test_constants_of_the_code_are_not_trained() -> None:
    network = so.load_network(torch.nn.ReLU6(), torch.zeros(1, 3))
    made = network.to_torch()
    assert not list(made.parameters())
    assert len(list(made.buffers())) > 0


def test_a_new_onnx_file_is_checked_and_has_the_names_of_the_source(tmp_path: Path) -> None:
    module = small()
    x = torch.randn(2, 1, 4, 4)
    network = so.load_network(module, x)
    path = tmp_path / "new.onnx"
    network.to_onnx(path)
    assert [p.name for p in tmp_path.iterdir()] == ["new.onnx"]
    names = {i.name for i in onnx.load(path).graph.initializer}
    assert {"conv.weight", "conv.bias", "block.0.weight"} <= names
    found = answers(str(path), x.numpy())
    np.testing.assert_allclose(found, module(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    again = so.load_network(path)
    assert again.origins["conv.weight"] == "conv.weight"


def test_a_graph_of_neurons_is_written(tmp_path: Path) -> None:
    import networkx as nx

    graph = nx.DiGraph()
    for name in "ab":
        graph.add_node(name, kind="input")
    graph.add_node("h", kind="relu", bias=0.5)
    graph.add_node("y", kind="id", bias=-1.0)
    graph.add_weighted_edges_from([("a", "h", 2.0), ("b", "h", -1.5), ("h", "y", 3.0)])
    network = so.load_network(graph)
    network.to_onnx(tmp_path / "dag.onnx")
    x = np.array([[1.0, 0.3], [-2.0, 1.0]])
    np.testing.assert_allclose(answers(str(tmp_path / "dag.onnx"), x), network.run(x))
    np.testing.assert_allclose(network.to_torch()(torch.from_numpy(x)).detach(), network.run(x))


@pytest.mark.parametrize("suffix", ["onnx", "pt2", "json"])
def test_every_kind_of_file_holds_the_network(tmp_path: Path, suffix: str) -> None:
    network = so.load_network(small(), torch.randn(2, 1, 4, 4))
    path = tmp_path / f"net.{suffix}"
    so.write(network, path)
    found: Any = so.from_json(path.read_text()) if suffix == "json" else so.load_network(path)
    x = np.random.default_rng(0).standard_normal((3, 1, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(found.run(x), network.run(x), rtol=1e-4, atol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_numbers_beyond_float32_are_refused_by_name(tmp_path: Path) -> None:
    wide = chain((1,), Dense(np.array([[1e200]])))
    assert wide.to_torch()(torch.ones(1, 1, dtype=torch.float64)).item() == 1e200
    with pytest.raises(so.ProblemError, match="dtype='float64'"):
        wide.to_torch("float32")
    with pytest.raises(so.ProblemError, match="float32 or float64, got 'half'"):
        wide.to_torch("half")
    mixed = Network(
        (
            Node("x", Input((1,))),
            Node("a", Dense(np.ones((1, 1), np.float32)), ("x",)),
            Node("b", Scale(np.array([1e200])), ("a",)),
        ),
        "b",
    )
    with pytest.raises(so.ProblemError, match=r"b.factor leaves the range of float32"):
        mixed.to_onnx(tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    network = chain((2,), Dense(np.eye(2)), Relu())
    with pytest.raises(so.ProblemError, match=r"must end in \.onnx, \.pt2 or \.json"):
        so.write(network, tmp_path / "net.h5")
    with pytest.raises(so.ProblemError, match="is no network"):
        so.write(np.eye(2), tmp_path / "net.onnx")  # type: ignore[arg-type]
    for suffix in ("onnx", "pt2", "json"):
        with pytest.raises(so.ProblemError, match="cannot write"):
            so.write(network, tmp_path / "nowhere" / f"net.{suffix}")
    four = chain((1, 2, 2, 2, 2), OPERATORS["conv"][0].__class__(np.ones((1, 1, 1, 1, 1, 1))))
    with pytest.raises(so.ProblemError, match="over 4 axes"):
        four.to_torch()


def test_a_model_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sparseopt_onnx.reader as reader

    network = chain((2,), Dense(np.array([[1.0, 2.0]])))
    other = chain((2,), Dense(np.array([[1.0, 2.1]])))
    monkeypatch.setattr(reader, "to_model", lambda n: to_model(other))
    with pytest.raises(so.ProblemError, match="the model that is to be written"):
        network.to_onnx(tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_origins_name_parameters_that_are_tensors_of_the_source() -> None:
    network = so.load_network(small(), torch.zeros(1, 1, 4, 4))
    assert network.origins == {
        "conv.weight": "conv.weight",
        "conv.bias": "conv.bias",
        "block.0.weight": "block.0.weight",
        "block.0.bias": "block.0.bias",
    }


def test_shapes_of_tensors_must_fit_their_parameters() -> None:
    good = Node("a", Dense(np.ones((2, 3))), ("x",), {"weight": "w"}, (), {}, {"weight": (3, 2)})
    assert good.tensor_shapes == {"weight": (3, 2)}
    with pytest.raises(so.ProblemError, match="does not hold the entries"):
        replace(good, tensor_shapes={"weight": (3, 3)})
    with pytest.raises(so.ProblemError, match="does not hold the entries"):
        replace(good, tensor_shapes={"bias": (3,)})
