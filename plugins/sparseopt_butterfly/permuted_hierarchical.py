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
from sparseopt_butterfly.memory import require_memory
from sparseopt_butterfly.permutation_search import OrderSearch

# The first floor finds exact products. Of the others, those an order of magnitude above the usual
# noise of a per cent recover most, so they come first.
FLOORS = (1e-10, 0.1, 0.3, 0.03, 1e-2, 3e-3)
# The comparison with controls runs only this many: without structure no floor is better than
# another. Small targets run no more either: they are as easily found.
_FEW = 2
_SMALL = 16
# Above this size the comparison runs one floor in one orientation.
_LARGE = 64
# A structure that lowers the error by less than this share is not told from chance, nor is one
# that a model of the errors expects once in a thousand times; see `structure_threshold`.
_CONTRAST = 0.9
_MODEL_LEVEL = 1e-3


@dataclass(frozen=True)
class PermutedHierarchical(so.Solver[so.ButterflyFactorization]):
    """Find the orders of rows and columns, then factorize with these orders.

    Unless the product is exact, the answer is compared with what the same search finds on copies of
    the target with shuffled entries: a permutation test. A matrix whose entries stand in an order
    that is random among all their orders has a smaller error than all copies with probability
    1 / (controls + 1) at most, whatever the entries are; so that is the level at which structure
    is accepted. Nothing else is claimed. Beyond that the error must be clearly smaller, see
    `structure_threshold`: a caution that rests on a model and makes mistakes rarer, for many
    kinds of entries far rarer.

    Time O(n^3), memory O(n^2), for an n x n target, each try: all pairs of rows are compared.

    Parameters
    ----------
    starts : int
        Starting pairs of columns at each depth of the search.
    controls : int
        Number of shuffled copies, at least 2; 0 chooses by the size: 160 / n, from 3 to 40. A
        structureless matrix is accepted with probability 1 / (controls + 1) at most: ask for 999
        to have 1e-3.
    """

    starts: int = 32
    controls: int = 0

    def __post_init__(self) -> None:
        if self.starts < 1 or self.controls < 0 or self.controls == 1:
            raise so.ProblemError(
                "starts must be at least 1 and controls 0 or at least 2, got "
                f"{self.starts!r} and {self.controls!r}"
            )

    def accepts(self, problem: so.ButterflyFactorization) -> so.Accepted | so.Refused:
        """Take every problem with unknown permutations."""
        if problem.permutations == "unknown":
            return so.Accepted()
        return so.Refused("the permutations are known: there is nothing to search")

    def solve(
        self, problem: so.ButterflyFactorization, context: so.Context
    ) -> tuple[so.PermutedKroneckerProduct, so.PermutedButterflyCertificate]:
        """Return the permuted product with its error, or raise `Inconclusive`.

        O(n^3) operations per floor and orientation; 160 n^2 bytes.
        """
        require_memory(160 * problem.shape[0] ** 2, "order the target first")
        safe, exponent = problem.normalized()
        matrix = safe.columns(0, problem.shape[1])
        search = _Search(problem.architecture, self.starts, context)
        floors = FLOORS[:_FEW] if problem.shape[0] <= _SMALL else FLOORS
        found = search.best(matrix, floors, "searching the permutations")
        if not search.is_exact(found):
            self._require_structure(search, matrix)
        product = found.product.times_power(exponent)
        answer = so.PermutedKroneckerProduct(product, found.rows, found.columns)
        return answer, so.PermutedButterflyCertificate(problem, answer)

    def cost(self, problem: so.ButterflyFactorization) -> float:
        """Predict the seconds of a noisy search with its control."""
        return 1.0 + 3e-3 * problem.shape[0] + 2e-7 * problem.shape[0] ** 3

    def bytes_needed(self, problem: so.ButterflyFactorization) -> float:
        """Predict comparisons of rows, and copies of the target."""
        m, n = problem.shape
        return 2.0**20 + 128.0 * m * n

    def _require_structure(self, search: _Search, matrix: np.ndarray) -> None:
        """Raise `Inconclusive` unless the error is clearly below those of shuffled copies.

        Target and copies go through one and the same search, which is shorter than the target's
        own: only then are they exchangeable if the order of the entries is random.
        """
        size = matrix.shape[0]
        count = self.controls or max(3, min(40, 160 // size))
        large = size > _LARGE
        floors, flips = (FLOORS[1:2], (False,)) if large else (FLOORS[:_FEW], (False, True))
        error = search.best(matrix, floors, "comparing with shuffled copies", flips).error
        rng = search.context.rng()
        errors: list[float] = []
        for i in range(count):
            shuffled = rng.permutation(matrix.ravel()).reshape(matrix.shape)
            doing = f"searching shuffled copy {i + 1} of {count}"
            control = search.best(shuffled, floors, doing, flips)
            if control.error <= error:
                raise so.Inconclusive(
                    f"no butterfly structure found: the best orders leave a relative error of "
                    f"{error:.4g}, and entries shuffled at random allow {control.error:.4g}"
                )
            errors.append(control.error)
        threshold = structure_threshold(errors, size, matrix.dtype.kind == "c", _MODEL_LEVEL)
        threshold = min(threshold, _CONTRAST * min(errors))
        if error > threshold:
            raise so.Inconclusive(
                f"no butterfly structure found: the best orders leave a relative error of "
                f"{error:.4g}; next to {count} copies with shuffled entries, which leave "
                f"{min(errors):.4g} or more, only an error below {threshold:.4g} would tell "
                f"structure from chance at this size"
            )


def structure_threshold(errors: list[float], size: int, is_complex: bool, level: float) -> float:
    """Return the error below which a matrix seems to differ from structureless ones.

    By a model of the errors, which proves nothing: of sparse Gaussian matrices, whose errors spread
    more than it foresees, one in eighty was below.

    Dyadic products of size n = 2^L have n (L + 1) degrees of freedom: 2 n L values, less one scale
    for each of the n columns at each of the L - 1 cuts. The other ``k = n^2 - n (L + 1)`` entries
    are constraints (twice as many if complex). To first order, the squared distance of a Gaussian
    matrix to a smooth set is a sum of k squares, so its ratio to the mean of others follows
    Fisher's distribution with k and k times their number of degrees of freedom; the least over
    many orders spreads less. That model has the right left tail: with few constraints (at n = 4,
    k = 4) small errors are not rare. Entries with heavy tails spread more, so the spread seen among
    the controls counts too: Student's prediction of one more logarithm. The smaller of both holds.

    Parameters
    ----------
    errors : list of float
        Relative errors of at least two matrices without structure, positive.
    size : int
        n, at least 4.
    is_complex : bool
    level : float
        Probability to fall below by chance, if the model holds.

    Examples
    --------
    >>> round(structure_threshold([0.71, 0.70, 0.72, 0.71], 32, False, 1e-3), 2)
    0.62
    """
    from scipy.special import fdtri, stdtrit

    count = len(errors)
    constraints = (size**2 - size * size.bit_length()) * (2 if is_complex else 1)
    mean = sum(error**2 for error in errors) / count
    fisher = math.sqrt(mean * float(fdtri(constraints, constraints * count, level)))
    logs = np.log(errors)
    spread = float(logs.std(ddof=1)) * math.sqrt(1 + 1 / count)
    student = math.exp(float(logs.mean()) + spread * float(stdtrit(count - 1, level)))
    return min(fisher, student)


@dataclass(frozen=True, eq=False)
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
    starts: int
    context: so.Context

    def best(
        self,
        matrix: np.ndarray,
        floors: tuple[float, ...],
        doing: str,
        flips: tuple[bool, ...] = (False, True),
    ) -> _Found:
        """Return the best orders over floors and orientations, the given order included.

        It ends early when a product is exact, or when matrix and transpose end at one error: their
        searches fail in different ways, so failures hardly coincide.
        """
        searches = [OrderSearch(each, self.starts, self.context) for each in (matrix, matrix.T)]
        identity = np.arange(matrix.shape[0])
        best = self._judge(matrix, identity, identity)
        for i, floor in enumerate(floors):
            ends = []
            for flip in flips:
                if self.is_exact(best):
                    return best
                self.context.report((i + flip / 2) / len(floors), doing)
                found = self._judge(matrix, *_orders(searches[flip], floor, flip))
                ends.append(found.error)
                best = min(best, found, key=lambda item: item.error)
            if max(ends) <= (1 + 1e-3) * best.error:
                break
        return best

    def is_exact(self, found: _Found) -> bool:
        """Whether the error is within rounding."""
        eps = float(np.finfo(found.product.dtype).eps)
        return found.error <= 32 * len(self.architecture) * eps

    def _judge(self, matrix: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> _Found:
        """Factorize with known orders."""
        ordered = so.ButterflyFactorization(matrix[np.ix_(rows, columns)], self.architecture)
        left = self.context.remaining()
        # At the limit the search itself says so; the last factorization is short.
        limit = None if math.isinf(left) else max(left, 1.0)
        solution = so.solve(ordered, check=False, time_limit=limit, bounds="never")
        certificate = solution.certificate
        assert isinstance(certificate, so.ButterflyCertificate)
        return _Found(rows, columns, solution.answer, certificate.relative_error)


def _orders(search: OrderSearch, floor: float, flip: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return orders found on a matrix, or on its transpose and carried over."""
    rows, columns = search.orders(floor)
    if not flip:
        return rows, columns
    reversal = bit_reversal(len(rows))
    return columns[reversal], rows[reversal]


def bit_reversal(size: int) -> np.ndarray:
    """Return the permutation of ``range(size)`` that reverses the bits, size a power of two."""
    order = np.zeros(1, dtype=int)
    while order.size < size:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order
