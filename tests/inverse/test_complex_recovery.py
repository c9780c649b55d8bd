"""Recovery of complex vectors, and designs that are known by their columns."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg

import sparseopt as so


def solved(*args: Any, **more: Any) -> Any:
    solution = so.solve(so.RecoveryGuarantee(*args, **more))
    if solution.certificate is not None:
        assert so.verify(solution).ok
        if not isinstance(solution.problem.design, scipy.sparse.linalg.LinearOperator):
            assert so.verify(so.Solution.from_json(solution.to_json())).ok
    return solution


def drawn(seed: int, m: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, n)) + 1j * rng.standard_normal((m, n))


@pytest.mark.parametrize("seed", range(6))
def test_given_phases_agree_with_basis_pursuit(seed: int) -> None:
    """What is recovered is found by basis pursuit; what is missed is longer than what it finds."""
    rng, design = np.random.default_rng(seed), drawn(seed, 6, 9)
    size = 2 + seed % 3
    support = sorted(rng.choice(9, size, replace=False).tolist())
    signs = np.exp(2j * np.pi * rng.uniform(size=size))
    solution = solved(design, support=support, signs=signs)
    x = np.zeros(9, dtype=complex)
    x[support] = signs * rng.uniform(1.0, 2.0, size)
    found = so.solve(so.BasisPursuit(design, design @ x)).answer.x
    recovered = np.abs(found - x).max() < 1e-6
    assert solution.answer.value != "unknown"
    if solution.answer.value == "recovers":
        assert recovered
    else:  # for these phases it is missed at some size, then at all larger ones
        x[support] = 1e6 * signs
        found = so.solve(so.BasisPursuit(design, design @ x)).answer.x
        assert np.abs(found).sum() <= np.abs(x).sum() * (1.0 + 1e-12)
        assert np.abs(found - x).max() > 1e-3


@pytest.mark.parametrize("method", ["l1", "omp"])
@pytest.mark.parametrize("seed", range(4))
def test_turned_columns_are_recovered_alike(seed: int, method: str) -> None:
    """Columns times 1, i, -1, -i: the same question; and a real design stays what it is."""
    rng = np.random.default_rng(seed)
    real = rng.integers(-2, 3, (3, 5)).astype(float)
    turns = 1j ** rng.integers(0, 4, 5)
    support = sorted(rng.choice(5, 2, replace=False).tolist())
    for kind in ({"sparsity": 1}, {"support": support}):
        values = [
            solved(design, **kind, method=method).answer.value
            for design in (real, real.astype(complex), real * turns)
        ]
        assert values[1] == values[2]
        if "unknown" not in values:  # real and complex null space properties are one
            assert values[0] == values[1]


@pytest.mark.parametrize("method", ["l1", "omp"])
def test_spikes_and_waves(method: str) -> None:
    """Coherence 1/sqrt(m): k below (1 + sqrt m) / 2 is recovered, and a comb is missed."""
    design = np.hstack([np.eye(16), scipy.linalg.dft(16, "sqrtn")])
    assert solved(design, 2, method=method).answer.value == "recovers"
    comb = list(range(0, 16, 2))  # eight spikes of size 1 are two waves of size 2
    assert solved(design, support=comb, method=method).answer.value == "fails"
    assert solved(design, 8, method=method).answer.value == "fails"


@pytest.mark.parametrize("method", ["l1", "omp"])
@pytest.mark.parametrize("is_complex", [False, True])
def test_kinds_of_designs_agree(method: str, is_complex: bool) -> None:
    design = drawn(3, 6, 9) if is_complex else drawn(3, 6, 9).real
    kinds = [
        design,
        np.asfortranarray(design),
        scipy.sparse.csr_array(design),
        scipy.sparse.csc_array(design),
        scipy.sparse.linalg.aslinearoperator(design),
    ]
    for kind in ({"sparsity": 1}, {"sparsity": 4}, {"support": [0, 3]}):
        assert len({solved(d, **kind, method=method).answer.value for d in kinds}) == 1


def test_single_precision_is_taken_as_it_is() -> None:
    design = drawn(1, 5, 7).astype(np.complex64)
    for kind in (design, scipy.sparse.csr_array(design)):
        problem = so.RecoveryGuarantee(kind, 1)
        assert problem.design.dtype == (np.complex128 if kind is design else np.complex64)
        assert solved(kind, 1).answer.value == solved(design.astype(complex), 1).answer.value


def test_products_of_factors_are_judged_exactly() -> None:
    """The third factor's sums are exact in the certificate, not as floats would give them."""
    chain = so.Architecture.square_dyadic(8)
    rng = np.random.default_rng(0)
    for wide in (1.0, 1.0 + 1j):
        factors = [wide * rng.standard_normal((p.a, p.b, p.c, p.d)) for p in chain]
        product = so.KroneckerProduct(factors, chain)
        for method in ("l1", "omp"):
            one = solved(product, support=[0, 5], method=method).answer.value
            assert one == solved(product.to_dense(), support=[0, 5], method=method).answer.value
    column = np.zeros(8)
    column[3] = 1.0
    columns = so.RecoveryGuarantee(product, 1).columns
    whole = columns.whole(columns.pairs([3]))[:, 0]
    exact = product @ column
    scale = whole[0] / exact[0].real
    assert np.allclose(whole.astype(float) / scale, np.append(exact.real, exact.imag))


def test_large_designs_on_a_support() -> None:
    """Columns are read a few at a time; what needs all of them is refused by name."""
    block = np.array([[1.0, 1.0], [1.0, -1.0]])[None, :, :, None]
    chain = so.Architecture.square_dyadic(4096)
    waves = so.KroneckerProduct([np.tile(block, (p.a, 1, 1, p.d)) for p in chain], chain)
    assert solved(waves, support=[1, 5, 7]).answer.value == "recovers"
    sparse = scipy.sparse.random(300, 20000, 0.01, random_state=0, format="csr")
    assert solved(sparse, support=[0]).answer.value == "recovers"
    unknown = so.solve(so.RecoveryGuarantee(waves, 3)).answer
    assert unknown.value == "unknown"
    assert "it needs all columns at once, which are kept up to 4194304" in unknown.condition


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_scale_does_not_matter(scale: float) -> None:
    design = drawn(2, 4, 6) * scale
    assert solved(design, 1).answer.value == solved(drawn(2, 4, 6), 1).answer.value


def test_edges() -> None:
    assert solved([[1j]], 1).answer.value == "recovers"
    assert solved(np.zeros((2, 3), dtype=complex), 1).answer.value == "fails"
    assert solved([[1.0, 1j]], support=[0, 1]).answer.value == "fails"
    for method in ("l1", "omp"):
        assert solved([[1.0, 1j]], support=[0], signs=[1.0], method=method).answer.value == "fails"


@pytest.mark.parametrize(
    ("words", "signs"),
    [
        ("of modulus 1 within", [1.0 + 1j]),
        ("of modulus 1 within", [float("nan")]),
        ("of modulus 1 within", [0.0]),
        ("signs must be 1 numbers of modulus 1", [1.0, 1.0]),
        ("signs must be 1 numbers of modulus 1", ["i"]),
    ],
)
def test_bad_phases_are_refused(words: str, signs: Any) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.RecoveryGuarantee(drawn(0, 2, 3), support=[1], signs=signs)


def test_lapack_prints_nothing() -> None:
    code = "import sparseopt as so; so.solve(so.RecoveryGuarantee([[-(2.0**528) + 0j, 0j]], 1))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""
