# %% [markdown]
# # Verify closedness of your masks, and repair them
#
# Two linear layers are trained with fixed zeros: their masks, or *supports*. For some masks there
# are data for which training has no optimum: the loss falls for ever while the weights grow
# without bound. Whether yours are of that kind is a question with a proof, and those that are can
# be repaired.

# %%
import matplotlib.pyplot as plt
import numpy as np

import sparseopt as so

rng = np.random.default_rng(4)
outer = rng.random((8, 6)) < 0.45  # the mask of the layer nearest to the output
inner = rng.random((6, 8)) < 0.45
problem = so.Closedness([outer, inner])
print(problem.describe())

# %% [markdown]
# ## Ask
#
# The answer is `closed`, `not_closed`, or an honest `unknown`. A proof in exact arithmetic comes
# with the first two; `so.verify` checks it without the program that found it.

# %%
solution = so.solve(problem)
print(solution.answer)
print(so.verify(solution).outcome)

# %% [markdown]
# The proof is a curve of weights. Its products converge, and to a matrix that is no product with
# these zeros, whatever the weights. The core has checked both.

# %%
print(solution.certificate.explain())

# %% [markdown]
# ## Repair
#
# The fewest entries to remove so that the masks are closed, with no output and no input cut off.
# The answer comes with a proof that the new masks are closed, and with a lower bound on the
# changes. Costs (`costs=`, for instance the sizes of your weights) make it the cheapest repair
# instead, and `allow="add"` restores entries rather than remove them.

# %%
repair = so.solve(so.NearestClosedSupport([outer, inner], allow="remove", keep_lines=True))
print(repair.answer)
print(so.verify(repair).outcome)
axes = repair.certificate.plot()

# %% [markdown]
# Outlined is what was removed. A pruned network with many layers goes through the same in one
# call, `so.prune(model, 0.9, closed=True)`, or on the command line: `sparseopt repair pruned.onnx
# -o safe.onnx`.
#
# ## Keep the proof
#
# A solution travels as JSON. It is judged from the text alone, here or on another machine
# (`sparseopt verify repair.json`).

# %%
text = repair.to_json()
print(so.verify(so.Solution.from_json(text)).claim)

# %% [markdown]
# ## What it changes: training
#
# Fit both pairs of masked layers to the matrix at the end of the curve, which no product with the
# masks as they were can equal. With these the error falls on and on, and the weights grow on and
# on: whatever you stop at is an accident of when you stopped. With the repaired masks there is an
# optimum, and training settles there. It has an error, 1 for this matrix: the price of a smaller
# set of products, which you now see.


# %%
def train(masks, target, steps=30_000, rate=0.02):
    """Gradient descent; return the error and the largest weight after each step."""
    draws = np.random.default_rng(0)
    x, y = (draws.normal(0, 0.5, mask.shape) * mask for mask in masks)
    errors, largest = [], []
    for _ in range(steps):
        residual = x @ y - target
        x, y = x - rate * residual @ y.T * masks[0], y - rate * x.T @ residual * masks[1]
        errors.append(np.linalg.norm(residual))
        largest.append(max(np.abs(x).max(), np.abs(y).max()))
    return errors, largest


target = solution.certificate.limit_matrix().astype(float)
fig, panels = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for name, masks in {"as they were": [outer, inner], "repaired": repair.answer.supports}.items():
    for ax, series in zip(panels, train(masks, target), strict=True):
        ax.loglog(np.arange(1, len(series) + 1), series, label=name)
panels[0].set(xlabel="steps", ylabel="error", title="The error falls ...")
panels[1].set(xlabel="steps", ylabel="largest weight", title="... and what pays for it")
legend = panels[0].legend(title="masks")
