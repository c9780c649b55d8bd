"""Modules with several inputs and outputs: as in detectors, reinforcement learning, comparison."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import sparseopt as so
from sparseopt.cli.main import app


class PNet(nn.Module):
    """The first stage of MTCNN: a fully convolutional network with two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.MaxPool2d(2, 2, ceil_mode=True)),
            *(nn.Conv2d(4, 5, 3), nn.PReLU(5)),
        )
        self.score, self.box = nn.Conv2d(5, 2, 1), nn.Conv2d(5, 4, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.body(x)
        return self.box(x), torch.softmax(self.score(x), 1)


class ONet(nn.Module):
    """Its last stage: three heads after a permuted flattening."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.slope = nn.Conv2d(3, 4, 3), nn.PReLU(4)
        self.dense = nn.Linear(4 * 16, 8)
        self.score, self.box, self.marks = nn.Linear(8, 2), nn.Linear(8, 4), nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.slope(self.conv(x)).permute(0, 3, 2, 1).contiguous()
        x = torch.relu(self.dense(x.view(x.shape[0], -1)))
        return self.box(x), self.marks(x), torch.softmax(self.score(x), dim=1)


class ActorCritic(nn.Module):
    """Mean, logarithmic deviation and value, as stable-baselines has them."""

    def __init__(self) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2), nn.Tanh())
        self.critic = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1))
        self.log_std = nn.Parameter(torch.tensor([-0.5, 0.25]))

    def forward(self, observation: torch.Tensor) -> dict[str, Any]:
        mean = self.actor(observation)
        return {
            "policy": {"mean": mean, "log_std": self.log_std.expand(len(mean), 2)},
            "value": self.critic(observation)[:, 0],
        }


class Siamese(nn.Module):
    """One network for both inputs, and a distance of what it makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.end = nn.Sequential(nn.Linear(5, 6), nn.ReLU()), nn.Linear(6, 1)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.end((self.body(left) - self.body(right)).abs()))


