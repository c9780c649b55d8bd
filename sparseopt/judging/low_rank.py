"""How far matrices are from low rank: bounds with proof, from decompositions that are not believed.

Let dist(B) be the distance, in the Frobenius norm, of a matrix B with b rows to the matrices of
rank at most r: by Eckart, Young and Mirsky, the root of the sum of its squared singular values but
the first r.

Theorem. Let Q be a square matrix with e >= |Q^H Q - I|, e < 1, let C have the size of B, and
R >= |B - Q C|. Split C C^H = [[A, H], [H^H, M]] after row r, with h >= |H| in the Frobenius norm,
a <= the least eigenvalue of A and m >= the largest one of M. Then

    sqrt((1 - e)(trace M - loss)) - R  <=  dist(B)  <=  sqrt((1 + e) trace M) + R

for loss = h^2 / (a - m) if a > m, and for loss = sqrt(r) h + r max(m - a, 0).

Proof. The distance to a set changes by no more than the point moves, which gives R. The k-th
singular value of Q C lies between sigma_min(Q) and sigma_max(Q) times that of C, and these squared,
the extreme eigenvalues of Q^H Q, between 1 - e and 1 + e. Leaving out all but the first r rows of C
costs trace M, hence the upper bound; and dist(C)^2 is the sum of the b - r least eigenvalues of
C C^H. First loss: with t = a - m,

    C C^H - [[A - t I, 0], [0, M - H^H H / t]]  =  [[t I, H], [H^H, H^H H / t]]  >=  0,

so each eigenvalue is at least the one of the block diagonal matrix, whose least ones are those of
its second block, as the first has none below a - t = m: their sum is trace M - h^2 / t. Second
loss: by Lidskii, leaving H out changes sums of eigenvalues by at most the nuclear norm of H, which
is at most sqrt(r) h; and of the eigenvalues of A and M together the b - r least have at least the
sum trace M, less r times what those of A, at least a, are below m.

So whatever computes Q and C, good ones give good bounds and bad ones only wide ones. Eigenvectors
of B B^H give orthogonal rows of C up to rounding relative to the largest; where that loses too
much, the singular value decomposition gives rows orthogonal up to rounding relative to themselves.
"""

from __future__ import annotations

import math

import numpy as np

from sparseopt.judging.figures import Figure
from sparseopt.judging.rounding import TINY, UNIT, gamma, sum_terms


