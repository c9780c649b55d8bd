"""The first levels on dask's workers: the factors of NumPy, in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from peaks import needs_proc, told_by
from stores import Counted

import sparseopt as so
from sparseopt.butterfly import stored as module

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

ENGINE = "hierarchical_dask"
SHAPES = [
    so.Architecture.square_dyadic(32),
    so.Architecture([(2, 3, 4, 5), (4, 2, 3, 5)]),
    so.Architecture([(1, 6, 4, 6), (2, 6, 4, 2), (4, 4, 5, 1)]),
    so.Architecture.monarch(24, 36, 4, 6),
    so.Architecture([so.KroneckerPattern(2, 6, 4, 3)]),
]


def same_factors(one: so.Solution, two: so.Solution) -> bool:
    pairs = zip(one.answer.factors, two.answer.factors, strict=True)
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("architecture", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "power"), [("f4", 60), ("f8", -700), ("c8", 0)])
def test_factors_are_those_of_numpy(
    monkeypatch: pytest.MonkeyPatch, architecture: so.Architecture, dtype: str, power: int
) -> None:
    monkeypatch.setattr(module, "_LEAST", 16)
    monkeypatch.setattr(module, "_WIDE", 4)
    rng = np.random.default_rng(0)
    array = (rng.standard_normal(architecture.shape) * 2.0**power).astype(dtype)
    right = so.solve(so.ButterflyFactorization(array, architecture), "hierarchical_numpy")
    for chunks in ((3, 5), (4, 8), (99, 99)):
        problem = so.ButterflyFactorization(da.from_array(array, chunks=chunks), architecture)
        found = so.solve(problem, ENGINE)
        assert same_factors(found, right)
        assert so.verify(found).ok


def test_what_it_refuses() -> None:
    architecture = so.Architecture.square_dyadic(8)
    for target, words in (
        (np.eye(8), "it takes targets in storage"),
        (Counted(np.eye(8), (4, 4)), "of class Counted, is no dask array, and there is no client"),
    ):
        problem = so.ButterflyFactorization(target, architecture)
        with pytest.raises(so.SolveError, match=words):
            so.solve(problem, ENGINE)
    x = da.from_array(np.eye(8), chunks=(4, 4))
    problem = so.ButterflyFactorization(x, architecture)
    plan = so.plan(problem)
    assert plan.chosen is not None
    assert plan.chosen.name == "hierarchical_numpy"
    chosen = so.plan(problem, ENGINE).chosen
    assert chosen is not None
    assert chosen.name == ENGINE
    assert chosen.memory is not None


def test_bad_entries_are_named() -> None:
    array = np.zeros((32, 32))
    array[21, 13] = np.nan
    x = da.from_array(array, chunks=(8, 8))
    problem = so.ButterflyFactorization(x, so.Architecture.square_dyadic(32))
    with pytest.raises(so.SolveError, match=r"target has a nan at entry \(21, 13\)"):
        so.solve(problem, ENGINE)


CLUSTER = """
import json, sys
import numpy as np, sparseopt as so
from pathlib import Path

def most(dask_worker):
    return dask_worker.peak.more()

def watch(dask_worker):
    from peaks import Peak
    small = so.ButterflyFactorization(np.eye(4, dtype="f4"), so.Architecture.square_dyadic(4))
    so.solve(small)
    dask_worker.peak = Peak()

def main():
    import dask.array as da
    import distributed
    kind, folder, n, width = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    a = np.load(folder / "a.npy", mmap_mode="r")
    architecture = so.Architecture.square_dyadic(n)
    options = dict(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        def drawn(block_info=None):
            place = block_info[None]["array-location"]
            return np.load(folder / "a.npy", mmap_mode="r")[tuple(slice(*x) for x in place)].copy()

        if kind == "zarr":
            import zarr
            x = zarr.create_array(
                str(folder / "a.zarr"), shape=(n, n), chunks=(width, width), dtype=a.dtype
            )
            for i in range(0, n, width):
                x[i : i + width] = a[i : i + width]
        else:
            x = da.map_blocks(drawn, chunks=((width,) * (n // width),) * 2, dtype=a.dtype)
            x = x.persist() if kind == "persisted" else x
        problem = so.ButterflyFactorization(x, architecture)
        problem.exponent
        client.run(watch)
        said = so.plan(problem, "hierarchical_dask").chosen.memory / 2**20
        found = so.solve(problem, "hierarchical_dask")
        peaks = list(client.run(most).values())
        ok = so.verify(found).ok
        right = so.solve(so.ButterflyFactorization(a, architecture), "hierarchical_numpy")
        pairs = zip(found.answer.factors, right.answer.factors)
        same = all(np.array_equal(x, y) for x, y in pairs)
    print(json.dumps([ok, same, peaks, said]))

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("kind", ["computed", "zarr", "persisted"])
def test_two_processes_give_the_same_within_the_memory_that_the_plan_says(
    tmp_path: Path, kind: str
) -> None:
    """64 MiB of target."""
    if kind == "zarr":
        pytest.importorskip("zarr")
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.standard_normal((4096, 4096), dtype=np.float32))
    ok, same, peaks, said = told_by(CLUSTER, kind, tmp_path, 4096, 256)
    assert (ok, same) == (True, True)
    if kind != "persisted":  # whose workers hold the target
        assert max(peaks) <= 1.5 * said, (peaks, said)
