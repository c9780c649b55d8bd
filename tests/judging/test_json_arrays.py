"""Arrays in JSON: what is written is read back, and what does not fit is refused by a sentence."""

from __future__ import annotations

import base64
import json
import tracemalloc
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import sparseopt as so
from sparseopt.judging import limits
from sparseopt.judging.json_arrays import (
    MOST_ENTRIES,
    READABLE_SIZE,
    array_from_json,
    array_to_json,
    sparse_from_json,
    sparse_to_json,
)

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]


def numbers(dtype: str, size: int) -> np.ndarray:
    rng = np.random.default_rng(size)
    found = rng.integers(0, 2, size).astype(dtype)
    if np.dtype(dtype).kind in "fc":
        found = (rng.standard_normal(size) + 1j * rng.standard_normal(size)).astype(
            dtype if np.dtype(dtype).kind == "c" else complex
        )
        found = found if np.dtype(dtype).kind == "c" else found.real.astype(dtype)
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0, 1, 6, READABLE_SIZE, READABLE_SIZE + 1])
def test_what_is_written_is_read_back(dtype: str, size: int) -> None:
    array = numbers(dtype, size)
    body = json.loads(json.dumps(array_to_json(array)))
    assert ("values" in body["$array"]) == (size <= READABLE_SIZE)
    found = array_from_json(body["$array"])
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_other_byte_orders_shapes_and_layouts() -> None:
    array = np.arange(12.0).reshape(3, 4)
    for given in (array.astype(">f8"), np.asfortranarray(array), array[::-1, ::2]):
        found = array_from_json(array_to_json(given)["$array"])
        assert found.dtype == np.dtype("f8")
        np.testing.assert_array_equal(found, given)
    odd = np.array([np.inf, -np.inf, np.nan, -0.0, 5e-324])
    np.testing.assert_array_equal(array_from_json(array_to_json(odd)["$array"]), odd)


