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
import re
import struct
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

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


# Sections 1 and 2: the file and its values


@dataclass(frozen=True)
class Array:
    """An array, R7: flat values, two per entry for a complex dtype."""

    dtype: str
    shape: tuple[int, ...]
    values: Sequence[Any]


@dataclass(frozen=True)
class Typed:
    """An object with a ``$type``; equal if its fields are."""

    kind: str
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


Kept = TypeVar("Kept", Array, Typed)
VALUES = {
    "ClosednessVerdict": ("closed", "not_closed", "unknown"),
    "TrainingVerdict": ("attained", "may_not_be_attained", "unknown"),
}
DTYPES = "b1 i1 u1 i2 i4 i8 u2 u4 u8 f2 f4 f8 c8 c16"
CODES = dict(zip(DTYPES.split(), "?bBhiqHIQefdfd", strict=True))
CURVE = "problem answer rows columns left right limit reductions"
FIELDS = {
    "Closedness": "supports field",
    "ClosednessVerdict": "value reason",
    "SparseTraining": "supports hidden_biases output_biases",
    "TrainingVerdict": "value condition",
    "NearestClosedSupport": "supports allow field costs keep_lines",
    "ClosedSupport": "supports changes lower_bound cost",
    "SingleFactorCertificate": "problem answer",
    "ComparableCertificate": "problem answer",
    "KroneckerChainCertificate": "problem answer patterns",
    "ReducedClosedCertificate": "problem answer proof",
    "NotClosedCertificate": f"{CURVE} exclusion",
    "ExternalExclusionCertificate": f"{CURVE} engine",
    "ShortenedChainCertificate": "problem answer steps short",
    "ChainLimitCertificate": "problem answer rows columns factors limit cut exclusion",
    "SubChainCertificate": "problem answer first last rows columns part",
    "PeeledChainCertificate": "problem answer side rest",
    "TrainingCertificate": "problem answer closedness",
    "OppositeTargetsCertificate": "problem answer weights inputs targets opposite",
    "RepeatedPatternCertificate": "problem answer weights inputs targets closedness",
    "ClosedSupportCertificate": "problem answer closedness windows cores",
    "Solution": "problem answer certificate status solver seconds plan tolerance accuracy",
    "Plan": "problem candidates",
    "Candidate": "name plugin guarantee verdict outcome left_out memory",
    "Accepted": "cost",
    "Refused": "reason",
    "Unavailable": "reason remedy",
    "Outranked": "by why cost",
}
LATER: dict[str, dict[str, Any]] = {  # fields that old files lack, and what they mean then
    "SparseTraining": {"hidden_biases": False, "output_biases": False},
    "NearestClosedSupport": {"costs": None, "keep_lines": False},
    "ClosedSupport": {"cost": None},
    "ClosedSupportCertificate": {"cores": ()},
    "Candidate": {"left_out": "", "memory": None},
    "Solution": {"tolerance": None, "accuracy": None},
}
VERDICTS = ("Accepted", "Refused", "Unavailable", "Outranked")
TWO_FACTORS = ["ComparableCertificate", "ReducedClosedCertificate", "NotClosedCertificate"]
LISTED = {  # T1
    "Closedness": {
        *TWO_FACTORS,
        "SingleFactorCertificate",
        "KroneckerChainCertificate",
        "ExternalExclusionCertificate",
        "ShortenedChainCertificate",
        "ChainLimitCertificate",
        "SubChainCertificate",
        "PeeledChainCertificate",
    },
    "SparseTraining": {
        "TrainingCertificate",
        "OppositeTargetsCertificate",
        "RepeatedPatternCertificate",
    },
    "NearestClosedSupport": {"ClosedSupportCertificate"},
}
CERTIFICATES = set[str]().union(*LISTED.values())


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


def fraction(text: Any) -> Fraction:
    """Return a rational, R6."""
    need(isinstance(text, str), "R6: a fraction is a text")
    if re.fullmatch("-?0x[0-9a-f]+/0x[0-9a-f]+", text):
        over, under = (int(part, 16) for part in text.split("/"))
    else:
        need(re.fullmatch("-?[0-9]+(/[0-9]+)?", text), "R6: no fraction")
        over, under = (int(number(part)) for part in [*text.split("/"), "1"][:2])
    need(under, "R6: a denominator 0")
    return Fraction(over, under)


def double(value: Any, why: str) -> float:
    """Return a float that is given as a number or a text."""
    need(type(value) in (int, float) or value in ("nan", "inf", "-inf"), why)
    try:
        return float(value)
    except OverflowError:
        raise Refused(f"{why}: beyond the range of a double") from None


def rounded(dtype: str, value: Any) -> Any:
    """Return a number as an array of this dtype holds it: floats rounded, sums wrapped around."""
    code = CODES[dtype[1:]]
    if code in "efd":
        try:
            return struct.unpack(code, struct.pack(code, value))[0]
        except OverflowError:
            return math.copysign(math.inf, value)
    if code == "?":
        return bool(value)
    bits = 8 * struct.calcsize(f"<{code}")
    value %= 1 << bits
    return value - (1 << bits) if code.islower() and value >> (bits - 1) else value


def array_item(dtype: str, value: Any) -> Any:
    """Return one of the ``values`` of an array."""
    if dtype == "object":
        if isinstance(value, dict) and set(value) == {"$fraction"}:
            return fraction(value["$fraction"])
        need(type(value) is int, "R7: objects are integers or fractions")
    elif dtype == "|b1":
        need(isinstance(value, bool), "R7: neither true nor false")
    elif dtype[1] in "fc":
        return rounded(dtype, double(value, "R7: no float"))
    else:
        fits = type(value) is int and rounded(dtype, value) == value
        need(fits, "R7: no integer of the dtype")
    return value


def array(body: Any) -> Array:
    """Return an array, R7."""
    need(isinstance(body, dict) and {"dtype", "shape"} <= set(body), "R7: no array")
    dtype, shape = body["dtype"], body["shape"]
    need(isinstance(dtype, str), "R7: dtype")
    small = dtype in ("|b1", "|i1", "|u1")
    wide = dtype[:1] in ("<", ">") and dtype[1:] in CODES and dtype[2:] != "1"
    need(dtype == "object" or small or wide, "R7: dtype")
    need(isinstance(shape, list) and len(shape) <= 32, "R7: shape")
    need(all(type(size) is int and size >= 0 for size in shape), "R7: shape")
    need(math.prod(max(size, 1) for size in shape) <= 2**40, "R7: too large")
    count = math.prod(shape) * (2 if dtype[1] == "c" else 1)
    if dtype != "object" and "base64" in body:
        text, code = body["base64"], CODES[dtype[1:]]
        quads = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
        need(isinstance(text, str) and re.fullmatch(quads, text), "R7: no base64")
        raw = base64.b64decode(text)
        need(len(raw) == count * struct.calcsize(f"<{code}"), "R7: number of bytes")
        need(code != "?" or set(raw) <= {0, 1}, "R7: a byte that is not a boolean")
        order = ">" if dtype[0] == ">" else "<"
        return Array(dtype, tuple(shape), struct.unpack(f"{order}{count}{code}", raw))
    values = body.get("values")
    need(isinstance(values, list) and len(values) == count, "R7: number of values")
    return Array(dtype, tuple(shape), [array_item(dtype, v) for v in values or ()])


def sparse(body: Any) -> Array:
    """Return a sparse matrix, R8, as an array; as a complex one if no support may be like it."""
    names = {"format", "shape", "data", "indices", "indptr"}
    need(isinstance(body, dict) and names == set(body), "R8: no sparse matrix")
    shape, parts = body["shape"], [body[name] for name in ("data", "indices", "indptr")]
    need(body["format"] in ("csr", "csc"), "R8: format")
    need(isinstance(shape, list) and len(shape) == 2, "R8: shape")
    need(all(type(size) is int and size >= 0 for size in shape), "R8: shape")
    need(all(isinstance(part, dict) and set(part) == {"$array"} for part in parts), "R8: no array")
    data, indices, indptr = (array(part["$array"]) for part in parts)
    need(all(len(part.shape) == 1 for part in (data, indices, indptr)), "R8: one dimension")
    need(all(p.dtype[1] in "iu" for p in (indices, indptr)), "R8: indices are integers")
    lines, width = shape if body["format"] == "csr" else shape[::-1]
    at = indptr.values
    need(width <= 2**27, "R8: too wide")
    need(len(at) == lines + 1 and at[0] == 0, "R8: indptr")
    need(all(a <= b for a, b in pairwise(at)), "R8: indptr falls")
    need(at[-1] == indices.shape[0] == data.shape[0], "R8: lengths")
    need(all(0 <= i < width for i in indices.values), "R8: an index out of range")
    spans = [indices.values[a:b] for a, b in pairwise(at)]
    need(all(i < j for span in spans for i, j in pairwise(span)), "R8: indices that do not ascend")
    if data.dtype == "object" or data.dtype[1:] == "f2" or math.prod(shape) > 2**27:
        return Array("<c8", tuple(shape), ())
    values = [0] * (0 if data.dtype[1] == "c" else math.prod(shape))
    for line in range(lines if values else 0):
        for e in range(at[line], at[line + 1]):
            i, j = (line, indices.values[e])[:: 1 if body["format"] == "csr" else -1]
            spot = i * shape[1] + j
            values[spot] = data.values[e]
    return Array(data.dtype, tuple(shape), values)


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
        if "$type" in value:
            return self.typed(value, path, level)
        if not any(key.startswith("$") for key in value):
            return {key: self.read(v, f"{path}/{key}", level + 1) for key, v in value.items()}
        need(len(value) == 1, "2: a key with $ beside others")
        ((mark, body),) = value.items()
        if mark == "$tuple":
            need(isinstance(body, list), "2: no tuple")
            steps = enumerate(body)
            return tuple(self.read(v, f"{path}/$tuple/{i}", level + 1) for i, v in steps)
        if mark == "$map":
            need(isinstance(body, list), "2: no map")
            return self.map(self.read(body, f"{path}/$map", level + 1))
        if mark in ("$array", "$sparse"):
            return self.keep(path, array(body) if mark == "$array" else sparse(body))
        return self.scalar(mark, body)

    def scalar(self, mark: str, body: Any) -> Any:
        """Return what is written as an object without parts."""
        if mark == "$fraction":
            return fraction(body)
        if mark == "$float":
            return double(body, "2: no float")
        if mark == "$complex":
            need(isinstance(body, list) and len(body) == 2, "2: no complex number")
            return complex(*(double(part, "2: no complex number") for part in body))
        need(mark == "$ref", f"2: unknown key {mark!r}")
        need(isinstance(body, str) and body in self.known, "R9: nothing stands there before")
        return self.known[body]

    @staticmethod
    def map(body: Any) -> dict[Any, Any]:
        """Return a map."""
        found: dict[Any, Any] = {}
        for pair in body:
            need(isinstance(pair, list) and len(pair) == 2, "2: no pair of a map")
            key = pair[0]
            scalars = (int, float, complex, Fraction, str, tuple)
            need(key is None or isinstance(key, scalars), "2: no key of a map")
            try:
                need(key not in found, "2: a key of a map twice")
                found[key] = pair[1]
            except TypeError:
                raise Refused("2: no key of a map") from None
        return found

    def typed(self, value: dict[str, Any], path: str, level: int) -> Typed:
        """Return an object with a type, its fields checked, R10."""
        name = value["$type"]
        need(isinstance(name, str) and name.startswith("sparseopt:"), "R10: unknown type")
        kind = name.removeprefix("sparseopt:")
        if kind == "Guarantee":
            names = ("EXACT", "CERTIFIED", "HEURISTIC")
            need(value.get("name") in names, "4: no guarantee")
            return self.keep(path, Typed(kind, {"name": value["name"]}))
        need(kind in FIELDS, f"R10: unknown type {name!r}")
        wanted, given = set(FIELDS[kind].split()), set(value) - {"$type"}
        need(wanted - set(LATER.get(kind, ())) <= given, f"R10: a field of {kind} is missing")
        need(given <= wanted, f"R10: a field that {kind} does not have")
        fields = {f: self.read(value[f], f"{path}/{f}", level + 1) for f in value if f != "$type"}
        construct(kind, fields)
        return self.keep(path, Typed(kind, fields))

    def keep(self, path: str, value: Kept) -> Kept:
        """Note what stands at a path."""
        self.known[path] = value
        return value


