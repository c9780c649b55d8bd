"""Each value rounded on its own: the baseline."""

from __future__ import annotations

from dataclasses import dataclass

import sparseopt as so
from sparseopt.quantization.product import ProductQuantization
from sparseopt.quantization.product_certificate import digits_of
from sparseopt_quantization.limits import check_time
from sparseopt_quantization.products import Outcome, certified, seconds_to_judge


@dataclass(frozen=True)
class Nearest(so.Solver[ProductQuantization]):
    """Rounding to nearest. For a relative error: with the fewest digits, the same for all factors.

    It takes all architectures, as long as the error of the product can be told.

    Time O(n^2 + z), memory O(z + n), for z values in all factors and n rows and columns, whose
    entries the certificate compares where no shorter way leads to the error.
    """

    def accepts(self, problem: ProductQuantization) -> so.Accepted | so.Refused:
        """Take every problem."""
        return so.Accepted()

    def cost(self, problem: ProductQuantization) -> float:
        """Return the predicted seconds."""
        return 1e-3 + 2e-6 * problem.product.nnz

    def bytes_needed(self, problem: ProductQuantization) -> float:
        """Return the predicted bytes: three products, and what rounds and judges them."""
        return 3.3 * 8.0 * problem.product.nnz + 2.0**20

    def solve(self, problem: ProductQuantization, context: so.Context) -> Outcome:
        """Round, or halve the range of digits until the least that do is found."""
        seconds = seconds_to_judge(problem, context)
        if problem.relative_error is None:
            check_time(context, 2.0 * seconds, "rounding a product")
            return certified(problem, problem.nearest())
        product = problem.product
        whole = max(digits_of(f) for f in product.factors)
        low, high, found = 1, whole, product
        while low < high:
            try:
                check_time(context, 3.0 * seconds, "looking for the fewest digits")
            except so.TimeLimitReached:  # the product itself is within any error
                break
            t = (low + high) // 2
            factors = [so.significand(min(t, digits_of(f))).round(f) for f in product.factors]
            rounded = so.KroneckerProduct(factors, product.architecture)
            if problem.error_of(rounded).high(3) <= problem.relative_error:
                high, found = t, rounded
            else:
                low = t + 1
        return certified(problem, found)
