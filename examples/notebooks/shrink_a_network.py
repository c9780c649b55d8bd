# %% [markdown]
# # Analyze, prune and compress a trained network
#
# A small network on scikit-learn's digits (8 x 8 images, 10 classes), from training to less than
# a third of its parameters, and what is proved on the way.

# %%
import copy

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import sparseopt as so

torch.set_num_threads(1)
torch.manual_seed(0)
images, labels = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32)
train_x, test_x, train_y, test_y = train_test_split(
    images, torch.tensor(labels), test_size=0.3, random_state=0
)


def train(model, epochs):
    """Train in place with Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(train_x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(train_x[rows]), train_y[rows]).backward()
            optimizer.step()


def accuracy(model):
    """Return the percentage of test images that are classified correctly."""
    with torch.no_grad():
        return 100 * float((model(test_x).argmax(dim=1) == test_y).float().mean())


model = nn.Sequential(
    nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
)
train(model, epochs=10)
print(f"accuracy {accuracy(model):.0f} %")

# %% [markdown]
# ## Analyze
#
# Every analyzer that applies looks at the network; each finding says where, how bad, and what to
# do. Those that claim something carry a certificate, which the core has checked.

# %%
network = so.load_network(model, example=train_x[:1])
report = so.analyze(network)
print("all proofs:", so.verify(report).outcome)
report

# %% [markdown]
# One of them is a warning; `report["rule"]` has what a rule found.

# %%
(warning,) = report["sensitivity-to-rescaling"]
print(warning)

# %% [markdown]
# ## Why not prune by magnitude?
#
# The warning above says it: scale what goes into a hidden unit up, and what leaves it down, and
# the network computes the same. Its weights have other sizes, though, and magnitude pruning looks
# at those. Path costs, and the magnitudes of the canonical form, belong to the function.


# %%
def pruned(criterion, ratio, rescaled=False):
    """Return the network with that share of its weights set to zero, not trained further."""
    twin = copy.deepcopy(model)
    if rescaled:
        so.rescale(twin, so.random_factors(network, seed=1), example=train_x[:1])
    so.prune(twin, ratio, criterion, example=train_x[:1])
    return twin


CRITERIA = ("magnitude", "path_cost", "canonical_magnitude")
print(f"{'80 % pruned by':20} as trained  rescaled")
for criterion in CRITERIA:
    row = [accuracy(pruned(criterion, 0.8, rescaled)) for rescaled in (False, True)]
    print(f"{criterion:20} {row[0]:8.0f} % {row[1]:7.0f} %")

# %% [markdown]
# ## Compress
#
# Zeros anywhere make files smaller, not products faster. `so.compress` replaces a layer by a
# product of Kronecker-sparse factors, the nearest one within a budget; its error is proved. The
# error may be large, as it is here: what counts is what the network still does, and a few epochs
# more.

# %%
compression = so.compress(model, 0.1, layers=["2"], max_error=1.0)
small = compression.model
before = accuracy(small)
train(small, epochs=5)
print(f"accuracy {before:.0f} % as replaced, {accuracy(small):.0f} % trained further")
print(compression)

# %% [markdown]
# `so.load_network(small, example=...)` reads the result again, for another report, or for a file:
# `so.write(network, "small.onnx")`.
#
# ## What is left, and what it does
#
# Pruned networks are shown as they are, before any further training; which criterion is best
# depends on the network, and only magnitudes as they are depend on accidents.

# %%
shares = [0.3, 0.2, 0.1, 0.05]
fig, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for criterion in CRITERIA:
    left = [accuracy(pruned(criterion, 1 - share)) for share in shares]
    ax.plot(100 * torch.tensor(shares), left, "o-", label=f"pruned by {criterion}")
ends = [accuracy(pruned("magnitude", 1 - share, rescaled=True)) for share in shares]
ax.plot(100 * torch.tensor(shares), ends, "x:", color="C0", label="by magnitude, after rescaling")
size = 100 * compression.parameters_after / compression.parameters_before
ax.plot(size, accuracy(small), "*", color="C3", ms=14, label="compressed, trained further")
ax.set(xlabel="parameters kept (%)", ylabel="accuracy (%)", ylim=(0, 100))
ax.set_title("Smaller networks, and what they still classify")
legend = ax.legend(fontsize="small")
