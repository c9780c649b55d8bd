"""Fixed-support matrix factorization: the nearest product of two factors with given supports.

For supports I (m x r) and J (r x n), term k is a rank-one matrix on the rectangle of rows I[:, k]
and columns J[k, :]. Two terms belong to one component when a chain of overlapping rectangles
joins them; components share no cell, so the squared error splits into one part per component and
the cells that no rectangle covers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sparseopt.arrays import as_support, read_only, require_finite
from sparseopt.certificate import Certificate, Steps
from sparseopt.errors import ProblemError
from sparseopt.problem import Problem
from sparseopt.serialization import json_type, same_content

ATTAINMENTS = ("attained", "not_attained", "suspected_not_attained", "unknown")


@json_type
@dataclass(frozen=True, eq=False)
class SupportedFactors:
    """Two factors with the asked supports, and what is known about the infimum.

    Attributes
    ----------
    left, right : array (m, r), (r, n)
        The factors; their product approximates the target.
    attainment : str
        ``"attained"``: this product is a nearest one, by proof. ``"not_attained"``: the infimum is
        0 and no product reaches it, by proof. ``"suspected_not_attained"``: the factors grow
        without bound while the error falls, on supports proved not closed. ``"unknown"``
        otherwise.
    remark : str
        What the engine saw, in words.
    """

    left: np.ndarray
    right: np.ndarray
    attainment: str = "unknown"
    remark: str = ""

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """The pair (left, right)."""
        return self.left, self.right

    def to_dense(self) -> np.ndarray:
        """Return the product, an array (m, n)."""
        return self.left @ self.right

    def __str__(self) -> str:
        norms = f"|X| = {np.linalg.norm(self.left):.3g}, |Y| = {np.linalg.norm(self.right):.3g}"
        remark = f": {self.remark}" if self.remark else ""
        return f"factors with {norms}; infimum {self.attainment.replace('_', ' ')}{remark}"


def components(left: np.ndarray, right: np.ndarray) -> list[tuple[list[int], np.ndarray]]:
    """Return the classes of terms joined by overlapping rectangles, each with its cells.

    Parameters
    ----------
    left, right : bool array (m, r), (r, n)
        Supports.

    Returns
    -------
    list of (list of int, bool array (m, n))
        Terms of one component in ascending order, and the cells they cover together. Terms with
        an empty rectangle belong to none. O(r^2 (m + n) + m n r).
    """
    rows = left.astype(np.float32)
    columns = right.astype(np.float32)
    overlap = (rows.T @ rows > 0) & (columns @ columns.T > 0)
    waiting = [k for k in range(left.shape[1]) if overlap[k, k]]
    found = []
    while waiting:
        terms, frontier = set(), {waiting[0]}
        while frontier:
            terms |= frontier
            reached = np.flatnonzero(overlap[list(frontier)].any(axis=0))
            frontier = set(reached.tolist()) - terms
        chosen = sorted(terms)
        cells = rows[:, chosen] @ columns[chosen] > 0
        found.append((chosen, cells))
        waiting = [k for k in waiting if k not in terms]
    return found


def is_tractable(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether any two rectangles are disjoint or identical: then block SVDs are optimal.

    Source: Le, Riccietti, Gribonval, "Spurious valleys, NP-hardness, and tractability of sparse
    matrix factorization with fixed support", arXiv 2112.00386, Theorem 3.3.
    """
    return all(
        np.array_equal(left[:, terms[0]], left[:, k]) and np.array_equal(right[terms[0]], right[k])
        for terms, _ in components(left, right)
        for k in terms[1:]
    )


