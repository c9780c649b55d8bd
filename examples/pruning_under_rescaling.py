"""Does pruning look at the function, or at the scale its weights happen to have?

Networks trained on scikit-learn's digits are pruned in one shot, without retraining, before and
after Malice: each hidden unit's incoming weights are multiplied, and its outgoing weights
divided, by 1, 128 or 4096 at random. The function does not change by one bit. Prints and draws
test accuracies, mean over the seeds. Takes about two minutes on one core; ``--quick`` one seed.
"""

# %%
from __future__ import annotations

import argparse
import copy

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import sparseopt as so

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="one seed, one ratio")
parser.add_argument("--output", default="pruning_under_rescaling.png")
options = parser.parse_args()
quick = options.quick
SEEDS = range(1) if quick else range(5)
RATIOS = (0.6,) if quick else (0.4, 0.6, 0.8, 0.9)
CRITERIA = ("magnitude", "canonical_magnitude", "path_cost", "random")
torch.set_num_threads(1)

images, labels = load_digits(return_X_y=True)
images = (images / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
parts = train_test_split(images, labels, test_size=0.3, random_state=0, stratify=labels)
train_x, test_x, train_y, test_y = (torch.from_numpy(np.ascontiguousarray(p)) for p in parts)
example = train_x[:1]


# %% The networks and their training
def mlp() -> nn.Sequential:
    """Return two hidden layers."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def cnn() -> nn.Sequential:
    """Return two convolutions and a hidden layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def train(model: nn.Module, epochs: int) -> None:
    """Train in place with Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(train_x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(train_x[rows]), train_y[rows]).backward()
            optimizer.step()
    model.eval()


def accuracy(model: nn.Module) -> float:
    """Return the share of test images classified correctly."""
    with torch.no_grad():
        return float((model(test_x).argmax(dim=1) == test_y).float().mean())


# %% Prune a network and its rescaled twin
def pruned(model: nn.Module, ratio: float, criterion: str) -> tuple[float, dict[str, np.ndarray]]:
    """Return the accuracy after pruning a copy, and the masks."""
    twin = copy.deepcopy(model)
    masks = so.prune(twin, ratio, criterion, example=example).masks
    return accuracy(twin), masks


means: dict[str, dict[str, np.ndarray]] = {}
for name, build in (("MLP 64-128-64-10", mlp), ("CNN 16-32 and 64", cnn)):
    scores: dict[tuple[float, str], list[tuple[float, float]]] = {}
    dense, same = [], dict.fromkeys(CRITERIA, 0)
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = build()
        train(model, 10 if quick else 40)
        dense.append(accuracy(model))
        malice = copy.deepcopy(model)
        factors = so.random_factors(model, seed=seed, example=example)
        so.rescale(malice, factors, example=example)
        with torch.no_grad():
            assert torch.equal(model(test_x), malice(test_x))
        for ratio in RATIOS:
            for criterion in CRITERIA:
                before, masks = pruned(model, ratio, criterion)
                after, other = pruned(malice, ratio, criterion)
                scores.setdefault((ratio, criterion), []).append((before, after))
                same[criterion] += all(np.array_equal(masks[k], other[k]) for k in masks)
    print(f"{name}: test accuracy {100 * np.mean(dense):.1f} % before pruning")
    print("  pruned " + "".join(f"{criterion:>22}" for criterion in CRITERIA))
    for ratio in RATIOS:
        cells = []
        for criterion in CRITERIA:
            before, after = 100 * np.mean(scores[ratio, criterion], axis=0)
            cells.append(f"{before:5.1f} -> {after:5.1f} %".rjust(22))
        print(f"  {ratio:5.0%}  " + "".join(cells))
    means[name] = {
        criterion: np.mean([scores[ratio, criterion] for ratio in RATIOS], axis=1)
        for criterion in CRITERIA
    }
    runs = len(SEEDS) * len(RATIOS)
    print(
        "  masks the same after Malice:"
        + "".join(f" {criterion} {count}/{runs}" for criterion, count in same.items())
        + "\n"
    )


# %% The figure: hatched bars are the same network, rescaled by Malice
def draw(output: str) -> None:
    """Draw the accuracy before and after Malice for each criterion and ratio."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    for axes, (title, found) in zip(figure.subplots(1, 2), means.items(), strict=True):
        width = 0.8 / (2 * len(CRITERIA))
        for k, (criterion, pairs) in enumerate(found.items()):
            for side, hatch in enumerate(("", "////")):
                places = np.arange(len(RATIOS)) + (2 * k + side) * width - 0.4 + width / 2
                label = criterion if side == 0 else None
                kwargs = {"color": f"C{k}", "hatch": hatch, "edgecolor": "white"}
                axes.bar(places, pairs[:, side], width, label=label, **kwargs)
        axes.set_xticks(range(len(RATIOS)), [f"{ratio:.0%} pruned" for ratio in RATIOS])
        axes.set(title=title, ylabel="test accuracy", ylim=(0, 1.25))
        axes.axhline(0.1, color="black", lw=0.7, ls=":")
        axes.legend(ncols=2, fontsize=8, title="plain: as trained; hatched: rescaled by Malice")
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


try:
    draw(options.output)
except ImportError:
    print("no figure: pip install 'sparseopt[plot]'")