# Section 3, and what constructors check


Matrix = tuple[tuple[int, ...], ...]


def bit(value: Any) -> int:
    """Return an entry of a support, P2."""
    plain = isinstance(value, (bool, int, float, Fraction))
    need(plain and value in (0, 1), "P2: an entry that is neither 0 nor 1")
    return int(value)


def matrix(value: Any) -> Matrix:
    """Return one support, P1 and P2."""
    rows: Any = value
    if isinstance(value, Array):
        need(len(value.shape) == 2, "P1: not two-dimensional")
        need(value.dtype[1] != "c", "P2: complex")
        h, w = value.shape
        rows = [value.values[i * w : i * w + w] for i in range(h)]
    need(isinstance(rows, (list, tuple)) and rows, "P1: no matrix")
    need(all(isinstance(row, (list, tuple)) and row for row in rows), "P1: no rows")
    need(len(set(map(len, rows))) == 1, "P1: not rectangular")
    return tuple(tuple(map(bit, row)) for row in rows)


def supports(value: Any) -> tuple[Matrix, ...]:
    """Return supports, P1 to P3."""
    if isinstance(value, Array):
        need(len(value.shape) == 3, "3: an array of supports has three dimensions")
        shape, size = value.shape[1:], math.prod(value.shape[1:])
        starts = range(0, value.shape[0] * size, size or 1)
        value = [Array(value.dtype, shape, value.values[at : at + size]) for at in starts]
    need(isinstance(value, (list, tuple)) and value, "3: no supports")
    found = tuple(map(matrix, value))
    chain = all(len(a[0]) == len(b) for a, b in pairwise(found))
    need(chain, "P3: columns of a support are not the rows of the next")
    return found


def construct(kind: str, fields: dict[str, Any]) -> None:
    """Check the fields of a typed object, in place; supports become tuples of 0 and 1."""
    if "supports" in fields:
        fields["supports"] = supports(fields["supports"])
    if kind == "SparseTraining":
        for name in ("hidden_biases", "output_biases"):
            need(type(fields.setdefault(name, False)) is bool, "3: biases")
    two = kind != "NearestClosedSupport" or len(fields["supports"]) == 2
    need(two, "3: a repair has two supports")
    need(fields.get("field", "real") in ("real", "complex"), "3: field")
    need(fields.get("allow", "both") in ("remove", "add", "both"), "3: allow")
    if kind in VALUES:
        text = fields["reason" if kind == "ClosednessVerdict" else "condition"]
        need(fields["value"] in VALUES[kind], "3: value")
        need(isinstance(text, str), "3: a text")
    if kind == "ClosedSupport":
        changes, cost = fields["changes"], fields.setdefault("cost", None)
        need(type(changes) is int and 0 <= changes <= 2**62, "3: changes")
        need(rational(fields["lower_bound"]) >= 0, "3: lower_bound")
        need(cost is None or rational(cost) >= 0, "3: cost")
    if kind == "NearestClosedSupport":
        need(isinstance(fields.setdefault("keep_lines", False), bool), "3: keep_lines")
        fields["costs"] = costs(fields.get("costs"), fields["supports"])
    if kind in VERDICTS:
        verdict(fields)
    if kind == "Plan":
        need(isinstance(fields["problem"], str), "4: problem of a plan")
        found = fields["candidates"]
        need(isinstance(found, list), "4: candidates")
        need(all(is_typed(each, ["Candidate"]) for each in found), "4: candidates")
    if kind == "Candidate":
        texts = [fields[name] for name in ("name", "plugin", "outcome")]
        texts.append(fields.get("left_out") or "")
        need(all(isinstance(text, str) for text in texts), "4: a text of a candidate")
        memory = fields.get("memory")
        if memory is not None:
            need(type(memory) in (int, float), "4: memory")
            double(memory, "4: memory")
        guarantee = fields["guarantee"]
        need(guarantee is None or is_typed(guarantee, ["Guarantee"]), "4: guarantee")
        need(is_typed(fields["verdict"], VERDICTS), "4: verdict")
    if kind == "Solution":
        solution(fields)


def costs(value: Any, pair: Sequence[Matrix]) -> Any:
    """Return what changes of entries cost, as two matrices of fractions."""
    if value is None:
        return None
    need(isinstance(value, (list, tuple)) and len(value) == 2, "3: costs of two supports")
    found = []
    for part, own in zip(value, pair, strict=True):
        need(isinstance(part, Array) and part.shape == (len(own), len(own[0])), "3: costs")
        need(part.dtype != "object" and part.dtype[1] != "c", "3: dtype of costs")
        good = all(math.isfinite(v) and 0 <= v <= 2**900 and float(v) == v for v in part.values)
        need(good, "3: a cost that is negative, above 2^900 or no double")
        width = part.shape[1]
        exact = [Fraction(v) for v in part.values]
        found.append([exact[i * width : (i + 1) * width] for i in range(part.shape[0])])
    return found


def verdict(fields: dict[str, Any]) -> None:
    """Check the fields of a verdict on a candidate: costs are numbers, the others say something."""
    for name, value in fields.items():
        if name == "cost":
            need(type(value) in (int, float), "4: cost")
            double(value, "4: cost")
        else:
            need(isinstance(value, str) and value.strip(), f"4: {name}")


def solution(fields: dict[str, Any]) -> None:
    """Check the fields of a solution, S1."""
    certificate, tolerance = fields["certificate"], fields.get("tolerance")
    need(is_typed(fields["problem"], LISTED), "S1: problem")
    need(certificate is None or is_typed(certificate, CERTIFICATES), "S1: certificate")
    words = ("VERIFIED", "WEAK", "UNCHECKED", "UNDECIDED", "TIME_LIMIT")
    need(fields["status"] in words, "S1: status")
    need(isinstance(fields["solver"], str), "S1: solver")
    for name, figure in (("seconds", fields["seconds"]), ("tolerance", tolerance)):
        if name == "seconds" or figure is not None:
            need(type(figure) in (int, float), f"S1: {name}")
            need(0 <= double(figure, f"S1: {name}") < math.inf, f"S1: {name}")
    accuracy = fields.get("accuracy")
    need(accuracy is None or type(accuracy) in (int, float), "S1: accuracy")
    need(is_typed(fields["plan"], ["Plan"]), "S1: plan")


def is_typed(value: Any, kinds: Iterable[str]) -> bool:
    """Whether a value is an object of one of these types."""
    return isinstance(value, Typed) and value.kind in kinds


# Section 5: forms of evidence


Form = Callable[[Any], Any]


def items(value: Any) -> Sequence[Any]:
    """Return the parts of a list."""
    need(isinstance(value, (list, tuple)), "5: a list is wanted")
    return value  # type: ignore[no-any-return]


def integer(low: int, high: int) -> Form:
    """Return the form of an integer in a range."""

    def form(value: Any) -> int:
        need(type(value) is int and low <= value <= high, f"5: no integer {low} .. {high}")
        return int(value)

    return form


def indices(value: Any) -> tuple[int, ...]:
    """Return distinct indices."""
    found = tuple(map(index, items(value)))
    need(len(set(found)) == len(found), "5: an index twice")
    return found


def rational(value: Any) -> Fraction:
    """Return a rational number."""
    need(type(value) is int or isinstance(value, Fraction), "5: no rational")
    found = Fraction(value)
    size = max(found.numerator.bit_length(), found.denominator.bit_length())
    need(size <= 10_000, "5: a rational of more than 10,000 bits")
    return found


def record(*forms: Form) -> Form:
    """Return the form of a list with exactly these parts."""

    def form(value: Any) -> tuple[Any, ...]:
        parts = items(value)
        need(len(parts) == len(forms), "5: number of parts")
        return tuple(f(part) for f, part in zip(forms, parts, strict=True))

    return form


def many(part: Form) -> Form:
    """Return the form of a list of any length."""
    return lambda value: tuple([part(v) for v in items(value)])


def mapping(key: Form, part: Form) -> Form:
    """Return the form of a map."""

    def form(value: Any) -> dict[Any, Any]:
        need(isinstance(value, dict), "5: a map is wanted")
        return {key(k): part(v) for k, v in value.items()}

    return form


def word(*words: str) -> Form:
    """Return the form of one of some texts."""

    def form(value: Any) -> str:
        need(isinstance(value, str) and value in words, "5: no such word")
        return str(value)

    return form


def node(rules: Mapping[str, Sequence[Form]], value: Any) -> tuple[Any, ...]:
    """Return a node: the name of a rule and its parts."""
    parts = items(value)
    need(parts and isinstance(parts[0], str) and parts[0] in rules, "5: no such rule")
    forms = rules[parts[0]]
    need(len(parts) == len(forms) + 1, f"5: number of parts of {parts[0]}")
    return (parts[0], *[f(part) for f, part in zip(forms, parts[1:], strict=True)])


index = integer(0, 2**62)
variable = record(word("x", "y"), index, index)
place = record(index, index)
matchings = many(indices)
pairs_form = many(place)
small_entries = many(record(index, index, integer(-1000, 1000)))


def one_or_more(value: Any) -> tuple[int, ...]:
    """Return distinct indices, at least one."""
    need(found := indices(value), "5: no index is listed")
    return found


def cell_or_parameter(value: Any) -> tuple[int, ...]:
    """Return a variable of section 11."""
    need(len(items(value)) in (1, 2), "11: no variable")
    return tuple(map(index, value))


def summands(name: Form) -> Form:
    """Return the form of the terms of a polynomial in such variables, section 8."""
    return many(record(rational, many(name)))


def polynomial(value: Any) -> Poly:
    """Return a polynomial in cells and parameters."""
    return gather(summands(cell_or_parameter)(value))


def gather(given: Iterable[tuple[Fraction, Iterable[tuple[int, ...]]]]) -> Poly:
    """Return the polynomial with these terms."""
    p: Poly = {}
    for coefficient, names in given:
        if coefficient:
            p = add(p, {tuple(sorted(names)): coefficient})
    return p


# Section 8: polynomials and linear equations (the order of operations is part of the format)


Cell = tuple[int, int]
Monomial = tuple[tuple[int, ...], ...]
Poly = dict[Monomial, Fraction]
ONE: Poly = {(): Fraction(1)}


def add(p: Poly, q: Poly, factor: int = 1) -> Poly:
    """Return p + factor q."""
    total = dict(p)
    for monomial, value in q.items():
        value = total.get(monomial, 0) + factor * value
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    return total


def mul(p: Poly, q: Poly) -> Poly:
    """Return p q; large products are refused."""
    need(len(p) * len(q) <= 20_000, "8: a product of too many terms")
    total: Poly = {}
    for a, u in p.items():
        for b, v in q.items():
            key = tuple(sorted(a + b))
            value = total.get(key, 0) + u * v
            if value:
                total[key] = value
            else:
                del total[key]
    return total


def power(p: Poly, e: int) -> Poly:
    """Return p^e, 1 for e <= 0."""
    result = ONE
    for _ in range(e):
        result = mul(result, p)
    return result


def degree(p: Poly, v: tuple[int, ...]) -> int:
    """Return the degree of p in v."""
    return max((monomial.count(v) for monomial in p), default=0)


def variables(p: Poly) -> set[tuple[int, ...]]:
    """Return the variables of p."""
    return {v for monomial in p for v in monomial}


def coefficients(p: Poly, chosen: Iterable[tuple[int, ...]]) -> dict[Monomial, Poly]:
    """Return p as a polynomial in the chosen variables."""
    chosen, parts = set(chosen), dict[Monomial, Poly]()
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
    if not p:
        return False
    for q in factors:
        if set(q) <= {()}:
            continue
        while (quotient := divide(p, q)) is not None:
            p = quotient
    return set(p) == {()}


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


def echelon(rows: Iterable[Sequence[Fraction]], width: int) -> tuple[list[list[Fraction]], int]:
    """Return the reduced echelon form in the first columns, and the number of pivots."""
    lines, at = [list(row) for row in rows], 0
    for c in range(width):
        p = next((i for i in range(at, len(lines)) if lines[i][c]), None)
        if p is None:
            continue
        lines[at], lines[p] = lines[p], lines[at]
        lines[at] = [v / lines[at][c] for v in lines[at]]
        for i, line in enumerate(lines):
            if i != at and line[c]:
                lines[i] = [a - line[c] * b for a, b in zip(line, lines[at], strict=True)]
        at += 1
    return lines, at