def test_rationals_are_exact() -> None:
    array = np.array([[Fraction(1, 49), 3], [-(10**30), Fraction(10**400 + 1, 7)]], dtype=object)
    found = array_from_json(json.loads(json.dumps(array_to_json(array)))["$array"])
    assert found.dtype == object
    assert (found == array).all()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array(["a"]), "of dtype <U1 cannot be written as JSON"),
        (np.zeros(2, dtype="M8[s]"), "cannot be written as JSON"),
        (np.zeros(2, dtype=[("x", "f8")]), "cannot be written as JSON"),
        (np.array([True, 1], dtype=object), "only integers and rationals"),
        (np.array([0.5], dtype=object), "only integers and rationals"),
    ],
)
def test_what_is_not_written(array: np.ndarray, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        array_to_json(array)


@pytest.mark.skipif(np.dtype("g").itemsize <= 8, reason="no longer floats here")
@pytest.mark.parametrize("letter", ["g", "G"])
def test_longer_floats_are_not_written_in_fewer_digits(letter: str) -> None:
    array = np.ones(2, dtype=letter)
    if array.dtype.itemsize > 16:
        with pytest.raises(so.ProblemError, match="cannot be written as JSON"):
            array_to_json(array)
    else:
        with pytest.raises(so.ProblemError, match="is not allowed"):
            array_from_json(array_to_json(array)["$array"])


def bits(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "too few bytes": ({"dtype": "<f8", "shape": [2], "base64": bits(bytes(15))}, "holds 15 bytes"),
    "too many bytes": ({"dtype": "<f8", "shape": [2], "base64": bits(bytes(24))}, "holds 24 bytes"),
    "a byte above 1": ({"dtype": "|b1", "shape": [2], "base64": bits(b"\1\2")}, "a byte above 1"),
    "a boolean of 2": ({"dtype": "|b1", "shape": [1], "values": [2]}, "of another type"),
    "a boolean of 1": ({"dtype": "|b1", "shape": [1], "values": [1]}, "of another type"),
    "an integer of true": ({"dtype": "<i8", "shape": [1], "values": [True]}, "of another type"),
    "an integer of 1.0": ({"dtype": "<i8", "shape": [1], "values": [1.0]}, "of another type"),
    "too few values": ({"dtype": "<f8", "shape": [2], "values": [1.0]}, "list of 2 values"),
    "half a complex": ({"dtype": "<c16", "shape": [1], "values": [1.0]}, "list of 2 values"),
    "a text of values": ({"dtype": "<f8", "shape": [1], "values": "1"}, "list of 1 values"),
    "a float object": ({"dtype": "object", "shape": [1], "values": [0.5]}, "only integers and"),
    "a true object": ({"dtype": "object", "shape": [1], "values": [True]}, "only integers and"),
    "another object": (
        {"dtype": "object", "shape": [1], "values": [{"$float": "1"}]},
        "only integers and",
    ),
    "two keys": (
        {"dtype": "object", "shape": [1], "values": [{"$fraction": "1/2", "x": 1}]},
        "only integers and",
    ),
    "a negative size": ({"dtype": "<f8", "shape": [-1], "values": []}, "not a list of sizes"),
    "a size of true": ({"dtype": "<f8", "shape": [True], "values": [1.0]}, "not a list of sizes"),
    "a size of 1.0": ({"dtype": "<f8", "shape": [1.0], "values": [1.0]}, "not a list of sizes"),
    "a number for a shape": ({"dtype": "<f8", "shape": 1, "values": [1.0]}, "not a list of sizes"),
    "many axes": ({"dtype": "<f8", "shape": [1] * 33, "values": [1.0]}, "not a list of sizes"),
    "a large shape": ({"dtype": "<f8", "shape": [MOST_ENTRIES, 2], "values": []}, "too large"),
    "a hidden size": ({"dtype": "<f8", "shape": [0, 2**20 + 1], "values": []}, "too large"),
    "hidden sizes": ({"dtype": "<f8", "shape": [2**11, 2**10, 0], "values": []}, "too large"),
    "hidden objects": ({"dtype": "object", "shape": [2**40, 0], "values": []}, "too large"),
    "hidden bytes": ({"dtype": "|b1", "shape": [2**21, 0], "base64": ""}, "too large"),
    "an object dtype": ({"dtype": "|O", "shape": [1], "values": [1]}, "is not allowed"),
    "a long double": ({"dtype": "<f16", "shape": [1], "values": [1.0]}, "is not allowed"),
    "a text": ({"dtype": "<U1", "shape": [1], "values": ["a"]}, "is not allowed"),
    "no dtype": ({"dtype": 8, "shape": [1], "values": [1]}, "is not allowed"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused(name: str) -> None:
    body, words = WRONG[name]
    with pytest.raises(so.ProblemError, match=words):
        array_from_json(body)


def test_as_many_axes_and_entries_as_are_allowed() -> None:
    assert array_from_json({"dtype": "<f8", "shape": [1] * 32, "values": [2.0]}).ndim == 32
    most = {"dtype": "<f8", "shape": [0, limits.EMPTY_SIZES], "values": []}
    assert array_from_json(most).shape == (0, limits.EMPTY_SIZES)


@pytest.mark.parametrize(
    "body",
    [
        {"$type": "sparseopt:Closedness", "supports": [2**40, 0, 0], "field": "real"},
        {"$type": "sparseopt:Closedness", "supports": [2**10, 2**10, 0], "field": "real"},
        {"$type": "sparseopt:GroupL1", "groups": [2**40, 0]},
        {"$type": "sparseopt:GroupL1", "groups": [1, 2**20, 0]},
    ],
)
def test_small_files_ask_for_little(body: dict[str, Any]) -> None:
    """The sizes of an array without entries are no work that a file need not pay for."""
    place = "supports" if "supports" in body else "groups"
    body[place] = {"$array": {"dtype": "|b1", "shape": body[place], "values": []}}
    if place == "groups":
        body |= {"strength": 1.0, "weights": None, "positive": False}
    tracemalloc.start()
    try:
        with pytest.raises(so.ProblemError):
            so.from_json(json.dumps(body))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_boolean_byte_above_1_does_not_enter_a_problem() -> None:
    text = so.to_json(so.Closedness([[[1, 0]], [[1], [1]]]))
    body = json.loads(text)
    first = body["supports"]["$tuple"][0]["$array"]
    first.pop("values")
    first["base64"] = bits(b"\2\0")
    with pytest.raises(so.ProblemError, match="a byte above 1"):
        so.from_json(json.dumps(body))


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_sparse_arrays_are_read_back(form: str) -> None:
    matrix = scipy.sparse.random_array((5, 7), density=0.3, format=form, random_state=0)
    found = sparse_from_json(json.loads(json.dumps(sparse_to_json(matrix)))["$sparse"])
    assert found.format == (form if form != "coo" else "csr")
    np.testing.assert_array_equal(found.toarray(), matrix.toarray())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "coo"}, "sparse format 'coo' is not allowed"),
        ({"shape": [5]}, "not enough values"),
        ({"shape": [4, 7]}, "do not fit its shape"),
        ({"extra": 1}, "an object with the keys"),
        ({"data": [1.0]}, "an object with the keys"),
        ({"data": {"$array": {}, "x": 1}}, "an object with the keys"),
    ],
)
def test_sparse_arrays_that_do_not_fit_are_refused(change: dict[str, Any], words: str) -> None:
    body = sparse_to_json(scipy.sparse.eye_array(5, 7, format="csr"))["$sparse"] | change
    with pytest.raises((so.ProblemError, ValueError), match=words):
        sparse_from_json(body)


def test_one_place_given_twice_is_refused() -> None:
    body = sparse_to_json(scipy.sparse.csr_array(np.array([[1.0, 2.0]])))["$sparse"]
    body["indices"] = array_to_json(np.array([1, 1], dtype=np.int32))
    with pytest.raises(so.ProblemError, match="none given twice"):
        sparse_from_json(body)
