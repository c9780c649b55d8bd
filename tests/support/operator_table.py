"""The table of operators that readers of networks know, as `docs/operators.md` shows it.

After a change of a rule: ``python tests/support/operator_table.py`` writes the page anew.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"

HEAD = """# Operators that are read

Which operators of ONNX and PyTorch `so.load_network` reads, made from the rules of the readers by
`python tests/support/operator_table.py`; a test keeps it true. Operators that are not named here
are refused, with the node's name and `until=`, the node before it, up to which the network can be
read (`--until` on the command line). What depends on no input is computed, whatever operator it is
that the reader of the file allows.

Softmax, log-softmax, sigmoid and tanh are left out at the end of a network, with a note; in the
middle they are refused. Of an If whose condition is constant, the branch that it takes is read.
float16 and bfloat16 are read as the real numbers they are. Whatever is read is compared with
onnxruntime or PyTorch on random inputs.
"""


def page() -> str:
    """Return the page."""
    from sparseopt_onnx import reader as onnx_reader
    from sparseopt_torch import conversion

    parts = [
        HEAD,
        "## ONNX\n",
        rules(onnx_reader.OPERATORS, str),
        "Refused, with the reason:\n",
        reasons(onnx_reader.REASONS, str),
        "## PyTorch\n",
        "Operators of programs that `torch.export` makes; others that PyTorch defines by these "
        "(`einsum`, for one) are read by their definitions.\n",
        rules(conversion.OPERATORS, short),
        "Refused, with the reason:\n",
        reasons(conversion.REASONS, short),
    ]
    return "\n".join(parts)


def short(name: str) -> str:
    return name.removeprefix("aten.")


def rules(table: Mapping[str, Any], shown: Callable[[str], str]) -> str:
    """Return a table with a row for each rule: the operators that it reads, and its docstring."""
    by_rule: dict[Any, list[str]] = {}
    for name, rule in table.items():
        by_rule.setdefault(rule, []).append(name)
    rows = []
    for rule, names in by_rule.items():
        said = " ".join((inspect.getdoc(rule) or "").partition("\n\n")[0].split())
        rows.append((", ".join(f"`{shown(n)}`" for n in names), said))
    rows.sort(key=lambda row: row[0].lower())
    lines = [f"| {names} | {said} |" for names, said in rows]
    return "\n".join(["| operators | what is read |", "| --- | --- |", *lines]) + "\n"


def reasons(table: Mapping[str, str], shown: Callable[[str], str]) -> str:
    """Return a table of operators that are refused."""
    rows = sorted((shown(name), said) for name, said in table.items())
    lines = [f"| `{name}` | {said} |" for name, said in rows]
    return "\n".join(["| operator | reason |", "| --- | --- |", *lines]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
