"""Compares a loaded network with the module, or the exported program, that it came from."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.tools.reading.agreement import is_small, require_agreement
from sparseopt.tools.reading.budget import is_comparable
from sparseopt_torch.example_inputs import Inputs
from sparseopt_torch.graph import TorchGraph
from sparseopt_torch.module_refusals import HALVES

_NAME = "the module as PyTorch computes it"


@dataclass(frozen=True, eq=False)
class Answer:
    """What a module makes of random inputs.

    Parameters
    ----------
    samples : list of torch.Tensor
        In the order in which an exported program takes them.
    outputs : list of torch.Tensor
    kind : str
        Name of the module's class.
    """

    samples: list[torch.Tensor]
    outputs: list[torch.Tensor]
    kind: str


def ask(module: torch.nn.Module, like: Inputs) -> Answer:
    """Run a module on random inputs of the shapes of `like`; what it writes is restored."""
    generator = torch.Generator().manual_seed(1)
    inputs = like.mapped(lambda t: random_like(t, generator))
    with torch.no_grad(), unchanged_buffers(module):
        outputs = pytree.tree_leaves(inputs.mapped(torch.clone).call(module))
        tensors = [v.clone() for v in outputs if torch.is_tensor(v)]
    return Answer(inputs.tensors, tensors, type(module).__name__)


def random_like(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return random numbers in the shape of a tensor; integers stay as they are."""
    if not tensor.is_floating_point():
        return tensor
    return torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype).to(tensor.device)


@contextmanager
def unchanged_buffers(module: torch.nn.Module) -> Iterator[None]:
    """Restore what a forward writes to buffers."""
    before = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)


def check_against_torch(graph: TorchGraph, network: so.Network) -> list[str]:
    """Raise `ProblemError` if network and program disagree on random input.

    The network is compared with the program without its heads: in float64 where the program is
    small and runs in it, else as it is. What could not be compared is returned in words.
    """
    if not is_comparable(network):
        return [f"not compared with PyTorch: the network has {network.edge_count} edges"]
    if not graph.may_run():
        return ["not compared with PyTorch: it holds operators that files may not run"]
    program = _Program(graph)
    native = program.dtype == torch.float64
    orders = [False] if native else [True, False] if is_small(network) else [False, True]
    if program.rounds:  # whose own results are too rough to be compared with
        orders = [True]
    for wide in orders:
        if program.runs(wide) and require_agreement(
            network,
            lambda x, wide=wide: program.value(x, wide),  # type: ignore[misc]
            np.float64 if wide or native else np.float32,
            "the module as PyTorch computes it",
            copies=graph.fixed_batch,
            folded=(graph.folded and not native) or program.narrows,
        ):
            return []
    if program.rounds:
        return ["not compared with PyTorch, which computes it in half precision only"]
    return ["not compared with PyTorch, whose values on random input leave the range of floats"]


