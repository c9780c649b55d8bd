"""Targets of zarr, h5py and dask: read chunk by chunk, with the answers of the array in memory."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peaks import needs_proc, told_by
from rooms import TRUSTED_BY_ALL, room
from stores import KINDS, Counted, stored
from trusted_lines import lines_of

import sparseopt as so
from sparseopt.butterfly import stored as module
from sparseopt.judging import limits

ENGINE = "hierarchical_numpy"
SHAPES = [
    so.Architecture.square_dyadic(32),
    so.Architecture([(2, 3, 4, 5), (4, 2, 3, 5)]),
    so.Architecture([(1, 4, 4, 6), (2, 6, 3, 2)]),
    so.Architecture([(1, 6, 4, 6), (2, 6, 4, 2), (4, 4, 5, 1)]),
    so.Architecture.monarch(24, 36, 4, 6),
    so.Architecture([so.KroneckerPattern(2, 6, 4, 3)]),
]
CHUNKS = [(3, 5), (1, 99), (99, 1), (4, 8), (99, 99), None]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take few chunks together, so that small matrices are cut as large ones are."""
    monkeypatch.setattr(module, "_LEAST", 16)
    monkeypatch.setattr(module, "_WIDE", 4)


def draw(shape: tuple[int, int], dtype: str, power: int = 0) -> np.ndarray:
    rng = np.random.default_rng(0)
    array = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        array = array + 1j * rng.standard_normal(shape)
    return np.asarray((array * 2.0**power).astype(dtype))


def same_factors(one: so.Solution, two: so.Solution) -> bool:
    pairs = zip(one.answer.factors, two.answer.factors, strict=True)
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunks", [(16, 24), (5, 64), (64, 7), None])
def test_answers_are_those_of_the_array(tmp_path: Path, kind: str, chunks: Any) -> None:
    array = draw((64, 64), "f4")
    architecture = so.Architecture.square_dyadic(64)
    problem = so.ButterflyFactorization(stored(kind, tmp_path, array, chunks), architecture)
    assert (problem.kind, problem.dtype) == ("stored", np.float32)
    found = so.solve(problem)
    assert found.solver == ENGINE
    right = so.solve(so.ButterflyFactorization(array, architecture), ENGINE)
    assert same_factors(found, right)
    assert so.verify(found).ok
    assert so.verify(replace(right.certificate, problem=problem)).ok
    again = so.Solution.from_json(found.to_json())
    assert again.problem.kind == "array"
    assert np.array_equal(again.problem.target, array)
    assert so.verify(again).ok


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("architecture", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("dtype", "power"), [("f4", 0), ("f8", -700), ("c8", 40), ("c16", 0), ("f4", 60)]
)
def test_any_architecture_in_any_chunks(
    architecture: so.Architecture, dtype: str, power: int
) -> None:
    array = draw(architecture.shape, dtype, power)
    held = so.ButterflyFactorization(array, architecture)
    right = so.solve(held, ENGINE, bounds="always")
    for chunks in CHUNKS:
        problem = so.ButterflyFactorization(Counted(array, chunks), architecture)
        found = so.solve(problem, ENGINE, bounds="always")
        assert same_factors(found, right)
        assert so.verify(found).ok
        assert found.certificate.error == pytest.approx(right.certificate.error, rel=1e-13)
        for name in ("lower_bound", "upper_bound"):
            one, two = getattr(found.certificate, name), getattr(right.certificate, name)
            assert one == pytest.approx(two, rel=1e-9, abs=1e-13 * held.norm)
        assert problem.norm == pytest.approx(held.norm, rel=1e-14)


@pytest.mark.parametrize("options", [{"order": "balanced"}, {"probes": 40}])
def test_options_of_the_engine(options: dict[str, Any]) -> None:
    architecture = so.Architecture([(2, 3, 4, 5), (4, 2, 3, 5)])
    array = draw(architecture.shape, "f8", -700)
    problem = so.ButterflyFactorization(Counted(array, (4, 4)), architecture)
    found = so.solve(problem, ENGINE, **options)
    right = so.solve(so.ButterflyFactorization(array, architecture), ENGINE, **options)
    assert same_factors(found, right)
    assert so.verify(found).ok


