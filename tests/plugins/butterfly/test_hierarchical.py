"""The hierarchical engines against dense algebra, the theory's bounds, and each other."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse.linalg

import sparseopt as so
from sparseopt.tools.random_products import random_product

ENGINES = ["hierarchical_numpy", "hierarchical_numba"]
DYADIC = so.Architecture.square_dyadic(16)
ARCHITECTURES = {
    "dyadic": DYADIC,
    "monarch": so.Architecture.monarch(12, 20, 3, 4),
    "rank two": so.Architecture([(1, 3, 4, 6), (2, 12, 5, 1)]),
    "outer and inner": so.Architecture([(2, 2, 2, 6), (4, 2, 2, 3)]),
    "three of rank two": so.Architecture([(1, 4, 4, 6), (2, 4, 4, 3), (4, 6, 3, 1)]),
    "one factor": so.Architecture([(3, 2, 4, 2)]),
    "redundant": so.Architecture([(1, 2, 2, 2), (2, 2, 8, 1)]),
    "tall blocks": so.Architecture([(1, 9, 1, 2), (1, 2, 3, 1)]),
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "hierarchical_numba":
        pytest.importorskip("numba")
    return str(request.param)


def solve(engine: str, target: object, architecture: so.Architecture, **options: object):  # type: ignore[no-untyped-def]
    return so.solve(so.ButterflyFactorization(target, architecture), engine, **options)  # type: ignore[arg-type]


def exact_product(architecture: so.Architecture, dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    product = None
    for pattern in architecture:
        values = rng.standard_normal(pattern.values_shape)
        if dtype.startswith("complex"):
            values = values + 1j * rng.standard_normal(pattern.values_shape)
        factor = so.KroneckerProduct([values], so.Architecture([pattern])).to_dense()
        product = factor if product is None else product @ factor
    assert product is not None
    return product.astype(dtype)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_exact_products_are_recovered(engine: str, name: str, dtype: str) -> None:
    architecture = ARCHITECTURES[name]
    target = exact_product(architecture, dtype)
    solution = solve(engine, target, architecture)
    assert solution.answer.dtype == np.dtype(dtype)
    error = np.linalg.norm(solution.answer.to_dense() - target) / np.linalg.norm(target)
    assert error < 1e-14
    assert error - 1e-15 <= solution.certificate.relative_error <= error + 1e-14


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_single_precision(dtype: str) -> None:
    target = exact_product(DYADIC, dtype)
    solution = solve("hierarchical_numpy", target, DYADIC)
    assert solution.answer.dtype == np.dtype(dtype)
    error = np.linalg.norm(solution.answer.to_dense() - target) / np.linalg.norm(target)
    assert error < 1e-6


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_bounds_hold_on_noise_and_the_engines_agree(name: str) -> None:
    architecture = ARCHITECTURES[name]
    rng = np.random.default_rng(1)
    target = exact_product(architecture, "float64")
    target = target + 0.1 * rng.standard_normal(target.shape)
    errors = []
    for engine in ENGINES:
        if engine == "hierarchical_numba":
            pytest.importorskip("numba")
        certificate = solve(engine, target, architecture, bounds="always").certificate
        assert certificate.lower_bound <= certificate.error * (1 + 1e-12)
        assert certificate.error <= certificate.upper_bound * (1 + 1e-12)
        errors.append(certificate.error)
    assert errors[0] == pytest.approx(errors[1], rel=1e-9, abs=1e-12)


def test_two_factors_are_optimal(engine: str) -> None:
    """For two factors the block singular values give the best error there is."""
    rng = np.random.default_rng(2)
    target = rng.standard_normal((12, 20))
    architecture = so.Architecture.monarch(12, 20, 3, 4)
    one, two = architecture
    blocks = target.reshape(one.b, one.d, two.a, two.c).transpose(1, 2, 0, 3)
    values = np.linalg.svd(blocks, compute_uv=False)
    best = np.sqrt((values[..., one.rank_with(two) :] ** 2).sum())
    certificate = solve(engine, target, architecture).certificate
    assert certificate.error == pytest.approx(best, rel=1e-12)


def test_rows_of_very_different_scale_keep_the_bound(engine: str) -> None:
    """Scaled rows and noise break methods that do not keep the left factors orthonormal."""
    rng = np.random.default_rng(3)
    architecture = so.Architecture.square_dyadic(64)
    target = scipy.linalg.hadamard(64) * np.logspace(0, 8, 64)[:, None]
    target = target + 1e-3 * np.linalg.norm(target) / 64 * rng.standard_normal((64, 64))
    certificate = solve(engine, target, architecture, bounds="always").certificate
    assert certificate.lower_bound <= certificate.error <= certificate.upper_bound
    assert certificate.upper_bound <= np.sqrt(5) * certificate.lower_bound * np.sqrt(6)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e150, 1e300])
def test_scales_beyond_the_square_root_of_the_range(engine: str, scale: float) -> None:
    target = scipy.linalg.hadamard(16) * scale
    found = solve(engine, target, DYADIC).answer.to_dense()
    np.testing.assert_allclose(found / scale, scipy.linalg.hadamard(16), atol=1e-13)


@pytest.mark.parametrize("kind", ["fortran", "strided", "negative", "read-only", "memmap"])
def test_layouts_of_the_target(engine: str, kind: str, tmp_path: Path) -> None:
    plain = exact_product(DYADIC, "float64") + 0.1
    target = plain
    if kind == "fortran":
        target = np.asfortranarray(plain)
    elif kind == "strided":
        wide = np.zeros((32, 48))
        wide[::2, ::3] = plain
        target = wide[::2, ::3]
    elif kind == "negative":
        target = plain[::-1, ::-1].copy()[::-1, ::-1]
    elif kind == "read-only":
        target = plain.copy()
        target.flags.writeable = False
    else:
        np.save(tmp_path / "a.npy", plain)
        target = np.load(tmp_path / "a.npy", mmap_mode="r")
    before = np.array(target)
    one, two = solve(engine, target, DYADIC).answer, solve(engine, plain, DYADIC).answer
    np.testing.assert_allclose(one.to_dense(), two.to_dense(), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(target, before)


def test_zero_target(engine: str) -> None:
    certificate = solve(engine, np.zeros((16, 16)), DYADIC).certificate
    assert certificate.error == 0


def test_zero_blocks_and_rows(engine: str) -> None:
    target = exact_product(DYADIC, "float64")
    target[3] = 0
    target[:, 8:] = 0
    assert solve(engine, target, DYADIC).certificate.error < 1e-13


def test_linear_operators_are_for_numpy() -> None:
    target = exact_product(DYADIC, "float64")
    operator = scipy.sparse.linalg.aslinearoperator(target)
    problem = so.ButterflyFactorization(operator, DYADIC)
    found = so.solve(problem, "hierarchical_numpy")
    np.testing.assert_allclose(found.answer.to_dense(), target, atol=1e-12)
    pytest.importorskip("numba")
    verdicts = {c.name: c.verdict for c in so.plan(problem).candidates}
    assert isinstance(verdicts["hierarchical_numba"], so.Refused)


def test_many_tiles_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tiles: rows and groups of columns are cut, several levels at a time."""
    import sparseopt_butterfly.hierarchical_numpy as engine

    rng = np.random.default_rng(4)
    for architecture in (*ARCHITECTURES.values(), so.Architecture.square_dyadic(64)):
        target = rng.standard_normal(architecture.shape)
        monkeypatch.setattr(engine, "TILE", 1 << 18)
        whole = solve("hierarchical_numpy", target, architecture)
        for tile in (1, 30, 128, 1000):
            monkeypatch.setattr(engine, "TILE", tile)
            cut = solve("hierarchical_numpy", target, architecture)
            np.testing.assert_allclose(cut.answer.to_dense(), whole.answer.to_dense(), atol=1e-12)
            assert cut.certificate.error == pytest.approx(whole.certificate.error, rel=1e-10)


