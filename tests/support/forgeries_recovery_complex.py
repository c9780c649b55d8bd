"""Forged certificates of sparse recovery that turn on phases, roots or the last digits.

As in `forgeries_recovery`, the name of each is the sentence of the line that stops it, then " | "
and what it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from forgeries_recovery import (
    LARGER,
    SPIKES,
    TURNED,
    WAVES,
    WIDE,
    asked,
    is_missed,
    near_complex,
    solved,
)
from laws import border, law, refusal

import sparseopt as so
from sparseopt.interface.certificate import Steps
from sparseopt.inverse.recovery_counterexamples import root_within

Pairs = Iterator[tuple[str, Any]]

NOT_LARGER = "the other vector's 1-norm is not larger"
SMALLER = "the other vector's 1-norm is smaller, also in the kernel"
TURN = complex(32768**2 - 8**2, 2 * 32768 * 8) / 2.0**30
"""Of modulus (2^30 + 64) / 2^30, exactly: a sign whose modulus is rational and not 1."""


def only(*direction: Any) -> np.ndarray:
    """Return a design whose kernel holds the multiples of a direction that ends in a number.

    Exactly, where products of two entries are floats.
    """
    h = np.array(direction)
    return np.hstack([h[-1] * np.eye(len(h) - 1), -h[:-1, None]])


IRRATIONAL = 0.6 + 0.8j
"""Of a modulus that is not rational, as neither part is what is written."""


def bounds_of_modulus(number: complex) -> tuple[list[float], list[float]]:
    """Return floats that add up to the bounds of a modulus that the judge takes."""
    found = []
    for rest in root_within(Fraction(number.real) ** 2 + Fraction(number.imag) ** 2):
        parts = list[float]()
        while rest:
            unit = Fraction(2) ** (rest.numerator.bit_length() - rest.denominator.bit_length() - 52)
            parts.append(float(rest // unit * unit))
            rest -= Fraction(parts[-1])
        found.append(parts)
    low, high = found
    return low, high


def beside_root(right: bool) -> Pairs:
    """Yield claims that floats and an irrational modulus beside them are as large, by one bound.

    Of ``h = (f, z)`` with the sum of f a bound of ``|z|``; its multiples are the kernel. They are
    right with the bound that the judge takes, and wrong by 2^-200 with the other.
    """
    made = so.KernelCertificate.proved
    for name, z in (("the root of 2", 1.0 + 1j), ("a modulus", IRRATIONAL)):
        low, high = bounds_of_modulus(z)
        more, less = (np.append(f, z) for f in ((high, low) if right else (low, high)))
        yield f"floats beside {name}", made(asked(only(*more), support=range(len(more) - 1)), more)
        yield f"{name} beside floats", made(asked(only(*less), support=[len(less) - 1]), less)
    against = [*[1.0] * (len(more) - 1), -z]
    every = asked(only(*more), support=range(len(more)), signs=against)
    yield "floats and a modulus against its sign", made(every, more)
    along = asked(only(*less), support=[len(less) - 1], signs=[z])
    yield "a modulus along its sign beside floats", made(along, less)


def kernels() -> Pairs:
    """Directions of the kernel, which are judged exactly."""
    made = so.KernelCertificate.proved
    for name, wrong in beside_root(right=False):
        yield f"{NOT_LARGER} | by 2^-200, {name}", wrong
    larger = asked(only(1.0 + 0j, 1j, 3.0), support=[0, 1])
    yield f"{NOT_LARGER} | moduli on a support", made(larger, np.array([1.0, 1j, 3.0]))
    larger = asked(only(1.0 + 0j, 1j, 1.0 + 1j, 1.0, 1.0), 2)
    yield f"{NOT_LARGER} | moduli", made(larger, np.array([1.0, 1j, 1.0 + 1j, 1.0, 1.0]))
    # Re(s^H h_S) = |h_rest|_1, but |c - 1 - i| + |c - 1 + i| + 2 > 2 c for all c.
    tie = np.array([1.0 + 1j, 1.0 - 1j, 2.0])
    aside = asked(only(*tie), support=[0, 1], signs=[1.0, 1.0])
    yield f"{NOT_LARGER} | a tie whose entries are not along their signs", made(aside, tie)
    # sum s.h = -1/2 + 1/2, below |h_rest|.
    odd = np.array([-0.5 + 1j, 0.5, 0.25])
    signed = asked(only(*odd), support=[0, 1], signs=[1.0, 1.0])
    yield f"{NOT_LARGER} | parts against the signs count as less", made(signed, odd)
    less = np.array([-1.0, 1.0, 2.0**-20])
    near_one = [1.0 + 2.0**-20, 1.0]
    yield (
        f"{NOT_LARGER} | signs are numbers over their moduli",
        made(asked(only(*less + 0j), support=[0, 1], signs=near_one), less + 0j),
    )
    off = np.array([IRRATIONAL, 1.0 + 2.0**-50])
    yield (
        f"{NOT_LARGER} | the entry off the support is a little larger",
        made(asked(only(*off), support=[0], signs=[IRRATIONAL]), off),
    )
    large = np.array([2**60, -1, 2**60 - 1])
    exact = asked([[1.0, 1.0, -1.0], [1.0, 2.0**60, 0.0]], support=[2], signs=[1])
    yield f"{NOT_LARGER} | integers that floats do not hold", made(exact, large)
    line = asked([[1.0, 1j]], support=[0], signs=[1.0])
    both = np.array([[1.0, 1j], [1.0, 1j]])
    yield (
        "direction holds a complex at entry 0 | two rows of complex numbers",
        refusal(lambda: made(line, both)),
    )
    yield "direction must be a vector | nothing", refusal(lambda: made(line, []))
    greedy = asked([[1.0, 1j, 0.0], [0.0, 0.0, 1.0]], support=[0, 2], signs=[1, 1], method="omp")
    yield (
        "it is the difference of two vectors | off a support with phases",
        made(greedy, np.array([1.0, 1j, 0.0])),
    )


def greedy() -> Pairs:
    """Vectors that omp may miss."""
    failed = so.GreedyFailureCertificate.proved
    signed = asked(TURNED, support=[0, 1], signs=[1.0, 1j], method="omp")
    yield "they have the signs | nearly", failed(signed, np.array([1.0 + 0.25j, 1j, 0.0]), 2)
    yield "they have the signs | one of two", failed(signed, np.array([1.0, 1j + 0.25, 0.0]), 2)
    recovers = so.GreedyRecoveryCertificate.proved
    yield (
        "the condition holds | moduli add up to more than 1",
        recovers(asked(TURNED, support=[0, 1], method="omp")),
    )
    yield (
        "the condition holds | complex columns that depend",
        recovers(asked([[1.0, 1j], [1j, -1.0]], support=[0, 1], method="omp")),
    )


def false_image() -> Any:
    """A direction of imaginary numbers for a real design, with an image that is not zero."""
    design = np.hstack([np.eye(3), np.full((3, 1), 0.125)])
    problem = asked(design, support=[0])
    direction = np.array([1j, 0.0, 0.0, 0.0])
    on = np.linalg.inv(problem.scaled[:, :3])
    return so.NearKernelCertificate.proved(problem, direction, [0, 1, 2], on)


def cancelling() -> tuple[list[complex], np.ndarray]:
    """Return two signs, and a direction whose entries are nearly at right angles to them.

    In plain arithmetic the real parts of their products add up to more than the third entry, in
    truth to less. The kernel holds its multiples alone, so vectors with these signs are recovered.
    """
    signs = [
        -0.538946371583861 + 0.8423400789209728j,
        0.8625259442436245 + 0.5060128412467849j,
    ]
    first = -0.5560851709625486 - 0.35579464005294476j
    second = 0.3340530082510328 - 0.5694112142672348j
    return signs, np.array([first, second, 7.0e-17]) * 2.0**20


def near_kernels() -> Pairs:
    """Directions that are nearly in the kernel, judged in floats."""
    changed, made = dataclasses.replace, so.NearKernelCertificate.proved
    yield "the direction is real where the design is | imaginary numbers", false_image()
    signs, h = cancelling()
    problem = asked(only(*h), support=[0, 1], signs=signs)
    on = np.linalg.inv(problem.scaled[:, [0, 2]])
    yield f"{SMALLER} | real parts whose digits cancel", made(problem, h, [0, 2], on)
    right = phases()
    other = [-s for s in right.problem.signs]
    against = asked(right.problem.design, support=right.problem.support, signs=other)
    yield f"{SMALLER} | against its phases", changed(right, problem=against)
    turned = changed(right, direction=right.direction * 1j)
    yield f"{SMALLER} | turned by a right angle", turned
    wide = near_sparse()
    few = asked(wide.problem.design, 10)
    yield f"{SMALLER} | for a smaller sparsity", changed(wide, problem=few)
    for name, _, wrong in borders():
        yield f"{name[0]} | just not, {name[1]}", wrong


def phases() -> Any:
    """A failure for given phases, by a direction that is nearly in the kernel."""
    found = near_complex()
    on = list(found.problem.support)
    signs = found.direction[on] / np.abs(found.direction[on])
    problem = asked(found.problem.design, support=on, signs=signs)
    made = so.NearKernelCertificate.proved
    return made(problem, found.direction, found.columns, found.inverse)


def near_sparse() -> Any:
    """A failure for a sparsity."""
    found = near_complex()
    problem = asked(found.problem.design, found.problem.size)
    made = so.NearKernelCertificate.proved
    return made(problem, found.direction, found.columns, found.inverse)


def as_product(matrix: Any) -> so.KroneckerProduct:
    """Return a matrix as a product of two factors: twice its half."""
    rows, columns = np.shape(matrix)
    first = 0.7 * np.eye(rows).reshape(1, rows, rows, 1)
    second = (np.array(matrix) / 0.7).reshape(1, rows, columns, 1)
    chain = so.Architecture([(1, rows, rows, 1), (1, rows, columns, 1)])
    return so.KroneckerProduct([first, second], chain)


def borders() -> list[tuple[tuple[str, str], Any, Any]]:
    """Return where it stands and what it is, the last claim that is proved, and the next.

    One float lies between them, so they tell whether a bound of rounding is taken at all.
    """
    made, found = so.NearKernelCertificate.proved, []

    def inverse(design: Any, tilt: float) -> Any:
        problem = asked(design, support=[0, 1])
        scaled = problem.scaled
        h = np.array([1.0, 1.0, -0.5]) * (1.0 + 0j if problem.is_complex else 1.0)
        on = np.linalg.inv(scaled[:, :2]) * (1.0 + tilt)
        return made(problem, h, [0, 1], on)

    def gain(design: Any, tilt: float) -> Any:
        problem = asked(design(np.array([[1.0, 1.0 + tilt]])), support=[0])
        h = np.array([1.0 + tilt, -1.0]) * (1.0 + 0j if problem.is_complex else 1.0)
        return made(problem, h, [0], 1.0 / problem.scaled[:, :1])

    matrix = np.array([[0.9, 0.3, 2.4], [0.2, 0.8, 2.0]])
    line = "the inverse is one of these columns"
    for name, design in (
        ("real", matrix),
        ("product", as_product(matrix)),
        ("complex", matrix * (0.6 + 0.8j)),
    ):
        pair = border(2.0**-24, 2.0**-16, lambda t, d=design: so.verify(inverse(d, t)).ok)
        if pair is not None:
            found.append(((line, name), *(inverse(design, t) for t in pair)))
    for name, form in (
        ("real gain", lambda row: 1.1 * row),
        ("product gain", lambda row: as_product(1.1 * row)),
        ("complex gain", lambda row: (0.6 + 0.8j) * row),
    ):
        pair = border(-1.0, -1e-30, lambda t, f=form: so.verify(gain(f, -t)).ok)
        if pair is not None:
            found.append(((SMALLER, name), *(gain(form, -t) for t in pair)))
    return found


def dual_vectors() -> Pairs:
    """Dual vectors of phases, and figures to the last digit."""
    changed, made = dataclasses.replace, so.DualVectorsCertificate.proved
    given = np.exp(1j * np.arange(3.0))
    signs = solved(asked(WAVES, support=[1, 2, 5], signs=given), "recovery_phases")
    line = "the phases are + and -, or a grid of complex ones"
    yield f"{line} | for one vector of them", changed(signs, phases=4)
    one = solved(asked(WAVES, 1), "recovery_phases")
    yield f"{line} | of single columns", changed(one, phases=4)
    none = refusal(lambda: changed(one, phases=0))
    yield "phases must be a positive integer | none", none
    problem = asked(SPIKES, support=[0, 1])
    yield "a dual vector proves it | three phases leave too much between", grid(problem, 3)
    few = grid(asked(SPIKES, support=[0, 4]), 5)
    yield "a dual vector proves it | five are too few here", few
    # Between phases of 8 a correlation of 0.7 leaves no room, though at each of them it is below 1.
    wide = np.hstack([np.eye(2), np.array([[0.7], [0.0]])]) * (1.0 + 0j)
    yield "a dual vector proves it | what lies between phases", grid(asked(wide, support=[0, 1]), 8)
    turned = grid(asked(SPIKES, support=[0, 1]), 16)
    yield (
        "a dual vector meets its signs | in another order",
        changed(turned, vectors=turned.vectors[::-1]),
    )
    apart = so.RecoveryGuarantee([[1.0, 1j]], support=[0, 1], signs=[1.0, -1j])
    yield (
        "the columns of the support are injective | complex columns that depend",
        made(apart, np.array([[2.0 + 0j]]), np.array([[1.0, 1j]])),
    )
    for name, right in exact_figures():
        least = math.nextafter(right.constant, 0.0)
        line = "the sums are at most" if "bound" in name else "the constant is at most"
        yield f"{line} | a float less, {name}", changed(right, constant=least)


def grid(problem: so.RecoveryGuarantee, phases: int) -> Any:
    """Return the claim by the least dual vectors for a grid of phases on two columns."""
    on = problem.scaled[:, list(problem.support or ())]
    turns = np.exp(2j * np.pi / phases * np.arange(phases))
    signs = np.stack([np.ones(phases), turns])
    vectors = (np.linalg.pinv(on).conj().T @ signs).T
    return so.DualVectorsCertificate.proved(problem, vectors, None, phases)


def exact_figures() -> Pairs:
    """Yield certificates that claim what is proved, to the last digit."""
    given = np.exp(1j * np.arange(3.0))
    product = as_product(WIDE)
    for name, right in (
        ("signs", solved(asked(WIDE, support=[1, 2, 5], signs=[1, -1, 1]), "recovery_null_space")),
        ("phases", solved(asked(WAVES, support=[1, 2, 5], signs=given), "recovery_phases")),
        ("all signs", solved(asked(WIDE, support=[1, 2]), "recovery_null_space")),
        ("all phases", solved(asked(WAVES, support=[1, 2]), "recovery_phases")),
        ("single columns", solved(asked(WAVES, 1), "recovery_phases")),
        ("a product", solved(asked(product, support=[1, 2]), "recovery_null_space")),
    ):
        yield name, dataclasses.replace(right, constant=right._bound(Steps()))
    for name, problem in (
        ("bound", asked(LARGER, 2)),
        ("complex bound", asked(SPIKES, 1)),
    ):
        bound = solved(problem, "recovery_relaxation")
        yield name, dataclasses.replace(bound, constant=bound._largest())


def forged() -> Pairs:
    """Yield (line that stops it | what it is, certificate)."""
    yield from kernels()
    yield from greedy()
    yield from near_kernels()
    yield from dual_vectors()


def honest() -> Pairs:
    """Yield (name, certificate); all must be accepted."""
    made = so.KernelCertificate.proved
    for name, right in beside_root(right=True):
        yield f"kernel, {name}", right
    tie = np.array([TURN, -abs(TURN)])
    along = made(asked(only(*tie), support=[0], signs=[TURN]), tie)
    yield "kernel, a tie along a phase", along
    yield "a vector with this phase", law(lambda: is_missed(along))
    both = np.array([TURN, -2.0 * TURN, abs(TURN)])
    signed = asked(only(*both), support=[0, 1], signs=[TURN, -TURN])
    yield "kernel, more than a tie", made(signed, both)
    yield "a vector with both phases", law(lambda: is_missed(made(signed, both)))
    less = np.array([1.0 + 2.0**-21, -1.0])
    signs = [1.0 + 2.0**-20]
    yield (
        "kernel, a sign of modulus above 1",
        made(asked(only(*less + 0j), support=[0], signs=signs), less + 0j),
    )
    part = np.array([3.0 + 4j, -1.0 + 1j, 1.0])
    against = asked(only(*part), support=[0, 1], signs=[0.6 + 0.8j, 1.0])
    yield "kernel, one part against its sign", made(against, part)
    yield "a vector with a part against its sign", law(lambda: is_missed(made(against, part)))
    omp = asked([[1.0, 1j, 0.0], [0.0, 0.0, 1.0]], support=[0, 1], signs=[1, 1], method="omp")
    yield "kernel, a support that depends, with phases", made(omp, np.array([1.0, 1j, 0.0]))
    one = asked([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], support=[0, 1], signs=[1, 1], method="omp")
    yield "kernel, a support that depends, with signs", made(one, [1, -1, 0])
    two = asked([[1.0, 1j, 1.0 + 1j, 1.0]], 2, method="omp")
    yield "kernel, two complex vectors", made(two, np.array([1.0, 1j, 1.0 + 1j, -2j]))
    yield "near a kernel, phases", phases()
    yield "near a kernel, complex, a sparsity", near_sparse()
    for (_, name), right, _ in borders():
        yield f"near a kernel, just so, {name}", right
    half = np.hstack([np.eye(2), np.array([[0.5], [0.0]])]) * (1.0 + 0j)
    for count in (16, 1024):
        yield f"{count} phases", grid(asked(half, support=[0, 1]), count)
    for name, right in exact_figures():
        yield f"to the last digit, {name}", right
    greedy = so.GreedyRecoveryCertificate.proved
    close = np.hstack([np.eye(3), np.array([[0.4], [0.4j], [0.8]])])
    yield "greedy, two complex columns", greedy(asked(close, support=[0, 1], method="omp"))
    misses = so.GreedyFailureCertificate.proved
    yield "greedy failure, complex, second step", later(misses)


def later(misses: Any) -> Any:
    """A failure in the second step, of a complex design."""
    design = np.array([[1.0, 0.6, 0.0, 0.0], [0.0, 0.8, 0.9, 0.0], [0.0, 0.0, 0.3, 1.0]])
    turned = design * np.array([1.0, 1j, 1.0, 1.0])
    problem = asked(turned, support=[0, 1], signs=[1.0, -1j], method="omp")
    return misses(problem, np.array([2.0, -1j, 0.0, 0.0]), 0, 2)
