"""Products with arrays on a device: plan, kernels and cuBLAS run whole, against NumPy."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from cupy_double import State
from kernel_runs import ALLOWED, distance

import sparseopt as so

CHAINS = {
    "one entry": [(1, 1, 1, 1)],
    "tiny blocks": [(3, 2, 4, 5)],
    "one block": [(1, 17, 19, 1)],
    "blocks with d": [(2, 18, 20, 3)],
    "a dyadic chain": [(1 << k, 2, 2, 32 >> k) for k in range(6)],
    "a chain of odd blocks": [(1, 3, 5, 6), (5, 6, 4, 1)],
    "transposed chainable": [(3, 5, 4, 1), (1, 4, 3, 3)],
    "not chainable": [(2, 3, 3, 2), (3, 4, 4, 1), (2, 3, 2, 2)],
    "monarch": [(1, 4, 4, 16), (4, 16, 16, 1)],
}
DTYPES = ["float32", "float64", "complex64", "complex128", "float16"]


def made(name: str, dtype: str = "float32", **more: Any) -> so.KroneckerProduct:
    """Return a product of random NumPy factors."""
    rng = np.random.default_rng(len(name))
    factors = []
    for a, b, c, d in CHAINS[name]:
        values = rng.standard_normal((a, b, c, d))
        if dtype.startswith("complex"):
            values = values + 1j * rng.standard_normal(values.shape)
        factors.append((values / np.sqrt(c)).astype(dtype))
    return so.KroneckerProduct(factors, so.Architecture(CHAINS[name]), **more)


def moved(product: so.KroneckerProduct) -> so.KroneckerProduct:
    """Return the same product with factors on the device."""
    import cupy

    return so.KroneckerProduct(
        [cupy.asarray(f) for f in product.factors],
        product.architecture,
        precision=product.precision,
    )


def operand(product: so.KroneckerProduct, batch: int, dtype: str = "float32") -> np.ndarray:
    rng = np.random.default_rng(batch)
    x = rng.standard_normal((product.shape[1], batch))
    if dtype.startswith("complex"):
        x = x + 1j * rng.standard_normal(x.shape)
    return x.astype(dtype)


def exact(product: so.KroneckerProduct) -> np.ndarray:
    """Return the matrix in double precision."""
    wide = "complex128" if product.dtype.kind == "c" else "float64"
    return np.asarray(product.astype(wide).to_dense())


@pytest.mark.parametrize("name", CHAINS)
def test_both_layouts_of_any_number_of_columns(cuda: State, name: str) -> None:
    import cupy

    product = made(name)
    dense = exact(product)
    for held in (product, moved(product)):
        for batch in (1, 21):
            x = operand(product, batch)
            y = held @ cupy.asarray(x)
            assert isinstance(y, cupy.ndarray)
            assert y.dtype == np.float32
            assert distance(y.get(), dense @ x) < ALLOWED["ieee"]
            rows = cupy.asarray(np.ascontiguousarray(x.T))
            y = rows @ held.T
            assert y.flags.c_contiguous
            assert distance(y.get(), x.T @ dense.T) < ALLOWED["ieee"]
        y = held @ cupy.asarray(x[:, 0])
        assert y.shape == product.shape[:1]
        assert distance(y.get(), dense @ x[:, 0]) < ALLOWED["ieee"]
        assert (held @ cupy.asarray(x[:, :0])).shape == (product.shape[0], 0)
        stack = np.stack([x, 2 * x])
        assert distance((held @ cupy.asarray(stack)).get(), dense @ stack) < ALLOWED["ieee"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_data_types_stay_what_they_are(cuda: State, dtype: str) -> None:
    import cupy

    allowed = ALLOWED.get(dtype, ALLOWED["ieee"])
    for name in ("monarch", "a chain of odd blocks"):
        product = made(name, dtype)
        x = operand(product, 12, dtype)
        dense = exact(product)
        y = moved(product) @ cupy.asarray(x)
        assert y.dtype == dtype
        assert distance(y.get().astype(dense.dtype), dense @ x.astype(dense.dtype)) < allowed


def test_promotion_is_numpys(cuda: State) -> None:
    import cupy

    product = made("monarch", "float16")
    dense = exact(product)
    for kind in ("float64", "int32", "bool", "complex64", "complex128", "float32"):
        x = operand(product, 5, "complex64" if kind.startswith("c") else "float64").astype(kind)
        for given in (cupy.asarray(x), cupy.asarray(np.ascontiguousarray(x.T)).T):
            y = moved(product) @ given
            assert y.dtype == (product @ x).dtype
            assert distance(y.get(), dense @ x) < 1e-6 if y.dtype != np.float16 else 1e-2
    x = cupy.asarray(operand(product, 10, "float64"))
    y = product @ x[:, ::2]
    assert distance(y.get(), dense @ x.get()[:, ::2]) < 1e-14


def test_precision_is_asked_for(cuda: State) -> None:
    import cupy

    seen = {}
    for precision in ("ieee", "tf32", "tf32x3"):
        product = moved(made("blocks with d", precision=precision))
        assert product.T.precision == product.H.precision == (2.0 * product).precision == precision
        x = operand(product, 24)
        y = product @ cupy.asarray(x)
        seen[precision] = distance(y.get(), exact(product.to_numpy()) @ x)
        assert seen[precision] < ALLOWED[precision]
    assert seen["tf32"] > 1e-5
    assert made("monarch").accelerated("tf32").precision == "tf32"
    assert made("monarch", precision="tf32").accelerated().precision == "tf32"
    with pytest.raises(so.ProblemError, match="precision must be one of ieee, tf32, tf32x3"):
        made("monarch", precision="single")


def test_factors_are_copied_to_a_device_once(cuda: State) -> None:
    import cupy

    product = made("monarch")
    x = cupy.asarray(operand(product, 4))
    before = cuda.copies
    for _ in range(3):
        _ = product @ x
    assert cuda.copies == before + len(product.factors)
    with cupy.cuda.Device(1):
        other = cupy.asarray(operand(product, 4))
    y = product @ other
    assert y.device.id == 1
    assert cuda.copies == before + 1 + 2 * len(product.factors)


def test_the_algebra_stays_on_the_device(cuda: State) -> None:
    import cupy

    product = made("a chain of odd blocks", "complex64")
    held, dense = moved(product), product.to_dense()
    for got, expected in (
        (held.to_dense(), dense),
        (held.T.to_dense(), dense.T),
        (held.H.to_dense(), dense.conj().T),
        (held.conj().to_dense(), dense.conj()),
        ((2.0 * held).to_dense(), 2.0 * dense),
        ((held.T @ held.conj()).to_dense(), dense.T @ dense.conj()),
        (held[3:5], dense[3:5]),
        (held[:, [2, 0]], dense[:, [2, 0]]),
        (held.accelerated().to_dense(), dense),
    ):
        assert isinstance(got, cupy.ndarray)
        assert distance(got.get(), expected) < 1e-5
    x = operand(product.T, 3, "complex64")
    assert distance(held.rmatmat(cupy.asarray(x)).get(), dense.conj().T @ x) < 1e-6
    assert distance(held.rmatvec(cupy.asarray(x[:, 0])).get(), dense.conj().T @ x[:, 0]) < 1e-6
    assert (
        distance(moved(made("monarch")).astype("float64").to_dense().get(), exact(made("monarch")))
        < 1e-6
    )
    square = moved(made("monarch", "float64"))
    assert distance((square.inv() @ square).to_dense().get(), np.eye(64)) < 1e-9
    singular = so.KroneckerProduct([0 * f for f in square.factors], square.architecture)
    with pytest.raises(so.ProblemError, match="has a singular block"):
        singular.inv()
    for name in ("not chainable", "transposed chainable", "blocks with d"):
        assert distance(moved(made(name)).to_dense().get(), exact(made(name))) < 1e-6
    assert held.shape == product.shape
    assert held.nnz == product.nnz


def test_files_and_pickles_hold_numpy(cuda: State) -> None:
    import cupy

    product = made("monarch")
    again = pickle.loads(pickle.dumps(moved(product)))
    assert all(isinstance(f, np.ndarray) for f in again.factors)
    assert np.array_equal(again.to_dense(), product.to_dense())
    fields = moved(product).to_fields()
    assert all(isinstance(f, np.ndarray) for f in fields["factors"])
    assert isinstance(moved(product).factors[0], cupy.ndarray)


@pytest.mark.parametrize("layout", ["last", "first"])
def test_every_method_gives_the_same_product(cuda: State, layout: str) -> None:
    """Each is made the only one, so that none hides behind the planner's choice."""
    import cupy
    from sparseopt_cupy.methods import METHODS
    from sparseopt_cupy.multiplication import CudaMultiplication

    for method in METHODS:
        for name in ("monarch", "tiny blocks", "a dyadic chain"):
            product = made(name)
            x = operand(product, 10)
            given = cupy.asarray(x)
            if layout == "first":
                given = cupy.asarray(np.ascontiguousarray(x.T)).T
            gemms = cuda.gemms
            only = CudaMultiplication(product.factors, product.architecture, allowed={method})
            y = only.matmat(given)
            assert distance(y.get(), exact(product) @ x) < 1e-6
            if method == "dense" or (method == "strided" and layout == "last"):
                assert cuda.gemms > gemms, (name, method)


