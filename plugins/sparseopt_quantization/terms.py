"""The best products of rounded vectors for many small terms: compiled, or in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt_quantization import complex_arrays, term_arrays
from sparseopt_quantization.limits import COMPILED_FROM, check_time
from sparseopt_quantization.sides import has_numba

ALL_PIECES = 1 << 13
"""Pieces of a left vector up to which all are gone through; beyond, so many scales are tried."""
TRIED = 1 << 11
AT_ONCE = 1 << 20
"""Pieces of all terms that NumPy holds at once; a compiled pass is not interrupted that long."""
COMPLEX_PIECES = 1 << 17
"""Pieces of a complex left vector that are gone through at most, over all arguments."""
COMPLEX_WORK = 1 << 28
"""The same of all terms of a pass; for many terms there are fewer of each."""
ROWS, TURNED = 1 << 10, 1 << 14
"""Complex terms that NumPy holds at once, and pieces of each that are gone through before the best
of them are improved in turn."""
GOLDEN = (5.0**0.5 - 1.0) / 2.0
"""Multiples of it lie evenly, modulo 1: by so much of a step all arguments are moved each time."""
AGAIN = 8
"""Times that the best left vector for the right one is looked for, and the other way round."""


@dataclass(frozen=True)
class Terms:
    """How terms are improved: compiled or not, and the clock.

    Attributes
    ----------
    compiled : bool or None
    context : Context
    kept : float
        Predicted seconds to judge the answer, see `limits.check_time`.
    """

    compiled: bool | None
    context: so.Context
    kept: float = 0.0

    def check_time(self, doing: str) -> None:
        """Raise `TimeLimitReached` if there is no more time than judging takes."""
        check_time(self.context, self.kept, doing)

    def improved(
        self,
        left: tuple[np.ndarray, np.ndarray, np.ndarray],
        right: tuple[np.ndarray, np.ndarray, np.ndarray],
        digits: tuple[int, int],
        again: int = 0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rounded vectors that cost no more than those that are there.

        Parameters
        ----------
        left, right : (vectors, weights, rounded vectors)
            Of shapes (k, b) and (k, c); c = 0 if only angles count.
        digits : (int, int)
        again : int
            How often the same was asked before, about. Later on fewer arguments of complex numbers
            are tried, each time others.

        Returns
        -------
        u, v : ndarray
        """
        (x, p, u), (y, q, v) = left, right
        if x.dtype.kind == "c":
            pieces = COMPLEX_PIECES >> (3 if again else 0)
            return self._complex(left, right, digits, pieces, again)
        u, v = u.copy(), v.copy()
        half = 1 << (digits[0] - 1)
        if x.shape[1] * half <= ALL_PIECES:
            numbers, middles = table(digits[0])
            scales, each = np.zeros(0), x.shape[1] * half
        else:
            numbers, middles, each = np.ones(1), np.ones(1), TRIED * (x.shape[1] + y.shape[1])
            scales = np.exp2(np.arange(TRIED) / TRIED)
        splits = 2.0 ** (53 - digits[0]) + 1.0, 2.0 ** (53 - digits[1]) + 1.0
        run = term_arrays.terms
        if self.is_compiled(len(x) * each):
            from sparseopt_quantization import term_kernels

            run = term_kernels.terms
        step = max(1, 4 * AT_ONCE // (each * (x.shape[1] + y.shape[1])))
        for start in range(0, len(x), step):
            self.check_time("rounding the terms of a product")
            part = slice(start, start + step)
            with np.errstate(all="ignore"):
                run(
                    x[part],
                    y[part],
                    p[part],
                    q[part],
                    u[part],
                    v[part],
                    numbers,
                    middles,
                    scales,
                    splits,
                )
        return u, v

    def _complex(
        self,
        left: tuple[np.ndarray, np.ndarray, np.ndarray],
        right: tuple[np.ndarray, np.ndarray, np.ndarray],
        digits: tuple[int, int],
        pieces: int,
        again: int = 0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the same for complex vectors, of which about so many pieces are gone through."""
        (x, p, u), (y, q, v) = left, right
        half = 1 << (digits[0] - 1)
        numbers, middles, scales = np.ones(1), np.ones(1), np.zeros(0)
        if 2 * x.shape[1] * half <= ALL_PIECES:
            numbers, middles = table(digits[0])
            # About as many arguments as there are lines on which a part passes a midpoint.
            each, most = 2 * x.shape[1] * half, 32 * half
        else:
            scales = np.exp2(np.arange(TRIED // 8) / (TRIED // 8))
            each, most = len(scales), max(4, TRIED // (x.shape[1] + y.shape[1]))
        pieces = min(pieces, COMPLEX_WORK // len(x))
        count = min(max(4, pieces // each), most)
        turns = (np.arange(count) + again * GOLDEN % 1.0) * (np.pi / 2.0) / count
        rotations = np.stack([np.cos(turns), np.sin(turns)], axis=1)
        splits = 2.0 ** (53 - digits[0]) + 1.0, 2.0 ** (53 - digits[1]) + 1.0
        run: Any = complex_arrays.terms
        at_once = ROWS
        # In NumPy each piece takes as long for few terms as for many.
        if self.is_compiled(max(len(x), 32) * each * count):
            from sparseopt_quantization import complex_kernels

            run = complex_kernels.terms
        data = (*_parts(x), p), (*_parts(y), q), _parts(u), _parts(v)
        some = max(1, TURNED // each)
        if run is not complex_arrays.terms:
            at_once = max(1, AT_ONCE // (4 * each * some))
        for first in range(0, count, some):
            for start in range(0, len(x), at_once):
                self.check_time("rounding the terms of a product")
                part = slice(start, start + at_once)
                with np.errstate(all="ignore"):
                    run(
                        *(tuple(z[part] for z in vectors) for vectors in data),
                        numbers,
                        middles,
                        scales,
                        rotations[first : first + some],
                        splits,
                        AGAIN,
                    )
        return _joined(data[2]), _joined(data[3])

    def directions(self, x: np.ndarray, p: np.ndarray, u: np.ndarray, digits: int) -> np.ndarray:
        """Return numbers of F_t of a small angle to vectors: the least, but for many entries.

        Their sizes are near those of the vectors.
        """
        if x.shape[1] == 1 and x.dtype.kind == "c":
            return np.where(x != 0.0, np.exp2(np.rint(_log2(x))), 0.0).astype(np.complex128)
        if x.shape[1] == 1:
            return np.where(x != 0.0, np.copysign(np.exp2(np.rint(_log2(x))), x), 0.0)
        if x.dtype.kind == "c":
            none = np.zeros((len(x), 0))
            pieces = COMPLEX_PIECES >> 3
            return self._complex((x, p, u), (none, none, none), (digits, digits), pieces)[0]
        if x.shape[1] != 2:
            none = np.zeros((len(x), 0))
            return self.improved((x, p, u), (none, none, none), (digits, digits))[0]
        found = np.empty_like(x)
        run = term_arrays.directions
        if self.is_compiled(len(x) * 64):
            from sparseopt_quantization import term_kernels

            run = term_kernels.directions
        for start in range(0, len(x), AT_ONCE // 64):
            self.check_time("rounding the terms of a product")
            part = slice(start, start + AT_ONCE // 64)
            with np.errstate(all="ignore"):
                run(x[part], p[part], 1 << digits, found[part])
        rates = rates_of(x, p, found)
        return np.ldexp(found, np.frexp(rates)[1][:, None])

    def candidates(
        self, x: np.ndarray, p: np.ndarray, digits: int, most: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return for vectors of two entries the numbers of F_t of the least angles, and the angles.

        Returns
        -------
        costs : ndarray, shape (k, most)
            ``|x|^2`` times the squared sines, with weights.
        u : ndarray, shape (k, most, 2)
        """
        numbers, middles = table(digits)
        costs, found = np.full((len(x), most), np.inf), np.ones((len(x), most, 2))
        run, each = term_arrays.angles, 2 << (digits - 1)
        if self.is_compiled(len(x) * each):
            from sparseopt_quantization import term_kernels

            run = term_kernels.angles
        step = max(1, AT_ONCE // each)
        for start in range(0, len(x), step):
            self.check_time("looking ahead")
            part = slice(start, start + step)
            with np.errstate(all="ignore"):
                run(x[part], p[part], numbers, middles, costs[part], found[part])
        powers = np.frexp(np.abs(x))[1][:, None, :] - 1
        return costs, np.where(
            x[:, None] == 0.0, 0.0, np.copysign(np.ldexp(found, powers), x[:, None])
        )

    def ahead(
        self,
        blocks: tuple[np.ndarray, np.ndarray, np.ndarray],
        candidates: tuple[np.ndarray, np.ndarray, np.ndarray],
        right: tuple[np.ndarray, np.ndarray],
        digits: tuple[int, int],
    ) -> np.ndarray:
        """Return the candidates chosen for each block; see `term_arrays.ahead`."""
        numbers, middles = table(digits[0])
        chosen = np.zeros((len(blocks[0]), 2), dtype=np.int64)
        run, each = term_arrays.ahead, (2 << (digits[0] - 1)) * blocks[0].shape[2]
        # For all pairs of candidates, and in NumPy as long for few blocks as for many.
        if self.is_compiled(max(len(chosen), 8) * each * candidates[0].shape[1] ** 2):
            from sparseopt_quantization import term_kernels

            run = term_kernels.ahead
        step = max(1, AT_ONCE // (8 * each))
        for start in range(0, len(chosen), step):
            self.check_time("looking ahead")
            part = slice(start, start + step)
            w, rows, columns = (z[part] for z in blocks)
            with np.errstate(all="ignore"):
                run(
                    w,
                    rows,
                    columns,
                    *candidates,
                    *right,
                    numbers,
                    middles,
                    2.0 ** (53 - digits[1]) + 1.0,
                    chosen[part],
                )
        return chosen

    def is_compiled(self, work: int) -> bool:
        """Whether to load the compiled passes."""
        if self.compiled is not None:
            return self.compiled
        return work >= COMPILED_FROM and has_numba()


def table(digits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of F_t from 1 to 4, and the midpoint after each."""
    half = 1 << (digits - 1)
    numbers = np.arange(2 * half + 1.0)
    numbers = np.where(numbers < half, half + numbers, 2.0 * numbers) / half
    return numbers, np.append((numbers[:-1] + numbers[1:]) / 2.0, np.inf)


def _log2(x: np.ndarray) -> np.ndarray:
    return np.log2(np.where(x == 0.0, 1.0, np.abs(x)))


def squares_of(p: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the weighted squared norms of vectors."""
    found: np.ndarray = (p * (u * u.conj()).real).sum(axis=1)
    return found


def _parts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return copies of the real and the imaginary parts."""
    return np.ascontiguousarray(values.real), np.ascontiguousarray(values.imag).copy()


def _joined(parts: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return complex numbers from their parts."""
    found = np.empty(parts[0].shape, dtype=np.complex128)
    found.real, found.imag = parts
    return found


def rates_of(x: np.ndarray, p: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the factors that take rounded vectors nearest to vectors; 1 where they are zero."""
    square = squares_of(p, u)
    weightless = square == 0.0
    if weightless.any():
        p = np.where(weightless[:, None], 1.0, p)
        square = squares_of(p, u)
    inner = (p * x * u.conj()).sum(axis=1)
    return np.where(square * inner != 0.0, inner / np.where(square > 0.0, square, 1.0), 1.0)
