"""The question of sparse recovery, and its answers against brute force over the rationals."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
import sympy
from recovery_oracle import circuits, l1_recovers, l1_recovers_all, omp_endings

import sparseopt as so

NOWHERE = np.full((1, 1), np.nan)
STEEP = [[1.0, 0.0, 100.0], [0.0, 1.0, 1.0]]


def value(*args: Any, **more: Any) -> str:
    solution = so.solve(so.RecoveryGuarantee(*args, **more))
    assert solution.certificate is None or so.verify(solution).ok
    return solution.answer.value


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("either sparsity= or support=", {}),
        ("either sparsity= or support=", {"sparsity": 1, "support": [0]}),
        ("signs belong to a support", {"sparsity": 1, "signs": [1]}),
        ("sparsity is 3; the design has 2 columns", {"sparsity": 3}),
        ("sparsity is 0", {"sparsity": 0}),
        ("sparsity must be an integer", {"sparsity": 1.0}),
        ("sparsity must be an integer", {"sparsity": True}),
        ("support has 2 at entry 1; the columns are 0 to 1", {"support": [0, 2]}),
        ("support has -1 at entry 0", {"support": [-1]}),
        ("column 1 twice", {"support": [1, 1]}),
        ("non-empty list", {"support": []}),
        ("non-empty list", {"support": [0.5]}),
        ("non-empty list", {"support": [False, False]}),
        ("a mask of shape", {"support": [True]}),
        ("signs must be 1 numbers", {"support": [0], "signs": [1, 1]}),
        ("signs has 0 at entry 0", {"support": [0], "signs": [0]}),
        ("signs has nan at entry 0", {"support": [0], "signs": [float("nan")]}),
        ("method must be one of", {"sparsity": 1, "method": "lasso"}),
    ],
)
def test_bad_questions_are_refused(words: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.RecoveryGuarantee([[1.0, 2.0]], **arguments)


@pytest.mark.parametrize(
    ("words", "design"),
    [
        ("at least one entry", np.zeros((0, 3))),
        ("at least one entry", np.zeros((3, 0))),
        ("must be a matrix", [1.0, 2.0]),
        ("design has a nan at entry \\(0, 1\\)", [[1.0, np.nan]]),
        ("design has an inf", [[np.inf, 1.0]]),
        ("design has a nan at entry \\(0, 1\\)", [[1j, complex(0.0, float("nan"))]]),
        (
            "column 0 of the design has a NaN",
            scipy.sparse.linalg.aslinearoperator(NOWHERE),
        ),
        ("design has an? inf", scipy.sparse.csr_array([[np.inf, 1.0]])),
        ("a matrix with entries", scipy.sparse.csr_array((0, 3))),
        ("ragged", [[1.0], [1.0, 2.0]]),
        ("dtype", [["a"]]),
        ("masked", np.ma.masked_array([[1.0]], [[True]])),
        ("float64 does not", [[2**53 + 1]]),
    ],
)
def test_bad_designs_are_refused(words: str, design: Any) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.RecoveryGuarantee(design, 1)


def test_support_and_signs_are_sorted_together() -> None:
    problem = so.RecoveryGuarantee(np.eye(3), support=[2, 0], signs=[-1, 1])
    assert problem.support == (0, 2)
    assert problem.signs == (1, -1)
    masked = so.RecoveryGuarantee(np.eye(3), support=[True, False, True], signs=[1, -1.0])
    assert (masked.support, masked.signs) == (problem.support, problem.signs)


@pytest.mark.parametrize("seed", range(30))
def test_l1_agrees_with_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 4)), int(rng.integers(1, 7))
    design = rng.integers(-2, 3, (m, n))
    kernel = circuits(design.tolist())
    for k in range(1, min(n, 3) + 1):
        right = "recovers" if l1_recovers_all(kernel, n, k) else "fails"
        assert value(design, sparsity=k) == right
    size = min(n, int(rng.integers(1, 4)))
    support = tuple(sorted(rng.choice(n, size, replace=False).tolist()))
    signs = tuple(rng.choice([-1, 1], size).tolist())
    for given in (None, signs):
        right = "recovers" if l1_recovers(kernel, support, given) else "fails"
        assert value(design, support=support, signs=given) == right


def test_l1_agrees_with_brute_force_on_floats() -> None:
    """The design is taken for the rationals that its floats are."""
    rng = np.random.default_rng(1)
    found = set()
    for _ in range(4):
        design = rng.standard_normal((4, 6))
        kernel = circuits(design.tolist())
        for k in (1, 2):
            right = "recovers" if l1_recovers_all(kernel, 6, k) else "fails"
            assert value(design, sparsity=k) == right
            found.add((k, right))
    assert len(found) == 3


@pytest.mark.parametrize("seed", range(15))
def test_omp_agrees_with_runs_over_the_rationals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(2, 5)), int(rng.integers(2, 7))
    design = rng.integers(-2, 3, (m, n))
    size = min(n, int(rng.integers(1, 4)))
    support = tuple(sorted(rng.choice(n, size, replace=False).tolist()))
    signs = rng.choice([-1, 1], size)
    for given in (None, signs):
        problem = so.RecoveryGuarantee(design, support=support, signs=given, method="omp")
        solution = so.solve(problem)
        if solution.answer.value == "recovers":
            for _ in range(4):
                x = np.zeros(n, dtype=int)
                drawn = rng.choice([-1, 1], size) if given is None else given
                x[list(support)] = rng.integers(1, 5, size) * drawn
                ends = omp_endings(design.tolist(), x.tolist(), size)
                assert all(end == x.tolist() for end in ends)
        elif isinstance(solution.certificate, so.GreedyFailureCertificate):
            x = [Fraction(v) for v in solution.certificate.vector]
            wanted = [sympy.Rational(v.numerator, v.denominator) for v in x]
            assert any(end != wanted for end in omp_endings(design.tolist(), x, size))
        elif solution.answer.value == "fails":
            assert isinstance(solution.certificate, so.KernelCertificate)
        else:  # never where the exact recovery condition is all there is to know
            assert given is not None


def test_the_counterexample_is_one() -> None:
    rng = np.random.default_rng(0)
    design = rng.standard_normal((6, 12))
    signs = None
    for _ in range(2):
        problem = so.RecoveryGuarantee(design, support=[1, 4, 7], signs=signs)
        certificate = so.solve(problem).certificate
        assert isinstance(certificate, so.KernelCertificate)
        signs = [1 if v > 0 else -1 for v in certificate.direction[[1, 4, 7]]]
        x = certificate.missed
        z = x - certificate.direction
        exact = sympy.Matrix([[sympy.Rational(Fraction(v)) for v in row] for row in design])
        assert not any(exact * sympy.Matrix([sympy.Rational(Fraction(v)) for v in x - z]))
        assert sum(map(abs, z)) <= sum(map(abs, x))
        assert set(np.flatnonzero(x)) <= {1, 4, 7}


def test_sizes_of_columns_count_for_l1_and_not_for_omp() -> None:
    """Normalized columns would have coherence below 1, and "1-sparse is recovered" is false."""
    assert value(STEEP, sparsity=1) == "fails"
    assert value(STEEP, sparsity=1, method="omp") == "recovers"


def test_coherence_of_spikes_and_waves() -> None:
    """k < (1 + sqrt m) / 2 suffices (Donoho, Huo 2001); with k = sqrt m combs are missed."""
    design = np.hstack([np.eye(16), scipy.linalg.hadamard(16) / 4.0])
    for method in ("l1", "omp"):
        assert value(design, sparsity=2, method=method) == "recovers"
        comb = [16 + i for i in range(32) if i % 4 == 0 and i < 16]
        assert value(design, support=comb, method=method) == "fails"


@pytest.mark.parametrize("method", ["l1", "omp"])
def test_degenerate_designs(method: str) -> None:
    assert value([[3.0]], 1, method=method) == "recovers"
    assert value([[0.0]], 1, method=method) == "fails"
    assert value([[1.0, 1.0]], 1, method=method) == "fails"
    assert value(np.ones((3, 3)), support=[0, 1], method=method) == "fails"
    assert value(np.eye(3), 3, method=method) == "recovers"
    assert value([[1.0, 0.0]], support=[0], method=method) == "recovers"
    assert value([[1.0, 0.0]], support=[1], method=method) == "fails"
    assert value(np.zeros((2, 3)), support=[1], signs=[1], method=method) == "fails"
    assert value([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], 3, method=method) == "fails"


def test_scales_dtypes_and_layouts_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    design = rng.standard_normal((6, 9)).astype(np.float32)
    right = [value(design, k) for k in (1, 2)]
    assert set(right) == {"recovers", "fails"}
    for same in (
        design.astype(np.float64) * 2.0**500,
        design.astype(np.float64) * 2.0**-500,
        np.asfortranarray(design),
        np.repeat(design, 2, axis=1)[:, ::2],
    ):
        assert [value(same, k) for k in (1, 2)] == right


def test_unknown_is_said_without_a_certificate() -> None:
    rng = np.random.default_rng(0)
    problem = so.RecoveryGuarantee(rng.standard_normal((40, 80)), sparsity=6)
    solution = so.solve(problem, block=["recovery_null_space"])
    assert solution.answer.value == "unknown"
    assert solution.certificate is None
    assert "l1" in solution.answer.condition


def test_the_time_limit_is_kept() -> None:
    import time

    design = np.random.default_rng(0).standard_normal((60, 120))
    start = time.monotonic()
    solution = so.solve(so.RecoveryGuarantee(design, sparsity=3), time_limit=0.5)
    assert time.monotonic() - start < 2.0
    assert solution.answer.value == "unknown"


def test_large_designs() -> None:
    """Signs by reweighted least squares, failures by directions close to the kernel."""
    rng = np.random.default_rng(0)
    design = rng.standard_normal((100, 300))
    for size, signs, right in ((15, True, "recovers"), (60, False, "fails"), (60, True, "fails")):
        given = rng.choice([-1, 1], size) if signs else None
        solution = so.solve(so.RecoveryGuarantee(design, support=range(size), signs=given))
        assert solution.answer.value == right
        assert so.verify(so.Solution.from_json(solution.to_json())).ok
    assert value(design, sparsity=60) == "fails"


def test_a_direction_near_the_kernel_leads_to_one_in_it() -> None:
    """The proof says that the exact kernel holds one that does the same; here it is computed."""
    design = np.random.default_rng(2).integers(-3, 4, (4, 9)).astype(float)
    problem = so.RecoveryGuarantee(design, support=[0, 1, 2, 3, 4])
    exact = so.solve(problem).certificate.direction
    h = np.array([float(v) for v in exact]) / float(max(map(abs, exact)))
    columns = next(
        c for c in ([0, 1, 2, 3], [1, 2, 3, 4], [4, 5, 6, 7]) if np.linalg.det(design[:, c])
    )
    inverse = np.linalg.inv(problem.scaled[:, columns])
    near = so.NearKernelCertificate.proved(problem, h, columns, inverse)
    assert so.verify(near).ok
    rational = sympy.Matrix([[sympy.Rational(Fraction(v)) for v in row] for row in design])
    moved = sympy.Matrix([sympy.Rational(Fraction(v)) for v in h.tolist()])
    change = rational[:, columns].LUsolve(rational * moved)
    for place, j in enumerate(columns):
        moved[j] -= change[place]
    assert not any(rational * moved)
    assert sum(abs(v) for v in moved[:5]) > sum(abs(v) for v in moved[5:])


@pytest.mark.parametrize("seed", range(4))
def test_stated_constants_bound_the_kernel(seed: int) -> None:
    """By all circuits: what k entries have of the others' 1-norm, and of that of all."""
    rng = np.random.default_rng(seed)
    design = rng.standard_normal((5, 7))
    kernel = circuits(design.tolist())
    for k in (1, 2):
        problem = so.RecoveryGuarantee(design, k)
        tops = [(sum(sorted(map(abs, h))[-k:]), sum(map(abs, h))) for h in kernel]
        solution = so.solve(problem, "recovery_null_space")
        if isinstance(solution.certificate, so.DualVectorsCertificate):
            exact = max(top / (whole - top) for top, whole in tops)
            assert exact <= Fraction(solution.certificate.constant)
        bound = so.solve(problem, "recovery_relaxation")
        if bound.certificate is not None:
            exact = max(top / whole for top, whole in tops)
            assert exact <= Fraction(bound.certificate.constant)
            if k == 1:  # linear programs over single entries are the constant itself
                assert bound.certificate.constant == pytest.approx(float(exact), rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_sizes_of_rows_do_not_count_for_l1(seed: int) -> None:
    """Powers of two, which change neither kernel nor digits, against brute force over rationals."""
    rng = np.random.default_rng(seed)
    design = rng.integers(-3, 4, (4, 6)).astype(float)
    kernel = circuits(design.tolist())
    uneven = design * 2.0 ** rng.integers(-300, 300, 4)[:, None]
    for sparsity in (1, 2):
        right = l1_recovers_all(kernel, 6, sparsity)
        assert value(uneven, sparsity=sparsity) == ("recovers" if right else "fails")
    right = l1_recovers(kernel, (0, 3), None)
    assert value(uneven, support=[0, 3]) == ("recovers" if right else "fails")
    sparse = scipy.sparse.csr_array(uneven)
    assert value(sparse, support=[0, 3]) == ("recovers" if right else "fails")


def test_sizes_of_rows_do_not_count_for_complex_vectors() -> None:
    rng = np.random.default_rng(0)
    design = rng.standard_normal((6, 8)) + 1j * rng.standard_normal((6, 8))
    uneven = design * 2.0 ** rng.integers(-200, 200, 6)[:, None]
    for question in ({"sparsity": 1}, {"support": [2, 5]}, {"support": [1], "signs": [1j]}):
        right = value(design, **question)
        assert right != "unknown"
        assert value(uneven, **question) == right
