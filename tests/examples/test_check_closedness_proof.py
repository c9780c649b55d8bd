"""Two judges by two hands: the checker in examples/ agrees with the library on every certificate.

The checker was written from docs/certificate_format.md alone, so where the two agree, page, checker
and library say the same. Compared are the bank of forgeries, all small classes of supports, and ten
thousand certificates with one edit each.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import closedness_statements
import forgeries_closedness
import pytest

import sparseopt as so

ROOT = Path(__file__).parents[2]
LU = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
OBSERVED = [[[1, 1, 1], [1, 1, 0], [1, 1, 0]], [[1, 1, 1], [1, 1, 1], [1, 0, 0]]]
REDUCED = [[[1, 0, 1], [1, 1, 1]], [[1, 1], [0, 1], [1, 1]]]
CASES = [[[1, 1, 0], [1, 0, 1], [0, 1, 1]], [[0, 1, 1], [1, 1, 1], [1, 1, 1]]]
CHAIN = [LU[0], [[1, 0], [0, 1]], LU[1]]
WORDS = ("real", "complex", "closed", "not_closed", "unknown", "x", "y", "left", "right", "z3",
         "split", "product", "cell", "minor", "free", "columns", "rows", "component", "keep",
         "components", "comparable", "cases", "empty", "solve", "solve_t", "clear", "pivot",
         "absorb", "contract", "line", "line_t", "span", "span_t", "value", "inverse", "$map",
         "$tuple", "$fraction", "VERIFIED", "UNDECIDED", "remove", "add", "")  # fmt: skip


def load(path: str) -> Any:
    """Return a script as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


checker = load("examples/check_closedness_proof.py")


def of_library(text: str) -> str:
    """Return the outcome of the library."""
    try:
        return str(so.verify(so.from_json(text)).outcome)
    except so.ProblemError:
        return "refused"


def judged(name: str, text: str) -> tuple[str, str]:
    """Return the outcome on which both agree, and why the checker says so."""
    ours, why = checker.check(text)
    theirs = of_library(text)
    assert theirs == ("refused" if ours == "unreadable" else ours), (name, ours, why, theirs, text)
    return theirs, why


def compared(name: str, text: str) -> list[str]:
    """Compare the outcomes for a text; if only its words are refused, also with the right ones."""
    outcome, why = judged(name, text)
    if why.startswith("V4: the reason is not "):
        body = json.loads(text)
        if "reason" in body["answer"]:
            body["answer"]["reason"] = why.split("'")[1]
            return [outcome, judged(f"{name}, reworded", json.dumps(body))[0]]
    return [outcome]


def solved() -> Iterator[tuple[str, str]]:
    """Yield (name, JSON) of solutions and certificates of every kind that solvers give."""
    butterfly = [pattern.support() for pattern in so.Architecture.square_dyadic(4)]
    chains = [LU, OBSERVED, REDUCED, CASES, CHAIN, butterfly, [[[1, 0, 1]]]]
    problems: list[so.Problem] = [so.Closedness(chain) for chain in chains]
    problems += [so.SparseTraining(CHAIN), so.SparseTraining([[[1, 1]], [[1, 0], [1, 1]]])]
    problems += [so.NearestClosedSupport(LU, "add"), so.NearestClosedSupport(OBSERVED)]
    for number, problem in enumerate(problems):
        solution = so.solve(problem)
        yield f"solution {number}", solution.to_json()
        yield f"certificate {number}", so.to_json(solution.certificate)


def bank(entries: Any) -> Iterator[tuple[str, str]]:
    """Yield (name, JSON) of the entries that can be built and written."""
    for name, entry in entries:
        try:
            entry = entry() if callable(entry) else entry
            yield name, entry if isinstance(entry, str) else so.to_json(entry)
        except (so.ProblemError, TypeError, ValueError, RecursionError):
            continue


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of every value inside one, outside plans."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in list(pairs):
        if key != "plan":
            yield value, key
            if isinstance(part, dict | list):
                yield from places(part)


