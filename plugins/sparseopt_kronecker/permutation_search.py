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

from dataclasses import dataclass

import numpy as np

import sparseopt as so

_ROUNDS = 30


@dataclass
class _Level:
    """One depth: pairs of columns, the half of every row in every class, and the error."""

    pairs: np.ndarray  # (m / 2, 2)
    halves: np.ndarray  # (classes, m) of 0 and 1
    error: float


def find_dyadic_orders(
    matrix: np.ndarray, floor: float, starts: int, context: so.Context
) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column orders such that ``matrix[rows][:, columns]`` is nearly dyadic.

    Parameters
    ----------
    matrix : array (n, n)
        Real or complex, n a power of two.
    floor : float
        Entries below ``floor`` times the root mean square count as noise when columns are
        compared.
    starts : int
        Starting pairs of columns per depth.
    context : Context
        Clock.

    Returns
    -------
    rows, columns : int array (n,)
        O(n^3) operations in all, the first depth dominates.
    """
    size = matrix.shape[0]
    data = matrix[None].astype(np.complex128 if matrix.dtype.kind == "c" else np.float64)
    members = [np.arange(size)]
    row_bits = np.zeros(size, dtype=int)
    column_groups = [[j] for j in range(size)]
    depth = 0
    while data.shape[2] > 1:
        context.check_time("searching the permutations")
        level = _solve_level(data, floor, starts)
        for rows, half in zip(members, level.halves, strict=True):
            row_bits[rows] |= half.astype(int) << depth
        column_groups = [column_groups[p] + column_groups[q] for p, q in level.pairs]
        members = [
            rows[half == h]
            for rows, half in zip(members, level.halves, strict=True)
            for h in (0, 1)
        ]
        data = _merge(data, level)
        depth += 1
    return np.argsort(row_bits), np.array(column_groups[0])


def _solve_level(data: np.ndarray, floor: float, starts: int) -> _Level:
    """Return the best pairs and halves of one depth, over several starts."""
    m = data.shape[2]
    energy = np.sum(np.abs(data) ** 2, axis=(0, 1))
    noise = floor**2 * float(energy.mean())
    if m == 2:
        return _refine(data, np.tile([0, 1], (len(data), 1)), noise, pairs=np.array([[0, 1]]))
    best: _Level | None = None
    seen: set[bytes] = set()
    for halves in _starting_halves(data, energy, noise, starts):
        key = halves.tobytes()
        if key in seen:
            continue
        seen.add(key)
        level = _refine(data, halves, noise)
        if best is None or level.error < best.error:
            best = level
        if best.error <= 1e-24 * float(energy.sum()):
            break
    assert best is not None
    return best


def _starting_halves(
    data: np.ndarray, energy: np.ndarray, noise: float, starts: int
) -> list[np.ndarray]:
    """Return halves cut from the most convincing pairs of columns, alone and voting together."""
    # A column whose mass sits in few rows fits any two lines: prefer evenly filled ones.
    spread = energy**2 / np.maximum(np.sum(np.abs(data) ** 4, axis=(0, 1)), 1e-300)
    bases = np.argsort(-spread, kind="stable")[:starts]
    scored: list[tuple[float, int, int, np.ndarray]] = []
    for base in bases:
        errors, halves = _two_lines(data, int(base))
        relative = errors / (np.minimum(energy, energy[base]) + noise)
        relative[base] = np.inf
        q = int(np.argmin(relative))
        scored.append((float(relative[q]), int(base), q, halves[q]))
        if relative[q] <= 1e-20:  # an exact fit: no need to look further
            break
    scored.sort(key=lambda item: item[0])
    alone = [item[3] for item in scored[: max(2, starts // 8)]]
    disjoint: list[tuple[int, int]] = []
    used: set[int] = set()
    for _, p, q, _ in scored:
        if p not in used and q not in used:
            disjoint.append((p, q))
            used |= {p, q}
    counts = sorted({len(disjoint), min(4, len(disjoint)), min(16, len(disjoint))})
    return [_vote(data, disjoint[:count]) for count in reversed(counts)] + alone


def _vote(data: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Cut the rows of every class along the principal axis of all pairs' Bloch vectors."""
    first, second = (data[:, :, list(side)] for side in zip(*pairs, strict=True))
    cross = 2 * first.conj() * second
    difference = np.abs(first) ** 2 - np.abs(second) ** 2
    weights = np.abs(first) ** 2 + np.abs(second) ** 2
    points = np.stack([cross.real, cross.imag, difference], axis=-1)  # already weighted
    centre = points.sum(axis=1, keepdims=True)
    mass = np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    points = points - weights[..., None] * centre / mass[..., None]
    flat = points.reshape(*points.shape[:2], -1)
    along = np.linalg.svd(flat, full_matrices=False)[0][:, :, 0]
    halves = np.ones(along.shape, dtype=np.int8)
    order = np.argsort(along, axis=1, kind="stable")
    np.put_along_axis(halves, order[:, : data.shape[1] // 2], 0, axis=1)
    return halves


def _two_lines(data: np.ndarray, base: int) -> tuple[np.ndarray, np.ndarray]:
    """Fit two lines to the rows of every pair (base, q), per class.

    Returns the errors (m,), summed over classes, and the halves (m, classes, m), balanced.
    """
    classes, m, _ = data.shape
    u = data[:, :, base][:, :, None]
    cross = 2 * u.conj() * data
    vectors = np.stack(
        [cross.real, cross.imag, np.abs(u) ** 2 - np.abs(data) ** 2], axis=-1
    )  # (classes, rows, q, 3), already weighted
    weights = np.abs(u) ** 2 + np.abs(data) ** 2
    vectors = vectors.transpose(2, 0, 1, 3)  # (q, classes, rows, 3)
    weights = weights.transpose(2, 0, 1)
    total = vectors.sum(axis=2)
    mass = weights.sum(axis=2)
    safe = np.where(weights > 0, weights, 1.0)
    moment = np.einsum("qcri,qcrj->qcij", vectors / safe[..., None], vectors)
    centre = total / np.where(mass > 0, mass, 1.0)[..., None]
    covariance = moment - total[..., :, None] * centre[..., None, :]
    axis = np.linalg.eigh(covariance)[1][..., -1]
    along = np.einsum("qcri,qci->qcr", vectors / safe[..., None], axis)
    along = np.where(weights > 0, along, np.median(along, axis=2, keepdims=True))
    order = np.argsort(along, axis=2, kind="stable")
    half = order[:, :, : m // 2]
    first = np.take_along_axis(vectors, half[..., None], axis=2).sum(axis=2)
    second = total - first
    errors = (mass - np.linalg.norm(first, axis=2) - np.linalg.norm(second, axis=2)) / 2
    halves = np.ones((m, classes, m), dtype=np.int8)
    np.put_along_axis(halves, half, 0, axis=2)
    return np.maximum(errors, 0).sum(axis=1), halves


def _refine(
    data: np.ndarray, halves: np.ndarray, noise: float, pairs: np.ndarray | None = None
) -> _Level:
    """Alternate matching of columns and assignment of rows until nothing changes."""
    best: _Level | None = None
    for _ in range(_ROUNDS):
        errors = _pair_errors(data, halves)
        matched = pairs if pairs is not None else _match(errors, data, noise)
        error = float(errors[matched[:, 0], matched[:, 1]].sum())
        if best is not None and error >= best.error * (1 - 1e-9):
            break
        best = _Level(matched, halves, error)
        halves = _assign(data, halves, matched)
        if np.array_equal(halves, best.halves):
            break
    assert best is not None
    return best


def _pair_errors(data: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """Return the rank-one error of every pair of columns, summed over classes and halves."""
    total = 0.0
    for h in (0, 1):
        part = data * (halves == h)[:, :, None]
        gram = np.matmul(part.conj().transpose(0, 2, 1), part)
        diagonal = np.einsum("cpp->cp", gram).real
        sums = diagonal[:, :, None] + diagonal[:, None, :]
        gaps = diagonal[:, :, None] - diagonal[:, None, :]
        root = np.sqrt(gaps**2 + 4 * np.abs(gram) ** 2)
        # The smaller eigenvalue as determinant over the larger one: no cancellation.
        determinant = diagonal[:, :, None] * diagonal[:, None, :] - np.abs(gram) ** 2
        larger = (sums + root) / 2
        small = np.maximum(determinant, 0) / np.where(larger > 0, larger, 1.0)
        total = total + small.sum(axis=0)
    return np.asarray(total)


def _match(errors: np.ndarray, data: np.ndarray, noise: float) -> np.ndarray:
    """Return a perfect matching of the columns of least cost (exact unless cycles are odd)."""
    from scipy.optimize import linear_sum_assignment

    energy = np.sum(np.abs(data) ** 2, axis=(0, 1))
    cost = errors / (np.minimum(energy[:, None], energy[None, :]) + noise + 1e-300)
    np.fill_diagonal(cost, 1e6)
    partner = linear_sum_assignment(cost)[1]
    done = np.zeros(len(partner), dtype=bool)
    pairs, left = [], []
    for start in range(len(partner)):
        if done[start]:
            continue
        cycle = [start]
        while partner[cycle[-1]] != start:
            cycle.append(int(partner[cycle[-1]]))
        done[cycle] = True
        if len(cycle) == 2:
            pairs.append((cycle[0], cycle[1]))
        else:
            left += cycle
    pairs += _match_rest(cost, left)
    return np.array(sorted(tuple(sorted(pair)) for pair in pairs))


def _match_rest(cost: np.ndarray, columns: list[int]) -> list[tuple[int, int]]:
    """Match the columns that the assignment left in longer cycles."""
    import networkx as nx

    graph = nx.Graph()
    for i, p in enumerate(columns):
        for q in columns[i + 1 :]:
            graph.add_edge(p, q, weight=float(cost[p, q] + cost[q, p]))
    return [(int(p), int(q)) for p, q in nx.min_weight_matching(graph)]


def _lines(data: np.ndarray, halves: np.ndarray, pairs: np.ndarray, h: int) -> np.ndarray:
    """Return the best line (unit vector) of every pair on half `h`: (classes, pairs, 2)."""
    part = data * (halves == h)[:, :, None]
    couples = np.stack([part[:, :, pairs[:, 0]], part[:, :, pairs[:, 1]]], axis=-1)
    gram = np.einsum("crpi,crpj->cpij", couples.conj(), couples)
    return np.linalg.eigh(gram)[1][..., -1].conj()


def _assign(data: np.ndarray, halves: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Give each row to the half whose lines it fits better; equal numbers on both."""
    couples = np.stack([data[:, :, pairs[:, 0]], data[:, :, pairs[:, 1]]], axis=-1)
    captured = []
    for h in (0, 1):
        lines = _lines(data, halves, pairs, h)
        captured.append(np.sum(np.abs(np.einsum("crpi,cpi->crp", couples, lines.conj())) ** 2, 2))
    order = np.argsort(captured[1] - captured[0], axis=1, kind="stable")
    new = np.ones_like(halves)
    np.put_along_axis(new, order[:, : data.shape[1] // 2], 0, axis=1)
    # Keep the labels of the old halves, so that "nothing changed" can be seen.
    flip = np.sum(new == halves, axis=1) * 2 < data.shape[1]
    return np.where(flip[:, None], 1 - new, new).astype(halves.dtype)


def _merge(data: np.ndarray, level: _Level) -> np.ndarray:
    """Replace every pair by its top left singular vector times value, per half of each class."""
    classes, m, _ = data.shape
    merged = np.empty((classes, 2, m // 2, m // 2), dtype=data.dtype)
    for h in (0, 1):
        lines = _lines(data, level.halves, level.pairs, h)
        couples = np.stack([data[:, :, level.pairs[:, 0]], data[:, :, level.pairs[:, 1]]], axis=-1)
        projected = np.einsum("crpi,cpi->crp", couples, lines.conj())
        for c in range(classes):
            merged[c, h] = projected[c][level.halves[c] == h]
    return merged.reshape(2 * classes, m // 2, m // 2)
