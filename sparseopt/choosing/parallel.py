"""Independent items in processes, on dask or on ray, by joblib; workers that end lose nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

from sparseopt.choosing.availability import is_installed
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short

T = TypeVar("T")
R = TypeVar("R")

BACKENDS = {"processes": "joblib", "dask": "distributed", "ray": "ray"}
"""What `backend` may be, and the library that it needs besides joblib."""
_EXTRAS = {"joblib": "parallel", "distributed": "dask", "ray": "ray"}


@dataclass(frozen=True)
class Lost:
    """Stands for the result of an item whose worker ended, and ended again with it alone."""

    reason: str


@dataclass(eq=False)
class _Taken(Generic[T]):
    """Numbers items as they are taken, and keeps those that have no result yet.

    Attributes
    ----------
    waiting : dict
        Items by number, until their result is there.
    ended : bool
        Whether no item is left to be taken.
    error : Exception or None
        What ended the items, if they did not end by themselves.
    """

    items: Iterator[T]
    waiting: dict[int, T] = field(default_factory=dict)
    count: int = 0
    ended: bool = False
    error: Exception | None = None

    def __iter__(self) -> Iterator[tuple[int, T]]:
        return self

    def __next__(self) -> tuple[int, T]:
        try:
            item = next(self.items)
        except StopIteration:
            self.ended = True
            raise
        except Exception as error:  # raised where results are awaited, not in joblib's threads
            self.ended, self.error = True, error
            raise StopIteration from None
        number, self.count = self.count, self.count + 1
        self.waiting[number] = item
        return number, item


def unordered(
    function: Callable[[T], R], items: Iterable[T], jobs: int | None, backend: str | None
) -> Generator[tuple[int, R | Lost], None, None]:
    """Yield number and ``function(item)`` of every item, each as soon as it is there.

    The items that a worker had taken when it ended are tried once more, each alone; close the
    generator to cancel what is left. For the parameters and errors see `solve_all`; `function`
    raises nothing, or it ends the work.
    """
    _require(jobs, backend)
    taken = _Taken(iter(items))
    if backend is None and jobs in (None, 1):
        for number, item in taken:
            yield number, function(item)
    else:
        with ExitStack() as stack:
            _enter(jobs, backend, stack)
            while not taken.ended:
                yield from _spread(function, taken, streams=backend != "ray")
    if taken.error is not None:
        raise taken.error


def _require(jobs: int | None, backend: str | None) -> None:
    right = isinstance(jobs, int) and not isinstance(jobs, bool) and (jobs >= 1 or jobs == -1)
    if jobs is not None and not right:
        raise ProblemError(
            f"jobs must be a positive number, or -1 for all processors, not {short(jobs)}"
        )
    if backend is not None and backend not in BACKENDS:
        raise ProblemError(f"backend must be one of {', '.join(BACKENDS)}, not {short(backend)}")
    if backend is None and jobs in (None, 1):
        return
    for module in ("joblib", BACKENDS[backend or "processes"]):
        if not is_installed(module):
            raise ProblemError(
                f"{backend or 'more than one job'} needs {module}: "
                f"pip install 'sparseopt[{_EXTRAS[module]}]', or solve with jobs=1"
            )


def _enter(jobs: int | None, backend: str | None, stack: ExitStack) -> None:
    """Tell joblib what to use until `stack` ends, and a cluster of our own with it."""
    import joblib

    if backend is None:  # what joblib.parallel_config says, else processes
        stack.enter_context(joblib.parallel_config(n_jobs=jobs))
        return
    if backend == "ray":
        _enter_ray(jobs, stack)
    if backend == "dask":
        _enter_cluster(jobs, stack)
    engine = "loky" if backend == "processes" else backend
    stack.enter_context(joblib.parallel_config(backend=engine, n_jobs=jobs or -1))


def _enter_ray(jobs: int | None, stack: ExitStack) -> None:
    """Start ray on this machine unless it is started, and tell joblib of it."""
    import ray
    from ray.util.joblib import register_ray

    if not ray.is_initialized():
        workers = None if jobs in (None, -1) else jobs
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
        stack.callback(ray.shutdown)
    register_ray()


def _enter_cluster(jobs: int | None, stack: ExitStack) -> None:
    """Make a cluster on this machine unless a client is connected to one."""
    import distributed

    try:
        distributed.get_client()
    except ValueError:
        workers = None if jobs in (None, -1) else jobs
        cluster = distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None
        )
        stack.enter_context(cluster)
        stack.enter_context(distributed.Client(cluster))


def _spread(
    function: Callable[[T], R], taken: _Taken[T], streams: bool
) -> Iterator[tuple[int, R | Lost]]:
    """Yield the results of what is still to be taken, as far as no worker ends early.

    Of a backend that does not stream its results, those of the next items, a few for each worker.
    """
    import joblib

    before, ended = taken.count, None
    pairs = taken if streams else islice(taken, 8 * joblib.effective_n_jobs())
    parallel = joblib.Parallel(return_as="generator_unordered" if streams else "list")
    try:
        results = parallel(joblib.delayed(_numbered)(function, *pair) for pair in pairs)
        with ExitStack() as stack:
            if streams:
                stack.callback(_cancel, results)
            for number, found in results:
                del taken.waiting[number]
                yield number, found
    except Exception as error:  # of a worker, or on the way to one
        ended = error
    if ended is not None and taken.count == before:
        raise ProblemError(f"no worker could be started: {ended}") from ended
    for number, item in sorted(taken.waiting.items()):
        yield number, _alone(function, item)
        del taken.waiting[number]


def _cancel(results: Generator[object, None, None]) -> None:
    """Close a generator of joblib; that some results are not awaited needs no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        results.close()


def _numbered(function: Callable[[T], R], number: int, item: T) -> tuple[int, R]:
    return number, function(item)


def _alone(function: Callable[[T], R], item: T) -> R | Lost:
    """Return the result of one item in a worker that has no other."""
    import joblib

    parallel = joblib.Parallel(n_jobs=2)  # one would mean this very process
    try:
        return parallel([joblib.delayed(function)(item)])[0]  # type: ignore[no-any-return]
    except Exception as error:
        line = (str(error).splitlines() or [""])[0]
        return Lost(f"its worker ended, twice: {type(error).__name__}: {line}")