def edited(body: Any, rng: random.Random) -> str:
    """Return the JSON of a document with one edit."""
    body = copy.deepcopy(body)
    spots = list(places(body))
    container, key = rng.choice(spots)
    value = container[key]
    if rng.random() < 0.05:
        other = rng.choice([None, True, [], {}, 0, 1.0, "", {"$fraction": "0"}, {"$tuple": []}])
        there, name = rng.choice(spots)
        value = copy.deepcopy(there[name]) if rng.random() < 0.5 else other
    elif isinstance(value, bool):
        value = not value
    elif isinstance(value, int):
        value = rng.choice([value + 1, value - 1, 0, 1, 2, -value, value + 2**62, 1.0])
    elif isinstance(value, str):
        value = rng.choice(["0", "-1", "1/2", "2", *WORDS]) if rng.random() < 0.7 else value + "1"
    elif isinstance(value, list) and value:
        value = altered(value, rng)
    elif isinstance(value, dict) and value and rng.random() < 0.5:
        name = rng.choice(list(value))
        value[rng.choice(WORDS)] = value[name]
        del value[name]
    else:
        value = [value]
    container[key] = value
    return json.dumps(body)


def altered(items: list[Any], rng: random.Random) -> list[Any]:
    """Return a list with an entry dropped, doubled or moved, or two exchanged."""
    items = list(items)
    i, j = (rng.randrange(len(items)) for _ in range(2))
    kind = rng.randrange(5)
    if kind == 0:
        del items[i]
    elif kind == 1:
        items.insert(j, copy.deepcopy(items[i]))
    elif kind == 2:
        items.insert(j, items.pop(i))
    elif kind == 3:
        items[i], items[j] = items[j], items[i]
    else:
        items[i] = copy.deepcopy(items[j])
    return items


