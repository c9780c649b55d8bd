"""JSON round trip: exact, lossless, safe."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from toys import RootCertificate, SquareRoot

import sparseopt as so
from sparseopt.interface import json_type
from sparseopt.judging.json_arrays import READABLE_SIZE
from sparseopt.judging.serialization import same_content


def round_trip(value: object) -> object:
    return so.from_json(so.to_json(value))


@given(st.floats(allow_nan=True))
def test_floats_are_lossless(value: float) -> None:
    back = round_trip(value)
    assert np.array_equal(np.float64(back).view(np.int64), np.float64(value).view(np.int64)) or (
        np.isnan(back) and np.isnan(value)
    )


@given(
    hnp.arrays(
        st.sampled_from(["?", "i1", "u8", "<i8", "f2", "f4", "f8", "c8", "c16", ">f8"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_arrays_keep_every_bit(array: np.ndarray) -> None:
    back = round_trip(array)
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back, array)


def test_large_arrays_keep_every_bit() -> None:
    array = np.random.default_rng(0).standard_normal((READABLE_SIZE, 2))[::2]
    back = round_trip(array)
    assert back.tobytes() == np.ascontiguousarray(array).tobytes()
    assert back.flags.writeable


@given(st.fractions(), st.integers())
def test_rationals_and_integers_are_exact(fraction: Fraction, integer: int) -> None:
    values = [fraction, integer, (fraction,), {"a": integer}, {1: fraction}]
    assert round_trip(values) == values
    exact = np.array([[fraction, integer]], dtype=object)
    assert round_trip(exact).tolist() == exact.tolist()


def test_sparse_matrices() -> None:
    matrix = scipy.sparse.random_array((7, 5), density=0.3, random_state=0)
    back = round_trip(matrix.tocsc())
    assert back.format == "csc"
    assert (back != matrix).nnz == 0


def test_what_a_sparse_file_may_say() -> None:
    assert so.from_json(sparse()).toarray().tolist() == [[1, 0], [0, 1]]
    for dtype in ("|u1", "<i2", "<u8"):
        found = so.from_json(sparse(format="csr", shape=[2, 2**27], indices=(dtype, [0, 1])))
        assert found.shape == (2, 2**27)
        assert found.nnz == 2


def test_sparse_matrices_are_written_so_that_they_can_be_read() -> None:
    doubled = scipy.sparse.coo_array(([1.0, 2.0, 3.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 3))
    unsorted = scipy.sparse.csr_array(([1.0, 2.0], [2, 0], [0, 2, 2]), shape=(2, 3))
    for matrix in (doubled, unsorted, doubled.tocsc(), scipy.sparse.csr_array((0, 3))):
        assert (round_trip(matrix) != matrix).nnz == 0


@pytest.mark.parametrize(
    ("dtype", "values"), [("<f2", [1e9, -1e9]), (">f4", [1e39, -1e39]), ("<c8", [1e39, -1e39])]
)
def test_numbers_beyond_a_dtype_are_infinite_without_a_warning(
    dtype: str, values: list[float]
) -> None:
    shape = [len(values) // (2 if dtype == "<c8" else 1)]
    text = json.dumps({"$array": {"dtype": dtype, "shape": shape, "values": values}})
    found = so.from_json(text)
    parts = found.view(np.float32) if dtype == "<c8" else found
    assert parts.tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("dtype", ["<c8", ">c8", "<c16", ">c16"])
def test_complex_numbers_of_either_byte_order(dtype: str) -> None:
    text = json.dumps({"$array": {"dtype": dtype, "shape": [1], "values": [1, 2]}})
    assert so.from_json(text).tolist() == [1 + 2j]


def test_special_values_and_keys() -> None:
    values = [None, True, "x", 1j, {"$a": 1}, float("inf"), (1, (2,)), np.float32(0.1), np.int8(3)]
    assert round_trip(values) == values


def test_a_shared_object_is_written_once() -> None:
    problem = SquareRoot(9)
    text = so.to_json([problem, RootCertificate(problem, 3)])
    assert text.count("toys:SquareRoot") == 1
    first, certificate = so.from_json(text)
    assert certificate.problem is first


def test_equal_small_objects_are_not_confused() -> None:
    arrays = [np.zeros(2), np.ones(2)]
    text = so.to_json([arrays[0], arrays[1], arrays[0]])
    back = so.from_json(text)
    assert back[0] is back[2]
    np.testing.assert_array_equal(back[1], np.ones(2))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ('{"a": [1,', "cut short"),
        ('{"$type": "os:system"}', "no installed plugin declares"),
        ('{"$type": "toys:SquareRoot", "number": -1, "sign": "any"}', "must not be negative"),
        ('{"$type": "toys:SquareRoot", "number": 1}', "missing"),
        ('{"$array": {"dtype": "object", "shape": [1], "values": ["x"]}}', "rationals"),
        ('{"$array": {"dtype": "<f8", "shape": [2], "values": [1.0]}}', "list of 2 values"),
        ('{"$array": {"dtype": "<i8", "shape": [1], "values": [1.5]}}', "another type"),
        ('{"$array": {"dtype": "V8", "shape": [1], "values": [1.5]}}', "not allowed"),
        ('{"$ref": "/x"}', "points to nothing"),
        ('{"$unknown": 1}', "unknown key"),
        ("[" * 100000, "nested more deeply"),
    ],
)
def test_bad_text_is_one_clear_error(text: str, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.from_json(text)


def test_what_cannot_be_written_is_named() -> None:
    with pytest.raises(so.ProblemError, match=r"function cannot be written.*a/0"):
        so.to_json({"a": [lambda: None]})


def test_same_content_tells_apart() -> None:
    assert same_content(SquareRoot(4), SquareRoot(4))
    assert not same_content(SquareRoot(4), SquareRoot(9))
    assert not same_content(np.zeros(2), np.zeros(2, dtype=np.float32))


def test_json_is_plain_json() -> None:
    assert json.loads(so.to_json({"a": [1, 2.5]})) == {"a": [1, 2.5]}


def sparse(**changes: object) -> str:
    """Return the JSON of a sparse 2 x 2 identity with changes; lists become arrays."""
    body: dict[str, object] = {
        "format": "csc",
        "shape": [2, 2],
        "data": ("<f8", [1.0, 1.0]),
        "indices": ("<i4", [0, 1]),
        "indptr": ("<i4", [0, 1, 2]),
    }
    for name, value in (body | changes).items():
        if isinstance(value, tuple):
            dtype, values = value
            count = len(values) // (2 if dtype == "<c16" else 1)
            value = {"$array": {"dtype": dtype, "shape": [count], "values": values}}
        body[name] = value
    return json.dumps({"$sparse": body})


# scipy's own check finds nothing wrong with it, and writing it out ends the process
BEHIND_ITS_ARRAYS = sparse(indptr=("<i4", [0, 3222787, -1880445338]))


@pytest.mark.parametrize(
    "text",
    [
        '{"$fraction": "1e999999999"}',
        '{"$fraction": "0.5"}',
        '{"$fraction": 1}',
        '{"$fraction": "1/0"}',
        '{"$fraction": "' + "9" * 5000 + '"}',
        "1" * 5000,
        '{"a": -' + "1" * 5000 + "}",
        "1e999",
        "NaN",
        '{"$float": "1e3"}',
        '{"$float": null}',
        '{"$complex": [1]}',
        '{"$complex": ["x", 1]}',
        "[" * 200 + "]" * 200,
        '{"a":' * 300 + "1" + "}" * 300,
        '{"$tuple": [' * 160 + "]}" * 160,
        '{"$array": {"dtype": "<f8", "shape": [1000000000000, 1000000000000], "values": []}}',
        '{"$array": {"dtype": "<f8", "shape": [0, 1000000000000000], "values": []}}',
        '{"$array": {"dtype": "<f8", "shape": [1000000000], "base64": ""}}',
        '{"$array": {"dtype": "<f8", "shape": [true], "values": [1.0]}}',
        '{"$array": {"dtype": "<f8", "shape": [1], "values": [true]}}',
        '{"$array": {"dtype": "<f8", "shape": [1], "values": ["0x1"]}}',
        '{"$array": {"dtype": "<i8", "shape": [1], "values": [true]}}',
        '{"$array": {"dtype": "<i8", "shape": [1], "values": [99999999999999999999]}}',
        '{"$array": {"dtype": "<f16", "shape": [0], "values": []}}',
        '{"$array": {"dtype": "M8[s]", "shape": [0], "values": []}}',
        '{"$array": {"dtype": "|b1", "shape": [2], "base64": "AQI="}}',
        '{"$array": {"dtype": "|b1", "shape": [1], "values": [2]}}',
        '{"$array": {"dtype": "object", "shape": [1], "values": [true]}}',
        '{"$array": {"dtype": "object", "shape": [1], "values": [0.5]}}',
        '{"$array": {"dtype": "|u1", "shape": [1], "base64": "**"}}',
        '{"$array": 3}',
        '{"$sparse": {"format": "csr", "shape": [1000000000000000, 2]}}',
        '{"$sparse": 3}',
        BEHIND_ITS_ARRAYS,
        sparse(indices=("<f8", [0.7, 1.0])),
        sparse(indices=("object", [0, 1])),
        sparse(indices=("<c16", [0.0, 0.0, 1.0, 0.0])),
        sparse(indices=("|b1", [False, True])),
        sparse(indptr=("<f8", [0.0, 1.9, 2.0])),
        sparse(data=("<f8", [1.0, 1.0, 5.0])),
        sparse(indices=("<i4", [0, 1, 9]), data=("<f8", [1.0, 1.0, 5.0])),
        sparse(indices=("<i4", [0, 0]), indptr=("<i4", [0, 2, 2])),
        sparse(data=("|u1", [255, 2]), indices=("<i4", [0, 0]), indptr=("<i4", [0, 2, 2])),
        sparse(indices=("<i4", [1, 0]), indptr=("<i4", [0, 2, 2])),
        sparse(indices=("<i4", [0, 2])),
        sparse(indices=("<i4", [-1, 1])),
        sparse(indptr=("<i4", [0, 1])),
        sparse(shape=[2, 10**9]),
        sparse(format="csr", shape=[10**9, 2]),
        sparse(shape=[2**27 + 1, 2]),
        sparse(shape=[2, 2, 1]),
        sparse(shape="22"),
        sparse(shape=[2, True]),
        sparse(format="coo"),
        sparse(format=["csc"]),
        sparse(remark=""),
        sparse(indices={"$array": {"dtype": "<i4", "shape": [2], "values": [0, 1]}, "more": 1}),
        '{"$array": {"dtype": "<f8", "shape": "", "values": [1.0]}}',
        '{"$array": {"dtype": "<f8", "shape": {}, "values": [1.0]}}',
        '{"$tuple": ""}',
        '{"$tuple": "ab"}',
        '{"$tuple": {}}',
        '{"$tuple": {"a": 1}}',
        '{"$complex": {"inf": 0, "nan": 0}}',
        '{"$map": ""}',
        '{"$map": {"ab": 0}}',
        '{"$map": ["ab"]}',
        '{"$map": [[0, 1, 2]]}',
        '{"$map": [{"$tuple": [0, 1]}]}',
        '{"$map": {"$tuple": [[0, 1]]}}',
        '{"$map": {"$array": {"dtype": "object", "shape": [1, 2], "values": [0, 1]}}}',
        '{"$map": [[1, 5], [true, 1]]}',
        '{"$map": [[1, 5], [1.0, 1]]}',
        '{"$map": [[1, 5], [{"$fraction": "2/2"}, 1]]}',
        '{"$map": [["a", 5], ["a", 5]]}',
        '{"$type": "sparseopt:Guarantee", "name": "EXACT", "more": 1}',
        '{"$type": "sparseopt:Guarantee"}',
        '{"$map": [[[1], 2]]}',
        '{"$map": 1}',
        '{"$type": 3}',
        '{"$type": "os:system"}',
        '{"$type": "sparseopt:Nothing"}',
        '{"$type": "sparseopt:Closedness"}',
        '{"$type": "sparseopt:Guarantee", "name": "BEST"}',
        '{"$ref": ["/x"]}',
    ],
)
def test_what_a_text_may_ask_for_is_limited(text: str) -> None:
    with pytest.raises(so.ProblemError) as caught:
        so.from_json(text)
    assert len(str(caught.value)) < 400


def test_rationals_of_very_many_digits_travel() -> None:
    value = [Fraction(-(3**20000), 7**9000), Fraction(5, 2**30000)]
    assert round_trip(value) == value


def test_what_is_too_deep_to_be_read_is_not_written() -> None:
    value: list[object] = []
    for _ in range(200):
        value = [value]
    with pytest.raises(so.ProblemError, match="nested more deeply"):
        so.to_json(value)


def test_the_table_of_json_names_is_complete() -> None:
    from sparseopt.judging.json_types import HOMES, OTHERS

    for name in ("cli", "testing", "__main__"):
        assert name not in HOMES.values()
    for module in pkgutil.walk_packages(so.__path__, "sparseopt."):
        if module.name.split(".")[1] not in ("cli", "testing", "__main__"):
            importlib.import_module(module.name)
    own = [t.partition(":")[2] for t in json_type.known_types if t.startswith("sparseopt:")]
    assert set(HOMES) <= set(own)
    for name in own:
        cls = json_type.known_types[f"sparseopt:{name}"]
        assert (cls.__module__ + ".").startswith(HOMES.get(name, OTHERS) + ".")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_reading_a_class_imports_its_home() -> None:
    from sparseopt.judging.json_types import HOMES

    names = [*{home: name for name, home in HOMES.items()}.values(), "Node", "Dense", "AxisMap"]
    code = (  # a process for each, which has imported the home of no other
        "import os, sys\n"
        "import networkx, scipy.linalg, scipy.optimize, scipy.sparse.linalg, scipy.special\n"
        "import sparseopt\n"
        "from sparseopt.judging import serialization\n"
        "for name in sys.argv[1:]:\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        try:\n"
        "            found = serialization._find_type(f'sparseopt:{name}').__name__\n"
        "            print(found, flush=True)\n"
        "        finally:\n"
        "            os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True)
    assert done.stdout.split() == names, done.stderr


def test_slashes_in_keys_do_not_mix_objects_up() -> None:
    one, two = np.ones(1), np.zeros(2)
    found = round_trip([{"a/b": one, "a": {"b": two}, "a~1b": two}, one, two])
    assert isinstance(found, list)
    assert found[1] is found[0]["a/b"]
    assert found[2] is found[0]["a"]["b"] is found[0]["a~1b"]
    np.testing.assert_array_equal(found[1], one)
