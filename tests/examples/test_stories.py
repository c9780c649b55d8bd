"""The stories of the survey's lessons: what they compute is right, and what they print is proved.

Fast tests look at the parts by independent routes; the slow ones run each story as a user would.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import sparseopt as so

ROOT = Path(__file__).parents[2]
STORIES = {
    "l1_against_l2": "no other vector has it",
    "thresholding_and_greed": "proved to",
    "known_support": "columns are independent",
    "data_without_optimum": "No weights make it 0",
    "blind_deconvolution_pitfall": "never less",
    "weight_decay_is_convex": "above the optimum by at most",
    "coercive_tradeoff": "proved to have no optimum",
    "hadamard_against_cvxpy": "proved zero in every optimum",
    "phase_transition": "theory",
}


def load(name: str) -> Any:
    """Return an example as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(module: Any, output: Path) -> None:
    """Run the quick mode of a story."""
    jobs = (1,) if module.__name__ == "phase_transition" else ()
    module.main(True, *jobs, output)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(STORIES))
def test_a_story_is_told_and_drawn(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "picture.png"
    run(load(name), output)
    told = capsys.readouterr().out
    assert STORIES[name] in told
    assert "unknown': 0" in told or name != "phase_transition"
    if importlib.util.find_spec("matplotlib") is not None:
        assert output.read_bytes()[1:4] == b"PNG"


def test_without_matplotlib_the_story_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    module = load("blind_deconvolution_pitfall")
    monkeypatch.setattr(module, "descents", lambda *_: (np.ones(1), np.ones(1), np.ones(1, bool)))
    run(module, tmp_path / "picture.png")
    told = capsys.readouterr().out
    assert "sparseopt[plot]" in told
    assert "never less" in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_the_statistical_dimension_is_the_mean_distance_to_the_scaled_subdifferential(
    share: float,
) -> None:
    module = load("phase_transition")
    rng, n = np.random.default_rng(0), 4000
    k, draws = round(share * n), rng.standard_normal((60, n))

    def mean_distance(t: float) -> float:  # of g to t times the subdifferential at e_1 + .. + e_k
        on = np.square(draws[:, :k] - t).sum(axis=1)
        off = np.square(np.maximum(np.abs(draws[:, k:]) - t, 0.0)).sum(axis=1)
        return float(np.mean(on + off)) / n

    least = scipy.optimize.minimize_scalar(mean_distance, bounds=(0, 10), method="bounded").fun
    assert module.statistical_dimension(share) == pytest.approx(least, rel=0.03)


def test_the_curve_is_that_of_donoho_and_tanner() -> None:
    module = load("phase_transition")
    assert module.critical(0.5) == pytest.approx(0.385, abs=0.002)
    curve = [module.critical(delta) for delta in np.linspace(0.05, 0.95, 10)]
    assert np.all(np.diff(curve) > 0)


def test_hadamard_descends_along_the_gradient_to_a_proved_optimum() -> None:
    module = load("hadamard_against_cvxpy")
    rng = np.random.default_rng(1)
    design, v = rng.standard_normal((8, 20)), rng.uniform(0.5, 1.5, 20)
    target = rng.standard_normal(8)
    method = module.Hadamard(design, target, 0.7)
    method.started = 0.0
    slope = method.value_and_slope(v)[1]
    for j in range(20):
        step = 1e-6 * np.eye(20)[j]
        change = method.value_and_slope(v + step)[0] - method.value_and_slope(v - step)[0]
        assert change / 2e-6 == pytest.approx(slope[j], abs=1e-6)
    method.run()
    problem = so.SparseRegression(design, target, so.L1(0.7))
    _, certificate = so.DualityGapCertificate.build(problem, method.x, method.residual)
    assert certificate.relative_gap < 1e-6
    assert certificate.relative_gap == pytest.approx(method.gap(), abs=1e-9)
    assert np.allclose(method.residual, target - design @ method.x, atol=1e-9)


def test_planted_pairs_are_balanced_and_convolved() -> None:
    module = load("blind_deconvolution_pitfall")
    echoes, claps = module.planted(5)
    assert np.abs(echoes).sum() == pytest.approx(np.abs(claps).sum())
    heard = np.fft.ifft(np.fft.fft(echoes) * np.fft.fft(claps)).real
    assert np.allclose(module.circulant(echoes) @ claps, heard)
    best, least, excess, known = module.compared((echoes, claps))
    assert module.is_spike(best)
    assert not module.is_spike(so.FilterAndSignal(echoes, claps))
    assert least == pytest.approx(2.0 * np.sqrt(np.abs(heard).sum()))
    assert excess >= 0.0
    assert np.allclose(known.x, claps)


def test_balancing_keeps_the_function_and_groups_are_counted() -> None:
    module = load("weight_decay_is_convex")
    problem = so.TwoLayerReLU(*module.data(), module.DECAY)
    network = so.TwoLayerNetwork(
        [[1.0, 2.0, -1.0, 1.0], [0.1, 0.2, 0.0, 0.1]], [3.0, 1.0, -2.0, 1e-9]
    )
    even = module.balanced(network)
    assert np.allclose(even.predict(problem.inputs), network.predict(problem.inputs))
    assert np.allclose(np.linalg.norm(even.hidden, axis=0), np.abs(even.outer))
    assert module.groups(problem, network) == 2  # the first two share one, the last is too small


def test_the_designs_of_diabetes_have_independent_columns() -> None:
    design, target, names = load("thresholding_and_greed").diabetes()
    assert design.shape == (442, 64) == (442, len(names))
    assert np.linalg.matrix_rank(design) == 64
    assert np.allclose(np.linalg.norm(design, axis=0), 1.0)
    assert target.sum() == pytest.approx(0.0, abs=1e-9)


def test_words_of_known_support() -> None:
    module = load("known_support")
    assert module.needed([8, 16, 32], np.array([1.0, 1e-3, 1e-16])) == "exact from 32 on"
    assert module.needed([8, 16], np.array([1.0, 1.0])) == "never exact"
    assert module.needed([8, 16], np.array([0.0, 0.0])) == "exact from 8 on"


def test_weights_by_digit_are_shares() -> None:
    module = load("l1_against_l2")
    shares = module.weights(np.array([1.0, -2.0, 0.0, 1.0]), np.array([0, 0, 3, 9]))
    assert shares.tolist() == [0.75, 0, 0, 0, 0, 0, 0, 0, 0, 0.25]