def squared_lower_bound(target: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    """Return a lower bound of the least squared error.

    Proof. Every product is a sum over components C of matrices M_C that vanish outside the cells
    of C and have rank at most r_C, the number of terms of C. Cells of different components are
    disjoint, so the squared error is the mass of the target on uncovered cells plus, per
    component, ``|A_C - M_C|^2`` with A_C the target masked to these cells; by Eckart, Young and
    Mirsky this is at least the sum of the squared singular values of A_C after the first r_C.
    For tractable supports A_C is a rectangle on which every matrix of rank r_C is a sum of terms,
    so the bound is the optimal value.
    """
    total = 0.0
    covered = np.zeros(target.shape, dtype=bool)
    for terms, cells in components(left, right):
        covered |= cells
        rows, columns = cells.any(axis=1), cells.any(axis=0)
        block = _double(np.where(cells, target, 0)[np.ix_(rows, columns)])
        if len(terms) < min(block.shape):
            tail = np.linalg.svd(block, compute_uv=False)[len(terms) :]
            total += float(np.sum(tail**2))
    return total + float(np.sum(np.abs(_double(target[~covered])) ** 2))


def _double(array: np.ndarray) -> np.ndarray:
    """Return the array in double precision: figures are judged more finely than they were made."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


@json_type
@dataclass(frozen=True, eq=False)
class FixedSupportCertificate(Certificate):
    """The exact error of the factors, a lower bound for all factors, and what follows.

    Attributes
    ----------
    error, lower_bound : float
        Frobenius norms; see `squared_lower_bound`.
    closedness : Certificate or None
        For a claim about the infimum: that the supports are not closed.
    """

    problem: FixedSupportFactorization
    answer: SupportedFactors
    error: float
    lower_bound: float
    closedness: Certificate | None = None

    @property
    def relative_error(self) -> float:
        """Error over the norm of the target; 0 for a zero target reached exactly."""
        norm = float(np.linalg.norm(self.problem.target))
        return self.error / norm if norm else self.error

    @property
    def claim(self) -> str:
        """What is proved."""
        text = (
            f"the factors have the asked supports and error {self.error:.6g}, and no factors with "
            f"these supports have an error below {self.lower_bound:.6g}"
        )
        return text + {
            "attained": "; so they are optimal, up to rounding",
            "not_attained": "; the infimum is 0 and is not attained",
            "suspected_not_attained": "; the set of products with these supports is not closed",
            "unknown": "",
        }.get(self.answer.attainment, "")

    def check(self, steps: Steps) -> None:
        """Check supports, error, bound and the claim about the infimum."""
        problem, answer = self.problem, self.answer
        left, right = problem.supports
        for name, factor, support in (("X", answer.left, left), ("Y", answer.right, right)):
            steps.require(factor.shape == support.shape, f"{name} has the shape of its support")
            steps.require(bool(np.isfinite(factor).all()), f"{name} is finite")
            steps.require(not factor[~support].any(), f"{name} is zero outside its support")
        scale = _scale(problem.target, answer)
        unit = np.finfo(np.float64).eps * max(problem.target.shape) * scale
        error = problem.evaluate(answer)["error"]
        steps.require(
            abs(self.error - error) <= 64 * unit, "the error is |A - X Y|", f"{error:.17g}"
        )
        bound = np.sqrt(squared_lower_bound(problem.target, left, right))
        steps.require(
            abs(self.lower_bound - bound) <= 64 * unit,
            "the lower bound is that of the components' ranks",
            f"{bound:.17g}",
        )
        steps.require(answer.attainment in ATTAINMENTS, f"attainment is one of {ATTAINMENTS}")
        if answer.attainment == "attained":
            # Squared errors are compared: near zero the factors' own rounding decides.
            own = np.finfo(problem.target.dtype).eps * max(problem.target.shape) * scale
            steps.require(
                error**2 - bound**2 <= (1e3 * own) * max(scale, error),
                "the error equals the lower bound up to rounding",
                f"{error:.17g} against {bound:.17g}",
            )
        elif answer.attainment != "unknown":
            self._check_not_closed(steps)

    def _check_not_closed(self, steps: Steps) -> None:
        from sparseopt.closedness import Closedness

        proof, supports = self.closedness, list(self.problem.supports)
        steps.require(proof is not None, "a certificate about closedness is there")
        assert proof is not None
        asked = Closedness(supports)
        steps.require(type(proof) in Closedness.certificates, "it is a closedness certificate")
        steps.require(same_content(proof.problem, asked), "it is about these supports")
        steps.require(proof.answer.value == "not_closed", "its verdict is not_closed")
        type(proof).check(proof, steps)
        if self.answer.attainment == "not_attained":
            limit = proof.limit_matrix()  # type: ignore[attr-defined]
            target = self.problem.target
            exact = all(
                float(value) == float(target[i, j].real) and target[i, j].imag == 0
                for (i, j), value in np.ndenumerate(limit)
            )
            steps.require(exact, "the target is the very limit that no product reaches")


def _require_squares(target: np.ndarray) -> None:
    """Refuse entries whose squares leave the range of their dtype: errors are squared."""
    peak = float(np.abs(_double(target)).max())
    kind = np.finfo(target.dtype)
    high = np.sqrt(float(kind.max) / target.size) / 8
    low = 1e3 * np.sqrt(float(kind.tiny))
    if peak > high or 0 < peak < low:
        raise ProblemError(
            f"the largest entry of the target is {peak:.3g} and its square leaves the safe range "
            f"of {target.dtype}; multiply the target by a constant, so that it lies between "
            f"{low:.3g} and {high:.3g}, and one factor by its inverse afterwards"
        )


def _scale(target: np.ndarray, answer: SupportedFactors) -> float:
    """Return the size of the numbers that are subtracted: rounding is relative to it."""
    product = np.abs(answer.left) @ np.abs(answer.right)
    return float(np.linalg.norm(target) + np.linalg.norm(product))


@json_type
@dataclass(frozen=True, eq=False)
class FixedSupportFactorization(Problem):
    """Minimize ``|A - X Y|`` (Frobenius) over factors with given supports.

    Parameters
    ----------
    target : array (m, n)
        float32, float64, complex64 or complex128; integers are taken as float64.
    supports : sequence of two 0/1 arrays (m, r), (r, n)
        The entries of X and Y that may be nonzero.

    Raises
    ------
    ProblemError
        If shapes do not chain, a support is not 0/1, or the target has NaN, infinity or a largest
        entry whose square leaves the range of its dtype.

    Notes
    -----
    NP-hard in general; solved exactly when the rectangles are pairwise disjoint or identical
    (arXiv 2112.00386). For supports that are not closed the infimum may not be attained: ask
    `Closedness` about them.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> I, J = [[1, 0], [1, 0], [0, 1]], [[1, 1, 0], [0, 0, 1]]
    >>> solution = so.solve(so.FixedSupportFactorization(np.ones((3, 3)), [I, J]))
    >>> round(solution.certificate.error**2, 12), solution.answer.attainment
    (4.0, 'attained')
    """

    target: np.ndarray
    supports: Sequence[np.ndarray]
    certificates: ClassVar[tuple[type[Certificate], ...]] = (FixedSupportCertificate,)

    def __post_init__(self) -> None:
        target = np.asarray(self.target)
        if target.ndim != 2 or 0 in target.shape:
            raise ProblemError(f"target must be a non-empty matrix, got shape {target.shape}")
        if target.dtype.kind in "biu":
            target = target.astype(np.float64)
        if target.dtype not in (np.float32, np.float64, np.complex64, np.complex128):
            raise ProblemError(
                f"target has dtype {target.dtype}; use float32, float64, complex64 or complex128"
            )
        require_finite(target, "target")
        _require_squares(target)
        supports = self.supports
        if not isinstance(supports, Sequence | np.ndarray) or len(supports) != 2:
            raise ProblemError("supports must be two 0/1 matrices [I, J]")
        left, right = as_support(supports[0], "I"), as_support(supports[1], "J")
        if left.shape[1] != right.shape[0]:
            raise ProblemError(
                f"the supports do not chain: I has {left.shape[1]} columns and J has "
                f"{right.shape[0]} rows"
            )
        if (left.shape[0], right.shape[1]) != target.shape:
            raise ProblemError(
                f"the supports give products of shape {(left.shape[0], right.shape[1])}, "
                f"the target has shape {target.shape}"
            )
        object.__setattr__(self, "target", read_only(target))
        object.__setattr__(self, "supports", (left, right))

    def evaluate(self, answer: SupportedFactors) -> Mapping[str, float]:
        """Return the Frobenius error and the mass of the factors outside their supports."""
        left, right = self.supports
        outside = np.linalg.norm(answer.left[~left]) + np.linalg.norm(answer.right[~right])
        product = _double(answer.left) @ _double(answer.right)
        error = np.linalg.norm(_double(self.target) - product)
        return {"error": float(error), "outside_support": float(outside)}

    def describe(self) -> str:
        """Return one line with the sizes."""
        (m, r), n = self.supports[0].shape, self.supports[1].shape[1]
        return f"nearest product of factors {m} x {r} and {r} x {n} with fixed supports"

    def structure(self) -> dict[str, Any]:
        """Say whether the rectangles are pairwise disjoint or identical."""
        return {"tractable": is_tractable(*self.supports)}


def certify(
    problem: FixedSupportFactorization,
    answer: SupportedFactors,
    closedness: Certificate | None = None,
) -> FixedSupportCertificate:
    """Return the certificate of an answer, with its error and lower bound computed here."""
    left, right = problem.supports
    bound = float(np.sqrt(squared_lower_bound(problem.target, left, right)))
    error = problem.evaluate(answer)["error"]
    return FixedSupportCertificate(problem, answer, error, bound, closedness)
