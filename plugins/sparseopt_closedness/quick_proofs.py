"""Closed, quickly: thin blocks are free, then components are comparable or solved line by line.

What the local search for repairs tests millions of times (`closed_kernels`) is written down here
as a proof, with NumPy alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt.closedness.proofs.closed_parts import first_incomparable
from sparseopt.closedness.proofs.observed import ObservedProblem, components, is_full, start
from sparseopt_closedness.free_families import evidence_of

Pair = tuple[np.ndarray, np.ndarray]


def quick_proof(pair: Pair) -> list[Any] | None:
    """Return a proof that the set of a pair is closed, for `ReducedClosedCertificate`, or None.

    All blocks with one row are a free family, for each column matches its rows to distinct ones;
    so are all with one column. They are removed until none is left. O(r m n) a round.
    """
    state, removed = start(*pair), list[tuple[list[int], list[Any]]]()
    while True:
        thin = _thin_family(state)
        if thin is None:
            break
        removed.append(thin)
        state = state.without(thin[0])
    proofs = []
    for terms in components(state):
        proof = _component(state.family(terms))
        if proof is None:
            return None
        proofs.append(proof)
    whole: list[Any] = ["components", proofs]
    for terms, evidence in reversed(removed):
        whole = ["free", terms, evidence, whole]
    return whole


def _thin_family(state: ObservedProblem) -> tuple[list[int], list[Any]] | None:
    for turned, name in ((False, "columns"), (True, "rows")):
        side = state.transposed if turned else state
        terms = np.flatnonzero(side.left.sum(axis=0) == 1).tolist()
        if terms:
            return terms, [name, _one_each(side.family(terms))]
    return None


def _one_each(family: ObservedProblem) -> list[list[int]]:
    """Match the rows of every column to blocks of one row."""
    found = []
    for j in np.flatnonzero(family.observed.any(axis=0)).tolist():
        rows = np.flatnonzero(family.observed[:, j])
        there = family.left[rows] & family.right[None, :, j]
        found.append(there.argmax(axis=1).tolist())
    return found


def _component(part: ObservedProblem) -> list[Any] | None:
    if is_full(part) and first_incomparable(part.left, part.right) is None:
        return ["comparable"]
    evidence = evidence_of(part, determined=False)
    if evidence is None:
        return None
    return ["free", list(range(len(part.origin))), evidence, ["components", []]]
