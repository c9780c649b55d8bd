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
}
