"""Compares a loaded network with the module, or the exported program, that it came from."""

from __future__ import annotations

from collections.abc import Iterator
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
from sparseopt_torch.graph import TorchGraph

_NAME = "the module as PyTorch computes it"


@dataclass(frozen=True, eq=False)
class Answer:
    """What a module makes of a random input.

    Parameters
    ----------
    sample : torch.Tensor
    outputs : list of torch.Tensor
    kind : str
        Name of the module's class.
    """

    sample: torch.Tensor
    outputs: list[torch.Tensor]
    kind: str


def ask(module: torch.nn.Module, like: torch.Tensor) -> Answer:
    """Run a module on a random input of the shape of `like`; what it writes is restored."""
    generator = torch.Generator().manual_seed(1)
    sample = torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)
    with torch.no_grad(), unchanged_buffers(module):
        outputs = pytree.tree_leaves(module(sample.clone()))
        tensors = [v.clone() for v in outputs if torch.is_tensor(v)]
    return Answer(sample, tensors, type(module).__name__)


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


def check_against_torch(graph: TorchGraph, network: so.Network, answer: Answer | None) -> list[str]:
    """Raise `ProblemError` if network, program and module disagree on random input.

    The network is compared with the program up to a stripped head: in float64 where the program
    is small and runs in it, else as it is; the program with the module's answer as a whole. What
    could not be compared is returned in words.
    """
    if not is_comparable(network):
        return [f"not compared with PyTorch: the network has {network.edge_count} edges"]
    if not graph.may_run():
        return ["not compared with PyTorch: it holds operators that files may not run"]
    program = _Program(graph)
    if answer is not None:
        _require_same(program, answer)
    native = program.dtype == torch.float64
    orders = [False] if native else [True, False] if is_small(network) else [False, True]
    for wide in orders:
        if program.runs(wide) and require_agreement(
            network,
            lambda x, wide=wide: program.value(x, wide),  # type: ignore[misc]
            np.float64 if wide or native else np.float32,
            "the module as PyTorch computes it",
            copies=graph.fixed_batch,
            folded=graph.folded and not native,
        ):
            return []
    return ["not compared with PyTorch, whose values on random input leave the range of floats"]


class _Program:
    """An exported program that is run as it is or in float64, up to one of its nodes."""

    def __init__(self, graph: TorchGraph) -> None:
        program = graph.program
        kinds = torch.export.graph_signature.InputKind
        self._graph = graph
        self._specs = program.graph_signature.input_specs
        self._held = {**program.state_dict, **program.constants}
        self._wanted = graph.head_input or graph.output_name
        floats = [t for t in self._held.values() if _is_float(t)]
        self._device = floats[0].device if floats else torch.device("cpu")
        name = next(s.arg.name for s in self._specs if s.kind == kinds.USER_INPUT)
        places = (n for n in program.graph.nodes if n.op == "placeholder")
        self.dtype = next(n.meta["val"].dtype for n in places if n.name == name)

    def runs(self, wide: bool) -> bool:
        """Whether the program runs as it is, or in float64 throughout if that is asked."""
        if not wide:
            return True
        if any("nearest" in str(n.target) for n in self._graph.program.graph.nodes):
            return False  # in float64 it copies other cells
        try:
            return self.value(np.zeros(self._graph.shape), wide=True).dtype == np.float64
        except Exception:  # operators that insist on float32, whatever they raise
            return False

    def value(self, x: np.ndarray, wide: bool) -> np.ndarray:
        """Return the value that the network's output stands for, for one sample."""
        recorder = _Recorder(self._graph.program.graph_module, self._wanted)
        self.run(torch.from_numpy(np.asarray(x)), wide, recorder)
        return np.asarray(recorder.found.detach().cpu())

    def run(
        self, x: torch.Tensor, wide: bool, runner: torch.fx.Interpreter | None = None
    ) -> list[Any]:
        """Return all outputs for one sample."""
        dtype = torch.float64 if wide else self.dtype
        sample = x.reshape(self._graph.shape).to(device=self._device, dtype=dtype)
        copies = self._graph.fixed_batch
        sample = torch.cat([sample] * copies) if copies > 1 else sample.clone()
        kinds = torch.export.graph_signature.InputKind
        inputs = [
            sample if s.kind == kinds.USER_INPUT else self._tensor(s, wide) for s in self._specs
        ]
        runner = runner or torch.fx.Interpreter(self._graph.program.graph_module)
        try:
            with torch.no_grad():
                return list(pytree.tree_leaves(runner.run(*inputs)))
        except Exception as error:  # a file may hold weights that its operators do not take
            what = printable(str(error).partition("\n")[0], 200)  # then follows where in C++
            raise so.ProblemError(f"PyTorch cannot run this program: {what}") from error

    def _tensor(self, spec: Any, wide: bool) -> Any:
        held = self._held[spec.target]
        if not torch.is_tensor(held):
            return held
        if wide and _is_float(held):
            return held.detach().to(torch.float64)
        # Programs may write to their buffers.
        kinds = torch.export.graph_signature.InputKind
        return held.detach() if spec.kind == kinds.PARAMETER else held.detach().clone()


def _is_float(value: Any) -> bool:
    return bool(torch.is_tensor(value) and value.is_floating_point())


class _Recorder(torch.fx.Interpreter):
    """Runs a program and keeps the value of one node."""

    def __init__(self, module: torch.fx.GraphModule, wanted: str) -> None:
        super().__init__(module)
        self._wanted = wanted
        self.found: Any = None

    def run_node(self, n: torch.fx.Node) -> Any:
        """Run a node, and keep a copy of its value if it is the wanted one."""
        result = super().run_node(n)
        if n.name == self._wanted:
            self.found = result.clone()  # later nodes may write to it
        return result


def _require_same(program: _Program, answer: Answer) -> None:
    """Refuse modules that compute something other than what was exported of them."""
    given = program._graph.user_outputs()
    outputs = program.run(answer.sample, wide=False)
    exported = [v for i, v in enumerate(outputs) if i in given and torch.is_tensor(v)]
    same = len(answer.outputs) == len(exported) and all(
        a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True)
        for a, b in zip(answer.outputs, exported, strict=True)
    )
    if not same:
        raise so.ProblemError(
            f"{answer.kind} computes something other than what torch.export made of it: its "
            "forward "
            "uses randomness, or depends on more than its input"
        )