class _Program:
    """An exported program without its heads, that is run as it is or in float64."""

    def __init__(self, graph: TorchGraph) -> None:
        program = graph.program
        self._graph = graph
        self._specs = program.graph_signature.input_specs
        self._held = {**program.state_dict, **program.constants}
        floats = [t for t in self._held.values() if _is_float(t)]
        self._device = floats[0].device if floats else torch.device("cpu")
        self._dtypes = {
            n.name: n.meta["val"].dtype
            for n in program.graph.nodes
            if n.op == "placeholder" and n.name in graph.shapes
        }
        self.dtype = self._dtypes[graph.used[0]]
        self.rounds = any(
            getattr(leaf, "dtype", None) in HALVES
            for node in program.graph.nodes
            for leaf in pytree.tree_leaves(node.meta.get("val"))
        )
        self.narrows = any(
            _dtypes(node) == {torch.float32}
            and any(torch.float64 in _dtypes(n) for n in node.all_input_nodes)
            for node in program.graph.nodes
        )

    def runs(self, wide: bool) -> bool:
        """Whether the program runs as it is, or in float64 throughout if that is asked."""
        if not wide:
            return True
        if any("nearest" in str(n.target) for n in self._graph.program.graph.nodes):
            return False  # in float64 it copies other cells
        count = sum(math.prod(self._graph.shapes[name]) for name in self._graph.used)
        zeros = np.zeros((self._graph.fixed_batch, count))
        try:
            return all(row.dtype == torch.float64 for row in self._rows(zeros, wide=True))
        except Exception:  # operators that insist on float32, whatever they raise
            return False

    def value(self, x: np.ndarray, wide: bool) -> np.ndarray:
        """Return the values that the network's output stands for, a row for each sample of the
        batch."""
        return np.asarray(torch.cat(self._rows(x, wide), dim=1))

    def _rows(self, x: np.ndarray, wide: bool) -> list[torch.Tensor]:
        """Return each output, a row for each sample."""
        samples = torch.from_numpy(np.ascontiguousarray(x)).reshape(self._graph.fixed_batch, -1)
        results = self.run(self._parts(samples), wide)
        chosen = [results[i] for i in self._graph.user_outputs()]
        tensors = [v for v in chosen if torch.is_tensor(v)]
        copies = self._graph.fixed_batch
        if any(tensors[i].numel() % copies for i in self._graph.read):
            raise so.ProblemError(f"the samples of a batch of {copies} are mixed")
        return [tensors[i].detach().cpu().reshape(copies, -1) for i in self._graph.read]

    def _parts(self, samples: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the inputs, of which the rows of `samples` are the entries, one after the other,
        for the whole batch."""
        found, start, batch = {}, 0, len(samples)
        for name, shape in self._graph.shapes.items():
            whole = (batch * shape[0], *shape[1:]) if shape else shape
            if name in self._graph.used:
                count = math.prod(shape)
                own = samples[:, start : start + count]
                found[name] = (own if shape else own[0]).reshape(whole)
                start += count
            else:
                found[name] = torch.zeros(whole)
        return found

    def run(self, samples: Mapping[str, torch.Tensor], wide: bool) -> list[Any]:
        """Return all results for the samples of a batch."""
        inputs: list[Any] = []
        kinds = torch.export.graph_signature.InputKind
        for spec in self._specs:
            name = spec.arg.name
            if spec.kind != kinds.USER_INPUT:
                inputs.append(self._tensor(spec, wide))
            elif name not in samples:
                inputs.append(getattr(spec.arg, "value", None))
            else:
                kind = self._dtypes[name]
                kind = torch.float64 if wide and kind.is_floating_point else kind
                sample = samples[name].to(device=self._device, dtype=kind)
                inputs.append(sample.clone())
        return run_program(self._graph.program, inputs, self._graph.heads)

    def _tensor(self, spec: Any, wide: bool) -> Any:
        held = self._held[spec.target]
        if not torch.is_tensor(held):
            return held
        if wide and _is_float(held):
            return held.detach().to(torch.float64)
        # Programs may write to their buffers.
        kinds = torch.export.graph_signature.InputKind
        return held.detach() if spec.kind == kinds.PARAMETER else held.detach().clone()


def _dtypes(node: Any) -> set[torch.dtype]:
    """Return the dtypes of what a node of a program gives."""
    leaves = pytree.tree_leaves(node.meta.get("val"))
    return {leaf.dtype for leaf in leaves if torch.is_tensor(leaf)}


def _is_float(value: Any) -> bool:
    return bool(torch.is_tensor(value) and value.is_floating_point())


def run_program(
    program: torch.export.ExportedProgram, inputs: list[Any], heads: Collection[str] = ()
) -> list[Any]:
    """Return the results of a program on all that it takes, `heads` handing on their inputs."""
    try:
        with torch.no_grad():
            runner = _Headless(program.graph_module, heads)
            return list(pytree.tree_leaves(runner.run(*inputs), is_leaf=_is_none))
    except Exception as error:  # a file may hold weights that its operators do not take
        what = printable(str(error).partition("\n")[0], 200)  # then follows where in C++
        raise so.ProblemError(f"PyTorch cannot run this program: {what}") from error


def _is_none(value: Any) -> bool:
    return value is None


class _Headless(torch.fx.Interpreter):
    """Runs a program in which some nodes hand on the value that they read."""

    def __init__(self, module: torch.fx.GraphModule, heads: Collection[str]) -> None:
        super().__init__(module)
        self._heads = heads

    def run_node(self, n: torch.fx.Node) -> Any:
        """Run a node, unless it is a head."""
        if n.name not in self._heads:
            return super().run_node(n)
        read = self.env[n.all_input_nodes[0]]
        return read.clone()  # as later nodes may write to what it read


def require_same(program: torch.export.ExportedProgram, answer: Answer) -> None:
    """Refuse modules that compute something other than what was exported of them."""
    kinds = torch.export.graph_signature
    held = {**program.state_dict, **program.constants}
    samples = iter(answer.samples)
    inputs: list[Any] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind != kinds.InputKind.USER_INPUT:
            value = held[spec.target]
            plain = spec.kind == kinds.InputKind.PARAMETER or not torch.is_tensor(value)
            inputs.append(value if plain else value.detach().clone())
        elif isinstance(spec.arg, kinds.TensorArgument):
            inputs.append(next(samples).clone())
        else:
            inputs.append(getattr(spec.arg, "value", None))
    specs = program.graph_signature.output_specs
    outputs = zip(specs, run_program(program, inputs), strict=False)
    exported = [
        v for spec, v in outputs if spec.kind == kinds.OutputKind.USER_OUTPUT and torch.is_tensor(v)
    ]
    same = len(answer.outputs) == len(exported) and all(
        a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True)
        for a, b in zip(answer.outputs, exported, strict=True)
    )
    if not same:
        raise so.ProblemError(
            f"{answer.kind} computes something other than what torch.export made of it: its "
            "forward uses randomness, or depends on more than its input"
        )
