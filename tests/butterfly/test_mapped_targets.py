"""Targets larger than memory: maps of files, read block by block, within what the plan says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from peaks import needs_proc, told_by

import sparseopt as so

ENGINES = ["hierarchical_numpy", "hierarchical_numba"]


def mapped(folder: Path, array: np.ndarray) -> np.ndarray:
    np.save(folder / "a.npy", array)
    return np.load(folder / "a.npy", mmap_mode="r")


def laid(array: np.ndarray, order: str) -> np.ndarray:
    """Return an array by rows, by columns, or with gaps."""
    if order == "gaps":
        return np.repeat(array, 2, axis=1)[:, ::2]
    return np.asarray(array, order=order)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_map_is_factorized_as_the_array(tmp_path: Path, engine: str, order: str) -> None:
    rng = np.random.default_rng(0)
    array = np.asarray(rng.standard_normal((64, 64)), order=order).astype(np.float32)
    architecture = so.Architecture.square_dyadic(64)
    target = mapped(tmp_path, array)
    problem = so.ButterflyFactorization(target, architecture)
    assert np.shares_memory(problem.target, target)
    found = so.solve(problem, engine)
    right = so.solve(so.ButterflyFactorization(array, architecture), engine)
    for one, two in zip(found.answer.factors, right.answer.factors, strict=True):
        assert np.array_equal(one, two)
    again = so.Solution.from_json(found.to_json())
    assert so.verify(again).ok


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("order", ["C", "F", "gaps"])
@pytest.mark.parametrize(("dtype", "power"), [("f4", -30), ("f8", -500), ("f8", 400), ("c8", 20)])
def test_scaled_targets_give_scaled_products(
    engine: str, order: str, dtype: str, power: int
) -> None:
    """Powers of two change nothing but the scale, though no scaled copy is made."""
    rng = np.random.default_rng(1)
    architecture = so.Architecture.square_dyadic(32)
    array = rng.standard_normal((32, 32)).astype(dtype)
    small = laid(array * array.dtype.type(2.0**power), order)
    problem = so.ButterflyFactorization(small, architecture)
    plain = so.solve(so.ButterflyFactorization(laid(array, order), architecture), engine)
    found = so.solve(problem, engine)
    assert so.verify(found).ok
    ratio = found.certificate.relative_error / plain.certificate.relative_error
    assert ratio == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_one_factor_is_copied_in_its_scale(engine: str) -> None:
    array = np.random.default_rng(2).standard_normal((6, 4)).astype(np.float32) * np.float32(1e-20)
    problem = so.ButterflyFactorization(array, so.Architecture([so.KroneckerPattern(1, 6, 4, 1)]))
    assert problem.exponent != 0
    assert so.solve(problem, engine).certificate.error == 0.0


def test_entries_outside_the_support_count_in_any_order() -> None:
    architecture = so.Architecture([(2, 3, 4, 5), (4, 2, 3, 5)])
    array = np.random.default_rng(3).standard_normal(architecture.shape)
    outside = float(np.linalg.norm(array[~architecture.product.support()]))
    for order in ("C", "F", "gaps"):
        figure = so.ButterflyFactorization(laid(array, order), architecture).split_figures()[0]
        assert figure.low() <= outside <= figure.high()


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_bad_entries_of_maps_are_named(tmp_path: Path, bad: float) -> None:
    array = np.zeros((8, 8), np.float32)
    array[5, 3] = array[6, 1] = bad
    for order in ("C", "F"):
        target = mapped(tmp_path, np.asarray(array, order=order))
        with pytest.raises(so.ProblemError, match=r"entry \(5, 3\) \(2 such"):
            so.ButterflyFactorization(target, so.Architecture.square_dyadic(8))


def test_a_limit_of_memory_refuses_with_the_figure() -> None:
    problem = so.ButterflyFactorization(np.eye(256), so.Architecture.square_dyadic(256))
    said = {c.name: c.memory for c in so.plan(problem)}
    assert all(said[name] > 0 for name in ENGINES)
    assert "MiB of memory" in str(so.plan(problem))
    with pytest.raises(so.SolveError, match=r"needs about .* MiB .* max_memory allows 0\.1 MiB"):
        so.solve(problem, "hierarchical_numpy", max_memory=1e5)
    least = min(ENGINES, key=lambda name: float(said[name]))  # numba's kernels may be loaded
    limited = so.plan(problem, max_memory=said[least])
    assert limited.chosen is not None
    assert limited.chosen.name == least
    (other,) = (c for c in limited if c.name in ENGINES and c.name != least)
    assert "it needs about" in str(other)
    for wrong in (0, -1, "1 GiB", float("nan")):
        with pytest.raises(so.ProblemError, match="max_memory"):
            so.plan(problem, max_memory=wrong)  # type: ignore[arg-type]


PEAK = """
import json, sys
import numpy as np, sparseopt as so
from peaks import Peak

engine = sys.argv[2]
small = so.ButterflyFactorization(np.eye(4, dtype="f4"), so.Architecture.square_dyadic(4))
so.solve(small, engine)
peak = Peak()
target = np.load(sys.argv[1], mmap_mode="r")
problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(len(target)))
said = so.plan(problem, engine).chosen.memory / 2**20
solution = so.solve(problem, engine)
assert so.verify(solution).ok
print(json.dumps([peak.more(), said]))
"""


def peak_and_plan(folder: Path, n: int, engine: str, scale: float) -> tuple[float, float]:
    """Return the MiB of anonymous memory that a run takes, and those that the plan says."""
    path, rng = folder / "a.npy", np.random.default_rng(0)
    made = np.lib.format.open_memmap(path, "w+", np.float32, (n, n))
    for start in range(0, n, 64):
        made[start : start + 64] = rng.standard_normal((64, n), dtype=np.float32) * scale
    del made
    peak, said = told_by(PEAK, path, engine)
    return peak, said


@needs_proc
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_memory_is_what_the_plan_says(tmp_path: Path, engine: str, scale: float) -> None:
    """64 MiB of target; n^1.5 numbers of double precision, and pieces."""
    peak, said = peak_and_plan(tmp_path, 4096, engine, scale)
    assert peak <= 1.5 * said
    assert peak < 48


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("engine", ENGINES)
def test_a_gibibyte_takes_a_fifth(tmp_path: Path, engine: str) -> None:
    peak, said = peak_and_plan(tmp_path, 16384, engine, 1e-4)
    assert peak <= 1.5 * said
    assert peak < 256
