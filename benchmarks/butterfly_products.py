"""How fast is y = K x with Kronecker-sparse factors, beside lazylinop, CSR, dense and the FFT?

Run: python benchmarks/butterfly_products.py [--output benchmarks/results/butterfly_products.json]

Two tables. ``factors``: one factor of each pattern, batch 1, 16 and 128, float32 and, with
``--all-dtypes``, float64 and complex64. ``chains``: whole square dyadic chains of random values;
the FFT of the same size works on a complex64 operand (complex128 beside a float64 chain). Peers:
NumPy with the dense matrix, SciPy and torch with compressed rows, torch's batched matmul, and the
backends of lazylinop. ``sparseopt`` is the product made by `KroneckerProduct.accelerated`, beside
it the one that works without numba. All in one process with one thread, processor time, least of
several tries in random order, each after one untimed call; every result is compared with the dense
product before it is timed. The first calls, which plan, merge and compile, are not counted.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import json
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
import torch

import sparseopt as so
from sparseopt.tools.random_products import random_product

Work = Callable[[], Any]
PATTERNS = [
    (1, 48, 48, 16),
    (1, 192, 48, 2),
    (6, 64, 64, 1),
    (1, 768, 192, 2),
    (4, 64, 64, 4),
    (1, 2, 2, 512),
    (32, 2, 2, 16),
    (512, 2, 2, 1),
    (1, 32, 32, 32),
    (32, 32, 32, 1),
]
BATCHES = (1, 16, 128)
CHAINS = [(1024, 16), (1024, 128), (4096, 16), (4096, 128)]


def least(works: dict[str, Work], tries: int) -> dict[str, float]:
    """Return the least microseconds of each; each try takes about a millisecond of calls."""
    repeats, best = {}, dict.fromkeys(works, np.inf)
    for key, work in works.items():
        work()
        start = time.process_time()
        work()
        repeats[key] = max(1, min(50, int(1e-3 / max(time.process_time() - start, 1e-6))))
    order = list(works)
    shuffle = np.random.default_rng(0).shuffle
    for _ in range(tries):
        shuffle(order)
        for key in order:
            work = works[key]
            work()  # nobody starts with the caches that another one left
            start = time.process_time()
            for _ in range(repeats[key]):
                work()
            best[key] = min(best[key], 1e6 * (time.process_time() - start) / repeats[key])
    return {key: round(value, 1) for key, value in best.items()}


def bmm(values: np.ndarray, x: torch.Tensor) -> Work:
    """Return a factor's batched matmul in torch, with the two permutations around it."""
    a, b, c, d = values.shape
    blocks = torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))
    blocks = blocks.reshape(a * d, b, c)

    def run() -> torch.Tensor:
        z = x.reshape(a, c, d, -1).transpose(1, 2).reshape(a * d, c, -1)
        y = torch.bmm(blocks, z).reshape(a, d, b, -1).transpose(1, 2)
        return y.reshape(a * b * d, -1)

    return run


def factor_works(values: np.ndarray, x: np.ndarray) -> dict[str, Work]:
    """Return ours and the peers' products of one factor."""
    from lazylinop.butterfly import ksm

    product = so.KroneckerProduct([values], so.Architecture([values.shape]))
    fast = product.accelerated()
    matrix, tensor = product.to_dense(), torch.from_numpy(x)
    sparse = product.architecture[0].sparse(values)
    rows = torch.from_numpy(matrix).to_sparse_csr()
    numpy_backend, torch_backend = ksm(values), ksm(torch.from_numpy(values))
    scipy_backend = ksm(values, ksm_args={"backend": "scipy", "params": None})
    return {
        "sparseopt": lambda: fast @ x,
        "sparseopt without numba": lambda: product @ x,
        "dense": lambda: matrix @ x,
        "scipy csr": lambda: sparse @ x,
        "torch csr": lambda: rows @ tensor,
        "torch bmm": bmm(values, tensor),
        "lazylinop xp numpy": lambda: numpy_backend @ x,
        "lazylinop scipy": lambda: scipy_backend @ x,
        "lazylinop xp torch": lambda: torch_backend @ tensor,
    }


def chain_works(product: so.KroneckerProduct, x: np.ndarray) -> dict[str, Work]:
    """Return ours and the peers' products of a chain."""
    from lazylinop.butterfly import fuse, ksm

    fast = product.accelerated()
    values = [np.array(factor) for factor in product.factors]
    half = len(values) // 2
    parts = [list(range(half)), list(range(half, len(values)))]
    lazy, fused = ksm(values), ksm(fuse(values, partition=parts))
    pairs = zip(values, product.architecture, strict=True)
    sparse = [pattern.sparse(v) for v, pattern in reversed(list(pairs))]
    signal = x.astype(np.result_type(x.dtype, np.complex64))

    def rows() -> np.ndarray:
        y = x
        for factor in sparse:
            y = factor @ y
        return y

    return {
        "sparseopt": lambda: fast @ x,
        "sparseopt without numba": lambda: product @ x,
        "scipy csr chain": rows,
        "lazylinop chain": lambda: lazy @ x,
        "lazylinop fused to 2": lambda: fused @ x,
        "scipy.fft complex": lambda: scipy.fft.fft(signal, axis=0),
    }