class SplitHead(nn.Module):
    """One layer whose result is cut into heads, each with its own activation."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 7)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        a, b, c = self.body(torch.relu(x)).split([2, 4, 1], dim=1)
        return torch.sigmoid(a), b, torch.tanh(c).flatten()


Raw = Callable[[Any, list[torch.Tensor]], list[torch.Tensor]]
CASES: dict[str, tuple[type[nn.Module], list[tuple[int, ...]], list[str]]] = {
    "p-net": (PNet, [(1, 3, 12, 15)], ["output_0", "output_1"]),
    "o-net": (ONet, [(1, 3, 6, 6)], ["output_0", "output_1", "output_2"]),
    "actor-critic": (ActorCritic, [(1, 4)], ["policy.mean", "policy.log_std", "value"]),
    "siamese": (Siamese, [(1, 5), (1, 5)], ["output"]),
    "split": (SplitHead, [(1, 4)], ["output_0", "output_1", "output_2"]),
}


def module_of(name: str) -> nn.Module:
    torch.manual_seed(1)
    return CASES[name][0]().eval()


def example_of(name: str, count: int = 1) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(2)
    return tuple(torch.randn(count, *shape[1:]) for shape in CASES[name][1])


def without_heads(module: nn.Module, x: tuple[torch.Tensor, ...]) -> np.ndarray:
    """Return the outputs of a module before its last activations, one after the other."""
    inverse = {
        "PNet": [None, torch.log],
        "ONet": [None, None, torch.log],
        "ActorCritic": [torch.atanh, None, None],
        "Siamese": [torch.logit],
        "SplitHead": [torch.logit, None, torch.atanh],
    }[type(module).__name__]
    leaves = torch.utils._pytree.tree_leaves(module.double()(*(part.double() for part in x)))
    raw = [v if undo is None else undo(v) for undo, v in zip(inverse, leaves, strict=True)]
    return torch.cat([v.reshape(-1) for v in raw]).detach().numpy()


@pytest.mark.parametrize("name", list(CASES))
def test_outputs_are_joined_in_order(name: str) -> None:
    module, x = module_of(name), example_of(name)
    network = so.load_network(module, example=x if len(x) > 1 else x[0])
    assert [port.name for port in network.outputs] == CASES[name][2]
    assert not any("not compared" in note for note in network.notes)
    given = tuple(part[0].double().numpy() for part in x)
    found = network.by_output(network.run(given if len(x) > 1 else given[0]))
    right, start = without_heads(module, x), 0
    for port in network.outputs:
        part, due = found[port.name].ravel(), right[start : start + port.size]
        start += port.size
        if "Net" in type(module).__name__ and port.name == CASES[name][2][-1]:
            # Logarithms of probabilities are logits up to one number for each position.
            part, due = (np.diff(v.reshape(2, -1), axis=0) for v in (part, due))
        assert part == pytest.approx(due, abs=1e-9)
    assert start == right.size
    if len(network.outputs) > 1:
        assert network.output_labels is not None
        assert len(network.output_labels) == right.size
        assert network.output_labels[0].startswith(CASES[name][2][0])


@pytest.mark.parametrize("name", [name for name in CASES if name != "siamese"])
def test_the_norm_is_the_sum_of_those_of_the_outputs(name: str) -> None:
    module, x = module_of(name), example_of(name)
    joined = so.load_network(module, example=x)
    solution = so.solve(so.PathNorm(joined))
    assert solution.status is so.Status.VERIFIED
    parts = joined.by_output(10.0**solution.answer.per_output_log10)
    total = 0.0
    for port in joined.outputs:
        if port.name == "policy.log_std":  # the same for every input: a bias of the output
            assert parts[port.name].ravel() == pytest.approx([0.5, 0.25])
            total += 0.75
            continue
        alone = so.load_network(module, example=x, outputs=port.name)
        assert (alone.output_shape, alone.outputs) == (port.shape, (port,))
        norm = so.solve(so.PathNorm(alone)).answer
        assert parts[port.name] == pytest.approx(10.0**norm.per_output_log10, rel=1e-9)
        total += norm.value
        if alone.neurons.path_count() < 50_000:  # path by path
            slow = so.solve(so.PathNorm(alone), solver="path_enumeration").answer
            assert slow.value == pytest.approx(norm.value, rel=1e-12)
    assert total == pytest.approx(solution.answer.value, rel=1e-9)
    q2 = so.solve(so.PathNorm(joined, 2, 2)).answer
    squares = (10.0**q2.per_output_log10) ** 2
    assert q2.value == pytest.approx(math.sqrt(squares.sum()), rel=1e-9)


def test_outputs_come_in_the_order_of_their_names() -> None:
    module, x = module_of("actor-critic"), example_of("actor-critic")
    network = so.load_network(module, example=x, outputs=["value", 0])
    assert [port.name for port in network.outputs] == ["value", "policy.mean"]
    whole = so.load_network(module, example=x)
    point = x[0][0].numpy()
    found, right = (n.by_output(n.run(point)) for n in (network, whole))
    assert all(np.array_equal(found[name], right[name]) for name in found)
    assert [p.name for p in so.load_network(whole, outputs=["value"]).outputs] == ["value"]


@pytest.mark.parametrize("count", [1, 3])
def test_inputs_are_a_tuple_a_list_or_a_dict(count: int) -> None:
    module, x = module_of("siamese"), example_of("siamese", count)
    left, right = (part.numpy() for part in x)
    for example in (x, list(x), (left, right), {"right": x[1], "left": x[0]}):
        network = so.load_network(module, example=example)
        assert [(p.name, p.shape) for p in network.inputs] == [("left", (5,)), ("right", (5,))]
        same = network.run({"left": left, "right": left})
        assert np.ptp(same) < 1e-6  # equal inputs have distance 0: nothing but the last bias
    assert network.input_shape == (10,)


class Packed(nn.Module):
    """Inputs in a dict, and numbers beside tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(
        self, batch: dict[str, torch.Tensor], scale: float = 1.0, ids: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, Any]:
        rows = None if ids is None else nn.functional.one_hot(ids.long(), 4)
        return self.layer(batch["a"]) + scale * batch["b"][0], rows


