"""Forged certificates are refused by the line that is there for them, honest ones accepted."""

from __future__ import annotations

from typing import Any

import forgeries_training
import pytest

import sparseopt as so

FORGED = list(forgeries_training.forged())
HONEST = list(forgeries_training.honest())


def refusal(certificate: Any) -> str:
    """Return why something is refused, "" if it is not."""
    try:
        subject = so.from_json(certificate) if isinstance(certificate, str) else certificate
    except so.ProblemError as error:
        return str(error)
    check = so.verify(subject)
    return "" if check.ok else check.details[-1]


@pytest.mark.parametrize(("name", "certificate"), FORGED, ids=[name for name, _ in FORGED])
def test_refused_by_its_line(name: str, certificate: Any) -> None:
    assert name.partition(" | ")[0] in refusal(certificate)


@pytest.mark.parametrize(("name", "certificate"), HONEST, ids=[name for name, _ in HONEST])
def test_accepted(name: str, certificate: Any) -> None:
    assert so.verify(certificate).ok, so.verify(certificate)
    again = so.from_json(so.to_json(certificate))
    assert so.verify(again).ok
    assert again.accuracy == certificate.accuracy


def test_names_are_distinct() -> None:
    for listed in (FORGED, HONEST):
        names = [name for name, _ in listed]
        assert len(names) == len(set(names))
