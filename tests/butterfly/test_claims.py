"""What certificates of factorizations say in words and figures is true, digit by digit."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg
from exact_factors import exact_product, rational, squared_difference, times
from factorization_statements import butterflies, nearby, permutations, supports

import sparseopt as so
from sparseopt.judging.check import check_certificate
from sparseopt.judging.figures import Figure
from sparseopt.judging.stated import ratio

NUMBER = r"([\d.]+(?:e[+-]\d+)?)"
CERTIFICATES = {
    name: certificate
    for name, certificate in (*butterflies(), *permutations(), *supports())
    if "probed" not in name
}


def truth(certificate: Any) -> Fraction:
    """Return the squared error, exactly."""
    problem, answer = certificate.problem, certificate.answer
    if isinstance(answer, so.SupportedFactors):
        made = times(rational(answer.left), rational(answer.right))
        return squared_difference(rational(problem.target), made)
    target = problem.target
    if isinstance(answer, so.PermutedKroneckerProduct):
        target, answer = target[np.ix_(answer.rows, answer.columns)], answer.product
    given = exact_product(target) if isinstance(target, so.KroneckerProduct) else rational(target)
    return squared_difference(given, exact_product(answer))


def said(pattern: str, claim: str) -> Fraction:
    """Return the number that a claim holds in a place."""
    found = re.search(pattern + NUMBER, claim)
    assert found, (pattern, claim)
    return Fraction(Decimal(found[1]))


@pytest.mark.parametrize("name", CERTIFICATES)
def test_the_error_in_words(name: str) -> None:
    certificate = CERTIFICATES[name]
    claim, square = check_certificate(certificate).claim, truth(certificate)
    if "error 0" in claim:
        assert square == 0
        assert certificate.relative_error == certificate.accuracy == 0.0
        return
    most, rounding = said("error at most ", claim), said("of which at most ", claim)
    assert square <= most**2
    # The six digits of the bound are rounded up, which is not counted as rounding.
    assert max(Fraction(certificate.error) - rounding, Fraction(0)) ** 2 <= square
    assert Fraction(certificate.error) <= most
    assert certificate.error_interval[1] == certificate.error
    norm = certificate._norm if hasattr(certificate, "_norm") else certificate._comparison.norm
    assert Fraction(certificate.relative_error) ** 2 * Fraction(norm.low()) ** 2 >= square
    if norm.low() > 1e-300:
        assert certificate.relative_error <= 1.0000001 * certificate.error / norm.high()


@pytest.mark.parametrize("name", CERTIFICATES)
def test_bounds_in_words_and_the_accuracy(name: str) -> None:
    certificate = CERTIFICATES[name]
    claim = check_certificate(certificate).claim
    if isinstance(certificate, so.PermutedButterflyCertificate):
        assert certificate.accuracy == certificate.relative_error
        return
    is_butterfly = isinstance(certificate, so.ButterflyCertificate)
    assert ("have an error below" in claim or "has an error below" in claim) == (
        not is_butterfly or certificate.bounds
    )
    if is_butterfly and not certificate.bounds:
        assert certificate.accuracy == certificate.relative_error
        return
    low = Fraction(certificate.lower_bound)
    assert said("an error below ", claim) <= low
    assert low**2 <= truth(certificate) or certificate.error == 0.0
    gap = Fraction(certificate.error) - low
    norm = certificate._norm
    if certificate.error:
        assert Fraction(certificate.accuracy) * Fraction(norm.low()) >= gap
    if norm.low() > 1e-300:
        assert certificate.accuracy * norm.high() <= 1.0000001 * float(gap)
    if is_butterfly:
        lows, highs = zip(*certificate.split_errors, strict=True)
        squares = [Fraction(x) ** 2 for x in lows]
        assert low**2 <= squares[0] + max(squares[1:], default=Fraction(0))
        high = Fraction(certificate.upper_bound)
        assert high**2 >= sum(Fraction(x) ** 2 for x in highs)
        assert said("infimum is at most ", claim) >= high
        assert low <= high
    elif certificate.answer.attainment == "attained" and certificate.gap:
        assert said("above the least one by at most ", claim) >= Fraction(certificate.gap) >= gap


def test_bounds_survive_the_way_through_json() -> None:
    certificate = so.ButterflyCertificate(*nearby(), bounds=True)
    back = so.from_json(so.to_json(certificate))
    assert back.bounds
    assert back.split_errors == certificate.split_errors
    assert back.error_interval == certificate.error_interval
    assert not so.from_json(so.to_json(so.ButterflyCertificate(*nearby()))).bounds
    stated = so.ButterflyCertificate(*nearby(), stated_splits=certificate.split_errors)
    assert stated.bounds


def test_files_of_earlier_versions_are_read() -> None:
    body = json.loads(so.to_json(so.ButterflyCertificate(*nearby(), bounds=True)))
    del body["error_low"]
    body["split_errors"] = [high for _, high in body["split_errors"]]
    certificate = so.from_json(json.dumps(body))
    assert certificate.error_interval[0] == 0.0
    assert all(low == high for low, high in certificate.split_errors)


def test_probed_errors_say_how_they_are_checked() -> None:
    problem, product = nearby()
    certificate = so.ButterflyCertificate(problem, product, probes=64)
    check = check_certificate(certificate)
    error = math.sqrt(truth(so.ButterflyCertificate(problem, product)))
    assert "draws 64 random vectors anew" in check.claim
    assert "probability 1e-09 at most" in check.claim
    assert error <= certificate.error <= 8 * error
    assert said("error at most ", check.claim) >= Fraction(certificate.error)
    assert certificate.error_interval[0] == 0.0
    again = so.from_json(so.to_json(certificate))
    assert all(check_certificate(again).ok for _ in range(20))


@pytest.mark.parametrize("probes", [0, 16])
def test_operators_are_taken_at_their_word(probes: int) -> None:
    problem, product = nearby()
    operator = scipy.sparse.linalg.aslinearoperator(np.asarray(problem.target))
    given = so.ButterflyFactorization(operator, problem.architecture)
    certificate = so.ButterflyCertificate(given, product, probes=probes)
    check = check_certificate(certificate)
    assert check.ok
    assert "taking the products of the target operator as exact" in check.claim
    assert certificate.relative_error == pytest.approx(certificate.error / problem.norm, rel=1e-9)
    plain = check_certificate(so.ButterflyCertificate(problem, product, probes=probes))
    assert "operator" not in plain.claim


def test_ratios() -> None:
    assert ratio(0.0, Figure(0.0, 0.0)) == 0.0
    assert ratio(1.0, Figure(0.0, 0.0)) == math.inf
    assert Fraction(ratio(1.0, Figure(3.0, 0.0))) >= Fraction(1, 3)
    assert ratio(1.0, Figure(3.0, 0.5)) == pytest.approx(0.4)


def test_an_old_verdict_does_not_outlive_its_data() -> None:
    target = np.array(nearby()[0].target)
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(8))
    certificate = so.ButterflyCertificate(problem, nearby()[1])
    stated = so.ButterflyCertificate(problem, nearby()[1], certificate.error_interval)
    assert check_certificate(stated).ok
    target[0, 0] += 1.0
    assert not check_certificate(stated).ok


def test_remarks_are_no_part_of_a_claim() -> None:
    problem = so.FixedSupportFactorization(np.eye(2), [np.ones((2, 2)), np.ones((2, 2))])
    answer = so.SupportedFactors(np.eye(2), np.eye(2), "attained", "proved optimal by an oracle")
    check = check_certificate(so.FixedSupportCertificate(problem, answer))
    assert check.ok
    assert "oracle" not in str(check)
    assert "remark, not checked: proved optimal by an oracle" in str(answer)