def test_inputs_may_be_packed_in_a_dict_and_have_numbers_beside_them() -> None:
    module = Packed().eval()
    batch = {"a": torch.zeros(1, 3), "b": (torch.zeros(1, 2),)}
    weight = module.layer.weight.detach().abs().sum().item()
    bias = module.layer.bias.detach().abs().sum().item()
    for example, scale in (
        (batch, 1.0),
        ((batch,), 1.0),
        ((batch, 0.5), 0.5),
        ({"batch": batch, "scale": 0.5}, 0.5),
    ):
        network = so.load_network(module, example=example)
        assert [port.shape for port in network.inputs] == [(3,), (2,)]
        norm = so.solve(so.PathNorm(network)).answer.value
        assert norm == pytest.approx(weight + bias + 2 * scale, rel=1e-6)


def test_inputs_that_are_not_needed_may_be_anything() -> None:
    module = Packed().eval()
    batch = {"a": torch.zeros(1, 3), "b": (torch.zeros(1, 2),)}
    example = {"batch": batch, "ids": torch.zeros(1)}
    network = so.load_network(module, example=example, outputs="output_0")
    assert [port.shape for port in network.inputs] == [(3,), (2,)]
    with pytest.raises(so.ProblemError, match="outputs= "):
        so.load_network(module, example=example)


def test_a_network_ends_at_a_node_or_a_submodule() -> None:
    module, x = module_of("siamese"), example_of("siamese")
    values = module.body(x[1])[0].detach().numpy()
    for until in ("body@1", "relu_1", "body.1@1"):
        network = so.load_network(module, example=x, until=until)
        assert [port.name for port in network.inputs] == ["right"]
        assert network.run(x[1][0].numpy()) == pytest.approx(values, abs=1e-6)
    assert so.load_network(module, example=x, until="body.0").input_shape == (5,)
    network = so.load_network(module, example=x, until="sub")
    assert network.inputs == so.load_network(module, example=x).inputs
    with pytest.raises(so.ProblemError, match=r"no node 'bodi'; did you mean 'body'"):
        so.load_network(module, example=x, until="bodi")


