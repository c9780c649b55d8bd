"""Recovery decided by brute force over the rationals, by other means than the library's.

A kernel vector is a sum of circuits (kernel vectors of least support) that agree with it in signs
(Rockafellar 1969). So the null space property holds if and only if it holds for circuits.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import sympy

Matrix = list[list[Any]]


def circuits(design: Matrix) -> list[list[Fraction]]:
    """Return all circuits of the kernel, one of h and -h."""
    rational = sympy.Matrix([[sympy.Rational(Fraction(v)) for v in row] for row in design])
    n, found, supports = rational.cols, [], []
    for size in range(1, min(rational.rank() + 1, n) + 1):
        for columns in itertools.combinations(range(n), size):
            if any(set(s) <= set(columns) for s in supports):
                continue
            kernel = rational[:, list(columns)].nullspace()
            if kernel:
                h = [Fraction(0)] * n
                for j, v in zip(columns, kernel[0], strict=True):
                    h[j] = Fraction(int(v.p), int(v.q))
                found.append(h)
                supports.append(columns)
    return found


def l1_recovers(
    kernel: list[list[Fraction]], support: tuple[int, ...], signs: tuple[int, ...] | None
) -> bool:
    """Whether l1 recovers every vector on a support, or with these signs, given the circuits."""
    for h in kernel:
        rest = sum(abs(v) for j, v in enumerate(h) if j not in support)
        if signs is None:
            gain = sum(abs(h[j]) for j in support)
        else:
            gain = abs(sum(s * h[j] for s, j in zip(signs, support, strict=True)))
        if gain >= rest:
            return False
    return True


def l1_recovers_all(kernel: list[list[Fraction]], columns: int, sparsity: int) -> bool:
    """Whether l1 recovers every vector of a sparsity."""
    supports = itertools.combinations(range(columns), sparsity)
    return all(l1_recovers(kernel, support, None) for support in supports)


def omp_endings(design: Matrix, x: list[Any], steps: int) -> list[list[Any]]:
    """Return what omp finds, for every choice among equal correlations, exactly."""
    a = sympy.Matrix([[sympy.Rational(Fraction(v)) for v in row] for row in design])
    y = a * sympy.Matrix([sympy.Rational(Fraction(v)) for v in x])
    endings: list[list[Any]] = []

    def go(chosen: tuple[int, ...]) -> None:
        part = a[:, list(chosen)]
        coefficients = (part.T * part).LUsolve(part.T * y) if chosen else sympy.Matrix([])
        left = y - part * coefficients if chosen else y
        if len(chosen) == steps or not any(left):
            found = [sympy.Integer(0)] * a.cols
            for j, v in zip(chosen, coefficients, strict=True):
                found[j] = v
            endings.append(found)
            return
        pulls = {j: (a[:, j].dot(left)) ** 2 / a[:, j].dot(a[:, j])
                 for j in range(a.cols) if any(a[:, j])}  # fmt: skip
        most = max(pulls.values())
        for j, v in pulls.items():
            if v == most:
                go((*chosen, j))

    go(())
    return endings
