"""Soundness: every solver by itself on degenerate supports, no two verdicts contradict each other.

Drawn are pairs and chains with empty and full rows, columns and terms, identical terms, more terms
than rows and columns, single rows and columns. Every certificate is checked by both judges. What
all solvers say must agree with what they say of the transposed supports in another order of rows,
terms and columns, and with what is known of training.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from second_judge import assert_both_accept

import sparseopt as so

pytestmark = pytest.mark.slow

PAIRS, CHAINS = 2000, 500
SECONDS = 0.5
"""Time limit of one solver on one problem; some need more, and then say nothing."""
SOLVERS = [s.name for s in so.solvers(so.Closedness) if s.name != "external_exclusion"]
Supports = list[np.ndarray]


def drawn(rng: np.random.Generator, sizes: list[int]) -> Supports:
    """Return random factors, most of them degenerate in some way."""
    density = rng.uniform(0.25, 0.85)
    factors = [rng.random(shape) < density for shape in pairwise(sizes)]
    for _ in range(int(rng.integers(0, 3))):
        at = int(rng.integers(len(factors) - 1))
        left, right = factors[at], factors[at + 1]
        k, other = (int(v) for v in rng.integers(left.shape[1], size=2))
        kind = int(rng.integers(6))
        if kind == 0:  # a term twice
            left[:, k], right[k] = left[:, other], right[other]
        elif kind == 1:  # a full term
            left[:, k], right[k] = True, True
        elif kind == 2:  # a term of nothing, on one side
            (left[:, k] if rng.random() < 0.5 else right[k])[...] = False
        elif kind == 3:  # an empty row or column
            if rng.random() < 0.5:
                left[int(rng.integers(left.shape[0]))] = False
            else:
                right[:, int(rng.integers(right.shape[1]))] = False
        elif kind == 4:  # full on one side
            (left[:, k] if rng.random() < 0.5 else right[k])[...] = True
        else:  # a term in one row or column
            (left[:, k] if rng.random() < 0.5 else right[k])[1:] = False
    return factors


def turned(rng: np.random.Generator, supports: Supports) -> Supports:
    """Return the transposed supports with rows, terms and columns in another order."""
    factors = [s.T for s in reversed(supports)]
    orders = [rng.permutation(len(s)) for s in factors] + [rng.permutation(factors[-1].shape[1])]
    return [s[a][:, b] for s, (a, b) in zip(factors, pairwise(orders), strict=True)]


def kind_of(certificate: Any) -> str:
    """Return by what kind of proof a certificate decides."""
    name = type(certificate).__name__.removesuffix("Certificate")
    exclusion = getattr(certificate, "exclusion", None)
    if exclusion is not None:
        return f"{name} {exclusion[0]}"
    proof: Any = getattr(certificate, "proof", None)
    if name == "ReducedClosed" and proof[0] == "free":
        return f"{name} {proof[2][0]}"
    return name


def verdicts(supports: Supports, field: str, kinds: Counter[str]) -> set[str]:
    """Return what the solvers say, each by itself, checked by both judges."""
    problem = so.Closedness(supports, field)
    no = so.Refused, so.Unavailable
    candidates = {c.name for c in so.plan(problem) if not isinstance(c.verdict, no)}
    said = set()
    for name in SOLVERS:
        if name not in candidates:
            continue
        solution = so.solve(problem, name, time_limit=SECONDS)
        if solution.certificate is not None:
            assert_both_accept(solution.certificate)
            kinds[kind_of(solution.certificate)] += 1
            said.add(solution.answer.value)
    return said


def trained(rng: np.random.Generator, supports: Supports, said: set[str]) -> None:
    """Compare with training: where the set is not closed, some data set has no optimum."""
    biases = [bool(v) for v in rng.integers(0, 2, 2)]
    solution = so.solve(so.SparseTraining(supports, *biases), time_limit=SECONDS)
    if solution.certificate is not None:
        assert_both_accept(solution.certificate)
    if said == {"not_closed"}:
        assert solution.answer.value != "attained", (supports, biases)


def compared(seed: int, sizes: list[int], kinds: Counter[str]) -> str:
    """Return the verdict on random supports of these sizes, and see that none is against it."""
    rng = np.random.default_rng(seed)
    supports = drawn(rng, sizes)
    field = "complex" if rng.random() < 0.2 else "real"
    said = verdicts(supports, field, kinds)
    said |= verdicts(turned(rng, supports), field, kinds)
    said -= {"unknown"}
    assert len(said) <= 1, (seed, said, [s.astype(int).tolist() for s in supports])
    trained(rng, supports, said)
    return said.pop() if said else "unknown"


@pytest.mark.parametrize("part", range(4))
def test_no_two_verdicts_on_a_pair_contradict(part: int, record_property: Any) -> None:
    kinds: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for seed in range(part, PAIRS, 4):
        rng = np.random.default_rng([1, seed])
        m, n = (int(v) for v in rng.integers(1 if seed % 5 == 0 else 2, 5, 2))
        r = int(rng.integers(1, 5)) if rng.random() < 0.6 else max(m, n) + int(rng.integers(1, 3))
        found[compared(seed, [m, r, n], kinds)] += 1
    record_property("kinds", dict(kinds))
    record_property("found", dict(found))
    assert found["closed"] > 150
    assert found["not_closed"] > 50
    for kind in ("trace", "equal_columns", "equal_rows", "product"):
        assert kinds[f"NotClosed {kind}"], kinds
    for kind in ("columns", "staircase"):
        assert kinds[f"ReducedClosed {kind}"], kinds


@pytest.mark.parametrize("part", range(2))
def test_no_two_verdicts_on_a_chain_contradict(part: int, record_property: Any) -> None:
    kinds: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for seed in range(part, CHAINS, 2):
        rng = np.random.default_rng([2, seed])
        sizes = [int(v) for v in rng.integers(1 if seed % 5 == 0 else 2, 5, rng.integers(4, 6))]
        found[compared(seed, sizes, kinds)] += 1
    record_property("kinds", dict(kinds))
    record_property("found", dict(found))
    assert found["closed"] > 80
    assert found["not_closed"] > 10
    for kind in ("ShortenedChain", "PeeledChain"):
        assert kinds[kind], kinds