def rank(rows: Sequence[Sequence[Fraction]]) -> int:
    """Return the rank over the rationals."""
    return echelon(rows, len(rows[0]))[1] if rows else 0


Variable = tuple[str, int, int]
Values = dict[Variable, Fraction]


def fixed(rows: Iterable[Sequence[Fraction]], unknowns: Sequence[Variable]) -> Values | None:
    """Return the unknowns that linear equations fix, or None if they have no solution."""
    lines, count = echelon(rows, len(unknowns))
    if any(line[-1] for line in lines[count:]):
        return None
    found = {}
    for line in lines[:count]:
        places = [c for c, v in enumerate(line[:-1]) if v]
        if len(places) == 1:
            found[unknowns[places[0]]] = line[-1]
    return found


# Section 6: observed problems


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


def cells(block: Block, obs: frozenset[Cell]) -> set[Cell]:
    """Return the observed cells of a block."""
    return {(i, j) for i in block.rows for j in block.cols if (i, j) in obs}


def normal_form(m: int, n: int, obs: frozenset[Cell], blocks: Iterable[Block]) -> State:
    """Split blocks whose observed cells fall apart; drop rows and columns without any."""
    found = []
    for block in blocks:
        own = cells(block, obs)
        left = {i for i, _ in own}
        while left:
            part = {min(left)}
            while True:
                across = {j for i, j in own if i in part}
                grown = {i for i, j in own if j in across}
                if grown == part:
                    break
                part = grown
            found.append(Block(frozenset(part), frozenset(across), block.origin))
            left -= part
    return State(m, n, obs, tuple(found))


def terms(first: Matrix, second: Matrix) -> tuple[Block, ...]:
    """Return the terms of two supports as blocks."""
    return tuple(
        Block(
            frozenset(i for i, row in enumerate(first) if row[k]),
            frozenset(j for j, one in enumerate(second[k]) if one),
            k,
        )
        for k in range(len(second))
    )


def start(first: Matrix, second: Matrix) -> State:
    """Return the observed problem of two supports."""
    blocks = terms(first, second)
    obs = frozenset((i, j) for block in blocks for i in block.rows for j in block.cols)
    return normal_form(len(first), len(second[0]), obs, blocks)


def family(state: State, ks: Sequence[int]) -> State:
    """Return these blocks with their observed cells."""
    chosen = tuple(state.blocks[k] for k in ks)
    obs = frozenset[Cell]().union(*(cells(block, state.obs) for block in chosen))
    return State(state.m, state.n, obs, chosen)


def components(state: State) -> list[list[int]]:
    """Return the classes of blocks that are joined by common observed cells."""
    own = [cells(block, state.obs) for block in state.blocks]
    left, classes = list(range(len(own))), []
    while left:
        group = [left.pop(0)]
        seen = set(own[group[0]])
        while joined := [k for k in left if own[k] & seen]:
            seen.update(*(own[k] for k in joined))
            left = [k for k in left if k not in joined]
            group += joined
        classes.append(sorted(group))
    return classes


def turned(state: State) -> State:
    """Return the transposed problem."""
    blocks = tuple(Block(block.cols, block.rows, block.origin) for block in state.blocks)
    return State(state.n, state.m, frozenset((j, i) for i, j in state.obs), blocks)


def cell_at(flip: bool, i: int, j: int) -> Cell:
    """Return the name of a cell of a problem that may be transposed."""
    return (j, i) if flip else (i, j)


def comparable(blocks: Sequence[Block]) -> bool:
    """Whether of any two blocks that share a cell one is taller and the other wider, 9.2."""
    return all(
        not (a.rows & b.rows and a.cols & b.cols)
        or (a.rows <= b.rows and b.cols <= a.cols)
        or (b.rows <= a.rows and a.cols <= b.cols)
        for a, b in combinations(blocks, 2)
    )


def free_step(state: State, ks: Sequence[int], evidence: tuple[Any, ...], depth: int) -> State:
    """Check that some blocks are free, and return what they leave."""
    need(max(ks) < len(state.blocks), "6: free: no such block")
    chosen = family(state, ks)
    origins = sorted({block.origin for block in chosen.blocks})
    name = evidence[0]
    say(depth, f"terms {origins} reach every matrix on their {len(chosen.obs)} cells ({name})")
    side = turned(chosen) if name in ("rows", "determined_t", "staircase_t") else chosen
    if name == "submersion":
        submersion(chosen, *evidence[1:])
    elif name in ("columns", "rows"):
        solvable(side, evidence[1])
    elif name in ("staircase", "staircase_t"):
        staircase(side, *evidence[1:])
    else:
        determined(side, *evidence[1:])
    rest = [block for k, block in enumerate(state.blocks) if k not in ks]
    return normal_form(state.m, state.n, state.obs - chosen.obs, rest)


def step(state: State, taken: tuple[Any, ...], depth: int) -> State:
    """Apply one step of a reduction."""
    if taken[0] == "free":
        return free_step(state, taken[1], taken[2], depth)
    if taken[0] == "component":
        classes = components(state)
        need(taken[1] < len(classes), "6: no such component")
        say(depth, f"look at component {taken[1]} of {len(classes)} that share no observed cell")
        return family(state, classes[taken[1]])
    rows, cols = taken[1:]
    need(all(i < state.m for i in rows) and all(j < state.n for j in cols), "6: keep")
    say(depth, f"keep rows {list(rows)} and columns {list(cols)}")
    obs = frozenset((i, j) for i, j in state.obs if i in rows and j in cols)
    return normal_form(state.m, state.n, obs, state.blocks)


# Section 7: evidence that a family is free


EVIDENCE: dict[str, list[Form]] = {
    "columns": [matchings],
    "rows": [matchings],
    "determined": [index, index, many(matchings)],
    "determined_t": [index, index, many(matchings)],
    "submersion": [small_entries, small_entries],
    "staircase": [pairs_form, indices, many(pairs_form)],
    "staircase_t": [pairs_form, indices, many(pairs_form)],
}
evidence_form = partial(node, EVIDENCE)
STEPS: dict[str, list[Form]] = {
    "free": [one_or_more, evidence_form],
    "component": [index],
    "keep": [indices, indices],
}


def columns(state: State) -> dict[int, list[int]]:
    """Return the rows of each column with an observed cell, ascending."""
    found: dict[int, list[int]] = {}
    for j, i in sorted((j, i) for i, j in state.obs):
        found.setdefault(j, []).append(i)
    return found


def matched(state: State, c: int, rows: Sequence[int], blocks: Sequence[int]) -> None:
    """Check a matching of a column."""
    need(len(blocks) == len(rows), "7: one block per row of the column")
    need(max(blocks) < len(state.blocks), "7: no such block")
    at = [(state.blocks[k], i) for k, i in zip(blocks, rows, strict=True)]
    fits = all(i in block.rows and c in block.cols for block, i in at)
    need(fits, "7: a block is matched to a cell that it does not have")


def solvable(state: State, given: Sequence[Sequence[int]]) -> None:
    """Check one matching per column: for generic X every column can be solved for."""
    lines = columns(state)
    need(len(given) == len(lines), "7: one matching per column")
    for (c, rows), blocks in zip(lines.items(), given, strict=True):
        matched(state, c, rows, blocks)


def determined(state: State, j: int, own: int, given: Sequence[Sequence[Sequence[int]]]) -> None:
    """Check that one block can take column j, and the others still solve the rest."""
    need(j < state.n and own < len(state.blocks), "7: no such column or block")
    lines, block = columns(state), state.blocks[own]
    hard = lines.pop(j, [])
    need(j in block.cols and set(hard) <= block.rows, "7: the block does not have the column")
    need(len(given) == len(lines), "7: one part per other column")
    for (c, rows), choices in zip(lines.items(), given, strict=True):
        need(len(choices) == len(hard), "7: one matching per row of the determined column")
        for i, blocks in zip(hard, choices, strict=True):
            matched(state, c, rows, blocks)
            at = rows[blocks.index(own)] if own in blocks else i
            need(at == i or at not in hard, "7: the block that is fixed is matched elsewhere")


def staircase(
    state: State,
    full: Sequence[Cell],
    order: Sequence[int],
    helped: Sequence[Sequence[Cell]],
) -> None:
    """Check that for rank t there is a block that lacks at most t - 1 rows and columns."""
    blocks = state.blocks
    rows = frozenset[int]().union(*(block.rows for block in blocks))
    cols = frozenset[int]().union(*(block.cols for block in blocks))
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


def matching(state: State, pairs: Sequence[Cell]) -> None:
    """Check distinct rows and distinct blocks that have them."""
    inside = all(k < len(state.blocks) and i in state.blocks[k].rows for i, k in pairs)
    need(inside, "7: a block is matched to a row that it does not have")
    distinct = len({i for i, _ in pairs}) == len({k for _, k in pairs}) == len(pairs)
    need(distinct, "7: matched twice")


def submersion(state: State, left: Sequence[Any], right: Sequence[Any]) -> None:
    """Check a point at which the product is 0 and its derivative is onto, modulo a prime."""
    count = len(state.blocks)
    xs, ys = ({(a, b): v for a, b, v in part} for part in (left, right))
    need(len(xs) == len(left) and len(ys) == len(right), "7: an entry twice")
    need(all(k < count and i in state.blocks[k].rows for i, k in xs), "7: X off the blocks")
    need(all(k < count and j in state.blocks[k].cols for k, j in ys), "7: Y off the blocks")
    rows = []
    for i, j in state.obs:
        at = [k for k, b in enumerate(state.blocks) if i in b.rows and j in b.cols]
        total = sum(xs.get((i, k), 0) * ys.get((k, j), 0) for k in at)
        need(total == 0, "7: the product is not 0 on the cells")
        row = {(0, i, k): ys.get((k, j), 0) for k in at}
        rows.append(row | {(1, k, j): xs.get((i, k), 0) for k in at})
    need(full_rank(rows, 2_147_483_629), "7: the derivative is not onto")


def full_rank(rows: Iterable[dict[tuple[int, int, int], int]], prime: int) -> bool:
    """Whether sparse rows are independent modulo a prime."""
    pivots: dict[tuple[int, int, int], dict[tuple[int, int, int], int]] = {}
    for given in rows:
        row = {c: v % prime for c, v in given.items() if v % prime}
        while row and (lead := min(row)) in pivots:
            factor = row[lead]
            for c, v in pivots[lead].items():
                row[c] = (row.get(c, 0) - factor * v) % prime
                if not row[c]:
                    del row[c]
        if not row:
            return False
        inverse = pow(row[lead], -1, prime)
        pivots[lead] = {c: v * inverse % prime for c, v in row.items()}
    return True


# Section 10: exclusion trees


class Window(NamedTuple):
    """A window: its size, the entries of the factors, the observed cells and the limit."""

    h: int
    w: int
    xs: frozenset[Cell]
    ys: frozenset[Cell]
    blocks: int
    obs: frozenset[Cell]
    limit: Sequence[Sequence[Fraction]]

    def has(self, v: Variable) -> bool:
        """Whether a variable exists."""
        return v[1:] in (self.xs if v[0] == "x" else self.ys)

    def terms(self, i: int, j: int) -> list[int]:
        """Return the blocks that have a cell."""
        return [k for k in range(self.blocks) if (i, k) in self.xs and (k, j) in self.ys]


class Known(NamedTuple):
    """What is known on a branch."""

    zero: frozenset[Variable] = frozenset()
    nonzero: frozenset[Variable] = frozenset()
    values: Mapping[Variable, Fraction] = {}
    scaled: frozenset[int] = frozenset()


EXCLUSION: dict[str, list[Form]] = {}
exclusion_tree = partial(node, EXCLUSION)
equation = partial(node, {"cell": [index, index], "value": [variable], "inverse": [variable]})
identity_factor = summands(record(integer(0, 3), index, index))
EXCLUSION |= {
    "split": [variable, exclusion_tree, exclusion_tree],
    "product": [index, index, exclusion_tree, exclusion_tree],
    "cell": [index, index],
    "minor": [indices, indices],
    "free_minor": [indices, indices, indices],
    "span": [indices, index, mapping(index, index)],
    "span_t": [indices, index, mapping(index, index)],
    "scale": [variable, exclusion_tree],
    "line": [index, indices, lambda tree: None if tree is None else exclusion_tree(tree)],
    "line_t": [index, indices, lambda tree: None if tree is None else exclusion_tree(tree)],
    "identity": [many(record(equation, identity_factor))],
    "trace": [one_or_more],
    "equal_columns": [index, one_or_more],
    "equal_rows": [index, one_or_more],
    "equal_both": [index, one_or_more, index, one_or_more],
}
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


