"""The best product of two rounded vectors, by going through all pieces of both in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.quantization.rank_one import RankOneQuantization, RankOneTerm
from sparseopt.quantization.rank_one_certificate import RankOneCertificate
from sparseopt_quantization.candidates import Rounded
from sparseopt_quantization.joint import best_pair
from sparseopt_quantization.limits import BYTES, EXACT, PROVED, check_time
from sparseopt_quantization.separate import best_alone, is_pair
from sparseopt_quantization.sides import Engine, has_numba, unbounded


@dataclass(frozen=True)
class RankOneExact(so.Solver[RankOneQuantization]):
    """Both vectors' pieces, sorted; the cheapest few of all pairs are told apart in rationals.

    Time O(n 2^t log(n)), memory O(n 2^t), for n entries of t digits in both vectors: the pieces are
    sorted.

    Parameters
    ----------
    memory : float
        Bytes that the pieces may take: about 96 for each of the ``m 2**(t - 1)`` of a vector.
    compiled : bool or None
        Whether the passes are compiled by numba. None: where it is installed and there are many
        pieces. The answer is the same, bit by bit.
    """

    memory: float = 4e9
    compiled: bool | None = None

    def accepts(self, problem: RankOneQuantization) -> so.Accepted | so.Refused:
        """Refuse what takes more memory than allowed, or a library that is not there; and two
        complex vectors that are both rounded."""
        if self.compiled and not has_numba():
            return so.Refused("compiled=True needs numba, which is not installed")
        if problem.is_complex:
            return so.Refused("both vectors are complex and rounded: 'rank_one_complex' takes them")
        if all(f is None or f.contains(v) for v, _, f in map(problem.side, "xy")):
            return so.Accepted()
        for name in "xy":
            vector, weights, form = problem.side(name)
            if form is None or (is_separate(problem) and is_pair(vector, weights, form)):
                continue
            pieces = len(vector) << (unbounded(form).digits - 1)
            if BYTES * pieces > self.memory:
                return so.Refused(
                    f"{len(vector)} entries of {form.digits} digits make {pieces:.2g} pieces, "
                    f"which take {BYTES * pieces / 1e9:.3g} GB; allow that by "
                    f"memory={BYTES * pieces:.2g}, or ask for fewer digits"
                )
        return so.Accepted()

    def cost(self, problem: RankOneQuantization) -> float:
        """Return the predicted seconds."""
        sides = map(problem.side, "xy")
        return 1.2e-2 + sum(1e-6 * len(v) * 2.0 ** min(f.digits, 30) for v, _, f in sides if f)

    def bytes_needed(self, problem: RankOneQuantization) -> float:
        """Predict the pieces of both vectors."""
        pieces = sum(
            len(vector) * 2.0 ** (unbounded(form).digits - 1)
            for vector, weights, form in map(problem.side, "xy")
            if form is not None and not (is_separate(problem) and is_pair(vector, weights, form))
        )
        return 2.0**20 + min(BYTES * pieces, self.memory)

    def solve(
        self, problem: RankOneQuantization, context: so.Context
    ) -> tuple[RankOneTerm, RankOneCertificate]:
        """Go through the pieces; of formats with many exponents as if they had no ends, first."""
        entries = EXACT * (len(problem.x) + len(problem.y))
        check_time(context, 5.0 * entries, "computing errors in rationals")
        if problem.is_zero or (problem.format_x is None and problem.format_y is None):
            u, v = (z if f is None else np.zeros(len(z)) for z, _, f in map(problem.side, "xy"))
            answer = as_given(problem, RankOneTerm(u, v))
            return answer, RankOneCertificate.build(problem, answer)
        nearest = problem.nearest()
        if problem.cost_of(nearest) == 0:
            return nearest, RankOneCertificate.build(problem, nearest)
        # The check goes through the pieces of one vector, or of each where a scale is free.
        proof = PROVED * pieces_of(problem, max if not is_separate(problem) else sum)
        engine = Engine(self.memory, self.compiled, context, 4.0 * entries + proof)
        engine.check_time("going through the pieces of a vector")
        try:
            with np.errstate(all="ignore"):  # entries may lie over the whole range of floats
                if is_separate(problem):
                    return _separately(problem, engine)
                answer, least = best_pair(problem, engine)
            if least is None:  # it is proved here as well
                replace(engine, kept=4.0 * entries + 2.0 * proof).check_time("a proof")
        except so.TimeLimitReached:
            raise
        except so.Inconclusive:  # the best numbers leave the range of floats
            return nearest, RankOneCertificate.build(problem, nearest)
        answer = as_given(problem, answer)
        # Beyond the ends of a range all answers are almost as bad as zero.
        if problem.cost_of(nearest) < problem.cost_of(answer):
            answer = nearest
        return answer, RankOneCertificate.build(problem, answer, least)


def pieces_of(problem: RankOneQuantization, which: Callable[[Iterable[int]], int]) -> int:
    """Return the pieces of both vectors, all of them or the most."""
    counts = [0]
    for vector, weights, form in map(problem.side, "xy"):
        if form is not None and not (is_separate(problem) and is_pair(vector, weights, form)):
            counts.append(len(vector) << (unbounded(form).digits - 1))
    return which(counts)


def as_given(problem: RankOneQuantization, answer: RankOneTerm) -> RankOneTerm:
    """Return an answer whose parts become complex numbers where the vector has them."""
    u, v = (
        np.ascontiguousarray(parts).view(given.dtype)
        for parts, given in ((answer.u, problem.x), (answer.v, problem.y))
    )
    return RankOneTerm(u, v, answer.scale_u, answer.scale_v)


def is_separate(problem: RankOneQuantization) -> bool:
    """Whether a real scale makes the two vectors independent."""
    forms = (problem.format_x, problem.format_y)
    return any(form is None or form.scale == "free" for form in forms)


def _separately(
    problem: RankOneQuantization, engine: Engine
) -> tuple[RankOneTerm, RankOneCertificate]:
    """Take each vector to the least angle, and the real scale that is best for both."""
    found: list[Rounded] = []
    is_real = []
    for name in "xy":
        vector, weights, form = problem.side(name)
        is_real.append(form is None or form.scale == "free")
        if form is None:
            found.append(Rounded(vector, Fraction(1), Fraction(1)))
        else:
            found.append(best_alone(vector, weights, form, engine))
    # A side without a real scale leaves its factor to the other.
    scales = [found[i].rate if is_real[i] else Fraction(1) for i in range(2)]
    for i in range(2):
        if not is_real[i]:
            scales[1 - i] *= found[i].rate
    first, second = map(_as_scale, scales)
    answer = RankOneTerm(found[0].u, found[1].u, first, second)
    # The best real scale is seldom a float: an error below that of its rounding is not reached.
    answer = as_given(problem, answer)
    nearest = problem.nearest()
    if problem.cost_of(nearest) < problem.cost_of(answer):
        answer = nearest
    brackets = found[0].bracket, found[1].bracket
    return answer, RankOneCertificate.build(problem, answer, None, brackets)


def _as_scale(value: Fraction) -> float:
    """Return the float next to a scale."""
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not 2.0**-1022 <= found < math.inf:
        raise so.Inconclusive(f"the scale {float(value):.3g} leaves the range of floats")
    return found
