"""The memory that a plan says is that which a run takes, within a factor of three."""

from __future__ import annotations

import pytest
from peaks import needs_proc, told_by

MEASURE = """
import ctypes, json, math, sys
import numpy as np, sparseopt as so
from peaks import Peak
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Relu
from sparseopt.tools.random_products import random_product

rng = np.random.default_rng(0)

def dense(width, count):
    layers = []
    for _ in range(count):
        weight = rng.standard_normal((width, width)) / math.sqrt(width)
        layers += [Dense(weight.astype("f4")), Relu()]
    return chain((width,), *layers)

def images(channels, side):
    layers = []
    for _ in range(2):
        weight = rng.standard_normal((channels, channels, 3, 3)).astype("f4")
        layers += [Conv(weight, padding=((1, 1), (1, 1))), Relu()]
    return chain((channels, side, side), *layers)

def lasso(m, n, order):
    design = np.asarray(rng.standard_normal((m, n)), order=order)
    target = design[:, :5].sum(axis=1) + 0.1 * rng.standard_normal(m)
    return so.SparseRegression(design, target, so.L1(0.3 * np.abs(design.T @ target).max()))

def rounded(n, form):
    return so.ProductQuantization(random_product(so.Architecture.square_dyadic(n), rng), form)

CASES = {
    "one_pass": [
        lambda big: so.PathNorm(dense(1500 if big else 4, 2)),
        lambda big: so.PathNorm(dense(2400 if big else 4, 2)),
        lambda big: so.PathNorm(dense(1500 if big else 4, 2), q=math.inf),
        lambda big: so.PathNorm(images(*((256, 8) if big else (2, 4)))),
        lambda big: so.PathNorm(images(*((128, 32) if big else (2, 4)))),
    ],
    "path_costs": [
        lambda big: so.PathCost(dense(1500 if big else 4, 2)),
        lambda big: so.PathCost(images(*((256, 8) if big else (2, 4)))),
    ],
    "lipschitz_passes": [
        lambda big: so.LipschitzBound(dense(1500 if big else 4, 3)),
        lambda big: so.LipschitzBound(dense(1500 if big else 4, 3), 1),
        lambda big: so.LipschitzBound(dense(2400 if big else 4, 2), 2, 2),
    ],
    "scikit_learn": [
        lambda big: lasso(*((300, 8000) if big else (5, 8)), "C"),
        lambda big: lasso(*((300, 8000) if big else (5, 8)), "F"),
    ],
    "nearest": [lambda big: rounded(16384 if big else 4, "e4m3")],
    "pairwise": [lambda big: rounded(4096 if big else 4, "e4m3")],
    "left_to_right": [lambda big: rounded(4096 if big else 4, so.significand(6))],
    "swept": [lambda big: rounded(1024 if big else 4, "e4m3")],
}

engine, found = sys.argv[1], []
for case in CASES[engine]:
    so.verify(so.solve(case(False), engine))
    problem = case(True)
    said = so.plan(problem, engine).chosen.memory / 2**20
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    peak = Peak()
    assert so.verify(so.solve(problem, engine)).ok
    found.append([peak.more(), said])
print(json.dumps(found))
"""


@needs_proc
@pytest.mark.parametrize(
    ("engine", "library"),
    [
        ("one_pass", None),
        ("path_costs", None),
        ("lipschitz_passes", None),
        ("scikit_learn", "sklearn"),
        ("nearest", None),
        ("pairwise", "numba"),
        ("left_to_right", "numba"),
        pytest.param("swept", "numba", marks=pytest.mark.slow),
    ],
)
def test_a_run_takes_what_the_plan_says(engine: str, library: str | None) -> None:
    if library is not None:
        pytest.importorskip(library)
    for peak, said in told_by(MEASURE, engine):
        assert said / 3 <= peak <= 3 * said, (peak, said)