def exclude(window: Window, tree: tuple[Any, ...], known: Known, depth: int) -> None:
    """Check that there are no factors whose product is the limit on the observed cells."""
    name, *parts = tree
    say(depth, TEXTS[name].format(*parts))
    if name == "split":
        v, zero, nonzero = parts
        need(window.has(v), "10.1: no such variable")
        exclude(window, zero, known._replace(zero=known.zero | {v}), depth + 1)
        exclude(window, nonzero, known._replace(nonzero=known.nonzero | {v}), depth + 1)
    elif name == "product":
        i, j, *trees = parts
        on = live(window, known, i, j)
        need(window.limit[i][j] == 0 and len(on) == 1, "10.2: not 0, or not one live block")
        for v, rest in zip([("x", i, on[0]), ("y", on[0], j)], trees, strict=True):
            exclude(window, rest, known._replace(zero=known.zero | {v}), depth + 1)
    elif name == "scale":
        v, rest = parts
        block = v[2] if v[0] == "x" else v[1]
        need(window.has(v) and v in known.nonzero, "10.8: not known to be nonzero")
        need(block not in known.scaled, "10.8: scaled before")
        values = {**known.values, v: Fraction(1)}
        exclude(window, rest, known._replace(values=values, scaled=known.scaled | {block}), depth)
    elif name in ("line", "line_t"):
        linear(window, known, name == "line_t", depth, *parts)
    elif name in ("span", "span_t"):
        span(window, known, name == "span_t", *parts)
    else:
        LEAVES[name](window, known, *parts)


def live(window: Window, known: Known, i: int, j: int) -> list[int]:
    """Return the blocks live at a cell, which has to be observed."""
    need((i, j) in window.obs, "10: not an observed cell of the window")
    zero = known.zero
    on = window.terms(i, j)
    return [k for k in on if ("x", i, k) not in zero and ("y", k, j) not in zero]


def leaf_cell(window: Window, known: Known, i: int, j: int) -> None:
    """Rule 3: the live blocks cannot add up to the value of a cell."""
    on, value = live(window, known, i, j), window.limit[i][j]
    both = len(on) == 1 and {("x", i, on[0]), ("y", on[0], j)} <= known.nonzero
    need((not on and value != 0) or (both and value == 0), "10.3: the cell can take its value")


def leaf_minor(window: Window, known: Known, rows: Sequence[int], cols: Sequence[int]) -> None:
    """Rule 4: more rank than live blocks."""
    on = {k for i in rows for j in cols for k in live(window, known, i, j)}
    height = rank([[window.limit[i][j] for j in cols] for i in rows])
    need(height > len(on), "10.4: the rank is not too high")


def leaf_free_minor(
    window: Window, known: Known, rows: Sequence[int], cols: Sequence[int], ks: Sequence[int]
) -> None:
    """Rule 5: more rank than blocks, whatever stands in the other cells."""
    need(len(rows) == len(cols) <= 6 and len(ks) < len(rows), "10.5: sizes")
    inside = all(i < window.h for i in rows) and all(j < window.w for j in cols)
    need(inside and all(k < window.blocks for k in ks), "10.5: outside the window")

    def entry(i: int, j: int) -> Poly:
        if (i, j) in window.obs and set(live(window, known, i, j)) <= set(ks):
            return gather([(window.limit[i][j], [])])
        return {((i, j),): Fraction(1)}

    minor = determinant([[entry(i, j) for j in cols] for i in rows])
    need(set(minor) == {()}, "10.5: the determinant is not a nonzero number")


def span(
    window: Window, known: Known, flip: bool, rows: Sequence[int], j: int, fixing: dict[int, int]
) -> None:
    """Rules 6 and 7: a column outside the span of those that fix the directions of its blocks."""
    at = partial(cell_at, flip)

    def value(i: int, c: int) -> Fraction:
        a, b = at(i, c)
        return window.limit[a][b]

    on = {k for i in rows for k in live(window, known, *at(i, j))}
    need(on == set(fixing), "10.6: the map is not about the live blocks")
    for k, c in fixing.items():
        alone = all(set(live(window, known, *at(i, c))) <= {k} for i in rows)
        need(alone and any(value(i, c) for i in rows), "10.6: a line does not fix its block")
    small = rank([[value(i, c) for c in fixing.values()] for i in rows])
    large = rank([[value(i, c) for c in (*fixing.values(), j)] for i in rows])
    need(large > small, "10.6: it is in the span")


def linear(
    window: Window, known: Known, flip: bool, depth: int, j: int, rows: Sequence[int], rest: Any
) -> None:
    """Rules 9 and 10: what the equations of a column say when its x are known."""
    need(j < (window.h if flip else window.w), "10.9: no such line")
    equations: list[tuple[dict[Variable, Fraction], Fraction]] = []
    for a in rows:
        i, c = cell_at(flip, a, j)
        row: dict[Variable, Fraction] = {}
        right = window.limit[i][c] if (i, c) in window.obs else Fraction(0)
        for k in live(window, known, i, c):
            pair: list[Variable] = [("x", i, k), ("y", k, c)]
            given, sought = reversed(pair) if flip else pair
            need(given in known.values, "10.9: a factor without a value")
            if sought in known.values:
                right -= known.values[given] * known.values[sought]
            else:
                row[sought] = known.values[given]
        equations.append((row, right))
    unknowns = sorted({v for row, _ in equations for v in row})
    lines = [[*(row.get(v, Fraction(0)) for v in unknowns), right] for row, right in equations]
    found = fixed(lines, unknowns)
    if found is None or any(not found[v] and v in known.nonzero for v in found):
        need(rest is None, "10.9: a conflict, but no leaf")
        return
    need(rest is not None, "10.9: no conflict")
    zero = known.zero | {v for v in found if not found[v]}
    nonzero = known.nonzero | {v for v in found if found[v]}
    more = Known(zero, nonzero, {**known.values, **found}, known.scaled)
    exclude(window, rest, more, depth)


def leaf_identity(window: Window, known: Known, parts: Sequence[Any]) -> None:
    """Rule 11: a combination of equations is 1."""
    left: Poly = {}
    for (name, *where), factor in parts:
        for s, a, b in (v for _, names in factor for v in names):
            need((a, b) in (window.ys if s % 2 else window.xs), "10.11: no such variable")
        if name == "cell":
            i, j = where
            pairs = [[(0, i, k), (1, k, j)] for k in live(window, known, i, j)]
            constant = -window.limit[i][j]
        else:
            (v,) = where
            s = int(v[0] == "y")
            need(window.has(v), "10.11: no such variable")
            need(v in (known.values if name == "value" else known.nonzero), "10.11: not known")
            pairs = [[(s, *v[1:]), (s + 2, *v[1:])][: 1 if name == "value" else 2]]
            constant = -known.values[v] if name == "value" else Fraction(-1)
        summed = [*((Fraction(1), pair) for pair in pairs), (constant, [])]
        left = add(left, mul(gather(summed), gather(factor)))
    need(left == ONE, "10.11: the sum is not 1")


def touching(window: Window) -> dict[int, tuple[frozenset[int], frozenset[int]]]:
    """Return rows and columns of each block that has both; all cells must be observed."""
    need(len(window.obs) == window.h * window.w, "10.12: a cell that is not observed")
    found = {}
    for k in range(window.blocks):
        rows = frozenset(i for i, block in window.xs if block == k)
        cols = frozenset(j for block, j in window.ys if block == k)
        if rows and cols:
            found[k] = (rows, cols)
    return found


def leaf_trace(window: Window, _: Known, ks: Sequence[int]) -> None:
    """Rule 12: blocks that miss the entries of a permuted diagonal."""
    hot = [(i, j) for i in range(window.h) for j in range(window.w) if window.limit[i][j]]
    size = len(hot)
    permuted = size == window.h == window.w == len({i for i, _ in hot}) == len({j for _, j in hot})
    need(permuted, "10.12: not one entry in every row and every column")
    blocks = touching(window)
    need(all(k in blocks for k in ks), "10.12: a block that does not touch the window")
    need(len(ks) > len(blocks) - size, "10.12: too few blocks")
    for place, later in enumerate(ks):
        for earlier in ks[: place + 1]:
            rows, cols = blocks[later][0], blocks[earlier][1]
            need(not any(i in rows and j in cols for i, j in hot), "10.12: an entry is met")


def equal_lines(window: Window, flip: bool, i: int, places: Sequence[int]) -> list[frozenset[int]]:
    """Check equal columns, not 0 in row i; return which of them each block with row i has."""
    limit = list(zip(*window.limit, strict=True)) if flip else window.limit
    h, w = (window.w, window.h) if flip else (window.h, window.w)
    need(i < h and max(places) < w, "10.13: outside the window")
    need(all(len({row[a] for a in places}) == 1 for row in limit), "10.13: not equal")
    need(limit[i][places[0]], "10.13: zero")
    pairs = [pair[::-1] if flip else pair for pair in touching(window).values()]
    return [cols & set(places) for rows, cols in pairs if i in rows]


def leaf_equal(window: Window, _: Known, i: int, places: Sequence[int], flip: bool = False) -> None:
    """Rules 13 and 14: equal columns that no e + 1 blocks of a row have together."""
    sets = equal_lines(window, flip, i, places)
    spare = len(touching(window)) - rank(window.limit)
    size = min(max(spare, 0) + 1, len(sets))
    need(math.comb(len(sets), size) <= 100_000, "10.13: too many sets")
    for chosen in combinations(sets, size):
        need(frozenset().union(*chosen) != set(places), "10.13: blocks that have them all")


def leaf_both(
    window: Window, _: Known, i: int, cols: Sequence[int], j: int, rows: Sequence[int]
) -> None:
    """Rule 15: equal columns and equal rows, with one block to spare."""
    need(len(touching(window)) <= rank(window.limit) + 1, "10.15: too many blocks")
    need(set(cols) not in equal_lines(window, False, i, cols), "10.15: a block has the columns")
    need(set(rows) not in equal_lines(window, True, j, rows), "10.15: a block has the rows")


LEAVES: dict[str, Callable[..., None]] = {
    "trace": leaf_trace,
    "equal_columns": leaf_equal,
    "equal_rows": partial(leaf_equal, flip=True),
    "equal_both": leaf_both,
    "cell": leaf_cell,
    "minor": leaf_minor,
    "free_minor": leaf_free_minor,
    "identity": leaf_identity,
}


# Section 11: trees of cases


Branch = tuple[dict[Cell, tuple[Poly, Poly]], tuple[Poly, ...]]
Rule = Callable[[Any, Branch, int], None]


def root(obs: Iterable[Cell]) -> Branch:
    """Return the branch at the root: every cell is its own variable."""
    return {cell: ({(cell,): Fraction(1)}, ONE) for cell in obs}, ()


def free(branch: Branch) -> set[Cell]:
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
        up, down = degree(top, v), degree(bottom, v)
        found[cell] = (
            mul(put(top, v, over, lead), power(lead, down - up)),
            mul(put(bottom, v, over, lead), power(lead, up - down)),
        )
    return found, tuple(put(q, v, over, lead) for q in nonzero)


def is_generic(p: Poly, nonzero: Sequence[Poly]) -> bool:
    """Whether p is not 0 on the branch for almost all parameters."""
    parameters = {v for v in variables(p) if len(v) == 1}
    return any(is_product(q, nonzero) for q in coefficients(p, parameters).values())


CASES: dict[str, list[Form]] = {}
case_tree = partial(node, CASES)
solve_entries = many(record(index, index, polynomial))
choices_form = many(record(indices, indices))
CASES |= {
    "split": [polynomial, place, case_tree, case_tree],
    "empty": [],
    "minor": [indices, indices, place, case_tree],
    "conflict": [indices, indices],
    "clear": [index, index, index, case_tree],
    "clear_t": [index, index, index, case_tree],
    "pivot": [index, indices, case_tree, case_tree],
    "pivot_t": [index, indices, case_tree, case_tree],
    "solve": [solve_entries, choices_form],
    "solve_t": [solve_entries, choices_form],
}


