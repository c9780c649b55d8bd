"""The problem: the nearest product of Kronecker-sparse factors of a chainable architecture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from sparseopt.butterfly.certificate import ButterflyCertificate
from sparseopt.butterfly.expansion import CHUNK, figures, squared_norm, squared_split_error
from sparseopt.butterfly.permuted import (
    PermutedButterflyCertificate,
    PermutedKroneckerProduct,
    permutation,
)
from sparseopt.butterfly.target import (
    accept_target,
    is_operator,
    is_tensor,
    read_columns,
    target_dtype,
)
from sparseopt.certificate import Certificate
from sparseopt.errors import ProblemError
from sparseopt.kronecker.architecture import Architecture
from sparseopt.kronecker.product import KroneckerProduct
from sparseopt.problem import Problem
from sparseopt.serialization import json_type

# Squares of numbers in this range neither overflow nor vanish when a million of them are added.
_SAFE = 2.0**-400, 2.0**400


@json_type
@dataclass(frozen=True, eq=False)
class ButterflyFactorization(Problem):
    """Find factors of a chainable architecture whose product is nearest to a matrix.

    Parameters
    ----------
    target : array, numpy.memmap, torch tensor, LinearOperator or KroneckerProduct (m, n)
        float32, float64, complex64 or complex128; integers and booleans are converted to float64
        (a copy). Arrays are kept as read-only views, tensors on their device. A linear operator
        (anything with ``shape``, ``dtype`` and ``matvec``, or a SciPy sparse matrix) is read by
        its products with columns of the identity, a group of columns at a time, never whole.
    architecture : Architecture
        Chainable, of the target's shape.
    permutations : {"known", "unknown"}
        "known": the target is taken as it stands. "unknown": orders of rows and columns are
        looked for as well, and the answer is a `PermutedKroneckerProduct`; only for
        ``Architecture.square_dyadic``.

    Raises
    ------
    ProblemError
        If the architecture is not chainable (naming the pair and the condition), the sizes do not
        fit, the target is empty, ragged, of another dtype, or has NaN or infinity, or unknown
        permutations are asked for with another architecture. Entries of an operator are checked
        when they are read.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> hadamard = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    >>> problem = so.ButterflyFactorization(hadamard, so.Architecture.square_dyadic(4))
    >>> solution = so.solve(problem)
    >>> solution.certificate.relative_error < 1e-15
    True
    """

    target: Any
    architecture: Architecture
    permutations: str = "known"
    certificates: ClassVar[tuple[type[Certificate], ...]] = (
        ButterflyCertificate,
        PermutedButterflyCertificate,
    )

    def __post_init__(self) -> None:
        target = accept_target(self.target)
        architecture = self.architecture
        if not isinstance(architecture, Architecture):
            architecture = Architecture(architecture)
        if architecture.why_not_chainable:
            remedy = (
                "; its transpose is chainable: factorize the transposed matrix over it"
                if architecture.transpose.is_chainable
                else ""
            )
            raise ProblemError(
                f"the architecture is not chainable: {architecture.why_not_chainable}{remedy}"
            )
        if architecture.shape != tuple(target.shape):
            raise ProblemError(
                f"the architecture gives products of shape {architecture.shape}, the target has "
                f"shape {tuple(target.shape)}"
            )
        _require_permutations(self.permutations, architecture)
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "architecture", architecture)

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON: tensors as arrays; other operators cannot be."""
        target = self.target
        if is_tensor(target):
            target = self.columns(0, self.shape[1])
        elif is_operator(target) and not isinstance(target, KroneckerProduct):
            raise ProblemError(
                "a target given as a linear operator cannot be written as JSON; state the problem "
                "with the matrix, for example operator @ np.eye(n)"
            )
        return {
            "target": target,
            "architecture": self.architecture,
            "permutations": self.permutations,
        }

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> ButterflyFactorization:
        """Inverse of `to_fields`."""
        return cls(**fields)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the target."""
        return self.architecture.shape

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """NumPy dtype of the target."""
        return target_dtype(self.target)

    @property
    def kind(self) -> str:
        """How the target is held: ``"array"``, ``"tensor"`` or ``"operator"``."""
        if is_tensor(self.target):
            return "tensor"
        return "operator" if is_operator(self.target) else "array"

    def columns(self, start: int, stop: int) -> np.ndarray:
        """Return columns of the target as an array (m, stop - start), a view where possible."""
        return read_columns(self.target, start, stop)

    @cached_property
    def scaling(self) -> float:
        """A power of two that brings the target into a range where squares are safe; mostly 1."""
        return self._scaling_and_norm[0]

    @cached_property
    def norm(self) -> float:
        """Frobenius norm of the target, in double precision."""
        return self._scaling_and_norm[1]

    @cached_property
    def _scaling_and_norm(self) -> tuple[float, float]:
        total = sum(squared_norm(chunk) for chunk in self._chunks())
        if _SAFE[0] < total < _SAFE[1]:
            return 1.0, math.sqrt(total)
        peak = max(float(np.abs(chunk).max()) for chunk in self._chunks())
        scaling = math.ldexp(1.0, min(-math.frexp(peak)[1], 1023)) if peak else 1.0
        total = sum(squared_norm(chunk * scaling) for chunk in self._chunks())
        return scaling, math.sqrt(total) / scaling

    def _chunks(self) -> Iterator[np.ndarray]:
        """Yield the target in groups of columns, in double precision."""
        width = max(1, CHUNK // self.shape[0])
        for start in range(0, self.shape[1], width):
            columns = self.columns(start, min(start + width, self.shape[1]))
            double = np.complex128 if columns.dtype.kind == "c" else np.float64
            yield columns.astype(double, copy=False)

    @property
    def rounding(self) -> float:
        """Error to be expected of an exact factorization: 32 L eps times the norm."""
        eps = float(np.finfo(self.dtype).eps)
        return 32 * len(self.architecture) * eps * self.norm

    def permuted(self, rows: Any, columns: Any) -> ButterflyFactorization:
        """Return the problem for ``target[rows][:, columns]`` with these orders known.

        Parameters
        ----------
        rows, columns : int array (m,), (n,)
            Permutations.

        Returns
        -------
        ButterflyFactorization
            Its target is a copy, an array.
        """
        m, n = self.shape
        order = permutation(rows, m, "rows"), permutation(columns, n, "columns")
        return ButterflyFactorization(self.columns(0, n)[np.ix_(*order)], self.architecture)

    def error_of(self, answer: KroneckerProduct | PermutedKroneckerProduct) -> float:
        """Return the Frobenius error of an answer, in double precision; one read of the target."""
        if isinstance(answer, PermutedKroneckerProduct):
            return self.permuted(answer.rows, answer.columns).error_of(answer.product)
        return math.sqrt(figures(self.target, answer, self.scaling).error) / self.scaling

    def split_errors(self) -> tuple[float, ...]:
        """Return E_0, E_1, ..., the errors that no product of the architecture can avoid.

        E_0 is the norm of the entries outside the support of the product; E_j the least error of
        the two factors grouped at cut j of the non-redundant architecture, inside the support.
        One batched SVD of the target per cut: dear for large matrices.
        """
        reduced = self.architecture.reduced()
        scaling = self.scaling
        whole = reduced.product
        outside = 0.0
        if whole.nnz < self.shape[0] * self.shape[1]:
            empty = KroneckerProduct((np.zeros(whole.values_shape),), Architecture([whole]))
            outside = figures(self.target, empty, scaling).outside
        errors = [
            squared_split_error(self.target, reduced, cut, scaling)
            for cut in range(1, len(reduced))
        ]
        return tuple(math.sqrt(e) / scaling for e in (outside, *errors))

    def structure(self) -> Mapping[str, str | int | bool]:
        """Say whether the orders of rows and columns are known."""
        return {"permutations": self.permutations}

    def evaluate(self, answer: KroneckerProduct | PermutedKroneckerProduct) -> Mapping[str, float]:
        """Return the Frobenius error."""
        return {"error": self.error_of(answer)}

    def describe(self) -> str:
        """Return one line with sizes and patterns."""
        m, n = self.shape
        orders = "" if self.permutations == "known" else ", in unknown orders of rows and columns,"
        return (
            f"butterfly factorization of a {m} x {n} matrix{orders} with patterns "
            f"{self.architecture}"
        )


def _require_permutations(value: Any, architecture: Architecture) -> None:
    """Refuse anything but "known", or "unknown" with a square dyadic architecture."""
    if value not in ("known", "unknown"):
        raise ProblemError(f"permutations must be 'known' or 'unknown', got {value!r}")
    if value == "known":
        return
    m, n = architecture.shape
    is_power = m == n and n >= 2 and not n & (n - 1)
    if not is_power or architecture != Architecture.square_dyadic(n):
        raise ProblemError(
            "unknown permutations are looked for only with Architecture.square_dyadic(n), whose "
            "blocks of rank one show the orders; for any other architecture order the target "
            "first and leave permutations='known'"
        )
