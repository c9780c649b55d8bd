"""Which data sends training to infinity? A data set without an optimum, and gradient descent on it.

Even small dense networks with several outputs have data sets on which no weights are best: the loss
falls towards 0 only while weights grow without bound (survey 3.3.2). `SparseTraining` hands such a
data set out, with weights W(t) along which the loss falls to 0 and a proof, checked in exact
arithmetic, that no weights make it 0. Gradient descent goes the same way; weight decay stops it.
"""

# %%
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import sparseopt as so

SUPPORTS = [np.ones((2, 2)), np.ones((2, 3))]
"""A dense network with 3 inputs, 2 hidden units and 2 outputs; masks work as well."""
OPTIMA: dict[str, Any] = {
    "one output": [np.ones((1, 4)), np.ones((4, 3))],
    "hidden units that feed one output each": [[[1, 1, 0], [0, 0, 1]], np.ones((3, 3))],
    "a mask of an LU factorization": [[[1, 0], [1, 1]], [[1, 1], [0, 1]]],
    "2 outputs, 2 hidden units": SUPPORTS,
    "2 outputs, 3 hidden units": [np.ones((2, 3)), np.ones((3, 3))],
}


# %% Whether there always is an optimum, without biases and with both kinds
for name, supports in OPTIMA.items():
    verdicts = [so.solve(so.SparseTraining(supports, b, b)).answer.value for b in (False, True)]
    print(f"{name}: {verdicts[0]}; with biases: {verdicts[1]}")

# %% The data set, the weights and the proof
solution = so.solve(so.SparseTraining(SUPPORTS))
print(solution.certificate.explain())
print(f"checked: {so.verify(solution).ok}")


# %% Gradient descent from weights on the way, with noise
def descend(
    steps: int, rate: float, decay: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return steps, losses and largest weights along the way."""
    inputs, targets = solution.certificate.data_set()
    rng = np.random.default_rng(seed)
    outer, inner = (
        w + 0.05 * rng.standard_normal(w.shape) for w in solution.certificate.weights_at(0.7)
    )
    kept = np.unique(np.geomspace(1, steps, 200).astype(int))
    losses, largest = list[float](), list[float]()
    for step in range(1, steps + 1):
        seen = inputs @ inner.T
        active = np.maximum(seen, 0)
        error = active @ outer.T - targets
        if step == kept[len(losses)]:
            losses.append(float(np.sum(error**2)))
            largest.append(max(float(np.abs(outer).max()), float(np.abs(inner).max())))
        back = (error @ outer) * (seen > 0)
        # The curvature grows with the squares of the weights, so the step shrinks with them.
        step_size = rate / max(1.0, float(np.sum(outer**2) + np.sum(inner**2)))
        outer, inner = (
            outer - step_size * (error.T @ active + decay * outer),
            inner - step_size * (back.T @ inputs + decay * inner),
        )
    return kept, np.array(losses), np.array(largest)


def main(quick: bool, output: Path) -> None:
    """Run gradient descent with and without weight decay and draw both."""
    from matplotlib.figure import Figure

    steps = 10_000 if quick else 200_000
    runs = {"no decay": 0.0, "decay 0.001": 1e-3}
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, decay in runs.items():
        kept, losses, largest = descend(steps, 0.5, decay, seed=0)
        print(
            f"{name}: loss {losses[0]:.3f} -> {losses[-1]:.2g}, "
            f"largest weight {largest[0]:.2f} -> {largest[-1]:.2f}"
        )
        left.loglog(kept, losses, label=name)
        right.semilogx(kept, largest, label=name)
    left.set(xlabel="step", ylabel="loss", title="the loss falls towards 0, which is not attained")
    right.set(xlabel="step", ylabel="largest weight", title="weights grow, unless they decay")
    right.legend()
    figure.savefig(output)
    print(f"written to {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer steps")
    parser.add_argument("--output", type=Path, default=Path("data_without_optimum.svg"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
