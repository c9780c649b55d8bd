"""Proofs in words: how they are told, and what the problem that was asked calls their parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Story = Iterator[tuple[int, Any]]
"""What a rule says: (levels deeper, a line or the story of an inner proof), one after another."""


def told(story: Story, depth: int = 0) -> Iterator[str]:
    """Yield the lines of a story with all inner ones, indented; however long proofs are.

    Examples
    --------
    >>> list(told(iter([(0, "either:"), (1, iter([(0, "a = 0")])), (0, "or not")])))
    ['either:', '  a = 0', 'or not']
    """
    stack = [(depth, story)]
    while stack:
        depth, story = stack[-1]
        deeper, part = next(story, (0, None))
        if part is None:
            stack.pop()
        elif isinstance(part, str):
            yield "  " * (depth + deeper) + part
        else:
            stack.append((depth + deeper, part))


@dataclass(frozen=True)
class Names:
    """Proofs count rows, columns and blocks within a window; people count in the whole.

    Attributes
    ----------
    rows, columns : sequence of int
        The row and the column of the whole for each of the window.
    terms : sequence of int
        The term that each block is a part of.
    """

    rows: Sequence[int]
    columns: Sequence[int]
    terms: Sequence[int]

    def cell(self, i: int, j: int) -> str:
        """Return a cell of the window as a place of the whole.

        Examples
        --------
        >>> Names((3, 8), (5,), (0, 0)).cell(1, 0)
        '(8, 5)'
        """
        return f"({self.rows[i]}, {self.columns[j]})"

    def entry(self, kind: str, a: int, b: int) -> str:
        """Return entry (row, block) of the first factor or (block, column) of the second.

        `kind` is "x" or "y", in lower or upper case.
        """
        lines = (self.rows, self.terms) if kind in "xX" else (self.terms, self.columns)
        return f"{kind}[{lines[0][a]}, {lines[1][b]}]"

    def window(self, rows: Iterable[int], columns: Iterable[int]) -> str:
        """Return rows and columns of the window as those of the whole."""
        return f"rows {self.rows_of(rows)} and columns {self.columns_of(columns)}"

    def rows_of(self, chosen: Iterable[int], turned: bool = False) -> list[int]:
        """Return rows of the whole, columns if `turned`."""
        lines = self.columns if turned else self.rows
        return [lines[i] for i in chosen]

    def columns_of(self, chosen: Iterable[int], turned: bool = False) -> list[int]:
        """Return columns of the whole, rows if `turned`."""
        return self.rows_of(chosen, not turned)

    def terms_of(self, chosen: Iterable[int]) -> list[int]:
        """Return the terms that blocks are parts of, each once, in ascending order."""
        return sorted({self.terms[k] for k in chosen})
