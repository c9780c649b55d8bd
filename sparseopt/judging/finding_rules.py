"""What the certificate of a finding must prove, by the finding's rule."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from sparseopt.interface.certificate import NOBODY, CheckFailed, Steps
from sparseopt.interface.finding import Finding
from sparseopt.interface.json_type import type_tag

RULES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "supports-closed": ("sparseopt:Closedness", {"answer.value": "closed"}),
    "supports-not-closed": ("sparseopt:Closedness", {"answer.value": "not_closed"}),
    "identifiable": ("sparseopt:Identifiability", {"answer.value": "identifiable"}),
    "not-identifiable": ("sparseopt:Identifiability", {"answer.value": "not_identifiable"}),
    "training-attained": ("sparseopt:SparseTraining", {"answer.value": "attained"}),
    "training-may-not-be-attained": (
        "sparseopt:SparseTraining",
        {"answer.value": "may_not_be_attained"},
    ),
    "path-norm": ("sparseopt:PathNorm", {"problem.q": 1, "problem.r": 1}),
    "path-count": ("sparseopt:PathNorm", {"problem.q": 0, "problem.r": 1}),
    "lipschitz-bound": ("sparseopt:LipschitzBound", {"problem.p_in": inf, "problem.p_out": 1}),
    "measured-slopes": ("sparseopt:LipschitzBound", {"problem.p_in": inf, "problem.p_out": 1}),
}
"""Rule to the problem of its certificate, and what the certificate must hold for the rule to be
true. A rule that is not listed, of a third party, says no more than its certificate's claim."""


def agrees(finding: Finding) -> bool:
    """Whether a finding's rule says what its certificate, once accepted, proves."""
    try:
        require_agreement(finding, Steps(NOBODY))
    except CheckFailed:
        return False
    return True


def require_agreement(finding: Finding, steps: Steps) -> None:
    """Require that a finding's rule says what its accepted certificate proves."""
    plain = type(finding) is Finding and type(finding.rule) is str
    steps.require(plain, "a finding of the core's own class names its rule by a text")
    if finding.rule not in RULES:
        steps.note("the name of this rule is not checked; only the claim above is")
        return
    problem, values = RULES[finding.rule]
    certificate = finding.certificate
    assert certificate is not None
    found = type_tag(type(certificate.problem))
    steps.require(found == problem, f"the rule {finding.rule} rests on a {problem}", found)
    for path, value in values.items():
        part, _, name = path.partition(".")
        held = getattr(getattr(certificate, part), name)
        agrees = held == value
        steps.require(agrees, f"the rule {finding.rule} says that its {name} is {value}", f"{held}")
