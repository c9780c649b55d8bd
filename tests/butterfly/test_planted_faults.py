"""Each step of the judges of factorizations stops a forgery that nothing else stops."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

import pytest
from forgeries_factorization import forged

import sparseopt as so
from sparseopt.butterfly import certificate, comparison, permuted_certificate, target
from sparseopt.interface.certificate import Steps
from sparseopt.judging import stated
from sparseopt.judging.check import check_certificate
from sparseopt.judging.figures import Figure
from sparseopt.supports import bounds, certificate as supports_certificate

JUDGES = [certificate, permuted_certificate, supports_certificate, stated]
FORGED = dict(forged())
STEPS = [
    "the problem takes the target in the order given",
    "the answer is a product with the asked architecture",
    "the error is at most what is stated",
    "the error is at least what is stated",
    "the error is not above what peeling guarantees for every target",
    "one split error is stated for the outside and for every cut",
    r"split error E_\d+ is at most what is stated",
    r"split error E_\d+ is at least what is stated",
    "the error is not above the method's own upper bound",
    r"\d+ vectors drawn now confirm the error",
    "vectors prove no lower bound of the error",
    "zero is no better answer",
    "the problem leaves the permutations open",
    "the answer is a permuted product with the asked architecture",
    "the problem has no decay",
    "[XY] is an array of single or double precision with the shape of its support",
    "X is zero outside its support",
    "Y is zero outside its support",
    "no factors have an error below the lower bound",
    "the error is not above what some factors are known to reach",
    "attainment is one of .*",
    "no proof is attached that nothing rests on",
    "the target is the very limit",
]


def accepted() -> list[str]:
    """Return the names of the forgeries that the judge lets through."""
    names = []
    for name, subject in FORGED.items():
        try:
            judged = so.from_json(subject) if isinstance(subject, str) else subject
        except so.ProblemError:
            continue
        if check_certificate(judged).ok:
            names.append(name)
    return names


def test_nothing_is_let_through() -> None:
    assert accepted() == []


@pytest.mark.parametrize("step", STEPS)
def test_without_a_step_a_forgery_is_let_through(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require = Steps.require

    def careless(self: Steps, ok: bool, text: str, found: str = "") -> None:
        require(self, True if re.fullmatch(step, text) else ok, text, found)

    monkeypatch.setattr(Steps, "require", careless)
    assert accepted()


def test_every_step_of_the_judges_is_in_the_list() -> None:
    """Read from the source: `steps.require(..., text)`, placeholders in the text being anything."""
    samples = [re.sub(r"\\d\+|\.\*", "0", step).replace("[XY]", "X") for step in STEPS]
    for module in JUDGES:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "steps.require":
                text = node.args[1]
                parts = text.values if isinstance(text, ast.JoinedStr) else [text]
                pattern = "".join(
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+"
                    for part in parts
                )
                assert any(re.fullmatch(pattern, sample) for sample in samples), pattern


@pytest.mark.parametrize("module", [comparison, bounds, target], ids=lambda m: m.__name__)
def test_without_the_bound_of_rounding_a_forgery_is_let_through(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "gamma", lambda terms: 0.0)
    monkeypatch.setattr(module, "TINY", 0.0, raising=False)
    monkeypatch.setattr(module, "lost", lambda *lengths: 0.0, raising=False)
    assert accepted()


def test_without_room_in_a_figure_a_forgery_is_let_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Figure, "high", lambda self, rooms=1.0: self.value * 2.0**self.exponent)
    assert accepted()
    monkeypatch.undo()
    monkeypatch.setattr(Figure, "low", lambda self, rooms=1.0: self.value * 2.0**self.exponent)
    assert accepted()


def test_without_deflation_of_the_estimate_a_forgery_is_let_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(certificate, "deflation", lambda count: 1e6)
    assert accepted()