def test_launches_ask_for_no_more_than_is_predicted_of_passes(cuda: State) -> None:
    """A dyadic chain of 64 takes one launch."""
    import cupy

    product = made("a dyadic chain")
    _ = product @ cupy.asarray(operand(product, 40))
    assert len(cuda.launches) == 1


def test_what_cannot_be_multiplied_is_said(cuda: State) -> None:
    import cupy

    product = made("monarch")
    held = moved(product)
    x = operand(product, 4)
    with pytest.raises(so.ProblemError, match="the factors are on <CUDA Device 0>"):
        _ = held @ x
    with pytest.raises(so.ProblemError, match="must have shape"):
        _ = held @ cupy.asarray(x[:5])
    with cupy.cuda.Device(1):
        other = cupy.asarray(x)
        factor = cupy.asarray(product.factors[0])
    with pytest.raises(so.ProblemError, match=r"on CUDA device 1, the factors lie on CUDA dev"):
        _ = held @ other
    with pytest.raises(so.ProblemError, match=r"factors lie on .*0.* and .*1.*; bring them to one"):
        so.KroneckerProduct([factor, held.factors[1]], product.architecture)
    with pytest.raises(so.ProblemError, match="the factors mix cupy and numpy"):
        so.KroneckerProduct([held.factors[0], product.factors[1]], product.architecture)
    bad = product.factors[0].copy()
    bad[0, 1, 2, 3] = np.nan
    with pytest.raises(so.ProblemError, match=r"factor 0 has a nan at entry \(0, 1, 2, 3\)"):
        so.KroneckerProduct([cupy.asarray(bad), held.factors[1]], product.architecture)
    with pytest.raises(so.ProblemError, match="use float or complex"):
        so.KroneckerProduct([cupy.asarray(bad > 0), held.factors[1]], product.architecture)
    with pytest.raises(TypeError, match="to_dense"):
        np.asarray(held)
    from scipy.sparse.linalg import LinearOperator

    with pytest.raises(so.ProblemError, match="cupyx"):
        _ = held + LinearOperator(held.shape, matvec=lambda v: v)


