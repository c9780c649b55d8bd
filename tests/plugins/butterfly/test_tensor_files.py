"""Products and layers go through files of safetensors and come back; other files are refused."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import sparseopt as so
from sparseopt.tools.tensor_file import read_tensors

PATTERNS = so.Architecture.monarch(8, 6, 2, 3)
REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def product(dtype: Any) -> so.KroneckerProduct:
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(pattern.values_shape) for pattern in PATTERNS]
    if np.issubdtype(dtype, np.complexfloating):
        values = [v * (1 + 2j) for v in values]
    return so.KroneckerProduct([v.astype(dtype) for v in values], PATTERNS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_a_product_comes_back_bit_by_bit(dtype: Any, tmp_path: Path) -> None:
    path, made = tmp_path / "p.safetensors", product(dtype)
    so.save_safetensors(made, path)
    back = so.load_safetensors(path)
    assert isinstance(back, so.KroneckerProduct)
    assert back.architecture == PATTERNS
    for old, new in zip(made.factors, back.factors, strict=True):
        assert new.dtype == dtype
        np.testing.assert_array_equal(old, new)
    assert [file.name for file in tmp_path.iterdir()] == ["p.safetensors"]


def test_views_and_other_byte_orders_are_written_as_they_read(tmp_path: Path) -> None:
    made = product(np.float64)
    turned = made.T  # its factors are views that are not contiguous
    so.save_safetensors(turned, tmp_path / "p.safetensors")
    np.testing.assert_array_equal(
        so.load_safetensors(tmp_path / "p.safetensors").to_dense(), made.to_dense().T
    )
    on_torch = so.KroneckerProduct([torch.from_numpy(f.copy()) for f in made.factors], PATTERNS)
    so.save_safetensors(on_torch, tmp_path / "t.safetensors")
    back = so.load_safetensors(tmp_path / "t.safetensors")
    np.testing.assert_array_equal(back.factors[1], made.factors[1])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [*REAL, torch.complex64, torch.complex128])
def test_a_layer_comes_back_with_its_tensors(dtype: Any, bias: bool, tmp_path: Path) -> None:
    path, square = tmp_path / "l.safetensors", so.Architecture.square_dyadic(8)
    for layer in (
        so.KroneckerLinear(6, 8, PATTERNS, bias=bias, dtype=dtype),
        so.KroneckerConv2d(8, 8, 3, square, 2, "valid", bias=bias, dtype=dtype),
        so.KroneckerConv2d(8, 8, (1, 3), square, padding=(0, 1), bias=bias, dtype=dtype),
    ):
        so.save_safetensors(layer, path)
        back = so.load_safetensors(path)
        assert type(back) is type(layer)
        assert list(back.state_dict()) == list(layer.state_dict())
        for name, tensor in layer.state_dict().items():
            assert back.state_dict()[name].dtype == dtype
            assert torch.equal(back.state_dict()[name], tensor)
        if dtype == torch.float32:
            x = (
                torch.randn(2, 6)
                if isinstance(layer, so.KroneckerLinear)
                else torch.randn(2, 8, 5, 5)
            )
            torch.testing.assert_close(back(x), layer(x))
        assert all(parameter.requires_grad for parameter in back.parameters())


def test_what_a_layer_knows_of_its_projection_is_kept(tmp_path: Path) -> None:
    layer = so.KroneckerLinear.from_linear(nn.Linear(6, 8), PATTERNS)
    so.save_safetensors(layer, tmp_path / "l.safetensors")
    assert so.load_safetensors(tmp_path / "l.safetensors").relative_error == layer.relative_error


def test_the_library_of_that_name_reads_it(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    layer = so.KroneckerLinear(6, 8, PATTERNS)
    so.save_safetensors(layer, tmp_path / "l.safetensors")
    twin = so.KroneckerLinear(6, 8, PATTERNS)
    twin.load_state_dict(safetensors.load_file(tmp_path / "l.safetensors"))
    assert torch.equal(twin.factors[1], layer.factors[1])


def test_the_format_is_that_of_safetensors(tmp_path: Path) -> None:
    """Eight bytes, a header that is padded, the tensors: read again by other code than ours."""
    path, made = tmp_path / "p.safetensors", product(np.float32)
    so.save_safetensors(made, path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    assert header.pop("__metadata__")["format"] == "np"
    for i, factor in enumerate(made.factors):
        entry = header[f"factors.{i}"]
        begin, end = entry["data_offsets"]
        body = content[8 + length + begin : 8 + length + end]
        assert entry["dtype"] == "F32"
        assert body == factor.astype("<f4").tobytes()
        assert entry["shape"] == list(factor.shape)
    assert stat.S_IMODE(path.stat().st_mode) & 0o400


@pytest.mark.parametrize("subject", [3, nn.Linear(2, 2), np.eye(2), "words"])
def test_other_things_are_not_saved(subject: Any, tmp_path: Path) -> None:
    with pytest.raises(so.ProblemError, match="takes a KroneckerProduct, a KroneckerLinear"):
        so.save_safetensors(subject, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_masks_are_made_permanent_first(tmp_path: Path) -> None:
    layer = so.KroneckerLinear(6, 8, PATTERNS)
    prune.l1_unstructured(layer.factors, "0", amount=0.5)
    with pytest.raises(so.ProblemError, match=r"torch.nn.utils.prune.remove"):
        so.save_safetensors(layer, tmp_path / "x.safetensors")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(so.ProblemError, match="cannot write"):
        so.save_safetensors(product(np.float32), tmp_path / "none" / "x.safetensors")
    with pytest.raises(so.ProblemError, match="does not exist"):
        so.load_safetensors(tmp_path / "none.safetensors")
    with pytest.raises(so.ProblemError, match="is a folder"):
        so.load_safetensors(tmp_path)


def written(path: Path, header: Any, body: bytes = b"") -> Path:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + body)
    return path


ONE = {"dtype": "F32", "shape": [1, 1, 1, 1], "data_offsets": [0, 4]}
ABOUT = {"kind": "KroneckerProduct", "architecture": [[1, 1, 1, 1]]}


def whole(about: Any = ABOUT, **tensors: Any) -> dict[str, Any]:
    return {"__metadata__": {"sparseopt": json.dumps(about)}, **(tensors or {"factors.0": ONE})}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"{", "is no JSON of tensors"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"\xff\xfe\xfd\xfc", "is no JSON of tensors"),
        (b"[" * 100_000, "is no JSON of tensors"),
        ([1], "is a list, not an object"),
        (whole() | {"__metadata__": {"sparseopt": 1}}, "must hold texts only"),
        (whole() | {"__metadata__": {}}, "does not say what its tensors are of"),
        (whole() | {"__metadata__": {"sparseopt": "{"}}, "is no JSON"),
        (whole([]), "is a list, not an object"),
        (whole() | {"factors.0": [1]}, "needs dtype, shape and data_offsets"),
        (whole() | {"factors.0": ONE | {"more": 1}}, "and nothing else"),
        (whole() | {"factors.0": ONE | {"dtype": "I32"}}, "is of dtype I32; read here are F16"),
        (whole() | {"factors.0": ONE | {"dtype": ["F32"]}}, "is of dtype"),
        (whole() | {"factors.0": ONE | {"shape": [1, 1, 1, -1]}}, "integers from 0 on"),
        (whole() | {"factors.0": ONE | {"shape": [1, 1, 1, True]}}, "integers from 0 on"),
        (whole() | {"factors.0": ONE | {"shape": [1.0, 1, 1, 1]}}, "integers from 0 on"),
        (whole() | {"factors.0": ONE | {"shape": [2, 1, 1, 1]}}, "do not agree"),
        (whole() | {"factors.0": ONE | {"shape": [1] * 33}}, "do not agree"),
        (whole() | {"factors.0": ONE | {"data_offsets": [0]}}, "do not agree"),
        (
            whole() | {"factors.0": ONE | {"data_offsets": [4, 8]}},
            "starts at byte 4, and 0 is next",
        ),
        (whole(**{"factors.0": ONE, "bias": ONE}), "no two share bytes"),
        (whole() | {"factors.0": ONE | {"shape": [0], "data_offsets": [0, 0]}}, "holds 4 bytes"),
        (whole(x=ONE), "must hold the tensors factors.0; it holds x"),
        (whole() | {"factors.0": ONE | {"shape": [4, 1, 1], "dtype": "F16"}}, "do not agree"),
        (whole() | {"factors.0": ONE | {"shape": [1, 1, 1]}}, "its pattern needs"),
        (whole(ABOUT | {"architecture": 3}), "must be a list of patterns"),
        (whole(ABOUT | {"architecture": [[1, 1]]}), "pattern"),
        (whole(ABOUT | {"kind": "Pickle"}), "holds a Pickle, not a product or layer"),
        (whole(ABOUT | {"kind": ["x"]}), "not a product or layer"),
        (whole(ABOUT | {"complex128": True}), "its pattern needs"),
        (whole(ABOUT | {"kind": "KroneckerLinear"}), "that can be built"),
        (whole(ABOUT | {"kind": "KroneckerLinear", "relative_error": "a"}), "a relative error"),
        (
            whole(ABOUT | {"kind": "KroneckerLinear", "in_features": 2, "out_features": 1}),
            "that can be built: the architecture",
        ),
        (whole() | {"factors.0": ONE | {"shape": [1, 1, 1, 1, 1]}}, "its pattern needs"),
    ],
)
def test_files_that_do_not_fit_are_refused(header: Any, words: str, tmp_path: Path) -> None:
    path = written(tmp_path / "x.safetensors", header, bytes(4))
    with pytest.raises(so.ProblemError, match=words):
        so.load_safetensors(path)


def test_ends_and_sizes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for content in (b"", b"1234", (2**60).to_bytes(8, "little") + b"{}"):
        path.write_bytes(content)
        with pytest.raises(so.ProblemError, match="it ends inside its header"):
            so.load_safetensors(path)
    huge = ONE | {"shape": [2**40, 1, 1, 1], "data_offsets": [0, 2**42]}
    with pytest.raises(so.ProblemError, match=f"its header names {2**42}"):
        so.load_safetensors(written(path, whole() | {"factors.0": huge}))
    with pytest.raises(so.ProblemError, match="is too large"):
        read_tensors(written(path, b" " * (2**24 + 1)))


def test_not_a_number_is_refused_by_its_place(tmp_path: Path) -> None:
    nan = np.float32(np.nan).tobytes()
    with pytest.raises(so.ProblemError, match=r"factor 0.*nan"):
        so.load_safetensors(written(tmp_path / "x.safetensors", whole(), nan))


def test_damaged_files_never_raise_anything_else(tmp_path: Path) -> None:
    path, rng = tmp_path / "x.safetensors", np.random.default_rng(0)
    so.save_safetensors(
        so.KroneckerConv2d(8, 8, 3, so.Architecture.square_dyadic(8), padding=1), path
    )
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(content)
        place = int(rng.integers(8 + length))
        damaged[place] = int(rng.choice(list(b'0123456789"[]{},:-truefalsnE. ')))
        path.write_bytes(damaged)
        try:
            so.load_safetensors(path)
            outcomes.add("read")
        except so.ProblemError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
    header = json.loads(content[8 : 8 + length])
    about = json.loads(header["__metadata__"]["sparseopt"])
    for name in about:
        for value in (None, True, -1, 0, 2**70, 1.5, "x", [], [1], [[1]], {}, [2**70, 1]):
            header["__metadata__"]["sparseopt"] = json.dumps(about | {name: value})
            written(path, header, content[8 + length :])
            try:
                so.load_safetensors(path)
            except so.ProblemError:
                continue
