"""Factorization on a device: kernels of the emulator, the certificate of the core."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from banks import BANKS
from cupy_double import State
from sparseopt_cupy.hierarchical_cupy import HierarchicalCupy

import sparseopt as so
from sparseopt.testing.solvers import check_solver

ARCHITECTURES = {
    "dyadic 32": so.Architecture.square_dyadic(32),
    "odd levels": so.Architecture.square_dyadic(8),
    "one factor": so.Architecture([(1, 5, 7, 1)]),
    "one factor in parts": so.Architecture([(2, 3, 4, 3)]),
    "three rows": so.Architecture([(1, 3, 3, 9), (3, 3, 3, 3), (9, 3, 3, 1)]),
    "parts of outer and inner": so.Architecture([(2, 2, 2, 6), (4, 2, 2, 3)]),
    "rank 2": so.Architecture([(1, 4, 6, 4), (3, 8, 5, 1)]),
    "redundant": so.Architecture([(1, 4, 4, 1), (1, 4, 4, 1)]),
    "rectangular": so.Architecture([(1, 5, 2, 4), (2, 4, 3, 1)]),
}


def on_device(target: np.ndarray) -> object:
    import cupy

    return cupy.asarray(target)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_answer_is_that_of_the_numpy_engine(cuda: State, name: str) -> None:
    import cupy

    architecture = ARCHITECTURES[name]
    rng = np.random.default_rng(3)
    for dtype in ("float32", "complex128") if "dyadic" in name else ("float64",):
        target = rng.standard_normal(architecture.shape)
        if dtype.startswith("complex"):
            target = target + 1j * rng.standard_normal(target.shape)
        target = target.astype(dtype)
        problem = so.ButterflyFactorization(on_device(target), architecture)
        solution = so.solve(problem, solver="hierarchical_cupy")
        assert all(isinstance(f, cupy.ndarray) for f in solution.answer.factors)
        assert solution.answer.dtype == dtype
        own = so.solve(so.ButterflyFactorization(target, architecture), solver="hierarchical_numpy")
        eps = float(np.finfo(dtype).eps)
        assert solution.certificate.error == pytest.approx(
            own.certificate.error, rel=100 * eps + 1e-10
        )
        distance = solution.answer.to_numpy().to_dense() - own.answer.to_dense()
        # Of more than two rows, vectors are as exact as the error is flat around them.
        allowed = 1000 * eps if "dyadic" in name else 10 * eps**0.5
        assert np.linalg.norm(distance) < allowed * np.linalg.norm(target)
        assert so.verify(solution).ok


def test_a_dyadic_target_takes_one_launch_for_two_levels(cuda: State) -> None:
    target = on_device(np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32))
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(64))
    so.solve(problem, solver="hierarchical_cupy", check=False, bounds="never")
    assert len(cuda.launches) == 3  # five levels
    plan = so.plan(problem)
    assert plan.chosen.name == "hierarchical_cupy"


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
def test_targets_far_from_one(cuda: State, scale: float) -> None:
    product = so.KroneckerProduct(
        [np.random.default_rng(k).standard_normal((1 << k, 2, 2, 4 >> k)) for k in range(3)],
        so.Architecture.square_dyadic(8),
    )
    target = product.to_dense() * scale
    problem = so.ButterflyFactorization(on_device(target), product.architecture)
    solution = so.solve(problem, solver="hierarchical_cupy")
    assert solution.certificate.relative_error < 1e-14


def test_zero_slow_and_strided_targets(cuda: State) -> None:
    architecture = ARCHITECTURES["three rows"]
    zero = so.ButterflyFactorization(on_device(np.zeros(architecture.shape)), architecture)
    assert so.solve(zero, solver="hierarchical_cupy").certificate.error == 0
    # Blocks whose singular values hardly differ: the eigensolver has to finish.
    rng = np.random.default_rng(1)
    orthogonal = np.linalg.qr(rng.standard_normal(architecture.shape))[0]
    nearly = orthogonal * (1 + 1e-9 * rng.standard_normal(orthogonal.shape))
    for target in (nearly, nearly.T, np.asfortranarray(nearly)):
        problem = so.ButterflyFactorization(on_device(target), architecture)
        found = so.solve(problem, solver="hierarchical_cupy")
        own = so.solve(so.ButterflyFactorization(target, architecture), solver="hierarchical_numpy")
        assert found.certificate.error <= own.certificate.error * (1 + 1e-9)
    view = on_device(np.kron(nearly, np.ones((1, 2))))[:, ::2]
    problem = so.ButterflyFactorization(view, architecture)
    assert so.solve(problem, solver="hierarchical_cupy").certificate.error > 0


def test_the_conformance_kit(cuda: State) -> None:
    """On the bank of the problem class, its arrays moved to the device."""
    moved = []
    for problem in BANKS["sparseopt:ButterflyFactorization"]():
        if problem.structure()["permutations"] == "known" and problem.kind == "array":
            moved.append(dataclasses.replace(problem, target=on_device(problem.target)))
    assert len(moved) >= 6
    check_solver(HierarchicalCupy, moved)


def test_tensors_stay_tensors(cuda: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of a processor pass for those of a device: their memory is shared by DLPack."""
    torch = pytest.importorskip("torch")
    target = torch.from_numpy(np.random.default_rng(5).standard_normal((16, 16)))
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(16))
    assert problem.structure()["place"] == "host"
    monkeypatch.setattr(
        so.ButterflyFactorization,
        "structure",
        lambda self: {"permutations": "known", "place": "device"},
    )
    solution = so.solve(problem, solver="hierarchical_cupy")
    assert all(isinstance(f, torch.Tensor) for f in solution.answer.factors)
    assert cuda.copies == 0
    own = so.solve(problem, solver="hierarchical_numpy")
    assert solution.certificate.error == pytest.approx(own.certificate.error, rel=1e-12)
    assert "on the processor" not in str(so.verify(solution).details)
    monkeypatch.setattr(torch.Tensor, "is_cuda", property(lambda self: True), raising=False)
    assert "on the processor" in str(so.verify(solution).details)


