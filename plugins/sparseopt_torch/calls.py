"""One call of an operator in an exported program."""

from __future__ import annotations

from typing import Any

import torch

import sparseopt as so
from sparseopt.interface.printing import printable


def overload(node: torch.fx.Node) -> str:
    """Return the name of the operator that a node calls, such as ``"aten.add.Tensor"``."""
    return str(node.target)


def packet(node: torch.fx.Node) -> str:
    """Return the operator's name without its overload, such as ``"aten.add"``."""
    return ".".join(str(node.target).split(".")[:2])


def schema_of(node: torch.fx.Node) -> Any:
    """Return the schema of the operator, or None for Python functions."""
    return getattr(node.target, "_schema", None)


def module_of(node: torch.fx.Node) -> tuple[str, str]:
    """Return path and class of the innermost submodule that a node came from, or two ""."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return "", ""
    path, kind = stack[-1]
    return str(path), kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


# Arguments that change where or how a result is kept, or what training would do, but no value.
_WITHOUT_EFFECT = frozenset(
    {
        *("memory_format", "layout", "device", "pin_memory", "non_blocking", "copy"),
        *("momentum", "cudnn_enabled", "generator", "implicit"),
    }
)

_FLOATS = (torch.float32, torch.float64)


class Call:
    """One call of an operator, with its arguments by name and defaults filled in.

    It remembers what a rule asked for: an argument that no rule looks at would be read as if it
    were not there.

    Parameters
    ----------
    node : torch.fx.Node
    arguments : dict
        All arguments, with defaults.
    given : set of str
        Names of those that differ from their default.
    """

    def __init__(self, node: torch.fx.Node, arguments: dict[str, Any], given: set[str]) -> None:
        self.node = node
        self.arguments = arguments
        self._unread = given - _WITHOUT_EFFECT

    @property
    def name(self) -> str:
        """Name for the layers made from the node: its module in torch.nn, or the node itself."""
        path, kind = module_of(self.node)
        return path if path and kind.startswith("torch.nn.modules.") else self.node.name

    @property
    def largest(self) -> float:
        """The largest number of the dtype of the result, float32 at least."""
        return torch.finfo(torch.promote_types(self.node.meta["val"].dtype, torch.float32)).max

    def __getitem__(self, key: str) -> Any:
        self._unread.discard(key)
        return self.arguments[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return an argument, or `default` where the operator has none of this name."""
        self._unread.discard(key)
        return self.arguments.get(key, default)

    def all_arguments(self) -> dict[str, Any]:
        """Return all arguments, for rules that hand every one to the operator itself."""
        self._unread.clear()
        return self.arguments

    def require_all_read(self) -> None:
        """Refuse arguments that no rule has asked for, but for dtypes.

        The network is computed as floats, and a dtype that the first input has is not a new one.
        """
        read = (node.meta.get("val") for node in self.node.all_input_nodes[:1])
        known = (*_FLOATS, *(value.dtype for value in read if torch.is_tensor(value)))
        for name in sorted(self._unread):
            value = self.arguments[name]
            if value not in known:
                raise so.ProblemError(f"its argument {name}={printable(value)} is not supported")
