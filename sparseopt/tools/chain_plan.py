"""How a product of factors is applied: one planner for every device.

Neighbours whose product is again Kronecker-sparse may be merged first: exact but for rounding,
with more values but fewer and larger blocks. Or several are applied in one pass over the operand.
Each device says by which methods some neighbours can be applied and what it predicts for each; a
dynamic program over the cuts of the chain finds the grouping and methods of least predicted time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.butterfly.splitting import merge, permute

# Merged values of one group: at most this many, or this multiple of all values of the chain.
MERGED_VALUES = 2**16
MERGED_MULTIPLE = 4


@dataclass(frozen=True)
class Step:
    """One multiplication of a plan: factors ``first`` .. ``last`` merged into ``pattern``.

    ``tile`` holds the sizes of a kernel's tile that was found by measuring; empty: a model's.
    """

    first: int
    last: int
    pattern: KroneckerPattern
    method: str
    microseconds: float
    tile: tuple[int, ...] = ()

    def __str__(self) -> str:
        one = self.first == self.last
        how = "in one pass" if self.method in ("fused", "rows") else "merged"
        which = f"factor {self.first}" if one else f"factors {self.first}-{self.last} {how}"
        shape = f"{tuple(self.pattern)}"
        tile = f"  tile {' '.join(map(str, self.tile))}" if self.tile else ""
        return f"{which:<25} {shape:<20} {self.method:<9} {self.microseconds:10.1f} us{tile}"


@dataclass(frozen=True)
class MultiplicationPlan:
    """How a product is applied to operands of one batch size and dtype.

    Parameters
    ----------
    steps : tuple of Step
        In the order of the factors; they are applied from the last to the first.
    batch : int
        Number of columns planned for: the asked one, rounded up to a power of two above 8.
    dtype : numpy dtype
        In which values are multiplied; of layers on a device also ``"bfloat16"``, NumPy has none.
    separately : float
        Predicted microseconds without merging any factors.
    note : str
        Which methods could not be considered, and why; on devices, whose figures were used.
    where : str
        What the prediction is for.
    around : float
        Predicted microseconds of what a layer does beside the product: calls, looks whether a
        parameter was changed, copies.
    """

    steps: tuple[Step, ...]
    batch: int
    dtype: np.dtype
    separately: float
    note: str = ""
    where: str = "one thread"
    around: float = 0.0

    @property
    def microseconds(self) -> float:
        """Predicted time of one multiplication."""
        return self.around + sum(step.microseconds for step in self.steps)

    def __str__(self) -> str:
        lines = [f"{self.dtype} operand with {self.batch} columns; predicted, {self.where}:"]
        lines += [f"  {step}" for step in self.steps]
        if self.around:
            lines.append(f"  {'around the product':<56}{self.around:10.1f} us")
        lines.append(f"  {'in all':<56}{self.microseconds:10.1f} us")
        if any(step.first != step.last for step in self.steps):
            lines.append(f"  {'without merging':<56}{self.separately:10.1f} us")
        if self.note:
            lines.append(f"  {self.note}")
        return "\n".join(lines)


Offers = Callable[[int, int, KroneckerPattern], Sequence[Step]]
"""What some neighbours (first, last, pattern of their product) can be applied by."""


def merging_limit(architecture: Architecture, multiple: int = MERGED_MULTIPLE) -> int:
    """Return how many values a merged group may have."""
    return max(MERGED_VALUES, multiple * architecture.nnz)


def cheapest_steps(architecture: Architecture, offers: Offers) -> tuple[tuple[Step, ...], float]:
    """Minimise the predicted time over groupings and methods: shortest path over the cuts.

    O(L^2) predictions for L factors. Where nothing is offered for a group, nothing is asked for a
    longer one.

    Returns
    -------
    steps : tuple of Step
        In the order of the factors.
    separately : float
        Predicted microseconds factor by factor.
    """
    patterns = architecture.patterns
    best: list[tuple[float, tuple[Step, ...]]] = [(0.0, ())]
    best += [(np.inf, ())] * len(patterns)
    separately = 0.0
    for first in range(len(patterns)):
        pattern: KroneckerPattern | None = patterns[first]
        for last in range(first, len(patterns)):
            if last > first:
                assert pattern is not None
                pattern = merged_pattern(pattern, patterns[last])
            if pattern is None:
                break
            steps = offers(first, last, pattern)
            if not steps:
                break
            step = min(steps, key=lambda offer: offer.microseconds)
            separately += step.microseconds if first == last else 0.0
            total = best[first][0] + step.microseconds
            if total < best[last + 1][0]:
                best[last + 1] = total, (*best[first][1], step)
    return best[-1][1], separately


def planned_batch(batch: int) -> int:
    """Return the batch size that plans are made for: rounded up to a power of two above 8."""
    return max(batch, 1) if batch <= 8 else 1 << (batch - 1).bit_length()


def merged_pattern(left: KroneckerPattern, right: KroneckerPattern) -> KroneckerPattern | None:
    """Return the pattern of a product if the pair or its transpose is chainable, else None."""
    if left.is_chainable_with(right):
        return left.product(right)
    if right.transpose.is_chainable_with(left.transpose):
        return right.transpose.product(left.transpose).transpose
    return None


def merged_values(x: Any, y: Any, left: KroneckerPattern, right: KroneckerPattern) -> Any:
    """Return the values of a product of which `merged_pattern` knows the pattern."""
    if left.is_chainable_with(right):
        return merge(x, y, left, right)
    flipped = (permute(y, (0, 2, 1, 3)), permute(x, (0, 2, 1, 3)))
    return permute(merge(*flipped, right.transpose, left.transpose), (0, 2, 1, 3))


def merged_group(
    factors: Sequence[Any], patterns: Sequence[KroneckerPattern], first: int, last: int
) -> Any:
    """Return the values of factors first .. last merged, from the left."""
    values, pattern = factors[first], patterns[first]
    for i in range(first + 1, last + 1):
        values = merged_values(values, factors[i], pattern, patterns[i])
        whole = merged_pattern(pattern, patterns[i])
        assert whole is not None
        pattern = whole
    return values
