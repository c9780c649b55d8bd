"""Hierarchical factorization whose first levels run on dask's workers, for targets in storage.

The bands of `stored_bands` depend on no other: each is a task, which reads its own rows and columns
and gives back the left factors of these and what the levels leave. As many bands are on their way
as the workers have threads, so that what a worker holds does not grow with the target.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.butterfly.stored import Stored, as_declared
from sparseopt.interface.arrays import unmasked
from sparseopt.judging.scaling import times_power
from sparseopt.tools.hierarchy import Level, Standard, factorize, require_options
from sparseopt_butterfly.hierarchical_numpy import TILE, Stage, left_to_right
from sparseopt_butterfly.kernel_loading import numpy_seconds
from sparseopt_butterfly.memory import checked_bytes
from sparseopt_butterfly.stored_bands import Band, Bands, read_band

# Seconds that a task takes before it works.
_START = 0.02

Done = list[tuple[int, list[np.ndarray], np.ndarray]]
"""First column group, left factors of all levels and rest, for each inner part of a band."""


@dataclass(frozen=True)
class HierarchicalDask(so.Solver[so.ButterflyFactorization]):
    """As `hierarchical_numpy`, the first levels of stored targets on dask's workers.

    With a client of ``distributed`` in this process the tasks go to its workers, of any target that
    can be sent there; without one they run here, by dask's own scheduler, if the target is a dask
    array. Later levels, the error and the bounds are computed here. The factors are those of
    `hierarchical_numpy`, bit for bit if the workers have the same processors and libraries.
    Source: Le, Zheng, Riccietti, Gribonval, arXiv 2411.04506.

    Time O(m n), memory O(m n^0.5 + n m^0.5), as `hierarchical_numpy`, for an m x n target in chunks
    that are small beside it.

    Parameters
    ----------
    bounds, probes
        As in `hierarchical_numpy`.
    """

    bounds: str = "auto"
    probes: int = 0

    def __post_init__(self) -> None:
        require_options(self.bounds, self.probes)

    def accepts(self, problem: so.ButterflyFactorization) -> so.Accepted | so.Refused:
        """Take dask arrays and, with a client, stored targets that can be sent to its workers."""
        if problem.kind != "stored":
            return so.Refused("it takes targets in storage: dask arrays, or arrays of zarr")
        if _is_dask(problem.target):
            return so.Accepted()
        name = type(problem.target.source).__name__
        if _client() is None:
            return so.Refused(
                f"the target, of class {name}, is no dask array, and there is no client of "
                "distributed whose workers could read it"
            )
        try:
            pickle.dumps(problem.target)
        except Exception as error:  # whatever a library raises for what it cannot send
            return so.Refused(f"the target, of class {name}, cannot be sent to workers: {error}")
        return so.Accepted()

    def solve(
        self, problem: so.ButterflyFactorization, context: so.Context
    ) -> tuple[so.KroneckerProduct, so.ButterflyCertificate]:
        """Return the factors with their certificate."""
        engine = partial(left_to_right, run_bands=on_workers)
        return factorize(problem, context, engine, self.bounds, self.probes, scales=True)

    def cost(self, problem: so.ButterflyFactorization) -> float:
        """Predict the seconds: those of NumPy over the threads, and the start of the tasks."""
        standard = Standard.of(problem.architecture)
        tasks = len(Bands.of(problem.target, standard)) if standard.levels else 1
        return numpy_seconds(problem) / _threads() + _START * tasks

    def bytes_needed(self, problem: so.ButterflyFactorization) -> float:
        """Predict the bytes of this process, or of a thread of a worker, whichever are more.

        Here: the rest, the factors, and what as many tasks as there are threads give back. There:
        the blocks of a band, the same side by side, one inner part, and what becomes of it.
        """
        standard = Standard.of(problem.architecture)
        if not standard.levels:
            size = problem.shape[0] * problem.shape[1]
            return max(3.0 * size * problem.dtype.itemsize, checked_bytes(problem))
        bands = Bands.of(problem.target, standard)
        given = bands.rest // len(bands) + problem.architecture.nnz
        here = bands.rest + problem.architecture.nnz + _threads() * given
        there = 2 * bands.held + bands.entries + given + 4 * TILE
        return max(float(max(here, there) * problem.dtype.itemsize), checked_bytes(problem))


def _is_dask(target: Stored) -> bool:
    from dask.base import is_dask_collection

    return bool(is_dask_collection(target.source))


def _client() -> Any:
    """Return the client of distributed that is current in this process, None if there is none."""
    import distributed

    try:
        return distributed.get_client()
    except ValueError:
        return None


def _threads() -> int:
    """Return the number of threads of all workers; 1 without a client."""
    client = _client()
    return 1 if client is None else max(1, sum(client.nthreads().values()))


def on_workers(
    problem: so.ButterflyFactorization,
    standard: Standard,
    lefts: Sequence[np.ndarray],
    context: so.Context,
) -> tuple[np.ndarray, int]:
    """Run the first levels on dask's workers; return what they leave, and how many they are."""
    target, exponent = problem.target, problem.exponent
    bands = Bands.of(target, standard)
    last, first = bands.levels[-1], bands.levels[0]
    out = np.empty((last.rank * bands.whole, standard.columns), dtype=problem.dtype)
    rests = out.reshape(last.rank, bands.whole, first.groups, first.c)
    client = _client()
    make = _task_of_blocks if _is_dask(target) else _task
    tasks = ((band, make(target, bands, band, exponent)) for band in bands)
    run = _in_turn(tasks) if client is None else _on_client(client, tasks, _threads(), context)
    for done, (band, found) in enumerate(run):
        context.check_time("factorizing")
        share = done / len(bands) * bands.count / len(lefts)
        context.report(share, f"band {done + 1} of {len(bands)}")
        span = slice(band.low, band.high)
        for group, own, rest in found:
            stop = group + band.last - band.first
            shape = last.rank, span.stop - span.start, stop - group, first.c
            rests[:, span, group:stop] = rest.reshape(shape)
            for left, level, part in zip(lefts, bands.levels, own, strict=False):
                whole = left.reshape(-1, bands.whole, *left.shape[1:])
                steps = level.groups // first.groups
                small = part.reshape(-1, span.stop - span.start, *part.shape[1:])
                whole[:, span, group * steps : stop * steps] = small
    return out, bands.count


