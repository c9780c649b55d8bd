"""How were the bundled networks made? Train, prune by magnitude to 80 %, fine-tune, export.

Writes ``examples/networks/digits_mlp.onnx`` and ``digits_cnn.onnx``, both trained on
scikit-learn's digits (8 x 8 images, 10 classes). Takes about half a minute on one core.
"""

# %%
from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.utils import prune

SPARSITY = 0.8


# %% The data
def digits() -> tuple[torch.Tensor, ...]:
    """Return training and test images (n, 1, 8, 8) in [0, 1] and labels."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    parts = train_test_split(images, labels, test_size=0.3, random_state=0, stratify=labels)
    return tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in parts)


# %% The two architectures
def mlp() -> nn.Sequential:
    """Return a network with two hidden layers."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def cnn() -> nn.Sequential:
    """Return a convolutional network with batch normalization and pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


# %% Training
def train(model: nn.Module, data: tuple[torch.Tensor, ...], epochs: int) -> None:
    """Train in place with Adam."""
    images, labels = data[0], data[2]
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    model.eval()


def accuracy(model: nn.Module, data: tuple[torch.Tensor, ...]) -> float:
    """Return the share of test images classified correctly."""
    with torch.no_grad():
        return float((model(data[1]).argmax(1) == data[3]).float().mean())


def weights(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """Return the weight tensors that are pruned: those of linear and convolutional layers."""
    return [(m, "weight") for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


# %% Make one network
def make(
    build: Callable[[], nn.Module], path: Path, data: tuple[torch.Tensor, ...], epochs: int
) -> None:
    """Train, prune globally by magnitude, fine-tune with the masks, export."""
    torch.manual_seed(0)
    model = build()
    train(model, data, epochs)
    dense = accuracy(model, data)
    prune.global_unstructured(weights(model), prune.L1Unstructured, amount=SPARSITY)
    pruned = accuracy(model, data)
    train(model, data, epochs // 2)
    for module, name in weights(model):
        prune.remove(module, name)
    with warnings.catch_warnings():  # the exporter without further dependencies is the old one
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(model, (data[0][:1],), str(path), dynamo=False)
    print(
        f"{path.name}: accuracy {dense:.3f} dense, {pruned:.3f} pruned, "
        f"{accuracy(model, data):.3f} fine-tuned; {path.stat().st_size / 1024:.0f} KiB"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default=Path(__file__).parent / "networks", type=Path)
    parser.add_argument("--quick", action="store_true", help="few epochs, into a scratch folder")
    arguments = parser.parse_args()
    epochs = 4 if arguments.quick else 40
    folder = Path(tempfile.mkdtemp()) if arguments.quick else arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # reproducible sums
    images = digits()
    make(mlp, folder / "digits_mlp.onnx", images, epochs)
    make(cnn, folder / "digits_cnn.onnx", images, epochs)
