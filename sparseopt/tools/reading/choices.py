"""Which part of a model is read: some of its outputs, or all up to a node; and what errors say."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable

Outputs = str | int | Sequence[str | int] | None
"""Outputs of a model, by name or by place; None for all."""
Weights = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""Files of safetensors, or the one index of several."""


def require_one_choice(outputs: Any, until: Any) -> None:
    """Refuse a choice of outputs and of a last node together, and choices of another kind."""
    if outputs is not None and until is not None:
        raise ProblemError("give outputs= or until=, not both: until= makes the node the output")
    if until is not None and not isinstance(until, str):
        raise ProblemError(f"until is {printable(until, 80)}; give the name of a node")


def chosen(names: Sequence[str], outputs: Outputs, source: str) -> list[int]:
    """Return the places of the outputs that are asked for, all for None.

    Raises
    ------
    ProblemError
        For a name or place that is none of an output, and for one that is asked for twice.
    """
    if outputs is None:
        return list(range(len(names)))
    several = isinstance(outputs, Iterable) and not isinstance(outputs, str)
    asked: list[Any] = list(outputs) if several else [outputs]  # type: ignore[arg-type]
    if not asked:
        raise ProblemError("outputs is empty; name at least one output")
    places = [_place(names, item, source) for item in asked]
    if len(set(places)) != len(places):
        raise ProblemError(f"outputs {printable(asked, 200)} name one output twice")
    return places


def _place(names: Sequence[str], item: Any, source: str) -> int:
    if isinstance(item, str) and item in names:
        return names.index(item)
    if isinstance(item, int) and not isinstance(item, bool) and 0 <= item < len(names):
        return item
    raise ProblemError(
        f"{source} has no output {printable(item, 80)!r}; {listed('outputs', names)}"
    )


def listed(what: str, names: Iterable[str], most: int = 8) -> str:
    """Return ``"its outputs are a, b"``, or how many there are and the first of them."""
    known = list(names)
    shown = ", ".join(printable(name, 80) for name in known[:most])
    more = ", ..." if len(known) > most else ""
    return f"its {what} are {shown}{more}" if known else f"it has no {what}"


def unknown_node(name: str, known: Sequence[str], source: str) -> ProblemError:
    """Return the error for a node that does not exist."""
    near = get_close_matches(name, known, 4) or [n for n in known if name in n][:4]
    hint = f"did you mean {', '.join(map(repr, near))}?" if near else listed("nodes", known)
    return ProblemError(f"{source} has no node {printable(name, 80)!r}; {hint}")


def cut_before(nodes: Sequence[str], outputs: int = 1) -> str:
    """Return what helps where an operator is refused that reads the results of these nodes."""
    ways = []
    if nodes:
        ways.append(
            "the network can be read up to the node before it, by "
            f"until={printable(nodes[0], 200)!r} (--until on the command line)"
        )
    if outputs > 1:
        ways.append("outputs that do not need it can be read by outputs= (--output)")
    if not ways:
        return "; it reads the input as it is, so no part of the network before it is left"
    return "".join(f"; {way}" for way in ways)


def integer_input(name: str, dtype: str) -> ProblemError:
    """Return the error for an input that holds no real numbers."""
    which = f"the input {printable(name, 80)!r}" if name else "an input"
    whole = "int" in dtype.lower()
    why = "; integers, such as those that pick rows of an embedding, do not vary by little"
    return ProblemError(
        f"{which} has dtype {dtype}, and a ReLU network takes tensors of floats"
        f"{why if whole else ''}: read the part behind it on its own, or outputs that do not need "
        "this input, by outputs= (--output on the command line)"
    )


def by_input(example: Any, names: Sequence[str], source: str) -> dict[str, Any]:
    """Return the example of each input that is given: all in order, some by name, or the only one.

    Examples are arrays and tensors; a tuple or list of such is one for each input.
    """
    if example is None:
        return {}
    if isinstance(example, Mapping):
        for name in example:
            if name not in names:
                raise ProblemError(
                    f"{source} has no input {printable(name, 80)!r}; {listed('inputs', names)}"
                )
        return dict(example)
    several = isinstance(example, tuple | list) and any(hasattr(e, "shape") for e in example)
    if not several or (len(names) == 1 and len(example) > 1):
        example = (example,)
    if len(example) != len(names):
        raise ProblemError(
            f"{source} takes {len(names)} inputs ({', '.join(printable(n, 80) for n in names)}), "
            f"and the example holds {len(example)}; give a tuple of all, or a dict by name"
        )
    return dict(zip(names, example, strict=True))


def shape_help(name: str) -> str:
    """Return what settles the open shape of an input."""
    return (
        "pass example=, an input of the right shape "
        f"(--shape {printable(name, 80)}=1,3,64,64 on the command line)"
    )
