"""Attributes of ONNX nodes: known to the operator's schema, and each asked for by its rule.

A rule that does not look at an attribute would read the node as if it were not there. So the
reader refuses nodes with attributes that are left over once the rule has run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx

import sparseopt as so
from sparseopt.interface.printing import printable


class Attributes:
    """The attributes of one node, with a memory of what was asked for.

    Parameters
    ----------
    node : onnx.NodeProto
        Checked by `require_schema` before.
    """

    def __init__(self, node: onnx.NodeProto) -> None:
        self._values = {a.name: _value(a) for a in node.attribute}
        self._unread = set(self._values)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or `default` where the node has none of this name."""
        self._unread.discard(name)
        return self._values.get(name, default)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return an attribute that must be 0 or 1."""
        value = self.get(name, int(default))
        if value not in (0, 1):
            raise so.ProblemError(f"{name} is {value}; only 0 and 1 are supported")
        return bool(value)

    def choice(self, name: str, default: str, allowed: Sequence[str]) -> str:
        """Return an attribute that must be one of some words."""
        value = str(self.get(name, default))
        if value not in allowed:
            raise so.ProblemError(
                f"{name} {printable(value)!r} is not supported; {', '.join(allowed)} are"
            )
        return value

    def sizes(self, name: str, count: int, default: int, least: int) -> list[int]:
        """Return one integer for each of `count` axes, all `default` where there are none."""
        values = [int(n) for n in self.get(name) or [default] * count]
        if len(values) != count or min(values, default=least) < least:
            raise so.ProblemError(
                f"{name} {printable(values)} must be {count} integers of at least {least}"
            )
        return values

    def ignore(self, *names: str) -> None:
        """Say that attributes do not matter to what the network computes."""
        self._unread.difference_update(names)

    def require_all_read(self) -> None:
        """Refuse attributes that no rule has asked for."""
        if self._unread:
            name = min(self._unread)
            raise so.ProblemError(
                f"its attribute {name}={printable(self._values[name])} is not supported"
            )


def _value(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise so.ProblemError(f"its attribute {attribute.name!r} is not a string") from error


def require_schema(node: onnx.NodeProto, opset: int) -> None:
    """Refuse nodes that are not calls of an operator of this set, as the standard defines it."""
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError as error:
        raise so.ProblemError(
            f"operator set {opset} has no operator of this name; export the model again"
        ) from error
    if schema.deprecated:
        raise so.ProblemError(f"operator set {opset} no longer has it; export the model again")
    given = {a.name: a for a in node.attribute}
    if len(given) != len(node.attribute):
        raise so.ProblemError("it has an attribute twice")
    for name, attribute in given.items():
        known = schema.attributes.get(name)
        if known is None:
            raise so.ProblemError(
                f"its attribute {printable(name)!r} is unknown in operator set {opset}"
            )
        if attribute.ref_attr_name or int(attribute.type) != int(known.type.value):
            raise so.ProblemError(
                f"its attribute {name!r} does not have the type that the standard requires"
            )
    missing = [n for n, a in schema.attributes.items() if a.required and n not in given]
    if missing:
        raise so.ProblemError(f"its attribute {missing[0]!r} is missing")
    for what, names, least, most in (
        ("inputs", node.input, schema.min_input, schema.max_input),
        ("outputs", node.output, schema.min_output, schema.max_output),
    ):
        if not least <= len(names) <= most:
            due = f"{least}" if least == most else f"{least} to {most}"
            raise so.ProblemError(f"it has {len(names)} {what}; {due} are expected")
        if any(not name for name in names[:least]):
            raise so.ProblemError(f"one of its {what} that the standard requires is left out")
