"""Planted faults that change no verdict, by name, each with the reason."""

EQUIVALENT: dict[str, str] = {
    "sparseopt.certificate:check_certificate: leave out: "
    'steps.require(isinstance(asked, Problem), "the certificate names its problem")': (
        "the assertion after it refuses too, in fewer words"
    ),
    "sparseopt.verifying:verify: leave out: raise ProblemError( "
    'f"verify takes a Solution, Certificate, Finding, Report or a path, ...': (
        "None is no Check, so nothing is accepted"
    ),
    "sparseopt.verifying:_verify_findings: add 1: 1": "how many lines are shown",
    # Path quantities: bounds of rounding with a unit more or less, and ties of floats.
    "sparseopt.pathlifting.pathnorm:PathNormCertificate._prove_counts: add 1: 0": (
        "the largest of no counts, which are refused anyway"
    ),
    "sparseopt.pathlifting.pathnorm:_is_normal: turn Lt: 2.0**-1022 <= value < math.inf": (
        "an infinite norm has been dealt with before; else only the words of the claim"
    ),
    "sparseopt.pathlifting.pathnorm:_is_value: turn Sub: tolerance - 2 * right.error - 4 * UNIT": (
        "four units; so sharp an answer fails at its logarithm"
    ),
    "sparseopt.pathlifting.metric:PathDistanceCertificate._check_value: turn Sub: "
    "Fraction(TOLERANCE) - 2 * error - 4 * Fraction(UNIT)": "four units of rounding in 1e-9",
    "sparseopt.pathlifting.metric:PathDistanceCertificate._check_value: add 1: 4": (
        "five units of rounding instead of four"
    ),
    "sparseopt.pathlifting.pathcost:PathCostCertificate.check: add 1: 2": (
        "a unit more for the decimal in the claim"
    ),
    "sparseopt.pathlifting.pathcost:PathCostCertificate.check: turn LtE: 4 * error <= tolerance": (
        "a tie of two floats"
    ),
    "sparseopt.pathlifting.pathcost:PathCostCertificate.check: turn LtE: off <= allowed #2": (
        "the number of wrong shares in the message"
    ),
    "sparseopt.pathlifting.pathcost:_shares: add 1: 0": "what shares of 0 are divided by",
}
