"""Check an exact certificate of closedness with the standard library alone.

``python examples/check_closedness_proof.py FILE.json`` reads a certificate or a solution that
sparseopt saved (closedness of sparse supports, chains, training, repair) and checks every condition
of ``docs/certificate_format.md``, from which alone it was written: it shares no line with the
library, so the two judge each other. Without a file it checks the example at the end. It prints the
claim, one line per step and the outcome; the exit code is 0 for accepted, 1 for refused, 3 if all
but the word of z3 was checked, 2 for a file that cannot be read as such a certificate.
Labels such as R5, P2, 9.4 are those of the page.
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import math
import operator
import re
import struct
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial, reduce
from itertools import combinations, combinations_with_replacement, pairwise, product as all_pairs
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger("check_closedness_proof")  # one line per step


class Refused(Exception):
    """A condition of the page does not hold."""


def need(condition: object, why: str) -> None:
    """Refuse the certificate unless the condition holds."""
    if not condition:
        raise Refused(why)


def say(depth: int, text: str) -> None:
    """Report one step."""
    log.info("%s%s", "  " * depth, text)


# Section 5: forms


Form = Any  # a function that returns what it reads, or one of the kinds of data in `read`


def read(form: Form, value: Any) -> Any:
    """Return a value in a form, or refuse it.

    A type stands for its values, a range for integers, a set for some texts, a tuple for a list of
    so many parts, [form] for a list of any length, {form: form} for a map.
    """
    if isinstance(form, tuple | list):
        parts = items(value)
        forms = form * len(parts) if isinstance(form, list) else form
        need(len(parts) == len(forms), "5: number of parts")
        return tuple([read(each, part) for each, part in zip(forms, parts, strict=True)])
    if isinstance(form, dict):
        ((key, part),) = form.items()
        return {read(key, k): read(part, v) for k, v in read(dict, value).items()}
    if isinstance(form, range | set):
        kind = int if isinstance(form, range) else str
        need(type(value) is kind and value in form, f"5: not in {form}")
        return value
    if isinstance(form, type):
        need(type(value) is form, f"5: no {form.__name__}")
        return value
    return form(value)


def checked(form: Form, test: Callable[[Any], object], why: str) -> Form:
    """Return the form of the values of a form that pass a test."""

    def passed(value: Any) -> Any:
        found = read(form, value)
        need(test(found), why)
        return found

    return passed


def anything(value: Any) -> Any:
    """Return a value that is looked at elsewhere."""
    return value


def optional(form: Form) -> Form:
    """Return the form of null or a value."""
    return lambda value: None if value is None else read(form, value)


def some(form: Form) -> Form:
    """Return the form of a list with at least one part."""
    return checked(form, bool, "5: nothing is listed")


def node(rules: Mapping[str, Sequence[Form]], value: Any) -> tuple[Any, ...]:
    """Return a node: the name of a rule and its parts."""
    name, *parts = some(items)(value)
    need(isinstance(name, str) and name in rules, "5: no such rule")
    need(len(parts) == len(rules[name]), f"5: number of parts of {name}")
    return (name, *[read(f, part) for f, part in zip(rules[name], parts, strict=True)])


class Rules(dict[str, Sequence[Form]]):
    """Rules by their names: the forms of the parts of a node, and the functions to apply."""

    def __init__(self) -> None:
        super().__init__()
        self.apply: dict[str, Callable[..., Any]] = {}

    def rule(self, names: str, *forms: Form) -> Callable[[Any], Any]:
        """Enter a function as the rule of these names, whose parts have these forms."""

        def enter(function: Any) -> Any:
            self.update(dict.fromkeys(names.split(), forms))
            self.apply.update(dict.fromkeys(names.split(), function))
            return function

        return enter


def is_transposed(name: str) -> bool:
    """Whether a rule is another one for the transposed problem."""
    return name.endswith("_t") or name in ("rows", "equal_rows")


def rational(value: Any) -> Fraction:
    """Return a rational number."""
    need(type(value) in (int, Fraction), "5: no rational")
    found = Fraction(value)
    size = max(found.numerator.bit_length(), found.denominator.bit_length())
    need(size <= 10_000, "5: a rational of more than 10,000 bits")
    return found


def double(value: Any) -> float:
    """Return a float that is given as a number or a text."""
    need(type(value) in (int, float) or value in ("nan", "inf", "-inf"), "2: no float")
    try:
        return float(value)
    except OverflowError:
        raise Refused("2: beyond the range of a double") from None


items = checked(anything, lambda value: isinstance(value, list | tuple), "5: a list is wanted")
index = range(2**62 + 1)
indices = checked([index], lambda found: len(set(found)) == len(found), "5: an index twice")
couple = checked(indices, lambda found: len(found) == 2, "5: two indices")
variable = ({"x", "y"}, index, index)
place = (index, index)
series = {range(-1000, 1001): rational}
curve = [(index, index, lambda p: nonzero(read(series, p)))]
words = checked(str, str.strip, "4: a blank text")
figure = checked(anything, lambda value: type(value) in (int, float), "4: no number")
cost = checked(figure, lambda value: double(value) is not None, "4: no double")
length = checked(figure, lambda value: 0 <= double(value) < math.inf, "S1: no finite length")
low = checked(rational, lambda value: value >= 0, "3: below 0")
paid = optional(low)


# Sections 1 and 2: the file and its values


@dataclass(frozen=True)
class Array:
    """An array, R7: flat values, two per entry for a complex dtype."""

    dtype: str
    shape: tuple[int, ...]
    values: Sequence[Any]


class Sparse(Array):
    """A sparse matrix, R8, with its zeros; as a complex one if no support may be like it."""


@dataclass(frozen=True)
class Typed:
    """An object with a ``$type``; equal if its fields are."""

    kind: str
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


def is_typed(value: Any, kinds: Iterable[str]) -> bool:
    """Whether a value is an object of one of these types."""
    return isinstance(value, Typed) and value.kind in kinds


def typed(kinds: Iterable[str]) -> Form:
    """Return the form of an object of one of these types."""
    return checked(anything, lambda value: is_typed(value, kinds), "4: an object of another type")


NAMES = ["i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
WIDE = {o + name: o + code for o in "<>" for name, code in zip(NAMES, "hiqHIQefdfd", strict=True)}
CODES = {"|b1": "?", "|i1": "b", "|u1": "B", **WIDE}


def number(text: str) -> int | float:
    """Return a number of JSON, R3; NaN and the infinities are not JSON, R2."""
    if re.fullmatch("-?[0-9]+", text):
        need(len(text) <= 4000, "R3: an integer of more than 4000 characters")
        return int(text)
    need(math.isfinite(value := float(text)), "R3: beyond the range of a double")
    return value


def parse(text: str) -> Any:
    """Return the JSON of a text, R2 to R4."""
    try:
        return json.loads(text, parse_float=number, parse_int=number, parse_constant=number)
    except (ValueError, RecursionError) as error:
        raise Refused(f"R2: no JSON: {error}") from None


def fraction(value: Any) -> Fraction:
    """Return a rational, R6."""
    hexadecimal = re.fullmatch("-?0x[0-9a-f]+/0x[0-9a-f]+", read(str, value))
    need(hexadecimal or re.fullmatch("-?[0-9]+(/[0-9]+)?", value), "R6: no fraction")
    parts = [int(part, 16) if hexadecimal else int(number(part)) for part in value.split("/")]
    need(all(parts[1:]), "R6: a denominator 0")
    return Fraction(*parts)


def array_item(dtype: str, value: Any) -> Any:
    """Return one of the ``values`` of an array, rounded to its dtype."""
    if dtype == "object" and isinstance(value, dict):
        need(set(value) == {"$fraction"}, "R7: objects are integers or fractions")
        return fraction(value["$fraction"])
    if dtype == "object":
        return read(int, value)
    code = CODES[dtype]
    form = double if code[-1] in "efd" else bool if code == "?" else int
    try:
        return struct.unpack(code, struct.pack(code, read(form, value)))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    except struct.error:
        raise Refused("R7: no integer of the dtype") from None


def array(body: Any) -> Array:
    """Return an array, R7."""
    need({"dtype", "shape"} <= set(read(dict, body)), "R7: no array")
    dtype, shape = read(str, body["dtype"]), read([int], read(list, body["shape"]))
    need(dtype in {*CODES, "object"}, "R7: dtype")
    need(len(shape) <= 32 and all(size >= 0 for size in shape), "R7: shape")
    sizes = math.prod(max(size, 1) for size in shape)
    need(sizes <= (2**40 if all(shape) else 2**20), "R7: too large")
    count = math.prod(shape) * (2 if dtype[1] == "c" else 1)
    if dtype != "object" and "base64" in body:
        order, code = CODES[dtype][:-1] or "<", CODES[dtype][-1]
        quads = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
        need(re.fullmatch(quads, read(str, body["base64"])), "R7: no base64")
        raw = base64.b64decode(body["base64"])
        need(len(raw) == count * struct.calcsize(f"<{code}"), "R7: number of bytes")
        need(code != "?" or set(raw) <= {0, 1}, "R7: a byte that is not a boolean")
        return Array(dtype, shape, struct.unpack(f"{order}{count}{code}", raw))
    values = read(list, body.get("values"))
    need(len(values) == count, "R7: number of values")
    return Array(dtype, shape, [array_item(dtype, value) for value in values])


def sparse(body: Any) -> Sparse:
    """Return a sparse matrix, R8."""
    names = {"format", "shape", "data", "indices", "indptr"}
    need(set(read(dict, body)) == names, "R8: no sparse matrix")
    kind, shape = read({"csr", "csc"}, body["format"]), read(place, read(list, body["shape"]))
    parts = [read(dict, body[name]) for name in ("data", "indices", "indptr")]
    need(all(set(part) == {"$array"} for part in parts), "R8: no array")
    data, indices, indptr = (array(part["$array"]) for part in parts)
    need(all(len(part.shape) == 1 for part in (data, indices, indptr)), "R8: one dimension")
    need(indices.dtype[1] in "iu" and indptr.dtype[1] in "iu", "R8: indices are integers")
    lines, width = shape if kind == "csr" else shape[::-1]
    at, size = indptr.values, math.prod(shape)
    need(len(at) == lines + 1 and width <= 2**27, "R8: length of indptr, or too wide")
    need(at[0] == 0 and all(a <= b for a, b in pairwise(at)), "R8: indptr falls")
    need(at[-1] == indices.shape[0] == data.shape[0], "R8: lengths")
    need(all(0 <= i < width for i in indices.values), "R8: an index out of range")
    spans = [indices.values[a:b] for a, b in pairwise(at)]
    need(all(i < j for span in spans for i, j in pairwise(span)), "R8: indices that do not ascend")
    if data.dtype == "object" or data.dtype[1] == "c" or data.dtype[1:] == "f2" or size > 2**27:
        return Sparse("<c8", shape, ())
    values = [0] * size
    places = [(line, i) for line, span in enumerate(spans) for i in span]
    for (line, i), value in zip(places, data.values, strict=True):
        values[line * width + i if kind == "csr" else i * lines + line] = value
    return Sparse(data.dtype, shape, values)


SCALARS: dict[str, Form] = {
    "$array": array,
    "$sparse": sparse,
    "$fraction": fraction,
    "$float": double,
    "$complex": lambda body: complex(*read((double, double), body)),
}


class Reader:
    """Decodes the values of one file and keeps what ``$ref`` may refer to, R9."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}

    def read(self, value: Any, path: str = "", level: int = 1) -> Any:
        """Return the value that stands at a path."""
        need(level <= 150, "R5: nested too deeply")
        if isinstance(value, list):
            return [self.read(v, f"{path}/{i}", level + 1) for i, v in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if not any(key.startswith("$") for key in value):
            steps = {key: key.replace("~", "~0").replace("/", "~1") for key in value}
            return {k: self.read(v, f"{path}/{steps[k]}", level + 1) for k, v in value.items()}
        if "$type" in value:
            self.known[path] = self.typed(value, path, level)
            return self.known[path]
        need(len(value) == 1, "2: a key with $ beside others")
        ((mark, body),) = value.items()
        if mark == "$tuple":  # its members are one level below it, as those of a list
            return tuple(self.read(read(list, body), f"{path}/$tuple", level))
        if mark == "$map":
            return self.map(self.read(read(list, body), f"{path}/$map", level + 1))
        if mark == "$ref":
            need(read(str, body) in self.known, "R9: nothing stands there before")
            return self.known[body]
        need(mark in SCALARS, f"2: unknown key {mark!r}")
        found = SCALARS[mark](body)
        if isinstance(found, Array):
            self.known[path] = found
        return found

    def map(self, pairs: list[Any]) -> dict[Any, Any]:
        """Return a map."""
        keys = (int, float, complex, Fraction, str, tuple, type(None))
        found: dict[Any, Any] = {}
        for pair in pairs:
            key, value = read((anything, anything), read(list, pair))
            try:
                need(isinstance(key, keys) and key not in found, "2: no key of a map, or twice")
            except TypeError:
                raise Refused("2: no key of a map") from None
            found[key] = value
        return found

    def typed(self, value: dict[str, Any], path: str, level: int) -> Typed:
        """Return an object with a type, its fields checked, R10."""
        name = read(str, value["$type"])
        kind = name.removeprefix("sparseopt:")
        need(kind != name and kind in TYPES, f"R10: unknown type {name!r}")
        given = {f: self.read(v, f"{path}/{f}", level + 1) for f, v in value.items()}
        fields = LATER.get(kind, {}) | given
        need(set(fields) == {"$type", *TYPES[kind]}, f"R10: {kind} has other fields")
        found = Typed(kind, {f: read(form, fields[f]) for f, form in TYPES[kind].items()})
        if found.fields.get("costs") is not None:
            need(shapes(found["costs"]) == shapes(found["supports"]), "3: costs of other shapes")
        return found


# Sections 3 and 4: supports and what constructors check


Matrix = tuple[tuple[int, ...], ...]


def lists(value: Any) -> Any:
    """Return an array as nested lists, anything else as it is."""
    if not isinstance(value, Array):
        return value
    need(value.dtype[1] != "c", "P2: complex")
    found = list(value.values)
    for size in value.shape[:0:-1]:
        found = [found[at : at + size] for at in range(0, len(found), size or 1)]
    return found


def bit(value: Any) -> int:
    """Return an entry of a support, P2."""
    plain = isinstance(value, bool | int | float | Fraction)
    need(plain and value in (0, 1), "P2: an entry that is neither 0 nor 1")
    return int(value)


def matrix(value: Any) -> Matrix:
    """Return one support, P1 and P2."""
    rows: Matrix = some([some([bit])])(lists(value))
    need(len(set(map(len, rows))) == 1, "P1: not rectangular")
    return rows


def supports(value: Any) -> tuple[Matrix, ...]:
    """Return supports, P1 to P3."""
    found: tuple[Matrix, ...] = some([matrix])(lists(value))
    need(all(len(a[0]) == len(b) for a, b in pairwise(found)), "P3: they do not chain")
    return found


def shapes(supports: Iterable[Any]) -> list[list[int]]:
    """Return the lengths of the rows of some matrices."""
    return [list(map(len, matrix)) for matrix in supports]


def costs(value: Any) -> list[Any]:
    """Return what changes of entries cost, as two matrices of fractions."""
    for part in items(value):
        need(type(part) is Array and len(part.shape) == 2, "3: costs are arrays of two dimensions")
        need(part.dtype != "object" and part.dtype[1] != "c", "3: dtype of costs")
        good = all(math.isfinite(v) and 0 <= v <= 2**900 and float(v) == v for v in part.values)
        need(good, "3: a cost that is negative, above 2^900 or no double")
    return [[list(map(Fraction, row)) for row in lists(part)] for part in value]


FIELD = {"real", "complex"}
VERDICTS = ("Accepted", "Refused", "Unavailable", "Outranked")
PROVED = ("VERIFIED", "WEAK", "UNCHECKED")
candidate = typed(["Candidate"])
TYPES: dict[str, dict[str, Form]] = {  # and certificates, whose evidence is read later
    "Closedness": {"supports": supports, "field": FIELD},
    "ClosednessVerdict": {"value": {"closed", "not_closed", "unknown"}, "reason": str},
    "SparseTraining": {"supports": supports, "hidden_biases": bool, "output_biases": bool},
    "TrainingVerdict": {"value": {"attained", "may_not_be_attained", "unknown"}, "condition": str},
    "NearestClosedSupport": {
        "supports": checked(supports, lambda found: len(found) == 2, "3: not two supports"),
        "allow": {"remove", "add", "both"},
        "field": FIELD,
        "costs": optional(costs),
        "keep_lines": bool,
    },
    "ClosedSupport": {"supports": supports, "changes": index, "lower_bound": low, "cost": paid},
    "Plan": {"problem": str, "candidates": lambda found: read([candidate], read(list, found))},
    "Candidate": {
        "name": str,
        "plugin": str,
        "guarantee": optional(typed(["Guarantee"])),
        "verdict": typed(VERDICTS),
        "outcome": str,
        "left_out": optional(str),
        "rests_on": optional(str),
        "memory": optional(cost),
    },
    "Guarantee": {"name": {"EXACT", "CERTIFIED", "HEURISTIC"}},
    "Accepted": {"cost": cost},
    "Refused": {"reason": words},
    "Unavailable": {"reason": words, "remedy": words},
    "Outranked": {"by": words, "why": words, "cost": cost},
}
ANSWERS = {
    "Closedness": "ClosednessVerdict",
    "SparseTraining": "TrainingVerdict",
    "NearestClosedSupport": "ClosedSupport",
}
CERTIFICATES: dict[str, tuple[str, dict[str, Form], Callable[..., Any]]] = {}
TYPES["Solution"] = {
    "problem": typed(ANSWERS),
    "answer": anything,
    "certificate": optional(typed(CERTIFICATES)),
    "status": {*PROVED, "UNDECIDED", "TIME_LIMIT"},
    "solver": str,
    "seconds": length,
    "plan": typed(["Plan"]),
    "tolerance": optional(length),
    "accuracy": optional(figure),
}
LATER: dict[str, dict[str, Any]] = {  # fields that old files lack, and what they mean then
    "SparseTraining": {"hidden_biases": False, "output_biases": False},
    "NearestClosedSupport": {"costs": None, "keep_lines": False},
    "ClosedSupport": {"cost": None},
    "ClosedSupportCertificate": {"cores": ()},
    "Candidate": {"left_out": "", "memory": None, "rests_on": ""},
    "Solution": {"tolerance": None, "accuracy": None},
}


def certificate(kind: str, problem: Any = "Closedness", **forms: Form) -> Callable[[Any], Any]:
    """Enter a function as the rule of certificates of a kind, which have these fields too."""

    def enter(rule: Any) -> Any:
        CERTIFICATES[kind] = (problem, forms, rule)
        TYPES[kind] = dict.fromkeys(("problem", "answer", *forms), anything)
        return rule

    return enter


# Section 8: polynomials and linear equations (the order of operations is part of the format)


Cell = tuple[int, int]
Monomial = tuple[tuple[int, ...], ...]
Poly = dict[Monomial, Fraction]
Series = dict[int, Fraction]
ONE: Poly = {(): Fraction(1)}


def nonzero(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the values that are not 0."""
    return {key: value for key, value in values.items() if value}


def add(p: Mapping[Any, Any], q: Mapping[Any, Any], factor: Any = 1) -> dict[Any, Any]:
    """Return p + factor q."""
    total = dict(p)
    for monomial, value in q.items():
        value = total.get(monomial, 0) + factor * value
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    return total


def times(p: Mapping[Any, Any], q: Mapping[Any, Any], join: Callable[..., Any]) -> dict[Any, Any]:
    """Return p q, where `join` returns the product of two monomials."""
    total: dict[Any, Any] = {}
    for a, u in p.items():
        for b, v in q.items():
            key = join(a, b)
            value = total.get(key, 0) + u * v
            if value:
                total[key] = value
            else:
                del total[key]
    return total


def mul(p: Poly, q: Poly) -> Poly:
    """Return p q; large products are refused."""
    need(len(p) * len(q) <= 20_000, "8: a product of too many terms")
    return times(p, q, lambda a, b: tuple(sorted(a + b)))


series_mul = partial(times, join=operator.add)


def matrix_product(
    left: Mapping[Cell, Any], right: Mapping[Cell, Any], mul: Callable[..., Any]
) -> dict[Cell, Any]:
    """Return the product of two matrices of polynomials, given by their entries."""
    by_row: dict[int, list[tuple[int, Any]]] = {}
    for (k, j), q in right.items():
        by_row.setdefault(k, []).append((j, q))
    total: dict[Cell, Any] = {}
    for (i, k), p in left.items():
        for j, q in by_row.get(k, []):
            total[i, j] = add(total.get((i, j), {}), mul(p, q))
    return total


def gather(given: Iterable[tuple[Fraction, Iterable[tuple[int, ...]]]]) -> Poly:
    """Return the polynomial with these terms."""
    p: Poly = {}
    for coefficient, names in given:
        p = add(p, {tuple(sorted(names)): coefficient} if coefficient else {})
    return p


def power(p: Poly, e: int) -> Poly:
    """Return p^e, 1 for e <= 0."""
    result = ONE
    for _ in range(e):
        result = mul(result, p)
    return result


def degree(p: Poly, v: tuple[int, ...]) -> int:
    """Return the degree of p in v."""
    return max((monomial.count(v) for monomial in p), default=0)


def variables(*polys: Poly) -> set[tuple[int, ...]]:
    """Return the variables of polynomials."""
    return {v for p in polys for monomial in p for v in monomial}


def coefficients(p: Poly, chosen: Iterable[tuple[int, ...]]) -> dict[Monomial, Poly]:
    """Return p as a polynomial in the chosen variables."""
    parts: dict[Monomial, Poly] = {}
    for monomial, value in p.items():
        inside = tuple(v for v in monomial if v in chosen)
        parts.setdefault(inside, {})[tuple(v for v in monomial if v not in chosen)] = value
    return parts


def put(p: Poly, v: tuple[int, ...], over: Poly, under: Poly) -> Poly:
    """Return under^d p(v = over / under), d the degree of p in v."""
    d = degree(p, v)
    if not d:
        return p
    total: Poly = {}
    for inside, part in coefficients(p, [v]).items():
        used = len(inside)
        total = add(total, mul(part, mul(power(over, used), power(under, d - used))))
    return total


def divide(p: Poly, q: Poly) -> Poly | None:
    """Return p / q, or None if q, which is not 0, does not divide p."""
    order = sorted(variables(p))
    if not variables(q) <= set(order):
        return None if p else {}

    def height(monomial: Monomial) -> list[int]:
        return [monomial.count(v) for v in order]

    lead, rest, quotient = max(q, key=height), dict(p), dict[Monomial, Fraction]()
    while rest:
        top = max(rest, key=height)
        factor = list(top)
        for v in lead:
            if v not in factor:
                return None
            factor.remove(v)
        term = {tuple(factor): rest[top] / q[lead]}
        quotient.update(term)
        rest = add(rest, mul(term, q), -1)
    return quotient


def is_product(p: Poly, factors: Sequence[Poly]) -> bool:
    """Whether p is a nonzero number times some of the factors, tried in order."""
    for q in factors:
        if p and set(q) - {()}:
            while (quotient := divide(p, q)) is not None:
                p = quotient
    return set(p) == {()}


def is_generic(p: Poly, nonzero: Sequence[Poly]) -> bool:
    """Whether p is not 0 on a branch for almost all parameters, section 11."""
    parameters = {v for v in variables(p) if len(v) == 1}
    return any(is_product(q, nonzero) for q in coefficients(p, parameters).values())


def determinant(rows: Sequence[Sequence[Poly]]) -> Poly:
    """Return the determinant, row by row over sets of columns."""
    need(len(rows) <= 12, "8: a determinant of more than 12 rows")
    minors: dict[tuple[int, ...], Poly] = {(): ONE}
    for row in rows:
        grown: dict[tuple[int, ...], Poly] = {}
        for used, minor in minors.items():
            for j, entry in enumerate(row):
                if j not in used and entry and minor:
                    sign = -1 if sum(other > j for other in used) % 2 else 1
                    key = tuple(sorted((*used, j)))
                    grown[key] = add(grown.get(key, {}), mul(minor, entry), sign)
        minors = grown
    return minors.get(tuple(range(len(rows))), {})


def echelon(rows: Iterable[Mapping[Any, Fraction]]) -> dict[Any, dict[Any, Fraction]]:
    """Return the reduced echelon form of sparse rows, by the columns of the pivots."""
    pivots: dict[Any, dict[Any, Fraction]] = {}
    for row in rows:
        for lead, pivot in pivots.items():
            row = add(row, pivot, -row.get(lead, 0))
        if row:
            lead = min(row)
            row = {c: v / row[lead] for c, v in row.items()}
            pivots = {c: add(other, row, -other.get(lead, 0)) for c, other in pivots.items()}
            pivots[lead] = row
    return pivots


def rank(rows: Iterable[Sequence[Fraction]]) -> int:
    """Return the rank over the rationals."""
    return len(echelon(nonzero(dict(enumerate(row))) for row in rows))


def modular_rank(rows: Iterable[Mapping[Any, int]]) -> int:
    """Return the rank of sparse integer rows modulo the prime of sections 7 and 13.3."""
    prime = 2_147_483_629
    pivots: dict[Any, dict[Any, int]] = {}
    for given in rows:
        row = nonzero({c: v % prime for c, v in given.items()})
        while row and (lead := min(row)) in pivots:
            factor = row[lead]
            changed = {c: (row.get(c, 0) - factor * v) % prime for c, v in pivots[lead].items()}
            row = nonzero(row | changed)
        if row:
            inverse = pow(row[lead], -1, prime)
            pivots[lead] = {c: v * inverse % prime for c, v in row.items()}
    return len(pivots)


def summands(name: Form) -> Form:
    """Return the form of the terms of a polynomial in such variables."""
    return [(rational, [name])]


cell_or_parameter = checked([index], lambda v: len(v) in (1, 2), "11: no variable")


def polynomial(value: Any) -> Poly:
    """Return a polynomial in cells and parameters."""
    return gather(read(summands(cell_or_parameter), value))


def table(entries: Sequence[Any], where: frozenset[Cell], label: str) -> dict[Cell, Any]:
    """Return the entries (row, column, value) of a matrix, none given twice or out of place."""
    found = {(a, b): value for a, b, value in entries}
    need(len(found) == len(entries), f"{label}: an entry twice")
    need(set(found) <= where, f"{label}: an entry outside the support")
    return found


# Section 6: observed problems


def union(sets: Iterable[Iterable[Any]]) -> frozenset[Any]:
    """Return the union of sets."""
    return frozenset().union(*sets)


def classes(sets: Sequence[set[Any]]) -> list[list[int]]:
    """Return the classes of sets that are joined by common members, by their numbers."""
    left, found = list(range(len(sets))), []
    while left:
        group = [left.pop(0)]
        seen = set(sets[group[0]])
        while joined := [k for k in left if sets[k] & seen]:
            seen |= union(sets[k] for k in joined)
            left = [k for k in left if k not in joined]
            group += joined
        found.append(sorted(group))
    return found


class Block(NamedTuple):
    """A block: its rows and columns, and the term of the problem that it is a part of."""

    rows: frozenset[int]
    cols: frozenset[int]
    origin: int


class State(NamedTuple):
    """An observed problem: the size, the observed cells and the blocks."""

    m: int
    n: int
    obs: frozenset[Cell]
    blocks: tuple[Block, ...]

    def cells(self, block: Block) -> set[Cell]:
        """Return the observed cells of a block."""
        return {(i, j) for i in block.rows for j in block.cols if (i, j) in self.obs}

    def family(self, ks: Sequence[int]) -> State:
        """Return these blocks with their observed cells."""
        chosen = tuple(self.blocks[k] for k in ks)
        return self._replace(obs=union(map(self.cells, chosen)), blocks=chosen)

    def components(self) -> list[State]:
        """Return the parts that share no observed cell."""
        return [self.family(ks) for ks in classes([self.cells(block) for block in self.blocks])]

    def turned(self) -> State:
        """Return the transposed problem."""
        blocks = tuple(Block(block.cols, block.rows, block.origin) for block in self.blocks)
        return State(self.n, self.m, turn(self.obs), blocks)

    def columns(self) -> dict[int, list[int]]:
        """Return the rows of each column with an observed cell, ascending."""
        found: dict[int, list[int]] = {}
        for j, i in sorted(turn(self.obs)):
            found.setdefault(j, []).append(i)
        return found


def turn(cells: Iterable[Cell]) -> frozenset[Cell]:
    """Return cells with row and column exchanged."""
    return frozenset((j, i) for i, j in cells)


def entries_of(blocks: Iterable[Block]) -> tuple[frozenset[Cell], frozenset[Cell]]:
    """Return the entries (row, block) of X and (block, column) of Y."""
    xs = frozenset((i, k) for k, block in enumerate(blocks) for i in block.rows)
    return xs, frozenset((k, j) for k, block in enumerate(blocks) for j in block.cols)


def lines_of(blocks: Iterable[Block]) -> tuple[frozenset[int], frozenset[int]]:
    """Return the rows and columns that some block has."""
    return union(block.rows for block in blocks), union(block.cols for block in blocks)


def normal_form(state: State) -> State:
    """Split blocks whose observed cells fall apart; drop rows and columns without any."""
    found, obs = [], state.obs
    for block in state.blocks:
        across = {i: {j for j in block.cols if (i, j) in obs} for i in sorted(block.rows)}
        rows = [i for i, cols in across.items() if cols]
        for part in classes([across[i] for i in rows]):
            chosen = frozenset(rows[k] for k in part)
            found.append(Block(chosen, union(across[i] for i in chosen), block.origin))
    return state._replace(blocks=tuple(found))


def ones(line: Iterable[Any]) -> frozenset[int]:
    """Return the places that are not 0."""
    return frozenset(i for i, one in enumerate(line) if one)


def support_of(matrix: Iterable[Iterable[Any]]) -> frozenset[Cell]:
    """Return the cells that are not 0."""
    return frozenset((i, j) for i, row in enumerate(matrix) for j in ones(row))


def terms(first: Matrix, second: Matrix) -> tuple[Block, ...]:
    """Return the terms of two supports as blocks."""
    columns = [[row[k] for row in first] for k in range(len(second))]
    pairs = zip(columns, second, strict=True)
    return tuple(Block(ones(column), ones(row), k) for k, (column, row) in enumerate(pairs))


def two_factors(first: Matrix, second: Matrix) -> State:
    """Return the problem of two supports where all cells are observed."""
    m, n = len(first), len(second[0])
    return State(m, n, frozenset(all_pairs(range(m), range(n))), terms(first, second))


def start(first: Matrix, second: Matrix) -> State:
    """Return the observed problem of two supports."""
    return normal_form(two_factors(first, second).family(range(len(second))))


def comparable(shared: Sequence[Block], blocks: Sequence[Block]) -> bool:
    """Whether of two blocks, where the shared ones meet, one is taller and the other wider, 9.2."""
    return all(
        not (one.rows & other.rows and one.cols & other.cols)
        or (a.rows <= b.rows and b.cols <= a.cols)
        or (b.rows <= a.rows and a.cols <= b.cols)
        for (one, a), (other, b) in combinations(zip(shared, blocks, strict=True), 2)
    )


def free_step(state: State, ks: Sequence[int], evidence: tuple[Any, ...], depth: int) -> State:
    """Check that some blocks are free, and return what they leave."""
    need(max(ks) < len(state.blocks), "6: free: no such block")
    chosen, (name, *parts) = state.family(ks), evidence
    origins = sorted({block.origin for block in chosen.blocks})
    say(depth, f"terms {origins} reach every matrix on their {len(chosen.obs)} cells ({name})")
    FAMILIES.apply[name](chosen.turned() if is_transposed(name) else chosen, *parts)
    rest = tuple(block for k, block in enumerate(state.blocks) if k not in ks)
    return normal_form(state._replace(obs=state.obs - chosen.obs, blocks=rest))


def step(state: State, taken: tuple[Any, ...], depth: int) -> State:
    """Apply one step of a reduction."""
    name, *parts = taken
    if name == "free":
        return free_step(state, parts[0], parts[1], depth)
    if name == "component":
        found, number = state.components(), int(parts[0])
        need(number < len(found), "6: no such component")
        say(depth, f"look at component {number} of {len(found)} that share no observed cell")
        return found[number]
    rows, cols = parts
    need(all(i < state.m for i in rows) and all(j < state.n for j in cols), "6: keep")
    say(depth, f"keep rows {list(rows)} and columns {list(cols)}")
    obs = frozenset((i, j) for i, j in state.obs if i in rows and j in cols)
    return normal_form(state._replace(obs=obs))


def nothing_left(state: State, steps: Iterable[Any]) -> None:
    """Check that steps leave no block."""
    for taken in steps:
        state = step(state, taken, 2)
    need(not state.blocks, "12: a block is left")


# Section 7: evidence that a family is free


FAMILIES = Rules()
small_entries = [(index, index, range(-1000, 1001))]


def matching(state: State, pairs: Sequence[Cell]) -> None:
    """Check distinct rows and distinct blocks that have them."""
    fits = all(k < len(state.blocks) and i in state.blocks[k].rows for i, k in pairs)
    need(fits, "7: a block is matched to a row that it does not have")
    distinct = len({i for i, _ in pairs}) == len({k for _, k in pairs}) == len(pairs)
    need(distinct, "7: matched twice")


def matched(state: State, c: int, rows: Sequence[int], ks: Sequence[int]) -> None:
    """Check a matching of a column."""
    need(len(ks) == len(rows), "7: one block per row of the column")
    matching(state, list(zip(rows, ks, strict=True)))
    need(all(c in state.blocks[k].cols for k in ks), "7: a block does not have the column")


@FAMILIES.rule("columns rows", [indices])
def solvable(state: State, given: Sequence[Sequence[int]]) -> None:
    """Check one matching per column: for generic X every column can be solved for."""
    lines = state.columns()
    need(len(given) == len(lines), "7: one matching per column")
    for (c, rows), ks in zip(lines.items(), given, strict=True):
        matched(state, c, rows, ks)


@FAMILIES.rule("determined determined_t", index, index, [[indices]])
def determined(state: State, j: int, own: int, given: Sequence[Sequence[Sequence[int]]]) -> None:
    """Check that one block can take column j, and the others still solve the rest."""
    need(own < len(state.blocks), "7: no such block")
    lines, block = state.columns(), state.blocks[own]
    hard = lines.pop(j, [])
    need(j in block.cols and set(hard) <= block.rows, "7: the block does not have the column")
    need(len(given) == len(lines), "7: one part per other column")
    for (c, rows), choices in zip(lines.items(), given, strict=True):
        need(len(choices) == len(hard), "7: one matching per row of the determined column")
        for i, ks in zip(hard, choices, strict=True):
            matched(state, c, rows, ks)
            at = rows[ks.index(own)] if own in ks else i
            need(at == i or at not in hard, "7: the block that is fixed is matched elsewhere")


@FAMILIES.rule("staircase staircase_t", [place], indices, [[place]])
def staircase(
    state: State, full: Sequence[Cell], order: Sequence[int], helped: Sequence[Sequence[Cell]]
) -> None:
    """Check that for rank t there is a block that lacks at most t - 1 rows and columns."""
    blocks, (rows, cols) = state.blocks, lines_of(state.blocks)
    matching(state, [(i, k) for k, i in full])
    own = {k for k, _ in full}
    need(all(blocks[k].cols == cols for k in own), "7: a full block without a column")
    size = min(len(rows) - len(own), len(cols))
    need(len(order) == len(helped) == size, "7: one block for each rank")
    need(all(k < len(blocks) and k not in own for k in order), "7: blocks of a staircase")
    for t, (k, pairs) in enumerate(zip(order, helped, strict=True)):
        lacks = rows - blocks[k].rows
        matching(state, pairs)
        need(all(i in lacks and g in own for i, g in pairs), "7: a row that needs no help")
        zeros = len(lacks) - len(pairs) + len(cols - blocks[k].cols)
        need(zeros <= t, "7: a block of a staircase lacks too much")


@FAMILIES.rule("submersion", small_entries, small_entries)
def submersion(state: State, left: Sequence[Any], right: Sequence[Any]) -> None:
    """Check a point at which the product is 0 and its derivative is onto, modulo a prime."""
    every_x, every_y = entries_of(state.blocks)
    xs, ys = table(left, every_x, "7"), table(right, every_y, "7")
    rows = []
    for i, j in state.obs:
        on = [k for k in range(len(state.blocks)) if (i, k) in every_x and (k, j) in every_y]
        total = sum(xs.get((i, k), 0) * ys.get((k, j), 0) for k in on)
        need(total == 0, "7: the product is not 0 on the cells")
        row = {(0, i, k): ys.get((k, j), 0) for k in on}
        rows.append(row | {(1, k, j): xs.get((i, k), 0) for k in on})
    need(modular_rank(rows) == len(rows), "7: the derivative is not onto")


free_form = (some(indices), partial(node, FAMILIES))
free_steps = [partial(node, {"free": free_form})]
step_form = partial(node, {"free": free_form, "component": [index], "keep": [indices, indices]})


# Section 10: exclusion trees


Variable = tuple[str, int, int]


class Window(NamedTuple):
    """A window, its limit, and what is known of the entries of factors on a branch."""

    h: int
    w: int
    size: int
    xs: frozenset[Cell]
    ys: frozenset[Cell]
    obs: frozenset[Cell]
    limit: Sequence[Sequence[Fraction]]
    zero: frozenset[Variable] = frozenset()
    nonzero: frozenset[Variable] = frozenset()
    values: Mapping[Variable, Fraction] = {}
    scaled: frozenset[int] = frozenset()

    def has(self, v: Variable) -> bool:
        """Whether a variable exists."""
        return v[1:] in (self.xs if v[0] == "x" else self.ys)

    def terms(self, i: int, j: int) -> list[int]:
        """Return the blocks that have a cell."""
        return [k for k in range(self.size) if (i, k) in self.xs and (k, j) in self.ys]

    def live(self, i: int, j: int) -> list[int]:
        """Return the blocks live at a cell, which has to be observed."""
        need((i, j) in self.obs, "10: not an observed cell of the window")
        return [k for k in self.terms(i, j) if not self.zero & {("x", i, k), ("y", k, j)}]

    def knows(self, values: Mapping[Variable, Fraction]) -> Window:
        """Return the window where these values are known too."""
        return self._replace(
            zero=self.zero | {v for v in values if not values[v]},
            nonzero=self.nonzero | {v for v in values if values[v]},
            values={**self.values, **values},
        )

    def turned(self) -> Window:
        """Return the transposed window."""

        def swap(v: Variable) -> Variable:
            return ("y" if v[0] == "x" else "x", v[2], v[1])

        xs, ys, obs = turn(self.ys), turn(self.xs), turn(self.obs)
        zero, nonzero = (frozenset(map(swap, known)) for known in (self.zero, self.nonzero))
        values = {swap(v): value for v, value in self.values.items()}
        limit = list(zip(*self.limit, strict=True))
        size = (self.w, self.h, self.size)
        return Window(*size, xs, ys, obs, limit, zero, nonzero, values, self.scaled)


EXCLUSION = Rules()
tree = partial(node, EXCLUSION)
equation = partial(node, {"cell": [index, index], "value": [variable], "inverse": [variable]})
identity_factor = summands((range(4), index, index))
TEXTS = {
    "split": "{0[0]}{0[1]},{0[2]} is zero or it is not",
    "product": "cell ({0}, {1}) is 0 and one term is left there: its x is zero or its y is",
    "cell": "cell ({0}, {1}) cannot take its value: contradiction",
    "minor": "rows {0} and columns {1} have a higher rank than blocks: contradiction",
    "free_minor": "rows {0} and columns {1} ask blocks {2} for a higher rank: contradiction",
    "span": "on rows {0}, column {1} is outside the span of those that fix its blocks",
    "span_t": "on columns {0}, row {1} is outside the span of those that fix its blocks",
    "scale": "scale so that {0[0]}{0[1]},{0[2]} = 1",
    "line": "column {0} on rows {1} is linear",
    "line_t": "row {0} on columns {1} is linear",
    "identity": "a combination of equations is 1 = 0: contradiction",
    "trace": "blocks {0} would be idle, and the others are too few: contradiction",
    "equal_columns": "row {0} has no blocks that make columns {1} equal: contradiction",
    "equal_rows": "column {0} has no blocks that make rows {1} equal: contradiction",
    "equal_both": "equal columns {1} of row {0} and rows {3} of column {2}: contradiction",
}


def exclude(window: Window, found: tuple[Any, ...], depth: int) -> None:
    """Check that there are no factors whose product is the limit on the observed cells."""
    name, *parts = found
    say(depth, TEXTS[name].format(*parts))
    flip = is_transposed(name)
    branches = EXCLUSION.apply[name](window.turned() if flip else window, *parts) or []
    for branch, rest in branches:
        exclude(branch.turned() if flip else branch, rest, depth + (len(branches) > 1))


Branches = list[tuple[Window, Any]]  # what is known on a branch, and how to go on there


@EXCLUSION.rule("split", variable, tree, tree)
def split(window: Window, v: Variable, zero: Any, nonzero: Any) -> Branches:
    """Rule 1: a variable is 0 or not."""
    need(window.has(v), "10.1: no such variable")
    other = window._replace(nonzero=window.nonzero | {v})
    return [(window._replace(zero=window.zero | {v}), zero), (other, nonzero)]


@EXCLUSION.rule("product", index, index, tree, tree)
def product(window: Window, i: int, j: int, *trees: Any) -> Branches:
    """Rule 2: one factor of the only product that is left at a cell is 0."""
    on = window.live(i, j)
    need(window.limit[i][j] == 0 and len(on) == 1, "10.2: not 0, or not one live block")
    zeros = [window.zero | {v} for v in (("x", i, on[0]), ("y", on[0], j))]
    return [(window._replace(zero=zero), rest) for zero, rest in zip(zeros, trees, strict=True)]


@EXCLUSION.rule("scale", variable, tree)
def scale(window: Window, v: Variable, rest: Any) -> Branches:
    """Rule 8: a variable that is not 0 is 1, once for each block."""
    block = v[2] if v[0] == "x" else v[1]
    need(window.has(v) and v in window.nonzero, "10.8: not known to be nonzero")
    need(block not in window.scaled, "10.8: scaled before")
    scaled = window._replace(scaled=window.scaled | {block})
    return [(scaled.knows({v: Fraction(1)}), rest)]


@EXCLUSION.rule("cell", index, index)
def cell_leaf(window: Window, i: int, j: int) -> None:
    """Rule 3: the live blocks cannot add up to the value of a cell."""
    on, value = window.live(i, j), window.limit[i][j]
    both = len(on) == 1 and {("x", i, on[0]), ("y", on[0], j)} <= window.nonzero
    need((not on and value != 0) or (both and value == 0), "10.3: the cell can take its value")


@EXCLUSION.rule("minor", indices, indices)
def minor_leaf(window: Window, rows: Sequence[int], cols: Sequence[int]) -> None:
    """Rule 4: more rank than live blocks."""
    on = union(window.live(i, j) for i in rows for j in cols)
    height = rank([[window.limit[i][j] for j in cols] for i in rows])
    need(height > len(on), "10.4: the rank is not too high")


@EXCLUSION.rule("free_minor", indices, indices, indices)
def free_minor(window: Window, rows: Sequence[int], cols: Sequence[int], ks: Sequence[int]) -> None:
    """Rule 5: more rank than blocks, whatever stands in the other cells."""
    need(len(ks) < len(rows) == len(cols) <= 6, "10.5: sizes")
    inside = all(i < window.h for i in rows) and all(j < window.w for j in cols)
    need(inside and all(k < window.size for k in ks), "10.5: outside the window")

    def entry(i: int, j: int) -> Poly:
        if (i, j) in window.obs and set(window.live(i, j)) <= set(ks):
            return gather([(window.limit[i][j], [])])
        return {((i, j),): Fraction(1)}

    minor = determinant([[entry(i, j) for j in cols] for i in rows])
    need(set(minor) == {()}, "10.5: the determinant is not a nonzero number")


@EXCLUSION.rule("span span_t", indices, index, {index: index})
def span(window: Window, rows: Sequence[int], j: int, fixing: dict[int, int]) -> None:
    """Rules 6 and 7: a column outside the span of those that fix the directions of its blocks."""
    limit = window.limit
    need(union(window.live(i, j) for i in rows) == set(fixing), "10.6: other blocks are live")
    for k, c in fixing.items():
        alone = all(set(window.live(i, c)) <= {k} for i in rows)
        need(alone and any(limit[i][c] for i in rows), "10.6: a line does not fix its block")
    fixed_columns = [[limit[i][c] for c in fixing.values()] for i in rows]
    larger = [[*row, limit[i][j]] for i, row in zip(rows, fixed_columns, strict=True)]
    need(rank(larger) > rank(fixed_columns), "10.6: it is in the span")


@EXCLUSION.rule("line line_t", index, indices, optional(tree))
def linear(window: Window, j: int, rows: Sequence[int], rest: Any) -> Branches:
    """Rules 9 and 10: what the equations of a column say when its x are known."""
    need(j < window.w, "10.9: no such line")
    equations, right = [], math.inf  # the column of the right-hand sides, behind the unknowns
    for i in rows:
        on, row = window.live(i, j), nonzero({right: window.limit[i][j]})
        for k in on:
            need(("x", i, k) in window.values, "10.9: a factor without a value")
            value, known = window.values["x", i, k], window.values.get(("y", k, j))
            row = add(row, {k: value} if known is None else {right: -value * known})
        equations.append(row)
    reduced = echelon(equations)
    fixed = {k: row.get(right, Fraction(0)) for k, row in reduced.items() if set(row) <= {k, right}}
    found: dict[Variable, Fraction] = {("y", k, j): value for k, value in fixed.items()}
    conflict = right in reduced or any(v in window.nonzero and not found[v] for v in found)
    need(conflict == (rest is None), "10.9: a conflict is a leaf, and nothing else is")
    return [] if conflict else [(window.knows(found), rest)]


@EXCLUSION.rule("identity", [(equation, identity_factor)])
def identity(window: Window, parts: Sequence[Any]) -> None:
    """Rule 11: a combination of equations is 1."""
    left: Poly = {}
    for (name, *where), factor in parts:
        for s, a, b in (v for _, names in factor for v in names):
            need((a, b) in (window.ys if s % 2 else window.xs), "10.11: no such variable")
        if name == "cell":
            i, j = where
            pairs = [[(0, i, k), (1, k, j)] for k in window.live(i, j)]
            constant = -window.limit[i][j]
        else:
            (v,) = where
            known = window.values if name == "value" else window.nonzero
            need(window.has(v) and v in known, "10.11: not known")
            s = int(v[0] == "y")
            pairs = [[(s, *v[1:])] if name == "value" else [(s, *v[1:]), (s + 2, *v[1:])]]
            constant = -window.values[v] if name == "value" else Fraction(-1)
        summed = [*((Fraction(1), pair) for pair in pairs), (constant, [])]
        left = add(left, mul(gather(summed), gather(factor)))
    need(left == ONE, "10.11: the sum is not 1")


def touching(window: Window) -> dict[int, tuple[frozenset[int], frozenset[int]]]:
    """Return rows and columns of each block that has both; all cells must be observed."""
    need(len(window.obs) == window.h * window.w, "10.12: a cell that is not observed")
    found = {}
    for k in range(window.size):
        rows = frozenset(i for i, block in window.xs if block == k)
        cols = frozenset(j for block, j in window.ys if block == k)
        if rows and cols:
            found[k] = (rows, cols)
    return found


@EXCLUSION.rule("trace", some(indices))
def trace(window: Window, ks: Sequence[int]) -> None:
    """Rule 12: blocks that miss the entries of a permuted diagonal."""
    hot, blocks = support_of(window.limit), touching(window)
    size = len(hot)
    permuted = size == window.h == window.w == len({i for i, _ in hot}) == len({j for _, j in hot})
    need(permuted, "10.12: not one entry in every row and every column")
    need(all(k in blocks for k in ks), "10.12: a block that does not touch the window")
    need(len(ks) > len(blocks) - size, "10.12: too few blocks")
    for earlier, later in combinations_with_replacement(ks, 2):
        rows, cols = blocks[later][0], blocks[earlier][1]
        need(not any(i in rows and j in cols for i, j in hot), "10.12: an entry is met")


def equal_lines(window: Window, i: int, places: Sequence[int]) -> list[frozenset[int]]:
    """Check equal columns, not 0 in row i; return which of them each block with row i has."""
    need(i < window.h and max(places) < window.w, "10.13: outside the window")
    need(all(len({row[a] for a in places}) == 1 for row in window.limit), "10.13: not equal")
    need(window.limit[i][places[0]], "10.13: zero")
    return [cols & set(places) for rows, cols in touching(window).values() if i in rows]


@EXCLUSION.rule("equal_columns equal_rows", index, some(indices))
def equal(window: Window, i: int, places: Sequence[int]) -> None:
    """Rules 13 and 14: equal columns that no e + 1 blocks of a row have together."""
    sets = equal_lines(window, i, places)
    spare = len(touching(window)) - rank(window.limit)
    size = min(max(spare, 0) + 1, len(sets))
    need(math.comb(len(sets), size) <= 100_000, "10.13: too many sets")
    for chosen in combinations(sets, size):
        need(union(chosen) != set(places), "10.13: blocks that have them all")


@EXCLUSION.rule("equal_both", index, some(indices), index, some(indices))
def both(window: Window, i: int, cols: Sequence[int], j: int, rows: Sequence[int]) -> None:
    """Rule 15: equal columns and equal rows, with one block to spare."""
    need(len(touching(window)) <= rank(window.limit) + 1, "10.15: too many blocks")
    need(set(cols) not in equal_lines(window, i, cols), "10.15: a block has the columns")
    need(set(rows) not in equal_lines(window.turned(), j, rows), "10.15: a block has the rows")


# Section 11: trees of cases


Branch = tuple[dict[Cell, tuple[Poly, Poly]], tuple[Poly, ...]]
Branched = list[tuple[Branch, Any]]  # branches, and how to go on there
Place = Callable[[int, int], Cell]  # the name of a cell of a problem that may be transposed
CASES = Rules()
case_tree = partial(node, CASES)
CASES |= {"split": [polynomial, place, case_tree, case_tree], "empty": []}
matrix_form = [(index, index, polynomial)]


def root(obs: Iterable[Cell]) -> Branch:
    """Return the branch at the root: every cell is its own variable."""
    return {cell: ({(cell,): Fraction(1)}, ONE) for cell in obs}, ()


def free(branch: Branch) -> set[Any]:
    """Return the free cells."""
    return {v for v, (top, _) in branch[0].items() if top == {(v,): 1}}


def solved(branch: Branch, p: Poly, v: Cell) -> Branch:
    """Return the branch on which p = 0, solved for v."""
    entries, nonzero = branch
    need(v in free(branch) and degree(p, v) == 1, "11: not linear in a free cell")
    parts = coefficients(p, [v])
    lead, rest = parts[(v,)], parts.get((), {})
    need(is_product(lead, nonzero), "11: the coefficient may be 0")
    over, found = {a: -c for a, c in rest.items()}, {}
    for cell, (top, bottom) in entries.items():
        more = degree(bottom, v) - degree(top, v)
        above = mul(put(top, v, over, lead), power(lead, more))
        found[cell] = above, mul(put(bottom, v, over, lead), power(lead, -more))
    return found, tuple(put(q, v, over, lead) for q in nonzero)


def allowed(branch: Branch, *polys: Poly) -> None:
    """Check that polynomials are about free cells and parameters."""
    names = {v for v in variables(*polys) if len(v) == 2}
    need(names <= free(branch), "11: a variable that is neither a free cell nor a parameter")


def follow(tree: Any, branch: Branch, rule: Callable[..., Branched], depth: int) -> None:
    """Follow a tree of cases; rules other than split and empty are given."""
    name, *parts = tree
    branches: Branched = []
    if name == "split":
        p, v, zero, other = parts
        say(depth, f"a polynomial is 0, so entry {v} is given by the others; or it is not 0")
        need(variables(p) <= free(branch), "11.1: a variable that is not a free cell")
        branches = [(solved(branch, p, v), zero), ((branch[0], (*branch[1], p)), other)]
    elif name == "empty":
        say(depth, "a polynomial that is not 0 has become 0: nothing is left here")
        need({} in branch[1], "11.2: no polynomial has become 0")
    else:
        branches = rule(tree, branch, depth)
    for after, rest in branches:
        follow(rest, after, rule, depth + (len(branches) > 1))


CASE_TEXTS = {
    "minor": "the minor of rows {0} and columns {1} vanishes: solve for entry {2}",
    "conflict": "the minor of rows {0} and columns {1} is 0 and not 0",
    "clear": "{name}: by entry {0} of line {1}, make that of line {2} zero",
    "pivot": "{name}: line {0} is zero across {1}, or mixing leaves one entry there",
    "solve": "factors are given",
    "solve_t": "factors are given, the second one first",
}


def case_rule(state: State, tree: Any, branch: Branch, depth: int) -> Branched:
    """Apply the rules 3 to 10."""
    name, *parts = tree
    words = CASE_TEXTS.get(name) or CASE_TEXTS[name.removesuffix("_t")]
    say(depth, words.format(*parts, name=name))
    side, at = state, lambda i, j: (i, j)
    if is_transposed(name):
        side, at = state.turned(), lambda i, j: (j, i)
    return CASES.apply[name](side, branch, at, *parts) or []


@CASES.rule("minor", indices, indices, place, case_tree)
def vanishing(
    state: State, branch: Branch, _: Place, rows: Any, cols: Any, v: Cell, rest: Any
) -> Branched:
    """Rule 3: a conditional minor vanishes."""
    return [(solved(branch, minor(state, branch, rows, cols), v), rest)]


@CASES.rule("conflict", indices, indices)
def conflict(state: State, branch: Branch, _: Place, rows: Any, cols: Any) -> None:
    """Rule 4: a conditional minor vanishes and does not."""
    need(is_product(minor(state, branch, rows, cols), branch[1]), "11.4: the minor may be 0")


def minor(state: State, branch: Branch, rows: Sequence[int], cols: Sequence[int]) -> Poly:
    """Return a conditional minor of the target, which vanishes, times nonzero polynomials."""
    need(len(rows) == len(cols), "11.3: as many rows as columns")
    need({(i, j) for i in rows for j in cols} <= state.obs, "11.3: not observed")
    meet = [k for k in state.blocks if k.rows & set(rows) and k.cols & set(cols)]
    need(len(meet) < len(rows), "11.3: the minor is not conditional")

    def entry(i: int, j: int) -> Poly:
        bottoms = [branch[0][i, other][1] for other in cols if other != j]
        return reduce(mul, bottoms, branch[0][i, j][0])

    return determinant([[entry(i, j) for j in cols] for i in rows])


def fresh(branch: Branch, chosen: set[Cell]) -> tuple[Poly, ...]:
    """Check that nothing else speaks of some free cells; return the nonzero polynomials left."""
    need(chosen <= free(branch), "11: a cell that is not free would change")
    others = [p for cell, pair in branch[0].items() if cell not in chosen for p in pair]
    need(not variables(*others) & chosen, "11: spoken of elsewhere")
    return tuple(q for q in branch[1] if not variables(q) & chosen)


@CASES.rule("clear clear_t", index, index, index, case_tree)
def clear(
    state: State, branch: Branch, at: Place, i: int, j: int, other: int, rest: Any
) -> Branched:
    """Rules 5 and 6: subtract a multiple of column j, so that (i, other) becomes 0."""
    lines = state.columns()
    seen, covered = lines.get(other, []), all(other in b.cols for b in state.blocks if j in b.cols)
    need(covered and set(seen) <= set(lines.get(j, [])), "11.5: not covered or observed like that")
    changed = {at(a, other) for a in seen if branch[0][at(a, j)][0]}
    need(j != other and at(i, other) in changed, "11.5: not among the entries that change")
    need(is_product(branch[0][at(i, j)][0], branch[1]), "11.5: the pivot may be 0")
    nonzero = fresh(branch, changed)
    return [(({**branch[0], at(i, other): ({}, ONE)}, nonzero), rest)]


@CASES.rule("pivot pivot_t", index, some(indices), case_tree, case_tree)
def pivot(
    state: State, branch: Branch, at: Place, i: int, cols: Sequence[int], zero: Any, rest: Any
) -> Branched:
    """Rules 7 and 8: row i is 0 in some columns, or only in the first of them not, if mixed."""
    lines, first = state.columns(), cols[0]
    rows = lines.get(first, [])
    need(i in rows, "11.7: not observed")
    for c in cols:
        alike = all((c in block.cols) == (first in block.cols) for block in state.blocks)
        need(alike and lines.get(c) == rows, "11.7: lines differ in blocks or observed cells")
    none = branch
    for c in cols:
        none = solved(none, {(at(i, c),): Fraction(1)}, at(i, c))
    hot = [a for a in rows if any(branch[0][at(a, c)][0] for c in cols)]
    nonzero = fresh(branch, {at(a, c) for a in hot for c in cols})
    entries = branch[0] | {at(i, c): ({}, ONE) for c in cols[1:]}
    one: Branch = (entries, (*nonzero, {(at(i, first),): Fraction(1)}))
    return [(none, zero), (one, rest)]


@CASES.rule("solve solve_t", matrix_form, [(indices, indices)])
def solve(state: State, branch: Branch, at: Place, given: Any, choices: Any) -> None:
    """Rules 9 and 10: with X as given, every column of the target can be solved for."""
    every_x, every_y = entries_of(state.blocks)
    xs, lines = table(given, every_x, "11.9"), state.columns()
    allowed(branch, *xs.values())
    need(len(choices) == len(lines), "11.9: one choice per line")
    for (j, rows), (used, ks) in zip(lines.items(), choices, strict=True):
        need(set(used) <= set(rows) and len(used) == len(ks), "11.9: rows of a choice")
        need(all((k, j) in every_y for k in ks), "11.9: blocks of a choice")
        block = [[xs.get((a, k), {}) for k in ks] for a in used]
        need(is_generic(determinant(block), branch[1]), "11.9: the minor may be 0")
        for i in set(rows) - set(used):
            lined = []
            for a in (*used, i):
                top, bottom = branch[0][at(a, j)]
                lined.append([*(mul(xs.get((a, k), {}), bottom) for k in ks), top])
            need(not determinant(lined), "11.9: a row is not a combination of the chosen ones")


# Section 9: certificates of closedness; each rule returns the fields that the answer has to have


Answer = tuple[Any, ...]
Chain = Sequence[Matrix]
PROOF: dict[str, Sequence[Form]] = {}
proof_form = partial(node, PROOF)
part_form = checked(proof_form, lambda part: part[0] != "components", "9.4: components of one")
PROOF |= {"free": [*free_form, proof_form], "components": [[part_form]]}
PROOF |= {"comparable": [], "rank": [], "cases": [case_tree]}
LIMIT = {"rows": indices, "columns": indices, "limit": [[rational]]}
CURVE = {**LIMIT, "left": curve, "right": curve, "reductions": [step_form]}
SPAN = {"rows": some(indices), "columns": some(indices)}
KEPT = ["SingleFactorCertificate", "ComparableCertificate", "ReducedClosedCertificate"]
KEPT += ["NotClosedCertificate"]
size = range(1, 2**62 + 1)


def two(problem: Typed) -> Chain:
    """Return the supports, if they are two."""
    chain: Chain = problem["supports"]
    need(len(chain) == 2, "9: two supports are wanted")
    return chain


@certificate("SingleFactorCertificate")
def single(problem: Typed) -> Answer:
    """9.1: one factor."""
    need(len(problem["supports"]) == 1, "9.1: more than one support")
    return "closed", "one factor: a coordinate subspace"


@certificate("ComparableCertificate")
def comparable_rectangles(problem: Typed) -> Answer:
    """9.2: orthogonal terms."""
    blocks = terms(*two(problem))
    need(comparable(blocks, blocks), "9.2: two rectangles cross")
    say(1, f"any two of {len(blocks)} rectangles are disjoint or comparable")
    return "closed", "any two rectangles are disjoint or comparable"


@certificate("KroneckerChainCertificate", patterns=[(size, size, size, size)])
def kronecker(problem: Typed, patterns: Any) -> Answer:
    """9.3: a chain of Kronecker-sparse factors."""
    need(len(patterns) == len(problem["supports"]), "9.3: as many patterns as supports")
    for (a, b, c, d), support in zip(patterns, problem["supports"], strict=True):
        say(1, f"a factor of pattern {(a, b, c, d)}")
        need(a * b * d == len(support) and a * c * d == len(support[0]), "9.3: size")
        for x, row in enumerate(support):
            i, h = x // (b * d), x % d
            need(ones(row) == {i * c * d + k * d + h for k in range(c)}, "9.3: not the pattern")
    for (a, _, c, d), (a2, _, _, d2) in pairwise(patterns):
        chainable = a2 % a == 0 and d % d2 == 0 and (a * c) % a2 == 0
        need(chainable, "9.3: two neighbours are not chainable")
    return "closed", "a chainable chain of Kronecker-sparse factors"


PART_TEXTS = {
    "cases": "where factors were found in all cases",
    "comparable": "of comparable rectangles",
    "free": "with further free families",
    "rank": "of all matrices up to a rank",
}


@certificate("ReducedClosedCertificate", proof=proof_form)
def reduced(problem: Typed, proof: Any) -> Answer:
    """9.4: free families, components, comparable rectangles, bounded ranks and cases."""
    holds(start(*two(problem)), proof, 1)
    count = 0
    while proof[0] == "free":
        count, proof = count + len(proof[1]), proof[3]
    names = [part[0] for part in (proof[1] if proof[0] == "components" else [proof])]
    if not names:
        return "closed", f"a coordinate subspace: {count} blocks in free families"
    found = [f"{names.count(name)} {words}" for name, words in PART_TEXTS.items() if name in names]
    first = f"{count} blocks in free families, then " if count else ""
    return "closed", f"{first}parts: {', '.join(found)}"


def holds(state: State, proof: Any, depth: int) -> None:
    """Check a proof that an observed set is closed."""
    blocks, (rows, cols) = state.blocks, lines_of(state.blocks)
    if proof[0] == "free":
        holds(free_step(state, proof[1], proof[2], depth), proof[3], depth)
    elif proof[0] == "components":
        found = state.components()
        say(depth, f"{len(found)} components are left")
        need(len(proof[1]) == len(found), "9.4: one part per component")
        for component, part in zip(found, proof[1], strict=True):
            holds(component, part, depth + 1)
    elif proof[0] == "comparable":
        say(depth, f"{len(blocks)} blocks are comparable rectangles")
        whole = all(len(state.cells(b)) == len(b.rows) * len(b.cols) for b in blocks)
        need(whole, "9.4: a cell of a block is not observed")
        need(comparable(blocks, blocks), "9.4: two blocks cross")
    elif proof[0] == "rank":
        say(depth, f"rank at most {len(blocks)} on {len(rows)} x {len(cols)} cells")
        need(state.obs >= set(all_pairs(rows, cols)), "9.4: a cell is not observed")
        lacks = sorted(len(rows - b.rows) + len(cols - b.cols) for b in blocks)
        need(all(z <= t for t, z in enumerate(lacks)), "9.4: a block lacks too much")
    else:
        say(depth, "cases of the target:")
        follow(proof[1], root(state.obs), partial(case_rule, state), depth + 1)


def converges(window: Window, found: Mapping[Cell, Series], label: str) -> None:
    """Check that a curve has no pole on the observed cells and tends to the limit."""
    for i, j in all_pairs(range(window.h), range(window.w)):
        if (i, j) in window.obs:
            tends(found.get((i, j), {}), window.limit[i][j], label)
        else:
            need(window.limit[i][j] == 0, f"{label}: a limit where nothing is observed")


def tends(series: Series, limit: Fraction | int, label: str) -> None:
    """Check that a Laurent polynomial tends to its limit."""
    need(all(e >= 0 for e in series), f"{label}: a pole")
    need(series.get(0, 0) == limit, f"{label}: not the limit")


def window_of(state: State, rows: Sequence[int], cols: Sequence[int], limit: Any) -> Window:
    """Return the window of a state with the limit of a curve, 9.5.4 and 9.5.6."""
    inside = all(i < state.m for i in rows) and all(j < state.n for j in cols)
    need(inside, "9.5.4: no such row or column")
    h, w, every = len(rows), len(cols), list(enumerate(state.blocks))
    need(len(limit) == h and all(len(row) == w for row in limit), "9.5.6: size of the limit")
    xs = frozenset((a, k) for a, i in enumerate(rows) for k, block in every if i in block.rows)
    ys = frozenset((k, b) for b, j in enumerate(cols) for k, block in every if j in block.cols)
    obs = frozenset((a, b) for a in range(h) for b in range(w) if (rows[a], cols[b]) in state.obs)
    return Window(h, w, len(every), xs, ys, obs, limit)


def curve_in(problem: Typed, rows: Any, columns: Any, limit: Any, **more: Any) -> Window:
    """Return the window of 9.5 with its limit, after checking 1 to 7."""
    first, second = two(problem)
    state = start(first, second) if more["reductions"] else two_factors(first, second)
    for taken in more["reductions"]:
        state = step(state, taken, 1)
    window = window_of(state, rows, columns, limit)
    say(1, f"on rows {rows} and columns {columns}, X(t) Y(t) converges as t goes to 0")
    xs, ys = table(more["left"], window.xs, "9.5.5"), table(more["right"], window.ys, "9.5.5")
    converges(window, matrix_product(xs, ys, series_mul), "9.5.7")
    return window


def order(*curves: Any) -> int:
    """Return the largest exponent without its sign."""
    return max((abs(e) for entries in curves for *_, p in entries for e in p), default=0)


@certificate("NotClosedCertificate", **CURVE, exclusion=tree)
def not_closed(problem: Typed, exclusion: Any, **given: Any) -> Answer:
    """9.5: a curve whose limit is not a product."""
    window, left, right = curve_in(problem, **given), given["left"], given["right"]
    h, w = window.h, window.w
    say(1, "to a matrix that is not a product:")
    exclude(window, exclusion, 2)
    reason = f"curve of order {order(left, right)} on {h} rows and {w} columns"
    if (h, w) == (2, 2) and exclusion == ("product", 0, 0, ("cell", 0, 1), ("cell", 1, 0)):
        reason = "LU window on 2 rows and 2 columns"
        if not given["reductions"]:
            first, second = window.terms(0, 0), window.terms(1, 1)
            used = {k for _, k, _ in left} | {k for k, _, _ in right}
            a, b = first[0], min((used & set(second)) - set(first))
            where = f"rows {given['rows']} and columns {given['columns']}"
            reason = f"LU window at {where}, terms {a} and {b}"
    elif exclusion[:3] == ({(2, 3): "span", (3, 2): "span_t"}.get((h, w)), (0, 1), 1):
        reason = f"merge window on {h} rows and {w} columns"
    return "not_closed", reason


@certificate("ExternalExclusionCertificate", **CURVE, engine={"z3"})
def external(problem: Typed, engine: str, **given: Any) -> Answer:
    """9.6: the same, where z3 is believed that the limit is not a product."""
    window = curve_in(problem, **given)
    need(problem["field"] == "real", "9.6: z3 is asked about the reals")
    say(1, f"to a matrix that is not a product, says {engine} of this formula:")
    for line in formula(window):
        say(2, line)
    most = order(given["left"], given["right"])
    return "not_closed", f"curve of order {most}, relying on z3 that its limit is no product"


def formula(window: Window) -> list[str]:
    """Return the formula of 9.6, satisfiable if and only if the limit is a product."""
    lines = ["(set-logic QF_NRA)"]
    lines += [f"(declare-const x_{i}_{k} Real)" for i, k in sorted(window.xs)]
    lines += [f"(declare-const y_{k}_{j} Real)" for k, j in sorted(window.ys)]
    for i, j in sorted(window.obs):
        total = "".join(f" (* x_{i}_{k} y_{k}_{j})" for k in window.terms(i, j))
        limit = window.limit[i][j]
        p, q = abs(limit.numerator), limit.denominator
        value = f"(- {p}.0)" if limit < 0 else f"{p}.0"
        value = f"(/ {value} {q}.0)" if q != 1 else value
        lines.append(f"(assert (= (+ 0.0{total}) {value}))")
    return [*lines, "(check-sat)"]


# Section 12: chains


CHAIN_CASES: dict[str, list[Form]] = {}
chain_tree = partial(node, CHAIN_CASES)
CHAIN_CASES |= {"split": [polynomial, place, chain_tree, chain_tree], "empty": []}
CHAIN_CASES |= {"product": [[matrix_form], polynomial]}
paths_form = some([[index]])
CHAIN_STEPS: dict[str, list[Form]] = {
    "absorb": [index, {"left", "right"}],
    "contract": [index, free_steps],
    "cases": [index, size, chain_tree],
    "through": [index, range(3, 2**62 + 1), index, paths_form, paths_form, free_steps],
}


def transposed(matrix: Matrix) -> Matrix:
    """Return the transposed matrix."""
    return tuple(zip(*matrix, strict=True))


def reach(group: Chain) -> Matrix:
    """Return the support of a product: where a path of ones leads."""
    total = group[0]
    for factor in group[1:]:
        columns = [ones(column) for column in transposed(factor)]
        total = tuple(tuple(int(bool(ones(row) & c)) for c in columns) for row in total)
    return total


def inside(group: Chain, rows: Iterable[int], cols: Sequence[int]) -> list[Matrix]:
    """Return the factors, the first on some rows and the last on some columns."""
    part = list(group)
    part[0] = tuple(part[0][i] for i in rows)
    part[-1] = tuple(tuple(row[j] for j in cols) for row in part[-1])
    return part


def closedness_of(supports: Chain, field: str) -> Typed:
    """Return the problem of closedness."""
    return Typed("Closedness", {"supports": tuple(supports), "field": field})


def shorten(chain: Chain, taken: Any) -> Chain:
    """Return the chain after one step, which has to keep the set of products."""
    name, at, more, *rest = taken
    if name == "absorb":
        other = at + 1 if more == "right" else at - 1
        need(at < len(chain) and 0 <= other < len(chain), "12: no such factor")
        say(1, f"factor {at} is absorbed by its {more} neighbour")
        own, low = chain[at], min(at, other)
        need(len(own) == len(own[0]), "12: not square")
        need(all(own[i][i] for i in range(len(own))), "12: a diagonal entry is missing")
        both = support_of(reach(chain[low : low + 2]))
        need(both <= support_of(chain[other]), "12: the product does not lie inside the neighbour")
        return (*chain[:at], *chain[at + 1 :])
    count = 2 if name == "contract" else more
    need(at + count <= len(chain), "12: no such factors")
    say(1, f"factors {at} to {at + count - 1} reach every matrix on the support of their product")
    group = chain[at : at + count]
    whole = reach(group)
    if name == "contract":
        nothing_left(start(*group), more)
    elif name == "through":
        led_through(group, support_of(whole), *rest)
    else:
        rule = partial(chain_leaf, group, support_of(whole))
        follow(rest[0], root(support_of(whole)), rule, 2)
    return (*chain[:at], whole, *chain[at + count :])


def led_through(
    group: Chain, support: frozenset[Cell], at: int, rows: Any, cols: Any, steps: Any
) -> None:
    """Check a pair of factors that reaches everything, and the paths that lead to it."""
    need(at + 2 <= len(group), "12: no such pair")
    lead(rows, group[:at], len(group[at]))
    lead(cols, group[at + 2 :], len(group[at + 1][0]))
    pair = inside(group[at : at + 2], [path[-1] for path in rows], [path[0] for path in cols])
    covered = {(rows[a][0], cols[b][-1]) for a, b in support_of(reach(pair))}
    need(support <= covered, "12: the product covers more than the pair")
    nothing_left(start(*pair), steps)


def lead(paths: Sequence[Sequence[int]], factors: Chain, size: int) -> None:
    """Check paths through factors that do not meet; without factors they are single places."""
    edges = [support_of(factor) for factor in factors]
    for path in paths:
        need(len(path) == len(factors) + 1, "12: length of a path")
        need(factors or path[0] < size, "12: place of a path")
        steps = zip(pairwise(path), edges, strict=True)
        need(all(pair in entries for pair, entries in steps), "12: entry of a path")
    for places in zip(*paths, strict=True):
        need(len(set(places)) == len(places), "12: paths meet")


def chain_leaf(
    group: Chain, support: frozenset[Cell], tree: Any, branch: Branch, depth: int
) -> Branched:
    """Check factors of a group whose product is d times the target."""
    _, factors, d = tree
    say(depth, "factors are given")
    found = tables(factors, group, "12")
    allowed(branch, d, *(p for factor in found for p in factor.values()))
    total = reduce(partial(matrix_product, mul=mul), found)
    need(is_generic(d, branch[1]), "12: d may be 0")
    for cell in sorted(support):
        top, bottom = branch[0][cell]
        same = mul(total.get(cell, {}), bottom) == mul(d, top)
        need(same, "12: the product is not d times the target")
    return []


def tables(factors: Sequence[Any], chain: Chain, label: str) -> list[dict[Cell, Any]]:
    """Return the entries of factors, which have to lie in the supports of a chain."""
    need(len(factors) == len(chain), f"{label}: number of factors")
    pairs = zip(factors, chain, strict=True)
    return [table(entries, support_of(support), label) for entries, support in pairs]


@certificate("ShortenedChainCertificate", steps=[partial(node, CHAIN_STEPS)], short=typed(KEPT))
def shortened(problem: Typed, steps: Any, short: Typed) -> Answer:
    """Section 12: a chain with the same products as a shorter one."""
    chain = reduce(shorten, steps, problem["supports"])
    value = "not_closed" if short.kind == "NotClosedCertificate" else "closed"
    say(1, f"{len(chain)} factors are left")
    proof(short, closedness_of(chain, problem["field"]), value)
    return value, f"same products as {len(chain)} factors: {short['answer']['reason']}"


@certificate("ChainLimitCertificate", **LIMIT, factors=[curve], cut=index, exclusion=tree)
def chain_limit(
    problem: Typed, rows: Any, columns: Any, limit: Any, factors: Any, cut: int, exclusion: Any
) -> Answer:
    """Section 12.1: a curve of all factors whose limit is no product of two over a cut."""
    chain = problem["supports"]
    need(0 < cut < len(chain), "12.1: no such cut")
    halves = two_factors(reach(chain[:cut]), reach(chain[cut:]))
    window = window_of(halves, rows, columns, limit)
    curves = tables(factors, inside(chain, rows, columns), "12.1")
    converges(window, reduce(partial(matrix_product, mul=series_mul), curves), "12.1")
    exclude(window, exclusion, 2)
    curve = f"curve of order {order(*factors)} on {window.h} rows and {window.w} columns"
    return "not_closed", f"{curve}, no product of two factors cut before factor {cut}"


@certificate("SubChainCertificate", **SPAN, first=index, last=index, part=anything)
def sub_chain(problem: Typed, first: int, last: int, rows: Any, columns: Any, part: Any) -> Answer:
    """Section 12.2: a part that is not closed where the others lead one to one."""
    chain = problem["supports"]
    need(first <= last < len(chain), "12.2: no such part")
    top = places(rows, chain[:first], len(chain[0]))
    after = [transposed(support) for support in reversed(chain[last + 1 :])]
    bottom = places(columns, after, len(chain[-1][0]))
    say(1, f"factors {first} to {last} on rows {top} and columns {bottom}")
    window = inside(chain[first : last + 1], top, bottom)
    proof(part, closedness_of(window, problem["field"]), "not_closed")
    where = f"{len(rows)} rows and {len(columns)} columns, which the others lead to one to one"
    return "not_closed", f"factors {first} to {last} are not closed on {where}"


def places(lines: Sequence[int], factors: Chain, size: int) -> list[int]:
    """Return where lines lead, each to one place of its own."""
    need(all(i < size for i in lines), "12.2: no such row or column")
    if not factors:
        return list(lines)
    total = reach(factors)
    need(all(sum(total[i]) == 1 for i in lines), "12.2: not one place")
    found = [total[i].index(1) for i in lines]
    need(len(set(found)) == len(found), "12.2: the same place twice")
    return found


@certificate("PeeledChainCertificate", side={"first", "last"}, rest=anything)
def peeled_chain(problem: Typed, side: str, rest: Any) -> Answer:
    """Section 12.3: all factors but one are closed, and this one is comparable through the next."""
    chain = problem["supports"]
    need(len(chain) > 1, "12.3: one factor")
    turned = tuple(transposed(support) for support in reversed(chain))
    *others, final = turned if side == "first" else chain
    products, near = terms(reach(others), final), terms(others[-1], final)
    need(comparable(products, near), "12.3: two terms are not comparable")
    say(1, f"the {side} factor peels off")
    others = chain[1:] if side == "first" else chain[:-1]
    proof(rest, closedness_of(others, problem["field"]), "closed")
    words = f"the {side} factor meets the others in comparable terms, and they are closed"
    return "closed", words


# Sections 13 and 14: training and repair


ONE_OUTPUT = "one hidden layer and one output: an optimum exists for all data"
TREES = (
    "every hidden unit feeds one unit or one output, but for units of the last hidden layer whose "
    "outputs no other feeds: an optimum exists for all data"
)
NOT_CLOSED = (
    "the set of products with these supports is not closed, so some data set has no optimum"
)
NO_OPTIMUM = "a data set of {} samples has no optimum: "
Sample = dict[int, Fraction]


@certificate("TrainingCertificate", "SparseTraining", answer=anything, closedness=anything)
def training(problem: Typed, answer: Typed, closedness: Any) -> Answer:
    """13.1: whether an optimum exists for all data."""
    chain = problem["supports"]
    if closedness is not None:
        proof(closedness, closedness_of(chain, "real"), "not_closed")
        return "may_not_be_attained", NOT_CLOSED
    if answer["condition"] == ONE_OUTPUT:
        need(len(chain) == 2 and len(chain[0]) == 1, "13: not two factors and one output")
        return "attained", ONE_OUTPUT
    trees(chain, problem["hidden_biases"])
    return "attained", TREES


def spread(places: Iterable[int], layers: Iterable[frozenset[Cell]]) -> list[set[int]]:
    """Return the places that edges lead to from some places, layer by layer."""
    found = [set(places)]
    for edges in layers:
        found.append({b for a, b in edges if a in found[-1]})
    return found


def trees(chain: Chain, hidden_biases: bool) -> None:
    """13.1: hidden units that feed one unit or output each, those of single outputs apart."""
    edges = [support_of(support) for support in chain]
    up = spread(range(len(chain[0])), edges)
    down = spread(range(len(chain[-1][0])), [turn(layer) for layer in reversed(edges[1:])])[::-1]
    live = [up[0]]
    live += [a if hidden_biases else a & b for a, b in zip(up[1:-1], down[:-1], strict=True)]
    for d in range(1, len(chain)):
        for k in live[d]:
            fed = {i for i in live[d - 1] if (i, k) in edges[d - 1]}
            feeders = {q for i, q in edges[0] if i in fed and q in live[1]}
            alone = d == 1 and feeders == {k}
            need(len(fed) <= 1 or alone, f"13.1: unit {k} of layer {d} feeds two with others")


def sample(value: Any) -> Sample:
    """Return the entries of a sample that are given."""
    given = read([(index, rational)], value)
    need(len(dict(given)) == len(given), "13.2: an entry twice")
    return dict(given)


DATA = {"weights": [curve], "inputs": [sample], "targets": [sample]}


def data_set(
    problem: Typed, weights: Any, inputs: Any, targets: Any
) -> list[tuple[Sample, Sample]]:
    """13.2: return the samples, after checking that outputs along the weights tend to targets."""
    chain, layers = problem["supports"], tables(weights, problem["supports"], "13.2")
    need(len(chain) > 1, "13.2: no hidden layer")
    need(len(inputs) == len(targets), "13.2: number of targets")
    for points, size in ((inputs, len(chain[-1][0])), (targets, len(chain[0]))):
        need(all(i < size for i in union(points)), "13.2: no such input or output")
    say(0, f"the outputs tend to the targets at {len(inputs)} samples")
    samples = [(nonzero(x), nonzero(y)) for x, y in zip(inputs, targets, strict=True)]
    for x, y in samples:
        outs = evaluated(layers, x)
        for i in {*outs, *y}:
            tends(outs.get(i, {}), y.get(i, 0), "13.2")
    return samples


def evaluated(layers: Sequence[Mapping[Cell, Series]], x: Sample) -> dict[int, Series]:
    """Return the outputs at x for small t > 0, as Laurent polynomials without zero terms."""
    acts: dict[Cell, Series] = {(i, 0): {0: v} for i, v in x.items()}
    for number, layer in enumerate(reversed(layers), start=1):
        acts = matrix_product(layer, acts, series_mul)
        if number < len(layers):
            acts = {i: p for i, p in acts.items() if p and p[min(p)] > 0}
    return {i: p for (i, _), p in acts.items()}


@certificate("OppositeTargetsCertificate", "SparseTraining", **DATA, opposite=place)
def opposite_targets(problem: Typed, opposite: Cell, **data: Any) -> Answer:
    """13.3: targets of the rank of all units that may act, and two that are opposite."""
    samples, chain, (p, q) = data_set(problem, **data), problem["supports"], opposite
    hidden, output = problem["hidden_biases"], problem["output_biases"]
    ins, outs = union(x for x, _ in samples), union(y for _, y in samples)
    if output and not hidden:
        need(any(not x for x, _ in samples), "13.3: no sample x = 0")
    if output and hidden:
        need(len(chain) == 2, "13.3: both biases and deeper layers")
        need(all(v.denominator == 1 for x, _ in samples for v in x.values()), "13.3: inputs")
        still = [{-1: 1} | {i: int(v) for i, v in x.items()} for x, y in samples if not y]
        need(modular_rank(still) == len(ins) + 1, "13.3: too few directions with the target 0")
    need(all(v.denominator == 1 for _, y in samples for v in y.values()), "13.3: targets")
    reached = spread(ins, [turn(support_of(support)) for support in reversed(chain[1:])])[-1]
    feeding = {k for i, k in support_of(chain[0]) if i in outs}
    units = feeding if hidden else feeding & reached
    say(0, f"{len(units)} units may act")
    targets = [{i: int(v) for i, v in y.items()} for _, y in samples]
    need(modular_rank(targets) >= len(units), "13.3: the rank of the targets")
    need(max(p, q) < len(samples), "13.3: no such samples")
    negative = {i: -v for i, v in targets[q].items()}
    need(targets[p] and targets[p] == negative, "13.3: not opposite, or 0")
    why = f"its targets need every hidden unit, and those of samples {p} and {q} are opposite"
    return "may_not_be_attained", f"{NO_OPTIMUM.format(len(samples))}{why}"


pattern_form = typed(["NotClosedCertificate"])


@certificate("RepeatedPatternCertificate", "SparseTraining", **DATA, closedness=pattern_form)
def repeated_pattern(problem: Typed, closedness: Typed, **data: Any) -> Answer:
    """13.4: more samples on a curve than units can tell apart, images under a limit."""
    samples, chain = data_set(problem, **data), two(problem)
    proof(closedness, closedness_of(chain, "real"), "not_closed")
    inner = evidence(closedness)
    rows, cols, points = inner["rows"], inner["columns"], set()
    for x, y in samples:
        s = x.get(cols[0], Fraction(0)) if cols else Fraction(0)
        need(s > 0 and s not in points, "13.4: a point behind 0, or twice")
        points.add(s)
        powers = [s**e for e in range(1, len(cols) + 1)]
        need(x == dict(zip(cols, powers, strict=True)), "13.4: no point of the curve")
        image = [sum(map(operator.mul, row, powers)) for row in inner["limit"]]
        need(y == nonzero(dict(zip(rows, image, strict=True))), "13.4: no image")
    n, hidden = len(cols), problem["hidden_biases"]
    feeding = {k for _, k in support_of(chain[0])}
    units = {k for k, j in support_of(chain[1]) if j in cols and k in feeding}
    wanted = n + 1 if hidden or problem["output_biases"] else n
    most = (len(units) * (n if hidden else n - 1) + 1) * (wanted - 1)
    need(len(samples) > most, f"13.4: no more than {most} samples")
    why = "weights that attain its targets would make a product of a limit of products that is none"
    return "may_not_be_attained", f"{NO_OPTIMUM.format(len(samples))}{why}"


Entry = tuple[int, int, int]
blocker = (index, {"row", "column"}, index, index, index)
zero = (range(2), index, index)
core_form = (index, couple, couple, index, [blocker], [zero], rational)
REPAIR: dict[str, Form] = {
    "answer": anything,
    "closedness": anything,
    "windows": [typed(["NotClosedCertificate"])],
    "cores": [core_form],
}


def entries_in(supports: Chain) -> set[Entry]:
    """Return the entries (factor, row, column) that are 1."""
    return {(f, i, j) for f, support in enumerate(supports) for i, j in support_of(support)}


@certificate("ClosedSupportCertificate", "NearestClosedSupport", **REPAIR)
def repair(problem: Typed, answer: Typed, closedness: Any, windows: Any, cores: Any) -> Answer:
    """Section 14: supports that are closed, and how many changes they need at least."""
    given, new, charged = problem["supports"], answer["supports"], problem["costs"]
    need(shapes(given) == shapes(new), "14.1: other shapes")
    before, after = entries_in(given), entries_in(new)
    removed, added = before - after, after - before
    say(0, f"{len(removed)} entries are removed, {len(added)} added")
    forbidden = {"remove": added, "add": removed, "both": ()}[problem["allow"]]
    need(not forbidden, "14.2: a change that is not allowed")
    changed, paid = removed | added, None
    if charged is not None:
        paid = sum((charged[f][a][b] for f, a, b in changed), Fraction(0))
    if problem["keep_lines"]:
        lines = [{(f, e[f]) for f, *e in entries} for entries in (before, after)]
        need(lines[0] <= lines[1], "14.3: a line is cut off")
    say(0, "the new supports are closed:")
    proof(closedness, closedness_of(new, problem["field"]), "closed")
    by_cores = weighed(cores, problem)
    need(charged is None or not windows, "14.5: changes are counted")
    for window in windows:
        say(0, "an entry has to change in these rows or columns:")
        proof(window, closedness_of(given, problem["field"]), "not_closed")
    for name in ("rows", "columns"):
        used = [i for window in windows for i in window[name]]
        need(len(set(used)) == len(used), f"14.5: windows share {name}")
    return new, len(changed), max(len(windows), by_cores), paid


def weighed(cores: Iterable[Any], problem: Typed) -> Fraction | int:
    """14.6: return the bound that windows with weights prove."""
    total, loads = sum((core[-1] for core in cores), Fraction(0)), dict[Entry, Fraction]()
    for core in cores:
        entries = held(core, problem["supports"], problem["allow"])
        loads = add(loads, dict.fromkeys(entries, core[-1]))
    for (f, a, b), load in loads.items():
        most = 1 if problem["costs"] is None else problem["costs"][f][a][b]
        need(load <= most, "14.6: the weights at an entry exceed its cost")
    if loads:
        say(0, f"{len(loads)} entries carry windows of weight {float(total):.6g}")
    return math.ceil(total) if problem["costs"] is None else total


def held(core: Any, pair: Chain, allow: str) -> set[Entry]:
    """14.6: return the entries that keep a window alive, after checking that it is one."""
    k, (i1, i2), (j1, j2), ell, blocking, zeros, weight = core
    present, every = entries_in(pair), set(range(len(pair[1])))
    need(k != ell and weight > 0, "14.6: the terms or the weight")
    six = {(0, i1, k), (0, i2, k), (1, k, j1), (1, k, j2), (0, i2, ell), (1, ell, j2)}
    need(six <= present, "14.6: one of the six entries is 0")
    corners = [(i1, j1), (i1, j2), (i2, j1)]
    if allow != "remove":
        need(not blocking, "14.6: blockers, where entries may be added")
        exist = all(a < len(pair[f]) and b < len(pair[f][0]) for f, a, b in zeros)
        need(exist and not present & set(zeros), "14.6: a zero is 1 or does not exist")
        for (i, j), c in all_pairs(corners, every - {k}):
            need((0, i, c) in zeros or (1, c, j) in zeros, "14.6: a zero is missing")
        return set(zeros) | (six if allow == "both" else set())
    need(not zeros, "14.6: zeros, where entries are removed")

    def over(i: int, j: int) -> set[int]:
        return {c for c in every if {(0, i, c), (1, c, j)} <= present}

    lines: dict[int, tuple[str, int]] = {}
    for c, way, line, i, j in blocking:
        need(c not in {k, ell, *lines}, "14.6: the term of a blocker")
        need(line != (i if way == "row" else j), "14.6: a blocker in its line")
        other = (line, j) if way == "row" else (i, line)
        need(over(i, j) == over(*other) == {c}, "14.6: a blocker's cells are not single")
        lines[c] = (way, line)
    for i, j in corners:
        for c in over(i, j) - {k}:
            need(lines.get(c) in (("row", i), ("column", j)), "14.6: a term is not blocked")
    return six | {e for c, _, _, i, j in blocking for e in ((0, i, c), (1, c, j))}


# Section 4: proofs and solutions


def evidence(certificate: Typed) -> dict[str, Any]:
    """Return the fields of a certificate in their forms."""
    _, forms, _ = CERTIFICATES[certificate.kind]
    return {name: read(form, certificate[name]) for name, form in forms.items()}


def proof(certificate: Any, problem: Typed, value: str | None = None) -> None:
    """Check a certificate of a problem, T1 and T2 or D1 to D4."""
    need(is_typed(certificate, CERTIFICATES), "T1: no certificate")
    (about, _, rule), answer = CERTIFICATES[certificate.kind], certificate["answer"]
    need(about == problem.kind, "T1: a kind that is not listed")
    need(certificate["problem"] == problem, "D2: about another problem")
    need(is_typed(answer, [ANSWERS[about]]), "V1: an answer of another kind")
    need(value in (None, answer.fields.get("value")), "D3: another verdict")
    found = rule(problem, **evidence(certificate))
    for name, wanted in zip(TYPES[answer.kind], found, strict=True):
        need(answer[name] == wanted, f"V4: the {name} is not {wanted!r}")


def believes(certificate: Any) -> bool:
    """Whether the word of z3 is a part of a proof."""
    if not isinstance(certificate, Typed):
        return False
    inner = [certificate.fields.get(name) for name in ("part", "closedness")]
    return certificate.kind == "ExternalExclusionCertificate" or any(map(believes, inner))


def judge(value: Typed) -> bool:
    """Check a certificate, alone or in a solution; return whether it relies on z3."""
    certificate = value["certificate"] if value.kind == "Solution" else value
    need(certificate is not None, "S1: no certificate")
    need(is_typed(value["problem"], ANSWERS), "T1: no problem of this page")
    log.info("claim: %s", claim(value["problem"], certificate["answer"]))
    proof(certificate, value["problem"])
    answer, accuracy = certificate["answer"], Fraction(0)
    need(answer == value["answer"], "S3: the answers differ")
    if value.kind == "Solution":
        need(value["status"] in PROVED, "S1: the status denies the certificate that is there")
        if answer.kind == "ClosedSupport":
            far = answer["changes"] if answer["cost"] is None else answer["cost"]
            accuracy = Fraction(max(0, far - answer["lower_bound"])) / (far or 1)
        tolerance = value["tolerance"] if value["status"] == "VERIFIED" else None
        need(tolerance is None or accuracy <= tolerance, "S5: not within the tolerance")
    return believes(certificate)


def check(text: str) -> tuple[str, str]:
    """Return the outcome for a text and, if it was refused, why."""
    outcome = "unreadable"
    try:
        value = typed(["Solution", *CERTIFICATES])(Reader().read(parse(text)))
        outcome = "refused"
        return ("relies on", "z3") if judge(value) else ("accepted", "")
    except Refused as error:
        return outcome, str(error)


CLAIMS = {
    "ClosednessVerdict": "the set of products with supports {0} ({1}) is {value}",
    "TrainingVerdict": "an optimum of training with supports {0}: {value}",
    "ClosedSupport": "closed supports near {0}: {changes} changes, at least {lower_bound}",
}


def claim(problem: Typed, answer: Any) -> str:
    """Return in words what a certificate claims."""
    shown = " * ".join("/".join("".join(map(str, row)) for row in s) for s in problem["supports"])
    if not is_typed(answer, CLAIMS):
        return f"something about supports {shown}"
    return CLAIMS[answer.kind].format(shown, problem.fields.get("field", "real"), **answer.fields)


EXAMPLE = """
{"$type": "sparseopt:NotClosedCertificate",
 "problem": {"$type": "sparseopt:Closedness",
             "supports": [[[1, 0], [1, 1]], [[1, 1], [0, 1]]], "field": "real"},
 "answer": {"$type": "sparseopt:ClosednessVerdict", "value": "not_closed",
            "reason": "LU window at rows (0, 1) and columns (0, 1), terms 0 and 1"},
 "rows": [0, 1], "columns": [0, 1],
 "left": [[0, 0, {"$map": [[1, 1]]}], [1, 0, {"$map": [[0, 1]]}], [1, 1, {"$map": [[0, -1]]}]],
 "right": [[0, 0, {"$map": [[0, 1]]}], [0, 1, {"$map": [[-1, 1]]}], [1, 1, {"$map": [[-1, 1]]}]],
 "limit": [[0, 1], [1, 0]], "reductions": [],
 "exclusion": ["product", 0, 0, ["cell", 0, 1], ["cell", 1, 0]]}
"""


def load(path: Path) -> str:
    """Return the text of a file, R1."""
    need(
        path.is_file() and path.stat().st_size <= 2**30, "not a regular file of at most 2^30 bytes"
    )
    return path.read_bytes().decode("utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a file and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="default: the supports of an LU")
    parser.add_argument("--quick", action="store_true", help="makes no difference here")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    try:
        outcome, why = check(EXAMPLE if chosen.file is None else load(chosen.file))
    except (Refused, OSError, UnicodeDecodeError) as error:
        outcome, why = "unreadable", f"R1: {error}"
    words = {"relies on": "relies on z3: all else holds", "accepted": "accepted"}
    print(words.get(outcome, f"{outcome}: {why}"))
    return {"accepted": 0, "refused": 1, "unreadable": 2, "relies on": 3}[outcome]


if __name__ == "__main__":
    sys.exit(main())
