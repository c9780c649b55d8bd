"""Errors of products too large to expand, from products with random vectors.

For Gaussian vectors g_1, .., g_k and D = target - product, the estimate
e^2 = sum |D g_i|^2 / k has mean |D|_F^2. It is small only by bad luck:

    P(e^2 <= t |D|_F^2) <= (t exp(1 - t))^(k / 2)    for 0 < t < 1.

Proof. With the singular values of D scaled to squares w_j of sum 1, k e^2 / |D|^2 is
sum_j w_j X_j with independent chi-square X_j of k degrees of freedom. For z > 0, Markov's
inequality for exp(-z sum w_j X_j) gives P <= exp(z t k) prod_j (1 + 2 z w_j)^(-k / 2), and the
product of the brackets is at least 1 + 2 z. Take 1 + 2 z = 1 / t. Complex Gaussian vectors have
twice the degrees of freedom, so the bound holds for them with room.

So |D|_F <= e / sqrt(t) except with the probability on the right; t is chosen to make that FAILURE.
The vectors must not be known to whoever makes the answer: their seed is the SHA-256 digest of the
answer, so an answer cannot be fitted to its own vectors short of trying about 1 / FAILURE answers.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sparseopt.butterfly.target import multiply
from sparseopt.kronecker.product import KroneckerProduct

if TYPE_CHECKING:
    from sparseopt.butterfly.problem import ButterflyFactorization

FAILURE = 1e-9
"""Probability with which a probed error is too small."""


@lru_cache(maxsize=64)
def deflation(count: int) -> float:
    """Return t with (t exp(1 - t))^(count / 2) = FAILURE, by bisection.

    Examples
    --------
    >>> round(deflation(64), 2)
    0.25
    """
    aim = 2 / count * math.log(FAILURE)
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        below = middle == 0.0 or math.log(middle) + 1 - middle < aim
        low, high = (middle, high) if below else (low, middle)
    return low


def probed_error(problem: ButterflyFactorization, answer: KroneckerProduct, count: int) -> float:
    """Return an upper bound of the error that holds except with probability FAILURE.

    Parameters
    ----------
    count : int
        Number of vectors; the bound is larger than the error by about 1 / sqrt(t), a factor of
        3.0 for 32 vectors, 2.0 for 64 and 1.2 for 512.

    Returns
    -------
    float
        `count` products with the target and with the answer.
    """
    numbers = answer.to_numpy()
    digest = hashlib.sha256(str(answer.architecture).encode())
    for factor in numbers.factors:
        digest.update(np.ascontiguousarray(factor).tobytes())
    rng = np.random.default_rng(int.from_bytes(digest.digest(), "little"))
    x = rng.standard_normal((problem.shape[1], count))
    scaling = problem.scaling
    double = [
        f.astype(np.complex128 if f.dtype.kind == "c" else np.float64) for f in numbers.factors
    ]
    exact = KroneckerProduct(tuple(double), answer.architecture)
    difference = multiply(problem.target, x * scaling) - exact.matmat(x * scaling)
    estimate = float(np.linalg.norm(difference)) / math.sqrt(count) / scaling
    return estimate / math.sqrt(deflation(count))
