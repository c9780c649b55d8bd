"""Are natural signals sparse? Not as they come, but as waves and wavelets; how sparse is proved.

Figure 1 of the survey (Gribonval, Riccietti, Le, Zheng 2025, hal-04954574): the samples of a
sound and the pixels of an image are mostly nonzero, while a time-frequency transform of the sound
and a wavelet transform of the image have few entries that matter. The sound is a tune of plucked
strings, made here; the image is a crop of scikit-learn's photograph of a Chinese temple.

Each signal is approximated by a lasso, once in its samples and once in the transform. Both bases
are orthonormal, so soft thresholding should be the optimum: no solver is needed, and the
certificate proves that nothing is better, whatever the basis is like in floating point. Takes
some seconds.
"""

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import scipy.sparse
from sklearn.datasets import load_sample_image

import sparseopt as so
from sparseopt.tools.transforms import wavelet

RATE, FRAME = 8000, 128


# %% The signals
def tune(length: int) -> np.ndarray:
    """Return plucked strings: decaying harmonics, one note after the other."""
    time = np.arange(length) / RATE
    sound = np.zeros(length)
    for number, pitch in enumerate((262, 330, 392, 523, 392, 330)):
        since = time - number * length / RATE / 6
        on = since >= 0
        for k in range(1, 9):
            decay = np.exp(-(4.0 + 1.5 * k) * since[on])
            sound[on] += decay / k * np.sin(2 * np.pi * k * pitch * since[on])
    return sound / np.linalg.norm(sound)


def photograph(size: int) -> np.ndarray:
    """Return a crop of the temple in grey, of mean 0 and norm 1."""
    grey = load_sample_image("china.jpg").mean(axis=2)
    step = 256 // size
    crop = grey[60:316, 230:486].reshape(size, step, size, step).mean(axis=(1, 3))
    crop -= crop.mean()
    return np.asarray(crop / np.linalg.norm(crop))


# %% The transforms, as matrices with orthonormal columns
def waves(length: int) -> scipy.sparse.csc_array:
    """Return local cosines, the columns of the inverse MDCT (Princen and Bradley, 1987)."""
    t, k = np.meshgrid(np.arange(2 * FRAME), np.arange(FRAME), indexing="ij")
    phase = np.pi / FRAME * (t + 0.5 + FRAME / 2) * (k + 0.5)
    window = np.sin(np.pi * (np.arange(2 * FRAME) + 0.5) / (2 * FRAME))
    atoms = np.sqrt(2 / FRAME) * window[:, None] * np.cos(phase)
    frames = length // FRAME
    blocks = []
    for frame in range(frames):  # the last one overlaps the first
        places = (frame * FRAME + np.arange(2 * FRAME)) % length
        rows, columns = np.repeat(places, FRAME), np.tile(np.arange(FRAME), 2 * FRAME)
        shape = (length, FRAME)
        blocks.append(scipy.sparse.csc_array((atoms.ravel(), (rows, columns)), shape=shape))
    return scipy.sparse.hstack(blocks, format="csc")


def wavelets(size: int) -> scipy.sparse.csc_array:
    """Return Haar wavelets of two variables: rows and columns are transformed."""
    one = scipy.sparse.csr_array(wavelet(size).to_dense().T)
    return scipy.sparse.csc_array(scipy.sparse.kron(one, one))


# %% The lasso, and how many entries it takes
def thresholded(
    signal: np.ndarray, basis: scipy.sparse.csc_array, strength: float
) -> dict[str, float]:
    """Return the share of nonzeros, the relative error and the proved gap of soft thresholding."""
    problem = so.SparseRegression(basis, signal, so.L1(strength))
    coefficients = basis.T @ signal
    x = np.sign(coefficients) * np.maximum(np.abs(coefficients) - strength, 0.0)
    residual = signal - basis @ x
    answer, certificate = so.DualityGapCertificate.build(problem, x, residual)
    assert so.verify(certificate).ok
    return {
        "nonzeros": np.count_nonzero(answer.x) / x.size,
        "error": float(np.linalg.norm(residual)),
        "gap": certificate.relative_gap,
    }


