"""Estimators: scikit-learn's own checks, and that they are what they say."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import sparseopt as so

sklearn = pytest.importorskip("sklearn")

from sklearn.linear_model import Lasso  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from sparseopt.estimators import (  # noqa: E402
    GreedyRegressor,
    SparseRegressor,
    TwoLayerReLURegressor,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 12)) + 3.0
Y = X @ np.concatenate([[2.0, -1.0], np.zeros(10)]) + 5.0 + 0.1 * RNG.standard_normal(40)


def test_without_scikit_learn_the_remedy_is_named(
    without: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    without("sklearn")
    monkeypatch.delitem(sys.modules, "sparseopt.estimators")
    with pytest.raises(ImportError, match=r"scikit-learn.*pip install 'sparseopt\[inverse\]'"):
        importlib.import_module("sparseopt.estimators")


@parametrize_with_checks(
    [SparseRegressor(), GreedyRegressor(), TwoLayerReLURegressor(gates=16, random_state=0)]
)
def test_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("kind", [np.asarray, scipy.sparse.csr_array, scipy.sparse.csc_array])
@pytest.mark.parametrize("intercept", [False, True])
def test_as_the_lasso_of_scikit_learn(kind: Any, intercept: bool) -> None:
    model = SparseRegressor(so.L1(4.0), fit_intercept=intercept).fit(kind(X), Y)
    other = Lasso(4.0 / 40, fit_intercept=intercept, tol=1e-12, max_iter=10**6).fit(X, Y)
    np.testing.assert_allclose(model.coef_, other.coef_, atol=1e-7)
    np.testing.assert_allclose(model.intercept_, other.intercept_, atol=1e-6)
    np.testing.assert_allclose(model.predict(kind(X)), other.predict(X), atol=1e-6)
    assert so.verify(model.certificate_).ok
    assert 0.0 <= model.dual_gap_ <= 1e-9


def test_weights_of_samples_are_repetitions() -> None:
    counts = RNG.integers(0, 4, size=40)
    weighted = SparseRegressor(so.L1(2.0)).fit(X, Y, sample_weight=counts)
    repeated = SparseRegressor(so.L1(2.0)).fit(np.repeat(X, counts, 0), np.repeat(Y, counts))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-9)


def test_in_a_pipeline_and_a_grid_search() -> None:
    model = make_pipeline(StandardScaler(), SparseRegressor())
    grid = {"sparseregressor__penalty": [so.L1(s) for s in (0.5, 5.0, 500.0)]}
    search = GridSearchCV(model, grid, cv=3).fit(X, Y)
    assert search.best_params_["sparseregressor__penalty"].strength < 500.0
    assert search.best_score_ > 0.9


def test_other_penalties() -> None:
    groups = [[2 * i, 2 * i + 1] for i in range(6)]
    model = SparseRegressor(so.GroupL1(3.0, groups)).fit(X, Y)
    assert not model.coef_[4:].any()
    assert model.coef_[:2].all()
    both = SparseRegressor(so.L1(1.0) + so.Ridge(2.0)).fit(X, Y)
    assert so.verify(both.certificate_).ok


@pytest.mark.parametrize(
    "method", ["omp", "cosamp", "iht", "htp", "branch_and_bound", "best_subset"]
)
def test_greedy_methods_find_the_support(method: str) -> None:
    model = GreedyRegressor(method, 2).fit(X, Y)
    assert np.flatnonzero(model.coef_).tolist() == [0, 1]
    assert so.verify(model.certificate_).ok


def test_a_two_layer_network_beats_a_line() -> None:
    x = np.linspace(-1, 1, 12)[:, None]
    y = np.abs(x[:, 0]) - 0.5
    exact = TwoLayerReLURegressor(1e-3, gates=None).fit(x, y)
    assert exact.score(x, y) > 0.99
    neurons = np.maximum(x @ exact.coef_.T + exact.intercept_, 0.0)
    assert np.allclose(neurons @ exact.network_.outer, exact.predict(x))
    assert so.verify(exact.certificate_).ok
    gated = TwoLayerReLURegressor(1e-3, gates=50, random_state=0).fit(x, y)
    assert gated.score(x, y) > 0.9


@pytest.mark.parametrize("kind", [np.asarray, scipy.sparse.csr_matrix, scipy.sparse.csc_array])
def test_greedy_with_weights_and_sparse_data(kind: Any) -> None:
    counts = np.random.default_rng(3).integers(0, 4, size=40)
    weighted = GreedyRegressor("htp", 2, fit_intercept=False).fit(kind(X), Y, sample_weight=counts)
    repeated = GreedyRegressor("htp", 2, fit_intercept=False).fit(
        np.repeat(X, counts, 0), np.repeat(Y, counts)
    )
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-9)


@pytest.mark.parametrize("weights", [None, np.arange(1.0, 1.0 + len(Y))])
def test_greedy_with_intercept_and_sparse_data(weights: Any) -> None:
    sparse = scipy.sparse.csr_array(np.where(np.abs(X) > 0.5, X, 0.0))
    found = GreedyRegressor("omp", 2).fit(sparse, Y, weights)
    dense = GreedyRegressor("omp", 2).fit(sparse.toarray(), Y, weights)
    assert np.allclose(found.coef_, dense.coef_)
    assert found.intercept_ == pytest.approx(dense.intercept_)
    assert so.verify(found.certificate_).ok


def test_a_size_above_the_features_is_refused() -> None:
    with pytest.raises(so.ProblemError, match=r"size is 9, but X has n_features = 1"):
        GreedyRegressor("htp", 9).fit(X[:, :1], Y)
