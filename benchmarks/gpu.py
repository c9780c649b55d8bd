"""Kronecker-sparse factors on a CUDA device: the tests that need one, then a table beside peers.

Run: python benchmarks/gpu.py [--output benchmarks/results/gpu.json] [--budget 450] [--no-tests]
Where there is no device it says so and prints what is predicted without one. `--dry` goes through
every line on a processor, on the tests' stand-in for CuPy, with tiny sizes: no figure of it means
anything.

First ``pytest -m gpu tests/plugins/cupy``, then the rates of the device, which plans use from then
on, then in this process and so comparable:

factors
    one factor of each pattern in float32 (ieee, tf32, tf32x3), float16 and bfloat16, batch last and
    first. ``ours`` is `KroneckerProduct` @ x as planned, beside it each method alone; peers are
    torch's bmm around permutations, bmm on strided views (``bmm0``), einsum, BSR, CSR and dense,
    and where it installs lazylinop's CuPy backend; ``uj_`` is the energy of a call in microjoules
    by NVML, of ours and of the fastest peer.
chains
    square dyadic chains, in passes: time over that of reading x and writing y once; beside them,
    batch first, the butterfly layer of torch-structured, whose values are its own.
gradients
    of a factor: dx beside the product, dW over its floor.
factorization
    of a square dyadic float32 target, in reads of it at the copy rate.

Times are medians of CUDA events, inputs rotated beyond twice the second-level cache, every result
compared with float64 on the device first. Nothing is tuned, and calls are those that a user makes:
where they take some ten microseconds, the processor sets the pace. ``floor`` is the larger of bytes
over the copy rate and flops over the library's rate, both of this run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_peers import Energy, Work, lazylinop, peers, torch_structured

import sparseopt as so
from sparseopt.choosing import offers

ROOT = Path(__file__).parent.parent
PATTERNS = [
    *[(1, 48, 48, 1), (4, 64, 64, 4), (64, 64, 64, 1), (1, 64, 64, 64), (6, 64, 64, 1)],
    *[(1, 768, 192, 2), (16, 48, 192, 4), (4, 192, 48, 16), (4, 128, 128, 4), (2, 256, 256, 4)],
    *[(16, 256, 256, 1), (4, 1024, 1024, 1), (1, 32, 32, 32), (32, 32, 32, 1), (1, 2, 2, 2048)],
    *[(64, 2, 2, 32), (2048, 2, 2, 1), (32, 4, 4, 32), (16, 16, 16, 16), (8, 3584, 512, 1)],
]
CHAINS = [(1 << 10, 4096), (1 << 11, 4096), (1 << 12, 4096), (1 << 14, 4096), (1 << 16, 4096)]
KINDS = {
    "ieee": (torch.float32, "ieee"),
    "tf32": (torch.float32, "tf32"),
    "tf32x3": (torch.float32, "tf32x3"),
    "float16": (torch.float16, "ieee"),
    "bfloat16": (torch.bfloat16, "ieee"),
}
ALLOWED = {"ieee": 1e-6, "tf32": 1e-3, "tf32x3": 3e-6, "float16": 1e-2, "bfloat16": 1e-2}
DRY = "dry run on a processor: it shows that every line runs; no figure of it means anything"


class Bench:
    """Where it runs, and how it measures there."""

    def __init__(self, dry: bool, budget: float) -> None:
        self.dry, self.end = dry, time.monotonic() + budget
        self.device = "cpu" if dry else "cuda"
        self.rows: list[dict[str, Any]] = []
        self.rates: Any = None
        properties = None if dry else torch.cuda.get_device_properties(0)
        self.cache = 2 * properties.L2_cache_size if properties else 0
        self._energy = Energy(str(properties.uuid) if properties else "")

    @property
    def over(self) -> bool:
        """Whether no new case begins."""
        return time.monotonic() > self.end

    def random(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.randn(*shape, device=self.device).to(dtype)

    def rotated(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return copies of an operand that do not fit into the cache together."""
        size = x.numel() * x.element_size()
        return [x, *(x.clone() for _ in range(min(64, self.cache // max(size, 1))))]

    def microseconds(self, work: Work, x: torch.Tensor) -> float:
        """Return the median time of a call."""
        given = self.rotated(x)
        for one in given[:2]:
            work(one)
        if self.dry:
            began = time.perf_counter()
            work(x)
            return 1e6 * (time.perf_counter() - began)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        times, at = [], 0
        for _ in range(15):
            calls = 8
            begin.record()
            for _ in range(calls):
                work(given[at % len(given)])
                at += 1
            end.record()
            end.synchronize()
            times.append(1e3 * begin.elapsed_time(end) / calls)
        return statistics.median(times)

    def microjoules(self, work: Work, x: torch.Tensor, microseconds: float) -> float | None:
        """Return the energy of a call, over a second of calls; None where nothing counts it."""
        before = self._energy.joules()
        if before is None:
            return None
        given, calls = self.rotated(x), max(1, int(1e6 / microseconds))
        torch.cuda.synchronize()
        before = self._energy.joules() or 0.0
        for at in range(calls):
            work(given[at % len(given)])
        torch.cuda.synchronize()
        return 1e6 * ((self._energy.joules() or 0.0) - before) / calls

    def keep(self, **row: Any) -> None:
        """Remember and print a row."""
        self.rows.append(row)
        shown = (f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
        print("  ".join(shown), flush=True)


def ours(
    factors: list[torch.Tensor], patterns: Any, precision: str, first: bool, *methods: str
) -> Work:
    """Return our product, as planned or by some methods only, on the memory of torch's tensors."""
    from sparseopt_cupy.methods import METHODS
    from sparseopt_cupy.multiplication import CudaMultiplication
    from sparseopt_cupy.tensors import as_array

    kind = factors[0].dtype
    if kind == torch.bfloat16:  # CuPy need not know it: by the operator of torch
        from sparseopt_cupy.torch_chain import CudaChain

        chain = CudaChain(so.Architecture(patterns), precision)
        held = list(factors)
        return (lambda x: chain(x.T, held).T) if first else (lambda x: chain(x, held))
    product = CudaMultiplication(
        [as_array(f.contiguous()) for f in factors],
        so.Architecture(patterns),
        precision,
        allowed=methods or METHODS,
    )
    if first:
        return lambda x: product.matmat(as_array(x).T).T
    return lambda x: product.matmat(as_array(x))


def as_tensor(y: Any) -> torch.Tensor:
    return y if isinstance(y, torch.Tensor) else torch.from_dlpack(y)


def error_of(
    y: Any, factors: list[torch.Tensor], patterns: Any, x: torch.Tensor, first: bool
) -> float:
    """Return the relative error of the first columns, against float64 on the device."""
    columns = (x.T if first else x)[:, :64].double()
    exact = so.KroneckerProduct([f.double() for f in factors], patterns).one_by_one(columns)
    got = as_tensor(y)
    got = (got.T if first else got)[:, :64].double()
    return float(torch.linalg.vector_norm(got - exact) / torch.linalg.vector_norm(exact))


def floor_of(bench: Bench, pattern: tuple[int, ...], n: int, kind: str) -> tuple[float, bool]:
    """Return the least microseconds of one factor, and whether memory sets them."""
    a, b, c, d = pattern
    dtype, precision = KINDS[kind]
    size = torch.empty(0, dtype=dtype).element_size()
    memory = size * (n * a * d * (b + c) + a * b * c * d) / bench.rates.copy
    name = str(dtype).removeprefix("torch.")
    products = 2 * n * a * b * c * d / bench.rates.of_products(name, precision)
    return max(memory, products), memory >= products


def factors(bench: Bench, patterns: list[tuple[int, ...]], batch: int) -> None:
    """One factor: ours by method, and peers."""
    for kind, (dtype, precision) in KINDS.items():
        torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
        for pattern in patterns:
            for first in (False, True):
                if bench.over:
                    return
                with contextlib.suppress(torch.cuda.OutOfMemoryError):
                    one_factor(bench, pattern, batch, kind, dtype, precision, first)


def one_factor(
    bench: Bench,
    pattern: tuple[int, ...],
    n: int,
    kind: str,
    dtype: torch.dtype,
    precision: str,
    first: bool,
) -> None:
    a, _, c, d = pattern
    w = bench.random(*pattern, dtype=dtype) / c**0.5
    x = bench.random(*((n, a * c * d) if first else (a * c * d, n)), dtype=dtype)
    works = {"ours": ours([w], [pattern], precision, first)}
    if dtype != torch.bfloat16:
        for method in ("kernel", "strided"):
            if method == "strided" and first and d > 1:
                continue
            works[method] = ours([w], [pattern], precision, first, method)
    if kind != "tf32x3":
        works |= peers(w, first)
    if kind in ("ieee", "tf32x3", "float16") and not first:
        found = None if bench.dry else lazylinop(w)  # the stand-in is no CuPy to it
        works |= {"lazylinop": found} if found else {}
    times = {}
    for name, work in list(works.items()):
        own = name in ("ours", "kernel", "strided")
        try:
            error = error_of(work(x), [w], [pattern], x, first)
        except Exception as failure:  # a peer that cannot: it is said, and left out
            if own:
                raise
            said = " ".join(str(failure).split())[:120]
            print(f"{name} does not run for {pattern}: {type(failure).__name__}: {said}")
            continue
        if own and not error < ALLOWED[kind]:
            raise SystemExit(f"{name} is wrong by {error} for {pattern}, {kind}, first={first}")
        times[name] = bench.microseconds(work, x)
    floor, bound = floor_of(bench, pattern, n, kind)
    best = (
        min((times[p], p) for p in times if p in ("bmm", "einsum", "bsr", "csr", "dense"))
        if (kind != "tf32x3")
        else (float("nan"), "")
    )
    bench.keep(
        table="factors",
        pattern=pattern,
        n=n,
        kind=kind,
        layout="first" if first else "last",
        bandwidth_bound=bound,
        floor=floor / times["ours"],
        peer=best[1],
        peer_over_ours=best[0] / times["ours"],
        **{f"us_{name}": t for name, t in times.items()},
        **{
            f"uj_{name}": bench.microjoules(works[name], x, times[name])
            for name in dict.fromkeys(("ours", best[1]))
            if name in times
        },
    )


def chains(bench: Bench, sizes: list[tuple[int, int]]) -> None:
    """Whole chains, in passes over the operand."""
    for n, batch in sizes:
        patterns = list(so.Architecture.square_dyadic(n))
        made = [bench.random(*p.values_shape, dtype=torch.float32) / 2**0.5 for p in patterns]
        for precision in ("ieee", "tf32"):
            for first in (False, True):
                if bench.over:
                    return
                x = bench.random(*((batch, n) if first else (n, batch)), dtype=torch.float32)
                work = ours(made, patterns, precision, first)
                error = error_of(work(x), made, patterns, x, first)
                if not error < ALLOWED[precision] * 4:
                    raise SystemExit(f"a chain of {n} is wrong by {error}, {precision}")
                took = bench.microseconds(work, x)
                peer = torch_structured(n, x) if first and precision == "ieee" else None
                beside = (
                    {} if peer is None else {"us_torch_structured": bench.microseconds(peer, x)}
                )
                bench.keep(
                    table="chains",
                    n=n,
                    batch=batch,
                    kind=precision,
                    layout="first" if first else "last",
                    passes=took * bench.rates.copy / (8 * n * batch),
                    us=took,
                    **beside,
                )


def gradients(bench: Bench, patterns: list[tuple[int, ...]], batch: int) -> None:
    """Gradients of one factor, batch first, as layers take them."""
    from sparseopt_cupy.torch_chain import CudaChain

    for pattern in patterns:
        if bench.over:
            return
        a, b, c, d = pattern
        chain = CudaChain(so.Architecture([pattern]))
        w = (bench.random(*pattern, dtype=torch.float32) / c**0.5).requires_grad_()
        x = bench.random(batch, a * c * d, dtype=torch.float32)
        dy = bench.random(batch, a * b * d, dtype=torch.float32)
        flat = [*pattern]
        both = bench.microseconds(
            lambda x, dy=dy, w=w, flat=flat: torch.ops.sparseopt.kronecker_chain_backward(
                dy, x, [w.detach()], flat, "first", "ieee"
            ),
            x,
        )
        forward = bench.microseconds(lambda x, w=w, chain=chain: chain(x.T, [w.detach()]), x)
        turned = CudaChain(so.Architecture([(a, c, b, d)]))
        back = bench.microseconds(
            lambda y, w=w, turned=turned: turned(y.T, [w.detach().transpose(1, 2).contiguous()]), dy
        )
        floor = floor_of(bench, pattern, batch, "ieee")[0]
        bench.keep(
            table="gradients",
            pattern=pattern,
            n=batch,
            dx_over_forward=back / forward,
            dw_over_floor=max(both - back, 0.0) / floor,
        )


def factorization(bench: Bench, n: int) -> None:
    """A square dyadic target, in reads of it."""
    import cupy

    dyadic = so.Architecture.square_dyadic(n)
    draws = np.random.default_rng(0)
    made = [draws.standard_normal(p.values_shape, np.float32) / 2**0.5 for p in dyadic]
    target = cupy.asarray(so.KroneckerProduct(made, dyadic).to_dense().astype(np.float32))
    problem = so.ButterflyFactorization(target, dyadic)

    def work(_: Any) -> Any:
        return so.solve(problem, solver="hierarchical_cupy", check=False, bounds="never")

    took = bench.microseconds(work, torch.zeros(1))
    reads = took * bench.rates.copy / (4 * n * n)
    error = so.solve(problem, solver="hierarchical_cupy").certificate.relative_error
    bench.keep(table="factorization", n=n, reads=reads, us=took, relative_error=error)


def summary(bench: Bench) -> None:
    """Print the table of medians."""
    print(
        "\n| kind | layout | cases | floor / ours | best torch peer / ours (d > 1) "
        "| bmm0 / ours: least, median | lazylinop / ours (d > 1) |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rows = [r for r in bench.rows if r["table"] == "factors"]
    for kind in KINDS:
        for layout in ("last", "first"):
            own = [r for r in rows if (r["kind"], r["layout"]) == (kind, layout)]
            bound = [r for r in own if r["bandwidth_bound"]]
            if not bound:
                continue
            floor = statistics.median(r["floor"] for r in bound)
            wide = [r["peer_over_ours"] for r in bound if r["pattern"][3] > 1]
            peer = f"{statistics.median(wide):.2f}" if wide and kind != "tf32x3" else "-"
            zero_copy = [r["us_bmm0"] / r["us_ours"] for r in own if "us_bmm0" in r]
            least = (
                f"{min(zero_copy):.2f}, {statistics.median(zero_copy):.2f}" if zero_copy else "-"
            )
            lazy = [
                r["us_lazylinop"] / r["us_ours"]
                for r in bound
                if "us_lazylinop" in r and r["pattern"][3] > 1
            ]
            other = f"{statistics.median(lazy):.2f}" if lazy else "-"
            start = f"| {kind} | {layout} | {len(bound)} | {floor:.2f} | {peer}"
            print(f"{start} | {least} | {other} |")
    print(f"\n{goals()}")


def predicted() -> None:
    """Print what is known without a device: bytes over the floor, and the table of goals."""
    from sparseopt_cupy import kernel_table

    print("predicted, no device: bytes that the factor kernel asks for over the floor, float32")
    for pattern in PATTERNS:
        ratios = []
        for layout in ("last", "first"):
            launches = kernel_table.factor(pattern, 25088, "float32", layout=layout)
            bytes_asked = sum(launch.predicted_bytes for launch in launches)
            ratios.append(bytes_asked / sum(launch.floor_bytes for launch in launches))
        print(f"  {pattern!s:<22} last {ratios[0]:.2f}  first {ratios[1]:.2f}")
    print(f"\n{goals()}")


def goals() -> str:
    """Return the table of goals and of what is predicted, as in docs/gpu.md."""
    support = str(ROOT / "tests" / "support")
    if support not in sys.path:
        sys.path.insert(0, support)
    return str(importlib.import_module("gpu_goals").table())


@contextlib.contextmanager
def stand_in(dry: bool) -> Iterator[None]:
    """Put the tests' stand-in where CuPy would be, for a dry run."""
    if not dry:
        yield
        return
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from types import SimpleNamespace

    import cupy_double

    usual = torch.cuda.current_stream
    torch.cuda.current_stream = lambda device=None: SimpleNamespace(cuda_stream=0)
    try:
        with cupy_double.installed():
            yield
    finally:
        torch.cuda.current_stream = usual


def versions() -> dict[str, str]:
    found = {}
    others = "lazylinop", "torch-structured", "triton"
    for name in ("sparseopt", "torch", "cupy-cuda13x", "cupy-cuda12x", "numpy", *others):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--budget", type=float, default=450.0, help="seconds")
    parser.add_argument("--no-tests", action="store_true")
    parser.add_argument("--dry", action="store_true")
    given = parser.parse_args()
    if given.dry and given.output:
        parser.error("a dry run has no figures to keep")
    with stand_in(given.dry):
        missing = offers.engine("CudaChain").availability()
        if missing is not None:
            print(f"no figures: {missing}\n")
            predicted()
            return 1
        print(offers.engine("CudaChain").device)
        if not (given.no_tests or given.dry):
            command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/plugins/cupy"]
            if subprocess.run(command, cwd=ROOT, check=False).returncode:
                return 1
        run(given)
    return 0


def run(given: argparse.Namespace) -> None:
    """Measure everything and print the table."""
    bench = Bench(given.dry, given.budget)
    if given.dry:
        from sparseopt_cupy.rates import Rates

        bench.rates = Rates.of("nothing")
        patterns, batch, sizes, size = [(2, 4, 4, 3), (2, 18, 17, 1)], 10, [(16, 12)], 16
    else:
        from sparseopt_cupy.measuring import measure
        from sparseopt_cupy.planning import figures

        bench.rates = measure()
        bench.rates.keep()
        figures.cache_clear()
        patterns, batch, sizes, size = PATTERNS, 25088, CHAINS, 8192
    print(DRY if given.dry else bench.rates)
    chains(bench, sizes)
    factorization(bench, size)
    gradients(bench, patterns, batch)
    factors(bench, patterns, batch)
    summary(bench)
    print(DRY if given.dry else "")
    if given.output:
        body = {"device": str(bench.rates.name), "rates": str(bench.rates)}
        text = json.dumps({**body, "versions": versions(), "rows": bench.rows}, indent=1)
        given.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
