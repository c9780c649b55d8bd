"""Can a pruned network be trained on safely, and what does it cost to make it so?

Trains a network on scikit-learn's digits, prunes it by magnitude, asks whether the supports of
consecutive layers are closed, removes weights that make them so, counted or by their size, without
cutting off an output, and trains all networks on with their masks. Prints accuracy before and
after, and how far the largest weight grew. Takes about a minute on one core; ``--quick`` a quarter
of it.
"""

# %%
from __future__ import annotations

import argparse

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.utils import prune

import sparseopt as so

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="fewer epochs, a smaller network")
quick = parser.parse_args().quick
EPOCHS, HIDDEN = (6, 16) if quick else (40, 32)
torch.set_num_threads(1)
torch.manual_seed(0)

images, labels = load_digits(return_X_y=True)
images = (images / 16.0).astype(np.float32)
parts = train_test_split(images, labels, test_size=0.3, random_state=0, stratify=labels)
train_x, test_x, train_y, test_y = (torch.from_numpy(np.ascontiguousarray(p)) for p in parts)


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


# %% A trained network, pruned to 80 %
model = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
train(model, EPOCHS)
print(f"trained: accuracy {accuracy(model):.3f}")
pruned = so.prune(model, 0.8, "magnitude", example=train_x[:1])
print(f"pruned by magnitude, {pruned.density:.1%} of the weights kept: {accuracy(model):.3f}")

# %% Are its supports closed? How far are closed ones?
(pair,) = pruned.supports()
print(pair)
windows = so.lu_window_count(pair.pair.supports)
print(f"  {windows} LU windows: {pair.solution.answer.reason}")


# %% The same network with repaired masks; all are trained on
def with_masks(masks: list[np.ndarray]) -> nn.Sequential:
    """Return a copy of the trained network with other masks; restored weights start at 0."""
    twin = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    for index, mask in zip((2, 0), masks, strict=True):
        old, new = model[index], twin[index]
        assert isinstance(old, nn.Linear)
        assert isinstance(new, nn.Linear)
        with torch.no_grad():
            new.weight.copy_(old.weight)
            new.bias.copy_(old.bias)
        prune.custom_from_mask(new, "weight", torch.from_numpy(np.array(mask)))
    return twin


def weights_of(masked: list[np.ndarray]) -> list[np.ndarray]:
    """Return the sizes of the trained weights where masks keep them, as costs of removals."""
    layers = [layer for layer in (model[2], model[0]) if isinstance(layer, nn.Linear)]
    sizes = [layer.weight.detach().abs().double().numpy() for layer in layers]
    return [np.where(mask, size, 0.0) for mask, size in zip(masked, sizes, strict=True)]


given = list(pair.pair.supports)
LIMIT = 3.0 if quick else 10.0
networks = {"as pruned": with_masks(given)}
problems = {
    "fewest removals": so.NearestClosedSupport(given),
    "fewest, no output cut off": so.NearestClosedSupport(given, keep_lines=True),
    "least weight, no output cut off": so.NearestClosedSupport(
        given, costs=weights_of(given), keep_lines=True
    ),
}
for name, problem in problems.items():
    answer = so.solve(problem, time_limit=LIMIT).answer
    rows, _ = problem.cut_off(answer)
    lost = f"; outputs cut off: {rows}" if rows else ""
    print(f"  {name}: {answer}{lost}")
    networks[name] = with_masks(list(answer.supports))


def largest(network: nn.Sequential) -> float:
    """Return the modulus of the largest weight that a mask keeps."""
    return max(float(m.weight.detach().abs().max()) for m in network if isinstance(m, nn.Linear))


for name, network in networks.items():
    before, kept = accuracy(network), sum(int(m.sum()) for m in network.buffers())
    network(train_x[:1])  # applies the masks
    first = largest(network)
    train(network, EPOCHS // 2)
    print(
        f"masks {name}: {kept} weights, accuracy {before:.3f}, trained on {accuracy(network):.3f}, "
        f"largest weight {first:.2f} to {largest(network):.2f}"
    )
