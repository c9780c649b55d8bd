"""How forged certificates of closedness are put together; see `forgeries_closedness`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness.limits import LimitCertificate

Pairs = Iterator[tuple[str, Any]]
OPEN = (LimitCertificate, so.ChainLimitCertificate, so.SubChainCertificate)
"""Whose verdict is that a set is not closed."""

LOWER, UPPER = [[1, 0], [1, 1]], [[1, 1], [0, 1]]
DIAGONAL, FULL, SWAP = [[1, 0], [0, 1]], [[1, 1], [1, 1]], [[0, 1], [1, 0]]
LU = (LOWER, UPPER)
"""Not closed: an LU window."""
DENSE = (FULL, FULL)
"""Every 2 x 2 matrix: X may be the identity."""
RANK_ONE = ([[1], [1]], [[1, 1]])
"""Closed, and not all: 2 x 2 matrices of rank at most one."""
MERGE = (FULL, [[1, 1, 0], [0, 1, 1]])
"""Not closed: a merge window."""
LU_TREE = ["product", 0, 0, ["cell", 0, 1], ["cell", 1, 0]]
LU_CURVE = (
    [[0, 0, {1: 1}], [1, 0, {0: 1}], [1, 1, {0: -1}]],
    [[0, 0, {0: 1}], [0, 1, {-1: 1}], [1, 1, {-1: 1}]],
)
LU_LIMIT = [[0, 1], [1, 0]]
ALONE = [["free", [1], ["columns", [[0]]]]]
"""For LU: the second term reaches its one cell, which is then no longer observed."""


def made(cls: Any, problem: so.Problem, *evidence: Any) -> Any:
    """Return a certificate with the verdict of its evidence, or with "?" if that tells none."""
    try:
        return cls.proved(problem, *evidence)
    except (ValueError, LookupError, AttributeError, TypeError):
        value = "not_closed" if issubclass(cls, OPEN) else "closed"
        return cls(problem, so.ClosednessVerdict(value, "?"), *evidence)


def evidence_of(certificate: Any) -> list[Any]:
    """Return all fields but the problem and the answer."""
    return [getattr(certificate, f.name) for f in dataclasses.fields(certificate)][2:]


def changed(certificate: Any, **changes: Any) -> Any:
    """Return a certificate with other evidence, and the words that go with it."""
    other = dataclasses.replace(certificate, **changes)
    return made(type(other), other.problem, *evidence_of(other))


def reworded(certificate: Any, value: Any, reason: Any) -> Any:
    """Return a certificate with another verdict."""
    return dataclasses.replace(certificate, answer=so.ClosednessVerdict(value, reason))


def constant(matrix: Any) -> list[Any]:
    """Return a constant factor as the entries of a curve."""
    return [[i, k, {0: int(v)}] for (i, k), v in np.ndenumerate(np.array(matrix)) if v]


def limit(
    supports: Any, curve: Any, matrix: Any, tree: Any, reductions: Any = (), **more: Any
) -> Any:
    """Return a certificate of a limit, on all rows and columns unless ``more`` gives some."""
    rows = more.get("rows", tuple(range(len(supports[0]))))
    columns = more.get("columns", tuple(range(len(supports[-1][0]))))
    exact = [[Fraction(v) for v in row] for row in matrix]
    evidence = (rows, columns, *curve, exact, list(reductions), tree)
    return made(so.NotClosedCertificate, so.Closedness(supports), *evidence)


def product(x: Any, y: Any, tree: Any, left: Any = None, right: Any = None) -> Any:
    """Return the false claim that X Y is not a product, on the supports of X and Y unless given."""
    x, y = np.array(x), np.array(y)
    left = (x != 0).astype(int).tolist() if left is None else left
    right = (y != 0).astype(int).tolist() if right is None else right
    return limit((left, right), (constant(x), constant(y)), (x @ y).tolist(), tree)


def lu(tree: Any = LU_TREE, **changes: Any) -> Any:
    """Return the honest certificate of LU with another tree or other changes."""
    right = limit(LU, LU_CURVE, LU_LIMIT, tree)
    return changed(right, **changes) if changes else right


def nonzero(variable: Any, place: Any, rest: Any) -> list[Any]:
    """Return the split on a variable that cell `place` shows not to be zero."""
    return ["split", variable, ["cell", *place], rest]


def closed(supports: Any, proof: Any) -> Any:
    """Return a proof by reductions."""
    return made(so.ReducedClosedCertificate, so.Closedness(supports), proof)


def cases(supports: Any, tree: Any) -> Any:
    """Return a proof by cases of the whole."""
    return closed(supports, ["cases", tree])


def chain(supports: Any, steps: Any, short: Any) -> Any:
    """Return a certificate that a chain is a shorter one."""
    return made(so.ShortenedChainCertificate, so.Closedness(supports), steps, short)


def comparable(*supports: Any) -> Any:
    """Return the claim that any two rectangles are disjoint or comparable."""
    return made(so.ComparableCertificate, so.Closedness(supports))


def single(support: Any) -> Any:
    """Return the certificate of one factor."""
    return made(so.SingleFactorCertificate, so.Closedness([support]))
