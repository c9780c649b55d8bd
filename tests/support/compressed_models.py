"""Models that are compressed."""

from __future__ import annotations

import numpy as np
from sparseopt_butterfly.layer_choice import Candidate, candidates_of, front_of


def front(weight: np.ndarray, max_nnz: int, max_rank: int) -> list[Candidate]:
    return front_of(candidates_of(weight, max_nnz, max_rank))
