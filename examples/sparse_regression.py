"""Which properties of a cell does a linear score for malignancy need, and is that proved?

Breast cancer data (569 biopsies, in scikit-learn): ten properties of the cell nuclei, each
measured by its mean, its error and its worst value. A group lasso keeps or drops a property with
all three; the certificate proves for every strength that the dropped ones are zero in *every*
optimum, not merely small in the one that a solver returned.
"""

# %%
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import sparseopt as so

# %% The data: columns of mean 0 and norm 1, label +1 for malignant and -1 for benign
data = load_breast_cancer()
names = [str(name).removeprefix("mean ") for name in data.feature_names[:10]]
labels = np.where(data.target == 0, 1.0, -1.0)
train, test, target, truth = train_test_split(
    data.data, labels, test_size=0.3, random_state=0, stratify=labels
)
center, offset = train.mean(axis=0), target.mean()
scale = np.linalg.norm(train - center, axis=0)
design, held_out = (train - center) / scale, (test - center) / scale

# %% One group per property; the strength at which the last of them vanishes
groups = [[j, j + 10, j + 20] for j in range(10)]
correlation = design.T @ (target - offset)
critical = max(np.linalg.norm(correlation[group]) for group in groups)

# %% From no property to nearly all
print(f"{'strength':>8s} {'kept':>4s} {'proved out':>10s} {'accuracy':>8s} {'gap':>7s}  properties")
for ratio in (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01):
    penalty = so.GroupL1(ratio * critical, groups)
    solution = so.solve(so.SparseRegression(design, target - offset, penalty))
    x, certificate = solution.answer.x, solution.certificate
    kept = [j for j, group in enumerate(groups) if x[group].any()]
    proved = sum(np.isin(group, certificate.zeros).all() for group in groups)
    accuracy = np.mean(np.sign(held_out @ x + offset) == truth)
    print(
        f"{ratio:7.0%}  {len(kept):4d} {proved:10d} {accuracy:8.1%} "
        f"{certificate.relative_gap:7.0e}  {', '.join(names[j] for j in kept)}"
    )

# %% Why this engine, and the proof in words
print()
print(solution.plan)
print()
print(so.verify(solution))
