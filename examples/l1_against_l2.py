"""Which images explain a digit? The least l1 norm names a few, the least l2 norm blames them all.

Lesson 1 of the survey (Gribonval, Riccietti, Le, Zheng 2025, hal-04954574, eq. 2): of all vectors
that fit, the one of least l1 norm is sparse, that of least l2 norm is flat, and that of least
l-infinity norm is flatter still. Here the columns are 600 images of scikit-learn's digits (64
pixels), the target is an image that is not among them, and x says which images it is made of, up
to a tenth of its norm.

Sparsity is a property of the question, not of a solver: the certificate proves that no vector
that fits has a smaller norm and, where it says ``unique``, that no second one is as good. Takes
under a minute on one core; ``--quick`` a few seconds.
"""

# %%
from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import sparseopt as so

NORMS: dict[str, float] = {"l1": 1, "l2": 2, "l-infinity": math.inf}
COLUMNS, FIRST_TARGET = 600, 1002
NOISE = 0.1  # the share of an image's norm that may be missed
Found = so.Solution[so.PursuitAnswer, Any]


# %% The dictionary: images sorted by what they show, and images that are not in it
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the dictionary, one image a column, what each shows, and the targets with theirs."""
    images, labels = load_digits(return_X_y=True)
    images = images / 16.0
    order = np.argsort(labels[:COLUMNS], kind="stable")
    return images[order].T, labels[order], images[FIRST_TARGET:], labels[FIRST_TARGET:]


def pursue(dictionary: np.ndarray, image: np.ndarray, norm: float) -> Found:
    """Return the coefficients of least norm that fit an image."""
    noise = NOISE * float(np.linalg.norm(image))
    return so.solve(so.BasisPursuit(dictionary, image, noise=noise, norm=norm))


def weights(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which share of sum |x| lies on the images of each digit."""
    sums = np.array([np.abs(x[labels == digit]).sum() for digit in range(10)])
    return np.asarray(sums / sums.sum())


# %% The figure
def draw(
    image: np.ndarray,
    digit: int,
    labels: np.ndarray,
    found: dict[str, Found],
    shares: dict[str, list[float]],
    output: Path,
) -> None:
    """Draw the coefficients of one image in the three norms, and the shares of many images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    axes: dict[str, Any] = figure.subplot_mosaic(
        [["image", "l1"], ["image", "l2"], ["shares", "l2"], ["shares", "l-infinity"]],
        width_ratios=[1, 3],
        height_ratios=[2, 1, 1, 2],
    )
    axes["image"].imshow(image.reshape(8, 8), cmap="gray_r")
    axes["image"].set(title=f"the target: a {digit}", xticks=[], yticks=[])
    edges = np.searchsorted(labels, np.arange(11))
    own = labels == digit
    for name, solution in found.items():
        panel, x = axes[name], solution.answer.x
        for at in range(0, 10, 2):
            panel.axvspan(edges[at] - 0.5, edges[at + 1] - 0.5, color="0.94", lw=0)
        for chosen, colour, text in ((own, "C3", f"images of a {digit}"), (~own, "C0", "others")):
            on = np.flatnonzero(chosen & (x != 0))
            panel.vlines(on, 0, x[on], color=colour, lw=1.2, label=text)
        panel.axhline(0, color="black", lw=0.6)
        count = len(solution.answer.support)
        panel.set(ylabel="coefficient", xlim=(-0.5, len(x) - 0.5))
        panel.set_title(f"least {name} norm: {count} of {len(x)} images are used")
        panel.set_xticks((edges[:-1] + edges[1:]) / 2, [str(d) for d in range(10)])
        panel.tick_params(axis="x", length=0)
    axes["l1"].legend(loc="upper right", fontsize="small")
    axes["l-infinity"].set_xlabel("columns of the dictionary, by the digit that they show")
    panel = axes["shares"]
    for place, values in enumerate(shares.values()):
        spread = np.linspace(-0.18, 0.18, len(values)) if len(values) > 1 else [0.0]
        panel.scatter(place + np.asarray(spread), np.sort(values), s=9)
        panel.hlines(float(np.median(values)), place - 0.3, place + 0.3, color="black")
    panel.axhline(0.1, ls=":", color="black", lw=1)
    panel.text(0.5, 0.085, "chance", ha="center", va="top", fontsize="small")
    panel.set_xticks(range(len(shares)), list(shares))
    panel.set(ylim=(0, 1), ylabel="share of |x| on the own digit")
    panel.set_title(f"{len(values)} targets; line: median", fontsize="medium")
    figure.align_ylabels([axes[name] for name in NORMS])
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


# %% One image in three norms, then many
def main(quick: bool, output: Path) -> None:
    """Print what is proved of one image, and how often each norm points at the right digit."""
    dictionary, labels, images, digits = data()
    image, digit = images[0], int(digits[0])
    found = {name: pursue(dictionary, image, norm) for name, norm in NORMS.items()}
    print(f"{dictionary.shape[1]} images of {dictionary.shape[0]} pixels explain a {digit}:")
    for name, solution in found.items():
        x, certificate = solution.answer.x, solution.certificate
        largest = int(np.sum(np.abs(x) > 0.999 * np.abs(x).max()))
        print(
            f"  least {name:10} {len(solution.answer.support):3d} used, {largest:3d} at the "
            f"largest weight; proved: norm within {certificate.relative_gap:.0e} of the least, "
            + ("and no other vector has it" if solution.answer.unique else "others may have it")
        )
    count = 5 if quick else 60
    shares: dict[str, list[float]] = {name: [] for name in ("l1", "l2")}
    right, unique, most = dict.fromkeys(shares, 0), 0, 0
    for other, truth in zip(images[:count], digits[:count], strict=True):
        for name in shares:
            solution = pursue(dictionary, other, NORMS[name])
            by_digit = weights(solution.answer.x, labels)
            shares[name].append(float(by_digit[truth]))
            right[name] += int(np.argmax(by_digit) == truth)
            if name == "l1":
                unique += solution.answer.unique
                most = max(most, len(solution.answer.support))
    print(
        f"{count} targets: l1 uses at most {most} images, never more than there are pixels; "
        f"{unique} of the answers are proved to be the only ones"
    )
    for name, values in shares.items():
        print(
            f"  {name}: {np.median(values):4.0%} of the weight on images of the same digit (a "
            f"tenth is chance); most weight on the right digit {right[name]} times of {count}"
        )
    try:
        draw(image, digit, labels, found, shares, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="five targets instead of sixty")
    parser.add_argument("--output", type=Path, default=Path("l1_against_l2.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
