"""Permuted products and their certificate: laws against dense matrices, forgeries refused."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import numpy as np
import pytest

import sparseopt as so
from sparseopt.judging.check import check_certificate
from sparseopt.tools.random_products import random_product
from sparseopt.tools.transforms import dft


def permuted(seed: int, dtype: type = np.float64) -> so.PermutedKroneckerProduct:
    rng = np.random.default_rng(seed)
    product = random_product([(1, 3, 4, 6), (2, 12, 5, 1)], rng, dtype)
    m, n = product.shape
    return so.PermutedKroneckerProduct(product, rng.permutation(m), rng.permutation(n))


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_operator_agrees_with_the_dense_matrix(dtype: type) -> None:
    operator = permuted(0, dtype)
    dense = operator.to_dense()
    np.testing.assert_allclose(
        dense[operator.rows][:, operator.columns], operator.product.to_dense()
    )
    rng = np.random.default_rng(1)
    m, n = operator.shape
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((m, 3))
    np.testing.assert_allclose(operator @ x, dense @ x, atol=1e-12)
    np.testing.assert_allclose(operator @ x[:, 0], dense @ x[:, 0], atol=1e-12)
    np.testing.assert_allclose(operator.matvec(x[:, :1]), dense @ x[:, :1], atol=1e-12)
    np.testing.assert_allclose(y.T @ operator, y.T @ dense, atol=1e-12)
    np.testing.assert_allclose(operator.rmatmat(y), dense.conj().T @ y, atol=1e-12)
    np.testing.assert_allclose(operator.rmatvec(y[:, 0]), dense.conj().T @ y[:, 0], atol=1e-12)
    np.testing.assert_allclose(operator.T.to_dense(), dense.T, atol=1e-12)
    np.testing.assert_allclose(operator.H.to_dense(), dense.conj().T, atol=1e-12)


def test_wrong_operands_are_refused() -> None:
    with pytest.raises(so.ProblemError, match="operand"):
        permuted(0).matmat(np.ones((2, 2)))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 0], "once"),
        ([0, 2], "once"),
        ([-1, 0], "once"),
        ([0], "2 integers"),
        ([0.0, 1.0], "2 integers"),
    ],
)
def test_only_permutations_are_taken(rows: list[float], message: str) -> None:
    product = so.KroneckerProduct([np.ones((1, 2, 2, 1))], so.Architecture([(1, 2, 2, 1)]))
    with pytest.raises(so.ProblemError, match=message):
        so.PermutedKroneckerProduct(product, np.array(rows), np.array([0, 1]))


@functools.cache
def solved() -> so.Solution:
    target = np.fft.fft(np.eye(8)) + 0.01 * np.random.default_rng(0).standard_normal((8, 8))
    return so.solve(so.ButterflyFactorization(target, so.Architecture.square_dyadic(8), "unknown"))


def test_the_error_is_that_of_the_dense_matrix() -> None:
    solution = solved()
    difference = solution.problem.target - solution.answer.to_dense()
    assert solution.certificate.error == pytest.approx(np.linalg.norm(difference), rel=1e-12)
    known = solution.certificate.for_these_orders
    assert known.lower_bound <= known.error <= known.upper_bound * (1 + 1e-12)


def test_json_comes_back_and_an_edited_file_is_refused() -> None:
    solution = solved()
    text = solution.to_json()
    assert so.verify(so.from_json(text)).ok
    assert json.loads(text)
    error = solution.certificate.error
    assert text.count(repr(error)) >= 1
    assert not so.verify(so.from_json(text.replace(repr(error), repr(error / 2)))).ok


def test_forged_answers_are_refused() -> None:
    certificate = solved().certificate
    problem, answer = certificate.problem, certificate.answer
    swapped = replace(answer, rows=answer.rows[::-1].copy())
    for wrong in (
        replace(certificate, answer=swapped),
        replace(certificate, stated_error=(0.0, certificate.error * 0.99)),
        replace(certificate, stated_error=(0.0, float("nan"))),
    ):
        assert not check_certificate(wrong, problem, wrong.answer).ok
    broken = replace(answer)
    object.__setattr__(broken, "rows", np.zeros(8, dtype=np.int64))
    wrong = replace(certificate, answer=broken)
    assert not check_certificate(wrong, problem, broken).ok


def test_certificates_of_the_two_kinds_are_not_exchanged() -> None:
    certificate = solved().certificate
    problem, answer = certificate.problem, certificate.answer
    other = so.ButterflyCertificate(problem, answer.product)
    assert not check_certificate(other, problem, answer.product).ok
    known = so.ButterflyFactorization(problem.target, problem.architecture)
    moved = replace(certificate, problem=known)
    assert not check_certificate(moved, known, answer).ok


def test_it_composes_with_products_and_operators() -> None:
    fourier = dft(8)
    product = random_product(so.Architecture.square_dyadic(8), np.random.default_rng(0))
    matrix, x = product.to_dense(), np.eye(8)
    exact = np.fft.fft(x)
    np.testing.assert_allclose((fourier @ product) @ x, exact @ matrix, atol=1e-12)
    np.testing.assert_allclose((product @ fourier) @ x, matrix @ exact, atol=1e-12)
    np.testing.assert_allclose((fourier @ fourier) @ x, exact @ exact, atol=1e-12)
    np.testing.assert_allclose((product + fourier) @ x, matrix + exact, atol=1e-12)