class DistanceToRank:
    """Collects blocks; `figure` encloses their common distance to blocks of rank at most r.

    Blocks are in double precision and scaled, so that squares are safe.

    Parameters
    ----------
    rank : int
        r >= 1.
    """

    def __init__(self, rank: int) -> None:
        self._rank = rank
        # By blocks: trace M, itself less the loss, R; the norm of all; the largest e.
        self._traces, self._kept, self._residuals = [0.0], [0.0], [0.0]
        self._energy = 0.0
        self._is_zero = True
        self._defect = 0.0
        self._relative = 0.0

    def is_full(self, b: int, c: int) -> bool:
        """Whether every b x c block has such a rank: then there is nothing to add."""
        return self._rank >= min(b, c)

    def add(self, blocks: np.ndarray) -> None:
        """Take blocks (..., b, c) in.

        O(b c min(b, c)) operations each, most of them for the eigenvectors, or the singular value
        decompositions of those blocks for which these are too inaccurate.
        """
        b, c = blocks.shape[-2:]
        if self.is_full(b, c):
            return
        blocks = blocks.reshape(-1, b, c)
        if b > c:
            blocks = blocks.transpose(0, 2, 1)
        self._is_zero = self._is_zero and not blocks.any()
        gram = np.matmul(blocks, _adjoint(blocks))
        q = np.linalg.eigh(gram)[1][:, :, ::-1]
        bad = self._take(blocks, q, np.matmul(_adjoint(q), blocks), is_last=False)
        if bad.any():
            u, s, vh = np.linalg.svd(blocks[bad], full_matrices=False)
            self._take(blocks[bad], u, s[:, :, None] * vh, is_last=True)

    def _take(self, blocks: np.ndarray, q: np.ndarray, c: np.ndarray, is_last: bool) -> np.ndarray:
        """Take in the blocks for which Q and C lose nothing that counts, or all; return which not.

        A product of rows of n numbers is off by at most gamma(n) (or gamma(3 n), if complex) times
        the product of their norms; g is more than this for every sum here.
        """
        r, (b, width) = self._rank, blocks.shape[1:]
        g = gamma(sum_terms(b + width + 4, blocks))
        gram = np.matmul(c, _adjoint(c))
        squares = np.einsum("nii->ni", gram).real
        norms = np.sqrt(squares)
        wrong = np.abs(gram) + g * norms[:, :, None] * norms[:, None, :]
        np.einsum("nii->ni", wrong)[...] = g * squares
        least = squares[:, :r] - wrong[:, :r, :r].sum(axis=2)
        most = squares[:, r:] + wrong[:, r:, r:].sum(axis=2)
        h = np.sqrt((wrong[:, :r, r:] ** 2).sum(axis=(1, 2)))
        gap = least.min(axis=1) - most.max(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            separated = np.where(gap > 0.0, h**2 / (0.99 * gap), np.inf)
        loss = 1.01 * np.minimum(separated, math.sqrt(r) * h + r * np.maximum(-gap, 0.0))
        trace, energy = squares[:, r:].sum(axis=1), squares.sum(axis=1)
        good = loss <= (UNIT * (b + width)) ** 2 * energy + UNIT * trace
        if is_last:
            good[:] = True
        difference = blocks - np.matmul(q, c)
        residual = np.sqrt(np.vecdot(difference, difference).real.sum(axis=1))
        residual = residual * (1.0 + g) + g * norms.sum(axis=1) + TINY
        self._traces.extend(trace[good].tolist())
        self._kept.extend(np.maximum(trace - loss, 0.0)[good].tolist())
        self._residuals.extend((residual[good] ** 2).tolist())
        self._energy += float(energy[good].sum())
        self._defect = float(np.maximum(self._defect, _defect(q[good])))
        self._relative = max(self._relative, g)
        return np.asarray(~good)

    def figure(self) -> Figure:
        """Return the distance.

        The room is at least what either way of computing Q and C takes, so that another machine,
        on which the choice between them may differ, agrees within three rooms.
        """
        e, g = self._defect, self._relative
        value, kept = math.sqrt(math.fsum(self._traces)), math.sqrt(math.fsum(self._kept))
        if self._is_zero:
            return Figure(0.0, 0.0)
        # The columns of Q have norms of at most sqrt(1 + e): R above left this out.
        residual = math.sqrt(math.fsum(self._residuals)) * (1.01 + e)
        lost = value - kept * math.sqrt(max(1.0 - e, 0.0)) * (1.0 - g)
        won = value * math.sqrt(1.0 + e) * (1.0 + g) - value
        usual = 4.0 * g * math.sqrt(self._energy)
        return Figure(value, max(lost, won) + residual + 8.0 * UNIT * value + usual)


def _adjoint(blocks: np.ndarray) -> np.ndarray:
    transposed = blocks.swapaxes(-1, -2)
    return transposed.conj() if blocks.dtype.kind == "c" else transposed


def _defect(q: np.ndarray) -> float:
    """Return a bound of the norm of ``Q^H Q - I``, the largest of a stack (count, b, b).

    The product is off by at most gamma(b), or gamma(3 b) of complex numbers, times that of absolute
    values, whose entries are at most the largest squared column norm.
    """
    b = q.shape[-1]
    gram = np.matmul(_adjoint(q), q)
    diagonal = np.einsum("nii->ni", gram)
    largest = float(diagonal.real.max(initial=0.0))
    diagonal -= 1.0
    norm = float(np.sqrt(np.vecdot(gram, gram).real.sum(axis=1).max(initial=0.0)))
    return 1.01 * (norm + gamma(sum_terms(b, q)) * b * largest)