def _in_turn(tasks: Iterator[tuple[Band, Any]]) -> Iterator[tuple[Band, Done]]:
    """Run delayed tasks here, one after the other."""
    for band, task in tasks:
        yield band, task.compute()


def _on_client(
    client: Any, tasks: Iterator[tuple[Band, Any]], many: int, context: so.Context
) -> Iterator[tuple[Band, Done]]:
    """Run delayed tasks on workers, so many at once; give back what is done as it comes."""
    import distributed

    waiting: dict[Any, Band] = {}
    try:
        for band, task in tasks:
            waiting[client.compute(task)] = band
            if len(waiting) >= many:
                yield _next(distributed, waiting, context)
        while waiting:
            yield _next(distributed, waiting, context)
    finally:
        for future in waiting:
            future.cancel()


def _next(distributed: Any, waiting: dict[Any, Band], context: so.Context) -> tuple[Band, Done]:
    """Return what one of the futures gives, the first that is done, and forget it."""
    while True:
        try:
            found = distributed.wait(list(waiting), timeout=0.2, return_when="FIRST_COMPLETED")
        except TimeoutError:
            context.check_time("factorizing on workers")
            continue
        future = next(iter(found.done))
        band = waiting.pop(future)
        return band, future.result()


def _task(target: Stored, bands: Bands, band: Band, exponent: int) -> Any:
    """Return a delayed task that reads its own band."""
    import dask

    return dask.delayed(run_stored, pure=False)(target, bands, band, exponent)


def _task_of_blocks(target: Stored, bands: Bands, band: Band, exponent: int) -> Any:
    """Return a delayed task whose band dask computes."""
    import dask

    blocks = [target.source[rows, columns] for _, rows, columns in bands.places(band)]
    given = target.dtype, target.power
    return dask.delayed(run_blocks, pure=False)(blocks, given, bands, band, exponent)


def run_stored(target: Stored, bands: Bands, band: Band, exponent: int) -> Done:
    """Read a band and run the levels on it."""
    room = np.empty(bands.held, dtype=target.dtype)
    return _run(bands, band, read_band(target, bands, band, room), exponent)


def run_blocks(
    blocks: list[Any],
    given: tuple[np.dtype[Any], int],
    bands: Bands,
    band: Band,
    exponent: int,
) -> Done:
    """Put the blocks of a band side by side and run the levels on it."""
    dtype, power = given
    room = np.empty(bands.held, dtype=dtype)
    raw = read_band(_Blocks(iter(blocks), dtype, power), bands, band, room)
    return _run(bands, band, raw, exponent)


@dataclass(frozen=True)
class _Blocks:
    """Blocks that are read in the order in which they are held."""

    held: Iterator[Any]
    dtype: np.dtype[Any]
    power: int

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Return the next block, at these rows and columns."""
        held = np.asarray(unmasked(next(self.held), "a block of the target"))
        block = as_declared(held, self.dtype, rows, columns)
        return np.asarray(times_power(block, self.power))


def _run(bands: Bands, band: Band, raw: np.ndarray, exponent: int) -> Done:
    """Run the levels on a band, as on a smaller target of its own."""
    first, found = bands.levels[0], []
    for group, cells in bands.cells(band, raw):
        span, count = cells.shape[2:4]
        levels = [
            replace(
                level,
                d=level.d // bands.whole * span,
                groups=level.groups // first.groups * count,
            )
            for level in bands.levels
        ]
        lefts = [_room(level, raw.dtype) for level in levels]
        rest = np.empty((levels[-1].rank * span, count * first.c), dtype=raw.dtype)
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            Stage(levels, lefts, exponent).run_cells(cells, rest, 0, 0)
        found.append((group, lefts, rest))
    return found


def _room(level: Level, dtype: np.dtype[Any]) -> np.ndarray:
    return np.empty((level.d, level.groups, level.b, level.rank), dtype=dtype)