def test_until_gives_the_value_before_it_is_changed_in_place() -> None:
    class InPlace(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = 2 * x
            return y.relu_().add_(1)

    network = so.load_network(InPlace(), example=torch.zeros(1, 2), until="mul")
    assert network.run([-1.0, 3.0]).tolist() == [-2.0, 6.0]


def test_outputs_are_those_at_the_end_after_changes_in_place() -> None:
    class InPlace(nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            y = 2 * x
            z = y + 1
            y[:, :1].add_(torch.einsum("ij,ij->ij", x[:, 1:], torch.ones(1, 1)))
            return {"y": y, "z": z}

    network = so.load_network(InPlace(), example=torch.zeros(1, 2))
    assert network.run([1.0, 5.0]).tolist() == [7.0, 10.0, 3.0, 11.0]
    for name, right in (("y", [7.0, 10.0]), ("z", [3.0, 11.0])):
        part = so.load_network(InPlace(), example=torch.zeros(1, 2), outputs=name)
        assert part.run([1.0, 5.0]).tolist() == right
    part = so.load_network(InPlace(), example={"x": torch.zeros(1, 2)}, outputs=["y"])
    assert part.run([1.0, 5.0]).tolist() == [7.0, 10.0]


def test_a_leading_size_that_is_no_batch_belongs_to_the_sample(tmp_path: Path) -> None:
    class Mixed(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return x.sum(0), (x.flip(0) + y).relu()

    x = (torch.zeros(4, 3), torch.zeros(4, 3))
    program = torch.export.export(Mixed(), x)
    torch.export.save(program, tmp_path / "mixed.pt2")
    for source in (Mixed(), program, tmp_path / "mixed.pt2"):
        network = so.load_network(source, example=x if isinstance(source, Mixed) else None)
        assert [port.shape for port in network.outputs] == [(3,), (4, 3)]


def test_tools_keep_the_function_and_the_names() -> None:
    for name in ("p-net", "actor-critic"):
        module, x = module_of(name), example_of(name)
        network = so.load_network(module, example=x)
        point = np.random.default_rng(1).standard_normal((3, *network.input_shape))
        other = so.canonicalize(network)
        assert (other.inputs, other.outputs) == (network.inputs, network.outputs)
        assert other.run(point) == pytest.approx(network.run(point), abs=1e-6)
        before = [v.clone() for v in torch.utils._pytree.tree_leaves(module(*x))]
        so.canonicalize(module, example=x)
        after = torch.utils._pytree.tree_leaves(module(*x))
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(before, after, strict=True))
        assert so.prune(module, 0.5, example=x)
        again = so.from_json(so.to_json(so.solve(so.PathNorm(network))))
        assert so.verify(again).ok
        assert again.problem.network.outputs == network.outputs


def test_refusals_name_the_node_to_end_at() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(nn.functional.silu(self.first(x)))

    x = torch.zeros(1, 3)
    with pytest.raises(so.ProblemError, match=r"SiLU.*until='linear' \(--until") as caught:
        so.load_network(Gated(), example=x)
    assert "is refused" in str(caught.value)
    assert so.load_network(Gated(), example=x, until="linear").output_shape == (4,)
    with pytest.raises(so.ProblemError, match="reads the input as it is"):
        so.load_network(nn.SiLU(), example=x)


@pytest.mark.parametrize("name", list(CASES))
def test_programs_and_their_files_read_as_the_module(name: str, tmp_path: Path) -> None:
    module, x = module_of(name), example_of(name)
    program = torch.export.export(module, x)
    torch.export.save(program, tmp_path / "net.pt2")
    right = so.load_network(module, example=x)
    for source in (program, tmp_path / "net.pt2"):
        network = so.load_network(source)
        assert (network.inputs, network.outputs) == (right.inputs, right.outputs)
        point = np.random.default_rng(0).standard_normal(right.input_shape)
        assert np.array_equal(network.run(point), right.run(point))
        last = right.outputs[-1]
        part = so.load_network(source, outputs=last.name)
        assert part.outputs == (last,)
        if len(right.outputs) > 1:
            joined = right.by_output(right.run(point))[last.name]
            assert np.array_equal(part.run(point), joined)


def test_a_fixed_batch_of_several_outputs(tmp_path: Path) -> None:
    module, x = module_of("actor-critic"), example_of("actor-critic", 3)
    program = torch.export.export(module, x)
    torch.export.save(program, tmp_path / "net.pt2")
    right = so.load_network(module, example=x)
    for source in (program, tmp_path / "net.pt2"):
        network = so.load_network(source)
        assert [p.name for p in network.outputs] == [p.name for p in right.outputs]
        assert network.outputs[0].shape == (2,)
        assert any("batch of 3" in note for note in network.notes)


def test_the_command_line_reads_parts(tmp_path: Path) -> None:
    x = example_of("siamese")
    height = torch.export.Dim("n", min=2, max=8)
    shapes = {"left": {1: height}, "right": {1: height}}

    class Free(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return torch.relu(left) - right, torch.nn.functional.silu(left)

    path = tmp_path / "free.pt2"
    torch.export.save(torch.export.export(Free(), x, dynamic_shapes=shapes), path)

    def analyze(*more: str) -> dict[str, Any]:
        done = CliRunner().invoke(app, ["analyze", str(path), "--json", *more])
        if isinstance(
            done.exception, so.ProblemError
        ):  # of which the entry point makes exit code 2
            return {"error": str(done.exception)}
        return json.loads(done.stdout)

    shape = ("--shape", "left=1,4", "--shape", "right=1,4")
    assert "(8,) -> (4,)" in analyze(*shape, "--output", "output_0")["subject"]
    assert "(4,) -> (4,)" in analyze(*shape, "--until", "relu")["subject"]
    for options, words in (
        ((), "--shape left="),
        (shape, "SiLU"),
        (("--shape", "1,x"), "--shape takes NAME="),
        (("--shape", "left=1,4", "--shape", "left=1,4"), "twice"),
        (("--shape", "1,4", "--shape", "left=1,4"), "without a name"),
        (("--shape", "middle=1,4"), "no input 'middle'"),
        ((*shape, "--output", "none"), "its outputs are output_0"),
        ((*shape, "--until", "x", "--output", "y"), "not both"),
    ):
        assert words in analyze(*options)["error"]
