"""Forged certificates of quantization: what the core must refuse, and why.

The name of each is the sentence of the line that stops it, then " | " and what it is.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from quantization_files import forged_files, honest_files

import sparseopt as so
from sparseopt.quantization.rank_one_certificate import proved_least

Pairs = Iterator[tuple[str, Any]]

X, Y = np.array([0.3, -0.7, 1.1]), np.array([1.9, 0.2])


def solved(*args: Any) -> Any:
    return so.solve(so.RankOneQuantization(*args)).certificate


def forged() -> Pairs:
    """Yield (line that stops it | what it is, certificate)."""
    right = solved(X, Y, 4, 3)
    changed, answer = dataclasses.replace, right.answer

    def with_answer(of: Any = right, **parts: Any) -> Any:
        return changed(of, answer=changed(of.answer, **parts))

    yield "the answer is a product of two vectors | a pair", changed(right, answer=(X, Y))
    yield "the vector for x is as long | two", with_answer(u=answer.u[:2])
    yield "the vector for y is as long | three", with_answer(v=np.append(answer.v, 0.0))
    yield "the vector for x is in F4 | more digits", with_answer(u=X)
    yield "the vector for y is in F3 | more digits", with_answer(v=answer.v * 1.1)
    yield "the scale for x is one of the format | two", with_answer(scale_u=2.0)
    yield "the scale for y is one of the format | half", with_answer(scale_v=0.5)
    power = solved(X, Y, so.NumberFormat("int4", "power_of_two"), 3)
    yield "the scale for x is one of the format | three", with_answer(power, scale_u=3.0)
    grid = solved(X, Y, "e2m1", "int4")
    yield "the vector for y is in int4 | 8", with_answer(grid, v=np.array([8.0, 1.0]))
    yield "the vector for x is in e2m1 | 0.25", with_answer(grid, u=np.array([0.25, -0.5, 1.0]))
    left = solved(X, Y, 4, None)
    yield "y is left as it is | turned", with_answer(left, v=Y[::-1])
    yield "y is left as it is | with another sign", with_answer(left, v=-Y)
    zero = solved([0.0, 0.0], [1.0], 3, 3)
    yield "zero is answered by zero | one", with_answer(zero, u=[1.0, 0.0], v=[1.0])
    error, least = right.relative_error, right.relative_lower_bound
    yield from forged_fits()
    yield from forged_cycles()
    line = "the relative error is at most"
    for value in (math.nextafter(error, 0.0), 0.0, -error, math.nan, math.inf):
        yield f"{line} | {value}", changed(right, relative_error=value)
    yield f"{line} | of the best", with_answer(u=answer.u[::-1])
    for value in (-least, math.nan, math.inf):
        line = "the lower bound is a number"
        yield f"{line} | {value}", changed(right, relative_lower_bound=value)
    line = "no choice has a relative error below"
    many = solved(np.arange(1.0, 40.0) ** 1.5, np.arange(9.0) ** 0.5, 7, 7)
    whole = solved(X, Y, "bf16", "fp16")
    alone = solved(X, Y, 6, None)
    for name, each in (("F", right), ("grid", grid), ("power", power), ("many", many)):
        more = each.relative_error * (1.0 + 1e-12)
        yield f"{line} | {name}, a little more", changed(each, relative_lower_bound=more)
    for name, each in (("wide", whole), ("alone", alone)):
        more = each.relative_error * (1.0 + 1e-12)
        yield f"{line} | {name}, a little more", changed(each, relative_lower_bound=more)
    problem = right.problem
    worse = so.RankOneCertificate.build(problem, problem.nearest())
    both = changed(worse, relative_lower_bound=worse.relative_error * (1.0 - 1e-9))
    yield f"{line} | rounding to nearest called the best", both
    yield from forged_brackets(line)
    yield from odd_brackets(right)
    yield from forged_bounds()
    yield from forged_files()


def forged_bounds() -> Pairs:
    """Yield lower bounds that are a little more than what is proved, for good and bad answers."""
    line, changed = "no choice has a relative error below", dataclasses.replace
    for name, each in sharp().items():
        more = math.nextafter(each.relative_lower_bound, math.inf)
        yield f"{line} | a last bit more, {name}", changed(each, relative_lower_bound=more)
    zero = solved([0.0, 0.0], [1.0], 3, 3)
    yield f"{line} | zero", changed(zero, relative_lower_bound=0.5)
    flat = so.RankOneQuantization([0.0, 0.7], Y, 5, None)
    bracket = ((1, 1, 3, 2), (1, 2, 1, 1))
    nothing = so.RankOneCertificate.build(flat, flat.nearest(), None, (bracket, ()))
    yield f"{line} | of an entry that is zero", changed(nothing, relative_lower_bound=0.1)


def sharp() -> dict[str, Any]:
    """Return certificates whose lower bounds are all that is proved, of bad answers too.

    Where the answer is the best its own cost is the bound; of a bad one it is what the search for
    a better one finds.
    """
    many, free = np.arange(1.0, 40.0) ** 1.5, so.NumberFormat("int4", "free")
    far, weights = np.array([1.0, -3e-6, 1.1e-3]), [0.4, 1.7]
    found = {
        name: so.RankOneQuantization(*args)
        for name, args in {
            "F_t": (X, Y, 4, 3),
            "F_t with weights": (X, Y, 4, 3, [1.0, 0.5, 3.0], [0.5, 2.0]),
            "F_t of few and many digits": (X, Y, 2, 5),
            "a grid and F_t": (X, Y, "int8", 3),
            "F_t and a grid": (X, Y, 3, "int8"),
            "two grids": (X, Y, "e2m1", "int4"),
            "beyond the range": (X * 1e3, Y * 1e3, "e4m3", "e4m3"),
            "one beyond the range": (X * 1e3, Y * 1e3, "e4m3", 3),
            "alone": (X, Y, 4, None),
            "alone, many pieces": (many, Y, 9, None),
            "alone, many entries": (np.arange(1.0, 201.0) ** 1.5, Y, 2, None),
            "alone, far apart": (far, Y, "e4m3", None),
            "free": (X, Y, free, 4),
            "an error that floats hold": ([64.0], [1.0], "e2m1", "e2m1"),
            "power of two": (X, Y, so.NumberFormat("int4", "power_of_two"), "e2m1"),
        }.items()
    }
    result = {}
    for name, problem in found.items():
        right = problem.y if problem.format_y is None else 0.0 * problem.y
        worse = {"to nearest": problem.nearest(), "zero": so.RankOneTerm(0.0 * problem.x, right)}
        for how, answer in {"best": so.solve(problem).answer, **worse}.items():
            result[f"{name}, {how}"] = with_least(problem, answer, ((), ()))
    for name, bracket, args in (
        ("neighbours", None, (X[:2], Y, 5, None)),
        ("neighbours with weights", None, (X[:2], Y, 5, None, weights)),
        ("neighbours the other way round", None, (X[1::-1], Y, 5, None, weights)),
        ("neighbours far apart", None, ([3e-7, 1.1], Y, 5, None, weights)),
        ("neighbours with a free scale", None, (X[:2], [1.3, -0.4], 4, free)),
        ("neighbours of digits that differ", None, ([0.31, -0.77], Y, 5, None)),
        ("neighbours of one digit", None, (X[:2], Y, 1, None)),
        ("neighbours that are just enough", None, ([1.0, 1.61], Y, 3, None)),
        ("a ratio that is met", ((3, 2, 5, 3), (2, 3, 3, 4)), ([2.0, 3.0], Y, 3, None)),
    ):
        problem = so.RankOneQuantization(*args)
        best = so.solve(problem)
        own = (bracket, ()) if bracket else (best.certificate.bracket_x, best.certificate.bracket_y)
        assert own[0]
        for how, answer in {"best": best.answer, "to nearest": problem.nearest()}.items():
            result[f"{name}, {how}"] = with_least(problem, answer, own)
    return result


def with_least(problem: Any, answer: Any, brackets: Any) -> Any:
    """Return a certificate that states all that is proved."""
    least = proved_least(problem, answer, brackets)
    return so.RankOneCertificate.build(problem, answer, least, brackets)


def odd_brackets(right: Any) -> Pairs:
    """Yield texts with something else in place of neighbours."""
    good = "[1, 1, 2, 1]"
    for name, value in (
        ("bracket_x", "[[1, 1, 1]]"),
        ("bracket_x", f"[{good}]"),
        ("bracket_x", f"[{good}, {good}, {good}]"),
        ("bracket_x", f"[[1, 1, 2], {good}]"),
        ("bracket_x", f"[[1, 1, 2, 1, 1], {good}]"),
        ("bracket_x", f"[{good}, [1.0, 1, 2, 1]]"),
        ("bracket_x", f"[{good}, [-1, 1, 2, 1]]"),
        ("bracket_x", f'[{good}, {{"$map": [[1, 0], [2, 0], [3, 0], [4, 0]]}}]'),
        ("bracket_x", "0"),
        ("bracket_y", "[[1, 1, 2, true], [1, 1, 2, 1]]"),
    ):
        text = so.to_json(right).replace(f'"{name}": {{"$tuple": []}}', f'"{name}": {value}')
        yield f"{name} must be empty | {value}", text


def pair(first: Any, second: Any, form: Any = "e4m3") -> Any:
    """Return the certificate of fitting a product of two by two matrices."""
    values = [
        np.reshape(first, (1, 2, 2, 1)).astype(float),
        np.reshape(second, (1, 2, 2, 1)).astype(float),
    ]
    product = so.KroneckerProduct(values, [(1, 2, 2, 1), (1, 2, 2, 1)])
    return so.fit_exponents(product, form).certificate


FAR = pair([[1.0, 1e9], [0.0, 3.0]], [[0.3, 1.0], [2e-9, 0.0]], "fp16")
NEVER = pair([[1.0, 1e-4], [1.0, 3.0]], [[1.0, 1.0], [2e6, 1e-5]])


def odd(array: np.ndarray) -> Any:
    """Return an array as one of another class."""
    return torch.from_numpy(array.copy())


def forged_fits() -> Pairs:
    """Yield claims that powers fit."""
    changed, answer = dataclasses.replace, FAR.answer
    (powers,) = answer.powers

    def with_answer(**parts: Any) -> Any:
        return changed(FAR, answer=changed(answer, **parts))

    yield "the answer says whether it fits | powers", changed(FAR, answer=answer.powers)
    yield "it fits | does not", with_answer(value="does_not_fit")
    for name, others in (("none", ()), ("two", (powers, powers)), ("short", (powers[:1],))):
        yield f"there are powers of the shapes | {name}", with_answer(powers=others)
    yield "every entry fits | huge", with_answer(powers=(np.add(powers, [0, 2**62]),))
    least = np.full_like(powers, -(2**63))
    yield "every entry fits | the least integer", with_answer(powers=(least,))
    ones = so.KroneckerProduct([np.ones((1, 1, 1, 1))] * 3, [(1, 1, 1, 1)] * 3)
    three = so.ExponentFitting(ones, 3)
    for first, second in ((-(2**63), -(2**63)), (2**62, -(2**62)), (2**63 - 1, 2**63 - 1)):
        wide = so.ExponentFit("fits", (np.array([first]), np.array([second])), three.product)
        name = f"every entry fits | as they wrap around, {first}, {second}"
        yield name, so.ExponentFitCertificate(three, wide)
    yield "every entry fits | zero", so.ExponentFitCertificate.build(FAR.problem, [powers * 0])
    less = so.ExponentFitCertificate.build(FAR.problem, [powers - [0, 60]])
    yield "every entry fits | less", less
    line = "the product of the answer is that of the problem"
    yield f"{line} | not there", with_answer(product=None)
    yield f"{line} | not scaled", with_answer(product=FAR.problem.product)
    factors = [f.astype(np.float32) for f in answer.product.factors]
    single = so.KroneckerProduct(factors, answer.product.architecture)
    yield f"{line} | in single precision", with_answer(product=single)
    other = so.KroneckerProduct(
        [f.reshape(2, 1, 1, 2) for f in answer.product.factors], [(2, 1, 1, 2)] * 2
    )
    yield f"{line} | of another pattern", with_answer(product=other)
    alone = so.KroneckerProduct(answer.product.factors[:1], answer.product.architecture[:1])
    yield f"{line} | of one factor", with_answer(product=alone)
    own = so.KroneckerProduct(map(odd, answer.product.factors), answer.product.architecture)
    yield f"{line} | of another class of arrays", with_answer(product=own)


def forged_cycles() -> Pairs:
    """Yield claims that entries cannot fit together."""
    changed, steps = dataclasses.replace, NEVER.cycle
    fits = pair([[1.0, 1.0], [1.0, 1.0]], np.ones((2, 2)))
    none = so.ExponentFit("does_not_fit")
    yield "the answer says whether it fits | none", changed(NEVER, answer=None)
    yield "it does not fit | fits", changed(NEVER, answer=so.ExponentFit("fits"))
    with_powers = changed(NEVER, answer=changed(none, powers=(np.zeros(2, dtype=int),)))
    yield "the answer holds no powers | zeros", with_powers
    line = "the answer holds no powers and no product"
    with_product = changed(none, product=NEVER.problem.product)
    yield f"{line} | the product", changed(NEVER, answer=with_product)
    yield "there is a cycle | none", changed(NEVER, cycle=())
    line = "each step is along an entry"
    for name, step in (
        ("factor", (2, 0, 1)),
        ("factor below", (-1, 0, 1)),
        ("place", (0, 4, 1)),
        ("place below", (0, -1, 1)),
        ("direction", (0, 0, 0)),
        ("two ways", (0, 0, 2)),
    ):
        yield f"{line} | another {name}", changed(NEVER, cycle=(step, *steps[1:]))
    build = so.ExponentCycleCertificate.build
    yield "each entry is not zero | zero", build(FAR.problem, [(0, 2, 1), (0, 2, -1)])
    line = "each step begins where the last one ends"
    yield f"{line} | twice", changed(NEVER, cycle=(steps[0], steps[0], *steps[1:]))
    line = "the last step ends where the first one begins"
    yield f"{line} | one less", changed(NEVER, cycle=steps[:-1])
    yield (
        "along the cycle powers only get less | of one that fits",
        build(fits.problem, [(0, 0, 1), (1, 0, 1)]),
    )
    # Powers by which 1 fits and 2^16 does: the largest of one is the largest of the other, less.
    tight = pair([[1.0, 1.0], [1.0, 1.0]], [[2.0**16, 1.0], [1.0, 1.0]])
    yield (
        "along the cycle powers only get less | back to where they were",
        build(tight.problem, [(0, 0, 1), (1, 0, 1)]),
    )
    yield (
        "along the cycle powers only get less | to and fro",
        build(NEVER.problem, [(0, 0, 1), (0, 0, -1)]),
    )
    text = so.to_json(NEVER)
    yield (
        "cycle must be a sequence | words",
        text.replace('"cycle": {"$tuple": [', '"cycle": {"$tuple": ["a", '),
    )
    for name, cycle in (("a text", "5"), ("a number", 5)):
        body = json.loads(text)
        body["cycle"] = cycle
        yield f"cycle must be a sequence | {name}", json.dumps(body)
    body = json.loads(text)
    place, flat, direction = steps[0]
    body["cycle"]["$tuple"][0] = {"$map": [[place, 0], [flat, 0], [direction, 0]]}
    yield "cycle must be a sequence | a step that is a map", json.dumps(body)


def forged_brackets(line: str) -> Pairs:
    """Yield brackets that do not prove what they should; without one all pieces are told."""
    apart = [0.31, -0.77]
    pair = solved(apart, Y, 5, None)
    (a, b), changed = pair.bracket_x, dataclasses.replace
    for name, bracket in (
        ("exchanged", (b, a)),
        ("both in the wrong order", (a[2:] + a[:2], b[2:] + b[:2])),
        ("not next to each other", ((1, 1, 2, 1), b)),
        ("not next to each other, far apart", ((1, 1, 31, 1), b)),
        ("one end", (a[:2] * 2, b)),
        ("nothing over nothing", ((0, 0, 0, 0), b)),
        ("nothing over nothing, then something", ((0, 0, *a[2:]), b)),
        ("something, then nothing over nothing", ((*a[:2], 0, 0), b)),
        ("both above", (beside(a[2:], 32), b)),
        ("both below", (beside(a[:2], 32, -1), b)),
        ("the larger one first", ((*a[2:], *a[:2]), b)),
    ):
        yield f"{line} | {name}", changed(pair, bracket_x=bracket)
    fine = solved(apart, Y, 9, None)
    yield f"{line} | of more digits", changed(pair, bracket_x=fine.bracket_x)
    two, three = solved(X[:2], Y, 5, None), solved(X, Y, 5, None)
    yield f"{line} | of three entries", changed(three, bracket_x=two.bracket_x)
    weighted = so.RankOneQuantization(X[:2], Y, 5, None, [0.0, 1.0])
    found = so.solve(weighted).certificate
    known = changed(found, bracket_x=pair.bracket_x, relative_lower_bound=1e-30)
    yield f"{line} | of an entry without weight", known


def beside(end: tuple[int, int], below: int, way: int = 1) -> tuple[int, int, int, int]:
    """Return neighbours that begin at a fraction and lie above it, or that end there."""
    n, m = end
    for other in range(below - 1, 0, -1):
        if m and (n * other + way) % m == 0:
            found = ((n * other + way) // m, other)
            return (*end, *found) if way > 0 else (*found, *end)
    raise AssertionError("no fraction is next to it")


def errors() -> Pairs:
    """Yield what a certificate says of the error itself: 8 is answered by 4."""
    problem = so.RankOneQuantization([4.0, 0.0], [2.0], 1, 1)
    found = so.RankOneCertificate.build(problem, so.RankOneTerm([2.0, 0.0], [2.0]))

    def said() -> so.Check:
        holds = (found.error, found.relative_error) == (4.0, 0.5)
        return so.Check("accepted" if holds else "refused", "a statement", ())

    yield "errors", said


def honest() -> Pairs:
    """Yield (name, certificate); all must be accepted."""
    yield from errors()
    yield from ((f"all that is proved, {name}", each) for name, each in sharp().items())
    free = so.NumberFormat("int4", "free")
    yield "F_t", solved(X, Y, 4, 3)
    yield "weights", solved(X, Y, 4, 3, [1.0, 0.0, 3.0], [0.5, 2.0])
    yield "fp16 that fits", solved(X, Y, "fp16", "fp16")
    yield "fp16 that does not fit", solved(X * 1e9, Y[:1] * [1e-3], "e5m2", "e4m3")
    yield "power of two", solved(X, Y, so.NumberFormat("int4", "power_of_two"), "e2m1")
    yield "free", solved(X, Y, free, 4)
    yield "pair", solved(X[:2], Y, 53, free)
    yield "pair that is met", solved([3.0, 5.0], Y, 3, None)
    yield "a grid after F_t", solved(X, Y, 3, "int8")
    yield "zero", solved([0.0, 0.0], [1.0], 3, 3)
    yield "nothing asked", solved(X, Y, None, None)
    yield "ties", solved([3.0, 6.0, 1.0, 9.0], [1.0, 3.0], "int8", "int4")
    problem = so.RankOneQuantization(X, Y, 4, 3)
    yield "to nearest", so.RankOneCertificate.build(problem, problem.nearest())
    large = so.RankOneQuantization(np.arange(1.0, 40.0) ** 1.5, Y, 9, 9)
    yield "many pieces", so.solve(large).certificate
    tiny = so.RankOneQuantization(X * 1e-300, Y * 1e300, 4, 3, [1e-200, 1.0, 1e200], None)
    yield "far apart", so.solve(tiny).certificate
    yield from honest_files()
    yield "powers", FAR
    yield "a cycle", NEVER
    aside = [(0, place, way) for place in (0, 2, 3) for way in (1, -1)]
    for count in (2, 3):
        cycle = [*NEVER.cycle * 6, *aside[: 2 * count]]
        yield (
            f"a cycle with {count} ways aside",
            so.ExponentCycleCertificate.build(NEVER.problem, cycle),
        )
    yield "no powers needed", pair(np.eye(2), np.ones((2, 2)), [None, 3])
