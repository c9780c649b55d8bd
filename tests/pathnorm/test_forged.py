"""Forged certificates of path quantities are refused, honest ones are accepted."""

from __future__ import annotations

from typing import Any

import pytest
from forgeries_paths import forged, honest

import sparseopt as so
from sparseopt.judging.check import check_certificate

FORGED = dict(forged())
HONEST = dict(honest())


@pytest.mark.parametrize("name", list(FORGED))
def test_forged(name: str) -> None:
    found: Any = FORGED[name]
    if isinstance(found, str) or callable(found):
        with pytest.raises(so.ProblemError):
            found() if callable(found) else so.from_json(found)
        return
    check = check_certificate(found)
    assert check.outcome == "refused"
    assert check.details[-1].startswith("FAILED")
    assert "itself broke" not in check.details[-1], check


@pytest.mark.parametrize("name", list(HONEST))
def test_honest(name: str) -> None:
    found: Any = HONEST[name]
    check = found() if callable(found) else check_certificate(found)
    assert check.outcome == "accepted", check
    if not callable(found):
        assert check_certificate(so.from_json(so.to_json(found))).ok


def test_names_occur_once() -> None:
    assert len(FORGED) == sum(1 for _ in forged())
