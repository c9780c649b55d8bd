"""Forged certificates of orthogonal matching pursuit: what the core must refuse, and why.

As in `forgeries_recovery`, the name of each is the sentence of the line that stops it, then " | "
and what it is. Complex ones are there, beside those of l1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from forgeries_recovery import FRAME, LARGER, asked
from laws import refusal

import sparseopt as so

Pairs = Iterator[tuple[str, Any]]


def forged() -> Pairs:
    """Yield (line that stops it | what it is, certificate)."""
    changed = dataclasses.replace
    made = so.GreedyRecoveryCertificate.proved
    yield "the method is omp | l1", made(asked(FRAME, support=[0, 1]))
    yield "there are at most 5000 supports", made(asked(np.eye(40), 10, method="omp"))
    # True, but of numbers with thousands of digits.
    long = np.eye(60) + 10.0 ** -np.linspace(1.0, 290.0, 3600).reshape(60, 60)
    on = asked(long, support=range(50), method="omp")
    yield "the exact recovery condition takes some minutes at most", made(on)
    steep = [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    yield "the condition holds | sqrt 2", made(asked(steep, support=[0, 1], method="omp"))
    yield "the condition holds | on one of three", made(asked(steep, 2, method="omp"))
    # Gram matrices whose inverse must be found whole.
    wide = [[2.0, 1.0, 0.0, -2.0], [-1.0, -3.0, -3.0, -3.0], [-2.0, 2.0, 1.0, 3.0]]
    yield "the condition holds | slanted", made(asked(wide, support=[0, 1], method="omp"))
    equal = [[1.0, 1.0], [1.0, 1.0]]
    yield (
        "the condition holds | dependent columns",
        made(asked(equal, support=[0, 1], method="omp")),
    )
    yield "the condition holds | a tie", made(asked(equal, support=[0], method="omp"))

    failed = so.GreedyFailureCertificate.proved
    problem = asked(steep, support=[0, 1], method="omp")
    right = failed(problem, [1, 1, 0], 2)
    assert so.verify(right).ok
    yield "the method is omp | a failure of l1", failed(asked(steep, 2), [1, 1, 0], 2)
    yield "it has one entry for each of 3 columns | two", failed(problem, [1, 1], 2)
    yield "x has as many nonzeros | one too few", failed(problem, [1, 0, 0], 2)
    yield (
        "they are the support | others",
        failed(asked(steep, support=[0, 2], method="omp"), [1, 1, 0], 2),
    )
    signed = asked(steep, support=[0, 1], signs=[1, -1], method="omp")
    yield "they have the signs | others", failed(signed, [1, 1, 0], 2)
    yield "no column of the support is ahead of step 1 | less pull", failed(problem, [2, -1, 0], 2)
    yield (
        "no column of the support is ahead of step 1 | nearly as much",
        failed(asked([[1.0, 1.0], [0.0, 2.0**-30]], support=[0], method="omp"), [1, 0], 1),
    )
    yield (
        "the verdict is 'fails' | recovers",
        changed(right, answer=so.RecoveryVerdict("recovers", right.answer.condition)),
    )
    yield "its last column is one off the support | of it", changed(right, path=(1,))
    yield "its last column is one off the support | beyond", changed(right, path=(3,))
    yield "its last column is one off the support | from the end", changed(right, path=(-1,))
    yield "its last column is one off the support | no path", changed(right, path=())
    true = refusal(lambda: changed(second_step(), path=(True, 2)))
    yield "path must hold column numbers | true", true
    zero = asked([[0.0, 0.0]], support=[0], method="omp")
    yield "something is left for step 1 | zero columns", failed(zero, [1, 0], 1)
    orthogonal = asked([[1.0, 0.0], [0.0, 1.0]], support=[0], method="omp")
    yield (
        "no column of the support is ahead of step 1 | orthogonal",
        failed(asked([[1.0, 1.0], [0.0, 9.0]], support=[0], method="omp"), [1, 0], 1),
    )
    yield "something is left for step 1 | no pull", failed(orthogonal, [1, 0], 1)
    later = second_step()
    assert so.verify(later).ok
    yield (
        "columns of the support before its last | the last twice",
        changed(later, path=(*later.path[-1:], *later.path[-1:])),
    )
    yield "columns of the support before its last | too many", changed(right, path=(0, 1, 2))
    yield "columns of the support before its last | another", changed(later, path=(3, 2))
    first = 1 - later.path[0]
    yield (
        "no column of the support is ahead of step 1 | another order",
        changed(later, path=(first, later.path[1])),
    )
    yield (
        "no column of the support is ahead of step 1 | one step too early",
        changed(later, path=later.path[1:]),
    )
    again = np.column_stack([long[:, :40], long[:, 39]])  # the last step may take the last column
    falling = asked(again, support=range(40), signs=[1] * 40, method="omp")
    vector = [2 ** (50 - j) for j in range(40)] + [0]
    yield "the path takes some minutes at most", failed(falling, vector, *range(39), 40)
    plain = np.eye(3)
    plain[0, 2] = plain[1, 2] = 1.0 / 4.0
    yield (
        "no column of the support is ahead of step 2 | it recovers",
        failed(asked(plain, support=[0, 1], signs=[1, 1], method="omp"), [2, 1, 0], 0, 2),
    )


def second_step() -> Any:
    """A failure in the second step: the first takes column 0."""
    design = np.array([[1.0, 0.6, 0.0, 0.0], [0.0, 0.8, 0.9, 0.0], [0.0, 0.0, 0.3, 1.0]])
    problem = asked(design, support=[0, 1], signs=[1, 1], method="omp")
    return so.GreedyFailureCertificate.proved(problem, [2, 1, 0, 0], 0, 2)


def honest() -> Pairs:
    """Yield (name, certificate); all must be accepted."""
    steep = [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    misses = so.GreedyFailureCertificate.proved
    yield "greedy failure", misses(asked(steep, support=[0, 1], method="omp"), [1, 1, 0], 2)
    yield "greedy failure, second step", second_step()
    first = asked(np.array(steep)[:, ::-1], support=[1, 2], method="omp")
    yield "greedy failure, at the first column", misses(first, [0, 1, 1], 0)
    yield "greedy failure, sparsity", misses(asked(steep, 2, method="omp"), [1, 1, 0], 2)
    signs = asked(steep, support=[0, 1], signs=[1, 1], method="omp")
    yield "greedy failure, signs", misses(signs, [Fraction(1, 3), Fraction(1, 3), 0], 2)
    turned = asked(np.array(steep) * [1, -1, 1], support=[0, 1], signs=[1, -1], method="omp")
    yield "greedy failure, both signs", misses(turned, [1, -1, 0], 2)
    right = so.GreedyRecoveryCertificate.proved
    yield "greedy", right(asked(LARGER, support=[0, 1], method="omp"))
    yield "greedy, all supports", right(asked(FRAME, 1, method="omp"))
    narrow = [[-1.0, 2.0, 3.0, 3.0], [3.0, -3.0, -1.0, -3.0], [-3.0, -1.0, 1.0, -1.0]]
    yield "greedy, slanted", right(asked(narrow, support=[0, 1], method="omp"))
    zero = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    yield "greedy, a zero column", right(asked(zero, support=[0, 1], method="omp"))
