"""Files of certificates of sparse regression that must be refused when they are read."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from typing import Any

import numpy as np
from regression_statements import (
    DUAL,
    FEASIBLE,
    GAP,
    PRIMAL,
    Certificate,
    Pairs,
    exactly,
    older,
    problems,
    solved,
    stated,
)

import sparseopt as so


def forms() -> Pairs:
    """Objects whose evidence has another form, with otherwise right figures."""
    loose = so.SparseRegression([[1.0]], [1.0], so.L1(10.0))
    # The square of the sum of three rows has a mixed term that the formula for two lacks.
    yield (
        "or two rows of them | three rows",
        Certificate(
            loose,
            so.Coefficients([0.0]),
            np.array([[1.0], [0.1], [0.1]]),
            0.5 * (1.0 + 1e-15),
            0.489,
            0.0101,
            np.array([0]),
        ),
    )
    first = solved()["l1"]
    short = first.dual_point[:5]
    yield "or two rows of them | too short", dataclasses.replace(first, dual_point=short)
    for value in (math.nan, math.inf):
        point = np.full(6, value)
        yield f"{FEASIBLE} | of {value}", dataclasses.replace(first, dual_point=point)
    tiny = Certificate.build(problems()["small"], np.zeros(9))[1]
    point = np.full(6, 1e300)  # beyond float64 in scaled units
    yield f"{FEASIBLE} | beyond scaling", dataclasses.replace(tiny, dual_point=point)
    free = solved()["no penalty, wide"]
    for value, words in ((math.nan, DUAL), (math.inf, GAP)):
        wild = dataclasses.replace(free, dual_point=np.full(6, value), dual=0.0, gap=0.0)
        yield f"{words} | a point of {value}", wild
    yield (
        "or two rows of them | a column",
        dataclasses.replace(first, dual_point=first.dual_point[:, None]),
    )


def documents() -> Pairs:
    """JSON texts that must be refused when they are read."""
    base = json.loads(so.to_json(solved()["l1"]))
    problem = base["problem"]

    def text(place: str, value: Any, start: Any = base) -> str:
        document = copy.deepcopy(start)
        spot = document
        *path, last = place.split("/")
        for key in path:
            spot = spot[key]
        if value is None:
            del spot[last]
        else:
            spot[last] = value
        return json.dumps(document)

    def array(values: list[Any], dtype: str = "<f8", shape: list[int] | None = None) -> Any:
        return {"$array": {"dtype": dtype, "shape": shape or [len(values)], "values": values}}

    for name in ("primal", "dual", "gap"):
        yield f"{name} must be a number | a text", text(name, "1.0")
        yield f"{name} must be a number | a boolean", text(name, True)
        yield f"which float64 does not hold | {name}, a long number", text(name, 10**400)
    point = base["dual_point"]["$array"]["values"]
    yield (
        "are real where design and target are | a complex dual point",
        text("dual_point", array([v for p in point for v in (p, 1.0)], "<c16", [6])),
    )
    zero = np.flatnonzero(solved()["l1"].answer.x == 0).tolist()
    indices = "undecided must be a vector of indices"
    yield f"{indices} | floats", text("undecided", array([float(zero[0])]))
    yield f"{indices} | a matrix", text("undecided", array([zero[0]], "<i8", [1, 1]))
    yield f"{indices} | from the end", text("undecided", array([zero[0] - 9], "<i8"))
    x = base["answer"]["x"]["$array"]["values"]
    yield (
        "are real where design and target are | complex coefficients",
        text("answer/x", array([v for p in x for v in (p, 1.0)], "<c16", [9])),
    )
    yield "x must be a vector of numbers | a column", text("answer/x", array(x, "<f8", [9, 1]))
    line = stated(so.SparseRegression([[1.0]], [3.0], so.L1(1.0)), [0.0], [0.5], [0])
    strong = stated(so.SparseRegression([[1.0]], [3.0], so.L1(9.0)), [0.0], [3.0], [0])
    for value, words, made in (
        (True, "strength must be a number", line),
        ({"$float": "inf"}, "strength is inf", strong),
        ({"$float": "nan"}, "strength is nan", strong),
        (-1.0, "a penalty cannot be negative", line),
    ):
        start = json.loads(so.to_json(made))
        yield f"{words} | {value}", text("problem/penalty/strength", value, start)
    yield "gap | is missing", text("gap", None)
    yield "unexpected keyword argument | a field too many", text("proof", 1.0)
    yield "penalty must be | another object", text("problem/penalty", base["answer"])
    yield "problem | is missing", text("problem", None)
    design = problem["design"]["$array"]["values"]
    yield "design has dtype float16 | halves", text("problem/design", array(design, "<f2", [6, 9]))
    yield "design is ragged | lists", text("problem/design", [[1.0], [1.0, 2.0]])
    yield (
        "design must be a matrix | a stack",
        text("problem/design", array(design, "<f8", [6, 9, 1])),
    )
    old = text("correlation_norm", 1.0, json.loads(text("primal", {"$float": "nan"})))
    yield f"{PRIMAL} | nan in an older form", old
    first = exactly(solved()["l1"])
    yield f"{PRIMAL} | too low in an older form", older(first, 1.0 - 1e-11, 1.0)
    yield f"{DUAL} | too high in an older form", older(first, 1.0, 1.0 + 1e-11)


def inputs() -> Pairs:
    """JSON of questions that are none, with answers that would pass."""
    base = json.loads(so.to_json(exactly(solved()["l1"])))
    yield from shifted(base)
    yield from lost_in_scaling()
    yield from partitions()
    line = stated(so.SparseRegression([[1.0]], [3.0], so.L1(3.0)), [0.0], [1.0], [0])
    document = json.loads(so.to_json(line))
    for name, shape in (("rows", [0, 1]), ("columns", [1, 0])):
        empty = copy.deepcopy(document)
        size = {"rows": (0, 1), "columns": (1, 0)}[name]
        empty["problem"]["design"]["$array"] = {"dtype": "<f8", "shape": shape, "values": []}
        for place, count in (("problem/target", size[0]), ("dual_point", size[0])):
            *path, last = place.split("/")
            spot = empty
            for key in path:
                spot = spot[key]
            spot[last]["$array"].update(shape=[count], values=[0.0] * count)
        empty["answer"]["x"]["$array"].update(shape=[size[1]], values=[0.0] * size[1])
        count = min(size[1], 1)
        empty["undecided"]["$array"].update(shape=[count], values=[0] * count)
        empty.update(primal=0.0, dual=0.0, gap=0.0)
        yield f"it needs at least one row and one column | no {name}", json.dumps(empty)
    stretched = so.SparseRegression(np.eye(3), np.ones(3), so.L1(3.0))
    document = json.loads(so.to_json(stated(stretched, np.zeros(3), np.ones(3), range(3))))
    document["problem"]["target"]["$array"].update(shape=[1], values=[1.0])
    document.update(primal=0.5 + 1e-15, gap=1e-9)
    yield "but design has 3 rows | one number for all", json.dumps(document)


def lost_in_scaling() -> Pairs:
    """Entries and strengths that vanish beside others, and change what is optimal."""
    row = [math.ldexp(1.0, 498), math.ldexp(1.0, -577), math.ldexp(1.0, -577)]
    made = stated(
        so.SparseRegression([[row[0], 0.0, 0.0]], [0.5], so.L1(0.0)),
        [math.ldexp(1.0, -499), 0.0, 0.0],
        [0.0],
        [1, 2],
    )
    document = json.loads(so.to_json(made))
    document["problem"]["design"]["$array"]["values"] = row
    document["answer"]["x"]["$array"]["values"][1:] = [math.ldexp(1.0, 489)] * 2
    document["undecided"]["$array"].update(shape=[0], values=[])
    document.update(primal=1e-60, gap=1e-60)
    yield "no scaling holds both | entries", json.dumps(document)
    # In scaled units the strength is 1.49 times the smallest number, and 1 after rounding.
    strength, x = math.ldexp(1.49, -961), math.ldexp(1.0, 104)
    design, target = [[2.0**498, 2.0**-491]], [2.0**-387]
    problem = so.SparseRegression(design, target, so.L1(2.0**-930))
    made = stated(problem, [0.0, 0.0], [0.0], [0, 1])
    document = json.loads(so.to_json(made))
    document["problem"]["penalty"]["strength"] = strength
    document["answer"]["x"]["$array"]["values"] = [0.0, x]
    penalty = strength * x
    document.update(primal=penalty / 1.48, gap=penalty / 1.48)
    document["undecided"]["$array"].update(shape=[1], values=[0])
    yield "which no scaling holds together | a strength", json.dumps(document)


def partitions() -> Pairs:
    """Groups and weights that are none."""
    grouped = exactly(solved()["groups"])
    base = json.loads(so.to_json(grouped))
    penalty = base["problem"]["penalty"]

    def with_penalty(**changes: Any) -> str:
        document = copy.deepcopy(base)
        document["problem"]["penalty"].update(changes)
        return json.dumps(document)

    def groups(*parts: list[Any]) -> dict[str, Any]:
        return {"groups": {"$tuple": [{"$array": {"dtype": "<f8", "shape": [len(p)], "values": p}}
                                      for p in parts]}}  # fmt: skip

    assert penalty["groups"]["$tuple"]
    yield (
        "is in groups 0 and 1 | one entry, and another in none",
        with_penalty(**groups([0, 3, 6], [0], [2, 4, 5, 7, 8])),
    )
    yield (
        "the groups miss entry 9 | one too many",
        with_penalty(**groups([0, 3, 6], [1], [2, 4, 5, 7, 8, 10])),
    )
    yield (
        "which is not a column number | half",
        with_penalty(**groups([0, 3, 6], [1.5], [2, 4, 5, 7, 8])),
    )
    yield (
        "which is not a column number | below 0",
        with_penalty(**groups([0, 3, 6], [-8], [2, 4, 5, 7, 8])),
    )
    yield (
        "must be a non-empty list | an empty one",
        with_penalty(**groups([0, 3, 6], [1], [2, 4, 5, 7, 8], [])),
    )
    yield "groups is empty | none", with_penalty(groups={"$tuple": []})
    yield "must be a list of lists | a number", with_penalty(groups=3)
    yield (
        "but the design has 9 columns | eight",
        with_penalty(**groups([0, 3, 6], [1], [2, 4, 5, 7])),
    )

    def weights(values: list[Any], dtype: str = "<f8") -> dict[str, Any]:
        return {"weights": {"$array": {"dtype": dtype, "shape": [len(values)], "values": values}}}

    yield "weights must be 3 numbers | two", with_penalty(**weights([1.0, 0.7]))
    yield "weights must be 3 numbers | four", with_penalty(**weights([1.0, 0.7, 1.9, 1.0]))
    yield "weights must not be negative | one", with_penalty(**weights([-1.0, 0.7, 1.9]))
    yield "weights has an inf | inf", with_penalty(**weights([1.0, 0.7, "inf"]))


def shifted(base: Any) -> Pairs:
    """The same problem in units that leave the range of float64."""
    for power, words in ((520, "the largest entry of target is"), (-520, "the largest entry of")):
        document = copy.deepcopy(base)
        for place, times in (
            ("problem/target", 1), ("dual_point", 1), ("answer/x", 1),
        ):  # fmt: skip
            *path, last = place.split("/")
            spot = document
            for key in path:
                spot = spot[key]
            body = spot[last]["$array"]
            body["values"] = [math.ldexp(v, times * power) for v in body["values"]]
        strength = document["problem"]["penalty"]["strength"]
        document["problem"]["penalty"]["strength"] = math.ldexp(strength, power)
        for name in ("primal", "dual", "gap"):
            document[name] = min(math.ldexp(document[name], min(2 * power, 1000)), 1e308)
        yield f"{words} | of 2^{power}", json.dumps(document)