def test_the_plan_changes_to_compiled_kernels_once_they_are_loaded() -> None:
    pytest.importorskip("numba")
    small = so.ButterflyFactorization(np.eye(16), DYADIC)
    solve("hierarchical_numba", np.eye(16), DYADIC)
    first = so.plan(small).candidates[0]
    assert first.name == "hierarchical_numba"
    assert "kernels loaded: yes" in str(first)
    wide = so.ButterflyFactorization(
        np.eye(1 << 9, dtype=np.complex64), so.Architecture.square_dyadic(1 << 9)
    )
    from sparseopt_butterfly.compiled_run import is_compiled

    loaded = is_compiled(np.dtype("complex64"), only_pairs=True)
    expected = "hierarchical_numba" if loaded else "hierarchical_numpy"
    assert so.plan(wide).candidates[0].name == expected


def test_kernels_are_loaded_once_the_calls_before_make_up_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By counting: no clock is asked, and no kernel is loaded to find out."""
    pytest.importorskip("numba")
    from sparseopt_butterfly import hierarchical_numba, kernel_loading

    monkeypatch.setattr(hierarchical_numba, "_is_loaded", lambda problem: False)
    monkeypatch.setattr(kernel_loading, "_saved", defaultdict(float))
    problem = so.ButterflyFactorization(np.eye(64), so.Architecture.square_dyadic(64))
    each = kernel_loading.numpy_seconds(problem) - kernel_loading.compiled_seconds(problem)
    calls = 0
    assert "kernels loaded: no" in str(so.plan(problem).candidates[1])
    while so.plan(problem).candidates[0].name == "hierarchical_numpy":
        kernel_loading.count(problem)
        calls += 1
    assert calls == pytest.approx((kernel_loading.LOADING - each) / each, abs=2)
    single = so.ButterflyFactorization(np.eye(64, dtype=np.float32), problem.architecture)
    assert so.plan(single).candidates[0].name == "hierarchical_numpy"


@pytest.mark.parametrize("seed", range(4))
def test_the_lower_bound_of_an_exact_product_is_not_above_the_error(seed: int) -> None:
    # All figures are rounding here; the statement "no product is nearer" must still be true.
    chain = so.Architecture.square_dyadic(64)
    target = random_product(chain, np.random.default_rng(seed)).to_dense()
    target = np.sign(target) if seed == 0 else target
    certificate = so.solve(so.ButterflyFactorization(target, chain), bounds="always").certificate
    assert certificate.lower_bound <= certificate.error


def test_an_asked_accuracy_makes_the_engine_prove_bounds(engine: str) -> None:
    """Left to right is not optimal: what is missing is proved, and said if it is too much."""
    rng = np.random.default_rng(8)
    chain = so.Architecture.square_dyadic(64)
    exact = random_product(chain, rng).to_dense()
    found = so.solve(so.ButterflyFactorization(exact, chain), engine, tolerance=1e-12)
    assert found.status is so.Status.VERIFIED
    assert not found.certificate.bounds
    noisy = so.ButterflyFactorization(exact + 1e-3 * rng.standard_normal((64, 64)), chain)
    found = so.solve(noisy, engine, tolerance=1e-3)
    assert found.status is so.Status.VERIFIED
    assert found.certificate.bounds or found.certificate.relative_error <= 1e-3
    structureless = so.ButterflyFactorization(rng.standard_normal((64, 64)), chain)
    weak = so.solve(structureless, engine, tolerance=1e-3)
    assert weak.status is so.Status.WEAK
    assert weak.certificate.bounds
    assert 1e-3 < weak.certificate.accuracy < weak.certificate.relative_error
    assert weak.certificate.accuracy == pytest.approx(
        (weak.certificate.error - weak.certificate.lower_bound) / structureless.norm, rel=1e-9
    )


def test_an_engine_that_returns_nothing_is_not_believed() -> None:
    """Zeros, at a size whose bounds are not computed unless asked for."""
    n = 512
    chain = so.Architecture.square_dyadic(n)
    problem = so.ButterflyFactorization(np.random.default_rng(0).standard_normal((n, n)), chain)
    zeros = so.KroneckerProduct([np.zeros(p.values_shape) for p in chain], chain)

    class Lazy(so.Solver):  # type: ignore[type-arg]
        def accepts(self, problem: so.ButterflyFactorization) -> so.Accepted:
            return so.Accepted()

        def solve(self, problem: so.ButterflyFactorization, context: so.Context):  # type: ignore[no-untyped-def]
            return zeros, so.ButterflyCertificate(problem, zeros)

    with pytest.raises(so.SolveError, match="not above what peeling guarantees for every target"):
        so.solve(problem, Lazy())
