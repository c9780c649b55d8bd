"""Well-known transforms as products of Kronecker-sparse factors.

=============  ==========================================================================
transform      what it is, exact but for rounding
=============  ==========================================================================
`hadamard`     a product over the square dyadic architecture; integers, no rounding at all
`dft`          a product with its columns in digit-reversed order; any size
`circulant`    a product, no permutation: those of the two Fourier factors cancel
`dct`          a complex product with its columns in another order, of twice the dyadic size
`wavelet`      a product with its rows in another order; Haar's is over the dyadic architecture
=============  ==========================================================================

A product in another order is a `PermutedKroneckerProduct`. The chains of `circulant`, `dct` and
`wavelet` (but Haar's) are not chainable as a whole: their factors multiply, but the product has no
Kronecker-sparse pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.permuted import PermutedKroneckerProduct
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.interface.arrays import as_count, require_finite
from sparseopt.interface.errors import ProblemError


def hadamard(n: int, dtype: DTypeLike = np.float64) -> KroneckerProduct:
    """Return the Hadamard matrix of size n = 2^L in natural (Sylvester's) order, entries +-1.

    Examples
    --------
    >>> from sparseopt.tools.transforms import hadamard
    >>> hadamard(4).to_dense()
    array([[ 1.,  1.,  1.,  1.],
           [ 1., -1.,  1., -1.],
           [ 1.,  1., -1., -1.],
           [ 1., -1., -1.,  1.]])
    """
    chain = Architecture.square_dyadic(n)
    block = np.array([[1, 1], [1, -1]], dtype=dtype)[None, :, :, None]
    return KroneckerProduct(
        tuple(np.broadcast_to(block, pattern.values_shape) for pattern in chain), chain
    )


def dft(n: int, dtype: DTypeLike = np.complex128) -> PermutedKroneckerProduct:
    """Return the matrix of the discrete Fourier transform, entries exp(-2 pi i j k / n).

    One factor per prime p of n, of p n values; the inverse is ``dft(n).H`` over n.

    Notes
    -----
    With n = p m, row index k = k1 m + k2 and column index t = p t2 + t1, the entry is
    ``w^(t1 k) exp(-2 pi i t2 k2 / m)`` with w = exp(-2 pi i / n). So the matrix is a factor
    (1, p, p, m) of the values w^(t1 (k1 m + k2)), times p copies of the transform of size m, times
    the permutation that puts t1 first. (Cooley and Tukey, 1965.)

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.tools.transforms import dft
    >>> x = np.arange(12.0)
    >>> bool(np.allclose(dft(12) @ x, np.fft.fft(x)))
    True
    """
    product, order = _fourier(n, dtype)
    return PermutedKroneckerProduct(product, np.arange(n), order)


def circulant(column: ArrayLike) -> KroneckerProduct:
    """Return the circulant matrix with this first column, as `scipy.linalg.circulant`.

    Twice as many factors as the DFT has, complex also for a real column: then the imaginary parts
    of its products with real vectors are rounding errors.

    Notes
    -----
    With the DFT F = K P, K a product and P a permutation, F is symmetric: F = P' K'. The matrix is
    conj(F) D F / n, D the DFT of the column, so it is conj(K) (P D P') K' / n, and P D P' is again
    diagonal, in digit-reversed order; it is multiplied into the first factor of K'.

    Examples
    --------
    >>> from sparseopt.tools.transforms import circulant
    >>> circulant([1.0, 2.0, 3.0, 4.0]).to_dense().real.round(12)
    array([[1., 4., 3., 2.],
           [2., 1., 4., 3.],
           [3., 2., 1., 4.],
           [4., 3., 2., 1.]])
    """
    values = np.asarray(column)
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "biufc":
        raise ProblemError(
            f"the first column must be a vector of numbers, got shape {values.shape} and dtype "
            f"{values.dtype}"
        )
    require_finite(values, "the first column")
    single = values.dtype in (np.float32, np.complex64, np.float16)
    n = len(values)
    product, order = _fourier(n, np.complex64 if single else np.complex128)
    spectrum = np.fft.fft(values)[order] / n
    right = product.T
    pattern = right.architecture[0]
    scaled = right.factors[0] * spectrum.reshape(pattern.a, pattern.b, 1, pattern.d)
    left = [factor.conj() for factor in product.factors]
    factors = [*left, scaled.astype(product.dtype), *right.factors[1:]]
    return KroneckerProduct(
        tuple(factors), Architecture([*product.architecture, *right.architecture])
    )


def dct(n: int, dtype: DTypeLike = np.complex128) -> PermutedKroneckerProduct:
    """Return the discrete cosine transform of type 2, entries 2 cos(pi k (2 j + 1) / (2 n)).

    The unnormalised convention of `scipy.fft.dct`. Factors are complex; the imaginary parts of
    products with real vectors are rounding errors.

    Notes
    -----
    Let v hold the even entries of x in order, then the odd ones reversed. The transform is
    2 Re(e_k (F v)_k) with e_k = exp(-i pi k / (2 n)) (Makhoul, 1980), for real x; for any x it is
    e_k (F v)_k + conj(e_k) (conj(F) v)_k: two copies of v, (1, 2, 1, n), the factors of F and
    conj(F) side by side, (2 a, b, c, d), and the weighted sum, (1, 1, 2, n).

    Examples
    --------
    >>> import numpy as np, scipy.fft
    >>> from sparseopt.tools.transforms import dct
    >>> x = np.arange(6.0)
    >>> bool(np.allclose(dct(6) @ x, scipy.fft.dct(x)))
    True
    """
    product, digits = _fourier(n, dtype)
    turn = _root(np.arange(n), 4 * n).astype(dtype)
    pair = np.stack([turn, turn.conj()]).reshape(1, 1, 2, n)
    both = [np.concatenate([f, f.conj()]) for f in product.factors]
    copies = np.ones((1, 2, 1, n), dtype=dtype)
    patterns = [(2 * p.a, p.b, p.c, p.d) for p in product.architecture]
    chain = Architecture([(1, 1, 2, n), *patterns, (1, 2, 1, n)])
    makhoul = np.concatenate([np.arange(0, n, 2), np.arange(1, n, 2)[::-1]])
    # The copies see v in digit-reversed order: both halves of the middle factors ask for the same.
    return PermutedKroneckerProduct(
        KroneckerProduct((pair, *both, copies), chain), np.arange(n), makhoul[digits]
    )


def daubechies_filter(moments: int) -> np.ndarray:
    """Return the low-pass filter with this many vanishing moments, 2 moments taps, minimum phase.

    By spectral factorization (Daubechies, Ten Lectures on Wavelets, 1992, section 6.4): the
    polynomial P(y) = sum_k C(p - 1 + k, k) y^k, with y = (2 - z - 1/z) / 4, of which the roots
    inside the unit circle are kept.

    Examples
    --------
    >>> from sparseopt.tools.transforms import daubechies_filter
    >>> daubechies_filter(1)
    array([0.70710678, 0.70710678])
    """
    if not 1 <= moments <= 12:
        raise ProblemError(
            f"moments must lie in 1..12, got {moments}: beyond, the roots are too inaccurate"
        )
    weights = [1.0]
    for k in range(1, moments):
        weights.append(weights[-1] * (moments - 1 + k) / k)
    taps = np.ones(1)
    for root in np.roots(weights[::-1]):
        # z + 1/z = 2 - 4 y has one solution inside the unit circle.
        solutions = np.roots([1, 4 * root - 2, 1])
        taps = np.convolve(taps, [1, -solutions[np.argmin(np.abs(solutions))]])
    for _ in range(moments):
        taps = np.convolve(taps, [1, 1])
    taps = taps.real
    return taps * (np.sqrt(2) / taps.sum())


def wavelet(
    n: int,
    levels: int | None = None,
    taps: Sequence[float] | None = None,
    dtype: DTypeLike = np.float64,
) -> PermutedKroneckerProduct:
    """Return the orthonormal periodic wavelet transform of size n = 2^L.

    Row order: approximation, then details from the coarsest to the finest level. One level takes x
    to ``sum_k taps[k] x[2 i + k]`` and ``sum_k (-1)^k taps[-1 - k] x[2 i + k]``, indices modulo its
    length.

    Parameters
    ----------
    n : int
        Power of two, at least 2.
    levels : int, optional
        1 .. L; default L.
    taps : sequence of float, optional
        Orthonormal low-pass filter of even length 2 p, such as `daubechies_filter`; default Haar.
        Haar takes L factors; p > 1 takes p + (p - 1) (L - 1 - k) factors at level k, since each of
        its p - 1 shifts is a chain of its own: exact, but more than a filter bank needs.

    Notes
    -----
    All works in place: level k touches the positions that are multiples of 2^k, and the pair at bit
    k is turned by a factor (n / 2^(k+1), 2, 2, 2^k) that is a rotation where the lower bits are 0
    and the identity elsewhere. A filter of 2 p taps is p rotations with, between two of them, the
    odd samples advanced by one (the lattice of Vaidyanathan and Hoang, 1988): E(S) = R Lambda(S)
    E'(S), with S the advance, Lambda = diag(1, S) and E' of one degree less, if the second column
    of R spans the range of the leading coefficient of E, to which the range of the constant one is
    orthogonal. The advance takes i to i - 1: bit 0 of i flips always, bit l + 1 where bits 0..l
    have all become 1; each is a swap or an identity, again of pattern (n / 2^(j+1), 2, 2, 2^j).

    Examples
    --------
    >>> from sparseopt.tools.transforms import wavelet
    >>> wavelet(4).to_dense().round(3) + 0.0
    array([[ 0.5  ,  0.5  ,  0.5  ,  0.5  ],
           [ 0.5  ,  0.5  , -0.5  , -0.5  ],
           [ 0.707, -0.707,  0.   ,  0.   ],
           [ 0.   ,  0.   ,  0.707, -0.707]])
    """
    n = as_count(n, "n")
    bits = len(Architecture.square_dyadic(n))
    levels = bits if levels is None else levels
    if not 1 <= levels <= bits:
        raise ProblemError(f"levels must lie in 1..{bits} for n = {n}, got {levels}")
    rotations = _lattice(daubechies_filter(1) if taps is None else np.asarray(taps, dtype=float))
    factors: list[np.ndarray] = []  # in the order of application
    for level in range(levels):
        for i, rotation in enumerate(reversed(rotations)):
            if i > 0:
                factors += _advance(level, bits)
            active = np.arange(1 << level) == 0
            factors.append(_conditional(rotation, active, bits))
    factors.reverse()
    chain = Architecture(factor.shape for factor in factors)
    product = KroneckerProduct(tuple(f.astype(dtype) for f in factors), chain)
    return PermutedKroneckerProduct(product, _usual_order(bits, levels), np.arange(n))


def _fourier(n: int, dtype: DTypeLike) -> tuple[KroneckerProduct, np.ndarray]:
    """Return K and the order of columns with ``DFT[:, order] == K``."""
    n = as_count(n, "n")
    if np.dtype(dtype).kind != "c":
        raise ProblemError(f"this transform has complex factors, got dtype {np.dtype(dtype)}")
    factors, order, copies, rest = [], np.arange(n), 1, n
    for p in _primes(n):
        m = rest // p
        k = m * np.arange(p)[:, None, None] + np.arange(m)
        values = _root(k * np.arange(p)[:, None], rest)
        factors.append(np.broadcast_to(values.astype(dtype), (copies, p, p, m)))
        order = order.reshape(copies, m, p).swapaxes(1, 2).ravel()
        copies, rest = copies * p, m
    chain = Architecture(factor.shape for factor in factors)
    return KroneckerProduct(tuple(factors), chain), order


def _primes(n: int) -> list[int]:
    """Return the prime factors of n, largest last; [1] for 1."""
    found, p = [], 2
    while p * p <= n:
        while n % p == 0:
            found.append(p)
            n //= p
        p += 1
    return [*found, n] if n > 1 or not found else found


def _root(k: np.ndarray, n: int) -> np.ndarray:
    """Return exp(-2 pi i k / n), quarter turns exactly, so that only small angles are rounded."""
    quarter, rest = np.divmod(4 * (k % n), n)
    angle = np.pi / 2 * (rest / n)
    return (np.cos(angle) - 1j * np.sin(angle)) * np.array([1, -1j, -1, 1j])[quarter]


def _lattice(taps: np.ndarray) -> list[np.ndarray]:
    """Return the orthogonal 2 x 2 matrices of a filter's lattice, the last applied first."""
    if taps.ndim != 1 or taps.size == 0 or taps.size % 2:
        raise ProblemError(f"taps must be a vector of even length, got shape {taps.shape}")
    require_finite(taps, "taps")
    for shift in range(0, taps.size, 2):
        product = float(taps[shift:] @ taps[: taps.size - shift])
        if abs(product - (shift == 0)) > 1e-8:
            raise ProblemError(
                f"taps must be orthonormal to their even shifts; by {shift} the product is "
                f"{product:.3g}"
            )
    high = taps[::-1] * np.where(np.arange(taps.size) % 2, -1.0, 1.0)
    phases = [np.array([taps[j : j + 2], high[j : j + 2]]) for j in range(0, taps.size, 2)]
    rotations = []
    while len(phases) > 1:
        second = np.linalg.svd(phases[-1])[0][:, 0]
        rotation = np.array([[-second[1], second[0]], [second[0], second[1]]])
        turned = [rotation.T @ phase for phase in phases]
        pairs = pairwise(turned)
        phases = [np.stack([now[0], later[1]]) for now, later in pairs]
        rotations.append(rotation)
    return [*rotations, phases[0]]


def _conditional(block: np.ndarray, active: np.ndarray, bits: int) -> np.ndarray:
    """Return the values of a factor that is `block` at the active places below its bit, else I."""
    d = len(active)
    values = np.where(active, block[:, :, None], np.eye(2)[:, :, None])
    return np.broadcast_to(values, ((1 << bits) // (2 * d), 2, 2, d))


def _advance(level: int, bits: int) -> list[np.ndarray]:
    """Return the factors that advance the odd samples of a level by one, first applied first."""
    swap = np.array([[0.0, 1.0], [1.0, 0.0]])
    factors = []
    for bit in range(level + 1, bits):
        places = np.arange(1 << bit)
        # Below the level zeros; from the level (odd sample) upwards ones.
        factors.append(_conditional(swap, places == (1 << bit) - (1 << level), bits))
    return factors


def _usual_order(bits: int, levels: int) -> np.ndarray:
    """Return, for each position of the transform in place, its row in the usual order."""
    places = np.arange(1 << bits)
    rows = places >> levels
    for level in range(levels):
        size = 1 << (bits - level - 1)
        details = (places & ((2 << level) - 1)) == 1 << level
        rows[details] = size + (places[details] >> (level + 1))
    return rows
