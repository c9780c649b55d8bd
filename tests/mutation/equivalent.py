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
    # Path quantities: bounds of rounding with a unit more or less, and ties of floats.
    "sparseopt.pathnorm.path_norm:PathNormCertificate._prove_counts: add 1: 0": (
        "the largest of no counts, which are refused anyway"
    ),
    "sparseopt.pathnorm.path_norm:_is_normal: turn Lt: 2.0**-1022 <= value < math.inf": (
        "an infinite norm has been dealt with before; else only the words of the claim"
    ),
    "sparseopt.pathnorm.path_norm:_is_value: turn Sub: tolerance - 2 * right.error - 4 * UNIT": (
        "four units; so sharp an answer fails at its logarithm"
    ),
    "sparseopt.pathnorm.path_distance:PathDistanceCertificate._check_value: turn Sub: "
    "Fraction(TOLERANCE) - 2 * error - 4 * Fraction(UNIT)": "four units of rounding in 1e-9",
    "sparseopt.pathnorm.path_distance:PathDistanceCertificate._check_value: add 1: 4": (
        "five units of rounding instead of four"
    ),
    "sparseopt.pathnorm.path_cost:PathCostCertificate.check: add 1: 2": (
        "a unit more for the decimal in the claim"
    ),
    "sparseopt.pathnorm.path_cost:PathCostCertificate.check: turn LtE: 4 * error <= tolerance": (
        "a tie of two floats"
    ),
    "sparseopt.pathnorm.path_cost:PathCostCertificate.check: turn LtE: off <= allowed #2": (
        "the number of wrong shares in the message"
    ),
    "sparseopt.pathnorm.path_cost:_shares: add 1: 0": "what shares of 0 are divided by",
}


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
