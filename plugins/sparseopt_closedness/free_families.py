"""Search for families of blocks that reach every matrix on their cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt_closedness.staircases import staircase

LARGEST_FAMILY = 4
LARGEST_DETERMINED = 10_000
"""Rows x terms x columns up to which determined lines, O(n^3) matchings, are looked for."""


def match(options: Sequence[Sequence[int]]) -> list[int] | None:
    """Return distinct choices, one from each list, or None.

    Augmenting paths, breadth first, O(V E); on lists of a few entries 50 times faster than a call
    of `scipy.sparse.csgraph`.
    """
    taken: dict[int, int] = {}
    chosen: dict[int, int] = {}
    for start in range(len(options)):
        found = _augment(options, taken, start)
        if found is None:
            return None
        end, reached_from = found
        while True:  # along the path, every list gives its choice to the one before it
            owner = reached_from[end]
            before = chosen.get(owner)
            chosen[owner], taken[end] = end, owner
            if before is None:
                break
            end = before
    return [chosen[i] for i in range(len(options))]


def _augment(
    options: Sequence[Sequence[int]], taken: dict[int, int], start: int
) -> tuple[int, dict[int, int]] | None:
    """Return a free choice that an alternating path reaches, and from where each was reached."""
    reached_from: dict[int, int] = {}
    queue = [start]
    for i in queue:
        for k in options[i]:
            if k not in reached_from:
                reached_from[k] = i
                if k not in taken:
                    return k, reached_from
                queue.append(taken[k])
    return None


def evidence_of(
    family: ObservedProblem, determined: bool, tick: Callable[[], None] = lambda: None
) -> list[Any] | None:
    """Return a proof that the family is free, by matchings or by a determined line, or None.

    `tick` is called now and then; it raises to stop the search.
    """
    tick()
    for name, turned in (("columns", family), ("rows", family.transposed)):
        found = _matchings(turned)
        if found is not None:
            return [name, found]
    (m, r), n = family.left.shape, family.right.shape[1]
    if determined and m * r * n <= LARGEST_DETERMINED:
        for name, turned in (("determined", family), ("determined_t", family.transposed)):
            line = _determined(turned, tick)
            if line is not None:
                return [name, *line]
    return None


def _options(family: ObservedProblem, column: int) -> list[list[int]]:
    rows = np.flatnonzero(family.observed[:, column])
    return [np.flatnonzero(family.left[i] & family.right[:, column]).tolist() for i in rows]


def _matchings(family: ObservedProblem) -> list[list[int]] | None:
    columns = np.flatnonzero(family.observed.any(axis=0)).tolist()
    heights = family.observed.sum(axis=0)
    covering = family.right.sum(axis=0)
    if bool((heights > covering)[columns].any()):
        return None
    found: list[list[int]] = []
    last = -1
    for column in columns:
        # Columns with the same rows often share a matching.
        same = last >= 0 and bool((family.observed[:, last] == family.observed[:, column]).all())
        if same and bool(family.right[found[-1], column].all()):
            found.append(found[-1])
            continue
        matching = match(_options(family, column))
        if matching is None:
            return None
        found.append(matching)
        last = column
    return found


def _determined(family: ObservedProblem, tick: Callable[[], None]) -> list[Any] | None:
    columns = np.flatnonzero(family.observed.any(axis=0)).tolist()
    heights, covering = family.observed.sum(axis=0), family.right.sum(axis=0)
    for fixed in columns:
        others = [c for c in columns if c != fixed]
        if bool((heights > covering)[others].any()):
            continue
        target = family.observed[:, fixed]
        for term in np.flatnonzero(family.right[:, fixed]).tolist():
            tick()
            if bool((target & ~family.left[:, term]).any()):
                continue
            found = _variants(family, others, target, term)
            if found is not None:
                return [fixed, term, found]
    return None


def _variants(
    family: ObservedProblem, others: Sequence[int], target: np.ndarray, term: int
) -> list[list[list[int]]] | None:
    found = []
    for column in others:
        rows = np.flatnonzero(family.observed[:, column]).tolist()
        options = _options(family, column)
        variants = []
        for entry in np.flatnonzero(target).tolist():
            allowed = [
                [k for k in choice if k != term or row == entry or not target[row]]
                for row, choice in zip(rows, options, strict=True)
            ]
            matching = match(allowed)
            if matching is None:
                return None
            variants.append(matching)
        found.append(variants)
    return found


def free_families(
    state: ObservedProblem,
    classes: Sequence[Sequence[int]],
    most: int = 2000,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[list[int], list[Any]]]:
    """Yield free families of up to `LARGEST_FAMILY` blocks of one component, and whole components.

    Whole components by staircases first, which are quick, then small ones; sizes with more than
    `most` families are left out. Matchings are tried for all sizes before determined lines. `tick`
    is called before each.
    """
    for terms in classes:
        stairs = staircase(state.family(terms), tick)
        if stairs is not None:
            yield list(terms), stairs
    for determined in (False, True):
        for size in range(1, LARGEST_FAMILY + 1):
            for terms in classes:
                if math.comb(len(terms), size) > most and size > 1:
                    continue
                for chosen in combinations(terms, size):
                    evidence = evidence_of(state.family(chosen), determined, tick)
                    if evidence is not None:
                        yield list(chosen), evidence
        for terms in classes:
            if len(terms) > LARGEST_FAMILY:
                evidence = evidence_of(state.family(terms), determined, tick)
                if evidence is not None:
                    yield list(terms), evidence
