"""The certificate of a factorization up to unknown orders of rows and columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sparseopt.butterfly.certificate import ButterflyCertificate, require_worth
from sparseopt.butterfly.comparison import Comparison
from sparseopt.butterfly.permuted import PermutedKroneckerProduct
from sparseopt.butterfly.problem import ButterflyFactorization
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.judging.stated import Interval, described, interval, ratio, require_interval, stated


@proves(ButterflyFactorization)
@json_type
@dataclass(frozen=True, eq=False)
class PermutedButterflyCertificate(Certificate):
    """The error of a permuted product.

    No lower bound is claimed: other orders may allow a smaller error. For the orders found, ask
    `for_these_orders`. As in `ButterflyCertificate`, the figures hold in spite of rounding, and an
    error above what is guaranteed for every target is refused.

    Parameters
    ----------
    problem, answer
        What the certificate speaks of.
    stated_error : (float, float) or None
        A lower and an upper bound of the Frobenius error; computed when asked for unless stated.
    """

    problem: ButterflyFactorization
    answer: PermutedKroneckerProduct
    stated_error: Interval | None = None

    def __post_init__(self) -> None:
        if self.stated_error is not None:
            object.__setattr__(self, "stated_error", interval(self.stated_error, "error"))

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON."""
        low, high = self.error_interval
        return {"problem": self.problem, "answer": self.answer, "error": high, "error_low": low}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> PermutedButterflyCertificate:
        """Inverse of `to_fields`; files of earlier versions state one number."""
        extra = set(fields) - {"problem", "answer", "error", "error_low"}
        if extra:
            raise ProblemError(f"a permuted butterfly certificate has no fields {sorted(extra)}")
        error = fields.get("error_low", 0.0), fields["error"]
        return cls(fields["problem"], fields["answer"], error)

    @cached_property
    def _comparison(self) -> Comparison:
        """Norm and error as the core finds them, from problem and answer alone."""
        return self.problem.compare(self.answer)

    @property
    def error_interval(self) -> Interval:
        """A lower and an upper bound of the Frobenius error of the product."""
        if self.stated_error is not None:
            return self.stated_error
        return stated(self._comparison.error)

    @property
    def error(self) -> float:
        """Proven upper bound of the Frobenius error of the product."""
        return self.error_interval[1]

    @property
    def relative_error(self) -> float:
        """Error over the norm of the target, rounded up; 0 for a zero target reached exactly."""
        return ratio(self.error, self._comparison.norm)

    @property
    def accuracy(self) -> float:
        """The relative error: no lower bound is proved but 0."""
        return self.relative_error

    @cached_property
    def for_these_orders(self) -> ButterflyCertificate:
        """Error and bounds for the target with rows and columns in the orders of the answer."""
        return ButterflyCertificate(
            self.problem.permuted(self.answer.rows, self.answer.columns), self.answer.product
        )

    @property
    def claim(self) -> str:
        """What is proved."""
        text = (
            "with rows and columns in the orders found, the product has error "
            f"{described(self.error_interval)}"
        )
        if self.problem.takes_products_as_exact:
            text += ", taking the products of the target operator as exact"
        return text

    def check(self, steps: Steps) -> None:
        """Expand the product again; `problem.permuted` takes nothing but permutations."""
        problem, answer = self.problem, self.answer
        steps.require(problem.permutations == "unknown", "the problem leaves the permutations open")
        steps.require(
            type(answer) is PermutedKroneckerProduct
            and answer.product.architecture == problem.architecture,
            "the answer is a permuted product with the asked architecture",
        )
        own = self._comparison
        require_interval(steps, "the error", self.error_interval, own.error)
        require_worth(steps, own)
