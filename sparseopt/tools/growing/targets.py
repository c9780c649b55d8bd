"""Structured targets for products with fixed supports, where unbounded weights show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

Draw = Callable[[Sequence[np.ndarray], np.random.Generator], np.ndarray]


def structured_targets(
    supports: Sequence[np.ndarray], count: int, rng: np.random.Generator
) -> np.ndarray:
    """Return targets of five kinds in turn, none of them 0, shape (count, rows, columns).

    Limits to the first order with two terms that cancel; partial permutations among the cells that
    products reach; few entries 1 or -1 there; products of such sparse factors; permutations with a
    row or a column twice.
    """
    found = []
    for number in range(count):
        draw = KINDS[number % len(KINDS)]
        for _ in range(20):
            target = draw(supports, rng)
            if np.any(target):
                break
        else:
            target = reached(supports).astype(float)
        found.append(target)
    return np.array(found)


def reached(supports: Sequence[np.ndarray]) -> np.ndarray:
    """Return the cells that products reach."""
    product = supports[0].astype(float)
    for support in supports[1:]:
        product = (product @ support > 0).astype(float)
    return product > 0


def signs(support: np.ndarray, rng: np.random.Generator, density: float) -> np.ndarray:
    """Return 1 and -1 at some entries of a support."""
    return support * (rng.random(support.shape) < density) * rng.choice([-1.0, 1.0], support.shape)


def _cancelling(supports: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """The limit of (X + t X') (Y + t Y') / t, where two terms of X Y cancel and others are 0."""
    at = int(rng.integers(len(supports) - 1)) if len(supports) > 1 else 0
    if len(supports) == 1 or supports[at].shape[1] < 2:
        return _product(supports, rng)
    left, right = supports[at], supports[at + 1]
    a, b = rng.choice(left.shape[1], 2, replace=False)
    x = signs((left[:, a] & left[:, b])[:, None], rng, 0.8)[:, 0]
    y = signs((right[a] & right[b])[:, None], rng, 0.8)[:, 0]
    first, second = np.zeros(left.shape), np.zeros(right.shape)
    first[:, a], first[:, b], second[a], second[b] = x, x, y, -y
    target = first @ signs(right, rng, 0.5) + signs(left, rng, 0.5) @ second
    for support in reversed(supports[:at]):
        target = signs(support, rng, 0.7) @ target
    for support in supports[at + 2 :]:
        target = target @ signs(support, rng, 0.7)
    return target


def _matching(supports: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    cells = reached(supports)
    rows, columns = rng.permutation(cells.shape[0]), rng.permutation(cells.shape[1])
    drawn = cells & (rng.random(cells.shape) < rng.choice([0.4, 0.7, 1.0]))
    found = maximum_bipartite_matching(
        scipy.sparse.csr_matrix(drawn[np.ix_(rows, columns)]), perm_type="column"
    )
    target = np.zeros(cells.shape)
    there = found >= 0
    target[rows[there], columns[found[there]]] = 1.0
    return target


def _few(supports: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    return signs(reached(supports), rng, rng.choice([0.3, 0.5]))


def _product(supports: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    target = signs(supports[0], rng, 0.6)
    for support in supports[1:]:
        target = target @ signs(support, rng, 0.6)
    return target


def _doubled(supports: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    target, cells = _matching(supports, rng), reached(supports)
    turned = rng.random() < 0.5
    lines = target.T if turned else target
    if lines.shape[0] > 1:
        i, j = rng.choice(lines.shape[0], 2, replace=False)
        lines[i] = lines[j]
    return target * cells


KINDS: tuple[Draw, ...] = (_cancelling, _matching, _few, _product, _doubled)