def compare(works: dict[str, Work], expected: np.ndarray, tries: int) -> dict[str, Any]:
    """Return the microseconds of works that give the expected product, and the ratios."""
    scale = 1e-3 * np.abs(expected).max()
    for key, work in works.items():
        if key != "scipy.fft complex":
            np.testing.assert_allclose(np.asarray(work()), expected, rtol=0, atol=scale)
    found = least(works, tries)
    mine = found["sparseopt"]
    lazy = min(value for key, value in found.items() if key.startswith("lazylinop"))
    row: dict[str, Any] = {"microseconds": found, "lazylinop's best over ours": lazy / mine}
    if "scipy.fft complex" in found:
        row["lazylinop's chain over ours"] = found["lazylinop chain"] / mine
        row["scipy.fft over ours"] = found["scipy.fft complex"] / mine
    else:
        peers = {key: value for key, value in found.items() if not key.startswith("sparseopt")}
        row["best peer"] = min(peers, key=peers.__getitem__)
        row["best peer over ours"] = min(peers.values()) / mine
    return row


def factors(dtypes: tuple[Any, ...], tries: int) -> dict[str, Any]:
    """Return the rows of single factors, and their summary."""
    rows, rng = {}, np.random.default_rng(0)
    for dtype in dtypes:
        for pattern in PATTERNS:
            product = random_product([pattern], rng, dtype)
            matrix = product.to_dense()
            for batch in BATCHES:
                x = rng.standard_normal((product.shape[1], batch)).astype(dtype)
                row = compare(factor_works(product.factors[0], x), matrix @ x, tries)
                plan = product.accelerated().plan(batch)
                row["methods"] = [step.method for step in plan.steps]
                rows[f"{np.dtype(dtype).name} {pattern} batch {batch}"] = row
                print(np.dtype(dtype).name, pattern, batch, json.dumps(row), flush=True)
    return rows


def chains(tries: int) -> dict[str, Any]:
    """Return the rows of dyadic chains."""
    rows, rng = {}, np.random.default_rng(1)
    for dtype in (np.float32, np.float64, np.complex64):
        for n, batch in CHAINS:
            product = random_product(so.Architecture.square_dyadic(n), rng, dtype)
            x = rng.standard_normal((n, batch)).astype(dtype)
            row = compare(chain_works(product, x), product.to_dense() @ x, tries)
            row["plan"] = str(product.accelerated().plan(batch)).splitlines()
            rows[f"{np.dtype(dtype).name} n {n} batch {batch}"] = row
            print(np.dtype(dtype).name, n, batch, json.dumps(row), flush=True)
    return rows


def summary(rows: dict[str, Any]) -> dict[str, float]:
    """Return the figures that matter of single factors, by dtype."""
    result = {}
    for dtype in sorted({key.partition(" ")[0] for key in rows}):
        some = [row for key, row in rows.items() if key.startswith(dtype)]
        against = np.array([row["best peer over ours"] for row in some])
        lazy = np.array([row["lazylinop's best over ours"] for row in some])
        result |= {
            f"{dtype}: least of best peer over ours": float(against.min()),
            f"{dtype}: cases under 0.9 of the best peer": int((against < 0.9).sum()),
            f"{dtype}: median of best peer over ours": float(np.median(against)),
            f"{dtype}: median of lazylinop's best over ours": float(np.median(lazy)),
        }
    return result


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="write the figures as JSON here")
    parser.add_argument("--tries", type=int, default=7)
    parser.add_argument("--all-dtypes", action="store_true", help="factors in every dtype")
    parser.add_argument("--only", choices=["factors", "chains"], help="one of the two tables")
    arguments = parser.parse_args()
    if arguments.tries < 5:
        parser.error("at least 5 tries")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    packages = ("sparseopt", "numpy", "scipy", "numba", "torch", "lazylinop")
    result: dict[str, Any] = {
        "versions": {name: version(name) for name in packages}
        | {"python": platform.python_version(), "machine": platform.machine()}
    }
    dtypes = (np.float32, np.float64, np.complex64) if arguments.all_dtypes else (np.float32,)
    if arguments.only != "chains":
        rows = factors(dtypes, arguments.tries)
        result |= {"summary": summary(rows), "factors": rows}
        print(json.dumps(result["summary"], indent=2))
    if arguments.only != "factors":
        result["chains"] = chains(arguments.tries)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
