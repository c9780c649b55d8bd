"""Forged certificates of sparse recovery: what the core must refuse, and why.

The name of each is the sentence of the line that stops it, then " | " and what it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
from laws import law, refusal

import sparseopt as so
from sparseopt.judging.integers import as_integers

Pairs = Iterator[tuple[str, Any]]

FRAME = np.hstack([np.eye(4), np.array([[1, 1], [1, -1], [1, 1], [1, -1]]) / 2])
"""Two columns of the Hadamard basis beside the identity: coherence 1/2."""
LARGER = np.hstack([np.eye(16), scipy.linalg.hadamard(16)[:, :4] / 4.0])
WIDE = np.random.default_rng(3).standard_normal((8, 12))


def asked(design: Any, *args: Any, **more: Any) -> so.RecoveryGuarantee:
    return so.RecoveryGuarantee(design, *args, **more)


def solved(problem: so.RecoveryGuarantee, solver: str) -> Any:
    return so.solve(problem, solver).certificate


def coherence() -> Pairs:
    problem = asked(FRAME, 1)
    right = so.CoherenceCertificate.proved(problem)
    changed = dataclasses.replace
    yield "the answer is a verdict on recovery | a word", changed(right, answer="recovers")  # type: ignore[arg-type]
    other = so.RecoveryVerdict("fails", right.answer.condition)
    yield "the verdict is 'recovers' | the opposite", changed(right, answer=other)
    other = so.RecoveryVerdict("recovers", "omp: 1 < (1 + 1 / coherence) / 2")
    yield "the verdict says | another method", changed(right, answer=other)
    yield "the coherence is at most | less than it is", changed(right, coherence=0.25)
    yield "the coherence is at most | no number", changed(right, coherence=float("nan"))
    most = np.nextafter(right.coherence, 0.0)
    for _ in range(200):
        most = np.nextafter(most, 0.0)
    yield "the coherence is at most | less than is proved", changed(right, coherence=float(most))
    yield "1 is less than (1 + 1 / coherence) / 2 | too much", changed(right, coherence=1.0)
    yield "2 is less than (1 + | one nonzero more", so.CoherenceCertificate.proved(asked(FRAME, 2))
    yield (
        "1 is less than (1 + | for l1 sizes count",
        so.CoherenceCertificate.proved(asked([[1, 0, 100], [0, 1.0, 1]], 1)),
    )
    yield (
        "1 is less than (1 + | a zero column",
        so.CoherenceCertificate.proved(asked([[1, 0.0]], 1)),
    )
    lost = asked([[1e150, 0.0], [1e-200, 1e150]], 1)
    yield "no entry is so small | one of 1e-350", so.CoherenceCertificate.proved(lost)


def conditions() -> Pairs:
    changed = dataclasses.replace
    problem = asked(LARGER, support=[0, 1, 2])
    right = solved(problem, "recovery_conditions")
    yield (
        "the method is l1 | omp",
        so.ExactRecoveryCertificate.proved(
            asked(LARGER, support=[0, 1, 2], method="omp"), right.inverse
        ),
    )
    yield (
        "the support is given, or all | a sparsity",
        so.ExactRecoveryCertificate.proved(asked(LARGER, 3), right.inverse),
    )
    yield "W has one column for each | one too few", changed(right, inverse=right.inverse[:, :2])
    yield (
        "W has one column for each | a row more",
        changed(right, inverse=np.vstack([right.inverse, right.inverse[:1]])),
    )
    yield "W is an inverse of the columns | W = 0", changed(right, inverse=0.0 * right.inverse)
    yield "W is an inverse of the columns | twice", changed(right, inverse=2.0 * right.inverse)
    yield (
        "W is an inverse of the columns | beyond floats",
        changed(right, inverse=np.full_like(right.inverse, 1e300)),
    )
    steep = asked([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], support=[0, 1])
    yield (
        "the correlations off the set | 2",
        so.ExactRecoveryCertificate.proved(steep, 2.0 * np.eye(2)),
    )
    even = asked([[1.0, 1.0]], support=[0])
    yield "the correlations off the set | just 1", so.ExactRecoveryCertificate.proved(even, [[2.0]])
    lost = asked([[1e150, 0.0], [1e-200, 1e150]], support=[0])
    yield (
        "no entry is so small | in W's set",
        so.ExactRecoveryCertificate.proved(lost, np.linalg.pinv(lost.scaled[:, :1]).T),
    )


def dual_vectors() -> Pairs:
    changed = dataclasses.replace
    signs = solved(asked(WIDE, support=[1, 2, 5], signs=[1, -1, 1]), "recovery_null_space")
    every = solved(asked(WIDE, 1), "recovery_null_space")
    assert isinstance(signs, so.DualVectorsCertificate)
    assert isinstance(every, so.DualVectorsCertificate)
    yield (
        "the method is l1 | of dual vectors",
        so.DualVectorsCertificate.proved(asked(WIDE, 1, method="omp"), every.vectors),
    )
    many = asked(np.ones((1, 60)), 30)
    yield "there are at most 1048576 vectors", so.DualVectorsCertificate.proved(many, [[1.0]])
    yield "there are 12 vectors of 8 entries | one short", changed(every, vectors=every.vectors[1:])
    yield "W is there if signs are given | without", changed(signs, inverse=None)
    dependent = asked([[1.0, 1.0]], support=[0, 1], signs=[1, 1])
    yield (
        "W is there if signs are given | dependent columns",
        so.DualVectorsCertificate.proved(dependent, [[2.0]]),
    )
    yield (
        "the columns of the support are injective | they are not",
        (so.DualVectorsCertificate.proved(dependent, [[2.0]], [[1.0, 1.0]])),
    )
    yield "W is there if signs are given | for nothing", changed(every, inverse=[[1.0]])
    yield (
        "W has one column for each of the support | one short",
        changed(signs, inverse=signs.inverse[:, :2]),
    )
    yield (
        "the columns of the support are injective | W = 0",
        changed(signs, inverse=0.0 * signs.inverse),
    )
    other = every.vectors.copy()
    other[7] *= -1.0
    yield "a dual vector meets its signs | not one", changed(every, vectors=other)
    other = every.vectors.copy()
    other[7] *= 4.0
    yield "a dual vector meets its signs | too long", changed(every, vectors=other)
    other = every.vectors.copy()
    other[11, 0] = 1e308
    yield "a dual vector meets its signs | the last is beyond floats", changed(every, vectors=other)
    yield (
        "a dual vector meets its signs | other signs",
        changed(signs, problem=asked(WIDE, support=[1, 2, 5], signs=[1, 1, 1])),
    )
    less = every.constant * (1.0 - 1e-9)
    yield "the constant is at most | less than it is", changed(every, constant=less)
    yield "the constant is at most | no number", changed(every, constant=float("nan"))
    even = asked([[1.0, 1.0]], support=[0], signs=[1])
    yield (
        "a dual vector proves it | just 1",
        so.DualVectorsCertificate.proved(even, [[2.0]], [[2.0]]),
    )
    lost = asked([[1e150, 0.0], [1e-200, 1e150]], support=[0], signs=[1])
    w = np.linalg.pinv(lost.scaled[:, :1]).T
    yield "no entry is so small | in a dual vector", so.DualVectorsCertificate.proved(lost, w.T, w)


def bounds() -> Pairs:
    changed = dataclasses.replace
    made = so.NullSpaceBoundCertificate.proved
    right = solved(asked(LARGER, 2), "recovery_relaxation")
    yield "the method is l1 | of a bound", made(asked(LARGER, 2, method="omp"), right.multipliers)
    yield "a sparsity is given | a support", made(asked(LARGER, support=[0, 16]), right.multipliers)
    yield (
        "Y is as large as the design | one short",
        changed(right, multipliers=right.multipliers[:, 1:]),
    )
    yield (
        "the sums are at most | less than they are",
        changed(right, constant=right.constant * (1.0 - 1e-9)),
    )
    yield "the sums are at most | no number", changed(right, constant=float("nan"))
    yield "the sums are at most | Y = 0", changed(right, multipliers=0.0 * right.multipliers)
    yield (
        "the sums are at most | beyond floats",
        changed(right, multipliers=np.full_like(right.multipliers, 1e300)),
    )
    yield "the sums are below 1/2 | three at a time", made(asked(LARGER, 3), right.multipliers)
    tie = made(asked([[1.0, 1.0]], 1), [[1.0, 1.0]])
    yield "the sums are below 1/2 | a tie", tie
    lost = asked([[1e150, 0.0], [1e-200, 1e150]], 1)
    yield "no entry is so small | in a bound", made(lost, np.linalg.inv(lost.scaled).T)


def kernels() -> Pairs:
    made = so.KernelCertificate.proved
    line = [[1.0, 2.0]]
    yield "it has one entry for each of 2 columns | three", made(asked(line, 1), [2, -1, 0])
    yield "the direction is not zero | zero", made(asked(line, 1), [0, 0])
    yield (
        "design @ direction is exactly zero | nearly",
        made(asked(line, 1), [2, Fraction(-(10**30) - 1, 10**30)]),
    )
    third = asked([[1.0, 3.0]], 1)
    yield "design @ direction is exactly zero | in floats only", made(third, [-1.0, 1.0 / 3.0])
    yield (
        "the other vector's 1-norm is not larger | on another support",
        made(asked(line, support=[1]), [2, -1]),
    )
    three = [[1.0, 1.0, -1.0]]
    yield (
        "the other vector's 1-norm is not larger | other signs",
        made(asked([[1.0, 2.0]], support=[0], signs=[-1]), [2, -1]),
    )
    wide = [[2.0, 0, 0, 1], [0, 2.0, 0, 1], [0, 0, 2.0, 1]]
    yield "the other vector's 1-norm is not larger | a little", made(asked(wide, 1), [1, 1, 1, -2])
    yield (
        "it is the difference of two vectors | of l1's",
        made(asked(three, 1, method="omp"), [1, 1, 2]),
    )
    yield (
        "it is the difference of two vectors | off the support",
        made(asked(line, support=[0], method="omp"), [2, -1]),
    )


def near_kernels() -> Pairs:
    changed = dataclasses.replace
    made = so.NearKernelCertificate.proved
    right = near()
    m = len(right.columns)
    design = right.problem.design
    yield (
        "the method is l1 | near a kernel",
        made(
            asked(design, support=right.problem.support, method="omp"),
            right.direction,
            right.columns,
            right.inverse,
        ),
    )
    yield (
        f"one entry for each of {design.shape[1]} columns | one short",
        changed(right, direction=right.direction[1:]),
    )
    yield (
        f"there are {m} columns and an inverse | one short",
        changed(right, columns=right.columns[1:]),
    )
    yield (
        f"there are {m} columns and an inverse | a row short",
        changed(right, inverse=right.inverse[1:]),
    )
    yield "the columns are distinct ones | twice", changed(right, columns=np.zeros(m, dtype=int))
    yield "the columns are distinct ones | beyond", changed(right, columns=right.columns + 1000)
    yield "the columns are distinct ones | below 0", changed(right, columns=right.columns - 1000)
    yield "the inverse is one of these columns | zero", changed(right, inverse=0 * right.inverse)
    other = right.direction.copy()
    other[right.columns[0]] += 1.0
    small = "the other vector's 1-norm is smaller, also"
    yield f"{small} | off the kernel", changed(right, direction=other)
    yield f"{small} | no direction", changed(right, direction=0.0 * other)
    yield (
        f"{small} | on other columns",
        changed(right, problem=asked(design, support=[j for j in range(8) if j not in (1, 4)])),
    )
    tie = asked([[1.0, 1.0]], support=[0])
    yield f"{small} | a tie", made(tie, [1.0, -1.0], [0], [[2.0]])
    lost = asked([[1e150, 0.0, 1e150], [1e-200, 1e150, 1e150]], support=[0, 1])
    on = np.linalg.inv(lost.scaled[:, :2])
    yield "no entry is so small | near a kernel", made(lost, [1.0, 1.0, -1.0], [0, 1], on)


def near() -> Any:
    """A failure of a design of 45 rows, by a direction that is nearly in the kernel."""
    design = np.random.default_rng(0).standard_normal((45, 60))
    return solved(asked(design, support=list(range(30))), "recovery_null_space")


def is_whole(floats: np.ndarray) -> bool:
    """Whether floats are what their integers are, times the power of two."""
    (whole,), exponent = as_integers(floats)
    unit = Fraction(2) ** exponent
    return [v * unit for v in whole] == [Fraction(float(v)) for v in floats]


def entrance() -> Pairs:
    """Numbers that are none, or too large ones."""
    problem = asked([[1.0, 2.0]], 1)
    made = so.KernelCertificate.proved
    nan = float("nan")
    yield "direction has a nan at entry 0 | no number", refusal(lambda: made(problem, [nan, 1.0]))
    yield "direction has a inf at entry 1", refusal(lambda: made(problem, [1.0, float("inf")]))
    truth = np.array([True, False], dtype=object)
    yield "direction holds a bool at entry 0", refusal(lambda: made(problem, truth))
    words = np.array([1, "1"], dtype=object)
    yield "direction holds a str at entry 1", refusal(lambda: made(problem, words))
    long = [Fraction(1, 3**8300), 1]
    yield "too many digits at entry 0 | below", refusal(lambda: made(problem, long))
    yield "too many digits at entry 1 | above", refusal(lambda: made(problem, [1, 3**8300]))
    both = Fraction(2**7000, 3**4000)
    yield "too many digits at entry 0 | together", refusal(lambda: made(problem, [both, 1]))
    right = near()
    n = right.problem.design.shape[1]
    beyond = np.append(right.columns[1:], n)
    yield (
        "the columns are distinct ones | one beyond the last",
        dataclasses.replace(right, columns=beyond),
    )
    one = solved(asked(WIDE, 1), "recovery_null_space")
    yield "the constant is at most | infinity", dataclasses.replace(one, constant=float("inf"))


SPIKES = np.hstack([np.eye(4), scipy.linalg.dft(4, "sqrtn")])
"""Spikes and waves: complex, coherence 1/2."""
WAVES = np.random.default_rng(5).standard_normal((2, 8, 12))
WAVES = WAVES[0] + 1j * WAVES[1]
TURNED = [[1.0, 0.0, 1.0], [0.0, 1.0, 1j]]
"""The third column is the first plus i times the second."""


def product_of(seed: int) -> so.KroneckerProduct:
    """A complex product of two factors that is not exact in floats."""
    rng, chain = np.random.default_rng(seed), so.Architecture.square_dyadic(4)
    shapes = [(p.a, p.b, p.c, p.d) for p in chain]
    return so.KroneckerProduct(
        [rng.standard_normal(s) + 1j * rng.standard_normal(s) for s in shapes], chain
    )


def complex_numbers() -> Pairs:
    """What moduli and phases change."""
    changed = dataclasses.replace
    right = so.CoherenceCertificate.proved(asked(SPIKES, 1))
    yield "the coherence is at most | of moduli, less", changed(right, coherence=0.49)
    yield (
        "2 is less than (1 + | spikes and waves",
        so.CoherenceCertificate.proved(asked(SPIKES, 2)),
    )
    lost = asked([[1e150, 0.0], [1e-200j, 1e150]], 1)
    yield "no entry is so small | an imaginary part", so.CoherenceCertificate.proved(lost)
    turned = asked(TURNED, support=[0, 1])
    yield (
        "the correlations off the set | moduli add up to 2",
        so.ExactRecoveryCertificate.proved(turned, 2.0 * np.eye(2, dtype=complex)),
    )
    every = solved(asked(WAVES, support=[1, 2]), "recovery_phases")
    assert every.phases > 2
    yield "the phases are + and -, or a grid | one", changed(every, phases=1)
    yield "the phases are + and -, or a grid | too many", changed(every, phases=1025)
    one = solved(asked(WIDE, support=[1, 2]), "recovery_null_space")
    yield "the phases are + and -, or a grid | of real numbers", changed(one, phases=4)
    plain = so.DualVectorsCertificate.proved(every.problem, every.vectors[:2], None, 2)
    yield "a dual vector meets its signs | + and - of another grid", plain
    both = np.stack([every.vectors[0], every.vectors[every.phases // 2]])
    plain = so.DualVectorsCertificate.proved(every.problem, both, None, 2)
    yield "a dual vector proves it | + and - do not cover all phases", plain
    other = every.vectors.conj()
    yield "a dual vector meets its signs | conjugated", changed(every, vectors=other)
    made, line = so.KernelCertificate.proved, asked([[1.0, 1j]], support=[0], signs=[1.0])
    yield "it has one entry for each of 2 columns | one row", made(line, [1, -1])
    yield "design @ direction is exactly zero | conjugated", made(line, [[1, 0], [0, -1]])
    turn = asked([[1.0, 1j]], support=[0], signs=[1j])
    yield "the other vector's 1-norm is not larger | not along the sign", made(turn, [1, 1j])
    odd = asked([[3.0 + 1j, 3.0]], support=[0], signs=[1.0])
    yield "the other vector's 1-norm is not larger | moduli count", made(odd, [3, -3 - 1j])
    failed = so.GreedyFailureCertificate.proved
    greedy = asked(TURNED, support=[0, 1], signs=[1.0, 1j], method="omp")
    yield "they have the signs | turned", failed(greedy, np.array([1j, 1.0, 0.0]), 2)
    yield "they have the signs | the opposite", failed(greedy, np.array([-1.0, -1j, 0.0]), 2)
    yield (
        "no column of the support is ahead of step 1 | less pull by its phase",
        failed(asked(TURNED, support=[0, 1], method="omp"), np.array([2.0, -1j, 0.0]), 2),
    )
    near = near_complex()
    other = near.direction.copy()
    other[near.columns[0]] += 1j
    yield "1-norm is smaller, also | off the kernel, imaginary", changed(near, direction=other)
    yield (
        "the inverse is one of these columns | conjugated",
        changed(near, inverse=near.inverse.conj()),
    )
    yield "direction must be a vector | three rows", refusal(lambda: made(line, np.ones((3, 2))))


def near_complex() -> Any:
    """A complex failure by a direction that is nearly in the kernel."""
    rng = np.random.default_rng(0)
    design = rng.standard_normal((45, 60)) + 1j * rng.standard_normal((45, 60))
    return solved(asked(design, support=list(range(35))), "recovery_phases")


def honest_complex() -> Pairs:
    """Yield (name, certificate) of complex designs and of operators."""
    for method in ("l1", "omp"):
        yield (
            f"coherence, complex, {method}",
            solved(asked(SPIKES, 1, method=method), "recovery_coherence"),
        )
    yield "exact condition, complex", solved(asked(WAVES, support=[1]), "recovery_conditions")
    yield "bound, complex", solved(asked(SPIKES, 1), "recovery_relaxation")
    yield "all phases", solved(asked(WAVES, support=[1, 2]), "recovery_phases")
    yield "one column, complex", solved(asked(WAVES, 1), "recovery_phases")
    given = np.exp(1j * np.arange(3.0))
    yield "phases", solved(asked(WAVES, support=[1, 2, 5], signs=given), "recovery_phases")
    fails = so.KernelCertificate.proved
    yield "kernel, turned", fails(asked([[1.0, 1j]], 1), np.array([1.0, 1j]))
    yield "kernel, roots that cancel", fails(asked([[1.0, 1j]], 1), np.array([1.0 + 2j, -2.0 + 1j]))
    along = asked([[1.0, 1j]], support=[0], signs=[1.0])
    yield "kernel, along its sign", fails(along, np.array([1.0, 1j]))
    signs = np.exp(1j * np.arange(6.0))
    six = asked(WAVES, support=list(range(6)), signs=signs)
    missed = solved(six, "recovery_phases")
    yield "kernel, phases", missed
    yield "a vector with its phases", law(lambda: is_missed(missed))
    yield "near a kernel, complex", near_complex()
    greedy = so.GreedyRecoveryCertificate.proved
    yield "greedy, complex", greedy(asked(SPIKES, support=[0], method="omp"))
    misses = so.GreedyFailureCertificate.proved
    turned = asked(TURNED, support=[0, 1], signs=[1.0, 1j], method="omp")
    yield "greedy failure, complex", misses(turned, np.array([1.0, 1j, 0.0]), 2)
    yield "product of factors", solved(asked(product_of(0), support=[0, 3]), "recovery_conditions")
    yield "product of factors, coherence", solved(asked(product_of(1), 1), "recovery_conditions")
    yield "sparse", solved(asked(scipy.sparse.csr_array(WIDE), 1), "recovery_null_space")


def is_missed(certificate: Any) -> bool:
    """Whether the vector has the phases, and the other one is not longer, up to rounding."""
    problem, h = certificate.problem, certificate.direction
    x, other = certificate.missed, certificate.missed - h
    on = list(problem.support)
    x, other = (np.array(v[0], float) + 1j * np.array(v[1], float) for v in (x, other))
    phases = x[on] / np.abs(x[on])
    same = np.abs(phases - np.array(problem.signs) / np.abs(problem.signs)).max() < 1e-12
    return bool(same and np.abs(other).sum() <= np.abs(x).sum() * (1.0 + 1e-12))


def forged() -> Pairs:
    """Yield (line that stops it | what it is, certificate)."""
    yield from coherence()
    yield from conditions()
    yield from dual_vectors()
    yield from bounds()
    yield from kernels()
    yield from near_kernels()
    yield from entrance()
    yield from complex_numbers()


def honest() -> Pairs:
    """Yield (name, certificate); all must be accepted."""
    yield from honest_complex()
    for method in ("l1", "omp"):
        yield f"coherence, {method}", so.CoherenceCertificate.proved(asked(FRAME, 1, method=method))
    yield "one column", so.CoherenceCertificate.proved(asked([[3.0]], 1))
    yield "exact condition", solved(asked(LARGER, support=[0, 1, 2]), "recovery_conditions")
    yield "injective", solved(asked(WIDE.T, 5), "recovery_conditions")
    yield "bound", solved(asked(LARGER, 2), "recovery_relaxation")
    yield "null space", solved(asked(WIDE, 1), "recovery_null_space")
    yield "two at a time", solved(asked(WIDE, 2), "recovery_null_space")
    one = asked(WIDE, support=[1, 2, 5], signs=[1, -1, 1])
    yield "signs", solved(one, "recovery_null_space")
    yield "all signs", solved(asked(WIDE, support=[1, 2]), "recovery_null_space")
    large = asked(WIDE * 1e150, support=[1, 2, 5], signs=[1, -1, 1])
    yield "large numbers", solved(large, "recovery_null_space")
    steep = [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    fails = so.KernelCertificate.proved
    yield "kernel", fails(asked(steep, 2), [1, 1, -1])
    yield "kernel, floats", fails(asked(steep, support=[0, 1]), [0.5, 0.5, -0.5])
    yield "kernel, signs", fails(asked(steep, support=[0, 1], signs=[1, 1]), [1, 1, -1])
    yield "kernel, any method", fails(asked(steep, 2, method="omp"), [1, 1, -1])
    twice = asked([[1.0, 1.0]], support=[0, 1], method="omp")
    yield "dependent support, any method", fails(twice, [1, -1])
    yield "near a kernel", near()
    signs = [1 if v > 0 else -1 for v in near().direction[:30]]
    one = asked(near().problem.design, support=list(range(30)), signs=signs)
    yield "near a kernel, signs", solved(one, "recovery_null_space")
    yield "near a kernel, sparsity", solved(asked(near().problem.design, 30), "recovery_null_space")
    yield "kernel, just as large", fails(asked([[1.0, 1.0]], 1), [1, -1])
    yield (
        "kernel, any method, as many as may be",
        fails(asked([[1.0, 1.0, 1.0, 1.0]], 2, method="omp"), [1, 1, -1, -1]),
    )
    missed = fails(asked(steep, support=[0, 1], signs=[1, -1]), [1, 1, -1])
    yield "a vector with its signs", law(lambda: missed.missed.tolist() == [1, -1, 0])
    exact = np.array([0.75, -2.0, 5e-324, 1e300])
    yield "floats are integers over a power of two", law(lambda: is_whole(exact))
    yield (
        "small integers stay small",
        law(
            lambda: (
                as_integers(exact[:2])[0][0].tolist() == [3, -8] and as_integers(exact[:2])[1] == -2
            )
        ),
    )
    yield "zeros are integers", law(lambda: as_integers(np.zeros(2))[0][0].tolist() == [0, 0])
