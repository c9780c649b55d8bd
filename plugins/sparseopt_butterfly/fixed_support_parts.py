"""Block descent for one component of a factorization with a decay: factors, and a dual point.

The terms of a rectangle together form a block C_g of rank at most q_g, whose share of the objective
is decay times its nuclear norm. With the other blocks fixed, thresholding the singular values of
what they leave is the best choice for it, among all blocks, or of its rank keeping the q_g largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparseopt.supports.coercive import Part

Blocks = list[np.ndarray]
Factors = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Task:
    """One component in safe units.

    Attributes
    ----------
    part : Part
    target : array (b, c)
        Its cells of the target, zero elsewhere; double precision.
    decay : float
    remaining : callable() -> float
        Seconds left.
    """

    part: Part
    target: np.ndarray
    decay: float
    remaining: Callable[[], float]

    @cached_property
    def homes(self) -> list[int]:
        """For each group a largest one that holds its rectangle: itself if there is no other."""
        sets = [(set(g.rows.tolist()), set(g.columns.tolist())) for g in self.part.groups]
        order = sorted(range(len(sets)), key=lambda i: -len(sets[i][0]) * len(sets[i][1]))
        return [
            next(j for j in order if rows <= sets[j][0] and columns <= sets[j][1])
            for rows, columns in sets
        ]

    @cached_property
    def maximal(self) -> list[int]:
        """The groups whose rectangle lies in no other one."""
        return [i for i, home in enumerate(self.homes) if i == home]

    def is_late(self) -> bool:
        """Whether the time has run out."""
        return self.remaining() <= 0.0

    @property
    def work(self) -> float:
        """Operations of one sweep, roughly."""
        sizes = [(len(g.rows), len(g.columns)) for g in self.part.groups]
        return sum(20.0 * b * c * min(b, c) + 20000.0 for b, c in sizes)

    def zero(self) -> Blocks:
        """Return blocks that are zero."""
        return [
            np.zeros((len(g.rows), len(g.columns)), self.target.dtype) for g in self.part.groups
        ]

    def residual(self, blocks: Blocks) -> np.ndarray:
        """Return the target less all blocks."""
        found = self.target.copy()
        for group, block in zip(self.part.groups, blocks, strict=True):
            found[group.block] -= block
        return found

    def blocks(self, x: np.ndarray, y: np.ndarray) -> Blocks:
        """Return the blocks of factors, columns of X and rows of Y in the order of the terms."""
        order = {k: i for i, k in enumerate(self.part.terms)}
        found = []
        for group in self.part.groups:
            mine = np.array([order[k] for k in group.terms])
            found.append(x[np.ix_(group.rows, mine)] @ y[np.ix_(mine, group.columns)])
        return found

    def factors(self, blocks: Blocks) -> Factors:
        """Return balanced factors of blocks, each cut to its rank."""
        (b, c), r = self.target.shape, len(self.part.terms)
        x, y = np.zeros((b, r), self.target.dtype), np.zeros((r, c), self.target.dtype)
        order = {k: i for i, k in enumerate(self.part.terms)}
        for group, block in zip(self.part.groups, blocks, strict=True):
            u, s, vh = np.linalg.svd(block, full_matrices=False)
            kept = np.array([order[k] for k in group.terms[: len(s)]])
            root = np.sqrt(s[: len(kept)])
            x[np.ix_(group.rows, kept)] = u[:, : len(kept)] * root
            y[np.ix_(kept, group.columns)] = root[:, None] * vh[: len(kept)]
        return x, y

    def value(self, x: np.ndarray, y: np.ndarray) -> float:
        """Return the objective of factors."""
        residual = self.target - x @ y
        squares = np.vdot(x, x).real + np.vdot(y, y).real
        return 0.5 * float(np.vdot(residual, residual).real + self.decay * squares)


def sweep(task: Task, blocks: Blocks, residual: np.ndarray, capped: bool) -> float:
    """Improve the blocks one after another, in place; return the objective.

    Uncapped, only those of maximal rectangles, which can hold all others.
    """
    groups = task.part.groups
    total = 0.0
    for i in range(len(groups)) if capped else task.maximal:
        group = groups[i]
        left = residual[group.block] + blocks[i]
        if np.linalg.norm(left) <= task.decay:
            new = np.zeros_like(left)
        else:
            u, s, vh = np.linalg.svd(left, full_matrices=False)
            rank = int(np.count_nonzero(s > task.decay))
            rank = min(rank, len(group.terms)) if capped else rank
            kept = s[:rank] - task.decay
            new = (u[:, :rank] * kept) @ vh[:rank]
            total += float(kept.sum())
        residual[group.block] = left - new
        blocks[i] = new
    return 0.5 * float(np.vdot(residual, residual).real) + task.decay * total


def descend(task: Task, blocks: Blocks, sweeps: int, precision: float) -> float:
    """Run capped sweeps until the objective settles; return it."""
    residual = task.residual(blocks)
    value = sweep(task, blocks, residual, capped=True)
    for i in range(1, sweeps):
        before, value = value, sweep(task, blocks, residual, capped=True)
        if before - value <= precision * value or task.is_late():
            break
        if i % 100 == 0:
            residual = task.residual(blocks)
    return value


@dataclass(eq=False)
class Dual:
    """The best lower bound so far, and its dual point."""

    value: float
    point: np.ndarray

    def offer(self, task: Task, z: np.ndarray) -> float:
        """Scale a matrix to its best feasible multiple, and keep that if it is better."""
        square = float(np.vdot(z, z).real)
        norms = [np.linalg.norm(z[task.part.groups[i].block], 2) for i in task.maximal]
        top = max(map(float, norms), default=0.0)
        if square == 0.0 or top == 0.0:
            return self.value
        inner = float(np.vdot(task.target, z).real)
        most = task.decay / top
        t = min(max(inner / square, -most), most)
        value = t * inner - 0.5 * t * t * square
        if value > self.value:
            self.value, self.point = value, t * z
        return value


def relax(task: Task, dual: Dual, blocks: Blocks, sweeps: int, tolerance: float) -> float:
    """Solve the problem without limits of rank, which is convex; return its value.

    The blocks are those of maximal rectangles, the others zero. Ends when the gap to its own dual
    is small, or the sweeps are done. `dual` keeps the best point met.
    """
    residual = task.residual(blocks)
    value = math.inf
    for i in range(sweeps):
        value = sweep(task, blocks, residual, capped=False)
        if i % 10 == 9 or i == sweeps - 1 or task.is_late():
            residual = task.residual(blocks)
            dual.offer(task, residual)
            if value - dual.value <= tolerance * value or task.is_late():
                break
    return value


def gathered(task: Task, blocks: Blocks) -> Blocks:
    """Return the same sum with all that lies in smaller rectangles moved to maximal ones."""
    groups, found = task.part.groups, task.zero()
    for i, group in enumerate(groups):
        home = task.homes[i]
        rows = np.searchsorted(groups[home].rows, group.rows)
        columns = np.searchsorted(groups[home].columns, group.columns)
        found[home][np.ix_(rows, columns)] += blocks[i]
    return found


def threshold(task: Task) -> Factors:
    """Return the optimal factors of a component that consists of one rectangle."""
    u, s, vh = np.linalg.svd(task.target, full_matrices=False)
    return task.factors([(u * np.maximum(s - task.decay, 0.0)) @ vh])