def follow(tree: Any, branch: Branch, rule: Rule, depth: int) -> None:
    """Follow a tree of cases; rules other than split and empty are given."""
    if tree[0] == "split":
        p, v, zero, other = tree[1:]
        say(depth, f"a polynomial is 0, so entry {v} is given by the others; or it is not 0")
        need(variables(p) <= free(branch), "11.1: a variable that is not a free cell")
        follow(zero, solved(branch, p, v), rule, depth + 1)
        follow(other, (branch[0], (*branch[1], p)), rule, depth + 1)
    elif tree[0] == "empty":
        say(depth, "a polynomial that is not 0 has become 0: nothing is left here")
        need({} in branch[1], "11.2: no polynomial has become 0")
    else:
        rule(tree, branch, depth)


def case_rule(state: State, tree: Any, branch: Branch, depth: int) -> None:
    """Apply the rules 3 to 10."""
    name, *parts = tree
    flip = name.endswith("_t")
    side = turned(state) if flip else state
    rule = partial(case_rule, state)
    if name == "minor":
        rows, cols, v, rest = parts
        say(depth, f"the minor of rows {rows} and columns {cols} vanishes: solve for entry {v}")
        follow(rest, solved(branch, minor(state, branch, rows, cols), v), rule, depth)
    elif name == "conflict":
        say(depth, f"the minor of rows {parts[0]} and columns {parts[1]} is 0 and not 0")
        need(is_product(minor(state, branch, *parts), branch[1]), "11.4: the minor may be 0")
    elif name in ("clear", "clear_t"):
        i, j, other, rest = parts
        say(depth, f"{name}: by entry {i} of line {j}, make that of line {other} zero")
        follow(rest, cleared(side, branch, flip, i, j, other), rule, depth)
    elif name in ("pivot", "pivot_t"):
        i, lines, zero, rest = parts
        say(depth, f"{name}: line {i} is zero across {lines}, or mixing leaves one entry there")
        none, one = pivoted(side, branch, flip, i, lines)
        follow(zero, none, rule, depth + 1)
        follow(rest, one, rule, depth + 1)
    else:
        say(depth, "factors are given" + (", the second one first" if flip else ""))
        solve(side, branch, flip, *parts)


def minor(state: State, branch: Branch, rows: Sequence[int], cols: Sequence[int]) -> Poly:
    """Return a conditional minor of the target, which vanishes, times nonzero polynomials."""
    need(len(rows) == len(cols), "11.3: as many rows as columns")
    need({(i, j) for i in rows for j in cols} <= state.obs, "11.3: not observed")
    meet = [k for k in state.blocks if k.rows & set(rows) and k.cols & set(cols)]
    need(len(meet) < len(rows), "11.3: the minor is not conditional")
    block = []
    for i in rows:
        line = []
        for j in cols:
            value = branch[0][i, j][0]
            for other in cols:
                if other != j:
                    value = mul(value, branch[0][i, other][1])
            line.append(value)
        block.append(line)
    return determinant(block)


def fresh(branch: Branch, chosen: set[Cell]) -> tuple[Poly, ...]:
    """Check that nothing else speaks of some free cells; return the nonzero polynomials left."""
    need(chosen <= free(branch), "11: a cell that is not free would change")
    others = [pair for cell, pair in branch[0].items() if cell not in chosen]
    need(not any(variables(p) & chosen for pair in others for p in pair), "11: spoken of elsewhere")
    return tuple(q for q in branch[1] if not variables(q) & chosen)


def cleared(state: State, branch: Branch, flip: bool, i: int, j: int, other: int) -> Branch:
    """Rules 5 and 6: subtract a multiple of column j, so that (i, other) becomes 0."""
    at = partial(cell_at, flip)
    need(i < state.m and max(j, other) < state.n and j != other, "11.5: no such lines")
    covered = all(other in block.cols for block in state.blocks if j in block.cols)
    seen, seen_too = ({a for a, b in state.obs if b == c} for c in (other, j))
    need(covered and seen <= seen_too, "11.5: the line is not covered or observed like that")
    changed = {at(a, other) for a in seen if branch[0][at(a, j)][0]}
    need(at(i, other) in changed, "11.5: the entry is not among those that change")
    need(is_product(branch[0][at(i, j)][0], branch[1]), "11.5: the pivot may be 0")
    nonzero = fresh(branch, changed)
    return {**branch[0], at(i, other): ({}, ONE)}, nonzero


def pivoted(
    state: State, branch: Branch, flip: bool, i: int, cols: Sequence[int]
) -> tuple[Branch, Branch]:
    """Rules 7 and 8: row i is 0 in some columns, or only in the first of them not, if mixed."""
    at = partial(cell_at, flip)
    need(i < state.m and cols, "11.7: no such lines")
    blocks = {frozenset(k for k, b in enumerate(state.blocks) if c in b.cols) for c in cols}
    seen = {frozenset(a for a, b in state.obs if b == c) for c in cols}
    need(len(blocks) == len(seen) == 1, "11.7: the lines differ in blocks or observed cells")
    rows = next(iter(seen))
    need(i in rows, "11.7: not observed")
    none = branch
    for c in cols:
        none = solved(none, {(at(i, c),): Fraction(1)}, at(i, c))
    hot = [a for a in rows if any(branch[0][at(a, c)][0] for c in cols)]
    nonzero = fresh(branch, {at(a, c) for a in hot for c in cols})
    entries = branch[0] | {at(i, c): ({}, ONE) for c in cols[1:]}
    return none, (entries, (*nonzero, {(at(i, cols[0]),): Fraction(1)}))


def allowed(branch: Branch, *polys: Poly) -> None:
    """Check that polynomials are about free cells and parameters."""
    names = {v for p in polys for v in variables(p) if len(v) == 2}
    need(names <= free(branch), "11: a variable that is neither a free cell nor a parameter")


def solve(state: State, branch: Branch, flip: bool, given: Any, choices: Any) -> None:
    """Rules 9 and 10: with X as given, every column of the target can be solved for."""
    xs = {(i, k): p for i, k, p in given}
    need(len(xs) == len(given), "11.9: an entry twice")
    count = len(state.blocks)
    need(all(k < count and i in state.blocks[k].rows for i, k in xs), "11.9: off the blocks")
    allowed(branch, *xs.values())
    lines = columns(state)
    need(len(choices) == len(lines), "11.9: one choice per line")
    for (j, rows), (used, ks) in zip(lines.items(), choices, strict=True):
        need(set(used) <= set(rows) and len(used) == len(ks), "11.9: rows of a choice")
        fits = all(k < count and j in state.blocks[k].cols for k in ks)
        need(fits, "11.9: blocks of a choice")
        block = [[xs.get((a, k), {}) for k in ks] for a in used]
        need(is_generic(determinant(block), branch[1]), "11.9: the minor may be 0")
        for i in (i for i in rows if i not in used):
            lined = []
            for a in (*used, i):
                top, bottom = branch[0][cell_at(flip, a, j)]
                lined.append([*(mul(xs.get((a, k), {}), bottom) for k in ks), top])
            need(not determinant(lined), "11.9: a row is not a combination of the chosen ones")


# Section 9: certificates of closedness


Verdict = tuple[str, str]
part_rules: dict[str, list[Form]] = {}
part_form = partial(node, part_rules)
PROOF: dict[str, list[Form]] = {"components": [many(part_form)]}
part_rules |= {
    "free": [one_or_more, evidence_form, partial(node, PROOF)],
    "comparable": [],
    "rank": [],
    "cases": [case_tree],
}
PROOF |= part_rules


def two(chain: tuple[Matrix, ...]) -> tuple[Matrix, Matrix]:
    """Return the supports if they are two."""
    need(len(chain) == 2, "9: two supports are wanted")
    return chain[0], chain[1]


def single(certificate: Typed) -> Verdict:
    """9.1: one factor."""
    need(len(certificate["problem"]["supports"]) == 1, "9.1: more than one support")
    return "closed", "one factor: a coordinate subspace"


def comparable_rectangles(certificate: Typed) -> Verdict:
    """9.2: orthogonal terms."""
    blocks = terms(*two(certificate["problem"]["supports"]))
    need(comparable(blocks), "9.2: two rectangles cross")
    say(1, f"any two of {len(blocks)} rectangles are disjoint or comparable")
    return "closed", "any two rectangles are disjoint or comparable"


def kronecker(certificate: Typed) -> Verdict:
    """9.3: a chain of Kronecker-sparse factors."""
    size = integer(1, 2**62)
    patterns = many(record(size, size, size, size))(certificate["patterns"])
    chain = certificate["problem"]["supports"]
    need(len(patterns) == len(chain), "9.3: as many patterns as supports")
    for (a, b, c, d), support in zip(patterns, chain, strict=True):
        say(1, f"a factor of pattern {(a, b, c, d)}")
        need(a * b * d == len(support) and a * c * d == len(support[0]), "9.3: size")
        for x, row in enumerate(support):
            i, h = x // (b * d), x % d
            ones = {i * c * d + k * d + h for k in range(c)}
            need({y for y, one in enumerate(row) if one} == ones, "9.3: not the pattern")
    for (a, _, c, d), (a2, _, _, d2) in pairwise(patterns):
        chainable = a2 % a == 0 and d % d2 == 0 and (a * c) % a2 == 0
        need(chainable, "9.3: two neighbours are not chainable")
    return "closed", "a chainable chain of Kronecker-sparse factors"


def reduced(certificate: Typed) -> Verdict:
    """9.4: free families, components, comparable rectangles, bounded ranks and cases."""
    factors = two(certificate["problem"]["supports"])
    proof = node(PROOF, certificate["proof"])
    holds(start(*factors), proof, 1)
    count = 0
    while proof[0] == "free":
        count, proof = count + len(proof[1]), proof[3]
    names = [part[0] for part in (proof[1] if proof[0] == "components" else [proof])]
    if not names:
        return "closed", f"a coordinate subspace: {count} blocks in free families"
    texts = {
        "cases": "where factors were found in all cases",
        "comparable": "of comparable rectangles",
        "free": "with further free families",
        "rank": "of all matrices up to a rank",
    }
    found = [f"{names.count(name)} {text}" for name, text in texts.items() if name in names]
    first = f"{count} blocks in free families, then " if count else ""
    return "closed", f"{first}parts: {', '.join(found)}"


def holds(state: State, proof: Any, depth: int) -> None:
    """Check a proof that an observed set is closed."""
    if proof[0] == "free":
        holds(free_step(state, proof[1], proof[2], depth), proof[3], depth)
    elif proof[0] == "components":
        classes = components(state)
        say(depth, f"{len(classes)} components are left")
        need(len(proof[1]) == len(classes), "9.4: one part per component")
        for ks, part in zip(classes, proof[1], strict=True):
            holds(family(state, ks), part, depth + 1)
    elif proof[0] == "comparable":
        say(depth, f"{len(state.blocks)} blocks are comparable rectangles")
        whole = all((i, j) in state.obs for b in state.blocks for i in b.rows for j in b.cols)
        need(whole, "9.4: a cell of a block is not observed")
        need(comparable(state.blocks), "9.4: two blocks cross")
    elif proof[0] == "rank":
        rows = frozenset[int]().union(*(b.rows for b in state.blocks))
        cols = frozenset[int]().union(*(b.cols for b in state.blocks))
        say(depth, f"rank at most {len(state.blocks)} on {len(rows)} x {len(cols)} cells")
        whole = all((i, j) in state.obs for i in rows for j in cols)
        need(whole, "9.4: a cell is not observed")
        lacks = sorted(len(rows - b.rows) + len(cols - b.cols) for b in state.blocks)
        need(all(z <= t for t, z in enumerate(lacks)), "9.4: a block lacks too much")
    else:
        say(depth, "cases of the target:")
        follow(proof[1], root(state.obs), partial(case_rule, state), depth + 1)


curve_form = many(record(index, index, mapping(integer(-1000, 1000), rational)))


