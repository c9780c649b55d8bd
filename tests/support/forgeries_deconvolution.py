"""Forged certificates of blind deconvolution: what the core must refuse, and why.

The name of each is the sentence of the line that stops it, then " | " and what it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from laws import refusal

import sparseopt as so

Pairs = Iterator[tuple[str, Any]]
Certificate = so.BlindDeconvolutionCertificate

TARGET = np.array([0.0, 3.0, 0.25, -1.0])


def spike() -> Any:
    return so.solve(so.BlindDeconvolution(TARGET)).certificate


def forged() -> Pairs:
    """Yield (line that stops it | what it is, certificate)."""
    right = spike()
    changed = dataclasses.replace
    pair = (right.answer.filter, right.answer.signal)
    yield "the answer is a filter and a signal | arrays", changed(right, answer=pair)
    longer = so.FilterAndSignal(np.append(pair[0], 0.0), np.append(pair[1], 0.0))
    yield "filter and signal have 4 entries each | five", changed(right, answer=longer)
    huge = so.BlindDeconvolution(TARGET * 1e200)
    big = so.solve(huge).certificate
    lost = so.FilterAndSignal(big.answer.filter, np.where(TARGET == 0.0, 1e-320, big.answer.signal))
    yield "no entry is so small | one of 1e-320", changed(big, answer=lost)
    for name, line in (
        ("primal", "the pair costs at most"),
        ("residual", "it misses the target by at most"),
    ):
        less = getattr(right, name) * (1.0 - 1e-12) if name == "primal" else 1e-17
        yield f"{line} | a little less", changed(right, **{name: less})
        yield f"{line} | no number", changed(right, **{name: math.nan})
        yield f"{line} | infinity", changed(right, **{name: math.inf, "gap": math.inf})
    yield "it costs more than the least by at most | 0", changed(right, gap=0.0)
    yield "it costs more than the least by at most | infinity", changed(right, gap=math.inf)
    more = right.dual * (1.0 + 1e-12)
    yield "every pair costs at least | a little more", changed(right, dual=more)
    yield "every pair costs at least | no number", changed(right, dual=math.nan)
    other = so.FilterAndSignal(np.roll(pair[0], 1), pair[1])
    yield "it misses the target by at most | turned", changed(right, answer=other)
    none = so.FilterAndSignal(np.zeros(4), np.zeros(4))
    yield "it misses the target by at most | zero", changed(right, answer=none)
    ones = np.ones(2**17 + 1)
    full = changed(
        right, problem=so.BlindDeconvolution(ones), answer=so.FilterAndSignal(ones, ones)
    )
    yield "the convolution takes 131073 x 131073 products | no zeros", full
    heavy = so.FilterAndSignal(2.0 * pair[0], pair[1] / 2.0)
    yield from entrance()
    yield "the pair costs at most | not balanced", changed(right, answer=heavy)


def entrance() -> Pairs:
    """Targets beyond the floats."""
    beyond = "the 1-norm of the target is beyond the range of floats"
    yield f"{beyond} | two", refusal(lambda: so.BlindDeconvolution([1.7e308, -1.7e308]))
    uneven = refusal(lambda: so.FilterAndSignal([1.0], [1.0, 2.0]))
    yield "a circular convolution takes two of one length | one and two", uneven
    yield f"{beyond} | one", refusal(lambda: so.BlindDeconvolution([1.7e308]))


def honest() -> Pairs:
    """Yield (name, certificate); all must be accepted."""
    yield "spike", spike()
    yield "zero", so.solve(so.BlindDeconvolution(np.zeros(3))).certificate
    for power in (1e300, 1e-300, 5e-324):
        target = so.BlindDeconvolution(np.array([1.0, 2.0, -3.0]) * power)
        yield f"times {power}", so.solve(target).certificate
    problem = so.BlindDeconvolution(TARGET)
    yield "any pair", Certificate.build(problem, [1.0, 0, 2, 0], [0.5, 0, 0, 1])
    yield "far from it", Certificate.build(problem, [1e200, 0, 0, 0], [0, 1.0, 0, 0])
    yield "nothing", Certificate.build(problem, np.zeros(4), np.zeros(4))
    yield "no room to be exact", Certificate.build(problem, [2.0, 0, 0, 0], TARGET / 2.0)
    far = so.BlindDeconvolution([1e300, 1e-5, 0.0])
    yield "numbers far apart", so.solve(far).certificate
    yield "the largest that is taken", so.solve(so.BlindDeconvolution([1.5e308])).certificate
    yield "descent", so.solve(problem, "blind_descent", steps=100).certificate
