"""Forged certificates of identifiability: what the core must refuse, and why.

The name of each is in the line that stops it, then " | " and what it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import identifiable_networks as networks
import numpy as np
from laws import numbered, refusal

import sparseopt as so

Pairs = Iterator[tuple[str, Any]]
changed = dataclasses.replace


@cache
def solved(name: str, solver: str = "jacobian_rank", searched: bool = False) -> Any:
    """Return the certificate of a case with all entries free."""
    network, inputs, free = networks.CASES[name]()
    problem = so.Identifiability(network, None if searched else inputs, free)
    return so.solve(problem, solver=solver).certificate


@cache
def second() -> Any:
    """Return a certificate by a second network: few inputs, which leave a direction open."""
    layers = [(np.array([[3.0, -4.0], [-3.0, -2.0]]), np.array([-3.0, 3.0]))]
    layers.append((np.array([[3.0, 1.0]]), np.array([-4.0])))
    inputs = [[-5, -2], [-1, 2], [0, -3], [-4, 2], [3, -6], [-5, -1], [-1, 5]]
    return so.solve(so.Identifiability(networks.mlp(layers), inputs)).certificate


def honest() -> Pairs:
    """Yield (name, certificate) of every kind."""
    for name in networks.CASES:
        yield name, solved(name)
    yield "searched", solved("plain", searched=True)
    yield "facets", solved("plain", "facets_of_units", searched=True)
    yield "facets of a skip", solved("skip", "facets_of_units", searched=True)
    yield "facets of a convolution", solved("convolved", "facets_of_units", searched=True)
    yield "second network", second()


@numbered
def forged() -> Pairs:
    """Yield (line that stops it | what it is, certificate)."""
    yield from _ranks()
    yield from _families()
    yield from _seconds()
    yield from _facets()
    right = solved("plain", "facets_of_units", searched=True)
    pooled = so.Identifiability(networks.pooled()[0])
    yield "the network has no pools | it has", changed(right, problem=pooled)


def _ranks() -> Pairs:
    right = solved("plain")
    evidence, answer = right.evidence, right.answer

    def with_evidence(**parts: Any) -> Any:
        return changed(right, evidence=changed(evidence, **parts))

    yield "the modulus is a prime | no prime", with_evidence(prime=4194303)
    yield "the modulus is a prime | too small", with_evidence(prime=7)
    yield "the modulus is a prime | too large", with_evidence(prime=4194319)
    yield "as many rows as columns | a column less", with_evidence(columns=evidence.columns[1:])
    rows = evidence.rows.copy()
    rows[0] = 60, 0
    yield "rows are those of | an input too many", with_evidence(rows=rows)
    rows = evidence.rows.copy()
    rows[0] = 0, -1
    yield "rows are those of | an output below 0", with_evidence(rows=rows)
    columns = evidence.columns.copy()
    columns[0] = 54
    yield "columns are those of | one too many", with_evidence(columns=columns)
    columns = evidence.columns.copy()
    columns[0] = -1
    yield "columns are those of | below 0", with_evidence(columns=columns)
    rows = evidence.rows.copy()
    rows[0] = 3, 0
    yield "no row belongs to an input that is not regular | one does", with_evidence(rows=rows)
    rows = evidence.rows.copy()
    rows[1] = rows[0]
    yield "independent rows modulo | one twice", with_evidence(rows=rows)
    columns = evidence.columns.copy()
    columns[1] = columns[0]
    yield "independent rows modulo | a column twice", with_evidence(columns=columns)
    yield "inputs are searched only | both", with_evidence(inputs=right.problem.inputs)
    none = so.Identifiability(right.problem.network, None, right.problem.free)
    yield "the problem has inputs | none", changed(right, problem=none)
    for name in ("parameters", "orbit", "bound", "rank", "gap"):
        wrong = changed(answer, **{name: getattr(answer, name) + 1})
        yield f"{name} is as counted | one more", changed(right, answer=wrong)
    fewer = changed(answer, excluded=answer.excluded[1:])
    yield "excluded is as counted | one less", changed(right, answer=fewer)
    words = changed(answer, directions=("all",))
    yield "no directions are claimed | one", changed(right, answer=words)
    yield "a rank and a verdict are there | a number", changed(right, answer=3)
    part = {"rows": evidence.rows[:40], "columns": evidence.columns[:40]}
    less = changed(answer, rank=40, gap=5)
    yield (
        "the rank is as large as it can be | 40 of 45",
        changed(right, answer=less, evidence=changed(evidence, **part)),
    )
    never = changed(answer, value="not_identifiable")
    yield "a rank never proves | it does", changed(right, answer=never)
    yield "must hold integers | halves", refusal(lambda: with_evidence(rows=evidence.rows + 0.5))
    yield "must be an integer | a float", refusal(lambda: with_evidence(prime=4194301.0))
    yield "a verdict is one of | maybe", refusal(lambda: changed(answer, value="maybe"))
    yield "must be an integer | a text", refusal(lambda: changed(answer, rank="45"))


def _families() -> Pairs:
    right, active = solved("copies"), solved("always active")
    made = so.Family

    def with_families(certificate: Any, *families: so.Family, **parts: Any) -> Any:
        return changed(certificate, families=families, **parts)

    yield "a direction is no rescaling | none", with_families(right)
    yield "families name | a parameter too many", with_families(right, made("constant", (29,)))
    yield (
        "a weight leaves constant units only | another",
        with_families(right, made("constant", (0,))),
    )
    yield "a bias makes up | a weight", with_families(right, made("constant", (21, 0)))
    yield "is not heard | a first weight", with_families(right, made("unheard", (0,)))
    yield "a bias of one unit falls | a weight", with_families(right, made("sink", (0,)))
    yield "copies of one unit | others", with_families(right, made("copies", (17, 19)))
    yield "copies of one unit | one twice", with_families(right, made("copies", (17, 17)))
    yield "passes on linearly | a unit that switches", with_families(right, made("shift", (3,)))
    yield "two units pass on linearly | they switch", with_families(right, made("mix", (3, 4)))
    yield "two units pass on linearly | one twice", with_families(active, made("mix", (2, 2)))
    yield "passes on linearly | not whatever the input", changed(active, from_any_data=True)
    words = changed(right.answer, directions=right.answer.directions[1:])
    yield "the words are those of the directions | fewer", changed(right, answer=words)
    unknown = changed(right.answer, value="unknown")
    yield "the verdict is that of a direction | unknown", changed(right, answer=unknown)
    yield "a family is one of | another", refusal(lambda: made("other", (1,)))
    yield "a family is one of | three places", refusal(lambda: made("mix", (1, 2, 3)))
    yield "a family is one of | a float", refusal(lambda: made("mix", (1, 2.0)))  # type: ignore[arg-type]
    yield "must be a list of families | a text", refusal(lambda: with_families(right, "mix"))  # type: ignore[arg-type]
    yield "must be true or false | 1", refusal(lambda: changed(right, from_any_data=1))
    searched = solved("copies", searched=True)
    yield "the problem has inputs | none", changed(searched, from_any_data=False)


def _seconds() -> Pairs:
    right = second()
    columns, values = right.columns, right.values
    yield (
        "each once | one twice",
        changed(right, columns=np.append(columns, columns[0]), values=(*values, values[0])),
    )
    yield "each once | one less", changed(right, values=values[1:])
    yield "each once | beyond", changed(right, columns=columns + 100)
    yield (
        "outputs at every input | another value",
        changed(right, values=(values[0] + Fraction(1, 10**9), *values[1:])),
    )
    yield "changes its sign | one does", changed(right, values=(-values[0], *values[1:]))
    same = tuple(
        Fraction(right.problem.wires.exact[right.problem.parameters.first[c]]) for c in columns
    )
    yield "is no rescaling | the same", changed(right, values=same)
    unknown = changed(right.answer, value="unknown")
    yield "the verdict is that of two networks | unknown", changed(right, answer=unknown)
    words = changed(right.answer, directions=())
    yield "the words are those | none", changed(right, answer=words)
    both = changed(right, columns=np.array([0, 6]), values=(Fraction(2), Fraction(1)))
    yield "no path meets two parameters | a unit's weights", both
    yield (
        "must be a list of integers | floats",
        refusal(lambda: changed(right, columns=columns + 0.5)),
    )
    yield "must be rational | a float", refusal(lambda: changed(right, values=(0.5, *values[1:])))


def _facets() -> Pairs:
    right = solved("plain", "facets_of_units", searched=True)
    evidence = right.evidence

    def with_evidence(**parts: Any) -> Any:
        return changed(right, evidence=changed(evidence, **parts))

    yield "one ReLU becomes active | backwards", with_evidence(pairs=evidence.pairs[:, ::-1].copy())
    far = evidence.pairs.copy()
    far[0, 1] = -100 * far[0, 1] + 37
    yield "one ReLU becomes active | several", with_evidence(pairs=far)
    yield "points have the size | one less", with_evidence(pairs=evidence.pairs[:, :, :2].copy())
    yield "has full column rank | the last first", with_evidence(units=evidence.units[::-1])
    yield "the outputs settle their | a unit less", with_evidence(units=evidence.units[:-1])
    layers = networks.Draws(102).layers(3, 5, 4, 2)
    unheard = [(np.ones((1, 3)), np.full(1, 1e4)), (np.zeros((4, 1)), np.zeros(0))]
    first = tuple(np.concatenate(pair) for pair in zip(layers[0], unheard[0], strict=True))
    other = np.concatenate([layers[1][0], unheard[1][0]], axis=1), layers[1][1]
    more = so.Identifiability(networks.mlp([first, other, layers[2]]))
    answer = more.verdict("identifiable", more.bound)
    yield "every parameter is settled | a unit more", changed(right, problem=more, answer=answer)
    yield (
        "the modulus is a prime | no prime",
        changed(right, evidence=changed(evidence, prime=4194303)),
    )
    unknown = changed(right.answer, value="unknown")
    yield "value is as counted | unknown", changed(right, answer=unknown)
    wrong = changed(right.answer, rank=right.answer.rank - 1)
    yield "rank is as counted | one less", changed(right, answer=wrong)
    for far in (True, False):
        claim = changed(right, answer=changed(right.answer, everywhere=far))
        yield f"facets say nothing of what is far | {far}", claim
    given = solved("plain").problem
    yield "no inputs are given | some", changed(right, problem=given)
    tied = so.Identifiability(networks.tied()[0])
    answer = tied.verdict("identifiable", tied.bound)
    yield "no tensor ties scales | one does", changed(right, problem=tied, answer=answer)
    yield "named by their numbers | beyond", refusal(lambda: with_evidence(cells=np.array([999])))
    yield (
        "pairs must be float64 | float32",
        refusal(lambda: with_evidence(pairs=evidence.pairs.astype(np.float32))),
    )
    yield "must be an integer | a float", refusal(lambda: changed(evidence, seed=0.5))
