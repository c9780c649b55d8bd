"""The boxes and figures of the survey: what the examples compute, by independent routes."""

from __future__ import annotations

import importlib.util
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft

import sparseopt as so

ROOT = Path(__file__).parents[2]


def load(name: str) -> Any:
    """Return an example as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("k", [1, 3, 10])
def test_box_2_the_sequence_has_the_error_that_is_printed(k: int) -> None:
    module = load("box2")
    left, right = (
        [[Fraction(value).limit_denominator(100) for value in row] for row in factor]
        for factor in module.printed(k)
    )
    product = [[sum(left[i][t] * right[t][j] for t in range(2)) for j in range(2)] for i in (0, 1)]
    assert product == [[Fraction(1, k * k), 1], [1, 0]]
    assert module.error(*module.printed(k)) == pytest.approx(k**-2)


def test_box_2_the_proof_ends_at_the_target(tmp_path: Path) -> None:
    module = load("box2")
    solution = so.solve(so.FixedSupportFactorization(module.TARGET, module.SUPPORTS), seed=1)
    proof = solution.certificate.closedness
    assert isinstance(proof, so.NotClosedCertificate)
    for t in (1.0, 0.25, 1e-4):
        left, right = module.curve(proof, t)
        assert left[0, 1] == right[1, 0] == 0
        assert module.error(left, right) == pytest.approx(t)
    module.main(tmp_path / "picture.png")


@pytest.mark.parametrize("delta", [-7.0, -0.5, 0.0, 1.0, 30.0])
def test_box_3_is_the_second_singular_value_in_closed_form(delta: float) -> None:
    high, low = load("box3").slice_at(delta)
    # The singular values multiply to 1, and their squares add up to 2 + delta^2.
    assert low <= high
    assert high == pytest.approx(((np.hypot(delta, 2) - abs(delta)) / 2) ** 2)
    assert low == pytest.approx(high, abs=1e-12)


def test_box_5_is_the_sum_over_the_blocks() -> None:
    module = load("box5")
    solution = so.solve(so.FixedSupportFactorization(module.TARGET, [module.LEFT, module.RIGHT]))
    by_hand = 0.0
    for block in module.BLOCKS:  # of a 2 x 2 matrix: from trace and determinant of its Gram matrix
        a = module.TARGET[block]
        trace, det = np.sum(a**2), np.linalg.det(a) ** 2
        by_hand += (trace - np.sqrt(trace**2 - 4 * det)) / 2
    assert solution.certificate.error**2 == pytest.approx(by_hand)
    assert solution.certificate.lower_bound == pytest.approx(solution.certificate.error)


def test_box_6_compares_with_the_table_that_is_printed() -> None:
    module = load("box6")
    table = {  # rows of the survey's table, as printed
        0.1: [1, 1, 1, 1, 1, 0.65, 0.17, 0.01, 0, 0],
        0.2: [1, 1, 0.82, 0, 0, 0, 0, 0, 0, 0],
        0.3: [1, 0.84, 0, 0, 0, 0, 0, 0, 0, 0],
        0.4: [1, 0.03, 0, 0, 0, 0, 0, 0, 0, 0],
        0.5: [1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        0.6: [0.66, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        0.7: [0.1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        0.8: [0.01, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        0.9: [0] * 10,
        1.0: [0] * 10,
    }
    for left, row in table.items():
        for k, value in enumerate(row):
            right = round(0.1 * (k + 1), 1)
            assert module.in_the_survey(left, right) == value, (left, right)


def test_box_9_the_curve_touches_the_proved_optimum_and_never_goes_below() -> None:
    module = load("box9")
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal(3), rng.standard_normal(3)
    optimum = so.solve(so.RankOneQuantization(x, y, 3, 3)).certificate.relative_error
    errors = module.along(x, y, 3, np.geomspace(1, 2, 2000))
    assert errors.min() == pytest.approx(optimum)
    assert np.all(errors >= optimum * (1 - 1e-12))


def test_figure_1_both_bases_are_orthonormal_and_waves_are_local_cosines() -> None:
    module = load("figure1")
    waves = module.waves(4 * module.FRAME)
    assert abs(waves.T @ waves - np.eye(4 * module.FRAME)).max() < 1e-12
    flat = module.wavelets(8)
    assert abs(flat.T @ flat - np.eye(64)).max() < 1e-12
    # Of one frame the atoms are a windowed cosine transform of type 4, its halves folded.
    atoms = waves[: 2 * module.FRAME, : module.FRAME].toarray()
    n = module.FRAME
    signal = np.random.default_rng(0).standard_normal(2 * n)
    window = np.sin(np.pi * (np.arange(2 * n) + 0.5) / (2 * n))
    a, b, c, d = np.split(signal * window, 4)
    folded = np.concatenate([-c[::-1] - d, a - b[::-1]])
    assert np.allclose(atoms.T @ signal, scipy.fft.dct(folded, type=4, norm="ortho"))


def test_figure_1_thresholding_is_what_a_solver_finds() -> None:
    module = load("figure1")
    signal, basis = module.photograph(8).ravel(), module.wavelets(8)
    found = module.thresholded(signal, basis, 0.05)
    x = so.solve(so.SparseRegression(basis, signal, so.L1(0.05))).answer.x
    assert found["nonzeros"] == pytest.approx(np.count_nonzero(x) / x.size)
    assert found["gap"] < 1e-9
    strength = module.matched(signal, basis, 0.3)
    assert module.thresholded(signal, basis, strength)["error"] == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("n", [4, 16])
def test_figure_2_the_factors_multiply_to_the_transforms(n: int) -> None:
    module = load("figure2")
    product, error = module.factored(module.fourier(n), unknown=True)
    assert error < 1e-13
    assert np.allclose(product.to_dense(), scipy.fft.fft(np.eye(n)))
    cascade, error = module.factored(module.haar(n), unknown=False)
    assert error < 1e-13
    factors = module.dense_factors(cascade)
    assert np.allclose(np.linalg.multi_dot(factors), module.haar(n))
    assert sum(map(module.filtering, factors)) == 4 * (n - 1)
    assert np.allclose(module.haar(n) @ module.haar(n).T, np.eye(n))
