"""Proofs that some vector of a kind is not recovered: one that is missed, checked exactly."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from sparseopt.interface.arrays import as_array, as_int64, read_only
from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.real_arrays import as_complex, as_real
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_certificate import RecoveryCertificate
from sparseopt.inverse.recovery_columns import product
from sparseopt.inverse.recovery_proofs import CLOSE, largest_sum, require_unrounded
from sparseopt.judging.exact import of_python
from sparseopt.judging.rounding import FUNCTION, above, below, row_dots

MOST_BITS = 13_000
"""Of a number, about 4000 decimal digits: JSON takes no more."""


def as_rationals(value: Any, name: str) -> np.ndarray:
    """Return a vector of integers and Fractions; floats stand for what they are."""
    array = as_array(value, name)
    if array.dtype.kind == "c" and array.ndim == 1:
        array = np.stack([array.real, array.imag])
    if array.size == 0 or not (array.ndim == 1 or (array.ndim == 2 and len(array) == 2)):
        raise ProblemError(
            f"{name} must be a vector with at least one entry, or two rows of real and imaginary "
            "parts"
        )
    exact = np.empty(array.size, dtype=object)
    for i, number in enumerate(array.ravel().tolist()):
        if isinstance(number, float) and not np.isfinite(number):
            raise ProblemError(f"{name} has a {number} at entry {i}")
        if isinstance(number, bool) or not isinstance(number, int | float | Fraction):
            raise ProblemError(f"{name} holds a {type(number).__name__} at entry {i}")
        found = of_python(Fraction(number))
        if found.numerator.bit_length() + found.denominator.bit_length() > MOST_BITS:
            raise ProblemError(f"{name} holds a number of too many digits at entry {i}")
        exact[i] = found.numerator if found.denominator == 1 else found
    return read_only(exact.reshape(array.shape))


def image(problem: RecoveryGuarantee, vector: np.ndarray) -> list[Any]:
    """Return ``design @ vector`` exactly, up to one power of two; complex numbers as two."""
    parts = vector.ravel()
    columns = [j for j, v in enumerate(parts) if v]
    whole = problem.columns.whole(columns)
    return [
        sum((a * parts[j] for a, j in zip(row, columns, strict=True)), start=0) for row in whole
    ]


def require_length(steps: Steps, problem: RecoveryGuarantee, vector: np.ndarray) -> None:
    """Require one entry for each column, in two rows of exact parts if they are complex."""
    columns = problem.design.shape[1]
    shape = (2, columns) if problem.is_complex and vector.dtype == object else (columns,)
    steps.require(
        vector.shape == shape,
        f"it has one entry for each of {columns} columns",
        str(vector.shape),
    )


def squares_of(vector: np.ndarray) -> list[Any]:
    """Return the squared moduli of real numbers, or of complex ones in two rows; or of floats."""
    is_complex = vector.dtype.kind == "c"
    parts = np.stack([vector.real, vector.imag]) if is_complex else np.atleast_2d(vector)
    return [*(parts * parts).sum(axis=0)]


def root_within(square: Any) -> tuple[Fraction, Fraction]:
    """Return a lower and an upper bound of a root, to 200 bits, equal where it is rational."""
    value = Fraction(square)
    whole = value.numerator * value.denominator
    shift = max(0, 400 - whole.bit_length()) // 2
    root = math.isqrt(whole << (2 * shift))
    exact = root * root == whole << (2 * shift)
    unit = value.denominator << shift
    return Fraction(root, unit), Fraction(root if exact else root + 1, unit)


def support_of(problem: RecoveryGuarantee, direction: np.ndarray) -> list[int]:
    """Return the columns S of the problem, or those of the k largest entries of a direction."""
    if problem.support is not None:
        return list(problem.support)
    squares = squares_of(direction)
    order = sorted(range(len(squares)), key=lambda i: (-squares[i], i))
    return sorted(order[: problem.size])


def terms_of(problem: RecoveryGuarantee, direction: np.ndarray) -> list[Any]:
    """Return numbers that add up to ``|h_S|_1 - |h_rest|_1``, or with signs ``s.h_S``.

    Those of complex numbers are rounded, by a few units of the entry's modulus.
    """
    on = support_of(problem, direction)
    terms = [-abs(v) for v in direction.tolist()]
    for place, j in enumerate(on):
        given = None if problem.signs is None else problem.signs[place]
        if problem.is_complex and given is not None:
            terms[j] = (given.conjugate() * direction[j]).real / abs(given)
        else:
            terms[j] = abs(direction[j]) if given is None else given * direction[j]
    return terms


def gain_below(problem: RecoveryGuarantee, direction: np.ndarray) -> Any:
    """Return a lower bound of the same sum for an exact direction; the sum if it is real.

    Roots are enclosed; those that cancel, or are rational, lose nothing.
    """
    if not problem.is_complex:
        return sum(terms_of(problem, direction))
    on, squares, signs = support_of(problem, direction), squares_of(direction), problem.signs
    counts = Counter[Any]()
    for j, square in enumerate(squares):
        if signs is None or j not in on:
            counts[square] += 1 if j in on else -1
    shares = [(count, square) for square, count in counts.items()]
    for z, j in zip(signs or (), on, strict=False):
        real, imag = Fraction(z.real), Fraction(z.imag)
        square = real * real + imag * imag
        shares.append(((real * direction[0, j] + imag * direction[1, j]) / square, square))
    return sum(min(share * root for root in root_within(square)) for share, square in shares)


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class KernelCertificate(RecoveryCertificate):
    """Not every vector is recovered: a direction h != 0 with ``design @ h = 0`` leads to another.

    Conditions, S the support and s the signs on it:

    - l1: ``|h_S|_1 >= |h_rest|_1`` (for a sparsity k: for the k largest entries of h; for signs:
      ``s.h_S >= |h_rest|_1``). Then x, which is h on S and 0 elsewhere (for signs: c s with c =
      max |h_S|), and x - h are two vectors of one image, and ``|x - h|_1 <= |x|_1``. With complex
      signs ``Re(s^H h_S) > |h_rest|_1`` strictly, or h_S a multiple of s by real numbers: then the
      same holds for c large enough, since ``|c - h_i / s_i| <= c - Re(h_i / s_i) + O(1 / c)``.
    - omp: h vanishes off S (for a sparsity k: has at most 2 k nonzeros). Then two vectors of the
      kind have one image, and no method whatever finds both. With complex signs they need not have
      the same phases. But the columns of S depend on each other, and omp takes none that depends
      on those before it, so it ends without one of them, and x has all of S.

    Attributes
    ----------
    problem : RecoveryGuarantee
    answer : RecoveryVerdict
    direction : object array of int and Fraction, shape (n,), or (2, n) for complex numbers
        h, its real parts and then its imaginary parts; floats are taken as the rationals that they
        are.
    """

    value: ClassVar = "fails"

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    direction: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", as_rationals(self.direction, "direction"))

    @classmethod
    def proved(cls, problem: RecoveryGuarantee, direction: Any) -> KernelCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        condition = cls._condition(problem)
        return cls(problem, cls.verdict(problem, condition), direction)

    @staticmethod
    def _condition(problem: RecoveryGuarantee) -> str:
        if problem.method == "l1":
            return "another vector with the same image has no larger 1-norm"
        if problem.is_complex and problem.signs is not None:
            return "the columns of the support depend on each other"
        return "two such vectors have the same image"

    @property
    def support(self) -> list[int]:
        """The columns S that the counterexample is about."""
        return support_of(self.problem, self.direction)

    @property
    def missed(self) -> np.ndarray:
        """A vector of the kind; it and ``missed - direction`` have the same image."""
        problem, h = self.problem, self.direction
        x, on = np.zeros(h.shape, dtype=object), self.support
        if problem.signs is None:
            x[..., on] = h[..., on]
        elif problem.is_complex:
            signs = np.array(problem.signs)
            most = 2 * _multiple(problem, h, on)
            x[0, on] = [most * Fraction(v) for v in signs.real.tolist()]
            x[1, on] = [most * Fraction(v) for v in signs.imag.tolist()]
        else:
            most = max(abs(v) for v in h[on])
            x[on] = [most * s for s in problem.signs]
        return x

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: not always, as {self._condition(self.problem)}"

    def check(self, steps: Steps) -> None:
        """Do all of it over the rationals."""
        problem, h = self.problem, self.direction
        self.require_verdict(steps, self._condition(problem))
        require_length(steps, problem, h)
        steps.require(any(h.ravel()), "the direction is not zero")
        steps.require(not any(image(problem, h)), "design @ direction is exactly zero")
        on = self.support
        if problem.method == "omp":
            used = [j for j, square in enumerate(squares_of(h)) if square]
            inside = set(used) <= set(on)
            few = problem.sparsity is not None and len(used) <= 2 * problem.sparsity
            steps.require(inside or few, "it is the difference of two vectors of the kind")
            return
        gain = gain_below(problem, h)
        aligned = problem.signs is None or not problem.is_complex or _is_aligned(problem, h, on)
        steps.require(
            gain > 0 or (gain == 0 and aligned), "the other vector's 1-norm is not larger"
        )


def _is_aligned(problem: RecoveryGuarantee, h: np.ndarray, on: list[int]) -> bool:
    """Whether complex entries are real multiples of their signs, exactly."""
    assert problem.signs is not None
    return not any(
        Fraction(z.real) * h[1, j] - Fraction(z.imag) * h[0, j]
        for z, j in zip(problem.signs, on, strict=True)
    )


def _multiple(problem: RecoveryGuarantee, h: np.ndarray, on: list[int]) -> Fraction:
    """Return c for which ``sum |c s - h| <= sum (c - Re(s^H h)) + gain`` over the support."""
    squares = [Fraction(v) for v in squares_of(h[:, on])]
    most, gain = max(root_within(v)[1] for v in squares), gain_below(problem, h)
    return most if gain == 0 else most + sum(squares) / (2 * gain)


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class NearKernelCertificate(RecoveryCertificate):
    """l1 does not recover every vector: near a direction h there is one with ``design @ h' = 0``.

    For designs whose kernels would take too long to be computed exactly. Condition: with m columns
    C, a matrix V and ``R = 1 - A_C V``, ``|R|_inf < 1``, the vector ``h' = h - V (1 - R)^-1 A h``,
    V's rows at C, is in the kernel: ``A h' = A h - (1 - R) (1 - R)^-1 A h``. Its m changed entries
    move by at most ``d = |V|_inf |A h|_inf / (1 - |R|_inf)``. If ``|h_S|_1 - |h_rest|_1 > m d``
    (for signs ``s.h_S``), then ``|h'_S|_1 > |h'_rest|_1``; what follows says `KernelCertificate`.
    Complex numbers: the same with moduli.

    Attributes
    ----------
    problem : RecoveryGuarantee
        Of l1.
    answer : RecoveryVerdict
    direction : ndarray of float64 or complex128, shape (n,)
        h.
    columns : ndarray of int, shape (m,)
        C.
    inverse : ndarray of float64 or complex128, shape (m, m)
        V, for the scaled design.
    """

    value: ClassVar = "fails"

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    direction: np.ndarray
    columns: np.ndarray
    inverse: np.ndarray

    def __post_init__(self) -> None:
        for name, axes in (("direction", 1), ("inverse", 2)):
            value = getattr(self, name)
            is_complex = getattr(value, "dtype", np.dtype(float)).kind == "c"
            taken = as_complex(value, name, axes) if is_complex else as_real(value, name, axes)
            object.__setattr__(self, name, taken)
        columns = np.asarray(self.columns)
        if columns.ndim != 1 or columns.dtype.kind not in "iu":
            raise ProblemError("columns must be a vector of column numbers")
        object.__setattr__(self, "columns", read_only(as_int64(columns, "columns").astype(np.intp)))

    @classmethod
    def proved(
        cls, problem: RecoveryGuarantee, direction: Any, columns: Any, inverse: Any
    ) -> NearKernelCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        verdict = cls.verdict(problem, cls._condition)
        return cls(problem, verdict, direction, columns, inverse)

    _condition = "another vector with the same image has a smaller 1-norm"

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: not always, as {self._condition}"

    def check(self, steps: Steps) -> None:
        """Bound how far the direction is from the kernel. O(m^3 + m n)."""
        problem, h, columns = self.problem, self.direction, self.columns
        self.require_verdict(steps, self._condition)
        steps.require(problem.method == "l1", "the method is l1")
        require_unrounded(steps, problem)
        m, n = problem.design.shape
        require_length(steps, problem, h)
        is_real = problem.is_complex or h.dtype.kind != "c"
        steps.require(is_real, "the direction is real where the design is")
        fits = columns.shape == (m,) and self.inverse.shape == (m, m)
        steps.require(fits, f"there are {m} columns and an inverse of {m} rows and columns")
        inside = bool(((columns >= 0) & (columns < n)).all())
        steps.require(inside and len(set(columns.tolist())) == m, "the columns are distinct ones")
        used = problem.columns.part(columns)
        values, bounds = product(used.columns, self.inverse)
        bounds = bounds + used.combined_error(self.inverse)
        defect = largest_sum(np.eye(m) - values, bounds)
        steps.require(defect <= CLOSE, "the inverse is one of these columns", f"{defect:.3g}")
        missed = _image_above(problem, h)
        moved = above(m * largest_sum(self.inverse, np.zeros((m, m))) * missed / (1.0 - defect), 8)
        terms = terms_of(problem, h)
        # Of moduli: in the real part of a product digits cancel.
        lost = 4.0 * FUNCTION * math.fsum(np.abs(h).tolist()) if problem.is_complex else 0.0
        gain = below(max(math.fsum(terms) - lost, 0.0), 4)
        steps.require(
            gain > moved,
            "the other vector's 1-norm is smaller, also in the kernel",
            f"{gain:.3g} and {moved:.3g}",
        )


def _image_above(problem: RecoveryGuarantee, h: np.ndarray) -> float:
    """Return an upper bound of the largest magnitude in ``design @ h``, scaled."""
    part, parts = problem.columns.all, [h]
    rows = part.columns
    if problem.is_complex:
        rows = np.block([[rows.real, -rows.imag], [rows.imag, rows.real]])
        parts = [h.real, h.imag]
    values, bounds = row_dots(rows, np.concatenate(parts))
    found = above(float((np.abs(values) + bounds).max()), 2)
    found = above(1.5 * found, 2) if problem.is_complex else found
    return above(found + float(part.combined_error(h[:, None])[0]), 2)
