"""The proof that no product of rounded vectors is nearer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.interface.arrays import as_figure
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.judging.rounding import above, shown_above, shown_below
from sparseopt.quantization.exact import dot, exponent_of, root_above, root_below, scaled
from sparseopt.quantization.least_costs import Joint, Vector, least_angle
from sparseopt.quantization.number_format import NumberFormat, significand
from sparseopt.quantization.rank_one import RankOneQuantization, RankOneTerm, parts_of

Bracket = tuple[tuple[int, ...], ...]
"""For x of two entries: of ``|x_2 / x_1| = 2^e r`` with r in [1, 2) for r and for r/2 the two
fractions of numbers below 2^t next to it, as (numerator, denominator) twice. Or nothing."""


def angle_of(vector: Vector, u: np.ndarray) -> Fraction:
    """Return ``1 - <x, u>^2 / (|x|^2 |u|^2)``, exactly; 1 for u = 0."""
    x, a = vector.values, vector.weights
    size = dot(a, u, u)
    return 1 - dot(a, x, u) ** 2 / (dot(a, x, x) * size) if size else Fraction(1)


def widened(form: NumberFormat) -> NumberFormat:
    """Return F_t for a hardware format of t digits and many exponents, all of whose numbers it has.

    Its pieces are far fewer, and where its best numbers are within the range of the format they
    are the best of the format.
    """
    many = form.is_finite and len(form.positive_numbers()) >= 2 ** (form.digits + 2)
    return significand(form.digits, form.scale) if many else form


def as_bracket(value: object, name: str) -> Bracket:
    """Return two times four integers, or nothing; refuse everything else."""
    rows: list[Any] = list(value) if isinstance(value, list | tuple) else [None]
    sound = len(rows) in (0, 2) and all(
        isinstance(row, list | tuple)
        and len(row) == 4
        and all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in row)
        for row in rows
    )
    if not sound:
        raise ProblemError(f"{name} must be empty or two times four integers, not negative")
    return tuple(tuple(row) for row in rows)


def bracketed_angle(vector: Vector, bracket: Bracket) -> Fraction | None:
    """Return the least angle of all u of F_t, from the numbers next to the ratio of two entries.

    The angle grows with the distance of ``u_2 / u_1`` from ``x_2 / x_1`` on either side. Every
    ratio of F_t is 2^d n / m with n, m < 2^t, and takes its place among the n / m at d = e, where
    they are next to r, or at d = e + 1, next to r/2: for a smaller d, m goes up by a power of two,
    and if it reaches 2^t the ratio is below 1, further off than 1 is; likewise for a larger d and
    n. Between two fractions with ``n_2 m_1 - n_1 m_2 = 1`` each other one has a numerator of at
    least n_1 + n_2 and a denominator of at least m_1 + m_2: if one of the two is 2^t or more, none
    is in F_t, whether or not the two fractions are. None if the numbers are not so.
    """
    x, a = [Fraction(abs(v)) for v in vector.values], [Fraction(w) for w in vector.weights]
    if len(x) != 2 or 0 in (*x, *a):
        return None
    ratio, below = x[1] / x[0], 2**vector.form.digits
    e = exponent_of(ratio)
    angles = []
    for more, (n1, m1, n2, m2) in enumerate(bracket):
        target = scaled(ratio, -e - more)
        are_next = n2 * m1 - n1 * m2 == 1 and max(n1 + n2, m1 + m2) >= below
        if not are_next or n1 > target * m1 or n2 < target * m2:
            return None
        for n, m in ((n1, m1), (n2, m2)):
            u = Fraction(m), scaled(Fraction(n), e + more)
            apart = a[0] * a[1] * (x[0] * u[1] - x[1] * u[0]) ** 2
            sizes = [sum(w * v * v for w, v in zip(a, z, strict=True)) for z in (x, u)]
            angles.append(apart / (sizes[0] * sizes[1]))
    return min(angles)


def proved_least(
    problem: RankOneQuantization,
    answer: RankOneTerm,
    brackets: tuple[Bracket, Bracket],
    rooms: int = 1,
) -> Fraction:
    """Return a lower bound of the relative cost of all answers, at most that of this one.

    With so many rooms of rounding: two to state it, one to check it. Nothing is proved of complex
    vectors that are both rounded.
    """
    found = problem.cost_of(answer)
    if problem.is_zero or problem.is_complex:
        return Fraction(0)
    forms = problem.format_x, problem.format_y
    if any(form is None or form.scale == "free" for form in forms):
        left = Fraction(1)
        for name, u, bracket in zip("xy", (answer.u, answer.v), brackets, strict=True):
            values, weights, form = problem.side(name)
            if form is not None:
                vector = Vector(values, weights, form)
                # 1 - cos^2 cos^2 of the two best angles: a real scale separates the vectors.
                angle = angle_of(vector, parts_of(u))
                left *= 1 - _least_angle(vector, angle, bracket, rooms)
        return min(1 - left, found)
    vectors = [Vector(*problem.side(name)) for name in "xy"]  # type: ignore[arg-type]
    return _by_wide(vectors, found, lambda some: _least_joint(some, found, rooms))


def _least_angle(vector: Vector, found: Fraction, bracket: Bracket, rooms: int) -> Fraction:
    """Return a lower bound of the angle of one vector alone, at most `found`."""
    if bracket:
        return min(bracketed_angle(vector, bracket) or Fraction(0), found)
    return _by_wide([vector], found, lambda some: least_angle(some[0], found, rooms))


def _by_wide(
    vectors: list[Vector], found: Fraction, prove: Callable[[list[Vector]], Fraction]
) -> Fraction:
    """Return what is proved for the wider formats, or for those of the vectors if that is less
    than `found`."""
    forms = [widened(v.form) for v in vectors]
    least = prove([replace(v, form=f) for v, f in zip(vectors, forms, strict=True)])
    if forms != [v.form for v in vectors] and least < found * (1 - Fraction(1, 2**30)):
        least = max(least, prove(vectors))
    return least


def _least_joint(vectors: list[Vector], found: Fraction, rooms: int) -> Fraction:
    """Return a lower bound of the cost of both vectors, whichever is gone through."""
    x, y = vectors
    is_scaled = any(v.form.scale is not None for v in vectors)
    if not x.form.is_finite and (y.form.is_finite or y.pieces < x.pieces):
        x, y = y, x
    return Joint(x, y, is_scaled).least(found, rooms)


@proves(RankOneQuantization)
@json_type
@dataclass(frozen=True, eq=False)
class RankOneCertificate(Certificate):
    """The error of an answer, and the least that any answer can have, both over the target's norm.

    The error is computed in rationals. The bound comes from going through all pieces of one vector,
    see `Joint`, or through those of each vector where a real scale makes them independent; of
    formats with many exponents first without their ends, which is a lower bound as well. Where x
    has two entries it may come from their continued fraction. Of two complex vectors that are both
    rounded no bound but 0 is proved.

    Attributes
    ----------
    problem : RankOneQuantization
    answer : RankOneTerm
    relative_error : float
        The error is at most this.
    relative_lower_bound : float
        Every answer has at least this; with real scales, where the formats have free ones.
    bracket_x, bracket_y : tuple
        See `Bracket`; empty where all pieces are gone through.
    """

    problem: RankOneQuantization
    answer: RankOneTerm
    relative_error: float
    relative_lower_bound: float
    bracket_x: Bracket = ()
    bracket_y: Bracket = ()

    def __post_init__(self) -> None:
        for name in ("relative_error", "relative_lower_bound"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))
        for name in ("bracket_x", "bracket_y"):
            object.__setattr__(self, name, as_bracket(getattr(self, name), name))

    @classmethod
    def build(
        cls,
        problem: RankOneQuantization,
        answer: RankOneTerm,
        least: Fraction | None = None,
        brackets: tuple[Bracket, Bracket] = ((), ()),
    ) -> RankOneCertificate:
        """Return the certificate of an answer, however bad it is.

        Parameters
        ----------
        problem : RankOneQuantization
        answer : RankOneTerm
        least : Fraction or None
            What the relative cost of every answer is claimed to be at least; None: what is proved,
            which takes as long as a check.
        brackets : (Bracket, Bracket)
        """
        cost = problem.cost_of(answer)
        if least is None:
            least = proved_least(problem, answer, brackets, rooms=2)
        return cls(
            problem, answer, root_above(cost), root_below(max(least, Fraction(0))), *brackets
        )

    @property
    def accuracy(self) -> float:
        """How much larger the error may be than the least, over the norm of the target."""
        least = min(self.relative_lower_bound, self.relative_error)
        return above(self.relative_error - least) if self.relative_error > least else 0.0

    @property
    def nearest_relative_error(self) -> float:
        """The relative error of rounding each vector to nearest."""
        return self.problem.nearest_relative_error

    @property
    def error(self) -> float:
        """The error, rounded up; infinity beyond the range of floats."""
        squares = self.problem.squares
        return root_above(Fraction(self.relative_error) ** 2 * squares[0] * squares[1])

    @property
    def at_the_end(self) -> int:
        """How many entries of u and v are the largest number of their format.

        Many of them, with an error far above that of rounding, tell that the product leaves the
        range of the formats: a scale would help.
        """
        count = 0
        for form, u in (
            (self.problem.format_x, self.answer.u),
            (self.problem.format_y, self.answer.v),
        ):
            if form is not None:
                count += int((np.abs(parts_of(u)) == form.largest).sum())
        return count

    @property
    def claim(self) -> str:
        """What is proved."""
        least = f", and no choice has less than {shown_below(self.relative_lower_bound, 12)}"
        least = "" if self.problem.is_complex else least
        end = f"; {self.at_the_end} entries are at the end of the range" if self.at_the_end else ""
        return (
            f"{self.problem.describe()}: the relative error is at most "
            f"{shown_above(self.relative_error, 12)}{least}{end}"
        )

    def check(self, steps: Steps) -> None:
        """Compute the error exactly, and the bound by going through all pieces."""
        problem, answer = self.problem, self.answer
        steps.require(type(answer) is RankOneTerm, "the answer is a product of two vectors")
        for name, u, scale in (("x", answer.u, answer.scale_u), ("y", answer.v, answer.scale_v)):
            self._check_side(steps, name, u, scale)
        cost = problem.cost_of(answer)
        steps.require(cost == 0 or not problem.is_zero, "zero is answered by zero")
        stated = self.relative_error
        steps.require(
            0.0 <= stated < math.inf and Fraction(stated) ** 2 >= cost,
            f"the relative error is at most {stated!r}",
            repr(root_above(cost)),
        )
        least = self.relative_lower_bound
        steps.require(0.0 <= least < math.inf, "the lower bound is a number", repr(least))
        if least == 0.0:
            return
        own = proved_least(problem, answer, (self.bracket_x, self.bracket_y))
        steps.require(
            Fraction(least) ** 2 <= own,
            f"no choice has a relative error below {least!r}",
            repr(root_below(own)),
        )

    def _check_side(self, steps: Steps, name: str, u: np.ndarray, scale: float) -> None:
        """Require that a vector and its scale are what the format allows."""
        vector, form = getattr(self.problem, name), getattr(self.problem, f"format_{name}")
        steps.require(u.shape == vector.shape, f"the vector for {name} is as long", str(u.shape))
        alike = u.dtype == vector.dtype
        steps.require(alike, f"the vector for {name} is complex if it was", str(u.dtype))
        if form is None:
            steps.require(np.array_equal(u, vector), f"{name} is left as it is")
            return
        steps.require(form.contains(u), f"the vector for {name} is in {form.name}")
        allowed = {
            None: scale == 1.0,
            "power_of_two": math.frexp(scale)[0] == 0.5,
            "free": True,
        }[form.scale]
        steps.require(allowed, f"the scale for {name} is one of the format", repr(scale))
