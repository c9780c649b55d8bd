"""How fast is the factorization of a matrix into Kronecker-sparse factors, beside lazylinop?

Run: python benchmarks/butterfly.py [--output benchmarks/results/butterfly.json] [--tries 6]

Peers: the variants of `lazylinop.butterfly.ksd` that were fastest (orthonormalized left to right,
in NumPy and with torch's SVD; balanced with torch's SVD), each tried on every target; the ratio is
to the best of them; without ratios where no lazylinop is installed that has them. Ours: ``default``
is all that a user waits for, ``so.solve(so.ButterflyFactorization(target, architecture))`` with its
check, which the peers do not have, once kernels are loaded; ``Fortran order`` the same for columns
that lie together; ``check`` what of it the core takes; the engines by name are without check and
bounds. One process, one thread, processor time, least of several alternated tries; compilation and
the first calls are not counted. ``read`` is one sum over the target. Errors are relative, in the
Frobenius norm, of the product of the factors.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import importlib.util
import json
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import torch

import sparseopt as so
from sparseopt.judging.check import check_certificate

Work = Callable[[], Any]
NON_SQUARE = [(1, 4, 6, 192), (3, 8, 6, 48), (9, 8, 8, 12), (18, 16, 12, 3), (54, 12, 6, 1)]
MONARCH = [(1, 32, 32, 32), (32, 32, 32, 1)]
ENGINES = ("hierarchical_numpy", "hierarchical_numba")
HAS_PEERS = importlib.util.find_spec("lazylinop.butterfly") is not None


def product(architecture: so.Architecture, noise: float) -> np.ndarray:
    """Return a random product of the architecture, with relative noise."""
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(p.values_shape) / np.sqrt(p.c) for p in architecture]
    target = so.KroneckerProduct(values, architecture).to_dense()
    random = rng.standard_normal(target.shape)
    return target + noise * np.linalg.norm(target) / np.linalg.norm(random) * random


def targets() -> dict[str, tuple[np.ndarray, so.Architecture, bool]]:
    """Return targets with architectures, and whether the peers are tried on them."""
    result = {}
    for n in (256, 1024, 2048, 4096, 8192):
        dyadic = so.Architecture.square_dyadic(n)
        result[f"hadamard {n}"] = scipy.linalg.hadamard(n).astype(float), dyadic, n <= 2048
    for n in (1024, 2048):
        dyadic = so.Architecture.square_dyadic(n)
        result[f"random product + 1 % noise {n}"] = product(dyadic, 0.01), dyadic, True
    for name, patterns in (("monarch 32 x 32", MONARCH), ("non-square 768 x 324", NON_SQUARE)):
        architecture = so.Architecture(patterns)
        result[f"{name} + 1 % noise"] = product(architecture, 0.01), architecture, True
    return result


def peers(target: np.ndarray, architecture: so.Architecture) -> dict[str, Work]:
    """Return the calls of lazylinop."""
    from lazylinop.butterfly import Chain, ksd

    chain = Chain([tuple(pattern) for pattern in architecture])
    tensor = torch.from_numpy(target)
    torch_svd = {"svd_backend": "pytorch_svd_cpu"}
    return {
        "lazylinop left to right": lambda: ksd(target, chain, order="l2r"),
        "lazylinop left to right, torch": lambda: ksd(tensor, chain, order="l2r", **torch_svd),
        "lazylinop balanced, torch": lambda: ksd(tensor, chain, order="balanced", **torch_svd),
    }


def ours(target: np.ndarray, architecture: so.Architecture) -> dict[str, Work]:
    """Return our calls."""
    problem = so.ButterflyFactorization(target, architecture)
    columns = np.asfortranarray(target)
    certificate = so.solve(problem, ENGINES[1]).certificate

    def whole(array: np.ndarray) -> Work:
        return lambda: so.solve(so.ButterflyFactorization(array, architecture), prefer=ENGINES[1:])

    def call(engine: str) -> Work:
        return lambda: so.solve(problem, engine, check=False, bounds="never")

    return {
        "default": whole(target),
        "Fortran order": whole(columns),
        "check": lambda: check_certificate(certificate),
        **{engine: call(engine) for engine in ENGINES},
    }


def least(works: dict[str, Work], tries: int) -> dict[str, float]:
    """Return the least milliseconds of processor time of each, tries alternated.

    A try is one untimed call, so that nobody starts with the caches that another one left, and
    then enough calls for about 5 ms, of which the mean counts.
    """
    best = dict.fromkeys(works, np.inf)
    calls = {}
    for name, work in works.items():
        work()  # compiles and warms up
        start = time.process_time()
        work()
        calls[name] = max(1, int(5e-3 / max(time.process_time() - start, 1e-4)))
    for _ in range(tries):
        for name, work in works.items():
            work()
            start = time.process_time()
            for _ in range(calls[name]):
                work()
            spent = 1e3 * (time.process_time() - start) / calls[name]
            best[name] = min(best[name], spent)
    return best


def measure(tries: int) -> dict[str, Any]:
    """Return milliseconds, ratios and errors by target."""
    rows = {}
    for name, (target, architecture, with_peers) in targets().items():
        works = {**ours(target, architecture), "read": lambda target=target: target.sum()}
        if with_peers and HAS_PEERS:
            works |= peers(target, architecture)
        found = least(works, tries)
        row: dict[str, Any] = {"milliseconds": found}
        best = min((v for k, v in found.items() if k.startswith("lazylinop")), default=None)
        row["check over compiled engine"] = found["check"] / found[ENGINES[1]]
        row["Fortran over C order"] = found["Fortran order"] / found["default"]
        for engine in ("default", *ENGINES):
            row[f"{engine} over read"] = found[engine] / found["read"]
            if best is not None:
                row[f"lazylinop's best over {engine}"] = best / found[engine]
        rows[name] = row
        print(name, json.dumps(row), flush=True)
    return rows


def errors() -> dict[str, float]:
    """Return the relative errors on exact products."""
    result = {}
    for dtype in ("float64", "float32"):
        for n in (256, 1024):
            architecture = so.Architecture.square_dyadic(n)
            for kind, target in (
                ("hadamard", scipy.linalg.hadamard(n).astype(dtype)),
                ("random product", product(architecture, 0.0).astype(dtype)),
            ):
                exact = target.astype(np.float64)
                for engine in ENGINES:
                    problem = so.ButterflyFactorization(target, architecture)
                    found = so.solve(problem, engine, check=False).answer.to_dense()
                    gap = np.linalg.norm(found - exact) / np.linalg.norm(exact)
                    result[f"{kind} {n}, {dtype}, {engine}"] = float(gap)
    return result


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="write the figures as JSON here")
    parser.add_argument("--tries", type=int, default=6)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    packages = ("sparseopt", "numpy", "scipy", "numba", "torch", "lazylinop")
    result = {
        "versions": {name: version(name) for name in packages}
        | {"python": platform.python_version(), "machine": platform.machine()},
        "factorization": measure(arguments.tries),
        "errors": errors(),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
