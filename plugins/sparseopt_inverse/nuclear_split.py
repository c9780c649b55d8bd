"""The nuclear norm of a design that is decomposed: steps whose number does not grow as it weakens.

Proximal steps on the penalty alternate with exact ones on the loss (Douglas, Rachford 1956; Lions,
Mercier 1979), which a singular value decomposition of the design makes cheap. They find the rank;
Newton's method on factors x = L S^T of that rank ends it. At an optimum |L|^2 = |S|^2 and the
residual is strength w with L = C conj(S), S = C^T conj(L), where the correlations C of w have
spectral norm 1. With w as an unknown of its own nothing cancels, however small the strength.
"""

from __future__ import annotations

import numpy as np

from sparseopt.interface.context import Context
from sparseopt.inverse.kinds import NuclearGap
from sparseopt_inverse.moduli import newton
from sparseopt_inverse.precise import add

_MOST_UNKNOWNS = 2000
_DEPENDENT = 1e-14


class SplitNuclear:
    """One problem whose design is dense; everything in scaled units.

    Parameters
    ----------
    gap : NuclearGap
    roots : ndarray, shape (m,)
        Of the weights of the rows.
    context : Context
    """

    def __init__(self, gap: NuclearGap, roots: np.ndarray, context: Context) -> None:
        self.gap, self.context = gap, context
        self.limit = float(gap.scaled.limits[0])
        self.ridge = gap.scaled.ridge / self.limit
        design, target = gap.scaled.dense() * roots[:, None], gap.scaled.target * roots
        left, sizes, right = np.linalg.svd(design, full_matrices=False)
        used = sizes > _DEPENDENT * sizes[0]
        self._left, self._sizes, self._right = left[:, used], sizes[used], right[used]
        self._pull = self._left.T @ target
        off = target - self._left @ self._pull
        self._roots = roots
        self._off = roots * (off - self._left @ (self._left.T @ off))
        # What rounding makes of correlations that would be 0.
        own = gap.exact_correlations(self._off[None], np.arange(gap.scaled.size))[0]
        self._own = (self._right @ own) / self._sizes
        self._ahead = self._right.T @ (self._pull / self._sizes)
        self._step = float(np.linalg.norm(gap.matrix(self._ahead), 2))
        self.x, self.w, self.rank = np.zeros_like(self._ahead), np.zeros_like(self._pull), 0

    def dual_point(self, w: np.ndarray) -> np.ndarray:
        """Return what no coefficients fit, and the strength times w, as two rows."""
        part = self._roots * (self._left @ (self.limit * w - self._own))
        return add(np.stack([self._off, np.zeros_like(part)]), part)

    def advance(self) -> float:
        """Take one step, and return how far it was from the end, relatively."""
        step, ahead = self._step, self._ahead
        missing = self._pull - self._sizes * (self._right @ ahead)
        self.w = missing / (step * self._sizes**2 + self.limit)
        fitted = ahead + step * (self._right.T @ (self._sizes * self.w))
        u, s, v = np.linalg.svd(self.gap.matrix(2.0 * fitted - ahead), full_matrices=False)
        s = np.maximum(s - step, 0.0) / (1.0 + step * self.ridge)
        self.x, self.rank = flat((u * s) @ v), int(np.count_nonzero(s))
        self._ahead = ahead + (self.x - fitted)
        return float(np.linalg.norm(self.x - fitted)) / step

    def rescale(self) -> None:
        """Take steps of the size that x has by now."""
        size = float(np.linalg.norm(self.gap.matrix(self.x), 2))
        if size > 0.0:
            self._step = size
            self._ahead = self.x - size * (self._right.T @ (self._sizes * self.w))

    def polished(
        self, x: np.ndarray, w: np.ndarray | None, rank: int
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return x and w after Newton's method on factors of a rank, None if that is too much."""
        factors = _Factors(self.gap.matrix(x), rank)
        if not rank or factors.count + len(self._pull) > _MOST_UNKNOWNS:
            return None
        # In units in which the design and x have norm 1.
        most, size = float(self._sizes[0]), factors.size
        design = (self._sizes / most)[:, None] * self._right
        limit, ridge = self.limit / (most * most * size), self.ridge * size
        target = self._pull / (most * size)
        if w is None:
            slopes = design @ factors.slopes(factors.start)
            w = np.linalg.lstsq(slopes.T, factors.start, rcond=_DEPENDENT)[0] / most

        def equations(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            own, w = z[: factors.count], z[factors.count :]
            x, turns = factors.product(own), factors.turns(own)
            pull = design.T @ w - ridge * x
            slopes = factors.slopes(own)
            image = design @ slopes
            curved = factors.curvature(self.gap.matrix(pull)) + ridge * (slopes.T @ slopes)
            values = np.append(own - slopes.T @ pull, target - design @ x - limit * w)
            corner = -limit * np.eye(len(w))
            return values, np.block([[curved + turns @ turns.T, -image.T], [-image, corner]])

        found = newton(equations, np.append(factors.start, most * w), self.context)
        own, w = found[: factors.count], found[factors.count :]
        return size * factors.product(own), w / most


class _Factors:
    """Factors L, S of matrices L S^T of one shape and rank, as one vector of real numbers."""

    def __init__(self, matrix: np.ndarray, rank: int) -> None:
        (self._p, self._q), self._rank = matrix.shape, rank
        self._complex = np.iscomplexobj(matrix)
        self.count = (1 + self._complex) * (self._p + self._q) * rank
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
        self.size = float(s[0]) or 1.0
        roots = np.sqrt(s[:rank] / self.size)
        self.start = np.append(flat(u[:, :rank] * roots), flat(v[:rank].T * roots))

    def _parts(self, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ends = (1 + self._complex) * self._p * self._rank
        return tuple(  # type: ignore[return-value]
            (
                part[: len(part) // 2] + 1j * part[len(part) // 2 :] if self._complex else part
            ).reshape(-1, self._rank)
            for part in (own[:ends], own[ends:])
        )

    def product(self, own: np.ndarray) -> np.ndarray:
        """Return L S^T."""
        left, right = self._parts(own)
        return flat(left @ right.T)

    def slopes(self, own: np.ndarray) -> np.ndarray:
        """Return the derivative of the product."""
        (left, right), p, q, r = self._parts(own), self._p, self._q, self._rank
        by_left = np.einsum("ik,jr->ijkr", np.eye(p), right).reshape(p * q, p * r)
        by_right = np.einsum("jk,ir->ijkr", np.eye(q), left).reshape(p * q, q * r)
        return np.hstack([self._map(by_left), self._map(by_right)])

    def curvature(self, pull: np.ndarray) -> np.ndarray:
        """Return the second derivative of half the squared norms, less that of pull.(L S^T)."""
        p, q, r = self._p, self._q, self._rank
        mixed = -np.einsum("ij,rs->irjs", pull.conj(), np.eye(r)).reshape(p * r, q * r)
        if self._complex:
            mixed = np.block([[mixed.real, -mixed.imag], [-mixed.imag, -mixed.real]])
        found, half = np.eye(self.count), len(mixed)
        found[:half, half:], found[half:, :half] = mixed, mixed.T
        return found

    def turns(self, own: np.ndarray) -> np.ndarray:
        """Return the directions in which both factors turn and the product stays, as columns."""
        left, right = self._parts(own)
        found = [np.zeros(self.count)]
        for i, j in np.ndindex(self._rank, self._rank):
            turn = np.zeros((self._rank, self._rank), own.dtype if j < i else complex)
            if j < i:
                turn[i, j], turn[j, i] = 1.0, -1.0
            elif self._complex:
                turn[i, j] = turn[j, i] = 1j
            else:
                continue
            found.append(np.append(flat(left @ turn), flat(right @ turn.conj())))
        return np.stack(found, axis=1)

    def _map(self, matrix: np.ndarray) -> np.ndarray:
        if not self._complex:
            return matrix
        return np.block([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]])


def flat(matrix: np.ndarray) -> np.ndarray:
    """Return the entries of a matrix as real numbers, real parts before imaginary ones."""
    whole = matrix.ravel()
    return np.append(whole.real, whole.imag) if np.iscomplexobj(whole) else whole
