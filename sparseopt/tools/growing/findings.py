"""The hint of `weight_growth` as a finding that stands beside an "unknown"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparseopt.interface.context import Context
from sparseopt.interface.finding import Finding, Severity
from sparseopt.tools.growing.growth import WHAT_IT_IS, weight_growth

_SECONDS, _LEAST = 2.0, 0.3


def growth_finding(supports: Sequence[np.ndarray], where: str, context: Context) -> Finding:
    """Return the finding for supports whose closedness is unknown.

    It takes at most two seconds, and 0.3 seconds where no time is left.
    """
    seconds = min(_SECONDS, max(_LEAST, context.remaining()))
    found = weight_growth(supports, seed=context.seed or 0, time_limit=seconds)
    remedy = "until it is proved, take the supports for not closed" if found.grew else ""
    message = f"{found}. {WHAT_IT_IS}" if found.targets else str(found)
    return Finding("weight-growth", Severity.INFO, where, message, found.to_fields(), remedy)
