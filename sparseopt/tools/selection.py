"""The architecture with the least proven error for a matrix, within a budget of parameters.

Let an architecture with full products have ordered factorizations m = q_1 .. q_L, n = p_1 .. p_L
and ranks r_l, as in `sparseopt.tools.architectures`. Its split error at cut l depends only on
Q = q_1 .. q_l, P = p_1 .. p_l and r_l: it is what the best rank-r_l approximations of the Q x n / P
blocks leave. So the proven bound E_1^2 + .. + E_{L-1}^2 (see `ButterflyCertificate`) and the number
of parameters are both sums over the steps of a path through the states (Q, P, r), and the best
architecture of every size follows from shortest paths, although the architectures are too many to
be listed. The step from (Q, P, r) to (Q q, P p, r') is the pattern (P, q r, p r', m / (Q q)); it is
allowed if r' < q r and r < p r', which is non-redundancy.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.expansion import Grid, pieces
from sparseopt.butterfly.problem import ButterflyFactorization
from sparseopt.butterfly.target import Reader
from sparseopt.interface.arrays import as_count
from sparseopt.interface.errors import ProblemError

State = tuple[int, int, int]
"""Q, P and r of a cut; (1, 1, 1) at the start, (m, n, 1) at the end."""


@dataclass(frozen=True)
class _Path:
    """Patterns up to a state: their parameters, the sum of squared split errors, the last step."""

    nnz: int
    squared: float
    pattern: tuple[int, int, int, int] | None = None
    before: _Path | None = None

    @property
    def patterns(self) -> list[tuple[int, int, int, int]]:
        """All patterns, in order."""
        if self.before is None or self.pattern is None:
            return []
        return [*self.before.patterns, self.pattern]


@dataclass(frozen=True)
class ChosenArchitecture:
    """An architecture chosen for a matrix.

    Attributes
    ----------
    architecture : Architecture
        Chainable and non-redundant.
    upper_bound : float
        Its products reach this Frobenius error, up to rounding: sqrt(sum E_j^2).
    """

    architecture: Architecture
    upper_bound: float


def best_architecture(target: Any, max_nnz: int, max_rank: int = 4) -> ChosenArchitecture:
    """Return the architecture of least proven error among those within a budget.

    Parameters
    ----------
    target : array (m, n)
        Whatever `ButterflyFactorization` takes.
    max_nnz : int
        Largest number of parameters.
    max_rank : int
        Largest rank allowed at any cut.

    Returns
    -------
    ChosenArchitecture
        The least sum of squared split errors among all non-redundant chainable architectures with
        full products; of equal ones (within rounding) the one with the fewest parameters. One
        batched SVD of the target per pair of divisors of m and n that the budget can reach.

    Raises
    ------
    ProblemError
        If nothing fits the budget (saying what would), or the target is no finite matrix.

    Examples
    --------
    >>> import scipy.linalg
    >>> from sparseopt.tools.selection import best_architecture
    >>> found = best_architecture(scipy.linalg.hadamard(8), max_nnz=64)
    >>> found.architecture.nnz, found.upper_bound
    (48, 0.0)
    """
    return architecture_front(target, max_nnz, max_rank)[-1]


def architecture_front(
    target: Any, max_nnz: int, max_rank: int = 4
) -> tuple[ChosenArchitecture, ...]:
    """Return the architectures within a budget that no other one beats, smallest first.

    Each has more parameters and a smaller bound than the one before; for any smaller budget, the
    last one that fits is what `best_architecture` returns. Parameters, cost and errors are those
    of `best_architecture`.

    Examples
    --------
    >>> import scipy.linalg
    >>> from sparseopt.tools.selection import architecture_front
    >>> front = architecture_front(scipy.linalg.hadamard(4), max_nnz=16)
    >>> [(found.architecture.nnz, found.upper_bound > 0) for found in front]
    [(8, True), (12, True), (16, False)]
    """
    max_nnz, max_rank = as_count(max_nnz, "max_nnz"), as_count(max_rank, "max_rank")
    shape = tuple(getattr(target, "shape", np.shape(target)))
    if len(shape) != 2 or 0 in shape:
        raise ProblemError(f"target must be a non-empty matrix, got shape {shape}")
    problem = ButterflyFactorization(target, Architecture([(1, *shape, 1)]))
    front = _Chooser(problem, max_nnz, max_rank).run()
    if not front:
        least = min(shape[0] * shape[1], sum(shape))
        raise ProblemError(
            f"no architecture for a {shape[0]} x {shape[1]} matrix has at most {max_nnz} "
            f"parameters with ranks up to {max_rank}; {least} are enough"
        )
    return tuple(
        ChosenArchitecture(
            Architecture(path.patterns), math.ldexp(math.sqrt(path.squared), problem.exponent)
        )
        for path in front
    )


class _Chooser:
    """Shortest paths with two costs: for every state, the paths that no other one beats."""

    def __init__(self, problem: ButterflyFactorization, max_nnz: int, max_rank: int) -> None:
        self.problem = problem
        self.max_nnz = max_nnz
        self.max_rank = max_rank
        # Split errors below this are rounding: counted as 0, so that fewer parameters win.
        self.reader = Reader(problem.target, problem.exponent)
        norm = problem.norm_figure
        unit = float(np.finfo(problem.dtype).eps) * math.ldexp(
            norm.value, norm.exponent - problem.exponent
        )
        self.negligible = (32 * unit) ** 2
        self.tails: dict[tuple[int, int], np.ndarray] = {}
        # Sizes and squared errors of the whole paths found so far that no other one beats.
        self.sizes: list[int] = []
        self.errors: list[float] = []

    def run(self) -> list[_Path]:
        """Return the whole paths that no other one beats, by parameters."""
        m, n = self.problem.shape
        start = _Path(0, 0.0)
        ends: list[_Path] = []
        self._close((1, 1, 1), start, ends)
        # Every step multiplies Q P by at least 2, so this order sees a state after its past.
        cuts = sorted(
            ((q, p) for q in _divisors(m) for p in _divisors(n)), key=lambda pair: pair[0] * pair[1]
        )
        fronts: dict[State, list[_Path]] = {}
        self._extend((1, 1, 1), start, fronts)
        # Paths of two steps first: most others turn out to be worse before they are whole.
        for state, paths in fronts.items():
            for path in paths:
                self._close(state, path, ends)
        for cut in cuts:
            for rank in range(1, self.max_rank + 1):
                state = (*cut, rank)
                for path in _pareto(fronts.pop(state, [])):
                    self._close(state, path, ends)
                    self._extend(state, path, fronts)
        return _pareto(ends)

    def _close(self, state: State, path: _Path, ends: list[_Path]) -> None:
        """Add the path ended by the last pattern, if it is allowed and not beaten."""
        m, n = self.problem.shape
        done, a, rank = state
        if path.before is not None and rank >= n // a:
            return
        last = (a, m // done * rank, n // a, 1)
        nnz = path.nnz + math.prod(last)
        if nnz <= self.max_nnz and not self._beaten(nnz, path.squared):
            ends.append(_Path(nnz, path.squared, last, path))
            place = bisect_left(self.sizes, nnz)
            worse = place
            while worse < len(self.sizes) and self.errors[worse] >= path.squared:
                worse += 1
            self.sizes[place:worse] = [nnz]
            self.errors[place:worse] = [path.squared]

    def _beaten(self, nnz: int, squared: float) -> bool:
        """Whether a whole path has neither more parameters nor a larger error."""
        place = bisect_right(self.sizes, nnz)
        return place > 0 and self.errors[place - 1] <= squared

    def _extend(self, state: State, path: _Path, fronts: dict[State, list[_Path]]) -> None:
        """Add every next step within the budget whose path can still be one of the best."""
        m, n = self.problem.shape
        done, a, rank = state
        left, right = m // done, n // a
        for q in _divisors(left):
            for p in _divisors(right):
                for new in range(1, min(self.max_rank, q * rank - 1) + 1):
                    if path.before is not None and rank >= p * new:
                        continue
                    step = (a, q * rank, p * new, left // q)
                    nnz = path.nnz + math.prod(step)
                    # Errors only grow along a path, so one beaten now is beaten when whole.
                    if nnz >= self.max_nnz or self._beaten(nnz, path.squared):
                        break
                    reached = (done * q, a * p)
                    squared = path.squared + self._squared_error(*reached, new)
                    if not self._beaten(nnz, squared):
                        longer = _Path(nnz, squared, step, path)
                        fronts.setdefault((*reached, new), []).append(longer)

    def _squared_error(self, rows: int, groups: int, rank: int) -> float:
        """Return what the best approximations of rank `rank` leave of the blocks of a cut."""
        key = rows, groups
        if key not in self.tails:
            lost, total = self._lost(rows, groups, _gram_squares)
            least = min(rows, self.problem.shape[1] // groups, self.max_rank + 1)
            if (lost[1:least] < _GRAM_LIMIT * total).any():
                lost, _ = self._lost(rows, groups, _squares)
            lost[lost <= self.negligible] = 0.0
            self.tails[key] = lost
        return float(self.tails[key][rank])

    def _lost(
        self, rows: int, groups: int, squares_of: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, float]:
        """Return what is left of the blocks by each rank, and the sum of all squares."""
        m, n = self.problem.shape
        grid = Grid(1, rows, m // rows, groups, n // groups, 1)
        lost, total = np.zeros(self.max_rank + 1), 0.0
        # With min(rows, n / groups) singular values, larger ranks lose nothing.
        for blocks in pieces(self.reader, grid):
            squares = squares_of(blocks)
            sums = squares.sum(axis=tuple(range(squares.ndim - 1)))
            total += float(sums.sum())
            for r in range(1, min(self.max_rank, sums.size) + 1):
                lost[r] += float(sums[r:].sum())
        return lost, total


# Eigenvalues of Gram matrices are a few times faster than singular values. Their error is about
# eps times the sum of all squares, so sums above this share of it keep ten digits.
_GRAM_LIMIT = 1e-5


def _gram_squares(blocks: np.ndarray) -> np.ndarray:
    """Return the squared singular values of each block by its Gram matrix, largest first."""
    adjoint = blocks.conj().swapaxes(-1, -2)
    gram = blocks @ adjoint if blocks.shape[-2] <= blocks.shape[-1] else adjoint @ blocks
    return np.maximum(np.linalg.eigvalsh(gram)[..., ::-1], 0.0)


def _squares(blocks: np.ndarray) -> np.ndarray:
    """Return the squared singular values of each block, largest first."""
    return np.linalg.svd(blocks, compute_uv=False) ** 2


def _pareto(paths: list[_Path]) -> list[_Path]:
    """Return the paths for which no other one has both fewer parameters and a smaller error."""
    kept: list[_Path] = []
    for path in sorted(paths, key=lambda item: (item.nnz, item.squared)):
        if not kept or path.squared < kept[-1].squared:
            kept.append(path)
    return kept


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]
