"""Thousands of damaged files: each gives an answer or one sentence, in bounded time and memory."""

from __future__ import annotations

import functools
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mutations
import numpy as np
import onnx
import pytest
import scipy.sparse
import torch
from confined import Reader, is_decent
from hypothesis import HealthCheck, event, given, settings, strategies as st
from onnx import TensorProto, helper
from onnx_models import (
    ints,
    model_of,
    model_with,
    nested_branches,
    nested_functions,
    normal,
    sparse,
)
from pt2_models import Scaled, old_entries
from torch import nn

pytestmark = pytest.mark.slow

SEEDS = st.integers(0, 2**32 - 1)


def examples(count: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader(seconds=90) as process:
        yield process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def judge(reader: Reader, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    outcome = reader.read(path)
    event("read" if outcome == "read" else "refused")
    assert is_decent(outcome), outcome


# ONNX ---------------------------------------------------------------------------------------


def image_model() -> onnx.ModelProto:
    """Return a model with one of many kinds of layers."""
    make = helper.make_node
    nodes = [
        make("Shape", ["x"], ["s"]),
        make("Conv", ["x", "w", "b"], ["a"], pads=[1, 1, 1, 1], strides=[1, 2]),
        make("BatchNormalization", ["a", "b", "b", "b", "v"], ["n"], epsilon=1e-3),
        make("Relu", ["n"], ["r"]),
        make("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], ceil_mode=1),
        make("Pad", ["m", "pads", "fill"], ["p"], mode="constant"),
        make("Resize", ["p", "", "scales"], ["z"], mode="linear"),
        make("ConvTranspose", ["z", "u"], ["t"], strides=[2, 1]),
        make("AveragePool", ["t"], ["q"], kernel_shape=[2, 2], count_include_pad=1),
        make("Transpose", ["q"], ["o"], perm=[0, 2, 3, 1]),
        make("Reshape", ["o", "shape"], ["f"]),
        make("Slice", ["f", "one", "end", "one"], ["c"]),
        make("Concat", ["c", "c"], ["d"], axis=1),
        make("Clip", ["d", "low", "high"], ["k"]),
        make("ReduceMean", ["k"], ["y"], axes=[1], keepdims=1),
    ]
    constants = {
        "w": normal(3, 2, 3, 3),
        "b": normal(3),
        "v": np.float32([1, 2, 3]),
        "pads": ints(0, 0, 1, 0, 0, 0, 0, 1),
        "fill": np.array(0, np.float32),
        "scales": np.float32([1, 1, 2, 2]),
        "u": normal(3, 1, 2, 2),
        "shape": ints(1, -1),
        "one": ints(1),
        "end": ints(9),
        "low": np.array(-1, np.float32),
        "high": np.array(1, np.float32),
    }
    return model_with(nodes, ("N", 2, 6, 6), constants)


def constant_model() -> onnx.ModelProto:
    """Return a model whose weights are computed."""
    make = helper.make_node
    nodes = [
        make("DequantizeLinear", ["q", "s", "z"], ["w"], axis=0),
        make("Transpose", ["w"], ["t"], perm=[1, 0]),
        make("ConstantOfShape", ["n"], ["c"]),
        make("Expand", ["c", "n"], ["e"]),
        make("Concat", ["t", "e"], ["k"], axis=0),
        make("Gather", ["k", "i"], ["g"], axis=0),
        make("Range", ["r0", "r1", "r2"], ["r"]),
        make("Cast", ["r"], ["f"], to=TensorProto.FLOAT),
        make("Tile", ["f", "i"], ["l"]),
        make("ReduceSum", ["l"], ["h"], keepdims=0),
        make("MatMul", ["x", "g"], ["m"]),
        make("Add", ["m", "h"], ["y"]),
    ]
    constants = {
        "q": np.ones((3, 2), np.int8),
        "s": np.float32([1, 2, 3]),
        "z": np.int8([0, 1, 0]),
        "n": ints(2, 3),
        "i": ints(2),
        "r0": np.array(0),
        "r1": np.array(4),
        "r2": np.array(1),
    }
    return model_with(nodes, (1, 1), constants)


MODELS = [
    image_model,
    constant_model,
    lambda: nested_functions(3),
    lambda: sparse([3, 4], ints(1, 5)),
    lambda: nested_branches(2),
    lambda: model_of((1, 4), "Split", {"s": ints(1, 3)}),
    lambda: model_of((1, 4, 4, 4), "DepthToSpace", blocksize=2),
    lambda: model_of((2, 4), "Gemm", {"w": normal(3, 4), "b": normal(3)}, transB=1),
]
WORDS = [
    *("x", "y", "w", "b", "a", "s", "", "é", "\x1b[2J", "ai.onnx", "location", "NOTSET", "VALID"),
    *("SAME_UPPER", "linear", "nearest", "edge", "reflect", "DCR", "CRD", "axis", "axes", "pads"),
    *(schema.name for schema in onnx.defs.get_all_schemas()),
]


@examples(6000)
@given(seed=SEEDS)
def test_changed_models(seed: int, reader: Reader, folder: Path) -> None:
    rng = random.Random(seed)
    model = rng.choice(MODELS)()
    mutations.message(model, rng, WORDS)
    judge(reader, folder / "model.onnx", model.SerializeToString())


@examples(3000)
@given(seed=SEEDS)
def test_changed_bytes_of_models(seed: int, reader: Reader, folder: Path) -> None:
    rng = random.Random(seed)
    content = rng.choice(MODELS)().SerializeToString()
    judge(reader, folder / "bytes.onnx", mutations.bytes_of(content, rng))


# .pt2 ---------------------------------------------------------------------------------------


def programs() -> list[torch.export.ExportedProgram]:
    torch.manual_seed(0)
    image = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.PixelShuffle(2),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4, 3),
    ).eval()
    return [
        torch.export.export(Scaled().eval(), (torch.zeros(2, 4),)),
        torch.export.export(image, (torch.zeros(1, 2, 6, 6),)),
    ]


@functools.cache
def archives() -> list[dict[str, bytes]]:
    """Return entries of honest files, in the layouts of today and of torch 2.7."""
    result = []
    for program in programs():
        stream = io.BytesIO()
        torch.export.save(program, stream)
        with zipfile.ZipFile(stream) as archive:
            result.append({name: archive.read(name) for name in archive.namelist()})
        result.append(old_entries(program))
    return result


def packed(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


ATEN = [
    f"torch.ops.aten.{name}.{overload}"
    for name in dir(torch.ops.aten)
    if isinstance(packet := getattr(torch.ops.aten, name), torch._ops.OpOverloadPacket)
    for overload in packet.overloads()
]


@examples(3000)
@given(seed=SEEDS)
def test_changed_programs(seed: int, reader: Reader, folder: Path) -> None:
    rng = random.Random(seed)
    entries = dict(rng.choice(archives()))
    name = rng.choice([n for n in entries if n.endswith(".json")])
    words = [*WORDS[:10], *rng.sample(ATEN, 20), "as_int", "as_tensor", "as_ints", "linear", "relu"]
    document = mutations.document(json.loads(entries[name]), rng, words)
    entries[name] = json.dumps(document).encode()
    judge(reader, folder / "program.pt2", packed(entries))


@examples(2000)
@given(seed=SEEDS)
def test_changed_bytes_of_programs(seed: int, reader: Reader, folder: Path) -> None:
    rng = random.Random(seed)
    entries = dict(rng.choice(archives()))
    if rng.random() < 0.5:
        judge(reader, folder / "bytes.pt2", mutations.bytes_of(packed(entries), rng))
        return
    name = rng.choice(list(entries))
    entries[name] = mutations.bytes_of(entries[name], rng)
    judge(reader, folder / "bytes.pt2", packed(entries))


# Arrays -------------------------------------------------------------------------------------


def saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@examples(3000)
@given(seed=SEEDS)
def test_changed_arrays(seed: int, reader: Reader, folder: Path) -> None:
    rng = random.Random(seed)
    content = saved(
        np.asfortranarray(np.eye(3)) if rng.random() < 0.5 else np.arange(6, dtype="u1")
    )
    if rng.random() < 0.5:  # the header alone
        content = mutations.bytes_of(content[:-72], rng) + content[-72:]
    else:
        content = mutations.bytes_of(content, rng)
    judge(reader, folder / "array.npy", content)


@examples(3000)
@given(seed=SEEDS)
def test_changed_archives_of_arrays(seed: int, reader: Reader, folder: Path) -> None:
    rng = random.Random(seed)
    stream = io.BytesIO()
    kind = rng.randrange(3)
    if kind == 0:
        np.savez(stream, np.eye(3), np.eye(3))
    elif kind == 1:
        np.savez_compressed(stream, np.eye(3), np.eye(3))
    else:
        form = rng.choice(["csr", "csc", "coo", "bsr", "dia"])
        scipy.sparse.save_npz(stream, scipy.sparse.eye_array(4, format=form))
    content = stream.getvalue()
    if rng.random() < 0.5:  # an entry, inside an archive that is whole
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        name = rng.choice(list(entries))
        entries[name] = mutations.bytes_of(entries[name], rng)
        judge(reader, folder / "arrays.npz", packed(entries))
    else:
        judge(reader, folder / "arrays.npz", mutations.bytes_of(content, rng))
