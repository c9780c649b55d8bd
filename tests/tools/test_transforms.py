"""Ready transforms against NumPy's, SciPy's and direct formulas."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import scipy.linalg

import sparseopt as so
from sparseopt.tools import transforms

DB2 = np.array([1 + np.sqrt(3), 3 + np.sqrt(3), 3 - np.sqrt(3), 1 - np.sqrt(3)]) / (4 * np.sqrt(2))


@pytest.mark.parametrize("n", [2, 8, 64, 512])
def test_hadamard_is_scipys_without_rounding(n: int) -> None:
    product = transforms.hadamard(n)
    np.testing.assert_array_equal(product.to_dense(), scipy.linalg.hadamard(n))
    assert product.architecture == so.Architecture.square_dyadic(n)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 12, 30, 64, 125, 256])
def test_dft_is_numpys(n: int) -> None:
    exact = np.fft.fft(np.eye(n))
    np.testing.assert_allclose(transforms.dft(n) @ np.eye(n), exact, rtol=0, atol=1e-13)
    np.testing.assert_allclose(transforms.dft(n).to_dense(), exact, rtol=0, atol=1e-13)
    back = transforms.dft(n).H @ (transforms.dft(n) @ np.arange(n)) / n
    np.testing.assert_allclose(back, np.arange(n), atol=1e-11)
    single = transforms.dft(n, np.complex64) @ np.eye(n, dtype=np.float32)
    assert single.dtype == np.complex64
    np.testing.assert_allclose(single, exact, rtol=0, atol=1e-5)


def test_dft_of_a_power_of_two_is_dyadic_with_bit_reversal() -> None:
    transform = transforms.dft(16)
    assert transform.product.architecture == so.Architecture.square_dyadic(16)
    reversal = [int(f"{i:04b}"[::-1], 2) for i in range(16)]
    np.testing.assert_array_equal(transform.columns, reversal)
    np.testing.assert_array_equal(transform.rows, np.arange(16))


@pytest.mark.parametrize("n", [1, 2, 5, 12, 64])
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64, np.complex128])
def test_circulant_is_scipys(n: int, dtype: type) -> None:
    column = np.random.default_rng(n).integers(-5, 6, n).astype(dtype)
    product = transforms.circulant(column)
    assert product.dtype == (np.complex64 if dtype is np.float32 else np.complex128)
    near = 1e-4 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(product.to_dense(), scipy.linalg.circulant(column), atol=near)
    x = np.ones((n, 2), dtype=dtype)
    np.testing.assert_allclose(product @ x, scipy.linalg.circulant(column) @ x, atol=near)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 16, 50, 128])
def test_dct_is_scipys(n: int) -> None:
    x = np.random.default_rng(n).standard_normal((n, 3))
    y = transforms.dct(n) @ x
    np.testing.assert_allclose(y, scipy.fft.dct(x, axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        transforms.dct(n) @ (1j * x), 1j * scipy.fft.dct(x, axis=0), rtol=0, atol=1e-12
    )


def filter_bank(x: np.ndarray, taps: np.ndarray, levels: int) -> np.ndarray:
    """The transform by its definition, sample by sample."""
    high = [(-1) ** k * taps[-1 - k] for k in range(len(taps))]
    details = []
    for _ in range(levels):
        n = len(x)
        index = (2 * np.arange(n // 2)[:, None] + np.arange(len(taps))) % n
        details.insert(0, np.array(high) @ x[index.T])
        x = taps @ x[index.T]
    return np.concatenate([x, *details])


@pytest.mark.parametrize("moments", [1, 2, 3, 6, 12])
@pytest.mark.parametrize(("n", "levels"), [(2, 1), (8, 3), (64, 2), (64, 6), (16, None)])
def test_wavelet_is_the_filter_bank(moments: int, n: int, levels: int | None) -> None:
    taps = transforms.daubechies_filter(moments)
    transform = transforms.wavelet(n, levels, taps)
    for x in (np.random.default_rng(0).standard_normal(n), np.ones(n)):
        exact = filter_bank(x, taps, levels or n.bit_length() - 1)
        near = 1e-13 if moments <= 6 else 1e-8
        np.testing.assert_allclose(transform @ x, exact, rtol=0, atol=near)
    matrix = transform.to_dense()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(n), atol=1e-12)


def test_haar_is_over_the_dyadic_architecture() -> None:
    assert transforms.wavelet(32).product.architecture == so.Architecture.square_dyadic(32)


def test_daubechies_filters() -> None:
    np.testing.assert_allclose(transforms.daubechies_filter(2), DB2, atol=1e-15)
    for moments in range(1, 13):
        taps = transforms.daubechies_filter(moments)
        k = np.arange(2 * moments)
        high = taps[::-1] * (-1.0) ** k
        assert taps.sum() == pytest.approx(np.sqrt(2), rel=1e-14)
        assert high @ (k / k.max()) ** (moments - 1) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: transforms.hadamard(12), "power of two"),
        (lambda: transforms.dft(0), "n must be a positive integer"),
        (lambda: transforms.dft(8.0), "n must be a positive integer"),  # type: ignore[arg-type]
        (lambda: transforms.dft(8, np.float64), "complex factors"),
        (lambda: transforms.circulant(np.ones((2, 2))), r"vector of numbers, got shape \(2, 2\)"),
        (lambda: transforms.circulant([1.0, np.nan]), "the first column has a nan"),
        (lambda: transforms.wavelet(8, 4), r"levels must lie in 1..3"),
        (lambda: transforms.wavelet(8, taps=[1.0, 1.0]), "orthonormal"),
        (lambda: transforms.wavelet(8, taps=[1.0]), "even length"),
        (lambda: transforms.daubechies_filter(0), r"1..12"),
    ],
)
def test_bad_input_is_refused(call: object, message: str) -> None:
    with pytest.raises(so.ProblemError, match=message):
        call()
