"""Unknown orders of rows and columns: recovery, controls, transposition, refusals."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from sparseopt_butterfly.permuted_hierarchical import (
    PermutedHierarchical,
    bit_reversal,
    structure_threshold,
)

import sparseopt as so
from sparseopt.tools.random_products import random_product


def hidden(
    n: int, noise: float, seed: int, dtype: type = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """Return a noisy dyadic product, in order and with rows and columns shuffled."""
    rng = np.random.default_rng(seed)
    ordered = random_product(so.Architecture.square_dyadic(n), rng, dtype).to_dense()
    noisy = rng.standard_normal((n, n))
    ordered = ordered + noise * np.linalg.norm(ordered) / np.linalg.norm(noisy) * noisy
    ordered = ordered.astype(dtype)
    return ordered, ordered[rng.permutation(n)][:, rng.permutation(n)]


def unknown(target: np.ndarray) -> so.ButterflyFactorization:
    return so.ButterflyFactorization(
        target, so.Architecture.square_dyadic(len(target)), permutations="unknown"
    )


@pytest.mark.parametrize("n", [2, 4, 16, 64])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_exact_products_are_recovered(n: int, dtype: type) -> None:
    _, target = hidden(n, 0.0, n, dtype)
    solution = so.solve(unknown(target))
    assert solution.certificate.relative_error < 1e-14
    np.testing.assert_allclose(
        solution.answer.to_dense(), target, atol=1e-13 * np.linalg.norm(target)
    )
    assert so.verify(solution).ok


def test_single_precision() -> None:
    _, target = hidden(32, 0.0, 0, np.float32)
    solution = so.solve(unknown(target))
    assert solution.answer.dtype == np.float32
    assert solution.certificate.relative_error < 1e-6


@pytest.mark.parametrize(("seed", "noise"), [(0, 1e-3), (2, 1e-2)])
def test_noise_costs_no_more_than_with_known_orders(seed: int, noise: float) -> None:
    ordered, target = hidden(32, noise, seed)
    known = so.solve(so.ButterflyFactorization(ordered, so.Architecture.square_dyadic(32)))
    found = so.solve(unknown(target))
    assert found.certificate.error <= 1.05 * known.certificate.error


@pytest.mark.parametrize("n", [8, 64, 256])
def test_the_bit_reversal_of_the_fourier_matrix_is_found(n: int) -> None:
    solution = so.solve(unknown(np.fft.fft(np.eye(n))))
    assert solution.certificate.relative_error < 1e-14


@pytest.mark.slow
def test_exact_products_of_size_1024() -> None:
    rng = np.random.default_rng(0)
    hadamard = scipy.linalg.hadamard(1024)[rng.permutation(1024)][:, rng.permutation(1024)]
    for target in (np.fft.fft(np.eye(1024)), hadamard, hidden(1024, 0.0, 0)[1]):
        assert so.solve(unknown(target)).certificate.relative_error < 1e-14


@pytest.mark.slow
@pytest.mark.parametrize("noise", [1e-3, 1e-2])
def test_noise_costs_nothing_at_size_256(noise: float) -> None:
    ordered, target = hidden(256, noise, 1)
    known = so.solve(so.ButterflyFactorization(ordered, so.Architecture.square_dyadic(256)))
    assert so.solve(unknown(target)).certificate.error <= 1.05 * known.certificate.error


def test_ties_everywhere() -> None:
    rng = np.random.default_rng(5)
    hadamard = scipy.linalg.hadamard(64)[rng.permutation(64)][:, rng.permutation(64)]
    assert so.solve(unknown(hadamard)).certificate.relative_error < 1e-14


@pytest.mark.parametrize("scale", [1e-200, 1e150])
def test_squares_that_leave_the_range(scale: float) -> None:
    _, target = hidden(16, 0.0, 3)
    assert so.solve(unknown(target * scale)).certificate.relative_error < 1e-14


@pytest.mark.parametrize("target", [np.zeros((8, 8)), np.eye(8), np.ones((8, 8))], ids=repr)
def test_degenerate_targets_are_exact(target: np.ndarray) -> None:
    assert so.solve(unknown(target)).certificate.relative_error < 1e-14


def test_a_diagonal_in_any_order_is_exact() -> None:
    rng = np.random.default_rng(0)
    assert so.solve(unknown(np.eye(16)[rng.permutation(16)])).certificate.relative_error < 1e-14


@pytest.mark.parametrize("n", [16, 32])
def test_a_gaussian_matrix_has_no_structure(n: int) -> None:
    target = np.random.default_rng(n).standard_normal((n, n))
    with pytest.raises(so.SolveError, match="no butterfly structure found"):
        so.solve(unknown(target))


def test_columns_shuffled_apart_have_no_structure() -> None:
    ordered, _ = hidden(16, 0.0, 0)
    rng = np.random.default_rng(1)
    with pytest.raises(so.SolveError, match="no butterfly structure found"):
        so.solve(unknown(rng.permuted(ordered, axis=0)))


def test_other_architectures_are_refused_with_the_reason() -> None:
    with pytest.raises(so.ProblemError, match="square_dyadic"):
        so.ButterflyFactorization(
            np.ones((6, 6)), so.Architecture.monarch(6, 6, 2, 3), permutations="unknown"
        )
    with pytest.raises(so.ProblemError, match="'known' or 'unknown'"):
        so.ButterflyFactorization(np.ones((4, 4)), so.Architecture.square_dyadic(4), "perhaps")


def test_the_other_engines_are_refused_for_unknown_orders() -> None:
    verdicts = {c.name: c.verdict for c in so.plan(unknown(np.eye(4)))}
    assert isinstance(verdicts["permuted_hierarchical"], so.Accepted)
    assert "known" in str(verdicts["hierarchical_numpy"])


def test_equal_seeds_give_equal_answers_and_time_limits_hold() -> None:
    _, target = hidden(16, 1e-2, 0)
    first, second = (so.solve(unknown(target), seed=4).answer for _ in range(2))
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.columns, second.columns)
    with pytest.raises(so.SolveError, match="time limit"):
        so.solve(unknown(np.random.default_rng(0).standard_normal((64, 64))), time_limit=0.05)


@pytest.mark.parametrize("options", [{"starts": 0}, {"controls": 1}, {"controls": -1}])
def test_bad_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(so.ProblemError, match="starts must be"):
        PermutedHierarchical(**options)  # type: ignore[arg-type]


def test_bit_reversal_reverses_bits() -> None:
    assert bit_reversal(8).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert bit_reversal(1).tolist() == [0]


def test_orders_of_the_transpose_carry_over() -> None:
    n = 16
    ordered, _ = hidden(n, 0.0, 0)
    reversal = bit_reversal(n)
    flipped = ordered.T[reversal][:, reversal]
    dyadic = so.Architecture.square_dyadic(n)
    solution = so.solve(so.ButterflyFactorization(flipped, dyadic))
    assert solution.certificate.relative_error < 1e-14


@pytest.mark.parametrize("n", [4, 8])
def test_small_gaussian_matrices_are_not_taken_for_structured(n: int) -> None:
    for seed in range(6):
        target = np.random.default_rng(seed).standard_normal((n, n))
        with pytest.raises(so.SolveError, match="no butterfly structure found"):
            so.solve(unknown(target))


@pytest.mark.parametrize("n", [4, 8])
@pytest.mark.parametrize("seed", range(2))
def test_small_noisy_products_are_still_recovered(n: int, seed: int) -> None:
    _, target = hidden(n, 1e-2, seed)
    assert so.solve(unknown(target)).certificate.relative_error < 0.02


@pytest.mark.parametrize("noise", [1e-9, 1e-7, 1e-5])
def test_noise_near_rounding_hides_nothing(noise: float) -> None:
    _, target = hidden(32, noise, 0)
    assert so.solve(unknown(target)).certificate.relative_error < 2 * noise


def test_the_threshold_is_where_chance_allows_one_in_a_thousand() -> None:
    """Squared errors that are sums of k squares, k = 4 constraints at n = 4."""
    rng = np.random.default_rng(0)
    errors = np.sqrt(rng.chisquare(4, size=(4000, 41)) / 16)
    below = sum(row[0] < structure_threshold(list(row[1:]), 4, False, 1e-2) for row in errors)
    assert below <= 4000 * 1e-2 * 1.5
    assert structure_threshold([0.5, 0.6], 8, True, 0.01) < structure_threshold(
        [0.54, 0.56], 8, True, 0.01
    )


def accepted_sparse(n: int, count: int, first: int, **options: int) -> int:
    """Return how many sparse Gaussian matrices without structure are accepted, exact ones apart."""
    accepted = 0
    engine = PermutedHierarchical(**options)
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        target = rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.3)
        with contextlib.suppress(so.Inconclusive):
            certificate = engine.solve(unknown(target), so.Context())[1]
            accepted += certificate.relative_error > 1e-12
    return accepted


def test_sparse_matrices_are_accepted_no_more_often_than_claimed() -> None:
    """The model of the errors is too narrow for them: the claim is that of a permutation test."""
    from scipy.stats import binom

    accepted = accepted_sparse(4, 24, 0, controls=4)
    assert binom.sf(accepted - 1, 24, 1 / 5) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("n", "controls"), [(4, 0), (8, 0), (8, 3), (16, 0)])
def test_sparse_matrices_of_several_sizes(n: int, controls: int) -> None:
    from scipy.stats import binom

    count = 200
    level = 1 / (1 + (controls or max(3, min(40, 160 // n))))
    accepted = accepted_sparse(n, count, 1000, controls=controls)
    assert binom.sf(accepted - 1, count, level) > 1e-3


def test_target_and_controls_go_through_the_same_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a matrix without structure would have an advantage over its own shuffled copies."""
    from sparseopt_butterfly import permuted_hierarchical as module

    calls = []
    best = module._Search.best

    def spy(self: Any, matrix: Any, floors: Any, doing: str, flips: Any = (False, True)) -> Any:
        calls.append((doing.partition(" copy")[0], floors, flips))
        return best(self, matrix, floors, doing, flips)

    monkeypatch.setattr(module._Search, "best", spy)
    for n in (32, 128):
        calls.clear()
        so.solve(unknown(hidden(n, 1e-2, 0)[1]))
        own = [call[1:] for call in calls if call[0] == "comparing with shuffled copies"]
        controls = [call[1:] for call in calls if call[0] == "searching shuffled"]
        assert len(own) == 1
        assert controls == own * len(controls)
        assert len(controls) >= 3
