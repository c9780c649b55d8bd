"""Products of factors in few bits for the inputs that a layer really gets.

Let m_j be the second moment of input j. If inputs were uncorrelated, the mean square error of the
layer would be ``sum_ij m_j (A - B)_ij^2``. In a chainable architecture of rank 1, with all but the
last two factors fixed, A - B falls into terms with disjoint supports, one for each inner column k:

    sum over k, i, j of  p_i m_j (x_i y_j - u_i v_j)^2,     x_i = alpha_i w_ik,

where p_i is the squared norm of column i of the quantized product before them, and alpha_i p_i its
inner product with the same column of the given one. Each is a `RankOneQuantization` with weights,
which is solved exactly, so the error falls or stays. Earlier factors do not see the inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.choosing.solving import solve
from sparseopt.interface.arrays import as_array
from sparseopt.quantization.chain_error import is_rank_one
from sparseopt.quantization.number_format import NumberFormat
from sparseopt.quantization.rank_one import RankOneQuantization


def second_moments(model: Any, layers: Sequence[Any], inputs: Any) -> list[np.ndarray]:
    """Return the mean squares of the inputs of layers when a module runs on a batch.

    Returns
    -------
    list of float64 array, shape (in_features,)
        Ones for layers that are not run.
    """
    import torch

    found: dict[int, list[Any]] = {id(layer): [] for layer in layers}

    def seen(layer: Any, arguments: Any) -> None:
        rows = arguments[0].detach().double().reshape(-1, layer.in_features)
        found[id(layer)].append(rows)

    handles = [layer.register_forward_pre_hook(seen) for layer in layers]
    some = next(model.parameters())
    tensor = inputs if torch.is_tensor(inputs) else torch.as_tensor(as_array(inputs, "inputs"))
    try:
        with torch.no_grad():
            model(tensor.to(device=some.device, dtype=some.dtype))
    finally:
        for handle in handles:
            handle.remove()
    result = []
    for layer in layers:
        rows = found[id(layer)]
        moments = torch.cat(rows).square().mean(dim=0).cpu().numpy() if rows else None
        result.append(np.ones(layer.in_features) if moments is None else moments)
    return result


def weighted_error(given: KroneckerProduct, other: KroneckerProduct, moments: np.ndarray) -> float:
    """Return ``sqrt(sum_ij m_j (A - B)_ij^2 / sum_ij m_j A_ij^2)``; O(mn), from the matrices."""
    roots = np.sqrt(moments)
    wanted = np.asarray(given.to_dense(), dtype=np.float64) * roots
    norm = float(np.linalg.norm(wanted))
    apart = np.asarray(other.to_dense(), dtype=np.float64) * roots - wanted
    return float(np.linalg.norm(apart)) / norm if norm else 0.0


def refined(
    given: KroneckerProduct, quantized: KroneckerProduct, form: NumberFormat, moments: np.ndarray
) -> KroneckerProduct:
    """Return a quantized product with other last two factors, where these have less weighted error.

    Products of one factor, complex ones and those not chainable with rank 1 are returned as they
    are. O(nnz), and the exact solution of a small problem for each inner column of the last pair.
    """
    real = given.factors[0].dtype.kind == "f"
    if len(given.factors) < 2 or not real or not is_rank_one(given.architecture):
        return quantized
    before = [np.asarray(f, dtype=np.float64) for f in given.factors]
    after = [np.asarray(f, dtype=np.float64) for f in quantized.factors]
    squares, common = _columns(before[:-2], after[:-2], before[-2].shape)
    pair = _Pair(before[-2], before[-1], squares, common, moments)
    u, v = pair.columns(after[-2]), pair.rows(after[-1])
    moved = [k for k in range(len(u)) if np.any(pair.x[k]) and np.any(pair.y[k])]
    for k in moved:
        problem = RankOneQuantization(pair.x[k], pair.y[k], form, form, pair.p[k], pair.m[k])
        new = solve(problem).answer
        if pair.cost(k, new.u, new.v) < pair.cost(k, u[k], v[k]):
            u[k], v[k] = new.u, new.v
    factors = [*quantized.factors[:-2], pair.from_columns(u), pair.from_rows(v)]
    dtype = quantized.factors[0].dtype
    return KroneckerProduct(tuple(f.astype(dtype) for f in factors), quantized.architecture)


def _columns(
    before: list[np.ndarray], after: list[np.ndarray], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return squared norms of the columns of the quantized product, and the inner products with
    those of the given one."""
    a, b, _, d = shape if not after else after[0].shape
    squares, common = np.ones(a * b * d), np.ones(a * b * d)
    for old, new in zip(before, after, strict=True):
        a, b, _, d = new.shape
        squares = (squares.reshape(a, b, 1, d) * new * new).sum(axis=1).ravel()
        common = (common.reshape(a, b, 1, d) * old * new).sum(axis=1).ravel()
    return squares, common


@dataclass(eq=False)
class _Pair:
    """The last two factors as terms."""

    first: np.ndarray
    second: np.ndarray
    squares: np.ndarray
    common: np.ndarray
    moments: np.ndarray

    def __post_init__(self) -> None:
        a, b, c, d = self.first.shape
        alpha = np.divide(
            self.common, self.squares, out=np.zeros_like(self.common), where=self.squares > 0
        )
        wide = np.ones((1, 1, c, 1))
        self.x = self.columns(self.first * alpha.reshape(a, b, 1, d))
        self.p = self.columns(self.squares.reshape(a, b, 1, d) * wide)
        self.y = self.rows(self.second)
        a, b, c, d = self.second.shape
        self.m = self.rows(self.moments.reshape(a, 1, c, d) * np.ones((1, b, 1, 1)))

    def columns(self, factor: np.ndarray) -> np.ndarray:
        """Return the values of the first factor, a row for each column."""
        return np.array(factor.transpose(0, 2, 3, 1).reshape(-1, factor.shape[1]))

    def from_columns(self, rows: np.ndarray) -> np.ndarray:
        """Return the factor that has these columns."""
        a, b, c, d = self.first.shape
        return np.ascontiguousarray(rows.reshape(a, c, d, b).transpose(0, 3, 1, 2))

    def rows(self, factor: np.ndarray) -> np.ndarray:
        """Return the values of the second factor, a row for each of its rows."""
        return np.array(factor.transpose(0, 1, 3, 2).reshape(-1, factor.shape[2]))

    def from_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the factor that has these rows."""
        a, b, c, d = self.second.shape
        return np.ascontiguousarray(rows.reshape(a, b, d, c).transpose(0, 1, 3, 2))

    def cost(self, k: int, u: np.ndarray, v: np.ndarray) -> float:
        """Return the weighted squared error of a term."""
        apart = np.outer(self.x[k], self.y[k]) - np.outer(u, v)
        return float(self.p[k] @ np.square(apart) @ self.m[k])
