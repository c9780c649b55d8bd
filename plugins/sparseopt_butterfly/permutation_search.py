"""Unknown permutations: find the row and column orders that make a matrix a dyadic butterfly.

A dyadic product B of size n = 2^L has, for every j, rank-one blocks on (rows that share their low
L - j bits) x (columns that share their high j bits). So rows and columns carry two binary trees,
and only the trees matter: swapping the two subtrees of a node changes no block. The search
rebuilds both trees from the finest level on.

At depth s the rows are split into 2^s classes and the columns are merged into m = n / 2^s
representatives; class c gives an m x m matrix. Columns pair up (the same pairs in every class),
and each class splits into two halves, so that every pair is a rank-one matrix on each half. A pair
is then replaced, on each half, by its top left singular vector, and the next depth begins.

Pairs and halves are found together:
- A row (u, v) of two columns is a point on a sphere (the Bloch vector of the line through it),
  weighted by |u|^2 + |v|^2. The best rank-one error of a set of rows is (W - |R|) / 2, with W the
  sum of the weights and R that of the weighted vectors, for real and complex entries alike. Two
  halves are two clusters of points: they are cut along the principal axis.
- Given halves, all pairs are found at once: the rank-one error of every pair of columns follows
  from two Gram matrices, and a minimum-cost matching picks the pairs.
- Given pairs, a row belongs to the half whose lines it is nearer to, summed over all pairs.
The last two alternate until nothing changes, from several starts; the least total error wins.

The recovery from noisy entries is ours; that the partitions can be found algebraically without
noise is said in the public abstract of Zheng, Le, Riccietti, Gribonval (GRETSI 2023).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

import sparseopt as so

_ROUNDS = 30
# The error of two lines is a difference: up to this share it may be rounding of an exact fit.
_EXACT = 1e-12


@dataclass(eq=False)
class _Level:
    """One depth: pairs of columns, the half of every row in every class, and the error."""

    pairs: np.ndarray  # (m / 2, 2)
    halves: np.ndarray  # (classes, m) of 0 and 1
    error: float

    def same(self, other: _Level) -> bool:
        """Whether pairs and halves are equal."""
        return np.array_equal(self.pairs, other.pairs) and np.array_equal(self.halves, other.halves)


class OrderSearch:
    """Searches orders that make a matrix nearly dyadic.

    What does not depend on the noise floor is computed once and kept for further floors.

    Parameters
    ----------
    matrix : array (n, n)
        Real or complex, n a power of two.
    starts : int
        Starting pairs of columns per depth.
    context : Context
        Clock.
    """

    def __init__(self, matrix: np.ndarray, starts: int, context: so.Context) -> None:
        kind = np.complex128 if matrix.dtype.kind == "c" else np.float64
        self.data = np.ascontiguousarray(matrix.T[None], dtype=kind)  # column by column
        self.starts = starts
        self.context = context
        self.known: dict[bytes, dict[int, np.ndarray]] = {}

    def orders(self, floor: float) -> tuple[np.ndarray, np.ndarray]:
        """Return row and column orders such that ``matrix[rows][:, columns]`` is nearly dyadic.

        Parameters
        ----------
        floor : float
            Entries below ``floor`` times the root mean square count as noise when columns are
            compared.

        Returns
        -------
        rows, columns : int array (n,)
            O(n^3) operations in all, the first depth dominates.
        """
        data = self.data
        size = data.shape[2]
        members = np.arange(size)[None]
        row_bits = np.zeros(size, dtype=int)
        column_groups = np.arange(size)[:, None]
        depth = 0
        while data.shape[2] > 1:
            level = self._solve_level(data, floor)
            row_bits[members] |= level.halves.astype(int) << depth
            column_groups = column_groups[level.pairs].reshape(len(level.pairs), -1)
            sides = _sides(level.halves)
            members = np.stack([np.take_along_axis(members, s, axis=1) for s in sides], axis=1)
            members = members.reshape(-1, data.shape[2] // 2)
            data = _merge(data, level.pairs, sides)
            depth += 1
        return np.argsort(row_bits), column_groups[0]

    def _solve_level(self, data: np.ndarray, floor: float) -> _Level:
        """Return the best pairs and halves of one depth, over several starts.

        Two starts that end at the same pairs and halves end the search, as does an exact fit.
        """
        m = data.shape[2]
        if m == 2:
            halves = np.tile(np.array([0, 1], dtype=np.int8), (len(data), 1))
            return _Level(np.array([[0, 1]]), halves, 0.0)
        columns = _Columns(data, self.known.setdefault(sha256(data.data).digest(), {}))
        noise = floor**2 * float(columns.energy.mean())
        rounding = 64 * float(np.finfo(float).eps) * float(columns.energy.sum())
        best: _Level | None = None
        seen: set[bytes] = set()
        for halves in self._starting_halves(columns, noise):
            start = halves.tobytes()
            if start in seen:
                continue
            seen.add(start)
            self.context.check_time("searching the permutations")
            level = _refine(columns, halves, noise)
            if level.error <= rounding or (best is not None and level.same(best)):
                return level
            if best is None or level.error < best.error:
                best = level
        assert best is not None
        return best

    def _starting_halves(self, columns: _Columns, noise: float) -> Iterator[np.ndarray]:
        """Yield halves cut from the most convincing pairs of columns, alone and voting together.

        A pair that looks exact is yielded at once: if it is, no other one has to be looked at.
        """
        energy, squares = columns.energy, columns.squares
        # A column whose mass sits in few rows fits any two lines: prefer evenly filled ones.
        spread = energy**2 / np.maximum(np.sum(squares**2, axis=(0, 2)), 1e-300)
        bases = np.argsort(-spread, kind="stable")[: self.starts]
        scored: list[tuple[float, int, int]] = []
        for base in bases:
            self.context.check_time("searching the permutations")
            relative = columns.errors(int(base)) / (np.minimum(energy, energy[base]) + noise)
            relative[base] = np.inf
            q = int(np.argmin(relative))
            scored.append((float(relative[q]), int(base), q))
            if relative[q] <= _EXACT:
                yield columns.halves(int(base), q)
        scored.sort()
        disjoint: list[tuple[int, int]] = []
        used: set[int] = set()
        for _, p, q in scored:
            if p not in used and q not in used:
                disjoint.append((p, q))
                used |= {p, q}
        counts = sorted({len(disjoint), min(4, len(disjoint)), min(16, len(disjoint))})
        for count in reversed(counts):
            yield columns.vote(disjoint[:count])
        for _, p, q in scored[: max(2, self.starts // 8)]:
            yield columns.halves(p, q)


class _Columns:
    """The columns of every class at one depth, and what is known of their pairs.

    Attributes
    ----------
    entries : array (classes, m, m)
        Class, column, row.
    squares : array (classes, m, m)
        Squared moduli.
    energy : array (m,)
        Squared norm of every column, over all classes.
    known : dict
        The `errors` found so far; kept over floors, unlike the rest.
    """

    def __init__(self, entries: np.ndarray, known: dict[int, np.ndarray]) -> None:
        self.entries = entries
        self.squares = entries.real**2 + entries.imag**2
        self.energy = self.squares.sum(axis=(0, 2))
        self.known = known

    def errors(self, base: int) -> np.ndarray:
        """Return the errors of two lines through the rows of (base, q), for every q, shape (m,)."""
        if base not in self.known:
            self.known[base] = self._two_lines(base, slice(None))[0]
        return self.known[base].copy()

    def halves(self, base: int, q: int) -> np.ndarray:
        """Return the half of every row in every class, (classes, m), that fits (base, q) best."""
        return self._two_lines(base, slice(q, q + 1))[1][:, 0]

    def vote(self, pairs: list[tuple[int, int]]) -> np.ndarray:
        """Cut the rows of every class along the principal axis of the vectors of all pairs."""
        first, second = (list(side) for side in zip(*pairs, strict=True))
        bloch, weights = self._bloch(first, second)
        points = np.stack(bloch, axis=-1)
        mass = np.maximum(weights.sum(axis=2, keepdims=True), 1e-300)
        points -= (weights / mass)[..., None] * points.sum(axis=2, keepdims=True)
        flat = points.transpose(0, 2, 1, 3).reshape(len(points), points.shape[2], -1)
        gram = flat @ flat.swapaxes(1, 2)
        return _halves_along(np.linalg.eigh(gram)[1][..., -1])

    def _bloch(self, first: Any, second: Any) -> tuple[list[np.ndarray], np.ndarray]:
        """Return the coordinates of the weighted Bloch vectors of pairs, and their weights.

        Each of shape (classes, pairs, m); of real entries only two coordinates, the third is 0.
        """
        cross = 2 * self.entries[:, first].conj() * self.entries[:, second]
        own, other = self.squares[:, first], self.squares[:, second]
        bloch = [own - other, cross.real]
        if cross.dtype.kind == "c":
            bloch.append(cross.imag)
        return bloch, own + other

    def _two_lines(self, base: int, others: slice) -> tuple[np.ndarray, np.ndarray]:
        """Fit two lines to the rows of pairs (base, q), per class.

        Returns the errors (pairs,), summed over classes, and the halves (classes, pairs, m).
        """
        bloch, weights = self._bloch(slice(base, base + 1), others)
        empty = weights == 0
        inverse = 1 / np.where(empty, 1.0, weights)
        along = _principal(bloch, weights, inverse)
        along *= inverse
        if empty.any():
            along = np.where(empty, np.median(along, axis=2, keepdims=True), along)
        halves = _halves_along(along)
        one = two = 0.0
        for coordinate in bloch:
            part = np.einsum("cqr,cqr->cq", coordinate, halves)
            one = one + part**2
            two = two + (coordinate.sum(axis=2) - part) ** 2
        errors = (weights.sum(axis=2) - np.sqrt(one) - np.sqrt(two)) / 2
        return np.maximum(errors, 0).sum(axis=0), halves


def _principal(bloch: list[np.ndarray], weights: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Return weighted vectors (classes, pairs, rows) along the principal axis of their pair."""
    totals = np.stack([coordinate.sum(axis=2) for coordinate in bloch], axis=-1)
    mass = weights.sum(axis=2)[..., None, None]
    size = len(bloch)
    covariance = np.empty((*totals.shape, size))
    for i in range(size):
        scaled = bloch[i] * inverse
        for j in range(i, size):
            covariance[..., i, j] = np.einsum("cqr,cqr->cq", scaled, bloch[j])
            covariance[..., j, i] = covariance[..., i, j]
    outer = totals[..., :, None] * totals[..., None, :]
    covariance -= outer / np.where(mass > 0, mass, 1.0)
    axis = np.linalg.eigh(covariance)[1][..., -1]
    along = bloch[0] * axis[..., 0, None]
    for i in range(1, size):
        along += bloch[i] * axis[..., i, None]
    return along


