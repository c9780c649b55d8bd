# %% [markdown]
# Which method multiplies a Kronecker-sparse factor fastest? Every method is timed on a grid of
# patterns, batches and dtypes, the prediction of `sparseopt_butterfly.multiplication` is fitted to
# the times by non-negative least squares of the relative error, and the module
# `multiplication_costs.py` is written. The regret printed at the end is measured time of the
# chosen method over that of the best one.
#
#     python benchmarks/multiplication_calibration.py [--write]

# %%
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from sparseopt_butterfly.multiplication import _features, _strided

import sparseopt as so

METHODS = ("matmul", "gathered", "csr", "dense")
SIZES = {"one": (1,), "few": (2, 4, 8), "many": (16, 64, 128, 512)}
KINDS = {"real": (np.float32, np.float64), "complex": (np.complex64, np.complex128)}
PATTERNS = [
    (n // (w * d), w, w, d)
    for n in (64, 1024, 4096)
    for w in (2, 4, 8, 16, 32, 64)
    for d in (1, 4, n // w)
    if n % (w * d) == 0
]
PATTERNS += [(1, n, n, 1) for n in (4, 16, 128, 256, 512)]
PATTERNS += [(1, 48, 48, 16), (1, 192, 48, 2), (6, 64, 64, 1), (1, 128, 128, 2), (2, 128, 128, 2)]
PATTERNS += [(2, 3, 5, 7), (1, 2, 32, 16), (16, 32, 2, 4), (32, 64, 2, 32), (1, 768, 192, 2)]
OUT = Path(__file__).parents[1] / "plugins/sparseopt_butterfly/multiplication_costs.py"


def times(functions: list[Callable[[], object]], tries: int = 7) -> list[float]:
    """Least microseconds of processor time of each function, tries alternated."""
    best = [np.inf] * len(functions)
    repeats = []
    for function in functions:
        function()
        start = time.process_time()
        function()
        repeats.append(max(1, min(100, int(1e-4 / (time.process_time() - start)))))
    for _ in range(tries):
        for i, function in enumerate(functions):
            start = time.process_time()
            for _ in range(repeats[i]):
                function()
            best[i] = min(best[i], 1e6 * (time.process_time() - start) / repeats[i])
    return best


def measure() -> list[tuple[str, str, so.KroneckerPattern, int, int, list[float]]]:
    """Kind, size, pattern, batch, bytes per value, and the times by method."""
    rng, rows = np.random.default_rng(0), []
    for kind, dtypes in KINDS.items():
        for dtype in map(np.dtype, dtypes):
            for pattern in (so.KroneckerPattern(*p) for p in dict.fromkeys(PATTERNS)):
                values = rng.standard_normal(pattern.values_shape).astype(dtype)
                blocks = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
                sparse = pattern.sparse(values)
                area = pattern.shape[0] * pattern.shape[1]
                dense = sparse.toarray() if area <= 2**20 else None
                for size, batches in SIZES.items():
                    for batch in batches:
                        if pattern.nnz * batch > 2**22:
                            continue
                        x = rng.standard_normal((pattern.shape[1], batch)).astype(dtype)
                        run = [partial(_strided, blocks, pattern, g, x) for g in (False, True)]
                        run.append(partial(sparse.__matmul__, x))
                        if dense is not None and area * batch <= 2**24:
                            run.append(partial(dense.dot, x))
                        rows.append((kind, size, pattern, batch, dtype.itemsize, times(run)))
    return rows


def fit(rows: list) -> dict[tuple[str, str, str], tuple[float, ...]]:
    """Coefficients by method, kind and size; the relative error is what is made small."""
    found = {}
    for i, method in enumerate(METHODS):
        for kind in KINDS:
            for size in SIZES:
                some = [r for r in rows if r[:2] == (kind, size) and len(r[5]) > i]
                counts = np.array([_features(method, *r[2:5]) for r in some])
                measured = np.array([r[5][i] for r in some])
                weight = 1 / measured
                for _ in range(8):
                    solution, _residual = nnls(counts * weight[:, None], measured * weight)
                    weight = 1 / np.sqrt(measured * (counts @ solution))
                found[method, kind, size] = tuple(float(f"{v:.3g}") for v in solution)
    return found


def regret(rows: list, table: dict) -> np.ndarray:
    """Measured time of the method of least prediction, over that of the fastest."""
    ratios = []
    for kind, size, pattern, batch, itemsize, measured in rows:
        predictions = [
            np.dot(table[method, kind, size], _features(method, pattern, batch, itemsize))
            for method in METHODS[: len(measured)]
        ]
        ratios.append(measured[int(np.argmin(predictions))] / min(measured))
    return np.array(ratios)


# %%
parser = argparse.ArgumentParser()
parser.add_argument("--write", action="store_true", help="replace the coefficients")
arguments = parser.parse_args()
rows = measure()
table = fit(rows)
quantiles = np.quantile(regret(rows, table), [0.5, 0.8, 0.9, 0.95, 0.99, 1])
print(f"{len(rows)} cases; regret 50, 80, 90, 95, 99, 100 %:", quantiles.round(3))
lines = [f"    {key!r}: {value!r},".replace("'", '"') for key, value in table.items()]
text = (
    '"""Measured coefficients of the multiplication\'s cost model; microseconds per count.\n\n'
    "Made by ``benchmarks/multiplication_calibration.py --write``; the seven counts stand in\n"
    '`sparseopt_butterfly.multiplication._features`.\n"""\n\n'
    "COEFFICIENTS: dict[tuple[str, str, str], tuple[float, ...]] = {\n" + "\n".join(lines) + "\n}\n"
)
if arguments.write:
    OUT.write_text(text)
else:
    print(text)
