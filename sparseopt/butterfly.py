"""Butterfly factorization: the nearest product of Kronecker-sparse factors, with proven bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sparseopt.arrays import read_only, require_finite
from sparseopt.certificate import Certificate, Steps
from sparseopt.errors import ProblemError
from sparseopt.kronecker.pattern import Architecture
from sparseopt.kronecker.product import KroneckerProduct
from sparseopt.problem import Problem
from sparseopt.serialization import json_type


def split_blocks(target: np.ndarray, architecture: Architecture, cut: int) -> np.ndarray:
    """Return the blocks that the factors before and after `cut` must reproduce with rank r.

    For the grouped patterns (a1, b1, c1, d1) and (a2, b2, c2, d2), with q = a2 / a1 and
    p = d1 / d2, the entries of the product's support are V[a1, b1 p, q c2, d2]; block
    (i, t, s, l) is V[i, :, t, s, :, l], a b1 x c2 matrix. Derived from arXiv 2411.04506.

    Returns
    -------
    array (a1, p, q, d2, b1, c2)
    """
    left, right = architecture[:cut].product, architecture[cut:].product
    q, p = right.a // left.a, left.d // right.d
    values = support_values(target, architecture.product)
    blocks = values.reshape(left.a, left.b, p, q, right.c, right.d)
    return blocks.transpose(0, 2, 3, 5, 1, 4)


def support_values(target: np.ndarray, pattern: Any) -> np.ndarray:
    """Return the entries of `target` on the support of `pattern`, shape (a, b, c, d)."""
    a, b, c, d = pattern
    if a == d == 1:
        return target.reshape(1, b, c, 1)
    return target[pattern.indices()]


def split_error(target: np.ndarray, architecture: Architecture, cut: int) -> float:
    """Return E_cut: the least error over all pairs of factors grouped at `cut`, restricted to the
    support of the product. No product of the whole architecture can be nearer."""
    rank = architecture[cut - 1].rank_with(architecture[cut])
    blocks = split_blocks(target, architecture, cut)
    if rank >= min(blocks.shape[-2:]):
        return 0.0
    singular = np.linalg.svd(blocks, compute_uv=False)
    return float(np.sqrt(np.sum(singular[..., rank:].astype(np.float64) ** 2)))


def error_bounds(target: np.ndarray, architecture: Architecture) -> tuple[float, float]:
    """Return a lower bound of every product's error, and the method's proven upper bound.

    With E_0 the mass outside the support of the product and E_j the least error of the split
    after factor j, the infimum lies above sqrt(E_0^2 + max_j E_j^2), since every product of the
    architecture is also one of the two grouped factors. The left-to-right method with orthonormal
    left factors has error at most sqrt(E_0^2 + sum_j E_j^2): step j leaves a residual orthogonal to
    the block ranges of the left factors, and a projection from the left does not increase E_j of
    later splits, so the squared residuals add up.
    """
    outside = outside_mass(target, architecture)
    errors = [split_error(target, architecture, cut) for cut in range(1, len(architecture))]
    lower = np.sqrt(outside**2 + max(errors, default=0.0) ** 2)
    return float(lower), float(np.sqrt(outside**2 + sum(e**2 for e in errors)))


def outside_mass(target: np.ndarray, architecture: Architecture) -> float:
    """Return the Frobenius norm of the entries outside the support of the product."""
    if architecture.product.nnz == target.size:
        return 0.0
    support = architecture.product.support()
    return float(np.linalg.norm(np.where(support, 0, target)))


@json_type
@dataclass(frozen=True, eq=False)
class ButterflyCertificate(Certificate):
    """The exact error of the factors, with a lower and an upper bound.

    Attributes
    ----------
    error, lower_bound, upper_bound : float
        Frobenius norms. No product of the architecture has an error below `lower_bound`; the
        hierarchical method never exceeds `upper_bound`; see `error_bounds`.
    """

    problem: ButterflyFactorization
    answer: KroneckerProduct
    error: float
    lower_bound: float
    upper_bound: float

    @property
    def relative_error(self) -> float:
        """Error over the norm of the target (0 for the zero target reached exactly)."""
        norm = float(np.linalg.norm(self.problem.target))
        return self.error / norm if norm else self.error

    @property
    def claim(self) -> str:
        """What is proved."""
        return (
            f"the product has error {self.error:.6g}; no product of this architecture has an error "
            f"below {self.lower_bound:.6g}, and the infimum is at most {self.upper_bound:.6g}"
        )

    def check(self, steps: Steps) -> None:
        """Expand the product and compute every figure again."""
        problem = self.problem
        same = self.answer.architecture == problem.architecture
        steps.require(same, "the factors have the asked architecture")
        error = problem.evaluate(self.answer)["error"]
        lower, upper = error_bounds(problem.target, problem.architecture)
        eps = float(np.finfo(problem.target.dtype).eps)
        unit = 64 * eps * max(problem.target.shape) * float(np.linalg.norm(problem.target))
        for name, right in (("error", error), ("lower_bound", lower), ("upper_bound", upper)):
            found = getattr(self, name)
            steps.require(
                abs(found - right) <= unit + 1e-12 * right,
                f"{name} agrees with the core's own computation",
                f"{found:.17g} against {right:.17g}",
            )
        steps.require(error <= upper + unit, "the error keeps the proven upper bound")


@json_type
@dataclass(frozen=True, eq=False)
class ButterflyFactorization(Problem):
    """Find factors of a chainable architecture whose product is nearest to a matrix.

    Parameters
    ----------
    target : array (m, n)
        float32, float64, complex64 or complex128; integers are taken as float64.
    architecture : Architecture
        Chainable.

    Raises
    ------
    ProblemError
        If the architecture is not chainable (naming the pair and condition), the sizes do not
        fit, or the target has NaN or infinity.
    """

    target: np.ndarray
    architecture: Architecture
    certificates: ClassVar[tuple[type[Certificate], ...]] = (ButterflyCertificate,)

    def __post_init__(self) -> None:
        target = np.asarray(self.target)
        if target.ndim != 2 or 0 in target.shape:
            raise ProblemError(f"target must be a non-empty matrix, got shape {target.shape}")
        if target.dtype.kind in "biu":
            target = target.astype(np.float64)
        if target.dtype not in (np.float32, np.float64, np.complex64, np.complex128):
            raise ProblemError(f"target has dtype {target.dtype}; use float or complex numbers")
        require_finite(target, "target")
        architecture = self.architecture
        if not isinstance(architecture, Architecture):
            architecture = Architecture(architecture)
        if architecture.why_not_chainable:
            raise ProblemError(
                f"the architecture is not chainable: {architecture.why_not_chainable}"
            )
        if architecture.shape != target.shape:
            raise ProblemError(
                f"the architecture gives products of shape {architecture.shape}, the target has "
                f"shape {target.shape}"
            )
        object.__setattr__(self, "target", read_only(target))
        object.__setattr__(self, "architecture", architecture)

    def evaluate(self, answer: KroneckerProduct) -> Mapping[str, float]:
        """Return the Frobenius error."""
        return {"error": float(np.linalg.norm(self.target - answer.to_dense()))}

    def describe(self) -> str:
        """Return one line with sizes and patterns."""
        m, n = self.target.shape
        return f"butterfly factorization of a {m} x {n} matrix with patterns {self.architecture}"
