"""How many measurements does an image need if we know which pixels have ink?

Lesson 3 of the survey (Gribonval, Riccietti, Le, Zheng 2025, hal-04954574, eq. 4): recovering a
sparse vector is easy if its support is known. Images of scikit-learn's digits (64 pixels, about
half of them blank) are measured by random sums of their pixels. With the support known it is least
squares, and as many measurements as there is ink are enough: the certificate proves that the
columns are independent, so that no other image on these pixels fits as well. A support with some
blank pixels too many costs as many measurements more. With the support unknown the image of least
l1 norm is found and proved as well, but for long it is another image.

With two layers this lesson fails: see ``valley_at_infinity.py``, where the supports are known and
no optimum exists. Takes under a minute on one core; ``--quick`` a few seconds.
"""

# %%
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import sparseopt as so

PIXELS, INK, EXTRA = 64, 32, 10  # the last: blank pixels that a wider support holds
NAMES = ("support known", f"support and {EXTRA} more", "least l1 norm", "least l2 norm")
Images = dict[str, np.ndarray]


# %% One image from some measurements, four ways
def reconstructed(design: np.ndarray, image: np.ndarray, wider: np.ndarray) -> tuple[Images, bool]:
    """Return the reconstructions, and whether that on the true support is proved unique."""
    target = design @ image
    known = so.solve(so.KnownSupportRegression(design, target, np.flatnonzero(image)))
    more = so.solve(so.KnownSupportRegression(design, target, wider))
    sparse = so.solve(so.BasisPursuit(design, target))
    flat = so.solve(so.BasisPursuit(design, target, norm=2))
    images = (known.answer.x, more.answer.x, sparse.answer.x, flat.answer.x)
    return dict(zip(NAMES, images, strict=True)), not known.answer.rank_deficient


def error(found: np.ndarray, image: np.ndarray) -> float:
    """Return the relative error; what rounding leaves counts as 1e-16."""
    return max(float(np.linalg.norm(found - image) / np.linalg.norm(image)), 1e-16)


def needed(counts: list[int], errors: np.ndarray) -> str:
    """Return from how many measurements on the error is rounding, in words."""
    wrong = [count for count, e in zip(counts, errors, strict=True) if e > 1e-6]
    enough = [count for count in counts if count > max(wrong, default=0)]
    return f"exact from {enough[0]} on" if enough else "never exact"


# %% The figure
def draw(
    counts: list[int], medians: Images, shown: dict[str, np.ndarray], of: int, output: Path
) -> None:
    """Draw errors against the number of measurements, and what is made of `of` of them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=[1.3, 1])
    left, right = halves
    axes = left.subplots()
    for (name, values), mark in zip(medians.items(), "osD^", strict=True):
        axes.semilogy(counts, values, mark + "-", ms=4, label=name)
    axes.axvline(INK, color="black", ls=":", lw=1)
    axes.text(INK + 0.8, 1e-10, f"{INK} pixels with ink", rotation=90, va="center")
    axes.set(xlabel=f"measurements of {PIXELS} pixels", ylabel="relative error, median")
    axes.set_ylim(3e-17, 30)
    axes.legend(fontsize="small", loc="lower left")
    right.suptitle(f"from {of} measurements")
    for panel, (title, image) in zip(right.subplots(2, 3).ravel(), shown.items(), strict=True):
        panel.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        panel.set(xticks=[], yticks=[])
        panel.set_title(title, fontsize="medium")
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


# %% Many images, more and more measurements
def main(quick: bool, output: Path) -> None:
    """Print from how many measurements on each way is exact, and draw the errors."""
    images = load_digits().data / 16.0
    images = images[np.count_nonzero(images, axis=1) == INK][: 2 if quick else 9]
    counts = list(range(8, 65, 8)) if quick else sorted({*range(8, 65, 4), 30, 31, 41, 42, 43, 54})
    rng = np.random.default_rng(0)
    errors: dict[str, list[list[float]]] = {name: [[] for _ in counts] for name in NAMES}
    proved, shown, of = dict.fromkeys(counts, 0), {}, INK + 8
    for number, image in enumerate(images):
        rows = rng.standard_normal((PIXELS, PIXELS)) / 8.0
        wider = np.union1d(
            np.flatnonzero(image), rng.choice(np.flatnonzero(image == 0), EXTRA, replace=False)
        )
        for place, count in enumerate(counts):
            found, unique = reconstructed(rows[:count], image, wider)
            proved[count] += unique
            for name, x in found.items():
                errors[name][place].append(error(x, image))
            if number == 0 and count == of:
                shown = {"the image": image, "its support": 1.0 * (image > 0), **found}
    medians = {name: np.median(values, axis=1) for name, values in errors.items()}
    print(f"{len(images)} images with {INK} pixels of ink, random sums of {PIXELS} pixels")
    for name, values in medians.items():
        print(f"  {name:20} {needed(counts, values)}")
    enough = [count for count in counts if proved[count] == len(images)]
    print(
        f"with the support known, the certificates prove from {enough[0]} measurements on that "
        "the columns are independent: one image only fits.\nBelow they say so as well (``rank`` "
        f"{min(counts)} for {min(counts)} measurements), and the image of least norm is returned."
    )
    try:
        draw(counts, medians, shown, of, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer images and measurements")
    parser.add_argument("--output", type=Path, default=Path("known_support.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
