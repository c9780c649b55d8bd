"""Planted faults that change no verdict, by name, each with the reason.

Most stand in ``equivalent/*.txt``, one file for each room of the library: the reason after a
``#``, and below it the faults that share it.
"""

from pathlib import Path

EQUIVALENT: dict[str, str] = {
    "sparseopt.judging.verifying:_verify_parts: leave out: raise ProblemError( "
    '"verify takes a Solution, Certificate, Finding or Report, what hold...': (
        "None is not a Check, so nothing is accepted"
    ),
    "sparseopt.judging.verifying:_verify_parts: turn Eq: len(claims) == 1": "how many, in words",
    "sparseopt.judging.verifying:_verify_parts: add 1: 1": "how many, in words",
    "sparseopt.judging.verifying:_verify_part: add 1: 1": "how many lines are shown",
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
