"""Networks as PyTorch modules, layer by layer, under the names of the tensors they came from."""

from __future__ import annotations

import keyword
import re
from typing import Any

import numpy as np
import torch
from torch import fx, nn

import sparseopt as so
from sparseopt.interface.printing import short
from sparseopt.networks.node import Node
from sparseopt.tools.reading.agreement import require_digits
from sparseopt.tools.reading.budget import is_comparable
from sparseopt_torch.layer_calls import call

_PATH = re.compile(r"\w+(\.\w+)*")
_PLAIN = nn.Module()


class ModuleBuilder:
    """A module under construction: its parts by name, and the graph of its calls.

    Parameters
    ----------
    network : Network
    dtype : torch.dtype
        Of all parameters.
    """

    def __init__(self, network: so.Network, dtype: torch.dtype) -> None:
        self.network = network
        self.dtype = dtype
        self.graph = fx.Graph()
        self.root = nn.Module()
        self._paths = self._module_paths()
        self._shared: dict[tuple[str, tuple[int, ...]], nn.Parameter] = {}

    def build(self) -> fx.GraphModule:
        """Return the module; it takes (n, *input_shape)."""
        network = self.network
        first = self.graph.placeholder("x")

        def visit(node: Node, values: list[fx.Node]) -> fx.Node:
            return call(node.op, self, node, values)

        self.graph.output(network.walk(first, visit))
        self.graph.lint()
        made = fx.GraphModule(self.root, self.graph, class_name="Network")
        made.eval()
        return made

    def shape(self, node: Node) -> tuple[int, ...]:
        """Return the shape of what a node reads first."""
        return self.network.shapes[node.inputs[0]]

    def function(self, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        """Return the value of a function."""
        return self.graph.call_function(target, args, kwargs)

    def layer(self, node: Node, made: nn.Module, value: fx.Node) -> fx.Node:
        """Return the value of a layer with weight and bias, which gets those of the node."""
        for field, array in node.op.parameters().items():
            made._parameters[field] = self._parameter(node, field, array)
        self._put(self._paths[node.name], made)
        return self.graph.call_module(self._paths[node.name], (value,))

    def tensor(self, node: Node, field: str, array: np.ndarray, trained: bool = False) -> fx.Node:
        """Return a constant, or parameter, of a node."""
        path = self._paths[node.name]
        owner = self._put(path, nn.Module())
        if trained:
            owner.register_parameter(field, self._parameter(node, field, array))
        else:
            owner.register_buffer(field, self._tensor(array))
        return self.graph.get_attr(f"{path}.{field}")

    def _put(self, path: str, made: nn.Module) -> nn.Module:
        """Put a module in its place, unless there is one; return what stands there."""
        owner = self.root
        *parts, leaf = path.split(".")
        for part in parts:
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        if leaf not in owner._modules:
            owner.add_module(leaf, made)
        return owner.get_submodule(leaf)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        if array.dtype.kind in "ib":
            return torch.from_numpy(np.array(array, dtype=np.int64))
        with np.errstate(over="ignore"):
            wide = torch.from_numpy(np.array(array, dtype=np.float64)).to(self.dtype)
        if not torch.isfinite(wide).all():
            raise so.ProblemError(
                f"a parameter leaves the range of {self.dtype}; pass dtype='float64'"
            )
        return wide

    def _parameter(self, node: Node, field: str, array: np.ndarray) -> nn.Parameter:
        """Return a parameter; nodes that share a tensor of the source share it."""
        tensor = node.origin.get(field)
        if tensor is None or tensor not in self.network.tied or node.layouts.get(field) is not None:
            return nn.Parameter(self._tensor(array))
        key, own = (tensor, array.shape), self._tensor(array)
        shared = self._shared.setdefault(key, nn.Parameter(own))
        # Values that have been changed at one of the nodes are its own now.
        return shared if torch.equal(shared, own) else nn.Parameter(own)

    def _module_paths(self) -> dict[str, str]:
        """Return for each node the place of its module: that of its weight, if it has one.

        Others get their own names, with what no name of Python may have replaced.
        """
        wanted = {node.name: _path_of(node) for node in self.network.nodes}
        counts: dict[str, int] = {}
        for path in wanted.values():
            counts[path] = counts.get(path, 0) + 1
        used = {p for p in wanted.values() if p}
        inner = {".".join(p.split(".")[:i]) for p in used for i in range(1, p.count(".") + 1)}
        kept = {n: p for n, p in wanted.items() if p and counts[p] == 1 and p not in inner}
        taken = {*inner, *kept.values()}
        for node in self.network.nodes:
            if node.name in kept:
                continue
            name = re.sub(r"\W", "_", node.name, flags=re.ASCII) or "layer"
            name = f"{name}_" if _is_reserved(name) else name
            unique, count = name, 1
            while unique in taken:
                count += 1
                unique = f"{name}_{count}"
            taken.add(unique)
            kept[node.name] = unique
        return kept


def _is_reserved(name: str) -> bool:
    """Whether modules or the code of their calls have another use for a name."""
    return hasattr(_PLAIN, name) or keyword.iskeyword(name) or name == "self"


def _path_of(node: Node) -> str:
    """Return the module that the node's tensors are of by name; empty if they are of none."""
    weight, bias = node.origin.get("weight", ""), node.origin.get("bias")
    path, _, leaf = weight.rpartition(".")
    if leaf != "weight" or not _PATH.fullmatch(path) or node.layouts:
        return ""
    if any(map(_is_reserved, path.split("."))):
        return ""
    return path if bias in (None, f"{path}.bias") else ""


def to_module(network: so.Network, dtype: str | None = None) -> fx.GraphModule:
    """Return the network as a module; see `Network.to_torch`."""
    known = {"float32": torch.float32, "float64": torch.float64}
    if dtype is not None and dtype not in known:
        raise so.ProblemError(f"dtype must be float32 or float64, got {short(dtype)}")
    chosen = dtype or _narrowest(network)
    if chosen == "float32" and is_comparable(network):
        require_digits(network)
    return ModuleBuilder(network, known[chosen]).build()


def _narrowest(network: so.Network) -> str:
    narrow = any(a.dtype == np.float32 for a in network.parameters().values())
    return "float32" if narrow else "float64"