def _halves_along(values: np.ndarray) -> np.ndarray:
    """Return 0 for the smaller half of the values along the last axis and 1 for the others."""
    count = values.shape[-1] // 2
    smaller = np.argpartition(values, count - 1, axis=-1)[..., :count]
    halves = np.ones(values.shape, dtype=np.int8)
    np.put_along_axis(halves, smaller, 0, axis=-1)
    return halves


def _sides(halves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of both halves of every class, each (classes, m / 2), in order."""
    order = np.argsort(halves, axis=1, kind="stable")
    count = halves.shape[1] // 2
    return order[:, :count], order[:, count:]


def _refine(columns: _Columns, halves: np.ndarray, noise: float) -> _Level:
    """Alternate matching of columns and assignment of rows until nothing changes."""
    best: _Level | None = None
    for _ in range(_ROUNDS):
        errors = _pair_errors(columns.entries, halves)
        pairs = _match(errors, columns.energy, noise)
        error = float(errors[pairs[:, 0], pairs[:, 1]].sum())
        if best is not None and error >= best.error * (1 - 1e-9):
            break
        best = _Level(pairs, halves, error)
        halves = _assign(columns.entries, halves, pairs)
        if np.array_equal(halves, best.halves):
            break
    assert best is not None
    return best


def _pair_errors(entries: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """Return the rank-one error of every pair of columns, summed over classes and halves.

    The smaller eigenvalue of a 2 x 2 Gram matrix, from its trace and the distance between both.
    """
    total = 0.0
    for side in _sides(halves):
        part = np.take_along_axis(entries, side[:, None], axis=2)
        gram = part.conj() @ part.swapaxes(1, 2)
        squares = np.einsum("cpp->cp", gram).real
        root = gram.real**2 + gram.imag**2
        root *= 4
        root += (squares[:, :, None] - squares[:, None, :]) ** 2
        np.sqrt(root, out=root)
        energy = squares.sum(axis=0)
        total = total + (energy[:, None] + energy[None, :] - root.sum(axis=0)) / 2
    return np.maximum(total, 0)


def _match(errors: np.ndarray, energy: np.ndarray, noise: float) -> np.ndarray:
    """Return a perfect matching of the columns (m / 2, 2) of low cost.

    It is of least cost if every column and the one that it fits best choose each other, or if the
    least-cost assignment is symmetric. What an assignment leaves in longer cycles is matched
    greedily and improved by exchanges.
    """
    from scipy.optimize import linear_sum_assignment

    cost = errors / (np.minimum(energy[:, None], energy[None, :]) + noise + 1e-300)
    np.fill_diagonal(cost, 1e6)
    identity = np.arange(len(cost))
    partner = cost.argmin(axis=1)
    if not np.array_equal(partner[partner], identity):
        partner = linear_sum_assignment(cost)[1]
    mutual = partner[partner] == identity
    one = identity[mutual & (identity < partner)]
    pairs = np.stack([one, partner[one]], axis=1)
    left = identity[~mutual]
    if left.size:
        rest = left[_match_rest(cost[np.ix_(left, left)])]
        pairs = np.concatenate([pairs, np.sort(rest, axis=1)])
    return pairs[np.argsort(pairs[:, 0])]


def _match_rest(cost: np.ndarray) -> np.ndarray:
    """Match an even number of columns: the cheapest pairs first, then exchanges between two."""
    cost = cost + cost.T
    open_ = cost.copy()
    pairs = np.empty((len(cost) // 2, 2), dtype=int)
    for i in range(len(pairs)):
        pair = pairs[i] = divmod(int(open_.argmin()), len(cost))
        open_[list(pair)] = np.inf
        open_[:, list(pair)] = np.inf
    for _ in range(4 * len(pairs)):
        one, two = pairs.T
        now = cost[one, two]
        now = now[:, None] + now[None, :]
        straight = cost[np.ix_(one, one)] + cost[np.ix_(two, two)] - now
        crossed = cost[np.ix_(one, two)] + cost[np.ix_(two, one)] - now
        np.fill_diagonal(straight, 0)
        np.fill_diagonal(crossed, 0)
        better = straight if straight.min() < crossed.min() else crossed
        i, j = divmod(int(better.argmin()), len(pairs))
        if better[i, j] >= -1e-12 * now[i, j]:
            break
        (a, b), (c, d) = pairs[i].tolist(), pairs[j].tolist()
        pairs[[i, j]] = ((a, c), (b, d)) if better is straight else ((a, d), (c, b))
    return pairs


def _lines(
    entries: np.ndarray, pairs: np.ndarray, side: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (classes, pairs) of both columns of every pair in their best combination.

    ``first * v + second * w`` with unit (v, w) has the largest norm on the rows of `side`: the top
    eigenvector of the 2 x 2 Gram matrix.
    """
    part = np.take_along_axis(entries, side[:, None], axis=2)
    first, second = part[:, pairs[:, 0]], part[:, pairs[:, 1]]
    cross = np.einsum("cpr,cpr->cp", first.conj(), second)
    one = np.einsum("cpr,cpr->cp", first.conj(), first).real
    two = np.einsum("cpr,cpr->cp", second.conj(), second).real
    gap = (one - two) / 2
    root = np.hypot(gap, np.abs(cross))
    v = np.where(gap >= 0, gap + root, cross)
    w = np.where(gap >= 0, cross.conj(), root - gap)
    size = np.hypot(np.abs(v), np.abs(w))
    zero = size == 0
    size[zero] = 1
    v[zero] = 1
    return v / size, w / size


def _combine(entries: np.ndarray, pairs: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Return the best combination of every pair on the rows of `side`, at all rows."""
    v, w = _lines(entries, pairs, side)
    return entries[:, pairs[:, 0]] * v[..., None] + entries[:, pairs[:, 1]] * w[..., None]


def _assign(entries: np.ndarray, halves: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Give each row to the half whose lines it fits better; equal numbers on both."""
    captured = []
    for side in _sides(halves):
        made = _combine(entries, pairs, side)
        captured.append((made.real**2 + made.imag**2).sum(axis=1))
    new = _halves_along(captured[1] - captured[0])
    # Keep the labels of the old halves, so that "nothing changed" can be seen.
    flip = np.sum(new == halves, axis=1) * 2 < halves.shape[1]
    return np.where(flip[:, None], 1 - new, new).astype(halves.dtype)


def _merge(
    entries: np.ndarray, pairs: np.ndarray, sides: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Replace every pair by its top left singular vector times value, per half of each class."""
    merged = [
        np.take_along_axis(_combine(entries, pairs, side), side[:, None], axis=2) for side in sides
    ]
    count = len(pairs)
    return np.ascontiguousarray(np.stack(merged, axis=1).reshape(-1, count, count))
