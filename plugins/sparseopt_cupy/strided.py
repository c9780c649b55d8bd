"""cuBLAS on strided views of operand and result: no permutation, no copy."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt_cupy.kernels.launches import Layout, Pattern, Precision

# Numbers of the library's interface: operations, data types, how sums are formed.
_PLAIN, _TURNED = 0, 1
_TYPES = {
    "float16": 2,
    "bfloat16": 14,
    "float32": 0,
    "float64": 1,
    "complex64": 4,
    "complex128": 5,
}
_SUMS_FLOAT, _SUMS_DOUBLE, _PRODUCTS_TF32 = 68, 70, 77
_ANY_ALGORITHM = -1


def multiply(
    y: Any,
    w: Any,
    x: Any,
    pattern: Pattern,
    n: int,
    dtype: str,
    precision: Precision,
    layout: Layout,
) -> None:
    """Write W x into y, as many products at once as one call of cuBLAS takes.

    Parameters
    ----------
    y, x : CuPy array
        Contiguous: (a b d, n) and (a c d, n), or (n, a b) and (n, a c) for the layout "first".
    w : CuPy array (a, d, b, c)
        Contiguous.
    precision : "ieee", "tf32" or "tf32x3"
        The last is computed as the first, which is more exact.
    """
    a, b, c, d = pattern
    call = _Call(y, w, x, dtype, precision)
    if layout == "first" and n > 1:
        if d != 1:
            raise ValueError("with the batch first, blocks of d > 1 are no matrices")
        call(_TURNED, b, n, c, (w, 0, c, b * c), (x, 0, a * c, c), (0, a * b, b), a)
        return
    # cuBLAS stores columns together: it is given the transposes, y^T = x^T W^T.
    row = d * n
    if a <= d:
        for i in range(a):
            left = (x, i * c * row, row, n)
            right = (w, i * d * b * c, c, b * c)
            call(_PLAIN, n, b, c, left, right, (i * b * row, row, n), d)
        return
    for j in range(d):
        left = (x, j * n, row, c * row)
        right = (w, j * b * c, c, d * b * c)
        call(_PLAIN, n, b, c, left, right, (j * n, row, b * row), a)


class _Call:
    """One form of call: data types, how sums are formed, factors one and zero."""

    def __init__(self, y: Any, w: Any, x: Any, dtype: str, precision: Precision) -> None:
        wide = dtype in ("float64", "complex128")
        kind = "c" if dtype.startswith("complex") else "f"
        scalars = np.dtype(f"{kind}{(16 if kind == 'c' else 8) // (1 if wide else 2)}")
        self._one, self._zero = np.ones(1, scalars), np.zeros(1, scalars)
        self._type = _TYPES[dtype]
        self._size = x.dtype.itemsize
        self._sums = _SUMS_DOUBLE if wide else _SUMS_FLOAT
        if dtype == "float32" and precision == "tf32":
            self._sums = _PRODUCTS_TF32
        self._y = y

    def __call__(
        self,
        turned: int,
        m: int,
        n: int,
        k: int,
        left: tuple[Any, int, int, int],
        right: tuple[Any, int, int, int],
        result: tuple[int, int, int],
        count: int,
    ) -> None:
        """Multiply ``count`` pairs; each operand is an array, an offset, the distance of columns
        and that of matrices, all in entries."""
        import cupy

        sides = []
        for array, offset, step, stride in (left, right):
            sides += [array.data.ptr + offset * self._size, self._type, step, stride]
        offset, step, stride = result
        cupy.cuda.cublas.gemmStridedBatchedEx(
            cupy.cuda.device.get_cublas_handle(),
            *(turned, _PLAIN, m, n, k, self._one.ctypes.data, *sides, self._zero.ctypes.data),
            *(self._y.data.ptr + offset * self._size, self._type, step, stride),
            *(count, self._sums, _ANY_ALGORITHM),
        )
