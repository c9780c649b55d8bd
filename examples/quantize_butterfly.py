"""How few bits do the factors of a fast transform need, for the same error of the product?

Figure 6 of the survey, both panels, for square dyadic products with normal entries: the relative
error over the digits t for one size, and over the size for t = 8. Rounding each value to nearest
wastes bits, as only the product counts. Beside the published methods, pair by pair and left to
right, are those of this library: weighted, looking ahead, and swept. Every error is certified.

Run: python examples/quantize_butterfly.py [--quick] [--output quantize_butterfly.png]
"""

# %%
import argparse
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import sparseopt as so

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="n = 2^9 in place of 2^16")
parser.add_argument("--output", default="quantize_butterfly.png")
options, _ = parser.parse_known_args()
largest = 9 if options.quick else 16
methods: dict[str, tuple[str, dict[str, Any]]] = {
    "rounding to nearest": ("nearest", {}),
    "pair by pair (published)": ("pairwise", {}),
    "left to right (published)": ("left_to_right", {"weighted": False}),
    "left to right, weighted": ("left_to_right", {"weighted": True}),
    "swept": ("swept", {}),
}


# %% The relative error of each method
def butterfly(n: int, seed: int = 0) -> so.KroneckerProduct:
    """Return a square dyadic product with normal entries."""
    rng = np.random.default_rng(seed)
    architecture = so.Architecture.square_dyadic(n)
    return so.KroneckerProduct(
        [rng.standard_normal(p.values_shape) for p in architecture], architecture
    )


def errors(product: so.KroneckerProduct, t: int) -> list[float]:
    """Return the certified relative error of each method."""
    problem = so.ProductQuantization(product, t)
    found = []
    for name, settings in methods.values():
        solution = so.solve(problem, name, **settings)
        assert solution.status is so.Status.VERIFIED
        found.append(solution.certificate.relative_error)
    return found


# %% Over the digits
digits = range(2, 9)
large = butterfly(2**largest)
by_digits = np.array([errors(large, t) for t in digits])
print(f"n = 2^{largest}")
print(f"{'t':>3s}  " + "  ".join(f"{name:>25s}" for name in methods))
for t, row in zip(digits, by_digits, strict=True):
    print(f"{t:3d}  " + "  ".join(f"{error:25.3g}" for error in row))

# %% How many digits rounding to nearest takes for the same error, over t
wide = np.arange(2, 24)
nearest = [so.ProductQuantization(large, int(t)).nearest_relative_error for t in wide]
print("\ndigits of rounding to nearest for the same error, over t")
for t, row in zip(digits, by_digits, strict=True):
    equal = np.interp(-np.log(row), -np.log(nearest), wide) / t
    print(f"{t:3d}  " + "  ".join(f"{ratio:25.2f}" for ratio in equal))

# %% Over the size
sizes = [2**k for k in range(4, largest + 1)]
by_size = np.array([errors(butterfly(n), 8) for n in sizes])
print("\nt = 8")
for n, row in zip(sizes, by_size, strict=True):
    print(f"{n:6d}  " + "  ".join(f"{error:25.3g}" for error in row))

# %% Both panels
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), sharey=False, layout="constrained")
for k, (name, marker) in enumerate(zip(methods, "osv^D", strict=True)):
    left.semilogy(digits, by_digits[:, k], marker=marker, label=name)
    right.loglog(sizes, by_size[:, k], marker=marker, base=2)
right.set_yscale("log")
left.set(xlabel="digits t", ylabel="relative error", title=f"n = 2^{largest}")
right.set(xlabel="size n", title="t = 8")
left.legend()
for axis in (left, right):
    axis.grid(True, which="major", alpha=0.3)
figure.savefig(options.output, dpi=120)
print(f"\nwritten to {options.output}")
