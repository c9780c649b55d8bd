"""Certificates of closedness, repairs and training that forged and true ones are made of."""

from __future__ import annotations

import dataclasses
from typing import Any

from forging import (
    LOWER,
    LU,
    comparable,
    lu,
)

import sparseopt as so
from sparseopt.training.sparse_training import TrainingCertificate

REPAIRED = (LOWER, [[1, 1], [0, 0]])
"""LU without the last entry of its second factor."""


def repair(
    supports: Any = REPAIRED,
    changes: Any = 1,
    bound: Any = 1,
    windows: Any = None,
    *,
    given: Any = LU,
    allow: str = "remove",
    proof: Any = None,
    answer: Any = None,
    cores: Any = (),
    costs: Any = None,
    cost: Any = None,
    keep_lines: bool = False,
) -> Any:
    """Return a certificate of closed supports near LU."""
    problem = so.NearestClosedSupport(given, allow, costs=costs, keep_lines=keep_lines)
    answer = so.ClosedSupport(supports, changes, bound, cost) if answer is None else answer
    proof = comparable(*supports) if proof is None else proof
    windows = [lu()] if windows is None else windows
    return so.ClosedSupportCertificate(problem, answer, proof, windows, cores)


def training(supports: Any, proof: Any = None, **answer: Any) -> Any:
    """Return a verdict on training, the one that its evidence gives unless told."""
    certificate = TrainingCertificate.proved(so.SparseTraining(supports), proof)
    if not answer:
        return certificate
    return dataclasses.replace(
        certificate, answer=dataclasses.replace(certificate.answer, **answer)
    )


def sparse_lower(**changes: Any) -> dict[str, Any]:
    """Return the JSON of LOWER as a sparse matrix, with other (dtype, values) for some arrays."""
    arrays = {
        "data": ("|u1", [1, 1, 1]),
        "indices": ("<i4", [0, 0, 1]),
        "indptr": ("<i4", [0, 1, 3]),
        **changes,
    }
    parts = {
        key: {"$array": {"dtype": dtype, "shape": [len(values)], "values": values}}
        for key, (dtype, values) in arrays.items()
    }
    return {"$sparse": {"format": "csr", "shape": [2, 2], **parts}}
