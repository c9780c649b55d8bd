"""Errors of products too large to expand, from products with random vectors.

For Gaussian vectors g_1, .., g_k and D = target - product, the estimate e^2 = sum |D g_i|^2 / k has
mean |D|_F^2, and for 0 < t < 1 < s

    P(e^2 <= t |D|_F^2) <= (t exp(1 - t))^(k / 2),    P(e^2 >= s |D|_F^2) <= (s exp(1 - s))^(k / 2).

Proof. With the singular values of D scaled to squares w_j of sum 1, k e^2 / |D|^2 is
sum_j w_j X_j with independent chi-square X_j of k degrees of freedom. For z > 0, Markov's
inequality for exp(-z sum w_j X_j) gives P <= exp(z t k) prod_j (1 + 2 z w_j)^(-k / 2), and the
product of the brackets is at least 1 + 2 z. Take 1 + 2 z = 1 / t. For the other side, with
0 < z < 1/2, P <= exp(-z s k) prod_j (1 - 2 z w_j)^(-k / 2), and the product of the brackets is at
least 1 - 2 z; take 1 - 2 z = 1 / s. Complex Gaussian vectors have twice the degrees of freedom, so
the bounds hold for complex D with room.

Whoever checks draws the vectors himself, after problem, answer and bound are fixed, from the
operating system's randomness. So a bound E below |D|_F is confirmed, e <= sqrt(t) E, with
probability FAILURE at most, whoever made it and however; and a bound stated with room for another
draw's e is refused with probability UNLUCKY at most, though it holds.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from sparseopt.butterfly.problem import ButterflyFactorization, is_safe_norm
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.butterfly.target import Chain, Reader, as_double, is_operator
from sparseopt.judging.figures import Figure, NormSum
from sparseopt.judging.rounding import TINY, UNIT, gamma, sum_terms
from sparseopt.judging.scaling import exponent_of, largest_part, times_power

FAILURE = 1e-9
"""Probability with which a check confirms a bound that does not hold."""
UNLUCKY = 1e-6
"""Probability with which a check refuses a bound that holds and was stated with room."""

# Columns multiplied at once: the shorter the sums, the less they round.
_WIDTH = 512


def _last(holds: Callable[[float], bool], good: float, bad: float) -> float:
    """Return the last number, on the way from `good` to `bad`, for which something holds."""
    for _ in range(200):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def _log_tail(t: float, count: int) -> float:
    """Return the logarithm of the bound (t exp(1 - t))^(count / 2)."""
    return -math.inf if t == 0.0 else count / 2 * (math.log(t) + 1 - t)


@lru_cache(maxsize=64)
def deflation(count: int, probability: float = FAILURE) -> float:
    """Return t < 1 such that e^2 is at most t |D|^2 with this probability at most.

    Examples
    --------
    >>> round(deflation(64), 2)
    0.25
    """
    aim = math.log(probability)
    return _last(lambda t: _log_tail(t, count) <= aim, 0.0, 1.0)


@lru_cache(maxsize=64)
def inflation(count: int, probability: float = FAILURE) -> float:
    """Return s > 1 such that e^2 is at least s |D|^2 with this probability at most.

    Examples
    --------
    >>> round(inflation(64), 1)
    2.6
    """
    aim = math.log(probability)
    most = 2.0
    while _log_tail(most, count) > aim:
        most *= 2.0
    return _last(lambda s: _log_tail(s, count) <= aim, most, 1.0)


def allowance(count: int) -> float:
    """Return the factor from an estimate to the bound that is stated for it.

    1 / sqrt(t) makes it a bound; the rest is room for the estimate of whoever checks, which is the
    larger of the two by sqrt(s / t') at most, but for UNLUCKY: s and t' for half of it each.

    Examples
    --------
    >>> [round(allowance(count), 1) for count in (32, 64, 512)]
    [12.3, 5.3, 1.7]
    """
    spread = inflation(count, UNLUCKY / 2) / deflation(count, UNLUCKY / 2)
    return math.sqrt(spread / deflation(count))


def estimate(
    problem: ButterflyFactorization, answer: KroneckerProduct, count: int
) -> tuple[Figure, Figure | None]:
    """Return an estimate of the error by vectors drawn now, and the norm of the target.

    Of an operator other than a `KroneckerProduct` the norm is not known, nor is what its products
    round: they are taken as exact.

    In blocks of 512 columns, A X is off by at most gamma(512 + blocks) |A| |X|, whose norm is at
    most the product of both norms; F_1 .. F_L X by gamma(sum of c_l) |F_1| .. |F_L| |X|.
    """
    rng = np.random.default_rng(secrets.randbits(128))
    x = rng.standard_normal((problem.shape[1], count))
    target = problem.target
    norm: Figure | None = None
    if isinstance(target, KroneckerProduct):
        norm = problem.norm_figure
        exponent = norm.exponent
        y, room = _times(target, x, exponent)
    elif is_operator(target):
        y = as_double(np.asarray(target.matmat(x)))
        exponent = exponent_of(largest_part(y))
        y, room = times_power(y, -exponent), 0.0
    else:
        y, room, norm = _times_array(Reader(target), x)
        if not is_safe_norm(norm):
            y, room, norm = _times_array(Reader(target, problem.norm_figure.exponent), x)
        exponent = norm.exponent
    made, rounded = _times(answer, x, exponent)
    difference = NormSum()
    difference.add(y - made)
    found, root = difference.figure(), math.sqrt(count)
    room = (found.room + 4.0 * UNIT * found.value + room + rounded) / root
    return Figure(found.value / root, room, exponent), norm


def _times_array(reader: Reader, x: np.ndarray) -> tuple[np.ndarray, float, Figure]:
    """Return target times x, scaled, a bound of the norm of what was rounded, and the norm of the
    target; one read of it."""
    m, n = reader.target.shape
    y, norm, sums = np.zeros((m, x.shape[1])), NormSum(), np.zeros(m, dtype=np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows, columns, part in reader.placed_parts():
            norm.add(part)
            if part.dtype.kind == "c":
                y = y.astype(np.complex128, copy=False)
            for start in range(columns.start, columns.stop, _WIDTH):
                stop = min(start + _WIDTH, columns.stop)
                own = part[:, start - columns.start : stop - columns.start]
                y[rows] += own @ x[start:stop]
                sums[rows] += 1
    figure = norm.figure()
    # Every row is a sum of so many sums, each of at most _WIDTH products.
    terms = sum_terms(min(n, _WIDTH) + 1 + int(sums.max()), y)
    sizes = figure.high() * float(np.linalg.norm(x))
    return y, 1.01 * (gamma(terms) + TINY) * sizes, replace(figure, exponent=reader.exponent)


def _times(product: KroneckerProduct, x: np.ndarray, exponent: int) -> tuple[np.ndarray, float]:
    """Return product times x times 2**-exponent, and a bound of the norm of what was rounded."""
    chain = Chain(product, exponent)
    return chain.times(x), chain.room(float(np.linalg.norm(chain.magnitudes(np.abs(x)))))