@pytest.mark.parametrize("chunks", [(64, 64), (16, 256), (256, 32), (8, 8)])
def test_no_chunk_is_read_again_and_again(
    monkeypatch: pytest.MonkeyPatch, chunks: tuple[int, int]
) -> None:
    """Once for the range of the entries, by the engine, for the error, and by the check."""
    monkeypatch.setattr(module, "_LEAST", 1 << 10)
    monkeypatch.setattr(module, "_WIDE", 32)
    target = Counted(draw((256, 256), "f4"), chunks)
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(256))
    so.plan(problem)
    assert not target.reads
    found = so.solve(problem, ENGINE, bounds="never")
    assert len(target.reads) == (256 // chunks[0]) * (256 // chunks[1])
    assert set(target.reads.values()) == {4}
    assert target.largest <= 256 * max(32, min(128, max(chunks)))
    target.reads.clear()
    assert so.verify(found).ok
    assert set(target.reads.values()) == {1}


@pytest.mark.parametrize("kind", KINDS)
def test_what_changed_is_read_anew(tmp_path: Path, kind: str) -> None:
    array = draw((32, 32), "f8")
    target = stored(kind, tmp_path, array, (8, 8))
    if kind == "dask":
        target = target.map_blocks(lambda block: block + array[20, 20], dtype=float)
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(32))
    solution = so.solve(problem, bounds="never")
    assert so.verify(solution).ok
    if kind in ("zarr", "h5py"):
        target[20, 20] += 1.0
    else:
        array[20, 20] += 1.0
    check = so.verify(solution)
    assert check.outcome == "refused"
    assert "the error is" in check.details[-1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_bad_entries_are_named(tmp_path: Path, kind: str, bad: float) -> None:
    array = np.zeros((32, 32), np.float32)
    array[21, 13] = bad
    problem = so.ButterflyFactorization(
        stored(kind, tmp_path, array, (8, 8)), so.Architecture.square_dyadic(32)
    )
    with pytest.raises(so.SolveError, match=r"target has an? -?\w+ at entry \(21, 13\)"):
        so.solve(problem, ENGINE)
    product = so.solve(so.ButterflyFactorization(np.eye(32), problem.architecture)).answer
    check = so.verify(so.ButterflyCertificate(problem, product))
    assert check.outcome == "refused"
    assert "at entry (21, 13)" in check.details[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_integers_and_foreign_bytes_are_converted_as_they_are_read(
    tmp_path: Path, kind: str
) -> None:
    architecture = so.Architecture.square_dyadic(16)
    numbers = np.arange(256).reshape(16, 16) % 7
    for dtype, read in (("i4", "f8"), ("?", "f8"), (">f4", "f4")):
        folder = tmp_path / read / str(len(dtype))
        folder.mkdir(parents=True)
        array = numbers.astype(dtype)
        target = stored(kind, folder, array, (4, 16))
        problem = so.ButterflyFactorization(target, architecture)
        assert problem.dtype == np.dtype(read)
        right = so.solve(so.ButterflyFactorization(array, architecture), ENGINE)
        assert same_factors(so.solve(problem, ENGINE), right)


def test_integers_that_doubles_do_not_hold_are_refused() -> None:
    numbers = np.zeros((16, 16), dtype=np.int64)
    numbers[13, 6] = 2**53 + 1
    architecture = so.Architecture.square_dyadic(16)
    for chunks in ((2, 2), (16, 2), (1, 16)):
        with pytest.raises(so.SolveError, match=rf"{2**53 + 1} at entry \(13, 6\), which float64"):
            so.solve(so.ButterflyFactorization(Counted(numbers, chunks), architecture), ENGINE)
    for target in (numbers, pytest.importorskip("torch").from_numpy(numbers)):
        with pytest.raises(so.ProblemError, match=r"at entry \(13, 6\), which float64 does not"):
            so.ButterflyFactorization(target, architecture)


class Odd:
    """A matrix of ones with something wrong."""

    shape: Any = (4, 4)
    dtype: Any = np.dtype(float)
    chunks: Any = (2, 2)

    def __init__(self, **wrong: Any) -> None:
        self.__dict__.update(wrong)

    def __getitem__(self, place: Any) -> Any:
        found = self.__dict__.get("block", np.ones((4, 4))[place])
        if isinstance(found, Exception):
            raise found
        return found


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"shape": (float("nan"), 4)}, r"compute_chunk_sizes\(\)"),
        ({"shape": (4,)}, "non-empty matrix"),
        ({"shape": None}, "the target cannot be read"),
        ({"shape": 8}, "the target cannot be read"),
        ({"chunks": (float("inf"), 2)}, "the chunks of the target must be"),
        ({"shape": (0, 4), "chunks": (1, 1)}, "non-empty matrix"),
        ({"dtype": np.dtype("f2")}, "target has dtype float16; use float32"),
        ({"dtype": np.dtype("S3")}, r"target has dtype \|S3; use float32"),
        ({"dtype": "no such"}, "cannot be read: TypeError"),
        ({"chunks": "rows"}, "the chunks of the target must be"),
        ({"chunks": (2, 2, 2)}, "the chunks of the target must be"),
    ],
)
def test_other_matrices_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.ButterflyFactorization(Odd(**wrong), so.Architecture.square_dyadic(4))


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (OSError("disk gone"), r"target\[0:4, 0:4\] cannot be read: OSError: disk gone"),
        (np.ones((3, 4)), r"shape \(3, 4\) and dtype float64, where the target declares \(4, 4\)"),
        (np.ones((4, 4), "c16"), "dtype complex128, where the target declares"),
        (np.full((4, 4), None), "dtype object, where the target declares"),
    ],
)
def test_blocks_that_are_no_numbers_are_refused(block: Any, words: str) -> None:
    problem = so.ButterflyFactorization(Odd(block=block), so.Architecture.square_dyadic(4))
    with pytest.raises(so.SolveError, match=words):
        so.solve(problem, ENGINE)