def needed(coefficients: np.ndarray) -> np.ndarray:
    """Return the relative error when the k largest entries are kept, for each k."""
    squares = np.sort(np.square(coefficients.ravel()))[::-1]
    return np.asarray(np.sqrt(np.maximum(1.0 - np.cumsum(squares) / squares.sum(), 0.0)))


def matched(signal: np.ndarray, basis: scipy.sparse.csc_array, error: float) -> float:
    """Return the strength at which the lasso has about this error: it shrinks what it keeps."""
    sizes = np.sort(np.abs(basis.T @ signal))
    levels = np.quantile(sizes, np.linspace(0.0, 1.0, 200))
    errors = [np.linalg.norm(np.minimum(sizes, level)) for level in levels]
    return float(np.interp(error, errors, levels))


def main(quick: bool, output: Path) -> None:
    """Compare samples and transforms at one error, and draw both signals both ways."""
    length, size = (8192, 64) if quick else (16384, 128)
    sound, image = tune(length), photograph(size)
    identity = scipy.sparse.eye_array
    cases = {
        "sound: samples": (sound, identity(length, format="csc")),
        "sound: waves": (sound, waves(length)),
        "image: pixels": (image.ravel(), identity(size**2, format="csc")),
        "image: wavelets": (image.ravel(), wavelets(size)),
    }
    print("lasso at a relative error of 0.1, and the best terms: entries needed")
    print(f"{'':18}{'lasso':>8}{'error':>8}{'gap':>10}{'largest kept':>14}")
    curves, transforms = {}, {}
    for name, (signal, basis) in cases.items():
        found = thresholded(signal, basis, matched(signal, basis, 0.1))
        transforms[name] = basis.T @ signal
        curves[name] = needed(transforms[name])
        kept = np.argmax(curves[name] <= 0.1) / signal.size
        proof = f"{found['error']:8.3f}{found['gap']:10.1e}"
        print(f"{name:18}{found['nonzeros']:8.1%}{proof}{kept:14.1%}")
    try:
        draw(sound, image, transforms, curves, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


# %% The figure
def draw(
    sound: np.ndarray,
    image: np.ndarray,
    transforms: dict[str, np.ndarray],
    curves: dict[str, np.ndarray],
    output: Path,
) -> None:
    """Draw both signals, their transforms (white or black: nothing there), and the errors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.4), layout="constrained")
    grid = figure.subplots(2, 3)
    seconds = np.arange(len(sound)) / RATE
    grid[0, 0].plot(seconds, sound, lw=0.4)
    grid[0, 0].set(title="sound: samples", xlabel="seconds", yticks=[])
    power = np.abs(transforms["sound: waves"].reshape(-1, FRAME).T)
    level = 20 * np.log10(power / power.max() + 1e-12)
    extent = (0, seconds[-1], 0, RATE / 2000)
    grid[0, 1].imshow(
        level, origin="lower", aspect="auto", cmap="inferno", vmin=-60, vmax=0, extent=extent
    )
    grid[0, 1].set(title="sound: time and frequency", xlabel="seconds", ylabel="kHz")
    grid[1, 0].imshow(image, cmap="gray")
    grid[1, 0].set(title="image: pixels", xticks=[], yticks=[])
    details = np.abs(transforms["image: wavelets"].reshape(image.shape))
    grid[1, 1].imshow(details, cmap="gray_r", vmax=np.quantile(details, 0.98))
    grid[1, 1].set(title="image: wavelets", xticks=[], yticks=[])
    for row, kind in enumerate(("sound", "image")):
        for name, errors in curves.items():
            if name.startswith(kind):
                share = np.arange(1, errors.size + 1) / errors.size
                grid[row, 2].semilogx(share, errors, label=name)
        grid[row, 2].set(xlabel="share of entries kept", ylabel="relative error", ylim=(0, 1))
        grid[row, 2].axhline(0.1, color="black", lw=0.7, ls=":")
        grid[row, 2].legend()
        grid[row, 2].grid(True, alpha=0.3)
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter sound, smaller image")
    parser.add_argument("--output", type=Path, default=Path("figure1.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
