"""How few bits do complex factors need, beside the published figures of CROQuant?

CROQuant (Chaumette et al., hal-05520926) extends the rounding of rank-one terms to complex factors:
the number between two vectors is complex, and goes through the regions between lines in place of
intervals. Its result arrays (MaelChaumette/croquant-code) hold means of 10 draws for factors of
complex normal matrices of size 256: rounding to nearest, pairwise, left to right. Here the same
kind of data: the butterfly factors nearest to a complex normal matrix, their real and imaginary
parts in t significant digits each. Every error is certified.

Run: python examples/quantize_complex.py [--quick] [--draws 2] [--output quantize_complex.png]
"""

# %%
import argparse
import time
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import sparseopt as so

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="n = 32, t up to 4, in place of 256 and 7")
parser.add_argument("--draws", type=int, default=2, help="of the matrix")
parser.add_argument("--output", default="quantize_complex.png")
options, _ = parser.parse_known_args()
size, digits = (32, range(2, 5)) if options.quick else (256, range(2, 8))
draws = 1 if options.quick else options.draws
published = {
    "rounding to nearest": (0.276, 0.139, 0.0702, 0.0350, 0.0176, 0.00867),
    "pair by pair": (0.116, 0.0438, 0.0165, 0.00618, 0.00230, 0.000885),
    "left to right": (0.0718, 0.0250, 0.00947, 0.00368, 0.00147, 0.000605),
}
published_seconds = (34, 80, 245, 841, 3170, 12700)
methods: dict[str, tuple[str, dict[str, Any]]] = {
    "rounding to nearest": ("nearest", {}),
    "pair by pair": ("pairwise", {}),
    "left to right": ("left_to_right", {"weighted": False}),
    "left to right, weighted": ("left_to_right", {"weighted": True}),
    "swept": ("swept", {}),
}


# %% Factors of complex normal matrices, as published
def factors(n: int, seed: int) -> so.KroneckerProduct:
    """Return the square dyadic product nearest to a complex normal matrix."""
    rng = np.random.default_rng(seed)
    target = rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n))
    return so.solve(so.ButterflyFactorization(target, so.Architecture.square_dyadic(n))).answer


# %% The relative error of each method
errors = {name: np.zeros((draws, len(digits))) for name in methods}
seconds = np.zeros(len(digits))
for draw in range(draws):
    product = factors(size, draw)
    for i, t in enumerate(digits):
        for name, (solver, settings) in methods.items():
            start = time.perf_counter()
            solution = so.solve(so.ProductQuantization(product, t), solver, **settings)
            assert solution.status is so.Status.VERIFIED
            errors[name][draw, i] = solution.certificate.relative_error
            if name == "left to right":
                seconds[i] += (time.perf_counter() - start) / draws
means = {name: found.mean(axis=0) for name, found in errors.items()}
print(f"n = {size}, mean of {draws}; in brackets CROQuant, n = 256, mean of 10")
print("  t" + "".join(f"{name:>26s}" for name in methods))
for i, t in enumerate(digits):
    cells = [
        f"{means[name][i]:.3g}" + (f" ({published[name][i]:.3g})" if name in published else "")
        for name in methods
    ]
    print(f"{t:3d}" + "".join(cell.rjust(26) for cell in cells))
print(
    "\nseconds of left to right, beside the published ones (another machine, another size if quick)"
)
for i, t in enumerate(digits):
    print(f"{t:3d} {seconds[i]:10.2f} {published_seconds[i]:10d}")
for name in ("pair by pair", "left to right"):
    ratios = means[name] / np.array(published[name][: len(digits)])
    print(f"{name}: error over the published one {ratios.min():.2f} to {ratios.max():.2f}")

# %% Slopes: how much more than one bit of accuracy a bit buys
for name, found in means.items():
    slope = np.polyfit(list(digits), np.log2(found), 1)[0]
    known = published.get(name)
    beside = ""
    if known is not None:
        own = np.polyfit(range(2, 8), np.log2(known), 1)[0]
        beside = f" (CROQuant {-own:.3f})"
    print(f"{name}: {-slope:.3f} bits of accuracy for a bit{beside}")

# %% The picture
figure, axis = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
for k, (name, marker) in enumerate(zip(methods, "osv^D", strict=True)):
    (line,) = axis.semilogy(list(digits), means[name], marker=marker, label=name, color=f"C{k}")
    if name in published:
        theirs = published[name][: len(digits)]
        axis.semilogy(list(digits), theirs, linestyle="--", color=line.get_color(), alpha=0.6)
axis.set(xlabel="digits t of each part", ylabel="relative error", title=f"complex, n = {size}")
axis.plot([], [], "k--", alpha=0.6, label="CROQuant, as published (n = 256)")
axis.legend()
axis.grid(True, which="major", alpha=0.3)
figure.savefig(options.output, dpi=120)
print(f"\nwritten to {options.output}")
