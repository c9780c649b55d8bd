"""How far can the output of a digits network move? Path sums against products of spectral norms.

Both are Lipschitz constants of the network in the 2-norm. The product multiplies the norms of the
layers and knows that signs cancel; the path bound is the norm of the table of path sums, which
knows which weights meet on a path, and does not change when neurons are rescaled. Neither is
always the smaller one. The measured slope, the largest seen on pairs of images, is below both.
Takes a few seconds.
"""

# %%
from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np

import sparseopt as so
from sparseopt.networks.network import Network
from sparseopt.networks.operator import Operator

NETWORKS = Path(__file__).parent / "networks"


# %% The product of spectral norms
def spectral_norm(op: Operator, shape: tuple[int, ...], rounds: int = 200) -> float:
    """Return the spectral norm of a linear layer by power iteration."""
    x = np.random.default_rng(0).standard_normal((1, *shape))
    norm = 0.0
    for _ in range(rounds):
        (back,) = op.adjoint(op.propagate([x]), [shape])
        norm = math.sqrt(float(np.linalg.norm(back)))
        x = back / norm**2
    return norm


def product_of_norms(network: Network) -> float:
    """Return the product over the layers of a chain; ReLU and disjoint max-pools count 1."""
    product = 1.0
    for node in network.merged.nodes[1:]:
        (before,) = node.inputs
        if node.op.weight_fields or type(node.op).__name__ == "Resample":
            product *= spectral_norm(node.op, network.merged.shapes[before])
    return product


# %% What is seen on images
def measured(network: Network, pairs: int) -> float:
    """Return the largest slope between pairs of images and between images and near copies."""
    rng = np.random.default_rng(0)
    x = rng.random((pairs, *network.input_shape))
    y = x + rng.standard_normal(x.shape) * 10.0 ** rng.uniform(-3, 0, (pairs, 1, 1, 1))
    change = (network.run(y) - network.run(x)).reshape(pairs, -1)
    step = (y - x).reshape(pairs, -1)
    return float((np.linalg.norm(change, axis=1) / np.linalg.norm(step, axis=1)).max())


# %% Compare
def main(pairs: int) -> None:
    """Print one line per network."""
    print(f"{'network':<12} {'measured':>10} {'path bound':>12} {'product':>12}")
    for name in ("digits_mlp", "digits_cnn"):
        network = so.load_network(NETWORKS / f"{name}.onnx")
        solution = so.solve(so.LipschitzBound(network, p_in=2, p_out=2))
        seen, product = measured(network, pairs), product_of_norms(network)
        print(f"{name:<12} {seen:>10.3g} {solution.answer.value:>12.4g} {product:>12.4g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pairs of images")
    main(200 if parser.parse_args().quick else 5000)
