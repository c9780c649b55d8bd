"""Proofs that powers of two fit a product into a format, or that none do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.quantization.exponents import FREE, ExponentFit, ExponentFitting


@proves(ExponentFitting)
@json_type
@dataclass(frozen=True, eq=False)
class ExponentFitCertificate(Certificate):
    """All entries fit, after they are scaled by the powers of the answer.

    Attributes
    ----------
    problem : ExponentFitting
    answer : ExponentFit
    """

    problem: ExponentFitting
    answer: ExponentFit

    @classmethod
    def build(cls, problem: ExponentFitting, powers: Any) -> ExponentFitCertificate:
        """Return the certificate of powers for each inner cut."""
        powers = tuple(powers)
        return cls(problem, ExponentFit("fits", powers, problem.scaled(powers)))

    @property
    def accuracy(self) -> float:
        """0."""
        return 0.0

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: all entries fit, and the product is the same"

    def check(self, steps: Steps) -> None:
        """Scale every entry and compare. O(nnz).

        No sum of powers wraps around: those of the first cut are at most `FREE` in magnitude, as
        they are what the entries of the first factor are moved by, and so on, factor by factor.
        """
        problem, answer = self.problem, self.answer
        steps.require(type(answer) is ExponentFit, "the answer says whether it fits")
        steps.require(answer.value == "fits", "it fits", answer.value)
        shapes = [p.shape for p in answer.powers]
        wanted = [(n,) for n in problem.sizes[1:-1]]
        steps.require(shapes == wanted, f"there are powers of the shapes {wanted}", str(shapes))
        misfits = problem.misfits(answer.powers)
        steps.require(misfits == 0, "every entry fits", f"{misfits} do not")
        product = answer.product
        own = problem.scaled(answer.powers)
        same = product is not None and product.architecture == own.architecture
        assert product is not None or not same
        steps.require(
            same
            and all(
                type(f) is np.ndarray and f.dtype == g.dtype and np.array_equal(f, g)
                for f, g in zip(product.factors, own.factors, strict=True)  # type: ignore[union-attr]
            ),
            "the product of the answer is that of the problem, scaled",
        )


@proves(ExponentFitting)
@json_type
@dataclass(frozen=True, eq=False)
class ExponentCycleCertificate(Certificate):
    """No powers fit, as some entries cannot fit together.

    Attributes
    ----------
    problem : ExponentFitting
    answer : ExponentFit
    cycle : tuple of (int, int, int)
        Factor, flat place in it, and direction. With 1 from the row of the entry to its column:
        the power of the column is at most that of the row plus the largest for the entry. With -1
        back: that of the row is at most that of the column minus the least for the entry. Each
        begins where the one before ends; along the cycle the numbers add up to less than zero, so
        every power on it would be less than itself.
    """

    problem: ExponentFitting
    answer: ExponentFit
    cycle: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        steps = self.cycle
        sound = isinstance(steps, list | tuple) and all(
            isinstance(step, list | tuple)
            and len(step) == 3
            and all(isinstance(v, int) and not isinstance(v, bool) for v in step)
            for step in steps
        )
        if not sound:
            raise ProblemError("cycle must be a sequence of three integers each")
        object.__setattr__(self, "cycle", tuple(tuple(step) for step in steps))

    @classmethod
    def build(cls, problem: ExponentFitting, cycle: Any) -> ExponentCycleCertificate:
        """Return the certificate of a cycle."""
        return cls(problem, ExponentFit("does_not_fit"), tuple(cycle))

    @property
    def accuracy(self) -> float:
        """0."""
        return 0.0

    @property
    def claim(self) -> str:
        """What is proved, with the first of the entries."""
        entries = list(dict.fromkeys(step[:2] for step in self.cycle))
        named = [f"entry {self._index(*entry)} of factor {entry[0]}" for entry in entries[:4]]
        rest = f" and {len(entries) - 4} more" if len(entries) > 4 else ""
        return (
            f"{self.problem.describe()}: no powers of two fit, as {', '.join(named)}{rest} cannot "
            "fit together"
        )

    def _index(self, place: int, flat: int) -> tuple[int, ...]:
        """Return the index of an entry; nothing where there is none."""
        factors = self.problem.product.factors
        if not (0 <= place < len(factors) and 0 <= flat < factors[place].size):
            return ()
        return tuple(int(v) for v in np.unravel_index(flat, factors[place].shape))

    def check(self, steps: Steps) -> None:
        """Walk along the cycle. O(nnz) for the ranges, then O(length)."""
        problem, answer = self.problem, self.answer
        steps.require(type(answer) is ExponentFit, "the answer says whether it fits")
        steps.require(answer.value == "does_not_fit", "it does not fit", answer.value)
        empty = not answer.powers and answer.product is None
        steps.require(empty, "the answer holds no powers and no product")
        steps.require(len(self.cycle) > 0, "there is a cycle")
        total, at = 0, None
        begin: Any = None
        for place, flat, direction in self.cycle:
            there = bool(self._index(place, flat)) and direction in (1, -1)
            steps.require(there, "each step is along an entry", str((place, flat, direction)))
            least, most = problem.ranges[place]
            used = int(most.flat[flat]) < FREE
            steps.require(used, "each entry is not zero", str((place, flat)))
            ends = problem.ends(place, flat)[::direction]
            begin = begin or ends[0]
            steps.require(at in (None, ends[0]), "each step begins where the last one ends")
            at = ends[1]
            total += int(most.flat[flat]) if direction == 1 else -int(least.flat[flat])
        steps.require(at == begin, "the last step ends where the first one begins")
        steps.require(total < 0, "along the cycle powers only get less", str(total))
