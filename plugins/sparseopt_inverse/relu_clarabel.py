"""One run of Clarabel, as accurate as it gets and within the time."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt import Context, Inconclusive, TimeLimitReached


def run_clarabel(
    quadratic: Any,
    linear: np.ndarray,
    matrix: Any,
    right: np.ndarray,
    cones: list[Any],
    context: Context,
    *,
    regularization: float = 1e-8,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise ``x' Q x / 2 + linear . x`` over x with ``right - matrix x`` in the cones.

    Parameters
    ----------
    regularization : float
        Clarabel's own of its linear systems, 1e-8 unless told otherwise.

    Returns
    -------
    x, z : ndarray
        Primal and dual solution, however accurate: who asked looks at the gap.
    """
    import clarabel

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.static_regularization_constant = regularization
    settings.dynamic_regularization_eps = min(1e-13, 0.01 * regularization)
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-13
    if context.time_limit is not None:
        settings.time_limit = max(context.remaining(), 1e-3)
    try:
        found = clarabel.DefaultSolver(quadratic, linear, matrix, right, cones, settings).solve()
    except BaseException as error:
        # A panic of compiled Rust code is not an Exception.
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise Inconclusive(f"Clarabel failed: {type(error).__name__}: {error}") from error
    context.check_time("solving the cone program")
    if str(found.status) == "MaxTime":
        raise TimeLimitReached("the time limit ran out in the cone program")
    x, z = np.array(found.x), np.array(found.z)
    if not (np.isfinite(x).all() and np.isfinite(z).all()):
        raise Inconclusive(f"Clarabel ended with status {found.status}")
    return x, z
