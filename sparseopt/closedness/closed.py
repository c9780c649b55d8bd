"""Certificates that the set of products is closed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparseopt.certificate import Certificate, Steps
from sparseopt.closedness.problem import Closedness, ClosednessVerdict
from sparseopt.serialization import json_type


def first_incomparable(left: np.ndarray, right: np.ndarray) -> tuple[int, int] | None:
    """Return two terms whose rectangles overlap without being comparable, or None.

    Term k covers rows I[:, k] and columns J[k, :]. Two terms are comparable if the rows of one
    lie in those of the other and the columns the other way round; identical terms are. O(r^2 m)
    by matrix products.
    """
    rows = left.T.astype(np.float32)
    columns = right.astype(np.float32)
    row_overlap, column_overlap = rows @ rows.T, columns @ columns.T
    row_count, column_count = rows.sum(axis=1), columns.sum(axis=1)
    rows_inside = row_overlap == row_count[:, None]  # rows of k lie in those of l
    columns_inside = column_overlap == column_count[None, :]  # columns of l lie in those of k
    ordered = rows_inside & columns_inside
    overlap = (row_overlap > 0) & (column_overlap > 0)
    bad = np.argwhere(overlap & ~(ordered | ordered.T))
    return (int(bad[0][0]), int(bad[0][1])) if bad.size else None


@json_type
@dataclass(frozen=True, eq=False)
class ComparableCertificate(Certificate):
    """Two factors whose rectangles are pairwise disjoint or comparable: closed.

    Proof. Order the terms so that l comes after every k with rows of k inside those of l and
    columns of l inside those of k (k <= l). In any product, remove from x_l its projection on
    span{x_k : k < l}; the removed part a x_k y_l^T lies on the rectangle of k and goes into y_k.
    So every product has a representation with <x_k, x_l> = 0 for comparable pairs, hence with
    blocks orthogonal for all pairs (disjoint ones are so anyway) and |A|^2 = sum |x_k y_k^T|^2.
    A bounded sequence of products then has bounded blocks; the rank-one matrices on a rectangle
    are a closed set, so a convergent subsequence of the blocks gives the limit as a product. Over
    the complex numbers the same with the Hermitian inner product. It contains the criterion
    "pairwise disjoint or identical" of arXiv 2112.00386.
    """

    problem: Closedness
    answer: ClosednessVerdict

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: the set is closed"

    def check(self, steps: Steps) -> None:
        """Check the hypothesis for every pair of terms."""
        steps.require(self.answer.value == "closed", "the verdict is closed")
        steps.require(len(self.problem.supports) == 2, "the problem has two factors")
        bad = first_incomparable(*self.problem.supports)
        steps.require(
            bad is None, "any two rectangles are disjoint or comparable", f"terms {bad} are not"
        )

    def explain(self) -> str:
        """Return the proof in words."""
        return (
            "Any two rectangles share no cell, or one is taller and the other wider (or they are "
            "identical). Then the terms can be chosen orthogonal to each other, so bounded "
            "products have bounded terms, and limits of products are products."
        )


@json_type
@dataclass(frozen=True, eq=False)
class SingleFactorCertificate(Certificate):
    """One factor: all matrices with one support, a coordinate subspace, which is closed."""

    problem: Closedness
    answer: ClosednessVerdict

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: the set is closed"

    def check(self, steps: Steps) -> None:
        """Check that there is one factor."""
        steps.require(self.answer.value == "closed", "the verdict is closed")
        steps.require(len(self.problem.supports) == 1, "the problem has one factor")

    def explain(self) -> str:
        """Return the proof in words."""
        return "There is one factor: its matrices form a coordinate subspace, which is closed."
