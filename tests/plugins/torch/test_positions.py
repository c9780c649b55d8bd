"""Every operator that only moves entries: its layers against the operator itself, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sparseopt_torch import moving
from sparseopt_torch.calls import Call
from sparseopt_torch.conversion import OPERATORS
from sparseopt_torch.graph import TorchGraph
from sparseopt_torch.shapes import SHAPES

import sparseopt as so
from sparseopt.tools.reading.builder import NetworkBuilder
from sparseopt.tools.reading.values import Value

aten = torch.ops.aten
torch.manual_seed(0)
IMAGE, CUBE = (1, 4, 6, 5), (1, 4, 3, 3, 3)
MASK, PLACES = torch.tensor([True, False, True, True]), torch.tensor([2, 0, -1])

# operator, shape of its input, further arguments
CASES: list[tuple[Any, tuple[int, ...], list[Any]]] = [
    (aten.reshape.default, IMAGE, [[1, 2, -1]]),
    (aten.view.default, IMAGE, [[4, -1, 3]]),
    (aten._unsafe_view.default, IMAGE, [[1, 120]]),
    (aten.view_copy.default, IMAGE, [[-1]]),
    (aten.flatten.using_ints, IMAGE, [1, -1]),
    (aten.flatten.using_ints, (3,), [0, -1]),
    (aten.unflatten.int, IMAGE, [-2, [2, -1]]),
    (aten.squeeze.default, (1, 4, 1, 3), []),
    (aten.squeeze.dim, (1, 4, 1, 3), [-2]),
    (aten.squeeze.dim, IMAGE, [1]),
    (aten.squeeze.dims, (1, 4, 1, 3), [[0, 2]]),
    (aten.squeeze_.dim, (1, 4, 1, 3), [2]),
    (aten.unsqueeze.default, IMAGE, [-1]),
    (aten.unsqueeze_.default, IMAGE, [1]),
    (aten.permute.default, IMAGE, [[0, -1, 1, 2]]),
    (aten.permute.default, IMAGE, [[2, 0, 3, 1]]),
    (aten.transpose.int, IMAGE, [1, -1]),
    (aten.transpose_.default, IMAGE, [1, 2]),
    (aten.swapaxes.default, IMAGE, [0, 2]),
    (aten.swapdims.default, IMAGE, [-1, -2]),
    (aten.t.default, (1, 5), []),
    (aten.t.default, (5,), []),
    (aten.mT.default, IMAGE, []),
    (aten.numpy_T.default, IMAGE, []),
    (aten.movedim.int, IMAGE, [1, -1]),
    (aten.movedim.intlist, IMAGE, [[1, 2], [-1, 1]]),
    (aten.moveaxis.int, IMAGE, [3, 0]),
    (aten.split.Tensor, IMAGE, [3, 1]),
    (aten.split.sizes, IMAGE, [[1, 3], 1]),
    (aten.split_with_sizes.default, IMAGE, [[2, 4], -2]),
    (aten.chunk.default, IMAGE, [4, 2]),
    (aten.unbind.int, IMAGE, [1]),
    (aten.slice.Tensor, IMAGE, [1, 1, None, 2]),
    (aten.slice.Tensor, IMAGE, [-1, -3, 2**63 - 1]),
    (aten.narrow.default, IMAGE, [1, -3, 2]),
    (aten.select.int, IMAGE, [-2, -1]),
    (aten.index_select.default, IMAGE, [2, torch.tensor([3, 1, 1])]),
    (aten.index.Tensor, IMAGE, [[None, PLACES, None, PLACES]]),
    (aten.index.Tensor, IMAGE, [[None, MASK, torch.tensor([[1], [0]])]]),
    (aten.flip.default, IMAGE, [[1, -1]]),
    (aten.roll.default, IMAGE, [[1, -2], [1, 2]]),
    (aten.roll.default, IMAGE, [[7]]),
    (aten.expand.default, (1, 4, 1), [[2, 3, -1, 5]]),
    (aten.broadcast_to.default, (1, 4, 1), [[2, 3, 4, 5]]),
    (aten.repeat.default, (1, 4, 1), [[2, 1, 2, 3]]),
    (aten.tile.default, IMAGE, [[3]]),
    (aten.pad.default, IMAGE, [[1, 2, -1, 0]]),
    (aten.pad.default, IMAGE, [[0, 1, 2, 0], "constant", 2.5]),
    (aten.pad.default, IMAGE, [[1, 2, 0, 1], "reflect"]),
    (aten.pad.default, IMAGE, [[1, 2, 0, 1], "replicate"]),
    (aten.pad.default, IMAGE, [[1, 2, 0, 1], "circular"]),
    (aten.constant_pad_nd.default, IMAGE, [[0, 0, 1, -2, 1, 1], -1.0]),
    (aten.reflection_pad1d.default, (1, 4, 5), [[2, 1]]),
    (aten.reflection_pad2d.default, IMAGE, [[1, 2, 0, 1]]),
    (aten.reflection_pad3d.default, CUBE, [[1, 2, 0, 1, 1, 0]]),
    (aten.replication_pad1d.default, (1, 4, 5), [[2, 1]]),
    (aten.replication_pad2d.default, IMAGE, [[1, 2, 0, 1]]),
    (aten.replication_pad3d.default, CUBE, [[1, 2, 0, 1, 1, 0]]),
    (aten.pixel_shuffle.default, IMAGE, [2]),
    (aten.pixel_unshuffle.default, (1, 2, 4, 6), [2]),
    (aten.channel_shuffle.default, IMAGE, [2]),
    (aten.native_channel_shuffle.default, IMAGE, [2]),
    (aten.slice_scatter.default, IMAGE, [torch.randn(1, 2, 6, 5), 1, 0, 4, 2]),
    (aten.select_scatter.default, IMAGE, [torch.randn(1, 4, 5), -2, -1]),
    (aten.gather.default, IMAGE, [3, torch.tensor([[[[4, 0, 4]]]])]),
    (aten.unfold.default, IMAGE, [2, 3, 2]),
    (aten.diagonal.default, IMAGE, [1, 2, 3]),
    (aten.rot90.default, IMAGE, [1, [2, 3]]),
    (aten.narrow_copy.default, IMAGE, [1, 1, 2]),
    (aten.index_put.default, IMAGE, [[None, PLACES, None, PLACES], torch.randn(3, 1, 6)]),
    (aten.index_put_.default, IMAGE, [[None, MASK], torch.randn(5)]),
]  # fmt: skip


def layers_of(operator: Any, shape: tuple[int, ...], others: list[Any]) -> tuple[Any, Any]:
    """Return the builder and what the rule of the operator makes of its input."""
    graph = object.__new__(TorchGraph)
    graph.builder, graph.fixed_batch = NetworkBuilder(shape, "x"), 1
    node = torch.fx.Graph().call_function(operator)
    given = [graph.builder.input, *others]
    arguments = {
        a.name: given[i] if i < len(given) else a.default_value
        for i, a in enumerate(operator._schema.arguments)
    }
    name = str(operator).split(".")[1].removesuffix("_")
    return graph.builder, OPERATORS[f"aten.{name}"](graph, Call(node, arguments, set()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case[0]))
@pytest.mark.filterwarnings("ignore:The use of")
def test_positions_are_those_of_the_operator(case: tuple[Any, tuple[int, ...], list[Any]]) -> None:
    operator, shape, others = case
    x = torch.randn(shape, dtype=torch.float64)
    others = [t.double() if torch.is_tensor(t) and t.is_floating_point() else t for t in others]
    builder, made = layers_of(operator, shape, others)
    right = operator(x.clone(), *others)
    pairs = [(made, right)] if isinstance(made, Value) else list(zip(made, right, strict=True))
    for value, tensor in pairs:
        assert value.shape == tuple(tensor.shape)
        network = builder.finish(value)
        found = network.run(x.numpy().reshape(network.input_shape))
        np.testing.assert_array_equal(found.ravel(), tensor.numpy().ravel())


def test_every_operator_that_moves_entries_is_tried() -> None:
    names = ("moved", "in_order", "reshape", "axes_moved", "pad", "overwritten")
    rules = {getattr(moving, name) for name in names}
    tried = {f"aten.{str(case[0]).split('.')[1].removesuffix('_')}" for case in CASES}
    assert {name for name, rule in SHAPES.items() if rule in rules} | {"aten.index_put"} == tried


def test_axes_and_shapes_need_no_index_arrays() -> None:
    for operator, shape, others in CASES[:27]:
        builder, made = layers_of(operator, shape, others)
        kinds = {type(node.op).__name__ for node in builder.finish(made).nodes}
        assert kinds <= {"Input", "Reshape", "Permute"}, operator


def test_arguments_that_vary_or_ask_too_much_are_refused() -> None:
    graph = NetworkBuilder((1, 3), "x")
    with pytest.raises(so.ProblemError, match="'index' must be constant, but it depends"):
        layers_of(aten.index_select.default, (1, 3), [1, graph.input])
    for operator, others in [
        (aten.repeat.default, [[1 << 40, 1]]),
        (aten.expand.default, [[1 << 20, 1 << 20, 3]]),
        (aten.constant_pad_nd.default, [[1 << 40, 0]]),
        (aten.index.Tensor, [[torch.zeros(1 << 15, 1).long(), torch.zeros(1 << 15).long()]]),
    ]:
        with pytest.raises(so.ProblemError, match="at most"):
            layers_of(operator, (1, 3), others)
    with pytest.raises(so.ProblemError, match="value nan is not supported"):
        layers_of(aten.constant_pad_nd.default, (1, 3), [[1, 0], float("nan")])


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nearest_cells_are_rounded_as_pytorch_rounds(mode: str, dtype: torch.dtype) -> None:
    """Cells whose place is a whole number but for rounding: 41 / 82 * 2, 10 / 2.2 * 2.2."""
    for old, new, scale in [(2, 82, None), (6, 74, None), (4, 41, None), (16, None, 2.2)]:
        module = torch.nn.Upsample(new, scale, mode)
        x = torch.randn(1, 1, old, dtype=dtype)
        network = so.load_network(module, example=x)
        np.testing.assert_array_equal(network.run(x.numpy()), module(x).numpy())