def test_a_norm_beyond_floats_is_refused() -> None:
    target = Counted(np.full((4, 4), 1e308), (2, 2))
    with pytest.raises(so.SolveError, match="beyond the range of floats"):
        so.solve(so.ButterflyFactorization(target, so.Architecture.square_dyadic(4)), ENGINE)


def test_closed_files_are_refused(tmp_path: Path) -> None:
    target = stored("h5py", tmp_path, np.eye(4), (2, 2))
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(4))
    solution = so.solve(problem)
    target.file.close()
    assert so.verify(solution).outcome == "refused"
    with pytest.raises(so.ProblemError, match="is its file open"):
        so.ButterflyFactorization(target, so.Architecture.square_dyadic(4))


def test_dask_arrays_of_unknown_size_are_refused() -> None:
    dask = pytest.importorskip("dask.array")
    x = dask.from_array(np.eye(4), chunks=(2, 2))
    with pytest.raises(so.ProblemError, match="compute_chunk_sizes"):
        so.ButterflyFactorization(x[x[:, 0] >= 0], so.Architecture.square_dyadic(4))


def test_large_ones_are_not_written_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = so.ButterflyFactorization(
        Counted(np.eye(8), (4, 4)), so.Architecture.square_dyadic(8)
    )
    solution = so.solve(problem)
    monkeypatch.setattr(limits, "HELD_BYTES", 511)
    with pytest.raises(so.ProblemError, match="is not written as JSON; save the factors"):
        solution.to_json()
    assert so.verify(so.ButterflyCertificate(problem, solution.answer)).ok


def test_the_plan_says_why_other_engines_do_not_read_it() -> None:
    problem = so.ButterflyFactorization(
        Counted(np.eye(8), (4, 4)), so.Architecture.square_dyadic(8)
    )
    text = str(so.plan(problem))
    assert "every chunk of a stored target again and again" in text
    orders = so.ButterflyFactorization(Counted(np.eye(8), (4, 4)), problem.architecture, "unknown")
    assert so.solve(orders, seed=0).certificate.relative_error < 1e-12


def test_a_verdict_rests_on_few_lines() -> None:
    """All that run for a stored target, bounds and probes, in no more lines than of a kind."""
    ran: dict[str, set[int]] = defaultdict(set)
    for architecture in SHAPES:
        problem = so.ButterflyFactorization(
            Counted(draw(architecture.shape, "f4"), (4, 4)), architecture
        )
        for options in ({"bounds": "always"}, {"probes": 40}):
            solution = so.solve(problem, ENGINE, **options)
            for file, lines in lines_of(lambda found=solution: so.verify(found)).items():
                ran[file] |= lines
    assert {room(file) for file in ran} <= {*TRUSTED_BY_ALL, "butterfly"}
    assert 400 < sum(map(len, ran.values())) <= 900


