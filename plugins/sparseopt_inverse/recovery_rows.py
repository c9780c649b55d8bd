"""Recovery by l1 is a question of the kernel alone, which row sizes do not change.

``A h = 0`` and ``D A h = 0`` say the same for any diagonal D without zeros. So a question whose
rows differ much in size is answered for rows of about one size, by powers of two, which round
nothing, and the evidence turned into that of the question itself. Proofs scale designs: with A and
A' as they take them, and ``A' = U A``, dual vectors and inverses are multiplied by U.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import scipy.sparse

import sparseopt as so
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_bound import NullSpaceBoundCertificate
from sparseopt.inverse.recovery_counterexamples import KernelCertificate, NearKernelCertificate
from sparseopt.inverse.recovery_proofs import DualVectorsCertificate, ExactRecoveryCertificate
from sparseopt.judging.check import check_certificate
from sparseopt_inverse.pursuit_designs import row_units

_UNEVEN = 2.0**20
"""Rows that differ by less in size do no harm."""
Answered = tuple[RecoveryVerdict, Any]


@dataclass(frozen=True, eq=False)
class Balanced:
    """A question about l1 with rows of about one size.

    Attributes
    ----------
    problem, original : RecoveryGuarantee
    units : ndarray of float64, shape (m,)
        The diagonal of U.
    """

    problem: RecoveryGuarantee
    original: RecoveryGuarantee
    units: np.ndarray


def with_even_rows(
    problem: RecoveryGuarantee, solve: Callable[[RecoveryGuarantee], Answered]
) -> Answered | None:
    """Return what `solve` finds for rows of one size, as an answer to the problem.

    None where its own rows are about that. Operators are taken as they are: what their columns are
    off by would hide small rows.

    Raises
    ------
    Inconclusive
        If the evidence does not prove the answer to the problem itself.
    """
    balanced = _balanced(problem)
    if balanced is None:
        return None
    certificate = turned(solve(balanced.problem)[1], balanced)
    if not check_certificate(certificate).ok:
        raise so.Inconclusive("what is proved of rows of one size is too close to call for these")
    return certificate.answer, certificate


def _balanced(problem: RecoveryGuarantee) -> Balanced | None:
    design = problem.design
    is_sparse = scipy.sparse.issparse(design)
    if problem.method != "l1" or not (is_sparse or isinstance(design, np.ndarray)):
        return None
    units = row_units(design)
    # A row of zeros says nothing, and has 1 for its unit.
    size = abs(design).sum(axis=1)
    used = units[np.asarray(size).ravel() > 0.0]
    if not len(used) or not used.max() > _UNEVEN * used.min():
        return None
    even = scipy.sparse.diags_array(units) @ design if is_sparse else units[:, None] * design
    other = RecoveryGuarantee(
        even, problem.sparsity, problem.support, problem.signs, problem.method
    )
    shift = problem.columns.exponent - other.columns.exponent
    return Balanced(other, problem, np.ldexp(units, shift))


@singledispatch
def turned(certificate: Any, balanced: Balanced) -> Any:
    """Return a certificate about even rows as one about the original ones."""
    raise so.Inconclusive(f"{type(certificate).__name__} does not follow rows")


@turned.register
def _(certificate: ExactRecoveryCertificate, balanced: Balanced) -> Any:
    inverse = balanced.units[:, None] * certificate.inverse
    return ExactRecoveryCertificate.proved(balanced.original, inverse)


@turned.register
def _(certificate: DualVectorsCertificate, balanced: Balanced) -> Any:
    inverse = certificate.inverse
    return DualVectorsCertificate.proved(
        balanced.original,
        certificate.vectors * balanced.units,
        None if inverse is None else balanced.units[:, None] * inverse,
        certificate.phases,
    )


@turned.register
def _(certificate: NullSpaceBoundCertificate, balanced: Balanced) -> Any:
    multipliers = balanced.units[:, None] * certificate.multipliers
    return NullSpaceBoundCertificate.proved(balanced.original, multipliers)


@turned.register
def _(certificate: KernelCertificate, balanced: Balanced) -> Any:
    return KernelCertificate.proved(balanced.original, certificate.direction)


@turned.register
def _(certificate: NearKernelCertificate, balanced: Balanced) -> Any:
    inverse = certificate.inverse * balanced.units
    return NearKernelCertificate.proved(
        balanced.original, certificate.direction, certificate.columns, inverse
    )
