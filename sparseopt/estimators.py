"""Estimators with scikit-learn's interface, for pipelines, grid searches and cross-validation.

Each fit states a Problem and keeps the certificate of its answer. Needs scikit-learn (extra
``inverse``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import sparseopt as so
from sparseopt.choosing.availability import is_installed
from sparseopt.interface.printing import short

if not is_installed("sklearn"):  # classes below inherit from its own, so nothing can wait for it
    raise ImportError(
        "sparseopt.estimators needs scikit-learn, which is not installed; "
        "remedy: pip install 'sparseopt[inverse]'"
    )

from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data


class _Linear(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """What linear estimators share: the data, centred where there is an intercept."""

    fit_intercept: bool

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit to data.

        Parameters
        ----------
        X : array_like or scipy.sparse csr or csc, shape (n_samples, n_features)
            float32 or float64, other numbers become float64. Centring makes nothing sparse dense;
            methods for subsets of columns write the data out, up to a size that they name.
        y : array_like, shape (n_samples,)
        sample_weight : array_like, shape (n_samples,), optional
            Nonnegative factors of the squared residuals.

        Returns
        -------
        self
        """
        kinds, sparse = [np.float64, np.float32], ["csr", "csc"]
        X, y = validate_data(self, X, y, accept_sparse=sparse, dtype=kinds, y_numeric=True)
        y = np.asarray(y, dtype=X.dtype)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        means, level = _means(X, y, weights) if self.fit_intercept else (None, 0.0)
        solution = self._solved(_centred(X, means), y - level, weights)
        self.coef_ = np.asarray(solution.answer.x, dtype=X.dtype)
        offset = 0.0 if means is None else float(means @ self.coef_)
        self.intercept_ = level - offset
        self.certificate_ = solution.certificate
        self.dual_gap_ = float(solution.certificate.gap)
        ran = [candidate for candidate in solution.plan if candidate.outcome]
        self.n_iter_ = len(ran)
        return self

    def _solved(self, design: Any, target: np.ndarray, weights: np.ndarray | None) -> so.Solution:
        """Return the solution of the problem that the estimator states."""
        raise NotImplementedError

    def predict(self, X: Any) -> np.ndarray:
        """Return ``X @ coef_ + intercept_``, shape (n_samples,)."""
        check_is_fitted(self)
        kinds = [np.float64, np.float32]
        X = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=kinds, reset=False)
        return np.asarray(X @ self.coef_ + self.intercept_)


class SparseRegressor(_Linear):
    """Regression with a sparsity penalty, each fit with a proven duality gap.

    Minimises 1/2 sum_i w_i (x_i . coef + intercept - y_i)^2 + penalty(coef). It is not divided by
    the number of samples: the strength is ``n_samples * alpha`` of scikit-learn's ``Lasso(alpha)``.

    Parameters
    ----------
    penalty : sparseopt penalty, optional
        Such as ``so.L1(1.0)``, ``so.GroupL1(1.0, groups)``, ``so.L1(1.0) + so.Ridge(0.5)``; default
        ``so.L1(1.0)``.
    fit_intercept : bool
        Whether an intercept is fitted, which is not penalised: by centring the data, without making
        sparse data dense. The certificate speaks of the centred data.
    solver : str, optional
        Name of a solver of `SparseRegression`; the plan decides otherwise.
    tolerance : float, optional
        Relative duality gap asked for; default 1e-12.

    Attributes
    ----------
    coef_ : ndarray, shape (n_features,)
        With exact zeros.
    intercept_ : float
    certificate_ : DualityGapCertificate
        Of the last fit; ``so.verify(model.certificate_)`` checks it again.
    dual_gap_ : float
        Proven bound of the distance to the least objective: of ``certificate_.answer`` in
        ``certificate_.problem``, whose data are centred for an intercept and of one dtype. `coef_`
        and `intercept_` are that answer, rounded to the dtype of the data.
    n_iter_ : int
        How many solvers ran.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> from sparseopt.estimators import SparseRegressor
    >>> X, y = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([2.0, 0.0, 2.0])
    >>> model = SparseRegressor(so.L1(0.1), fit_intercept=False).fit(X, y)
    >>> model.coef_.round(3), so.verify(model.certificate_).ok
    (array([1.95, 0.  ]), True)
    """

    def __init__(
        self,
        penalty: Any = None,
        fit_intercept: bool = True,
        solver: str | None = None,
        tolerance: float | None = None,
    ) -> None:
        self.penalty = penalty
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.tolerance = tolerance

    def _solved(self, design: Any, target: np.ndarray, weights: np.ndarray | None) -> so.Solution:
        penalty = so.L1(1.0) if self.penalty is None else self.penalty
        problem = so.SparseRegression(design, target, penalty, weights)
        return so.solve(problem, self.solver, tolerance=self.tolerance)


GREEDY = ("omp", "cosamp", "iht", "htp", "branch_and_bound", "best_subset")


