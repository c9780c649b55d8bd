"""Butterfly factorization when the orders of rows and columns are unknown.

`permutation_search` proposes orders; the error of the known-order factorization judges them. The
search compares columns above a noise floor that nobody knows, so it is run along a ladder of
floors, and on the transpose as well, whose failures are of another kind.

Orders of the transpose. The dyadic tree merges columns from the finest level while rows are split
from the coarsest one, so reading the transpose exchanges the two ends of both trees: if orders
(r, c) fit A^T, then (c[s], r[s]) fit A, with s the bit reversal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt_kronecker.permutation_search import find_dyadic_orders

# The first floor finds exact products. Of the others, those an order of magnitude above the usual
# noise of a per cent recover most, so they come first.
FLOORS = (1e-10, 0.1, 0.3, 0.03, 1e-2, 3e-3)
# Without structure no floor is better than another, so controls run only this many.
_CONTROL_FLOORS = 2


@dataclass(frozen=True)
class PermutedHierarchical(so.Solver[so.ButterflyFactorization]):
    """Find the orders of rows and columns, then factorize with these orders.

    The answer is compared with the same search on copies with shuffled entries; if it is not
    clearly better, the target has no butterfly structure that can be told from chance.

    Parameters
    ----------
    starts : int
        Starting pairs of columns at each depth of the search.
    controls : int
        Number of shuffled copies; 0 chooses by the size: 64 / n, at least 1 and at most 8. Errors
        of structureless matrices differ the less the larger they are.
    contrast : float
        An error above this share of the least one of the controls counts as no structure.
    """

    starts: int = 32
    controls: int = 0
    contrast: float = 0.9

    def __post_init__(self) -> None:
        if self.starts < 1 or self.controls < 0 or not 0 < self.contrast <= 1:
            raise so.ProblemError(
                "starts must be at least 1, controls at least 0 and contrast in (0, 1], got "
                f"{self.starts!r}, {self.controls!r} and {self.contrast!r}"
            )

    def accepts(self, problem: so.ButterflyFactorization) -> so.Accepted | so.Refused:
        """Take every problem with unknown permutations."""
        if problem.permutations == "unknown":
            return so.Accepted()
        return so.Refused("the permutations are known: nothing is to be searched")

    def solve(
        self, problem: so.ButterflyFactorization, context: so.Context
    ) -> tuple[so.PermutedKroneckerProduct, so.PermutedButterflyCertificate]:
        """Return the permuted product with its error, or raise `Inconclusive`.

        O(n^3) operations per floor and orientation; a few copies of the target.
        """
        matrix = problem.columns(0, problem.shape[1])
        search = _Search(problem.architecture, problem.scaling, self.starts, context)
        found = search.best(matrix, FLOORS, "searching the permutations")
        if not search.is_exact(found):
            self._require_structure(search, matrix, found.error)
        answer = so.PermutedKroneckerProduct(found.product, found.rows, found.columns)
        return answer, so.PermutedButterflyCertificate(problem, answer, problem.error_of(answer))

    def cost(self, problem: so.ButterflyFactorization) -> float:
        """Predict the seconds of a noisy search with its control."""
        return 1e-2 + 3e-6 * problem.shape[0] ** 3

    def _require_structure(self, search: _Search, matrix: np.ndarray, error: float) -> None:
        """Raise `Inconclusive` unless the error is clearly below that of shuffled copies."""
        size = matrix.shape[0]
        count = self.controls or max(1, min(8, 64 // size))
        floors = FLOORS[:_CONTROL_FLOORS]
        rng = search.context.rng()
        least = math.inf
        for i in range(count):
            shuffled = rng.permutation(matrix.ravel()).reshape(matrix.shape)
            control = search.best(shuffled, floors, f"searching shuffled copy {i + 1} of {count}")
            least = min(least, control.error)
        if error > self.contrast * least:
            raise so.Inconclusive(
                f"no butterfly structure found: the best orders leave a relative error of "
                f"{error:.4g}, and entries shuffled at random allow {least:.4g}"
            )


@dataclass(frozen=True)
class _Found:
    """Orders of rows and columns, the product nearest to the ordered target, its relative error."""

    rows: np.ndarray
    columns: np.ndarray
    product: so.KroneckerProduct
    error: float


@dataclass(frozen=True)
class _Search:
    """Searches for matrices of one architecture."""

    architecture: so.Architecture
    scaling: float
    starts: int
    context: so.Context

    def best(self, matrix: np.ndarray, floors: tuple[float, ...], doing: str) -> _Found:
        """Return the best orders over floors and orientations, the given order included.

        It ends early when a product is exact, or when matrix and transpose end at one error: their
        searches fail in different ways, so failures hardly coincide.
        """
        kind = np.complex128 if matrix.dtype.kind == "c" else np.float64
        scaled = matrix.astype(kind) * self.scaling
        identity = np.arange(matrix.shape[0])
        best = self._judge(matrix, identity, identity)
        for i, floor in enumerate(floors):
            ends = []
            for flip in (False, True):
                if self.is_exact(best):
                    return best
                self.context.report((i + flip / 2) / len(floors), doing)
                found = self._judge(matrix, *self._orders(scaled, floor, flip))
                ends.append(found.error)
                best = min(best, found, key=lambda item: item.error)
            if max(ends) <= (1 + 1e-3) * best.error:
                break
        return best

    def is_exact(self, found: _Found) -> bool:
        """Whether the error is within rounding."""
        eps = float(np.finfo(found.product.dtype).eps)
        return found.error <= 32 * len(self.architecture) * eps

    def _orders(
        self, matrix: np.ndarray, floor: float, flip: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return orders found on the matrix, or on its transpose and carried over."""
        if not flip:
            return find_dyadic_orders(matrix, floor, self.starts, self.context)
        rows, columns = find_dyadic_orders(matrix.T, floor, self.starts, self.context)
        reversal = bit_reversal(matrix.shape[0])
        return columns[reversal], rows[reversal]

    def _judge(self, matrix: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> _Found:
        """Factorize with known orders."""
        ordered = so.ButterflyFactorization(matrix[np.ix_(rows, columns)], self.architecture)
        left = self.context.remaining()
        # At the limit the search itself says so; the last factorization is short.
        limit = None if math.isinf(left) else max(left, 1.0)
        solution = so.solve(ordered, time_limit=limit)
        certificate = solution.certificate
        assert isinstance(certificate, so.ButterflyCertificate)
        return _Found(rows, columns, solution.answer, certificate.relative_error)


def bit_reversal(size: int) -> np.ndarray:
    """Return the permutation of ``range(size)`` that reverses the bits, size a power of two."""
    order = np.zeros(1, dtype=int)
    while order.size < size:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order
