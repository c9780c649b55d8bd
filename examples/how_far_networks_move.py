"""How far does pruning or rounding move a network's output, for every image there could be?

A trained classifier of scikit-learn's digits is pruned, and rounded, level by level. For each level
the change of its ten outputs in the L1 norm, over all inputs in [0, 1]^64, is enclosed from both
sides: from below by an image that was looked for (`so.largest_change`), from above by three proofs,
from eq. (8) of the survey (Gribonval, Riccietti, Le, Zheng 2025, hal-04954574; by three passes, for
any signs) to intervals of the difference and backward substitution (`so.OutputChange`). All ends
are proved, in real arithmetic. Near an image, in a small box around it, both ends nearly meet.

Takes about ten seconds on one core; ``--quick`` three; ``--network digits_cnn`` a minute.
"""

# %%
from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import sparseopt as so

NETWORKS = Path(__file__).parent / "networks"
BOUNDS = {
    "eq. (8), three passes": "path_metric",
    "signed intervals": "signed_intervals",
    "substitution": "backward_substitution",
}
RATIOS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BITS = (12, 10, 8, 7, 6, 5, 4, 3)
RADIUS = 1 / 64  # of the small boxes around images
NEAR = "substitution, near an image"
FOUND = "largest change found"
Row = dict[str, float]


# %% Two ways to change a network
def pruned(network: so.Network, ratio: float) -> so.Network:
    """Return the network without that share of its nonzero weights, the smallest first."""
    weights = {n: w for n, w in network.parameters().items() if n.endswith(".weight")}
    sizes = np.concatenate([np.abs(w[w != 0]) for w in weights.values()])
    least = np.quantile(sizes, ratio)
    return network.with_parameters({n: w * (np.abs(w) > least) for n, w in weights.items()})


def rounded(network: so.Network, bits: int) -> so.Network:
    """Return the network with each tensor in integers of so many bits, times a scale."""
    arrays = {}
    for name, array in network.parameters().items():
        scale = float(np.abs(array).max()) / (2 ** (bits - 1) - 1)
        arrays[name] = scale * np.round(array.astype(float) / scale)
    return network.with_parameters(arrays)


# %% Both ends
def measured(network: so.Network, other: so.Network, images: np.ndarray, labels: Any) -> Row:
    """Return accuracy, what was found, and what is proved, for one level."""
    found = other.run(images)
    row = {"accuracy": float((found.argmax(axis=1) == labels).mean())}
    row[FOUND] = so.largest_change(network, other, 0, 1, inputs=images[:32]).l1
    for name, solver in BOUNDS.items():
        row[name] = so.solve(so.OutputChange(network, other, 0, 1), solver).answer.l1
    boxes = [(np.maximum(x - RADIUS, 0), np.minimum(x + RADIUS, 1)) for x in images[:10]]
    ends = [so.solve(so.OutputChange(network, other, *b), "backward_substitution") for b in boxes]
    row[NEAR] = float(np.mean([end.answer.l1 for end in ends]))
    least = [so.largest_change(network, other, *b, starts=8, steps=20).l1 for b in boxes]
    row["found near an image"] = float(np.mean(least))
    return row


# %% The figure
def draw(paths: dict[str, dict[float, Row]], output: Path) -> None:
    """Draw accuracy, what was found and each bound along both paths."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (title, rows) in zip(panels, paths.items(), strict=True):
        levels = list(rows)
        for name in (*BOUNDS, FOUND):
            style = "k-" if name == FOUND else "-"
            panel.plot(levels, [row[name] for row in rows.values()], style, marker=".", label=name)
        for name, style in ((NEAR, ":"), ("found near an image", "k:")):
            panel.plot(levels, [row[name] for row in rows.values()], style, marker=".", label=name)
        panel.set_yscale("log")
        panel.set_xlabel(title)
        beside = panel.twinx()
        accuracies = [row["accuracy"] for row in rows.values()]
        beside.fill_between(levels, accuracies, color="#26547c", alpha=0.12, label="accuracy")
        beside.set_ylim(0, 1)
        beside.set_ylabel("accuracy on the images")
    panels[1].invert_xaxis()
    panels[0].set_ylabel("change of the outputs, L1 norm, on [0, 1]^64")
    panels[0].legend(fontsize="small", loc="lower right")
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


# %% Along both paths
def main(quick: bool, output: Path, name: str = "digits_mlp") -> None:
    """Print accuracy and both ends for each level, and draw them."""
    network = so.load_network(NETWORKS / f"{name}.onnx")
    images, labels = load_digits(return_X_y=True)
    images = (images / 16.0).reshape(-1, *network.input_shape)
    paths: dict[str, dict[float, Row]] = {"share of the weights pruned": {}, "bits": {}}
    changes: tuple[Callable[[so.Network, Any], so.Network], ...] = (pruned, rounded)
    for levels, change, rows in zip((RATIOS, BITS), changes, paths.values(), strict=True):
        for level in levels[2::3] if quick else levels:
            rows[level] = measured(network, change(network, level), images, labels)
    columns = ["accuracy", FOUND, *reversed(BOUNDS), "found near an image", NEAR]
    for title, rows in paths.items():
        print(f"{title}: {', '.join(columns)}")
        for level, row in rows.items():
            print(f"  {level:4g}: " + "  ".join(f"{row[column]:9.4g}" for column in columns))
    every = [row for rows in paths.values() for row in rows.values()]
    assert all(row[FOUND] <= row[bound] for row in every for bound in BOUNDS)
    loose = {bound: np.median([row[bound] / row[FOUND] for row in every]) for bound in BOUNDS}
    for bound, times in loose.items():
        print(f"{bound}: proved bounds are {times:.3g} times the largest change found (median)")
    near = np.median([row[NEAR] / row["found near an image"] for row in every])
    print(f"{NEAR}, within {RADIUS:g}: {near:.3g} times")
    try:
        draw(paths, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a third of the levels")
    parser.add_argument("--network", choices=("digits_mlp", "digits_cnn"), default="digits_mlp")
    parser.add_argument("--output", type=Path, default=Path("how_far_networks_move.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output, arguments.network)
