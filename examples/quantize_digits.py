"""What does rescaling buy when the weights of a network, or of one layer, get few bits?

Networks trained on scikit-learn's digits, in seconds. First one layer of 64 x 64, made of sparse
factors (`KroneckerLinear`) and trained with the others: its factors in t significant digits, each
value rounded to nearest against `so.quantize`, which rounds their product. Then all layers of a
ReLU network, in integers with one scale for each tensor: rounding to nearest, balance, cross-layer
equalization, and the rescaling by path costs; with both ends of the change of the output, proved
for all images and measured on those of the test.

Run: python examples/quantize_digits.py [--quick] [--output quantize_digits.png]
"""

# %%
import argparse
import copy
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import sparseopt as so

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="one seed of three, two formats")
parser.add_argument("--output", default="quantize_digits.png")
options, _ = parser.parse_known_args()
seeds = range(1 if options.quick else 3)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
images = (images / 16.0).astype(np.float32)
parts = train_test_split(images, labels, test_size=0.4, random_state=0, stratify=labels)
train_x, test_x, train_y, test_y = (torch.from_numpy(np.ascontiguousarray(p)) for p in parts)


# %% The networks and their training
def sparse_network() -> nn.Sequential:
    """Return a network whose first layer is a product of six sparse factors."""
    chain = so.Architecture.square_dyadic(64)
    return nn.Sequential(so.KroneckerLinear(64, 64, chain), nn.ReLU(), nn.Linear(64, 10))


def dense_network() -> nn.Sequential:
    """Return two hidden layers, with a batch normalization."""
    return nn.Sequential(
        nn.Linear(64, 48),
        nn.BatchNorm1d(48),
        nn.ReLU(),
        nn.Linear(48, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def trained(model: nn.Sequential) -> nn.Sequential:
    """Train in place with Adam; return the model."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(15 if options.quick else 40):
        for rows in torch.randperm(len(train_x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(train_x[rows]), train_y[rows]).backward()
            optimizer.step()
    return model.eval()


def accuracy(model: nn.Module) -> float:
    """Return the share of test images classified correctly, in percent."""
    with torch.no_grad():
        return 100 * float((model(test_x).argmax(dim=1) == test_y).float().mean())


def quantized(model: nn.Module, form: Any, **settings: Any) -> so.Quantization:
    """Return the report on a quantized copy."""
    return so.quantize(copy.deepcopy(model), form, accuracy=accuracy, **settings)


# %% One layer: accuracy against bits
digits = range(2, 4 if options.quick else 7)
ways = {"rounding to nearest": "nearest", "so.quantize": "swept"}
scores: dict[str, list[list[float]]] = {name: [[] for _ in digits] for name in ways}
errors: dict[str, list[list[float]]] = {name: [[] for _ in digits] for name in ways}
before = []
for seed in seeds:
    torch.manual_seed(seed)
    model = trained(sparse_network())
    before.append(accuracy(model))
    for i, t in enumerate(digits):
        for name, solver in ways.items():
            report = quantized(model, t, layers="kronecker", solver=solver)
            assert report.accuracy_after is not None
            scores[name][i].append(report.accuracy_after)
            errors[name][i].append(report.layers[0].relative_error)
print(f"one layer, 768 values, of a network with test accuracy {np.mean(before):.1f} %")
print("  t " + "".join(f"{name:>32s}" for name in ways))
for i, t in enumerate(digits):
    row = [
        f"{np.mean(scores[n][i]):.1f} %, error {np.median(errors[n][i]):.2e}".rjust(32)
        for n in ways
    ]
    print(f"{t:3d} " + "".join(row))

# %% A network, one scale for each tensor
forms = ("int8", "int4") if options.quick else ("int8", "e3m2", "e2m1", "int4")
rescalings = ("none", "balance", "equalization", "path")
titles = ("rounding to nearest", "balance", "equalization", "path costs")
figures: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
full = []
for seed in seeds:
    torch.manual_seed(seed)
    model = trained(dense_network())
    full.append(accuracy(model))
    for form in forms:
        for rescaling in rescalings:
            # Gray values are at most 1, so the bound holds for all images.
            report = quantized(model, form, inputs=test_x, rescaling=rescaling, input_bound=1.0)
            assert report.bound is not None
            assert report.change is not None
            assert report.accuracy_after is not None
            assert report.change.largest <= report.bound.value
            row_of = (report.bound.value, report.change.largest, report.accuracy_after)
            figures.setdefault((form, rescaling), []).append(row_of)
print(f"\nall layers of a network with test accuracy {np.mean(full):.1f} %: medians of the largest")
print("change of the output in the L1 norm, proved and measured, and the mean accuracy")
print("format" + "".join(f"{title:>29s}" for title in titles))
medians: dict[str, list[tuple[float, float]]] = {r: [] for r in rescalings}
for form in forms:
    cells = []
    for rescaling in rescalings:
        proved, measured, share = np.array(figures[form, rescaling]).T
        medians[rescaling].append((float(np.median(proved)), float(np.median(measured))))
        cells.append(f"{np.median(proved):.3g} {np.median(measured):.3g} {share.mean():.1f} %")
    print(f"{form:6s}" + "".join(cell.rjust(29) for cell in cells))


# %% The picture
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5))
for name in ways:
    left.plot(list(digits), [np.mean(s) for s in scores[name]], marker="o", label=name)
left.axhline(float(np.mean(before)), color="gray", linestyle=":", label="before")
left.set_xticks(list(digits))
left.set_xlabel("significant digits t")
left.set_ylabel("test accuracy in percent")
left.set_title("The factors of one layer")
left.legend()
places = np.arange(len(forms))
for i, (rescaling, title) in enumerate(zip(rescalings, titles, strict=True)):
    proved, measured = np.array(medians[rescaling]).T
    shift = 0.2 * (i - 1.5)
    bars = right.bar(places + shift, proved, 0.18, alpha=0.4)
    color = bars.patches[0].get_facecolor()[:3]
    right.bar(places + shift, measured, 0.18, color=color, label=title)
right.set_yscale("log")
right.set_xticks(places, forms)
right.set_ylabel("largest change of the output: measured, proved (light)")
right.set_title("All layers, a scale for each tensor")
right.set_ylim(top=2e5)
right.legend(ncols=2, loc="upper left")
figure.tight_layout()
figure.savefig(options.output, dpi=150)
print(f"\nwritten to {options.output}")
