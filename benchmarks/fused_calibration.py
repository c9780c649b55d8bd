# %% [markdown]
# When is the compiled method of multiplication the fastest? Runs of factors of many sizes are timed
# in every dtype, the prediction of `sparseopt_butterfly.fused_chain` is fitted to the times by
# non-negative least squares of the relative error, and the module `fused_costs.py` is written.
# Processor time, one thread, least of several alternated tries. The other methods' coefficients
# come from `multiplication_calibration.py`; run both on the same machine.
#
#     python benchmarks/fused_calibration.py [--write]

# %%
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from sparseopt_butterfly import fused_chain

import sparseopt as so
from sparseopt.tools.random_products import random_product

KINDS = {"real": (np.float32, np.float64), "complex": (np.complex64, np.complex128)}
SIZES = {"one": (1,), "many": (2, 5, 8, 16, 20, 32, 64, 128, 512)}
OUT = Path(fused_chain.__file__).with_name("fused_costs.py")


def runs() -> list[list[tuple[int, int, int, int]]]:
    """Factors of 2 or 4 rows that make up blocks of 2 .. 64 rows, and whole dyadic chains."""
    found = []
    for n in (16, 64, 256, 1024, 4096):
        for size in sorted({2, 4, 8, 16, 32, 64, n}):
            for d in sorted({1, 8, n // size}):
                if d * size == 0 or n % (size * d):
                    continue
                a, levels = n // (size * d), size.bit_length() - 1
                found.append([(a << k, 2, 2, d * size >> (k + 1)) for k in range(levels)])
                if levels % 2 == 0:
                    fours = range(levels // 2)
                    found.append([(a << 2 * k, 4, 4, d * size >> (2 * k + 2)) for k in fours])
    return found


def measure() -> list[tuple[str, str, tuple[float, ...], float]]:
    """Kind, size, counts and microseconds of each case."""
    rng, rows, chain = np.random.default_rng(0), [], fused_chain.FusedChain()
    for kind, dtypes in KINDS.items():
        for dtype in map(np.dtype, dtypes):
            for patterns in runs():
                product = random_product(so.Architecture(patterns), rng, dtype)
                run = product.architecture.patterns
                for size, batches in SIZES.items():
                    for batch in batches:
                        counts = chain.counts(run, batch, dtype)
                        if counts is None or product.shape[0] * batch > 2**19:
                            continue
                        x = rng.standard_normal((product.shape[1], batch)).astype(dtype)
                        work = chain.prepare(product.factors, run, batch, dtype)
                        rows.append((kind, size, counts, least(work, x)))
    return rows


def least(work: fused_chain.Work, x: np.ndarray, tries: int = 5) -> float:
    """Least microseconds of one call."""
    work(x)
    start = time.process_time()
    work(x)
    repeats = max(1, min(50, int(2e-4 / max(time.process_time() - start, 1e-6))))
    best = np.inf
    for _ in range(tries):
        start = time.process_time()
        for _ in range(repeats):
            work(x)
        best = min(best, (time.process_time() - start) / repeats)
    return 1e6 * best


def fit(rows: list) -> dict[tuple[str, str], tuple[float, ...]]:
    """Coefficients by kind and size; the relative error is what is made small."""
    found = {}
    for kind in KINDS:
        for size in SIZES:
            some = [row for row in rows if row[:2] == (kind, size)]
            counts = np.array([row[2] for row in some])
            measured = np.array([row[3] for row in some])
            weight = 1 / measured
            for _ in range(8):
                solution, _residual = nnls(counts * weight[:, None], measured * weight)
                weight = 1 / np.sqrt(measured * (counts @ solution))
            ratio = np.quantile(counts @ solution / measured, [0, 0.1, 0.5, 0.9, 1])
            print(kind, size, len(some), "cases; predicted over measured:", ratio.round(2))
            found[kind, size] = tuple(float(f"{v:.3g}") for v in solution)
    return found


# %%
parser = argparse.ArgumentParser()
parser.add_argument("--write", action="store_true", help="replace the coefficients")
arguments = parser.parse_args()
table = fit(measure())
lines = [f"    {key!r}: {value!r},".replace("'", '"') for key, value in table.items()]
text = (
    '"""Measured coefficients of the compiled method\'s predicted time; microseconds per count.\n\n'
    "Made by ``benchmarks/fused_calibration.py --write``; what the counts are stands in\n"
    '`sparseopt_butterfly.fused_chain.FusedChain.counts`.\n"""\n\n'
    "COEFFICIENTS: dict[tuple[str, str], tuple[float, ...]] = {\n" + "\n".join(lines) + "\n}\n"
)
if arguments.write:
    OUT.write_text(text)
else:
    print(text)