def test_the_same_answer_from_other_engines_lies_on_the_device(cuda: State) -> None:
    import cupy

    target = on_device(np.random.default_rng(5).standard_normal((16, 16)))
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(16))
    for solver in ("hierarchical_numpy", "hierarchical_numba"):
        answer = so.solve(problem, solver=solver).answer
        assert all(isinstance(f, cupy.ndarray) for f in answer.factors)


def test_files_and_checks_say_where_they_ran(cuda: State) -> None:
    target = np.random.default_rng(5).standard_normal((8, 8))
    problem = so.ButterflyFactorization(on_device(target), so.Architecture.square_dyadic(8))
    solution = so.solve(problem)
    check = so.verify(solution)
    assert "on the processor" in str(check.details)
    again = so.Solution.from_json(solution.to_json())
    assert isinstance(again.problem.target, np.ndarray)
    assert np.array_equal(again.problem.target, target)
    assert so.verify(again).ok
    forged = dataclasses.replace(solution.certificate, stated_error=(0.0, 1e-9))
    assert not so.verify(forged).ok


def test_bad_targets_are_refused_by_place(cuda: State) -> None:
    architecture = so.Architecture.square_dyadic(4)
    bad = np.eye(4)
    bad[1, 2] = np.inf
    with pytest.raises(so.ProblemError, match=r"target has an inf at entry \(1, 2\)"):
        so.ButterflyFactorization(on_device(bad), architecture)
    with pytest.raises(so.ProblemError, match="target has dtype float16; use float32"):
        so.ButterflyFactorization(on_device(np.eye(4, dtype=np.float16)), architecture)
    with pytest.raises(so.ProblemError, match="non-empty matrix"):
        so.ButterflyFactorization(on_device(np.ones(4)), architecture)
    whole = so.ButterflyFactorization(on_device(np.eye(4, dtype=int)), architecture)
    assert whole.dtype == np.float64
    with pytest.raises(so.ProblemError, match="bounds must be one of"):
        HierarchicalCupy(bounds="some")


def test_memory_is_asked_for(cuda: State) -> None:
    target = on_device(np.random.default_rng(0).standard_normal((16, 16)))
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(16))
    cuda.free = 1 << 20
    assert "refused: it needs about 0.00391 GiB on the device, of which 0.000977" in str(
        so.plan(problem)
    )
    with pytest.raises(so.SolveError, match="GiB on the device, of which"):
        so.solve(problem, solver="hierarchical_cupy")
