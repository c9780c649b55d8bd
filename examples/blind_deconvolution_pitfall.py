"""Can the least l1 norms tell claps from their echoes? With a known filter yes, blindly never.

A few claps s in a room with a few echoes h are heard as the circular convolution y = h * s. If h is
known, the signal of least l1 norm is the right one, and the certificate proves that it is the only
one. If neither is known one would like to minimise |h|_1 + |s|_1 over all pairs with h * s = y
(survey of Gribonval, Riccietti, Le, Zheng 2025, hal-04954574, eq. 5). This fails totally: a spike
and y itself are always an optimum, which is proved here for each y, and no planted pair is ever
better (Benichoux, Vincent, Gribonval 2013). What is left is local descent, and where that ends
depends on its start.

Takes about half a minute on one core; ``--quick`` a few seconds.
"""

# %%
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import sparseopt as so

LENGTH, ECHOES, CLAPS = 64, 5, 6
SHOWN = 27  # the seed of the pair that is drawn
Pair = tuple[np.ndarray, np.ndarray]


# %% A planted pair, balanced: the same 1-norms, at which the sum of both is least
def planted(seed: int) -> Pair:
    """Return echoes, the first of them the sound itself, and claps."""
    rng = np.random.default_rng(seed)
    echoes, claps = np.zeros(LENGTH), np.zeros(LENGTH)
    echoes[0] = 1.0
    places = rng.choice(np.arange(1, LENGTH // 2), ECHOES - 1, replace=False)
    echoes[places] = rng.uniform(-0.8, 0.8, ECHOES - 1)
    claps[rng.choice(LENGTH, CLAPS, replace=False)] = rng.standard_normal(CLAPS)
    claps *= np.sign(claps[np.argmax(np.abs(claps))])
    ratio = np.sqrt(np.abs(claps).sum() / np.abs(echoes).sum())
    return echoes * ratio, claps / ratio


def circulant(echoes: np.ndarray) -> np.ndarray:
    """Return the matrix whose product with a signal is the convolution with the echoes."""
    return np.column_stack([np.roll(echoes, shift) for shift in range(LENGTH)])


# %% What is proved of one target
def compared(pair: Pair) -> tuple[so.FilterAndSignal, float, float, so.PursuitAnswer]:
    """Return the optimum, its cost, by what share the planted pair costs more, and lesson 1."""
    echoes, claps = pair
    matrix = circulant(echoes)
    problem = so.BlindDeconvolution(matrix @ claps)
    best = so.solve(problem)
    own = so.BlindDeconvolutionCertificate.build(problem, echoes, claps)
    assert so.verify(own).ok
    known = so.solve(so.BasisPursuit(matrix, problem.target))
    return best.answer, best.certificate.dual, own.relative_gap, known.answer


def descents(target: np.ndarray, starts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what pairs found by descent miss of the target, what they cost, which are spikes."""
    problem = so.BlindDeconvolution(target)
    runs = [so.solve(problem, "blind_descent", seed=seed).certificate for seed in range(starts)]
    misses = np.array([run.residual for run in runs]) / np.abs(target).sum()
    costs = np.array([run.primal / run.dual - 1.0 for run in runs])
    return misses, costs, np.array([is_spike(run.answer) for run in runs])


def is_spike(pair: so.FilterAndSignal) -> bool:
    """Whether one of both is a single entry, but for a hundredth of its norm."""
    parts = [np.abs(part) for part in (pair.filter, pair.signal)]
    return any(bool(part.max() > 0.99 * part.sum()) for part in parts)


# %% The figure
def draw(
    pair: Pair,
    best: so.FilterAndSignal,
    known: so.PursuitAnswer,
    excesses: np.ndarray,
    found: tuple[np.ndarray, np.ndarray, np.ndarray],
    output: Path,
) -> None:
    """Draw three pairs with one convolution, the costs of planted pairs, and descents."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.4), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=[1.7, 1])
    left, right = halves
    rows: list[tuple[str, Pair, str]] = [
        ("planted", pair, "C0"),
        ("optimum", (best.filter, best.signal), "C3"),
        ("echoes known", (pair[0], known.x), "C2"),
    ]
    axes = left.subplots(3, 2, sharex=True)
    for (name, both, colour), panels in zip(rows, axes, strict=True):
        for panel, values in zip(panels, both, strict=True):
            on = np.flatnonzero(np.abs(values) > 1e-12)
            panel.vlines(on, 0, values[on], color=colour, lw=1.5)
            panel.plot(on, values[on], "o", color=colour, ms=3.5)
            panel.axhline(0, color="black", lw=0.6)
            panel.set_ylim(1.2 * min(0.0, values.min()) - 0.1, 1.25 * values.max() + 0.1)
        panels[0].set_ylabel(name)
    axes[0, 0].set_title("echoes h")
    axes[0, 1].set_title("claps s")
    axes[2, 0].set_xlabel("time")
    axes[2, 1].set_xlabel("time")
    axes[1, 1].set_title("all of the target", fontsize="medium")
    axes[2, 1].set_title("found, and proved unique", fontsize="medium")
    top, bottom = right.subplots(2, 1)
    top.hist(100 * excesses, bins=25, color="C0")
    top.axvline(0, color="C3", lw=2)
    top.set(xlabel="planted pair above the optimum, %", ylabel="pairs")
    top.set_title(f"{len(excesses)} planted pairs: none is better", fontsize="medium")
    misses, costs, spikes = 100 * found[0], 100 * found[1], found[2]
    bottom.plot(misses[~spikes], costs[~spikes], "x", color="0.4", label="descents")
    bottom.plot(misses[spikes], costs[spikes], "x", color="C3", label="descents that end in spikes")
    bottom.plot(0, 100 * excesses[0], "o", color="C0", label="planted")
    bottom.plot(0, 0, "*", color="C3", ms=11, label="optimum")
    bottom.set(xlabel="missed of the target, %", ylabel="cost above the optimum, %")
    bottom.legend(fontsize="small")
    figure.align_ylabels()
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


def main(quick: bool, output: Path) -> None:
    """Print what is proved of planted pairs, and draw one of them."""
    pairs = 20 if quick else 300
    excesses, right, trivial = [], 0, 0
    for seed in range(SHOWN, SHOWN + pairs):
        pair = planted(seed)
        best, least, excess, known = compared(pair)
        excesses.append(excess)
        trivial += is_spike(best)
        right += bool(known.unique and np.allclose(known.x, pair[1], atol=1e-9))
        if seed == SHOWN:
            shown, first, cost = pair, best, least
            alone = known
    ties = sum(excess < 1e-9 for excess in excesses)
    print(
        f"{pairs} pairs of {ECHOES} echoes and {CLAPS} claps, {LENGTH} samples\n"
        f"echoes known: the signal of least l1 norm is that of the claps, and proved to be the "
        f"only one, {right} times\n"
        f"nothing known: the optimum is a spike and the target {trivial} times. The planted pair "
        f"costs more {pairs - ties} times, up to {max(excesses):.1%}, and as much {ties} times: "
        "never less"
    )
    misses, costs, spikes = descents(circulant(shown[0]) @ shown[1], 4 if quick else 30)
    print(
        f"the first pair: optimum {cost:.6f}; {len(misses)} descents end {misses.min():.1%} to "
        f"{misses.max():.1%} off the target, {spikes.sum()} of them at a spike, "
        f"at costs {costs.min():+.1%} to {costs.max():+.1%}"
    )
    try:
        draw(shown, first, alone, np.array(excesses), (misses, costs, spikes), output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pairs and descents")
    parser.add_argument("--output", type=Path, default=Path("blind_deconvolution_pitfall.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