def test_the_example_and_its_exit_codes(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "proof.json"
    outsider = so.to_json(forgeries_closedness.external("z3"))
    broken = checker.EXAMPLE.replace('[[0, 1], [1, 0]], "red', '[[0, 1], [1, 1]], "red')
    texts = [(0, checker.EXAMPLE), (1, broken), (2, "{"), (2, "[]"), (3, outsider)]
    assert checker.main(["--quick"]) == 0
    for code, text in texts:
        path.write_text(text, encoding="utf-8")
        assert checker.main([str(path)]) == code, capsys.readouterr().out
    assert checker.main([str(tmp_path)]) == 2
    out = capsys.readouterr().out
    for word in ("accepted", "refused: 9.5.7: not the limit", "unreadable: R2", "relies on z3"):
        assert word in out


def test_it_uses_nothing_but_the_standard_library() -> None:
    lines = (ROOT / "examples/check_closedness_proof.py").read_text(encoding="utf-8").splitlines()
    imports = [line.split()[1] for line in lines if line.startswith(("import ", "from "))]
    assert {name.split(".")[0] for name in imports} <= set(sys.stdlib_module_names)


def test_solutions_and_honest_certificates_are_accepted() -> None:
    for name, text in solved():
        assert compared(name, text) == ["accepted"], name


def test_the_formula_for_z3_is_that_of_the_library(caplog: Any) -> None:
    body = json.loads(so.to_json(forgeries_closedness.external("z3")))
    body["left"][0][2] = {"$map": [[0, -3]]}
    body["right"][0][2] = {"$map": [[0, {"$fraction": "1/2"}]]}
    body["limit"] = [[{"$fraction": "-3/2"}]]
    text = json.dumps(body)
    assert compared("minus three halves", text) == ["relies on"]
    lines = [line.strip() for line in so.from_json(text).explain().splitlines()]
    with caplog.at_level("INFO"):
        checker.check(text)
    assert lines[-5:] == [message.strip() for message in caplog.messages[-5:]]


def test_plans_and_costs_hold_what_the_page_says() -> None:
    exact = {"$type": "sparseopt:Guarantee", "name": "EXACT"}
    fields = [
        ("left_out", None, "accepted"),
        ("left_out", 0, "refused"),
        ("left_out", [], "refused"),
        ("rests_on", "kernels loaded: no", "accepted"),
        ("rests_on", None, "accepted"),
        ("rests_on", 0, "refused"),
        ("guarantee", exact, "accepted"),
        ("guarantee", {**exact, "more": 1}, "refused"),
        ("memory", True, "refused"),
        ("memory", {"$float": "inf"}, "accepted"),
    ]
    for name, value, outcome in fields:
        plan = json.loads(so.solve(so.Closedness(LU)).to_json())
        plan["plan"]["candidates"] = plan["plan"]["candidates"][:1]
        plan["plan"]["candidates"][0][name] = value
        assert judged(f"{name} {value}", json.dumps(plan))[0] == outcome
    priced = so.NearestClosedSupport(LU, "add", costs=[[[1, 1], [1, 1]], [[1, 1], [1, 1]]])
    body = json.loads(so.solve(priced).to_json())
    assert judged("costs", json.dumps(body))[0] == "accepted"
    sparse = {"format": "csr", "shape": [2, 2]}
    for name, values in {
        "data": [1, 1, 1, 1],
        "indices": [0, 1, 0, 1],
        "indptr": [0, 2, 4],
    }.items():
        sparse[name] = {"$array": {"dtype": "<i8", "shape": [len(values)], "values": values}}
    body["problem"]["costs"] = [{"$sparse": sparse}] * 2
    assert judged("sparse costs", json.dumps(body))[0] == "refused"


@pytest.mark.slow
def test_the_bank(record_property: Any) -> None:
    outcomes: Counter[str] = Counter()
    for name, text in bank(forgeries_closedness.forged()):
        outcomes.update(compared(name, text))
    for name, text in bank(forgeries_closedness.honest()):
        assert compared(name, text) == ["accepted"], name
        outcomes["accepted"] += 1
    record_property("outcomes", dict(outcomes))
    assert outcomes["refused"] > 300
    assert outcomes["accepted"] > 50


@pytest.mark.slow
@pytest.mark.parametrize("size", [(2, 2, 2), (2, 3, 2), (3, 2, 3)])
def test_all_small_classes(size: tuple[int, int, int], record_property: Any) -> None:
    outcomes: Counter[str] = Counter()
    for left, right in load("benchmarks/closedness_classes.py").classes(*size):
        solution = so.solve(so.Closedness([left, right]))
        if solution.certificate is None:
            continue
        outcomes.update(compared(f"{left} {right}", so.to_json(solution.certificate)))
    record_property("outcomes", dict(outcomes))
    assert set(outcomes) == {"accepted"}


@pytest.mark.slow
def test_edits_of_what_relies_on_z3() -> None:
    rng = random.Random(3)
    proof = forgeries_closedness.external("z3")
    training = closedness_statements.training([[[1]], [[1]]], proof)
    bodies = [json.loads(so.to_json(certificate)) for certificate in (proof, training)]
    outcomes: Counter[str] = Counter()
    for number in range(1000):
        outcomes.update(compared(f"edit {number}", edited(rng.choice(bodies), rng)))
    assert outcomes["relies on"] > 50
    assert outcomes["refused"] > 500


@pytest.mark.slow
def test_ten_thousand_edits(record_property: Any) -> None:
    rng = random.Random(15)
    honest = [*solved(), *bank(forgeries_closedness.honest())]
    bodies = [(name, json.loads(text)) for name, text in honest if len(text) < 20_000]
    outcomes: Counter[str] = Counter()
    for number in range(10_000):
        name, body = rng.choice(bodies)
        outcomes.update(compared(f"edit {number} of {name}", edited(body, rng)))
    record_property("outcomes", dict(outcomes))
    assert outcomes["accepted"] > 500
    assert outcomes["refused"] > 5000