PEAK = """
import json, sys
import numpy as np, sparseopt as so
from pathlib import Path
from peaks import Peak
from stores import stored

kind, folder, n, height, width, scale = sys.argv[1:]
n, chunks = int(n), (int(height), int(width))
small = stored(kind, Path(folder) / "small", np.eye(4, dtype="f4"), (2, 2))
so.solve(so.ButterflyFactorization(small, so.Architecture.square_dyadic(4)))
a = np.load(Path(folder) / "a.npy", mmap_mode="r")
if kind == "zarr":
    import zarr
    target = zarr.create_array(folder + "/b.zarr", shape=a.shape, chunks=chunks, dtype=a.dtype)
elif kind == "h5py":
    import h5py
    target = h5py.File(folder + "/b.h5", "w").create_dataset("b", a.shape, a.dtype, chunks=chunks)
else:
    import dask.array
    target = dask.array.from_array(a, chunks=chunks)
if kind != "dask":
    for i in range(0, n, chunks[0]):
        target[i : i + chunks[0]] = a[i : i + chunks[0]]
peak = Peak()
problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(n))
said = so.plan(problem).chosen.memory / 2**20
solution = so.solve(problem)
assert so.verify(solution).ok
print(json.dumps([peak.more(), said]))
"""


def peak_and_plan(folder: Path, kind: str, n: int, chunks: tuple[int, int]) -> tuple[float, float]:
    """Return the MiB of anonymous memory that a run takes, and those that the plan says."""
    pytest.importorskip({"dask": "dask.array"}.get(kind, kind))
    path, rng = folder / "a.npy", np.random.default_rng(0)
    (folder / "small").mkdir()
    made = np.lib.format.open_memmap(path, "w+", np.float32, (n, n))
    for start in range(0, n, 64):
        made[start : start + 64] = rng.standard_normal((64, n), dtype=np.float32)
    del made
    peak, said = told_by(PEAK, kind, folder, n, *chunks, 1.0)
    return peak, said


@needs_proc
@pytest.mark.parametrize("kind", ["zarr", "h5py", "dask"])
def test_memory_is_what_the_plan_says(tmp_path: Path, kind: str) -> None:
    """64 MiB of target."""
    peak, said = peak_and_plan(tmp_path, kind, 4096, (256, 256))
    assert peak <= 1.5 * said
    assert peak < 56


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("kind", ["zarr", "h5py", "dask"])
def test_a_gibibyte_takes_a_third(tmp_path: Path, kind: str) -> None:
    peak, said = peak_and_plan(tmp_path, kind, 16384, (512, 512))
    assert peak <= 1.5 * said
    assert peak < 400


def test_masks_of_blocks_are_refused() -> None:
    hidden = np.ma.masked_array(draw((8, 8), "f8"), mask=np.eye(8))
    dask = pytest.importorskip("dask.array")
    architecture = so.Architecture.square_dyadic(8)
    for target in (Counted(hidden, (4, 4)), dask.from_array(hidden, chunks=(4, 4))):
        with pytest.raises((so.ProblemError, so.SolveError), match="masked array"):
            so.solve(so.ButterflyFactorization(target, architecture), ENGINE)


def test_arrays_in_memory_with_chunks_are_arrays() -> None:
    class Chunked(np.ndarray):
        chunks = 5

    array = draw((4, 4), "f8").view(Chunked)
    assert so.ButterflyFactorization(array, so.Architecture.square_dyadic(4)).kind == "array"


@pytest.mark.parametrize("engine", ["butterfly_alternating", "butterfly_adam"])
def test_every_engine_states_the_error_of_what_may_change(engine: str) -> None:
    array = draw((8, 8), "f8")
    target = Counted(array, (4, 4))
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(8))
    solution = so.solve(problem, engine)
    target.array[0, 0] += 1.0
    assert so.verify(solution).outcome == "refused"


@pytest.mark.parametrize("ranks", [None, 2])
@pytest.mark.parametrize("chunk", [(218, 301), (436, 151), (217, 301)])
def test_boxes_that_are_cut_unevenly(tmp_path: Path, ranks: Any, chunk: tuple[int, int]) -> None:
    """Boxes of more entries than are compared at once, whose last part is a row or column."""
    rng = np.random.default_rng(0)
    if ranks is None:
        chain, target = so.Architecture([(1, 436, 301, 1)]), 1 + rng.standard_normal((436, 301))
        exact = so.KroneckerProduct([target.reshape(1, 436, 301, 1)], chain)
    else:
        chain = so.Architecture([(1, 436, ranks, 1), (1, ranks, 301, 1)])
        u, w = rng.standard_normal((436, ranks)), rng.standard_normal((ranks, 301))
        exact = so.KroneckerProduct([u[None, :, :, None], w[None, :, :, None]], chain)
        target = u @ w
    for other in (target, stored("zarr", tmp_path, target, chunk)):
        problem = so.ButterflyFactorization(other, chain)
        low, high = so.ButterflyCertificate(problem, exact).error_interval
        assert low == 0.0
        assert high <= 1e-9