def test_memory_is_asked_for_before_work_begins(
    cuda: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cupy
    from sparseopt_cupy import multiplication

    monkeypatch.setattr(multiplication, "_SMALL", 0)
    product = made("monarch")
    x = cupy.asarray(operand(product, 64))
    cuda.free = 1000
    launches = len(cuda.launches)
    with pytest.raises(so.ProblemError, match=r"needs about .* GiB on the device, of which"):
        _ = product @ x
    assert len(cuda.launches) == launches
    cuda.free = 1 << 30
    _ = product @ x


def test_a_device_that_is_lost_leaves_all_as_it_was(cuda: State) -> None:
    import cupy

    product = moved(made("monarch"))
    x = cupy.asarray(operand(product, 8))
    _ = product @ x
    cuda.failure = RuntimeError("cudaErrorLaunchFailure: unspecified launch failure")
    with pytest.raises(RuntimeError, match=r"stopped while multiplying: .*LaunchFailure"):
        _ = product @ x
    cuda.failure = None
    assert distance((product @ x).get(), exact(product.to_numpy()) @ x.get()) < 1e-6


def test_bfloat16_where_numpy_knows_it(cuda: State) -> None:
    import cupy

    types = pytest.importorskip("ml_dtypes")
    product = made("a chain of odd blocks")
    short = [f.astype(types.bfloat16) for f in product.factors]
    held = so.KroneckerProduct([cupy.asarray(f) for f in short], product.architecture)
    x = operand(product, 9).astype(types.bfloat16)
    y = held @ cupy.asarray(x)
    assert y.dtype == types.bfloat16
    assert distance(y.get().astype(float), exact(product) @ x.astype(float)) < ALLOWED["bfloat16"]
