"""A numeric hint where nothing is proved: do weights grow when products are fitted to targets?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.closedness.problem import Closedness
from sparseopt.interface.arrays import Supports
from sparseopt.interface.printing import printable, short_repr
from sparseopt.tools.growing.fitting import Fits
from sparseopt.tools.growing.targets import reached, structured_targets

GROWN = 1.0
"""Powers of ten from which weights count as grown; from 0.3 to 2 it makes no difference."""
MOST_CELLS, MOST_VARIABLES = 400, 1500
"""Beyond which nothing is fitted."""

WHAT_IT_IS = (
    "This is a numeric hint and no verdict. Products with these supports are fitted by "
    "Levenberg-Marquardt to targets at which weights that run away would show: limits in which two "
    "terms cancel, permutations with and without a line twice, few entries, products of sparse "
    "factors. Told is how many times larger than its target a fit became, its weights taken along "
    "paths without their signs. If the set is not closed, some target is approached by ever larger "
    "weights only; but a fit may miss it, and a fit that is slow may look like one."
)
"""For those who ask what the hint is."""


@short_repr
@dataclass(frozen=True, eq=False)
class WeightGrowth:
    """How large weights became in fits of products with fixed supports. A hint, no verdict.

    Attributes
    ----------
    targets : int
        How many targets were fitted; 0 if the supports are too large, or time ran out.
    growth : float
        The largest log10 of |W_1| ... |W_L| (absolute values, Frobenius norm) over the norm of the
        target, among fits that approach their target and do not stop at it.
    target : float array or None
        The one with that growth.
    error : float
        The distance of that fit to it, over its norm.
    factors : tuple of float array
        Of that fit.
    """

    targets: int
    growth: float
    target: np.ndarray | None
    error: float
    factors: tuple[np.ndarray, ...]

    @property
    def grew(self) -> bool:
        """Whether the weights of some fit grew."""
        return self.growth >= GROWN

    def to_fields(self) -> dict[str, Any]:
        """Return the figures, with the target as a list where weights grew."""
        target = self.target.tolist() if self.grew and self.target is not None else None
        return {
            "targets": self.targets,
            "growth_log10": self.growth if self.targets else None,
            "error": self.error,
            "target": target,
        }

    def __str__(self) -> str:
        if not self.targets:
            return "weights were not fitted to targets: too many of them, or too little time"
        if not self.grew:
            return f"no blow-up seen on {self.targets} targets"
        assert self.target is not None
        rows = "; ".join(" ".join(f"{v:.3g}" for v in row) for row in self.target.tolist())
        grown = f"weights grew 10^{self.growth:.1f}-fold (error {self.error:.1g}) on the target"
        return printable(f"{grown} [{rows}]", 600)


def weight_growth(
    supports: Supports,
    targets: int = 80,
    restarts: int = 4,
    iterations: int = 60,
    seed: int = 0,
    time_limit: float | None = None,
) -> WeightGrowth:
    """Fit products with fixed supports to structured targets and tell how large weights became.

    A hint where `Closedness` is unknown, never a verdict: see `WHAT_IT_IS`.

    Parameters
    ----------
    supports : sequence of 0/1 arrays
        As for `Closedness`.
    targets, restarts, iterations : int
        Targets, random starts of each, and steps of Levenberg-Marquardt of each.
    seed : int
        Of the targets and the starts.
    time_limit : float, optional
        Seconds; targets that were not fitted by then do not count.

    Returns
    -------
    WeightGrowth

    Notes
    -----
    O(targets x restarts x iterations x min(cells, weights)^2 x max(cells, weights)), many fits in
    one array. Nothing is fitted beyond 400 cells or 1500 weights.

    Examples
    --------
    >>> import sparseopt as so
    >>> print(so.weight_growth([[[1, 1], [1, 1]], [[1, 1], [1, 1]]]))
    no blow-up seen on 80 targets
    >>> so.weight_growth([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]).grew
    True
    """
    chain = Closedness(supports).supports
    cells = chain[0].shape[0] * chain[-1].shape[1]
    weights = sum(int(support.sum()) for support in chain)
    nothing = WeightGrowth(0, 0.0, None, 0.0, ())
    if cells > MOST_CELLS or weights > MOST_VARIABLES or not np.any(reached(chain)):
        return nothing
    rng = np.random.default_rng(seed)
    end = np.inf if time_limit is None else time.monotonic() + time_limit
    wanted = structured_targets(chain, targets, rng)
    best, fitted = nothing, 0
    # So many targets at a time that a time limit is kept and the arrays stay small.
    together = (
        targets if cells * weights <= 400 else max(1, min(targets, 40_000 // (cells * weights)))
    )
    for start in range(0, targets, together):
        part = wanted[start : start + together]
        found = _fitted(chain, part, restarts, iterations, rng, end)
        if time.monotonic() > end:
            break
        fitted += len(part)
        best = max(best, found, key=lambda each: each.growth)
    return WeightGrowth(fitted, best.growth, best.target, best.error, best.factors)


def _fitted(
    chain: tuple[np.ndarray, ...],
    wanted: np.ndarray,
    restarts: int,
    iterations: int,
    rng: np.random.Generator,
    end: float,
) -> WeightGrowth:
    """Return the largest growth among the best fits of some targets."""
    count = len(wanted)
    factors = [rng.standard_normal((count * restarts, *s.shape)) * s for s in chain]
    fits = Fits(chain, np.repeat(wanted, restarts, axis=0), factors)
    fits.run(iterations, lambda: time.monotonic() < end)
    norms = np.linalg.norm(wanted, axis=(1, 2))
    errors = np.sqrt(fits.errors.reshape(count, restarts)) / norms[:, None]
    chosen = np.argmin(errors, axis=1) + restarts * np.arange(count)
    paths = np.abs(factors[0][chosen])
    for factor in factors[1:]:
        paths = paths @ np.abs(factor[chosen])
    growth = np.log10(np.maximum(np.linalg.norm(paths, axis=(1, 2)) / norms, 1.0))
    least = errors.min(axis=1)
    # A fit that stops at its target is no limit, unless only huge weights took it there.
    growth[(least > 0.05) | ((least < 1e-11) & (growth < 3.0))] = 0.0
    top = int(np.argmax(growth))
    fit = int(chosen[top])
    return WeightGrowth(
        count, float(growth[top]), wanted[top], float(least[top]), tuple(f[fit] for f in factors)
    )
