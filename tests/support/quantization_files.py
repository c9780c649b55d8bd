"""Files of products of two vectors that hold what no problem and no answer does, and some that do.

The name of each forged one is the sentence of the line that stops it, then " | " and what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sparseopt as so

Pairs = Iterator[tuple[str, Any]]


def edited(body: dict[str, Any], place: str, **fields: Any) -> str:
    """Return a file with other fields of its problem or of its answer."""
    return json.dumps({**body, place: {**body[place], **fields}})


def array(dtype: str, *values: float) -> dict[str, Any]:
    """Return a vector as a file holds it; of a complex one the parts, in turn."""
    size = len(values) // (2 if "c" in dtype else 1)
    return {"$array": {"dtype": dtype, "shape": [size], "values": list(values)}}


def halves(form: Any, **fields: Any) -> dict[str, Any]:
    """Return the file of an exact answer: a product of halves, which every format holds."""
    problem = so.RankOneQuantization([0.5, 1.0, 2.0], [1.0, 0.5], form, 3, **fields)
    answer = so.RankOneTerm(problem.x, problem.y)
    body: dict[str, Any] = json.loads(so.to_json(so.RankOneCertificate.build(problem, answer)))
    return body


def forged_files() -> Pairs:
    """Yield files whose problem or answer is none."""
    short, free = halves(24), halves(so.NumberFormat("int8", "free"))
    yield (
        "scale_u must be a positive number | zero",
        edited(free, "answer", scale_u=0.0, u=array("<f8", 0.0, 0.0, 0.0)),
    )
    for name, value in (("true", True), ("a fraction", {"$fraction": "4/1"}), ("a float", 4.0)):
        line = "format_x must be a NumberFormat, its name, a number of digits or None"
        yield f"{line} | {name}", edited(short, "problem", format_x=value)
    digits = {"$type": "sparseopt:NumberFormat", "name": "F25", "scale": None}
    for dtype, values in (("<f4", (0.5, 1.0, 2.0)), ("<c8", (0.5, 0.0, 1.0, 0.0, 2.0, 0.0))):
        long = edited(short, "problem", x=array(dtype, *values), format_x=digits)
        yield f"which has 24 digits, and its format asks for 25 | {dtype}", long
    weighted = halves(24, weights_x=[1.0, 0.0, 3.0])
    for name, values in (("one less", (1.0, 2.0)), ("one more", (1.0, 1.0, 1.0, 1.0))):
        line = f"weights_x has {len(values)} entries, the vector has 3"
        yield f"{line} | {name}", edited(weighted, "problem", weights_x=array("<f8", *values))
    line = "weights_x must not be negative, entry 2 is -1.0"
    less = array("<f8", 0.0, 1.0, -1.0)
    yield f"{line} | after a zero", edited(weighted, "problem", weights_x=less)


def honest_files() -> Pairs:
    """Yield files in which formats and vectors are given in other ways."""
    short = halves(24)
    yield "a number of digits for a format", edited(short, "problem", format_x=24)
    yield "a name for a format", edited(short, "problem", format_x="F24")
    single = array("<f4", 0.5, 1.0, 2.0)
    yield "single precision of as many digits", edited(short, "problem", x=single)
    yield "single precision, left as it is", edited(halves(None), "problem", x=single)
