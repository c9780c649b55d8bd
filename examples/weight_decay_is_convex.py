"""How far from the best network does SGD end, and does weight decay choose the neurons?

Weight decay looks like an l2 penalty, which should spread everything thin. But a neuron may be
rescaled, and the best scale turns decay/2 (|w|^2 + a^2) into decay |w a|: a group lasso (survey
of Gribonval, Riccietti, Le, Zheng 2025, hal-04954574, eq. 6). For one hidden layer the training is
a convex program, with one group and one cone for each activation pattern (Pilanci, Ergen 2020). So
the optimum can be found and, what is better, proved: the dual point says of every network, however
it was trained, how far it is from the best one of any width.

Networks of several widths are trained by SGD on a few points of a curve, balanced (which never
costs), and compared with the optimum. Takes about a minute on one core; ``--quick`` a few seconds.
"""

# %%
from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import sparseopt as so

DECAY, SAMPLES, BATCH = 0.02, 16, 4


# %% The data: one feature, and a column of ones for the bias
def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return points of a curve with noise."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-2.0, 2.0, SAMPLES))
    y = np.sin(2.5 * x) + 0.1 * rng.standard_normal(SAMPLES)
    return np.column_stack([x, np.ones(SAMPLES)]), y


# %% Training
@dataclass
class Run:
    """One network, and the objective on the way."""

    width: int
    network: so.TwoLayerNetwork
    steps: list[int] = field(default_factory=list)
    objectives: list[float] = field(default_factory=list)


