"""What engines for plain penalties refuse."""

from __future__ import annotations

from sparseopt.inverse.problem import SparseRegression


def plain_only(problem: SparseRegression, engine: str) -> str:
    """Return why an engine for positive limits of norms and nothing else refuses, "" if not."""
    found = problem.structure()
    if found["operator"]:
        return f"{engine} needs the entries of the design; working_set takes operators"
    if found["complex"]:
        return f"{engine} takes real data only; working_set takes complex ones"
    if problem.sample_weights is not None:
        return f"{engine} takes no sample weights; working_set does"
    if not found["plain"]:
        return (
            f"{engine} takes norms with positive weights, without squares or signs; working_set "
            "takes the others"
        )
    return ""