def window_of(certificate: Typed) -> tuple[Window, list[Any]]:
    """Return the window of 9.5 with its limit, and the two curves, after checking 1 to 7."""
    first, second = two(certificate["problem"]["supports"])
    rows, cols = indices(certificate["rows"]), indices(certificate["columns"])
    left, right = (curve_form(certificate[name]) for name in ("left", "right"))
    limit = many(many(rational))(certificate["limit"])
    steps = many(partial(node, STEPS))(certificate["reductions"])
    m, n = len(first), len(second[0])
    every = frozenset((i, j) for i in range(m) for j in range(n))
    state = start(first, second) if steps else State(m, n, every, terms(first, second))
    for taken in steps:
        state = step(state, taken, 1)
    need(all(i < m for i in rows) and all(j < n for j in cols), "9.5.4: no such row or column")
    h, w, blocks = len(rows), len(cols), list(enumerate(state.blocks))
    xs = frozenset((a, k) for a, i in enumerate(rows) for k, b in blocks if i in b.rows)
    ys = frozenset((k, c) for c, j in enumerate(cols) for k, b in blocks if j in b.cols)
    obs = frozenset((a, c) for a in range(h) for c in range(w) if (rows[a], cols[c]) in state.obs)
    window = Window(h, w, xs, ys, len(blocks), obs, limit)
    say(1, f"on rows {rows} and columns {cols}, X(t) Y(t) converges as t goes to 0")
    for entries, where in ((left, xs), (right, ys)):
        places = [(a, b) for a, b, _ in entries]
        need(len(set(places)) == len(places), "9.5.5: an entry twice")
        need(set(places) <= where, "9.5.5: an entry outside the support")
    need(len(limit) == h and all(len(row) == w for row in limit), "9.5.6: size of the limit")
    converges(window, left, right)
    return window, [left, right]


def converges(window: Window, left: Any, right: Any) -> None:
    """Check that the curve has no pole on the observed cells and tends to the limit, 9.5.7."""
    xs, ys = ({(a, b): p for a, b, p in part} for part in (left, right))
    for i in range(window.h):
        for j in range(window.w):
            if (i, j) not in window.obs:
                need(window.limit[i][j] == 0, "9.5.7: a limit where nothing is observed")
                continue
            total: dict[int, Fraction] = {}
            for k in window.terms(i, j):
                for e, u in xs.get((i, k), {}).items():
                    for f, v in ys.get((k, j), {}).items():
                        total[e + f] = total.get(e + f, Fraction(0)) + u * v
            need(not any(v for e, v in total.items() if e < 0), "9.5.7: a pole")
            need(total.get(0, 0) == window.limit[i][j], "9.5.7: not the limit")


def order(curves: list[Any]) -> int:
    """Return the largest exponent without its sign."""
    powers = [abs(e) for side in curves for *_, p in side for e, v in p.items() if v]
    return max(powers, default=0)


def not_closed(certificate: Typed) -> Verdict:
    """9.5: a curve whose limit is not a product."""
    tree = exclusion_tree(certificate["exclusion"])
    window, curves = window_of(certificate)
    say(1, "to a matrix that is not a product:")
    exclude(window, tree, Known(), 2)
    h, w = window.h, window.w
    if (h, w) == (2, 2) and tree == ("product", 0, 0, ("cell", 0, 1), ("cell", 1, 0)):
        if items(certificate["reductions"]):
            return "not_closed", "LU window on 2 rows and 2 columns"
        first, second = (window.terms(i, i) for i in (0, 1))
        used = {k for _, k, _ in curves[0]} | {k for k, _, _ in curves[1]}
        a, b = first[0], min((used & set(second)) - set(first))
        rows, cols = (tuple(certificate[name]) for name in ("rows", "columns"))
        where = f"at rows {rows} and columns {cols}, terms {a} and {b}"
        return "not_closed", f"LU window {where}"
    begins = {(2, 3): "span", (3, 2): "span_t"}.get((h, w))
    if tree[:3] == (begins, (0, 1), 1):
        return "not_closed", f"merge window on {h} rows and {w} columns"
    return "not_closed", f"curve of order {order(curves)} on {h} rows and {w} columns"


def external(certificate: Typed) -> Verdict:
    """9.6: the same, where z3 is believed that the limit is not a product."""
    window, curves = window_of(certificate)
    need(certificate["problem"]["field"] == "real", "9.6: z3 is asked about the reals")
    need(certificate["engine"] == "z3", "9.6: an unknown engine")
    say(1, "to a matrix that is not a product, says z3 of this formula:")
    for line in formula(window):
        say(2, line)
    text = f"curve of order {order(curves)}, relying on z3 that its limit is no product"
    return "not_closed", text


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
CHAIN_CASES |= {
    "split": [polynomial, place, chain_tree, chain_tree],
    "empty": [],
    "product": [many(solve_entries), polynomial],
}


def paths_form(value: Any) -> tuple[tuple[int, ...], ...]:
    """Return paths, at least one."""
    need(items(value), "12: no path")
    return tuple(tuple(map(index, items(path))) for path in value)


CHAIN_STEPS: dict[str, list[Form]] = {
    "absorb": [index, word("left", "right")],
    "contract": [index, many(partial(node, {"free": STEPS["free"]}))],
    "cases": [index, integer(1, 2**62), chain_tree],
    "through": [
        *[index, integer(3, 2**62), index, paths_form, paths_form],
        many(partial(node, {"free": STEPS["free"]})),
    ],
}


def reach(group: Sequence[Matrix]) -> Matrix:
    """Return the support of a product: where a path of ones leads."""
    total = group[0]
    for factor in group[1:]:
        columns_of = list(zip(*factor, strict=True))
        total = tuple(
            tuple(int(any(a and b for a, b in zip(row, col, strict=True))) for col in columns_of)
            for row in total
        )
    return total


def ones(support: Matrix) -> frozenset[Cell]:
    """Return the places of the ones."""
    return frozenset((i, j) for i, row in enumerate(support) for j, one in enumerate(row) if one)


def shorten(chain: tuple[Matrix, ...], taken: Any) -> tuple[Matrix, ...]:
    """Return the chain after one step, which has to keep the set of products."""
    name, at, more = taken[:3]
    if name == "absorb":
        other = at + 1 if more == "right" else at - 1
        need(at < len(chain) and 0 <= other < len(chain), "12: no such factor")
        say(1, f"factor {at} is absorbed by its {more} neighbour")
        own, pair = chain[at], sorted((at, other))
        need(len(own) == len(own[0]), "12: not square")
        need(all(own[i][i] for i in range(len(own))), "12: a diagonal entry is missing")
        inside = ones(reach([chain[k] for k in pair])) <= ones(chain[other])
        need(inside, "12: the product does not lie inside the neighbour")
        return chain[:at] + chain[at + 1 :]
    count = 2 if name == "contract" else more
    rest = taken[3:]
    need(at + count <= len(chain), "12: no such factors")
    say(1, f"factors {at} to {at + count - 1} reach every matrix on the support of their product")
    group = chain[at : at + count]
    support = reach(group)
    if name == "contract":
        state = start(*group)
        for free_part in more:
            state = step(state, free_part, 2)
        need(not state.blocks, "12: a block is left")
    elif name == "through":
        led_through(group, support, *rest)
    else:
        follow(taken[3], root(ones(support)), partial(chain_leaf, group, ones(support)), 2)
    return (*chain[:at], support, *chain[at + count :])


def led_through(
    group: Sequence[Matrix],
    support: Matrix,
    at: int,
    rows: Sequence[Sequence[int]],
    cols: Sequence[Sequence[int]],
    steps: Sequence[Any],
) -> None:
    """Check a pair of factors that reaches everything, and the paths that lead to it."""
    need(at + 2 <= len(group), "12: no such pair")
    first, second = group[at : at + 2]
    for paths, factors, size in (
        (rows, group[:at], len(first)),
        (cols, group[at + 2 :], len(second[0])),
    ):
        sizes = [*map(len, factors), len(factors[-1][0])] if factors else [size]
        for path in paths:
            need(len(path) == len(sizes), "12: length of a path")
            need(all(p < s for p, s in zip(path, sizes, strict=True)), "12: place of a path")
            steps_of = zip(factors, pairwise(path), strict=True)
            need(all(factor[a][b] for factor, (a, b) in steps_of), "12: entry of a path")
        need(all(len(set(p)) == len(p) for p in zip(*paths, strict=True)), "12: paths meet")
    covered = frozenset(
        (i[0], j[-1])
        for i in rows
        for j in cols
        if any(a and b[j[0]] for a, b in zip(first[i[-1]], second, strict=True))
    )
    need(ones(support) <= covered, "12: the product covers more than the pair")
    left = tuple(first[path[-1]] for path in rows)
    right = tuple(tuple(row[path[0]] for path in cols) for row in second)
    state = start(left, right)
    for free_part in steps:
        state = step(state, free_part, 2)
    need(not state.blocks, "12: a block is left")


def chain_leaf(
    group: Sequence[Matrix], support: frozenset[Cell], tree: Any, branch: Branch, depth: int
) -> None:
    """Check factors of a group whose product is d times the target."""
    _, factors, d = tree
    say(depth, "factors are given")
    need(len(factors) == len(group), "12: number of factors")
    total: dict[Cell, Poly] | None = None
    for given, own in zip(factors, group, strict=True):
        found = {(a, b): p for a, b, p in given}
        need(len(found) == len(given) and set(found) <= ones(own), "12: entries of a factor")
        allowed(branch, *found.values())
        total = found if total is None else product(total, found)
    allowed(branch, d)
    need(is_generic(d, branch[1]), "12: d may be 0")
    for cell in sorted(support):
        top, bottom = branch[0][cell]
        same = mul((total or {}).get(cell, {}), bottom) == mul(d, top)
        need(same, "12: the product is not d times the target")


def product(left: Mapping[Cell, Poly], right: Mapping[Cell, Poly]) -> dict[Cell, Poly]:
    """Return the product of two matrices of polynomials."""
    total: dict[Cell, Poly] = {}
    for (i, k), p in left.items():
        for (a, j), q in right.items():
            if a == k:
                total[i, j] = add(total.get((i, j), {}), mul(p, q))
    return total


def shortened(certificate: Typed) -> Verdict:
    """Section 12: a chain with the same products as a shorter one."""
    problem, short = certificate["problem"], certificate["short"]
    chain = problem["supports"]
    for taken in many(partial(node, CHAIN_STEPS))(certificate["steps"]):
        chain = shorten(chain, taken)
    kinds = [*TWO_FACTORS, "SingleFactorCertificate"]
    need(is_typed(short, kinds), "12: no proof about one or two factors")
    value = "not_closed" if short.kind == "NotClosedCertificate" else "closed"
    left = Typed("Closedness", {"supports": chain, "field": problem["field"]})
    say(1, f"{len(chain)} factors are left")
    proof(short, left, value)
    return value, f"same products as {len(chain)} factors: {short['answer']['reason']}"


def columns_at(matrix: Matrix, cols: Sequence[int]) -> Matrix:
    """Return some columns of a matrix."""
    return tuple(tuple(row[j] for j in cols) for row in matrix)


def transposed(matrix: Matrix) -> Matrix:
    """Return the transposed matrix."""
    return tuple(zip(*matrix, strict=True))