def train(problem: so.TwoLayerReLU, width: int, steps: int, seed: int) -> Run:
    """Train by SGD with momentum and weight decay; the rate falls to zero along a cosine."""
    rng = np.random.default_rng(seed)
    inputs, targets = problem.inputs, problem.targets
    hidden = 0.5 * rng.standard_normal((inputs.shape[1], width))
    outer = 0.5 * rng.standard_normal(width)
    run = Run(width, so.TwoLayerNetwork(hidden, outer))
    speed_hidden, speed_outer = np.zeros_like(hidden), np.zeros_like(outer)
    for step in range(steps):
        if step % (steps // 200) == 0:
            run.steps.append(step)
            run.objectives.append(problem.evaluate(so.TwoLayerNetwork(hidden, outer))["objective"])
        rows = rng.integers(SAMPLES, size=BATCH)
        values = inputs[rows] @ hidden
        units = np.maximum(values, 0.0)
        residual = (units @ outer - targets[rows]) * (SAMPLES / BATCH)
        rate = 2e-3 * (1.0 + np.cos(np.pi * step / steps)) / 2.0
        slope = inputs[rows].T @ (residual[:, None] * outer * (values > 0)) + DECAY * hidden
        speed_hidden = 0.9 * speed_hidden - rate * slope
        speed_outer = 0.9 * speed_outer - rate * (units.T @ residual + DECAY * outer)
        hidden, outer = hidden + speed_hidden, outer + speed_outer
    run.network = balanced(so.TwoLayerNetwork(hidden, outer))
    return run


def balanced(network: so.TwoLayerNetwork) -> so.TwoLayerNetwork:
    """Give both weights of each neuron the same norm: the same function at the least decay."""
    sizes = np.linalg.norm(network.hidden, axis=0), np.abs(network.outer)
    alive = (sizes[0] > 0) & (sizes[1] > 0)
    ratio = np.sqrt(sizes[1][alive] / sizes[0][alive])
    return so.TwoLayerNetwork(network.hidden[:, alive] * ratio, network.outer[alive] / ratio)


# %% What the group lasso sees: its groups are signs of a and sets of samples that w activates
def groups(problem: so.TwoLayerReLU, network: so.TwoLayerNetwork) -> int:
    """Count the groups on which more than a hundredth of the sum of |w_j a_j| lies."""
    sizes = np.linalg.norm(network.hidden, axis=0) * np.abs(network.outer)
    rows = np.vstack([problem.inputs @ network.hidden > 0, network.outer > 0])
    _, group = np.unique(rows, axis=1, return_inverse=True)
    return int(np.sum(np.bincount(group.ravel(), sizes) > 0.01 * sizes.sum()))


# %% The figure
def draw(
    problem: so.TwoLayerReLU, certificate: so.TwoLayerReLUCertificate, runs: list[Run], output: Path
) -> None:
    """Draw functions, training and neurons."""
    from matplotlib.figure import Figure

    best, wide = certificate.answer, runs[-1]
    figure = Figure(figsize=(12.5, 3.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    x = np.linspace(-2.2, 2.2, 500)
    grid = np.column_stack([x, np.ones_like(x)])
    colours = dict(zip(sorted({run.width for run in runs}), ("C0", "C1", "C2"), strict=False))
    narrow = max(
        (run for run in runs if run.width == min(colours)), key=lambda run: run.objectives[-1]
    )
    left.plot(problem.inputs[:, 0], problem.targets, "k.", ms=7, label="data")
    for run in (narrow, wide):
        left.plot(
            x, run.network.predict(grid), color=colours[run.width], label=f"SGD, width {run.width}"
        )
    left.plot(x, best.predict(grid), color="C3", ls="--", lw=2, label="proved optimum")
    left.set(xlabel="x", ylabel="y", title="what the networks compute")
    left.legend(fontsize="small")
    for run in runs:
        excess = 100.0 * (np.array(run.objectives) / certificate.dual - 1.0)
        first = run is next(other for other in runs if other.width == run.width)
        label = f"width {run.width}" if first else None
        middle.semilogy(run.steps, excess, color=colours[run.width], lw=1, label=label)
    middle.set(xlabel="steps of SGD", ylabel="above the proved lower bound, %")
    middle.set_title("training")
    middle.legend(fontsize="small")
    for network, size, colour, label in (
        (best, 110, "C3", "proved optimum"),
        (wide.network, 26, colours[wide.width], f"SGD, width {wide.width}"),
    ):
        (slopes, offsets), outer = network.hidden, network.outer
        kinks, changes = -offsets / slopes, np.abs(slopes) * outer
        for mark, chosen in ((">", slopes > 0), ("<", slopes < 0)):
            on = chosen & (np.abs(kinks) < 3.0)
            words = label if mark == ">" else None
            right.scatter(
                kinks[on], changes[on], size, colour, marker=mark, alpha=0.7, lw=0, label=words
            )
    right.axhline(0, color="0.8", lw=0.8, zorder=0)
    right.set(
        xlabel="where a neuron bends (it is active where it points)",
        ylabel="change of slope",
        xlim=(-2.2, 2.2),
    )
    right.set_title("neurons: a few bends, the rest is gone")
    right.legend(fontsize="small")
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


# %%
def main(quick: bool, output: Path) -> None:
    """Print the distance of trained networks to the proved optimum."""
    problem = so.TwoLayerReLU(*data(), DECAY)
    best = so.solve(problem)
    certificate = best.certificate
    print(problem.describe())
    print(f"at most {problem.pattern_bound} activation patterns; {certificate.claim}")
    print(f"the optimum has {best.answer.hidden.shape[1]} neurons, each a group of its own\n")
    print("width  seed   objective   proved: above the optimum by at most   groups in use")
    runs = []
    for width in (4, 60) if quick else (4, 12, 60):
        for seed in range(1 if quick else 3):
            run = train(problem, width, 10_000 if quick else 60_000, seed)
            far = certificate.of(run.network)
            assert so.verify(far).ok
            print(
                f"{width:5}  {seed:4}   {far.primal:9.6f}   {far.gap / certificate.primal:36.2%}   "
                f"{groups(problem, run.network):13}"
            )
            runs.append(run)
    print(
        "\nNarrow networks may stay far above the optimum, and the certificate says by how much; "
        "wide ones come near it. A group is a sign and a set of samples where a neuron is active: "
        f"of up to {2 * problem.pattern_bound} weight decay keeps those few that the optimum needs."
    )
    try:
        draw(problem, certificate, runs, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer networks and steps")
    parser.add_argument("--output", type=Path, default=Path("weight_decay_is_convex.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
