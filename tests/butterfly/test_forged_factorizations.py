"""False certificates are refused, and true ones accepted."""

from __future__ import annotations

from typing import Any

import pytest
from forgeries_factorization import forged, honest

import sparseopt as so
from sparseopt.interface.certificate import Check
from sparseopt.judging.check import check_certificate

FORGED = dict(forged())
HONEST = dict(honest())


def judged(subject: Any) -> Check:
    """Judge a certificate, or the JSON of one, or a law."""
    if callable(subject):
        return subject()  # type: ignore[no-any-return]
    if not isinstance(subject, str):
        return check_certificate(subject)
    try:
        return check_certificate(so.from_json(subject))
    except so.ProblemError as error:
        return Check("refused", "a certificate", (f"FAILED: {error}",))


@pytest.mark.parametrize("name", FORGED)
def test_forged_certificates_are_refused(name: str) -> None:
    check = judged(FORGED[name])
    assert check.outcome == "refused", check
    assert check.details[-1].startswith("FAILED")


@pytest.mark.parametrize("name", HONEST)
def test_honest_certificates_are_accepted(name: str) -> None:
    check = judged(HONEST[name])
    assert check.outcome == "accepted", check