def chain_limit(certificate: Typed) -> Verdict:
    """Section 12.1: a curve of all factors whose limit is no product of two over a cut."""
    chain, cut = list(certificate["problem"]["supports"]), index(certificate["cut"])
    rows, cols = indices(certificate["rows"]), indices(certificate["columns"])
    factors = many(curve_form)(certificate["factors"])
    limit = many(many(rational))(certificate["limit"])
    tree = exclusion_tree(certificate["exclusion"])
    need(0 < cut < len(chain), "12.1: no such cut")
    inside = all(i < len(chain[0]) for i in rows) and all(j < len(chain[-1][0]) for j in cols)
    need(inside, "12.1: no such row or column")
    need(len(factors) == len(chain), "12.1: number of factors")
    h, w = len(rows), len(cols)
    every = [ones(support) for support in chain]
    every[0] = frozenset((a, k) for a, i in enumerate(rows) for k, v in enumerate(chain[0][i]) if v)
    every[-1] = frozenset(
        (k, b) for k, row in enumerate(chain[-1]) for b, j in enumerate(cols) if row[j]
    )
    total: dict[Cell, dict[int, Fraction]] = {(a, a): {0: Fraction(1)} for a in range(h)}
    for entries, where in zip(factors, every, strict=True):
        given = {(a, b): p for a, b, p in entries}
        need(len(given) == len(entries) and set(given) <= where, "12.1: entries of a factor")
        by_row: dict[int, list[tuple[int, Mapping[int, Fraction]]]] = {}
        for (a, b), p in given.items():
            by_row.setdefault(a, []).append((b, p))
        product: dict[Cell, dict[int, Fraction]] = {}
        for (i, a), p in total.items():
            for b, q in by_row.get(a, []):
                entry = product.setdefault((i, b), {})
                for e, u in p.items():
                    for f, v in q.items():
                        entry[e + f] = entry.get(e + f, Fraction(0)) + u * v
        total = product
    need(len(limit) == h and all(len(row) == w for row in limit), "12.1: size of the limit")
    for i in range(h):
        for j in range(w):
            found = total.get((i, j), {})
            need(not any(v for e, v in found.items() if e < 0), "12.1: a pole")
            need(found.get(0, 0) == limit[i][j], "12.1: not the limit")
    left, right = reach(chain[:cut]), reach(chain[cut:])
    xs = frozenset((a, k) for a, i in enumerate(rows) for k, v in enumerate(left[i]) if v)
    ys = frozenset((k, b) for k, row in enumerate(right) for b, j in enumerate(cols) if row[j])
    obs = frozenset((a, b) for a in range(h) for b in range(w))
    window = Window(h, w, xs, ys, len(right), obs, limit)
    exclude(window, tree, Known(), 2)
    cuts = f"no product of two factors cut before factor {cut}"
    text = f"curve of order {order(list(factors))} on {h} rows and {w} columns, {cuts}"
    return "not_closed", text


def sub_chain(certificate: Typed) -> Verdict:
    """Section 12.2: a part that is not closed where the others lead one to one."""
    problem = certificate["problem"]
    chain, first, last = (
        problem["supports"],
        index(certificate["first"]),
        index(certificate["last"]),
    )
    rows, cols = one_or_more(certificate["rows"]), one_or_more(certificate["columns"])
    need(first <= last < len(chain), "12.2: no such part")
    top = places(rows, chain[:first], len(chain[0]))
    after = [transposed(support) for support in reversed(chain[last + 1 :])]
    bottom = places(cols, after, len(chain[-1][0]))
    part = list(chain[first : last + 1])
    part[0] = tuple(part[0][i] for i in top)
    part[-1] = columns_at(part[-1], bottom)
    left = Typed("Closedness", {"supports": tuple(part), "field": problem["field"]})
    say(1, f"factors {first} to {last} on rows {top} and columns {bottom}")
    proof(certificate["part"], left, "not_closed")
    return "not_closed", (
        f"factors {first} to {last} are not closed on {len(rows)} rows and {len(cols)} columns, "
        "which the others lead to one to one"
    )


def places(lines: Sequence[int], factors: Sequence[Matrix], size: int) -> list[int]:
    """Return where lines lead, each to one place of its own."""
    need(all(i < size for i in lines), "12.2: no such row or column")
    if not factors:
        return list(lines)
    total = reach(factors)
    need(all(sum(total[i]) == 1 for i in lines), "12.2: not one place")
    found = [total[i].index(1) for i in lines]
    need(len(set(found)) == len(found), "12.2: the same place twice")
    return found


def peeled_chain(certificate: Typed) -> Verdict:
    """Section 12.3: all factors but one are closed, and this one is comparable through the next."""
    problem, side = certificate["problem"], word("first", "last")(certificate["side"])
    chain = problem["supports"]
    need(len(chain) > 1, "12.3: one factor")
    rest = chain[1:] if side == "first" else chain[:-1]
    turned_chain = [transposed(support) for support in reversed(chain)]
    *others, final = turned_chain if side == "first" else chain
    whole, near = (transposed(support) for support in (reach(others), others[-1]))

    def inside(a: Sequence[int], b: Sequence[int]) -> bool:
        return all(v or not u for u, v in zip(a, b, strict=True))

    def meet(a: Sequence[int], b: Sequence[int]) -> bool:
        return any(u and v for u, v in zip(a, b, strict=True))

    for k, m in combinations(range(len(final)), 2):
        if meet(whole[k], whole[m]) and meet(final[k], final[m]):
            one = inside(near[k], near[m]) and inside(final[m], final[k])
            other = inside(near[m], near[k]) and inside(final[k], final[m])
            need(one or other, "12.3: two terms are not comparable")
    left = Typed("Closedness", {"supports": tuple(rest), "field": problem["field"]})
    say(1, f"the {side} factor peels off")
    proof(certificate["rest"], left, "closed")
    text = f"the {side} factor meets the others in comparable terms, and they are closed"
    return "closed", text


# Sections 4, 13 and 14: proofs, training, repair and solutions


CLOSEDNESS: dict[str, Callable[[Typed], Verdict]] = {
    "SingleFactorCertificate": single,
    "ComparableCertificate": comparable_rectangles,
    "KroneckerChainCertificate": kronecker,
    "ReducedClosedCertificate": reduced,
    "NotClosedCertificate": not_closed,
    "ExternalExclusionCertificate": external,
    "ShortenedChainCertificate": shortened,
    "ChainLimitCertificate": chain_limit,
    "SubChainCertificate": sub_chain,
    "PeeledChainCertificate": peeled_chain,
}


def proof(certificate: Any, problem: Typed, value: str | None = None) -> bool:
    """Check a certificate of a problem, T1 and T2 or D1 to D4; return whether it relies on z3."""
    need(is_typed(certificate, LISTED[problem.kind]), "T1: a kind that is not listed")
    need(certificate["problem"] == problem, "D2: about another problem")
    answer = certificate["answer"]
    if problem.kind == "SparseTraining":
        return training(certificate, problem)
    if problem.kind == "NearestClosedSupport":
        return repair(certificate, problem)
    need(is_typed(answer, ["ClosednessVerdict"]), "V1: no verdict")
    need(value in (None, answer["value"]), "D3: another verdict")
    verdict, reason = CLOSEDNESS[certificate.kind](certificate)
    need(answer["value"] == verdict, "V2: the verdict is not that of the kind")
    need(answer["reason"] == reason, f"V4: the reason is not {reason!r}")
    return believes(certificate)


def believes(certificate: Typed) -> bool:
    """Whether the word of z3 is a part of a proof."""
    if certificate.kind == "SubChainCertificate":
        return believes(certificate["part"])
    return certificate.kind == "ExternalExclusionCertificate"


TREES = (
    "every hidden unit feeds one unit or one output, but for units of the last hidden layer whose "
    "outputs no other feeds: an optimum exists for all data"
)


def training(certificate: Typed, problem: Typed) -> bool:
    """Section 13: whether an optimum exists for all data."""
    answer, chain = certificate["answer"], problem["supports"]
    need(is_typed(answer, ["TrainingVerdict"]), "13: no verdict")
    if certificate.kind != "TrainingCertificate":
        return data_set(certificate, problem)
    inner = certificate["closedness"]
    if answer["value"] != "may_not_be_attained":
        need(answer["value"] == "attained", "13: no verdict is proved")
        need(inner is None, "13: nothing is to be proved of closedness")
        if answer["condition"] == "one hidden layer and one output: an optimum exists for all data":
            need(len(chain) == 2 and len(chain[0]) == 1, "13: not two factors and one output")
            return False
        need(answer["condition"] == TREES, "13: another condition")
        trees(problem)
        return False
    condition = "the set of products with these supports is not closed, "
    condition += "so some data set has no optimum"
    need(answer["condition"] == condition, "13: another condition")
    real = Typed("Closedness", {"supports": chain, "field": "real"})
    return proof(inner, real, "not_closed")


def trees(problem: Typed) -> None:
    """13.1: hidden units that feed one unit or output each, those of single outputs apart."""
    chain, depth = problem["supports"], len(problem["supports"])
    edges = [ones(support) for support in chain]
    up: list[set[int]] = [set(range(len(chain[0])))]
    for layer in edges:
        up.append({k for i, k in layer if i in up[-1]})
    down: list[set[int]] = [set(range(len(chain[-1][0])))]
    for layer in reversed(edges[1:]):
        down.insert(0, {i for i, k in layer if k in down[0]})
    live = [up[0]]
    live += [
        up[d] & down[d - 1] if not problem["hidden_biases"] else up[d] for d in range(1, depth)
    ]
    for d in range(1, depth):
        for k in live[d]:
            fed = [i for i in live[d - 1] if (i, k) in edges[d - 1]]
            if d > 1:
                need(len(fed) <= 1, f"13.1: unit {k} of a deeper layer feeds two")
                continue
            feeders = {q for i in fed for q in live[1] if (i, q) in edges[0]}
            need(len(fed) <= 1 or feeders == {k}, f"13.1: outputs of unit {k} have others")


sample_form = many(many(record(index, rational)))


def data_set(certificate: Typed, problem: Typed) -> bool:
    """13.2: a data set, and weights along which its error falls to 0 that none attain."""
    answer, chain = certificate["answer"], problem["supports"]
    need(answer["value"] == "may_not_be_attained", "13.2: another verdict")
    need(len(chain) > 1, "13.2: no hidden layer")
    layers = many(curve_form)(certificate["weights"])
    xs, ys = (sample_form(certificate[name]) for name in ("inputs", "targets"))
    need(len(layers) == len(chain), "13.2: number of layers")
    for layer, support in zip(layers, chain, strict=True):
        places = [(i, k) for i, k, _ in layer]
        need(len(set(places)) == len(places), "13.2: a weight twice")
        need(set(places) <= ones(support), "13.2: a weight outside the support")
    need(len(xs) == len(ys), "13.2: number of targets")
    for points, size in ((xs, len(chain[-1][0])), (ys, len(chain[0]))):
        for point in points:
            need(all(i < size for i, _ in point), "13.2: no such input or output")
            need(len({i for i, _ in point}) == len(point), "13.2: an entry twice")
    say(0, f"the outputs tend to the targets at {len(xs)} samples")
    pairs = [(dict(x), dict(y)) for x, y in zip(xs, ys, strict=True)]
    for x, y in pairs:
        outs = evaluated(layers, x)
        for i in {*outs, *y}:
            poly = outs.get(i, {})
            need(not any(e < 0 for e in poly), "13.2: a pole")
            need(poly.get(0, 0) == y.get(i, 0), "13.2: not the limit")
    opposites = certificate.kind == "OppositeTargetsCertificate"
    why = (opposite_targets if opposites else repeated_pattern)(certificate, problem, pairs)
    condition = f"a data set of {len(xs)} samples has no optimum: {why}"
    need(answer["condition"] == condition, f"13.2: the condition is not {condition!r}")
    return False


Series = dict[int, Fraction]


def evaluated(layers: Sequence[Any], x: dict[int, Fraction]) -> dict[int, Series]:
    """Return the outputs at x for small t > 0, as Laurent polynomials without zero terms."""
    acts: dict[int, Series] = {i: {0: v} for i, v in x.items() if v}
    for number, layer in enumerate(reversed(layers)):
        sums: dict[int, Series] = {}
        for i, k, poly in layer:
            total = sums.setdefault(i, {})
            for e, u in poly.items():
                for f, v in acts.get(k, {}).items():
                    total[e + f] = total.get(e + f, Fraction(0)) + u * v
        acts = {i: {e: v for e, v in total.items() if v} for i, total in sums.items()}
        if number < len(layers) - 1:
            acts = {i: p for i, p in acts.items() if p and p[min(p)] > 0}
    return acts


Samples = Sequence[tuple[dict[int, Fraction], dict[int, Fraction]]]


