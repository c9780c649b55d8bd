"""How fast is `KroneckerLinear` beside `torch.nn.Linear` and what is written in plain PyTorch?

Per size, chain and batch: one forward pass without gradients, and one training step (forward, and
the gradients of operand, bias and all values), float32, one thread, least of alternated tries in
one process, kernels loaded. The peers: a dense `torch.nn.Linear`; one `torch.einsum` per factor;
lazylinop's torch backend and torch-structured if they are installed; `torch.fft.rfft`, a fixed
transform of the same size; and the bare product, `KroneckerProduct.accelerated`, on a contiguous
operand (features, batch). ``--calibrate`` measures what `sparseopt_butterfly.merging` predicts and
prints its coefficients instead.

Run: python benchmarks/butterfly_linear.py [--output FILE] [--calibrate] [--table]
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import json
import platform
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls
from sparseopt_butterfly.torch_chain import apply, group_of, merged
from torch import nn

import sparseopt as so

Work = Callable[[], Any]


def times(works: dict[str, Work], tries: int, seconds: float = 0.005) -> dict[str, float]:
    """Return the least microseconds of processor time of each, tries alternated.

    All run on one thread, so that this is the elapsed time less what other jobs took. What takes
    longer than 10 ms a call is tried a fourth as often.
    """
    best = dict.fromkeys(works, np.inf)
    for work in works.values():
        work()
    for number in range(tries):
        for name, work in works.items():
            if number % 4 and best[name] > 1e4:
                continue
            if best[name] <= 1e4:
                work()  # not counted: the one before has had the cache
            count, start = 0, time.process_time()
            while time.process_time() - start < seconds:
                work()
                count += 1
            best[name] = min(best[name], 1e6 * (time.process_time() - start) / count)
    return best


class EinsumChain(nn.Module):
    """The same layer, one einsum per factor."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.factors, self.bias = layer.factors, layer.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the result for (batch, features)."""
        for factor in reversed(self.factors):
            a, _, c, d = factor.shape
            x = torch.einsum("nacd,abcd->nabd", x.reshape(-1, a, c, d), factor)
        return x.reshape(x.shape[0], -1) + self.bias


def lazylinop_chain(layer: Any) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Return the layer by lazylinop, whose operators take (features, batch), or None without it.

    The result is brought into the layout that a linear layer returns.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from lazylinop.butterfly import ksm
    except ImportError:
        return None
    operator = ksm([factor.detach().clone() for factor in layer.factors])
    torch.set_num_threads(1)  # lazylinop changes it
    return lambda x: (operator @ x.T).T.contiguous() + layer.bias


def structured_layer(n: int) -> nn.Module | None:
    """Return the layer of torch-structured for square dyadic chains, or None without it."""
    try:
        from torch_structured.structured import Butterfly
    except ImportError:
        return None
    made: nn.Module = Butterfly(n, n, bias=True)
    return made


def step_of(model: nn.Module, x: torch.Tensor, cotangent: torch.Tensor) -> Work:
    """Return what runs forward, and backward to operand and parameters."""
    inputs = [x, *model.parameters()]
    return lambda: torch.autograd.grad(model(x), inputs, cotangent)


