"""The problem: the best product of two vectors whose entries take few bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import as_figure
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.problem import Problem
from sparseopt.interface.real_arrays import as_real
from sparseopt.quantization.exact import dot, root_above
from sparseopt.quantization.number_format import NumberFormat, significand

FormatLike = NumberFormat | str | int | None
"""What constructors take for a format: itself, its name, t of F_t, or None for none."""


def as_format(value: Any, name: str = "format") -> NumberFormat | None:
    """Return a format from itself, its name, or its number of digits; None stays None."""
    if value is None or isinstance(value, NumberFormat):
        return value
    if isinstance(value, str):
        return NumberFormat(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return significand(int(value))
    raise ProblemError(
        f"{name} must be a NumberFormat, its name, a number of digits or None, got a "
        f"{type(value).__name__}"
    )


def require_digits(values: Any, form: NumberFormat | None, name: str) -> None:
    """Refuse a format F_t with more digits than the dtype of the values has."""
    dtype = str(getattr(values, "dtype", ""))
    is_single = "float32" in dtype or "complex64" in dtype
    if form is not None and is_single and form.digits > 24:
        raise ProblemError(
            f"{name} is {dtype.removeprefix('torch.')}, which has 24 digits, and its format asks "
            f"for {form.digits}; convert it to double precision, or ask for at most 24"
        )


@json_type
@dataclass(frozen=True, eq=False)
class RankOneTerm:
    """The answer to a `RankOneQuantization`: ``(scale_u u) (scale_v v)^T``.

    Attributes
    ----------
    u, v : ndarray of float64 or complex128, shapes (m,), (n,)
        Numbers of the formats, complex ones by parts; the vector as it was where no format was
        given.
    scale_u, scale_v : float
        Positive; 1 for formats without a scale.
    """

    u: np.ndarray
    v: np.ndarray
    scale_u: float = 1.0
    scale_v: float = 1.0

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self, u: ArrayLike, v: ArrayLike, scale_u: float = 1.0, scale_v: float = 1.0
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("u", "v"):
            object.__setattr__(self, name, as_real(getattr(self, name), name, 1, True))
        for name in ("scale_u", "scale_v"):
            scale = as_figure(getattr(self, name), name)
            if not 0.0 < scale < np.inf:
                raise ProblemError(f"{name} must be a positive number, got {short(scale)}")
            object.__setattr__(self, name, scale)

    def to_dense(self) -> np.ndarray:
        """Return the product as a matrix, in double precision."""
        return np.outer(self.u * self.scale_u, self.v * self.scale_v)

    def __str__(self) -> str:
        return f"a product of vectors with {len(self.u)} and {len(self.v)} entries"


@json_type
@dataclass(frozen=True, eq=False)
class RankOneQuantization(Problem[RankOneTerm, Any]):
    """Find u and v in formats of few bits whose product is nearest to that of two vectors.

    It minimises ``sum_ij a_i b_j |x_i y_j - s u_i v_j|^2``, where s is the product of the scales.
    Rounding x and y each to nearest is mostly far from the best, as only the product counts:
    ``(c x) (y / c)^T`` is the same for every c, and some c rounds well.

    Parameters
    ----------
    x, y : array_like, shapes (m,), (n,)
        float32 or float64, real or complex; integers count as float64. Where a vector is complex
        its rounding is, too, and both parts are numbers of the format.
    format_x, format_y : NumberFormat, str, int or None
        Of u and v. A name or a number of digits stands for ``NumberFormat(name)`` or
        ``significand(t)``. None: that vector is left as it is, times a real scale.
    weights_x, weights_y : array_like or None, shapes (m,), (n,)
        a and b, not negative; None for ones.

    Raises
    ------
    ProblemError
        For empty, other than one-dimensional vectors, NaN, infinity, negative weights,
        other lengths of weights, unknown formats, F_t with t > 24 for float32.

    Notes
    -----
    For fixed u the best v is the rounding of ``<x, u> / |u|^2 y``, entry by entry, and the other
    way round; so some best u is a rounding of ``c x``, and only finitely many c count: those on
    which side of a midpoint of the format some entry of ``c x`` is, up to a factor 2 for F_t. With
    weights the products are weighted ones.

    If one vector is real, or is left as it is, a complex one counts as the real vector of its
    parts, and all of this holds. If both are complex and rounded, c is complex, and there are too
    many regions to go through: good answers are found, no least error is proved.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.RankOneQuantization([0.3, 0.7], [1.1, 0.9], 3, 3)
    >>> solution = so.solve(problem)
    >>> solution.answer.u, solution.answer.v
    (array([0.4375, 1.    ]), array([0.75 , 0.625]))
    >>> solution.certificate.relative_error < problem.nearest_relative_error
    True
    """

    x: np.ndarray
    y: np.ndarray
    format_x: NumberFormat | None
    format_y: NumberFormat | None
    weights_x: np.ndarray | None = None
    weights_y: np.ndarray | None = None
    accuracy_is: ClassVar = "error above the proven lower bound, over the norm of the target"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            x: ArrayLike,
            y: ArrayLike,
            format_x: FormatLike,
            format_y: FormatLike,
            weights_x: ArrayLike | None = None,
            weights_y: ArrayLike | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            form = as_format(getattr(self, f"format_{name}"), f"format_{name}")
            given = getattr(self, name)
            require_digits(given, form, name)
            vector = as_real(given, name, 1, True)
            weights = getattr(self, f"weights_{name}")
            if weights is not None:
                weights = _as_weights(weights, f"weights_{name}", len(vector))
            object.__setattr__(self, name, vector)
            object.__setattr__(self, f"format_{name}", form)
            object.__setattr__(self, f"weights_{name}", weights)

    @cached_property
    def is_complex(self) -> bool:
        """Whether both vectors are complex and rounded; else parts count as entries."""
        kinds = self.x.dtype.kind + self.y.dtype.kind
        return kinds == "cc" and None not in (self.format_x, self.format_y)

    @property
    def default_tolerance(self) -> float | None:  # type: ignore[override]
        """Of complex vectors no least error is proved, so nothing is asked."""
        return None if self.is_complex else 1e-12

    def side(self, name: str) -> tuple[np.ndarray, np.ndarray, NumberFormat | None]:
        """Return vector, weights and format of "x" or "y"; of a complex one, its parts."""
        vector, weights = getattr(self, name), getattr(self, f"weights_{name}")
        if weights is None:
            weights = np.ones(len(vector))
        each = 1 + (vector.dtype.kind == "c")
        return parts_of(vector), np.repeat(weights, each), getattr(self, f"format_{name}")

    @cached_property
    def squares(self) -> tuple[Fraction, Fraction]:
        """The weighted squared norms of x and y, exactly."""
        (x, a, _), (y, b, _) = self.side("x"), self.side("y")
        return dot(a, x, x), dot(b, y, y)

    @property
    def is_zero(self) -> bool:
        """Whether the target is zero wherever it counts."""
        return 0 in self.squares

    def cost_of(self, answer: RankOneTerm) -> Fraction:
        """Return the weighted squared error of an answer over that of zero, exactly.

        0 if the target is zero and so is the answer; 1 if only the target is. O(m + n).
        """
        (x, a, _), (y, b, _) = self.side("x"), self.side("y")
        u, v = parts_of(answer.u), parts_of(answer.v)
        scale = Fraction(answer.scale_u) * Fraction(answer.scale_v)
        size = dot(a, u, u) * dot(b, v, v)
        if self.is_zero:
            return Fraction(int(size != 0))
        square = self.squares[0] * self.squares[1]
        common = dot(a, x, u) * dot(b, y, v)
        if self.is_complex:  # the real part of two complex products: <x, i u> is the imaginary one
            turned = [parts_of(1j * z) for z in (answer.u, answer.v)]
            common -= dot(a, x, turned[0]) * dot(b, y, turned[1])
        return 1 + scale * (scale * size - 2 * common) / square

    def nearest(self) -> RankOneTerm:
        """Return x and y, each rounded to nearest, beyond the largest number to that one."""
        codes, scales = [], []
        for name in ("x", "y"):
            vector, form = getattr(self, name), getattr(self, f"format_{name}")
            rounded = (vector, 1.0) if form is None else form.round_blocks(vector)
            codes.append(rounded[0])
            scales.append(float(rounded[1]))
        return RankOneTerm(codes[0], codes[1], scales[0], scales[1])

    @cached_property
    def nearest_relative_error(self) -> float:
        """The relative error of `nearest`, rounded up."""
        return root_above(self.cost_of(self.nearest()))

    def evaluate(self, answer: RankOneTerm) -> Mapping[str, float]:
        """Return the relative error."""
        return {"relative_error": root_above(self.cost_of(answer))}

    def structure(self) -> Mapping[str, str | int | bool]:
        """Say which formats are asked for."""
        return {"format_x": str(self.format_x), "format_y": str(self.format_y)}

    def describe(self) -> str:
        """Return one line with sizes and formats."""
        m, n = len(self.x), len(self.y)
        forms = " and ".join(str(f or "no format") for f in (self.format_x, self.format_y))
        weighted = "" if self.weights_x is None and self.weights_y is None else "weighted "
        kind = "complex " if self.is_complex else ""
        return f"{weighted}product of {kind}vectors with {m} and {n} entries in {forms}"


def parts_of(vector: np.ndarray) -> np.ndarray:
    """Return the parts of a complex vector, in turn; a real one as it is."""
    return vector.view(np.float64) if vector.dtype.kind == "c" else vector


def _as_weights(value: Any, name: str, length: int) -> np.ndarray:
    """Return weights, or refuse negative ones and another number of them."""
    weights = as_real(value, name, 1)
    if len(weights) != length:
        raise ProblemError(f"{name} has {len(weights)} entries, the vector has {length}")
    if (weights < 0.0).any():
        place = int(np.argmax(weights < 0.0))
        raise ProblemError(f"{name} must not be negative, entry {place} is {weights[place]}")
    return weights