def opposite_targets(certificate: Typed, problem: Typed, pairs: Samples) -> str:
    """13.3: targets of the rank of all units that may act, and two that are opposite."""
    p, q = place(certificate["opposite"])
    chain, hidden = problem["supports"], problem["hidden_biases"]
    ins = sorted({i for x, _ in pairs for i, v in x.items() if v})
    outs = sorted({i for _, y in pairs for i, v in y.items() if v})
    if problem["output_biases"] and not hidden:
        need(any(not any(x.values()) for x, _ in pairs), "13.3: no sample x = 0")
    if problem["output_biases"] and hidden:
        need(len(chain) == 2, "13.3: both biases and deeper layers")
        need(all(v.denominator == 1 for x, _ in pairs for v in x.values()), "13.3: inputs")
        still = [[1, *(int(x.get(i, 0)) for i in ins)] for x, y in pairs if not any(y.values())]
        need(modular_rank(still) == len(ins) + 1, "13.3: too few directions with the target 0")
    need(all(v.denominator == 1 for _, y in pairs for v in y.values()), "13.3: targets")
    reached = set(ins)
    for support in reversed(chain[1:]):
        grown = {i for i, k in ones(support) if k in reached}
        reached = set(range(len(support))) if hidden else grown
    units = {k for i, k in ones(chain[0]) if i in set(outs) and k in reached}
    table = [[int(y.get(i, 0)) for _, y in pairs] for i in outs]
    say(0, f"{len(units)} units may act")
    need(modular_rank(table) >= len(units), "13.3: the rank of the targets")
    need(max(p, q) < len(pairs), "13.3: no such samples")
    need(all(row[p] == -row[q] for row in table), "13.3: not opposite")
    need(any(row[p] for row in table), "13.3: targets that are 0")
    why = "its targets need every hidden unit, and those of samples"
    return f"{why} {p} and {q} are opposite"


PRIME = 2_147_483_629


def modular_rank(rows: Sequence[Sequence[int]]) -> int:
    """Return the rank of integer rows modulo `PRIME`."""
    left = [[v % PRIME for v in row] for row in rows]
    count = 0
    while left:
        top = left.pop()
        at = next((j for j, v in enumerate(top) if v), None)
        if at is None:
            continue
        count, scale = count + 1, pow(top[at], -1, PRIME)
        for row in left:
            if row[at]:
                factor = row[at] * scale % PRIME
                row[:] = [(a - factor * b) % PRIME for a, b in zip(row, top, strict=True)]
    return count


def repeated_pattern(certificate: Typed, problem: Typed, pairs: Samples) -> str:
    """13.4: more samples on a curve than units can tell apart, images under a limit."""
    chain, inner = problem["supports"], certificate["closedness"]
    need(len(chain) == 2, "13.4: not one hidden layer")
    need(is_typed(inner, ["NotClosedCertificate"]), "13.4: no limit")
    proof(inner, Typed("Closedness", {"supports": chain, "field": "real"}), "not_closed")
    rows, cols = indices(inner["rows"]), indices(inner["columns"])
    limit = many(many(rational))(inner["limit"])
    nodes = set()
    for x, y in pairs:
        s = x.get(cols[0], Fraction(0)) if cols else Fraction(0)
        need(s > 0 and s not in nodes, "13.4: a point behind 0, or twice")
        nodes.add(s)
        powers = {j: s**e for e, j in enumerate(cols, start=1)}
        need({j: v for j, v in x.items() if v} == powers, "13.4: no point of the curve")
        image = {
            i: sum(v * powers[j] for v, j in zip(row, cols, strict=True))
            for i, row in zip(rows, limit, strict=True)
        }
        wanted = {i: v for i, v in image.items() if v}
        need({i: v for i, v in y.items() if v} == wanted, "13.4: no image")
    n, hidden = len(cols), problem["hidden_biases"]
    feeding = {k for _, k in ones(chain[0])}
    units = {k for k, j in ones(chain[1]) if j in cols and k in feeding}
    points = n + 1 if hidden or problem["output_biases"] else n
    most = (len(units) * (n if hidden else n - 1) + 1) * (points - 1)
    need(len(pairs) > most, f"13.4: no more than {most} samples")
    return (
        "weights that attain its targets would make a product of a limit of products that is none"
    )


def repair(certificate: Typed, problem: Typed) -> bool:
    """Section 14: supports that are closed, and how many changes they need at least."""
    answer, given = certificate["answer"], problem["supports"]
    need(is_typed(answer, ["ClosedSupport"]), "14.1: no supports")
    new, field = answer["supports"], problem["field"]
    sizes = [[(len(s), len(s[0])) for s in pair] for pair in (given, new)]
    need(sizes[0] == sizes[1], "14.1: other shapes")
    removed = sum(len(ones(a) - ones(b)) for a, b in zip(given, new, strict=True))
    added = sum(len(ones(b) - ones(a)) for a, b in zip(given, new, strict=True))
    say(0, f"{removed} entries are removed, {added} added")
    forbidden = {"remove": added, "add": removed, "both": 0}[problem["allow"]]
    need(not forbidden, "14.2: a change that is not allowed")
    need(answer["changes"] == removed + added, "14.3: number of changes")
    changed = [ones(a) ^ ones(b) for a, b in zip(given, new, strict=True)]
    paid = None
    if problem["costs"] is not None:
        pairs = zip(problem["costs"], changed, strict=True)
        paid = sum((cost[a][b] for cost, cells in pairs for a, b in cells), Fraction(0))
    need(answer["cost"] == paid, "14.3: cost")
    if problem["keep_lines"]:
        rows, cols = ([{c[s] for c in ones(p[s])} for p in (given, new)] for s in (0, 1))
        need(rows[0] <= rows[1] and cols[0] <= cols[1], "14.3: a line is cut off")
    say(0, "the new supports are closed:")
    new_problem = Typed("Closedness", {"supports": new, "field": field})
    proof(certificate["closedness"], new_problem, "closed")
    windows = items(certificate["windows"])
    by_cores = weighed(certificate.fields.get("cores", ()), problem)
    need(max(len(windows), by_cores) == answer["lower_bound"], "14.5: the lower bound")
    need(paid is None or not windows, "14.5: changes are counted")
    old_problem = Typed("Closedness", {"supports": given, "field": field})
    for window in windows:
        need(is_typed(window, ["NotClosedCertificate"]), "14.5: no such window")
        say(0, "an entry has to change in these rows or columns:")
        proof(window, old_problem, "not_closed")
    for name in ("rows", "columns"):
        lines = [i for window in windows for i in window[name]]
        need(len(set(lines)) == len(lines), f"14.5: windows share {name}")
    return False


Entry = tuple[int, int, int]


def couple(value: Any) -> tuple[int, ...]:
    """Return two distinct indices."""
    found = indices(value)
    need(len(found) == 2, "5: two indices")
    return found


def weighed(value: Any, problem: Typed) -> Fraction | int:
    """14.6: return the bound that windows with weights prove."""
    blocker = record(index, word("row", "column"), index, index, index)
    zero = record(integer(0, 1), index, index)
    form = record(index, couple, couple, index, many(blocker), many(zero), rational)
    allow, total = problem["allow"], Fraction(0)
    loads: dict[Entry, Fraction] = {}
    for core in many(form)(value):
        for entry in held(core, problem["supports"], allow):
            loads[entry] = loads.get(entry, Fraction(0)) + core[-1]
        total += core[-1]
    for (f, a, b), load in loads.items():
        most = 1 if problem["costs"] is None else problem["costs"][f][a][b]
        need(load <= most, "14.6: the weights at an entry exceed its cost")
    if loads:
        say(0, f"{len(loads)} entries carry windows of weight {float(total):.6g}")
    return math.ceil(total) if problem["costs"] is None else total


def held(core: Any, pair: Sequence[Matrix], allow: str) -> set[Entry]:
    """14.6: return the entries that keep a window alive, after checking that it is one."""
    k, (i1, i2), (j1, j2), ell, blocking, zeros, weight = core
    left, right = pair
    terms, m, n = len(right), len(left), len(right[0])
    need(k < terms and ell < terms and k != ell, "14.6: the terms")
    need(max(i1, i2) < m and max(j1, j2) < n, "14.6: a row or column")
    need(weight > 0, "14.6: the weight")
    six = {(0, i1, k), (0, i2, k), (1, k, j1), (1, k, j2), (0, i2, ell), (1, ell, j2)}
    need(all(pair[f][a][b] for f, a, b in six), "14.6: one of the six entries is 0")
    corners = [(i1, j1), (i1, j2), (i2, j1)]
    if allow != "remove":
        need(not blocking, "14.6: blockers, where entries may be added")
        for f, a, b in zeros:
            need(a < len(pair[f]) and b < len(pair[f][0]), "14.6: a zero does not exist")
            need(not pair[f][a][b], "14.6: a zero is 1")
        for i, j in corners:
            for c in set(range(terms)) - {k}:
                need((0, i, c) in zeros or (1, c, j) in zeros, "14.6: a zero is missing")
        return set(zeros) | (six if allow == "both" else set())
    need(not zeros, "14.6: zeros, where entries are removed")

    def over(i: int, j: int) -> set[int]:
        return {c for c in range(terms) if left[i][c] and right[c][j]}

    lines: dict[int, tuple[str, int]] = {}
    for c, way, line, i, j in blocking:
        need(c < terms and c not in {k, ell, *lines}, "14.6: the term of a blocker")
        need(i < m and j < n and line < (m if way == "row" else n), "14.6: a blocker's place")
        need(line != (i if way == "row" else j), "14.6: a blocker in its line")
        other = (line, j) if way == "row" else (i, line)
        need(over(i, j) == over(*other) == {c}, "14.6: a blocker's cells are not single")
        lines[c] = (way, line)
    for i, j in corners:
        for c in over(i, j) - {k}:
            need(lines.get(c) in (("row", i), ("column", j)), "14.6: a term is not blocked")
    return six | {e for c, _, _, i, j in blocking for e in ((0, i, c), (1, c, j))}


def check(text: str) -> tuple[str, str]:
    """Return the outcome for a text and, if it was refused, why."""
    try:
        value = Reader().read(parse(text))
        known = is_typed(value, ["Solution", *CERTIFICATES])
        need(known, "4: neither a certificate nor a solution")
    except Refused as error:
        return "unreadable", str(error)
    try:
        relies = judge(value, value["certificate"] if value.kind == "Solution" else value)
    except Refused as error:
        return "refused", str(error)
    return ("relies on", "z3") if relies else ("accepted", "")


def judge(value: Typed, certificate: Any) -> bool:
    """Check a certificate, alone or in a solution; return whether it relies on z3."""
    need(certificate is not None, "S1: no certificate")
    need(is_typed(value["problem"], LISTED), "T1: no problem of this page")
    log.info("claim: %s", claim(value["problem"], certificate["answer"]))
    relies = proof(certificate, value["problem"])
    need(certificate["answer"] == value["answer"], "S3: the answers differ")
    if value.kind == "Solution":
        proved = value["status"] in ("VERIFIED", "WEAK", "UNCHECKED")
        need(proved, "S1: the status denies the certificate that is there")
        if value["status"] == "VERIFIED":
            accurate(value)
    return relies


def accurate(value: Typed) -> None:
    """Check the tolerance of a solution, S5."""
    tolerance, answer, accuracy = value.fields.get("tolerance"), value["answer"], Fraction(0)
    if answer.kind == "ClosedSupport":
        far = answer["changes"] if answer["cost"] is None else answer["cost"]
        accuracy = Fraction(max(0, far - answer["lower_bound"])) / far if far else Fraction(0)
    need(tolerance is None or accuracy <= tolerance, "S5: not within the tolerance")


def claim(problem: Typed, answer: Any) -> str:
    """Return in words what a certificate claims."""
    shown = " * ".join("/".join("".join(map(str, row)) for row in s) for s in problem["supports"])
    if is_typed(answer, ["ClosednessVerdict"]):
        field = f" ({problem.fields.get('field', 'real')})"
        return f"the set of products with supports {shown}{field} is {answer['value']}"
    if is_typed(answer, ["TrainingVerdict"]):
        return f"an optimum of training with supports {shown}: {answer['value']}"
    if is_typed(answer, ["ClosedSupport"]):
        counts = f"{answer['changes']} changes, at least {answer['lower_bound']}"
        return f"closed supports near {shown}: {counts}"
    return f"something about supports {shown}"


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
    try:
        regular = path.is_file() and path.stat().st_size <= 2**30
        need(regular, "R1: no regular file of at most 2^30 bytes")
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"R1: {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a file and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="default: the supports of an LU")
    parser.add_argument("--quick", action="store_true", help="makes no difference here")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    try:
        text = EXAMPLE if chosen.file is None else load(chosen.file)
        outcome, why = check(text)
    except Refused as error:
        outcome, why = "unreadable", str(error)
    words = {"relies on": "relies on z3: all else holds", "accepted": "accepted"}
    print(words.get(outcome, f"{outcome}: {why}"))
    return {"accepted": 0, "refused": 1, "unreadable": 2, "relies on": 3}[outcome]


if __name__ == "__main__":
    sys.exit(main())
