"""PyTorch operators at the end of a network, which are left out."""

from __future__ import annotations

from sparseopt.tools.reading.values import Value
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import Rule, TorchGraph


def head(graph: TorchGraph, call: Call) -> Value:
    """softmax, log_softmax, sigmoid and tanh at the end of the network: left out, with a note."""
    x = graph.value(call["self"])
    for name in ("dim", "half_to_float"):  # whatever it is normalized along, it is left out
        call.get(name)
    kind = str(call.node.target).split(".")[1].lstrip("_")
    graph.builder.note(f"the head {call.name!r} ({kind}) was stripped; outputs are its inputs")
    graph.heads.add(call.node.name)
    return Value(x.name, x.shape, kind)


HEADS: dict[str, Rule] = {
    "aten.softmax.int": head,
    "aten._softmax": head,
    "aten.log_softmax.int": head,
    "aten._log_softmax": head,
    "aten.sigmoid": head,
    "aten.tanh": head,
}
