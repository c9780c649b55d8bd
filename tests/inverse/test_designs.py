"""Every problem on every kind of design: solved with proof, or refused by name with a way out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import sparseopt as so

M, N = 6, 8
_RNG = np.random.default_rng(0)
REAL = _RNG.standard_normal((M, N))
THIN = np.where(_RNG.random((M, N)) < 0.6, REAL, 0.0)
TARGET = _RNG.standard_normal(M)
COMPLEX = REAL + 1j * _RNG.standard_normal((M, N))
TURNED = TARGET + 1j * _RNG.standard_normal(M)
PRODUCT = so.KroneckerProduct(
    [_RNG.standard_normal((1, 2, 2, 3)), _RNG.standard_normal((2, 3, 4, 1))],
    so.Architecture([so.KroneckerPattern(1, 2, 2, 3), so.KroneckerPattern(2, 3, 4, 1)]),
)
TURNED_PRODUCT = so.KroneckerProduct(
    [f + 1j * _RNG.standard_normal(f.shape) for f in PRODUCT.factors], PRODUCT.architecture
)
GROUPS = [[0, 1, 2, 5], [3, 4, 6, 7]]


def _function(matrix: np.ndarray) -> LinearOperator:
    return LinearOperator(
        matrix.shape,
        matvec=lambda v: matrix @ v,
        rmatvec=lambda v: matrix.conj().T @ v,
        dtype=matrix.dtype,
    )


DESIGNS: dict[str, tuple[Any, np.ndarray, np.ndarray]] = {
    # what is given, the target, and the same matrix as a dense array
    "fortran": (np.asfortranarray(REAL), TARGET, REAL),
    "strided": (np.repeat(REAL, 2, axis=1)[::-1, ::2][::-1], TARGET, REAL),
    "float32": (REAL.astype(np.float32), TARGET.astype(np.float32), REAL.astype(np.float32)),
    "integers": (np.rint(3 * REAL).astype(int), TARGET, np.rint(3 * REAL)),
    "csr matrix": (scipy.sparse.csr_matrix(THIN), TARGET, THIN),
    "csc array": (scipy.sparse.csc_array(THIN), TARGET, THIN),
    "coo array": (scipy.sparse.coo_array(THIN), TARGET, THIN),
    "csr float32": (
        scipy.sparse.csr_array(THIN.astype(np.float32)),
        TARGET,
        THIN.astype(np.float32),
    ),
    "operator": (aslinearoperator(REAL), TARGET, REAL),
    "functions": (_function(REAL), TARGET, REAL),
    "product": (PRODUCT, TARGET, PRODUCT.to_dense()),
    "complex128": (COMPLEX, TURNED, COMPLEX),
    "complex64": (COMPLEX.astype(np.complex64), TURNED.astype(np.complex64), COMPLEX),
    "complex target": (REAL, TURNED, REAL),
    "complex design": (COMPLEX, TARGET, COMPLEX),
    "no imaginary part": (REAL + 0j, TARGET + 0j, REAL),
    "complex csr": (scipy.sparse.csr_array(THIN * (1 + 2j)), TURNED, THIN * (1 + 2j)),
    "complex operator": (aslinearoperator(COMPLEX), TURNED, COMPLEX),
    "complex product": (TURNED_PRODUCT, TURNED, TURNED_PRODUCT.to_dense()),
}
PROBLEMS: dict[str, Callable[[Any, Any], Any]] = {
    "l1": lambda a, y: so.SparseRegression(a, y, so.L1(0.7)),
    "one free": lambda a, y: so.SparseRegression(a, y, so.L1(0.7, [0] + [1] * (N - 1))),
    "groups": lambda a, y: so.SparseRegression(a, y, so.GroupL1(0.7, GROUPS)),
    "sparse groups": lambda a, y: so.SparseRegression(a, y, so.SparseGroupL1(0.3, 0.4, GROUPS)),
    "l1, groups, squares": lambda a, y: so.SparseRegression(
        a, y, so.L1(0.3) + so.GroupL1(0.4, GROUPS) + so.Ridge(0.2)
    ),
    "variation": lambda a, y: so.SparseRegression(a, y, so.TotalVariation(0.7)),
    "nuclear": lambda a, y: so.SparseRegression(a, y, so.NuclearNorm(0.7, (2, N // 2))),
    "weighted": lambda a, y: so.SparseRegression(a, y, so.L1(0.7), np.arange(M) + 0.5),
    "pursuit 1": lambda a, y: so.BasisPursuit(a, y),
    "pursuit 1 noisy": lambda a, y: so.BasisPursuit(a, y, 0.5),
    "pursuit 2": lambda a, y: so.BasisPursuit(a, y, norm=2),
    "pursuit 2 noisy": lambda a, y: so.BasisPursuit(a, y, 0.5, 2),
    "ball": lambda a, y: so.ConstrainedRegression(a, y, 0.5),
    "large ball": lambda a, y: so.ConstrainedRegression(a, y, 50.0),
    "root": lambda a, y: so.SquareRootLasso(a, y, 0.7),
    "subset": lambda a, y: so.CardinalityRegression(a, y, 2),
    "support": lambda a, y: so.KnownSupportRegression(a, y, [0, 3, 5]),
}
VALUES: dict[tuple[str, int, int], float] = {}
CONIC = {
    "pursuit inf": lambda a, y: so.BasisPursuit(a, y, norm=math.inf),
    "pursuit inf noisy": lambda a, y: so.BasisPursuit(a, y, 0.5, math.inf),
}


def _checked(problem: Any, has_file: bool) -> Any:
    solution: Any = so.solve(problem)
    assert solution.status is so.Status.VERIFIED, solution
    assert so.verify(solution).ok
    if not has_file:
        with pytest.raises(
            so.ProblemError, match=r"code and cannot be written .* KroneckerProduct"
        ):
            solution.to_json()
        return solution
    again = so.Solution.from_json(solution.to_json())
    assert so.verify(again).ok
    assert np.array_equal(again.answer.x, solution.answer.x)
    return solution


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("kind", DESIGNS)
def test_every_problem_on_every_design(kind: str, name: str) -> None:
    given, target, dense = DESIGNS[kind]
    solution = _checked(PROBLEMS[name](given, target), not isinstance(given, LinearOperator))
    answer = solution.answer
    assert answer.x.dtype == (
        np.complex128 if "c" in dense.dtype.kind + target.dtype.kind else "f8"
    )
    assert np.array_equal(answer.support, np.flatnonzero(answer.x))
    certificate = solution.certificate
    assert certificate.dual <= certificate.primal
    assert type(certificate.gap) is type(certificate.relative_gap) is float
    # The same question about a dense array has the same value, see `tests/plugins` for oracles.
    key = name, id(dense), id(target)
    if key not in VALUES:
        found: Any = so.solve(PROBLEMS[name](dense, target))
        VALUES[key] = found.certificate.primal
    scale = 1e-5 if kind in ("float32", "csr float32", "complex64") else 1e-10
    assert certificate.primal == pytest.approx(VALUES[key], rel=scale, abs=1e-12)


@pytest.mark.parametrize("name", CONIC)
@pytest.mark.parametrize("kind", ["csc array", "operator", "product", "complex128", "complex csr"])
def test_flat_pursuit_on_designs(kind: str, name: str) -> None:
    pytest.importorskip("cvxpy")
    given, target, _ = DESIGNS[kind]
    _checked(CONIC[name](given, target), not isinstance(given, LinearOperator))


@pytest.mark.parametrize("name", ["pursuit 1", "pursuit 1 noisy", "ball", "root", "sparse groups"])
def test_complex_values_against_clarabel(name: str) -> None:
    cvxpy = pytest.importorskip("cvxpy")
    x = cvxpy.Variable(N, complex=True)
    rest, size = COMPLEX @ x - TURNED, cvxpy.norm(x, 1)
    groups = sum(cvxpy.norm(x[g], 2) for g in GROUPS)
    goal, within = {
        "pursuit 1": (size, [rest == 0]),
        "pursuit 1 noisy": (size, [cvxpy.norm(rest, 2) <= 0.5]),
        "ball": (0.5 * cvxpy.sum_squares(rest), [size <= 0.5]),
        "root": (cvxpy.norm(rest, 2) + 0.7 * size, []),
        "sparse groups": (0.5 * cvxpy.sum_squares(rest) + 0.3 * size + 0.4 * groups, []),
    }[name]
    value = cvxpy.Problem(cvxpy.Minimize(goal), within).solve(solver="CLARABEL")
    solution: Any = so.solve(PROBLEMS[name](COMPLEX, TURNED))
    assert solution.certificate.primal == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize("kind", DESIGNS)
def test_recovery_takes_all_of_them(kind: str) -> None:
    given, _, dense = DESIGNS[kind]
    solution = so.solve(so.RecoveryGuarantee(given, support=[0, 3]))
    again = so.solve(so.RecoveryGuarantee(dense, support=[0, 3]))
    assert so.verify(solution).ok
    if not isinstance(given, scipy.sparse.linalg.LinearOperator):
        assert so.verify(so.Solution.from_json(solution.to_json())).ok
    assert solution.answer.value == again.answer.value


@pytest.mark.parametrize("powers", [(-540, -540, 720, 720, 720, -540, -540), (900, -600, -300)])
def test_factors_that_underflow_on_the_way_are_a_design_as_any(powers: tuple[int, ...]) -> None:
    """The product is 1, though multiplied as they are its factors give 0, or are far apart."""
    factors = [np.full((1, 1, 1, 1), 2.0**power) for power in powers]
    design = so.KroneckerProduct(factors, [(1, 1, 1, 1)] * len(powers))
    solution = so.solve(so.SparseRegression(design, [1.0], so.L1(0.1)))
    assert solution.status is so.Status.VERIFIED
    assert solution.answer.x == pytest.approx([0.9], rel=1e-12)
    assert so.solve(so.RecoveryGuarantee(design, 1)).answer.value == "recovers"


@pytest.mark.parametrize("turn", [1.0, 1.0 + 2.0j])
def test_products_of_low_rank_are_judged_exactly(turn: complex) -> None:
    patterns = so.Architecture([so.KroneckerPattern(1, 3, 2, 2), so.KroneckerPattern(2, 2, 4, 1)])
    rng = np.random.default_rng(3)
    factors = [rng.standard_normal(tuple(pattern)) * turn for pattern in patterns]
    product, target = so.KroneckerProduct(factors, patterns), rng.standard_normal(6)
    left = target - product.to_dense() @ np.linalg.pinv(product.to_dense(), rcond=1e-12) @ target
    for norm in (1, 2):
        solution: Any = _checked(so.BasisPursuit(product, target, norm=norm), True)
        assert solution.answer.feasible is False
        assert solution.answer.smallest_residual == pytest.approx(np.linalg.norm(left), rel=1e-9)
        _checked(so.BasisPursuit(product, product @ np.ones(8), norm=norm), True)
    # Four unpenalised columns that span two dimensions.
    _checked(so.SparseRegression(product, target, so.GroupL1(0.5, GROUPS, [0, 1])), True)


@pytest.mark.parametrize("penalty", [so.L1(1.0, None, True), so.GroupL1(1.0, GROUPS, None, True)])
def test_complex_numbers_have_no_order(penalty: so.L1) -> None:
    with pytest.raises(so.ProblemError, match="complex numbers have no order"):
        so.SparseRegression(COMPLEX, TURNED, penalty)


def test_real_answers_to_complex_data_without_imaginary_parts() -> None:
    for name, make in PROBLEMS.items():
        if name == "large ball":  # many vectors fit
            continue
        whole: Any = so.solve(make(REAL + 0j, TARGET + 0j)).answer.x
        real: Any = so.solve(make(REAL, TARGET)).answer.x
        assert np.allclose(whole, real, atol=1e-7), name


@pytest.mark.parametrize("name", list(PROBLEMS)[8:])  # penalties have units of their own
@pytest.mark.parametrize(("kind", "scale"), [("operator", 1e-135), ("complex product", 1e149)])
def test_scales_of_operators_and_complex_numbers(kind: str, scale: float, name: str) -> None:
    given, target, _ = DESIGNS[kind]
    power = 2.0 ** round(math.log2(scale))
    small: Any = PROBLEMS[name](given, target)
    unit = power if name.startswith("pursuit") else 1.0
    field = next(
        (f for f in ("noise", "radius", "strength", "size") if hasattr(small, f)), "support"
    )
    values = {field: getattr(small, field) * (power if name == "root" else 1.0)}
    if field in ("size", "support"):
        values = {field: getattr(small, field)}
    if field == "noise":
        values = {"noise": small.noise * unit, "norm": small.norm}
    solution: Any = so.solve(type(small)(given * power, target * power, **values))
    assert solution.status is so.Status.VERIFIED, solution
    answer: Any = so.solve(small).answer
    assert np.allclose(solution.answer.x, answer.x, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("matvec", "words"),
    [
        (lambda v: np.zeros(3), "matvec of the design fails for column 0: ValueError"),
        (lambda v: 1 / 0, "matvec of the design fails for column 0: ZeroDivisionError"),
        (lambda v: np.ravel(v) * 1j, "returns complex numbers, but its dtype is float64"),
        (lambda v: np.ravel(v) * np.nan, "column 0 of the design has a NaN"),
    ],
)
def test_operators_at_fault_are_named(matvec: Any, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.BasisPursuit(LinearOperator((2, 2), matvec=matvec, dtype=float), [1.0, 2.0])


def test_operators_without_an_adjoint_and_of_integers() -> None:
    first = LinearOperator((2, 3), matvec=lambda v: np.ravel(v)[:2], dtype=float)
    _checked(so.SparseRegression(first, [1.0, 2.0], so.L1(0.1)), False)
    answer = _checked(so.BasisPursuit(first, [1.0, 2.0]), False).answer
    assert np.allclose(answer.x, [1.0, 2.0, 0.0])
    whole = LinearOperator((2, 2), matvec=np.ravel, rmatvec=np.ravel, dtype=int)
    assert np.allclose(_checked(so.BasisPursuit(whole, [1.0, 2.0]), False).answer.x, [1.0, 2.0])


def test_real_only_solvers_name_one_that_takes_complex_data() -> None:
    with pytest.raises(so.SolveError, match="douglas_rachford takes norm 1"):
        so.solve(so.BasisPursuit(COMPLEX, TURNED), "highs")
    with pytest.raises(so.SolveError, match="working_set takes complex"):
        so.solve(so.SparseRegression(COMPLEX, TURNED, so.L1(1.0)), "scikit_learn")
