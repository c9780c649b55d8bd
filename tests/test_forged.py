"""Forged certificates are refused by the line that is there for them, honest ones accepted."""

from __future__ import annotations

from typing import Any

import forgeries_coercive
import forgeries_deconvolution
import forgeries_interpolation
import forgeries_penalties
import forgeries_products
import forgeries_pursuit
import forgeries_quantization
import forgeries_recovery
import forgeries_regression
import forgeries_rescaling
import forgeries_training
import pytest

import sparseopt as so

BANKS = (
    forgeries_coercive,
    forgeries_deconvolution,
    forgeries_interpolation,
    forgeries_penalties,
    forgeries_products,
    forgeries_pursuit,
    forgeries_quantization,
    forgeries_recovery,
    forgeries_regression,
    forgeries_rescaling,
    forgeries_training,
)
FORGED = [(f"{b.__name__}: {name}", found) for b in BANKS for name, found in b.forged()]
HONEST = [(f"{b.__name__}: {name}", found) for b in BANKS for name, found in b.honest()]


def refusal(subject: Any) -> str:
    """Return why something is refused, in reading or in judging; "" if it is not."""
    try:
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


def test_names_are_distinct() -> None:
    for listed in (FORGED, HONEST):
        names = [name for name, _ in listed]
        assert len(names) == len(set(names))
