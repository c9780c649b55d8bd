"""Basis pursuit: the vector of least norm that fits a target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.butterfly.linear import LinearMatrix
from sparseopt.interface.arrays import NUMBERS, MatrixLike, as_figure
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.problem import Problem
from sparseopt.inverse.fit import Fit, as_nonnegative, as_system, misfit, take_system
from sparseopt.inverse.gap_certificate import number_vector
from sparseopt.inverse.problem import SparseRegression
from sparseopt.judging.rounding import shown_above
from sparseopt.judging.scaling import times_power

NORMS = (1, 2, math.inf)


@json_type
@dataclass(frozen=True, eq=False)
class PursuitAnswer:
    """The answer to a `BasisPursuit`.

    Attributes
    ----------
    x : ndarray of float64 or complex128, shape (n,)
        The vector of least norm; where nothing fits, one of nearly smallest residual.
    feasible : bool
        Whether x fits the target within the noise, up to rounding, see `PursuitCertificate`. If
        False, it is proved that no vector does.
    smallest_residual : float or None
        If nothing fits: the distance of ``design @ x`` to the target, rounded up. The least
        distance is at most that; the certificate bounds it from below.
    unique : bool
        Whether x is proved to be the only vector of least norm; False does not prove otherwise.
    """

    x: np.ndarray
    feasible: bool = True
    smallest_residual: float | None = None
    unique: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", number_vector(self.x, "x"))
        for name in ("feasible", "unique"):
            if not isinstance(getattr(self, name), bool):
                raise ProblemError(f"{name} must be True or False")
        if self.smallest_residual is not None:
            figure = as_figure(self.smallest_residual, "smallest_residual")
            object.__setattr__(self, "smallest_residual", figure)

    @property
    def support(self) -> np.ndarray:
        """The sorted indices of the nonzero entries."""
        return np.flatnonzero(self.x)

    def __str__(self) -> str:
        if not self.feasible:
            most = math.inf if self.smallest_residual is None else self.smallest_residual
            return f"nothing fits the target: the smallest residual is at most {shown_above(most)}"
        return f"{len(self.support)} of {len(self.x)} entries are nonzero"


@json_type
@dataclass(frozen=True, eq=False)
class BasisPursuit(Problem[PursuitAnswer, Any]):
    """Minimise the norm of x subject to |design x - target|_2 <= noise.

    Parameters
    ----------
    design : array_like, scipy.sparse csr or csc, LinearOperator or KroneckerProduct, shape (m, n)
        Real or complex; see `SparseRegression`.
    target : array_like, shape (m,)
    noise : float
        The allowed residual, at least 0.
    norm : {1, 2, inf}

    Raises
    ------
    ProblemError
        NaN or infinity, shapes that do not fit, negative noise, another norm.

    Notes
    -----
    That nothing fits is an answer with a proof of its own (``answer.feasible`` is False). In
    floating point an equation can rarely hold exactly: what is claimed of an answer for noise 0
    is in `PursuitCertificate`.

    Source: Chen, Donoho, Saunders 1998, Atomic decomposition by basis pursuit.

    Examples
    --------
    >>> import sparseopt as so
    >>> solution = so.solve(so.BasisPursuit([[3.0, 4.0]], [10.0]))
    >>> solution.answer.x, solution.answer.unique
    (array([0. , 2.5]), True)
    >>> so.solve(so.BasisPursuit([[1, 2], [2, 4]], [1, 3])).answer.feasible
    False
    """

    design: Any
    target: np.ndarray
    noise: float = 0.0
    norm: float = 1
    default_tolerance: ClassVar = 1e-12
    accuracy_is: ClassVar = "relative gap, or relative misfit beyond the noise if that is more"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            design: MatrixLike | LinearMatrix,
            target: ArrayLike,
            noise: float = 0.0,
            norm: float = 1,
        ) -> None: ...

    def __post_init__(self) -> None:
        system = take_system(self)
        noise = as_nonnegative(self.noise, "noise")
        object.__setattr__(self, "noise", noise)
        norm = self.norm
        known = isinstance(norm, NUMBERS) and norm in NORMS
        if isinstance(norm, bool) or not known:
            raise ProblemError(f"norm must be 1, 2 or infinity (math.inf), got {short(norm)}")
        object.__setattr__(self, "norm", math.inf if norm == math.inf else int(norm))
        unit = Fit(system).unit
        if times_power(times_power(noise, -unit), unit) != noise:
            size, instead = ("small", "take 0") if noise < 1.0 else ("large", "0 fits it")
            raise ProblemError(
                f"noise {noise!r} is so {size} against the target that no scale in float64 holds "
                f"both; {instead}"
            )

    @cached_property
    def system(self) -> SparseRegression:
        """Design and target as a regression without a penalty, which scales them."""
        return as_system(self.design, self.target)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, n) of the design."""
        return self.design.shape  # type: ignore[no-any-return]

    def evaluate(self, answer: PursuitAnswer) -> Mapping[str, float]:
        """Return the norm, and by how much the misfit exceeds the noise."""
        x = np.asarray(answer.x)
        residual = math.hypot(*misfit(self.system, x))
        size = float(np.linalg.norm(x, self.norm))
        return {"norm": size, "excess": max(residual - self.noise, 0.0)}

    def limited_by(self, answer: PursuitAnswer) -> str:
        """Return how far the spacing of float64 at the entries of x moves ``design @ x``."""
        norms = Fit(self.system).norms[: self.shape[1]]
        scale = math.ldexp(1.0, self.system.scaled().unit - self.system.scaled().unknown_unit)
        moved = 0.5 * float(np.linalg.norm(np.spacing(np.abs(answer.x)) * norms)) * scale
        length = float(np.linalg.norm(self.target))
        if not moved > 1e-15 * length:
            return ""
        return (
            f"x is large, up to {float(np.abs(answer.x).max()):.3g}: half the spacing of float64 "
            f"at its entries moves design @ x by {moved / length:.2g} of the target, which costs "
            "accuracy where these errors do not cancel"
        )

    def describe(self) -> str:
        """Return one line with the sizes, the norm and the noise."""
        m, n = self.shape
        return f"basis pursuit, norm {self.norm:g}, noise {self.noise:g}, design {m} x {n}"

    def structure(self) -> Mapping[str, str | int | bool]:
        """Return the norm, in words, and whether there is noise."""
        return {"norm": f"{self.norm:g}", "noise": self.noise > 0}
