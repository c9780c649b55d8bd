"""Forged proofs of least norms and constrained least squares are refused, honest ones accepted."""

from __future__ import annotations

from typing import Any

import forgeries_pursuit
import pytest

import sparseopt as so

FORGED = list(forgeries_pursuit.forged())
HONEST = list(forgeries_pursuit.honest())


@pytest.mark.parametrize(("name", "certificate"), FORGED, ids=[name for name, _ in FORGED])
def test_refused_by_its_line(name: str, certificate: Any) -> None:
    check = so.verify(certificate)
    assert not check.ok
    assert name.partition(" | ")[0] in check.details[-1]


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
