"""How far from the best network does gradient descent end, and does weight decay choose neurons?

Training one hidden layer of ReLU with weight decay is a convex program over activation patterns
(Pilanci, Ergen 2020): a group lasso with one group, and one cone, for each pattern. So its optimum
can be found, and what is better, proved: the dual point says of every network, however it was
trained, how far it is from the best one of any width.

Networks are trained by gradient descent on a few points of a curve, balanced (which never costs),
and compared with the optimum.
"""

# %%
from __future__ import annotations

import argparse

import numpy as np

import sparseopt as so

DECAY, SAMPLES = 0.02, 16


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return points of a curve with noise: one feature, and a column of ones for the bias."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-2.0, 2.0, SAMPLES))
    return np.column_stack([x, np.ones(SAMPLES)]), np.sin(2.5 * x) + 0.1 * rng.standard_normal(
        SAMPLES
    )


# %%
def descend(
    inputs: np.ndarray, targets: np.ndarray, width: int, steps: int, seed: int
) -> so.TwoLayerNetwork:
    """Train by gradient descent with momentum from small random weights."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((inputs.shape[1], width)) * 0.5
    outer = rng.standard_normal(width) * 0.5
    speeds = np.zeros_like(hidden), np.zeros_like(outer)
    for _ in range(steps):
        values = inputs @ hidden
        units = np.maximum(values, 0.0)
        residual = units @ outer - targets
        slopes = (
            inputs.T @ (residual[:, None] * outer * (values > 0)) + DECAY * hidden,
            units.T @ residual + DECAY * outer,
        )
        speeds = tuple(0.9 * v - 2e-3 * g for v, g in zip(speeds, slopes, strict=True))
        hidden, outer = hidden + speeds[0], outer + speeds[1]
    return so.TwoLayerNetwork(hidden, outer)


def balanced(network: so.TwoLayerNetwork) -> so.TwoLayerNetwork:
    """Give both weights of each neuron the same norm: the same function at the least decay."""
    sizes = np.linalg.norm(network.hidden, axis=0), np.abs(network.outer)
    alive = (sizes[0] > 0) & (sizes[1] > 0)
    ratio = np.sqrt(sizes[1][alive] / sizes[0][alive])
    return so.TwoLayerNetwork(network.hidden[:, alive] * ratio, network.outer[alive] / ratio)


def directions(network: so.TwoLayerNetwork) -> int:
    """Count the neurons that differ by more than a factor: those that a group lasso would see."""
    sizes = np.linalg.norm(network.hidden, axis=0) * np.abs(network.outer)
    kept = sizes > 1e-3 * sizes.max(initial=0.0)
    units = network.hidden[:, kept] / np.linalg.norm(network.hidden[:, kept], axis=0)
    found: list[np.ndarray] = []
    for unit, sign in zip(units.T, np.sign(network.outer[kept]), strict=True):
        vector = np.append(unit, 10.0 * sign)
        if all(np.linalg.norm(vector - other) > 0.05 for other in found):
            found.append(vector)
    return len(found)


# %%
def main(steps: int) -> None:
    """Print the distance of trained networks to the proved optimum."""
    inputs, targets = data()
    problem = so.TwoLayerReLU(inputs, targets, DECAY)
    best = so.solve(problem)
    certificate = best.certificate
    print(problem.describe())
    print(f"at most {problem.pattern_bound} activation patterns; {so.verify(best).claim}")
    print(f"the optimum has {best.answer.hidden.shape[1]} neurons\n")
    print("width  seed   objective   balanced   above the optimum by at most   directions")
    for width in (4, 10, 40):
        for seed in range(3):
            network = descend(inputs, targets, width, steps, seed)
            far = certificate.of(balanced(network))
            assert so.verify(far).ok
            print(
                f"{width:5}  {seed:4}   {certificate.of(network).primal:9.6f}   "
                f"{far.primal:8.6f}   {far.gap / certificate.primal:28.3%}   "
                f"{directions(far.answer):10}"
            )
    print(
        "\nWide networks end near the optimum, with as few directions as it has: weight decay "
        "merges neurons. Narrow ones may stay above it, and the certificate says by how much."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer steps of gradient descent")
    main(4_000 if parser.parse_args().quick else 40_000)