def compare(tries: int) -> list[dict[str, Any]]:
    """Return one row per size, chain and batch."""
    rows = []
    for n in (256, 1024, 4096):
        p = 1 << ((n.bit_length() - 1) // 2)
        chains = {
            "monarch": so.Architecture.monarch(n, n, p, n // p),
            "square dyadic": so.Architecture.square_dyadic(n),
        }
        for (name, chain), batch in ((c, b) for c in chains.items() for b in (1, 16, 64, 128)):
            torch.manual_seed(0)
            layer = so.KroneckerLinear(n, n, chain).merge_for(batch)
            models = {"dense": nn.Linear(n, n), "einsum": EinsumChain(layer), "ours": layer}
            other = structured_layer(n) if name == "square dyadic" else None
            if other is not None:
                models["torch-structured"] = other
            x, cotangent = torch.randn(batch, n), torch.randn(batch, n)
            forward: dict[str, Work] = {k: partial(m, x) for k, m in models.items()}
            product, columns = layer.product.to_numpy().accelerated(), x.T.contiguous().numpy()
            forward["product"] = partial(product.__matmul__, columns)
            forward["torch.fft"] = partial(torch.fft.rfft, x)
            peer = lazylinop_chain(layer)
            if peer is not None:
                forward["lazylinop"] = partial(peer, x)
                torch.testing.assert_close(peer(x), layer(x), atol=1e-3, rtol=1e-3)
            torch.testing.assert_close(models["einsum"](x), layer(x), atol=1e-3, rtol=1e-3)
            with torch.no_grad():
                one = times(forward, tries)
            free = x.clone().requires_grad_()
            two = times({k: step_of(m, free, cotangent) for k, m in models.items()}, tries)
            rows.append(
                {
                    "n": n,
                    "chain": name,
                    "batch": batch,
                    "merging": list(layer.merging),
                    "forward_us": one,
                    "forward_ratio": {k: v / one["ours"] for k, v in one.items() if k != "ours"},
                    "step_us": two,
                    "step_ratio": {k: v / two["ours"] for k, v in two.items() if k != "ours"},
                    "over_product": one["ours"] / one["product"],
                    "step_over_forward": {k: two[k] / one[k] for k in two},
                }
            )
            print(_line(rows[-1]), flush=True)
    return rows


def _line(row: dict[str, Any]) -> str:
    parts = [f"{row['n']:5d} {row['chain']:<14} batch {row['batch']:<5}"]
    for kind in ("forward", "step"):
        ratios = "  ".join(f"{k} {v:.2f}" for k, v in row[f"{kind}_ratio"].items())
        parts.append(f"{kind} {row[f'{kind}_us']['ours']:8.0f} us: {ratios}")
    parts.append(f"step over forward {row['step_over_forward']['ours']:.1f}")
    return " | ".join(parts)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table of docs/benchmarks.md."""
    names = ("dense", "einsum", "lazylinop", "torch.fft", "torch-structured")
    names = tuple(name for name in names if any(name in row["forward_ratio"] for row in rows))
    head = ["layer", "us", *names, "over the product", "step: dense", "step: einsum"]
    head += ["step over forward", "the same, dense"]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for row in rows:
        cells = [f"{row['n']} {row['chain']}, batch {row['batch']}"]
        cells.append(f"{row['forward_us']['ours']:.0f}")
        cells += [_digits(row["forward_ratio"].get(name)) for name in names]
        cells += [_digits(row["over_product"])]
        cells += [_digits(row["step_ratio"][name]) for name in ("dense", "einsum")]
        cells += [_digits(row["step_over_forward"][name]) for name in ("ours", "dense")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _digits(figure: float | None) -> str:
    """Two digits."""
    if figure is None:
        return "-"
    return f"{figure:.0f}" if figure >= 9.95 else f"{figure:.2g}"


def calibrate(tries: int) -> None:
    """Print the coefficients of `sparseopt_butterfly.merging`, microseconds per count."""
    patterns = [(1, 48, 48, 16), (1, 192, 48, 2), (6, 64, 64, 1), (4, 64, 64, 4), (1, 2, 2, 512)]
    patterns += [(32, 2, 2, 16), (512, 2, 2, 1), (1, 32, 32, 32), (32, 32, 32, 1), (8, 4, 4, 32)]
    patterns += [(4, 8, 8, 16), (256, 4, 4, 1), (1, 8, 8, 128), (128, 8, 8, 1), (8, 16, 16, 8)]
    patterns += [(2, 2, 2, 32), (64, 2, 2, 1), (1, 256, 256, 1), (1, 64, 16, 16), (8, 16, 64, 1)]
    counts, found = [], []
    for pattern in (so.KroneckerPattern(*p) for p in patterns):
        for batch in (1, 8, 32, 128, 512):
            values = torch.randn(pattern.values_shape).requires_grad_()
            x = torch.randn(pattern.shape[1], batch, requires_grad=True)
            cotangent = torch.randn(pattern.shape[0], batch)
            work = partial(_backward, partial(apply, values, tuple(pattern), x), cotangent)
            found.append(times({"": work}, tries, 0.004)[""])
            vectors = sum(pattern.shape) * batch * 4 / 1024
            blocks, kib = pattern.a * pattern.d, pattern.nnz * 4 / 1024
            counts.append((1.0, blocks, kib, vectors, pattern.nnz * batch / 2**20))
    print("apply:", *_fit(counts, found))
    counts, found = [], []
    for n in (16, 64, 256, 1024):
        chain = so.Architecture.square_dyadic(n)
        for k in range(1, len(chain)):
            left, right = chain[:k].product, chain[k]
            x = torch.randn(left.values_shape, requires_grad=True)
            y = torch.randn(right.values_shape, requires_grad=True)
            cotangent = torch.randn(left.product(right).values_shape)
            group = group_of(so.Architecture([left, right]), 0, 2)
            work = partial(_backward, partial(merged, (x, y), group), cotangent)
            found.append(times({"": work}, tries, 0.004)[""])
            counts.append((1.0, cotangent.numel() * 4 / 1024))
    print("merge:", *_fit(counts, found))


def _backward(forward: Callable[[], torch.Tensor], cotangent: torch.Tensor) -> None:
    forward().backward(cotangent)


def _fit(counts: list[tuple[float, ...]], found: list[float]) -> tuple[list[float], str]:
    """Return coefficients of least squared relative error, and the quartiles of the ratios."""
    matrix, right = np.array(counts), np.array(found)
    weights, _ = nnls(matrix / right[:, None], np.ones(len(right)))
    quartiles = np.quantile(matrix @ weights / right, [0, 0.25, 0.5, 0.75, 1])
    return [float(f"{w:.3g}") for w in weights], f"predicted over measured, quartiles {quartiles}"


def main() -> None:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--table", action="store_true", help="print the table of kept results")
    default = Path(__file__).parent / "results/butterfly_linear.json"
    parser.add_argument("--output", type=Path, default=default)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.table:
        print(table(json.loads(args.output.read_text())["rows"]))
        return
    if args.calibrate:
        calibrate(args.tries)
        return
    versions = {}
    for package in ("torch", "numpy", "numba", "sparseopt", "lazylinop", "torch-structured"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    result = {
        "python": platform.python_version(),
        "versions": versions,
        "rows": compare(args.tries),
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
