"""Certified answers to basis pursuit from rough ones: what its solvers share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.sparse

import sparseopt as so
from sparseopt import Context, Inconclusive, Refused
from sparseopt.inverse.basis_pursuit import BasisPursuit, PursuitAnswer
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.infeasible_certificate import InfeasibleCertificate
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.pursuit_certificate import PursuitCertificate
from sparseopt_inverse.exact_faces import exact_face
from sparseopt_inverse.exact_kernels import exact_rest
from sparseopt_inverse.faces import MOST_ENTRIES, Face, columns_of, face_of, independent
from sparseopt_inverse.moduli import flattest, phases, shortest
from sparseopt_inverse.work import SINGULAR_VALUES, begin

MOST_EXACT = 32
"""Columns up to which least squares is solved exactly where rounding does not do."""
MOST_TRIES = 8
"""Sets of columns on which a problem without noise is solved exactly."""
MOST_PROGRAM = 40_000
"""Entries of the design up to which a linear program looks for a proof of uniqueness."""
_SLIGHT = 1e-8
"""Noise below that share of the target moves the answer without noise a little, as a rule."""
Made = tuple[PursuitAnswer, PursuitCertificate | InfeasibleCertificate]


def most_room(matrix: np.ndarray, support: np.ndarray, signs: np.ndarray) -> np.ndarray | None:
    """Return the dual point that is exact on the support and smallest off it, by HiGHS."""
    m, n = matrix.shape
    off = np.setdiff1d(np.arange(n), support)
    rows = np.hstack([matrix[:, off].T, -np.ones((len(off), 1))])
    flipped = np.hstack([-matrix[:, off].T, -np.ones((len(off), 1))])
    done = scipy.optimize.linprog(
        np.append(np.zeros(m), 1.0),
        A_ub=np.vstack([rows, flipped]),
        b_ub=np.zeros(2 * len(off)),
        A_eq=np.hstack([matrix[:, support].T, np.zeros((len(support), 1))]),
        b_eq=signs,
        bounds=[(None, None)] * (m + 1),
        options={"time_limit": 5.0},
    )
    return None if done.x is None or not done.x[m] < 1.0 - 1e-9 else done.x[:m]


def written(fit: Fit) -> Any:
    """Return the scaled design, that of an operator written out."""
    return (
        fit.scaled.dense() if isinstance(fit.scaled.design, ColumnOperator) else fit.scaled.design
    )


def row_units(matrix: Any) -> np.ndarray:
    """Return powers of two that bring the rows of a matrix to about one size."""
    size = abs(matrix).max(axis=1)
    size = np.asarray(size.toarray() if scipy.sparse.issparse(size) else size).ravel()
    with np.errstate(divide="ignore"):
        return np.where(size > 0.0, np.ldexp(1.0, -np.frexp(size)[1]), 1.0)


def is_operator(problem: BasisPursuit) -> bool:
    """Whether only products with the design are known."""
    return isinstance(problem.system.real_design, ColumnOperator)


def is_large(problem: BasisPursuit) -> bool:
    """Whether the design is too large to be made dense."""
    return math.prod(problem.shape) > MOST_ENTRIES


def refused_as_large(problem: BasisPursuit) -> Refused | None:
    """Refuse an operator too large to be written out."""
    if is_operator(problem) and is_large(problem):
        return Refused(
            f"the operator stands for {math.prod(problem.shape)} entries and is written out, up to "
            f"{MOST_ENTRIES}; lasso_path takes it as it is"
        )
    return None


class BestPursuit:
    """Certifies what it is offered, in scaled units, and keeps the most accurate.

    Parameters
    ----------
    problem : BasisPursuit
    context : Context
    """

    def __init__(self, problem: BasisPursuit, context: Context) -> None:
        self.problem, self.context = problem, context
        self.fit = Fit(problem.system)
        self.noise = math.ldexp(problem.noise, -self.fit.unit)
        self.asked = 1e-13 if context.tolerance is None else context.tolerance
        self._made: Made | None = None
        self._tried: set[bytes] = set()

    @property
    def good(self) -> bool:
        """Whether the accuracy is as asked."""
        return self._made is not None and self._made[1].accuracy <= self.asked

    @property
    def result(self) -> Made:
        """The best answer; `Inconclusive` if nothing was offered."""
        if self._made is None:
            raise Inconclusive("no vector was found that can be certified")
        return self._made

    def offer(self, x: np.ndarray, w: np.ndarray) -> None:
        """Certify a vector by a dual point."""
        if not (np.isfinite(x).all() and np.isfinite(w).all()):
            return
        x = self.fit.scaled.original_coefficients(x)
        made = PursuitCertificate.build(self.problem, x, self.fit.scaled.joined(w))
        if self._made is None or self._rank(made[1]) < self._rank(self._made[1]):
            self._made = made

    def _rank(self, certificate: PursuitCertificate | InfeasibleCertificate) -> tuple[float, ...]:
        """Return what is to be small: within what was asked, a fit within the noise goes first."""
        accuracy = certificate.accuracy
        if isinstance(certificate, InfeasibleCertificate):
            return accuracy, 0.0, 0.0, accuracy
        beyond, open_ = float(certificate.excess > 0.0), float(not certificate.unique)
        return max(accuracy, self.asked), beyond, open_, accuracy

    @property
    def excess(self) -> float:
        """The misfit of the best beyond the noise."""
        assert self._made is not None
        made = self._made[1]
        return made.excess if isinstance(made, PursuitCertificate) else 0.0

    def offer_polished(self, x: np.ndarray, w: np.ndarray, small: float = 1e-7) -> None:
        """Offer what the closed forms make of a rough vector and dual point, for norms 1 and inf.

        Entries whose columns carry less than `small` times the most count as zero for norm 1; those
        within that of the largest as equal to it for the other.
        """
        largest = float(self.fit.moduli(x).max())
        if largest == 0.0:
            self.offer(x, w)
            return
        reach = self.fit.moduli(self.fit.scaled.correlation(w))
        size = float(reach.max() if self.problem.norm == 1 else reach.sum())
        w = w / size if size > 0.0 else w
        try:
            if self.fit.is_complex:
                self._offer_moduli(x, w, small)
            elif self.problem.norm == 1:
                self._offer_sparse(x, w, small)
            else:
                self._offer_flat(x, w, np.abs(x) >= largest * (1.0 - small))
                if not self.good:  # what correlates with the dual point is as large as possible
                    size = np.abs(self.fit.scaled.correlation(w))
                    self._offer_flat(x, w, size > small * float(size.max()))
        except (ValueError, np.linalg.LinAlgError):
            return

    def _mus(self, face: Face) -> Iterator[float]:
        """Yield values of mu for which the residual of a face is the noise, or just below.

        Further and further below, until rounding does not put an answer outside the noise any more.
        """
        if self.noise == 0.0:
            yield 0.0
            return
        for shrink in (0.0, 1e-15, 4e-15, 1.6e-14):
            room = (self.noise * (1.0 - shrink)) ** 2 - float(face.rest @ face.rest)
            if room > 0.0:
                yield math.sqrt(room / face.square)
            if self._made is not None and self.good and self.excess == 0.0:
                return

    def _offer_moduli(self, x: np.ndarray, w: np.ndarray, small: float) -> None:
        """Do it for complex numbers, by Newton's method; for noise further and further inside."""
        size = self.fit.moduli(x)
        if self.noise == 0.0 and self.problem.norm == 1:
            self._offer_few_moduli(w, self._carrying(x, small))
            if self.good:
                return
        for shrink in (0.0, 1e-15, 4e-15, 1.6e-14):
            noise = self.noise * (1.0 - shrink)
            if self.problem.norm == 1:
                chosen = self._carrying(x, small)
                found = shortest(self.fit, x, w, chosen, noise, self.context)
            else:
                flat = size >= float(size.max()) * (1.0 - small)
                found = flattest(self.fit, x, w, flat, noise, self.context)
            if found is None:
                return
            self.offer(*found)
            if noise == 0.0 or (self.good and self.excess == 0.0):
                return

    def _offer_few_moduli(self, w: np.ndarray, chosen: np.ndarray) -> None:
        """Do it where the columns used are independent: their entries follow in closed form."""
        pairs = self.fit.pairs(chosen)
        if not 0 < len(pairs) <= len(w) or len(pairs) * len(w) > MOST_ENTRIES:
            return
        columns = self.fit.scaled.dense(pairs)
        x = Face(self.fit, columns, np.ones(len(pairs))).exact_fit(
            self.fit, pairs, self.fit.scaled.size
        )
        face = Face(self.fit, columns, phases(x[pairs])[0])
        for share in (0.0, 1.0, 0.5, 0.1, 0.01):
            self.offer(x, face.improved((1.0 - share) * w + share * face.direction))
            if self.good and self.result[0].unique:
                return
            if share == 0.0 and not self.good:
                return

    def _carrying(self, x: np.ndarray, small: float) -> np.ndarray:
        size = self.fit.moduli(x)
        size = size * self.fit.norms[: len(size)]
        return np.flatnonzero(size > small * float(size.max()))

    def _offer_sparse(self, x: np.ndarray, w: np.ndarray, small: float) -> None:
        chosen = every = self._carrying(x, small)
        made = face_of(self.fit, chosen, np.sign(x[chosen]))
        if made is None:
            return
        face, chosen = made
        if self.noise == 0.0:
            found = face.exact_fit(self.fit, chosen, len(x))
            self.offer(found, face.improved(w))
            if not self.good:
                self.offer(found, face.sharpened(self.fit, chosen, face.improved(w), 1.0))
            if not self.good:
                self.offer(found, self._on_active(w, x, chosen))
            if not self.good:
                self._offer_exact(every, w)
            if not self.good:
                self.offer_only(w)
            if self.good and not self.result[0].unique:
                self._offer_inner(found, face.improved(w), face)
            return
        for mu in self._mus(face):
            found = np.zeros(len(x))
            found[chosen] = face.coefficients(mu)
            self.offer(found, face.residual(mu))
            if not self.good:
                self.offer(found, face.sharpened(self.fit, chosen, face.residual(mu), mu))

    def offer_only(self, w: np.ndarray | None = None) -> None:
        """Offer the one vector that fits, where the columns are few and exactly independent."""
        size = self.fit.scaled.size
        if self.noise or (self.fit.is_complex and self.problem.norm != 2):
            return
        if size > self.fit.scaled.rows:
            return
        self._offer_exact(np.arange(size), np.zeros(self.fit.scaled.rows) if w is None else w)

    def without_noise(self) -> Made | None:
        """Return what the answer of the problem without noise leads to, where noise is slight.

        None where that is not as good as asked.
        """
        length = float(np.linalg.norm(self.fit.target))
        if not 0.0 < self.noise < _SLIGHT * length:
            return None
        problem, remaining = self.problem, self.context.remaining()
        plain = so.BasisPursuit(problem.design, problem.target, norm=problem.norm)
        limit = None if math.isinf(remaining) else remaining
        try:
            found = so.solve(plain, time_limit=limit)
        except so.SolveError:
            return None
        if not found.answer.feasible:
            return None
        parts = self.fit.scaled.parts
        x, w = self.fit.coefficients(found.answer.x), parts(found.certificate.dual_point)
        self.offer(x, w)
        self.offer(x * (1.0 - self.noise / length), w)  # shorter, and within the noise
        if not self.good:
            self.offer_polished(x, np.atleast_2d(w)[0], 0.0)
        if not self.good and problem.norm == 1:
            with contextlib.suppress(ValueError, np.linalg.LinAlgError):
                self._offer_moved(x)
        return self.result if self.good else None

    def _offer_moved(self, x: np.ndarray) -> None:
        """Offer what slight noise makes of the answer without: phases move with its square."""
        pairs = self.fit.pairs(self._carrying(x, 0.0))
        if not 0 < len(pairs) <= self.fit.scaled.rows:
            return
        signs = phases(x[pairs])[0] if self.fit.is_complex else np.sign(x[pairs])
        face = Face(self.fit, columns_of(self.fit, pairs), signs)
        for mu in self._mus(face):
            moved = x.copy()
            moved[pairs] -= mu * face.slope
            self.offer(moved, face.direction)

    def offer_least_norm(self) -> None:
        """Offer the vector of least 2-norm, with rows brought to one size, for norm 1 columns too.

        For other norms it proves something where their engines find nothing.
        """
        m, n = self.problem.shape
        begin(self.context, 3.0 * SINGULAR_VALUES * m * n * min(m, n), "least squares")
        if m * n > MOST_ENTRIES:
            return
        matrix = self.fit.scaled.dense()
        columns = np.ones(matrix.shape[1])
        if self.problem.norm == 1:
            columns = 1.0 / np.where(self.fit.norms > 2.0**-400, self.fit.norms, 1.0)
        rows = row_units(matrix * columns)
        left, values, right = scipy.linalg.svd(
            rows[:, None] * matrix * columns, full_matrices=False, check_finite=False
        )
        used = values > values[0] * max(m, n) * np.finfo(float).eps
        left, values, right = left[:, used], values[used], right[used]
        x = np.zeros(matrix.shape[1])
        for _ in range(3):
            residual = rows * self.fit.residual(x)[0]
            x = x + columns * (right.T @ ((left.T @ residual) / values))
        self.offer(x, rows * (left @ ((right @ (x / columns)) / values)))

    def _offer_exact(self, chosen: np.ndarray, w: np.ndarray) -> None:
        """Offer what exact arithmetic makes of some columns, once for each set of them."""
        key = chosen.tobytes()
        if key in self._tried or len(self._tried) >= MOST_TRIES:
            return
        self._tried.add(key)
        columns = columns_of(self.fit, chosen)
        made = exact_face(columns, self.fit.target, w, self.context, self.problem.norm)
        if made is not None:
            found = np.zeros(self.fit.scaled.size)
            found[chosen] = made[0]
            self.offer(found, made[1])

    def _offer_inner(self, x: np.ndarray, w: np.ndarray, face: Face) -> None:
        """Offer dual points that leave columns off the support room, to prove x unique.

        A vertex of the dual problem, as a simplex method finds it, has ties; the shortest vector
        with the right correlations on the support (Fuchs 2004), or one on the way to it, may not.
        """
        for share in (1.0, 0.5, 0.1, 0.01):
            inner = face.improved((1.0 - share) * w + share * face.direction)
            if self._room_off(inner, face) > 1e-9:
                self.offer(x, inner)
            if self.result[0].unique:
                return
        if len(w) * len(x) > MOST_PROGRAM:
            return
        roomy = most_room(self.fit.scaled.dense(), np.flatnonzero(x), face.signs)
        if roomy is not None:
            self.offer(x, face.improved(roomy))

    def _room_off(self, w: np.ndarray, face: Face) -> float:
        """Return 1 minus the largest correlation of columns that are not on the face."""
        reach, on = np.abs(self.fit.scaled.correlation(w)), len(face.signs)
        off = np.partition(reach, -on)[:-on]  # those on the face correlate most
        return 1.0 - float(off.max(initial=0.0))

    def _on_active(self, w: np.ndarray, x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return `w` moved so that all correlations near 1 are 1, those off the support too."""
        reach = self.fit.correlations(w)[0]
        near = np.union1d(np.flatnonzero(np.abs(reach) > 1.0 - 1e-6), chosen)
        if len(near) * len(w) > MOST_ENTRIES:
            return w
        signs = np.sign(reach[near])
        signs[np.isin(near, chosen)] = np.sign(x[chosen])
        columns = columns_of(self.fit, near)
        for _ in range(2):
            missing = signs - columns.T @ w
            w = w + scipy.linalg.lstsq(columns.T, missing, check_finite=False)[0]
        return w

    def _offer_flat(self, x: np.ndarray, w: np.ndarray, is_flat: np.ndarray) -> None:
        """Do the same for norm inf: entries of the largest size move together.

        Columns of the others that depend on each other keep their entries, but for a basis.
        """
        flat, rest = np.flatnonzero(is_flat), np.flatnonzero(~is_flat)
        signs = np.sign(x[flat])
        together = columns_of(self.fit, flat) @ signs
        others = columns_of(self.fit, rest)
        kept = independent(others) if len(rest) else rest
        fixed = np.setdiff1d(np.arange(len(rest)), kept)
        target = self.fit.target - others[:, fixed] @ x[rest[fixed]]
        columns = np.column_stack([together, others[:, kept]])
        first = np.zeros(columns.shape[1])
        first[0] = 1.0
        face = Face(self.fit, columns, first, target)
        for mu in self._mus(face):
            c, found = face.coefficients(mu), x.copy()
            found[flat], found[rest[kept]] = c[0] * signs, c[1:]
            if self.noise > 0.0:
                self.offer(found, face.residual(mu))
                continue
            for _ in range(2):
                c = c + face.correction(self.fit.residual(found)[0])
                found[flat], found[rest[kept]] = c[0] * signs, c[1:]
            self.offer(found, face.improved(w))
            if self.good:
                return
            made = exact_face(columns, target, np.zeros_like(w), self.context, math.inf)
            if made is not None:
                found = found.copy()
                found[flat], found[rest[kept]] = made[0][0] * signs, made[0][1:]
                self.offer(found, made[1])

    def nothing_fits(self) -> Made | None:
        """Return the answer that nothing fits, None where it is not so or cannot be proved.

        A smallest residual that exceeds the noise by no more than the tolerance, relative to the
        target, counts as a fit: rounding the target makes as much of a system that has one.
        O(m n min(m, n)).
        """
        m, n = self.problem.shape
        begin(self.context, 3.0 * SINGULAR_VALUES * m * n * min(m, n), "least squares")
        if m * n > MOST_ENTRIES:
            return None
        matrix = self.fit.scaled.dense()
        units = 1.0 / np.where(self.fit.norms > 2.0**-400, self.fit.norms, 1.0)
        left, values, right = scipy.linalg.svd(
            matrix * units, full_matrices=False, check_finite=False
        )
        rank = int(np.count_nonzero(values > values[0] * max(m, n) * np.finfo(float).eps))
        left, values, right = left[:, :rank], values[:rank], right[:rank]
        x = np.zeros(matrix.shape[1])
        for _ in range(3):
            residual = self.fit.residual(x)[0]
            x = x + units * (right.T @ ((left.T @ residual) / values))
        residual = self.fit.residual(x)[0]
        beyond = np.linalg.norm(residual) - self.noise
        if not beyond > max(self.asked, 1e-13) * np.linalg.norm(self.fit.target):
            return None
        w = residual - left @ (left.T @ residual)
        x = self.fit.scaled.original_coefficients(x)
        made = InfeasibleCertificate.build(self.problem, x, self.fit.scaled.joined(w))
        if made is not None or n > MOST_EXACT or m * n * n > MOST_PROGRAM:
            return made
        # Columns that nearly depend on each other span a direction that rounding does not see.
        w = exact_rest(matrix, self.fit.target, self.context)
        return InfeasibleCertificate.build(self.problem, x, self.fit.scaled.joined(w))

    def is_zero(self) -> bool:
        """Offer 0 where it is the answer, and say whether it is."""
        if np.linalg.norm(self.fit.target) <= self.noise * (1.0 - 1e-15) or not (
            self.fit.target.any()
        ):
            self.offer(np.zeros(self.fit.scaled.size), np.zeros(self.fit.scaled.rows))
            return True
        return False
