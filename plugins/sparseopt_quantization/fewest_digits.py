"""As few digits for each factor as a relative error allows."""

from __future__ import annotations

from collections.abc import Callable

import sparseopt as so
from sparseopt.quantization.product import ProductQuantization
from sparseopt.quantization.product_certificate import digits_of
from sparseopt_quantization.products import Work
from sparseopt_quantization.terms import Terms


def fewest_digits(
    problem: ProductQuantization,
    quantized: Callable[[Work], so.KroneckerProduct],
    engine: Terms,
) -> so.KroneckerProduct:
    """Return a product within the relative error: the fewest digits for all, then for each.

    The error falls with the digits but for small steps back, so halving the range finds about the
    least; from there each factor in turn is given fewer. When the time runs out it is the best that
    there is, at first the product itself.

    Parameters
    ----------
    problem : ProductQuantization
    quantized : callable
        Quantizes a product in given formats.
    engine : Terms
    """
    product, target = problem.product, problem.relative_error
    assert target is not None
    own = [digits_of(f) for f in product.factors]

    def tried(digits: list[int]) -> so.KroneckerProduct | None:
        engine.check_time("looking for the fewest digits")
        forms = tuple(so.significand(min(t, most)) for t, most in zip(digits, own, strict=True))
        found = quantized(Work(product, forms, engine))
        return found if problem.error_of(found).high(3) <= target else None

    low, high, best = 1, max(own), product
    context = engine.context
    try:
        while low < high:
            t = (low + high) // 2
            context.report(0.5 - (high - low) / 106.0, f"{t} digits")
            found = tried([t] * len(own))
            if found is None:
                low = t + 1
            else:
                high, best = t, found
        digits = [min(high, most) for most in own]
        for place in range(len(digits)):
            context.report(0.5 + place / (2.0 * len(digits)), f"fewer digits for factor {place}")
            while digits[place] > 1:
                fewer = [t - (i == place) for i, t in enumerate(digits)]
                found = tried(fewer)
                if found is None:
                    break
                digits, best = fewer, found
    except so.TimeLimitReached:
        context.report(1.0, "the time is over: the fewest digits so far")
    return best