class GreedyRegressor(_Linear):
    """Least squares with at most `size` nonzero coefficients.

    Parameters
    ----------
    method : {"omp", "cosamp", "iht", "htp", "branch_and_bound", "best_subset"}
        The last two prove their answer, the others are heuristics with a lower bound.
    size : int, optional
        Nonzero coefficients at most; default a tenth of the features, at least 1.
    fit_intercept : bool
        As for `SparseRegressor`.

    Attributes
    ----------
    coef_, intercept_, certificate_, dual_gap_, n_iter_
        As for `SparseRegressor`; the gap is that to the proven lower bound.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.estimators import GreedyRegressor
    >>> X = np.eye(4)
    >>> GreedyRegressor("omp", 2, fit_intercept=False).fit(X, [0.0, 3.0, 0.1, -2.0]).coef_
    array([ 0.,  3.,  0., -2.])
    """

    def __init__(
        self, method: str = "omp", size: int | None = None, fit_intercept: bool = True
    ) -> None:
        self.method = method
        self.size = size
        self.fit_intercept = fit_intercept

    def _solved(self, design: Any, target: np.ndarray, weights: np.ndarray | None) -> so.Solution:
        if self.method not in GREEDY:
            raise so.ProblemError(
                f"method must be one of {', '.join(GREEDY)}, got {short(self.method)}"
            )
        if weights is not None:
            scale = np.sqrt(weights)
            rows = scipy.sparse.diags_array(scale)
            if isinstance(design, LinearOperator):
                rows = aslinearoperator(rows)
            design, target = rows @ design, target * scale
        columns = design.shape[1]
        size = max(1, columns // 10) if self.size is None else self.size
        if isinstance(size, int | np.integer) and size > columns:
            raise so.ProblemError(f"size is {size}, but X has n_features = {columns}; give less")
        return so.solve(so.CardinalityRegression(design, target, size), self.method)


class TwoLayerReLURegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A network with one hidden layer, trained to proved global optimality.

    Minimises 1/2 |f(X) - y|^2 + decay/2 (|hidden|^2 + |outer|^2) over networks of any width.

    Parameters
    ----------
    decay : float
        Positive.
    gates : int or None
        Number of random gates, fixed before training: then training is a group lasso, and each
        neuron is active where its gate is. None: ReLU neurons, over all activation patterns, for
        few samples in few dimensions.
    fit_intercept : bool
        Whether hidden neurons have a bias, which is penalised like their weights.
    random_state : int, RandomState or None
        Of the gates.
    tolerance : float, optional
        Relative gap asked for; default 1e-8.

    Attributes
    ----------
    network_ : TwoLayerNetwork
        ``.hidden``, ``.outer``, ``.gates``.
    coef_ : ndarray, shape (n_neurons, n_features)
        The hidden weights of the features.
    intercept_ : ndarray, shape (n_neurons,)
        The hidden biases, zeros without.
    certificate_ : TwoLayerReLUCertificate
    dual_gap_ : float
        Proven bound of the distance to the least objective, of ``certificate_.answer``.
    n_iter_ : int
        How many solvers ran.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> from sparseopt.estimators import TwoLayerReLURegressor
    >>> X, y = np.array([[-1.0], [0.0], [1.0]]), np.array([1.0, 0.0, 1.0])
    >>> model = TwoLayerReLURegressor(decay=1e-3, gates=None).fit(X, y)
    >>> model.predict(X).round(2), so.verify(model.certificate_).ok
    (array([1., 0., 1.]), True)
    """

    def __init__(
        self,
        decay: float = 1.0,
        gates: int | None = 64,
        fit_intercept: bool = True,
        random_state: Any = None,
        tolerance: float | None = None,
    ) -> None:
        self.decay = decay
        self.gates = gates
        self.fit_intercept = fit_intercept
        self.random_state = random_state
        self.tolerance = tolerance

    def fit(self, X: Any, y: Any) -> Any:
        """Fit to data.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
        y : array_like, shape (n_samples,)

        Returns
        -------
        self
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], y_numeric=True)
        inputs = self._inputs(X)
        gates = None
        if self.gates is not None:
            rng = check_random_state(self.random_state)
            gates = rng.standard_normal((inputs.shape[1], self.gates))
        problem = so.TwoLayerReLU(inputs, np.asarray(y, dtype=X.dtype), self.decay, gates)
        solution = so.solve(problem, tolerance=self.tolerance)
        self.network_ = solution.answer
        hidden = np.asarray(self.network_.hidden, dtype=X.dtype).T
        self.coef_ = hidden[:, : X.shape[1]]
        self.intercept_ = hidden[:, -1] if self.fit_intercept else np.zeros(len(hidden), X.dtype)
        self.certificate_ = solution.certificate
        self.dual_gap_ = float(solution.certificate.gap)
        self.n_iter_ = sum(bool(candidate.outcome) for candidate in solution.plan)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the outputs of the network, shape (n_samples,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return np.asarray(self.network_.predict(self._inputs(X)), dtype=X.dtype)

    def _inputs(self, X: np.ndarray) -> np.ndarray:
        return np.column_stack([X, np.ones(len(X), X.dtype)]) if self.fit_intercept else X


def _means(X: Any, y: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, float]:
    """Return the weighted means of the columns, and of the target."""
    share = np.full(len(y), 1.0 / len(y)) if weights is None else weights / weights.sum()
    return np.asarray(share @ X).ravel(), float(share @ y)


def _centred(X: Any, means: np.ndarray | None) -> Any:
    """Return the data less the means of its columns; sparse data as a linear operator."""
    if means is None:
        return X
    if not scipy.sparse.issparse(X):
        return X - means.astype(X.dtype)

    def minus_means(v: np.ndarray) -> np.ndarray:
        return np.asarray(X @ v - np.ones((X.shape[0], 1)) @ (means @ v).reshape(1, -1))

    def adjoint(v: np.ndarray) -> np.ndarray:
        return np.asarray(X.T @ v - np.outer(means, v.sum(axis=0)))

    def one(function: Any) -> Any:
        return lambda v: function(v.reshape(-1, 1)).ravel()

    return LinearOperator(
        X.shape,
        matvec=one(minus_means),
        rmatvec=one(adjoint),
        matmat=minus_means,
        rmatmat=adjoint,
        dtype=X.dtype,
    )
