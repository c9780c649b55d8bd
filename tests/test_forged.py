"""Forged certificates are refused by the line that is there for them, honest ones accepted."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import forgeries_borders
import forgeries_change
import forgeries_closedness
import forgeries_coercive
import forgeries_deconvolution
import forgeries_factorization
import forgeries_greedy
import forgeries_identifiability
import forgeries_identifiability_constants
import forgeries_identifiability_facets
import forgeries_identifiability_figures
import forgeries_identifiability_seconds
import forgeries_identifiability_settling
import forgeries_identifiability_units
import forgeries_interpolation
import forgeries_known_support
import forgeries_one_hidden_layer
import forgeries_paths
import forgeries_penalties
import forgeries_pieces
import forgeries_products
import forgeries_pursuit
import forgeries_pursuit_borders
import forgeries_quantization
import forgeries_quantization_complex
import forgeries_questions
import forgeries_recovery
import forgeries_recovery_complex
import forgeries_regression
import forgeries_rescaling
import forgeries_subsets
import forgeries_training
import pytest
from edits import edits

import sparseopt as so

BANKS = (
    forgeries_borders,
    forgeries_change,
    forgeries_coercive,
    forgeries_deconvolution,
    forgeries_identifiability,
    forgeries_identifiability_constants,
    forgeries_identifiability_facets,
    forgeries_identifiability_figures,
    forgeries_identifiability_seconds,
    forgeries_identifiability_settling,
    forgeries_identifiability_units,
    forgeries_interpolation,
    forgeries_known_support,
    forgeries_one_hidden_layer,
    forgeries_penalties,
    forgeries_pieces,
    forgeries_products,
    forgeries_pursuit,
    forgeries_pursuit_borders,
    forgeries_quantization,
    forgeries_quantization_complex,
    forgeries_questions,
    forgeries_greedy,
    forgeries_recovery,
    forgeries_recovery_complex,
    forgeries_regression,
    forgeries_rescaling,
    forgeries_subsets,
    forgeries_training,
)
EVERY = (*BANKS, forgeries_closedness, forgeries_factorization, forgeries_paths)
ODD = {
    "half more",
    "a text",
    "not held by floats",
    "whole numbers",
    "unsigned and huge",
    "no number",
    "the first no number",
    "infinite",
    "the first infinite",
}
"""Edits after which nothing may be accepted; see `edits`."""
FORGED = [(f"{b.__name__}: {name}", found) for b in BANKS for name, found in b.forged()]
HONEST = [(f"{b.__name__}: {name}", found) for b in BANKS for name, found in b.honest()]


def refusal(subject: Any) -> str:
    """Return why something is refused, in reading or in judging; "" if it is not."""
    try:
        if callable(subject):
            check = subject()
        else:
            check = so.verify(so.from_json(subject) if isinstance(subject, str) else subject)
    except so.ProblemError as error:
        return f"FAILED: {error}"
    return "" if check.ok else check.details[-1]


@pytest.mark.parametrize(("name", "subject"), FORGED, ids=[name for name, _ in FORGED])
def test_refused_by_its_line(name: str, subject: Any) -> None:
    """The part of a name before the bar is in the line that refuses."""
    reason = refusal(subject)
    assert reason.startswith("FAILED")
    line, bar, _ = name.partition(": ")[2].partition(" | ")
    assert not bar or line in reason


@pytest.mark.parametrize(("name", "subject"), HONEST, ids=[name for name, _ in HONEST])
def test_accepted(name: str, subject: Any) -> None:
    if callable(subject):
        assert subject().ok
        return
    certificate = so.from_json(subject) if isinstance(subject, str) else subject
    assert so.verify(certificate).ok, so.verify(certificate)
    again = so.from_json(so.to_json(certificate))
    assert so.verify(again).ok
    assert again.accuracy == certificate.accuracy
    assert again.claim == certificate.claim


@pytest.mark.parametrize("bank", EVERY, ids=lambda bank: bank.__name__)
def test_odd_numbers_are_refused_where_they_enter(bank: ModuleType) -> None:
    """Of every kind: numbers of another type, or that the type they become does not hold."""
    for name, text in smallest(bank).items():
        for words, edited in edits(text):
            if words.rpartition(": ")[2] in ODD:
                assert refusal(edited).startswith("FAILED"), f"{name}: {words}"


def smallest(bank: ModuleType) -> dict[str, str]:
    """Return the smallest honest certificate of each class and class of problem as JSON."""
    found: dict[str, str] = {}
    for _, subject in bank.honest():
        if isinstance(subject, so.Certificate):
            text = so.to_json(subject)
            kind = f"{type(subject).__name__} of {type(subject.problem).__name__}"
            found[kind] = min(found.get(kind, text), text, key=len)
    return found


def test_names_are_distinct() -> None:
    for listed in (FORGED, HONEST):
        names = [name for name, _ in listed]
        assert len(names) == len(set(names))
