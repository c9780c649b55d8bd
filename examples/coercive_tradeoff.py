"""What does weight decay buy where no factors are nearest? Error against norm, with proofs.

For the supports of an LU factorization of 2 x 2 matrices and the target [[0, 1], [1, 0]] no factors
are nearest: the error falls to 0 only as the factors grow (survey Box 2 and section 3.3). With a
decay there always is an optimum, of a nonconvex problem all the same, and here each point comes
with a proof that it is a global one. The path of all decays is the trade-off: the norm grows like
decay^(-1/3), the squared error falls like decay^(2/3). A target with an optimum is drawn beside it,
and one whose optimum is so far away that the path cannot tell the difference.
"""

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import sparseopt as so

SUPPORTS = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
TARGETS: dict[str, list[list[float]]] = {
    "exchange of rows: no optimum": [[0, 1], [1, 0]],
    "positive definite: an optimum": [[1, 1], [1, 2]],
    "pivot 0.05: an optimum of norm 40": [[0.05, 1], [1, 0]],
}


# %% One decay, one certificate
solution = so.solve(
    so.FixedSupportFactorization(TARGETS["exchange of rows: no optimum"], SUPPORTS, 0.1)
)
print(solution.certificate.claim)


# %% The paths
def draw(paths: dict[str, so.DecayPath], output: Path) -> None:
    """Draw the loss against the norm, and the norm against the decay."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, path in paths.items():
        left.loglog(path.norms, path.losses, marker="o", label=name)
        right.loglog(path.decays, path.norms, marker="o")
    left.set(xlabel="1/2 (|X|² + |Y|²)", ylabel="1/2 |A - X Y|²", title="what all factors reach")
    left.legend(fontsize="small")
    ends = [max(path.decays) / 10, min(path.decays)]
    right.loglog(ends, [7 * (end / 1e-2) ** (-1 / 3) for end in ends], color="black", ls=":")
    right.text(3e-5, 9 * (3e-5 / 1e-2) ** (-1 / 3), "decay$^{-1/3}$")
    right.set(xlabel="decay", ylabel="1/2 (|X|² + |Y|²)", title="norms along the path")
    figure.savefig(output, dpi=150)
    print(f"written to {output}")


def main(quick: bool, output: Path) -> None:
    """Compute the paths, print what is proved, and draw them."""
    paths = {}
    decays = [10.0 ** (-0.5 * i) for i in range(1, 6 if quick else 12)]
    for name, target in TARGETS.items():
        path = paths[name] = so.decay_path(so.FixedSupportFactorization(target, SUPPORTS), decays)
        print(f"\n{name}\n{path}")
        # This is proved for all factors with these supports, not only for those that were found:
        loss = path.losses[-1]
        least = path.least_norm(loss)
        print(f"any factors with a loss of {loss:.3g} have a norm of at least {least:.4g}")
    try:
        draw(paths, output)
    except ImportError:
        print("no figure: pip install 'sparseopt[plot]'")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="five decays instead of eleven")
    parser.add_argument("--output", type=Path, default=Path("coercive_tradeoff.png"))
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
