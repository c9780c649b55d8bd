"""What is accepted of edited certificates is true.

Every small edit of the smallest certificates of each kind (`edits`) is judged; what is accepted is
tried by exact arithmetic (`truth`). An attacker who may change one number, one array or one field
of a file gets no false claim through.
"""

from __future__ import annotations

import warnings
from functools import cache
from types import ModuleType

import forgeries_closedness
import forgeries_coercive
import forgeries_deconvolution
import forgeries_factorization
import forgeries_greedy
import forgeries_interpolation
import forgeries_known_support
import forgeries_pursuit
import forgeries_recovery
import forgeries_subsets
import forgeries_training
import numpy as np
import pytest
from edits import edits
from truth import false_claims, is_tried

import sparseopt as so

BANKS = (
    forgeries_closedness,
    forgeries_coercive,
    forgeries_deconvolution,
    forgeries_factorization,
    forgeries_interpolation,
    forgeries_known_support,
    forgeries_pursuit,
    forgeries_greedy,
    forgeries_recovery,
    forgeries_subsets,
    forgeries_training,
)
OF_A_KIND = 4
LONGEST = 20_000
"""Characters of a certificate that is edited."""


@cache
def texts(bank: ModuleType) -> dict[str, list[str]]:
    """Return the smallest honest certificates of each class and class of problem."""
    found: dict[str, set[str]] = {}
    for _, subject in bank.honest():
        if isinstance(subject, so.Certificate) and is_tried(subject):
            kind = f"{type(subject).__name__} of {type(subject.problem).__name__}"
            found.setdefault(kind, set()).add(so.to_json(subject))
    return {kind: sorted(all_, key=lambda t: (len(t), t)) for kind, all_ in found.items()}


def accepted(text: str) -> so.Certificate | None:
    """Return the certificate of a text if it is accepted."""
    try:
        certificate = so.from_json(text)
    except so.ProblemError:
        return None
    is_one = isinstance(certificate, so.Certificate)
    return certificate if is_one and so.verify(certificate).ok else None


def lies(text: str) -> list[str]:
    """Return what is false of a text that is accepted; nothing where the solvers fail."""
    certificate = accepted(text)
    if certificate is None:
        return []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return false_claims(certificate)
        except so.ProblemError:  # an edited problem may be one that no solver takes
            return []


@pytest.mark.parametrize("bank", BANKS, ids=lambda bank: bank.__name__)
def test_what_is_accepted_unedited_is_true(bank: ModuleType) -> None:
    for kind, all_ in texts(bank).items():
        for text in all_[:2]:
            assert accepted(text) is not None
            assert lies(text) == [], kind


@pytest.mark.slow
@pytest.mark.parametrize("bank", BANKS, ids=lambda bank: bank.__name__)
def test_what_is_accepted_edited_is_true(bank: ModuleType) -> None:
    for kind, all_ in texts(bank).items():
        for text in [t for t in all_ if len(t) < LONGEST][:OF_A_KIND]:
            for words, edited in edits(text):
                assert lies(edited) == [], f"{kind}: {words}"
