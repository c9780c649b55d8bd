"""Networks that bounds are tested on."""

from __future__ import annotations

import numpy as np
from path_oracle import public_cases

from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network
from sparseopt.networks.window import MaxPool, Resample
from sparseopt.tools.reading.builder import NetworkBuilder
from sparseopt.tools.reading.window_cells import average_map, max_window, pool_positions

PUBLIC = public_cases()
CASES = {case["name"]: case for case in PUBLIC["cases"]}
RNG = np.random.default_rng(2)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def convolutional() -> Network:
    """conv, normalization, ReLU, max-pool, skip, average, dense: about 150 neurons."""
    builder = NetworkBuilder((2, 5, 5), "x")
    conv = Conv(normal(3, 2, 3, 3), normal(3), (), ((1, 1), (1, 1)))
    x = builder.add(conv, [builder.input], "conv")
    x = builder.relu(builder.affine(x, "norm", normal(3, 1, 1), normal(3, 1, 1)), "relu")
    windows = tuple(max_window(a, pool_positions(5, 2, 2, (0, 1)), 5) for a in (1, 2))
    x = builder.add(MaxPool(windows), [x], "pool")
    y = builder.add(Conv(normal(3, 3, 1, 1)), [x], "skip")
    x = builder.sum_of([x, y], "sum")
    maps = tuple(average_map(a, pool_positions(3, 3, 1), 3, None) for a in (1, 2))
    x = builder.keep(builder.add(Resample(maps), [x], "average"), (3,))
    return builder.finish(builder.add(Dense(normal(2, 3), normal(2)), [x], "dense"))
