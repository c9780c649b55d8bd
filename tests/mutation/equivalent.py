"""Planted faults that change no verdict, by name, each with the reason.

Most stand in ``equivalent/*.txt``, one file for each room of the library: the reason after a
``#``, and below it the faults that share it.
"""

from pathlib import Path

EQUIVALENT: dict[str, str] = {
    "sparseopt.judging.verifying:verify: leave out: raise ProblemError( "
    'f"verify takes a Solution, Certificate, Finding, Report or a path, ...': (
        "None is not a Check, so nothing is accepted"
    ),
    "sparseopt.judging.verifying:_verify_findings: add 1: 1": "how many lines are shown",
}

_SLACK = "a few more roundings allowed for; the bound holds with a last bit more or less of room"
_SIZES = "decides how long the proof takes, not what it proves"
_BORDER = "either way of evaluating at the border is a proof"

EQUIVALENT.update(
    {
        f"sparseopt.inverse.{name}": reason
        for name, reason in {
            "certificate:DualityGapCertificate._over_objective: add 1: 2": _SLACK,
            "certificate:DualityGapCertificate.check: add 1: 3": "how many indices are shown",
            "duality:objective_at_zero: add 1: 4": _SLACK,
            "duality:DualityGap.primal: turn Mult: math.fsum(limits) * self.room": (
                "the judge takes room 1"
            ),
            "duality:DualityGap.primal: add 1: 1070": _SLACK,
            "duality:DualityGap.reach: turn Add: size * self.norms + TINY": (
                "what underflows is bounded again by row_dots"
            ),
            "duality:DualityGap.reach: turn Gt: upper > self.limits_low": _BORDER,
            "duality:DualityGap.reach: turn LtE: lower <= scaled.limits": _BORDER,
            "duality:DualityGap.reach: add 1: 8": _SLACK,
            "duality:DualityGap._underflow: drop part 0: "
            "not primal.loss and not self.scaled.target.any()": (
                "for the target 0 the loss of the residual covers what underflows"
            ),
            "least_squares:projection_bound: drop part 0: "
            "scipy.sparse.issparse(scaled.design) and rows * columns > DENSE_LIMIT": _SIZES,
            "least_squares:projection_bound: turn Gt: rows * columns > DENSE_LIMIT": _SIZES,
            "least_squares:projection_bound: turn Mult: rows * columns": _SIZES,
            "least_squares:projection_bound: turn Lt: matrix.shape[1] < rows": _SIZES,
            "least_squares:projection_bound: turn Lt: whole < math.inf": (
                "the norm is then infinite or no number, and no gap is accepted"
            ),
            "least_squares:projection_bound: turn Lt: bound < whole": _BORDER,
            "least_squares:projection_bound: turn LtE: "
            "whole <= 2.0**-50 * norm_bound(scaled.target)": _SIZES,
            "least_squares:projection_bound: turn Mult: "
            "2.0**-50 * norm_bound(scaled.target)": _SIZES,
            "least_squares:projection_bound: add 1: 50": _SIZES,
            **{
                f"least_squares:projection_bound: {change}: "
                "count <= MOST_COLUMNS and count * count * rows <= MOST_PRODUCTS": _SIZES
                for change in ("drop part 0", "drop part 1", "swap and, or")
            },
            "least_squares:projection_bound: turn LtE: count <= MOST_COLUMNS": _SIZES,
            "least_squares:projection_bound: turn LtE: "
            "count * count * rows <= MOST_PRODUCTS": _SIZES,
            "least_squares:projection_bound: turn Mult: count * count * rows": _SIZES,
            "least_squares:projection_bound: turn Mult: count * count": _SIZES,
            "least_squares:_distinct_columns: turn Add: matrix[:, j] * sign + 0.0": (
                "equal columns that differ in the sign of a zero are kept both: dependent, no more"
            ),
            "least_squares:_distinct_columns: turn Mult: matrix[:, j] * sign": "signs are 1 or -1",
            "least_squares:_by_orthogonalisation: add 1: 16": _SLACK,
            "least_squares:_by_orthogonalisation: turn Lt: error < 0.5": _BORDER,
            "scaling:_column_chunks: add 1: 1": _SIZES,
            "scaling:_column_chunks: add 1: 0": _SIZES,
            "scaling:ScaledProblem.__init__: turn Gt: abs(exponent) > _SAFE_EXPONENT": _BORDER,
            "scaling:ScaledProblem.__init__: add 1: 0": ("another power of two scales as exactly"),
            **{
                f"scaling:ScaledProblem.{place}": "both ways of scaling are exact alike"
                for place in (
                    "_shift: turn Lt: abs(exponent) < 1000",
                    "_shift: add 1: 1000",
                    "_figure: turn Lt: abs(e) < 1000",
                    "_figure: add 1: 1000",
                )
            },
            "duality:DualityGap._products: add 1: 8": _SLACK,
            "duality:DualityGap._products: add 1: 8 #2": _SLACK,
            "scaling:ScaledProblem.original_above: turn Lt: "
            "float(self._shift(found, -2 * self._b)) < value": "rounds up a figure that is shown",
            "scaling:ScaledProblem.original_above: add 1: 2": "makes figures that are shown",
            "scaling:ScaledProblem.original_above: add 1: 2 #2": "makes figures that are shown",
            **{
                f"scaling:ScaledProblem.correlation: {change}: "
                "scipy.sparse.issparse(self.design) or self.design.dtype == np.float64": _SIZES
                for change in ("drop part 0", "drop part 1", "swap and, or")
            },
            "scaling:ScaledProblem.correlation: turn Eq: self.design.dtype == np.float64": _SIZES,
            "scaling:ScaledProblem.column_norm_bounds: turn Add: "
            "bounds + math.sqrt(rows) * TINY": "norms of blocks take magnitudes",
        }.items()
    }
)


def _listed() -> dict[str, str]:
    """Return what the files list."""
    found, reason = {}, ""
    for path in sorted((Path(__file__).parent / "equivalent").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("# "):
                reason = line[2:]
            elif line:
                found[line] = reason
    return found


EQUIVALENT.update(_listed())
