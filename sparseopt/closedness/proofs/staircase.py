"""Families that are free since term after term lowers the rank of what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparseopt.closedness.proofs.free_evidence import EVIDENCE, FreeEvidence
from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt.judging.evidence import INDEX, INDICES, EvidenceError, List, Record

PAIRS = List(Record((INDEX, INDEX)))


@EVIDENCE.rule("staircase", PAIRS, INDICES, List(PAIRS), mirrored="staircase_t")
@dataclass(frozen=True)
class Staircase(FreeEvidence):
    """``["staircase", full, order, helped]``: for rank t there is a term with at most t - 1 zeros.

    m and n are the numbers of rows and of columns that some term of the family has. ``full`` lists
    ``[k, i]``: distinct terms k with all n columns, in short G, and for each a row i of its own,
    distinct ones. ``order`` lists rho = min(m - |G|, n) distinct terms outside G. ``helped`` lists
    for the term l at place t of the order, counted from 1, ``[i, k]``: distinct rows i that l
    lacks, and for each a term k in G of its own that has it. The rows that l lacks, without those,
    and the columns that it lacks are at most t - 1 together.

    Proof that the family reaches every m x n matrix A, hence every one on F. Let x_k, k in G, be
    generic. They are independent, as the minor of the rows of ``full`` is a nonzero polynomial.
    Modulo their span the columns of A have a rank of at most rho, and the image of the vectors on
    the rows of l has the codimension v of the rows that l lacks minus the rank of the x_k on these,
    so at most that without the rows of ``helped``, for all l at once. Let a target of rank t be
    left, with column space U and row space W, of dimension t, which it pairs perfectly. The term l
    at place t reaches a part of U of dimension >= t - v and one of W of dimension >= t - w, w the
    number of columns that it lacks, and t - v + t - w >= t + 1: two such parts are not orthogonal
    in the pairing, so there are x, y in them whose pairing is 1, and what is left minus x y^T has
    rank t - 1 (Wedderburn). So nothing is left but multiples of the x_k in every column, and these
    terms have all columns. It holds over every infinite field.

    It may not be used for the rows and columns of a window: what holds there says nothing of the
    whole.

    ``["staircase_t", full, order, helped]``: the same for the transposed problem.
    """

    full: tuple[tuple[int, int], ...]
    order: tuple[int, ...]
    helped: tuple[tuple[tuple[int, int], ...], ...]
    turned: bool = False

    def check(self, family: ObservedProblem) -> None:
        """Check the full terms, then every step."""
        family = family.transposed if self.turned else family
        rows, columns = family.left.any(axis=1), family.right.any(axis=0)
        own = [k for k, _ in self.full]
        line, across = family.lines
        if not self.matches(family, [(i, k) for k, i in self.full]):
            raise EvidenceError(f"full terms need distinct {line}s of their own")
        if bool((columns & ~family.right[own]).any()):
            raise EvidenceError(f"a full term lacks a {across}")
        rank = min(int(rows.sum()) - len(own), int(columns.sum()))
        if {len(self.order), len(self.helped)} != {rank}:
            raise EvidenceError(f"one term is needed for every rank up to {rank}")
        if any(k in own or k >= len(family.origin) for k in self.order):
            raise EvidenceError("a term of the staircase is full, or there is none of its number")
        for place, (term, pairs) in enumerate(zip(self.order, self.helped, strict=True)):
            missing = rows & ~family.left[:, term]
            helped = self.matches(family, pairs) and {k for _, k in pairs} <= set(own)
            if not helped or not all(missing[i] for i, _ in pairs):
                raise EvidenceError(
                    f"the {line}s that term {family.origin[term]} lacks are not matched to full "
                    "terms"
                )
            zeros = int(missing.sum()) - len(pairs) + int((columns & ~family.right[term]).sum())
            if zeros > place:
                raise EvidenceError(
                    f"term {family.origin[term]} lacks {zeros} {line}s and {across}s, at place "
                    f"{place + 1} of the staircase"
                )

    @staticmethod
    def matches(family: ObservedProblem, pairs: Sequence[tuple[int, int]]) -> bool:
        """Return whether pairs of a row and a term are a matching in the first factor."""
        m, r = family.left.shape
        rows, terms = ({pair[side] for pair in pairs} for side in (0, 1))
        inside = all(i < m and k < r and bool(family.left[i, k]) for i, k in pairs)
        return inside and len(rows) == len(terms) == len(pairs)

    @property
    def sentence(self) -> str:
        """What the terms do."""
        first = f"for {len(self.full)} generic full terms " if self.full else ""
        return f"{first}term after term lowers the rank of what is left"
