"""How small can the layers of a trained network become before its accuracy suffers?

Trains a network with wide layers on scikit-learn's digits (8 x 8 images, 10 classes), replaces
its wide layers by products of Kronecker-sparse factors at several budgets, and trains each
smaller network a little further. For comparison, a network that has such layers from the start.
Takes about half a minute on one core; ``--quick`` tries one budget.
"""

# %%
from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import sparseopt as so

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true", help="One budget, shorter training.")
quick = parser.parse_args().quick
BATCH = 128


# %% The data: 1257 training images, 540 test images
images, labels = load_digits(return_X_y=True)
images = (images / 16.0).astype(np.float32)
parts = train_test_split(images, labels, test_size=0.3, random_state=0, stratify=labels)
train_x, test_x, train_y, test_y = (torch.from_numpy(np.ascontiguousarray(p)) for p in parts)


def train(model: nn.Module, epochs: int, rate: float) -> None:
    """Train in place with Adam; the rate falls to zero."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    steps = epochs * -(-len(train_x) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(train_x)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(train_x[rows]), train_y[rows]).backward()
            optimizer.step()
            schedule.step()
    model.eval()


def accuracy(model: nn.Module) -> float:
    """Return the share of test images classified correctly."""
    with torch.no_grad():
        return float((model(test_x).argmax(dim=1) == test_y).float().mean())


def milliseconds(model: nn.Module) -> float:
    """Return the least time of one call with a batch."""
    x, best = train_x[:BATCH], float("inf")
    with torch.no_grad():
        for _ in range(30):
            start = time.perf_counter()
            model(x)
            best = min(best, time.perf_counter() - start)
    return 1e3 * best


# %% The network, trained
torch.manual_seed(0)
WIDTH = 512
model = nn.Sequential(
    nn.Linear(64, WIDTH),
    nn.ReLU(),
    nn.Linear(WIDTH, WIDTH),
    nn.ReLU(),
    nn.Linear(WIDTH, WIDTH),
    nn.ReLU(),
    nn.Linear(WIDTH, 10),
)
train(model, epochs=5 if quick else 20, rate=2e-3)
count = sum(p.numel() for p in model.parameters())
print(
    f"dense network: {count} parameters, accuracy {accuracy(model):.4f}, "
    f"{milliseconds(model):.3f} ms for {BATCH} images\n"
)

# %% The same network within budgets: all but the first and last layer, small ones that matter most
for budget in (0.1,) if quick else (0.25, 0.1, 0.04):
    start = time.perf_counter()
    report = so.compress(model, budget, layers=["2", "4"], max_error=1.0, batch=BATCH)
    seconds = time.perf_counter() - start
    small = report.model
    print(f"budget {budget:g}, found in {seconds:.1f} s: {report}")
    before = accuracy(small)
    train(small, epochs=5 if quick else 15, rate=1e-3)
    print(
        f"  accuracy {before:.4f} as projected, {accuracy(small):.4f} trained further; "
        f"{milliseconds(small):.3f} ms for {BATCH} images\n"
    )

# %% A network with Monarch layers from the start
torch.manual_seed(0)
monarch = nn.Sequential(
    nn.Linear(64, WIDTH),
    nn.ReLU(),
    so.KroneckerLinear(WIDTH, WIDTH, so.Architecture.monarch(WIDTH, WIDTH, 16, 32)),
    nn.ReLU(),
    so.KroneckerLinear(WIDTH, WIDTH, so.Architecture.monarch(WIDTH, WIDTH, 16, 32)),
    nn.ReLU(),
    nn.Linear(WIDTH, 10),
)
train(monarch, epochs=5 if quick else 20, rate=2e-3)
count = sum(p.numel() for p in monarch.parameters())
print(
    f"Monarch layers from the start: {count} parameters, accuracy {accuracy(monarch):.4f}, "
    f"{milliseconds(monarch):.3f} ms for {BATCH} images"
)
