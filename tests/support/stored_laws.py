"""Laws of how stored targets are read: each cell once, in blocks of the sizes that are promised."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from factorization_statements import DYADIC, MONARCH, nearby
from laws import law
from stores import Counted

import sparseopt as so
from sparseopt.butterfly import expansion, stored

SHAPES = {
    "dyadic": DYADIC,
    "monarch": MONARCH,
    "gaps": so.Architecture([(2, 3, 4, 5), (4, 2, 3, 5)]),
    "wide": so.Architecture([(1, 2, 2, 2), (2, 2, 20, 1)]),
    "thirds": so.Architecture([(1, 2, 2, 3), (2, 3, 3, 1)]),
    "long": so.Architecture([(1, 24, 2, 2), (2, 2, 2, 1)]),
}
CHUNKS: tuple[Any, ...] = ((1, 1), (3, 2), (2, 8), (7, 5), (99, 99), None)

KNOWN: dict[str, list[list[tuple[int, int]]]] = {
    "dyadic": [
        [(4, 16), (4, 16), (4, 16), (2, 32)],
        [(4, 16), (4, 24), (4, 16), (4, 16)],
        [(4, 16), (2, 32), (4, 16), (2, 32)],
        [(2, 32), (2, 32), (2, 32), (2, 32)],
        [(1, 64), (1, 64), (1, 64), (1, 64)],
        [(8, 8), (4, 16), (8, 8), (2, 32)],
    ],
    "monarch": [
        [(2, 12), (2, 16)],
        [(3, 8), (3, 8)],
        [(2, 12), (1, 24)],
        [(2, 16), (2, 16)],
        [(1, 24), (1, 24)],
        [(4, 6), (2, 12)],
    ],
    "gaps": [
        [(6, 30), (4, 45)],
        [(12, 15), (4, 45)],
        [(6, 30), (4, 45)],
        [(12, 15), (4, 45)],
        [(2, 90), (2, 90)],
        [(6, 30), (4, 45)],
    ],
    "wide": [
        [(10, 16), (4, 40)],
        [(20, 8), (4, 40)],
        [(6, 32), (4, 40)],
        [(8, 20), (4, 40)],
        [(1, 160), (1, 160)],
        [(4, 40), (4, 40)],
    ],
    "thirds": [
        [(4, 12), (4, 12)],
        [(4, 12), (2, 18)],
        [(4, 12), (2, 24)],
        [(2, 18), (2, 18)],
        [(1, 36), (1, 36)],
        [(6, 6), (3, 12)],
    ],
    "long": [
        [(24, 8), (4, 48)],
        [(24, 8), (4, 48)],
        [(24, 8), (4, 48)],
        [(8, 24), (4, 48)],
        [(1, 192), (1, 192)],
        [(24, 8), (4, 48)],
    ],
}
"""What `sizes` gives: architecture by architecture, chunks by chunks."""


def laws() -> Iterator[tuple[str, Any]]:
    """Yield the laws, architecture by architecture."""
    for name, architecture in SHAPES.items():
        for chunks in CHUNKS:
            words = f"stored {name} in chunks of {chunks}"
            for whole in (False, True):
                covered = partial(are_read_once, architecture, chunks, whole)
                yield f"{words}, {'blocks' if whole else 'cells'} once", law(covered)
            yield f"{words}, figures", law(partial(agree, architecture, chunks))
        yield f"stored {name} in boxes of known sizes", law(partial(is_as_known, name))


def _in_pieces(run: Any) -> Any:
    before = expansion.CHUNK, expansion._MOST, stored._LEAST, stored._WIDE
    try:
        expansion.CHUNK, expansion._MOST, stored._LEAST, stored._WIDE = 12, 32, 8, 4
        return run()
    finally:
        expansion.CHUNK, expansion._MOST, stored._LEAST, stored._WIDE = before


def agree(architecture: so.Architecture, chunks: Any) -> bool:
    """Whether norm, error and split errors are those of the array in memory."""
    given, product = nearby(architecture)
    array = np.asarray(given.target)
    problem = so.ButterflyFactorization(Counted(array, chunks), architecture)

    def figures(of: so.ButterflyFactorization) -> list[float]:
        found = of.compare(product)
        return [found.norm.value, found.error.value, *of.split_errors()]

    return bool(np.allclose(_in_pieces(lambda: figures(problem)), figures(given), rtol=1e-9))


def is_as_known(name: str) -> bool:
    """Whether there are as many boxes, and as large ones, as recorded here."""
    return sizes(SHAPES[name]) == KNOWN[name]


def sizes(architecture: so.Architecture) -> list[list[tuple[int, int]]]:
    """Return for each of `CHUNKS` the number of boxes at each cut, and the size of the first, for
    cells and for whole blocks."""
    reduced = architecture.reduced()

    def run() -> list[list[tuple[int, int]]]:
        found = []
        for chunks in CHUNKS:
            target = stored.Stored(Counted(np.zeros(architecture.shape), chunks))
            lists = [
                list(expansion.boxes(target, expansion.Grid.of(reduced, cut), whole))
                for cut in range(1, len(reduced))
                for whole in (False, True)
            ]
            found.append([(len(boxes), boxes[0][2].size) for boxes in lists])
        return found

    result: list[list[tuple[int, int]]] = _in_pieces(run)
    return result


def are_read_once(architecture: so.Architecture, chunks: Any, whole: bool) -> bool:
    """Whether boxes hold each cell of each cut once, as it is, in no larger pieces than allowed."""
    array = np.random.default_rng(0).standard_normal(architecture.shape)
    reduced = architecture.reduced()

    def run() -> bool:
        for cut in range(1, len(reduced)):
            grid = expansion.Grid.of(reduced, cut)
            target = stored.Stored(Counted(array, chunks))
            cells = [grid.cells(array)[i] for i in range(grid.a)]
            seen = [np.zeros(part.shape, dtype=int) for part in cells]
            most = max(32, target.strip_entries) if whole else target.strip_entries
            least = grid.b * grid.d * grid.c * grid.d if whole else 0
            for i, box, held in expansion.boxes(target, grid, whole):
                seen[i][box] += 1
                if not np.array_equal(held, cells[i][box]):
                    return False
                if whole and held.shape[0::2] != cells[i].shape[0::2]:
                    return False
                if held.size * grid.d > max(most, least, grid.d * grid.d * max(array.shape)):
                    return False
            if not all((part == 1).all() for part in seen):
                return False
        return True

    return bool(_in_pieces(run))
